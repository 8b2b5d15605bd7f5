/* Everything in memory of the program's, at odd addresses, and what the other scenarios do not call. */

#include <netinet/in.h>
#include <sys/socket.h>

#include <libdillext.h>
#include <libdillimpl.h>

#include "pairs.h"

/* Storage at an odd address, of which a scenario has few at a time. */
#define ODD(TYPE) ((struct TYPE *)odd())
static void *odd(void) {
    enum { PLACES = 12, SIZE = 1400 };
    static char places[PLACES][SIZE] __attribute__((aligned(8)));
    static int next;
    return places[next++ % PLACES] + 1;
}

static void close_both(const int s[2]) {
    for (int i = 0; i != 2; ++i) CALL(hclose, s[i]);
}

/* --- Connections and listeners --- */

coroutine static void sleep_shortly(void) { CALL(msleep, now() + 1); }

SCENARIO(a_bundle_in_storage) {
    struct bundle_storage storage;
    int b = (int)CALL(bundle_mem, &storage);
    if (b < 0) return;
    int rc = bundle_go(b, sleep_shortly());
    CALLED(bundle_go, rc);
    CALL(bundle_wait, b, deadline());
    CALL(hclose, b);
}

SCENARIO(tcp_in_storage) {
    struct tcp_listen_opts opts = {.size = sizeof(opts), .flags = TCP_REUSEPORT};
    struct ipaddr addr, peer;
    char c;
    if (CALL(ipaddr_local, &addr, "127.0.0.1", 0, IPADDR_IPV4) < 0) return;
    int other = (int)CALL(tcp_listen_opts, &addr, &opts);
    if (other >= 0) CALL(hclose, other);
    ipaddr_setport(&addr, 0);
    int listener = (int)CALL(tcp_listen_mem, &addr, 10, ODD(tcp_listener_storage));
    if (listener < 0) return;
    int s[2] = {(int)CALL(tcp_connect_mem, &addr, ODD(tcp_storage), deadline()), -1};
    if (s[0] >= 0) s[1] = (int)CALL(tcp_accept_mem, listener, &peer, ODD(tcp_storage), deadline());
    if (s[1] >= 0) {
        if (CALL(bsend, s[0], "x", 1, deadline()) == 0) CALL(brecv, s[1], &c, 1, deadline());
        CALL(hclose, s[1]);
    }
    if (s[0] >= 0) CALL(hclose, s[0]);
    CALL(hclose, listener);
}

SCENARIO(ipc_in_storage) {
    char path[64], c;
    int s[2] = {-1, -1};
    snprintf(path, sizeof(path), "/tmp/faults-storage.%d", (int)getpid());
    unlink(path);
    int listener = (int)CALL(ipc_listen_mem, path, 10, ODD(ipc_listener_storage));
    if (listener >= 0) s[0] = (int)CALL(ipc_connect_mem, path, ODD(ipc_storage), deadline());
    unlink(path);
    if (s[0] >= 0) s[1] = (int)CALL(ipc_accept_mem, listener, ODD(ipc_storage), deadline());
    if (s[1] >= 0) {
        CALL(ipc_done, s[1], deadline());
        CALL_EXPECTING(EPIPE, brecv, s[0], &c, 1, deadline());
        CALL(hclose, s[1]);
    }
    if (s[0] >= 0) CALL(hclose, s[0]);
    if (listener >= 0) CALL(hclose, listener);
    if (CALL(ipc_pair_mem, ODD(ipc_pair_storage), s) == 0) close_both(s);
}

static void adopt(int family, int listens, int (*function)(int fd, void *storage), const char *name, void *storage) {
    struct sockaddr_in any = {.sin_family = AF_INET};
    int fd = socket(family, SOCK_STREAM, 0);
    if (listens && family == AF_INET && bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0) return;
    if (listens && listen(fd, 3) != 0) return;
    int s = function(fd, storage);
    check_call(__FILE__, __LINE__, name, s, errno, 0, 0);
    if (s >= 0) CALL(hclose, s);
    else close(fd); /* it was left alone */
}
static int adopt_tcp(int fd, void *storage) { return storage ? tcp_fromfd_mem(fd, storage) : tcp_fromfd(fd); }
static int adopt_tcp_listener(int fd, void *storage) { return tcp_listener_fromfd_mem(fd, storage); }
static int adopt_ipc(int fd, void *storage) { return ipc_fromfd_mem(fd, storage); }

