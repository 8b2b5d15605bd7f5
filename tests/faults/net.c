/* Connections, listeners, datagrams, names, and descriptors that are taken over. */

#include <netinet/in.h>
#include <sys/socket.h>

#include "pairs.h"

/* --- Bytes --- */

enum { LARGE = 300000 };
static char large[LARGE];

/* A graceful close lets what was sent arrive. */
static void close_gracefully(int s) {
    if (tcp_done(s, deadline()) == 0)
        CALL(tcp_close, s, deadline());
    else
        CALL(hclose, s);
}

static void send_bytes(int s) {
    char buf[3] = "";
    struct iolist second = {large, LARGE, NULL, 0}, first = {buf, 3, &second, 0};
    if (CALL(bsend, s, "one", 3, deadline()) == 0 && CALL(brecv, s, buf, 3, deadline()) == 0) {
        MUST(memcmp(buf, "two", 3) == 0);
        CALL(bsendl, s, &first, &second, deadline());
    }
    close_gracefully(s);
}

static void receive_bytes(int s) {
    static char place[LARGE];
    char buf[3] = "";
    struct iolist second = {place, LARGE, NULL, 0}, first = {buf, 3, &second, 0};
    if (CALL(brecv, s, buf, 3, deadline()) == 0) {
        MUST(memcmp(buf, "one", 3) == 0);
        if (CALL(bsend, s, "two", 3, deadline()) == 0) CALL(brecvl, s, &first, &second, deadline());
    }
    close_gracefully(s);
}

SCENARIO(bytes_by_tcp) { converse(TCP, send_bytes, receive_bytes); }
SCENARIO(bytes_by_ipc) { converse(IPC, send_bytes, receive_bytes); }

/* Both ends end gracefully. */
static void close_tcp(int s) {
    CALL(bsend, s, "bye", 3, deadline());
    CALL(tcp_done, s, deadline());
    CALL(tcp_close, s, deadline());
}
static void await_end_of_tcp(int s) {
    char buf[3];
    CALL(brecv, s, buf, 3, deadline());
    CALL_EXPECTING(EPIPE, brecv, s, buf, 1, deadline());
    CALL(tcp_close, s, deadline());
}
SCENARIO(graceful_close_of_tcp) { converse(TCP, close_tcp, await_end_of_tcp); }

static void close_ipc(int s) { CALL(ipc_close, s, deadline()); }
static void await_end_of_ipc(int s) {
    char c;
    CALL_EXPECTING(EPIPE, brecv, s, &c, 1, deadline());
    CALL(ipc_close, s, deadline());
}
SCENARIO(graceful_close_of_ipc) { converse(IPC, close_ipc, await_end_of_ipc); }

static void send_descriptor(int s) {
    CALL(ipc_sendfd, s, 0, deadline());
    CALL(hclose, s);
}
static void receive_descriptor(int s) {
    int fd = (int)CALL(ipc_recvfd, s, deadline());
    if (fd >= 0) close(fd);
    CALL(hclose, s);
}
SCENARIO(passing_a_descriptor) { converse(IPC, send_descriptor, receive_descriptor); }

/* --- Accepting --- */

coroutine static void echo_once(int s) {
    char c;
    if (CALL(brecv, s, &c, 1, deadline()) == 0) CALL(bsend, s, &c, 1, deadline());
    CALL(hclose, s);
}

coroutine static void accept_all(int listener, int clients) {
    int b = (int)CALL(bundle);
    if (b < 0) return;
    for (int i = 0; i != clients; ++i) {
        int s = (int)CALL(tcp_accept, listener, NULL, deadline());
        if (s < 0) continue;
        int rc = bundle_go(b, echo_once(s));
        if (CALLED(bundle_go, rc) < 0) CALL(hclose, s);
    }
    CALL(bundle_wait, b, deadline());
    CALL(hclose, b);
}

coroutine static void ask(struct ipaddr address) {
    char c = 0;
    int s = (int)CALL(tcp_connect, &address, deadline());
    if (s < 0) return;
    if (CALL(bsend, s, "x", 1, deadline()) == 0 && CALL(brecv, s, &c, 1, deadline()) == 0) MUST(c == 'x');
    CALL(hclose, s);
}

