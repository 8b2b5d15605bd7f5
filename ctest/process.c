/* The process around the library: its thread-specific keys, its descriptors, its threads and its children. */

#include <libdillext.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "dies.h"
#include "test.h"

/* Each call is counted, whoever makes it. */
static int contexts_made;
static int (*setspecific)(pthread_key_t, const void *);

#include <dlfcn.h>
int pthread_setspecific(pthread_key_t key, const void *value) {
    if (!setspecific) *(void **)&setspecific = dlsym(RTLD_NEXT, "pthread_setspecific");
    ++contexts_made;
    return setspecific(key, value);
}

/* A thread that finds no rest polls thousands of times in the 300 ms for which these tests wait. */
static int polls;
enum { FEW = 100 };

int epoll_wait(int epfd, struct epoll_event *events, int size, int timeout) {
    ++polls;
    return epoll_pwait(epfd, events, size, timeout, NULL);
}

/* --- Keys --- */

static pthread_key_t first_key;

static void *use_library_without_a_key(void *ours) {
    CHECK_INT(pthread_setspecific(first_key, ours), 0);
    CHECK_ERR(bundle(), -1, ENOMEM);
    CHECK(pthread_getspecific(first_key) == ours);
    return NULL;
}

TEST(a_thread_for_which_there_is_no_key_gets_ENOMEM_and_keeps_its_values) {
    static char ours;
    pthread_key_t key = 0;
    pthread_t thread;
    CHECK_INT(pthread_key_create(&first_key, NULL), 0);
    while (pthread_key_create(&key, NULL) == 0) continue;
    for (int i = 0; i != 2; ++i) {
        CHECK_INT(pthread_create(&thread, NULL, use_library_without_a_key, &ours), 0);
        CHECK_INT(pthread_join(thread, NULL), 0);
    }
    CHECK_INT(pthread_key_delete(first_key), 0);
    int h = bundle();
    CHECK(h >= 0);
    CHECK_INT(hclose(h), 0);
}

#ifndef WITHOUT_SOCKETS
static int pair[2];

static void *gather_and_end(void *arg) {
    int s = ws_attach_client(ipc_fromfd(pair[0]), WS_TEXT | WS_NOHTTP, NULL, NULL, -1);
    CHECK_INT(ws_send(s, WS_TEXT | WS_GATHER, "hello", 5, -1), 0);
    return arg;
}

TEST(a_thread_that_ends_with_a_gathered_message_makes_no_second_context) {
    pthread_t thread;
    char buf[64];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    contexts_made = 0;
    CHECK_INT(pthread_create(&thread, NULL, gather_and_end, NULL), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_INT(recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT), 11);
    CHECK_INT(contexts_made, 1);
}
#endif

/* --- The epoll descriptor --- */

static int p[2];

coroutine static void write_later(int fd) {
    CHECK_INT(msleep(now() + 50), 0);
    CHECK_INT(write(fd, "x", 1), 1);
}

static void use_poller(void) {
    CHECK_INT(pipe(p), 0);
    CHECK_ERR(fdin(p[0], now() + 1), -1, ETIMEDOUT);
}

/* The program closes what it does not know. */
static void close_all_but(int a, int b) {
    for (int fd = 3; fd != 100; ++fd)
        if (fd != a && fd != b) close(fd);
}

static void check_waiting_works(int in, int out) {
    int before = polls;
    char c;
    int h = go(write_later(out));
    CHECK_INT(fdin(in, now() + 5000), 0);
    CHECK_INT(read(in, &c, 1), 1);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(hclose(h), 0);
    CHECK_ERR(fdin(in, now() + 300), -1, ETIMEDOUT);
    CHECK(polls != before && polls - before < FEW);
}

TEST(when_the_epoll_descriptor_was_closed_another_one_is_made) {
    use_poller();
    close_all_but(p[0], p[1]);
    check_waiting_works(p[0], p[1]);
}

TEST(when_the_number_of_the_epoll_descriptor_is_another_file_that_one_is_left_alone) {
    int q[2];
    use_poller();
    close_all_but(p[0], p[1]);
    CHECK_INT(pipe(q), 0); /* has the number now */
    check_waiting_works(p[0], p[1]);
    check_waiting_works(q[0], q[1]);
    CHECK_INT(write(q[1], "y", 1), 1);
}

coroutine static void wait_for(int fd, volatile int *woken) {
    CHECK_INT(fdin(fd, now() + 5000), 0);
    ++*woken;
}

