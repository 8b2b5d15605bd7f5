/* A message protocol written by a user against libdillimpl.h, as existing programs have them: one byte of
   length in front of each message, 255 as the end. */

#include <libdillimpl.h>

#include "list.h"
#include "pair.h"
#include "test.h"

static const int tiny_type_here;
static const void *const tiny_type = &tiny_type_here;

struct tiny {
    struct hvfs hvfs;
    struct msock_vfs mvfs;
    int lower;
    int sent_end, seen_end;
};

#define TINY_OF(MVFS) ((struct tiny *)(void *)((char *)(MVFS)-offsetof(struct tiny, mvfs)))

static void *tiny_query(struct hvfs *hvfs, const void *type) {
    struct tiny *self = (struct tiny *)hvfs;
    if (type == msock_type) return &self->mvfs;
    if (type == tiny_type) return self;
    errno = ENOTSUP;
    return NULL;
}

static void tiny_close(struct hvfs *hvfs) {
    struct tiny *self = (struct tiny *)hvfs;
    if (self->lower >= 0) CHECK_INT(hclose(self->lower), 0);
    free(self);
}

/* Puts a header of its own, on the stack, in front of the user's list. */
static int tiny_msendl(struct msock_vfs *mvfs, struct iolist *first, struct iolist *last, int64_t deadline) {
    struct tiny *self = TINY_OF(mvfs);
    uint8_t size = 0;
    struct iolist header = {&size, 1, first, 0};
    size_t len = 0;
    if (self->sent_end) {
        errno = EPIPE;
        return -1;
    }
    for (const struct iolist *it = first; it; it = it->iol_next) len += it->iol_len;
    if (len > 254) {
        errno = EMSGSIZE;
        return -1;
    }
    size = (uint8_t)len;
    return bsendl(self->lower, &header, last, deadline);
}

/* Trims the user's list to the message, but names its last element as it was. */
static ssize_t tiny_mrecvl(struct msock_vfs *mvfs, struct iolist *first, struct iolist *last, int64_t deadline) {
    struct tiny *self = TINY_OF(mvfs);
    struct iolist *it = first, saved;
    uint8_t size;
    size_t rest;
    int rc;
    if (self->seen_end) {
        errno = EPIPE;
        return -1;
    }
    if (brecv(self->lower, &size, 1, deadline) < 0) return -1;
    if (size == 255) {
        self->seen_end = 1;
        errno = EPIPE;
        return -1;
    }
    if (!first) return brecv(self->lower, NULL, size, deadline) < 0 ? -1 : size;
    for (rest = size; it && it->iol_len < rest; it = it->iol_next) rest -= it->iol_len;
    if (!it) {
        errno = EMSGSIZE;
        return -1;
    }
    saved = *it;
    it->iol_len = rest;
    it->iol_next = NULL;
    rc = brecvl(self->lower, first, last, deadline);
    *it = saved;
    return rc < 0 ? -1 : size;
}

static int tiny_attach(int s) {
    struct tiny *self = (struct tiny *)calloc(1, sizeof(*self));
    int h;
    CHECK(hquery(s, bsock_type) != NULL);
    self->hvfs.query = tiny_query;
    self->hvfs.close = tiny_close;
    self->mvfs.msendl = tiny_msendl;
    self->mvfs.mrecvl = tiny_mrecvl;
    self->lower = hown(s);
    CHECK(self->lower >= 0);
    h = hmake(&self->hvfs);
    CHECK(h >= 0);
    return h;
}

static int tiny_done(int h, int64_t deadline) {
    static const uint8_t end = 255;
    struct tiny *self = (struct tiny *)hquery(h, tiny_type);
    if (!self) return -1;
    self->sent_end = 1;
    return bsend(self->lower, &end, 1, deadline);
}

/* As such functions do, it cannot release its own number but only close it, empty. */
static int tiny_detach(int h, int64_t deadline) {
    struct tiny *self = (struct tiny *)hquery(h, tiny_type);
    int lower;
    if (!self) return -1;
    if (!self->sent_end && tiny_done(h, deadline) < 0) return -1;
    while (!self->seen_end)
        if (mrecvl(h, NULL, NULL, deadline) < 0 && errno != EPIPE) return -1;
    lower = self->lower;
    self->lower = -1;
    CHECK_INT(hclose(h), 0);
    return lower;
}

