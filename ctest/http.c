/* HTTP: headers, line by line. What it shares with other protocols is tested in layers.c. */

#include "lower.h"

static int s[2], h[2], fd;
static char a[70000], b[70000];

static void attach_one(void) {
    h[0] = http_attach(s[0]);
    CHECK(h[0] >= 0);
}

static void attach_both(void) {
    make_ipc_pair(s);
    for (int i = 0; i != 2; ++i) {
        h[i] = http_attach(s[i]);
        CHECK(h[i] >= 0);
    }
}

/* A handle that receives the text and then the end of the stream. */
static int receiving(const char *text) {
    make_ipc_and_raw(&s[0], &fd);
    raw_send(fd, text, strlen(text));
    CHECK_INT(close(fd), 0);
    attach_one();
    return h[0];
}

/* --- On the wire --- */

TEST(lines_are_those_of_HTTP) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        attach_one();
        CHECK_INT(http_sendrequest(h[0], "GET", "/a/b?c", now() + 5000), 0);
        RAW_RECV(fd, "GET /a/b?c HTTP/1.1\r\n");
        CHECK_INT(http_sendstatus(h[0], 404, "Not found", now() + 5000), 0);
        RAW_RECV(fd, "HTTP/1.1 404 Not found\r\n");
        CHECK_INT(http_sendstatus(h[0], 200, "", now() + 5000), 0);
        RAW_RECV(fd, "HTTP/1.1 200 \r\n");
        CHECK_INT(http_sendfield(h[0], "Name", "a value: with a colon", now() + 5000), 0);
        RAW_RECV(fd, "Name: a value: with a colon\r\n");
        CHECK_INT(http_done(h[0], now() + 5000), 0);
        RAW_RECV(fd, "\r\n");
    }
}

TEST(spaces_around_a_value_are_not_sent) {
    make_ipc_and_raw(&s[0], &fd);
    attach_one();
    CHECK_INT(http_sendfield(h[0], "A", "   x y", -1), 0);
    CHECK_INT(http_sendfield(h[0], "B", "x y   ", -1), 0);
    CHECK_INT(http_sendfield(h[0], "C", "  x y  ", -1), 0);
    RAW_RECV(fd, "A: x y\r\nB: x y\r\nC: x y\r\n");
}

TEST(a_line_goes_down_in_one_call) {
    make_user_pair(s);
    attach_one();
    CHECK_INT(http_sendrequest(h[0], "GET", "/", -1), 0);
    CHECK_INT(lower_user[0].sent.count, 1);
}

TEST(long_lines_are_sent_whole) {
    attach_both();
    memset(a, 'x', 1500);
    a[1500] = 0;
    CHECK_INT(http_sendfield(h[0], "A", a, -1), 0);
    CHECK_INT(http_recvfield(h[1], a, sizeof(a), b, sizeof(b), now() + 5000), 0);
    CHECK_INT(strlen(b), 1500);
}

/* --- Nothing can be smuggled into what is sent --- */

TEST(control_characters_are_not_sent) {
    const char *bad[] = {"a\r", "a\n", "\r\nb", "a\r\nInjected: yes", "\x01", "a\x7f", "a\bb", "a\x1b[0m"};
    make_ipc_and_raw(&s[0], &fd);
    attach_one();
    for (size_t i = 0; i != sizeof(bad) / sizeof(*bad); ++i) {
        CHECK_ERR(http_sendrequest(h[0], bad[i], "/", -1), -1, EINVAL);
        CHECK_ERR(http_sendrequest(h[0], "GET", bad[i], -1), -1, EINVAL);
        CHECK_ERR(http_sendstatus(h[0], 200, bad[i], -1), -1, EINVAL);
        CHECK_ERR(http_sendfield(h[0], bad[i], "x", -1), -1, EINVAL);
        CHECK_ERR(http_sendfield(h[0], "x", bad[i], -1), -1, EINVAL);
    }
    CHECK_RAW_SILENT(fd);
    CHECK_INT(http_sendstatus(h[0], 200, "tabs\tare\tfine", -1), 0);
    RAW_RECV(fd, "HTTP/1.1 200 tabs\tare\tfine\r\n");
}

