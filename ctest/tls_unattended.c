/* Small records that come over TLS while nobody receives. */

#include <pthread.h>
#include <sys/syscall.h>

#include "test.h"
#include "tls.h"

/* How often something was received since others have run, and the most: the program's symbol wins over libc's. */
static __thread int receives, most;

ssize_t recv(int fd, void *buf, size_t len, int flags) {
    if (++receives > most) most = receives;
    return (ssize_t)syscall(SYS_recvfrom, fd, buf, len, flags, NULL, NULL);
}

static int count = 60000;
static struct ipaddr addr;
static volatile int records, is_attached, is_sent;

/* The peer, in a thread of its own: the beginning of a message of 1 MiB, and a byte of it in each record. */
static void *send_records(void *arg) {
    int s = tls_attach_client(tcp_connect(&addr, -1), -1);
    CHECK(s >= 0);
    while (!is_attached) CHECK_INT(usleep(1000), 0);
    CHECK_INT(bsend(s, "\x82\xff\0\0\0\0\0\x10\0\0\0\0\0", 14, soon()), 0);
    while (records != count && bsend(s, "x", 1, now() + 100) == 0) ++records;
    is_sent = 1;
    CHECK_INT(msleep(-1), 0);
    return arg;
}

/* Makes a WebSocket for which all of it lies in the kernel: before, this thread does nothing. */
static void open_after_all_was_sent(void) {
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP};
    pthread_t thread;
    make_certificate();
    int listener = listen_somewhere(&addr);
    CHECK_INT(pthread_create(&thread, NULL, send_records, NULL), 0);
    int s = tcp_accept(listener, NULL, -1);
    s = tls_attach_server(s, in_directory("server.pem"), in_directory("server.key"), -1);
    int ws = ws_attach_server_opts(s, &opts, soon());
    CHECK(ws >= 0);
    is_attached = 1;
    while (!is_sent) CHECK_INT(usleep(1000), 0);
}

TEST(small_records_that_nobody_receives_let_others_run) {
    /* valgrind takes as long for a record as the processor for a hundred. */
    if (is_wrapped()) count = 3000;
    open_after_all_was_sent();
    CHECK(records > count / 3);
    most = 0;
    for (int64_t end = now() + 200; most == 0 || now() < end;) {
        receives = 0;
        CHECK_INT(yield(), 0);
    }
    CHECK(most > 0);
    CHECK(most <= 25);
}