static int h[2];
static void make_tiny_pair(void (*make)(int s[2])) {
    int s[2];
    make(s);
    for (int i = 0; i != 2; ++i) {
        h[i] = tiny_attach(s[i]);
        CHECK_ERR(bsend(s[i], "A", 1, -1), -1, EBADF);
    }
}

#define EACH_TINY_PAIR for (int i_ = 0; i_ != 2 && (make_tiny_pair(make_stream_pair[i_]), 1); ++i_)

TEST(messages_pass) {
    EACH_TINY_PAIR {
        char buf[16];
        for (int i = 0; i != 2; ++i) {
            CHECK_INT(msend(h[i], "hello", 5, -1), 0);
            CHECK_INT(msend(h[i], "", 0, -1), 0);
            CHECK_INT(mrecv(h[1 - i], buf, sizeof(buf), now() + 5000), 5);
            CHECK_MEM(buf, "hello", 5);
            CHECK_INT(mrecv(h[1 - i], buf, sizeof(buf), now() + 5000), 0);
        }
    }
}

TEST(lists_pass_and_are_left_as_they_were) {
    EACH_TINY_PAIR {
        char out[] = "abcdefgh", in[12] = "...........";
        struct iolist o[2] = {{out, 3, &o[1], 0}, {out + 3, 5, NULL, 0}}, o_before[2];
        struct iolist l[3] = {{in, 4, &l[1], 0}, {in + 4, 6, &l[2], 0}, {in + 10, 1, NULL, 0}}, l_before[3];
        memcpy(o_before, o, sizeof(o));
        memcpy(l_before, l, sizeof(l));
        CHECK_INT(msendl(h[0], &o[0], &o[1], -1), 0);
        CHECK_SAME_LIST(o, o_before);
        CHECK_INT(mrecvl(h[1], &l[0], &l[2], now() + 5000), 8);
        CHECK_SAME_LIST(l, l_before);
        CHECK_STR(in, "abcdefgh...");
    }
}

TEST(a_message_larger_than_the_read_buffer_of_the_stream_is_trimmed_correctly) {
    EACH_TINY_PAIR {
        char out[254], in[300];
        struct iolist l[2] = {{in, 100, &l[1], 0}, {in + 100, 200, NULL, 0}};
        memset(out, 'x', sizeof(out));
        CHECK_INT(msend(h[0], out, sizeof(out), -1), 0);
        CHECK_INT(mrecvl(h[1], &l[0], &l[1], now() + 5000), 254);
        CHECK_MEM(in, out, sizeof(out));
    }
}

TEST(a_message_can_be_skipped) {
    EACH_TINY_PAIR {
        char buf[16];
        CHECK_INT(msend(h[0], "first", 5, -1), 0);
        CHECK_INT(msend(h[0], "second", 6, -1), 0);
        CHECK_INT(mrecvl(h[1], NULL, NULL, now() + 5000), 5);
        CHECK_INT(mrecv(h[1], buf, sizeof(buf), now() + 5000), 6);
        CHECK_MEM(buf, "second", 6);
    }
}

coroutine static void detach_peer(volatile int *stream) { *stream = tiny_detach(h[1], now() + 5000); }

TEST(both_sides_detach_and_go_on_with_the_stream) {
    EACH_TINY_PAIR {
        volatile int theirs = -2;
        char buf[3];
        int b = go(detach_peer(&theirs));
        int ours = tiny_detach(h[0], now() + 5000);
        CHECK(ours >= 0);
        CHECK_INT(bundle_wait(b, now() + 5000), 0);
        CHECK(theirs >= 0);
        CHECK_INT(bsend(ours, "raw", 3, -1), 0);
        CHECK_INT(brecv(theirs, buf, 3, now() + 5000), 0);
        CHECK_MEM(buf, "raw", 3);
        CHECK_INT(hclose(b), 0);
    }
}

TEST(closing_the_upper_handle_closes_the_stream) {
    char buf[1];
    make_tiny_pair(make_ipc_pair);
    CHECK_INT(hclose(h[0]), 0);
    CHECK_ERR(mrecv(h[1], buf, 1, now() + 5000), -1, EPIPE);
}
