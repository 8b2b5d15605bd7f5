/* What leaves over TLS: as few records as there can be, in as many calls of the system as over TCP. */

#include <sys/syscall.h>

#include "test.h"
#include "tls_pair.h"

/* --- What leaves is counted: the program's symbols win over those of libc. --- */

enum { RECORD = 16384 };

static int is_counting, sends, records;
/* Of the record that is leaving: its header, and how much of its payload is to come. */
static unsigned char header[5];
static size_t header_len, left;

static void count(const char *bytes, size_t len) {
    while (len) {
        size_t step = len < left ? len : left;
        left -= step, bytes += step, len -= step;
        if (left || !len) continue;
        header[header_len++] = (unsigned char)*bytes;
        ++bytes, --len;
        if (header_len != sizeof(header)) continue;
        ++records;
        left = (size_t)header[3] << 8 | header[4];
        header_len = 0;
    }
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    ssize_t n = (ssize_t)syscall(SYS_sendmsg, fd, message, flags);
    if (!is_counting) return n;
    ++sends;
    for (size_t i = 0, rest = n > 0 ? (size_t)n : 0; rest; ++i) {
        size_t len = message->msg_iov[i].iov_len < rest ? message->msg_iov[i].iov_len : rest;
        count((const char *)message->msg_iov[i].iov_base, len);
        rest -= len;
    }
    return n;
}

