/* TLS connections between two coroutines, and certificates made for the purpose. */

#ifndef TLS_H
#define TLS_H

#include <libdillext.h>

#include "pair.h"
#include "usersock.h"

/* Long enough for every step that should succeed. */
static inline int64_t soon(void) { return now() + 10000; }

/* The path of a file in the directory of the test. The last eight results stay valid. */
static inline const char *in_directory(const char *name) {
    static char paths[8][sizeof(test_directory) + 64];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", test_directory, name);
    return path;
}

/* Runs the openssl command in the directory of the test, and shows what it says only if it fails. */
__attribute__((format(printf, 1, 2))) static inline void openssl(const char *format, ...) {
    char arguments[1024], command[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(arguments, sizeof(arguments), format, args);
    va_end(args);
    snprintf(command, sizeof(command), "cd '%s' && openssl %s >output 2>&1 </dev/null || { cat output >&2; exit 1; }",
             test_directory, arguments);
    CHECK_INT(system(command), 0);
}

#define NEW_EC_KEY "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

/* A self-signed certificate for localhost and 127.0.0.1: NAME.pem and NAME.key. */
static inline void make_self_signed(const char *name) {
    openssl("req -x509 " NEW_EC_KEY " -keyout %s.key -out %s.pem -days 30 -subj /CN=localhost "
            "-addext subjectAltName=DNS:localhost,IP:127.0.0.1", name, name);
}

/* An authority: ca.pem and ca.key. */
static inline void make_authority(void) {
    openssl("req -x509 " NEW_EC_KEY " -keyout ca.key -out ca.pem -days 30 -subj /CN=authority");
}

/* The key and the request for a certificate of a host. */
static inline void make_request(const char *name, const char *names) {
    openssl("req " NEW_EC_KEY " -keyout %s.key -out %s.csr -subj /CN=server -addext subjectAltName=%s", name, name,
            names);
}

/* A certificate that the authority has issued. */
static inline void make_issued(const char *name, const char *names) {
    make_request(name, names);
    openssl("x509 -req -in %s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy -days 30 -out %s.pem",
            name, name);
}

static inline void make_certificate(void) {
    if (access(in_directory("server.pem"), F_OK) < 0) make_self_signed("server");
}

coroutine static void serve_handshake(int s, const char *name, int *h) {
    char cert[32], key[32];
    snprintf(cert, sizeof(cert), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    *h = tls_attach_server(s, in_directory(cert), in_directory(key), soon());
}

/* TLS over a connected pair: h[0] is the client. */
static inline void make_tls_over(int s[2], int h[2]) {
    int b;
    make_certificate();
    h[1] = -1;
    b = go(serve_handshake(s[1], "server", &h[1]));
    CHECK(b >= 0);
    h[0] = tls_attach_client(s[0], soon());
    CHECK(h[0] >= 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK(h[1] >= 0);
    CHECK_INT(hclose(b), 0);
}

static inline void make_tls_over_ipc(int h[2]) {
    int s[2];
    make_ipc_pair(s);
    make_tls_over(s, h);
}

static inline void make_tls_over_tcp(int h[2]) {
    int s[2];
    make_tcp_pair(s);
    make_tls_over(s, h);
}

/* Over bytestreams that the library knows nothing about. */
static inline void make_tls_over_user(int h[2]) {
    static struct user_stream below[2];
    int s[2];
    make_ipc_pair(s);
    for (int i = 0; i != 2; ++i) {
        s[i] = user_stream_make(&below[i], s[i]);
    }
    make_tls_over(s, h);
}

/* Runs the statement for TLS over each kind of bytestream. */
static void (*const make_tls[])(int h[2]) = {make_tls_over_tcp, make_tls_over_ipc, make_tls_over_user};
#define EACH_TLS(H) for (size_t each_tls_ = 0; each_tls_ != 3 && (make_tls[each_tls_](H), 1); ++each_tls_)

/* The bytes number from, from + 1, ... of a stream that does not repeat soon. */
static inline void fill_pattern(void *buf, size_t len, uint64_t from) {
    unsigned char *bytes = (unsigned char *)buf;
    for (size_t i = 0; i != len; ++i) {
        uint64_t n = (from + i) / 8 * 0x9E3779B97F4A7C15u;
        bytes[i] = (unsigned char)(n >> (from + i) % 8 * 8);
    }
}

static inline void check_pattern(const void *buf, size_t len, uint64_t from) {
    static unsigned char expected[1 << 16];
    const unsigned char *bytes = (const unsigned char *)buf;
    while (len) {
        size_t step = len < sizeof(expected) ? len : sizeof(expected);
        fill_pattern(expected, step, from);
        CHECK_MEM(bytes, expected, step);
        bytes += step;
        from += step;
        len -= step;
    }
}

#define CHECK_SENT(H, TEXT) CHECK_INT(bsend(H, TEXT, sizeof(TEXT) - 1, soon()), 0)
#define CHECK_RECEIVED(H, TEXT)                                     \
    do {                                                            \
        char received_[sizeof(TEXT)];                               \
        CHECK_INT(brecv(H, received_, sizeof(TEXT) - 1, soon()), 0); \
        CHECK_MEM(received_, TEXT, sizeof(TEXT) - 1);               \
    } while (0)
/* Every further call of this direction gives that. */
#define CHECK_STAYS(CALL, ERRNO)                                              \
    do {                                                                      \
        for (int stays_ = 0; stays_ != 3; ++stays_) CHECK_ERR(CALL, -1, ERRNO); \
    } while (0)

#endif
