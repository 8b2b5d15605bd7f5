/* cc: -DSTREAM_AND_RAW=make_ipc_and_raw */
/* cc: -DSTREAM_AND_RAW=make_tcp_and_raw */
/* cc: -DSTREAM_AND_RAW=make_byte_stream_and_raw */
/* The client's side of the opening handshake, against servers played by hand. */

#include <libdill.h>

#include "http.h"
#include "test.h"
#include "usersock.h"
#include "wire.h"

/* An attempt to attach, made by a coroutine. */
struct attempt {
    int s, ws, err;
};

coroutine static void attach(struct attempt *a, int flags, const char *resource, const char *host,
                             int64_t deadline) {
    errno = 0;
    a->ws = ws_attach_client(a->s, flags, resource, host, deadline);
    a->err = errno;
}

static struct attempt attempt;
static int fd, b;
static char head[HEAD_MAX], key[64], accept_key[WS_KEY_SIZE];

/* Begins a handshake and reads the request. */
static void begin(void) {
    memset(&attempt, 0, sizeof(attempt));
    STREAM_AND_RAW(&attempt.s, &fd);
    b = go(attach(&attempt, WS_TEXT, "/chat", "example.org", now() + 10000));
    raw_recv_head(fd, head, sizeof(head));
    CHECK_INT(ws_response_key(head_field(head, "Sec-WebSocket-Key", key, sizeof(key)), accept_key), 0);
}

static void end(void) {
    CHECK_INT(bundle_wait(b, now() + 10000), 0);
    CHECK_INT(hclose(b), 0);
}

static void expect_success(void) {
    end();
    CHECK_INT(attempt.err * (attempt.ws < 0), 0);
    CHECK(attempt.ws >= 0);
    CHECK_ERR(hclose(attempt.s), -1, EBADF);
}

/* The attempt failed, and took the underlying socket with it. */
static void expect_failure(int err) {
    end();
    CHECK_INT(attempt.ws, -1);
    CHECK_INT(attempt.err, err);
    CHECK_ERR(hclose(attempt.s), -1, EBADF);
    CHECK(raw_is_closed(fd));
}

/* A response with the given status line and fields; %s stands for the expected key. */
static void respond(const char *format) {
    char response[4096];
    CHECK((size_t)snprintf(response, sizeof(response), format, accept_key, accept_key) < sizeof(response));
    raw_send_text(fd, response);
}

#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\n"
#define UPGRADE "Upgrade: websocket\r\n"
#define CONNECTION "Connection: Upgrade\r\n"
#define ACCEPT "Sec-WebSocket-Accept: %s\r\n"
#define END "\r\n"

/* --- The request --- */

TEST(the_request_asks_for_the_resource_with_the_fields_of_RFC_6455) {
    char value[256];
    begin();
    CHECK(head_starts_with(head, "GET /chat HTTP/1.1\r\n"));
    CHECK_STR(head_field(head, "Host", value, sizeof(value)), "example.org");
    CHECK(strcasecmp(head_field(head, "Upgrade", value, sizeof(value)), "websocket") == 0);
    CHECK(strcasecmp(head_field(head, "Connection", value, sizeof(value)), "Upgrade") == 0);
    CHECK_STR(head_field(head, "Sec-WebSocket-Version", value, sizeof(value)), "13");
    CHECK_INT(strlen(head_field(head, "Sec-WebSocket-Key", value, sizeof(value))), 24);
}

TEST(the_request_asks_for_no_extension_and_no_subprotocol) {
    begin();
    CHECK(strcasestr(head, "Sec-WebSocket-Extensions") == NULL);
    CHECK(strcasestr(head, "Sec-WebSocket-Protocol") == NULL);
}

TEST(the_request_ends_with_its_blank_line) {
    begin();
    CHECK_STR(strstr(head, "\r\n\r\n"), "\r\n\r\n");
}

