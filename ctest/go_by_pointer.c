/* cc: -O0 */
/* cc: -O1 */
/* cc: -O2 */
/* cc: -O3 */
/* cc: -Os -fomit-frame-pointer */
/* cc: -x c++ -std=c++11 -O2 */
/* Launching a function behind a pointer out of the steps of the go macro, as bindings of other languages do. */

#include <setjmp.h>

#include "test.h"

#include <libdill.h>

static int spawn(void (*routine)(void *), void *arg) {
    sigjmp_buf *ctx;
    void *stack = NULL;
    int h = dill_prologue(&ctx, &stack, 0, -1, __FILE__, __LINE__);
    if (h >= 0) {
        if (!dill_setjmp(*ctx)) {
            dill_setsp(stack);
            routine(arg);
            dill_epilogue();
        }
    }
    return h;
}

coroutine static void sleep_and_add_10(void *p) {
    volatile int *n = (volatile int *)p;
    *n = *n + 1;
    CHECK_INT(msleep(now() + 10), 0);
    *n = *n + 10;
}

TEST(functions_behind_pointers_are_launched) {
    volatile int a = 1, b = 2;
    int h1 = spawn(sleep_and_add_10, (void *)&a), h2 = spawn(sleep_and_add_10, (void *)&b);
    CHECK(h1 >= 0 && h2 >= 0 && h1 != h2);
    CHECK_INT(a, 2);
    CHECK_INT(b, 3);
    CHECK_INT(bundle_wait(h1, -1), 0);
    CHECK_INT(bundle_wait(h2, -1), 0);
    CHECK_INT(a, 12);
    CHECK_INT(b, 13);
    CHECK_INT(hclose(h1), 0);
    CHECK_INT(hclose(h2), 0);
}

static jmp_buf place;

static __attribute__((noinline)) void go_back(volatile int *passed) {
    ++*passed;
    dill_longjmp(place);
}

TEST(dill_longjmp_goes_back_to_dill_setjmp) {
    volatile int passed = 0;
    if (!dill_setjmp(place)) go_back(&passed);
    CHECK_INT(passed, 1);
}