SCENARIO(accept_loop) {
    enum { CLIENTS = 4 };
    struct ipaddr address;
    if (CALL(ipaddr_local, &address, "127.0.0.1", 0, IPADDR_IPV4) < 0) return;
    int listener = (int)CALL(tcp_listen, &address, 10);
    if (listener < 0) return;
    int h = go(accept_all(listener, CLIENTS));
    CALLED(go, h);
    int b = (int)CALL(bundle);
    for (int i = 0; i != CLIENTS && b >= 0; ++i) {
        int rc = bundle_go(b, ask(address));
        CALLED(bundle_go, rc);
    }
    if (b >= 0) CALL(bundle_wait, b, deadline());
    if (b >= 0) CALL(hclose, b);
    if (h >= 0) CALL(hclose, h);
    CALL(hclose, listener);
}

coroutine static void accept_by_ipc(int listener) {
    int s = (int)CALL(ipc_accept, listener, deadline());
    if (s < 0) return;
    CALL(bsend, s, "x", 1, deadline());
    CALL(hclose, s);
}

SCENARIO(listening_by_ipc) {
    char path[64], c;
    snprintf(path, sizeof(path), "/tmp/faults.%d", (int)getpid());
    unlink(path);
    int listener = (int)CALL(ipc_listen, path, 10);
    if (listener < 0) {
        unlink(path);
        return;
    }
    int h = go(accept_by_ipc(listener));
    if (CALLED(go, h) >= 0) {
        int s = (int)CALL(ipc_connect, path, deadline());
        if (s >= 0) {
            CALL(brecv, s, &c, 1, deadline());
            CALL(hclose, s);
        }
        CALL(hclose, h);
    }
    CALL(hclose, listener);
    unlink(path);
}

/* --- Cancellation --- */

coroutine static void accept_in_vain(int listener) { CALL_EXPECTING(ECANCELED, tcp_accept, listener, NULL, -1); }

coroutine static void receive_in_vain(int s) {
    char c;
    CALL_EXPECTING(ECANCELED, brecv, s, &c, 1, -1);
}

coroutine static void receive_datagram_in_vain(int s) {
    char c;
    CALL_EXPECTING(ECANCELED, udp_recv, s, NULL, &c, 1, -1);
}

SCENARIO(cancellation) {
    struct ipaddr address;
    int s[2];
    if (CALL(ipaddr_local, &address, "127.0.0.1", 0, IPADDR_IPV4) < 0) return;
    int b = (int)CALL(bundle), listener = (int)CALL(tcp_listen, &address, 10);
    int u = (int)CALL(udp_open, NULL, &address), pair = (int)CALL(ipc_pair, s);
    if (b >= 0 && listener >= 0) {
        int rc = bundle_go(b, accept_in_vain(listener));
        CALLED(bundle_go, rc);
    }
    if (b >= 0 && pair >= 0) {
        int rc = bundle_go(b, receive_in_vain(s[0]));
        CALLED(bundle_go, rc);
    }
    if (b >= 0 && u >= 0) {
        int rc = bundle_go(b, receive_datagram_in_vain(u));
        CALLED(bundle_go, rc);
    }
    CALL(msleep, now() + 1);
    if (b >= 0) CALL(hclose, b);
    if (listener >= 0) CALL(hclose, listener);
    if (u >= 0) CALL(hclose, u);
    for (int i = 0; i != 2 && pair >= 0; ++i) CALL(hclose, s[i]);
}

coroutine static void connect_in_vain(struct ipaddr address) {
    int s = (int)CALL_EXPECTING(ECANCELED, tcp_connect, &address, -1);
    if (s >= 0) CALL(hclose, s);
}

SCENARIO(a_connect_that_is_cancelled) {
    struct ipaddr address;
    if (CALL(ipaddr_local, &address, "127.0.0.1", 0, IPADDR_IPV4) < 0) return;
    int listener = (int)CALL(tcp_listen, &address, 10);
    if (listener < 0) return;
    int h = go(connect_in_vain(address));
    if (CALLED(go, h) >= 0) CALL(hclose, h);
    CALL(hclose, listener);
}

/* --- Descriptors of the program --- */

