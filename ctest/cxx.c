/* cc: -x c++ -std=c++11 */
/* cc: -x c++ -std=gnu++17 -O2 */
/* cc: -x c++ -std=c++20 -O2 */
/* The headers in C++: both link, and the macros work there too. */

#include "test.h"

#include <libdillimpl.h>

#include "mem.h"

struct counter {
    struct hvfs vfs;
    int closes;
};

static const int counter_type = 0;

static void *counter_query(struct hvfs *vfs, const void *type) {
    if (type == &counter_type) return vfs;
    errno = ENOTSUP;
    return nullptr;
}

static void counter_close(struct hvfs *vfs) { ++reinterpret_cast<counter *>(vfs)->closes; }

TEST(handle_types_can_be_written) {
    counter c = {{counter_query, counter_close}, 0};
    int h = hmake(&c.vfs);
    CHECK(h >= 0);
    CHECK(hquery(h, &counter_type) == &c);
    CHECK_INT(hclose(h), 0);
    CHECK_INT(c.closes, 1);
}

coroutine static void add(int ch, int a, int b) {
    int sum = a + b;
    CHECK_INT(chsend(ch, &sum, sizeof(sum), -1), 0);
}

TEST(coroutines_can_be_launched_in_every_way) {
    static char stacks[2][16384];
    int ch[2], b = bundle(), sum = 0, h[2];
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(bundle_go(b, add(ch[0], 1, 2)), 0);
    CHECK_INT(bundle_go_mem(b, add(ch[0], 10, 20), stacks[0], sizeof(stacks[0])), 0);
    h[0] = go(add(ch[0], 100, 200));
    h[1] = go_mem(add(ch[0], 1000, 2000), stacks[1], sizeof(stacks[1]));
    CHECK(h[0] >= 0);
    CHECK(h[1] >= 0);
    for (int i = 0; i != 4; ++i) {
        int v = 0;
        CHECK_INT(chrecv(ch[1], &v, sizeof(v), -1), 0);
        sum += v;
    }
    CHECK_INT(sum, 3333);
    CHECK_INT(hclose(h[0]) + hclose(h[1]) + hclose(b), 0);
}

TEST(choose_works) {
    int ch[2], v = 0, b;
    CHECK_INT(chmake(ch), 0);
    chclause clause = {CHRECV, ch[1], &v, sizeof(v)};
    b = go(add(ch[0], 3, 4));
    CHECK_INT(choose(&clause, 1, -1), 0);
    CHECK_INT(v, 7);
    CHECK_INT(hclose(b), 0);
}

#ifndef WITHOUT_SOCKETS
TEST(lists_and_storage_can_be_declared) {
    char buf[4] = "abc";
    iolist list = {buf, 3, nullptr, 0};
    ipc_pair_storage mem;
    int s[2];
    char in[3];
    CHECK_INT(ipc_pair_mem(&mem, s), 0);
    CHECK(hquery(s[0], bsock_type) && !hquery(s[0], msock_type));
    CHECK_INT(bsendl(s[0], &list, &list, -1), 0);
    CHECK_INT(brecv(s[1], in, 3, now() + 5000), 0);
    CHECK_MEM(in, "abc", 3);
    CHECK_INT(hclose(s[0]) + hclose(s[1]), 0);
}
#endif
