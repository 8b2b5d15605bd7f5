/* cc: -x c++ -std=c++11 -Wl,--no-as-needed -lstdc++ */
/* cc: -x c++ -std=c++17 -O2 -Wl,--no-as-needed -lstdc++ */
/* C++: a coroutine that waits while it handles an exception has that exception afterwards, and no other. */

#include <exception>
#include <stdexcept>
#include <string>

#include <libdill.h>

#include "test.h"

static coroutine void handle(int id, bool *ended) {
    std::string mine = "exception " + std::to_string(id) + std::string(40, '.');
    try {
        throw std::runtime_error(mine);
    } catch (const std::exception &e) {
        CHECK_INT(msleep(now() + 2 + 3 * (id % 3)), 0);
        CHECK(mine == e.what());
        try {
            throw;
        } catch (const std::exception &again) {
            CHECK_INT(yield(), 0);
            CHECK(mine == again.what());
        }
        CHECK_INT(yield(), 0);
        CHECK(mine == e.what());
    }
    CHECK(!std::current_exception());
    *ended = true;
}

TEST(each_coroutine_has_its_own_exception) {
    bool ended[9] = {};
    int b = bundle();
    for (int i = 0; i != 9; ++i) {
        int failed = bundle_go(b, handle(i, &ended[i]));
        CHECK_INT(failed, 0);
        CHECK(!std::current_exception());
    }
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(hclose(b), 0);
    for (int i = 0; i != 9; ++i) CHECK(ended[i]);
}

TEST(a_coroutine_that_is_launched_in_a_handler_has_no_exception) {
    bool ended = false;
    try {
        throw 7;
    } catch (int n) {
        int b = go(handle(1, &ended));
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(hclose(b), 0);
        CHECK_INT(n, 7);
        CHECK(!!std::current_exception());
    }
    CHECK(ended);
    CHECK(!std::current_exception());
}

struct closes_a_bundle {
    int b;
    ~closes_a_bundle() { CHECK_INT(hclose(b), 0); }
};

static coroutine void throw_when_cancelled(bool *ended) {
    try {
        if (msleep(-1) < 0) throw std::runtime_error("cancelled");
    } catch (const std::exception &e) {
        CHECK_STR(e.what(), "cancelled");
        *ended = true;
    }
}

TEST(a_destructor_may_close_a_bundle_during_unwinding) {
    bool ended = false;
    try {
        closes_a_bundle it = {go(throw_when_cancelled(&ended))};
        throw std::runtime_error("mine");
    } catch (const std::exception &e) {
        CHECK_STR(e.what(), "mine");
    }
    CHECK(ended);
    CHECK(!std::current_exception());
}
