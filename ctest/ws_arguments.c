/* What the ws_* functions say to wrong arguments, and what they do to the handle. */

#include <limits.h>

#include <libdill.h>

#include "list.h"
#include "test.h"
#include "wire.h"

static struct ws_storage storage;
static char buf[16];

/* Both ways to attach, without and with HTTP, with and without storage of the caller. */
static int client(int s, int flags) { return ws_attach_client(s, flags, "/", "h", now() + 10000); }
static int server(int s, int flags) { return ws_attach_server(s, flags, buf, 16, buf, 16, now() + 10000); }
static int client_mem(int s, int flags) { return ws_attach_client_mem(s, flags, "/", "h", &storage, now() + 10000); }
static int server_mem(int s, int flags) {
    return ws_attach_server_mem(s, flags, buf, 16, buf, 16, &storage, now() + 10000);
}

typedef int (*attach_call)(int s, int flags);
static const attach_call attach_calls[] = {client, server, client_mem, server_mem};
#define EACH_ATTACH(CALL) \
    for (size_t attach_ = 0; attach_ != 4 && (CALL = attach_calls[attach_], 1); ++attach_)

/* The peer of a socket that the library took with it: closed, and nothing was sent before. */
static void check_closed(int s, int fd) {
    CHECK_ERR(hclose(s), -1, EBADF);
    CHECK_RAW_END(fd);
}

/* --- Attaching --- */

TEST(attaching_to_a_bad_handle_gives_EBADF) {
    const int bad[] = {-1, INT_MIN, 99999, INT_MAX};
    attach_call attach;
    EACH_ATTACH(attach) {
        for (int i = 0; i != 4; ++i) {
            CHECK_ERR(attach(bad[i], WS_TEXT), -1, EBADF);
            CHECK_ERR(attach(bad[i], WS_TEXT | WS_NOHTTP), -1, EBADF);
        }
    }
}

TEST(attaching_to_a_closed_handle_gives_EBADF) {
    attach_call attach;
    EACH_ATTACH(attach) {
        int s[2];
        make_ipc_pair(s);
        CHECK_INT(hclose(s[0]), 0);
        CHECK_ERR(attach(s[0], WS_TEXT), -1, EBADF);
    }
}

TEST(attaching_to_another_kind_of_handle_gives_ENOTSUP_and_closes_it) {
    attach_call attach;
    EACH_ATTACH(attach) {
        int ch[2];
        CHECK_INT(chmake(ch), 0);
        CHECK_ERR(attach(ch[0], WS_TEXT), -1, ENOTSUP);
        CHECK_ERR(hclose(ch[0]), -1, EBADF);
        CHECK_ERR(attach(ch[1], WS_TEXT | WS_NOHTTP), -1, ENOTSUP);
        CHECK_ERR(hclose(ch[1]), -1, EBADF);
    }
}

TEST(attaching_to_a_WebSocket_gives_ENOTSUP_and_closes_it) {
    struct wire w;
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_ERR(client(w.ws, WS_TEXT), -1, ENOTSUP);
        CHECK_ERR(hclose(w.ws), -1, EBADF);
        CHECK(raw_is_closed(w.fd));
    }
}

TEST(flags_that_mean_nothing_give_EINVAL_and_close_the_socket) {
    const int bad[] = {1 << 30, 1 << 29, WS_TEXT | 1 << 30, WS_NOHTTP | 1 << 30, INT_MIN};
    attach_call attach;
    EACH_ATTACH(attach) {
        for (int i = 0; i != 5; ++i) {
            int s, fd;
            make_ipc_and_raw(&s, &fd);
            CHECK_ERR(attach(s, bad[i]), -1, EINVAL);
            check_closed(s, fd);
        }
    }
}

TEST(NULL_storage_gives_EINVAL_and_closes_the_socket) {
    for (int i = 0; i != 4; ++i) {
        int flags = i % 2 ? WS_TEXT | WS_NOHTTP : WS_TEXT, s, fd;
        make_ipc_and_raw(&s, &fd);
        if (i < 2) CHECK_ERR(ws_attach_client_mem(s, flags, "/", "h", NULL, -1), -1, EINVAL);
        else CHECK_ERR(ws_attach_server_mem(s, flags, buf, 16, buf, 16, NULL, -1), -1, EINVAL);
        check_closed(s, fd);
    }
}

static void check_client_refuses(const char *resource, const char *host) {
    int s, fd;
    make_ipc_and_raw(&s, &fd);
    CHECK_ERR(ws_attach_client(s, WS_TEXT, resource, host, now() + 10000), -1, EINVAL);
    check_closed(s, fd);
}

TEST(a_NULL_resource_gives_EINVAL_and_closes_the_socket) { check_client_refuses(NULL, "h"); }

TEST(a_NULL_host_gives_EINVAL_and_closes_the_socket) { check_client_refuses("/", NULL); }

