/* The server that clients send to: upgrades one connection, checks every message, answers
   nothing until the client closes. */
#define _GNU_SOURCE
#include "load.h"
#include "../common/frame.h"
#include "../common/handshake.h"
#include "../common/net.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 512 * 1024 };

struct inbound {
    uint8_t *expected;
    size_t size;
    uint64_t messages;
    uint8_t head[HEAD_MAX], head_len;
    uint64_t payload_left;
    size_t offset;
    uint32_t mask;
    bool closed;
};

_Noreturn static void bad(const struct inbound *s, const char *what)
{
    fprintf(stderr, "message %llu: %s\n", (unsigned long long)s->messages, what);
    exit(3);
}

static void begin(struct inbound *s)
{
    s->head_len = 0;
    if(!(s->head[1] & MASKED)) bad(s, "is not masked");
    s->payload_left = head_payload(s->head);
    s->offset = 0;
    memcpy(&s->mask, s->head + head_size(s->head[1]) - 4, 4);
    if(s->head[0] == (FIN | CLOSE)) {
        s->closed = true;
        return;
    }
    if(s->head[0] != (FIN | BINARY)) bad(s, "wrong frame header");
    if(s->payload_left != s->size) bad(s, "wrong size");
    sink_number(s->expected, s->size, s->messages);
}

static void check(struct inbound *s, const uint8_t *in, size_t len)
{
    while(len > 0 && !s->closed) {
        if(s->payload_left == 0) {
            s->head[s->head_len++] = *in++;
            len--;
            if(s->head_len < 2 || s->head_len < head_size(s->head[1])) continue;
            begin(s);
        }
        if(s->closed) break;
        size_t n = s->payload_left < len ? (size_t)s->payload_left : len;
        if(masked_differs(in, s->expected + s->offset, n, s->mask)) bad(s, "wrong payload");
        s->mask = mask_after(s->mask, n);
        s->payload_left -= n;
        s->offset += n;
        in += n;
        len -= n;
        if(s->payload_left == 0) s->messages++;
    }
}

static bool spin;

/* Twenty microseconds of anything but waiting for data: to wake this program, or to contend
   with it for the socket, would cost the client time. */
static void pause_shortly(void)
{
    const struct timespec pause = {.tv_nsec = 20000};
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + 20000;
    if(!spin) nanosleep(&pause, NULL);
    while(clock_ns(CLOCK_MONOTONIC) < end) {}
}

/* Receives what there is, and gives up after 10 s of nothing. */
static ssize_t receive(int fd, void *buf, size_t len)
{
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + 10000000000;
    do {
        ssize_t got = recv(fd, buf, len, MSG_DONTWAIT);
        if(got >= 0 || errno != EAGAIN) return got;
        pause_shortly();
    } while(clock_ns(CLOCK_MONOTONIC) < end);
    errno = 0;
    die("nothing arrived for 10 s");
}

static void upgrade(int fd)
{
    char head[HANDSHAKE_HEAD], answer[HANDSHAKE_ANSWER];
    size_t len = 0, answer_len;
    do {
        ssize_t got = receive(fd, head + len, sizeof head - len);
        if(got <= 0) die("handshake");
        len += (size_t)got;
    } while((answer_len = handshake_answer(head, len, answer)) == 0);
    send_all(fd, answer, answer_len);
}

void run_sink(const struct options *o)
{
    static const uint8_t close_frame[] = {FIN | CLOSE, 2, 1000 >> 8, 1000 & 0xff};
    struct inbound s = {.size = o->size, .expected = malloc(o->size + 1)};
    uint8_t *buffer = malloc(BUFFER);
    if(!s.expected || !buffer) die("malloc");
    sink_payload(s.expected, o->size);
    spin = o->spin;

    int listener = listen_on(o->port);
    struct pollfd p = {.fd = listener, .events = POLLIN};
    if(poll(&p, 1, 10000) != 1) die("no client for 10 s");
    int fd = accept(listener, NULL, NULL);
    if(fd < 0) die("accept");
    upgrade(fd);
    uint64_t start = clock_ns(CLOCK_MONOTONIC);
    while(!s.closed) {
        ssize_t got = receive(fd, buffer, BUFFER);
        if(got < 0) die("recv");
        if(got == 0) break;
        check(&s, buffer, (size_t)got);
    }
    uint64_t ns = clock_ns(CLOCK_MONOTONIC) - start;
    if(s.payload_left > 0 && !s.closed) bad(&s, "the connection ended in the middle");
    if(s.closed) send(fd, close_frame, sizeof close_frame, MSG_NOSIGNAL);
    close(fd);
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"closed\": %s}\n",
        (unsigned long long)s.messages, (double)ns / 1e9, s.closed ? "true" : "false");
}
