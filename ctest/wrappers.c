/* bsend, brecv, msend, mrecv and their list forms over sockets written by a user. */

#include <limits.h>

#include <libdillimpl.h>

#include "object.h"
#include "test.h"
#include "usersock.h"

static struct user_stream stream;
static struct user_messages messages;

static void check_one_element(const struct seen_call *c, const void *buf, size_t len, int64_t deadline) {
    CHECK_INT(c->count, 1);
    CHECK(c->first != NULL);
    CHECK(c->first == c->last);
    CHECK(c->copy.iol_base == buf);
    CHECK(c->copy.iol_len == len);
    CHECK(c->copy.iol_next == NULL);
    CHECK_INT(c->copy.iol_rsvd, 0);
    CHECK_INT(c->deadline, deadline);
}

static void check_list(const struct seen_call *c, const struct iolist *first, const struct iolist *last,
                       int64_t deadline) {
    CHECK_INT(c->count, 1);
    CHECK(c->first == first);
    CHECK(c->last == last);
    CHECK_INT(c->deadline, deadline);
}

TEST(the_two_types_are_different_and_not_NULL) {
    CHECK(bsock_type != NULL);
    CHECK(msock_type != NULL);
    CHECK(bsock_type != msock_type);
}

TEST(bsend_hands_a_list_of_one_element_to_the_socket) {
    int s = user_stream_make(&stream, -1);
    CHECK_INT(bsend(s, "ABC", 3, 12345), 0);
    CHECK_INT(stream.sent.copy.iol_len, 3);
    CHECK_MEM(stream.sent.copy.iol_base, "ABC", 3);
    CHECK_INT(stream.sent.deadline, 12345);
    CHECK_INT(bsend(s, NULL, 0, -1), 0);
    stream.sent.count = 1;
    check_one_element(&stream.sent, NULL, 0, -1);
}

TEST(brecv_hands_a_list_of_one_element_to_the_socket) {
    char buf[3];
    int s = user_stream_make(&stream, -1);
    CHECK_INT(brecv(s, buf, 3, 12345), 0);
    check_one_element(&stream.received, buf, 3, 12345);
}

TEST(brecv_hands_on_NULL_and_huge_lengths) {
    int s = user_stream_make(&stream, -1);
    CHECK_INT(brecv(s, NULL, SIZE_MAX, INT64_MIN), 0);
    check_one_element(&stream.received, NULL, SIZE_MAX, INT64_MIN);
}

TEST(msend_hands_a_list_of_one_element_to_the_socket) {
    static const char text[] = "ABC";
    int s = user_messages_make(&messages);
    CHECK_INT(msend(s, text, 3, 12345), 0);
    check_one_element(&messages.sent, text, 3, 12345);
}

TEST(mrecv_hands_a_list_of_one_element_to_the_socket) {
    char buf[3];
    int s = user_messages_make(&messages);
    messages.size = 2;
    CHECK_INT(mrecv(s, buf, 3, 12345), 2);
    check_one_element(&messages.received, buf, 3, 12345);
}

TEST(mrecv_returns_sizes_that_do_not_fit_an_int) {
    int s = user_messages_make(&messages);
    messages.size = (ssize_t)5000000000;
    CHECK_INT(mrecv(s, NULL, SIZE_MAX, -1), 5000000000);
    CHECK_INT(mrecvl(s, NULL, NULL, -1), 5000000000);
}

TEST(an_empty_message_has_size_0) {
    char buf[3];
    int s = user_messages_make(&messages);
    CHECK_INT(mrecv(s, buf, 3, -1), 0);
}

static struct iolist two[2];
static void make_two(void) {
    struct iolist a = {NULL, 1, &two[1], 0}, b = {NULL, 2, NULL, 0};
    two[0] = a;
    two[1] = b;
}

TEST(lists_reach_the_socket_as_they_are) {
    int s = user_stream_make(&stream, -1), m = user_messages_make(&messages);
    make_two();
    CHECK_INT(bsendl(s, &two[0], &two[1], 1), 0);
    check_list(&stream.sent, &two[0], &two[1], 1);
    CHECK_INT(brecvl(s, &two[0], &two[1], 2), 0);
    check_list(&stream.received, &two[0], &two[1], 2);
    CHECK_INT(msendl(m, &two[0], &two[1], 3), 0);
    check_list(&messages.sent, &two[0], &two[1], 3);
    CHECK_INT(mrecvl(m, &two[0], &two[1], 4), 0);
    check_list(&messages.received, &two[0], &two[1], 4);
}

TEST(mrecvl_hands_on_an_absent_list) {
    int m = user_messages_make(&messages);
    messages.size = 9;
    CHECK_INT(mrecvl(m, NULL, NULL, 5), 9);
    check_list(&messages.received, NULL, NULL, 5);
}

TEST(brecvl_hands_on_an_absent_list) {
    int s = user_stream_make(&stream, -1);
    CHECK_INT(brecvl(s, NULL, NULL, 5), 0);
    check_list(&stream.received, NULL, NULL, 5);
}

TEST(an_absent_list_to_send_gives_EINVAL) {
    int s = user_stream_make(&stream, -1), m = user_messages_make(&messages);
    CHECK_ERR(bsendl(s, NULL, NULL, -1), -1, EINVAL);
    CHECK_ERR(msendl(m, NULL, NULL, -1), -1, EINVAL);
    CHECK_INT(stream.sent.count + messages.sent.count, 0);
}

