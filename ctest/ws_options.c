/* Options of programs that were compiled with an older or a newer header, and what they make of a client. */

#include <libdillext.h>

#include "http.h"
#include "test.h"
#include "wire.h"

/* Attaches to a peer that says nothing, with options at whatever address. */
static void expect_attach(const void *opts, int err) {
    int s, fd;
    char c;
    make_tcp_and_raw(&s, &fd);
    CHECK_ERR(ws_attach_client_opts(s, "/", "h", (const struct ws_opts *)opts, now() + 5), -1, err);
    CHECK_ERR(hclose(s), -1, EBADF);
    if (err == EINVAL) CHECK(recv(fd, &c, 1, 0) <= 0);
    CHECK_INT(close(fd), 0);
}

/* The first version of the structure, and one of times to come. */
enum { FIRST = 112, NEWER = 200 };

TEST(the_layout_is_that_of_the_first_version) {
    CHECK_INT(offsetof(struct ws_opts, size), 0);
    CHECK_INT(offsetof(struct ws_opts, flags), 8);
    CHECK_INT(offsetof(struct ws_opts, subprotocols), 16);
    CHECK_INT(offsetof(struct ws_opts, headers), 24);
    CHECK_INT(offsetof(struct ws_opts, origin), 32);
    CHECK_INT(offsetof(struct ws_opts, origins), 40);
    CHECK_INT(offsetof(struct ws_opts, max_message), 48);
    CHECK_INT(offsetof(struct ws_opts, ping_interval), 56);
    CHECK_INT(offsetof(struct ws_opts, ping_timeout), 64);
    CHECK_INT(offsetof(struct ws_opts, deflate), 72);
    CHECK_INT(offsetof(struct ws_opts, tls), 80);
    CHECK_INT(offsetof(struct ws_opts, proxy), 88);
    CHECK_INT(offsetof(struct ws_opts, connect_to), 96);
    CHECK_INT(offsetof(struct ws_opts, redirects), 104);
    CHECK_INT(sizeof(struct ws_opts), FIRST);
#ifndef DILL_DISABLE_TLS
    CHECK_INT(offsetof(struct tls_opts, flags), 32);
#endif
}

TEST(a_size_that_no_version_has_gives_EINVAL) {
    static const size_t sizes[] = {0, 1, 8, FIRST - 1, FIRST + 1, NEWER + 4, 4097, (size_t)-1};
    for (size_t i = 0; i != sizeof(sizes) / sizeof(*sizes); ++i) {
        struct ws_opts opts = {.size = sizes[i]};
        expect_attach(&opts, EINVAL);
        CHECK(strstr(ws_errmsg(), "size of struct ws_opts"));
    }
}

TEST(a_newer_programs_options_are_obeyed_if_they_ask_for_nothing_new) {
    char bytes[4096] = {0};
    const size_t sizes[] = {FIRST + 8, NEWER, 4096};
    for (size_t i = 0; i != sizeof(sizes) / sizeof(*sizes); ++i) {
        memcpy(bytes, &sizes[i], sizeof(sizes[i]));
        expect_attach(bytes, ETIMEDOUT);
    }
}

TEST(a_newer_programs_options_that_ask_for_something_new_give_EINVAL) {
    char bytes[NEWER] = {0};
    const size_t size = NEWER;
    memcpy(bytes, &size, sizeof(size));
    bytes[NEWER - 1] = 1;
    expect_attach(bytes, EINVAL);
    bytes[NEWER - 1] = 0;
    bytes[sizeof(struct ws_opts)] = 1;
    expect_attach(bytes, EINVAL);
}

TEST(options_may_lie_at_any_address) {
    char bytes[sizeof(struct ws_opts) + 8];
    for (int at = 0; at != 8; ++at) {
        struct ws_opts opts = {.size = sizeof(opts)};
        memcpy(bytes + at, &opts, sizeof(opts));
        expect_attach(bytes + at, ETIMEDOUT);
        opts.flags = 1 << 30;
        memcpy(bytes + at, &opts, sizeof(opts));
        expect_attach(bytes + at, EINVAL);
    }
}

