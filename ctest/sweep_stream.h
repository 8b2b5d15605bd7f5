/* A bytestream as a user of libdillimpl.h writes it, hard on whatever runs on top of it: it passes bytes on
   one at a time, and fails at the call that it is told. */

#ifndef SWEEP_STREAM_H
#define SWEEP_STREAM_H

#include <libdillimpl.h>

#include "test.h"

struct thin_stream {
    struct hvfs hvfs;
    struct bsock_vfs bvfs;
    int lower;
    int calls;      /* so far, those that send and those that receive */
    int sends;      /* those that send */
    int fail_at;    /* the number of the call that fails, from 1 on; 0: none */
    int only_once;  /* later calls succeed again; else all of them fail */
    int err;        /* with this errno */
    int closes;
};

#define THIN_STREAM_OF(BVFS) ((struct thin_stream *)(void *)((char *)(BVFS)-offsetof(struct thin_stream, bvfs)))

static inline void *thin_stream_query(struct hvfs *hvfs, const void *type) {
    struct thin_stream *self = (struct thin_stream *)hvfs;
    if (type == bsock_type) return &self->bvfs;
    errno = ENOTSUP;
    return NULL;
}

static inline void thin_stream_close(struct hvfs *hvfs) {
    struct thin_stream *self = (struct thin_stream *)hvfs;
    ++self->closes;
    CHECK_INT(hclose(self->lower), 0);
}

static inline int thin_stream_fails(struct thin_stream *self) {
    ++self->calls;
    if (!self->fail_at || self->calls < self->fail_at) return 0;
    if (self->only_once && self->calls > self->fail_at) return 0;
    errno = self->err;
    return 1;
}

static inline int thin_stream_bsendl(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last,
                                     int64_t deadline) {
    struct thin_stream *self = THIN_STREAM_OF(bvfs);
    ++self->sends;
    CHECK(!last->iol_next);
    if (thin_stream_fails(self)) return -1;
    for (struct iolist *it = first; it; it = it->iol_next)
        for (size_t i = 0; i != it->iol_len; ++i)
            if (bsend(self->lower, (char *)it->iol_base + i, 1, deadline) < 0) return -1;
    return 0;
}

static inline int thin_stream_brecvl(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last,
                                     int64_t deadline) {
    struct thin_stream *self = THIN_STREAM_OF(bvfs);
    CHECK(!last->iol_next);
    if (thin_stream_fails(self)) return -1;
    for (struct iolist *it = first; it; it = it->iol_next)
        for (size_t i = 0; i != it->iol_len; ++i)
            if (brecv(self->lower, it->iol_base ? (char *)it->iol_base + i : NULL, 1, deadline) < 0) return -1;
    return 0;
}

static inline int thin_stream_make(struct thin_stream *self, int lower) {
    int h;
    memset(self, 0, sizeof(*self));
    self->hvfs.query = thin_stream_query;
    self->hvfs.close = thin_stream_close;
    self->bvfs.bsendl = thin_stream_bsendl;
    self->bvfs.brecvl = thin_stream_brecvl;
    self->lower = hown(lower);
    CHECK(self->lower >= 0);
    h = hmake(&self->hvfs);
    CHECK(h >= 0);
    return h;
}

#endif
