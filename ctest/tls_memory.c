/* A lack of memory at any place of a connection over TLS: what comes behind it is understood. */

#include <sys/socket.h>

#include "failing_malloc.h"
#include "tls_s_client.h"

extern void *__libc_memalign(size_t alignment, size_t len);

int posix_memalign(void **place, size_t alignment, size_t len) {
    if (is_to_fail()) return ENOMEM;
    *place = __libc_memalign(alignment, len);
    return *place ? 0 : ENOMEM;
}

static char buf[100];

/* Receives while the allocation after so many fails, and again if it was missed. False: there were not so many. */
static int receive_without_memory(int ws, const char *message, int nth) {
    left = nth;
    ssize_t len = ws_recv(ws, NULL, buf, sizeof(buf), soon());
    int error = errno, has_failed = left < 0;
    left = -1;
    if (len < 0) {
        CHECK_INT(error, ENOMEM);
        len = ws_recv(ws, NULL, buf, sizeof(buf), soon());
    }
    CHECK_INT(len, strlen(message));
    CHECK_MEM(buf, message, strlen(message));
    return has_failed;
}

/* The bytes from one descriptor to the other, as long as there are some. */
coroutine static void relay(int from, int to) {
    char byte;
    while (fdin(from, -1) == 0 && recv(from, &byte, 1, MSG_DONTWAIT) == 1) CHECK_INT(send(to, &byte, 1, 0), 1);
}

/* A client and a server, which reads ahead. What the client sends comes out of wire[0] and goes into wire[1]. */
static void make_apart(int ws[2], int wire[2]) {
    int fds[2], s[2], relays[2];
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    s[0] = ipc_fromfd(fds[0]), wire[0] = fds[1];
    make_tcp_and_raw(&s[1], &wire[1]);
    for (int i = 0; i != 2; ++i) CHECK((relays[i] = go(relay(wire[i], wire[1 - i]))) >= 0);
    make_tls_over(s, ws);
    for (int i = 0; i != 2; ++i) CHECK_INT(hclose(relays[i]), 0);
    ws[0] = ws_attach_client(ws[0], WS_TEXT | WS_NOHTTP, NULL, NULL, soon());
    ws[1] = ws_attach_server(ws[1], WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, soon());
    CHECK(ws[0] >= 0 && ws[1] >= 0);
}

TEST(a_record_of_which_a_part_has_come_is_kept) {
    int has_failed = 1;
    for (int nth = 0; has_failed; ++nth) {
        int ws[2], wire[2];
        char bytes[200];
        make_apart(ws, wire);
        CHECK_INT(ws_send(ws[0], WS_TEXT, "one", 3, soon()), 0);
        CHECK_INT(ws_send(ws[0], WS_TEXT, "another", 7, soon()), 0);
        ssize_t len = recv(wire[0], bytes, sizeof(bytes), MSG_DONTWAIT);
        CHECK(len > 60);
        CHECK_INT(send(wire[1], bytes, (size_t)len - 10, 0), len - 10);
        has_failed = receive_without_memory(ws[1], "one", nth);
        CHECK_INT(send(wire[1], bytes + len - 10, 10, 0), 10);
        CHECK_INT(ws_recv(ws[1], NULL, buf, sizeof(buf), soon()), 7);
        CHECK_MEM(buf, "another", 7);
        for (int i = 0; i != 2; ++i) {
            CHECK_INT(hclose(ws[i]), 0);
            CHECK_INT(fdclean(wire[i]), 0);
            CHECK_INT(close(wire[i]), 0);
        }
        CHECK(has_failed || nth > 0 || is_wrapped());
    }
}

TEST(a_new_key_that_the_peer_has_asked_for_stays_due) {
    static const char message[] = {(char)0x82, (char)0x82, 0, 0, 0, 0, 'h', 'i'};
    struct ipaddr addr;
    int listener = listen_somewhere(&addr), has_failed = 1;
    make_certificate();
    for (int nth = 0; has_failed; ++nth) {
        FILE *client = start_s_client(&addr);
        int s = tcp_accept(listener, NULL, soon());
        CHECK(s >= 0);
        s = tls_attach_server(s, in_directory("server.pem"), in_directory("server.key"), soon());
        int ws = ws_attach_server(s, WS_NOHTTP, NULL, 0, NULL, 0, soon());
        CHECK(ws >= 0);
        ask_for_new_key_with(client, message, sizeof(message));
        has_failed = receive_without_memory(ws, "hi", nth);
        CHECK_INT(ws_send(ws, WS_BINARY, "under the new key", 17, soon()), 0);
        wait_until_s_client_shows("under the new key");
        CHECK_INT(hclose(ws), 0);
        pclose(client);
        CHECK_INT(unlink(in_directory("s_client")), 0);
    }
    CHECK_INT(hclose(listener), 0);
}

TEST(the_close_frame_that_answers_leaves_though_there_is_no_memory_for_the_end_of_TLS) {
    int has_failed = 1;
    for (int nth = 0; has_failed; ++nth) {
        int s[2], ws[2];
        make_tcp_pair(s);
        make_tls_over(s, ws);
        ws[0] = ws_attach_client(ws[0], WS_TEXT | WS_NOHTTP, NULL, NULL, soon());
        ws[1] = ws_attach_server(ws[1], WS_TEXT | WS_NOHTTP, NULL, 0, NULL, 0, soon());
        CHECK_INT(ws_done(ws[0], 1000, NULL, 0, soon()), 0);
        CHECK_ERR(ws_recv(ws[1], NULL, buf, sizeof(buf), soon()), -1, EPIPE);
        left = nth;
        int closed = ws_close(ws[1], 1000, NULL, 0, soon());
        has_failed = left < 0;
        left = -1;
        CHECK_INT(ws_recv(ws[0], NULL, buf, sizeof(buf), soon()), -1);
        if (closed == 0) CHECK_INT(errno, EPIPE);
        CHECK_INT(hclose(ws[0]), 0);
        CHECK(has_failed || nth > 0 || is_wrapped());
    }
}
