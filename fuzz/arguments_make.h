/* A handle of each kind for arguments.c, made when it is wanted. */

#ifndef ARGUMENTS_MAKE_H
#define ARGUMENTS_MAKE_H

#include <libdillext.h>
#include <libdillimpl.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "errno_name.h"
#include "errors.h" /* made from the manual: struct { function, names } manual_errors[] */

static uint64_t seed, state;
static const char *cert, *key;

static uint32_t any(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % below);
}

static int is_documented(const char *function, int error) {
    char name[32], whole[64];
    /* What open() says of a file is passed on: a socket's, a path with a file in place of a directory, a long one. */
    if (strstr(function, "_opts") && (error == ENXIO || error == ENOTDIR || error == ENAMETOOLONG)) return 1;
    snprintf(name, sizeof(name), " %s ", errno_name(error));
    snprintf(whole, sizeof(whole), "dill_%s", function);
    for (size_t i = 0; i != sizeof(manual_errors) / sizeof(*manual_errors); ++i)
        if (strcmp(manual_errors[i].function, function) == 0 || strcmp(manual_errors[i].function, whole) == 0) return strstr(manual_errors[i].names, name) != NULL;
    return 0;
}

/* --- Sockets of a program's own, which say one thing and do another --- */

/* What it has failed with last goes up through the library. */
static int own_error;

static int any_error(void) {
    static const int errors[] = {EPIPE, ECONNRESET, ETIMEDOUT, ECANCELED, EBUSY, EMSGSIZE, EINVAL, EBADF, ENOTSUP, ENOMEM, EPROTO};
    errno = own_error = errors[any(sizeof(errors) / sizeof(*errors))];
    return -1;
}
/* The library hands on what it was given. */
enum { LONGEST = 1 << 20, ELEMENTS_AT_MOST = 100 };

static int own_send(const struct iolist *first) {
    volatile char sum = 0;
    for (int i = 0; first && i != ELEMENTS_AT_MOST; ++i, first = first->iol_next)
        for (size_t at = 0; first->iol_base && first->iol_len < LONGEST && at != first->iol_len; ++at)
            sum = (char)(sum ^ ((const char *)first->iol_base)[at]);
    if (any(3) == 0) yield();
    return any(4) ? 0 : any_error();
}
static ssize_t own_receive(const struct iolist *first) {
    size_t size = 0;
    for (int i = 0; first && first->iol_len < LONGEST && i != ELEMENTS_AT_MOST; ++i, first = first->iol_next) {
        size += first->iol_len;
        for (size_t at = 0; first->iol_base && at != first->iol_len; ++at)
            ((char *)first->iol_base)[at] = any(2) ? (char)any(256) : "\r\n\x81\x05 :"[any(6)];
    }
    if (any(3) == 0) yield();
    return any(4) ? (ssize_t)size : any_error();
}
static int own_bsendl(struct bsock_vfs *v, struct iolist *first, struct iolist *last, int64_t deadline) {
    (void)v, (void)last, (void)deadline;
    return own_send(first);
}
static int own_brecvl(struct bsock_vfs *v, struct iolist *first, struct iolist *last, int64_t deadline) {
    (void)v, (void)last, (void)deadline;
    return own_receive(first) < 0 ? -1 : 0;
}
static int own_msendl(struct msock_vfs *v, struct iolist *first, struct iolist *last, int64_t deadline) {
    (void)v, (void)last, (void)deadline;
    return own_send(first);
}
static ssize_t own_mrecvl(struct msock_vfs *v, struct iolist *first, struct iolist *last, int64_t deadline) {
    (void)v, (void)last, (void)deadline;
    ssize_t size = own_receive(first);
    return size < 0 || any(3) ? size : any(2) ? SSIZE_MAX : (ssize_t)any(5);
}
static struct bsock_vfs own_bytes = {own_bsendl, own_brecvl};
static struct msock_vfs own_messages = {own_msendl, own_mrecvl};

