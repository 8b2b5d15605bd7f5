/* What the client and the server of these tests say: a line for each thing that happens. */

#ifndef SAY_H
#define SAY_H

#include <libdillext.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "../../ctest/errno_name.h"

/* Every step has to end within this time, in milliseconds. */
#define STEP 20000

/* "what: ok" or "what: ERRNO"; returns whether it went well. */
static inline int say(const char *what, int rc) {
    printf("%s: %s\n", what, rc < 0 ? errno_name(errno) : "ok");
    return rc >= 0;
}

/* Receives bytes up to the end of a line, which is replaced by a NUL. */
static inline int receive_line(int s, char *line, size_t size) {
    for (size_t len = 0; len != size; ++len) {
        if (brecv(s, &line[len], 1, now() + STEP) < 0) return -1;
        if (line[len] == '\n') {
            line[len] = 0;
            return 0;
        }
    }
    errno = EMSGSIZE;
    return -1;
}

/* Receives to the end; returns the number of bytes and a sum that depends on their order. */
static inline size_t receive_rest(int s, uint32_t *sum) {
    unsigned char byte;
    size_t len = 0;
    *sum = 1;
    while (brecv(s, &byte, 1, now() + STEP) == 0) {
        *sum = *sum * 31 + byte;
        ++len;
    }
    return len;
}

#endif
