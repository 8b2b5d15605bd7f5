/* TCP: listening, accepting, connecting, and a proxy made of coroutines. */

#include <limits.h>

#include <libdill.h>

#include "mem.h"
#include "pair.h"
#include "test.h"

static struct ipaddr addr;

static int connect_to_listener(void) {
    int s = tcp_connect(&addr, now() + 5000);
    CHECK(s >= 0);
    return s;
}

/* --- Listening --- */

TEST(the_port_that_the_kernel_chose_is_written_back) {
    int listener;
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, 0), 0);
    listener = tcp_listen(&addr, 10);
    CHECK(listener >= 0);
    CHECK(ipaddr_port(&addr) > 0);
    CHECK_INT(hclose(connect_to_listener()), 0);
    CHECK_INT(hclose(listener), 0);
}

TEST(a_port_in_use_gives_EADDRINUSE) {
    int listener = listen_somewhere(&addr);
    CHECK_ERR(tcp_listen(&addr, 10), -1, EADDRINUSE);
    CHECK_INT(hclose(listener), 0);
}

TEST(a_port_can_be_listened_on_again_after_closing) {
    for (int i = 0; i != 3; ++i) {
        int listener = i ? tcp_listen(&addr, 10) : listen_somewhere(&addr), s[2];
        CHECK(listener >= 0);
        s[0] = connect_to_listener();
        s[1] = tcp_accept(listener, NULL, now() + 5000);
        CHECK(s[1] >= 0);
        CHECK_INT(tcp_done(s[1], -1), 0);
        CHECK_INT(tcp_close(s[0], now() + 5000), 0);
        CHECK_INT(tcp_close(s[1], now() + 5000), 0);
        CHECK_INT(hclose(listener), 0);
    }
}

TEST(an_address_that_is_not_ours_gives_EADDRNOTAVAIL) {
    CHECK_INT(ipaddr_remote(&addr, "192.0.2.1", 0, 0, -1), 0);
    CHECK_ERR(tcp_listen(&addr, 10), -1, EADDRNOTAVAIL);
}

TEST(tcp_listen_mem_refuses_NULL) {
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, 0), 0);
    CHECK_ERR(tcp_listen_mem(&addr, 10, NULL), -1, EINVAL);
}

TEST(a_failed_listen_leaves_no_descriptor_behind) {
    int listener = listen_somewhere(&addr), before;
    CHECK_INT(msleep(now() + 1), 0);
    before = open_descriptors();
    CHECK_ERR(tcp_listen(&addr, 10), -1, EADDRINUSE);
    CHECK_INT(open_descriptors(), before);
    CHECK_INT(hclose(listener), 0);
}

/* --- Accepting --- */

TEST(accept_reports_the_address_of_the_peer) {
    struct ipaddr peer;
    char text[IPADDR_MAXSTRLEN];
    int listener = listen_somewhere(&addr), s[2];
    s[0] = connect_to_listener();
    s[1] = tcp_accept(listener, &peer, now() + 5000);
    CHECK(s[1] >= 0);
    CHECK_INT(ipaddr_family(&peer), AF_INET);
    CHECK_STR(ipaddr_str(&peer, text), "127.0.0.1");
    CHECK(ipaddr_port(&peer) > 0);
    CHECK(ipaddr_port(&peer) != ipaddr_port(&addr));
}

