/* What the library leaves alone while it is used, and what it copes with. */

#include <arpa/inet.h>
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <pthread.h>
#include <sys/time.h>

#include <libdillext.h>

#include "dies.h"
#include "pair.h"
#include "test.h"

/* --- Everything that the library can do, once --- */

coroutine static void answer_ws(int s) {
    int ws = ws_attach_server(s, WS_TEXT, NULL, 0, NULL, 0, now() + 10000);
    char buf[16];
    ssize_t len = mrecv(ws, buf, sizeof(buf), now() + 10000);
    if (len > 0) msend(ws, buf, (size_t)len, now() + 10000);
    s = ws_detach(ws, 1000, NULL, 0, now() + 10000);
    if (s >= 0) hclose(s);
}

static void use_ws(void) {
    int s[2];
    char buf[16];
    make_ipc_pair(s);
    int server = go(answer_ws(s[0]));
    CHECK(server >= 0);
    int ws = ws_attach_client(s[1], WS_TEXT, "/", "localhost", now() + 10000);
    CHECK(ws >= 0);
    CHECK_INT(msend(ws, "hello", 5, now() + 10000), 0);
    CHECK_INT(mrecv(ws, buf, sizeof(buf), now() + 10000), 5);
    int lower = ws_detach(ws, 1000, NULL, 0, now() + 10000);
    CHECK(lower >= 0);
    CHECK_INT(hclose(lower), 0);
    CHECK_INT(hclose(server), 0);
}

static void use_streams(void) {
    for (int kind = 0; kind < 2; ++kind) {
        int s[2];
        char buf[5];
        make_stream_pair[kind](s);
        CHECK_INT(bsend(s[0], "hello", 5, now() + 5000), 0);
        CHECK_INT(brecv(s[1], buf, 5, now() + 5000), 0);
        CHECK_ERR(brecv(s[1], buf, 5, now() + 5), -1, ETIMEDOUT);
        hclose(s[0]);
        hclose(s[1]);
    }
}

coroutine static void send_number(int ch) {
    int number = 7;
    chsend(ch, &number, sizeof(number), now() + 5000);
}

static void use_runtime(void) {
    int ch[2], p[2], number = 0;
    CHECK_INT(chmake(ch), 0);
    int b = go(send_number(ch[0]));
    CHECK(b >= 0);
    CHECK_INT(chrecv(ch[1], &number, sizeof(number), now() + 5000), 0);
    CHECK_INT(number, 7);
    hclose(b);
    hclose(ch[0]);
    hclose(ch[1]);
    CHECK_INT(msleep(now() + 2), 0);
    CHECK_INT(pipe(p), 0);
    CHECK_ERR(fdin(p[0], now() + 2), -1, ETIMEDOUT);
    fdclean(p[0]);
    close(p[0]);
    close(p[1]);
}

static void use_names(void) {
    struct ipaddr addr;
    CHECK_INT(ipaddr_remote(&addr, "localhost", 80, IPADDR_PREF_IPV4, now() + 10000), 0);
}

/* tests/dropin/run says where there are a certificate and its key. */
static int serve_tls(int s) { return tls_attach_server(s, getenv("CERTIFICATE"), getenv("KEY"), now() + 10000); }

coroutine static void answer_tls(int s) {
    char buf[5];
    s = serve_tls(s);
    if (s >= 0 && brecv(s, buf, 5, now() + 10000) == 0) bsend(s, buf, 5, now() + 10000);
    s = tls_detach(s, now() + 10000);
    if (s >= 0) hclose(s);
}

static void use_tls(void) {
    int s[2];
    char buf[5];
    struct tls_opts opts = {.size = sizeof(opts), .host = "localhost", .ca_file = getenv("CERTIFICATE")};
    make_ipc_pair(s);
    int server = go(answer_tls(s[0]));
    CHECK(server >= 0);
    int tls = tls_attach_client_opts(s[1], &opts, now() + 10000);
    CHECK(tls >= 0);
    CHECK_INT(bsend(tls, "hello", 5, now() + 10000), 0);
    CHECK_INT(brecv(tls, buf, 5, now() + 10000), 0);
    int lower = tls_detach(tls, now() + 10000);
    CHECK(lower >= 0);
    hclose(lower);
    hclose(server);
}

coroutine static void serve_in_vain(int s) { CHECK_INT(serve_tls(s), -1); }

