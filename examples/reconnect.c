/* A client that stays connected: it prints what the server says, and when the connection is lost for a reason that
   may pass, it connects again, after a while that grows.

   usage: reconnect URL [SHORTEST]

   SHORTEST  the first wait, in milliseconds; 500 if not given.

   It ends with status 0 when the server closes with code 1000, and with 1 when trying again makes no sense. */

#include <errno.h>
#include <libdillext.h>
#include <stdio.h>
#include <stdlib.h>

#define LONGEST 30000 /* between two attempts, in ms */
#define STEP 10000

/* Whether what has failed may succeed later. */
static int is_transient(int error) {
    int status = ws_errstatus();
    switch (error) {
    case EADDRNOTAVAIL: /* the name server may be away */
    case ECONNREFUSED:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EPIPE:
    case ETIMEDOUT:
        return 1;
    case EPROTO: /* the server, or a proxy before it, said so */
        return status == 408 || status == 425 || status == 429 || status >= 500;
    default: /* EINVAL: the URL; EACCES: the certificate; ECANCELED: the program ends */
        return 0;
    }
}

/* Prints messages until the conversation ends; returns the errno that tells why. */
static int listen_to(int ws) {
    char text[65536];
    ssize_t len;
    while ((len = ws_recv(ws, NULL, text, sizeof text, -1)) >= 0) {
        printf("%.*s\n", (int)len, text);
        fflush(stdout);
    }
    return errno;
}

int main(int argc, char *argv[]) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s URL [SHORTEST]\n", argv[0]);
        return 2;
    }
    int64_t shortest = argc == 3 ? atoi(argv[2]) : 500, wait = shortest;
    /* A server that has vanished is noticed within half a minute, although nothing is sent to it. */
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_DEFLATE, .ping_interval = 20000, .ping_timeout = 10000};
    while (1) {
        int ws = ws_connect(argv[1], &opts, now() + STEP), code = 0;
        int error = ws < 0 ? errno : listen_to(ws);
        fprintf(stderr, "%s\n", ws_errmsg());
        if (ws >= 0) {
            wait = shortest; /* It was there. */
            ws_status(ws, &code, NULL, 0);
            ws_close(ws, code ? code : 1000, NULL, 0, now() + STEP);
            if (code == 1000)
                return 0;
        }
        if (ws < 0 && !is_transient(error))
            return 1;
        /* A part of the wait is chance: otherwise all clients of a server that was away come at once. */
        char later[16];
        if (ws < 0 && ws_errfield("Retry-After", later, sizeof later) > 0 && atoi(later) > 0)
            msleep(now() + 1000 * (int64_t)atoi(later));
        msleep(now() + wait / 2 + rand() % (wait / 2 + 1));
        wait = wait * 2 < LONGEST ? wait * 2 : LONGEST;
    }
}
