/* WebSockets and fork: a child never repeats what its parent kept secret. */

#include <sys/syscall.h>

#include <libdillext.h>

#include "dies.h"
#include "test.h"
#include "wire.h"

enum { KEYS = 20 };
static struct wire parent, child, sibling;

/* Sends messages from a client; the plain peer of the process above reads their keys. */
static void send_keys(const struct wire *w) {
    for (int i = 0; i != KEYS; ++i) CHECK_INT(ws_send(w->ws, WS_TEXT, "A", 1, -1), 0);
    CHECK_INT(yield(), 0);
}

static void send_keys_of_child(void) { send_keys(&child); }
static void send_keys_of_sibling(void) { send_keys(&sibling); }

static void read_keys(const struct wire *w, uint32_t keys[KEYS]) {
    struct wire_frame f = {0, 0, {0}, 0, NULL};
    for (int i = 0; i != KEYS; ++i) {
        wire_recv(w, &f);
        memcpy(&keys[i], f.key, 4);
    }
    free(f.payload);
}

static void check_disjoint(const uint32_t *a, const uint32_t *b) {
    int equal = 0;
    for (int i = 0; i != KEYS; ++i)
        for (int k = 0; k != KEYS; ++k) equal += a[i] == b[k];
    CHECK(equal <= 1);
}

TEST(a_child_masks_with_other_keys_than_its_parent_and_its_siblings) {
    uint32_t of_parent[KEYS], of_child[KEYS], of_sibling[KEYS];
    wire_open(&parent, CLIENT, WS_TEXT);
    wire_open(&child, CLIENT, WS_TEXT);
    wire_open(&sibling, CLIENT, WS_TEXT);
    CHECK_INT(ws_send(parent.ws, WS_TEXT, "A", 1, -1), 0); /* the parent has a supply of keys now */
    wire_expect_text(&parent, FIN | TEXT, "A");
    CHECK_EXITS_WITH(send_keys_of_child, 0);
    CHECK_EXITS_WITH(send_keys_of_sibling, 0);
    send_keys(&parent);
    read_keys(&parent, of_parent);
    read_keys(&child, of_child);
    read_keys(&sibling, of_sibling);
    check_disjoint(of_parent, of_child);
    check_disjoint(of_parent, of_sibling);
    check_disjoint(of_child, of_sibling);
}

static void serve_in_child(void) {
    expect_text(child.ws, "to the child");
    CHECK_INT(ws_send(child.ws, WS_TEXT, "from the child", 14, -1), 0);
    CHECK_INT(ws_done(child.ws, 1000, NULL, 0, -1), 0);
}

TEST(a_child_serves_a_WebSocket_that_was_attached_before) {
    for (int role = CLIENT; role <= SERVER; ++role) {
        wire_open(&child, (enum role)role, WS_TEXT);
        wire_send_text(&child, FIN | TEXT, "to the child");
        CHECK_EXITS_WITH(serve_in_child, 0);
        wire_expect_text(&child, FIN | TEXT, "from the child");
        wire_expect_close(&child, 1000);
    }
}

/* --- What was gathered before --- */

static struct wire w;

static void gather(int sndbuf, const char *text, size_t len) {
    char c;
    int fds[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    CHECK_INT(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof(sndbuf)), 0);
    w.fd = fds[1];
    w.ws = attach_without_http(ipc_fromfd(fds[0]), SERVER, WS_TEXT);
    CHECK_INT(ws_send(w.ws, WS_TEXT | WS_GATHER, text, len, -1), 0);
    CHECK_ERR(recv(w.fd, &c, 1, MSG_DONTWAIT), -1, EAGAIN);
}

static void sleep_a_while(void) { CHECK_INT(msleep(now() + 100), 0); }
static void send_something(void) { CHECK_ERR(ws_send(w.ws, WS_TEXT, "mine", 4, now() + 100), -1, ECONNRESET); }

/* Everything that comes to the plain peer until the child has ended and nothing has come for many turns. */
static size_t receive_all(char *place, size_t room, void (*in_child)(void)) {
    size_t len = 0;
    int status = -1, has_ended = 0;
    pid_t child = fork();
    if (child == 0) {
        in_child();
        exit(0);
    }
    CHECK(child > 0);
    for (int turns = 0; turns != 50;) {
        ssize_t n = recv(w.fd, place + len, room - len, MSG_DONTWAIT);
        if (n > 0) len += (size_t)n;
        CHECK_INT(msleep(now() + 1), 0);
        if (!has_ended) has_ended = waitpid(child, &status, WNOHANG) == child;
        turns = n > 0 || !has_ended ? 0 : turns + 1;
    }
    CHECK_INT(status, 0);
    return len;
}

TEST(what_was_gathered_is_sent_once) {
    char got[100];
    gather(100000, "ABCDEF", 6);
    CHECK_INT(receive_all(got, sizeof(got), sleep_a_while), 8);
    CHECK_MEM(got + 2, "ABCDEF", 6);
}

/* The kernel takes a part of it; the rest is sent when it takes more. */
static void check_the_rest(void (*in_child)(void)) {
    static char text[30000], got[100000];
    for (size_t i = 0; i != sizeof(text); ++i) text[i] = (char)('a' + i % 26);
    gather(4096, text, sizeof(text));
    CHECK_INT(receive_all(got, sizeof(got), in_child), sizeof(text) + 4);
    CHECK_MEM(got + 4, text, sizeof(text));
    CHECK_INT(ws_send(w.ws, WS_TEXT, "more", 4, now() + 5000), 0);
    CHECK_INT(receive_all(got, sizeof(got), sleep_a_while), 6);
}

TEST(what_the_kernel_has_not_taken_at_a_fork_is_sent_by_the_parent_alone) { check_the_rest(sleep_a_while); }
TEST(a_child_cannot_send_behind_what_its_parent_has_not_sent_yet) { check_the_rest(send_something); }

static pid_t underscore_fork(void) { return _Fork(); }
static pid_t raw_clone(void) { return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL); }

TEST(a_child_however_it_was_made_takes_nothing_that_nobody_receives) {
    static pid_t (*const makers[])(void) = {fork, underscore_fork, raw_clone};
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP | WS_TEXT};
    for (int i = 0; i != 3; ++i) {
        struct wire w = {.role = SERVER};
        int s;
        make_tcp_and_raw(&s, &w.fd);
        w.ws = ws_attach_server_opts(s, &opts, -1);
        CHECK(w.ws >= 0);
        CHECK_INT(msleep(now() + 5), 0);
        wire_send_text(&w, FIN | TEXT, "hello");
        /* The thread polls, and finds that there is something to look at before it does so again. */
        CHECK_INT(usleep(2000), 0);
        CHECK_INT(yield(), 0);
        pid_t child = makers[i]();
        if (child == 0) _exit(msleep(now() + 20) == 0 ? 0 : 1);
        int status;
        CHECK_INT(waitpid(child, &status, 0), child);
        CHECK_INT(status, 0);
        expect_text(w.ws, "hello");
        CHECK_INT(hclose(w.ws), 0);
    }
}
