/* Channels: sending, receiving, waiting in line. */

#include <limits.h>

#include <libdill.h>

#include "mem.h"
#include "test.h"

/* One call made by a coroutine, and what came of it. */
struct outcome {
    volatile int rc, err, value;
};

coroutine static void send_int(int ch, int v, struct outcome *o) {
    errno = 0;
    o->rc = chsend(ch, &v, sizeof(v), -1);
    o->err = errno;
}

coroutine static void receive_int(int ch, struct outcome *o) {
    int v = 0;
    errno = 0;
    o->rc = chrecv(ch, &v, sizeof(v), -1);
    o->err = errno;
    o->value = v;
}

static const struct outcome pending = {-2, 0, 0};
static int ch[2];

static int receive_now(int end) {
    int v = -1;
    CHECK_INT(chrecv(end, &v, sizeof(v), 0), 0);
    return v;
}

static void send_now(int end, int v) { CHECK_INT(chsend(end, &v, sizeof(v), 0), 0); }

/* --- Making --- */

TEST(chmake_stores_two_consecutive_handles) {
    CHECK_INT(chmake(ch), 0);
    CHECK(ch[0] >= 0);
    CHECK_INT(ch[1], ch[0] + 1);
    CHECK_INT(hclose(ch[0]), 0);
    CHECK_INT(hclose(ch[1]), 0);
}

TEST(chmake_mem_refuses_NULL_and_leaves_the_handles_alone) {
    int untouched[2] = {-5, -6};
    CHECK_ERR(chmake_mem(NULL, untouched), -1, EINVAL);
    CHECK_INT(untouched[0], -5);
    CHECK_INT(untouched[1], -6);
}

TEST(chmake_mem_works_at_every_alignment) {
    EACH_OFFSET(offset) {
        struct guarded_mem m;
        struct outcome o = pending;
        int b;
        CHECK_INT(chmake_mem((struct chstorage *)guarded_make(&m, sizeof(struct chstorage), offset), ch), 0);
        b = go(receive_int(ch[0], &o));
        send_now(ch[1], 7);
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(o.value, 7);
        CHECK_ERR(chrecv(ch[1], NULL, 0, now() + 10), -1, ETIMEDOUT);
        CHECK_INT(hclose(ch[0]), 0);
        CHECK_INT(hclose(ch[1]), 0);
        CHECK_INT(hclose(b), 0);
        guarded_free(&m);
    }
}

TEST(a_hundred_thousand_channels_come_and_go) {
    for (int i = 0; i != 100000; ++i) {
        CHECK_INT(chmake(ch), 0);
        CHECK(ch[1] < 1000);
        CHECK_INT(hclose(ch[i % 2]), 0);
        CHECK_INT(hclose(ch[1 - i % 2]), 0);
    }
}

/* --- Two parties --- */

TEST(a_waiting_receiver_gets_the_message) {
    struct outcome o = pending;
    int b;
    CHECK_INT(chmake(ch), 0);
    b = go(receive_int(ch[0], &o));
    send_now(ch[1], 333);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(o.rc, 0);
    CHECK_INT(o.err, 0);
    CHECK_INT(o.value, 333);
}

TEST(a_waiting_sender_delivers_its_message) {
    struct outcome o = pending;
    int b;
    CHECK_INT(chmake(ch), 0);
    b = go(send_int(ch[0], 444, &o));
    CHECK_INT(receive_now(ch[1]), 444);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(o.rc, 0);
}

TEST(messages_pass_in_both_directions) {
    struct outcome o[2] = {pending, pending};
    int b = bundle();
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(bundle_go(b, receive_int(ch[0], &o[0])), 0);
    CHECK_INT(bundle_go(b, receive_int(ch[1], &o[1])), 0);
    send_now(ch[0], 10);
    send_now(ch[1], 20);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(o[0].value, 20);
    CHECK_INT(o[1].value, 10);
}

TEST(sending_to_a_waiting_receiver_does_not_switch) {
    struct outcome o = pending;
    int b;
    CHECK_INT(chmake(ch), 0);
    b = go(receive_int(ch[0], &o));
    errno = EXDEV;
    send_now(ch[1], 1);
    CHECK_INT(errno, EXDEV);
    CHECK_INT(o.rc, -2);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(o.rc, 0);
}

TEST(receiving_from_a_waiting_sender_does_not_switch) {
    struct outcome o = pending;
    int b;
    CHECK_INT(chmake(ch), 0);
    b = go(send_int(ch[0], 1, &o));
    errno = EXDEV;
    receive_now(ch[1]);
    CHECK_INT(errno, EXDEV);
    CHECK_INT(o.rc, -2);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(o.rc, 0);
}

