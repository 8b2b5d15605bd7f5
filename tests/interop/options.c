/* Our side of options.py: what is agreed on in the handshake, and what is refused.

       options server             a page, an echo for who has the cookie, on a port that it prints
       options client URL         says what it has got */

#include <libdillext.h>

#include <stdio.h>
#include <string.h>

#define STEP 20000

static coroutine void serve(int s) {
    const char *spoken[] = {"v2", "v1", NULL}, *headers[] = {"X-Ours: yes", NULL};
    const char *origins[] = {"https://example.org", NULL};
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_TEXT, .subprotocols = spoken, .headers = headers,
                           .origins = origins};
    char cookie[256], name[64], buf[1024];
    int flags, r;
    while ((r = ws_recvrequest(s, now() + STEP)) >= 0 && !ws_isupgrade(r))
        if ((s = ws_reply(r, 200, NULL, "page", 4, now() + STEP)) < 0) return;
    if (r < 0) return;
    if (ws_field(r, "Cookie", cookie, sizeof cookie) < 0 || !strstr(cookie, "id=7")) {
        if ((s = ws_reply(r, 401, headers, "who?", 4, now() + STEP)) >= 0) hclose(s);
        return;
    }
    int ws = ws_accept(r, &opts, now() + STEP);
    if (ws < 0 || ws_subprotocol(ws, name, sizeof name) < 0 || msend(ws, name, strlen(name), now() + STEP) < 0) return;
    ssize_t len;
    while ((len = ws_recv(ws, &flags, buf, sizeof buf, now() + STEP)) >= 0) ws_send(ws, flags, buf, (size_t)len, now() + STEP);
    ws_close(ws, 1000, NULL, 0, now() + STEP);
}

static int run_server(void) {
    struct ipaddr addr;
    int s, listener, clients = bundle();
    if (ipaddr_local(&addr, "127.0.0.1", 0, 0) < 0 || (listener = tcp_listen_opts(&addr, NULL)) < 0) return 1;
    printf("listening on 127.0.0.1:%d\n", ipaddr_port(&addr));
    fflush(stdout);
    while ((s = tcp_accept(listener, NULL, -1)) >= 0)
        if (bundle_go(clients, serve(s)) < 0) hclose(s);
    return 1;
}

static int run_client(const char *url) {
    const char *offered[] = {"v1", "v2", NULL}, *headers[] = {"Cookie: id=7", NULL};
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_TEXT | WS_KEEP_HEAD, .subprotocols = offered,
                           .headers = headers, .origin = "https://example.org", .redirects = 3};
    char name[64], field[64] = "", buf[64];
    int ws = ws_connect(url, &opts, now() + STEP);
    if (ws < 0) return printf("%d %s\n", ws_errstatus(), ws_errmsg()), 0;
    ws_subprotocol(ws, name, sizeof name);
    ws_field(ws, "X-Theirs", field, sizeof field);
    if (ws_ping(ws, "p", 1, now() + STEP) < 0 || msend(ws, "hello", 5, now() + STEP) < 0) return 1;
    ssize_t len = mrecv(ws, buf, sizeof buf, now() + STEP);
    printf("%s %s %.*s %d\n", name, field, len < 0 ? 0 : (int)len, buf, ws_close(ws, 1000, "bye", 3, now() + STEP));
    return 0;
}

int main(int argc, char *argv[]) {
    return argc > 2 ? run_client(argv[2]) : run_server();
}
