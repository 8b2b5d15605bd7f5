/* choose: the first clause that can be decided wins. */

#include <limits.h>

#include <libdill.h>

#include "test.h"

static int a[2], b[2];

static void make_channels(void) {
    CHECK_INT(chmake(a), 0);
    CHECK_INT(chmake(b), 0);
}

static struct chclause receive_from(int end, int *v) {
    struct chclause c = {CHRECV, end, v, sizeof(*v)};
    return c;
}

static struct chclause send_to(int end, int *v) {
    struct chclause c = {CHSEND, end, v, sizeof(*v)};
    return c;
}

coroutine static void send_after(int64_t ms, int end, int v) {
    if (ms) CHECK_INT(msleep(now() + ms), 0);
    CHECK_INT(chsend(end, &v, sizeof(v), -1), 0);
}

coroutine static void receive_after(int64_t ms, int end, int expected) {
    int v = -1;
    if (ms) CHECK_INT(msleep(now() + ms), 0);
    CHECK_INT(chrecv(end, &v, sizeof(v), -1), 0);
    CHECK_INT(v, expected);
}

/* --- One clause --- */

static void check_single_receive(int64_t delay) {
    int v = 0, h;
    struct chclause c;
    make_channels();
    h = go(send_after(delay, a[0], 555));
    c = receive_from(a[1], &v);
    CHECK_ERR(choose(&c, 1, -1), 0, 0);
    CHECK_INT(v, 555);
    CHECK_INT(bundle_wait(h, -1), 0);
}

TEST(a_receive_from_a_waiting_sender_succeeds) { check_single_receive(0); }

TEST(a_receive_waits_for_a_sender) { check_single_receive(20); }

static void check_single_send(int64_t delay) {
    int v = 666, h;
    struct chclause c;
    make_channels();
    h = go(receive_after(delay, a[0], 666));
    c = send_to(a[1], &v);
    CHECK_ERR(choose(&c, 1, -1), 0, 0);
    CHECK_INT(bundle_wait(h, -1), 0);
}

TEST(a_send_to_a_waiting_receiver_succeeds) { check_single_send(0); }

TEST(a_send_waits_for_a_receiver) { check_single_send(20); }

TEST(success_at_once_sets_errno_0) {
    int v = 0, h;
    struct chclause c;
    make_channels();
    h = go(send_after(0, a[0], 1));
    c = receive_from(a[1], &v);
    errno = EXDEV;
    CHECK_INT(choose(&c, 1, 0), 0);
    CHECK_INT(errno, 0);
    CHECK_INT(hclose(h), 0);
}

struct large {
    char bytes[1024];
};

coroutine static void send_large(int end) {
    struct large out;
    memset(&out, 'x', sizeof(out));
    CHECK_INT(chsend(end, &out, sizeof(out), -1), 0);
}

TEST(a_message_of_1024_bytes_is_received) {
    struct large in = {{0}}, expected;
    struct chclause c = {CHRECV, 0, &in, sizeof(in)};
    int h;
    make_channels();
    h = go(send_large(a[0]));
    c.ch = a[1];
    CHECK_ERR(choose(&c, 1, -1), 0, 0);
    memset(&expected, 'x', sizeof(expected));
    CHECK_MEM(&in, &expected, sizeof(in));
    CHECK_INT(hclose(h), 0);
}

/* --- Several clauses --- */

TEST(the_index_tells_which_channel_was_served) {
    make_channels();
    for (int i = 0; i != 2; ++i) {
        int v = 0, h;
        struct chclause c[2] = {receive_from(a[1], &v), receive_from(b[1], &v)};
        h = go(send_after(20, i ? b[0] : a[0], 100 + i));
        CHECK_ERR(choose(c, 2, -1), i, 0);
        CHECK_INT(v, 100 + i);
        CHECK_INT(hclose(h), 0);
    }
}

TEST(the_lower_index_wins_when_both_are_ready) {
    int v[2] = {0, 0}, h[2];
    make_channels();
    h[0] = go(send_after(0, a[0], 1));
    h[1] = go(send_after(0, b[0], 2));
    for (int i = 0; i != 2; ++i) {
        struct chclause c[2] = {receive_from(b[1], &v[0]), receive_from(a[1], &v[1])};
        CHECK_ERR(choose(c, 2, -1), i, 0);
    }
    CHECK_INT(v[0], 2);
    CHECK_INT(v[1], 1);
    CHECK_INT(bundle_wait(h[0], -1), 0);
    CHECK_INT(bundle_wait(h[1], -1), 0);
}

