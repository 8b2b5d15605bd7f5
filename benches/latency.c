/* How long one client waits for its echo while others send without a pause.

       latency PORT FLOODERS LENGTH SECONDS

   The flooders send messages of LENGTH bytes, or pings if it is 0, as fast as the server takes them, and drop what comes
   back. Prints the median and the maximum of the round trips in milliseconds, and how many there were. */
#define _GNU_SOURCE
#include "common/frame.h"
#include "common/handshake.h"
#include "common/net.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, MAX_FLOODERS = 200, MAX_TRIPS = 1 << 20 };

static int port, flooders;
static uint8_t block[BLOCK];
static size_t block_len;
static uint64_t end;

static int attach(void)
{
    int fd = connect_to(port);
    handshake_as_client(fd);
    return fd;
}

static void fill_block(size_t len)
{
    const uint32_t mask = 0x64636261;
    while(block_len + HEAD_MAX + len + 4 < BLOCK) {
        block_len += put_head(block + block_len, FIN | (len ? BINARY : 9), len ? len : 4, &mask);
        memset(block + block_len, 'x', len ? len : 4);
        block_len += len ? len : 4;
    }
}

static void *flood(void *unused)
{
    static uint8_t dropped[BLOCK];
    static size_t at[MAX_FLOODERS];
    int fds[MAX_FLOODERS], epoll = epoll_create1(0);
    (void)unused;
    for(int i = 0; i < flooders; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u32 = (uint32_t)i};
        fds[i] = attach();
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
        if(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event)) die("epoll_ctl");
    }
    while(clock_ns(CLOCK_MONOTONIC) < end) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, 100);
        for(int k = 0; k < count; k++) {
            uint32_t i = events[k].data.u32;
            ssize_t n = send(fds[i], block + at[i], block_len - at[i], MSG_NOSIGNAL);
            if(n > 0) at[i] = (at[i] + (size_t)n) % block_len;
            while(recv(fds[i], dropped, sizeof dropped, 0) > 0) {}
        }
    }
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    static uint64_t trips[MAX_TRIPS];
    size_t count = 0;
    pthread_t thread;
    if(argc != 5) {
        fprintf(stderr, "usage: %s PORT FLOODERS LENGTH SECONDS\n", argv[0]);
        return 2;
    }
    port = (int)number(argv[1], 1, 65535);
    flooders = (int)number(argv[2], 0, MAX_FLOODERS);
    fill_block((size_t)number(argv[3], 0, 65536));
    int fd = attach();
    end = clock_ns(CLOCK_MONOTONIC) + (uint64_t)number(argv[4], 1, 3600) * 1000000000u;
    if(pthread_create(&thread, NULL, flood, NULL)) die("pthread_create");
    /* The one that is measured does not wait for the flooders' turn on the processor, where that may be asked for. */
    const struct sched_param first = {.sched_priority = 1};
    sched_setscheduler(0, SCHED_FIFO, &first);
    usleep(200000);
    for(uint64_t now; (now = clock_ns(CLOCK_MONOTONIC)) < end && count < MAX_TRIPS;) {
        static const uint8_t question[] = {FIN | BINARY, MASKED | 1, 0, 0, 0, 0, '?'};
        uint8_t answer[3];
        send_all(fd, question, sizeof question);
        if(recv(fd, answer, sizeof answer, MSG_WAITALL) != sizeof answer || answer[2] != '?') die("echo");
        trips[count++] = clock_ns(CLOCK_MONOTONIC) - now;
        usleep(1000);
    }
    pthread_join(thread, NULL);
    qsort(trips, count, sizeof trips[0], by_size);
    printf("%.3f %.3f %zu\n", (double)trips[count / 2] / 1e6, (double)trips[count - 1] / 1e6, count);
    return 0;
}
