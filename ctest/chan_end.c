/* How channels end: chdone, and closing one or both ends. */

#include <libdill.h>

#include "test.h"

static int ch[2];
static char order[32];

/* Notes its name when the call has ended with the expected error, or with 0 for success. */
static void report(char name, int rc, int err, int expected) {
    size_t len = strlen(order);
    CHECK_INT(rc, expected == 0 ? 0 : -1);
    if (expected) CHECK_INT(err, expected);
    order[len] = name;
}

coroutine static void send_expecting(int end, int expected, char name) {
    int v = 1;
    int rc = chsend(end, &v, sizeof(v), -1);
    report(name, rc, errno, expected);
}

coroutine static void receive_expecting(int end, int expected, char name) {
    int v;
    int rc = chrecv(end, &v, sizeof(v), -1);
    report(name, rc, errno, expected);
}

TEST(after_chdone_the_peer_receives_EPIPE_again_and_again) {
    int v;
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(chdone(ch[0]), 0);
    for (int i = 0; i != 3; ++i) CHECK_ERR(chrecv(ch[1], &v, sizeof(v), -1), -1, EPIPE);
}

TEST(after_chdone_sending_gives_EPIPE) {
    int v = 0;
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(chdone(ch[0]), 0);
    CHECK_ERR(chsend(ch[0], &v, sizeof(v), -1), -1, EPIPE);
}

TEST(a_second_chdone_gives_EPIPE) {
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(chdone(ch[0]), 0);
    CHECK_ERR(chdone(ch[0]), -1, EPIPE);
}

TEST(both_ends_may_be_done) {
    int v = 0;
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(chdone(ch[0]), 0);
    CHECK_INT(chdone(ch[1]), 0);
    for (int i = 0; i != 2; ++i) {
        CHECK_ERR(chrecv(ch[i], &v, sizeof(v), -1), -1, EPIPE);
        CHECK_ERR(chsend(ch[i], &v, sizeof(v), -1), -1, EPIPE);
    }
}

