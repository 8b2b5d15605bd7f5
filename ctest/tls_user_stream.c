/* TLS on a bytestream of the program's own. */

#include <sys/socket.h>

#include "byte_stream.h"
#include "test.h"
#include "tls_s_client.h"

/* The bytes from one descriptor to the other, as long as there are some. */
coroutine static void relay(int from, int to) {
    char byte;
    while (fdin(from, -1) == 0 && fdout(to, -1) == 0 && recv(from, &byte, 1, MSG_DONTWAIT) == 1)
        CHECK_INT(send(to, &byte, 1, 0), 1);
}

/* h[0] is a TLS client on a connection of the library's, h[1] a server on a bytestream of the program's, which is on
   lower_fd. What they send comes out of wire[0] and goes into wire[1], and the other way round. */
static int lower_fd;

static void make_apart(int h[2], int wire[2]) {
    int fds[2], s[2], relays[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    s[0] = ipc_fromfd(fds[0]), wire[0] = fds[1];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    s[1] = byte_stream_make(lower_fd = fds[0]), wire[1] = fds[1];
    for (int i = 0; i != 2; ++i) CHECK((relays[i] = go(relay(wire[i], wire[1 - i]))) >= 0);
    make_tls_over(s, h);
    for (int i = 0; i != 2; ++i) CHECK_INT(hclose(relays[i]), 0);
}

static void close_apart(int h[2], int wire[2]) {
    for (int i = 0; i != 2; ++i) {
        CHECK_INT(hclose(h[i]), 0);
        CHECK_INT(fdclean(wire[i]), 0);
        CHECK_INT(close(wire[i]), 0);
    }
}

/* Moves all that the client has sent, and makes an attempt of the server's after each byte but the last. */
static int move_and_try(int wire[2], int (*attempt)(int h), int h) {
    char bytes[1000];
    ssize_t len = recv(wire[0], bytes, sizeof(bytes), MSG_DONTWAIT);
    CHECK(len > 30 && len < (ssize_t)sizeof(bytes));
    for (ssize_t i = 0; i != len; ++i) {
        CHECK_INT(send(wire[1], bytes + i, 1, 0), 1);
        if (i + 1 != len) CHECK_ERR(attempt(h), -1, ETIMEDOUT);
    }
    return attempt(h);
}

static char text[100];

static int receive_message(int ws) { return (int)ws_recv(ws, NULL, text, sizeof(text), now()); }
static int receive_bytes(int tls) { return brecv(tls, text, 10, now()); }
static int receive_bytes_for_ever(int tls) { return brecv(tls, text, 10, -1); }

TEST(below_a_WebSocket_nothing_is_lost_when_deadlines_pass_at_every_byte) {
    int h[2], ws[2], wire[2];
    make_apart(h, wire);
    ws[0] = ws_attach_client(h[0], WS_TEXT | WS_NOHTTP, NULL, NULL, soon());
    ws[1] = ws_attach_server(h[1], WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, soon());
    CHECK(ws[0] >= 0 && ws[1] >= 0);
    for (int i = 0; i != 3; ++i) {
        CHECK_INT(ws_send(ws[0], WS_TEXT, "a message to be cut", 19, soon()), 0);
        CHECK_INT(move_and_try(wire, receive_message, ws[1]), 19);
        CHECK_MEM(text, "a message to be cut", 19);
    }
    close_apart(ws, wire);
}

/* One fragment in a record of its own, and the other one in two. */
TEST(below_a_WebSocket_a_part_of_what_was_asked_for_is_kept_too) {
    static const char frame[] = {(char)0x82, 10, '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'};
    int h[2], ws, wire[2];
    make_apart(h, wire);
    ws = ws_attach_client(h[1], WS_NOHTTP, NULL, NULL, soon());
    CHECK(ws >= 0);
    for (size_t cut = 1; cut != sizeof(frame); ++cut) {
        char bytes[200];
        for (int part = 0; part != 2; ++part) {
            CHECK_INT(bsend(h[0], frame + (part ? cut : 0), part ? sizeof(frame) - cut : cut, soon()), 0);
            ssize_t len = recv(wire[0], bytes, sizeof(bytes), MSG_DONTWAIT);
            CHECK(len > 20);
            CHECK_INT(send(wire[1], bytes, (size_t)len, 0), len);
            if (part == 0) CHECK_ERR(ws_recv(ws, NULL, text, sizeof(text), now()), -1, ETIMEDOUT);
        }
        CHECK_INT(ws_recv(ws, NULL, text, sizeof(text), now()), 10);
        CHECK_MEM(text, "0123456789", 10);
    }
    h[1] = ws;
    close_apart(h, wire);
}

TEST(without_a_WebSocket_a_deadline_that_passes_ends_receiving) {
    int h[2], wire[2];
    make_apart(h, wire);
    CHECK_ERR(receive_bytes(h[1]), -1, ETIMEDOUT);
    CHECK_ERR(receive_bytes(h[1]), -1, ECONNRESET);
    close_apart(h, wire);
}

TEST(the_peer_is_told_of_a_broken_record) {
    static const char broken[5 + 32] = {23, 3, 3, 0, 32};
    char alert[100];
    int h[2], wire[2];
    make_apart(h, wire);
    CHECK_INT(send(wire[1], broken, sizeof(broken), 0), sizeof(broken));
    CHECK_ERR(receive_bytes(h[1]), -1, EPROTO);
    ssize_t len = recv(wire[1], alert, sizeof(alert), MSG_DONTWAIT);
    CHECK_INT(len, 5 + 2 + 1 + 16);
    CHECK_INT(send(wire[0], alert, (size_t)len, 0), len);
    CHECK_ERR(receive_bytes(h[0]), -1, EPROTO);
    CHECK_STR(ws_errmsg(), "the peer has ended TLS with the alert BadRecordMac (20)");
    close_apart(h, wire);
}

/* As many plain bytes as there is room for, which nobody reads. */
static size_t fill_socket(int fd) {
    static const char bytes[4096];
    size_t total = 0;
    for (ssize_t n; (n = send(fd, bytes, total % 2 ? 1 : sizeof(bytes), MSG_DONTWAIT)) > 0;) total += (size_t)n;
    CHECK_INT(errno, EAGAIN);
    return total;
}

TEST(nobody_who_receives_waits_for_a_peer_that_does_not_read_why) {
    static const char broken[5 + 32] = {23, 3, 3, 0, 32};
    int h[2], wire[2];
    make_apart(h, wire);
    int fd = dup(lower_fd);
    CHECK(fd >= 0 && fill_socket(fd) > 0);
    CHECK_INT(send(wire[1], broken, sizeof(broken), 0), sizeof(broken));
    CHECK_ERR(receive_bytes_for_ever(h[1]), -1, EPROTO);
    CHECK_INT(close(fd), 0);
    close_apart(h, wire);
}

static char much[256 * 1024];
coroutine static void send_much(int h, size_t len, int *result) {
    fill_pattern(much, len, 0);
    *result = bsend(h, much, len, soon());
}

coroutine static void receive_much(int h, uint64_t *len, int *err) {
    for (char byte; brecv(h, &byte, 1, soon()) == 0; ++*len) check_pattern(&byte, 1, *len);
    *err = errno;
}

/* The sender is in the middle of its bytes then. How many of them the peer has received when it is told. */
static uint64_t break_record_during_send(size_t size, int result) {
    static const char broken[5 + 32] = {23, 3, 3, 0, 32};
    int h[2], wire[2], sender, receiver, relays, sent = 1, err = 0;
    uint64_t len = 0;
    make_apart(h, wire);
    CHECK_INT(setsockopt(lower_fd, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int)), 0);
    CHECK((sender = go(send_much(h[1], size, &sent))) >= 0);
    CHECK_INT(sent, 1);
    CHECK_INT(send(wire[1], broken, sizeof(broken), 0), sizeof(broken));
    CHECK_ERR(receive_bytes(h[1]), -1, EPROTO);
    CHECK((receiver = go(receive_much(h[0], &len, &err))) >= 0);
    CHECK((relays = go(relay(wire[1], wire[0]))) >= 0);
    CHECK_INT(bundle_wait(receiver, soon()), 0);
    CHECK_INT(err, EPROTO);
    CHECK_INT(bundle_wait(sender, soon()), 0);
    CHECK_INT(sent, result);
    CHECK_INT(hclose(sender), 0);
    CHECK_INT(hclose(receiver), 0);
    CHECK_INT(hclose(relays), 0);
    close_apart(h, wire);
    return len;
}