TEST(white_space_and_separators_are_not_sent_where_they_would_end_a_word) {
    const char *separators = "(),/:;<=>?@[\\]{}\" \t\n";
    make_ipc_and_raw(&s[0], &fd);
    attach_one();
    for (const char *c = separators; *c; ++c) {
        char name[] = {'a', *c, 'b', 0};
        CHECK_ERR(http_sendfield(h[0], name, "x", -1), -1, EINVAL);
    }
    CHECK_ERR(http_sendrequest(h[0], "G T", "/", -1), -1, EINVAL);
    CHECK_ERR(http_sendrequest(h[0], "GET", "/a b", -1), -1, EINVAL);
    CHECK_ERR(http_sendrequest(h[0], "GET", "/a\tb", -1), -1, EINVAL);
    CHECK_RAW_SILENT(fd);
}

TEST(empty_and_missing_parts_are_refused) {
    make_ipc_and_raw(&s[0], &fd);
    attach_one();
    CHECK_ERR(http_sendrequest(h[0], "", "/", -1), -1, EINVAL);
    CHECK_ERR(http_sendrequest(h[0], "GET", "", -1), -1, EINVAL);
    CHECK_ERR(http_sendrequest(h[0], NULL, "/", -1), -1, EINVAL);
    CHECK_ERR(http_sendrequest(h[0], "GET", NULL, -1), -1, EINVAL);
    CHECK_ERR(http_sendstatus(h[0], 200, NULL, -1), -1, EINVAL);
    CHECK_ERR(http_sendfield(h[0], "", "x", -1), -1, EINVAL);
    CHECK_ERR(http_sendfield(h[0], NULL, "x", -1), -1, EINVAL);
    CHECK_ERR(http_sendfield(h[0], "x", NULL, -1), -1, EINVAL);
    CHECK_ERR(http_sendfield(h[0], "x", "", -1), -1, EPROTO);
    CHECK_ERR(http_sendfield(h[0], "x", "    ", -1), -1, EPROTO);
    CHECK_ERR(http_recvrequest(h[0], NULL, 10, b, 10, -1), -1, EINVAL);
    CHECK_ERR(http_recvfield(h[0], a, 10, NULL, 10, -1), -1, EINVAL);
    CHECK_ERR(http_recvstatus(h[0], NULL, 10, -1), -1, EINVAL);
    CHECK_RAW_SILENT(fd);
}

TEST(a_status_is_100_to_599) {
    const int bad[] = {-1, 0, 99, 600, 1000, 65736};
    make_ipc_and_raw(&s[0], &fd);
    attach_one();
    for (int i = 0; i != 6; ++i) CHECK_ERR(http_sendstatus(h[0], bad[i], "x", -1), -1, EINVAL);
    CHECK_RAW_SILENT(fd);
    CHECK_INT(http_sendstatus(h[0], 100, "x", -1), 0);
    CHECK_INT(http_sendstatus(h[0], 599, "x", -1), 0);
}

/* --- Receiving --- */

TEST(a_request_is_taken_apart) {
    int r = receiving("GET /a HTTP/1.1\r\n  PUT   *   HTTP/1.0  \r\n");
    CHECK_INT(http_recvrequest(r, a, 4, b, 3, -1), 0);
    CHECK_STR(a, "GET");
    CHECK_STR(b, "/a");
    CHECK_INT(http_recvrequest(r, a, sizeof(a), b, sizeof(b), -1), 0);
    CHECK_STR(a, "PUT");
    CHECK_STR(b, "*");
}

TEST(bad_requests_are_EPROTO_and_the_next_line_is_read) {
    const char *bad[] = {" ",          "GET",          "GET ",          "GET /",          "GET / ",
                         "GET / HTTP", "GET / HTTP/2", "GET / ABCDEFGH", "GET / HTTP/1.1xyz", "GET / HTTP/1.1 x",
                         "GET\t/ HTTP/1.1", "GET /\r HTTP/1.1", "GET /\n HTTP/1.1"};
    for (size_t i = 0; i != sizeof(bad) / sizeof(*bad); ++i) {
        char text[100];
        int r;
        snprintf(text, sizeof(text), "%s\r\nGET / HTTP/1.1\r\n", bad[i]);
        r = receiving(text);
        CHECK_ERR(http_recvrequest(r, a, sizeof(a), b, sizeof(b), -1), -1, EPROTO);
        CHECK_INT(http_recvrequest(r, a, sizeof(a), b, sizeof(b), -1), 0);
    }
}

