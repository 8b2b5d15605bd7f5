/* A WebSocket echo server: every message goes back as it came, text as text and binary as binary.

   usage: echo_server PORT [MAX]

   PORT  on 127.0.0.1; with 0 the kernel chooses. The address is printed once clients may connect.
   MAX   the longest message accepted, in bytes; 16 MiB if not given.

   It serves until SIGINT or SIGTERM. */

#include <libdill.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long a client may take over the opening or the closing handshake, in milliseconds. */
#define HANDSHAKE_TIME 10000

/* Echoes until something ends the conversation; returns the errno that tells what it was. */
static int echo(int ws, char *buf, size_t max) {
    while (1) {
        int flags;
        ssize_t len = ws_recv(ws, &flags, buf, max, -1);
        if (len < 0 || ws_send(ws, flags, buf, (size_t)len, -1) < 0)
            return errno;
    }
}

/* Closes the WebSocket with a code and a reason, then the TCP connection below it. */
static void finish(int ws, int code, const char *reason, size_t len) {
    int64_t deadline = now() + HANDSHAKE_TIME;
    int tcp = ws_detach(ws, code, reason, len, deadline);
    if (tcp >= 0)
        tcp_close(tcp, deadline);
}

/* One connection, from the opening handshake to the end. */
static coroutine void serve(int tcp, size_t max) {
    int ws = ws_attach_server(tcp, WS_TEXT, NULL, 0, NULL, 0, now() + HANDSHAKE_TIME);
    if (ws < 0) {
        perror("handshake"); /* The TCP connection is closed already. */
        return;
    }
    /* The pages of a large buffer cost nothing until a message fills them. */
    char *buf = malloc(max);
    if (!buf) {
        perror("buffer");
        hclose(ws);
        return;
    }
    int end = echo(ws, buf, max);
    free(buf);

    const char *too_long = "message too long", *stopping = "server stops";
    switch (end) {
    case EPIPE: { /* The client closed: answer with its own code and reason. */
        int code;
        char reason[125];
        ssize_t len = ws_status(ws, &code, reason, sizeof reason);
        if (len >= 0)
            finish(ws, code, reason, (size_t)len);
        else
            hclose(ws);
        break;
    }
    case EMSGSIZE:
        finish(ws, 1009, too_long, strlen(too_long));
        break;
    case ECANCELED: /* The server stops. This call may no longer wait, but it may still send. */
        ws_done(ws, 1001, stopping, strlen(stopping), 0);
        hclose(ws);
        break;
    default: /* The client broke the protocol (and was told so) or vanished. */
        hclose(ws);
    }
}

static coroutine void accept_clients(int listener, int clients, size_t max) {
    while (1) {
        int tcp = tcp_accept(listener, NULL, -1);
        if (tcp >= 0) {
            if (bundle_go(clients, serve(tcp, max)) < 0)
                hclose(tcp);
        } else if (errno == ECANCELED) {
            return;
        } else { /* Out of descriptors or memory: let some clients leave first. */
            perror("accept");
            msleep(now() + 100);
        }
    }
}

/* A signal handler can do next to nothing safely, but it can write into a pipe, and a coroutine
   can wait for a pipe. */
static int stop_pipe[2];

static void on_signal(int sig) {
    (void)sig;
    int saved = errno;
    ssize_t written = write(stop_pipe[1], "", 1);
    (void)written;
    errno = saved;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

int main(int argc, char *argv[]) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s PORT [MAX]\n", argv[0]);
        return 2;
    }
    long max = argc > 2 ? atol(argv[2]) : 16 * 1024 * 1024;
    if (max <= 0) {
        fprintf(stderr, "MAX must be at least 1\n");
        return 2;
    }

    struct sigaction action = {.sa_handler = on_signal};
    if (pipe(stop_pipe) < 0 || sigaction(SIGINT, &action, NULL) < 0 ||
        sigaction(SIGTERM, &action, NULL) < 0)
        fail("signals");

    struct ipaddr addr;
    if (ipaddr_local(&addr, "127.0.0.1", atoi(argv[1]), IPADDR_IPV4) < 0)
        fail("address");
    int listener = tcp_listen(&addr, 128);
    if (listener < 0)
        fail("listen");
    printf("listening on 127.0.0.1:%d\n", ipaddr_port(&addr));
    fflush(stdout);

    int clients = bundle();
    if (clients < 0 || bundle_go(clients, accept_clients(listener, clients, (size_t)max)) < 0)
        fail("start");
    fdin(stop_pipe[0], -1);
    hclose(clients); /* Cancels every coroutine and waits until it has cleaned up. */
    hclose(listener);
    puts("stopped");
    return 0;
}
