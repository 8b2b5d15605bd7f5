/* What TCP and IPC connections have in common, so that one test covers both. */

#ifndef STREAM_H
#define STREAM_H

#include "pair.h"

typedef int (*stream_call)(int s, int64_t deadline);

static inline int detach_and_close(int s, int64_t deadline) {
    s = tls_detach(s, deadline);
    return s < 0 ? -1 : hclose(s);
}

/* What ends such a pair's streams: kind is an index of make_stream_pair. */
static inline stream_call stream_done(int kind) { return OVER_TLS ? tls_done : kind ? ipc_done : tcp_done; }
static inline stream_call stream_close(int kind) { return OVER_TLS ? detach_and_close : kind ? ipc_close : tcp_close; }

/* Runs the statement for connected pairs of both kinds, with their done and close functions. */
#define EACH_STREAM_WITH(S, DONE, CLOSE)                                                           \
    for (int kind_ = 0; kind_ != 2; ++kind_)                                                       \
        for (stream_call DONE = stream_done(kind_), CLOSE = stream_close(kind_);                    \
             DONE && (make_stream_pair[kind_](S), (void)CLOSE, 1); DONE = NULL)

#endif
