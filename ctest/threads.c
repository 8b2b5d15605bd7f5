/* Every thread has a runtime of its own. */

#include <pthread.h>

#include <libdillimpl.h>

#include "object.h"
#include "pair.h"
#include "test.h"

static void in_thread(void *(*body)(void *), void *arg) {
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, body, arg), 0);
    CHECK_INT(pthread_join(t, NULL), 0);
}

coroutine static void count_and_sleep(int rounds, volatile int *count) {
    for (int i = 0; i != rounds; ++i) {
        ++*count;
        CHECK_INT(msleep(now() + 10), 0);
    }
}

static void *run_three_workers(void *arg) {
    volatile int count = 0;
    int b = bundle();
    (void)arg;
    for (int i = 0; i != 3; ++i) CHECK_INT(bundle_go(b, count_and_sleep(10, &count)), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(count, 30);
    CHECK_INT(hclose(b), 0);
    return NULL;
}

TEST(two_threads_run_coroutines_at_the_same_time) {
    pthread_t t;
    CHECK_INT(pthread_create(&t, NULL, run_three_workers, NULL), 0);
    run_three_workers(NULL);
    CHECK_INT(pthread_join(t, NULL), 0);
}

static void *make_first_handle(void *arg) {
    struct object o;
    *(int *)arg = object_make(&o);
    CHECK_INT(hclose(*(int *)arg), 0);
    return NULL;
}

TEST(handle_numbers_of_each_thread_start_at_0) {
    struct object o;
    int h = -1;
    CHECK_INT(object_make(&o), 0);
    in_thread(make_first_handle, &h);
    CHECK_INT(h, 0);
    CHECK_INT(o.closes, 0);
}

static void *use_foreign_handle(void *arg) {
    int h = *(int *)arg, v = 0;
    CHECK_ERR(hclose(h), -1, EBADF);
    CHECK_ERR(chsend(h, &v, sizeof(v), 0), -1, EBADF);
    CHECK_ERR(hown(h), -1, EBADF);
    return NULL;
}

TEST(a_handle_of_another_thread_gives_EBADF_and_is_not_affected) {
    int ch[2];
    CHECK_INT(chmake(ch), 0);
    in_thread(use_foreign_handle, &ch[0]);
    CHECK_INT(chdone(ch[0]), 0);
    CHECK_INT(hclose(ch[0]), 0);
    CHECK_INT(hclose(ch[1]), 0);
}

static int shared_pipe[2];
static void *wait_for_pipe(void *arg) {
    (void)arg;
    CHECK_INT(fdin(shared_pipe[0], now() + 10000), 0);
    return NULL;
}

TEST(two_threads_may_wait_for_one_descriptor) {
    pthread_t t[2];
    CHECK_INT(pipe(shared_pipe), 0);
    for (int i = 0; i != 2; ++i) CHECK_INT(pthread_create(&t[i], NULL, wait_for_pipe, NULL), 0);
    CHECK_INT(msleep(now() + 50), 0);
    CHECK_INT(write(shared_pipe[1], "x", 1), 1);
    for (int i = 0; i != 2; ++i) CHECK_INT(pthread_join(t[i], NULL), 0);
}

#ifndef WITHOUT_SOCKETS
static struct ipaddr server_address;
static int server_ready[2];

static void *serve_one(void *arg) {
    char buf[3];
    int listener = listen_somewhere(&server_address), s;
    (void)arg;
    CHECK_INT(write(server_ready[1], "x", 1), 1);
    s = tcp_accept(listener, NULL, -1);
    CHECK(s >= 0);
    CHECK_INT(brecv(s, buf, 3, -1), 0);
    CHECK_INT(bsend(s, buf, 3, -1), 0);
    CHECK_INT(tcp_close(s, -1), 0);
    CHECK_INT(hclose(listener), 0);
    return NULL;
}

TEST(threads_talk_over_sockets) {
    pthread_t t;
    char buf[3];
    int s;
    CHECK_INT(pipe(server_ready), 0);
    CHECK_INT(pthread_create(&t, NULL, serve_one, NULL), 0);
    CHECK_INT(fdin(server_ready[0], now() + 10000), 0);
    s = tcp_connect(&server_address, now() + 10000);
    CHECK(s >= 0);
    CHECK_INT(bsend(s, "ABC", 3, -1), 0);
    CHECK_INT(brecv(s, buf, 3, now() + 10000), 0);
    CHECK_MEM(buf, "ABC", 3);
    CHECK_INT(tcp_close(s, now() + 10000), 0);
    CHECK_INT(pthread_join(t, NULL), 0);
}
#endif

/* --- The end of a thread --- */

coroutine static void wait_for_ever(int fd) {
    if (fd >= 0) fdin(fd, -1);
    msleep(-1);
}

static void *abandon_coroutines(void *arg) {
    int ch[2];
    (void)arg;
    CHECK_INT(chmake(ch), 0);
    for (int i = 0; i != 3; ++i) {
        int h = go(wait_for_ever(i ? -1 : shared_pipe[0]));
        CHECK(h >= 0);
    }
    CHECK_INT(msleep(now() + 1), 0);
    return NULL;
}

TEST(threads_that_end_with_live_coroutines_leave_no_descriptor_open) {
    int before;
    CHECK_INT(pipe(shared_pipe), 0);
    CHECK_INT(msleep(now() + 1), 0);
    before = open_descriptors();
    for (int i = 0; i != 200; ++i) in_thread(abandon_coroutines, NULL);
    CHECK_INT(open_descriptors(), before);
}

static struct object left_open;
static void *leave_an_object_open(void *arg) {
    (void)arg;
    object_make(&left_open);
    return NULL;
}

TEST(the_end_of_a_thread_does_not_close_its_handles) {
    in_thread(leave_an_object_open, NULL);
    CHECK_INT(left_open.closes, 0);
}

/* --- A destructor of thread-specific data that runs after the runtime's --- */

static pthread_key_t key;
static int destructor_rounds;

static void use_library_late(void *value) {
    int b;
    (void)value;
    if (destructor_rounds++ < 2) CHECK_INT(pthread_setspecific(key, &key), 0);
    b = bundle();
    CHECK(b >= 0);
    CHECK_INT(msleep(now() + 1), 0);
    CHECK_INT(hclose(b), 0);
}

static void *register_late_use(void *arg) {
    (void)arg;
    CHECK_INT(msleep(now() + 1), 0);
    CHECK_INT(pthread_setspecific(key, &key), 0);
    return NULL;
}

TEST(the_library_may_be_called_from_destructors_of_a_thread) {
    int before;
    CHECK_INT(pthread_key_create(&key, use_library_late), 0);
    CHECK_INT(msleep(now() + 1), 0);
    before = open_descriptors();
    in_thread(register_late_use, NULL);
    CHECK_INT(destructor_rounds, 3);
    CHECK_INT(open_descriptors(), before);
}

static void *launch_many(void *arg) {
    volatile int count = 0;
    int b = bundle();
    (void)arg;
    for (int i = 0; i != 20000; ++i) {
        CHECK_INT(bundle_go(b, count_and_sleep(0, &count)), 0);
        CHECK_INT(yield(), 0);
    }
    CHECK_INT(hclose(b), 0);
    return NULL;
}

TEST(eight_threads_launch_coroutines_as_fast_as_they_can) {
    pthread_t t[8];
    for (int i = 0; i != 8; ++i) CHECK_INT(pthread_create(&t[i], NULL, launch_many, NULL), 0);
    for (int i = 0; i != 8; ++i) CHECK_INT(pthread_join(t[i], NULL), 0);
}
