/* A WebSocket client that holds a conversation with an echo server and prints it.

   usage: echo_client PORT [-b BYTES] [TEXT...]

   Sends each TEXT as a text message and waits for its echo; without any TEXT it sends the lines of
   the standard input. With -b it then sends one binary message of that many BYTES. At the end it
   closes the connection and waits for the server to agree. */

#include <libdill.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SENT "client -> server"
#define CAME "client <- server"

static void fail(const char *what) {
    fprintf(stderr, "echo_client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double microseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* One message as a person wants to see it: text as text, of anything else only its size. */
static void show(const char *direction, int flags, const char *buf, size_t len) {
    printf("%s  %-6s %8zu bytes", direction, flags == WS_TEXT ? "text" : "binary", len);
    if (flags == WS_TEXT)
        printf("  \"%.*s\"", (int)len, buf);
}

/* Sends a message and waits for its echo. */
static void say(int ws, int flags, const char *msg, size_t len) {
    char *echo = malloc(len + 1);
    if (!echo)
        fail("memory");
    int64_t deadline = now() + 10000;

    show(SENT, flags, msg, len);
    printf("\n");
    double start = microseconds();
    if (ws_send(ws, flags, msg, len, deadline) < 0)
        fail("send");
    int echo_flags;
    ssize_t echo_len = ws_recv(ws, &echo_flags, echo, len + 1, deadline);
    if (echo_len < 0)
        fail("receive");
    double trip = microseconds() - start;
    show(CAME, echo_flags, echo, (size_t)echo_len);
    printf("  after %.0f us\n", trip);

    if (echo_flags != flags || (size_t)echo_len != len || memcmp(msg, echo, len) != 0) {
        fprintf(stderr, "echo_client: that is not what was sent\n");
        exit(1);
    }
    free(echo);
}

/* The closing handshake: both sides send a close frame, then both close the TCP connection. */
static void say_goodbye(int ws) {
    const char *bye = "that is all";
    int64_t deadline = now() + 10000;
    printf(SENT "  close  1000 \"%s\"\n", bye);
    if (ws_done(ws, 1000, bye, strlen(bye), deadline) < 0)
        fail("close");
    if (ws_recv(ws, NULL, NULL, 0, deadline) >= 0 || errno != EPIPE)
        fail("waiting for the server's close");
    int code;
    char reason[125];
    ssize_t len = ws_status(ws, &code, reason, sizeof reason);
    if (len < 0)
        fail("status");
    printf(CAME "  close  %d \"%.*s\"\n", code, (int)len, reason);
    int tcp = ws_detach(ws, 0, NULL, 0, deadline);
    if (tcp < 0 || tcp_close(tcp, deadline) < 0)
        fail("detach");
    printf("connection closed by both sides\n");
}

int main(int argc, char *argv[]) {
    int next = 2;
    long bytes = -1;
    if (argc > 3 && strcmp(argv[2], "-b") == 0) {
        bytes = atol(argv[3]);
        next = 4;
    }
    if (argc < 2 || (next == 4 && bytes < 0)) {
        fprintf(stderr, "usage: %s PORT [-b BYTES] [TEXT...]\n", argv[0]);
        return 2;
    }
    /* A line appears when it happens, also in a pipe. */
    setvbuf(stdout, NULL, _IOLBF, 0);

    int64_t deadline = now() + 10000;
    struct ipaddr addr;
    if (ipaddr_remote(&addr, "127.0.0.1", atoi(argv[1]), 0, deadline) < 0)
        fail("address");
    int tcp = tcp_connect(&addr, deadline);
    if (tcp < 0)
        fail("connect");
    char host[32];
    snprintf(host, sizeof host, "127.0.0.1:%d", ipaddr_port(&addr));
    int ws = ws_attach_client(tcp, WS_TEXT, "/", host, deadline);
    if (ws < 0)
        fail("handshake");
    printf("connected to ws://%s/\n", host);

    char line[4096];
    if (next < argc)
        while (next < argc) {
            say(ws, WS_TEXT, argv[next], strlen(argv[next]));
            next++;
        }
    else
        while (fgets(line, sizeof line, stdin))
            say(ws, WS_TEXT, line, strcspn(line, "\n"));

    if (bytes >= 0) {
        char *block = malloc((size_t)bytes + 1);
        if (!block)
            fail("memory");
        for (long i = 0; i < bytes; i++)
            block[i] = (char)i;
        say(ws, WS_BINARY, block, (size_t)bytes);
        free(block);
    }
    say_goodbye(ws);
    return 0;
}
