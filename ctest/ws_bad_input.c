/* Options that cannot be meant, by every call that takes them: EINVAL and a sentence that says why; nothing is sent, and
   nothing stays open. */

#include <libdillext.h>

#include <limits.h>

#include "http.h"
#include "test.h"
#include "wire.h"

#define REQUEST                                                                                               \
    "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/* The calls, which may be or'ed. */
enum { ATTACH_CLIENT = 1, ATTACH_SERVER = 2, ACCEPT = 4, CONNECT = 8 };
enum { ATTACH = ATTACH_CLIENT | ATTACH_SERVER, SERVERS = ATTACH_SERVER | ACCEPT, CLIENTS = ATTACH_CLIENT | CONNECT };
enum { ALL = CLIENTS | SERVERS };

static struct ipaddr addr;
static char url[64];

static int call(int which, int s, const struct ws_opts *opts) {
    if (which == ATTACH_CLIENT) return ws_attach_client_opts(s, "/", "h", opts, now() + 5000);
    if (which == ATTACH_SERVER) return ws_attach_server_opts(s, opts, now() + 5000);
    if (which == ACCEPT) return ws_accept(s, opts, now() + 5000);
    return ws_connect(url, opts, now() + 5000);
}

static void check_refused(const char *what, int which, const struct ws_opts *opts) {
    int s = -1, fd = -1, listener = -1;
    char c;
    if (which == CONNECT) {
        listener = listen_somewhere(&addr);
        snprintf(url, sizeof(url), "ws://127.0.0.1:%d/", ipaddr_port(&addr));
    } else {
        make_tcp_and_raw(&s, &fd);
        if (which & SERVERS) raw_send_text(fd, REQUEST);
        if (which == ACCEPT) s = ws_recvrequest(s, now() + 5000);
        CHECK(s >= 0);
    }
    int before = open_descriptors();
    errno = 0;
    int h = call(which, s, opts);
    if (h != -1 || errno != EINVAL || strncmp(ws_errmsg(), "not allowed: ", 13) != 0)
        test_fail(__FILE__, __LINE__, "%s, call %d: %d, errno %d: %s", what, which, h, errno, ws_errmsg());
    if (which == CONNECT) {
        CHECK_INT(open_descriptors(), before);
        CHECK_ERR(tcp_accept(listener, NULL, 0), -1, ETIMEDOUT);
        CHECK_INT(hclose(listener), 0);
    } else {
        CHECK_INT(open_descriptors(), before - 1);
        CHECK_ERR(hclose(s), -1, EBADF);
        if (recv(fd, &c, 1, 0) > 0) test_fail(__FILE__, __LINE__, "%s, call %d: something was sent", what, which);
        CHECK_INT(close(fd), 0);
    }
}

static void expect_refusal(const char *what, int calls, struct ws_opts opts) {
    if (!opts.size) opts.size = sizeof(opts);
    for (int which = 1; which <= CONNECT; which <<= 1)
        if (calls & which) check_refused(what, which, &opts);
}

TEST(sizes_that_no_version_has) {
    static const size_t sizes[] = {1, sizeof(size_t), sizeof(struct ws_opts) - 1, 4097, SIZE_MAX};
    for (size_t i = 0; i != sizeof(sizes) / sizeof(*sizes); ++i)
        expect_refusal("size", ALL, (struct ws_opts){.size = sizes[i]});
    struct ws_opts none = {.size = 0};
    for (int which = 1; which <= CONNECT; which <<= 1) check_refused("size 0", which, &none);
    struct { struct ws_opts opts; char more[8]; } newer = {{.size = sizeof(newer)}, {0, 0, 1}};
    for (int which = 1; which <= CONNECT; which <<= 1) check_refused("a later member", which, &newer.opts);
}

