/* Connecting to names. When which address is tried, is tested in src/net/happyeyeballs/tests.rs. */

#include "pair.h"

static struct ipaddr addr;

static int listen_at(const char *text) {
    CHECK_INT(ipaddr_local(&addr, text, 0, 0), 0);
    return tcp_listen(&addr, 100);
}

/* Connects to the name and passes a byte. */
static void connect_to(const char *name, int listener) {
    char c;
    int client, server;
    errno = EAGAIN;
    client = happyeyeballs_connect(name, ipaddr_port(&addr), now() + 5000);
    CHECK(client >= 0);
    CHECK_INT(errno, 0);
    server = tcp_accept(listener, NULL, now() + 5000);
    CHECK(server >= 0);
    CHECK_INT(bsend(client, "A", 1, now() + 5000), 0);
    CHECK_INT(brecv(server, &c, 1, now() + 5000), 0);
    CHECK_INT(tcp_done(client, -1), 0);
    CHECK_ERR(brecv(server, &c, 1, now() + 5000), -1, EPIPE);
    CHECK_INT(tcp_close(server, now() + 5000), 0);
    CHECK_INT(tcp_close(client, now() + 5000), 0);
}

TEST(literal_addresses_are_connected_to) {
    int listener = listen_at("127.0.0.1");
    CHECK(listener >= 0);
    connect_to("127.0.0.1", listener);
    listener = listen_at("::1");
    if (listener < 0) SKIP("no IPv6 here");
    connect_to("::1", listener);
}

TEST(names_are_connected_to) {
    int listener = listen_at("127.0.0.1"), before = open_descriptors();
    CHECK(listener >= 0);
    connect_to("localhost", listener);
    /* The thread that asks for the addresses of the other family may still have files open. */
    for (int i = 0; i != 500 && open_descriptors() > before + 2; ++i) CHECK_INT(msleep(now() + 10), 0);
    CHECK(open_descriptors() <= before + 2);
}

TEST(an_address_at_which_nobody_listens_is_given_up_at_once) {
    take_address(&addr);
    CHECK_ERR(happyeyeballs_connect("127.0.0.1", ipaddr_port(&addr), -1), -1, ECONNREFUSED);
    CHECK_ERR(happyeyeballs_connect("localhost", ipaddr_port(&addr), -1), -1, ECONNREFUSED);
}

TEST(a_name_that_does_not_exist_has_no_address) {
    int rc = happyeyeballs_connect("no such name", 80, now() + 15000);
    CHECK_INT(rc, -1);
    CHECK_INT(errno, EADDRNOTAVAIL);
}

TEST(bad_arguments_give_EINVAL) {
    CHECK_ERR(happyeyeballs_connect(NULL, 80, -1), -1, EINVAL);
    CHECK_ERR(happyeyeballs_connect("127.0.0.1", 0, -1), -1, EINVAL);
    CHECK_ERR(happyeyeballs_connect("127.0.0.1", -1, -1), -1, EINVAL);
    CHECK_ERR(happyeyeballs_connect("127.0.0.1", 65536, -1), -1, EINVAL);
}

/* A port at which connections neither succeed nor fail: the queue of the listener is full. */
static void make_full_listener(void) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(in);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_INT(bind(listener, (struct sockaddr *)&in, sizeof(in)), 0);
    CHECK_INT(listen(listener, 0), 0);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", ntohs(in.sin_port), 0), 0);
    for (int i = 0; i != 3; ++i) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        CHECK(connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0 || errno == EINPROGRESS);
    }
    /* From now on the thread has the descriptor with which it waits. */
    CHECK_INT(fdin(listener, now() + 5000), 0);
    CHECK_INT(msleep(now() + 20), 0);
}

TEST(the_deadline_is_kept_and_nothing_stays_open) {
    make_full_listener();
    int before = open_descriptors();
    int64_t start = now();
    CHECK_ERR(happyeyeballs_connect("127.0.0.1", ipaddr_port(&addr), start + 100), -1, ETIMEDOUT);
    CHECK(now() - start >= 100);
    CHECK_INT(open_descriptors(), before);
    CHECK_ERR(happyeyeballs_connect("127.0.0.1", ipaddr_port(&addr), 0), -1, ETIMEDOUT);
    CHECK_INT(open_descriptors(), before);
}

coroutine static void connect_and_tell(int *seen) {
    *seen = happyeyeballs_connect("127.0.0.1", ipaddr_port(&addr), -1) < 0 ? errno : 0;
}

TEST(others_run_while_somebody_connects_and_connecting_can_be_cancelled) {
    int seen = 0, before, b;
    make_full_listener();
    before = open_descriptors();
    b = go(connect_and_tell(&seen));
    for (int i = 0; i != 10; ++i) CHECK_INT(msleep(now() + 10), 0);
    CHECK_INT(seen, 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(seen, ECANCELED);
    CHECK_INT(open_descriptors(), before);
}

coroutine static void connect_when_cancelled(int *seen) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    *seen = happyeyeballs_connect("localhost", ipaddr_port(&addr), -1) < 0 ? errno : 0;
}

TEST(nobody_connects_in_a_cancelled_coroutine) {
    int seen = 0, b;
    CHECK(listen_at("127.0.0.1") >= 0);
    b = go(connect_when_cancelled(&seen));
    CHECK_INT(hclose(b), 0);
    CHECK_INT(seen, ECANCELED);
}

TEST(many_connect_at_once) {
    int listener = listen_at("127.0.0.1"), b = bundle();
    static int seen[20];
    CHECK(listener >= 0);
    for (int i = 0; i != 20; ++i) seen[i] = -1;
    for (int i = 0; i != 20; ++i) CHECK_INT(bundle_go(b, connect_and_tell(&seen[i])), 0);
    for (int i = 0; i != 20; ++i) CHECK(tcp_accept(listener, NULL, now() + 5000) >= 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    for (int i = 0; i != 20; ++i) CHECK_INT(seen[i], 0);
}
