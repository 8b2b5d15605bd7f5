/* TLS: connections that break, and handles of other kinds. */

#include <libdillext.h>

#include "test.h"
#include "tls.h"

/* --- Other handles --- */

TEST(handles_of_other_kinds_give_ENOTSUP_and_are_left_alone) {
    int s[2];
    char buf[256];
    EACH_STREAM(s) {
        CHECK_ERR(tls_done(s[0], soon()), -1, ENOTSUP);
        CHECK_ERR(tls_detach(s[0], soon()), -1, ENOTSUP);
        CHECK_ERR(tls_alpn(s[0], buf, sizeof(buf)), -1, ENOTSUP);
        CHECK_SENT(s[0], "alive");
        CHECK_RECEIVED(s[1], "alive");
    }
    CHECK_ERR(tls_done(-1, soon()), -1, EBADF);
    CHECK_ERR(tls_detach(-1, soon()), -1, EBADF);
    CHECK_ERR(tls_alpn(-1, buf, sizeof(buf)), -1, EBADF);
}

TEST(functions_of_other_kinds_give_ENOTSUP_on_TLS) {
    int h[2];
    make_tls_over_tcp(h);
    CHECK_ERR(tcp_done(h[0], soon()), -1, ENOTSUP);
    CHECK_ERR(tcp_close(h[0], soon()), -1, ENOTSUP);
    CHECK_ERR(ipc_close(h[0], soon()), -1, ENOTSUP);
    CHECK_ERR(ipc_sendfd(h[0], 0, soon()), -1, ENOTSUP);
    CHECK_SENT(h[0], "alive");
    CHECK_RECEIVED(h[1], "alive");
}

/* --- A connection that breaks --- */

TEST(detaching_from_a_peer_that_has_vanished_gives_ECONNRESET) {
    int h[2];
    EACH_TLS(h) {
        CHECK_INT(hclose(h[0]), 0);
        CHECK_ERR(tls_detach(h[1], soon()), -1, ECONNRESET);
        CHECK_ERR(hclose(h[1]), -1, EBADF);
    }
}

coroutine static void attach_into(int s, int *h) { *h = tls_attach_client(s, soon()); }

coroutine static void send_bytes(int fd, const unsigned char *bytes, size_t len) {
    for (size_t i = 0; i != len; ++i) {
        raw_send(fd, &bytes[i], 1);
        CHECK_INT(msleep(now() + 1), 0);
    }
}

/* A connection whose bytes pass through our hands: what h[i] sends is read from wire[i]. */
static void make_tls_with_wiretap_over(int h[2], int wire[2], int user) {
    static struct user_stream below[2];
    int s[2];
    for (int i = 0; i != 2; ++i) {
        make_ipc_and_raw(&s[i], &wire[i]);
        if (user) s[i] = user_stream_make(&below[i], s[i]);
    }
    make_certificate();
    int b = go(serve_handshake(s[1], "server", &h[1]));
    int result = -1;
    int c = go(attach_into(s[0], &result));
    char buf[4096];
    CHECK_INT(fcntl(wire[0], F_SETFL, O_NONBLOCK), 0);
    CHECK_INT(fcntl(wire[1], F_SETFL, O_NONBLOCK), 0);
    while (bundle_wait(b, 0) < 0 || bundle_wait(c, 0) < 0) {
        for (int i = 0; i != 2; ++i) {
            ssize_t len = read(wire[i], buf, sizeof(buf));
            if (len > 0) CHECK_INT(write(wire[1 - i], buf, (size_t)len), len);
        }
        CHECK_INT(msleep(now() + 1), 0);
    }
    h[0] = result;
    CHECK(h[0] >= 0 && h[1] >= 0);
}

static void make_tls_with_wiretap(int h[2], int wire[2]) { make_tls_with_wiretap_over(h, wire, 0); }

/* Takes one record off the wire; returns its length with the header. */
static size_t take_record(int fd, unsigned char *record) {
    size_t len;
    CHECK_INT(read(fd, record, 5), 5);
    len = (size_t)record[3] << 8 | record[4];
    CHECK_INT(read(fd, record + 5, len), len);
    return len + 5;
}

