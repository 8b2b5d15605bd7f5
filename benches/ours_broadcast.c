/* Our server for one message to many: what anybody says goes to all. With "deflate" it is compressed; with "loop" it
   is sent by a loop of ws_send. */
#include "ours.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 100000, LARGEST = 64 * 1024 };

static int members[MOST], count;
static size_t backlog;
static const char *how = "";

static int attach(int s)
{
    struct ws_deflate deflate = {.size = sizeof deflate, .threshold = 1};
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_DEFLATE, .deflate = &deflate};
    return *how == 'd' ? ws_attach_server_opts(s, &opts, -1) : ws_attach_server(s, WS_BINARY, NULL, 0, NULL, 0, -1);
}

static void send_all_members(int f, const char *buf, size_t len)
{
    if(*how == 'l') {
        for(int i = 0; i < count; i++)
            if(ws_send(members[i], f, buf, len, -1)) die("ws_send");
    } else if(ws_broadcast(members, count, f, buf, len, backlog, NULL) < 0) {
        die("ws_broadcast");
    }
}

static coroutine void serve(int s)
{
    char buf[LARGEST];
    int f;
    ssize_t n;
    s = attach(s);
    if(s < 0) return;
    if(count == MOST) die("too many");
    members[count++] = s;
    while((n = ws_recv(s, &f, buf, sizeof buf, -1)) >= 0) send_all_members(f, buf, (size_t)n);
    for(int i = 0; i < count; i++)
        if(members[i] == s) members[i--] = members[--count];
    hclose(s);
}

int main(int argc, char **argv)
{
    if(argc == 4) how = argv[3];
    if(argc != 3 && strcmp(how, "deflate") != 0 && strcmp(how, "loop") != 0) {
        fprintf(stderr, "usage: %s PORT BACKLOG [deflate | loop]\n", argv[0]);
        return 2;
    }
    backlog = (size_t)number(argv[2], 0, 1 << 30);
    int listener = our_listener(argv[1]);
    int clients = bundle();
    if(clients < 0) die("bundle");
    for(;;) {
        int s = tcp_accept(listener, NULL, -1);
        if(s < 0) die("tcp_accept");
        if(bundle_go(clients, serve(s)) < 0) die("bundle_go");
    }
}
