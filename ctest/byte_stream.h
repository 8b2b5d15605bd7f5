/* A bytestream as a user of libdillimpl.h writes it, hard on whatever runs on top of it: on a descriptor, which
   it takes over, it passes bytes on one at a time (large blocks in pieces of a few hundred bytes, for the sake
   of time). What has come when a deadline passes is kept for the next call. */

#ifndef BYTE_STREAM_H
#define BYTE_STREAM_H

#include <fcntl.h>
#include <sys/socket.h>

#include <libdillimpl.h>

#include "over_tls.h"
#include "test.h"

struct byte_stream {
    struct hvfs hvfs;
    struct bsock_vfs bvfs;
    int fd;
    char *kept; /* received by calls that failed */
    size_t len;
};

#define BYTE_STREAM_OF(BVFS) ((struct byte_stream *)(void *)((char *)(BVFS)-offsetof(struct byte_stream, bvfs)))

static inline size_t byte_stream_step(size_t left, size_t total) {
    size_t step = total > 1000 ? 499 : 1;
    return step < left ? step : left;
}

static inline size_t byte_stream_total(const struct iolist *first) {
    size_t total = 0;
    for (; first; first = first->iol_next) total += first->iol_len;
    return total;
}

static inline void *byte_stream_query(struct hvfs *hvfs, const void *type) {
    struct byte_stream *self = (struct byte_stream *)hvfs;
    if (type == bsock_type) return &self->bvfs;
    errno = ENOTSUP;
    return NULL;
}

static inline void byte_stream_close(struct hvfs *hvfs) {
    struct byte_stream *self = (struct byte_stream *)hvfs;
    CHECK_INT(fdclean(self->fd), 0);
    CHECK_INT(close(self->fd), 0);
    free(self->kept);
    free(self);
}

static inline int byte_stream_bsendl(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last,
                                     int64_t deadline) {
    struct byte_stream *self = BYTE_STREAM_OF(bvfs);
    size_t total = byte_stream_total(first);
    CHECK(!last->iol_next);
    for (struct iolist *it = first; it; it = it->iol_next)
        for (size_t done = 0; done != it->iol_len;) {
            size_t step = byte_stream_step(it->iol_len - done, total);
            ssize_t n = raw_send_some(self->fd, (char *)it->iol_base + done, step, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n > 0) done += (size_t)n;
            else if (errno == EPIPE) return errno = ECONNRESET, -1;
            else if (errno != EAGAIN || fdout(self->fd, deadline) < 0) return -1;
        }
    while (!raw_flush(self->fd))
        if (fdout(self->fd, deadline) < 0) return -1;
    return 0;
}

static inline int byte_stream_brecvl(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last,
                                     int64_t deadline) {
    struct byte_stream *self = BYTE_STREAM_OF(bvfs);
    size_t total = byte_stream_total(first), taken = 0;
    CHECK(!last->iol_next);
    if (self->len < total) self->kept = (char *)realloc(self->kept, total);
    while (self->len < total) {
        ssize_t n = recv(self->fd, self->kept + self->len, byte_stream_step(total - self->len, total), MSG_DONTWAIT);
        if (n > 0) self->len += (size_t)n;
        else if (n == 0) return errno = EPIPE, -1;
        else if (errno != EAGAIN || fdin(self->fd, deadline) < 0) return -1;
    }
    for (struct iolist *it = first; it; taken += it->iol_len, it = it->iol_next)
        if (it->iol_base) memcpy(it->iol_base, self->kept + taken, it->iol_len);
    self->len -= total;
    memmove(self->kept, self->kept + total, self->len);
    return 0;
}

static inline int byte_stream_make(int fd) {
    struct byte_stream *self = (struct byte_stream *)calloc(1, sizeof(*self));
    int h;
    self->hvfs.query = byte_stream_query;
    self->hvfs.close = byte_stream_close;
    self->bvfs.bsendl = byte_stream_bsendl;
    self->bvfs.brecvl = byte_stream_brecvl;
    self->fd = fd;
    h = hmake(&self->hvfs);
    CHECK(h >= 0);
    return h;
}

/* On top of a socket pair, with the other end as a plain peer. */
static inline void make_byte_stream_and_raw(int *s, int *fd) {
    struct timeval limit = {5, 0};
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    CHECK_INT(setsockopt(fds[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    *s = byte_stream_make(fds[0]);
    *fd = fds[1];
}

static inline void make_byte_stream_pair(int s[2]) {
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    for (int i = 0; i != 2; ++i) s[i] = byte_stream_make(fds[i]);
}

#endif
