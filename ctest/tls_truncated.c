/* TLS: a stream that ends without close_notify, as those of many servers do. */

#include <libdill.h>

#include "test.h"
#include "tls.h"

/* h[0] is a client that knows whom it talks to. */
static void make_verifying(int s[2], int h[2]) {
    make_certificate();
    struct tls_opts opts = {.size = sizeof(opts), .host = "localhost", .ca_file = in_directory("server.pem")};
    int b = go(serve_handshake(s[1], "server", &h[1]));
    h[0] = tls_attach_client_opts(s[0], &opts, soon());
    CHECK(h[0] >= 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK(h[1] >= 0);
    CHECK_INT(hclose(b), 0);
}

/* Ends the sending side of a TCP or AF_UNIX socket behind the library's back: the peer reads all, and its end. */
static void shut(int fd) {
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
    CHECK_INT(close(fd), 0);
}

/* A pair, and a descriptor of the second socket's that stays with the test. */
static void make_pair(int s[2], int *fd) {
    int raw[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, raw), 0);
    CHECK((*fd = dup(raw[1])) >= 0);
    CHECK((s[0] = ipc_fromfd(raw[0])) >= 0 && (s[1] = ipc_fromfd(raw[1])) >= 0);
}

TEST(the_end_without_close_notify_gives_EPIPE_to_what_libdills_own_calls_made) {
    int s[2], h[2], fd;
    for (int end = 0; end != 2; ++end) {
        make_pair(s, &fd);
        if (end) {
            int other = s[0];
            s[0] = s[1];
            s[1] = other;
        }
        make_tls_over(s, h);
        CHECK_SENT(h[!end], "last");
        shut(fd);
        CHECK_RECEIVED(h[end], "last");
        CHECK_STAYS(brecv(h[end], NULL, 1, soon()), EPIPE);
        /* The other direction goes on, and detaching succeeds. */
        CHECK_SENT(h[end], "on");
        CHECK_RECEIVED(h[!end], "on");
        int below = tls_detach(h[end], soon());
        CHECK(below >= 0);
        CHECK_ERR(brecv(below, NULL, 1, soon()), -1, EPIPE);
        CHECK_ERR(brecv(h[!end], NULL, 1, soon()), -1, EPIPE);
        CHECK_INT(hclose(below), 0);
        CHECK_INT(hclose(h[!end]), 0);
    }
}

TEST(a_peer_that_closes_without_close_notify_can_be_detached_from) {
    int h[2];
    /* TCP would be reset. */
    for (int kind = 1; kind != 3; ++kind) {
        make_tls[kind](h);
        CHECK_SENT(h[0], "cut o");
        CHECK_INT(hclose(h[0]), 0);
        CHECK_RECEIVED(h[1], "cut o");
        CHECK_STAYS(brecv(h[1], NULL, 1, soon()), EPIPE);
        int below = tls_detach(h[1], soon());
        CHECK(below >= 0);
        CHECK_INT(hclose(below), 0);
    }
}

TEST(detaching_meets_the_end_without_close_notify_by_itself) {
    int s[2], h[2], fd;
    make_pair(s, &fd);
    make_tls_over(s, h);
    CHECK_SENT(h[1], "dropped");
    shut(fd);
    int below = tls_detach(h[0], soon());
    CHECK(below >= 0);
    CHECK_INT(hclose(below), 0);
    CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPIPE);
    CHECK_INT(hclose(h[1]), 0);
}

TEST(the_end_without_close_notify_gives_ECONNRESET_to_a_client_that_verifies) {
    int s[2], h[2], fd;
    for (int detaching = 0; detaching != 2; ++detaching) {
        make_pair(s, &fd);
        make_verifying(s, h);
        CHECK_SENT(h[1], "cut o");
        shut(fd);
        if (!detaching) {
            CHECK_RECEIVED(h[0], "cut o");
            CHECK_STAYS(brecv(h[0], NULL, 1, soon()), ECONNRESET);
        }
        CHECK_ERR(tls_detach(h[0], soon()), -1, ECONNRESET);
        CHECK_ERR(hclose(h[0]), -1, EBADF);
        CHECK_INT(hclose(h[1]), 0);
    }
}

