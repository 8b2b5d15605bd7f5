/* One process accepts, others serve: what is handed over is the descriptor of a connection, in turn to each of two
   worker processes. In the same way a thread hands one to another thread, where a pipe that carries the number of
   the descriptor is enough. A client hears the process that serves it.

   usage: handover PORT */

#define _GNU_SOURCE
#include "common.h"

#include <libdillext.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum { WORKERS = 2 };

static coroutine void serve(int tcp) {
    char text[32];
    int ws = ws_attach_server_opts(tcp, NULL, now() + 10000);
    if (ws < 0)
        return;
    int len = snprintf(text, sizeof text, "process %d", (int)getpid());
    if (ws_send(ws, WS_TEXT, text, (size_t)len, now() + 10000) == 0)
        while (ws_recv(ws, NULL, NULL, 65536, -1) >= 0)
            continue;
    ws_close(ws, 1000, NULL, 0, now() + 10000);
}

/* Serves what comes, until the other process ends the connection to it. */
static void work(int from) {
    char byte;
    int clients = bundle();
    while (brecv(from, &byte, 1, -1) == 0) {
        int fd = ipc_recvfd(from, now() + 1000), tcp = fd < 0 ? -1 : tcp_fromfd(fd);
        if (tcp < 0 || bundle_go(clients, serve(tcp)) < 0)
            perror("handover");
    }
    hclose(clients);
    hclose(from);
    exit(0);
}

/* Accepts with the system's own call: a connection that is handed over never becomes a handle here. */
static coroutine void deal(int listener, const int *workers) {
    for (int next = 0; fdin(listener, -1) == 0; next = (next + 1) % WORKERS) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            continue;
        if (bsend(workers[next], "c", 1, now() + 1000) < 0 || ipc_sendfd(workers[next], fd, now() + 1000) < 0)
            perror("handover");
        close(fd); /* The worker has its own by now. */
    }
}

int main(int argc, char *argv[]) {
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof addr;
    int workers[WORKERS], pair[2];
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < WORKERS; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
            fail("pair");
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0) {
            for (int k = 0; k < i; k++)
                hclose(workers[k]); /* Their ends of the others. */
            close(pair[0]);
            signal(SIGINT, SIG_IGN);
            work(ipc_fromfd(pair[1]));
        }
        close(pair[1]);
        if ((workers[i] = ipc_fromfd(pair[0])) < 0)
            fail("pair");
    }
    stop_on_signals();
    addr.sin_port = htons((unsigned short)atoi(argv[1]));
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(listener, (struct sockaddr *)&addr, size) < 0 || listen(listener, 128) < 0 ||
        getsockname(listener, (struct sockaddr *)&addr, &size) < 0)
        fail("listen");
    int dealing = go(deal(listener, workers));
    if (dealing < 0)
        fail("start");
    printf("listening on 127.0.0.1:%d\n", ntohs(addr.sin_port));
    fflush(stdout);
    fdin(stop_pipe[0], -1);
    hclose(dealing);
    for (int i = 0; i < WORKERS; i++)
        hclose(workers[i]); /* The end of it tells the worker. */
    while (wait(NULL) > 0)
        continue;
    puts("stopped");
    return 0;
}
