/* IP addresses: literals, accessors, interface names, names. */

#include <arpa/inet.h>
#include <limits.h>
#include <netdb.h>

#include <libdill.h>

#include "pair.h"
#include "test.h"

static struct ipaddr addr;
static char text[IPADDR_MAXSTRLEN];

static void make(const char *name, int port) { CHECK_INT(ipaddr_remote(&addr, name, port, 0, -1), 0); }

/* --- Accessors --- */

TEST(an_IPv4_literal_keeps_its_parts) {
    make("1.2.3.4", 5555);
    CHECK_INT(ipaddr_family(&addr), AF_INET);
    CHECK_INT(ipaddr_port(&addr), 5555);
    CHECK_INT(ipaddr_len(&addr), sizeof(struct sockaddr_in));
    CHECK_STR(ipaddr_str(&addr, text), "1.2.3.4");
}

TEST(an_IPv6_literal_keeps_its_parts) {
    make("2001:db8:0:0::A", 65535);
    CHECK_INT(ipaddr_family(&addr), AF_INET6);
    CHECK_INT(ipaddr_port(&addr), 65535);
    CHECK_INT(ipaddr_len(&addr), sizeof(struct sockaddr_in6));
    CHECK_STR(ipaddr_str(&addr, text), "2001:db8::a");
}

TEST(ipaddr_str_returns_its_buffer) {
    make("1.2.3.4", 1);
    CHECK(ipaddr_str(&addr, text) == text);
}

TEST(the_longest_address_fits_IPADDR_MAXSTRLEN) {
    make("ffff:eeee:dddd:cccc:bbbb:aaaa:9999:8888", 1);
    CHECK_STR(ipaddr_str(&addr, text), "ffff:eeee:dddd:cccc:bbbb:aaaa:9999:8888");
    make("::ffff:111.222.133.144", 1);
    CHECK_STR(ipaddr_str(&addr, text), "::ffff:111.222.133.144");
}

TEST(the_block_holds_a_native_socket_address) {
    struct sockaddr_in in;
    make("1.2.3.4", 5555);
    CHECK((const void *)ipaddr_sockaddr(&addr) == (const void *)&addr);
    memcpy(&in, &addr, sizeof(in));
    CHECK_INT(in.sin_family, AF_INET);
    CHECK_INT(ntohs(in.sin_port), 5555);
    CHECK_INT(ntohl(in.sin_addr.s_addr), 0x01020304);
}

TEST(setport_changes_the_port_only) {
    make("1.2.3.4", 1);
    ipaddr_setport(&addr, 8080);
    CHECK_INT(ipaddr_port(&addr), 8080);
    CHECK_STR(ipaddr_str(&addr, text), "1.2.3.4");
    make("::1", 1);
    ipaddr_setport(&addr, 8080);
    CHECK_INT(ipaddr_port(&addr), 8080);
    CHECK_STR(ipaddr_str(&addr, text), "::1");
}

TEST(setport_stores_the_lower_16_bits) {
    make("1.2.3.4", 1);
    ipaddr_setport(&addr, 70000);
    CHECK_INT(ipaddr_port(&addr), 4464);
    ipaddr_setport(&addr, -1);
    CHECK_INT(ipaddr_port(&addr), 65535);
}

static int are_equal(const char *a, int port_a, const char *b, int port_b, int ignore_port) {
    struct ipaddr other;
    CHECK_INT(ipaddr_remote(&other, b, port_b, 0, -1), 0);
    make(a, port_a);
    return ipaddr_equal(&addr, &other, ignore_port);
}

TEST(equal_addresses_are_equal) {
    CHECK_INT(are_equal("1.2.3.4", 80, "1.2.3.4", 80, 0), 1);
    CHECK_INT(are_equal("::1", 80, "0:0::1", 80, 0), 1);
}

TEST(ports_matter_unless_they_are_ignored) {
    CHECK_INT(are_equal("1.2.3.4", 80, "1.2.3.4", 81, 0), 0);
    CHECK_INT(are_equal("1.2.3.4", 80, "1.2.3.4", 81, 1), 1);
    CHECK_INT(are_equal("::1", 80, "::1", 81, 0), 0);
    CHECK_INT(are_equal("::1", 80, "::1", 81, 1), 1);
}

TEST(different_addresses_are_not_equal) {
    CHECK_INT(are_equal("1.2.3.4", 80, "1.2.3.5", 80, 0), 0);
    CHECK_INT(are_equal("::1", 80, "::2", 80, 1), 0);
}

TEST(addresses_of_different_families_are_not_equal) {
    CHECK_INT(are_equal("1.2.3.4", 80, "::ffff:1.2.3.4", 80, 0), 0);
    CHECK_INT(are_equal("::ffff:1.2.3.4", 80, "1.2.3.4", 80, 1), 0);
}

