/* Whoever is in the middle of something is cancelled after every number of turns, and what it was doing it with is
   closed: nothing is left, and nobody else is harmed. */

#include <libdillext.h>

#include "test.h"
#include "tls.h"

static struct ipaddr address;
static int listener = -1, bundle_of_servers = -1;
static struct ws_opts opts = {.size = sizeof(opts), .flags = WS_TEXT};

/* Descriptors are polled in each wait of a thread that was away. */
static void turn(void) {
    usleep(300);
    CHECK_INT(yield(), 0);
}

/* --- Servers --- */

static void echo(int ws) {
    char text[100];
    ssize_t len;
    while ((len = ws_recv(ws, NULL, text, sizeof(text), soon())) >= 0)
        if (ws_send(ws, WS_TEXT, text, (size_t)len, soon()) < 0) break;
    ws_close(ws, 1000, NULL, 0, soon());
}

coroutine static void serve(int s, int is_secure) {
    const char *certs[] = {in_directory("server.pem"), in_directory("server.key"), NULL};
    struct tls_server_opts tls = {.size = sizeof(tls), .certs = certs};
    if (is_secure) s = tls_attach_server_opts(s, &tls, soon());
    if (s >= 0) s = ws_attach_server_opts(s, &opts, soon());
    if (s >= 0) echo(s);
}

coroutine static void accept_all(int is_secure) {
    for (int s; (s = tcp_accept(listener, NULL, -1)) >= 0;) {
        int rc = bundle_go(bundle_of_servers, serve(s, is_secure));
        CHECK_INT(rc, 0);
    }
}

/* --- Clients --- */

struct visit {
    const char *url;
    const struct tls_opts *tls;
    int has_ended;
};

coroutine static void visit(struct visit *v) {
    struct ws_opts its = opts;
    char text[10];
    its.tls = v->tls;
    its.proxy = "";
    int ws = ws_connect(v->url, &its, soon());
    if (ws < 0) {
        CHECK_INT(errno, ECANCELED);
        return;
    }
    int rc = ws_send(ws, WS_TEXT, "hello", 5, soon());
    if (rc == 0) rc = (int)ws_recv(ws, NULL, text, sizeof(text), soon());
    if (rc < 0) CHECK_INT(errno, ECANCELED);
    rc = ws_close(ws, 1000, NULL, 0, soon());
    if (rc < 0) CHECK_INT(errno, ECANCELED);
    v->has_ended = rc == 0;
}

/* Cancels a client, and then its server, after each number of turns. */
static void sweep(const char *scheme, const char *host, const struct tls_opts *tls) {
    char url[64];
    int visited = 0, turns = 0;
    make_certificate();
    CHECK((listener = listen_somewhere(&address)) >= 0);
    snprintf(url, sizeof(url), "%s://%s:%d/", scheme, host, ipaddr_port(&address));
    int accepting = go(accept_all(tls != NULL));
    CHECK((bundle_of_servers = bundle()) >= 0);
    struct visit first = {url, tls, 0};
    int b = go(visit(&first));
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK_INT(hclose(b), 0);
    CHECK(first.has_ended);
    CHECK_INT(bundle_wait(bundle_of_servers, soon()), 0);
    int before = open_descriptors();
    for (; visited != 3; ++turns) {
        struct visit v = {url, tls, 0};
        b = go(visit(&v));
        for (int i = 0; i != turns; ++i) turn();
        CHECK_INT(hclose(b), 0);
        visited += v.has_ended;
        /* Its server notices, or is cancelled too, and so is one that was not accepted before. */
        if (turns % 2) CHECK_INT(bundle_wait(bundle_of_servers, soon()), 0);
        for (int i = 0; i != 2; ++i) {
            CHECK_INT(hclose(bundle_of_servers), 0);
            CHECK((bundle_of_servers = bundle()) >= 0);
            CHECK_INT(msleep(now() + 2), 0);
        }
        /* The thread that looked the first name up may have had one open when they were counted. */
        while (open_descriptors() > before) CHECK_INT(msleep(now() + 1), 0);
        before = open_descriptors();
    }
    CHECK(turns > 8);
    CHECK_INT(hclose(accepting), 0);
    CHECK_INT(hclose(bundle_of_servers), 0);
    CHECK_INT(hclose(listener), 0);
}

