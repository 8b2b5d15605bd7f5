/* Many connections, one echo on each; then they stay open until standard input ends. */
#define _GNU_SOURCE
#include "load.h"
#include "wire.h"
#include "../common/net.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void echo_once(int fd, const uint8_t *sent, const uint8_t *back, size_t back_size)
{
    uint8_t in[4096];
    wire_send_all(fd, sent, back_size + 4);
    for(size_t len = 0; len < back_size;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        errno = 0;
        if(poll(&p, 1, 5000) != 1) die("no answer for 5 s");
        ssize_t got = wire_recv(fd, in + len, back_size - len);
        if(got < 0 && errno == EAGAIN) continue;
        if(got <= 0) die("recv");
        len += (size_t)got;
    }
    errno = 0;
    if(memcmp(in, back, back_size) != 0) die("wrong payload");
}

void run_idle(const struct options *o)
{
    struct messages ring;
    int *fds = calloc((size_t)o->conns, sizeof *fds);
    if(!fds) die("calloc");
    make_messages(&ring, o);
    if(ring.back_size > 4096) die("--size is too large here");
    connect_all(o, fds);
    for(long i = 0; i < o->conns; i++) {
        size_t m = (size_t)i % ring.count;
        echo_once(fds[i], ring.sent + m * ring.sent_size, ring.back + m * ring.back_size,
            ring.back_size);
    }
    printf("{\"connections\": %ld}\n", o->conns);
    fflush(stdout);

    struct pollfd input = {.fd = 0, .events = POLLIN};
    poll(&input, 1, (int)(o->seconds * 1000));
    for(long i = 0; i < o->conns; i++) {
        struct linger reset = {.l_onoff = 1};
        setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fds[i]);
    }
}
