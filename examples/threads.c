/* One thread for each core: each has its own listener at the same port, its own coroutines, its own WebSockets, and
   needs no locks. A client hears which of them it has got.

   usage: threads PORT [COUNT]

   COUNT  how many; as many as there are cores if not given. */

#include "common.h"

#include <libdillext.h>
#include <pthread.h>
#include <sys/eventfd.h>

struct worker {
    pthread_t thread;
    int number, port;
    int stop; /* An eventfd: another thread wakes this one by it. */
};

/* All listen. */
static pthread_barrier_t all_listen;

static int listen_at(int port) {
    struct tcp_listen_opts opts = {.size = sizeof opts, .flags = TCP_REUSEPORT};
    struct ipaddr addr;
    if (ipaddr_local(&addr, "127.0.0.1", port, IPADDR_IPV4) < 0)
        fail("address");
    int listener = tcp_listen_opts(&addr, &opts);
    if (listener < 0)
        fail("listen");
    if (port == 0)
        listening_port = ipaddr_port(&addr);
    return listener;
}

static coroutine void serve(int tcp, void *context) {
    struct worker *worker = context;
    char text[32];
    int ws = ws_attach_server_opts(tcp, NULL, now() + 10000);
    if (ws < 0)
        return;
    int len = snprintf(text, sizeof text, "thread %d", worker->number);
    if (ws_send(ws, WS_TEXT, text, (size_t)len, now() + 10000) == 0)
        while (ws_recv(ws, NULL, NULL, 65536, -1) >= 0)
            continue;
    ws_close(ws, 1000, NULL, 0, now() + 10000);
}

/* A handle means nothing in another thread: each makes its own. */
static void *work(void *argument) {
    struct worker *worker = argument;
    int listener = listen_at(worker->port), clients = bundle();
    pthread_barrier_wait(&all_listen);
    if (clients < 0 || bundle_go(clients, accept_clients(listener, clients, serve, worker)) < 0)
        fail("start");
    fdin(worker->stop, -1);
    hclose(clients);
    hclose(listener);
    fdclean(worker->stop);
    return NULL;
}

int main(int argc, char *argv[]) {
    int count = argc > 2 ? atoi(argv[2]) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    struct worker *workers = calloc((size_t)count, sizeof *workers);
    if (argc < 2 || argc > 3 || count < 1 || !workers) {
        fprintf(stderr, "usage: %s PORT [COUNT]\n", argv[0]);
        return 2;
    }
    stop_on_signals();
    pthread_barrier_init(&all_listen, NULL, (unsigned)count + 1);
    listening_port = atoi(argv[1]);
    int first = listen_at(listening_port); /* Chooses the port; the others join it. */
    for (int i = 0; i < count; i++) {
        workers[i] = (struct worker){.number = i, .port = listening_port, .stop = eventfd(0, EFD_CLOEXEC)};
        if (workers[i].stop < 0 || pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            fail("thread");
    }
    pthread_barrier_wait(&all_listen);
    hclose(first);
    printf("listening on 127.0.0.1:%d\n", workers[0].port);
    fflush(stdout);
    fdin(stop_pipe[0], -1);
    for (int i = 0; i < count; i++)
        eventfd_write(workers[i].stop, 1);
    for (int i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        close(workers[i].stop);
    }
    free(workers);
    puts("stopped");
    return 0;
}
