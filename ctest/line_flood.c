/* Messages that come without pause: nobody has to wait for one, and all the same the others run, and deadlines
   are kept. */

#include "lower.h"

static int s, fd;

static int attach_prefix(int lower) { return prefix_attach(lower, 1, 0); }
static int attach_suffix(int lower) { return suffix_attach(lower, "\n", 1); }
static int attach_term(int lower) { return term_attach(suffix_attach(lower, "\n", 1), "STOP", 4); }
static int attach_http(int lower) { return http_attach(lower); }

static ssize_t recv_message(int h, int64_t deadline) {
    char a[8];
    return mrecv(h, a, sizeof(a), deadline);
}
static ssize_t recv_line(int h, int64_t deadline) {
    char a[8], b[8];
    return http_recvfield(h, a, sizeof(a), b, sizeof(b), deadline);
}

static const struct protocol {
    const char *messages;
    int (*attach)(int lower);
    ssize_t (*recv)(int h, int64_t deadline);
} protocols[] = {
    {"\1A", attach_prefix, recv_message},
    {"A\n", attach_suffix, recv_message},
    {"A\n", attach_term, recv_message},
    {"A:B\r\n", attach_http, recv_line},
};

#define EACH_PROTOCOL(P) for (const struct protocol *P = protocols; P != protocols + 4; ++P)

/* Counts in another coroutine while the calling one is busy. */
coroutine static void count_ticks(int *ticks) {
    while (msleep(now() + 10) == 0) ++*ticks;
}

TEST(a_flood_of_messages_does_not_hold_the_others_up) {
    EACH_PROTOCOL(p) EACH_LOWER_AND_RAW(&s, &fd) {
            int ticks = 0, b = go(count_ticks(&ticks)), h = p->attach(s);
            CHECK(h >= 0);
            write_for_ever(fd, p->messages);
            while (ticks < 5) CHECK(p->recv(h, -1) >= 0);
            CHECK_INT(hclose(h), 0);
            CHECK_INT(hclose(b), 0);
        }
}

TEST(a_deadline_ends_a_loop_that_receives_a_flood) {
    EACH_PROTOCOL(p) EACH_LOWER_AND_RAW(&s, &fd) {
            int h = p->attach(s);
            int64_t deadline = now() + 100;
            CHECK(h >= 0);
            write_for_ever(fd, p->messages);
            while (p->recv(h, deadline) >= 0) continue;
            CHECK_INT(errno, ETIMEDOUT);
            CHECK(now() >= deadline);
            CHECK_INT(hclose(h), 0);
        }
}
