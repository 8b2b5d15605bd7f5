/* What the test of the installation builds, as C and as C++: a coroutine that speaks WebSocket with the
   one that launched it. */

#include <libdillimpl.h>

#include <stdio.h>
#include <string.h>

static coroutine void answer(int s) {
    char text[16];
    int ws = ws_attach_server(s, WS_TEXT, NULL, 0, NULL, 0, now() + 10000);
    ssize_t len = mrecv(ws, text, sizeof text, now() + 10000);
    if (len >= 0)
        msend(ws, text, (size_t)len, now() + 10000);
    hclose(ws);
}

#ifdef OWN_MSEND
/* A program may use the names without prefix for itself. */
#undef msend
int msend(void);
int msend(void) { return 7; }
#define msend dill_msend
#endif

int main(void) {
    int pair[2];
    char text[16] = "";
    if (ipc_pair(pair) < 0) return 1;
    int server = go(answer(pair[0]));
    if (server < 0) return 2;
    int ws = ws_attach_client(pair[1], WS_TEXT, "/", "localhost", now() + 10000);
    if (ws < 0) return 3;
    if (msend(ws, "hello", 5, now() + 10000) < 0) return 4;
    if (mrecv(ws, text, sizeof text, now() + 10000) != 5) return 5;
    hclose(ws);
    hclose(server);
    /* In a program of fixed address this is a copy of the library's variable. */
    if (hquery(pair[0], msock_type) || !msock_type || msock_type == bsock_type) return 6;
    puts(text);
    return 0;
}
