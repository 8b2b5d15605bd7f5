/* Our side of peers.py, with subprotocols and compression.

       program server          an echo on a port that it prints, and a line for each connection that has ended
       program client URL      a conversation, and a line about it */

#include <libdillext.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP 20000
#define LONGEST 100000

static const char *names[] = {"v1", "v2", NULL};

static coroutine void serve(int s) {
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_TEXT | WS_DEFLATE, .subprotocols = names};
    char *buf = malloc(LONGEST), name[16] = "";
    int ws = ws_attach_server_opts(s, &opts, now() + STEP), flags, status = -1, messages = 0;
    ssize_t len = -1;
    if (buf && ws >= 0 && ws_subprotocol(ws, name, sizeof name) >= 0)
        while ((len = ws_recv(ws, &flags, buf, LONGEST, now() + STEP)) >= 0)
            if (ws_send(ws, flags, buf, (size_t)len, now() + STEP) == 0) ++messages;
    if (ws >= 0) ws_status(ws, &status, NULL, 0);
    printf("%s %d %d %d\n", name, messages, status, ws < 0 ? -1 : ws_close(ws, 1000, NULL, 0, now() + STEP));
    fflush(stdout);
    free(buf);
}

static int run_server(void) {
    struct ipaddr addr;
    int s, listener, clients = bundle();
    if (ipaddr_local(&addr, "127.0.0.1", 0, 0) < 0 || (listener = tcp_listen(&addr, 10)) < 0) return 1;
    printf("%d\n", ipaddr_port(&addr));
    fflush(stdout);
    while ((s = tcp_accept(listener, NULL, -1)) >= 0)
        if (bundle_go(clients, serve(s)) < 0) hclose(s);
    return 1;
}

static int run_client(const char *url) {
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_TEXT | WS_DEFLATE, .subprotocols = names};
    char *sent = malloc(LONGEST), *back = malloc(LONGEST), name[16] = "";
    int ws = ws_connect(url, &opts, now() + STEP), messages = 0;
    if (!sent || !back || ws < 0) return printf("%s\n", ws_errmsg()), 1;
    ws_subprotocol(ws, name, sizeof name);
    for (size_t len = 0; len <= LONGEST; len = len * 10 + !len) {
        for (size_t i = 0; i != len; ++i) sent[i] = "{\"key\": 1234}, "[i % 15];
        if (ws_send(ws, len % 2 ? WS_TEXT : WS_BINARY, sent, len, now() + STEP) < 0) break;
        int flags;
        ssize_t got = ws_recv(ws, &flags, back, LONGEST, now() + STEP);
        if (got != (ssize_t)len || memcmp(sent, back, len)) break;
        ++messages;
    }
    printf("%s %d %d\n", name, messages, ws_close(ws, 1000, "bye", 3, now() + STEP));
    free(sent);
    free(back);
    return 0;
}

int main(int argc, char *argv[]) {
    return argc > 2 ? run_client(argv[2]) : run_server();
}
