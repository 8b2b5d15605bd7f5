/* From a URL to a handle, against servers played by hand, and against our own. */

#include "url_client.h"

/* --- Plain --- */

TEST(a_URL_becomes_a_WebSocket) {
    char host[32];
    begin("WS://127.0.0.1:%d/chat?a=b%%20c", NULL);
    serve_head();
    CHECK(head_starts_with(head, "GET /chat?a=b%20c HTTP/1.1\r\n"));
    snprintf(host, sizeof(host), "127.0.0.1:%d", port);
    CHECK_HEAD_FIELD("Host", host);
    CHECK(!strcasestr(head, "Authorization"));
    switch_protocols("");
    end(0);
    CHECK_INT(ws_send(client.ws, WS_TEXT, "hi", 2, now() + 10000), 0);
    CHECK_INT(hclose(client.ws), 0);
}

TEST(a_name_is_looked_up) {
    begin("ws://localhost:%d", NULL);
    serve_head();
    CHECK(head_starts_with(head, "GET / HTTP/1.1\r\n"));
    switch_protocols("");
    end(0);
}

TEST(what_the_options_say_is_sent_and_what_was_agreed_on_can_be_asked_for) {
    const char *protocols[] = {"v2", "v1", NULL}, *headers[] = {"Cookie: a=b", "X: y", NULL};
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_TEXT | WS_KEEP_HEAD, .subprotocols = protocols,
                           .headers = headers, .origin = "https://example.org"};
    char value[32];
    begin("ws://me:sec%%72et@127.0.0.1:%d", &opts);
    serve_head();
    CHECK_HEAD_FIELD("Sec-WebSocket-Protocol", "v2, v1");
    CHECK_HEAD_FIELD("Origin", "https://example.org");
    CHECK_HEAD_FIELD("Cookie", "a=b");
    CHECK_HEAD_FIELD("Authorization", "Basic bWU6c2VjcmV0");
    switch_protocols("Sec-WebSocket-Protocol: v1\r\nX-Mine: 5\r\n");
    end(0);
    CHECK_INT(ws_subprotocol(client.ws, value, sizeof(value)), 2);
    CHECK_STR(value, "v1");
    CHECK_INT(ws_field(client.ws, "x-mine", value, sizeof(value)), 1);
    CHECK_INT(ws_field(client.ws, ":status", value, sizeof(value)), 3);
    CHECK_STR(value, "101");
}