TEST(only_one_clause_takes_effect) {
    int v[2] = {0, 0}, w = 3, h;
    make_channels();
    struct chclause c[2] = {receive_from(a[1], &v[0]), receive_from(b[1], &v[1])};
    h = go(send_after(20, a[0], 1));
    CHECK_ERR(choose(c, 2, -1), 0, 0);
    CHECK_INT(v[0], 1);
    CHECK_INT(v[1], 0);
    CHECK_ERR(chsend(b[0], &w, sizeof(w), 0), -1, ETIMEDOUT);
    CHECK_ERR(chsend(a[0], &w, sizeof(w), 0), -1, ETIMEDOUT);
    CHECK_INT(hclose(h), 0);
}

TEST(two_senders_are_served_in_the_order_of_arrival) {
    int h[2];
    make_channels();
    for (int i = 0; i != 2; ++i) h[i] = go(send_after(0, a[0], 888 + i));
    for (int i = 0; i != 2; ++i) {
        int v = 0;
        struct chclause c = receive_from(a[1], &v);
        CHECK_ERR(choose(&c, 1, -1), 0, 0);
        CHECK_INT(v, 888 + i);
    }
    for (int i = 0; i != 2; ++i) CHECK_INT(bundle_wait(h[i], -1), 0);
}

TEST(two_receivers_are_served_in_the_order_of_arrival) {
    int h[2];
    make_channels();
    for (int i = 0; i != 2; ++i) h[i] = go(receive_after(0, a[0], 333 + i));
    for (int i = 0; i != 2; ++i) {
        int v = 333 + i;
        struct chclause c = send_to(a[1], &v);
        CHECK_ERR(choose(&c, 1, -1), 0, 0);
    }
    for (int i = 0; i != 2; ++i) CHECK_INT(bundle_wait(h[i], -1), 0);
}

coroutine static void choose_send(int end, int v) {
    struct chclause c = send_to(end, &v);
    CHECK_ERR(choose(&c, 1, -1), 0, 0);
}

TEST(choose_meets_choose) {
    int v = 0, h;
    struct chclause c;
    make_channels();
    h = go(choose_send(a[0], 111));
    c = receive_from(a[1], &v);
    CHECK_ERR(choose(&c, 1, -1), 0, 0);
    CHECK_INT(v, 111);
    CHECK_INT(bundle_wait(h, -1), 0);
}

TEST(waiting_choose_meets_choose) {
    int v = 0, h;
    make_channels();
    struct chclause c[2] = {receive_from(b[1], &v), receive_from(a[1], &v)};
    h = go(choose_send(a[0], 112));
    CHECK_ERR(choose(c, 2, -1), 1, 0);
    CHECK_INT(v, 112);
    CHECK_INT(bundle_wait(h, -1), 0);
}

TEST(one_channel_may_be_listed_twice) {
    int v[2] = {0, 0}, h;
    make_channels();
    struct chclause c[2] = {receive_from(a[1], &v[0]), receive_from(a[1], &v[1])};
    CHECK_ERR(choose(c, 2, now() + 20), -1, ETIMEDOUT);
    h = go(send_after(20, a[0], 5));
    CHECK_ERR(choose(c, 2, -1), 0, 0);
    CHECK_INT(v[0], 5);
    CHECK_INT(hclose(h), 0);
}

TEST(a_send_and_a_receive_of_the_same_choose_never_meet) {
    int in = 0, out = 1;
    make_channels();
    struct chclause c[2] = {send_to(a[1], &out), receive_from(a[0], &in)};
    CHECK_ERR(choose(c, 2, now() + 20), -1, ETIMEDOUT);
    CHECK_INT(in, 0);
}

static struct chclause waiting_clauses[2];
coroutine static void choose_static(int expected) { CHECK_ERR(choose(waiting_clauses, 2, -1), expected, 0); }

TEST(the_clauses_are_not_needed_while_choose_waits) {
    int v[2] = {0, 0}, w = 4, h;
    make_channels();
    waiting_clauses[0] = receive_from(a[1], &v[0]);
    waiting_clauses[1] = receive_from(b[1], &v[1]);
    h = go(choose_static(1));
    memset(waiting_clauses, 0xFF, sizeof(waiting_clauses));
    CHECK_INT(chsend(b[0], &w, sizeof(w), 0), 0);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(v[1], 4);
}

