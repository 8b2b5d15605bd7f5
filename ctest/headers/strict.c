/* stds: c99 c11 c17 c2x gnu99 gnu11 gnu17 gnu2x c++11 c++14 c++17 c++20 gnu++20 */
/* Compiled, not run, once in each of these languages, with all warnings as errors. */

#include <libdillext.h>
#include <libdillimpl.h>

coroutine static void worker(int ch, const char *text) { chsend(ch, &text, sizeof(text), -1); }

static int launch(int ch, void *stack, size_t len) {
    int b = bundle();
    int h = go(worker(ch, "go"));
    bundle_go(b, worker(ch, "bundle_go"));
    bundle_go_mem(b, worker(ch, "bundle_go_mem"), stack, len);
    hclose(h);
    return go_mem(worker(ch, "go_mem"), stack, len);
}

static int converse(int s) {
    char buf[16];
    int flags;
    s = ws_attach_client(s, "/", "", WS_TEXT, -1);
    s = ws_attach_client(s, WS_TEXT, "/", "", now() + 1000);
    ws_recv(s, &flags, buf, sizeof(buf), -1);
    s = ws_detach(s, 1000, "bye", 3, -1);
    return ws_detach(s, -1);
}

int main(void) {
    struct iolist list = {NULL, 0, NULL, 0};
    struct chclause clause = {CHRECV, 0, NULL, 0};
    char stack[16384];
    bsendl(0, &list, &list, 0);
    choose(&clause, 1, 0);
    return launch(0, stack, sizeof(stack)) + converse(0) + (bsock_type == msock_type);
}
