/* N connections with M messages on the way on each; the server sends every one back. */
#define _GNU_SOURCE
#include "load.h"
#include "wire.h"
#include "../common/frame.h"
#include "../common/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 512 * 1024 };

struct echo_conn {
    int fd;
    bool blocked;               /* the kernel takes no more for now */
    uint64_t asked;             /* messages that were started to be sent */
    uint64_t sent_bytes;        /* in all */
    uint64_t done;              /* messages that came back */
    size_t start;               /* this connection's first message in the ring */
    uint64_t *stamps;           /* when each message on the way left, by its number */
    /* A frame on its way in. */
    uint8_t head[HEAD_MAX], head_len;
    uint64_t payload_left;
    bool fragmented;            /* more frames of this message follow */
    size_t message_len;         /* bytes of the message so far */
};

static struct messages ring;
static uint8_t *buffer;
static uint64_t outstanding, total_done;
static bool raw, stopping;

_Noreturn static void bad(const struct echo_conn *c, const char *what)
{
    fprintf(stderr, "message %llu of a connection: %s\n", (unsigned long long)c->done, what);
    exit(3);
}

/* Keeps M messages on the way. */
static void ask(struct echo_conn *c)
{
    uint64_t target = stopping ? c->asked : c->done + outstanding;
    if(target > c->asked) {
        uint64_t now = clock_ns(CLOCK_MONOTONIC);
        for(; c->asked < target; c->asked++) c->stamps[c->asked % outstanding] = now;
    }
    uint64_t end = c->asked * ring.sent_size;
    while((c->sent_bytes < end || wire_is_full(c->fd)) && !c->blocked) {
        size_t message = (size_t)(c->sent_bytes / ring.sent_size);
        size_t offset = (c->start + message) % ring.count * ring.sent_size
                      + (size_t)(c->sent_bytes % ring.sent_size);
        ssize_t sent = wire_send(c->fd, ring.sent + offset, (size_t)(end - c->sent_bytes));
        if(sent < 0 && errno != EAGAIN) die("send");
        if(sent > 0) c->sent_bytes += (uint64_t)sent;
        if(c->sent_bytes < end || wire_is_full(c->fd)) {
            c->blocked = true;
            poll_control(EPOLL_CTL_MOD, c->fd, EPOLLIN | EPOLLOUT, c);
        }
    }
}

static void finish(struct echo_conn *c, uint64_t messages, uint64_t now)
{
    /* Messages that left together have the same stamp. */
    for(uint64_t i = 0, same; i < messages; i += same) {
        uint64_t left = c->stamps[(c->done + i) % outstanding];
        for(same = 1; i + same < messages; same++)
            if(c->stamps[(c->done + i + same) % outstanding] != left) break;
        latency_add(now - left, same);
    }
    c->done += messages;
    total_done += messages;
    if(c->done > c->asked) bad(c, "was never sent");
}

static const uint8_t *expected(const struct echo_conn *c)
{
    return ring.back + (c->start + c->done) % ring.count * ring.back_size;
}

/* Messages that arrived whole and byte for byte as they must; the usual case. */
static size_t check_whole(struct echo_conn *c, const uint8_t *in, size_t len, uint64_t now)
{
    uint64_t messages = len / ring.back_size;
    if(messages > outstanding) messages = outstanding;
    size_t bytes = (size_t)messages * ring.back_size;
    if(messages == 0 || memcmp(in, expected(c), bytes) != 0) return 0;
    finish(c, messages, now);
    return bytes;
}

/* The header of a frame, byte by byte. */
static void check_head(struct echo_conn *c, uint8_t byte)
{
    c->head[c->head_len++] = byte;
    if(c->head_len < 2 || c->head_len < head_size(c->head[1])) return;
    uint8_t opcode = c->fragmented ? 0 : ring.first & 0x0f;
    if((c->head[0] & ~FIN) != opcode || (c->head[1] & MASKED)) bad(c, "wrong frame header");
    c->payload_left = head_payload(c->head);
    if(c->payload_left > ring.size - c->message_len) bad(c, "too long");
    c->fragmented = !(c->head[0] & FIN);
    c->head_len = 0;
}