TEST(the_clauses_are_not_modified) {
    int v = 0;
    make_channels();
    struct chclause c[2] = {receive_from(a[1], &v), send_to(b[1], &v)}, copy[2];
    memcpy(copy, c, sizeof(c));
    CHECK_ERR(choose(c, 2, now() + 10), -1, ETIMEDOUT);
    CHECK_MEM(c, copy, sizeof(c));
}

coroutine static void choose_many(int clauses, int expected, volatile int *done) {
    struct chclause *c = (struct chclause *)calloc((size_t)clauses, sizeof(*c));
    int v = 0;
    for (int i = 0; i != clauses; ++i) c[i] = receive_from(i == expected ? b[1] : a[1], &v);
    CHECK_ERR(choose(c, clauses, -1), expected, 0);
    CHECK_INT(v, 6);
    free(c);
    *done = 1;
}

TEST(six_thousand_clauses_do_not_overflow_the_stack) {
    volatile int done = 0;
    int w = 6, h;
    make_channels();
    h = go(choose_many(6000, 5999, &done));
    CHECK_INT(chsend(b[0], &w, sizeof(w), 0), 0);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(done, 1);
}

/* --- Deadlines --- */

TEST(deadline_0_times_out_without_a_switch) {
    int v, h;
    struct chclause c;
    make_channels();
    h = go(send_after(1, a[0], 1));
    c = receive_from(a[1], &v);
    CHECK_ERR(choose(&c, 1, 0), -1, ETIMEDOUT);
    CHECK_INT(chrecv(a[1], &v, sizeof(v), -1), 0);
    CHECK_INT(hclose(h), 0);
}