TEST(a_refusal_gives_EPROTO_and_its_status_and_fields) {
    char value[32];
    begin("ws://127.0.0.1:%d", NULL);
    serve_head();
    answer("HTTP/1.1 503 Busy\x1b\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    end(EPROTO);
    begin("ws://127.0.0.1:%d", NULL);
    serve_head();
    answer("HTTP/1.1 503 Busy \xff\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    end(EPROTO);
    CHECK_INT(client.status, 503);
    CHECK_STR(client.message, "the peer answered 503 Busy \\xff: RFC 6455, 4.1: the status is not 101");
    CHECK_INT(ws_errfield("retry-after", value, sizeof(value)), 1);
    CHECK_STR(value, "7");
    CHECK_ERR(ws_errfield("none", value, sizeof(value)), -1, ENOENT);
    CHECK_ERR(ws_errfield("retry-after", value, 1), -1, EMSGSIZE);
    CHECK_ERR(ws_errfield(NULL, value, 1), -1, EINVAL);
    CHECK_ERR(ws_errfield("retry-after", NULL, 1), -1, EINVAL);
    CHECK_INT(ws_errstatus(), 503);
    CHECK_ERR(hclose(-1), -1, EBADF);
    CHECK_ERR(ws_recv(-1, NULL, NULL, 0, 0), -1, EBADF);
    CHECK_INT(ws_errstatus(), 0);
}

TEST(an_unasked_for_subprotocol_gives_EPROTO) {
    begin("ws://127.0.0.1:%d", NULL);
    serve_head();
    switch_protocols("Sec-WebSocket-Protocol: v1\r\n");
    end(EPROTO);
    CHECK(strstr(client.message, "unasked-for subprotocol"));
}

TEST(connect_to_takes_the_place_of_host_and_port) {
    char place[64];
    struct ws_opts opts = {.size = sizeof(opts), .connect_to = place};
    listen_here();
    snprintf(place, sizeof(place), "127.0.0.1:%d", port);
    begin("ws://name.invalid/x", &opts);
    serve_head();
    CHECK_HEAD_FIELD("Host", "name.invalid");
    switch_protocols("");
    end(0);
}

TEST(connect_to_may_be_a_path) {
    char place[512], path[400];
    struct ws_opts opts = {.size = sizeof(opts), .connect_to = place};
    snprintf(path, sizeof(path), "%s/socket", test_directory);
    snprintf(place, sizeof(place), "unix:%s", path);
    int unix_listener = ipc_listen(path, 1);
    CHECK(unix_listener >= 0);
    begin("ws://name.invalid/x", &opts);
    s = ipc_accept(unix_listener, now() + 5000);
    read_head();
    CHECK_HEAD_FIELD("Host", "name.invalid");
    switch_protocols("");
    end(0);
}

/* --- What cannot be meant --- */

static void expect_invalid(const char *text, const struct ws_opts *opts) {
    CHECK_ERR(ws_connect(text, opts, now() + 10000), -1, EINVAL);
    if (text && !strstr(ws_errmsg(), "not allowed: ")) test_fail(__FILE__, __LINE__, "%s: %s", text, ws_errmsg());
}

TEST(malformed_URLs_give_EINVAL) {
    static const char *const bad[] = {"", "ws:", "ws://", "http://a", "ws://a#b", "ws://a b", "ws://a/\n", "ws://a:0",
                                      "ws://a:65536", "ws://[::1", "ws://u@v@a", "//a", "ws://a\\b"};
    for (size_t i = 0; i != sizeof(bad) / sizeof(*bad); ++i) expect_invalid(bad[i], NULL);
    CHECK_ERR(ws_connect(NULL, NULL, 0), -1, EINVAL);
}

TEST(options_that_cannot_be_meant_give_EINVAL_and_nobody_is_connected_to) {
    static const char *const bad_header[] = {"A: b\r\nC: d", NULL}, *const owned[] = {"upgrade: x", NULL},
                      *const no_header[] = {"A", NULL}, *const hosts[] = {"Host: a", "Host: b", NULL},
                      *const no_token[] = {"a b", NULL}, *const twice[] = {"a", "a", NULL},
                      *const empty[] = {"", NULL}, *const bad_origin[] = {"example.org", NULL};
    const struct tls_opts bad_tls = {.size = 1};
    const struct ws_opts cases[] = {
        {.size = 1},
        {.size = 5000},
        {.size = sizeof(struct ws_opts), .flags = WS_NOHTTP},
        {.size = sizeof(struct ws_opts), .flags = 1 << 20},
        {.size = sizeof(struct ws_opts), .headers = bad_header},
        {.size = sizeof(struct ws_opts), .headers = owned},
        {.size = sizeof(struct ws_opts), .headers = no_header},
        {.size = sizeof(struct ws_opts), .headers = hosts},
        {.size = sizeof(struct ws_opts), .subprotocols = no_token},
        {.size = sizeof(struct ws_opts), .subprotocols = twice},
        {.size = sizeof(struct ws_opts), .subprotocols = empty},
        {.size = sizeof(struct ws_opts), .origin = "example.org"},
        {.size = sizeof(struct ws_opts), .origins = bad_origin},
        {.size = sizeof(struct ws_opts), .proxy = "ftp://a"},
        {.size = sizeof(struct ws_opts), .proxy = "http://"},
        {.size = sizeof(struct ws_opts), .connect_to = "a"},
        {.size = sizeof(struct ws_opts), .connect_to = "me@a:80"},
        {.size = sizeof(struct ws_opts), .redirects = -1},
        {.size = sizeof(struct ws_opts), .tls = &bad_tls},
    };
    listen_here();
    snprintf(url, sizeof(url), "ws://127.0.0.1:%d", port);
    for (size_t i = 0; i != sizeof(cases) / sizeof(*cases); ++i) expect_invalid(url, &cases[i]);
    CHECK_ERR(tcp_accept(listener, NULL, now() + 10), -1, ETIMEDOUT);
}

/* --- Where nobody is --- */

TEST(a_name_without_address_gives_EADDRNOTAVAIL) {
    listen_here();
    CHECK_ERR(ws_connect("ws://name.invalid/", NULL, -1), -1, EADDRNOTAVAIL);
    CHECK(strstr(ws_errmsg(), "cannot connect to name.invalid:80: "));
}

TEST(a_port_where_nobody_listens_gives_ECONNREFUSED) {
    struct ipaddr nobodys;
    take_address(&nobodys);
    listen_here();
    snprintf(url, sizeof(url), "ws://127.0.0.1:%d", ipaddr_port(&nobodys));
    CHECK_ERR(ws_connect(url, NULL, now() + 5000), -1, ECONNREFUSED);
}

TEST(a_deadline_is_for_all_of_it_and_leaves_nothing_open) {
    listen_here();
    snprintf(url, sizeof(url), "ws://127.0.0.1:%d", port);
    CHECK_ERR(ws_connect(url, NULL, now() + 20), -1, ETIMEDOUT);
    int before = open_descriptors();
    CHECK_ERR(ws_connect(url, NULL, now() + 50), -1, ETIMEDOUT);
    CHECK_INT(open_descriptors(), before);
}

/* Cancels a client after it has got so far. */
static void cancel(void) {
    CHECK_INT(hclose(b), 0);
    CHECK_INT(client.ws, -1);
    CHECK_INT(client.err, ECANCELED);
    while ((s = tcp_accept(listener, NULL, now() + 10)) >= 0) CHECK_INT(hclose(s), 0);
}

TEST(a_cancelled_client_leaves_nothing_open) {
    struct ws_opts opts = {.size = sizeof(opts), .redirects = 1};
    listen_here();
    CHECK_INT(ws_connect("ws://127.0.0.1:1", NULL, now() + 5000), -1);
    int before = open_descriptors();
    begin("ws://127.0.0.1:%d", NULL);
    cancel();
    begin("ws://localhost:%d", NULL);
    CHECK_INT(yield(), 0);
    cancel();
    begin("ws://127.0.0.1:%d", NULL);
    serve_head();
    int waiting = s;
    cancel();
    CHECK_INT(hclose(waiting), 0);
    begin("ws://127.0.0.1:%d", &opts);
    serve_head();
    answer("HTTP/1.1 302 Found\r\nLocation: /two\r\nContent-Length: 0\r\n\r\n");
    CHECK_INT(hclose(s), 0);
    serve_head();
    int accepted = s;
    cancel();
    CHECK_INT(hclose(accepted), 0);
    /* The threads that look the name up may still have files open. */
    while (open_descriptors() > before) CHECK_INT(msleep(now() + 10), 0);
}

/* --- Redirects --- */

static void redirect(const char *line, const char *location) {
    char text[512];
    serve_head();
    snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n%s%sContent-Length: 0\r\n\r\n", line, location, *location ? "\r\n" : "");
    answer(text);
    CHECK_INT(hclose(s), 0);
}

TEST(redirects_are_followed_as_often_as_is_allowed) {
    static const char *const lines[] = {"301 Moved", "302 Found", "303 See Other", "307 T", "308 P"};
    struct ws_opts opts = {.size = sizeof(opts), .redirects = 5};
    begin("ws://127.0.0.1:%d/0", &opts);
    for (int i = 0; i != 5; ++i) redirect(lines[i], "Location: next?x");
    serve_head();
    CHECK(head_starts_with(head, "GET /next?x HTTP/1.1\r\n"));
    switch_protocols("");
    end(0);
    opts.redirects = 1;
    begin("ws://127.0.0.1:%d/0", &opts);
    redirect("302 Found", "Location: a");
    redirect("302 Found", "Location: b");
    end(ELOOP);
    CHECK_INT(client.status, 302);
}

TEST(redirects_in_a_circle_end) {
    struct ws_opts opts = {.size = sizeof(opts), .redirects = 3};
    begin("ws://127.0.0.1:%d/circle", &opts);
    for (int i = 0; i != 4; ++i) {
        redirect("302 Found", i % 2 ? "Location: /circle" : "Location:");
        CHECK(head_starts_with(head, "GET /circle HTTP/1.1\r\n"));
    }
    end(ELOOP);
    CHECK_INT(client.status, 302);
    CHECK_ERR(tcp_accept(listener, NULL, 0), -1, ETIMEDOUT);
}

TEST(what_is_no_answer_of_HTTP_gives_EPROTO_to_who_follows_redirects_too) {
    struct ws_opts opts = {.size = sizeof(opts), .redirects = 5};
    begin("ws://127.0.0.1:%d/0", &opts);
    serve_head();
    answer("hello\r\n\r\n");
    end(EPROTO);
}

TEST(without_leave_a_redirect_is_a_refusal) {
    begin("ws://127.0.0.1:%d/0", NULL);
    redirect("301 Moved", "Location: a");
    end(EPROTO);
    CHECK_INT(client.status, 301);
}

TEST(a_redirect_without_a_usable_Location_gives_EPROTO) {
    static const char *const bad[] = {"", "Location: ftp://a", "Location: http://", "Location: a b"};
    struct ws_opts opts = {.size = sizeof(opts), .redirects = 5};
    for (size_t i = 0; i != sizeof(bad) / sizeof(*bad); ++i) {
        begin("ws://127.0.0.1:%d/0", &opts);
        redirect("301 Moved", bad[i]);
        end(EPROTO);
        CHECK_INT(client.status, 301);
    }
}

TEST(what_is_for_the_first_host_alone_goes_to_no_other) {
    const char *protocols[] = {"v1", NULL}, *headers[] = {"Cookie: a=b", "Authorization: mine", "X: y", NULL};
    struct ws_opts opts = {.size = sizeof(opts), .redirects = 5, .headers = headers, .subprotocols = protocols,
                           .origin = "https://o"};
    char location[64];
    begin("ws://127.0.0.1:%d/0", &opts);
    redirect("302 Found", "Location: /same");
    serve_head();
    CHECK_HEAD_FIELD("Cookie", "a=b");
    CHECK_HEAD_FIELD("Authorization", "mine");
    snprintf(location, sizeof(location), "HTTP/1.1 302 Found\r\nLocation: http://localhost:%d/\r\n\r\n", port);
    answer(location);
    CHECK_INT(hclose(s), 0);
    serve_head();
    CHECK(!strcasestr(head, "Cookie") && !strcasestr(head, "Authorization"));
    CHECK_HEAD_FIELD("X", "y");
    CHECK_HEAD_FIELD("Origin", "https://o");
    CHECK_HEAD_FIELD("Sec-WebSocket-Protocol", "v1");
    switch_protocols("");
    end(0);
}