TEST(accept_times_out_and_the_listener_stays_usable) {
    int listener = listen_somewhere(&addr);
    int64_t deadline = now() + 30;
    CHECK_ERR(tcp_accept(listener, NULL, deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
    CHECK_ERR(tcp_accept(listener, NULL, 0), -1, ETIMEDOUT);
    connect_to_listener();
    CHECK(tcp_accept(listener, NULL, now() + 5000) >= 0);
}

TEST(accept_with_deadline_0_takes_a_waiting_connection) {
    int listener = listen_somewhere(&addr);
    connect_to_listener();
    wait_until_readable();
    CHECK(tcp_accept(listener, NULL, 0) >= 0);
}

coroutine static void accept_expecting(int listener, int err) {
    int s = tcp_accept(listener, NULL, -1);
    if (err) {
        CHECK_INT(s, -1);
        CHECK_INT(errno, err);
    } else {
        CHECK(s >= 0);
    }
}

TEST(a_cancelled_accept_gives_ECANCELED_and_the_listener_stays_usable) {
    int listener = listen_somewhere(&addr);
    int b = go(accept_expecting(listener, ECANCELED));
    CHECK_INT(hclose(b), 0);
    connect_to_listener();
    CHECK(tcp_accept(listener, NULL, now() + 5000) >= 0);
}

TEST(a_second_accept_gives_EBUSY_and_disturbs_nothing) {
    int listener = listen_somewhere(&addr);
    int b = go(accept_expecting(listener, 0));
    CHECK_ERR(tcp_accept(listener, NULL, -1), -1, EBUSY);
    connect_to_listener();
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
}

TEST(accept_on_bad_handles_gives_EBADF) {
    int listener = listen_somewhere(&addr);
    CHECK_ERR(tcp_accept(-1, NULL, 0), -1, EBADF);
    CHECK_ERR(tcp_accept(INT_MAX, NULL, 0), -1, EBADF);
    CHECK_INT(hclose(listener), 0);
    CHECK_ERR(tcp_accept(listener, NULL, 0), -1, EBADF);
}

TEST(accept_on_other_kinds_of_handle_gives_ENOTSUP) {
    int s[2];
    make_tcp_pair(s);
    CHECK_ERR(tcp_accept(s[0], NULL, 0), -1, ENOTSUP);
    CHECK_ERR(tcp_accept(bundle(), NULL, 0), -1, ENOTSUP);
}

TEST(tcp_accept_mem_refuses_NULL) {
    int listener = listen_somewhere(&addr);
    CHECK_ERR(tcp_accept_mem(listener, NULL, NULL, 0), -1, EINVAL);
}

TEST(a_listener_is_neither_bytestream_nor_connection) {
    int listener = listen_somewhere(&addr);
    CHECK_ERR(bsend(listener, "A", 1, 0), -1, ENOTSUP);
    CHECK_ERR(msend(listener, "A", 1, 0), -1, ENOTSUP);
    CHECK_ERR(tcp_done(listener, -1), -1, ENOTSUP);
}

TEST(tcp_close_closes_a_listener) {
    int listener = listen_somewhere(&addr);
    CHECK_INT(tcp_close(listener, -1), 0);
    CHECK_ERR(hclose(listener), -1, EBADF);
    CHECK_ERR(tcp_connect(&addr, now() + 5000), -1, ECONNREFUSED);
}

/* --- Connecting --- */

TEST(connecting_where_nobody_listens_gives_ECONNREFUSED) {
    take_address(&addr);
    CHECK_ERR(tcp_connect(&addr, now() + 5000), -1, ECONNREFUSED);
}

TEST(failed_connects_leave_no_descriptor_behind) {
    int before, p[2];
    take_address(&addr);
    /* From the first wait for a descriptor on, the library has one of its own. */
    CHECK_INT(pipe(p), 0);
    CHECK_ERR(fdin(p[0], 0), -1, ETIMEDOUT);
    before = open_descriptors();
    for (int i = 0; i != 100; ++i) CHECK_ERR(tcp_connect(&addr, now() + 5000), -1, ECONNREFUSED);
    CHECK_INT(open_descriptors(), before);
}

TEST(tcp_connect_mem_refuses_NULL) {
    listen_somewhere(&addr);
    CHECK_ERR(tcp_connect_mem(&addr, NULL, -1), -1, EINVAL);
}

/* Fills the backlog of a listener, so that further connects hang. */
static void connect_until_it_hangs(void) {
    for (int i = 0; i != 20; ++i)
        if (tcp_connect(&addr, now() + 200) < 0) {
            CHECK_INT(errno, ETIMEDOUT);
            return;
        }
    SKIP("the kernel accepts any number of connections");
}

static void listen_with_tiny_backlog(void) {
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, 0), 0);
    CHECK(tcp_listen(&addr, 1) >= 0);
}