TEST(the_request_leaves_in_one_send) {
    struct user_stream stream;
    int s;
    STREAM_AND_RAW(&s, &fd);
    attempt.s = user_stream_make(&stream, s);
    b = go(attach(&attempt, WS_TEXT, "/", "", -1));
    CHECK_INT(yield(), 0);
    CHECK_INT(stream.sent.count, 1);
    raw_recv_head(fd, head, sizeof(head));
    CHECK_INT(hclose(b), 0);
    CHECK_INT(attempt.err, ECANCELED);
    CHECK_INT(stream.closes, 1);
}

TEST(an_empty_host_is_sent_as_an_empty_field) {
    char value[256];
    STREAM_AND_RAW(&attempt.s, &fd);
    b = go(attach(&attempt, WS_TEXT, "/", "", now() + 10000));
    raw_recv_head(fd, head, sizeof(head));
    CHECK_STR(head_field(head, "Host", value, sizeof(value)), "");
    CHECK_INT(hclose(b), 0);
}

TEST(every_request_has_a_new_key) {
    char first[64];
    begin();
    strcpy(first, key);
    begin();
    CHECK(strcmp(first, key) != 0);
}

TEST(a_resource_with_a_query_is_sent_as_it_is) {
    STREAM_AND_RAW(&attempt.s, &fd);
    b = go(attach(&attempt, WS_TEXT, "/a/b?c=d&e=%20f", "h:8080", now() + 10000));
    raw_recv_head(fd, head, sizeof(head));
    CHECK(head_starts_with(head, "GET /a/b?c=d&e=%20f HTTP/1.1\r\n"));
    CHECK_INT(hclose(b), 0);
}

/* --- Responses that are accepted --- */

#define ACCEPTED_TEST(NAME, RESPONSE)    \
    TEST(accepted_##NAME) {              \
        begin();                         \
        respond(RESPONSE);               \
        expect_success();                \
    }

ACCEPTED_TEST(a_plain_response, SWITCHING UPGRADE CONNECTION ACCEPT END)
ACCEPTED_TEST(another_order_of_fields, SWITCHING ACCEPT CONNECTION UPGRADE END)
ACCEPTED_TEST(another_reason_phrase, "HTTP/1.1 101 Web Socket Protocol Handshake\r\n" UPGRADE CONNECTION ACCEPT END)
ACCEPTED_TEST(an_empty_reason_phrase, "HTTP/1.1 101 \r\n" UPGRADE CONNECTION ACCEPT END)
ACCEPTED_TEST(names_and_tokens_in_any_case,
              SWITCHING "upgrade: WebSocket\r\nCONNECTION: upgrade\r\nsec-websocket-accept: %s\r\n" END)
ACCEPTED_TEST(tokens_in_lists,
              SWITCHING "Upgrade: foo, websocket\r\nConnection: keep-alive, Upgrade\r\n" ACCEPT END)
ACCEPTED_TEST(repeated_connection_fields, SWITCHING UPGRADE "Connection: keep-alive\r\n" CONNECTION ACCEPT END)
ACCEPTED_TEST(no_space_after_the_colon,
              SWITCHING "Upgrade:websocket\r\nConnection:Upgrade\r\nSec-WebSocket-Accept:%s\r\n" END)
ACCEPTED_TEST(white_space_around_values,
              SWITCHING "Upgrade: \t websocket \t\r\nConnection: Upgrade  \r\nSec-WebSocket-Accept:  %s  \r\n" END)
ACCEPTED_TEST(fields_that_nobody_knows, SWITCHING UPGRADE CONNECTION ACCEPT "X-Empty:\r\nDate: today, or so\r\n" END)

/* RFC 9110, 15.2. */
#define EARLY_HINTS "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n" END
ACCEPTED_TEST(after_interim_answers,
              "HTTP/1.1 100 Continue\r\n" END "HTTP/1.1 102 Processing\r\n" END EARLY_HINTS EARLY_HINTS
              SWITCHING UPGRADE CONNECTION ACCEPT END)

TEST(an_endless_row_of_interim_answers_is_refused) {
    begin();
    for (int i = 0; i != 16; ++i) respond(EARLY_HINTS);
    expect_failure(EPROTO);
}

