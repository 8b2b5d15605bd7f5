/* The load generator: raw sockets and epoll on one thread, every payload checked. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A server, and a proxy in front of it. */
enum { PROCESSES = 2 };

/* What the command line says. */
struct options {
    int port;
    long conns;         /* connections, or connects at a time */
    long outstanding;   /* messages on the way per connection */
    size_t size;        /* of a payload, in bytes */
    bool text;          /* mixed UTF-8 text instead of binary */
    bool raw;           /* no HTTP, and the bytes come back as they went */
    double warmup, seconds;
    long messages;      /* stop after so many at the latest */
    pid_t pids[PROCESSES];  /* those to account for; 0 behind the last */
    bool syscalls;      /* count their system calls (slows them down a little) */
    bool tls;           /* TLS 1.3 below */
    bool resume;        /* and sessions are resumed */
    bool records;       /* a record for each message, in place of one for all that leave together */
    bool deflate;       /* permessage-deflate is agreed upon */
    long slow;          /* so many of the connections read nothing during the measurement */
    bool spin;          /* never sleep: waking this program would cost the server time */
};

void run_echo(const struct options *o);
void run_connect(const struct options *o);
void run_idle(const struct options *o);
void run_sink(const struct options *o);
void run_broadcast(const struct options *o);
void run_deflate(const struct options *o);
void run_keepalive(const struct options *o);

/* messages.c: a ring of different messages, as they leave and as they must come back.
   Behind the ring lie the first `outstanding` messages again, so that any run of that many
   messages is contiguous. */
struct messages {
    size_t count;
    size_t size;                    /* payload */
    size_t sent_size, back_size;    /* payload and header, per message */
    uint8_t first;                  /* first byte of every header */
    uint8_t *sent, *back;
};

void make_messages(struct messages *m, const struct options *o);

/* account.c: processor time and system calls of the observed processes together. */
struct account {
    uint64_t wall_ns, cpu_ns, syscalls;
};

void account_open(const struct options *o);
struct account account_now(void);
struct account account_since(struct account start);

/* Their resident memory in bytes. */
uint64_t account_resident(void);

/* latency.c: a histogram with a resolution of 1.6 %. */
void latency_reset(void);
void latency_add(uint64_t ns, uint64_t times);
double latency_us(double quantile);

/* poll.c: the poller, and connections from 127.0.0.1 to the server. */
/* Never waits where the options say so. */
void poll_open(const struct options *o);
void poll_control(int op, int fd, uint32_t events, void *data);

/* At least one event, or the end of the program when there is none for 5 s. */
int poll_wait(void *events, int max);

/* Events that come within so many milliseconds, if any. */
int poll_some(void *events, int max, int milliseconds);

/* Time spent on anything else than waiting for events, in all. */
uint64_t poll_busy_ns(void);

/* Starts to connect, without waiting. */
int connect_start(int port);

/* Connects and upgrades n connections, a few at a time; then they are non-blocking. */
void connect_all(const struct options *o, int *fds);

#endif
