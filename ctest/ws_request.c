/* cc: -DSTREAM_AND_RAW=make_ipc_and_raw */
/* cc: -DSTREAM_AND_RAW=make_tcp_and_raw */
/* cc: -DSTREAM_AND_RAW=make_byte_stream_and_raw */
/* Requests that a server looks at before it accepts or answers them, from clients played by hand. */

#include <libdillext.h>

#include "http.h"
#include "test.h"
#include "wire.h"

#define UPGRADE                                                                                 \
    "Host: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define HOST "Host: example.org\r\n"

static int s, fd, r;
static char head[HEAD_MAX];

/* Receives a request that has arrived on a new connection. */
static void receive(const char *request) {
    STREAM_AND_RAW(&s, &fd);
    raw_send_text(fd, request);
    errno = 0;
    r = ws_recvrequest(s, now() + 10000);
}

static void expect_head(const char *beginning) {
    raw_recv_head(fd, head, sizeof(head));
    if (!head_starts_with(head, beginning)) test_fail(__FILE__, __LINE__, "the answer is %s", head);
}

/* What came behind the head. */
static const char *body(void) { return strstr(head, "\r\n\r\n") + 4; }

#define CHECK_FIELD(H, NAME, VALUE)                                        \
    do {                                                                   \
        char value_[256];                                                  \
        CHECK_INT(ws_field(H, NAME, value_, sizeof(value_)), strlen(VALUE)); \
        CHECK_STR(value_, VALUE);                                          \
    } while (0)

/* --- Looking --- */

TEST(a_request_takes_the_bytestream_over) {
    receive("GET / HTTP/1.1\r\n" HOST "\r\n");
    CHECK(r >= 0);
    CHECK_ERR(hclose(s), -1, EBADF);
    CHECK_INT(hclose(r), 0);
    CHECK(raw_is_closed(fd));
}

TEST(fields_are_found_in_any_case_and_with_the_request_line) {
    receive("POST /a?b HTTP/1.1\r\n" HOST "X-One:  1 \r\nx-one: 2\r\nCookie: a=1\r\nCookie: b=2\r\n"
            "Set-Cookie: c\r\nSet-Cookie: d\r\nEmpty:\r\n\r\n");
    CHECK_FIELD(r, ":method", "POST");
    CHECK_FIELD(r, ":path", "/a?b");
    CHECK_FIELD(r, ":authority", "example.org");
    CHECK_FIELD(r, "host", "example.org");
    CHECK_FIELD(r, "X-ONE", "1, 2");
    CHECK_FIELD(r, "cookie", "a=1; b=2");
    CHECK_FIELD(r, "Set-Cookie", "c");
    CHECK_FIELD(r, "Empty", "");
    CHECK_ERR(ws_field(r, "Missing", NULL, 0), -1, ENOENT);
    CHECK_ERR(ws_field(r, ":status", NULL, 0), -1, ENOENT);
}

TEST(a_field_that_does_not_fit_gives_EMSGSIZE_and_its_length_can_be_asked_for) {
    char value[12];
    receive("GET / HTTP/1.1\r\n" HOST "\r\n");
    CHECK_INT(ws_field(r, "Host", NULL, 0), 11);
    CHECK_ERR(ws_field(r, "Host", value, 11), -1, EMSGSIZE);
    CHECK_INT(ws_field(r, "Host", value, 12), 11);
    CHECK_STR(value, "example.org");
}

TEST(all_fields_can_be_walked_in_their_order) {
    char name[32], value[32];
    receive("GET / HTTP/1.1\r\n" HOST "A: 1\r\nA: 22\r\n\r\n");
    CHECK_INT(ws_fieldat(r, 0, name, sizeof(name), value, sizeof(value)), 11);
    CHECK_STR(name, "Host");
    CHECK_STR(value, "example.org");
    CHECK_INT(ws_fieldat(r, 2, name, sizeof(name), value, sizeof(value)), 2);
    CHECK_STR(name, "A");
    CHECK_STR(value, "22");
    CHECK_INT(ws_fieldat(r, 1, NULL, 0, NULL, 0), 1);
    CHECK_ERR(ws_fieldat(r, 0, name, 4, value, sizeof(value)), -1, EMSGSIZE);
    CHECK_ERR(ws_fieldat(r, 0, name, sizeof(name), value, 11), -1, EMSGSIZE);
    CHECK_ERR(ws_fieldat(r, 3, name, sizeof(name), value, sizeof(value)), -1, ENOENT);
    CHECK_ERR(ws_fieldat(r, (size_t)-1, name, sizeof(name), value, sizeof(value)), -1, ENOENT);
}