TEST(a_server_that_hangs_up_after_an_interim_answer_gives_ECONNRESET) {
    begin();
    respond(EARLY_HINTS);
    CHECK_INT(close(fd), 0);
    end();
    CHECK_INT(attempt.ws, -1);
    CHECK_INT(attempt.err, ECONNRESET);
}

TEST(accepted_fields_of_30_KB) {
    begin();
    strcpy(head, SWITCHING UPGRADE CONNECTION "Sec-WebSocket-Accept: ");
    strcat(head, accept_key);
    strcat(head, "\r\n");
    pad_head(head, "Set-Cookie", 30000);
    strcat(head, END);
    raw_send_text(fd, head);
    expect_success();
}

TEST(accepted_a_hundred_fields) {
    begin();
    strcpy(head, SWITCHING UPGRADE CONNECTION "Sec-WebSocket-Accept: ");
    strcat(head, accept_key);
    strcat(head, "\r\n");
    for (int i = 0; i != 97; ++i) pad_head(head, "X-Field", 5);
    strcat(head, END);
    raw_send_text(fd, head);
    expect_success();
}

TEST(a_response_may_come_byte_by_byte) {
    char response[512];
    begin();
    snprintf(response, sizeof(response), SWITCHING UPGRADE CONNECTION ACCEPT END, accept_key);
    for (const char *p = response; *p; ++p) {
        raw_send(fd, p, 1);
        CHECK_INT(msleep(now()), 0);
    }
    expect_success();
}

TEST(a_frame_in_the_same_segment_as_the_response_is_not_lost) {
    char response[512];
    uint8_t frames[64];
    size_t len, n;
    begin();
    len = (size_t)snprintf(response, sizeof(response), SWITCHING UPGRADE CONNECTION ACCEPT END, accept_key);
    n = frame_build(frames, CLIENT, FIN | TEXT, "hello", 5);
    n += frame_build(frames + n, CLIENT, FIN | TEXT, "again", 5);
    memcpy(response + len, frames, n);
    raw_send(fd, response, len + n);
    expect_success();
    expect_text(attempt.ws, "hello");
    expect_text(attempt.ws, "again");
}

/* --- Responses that are refused --- */

#define REFUSED_TEST(NAME, RESPONSE) \
    TEST(refused_##NAME) {           \
        begin();                     \
        respond(RESPONSE);           \
        expect_failure(EPROTO);      \
    }