/* One piece of a frame, however the server cut its messages; how much of it was used. */
static size_t check_piece(struct echo_conn *c, const uint8_t *in, size_t len, uint64_t now)
{
    size_t n = 1;
    size_t skip = raw ? 0 : ring.back_size - ring.size;
    if(!raw && c->payload_left == 0) {
        check_head(c, *in);
        if(c->head_len > 0 || c->payload_left > 0) return 1;
    } else {
        n = raw ? ring.back_size - c->message_len : (size_t)c->payload_left;
        if(n > len) n = len;
        if(memcmp(in, expected(c) + skip + c->message_len, n) != 0) bad(c, "wrong payload");
        c->message_len += n;
        c->payload_left -= raw ? 0 : n;
    }
    bool end = raw ? c->message_len == ring.back_size : c->payload_left == 0 && !c->fragmented;
    if(!end) return n;
    if(skip + c->message_len != ring.back_size) bad(c, "too short");
    c->message_len = 0;
    finish(c, 1, now);
    return n;
}

static void readable(struct echo_conn *c)
{
    ssize_t got = wire_recv(c->fd, buffer, BUFFER);
    if(got == 0) bad(c, "the server closed the connection");
    if(got < 0 && errno != EAGAIN) die("recv");
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    for(ssize_t at = 0, used; at < got; at += used) {
        const uint8_t *in = buffer + at;
        size_t len = (size_t)(got - at);
        bool between = c->head_len == 0 && c->payload_left == 0 && c->message_len == 0
                    && !c->fragmented;
        used = between ? (ssize_t)check_whole(c, in, len, now) : 0;
        if(used == 0) used = (ssize_t)check_piece(c, in, len, now);
    }
    /* More may have been taken from the socket than there was room for. */
    if(got == BUFFER) readable(c);
}

static void turn(void)
{
    struct epoll_event events[256];
    int n = poll_wait(events, 256);
    for(int i = 0; i < n; i++) {
        struct echo_conn *c = events[i].data.ptr;
        if(events[i].events & EPOLLOUT) {
            c->blocked = false;
            poll_control(EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
        }
        if(events[i].events & ~(uint32_t)EPOLLOUT) readable(c);
        ask(c);
    }
}

/* Runs for so many seconds, and until no more than so many messages are done. */
static void run_for(double seconds, uint64_t messages)
{
    uint64_t end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
    while(total_done < messages && clock_ns(CLOCK_MONOTONIC) < end) turn();
}

void run_echo(const struct options *o)
{
    struct echo_conn *conns = calloc((size_t)o->conns, sizeof *conns);
    int *fds = calloc((size_t)o->conns, sizeof *fds);
    buffer = malloc(BUFFER);
    if(!conns || !fds || !buffer) die("malloc");
    make_messages(&ring, o);
    outstanding = (uint64_t)o->outstanding;
    raw = o->raw;
    if(o->records) wire_record_each(ring.sent_size);
    connect_all(o, fds);
    for(long i = 0; i < o->conns; i++) {
        struct echo_conn *c = &conns[i];
        c->fd = fds[i];
        c->start = (size_t)i * 7 % ring.count;
        c->stamps = calloc((size_t)o->outstanding, sizeof *c->stamps);
        if(!c->stamps) die("malloc");
        poll_control(EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
    }
    for(long i = 0; i < o->conns; i++) ask(&conns[i]);

    run_for(o->warmup, (uint64_t)o->messages / 2);
    latency_reset();
    uint64_t before = total_done;
    uint64_t busy = poll_busy_ns();
    struct account start = account_now();
    run_for(o->seconds, (uint64_t)o->messages);
    struct account used = account_since(start);
    busy = poll_busy_ns() - busy;
    uint64_t messages = total_done - before;

    printf("{\"messages\": %llu, \"seconds\": %.6f, \"cpu_ns\": %llu, \"busy_ns\": %llu, "
           "\"syscalls\": %llu, \"p50_us\": %.2f, \"p99_us\": %.2f}\n",
        (unsigned long long)messages, (double)used.wall_ns / 1e9, (unsigned long long)used.cpu_ns,
        (unsigned long long)busy, (unsigned long long)used.syscalls, latency_us(0.5),
        latency_us(0.99));

    stopping = true;
    uint64_t left = 0;
    for(long i = 0; i < o->conns; i++) left += conns[i].asked - conns[i].done;
    for(uint64_t end = total_done + left; total_done < end;) turn();
    for(long i = 0; i < o->conns; i++) close(fds[i]);
}
