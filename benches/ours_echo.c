/* Our echo server: one coroutine per connection, in a plain blocking loop. With "deflate" it compresses; with
   "keepalive" it sends pings to those that say nothing. */
#include "ours.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A message up to this size goes on the coroutine's stack. */
enum { ON_STACK = 64 * 1024 };

static void echo(int s, char *buf, size_t size)
{
    ssize_t n;
    int f;
    while((n = ws_recv(s, &f, buf, size, -1)) >= 0) ws_send(s, f, buf, (size_t)n, -1);
    ws_done(s, 1000, NULL, 0, -1);
}

static bool deflate;
static int64_t keepalive;

static int attach(int s)
{
    struct ws_opts opts = {.size = sizeof opts, .flags = deflate ? WS_DEFLATE : 0, .ping_interval = keepalive};
    return deflate || keepalive ? ws_attach_server_opts(s, &opts, -1)
                                : ws_attach_server(s, WS_BINARY | WS_GATHER, NULL, 0, NULL, 0, -1);
}

static const char *certs[3];

static coroutine void serve(int s, size_t size)
{
    if(certs[0]) {
        struct tls_server_opts opts = {.size = sizeof opts, .certs = certs};
        s = tls_attach_server_opts(s, &opts, -1);
        if(s < 0) return;
    }
    s = attach(s);
    if(s < 0) return;
    if(size <= ON_STACK) {
        char buf[size];
        echo(s, buf, size);
    } else {
        char *buf = malloc(size);
        if(buf) echo(s, buf, size);
        free(buf);
    }
    hclose(s);
}

int main(int argc, char **argv)
{
    deflate = argc == 4 && strcmp(argv[3], "deflate") == 0;
    if(argc != 3 && argc != 5 && !deflate) {
        fprintf(stderr, "usage: %s PORT LARGEST-MESSAGE [deflate | keepalive MILLISECONDS | CERTIFICATE KEY]\n",
            argv[0]);
        return 2;
    }
    if(argc == 5 && strcmp(argv[3], "keepalive") == 0) keepalive = number(argv[4], 1, 1 << 30);
    else if(argc == 5) certs[0] = argv[3], certs[1] = argv[4];
    size_t size = (size_t)number(argv[2], 1, 1 << 26);
    int listener = our_listener(argv[1]);
    int clients = bundle();
    if(clients < 0) die("bundle");
    for(;;) {
        int s = tcp_accept(listener, NULL, -1);
        if(s < 0) die("tcp_accept");
        if(bundle_go(clients, serve(s, size)) < 0) die("bundle_go");
    }
}
