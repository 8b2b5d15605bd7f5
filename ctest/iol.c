/* I/O lists on our own streams. */

#include <libdill.h>

#include "list.h"
#include "pair.h"
#include "test.h"

static int s[2];

/* A list over pieces of one buffer. */
struct list {
    struct iolist e[5];
    struct iolist before[5];
};

static void list_make(struct list *l, char *buf, const size_t len[5]) {
    for (int i = 0; i != 5; ++i) {
        struct iolist e = {buf, len[i], i == 4 ? NULL : &l->e[i + 1], 0};
        l->e[i] = e;
        buf += len[i];
    }
    memcpy(l->before, l->e, sizeof(l->e));
}

static void list_check_unchanged(const struct list *l) { CHECK_SAME_LIST(l->e, l->before); }

static const size_t lengths[5] = {3, 0, 4, 1, 2};

static void check_socket_still_works(void) {
    char buf[4];
    CHECK_INT(bsend(s[0], "ping", 4, -1), 0);
    CHECK_INT(brecv(s[1], buf, 4, now() + 5000), 0);
    CHECK_MEM(buf, "ping", 4);
}

TEST(a_list_is_sent_as_one_range_of_bytes_and_left_as_it_was) {
    char text[] = "abcdefghij", buf[10];
    EACH_STREAM(s) {
        struct list l;
        list_make(&l, text, lengths);
        CHECK_INT(bsendl(s[0], &l.e[0], &l.e[4], -1), 0);
        list_check_unchanged(&l);
        CHECK_INT(brecv(s[1], buf, 10, now() + 5000), 0);
        CHECK_MEM(buf, "abcdefghij", 10);
    }
}

TEST(a_list_is_filled_in_order_and_left_as_it_was) {
    char buf[11];
    EACH_STREAM(s) {
        struct list l;
        memset(buf, 'x', sizeof(buf));
        list_make(&l, buf, lengths);
        CHECK_INT(bsend(s[0], "abcdefghij", 10, -1), 0);
        CHECK_INT(brecvl(s[1], &l.e[0], &l.e[4], now() + 5000), 0);
        list_check_unchanged(&l);
        CHECK_MEM(buf, "abcdefghijx", 11);
    }
}

TEST(elements_without_base_are_skipped_on_receiving) {
    EACH_STREAM(s) {
        char buf[10] = "..........";
        struct list l;
        list_make(&l, buf, lengths);
        l.e[2].iol_base = NULL;
        memcpy(l.before, l.e, sizeof(l.e));
        CHECK_INT(bsend(s[0], "abcdefghij", 10, -1), 0);
        CHECK_INT(brecvl(s[1], &l.e[0], &l.e[4], now() + 5000), 0);
        CHECK_MEM(buf, "abc....hij", 10);
        list_check_unchanged(&l);
    }
}

TEST(brecv_of_NULL_skips_bytes) {
    char buf[4];
    EACH_STREAM(s) {
        CHECK_INT(bsend(s[0], "abcdef", 6, -1), 0);
        CHECK_INT(brecv(s[1], NULL, 2, now() + 5000), 0);
        CHECK_INT(brecv(s[1], buf, 4, now() + 5000), 0);
        CHECK_MEM(buf, "cdef", 4);
    }
}

TEST(a_list_of_empty_elements_is_sent_and_received_at_once) {
    EACH_STREAM(s) {
        const size_t none[5] = {0, 0, 0, 0, 0};
        struct list l;
        list_make(&l, NULL, none);
        CHECK_INT(bsendl(s[0], &l.e[0], &l.e[4], 0), 0);
        CHECK_INT(brecvl(s[1], &l.e[0], &l.e[4], 0), 0);
        check_socket_still_works();
    }
}

TEST(a_failed_receive_leaves_the_list_as_it_was) {
    EACH_STREAM(s) {
        char buf[10];
        struct list l;
        list_make(&l, buf, lengths);
        CHECK_INT(bsend(s[0], "abcde", 5, -1), 0);
        CHECK_ERR(brecvl(s[1], &l.e[0], &l.e[4], now() + 10), -1, ETIMEDOUT);
        list_check_unchanged(&l);
    }
}