TEST(bad_arguments_leave_the_request_alone) {
    char value[32];
    receive("GET / HTTP/1.1\r\n" HOST "\r\n");
    CHECK_ERR(ws_field(r, NULL, value, sizeof(value)), -1, EINVAL);
    CHECK_ERR(ws_field(r, "Host", NULL, 5), -1, EINVAL);
    CHECK_ERR(ws_fieldat(r, 0, NULL, 5, value, sizeof(value)), -1, EINVAL);
    CHECK_ERR(ws_field(-1, NULL, NULL, 5), -1, EBADF);
    CHECK_FIELD(r, "Host", "example.org");
}

TEST(what_is_no_request_is_told_so_and_left_alone) {
    int ch[2];
    CHECK_INT(chmake(ch), 0);
    CHECK_ERR(ws_recvrequest(-1, -1), -1, EBADF);
    CHECK_ERR(ws_recvrequest(ch[0], -1), -1, ENOTSUP);
    CHECK_ERR(ws_accept(ch[0], NULL, -1), -1, ENOTSUP);
    CHECK_ERR(ws_accept(-1, NULL, -1), -1, EBADF);
    CHECK_ERR(ws_reply(ch[0], 200, NULL, NULL, 0, -1), -1, ENOTSUP);
    CHECK_ERR(ws_reply(-1, 200, NULL, NULL, 0, -1), -1, EBADF);
    CHECK_ERR(ws_field(ch[0], "Host", NULL, 0), -1, ENOTSUP);
    CHECK_ERR(ws_fieldat(ch[0], 0, NULL, 0, NULL, 0), -1, ENOTSUP);
    CHECK_INT(ws_isupgrade(ch[0]), 0);
    CHECK_INT(ws_isupgrade(-1), 0);
    CHECK_INT(hclose(ch[0]), 0);
}

TEST(an_upgrade_is_told_by_its_token_even_if_the_rest_is_wrong) {
    receive("GET / HTTP/1.1\r\n" UPGRADE "\r\n");
    CHECK_INT(ws_isupgrade(r), 1);
    receive("POST / HTTP/1.1\r\n" HOST "Upgrade: h2c, WebSocket\r\n\r\n");
    CHECK_INT(ws_isupgrade(r), 1);
    receive("GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n");
    CHECK_INT(ws_isupgrade(r), 0);
    receive("GET / HTTP/1.1\r\n" HOST "Upgrade: h2c\r\n\r\n");
    CHECK_INT(ws_isupgrade(r), 0);
}

/* --- No request --- */

TEST(the_end_of_the_stream_before_a_request_gives_EPIPE) {
    STREAM_AND_RAW(&s, &fd);
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    CHECK_ERR(ws_recvrequest(s, now() + 10000), -1, EPIPE);
    CHECK_ERR(hclose(s), -1, EBADF);
}

TEST(the_end_of_the_stream_inside_a_request_gives_ECONNRESET) {
    STREAM_AND_RAW(&s, &fd);
    raw_send_text(fd, "GET / HT");
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    CHECK_ERR(ws_recvrequest(s, now() + 10000), -1, ECONNRESET);
    CHECK_ERR(hclose(s), -1, EBADF);
}

TEST(a_deadline_closes_the_connection) {
    STREAM_AND_RAW(&s, &fd);
    CHECK_ERR(ws_recvrequest(s, now() + 10), -1, ETIMEDOUT);
    CHECK_ERR(hclose(s), -1, EBADF);
    CHECK(raw_is_closed(fd));
}

TEST(malformed_requests_are_answered_and_give_EPROTO) {
    static const struct {
        const char *request, *answer;
    } cases[] = {
        {"GET /\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\nHost: two words\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\nHost: example.org:port\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n" HOST " folded\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: x\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400 "},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(*cases); ++i) {
        receive(cases[i].request);
        CHECK_INT(errno, EPROTO);
        CHECK_INT(r, -1);
        CHECK(strstr(ws_errmsg(), "the request was answered with 400: RFC "));
        expect_head(cases[i].answer);
        CHECK(raw_is_closed(fd));
    }
}

/* --- Accepting --- */