/* The certificates that the system trusts are read, and the server's is not among them. */
static void use_trust(void) {
    int s[2];
    struct tls_opts opts = {.size = sizeof(opts), .host = "localhost"};
    make_ipc_pair(s);
    int server = go(serve_in_vain(s[0]));
    CHECK(server >= 0);
    CHECK_INT(tls_attach_client_opts(s[1], &opts, now() + 10000), -1);
    CHECK_INT(bundle_wait(server, now() + 10000), 0);
    hclose(server);
}

static void use_datagrams(void) {
    struct ipaddr a, b;
    char buf[5];
    CHECK_INT(ipaddr_local(&a, "127.0.0.1", 0, 0), 0);
    int s = udp_open(&a, NULL);
    CHECK(s >= 0);
    CHECK_INT(ipaddr_local(&b, "127.0.0.1", 0, 0), 0);
    int t = udp_open(&b, &a);
    CHECK(t >= 0);
    CHECK_INT(msend(t, "hello", 5, now() + 5000), 0);
    CHECK_INT(mrecv(s, buf, 5, now() + 5000), 5);
    hclose(s);
    hclose(t);
}

/* HTTP, on SUFFIX; and TERM, on PREFIX. */
static void use_messages(void) {
    int s[2], h[2];
    char name[16], value[16];
    make_ipc_pair(s);
    for (int i = 0; i < 2; ++i) CHECK((h[i] = http_attach(s[i])) >= 0);
    CHECK_INT(http_sendfield(h[0], "Name", "value", now() + 5000), 0);
    CHECK_INT(http_recvfield(h[1], name, sizeof(name), value, sizeof(value), now() + 5000), 0);
    for (int i = 0; i < 2; ++i) hclose(h[i]);
    make_ipc_pair(s);
    for (int i = 0; i < 2; ++i) CHECK((h[i] = term_attach(prefix_attach(s[i], 2, 0), "STOP", 4)) >= 0);
    CHECK_INT(msend(h[0], "hello", 5, now() + 5000), 0);
    CHECK_INT(mrecv(h[1], value, sizeof(value), now() + 5000), 5);
    for (int i = 0; i < 2; ++i) hclose(h[i]);
}

coroutine static void serve_socks5(int s) {
    struct ipaddr addr;
    CHECK_INT(socks5_proxy_auth(s, NULL, now() + 5000), 0);
    CHECK_INT(socks5_proxy_recvcommand(s, &addr, now() + 5000), SOCKS5_CONNECT);
    CHECK_INT(socks5_proxy_sendreply(s, SOCKS5_SUCCESS, &addr, now() + 5000), 0);
    hclose(s);
}

static void use_socks5(void) {
    int s[2];
    struct ipaddr addr;
    CHECK_INT(ipaddr_remote(&addr, "127.0.0.1", 80, 0, now() + 5000), 0);
    make_ipc_pair(s);
    int b = go(serve_socks5(s[0]));
    CHECK(b >= 0);
    CHECK_INT(socks5_client_connect(s[1], NULL, NULL, &addr, now() + 5000), 0);
    hclose(s[1]);
    hclose(b);
}

static void use_all_but_names(void) {
    use_runtime();
    use_streams();
    use_ws();
    use_datagrams();
    use_messages();
    use_socks5();
    use_tls();
    use_trust();
}

static void use_everything(void) {
    use_all_but_names();
    use_names();
}

/* --- What it leaves alone --- */

static void note_signals(struct sigaction actions[NSIG], sigset_t *mask) {
    memset(actions, 0, NSIG * sizeof(*actions));
    for (int sig = 1; sig < NSIG; ++sig) sigaction(sig, NULL, &actions[sig]);
    sigprocmask(SIG_SETMASK, NULL, mask);
}

TEST(no_signal_gets_another_disposition) {
    static struct sigaction before[NSIG], after[NSIG];
    sigset_t mask;
    note_signals(before, &mask);
    CHECK(before[SIGPIPE].sa_handler == SIG_DFL);
    use_everything();
    note_signals(after, &mask);
    for (int sig = 1; sig < NSIG; ++sig) CHECK(before[sig].sa_handler == after[sig].sa_handler);
}

TEST(the_signal_mask_stays_also_in_coroutines) {
    sigset_t some, after;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR2);
    sigprocmask(SIG_SETMASK, &some, NULL);
    use_everything();
    sigprocmask(SIG_SETMASK, NULL, &after);
    for (int sig = 1; sig < NSIG; ++sig)
        CHECK_INT(sigismember(&after, sig) == 1, sig == SIGUSR2);
}

