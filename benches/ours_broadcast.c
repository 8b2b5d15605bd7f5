/* Our server for one message to many: what anybody says goes to all. */
#include "ours.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST = 100000, LARGEST = 64 * 1024 };

static int members[MOST], count;

static coroutine void serve(int s)
{
    char buf[LARGEST];
    int f;
    ssize_t n;
    s = ws_attach_server(s, WS_BINARY, NULL, 0, NULL, 0, -1);
    if(s < 0) return;
    if(count == MOST) die("too many");
    members[count++] = s;
    while((n = ws_recv(s, &f, buf, sizeof buf, -1)) >= 0)
        if(ws_broadcast(members, count, f, buf, (size_t)n, 1 << 20, NULL) != count) die("ws_broadcast");
    for(int i = 0; i < count; i++)
        if(members[i] == s) members[i--] = members[--count];
    hclose(s);
}

int main(int argc, char **argv)
{
    if(argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    int listener = our_listener(argv[1]);
    int clients = bundle();
    if(clients < 0) die("bundle");
    for(;;) {
        int s = tcp_accept(listener, NULL, -1);
        if(s < 0) die("tcp_accept");
        if(bundle_go(clients, serve(s)) < 0) die("bundle_go");
    }
}
