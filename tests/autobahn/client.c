/* The client side of the Autobahn test suite: it asks the suite how many cases there are, echoes
   in each of them, and asks for the reports at the end.

   usage: client PORT */

#include "peer.h"

#define AGENT "libdill"
/* Longer than any message of the suite. */
#define SIZE ((size_t)20 * 1024 * 1024)

static int count_cases(int port) {
    char buf[32];
    int ws = connect_ws(port, "/getCaseCount");
    ssize_t len = ws_recv(ws, NULL, buf, sizeof buf - 1, now() + STEP);
    if (len < 0)
        fail("number of cases");
    buf[len] = 0;
    finish(ws, 1000, "");
    return atoi(buf);
}

/* Echoes until the suite closes the connection or breaks a rule. */
static void run_case(int port, int number, char *buf) {
    char resource[64];
    snprintf(resource, sizeof resource, "/runCase?case=%d&agent=" AGENT, number);
    int ws = connect_ws(port, resource);
    int flags;
    ssize_t len;
    while ((len = ws_recv(ws, &flags, buf, SIZE, now() + STEP)) >= 0)
        if (ws_send(ws, flags, buf, (size_t)len, now() + STEP) < 0)
            break;
    struct ending e;
    if (errno == EPIPE && read_ending(ws, &e) == 0)
        finish(ws, e.code, e.reason);
    else
        hclose(ws);
}

int main(int argc, char *argv[]) {
    int port = argc == 2 ? atoi(argv[1]) : 0;
    char *buf = malloc(SIZE);
    if (port == 0 || !buf) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    int cases = count_cases(port);
    for (int i = 1; i <= cases; i++)
        run_case(port, i, buf);
    free(buf);
    /* This one answers with nothing but a close frame. */
    int ws = connect_ws(port, "/updateReports?agent=" AGENT);
    finish(ws, 1000, "");
    return 0;
}
