/* The server for what the echo server of the examples does not do: closing first, and telling
   what a client's close frame said. See converse() for the paths. */

#include "serve.h"

static coroutine void serve(int tcp) {
    char path[64], buf[512];
    int ws = ws_attach_server(tcp, WS_TEXT, path, sizeof path, NULL, 0, now() + STEP);
    if (ws < 0)
        perror("handshake");
    else
        converse(ws, path, buf, sizeof buf);
}

int main(void) {
    int listener = listen_anywhere();
    int clients = bundle();
    if (clients < 0 || bundle_go(clients, accept_all(listener, clients, serve)) < 0)
        fail("start");
    run_until_stopped(clients);
    hclose(listener);
    return 0;
}
