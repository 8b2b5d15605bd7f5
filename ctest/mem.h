/* Storage for the _mem functions: at every alignment, with canary bytes on both sides that the library must
   not touch. */

#ifndef MEM_H
#define MEM_H

#include "test.h"

enum { MEM_CANARY = 256, MEM_CANARY_BYTE = 0xA5 };

struct guarded_mem {
    unsigned char *all;
    size_t len, offset;
};

/* A block of len bytes at an address that is offset more than a multiple of 16. */
static inline void *guarded_make(struct guarded_mem *m, size_t len, size_t offset) {
    void *all = NULL;
    CHECK_INT(posix_memalign(&all, 16, MEM_CANARY + offset + len + MEM_CANARY), 0);
    m->all = (unsigned char *)all;
    m->len = len;
    m->offset = MEM_CANARY + offset;
    memset(m->all, MEM_CANARY_BYTE, m->offset + len + MEM_CANARY);
    return m->all + m->offset;
}

static inline void guarded_check(const struct guarded_mem *m) {
    for (size_t i = 0; i != m->offset; ++i) CHECK_INT(m->all[i], MEM_CANARY_BYTE);
    for (size_t i = 0; i != MEM_CANARY; ++i) CHECK_INT(m->all[m->offset + m->len + i], MEM_CANARY_BYTE);
}

static inline void guarded_free(struct guarded_mem *m) {
    guarded_check(m);
    free(m->all);
}

/* Runs the statement that follows for each interesting misalignment. */
#define EACH_OFFSET(OFFSET) for (size_t OFFSET = 0; OFFSET != 16; ++OFFSET)

#endif
