/* Our side of deflate.py: compression with every setting of ours.

       deflate server         says on each connection what was agreed on, and echoes; the path has the setting:
                              /FLAGS/WINDOW_BITS/PEER_WINDOW_BITS; on a port that it prints
       deflate client URL     a connection for each setting, of which it prints what both sides say was agreed on */

#include <libdillext.h>

#include <stdio.h>
#include <string.h>

enum { STEP = 60000, LONGEST = 100000 };

static char message[LONGEST], echo[LONGEST + 1];

static struct ws_deflate setting(int flags, int window_bits, int peer_window_bits) {
    return (struct ws_deflate){.size = sizeof(struct ws_deflate), .flags = flags, .window_bits = window_bits,
                               .peer_window_bits = peer_window_bits};
}

/* Our window and the peer's, and whether they are kept. */
static int agreed(int ws, char *text, size_t size) {
    struct ws_info info = {.size = sizeof info};
    if (ws_info(ws, &info) < 0)
        return -1;
    if (!info.deflate)
        return snprintf(text, size, "none");
    return snprintf(text, size, "%d %d %d %d", info.window_bits, info.peer_window_bits,
                    !!(info.deflate_flags & WS_DEFLATE_CONTEXT), !!(info.deflate_flags & WS_DEFLATE_PEER_CONTEXT));
}

static coroutine void serve(int s) {
    char path[64], text[64], buf[LONGEST];
    int flags, window_bits, peer_window_bits, request = ws_recvrequest(s, now() + STEP);
    if (request < 0 || ws_field(request, ":path", path, sizeof path) < 0 ||
        sscanf(path, "/%d/%d/%d", &flags, &window_bits, &peer_window_bits) != 3)
        return;
    struct ws_deflate deflate = setting(flags, window_bits, peer_window_bits);
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_TEXT | WS_DEFLATE, .deflate = &deflate};
    int ws = ws_accept(request, &opts, now() + STEP);
    if (ws < 0 || agreed(ws, text, sizeof text) < 0 || msend(ws, text, strlen(text), now() + STEP) < 0)
        return;
    ssize_t len;
    while ((len = ws_recv(ws, &flags, buf, sizeof buf, now() + STEP)) >= 0)
        if (ws_send(ws, flags, buf, (size_t)len, now() + STEP) < 0)
            break;
    ws_close(ws, 1000, NULL, 0, now() + STEP);
}

static int run_server(void) {
    struct ipaddr addr;
    int s, listener, clients = bundle();
    if (ipaddr_local(&addr, "127.0.0.1", 0, 0) < 0 || (listener = tcp_listen_opts(&addr, NULL)) < 0)
        return 1;
    printf("listening on 127.0.0.1:%d\n", ipaddr_port(&addr));
    fflush(stdout);
    while ((s = tcp_accept(listener, NULL, -1)) >= 0)
        if (bundle_go(clients, serve(s)) < 0)
            hclose(s);
    return 1;
}

/* Messages that have something in common, so that a window that is kept is used. */
static const char *converse(int ws) {
    static const size_t lengths[] = {0, 1, 500, 500, 20000, 127, LONGEST, 20000, 500};
    for (size_t i = 0; i != sizeof lengths / sizeof *lengths; i++) {
        int flags, type = i % 3 == 2 ? WS_BINARY : WS_TEXT;
        if (ws_send(ws, type, message, lengths[i], now() + STEP) < 0)
            return ws_errmsg();
        ssize_t len = ws_recv(ws, &flags, echo, sizeof echo, now() + STEP);
        if (len < 0)
            return ws_errmsg();
        if ((size_t)len != lengths[i] || flags != type || memcmp(echo, message, lengths[i]) != 0)
            return "an echo differs";
    }
    return ws_close(ws, 1000, NULL, 0, now() + STEP) < 0 ? ws_errmsg() : "good";
}

static int run_client(const char *url) {
    static const int bits[] = {0, 9, 12};
    for (int i = 0; i != 4 * 3 * 3; i++) {
        struct ws_deflate deflate = setting(i % 4, bits[i / 4 % 3], bits[i / 12]);
        struct ws_opts opts = {.size = sizeof opts, .flags = WS_TEXT | WS_DEFLATE, .deflate = &deflate, .proxy = ""};
        char ours[64], theirs[64];
        int ws = ws_connect(url, &opts, now() + STEP);
        ssize_t len = ws < 0 ? -1 : mrecv(ws, theirs, sizeof theirs, now() + STEP);
        if (len < 0 || agreed(ws, ours, sizeof ours) < 0)
            printf("%d %d %d: %s\n", deflate.flags, deflate.window_bits, deflate.peer_window_bits, ws_errmsg());
        else
            printf("%d %d %d: %s, %.*s: %s\n", deflate.flags, deflate.window_bits, deflate.peer_window_bits, ours, (int)len,
                   theirs, converse(ws));
    }
    return 0;
}

int main(int argc, char *argv[]) {
    uint32_t state = 1;
    for (int i = 0; i != LONGEST; i++) {
        state = state * 1664525 + 1013904223;
        message[i] = "{\"name\": \"value\", \"numbers\": [0, 1, 23456789]}, "[(i + (state >> 24) / 250) % 48];
    }
    return argc == 3 ? run_client(argv[2]) : run_server();
}
