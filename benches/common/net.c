#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

_Noreturn void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(1);
}

long number(const char *text, long min, long max)
{
    char *end;
    long value = strtol(text, &end, 10);
    if(*text == 0 || *end != 0 || value < min || value > max) {
        fprintf(stderr, "'%s' is not a number from %ld to %ld\n", text, min, max);
        exit(2);
    }
    return value;
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static int tcp_socket(int option_level, int option)
{
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if(fd < 0) die("socket");
    if(setsockopt(fd, option_level, option, &on, sizeof on)) die("setsockopt");
    return fd;
}

int listen_on(int port)
{
    int on = 1;
    struct sockaddr_in addr = loopback(port);
    int fd = tcp_socket(SOL_SOCKET, SO_REUSEADDR);
    if(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) die("TCP_NODELAY");
    if(bind(fd, (struct sockaddr *)&addr, sizeof addr)) die("bind");
    if(listen(fd, 1024)) die("listen");
    return fd;
}

int connect_to(int port)
{
    struct sockaddr_in addr = loopback(port);
    for(int attempt = 0; attempt < 500; attempt++) {
        int fd = tcp_socket(IPPROTO_TCP, TCP_NODELAY);
        if(connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0) return fd;
        if(errno != ECONNREFUSED) break;
        close(fd);
        usleep(10000);
    }
    die("connect");
}

void send_all(int fd, const void *buf, size_t len)
{
    const char *from = buf;
    while(len > 0) {
        ssize_t sent = send(fd, from, len, MSG_NOSIGNAL);
        if(sent < 0 && errno == EINTR) continue;
        if(sent < 0) die("send");
        from += sent;
        len -= (size_t)sent;
    }
}