TEST(a_status_is_taken_apart) {
    int r = receiving("HTTP/1.1 200 OK\r\n HTTP/1.0   599   a  b \r\nHTTP/1.1 404\r\nHTTP/1.1 204 \r\n");
    CHECK_INT(http_recvstatus(r, a, 3, -1), 200);
    CHECK_STR(a, "OK");
    CHECK_INT(http_recvstatus(r, a, sizeof(a), -1), 599);
    CHECK_STR(a, "a  b ");
    CHECK_INT(http_recvstatus(r, a, sizeof(a), -1), 404);
    CHECK_STR(a, "");
    CHECK_INT(http_recvstatus(r, a, 1, -1), 204);
    CHECK_STR(a, "");
}

TEST(bad_statuses_are_EPROTO_and_the_next_line_is_read) {
    const char *bad[] = {"HTTP/1.1",        "HTTP/1.1 ",      "HTTP/1.1 20 x",  "HTTP/1.1 2000 x", "HTTP/1.1 2x0 x",
                         "HTTP/1.1 099 x",  "HTTP/1.1 600 x", "HTTP/2 200 x",   "ABCDEFGH 200 x",  "200 OK",
                         "HTTP/1.1 200 a\rb"};
    for (size_t i = 0; i != sizeof(bad) / sizeof(*bad); ++i) {
        char text[100];
        int r;
        snprintf(text, sizeof(text), "%s\r\nHTTP/1.1 200 OK\r\n", bad[i]);
        r = receiving(text);
        CHECK_ERR(http_recvstatus(r, a, sizeof(a), -1), -1, EPROTO);
        CHECK_INT(http_recvstatus(r, a, sizeof(a), -1), 200);
    }
}

TEST(values_are_stripped_of_white_space_at_both_ends) {
    int r = receiving("A: x\r\nB:x\r\nC:  \t x y: z \t \r\nD:\r\nE:  \r\n: f\r\n");
    const char *expected[][2] = {{"A", "x"}, {"B", "x"}, {"C", "x y: z"}, {"D", ""}, {"E", ""}, {"", "f"}};
    for (int i = 0; i != 6; ++i) {
        CHECK_INT(http_recvfield(r, a, sizeof(a), b, sizeof(b), -1), 0);
        CHECK_STR(a, expected[i][0]);
        CHECK_STR(b, expected[i][1]);
    }
}

TEST(bad_fields_are_EPROTO_and_the_next_line_is_read) {
    const char *bad[] = {"a b: c", "a : b", "a\t: b", "no colon", " folded", " folded: x", "\tfolded: x", "a: b\nc",
                         "a: b\rc"};
    for (size_t i = 0; i != sizeof(bad) / sizeof(*bad); ++i) {
        char text[100];
        int r;
        snprintf(text, sizeof(text), "%s\r\nA: b\r\n", bad[i]);
        r = receiving(text);
        CHECK_ERR(http_recvfield(r, a, sizeof(a), b, sizeof(b), -1), -1, EPROTO);
        CHECK_INT(http_recvfield(r, a, sizeof(a), b, sizeof(b), -1), 0);
    }
}

TEST(a_NUL_in_a_line_is_EPROTO) {
    make_ipc_and_raw(&s[0], &fd);
    attach_one();
    RAW_SEND(fd, "A: b\0c\r\nA\0: b\r\n");
    CHECK_ERR(http_recvfield(h[0], a, sizeof(a), b, sizeof(b), -1), -1, EPROTO);
    CHECK_ERR(http_recvfield(h[0], a, sizeof(a), b, sizeof(b), -1), -1, EPROTO);
}

