/* From a URL to a handle through proxies played by hand. */

#include "url_client.h"

/* The options name a proxy at the port that is listened at. */
static struct ws_opts *through(const char *format) {
    static char proxy[128];
    static struct ws_opts opts;
    listen_here();
    snprintf(proxy, sizeof(proxy), format, port);
    opts = (struct ws_opts){.size = sizeof(opts), .proxy = proxy};
    return &opts;
}

TEST(a_proxy_of_HTTP_makes_a_tunnel) {
    begin("ws://name.invalid/x", through("http://me:secret@127.0.0.1:%d"));
    serve_head();
    CHECK_STR(head, "CONNECT name.invalid:80 HTTP/1.1\r\nHost: name.invalid:80\r\n"
                    "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n");
    answer("HTTP/1.1 200 Connection established\r\n\r\n");
    read_head();
    CHECK(head_starts_with(head, "GET /x HTTP/1.1\r\nHost: name.invalid\r\n"));
    CHECK(!strstr(head, "Proxy"));
    switch_protocols("");
    end(0);
}

TEST(a_proxy_that_refuses_gives_EPROTO_and_its_status) {
    begin("ws://name.invalid/x", through("127.0.0.1:%d"));
    serve_head();
    answer("HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\n\r\n");
    end(EPROTO);
    CHECK_INT(client.status, 407);
    CHECK(strstr(client.message, "the proxy makes no tunnel"));
}

static void expect_bytes(const char *bytes, size_t len) {
    char buf[256];
    CHECK_INT(brecv(s, buf, len, now() + 5000), 0);
    CHECK_MEM(buf, bytes, len);
}

static void send_bytes(const char *bytes, size_t len) { CHECK_INT(bsend(s, bytes, len, now() + 5000), 0); }

TEST(a_proxy_of_SOCKS5_resolves_the_name) {
    begin("ws://name.invalid/x", through("socks5h://me:secret@127.0.0.1:%d"));
    s = tcp_accept(listener, NULL, now() + 5000);
    expect_bytes("\5\2\0\2", 4);
    send_bytes("\5\2", 2);
    expect_bytes("\1\2me\6secret", 11);
    send_bytes("\1\0", 2);
    expect_bytes("\5\1\0\3\14name.invalid\0\120", 19);
    send_bytes("\5\0\0\1\0\0\0\0\0\0", 10);
    read_head();
    switch_protocols("");
    end(0);
}

TEST(what_a_proxy_of_SOCKS5_replies_is_an_error) {
    static const int errors[] = {EPROTO, EACCES, ENETUNREACH, EHOSTUNREACH, ECONNREFUSED, EPROTO, EPROTO, EPROTO, EPROTO};
    for (int reply = 1; reply != 10; ++reply) {
        char bytes[] = {5, (char)reply, 0, 1, 0, 0, 0, 0, 0, 0};
        begin("ws://127.0.0.9/x", through("socks5://127.0.0.1:%d"));
        s = tcp_accept(listener, NULL, now() + 5000);
        expect_bytes("\5\1\0", 3);
        send_bytes("\5\0", 2);
        expect_bytes("\5\1\0\1\177\0\0\11\0\120", 10);
        send_bytes(bytes, sizeof(bytes));
        end(errors[reply - 1]);
        CHECK_INT(hclose(s), 0);
    }
}

TEST(the_environment_names_a_proxy_and_what_is_reached_without_it) {
    char proxy[64];
    struct ws_opts none = {.size = sizeof(none), .proxy = ""};
    listen_here();
    snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", port);
    setenv("http_proxy", proxy, 1);
    begin("ws://name.invalid/x", NULL);
    serve_head();
    CHECK(head_starts_with(head, "CONNECT name.invalid:80 "));
    answer("HTTP/1.1 403 No\r\n\r\n");
    end(EPROTO);
    begin("ws://127.0.0.1:%d", &none);
    serve_head();
    CHECK(head_starts_with(head, "GET / "));
    answer("HTTP/1.1 403 No\r\n\r\n");
    end(EPROTO);
    setenv("no_proxy", "a, 127.0.0.0/8", 1);
    begin("ws://127.0.0.1:%d", NULL);
    serve_head();
    CHECK(head_starts_with(head, "GET / "));
    answer("HTTP/1.1 403 No\r\n\r\n");
    end(EPROTO);
    unsetenv("http_proxy");
    setenv("HTTP_PROXY", "http://127.0.0.1:1", 1);
    unsetenv("no_proxy");
    begin("ws://127.0.0.1:%d", NULL);
    serve_head();
    answer("HTTP/1.1 403 No\r\n\r\n");
    end(EPROTO);
}
