/* Sessions of TLS are resumed between equal options, and only there. */

#include "tls_pair.h"

static struct tls_opts client;
static struct tls_server_opts server;
static const char *alpn[] = {"chat", NULL}, *other_alpn[] = {"chat", "other", NULL};

static const char *keep(const char *name) {
    enum { MAX_KEPT = 16 };
    static char kept[MAX_KEPT][sizeof(test_directory) + 64];
    static int count;
    CHECK(count != MAX_KEPT);
    snprintf(kept[count], sizeof(*kept), "%s/%s", test_directory, name);
    return kept[count++];
}

static void make_both(void) {
    make_authority();
    make_issued("server", "DNS:localhost,DNS:example.com,IP:127.0.0.1");
    make_issued("client", "DNS:client");
    openssl("x509 -in ca.pem -out copy.pem");
    server = (struct tls_server_opts){.size = sizeof(server), .certs = PEM_FILES("server"), .alpn = alpn};
    client = (struct tls_opts){.size = sizeof(client), .host = "localhost", .ca_file = keep("ca.pem"), .alpn = alpn};
}

TEST(a_session_is_resumed_as_often_as_one_comes_back) {
    make_both();
    CHECK_INT(tls_resumes(&client, &server), 0);
    for (int i = 0; i != 5; ++i) CHECK_INT(tls_resumes(&client, &server), 1);
    /* Equal options need not be the same. */
    struct tls_opts equal = client;
    equal.ca_file = keep("ca.pem");
    CHECK_INT(tls_resumes(&equal, &server), 1);
}

TEST(what_was_agreed_on_is_told_of_a_resumed_session_too) {
    char der[4096], again[4096];
    make_both();
    try_tls(&client, &server);
    ssize_t len = tls_peercert(tls_client.h, 0, der, sizeof(der));
    CHECK(len > 0);
    close_tls();
    try_tls(&client, &server);
    CHECK_INT(info_of(tls_client.h).resumed, 1);
    CHECK_INT(info_of(tls_client.h).verified, 1);
    CHECK_STR(info_of(tls_client.h).alpn, "chat");
    CHECK_STR(info_of(tls_server.h).sni, "localhost");
    CHECK_INT(tls_peercert(tls_client.h, 0, again, sizeof(again)), len);
    CHECK_MEM(again, der, (size_t)len);
    close_tls();
}

/* Neither resumes the other's session, and each resumes its own. */
#define CHECK_APART(OTHER)                                 \
    do {                                                   \
        make_both();                                       \
        struct tls_opts other = client;                    \
        OTHER;                                             \
        CHECK_INT(tls_resumes(&client, &server), 0);       \
        CHECK_INT(tls_resumes(&other, &server), 0);        \
        CHECK_INT(tls_resumes(&other, &server), 1);        \
        CHECK_INT(tls_resumes(&client, &server), 1);       \
    } while (0)

TEST(no_session_is_resumed_under_another_name) { CHECK_APART(other.host = "example.com"); }
TEST(no_session_is_resumed_under_an_address) { CHECK_APART(other.host = "127.0.0.1"); }
TEST(no_session_is_resumed_with_another_file_of_authorities) { CHECK_APART(other.ca_file = keep("copy.pem")); }
TEST(no_session_is_resumed_with_other_protocols) { CHECK_APART(other.alpn = other_alpn); }
TEST(no_session_is_resumed_with_another_lowest_version) { CHECK_APART(other.min_version = TLS_1_3); }
TEST(no_session_is_resumed_without_verification_or_the_other_way_round) { CHECK_APART(other.flags = TLS_NOVERIFY); }
TEST(no_session_is_resumed_with_a_certificate_of_ones_own) {
    CHECK_APART((other.cert = keep("client.pem"), other.key = keep("client.key")));
}

TEST(no_session_is_resumed_at_another_port) {
    struct ipaddr first;
    make_both();
    CHECK_INT(tls_resumes(&client, &server), 0);
    int listener = tls_listener;
    first = tls_addr;
    tls_listener = -1;
    CHECK_INT(tls_resumes(&client, &server), 0);
    CHECK_INT(tls_resumes(&client, &server), 1);
    CHECK_INT(hclose(tls_listener), 0);
    tls_listener = listener;
    tls_addr = first;
    CHECK_INT(tls_resumes(&client, &server), 1);
}

TEST(no_session_is_resumed_without_a_name) {
    make_both();
    client.host = NULL;
    client.flags = TLS_NOVERIFY;
    for (int i = 0; i != 2; ++i) CHECK_INT(tls_resumes(&client, &server), 0);
}

TEST(authorities_that_have_changed_end_the_sessions_that_they_vouched_for) {
    make_both();
    CHECK_INT(tls_resumes(&client, &server), 0);
    CHECK_INT(tls_resumes(&client, &server), 1);
    openssl("x509 -in copy.pem -text -out ca.pem");
    CHECK_INT(tls_resumes(&client, &server), 0);
    make_authority();
    try_tls(&client, &server);
    CHECK_INT(tls_client.err, EACCES);
}

TEST(a_servers_tickets_are_good_only_where_clients_are_asked_the_same) {
    make_both();
    client.cert = keep("client.pem");
    client.key = keep("client.key");
    struct tls_server_opts asks = server;
    asks.flags = TLS_CLIENT_CERT_NEEDED;
    asks.client_ca_file = keep("ca.pem");
    CHECK_INT(tls_resumes(&client, &server), 0);
    CHECK_INT(tls_resumes(&client, &asks), 0);
    CHECK_INT(tls_resumes(&client, &asks), 1);
    struct tls_server_opts others = asks;
    others.client_ca_file = keep("copy.pem");
    CHECK_INT(tls_resumes(&client, &others), 0);
    /* A session that was resumed is the verified client's. */
    try_tls(&client, &others);
    CHECK_INT(info_of(tls_server.h).resumed, 1);
    CHECK_INT(info_of(tls_server.h).verified, 1);
    char der[4096];
    CHECK(tls_peercert(tls_server.h, 0, der, sizeof(der)) > 0);
    close_tls();
}

TEST(a_server_without_options_gives_no_tickets) {
    int h[2], s[2];
    make_both();
    for (int i = 0; i != 2; ++i) {
        make_tcp_pair(s);
        int b = go(serve_handshake(s[1], "server", &h[1]));
        h[0] = tls_attach_client_opts(s[0], &client, soon());
        CHECK(h[0] >= 0);
        CHECK_INT(bundle_wait(b, soon()), 0);
        CHECK_INT(info_of(h[1]).resumed, 0);
        CHECK_INT(hclose(h[0]), 0);
        CHECK_INT(hclose(h[1]), 0);
    }
}
