/* wss: from a URL to a handle, requests and closing over TLS. */

#include "test.h"
#include "tls.h"

static struct ipaddr addr;
static int listener = -1, before;
static char url[128];

/* A server for one connection: a page first if it is asked for, then an echo. */
struct server {
    const char *const *alpn;
    int requests, rc, err;
    char path[64];
};

coroutine static void serve(struct server *server) {
    char buf[64];
    int flags, s = tcp_accept(listener, NULL, soon());
    s = tls_attach_server(s, in_directory("server.pem"), in_directory("server.key"), soon());
    while (s >= 0) {
        int r = ws_recvrequest(s, soon());
        server->err = errno;
        if (r < 0) return;
        ++server->requests;
        ws_field(r, ":path", server->path, sizeof(server->path));
        if (!ws_isupgrade(r)) {
            s = ws_reply(r, 200, NULL, "page", 4, soon());
            continue;
        }
        int ws = ws_accept(r, NULL, soon());
        ssize_t len;
        while ((len = ws_recv(ws, &flags, buf, sizeof(buf), soon())) >= 0) ws_send(ws, flags, buf, (size_t)len, soon());
        server->err = errno;
        server->rc = ws_close(ws, 1000, NULL, 0, soon());
        return;
    }
}

static void listen_here(const char *host) {
    make_certificate();
    if (listener < 0) listener = listen_somewhere(&addr);
    snprintf(url, sizeof(url), "wss://%s:%d/secret", host, ipaddr_port(&addr));
    before = open_descriptors();
}

TEST(a_URL_of_wss_becomes_a_WebSocket_over_TLS_and_closes_in_order) {
    struct server server = {NULL, 0, -2, 0, ""};
    listen_here("localhost");
    struct tls_opts tls = {.size = sizeof(tls), .ca_file = in_directory("server.pem")};
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_TEXT, .tls = &tls};
    char buf[16];
    int b = go(serve(&server));
    int ws = ws_connect(url, &opts, soon());
    if (ws < 0) fprintf(stderr, "%s\n", ws_errmsg());
    CHECK(ws >= 0);
    CHECK_INT(ws_send(ws, WS_TEXT, "hello", 5, soon()), 0);
    CHECK_INT(ws_recv(ws, NULL, buf, sizeof(buf), soon()), 5);
    CHECK_INT(ws_close(ws, 1000, "bye", 3, soon()), 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK_STR(server.path, "/secret");
    CHECK_INT(server.err, EPIPE);
    CHECK_INT(server.rc, 0);
    CHECK_INT(hclose(b), 0);
}

/* The client fails, and nothing of it is left. */
static void expect_failure(const struct ws_opts *opts, int err) {
    struct server server = {NULL, 0, -2, 0, ""};
    int b = go(serve(&server));
    CHECK_ERR(ws_connect(url, opts, soon()), -1, err);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK_INT(server.requests, 0);
    CHECK_INT(hclose(b), 0);
}

TEST(a_certificate_that_nobody_trusts_gives_EACCES) {
    listen_here("localhost");
    setenv("SSL_CERT_FILE", in_directory("other.pem"), 1);
    make_self_signed("other");
    expect_failure(NULL, EACCES);
}

TEST(a_certificate_for_another_name_gives_EACCES) {
    char place[64];
    listen_here("localhost");
    struct tls_opts tls = {.size = sizeof(tls), .ca_file = in_directory("server.pem")};
    struct ws_opts opts = {.size = sizeof(opts), .tls = &tls, .connect_to = place};
    snprintf(place, sizeof(place), "localhost:%d", ipaddr_port(&addr));
    snprintf(url, sizeof(url), "wss://other.invalid/");
    expect_failure(&opts, EACCES);
}

TEST(the_host_of_the_options_takes_the_place_of_the_URLs) {
    struct server server = {NULL, 0, -2, 0, ""};
    char place[64];
    listen_here("localhost");
    struct tls_opts tls = {.size = sizeof(tls), .ca_file = in_directory("server.pem"), .host = "localhost"};
    struct ws_opts opts = {.size = sizeof(opts), .tls = &tls, .connect_to = place};
    snprintf(place, sizeof(place), "localhost:%d", ipaddr_port(&addr));
    int b = go(serve(&server));
    int ws = ws_connect("wss://other.invalid/x", &opts, soon());
    CHECK(ws >= 0);
    CHECK_INT(hclose(ws), 0);
    CHECK_INT(hclose(b), 0);
}

/* --- Redirects --- */

/* Answers one request with a redirect, over TLS or without, and tells what came with it. */
struct hop {
    int listener, secure;
    char location[128];
    char cookie[64], authorization[64], key[64];
};

static void get_field(int r, const char *name, char *value, size_t len) {
    if (ws_field(r, name, value, len) < 0) *value = 0;
}

