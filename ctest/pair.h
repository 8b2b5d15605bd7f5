/* Connected sockets: both ends ours, or ours against a plain descriptor that stands for a foreign peer. */

#ifndef PAIR_H
#define PAIR_H

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <libdill.h>

#include "over_tls.h"
#include "test.h"

/* A listener on a port of 127.0.0.1 that the kernel chose; its address goes to *addr. */
static inline int listen_somewhere(struct ipaddr *addr) {
    int s;
    CHECK_INT(ipaddr_local(addr, "127.0.0.1", 0, 0), 0);
    s = tcp_listen(addr, 10);
    CHECK(s >= 0);
    return s;
}

/* An address at which nobody listens, in no other process either: its port is taken. */
static inline void take_address(struct ipaddr *addr) {
    struct sockaddr_in in;
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    memset(&in, 0, sizeof(in));
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK_INT(bind(fd, (struct sockaddr *)&in, len), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    CHECK_INT(ipaddr_local(addr, "127.0.0.1", ntohs(in.sin_port), 0), 0);
}

static inline void make_tcp_pair(int s[2]) {
    struct ipaddr addr;
    int listener = listen_somewhere(&addr);
    s[0] = tcp_connect(&addr, now() + 5000);
    CHECK(s[0] >= 0);
    s[1] = tcp_accept(listener, NULL, now() + 5000);
    CHECK(s[1] >= 0);
    CHECK_INT(hclose(listener), 0);
    secure_pair(s);
}

static inline void make_ipc_pair(int s[2]) {
    CHECK_INT(ipc_pair(s), 0);
    secure_pair(s);
}

/* For tests that hold for every kind of stream. */
static void (*const make_stream_pair[])(int s[2]) = {make_tcp_pair, make_ipc_pair};
#define EACH_STREAM(S) \
    for (size_t each_ = 0; each_ != 2 && (make_stream_pair[each_](S), 1); ++each_)

static inline void set_receive_limit(int fd) {
    struct timeval limit = {5, 0};
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
}

/* A plain, blocking TCP descriptor connected to the address. */
static inline int raw_connect(const struct ipaddr *addr) {
    int fd = socket(ipaddr_family(addr), SOCK_STREAM, 0);
    int on = 1;
    CHECK(fd >= 0);
    CHECK_INT(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    CHECK_INT(connect(fd, ipaddr_sockaddr(addr), (socklen_t)ipaddr_len(addr)), 0);
    set_receive_limit(fd);
    return fd;
}

static inline void make_tcp_and_raw(int *s, int *fd) {
    struct ipaddr addr;
    int listener = listen_somewhere(&addr);
    *fd = raw_connect(&addr);
    *s = tcp_accept(listener, NULL, now() + 5000);
    CHECK(*s >= 0);
    CHECK_INT(hclose(listener), 0);
    *s = secure_raw(*s, *fd);
}

static inline void make_ipc_and_raw(int *s, int *fd) {
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    set_receive_limit(fds[1]);
    *s = ipc_fromfd(fds[0]);
    CHECK(*s >= 0);
    *fd = fds[1];
    *s = secure_raw(*s, *fd);
}

/* The other end of a TCP connection, if this process has it; or else -1. */
static inline int raw_other_end(int fd) {
    struct sockaddr_in name, peer;
    socklen_t len = sizeof(name);
    if (getsockname(fd, (struct sockaddr *)&name, &len) != 0 || name.sin_family != AF_INET) return -1;
    for (int other = 0; other != 1024; ++other) {
        len = sizeof(peer);
        if (getpeername(other, (struct sockaddr *)&peer, &len) == 0 && peer.sin_family == AF_INET &&
            peer.sin_port == name.sin_port && peer.sin_addr.s_addr == name.sin_addr.s_addr)
            return other;
    }
    return -1;
}

/* Bytes that a TCP socket has sent and received; the end counts as one. False: the kernel does not count them, or it is
   none. */
static inline int raw_count(int fd, uint64_t *sent, uint64_t *received) {
    /* tcpi_state, tcpi_bytes_received, tcpi_bytes_sent, tcpi_bytes_retrans of <linux/tcp.h> */
    uint64_t info[27];
    socklen_t len = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) != 0 || len < sizeof(info)) return 0;
    int state = *(const unsigned char *)info;
    *received = info[16];
    *sent = info[25] - info[26] + (state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT);
    return 1;
}

