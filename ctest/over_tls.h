/* With -DOVER_TLS=1 the connected sockets that are made for tests are TLS connections, except bytestreams of the
   user's. A plain peer is one of OpenSSL's on its descriptor: recv, close, shutdown and ioctl of a program come
   here, for its symbols win over those of libc, and do what they say to what is inside of TLS. $CTEST_TLS is the
   highest version of the plain peer; with 1.3-rekey it changes its key before all that it sends. */

#ifndef OVER_TLS_H
#define OVER_TLS_H

#include <sys/socket.h>

#include "test.h"

#ifndef OVER_TLS
#define OVER_TLS 0
#endif

#if !OVER_TLS

/* Called for all connected sockets that are made for tests. */
static inline int secure_raw(int s, int fd) { return (void)fd, s; }
static inline void secure_pair(int s[2]) { (void)s; }
static inline ssize_t raw_send_some(int fd, const void *buf, size_t len, int flags) { return send(fd, buf, len, flags); }
static inline int raw_is_secure(int fd) { return (void)fd, 0; }
/* False: something that was sent without waiting has not left. */
static inline int raw_flush(int fd) { return (void)fd, 1; }
/* What lies on the wire, and what is in it: opened in place. */
static inline ssize_t raw_recv_wire(int fd, void *buf, size_t len, int flags) { return recv(fd, buf, len, flags); }
static inline size_t raw_open_wire(int fd, char *wire, size_t len) { return (void)fd, (void)wire, len; }

#else

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <libdill.h>

enum { TLS_PEERS = 1024 };

/* The TLS of a plain peer, and what was received in it and not taken. */
static struct tls_peer {
    SSL *ssl;
    char *plain;
    size_t len;
    int end; /* 0: open; 1: ended; -1: what comes is no TLS any more, and dropped */
} *tls_peers[TLS_PEERS];

static inline struct tls_peer *tls_peer_of(int fd) { return fd >= 0 && fd < TLS_PEERS ? tls_peers[fd] : NULL; }

static inline int raw_is_secure(int fd) { return tls_peer_of(fd) != NULL; }

static inline const char *tls_file(const char *name) {
    static char paths[2][512];
    static unsigned next;
    char *path = paths[next++ % 2];
    CHECK(getenv("CTEST_BIN"));
    snprintf(path, sizeof(paths[0]), "%s/%s", getenv("CTEST_BIN"), name);
    return path;
}

static inline SSL_CTX *tls_peer_context(void) {
    static SSL_CTX *context;
    if (context) return context;
    context = SSL_CTX_new(TLS_method());
    CHECK(context);
    CHECK_INT(SSL_CTX_use_certificate_file(context, tls_file("server.pem"), SSL_FILETYPE_PEM), 1);
    CHECK_INT(SSL_CTX_use_PrivateKey_file(context, tls_file("server.key"), SSL_FILETYPE_PEM), 1);
    /* What is sent is what the test sends. */
    SSL_CTX_set_num_tickets(context, 0);
    const char *version = getenv("CTEST_TLS");
    if (version && strcmp(version, "1.2") == 0) SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    return context;
}

/* Sends what OpenSSL wants to send. False: not all of it now. */
static inline int tls_peer_flush(int fd, struct tls_peer *peer, int flags) {
    static char piece[16384];
    BIO *out = SSL_get_wbio(peer->ssl);
    for (char *bytes; BIO_pending(out) > 0;) {
        ssize_t n = BIO_get_mem_data(out, &bytes);
        if (n > (ssize_t)sizeof(piece)) n = sizeof(piece);
        n = syscall(SYS_sendto, fd, bytes, n, flags | MSG_NOSIGNAL, NULL, 0);
        if (n < 0) return 0;
        CHECK_INT(BIO_read(out, piece, (int)n), n);
    }
    return 1;
}

static inline int raw_flush(int fd) {
    struct tls_peer *peer = tls_peer_of(fd);
    return !peer || tls_peer_flush(fd, peer, MSG_DONTWAIT);
}

/* Takes wire bytes in. */
static inline void tls_peer_take(int fd, struct tls_peer *peer, const void *wire, size_t len) {
    static char piece[16384];
    if (len) CHECK_INT(BIO_write(SSL_get_rbio(peer->ssl), wire, (int)len), len);
    for (;;) {
        /* What was said about another connection is not about this one. */
        ERR_clear_error();
        int n = SSL_read(peer->ssl, piece, sizeof(piece));
        if (n > 0) {
            peer->plain = (char *)realloc(peer->plain, peer->len + (size_t)n);
            memcpy(peer->plain + peer->len, piece, (size_t)n);
            peer->len += (size_t)n;
            continue;
        }
        switch (SSL_get_error(peer->ssl, n)) {
        case SSL_ERROR_WANT_READ: break;
        case SSL_ERROR_ZERO_RETURN: peer->end = 1; break;
        default: peer->end = -1;
        }
        (void)tls_peer_flush(fd, peer, 0);
        return;
    }
}

ssize_t recv(int fd, void *buf, size_t len, int flags) {
    static char wire[4096];
    struct tls_peer *peer = tls_peer_of(fd);
    if (!peer) return syscall(SYS_recvfrom, fd, buf, len, flags, NULL, NULL);
    while (peer->end != 1 && peer->len < (flags & MSG_WAITALL ? len : 1)) {
        ssize_t n = syscall(SYS_recvfrom, fd, wire, sizeof(wire), flags & MSG_DONTWAIT, NULL, NULL);
        if (n < 0 && peer->len == 0) return -1;
        /* A close without close_notify is an end here, too. */
        if (n == 0) peer->end = 1;
        if (n <= 0) break;
        if (!peer->end) tls_peer_take(fd, peer, wire, (size_t)n);
    }
    if (peer->len == 0) return 0;
    if (len > peer->len) len = peer->len;
    memcpy(buf, peer->plain, len);
    if (flags & MSG_PEEK) return (ssize_t)len;
    peer->len -= len;
    memmove(peer->plain, peer->plain + len, peer->len);
    return (ssize_t)len;
}

