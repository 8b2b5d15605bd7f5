/* The server for the browser test.

   usage: server PAGE

   One port serves the page over HTTP and speaks WebSocket: the server reads the head of a request
   itself, byte by byte so as to take nothing that follows it, and answers the handshake by hand
   with ws_response_key(). On a second port ws_attach_server() does the handshake, and on a third
   one ws_accept(), which agrees to subprotocols and compression. The addresses are printed, then
   what the page reports. */

#include "serve.h"

#include <libdillext.h>

#include <strings.h>

/* Room for a message of 1 MiB characters, and one more byte. */
#define SIZE ((size_t)4 * 1024 * 1024 + 1)

static char *page;
static size_t page_size;

/* ---- HTTP ---- */

static int send_all(int tcp, const char *text) {
    return bsend(tcp, text, strlen(text), now() + STEP);
}

/* Reads up to the blank line; nothing behind it. */
static int read_head(int tcp, char *head, size_t size) {
    size_t len = 0;
    while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0) {
        if (len == size - 1 || brecv(tcp, head + len, 1, now() + STEP) < 0)
            return -1;
        len++;
    }
    head[len] = 0;
    return 0;
}

/* Copies the value of a header field; an empty string if there is none. */
static void field(const char *head, const char *name, char *value, size_t size) {
    size_t len = strlen(name);
    value[0] = 0;
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            line += len + 1;
            line += strspn(line, " \t");
            snprintf(value, size, "%.*s", (int)strcspn(line, "\r"), line);
            return;
        }
    }
}

static void serve_page(int tcp, const char *path) {
    char head[256];
    int found = strcmp(path, "/") == 0 || strncmp(path, "/?", 2) == 0;
    snprintf(head, sizeof head,
             "HTTP/1.1 %s\r\nContent-Type: text/html\r\nContent-Length: %zu\r\n"
             "Connection: close\r\n\r\n",
             found ? "200 OK" : "404 Not Found", found ? page_size : 0);
    if (send_all(tcp, head) < 0 || (found && bsend(tcp, page, page_size, now() + STEP) < 0))
        hclose(tcp);
    else
        tcp_close(tcp, now() + STEP);
}

/* ---- WebSocket ---- */

/* Sends a ping and reads the pong, both as bare bytes; returns the verdict. Right after the
   handshake the browser has nothing else to say. */
static const char *ping(int tcp) {
    static const char payload[] = "ping";
    char frame[2 + sizeof payload - 1] = {(char)0x89, sizeof payload - 1};
    memcpy(frame + 2, payload, sizeof payload - 1);
    unsigned char pong[2 + 4 + sizeof payload - 1];
    if (bsend(tcp, frame, sizeof frame, now() + STEP) < 0 ||
        brecv(tcp, pong, sizeof pong, now() + STEP) < 0)
        return "no pong";
    if (pong[0] != 0x8a || pong[1] != (0x80 | (sizeof payload - 1)))
        return "not a pong";
    for (size_t i = 0; i < sizeof payload - 1; i++)
        if ((pong[6 + i] ^ pong[2 + i % 4]) != payload[i])
            return "a pong with another payload";
    return "pong";
}

/* Prints what the page reports. */
static void report(int ws, char *buf) {
    ssize_t len;
    while ((len = ws_recv(ws, NULL, buf, SIZE, -1)) >= 0) {
        printf("%.*s\n", (int)len, buf);
        fflush(stdout);
    }
    hclose(ws);
}

static void speak(int ws, const char *path) {
    char *buf = malloc(SIZE);
    if (!buf)
        fail("memory");
    if (strcmp(path, "/report") == 0)
        report(ws, buf);
    else
        converse(ws, path, buf, SIZE);
    free(buf);
}

static void upgrade(int tcp, const char *path, const char *key) {
    char accept[WS_KEY_SIZE], head[256];
    if (ws_response_key(key, accept) < 0) {
        perror("key");
        hclose(tcp);
        return;
    }
    snprintf(head, sizeof head,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\n\r\n",
             accept);
    if (send_all(tcp, head) < 0) {
        hclose(tcp);
        return;
    }
    const char *verdict = strcmp(path, "/ping") == 0 ? ping(tcp) : NULL;
    int ws = ws_attach_server(tcp, WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, -1);
    if (ws < 0)
        fail("attach");
    if (verdict && ws_send(ws, WS_TEXT, verdict, strlen(verdict), now() + STEP) < 0)
        perror("verdict");
    speak(ws, path);
}

/* A connection to the first port. */
static coroutine void serve_http(int tcp) {
    char head[16 * 1024], path[256], token[32], key[64];
    if (read_head(tcp, head, sizeof head) < 0 || sscanf(head, "GET %255s", path) != 1) {
        hclose(tcp); /* Browsers also open connections that they then do not use. */
        return;
    }
    field(head, "Upgrade", token, sizeof token);
    field(head, "Sec-WebSocket-Key", key, sizeof key);
    if (strcasecmp(token, "websocket") == 0)
        upgrade(tcp, path, key);
    else
        serve_page(tcp, path);
}

/* A connection to the second port. */
static coroutine void serve_ws(int tcp) {
    char path[256];
    int ws = ws_attach_server(tcp, WS_TEXT, path, sizeof path, NULL, 0, now() + STEP);
    if (ws < 0)
        perror("handshake");
    else
        speak(ws, path);
}

/* A connection to the third port: the path says what the server agrees to. */
static coroutine void serve_agreed(int tcp) {
    static const char *const spoken[] = {"v2", "v1", NULL};
    struct ws_deflate deflate = {.size = sizeof deflate, .flags = WS_DEFLATE_CONTEXT | WS_DEFLATE_PEER_CONTEXT};
    struct ws_deflate windows = {.size = sizeof windows, .flags = deflate.flags, .window_bits = 9, .peer_window_bits = 10};
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_TEXT | WS_DEFLATE, .subprotocols = spoken};
    char path[32] = "";
    int request = ws_recvrequest(tcp, now() + STEP);
    if (request < 0)
        return;
    ws_field(request, ":path", path, sizeof path);
    if (strcmp(path, "/plain") == 0)
        opts.flags = WS_TEXT;
    else if (strcmp(path, "/context") == 0)
        opts.deflate = &deflate;
    else if (strcmp(path, "/windows") == 0)
        opts.deflate = &windows;
    int ws = ws_accept(request, &opts, now() + STEP);
    if (ws < 0)
        perror("ws_accept");
    else
        speak(ws, "/echo");
}

static void load_page(const char *name) {
    FILE *file = fopen(name, "r");
    page = malloc(SIZE);
    if (!file || !page)
        fail(name);
    page_size = fread(page, 1, SIZE, file);
    fclose(file);
}

int main(int argc, char *argv[]) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s PAGE\n", argv[0]);
        return 2;
    }
    load_page(argv[1]);
    int http = listen_anywhere(), attach = listen_anywhere(), agree = listen_anywhere();
    int clients = bundle();
    if (clients < 0 || bundle_go(clients, accept_all(http, clients, serve_http)) < 0 ||
        bundle_go(clients, accept_all(attach, clients, serve_ws)) < 0 ||
        bundle_go(clients, accept_all(agree, clients, serve_agreed)) < 0)
        fail("start");
    run_until_stopped(clients);
    hclose(http);
    hclose(attach);
    hclose(agree);
    free(page);
    return 0;
}