TEST(a_part_that_does_not_fit_gives_EMSGSIZE_and_the_next_line_is_read) {
    int r = receiving("abcd: x\r\na: wxyz\r\nabc: xyz\r\nGET /abc HTTP/1.1\r\nHTTP/1.1 200 abcd\r\na: b\r\n");
    memset(a, '.', 8), memset(b, '.', 8);
    CHECK_ERR(http_recvfield(r, a, 4, b, 4, -1), -1, EMSGSIZE);
    CHECK_ERR(http_recvfield(r, a, 4, b, 4, -1), -1, EMSGSIZE);
    CHECK_INT(http_recvfield(r, a, 4, b, 4, -1), 0);
    CHECK_STR(a, "abc");
    CHECK_STR(b, "xyz");
    CHECK_ERR(http_recvrequest(r, a, 4, b, 4, -1), -1, EMSGSIZE);
    CHECK_ERR(http_recvstatus(r, a, 4, -1), -1, EMSGSIZE);
    CHECK_INT(a[4], '.');
    CHECK_INT(b[4], '.');
    CHECK_INT(http_recvfield(r, a, 4, b, 4, -1), 0);
}

TEST(a_buffer_of_length_0_is_too_small_for_anything) {
    int r = receiving("GET / HTTP/1.1\r\nGET / HTTP/1.1\r\nHTTP/1.1 200\r\n: \r\na:\r\n");
    memset(a, '.', 2), memset(b, '.', 2);
    CHECK_ERR(http_recvrequest(r, a, 0, b, 9, -1), -1, EMSGSIZE);
    CHECK_ERR(http_recvrequest(r, b, 9, a, 0, -1), -1, EMSGSIZE);
    CHECK_ERR(http_recvstatus(r, a, 0, -1), -1, EMSGSIZE);
    CHECK_ERR(http_recvfield(r, a, 0, b, 9, -1), -1, EMSGSIZE);
    CHECK_ERR(http_recvfield(r, b, 9, a, 0, -1), -1, EMSGSIZE);
    CHECK_INT(a[0], '.');
}

/* --- Long lines --- */

static void send_field_of(int raw, size_t line) {
    memset(a, 'x', line);
    memcpy(a, "A:", 2);
    memcpy(a + line, "\r\n", 2);
    raw_send(raw, a, line + 2);
}

TEST(a_line_of_64_KiB_is_received_whatever_the_buffers) {
    const size_t lines[] = {511, 512, 513, 1023, 1024, 60000, 65536};
    for (int i = 0; i != 7; ++i) EACH_LOWER_AND_RAW(&s[0], &fd) {
            attach_one();
            send_field_of(fd, lines[i]);
            CHECK_INT(http_recvfield(h[0], a, sizeof(a), b, sizeof(b), now() + 5000), 0);
            CHECK_STR(a, "A");
            CHECK_INT(strlen(b), lines[i] - 2);
            CHECK_INT(strspn(b, "x"), lines[i] - 2);
            send_field_of(fd, lines[i]);
            CHECK_INT(http_recvfield(h[0], a, 2, b, lines[i] - 1, now() + 5000), 0);
            send_field_of(fd, lines[i]);
            CHECK_ERR(http_recvfield(h[0], a, 2, b, lines[i] - 2, now() + 5000), -1, EMSGSIZE);
            RAW_SEND(fd, "B: c\r\n");
            CHECK_INT(http_recvfield(h[0], a, sizeof(a), b, sizeof(b), now() + 5000), 0);
            CHECK_STR(b, "c");
        }
}

TEST(a_longer_line_gives_EPROTO_for_good) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        attach_one();
        send_field_of(fd, 65537);
        RAW_SEND(fd, "B: c\r\n");
        CHECK_ERR(http_recvfield(h[0], a, sizeof(a), b, sizeof(b), now() + 5000), -1, EPROTO);
        CHECK_ERR(http_recvfield(h[0], a, sizeof(a), b, sizeof(b), now() + 5000), -1, ECONNRESET);
        CHECK_ERR(http_detach(h[0], now() + 5000), -1, ECONNRESET);
        CHECK_CLOSED(h[0]);
    }
}

/* --- The end of a header --- */

