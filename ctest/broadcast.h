/* Pairs of WebSockets for broadcasts, at most MANY, which whoever includes this says. */

#ifndef BROADCAST_H
#define BROADCAST_H

#include "test.h"

enum { LARGE = 100000 };

/* What became of each, with room behind that for what must stay as it is. */
static int servers[MANY], clients[MANY], errors[MANY + 8];
static char large[LARGE];

static void close_pairs(int count) {
    for (int i = 0; i != count; ++i) {
        CHECK_INT(hclose(servers[i]), 0);
        CHECK_INT(hclose(clients[i]), 0);
    }
}

static void check_errors(int count, int expected) {
    for (int i = 0; i != count; ++i) CHECK_INT(errors[i], expected);
    memset(errors, 0x55, sizeof(errors));
}

coroutine static void send_one(int s, const void *text, size_t len, int *rc) {
    *rc = ws_send(s, WS_TEXT, text, len, now() + 5000);
}

#endif
