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

/* In C++, functions that have the name of a structure hide its constructor. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"

/* --- In an event loop of the program's own ------------------------------------------------------ */

/* For a program that has an event loop already: returns a descriptor that polls readable when the library
   has something to do, and stores in `*next`, unless that is NULL, the time at which it will have without
   that, on the clock of `now`, or -1 for never. To be called last before the loop polls: it hands over what
   was gathered. The descriptor is the library's; it may be another one at the next call.

   Errors: ECANCELED, EMFILE, ENFILE, ENOMEM, ENOTSUP (inside a coroutine).

   Required: The time can be written, or is NULL. */
DILL_EXPORT int dill_loop(int64_t *next);

/* Runs what is ready, for about a millisecond at most, and returns 1 if more is, else 0. To be called after
   the loop has polled, when the descriptor of `dill_loop` is readable or its time has come; calling it
   at any other time does no harm.

   Errors: ECANCELED, ENOMEM, ENOTSUP (inside a coroutine). */
DILL_EXPORT int dill_run(void);


/* --- What a thread is doing --------------------------------------------------------------------- */

/* Writes a line to a descriptor for each coroutine of this thread, with where it was launched and what it waits
   for, and one for each handle, with its type, its descriptor or the handle below it, and its state. Allocates
   nothing; may be called from a debugger, as `call dill_dump(2)`. */
DILL_EXPORT void dill_dump(int fd);


#ifndef DILL_DISABLE_SOCKETS

/* --- TCP: listeners with options ---------------------------------------------------------------- */

/* Several sockets may listen at the same address, and the system deals connections out among them: one
   listener for each thread or process. */
#define DILL_TCP_REUSEPORT 1

/* A listener at an address of IPv6 takes no connections of IPv4. */
#define DILL_TCP_V6ONLY 2

/* What is wanted of a listener: {.size = sizeof(struct tcp_listen_opts), .flags = TCP_REUSEPORT}. */
struct dill_tcp_listen_opts {
    /* The size of this structure. */
    size_t size;
    /* How many connections may wait to be accepted. 0: as many as the system lets. */
    int backlog;
    /* TCP_REUSEPORT, TCP_V6ONLY. */
    int flags;
};

/* As `tcp_listen`, with options, which may be NULL.

   Errors: EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, ECANCELED, EINVAL (NULL, options that are wrong or
   do not go together), EMFILE, ENFILE, ENOMEM, ENOPROTOOPT.

   Required: The address can be read and written, or is NULL; the options can be read, or are NULL. */
DILL_EXPORT int dill_tcp_listen_opts(struct dill_ipaddr *addr,
    const struct dill_tcp_listen_opts *opts);

#ifndef DILL_DISABLE_RAW_NAMES
#define TCP_REUSEPORT DILL_TCP_REUSEPORT
#define TCP_V6ONLY DILL_TCP_V6ONLY
#define tcp_listen_opts dill_tcp_listen_opts
#ifdef __cplusplus
DILL_ALIAS_(tcp_listen_opts);
#else
#define tcp_listen_opts dill_tcp_listen_opts
#endif
#endif

#endif

#if !defined DILL_DISABLE_SOCKETS && !defined DILL_DISABLE_TLS

/* --- TLS: clients that verify, and servers ------------------------------------------------------ */

/* For `tls_opts`: the server's certificate is not verified. */
#define DILL_TLS_NOVERIFY 1

/* For `tls_server_opts`: clients are asked for a certificate. It has to be a good one, or none. */
#define DILL_TLS_CLIENT_CERT_WANTED 2

/* For `tls_server_opts`: nobody is accepted without a certificate. */
#define DILL_TLS_CLIENT_CERT_NEEDED 4

/* Versions of TLS: for `min_version`, and what `tls_info` says. */
#define DILL_TLS_1_2 771

/* The one after that. */
#define DILL_TLS_1_3 772

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
    /* PEM files of our own certificate, with those that lead from it to an authority behind it, and of its
       private key. NULL: the server gets none. */
    const char *cert;
    /* See `cert`. */
    const char *key;
    /* TLS_1_2 or TLS_1_3. 0: TLS_1_2. */
    int min_version;
};