static int accept_with(const char *fields, const struct ws_opts *opts) {
    char request[4096];
    snprintf(request, sizeof(request), "GET /chat HTTP/1.1\r\n" UPGRADE "%s\r\n", fields);
    receive(request);
    CHECK(r >= 0);
    errno = 0;
    return ws_accept(r, opts, now() + 10000);
}

TEST(a_request_becomes_a_WebSocket) {
    struct wire w = {.role = SERVER};
    w.ws = accept_with("", NULL);
    w.fd = fd;
    CHECK(w.ws >= 0);
    CHECK_ERR(hclose(r), -1, EBADF);
    expect_head("HTTP/1.1 101 ");
    CHECK(strstr(head, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    CHECK(strcasestr(head, "Sec-WebSocket-Protocol") == NULL);
    wire_send_text(&w, FIN | TEXT, "hello");
    expect_text(w.ws, "hello");
    CHECK_INT(msend(w.ws, "x", 1, now() + 10000), 0);
    wire_expect(&w, FIN | BINARY, "x", 1);
    CHECK_INT(ws_subprotocol(w.ws, NULL, 0), 0);
    CHECK_ERR(ws_field(w.ws, "Host", NULL, 0), -1, ENOTSUP);
}

TEST(what_follows_the_request_at_once_belongs_to_the_WebSocket) {
    struct wire w = {.role = SERVER};
    uint8_t frame[32];
    char all[1024] = "GET / HTTP/1.1\r\n" UPGRADE "\r\n";
    size_t len = strlen(all), n = frame_build(frame, SERVER, FIN | TEXT, "early", 5);
    memcpy(all + len, frame, n);
    STREAM_AND_RAW(&s, &fd);
    raw_send(fd, all, len + n);
    r = ws_recvrequest(s, now() + 10000);
    w.ws = ws_accept(r, NULL, now() + 10000);
    expect_text(w.ws, "early");
}

TEST(the_first_subprotocol_of_the_servers_that_is_offered_is_taken) {
    const char *spoken[] = {"v3", "v2", "v1", NULL};
    struct ws_opts opts = {.size = sizeof(opts), .subprotocols = spoken};
    char name[8];
    int ws = accept_with("Sec-WebSocket-Protocol: v1, v2\r\nSec-WebSocket-Protocol: V3\r\n", &opts);
    expect_head("HTTP/1.1 101 ");
    CHECK(strstr(head, "\r\nSec-WebSocket-Protocol: v2\r\n"));
    CHECK_INT(ws_subprotocol(ws, name, sizeof(name)), 2);
    CHECK_STR(name, "v2");
    CHECK_ERR(ws_subprotocol(ws, name, 2), -1, EMSGSIZE);
    CHECK_ERR(ws_subprotocol(ws, NULL, 2), -1, EINVAL);
}

TEST(without_a_common_subprotocol_there_is_none) {
    const char *spoken[] = {"v3", NULL};
    struct ws_opts opts = {.size = sizeof(opts), .subprotocols = spoken};
    char name[8] = "?";
    int ws = accept_with("Sec-WebSocket-Protocol: v1, v2\r\n", &opts);
    expect_head("HTTP/1.1 101 ");
    CHECK(strcasestr(head, "Sec-WebSocket-Protocol") == NULL);
    CHECK_INT(ws_subprotocol(ws, name, sizeof(name)), 0);
    CHECK_STR(name, "");
}

TEST(headers_of_the_program_are_in_the_answer) {
    const char *headers[] = {"Set-Cookie: a=b", "X-Two: 2", NULL};
    struct ws_opts opts = {.size = sizeof(opts), .headers = headers};
    CHECK(accept_with("", &opts) >= 0);
    expect_head("HTTP/1.1 101 ");
    CHECK(strstr(head, "\r\nSet-Cookie: a=b\r\nX-Two: 2\r\n"));
}

TEST(a_kept_head_can_be_asked_as_long_as_the_WebSocket_lives) {
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_KEEP_HEAD};
    char name[32], value[32];
    int ws = accept_with("Cookie: a=1\r\n", &opts);
    CHECK_FIELD(ws, "cookie", "a=1");
    CHECK_FIELD(ws, ":path", "/chat");
    CHECK_INT(ws_fieldat(ws, 0, name, sizeof(name), value, sizeof(value)), 11);
    CHECK_ERR(ws_field(ws, "None", NULL, 0), -1, ENOENT);
    CHECK_INT(hclose(ws), 0);
    CHECK_ERR(ws_field(ws, ":path", NULL, 0), -1, EBADF);
}

static void expect_origin(const char *fields, int err, const char *answer) {
    const char *origins[] = {"https://example.org", "https://*.example.net:8443", "null", NULL};
    struct ws_opts opts = {.size = sizeof(opts), .origins = origins};
    int ws = accept_with(fields, &opts);
    if (err) {
        CHECK_INT(errno, err);
        CHECK_INT(ws, -1);
        CHECK_ERR(hclose(r), -1, EBADF);
    } else {
        CHECK(ws >= 0);
    }
    expect_head(answer);
}

TEST(origins_are_judged_if_a_list_is_given) {
    expect_origin("", 0, "HTTP/1.1 101 ");
    expect_origin("Origin: https://example.org\r\n", 0, "HTTP/1.1 101 ");
    expect_origin("Origin: HTTPS://EXAMPLE.org:443\r\n", 0, "HTTP/1.1 101 ");
    expect_origin("Origin: https://a.b.example.net:8443\r\n", 0, "HTTP/1.1 101 ");
    expect_origin("Origin: null\r\n", 0, "HTTP/1.1 101 ");
    expect_origin("Origin: http://example.org\r\n", EACCES, "HTTP/1.1 403 ");
    expect_origin("Origin: https://example.org.evil.com\r\n", EACCES, "HTTP/1.1 403 ");
    expect_origin("Origin: https://example.net:8443\r\n", EACCES, "HTTP/1.1 403 ");
    expect_origin("Origin: https://a.example.net\r\n", EACCES, "HTTP/1.1 403 ");
    expect_origin("Origin: https://example.org\r\nOrigin: https://example.org\r\n", EPROTO, "HTTP/1.1 400 ");
}

static void expect_refusal(const char *request, const char *answer) {
    receive(request);
    CHECK(r >= 0);
    CHECK_ERR(ws_accept(r, NULL, now() + 10000), -1, EPROTO);
    CHECK_ERR(hclose(r), -1, EBADF);
    expect_head(answer);
    CHECK(raw_is_closed(fd));
}

TEST(requests_that_cannot_be_accepted_are_answered_and_give_EPROTO) {
    expect_refusal("GET / HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 426 ");
    CHECK(strstr(head, "\r\nUpgrade: websocket\r\n"));
    expect_refusal("GET / HTTP/1.0\r\n" UPGRADE "\r\n", "HTTP/1.1 426 ");
    expect_refusal("POST / HTTP/1.1\r\n" UPGRADE "\r\n", "HTTP/1.1 405 ");
    expect_refusal("GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n",
                   "HTTP/1.1 426 ");
    expect_refusal("GET / HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n",
                   "HTTP/1.1 400 ");
    CHECK(strstr(ws_errmsg(), "the key is not base64 of 16 bytes"));
}

TEST(wrong_options_close_the_connection_and_send_nothing) {
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP};
    const char *headers[] = {"Upgrade: x", NULL};
    CHECK_INT(accept_with("", &opts), -1);
    CHECK_INT(errno, EINVAL);
    CHECK(raw_is_closed(fd));
    opts.flags = 0;
    opts.headers = headers;
    CHECK_INT(accept_with("", &opts), -1);
    CHECK_INT(errno, EINVAL);
    CHECK(raw_is_closed(fd));
}

