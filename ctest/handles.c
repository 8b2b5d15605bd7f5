/* hmake, hquery, hown, hclose: numbers, ownership, callbacks. */

#include <limits.h>

#include <libdillimpl.h>

#include "object.h"
#include "test.h"

static const int bad_handles[] = {-1, -2, INT_MIN, 99999, INT_MAX};
#define EACH_BAD_HANDLE(H) \
    for (size_t bad_ = 0; bad_ != sizeof(bad_handles) / sizeof(*bad_handles) && (H = bad_handles[bad_], 1); ++bad_)

TEST(first_handles_are_0_1_2_and_closed_numbers_are_not_reused_at_once) {
    struct object o[7];
    for (int i = 0; i != 5; ++i) CHECK_INT(object_make(&o[i]), i);
    CHECK_INT(hclose(2), 0);
    CHECK_INT(hclose(1), 0);
    CHECK_INT(object_make(&o[5]), 5);
    CHECK_INT(object_make(&o[6]), 6);
}

TEST(a_closed_number_is_not_handed_out_again_for_many_allocations) {
    struct object o;
    int closed = object_make(&o);
    CHECK_INT(hclose(closed), 0);
    for (int i = 0; i != 100; ++i) {
        int h = object_make(&o);
        CHECK(h != closed);
        CHECK_INT(hclose(h), 0);
    }
}

TEST(a_closed_number_rests_however_many_others_are_in_use) {
    static struct object o[1000][9];
    for (int i = 0; i != 1000; ++i) {
        int closed = object_make(&o[i][0]);
        CHECK_INT(hclose(closed), 0);
        for (int k = 1; k != 9; ++k) CHECK(object_make(&o[i][k]) != closed);
    }
}

TEST(handles_are_reused_in_the_end) {
    struct object o;
    for (int i = 0; i != 100000; ++i) {
        int h = object_make(&o);
        CHECK(h < 1000);
        CHECK_INT(hclose(h), 0);
    }
}

TEST(ten_thousand_handles_are_all_different_and_live) {
    enum { COUNT = 10000 };
    static struct object o[COUNT];
    static int h[COUNT];
    static char seen[COUNT * 4];
    for (int i = 0; i != COUNT; ++i) {
        h[i] = object_make(&o[i]);
        CHECK(h[i] < COUNT * 4);
        CHECK(!seen[h[i]]);
        seen[h[i]] = 1;
    }
    for (int i = 0; i != COUNT; ++i) CHECK(hquery(h[i], object_type) == &o[i]);
    for (int i = 0; i != COUNT; ++i) CHECK_INT(hclose(h[i]), 0);
    for (int i = 0; i != COUNT; ++i) CHECK_INT(o[i].closes, 1);
}

TEST(growing_the_table_loses_no_free_number) {
    enum { COUNT = 600 };
    static struct object o[COUNT];
    int highest = 0;
    for (int i = 0; i != COUNT; ++i) {
        int h = object_make(&o[i]);
        if (h > highest) highest = h;
    }
    CHECK(highest < COUNT + 8);
}

TEST(bad_handles_give_EBADF) {
    int h;
    EACH_BAD_HANDLE(h) {
        CHECK_ERR(hclose(h), -1, EBADF);
        CHECK_ERR(hown(h), -1, EBADF);
        CHECK_ERR(hquery(h, NULL) == NULL, 1, EBADF);
        CHECK_ERR(hquery(h, object_type) == NULL, 1, EBADF);
    }
}

TEST(bad_handles_give_EBADF_when_handles_exist) {
    struct object o;
    int h;
    object_make(&o);
    EACH_BAD_HANDLE(h) CHECK_ERR(hclose(h), -1, EBADF);
    CHECK_INT(o.closes, 0);
}

TEST(a_closed_handle_gives_EBADF) {
    struct object o;
    int h = object_make(&o);
    CHECK_INT(hclose(h), 0);
    CHECK_ERR(hclose(h), -1, EBADF);
    CHECK_ERR(hown(h), -1, EBADF);
    CHECK_ERR(hquery(h, object_type) == NULL, 1, EBADF);
    CHECK_INT(o.closes, 1);
}

TEST(hmake_refuses_NULL) { CHECK_ERR(hmake(NULL), -1, EINVAL); }

TEST(hmake_refuses_an_object_without_query) {
    struct object o;
    object_init(&o);
    o.vfs.query = NULL;
    CHECK_ERR(hmake(&o.vfs), -1, EINVAL);
    CHECK_INT(o.closes, 0);
}

TEST(hmake_refuses_an_object_without_close) {
    struct object o;
    object_init(&o);
    o.vfs.close = NULL;
    CHECK_ERR(hmake(&o.vfs), -1, EINVAL);
}

TEST(hquery_returns_what_the_callback_answers) {
    struct object o;
    int h = object_make(&o);
    CHECK(hquery(h, object_type) == &o);
    CHECK_INT(o.queries, 1);
}

