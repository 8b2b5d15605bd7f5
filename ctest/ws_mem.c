/* WebSockets in storage of the caller, at every alignment. */

#include <libdill.h>

#include "http.h"
#include "mem.h"
#include "test.h"
#include "wire.h"

static struct wire w;
static struct guarded_mem m;
static char buf[300];

static int attach_mem(int s, enum role role, int flags, size_t offset) {
    struct ws_storage *mem = (struct ws_storage *)guarded_make(&m, sizeof(struct ws_storage), offset);
    int ws = role == CLIENT ? ws_attach_client_mem(s, flags | WS_NOHTTP, NULL, NULL, mem, -1)
                            : ws_attach_server_mem(s, flags | WS_NOHTTP, NULL, 0, NULL, 0, mem, -1);
    CHECK(ws >= 0);
    return ws;
}

static void open_mem(enum role role, size_t offset) {
    int s;
    make_ipc_and_raw(&s, &w.fd);
    w.role = role;
    w.ws = attach_mem(s, role, WS_TEXT, offset);
}

#define EACH_ROLE_AND_OFFSET                          \
    for (int role_ = CLIENT; role_ <= SERVER; ++role_) \
        for (size_t offset_ = 0; offset_ != 16 && (open_mem((enum role)role_, offset_), 1); ++offset_)

static void finish(void) {
    CHECK_INT(close(w.fd), 0);
    guarded_free(&m);
}

TEST(messages_pass) {
    EACH_ROLE_AND_OFFSET {
        CHECK_INT(ws_send(w.ws, WS_TEXT, "hello", 5, -1), 0);
        wire_expect_text(&w, FIN | TEXT, "hello");
        wire_send_text(&w, FIN | TEXT, "hello");
        expect_text(w.ws, "hello");
        CHECK_INT(hclose(w.ws), 0);
        finish();
    }
}

TEST(fragments_and_pings_and_timeouts_pass) {
    EACH_ROLE_AND_OFFSET {
        memset(buf, 'p', 125);
        wire_send_text(&w, TEXT, "hel");
        wire_send(&w, FIN | PING, buf, 125);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), 0), -1, ETIMEDOUT);
        wire_send_text(&w, FIN | CONTINUATION, "lo");
        expect_text(w.ws, "hello");
        memset(buf, 'p', 125);
        wire_expect(&w, FIN | PONG, buf, 125);
        CHECK_INT(hclose(w.ws), 0);
        finish();
    }
}

TEST(a_close_reason_of_123_bytes_is_kept) {
    EACH_ROLE_AND_OFFSET {
        char reason[124], seen[123];
        int status = -1;
        memset(reason, 'r', 123);
        reason[123] = 0;
        wire_send_close(&w, 4999, reason);
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPIPE);
        CHECK_INT(ws_status(w.ws, &status, seen, sizeof(seen)), 123);
        CHECK_INT(status, 4999);
        CHECK_MEM(seen, reason, 123);
        CHECK_INT(hclose(w.ws), 0);
        finish();
    }
}

TEST(the_block_may_be_reused_after_ws_detach) {
    EACH_ROLE_AND_OFFSET {
        int s;
        wire_send_close(&w, 1000, "");
        s = ws_detach(w.ws, 1000, NULL, 0, now() + 5000);
        CHECK(s >= 0);
        guarded_check(&m);
        memset(m.all + m.offset, 0xFF, m.len);
        wire_expect_close(&w, 1000);
        raw_send(w.fd, "raw", 3);
        CHECK_INT(brecv(s, buf, 3, now() + 5000), 0);
        CHECK_INT(hclose(s), 0);
        finish();
    }
}

TEST(a_violation_stays_inside_the_block) {
    EACH_ROLE_AND_OFFSET {
        wire_send_text(&w, FIN | 3, "");
        CHECK_ERR(ws_recv(w.ws, NULL, buf, sizeof(buf), now() + 5000), -1, EPROTO);
        CHECK_INT(hclose(w.ws), 0);
        finish();
    }
}

coroutine static void attach_client(int s, struct ws_storage *mem, volatile int *ws) {
    *ws = ws_attach_client_mem(s, WS_TEXT, "/", "h", mem, now() + 5000);
}

TEST(the_handshake_stays_inside_the_blocks) {
    EACH_OFFSET(offset) {
        struct guarded_mem mem[2] = {{NULL, 0, 0}, {NULL, 0, 0}};
        volatile int ws[2] = {-2, -2};
        int s[2], h;
        struct ws_storage *client_mem;
        make_ipc_pair(s);
        client_mem = (struct ws_storage *)guarded_make(&mem[0], sizeof(struct ws_storage), offset);
        h = go(attach_client(s[0], client_mem, &ws[0]));
        ws[1] = ws_attach_server_mem(
            s[1], WS_TEXT, NULL, 0, NULL, 0,
            (struct ws_storage *)guarded_make(&mem[1], sizeof(struct ws_storage), offset), now() + 5000);
        CHECK(ws[1] >= 0);
        CHECK_INT(bundle_wait(h, now() + 5000), 0);
        CHECK(ws[0] >= 0);
        CHECK_INT(msend(ws[0], "hello", 5, -1), 0);
        expect_text(ws[1], "hello");
        CHECK_INT(hclose(ws[0]) + hclose(ws[1]) + hclose(h), 0);
        guarded_free(&mem[0]);
        guarded_free(&mem[1]);
    }
}

TEST(a_failed_handshake_leaves_the_block_to_the_caller) {
    int s, fd;
    make_ipc_and_raw(&s, &fd);
    raw_send_text(fd, "hello\r\n\r\n");
    CHECK_ERR(ws_attach_server_mem(s, WS_TEXT, NULL, 0, NULL, 0,
                                   (struct ws_storage *)guarded_make(&m, sizeof(struct ws_storage), 1),
                                   now() + 10000),
              -1, EPROTO);
    memset(m.all + m.offset, 0xFF, m.len);
    CHECK_INT(yield(), 0);
    guarded_free(&m);
}