TEST(a_verifying_client_has_EPIPE_after_a_close_notify) {
    int s[2], h[2], fd;
    make_pair(s, &fd);
    make_verifying(s, h);
    CHECK_INT(close(fd), 0);
    CHECK_SENT(h[1], "all");
    CHECK_INT(tls_done(h[1], soon()), 0);
    CHECK_RECEIVED(h[0], "all");
    CHECK_STAYS(brecv(h[0], NULL, 1, soon()), EPIPE);
    CHECK_INT(hclose(h[0]), 0);
    CHECK_INT(hclose(h[1]), 0);
}

static struct ws_opts text = {.size = sizeof(text), .flags = WS_TEXT};

/* A client as browsers are: after both close frames it ends TCP and says nothing more. Nothing of it is ours then. */
coroutine static void browse(int s, int fd) {
    struct tls_opts opts = {.size = sizeof(opts), .host = "localhost", .ca_file = in_directory("server.pem")};
    int h = tls_attach_client_opts(s, &opts, soon());
    int ws = ws_attach_client_opts(h, "/", "localhost", &text, soon());
    CHECK(ws >= 0);
    CHECK_INT(ws_done(ws, 1000, NULL, 0, soon()), 0);
    CHECK_ERR(ws_recv(ws, NULL, NULL, 0, soon()), -1, EPIPE);
    shut(fd);
}

static int accept_browser(int s) {
    const char *certs[3] = {in_directory("server.pem"), in_directory("server.key"), NULL};
    struct tls_server_opts opts = {.size = sizeof(opts), .certs = certs};
    int h = tls_attach_server_opts(s, &opts, soon());
    int ws = ws_attach_server_opts(h, &text, soon());
    CHECK(ws >= 0);
    return ws;
}

static void make_browser(int user, int s[2], int *b) {
    static struct user_stream below;
    int fd;
    make_certificate();
    make_pair(s, &fd);
    int other = s[0];
    s[0] = s[1];
    s[1] = other;
    if (user) s[1] = user_stream_make(&below, s[1]);
    *b = go(browse(s[0], fd));
}

TEST(after_both_close_frames_the_end_without_close_notify_is_an_end) {
    for (int user = 0; user != 2; ++user) {
        int s[2], b;
        char c;
        make_browser(user, s, &b);
        int h = ws_detach(accept_browser(s[1]), 1000, NULL, 0, soon());
        CHECK(h >= 0);
        CHECK_ERR(brecv(h, &c, 1, soon()), -1, EPIPE);
        int below = tls_detach(h, soon());
        CHECK(below >= 0);
        CHECK_INT(hclose(below), 0);
        CHECK_INT(bundle_wait(b, soon()), 0);
    }
}

TEST(ws_close_succeeds_with_a_peer_that_says_nothing_after_its_close_frame) {
    for (int user = 0; user != 2; ++user) {
        int s[2], b;
        make_browser(user, s, &b);
        CHECK_INT(ws_close(accept_browser(s[1]), 1000, NULL, 0, soon()), 0);
        CHECK_INT(bundle_wait(b, soon()), 0);
    }
}

coroutine static void attach_plain_client(int s, int *h) { *h = tls_attach_client(s, soon()); }

TEST(before_the_close_frame_the_end_without_close_notify_is_none) {
    int s[2], fd;
    make_certificate();
    make_pair(s, &fd);
    int h[2] = {-1, -1};
    const char *certs[3] = {in_directory("server.pem"), in_directory("server.key"), NULL};
    struct tls_server_opts opts = {.size = sizeof(opts), .certs = certs};
    int b = go(attach_plain_client(s[1], &h[1]));
    h[0] = tls_attach_server_opts(s[0], &opts, soon());
    CHECK(h[0] >= 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
    shut(fd);
    CHECK_ERR(brecv(h[0], NULL, 1, soon()), -1, ECONNRESET);
    CHECK_ERR(tls_detach(h[0], soon()), -1, ECONNRESET);
}