TEST(connect_times_out_and_leaves_no_descriptor_behind) {
    int before;
    int64_t deadline;
    listen_with_tiny_backlog();
    connect_until_it_hangs();
    before = open_descriptors();
    deadline = now() + 30;
    CHECK_ERR(tcp_connect(&addr, deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
    CHECK_INT(open_descriptors(), before);
}

coroutine static void connect_cancelled(void) { CHECK_ERR(tcp_connect(&addr, -1), -1, ECANCELED); }

TEST(a_cancelled_connect_gives_ECANCELED_and_leaves_no_descriptor_behind) {
    int before, b;
    listen_with_tiny_backlog();
    connect_until_it_hangs();
    before = open_descriptors();
    b = go(connect_cancelled());
    CHECK_INT(hclose(b), 0);
    CHECK_INT(open_descriptors(), before);
}

TEST(IPv6_connections_work) {
    int listener, s[2];
    struct ipaddr peer;
    char buf[1];
    CHECK_INT(ipaddr_local(&addr, "::1", 0, IPADDR_IPV6), 0);
    listener = tcp_listen(&addr, 10);
    if (listener < 0 && (errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT)) SKIP("no IPv6");
    CHECK(listener >= 0);
    s[0] = connect_to_listener();
    s[1] = tcp_accept(listener, &peer, now() + 5000);
    CHECK(s[1] >= 0);
    CHECK_INT(ipaddr_family(&peer), AF_INET6);
    CHECK_INT(bsend(s[0], "A", 1, -1), 0);
    CHECK_INT(brecv(s[1], buf, 1, now() + 5000), 0);
}

/* --- Storage supplied by the caller --- */

TEST(storage_of_the_caller_works_at_every_alignment) {
    EACH_OFFSET(offset) {
        struct guarded_mem listener_mem, mem[2];
        int listener, s[2];
        char buf[3];
        CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, 0), 0);
        listener = tcp_listen_mem(&addr, 10,
                                  (struct tcp_listener_storage *)guarded_make(
                                      &listener_mem, sizeof(struct tcp_listener_storage), offset));
        CHECK(listener >= 0);
        s[0] = tcp_connect_mem(
            &addr, (struct tcp_storage *)guarded_make(&mem[0], sizeof(struct tcp_storage), offset), -1);
        CHECK(s[0] >= 0);
        s[1] = tcp_accept_mem(listener, NULL,
                              (struct tcp_storage *)guarded_make(&mem[1], sizeof(struct tcp_storage), offset),
                              now() + 5000);
        CHECK(s[1] >= 0);
        for (int i = 0; i != 2; ++i) {
            CHECK_INT(bsend(s[i], "ABC", 3, -1), 0);
            CHECK_INT(brecv(s[1 - i], buf, 1, now() + 5000), 0);
            CHECK_INT(brecv(s[1 - i], buf, 2, now() + 5000), 0);
        }
        CHECK_INT(tcp_done(s[0], -1), 0);
        CHECK_INT(tcp_close(s[1], now() + 5000), 0);
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(hclose(listener), 0);
        guarded_free(&listener_mem);
        guarded_free(&mem[0]);
        guarded_free(&mem[1]);
    }
}

TEST(addresses_may_lie_at_odd_addresses) {
    char block[1 + sizeof(struct ipaddr) * 2];
    struct ipaddr *local = (struct ipaddr *)(void *)(block + 1), *peer = local + 1;
    int listener;
    CHECK_INT(ipaddr_local(local, "127.0.0.1", 0, 0), 0);
    listener = tcp_listen(local, 10);
    CHECK(listener >= 0);
    CHECK(tcp_connect(local, now() + 5000) >= 0);
    CHECK(tcp_accept(listener, peer, now() + 5000) >= 0);
    CHECK_INT(ipaddr_family(peer), AF_INET);
}

/* --- A proxy: bytes are forwarded both ways by coroutines that report over channels --- */

coroutine static void forward_to_channel(int s, int ch) {
    char c;
    while (brecv(s, &c, 1, -1) == 0)
        if (chsend(ch, &c, 1, -1) < 0) return;
    CHECK_INT(errno, ECANCELED);
}

coroutine static void forward_from_channel(int ch, int s) {
    char c;
    struct chclause clause = {CHRECV, ch, &c, 1};
    while (choose(&clause, 1, -1) == 0) {
        CHECK_INT(errno, 0);
        if (bsend(s, &c, 1, -1) < 0) return;
    }
    CHECK_INT(errno, ECANCELED);
}

TEST(a_proxy_of_four_coroutines_forwards_both_ways_and_is_torn_down_by_closing_its_bundle) {
    int left[2], right[2], there[2], back[2], b = bundle();
    char buf[3];
    make_tcp_pair(left);
    make_tcp_pair(right);
    CHECK_INT(chmake(there), 0);
    CHECK_INT(chmake(back), 0);
    CHECK_INT(bundle_go(b, forward_to_channel(left[1], there[0])), 0);
    CHECK_INT(bundle_go(b, forward_from_channel(there[1], right[0])), 0);
    CHECK_INT(bundle_go(b, forward_to_channel(right[0], back[0])), 0);
    CHECK_INT(bundle_go(b, forward_from_channel(back[1], left[1])), 0);
    for (int i = 0; i != 10; ++i) {
        CHECK_INT(bsend(left[0], "ABC", 3, -1), 0);
        CHECK_INT(brecv(right[1], buf, 3, now() + 5000), 0);
        CHECK_MEM(buf, "ABC", 3);
        CHECK_INT(bsend(right[1], "DEF", 3, -1), 0);
        CHECK_INT(brecv(left[0], buf, 3, now() + 5000), 0);
        CHECK_MEM(buf, "DEF", 3);
    }
    CHECK_INT(hclose(b), 0);
    CHECK_INT(hclose(left[1]), 0);
    CHECK_INT(hclose(right[0]), 0);
}