TEST(blocks_that_hold_no_address_are_not_equal_and_do_no_harm) {
    struct ipaddr zero[2];
    memset(zero, 0, sizeof(zero));
    CHECK_INT(ipaddr_equal(&zero[0], &zero[1], 0), 0);
    make("1.2.3.4", 80);
    CHECK_INT(ipaddr_equal(&zero[0], &addr, 1), 0);
}

TEST(addresses_at_odd_addresses_work) {
    char block[1 + sizeof(struct ipaddr)];
    struct ipaddr *odd = (struct ipaddr *)(void *)(block + 1);
    CHECK_INT(ipaddr_local(odd, "::1", 5, 0), 0);
    CHECK_STR(ipaddr_str(odd, text), "::1");
    ipaddr_setport(odd, 6);
    CHECK_INT(ipaddr_port(odd), 6);
    CHECK_INT(ipaddr_equal(odd, odd, 0), 1);
}

/* --- ipaddr_local --- */

static void check_local(const char *name, int mode, const char *expected) {
    CHECK_INT(ipaddr_local(&addr, name, 7, mode), 0);
    CHECK_STR(ipaddr_str(&addr, text), expected);
    CHECK_INT(ipaddr_port(&addr), 7);
}

TEST(without_a_name_the_wildcard_address_is_meant) {
    check_local(NULL, 0, "0.0.0.0");
    check_local(NULL, IPADDR_IPV4, "0.0.0.0");
    check_local(NULL, IPADDR_PREF_IPV4, "0.0.0.0");
    check_local(NULL, IPADDR_IPV6, "::");
    check_local(NULL, IPADDR_PREF_IPV6, "::");
}

TEST(literals_are_taken_as_they_are) {
    check_local("1.2.3.4", 0, "1.2.3.4");
    check_local("1.2.3.4", IPADDR_IPV4, "1.2.3.4");
    check_local("1.2.3.4", IPADDR_PREF_IPV6, "1.2.3.4");
    check_local("::1", 0, "::1");
    check_local("::1", IPADDR_IPV6, "::1");
    check_local("::1", IPADDR_PREF_IPV4, "::1");
}

TEST(a_literal_of_the_family_that_the_mode_excludes_gives_ENODEV) {
    CHECK_ERR(ipaddr_local(&addr, "::1", 0, IPADDR_IPV4), -1, ENODEV);
    CHECK_ERR(ipaddr_local(&addr, "1.2.3.4", 0, IPADDR_IPV6), -1, ENODEV);
}

TEST(malformed_literals_and_unknown_interfaces_give_ENODEV) {
    const char *bad[] = {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "[::1]", "::1::", "nosuchif0", "LO", "lo "};
    for (size_t i = 0; i != sizeof(bad) / sizeof(*bad); ++i)
        CHECK_ERR(ipaddr_local(&addr, bad[i], 0, 0), -1, ENODEV);
}

TEST(the_name_of_an_interface_gives_its_address) {
    if (ipaddr_local(&addr, "lo", 7, IPADDR_IPV4) < 0 && errno == ENODEV) SKIP("no interface lo");
    check_local("lo", IPADDR_IPV4, "127.0.0.1");
    check_local("lo", 0, "127.0.0.1");
    check_local("lo", IPADDR_PREF_IPV4, "127.0.0.1");
}

TEST(port_0_is_fine_and_ports_out_of_range_give_EINVAL) {
    const char *names[] = {NULL, "1.2.3.4", "lo"};
    for (int i = 0; i != 3; ++i) {
        CHECK_ERR(ipaddr_local(&addr, names[i], -1, 0), -1, EINVAL);
        CHECK_ERR(ipaddr_local(&addr, names[i], 65536, 0), -1, EINVAL);
        CHECK_ERR(ipaddr_local(&addr, names[i], INT_MIN, 0), -1, EINVAL);
    }
    CHECK_INT(ipaddr_local(&addr, "1.2.3.4", 0, 0), 0);
    CHECK_INT(ipaddr_local(&addr, "1.2.3.4", 65535, 0), 0);
}

TEST(an_unknown_mode_gives_EINVAL) {
    CHECK_ERR(ipaddr_local(&addr, "1.2.3.4", 0, 5), -1, EINVAL);
    CHECK_ERR(ipaddr_local(&addr, "1.2.3.4", 0, -1), -1, EINVAL);
    CHECK_ERR(ipaddr_local(&addr, "lo", 0, 99), -1, EINVAL);
}

/* --- ipaddr_remote and ipaddr_remotes --- */

TEST(a_literal_resolves_at_once) {
    CHECK_INT(ipaddr_remote(&addr, "1.2.3.4", 80, 0, 0), 0);
    CHECK_INT(ipaddr_remote(&addr, "::1", 80, IPADDR_IPV6, 0), 0);
    CHECK_INT(ipaddr_remotes(&addr, 1, "1.2.3.4", 80, IPADDR_PREF_IPV6, 0), 1);
}

