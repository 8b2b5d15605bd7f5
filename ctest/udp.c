/* UDP. */

#include "lower.h"
#include "mem.h"

static struct ipaddr here[2];
static int s[2];

static int open_somewhere(struct ipaddr *addr, const struct ipaddr *remote) {
    int h;
    CHECK_INT(ipaddr_local(addr, "127.0.0.1", 0, 0), 0);
    h = udp_open(addr, remote);
    CHECK(h >= 0);
    CHECK(ipaddr_port(addr) != 0);
    return h;
}

/* Two sockets that can send to each other's address. */
static void open_both(void) {
    for (int i = 0; i != 2; ++i) s[i] = open_somewhere(&here[i], NULL);
}

#define RECV_FROM(S, FROM, TEXT)                                                                 \
    do {                                                                                         \
        char datagram_[256];                                                                     \
        struct ipaddr from_;                                                                     \
        CHECK_INT(udp_recv(S, &from_, datagram_, sizeof(datagram_), now() + 5000), sizeof(TEXT) - 1); \
        CHECK_MEM(datagram_, TEXT, sizeof(TEXT) - 1);                                            \
        CHECK_INT(ipaddr_equal(&from_, FROM, 0), 1);                                             \
    } while (0)

/* --- Opening --- */

TEST(a_port_of_0_is_replaced_by_the_one_that_was_chosen) { open_both(); }

TEST(a_port_that_was_chosen_is_nobody_elses) {
    enum { MANY = 600 };
    static char taken[65536];
    for (int i = 0; i != MANY; ++i) {
        struct ipaddr addr;
        open_somewhere(&addr, NULL);
        CHECK(!taken[ipaddr_port(&addr)]);
        taken[ipaddr_port(&addr)] = 1;
    }
}

TEST(the_port_of_a_socket_without_an_address_is_nobody_elses) {
    enum { MANY = 600 };
    static char taken[65536];
    char buf[1];
    s[0] = open_somewhere(&here[0], NULL);
    for (int i = 0; i != MANY; ++i) {
        struct ipaddr from;
        CHECK_INT(msend(udp_open(NULL, &here[0]), "A", 1, -1), 0);
        CHECK_INT(udp_recv(s[0], &from, buf, 1, now() + 5000), 1);
        CHECK(!taken[ipaddr_port(&from)]);
        taken[ipaddr_port(&from)] = 1;
    }
}

TEST(an_address_that_is_not_ours_gives_EADDRNOTAVAIL) {
    struct ipaddr addr;
    int before = open_descriptors();
    CHECK_INT(ipaddr_remote(&addr, "192.0.2.1", 0, 0, -1), 0);
    CHECK_ERR(udp_open(&addr, NULL), -1, EADDRNOTAVAIL);
    CHECK_INT(ipaddr_port(&addr), 0);
    CHECK_INT(open_descriptors(), before);
}

