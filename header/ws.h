/* Memory for a WebSocket. */
struct dill_ws_storage {
    char _[176];
};

@declarations@

/* Two of these calls have a second form, that of the example in libdill's manual page:

       ws_attach_client(s, resource, host, flags, deadline)
       ws_detach(s, deadline)

   The type of the second argument, and the number of arguments, tell which one is meant. The latter
   sends a close frame without a code. Without parentheses, as in &ws_detach, the names are those of
   the functions. */

#ifdef __cplusplus

extern "C++" {

inline int dill_ws_attach_client_(int s, int flags, const char *resource, const char *host, int64_t deadline) {
    return dill_ws_attach_client(s, flags, resource, host, deadline);
}

template <class Char>
inline int dill_ws_attach_client_(int s, Char *resource, const char *host, int flags, int64_t deadline) {
    return dill_ws_attach_client(s, flags, resource, host, deadline);
}

inline int dill_ws_detach_(int s, int status, const void *buf, size_t len, int64_t deadline) {
    return dill_ws_detach(s, status, buf, len, deadline);
}

inline int dill_ws_detach_(int s, int64_t deadline) {
    return dill_ws_detach(s, 0, DILL_NULL_, 0, deadline);
}
}

#define dill_ws_attach_client(...) dill_ws_attach_client_(__VA_ARGS__)
#define dill_ws_detach(...) dill_ws_detach_(__VA_ARGS__)

#else

/* Always inlined, so that no symbol is needed. */
#define DILL_INLINE_ extern __inline__ __attribute__((__gnu_inline__, __always_inline__, __artificial__))

DILL_INLINE_ int dill_ws_attach_client_(int s, const char *resource, const char *host, int flags,
                                        int64_t deadline) {
    return dill_ws_attach_client(s, flags, resource, host, deadline);
}

DILL_INLINE_ int dill_ws_detach_(int s, int64_t deadline) {
    return dill_ws_detach(s, 0, NULL, 0, deadline);
}

#define DILL_SECOND_(a, b, ...) b
#define DILL_SIXTEENTH_(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ...) p

#define dill_ws_attach_client(...)                                                                          \
    __extension__ _Generic((DILL_SECOND_(__VA_ARGS__, 0)),                                                  \
        char *: dill_ws_attach_client_,                                                                     \
        const char *: dill_ws_attach_client_,                                                               \
        default: dill_ws_attach_client)(__VA_ARGS__)

/* There may be more than five arguments: commas in the braces of a compound literal. */
#define dill_ws_detach(...)                                                                                 \
    DILL_SIXTEENTH_(__VA_ARGS__, dill_ws_detach, dill_ws_detach, dill_ws_detach, dill_ws_detach,            \
        dill_ws_detach, dill_ws_detach, dill_ws_detach, dill_ws_detach, dill_ws_detach, dill_ws_detach,     \
        dill_ws_detach, dill_ws_detach, dill_ws_detach, dill_ws_detach_, dill_ws_detach, 0)(__VA_ARGS__)

#endif
