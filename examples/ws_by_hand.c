/* A WebSocket server and client that do the opening handshake themselves, which allows what the attaching
   calls do not: here they agree upon a subprotocol.

   usage: ws_by_hand server PORT
          ws_by_hand client PORT SUBPROTOCOL[,SUBPROTOCOL...] TEXT...

   The server knows the subprotocols "upper" and "reverse" and answers every message accordingly. */

#include "common.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* How long a peer may take over a step, in milliseconds. */
#define STEP 10000

/* The longest message. */
#define MESSAGE 4096

/* What either side needs to know of the other's header. */
struct head {
    /* Sec-WebSocket-Key or Sec-WebSocket-Accept, Sec-WebSocket-Protocol, Sec-WebSocket-Version. */
    char key[64], subprotocol[128], version[8];
    /* Upgrade and Connection ask for, or grant, a WebSocket. */
    int upgrade, connection;
};

/* Whether a list such as "keep-alive, Upgrade" has an item. */
static int lists(const char *list, const char *item) {
    size_t len = strlen(item);
    while (*list) {
        list += strspn(list, ", \t");
        size_t next = strcspn(list, ", \t");
        if (next == len && strncasecmp(list, item, len) == 0)
            return 1;
        list += next;
    }
    return 0;
}

/* Stores the value of a field; one that is too long is of no use here. */
static void keep(char *place, size_t size, const char *value) {
    size_t len = strlen(value);
    if (len >= size)
        len = 0;
    memcpy(place, value, len);
    place[len] = 0;
}

/* Reads the fields of a header up to the blank line. */
static int read_fields(int http, struct head *head, int64_t deadline) {
    char name[128], value[512];
    memset(head, 0, sizeof *head);
    while (1) {
        if (http_recvfield(http, name, sizeof name, value, sizeof value, deadline) < 0) {
            if (errno != EMSGSIZE)
                return errno == EPIPE ? 0 : -1;
            continue; /* A long cookie, or the like: nothing that is needed here. */
        }
        if (strcasecmp(name, "Sec-WebSocket-Key") == 0 ||
            strcasecmp(name, "Sec-WebSocket-Accept") == 0)
            keep(head->key, sizeof head->key, value);
        else if (strcasecmp(name, "Sec-WebSocket-Protocol") == 0)
            keep(head->subprotocol, sizeof head->subprotocol, value);
        else if (strcasecmp(name, "Sec-WebSocket-Version") == 0)
            keep(head->version, sizeof head->version, value);
        else if (strcasecmp(name, "Upgrade") == 0)
            head->upgrade = lists(value, "websocket");
        else if (strcasecmp(name, "Connection") == 0)
            head->connection = lists(value, "Upgrade");
    }
}

/* Ends the conversation in both layers. */
static int finish(int ws, int64_t deadline) {
    int tcp = ws_detach(ws, 1000, NULL, 0, deadline);
    return tcp < 0 ? -1 : tcp_close(tcp, deadline);
}

/* ---- The server ---- */

static void upper(char *text, size_t len) {
    for (size_t i = 0; i < len; i++)
        text[i] = (char)toupper((unsigned char)text[i]);
}

static void reverse(char *text, size_t len) {
    for (size_t i = 0; i < len / 2; i++) {
        char c = text[i];
        text[i] = text[len - 1 - i];
        text[len - 1 - i] = c;
    }
}

static const struct subprotocol {
    const char *name;
    void (*apply)(char *text, size_t len);
} subprotocols[] = {{"upper", upper}, {"reverse", reverse}};

/* The first of our subprotocols that the client offers, or NULL. */
static const struct subprotocol *choose_from(const char *offer) {
    for (size_t i = 0; i < sizeof subprotocols / sizeof *subprotocols; i++)
        if (lists(offer, subprotocols[i].name))
            return &subprotocols[i];
    return NULL;
}

static void refuse(int http, int status, const char *reason, int64_t deadline) {
    if (http_sendstatus(http, status, reason, deadline) < 0 ||
        http_sendfield(http, "Sec-WebSocket-Version", "13", deadline) < 0 ||
        http_sendfield(http, "Content-Length", "0", deadline) < 0) {
        hclose(http);
        return;
    }
    int tcp = http_detach(http, deadline);
    if (tcp >= 0)
        tcp_close(tcp, deadline);
}