/* What a server has to offer: {.size = sizeof(struct tls_server_opts), .certs = certs}. */
struct dill_tls_server_opts {
    /* The size of this structure. */
    size_t size;
    /* 0, TLS_CLIENT_CERT_WANTED or TLS_CLIENT_CERT_NEEDED. */
    int flags;
    /* PEM files: {"cert.pem", "key.pem", NULL}, and more such pairs. The first one is for clients that do not
       say which host they mean, or another one; the others are for the hosts that their certificates name. */
    const char *const *certs;
    /* A PEM file with the certificates to trust in clients: those of authorities, or the clients' own. */
    const char *client_ca_file;
    /* The application protocols, such as {"h2", "http/1.1", NULL}, the preferred one first. A client that
       offers others only is refused. NULL: none is agreed on. */
    const char *const *alpn;
    /* TLS_1_2 or TLS_1_3. 0: TLS_1_2. */
    int min_version;
};

/* Makes a TLS client of a bytestream, and makes sure that the server is who it should be: its
   certificate has to be valid, issued by an authority that is trusted, and made out to `opts->host`.
   Otherwise as `tls_attach_client`. Files are read once, and again when they have changed. A session is
   resumed with the same options and port.

   Errors: EACCES (the certificate of either side is not accepted, or a file may not be read), EBADF,
   ECANCELED, ECONNRESET, EFAULT (the system has no certificates to trust), EINVAL (NULL, wrong size, no host
   though it is to be verified, no proper name, unknown flags or version, a file with something else in it, a
   key that does not belong to its certificate), EIO, EISDIR, EMFILE, ENFILE, ENOENT and others of open() (a
   file cannot be read), ENOMEM, EPROTO (no bytestream, or the handshake failed), ETIMEDOUT.

   Required: The options can be read, or are NULL; what they point to are strings. */
DILL_EXPORT int dill_tls_attach_client_opts(int s, const struct dill_tls_opts *opts,
    int64_t deadline);

/* Makes a TLS server of a bytestream: waits for a client's handshake, and returns the handle of a bytestream,
   which the one below belongs to from then on. Files are read once for all connections with the same options,
   and again when they have changed; if they are no good then, what was read before goes on, and `ws_errmsg`
   tells. Clients get tickets, to resume their sessions. If the call fails, the bytestream is closed.

   Errors: EACCES (the certificate of either side is not accepted, or a file may not be read), EBADF,
   ECANCELED, ECONNRESET (also if the stream ends in the handshake), EINVAL (NULL, wrong size, no certificate,
   or one without its key, unknown flags or version, flags and `client_ca_file` that do not go together, a file
   with something else in it, a key that does not belong to its certificate), EIO, EISDIR, EMFILE, ENFILE,
   ENOENT and others of open() (a file cannot be read), ENOMEM, EPROTO (no bytestream, or the handshake failed),
   ETIMEDOUT.

   Required: The options can be read, or are NULL; what they point to are strings. */