TEST(flags_that_mean_nothing_there) {
    static const int flags[] = {WS_MORE, WS_NODEFLATE, 1 << 20, INT_MIN, WS_TEXT | 1 << 30};
    for (size_t i = 0; i != sizeof(flags) / sizeof(*flags); ++i)
        expect_refusal("flags", ALL, (struct ws_opts){.flags = flags[i]});
    expect_refusal("WS_NOHTTP", ACCEPT | CONNECT, (struct ws_opts){.flags = WS_NOHTTP});
}

TEST(what_needs_a_handshake_without_one) {
    static const char *const list[] = {"a", NULL}, *const headers[] = {"A: b", NULL}, *const origins[] = {"null", NULL};
    const struct ws_opts cases[] = {{.subprotocols = list}, {.headers = headers}, {.origin = "null"}, {.origins = origins},
                                    {.flags = WS_KEEP_HEAD}, {.flags = WS_DEFLATE}};
    for (size_t i = 0; i != sizeof(cases) / sizeof(*cases); ++i) {
        struct ws_opts opts = cases[i];
        opts.flags |= WS_NOHTTP;
        expect_refusal("WS_NOHTTP with something", ATTACH, opts);
    }
}

TEST(headers_that_are_malformed_or_the_handshakes_own) {
    static const char *const all[] = {
        "", ":", ": x", "A", "A : b", " A: b", "A: b\r\nC: d", "A: b\n", "A: b\r", "A: \x01", "A: \x7f", "A\x7f: b", "A b: c",
        "Upgrade: x", "CONNECTION: x", "Sec-WebSocket-Key: x", "sec-websocket-protocol: y", "Sec-WebSocket-Anything: z",
        "Content-Length: 0", "transfer-encoding: chunked"};
    for (size_t i = 0; i != sizeof(all) / sizeof(*all); ++i) {
        const char *headers[] = {"X-Good: yes", all[i], NULL};
        expect_refusal(all[i], ALL, (struct ws_opts){.headers = headers});
    }
    const char *hosts[] = {"Host: a", "host: b", NULL};
    expect_refusal("two hosts", CLIENTS, (struct ws_opts){.headers = hosts});
}

TEST(subprotocols_that_are_no_tokens_or_there_twice) {
    static const char *const all[] = {"", "a b", "a,b", "a\r\nb", "\xc3\xa4", "a\"", "good"};
    for (size_t i = 0; i != sizeof(all) / sizeof(*all); ++i) {
        const char *list[] = {"good", all[i], NULL};
        expect_refusal(all[i], ALL, (struct ws_opts){.subprotocols = list});
    }
}

TEST(origins_that_are_none) {
    static const char *const all[] = {"", "example.org", "https://", "https://a/", "https://a/b", "https://a b",
                                      "https://a\r\nb", "https://a:65536", "://a"};
    for (size_t i = 0; i != sizeof(all) / sizeof(*all); ++i) {
        const char *list[] = {"https://example.org", all[i], NULL};
        expect_refusal(all[i], CLIENTS, (struct ws_opts){.origin = all[i]});
        expect_refusal(all[i], SERVERS, (struct ws_opts){.origins = list});
    }
    const char *any[] = {"*", NULL}, *inner[] = {"https://a.*.org", NULL};
    expect_refusal("*", SERVERS, (struct ws_opts){.origins = any});
    expect_refusal("https://a.*.org", SERVERS, (struct ws_opts){.origins = inner});
}

TEST(times_out_of_range) {
    static const int64_t wrong[][2] = {{-1, 0}, {0, -1}, {0, 1}, {5, -1}, {INT64_MIN, 5}};
    for (size_t i = 0; i != sizeof(wrong) / sizeof(*wrong); ++i)
        expect_refusal("times", ALL, (struct ws_opts){.ping_interval = wrong[i][0], .ping_timeout = wrong[i][1]});
}