TEST(no_options_are_the_usual_ones) { expect_attach(NULL, ETIMEDOUT); }

TEST(what_is_for_ws_connect_only_gives_EINVAL_elsewhere) {
    struct ws_opts opts = {.size = sizeof(opts), .proxy = ""};
    expect_attach(&opts, EINVAL);
    opts = (struct ws_opts){.size = sizeof(opts), .connect_to = "a:1"};
    expect_attach(&opts, EINVAL);
    opts = (struct ws_opts){.size = sizeof(opts), .redirects = 1};
    expect_attach(&opts, EINVAL);
}

TEST(without_a_handshake_nothing_can_be_asked_for) {
    const char *list[] = {"a", NULL}, *headers[] = {"A: b", NULL}, *origins[] = {"null", NULL};
    const struct ws_opts cases[] = {
        {.size = sizeof(struct ws_opts), .flags = WS_NOHTTP, .subprotocols = list},
        {.size = sizeof(struct ws_opts), .flags = WS_NOHTTP, .headers = headers},
        {.size = sizeof(struct ws_opts), .flags = WS_NOHTTP, .origin = "null"},
        {.size = sizeof(struct ws_opts), .flags = WS_NOHTTP, .origins = origins},
        {.size = sizeof(struct ws_opts), .flags = WS_NOHTTP | WS_KEEP_HEAD},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(*cases); ++i) expect_attach(&cases[i], EINVAL);
}

TEST(new_flags_are_unknown_to_the_calls_of_libdill) {
    int s[2];
    make_ipc_pair(s);
    CHECK_ERR(ws_attach_client(s[0], WS_KEEP_HEAD, "/", "h", -1), -1, EINVAL);
    CHECK_ERR(ws_attach_server(s[1], WS_KEEP_HEAD, NULL, 0, NULL, 0, -1), -1, EINVAL);
}

TEST(a_bad_handle_is_left_alone_and_comes_before_bad_options) {
    struct ws_opts opts = {.size = 1};
    int ch[2];
    CHECK_INT(chmake(ch), 0);
    CHECK_ERR(ws_attach_client_opts(-1, "/", "h", &opts, -1), -1, EBADF);
    CHECK_ERR(ws_attach_client_opts(ch[0], "/", "h", &opts, -1), -1, ENOTSUP);
    CHECK_ERR(ws_attach_server_opts(-1, &opts, -1), -1, EBADF);
    CHECK_ERR(ws_attach_server_opts(ch[0], &opts, -1), -1, ENOTSUP);
    CHECK_INT(hclose(ch[0]), 0);
}

/* --- The longest message --- */

TEST(a_message_above_the_maximum_fails_the_connection_with_1009) {
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP | WS_TEXT, .max_message = 10};
    for (int i = 0; i != 2; ++i) {
        struct wire w = {.role = i ? SERVER : CLIENT};
        int s;
        char buf[64];
        make_tcp_and_raw(&s, &w.fd);
        w.ws = i ? ws_attach_server_opts(s, &opts, -1) : ws_attach_client_opts(s, NULL, NULL, &opts, -1);
        CHECK(w.ws >= 0);
        wire_send_text(&w, FIN | TEXT, "0123456789");
        expect_text(w.ws, "0123456789");
        wire_send_text(&w, FIN | TEXT, "0123456789a");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 10000), -1, EPROTO);
        CHECK(strstr(ws_errmsg(), "the peer broke the protocol: "));
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 10000), -1, ECONNRESET);
        wire_expect_close(&w, 1009);
    }
}

TEST(a_message_above_the_callers_buffer_leaves_the_connection_alone) {
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP, .max_message = 100};
    struct wire w = {.role = SERVER};
    int s;
    char buf[4];
    make_tcp_and_raw(&s, &w.fd);
    w.ws = ws_attach_server_opts(s, &opts, -1);
    wire_send_text(&w, FIN | BINARY, "12345");
    wire_send_text(&w, FIN | BINARY, "x");
    CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 10000), -1, EMSGSIZE);
    CHECK_INT(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 10000), 1);
}