DILL_EXPORT int dill_tls_attach_server_opts(int s, const struct dill_tls_server_opts *opts,
    int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define TLS_NOVERIFY DILL_TLS_NOVERIFY
#define TLS_CLIENT_CERT_WANTED DILL_TLS_CLIENT_CERT_WANTED
#define TLS_CLIENT_CERT_NEEDED DILL_TLS_CLIENT_CERT_NEEDED
#define TLS_1_2 DILL_TLS_1_2
#define TLS_1_3 DILL_TLS_1_3
#define tls_opts dill_tls_opts
#define tls_server_opts dill_tls_server_opts
#ifdef __cplusplus
DILL_ALIAS_(tls_attach_client_opts);
DILL_ALIAS_(tls_attach_server_opts);
#else
#define tls_attach_client_opts dill_tls_attach_client_opts
#define tls_attach_server_opts dill_tls_attach_server_opts
#endif
#endif

#endif

#if !defined DILL_DISABLE_SOCKETS && !defined DILL_DISABLE_TLS

/* --- TLS: what was agreed on -------------------------------------------------------------------- */

/* What `tls_info` tells of a connection. */
struct dill_tls_info {
    /* The size of this structure: set before the call. */
    size_t size;
    /* TLS_1_2 or TLS_1_3. */
    int version;
    /* 1 if a session was resumed. */
    int resumed;
    /* 1 if the peer has shown a certificate that is trusted: of a server, one that is made out to the host. */
    int verified;
    /* The cipher suite, such as "TLS_AES_128_GCM_SHA256". */
    char cipher[64];
    /* The application protocol that was agreed on, or an empty string. */
    char alpn[256];
    /* The host that the client has asked for, or an empty string. */
    char sni[256];
};

/* Tells of a TLS connection, or of that below a WebSocket or a request, what both sides have agreed on:
   struct tls_info info = {.size = sizeof(struct tls_info)}.

   Errors: EBADF, EINVAL (NULL, or wrong size), ENOTSUP (no TLS).

   Required: The structure can be written as far as it says, or is NULL. */
DILL_EXPORT int dill_tls_info(int h, struct dill_tls_info *info);

/* Stores one of the certificates that the peer has shown, in DER, and returns its length: 0 is the peer's own,
   and the others are those that it sent behind it. `h` is as for `tls_info`. NULL with length 0: only the
   length is wanted.

   Errors: EBADF, EINVAL (NULL with a length), EMSGSIZE (it does not fit), ENOENT (there are no more), ENOTSUP
   (no TLS).

   Required: There is room for `len` bytes, or the pointer is NULL. */
DILL_EXPORT ssize_t dill_tls_peercert(int h, size_t i, void *buf, size_t len);

/* Stores the name of the application protocol that was agreed on, as a string in a buffer of `len`
   bytes; an empty one if there is none. `s` is as for `tls_info`.

   Errors: EBADF, EINVAL (NULL), EMSGSIZE (it does not fit; 256 bytes are always enough), ENOTSUP (no TLS).

   Required: There is room for `len` bytes, or the pointer is NULL. */
DILL_EXPORT int dill_tls_alpn(int s, char *buf, size_t len);

#ifndef DILL_DISABLE_RAW_NAMES
#define tls_info dill_tls_info
#ifdef __cplusplus
DILL_ALIAS_(tls_info);
DILL_ALIAS_(tls_peercert);
DILL_ALIAS_(tls_alpn);
#else
#define tls_info dill_tls_info
#define tls_peercert dill_tls_peercert
#define tls_alpn dill_tls_alpn
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- WebSocket: options, and requests ----------------------------------------------------------- */

/* The head of the peer is kept as long as the WebSocket lives, for `ws_field`. */
#define DILL_WS_KEEP_HEAD 32

/* Messages are compressed, if the peer can do that: permessage-deflate. */
#define DILL_WS_DEFLATE 16

/* When sending: this message is not compressed. */
#define DILL_WS_NODEFLATE 64

/* In ws_deflate: keep the window of our compressor between messages. */
#define DILL_WS_DEFLATE_CONTEXT 1

/* In ws_deflate: let the peer keep the window of its own. */
#define DILL_WS_DEFLATE_PEER_CONTEXT 2

/* How messages are compressed: {.size = sizeof(struct ws_deflate), .level = 1}. 0 stands for the usual. */
struct dill_ws_deflate {
    /* The size of this structure. */
    size_t size;
    /* 1 (fast) to 9 (small). */
    int level;
    /* The window of our compressor: 8 to 15, that is 256 bytes to 32 KiB. */
    int window_bits;
    /* The window that the peer's compressor may have: 8 to 15. */
    int peer_window_bits;
    /* WS_DEFLATE_CONTEXT, WS_DEFLATE_PEER_CONTEXT. */
    int flags;
    /* Shorter messages are sent as they are. */
    size_t threshold;
};

/* What is wanted of a WebSocket: {.size = sizeof(struct ws_opts), .flags = WS_TEXT}. */
struct dill_ws_opts {
    /* The size of this structure. */
    size_t size;
    /* WS_TEXT or WS_BINARY, WS_NOHTTP, WS_NOGATHER, WS_DEFLATE, WS_KEEP_HEAD. */
    int flags;
    /* A client: offered to the server, the preferred one first. A server: spoken, likewise. */
    const char *const *subprotocols;
    /* "Name: value": sent with our request or answer. */
    const char *const *headers;
    /* A client: the Origin to send. */
    const char *origin;
    /* A server: the origins that are accepted, such as "https://example.org" and "null"; an asterisk and a
       dot before the name of the host mean all below it. Who sends none is no browser, and accepted. NULL:
       everybody. */
    const char *const *origins;
    /* The longest message to receive. A longer one fails the connection with close code 1009. 0: the
       buffer of the caller is the only limit. */
    uint64_t max_message;
    /* A ping when nothing came for so long, in ms. 0: none. */
    int64_t ping_interval;
    /* The peer is given up when nothing came for so long after that: ECONNRESET. 0: ping_interval. */
    int64_t ping_timeout;
    /* With WS_DEFLATE. */
    const struct dill_ws_deflate *deflate;
    /* ws_connect only: for wss. */
    const struct dill_tls_opts *tls;
    /* ws_connect only: "http://user:password@host:port", "socks5://host:port". NULL: what the environment
       says. "": none. */
    const char *proxy;
    /* ws_connect only: "host:port" or "unix:/path" to connect to in place of the URL's. */
    const char *connect_to;
    /* ws_connect only: how many redirects are followed. */
    int redirects;
};

/* As `ws_attach_client`, with options, which may be NULL. The answers to messages that came together leave
   together, unless the flags have WS_NOGATHER. If the call fails, the bytestream is closed, except after
   EBADF and ENOTSUP.

   Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (NULL, control characters, options that are wrong or do not
   go together), ENOMEM, ENOTSUP (no bytestream), EPIPE, EPROTO (the server refused, or does not speak
   WebSocket), ETIMEDOUT.

   Required: Both are strings, or NULL; so are those in the options. */
DILL_EXPORT int dill_ws_attach_client_opts(int s, const char *resource, const char *host,
    const struct dill_ws_opts *opts, int64_t deadline);

/* Waits for a client's request and accepts it, with options, which may be NULL: `ws_recvrequest` and
   `ws_accept` in one. If the call fails, the bytestream is closed, except after EBADF and ENOTSUP.

   Errors: EACCES (the origin is not in the list), EBADF, ECANCELED, ECONNRESET, EINVAL (options that are
   wrong or do not go together), ENOMEM, ENOTSUP (no bytestream), EPIPE (the stream ends before a request),
   EPROTO (no proper request for a WebSocket), ETIMEDOUT.

   Required: What is in the options are strings, or NULL. */
DILL_EXPORT int dill_ws_attach_server_opts(int s, const struct dill_ws_opts *opts,
    int64_t deadline);

/* Receives a request of HTTP, whatever it asks for, and returns a handle that stands for it; the
   bytestream belongs to it from then on. `ws_accept` or `ws_reply` is the answer; `hclose` drops the
   connection. A malformed request is answered with an HTTP error. If the call fails, the bytestream is
   closed, except after EBADF and ENOTSUP.

   Errors: EBADF, ECANCELED, ECONNRESET (the stream ends inside a request), ENOMEM, ENOTSUP (no bytestream),
   EPIPE (the stream ends before a request, or the last answer ended it), EPROTO (malformed), ETIMEDOUT. */
DILL_EXPORT int dill_ws_recvrequest(int s, int64_t deadline);

/* 1 if a request asks for a WebSocket, be it in the right way or not, else 0, as for what is no request. */
DILL_EXPORT int dill_ws_isupgrade(int r);

/* Stores a field of a request as a string, and returns its length: of one that has arrived, or, if
   WS_KEEP_HEAD was among the flags, of the peer of a WebSocket. Names are in any case; ":method", ":path"
   and ":authority" mean the request line and the host, ":status" that of a server's answer. Several fields
   of one name are joined by commas (Cookie: semicolons; Set-Cookie: the first). NULL with length 0: only
   the length is wanted.

   Errors: EBADF, EINVAL (NULL), EMSGSIZE (it does not fit, with its NUL), ENOENT (no such field), ENOTSUP
   (no request, and no WebSocket with a head).

   Required: The name is a string or NULL; there is room for `len` bytes, or the pointer is NULL. */
DILL_EXPORT ssize_t dill_ws_field(int h, const char *name, char *buf, size_t len);

/* Stores the name and the value of one of the fields as strings, and returns the value's length: `i` is
   its place in the order in which they came, from 0. Otherwise as `ws_field`.

   Errors: EBADF, EINVAL (NULL with a length), EMSGSIZE (one does not fit, with its NUL), ENOENT (there are
   no more), ENOTSUP (no request, and no WebSocket with a head).

   Required: There is room for so many bytes, or the pointers are NULL; the buffers do not overlap. */
DILL_EXPORT ssize_t dill_ws_fieldat(int h, size_t i, char *name, size_t namelen, char *value,
    size_t valuelen);

/* Makes a WebSocket of a request, with options, which may be NULL. A request that cannot be accepted is
   answered with an HTTP error. If the call fails, the connection is closed, except after EBADF and ENOTSUP.

   Errors: EACCES (the origin is not in the list), EBADF, ECANCELED, ECONNRESET, EINVAL (options that are
   wrong or do not go together), ENOMEM, ENOTSUP (no request), EPROTO (no proper request for a WebSocket),
   ETIMEDOUT.

   Required: What is in the options are strings, or NULL. */
DILL_EXPORT int dill_ws_accept(int r, const struct dill_ws_opts *opts, int64_t deadline);

/* Answers a request with something else than a WebSocket: a status from 200 to 599, headers of the form
   "Name: value" in a list that ends with NULL, and a body; NULL if there are none. Returns the bytestream,
   on which the next request may come. If the connection cannot go on, its sending half has ended. If the
   call fails, the connection is closed, except after EBADF and ENOTSUP.

   Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (a status, header or body that is not allowed, NULL with a
   length), ENOMEM, ENOTSUP (no request), ETIMEDOUT.

   Required: The headers are strings; the body has `len` bytes, or is NULL. */
DILL_EXPORT int dill_ws_reply(int r, int status, const char *const *headers, const void *body,
    size_t len, int64_t deadline);

/* Ends a WebSocket gracefully and closes everything: sends a close frame as `ws_done` does, unless
   that was done, waits for the peer's, and then ends what is below, the server first. A coroutine that is
   receiving goes on until it gets EPIPE; otherwise messages that still come are dropped. If the call fails,
   everything is closed all the same, except after EBADF and ENOTSUP; the close frame leaves if it can.

   Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (a code or reason that is not allowed, NULL with a length),
   ENOMEM, ENOTSUP, EPROTO, ETIMEDOUT.

   Required: The buffer has `len` bytes, or is NULL. */
DILL_EXPORT int dill_ws_close(int s, int status, const void *reason, size_t len, int64_t deadline);

/* Stores the subprotocol that was agreed on as a string, an empty one if there is none, and returns its
   length. NULL with length 0: only the length is wanted.

   Errors: EBADF, EINVAL (NULL with a length), EMSGSIZE (it does not fit, with its NUL), ENOTSUP.

   Required: There is room for `len` bytes, or the pointer is NULL. */
DILL_EXPORT ssize_t dill_ws_subprotocol(int s, char *buf, size_t len);

#ifndef DILL_DISABLE_RAW_NAMES
#define WS_KEEP_HEAD DILL_WS_KEEP_HEAD
#define WS_DEFLATE DILL_WS_DEFLATE
#define WS_NODEFLATE DILL_WS_NODEFLATE
#define WS_DEFLATE_CONTEXT DILL_WS_DEFLATE_CONTEXT
#define WS_DEFLATE_PEER_CONTEXT DILL_WS_DEFLATE_PEER_CONTEXT
#define ws_deflate dill_ws_deflate
#define ws_opts dill_ws_opts
#ifdef __cplusplus
DILL_ALIAS_(ws_attach_client_opts);
DILL_ALIAS_(ws_attach_server_opts);
DILL_ALIAS_(ws_recvrequest);
DILL_ALIAS_(ws_isupgrade);
DILL_ALIAS_(ws_field);
DILL_ALIAS_(ws_fieldat);
DILL_ALIAS_(ws_accept);
DILL_ALIAS_(ws_reply);
DILL_ALIAS_(ws_close);
DILL_ALIAS_(ws_subprotocol);
#else
#define ws_attach_client_opts dill_ws_attach_client_opts
#define ws_attach_server_opts dill_ws_attach_server_opts
#define ws_recvrequest dill_ws_recvrequest
#define ws_isupgrade dill_ws_isupgrade
#define ws_field dill_ws_field
#define ws_fieldat dill_ws_fieldat
#define ws_accept dill_ws_accept
#define ws_reply dill_ws_reply
#define ws_close dill_ws_close
#define ws_subprotocol dill_ws_subprotocol
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- WebSocket: from a URL to a handle ---------------------------------------------------------- */

/* Connects to a WebSocket: "ws://host/path", "wss://host:port/path?query", with options, which may be NULL.
   Names are looked up without blocking the thread, all addresses are tried, TLS verifies the server, and
   proxies that the environment names are used, all within one deadline. Returns the handle of the WebSocket.

   Errors: EACCES (the server's certificate is not accepted, or a proxy forbids it), EADDRNOTAVAIL (the
   name has no address), EAFNOSUPPORT, EAGAIN, EBADF, ECANCELED, ECONNREFUSED, ECONNRESET, EFAULT (the
   system has no certificates to trust), EHOSTUNREACH, EINVAL (no URL of WebSocket, options that are wrong
   or do not go together, or a file of TLS with something else in it), EIO, EISDIR, ELOOP (too many
   redirects), EMFILE, ENAMETOOLONG (a path of more than 107 characters), ENETUNREACH, ENFILE, ENOENT (no such
   path or file), ENOMEM, ENOTDIR, ENOTSUP (wss, and the library has no TLS), EPROTO (the server or a proxy
   refused, see `ws_errstatus`, or does not speak WebSocket), ETIMEDOUT.

   Required: The URL is a string, or NULL; so is what is in the options. */
DILL_EXPORT int dill_ws_connect(const char *url, const struct dill_ws_opts *opts, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#ifdef __cplusplus
DILL_ALIAS_(ws_connect);
#else
#define ws_connect dill_ws_connect
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- WebSocket: pings --------------------------------------------------------------------------- */

/* Sends a ping of at most 125 bytes, which the peer answers; `ws_info` tells how long that has taken. It
   leaves between the messages of others.

   Errors: EBADF, ECANCELED, ECONNRESET, EINVAL (too long, NULL with a length), ENOMEM, ENOTSUP, EPIPE (after
   `ws_done`), ETIMEDOUT.

   Required: The buffer has `len` bytes, or is NULL. */
DILL_EXPORT int dill_ws_ping(int s, const void *buf, size_t len, int64_t deadline);

/* Sends a pong of at most 125 bytes that nobody has asked for. Those that were asked for are sent by the
   library.

   Errors: those of `ws_ping`.

   Required: The buffer has `len` bytes, or is NULL. */
DILL_EXPORT int dill_ws_pong(int s, const void *buf, size_t len, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#ifdef __cplusplus
DILL_ALIAS_(ws_ping);
DILL_ALIAS_(ws_pong);
#else
#define ws_ping dill_ws_ping
#define ws_pong dill_ws_pong
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- WebSocket: messages in parts --------------------------------------------------------------- */

/* When sending: the message is not whole, the next call of the same coroutine goes on with it. */
#define DILL_WS_MORE 128

/* Receives a part of a message as soon as it is here: at least one byte, and at most `len`; NULL drops them.
   `*flags` becomes WS_TEXT or WS_BINARY, with WS_MORE until the message has ended, unless it is NULL. 0 is
   returned if there is nothing but the end.

   Errors: EBADF, EBUSY (another coroutine is receiving), ECANCELED, ECONNRESET (the connection broke
   without a close frame), EINVAL (no room), ENOMEM, ENOTSUP, EPIPE (the peer sent a close frame, see
   `ws_status`), EPROTO (the peer broke the protocol), ETIMEDOUT.

   Required: There is room for `len` bytes and for the flags, or the pointers are NULL. */
DILL_EXPORT ssize_t dill_ws_recvsome(int s, int *flags, void *buf, size_t len, int64_t deadline);

#ifndef DILL_DISABLE_RAW_NAMES
#define WS_MORE DILL_WS_MORE
#ifdef __cplusplus
DILL_ALIAS_(ws_recvsome);
#else
#define ws_recvsome dill_ws_recvsome
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- WebSocket: what has passed ----------------------------------------------------------------- */

/* The role of whoever has asked for a WebSocket. */
#define DILL_WS_CLIENT 0

/* The role of whoever was asked. */
#define DILL_WS_SERVER 1

/* What has passed on a WebSocket, which its size has to be given to: {.size = sizeof(struct ws_info)}. */
struct dill_ws_info {
    /* The size of this structure. */
    size_t size;
    /* WS_CLIENT or WS_SERVER: what we are. */
    int role;
    /* WS_TEXT or WS_BINARY: the type of the messages of msend and mrecv. */
    int type;
    /* 1 if messages are compressed, else 0. */
    int deflate;
    /* The window of our compressor: 8 to 15. 0 if messages are not compressed. */
    int window_bits;
    /* The window of the peer's compressor, likewise. */
    int peer_window_bits;
    /* WS_DEFLATE_CONTEXT, WS_DEFLATE_PEER_CONTEXT. */
    int deflate_flags;
    /* Whole messages, control frames not among them. */
    uint64_t messages_sent;
    /* Likewise. */
    uint64_t messages_received;
    /* Bytes of messages, before and after compression. */
    uint64_t payload_sent;
    /* Likewise. */
    uint64_t payload_received;
    /* Bytes of frames, of all kinds, as far as the kernel has taken them, or they were received. */
    uint64_t wire_sent;
    /* Likewise. */
    uint64_t wire_received;
    /* Those of the program, and those of ping_interval. */
    uint64_t pings_sent;
    /* Those that were looked at. */
    uint64_t pings_received;
    /* Answers, and those of the program. */
    uint64_t pongs_sent;
    /* Those that were looked at. */
    uint64_t pongs_received;
    /* How long the answer to the last ping that was answered has taken, in microseconds. -1: none was. */
    int64_t round_trip;
    /* Bytes that are still to be taken by the kernel. */
    uint64_t queued;
};

/* Stores what is known about a WebSocket. Members that this library does not know become 0.

   Errors: EBADF, EINVAL (NULL, a size that no version has), ENOTSUP.

   Required: The structure can be written, or is NULL. */
DILL_EXPORT int dill_ws_info(int s, struct dill_ws_info *info);

#ifndef DILL_DISABLE_RAW_NAMES
#define WS_CLIENT DILL_WS_CLIENT
#define WS_SERVER DILL_WS_SERVER
#define ws_info dill_ws_info
#ifdef __cplusplus
DILL_ALIAS_(ws_info);
#else
#define ws_info dill_ws_info
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- WebSocket: one message to many ------------------------------------------------------------- */

/* Sends one message to each of the `n` WebSockets in `s`, without waiting for any. `flags` is as for `ws_send`,
   but without WS_MORE. What a socket does not take at once stays queued behind it, all of them sharing one copy; a
   socket that has more than `max_backlog` bytes queued already gets nothing of the message. Returns how many have
   taken it. Other coroutines run meanwhile if it takes longer than a time slice; the message is for those who had the
   handles when the call began.
   `errors`, unless it is NULL, has room for `n` results: 0, EAGAIN (too much is queued), EBADF, ECANCELED (the caller was
   cancelled before that one had its turn), ECONNRESET, ENOMEM, ENOTSUP (no WebSocket, or one on a bytestream that is not
   the library's), EPIPE (after `ws_done`). What is sent later goes behind the queue.

   Errors: ECANCELED (while a long message is made ready), EINVAL (NULL, a negative number, unknown flags), ENOMEM.

   Required: There are `n` handles and room for `n` results, and the buffer has `len` bytes, or the pointers are NULL. */
DILL_EXPORT int dill_ws_broadcast(const int *s, int n, int flags, const void *buf, size_t len,
    size_t max_backlog, int *errors);

#ifndef DILL_DISABLE_RAW_NAMES
#ifdef __cplusplus
DILL_ALIAS_(ws_broadcast);
#else
#define ws_broadcast dill_ws_broadcast
#endif
#endif

#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- What has gone wrong ------------------------------------------------------------------------ */

/* Says in one line why the last call of this thread on sockets has failed: what rule was broken and by
   whom, what the server answered. To be read before the next call that waits, and valid until the next
   call of `ws_errmsg`. Never NULL. */
DILL_EXPORT const char *dill_ws_errmsg(void);

/* The HTTP status of the answer because of which the last call of this thread on sockets has failed, else 0. */
DILL_EXPORT int dill_ws_errstatus(void);

/* Stores a field of that answer as a string, as `ws_field` does, and returns its length.

   Errors: EINVAL (NULL), EMSGSIZE (it does not fit, with its NUL), ENOENT (no such field, or no answer).

   Required: The name is a string or NULL; there is room for `len` bytes, or the pointer is NULL. */
DILL_EXPORT ssize_t dill_ws_errfield(const char *name, char *buf, size_t len);

#ifndef DILL_DISABLE_RAW_NAMES
#ifdef __cplusplus
DILL_ALIAS_(ws_errmsg);
DILL_ALIAS_(ws_errstatus);
DILL_ALIAS_(ws_errfield);
#else
#define ws_errmsg dill_ws_errmsg
#define ws_errstatus dill_ws_errstatus
#define ws_errfield dill_ws_errfield
#endif
#endif

#endif

#pragma GCC diagnostic pop

#ifdef __cplusplus
}
#endif

#endif
