/* Coroutines for gdb to look at: one in a channel, one in a descriptor, one asleep in a function of its own, one that is
   being shut down and takes its time, one that is ready, and those of another thread. `look` is where gdb stops. */

#include <libdill.h>
#include <pthread.h>
#include <stdio.h>

__attribute__((noinline)) void look(void) { __asm__ volatile(""); }

static coroutine void receiver(int ch) {
    int n;
    chrecv(ch, &n, sizeof n, -1);
}

static coroutine void reader(int fd) { fdin(fd, -1); }

__attribute__((noinline)) static void sleep_long(int64_t time) {
    volatile int64_t deadline = now() + time;
    msleep(deadline);
    deadline = 0;
}

static coroutine void sleeper(int64_t time) {
    sleep_long(time);
    sleep_long(time);
}

static coroutine void polite(int bell) {
    int fds = fdin(bell, -1); /* ECANCELED */
    look();
    (void)fds;
}

static coroutine void bystander(void) { yield(); }

static coroutine void elsewhere_sleeper(void) { msleep(-1); }

static int ready[2];

static void *elsewhere(void *unused) {
    int b = go(elsewhere_sleeper());
    ssize_t rc = write(ready[1], "", 1);
    (void)rc;
    pause();
    hclose(b);
    return unused;
}

int main(int argc, char *argv[]) {
    (void)argv;
    int fds[2], ch[2];
    char c;
    pthread_t thread;
    if (pipe(ready) < 0 || pthread_create(&thread, NULL, elsewhere, NULL) != 0 || read(ready[0], &c, 1) != 1 ||
        pipe(fds) < 0 || chmake(ch) < 0)
        return 1;
    int workers = bundle();
    bundle_go(workers, receiver(ch[0]));
    bundle_go(workers, reader(fds[0]));
    int b = go(sleeper(100000));
    int dying = go(polite(ready[0]));
    bundle_go(workers, bystander());
    look();
    if (argc > 1) abort(); /* for a core file */
    hclose(dying);
    hclose(b);
    hclose(workers);
    return 0;
}