TEST(whoever_is_sending_tells_the_peer_of_a_broken_record) {
    CHECK(break_record_during_send(sizeof(much), -1) > 0);
    CHECK_INT(break_record_during_send(16 * 1024, 0), 16 * 1024);
}

/* The stream would break if the answer could not leave whole before the deadline of whoever receives (RFC 8446, 4.6.3:
   it has to leave before what is sent next). */
TEST(a_new_key_that_the_peer_asks_for_waits_until_something_is_sent) {
    static const char message[] = {(char)0x82, (char)0x82, 0, 0, 0, 0, 'h', 'i'};
    static struct user_stream below;
    struct ipaddr addr;
    int listener = listen_somewhere(&addr);
    make_certificate();
    FILE *client = start_s_client(&addr);
    int s = tcp_accept(listener, NULL, soon());
    CHECK(s >= 0);
    int h = tls_attach_server(user_stream_make(&below, s), in_directory("server.pem"), in_directory("server.key"), soon());
    int ws = ws_attach_server(h, WS_NOHTTP, NULL, 0, NULL, 0, soon());
    CHECK(ws >= 0);
    ask_for_new_key_with(client, message, sizeof(message));
    below.fail_send = ETIMEDOUT;
    CHECK_INT(ws_recv(ws, NULL, text, sizeof(text), soon()), 2);
    below.fail_send = 0;
    CHECK_INT(ws_send(ws, WS_BINARY, "under the new key", 17, soon()), 0);
    wait_until_s_client_shows("under the new key");
    CHECK_INT(hclose(ws), 0);
    CHECK_INT(hclose(listener), 0);
    pclose(client);
}
