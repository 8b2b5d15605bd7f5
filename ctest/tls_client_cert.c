/* TLS clients that show a certificate, and what is wrong with certificates of either side in words. */

#include "tls_pair.h"

static struct tls_opts client;
static struct tls_server_opts server;

static void make_both(int flags) {
    make_authority();
    make_issued("server", "DNS:localhost");
    make_issued("client", "DNS:client");
    make_self_signed("alone");
    server = (struct tls_server_opts){.size = sizeof(server), .certs = PEM_FILES("server"), .flags = flags,
                                      .client_ca_file = in_directory("ca.pem")};
    client = (struct tls_opts){.size = sizeof(client), .host = "localhost", .ca_file = in_directory("ca.pem")};
}

static void show(const char *name) {
    static char files[2][sizeof(test_directory) + 64];
    snprintf(files[0], sizeof(files[0]), "%s/%s.pem", test_directory, name);
    snprintf(files[1], sizeof(files[1]), "%s/%s.key", test_directory, name);
    client.cert = files[0];
    client.key = files[1];
}

TEST(a_certificate_that_is_needed_is_shown_and_verified) {
    char der[4096];
    make_both(TLS_CLIENT_CERT_NEEDED);
    show("client");
    try_tls(&client, &server);
    CHECK_INT(tls_client.err, 0);
    CHECK_INT(info_of(tls_server.h).verified, 1);
    CHECK(tls_peercert(tls_server.h, 0, der, sizeof(der)) > 0);
    close_tls();
}

TEST(without_a_certificate_that_is_needed_both_sides_get_EACCES) {
    make_both(TLS_CLIENT_CERT_NEEDED);
    try_tls(&client, &server);
    CHECK_INT(tls_server.err, EACCES);
    CHECK_STR(tls_server.why, "the peer's certificate is not accepted: there is none");
    CHECK_INT(tls_client.err, EACCES);
    CHECK_STR(tls_client.why, "the peer has ended TLS with the alert CertificateRequired (116), about our certificate");
}

TEST(a_certificate_that_is_wanted_may_be_missing_but_not_be_wrong) {
    make_both(TLS_CLIENT_CERT_WANTED);
    try_tls(&client, &server);
    CHECK_INT(tls_client.err, 0);
    CHECK_INT(info_of(tls_server.h).verified, 0);
    close_tls();
    show("client");
    try_tls(&client, &server);
    CHECK_INT(tls_client.err, 0);
    CHECK_INT(info_of(tls_server.h).verified, 1);
    close_tls();
    show("alone");
    try_tls(&client, &server);
    CHECK_INT(tls_server.err, EACCES);
    CHECK_STR(tls_server.why, "the peer's certificate is not accepted: self-signed and not listed, or an authority's own");
    CHECK_INT(tls_client.err, EACCES);
    CHECK(strstr(tls_client.why, ", about our certificate") != NULL);
}

TEST(a_self_signed_certificate_of_a_client_is_accepted_where_it_is_listed_itself) {
    make_both(TLS_CLIENT_CERT_NEEDED);
    server.client_ca_file = in_directory("alone.pem");
    show("alone");
    try_tls(&client, &server);
    CHECK_INT(tls_client.err, 0);
    CHECK_INT(info_of(tls_server.h).verified, 1);
    close_tls();
    show("client");
    try_tls(&client, &server);
    CHECK_INT(tls_server.err, EACCES);
}

TEST(nobody_is_asked_without_the_flags) {
    make_both(0);
    server.client_ca_file = NULL;
    show("client");
    try_tls(&client, &server);
    CHECK_INT(tls_client.err, 0);
    CHECK_INT(info_of(tls_server.h).verified, 0);
    close_tls();
}

static int shown[2]; /* whether each of the two servers below was shown a certificate */

/* Redirects to the other port, or makes a WebSocket. */
coroutine static void redirect_to(int listener, int *was_shown, int port) {
    char location[64], der[4096];
    const char *fields[] = {location, NULL};
    snprintf(location, sizeof(location), "Location: wss://localhost:%d/", port);
    int s = tls_attach_server_opts(tcp_accept(listener, NULL, now() + 5000), &server, now() + 5000);
    CHECK(s >= 0);
    *was_shown = tls_peercert(s, 0, der, sizeof(der)) > 0;
    int r = ws_recvrequest(s, now() + 5000);
    CHECK(r >= 0);
    s = port ? ws_reply(r, 302, fields, NULL, 0, now() + 5000) : ws_accept(r, NULL, now() + 5000);
    CHECK(s >= 0);
    CHECK_INT(hclose(s), 0);
}

