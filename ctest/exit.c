/* How processes that use the library end. */

#include <pthread.h>

#include <libdillimpl.h>

#include "dies.h"
#include "test.h"

coroutine static void wait_for_ever(void) { msleep(-1); }

coroutine static void exit_with(int status) {
    yield();
    exit(status);
}

static void exit_in_a_coroutine(void) {
    int h = go(wait_for_ever());
    (void)h;
    h = go(exit_with(7));
    msleep(-1);
}

TEST(exit_in_a_coroutine_ends_the_process_with_its_status) { CHECK_EXITS_WITH(exit_in_a_coroutine, 7); }

static void return_with_live_coroutines(void) {
    int s[2];
    for (int i = 0; i != 10; ++i) {
        int h = go(wait_for_ever());
        CHECK(h >= 0);
    }
    CHECK_INT(chmake(s), 0);
    CHECK_INT(msleep(now() + 1), 0);
    exit(3);
}

TEST(exit_with_live_coroutines_and_open_handles_keeps_its_status) {
    CHECK_EXITS_WITH(return_with_live_coroutines, 3);
}

static void pthread_exit_from_main(void) {
    int h = go(wait_for_ever());
    CHECK(h >= 0);
    CHECK_INT(msleep(now() + 1), 0);
    pthread_exit(NULL);
}

TEST(pthread_exit_from_main_ends_the_process_with_status_0) { CHECK_EXITS_WITH(pthread_exit_from_main, 0); }

static void *outlive_main(void *arg) {
    (void)arg;
    CHECK_INT(msleep(now() + 50), 0);
    exit(5);
}

static void pthread_exit_while_another_thread_runs(void) {
    pthread_t t;
    CHECK_INT(msleep(now() + 1), 0);
    CHECK_INT(pthread_create(&t, NULL, outlive_main, NULL), 0);
    pthread_exit(NULL);
}

TEST(another_thread_may_go_on_after_pthread_exit_from_main) {
    CHECK_EXITS_WITH(pthread_exit_while_another_thread_runs, 5);
}

static void *exit_at_once(void *arg) {
    (void)arg;
    CHECK_INT(msleep(now() + 20), 0);
    exit(6);
}

static void exit_in_another_thread(void) {
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, exit_at_once, NULL), 0);
    for (;;) CHECK_INT(yield(), 0);
}

TEST(exit_in_another_thread_while_main_switches_keeps_its_status) {
    CHECK_EXITS_WITH(exit_in_another_thread, 6);
}

static void use_library_at_exit(void) {
    int b = go(wait_for_ever());
    if (b < 0 || msleep(now() + 1) != 0 || hclose(b) != 0) _exit(99);
}

static void register_then_use(void) {
    CHECK_INT(atexit(use_library_at_exit), 0);
    CHECK_INT(msleep(now() + 1), 0);
    exit(4);
}

TEST(a_handler_registered_before_first_use_may_call_the_library_at_exit) {
    CHECK_EXITS_WITH(register_then_use, 4);
}

static void use_then_register(void) {
    CHECK_INT(msleep(now() + 1), 0);
    CHECK_INT(atexit(use_library_at_exit), 0);
    exit(4);
}

TEST(a_handler_registered_after_first_use_may_call_the_library_at_exit) {
    CHECK_EXITS_WITH(use_then_register, 4);
}


static void *no_query(struct hvfs *vfs, const void *type) {
    (void)vfs;
    (void)type;
    return NULL;
}
static void closing(struct hvfs *vfs) {
    (void)vfs;
    _exit(99);
}

static struct hvfs left_open = {no_query, closing};
static void exit_with_an_open_object(void) {
    CHECK(hmake(&left_open) >= 0);
    exit(2);
}

TEST(exit_does_not_call_close_of_open_objects) { CHECK_EXITS_WITH(exit_with_an_open_object, 2); }
