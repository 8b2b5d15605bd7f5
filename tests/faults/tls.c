/* TLS. */

#include <libdillext.h>

/* What was read from files is kept, for a client and a server, and the memory that it was read into when there was
   no other. */
#define MAY_STAY_MAPPED (4 * (4 << 20))
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

/* Both sides have a certificate; the second connection resumes the session of the first. */
static const char *const protocols[] = {"a", "b", NULL};

static void attach_client_with_options(int s) {
    struct tls_opts opts = {.size = sizeof(opts), .host = "localhost", .ca_file = getenv("FAULTS_CERTIFICATE"),
                            .cert = getenv("FAULTS_CERTIFICATE"), .key = getenv("FAULTS_KEY"), .alpn = protocols};
    char name[256];
    if ((s = (int)CALL(tls_attach_client_opts, s, &opts, deadline())) < 0) return;
    CALL(tls_alpn, s, name, sizeof(name));
    tls_client(s);
}
static void attach_server_with_options(int s) {
    const char *const certs[] = {getenv("FAULTS_CERTIFICATE"), getenv("FAULTS_KEY"), NULL};
    struct tls_server_opts opts = {.size = sizeof(opts), .certs = certs, .flags = TLS_CLIENT_CERT_NEEDED,
                                   .client_ca_file = getenv("FAULTS_CERTIFICATE"), .alpn = protocols};
    if ((s = (int)CALL(tls_attach_server_opts, s, &opts, deadline())) >= 0) tls_server(s);
}
SCENARIO(tls_with_options) {
    converse(TCP, attach_client_with_options, attach_server_with_options);
    converse(IPC, attach_client_with_options, attach_server_with_options);
}

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

/* In memory of the program's, with all that can be asked. */
static void tls_client_in_storage(int s) {
    static char certificate[4000];
    struct tls_storage storage;
    struct tls_info info = {.size = sizeof(info)};
    char c;
    if ((s = (int)CALL(tls_attach_client_mem, s, &storage, deadline())) < 0) return;
    CALL(tls_info, s, &info);
    CALL(tls_peercert, s, 0, certificate, sizeof(certificate));
    if (CALL(tls_done, s, deadline()) == 0) CALL_EXPECTING(EPIPE, brecv, s, &c, 1, deadline());
    CALL(hclose, s);
}
static void tls_server_in_storage(int s) {
    struct tls_storage storage;
    char c;
    s = (int)CALL(tls_attach_server_mem, s, getenv("FAULTS_CERTIFICATE"), getenv("FAULTS_KEY"), &storage, deadline());
    if (s < 0) return;
    CALL_EXPECTING(EPIPE, brecv, s, &c, 1, deadline());
    CALL(tls_done, s, deadline());
    CALL(hclose, s);
}
SCENARIO(tls_in_storage) { converse(TCP, tls_client_in_storage, tls_server_in_storage); }
