/* Allocations that fail: the program's symbols win over libc's. */

#ifndef FAILING_MALLOC_H
#define FAILING_MALLOC_H

#include <errno.h>
#include <stddef.h>

/* How many allocations succeed before one fails; negative: all of them. */
static int left = -1;
/* All that come behind that one fail, too. */
static int all_fail;
/* Memory that is there can grow. */
static int realloc_succeeds;

static int is_to_fail(void) {
    if (left < 0) return 0;
    if (left > 0) {
        --left;
        return 0;
    }
    if (!all_fail) left = -1;
    errno = ENOMEM;
    return 1;
}

extern void *__libc_malloc(size_t len);
extern void *__libc_realloc(void *place, size_t len);

void *malloc(size_t len) { return is_to_fail() ? NULL : __libc_malloc(len); }
void *realloc(void *place, size_t len) { return !realloc_succeeds && is_to_fail() ? NULL : __libc_realloc(place, len); }

#endif
