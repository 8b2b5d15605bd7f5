/* Listeners with options. */

#include <libdillext.h>

#include "pair.h"
#include "test.h"

TEST(two_listeners_share_a_port_if_both_say_so) {
    struct tcp_listen_opts opts = {.size = sizeof(opts), .flags = TCP_REUSEPORT};
    struct ipaddr addr;
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, 0), 0);
    int a = tcp_listen_opts(&addr, &opts);
    CHECK(a >= 0);
    CHECK(ipaddr_port(&addr) > 0);
    int b = tcp_listen_opts(&addr, &opts);
    CHECK(b >= 0);
    CHECK_ERR(tcp_listen(&addr, 10), -1, EADDRINUSE);
    int s = tcp_connect(&addr, now() + 1000);
    CHECK(s >= 0);
    int c = tcp_accept(a, NULL, now() + 50);
    if (c < 0) c = tcp_accept(b, NULL, now() + 1000);
    CHECK(c >= 0);
}

TEST(no_options_are_the_usual_ones) {
    struct ipaddr addr;
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, 0), 0);
    int s = tcp_listen_opts(&addr, NULL);
    CHECK(s >= 0);
    CHECK_ERR(tcp_listen_opts(&addr, NULL), -1, EADDRINUSE);
}

TEST(a_listener_for_IPv6_only_leaves_the_port_of_IPv4_alone) {
    struct tcp_listen_opts opts = {.size = sizeof(opts), .flags = TCP_V6ONLY};
    struct ipaddr addr, four;
    int listener = -1;
    /* Another process may have the port of IPv4. */
    for (int i = 0; i != 20 && listener < 0; ++i) {
        if (ipaddr_local(&addr, "::", 0, IPADDR_IPV6) < 0) exit(TEST_SKIPPED);
        int s = tcp_listen_opts(&addr, &opts);
        if (s < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) exit(TEST_SKIPPED);
        CHECK(s >= 0);
        CHECK_INT(ipaddr_local(&four, "0.0.0.0", ipaddr_port(&addr), IPADDR_IPV4), 0);
        listener = tcp_listen(&four, 10);
        CHECK(listener >= 0 || errno == EADDRINUSE);
    }
    CHECK(listener >= 0);
}

TEST(options_that_cannot_be_meant_give_EINVAL) {
    const struct tcp_listen_opts cases[] = {{.size = 8},
                                            {.size = 4097},
                                            {.size = sizeof(struct tcp_listen_opts), .flags = 4},
                                            {.size = sizeof(struct tcp_listen_opts), .backlog = -1},
                                            {.size = sizeof(struct tcp_listen_opts), .flags = TCP_V6ONLY}};
    struct ipaddr addr;
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, 0), 0);
    for (size_t i = 0; i != sizeof(cases) / sizeof(*cases); ++i)
        CHECK_ERR(tcp_listen_opts(&addr, &cases[i]), -1, EINVAL);
    CHECK_ERR(tcp_listen_opts(NULL, NULL), -1, EINVAL);
}
