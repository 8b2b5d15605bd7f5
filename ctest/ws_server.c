/* cc: -DSTREAM_AND_RAW=make_ipc_and_raw */
/* cc: -DSTREAM_AND_RAW=make_tcp_and_raw */
/* cc: -DSTREAM_AND_RAW=make_byte_stream_and_raw */
/* The server's side of the opening handshake, against clients played by hand. */

#include <libdillext.h>

#include "http.h"
#include "test.h"
#include "usersock.h"
#include "wire.h"

#define GET "GET /chat HTTP/1.1\r\n"
#define HOST "Host: example.org\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define END "\r\n"
#define REQUEST GET HOST UPGRADE CONNECTION KEY VERSION END

static int s, fd, ws;
static char resource[256], host[256], head[HEAD_MAX];

/* Attaches to a connection on which the request has already arrived. */
static void serve_bytes(const char *request, size_t len) {
    STREAM_AND_RAW(&s, &fd);
    raw_send(fd, request, len);
    errno = 0;
    ws = ws_attach_server(s, WS_TEXT, resource, sizeof(resource), host, sizeof(host), now() + 10000);
}

static void serve(const char *request) { serve_bytes(request, strlen(request)); }

static void expect_success(void) {
    CHECK(ws >= 0);
    CHECK_ERR(hclose(s), -1, EBADF);
    raw_recv_head(fd, head, sizeof(head));
    CHECK(head_starts_with(head, "HTTP/1.1 101 "));
}

/* The call failed, the client got an HTTP answer with that status, and the connection is closed. */
static void expect_refusal(int err, const char *status) {
    int seen = errno;
    CHECK_INT(ws, -1);
    CHECK_INT(seen, err);
    CHECK_ERR(hclose(s), -1, EBADF);
    raw_recv_head(fd, head, sizeof(head));
    CHECK(head_starts_with(head, "HTTP/1.1 "));
    CHECK_INT(strncmp(head + 9, status, strlen(status)), 0);
    CHECK(raw_is_closed(fd));
}

