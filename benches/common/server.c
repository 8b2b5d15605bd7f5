#define _GNU_SOURCE
#include "server.h"
#include "handshake.h"
#include "net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 256 * 1024 };

static int poller;
static uint8_t space[SERVER_MARGIN + BUFFER + SERVER_MARGIN] __attribute__((aligned(64)));

static void control(int op, int fd, uint32_t events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    if(epoll_ctl(poller, op, fd, &event)) die("epoll_ctl");
}

static void keep(struct conn *c, const uint8_t *from, size_t len)
{
    c->unsent = malloc(len);
    if(!c->unsent) die("malloc");
    memcpy(c->unsent, from, len);
    c->unsent_len = len;
    c->unsent_off = 0;
    control(EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
}

int conn_send(struct conn *c, const uint8_t *from, size_t len)
{
    ssize_t sent = send(c->fd, from, len, MSG_NOSIGNAL);
    if(sent < 0 && errno != EAGAIN) return -1;
    if(sent < 0) sent = 0;
    if((size_t)sent < len) keep(c, from + sent, len - (size_t)sent);
    return 0;
}

static int send_rest(struct conn *c)
{
    const uint8_t *from = c->unsent + c->unsent_off;
    ssize_t sent = send(c->fd, from, c->unsent_len - c->unsent_off, MSG_NOSIGNAL);
    if(sent < 0) return errno == EAGAIN ? 0 : -1;
    c->unsent_off += (size_t)sent;
    if(c->unsent_off < c->unsent_len) return 0;
    free(c->unsent);
    c->unsent = NULL;
    control(EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    return 0;
}

static int upgrade(struct conn *c, const struct protocol *protocol)
{
    char head[HANDSHAKE_HEAD], answer[HANDSHAKE_ANSWER];
    ssize_t got = recv(c->fd, head, sizeof head, 0);
    if(got <= 0) return -1;
    size_t len = handshake_answer(head, (size_t)got, answer);
    if(len == 0 || send(c->fd, answer, len, MSG_NOSIGNAL) != (ssize_t)len) return -1;
    c->upgraded = true;
    return protocol->opened ? protocol->opened(c) : 0;
}

static int readable(struct conn *c, const struct protocol *protocol)
{
    uint8_t *buffer = space + SERVER_MARGIN;
    ssize_t got = recv(c->fd, buffer, BUFFER, 0);
    if(got <= 0) return got < 0 && errno == EAGAIN ? 0 : -1;
    return protocol->received(c, buffer, buffer + got);
}

static void accept_one(int listener, const struct protocol *protocol)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if(fd < 0) {
        if(errno == EAGAIN || errno == ECONNABORTED) return;
        die("accept");
    }
    struct conn *c = calloc(1, protocol->conn_size);
    if(!c) die("calloc");
    c->fd = fd;
    c->upgraded = !protocol->handshake;
    control(EPOLL_CTL_ADD, fd, EPOLLIN, c);
}

static void step(struct conn *c, const struct protocol *protocol)
{
    int rc;
    if(!c->upgraded) rc = upgrade(c, protocol);
    else if(c->unsent) rc = send_rest(c);
    else rc = readable(c, protocol);
    if(rc == 0 && (!c->closing || c->unsent)) return;
    if(c->upgraded && protocol->closed) protocol->closed(c);
    close(c->fd);
    free(c->unsent);
    free(c);
}

_Noreturn void serve(int port, const struct protocol *protocol)
{
    struct epoll_event events[256];
    int listener = listen_on(port);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if(poller < 0) die("epoll_create1");
    control(EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for(;;) {
        int n = epoll_wait(poller, events, 256, -1);
        if(n < 0 && errno != EINTR) die("epoll_wait");
        for(int i = 0; i < n; i++) {
            if(events[i].data.ptr) step(events[i].data.ptr, protocol);
            else accept_one(listener, protocol);
        }
    }
}
