/* One message to many: everybody who connects hears a number, which grows all the time. Who does not keep up hears
   fewer of them, and who does not read at all for a while is sent away. Nobody waits for anybody.

   usage: ticker PORT [INTERVAL]

   INTERVAL  milliseconds between two numbers; 100 if not given. */

#include "common.h"

#include <libdillext.h>

enum { MOST = 10000, BACKLOG = 16384, PATIENCE = 50 }; /* clients, bytes, numbers that one may miss in a row */

static int clients[MOST], missed[MOST], errors[MOST], count;

/* Until the client leaves, or is sent away. */
static coroutine void serve(int tcp, void *context) {
    (void)context;
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_DEFLATE, .max_message = 4096};
    int ws = ws_attach_server_opts(tcp, &opts, now() + 10000);
    if (ws < 0)
        return;
    if (count < MOST) {
        missed[count] = 0;
        clients[count++] = ws;
        while (ws_recv(ws, NULL, NULL, 4096, -1) >= 0)
            continue;
    }
    for (int i = 0; i < count; i++)
        if (clients[i] == ws)
            clients[i] = -1; /* tick() closes the gap: it may just be sending. */
    ws_close(ws, 1001, NULL, 0, now() + 1000);
}

static coroutine void tick(int interval) {
    char text[32];
    for (long number = 1; msleep(now() + interval) == 0; number++) {
        int len = snprintf(text, sizeof text, "%ld", number), told = count;
        ws_broadcast(clients, told, WS_TEXT, text, (size_t)len, BACKLOG, errors);
        for (int i = told - 1; i >= 0; i--) {
            missed[i] = errors[i] == EAGAIN ? missed[i] + 1 : 0;
            if (clients[i] >= 0 && missed[i] <= PATIENCE)
                continue;
            if (clients[i] >= 0)
                hclose(clients[i]); /* Its coroutine gets EBADF. */
            clients[i] = clients[--count];
            missed[i] = missed[count];
        }
    }
}

int main(int argc, char *argv[]) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s PORT [INTERVAL]\n", argv[0]);
        return 2;
    }
    int ticking = go(tick(argc == 3 ? atoi(argv[2]) : 100));
    if (ticking < 0)
        fail("start");
    serve_clients(listen_on(argv[1]), serve, NULL);
    hclose(ticking);
    return 0;
}
