/* Compiled in front of a program, this puts a bytestream of the program's own between its WebSockets and TCP.
   It delivers a byte at a time. */

#ifndef LAYERED_H
#define LAYERED_H

#include <libdillimpl.h>

#include <errno.h>
#include <stdlib.h>

struct layer {
    struct hvfs hvfs;
    struct bsock_vfs bvfs;
    int tcp;
};

static inline struct layer *layer_of(struct bsock_vfs *bvfs) {
    return (struct layer *)(void *)((char *)bvfs - offsetof(struct layer, bvfs));
}

static inline void *layer_query(struct hvfs *hvfs, const void *type) {
    if (type == bsock_type)
        return &((struct layer *)hvfs)->bvfs;
    errno = ENOTSUP;
    return NULL;
}

static inline void layer_close(struct hvfs *hvfs) {
    struct layer *self = (struct layer *)hvfs;
    /* Not with a reset, which would overtake what was sent. */
    tcp_close(self->tcp, now() + 1000);
    free(self);
}

static inline int layer_send(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last, int64_t deadline) {
    return bsendl(layer_of(bvfs)->tcp, first, last, deadline);
}

static inline int layer_recv(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last, int64_t deadline) {
    (void)last;
    for (; first; first = first->iol_next)
        for (size_t i = 0; i != first->iol_len; ++i) {
            char *base = first->iol_base;
            if (brecv(layer_of(bvfs)->tcp, base ? base + i : NULL, 1, deadline) < 0)
                return -1;
        }
    return 0;
}

/* Takes a TCP connection over, or passes a failure on. */
static inline int layer_over(int tcp) {
    if (tcp < 0)
        return -1;
    struct layer *self = calloc(1, sizeof *self);
    if (!self)
        abort();
    self->hvfs.query = layer_query;
    self->hvfs.close = layer_close;
    self->bvfs.bsendl = layer_send;
    self->bvfs.brecvl = layer_recv;
    self->tcp = hown(tcp);
    return hmake(&self->hvfs);
}

static inline int layered_accept(int listener, struct ipaddr *addr, int64_t deadline) {
    return layer_over(tcp_accept(listener, addr, deadline));
}

static inline int layered_connect(const struct ipaddr *addr, int64_t deadline) {
    return layer_over(tcp_connect(addr, deadline));
}

/* The layer is closed as TCP is. */
static inline int layered_close(int s, int64_t deadline) {
    (void)deadline;
    return hclose(s);
}

#undef tcp_accept
#undef tcp_connect
#undef tcp_close
#define tcp_accept layered_accept
#define tcp_connect layered_connect
#define tcp_close layered_close

#endif