static void *any_query(struct hvfs *vfs, const void *type) {
    (void)vfs, (void)type;
    errno = ENOTSUP;
    return NULL;
}
static void *bytes_query(struct hvfs *vfs, const void *type) { return type == bsock_type ? &own_bytes : any_query(vfs, type); }
static void *messages_query(struct hvfs *vfs, const void *type) { return type == msock_type ? &own_messages : any_query(vfs, type); }
static void any_close(struct hvfs *vfs) { (void)vfs; }
static struct hvfs bytes_vfs = {bytes_query, any_close}, messages_vfs = {messages_query, any_close};

/* --- Kinds --- */

enum kind { TCP, IPC, TLS, PREFIX, SUFFIX, TERM, HTTP, WS, WS_OPTIONS, REQUEST, UDP, TCP_LISTENER, IPC_LISTENER, CHANNEL, BUNDLE, OWN_BYTES,
            OWN_MESSAGES, KINDS };

/* What the names of the functions for it begin with; "" for those that are tried on all. */
static const char *const prefixes[KINDS] = {"tcp_ b", "ipc_ b", "tls_ b", "prefix_ m", "suffix_ m", "term_ m", "http_", "ws_ m", "ws_ m", "ws_",
                                            "udp_ m", "tcp_a", "ipc_a", "ch", "bundle_", "b ws_ http_ suffix_ prefix_ tls_ socks5_", "m term_"};
static struct {
    int h, peer;
} ends[KINDS];

static int64_t soon(void) { return now() + 1000; }

coroutine static void serve_tls(int *s) { *s = tls_attach_server(*s, cert, key, soon()); }
coroutine static void serve_ws(int *s) { *s = ws_attach_server_opts(*s, NULL, soon()); }

/* A pair of bytestreams, of several kinds. */
static void make_streams(int s[2]) {
    if (any(4) == 0) {
        s[0] = hmake(&bytes_vfs);
        s[1] = -1;
    } else if (any(2)) {
        ipc_pair(s);
    } else {
        struct ipaddr addr;
        ipaddr_local(&addr, "127.0.0.1", 0, 0);
        int listener = tcp_listen(&addr, 1);
        s[0] = tcp_connect(&addr, soon());
        s[1] = tcp_accept(listener, NULL, soon());
        hclose(listener);
    }
}

static void send_noise(int s) {
    char noise[300];
    static const char *const texts[] = {"HTTP/1.1 101 Switching\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x81\x05hello", "\x88\x02\x03\xe8", "\x05\x00",
                                        "\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50", "name: value\r\n\r\n", "\x00\x03""abcend"};
    if (s < 0) return;
    if (any(2)) {
        const char *text = texts[any(8)];
        bsend(s, text, strlen(text + 1) + 1, 0);
    } else if (any(2)) {
        size_t len = any(sizeof(noise));
        for (size_t i = 0; i != len; ++i) noise[i] = (char)any(256);
        bsend(s, noise, len, 0);
    }
}

static void make_options(int s[2]) {
    struct ws_deflate deflate = {.size = sizeof(deflate), .flags = (int)any(4)};
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_DEFLATE | WS_KEEP_HEAD, .deflate = &deflate};
    ipc_pair(s);
    int b = bundle(), rc = bundle_go(b, serve_ws(&s[1]));
    if (rc == 0) s[0] = ws_attach_client_opts(s[0], "/", "localhost", &opts, soon());
    bundle_wait(b, soon());
    hclose(b);
}

static void make_tls(int s[2]) {
    ipc_pair(s);
    int b = bundle(), rc = bundle_go(b, serve_tls(&s[1]));
    if (rc == 0) s[0] = tls_attach_client(s[0], soon());
    bundle_wait(b, soon());
    hclose(b);
}

