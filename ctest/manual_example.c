/* The example of the WebSocket manual page, completed: talks to an echo server at HOST PORT. */

#include <libdill.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    struct ipaddr addr;
    if (argc != 3) {
        fprintf(stderr, "usage: manual_example HOST PORT\n");
        return 2;
    }
    if (ipaddr_remote(&addr, argv[1], atoi(argv[2]), 0, -1) != 0) {
        perror(argv[1]);
        return 1;
    }

    int s = tcp_connect(&addr, -1);
    s = ws_attach_client(s, "/", "", WS_TEXT, -1);
    ws_send(s, WS_TEXT, "ABC", 3, -1);
    char buf[256];
    ssize_t sz = ws_recv(s, NULL, buf, sizeof(buf), -1);
    s = ws_detach(s, -1);
    tcp_close(s, -1);

    if (sz < 0) return 1;
    printf("%.*s\n", (int)sz, buf);
    return 0;
}