TEST(a_thousand_clients_are_served_by_a_coroutine_each) {
    int listener = listen_somewhere(&addr), b = bundle();
    for (int i = 0; i != 1000; ++i) {
        char c = 0;
        int s[2];
        s[0] = connect_to_listener();
        s[1] = tcp_accept(listener, NULL, now() + 5000);
        CHECK(s[1] >= 0);
        CHECK_INT(bundle_go(b, (void)bsend(s[1], "x", 1, -1)), 0);
        CHECK_INT(brecv(s[0], &c, 1, now() + 5000), 0);
        CHECK_INT(c, 'x');
        CHECK_INT(hclose(s[1]), 0);
        CHECK_INT(hclose(s[0]), 0);
    }
    CHECK_INT(hclose(b), 0);
}

/* --- Accepting that fails takes nobody --- */

static int connect_plainly(const struct ipaddr *addr) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK_INT(connect(fd, ipaddr_sockaddr(addr), (socklen_t)ipaddr_len(addr)), 0);
    return fd;
}

static void compute_for_60_ms(void) {
    int64_t end = now() + 60;
    while (now() < end) continue;
}

coroutine static void accept_in_vain(int l) { CHECK_ERR(tcp_accept(l, NULL, -1), -1, ECANCELED); }

TEST(an_accept_that_is_cancelled_when_somebody_has_come_leaves_him_for_the_next) {
    char c;
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, IPADDR_IPV4), 0);
    int l = tcp_listen(&addr, 10);
    int h = go(accept_in_vain(l));
    int peer = connect_plainly(&addr);
    compute_for_60_ms();
    CHECK_INT(yield(), 0); /* the coroutine is ready now, and runs after this one */
    CHECK_INT(hclose(h), 0);
    int s = tcp_accept(l, NULL, now() + 1000);
    CHECK(s >= 0);
    CHECK_ERR(recv(peer, &c, 1, MSG_DONTWAIT), -1, EAGAIN);
}

coroutine static void connect_and_tell(const struct ipaddr *addr, int *seen) {
    int s = tcp_connect(addr, -1);
    *seen = s < 0 ? errno : 0;
    if (s >= 0) CHECK_INT(hclose(s), 0);
}

TEST(a_connect_that_is_cancelled_leaves_nothing_behind_for_the_next_with_its_number) {
    struct ipaddr to;
    char c;
    int s[2];
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, IPADDR_IPV4), 0);
    CHECK(tcp_listen(&addr, 10) >= 0);
    CHECK_INT(ipaddr_remote(&to, "127.0.0.1", ipaddr_port(&addr), 0, -1), 0);
    int seen = 0;
    /* If the library polls before this one goes on, the other is ready first. */
    ATTEMPT_UNTIL(seen == ECANCELED) {
        int h = go(connect_and_tell(&to, &seen));
        compute_for_60_ms();
        CHECK_INT(yield(), 0);
        CHECK_INT(hclose(h), 0);
    }
    CHECK_INT(seen, ECANCELED);
    CHECK_INT(ipc_pair(s), 0);
    CHECK_ERR(brecv(s[0], &c, 1, now() + 1), -1, ETIMEDOUT);
    CHECK_INT(ipc_pair(s), 0);
    CHECK_INT(bsend(s[1], "x", 1, -1), 0);
    CHECK_INT(brecv(s[0], &c, 1, now() + 5000), 0);
}

/* Closes its descriptor after a while; only then there is one for another client. */
coroutine static void serve(int s, int *served) {
    char c;
    CHECK_INT(brecv(s, &c, 1, now() + 10000), 0);
    CHECK_INT(hclose(s), 0);
    ++*served;
}

TEST(a_loop_that_just_accepts_again_serves_all_though_there_are_too_few_descriptors) {
    enum { CLIENTS = 20, AT_A_TIME = 5 };
    static int served;
    struct rlimit limit;
    int clients[CLIENTS];
    skip_under_wrapper("the wrapper has descriptors of its own");
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, IPADDR_IPV4), 0);
    int l = tcp_listen(&addr, CLIENTS);
    CHECK_INT(msleep(now() + 1), 0);
    CHECK_ERR(tcp_accept(l, NULL, now() + 1), -1, ETIMEDOUT);
    for (int i = 0; i != CLIENTS; ++i) {
        clients[i] = connect_plainly(&addr);
        CHECK_INT(write(clients[i], "x", 1), 1);
    }
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)clients[CLIENTS - 1] + 1 + AT_A_TIME;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int b = bundle(), refused = 0;
    for (int accepted = 0; accepted != CLIENTS;) {
        int s = tcp_accept(l, NULL, now() + 5000);
        if (s < 0) {
            CHECK_INT(errno, EMFILE);
            ++refused;
            continue;
        }
        ++accepted;
        CHECK_INT(bundle_go(b, serve(s, &served)), 0);
    }
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(served, CLIENTS);
    CHECK(refused < 100);
}