TEST(control_characters_and_spaces_in_the_resource_give_EINVAL_and_nothing_is_sent) {
    const char *bad[] = {"/a b",  " /",     "/ ",         "/a\r\nX: y", "/a\r", "/a\nb",
                         "/a\tb", "/a\001", "/a\037/b",   "/a\177b",    "/ HTTP/1.1\r\nHost: evil\r\n\r\n"};
    for (size_t i = 0; i != sizeof(bad) / sizeof(*bad); ++i) check_client_refuses(bad[i], "h");
}

TEST(control_characters_in_the_host_give_EINVAL_and_nothing_is_sent) {
    const char *bad[] = {"h\r\nX: y", "h\r", "h\n", "h\001", "h\177", "\r\n\r\n"};
    for (size_t i = 0; i != sizeof(bad) / sizeof(*bad); ++i) check_client_refuses("/", bad[i]);
}

TEST(a_NULL_buffer_with_a_length_for_the_server_gives_EINVAL_and_closes_the_socket) {
    for (int i = 0; i != 2; ++i) {
        int s, fd;
        make_ipc_and_raw(&s, &fd);
        CHECK_ERR(ws_attach_server(s, WS_TEXT, i ? buf : NULL, 16, i ? NULL : buf, 16, now() + 100), -1, EINVAL);
        CHECK_ERR(hclose(s), -1, EBADF);
        CHECK(raw_is_closed(fd));
    }
}

TEST(without_HTTP_nothing_is_sent_and_the_other_arguments_are_ignored) {
    struct wire w;
    int s, fd;
    EACH_ROLE(&w, WS_TEXT) CHECK_RAW_SILENT(w.fd);
    make_ipc_and_raw(&s, &fd);
    CHECK(ws_attach_client(s, WS_TEXT | WS_NOHTTP, "in valid\r\n", "\n", 0) >= 0);
    CHECK_RAW_SILENT(fd);
    make_ipc_and_raw(&s, &fd);
    CHECK(ws_attach_server(s, WS_TEXT | WS_NOHTTP, NULL, 100, NULL, 100, 0) >= 0);
    CHECK_RAW_SILENT(fd);
}

TEST(attaching_takes_the_underlying_handle_over) {
    attach_call attach;
    EACH_ATTACH(attach) {
        int s, fd, ws;
        make_ipc_and_raw(&s, &fd);
        ws = attach(s, WS_TEXT | WS_NOHTTP);
        CHECK(ws >= 0);
        CHECK(ws != s);
        CHECK_ERR(hclose(s), -1, EBADF);
        CHECK_ERR(bsend(s, "A", 1, -1), -1, EBADF);
        CHECK_INT(hclose(ws), 0);
        CHECK_RAW_END(fd);
    }
}

coroutine static void attach_when_cancelled(attach_call attach, int s, int flags) {
    CHECK_ERR(msleep(-1), -1, ECANCELED);
    CHECK_ERR(attach(s, flags), -1, ECANCELED);
}

TEST(attaching_in_a_cancelled_coroutine_gives_ECANCELED_and_closes_the_socket) {
    attach_call attach;
    EACH_ATTACH(attach) {
        int s, fd, b;
        make_ipc_and_raw(&s, &fd);
        b = go(attach_when_cancelled(attach, s, WS_TEXT | WS_NOHTTP));
        CHECK_INT(hclose(b), 0);
        check_closed(s, fd);
    }
}

/* --- Everything else, on wrong handles --- */

static void check_all(int h, int err) {
    struct iolist l = {buf, 16, NULL, 0};
    int flags, status;
    CHECK_ERR(ws_send(h, WS_TEXT, "A", 1, -1), -1, err);
    CHECK_ERR(ws_sendl(h, WS_TEXT, &l, &l, -1), -1, err);
    CHECK_ERR(ws_recv(h, &flags, buf, 16, -1), -1, err);
    CHECK_ERR(ws_recvl(h, &flags, &l, &l, -1), -1, err);
    CHECK_ERR(ws_done(h, 1000, NULL, 0, -1), -1, err);
    CHECK_ERR(ws_status(h, &status, buf, 16), -1, err);
    CHECK_ERR(ws_detach(h, 1000, NULL, 0, -1), -1, err);
}

TEST(bad_handles_give_EBADF) {
    const int bad[] = {-1, INT_MIN, 99999, INT_MAX};
    for (int i = 0; i != 4; ++i) check_all(bad[i], EBADF);
}

TEST(a_closed_WebSocket_gives_EBADF) {
    struct wire w;
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_INT(hclose(w.ws), 0);
        check_all(w.ws, EBADF);
    }
}

TEST(other_kinds_of_handle_give_ENOTSUP_and_are_left_alone) {
    int s[2], ch[2];
    make_ipc_pair(s);
    CHECK_INT(chmake(ch), 0);
    check_all(s[0], ENOTSUP);
    check_all(ch[0], ENOTSUP);
    CHECK_INT(bsend(s[0], "A", 1, -1), 0);
    CHECK_INT(brecv(s[1], buf, 1, now() + 5000), 0);
    CHECK_INT(hclose(ch[0]), 0);
}

