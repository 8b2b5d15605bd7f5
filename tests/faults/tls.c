/* TLS. */

#include <libdillext.h>

/* The certificates of the system are kept, and so is what they were read into when memory was short. */
#define MAY_STAY_MAPPED (4 << 20)
/* The one exception: without random numbers Rust's own library ends the process, or keeps /dev/urandom open.
   An older kernel, or one that has just started, would not have them; the library needs Linux 4.14. */
#define RANDOM_ERRORS EINTR

#include "pairs.h"

static void tls_client(int s) {
    char c;
    if (CALL(bsend, s, "x", 1, deadline()) == 0) CALL(brecv, s, &c, 1, deadline());
    if ((s = (int)CALL(tls_detach, s, deadline())) >= 0) CALL(hclose, s);
}
static void tls_server(int s) {
    char c;
    if (CALL(brecv, s, &c, 1, deadline()) == 0) CALL(bsend, s, &c, 1, deadline());
    if ((s = (int)CALL(tls_detach, s, deadline())) >= 0) CALL(hclose, s);
}
SCENARIO(tls) { converse(TLS, tls_client, tls_server); }

static void wss_client(int s) {
    char buf[10];
    if ((s = (int)CALL(ws_attach_client, s, WS_TEXT, "/", "example.com", deadline())) < 0) return;
    if (CALL(ws_send, s, WS_TEXT, "hello", 5, deadline()) == 0) CALL(ws_recv, s, NULL, buf, sizeof(buf), deadline());
    s = (int)CALL(ws_detach, s, 1000, NULL, 0, deadline());
    if (s >= 0) CALL(hclose, s);
}
static void wss_server(int s) {
    char buf[10];
    if ((s = (int)CALL(ws_attach_server, s, WS_TEXT, NULL, 0, NULL, 0, deadline())) < 0) return;
    if (CALL(ws_recv, s, NULL, buf, sizeof(buf), deadline()) >= 0) CALL(ws_send, s, WS_TEXT, buf, 5, deadline());
    s = (int)CALL(ws_detach, s, 1000, NULL, 0, deadline());
    if (s >= 0) CALL(hclose, s);
}
SCENARIO(wss) { converse(TLS, wss_client, wss_server); }

/* The certificates to trust are read before the peer turns out to be gone. */
static void attach_in_vain(const char *ca_file) {
    struct tls_opts opts = {.size = sizeof(opts), .host = "example.com", .ca_file = ca_file};
    int s[2];
    if (CALL(ipc_pair, s) < 0) return;
    CALL(hclose, s[1]);
    int h = (int)CALL_EXPECTING(ECONNRESET, tls_attach_client_opts, s[0], &opts, deadline());
    if (h >= 0) CALL(hclose, h);
}
SCENARIO(tls_that_trusts_a_file) { attach_in_vain(getenv("FAULTS_CERTIFICATE")); }
SCENARIO(tls_that_trusts_the_system) { attach_in_vain(NULL); }
