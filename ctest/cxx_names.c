/* cc: -x c++ -std=c++11 -Wl,--no-as-needed -lstdc++ */
/* cc: -x c++ -std=c++17 -O2 -DSTANDARD_FIRST -Wl,--no-as-needed -lstdc++ */
/* cc: -x c++ -std=c++20 -Wl,--no-as-needed -lstdc++ */
/* In C++ the short names stay out of the way of others: those of the standard library, and of classes. */

#ifdef STANDARD_FIRST
#include <chrono>
#include <string>
#include <thread>
#endif

#include <libdill.h>

#ifndef STANDARD_FIRST
#include <chrono>
#include <string>
#include <thread>
#endif

#include "test.h"

TEST(the_clocks_of_the_standard_library_have_their_now) {
    auto before = std::chrono::steady_clock::now();
    CHECK_INT(msleep(now() + 10), 0);
    std::this_thread::yield();
    CHECK(std::chrono::steady_clock::now() - before >= std::chrono::milliseconds(9));
    CHECK(std::chrono::system_clock::now().time_since_epoch().count() > 0);
}

TEST(short_names_are_the_functions_themselves) {
    /* Compilers take two names for two functions. */
    int64_t (*volatile clocks[])() = {now, dill_now};
    int (*volatile closing[])(int) = {&::hclose, &dill_hclose};
    CHECK(clocks[0] == clocks[1]);
    CHECK(closing[0] == closing[1]);
    CHECK_INT(yield(), 0);
}

namespace other {
struct bundle {
    int choose, yields = 0;
    int now() const { return choose; }
    void yield() { ++yields; }
};
}

TEST(members_may_have_the_same_names) {
    other::bundle it;
    it.choose = 7;
    it.yield();
    CHECK_INT(it.now() + it.yields, 8);
}