TEST(senders_are_served_in_the_order_of_arrival) {
    struct outcome o[3];
    int b = bundle();
    CHECK_INT(chmake(ch), 0);
    for (int i = 0; i != 3; ++i) CHECK_INT(bundle_go(b, send_int(ch[0], i, &o[i])), 0);
    for (int i = 0; i != 3; ++i) {
        CHECK_INT(receive_now(ch[1]), i);
        CHECK_INT(yield(), 0);
    }
    CHECK_INT(hclose(b), 0);
}

TEST(receivers_are_served_in_the_order_of_arrival) {
    struct outcome o[3];
    int b = bundle();
    CHECK_INT(chmake(ch), 0);
    for (int i = 0; i != 3; ++i) CHECK_INT(bundle_go(b, receive_int(ch[0], &o[i])), 0);
    for (int i = 0; i != 3; ++i) send_now(ch[1], i);
    CHECK_INT(bundle_wait(b, -1), 0);
    for (int i = 0; i != 3; ++i) CHECK_INT(o[i].value, i);
}

TEST(a_send_and_a_receive_on_the_same_end_never_meet) {
    struct outcome o = pending;
    int v, b;
    CHECK_INT(chmake(ch), 0);
    b = go(send_int(ch[0], 1, &o));
    CHECK_ERR(chrecv(ch[0], &v, sizeof(v), now() + 20), -1, ETIMEDOUT);
    CHECK_INT(o.rc, -2);
    CHECK_INT(hclose(b), 0);
}

coroutine static void send_block(int end, const char *block, size_t len) {
    CHECK_INT(chsend(end, block, len, -1), 0);
}

TEST(a_message_may_be_a_megabyte_long) {
    enum { LEN = 1 << 20 };
    char *out = (char *)malloc(LEN), *in = (char *)malloc(LEN);
    int b;
    for (size_t i = 0; i != LEN; ++i) out[i] = (char)(i * 7);
    CHECK_INT(chmake(ch), 0);
    b = go(send_block(ch[0], out, LEN));
    CHECK_INT(chrecv(ch[1], in, LEN, -1), 0);
    CHECK_MEM(in, out, LEN);
    CHECK_INT(hclose(b), 0);
    free(out);
    free(in);
}

TEST(a_message_without_bytes_needs_no_buffer) {
    int b;
    CHECK_INT(chmake(ch), 0);
    b = go(send_block(ch[0], NULL, 0));
    CHECK_INT(chrecv(ch[1], NULL, 0, -1), 0);
    CHECK_INT(hclose(b), 0);
}

coroutine static void receive_nothing(int end) { CHECK_INT(chrecv(end, NULL, 0, -1), 0); }