TEST(the_locale_stays) {
    CHECK(setlocale(LC_ALL, "C.UTF-8") != NULL);
    use_everything();
    CHECK_STR(setlocale(LC_ALL, NULL), "C.UTF-8");
    CHECK(uselocale((locale_t)0) == LC_GLOBAL_LOCALE);
}

TEST(the_sequences_of_random_numbers_stay) {
    srandom(5);
    srand48(5);
    long a = random(), b = lrand48(), c = random();
    srandom(5);
    srand48(5);
    CHECK_INT(random(), a);
    use_everything();
    CHECK_INT(lrand48(), b);
    CHECK_INT(random(), c);
}

TEST(nothing_is_printed_and_no_buffer_is_flushed) {
    char path[300];
    struct stat st;
    snprintf(path, sizeof(path), "%s/printed", test_directory);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0);
    int err = dup(2);
    CHECK(dup2(fd, 1) == 1 && dup2(fd, 2) == 2);
    setvbuf(stdout, NULL, _IOFBF, 4096);
    printf("not yet");
    use_everything();
    fstat(fd, &st);
    dup2(err, 2);
    CHECK_INT(st.st_size, 0);
}

TEST(the_process_keeps_its_settings) {
    struct rlimit files, files_after;
    struct itimerval timer;
    stack_t stack;
    fenv_t fenv;
    umask(027);
    getrlimit(RLIMIT_NOFILE, &files);
    fesetround(FE_UPWARD);
    use_everything();
    CHECK_INT(fegetround(), FE_UPWARD);
    fegetenv(&fenv);
    getrlimit(RLIMIT_NOFILE, &files_after);
    CHECK(files.rlim_cur == files_after.rlim_cur && files.rlim_max == files_after.rlim_max);
    CHECK_INT(umask(022), 027);
    CHECK_INT(sigaltstack(NULL, &stack), 0);
    CHECK(stack.ss_flags & SS_DISABLE);
    CHECK_INT(getitimer(ITIMER_REAL, &timer), 0);
    CHECK(!timer.it_value.tv_sec && !timer.it_value.tv_usec);
}

/* Sends until that fails. */
static int send_until_it_fails(int s) {
    static char block[65536];
    for (int i = 0; i < 1000; ++i)
        if (bsend(s, block, sizeof(block), now() + 5000) < 0) return errno;
    return 0;
}

TEST(a_peer_that_is_gone_raises_no_SIGPIPE) {
    for (int kind = 0; kind < 2; ++kind) {
        int s[2];
        make_stream_pair[kind](s);
        hclose(s[1]);
        CHECK_INT(send_until_it_fails(s[0]), ECONNRESET);
        hclose(s[0]);
    }
}

TEST(a_descriptor_that_cannot_be_passed_raises_no_SIGPIPE) {
    int s[2];
    make_ipc_pair(s);
    hclose(s[1]);
    CHECK_INT(ipc_sendfd(s[0], 1, now() + 5000), -1);
    hclose(s[0]);
}

/* --- What it opens for itself --- */

coroutine static void look_up(const char *name) {
    struct ipaddr addr;
    ipaddr_remote(&addr, name, 80, 0, now() + 10000);
}

static int is_socket(int fd) {
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

TEST(what_it_opens_for_itself_is_close_on_exec_also_during_a_lookup) {
    int open_before[256];
    for (int fd = 0; fd < 256; ++fd) open_before[fd] = fcntl(fd, F_GETFD) >= 0;
    use_everything();
    int b = go(look_up("localhost"));
    CHECK(b >= 0);
    for (int fd = 0; fd < 256; ++fd) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && !open_before[fd] && !(flags & FD_CLOEXEC) && !is_socket(fd))
            test_fail(__FILE__, __LINE__, "descriptor %d would be inherited", fd);
    }
    hclose(b);
}

