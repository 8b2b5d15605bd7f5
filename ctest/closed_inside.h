/* A coroutine is inside a call, waiting or ready to run, when the handle, whatever is below it, or its bundle is
   closed. It fails, touches nothing, and what it left behind is nobody's: the next connection works. */

#ifndef CLOSED_INSIDE_H
#define CLOSED_INSIDE_H

#include <libdill.h>
#include <libdillext.h>

#include "lower.h"
#include "tls.h"

/* A call, and what it is about. */
struct scene {
    int lower[2]; /* connected bytestreams, until something is attached */
    int h;        /* what is called, or -1 */
    int peer;     /* the other end, or -1 */
    int keep;     /* another handle that stays open, or -1 */
    int raw[2];   /* descriptors of the test */
    char name[64];
    struct ipaddr addr;
    int rc, error, returned;
};

struct call {
    const char *name;
    void (*make)(struct scene *);
    int (*run)(struct scene *);  /* inside a coroutine; waits */
    void (*wake)(struct scene *); /* makes it ready */
    int finishes;     /* is over when it was woken */
    int gives_handle; /* if it succeeds */
    int may_fail_with; /* besides EBADF and ECANCELED */
    int has_no_handle; /* only the bundle ends it */
};

/* More than the kernel keeps of a connection. */
static char block[16 << 20];

/* --- Lower layers --- */

/* Its own lower layer may be closed before it, by its number. */
static inline void close_gently(struct hvfs *hvfs) { hclose(((struct user_stream *)hvfs)->lower); }
static inline void make_pair_of_users(int s[2]) {
    make_user_pair(s);
    for (int i = 0; i != 2; ++i) lower_user[i].hvfs.close = close_gently;
}

static inline void make_tls_pair(int s[2]) {
    int below[2];
    make_ipc_pair(below);
    make_tls_over(below, s);
}

/* --- What several of them begin with, and how they are woken --- */

static inline void as_stream(struct scene *c) {
    c->h = c->lower[0];
    c->peer = c->lower[1];
}

static inline void send_ten(struct scene *c) { CHECK_INT(bsend(c->peer, "0123456789", 10, -1), 0); }
static inline void take_some(struct scene *c) { CHECK_INT(brecv(c->peer, NULL, 100000, -1), 0); }
static inline void as_lower(struct scene *c) {
    make_certificate();
    c->h = -1;
    c->peer = c->lower[1];
}
static inline int do_mrecv(struct scene *c) {
    static char buf[64];
    return mrecv(c->h, buf, sizeof(buf), -1) < 0 ? -1 : 0;
}
static inline int do_mrecv_nothing(struct scene *c) { return mrecvl(c->h, NULL, NULL, -1) < 0 ? -1 : 0; }
static inline int do_msend(struct scene *c) { return msend(c->h, block, sizeof(block), -1); }
static inline int do_small(struct scene *c) {
    for (int rc;;)
        if ((rc = msend(c->h, block, 5000, -1)) < 0) return rc;
}
static inline void message(struct scene *c) { CHECK_INT(msend(c->peer, "hello", 5, -1), 0); }
static inline void large_message(struct scene *c) { CHECK_INT(msend(c->peer, block, 60000, -1), 0); }
static inline int do_mrecv_large(struct scene *c) {
    static char buf[60000];
    return mrecv(c->h, buf, sizeof(buf), -1) < 0 ? -1 : 0;
}
static inline void drain(struct scene *c) {
    /* Of a large one, the part that has come. */
    static char buf[5000];
    mrecv(c->peer, buf, sizeof(buf), 0);
}

