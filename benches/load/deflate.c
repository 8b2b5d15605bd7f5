/* N connections with permessage-deflate, without context takeover, and one message on the way on each: the server
   sends it back. What comes back is decompressed and compared, and its length is counted. */
#define _GNU_SOURCE
#include "load.h"
#include "packed.h"
#include "../common/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct packed ring[PACKED_RING];
static uint64_t wire;

static uint64_t run_for(const int *fds, const struct options *o, double seconds)
{
    uint64_t messages = 0, end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
    for(unsigned at = 0; messages < (uint64_t)o->messages && clock_ns(CLOCK_MONOTONIC) < end; at++) {
        for(long i = 0; i < o->conns; i++) {
            const struct packed *message = &ring[(at + (unsigned)i) % PACKED_RING];
            send_all(fds[i], message->frame, message->frame_len);
        }
        for(long i = 0; i < o->conns; i++)
            wire += packed_receive(fds[i], &ring[(at + (unsigned)i) % PACKED_RING], NULL);
        messages += (uint64_t)o->conns;
    }
    return messages;
}

void run_deflate(const struct options *o)
{
    struct timeval limit = {.tv_sec = 10};
    int *fds = calloc((size_t)o->conns, sizeof *fds);
    if(!fds) die("malloc");
    packed_messages(ring, o->size);
    for(long i = 0; i < o->conns; i++) {
        fds[i] = connect_to(o->port);
        if(setsockopt(fds[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit)) die("SO_RCVTIMEO");
        packed_upgrade(fds[i]);
    }
    run_for(fds, o, o->warmup);
    wire = 0;
    struct account start = account_now();
    uint64_t messages = run_for(fds, o, o->seconds);
    struct account used = account_since(start);
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"cpu_ns\": %llu, \"syscalls\": %llu, \"wire_bytes\": %llu}\n",
        (unsigned long long)messages, (double)used.wall_ns / 1e9, (unsigned long long)used.cpu_ns,
        (unsigned long long)used.syscalls, (unsigned long long)wire);
    for(long i = 0; i < o->conns; i++) close(fds[i]);
}