TEST(a_WebSocket_is_no_bytestream_and_no_connection) {
    struct wire w;
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_ERR(bsend(w.ws, "A", 1, -1), -1, ENOTSUP);
        CHECK_ERR(brecv(w.ws, buf, 1, -1), -1, ENOTSUP);
        CHECK_ERR(tcp_close(w.ws, -1), -1, ENOTSUP);
        CHECK_ERR(ipc_close(w.ws, -1), -1, ENOTSUP);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "A", 1, -1), 0);
        wire_expect_text(&w, FIN | TEXT, "A");
    }
}

/* --- Buffers --- */

TEST(sending_NULL_with_a_length_gives_EINVAL_and_sends_nothing) {
    struct wire w;
    EACH_ROLE(&w, WS_TEXT) {
        CHECK_ERR(ws_send(w.ws, WS_TEXT, NULL, 1, -1), -1, EINVAL);
        CHECK_ERR(ws_send(w.ws, WS_TEXT, NULL, SIZE_MAX, -1), -1, EINVAL);
        CHECK_ERR(msend(w.ws, NULL, 1, -1), -1, EINVAL);
        CHECK_RAW_SILENT(w.fd);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "A", 1, -1), 0);
        wire_expect_text(&w, FIN | TEXT, "A");
    }
}

TEST(sending_more_than_there_can_be_gives_EINVAL_and_sends_nothing) {
    struct wire w;
    EACH_ROLE(&w, WS_TEXT) {
        struct iolist whole = {(void *)"A", (size_t)SSIZE_MAX + 1, NULL, 0};
        CHECK_ERR(ws_send(w.ws, WS_TEXT, "A", SIZE_MAX, -1), -1, EINVAL);
        CHECK_ERR(ws_sendl(w.ws, WS_TEXT, &whole, &whole, -1), -1, EINVAL);
        CHECK_ERR(msend(w.ws, "A", SIZE_MAX, -1), -1, EINVAL);
        CHECK_ERR(msendl(w.ws, &whole, &whole, -1), -1, EINVAL);
        CHECK_RAW_SILENT(w.fd);
        CHECK_INT(ws_send(w.ws, WS_TEXT, "A", 1, -1), 0);
        wire_expect_text(&w, FIN | TEXT, "A");
    }
}

static struct iolist list[3];
static void make_list(void) {
    struct iolist a = {buf, 1, &list[1], 0}, b = {buf + 1, 1, &list[2], 0}, c = {buf + 2, 1, NULL, 0};
    list[0] = a;
    list[1] = b;
    list[2] = c;
}

static void check_send_refuses(int ws, struct iolist *first, struct iolist *last) {
    struct iolist copy[3];
    memcpy(copy, list, sizeof(list));
    CHECK_ERR(ws_sendl(ws, WS_TEXT, first, last, -1), -1, EINVAL);
    CHECK_ERR(msendl(ws, first, last, -1), -1, EINVAL);
    CHECK_SAME_LIST(list, copy);
}

TEST(sending_malformed_lists_gives_EINVAL_and_harms_nothing) {
    struct wire w;
    EACH_ROLE(&w, WS_TEXT) {
        make_list();
        check_send_refuses(w.ws, NULL, NULL);
        check_send_refuses(w.ws, &list[0], NULL);
        check_send_refuses(w.ws, NULL, &list[2]);
        check_send_refuses(w.ws, &list[0], &list[1]);
        list[1].iol_rsvd = 1;
        check_send_refuses(w.ws, &list[0], &list[2]);
        make_list();
        list[1].iol_next = &list[0];
        check_send_refuses(w.ws, &list[0], &list[2]);
        make_list();
        list[1].iol_next = NULL;
        check_send_refuses(w.ws, &list[0], &list[2]);
        make_list();
        list[1].iol_base = NULL;
        check_send_refuses(w.ws, &list[0], &list[2]);
        CHECK_RAW_SILENT(w.fd);
        memcpy(buf, "abc", 3);
        make_list();
        CHECK_INT(ws_sendl(w.ws, WS_TEXT, &list[0], &list[2], -1), 0);
        wire_expect_text(&w, FIN | TEXT, "abc");
    }
}

static void check_receive_refuses(int ws, struct iolist *first, struct iolist *last) {
    struct iolist copy[3];
    memcpy(copy, list, sizeof(list));
    CHECK_ERR(ws_recvl(ws, NULL, first, last, now() + 10000), -1, EINVAL);
    CHECK_ERR(mrecvl(ws, first, last, now() + 10000), -1, EINVAL);
    CHECK_SAME_LIST(list, copy);
}

TEST(receiving_into_malformed_lists_gives_EINVAL_and_loses_no_message) {
    struct wire w;
    EACH_ROLE(&w, WS_TEXT) {
        wire_send_text(&w, FIN | TEXT, "abc");
        make_list();
        check_receive_refuses(w.ws, &list[0], NULL);
        check_receive_refuses(w.ws, NULL, &list[2]);
        check_receive_refuses(w.ws, &list[0], &list[1]);
        list[1].iol_rsvd = 1;
        check_receive_refuses(w.ws, &list[0], &list[2]);
        make_list();
        list[1].iol_next = &list[0];
        check_receive_refuses(w.ws, &list[0], &list[2]);
        expect_text(w.ws, "abc");
    }
}
