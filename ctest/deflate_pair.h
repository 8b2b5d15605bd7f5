/* Two WebSockets of ours on two bytestreams, which compress if `how` and `opts` say so. */

#ifndef DEFLATE_PAIR_H
#define DEFLATE_PAIR_H

#include <libdillext.h>

#include "test.h"

static inline int64_t in_time(void) { return now() + 5000; }

static struct ws_deflate how = {.size = sizeof(struct ws_deflate)};
static struct ws_opts opts = {.size = sizeof(struct ws_opts), .flags = WS_TEXT | WS_DEFLATE, .deflate = &how};

static coroutine void accept_into(int s, int *ws) { *ws = ws_attach_server_opts(s, &opts, in_time()); }

/* The client first. */
static inline void make_pair(int s[2], int ws[2]) {
    int server = go(accept_into(s[1], &ws[1]));
    ws[0] = ws_attach_client_opts(s[0], "/", "x", &opts, in_time());
    CHECK(ws[0] >= 0);
    CHECK_INT(bundle_wait(server, -1), 0);
    CHECK(ws[1] >= 0);
    CHECK_INT(hclose(server), 0);
}

#endif
