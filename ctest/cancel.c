/* What a coroutine that is being closed may still do. */

#include <libdillimpl.h>

#include "object.h"
#include "pair.h"
#include "test.h"

/* Runs the body in a coroutine that has been cancelled. */
static int body_ran;
coroutine static void run_cancelled(void (*body)(void)) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    body();
    body_ran = 1;
}

static void in_cancelled_coroutine(void (*body)(void)) {
    int b = go(run_cancelled(body));
    CHECK(b >= 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(body_ran, 1);
}

#define CANCELLED_TEST(NAME)                             \
    static void cancelled_##NAME(void);                  \
    TEST(NAME) { in_cancelled_coroutine(cancelled_##NAME); } \
    static void cancelled_##NAME(void)

CANCELLED_TEST(every_further_blocking_call_fails) {
    for (int i = 0; i != 3; ++i) {
        CHECK_ERR(msleep(now() + 10), -1, ECANCELED);
        CHECK_ERR(msleep(0), -1, ECANCELED);
        CHECK_ERR(yield(), -1, ECANCELED);
    }
}

CANCELLED_TEST(handles_cannot_be_made) {
    struct object o;
    struct bundle_storage bundle_mem_block;
    struct chstorage channel_block;
    int pair[2];
    object_init(&o);
    CHECK_ERR(hmake(&o.vfs), -1, ECANCELED);
    CHECK_ERR(bundle(), -1, ECANCELED);
    CHECK_ERR(bundle_mem(&bundle_mem_block), -1, ECANCELED);
    CHECK_ERR(chmake(pair), -1, ECANCELED);
    CHECK_ERR(chmake_mem(&channel_block, pair), -1, ECANCELED);
    CHECK_INT(o.closes, 0);
}

CANCELLED_TEST(argument_checks_of_makers_come_before_cancellation) {
    int pair[2];
    CHECK_ERR(hmake(NULL), -1, EINVAL);
    CHECK_ERR(bundle_mem(NULL), -1, EINVAL);
    CHECK_ERR(chmake_mem(NULL, pair), -1, EINVAL);
}

CANCELLED_TEST(handle_checks_of_functions_that_do_not_block_still_work) {
    CHECK_ERR(chdone(99999), -1, EBADF);
    CHECK_ERR(hclose(99999), -1, EBADF);
    CHECK_ERR(hown(99999), -1, EBADF);
    CHECK_ERR(hquery(99999, NULL) == NULL, 1, EBADF);
}

CANCELLED_TEST(ECANCELED_wins_over_every_argument_error_of_blocking_calls) {
    CHECK_ERR(chsend(99999, NULL, 0, -1), -1, ECANCELED);
    CHECK_ERR(chrecv(99999, NULL, 0, -1), -1, ECANCELED);
    CHECK_ERR(choose(NULL, -3, 0), -1, ECANCELED);
    CHECK_ERR(fdin(-1, 0), -1, ECANCELED);
    CHECK_ERR(fdout(-1, 0), -1, ECANCELED);
    CHECK_ERR(bundle_wait(99999, 0), -1, ECANCELED);
}

coroutine static void never_runs(void) { CHECK(!"this coroutine was not launched"); }

CANCELLED_TEST(go_fails_and_does_not_evaluate_its_expression) {
    static char stack[8192];
    int rc = go(never_runs());
    CHECK_INT(rc, -1);
    CHECK_INT(errno, ECANCELED);
    rc = go_mem(never_runs(), stack, sizeof(stack));
    CHECK_INT(rc, -1);
    CHECK_INT(errno, ECANCELED);
}

CANCELLED_TEST(bundle_go_in_a_bad_bundle_gives_ECANCELED) {
    int rc = bundle_go(99999, never_runs());
    CHECK_INT(rc, -1);
    CHECK_INT(errno, ECANCELED);
}

CANCELLED_TEST(now_still_works) { CHECK(now() > 0); }

/* --- With objects that were made before --- */

static int channel[2], handle, descriptors[2];
static struct object counted;

static void own_then_done(void) {
    CHECK_ERR(hown(channel[0]), -1, ECANCELED);
    CHECK_ERR(chdone(channel[0]), -1, EBADF);
}

TEST(hown_of_a_channel_end_fails_and_closes_it) {
    CHECK_INT(chmake(channel), 0);
    in_cancelled_coroutine(own_then_done);
}

static void own_object(void) {
    CHECK_ERR(hown(handle), -1, ECANCELED);
    CHECK_INT(counted.closes, 1);
    CHECK_ERR(hclose(handle), -1, EBADF);
}

TEST(hown_of_an_object_fails_and_closes_it) {
    handle = object_make(&counted);
    in_cancelled_coroutine(own_object);
}

coroutine static void sleep_until_cancelled(void) { CHECK_ERR(msleep(-1), -1, ECANCELED); }

static void own_bundle(void) { CHECK_ERR(hown(handle), -1, ECANCELED); }

TEST(hown_of_a_bundle_that_must_wait_for_its_member_reports_ECANCELED) {
    handle = go(sleep_until_cancelled());
    in_cancelled_coroutine(own_bundle);
}

static void close_bundle(void) { CHECK_INT(hclose(handle), 0); }

TEST(hclose_of_a_bundle_waits_for_its_member) {
    handle = go(sleep_until_cancelled());
    in_cancelled_coroutine(close_bundle);
    CHECK_ERR(hclose(handle), -1, EBADF);
}

static void done_twice(void) {
    CHECK_INT(chdone(channel[0]), 0);
    CHECK_ERR(chdone(channel[0]), -1, EPIPE);
}

TEST(chdone_works) {
    CHECK_INT(chmake(channel), 0);
    in_cancelled_coroutine(done_twice);
}

static void query_object(void) { CHECK(hquery(handle, object_type) == &counted); }

TEST(hquery_works) {
    handle = object_make(&counted);
    in_cancelled_coroutine(query_object);
}

static void use_pipe(void) {
    CHECK_ERR(fdin(descriptors[0], -1), -1, ECANCELED);
    CHECK_ERR(fdout(descriptors[1], 0), -1, ECANCELED);
    CHECK_INT(fdclean(descriptors[0]), 0);
}

TEST(fdclean_works_and_ready_descriptors_give_ECANCELED) {
    CHECK_INT(pipe(descriptors), 0);
    CHECK_INT(write(descriptors[1], "x", 1), 1);
    in_cancelled_coroutine(use_pipe);
}

coroutine static void send_nothing(int ch) { CHECK_INT(chsend(ch, NULL, 0, -1), 0); }

static void receive_from_waiting_sender(void) {
    struct chclause clause = {CHRECV, channel[0], NULL, 0};
    CHECK_ERR(chrecv(channel[0], NULL, 0, 0), -1, ECANCELED);
    CHECK_ERR(choose(&clause, 1, 0), -1, ECANCELED);
}

TEST(channel_operations_that_could_complete_at_once_fail) {
    int b;
    CHECK_INT(chmake(channel), 0);
    b = go(send_nothing(channel[1]));
    in_cancelled_coroutine(receive_from_waiting_sender);
    CHECK_INT(chrecv(channel[0], NULL, 0, 0), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
}

#ifndef WITHOUT_SOCKETS
static int sockets[2];

static void use_sockets(void) {
    char buf[3];
    CHECK_INT(bsend(sockets[0], "ABC", 3, -1), 0);
    wait_until_arrived();
    CHECK_INT(brecv(sockets[1], buf, 3, -1), 0);
    CHECK_MEM(buf, "ABC", 3);
    CHECK_ERR(brecv(sockets[1], buf, 3, -1), -1, ECANCELED);
}

TEST(sockets_move_bytes_as_long_as_they_need_not_wait) {
    EACH_STREAM(sockets) {
        body_ran = 0;
        in_cancelled_coroutine(use_sockets);
    }
}

static void make_sockets(void) {
    struct ipaddr addr;
    int s[2];
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, 0), 0);
    CHECK_ERR(tcp_listen(&addr, 10), -1, ECANCELED);
    CHECK_ERR(ipc_pair(s), -1, ECANCELED);
}

TEST(sockets_cannot_be_made_and_leave_no_descriptor_behind) {
    int before;
    CHECK_INT(msleep(now()), 0);
    before = open_descriptors();
    in_cancelled_coroutine(make_sockets);
    CHECK_INT(open_descriptors(), before);
}
#endif

/* --- A coroutine that is ready when it is cancelled --- */

coroutine static void yield_twice(volatile int *stage) {
    CHECK_INT(yield(), 0);
    ++*stage;
    CHECK_ERR(yield(), -1, ECANCELED);
    ++*stage;
}

TEST(a_yield_in_progress_succeeds_and_the_next_one_fails) {
    volatile int stage = 0;
    int b = go(yield_twice(&stage));
    CHECK_INT(hclose(b), 0);
    CHECK_INT(stage, 2);
}

coroutine static void receive_twice(int ch, volatile int *stage) {
    int v = 0;
    CHECK_INT(chrecv(ch, &v, sizeof(v), -1), 0);
    CHECK_INT(v, 42);
    ++*stage;
    CHECK_ERR(chrecv(ch, &v, sizeof(v), -1), -1, ECANCELED);
    ++*stage;
}

TEST(a_message_that_was_handed_over_is_received_by_a_cancelled_coroutine) {
    volatile int stage = 0;
    int v = 42, b;
    CHECK_INT(chmake(channel), 0);
    b = go(receive_twice(channel[0], &stage));
    CHECK_INT(chsend(channel[1], &v, sizeof(v), -1), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(stage, 2);
}

/* --- A blocked coroutine is withdrawn from what it waited for --- */

coroutine static void receive_cancelled(int ch) {
    int v;
    CHECK_ERR(chrecv(ch, &v, sizeof(v), -1), -1, ECANCELED);
}

TEST(a_cancelled_receiver_takes_no_message) {
    int v = 1, b;
    CHECK_INT(chmake(channel), 0);
    b = go(receive_cancelled(channel[0]));
    CHECK_INT(hclose(b), 0);
    CHECK_ERR(chsend(channel[1], &v, sizeof(v), 0), -1, ETIMEDOUT);
}

coroutine static void send_cancelled(int ch) {
    int v = 1;
    CHECK_ERR(chsend(ch, &v, sizeof(v), -1), -1, ECANCELED);
}

TEST(a_cancelled_sender_delivers_no_message) {
    int v, b;
    CHECK_INT(chmake(channel), 0);
    b = go(send_cancelled(channel[0]));
    CHECK_INT(hclose(b), 0);
    CHECK_ERR(chrecv(channel[1], &v, sizeof(v), 0), -1, ETIMEDOUT);
}

coroutine static void fdin_cancelled(int fd) { CHECK_ERR(fdin(fd, -1), -1, ECANCELED); }

TEST(a_cancelled_fdin_leaves_the_descriptor_free) {
    int b;
    CHECK_INT(pipe(descriptors), 0);
    b = go(fdin_cancelled(descriptors[0]));
    CHECK_INT(hclose(b), 0);
    CHECK_ERR(fdin(descriptors[0], now() + 10), -1, ETIMEDOUT);
    CHECK_INT(write(descriptors[1], "x", 1), 1);
    CHECK_INT(fdin(descriptors[0], now() + 5000), 0);
}

coroutine static void wait_cancelled(int b) { CHECK_ERR(bundle_wait(b, -1), -1, ECANCELED); }

TEST(a_cancelled_bundle_wait_leaves_the_bundle_usable) {
    int sleeper = go(sleep_until_cancelled());
    int b = go(wait_cancelled(sleeper));
    CHECK_INT(hclose(b), 0);
    CHECK_ERR(bundle_wait(sleeper, now() + 10), -1, ETIMEDOUT);
    CHECK_INT(hclose(sleeper), 0);
}
