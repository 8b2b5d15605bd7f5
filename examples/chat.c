/* A chat: one port serves the page to browsers, and to the page the WebSocket that it talks through.

   usage: chat PORT

   Open http://127.0.0.1:PORT/ in two windows. */

#include "common.h"

#include <string.h>
#include <strings.h>

/* How long a client may take over a request or over a message, in milliseconds. */
#define STEP 10000

/* The longest message, in bytes. */
#define MESSAGE 4096

/* How many messages may wait for a client before it is too slow to stay. */
#define QUEUE 64

static const char page[] =
    "<!doctype html>\n"
    "<meta charset=utf-8>\n"
    "<title>Chat</title>\n"
    "<ul id=said></ul>\n"
    "<form id=form><input id=text autofocus maxlength=1000></form>\n"
    "<script>\n"
    "const socket = new WebSocket('ws://' + location.host + '/chat');\n"
    "function show(text) {\n"
    "    const item = document.createElement('li');\n"
    "    item.textContent = text;\n"
    "    said.append(item);\n"
    "}\n"
    "socket.onmessage = message => show(message.data);\n"
    "socket.onclose = () => show('The conversation is over.');\n"
    "form.onsubmit = () => {\n"
    "    socket.send(text.value);\n"
    "    text.value = '';\n"
    "    return false;\n"
    "};\n"
    "</script>\n";

/* ---- The conversation ---- */

/* What was said; it goes when it has been sent to everybody. */
struct message {
    int readers;
    size_t len;
    char text[];
};

struct guest {
    struct guest *next;
    int number;
    int ws;
    /* The messages that are still to be sent, `count` of them from `first` on, in a circle. */
    struct message *queue[QUEUE];
    int first, count;
    /* Wakes the coroutine that sends them: the end it listens to, and the end to call it at. */
    int bell[2];
};

struct chat {
    struct guest *guests;
    int arrived;
};

static void release(struct message *message) {
    if (--message->readers == 0)
        free(message);
}

/* Puts a message into everybody's queue. Does not wait, so the list of guests stays as it is. */
static void tell_all(struct chat *chat, int speaker, const char *text, size_t len) {
    struct message *message = malloc(sizeof *message + len + 32);
    if (!message)
        return;
    message->readers = 1;
    message->len = (size_t)snprintf(message->text, len + 32, "%d: %.*s", speaker, (int)len, text);
    for (struct guest *guest = chat->guests; guest; guest = guest->next) {
        if (guest->count == QUEUE)
            continue; /* Does not listen; what it misses tells it so. */
        guest->queue[(guest->first + guest->count++) % QUEUE] = message;
        message->readers++;
        chsend(guest->bell[1], NULL, 0, 0); /* Fails if it is not asleep: then all is well too. */
    }
    release(message);
}

/* Sends a guest what is in its queue. Ends if that fails, or with the conversation. */
static coroutine void send_queue(struct guest *guest) {
    while (1) {
        while (guest->count > 0) {
            struct message *message = guest->queue[guest->first];
            guest->first = (guest->first + 1) % QUEUE;
            guest->count--;
            int rc = ws_send(guest->ws, WS_TEXT, message->text, message->len, now() + STEP);
            release(message);
            if (rc < 0)
                return;
        }
        if (chrecv(guest->bell[0], NULL, 0, -1) < 0)
            return;
    }
}

/* Passes on what a guest says; returns the errno that tells why it stops. */
static int listen_to(struct chat *chat, struct guest *guest) {
    char text[MESSAGE];
    while (1) {
        ssize_t len = ws_recv(guest->ws, NULL, text, sizeof text, -1);
        if (len < 0)
            return errno;
        tell_all(chat, guest->number, text, (size_t)len);
    }
}