TEST(a_literal_of_the_wrong_family_resolves_to_nothing) {
    CHECK_INT(ipaddr_remotes(&addr, 1, "::1", 80, IPADDR_IPV4, now() + 5000), 0);
    CHECK_INT(ipaddr_remotes(&addr, 1, "1.2.3.4", 80, IPADDR_IPV6, now() + 5000), 0);
    CHECK_ERR(ipaddr_remote(&addr, "::1", 80, IPADDR_IPV4, now() + 5000), -1, EADDRNOTAVAIL);
}

TEST(bad_arguments_give_EINVAL) {
    CHECK_ERR(ipaddr_remotes(NULL, 1, "1.2.3.4", 80, 0, -1), -1, EINVAL);
    CHECK_ERR(ipaddr_remotes(&addr, 0, "1.2.3.4", 80, 0, -1), -1, EINVAL);
    CHECK_ERR(ipaddr_remotes(&addr, -1, "1.2.3.4", 80, 0, -1), -1, EINVAL);
    CHECK_ERR(ipaddr_remotes(&addr, 1, NULL, 80, 0, -1), -1, EINVAL);
    CHECK_ERR(ipaddr_remotes(&addr, 1, "1.2.3.4", 80, 5, -1), -1, EINVAL);
    CHECK_ERR(ipaddr_remotes(&addr, 1, "1.2.3.4", 80, -1, -1), -1, EINVAL);
    CHECK_ERR(ipaddr_remote(NULL, "1.2.3.4", 80, 0, -1), -1, EINVAL);
    CHECK_ERR(ipaddr_remote(&addr, NULL, 80, 0, -1), -1, EINVAL);
}

TEST(ports_out_of_range_give_EINVAL) {
    CHECK_ERR(ipaddr_remote(&addr, "1.2.3.4", 65536, 0, -1), -1, EINVAL);
    CHECK_ERR(ipaddr_remote(&addr, "1.2.3.4", -1, 0, -1), -1, EINVAL);
    CHECK_ERR(ipaddr_remotes(&addr, 1, "localhost", 1 << 20, 0, -1), -1, EINVAL);
}

TEST(localhost_resolves_to_the_loopback_address) {
    CHECK_INT(ipaddr_remote(&addr, "localhost", 80, IPADDR_IPV4, now() + 10000), 0);
    CHECK_STR(ipaddr_str(&addr, text), "127.0.0.1");
    CHECK_INT(ipaddr_port(&addr), 80);
}

TEST(a_name_can_be_resolved_again_and_again) {
    for (int i = 0; i != 5; ++i) {
        CHECK_INT(ipaddr_remote(&addr, "localhost", 80, IPADDR_IPV4, now() + 10000), 0);
        CHECK_STR(ipaddr_str(&addr, text), "127.0.0.1");
    }
}

TEST(no_more_addresses_are_stored_than_asked_for) {
    struct ipaddr a[3];
    memset(a, 0x5A, sizeof(a));
    CHECK_INT(ipaddr_remotes(a, 1, "localhost", 80, 0, now() + 10000), 1);
    CHECK_INT(((unsigned char *)&a[1])[0], 0x5A);
}

TEST(the_preferred_family_comes_first) {
    struct ipaddr a[10];
    int n = ipaddr_remotes(a, 10, "localhost", 80, IPADDR_PREF_IPV6, now() + 10000), seen_ipv4 = 0;
    CHECK(n >= 1);
    for (int i = 0; i != n; ++i) {
        if (ipaddr_family(&a[i]) == AF_INET) seen_ipv4 = 1;
        else CHECK(!seen_ipv4);
        CHECK_INT(ipaddr_port(&a[i]), 80);
    }
}

TEST(a_name_of_the_hosts_file_resolves_without_a_free_descriptor_or_reports_it) {
    struct rlimit limit;
    skip_under_wrapper("the wrapper has descriptors of its own");
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 32;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (dup(0) >= 0) continue;
    errno = 0;
    CHECK(ipaddr_remote(&addr, "localhost", 80, IPADDR_IPV4, now() + 10000) == 0 || errno == EMFILE);
}

coroutine static void resolve_cancelled(volatile int *done) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    CHECK_INT(ipaddr_remote(&addr, "1.2.3.4", 80, 0, -1), 0);
    CHECK_INT(ipaddr_local(&addr, "1.2.3.4", 80, 0), 0);
    *done = 1;
}

TEST(literals_work_in_a_cancelled_coroutine) {
    volatile int done = 0;
    int b = go(resolve_cancelled(&done));
    CHECK_INT(hclose(b), 0);
    CHECK_INT(done, 1);
}
