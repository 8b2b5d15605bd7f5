/* cc: -x c++ -std=c++11 */
/* cc: -x c++ -std=c++14 -O2 */
/* cc: -x c++ -std=c++17 -O3 */
/* cc: -x c++ -std=c++20 -O2 */
/* cc: -x c++ -std=c++11 -O0 */
/* What can be launched in C++ besides a function: the launcher sees what it has changed. */

#include "test.h"

#include <libdill.h>

TEST(a_lambda_changes_variables_of_its_launcher) {
    int x = 1;
    auto change = [&]() {
        msleep(now() + 1);
        x = 2;
    };
    int b = go(change());
    CHECK_INT(x, 1);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(x, 2);
    CHECK_INT(hclose(b), 0);
}

TEST(a_lambda_can_be_written_in_place) {
    int sum = 0, b = bundle();
    for (int i = 1; i != 4; ++i) {
        int failed = bundle_go(b, [&sum](int n) { yield(); sum += n; }(i));
        CHECK_INT(failed, 0);
    }
    CHECK(sum < 6);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(sum, 6);
    CHECK_INT(hclose(b), 0);
}

static coroutine void add(int *sum, int n) {
    yield();
    *sum += n;
}

TEST(a_function_changes_a_variable_of_its_launcher) {
    int sum = 1, b = go(add(&sum, 2));
    CHECK_INT(sum, 1);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(sum, 3);
    CHECK_INT(hclose(b), 0);
}

struct counter {
    int count;
    counter() : count(0) {}
    void work(int n) {
        yield();
        count += n;
    }
    int launch(int n) { return go(work(n)); }
    counter(const counter &) = delete;
    counter &operator+=(int n) {
        work(n);
        return *this;
    }
};

TEST(member_functions_can_be_launched) {
    counter c;
    int b[3] = {c.launch(1), go(c.work(10)), -1};
    b[2] = go(c += 100);
    CHECK(c.count < 111);
    for (int h : b) CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(c.count, 111);
    for (int h : b) CHECK_INT(hclose(h), 0);
}

TEST(the_value_of_the_expression_is_discarded) {
    int n = 0;
    int b = bundle();
    int failed = bundle_go(b, ++n);
    CHECK_INT(failed, 0);
    failed = bundle_go(b, n ? &n : nullptr);
    CHECK_INT(failed, 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(n, 1);
    CHECK_INT(hclose(b), 0);
}
