/* WebSocket: handshakes and conversations. */

#include "pairs.h"

static char large[100000];

static void talk_as_client(int s) {
    char buf[10] = "";
    int flags = 0;
    if (s < 0) return;
    memset(large, 'l', sizeof(large));
    if (CALL(ws_send, s, WS_TEXT, "hello", 5, deadline()) == 0 &&
        CALL(ws_recv, s, &flags, buf, sizeof(buf), deadline()) == 5) {
        MUST(memcmp(buf, "hello", 5) == 0);
        CALL(ws_send, s, WS_BINARY, large, sizeof(large), deadline());
    }
    s = (int)CALL(ws_detach, s, 1000, "bye", 3, deadline());
    if (s >= 0) CALL(hclose, s);
}

static void talk_as_server(int s) {
    static char place[sizeof(large)];
    char buf[10];
    int flags = 0;
    if (s < 0) return;
    if (CALL(ws_recv, s, &flags, buf, sizeof(buf), deadline()) == 5 &&
        CALL(ws_send, s, WS_TEXT, buf, 5, deadline()) == 0 &&
        CALL(ws_recv, s, &flags, place, sizeof(place), deadline()) == sizeof(large)) {
        MUST(place[0] == 'l' && place[sizeof(place) - 1] == 'l');
        CALL_EXPECTING(EPIPE, ws_recv, s, &flags, buf, sizeof(buf), deadline());
        CALL(ws_status, s, &flags, buf, sizeof(buf));
        CALL(ws_done, s, 1000, NULL, 0, deadline());
    }
    CALL(hclose, s);
}

static void client(int s) { talk_as_client((int)CALL(ws_attach_client, s, WS_TEXT, "/", "example.com", deadline())); }
static void server(int s) {
    char resource[64], host[64];
    talk_as_server(
        (int)CALL(ws_attach_server, s, WS_TEXT, resource, sizeof(resource), host, sizeof(host), deadline()));
}
SCENARIO(ws_by_tcp) { converse(TCP, client, server); }
SCENARIO(ws_by_ipc) { converse(IPC, client, server); }

static void client_without_http(int s) {
    talk_as_client((int)CALL(ws_attach_client, s, WS_TEXT | WS_NOHTTP, NULL, NULL, deadline()));
}
static void server_without_http(int s) {
    talk_as_server((int)CALL(ws_attach_server, s, WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, deadline()));
}
SCENARIO(ws_without_http) { converse(TCP, client_without_http, server_without_http); }

/* What is not one of those that the RFC allows is answered, and the connection closed. */
static void send_nonsense(int s) {
    static const char nonsense[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    char c;
    if (CALL(bsend, s, nonsense, sizeof(nonsense) - 1, deadline()) == 0) CALL(brecv, s, &c, 1, deadline());
    CALL(hclose, s);
}
static void refuse_nonsense(int s) {
    s = (int)CALL_EXPECTING(EPROTO, ws_attach_server, s, WS_TEXT, NULL, 0, NULL, 0, deadline());
    if (s >= 0) CALL(hclose, s);
}
SCENARIO(a_request_that_is_refused) { converse(TCP, send_nonsense, refuse_nonsense); }

static void gather(int s) {
    s = (int)CALL(ws_attach_client, s, WS_TEXT | WS_NOHTTP, NULL, NULL, deadline());
    if (s < 0) return;
    for (int i = 0; i != 20; ++i) CALL(ws_send, s, WS_TEXT | WS_GATHER, "gathered", 8, deadline());
    CALL(ws_done, s, 1000, NULL, 0, deadline());
    s = (int)CALL(ws_detach, s, 1000, NULL, 0, deadline());
    if (s >= 0) CALL(hclose, s);
}
static void receive_gathered(int s) {
    char buf[10];
    s = (int)CALL(ws_attach_server, s, WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, deadline());
    if (s < 0) return;
    for (int i = 0; i != 20; ++i)
        if (CALL(ws_recv, s, NULL, buf, sizeof(buf), deadline()) < 0) break;
    s = (int)CALL(ws_detach, s, 1000, NULL, 0, deadline());
    if (s >= 0) CALL(hclose, s);
}
SCENARIO(ws_gathered) { converse(TCP, gather, receive_gathered); }