int ioctl(int fd, unsigned long request, ...) {
    static char wire[4096];
    struct tls_peer *peer = tls_peer_of(fd);
    va_list args;
    va_start(args, request);
    int *value = va_arg(args, int *);
    va_end(args);
    if (!peer) return (int)syscall(SYS_ioctl, fd, request, value);
    CHECK_INT(request, FIONREAD);
    for (ssize_t n; (n = syscall(SYS_recvfrom, fd, wire, sizeof(wire), MSG_DONTWAIT, NULL, NULL)) > 0;)
        tls_peer_take(fd, peer, wire, (size_t)n);
    *value = (int)peer->len;
    return 0;
}

static inline ssize_t raw_recv_wire(int fd, void *buf, size_t len, int flags) {
    return syscall(SYS_recvfrom, fd, buf, len, flags, NULL, NULL);
}

static inline size_t raw_open_wire(int fd, char *wire, size_t len) {
    struct tls_peer *peer = tls_peer_of(fd);
    if (!peer) return len;
    CHECK_INT(peer->len, 0);
    tls_peer_take(fd, peer, wire, len);
    len = peer->len;
    memcpy(wire, peer->plain, len);
    peer->len = 0;
    return len;
}

static inline ssize_t raw_send_some(int fd, const void *buf, size_t len, int flags) {
    struct tls_peer *peer = tls_peer_of(fd);
    if (!peer) return send(fd, buf, len, flags);
    if (!tls_peer_flush(fd, peer, flags)) return -1;
    const char *version = getenv("CTEST_TLS");
    if (len && version && strcmp(version, "1.3-rekey") == 0)
        CHECK_INT(SSL_key_update(peer->ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    if (len && SSL_write(peer->ssl, buf, (int)len) != (int)len) return errno = EPIPE, -1;
    return tls_peer_flush(fd, peer, flags) || errno == EAGAIN ? (ssize_t)len : -1;
}

int shutdown(int fd, int how) {
    struct tls_peer *peer = tls_peer_of(fd);
    if (peer) {
        SSL_shutdown(peer->ssl);
        (void)tls_peer_flush(fd, peer, MSG_DONTWAIT);
    }
    return (int)syscall(SYS_shutdown, fd, how);
}

static inline void tls_peer_drop(int fd) {
    struct tls_peer *peer = tls_peer_of(fd);
    if (!peer) return;
    SSL_free(peer->ssl);
    free(peer->plain);
    free(peer);
    tls_peers[fd] = NULL;
}

int close(int fd) {
    struct tls_peer *peer = tls_peer_of(fd);
    if (peer) {
        SSL_shutdown(peer->ssl);
        (void)tls_peer_flush(fd, peer, MSG_DONTWAIT);
        tls_peer_drop(fd);
    }
    return (int)syscall(SYS_close, fd);
}

/* What is put in the place of a TLS connection is none. */
int dup2(int from, int to) {
    tls_peer_drop(to);
    return (int)syscall(SYS_dup3, from, to, 0);
}

/* --- Handshakes --- */

static void *tls_peer_handshake(void *arg) {
    struct tls_peer *peer = (struct tls_peer *)arg;
    if (SSL_do_handshake(peer->ssl) == 1) return peer;
    ERR_print_errors_fp(stderr);
    return NULL;
}

/* TLS between a socket of ours and the descriptor of the plain peer: in its turn each is the server. */
static inline int secure_raw(int s, int fd) {
    static unsigned turn;
    struct tls_peer *peer = (struct tls_peer *)calloc(1, sizeof(*peer));
    int ours_is_client = turn++ % 2 == 0;
    void *done;
    pthread_t thread;
    CHECK(fd >= 0 && fd < TLS_PEERS);
    peer->ssl = SSL_new(tls_peer_context());
    CHECK_INT(SSL_set_fd(peer->ssl, fd), 1);
    if (ours_is_client) SSL_set_accept_state(peer->ssl);
    else SSL_set_connect_state(peer->ssl);
    CHECK_INT(pthread_create(&thread, NULL, tls_peer_handshake, peer), 0);
    s = ours_is_client ? tls_attach_client(s, now() + 10000)
                       : tls_attach_server(s, tls_file("server.pem"), tls_file("server.key"), now() + 10000);
    CHECK(s >= 0);
    CHECK_INT(pthread_join(thread, &done), 0);
    CHECK(done);
    SSL_set_bio(peer->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(peer->ssl), -1);
    tls_peers[fd] = peer;
    /* Tickets are out of the way. */
    int tickets;
    CHECK_INT(ioctl(fd, FIONREAD, &tickets), 0);
    return s;
}

coroutine static void tls_serve(int s, int *h) {
    *h = tls_attach_server(s, tls_file("server.pem"), tls_file("server.key"), now() + 10000);
}

static inline void secure_pair(int s[2]) {
    int server = -1, b = go(tls_serve(s[1], &server));
    CHECK(b >= 0);
    s[0] = tls_attach_client(s[0], now() + 10000);
    CHECK(s[0] >= 0);
    CHECK_INT(bundle_wait(b, now() + 10000), 0);
    CHECK_INT(hclose(b), 0);
    CHECK(server >= 0);
    s[1] = server;
}

#endif
#endif
