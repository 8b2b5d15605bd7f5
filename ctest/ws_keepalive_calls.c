/* The system calls that keepalive takes: one for each ping and pong that is sent, one or two for each that is
   received, and those that wait. They are counted where the library makes them: in functions of the C library that
   this program has its own of. */

#include <libdillext.h>

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include "test.h"
#include "wire.h"

static int sends, receives, waits, others;

ssize_t send(int s, const void *buf, size_t len, int flags) {
    ++sends;
    return syscall(SYS_sendto, s, buf, len, flags, NULL, 0);
}

ssize_t sendmsg(int s, const struct msghdr *m, int flags) {
    ++sends;
    return syscall(SYS_sendmsg, s, m, flags);
}

ssize_t recv(int s, void *buf, size_t len, int flags) {
    ++receives;
    return syscall(SYS_recvfrom, s, buf, len, flags, NULL, NULL);
}

ssize_t recvmsg(int s, struct msghdr *m, int flags) {
    ++receives;
    return syscall(SYS_recvmsg, s, m, flags);
}

int epoll_wait(int set, struct epoll_event *events, int count, int timeout) {
    ++waits;
    return (int)syscall(SYS_epoll_pwait, set, events, count, timeout, NULL, 0);
}

int epoll_ctl(int set, int op, int fd, struct epoll_event *event) {
    ++others;
    return (int)syscall(SYS_epoll_ctl, set, op, fd, event);
}

int ioctl(int fd, unsigned long request, ...) {
    (void)fd, (void)request;
    ++others;
    return -1;
}

int timerfd_create(clockid_t clock, int flags) {
    ++others;
    return (int)syscall(SYS_timerfd_create, clock, flags);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old) {
    ++others;
    return (int)syscall(SYS_timerfd_settime, fd, flags, new, old);
}

static int count_of_pairs(void) {
    const char *text = getenv("KEEPALIVE_PAIRS");
    return text ? atoi(text) : 300;
}

TEST(many_connections_are_kept_alive_by_pings_pongs_and_waits_alone) {
    int pairs = count_of_pairs(), (*ws)[2] = malloc((size_t)pairs * sizeof(*ws));
    struct ws_opts asks = {.size = sizeof(asks), .flags = WS_NOHTTP, .ping_interval = 200, .ping_timeout = 60000};
    struct ws_opts answers = {.size = sizeof(answers), .flags = WS_NOHTTP};
    struct ws_info info = {.size = sizeof(info)};
    struct rlimit limit;
    uint64_t pings = 0, pongs = 0, before = 0;
    skip_under_wrapper("the functions of the C library are replaced");
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i != pairs; ++i) {
        make_tcp_pair(ws[i]);
        ws[i][0] = ws_attach_client_opts(ws[i][0], NULL, NULL, &answers, -1);
        ws[i][1] = ws_attach_server_opts(ws[i][1], &asks, -1);
        CHECK(ws[i][0] >= 0 && ws[i][1] >= 0);
    }
    CHECK_INT(msleep(now() + 20), 0);
    for (int i = 0; i != pairs; ++i)
        for (int k = 0; k != 2; ++k) {
            CHECK_INT(ws_info(ws[i][k], &info), 0);
            before += info.pings_sent + info.pongs_sent;
        }
    sends = receives = waits = others = 0;
    CHECK_INT(msleep(now() + 1000), 0);
    int counted[] = {sends, receives, waits, others};
    for (int i = 0; i != pairs; ++i) {
        CHECK_INT(ws_info(ws[i][1], &info), 0);
        pings += info.pings_sent;
        CHECK_INT(ws_info(ws[i][0], &info), 0);
        pongs += info.pongs_sent;
    }
    fprintf(stderr, "%d connections: %d pings, %d pongs; %d sends, %d receives, %d waits, %d other calls\n", pairs,
            (int)pings, (int)pongs, counted[0], counted[1], counted[2], counted[3]);
    CHECK(pings >= (uint64_t)pairs);
    CHECK(pongs + (uint64_t)pairs >= pings);
    CHECK_INT(counted[0], pings + pongs - before);
    CHECK(counted[1] <= 2 * counted[0]);
    CHECK(counted[2] <= 2 * counted[0] + 20);
    CHECK_INT(counted[3], 0);
}
