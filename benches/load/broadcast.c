/* N connections; what the first one says the server sends to all of them, the first among them. */
#define _GNU_SOURCE
#include "load.h"
#include "../common/net.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct messages ring;
static uint8_t *buffer;
static size_t next;

/* One message to the server, and one from it on each connection. */
static void turn(const int *fds, long conns)
{
    const uint8_t *back = ring.back + next * ring.back_size;
    send_all(fds[0], ring.sent + next * ring.sent_size, ring.sent_size);
    for(long i = 0; i < conns; i++) {
        if(recv(fds[i], buffer, ring.back_size, MSG_WAITALL) != (ssize_t)ring.back_size) die("recv");
        if(memcmp(buffer, back, ring.back_size) != 0) {
            fprintf(stderr, "connection %ld: wrong message\n", i);
            exit(3);
        }
    }
    next = (next + 1) % ring.count;
}

static uint64_t run_for(const int *fds, const struct options *o, double seconds)
{
    uint64_t messages = 0, end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
    for(; messages < (uint64_t)o->messages && clock_ns(CLOCK_MONOTONIC) < end; messages += (uint64_t)o->conns)
        turn(fds, o->conns);
    return messages;
}

void run_broadcast(const struct options *o)
{
    struct timeval limit = {.tv_sec = 10};
    int *fds = calloc((size_t)o->conns, sizeof *fds);
    make_messages(&ring, o);
    buffer = malloc(ring.back_size);
    if(!fds || !buffer) die("malloc");
    connect_all(o, fds);
    for(long i = 0; i < o->conns; i++) {
        if(fcntl(fds[i], F_SETFL, 0)) die("fcntl");
        if(setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit)) die("SO_RCVTIMEO");
    }
    run_for(fds, o, o->warmup);
    struct account start = account_now();
    uint64_t messages = run_for(fds, o, o->seconds);
    struct account used = account_since(start);
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"cpu_ns\": %llu, \"syscalls\": %llu}\n",
        (unsigned long long)messages, (double)used.wall_ns / 1e9, (unsigned long long)used.cpu_ns,
        (unsigned long long)used.syscalls);
    for(long i = 0; i < o->conns; i++) close(fds[i]);
}
