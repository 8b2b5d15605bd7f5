/* A chat: one port serves the page to browsers, and to the page the WebSocket that it talks through.

   usage: chat PORT

   Open http://127.0.0.1:PORT/ in two windows. */

#include "common.h"

#include <libdillext.h>
#include <string.h>

enum { STEP = 10000, MOST = 1000, MESSAGE = 4096, BACKLOG = 65536 }; /* ms, guests, bytes, bytes */

static const char page[] =
    "<!doctype html><meta charset=utf-8><title>Chat</title>\n"
    "<ul id=said></ul><form id=form><input id=text autofocus maxlength=1000></form>\n"
    "<script>\n"
    "document.cookie = 'name=' + (prompt('Your name') || 'somebody').replace(/[^a-zA-Z0-9]/g, '');\n"
    "const socket = new WebSocket('ws://' + location.host + '/chat', 'chat');\n"
    "const show = text => said.append(Object.assign(document.createElement('li'), {textContent: text}));\n"
    "socket.onmessage = message => show(message.data);\n"
    "socket.onclose = () => show('The conversation is over.');\n"
    "form.onsubmit = () => { socket.send(text.value); text.value = ''; return false; };\n"
    "</script>\n";

static int guests[MOST], count;

/* Waits for nobody: who has not listened to 64 KiB misses it. */
static void tell_all(const char *name, const char *text, size_t len) {
    char line[MESSAGE + 64];
    int size = snprintf(line, sizeof line, "%s: %.*s", name, (int)len, text);
    ws_broadcast(guests, count, WS_TEXT, line, (size_t)size, BACKLOG, NULL);
}

static void join_chat(int ws, const char *name) {
    char text[MESSAGE];
    guests[count++] = ws;
    tell_all(name, "(comes in)", strlen("(comes in)"));
    ssize_t len;
    while ((len = ws_recv(ws, NULL, text, sizeof text, -1)) >= 0)
        tell_all(name, text, (size_t)len);
    int code = errno == EPIPE ? 1000 : 1001;
    for (int i = 0; i < count; i++)
        if (guests[i] == ws)
            guests[i--] = guests[--count];
    tell_all(name, "(leaves)", strlen("(leaves)"));
    ws_close(ws, code, NULL, 0, now() + STEP); /* If the server stops, this waits for nothing. */
}

/* Answers with the page until somebody asks for the WebSocket. */
static coroutine void serve(int tcp, void *opts) {
    const char *html[] = {"Content-Type: text/html", NULL}, *get[] = {"Allow: GET", NULL};
    char method[16] = "", path[256] = "", cookies[256] = "; ", name[33] = "somebody", *place;
    int request;
    while ((request = ws_recvrequest(tcp, now() + STEP)) >= 0) {
        ws_field(request, ":method", method, sizeof method);
        ws_field(request, ":path", path, sizeof path);
        if (ws_isupgrade(request) && count < MOST) {
            if (ws_field(request, "Cookie", cookies + 2, sizeof cookies - 2) >= 0 && (place = strstr(cookies, "; name=")))
                sscanf(place, "; name=%32[a-zA-Z0-9]", name);
            int ws = ws_accept(request, opts, now() + STEP); /* From a page of somebody else's: 403. */
            if (ws >= 0)
                join_chat(ws, name);
            return;
        }
        if (ws_isupgrade(request))
            tcp = ws_reply(request, 503, NULL, NULL, 0, now() + STEP);
        else if (strcmp(method, "GET") != 0)
            tcp = ws_reply(request, 405, get, NULL, 0, now() + STEP);
        else if (strcmp(path, "/") == 0)
            tcp = ws_reply(request, 200, html, page, sizeof page - 1, now() + STEP);
        else
            tcp = ws_reply(request, 404, NULL, "There is no such page.\n", 23, now() + STEP);
    }
}

int main(int argc, char *argv[]) {
    char here[2][64];
    int listener = listen_on(argc == 2 ? argv[1] : "0");
    snprintf(here[0], sizeof here[0], "http://127.0.0.1:%d", listening_port);
    snprintf(here[1], sizeof here[1], "http://localhost:%d", listening_port);
    const char *spoken[] = {"chat", NULL}, *origins[] = {here[0], here[1], NULL};
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_DEFLATE, .max_message = MESSAGE,
                           .subprotocols = spoken, .origins = origins};
    serve_clients(listener, serve, &opts);
    return 0;
}
