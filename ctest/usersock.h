/* Sockets as a user of libdillimpl.h writes them: a bytestream that forwards to another one and a message
   socket that records what it is asked. Neither buffers anything. */

#ifndef USERSOCK_H
#define USERSOCK_H

#include <libdillimpl.h>

#include "test.h"

/* What the library handed to a callback. */
struct seen_call {
    int count;
    struct iolist *first, *last;
    struct iolist copy; /* of *first, if there is one */
    int64_t deadline;
};

static inline void see_call(struct seen_call *c, struct iolist *first, struct iolist *last, int64_t deadline) {
    ++c->count;
    c->first = first;
    c->last = last;
    c->deadline = deadline;
    if (first) c->copy = *first;
    for (struct iolist *it = first; it; it = it->iol_next) CHECK_INT(it->iol_rsvd, 0);
}

/* --- A bytestream on top of another one --- */

struct user_stream {
    struct hvfs hvfs;
    struct bsock_vfs bvfs;
    int lower;     /* -1: there is none, calls succeed at once */
    int fail_send; /* if not 0: fail with this errno */
    int fail_receive;
    int closes;
    struct seen_call sent, received;
};

#define USER_STREAM_OF(BVFS) ((struct user_stream *)(void *)((char *)(BVFS)-offsetof(struct user_stream, bvfs)))

static inline void *user_stream_query(struct hvfs *hvfs, const void *type) {
    struct user_stream *self = (struct user_stream *)hvfs;
    if (type == bsock_type) return &self->bvfs;
    errno = ENOTSUP;
    return NULL;
}

static inline void user_stream_close(struct hvfs *hvfs) {
    struct user_stream *self = (struct user_stream *)hvfs;
    ++self->closes;
    if (self->lower >= 0) CHECK_INT(hclose(self->lower), 0);
}

static inline int user_stream_bsendl(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last,
                                     int64_t deadline) {
    struct user_stream *self = USER_STREAM_OF(bvfs);
    see_call(&self->sent, first, last, deadline);
    if (self->fail_send) {
        errno = self->fail_send;
        return -1;
    }
    return self->lower < 0 ? 0 : bsendl(self->lower, first, last, deadline);
}

static inline int user_stream_brecvl(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last,
                                     int64_t deadline) {
    struct user_stream *self = USER_STREAM_OF(bvfs);
    see_call(&self->received, first, last, deadline);
    if (self->fail_receive) {
        errno = self->fail_receive;
        return -1;
    }
    return self->lower < 0 ? 0 : brecvl(self->lower, first, last, deadline);
}

static inline int user_stream_make(struct user_stream *self, int lower) {
    int h;
    memset(self, 0, sizeof(*self));
    self->hvfs.query = user_stream_query;
    self->hvfs.close = user_stream_close;
    self->bvfs.bsendl = user_stream_bsendl;
    self->bvfs.brecvl = user_stream_brecvl;
    self->lower = lower < 0 ? -1 : hown(lower);
    h = hmake(&self->hvfs);
    CHECK(h >= 0);
    return h;
}

/* --- A message socket that goes nowhere --- */

struct user_messages {
    struct hvfs hvfs;
    struct msock_vfs mvfs;
    int fail; /* if not 0: fail with this errno */
    ssize_t size; /* of the messages that it pretends to receive */
    struct seen_call sent, received;
};

#define USER_MESSAGES_OF(MVFS) \
    ((struct user_messages *)(void *)((char *)(MVFS)-offsetof(struct user_messages, mvfs)))

static inline void *user_messages_query(struct hvfs *hvfs, const void *type) {
    struct user_messages *self = (struct user_messages *)hvfs;
    if (type == msock_type) return &self->mvfs;
    errno = ENOTSUP;
    return NULL;
}

static inline void user_messages_close(struct hvfs *hvfs) { (void)hvfs; }

static inline int user_messages_msendl(struct msock_vfs *mvfs, struct iolist *first, struct iolist *last,
                                       int64_t deadline) {
    struct user_messages *self = USER_MESSAGES_OF(mvfs);
    see_call(&self->sent, first, last, deadline);
    errno = self->fail;
    return self->fail ? -1 : 0;
}

static inline ssize_t user_messages_mrecvl(struct msock_vfs *mvfs, struct iolist *first, struct iolist *last,
                                           int64_t deadline) {
    struct user_messages *self = USER_MESSAGES_OF(mvfs);
    see_call(&self->received, first, last, deadline);
    errno = self->fail;
    return self->fail ? -1 : self->size;
}

static inline int user_messages_make(struct user_messages *self) {
    int h;
    memset(self, 0, sizeof(*self));
    self->hvfs.query = user_messages_query;
    self->hvfs.close = user_messages_close;
    self->mvfs.msendl = user_messages_msendl;
    self->mvfs.mrecvl = user_messages_mrecvl;
    h = hmake(&self->hvfs);
    CHECK(h >= 0);
    return h;
}

#endif