TEST(the_blank_line_is_EPIPE_and_nothing_behind_it_is_taken_for_a_field) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        attach_one();
        RAW_SEND(fd, "A: b\r\n\r\nC: d\r\n");
        CHECK_INT(http_recvfield(h[0], a, sizeof(a), b, sizeof(b), now() + 5000), 0);
        for (int i = 0; i != 2; ++i)
            CHECK_ERR(http_recvfield(h[0], a, sizeof(a), b, sizeof(b), now() + 5000), -1, EPIPE);
        CHECK_ERR(http_recvrequest(h[0], a, sizeof(a), b, sizeof(b), now() + 5000), -1, EPIPE);
        s[0] = http_detach(h[0], now() + 5000);
        CHECK(s[0] >= 0);
        CHECK_INT(brecv(s[0], a, 6, now() + 5000), 0);
        CHECK_MEM(a, "C: d\r\n", 6);
    }
}

TEST(after_done_nothing_is_sent) {
    attach_both();
    CHECK_INT(http_done(h[0], -1), 0);
    CHECK_ERR(http_done(h[0], -1), -1, EPIPE);
    CHECK_ERR(http_sendrequest(h[0], "GET", "/", -1), -1, EPIPE);
    CHECK_ERR(http_sendstatus(h[0], 200, "OK", -1), -1, EPIPE);
    CHECK_ERR(http_sendfield(h[0], "A", "b", -1), -1, EPIPE);
    CHECK_INT(http_sendfield(h[1], "A", "b", -1), 0);
    CHECK_INT(http_recvfield(h[0], a, sizeof(a), b, sizeof(b), now() + 5000), 0);
}

TEST(detaching_drops_the_rest_of_the_header_and_leaves_the_body) {
    EACH_LOWER_AND_RAW(&s[0], &fd) {
        attach_one();
        RAW_SEND(fd, "GET / HTTP/1.1\r\nA: b\r\nnonsense\r\n");
        send_field_of(fd, 1500);
        RAW_SEND(fd, "\r\nbody");
        CHECK_INT(http_recvrequest(h[0], a, sizeof(a), b, sizeof(b), now() + 5000), 0);
        errno = EINTR;
        s[0] = http_detach(h[0], now() + 5000);
        CHECK(s[0] >= 0);
        CHECK_INT(errno, 0);
        RAW_RECV(fd, "\r\n");
        CHECK_INT(brecv(s[0], a, 4, now() + 5000), 0);
        CHECK_MEM(a, "body", 4);
    }
}

TEST(detaching_without_the_peers_blank_line_times_out_and_closes_everything) {
    make_ipc_and_raw(&s[0], &fd);
    attach_one();
    RAW_SEND(fd, "A: b\r\n");
    CHECK_ERR(http_detach(h[0], now() + 20), -1, ETIMEDOUT);
    CHECK_CLOSED(h[0]);
}

static int64_t detach(int64_t deadline) { return http_detach(h[0], deadline); }

TEST(a_header_without_end_neither_outlasts_the_deadline_nor_holds_the_others_up) {
    for (int with_deadline = 0; with_deadline != 2; ++with_deadline) EACH_LOWER_AND_RAW(&s[0], &fd) {
            attach_one();
            write_for_ever(fd, "A: b\r\n");
            if (with_deadline) CHECK_ERR(detach(now() + 100), -1, ETIMEDOUT);
            else check_others_run(detach);
        }
}

TEST(the_end_of_the_stream_is_not_the_end_of_the_header) {
    const char *heads[] = {"", "A: b", "A: b\r", "A: b\r\n"};
    for (int i = 0; i != 4; ++i) {
        int r = receiving(heads[i]);
        CHECK_ERR(http_detach(r, now() + 5000), -1, ECONNRESET);
        CHECK_CLOSED(r);
        r = receiving(heads[i]);
        if (i == 3) CHECK_INT(http_recvfield(r, a, sizeof(a), b, sizeof(b), -1), 0);
        for (int k = 0; k != 2; ++k)
            CHECK_ERR(http_recvfield(r, a, sizeof(a), b, sizeof(b), -1), -1, ECONNRESET);
        CHECK_ERR(http_detach(r, now() + 5000), -1, ECONNRESET);
        CHECK_CLOSED(r);
    }
}