TEST(choose_times_out_and_never_early) {
    int v;
    int64_t deadline = now() + 50;
    struct chclause c;
    make_channels();
    c = receive_from(a[1], &v);
    CHECK_ERR(choose(&c, 1, deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
}

TEST(a_message_that_comes_before_the_deadline_is_received) {
    int v = 0, h;
    int64_t start = now();
    struct chclause c;
    make_channels();
    h = go(send_after(50, a[0], 7));
    c = receive_from(a[1], &v);
    CHECK_ERR(choose(&c, 1, start + 10000), 0, 0);
    CHECK(now() >= start + 50);
    CHECK_INT(hclose(h), 0);
}

TEST(no_clauses_and_deadline_0_time_out) { CHECK_ERR(choose(NULL, 0, 0), -1, ETIMEDOUT); }

TEST(no_clauses_are_a_sleep) {
    int64_t deadline = now() + 20;
    CHECK_ERR(choose(NULL, 0, deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
}

coroutine static void choose_nothing(volatile int *seen) {
    for (int i = 0; i != 2; ++i) CHECK_ERR(choose(NULL, 0, -1), -1, ECANCELED);
    *seen = 1;
}

TEST(no_clauses_and_no_deadline_wait_for_cancellation) {
    volatile int seen = 0;
    int h = go(choose_nothing(&seen));
    CHECK_INT(msleep(now() + 10), 0);
    CHECK_INT(seen, 0);
    CHECK_INT(hclose(h), 0);
    CHECK_INT(seen, 1);
}

/* --- Errors --- */

TEST(a_negative_number_of_clauses_gives_EINVAL) {
    struct chclause c = {CHRECV, 0, NULL, 0};
    CHECK_ERR(choose(&c, -1, 0), -1, EINVAL);
    CHECK_ERR(choose(&c, INT_MIN, 0), -1, EINVAL);
    CHECK_ERR(choose(NULL, -1, 0), -1, EINVAL);
}

TEST(NULL_with_clauses_gives_EINVAL) {
    CHECK_ERR(choose(NULL, 1, 0), -1, EINVAL);
    CHECK_ERR(choose(NULL, INT_MAX, 0), -1, EINVAL);
}

static void check_first_clause(int op, int end, void *val, size_t len, int err) {
    struct chclause c = {op, end, val, len};
    CHECK_ERR(choose(&c, 1, 0), 0, err);
}

TEST(a_clause_with_a_bad_handle_is_decided_with_EBADF) {
    int v;
    check_first_clause(CHRECV, 4444, &v, sizeof(v), EBADF);
    check_first_clause(CHSEND, -1, &v, sizeof(v), EBADF);
    make_channels();
    CHECK_INT(hclose(a[0]), 0);
    check_first_clause(CHRECV, a[0], &v, sizeof(v), EBADF);
}

TEST(a_clause_with_another_kind_of_handle_is_decided_with_ENOTSUP) {
    int v, h = bundle();
    check_first_clause(CHRECV, h, &v, sizeof(v), ENOTSUP);
    check_first_clause(CHSEND, h, &v, sizeof(v), ENOTSUP);
}

TEST(a_clause_with_NULL_and_a_length_is_decided_with_EINVAL) {
    make_channels();
    check_first_clause(CHRECV, a[0], NULL, 4, EINVAL);
    check_first_clause(CHSEND, a[0], NULL, 4, EINVAL);
}

TEST(a_clause_with_an_unknown_operation_is_decided_with_EINVAL) {
    int v;
    make_channels();
    check_first_clause(7, a[0], &v, sizeof(v), EINVAL);
    check_first_clause(0, a[0], &v, sizeof(v), EINVAL);
    check_first_clause(3, a[0], &v, sizeof(v), EINVAL);
    check_first_clause(-1, a[0], &v, sizeof(v), EINVAL);
}

TEST(a_bad_clause_behind_an_idle_one_is_decided) {
    int v;
    make_channels();
    struct chclause c[2] = {receive_from(a[1], &v), receive_from(b[1], &v)};
    c[1].op = 7;
    CHECK_ERR(choose(c, 2, 0), 1, EINVAL);
}

TEST(a_bad_clause_behind_a_ready_one_is_not_looked_at) {
    int v, h;
    make_channels();
    struct chclause c[2] = {receive_from(a[1], &v), receive_from(b[1], &v)};
    c[1].op = 7;
    h = go(send_after(0, a[0], 1));
    CHECK_ERR(choose(c, 2, 0), 0, 0);
    CHECK_INT(hclose(h), 0);
}

TEST(a_clause_on_a_done_direction_is_decided_with_EPIPE) {
    int v = 0;
    make_channels();
    CHECK_INT(chdone(a[0]), 0);
    check_first_clause(CHRECV, a[1], &v, sizeof(v), EPIPE);
    check_first_clause(CHSEND, a[0], &v, sizeof(v), EPIPE);
}

coroutine static void choose_expecting(struct chclause *c, int n, int index, int err, volatile int *done) {
    CHECK_ERR(choose(c, n, -1), index, err);
    *done = 1;
}

TEST(chdone_of_the_peer_decides_a_waiting_clause_with_EPIPE) {
    volatile int done = 0;
    int v, h;
    make_channels();
    struct chclause c[2] = {receive_from(b[1], &v), receive_from(a[1], &v)};
    h = go(choose_expecting(c, 2, 1, EPIPE, &done));
    CHECK_INT(chdone(a[0]), 0);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(done, 1);
}

TEST(closing_both_ends_decides_a_waiting_clause_with_EPIPE) {
    volatile int done = 0;
    int v, h;
    make_channels();
    struct chclause c[2] = {receive_from(b[1], &v), receive_from(a[1], &v)};
    h = go(choose_expecting(c, 2, 1, EPIPE, &done));
    CHECK_INT(hclose(a[0]), 0);
    CHECK_INT(hclose(a[1]), 0);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(done, 1);
}

TEST(closing_both_ends_removes_a_choose_that_both_sends_and_receives_there_once) {
    volatile int done = 0;
    int v = 0, h;
    make_channels();
    struct chclause c[3] = {receive_from(a[1], &v), send_to(a[1], &v), receive_from(a[0], &v)};
    h = go(choose_expecting(c, 3, 2, EPIPE, &done));
    CHECK_INT(hclose(a[0]), 0);
    CHECK_INT(hclose(a[1]), 0);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(done, 1);
}

TEST(a_partner_of_another_length_decides_a_waiting_clause_with_EMSGSIZE) {
    volatile int done = 0;
    int v, h;
    char eight[8] = "1234567";
    make_channels();
    struct chclause c[2] = {receive_from(a[1], &v), {CHSEND, b[1], eight, sizeof(eight)}};
    h = go(choose_expecting(c, 2, 1, EMSGSIZE, &done));
    CHECK_ERR(chrecv(b[0], &v, sizeof(v), 0), -1, EMSGSIZE);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(done, 1);
}

coroutine static void receive_int_expecting(int end, int err) {
    int v;
    CHECK_ERR(chrecv(end, &v, sizeof(v), -1), -1, err);
}

TEST(a_waiting_partner_of_another_length_decides_a_clause_with_EMSGSIZE) {
    char eight[8] = "1234567";
    int h;
    make_channels();
    h = go(receive_int_expecting(a[0], EMSGSIZE));
    check_first_clause(CHSEND, a[1], eight, sizeof(eight), EMSGSIZE);
    CHECK_INT(bundle_wait(h, -1), 0);
}
