/* What all C programs of these tests share. A program may use only some of it: hence inline. */

#ifndef PEER_H
#define PEER_H

#include <libdill.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every step of a conversation has to end within this time, in milliseconds. */
#define STEP 20000

#define MAX_REASON 125

static inline void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* A WebSocket to 127.0.0.1. */
static inline int connect_ws(int port, const char *resource) {
    struct ipaddr addr;
    char host[32];
    if (ipaddr_remote(&addr, "127.0.0.1", port, IPADDR_IPV4, now() + STEP) < 0)
        fail("address");
    int tcp = tcp_connect(&addr, now() + STEP);
    if (tcp < 0)
        fail("connect");
    snprintf(host, sizeof host, "127.0.0.1:%d", port);
    int ws = ws_attach_client(tcp, WS_TEXT, resource, host, now() + STEP);
    if (ws < 0)
        fail("handshake");
    return ws;
}

/* The close frame that the peer sent. */
struct ending {
    int code;
    char reason[MAX_REASON + 1];
};

static inline int read_ending(int ws, struct ending *e) {
    ssize_t len = ws_status(ws, &e->code, e->reason, MAX_REASON);
    if (len < 0)
        return -1;
    e->reason[len] = 0;
    return 0;
}

/* Closes the WebSocket and the TCP connection below it, both in the clean way. */
static inline int finish(int ws, int code, const char *reason) {
    int tcp = ws_detach(ws, code, reason, strlen(reason), now() + STEP);
    return tcp < 0 ? -1 : tcp_close(tcp, now() + STEP);
}

#endif
