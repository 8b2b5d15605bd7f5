/* What a thread keeps of what its peers send: of WebSockets that nobody receives from, 64 MiB. */

#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include <libdillext.h>

#include "wire.h"

/* Together more than a thread reads, and each less than is read of one. */
enum { PEERS = 1200, LENGTH = 60000, MOST = 64 << 20 };

static struct wire wires[PEERS];
static int fds[PEERS]; /* what the library's end is, too */
static char message[LENGTH];

static void open_all(void) {
    struct rlimit limit;
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    struct ws_opts opts = {.size = sizeof(opts), .flags = WS_NOHTTP};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < 4 * PEERS) SKIP("too few descriptors");
    limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_INT(bind(listener, (struct sockaddr *)&addr, len), 0);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    CHECK_INT(listen(listener, 1), 0);
    for (int i = 0; i != PEERS; ++i) {
        struct wire *w = &wires[i];
        int size = 2 * LENGTH, s;
        w->role = CLIENT;
        w->fd = socket(AF_INET, SOCK_STREAM, 0);
        CHECK_INT(setsockopt(w->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
        CHECK_INT(connect(w->fd, (struct sockaddr *)&addr, len), 0);
        set_receive_limit(w->fd);
        s = accept(listener, NULL, NULL);
        fds[i] = dup(s);
        CHECK(fds[i] >= 0);
        s = tcp_fromfd(s);
        CHECK(s >= 0);
        w->ws = ws_attach_client_opts(s, NULL, NULL, &opts, -1);
        CHECK(w->ws >= 0);
    }
    CHECK_INT(close(listener), 0);
}

/* How much of what was sent the library has taken. */
static size_t taken(size_t sent) {
    for (int i = 0; i != PEERS; ++i) {
        int unsent, unread;
        CHECK_INT(ioctl(wires[i].fd, TIOCOUTQ, &unsent), 0);
        CHECK_INT(ioctl(fds[i], FIONREAD, &unread), 0);
        sent -= (size_t)(unsent + unread);
    }
    return sent;
}

/* Lets the library do what it wants to, until nothing more happens. */
static void settle(size_t sent) {
    size_t before = 0;
    for (int quiet = 0; quiet != 5;) {
        size_t have;
        CHECK_INT(msleep(now() + 20), 0);
        have = taken(sent);
        quiet = have == before ? quiet + 1 : 0;
        before = have;
    }
}

static int has_pong(int i) {
    char c;
    return recv(wires[i].fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static int pongs(void) {
    int count = 0;
    for (int i = 0; i != PEERS; ++i) count += has_pong(i);
    return count;
}

/* To each a message, and a ping that is behind it. Returns how much that is. */
static size_t send_to_all(void) {
    size_t sent = 0;
    for (int i = 0; i != PEERS; ++i) {
        wire_send(&wires[i], FIN | BINARY, message, LENGTH);
        wire_send_text(&wires[i], FIN | PING, "p");
        sent += 4 + LENGTH + 3;
    }
    settle(sent);
    return sent;
}

TEST(a_thread_reads_at_most_64_MiB_while_nobody_receives_and_goes_on_when_there_is_room) {
    skip_under_wrapper("too much for one that watches all memory");
    size_t sent;
    int answered, room = 0;
    open_all();
    sent = send_to_all();
    /* The one that the shared buffer is lent to comes on top. */
    CHECK(taken(sent) > MOST - LENGTH);
    CHECK(taken(sent) <= MOST + 2 * LENGTH);
    answered = pongs();
    CHECK(answered >= MOST / (LENGTH + 7) - 1);
    CHECK(answered <= MOST / (LENGTH + 7) + 2);
    /* Those that were looked at are received from: then there is room for the others. */
    for (int i = 0; i != PEERS; ++i)
        if (has_pong(i) && ++room) expect_message(wires[i].ws, WS_BINARY, message, LENGTH);
    CHECK(room >= answered);
    settle(sent);
    CHECK_INT(pongs(), PEERS);
    for (int i = 0; i != PEERS; ++i) {
        wire_expect_text(&wires[i], FIN | PONG, "p");
        CHECK_INT(hclose(wires[i].ws), 0);
    }
}

/* How much of that length is left in the kernel after one byte was received. */
static int left_behind(size_t len) {
    static char block[200000];
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(addr);
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), own, copy, unread = 0;
    for (int room = 212992, i = 0; i != 2; ++i)
        CHECK_INT(setsockopt(i ? listener : fd, SOL_SOCKET, i ? SO_RCVBUF : SO_SNDBUF, &room, sizeof(room)), 0);
    CHECK_INT(bind(listener, (struct sockaddr *)&addr, size), 0);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&addr, &size), 0);
    CHECK_INT(listen(listener, 1), 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&addr, size), 0);
    own = accept(listener, NULL, NULL);
    copy = dup(own);
    raw_send(fd, block, len);
    while ((size_t)unread != len) {
        CHECK_INT(usleep(1000), 0);
        CHECK_INT(ioctl(copy, FIONREAD, &unread), 0);
    }
    own = tcp_fromfd(own);
    CHECK_INT(brecv(own, block, 1, now() + 5000), 0);
    CHECK_INT(ioctl(copy, FIONREAD, &unread), 0);
    CHECK_INT(brecv(own, NULL, len - 1, now() + 5000), 0);
    CHECK_INT(hclose(own), 0);
    return unread;
}

TEST(little_is_read_ahead_of_a_receiver_while_much_is_kept) {
    skip_under_wrapper("too much for one that watches all memory");
    CHECK_INT(left_behind(150000), 0);
    open_all();
    (void)send_to_all();
    CHECK(left_behind(150000) >= 150000 - 65536 - 1);
    for (int i = 0; i != PEERS; ++i) CHECK_INT(hclose(wires[i].ws), 0);
    CHECK_INT(left_behind(150000), 0);
}

/* Those whose messages were kept go away with them. */
TEST(what_was_kept_for_a_WebSocket_that_is_closed_makes_room_for_the_others) {
    skip_under_wrapper("too much for one that watches all memory");
    int closed = 0;
    open_all();
    (void)send_to_all();
    CHECK(pongs() < PEERS);
    for (int i = 0; i != PEERS; ++i)
        if (has_pong(i) && ++closed) CHECK_INT(hclose(wires[i].ws), 0);
    CHECK(closed > 0);
    while (pongs() != PEERS) CHECK_INT(msleep(now() + 10), 0);
}