TEST(a_client_that_is_cancelled_at_any_turn_leaves_nothing) { sweep("ws", "127.0.0.1", NULL); }
TEST(a_client_that_looks_a_name_up_and_is_cancelled_leaves_nothing) { sweep("ws", "localhost", NULL); }
TEST(a_client_over_TLS_that_is_cancelled_at_any_turn_leaves_nothing) {
    struct tls_opts tls = {.size = sizeof(tls), .flags = TLS_NOVERIFY};
    sweep("wss", "127.0.0.1", &tls);
}
TEST(a_client_that_resumes_a_session_and_is_cancelled_leaves_nothing) {
    make_certificate();
    struct tls_opts tls = {.size = sizeof(tls), .ca_file = in_directory("server.pem")};
    sweep("wss", "localhost", &tls);
}

/* --- Peers that are given up --- */

struct receiver { int ws, has_ended; };

coroutine static void receive(struct receiver *r) {
    char c;
    CHECK_INT(ws_recv(r->ws, NULL, &c, 1, -1), -1);
    CHECK(errno == ECONNRESET || errno == EBADF);
    r->has_ended = 1;
}

TEST(a_peer_that_is_given_up_may_be_closed_in_the_same_turn) {
    struct ws_opts pinged = {.size = sizeof(pinged), .flags = WS_TEXT | WS_NOHTTP, .ping_interval = 3, .ping_timeout = 3};
    int before = open_descriptors();
    for (int turns = 0; turns != 12; ++turns) {
        struct receiver r = {-1, 0};
        int s, fd;
        make_tcp_and_raw(&s, &fd);
        CHECK((r.ws = ws_attach_server_opts(s, &pinged, -1)) >= 0);
        int b = go(receive(&r));
        for (int i = 0; i != turns; ++i) turn();
        CHECK_INT(hclose(r.ws), 0);
        CHECK_INT(bundle_wait(b, soon()), 0);
        CHECK(r.has_ended);
        CHECK_INT(hclose(b), 0);
        CHECK_INT(close(fd), 0);
        if (turns) CHECK_INT(open_descriptors(), before);
        before = open_descriptors();
    }
}

/* --- One message to many of whom some are going --- */

enum { MEMBERS = 6, LENGTH = 300000 };
static char message[LENGTH], place[LENGTH];

coroutine static void send_much(int ws) { ws_send(ws, WS_BINARY, message, LENGTH, soon()); }
coroutine static void leave(int ws) { ws_close(ws, 1000, NULL, 0, soon()); }
coroutine static void tell_all(const int *members, int *told) {
    int errors[MEMBERS];
    while (yield() == 0 && *told != 100)
        if (ws_broadcast(members, MEMBERS, WS_BINARY, "to all", 6, 1000000, errors) > 0 && errors[MEMBERS - 1] == 0) ++*told;
}

TEST(a_broadcast_reaches_those_who_stay_while_others_send_close_and_are_closed) {
    memset(message, 'm', LENGTH);
    for (int turns = 0; turns != 12; ++turns) {
        int members[MEMBERS], peers[MEMBERS], told = 0, b = bundle();
        for (int i = 0; i != MEMBERS; ++i) {
            int s[2];
            make_tcp_pair(s);
            CHECK((members[i] = ws_attach_server(s[1], WS_BINARY | WS_NOHTTP, NULL, 0, NULL, 0, -1)) >= 0);
            CHECK((peers[i] = ws_attach_client(s[0], WS_BINARY | WS_NOHTTP, NULL, NULL, -1)) >= 0);
        }
        int teller = go(tell_all(members, &told));
        for (int i = 0; i != 4; ++i) {
            int rc = i < 2 ? bundle_go(b, send_much(members[i])) : bundle_go(b, leave(members[i]));
            CHECK_INT(rc, 0);
        }
        for (int i = 0; i != turns; ++i) turn();
        /* One that sends and one that closes are closed under way, and the others cancelled. */
        hclose(members[0]);
        hclose(members[2]);
        turn();
        CHECK_INT(hclose(b), 0);
        turn();
        CHECK_INT(hclose(peers[1]), 0);
        CHECK_INT(bundle_wait(teller, soon()), 0);
        CHECK_INT(told, 100);
        for (int i = 0; i != told; ++i) {
            CHECK_INT(ws_recv(peers[MEMBERS - 1], NULL, place, LENGTH, soon()), 6);
            CHECK_MEM(place, "to all", 6);
        }
        CHECK_INT(hclose(teller), 0);
        for (int h = 0; h != 256; ++h) hclose(h);
    }
}