coroutine static void redirect(struct hop *hop) {
    const char *headers[] = {hop->location, NULL};
    int s = tcp_accept(hop->listener, NULL, soon());
    if (hop->secure) s = tls_attach_server(s, in_directory("server.pem"), in_directory("server.key"), soon());
    int r = ws_recvrequest(s, soon());
    CHECK(r >= 0);
    get_field(r, "Cookie", hop->cookie, sizeof(hop->cookie));
    get_field(r, "Authorization", hop->authorization, sizeof(hop->authorization));
    get_field(r, "X-Key", hop->key, sizeof(hop->key));
    s = ws_reply(r, 302, headers, NULL, 0, soon());
    CHECK(s >= 0);
    CHECK_INT(hclose(s), 0);
}

TEST(a_redirect_from_wss_to_ws_gives_EPROTO_and_nobody_is_connected_to) {
    struct ipaddr plain_addr;
    int plain = listen_somewhere(&plain_addr);
    static const char *const schemes[] = {"ws", "http"};
    listen_here("localhost");
    struct tls_opts tls = {.size = sizeof(tls), .ca_file = in_directory("server.pem")};
    struct ws_opts opts = {.size = sizeof(opts), .tls = &tls, .redirects = 5};
    for (int i = 0; i != 2; ++i) {
        struct hop hop = {.listener = listener, .secure = 1};
        snprintf(hop.location, sizeof(hop.location), "Location: %s://localhost:%d/", schemes[i],
                 ipaddr_port(&plain_addr));
        int b = go(redirect(&hop));
        CHECK_ERR(ws_connect(url, &opts, soon()), -1, EPROTO);
        CHECK_INT(ws_errstatus(), 302);
        CHECK(strstr(ws_errmsg(), "wss"));
        CHECK_INT(bundle_wait(b, soon()), 0);
        CHECK_INT(hclose(b), 0);
        CHECK_ERR(tcp_accept(plain, NULL, 0), -1, ETIMEDOUT);
    }
    CHECK_INT(hclose(plain), 0);
}

TEST(what_is_for_one_scheme_host_and_port_alone_goes_to_no_other) {
    struct ipaddr plain_addr, other_addr;
    int plain = listen_somewhere(&plain_addr), other = listen_somewhere(&other_addr);
    listen_here("localhost");
    const char *headers[] = {"cookie: a=b", "AUTHORIZATION: mine", "X-Key: z", NULL};
    struct tls_opts tls = {.size = sizeof(tls), .ca_file = in_directory("server.pem")};
    struct ws_opts opts = {.size = sizeof(opts), .tls = &tls, .redirects = 2, .headers = headers};
    struct hop hops[] = {{.listener = plain}, {.listener = listener, .secure = 1}, {.listener = other, .secure = 1}};
    int ports[] = {ipaddr_port(&addr), ipaddr_port(&other_addr), ipaddr_port(&addr)};
    int b = bundle();
    for (int i = 0; i != 3; ++i) {
        snprintf(hops[i].location, sizeof(hops[i].location), "Location: wss://localhost:%d/", ports[i]);
        CHECK_INT(bundle_go(b, redirect(&hops[i])), 0);
    }
    snprintf(url, sizeof(url), "ws://localhost:%d/", ipaddr_port(&plain_addr));
    CHECK_ERR(ws_connect(url, &opts, soon()), -1, ELOOP);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK_STR(hops[0].cookie, "a=b");
    CHECK_STR(hops[0].authorization, "mine");
    for (int i = 0; i != 3; ++i) CHECK_STR(hops[i].key, "z");
    for (int i = 1; i != 3; ++i) {
        CHECK_STR(hops[i].cookie, "");
        CHECK_STR(hops[i].authorization, "");
    }
    CHECK_INT(hclose(b), 0);
    CHECK_INT(hclose(plain), 0);
    CHECK_INT(hclose(other), 0);
}

TEST(user_and_password_of_a_URL_go_to_no_other_place) {
    struct ipaddr other_addr;
    int other = listen_somewhere(&other_addr);
    listen_here("localhost");
    struct tls_opts tls = {.size = sizeof(tls), .ca_file = in_directory("server.pem")};
    struct ws_opts opts = {.size = sizeof(opts), .tls = &tls, .redirects = 1};
    struct hop hop = {.listener = listener, .secure = 1}, next = {.listener = other, .secure = 1};
    snprintf(hop.location, sizeof(hop.location), "Location: wss://localhost:%d/", ipaddr_port(&other_addr));
    snprintf(next.location, sizeof(next.location), "Location: /");
    snprintf(url, sizeof(url), "wss://me:secret@localhost:%d/", ipaddr_port(&addr));
    int b = bundle();
    CHECK_INT(bundle_go(b, redirect(&hop)), 0);
    CHECK_INT(bundle_go(b, redirect(&next)), 0);
    CHECK_ERR(ws_connect(url, &opts, soon()), -1, ELOOP);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK_STR(hop.authorization, "Basic bWU6c2VjcmV0");
    CHECK_STR(next.authorization, "");
    CHECK(!strstr(ws_errmsg(), "secret"));
    CHECK_INT(hclose(b), 0);
    CHECK_INT(hclose(other), 0);
}