SCENARIO(adopted_descriptors) {
    int fds[2];
    char c;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return;
    int s = (int)CALL(ipc_fromfd, fds[0]);
    if (s < 0) {
        MUST(fcntl(fds[0], F_GETFL) == O_RDWR);
        close(fds[0]);
    } else {
        CALL(bsend, s, "x", 1, deadline());
        CALL_EXPECTING(ETIMEDOUT, brecv, s, &c, 1, now() + 1);
        CALL(hclose, s);
    }
    close(fds[1]);
}

SCENARIO(an_adopted_listener) {
    struct sockaddr_in any;
    memset(&any, 0, sizeof(any));
    any.sin_family = AF_INET;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0 || listen(fd, 10) != 0) return;
    int s = (int)CALL(tcp_listener_fromfd, fd);
    if (s < 0) {
        MUST(fcntl(fd, F_GETFL) == O_RDWR);
        close(fd);
        return;
    }
    CALL_EXPECTING(ETIMEDOUT, tcp_accept, s, NULL, now() + 1);
    CALL(hclose, s);
}

/* --- Datagrams --- */

SCENARIO(datagrams) {
    struct ipaddr here, there, from;
    char buf[100];
    if (CALL(ipaddr_local, &here, "127.0.0.1", 0, IPADDR_IPV4) < 0) return;
    if (CALL(ipaddr_local, &there, "127.0.0.1", 0, IPADDR_IPV4) < 0) return;
    int a = (int)CALL(udp_open, &here, NULL), b = (int)CALL(udp_open, &there, a < 0 ? NULL : &here);
    if (a >= 0 && b >= 0) {
        struct iolist list[20];
        for (int i = 0; i != 20; ++i) {
            struct iolist element = {buf + i, 1, i == 19 ? NULL : &list[i + 1], 0};
            list[i] = element;
        }
        memset(buf, 'd', sizeof(buf));
        CALL(udp_send, b, NULL, "hello", 5);
        if (CALL(udp_recv, a, &from, buf, sizeof(buf), deadline()) == 5) {
            CALL(udp_sendl, a, &from, &list[0], &list[19]);
            CALL(udp_recvl, b, NULL, &list[0], &list[19], deadline());
        }
        CALL_EXPECTING(ETIMEDOUT, mrecv, b, buf, sizeof(buf), now() + 1);
    }
    if (a >= 0) CALL(hclose, a);
    if (b >= 0) CALL(hclose, b);
}

/* --- Names --- */

SCENARIO(names) {
    struct ipaddr address, addresses[4];
    CALL(ipaddr_local, &address, "lo", 0, IPADDR_IPV4);
    CALL(ipaddr_remote, &address, "127.0.0.1", 80, 0, deadline());
    CALL(ipaddr_remote, &address, "localhost", 80, IPADDR_IPV4, deadline());
    CALL(ipaddr_remotes, addresses, 4, "localhost", 80, 0, deadline());
}

static void connect_to_name(const char *name) {
    struct ipaddr address;
    if (CALL(ipaddr_local, &address, "127.0.0.1", 0, IPADDR_IPV4) < 0) return;
    int listener = (int)CALL(tcp_listen, &address, 10);
    if (listener < 0) return;
    int s = (int)CALL(happyeyeballs_connect, name, ipaddr_port(&address), deadline());
    if (s >= 0) CALL(hclose, s);
    CALL(hclose, listener);
}

SCENARIO(happy_eyeballs) { connect_to_name("localhost"); }
SCENARIO(happy_eyeballs_for_an_address) { connect_to_name("127.0.0.1"); }

/* --- SOCKS5 --- */

static int authenticate(const char *name, const char *password) {
    return strcmp(name, "name") == 0 && strcmp(password, "password") == 0;
}

static void ask_proxy(int s) {
    CALL(socks5_client_connectbyname, s, "name", "password", "localhost", 80, deadline());
    CALL(hclose, s);
}
static void be_proxy(int s) {
    struct ipaddr address;
    if (CALL(socks5_proxy_auth, s, authenticate, deadline()) == 0 &&
        CALL(socks5_proxy_recvcommand, s, &address, deadline()) >= 0)
        CALL(socks5_proxy_sendreply, s, SOCKS5_SUCCESS, &address, deadline());
    CALL(hclose, s);
}
SCENARIO(socks5) { converse(TCP, ask_proxy, be_proxy); }