TEST(NULL_is_a_legal_type) {
    struct object o;
    int h = object_make(&o);
    o.type = NULL;
    CHECK(hquery(h, NULL) == &o);
    CHECK_INT(o.queries, 1);
}

TEST(hquery_fails_with_the_errno_of_the_callback) {
    struct object o;
    int h = object_make(&o), other;
    CHECK_ERR(hquery(h, &other) == NULL, 1, ENOTSUP);
}

TEST(the_last_successful_answer_is_remembered) {
    struct object o;
    int h = object_make(&o);
    for (int i = 0; i != 3; ++i) CHECK(hquery(h, object_type) == &o);
    CHECK_INT(o.queries, 1);
}

TEST(a_failed_query_is_not_remembered) {
    struct object o;
    int h = object_make(&o), other;
    for (int i = 0; i != 3; ++i) CHECK_ERR(hquery(h, &other) == NULL, 1, ENOTSUP);
    CHECK_INT(o.queries, 3);
}

TEST(a_remembered_answer_is_not_given_for_another_type) {
    struct object o;
    int h = object_make(&o);
    CHECK(hquery(h, object_type) == &o);
    CHECK_ERR(hquery(h, NULL) == NULL, 1, ENOTSUP);
    CHECK(hquery(h, object_type) == &o);
}

TEST(a_reused_number_does_not_answer_for_its_former_object) {
    struct object first, second;
    int h = object_make(&first), other;
    CHECK(hquery(h, object_type) == &first);
    CHECK_INT(hclose(h), 0);
    do {
        other = object_make(&second);
        CHECK(hquery(other, object_type) == &second);
        CHECK_INT(hclose(other), 0);
    } while (other != h);
}

static int asked;
static struct object others[2000];

/* Closes the handle that it is asked about, and another object gets the number. */
static void *close_and_answer(struct hvfs *vfs, const void *type) {
    int i = 0;
    (void)type;
    CHECK_INT(hclose(asked), 0);
    while (object_make(&others[i]) != asked) CHECK(++i != 2000);
    return vfs;
}

TEST(an_answer_is_not_remembered_for_the_object_that_gets_the_number_meanwhile) {
    struct object o;
    asked = object_make(&o);
    o.vfs.query = close_and_answer;
    CHECK(hquery(asked, bad_handles) == &o);
    CHECK_ERR(hquery(asked, bad_handles) == NULL, 1, ENOTSUP);
}

TEST(hclose_calls_close_exactly_once) {
    struct object o;
    CHECK_INT(hclose(object_make(&o)), 0);
    CHECK_INT(o.closes, 1);
}

TEST(hown_moves_the_object_to_a_fresh_number) {
    struct object o;
    int h = object_make(&o);
    int moved = hown(h);
    CHECK(moved >= 0);
    CHECK(moved != h);
    CHECK_ERR(hclose(h), -1, EBADF);
    CHECK(hquery(moved, object_type) == &o);
    CHECK_INT(o.closes, 0);
    CHECK_INT(hclose(moved), 0);
    CHECK_INT(o.closes, 1);
}

TEST(hown_drops_the_remembered_answer) {
    struct object o;
    int h = object_make(&o);
    CHECK(hquery(h, object_type) == &o);
    h = hown(h);
    CHECK(hquery(h, object_type) == &o);
    CHECK_INT(o.queries, 2);
}

TEST(hown_works_on_both_ends_of_a_channel) {
    int ch[2], moved[2];
    CHECK_INT(chmake(ch), 0);
    for (int i = 0; i != 2; ++i) {
        moved[i] = hown(ch[i]);
        CHECK(moved[i] >= 0);
        CHECK_ERR(chdone(ch[i]), -1, EBADF);
    }
    CHECK_INT(hclose(moved[0]), 0);
    CHECK_INT(hclose(moved[1]), 0);
}

TEST(hown_in_a_loop_does_not_use_up_numbers) {
    struct object o;
    int h = object_make(&o);
    for (int i = 0; i != 100000; ++i) {
        h = hown(h);
        CHECK(h >= 0);
        CHECK(h < 1000);
    }
}

/* --- What a close callback may do --- */

static int number_in_close;

static void query_own_number(struct object *self) { CHECK(hquery(number_in_close, object_type) == self); }

TEST(the_number_is_still_valid_while_close_runs) {
    struct object o;
    number_in_close = object_make(&o);
    o.on_close = query_own_number;
    CHECK_INT(hclose(number_in_close), 0);
    CHECK_INT(o.closes, 1);
}

