/* A client that ws_connect makes of a URL, in a coroutine of its own, against a server or proxy that the test plays. */

#ifndef URL_CLIENT_H
#define URL_CLIENT_H

#include <libdillext.h>

#include "http.h"
#include "test.h"
#include "wire.h"

static struct ipaddr addr;
static int listener = -1, port, s;
static char url[256], head[HEAD_MAX], key[64], accept_key[WS_KEY_SIZE];

/* A client in a coroutine of its own. */
struct client {
    const char *url;
    const struct ws_opts *opts;
    int64_t deadline;
    int ws, err, status;
    char message[512];
};
static struct client client;
static int b;

coroutine static void run_client(void) {
    errno = 0;
    client.ws = ws_connect(client.url, client.opts, client.deadline);
    client.err = errno;
    client.status = client.ws < 0 ? ws_errstatus() : 0;
    snprintf(client.message, sizeof(client.message), "%s", client.ws < 0 ? ws_errmsg() : "");
}

static void listen_here(void) {
    if (listener >= 0) return;
    listener = listen_somewhere(&addr);
    port = ipaddr_port(&addr);
    /* The machine's own proxies are not for us. */
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
}

/* Starts to connect; %d in the URL is the port that is listened at. */
static void begin(const char *format, const struct ws_opts *opts) {
    listen_here();
    snprintf(url, sizeof(url), format, port);
    client = (struct client){url, opts, now() + 5000, -2, 0, 0, ""};
    b = go(run_client());
    CHECK(b >= 0);
}

/* Reads a head from the connection. */
static void read_head(void) {
    char *end = head;
    *head = 0;
    while (!strstr(head, "\r\n\r\n")) {
        CHECK_INT(brecv(s, end, 1, now() + 5000), 0);
        *++end = 0;
    }
}

/* Accepts a connection and reads a head from it. */
static void serve_head(void) {
    s = tcp_accept(listener, NULL, now() + 5000);
    CHECK(s >= 0);
    read_head();
}

static void answer(const char *text) { CHECK_INT(bsend(s, text, strlen(text), now() + 5000), 0); }

static void switch_protocols(const char *more) {
    char text[1024];
    CHECK_INT(ws_response_key(head_field(head, "Sec-WebSocket-Key", key, sizeof(key)), accept_key), 0);
    snprintf(text, sizeof(text),
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n%s\r\n",
             accept_key, more);
    answer(text);
}

static void end(int err) {
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    if (err) {
        if (client.err != err) fprintf(stderr, "%s\n", client.message);
        CHECK_INT(client.err, err);
        CHECK_INT(client.ws, -1);
        CHECK(client.message[0]);
    } else {
        if (client.ws < 0) fprintf(stderr, "%s\n", client.message);
        CHECK(client.ws >= 0);
    }
}

#define CHECK_HEAD_FIELD(NAME, VALUE)                                       \
    do {                                                                    \
        char value_[256];                                                   \
        CHECK_STR(head_field(head, NAME, value_, sizeof(value_)), VALUE);   \
    } while (0)

#endif
