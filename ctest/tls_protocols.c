/* The protocols that run on a bytestream: over TLS a deadline that passes, wherever that is, comes to the same as over
   TCP. */

#include <sys/socket.h>

#include "test.h"
#include "tls.h"

/* A protocol, something to receive in it, and the calls that do. */
struct protocol {
    const char *name, *bytes;
    size_t len;
    int (*attach)(int s);
    int (*receive)(int h, int number, char *buf, size_t len, int64_t deadline);
    int (*send)(int h, const char *bytes, size_t len, int64_t deadline);
    int (*detach)(int h);
};

static int attach_prefix(int s) { return prefix_attach(s, 2, 0); }
static int attach_suffix(int s) { return suffix_attach(s, "\r\n", 2); }
static int attach_term(int s) { return term_attach(suffix_attach(s, "\r\n", 2), "END", 3); }
static int attach_nothing(int s) { return s; }

static int detach_prefix(int h) { return prefix_detach(h); }
static int detach_suffix(int h) { return suffix_detach(h, soon()); }
static int detach_term(int h) { return term_detach(h, soon()); }
static int detach_http(int h) { return http_detach(h, soon()); }

static int receive_message(int h, int number, char *buf, size_t len, int64_t deadline) {
    (void)number;
    return (int)mrecv(h, buf, len, deadline);
}

static int send_message(int h, const char *bytes, size_t len, int64_t deadline) { return msend(h, bytes, len, deadline); }

static int receive_http(int h, int number, char *buf, size_t len, int64_t deadline) {
    if (number == 0) return http_recvrequest(h, buf, len / 2, buf + len / 2, len / 2, deadline);
    return http_recvfield(h, buf, len / 2, buf + len / 2, len / 2, deadline);
}

static int send_http(int h, const char *bytes, size_t len, int64_t deadline) {
    (void)bytes, (void)len;
    return http_sendfield(h, "name", "value", deadline);
}

static int receive_socks5(int h, int number, char *buf, size_t len, int64_t deadline) {
    if (number == 0) return socks5_proxy_auth(h, NULL, deadline);
    int port, rc = socks5_proxy_recvcommandbyname(h, buf, &port, deadline);
    (void)len;
    return rc;
}

#define BYTES(TEXT) TEXT, sizeof(TEXT) - 1
static const struct protocol protocols[] = {
    {"prefix", BYTES("\0\3one\0\0\0\5three"), attach_prefix, receive_message, send_message, detach_prefix},
    {"suffix", BYTES("one\r\n\r\nth\rree\r\n"), attach_suffix, receive_message, send_message, detach_suffix},
    {"term", BYTES("one\r\ntwo\r\nEND\r\n"), attach_term, receive_message, send_message, detach_term},
    {"http", BYTES("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n"), http_attach, receive_http, send_http, detach_http},
    {"socks5", BYTES("\5\1\0\5\1\0\3\1x\0\120"), attach_nothing, receive_socks5, NULL, NULL},
};

/* What has happened, as text. */
struct events {
    char text[1 << 16];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void note(struct events *events, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int len = vsnprintf(events->text + events->len, sizeof(events->text) - events->len, format, args);
    va_end(args);
    CHECK(len >= 0 && events->len + (size_t)len < sizeof(events->text));
    events->len += (size_t)len;
}

static void note_result(struct events *events, const char *call, int rc) {
    note(events, " %s %d%s%s", call, rc, rc < 0 ? " " : "", rc < 0 ? errno_name(errno) : "");
}

static void receive_and_note(struct events *events, const struct protocol *p, int h, int number, int64_t deadline) {
    char buf[100] = "";
    int rc = p->receive(h, number, buf, sizeof(buf), deadline);
    note_result(events, "receive", rc);
    if (rc >= 0) note(events, " (%s %s)", buf, buf + 50);
}

/* The first bytes have come when one tries to receive all; then the rest comes. */
static void cut_input(struct events *events, const struct protocol *p, void (*make)(int s[2]), size_t cut) {
    int s[2], number = 0;
    make(s);
    int h = p->attach(s[1]);
    CHECK(h >= 0);
    CHECK_INT(bsend(s[0], p->bytes, cut, soon()), 0);
    note(events, "%s %zu:", p->name, cut);
    /* All that has come is there with the first byte. */
    if (cut > 0) CHECK_INT(msleep(now() + 1), 0);
    for (; number != 4; ++number) receive_and_note(events, p, h, number, now());
    CHECK_INT(bsend(s[0], p->bytes + cut, p->len - cut, soon()), 0);
    for (number = 0; number != 2; ++number) receive_and_note(events, p, h, number, now() + 100);
    if (p->send) note_result(events, "send", p->send(h, "answer", 6, soon()));
    if (p->detach && (h = p->detach(h)) < 0) note_result(events, "detach", h);
    if (h >= 0) note_result(events, "close", hclose(h));
    note(events, "\n");
    CHECK_INT(hclose(s[0]), 0);
}

static struct events over_tcp, over_tls;

TEST(a_deadline_that_passes_while_something_is_received_is_the_same_over_TLS) {
    for (size_t i = 0; i != sizeof(protocols) / sizeof(*protocols); ++i)
        for (size_t cut = 0; cut <= protocols[i].len; ++cut) {
            over_tcp.len = over_tls.len = 0;
            cut_input(&over_tcp, &protocols[i], make_tcp_pair, cut);
            cut_input(&over_tls, &protocols[i], make_tls_over_tcp, cut);
            CHECK_STR(over_tls.text, over_tcp.text);
        }
}

/* Nobody reads: what was sent in vain breaks sending, and nothing else. */
static void cut_output(struct events *events, const struct protocol *p, void (*make)(int s[2])) {
    static char much[4 << 20], received[4 << 20];
    int s[2];
    make(s);
    int h = p->attach(s[1]);
    CHECK(h >= 0);
    fill_pattern(much, sizeof(much), 0);
    for (size_t i = 0; i != sizeof(much); ++i) much[i] = (char)('a' + (much[i] & 15));
    int rc;
    while ((rc = p->send(h, much, 50000, now() + 20)) == 0) {}
    note(events, "%s:", p->name);
    note_result(events, "send", rc);
    note_result(events, "send", p->send(h, "answer", 6, soon()));
    CHECK_INT(bsend(s[0], p->bytes, p->len, soon()), 0);
    for (int number = 0; number != 2; ++number) receive_and_note(events, p, h, number, soon());
    note_result(events, "detach", p->detach(h) >= 0 ? 0 : -1);
    /* What has arrived is the beginning of what was sent, over and over. */
    size_t len = 0;
    while (len != sizeof(received) && brecv(s[0], received + len, 1, now() + 20) == 0) ++len;
    CHECK(len > 50000);
    for (size_t at = 0; at + 50000 < len; at += 50002)
        CHECK_MEM(received + at + (p->bytes[0] == 0 ? 2 : 0), much, len - at - 2 < 50000 ? len - at - 2 : 50000);
    note(events, " %s\n", errno_name(errno));
    CHECK_INT(hclose(s[0]), 0);
}

TEST(a_deadline_that_passes_while_something_is_sent_is_the_same_over_TLS) {
    for (size_t i = 0; i != 2; ++i) {
        over_tcp.len = over_tls.len = 0;
        cut_output(&over_tcp, &protocols[i], make_tcp_pair);
        cut_output(&over_tls, &protocols[i], make_tls_over_tcp);
        CHECK_STR(over_tls.text, over_tcp.text);
    }
}