/* All four list functions, for what they have in common. */
static void check_lists_refused(int s, int m, struct iolist *first, struct iolist *last, int err) {
    CHECK_ERR(bsendl(s, first, last, -1), -1, err);
    CHECK_ERR(brecvl(s, first, last, -1), -1, err);
    CHECK_ERR(msendl(m, first, last, -1), -1, err);
    CHECK_ERR(mrecvl(m, first, last, -1), -1, err);
}

TEST(half_a_list_gives_EINVAL_without_a_call_of_the_socket) {
    int s = user_stream_make(&stream, -1), m = user_messages_make(&messages);
    make_two();
    check_lists_refused(s, m, &two[0], NULL, EINVAL);
    check_lists_refused(s, m, NULL, &two[1], EINVAL);
    CHECK_INT(stream.sent.count + stream.received.count, 0);
    CHECK_INT(messages.sent.count + messages.received.count, 0);
}

TEST(a_list_that_goes_on_after_its_last_element_gives_EINVAL) {
    int s = user_stream_make(&stream, -1), m = user_messages_make(&messages);
    make_two();
    check_lists_refused(s, m, &two[0], &two[0], EINVAL);
    CHECK_INT(stream.sent.count + stream.received.count, 0);
}

static void check_all_refused(int s, int err) {
    char buf[3];
    make_two();
    CHECK_ERR(bsend(s, "ABC", 3, -1), -1, err);
    CHECK_ERR(brecv(s, buf, 3, -1), -1, err);
    CHECK_ERR(msend(s, "ABC", 3, -1), -1, err);
    CHECK_ERR(mrecv(s, buf, 3, -1), -1, err);
    check_lists_refused(s, s, &two[0], &two[1], err);
    check_lists_refused(s, s, NULL, &two[1], err);
}

TEST(bad_handles_give_EBADF_before_lists_are_looked_at) {
    const int bad[] = {-1, INT_MIN, 99999, INT_MAX};
    int s = user_stream_make(&stream, -1);
    for (int i = 0; i != 4; ++i) check_all_refused(bad[i], EBADF);
    CHECK_INT(hclose(s), 0);
    check_all_refused(s, EBADF);
}

TEST(other_kinds_of_handle_give_ENOTSUP_before_lists_are_looked_at) {
    struct object o;
    int ch[2];
    CHECK_INT(chmake(ch), 0);
    check_all_refused(object_make(&o), ENOTSUP);
    check_all_refused(bundle(), ENOTSUP);
    check_all_refused(ch[0], ENOTSUP);
}

TEST(an_object_of_the_user_is_no_channel_and_no_bundle) {
    struct object o;
    int h = object_make(&o), v = 0;
    CHECK_ERR(chsend(h, &v, sizeof(v), 0), -1, ENOTSUP);
    CHECK_ERR(chrecv(h, &v, sizeof(v), 0), -1, ENOTSUP);
    CHECK_ERR(chdone(h), -1, ENOTSUP);
    CHECK_ERR(bundle_wait(h, 0), -1, ENOTSUP);
}

TEST(a_bytestream_is_no_message_socket_and_the_other_way_round) {
    int s = user_stream_make(&stream, -1), m = user_messages_make(&messages);
    char buf[3];
    CHECK_ERR(msend(s, "ABC", 3, -1), -1, ENOTSUP);
    CHECK_ERR(mrecv(s, buf, 3, -1), -1, ENOTSUP);
    CHECK_ERR(bsend(m, "ABC", 3, -1), -1, ENOTSUP);
    CHECK_ERR(brecv(m, buf, 3, -1), -1, ENOTSUP);
}

TEST(errors_of_the_socket_are_passed_on) {
    int s = user_stream_make(&stream, -1), m = user_messages_make(&messages);
    char buf[3];
    stream.fail_send = EXDEV;
    stream.fail_receive = ECHILD;
    messages.fail = ESRCH;
    CHECK_ERR(bsend(s, "ABC", 3, -1), -1, EXDEV);
    CHECK_ERR(brecv(s, buf, 3, -1), -1, ECHILD);
    CHECK_ERR(msend(m, "ABC", 3, -1), -1, ESRCH);
    CHECK_ERR(mrecv(m, buf, 3, -1), -1, ESRCH);
    CHECK_ERR(mrecvl(m, NULL, NULL, -1), -1, ESRCH);
}

static int cancelled_stream;
coroutine static void send_when_cancelled(void) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    CHECK_INT(bsend(cancelled_stream, "ABC", 3, -1), 0);
    CHECK_INT(brecv(cancelled_stream, NULL, 3, -1), 0);
}

TEST(calls_reach_the_socket_from_a_cancelled_coroutine) {
    int b;
    cancelled_stream = user_stream_make(&stream, -1);
    b = go(send_when_cancelled());
    CHECK_INT(hclose(b), 0);
    CHECK_INT(stream.sent.count, 1);
    CHECK_INT(stream.received.count, 1);
}

TEST(two_user_streams_on_top_of_each_other_forward_to_a_socket) {
    struct user_stream upper;
    char buf[3];
    int p[2], s;
    CHECK_INT(ipc_pair(p), 0);
    s = user_stream_make(&upper, user_stream_make(&stream, p[0]));
    CHECK_INT(bsend(s, "ABC", 3, -1), 0);
    CHECK_INT(brecv(p[1], buf, 3, -1), 0);
    CHECK_MEM(buf, "ABC", 3);
    CHECK_INT(hclose(s), 0);
    CHECK_INT(upper.closes, 1);
    CHECK_INT(stream.closes, 1);
    CHECK_ERR(brecv(p[1], buf, 1, -1), -1, EPIPE);
}