TEST(compression_out_of_range) {
    const size_t size = sizeof(struct ws_deflate);
    const struct ws_deflate cases[] = {
        {.size = 0}, {.size = 1}, {.size = size - 1}, {.size = 4097},
        {.size = size, .level = -1}, {.size = size, .level = 10},
        {.size = size, .window_bits = -1}, {.size = size, .window_bits = 7}, {.size = size, .window_bits = 16},
        {.size = size, .peer_window_bits = -1}, {.size = size, .peer_window_bits = 7}, {.size = size, .peer_window_bits = 16},
        {.size = size, .flags = 4}, {.size = size, .flags = INT_MIN}};
    for (size_t i = 0; i != sizeof(cases) / sizeof(*cases); ++i)
        expect_refusal("deflate", ALL, (struct ws_opts){.flags = WS_DEFLATE, .deflate = &cases[i]});
}

TEST(what_is_for_ws_connect_only) {
    expect_refusal("proxy", ATTACH | ACCEPT, (struct ws_opts){.proxy = ""});
    expect_refusal("connect_to", ATTACH | ACCEPT, (struct ws_opts){.connect_to = "a:1"});
    expect_refusal("redirects", ATTACH | ACCEPT, (struct ws_opts){.redirects = 1});
    expect_refusal("redirects", ALL, (struct ws_opts){.redirects = -1});
    const struct tls_opts *some = (const struct tls_opts *)url;
    expect_refusal("tls", ATTACH | ACCEPT, (struct ws_opts){.tls = some});
}

TEST(proxies_that_are_none) {
    static const char *const all[] = {"ftp://a", "https://a", "socks4://a", "http://", "http://:80", "http://a:0", "http://a:65536",
                                      "http://a:x", "http://a b", "http://a\r\nb", "http://u@v@a", "socks5://", "socks5://:1"};
    for (size_t i = 0; i != sizeof(all) / sizeof(*all); ++i)
        expect_refusal(all[i], CONNECT, (struct ws_opts){.proxy = all[i]});
}

TEST(places_to_connect_to_that_are_none) {
    static const char *const all[] = {"", "a", ":80", "a:", "a:0", "a:65536", "a:x", "a b:80", "me@a:80", "a:80/x", "[::1", "[::1]", "unix:"};
    for (size_t i = 0; i != sizeof(all) / sizeof(*all); ++i)
        expect_refusal(all[i], CONNECT, (struct ws_opts){.connect_to = all[i]});
    char path[200] = "unix:";
    memset(path + 5, 'x', sizeof(path) - 6);
    struct ws_opts opts = {.size = sizeof(opts), .connect_to = path};
    CHECK_ERR(ws_connect("ws://a/", &opts, now() + 5000), -1, ENAMETOOLONG);
    CHECK(strstr(ws_errmsg(), "The path of the socket is too long"));
    opts.connect_to = "unix:/dev/null/x";
    CHECK_ERR(ws_connect("ws://a/", &opts, now() + 5000), -1, ENOTDIR);
}

TEST(URLs_that_are_none) {
    static const char *const all[] = {
        "", "ws", "ws:", "ws:/", "ws://", "wss://", "http://a", "ws://a#b", "ws://a/#", "ws://a b", "ws://a/ b", "ws://a/\n",
        "ws://a/\r\nX: y", "ws://a/\x7f", "ws://a:0", "ws://a:65536", "ws://a:-1", "ws://a:x", "ws://:80", "ws://[::1",
        "ws://[::1]x", "ws://[x]", "ws://u@v@a", "ws://u@", "//a", "ws://a\\b", "ws:///a"};
    int before = open_descriptors();
    for (size_t i = 0; i != sizeof(all) / sizeof(*all); ++i) {
        errno = 0;
        int h = ws_connect(all[i], NULL, now() + 5000);
        if (h != -1 || errno != EINVAL || strncmp(ws_errmsg(), "not allowed: ", 13) != 0)
            test_fail(__FILE__, __LINE__, "%s: %d, errno %d: %s", all[i], h, errno, ws_errmsg());
    }
    CHECK_INT(open_descriptors(), before);
}