TEST(a_failed_send_leaves_the_list_as_it_was) {
    EACH_STREAM(s) {
        static char large[3000000];
        const size_t len[5] = {1000000, 1, 1000000, 500000, 400000};
        struct list l;
        list_make(&l, large, len);
        while (bsendl(s[0], &l.e[0], &l.e[4], now() + 10) == 0) list_check_unchanged(&l);
        CHECK_INT(errno, ETIMEDOUT);
        list_check_unchanged(&l);
    }
}

/* --- Malformed lists --- */

enum { CYCLE, RESERVED_FIRST, RESERVED_MIDDLE, RESERVED_LAST, GOES_ON, FORMS };

/* Spoils a list in one way; returns the element to name as its last. */
static struct iolist *spoil(struct list *l, int form) {
    struct iolist *last = &l->e[4];
    if (form == CYCLE) l->e[3].iol_next = &l->e[1];
    if (form == RESERVED_FIRST) l->e[0].iol_rsvd = 1;
    if (form == RESERVED_MIDDLE) l->e[2].iol_rsvd = 7;
    if (form == RESERVED_LAST) l->e[4].iol_rsvd = -1;
    if (form == GOES_ON) last = &l->e[3];
    memcpy(l->before, l->e, sizeof(l->e));
    return last;
}

typedef int (*list_call)(int s, struct iolist *first, struct iolist *last, int64_t deadline);

static void check_malformed(int end, list_call call, int form) {
    EACH_STREAM(s) {
        char buf[10] = "abcdefghi";
        struct list l;
        struct iolist *last;
        list_make(&l, buf, lengths);
        last = spoil(&l, form);
        CHECK_ERR(call(s[end], &l.e[0], last, now() + 1000), -1, EINVAL);
        list_check_unchanged(&l);
        check_socket_still_works();
        list_make(&l, buf, lengths);
        if (end == 1) CHECK_INT(bsend(s[0], buf, 10, -1), 0);
        CHECK_INT(call(s[end], &l.e[0], &l.e[4], now() + 5000), 0);
    }
}

