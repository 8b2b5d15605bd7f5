/* A single-threaded, level-triggered epoll loop for the servers written in C. */
#ifndef BENCH_SERVER_H
#define BENCH_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The head of every protocol's connection structure. */
struct conn {
    int fd;
    bool upgraded;
    bool closing;           /* set by the protocol: close once everything is sent */
    uint8_t *unsent;        /* what the kernel did not take */
    size_t unsent_len, unsent_off;
};

/* What a protocol does with its connections. The functions return 0, or -1 to have the
   connection closed at once. Nothing is read while something is unsent. */
struct protocol {
    size_t conn_size;               /* of the structure that begins with struct conn; zeroed */
    bool handshake;                 /* answer an HTTP upgrade first */
    int (*opened)(struct conn *);   /* upgraded; may be NULL */
    int (*received)(struct conn *, uint8_t *begin, uint8_t *end);
    void (*closed)(struct conn *);  /* after opened; may be NULL */
};

/* What is received lies in one buffer that all connections share; so many bytes in front of
   it and behind it are the protocol's to use. */
enum { SERVER_MARGIN = 64 };

/* Serves on 127.0.0.1:port until the process is killed. */
_Noreturn void serve(int port, const struct protocol *protocol);

/* One send; what the kernel does not take is copied and follows later. */
int conn_send(struct conn *c, const uint8_t *from, size_t len);

#endif