#define MESSAGES(MAKE)                                            \
    {#MAKE " mrecv", MAKE, do_mrecv, message, 1, 0, 0, 0},           \
    {#MAKE " mrecvl of nothing", MAKE, do_mrecv_nothing, message, 1, 0, 0, 0}, \
    {#MAKE " mrecv of much", MAKE, do_mrecv_large, large_message, 1, 0, 0, 0}, \
    {#MAKE " msend of much", MAKE, do_msend, drain, 0, 0, 0, 0},     \
    {#MAKE " msend", MAKE, do_small, drain, 0, 0, 0, 0}


/* --- HTTP --- */

static inline void answer(struct scene *c) {
    char all[] = "HTTP/1.1 403 No\r\n\r\n";
    CHECK_INT(bsend(c->peer, all, sizeof(all) - 1, -1), 0);
}
static inline void request(struct scene *c) {
    char all[] = "GET / HTTP/1.1\r\n\r\n";
    CHECK_INT(bsend(c->peer, all, sizeof(all) - 1, -1), 0);
}

static inline void as_full_listener(struct scene *c) {
    /* Nobody is accepted, so connecting waits once the queue is full. */
    CHECK_INT(ipaddr_local(&c->addr, "127.0.0.1", 0, 0), 0);
    CHECK((c->keep = tcp_listen(&c->addr, 0)) >= 0);
    for (int i = 0; i != 2; ++i) {
        CHECK((c->raw[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) >= 0);
        connect(c->raw[i], ipaddr_sockaddr(&c->addr), (socklen_t)ipaddr_len(&c->addr));
    }
}
/* --- The plot --- */

static char playing[200];
#define EXPECT(EXPR) \
    do { \
        if (!(EXPR)) \
            test_fail(__FILE__, __LINE__, "%s: %s does not hold; the call gave %d, errno %s", playing, #EXPR, c->rc, \
                      errno_name(c->error)); \
    } while (0)

coroutine static void inside(const struct call *call, struct scene *c) {
    c->rc = call->run(c);
    c->error = errno;
    c->returned = 1;
}

static inline void spin(int64_t milliseconds) {
    int64_t until = now() + milliseconds;
    while (now() < until) continue;
}

/* What is closed. */
enum target { HANDLE, BUNDLE, UPWARDS, DOWNWARDS, TARGETS };
static const char *const target_names[] = {"its handle", "its bundle", "every handle", "every handle, the last first"};

static inline void close_all(const struct scene *c, int b, int downwards) {
    for (int i = 0; i != 512; ++i) {
        int h = downwards ? 511 - i : i;
        if (h != b && h != c->peer && h != c->keep) hclose(h);
    }
}

/* A coroutine whose time slice is over has to wait a little. */
static inline void wait_for(const struct scene *c) {
    int64_t limit = now() + 5000;
    while (!c->returned && now() < limit) CHECK_INT(yield(), 0);
}

/* When it is closed: before the coroutine was woken; while the kernel only knows that it is; when it is ready; and
   when it has run. */
enum { ASLEEP, TOLD, READY, AWAKE, MOMENTS };

static inline void play(const struct call *call, struct scene *c, enum target target, int moment) {
    call->make(c);
    int b = go(inside(call, c));
    CHECK(b >= 0);
    /* Slow waits: from now on descriptors are polled in each of them. */
    for (int i = 0; i != 20; ++i) CHECK_INT(yield(), 0);
    spin(2);
    CHECK_INT(yield(), 0);
    EXPECT(!c->returned);
    if (moment != ASLEEP && call->wake) {
        call->wake(c);
        spin(2);
        for (int i = TOLD; i != moment; ++i) CHECK_INT(yield(), 0);
        if (moment == AWAKE && call->finishes) {
            wait_for(c);
            EXPECT(c->returned);
        }
    }
    int before = c->returned;
    if (target == HANDLE) hclose(c->h);
    if (target == UPWARDS || target == DOWNWARDS) close_all(c, b, target == DOWNWARDS);
    if (target != BUNDLE && !call->has_no_handle) wait_for(c);
    /* What has no handle, nobody else can end. */
    int by_bundle = !c->returned;
    EXPECT(target == BUNDLE || call->has_no_handle || !by_bundle);
    CHECK_INT(hclose(b), 0);
    EXPECT(c->returned);
    if (c->rc >= 0) {
        EXPECT(before || by_bundle || call->has_no_handle);
        if (call->gives_handle) hclose(c->rc);
    } else if (!before) {
        int is_below = target == UPWARDS || target == DOWNWARDS;
        EXPECT(c->error == EBADF || c->error == ECANCELED || (is_below && c->error == ECONNRESET) ||
              (call->may_fail_with && c->error == call->may_fail_with));
    }
}

/* Connections that are made afterwards hear nothing of it. */
static inline void check_aftermath(int64_t patience) {
    char c;
    int s[2];
    EACH_STREAM(s) {
        CHECK_INT(yield(), 0);
        for (int end = 0; end != 2; ++end) {
            CHECK_INT(bsend(s[end], "x", 1, -1), 0);
            CHECK_INT(brecv(s[!end], &c, 1, now() + 5000), 0);
            CHECK_INT(c, 'x');
            CHECK_ERR(brecv(s[!end], &c, 1, patience ? now() + patience : 0), -1, ETIMEDOUT);
        }
        CHECK_INT(hclose(s[0]), 0);
        CHECK_INT(hclose(s[1]), 0);
    }
}

static void (*make_lower)(int s[2]);

static inline void run(const struct call *calls, size_t count) {
    check_aftermath(1); /* so that what the library keeps is there */
    if (make_lower) make_certificate();
    for (size_t i = 0; i != count; ++i)
        for (int target = 0; target != TARGETS; ++target)
            for (int moment = 0; moment != MOMENTS; ++moment) {
                static struct scene none = {{-1, -1}, -1, -1, -1, {-1, -1}, "", {""}, 0, 0, 0};
                struct scene c = none;
                int descriptors = open_descriptors();
                snprintf(playing, sizeof(playing), "%s, closing %s at moment %d", calls[i].name, target_names[target], moment);
                if (make_lower) make_lower(c.lower);
                play(&calls[i], &c, target, moment);
                for (int h = 0; h != 512; ++h) hclose(h);
                for (int k = 0; k != 2; ++k)
                    if (c.raw[k] >= 0) CHECK_INT(close(c.raw[k]), 0);
                CHECK_INT(open_descriptors(), descriptors);
                check_aftermath(moment == MOMENTS - 1);
            }
}

#define RUN(CALLS) run(CALLS, sizeof(CALLS) / sizeof((CALLS)[0]))
#define OVER_EACH(NAME, CALLS)                       \
    TEST(NAME##_over_TCP) { make_lower = make_tcp_pair; RUN(CALLS); }          \
    TEST(NAME##_over_AF_UNIX) { make_lower = make_ipc_pair; RUN(CALLS); }      \
    TEST(NAME##_over_a_users_bytestream) { make_lower = make_pair_of_users; RUN(CALLS); } \
    TEST(NAME##_over_TLS) { make_lower = make_tls_pair; RUN(CALLS); }

#endif
