/* A client that does what its arguments say, one after the other, and exits with 0 if everything
   went as it should.

   usage: client PORT PATH STEP...

   text:SIZE  binary:SIZE   send a message of that size, expect it back
   burst:COUNT              send so many messages before reading any of their echoes
   say:TEXT                 send a text message
   hear:TEXT                expect exactly this text message
   print:TEXT               print a line
   close:CODE:REASON        close, with a clean end of the TCP connection; code 0 is none
   closed:CODE:REASON       expect that the server closes so; answer with the same
   left:CODE:REASON         expect that the server closes so and does not wait for an answer
   lost                     expect that the connection breaks without a close frame */

#include "peer.h"

static void wrong(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* UTF-8 with characters of one to four bytes, exactly as long as asked for; in a binary message
   bytes of every value. */
static char *make_message(int flags, size_t size) {
    static const char text[] = "0123456789 \u00e4\u00f6\u00fc\u00df \u20acuro \U0001d11e ";
    char *msg = malloc(size + 1);
    if (!msg)
        fail("memory");
    size_t unit = sizeof text - 1;
    for (size_t i = 0; i < size; i++)
        if (flags == WS_BINARY)
            msg[i] = (char)(i * 7 + i / 251);
        else
            msg[i] = i < size / unit * unit ? text[i % unit] : '.';
    return msg;
}

static void round_trip(int ws, int flags, size_t size) {
    char *msg = make_message(flags, size), *back = malloc(size + 1);
    if (!back)
        fail("memory");
    if (ws_send(ws, flags, msg, size, now() + STEP) < 0)
        fail("send");
    int back_flags = -1;
    ssize_t len = ws_recv(ws, &back_flags, back, size + 1, now() + STEP);
    if (len < 0)
        fail("receive");
    if (back_flags != flags)
        wrong("the echo is of another type");
    if ((size_t)len != size || memcmp(msg, back, size) != 0)
        wrong("the echo differs");
    free(msg);
    free(back);
}

static void burst(int ws, int count) {
    char msg[64], back[64];
    for (int i = 0; i < count; i++) {
        int len = snprintf(msg, sizeof msg, "message %d", i);
        if (ws_send(ws, WS_TEXT, msg, (size_t)len, now() + STEP) < 0)
            fail("send");
    }
    for (int i = 0; i < count; i++) {
        int len = snprintf(msg, sizeof msg, "message %d", i);
        if (ws_recv(ws, NULL, back, sizeof back, now() + STEP) != len ||
            memcmp(msg, back, (size_t)len) != 0)
            wrong("an echo is missing");
    }
}

static void hear(int ws, const char *text) {
    char buf[512];
    int flags = -1;
    ssize_t len = ws_recv(ws, &flags, buf, sizeof buf, now() + STEP);
    if (len < 0)
        fail("receive");
    if (flags != WS_TEXT || (size_t)len != strlen(text) || memcmp(buf, text, (size_t)len) != 0) {
        fprintf(stderr, "heard \"%.*s\"\n", (int)len, buf);
        exit(1);
    }
}

static void expect_ending(int ws, int code, const char *reason) {
    struct ending e;
    if (ws_recv(ws, NULL, NULL, 0, now() + STEP) >= 0 || errno != EPIPE || read_ending(ws, &e) < 0)
        fail("no close frame");
    if (e.code != code || strcmp(e.reason, reason) != 0) {
        fprintf(stderr, "closed with %d \"%s\"\n", e.code, e.reason);
        exit(1);
    }
}

/* Carries out one step; returns whether the connection is over. */
static int carry_out(int ws, const char *step) {
    const char *colon = strchr(step, ':'), *arg = colon ? colon + 1 : "";
    size_t word = colon ? (size_t)(colon - step) : strlen(step);
    const char *reason = strchr(arg, ':') ? strchr(arg, ':') + 1 : "";
    int number = atoi(arg);
#define IS(name) (word == strlen(name) && memcmp(step, name, word) == 0)
    if (IS("text")) {
        round_trip(ws, WS_TEXT, (size_t)number);
    } else if (IS("binary")) {
        round_trip(ws, WS_BINARY, (size_t)number);
    } else if (IS("burst")) {
        burst(ws, number);
    } else if (IS("say")) {
        if (ws_send(ws, WS_TEXT, arg, strlen(arg), now() + STEP) < 0)
            fail("send");
    } else if (IS("hear")) {
        hear(ws, arg);
    } else if (IS("print")) {
        puts(arg);
        fflush(stdout);
    } else if (IS("close")) {
        if (finish(ws, number, reason) < 0)
            fail("close");
        return 1;
    } else if (IS("closed")) {
        expect_ending(ws, number, reason);
        if (finish(ws, number, reason) < 0)
            fail("close");
        return 1;
    } else if (IS("left")) {
        expect_ending(ws, number, reason);
        hclose(ws);
        return 1;
    } else if (IS("lost")) {
        if (ws_recv(ws, NULL, NULL, 0, now() + STEP) >= 0 || errno != ECONNRESET)
            fail("not lost");
        hclose(ws);
        return 1;
    } else {
        wrong("unknown step");
    }
#undef IS
    return 0;
}

int main(int argc, char *argv[]) {
    if (argc < 3)
        wrong("usage: client PORT PATH STEP...");
    int ws = connect_ws(atoi(argv[1]), argv[2]);
    for (int i = 3; i < argc; i++)
        if (carry_out(ws, argv[i]))
            return 0;
    if (finish(ws, 1000, "") < 0)
        fail("close");
    return 0;
}
