/* What holds for every protocol on top of another socket: whom handles belong to, when they are closed, and
   what a direction is like while somebody uses it. */

#include "lower.h"
#include "mem.h"
#include "object.h"

struct protocol {
    const char *name;
    void (*make_lower)(int s[2]);
    int (*attach)(int s, void *mem); /* mem NULL: the plain form */
    int (*attach_without_mem)(int s);
    int (*detach)(int h, int64_t deadline);
    size_t size;
    int wrong_kind; /* errno for a socket of another kind */
    int messages;   /* it is a message socket */
};

static int attach_prefix(int s, void *mem) {
    return mem ? prefix_attach_mem(s, 2, 0, (struct prefix_storage *)mem) : prefix_attach(s, 2, 0);
}
static int attach_prefix_without_mem(int s) { return prefix_attach_mem(s, 2, 0, NULL); }
static int detach_prefix(int h, int64_t deadline) {
    (void)deadline;
    return prefix_detach(h);
}
static int attach_suffix(int s, void *mem) {
    return mem ? suffix_attach_mem(s, "\r\n", 2, (struct suffix_storage *)mem) : suffix_attach(s, "\r\n", 2);
}
static int attach_suffix_without_mem(int s) { return suffix_attach_mem(s, "\r\n", 2, NULL); }
static int detach_suffix(int h, int64_t deadline) { return suffix_detach(h, deadline); }
static int attach_http(int s, void *mem) {
    return mem ? http_attach_mem(s, (struct http_storage *)mem) : http_attach(s);
}
static int attach_http_without_mem(int s) { return http_attach_mem(s, NULL); }
static int detach_http(int h, int64_t deadline) { return http_detach(h, deadline); }
static int attach_term(int s, void *mem) {
    return mem ? term_attach_mem(s, "STOP", 4, (struct term_storage *)mem) : term_attach(s, "STOP", 4);
}
static int attach_term_without_mem(int s) { return term_attach_mem(s, "STOP", 4, NULL); }
static int detach_term(int h, int64_t deadline) { return term_detach(h, deadline); }

static void make_lines(int s[2]) {
    make_ipc_pair(s);
    for (int i = 0; i != 2; ++i) {
        s[i] = suffix_attach(s[i], "\r\n", 2);
        CHECK(s[i] >= 0);
    }
}

static const struct protocol protocols[] = {
    {"prefix", make_ipc_pair, attach_prefix, attach_prefix_without_mem, detach_prefix,
     sizeof(struct prefix_storage), EPROTO, 1},
    {"prefix over tcp", make_tcp_pair, attach_prefix, attach_prefix_without_mem, detach_prefix,
     sizeof(struct prefix_storage), EPROTO, 1},
    {"prefix over a user's", make_user_pair, attach_prefix, attach_prefix_without_mem, detach_prefix,
     sizeof(struct prefix_storage), EPROTO, 1},
    {"suffix", make_ipc_pair, attach_suffix, attach_suffix_without_mem, detach_suffix,
     sizeof(struct suffix_storage), EPROTO, 1},
    {"suffix over tcp", make_tcp_pair, attach_suffix, attach_suffix_without_mem, detach_suffix,
     sizeof(struct suffix_storage), EPROTO, 1},
    {"suffix over a user's", make_user_pair, attach_suffix, attach_suffix_without_mem, detach_suffix,
     sizeof(struct suffix_storage), EPROTO, 1},
    {"term", make_lines, attach_term, attach_term_without_mem, detach_term, sizeof(struct term_storage), EPROTO,
     1},
    {"http", make_ipc_pair, attach_http, attach_http_without_mem, detach_http, sizeof(struct http_storage),
     ENOTSUP, 0},
    {"http over tcp", make_tcp_pair, attach_http, attach_http_without_mem, detach_http,
     sizeof(struct http_storage), ENOTSUP, 0},
};

static int s[2], h[2];

static void attach_both(const struct protocol *p) {
    p->make_lower(s);
    for (int i = 0; i != 2; ++i) {
        h[i] = p->attach(s[i], NULL);
        CHECK(h[i] >= 0);
    }
}

#define EACH_PROTOCOL(P) \
    for (const struct protocol *P = protocols; P != protocols + sizeof(protocols) / sizeof(*protocols); ++P)
#define EACH_MESSAGE_PROTOCOL(P) EACH_PROTOCOL(P) if (P->messages)

/* A message or a line, the shortest way. */
static int send_one(const struct protocol *p, int handle) {
    return p->messages ? msend(handle, "AB", 2, now() + 5000) : http_sendfield(handle, "A", "B", now() + 5000);
}
static int recv_one(const struct protocol *p, int handle, int64_t deadline) {
    char a[8], b[8];
    return p->messages ? (mrecv(handle, a, sizeof(a), deadline) == 2 ? 0 : -1)
                       : http_recvfield(handle, a, sizeof(a), b, sizeof(b), deadline);
}