TEST(a_record_that_was_changed_gives_EPROTO_and_breaks_both_directions) {
    int h[2], wire[2];
    unsigned char record[20000];
    make_tls_with_wiretap(h, wire);
    CHECK_SENT(h[0], "true");
    size_t len = take_record(wire[0], record);
    record[len - 1] ^= 1;
    raw_send(wire[1], record, len);
    CHECK_ERR(brecv(h[1], NULL, 4, soon()), -1, EPROTO);
    CHECK_STAYS(brecv(h[1], NULL, 4, soon()), ECONNRESET);
    CHECK_STAYS(bsend(h[1], "x", 1, soon()), ECONNRESET);
    CHECK_STAYS(tls_done(h[1], soon()), ECONNRESET);
    /* The alert. */
    len = take_record(wire[1], record);
    raw_send(wire[0], record, len);
    CHECK_ERR(brecv(h[0], NULL, 1, soon()), -1, EPROTO);
    CHECK_STAYS(brecv(h[0], NULL, 1, soon()), ECONNRESET);
    CHECK_STAYS(bsend(h[0], "x", 1, soon()), ECONNRESET);
    CHECK_ERR(tls_detach(h[0], soon()), -1, ECONNRESET);
    CHECK_ERR(hclose(h[0]), -1, EBADF);
    CHECK_INT(hclose(h[1]), 0);
}

TEST(a_record_that_comes_twice_gives_EPROTO) {
    int h[2], wire[2];
    unsigned char record[20000];
    make_tls_with_wiretap(h, wire);
    CHECK_SENT(h[0], "once");
    size_t len = take_record(wire[0], record);
    raw_send(wire[1], record, len);
    raw_send(wire[1], record, len);
    CHECK_RECEIVED(h[1], "once");
    CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPROTO);
}

TEST(a_record_arrives_in_single_bytes) {
    int h[2], wire[2];
    unsigned char record[20000];
    make_tls_with_wiretap(h, wire);
    CHECK_SENT(h[0], "slow but sure");
    size_t len = take_record(wire[0], record);
    char buf[13];
    int b = go(send_bytes(wire[1], record, len));
    CHECK_INT(brecv(h[1], buf, sizeof(buf), soon()), 0);
    CHECK_MEM(buf, "slow but sure", sizeof(buf));
    CHECK_INT(bundle_wait(b, soon()), 0);
}

TEST(plain_bytes_in_the_middle_give_EPROTO) {
    int h[2], wire[2];
    make_tls_with_wiretap(h, wire);
    raw_send(wire[1], "junk!", 5);
    CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPROTO);
}

TEST(a_plain_close_notify_ends_nothing) {
    int h[2], wire[2];
    make_tls_with_wiretap(h, wire);
    raw_send(wire[1], "\25\3\3\0\2\1\0", 7);
    CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPROTO);
}

coroutine static void send_in_vain(int h) {
    static char block[10000000];
    CHECK_ERR(bsend(h, block, sizeof(block), -1), -1, ECONNRESET);
}

TEST(a_receiver_that_breaks_the_connection_does_not_hang_up_a_sender) {
    for (int user = 0; user != 2; ++user) {
        int h[2], wire[2];
        char buf[65536];
        make_tls_with_wiretap_over(h, wire, user);
        int b = go(send_in_vain(h[1]));
        /* Its time slice may end before the kernel takes no more. */
        CHECK_INT(msleep(now() + 20), 0);
        raw_send(wire[1], "junk!", 5);
        CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPROTO);
        CHECK_ERR(bundle_wait(b, 0), -1, ETIMEDOUT);
        while (bundle_wait(b, now() + 1) < 0)
            while (read(wire[1], buf, sizeof(buf)) > 0) continue;
        CHECK_STAYS(bsend(h[1], "x", 1, soon()), ECONNRESET);
        CHECK_INT(hclose(h[0]), 0);
        CHECK_INT(hclose(h[1]), 0);
    }
}

TEST(nothing_is_written_to_standard_error) {
    int h[2], s[2], wire[2], err = dup(2);
    struct stat st;
    CHECK(freopen(in_directory("stderr"), "w", stderr) != NULL);
    make_certificate();
    make_ipc_pair(s);
    CHECK_SENT(s[1], "HTTP/1.1 400 Bad Request\r\n");
    int rc = tls_attach_client(s[0], soon());
    int no_server = tls_attach_server(s[1], "none", "none", soon());
    make_tls_with_wiretap(h, wire);
    raw_send(wire[1], "junk!", 5);
    int junk = brecv(h[1], NULL, 1, soon());
    fflush(stderr);
    CHECK_INT(fstat(2, &st), 0);
    CHECK_INT(dup2(err, 2), 2);
    CHECK_INT(st.st_size, 0);
    CHECK_INT(rc, -1);
    CHECK_INT(no_server, -1);
    CHECK_INT(junk, -1);
}
