/* Connect, upgrade, close handshake, end of the connection; over and over. */
#define _GNU_SOURCE
#include "load.h"
#include "wire.h"
#include "../common/frame.h"
#include "../common/handshake.h"
#include "../common/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum state { CONNECTING, SECURING, UPGRADING, CLOSING, CLOSED };

struct connecting {
    int fd;
    enum state state;
    uint64_t started;
    size_t len;
    char in[HANDSHAKE_HEAD];
};

/* A close frame with status 1000, masked with a key of zeros. */
static const uint8_t close_frame[] = {FIN | CLOSE, MASKED | 2, 0, 0, 0, 0, 1000 >> 8, 1000 & 0xff};

static uint64_t started, done, limit;

static void start(struct connecting *c, int port)
{
    c->fd = connect_start(port);
    c->state = CONNECTING;
    c->len = 0;
    c->started = clock_ns(CLOCK_MONOTONIC);
    started++;
    poll_control(EPOLL_CTL_ADD, c->fd, EPOLLOUT, c);
}

/* The other side has closed already: a reset leaves nothing behind in TIME_WAIT. */
static void end(struct connecting *c)
{
    struct linger reset = {.l_onoff = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    wire_forget(c->fd);
    close(c->fd);
    c->fd = -1;
    latency_add(clock_ns(CLOCK_MONOTONIC) - c->started, 1);
    done++;
}

static void connected(struct connecting *c)
{
    int error;
    socklen_t size = sizeof error;
    if(getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size)) die("getsockopt");
    errno = error;
    if(error) die("connect");
    c->state = SECURING;
    poll_control(EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
}

static void request(struct connecting *c)
{
    wire_send_all(c->fd, HANDSHAKE_REQUEST, sizeof HANDSHAKE_REQUEST - 1);
    c->state = UPGRADING;
}

/* Looks for the whole answer; then sends the close frame. */
static void upgraded(struct connecting *c)
{
    char *after = memmem(c->in, c->len, "\r\n\r\n", 4);
    if(!after) return;
    errno = 0;
    if(strncmp(c->in, "HTTP/1.1 101 ", 13) != 0 || !memmem(c->in, c->len, HANDSHAKE_ACCEPT, 28))
        die("handshake refused");
    after += 4;
    c->len -= (size_t)(after - c->in);
    memmove(c->in, after, c->len);
    wire_send_all(c->fd, close_frame, sizeof close_frame);
    c->state = CLOSING;
}

static void closing(struct connecting *c)
{
    const uint8_t *frame = (const uint8_t *)c->in;
    if(c->len < 2 || c->len < 2u + frame[1]) return;
    errno = 0;
    if(frame[0] != (FIN | CLOSE)) die("no close frame");
    c->state = CLOSED;
}

static void step(struct connecting *c)
{
    if(c->state == CONNECTING) connected(c);
    if(c->state == SECURING) {
        if(wire_handshake(c->fd)) request(c);
        return;
    }
    /* Over TLS the end may have been taken from the socket together with the close frame. */
    while(c->fd >= 0) {
        ssize_t got = wire_recv(c->fd, c->in + c->len, sizeof c->in - c->len);
        if(got < 0 && errno == EAGAIN) return;
        if(got > 0) {
            c->len += (size_t)got;
            if(c->state == UPGRADING) upgraded(c);
            if(c->state == CLOSING) closing(c);
        } else if(c->state == CLOSED) {
            end(c);
        } else {
            die("the server ended the connection early");
        }
    }
}

static void run_until(const struct options *o, struct connecting *conns, double seconds,
    uint64_t count)
{
    struct epoll_event events[256];
    uint64_t stop = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
    limit = count;
    for(long i = 0; i < o->conns && started < limit; i++)
        if(conns[i].fd < 0) start(&conns[i], o->port);
    while(done < started) {
        int n = poll_wait(events, 256);
        bool late = clock_ns(CLOCK_MONOTONIC) >= stop;
        for(int i = 0; i < n; i++) {
            struct connecting *c = events[i].data.ptr;
            step(c);
            if(c->fd < 0 && started < limit && !late) start(c, o->port);
        }
    }
}

void run_connect(const struct options *o)
{
    struct connecting *conns = calloc((size_t)o->conns, sizeof *conns);
    if(!conns) die("calloc");
    for(long i = 0; i < o->conns; i++) conns[i].fd = -1;
    run_until(o, conns, o->warmup, (uint64_t)o->messages / 10 + 1);
    latency_reset();
    uint64_t before = done;
    struct account start = account_now();
    run_until(o, conns, o->seconds, before + (uint64_t)o->messages);
    struct account used = account_since(start);
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"cpu_ns\": %llu, \"syscalls\": %llu, "
           "\"p50_us\": %.2f, \"p99_us\": %.2f}\n",
        (unsigned long long)(done - before), (double)used.wall_ns / 1e9,
        (unsigned long long)used.cpu_ns, (unsigned long long)used.syscalls, latency_us(0.5),
        latency_us(0.99));
}
