/* WebSocket: compressed messages in parts, and what happens without a coroutine. */

#include <libdillext.h>

#include "pairs.h"

enum { PART = 30000, PARTS = 5 };

static struct ws_deflate deflate = {sizeof(deflate), 1, 9, 9, 0, 0};

static struct ws_opts options(int flags) {
    struct ws_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.size = sizeof(opts);
    opts.flags = WS_TEXT | WS_NOHTTP | flags;
    return opts;
}

/* Sends a message in parts, and a whole one behind it. */
static void send_parts(int s) {
    static char part[PART];
    if (s < 0) return;
    memset(part, 'p', sizeof(part));
    int i = 0;
    while (i != PARTS && CALL(ws_send, s, WS_BINARY | (i + 1 < PARTS ? WS_MORE : 0), part, sizeof(part), deadline()) >= 0) ++i;
    /* Behind a part that has not left in time, this would be the next one. */
    if (i == PARTS) CALL(ws_send, s, WS_TEXT, "whole", 5, deadline());
    CALL(ws_close, s, 1000, NULL, 0, deadline());
}

static void receive_parts(int s) {
    static char place[7000];
    struct ws_info info = {.size = sizeof(info)};
    int flags = WS_MORE;
    if (s < 0) return;
    while (flags & WS_MORE) {
        ssize_t n = CALL(ws_recvsome, s, &flags, place, sizeof(place), deadline());
        if (n < 0) break;
        for (ssize_t i = 0; i != n; ++i) MUST(place[i] == (flags & WS_TEXT ? "whole"[i] : 'p'));
    }
    CALL(ws_recv, s, NULL, place, sizeof(place), deadline());
    CALL(ws_info, s, &info);
    CALL(ws_close, s, 1000, NULL, 0, deadline());
}

static void compressing_client(int s) {
    struct ws_opts opts = options(0);
    opts.flags = WS_TEXT | WS_DEFLATE;
    opts.deflate = &deflate;
    send_parts((int)CALL(ws_attach_client_opts, s, "/", "example.com", &opts, deadline()));
}
static void compressing_server(int s) {
    struct ws_opts opts = options(0);
    opts.flags = WS_TEXT | WS_DEFLATE;
    opts.deflate = &deflate;
    receive_parts((int)CALL(ws_attach_server_opts, s, &opts, deadline()));
}
SCENARIO(ws_in_compressed_parts) { converse(TCP, compressing_client, compressing_server); }

/* Neither side receives: pings are sent and answered all the same. */
static void be_silent(int s) {
    char buf[10];
    if (s < 0) return;
    CALL(ws_send, s, WS_TEXT, "a", 1, deadline());
    msleep(now() + 20);
    CALL(ws_recv, s, NULL, buf, sizeof(buf), deadline());
    CALL(ws_close, s, 1000, NULL, 0, deadline());
}
static void pinging_client(int s) {
    struct ws_opts opts = options(0);
    opts.ping_interval = 2;
    opts.ping_timeout = 10000;
    be_silent((int)CALL(ws_attach_client_opts, s, NULL, NULL, &opts, deadline()));
}
static void answering_server(int s) {
    struct ws_opts opts = options(0);
    be_silent((int)CALL(ws_attach_server_opts, s, &opts, deadline()));
}
SCENARIO(ws_pings_while_nobody_receives) { converse(TCP, pinging_client, answering_server); }

/* A peer that answers no ping is given up, once what has arrived was looked at. */
SCENARIO(ws_whose_peer_has_vanished) {
    struct ws_opts opts = options(0);
    int s[2];
    char c;
    opts.ping_interval = opts.ping_timeout = 2;
    if (connect_by_tcp(s) < 0) return;
    int h = (int)CALL(ws_attach_client_opts, s[0], NULL, NULL, &opts, deadline());
    if (h >= 0) {
        CALL_EXPECTING(ECONNRESET, ws_recv, h, NULL, &c, 1, deadline());
        CALL(hclose, h);
    }
    CALL(hclose, s[1]);
}
