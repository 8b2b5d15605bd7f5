/* A deadline or a cancellation interrupts the opening and the closing handshake at every byte, of what comes and
   of what goes. An attachment or a detachment that fails closes everything. */

#include <libdill.h>

#include "http.h"
#include "sweep.h"
#include "test.h"

static struct wire w;
static char resource[64], host[64], head[4096];
enum { SMALL_BUFFER = 4608 };

static const char request[] =
    "GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
static const char bad_request[] = "GET /chat HTTP/1.1\r\nHost: example.org\r\n\r\n";

static long long by_attach_server(struct interrupted_call *c, int64_t deadline) {
    return ws_attach_server(c->s, WS_TEXT, resource, sizeof(resource), host, sizeof(host), deadline);
}
static long long by_attach_client(struct interrupted_call *c, int64_t deadline) {
    return ws_attach_client(c->s, WS_TEXT, "/chat", "example.org", deadline);
}
static long long by_detach(struct interrupted_call *c, int64_t deadline) {
    return ws_detach(c->s, 1000, c->buf, c->len, deadline);
}

static struct interrupted_call open_for(long long (*call)(struct interrupted_call *, int64_t), enum transport transport) {
    struct interrupted_call c = {0, NULL, 0, 0, call, 0, 0};
    c.s = open_stream(transport, &w.fd, SMALL_BUFFER);
    w.role = call == by_attach_client ? CLIENT : SERVER;
    return c;
}

/* The call failed and has closed its handle and the connection below. */
static void check_all_closed(const struct interrupted_call *c) {
    CHECK_ERR(hclose(c->s), -1, EBADF);
    while (recv(w.fd, head, sizeof(head), 0) > 0) continue;
    CHECK(raw_is_closed(w.fd));
    CHECK_INT(close(w.fd), 0);
}

static void check_interrupted_and_closed(enum interruption how, struct interrupted_call *c) {
    interrupt(how, c);
    CHECK_INTERRUPTED(how, c);
    gate_open();
    check_all_closed(c);
}

#define EACH_INTERRUPTION(HOW, TRANSPORT)          \
    for (int HOW = 0; HOW != INTERRUPTIONS; ++HOW) \
        for (int TRANSPORT = 0; TRANSPORT != TRANSPORTS; ++TRANSPORT)

/* --- Attaching --- */

TEST(ws_attach_server_interrupted_at_any_byte_of_the_request_closes_everything) {
    CHECK_NOTHING_LEAKED({
        EACH_INTERRUPTION(how, transport) {
            for (size_t at = 0; at != sizeof(request) - 1; ++at) {
                struct interrupted_call c = open_for(by_attach_server, (enum transport)transport);
                raw_send(w.fd, request, at);
                check_interrupted_and_closed((enum interruption)how, &c);
            }
        }
    });
}

static void sweep_answer(const char *text, size_t size) {
    EACH_INTERRUPTION(how, transport) {
        for (size_t at = 0; at != size; ++at) {
            struct interrupted_call c = open_for(by_attach_server, (enum transport)transport);
            raw_send_text(w.fd, text);
            gate_close(at);
            check_interrupted_and_closed((enum interruption)how, &c);
        }
    }
}

/* How many bytes the server answers to the text. */
static size_t answer_size(const char *text) {
    struct interrupted_call c = open_for(by_attach_server, IPC);
    ssize_t n;
    raw_send_text(w.fd, text);
    run_call(&c, now() + 5000);
    n = recv(w.fd, head, sizeof(head), 0);
    CHECK(n > 0);
    if (c.rc >= 0) CHECK_INT(hclose((int)c.rc), 0);
    CHECK_INT(close(w.fd), 0);
    return (size_t)n;
}

TEST(ws_attach_server_interrupted_at_any_byte_of_its_answer_closes_everything) {
    CHECK_NOTHING_LEAKED(sweep_answer(request, answer_size(request)));
}

TEST(ws_attach_server_interrupted_at_any_byte_of_a_refusal_closes_everything) {
    CHECK_NOTHING_LEAKED(sweep_answer(bad_request, answer_size(bad_request)));
}