static void call_blocking_functions(struct object *self) {
    int ch[2];
    struct bundle_storage mem;
    struct object other;
    (void)self;
    object_init(&other);
    CHECK_ERR(msleep(now() + 10), -1, ECANCELED);
    CHECK_ERR(yield(), -1, ECANCELED);
    CHECK_ERR(bundle(), -1, ECANCELED);
    CHECK_ERR(bundle_mem(&mem), -1, ECANCELED);
    CHECK_ERR(chmake(ch), -1, ECANCELED);
    CHECK_ERR(bundle_wait(0, -1), -1, ECANCELED);
    CHECK_ERR(fdin(0, -1), -1, ECANCELED);
    CHECK_ERR(fdout(1, -1), -1, ECANCELED);
    CHECK_ERR(choose(NULL, 0, -1), -1, ECANCELED);
    CHECK_ERR(hmake(&other.vfs), -1, ECANCELED);
}

TEST(blocking_calls_inside_close_give_ECANCELED) {
    struct object o;
    int h = object_make(&o);
    o.on_close = call_blocking_functions;
    CHECK_INT(hclose(h), 0);
    CHECK_INT(o.closes, 1);
}

coroutine static void do_nothing(volatile int *runs) { ++*runs; }

static int launches_in_close;
static void launch_a_coroutine(struct object *self) {
    int h = go(do_nothing(&launches_in_close));
    (void)self;
    CHECK_INT(h, -1);
    CHECK_INT(errno, ECANCELED);
}

TEST(go_inside_close_gives_ECANCELED_and_does_not_evaluate_its_expression) {
    struct object o;
    int h = object_make(&o);
    o.on_close = launch_a_coroutine;
    CHECK_INT(hclose(h), 0);
    CHECK_INT(launches_in_close, 0);
}

TEST(blocking_calls_work_again_after_hclose) {
    struct object o;
    int h = object_make(&o);
    o.on_close = call_blocking_functions;
    CHECK_INT(hclose(h), 0);
    CHECK_INT(yield(), 0);
    CHECK_INT(msleep(now() + 1), 0);
}

static int lower_number;
static void close_the_lower_one(struct object *self) {
    (void)self;
    CHECK_INT(hclose(lower_number), 0);
    CHECK_ERR(yield(), -1, ECANCELED);
}

TEST(close_may_close_another_handle_and_stays_unable_to_block) {
    struct object lower, upper;
    int h;
    lower_number = object_make(&lower);
    h = object_make(&upper);
    upper.on_close = close_the_lower_one;
    CHECK_INT(hclose(h), 0);
    CHECK_INT(lower.closes, 1);
    CHECK_ERR(hclose(lower_number), -1, EBADF);
}

static void close_itself(struct object *self) {
    self->on_close = NULL;
    CHECK_ERR(hclose(number_in_close), -1, EBADF);
}

TEST(closing_a_handle_from_its_own_close_gives_EBADF) {
    struct object o;
    number_in_close = object_make(&o);
    o.on_close = close_itself;
    CHECK_INT(hclose(number_in_close), 0);
    CHECK_INT(o.closes, 1);
}

static void own_the_lower_one(struct object *self) {
    (void)self;
    CHECK_ERR(hown(lower_number), -1, ECANCELED);
    CHECK_ERR(hclose(lower_number), -1, EBADF);
}

TEST(hown_that_fails_closes_the_object) {
    struct object lower, upper;
    int h;
    lower_number = object_make(&lower);
    h = object_make(&upper);
    upper.on_close = own_the_lower_one;
    CHECK_INT(hclose(h), 0);
    CHECK_INT(lower.closes, 1);
}

static struct object grown[2000];
coroutine static void grow_the_table(void) {
    CHECK_INT(yield(), 0);
    for (size_t i = 0; i != sizeof(grown) / sizeof(*grown); ++i) object_make(&grown[i]);
}

coroutine static void wait_for_cancellation(void) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
}

TEST(the_table_may_grow_while_a_bundle_is_being_closed) {
    int b = go(wait_for_cancellation());
    int growing = go(grow_the_table());
    CHECK(b >= 0);
    CHECK(growing >= 0);
    CHECK_INT(hclose(b), 0);
    CHECK(grown[0].vfs.close != NULL);
    CHECK_ERR(hclose(b), -1, EBADF);
    CHECK_ERR(bundle_wait(b, 0), -1, EBADF);
    for (size_t i = 0; i != sizeof(grown) / sizeof(*grown); ++i) CHECK_INT(grown[i].closes, 0);
    CHECK_INT(hclose(growing), 0);
}

coroutine static void sleep_long(void) { CHECK_ERR(msleep(-1), -1, ECANCELED); }

coroutine static void own_when_it_runs_again(int h) {
    CHECK_INT(yield(), 0);
    CHECK_ERR(hown(h), -1, EBADF);
}

TEST(a_handle_that_is_being_closed_cannot_be_owned) {
    int b = go(sleep_long()), other = go(own_when_it_runs_again(b));
    CHECK_INT(hclose(b), 0);
    CHECK_INT(bundle_wait(other, now() + 5000), 0);
    CHECK_INT(hclose(other), 0);
}