TEST(chdone_does_not_affect_the_opposite_direction) {
    int v = 5, b;
    CHECK_INT(chmake(ch), 0);
    b = go(receive_expecting(ch[0], 0, 'r'));
    CHECK_INT(chdone(ch[0]), 0);
    CHECK_INT(chsend(ch[1], &v, sizeof(v), 0), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_STR(order, "r");
}

TEST(chdone_wakes_the_receivers_of_the_peer_in_order_with_EPIPE) {
    int b = bundle();
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(bundle_go(b, receive_expecting(ch[1], EPIPE, 'a')), 0);
    CHECK_INT(bundle_go(b, receive_expecting(ch[1], EPIPE, 'b')), 0);
    CHECK_INT(chdone(ch[0]), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_STR(order, "ab");
}

TEST(chdone_wakes_blocked_senders_of_its_own_end_with_EPIPE) {
    int v, b = bundle();
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(bundle_go(b, send_expecting(ch[0], EPIPE, 'a')), 0);
    CHECK_INT(bundle_go(b, send_expecting(ch[0], EPIPE, 'b')), 0);
    CHECK_INT(chdone(ch[0]), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_STR(order, "ab");
    CHECK_ERR(chrecv(ch[1], &v, sizeof(v), 0), -1, EPIPE);
}

TEST(chdone_does_not_switch) {
    int b;
    CHECK_INT(chmake(ch), 0);
    b = go(receive_expecting(ch[1], EPIPE, 'a'));
    CHECK_INT(chdone(ch[0]), 0);
    CHECK_STR(order, "");
    CHECK_INT(bundle_wait(b, -1), 0);
}

TEST(chdone_on_the_receiving_end_does_not_release_senders_but_closing_both_ends_does) {
    int b = bundle();
    CHECK_INT(chmake(ch), 0);
    for (int i = 0; i != 3; ++i) CHECK_INT(bundle_go(b, send_expecting(ch[0], EPIPE, 's')), 0);
    CHECK_INT(chdone(ch[1]), 0);
    CHECK_INT(msleep(now() + 20), 0);
    CHECK_STR(order, "");
    CHECK_INT(hclose(ch[0]), 0);
    CHECK_INT(msleep(now() + 20), 0);
    CHECK_STR(order, "");
    CHECK_INT(hclose(ch[1]), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_STR(order, "sss");
}

TEST(completed_messages_are_not_lost_by_chdone) {
    int v = 77, b;
    CHECK_INT(chmake(ch), 0);
    b = go(receive_expecting(ch[0], 0, 'r'));
    CHECK_INT(chsend(ch[1], &v, sizeof(v), -1), 0);
    CHECK_INT(chdone(ch[1]), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_STR(order, "r");
}

TEST(closing_one_end_wakes_nobody_and_closing_the_second_wakes_all_with_EPIPE) {
    int b = bundle();
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(bundle_go(b, receive_expecting(ch[0], EPIPE, 'r')), 0);
    CHECK_INT(bundle_go(b, send_expecting(ch[0], EPIPE, 's')), 0);
    CHECK_INT(hclose(ch[1]), 0);
    CHECK_INT(msleep(now() + 20), 0);
    CHECK_STR(order, "");
    CHECK_INT(hclose(ch[0]), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_STR(order, "rs");
}

TEST(closing_both_ends_wakes_waiters_end_by_end) {
    int b = bundle();
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(bundle_go(b, receive_expecting(ch[1], EPIPE, 'c')), 0);
    CHECK_INT(bundle_go(b, receive_expecting(ch[0], EPIPE, 'a')), 0);
    CHECK_INT(bundle_go(b, receive_expecting(ch[0], EPIPE, 'b')), 0);
    CHECK_INT(hclose(ch[0]), 0);
    CHECK_INT(hclose(ch[1]), 0);
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_STR(order, "abc");
}

static void check_remaining_end(int closed) {
    int v = 0;
    CHECK_INT(chmake(ch), 0);
    CHECK_INT(hclose(ch[closed]), 0);
    CHECK_ERR(chrecv(ch[1 - closed], &v, sizeof(v), now() + 20), -1, ETIMEDOUT);
    CHECK_ERR(chsend(ch[1 - closed], &v, sizeof(v), now() + 20), -1, ETIMEDOUT);
    CHECK_ERR(chrecv(ch[1 - closed], &v, sizeof(v), 0), -1, ETIMEDOUT);
    CHECK_INT(hclose(ch[1 - closed]), 0);
}

TEST(operations_on_the_end_that_remains_time_out) {
    check_remaining_end(0);
    check_remaining_end(1);
}

TEST(closing_both_ends_in_either_order_wakes_receivers_with_EPIPE) {
    for (int first = 0; first != 2; ++first) {
        int b = bundle();
        memset(order, 0, sizeof(order));
        CHECK_INT(chmake(ch), 0);
        CHECK_INT(bundle_go(b, receive_expecting(ch[0], EPIPE, 'a')), 0);
        CHECK_INT(bundle_go(b, receive_expecting(ch[0], EPIPE, 'b')), 0);
        CHECK_INT(hclose(ch[first]), 0);
        CHECK_INT(hclose(ch[1 - first]), 0);
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_STR(order, "ab");
        CHECK_INT(hclose(b), 0);
    }
}

coroutine static void receive_and_time_out(int end) {
    int v;
    CHECK_ERR(chrecv(end, &v, sizeof(v), now() + 20), -1, ETIMEDOUT);
}

TEST(an_end_may_be_closed_by_its_own_user_after_a_timeout) {
    int b;
    CHECK_INT(chmake(ch), 0);
    b = go(receive_and_time_out(ch[0]));
    CHECK_INT(bundle_wait(b, -1), 0);
    CHECK_INT(hclose(ch[0]), 0);
    CHECK_INT(hclose(ch[1]), 0);
}