TEST(ws_attach_client_interrupted_at_any_byte_of_its_request_closes_everything) {
    CHECK_NOTHING_LEAKED({
        EACH_INTERRUPTION(how, transport) {
            for (size_t at = 0; at != 150; ++at) {
                struct interrupted_call c = open_for(by_attach_client, (enum transport)transport);
                gate_close(at);
                check_interrupted_and_closed((enum interruption)how, &c);
            }
        }
    });
}

coroutine static void run_attached(struct interrupted_call *c) { run_call(c, -1); }

/* The client has sent its request and waits; returns the good answer to it, and the first message. */
static size_t answer_to(struct interrupted_call *c, int b, uint8_t *answer) {
    char key[WS_KEY_SIZE], accept[WS_KEY_SIZE];
    size_t n;
    CHECK_INT(bundle_go(b, run_attached(c)), 0);
    raw_recv_head(w.fd, head, sizeof(head));
    head_field(head, "Sec-WebSocket-Key", key, sizeof(key));
    CHECK_INT(ws_response_key(key, accept), 0);
    n = (size_t)sprintf((char *)answer,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: %s\r\n\r\n",
                        accept);
    return n + frame_build(answer + n, CLIENT, FIN | TEXT, "first", 5);
}

/* The client's deadline cannot be set to a byte, for its key is not known before it waits. */
TEST(ws_attach_client_cancelled_at_any_byte_of_the_answer_closes_everything) {
    CHECK_NOTHING_LEAKED({
        for (int transport = 0; transport != TRANSPORTS; ++transport) {
            size_t n = 8;
            for (size_t at = 0; at != n - 7; ++at) {
                uint8_t answer[500];
                struct interrupted_call c = open_for(by_attach_client, (enum transport)transport);
                int b = bundle();
                n = answer_to(&c, b, answer);
                raw_send(w.fd, answer, at);
                if (at % 2) CHECK_INT(yield(), 0);
                CHECK_INT(hclose(b), 0);
                if (c.rc >= 0) CHECK_INT(hclose((int)c.rc), 0);
                else CHECK_INTERRUPTED(CANCELLED, &c);
                check_all_closed(&c);
            }
        }
    });
}

/* --- Attaching that has to wait without an interruption --- */

static void check_attached(struct interrupted_call *c, int b) {
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    CHECK(c->rc >= 0);
    w.ws = (int)c->rc;
    expect_text(w.ws, "first");
    CHECK_INT(ws_send(w.ws, WS_TEXT, "second", 6, now() + 5000), 0);
    wire_expect_text(&w, FIN | TEXT, "second");
    CHECK_INT(hclose(w.ws), 0);
    CHECK_INT(close(w.fd), 0);
}

TEST(a_request_cut_at_any_byte_is_accepted_and_the_first_frame_behind_it_arrives) {
    CHECK_NOTHING_LEAKED({
        for (int transport = 0; transport != TRANSPORTS; ++transport) {
            uint8_t bytes[500];
            size_t n = sizeof(request) - 1;
            memcpy(bytes, request, n);
            n += frame_build(bytes + n, SERVER, FIN | TEXT, "first", 5);
            for (size_t at = 0; at <= n; ++at) {
                struct interrupted_call c = open_for(by_attach_server, (enum transport)transport);
                int b = bundle();
                raw_send(w.fd, bytes, at);
                CHECK_INT(bundle_go(b, run_attached(&c)), 0);
                CHECK_INT(yield(), 0);
                raw_send(w.fd, bytes + at, n - at);
                raw_recv_head(w.fd, head, sizeof(head));
                CHECK_STR(resource, "/chat");
                CHECK_STR(host, "example.org");
                check_attached(&c, b);
            }
        }
    });
}

TEST(an_answer_cut_at_any_byte_is_accepted_and_the_first_frame_behind_it_arrives) {
    CHECK_NOTHING_LEAKED({
        for (int transport = 0; transport != TRANSPORTS; ++transport) {
            size_t n = 1;
            for (size_t at = 0; at <= n; ++at) {
                uint8_t answer[500];
                struct interrupted_call c = open_for(by_attach_client, (enum transport)transport);
                int b = bundle();
                n = answer_to(&c, b, answer);
                raw_send(w.fd, answer, at);
                CHECK_INT(yield(), 0);
                raw_send(w.fd, answer + at, n - at);
                check_attached(&c, b);
            }
        }
    });
}

