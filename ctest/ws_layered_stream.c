/* WebSockets over a bytestream of the user's that passes one byte at a time and fails when it is told to. */

#include <libdill.h>

#include "http.h"
#include "sweep.h"
#include "sweep_stream.h"
#include "test.h"

static struct wire w;
static struct thin_stream stream;
static char buf[1000], head[4096];
static char medium[300];
/* The kernel takes a few hundred pieces of one byte before somebody has to read them. */
enum { SENT = 130, KERNEL_BUFFER = 200000 };

static const char request[] =
    "GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

static const char answer[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/* --- The plain side --- */

/* Everything the peer says after the handshake. */
static void say_all(void) {
    memset(medium, 'm', sizeof(medium));
    wire_send_text(&w, FIN | TEXT, "caf\xc3\xa9");
    wire_send_text(&w, TEXT, "frag");
    wire_send_text(&w, FIN | PING, "ping");
    wire_send_text(&w, FIN | CONTINUATION, "ment");
    wire_send(&w, FIN | BINARY, medium, sizeof(medium));
    wire_send_text(&w, FIN | PONG, "not asked for");
    wire_send_text(&w, FIN | TEXT, "too long for its buffer");
    wire_send_text(&w, FIN | TEXT, "skipped");
    wire_send_close(&w, 1000, "bye");
    raw_send_text(w.fd, "what follows");
}

/* The peer may find the connection closed before it has heard enough. */
coroutine static void answer_client(void) {
    char key[WS_KEY_SIZE], accept[WS_KEY_SIZE];
    size_t len = 0;
    for (head[0] = 0; !strstr(head, "\r\n\r\n"); head[len] = 0) {
        ssize_t n = recv(w.fd, head + len, sizeof(head) - 1 - len, MSG_DONTWAIT);
        if (n == 0) return;
        if (n < 0 && msleep(now() + 1) < 0) return;
        if (n > 0) len += (size_t)n;
    }
    head_field(head, "Sec-WebSocket-Key", key, sizeof(key));
    CHECK_INT(ws_response_key(key, accept), 0);
    raw_send_text(w.fd, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: ");
    raw_send_text(w.fd, accept);
    raw_send_text(w.fd, "\r\n\r\n");
    say_all();
}

static void expect_all(void) {
    if (w.role == SERVER) {
        raw_recv(w.fd, head, sizeof(answer) - 1);
        CHECK_MEM(head, answer, sizeof(answer) - 1);
    }
    wire_expect_text(&w, FIN | PONG, "ping");
    wire_expect_text(&w, FIN | TEXT, "hello");
    wire_expect(&w, FIN | BINARY, medium, SENT);
    wire_expect(&w, FIN | CLOSE, "\x03\xe9" "bye", 5);
    raw_recv(w.fd, buf, 3);
    CHECK_MEM(buf, "raw", 3);
}

/* --- The conversation --- */

enum step { ATTACH, TALK, DETACH, AFTERWARDS, FINISHED };

/* How far a conversation came, the errno that ended it, and the handle that is left. */
struct course {
    enum step step;
    int err;
    int s;
};

/* Makes the call again for as long as it times out: the stream does so once. */
#define STEP(COURSE, EXPR, EXPECTED)                                             \
    do {                                                                         \
        long long rc_;                                                           \
        do {                                                                     \
            errno = 0;                                                           \
            rc_ = (long long)(EXPR);                                             \
        } while (rc_ < 0 && errno == ETIMEDOUT && retries && retries--);         \
        if (rc_ != (long long)(EXPECTED)) {                                      \
            CHECK_INT(rc_, -1);                                                  \
            (COURSE)->err = errno;                                               \
            return;                                                              \
        }                                                                        \
    } while (0)

static int attach(int s) {
    return w.role == CLIENT ? ws_attach_client(s, WS_TEXT, "/chat", "example.org", now() + 5000)
                            : ws_attach_server(s, WS_TEXT, buf, 100, buf + 100, 100, now() + 5000);
}

static int fails_with(int rc, int err) { return rc < 0 && errno == err ? -2 : rc; }

static void converse(struct course *c, int s, int retries) {
    c->step = ATTACH;
    c->s = attach(s);
    c->err = errno;
    if (c->s < 0) return;
    c->step = TALK;
    STEP(c, ws_recv(c->s, NULL, buf, sizeof(buf), now() + 5000), 5);
    CHECK_MEM(buf, "caf\xc3\xa9", 5);
    STEP(c, ws_recv(c->s, NULL, buf, sizeof(buf), now() + 5000), 8);
    CHECK_MEM(buf, "fragment", 8);
    STEP(c, ws_send(c->s, WS_TEXT, "hello", 5, now() + 5000), 0);
    STEP(c, ws_send(c->s, WS_BINARY, medium, SENT, now() + 5000), 0);
    STEP(c, ws_recv(c->s, NULL, buf, sizeof(buf), now() + 5000), sizeof(medium));
    CHECK_MEM(buf, medium, sizeof(medium));
    STEP(c, fails_with((int)ws_recv(c->s, NULL, buf, 5, now() + 5000), EMSGSIZE), -2);
    c->step = DETACH;
    s = ws_detach(c->s, 1001, "bye", 3, now() + 5000);
    c->err = errno;
    if (s < 0) return;
    c->s = s;
    c->step = AFTERWARDS;
    STEP(c, bsend(s, "raw", 3, now() + 5000), 0);
    STEP(c, brecv(s, buf, 12, now() + 5000), 0);
    CHECK_MEM(buf, "what follows", 12);
    c->step = FINISHED;
}

/* Holds the conversation over a stream that fails as it is told. */
static struct course hold(enum role role, enum transport transport, int fail_at, int err, int only_once) {
    struct course c = {ATTACH, 0, -1};
    int b = bundle(), s;
    w.role = role;
    s = thin_stream_make(&stream, open_stream(transport, &w.fd, KERNEL_BUFFER));
    stream.fail_at = fail_at;
    stream.err = err;
    stream.only_once = only_once;
    if (role == SERVER) {
        raw_send_text(w.fd, request);
        say_all();
    } else {
        CHECK_INT(bundle_go(b, answer_client()), 0);
    }
    converse(&c, s, only_once);
    CHECK_INT(hclose(b), 0);
    return c;
}

/* Nothing is left to be closed but what the conversation has left. */
static void end(const struct course *c) {
    if (c->step == ATTACH || c->step == DETACH) {
        CHECK_INT(stream.closes, 1);
        if (c->s >= 0) CHECK_ERR(hclose(c->s), -1, EBADF);
    } else {
        CHECK_INT(stream.closes, 0);
        CHECK_INT(hclose(c->s), 0);
        CHECK_INT(stream.closes, 1);
    }
    CHECK_INT(close(w.fd), 0);
}

/* How many calls of the stream a conversation takes. */
static int count_calls(enum role role) {
    struct course c = hold(role, IPC, 0, 0, 0);
    CHECK_INT(c.step, FINISHED);
    end(&c);
    return stream.calls;
}

/* --- Tests --- */

TEST(a_conversation_passes_one_byte_at_a_time) {
    CHECK_NOTHING_LEAKED({
        EACH_OWN_CONNECTION(transport, role) {
            struct course c = hold((enum role)role, (enum transport)transport, 0, 0, 0);
            CHECK_INT(c.step, FINISHED);
            expect_all();
            end(&c);
        }
    });
}

/* Once it has failed a stream fails for good. */
TEST(a_stream_that_fails_at_any_call_ends_the_conversation_with_its_error) {
    CHECK_NOTHING_LEAKED({
        EACH_OWN_CONNECTION(transport, role) {
            int calls = count_calls((enum role)role);
            CHECK(calls > 20);
            for (int at = 1; at <= calls; ++at) {
                struct course c = hold((enum role)role, (enum transport)transport, at, EXDEV, 0);
                CHECK(c.step != FINISHED);
                /* A pong that fails is the business of the next send. */
                CHECK(c.err == EXDEV || (c.err == ECONNRESET && stream.calls > at));
                if (c.step == TALK) {
                    CHECK_INT(ws_recv(c.s, NULL, buf, sizeof(buf), 0), -1);
                    CHECK_INT(ws_send(c.s, WS_TEXT, "A", 1, 0), -1);
                }
                end(&c);
            }
        }
    });
}

TEST(a_stream_that_ends_at_any_receive_gives_ECONNRESET) {
    CHECK_NOTHING_LEAKED({
        EACH_OWN_CONNECTION(transport, role) {
            int calls = count_calls((enum role)role);
            for (int at = 1; at <= calls; ++at) {
                struct course c = hold((enum role)role, (enum transport)transport, at, EPIPE, 0);
                CHECK(c.step != FINISHED);
                if (c.step != AFTERWARDS && stream.sends == 0) CHECK_INT(c.err, ECONNRESET);
                end(&c);
            }
        }
    });
}

TEST(a_stream_that_times_out_once_at_any_receive_loses_nothing) {
    CHECK_NOTHING_LEAKED({
        EACH_OWN_CONNECTION(transport, role) {
            int calls = count_calls((enum role)role), finished = 0;
            for (int at = 1; at <= calls; ++at) {
                struct course c = hold((enum role)role, (enum transport)transport, at, ETIMEDOUT, 1);
                /* Attaching and detaching are not repeated, and after a send that may have begun the
                   outbound half is broken. */
                if (c.step == FINISHED) ++finished;
                else CHECK(c.err == ECONNRESET || (c.step != TALK && c.err == ETIMEDOUT));
                end(&c);
            }
            CHECK(finished > 5);
        }
    });
}

/* --- Violations --- */

static const struct {
    int first;
    const char *payload;
    size_t len;
    int code;
} violations[] = {
    {FIN | 0x40 | TEXT, "A", 1, 1002},       {FIN | 0x3, "", 0, 1002},
    {PING, "", 0, 1002},                     {FIN | CONTINUATION, "A", 1, 1002},
    {FIN | CLOSE, "\x03", 1, 1002},          {FIN | CLOSE, "\x03\xed", 2, 1002},
    {FIN | CLOSE, "\x03\xe8\xff", 3, 1007},  {FIN | TEXT, "A\xff" "B", 3, 1007},
    {FIN | TEXT, "\xf0\x9f\x98", 3, 1007},   {TEXT, "\xed\xa0\x80", 3, 1007},
};

TEST(every_violation_is_answered_with_its_code) {
    CHECK_NOTHING_LEAKED({
        EACH_OWN_CONNECTION(transport, role) {
            for (size_t i = 0; i != sizeof(violations) / sizeof(*violations); ++i) {
                w.role = (enum role)role;
                w.ws = attach_without_http(
                    thin_stream_make(&stream, open_stream((enum transport)transport, &w.fd, 0)), w.role, WS_TEXT);
                wire_send(&w, violations[i].first, violations[i].payload, violations[i].len);
                CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
                CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, ECONNRESET);
                CHECK_ERR(ws_send(w.ws, WS_TEXT, "A", 1, now() + 5000), -1, EPIPE);
                wire_expect_close(&w, violations[i].code);
                CHECK_INT(hclose(w.ws), 0);
                CHECK_INT(stream.closes, 1);
                CHECK_INT(close(w.fd), 0);
            }
        }
    });
}
