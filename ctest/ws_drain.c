/* A queue whose reader is as fast as its sender. */

#include <sys/syscall.h>

#include <libdillext.h>

#include "test.h"
#include "wire.h"

/* Nobody else runs while messages of this length are made ready. */
enum { MESSAGES = 150, LARGE = 1 << 14 };

/* In place of a kernel: nothing is taken, or all there is. The program's symbols win over those of libc. */
static int is_in_place, is_full;
/* Bytes since others have run, the most, and all of them. */
static size_t taken, most, total;

static ssize_t take(size_t len) {
    if (is_full) return errno = EAGAIN, -1;
    taken += len;
    total += len;
    if (taken > most) most = taken;
    return (ssize_t)len;
}

ssize_t send(int fd, const void *data, size_t len, int flags) {
    return is_in_place ? take(len) : (ssize_t)syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    if (!is_in_place) return (ssize_t)syscall(SYS_sendmsg, fd, message, flags);
    size_t len = 0;
    for (size_t i = 0; i != message->msg_iovlen; ++i) len += message->msg_iov[i].iov_len;
    return take(len);
}

TEST(a_queue_that_is_taken_as_fast_as_it_is_sent_lets_others_run) {
    static char large[LARGE];
    struct ws_info info = {.size = sizeof(info)};
    int s, fd, error;
    if (OVER_TLS) SKIP("the poller tells of a socket that the kernel has refused nothing for only when it is new to it");
    make_tcp_and_raw(&s, &fd);
    int ws = attach_without_http(s, SERVER, WS_BINARY);
    is_in_place = is_full = 1;
    for (int i = 0; i != MESSAGES; ++i)
        CHECK_INT(ws_broadcast(&ws, 1, WS_BINARY, large, LARGE, SIZE_MAX, &error), 1);
    is_full = 0;
    most = 0;
    do {
        taken = 0;
        CHECK_INT(yield(), 0);
        CHECK_INT(ws_info(ws, &info), 0);
    } while (info.queued);
    CHECK_INT(total, (size_t)MESSAGES * (LARGE + 4));
    CHECK(most <= 1 << 20);
    is_in_place = 0;
    CHECK_INT(hclose(ws), 0);
}
