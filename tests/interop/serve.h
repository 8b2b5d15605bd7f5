/* What the servers of these tests share. */

#ifndef SERVE_H
#define SERVE_H

#include "peer.h"

#include <signal.h>
#include <unistd.h>

/* Listens on a port of 127.0.0.1 that the kernel chooses, and says so. */
static int listen_anywhere(void) {
    struct ipaddr addr;
    if (ipaddr_local(&addr, "127.0.0.1", 0, IPADDR_IPV4) < 0)
        fail("address");
    int listener = tcp_listen(&addr, 128);
    if (listener < 0)
        fail("listen");
    printf("listening on 127.0.0.1:%d\n", ipaddr_port(&addr));
    fflush(stdout);
    return listener;
}

/* Accepts connections and hands each to a coroutine of the bundle, until cancelled. */
static coroutine void accept_all(int listener, int clients, void (*serve)(int tcp)) {
    while (1) {
        int tcp = tcp_accept(listener, NULL, -1);
        if (tcp < 0 && errno == ECANCELED)
            return;
        if (tcp < 0 || bundle_go(clients, serve(tcp)) < 0)
            fail("accept");
    }
}

static int stop_pipe[2];

static void on_stop(int sig) {
    (void)sig;
    ssize_t written = write(stop_pipe[1], "", 1);
    (void)written;
}

/* Waits for SIGTERM, then cancels the coroutines of the bundle. */
static void run_until_stopped(int clients) {
    struct sigaction action = {.sa_handler = on_stop};
    if (pipe(stop_pipe) < 0 || sigaction(SIGTERM, &action, NULL) < 0)
        fail("signals");
    fdin(stop_pipe[0], -1);
    hclose(clients);
}

/* The close frame that any client sent last. */
static struct ending last_ending;

/* The conversations that the tests need, chosen by the path of the URL:

   /close  waits for a message "CODE REASON" and closes with them (0 stands for no code)
   /last   sends "CODE REASON" of the last close frame that came on another connection
   others  echo */
static void converse(int ws, const char *path, char *buf, size_t size) {
    int flags;
    ssize_t len;
    if (strcmp(path, "/last") == 0) {
        len = snprintf(buf, size, "%d %s", last_ending.code, last_ending.reason);
        if (ws_send(ws, WS_TEXT, buf, (size_t)len, now() + STEP) < 0)
            perror("/last");
        finish(ws, 1000, "");
        return;
    }
    while ((len = ws_recv(ws, &flags, buf, size - 1, -1)) >= 0) {
        int rc;
        if (strcmp(path, "/close") == 0) {
            char *reason;
            buf[len] = 0;
            long code = strtol(buf, &reason, 10);
            reason += *reason == ' ';
            rc = ws_done(ws, (int)code, reason, strlen(reason), now() + STEP);
        } else {
            rc = ws_send(ws, flags, buf, (size_t)len, now() + STEP);
        }
        if (rc < 0) {
            perror(path);
            hclose(ws);
            return;
        }
    }
    struct ending e;
    if (errno != EPIPE || read_ending(ws, &e) < 0) {
        hclose(ws);
        return;
    }
    last_ending = e;
    finish(ws, e.code, e.reason);
}

#endif
