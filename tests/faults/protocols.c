/* PREFIX, SUFFIX, TERM and HTTP. */

#include "pairs.h"

/* --- Messages --- */

static char message[5000];

/* Sends two messages and receives one, then closes. */
static void send_messages(int s) {
    char buf[3] = "";
    struct iolist second = {message, sizeof(message), NULL, 0}, first = {buf, 3, &second, 0};
    memset(message, 'm', sizeof(message));
    if (s < 0) return;
    if (CALL(msend, s, "one", 3, deadline()) == 0 && CALL(mrecv, s, buf, 3, deadline()) >= 0)
        CALL(msendl, s, &first, &second, deadline());
    CALL(hclose, s);
}
static void receive_messages(int s) {
    char buf[3] = "";
    static char place[sizeof(message)];
    struct iolist second = {place, sizeof(place), NULL, 0}, first = {buf, 3, &second, 0};
    if (s < 0) return;
    if (CALL(mrecv, s, buf, 3, deadline()) >= 0 && CALL(msend, s, "two", 3, deadline()) == 0)
        CALL(mrecvl, s, &first, &second, deadline());
    CALL(hclose, s);
}

static void prefix_client(int s) { send_messages((int)CALL(prefix_attach, s, 4, 0)); }
static void prefix_server(int s) { receive_messages((int)CALL(prefix_attach, s, 4, 0)); }
SCENARIO(prefix_by_tcp) { converse(TCP, prefix_client, prefix_server); }
SCENARIO(prefix_by_ipc) { converse(IPC, prefix_client, prefix_server); }

static void suffix_client(int s) { send_messages((int)CALL(suffix_attach, s, "\r\n", 2)); }
static void suffix_server(int s) { receive_messages((int)CALL(suffix_attach, s, "\r\n", 2)); }
SCENARIO(suffix_by_tcp) { converse(TCP, suffix_client, suffix_server); }

static void suffix_and_detach(int s) {
    s = (int)CALL(suffix_attach, s, "\r\n", 2);
    if (s < 0 || (s = (int)CALL(suffix_detach, s, deadline())) < 0) return;
    CALL(hclose, s);
}
SCENARIO(suffix_that_is_detached) { converse(IPC, suffix_and_detach, suffix_and_detach); }

static int attach_term(int s) {
    s = (int)CALL(prefix_attach, s, 2, 0);
    return s < 0 ? s : (int)CALL(term_attach, s, "STOP", 4);
}
static void term_client(int s) {
    if ((s = attach_term(s)) < 0) return;
    CALL(msend, s, "hello", 5, deadline());
    s = (int)CALL(term_detach, s, deadline());
    if (s >= 0 && (s = (int)CALL(prefix_detach, s)) >= 0) CALL(hclose, s);
}
static void term_server(int s) {
    char buf[10];
    if ((s = attach_term(s)) < 0) return;
    CALL(mrecv, s, buf, sizeof(buf), deadline());
    CALL_EXPECTING(EPIPE, mrecv, s, buf, sizeof(buf), deadline());
    CALL(term_done, s, deadline());
    CALL(hclose, s);
}
SCENARIO(term) { converse(TCP, term_client, term_server); }

/* --- HTTP --- */

static void http_client(int s) {
    char name[64], value[64], reason[64];
    if ((s = (int)CALL(http_attach, s)) < 0) return;
    if (CALL(http_sendrequest, s, "GET", "/", deadline()) == 0 &&
        CALL(http_sendfield, s, "Host", "example.com", deadline()) == 0 && CALL(http_done, s, deadline()) == 0 &&
        CALL(http_recvstatus, s, reason, sizeof(reason), deadline()) > 0)
        while (http_recvfield(s, name, sizeof(name), value, sizeof(value), deadline()) == 0) continue;
    if ((s = (int)CALL(http_detach, s, deadline())) >= 0) CALL(hclose, s);
}
static void http_server(int s) {
    char name[64], value[64], resource[64];
    if ((s = (int)CALL(http_attach, s)) < 0) return;
    if (CALL(http_recvrequest, s, name, sizeof(name), resource, sizeof(resource), deadline()) == 0) {
        while (http_recvfield(s, name, sizeof(name), value, sizeof(value), deadline()) == 0) continue;
        CALL(http_sendstatus, s, 200, "OK", deadline());
        CALL(http_sendfield, s, "Server", "test", deadline());
        CALL(http_done, s, deadline());
    }
    CALL(hclose, s);
}
SCENARIO(http_by_tcp) { converse(TCP, http_client, http_server); }
SCENARIO(http_by_ipc) { converse(IPC, http_client, http_server); }