SCENARIO(adopted_in_storage) {
    adopt(AF_INET, 0, adopt_tcp, "tcp_fromfd", NULL);
    adopt(AF_INET, 0, adopt_tcp, "tcp_fromfd_mem", ODD(tcp_storage));
    adopt(AF_INET, 1, adopt_tcp_listener, "tcp_listener_fromfd_mem", ODD(tcp_listener_storage));
    adopt(AF_UNIX, 0, adopt_ipc, "ipc_fromfd_mem", ODD(ipc_storage));
}

static void adopt_listener_by_ipc(void *storage) {
    struct sockaddr_un_ { sa_family_t family; char path[108]; } address = {AF_UNIX, ""};
    snprintf(address.path, sizeof(address.path), "/tmp/faults-adopted.%d", (int)getpid());
    unlink(address.path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 3) != 0) return;
    unlink(address.path);
    int s = (int)(storage ? CALL(ipc_listener_fromfd_mem, fd, storage) : CALL(ipc_listener_fromfd, fd));
    if (s >= 0) CALL(hclose, s);
    else close(fd);
}
SCENARIO(an_adopted_listener_by_ipc) {
    adopt_listener_by_ipc(NULL);
    adopt_listener_by_ipc(ODD(ipc_listener_storage));
}

SCENARIO(datagrams_in_storage) {
    struct ipaddr addr;
    char buf[10];
    if (CALL(ipaddr_local, &addr, "127.0.0.1", 0, IPADDR_IPV4) < 0) return;
    int s = (int)CALL(udp_open_mem, &addr, NULL, ODD(udp_storage));
    if (s < 0) return;
    /* A datagram that the system has no room for is lost. */
    if (CALL(udp_send, s, &addr, "hello", 5) == 0 && !with_fault) CALL(udp_recv, s, NULL, buf, sizeof(buf), deadline());
    CALL(hclose, s);
}

/* --- Protocols --- */

static void in_layers(int s) {
    if ((s = (int)CALL(prefix_attach_mem, s, 4, 0, ODD(prefix_storage))) < 0) return;
    if ((s = (int)CALL(term_attach_mem, s, "end", 3, ODD(term_storage))) < 0) return;
    CALL(msend, s, "hello", 5, deadline());
    if ((s = (int)CALL(term_detach, s, deadline())) < 0 || (s = (int)CALL(prefix_detach, s)) < 0) return;
    if ((s = (int)CALL(suffix_attach_mem, s, "\n", 1, ODD(suffix_storage))) < 0) return;
    if ((s = (int)CALL(suffix_detach, s, deadline())) < 0) return;
    if ((s = (int)CALL(http_attach_mem, s, ODD(http_storage))) < 0) return;
    if ((s = (int)CALL(http_detach, s, deadline())) < 0) return;
    CALL(hclose, s);
}
SCENARIO(layers_in_storage) { converse(IPC, in_layers, in_layers); }

static void ask_proxy_for_an_address(int s) {
    struct ipaddr addr;
    if (CALL(ipaddr_local, &addr, "127.0.0.1", 80, IPADDR_IPV4) == 0)
        CALL(socks5_client_connect, s, "name", "password", &addr, deadline());
    CALL(hclose, s);
}
static int authenticate(const char *name, const char *password) {
    return strcmp(name, "name") == 0 && strcmp(password, "password") == 0;
}
static void be_proxy_for_a_name(int s) {
    struct ipaddr addr;
    char host[256];
    int port;
    if (CALL(socks5_proxy_auth, s, authenticate, deadline()) == 0 &&
        CALL(socks5_proxy_recvcommandbyname, s, host, &port, deadline()) >= 0 &&
        CALL(ipaddr_local, &addr, "127.0.0.1", 80, IPADDR_IPV4) == 0)
        CALL(socks5_proxy_sendreply, s, SOCKS5_SUCCESS, &addr, deadline());
    CALL(hclose, s);
}
SCENARIO(socks5_for_an_address) { converse(TCP, ask_proxy_for_an_address, be_proxy_for_a_name); }

/* --- WebSocket --- */

