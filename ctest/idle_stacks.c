/* The memory of stacks whose coroutines have ended. */

#include <libdill.h>

#include "test.h"

enum { COUNT = 500, TOUCHED = 100 * 1024 };

static int idle;

static long resident(void) {
    long pages, in_memory;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%ld %ld", &pages, &in_memory) == 2);
    fclose(f);
    return in_memory * sysconf(_SC_PAGESIZE);
}

coroutine static void use_stack(void) {
    volatile char frame[TOUCHED];
    for (size_t i = 0; i < sizeof(frame); i += 1024) frame[i] = 1;
    ++idle;
    CHECK_ERR(msleep(-1), -1, ECANCELED);
}

TEST(most_of_it_goes_back_to_the_system) {
    skip_under_wrapper("the wrapper keeps memory of its own");
    int b = bundle();
    long before = resident(), most;
    for (int i = 0; i != COUNT; ++i) CHECK_INT(bundle_go(b, use_stack()), 0);
    CHECK_INT(idle, COUNT);
    most = resident() - before;
    CHECK(most >= (long)COUNT * TOUCHED);
    CHECK_INT(hclose(b), 0);
    CHECK(resident() - before < most / 4);
}