/* Answers the handshake; returns the WebSocket and what is to be spoken on it. */
static int accept_ws(int tcp, const struct subprotocol **chosen, int64_t deadline) {
    char command[8], resource[256], accept[WS_KEY_SIZE];
    struct head head;
    int http = http_attach(tcp);
    if (http < 0)
        return -1;
    if (http_recvrequest(http, command, sizeof command, resource, sizeof resource, deadline) < 0 ||
        read_fields(http, &head, deadline) < 0) {
        hclose(http);
        return -1;
    }
    *chosen = choose_from(head.subprotocol);
    if (strcmp(command, "GET") != 0 || !head.upgrade || !head.connection ||
        ws_response_key(head.key, accept) < 0 || !*chosen) {
        refuse(http, 400, "Bad Request", deadline);
        return -1;
    }
    if (strcmp(head.version, "13") != 0) {
        refuse(http, 426, "Upgrade Required", deadline);
        return -1;
    }
    if (http_sendstatus(http, 101, "Switching Protocols", deadline) < 0 ||
        http_sendfield(http, "Upgrade", "websocket", deadline) < 0 ||
        http_sendfield(http, "Connection", "Upgrade", deadline) < 0 ||
        http_sendfield(http, "Sec-WebSocket-Accept", accept, deadline) < 0 ||
        http_sendfield(http, "Sec-WebSocket-Protocol", (*chosen)->name, deadline) < 0) {
        hclose(http);
        return -1;
    }
    tcp = http_detach(http, deadline); /* Sends the blank line too. */
    return tcp < 0 ? -1
                   : ws_attach_server(tcp, WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, deadline);
}

static coroutine void serve(int tcp, void *context) {
    (void)context;
    const struct subprotocol *subprotocol;
    int ws = accept_ws(tcp, &subprotocol, now() + STEP);
    if (ws < 0)
        return;
    char text[MESSAGE];
    ssize_t len;
    while ((len = mrecv(ws, text, sizeof text, -1)) >= 0) {
        subprotocol->apply(text, (size_t)len);
        if (msend(ws, text, (size_t)len, now() + STEP) < 0)
            break;
    }
    if (len < 0 && errno == EPIPE)
        finish(ws, now() + STEP);
    else
        hclose(ws);
}

/* ---- The client ---- */

static int connect_ws(const char *port, const char *offer, int64_t deadline) {
    struct ipaddr addr;
    if (ipaddr_remote(&addr, "127.0.0.1", atoi(port), IPADDR_IPV4, deadline) < 0)
        fail("address");
    int tcp = tcp_connect(&addr, deadline);
    int http = tcp < 0 ? -1 : http_attach(tcp);
    if (http < 0)
        fail("connect");

    char host[32], key[WS_KEY_SIZE], expected[WS_KEY_SIZE];
    snprintf(host, sizeof host, "127.0.0.1:%s", port);
    if (ws_request_key(key) < 0 || ws_response_key(key, expected) < 0)
        fail("key");
    if (http_sendrequest(http, "GET", "/", deadline) < 0 ||
        http_sendfield(http, "Host", host, deadline) < 0 ||
        http_sendfield(http, "Upgrade", "websocket", deadline) < 0 ||
        http_sendfield(http, "Connection", "Upgrade", deadline) < 0 ||
        http_sendfield(http, "Sec-WebSocket-Version", "13", deadline) < 0 ||
        http_sendfield(http, "Sec-WebSocket-Key", key, deadline) < 0 ||
        http_sendfield(http, "Sec-WebSocket-Protocol", offer, deadline) < 0 ||
        http_done(http, deadline) < 0)
        fail("request");

    char reason[128];
    struct head head;
    int status = http_recvstatus(http, reason, sizeof reason, deadline);
    if (status < 0 || read_fields(http, &head, deadline) < 0)
        fail("response");
    if (status != 101) {
        fprintf(stderr, "the server refuses: %d %s\n", status, reason);
        exit(1);
    }
    if (!head.upgrade || !head.connection || strcmp(head.key, expected) != 0 ||
        !lists(offer, head.subprotocol)) {
        fprintf(stderr, "the server does not speak WebSocket\n");
        exit(1);
    }
    printf("subprotocol: %s\n", head.subprotocol);
    tcp = http_detach(http, deadline);
    int ws = tcp < 0 ? -1 : ws_attach_client(tcp, WS_TEXT | WS_NOHTTP, NULL, NULL, deadline);
    if (ws < 0)
        fail("attach");
    return ws;
}

static void run_client(const char *port, const char *offer, char *texts[]) {
    int ws = connect_ws(port, offer, now() + STEP);
    for (; *texts; texts++) {
        char answer[MESSAGE];
        if (msend(ws, *texts, strlen(*texts), now() + STEP) < 0)
            fail("send");
        ssize_t len = mrecv(ws, answer, sizeof answer, now() + STEP);
        if (len < 0)
            fail("receive");
        printf("%.*s\n", (int)len, answer);
    }
    if (finish(ws, now() + STEP) < 0)
        fail("close");
}

int main(int argc, char *argv[]) {
    if (argc == 3 && strcmp(argv[1], "server") == 0) {
        serve_clients(listen_on(argv[2]), serve, NULL);
    } else if (argc > 4 && strcmp(argv[1], "client") == 0) {
        run_client(argv[2], argv[3], argv + 4);
    } else {
        fprintf(stderr,
                "usage: %s server PORT\n"
                "       %s client PORT SUBPROTOCOL[,SUBPROTOCOL...] TEXT...\n",
                argv[0], argv[0]);
        return 2;
    }
    return 0;
}
