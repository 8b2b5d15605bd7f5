/* For tests in which a deadline or a cancellation interrupts at every byte of an exchange.

   What the peer sends is delivered up to a byte by writing no more of it. What we send is let out up to a
   byte by a gate in front of the system calls: when the gate has let its bytes out, it fills the socket with
   other bytes, so that the library finds it full. The peer drops that filling. */

#ifndef SWEEP_H
#define SWEEP_H

#include <sys/syscall.h>

#include "wire.h"

/* --- What interrupts --- */

enum interruption { DEADLINE_0, DEADLINE_NOW, CANCELLED, INTERRUPTIONS };

/* A call that can wait, and what came of it. The fields in front of the call are its arguments. */
struct interrupted_call {
    int s;
    void *buf;
    size_t len;
    int flags;
    long long (*call)(struct interrupted_call *self, int64_t deadline);
    long long rc;
    int err;
};

__attribute__((unused)) coroutine static void run_call(struct interrupted_call *self, int64_t deadline) {
    errno = 0;
    self->rc = self->call(self, deadline);
    self->err = errno;
}

/* Makes the call so that it ends where it would have to wait; returns what it returns. */
static inline long long interrupt(enum interruption how, struct interrupted_call *self) {
    if (how == CANCELLED) {
        int b = bundle();
        CHECK(b >= 0);
        CHECK_INT(bundle_go(b, run_call(self, -1)), 0);
        CHECK_INT(hclose(b), 0);
    } else {
        run_call(self, how == DEADLINE_0 ? 0 : now());
    }
    return self->rc;
}

static inline int interruption_errno(enum interruption how) { return how == CANCELLED ? ECANCELED : ETIMEDOUT; }

/* The call was interrupted. */
#define CHECK_INTERRUPTED(HOW, CALL) CHECK_ERR((errno = (CALL)->err, (CALL)->rc), -1, interruption_errno(HOW))

/* --- The gate --- */

static struct {
    int peer;       /* the descriptor that is never gated */
    int closed;     /* the gate is in force */
    size_t allowed; /* so many bytes still go out */
    size_t passed;  /* so many have gone out while it was in force */
    size_t filling; /* so many others were put behind them */
} gate;

static inline ssize_t gate_kernel(int fd, const struct msghdr *message, int flags) {
    return (ssize_t)syscall(SYS_sendmsg, fd, message, flags);
}