/* --- Attaching --- */

TEST(attaching_makes_the_number_of_the_lower_socket_stale) {
    EACH_PROTOCOL(p) {
        attach_both(p);
        CHECK_CLOSED(s[0]);
        CHECK_INT(send_one(p, h[0]), 0);
        CHECK_INT(recv_one(p, h[1], now() + 5000), 0);
    }
}

TEST(attaching_to_no_handle_gives_EBADF) {
    EACH_PROTOCOL(p) {
        CHECK_ERR(p->attach(-1, NULL), -1, EBADF);
        CHECK_ERR(p->attach(1234567, NULL), -1, EBADF);
        CHECK_ERR(p->attach_without_mem(-1), -1, EBADF);
    }
}

TEST(attaching_to_a_handle_of_another_kind_closes_it) {
    EACH_PROTOCOL(p) {
        struct object object;
        int o = object_make(&object);
        CHECK_ERR(p->attach(o, NULL), -1, p->wrong_kind);
        CHECK_INT(object.closes, 1);
        CHECK_CLOSED(o);
    }
}

TEST(attaching_without_memory_closes_the_lower_socket) {
    EACH_PROTOCOL(p) {
        p->make_lower(s);
        CHECK_ERR(p->attach_without_mem(s[0]), -1, EINVAL);
        CHECK_CLOSED(s[0]);
        CHECK_INT(hclose(s[1]), 0);
    }
}

coroutine static void attach_when_cancelled(const struct protocol *p, int lower, int *seen) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    *seen = p->attach(lower, NULL) < 0 ? errno : 0;
}

TEST(attaching_in_a_cancelled_coroutine_closes_the_lower_socket) {
    EACH_PROTOCOL(p) {
        int seen = 0, b;
        p->make_lower(s);
        b = go(attach_when_cancelled(p, s[0], &seen));
        CHECK_INT(hclose(b), 0);
        CHECK_INT(seen, ECANCELED);
        CHECK_CLOSED(s[0]);
    }
}

TEST(memory_of_the_caller_may_lie_anywhere_and_nothing_around_it_is_touched) {
    EACH_PROTOCOL(p) EACH_OFFSET(offset) {
        struct guarded_mem memory;
        void *mem = guarded_make(&memory, p->size, offset);
        p->make_lower(s);
        h[0] = p->attach(s[0], mem);
        h[1] = p->attach(s[1], NULL);
        CHECK(h[0] >= 0 && h[1] >= 0);
        CHECK_INT(send_one(p, h[0]), 0);
        CHECK_INT(recv_one(p, h[1], now() + 5000), 0);
        CHECK_INT(hclose(h[0]), 0);
        CHECK_INT(hclose(h[1]), 0);
        guarded_free(&memory);
    }
}

/* --- Closing --- */

TEST(closing_the_top_closes_the_whole_stack) {
    EACH_PROTOCOL(p) if (p->make_lower == make_user_pair) {
        attach_both(p);
        CHECK_INT(hclose(h[0]), 0);
        CHECK_INT(lower_user[0].closes, 1);
        CHECK_CLOSED(h[0]);
        CHECK_ERR(recv_one(p, h[1], now() + 5000), -1, EPIPE);
    }
}

coroutine static void recv_and_tell(const struct protocol *p, int handle, int *seen) {
    *seen = recv_one(p, handle, -1) < 0 ? errno : 0;
}

