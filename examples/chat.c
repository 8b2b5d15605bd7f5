/* A chat: one port serves the page to browsers, and to the page the WebSocket that it talks through.

   usage: chat PORT

   Open http://127.0.0.1:PORT/ in two windows. */

#include "common.h"

#include <libdillext.h>
#include <string.h>

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
    "const socket = new WebSocket('ws://' + location.host + '/chat', 'chat');\n"
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

    /* If the server stops, nothing may wait any more, but the close frame may leave. */
    ws_close(ws, end == EPIPE ? 1000 : end == EMSGSIZE ? 1009 : 1001, NULL, 0, now() + STEP);
}

/* ---- HTTP ---- */

/* Whether the request comes from a page of this server, or from no page: what a browser names as Origin ends
   in what it names as Host. */
static int is_own_page(int request) {
    char origin[256], host[256];
    ssize_t from = ws_field(request, "Origin", origin, sizeof origin);
    ssize_t to = ws_field(request, ":authority", host, sizeof host);
    if (from < 0 && errno == ENOENT)
        return 1;
    return from >= to && to > 0 && strcmp(origin + from - to, host) == 0;
}

/* Answers with the page until somebody asks for the WebSocket. */
static coroutine void serve(int tcp, void *context) {
    const char *html[] = {"Content-Type: text/html", NULL}, *spoken[] = {"chat", NULL};
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_TEXT, .subprotocols = spoken, .max_message = MESSAGE};
    char method[16] = "", path[256] = "";
    int request;
    /* Browsers also open connections that they then do not use. */
    while ((request = ws_recvrequest(tcp, now() + STEP)) >= 0) {
        int64_t deadline = now() + STEP;
        ws_field(request, ":method", method, sizeof method);
        ws_field(request, ":path", path, sizeof path);
        if (ws_isupgrade(request) && is_own_page(request)) {
            int ws = ws_accept(request, &opts, deadline);
            if (ws >= 0)
                join_chat(context, ws);
            return;
        }
        if (ws_isupgrade(request))
            tcp = ws_reply(request, 403, NULL, NULL, 0, deadline);
        else if (strcmp(method, "GET") != 0)
            tcp = ws_reply(request, 405, (const char *[]){"Allow: GET", NULL}, NULL, 0, deadline);
        else if (strcmp(path, "/") == 0)
            tcp = ws_reply(request, 200, html, page, sizeof page - 1, deadline);
        else
            tcp = ws_reply(request, 404, NULL, "There is no such page.\n", 23, deadline);
        if (tcp < 0)
            return;
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
