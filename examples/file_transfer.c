/* A file as one message, however large it is: it is sent in parts as they are read, and stored in parts as they
   come, in constant memory.

   usage: file_transfer serve PORT FILE       stores what one client sends
          file_transfer send URL FILE */

#include "common.h"

#include <fcntl.h>
#include <libdillext.h>
#include <string.h>

#define STEP 10000

/* Sends the file; the last part is the one without WS_MORE, an empty one. */
static int send_file(int ws, int fd) {
    char part[32768];
    ssize_t len;
    while ((len = read(fd, part, sizeof part)) > 0)
        if (ws_send(ws, WS_BINARY | WS_MORE, part, (size_t)len, now() + STEP) < 0)
            return -1;
    return len < 0 ? -1 : ws_send(ws, WS_BINARY, NULL, 0, now() + STEP);
}

/* Stores a message; returns its length. */
static long long receive_file(int ws, int fd) {
    char part[32768];
    long long total = 0;
    int flags;
    do {
        ssize_t len = ws_recvsome(ws, &flags, part, sizeof part, now() + STEP);
        if (len < 0 || write(fd, part, (size_t)len) != len)
            return -1;
        total += len;
    } while (flags & WS_MORE);
    return total;
}

static int serve(const char *port, const char *name) {
    char answer[64];
    int listener = listen_on(port), tcp = tcp_accept(listener, NULL, -1);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_DEFLATE};
    int ws = tcp < 0 || fd < 0 ? -1 : ws_attach_server_opts(tcp, &opts, now() + STEP);
    long long len = ws < 0 ? -1 : receive_file(ws, fd);
    if (len < 0)
        fail(name);
    int size = snprintf(answer, sizeof answer, "%lld bytes", len);
    ws_send(ws, WS_TEXT, answer, (size_t)size, now() + STEP);
    ws_recv(ws, NULL, NULL, 0, now() + STEP); /* Until the client closes. */
    ws_close(ws, 1000, NULL, 0, now() + STEP);
    close(fd);
    puts("stopped");
    return 0;
}

static int send_to(const char *url, const char *name) {
    char answer[64];
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_DEFLATE};
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail(name);
    int ws = ws_connect(url, &opts, now() + STEP);
    ssize_t len = ws < 0 || send_file(ws, fd) < 0 ? -1 : ws_recv(ws, NULL, answer, sizeof answer, now() + STEP);
    if (len < 0) {
        fprintf(stderr, "%s\n", ws_errmsg());
        return 1;
    }
    printf("%.*s\n", (int)len, answer);
    ws_close(ws, 1000, NULL, 0, now() + STEP);
    close(fd);
    return 0;
}

int main(int argc, char *argv[]) {
    if (argc == 4 && strcmp(argv[1], "serve") == 0)
        return serve(argv[2], argv[3]);
    if (argc == 4 && strcmp(argv[1], "send") == 0)
        return send_to(argv[2], argv[3]);
    fprintf(stderr, "usage: %s serve PORT FILE | %s send URL FILE\n", argv[0], argv[0]);
    return 2;
}