ssize_t send(int fd, const void *buf, size_t len, int flags) {
    struct iovec iov = {(void *)(uintptr_t)buf, len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    return sendmsg(fd, &message, flags);
}

static void start_counting(void) {
    sends = records = 0;
    left = header_len = 0;
    is_counting = 1;
}

/* --- Tests --- */

static int ws[2];
static char buf[2 << 20];

static int gathers = WS_GATHER; /* or 0 */

/* The server is ws[1]. Only the client masks. */
static void make_ws(int over_tls) {
    int s[2];
    if (over_tls) make_tls_over_tcp(s);
    else make_tcp_pair(s);
    ws[0] = ws_attach_client(s[0], WS_BINARY | gathers | WS_NOHTTP, NULL, NULL, soon());
    ws[1] = ws_attach_server(s[1], WS_BINARY | gathers | WS_NOHTTP, NULL, 0, NULL, 0, soon());
    CHECK(ws[0] >= 0 && ws[1] >= 0);
}

static void close_ws(void) {
    for (int i = 0; i != 2; ++i) CHECK_INT(hclose(ws[i]), 0);
}

static int64_t clock_in_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* Whether the answers to a burst leave in one call, and in one more whenever the first of those that have gathered is
   old: a million ticks of the processor's clock, which are 200 us where it is fastest. */
static int answer_burst(int over_tls, size_t len) {
    int is_few = 0;
    make_ws(over_tls);
    ATTEMPT_UNTIL(is_few) {
        for (int i = 0; i != 64; ++i) CHECK_INT(ws_send(ws[0], WS_BINARY, buf, len, soon()), 0);
        CHECK_INT(yield(), 0);
        wait_until_arrived();
        start_counting();
        int64_t began = clock_in_us();
        for (int i = 0; i != 64; ++i) {
            CHECK_INT(ws_recv(ws[1], NULL, buf, sizeof(buf), soon()), len);
            CHECK_INT(ws_send(ws[1], WS_BINARY, buf, len, soon()), 0);
        }
        CHECK_INT(yield(), 0);
        is_counting = 0;
        is_few = sends <= 1 + (clock_in_us() - began) / 200;
        if (over_tls) CHECK(records < (int)(64 * (len + 2) + RECORD - 1) / RECORD + sends);
        for (int i = 0; i != 64; ++i) CHECK_INT(ws_recv(ws[0], NULL, buf, sizeof(buf), soon()), len);
    }
    close_ws();
    return is_few;
}

TEST(answers_to_messages_that_are_there_leave_in_one_call_over_TLS_as_over_TCP) {
    for (size_t len = 16; len <= 125; len += 109) {
        CHECK(answer_burst(0, len));
        CHECK(answer_burst(1, len));
    }
}

coroutine static void receive_one(size_t len) { CHECK_INT(ws_recv(ws[0], NULL, buf, sizeof(buf), soon()), len); }

TEST(a_message_takes_as_few_records_as_there_can_be) {
    static const size_t lengths[] = {0, 125, 1000, RECORD - 4, RECORD - 3, 100000, 1 << 20};
    make_ws(1);
    for (size_t i = 0; i != sizeof(lengths) / sizeof(*lengths); ++i) {
        size_t len = lengths[i], frame = len + (len < 126 ? 2 : len < 65536 ? 4 : 10);
        int b = go(receive_one(len));
        start_counting();
        CHECK_INT(ws_send(ws[1], WS_BINARY, buf, len, soon()), 0);
        CHECK_INT(bundle_wait(b, soon()), 0);
        is_counting = 0;
        CHECK_INT(records, (frame + RECORD - 1) / RECORD);
        CHECK_INT(hclose(b), 0);
    }
    close_ws();
}

TEST(a_message_of_16_KiB_leaves_in_one_call_over_TLS_as_over_TCP) {
    for (int over_tls = 0; over_tls != 2; ++over_tls) {
        make_ws(over_tls);
        start_counting();
        CHECK_INT(ws_send(ws[1], WS_BINARY, buf, RECORD, soon()), 0);
        CHECK_INT(yield(), 0);
        is_counting = 0;
        CHECK_INT(sends, 1);
        receive_one(RECORD);
        close_ws();
    }
}

/* --- The end --- */

/* What the server does when the client has sent its close frame. */
enum last { CLOSES_ALL, DONE_AND_CLOSES, DONE_AND_DETACHES, DONE_AND_WAITS };

/* Whether the server's close frame, and the close_notify if it sends one, leave in one call. */
static int answer_close(enum last last) {
    int is_one = 0, status;
    ATTEMPT_UNTIL(is_one) {
        make_ws(1);
        CHECK_INT(ws_done(ws[0], 1000, NULL, 0, soon()), 0);
        CHECK_ERR(ws_recv(ws[1], NULL, buf, sizeof(buf), soon()), -1, EPIPE);
        start_counting();
        if (last == CLOSES_ALL) CHECK_INT(ws_close(ws[1], 1000, NULL, 0, soon()), 0);
        else CHECK_INT(ws_done(ws[1], 1000, NULL, 0, soon()), 0);
        if (last == DONE_AND_CLOSES) CHECK_INT(hclose(ws[1]), 0);
        if (last == DONE_AND_DETACHES) CHECK((ws[1] = ws_detach(ws[1], 1000, NULL, 0, soon())) >= 0);
        is_one = sends == 1 && records == (last == CLOSES_ALL || last == DONE_AND_CLOSES ? 2 : 1);
        if (last == DONE_AND_WAITS) CHECK_INT(msleep(now() + 1), 0), is_one = sends == 1 && records == 1;
        is_counting = 0;
        CHECK_ERR(ws_recv(ws[0], NULL, buf, sizeof(buf), soon()), -1, EPIPE);
        CHECK_INT(ws_status(ws[0], &status, NULL, 0), 0);
        CHECK_INT(status, 1000);
        CHECK_INT(hclose(ws[0]), 0);
        if (last == DONE_AND_DETACHES || last == DONE_AND_WAITS) CHECK_INT(hclose(ws[1]), 0);
    }
    return is_one;
}

TEST(the_close_frame_that_answers_leaves_together_with_the_end_of_TLS) {
    CHECK(answer_close(CLOSES_ALL));
    CHECK(answer_close(DONE_AND_CLOSES));
}

TEST(a_close_frame_that_answers_leaves_at_once_if_gathering_was_not_asked_for) {
    gathers = 0;
    make_ws(1);
    CHECK_INT(ws_done(ws[0], 1000, NULL, 0, soon()), 0);
    CHECK_ERR(ws_recv(ws[1], NULL, buf, sizeof(buf), soon()), -1, EPIPE);
    start_counting();
    CHECK_INT(ws_done(ws[1], 1000, NULL, 0, soon()), 0);
    CHECK_INT(sends, 1);
    CHECK_INT(records, 1);
    is_counting = 0;
}

TEST(the_close_frame_that_answers_leaves_although_TLS_does_not_end) {
    CHECK(answer_close(DONE_AND_DETACHES));
    CHECK(answer_close(DONE_AND_WAITS));
}

/* --- The ticket of a server --- */

enum first { SAYS, WAITS, CLOSES };

/* What a server does when its handshake is over. */
coroutine static void serve_first(int s, const struct tls_server_opts *opts, enum first first) {
    char c;
    int h = tls_attach_server_opts(s, opts, soon());
    CHECK(h >= 0);
    start_counting();
    if (first == SAYS) CHECK_INT(bsend(h, "x", 1, soon()), 0);
    if (first == WAITS) CHECK_INT(brecv(h, &c, 1, soon()), 0);
    CHECK_INT(hclose(h), 0);
}

/* Whether the connection resumes a session; the client takes in what comes. */
static int connect_first(const struct tls_opts *client, const struct tls_server_opts *opts, enum first first) {
    char c;
    if (tls_listener < 0) tls_listener = listen_somewhere(&tls_addr);
    int s = tcp_connect(&tls_addr, soon());
    int accepted = tcp_accept(tls_listener, NULL, soon());
    CHECK(s >= 0 && accepted >= 0);
    int b = go(serve_first(accepted, opts, first));
    int h = tls_attach_client_opts(s, client, soon());
    CHECK(h >= 0);
    int resumed = info_of(h).resumed;
    CHECK_INT(brecv(h, &c, 1, first == WAITS ? now() + 50 : soon()), first == SAYS ? 0 : -1);
    is_counting = 0;
    if (first == WAITS) CHECK_INT(bsend(h, "x", 1, soon()), 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(hclose(h), 0);
    return resumed;
}

static void check_ticket(enum first first, int in_records) {
    static struct tls_opts client = {.size = sizeof(client), .host = "localhost", .flags = TLS_NOVERIFY};
    make_certificate();
    struct tls_server_opts opts = {.size = sizeof(opts), .certs = PEM_FILES("server")};
    int is_one = 0, resumes = 0;
    /* What is to leave together does so unless the thread is held up in between. */
    ATTEMPT_UNTIL(is_one) {
        CHECK_INT(connect_first(&client, &opts, first), resumes);
        is_one = sends == 1 && records == in_records;
        resumes = 1;
    }
    CHECK(is_one);
    CHECK_INT(connect_first(&client, &opts, first), 1);
}

TEST(the_ticket_of_a_server_leaves_together_with_what_it_says_first) { check_ticket(SAYS, 2); }

TEST(the_ticket_of_a_server_leaves_before_it_waits_for_the_client) { check_ticket(WAITS, 1); }

TEST(the_ticket_of_a_server_leaves_although_it_closes_at_once) { check_ticket(CLOSES, 1); }

TEST(short_messages_to_a_peer_that_does_not_read_arrive_in_their_order) {
    enum { LEN = 1000 };
    int count = 0;
    for (int way = 0; way != 4; ++way) {
        make_ws(way % 2);
        for (count = 0;; ++count) {
            memcpy(buf, &count, sizeof(count));
            int64_t deadline = now() + 20;
            struct iolist list = {buf, LEN, NULL, 0};
            if ((way / 2 ? msendl(ws[1], &list, &list, deadline)
                         : ws_send(ws[1], WS_BINARY, buf, LEN, deadline)) < 0) break;
        }
        CHECK_INT(errno, ETIMEDOUT);
        CHECK(count > 100);
        for (int i = 0; i != count; ++i) {
            CHECK_INT(ws_recv(ws[0], NULL, buf, sizeof(buf), soon()), LEN);
            CHECK_MEM(buf, &i, sizeof(i));
        }
        close_ws();
    }
}
