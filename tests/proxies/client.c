/* Connects to a URL, sends a message and says what came back, or why nothing did.

       client URL [PROXY]      without PROXY, the environment says which */

#define _GNU_SOURCE
#include <libdillext.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STEP 20000

int main(int argc, char *argv[]) {
    struct ws_opts opts = {.size = sizeof opts, .flags = WS_TEXT, .proxy = argc > 2 ? argv[2] : NULL};
    if (argc < 2) return 2;
    int ws = ws_connect(argv[1], &opts, now() + STEP);
    if (ws < 0) return printf("%s %d %s\n", strerrorname_np(errno), ws_errstatus(), ws_errmsg()), 0;
    char buf[64];
    ssize_t len = msend(ws, "through", 7, now() + STEP) < 0 ? -1 : mrecv(ws, buf, sizeof buf, now() + STEP);
    printf("%.*s %d\n", len < 0 ? 0 : (int)len, buf, ws_close(ws, 1000, NULL, 0, now() + STEP));
    return 0;
}