static int count_descriptors(void) {
    int count = 0;
    for (int fd = 0; fd < 256; ++fd) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

TEST(nothing_it_opened_stays_open_but_what_the_runtime_needs) {
    use_everything();
    msleep(now() + 100); /* The thread that looked up a name lets go of its descriptor a little later. */
    int before = count_descriptors();
    for (int i = 0; i < 5; ++i) use_everything();
    /* A leak ends at the time limit. It may be fewer, if that thread was held up. */
    while (count_descriptors() > before) msleep(now() + 5);
}

/* --- What it copes with --- */

TEST(it_works_when_the_standard_descriptors_are_closed) {
    int err = fcntl(2, F_DUPFD, 10);
    close(0);
    close(1);
    close(2);
    use_everything();
    dup2(err, 2);
}

TEST(it_works_in_little_address_space) {
    /* What address sanitizers reserve is more than any limit. */
    if (getenv("ASAN_OPTIONS")) SKIP("address space is not limited under a sanitizer");
    struct rlimit limit = {512 << 20, 512 << 20};
    CHECK_INT(setrlimit(RLIMIT_AS, &limit), 0);
    use_everything();
    int b = bundle();
    for (int i = 0; i < 100; ++i) CHECK_INT(dill_bundle_go(b, (void)msleep(now() + 5)), 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
}

static void use_and_exit(void) { use_everything(); }

/* A first use without free descriptors; whatever happens to it, a later one works. */
TEST(running_out_of_descriptors_is_no_end) {
    struct rlimit limit, few;
    getrlimit(RLIMIT_NOFILE, &limit);
    few = limit;
    int first_free = dup(0);
    close(first_free);
    few.rlim_cur = (rlim_t)first_free;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
    struct ipaddr addr;
    CHECK_INT(ipaddr_local(&addr, "127.0.0.1", 0, 0), 0);
    CHECK_ERR(tcp_listen(&addr, 10), -1, EMFILE);
    int s[2];
    CHECK_ERR(ipc_pair(s), -1, EMFILE);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    use_everything();
}

/* --- fork --- */

/* Where a name was being looked up at the fork, the child's copy of a lock in glibc's resolver may be taken for ever:
   there it looks none up. */

TEST(a_child_goes_on_while_a_name_was_being_looked_up) {
    use_everything();
    int b = go(look_up("localhost"));
    CHECK(b >= 0);
    pid_t child = fork();
    if (child == 0) {
        alarm(10);
        CHECK_INT(hclose(b), 0);
        use_all_but_names();
        _exit(0);
    }
    int status;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    CHECK_INT(bundle_wait(b, now() + 10000), 0);
    hclose(b);
}

TEST(a_child_may_look_up_names_when_its_parent_never_did) {
    use_runtime();
    CHECK_EXITS_WITH(use_names, 0);
    use_names();
}

TEST(a_child_that_never_used_the_library_may) {
    CHECK_EXITS_WITH(use_and_exit, 0);
    CHECK_EXITS_WITH(use_and_exit, 0);
    use_everything();
}

static void *fork_in_thread(void *unused) {
    use_everything();
    CHECK_EXITS_WITH(use_and_exit, 0);
    return unused;
}

TEST(another_thread_may_fork) {
    pthread_t thread;
    use_everything();
    CHECK_INT(pthread_create(&thread, NULL, fork_in_thread, NULL), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    use_everything();
}

static volatile int busy = 1;

static void *be_busy(void *unused) {
    while (busy) use_all_but_names();
    return unused;
}

TEST(children_work_whatever_another_thread_was_doing) {
    pthread_t thread;
    use_everything();
    CHECK_INT(pthread_create(&thread, NULL, be_busy, NULL), 0);
    for (int i = 0; i < 40; ++i) {
        pid_t child = fork();
        if (child == 0) {
            alarm(15);
            use_everything();
            _exit(0);
        }
        int status;
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
    }
    busy = 0;
    CHECK_INT(pthread_join(thread, NULL), 0);
}

coroutine static void run_commands(volatile int *result) {
    char line[16] = "";
    FILE *output = popen("echo hello", "r");
    *result = output && fgets(line, sizeof(line), output) && strcmp(line, "hello\n") == 0 &&
              pclose(output) == 0 && WEXITSTATUS(system("exit 5")) == 5;
}

TEST(a_coroutine_may_run_commands) {
    volatile int result = 0;
    use_everything();
    int b = go(run_commands(&result));
    CHECK_INT(bundle_wait(b, now() + 10000), 0);
    CHECK_INT(result, 1);
    use_everything();
}

/* A daemon: the parent ends, the child goes on with what it had. */
TEST(a_daemon_goes_on_in_the_grandchild) {
    int s[2], status;
    make_ipc_pair(s);
    use_everything();
    pid_t child = fork();
    if (child == 0) {
        if (fork() != 0) _exit(0);
        use_everything();
        _exit(bsend(s[0], "done", 4, now() + 5000) == 0 ? 0 : 1);
    }
    CHECK_INT(waitpid(child, &status, 0), child);
    char buf[4];
    CHECK_INT(brecv(s[1], buf, 4, now() + 10000), 0);
    CHECK_MEM(buf, "done", 4);
}