static void join_chat(struct chat *chat, int ws) {
    struct guest guest = {.next = chat->guests, .number = ++chat->arrived, .ws = ws};
    if (chmake(guest.bell) < 0) {
        hclose(ws);
        return;
    }
    chat->guests = &guest;
    tell_all(chat, guest.number, "(comes in)", strlen("(comes in)"));
    int sender = go(send_queue(&guest));
    int end = sender < 0 ? errno : listen_to(chat, &guest);

    struct guest **place = &chat->guests;
    while (*place != &guest)
        place = &(*place)->next;
    *place = guest.next;
    if (sender >= 0)
        hclose(sender);
    hclose(guest.bell[0]);
    hclose(guest.bell[1]);
    for (; guest.count > 0; guest.count--, guest.first = (guest.first + 1) % QUEUE)
        release(guest.queue[guest.first]);
    tell_all(chat, guest.number, "(leaves)", strlen("(leaves)"));

    if (end == EPIPE) { /* The page was closed: answer, and see the TCP connection off. */
        int64_t deadline = now() + STEP;
        int tcp = ws_detach(ws, 1000, NULL, 0, deadline);
        if (tcp >= 0)
            tcp_close(tcp, deadline);
        return;
    }
    if (end == ECANCELED) /* The server stops. Nothing may wait any more, but this may be sent. */
        ws_done(ws, 1001, NULL, 0, 0);
    else if (end == EMSGSIZE)
        ws_done(ws, 1009, NULL, 0, now() + STEP);
    hclose(ws);
}

/* ---- HTTP ---- */

struct request {
    char command[16];
    char resource[256];
    /* The value of Sec-WebSocket-Key; empty if this is an ordinary request. */
    char key[64];
};

/* Stores the value of a field; one that is too long is of no use here. */
static void keep(char *place, size_t size, const char *value) {
    size_t len = strlen(value);
    if (len >= size)
        len = 0;
    memcpy(place, value, len);
    place[len] = 0;
}

static int read_request(int http, struct request *request, int64_t deadline) {
    request->key[0] = 0;
    if (http_recvrequest(http, request->command, sizeof request->command, request->resource,
                         sizeof request->resource, deadline) < 0)
        return -1;
    char name[256], value[1024];
    while (1) {
        if (http_recvfield(http, name, sizeof name, value, sizeof value, deadline) < 0) {
            if (errno == EPIPE)
                return 0; /* That was the last one. */
            if (errno != EMSGSIZE)
                return -1;
        } else if (strcasecmp(name, "Sec-WebSocket-Key") == 0) {
            keep(request->key, sizeof request->key, value);
        }
    }
}

/* Answers with a page; closes the connection, successfully or not. */
static void send_page(int http, int status, const char *reason, const char *body,
                      int64_t deadline) {
    char length[32];
    snprintf(length, sizeof length, "%zu", strlen(body));
    if (http_sendstatus(http, status, reason, deadline) < 0 ||
        http_sendfield(http, "Content-Type", "text/html", deadline) < 0 ||
        http_sendfield(http, "Content-Length", length, deadline) < 0 ||
        http_sendfield(http, "Connection", "close", deadline) < 0) {
        hclose(http);
        return;
    }
    int tcp = http_detach(http, deadline);
    if (tcp < 0)
        return;
    if (bsend(tcp, body, strlen(body), deadline) < 0)
        hclose(tcp);
    else
        tcp_close(tcp, deadline);
}

/* Answers the handshake and returns the WebSocket. The connection is closed if that fails. */
static int upgrade(int http, const char *key, int64_t deadline) {
    char accept[WS_KEY_SIZE];
    if (ws_response_key(key, accept) < 0 ||
        http_sendstatus(http, 101, "Switching Protocols", deadline) < 0 ||
        http_sendfield(http, "Upgrade", "websocket", deadline) < 0 ||
        http_sendfield(http, "Connection", "Upgrade", deadline) < 0 ||
        http_sendfield(http, "Sec-WebSocket-Accept", accept, deadline) < 0) {
        hclose(http);
        return -1;
    }
    int tcp = http_detach(http, deadline);
    if (tcp < 0)
        return -1;
    return ws_attach_server(tcp, WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, deadline);
}

static coroutine void serve(int tcp, void *context) {
    int64_t deadline = now() + STEP;
    int http = http_attach(tcp);
    if (http < 0)
        return;
    struct request request;
    if (read_request(http, &request, deadline) < 0) {
        hclose(http); /* Browsers also open connections that they then do not use. */
    } else if (strcmp(request.command, "GET") != 0) {
        send_page(http, 405, "Method Not Allowed", "Only GET is done here.\n", deadline);
    } else if (strcmp(request.resource, "/") == 0) {
        send_page(http, 200, "OK", page, deadline);
    } else if (strcmp(request.resource, "/chat") == 0 && request.key[0]) {
        int ws = upgrade(http, request.key, deadline);
        if (ws >= 0)
            join_chat(context, ws);
    } else {
        send_page(http, 404, "Not Found", "There is no such page.\n", deadline);
    }
}

int main(int argc, char *argv[]) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    struct chat chat = {0};
    serve_clients(listen_on(argv[1]), serve, &chat);
    return 0;
}
