/* Names are looked up by threads of the library: a bounded number, in any process, with room for its data.
   The getaddrinfo of this program stands in for a name server that takes its time. */

#include <libdill.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>

#include "dies.h"
#include "test.h"

/* More than the stack of a thread that was made without regard to it. */
static __thread volatile char data_of_thread[3 << 20];

/* Without a lock, which a fork could leave taken. */
static _Atomic int under_way, most_under_way, begun;
static _Atomic int delay_in_ms, family_asked = -1;
static _Atomic int is_silent; /* no lookup ends meanwhile */
static _Atomic int knows_nobody;

static void begin_lookup(void) {
    int count = ++under_way, most = most_under_way;
    ++begun;
    while (count > most && !atomic_compare_exchange_weak(&most_under_way, &most, count)) continue;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **list) {
    static const size_t size = sizeof(struct addrinfo) + sizeof(struct sockaddr_in);
    volatile char deep[200000];
    (void)name, (void)service;
    for (size_t i = 0; i != sizeof(deep); i += 1000) deep[i] = data_of_thread[i];
    begin_lookup();
    while (is_silent) usleep(1000);
    usleep((useconds_t)delay_in_ms * 1000);
    --under_way;
    family_asked = hints->ai_family;
    if (knows_nobody || hints->ai_family != AF_INET) return EAI_NONAME;
    struct addrinfo *found = (struct addrinfo *)calloc(1, size);
    struct sockaddr_in *address = (struct sockaddr_in *)(found + 1);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    found->ai_family = AF_INET;
    found->ai_addr = (struct sockaddr *)address;
    found->ai_addrlen = sizeof(*address);
    *list = found;
    return 0;
}

void freeaddrinfo(struct addrinfo *list) { free(list); }

static void check_lookup(void) {
    struct ipaddr address;
    char text[IPADDR_MAXSTRLEN];
    CHECK_INT(ipaddr_remote(&address, "name", 80, IPADDR_IPV4, now() + 15000), 0);
    CHECK_STR(ipaddr_str(&address, text), "127.0.0.1");
}

TEST(a_lookup_has_room_beside_the_data_of_a_thread) { check_lookup(); }

/* A name server is not asked for the IPv6 address that a hosts file does not list. */
TEST(localhost_is_looked_up_in_both_families_for_IPv6_and_is_this_machine_where_nobody_knows_it) {
    static const char *const names[] = {"localhost", "LocalHost.", "a.b.localhost"};
    struct ipaddr address;
    char text[IPADDR_MAXSTRLEN];
    knows_nobody = 1;
    for (int i = 0; i != 3; ++i) {
        CHECK_INT(ipaddr_remote(&address, names[i], 80, IPADDR_IPV4, now() + 15000), 0);
        CHECK_STR(ipaddr_str(&address, text), "127.0.0.1");
        CHECK_INT(family_asked, AF_INET);
        CHECK_INT(ipaddr_remote(&address, names[i], 80, IPADDR_IPV6, now() + 15000), 0);
        CHECK_STR(ipaddr_str(&address, text), "::1");
        CHECK_INT(family_asked, AF_UNSPEC);
        CHECK_INT(ipaddr_port(&address), 80);
    }
    knows_nobody = 0;
    CHECK_INT(ipaddr_remote(&address, "localhost.name", 80, IPADDR_IPV4, now() + 15000), 0);
    CHECK_INT(family_asked, AF_INET);
}

TEST(nobody_is_asked_for_a_name_that_is_invalid_in_any_network) {
    struct ipaddr address;
    CHECK_ERR(ipaddr_remote(&address, "name.Invalid.", 80, 0, now() + 15000), -1, EADDRNOTAVAIL);
    CHECK_INT(family_asked, -1);
}

coroutine static void let_it_speak(void) {
    for (int i = 0; i != 10; ++i) CHECK_INT(msleep(now() + 10), 0);
    is_silent = 0;
}

TEST(other_coroutines_run_while_a_name_is_looked_up) {
    is_silent = 1;
    int b = go(let_it_speak());
    check_lookup();
    CHECK_INT(is_silent, 0);
    CHECK_INT(hclose(b), 0);
}

coroutine static void look_up_in_vain(int *done) {
    struct ipaddr address;
    CHECK_ERR(ipaddr_remote(&address, "name", 80, IPADDR_IPV4, -1), -1, ECANCELED);
    *done = 1;
}

TEST(a_lookup_can_be_cancelled) {
    int done = 0;
    is_silent = 1;
    int b = go(look_up_in_vain(&done));
    CHECK_INT(msleep(now() + 10), 0);
    CHECK_INT(done, 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(done, 1);
}

static int threads(void) {
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    while (readdir(dir)) ++count;
    closedir(dir);
    return count - 2;
}

TEST(a_silent_name_server_does_not_hold_more_than_a_bounded_number_of_threads) {
    struct ipaddr address;
    is_silent = 1;
    for (int i = 0; i < 100 || most_under_way <= 1; ++i)
        CHECK_ERR(ipaddr_remote(&address, "name", 80, IPADDR_IPV4, now() + 1), -1, ETIMEDOUT);
    CHECK(threads() <= 33);
    is_silent = 0;
    check_lookup();
    CHECK(begun <= 33);
}

coroutine static void look_up(int *done) {
    check_lookup();
    ++*done;
}

TEST(lookups_above_the_bound_wait_and_are_answered) {
    static int done;
    int b = bundle();
    delay_in_ms = 20;
    for (int i = 0; i != 100; ++i) CHECK_INT(bundle_go(b, look_up(&done)), 0);
    CHECK_INT(bundle_wait(b, now() + 15000), 0);
    CHECK_INT(done, 100);
    CHECK(most_under_way <= 32);
}

TEST(a_child_looks_names_up_by_itself) {
    check_lookup();
    CHECK_EXITS_WITH(check_lookup, 0);
}

TEST(a_child_looks_names_up_though_all_threads_of_its_parent_are_busy) {
    struct ipaddr address;
    delay_in_ms = 1000;
    for (int i = 0; i != 40; ++i)
        CHECK_ERR(ipaddr_remote(&address, "name", 80, IPADDR_IPV4, now() + 1), -1, ETIMEDOUT);
    delay_in_ms = 0;
    CHECK_EXITS_WITH(check_lookup, 0);
}

static int lookup_under_way;
static void wait_for_lookup_under_way(void) {
    delay_in_ms = 0;
    CHECK_INT(bundle_wait(lookup_under_way, now() + 10000), 0);
}

TEST(a_lookup_that_was_under_way_at_a_fork_is_answered_in_the_child_too) {
    static int done;
    delay_in_ms = 300;
    lookup_under_way = go(look_up(&done));
    CHECK_INT(msleep(now() + 50), 0);
    CHECK_EXITS_WITH(wait_for_lookup_under_way, 0);
    wait_for_lookup_under_way();
    CHECK_INT(done, 1);
}
