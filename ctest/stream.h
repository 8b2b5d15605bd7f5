/* What TCP and IPC connections have in common, so that one test covers both. */

#ifndef STREAM_H
#define STREAM_H

#include "pair.h"

typedef int (*stream_call)(int s, int64_t deadline);

/* Runs the statement for connected pairs of both kinds, with their done and close functions. */
#define EACH_STREAM_WITH(S, DONE, CLOSE)                                                           \
    for (int kind_ = 0; kind_ != 2; ++kind_)                                                       \
        for (stream_call DONE = kind_ ? ipc_done : tcp_done, CLOSE = kind_ ? ipc_close : tcp_close; \
             DONE && (make_stream_pair[kind_](S), (void)CLOSE, 1); DONE = NULL)

#endif