TEST(a_certificate_is_not_shown_to_the_server_of_another_origin_that_one_is_redirected_to) {
    struct ipaddr first, second;
    char url[64];
    make_both(TLS_CLIENT_CERT_WANTED);
    show("client");
    int listeners[] = {listen_somewhere(&first), listen_somewhere(&second)}, b = bundle();
    CHECK_INT(bundle_go(b, redirect_to(listeners[0], &shown[0], ipaddr_port(&second))), 0);
    CHECK_INT(bundle_go(b, redirect_to(listeners[1], &shown[1], 0)), 0);
    struct ws_opts opts = {.size = sizeof(opts), .tls = &client, .redirects = 1, .proxy = ""};
    snprintf(url, sizeof(url), "wss://localhost:%d/", ipaddr_port(&first));
    int ws = ws_connect(url, &opts, now() + 5000);
    if (ws < 0) fprintf(stderr, "%s\n", ws_errmsg());
    CHECK(ws >= 0);
    CHECK_INT(bundle_wait(b, now() + 5000), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(shown[0], 1);
    CHECK_INT(shown[1], 0);
    CHECK_INT(hclose(ws), 0);
}

#define CHECK_CLIENT(ERRNO, SENTENCE)                                                    \
    do {                                                                                 \
        int s_[2];                                                                       \
        make_ipc_pair(s_);                                                               \
        CHECK_ERR(tls_attach_client_opts(s_[0], &client, now() + 20), -1, ERRNO);        \
        if (!strstr(ws_errmsg(), SENTENCE)) fprintf(stderr, "%s\n", ws_errmsg());        \
        CHECK(strstr(ws_errmsg(), SENTENCE) != NULL);                                    \
        CHECK_INT(hclose(s_[1]), 0);                                                     \
    } while (0)

TEST(a_clients_files_that_cannot_be_used_say_why) {
    make_both(TLS_CLIENT_CERT_NEEDED);
    show("client");
    CHECK_CLIENT(ETIMEDOUT, "");
    client.key = NULL;
    CHECK_CLIENT(EINVAL, "a certificate without a key");
    show("client");
    client.cert = NULL;
    CHECK_CLIENT(EINVAL, "a certificate without a key, or the other way round");
    show("none");
    CHECK_CLIENT(ENOENT, "/none.pem: No such file or directory");
    show("client");
    client.key = in_directory("server.key");
    CHECK_CLIENT(EINVAL, "the key does not belong to the certificate");
    show("client");
    client.min_version = 1;
    CHECK_CLIENT(EINVAL, "TLS 1.2 and 1.3 are supported");
    client.min_version = 0;
    client.flags = TLS_CLIENT_CERT_NEEDED;
    CHECK_CLIENT(EINVAL, "unknown flags");
    client.flags = 0;
    client.host = NULL;
    CHECK_CLIENT(EINVAL, "no host");
    client.host = "a b";
    CHECK_CLIENT(EINVAL, "neither a name nor an address");
}

TEST(a_certificate_that_is_not_accepted_is_told_why) {
    make_both(0);
    server.client_ca_file = NULL;
    client.host = "example.com";
    try_tls(&client, &server);
    CHECK_INT(tls_client.err, EACCES);
    CHECK_STR(tls_client.why, "the peer's certificate is not accepted: made out to localhost, not to example.com");
    CHECK_INT(tls_server.err, EACCES);
    CHECK(strstr(tls_server.why, "(4") != NULL && strstr(tls_server.why, "about our certificate") != NULL);
    client.host = "localhost";
    client.ca_file = in_directory("alone.pem");
    try_tls(&client, &server);
    CHECK_INT(tls_client.err, EACCES);
    CHECK_STR(tls_client.why, "the peer's certificate is not accepted: issued by nobody who is trusted");
}

/* Behind what is in a file, the certificate of the authority so many times. */
static void append_authority(const char *name, int count) {
    char command[1024];
    snprintf(command, sizeof(command), "cd '%s' && for i in $(seq %d); do cat ca.pem >> %s; done", test_directory, count,
             name);
    CHECK_INT(system(command), 0);
}

/* Each of them may have to be verified, and meanwhile nobody else runs. */
TEST(a_chain_of_more_than_ten_certificates_gives_EACCES) {
    static const char why[] = "the peer's certificate is not accepted: more than 10 certificates in its chain";
    make_both(TLS_CLIENT_CERT_NEEDED);
    show("client");
    append_authority("server.pem", 9);
    append_authority("client.pem", 9);
    try_tls(&client, &server);
    CHECK_INT(tls_client.err, 0);
    CHECK_INT(tls_server.err, 0);
    close_tls();
    append_authority("client.pem", 1);
    try_tls(&client, &server);
    CHECK_INT(tls_server.err, EACCES);
    CHECK_STR(tls_server.why, why);
    CHECK_INT(tls_client.err, EACCES);
    append_authority("server.pem", 1);
    try_tls(&client, &server);
    CHECK_INT(tls_client.err, EACCES);
    CHECK_STR(tls_client.why, why);
    CHECK_INT(tls_server.err, EACCES);
}
