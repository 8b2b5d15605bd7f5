/* What the servers among the examples share: a listening socket, a coroutine for each client, and an
   graceful end on SIGINT or SIGTERM. */

#ifndef COMMON_H
#define COMMON_H

#include <libdill.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void fail(const char *what) {
    perror(what);
    exit(1);
}

/* The port that listen_on has listened on. */
static int listening_port;

/* Listens on 127.0.0.1 and prints the address; port "0" lets the kernel choose. */
static inline int listen_on(const char *port) {
    struct ipaddr addr;
    if (ipaddr_local(&addr, "127.0.0.1", atoi(port), IPADDR_IPV4) < 0)
        fail("address");
    int listener = tcp_listen(&addr, 128);
    if (listener < 0)
        fail("listen");
    listening_port = ipaddr_port(&addr);
    printf("listening on 127.0.0.1:%d\n", listening_port);
    fflush(stdout);
    return listener;
}

/* Talks with one client. The connection is its own: it closes it. When the server stops, calls that
   wait fail with ECANCELED. */
typedef void serve_function(int tcp, void *context);

static coroutine void accept_clients(int listener, int clients, serve_function *serve,
                                     void *context) {
    while (1) {
        int tcp = tcp_accept(listener, NULL, -1);
        if (tcp >= 0) {
            if (bundle_go(clients, serve(tcp, context)) < 0)
                hclose(tcp);
        } else if (errno == ECANCELED) {
            return;
        } else { /* Out of descriptors or memory: let some clients leave first. */
            perror("accept");
            if (msleep(now() + 100) < 0)
                return;
        }
    }
}

/* A signal handler can do next to nothing safely, but it can write into a pipe, and a coroutine can
   wait for a pipe. */
static int stop_pipe[2];

static void on_signal(int sig) {
    (void)sig;
    int saved = errno;
    ssize_t written = write(stop_pipe[1], "", 1);
    (void)written;
    errno = saved;
}

static inline void stop_on_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    if (pipe(stop_pipe) < 0 || sigaction(SIGINT, &action, NULL) < 0 ||
        sigaction(SIGTERM, &action, NULL) < 0)
        fail("signals");
}

/* Serves until a signal, then cancels every coroutine and waits until all have cleaned up. */
static inline void serve_clients(int listener, serve_function *serve, void *context) {
    stop_on_signals();
    int clients = bundle();
    if (clients < 0 || bundle_go(clients, accept_clients(listener, clients, serve, context)) < 0)
        fail("start");
    fdin(stop_pipe[0], -1);
    hclose(clients);
    hclose(listener);
    puts("stopped");
}

#endif
