/* I/O lists that must come back from a call as they were. */

#ifndef LIST_H
#define LIST_H

#include <libdill.h>

#include "test.h"

static inline void list_check_same(const char *file, int line, const struct iolist *seen,
                                   const struct iolist *before, size_t count) {
    for (size_t i = 0; i != count; ++i)
        if (seen[i].iol_base != before[i].iol_base || seen[i].iol_len != before[i].iol_len ||
            seen[i].iol_next != before[i].iol_next || seen[i].iol_rsvd != before[i].iol_rsvd)
            test_fail(file, line, "element %zu of the list has changed", i);
}

/* Both are arrays of the same number of elements. */
#define CHECK_SAME_LIST(SEEN, BEFORE) \
    list_check_same(__FILE__, __LINE__, (SEEN), (BEFORE), sizeof(SEEN) / sizeof(*(SEEN)))

#endif
