/* libdillext.h - what libdill never had: WebSocket and TLS as programs of today need them.

   Generated from header/ and src/ffi/ by build.rs; changes made here are lost.

   What is said at the beginning of libdill.h holds here too, DILL_DISABLE_RAW_NAMES, _SOCKETS and _TLS
   among it. A program that does not include this file may have functions of its own with these names.

   Structures begin with their size, so that later versions can add members:

       struct ws_opts opts = {.size = sizeof opts, .max_message = 65536};

   Members that are 0 mean the usual, and so does NULL in the place of options. A size that no version has,
   and members that are set and that the library does not know, are EINVAL. Lists of strings are arrays
   that end with NULL. Times are milliseconds, sizes bytes. */

#ifndef LIBDILLEXT_H_INCLUDED
#define LIBDILLEXT_H_INCLUDED

#include "libdill.h"

/* Counts what this file has. */
#define DILL_EXT_VERSION 1

#ifdef __cplusplus
extern "C" {
#endif

#if !defined DILL_DISABLE_SOCKETS && !defined DILL_DISABLE_TLS

/* --- TLS: a client that verifies ---------------------------------------------------------------- */

/* For `tls_opts`: the server's certificate is not verified. */
#define DILL_TLS_NOVERIFY 1

/* What a client wants of a server: {.size = sizeof(struct tls_opts), .host = "example.com"}. */
struct dill_tls_opts {
    /* The size of this structure. */
    size_t size;
    /* The name or the literal address of the server, which its certificate must be made out to. */
    const char *host;
    /* A PEM file with the certificates to trust: those of authorities, or the server's own. NULL: those
       that the system trusts; SSL_CERT_FILE and SSL_CERT_DIR in the environment are obeyed. */
    const char *ca_file;
    /* The application protocols to offer, such as {"h2", "http/1.1", NULL}, the preferred one first.
       NULL: none. */
    const char *const *alpn;
    /* 0 or TLS_NOVERIFY. */
    int flags;
};

/* Makes a TLS client of a bytestream, and makes sure that the server is who it should be: its
   certificate has to be valid, issued by an authority that is trusted, and made out to `opts->host`.
   Otherwise as `tls_attach_client`.

   Errors: EACCES (the certificate is not accepted), EBADF, ECANCELED, ECONNRESET, EFAULT (no
   certificates to trust can be read), EINVAL (NULL, wrong size, no host though it is to be verified, no
   proper name, unknown flags), ENOMEM, EPROTO (no bytestream, or the handshake failed), ETIMEDOUT.

   Required: The options can be read, or are NULL; what they point to are strings. */
DILL_EXPORT int dill_tls_attach_client_opts(int s, const struct dill_tls_opts *opts,
    int64_t deadline);

/* Stores the name of the application protocol that was agreed on, as a string in a buffer of `len`
   bytes; an empty one if there is none.

   Errors: EBADF, EINVAL (NULL), EMSGSIZE (it does not fit; 256 bytes are always enough), ENOTSUP.

   Required: There is room for `len` bytes, or the pointer is NULL. */
DILL_EXPORT int dill_tls_alpn(int s, char *buf, size_t len);

#ifndef DILL_DISABLE_RAW_NAMES
#define TLS_NOVERIFY DILL_TLS_NOVERIFY
#define tls_opts dill_tls_opts
#ifdef __cplusplus
DILL_ALIAS_(tls_attach_client_opts);
DILL_ALIAS_(tls_alpn);
#else
#define tls_attach_client_opts dill_tls_attach_client_opts
#define tls_alpn dill_tls_alpn
#endif
#endif

#endif

#ifdef __cplusplus
}
#endif

#endif
