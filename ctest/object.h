/* A handle type of our own that counts the calls it gets. */

#ifndef OBJECT_H
#define OBJECT_H

#include <libdillimpl.h>

#include "test.h"

struct object {
    struct hvfs vfs;
    const void *type;            /* the only type it answers */
    void *answer;                /* what it answers */
    void (*on_close)(struct object *self);
    int queries;
    int closes;
};

/* Each program has one static object of which only the address matters. */
static const int object_type_here;
static const void *const object_type = &object_type_here;

static inline void *object_query(struct hvfs *vfs, const void *type) {
    struct object *self = (struct object *)vfs;
    ++self->queries;
    if (type == self->type) return self->answer;
    errno = ENOTSUP;
    return NULL;
}

static inline void object_close(struct hvfs *vfs) {
    struct object *self = (struct object *)vfs;
    ++self->closes;
    if (self->on_close) self->on_close(self);
}

static inline void object_init(struct object *self) {
    memset(self, 0, sizeof(*self));
    self->vfs.query = object_query;
    self->vfs.close = object_close;
    self->type = object_type;
    self->answer = self;
}

static inline int object_make(struct object *self) {
    int h;
    object_init(self);
    h = hmake(&self->vfs);
    CHECK(h >= 0);
    return h;
}

#endif