TEST(both_in_one_call) {
    const char *spoken[] = {"chat", NULL};
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_TEXT, .subprotocols = spoken};
    char name[8];
    int ws;
    STREAM_AND_RAW(&s, &fd);
    raw_send_text(fd, "GET / HTTP/1.1\r\n" UPGRADE "Sec-WebSocket-Protocol: chat\r\n\r\n");
    ws = ws_attach_server_opts(s, &opts, now() + 10000);
    CHECK(ws >= 0);
    CHECK_INT(ws_subprotocol(ws, name, sizeof(name)), 4);
    expect_head("HTTP/1.1 101 ");
}

/* --- Other answers --- */

TEST(a_reply_has_status_headers_and_body_and_gives_the_bytestream_back) {
    const char *headers[] = {"Content-Type: text/html", NULL};
    receive("GET / HTTP/1.1\r\n" HOST "\r\n");
    s = ws_reply(r, 200, headers, "<p>", 3, now() + 10000);
    CHECK(s >= 0);
    CHECK_ERR(hclose(r), -1, EBADF);
    expect_head("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Type: text/html\r\n\r\n<p>");
    raw_send_text(fd, "GET /two HTTP/1.1\r\n" HOST "\r\n");
    r = ws_recvrequest(s, now() + 10000);
    CHECK(r >= 0);
    CHECK_FIELD(r, ":path", "/two");
    CHECK(ws_reply(r, 404, NULL, NULL, 0, now() + 10000) >= 0);
    expect_head("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

TEST(requests_that_come_together_are_answered_one_after_the_other) {
    receive("GET /1 HTTP/1.1\r\n" HOST "\r\nPOST /2 HTTP/1.1\r\n" HOST
            "Content-Length: 5\r\n\r\n12345POST /3 HTTP/1.1\r\n" HOST
            "Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: x\r\n\r\nGET /4 HTTP/1.1\r\n" UPGRADE "\r\n");
    for (const char *path = "1234"; *path != '4'; ++path) {
        char value[8];
        CHECK_INT(ws_field(r, ":path", value, sizeof(value)), 2);
        CHECK_INT(value[1], *path);
        CHECK_INT(ws_isupgrade(r), 0);
        s = ws_reply(r, 204, NULL, NULL, 0, now() + 10000);
        CHECK(s >= 0);
        r = ws_recvrequest(s, now() + 10000);
        CHECK(r >= 0);
    }
    CHECK(ws_accept(r, NULL, now() + 10000) >= 0);
    expect_head("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 ");
}

TEST(an_answer_to_HEAD_has_the_length_and_no_body) {
    receive("HEAD / HTTP/1.1\r\n" HOST "\r\n");
    CHECK(ws_reply(r, 200, NULL, "12345", 5, now() + 10000) >= 0);
    expect_head("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    CHECK_STR(body(), "");
}

TEST(a_long_body_arrives_whole) {
    enum { LEN = 60000 };
    static char page[LEN], got[LEN + 1];
    size_t len;
    for (int i = 0; i != LEN; ++i) page[i] = (char)('a' + i % 23);
    receive("GET / HTTP/1.1\r\n" HOST "\r\n");
    CHECK(ws_reply(r, 200, NULL, page, LEN, now() + 10000) >= 0);
    raw_recv_head(fd, head, sizeof(head));
    len = strlen(body());
    memcpy(got, body(), len);
    raw_recv(fd, got + len, LEN - len);
    CHECK_MEM(got, page, LEN);
}

TEST(the_connection_can_be_closed_behind_an_answer_without_a_reset_that_could_overtake_it) {
    receive("GET / HTTP/1.1\r\n" HOST "\r\n");
    s = ws_reply(r, 200, NULL, "bye", 3, -1);
    CHECK(s >= 0);
    CHECK_INT(hclose(s), 0);
    expect_head("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbye");
    CHECK_RAW_END(fd);
}

/* The answer arrives, then the end of the stream; the next request is none. */
static void expect_last_answer(const char *request) {
    receive(request);
    s = ws_reply(r, 200, NULL, "bye", 3, now() + 10000);
    CHECK(s >= 0);
    expect_head("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbye");
}

TEST(a_connection_that_cannot_go_on_is_said_to_close) {
    expect_last_answer("GET / HTTP/1.0\r\n\r\n");
    expect_last_answer("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    expect_last_answer("POST / HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n");
    expect_last_answer("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nno length\r\n");
    expect_last_answer("POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
}

TEST(replies_that_are_not_allowed_close_the_connection_and_send_nothing) {
    static const char *bad[] = {"Content-Length: 3", NULL}, *smuggled[] = {"A: b\r\nC: d", NULL};
    static const struct {
        int status;
        const char *const *headers;
        const char *body;
        size_t len;
    } cases[] = {
        {100, NULL, NULL, 0}, {101, NULL, NULL, 0}, {199, NULL, NULL, 0},  {600, NULL, NULL, 0},
        {-1, NULL, NULL, 0},  {65736, NULL, NULL, 0}, {204, NULL, "x", 1},   {304, NULL, "x", 1},
        {200, bad, NULL, 0},  {200, smuggled, NULL, 0}, {200, NULL, NULL, 1},
    };
    for (size_t i = 0; i != sizeof(cases) / sizeof(*cases); ++i) {
        char c;
        receive("GET / HTTP/1.1\r\n" HOST "\r\n");
        CHECK_ERR(ws_reply(r, cases[i].status, cases[i].headers, cases[i].body, cases[i].len, now() + 10000), -1,
                  EINVAL);
        CHECK_ERR(hclose(r), -1, EBADF);
        CHECK(recv(fd, &c, 1, 0) <= 0);
    }
}