/* RFC 9112, 2.2. */
TEST(one_blank_line_before_a_request_is_ignored) {
    int r = receiving("\r\nGET / HTTP/1.1\r\n\r\n");
    CHECK_INT(http_recvrequest(r, a, sizeof(a), b, sizeof(b), -1), 0);
    CHECK_STR(a, "GET");
    CHECK_ERR(http_recvfield(r, a, sizeof(a), b, sizeof(b), -1), -1, EPIPE);
    r = receiving("\r\n\r\nGET / HTTP/1.1\r\n");
    CHECK_ERR(http_recvrequest(r, a, sizeof(a), b, sizeof(b), -1), -1, EPIPE);
    r = receiving("A: b\r\n\r\nGET / HTTP/1.1\r\n");
    CHECK_INT(http_recvfield(r, a, sizeof(a), b, sizeof(b), -1), 0);
    CHECK_ERR(http_recvrequest(r, a, sizeof(a), b, sizeof(b), -1), -1, EPIPE);
    r = receiving("\r\nHTTP/1.1 200 OK\r\n");
    CHECK_ERR(http_recvstatus(r, a, sizeof(a), -1), -1, EPIPE);
}

TEST(done_of_a_handle_of_another_kind_leaves_it_alone) {
    make_ipc_pair(s);
    CHECK_ERR(http_done(s[0], -1), -1, ENOTSUP);
    CHECK_ERR(http_done(-1, -1), -1, EBADF);
    CHECK_ERR(http_sendrequest(s[0], "GET", "/", -1), -1, ENOTSUP);
    CHECK_ERR(http_recvstatus(s[0], a, 10, -1), -1, ENOTSUP);
    CHECK_INT(bsend(s[0], "A", 1, -1), 0);
    CHECK_INT(brecv(s[1], a, 1, -1), 0);
}

/* --- A whole exchange --- */

coroutine static void serve(void) {
    CHECK_INT(http_recvrequest(h[1], a, sizeof(a), b, sizeof(b), now() + 5000), 0);
    CHECK_STR(a, "GET");
    CHECK_STR(b, "/page");
    while (http_recvfield(h[1], a, sizeof(a), b, sizeof(b), now() + 5000) == 0) CHECK_STR(b, "example.com");
    CHECK_INT(errno, EPIPE);
    CHECK_INT(http_sendstatus(h[1], 200, "OK", now() + 5000), 0);
    CHECK_INT(http_sendfield(h[1], "Content-Length", "4", now() + 5000), 0);
    s[1] = http_detach(h[1], now() + 5000);
    CHECK(s[1] >= 0);
    CHECK_INT(bsend(s[1], "body", 4, now() + 5000), 0);
}

TEST(a_client_and_a_server_understand_each_other) {
    EACH_LOWER(s) {
        char reason[16], name[32], value[32], body[4];
        int server;
        for (int i = 0; i != 2; ++i) h[i] = http_attach(s[i]);
        server = go(serve());
        CHECK_INT(http_sendrequest(h[0], "GET", "/page", now() + 5000), 0);
        CHECK_INT(http_sendfield(h[0], "Host", "example.com", now() + 5000), 0);
        CHECK_INT(http_done(h[0], now() + 5000), 0);
        CHECK_INT(http_recvstatus(h[0], reason, sizeof(reason), now() + 5000), 200);
        CHECK_STR(reason, "OK");
        CHECK_INT(http_recvfield(h[0], name, sizeof(name), value, sizeof(value), now() + 5000), 0);
        CHECK_STR(name, "Content-Length");
        CHECK_ERR(http_recvfield(h[0], name, sizeof(name), value, sizeof(value), now() + 5000), -1, EPIPE);
        s[0] = http_detach(h[0], now() + 5000);
        CHECK(s[0] >= 0);
        CHECK_INT(brecv(s[0], body, 4, now() + 5000), 0);
        CHECK_MEM(body, "body", 4);
        CHECK_INT(bundle_wait(server, now() + 5000), 0);
        CHECK_INT(hclose(server), 0);
    }
}