TEST(who_waits_when_the_epoll_descriptor_is_closed_is_woken) {
    volatile int woken = 0;
    use_poller();
    int h = go(wait_for(p[0], &woken));
    CHECK_INT(msleep(now() + 10), 0);
    close_all_but(p[0], p[1]);
    CHECK_INT(write(p[1], "x", 1), 1);
    CHECK_INT(bundle_wait(h, now() + 6000), 0);
    CHECK_INT(woken, 1);
}

coroutine static void wait_for_closed(int fd, volatile int *woken) {
    CHECK_ERR(fdin(fd, -1), -1, EBADF);
    ++*woken;
}

TEST(who_waits_for_a_descriptor_that_was_closed_with_the_epoll_descriptor_gets_EBADF) {
    volatile int woken = 0;
    use_poller();
    int h = go(wait_for_closed(p[0], &woken));
    CHECK_INT(msleep(now() + 10), 0);
    close_all_but(-1, -1);
    CHECK_INT(bundle_wait(h, now() + 5000), 0);
    CHECK_INT(woken, 1);
}

#ifndef WITHOUT_SOCKETS
static int is_socket(int fd) {
    struct stat found;
    return fstat(fd, &found) == 0 && S_ISSOCK(found.st_mode);
}

coroutine static void receive_from_closed(int s, volatile int *woken) {
    char c;
    CHECK_INT(brecv(s, &c, 1, -1), -1);
    ++*woken;
}

TEST(sockets_that_were_closed_behind_the_library_leave_no_trace_for_new_ones) {
    volatile int woken = 0;
    int s[2], t[2];
    char c;
    CHECK_INT(ipc_pair(s), 0);
    int h = go(receive_from_closed(s[0], &woken));
    CHECK_INT(msleep(now() + 10), 0);
    close_all_but(-1, -1);
    CHECK_INT(ipc_pair(t), 0);
    CHECK_ERR(brecv(t[0], &c, 1, now() + 10), -1, ETIMEDOUT);
    CHECK_INT(bundle_wait(h, now() + 5000), 0);
    CHECK_INT(woken, 1);
    CHECK_INT(bsend(t[1], "x", 1, -1), 0);
    CHECK_INT(ipc_pair(t), 0);
    h = go(receive_from_closed(t[0], &woken));
    CHECK_INT(hclose(t[1]), 0);
    CHECK_INT(bundle_wait(h, now() + 5000), 0);
}

/* A message goes from one to the other. */
static void check_connected(int s[2]) {
    char c;
    CHECK_INT(bsend(s[0], "x", 1, now() + 5000), 0);
    CHECK_INT(brecv(s[1], &c, 1, now() + 5000), 0);
    CHECK_INT(c, 'x');
}

TEST(a_socket_that_was_closed_behind_the_library_does_nothing_to_the_one_that_has_its_number) {
    int s[2], t[2];
    char c;
    CHECK_INT(ipc_pair(s), 0);
    close_all_but(-1, -1);
    CHECK_INT(ipc_pair(t), 0);
    for (int i = 0; i != 2; ++i) CHECK_ERR(bsend(s[i], "y", 1, now() + 5000), -1, EBADF);
    for (int i = 0; i != 2; ++i) CHECK_ERR(brecv(s[i], &c, 1, now() + 5000), -1, EBADF);
    check_connected(t);
    for (int i = 0; i != 2; ++i) CHECK_INT(hclose(s[i]), 0);
    check_connected(t);
}

TEST(a_UDP_socket_that_was_closed_behind_the_library_does_nothing_to_the_one_that_has_its_number) {
    struct ipaddr local;
    int t[2];
    char c;
    CHECK_INT(ipaddr_local(&local, "127.0.0.1", 0, IPADDR_IPV4), 0);
    int u = udp_open(&local, NULL);
    CHECK(u >= 0);
    close_all_but(-1, -1);
    CHECK_INT(ipc_pair(t), 0);
    CHECK_ERR(udp_recv(u, NULL, &c, 1, now() + 5000), -1, EBADF);
    CHECK_INT(hclose(u), 0);
    check_connected(t);
}

static void do_nothing(int in, int out) {
    (void)in;
    (void)out;
}

static void wait_for_both(int in, int out) {
    CHECK_ERR(fdin(in, now() + 1), -1, ETIMEDOUT);
    CHECK_INT(fdout(out, now() + 5000), 0);
}