#define MALFORMED_TEST(FORM, NAME)                                                                           \
    TEST(sending_##NAME##_gives_EINVAL_and_leaves_list_and_socket_alone) { check_malformed(0, bsendl, FORM); } \
    TEST(receiving_##NAME##_gives_EINVAL_and_leaves_list_and_socket_alone) { check_malformed(1, brecvl, FORM); }

MALFORMED_TEST(CYCLE, a_cyclic_list)
MALFORMED_TEST(RESERVED_FIRST, a_list_whose_first_element_has_a_reserved_value)
MALFORMED_TEST(RESERVED_MIDDLE, a_list_whose_middle_element_has_a_reserved_value)
MALFORMED_TEST(RESERVED_LAST, a_list_whose_last_element_has_a_reserved_value)
MALFORMED_TEST(GOES_ON, a_list_that_goes_on_after_its_last_element)

TEST(sending_a_list_that_does_not_reach_its_last_element_gives_EINVAL) {
    EACH_STREAM(s) {
        struct iolist a = {NULL, 0, NULL, 0}, b = {NULL, 0, NULL, 0};
        CHECK_ERR(bsendl(s[0], &a, &b, -1), -1, EINVAL);
        CHECK_INT(a.iol_rsvd, 0);
        CHECK_INT(b.iol_rsvd, 0);
        check_socket_still_works();
    }
}

TEST(receiving_into_a_list_that_was_trimmed_in_front_of_its_last_element_works) {
    EACH_STREAM(s) {
        char buf[10] = "..........";
        struct list l;
        list_make(&l, buf, lengths);
        l.e[2].iol_next = NULL;
        memcpy(l.before, l.e, sizeof(l.e));
        CHECK_INT(bsend(s[0], "abcdefghij", 10, -1), 0);
        CHECK_INT(brecvl(s[1], &l.e[0], &l.e[4], now() + 5000), 0);
        CHECK_MEM(buf, "abcdefg...", 10);
        list_check_unchanged(&l);
        CHECK_INT(brecv(s[1], buf, 3, now() + 5000), 0);
        CHECK_MEM(buf, "hij", 3);
    }
}

TEST(sending_NULL_with_a_length_gives_EFAULT) {
    skip_under_wrapper("valgrind finds this as wrong as the kernel does");
    EACH_STREAM(s) CHECK_ERR(bsend(s[0], NULL, 5, -1), -1, EFAULT);
}

/* --- Long lists --- */

enum { LONG = 5000 };
static struct iolist long_out[LONG], long_in[LONG];
static char bytes_out[LONG], bytes_in[LONG];

static void link_long(struct iolist *list, char *bytes) {
    for (int i = 0; i != LONG; ++i) {
        struct iolist e = {bytes + i, 1, i == LONG - 1 ? NULL : &list[i + 1], 0};
        list[i] = e;
    }
}

coroutine static void send_long(int end) { CHECK_INT(bsendl(end, &long_out[0], &long_out[LONG - 1], -1), 0); }

coroutine static void receive_long(int end) { CHECK_INT(brecvl(end, &long_in[0], &long_in[LONG - 1], -1), 0); }

TEST(lists_of_five_thousand_elements_are_sent_and_received_on_coroutine_stacks) {
    EACH_STREAM(s) {
        int b = bundle();
        link_long(long_out, bytes_out);
        link_long(long_in, bytes_in);
        for (int i = 0; i != LONG; ++i) bytes_out[i] = (char)(i * 31);
        memset(bytes_in, 0, sizeof(bytes_in));
        CHECK_INT(bundle_go(b, receive_long(s[1])), 0);
        CHECK_INT(bundle_go(b, send_long(s[0])), 0);
        CHECK_INT(bundle_wait(b, now() + 10000), 0);
        CHECK_MEM(bytes_in, bytes_out, LONG);
        CHECK_INT(hclose(b), 0);
    }
}

/* --- Random lists on both sides --- */

enum { ROUNDS = 1000 };

coroutine static void send_random(int end) {
    unsigned char next = 0;
    unsigned seed = 1;
    for (int round = 0; round != ROUNDS; ++round) {
        char buf[5 * 31];
        size_t len[5];
        struct list l;
        for (int i = 0; i != 5; ++i) len[i] = (size_t)rand_r(&seed) % 32;
        list_make(&l, buf, len);
        for (size_t i = 0, all = len[0] + len[1] + len[2] + len[3] + len[4]; i != all; ++i)
            buf[i] = (char)next++;
        CHECK_INT(bsendl(end, &l.e[0], &l.e[4], -1), 0);
        list_check_unchanged(&l);
    }
    CHECK_INT(ipc_close(end, -1), 0);
}

/* Returns 0 as long as the whole list was received. */
static int receive_random(int end, unsigned *seed, unsigned char *next) {
    unsigned char buf[5 * 31];
    size_t len[5];
    struct list l;
    for (int i = 0; i != 5; ++i) len[i] = (size_t)rand_r(seed) % 32;
    list_make(&l, (char *)buf, len);
    for (int i = 0; i != 5; ++i)
        if (rand_r(seed) % 10 == 0) l.e[i].iol_base = NULL;
    if (brecvl(end, &l.e[0], &l.e[4], -1) < 0) return -1;
    for (int i = 0; i != 5; ++i) {
        const unsigned char *p = (const unsigned char *)l.e[i].iol_base;
        for (size_t k = 0; p && k != len[i]; ++k) CHECK_INT(p[k], (unsigned char)(*next + k));
        *next = (unsigned char)(*next + len[i]);
    }
    return 0;
}

TEST(random_lists_on_both_sides_move_the_same_bytes) {
    unsigned seed = 2;
    unsigned char next = 0;
    int h;
    make_ipc_pair(s);
    h = go(send_random(s[0]));
    while (receive_random(s[1], &seed, &next) == 0) continue;
    CHECK_INT(errno, EPIPE);
    CHECK_INT(ipc_close(s[1], -1), 0);
    CHECK_INT(bundle_wait(h, now() + 5000), 0);
    CHECK_INT(hclose(h), 0);
}
