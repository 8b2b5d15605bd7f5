/* A program with an event loop of its own, on poll: it obeys the standard input, and echoes WebSocket messages
   beside that.

   usage: poll_loop PORT

   On the standard input, "count" says how many clients there are. */

#include "common.h"

#include <libdillext.h>
#include <poll.h>
#include <string.h>

static int clients;

/* One client. */
static coroutine void serve(int tcp, void *context) {
    char text[4096];
    int flags;
    (void)context;
    int ws = ws_attach_server_opts(tcp, NULL, now() + 10000);
    if (ws < 0)
        return;
    clients++;
    ssize_t len;
    while ((len = ws_recv(ws, &flags, text, sizeof text, -1)) >= 0)
        if (ws_send(ws, flags, text, (size_t)len, now() + 10000) < 0)
            break;
    clients--;
    ws_close(ws, 1000, NULL, 0, now() + 10000);
}

/* A callback of the loop: it does not wait. */
static int obey(void) {
    char line[100];
    ssize_t len = read(STDIN_FILENO, line, sizeof line - 1);
    if (len <= 0)
        return 0;
    line[len] = 0;
    if (strcmp(line, "count\n") == 0)
        printf("%d\n", clients);
    fflush(stdout);
    return 1;
}

int main(int argc, char *argv[]) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    stop_on_signals();
    int listener = listen_on(argv[1]), all = bundle();
    if (all < 0 || bundle_go(all, accept_clients(listener, all, serve, NULL)) < 0)
        fail("start");

    struct pollfd fds[] = {{.fd = stop_pipe[0], .events = POLLIN},
                           {.fd = STDIN_FILENO, .events = POLLIN},
                           {.events = POLLIN}};
    while (!fds[0].revents) {
        int64_t next;
        fds[2].fd = dill_loop(&next); /* Last, since it sends what the others have left. */
        int64_t wait = next < 0 ? -1 : next > now() ? next - now() : 0;
        if (poll(fds, 3, wait > 1000 ? 1000 : (int)wait) < 0 && errno != EINTR)
            fail("poll");
        if (fds[1].revents && !obey())
            fds[1].fd = -1; /* Its end: poll skips it from now on. */
        dill_run();
    }
    hclose(all);
    hclose(listener);
    puts("stopped");
    return 0;
}