static void clean_both(int in, int out) {
    CHECK_INT(fdclean(in), 0);
    CHECK_INT(fdclean(out), 0);
}

static void wait_for_files(int in, int out) {
    CHECK_ERR(fdin(in, now() + 1), -1, ENOTSUP);
    CHECK_ERR(fdout(out, now() + 1), -1, ENOTSUP);
}

static void make_pipe(int q[2]) { CHECK_INT(pipe(q), 0); }

/* On a disk: nobody can wait for such a file. */
static void make_file(int q[2]) {
    FILE *file = tmpfile();
    CHECK(file != NULL);
    q[1] = fileno(file);
    q[0] = open("/proc/self/exe", O_RDONLY);
    CHECK(q[0] >= 0);
}

TEST(a_file_of_the_program_that_has_the_number_of_a_socket_stays_open) {
    static const struct {
        void (*make)(int q[2]);
        void (*use)(int in, int out);
    } files[] = {{make_pipe, do_nothing}, {make_pipe, wait_for_both},  {make_pipe, clean_both},
                 {make_file, do_nothing}, {make_file, wait_for_files}, {make_file, clean_both}};
    for (size_t i = 0; i != sizeof(files) / sizeof(*files); ++i) {
        int s[2], q[2];
        char c;
        CHECK_INT(ipc_pair(s), 0);
        for (int j = 0; j != 2; ++j) CHECK_ERR(brecv(s[j], &c, 1, now() + 1), -1, ETIMEDOUT);
        int last = dup(0);
        for (int fd = 3; fd <= last; ++fd)
            if (is_socket(fd)) CHECK_INT(close(fd), 0);
        files[i].make(q);
        CHECK(q[0] < last && q[1] < last);
        files[i].use(q[0], q[1]);
        for (int j = 0; j != 2; ++j) CHECK_INT(hclose(s[j]), 0);
        CHECK_INT(write(q[1], "x", 1), 1);
        CHECK_INT(read(q[0], &c, 1), 1);
    }
}

TEST(a_number_that_was_waited_for_or_cleaned_while_it_was_nobodys_is_not_closed_with_the_socket) {
    enum { CLEANED_BEFORE, WAITED_FOR, CLEANED, ENDS };
    for (int how = 0; how != ENDS; ++how) {
        int s[2], q[2];
        char c;
        CHECK_INT(ipc_pair(s), 0);
        for (int j = 0; j != 2; ++j) CHECK_ERR(brecv(s[j], &c, 1, now() + 1), -1, ETIMEDOUT);
        int last = dup(0);
        for (int fd = 3; fd <= last; ++fd) {
            if (!is_socket(fd)) continue;
            if (how == CLEANED_BEFORE) CHECK_ERR(fdclean(fd), -1, EBUSY);
            CHECK_INT(close(fd), 0);
            if (how == WAITED_FOR) CHECK_ERR(fdin(fd, now() + 1), -1, EBADF);
            if (how == CLEANED) CHECK_INT(fdclean(fd), 0);
        }
        CHECK_INT(pipe(q), 0);
        CHECK(q[0] < last && q[1] < last);
        for (int j = 0; j != 2; ++j) CHECK_INT(hclose(s[j]), 0);
        CHECK_INT(write(q[1], "x", 1), 1);
        CHECK_INT(read(q[0], &c, 1), 1);
    }
}

TEST(a_socket_that_the_program_cleans_sends_what_waits_all_the_same) {
    static char much[1 << 20];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    int ws = ws_attach_server(ipc_fromfd(pair[0]), WS_BINARY | WS_NOHTTP, NULL, 0, NULL, 0, -1);
    CHECK_INT(ws_broadcast(&ws, 1, WS_BINARY, much, sizeof(much), 1, NULL), 1);
    for (int fd = 3; fd != 20; ++fd)
        if (fd != pair[1] && is_socket(fd)) CHECK_ERR(fdclean(fd), -1, EBUSY);
    for (size_t len = 0; len < sizeof(much);) {
        ssize_t n = recv(pair[1], much, sizeof(much), MSG_DONTWAIT);
        if (n > 0) len += (size_t)n;
        else CHECK_INT(fdin(pair[1], now() + 5000), 0);
    }
}
#endif

/* --- Duplicates --- */