TEST(a_waiting_receiver_needs_no_buffer_for_a_message_without_bytes) {
    int b;
    CHECK_INT(chmake(ch), 0);
    b = go(receive_nothing(ch[0]));
    CHECK_INT(chsend(ch[1], NULL, 0, -1), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(hclose(b), 0);
}

/* --- Lengths that differ --- */

TEST(a_receiver_that_wants_another_length_than_the_waiting_sender_gives_EMSGSIZE_to_both) {
    struct outcome o = pending;
    char eight[8];
    int b;
    CHECK_INT(chmake(ch), 0);
    b = go(send_int(ch[0], 1, &o));
    CHECK_ERR(chrecv(ch[1], eight, sizeof(eight), -1), -1, EMSGSIZE);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(o.rc, -1);
    CHECK_INT(o.err, EMSGSIZE);
    CHECK_ERR(chrecv(ch[1], eight, sizeof(eight), 0), -1, ETIMEDOUT);
}

TEST(a_sender_of_another_length_than_the_waiting_receiver_wants_gives_EMSGSIZE_to_both) {
    struct outcome o = pending;
    int b;
    CHECK_INT(chmake(ch), 0);
    b = go(receive_int(ch[0], &o));
    CHECK_ERR(chsend(ch[1], "12345678", 8, -1), -1, EMSGSIZE);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(o.rc, -1);
    CHECK_INT(o.err, EMSGSIZE);
    CHECK_ERR(chsend(ch[1], "12345678", 8, 0), -1, ETIMEDOUT);
}

TEST(a_channel_works_on_after_EMSGSIZE) {
    struct outcome o[2] = {pending, pending};
    char eight[8];
    int b = bundle();
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(bundle_go(b, send_int(ch[0], 1, &o[0])), 0);
    CHECK_INT(bundle_go(b, send_int(ch[0], 2, &o[1])), 0);
    CHECK_ERR(chrecv(ch[1], eight, sizeof(eight), -1), -1, EMSGSIZE);
    CHECK_INT(receive_now(ch[1]), 2);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(o[1].rc, 0);
}

/* --- Deadlines --- */

coroutine static void set(volatile int *flag) { CHECK_INT(yield(), 0); *flag = 1; }

TEST(deadline_0_times_out_without_a_switch) {
    volatile int flag = 0;
    int v = 0, b;
    CHECK_INT(chmake(ch), 0);
    b = go(set(&flag));
    CHECK_ERR(chsend(ch[0], &v, sizeof(v), 0), -1, ETIMEDOUT);
    CHECK_ERR(chrecv(ch[0], &v, sizeof(v), 0), -1, ETIMEDOUT);
    CHECK_INT(flag, 0);
    CHECK_INT(bundle_wait(b, -1), 0);
}

coroutine static void yield_then_send(int end, int v) {
    CHECK_INT(yield(), 0);
    (void)chsend(end, &v, sizeof(v), 0);
}

TEST(a_past_deadline_lets_ready_coroutines_complete_the_operation) {
    int rc = -1, v = 0;
    CHECK_INT(chmake(ch), 0);
    ATTEMPT_UNTIL(rc == 0) {
        int b = go(yield_then_send(ch[1], 5));
        rc = chrecv(ch[0], &v, sizeof(v), now() - 10);
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(hclose(b), 0);
    }
    CHECK_INT(rc, 0);
    CHECK_INT(v, 5);
}

TEST(receive_times_out_and_never_early) {
    int v;
    int64_t deadline = now() + 50;
    CHECK_INT(chmake(ch), 0);
    CHECK_ERR(chrecv(ch[0], &v, sizeof(v), deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
}

TEST(send_times_out_and_never_early) {
    int v = 0;
    int64_t deadline = now() + 50;
    CHECK_INT(chmake(ch), 0);
    CHECK_ERR(chsend(ch[0], &v, sizeof(v), deadline), -1, ETIMEDOUT);
    CHECK(now() >= deadline);
}

TEST(a_receiver_that_timed_out_takes_no_message) {
    int v = 0;
    CHECK_INT(chmake(ch), 0);
    CHECK_ERR(chrecv(ch[0], &v, sizeof(v), now() + 10), -1, ETIMEDOUT);
    CHECK_ERR(chsend(ch[1], &v, sizeof(v), 0), -1, ETIMEDOUT);
}

coroutine static void sleep_then_send(int end, int64_t ms) {
    int v = 9;
    CHECK_INT(msleep(now() + ms), 0);
    CHECK_INT(chsend(end, &v, sizeof(v), -1), 0);
}

TEST(a_message_that_comes_before_the_deadline_is_received) {
    int v = 0, b;
    int64_t start = now();
    CHECK_INT(chmake(ch), 0);
    b = go(sleep_then_send(ch[1], 50));
    CHECK_INT(chrecv(ch[0], &v, sizeof(v), start + 10000), 0);
    CHECK(now() >= start + 50);
    CHECK_INT(hclose(b), 0);
}

/* --- Arguments --- */

TEST(bad_handles_give_EBADF) {
    const int bad[] = {-1, -2, INT_MIN, 99999, INT_MAX};
    int v = 0;
    for (int i = 0; i != 5; ++i) {
        CHECK_ERR(chsend(bad[i], &v, sizeof(v), 0), -1, EBADF);
        CHECK_ERR(chrecv(bad[i], &v, sizeof(v), 0), -1, EBADF);
        CHECK_ERR(chdone(bad[i]), -1, EBADF);
    }
}

TEST(a_closed_end_gives_EBADF) {
    int v = 0;
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(hclose(ch[0]), 0);
    CHECK_ERR(chsend(ch[0], &v, sizeof(v), 0), -1, EBADF);
    CHECK_ERR(chrecv(ch[0], &v, sizeof(v), 0), -1, EBADF);
    CHECK_ERR(chdone(ch[0]), -1, EBADF);
}

TEST(another_kind_of_handle_gives_ENOTSUP) {
    int v = 0, b = bundle();
    CHECK_ERR(chsend(b, &v, sizeof(v), 0), -1, ENOTSUP);
    CHECK_ERR(chrecv(b, &v, sizeof(v), 0), -1, ENOTSUP);
    CHECK_ERR(chdone(b), -1, ENOTSUP);
}

TEST(NULL_with_a_length_gives_EINVAL) {
    CHECK_INT(chmake(ch), 0);
    CHECK_ERR(chsend(ch[0], NULL, 4, 0), -1, EINVAL);
    CHECK_ERR(chrecv(ch[0], NULL, 4, 0), -1, EINVAL);
}

TEST(NULL_with_a_length_leaves_a_waiting_partner_alone) {
    struct outcome o = pending;
    int b;
    CHECK_INT(chmake(ch), 0);
    b = go(receive_int(ch[0], &o));
    CHECK_ERR(chsend(ch[1], NULL, sizeof(int), -1), -1, EINVAL);
    send_now(ch[1], 8);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(o.value, 8);
}

TEST(a_bad_handle_wins_over_NULL) {
    CHECK_ERR(chsend(99999, NULL, 4, 0), -1, EBADF);
    CHECK_ERR(chrecv(99999, NULL, 4, 0), -1, EBADF);
}
