/* The socket below a protocol is closed by its number, or closes itself, and the number is another connection's
   then: that one receives nothing, and stays open. */

#include <libdill.h>

#include "lower.h"

/* Makes connections until one of them has the handle, and keeps that one. */
static void reuse_handle(int h, int pair[2]) {
    for (int i = 0; i != 100000; ++i) {
        make_ipc_pair(pair);
        if (pair[0] == h || pair[1] == h) return;
        CHECK_INT(hclose(pair[0]), 0);
        CHECK_INT(hclose(pair[1]), 0);
    }
    CHECK(!"numbers are used again");
}

static void check_silent_and_open(int pair[2]) {
    char c;
    for (int end = 0; end != 2; ++end) {
        CHECK_INT(bsend(pair[end], "x", 1, -1), 0);
        CHECK_INT(brecv(pair[!end], &c, 1, now() + 5000), 0);
        CHECK_INT(c, 'x');
    }
}

/* The handle of the bytestream or message socket that one of the library's protocols on h has taken. */
static int find_lower(int h, const void *type) {
    for (int i = 0; i != 4096; ++i)
        if (i != h && hquery(i, type)) return i;
    CHECK(!"there is one");
    return -1;
}

static int attach_prefix(int s) { return prefix_attach(s, 1, 0); }
static int attach_suffix(int s) { return suffix_attach(s, "\n", 1); }
static int attach_http(int s) { return http_attach(s); }
static int attach_ws(int s) { return ws_attach_server(s, WS_NOHTTP, NULL, 0, NULL, 0, -1); }

static int send_message(int h) { return msend(h, "secret", 6, -1); }
static int send_field(int h) { return http_sendfield(h, "name", "secret", -1); }
static int recv_field(int h) {
    char name[8], value[8];
    return http_recvfield(h, name, 8, value, 8, -1);
}
static int recv_message(int h) { return mrecv(h, NULL, 6, -1) < 0 ? -1 : 0; }

static const struct {
    int (*attach)(int s), (*send)(int h), (*recv)(int h);
} protocols[] = {
    {attach_prefix, send_message, recv_message},
    {attach_suffix, send_message, recv_message},
    {attach_http, send_field, recv_field},
    {attach_ws, send_message, recv_message},
};

static void close_below(int kind) {
    for (size_t i = 0; i != sizeof(protocols) / sizeof(protocols[0]); ++i) {
        int s[2], pair[2];
        if (kind == 0) make_tcp_pair(s);
        if (kind == 1) make_ipc_pair(s);
        if (kind == 2) make_user_pair(s);
        int peer = hown(s[1]);
        CHECK_INT(hclose(peer), 0); /* so that there is one bytestream less to be found */
        int h = protocols[i].attach(s[0]);
        CHECK(h >= 0);
        int lower = kind == 2 ? -1 : find_lower(h, bsock_type);
        for (int n = 0; lower < 0; ++n)
            if (n != h && n != lower_user[0].lower && hquery(n, bsock_type)) lower = n;
        CHECK_INT(hclose(lower), 0);
        reuse_handle(lower, pair);
        CHECK_ERR(protocols[i].send(h), -1, EBADF);
        CHECK_ERR(protocols[i].recv(h), -1, EBADF);
        CHECK_INT(hclose(h), 0);
        check_silent_and_open(pair);
        CHECK_INT(hclose(pair[0]), 0);
        CHECK_INT(hclose(pair[1]), 0);
    }
}

TEST(the_next_connection_gets_nothing_of_a_protocol_whose_TCP_was_closed) { close_below(0); }
TEST(the_next_connection_gets_nothing_of_a_protocol_whose_AF_UNIX_stream_was_closed) { close_below(1); }
TEST(the_next_connection_gets_nothing_of_a_protocol_whose_user_bytestream_was_closed) { close_below(2); }

TEST(detaching_from_what_was_closed_below_gives_EBADF) {
    int s[2];
    make_ipc_pair(s);
    CHECK_INT(hclose(s[1]), 0);
    int h = prefix_attach(s[0], 1, 0);
    CHECK_INT(hclose(find_lower(h, bsock_type)), 0);
    CHECK_ERR(prefix_detach(h), -1, EBADF);
    CHECK_CLOSED(h);
}

/* A bytestream that closes itself while it sends, and whose number is another connection's at once. */

struct vanishing {
    struct hvfs hvfs;
    struct bsock_vfs bvfs;
    int self;
    int pair[2];
};

static void *vanishing_query(struct hvfs *hvfs, const void *type) {
    if (type == bsock_type) return &((struct vanishing *)hvfs)->bvfs;
    errno = ENOTSUP;
    return NULL;
}
static void vanishing_close(struct hvfs *hvfs) { (void)hvfs; }
static int vanishing_bsendl(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last, int64_t deadline) {
    struct vanishing *self = (struct vanishing *)(void *)((char *)bvfs - offsetof(struct vanishing, bvfs));
    (void)first, (void)last, (void)deadline;
    CHECK_INT(hclose(self->self), 0);
    reuse_handle(self->self, self->pair);
    /* Something that would be taken for the proxy's answer. */
    for (int end = 0; end != 2; ++end) CHECK_INT(bsend(self->pair[end], "\5", 1, -1), 0);
    return 0;
}
static int vanishing_brecvl(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last, int64_t deadline) {
    (void)bvfs, (void)first, (void)last, (void)deadline;
    CHECK(!"it is closed");
    return -1;
}

TEST(SOCKS5_does_not_go_on_with_the_next_connection_that_has_the_handle) {
    static struct vanishing bytestream = {{vanishing_query, vanishing_close}, {vanishing_bsendl, vanishing_brecvl}, -1, {-1, -1}};
    CHECK((bytestream.self = hmake(&bytestream.hvfs)) >= 0);
    CHECK_ERR(socks5_client_connectbyname(bytestream.self, NULL, NULL, "host", 80, -1), -1, EBADF);
    char c;
    for (int end = 0; end != 2; ++end) {
        CHECK_INT(brecv(bytestream.pair[end], &c, 1, now() + 5000), 0);
        CHECK_INT(c, 5);
    }
}