TEST(an_address_that_another_program_has_gives_EADDRINUSE) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(in);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_INT(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
    CHECK_INT(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    CHECK_INT(ipaddr_local(&here[0], "127.0.0.1", ntohs(in.sin_port), 0), 0);
    CHECK_ERR(udp_open(&here[0], NULL), -1, EADDRINUSE);
}

TEST(addresses_of_two_families_give_EINVAL) {
    CHECK_INT(ipaddr_local(&here[0], "127.0.0.1", 0, 0), 0);
    CHECK_INT(ipaddr_local(&here[1], "::1", 5, 0), 0);
    CHECK_ERR(udp_open(&here[0], &here[1]), -1, EINVAL);
}

TEST(neither_address_is_needed) {
    struct ipaddr from;
    char buf[4];
    int h = udp_open(NULL, NULL);
    CHECK(h >= 0);
    s[0] = open_somewhere(&here[0], NULL);
    CHECK_ERR(msend(h, "A", 1, -1), -1, EINVAL);
    CHECK_INT(udp_send(h, &here[0], "A", 1), 0);
    CHECK_INT(udp_recv(s[0], &from, buf, 4, now() + 5000), 1);
    CHECK_INT(udp_send(s[0], &from, "B", 1), 0);
    CHECK_INT(mrecv(h, buf, 4, now() + 5000), 1);
}

TEST(both_addresses_may_be_the_same) {
    s[0] = open_somewhere(&here[0], NULL);
    CHECK_INT(hclose(s[0]), 0);
    s[0] = udp_open(&here[0], &here[0]);
    CHECK(s[0] >= 0);
    SEND_MESSAGE(s[0], "to myself");
    RECV_FROM(s[0], &here[0], "to myself");
}

TEST(memory_of_the_caller_may_lie_anywhere_and_nothing_around_it_is_touched) {
    EACH_OFFSET(offset) {
        struct guarded_mem memory;
        void *mem = guarded_make(&memory, sizeof(struct udp_storage), offset);
        s[0] = udp_open_mem(NULL, NULL, (struct udp_storage *)mem);
        CHECK(s[0] >= 0);
        CHECK_INT(hclose(s[0]), 0);
        guarded_free(&memory);
    }
    CHECK_ERR(udp_open_mem(NULL, NULL, NULL), -1, EINVAL);
}

/* --- Datagrams --- */

TEST(datagrams_go_to_an_address_and_tell_where_they_came_from) {
    open_both();
    CHECK_INT(udp_send(s[0], &here[1], "ABC", 3), 0);
    RECV_FROM(s[1], &here[0], "ABC");
    CHECK_INT(udp_send(s[1], &here[0], "", 0), 0);
    RECV_FROM(s[0], &here[1], "");
}

TEST(all_bytes_of_the_address_are_written) {
    struct ipaddr from;
    const char zeros[16] = {0};
    open_both();
    memset(&from, 0xff, sizeof(from));
    CHECK_INT(udp_send(s[0], &here[1], "ABC", 3), 0);
    CHECK_INT(udp_recv(s[1], &from, NULL, 3, now() + 5000), 3);
    CHECK_MEM((char *)&from + 16, zeros, 16);
}

TEST(datagrams_go_to_the_default_peer_and_are_taken_from_nobody_else) {
    int friend_, stranger;
    struct ipaddr at, nowhere;
    friend_ = open_somewhere(&here[0], NULL);
    stranger = open_somewhere(&nowhere, NULL);
    s[1] = open_somewhere(&at, &here[0]);
    SEND_MESSAGE(s[1], "hello");
    RECV_FROM(friend_, &at, "hello");
    for (int i = 0; i != 200; ++i) CHECK_INT(udp_send(stranger, &at, "a forged datagram", 17), 0);
    CHECK_INT(udp_send(friend_, &at, "hi", 2), 0);
    RECV_FROM(s[1], &here[0], "hi");
    CHECK_INT(udp_send(stranger, &at, "again", 5), 0);
    CHECK_ERR(mrecv(s[1], NULL, 100, now() + 20), -1, ETIMEDOUT);
}

TEST(a_datagram_larger_than_the_buffer_gives_EMSGSIZE_and_is_gone) {
    char buf[8] = ".......";
    open_both();
    CHECK_INT(udp_send(s[0], &here[1], "ABCDE", 5), 0);
    CHECK_INT(udp_send(s[0], &here[1], "next", 4), 0);
    CHECK_ERR(mrecv(s[1], buf, 4, now() + 5000), -1, EMSGSIZE);
    CHECK_STR(buf + 4, "...");
    RECV_FROM(s[1], &here[0], "next");
    CHECK_INT(udp_send(s[0], &here[1], "ABCDE", 5), 0);
    CHECK_ERR(mrecv(s[1], NULL, 4, now() + 5000), -1, EMSGSIZE);
}

TEST(a_dropped_datagram_has_its_size) {
    struct iolist skip = {NULL, SIZE_MAX, NULL, 0};
    static char block[60000];
    open_both();
    CHECK_INT(udp_send(s[0], &here[1], block, sizeof(block)), 0);
    CHECK_INT(udp_send(s[0], &here[1], "ABC", 3), 0);
    CHECK_INT(udp_send(s[0], &here[1], "ABCD", 4), 0);
    CHECK_INT(mrecvl(s[1], NULL, NULL, now() + 5000), 60000);
    CHECK_INT(udp_recvl(s[1], NULL, NULL, NULL, now() + 5000), 3);
    CHECK_INT(mrecvl(s[1], &skip, &skip, now() + 5000), 4);
}

TEST(lists_are_gathered_and_filled_in_order_and_NULL_skips) {
    char a[3] = "..", b[5] = "....";
    struct iolist out[3] = {{(void *)"AB", 2, NULL, 0}, {NULL, 0, NULL, 0}, {(void *)"CDEFG", 5, NULL, 0}};
    struct iolist in[4] = {{a, 2, NULL, 0}, {NULL, 3, NULL, 0}, {b, 0, NULL, 0}, {b, 4, NULL, 0}};
    open_both();
    CHECK_INT(udp_sendl(s[0], &here[1], &out[0], link_list(out, 3)), 0);
    CHECK_INT(udp_recvl(s[1], NULL, &in[0], link_list(in, 4), now() + 5000), 7);
    CHECK_STR(a, "AB");
    CHECK_STR(b, "FG..");
}

TEST(long_lists_are_gathered_and_filled) {
    enum { COUNT = 1500 };
    static struct iolist list[COUNT];
    static char out[COUNT], in[COUNT];
    open_both();
    for (int i = 0; i != COUNT; ++i) {
        out[i] = (char)i;
        list[i].iol_base = out + i;
        list[i].iol_len = 1;
    }
    CHECK_INT(udp_sendl(s[0], &here[1], &list[0], link_list(list, COUNT)), 0);
    for (int i = 0; i != COUNT; ++i) list[i].iol_base = in + i;
    CHECK_INT(udp_recvl(s[1], NULL, &list[0], &list[COUNT - 1], now() + 5000), COUNT);
    CHECK_MEM(in, out, COUNT);
}

TEST(malformed_lists_are_refused) {
    char c;
    struct iolist list[2] = {{&c, 1, NULL, 0}, {&c, 1, NULL, 0}};
    open_both();
    CHECK_ERR(udp_sendl(s[0], &here[1], &list[0], &list[1]), -1, EINVAL);
    CHECK_ERR(udp_sendl(s[0], &here[1], NULL, NULL), -1, EINVAL);
    CHECK_ERR(udp_recvl(s[0], NULL, &list[0], NULL, -1), -1, EINVAL);
    list[0].iol_rsvd = 1;
    CHECK_ERR(udp_recvl(s[0], NULL, &list[0], &list[0], -1), -1, EINVAL);
    CHECK_INT(list[0].iol_rsvd, 1);
}

TEST(a_datagram_that_is_too_large_gives_EMSGSIZE) {
    static char block[70000];
    struct iolist list[20];
    open_both();
    CHECK_ERR(udp_send(s[0], &here[1], block, 65508), -1, EMSGSIZE);
    for (int i = 0; i != 20; ++i) list[i].iol_base = block, list[i].iol_len = 60000;
    CHECK_ERR(udp_sendl(s[0], &here[1], &list[0], link_list(list, 20)), -1, EMSGSIZE);
    CHECK_INT(udp_send(s[0], &here[1], block, 65507), 0);
    CHECK_INT(mrecvl(s[1], NULL, NULL, now() + 5000), 65507);
}

TEST(NULL_with_a_length_is_EFAULT) {
    struct iolist list[20];
    open_both();
    CHECK_ERR(udp_send(s[0], &here[1], NULL, 1), -1, EFAULT);
    for (int i = 0; i != 20; ++i) list[i].iol_base = NULL, list[i].iol_len = 1;
    CHECK_ERR(udp_sendl(s[0], &here[1], &list[0], link_list(list, 20)), -1, EFAULT);
}

TEST(datagrams_that_the_system_does_not_take_are_lost_without_an_error) {
    static char block[50000];
    open_both();
    for (int i = 0; i != 500; ++i) {
        errno = ENOTTY;
        CHECK_INT(udp_send(s[0], &here[1], block, sizeof(block)), 0);
        CHECK_INT(errno, ENOTTY);
    }
}

/* --- Waiting --- */

TEST(a_timeout_is_not_for_good) {
    int64_t start = now();
    open_both();
    CHECK_ERR(mrecv(s[0], NULL, 10, now() + 30), -1, ETIMEDOUT);
    CHECK(now() - start >= 30);
    CHECK_ERR(mrecv(s[0], NULL, 10, 0), -1, ETIMEDOUT);
    CHECK_INT(udp_send(s[1], &here[0], "A", 1), 0);
    wait_until_readable();
    CHECK_INT(mrecv(s[0], NULL, 10, 0), 1);
}

coroutine static void recv_and_tell(int *seen) { *seen = mrecv(s[0], NULL, 10, -1) < 0 ? errno : 0; }

TEST(somebody_may_send_while_another_one_receives) {
    int seen = -1, b;
    open_both();
    b = go(recv_and_tell(&seen));
    CHECK_INT(udp_send(s[0], &here[1], "A", 1), 0);
    CHECK_INT(mrecv(s[1], NULL, 10, now() + 5000), 1);
    CHECK_INT(udp_send(s[1], &here[0], "B", 1), 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(seen, 0);
    CHECK_INT(hclose(b), 0);
}

TEST(a_second_receiver_gets_EBUSY_and_does_no_harm) {
    int seen = -1, b;
    open_both();
    b = go(recv_and_tell(&seen));
    CHECK_ERR(mrecv(s[0], NULL, 10, -1), -1, EBUSY);
    CHECK_ERR(udp_recv(s[0], NULL, NULL, 10, -1), -1, EBUSY);
    CHECK_INT(udp_send(s[1], &here[0], "B", 1), 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(seen, 0);
    CHECK_INT(hclose(b), 0);
}

TEST(a_cancelled_receive_fails_with_ECANCELED) {
    int seen = 0, b;
    open_both();
    b = go(recv_and_tell(&seen));
    CHECK_INT(hclose(b), 0);
    CHECK_INT(seen, ECANCELED);
}

TEST(closing_a_socket_on_which_somebody_waits_wakes_him) {
    int seen = 0, b;
    open_both();
    b = go(recv_and_tell(&seen));
    CHECK_INT(hclose(s[0]), 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(seen, EBADF);
    CHECK_INT(hclose(b), 0);
}

TEST(a_flood_of_strangers_does_not_outlast_the_deadline) {
    struct ipaddr at;
    int stranger = open_somewhere(&here[0], NULL);
    CHECK_INT(ipaddr_local(&here[1], "127.0.0.1", 9, 0), 0);
    s[0] = open_somewhere(&at, &here[1]);
    for (int i = 0; i != 150; ++i) CHECK_INT(udp_send(stranger, &at, "x", 1), 0);
    CHECK_ERR(mrecv(s[0], NULL, 10, 0), -1, ETIMEDOUT);
    CHECK_ERR(mrecv(s[0], NULL, 10, now() + 20), -1, ETIMEDOUT);
}

/* --- Kinds --- */

TEST(other_message_sockets_are_refused) {
    struct user_messages user;
    char c;
    struct iolist list = {&c, 1, NULL, 0};
    int h = user_messages_make(&user);
    s[0] = open_somewhere(&here[0], NULL);
    CHECK_ERR(udp_send(h, &here[0], "A", 1), -1, ENOTSUP);
    CHECK_ERR(udp_recv(h, NULL, &c, 1, 0), -1, ENOTSUP);
    CHECK_ERR(udp_sendl(h, &here[0], &list, &list), -1, ENOTSUP);
    CHECK_ERR(udp_recvl(h, NULL, &list, &list, 0), -1, ENOTSUP);
    CHECK_INT(user.sent.count + user.received.count, 0);
    CHECK_ERR(udp_send(-1, &here[0], "A", 1), -1, EBADF);
    CHECK_ERR(udp_recv(-1, NULL, &c, 1, 0), -1, EBADF);
}

TEST(a_udp_socket_is_no_bytestream) {
    char c;
    open_both();
    CHECK_ERR(bsend(s[0], "A", 1, -1), -1, ENOTSUP);
    CHECK_ERR(brecv(s[0], &c, 1, -1), -1, ENOTSUP);
}

coroutine static void open_when_cancelled(int *seen) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    CHECK_INT(ipaddr_local(&here[0], "127.0.0.1", 0, 0), 0);
    *seen = udp_open(&here[0], NULL) < 0 ? errno : 0;
}

TEST(nothing_is_opened_in_a_cancelled_coroutine) {
    int before = open_descriptors(), seen = 0;
    int b = go(open_when_cancelled(&seen));
    CHECK_INT(hclose(b), 0);
    CHECK_INT(seen, ECANCELED);
    CHECK_INT(ipaddr_port(&here[0]), 0);
    CHECK_INT(open_descriptors(), before);
}

TEST(ipv6_works_like_ipv4) {
    for (int i = 0; i != 2; ++i) {
        CHECK_INT(ipaddr_local(&here[i], "::1", 0, IPADDR_IPV6), 0);
        s[i] = udp_open(&here[i], NULL);
        if (s[i] < 0) SKIP("no IPv6 here");
    }
    CHECK_INT(udp_send(s[0], &here[1], "ABC", 3), 0);
    RECV_FROM(s[1], &here[0], "ABC");
    CHECK_INT(hclose(s[1]), 0);
    s[1] = udp_open(&here[1], &here[0]);
    CHECK_INT(udp_send(s[0], &here[1], "DEF", 3), 0);
    RECV_FROM(s[1], &here[0], "DEF");
}
