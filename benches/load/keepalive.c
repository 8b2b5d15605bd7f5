/* Connections that say nothing and answer the server's pings. */
#define _GNU_SOURCE
#include "load.h"
#include "../common/frame.h"
#include "../common/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PING = 9, PONG = 10, SMALL = 125 };

static uint64_t pings;

/* Pings come one at a time, and whole. */
static void answer(int fd)
{
    uint8_t in[2 + SMALL], out[HEAD_MAX + SMALL];
    const uint32_t mask = 0x64636261;
    ssize_t got = recv(fd, in, sizeof in, 0);
    errno = 0;
    if(got < 2 || in[0] != (FIN | PING) || got != 2 + in[1]) die("no ping");
    size_t head = put_head(out, FIN | PONG, in[1], &mask);
    mask_copy(out + head, in + 2, in[1], mask);
    send_all(fd, out, head + in[1]);
    pings++;
}

static void run_until(uint64_t end)
{
    struct epoll_event events[256];
    for(uint64_t now; (now = clock_ns(CLOCK_MONOTONIC)) < end;) {
        int n = poll_some(events, 256, (int)((end - now) / 1000000) + 1);
        for(int i = 0; i < n; i++) answer(*(int *)events[i].data.ptr);
    }
}

void run_keepalive(const struct options *o)
{
    int *fds = calloc((size_t)o->conns, sizeof *fds);
    if(!fds) die("calloc");
    connect_all(o, fds);
    for(long i = 0; i < o->conns; i++) poll_control(EPOLL_CTL_ADD, fds[i], EPOLLIN, &fds[i]);
    run_until(clock_ns(CLOCK_MONOTONIC) + (uint64_t)(o->warmup * 1e9));
    pings = 0;
    struct account start = account_now();
    run_until(start.wall_ns + (uint64_t)(o->seconds * 1e9));
    struct account used = account_since(start);
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"cpu_ns\": %llu, \"syscalls\": %llu}\n",
        (unsigned long long)pings, (double)used.wall_ns / 1e9, (unsigned long long)used.cpu_ns,
        (unsigned long long)used.syscalls);
    for(long i = 0; i < o->conns; i++) {
        struct linger reset = {.l_onoff = 1};
        setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fds[i]);
    }
}
