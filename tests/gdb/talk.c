/* A conversation over TCP that passes each of the library's probes. */

#include <libdillext.h>

#include <stdlib.h>

static coroutine void serve(int listener) {
    char buf[16];
    int s = ws_attach_server(tcp_accept(listener, NULL, -1), WS_TEXT, NULL, 0, NULL, 0, -1);
    if (s < 0 || mrecv(s, buf, sizeof buf, -1) != 5) abort();
    ws_close(s, 1001, NULL, 0, -1);
}

int main(void) {
    struct ipaddr addr;
    char buf[16];
    if (ipaddr_local(&addr, "127.0.0.1", 0, 0) < 0) return 1;
    int listener = tcp_listen(&addr, 1), server = go(serve(listener));
    int s = ws_attach_client(tcp_connect(&addr, -1), WS_TEXT, "/", "localhost", -1);
    if (s < 0 || msend(s, "hello", 5, -1) < 0 || mrecv(s, buf, sizeof buf, -1) != -1) return 1;
    ws_close(s, 1000, NULL, 0, -1);
    hclose(server);
    return hclose(listener);
}