static void close_while_a_duplicate_lives(int in_new_life) {
    int q[2];
    use_poller();
    CHECK(dup(p[0]) >= 0);
    CHECK_INT(close(p[0]), 0);
    if (in_new_life) {
        CHECK_INT(pipe(q), 0);
        CHECK_INT(q[0], p[0]);
        CHECK_ERR(fdin(q[0], now() + 1), -1, ETIMEDOUT);
    }
    CHECK_INT(write(p[1], "x", 1), 1);
    int before = polls;
    if (in_new_life)
        CHECK_ERR(fdin(q[0], now() + 300), -1, ETIMEDOUT);
    else
        CHECK_INT(msleep(now() + 300), 0);
    CHECK(polls != before && polls - before < FEW);
}

TEST(a_descriptor_closed_without_fdclean_burns_no_time_if_a_duplicate_is_ready) {
    close_while_a_duplicate_lives(0);
}

TEST(a_number_with_a_second_life_is_not_confused_with_a_duplicate_of_the_first) {
    close_while_a_duplicate_lives(1);
}

/* --- Children that are made without fork --- */

static pid_t underscore_fork(void) { return _Fork(); }
static pid_t raw_clone(void) { return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL); }

static pid_t (*const makers[])(void) = {underscore_fork, raw_clone};

static int status_of(pid_t child) {
    int status = -1;
    CHECK_INT(waitpid(child, &status, 0), child);
    return status;
}

TEST(a_child_that_did_not_come_by_fork_has_an_epoll_set_of_its_own) {
    for (int i = 0; i != 2; ++i) {
        use_poller();
        pid_t child = makers[i]();
        if (child == 0) {
            int q[2];
            if (pipe(q) != 0 || fdin(p[0], now() + 10) != -1 || errno != ETIMEDOUT) _exit(1);
            if (write(q[1], "x", 1) != 1 || fdin(q[0], now() + 5000) != 0) _exit(2);
            /* Stays in the child's set. */
            fdin(p[1], now() + 1);
            _exit(0);
        }
        CHECK_INT(status_of(child), 0);
        check_waiting_works(p[0], p[1]);
    }
}

#ifndef WITHOUT_SOCKETS
coroutine static void send_later(int s) {
    CHECK_INT(msleep(now() + 50), 0);
    CHECK_INT(bsend(s, "x", 1, -1), 0);
}

static void receive_late(int s[2]) {
    char c;
    int h = go(send_later(s[0]));
    CHECK_INT(brecv(s[1], &c, 1, now() + 5000), 0);
    CHECK_INT(bundle_wait(h, -1), 0);
    CHECK_INT(hclose(h), 0);
}

TEST(a_child_that_did_not_come_by_fork_closes_its_sockets_and_its_parent_goes_on_waiting) {
    for (int i = 0; i != 2; ++i) {
        int s[2];
        CHECK_INT(ipc_pair(s), 0);
        receive_late(s);
        pid_t child = makers[i]();
        if (child == 0) _exit(hclose(s[1]) == 0 ? 0 : 1);
        CHECK_INT(status_of(child), 0);
        receive_late(s);
    }
}

TEST(a_child_that_did_not_come_by_fork_takes_a_descriptor_over_and_its_parent_goes_on_waiting) {
    for (int i = 0; i != 2; ++i) {
        volatile int woken = 0;
        int s[2];
        CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, s), 0);
        int h = go(wait_for(s[0], &woken));
        CHECK_INT(msleep(now() + 10), 0);
        pid_t child = makers[i]();
        if (child == 0) _exit(ipc_fromfd(s[0]) >= 0 ? 0 : 1);
        CHECK_INT(status_of(child), 0);
        CHECK_INT(write(s[1], "x", 1), 1);
        CHECK_INT(bundle_wait(h, now() + 6000), 0);
        CHECK_INT(woken, 1);
    }
}

TEST(a_child_that_did_not_come_by_fork_makes_other_random_keys) {
    char before[WS_KEY_SIZE], here[WS_KEY_SIZE], there[WS_KEY_SIZE];
    for (int i = 0; i != 2; ++i) {
        use_poller();
        CHECK_INT(ws_request_key(before), 0); /* there is a supply of random bytes now */
        pid_t child = makers[i]();
        if (child == 0) {
            if (ws_request_key(there) != 0) _exit(1);
            _exit(write(p[1], there, WS_KEY_SIZE) == WS_KEY_SIZE ? 0 : 2);
        }
        CHECK_INT(status_of(child), 0);
        CHECK_INT(read(p[0], there, WS_KEY_SIZE), WS_KEY_SIZE);
        CHECK_INT(ws_request_key(here), 0);
        CHECK(strcmp(here, there) != 0);
    }
}
#endif
