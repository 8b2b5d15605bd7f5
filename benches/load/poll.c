#define _GNU_SOURCE
#include "load.h"
#include "wire.h"
#include "../common/handshake.h"
#include "../common/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static int poller;
static bool spin;
static uint64_t last_event, busy_ns;    /* when the last wait ended; time between waits */

void poll_open(const struct options *o)
{
    spin = o->spin;
    poller = epoll_create1(EPOLL_CLOEXEC);
    if(poller < 0) die("epoll_create1");
}

void poll_control(int op, int fd, uint32_t events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    if(epoll_ctl(poller, op, fd, &event)) die("epoll_ctl");
}

int poll_wait(void *events, int max)
{
    uint64_t start = clock_ns(CLOCK_MONOTONIC), now = start;
    if(last_event) busy_ns += start - last_event;
    for(;;) {
        int n = epoll_wait(poller, events, max, spin ? 0 : 5000);
        if(n < 0 && errno != EINTR) die("epoll_wait");
        now = clock_ns(CLOCK_MONOTONIC);
        if(n > 0) {
            last_event = now;
            return n;
        }
        errno = 0;
        if(now - start > 5000000000) die("no answer for 5 s");
    }
}

int poll_some(void *events, int max, int milliseconds)
{
    int n = epoll_wait(poller, events, max, spin ? 0 : milliseconds);
    if(n < 0 && errno != EINTR) die("epoll_wait");
    return n;
}

uint64_t poll_busy_ns(void)
{
    return busy_ns;
}

int connect_start(int port)
{
    int on = 1;
    struct sockaddr_in addr = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if(fd < 0) die("socket");
    if(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) die("TCP_NODELAY");
    if(connect(fd, (struct sockaddr *)&addr, sizeof addr) && errno != EINPROGRESS) die("connect");
    return fd;
}

static void handshake(int fd)
{
    char head[HANDSHAKE_HEAD];
    size_t len = 0;
    wire_send_all(fd, HANDSHAKE_REQUEST, sizeof HANDSHAKE_REQUEST - 1);
    while(len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0) {
        if(len == sizeof head - 1 || wire_recv(fd, head + len, 1) != 1) die("handshake");
        len++;
    }
    head[len] = 0;
    errno = 0;
    if(strncmp(head, "HTTP/1.1 101 ", 13) != 0 || !strstr(head, HANDSHAKE_ACCEPT))
        die("handshake refused");
}

void connect_all(const struct options *o, int *fds)
{
    for(long i = 0; i < o->conns; i++) {
        fds[i] = connect_to(o->port);
        wire_secure(fds[i]);
        if(!o->raw) handshake(fds[i]);
        if(fcntl(fds[i], F_SETFL, O_NONBLOCK)) die("fcntl");
    }
}