static inline void gate_fill(int fd) {
    static char block[4096];
    struct iovec iov = {block, sizeof(block)};
    struct msghdr message;
    ssize_t n;
    memset(&message, 0, sizeof(message));
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    while ((n = gate_kernel(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) gate.filling += (size_t)n;
}

/* The library's calls come here, for the program's symbols win over those of libc. */
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    static struct iovec iov[64]; /* coroutines have small stacks, and how much the library takes of them is measured */
    struct msghdr part = *message;
    size_t room = gate.allowed, count = 0;
    ssize_t n;
    if (!gate.closed || fd == gate.peer) return gate_kernel(fd, message, flags);
    if (room == 0) {
        gate_fill(fd);
        errno = EAGAIN;
        return -1;
    }
    for (; count != (size_t)message->msg_iovlen && count != 64 && room; ++count) {
        iov[count] = message->msg_iov[count];
        if (iov[count].iov_len > room) iov[count].iov_len = room;
        room -= iov[count].iov_len;
    }
    part.msg_iov = iov;
    part.msg_iovlen = count;
    n = gate_kernel(fd, &part, flags);
    if (n > 0) {
        gate.allowed -= (size_t)n;
        gate.passed += (size_t)n;
    }
    return n;
}

ssize_t send(int fd, const void *buf, size_t len, int flags) {
    struct iovec iov;
    struct msghdr message;
    iov.iov_base = (void *)(uintptr_t)buf;
    iov.iov_len = len;
    memset(&message, 0, sizeof(message));
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    return sendmsg(fd, &message, flags);
}

/* From here on so many bytes go out. */
static inline void gate_close(size_t allowed) {
    gate.closed = 1;
    gate.allowed = allowed;
    gate.passed = gate.filling = 0;
}

static inline void gate_open(void) { gate.closed = 0; }

typedef ssize_t (*peer_receive)(int fd, void *buf, size_t len, int flags);

/* Receives exactly len bytes, letting the library send meanwhile. buf NULL: drops them. */
static inline void peer_recv_by(peer_receive receive, int fd, void *buf, size_t len) {
    static char dropped[65536];
    int64_t deadline = now() + 10000;
    size_t done = 0;
    while (done != len) {
        size_t want = len - done;
        ssize_t n = buf ? receive(fd, (char *)buf + done, want, MSG_DONTWAIT)
                        : receive(fd, dropped, want < sizeof(dropped) ? want : sizeof(dropped), MSG_DONTWAIT);
        CHECK(n != 0);
        if (n < 0) {
            CHECK_INT(errno, EAGAIN);
            CHECK(now() < deadline);
            CHECK_INT(msleep(now() + 1), 0);
            continue;
        }
        done += (size_t)n;
    }
}

static inline void peer_recv(int fd, void *buf, size_t len) { peer_recv_by(recv, fd, buf, len); }

/* What went through the gate goes to buf, the filling is dropped, and the gate is open. Returns how much went
   through; over TLS, how much the whole records of that hold. */
static inline size_t gate_drain(void *buf) {
    size_t len = gate.passed;
    char *wire = (char *)malloc(len + 1);
    gate_open();
    peer_recv_by(raw_recv_wire, gate.peer, wire, gate.passed);
    peer_recv_by(raw_recv_wire, gate.peer, NULL, gate.filling);
    len = raw_open_wire(gate.peer, wire, len);
    if (buf) memcpy(buf, wire, len);
    free(wire);
    return len;
}

/* So much of what the library sends went through the gate, or over TLS so much at the most: what a record has
   beside its contents went through, too, and contents that have not come whole cannot be seen. */
#define CHECK_PASSED(PASSED, EXPECTED)                          \
    do {                                                        \
        if (OVER_TLS) CHECK((PASSED) <= (size_t)(EXPECTED));    \
        else CHECK_INT(PASSED, EXPECTED);                       \
    } while (0)

/* What small records have beside their contents, at the most. */
enum { SEALED = OVER_TLS ? 40 : 0 };

/* --- Connections --- */

/* Streams of our own, and one of the user's that passes on a byte at a time. */
enum transport { IPC, TCP, USER, OWN = USER, TRANSPORTS = OVER_TLS ? OWN : USER + 1 };

/* A stream and a plain peer. With a size, our kernel buffer is about that small; but under a stream of the user's
   it must have room for some hundred pieces of one byte. */
static inline int open_stream(enum transport transport, int *peer, int size) {
    struct ipaddr addr;
    int fds[2], s, on = 1;
    if (transport != TCP) {
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    } else {
        socklen_t len = sizeof(addr);
        int listener = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, 0), 0);
        CHECK_INT(bind(listener, ipaddr_sockaddr(&addr), (socklen_t)ipaddr_len(&addr)), 0);
        CHECK_INT(listen(listener, 1), 0);
        CHECK_INT(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
        fds[1] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_INT(connect(fds[1], (struct sockaddr *)&addr, len), 0);
        fds[0] = accept(listener, NULL, NULL);
        CHECK(fds[0] >= 0);
        CHECK_INT(setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
        CHECK_INT(close(listener), 0);
    }
    if (size && transport != USER) {
        CHECK_INT(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
        CHECK_INT(setsockopt(fds[1], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
    }
    set_receive_limit(fds[1]);
    *peer = gate.peer = fds[1];
    gate_open();
    s = transport == IPC ? ipc_fromfd(fds[0]) : transport == TCP ? tcp_fromfd(fds[0]) : byte_stream_make(fds[0]);
    CHECK(s >= 0);
    return secure_raw(s, fds[1]);
}

static inline void sweep_open(struct wire *w, enum transport transport, enum role role, int size) {
    w->role = role;
    w->ws = attach_without_http(open_stream(transport, &w->fd, size), role, WS_TEXT);
}

#define EACH_CONNECTION_OF(COUNT, TRANSPORT, ROLE)           \
    for (int TRANSPORT = 0; TRANSPORT != (COUNT); ++TRANSPORT) \
        for (int ROLE = CLIENT; ROLE <= SERVER; ++ROLE)

/* Every transport in every role. */
#define EACH_CONNECTION(TRANSPORT, ROLE) EACH_CONNECTION_OF(TRANSPORTS, TRANSPORT, ROLE)
#define EACH_OWN_CONNECTION(TRANSPORT, ROLE) EACH_CONNECTION_OF(OWN, TRANSPORT, ROLE)

/* Every kind of interruption in each of them. */
#define EACH_SWEEP(HOW, TRANSPORT, ROLE)     \
    for (int HOW = 0; HOW != INTERRUPTIONS; ++HOW) \
        EACH_CONNECTION(TRANSPORT, ROLE)

/* --- What must be as before --- */

/* Numbers of handles are used again: only a leak makes them grow beyond the first few hundred. */
static inline void check_no_handle_leaked(void) {
    int b = bundle();
    CHECK(b >= 0 && b < 256);
    CHECK_INT(hclose(b), 0);
}

/* A wait for a descriptor, after which the library has those that it needs for itself. */
static inline void warm_up(void) {
    int s[2];
    char c;
    make_ipc_pair(s);
    CHECK_ERR(brecv(s[0], &c, 1, now() + 1), -1, ETIMEDOUT);
    CHECK_INT(hclose(s[0]), 0);
    CHECK_INT(hclose(s[1]), 0);
}

/* Runs the statement, commas in it included, and checks that it leaves nothing open. */
#define CHECK_NOTHING_LEAKED(...)                  \
    do {                                           \
        int descriptors_;                          \
        warm_up();                                 \
        descriptors_ = open_descriptors();         \
        __VA_ARGS__;                               \
        CHECK_INT(open_descriptors(), descriptors_); \
        check_no_handle_leaked();                  \
    } while (0)

#endif