TEST(a_refusal_over_TCP_is_no_reset) {
    make_tcp_and_raw(&s, &fd);
    raw_send_text(fd, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde");
    ws = ws_attach_server(s, WS_TEXT, NULL, 0, NULL, 0, now() + 10000);
    CHECK_INT(ws, -1);
    raw_recv_head(fd, head, sizeof(head));
    CHECK(head_starts_with(head, "HTTP/1.1 405 "));
    CHECK_RAW_END(fd);
}

/* --- The answer --- */

TEST(the_answer_switches_protocols_with_the_fields_of_RFC_6455) {
    char value[256];
    serve(REQUEST);
    expect_success();
    CHECK(strcasecmp(head_field(head, "Upgrade", value, sizeof(value)), "websocket") == 0);
    CHECK(strcasecmp(head_field(head, "Connection", value, sizeof(value)), "Upgrade") == 0);
    CHECK_STR(head_field(head, "Sec-WebSocket-Accept", value, sizeof(value)), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(the_answer_leaves_in_one_send) {
    struct user_stream stream;
    STREAM_AND_RAW(&s, &fd);
    s = user_stream_make(&stream, s);
    raw_send_text(fd, REQUEST);
    ws = ws_attach_server(s, WS_TEXT, resource, sizeof(resource), host, sizeof(host), now() + 10000);
    CHECK_INT(stream.sent.count, 1);
    expect_success();
}

TEST(no_extension_and_no_subprotocol_is_accepted) {
    serve(GET HOST UPGRADE CONNECTION KEY VERSION
          "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n" END);
    expect_success();
    CHECK(strcasestr(head, "Sec-WebSocket-Extensions") == NULL);
    CHECK(strcasestr(head, "Sec-WebSocket-Protocol") == NULL);
}

TEST(the_answer_ends_with_its_blank_line) {
    serve(REQUEST);
    expect_success();
    CHECK_STR(strstr(head, "\r\n\r\n"), "\r\n\r\n");
    CHECK_RAW_SILENT(fd);
}

/* --- Resource and host --- */

TEST(resource_and_host_are_reported) {
    serve(REQUEST);
    expect_success();
    CHECK_STR(resource, "/chat");
    CHECK_STR(host, "example.org");
}

TEST(a_resource_with_a_query_is_reported_as_it_is) {
    serve("GET /a/b?c=d&e=%20f HTTP/1.1\r\nHost: h:8080\r\n" UPGRADE CONNECTION KEY VERSION END);
    expect_success();
    CHECK_STR(resource, "/a/b?c=d&e=%20f");
    CHECK_STR(host, "h:8080");
}

TEST(an_empty_host_is_reported_as_an_empty_string) {
    strcpy(host, "something");
    serve(GET "Host:\r\n" UPGRADE CONNECTION KEY VERSION END);
    expect_success();
    CHECK_STR(host, "");
}

static void serve_into(size_t resource_len, size_t host_len) {
    STREAM_AND_RAW(&s, &fd);
    raw_send_text(fd, REQUEST);
    memset(resource, '.', sizeof(resource));
    memset(host, '.', sizeof(host));
    errno = 0;
    ws = ws_attach_server(s, WS_TEXT, resource_len ? resource : NULL, resource_len, host_len ? host : NULL,
                          host_len, now() + 10000);
}

TEST(buffers_that_just_fit_are_filled) {
    serve_into(6, 12);
    expect_success();
    CHECK_STR(resource, "/chat");
    CHECK_STR(host, "example.org");
    CHECK_INT(resource[6], '.');
    CHECK_INT(host[12], '.');
}

TEST(a_resource_that_does_not_fit_gives_EMSGSIZE_and_status_414) {
    serve_into(5, 12);
    expect_refusal(EMSGSIZE, "414");
    CHECK_INT(resource[5], '.');
}

TEST(a_host_that_does_not_fit_gives_EMSGSIZE_and_a_status_of_the_client) {
    serve_into(6, 11);
    expect_refusal(EMSGSIZE, "4");
    CHECK_INT(host[11], '.');
}

TEST(NULL_and_length_0_mean_that_the_caller_does_not_want_them) {
    serve_into(0, 0);
    expect_success();
}

TEST(only_one_of_the_two_may_be_wanted) {
    serve_into(6, 0);
    expect_success();
    CHECK_STR(resource, "/chat");
    serve_into(0, 12);
    expect_success();
    CHECK_STR(host, "example.org");
}

/* --- Requests that are accepted --- */

#define ACCEPTED_TEST(NAME, ...) \
    TEST(accepted_##NAME) {      \
        serve(__VA_ARGS__);      \
        expect_success();        \
    }

ACCEPTED_TEST(names_and_tokens_in_any_case,
              GET "host: h\r\nUPGRADE: WebSocket\r\nconnection: upgrade\r\n"
                  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nSEC-WEBSOCKET-VERSION: 13\r\n" END)
ACCEPTED_TEST(tokens_in_lists,
              GET HOST "Upgrade: h2c, websocket\r\nConnection: keep-alive , Upgrade\r\n" KEY VERSION END)
ACCEPTED_TEST(repeated_fields,
              GET HOST "Upgrade: h2c\r\n" UPGRADE "Connection: keep-alive\r\n" CONNECTION KEY VERSION END)
ACCEPTED_TEST(a_later_version_of_HTTP_1, "GET / HTTP/1.2\r\n" HOST UPGRADE CONNECTION KEY VERSION END)
/* RFC 9112, 2.2. */
ACCEPTED_TEST(an_empty_line_before_the_request, END REQUEST)
ACCEPTED_TEST(fields_that_browsers_send,
              GET HOST UPGRADE CONNECTION KEY VERSION
              "Origin: http://example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
              "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: de,en;q=0.7\r\nPragma: no-cache\r\n"
              "Cache-Control: no-cache\r\nCookie: a=b; c=\"d e\"\r\nDNT: 1\r\nX-Empty:\r\n" END)
ACCEPTED_TEST(no_space_after_the_colon,
              GET "Host:h\r\nUpgrade:websocket\r\nConnection:Upgrade\r\n"
                  "Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version:13\r\n" END)

static void make_long_request(size_t cookie, int fields) {
    strcpy(head, GET HOST UPGRADE CONNECTION KEY VERSION);
    if (cookie) pad_head(head, "Cookie", cookie);
    for (int i = 0; i != fields; ++i) pad_head(head, "X-Field", 5);
    strcat(head, END);
}

TEST(accepted_a_cookie_of_30_KB) {
    make_long_request(30000, 0);
    serve(head);
    expect_success();
}

TEST(accepted_a_hundred_fields) {
    make_long_request(0, 95);
    serve(head);
    expect_success();
}

coroutine static void send_slowly(int peer, const char *text) {
    for (; *text; ++text) {
        CHECK_INT(bsend(peer, text, 1, -1), 0);
        CHECK_INT(msleep(now()), 0);
    }
}

TEST(a_request_may_come_byte_by_byte) {
    int pair[2], b;
    char answer[4];
    CHECK_INT(ipc_pair(pair), 0);
    b = go(send_slowly(pair[1], REQUEST));
    ws = ws_attach_server(pair[0], WS_TEXT, resource, sizeof(resource), host, sizeof(host), now() + 10000);
    CHECK(ws >= 0);
    CHECK_INT(brecv(pair[1], answer, 4, now() + 5000), 0);
    CHECK_MEM(answer, "HTTP", 4);
    CHECK_INT(hclose(b), 0);
}

TEST(a_frame_in_the_same_segment_as_the_request_is_not_lost) {
    uint8_t bytes[1024];
    size_t n = strlen(REQUEST);
    memcpy(bytes, REQUEST, n);
    n += frame_build(bytes + n, SERVER, FIN | TEXT, "hello", 5);
    n += frame_build(bytes + n, SERVER, FIN | TEXT, "again", 5);
    serve_bytes((const char *)bytes, n);
    expect_success();
    expect_text(ws, "hello");
    expect_text(ws, "again");
}

/* --- Requests that are refused with an HTTP answer --- */

#define REFUSED_TEST(NAME, STATUS, ...)   \
    TEST(refused_##NAME) {                \
        serve(__VA_ARGS__);               \
        expect_refusal(EPROTO, STATUS);   \
    }

REFUSED_TEST(HTTP_1_0, "400", "GET / HTTP/1.0\r\n" HOST UPGRADE CONNECTION KEY VERSION END)
REFUSED_TEST(HTTP_2, "400", "GET / HTTP/2.0\r\n" HOST UPGRADE CONNECTION KEY VERSION END)
REFUSED_TEST(no_host, "400", GET UPGRADE CONNECTION KEY VERSION END)
REFUSED_TEST(two_hosts, "400", GET HOST HOST UPGRADE CONNECTION KEY VERSION END)
REFUSED_TEST(no_upgrade, "4", GET HOST CONNECTION KEY VERSION END)
REFUSED_TEST(another_upgrade, "4", GET HOST "Upgrade: h2c\r\n" CONNECTION KEY VERSION END)
REFUSED_TEST(no_connection, "400", GET HOST UPGRADE KEY VERSION END)
REFUSED_TEST(another_connection, "400", GET HOST UPGRADE "Connection: close\r\n" KEY VERSION END)
REFUSED_TEST(no_key, "400", GET HOST UPGRADE CONNECTION VERSION END)
REFUSED_TEST(two_keys, "400", GET HOST UPGRADE CONNECTION KEY KEY VERSION END)
REFUSED_TEST(a_key_of_15_bytes, "400",
             GET HOST UPGRADE CONNECTION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n" VERSION END)
REFUSED_TEST(a_key_that_is_not_base64, "400",
             GET HOST UPGRADE CONNECTION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j*Q==\r\n" VERSION END)
REFUSED_TEST(a_folded_field, "400", GET HOST UPGRADE CONNECTION KEY VERSION "X: a\r\n b\r\n" END)
REFUSED_TEST(a_space_before_the_colon, "400", GET HOST UPGRADE CONNECTION KEY VERSION "X : a\r\n" END)
REFUSED_TEST(a_field_without_colon, "400", GET HOST UPGRADE CONNECTION KEY VERSION "X\r\n" END)
REFUSED_TEST(a_bare_CR, "400", GET HOST UPGRADE CONNECTION KEY VERSION "X: a\rb\r\n" END)
REFUSED_TEST(something_that_is_not_HTTP, "400", "hello\r\n\r\n")
REFUSED_TEST(two_empty_lines_before_the_request, "400", END END REQUEST)
REFUSED_TEST(a_request_line_without_version, "400", "GET /\r\n" HOST UPGRADE CONNECTION KEY VERSION END)

TEST(refused_a_NUL) {
    char request[] = GET HOST UPGRADE CONNECTION KEY VERSION "X: a@b\r\n" END;
    *strchr(request, '@') = 0;
    serve_bytes(request, sizeof(request) - 1);
    expect_refusal(EPROTO, "400");
}

TEST(another_method_gives_status_405_with_what_is_allowed) {
    char value[64];
    STREAM_AND_RAW(&s, &fd);
    raw_send_text(fd, "POST /chat HTTP/1.1\r\n" HOST UPGRADE CONNECTION KEY VERSION END);
    CHECK_ERR(ws_attach_server(s, WS_TEXT, NULL, 0, NULL, 0, now() + 10000), -1, EPROTO);
    raw_recv_head(fd, head, sizeof(head));
    CHECK(head_starts_with(head, "HTTP/1.1 405 "));
    CHECK_STR(head_field(head, "Allow", value, sizeof(value)), "GET");
}

TEST(another_version_gives_status_426_with_what_is_supported) {
    char value[64];
    STREAM_AND_RAW(&s, &fd);
    raw_send_text(fd, GET HOST UPGRADE CONNECTION KEY "Sec-WebSocket-Version: 8\r\n" END);
    CHECK_ERR(ws_attach_server(s, WS_TEXT, NULL, 0, NULL, 0, now() + 10000), -1, EPROTO);
    raw_recv_head(fd, head, sizeof(head));
    CHECK(head_starts_with(head, "HTTP/1.1 426 "));
    CHECK_STR(head_field(head, "Sec-WebSocket-Version", value, sizeof(value)), "13");
}

TEST(no_version_is_refused) {
    serve(GET HOST UPGRADE CONNECTION KEY END);
    expect_refusal(EPROTO, "4");
}

TEST(more_than_128_fields_give_EMSGSIZE_and_status_431) {
    make_long_request(0, 129);
    serve(head);
    expect_refusal(EMSGSIZE, "431");
}

TEST(a_head_of_more_than_64_KiB_gives_EMSGSIZE_and_status_431) {
    make_long_request(67000, 0);
    serve(head);
    CHECK_INT(ws, -1);
    CHECK_INT(errno, EMSGSIZE);
    raw_recv_head(fd, head, sizeof(head));
    CHECK(head_starts_with(head, "HTTP/1.1 431 "));
}

/* --- Requests that do not come --- */

TEST(the_deadline_covers_the_handshake) {
    int64_t deadline = now() + 50;
    STREAM_AND_RAW(&s, &fd);
    raw_send_text(fd, GET HOST);
    CHECK_ERR(ws_attach_server(s, WS_TEXT, NULL, 0, NULL, 0, deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
    CHECK_ERR(hclose(s), -1, EBADF);
    CHECK(raw_is_closed(fd));
}

coroutine static void attach_cancelled(void) {
    CHECK_ERR(ws_attach_server(s, WS_TEXT, NULL, 0, NULL, 0, -1), -1, ECANCELED);
    CHECK_ERR(hclose(s), -1, EBADF);
}

TEST(a_cancelled_handshake_gives_ECANCELED_and_closes_the_socket) {
    int b;
    STREAM_AND_RAW(&s, &fd);
    b = go(attach_cancelled());
    CHECK_INT(hclose(b), 0);
    CHECK(raw_is_closed(fd));
}

TEST(a_client_that_hangs_up_gives_ECONNRESET) {
    STREAM_AND_RAW(&s, &fd);
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    CHECK_ERR(ws_attach_server(s, WS_TEXT, NULL, 0, NULL, 0, now() + 5000), -1, ECONNRESET);
}

TEST(a_client_that_hangs_up_in_the_middle_of_its_request_gives_ECONNRESET) {
    STREAM_AND_RAW(&s, &fd);
    raw_send_text(fd, GET HOST);
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    CHECK_ERR(ws_attach_server(s, WS_TEXT, NULL, 0, NULL, 0, now() + 5000), -1, ECONNRESET);
}

TEST(a_stream_that_broke_before_gives_ECONNRESET) {
    void (*const make[])(int *s, int *fd) = {make_tcp_and_raw, make_ipc_and_raw};
    if (OVER_TLS) SKIP("it may end");
    for (int i = 0; i != 2; ++i) {
        char c;
        int s, fd;
        make[i](&s, &fd);
        /* What the peer has not read when it closes makes that a reset. */
        CHECK_INT(bsend(s, "x", 1, now() + 10000), 0);
        CHECK_INT(msleep(now() + 5), 0);
        CHECK_INT(close(fd), 0);
        CHECK_ERR(brecv(s, &c, 1, now() + 10000), -1, ECONNRESET);
        CHECK_ERR(ws_recvrequest(s, now() + 10000), -1, ECONNRESET);
        CHECK_ERR(hclose(s), -1, EBADF);
    }
}