/* --- Detaching --- */

/* What the peer sends before its close frame and after it. */
static uint8_t farewell[200];
static size_t build_farewell(void) {
    size_t n = frame_build(farewell, w.role, FIN | TEXT, "dropped", 7);
    n += frame_build(farewell + n, w.role, BINARY, "ab", 2);
    n += frame_build(farewell + n, w.role, FIN | PING, "p", 1);
    n += frame_build(farewell + n, w.role, FIN | CONTINUATION, "c", 1);
    return n + frame_build(farewell + n, w.role, FIN | CLOSE, "\x03\xe8" "bye", 5);
}

static struct interrupted_call open_detach(enum transport transport, enum role role) {
    struct interrupted_call c = {0, host, 2, 0, by_detach, 0, 0};
    memcpy(host, "by", 2);
    sweep_open(&w, transport, role, SMALL_BUFFER);
    c.s = w.ws;
    return c;
}

/* The stream that came back carries other bytes in both directions. */
static void check_detached(const struct interrupted_call *c, size_t frame) {
    int s = (int)c->rc;
    CHECK(s >= 0);
    CHECK_ERR(hclose(c->s), -1, EBADF);
    peer_recv(w.fd, NULL, frame);
    CHECK_INT(bsend(s, "raw", 3, 0), 0);
    peer_recv(w.fd, head, 3);
    CHECK_MEM(head, "raw", 3);
    raw_send(w.fd, "war", 3);
    CHECK_INT(brecv(s, head, 3, now() + 5000), 0);
    CHECK_MEM(head, "war", 3);
    CHECK_INT(hclose(s), 0);
    CHECK_INT(close(w.fd), 0);
}

static size_t close_frame_size(void) { return w.role == CLIENT ? 10 : 6; }

TEST(ws_detach_interrupted_at_any_byte_that_comes_closes_everything) {
    CHECK_NOTHING_LEAKED({
        EACH_SWEEP(how, transport, role) {
            size_t n = 1;
            for (size_t at = 0; at <= n; ++at) {
                struct interrupted_call c = open_detach((enum transport)transport, (enum role)role);
                n = build_farewell();
                raw_send(w.fd, farewell, at);
                if (at < n) {
                    check_interrupted_and_closed((enum interruption)how, &c);
                } else {
                    interrupt((enum interruption)how, &c);
                    check_detached(&c, close_frame_size());
                }
            }
        }
    });
}

TEST(ws_detach_interrupted_at_any_byte_of_its_close_frame_closes_everything) {
    CHECK_NOTHING_LEAKED({
        EACH_SWEEP(how, transport, role) {
            for (size_t at = 0; at != 10 + SEALED; ++at) {
                struct interrupted_call c = open_detach((enum transport)transport, (enum role)role);
                raw_send(w.fd, farewell, build_farewell());
                gate_close(at);
                interrupt((enum interruption)how, &c);
                gate_open();
                if (at < close_frame_size() || (at < close_frame_size() + SEALED && c.rc < 0)) {
                    CHECK_INTERRUPTED((enum interruption)how, &c);
                    check_all_closed(&c);
                } else {
                    check_detached(&c, close_frame_size());
                }
            }
        }
    });
}

TEST(ws_detach_that_has_to_wait_at_any_byte_returns_the_stream) {
    CHECK_NOTHING_LEAKED({
        EACH_CONNECTION(transport, role) {
            size_t n = 1;
            for (size_t at = 0; at != n; ++at) {
                struct interrupted_call c = open_detach((enum transport)transport, (enum role)role);
                int b = bundle();
                n = build_farewell();
                raw_send(w.fd, farewell, at);
                CHECK_INT(bundle_go(b, run_attached(&c)), 0);
                CHECK_INT(yield(), 0);
                raw_send(w.fd, farewell + at, n - at);
                CHECK_INT(bundle_wait(b, now() + 5000), 0);
                CHECK_INT(hclose(b), 0);
                check_detached(&c, close_frame_size());
            }
        }
    });
}