static void make_request(int s[2]) {
    static const char *const requests[] = {"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", "POST /x HTTP/1.0\r\nContent-Length: 5\r\n\r\nabcde",
        "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: a\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"};
    const char *request = requests[any(3)];
    ipc_pair(s);
    bsend(s[1], request, strlen(request), soon());
    s[0] = ws_recvrequest(s[0], soon());
}

static void make_kind(enum kind kind) {
    static int serial;
    int s[2] = {-1, -1}, flags = WS_NOHTTP | (int)any(2);
    struct ipaddr addr;
    char path[64];
    if (kind < UDP && kind != WS_OPTIONS && kind != REQUEST && kind != TLS) {
        make_streams(s);
        if (any(2)) send_noise(s[1]);
    }
    switch (kind) {
    case PREFIX: s[0] = prefix_attach(s[0], 1 + any(10), (int)any(2)); break;
    case SUFFIX: s[0] = suffix_attach(s[0], "\r\n", 2); break;
    case TERM:
        if (any(3) == 0) {
            hclose(s[0]);
            s[0] = hmake(&messages_vfs);
        } else {
            s[0] = prefix_attach(s[0], 2, 0);
        }
        s[0] = term_attach(s[0], "end", any(4));
        break;
    case HTTP: s[0] = http_attach(s[0]); break;
    case WS: s[0] = any(2) ? ws_attach_client(s[0], flags, NULL, NULL, -1) : ws_attach_server(s[0], flags, NULL, 0, NULL, 0, -1); break;
    case WS_OPTIONS: make_options(s); break;
    case TLS: make_tls(s); break;
    case REQUEST: make_request(s); break;
    case UDP:
        ipaddr_local(&addr, "127.0.0.1", 0, 0);
        s[0] = udp_open(&addr, NULL);
        s[1] = udp_open(NULL, &addr);
        udp_send(s[1], NULL, "datagram", any(9));
        break;
    case TCP_LISTENER:
        ipaddr_local(&addr, "127.0.0.1", 0, 0);
        s[0] = tcp_listen(&addr, 3);
        s[1] = tcp_connect(&addr, soon());
        break;
    case IPC_LISTENER:
        snprintf(path, sizeof(path), "socket.%d.%d", getpid(), serial++);
        s[0] = ipc_listen(path, 3);
        s[1] = ipc_connect(path, soon());
        unlink(path);
        break;
    case CHANNEL: chmake(s); break;
    case BUNDLE: s[0] = bundle(); break;
    case OWN_BYTES: s[0] = hmake(&bytes_vfs); break;
    case OWN_MESSAGES: s[0] = hmake(&messages_vfs); break;
    default: break;
    }
    ends[kind].h = s[0];
    ends[kind].peer = s[1];
}

/* The number of a handle that was closed just now, and is not taken again soon. */
static int stale_handle(void) {
    int h = bundle();
    hclose(h);
    return h;
}

static int is_alive(int h) { return hquery(h, NULL) || errno != EBADF; }

/* A handle of any kind, of the one that the function is for as a rule. */
static int any_handle(const char *function) {
    static int is_first = 1;
    if (is_first)
        for (int i = 0; i != KINDS; ++i) ends[i].h = ends[i].peer = -1;
    is_first = 0;
    enum kind kind = any(KINDS);
    for (int tries = 0; tries != 40 && *function; ++tries) {
        size_t len = strcspn(function, "_");
        char prefix[32];
        snprintf(prefix, sizeof(prefix), "%.*s", (int)len, function);
        if (strstr(prefixes[kind], prefix) || (!strchr(function, '_') && strchr(prefixes[kind], function[0])) || any(10) == 0) break;
        kind = any(KINDS);
    }
    if (!is_alive(ends[kind].h) || any(30) == 0) {
        hclose(ends[kind].h);
        hclose(ends[kind].peer);
        make_kind(kind);
        if (!is_alive(ends[kind].h)) {
            perror("a handle cannot be made");
            abort();
        }
    } else if (any(3) == 0) {
        send_noise(ends[kind].peer);
    }
    return ends[kind].h;
}

#endif