TEST(closing_a_handle_on_which_somebody_waits_wakes_him) {
    EACH_PROTOCOL(p) {
        int seen = 0, b;
        attach_both(p);
        b = go(recv_and_tell(p, h[0], &seen));
        CHECK_INT(hclose(h[0]), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(seen, EBADF);
    }
}

/* --- Detaching --- */

/* Both sides, since some say goodbye. */
coroutine static void detach_other(const struct protocol *p, int *lower) {
    *lower = p->detach(h[1], now() + 5000);
}

static void detach_both(const struct protocol *p, int lower[2]) {
    int b = go(detach_other(p, &lower[1]));
    lower[0] = p->detach(h[0], now() + 5000);
    CHECK(lower[0] >= 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    CHECK(lower[1] >= 0);
}

TEST(detaching_hands_the_lower_socket_back) {
    EACH_PROTOCOL(p) {
        int lower[2];
        char buf[3];
        attach_both(p);
        CHECK_INT(send_one(p, h[0]), 0);
        CHECK_INT(recv_one(p, h[1], now() + 5000), 0);
        detach_both(p, lower);
        if (p->make_lower == make_lines) {
            CHECK_INT(msend(lower[0], "XYZ", 3, -1), 0);
            CHECK_INT(mrecv(lower[1], buf, 3, now() + 5000), 3);
        } else {
            CHECK_INT(bsend(lower[0], "XYZ", 3, -1), 0);
            CHECK_INT(brecv(lower[1], buf, 3, now() + 5000), 0);
        }
        CHECK_MEM(buf, "XYZ", 3);
        CHECK_INT(hclose(lower[0]), 0);
        CHECK_INT(hclose(lower[1]), 0);
    }
}

TEST(a_detached_handle_is_stale) {
    EACH_PROTOCOL(p) {
        int lower[2];
        attach_both(p);
        detach_both(p, lower);
        CHECK_CLOSED(h[0]);
        CHECK_ERR(p->detach(h[0], -1), -1, EBADF);
        CHECK_ERR(recv_one(p, h[0], -1), -1, EBADF);
    }
}

TEST(detaching_does_not_use_handle_numbers_up) {
    EACH_PROTOCOL(p) {
        attach_both(p);
        for (int i = 0; i != 500; ++i) {
            detach_both(p, s);
            for (int k = 0; k != 2; ++k) {
                h[k] = p->attach(s[k], NULL);
                CHECK(h[k] >= 0 && h[k] < 512);
            }
        }
        CHECK_INT(hclose(h[0]), 0);
        CHECK_INT(hclose(h[1]), 0);
    }
}

TEST(detaching_no_handle_gives_EBADF) {
    EACH_PROTOCOL(p) CHECK_ERR(p->detach(-1, -1), -1, EBADF);
}

TEST(detaching_a_handle_of_another_kind_leaves_it_alone) {
    EACH_PROTOCOL(p) {
        make_ipc_pair(s);
        CHECK_ERR(p->detach(s[0], -1), -1, ENOTSUP);
        CHECK_INT(bsend(s[0], "A", 1, -1), 0);
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(hclose(s[1]), 0);
    }
}

TEST(detaching_after_a_failed_receive_closes_everything) {
    EACH_PROTOCOL(p) {
        attach_both(p);
        CHECK_ERR(recv_one(p, h[0], now() + 10), -1, ETIMEDOUT);
        CHECK_ERR(p->detach(h[0], -1), -1, ECONNRESET);
        CHECK_CLOSED(h[0]);
    }
}

TEST(detaching_after_the_end_of_the_stream_closes_everything) {
    EACH_PROTOCOL(p) {
        attach_both(p);
        CHECK_INT(hclose(h[1]), 0);
        CHECK(recv_one(p, h[0], now() + 5000) < 0);
        CHECK_ERR(p->detach(h[0], now() + 1000), -1, ECONNRESET);
        CHECK_CLOSED(h[0]);
    }
}

/* --- Directions --- */

TEST(a_receive_that_failed_leaves_sending_alone) {
    EACH_PROTOCOL(p) {
        attach_both(p);
        CHECK_ERR(recv_one(p, h[0], now() + 10), -1, ETIMEDOUT);
        CHECK_ERR(recv_one(p, h[0], now() + 10), -1, ECONNRESET);
        CHECK_INT(send_one(p, h[0]), 0);
        CHECK_INT(recv_one(p, h[1], now() + 5000), 0);
    }
}

TEST(the_end_of_the_stream_stays_EPIPE_where_a_message_may_be_the_last) {
    EACH_PROTOCOL(p) if (p->make_lower == make_ipc_pair || p->make_lower == make_user_pair) {
        /* A header ends with a blank line. */
        int end = p->messages ? EPIPE : ECONNRESET;
        attach_both(p);
        CHECK_INT(hclose(h[1]), 0);
        CHECK_ERR(recv_one(p, h[0], now() + 5000), -1, end);
        CHECK_ERR(recv_one(p, h[0], now() + 5000), -1, end);
    }
}

coroutine static void recv_in_turn(const struct protocol *p, int handle, int *done) {
    CHECK_INT(recv_one(p, handle, -1), 0);
    *done = 1;
}

TEST(a_second_receiver_gets_EBUSY_and_does_no_harm) {
    EACH_PROTOCOL(p) {
        int done = 0, b;
        attach_both(p);
        b = go(recv_in_turn(p, h[0], &done));
        CHECK_ERR(recv_one(p, h[0], -1), -1, EBUSY);
        CHECK_INT(send_one(p, h[0]), 0);
        CHECK_INT(send_one(p, h[1]), 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK_INT(done, 1);
        CHECK_INT(send_one(p, h[1]), 0);
        CHECK_INT(recv_one(p, h[0], now() + 5000), 0);
        CHECK_INT(hclose(b), 0);
    }
}

coroutine static void fill(const struct protocol *p, int handle) {
    static char block[60000];
    while (p->messages && msend(handle, block, sizeof(block), -1) == 0) continue;
}

TEST(a_second_sender_gets_EBUSY_and_does_no_harm) {
    EACH_MESSAGE_PROTOCOL(p) {
        int b;
        attach_both(p);
        b = go(fill(p, h[0]));
        CHECK_ERR(send_one(p, h[0]), -1, EBUSY);
        for (int i = 0; i != 20; ++i) CHECK_INT(mrecv(h[1], NULL, SIZE_MAX, now() + 5000), 60000);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(EBUSY_from_the_layer_below_does_no_harm) {
    EACH_PROTOCOL(p) if (p->make_lower == make_user_pair) {
        attach_both(p);
        lower_user[0].fail_send = lower_user[0].fail_receive = EBUSY;
        CHECK_ERR(send_one(p, h[0]), -1, EBUSY);
        CHECK_ERR(recv_one(p, h[0], now() + 5000), -1, EBUSY);
        lower_user[0].fail_send = lower_user[0].fail_receive = 0;
        CHECK_INT(send_one(p, h[0]), 0);
        CHECK_INT(send_one(p, h[1]), 0);
        CHECK_INT(recv_one(p, h[0], now() + 5000), 0);
    }
}

TEST(errors_of_the_layer_below_are_passed_on_once) {
    EACH_PROTOCOL(p) if (p->make_lower == make_user_pair) {
        attach_both(p);
        lower_user[0].fail_send = ENOMEM;
        lower_user[0].fail_receive = EPROTO;
        CHECK_ERR(send_one(p, h[0]), -1, ENOMEM);
        CHECK_ERR(recv_one(p, h[0], -1), -1, EPROTO);
        CHECK_ERR(send_one(p, h[0]), -1, ECONNRESET);
        CHECK_ERR(recv_one(p, h[0], -1), -1, ECONNRESET);
    }
}

TEST(a_cancelled_receive_fails_with_ECANCELED) {
    EACH_PROTOCOL(p) {
        int seen = 0, b;
        attach_both(p);
        b = go(recv_and_tell(p, h[0], &seen));
        CHECK_INT(hclose(b), 0);
        CHECK_INT(seen, ECANCELED);
    }
}

TEST(what_is_there_is_received_with_deadline_0) {
    EACH_PROTOCOL(p) {
        attach_both(p);
        CHECK_INT(send_one(p, h[0]), 0);
        wait_until_arrived();
        CHECK_INT(recv_one(p, h[1], 0), 0);
        CHECK_ERR(recv_one(p, h[1], 0), -1, ETIMEDOUT);
    }
}

TEST(a_success_leaves_errno_alone_or_at_0) {
    EACH_PROTOCOL(p) {
        int lower[2];
        attach_both(p);
        errno = ENOTTY;
        CHECK_INT(send_one(p, h[0]), 0);
        CHECK(errno == ENOTTY || errno == 0);
        errno = ENOTTY;
        CHECK_INT(recv_one(p, h[1], now() + 5000), 0);
        CHECK(errno == ENOTTY || errno == 0);
        detach_both(p, lower);
    }
}

TEST(malformed_lists_are_refused_and_do_no_harm) {
    EACH_MESSAGE_PROTOCOL(p) {
        char a[4], b[4];
        struct iolist list[2] = {{a, 4, NULL, 0}, {b, 4, NULL, 0}};
        attach_both(p);
        CHECK_ERR(msendl(h[0], &list[0], &list[1], -1), -1, EINVAL);
        CHECK_ERR(msendl(h[0], NULL, NULL, -1), -1, EINVAL);
        list[1].iol_rsvd = 1;
        link_list(list, 1);
        list[0].iol_next = &list[1];
        CHECK_ERR(msendl(h[0], &list[0], &list[1], -1), -1, EINVAL);
        CHECK_ERR(mrecvl(h[0], &list[0], &list[1], -1), -1, EINVAL);
        CHECK_ERR(mrecvl(h[0], &list[0], NULL, -1), -1, EINVAL);
        CHECK_INT(list[0].iol_rsvd, 0);
        CHECK_INT(list[1].iol_rsvd, 1);
        CHECK_INT(send_one(p, h[0]), 0);
        CHECK_INT(recv_one(p, h[1], now() + 5000), 0);
    }
}

/* --- Kinds --- */

TEST(protocols_are_of_the_kind_that_they_say) {
    EACH_PROTOCOL(p) {
        char c;
        attach_both(p);
        CHECK_ERR(bsend(h[0], "A", 1, -1), -1, ENOTSUP);
        CHECK_ERR(brecv(h[0], &c, 1, -1), -1, ENOTSUP);
        if (!p->messages) CHECK_ERR(msend(h[0], "A", 1, -1), -1, ENOTSUP);
        if (!p->messages) CHECK_ERR(mrecv(h[0], &c, 1, -1), -1, ENOTSUP);
        CHECK_ERR(tcp_close(h[0], -1), -1, ENOTSUP);
    }
}