/* Servers that want a certificate of the client's, one after the other; each redirects to the next one. */
enum { HOPS = 4 };
static struct {
    int listener, next, shown;
} hops[HOPS];

coroutine static void ask_and_redirect(const char *cert, const char *key, const char *ca) {
    const char *certs[] = {cert, key, NULL};
    struct tls_server_opts opts = {.size = sizeof(opts), .certs = certs, .flags = TLS_CLIENT_CERT_WANTED,
                                   .client_ca_file = ca};
    for (int i = 0; i != HOPS; ++i) {
        char location[64], der[4096];
        const char *headers[] = {location, NULL};
        snprintf(location, sizeof(location), "Location: wss://localhost:%d/", hops[i].next);
        int s = tls_attach_server_opts(tcp_accept(hops[i].listener, NULL, soon()), &opts, soon());
        CHECK(s >= 0);
        hops[i].shown = tls_peercert(s, 0, der, sizeof(der)) > 0;
        s = ws_reply(ws_recvrequest(s, soon()), 302, headers, NULL, 0, soon());
        CHECK(s >= 0);
        CHECK_INT(hclose(s), 0);
    }
}

TEST(our_certificate_is_shown_to_no_other_place) {
    struct ipaddr other_addr;
    int other = listen_somewhere(&other_addr);
    listen_here("localhost");
    make_self_signed("client");
    const char *ca = in_directory("server.pem"), *cert = in_directory("client.pem");
    struct tls_opts tls = {.size = sizeof(tls), .ca_file = ca, .cert = cert, .key = in_directory("client.key")};
    struct ws_opts opts = {.size = sizeof(opts), .tls = &tls, .redirects = HOPS - 1};
    for (int i = 0; i != HOPS; ++i) {
        hops[i].listener = i == 2 ? other : listener;
        hops[i].next = ipaddr_port(i == 1 ? &other_addr : &addr);
    }
    int b = go(ask_and_redirect(ca, in_directory("server.key"), cert));
    CHECK_ERR(ws_connect(url, &opts, soon()), -1, ELOOP);
    CHECK_INT(bundle_wait(b, soon()), 0);
    for (int i = 0; i != HOPS; ++i) CHECK_INT(hops[i].shown, i != 2);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(hclose(other), 0);
}

TEST(a_server_that_does_not_speak_TLS_gives_EPROTO) {
    listen_here("127.0.0.1");
    struct ipaddr peer;
    struct tls_opts tls = {.size = sizeof(tls), .flags = TLS_NOVERIFY};
    struct ws_opts opts = {.size = sizeof(opts), .tls = &tls};
    int fd = raw_connect(&addr), s = tcp_accept(listener, &peer, soon());
    CHECK(s >= 0);
    raw_send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    CHECK_ERR(tls_attach_client_opts(s, &tls, soon()), -1, EPROTO);
    (void)opts;
}

TEST(pages_are_answered_over_TLS_and_the_last_one_arrives_whole) {
    struct server server = {NULL, 0, -2, 0, ""};
    static const char request[] = "GET /page HTTP/1.1\r\nHost: a\r\n\r\n",
                      last[] = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                      answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage",
                      end[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\npage";
    char buf[128];
    listen_here("localhost");
    int b = go(serve(&server));
    int s = tcp_connect(&addr, soon());
    s = tls_attach_client(s, soon());
    CHECK(s >= 0);
    for (int i = 0; i != 2; ++i) {
        CHECK_INT(bsend(s, request, strlen(request), soon()), 0);
        CHECK_INT(brecv(s, buf, strlen(answer), soon()), 0);
        CHECK_MEM(buf, answer, strlen(answer));
    }
    CHECK_INT(bsend(s, last, strlen(last), soon()), 0);
    CHECK_INT(brecv(s, buf, strlen(end), soon()), 0);
    CHECK_MEM(buf, end, strlen(end));
    CHECK_ERR(brecv(s, buf, 1, soon()), -1, EPIPE);
    /* Whatever comes now is dropped. */
    CHECK_INT(bsend(s, request, strlen(request), soon()), 0);
    CHECK_INT(hclose(s), 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK_INT(server.requests, 3);
    CHECK_INT(server.err, EPIPE);
    CHECK_INT(hclose(b), 0);
}
