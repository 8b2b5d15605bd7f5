/* A SOCKS5 proxy.

   usage: socks5_proxy PORT [USER PASSWORD]

   Try it with `curl --socks5-hostname 127.0.0.1:PORT http://example.com/`. */

#include "common.h"

#include <string.h>

/* How long a client may take to say what it wants, and a server to be reached, in milliseconds. */
#define STEP 30000

/* How much may be on its way through the proxy in each direction, in bytes. */
#define ROOM 8192

/* ---- Passing bytes on ---- */

/* One direction of a connection. A bytestream gives exactly as many bytes as one asks for, and nobody
   knows how many will come: so they are taken one at a time, into a circle, and a second coroutine
   sends whatever has gathered there. It runs when the first one has to wait, which is when nothing
   more has arrived. */
struct direction {
    int from, to;
    enum { OPEN, ENDED, BROKEN } state;
    size_t first, count;
    /* Bells, each with the end to listen at and the end to ring at. */
    int filled[2], emptied[2];
    char bytes[ROOM];
};

/* Wakes the coroutine that listens to a bell. If none does, none needs to be woken. */
static void ring(const int bell[2]) {
    chsend(bell[1], NULL, 0, 0);
}

static coroutine void fill(struct direction *way) {
    while (way->state == OPEN) {
        while (way->count == ROOM)
            if (chrecv(way->emptied[0], NULL, 0, -1) < 0)
                return;
        char byte;
        if (brecv(way->from, &byte, 1, -1) == 0)
            way->bytes[(way->first + way->count++) % ROOM] = byte;
        else
            way->state = errno == EPIPE ? ENDED : BROKEN;
        ring(way->filled);
    }
}

/* Sends what there is until the end, and then the end. */
static int drain(struct direction *way) {
    while (1) {
        while (way->count == 0) {
            if (way->state == ENDED)
                return tcp_done(way->to, -1);
            if (way->state == BROKEN || chrecv(way->filled[0], NULL, 0, -1) < 0)
                return -1;
        }
        size_t len = way->count < ROOM - way->first ? way->count : ROOM - way->first;
        if (bsend(way->to, way->bytes + way->first, len, -1) < 0)
            return -1;
        way->first = (way->first + len) % ROOM;
        way->count -= len;
        ring(way->emptied);
    }
}

/* Passes on one direction and reports how it ended. */
static coroutine void pass(struct direction *way, int report) {
    int rc = -1;
    if (chmake(way->filled) == 0) {
        if (chmake(way->emptied) == 0) {
            int filling = go(fill(way));
            if (filling >= 0) {
                rc = drain(way);
                hclose(filling);
            }
            hclose(way->emptied[0]);
            hclose(way->emptied[1]);
        }
        hclose(way->filled[0]);
        hclose(way->filled[1]);
    }
    chsend(report, &rc, sizeof rc, -1);
}

/* Passes on both directions; each may end before the other. Returns 0 if both came to their end. */
static int relay(int a, int b) {
    struct direction there = {.from = a, .to = b}, back = {.from = b, .to = a};
    int reports[2], rc = -1;
    if (chmake(reports) < 0)
        return -1;
    int directions = bundle();
    if (directions >= 0 && bundle_go(directions, pass(&there, reports[1])) == 0 &&
        bundle_go(directions, pass(&back, reports[1])) == 0) {
        rc = 0;
        for (int ended = 0; ended < 2 && rc == 0; ended++)
            if (chrecv(reports[0], &rc, sizeof rc, -1) < 0)
                rc = -1;
    }
    if (directions >= 0)
        hclose(directions);
    hclose(reports[0]);
    hclose(reports[1]);
    return rc;
}

/* ---- SOCKS5 ---- */

static const char *user, *password;

static int may_enter(const char *name, const char *secret) {
    return strcmp(name, user) == 0 && strcmp(secret, password) == 0;
}

/* What the client is told of an errno. */
static int reply_of(int err) {
    switch (err) {
    case ECONNREFUSED:
        return SOCKS5_CONNECTION_REFUSED;
    case ENETUNREACH:
        return SOCKS5_NETWORK_UNREACHABLE;
    case EADDRNOTAVAIL: /* The name has no address. */
    case EHOSTUNREACH:
    case ETIMEDOUT:
        return SOCKS5_HOST_UNREACHABLE;
    default:
        return SOCKS5_GENERAL_FAILURE;
    }
}

/* Lets the client in and makes the connection that it asks for; -1 if there is none. */
static int connect_for(int client) {
    int64_t deadline = now() + STEP;
    if (socks5_proxy_auth(client, user ? may_enter : NULL, deadline) < 0)
        return -1;
    struct ipaddr nowhere, addr;
    if (ipaddr_local(&nowhere, NULL, 0, IPADDR_IPV4) < 0)
        return -1;
    int command = socks5_proxy_recvcommand(client, &addr, deadline);
    if (command < 0) {
        if (errno == EADDRNOTAVAIL)
            socks5_proxy_sendreply(client, SOCKS5_HOST_UNREACHABLE, &nowhere, deadline);
        return -1;
    }
    if (command != SOCKS5_CONNECT) {
        socks5_proxy_sendreply(client, SOCKS5_COMMAND_NOT_SUPPORTED, &nowhere, deadline);
        return -1;
    }
    int server = tcp_connect(&addr, deadline);
    if (server < 0) {
        socks5_proxy_sendreply(client, reply_of(errno), &nowhere, deadline);
        return -1;
    }
    /* Clients of CONNECT have no use for the address that the proxy connects from. */
    if (socks5_proxy_sendreply(client, SOCKS5_SUCCESS, &nowhere, deadline) < 0) {
        hclose(server);
        return -1;
    }
    return server;
}


static coroutine void serve(int client, void *context) {
    (void)context;
    int server = connect_for(client);
    if (server < 0) {
        tcp_close(client, now() + STEP); /* So that it reads the answer first. */
    } else if (relay(client, server) == 0) {
        tcp_close(client, now() + STEP);
        tcp_close(server, now() + STEP);
    } else { /* One of them was reset: so is the other. */
        hclose(client);
        hclose(server);
    }
}

int main(int argc, char *argv[]) {
    if (argc != 2 && argc != 4) {
        fprintf(stderr, "usage: %s PORT [USER PASSWORD]\n", argv[0]);
        return 2;
    }
    if (argc == 4) {
        user = argv[2];
        password = argv[3];
    }
    serve_clients(listen_on(argv[1]), serve, NULL);
    return 0;
}
