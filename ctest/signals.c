/* Signals: never visible as EINTR, handled while the runtime waits or runs. */

#include <sys/time.h>

#include <libdill.h>

#include "dies.h"
#include "pair.h"
#include "test.h"

static int signal_pipe[2];
static volatile sig_atomic_t signals_seen;

static void write_to_pipe(int sig) {
    (void)sig;
    (void)!write(signal_pipe[1], "x", 1);
}

static void count_signal(int sig) {
    (void)sig;
    ++signals_seen;
}

coroutine static void raise_signal(int ch) {
    CHECK_INT(raise(SIGUSR1), 0);
    CHECK_INT(chsend(ch, NULL, 0, -1), 0);
}

coroutine static void receive_signal(int ch) {
    char c;
    CHECK_INT(fdin(signal_pipe[0], -1), 0);
    CHECK_INT(read(signal_pipe[0], &c, 1), 1);
    CHECK_INT(chsend(ch, NULL, 0, -1), 0);
}

TEST(a_thousand_signals_arrive_through_a_pipe) {
    int ch[2];
    CHECK_INT(pipe(signal_pipe), 0);
    signal(SIGUSR1, write_to_pipe);
    CHECK_INT(chmake(ch), 0);
    for (int i = 0; i != 1000; ++i) {
        int b = bundle();
        CHECK_INT(bundle_go(b, receive_signal(ch[0])), 0);
        CHECK_INT(bundle_go(b, raise_signal(ch[0])), 0);
        CHECK_INT(chrecv(ch[1], NULL, 0, -1), 0);
        CHECK_INT(chrecv(ch[1], NULL, 0, -1), 0);
        CHECK_INT(hclose(b), 0);
    }
}

/* A signal every millisecond, without SA_RESTART. */
static void start_storm(void) {
    struct sigaction action;
    struct itimerval every_ms = {{0, 1000}, {0, 1000}};
    memset(&action, 0, sizeof(action));
    action.sa_handler = count_signal;
    CHECK_INT(sigaction(SIGALRM, &action, NULL), 0);
    CHECK_INT(setitimer(ITIMER_REAL, &every_ms, NULL), 0);
}

TEST(msleep_is_not_cut_short_by_signals) {
    start_storm();
    for (int i = 0; i < 10 || signals_seen <= 10; ++i) {
        int64_t deadline = now() + 20;
        CHECK_INT(msleep(deadline), 0);
        CHECK(now() >= deadline);
    }
}

TEST(waits_for_descriptors_do_not_report_EINTR) {
    start_storm();
    for (int i = 0; i < 10 || signals_seen <= 10; ++i) {
        int p[2];
        CHECK_INT(pipe(p), 0);
        CHECK_ERR(fdin(p[0], now() + 20), -1, ETIMEDOUT);
    }
}

#ifndef WITHOUT_SOCKETS
coroutine static void send_blocks(int s, int count) {
    static char block[100000];
    for (int i = 0; i != count; ++i) CHECK_INT(bsend(s, block, sizeof(block), -1), 0);
}

TEST(transfers_do_not_report_EINTR) {
    static char block[100000];
    int s[2];
    start_storm();
    EACH_STREAM(s) {
        int b = go(send_blocks(s[0], 200));
        for (int i = 0; i != 200; ++i) CHECK_INT(brecv(s[1], block, sizeof(block), -1), 0);
        CHECK_INT(bundle_wait(b, -1), 0);
        CHECK_INT(hclose(s[1]), 0);
        CHECK_INT(hclose(b), 0);
    }
}
#endif

TEST(signals_reach_a_process_that_waits_for_ever) {
    CHECK_INT(pipe(signal_pipe), 0);
    signal(SIGALRM, write_to_pipe);
    alarm(1);
    CHECK_INT(fdin(signal_pipe[0], -1), 0);
}

static void wait_for_ever_until_killed(void) {
    alarm(1);
    msleep(-1);
}

TEST(a_fatal_signal_ends_a_process_that_waits_for_ever) { CHECK_DIES_BY(wait_for_ever_until_killed, SIGALRM); }