REFUSED_TEST(status_200, "HTTP/1.1 200 OK\r\n" UPGRADE CONNECTION ACCEPT END)
REFUSED_TEST(status_404, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n" END)
REFUSED_TEST(status_301, "HTTP/1.1 301 Moved\r\nLocation: /\r\n" END)
REFUSED_TEST(HTTP_1_0, "HTTP/1.0 101 Switching Protocols\r\n" UPGRADE CONNECTION ACCEPT END)
REFUSED_TEST(HTTP_2, "HTTP/2 101 Switching Protocols\r\n" UPGRADE CONNECTION ACCEPT END)
REFUSED_TEST(no_upgrade, SWITCHING CONNECTION ACCEPT END)
REFUSED_TEST(another_upgrade, SWITCHING "Upgrade: websocket2\r\n" CONNECTION ACCEPT END)
REFUSED_TEST(no_connection, SWITCHING UPGRADE ACCEPT END)
REFUSED_TEST(another_connection, SWITCHING UPGRADE "Connection: close\r\n" ACCEPT END)
REFUSED_TEST(no_accept_key, SWITCHING UPGRADE CONNECTION END)
REFUSED_TEST(an_empty_accept_key, SWITCHING UPGRADE CONNECTION "Sec-WebSocket-Accept: \r\n" END)
REFUSED_TEST(a_wrong_accept_key,
             SWITCHING UPGRADE CONNECTION "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" END)
REFUSED_TEST(an_accept_key_with_something_behind, SWITCHING UPGRADE CONNECTION "Sec-WebSocket-Accept: %sA\r\n" END)
REFUSED_TEST(two_accept_keys, SWITCHING UPGRADE CONNECTION ACCEPT ACCEPT END)
REFUSED_TEST(an_extension_that_was_not_asked_for,
             SWITCHING UPGRADE CONNECTION ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n" END)
REFUSED_TEST(a_subprotocol_that_was_not_asked_for,
             SWITCHING UPGRADE CONNECTION ACCEPT "Sec-WebSocket-Protocol: chat\r\n" END)
REFUSED_TEST(a_folded_field, SWITCHING UPGRADE CONNECTION ACCEPT "X-Folded: a\r\n b\r\n" END)
REFUSED_TEST(a_space_before_the_colon, SWITCHING UPGRADE CONNECTION ACCEPT "X-Field : a\r\n" END)
REFUSED_TEST(a_field_without_colon, SWITCHING UPGRADE CONNECTION ACCEPT "X-Field\r\n" END)
REFUSED_TEST(a_bare_CR, SWITCHING UPGRADE CONNECTION ACCEPT "X-Field: a\rb\r\n" END)
REFUSED_TEST(something_that_is_not_HTTP, "SSH-2.0-OpenSSH_9.2\r\n\r\n")
REFUSED_TEST(a_frame_instead_of_a_response, "\x81\x05hello\r\n\r\n")

TEST(refused_a_NUL) {
    char response[512];
    size_t len;
    begin();
    len = (size_t)snprintf(response, sizeof(response), SWITCHING UPGRADE CONNECTION ACCEPT "X: a@b\r\n" END,
                           accept_key);
    *strchr(response, '@') = 0;
    raw_send(fd, response, len);
    expect_failure(EPROTO);
}

coroutine static void feed(int s, size_t len) {
    char line[1024];
    memset(line, 'x', sizeof(line));
    memcpy(line, "X-Long: ", 8);
    memcpy(line + sizeof(line) - 2, "\r\n", 2);
    for (; len > sizeof(line); len -= sizeof(line))
        if (bsend(s, line, sizeof(line), now() + 5000) < 0) return;
}

TEST(a_head_of_more_than_64_KiB_is_refused) {
    int feeder, peer;
    begin();
    raw_send_text(fd, SWITCHING);
    peer = wire_adopt(fd);
    feeder = go(feed(peer, 80000));
    end();
    CHECK_INT(attempt.ws, -1);
    CHECK(attempt.err == EPROTO || attempt.err == EMSGSIZE);
    CHECK_INT(hclose(feeder), 0);
}

TEST(more_than_128_fields_are_refused) {
    begin();
    strcpy(head, SWITCHING UPGRADE CONNECTION);
    for (int i = 0; i != 129; ++i) pad_head(head, "X-Field", 5);
    strcat(head, END);
    raw_send_text(fd, head);
    end();
    CHECK_INT(attempt.ws, -1);
    CHECK(attempt.err == EPROTO || attempt.err == EMSGSIZE);
}

/* --- Responses that do not come --- */

TEST(the_deadline_covers_the_handshake) {
    int64_t deadline = now() + 50;
    STREAM_AND_RAW(&attempt.s, &fd);
    b = go(attach(&attempt, WS_TEXT, "/", "", deadline));
    raw_recv_head(fd, head, sizeof(head));
    raw_send_text(fd, SWITCHING);
    expect_failure(ETIMEDOUT);
    CHECK(now() >= deadline);
}

TEST(a_cancelled_handshake_gives_ECANCELED_and_closes_the_socket) {
    begin();
    CHECK_INT(hclose(b), 0);
    CHECK_INT(attempt.ws, -1);
    CHECK_INT(attempt.err, ECANCELED);
    CHECK_ERR(hclose(attempt.s), -1, EBADF);
}

TEST(a_server_that_hangs_up_gives_ECONNRESET) {
    begin();
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    expect_failure(ECONNRESET);
}

TEST(a_server_that_hangs_up_in_the_middle_of_its_response_gives_ECONNRESET) {
    begin();
    raw_send_text(fd, SWITCHING UPGRADE);
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    expect_failure(ECONNRESET);
}
