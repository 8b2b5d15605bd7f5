/* A process that has no memory left: calls fail with ENOMEM, or succeed, and nothing ends the process. */

#include <libdill.h>

#include "dies.h"
#include "tls.h"

static int s[2];
static struct ipaddr listening;

static const char request[] = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/* What the library makes once has been made. */
static void use_library(void) {
    char c;
    int t[2];
    CHECK_INT(ipc_pair(t), 0);
    CHECK_INT(bsend(t[0], "x", 1, -1), 0);
    CHECK_INT(brecv(t[1], &c, 1, -1), 0);
    CHECK_ERR(brecv(t[1], &c, 1, now() + 1), -1, ETIMEDOUT);
    CHECK_INT(hclose(t[0]), 0);
    CHECK_INT(hclose(t[1]), 0);
    CHECK_INT(ipaddr_local(&listening, "127.0.0.1", 0, IPADDR_IPV4), 0);
    CHECK(tcp_listen(&listening, 10) >= 0);
    CHECK_INT(ipc_pair(s), 0);
    CHECK_INT(bsend(s[1], request, sizeof(request) - 1, -1), 0);
}

/* Nothing can be mapped any more, and the heap is full. */
static void use_up_memory(void) {
    struct rlimit limit;
    long pages;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%ld", &pages) == 1);
    fclose(f);
    limit.rlim_cur = limit.rlim_max = (rlim_t)(pages * sysconf(_SC_PAGESIZE));
    CHECK_INT(setrlimit(RLIMIT_AS, &limit), 0);
    for (size_t size = 1 << 20; size >= 16; size /= 2)
        while (malloc(size)) continue;
}

static void skip_where_memory_is_needed(void) {
    skip_under_wrapper("the wrapper needs memory of its own");
#ifdef __SANITIZE_ADDRESS__
    SKIP("the sanitizer needs memory of its own");
#endif
}

static int (*call)(void);

static void call_without_memory(void) {
    use_library();
    use_up_memory();
    int rc = call(), err = errno;
    _exit(rc < 0 && err != ENOMEM && err != EAGAIN ? err : 0);
}

static void check_survives(int (*function)(void)) {
    skip_where_memory_is_needed();
    call = function;
    CHECK_EXITS_WITH(call_without_memory, 0);
}

static int attach_ws_client(void) { return ws_attach_client(s[0], WS_TEXT, "/", "h", now() + 1000); }
static int attach_ws_server(void) { return ws_attach_server(s[0], WS_TEXT, NULL, 0, NULL, 0, now() + 1000); }
static int look_up(void) {
    struct ipaddr address;
    return ipaddr_remote(&address, "localhost", 80, IPADDR_IPV4, now() + 1000);
}
static int connect_to_literal(void) {
    return happyeyeballs_connect("127.0.0.1", ipaddr_port(&listening), now() + 1000);
}
static int connect_to_name(void) {
    return happyeyeballs_connect("localhost", ipaddr_port(&listening), now() + 1000);
}
static int attach_tls_client(void) { return tls_attach_client(s[0], now() + 1000); }
static int attach_tls_server(void) {
    return tls_attach_server(s[0], in_directory("server.pem"), in_directory("server.key"), now() + 1000);
}

TEST(a_handshake_as_WebSocket_client_without_memory_gives_ENOMEM) { check_survives(attach_ws_client); }
TEST(a_handshake_as_WebSocket_server_without_memory_gives_ENOMEM) { check_survives(attach_ws_server); }
TEST(a_lookup_without_memory_gives_ENOMEM) { check_survives(look_up); }
TEST(connecting_to_an_address_without_memory_gives_ENOMEM) { check_survives(connect_to_literal); }
TEST(connecting_to_a_name_without_memory_gives_ENOMEM) { check_survives(connect_to_name); }
TEST(attaching_as_TLS_client_without_memory_gives_ENOMEM) { check_survives(attach_tls_client); }
TEST(attaching_as_TLS_server_without_memory_gives_ENOMEM) {
    make_certificate();
    check_survives(attach_tls_server);
}

/* --- The connection is there when memory runs out. --- */

coroutine static void echo_over_tls(int h) {
    char c;
    while (brecv(h, &c, 1, now() + 2000) == 0 && bsend(h, &c, 1, now() + 2000) == 0) continue;
}

static void talk_without_memory(void) {
    int raw[2], h[2];
    char c = 0;
    CHECK_INT(ipc_pair(raw), 0);
    make_tls_over(raw, h);
    int b = go(echo_over_tls(h[1]));
    CHECK_INT(bsend(h[0], "1", 1, now() + 5000), 0);
    CHECK_INT(brecv(h[0], &c, 1, now() + 5000), 0);
    use_up_memory();
    int rc = bsend(h[0], "2", 1, now() + 2000);
    if (rc == 0) rc = brecv(h[0], &c, 1, now() + 2000);
    /* Whoever could not have memory has ended the connection. */
    _exit(rc == 0 || errno == ENOMEM || errno == ECONNRESET || errno == EPIPE || errno == ETIMEDOUT ? 0 : errno);
    (void)b;
}

TEST(a_TLS_connection_survives_or_fails_when_memory_runs_out) {
    skip_where_memory_is_needed();
    CHECK_EXITS_WITH(talk_without_memory, 0);
}