static void ws_client(int s) {
    char key[WS_KEY_SIZE], answer[WS_KEY_SIZE], buf[10];
    struct iolist second = {buf + 5, 5, NULL, 0}, first = {buf, 5, &second, 0};
    if (CALL(ws_request_key, key) == 0) CALL(ws_response_key, key, answer);
    if ((s = (int)CALL(ws_attach_client_mem, s, WS_TEXT, "/", "example.com", ODD(ws_storage), deadline())) < 0) return;
    memset(buf, 'w', sizeof(buf));
    if (CALL(ws_sendl, s, WS_TEXT, &first, &second, deadline()) == 0) CALL(ws_recvl, s, NULL, &first, &second, deadline());
    if ((s = (int)CALL(ws_detach, s, 1000, "why", 3, deadline())) >= 0) CALL(hclose, s);
}
static void ws_server(int s) {
    char buf[10], resource[10], host[20];
    struct iolist second = {buf + 3, 7, NULL, 0}, first = {buf, 3, &second, 0};
    int status;
    s = (int)CALL(ws_attach_server_mem, s, WS_TEXT, resource, sizeof(resource), host, sizeof(host), ODD(ws_storage), deadline());
    if (s < 0) return;
    if (CALL(ws_recvl, s, NULL, &first, &second, deadline()) == 10 &&
        CALL(ws_sendl, s, WS_TEXT, &first, &second, deadline()) == 0 &&
        CALL_EXPECTING(EPIPE, mrecvl, s, NULL, NULL, deadline()) < 0 && errno == EPIPE)
        MUST(ws_status(s, &status, NULL, 0) == 3 && status == 1000);
    if ((s = (int)CALL(ws_detach, s, 1000, NULL, 0, deadline())) >= 0) CALL(hclose, s);
}
SCENARIO(ws_in_storage) {
    converse(TCP, ws_client, ws_server);
    converse(IPC, ws_client, ws_server);
}

/* Looks at all that came, and at the answer that is no WebSocket. */
static void ws_refused(int s) {
    char text[64];
    struct ws_opts opts = {.size = sizeof(opts)};
    s = (int)CALL_EXPECTING(EPROTO, ws_attach_client_opts, s, "/", "example.com", &opts, deadline());
    if (s >= 0) CALL(hclose, s);
    MUST(*ws_errmsg());
    if (ws_errstatus() == 404) CALL(ws_errfield, "X-Why", text, sizeof(text));
}
static void ws_refusing(int s) {
    const char *headers[] = {"X-Why: so", NULL};
    char name[64], value[64];
    int r = (int)CALL(ws_recvrequest, s, deadline());
    if (r < 0) return;
    MUST(ws_isupgrade(r) == 1);
    CALL(ws_fieldat, r, 0, name, sizeof(name), value, sizeof(value));
    CALL(ws_field, r, "Host", value, sizeof(value));
    if ((s = (int)CALL(ws_reply, r, 404, headers, "no", 2, deadline())) >= 0) CALL(hclose, s);
}
SCENARIO(ws_that_is_refused) { converse(IPC, ws_refused, ws_refusing); }

/* --- The program's own --- */

static const char own_type;
static void *own_query(struct hvfs *vfs, const void *type) {
    if (type == &own_type) return vfs;
    errno = ENOTSUP;
    return NULL;
}
static void own_close(struct hvfs *vfs) { (void)vfs; }
static struct hvfs own = {own_query, own_close};

SCENARIO(an_object_of_the_program) {
    int ch[2], h = (int)CALL(hmake, &own);
    if (h >= 0) {
        MUST(hquery(h, &own_type) == &own);
        MUST(!hquery(h, bsock_type) && errno == ENOTSUP);
        CALL(hclose, h);
    }
    if (CALL(chmake, ch) < 0) return;
    CALL(chdone, ch[0]);
    CALL_EXPECTING(EPIPE, chrecv, ch[1], NULL, 0, deadline());
    close_both(ch);
}

SCENARIO(a_loop_of_the_program) {
    int64_t next;
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int h = go(sleep_shortly());
    if (CALLED(go, h) < 0) {
        close(nowhere);
        return;
    }
    dill_dump(nowhere);
    if (CALL(dill_loop, &next) >= 0) CALL(dill_run);
    CALL(bundle_wait, h, deadline());
    CALL(hclose, h);
    close(nowhere);
}
