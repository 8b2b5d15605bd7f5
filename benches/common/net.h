/* What every C program of the benchmark needs: sockets on loopback, clocks, the end. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <stdint.h>
#include <time.h>

/* Prints what failed, and why, and ends the program. */
_Noreturn void die(const char *what);

/* Parses a number between min and max, or ends the program. */
long number(const char *text, long min, long max);

/* A listening socket on 127.0.0.1. Accepted sockets inherit its TCP_NODELAY. */
int listen_on(int port);

/* A connected, blocking socket with TCP_NODELAY; waits up to 5 s for a listener. */
int connect_to(int port);

/* Sends everything on a blocking socket. */
void send_all(int fd, const void *buf, size_t len);

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