/* Waits until what one end of a TCP connection has sent has arrived at the other. Mostly it has when the call
   returns, but the kernel of a busy machine may be late. */
static inline void raw_wait_for_arrival(int from, int to) {
    uint64_t sent, received, other;
    for (int i = 0; from >= 0 && to >= 0 && i != 1000; ++i) {
        if (!raw_count(from, &sent, &other) || !raw_count(to, &other, &received) || received >= sent) return;
        usleep(i < 100 ? 10 : 1000);
    }
}

static inline void raw_send(int fd, const void *buf, size_t len) {
    CHECK_INT(raw_send_some(fd, buf, len, MSG_NOSIGNAL), len);
    raw_wait_for_arrival(fd, raw_other_end(fd));
}

/* Receives exactly len bytes. The yield lets the library send what it may have gathered. */
static inline void raw_recv(int fd, void *buf, size_t len) {
    CHECK_INT(yield(), 0);
    if (len) CHECK_INT(recv(fd, buf, len, MSG_WAITALL), len);
}

/* The bytes that have arrived by now, without waiting; -1 if the connection was reset, 0 at its end. */
static inline ssize_t raw_peek(int fd, void *buf, size_t len) {
    CHECK_INT(yield(), 0);
    raw_wait_for_arrival(raw_other_end(fd), fd);
    return recv(fd, buf, len, MSG_DONTWAIT | MSG_PEEK);
}

/* The connection of the plain peer is over, gracefully or not, with nothing left to read. */
static inline int raw_is_closed(int fd) {
    char c;
    ssize_t n;
    CHECK_INT(yield(), 0);
    n = recv(fd, &c, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

/* Nothing has been sent to the plain peer, and the connection is still open. */
#define CHECK_RAW_SILENT(FD) \
    do { \
        char silent_[64]; \
        CHECK_ERR(raw_peek(FD, silent_, sizeof(silent_)), -1, EAGAIN); \
    } while (0)

/* The plain peer sees a graceful end of the stream, with nothing in front of it. */
#define CHECK_RAW_END(FD) \
    do { \
        char end_[64]; \
        CHECK_INT(yield(), 0); \
        CHECK_INT(recv(FD, end_, sizeof(end_), 0), 0); \
    } while (0)

/* Fills the send buffer of a handle until nothing more goes out; poisons its sending half. */
static inline void fill_stream(int s) {
    static char block[65536];
    while (bsend(s, block, sizeof(block), now() + 20) == 0) continue;
    CHECK_INT(errno, ETIMEDOUT);
}

/* Waits until what the TCP sockets of this process have sent to each other has arrived, their ends among it. */
static inline void wait_until_arrived(void) {
    for (int fd = 0; fd != 1024; ++fd) raw_wait_for_arrival(fd, raw_other_end(fd));
}

/* Waits until poll tells one of the events, or an error, of a socket of this process. */
static inline void wait_for_a_socket(short events) {
    struct pollfd sockets[1024];
    nfds_t count = 0;
    for (int fd = 0; fd != 1024; ++fd) {
        int type;
        socklen_t len = sizeof(type);
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0) continue;
        sockets[count].fd = fd;
        sockets[count++].events = events;
    }
    CHECK(poll(sockets, count, -1) > 0);
}

/* A datagram has come, or somebody to be accepted. */
static inline void wait_until_readable(void) { wait_for_a_socket(POLLIN); }

/* A reset has come. */
static inline void wait_until_broken(void) { wait_for_a_socket(0); }

/* Descriptors of this process that are open. */
static inline int open_descriptors(void) {
    int count = 0, fd;
    for (fd = 0; fd != 1024; ++fd)
        if (fcntl(fd, F_GETFD) >= 0) ++count;
    return count;
}

#endif
