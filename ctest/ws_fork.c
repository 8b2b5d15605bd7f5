/* WebSockets and fork: a child never repeats what its parent kept secret. */

#include <libdill.h>

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
