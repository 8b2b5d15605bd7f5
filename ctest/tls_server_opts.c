/* TLS servers with options: certificates by the host's name, application protocols, files that change. */

#include "rsa_key.h"
#include "tls_pair.h"

static const char *path(const char *name) {
    static char paths[8][sizeof(test_directory) + 64];
    static unsigned next;
    return snprintf(paths[next % 8], sizeof(paths[0]), "%s/%s", test_directory, name) > 0 ? paths[next++ % 8] : NULL;
}

/* Whether the peer's certificate is the one in a file. */
static int shows(int h, const char *name) {
    char seen[4096], expected[4096];
    ssize_t len = tls_peercert(h, 0, seen, sizeof(seen));
    CHECK(len > 0);
    openssl("x509 -in %s.pem -outform der -out %s.der", name, name);
    char file[64];
    snprintf(file, sizeof(file), "%s.der", name);
    FILE *stream = fopen(path(file), "rb");
    CHECK(stream != NULL);
    size_t expected_len = fread(expected, 1, sizeof(expected), stream);
    CHECK_INT(fclose(stream), 0);
    return (size_t)len == expected_len && memcmp(seen, expected, expected_len) == 0;
}

TEST(both_sides_tell_what_was_agreed_on) {
    const char *alpn[] = {"other", "http/1.1", NULL}, *client_alpn[] = {"http/1.1", "h2", NULL};
    make_authority();
    make_issued("server", "DNS:localhost");
    struct tls_server_opts server = {.size = sizeof(server), .certs = PEM_FILES("server"), .alpn = alpn};
    struct tls_opts client = {.size = sizeof(client), .host = "localhost", .ca_file = path("ca.pem"), .alpn = client_alpn};
    char name[256];
    try_tls(&client, &server);
    CHECK_INT(tls_client.err, 0);
    for (int end = 0; end != 2; ++end) {
        int h = end ? tls_server.h : tls_client.h;
        struct tls_info info = info_of(h);
        CHECK_INT(info.version, TLS_1_3);
        CHECK_INT(info.resumed, 0);
        CHECK_INT(info.verified, !end);
        CHECK_STR(info.cipher, "TLS_AES_128_GCM_SHA256");
        CHECK_STR(info.alpn, "http/1.1");
        CHECK_STR(info.sni, "localhost");
        CHECK_INT(tls_alpn(h, name, sizeof(name)), 0);
        CHECK_STR(name, "http/1.1");
    }
    CHECK(shows(tls_client.h, "server"));
    CHECK_ERR(tls_peercert(tls_client.h, 1, name, sizeof(name)), -1, ENOENT);
    CHECK_ERR(tls_peercert(tls_server.h, 0, name, sizeof(name)), -1, ENOENT);
    ssize_t len = tls_peercert(tls_client.h, 0, NULL, 0);
    CHECK(len > 1);
    CHECK_ERR(tls_peercert(tls_client.h, 0, NULL, 1), -1, EINVAL);
    CHECK_ERR(tls_peercert(tls_client.h, 0, name, 1), -1, EMSGSIZE);
    close_tls();
}

TEST(info_is_of_the_size_that_the_program_knows) {
    struct {
        struct tls_info info;
        char more[8];
    } later = {{.size = sizeof(later)}, "unknown"};
    int h[2];
    make_tls_over_ipc(h);
    CHECK_INT(tls_info(h[0], &later.info), 0);
    CHECK_INT(later.info.size, sizeof(later));
    CHECK_INT(later.info.version, TLS_1_3);
    CHECK_INT(later.more[0], 0);
    later.info.size = sizeof(later.info) - 1;
    CHECK_ERR(tls_info(h[0], &later.info), -1, EINVAL);
    CHECK_ERR(tls_info(h[0], NULL), -1, EINVAL);
    CHECK_ERR(tls_info(-1, &later.info), -1, EBADF);
}

coroutine static void accept_request(int s, int *r) { *r = ws_recvrequest(s, soon()); }

TEST(a_request_and_a_WebSocket_above_TLS_tell_of_it) {
    int h[2], r = -1, ws[2], s[2];
    char buf[16];
    struct tls_info info = {.size = sizeof(info)};
    struct ws_opts opts = {.size = sizeof(opts)};
    make_tls_over_ipc(h);
    int b = go(accept_request(h[1], &r));
    /* The client's handle is not there before the answer. */
    int pending = go(accept_request(-1, &ws[0]));
    CHECK_INT(bundle_wait(pending, soon()), 0);
    CHECK_SENT(h[0], "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK(r >= 0);
    CHECK_INT(info_of(r).version, TLS_1_3);
    CHECK_INT(tls_alpn(r, buf, sizeof(buf)), 0);
    ws[1] = ws_accept(r, &opts, soon());
    CHECK(ws[1] >= 0);
    CHECK_INT(info_of(ws[1]).version, TLS_1_3);
    CHECK_INT(tls_alpn(ws[1], buf, sizeof(buf)), 0);
    CHECK_ERR(tls_peercert(ws[1], 0, buf, sizeof(buf)), -1, ENOENT);
    make_ipc_pair(s);
    CHECK_ERR(tls_info(s[0], &info), -1, ENOTSUP);
    ws[0] = ws_attach_client(s[0], WS_BINARY | WS_NOHTTP, NULL, NULL, soon());
    CHECK(ws[0] >= 0);
    CHECK_ERR(tls_info(ws[0], &info), -1, ENOTSUP);
    CHECK_ERR(tls_alpn(ws[0], buf, sizeof(buf)), -1, ENOTSUP);
    CHECK_ERR(tls_peercert(ws[0], 0, buf, sizeof(buf)), -1, ENOTSUP);
}

TEST(the_certificate_is_that_of_the_host) {
    static const struct {
        const char *host, *shown;
    } cases[] = {{"localhost", "first"},   {"example.com", "second"},       {"WWW.EXAMPLE.COM", "second"},
                 {"third.org", "third"},   {"www.third.org", "third"},      {"special.third.org", "second"},
                 {"a.b.third.org", "first"}, {"unknown", "first"}, {NULL, "first"}};
    make_authority();
    make_issued("first", "DNS:localhost");
    make_issued("second", "DNS:example.com,DNS:www.example.com,DNS:special.third.org");
    make_issued("third", "DNS:third.org,DNS:*.third.org");
    struct tls_server_opts server = {.size = sizeof(server), .certs = PEM_FILES("first", "second", "third")};
    struct tls_opts client = {.size = sizeof(client), .flags = TLS_NOVERIFY};
    for (size_t i = 0; i != sizeof(cases) / sizeof(cases[0]); ++i) {
        client.host = cases[i].host;
        try_tls(&client, &server);
        CHECK_INT(tls_client.err, 0);
        if (!shows(tls_client.h, cases[i].shown)) fprintf(stderr, "%s\n", cases[i].host);
        CHECK(shows(tls_client.h, cases[i].shown));
        close_tls();
    }
}

static void write_rsa_key(void) {
    FILE *file = fopen(in_directory("server.key"), "w");
    CHECK(file && fputs(rsa_key, file) >= 0 && fclose(file) == 0);
}

TEST(keys_of_every_kind_are_read) {
    static const char *const kinds[] = {
        "rsa -pkeyopt rsa_keygen_bits:2048", NULL, "ec -pkeyopt ec_paramgen_curve:P-256",
        "ec -pkeyopt ec_paramgen_curve:P-384", "ed25519"};
    struct tls_opts client = {.size = sizeof(client), .host = "localhost"};
    for (size_t i = 0; i != sizeof(kinds) / sizeof(kinds[0]); ++i) {
        if (kinds[i]) openssl("genpkey -algorithm %s -out server.key", kinds[i]);
        else write_rsa_key();
        openssl("req -x509 -new -key server.key -out server.pem -days 30 -subj /CN=localhost "
                "-addext subjectAltName=DNS:localhost");
        struct tls_server_opts server = {.size = sizeof(server), .certs = PEM_FILES("server")};
        client.ca_file = path("server.pem");
        CHECK_INT(tls_resumes(&client, &server), 0);
        if (i == 4) break;
        /* PKCS#1 and SEC1. */
        openssl("%s -in server.key -out old.key%s", i < 2 ? "rsa" : "ec", i < 2 ? " -traditional" : "");
        CHECK_INT(rename(path("old.key"), path("server.key")), 0);
        CHECK_INT(tls_resumes(&client, &server), 0);
    }
}

TEST(no_application_protocol_in_common_is_refused) {
    const char *ours[] = {"chat", NULL}, *theirs[] = {"h2", NULL};
    make_self_signed("server");
    struct tls_server_opts server = {.size = sizeof(server), .certs = PEM_FILES("server"), .alpn = ours};
    struct tls_opts client = {.size = sizeof(client), .alpn = theirs, .flags = TLS_NOVERIFY};
    try_tls(&client, &server);
    CHECK_INT(tls_client.err, EPROTO);
    CHECK_INT(tls_server.err, EPROTO);
    CHECK(strstr(tls_server.why, "RFC 7301, 3.2") != NULL);
    CHECK(strstr(tls_client.why, "alert NoApplicationProtocol (120)") != NULL);
    /* Who offers none is accepted. */
    client.alpn = NULL;
    CHECK_INT(tls_resumes(&client, &server), 0);
}

TEST(the_lowest_version_is_what_the_options_say) {
    make_self_signed("server");
    struct tls_server_opts server = {.size = sizeof(server), .certs = PEM_FILES("server"), .min_version = TLS_1_3};
    struct tls_opts client = {.size = sizeof(client), .flags = TLS_NOVERIFY, .min_version = TLS_1_3};
    CHECK_INT(tls_resumes(&client, &server), 0);
    client.min_version = server.min_version = TLS_1_2;
    CHECK_INT(tls_resumes(&client, &server), 0);
}

/* --- Files --- */

TEST(files_are_read_once_and_again_when_they_have_changed) {
    make_self_signed("one");
    make_self_signed("two");
    make_self_signed("server");
    struct tls_server_opts server = {.size = sizeof(server), .certs = PEM_FILES("server")};
    struct tls_opts client = {.size = sizeof(client), .flags = TLS_NOVERIFY};
    for (int i = 0; i != 4; ++i) {
        const char *name = i % 2 ? "one" : "two";
        openssl("x509 -in %s.pem -out server.pem", name);
        openssl("pkey -in %s.key -out server.key", name);
        try_tls(&client, &server);
        CHECK_INT(tls_client.err, 0);
        CHECK(shows(tls_client.h, name));
        close_tls();
    }
}

TEST(files_that_are_no_good_any_more_leave_what_was_read_before) {
    static char why[600];
    make_self_signed("server");
    make_self_signed("other");
    openssl("x509 -in server.pem -out kept.pem");
    struct tls_server_opts server = {.size = sizeof(server), .certs = PEM_FILES("server")};
    struct tls_opts client = {.size = sizeof(client), .flags = TLS_NOVERIFY};
    CHECK_INT(tls_resumes(&client, &server), 0);
    /* The certificate is new, and the key is not yet. */
    openssl("x509 -in other.pem -out server.pem");
    for (int i = 0; i != 2; ++i) {
        try_tls(&client, &server);
        CHECK_INT(tls_server.err, 0);
        CHECK(shows(tls_client.h, "kept"));
        snprintf(why, sizeof(why), "cannot use %s: the key does not belong to the certificate; what was read before "
                 "is still used", path("server.key"));
        CHECK_STR(tls_server.why, why);
        close_tls();
    }
    openssl("pkey -in other.key -out server.key");
    try_tls(&client, &server);
    CHECK(shows(tls_client.h, "other"));
    close_tls();
    CHECK_INT(unlink(path("server.pem")), 0);
    try_tls(&client, &server);
    CHECK(shows(tls_client.h, "other"));
    snprintf(why, sizeof(why), "cannot read %s: No such file or directory; what was read before is still used",
             path("server.pem"));
    CHECK_STR(tls_server.why, why);
    close_tls();
}

/* --- Options --- */

#define CHECK_OPTS(OPTS, ERRNO, SENTENCE)                                                  \
    do {                                                                                   \
        int opts_s_[2];                                                                    \
        make_ipc_pair(opts_s_);                                                            \
        CHECK_ERR(tls_attach_server_opts(opts_s_[0], OPTS, now() + 20), -1, ERRNO);        \
        if (!strstr(ws_errmsg(), SENTENCE)) fprintf(stderr, "%s\n", ws_errmsg());          \
        CHECK(strstr(ws_errmsg(), SENTENCE) != NULL);                                      \
        CHECK_ERR(hclose(opts_s_[0]), -1, EBADF);                                          \
        CHECK_INT(hclose(opts_s_[1]), 0);                                                  \
    } while (0)

TEST(options_that_cannot_be_meant_give_EINVAL) {
    char long_name[257];
    const char *no_files[] = {NULL}, *one_file[] = {"cert.pem", NULL}, *empty[] = {"", NULL};
    const char *too_long[] = {long_name, NULL};
    make_self_signed("server");
    struct tls_server_opts good = {.size = sizeof(good), .certs = PEM_FILES("server")}, opts = good;
    CHECK_OPTS(&good, ETIMEDOUT, "");
    CHECK_OPTS(NULL, EINVAL, "a server without a certificate");
    opts.size = offsetof(struct tls_server_opts, min_version) - 1;
    CHECK_OPTS(&opts, EINVAL, "the size of struct tls_server_opts");
    opts = good;
    opts.certs = no_files;
    CHECK_OPTS(&opts, EINVAL, "a server without a certificate");
    opts.certs = one_file;
    CHECK_OPTS(&opts, EINVAL, "a certificate without a key");
    opts = good;
    opts.flags = TLS_NOVERIFY;
    CHECK_OPTS(&opts, EINVAL, "unknown flags");
    opts.flags = 8;
    CHECK_OPTS(&opts, EINVAL, "unknown flags");
    opts.flags = TLS_CLIENT_CERT_NEEDED;
    CHECK_OPTS(&opts, EINVAL, "without client_ca_file");
    opts.flags = TLS_CLIENT_CERT_WANTED;
    CHECK_OPTS(&opts, EINVAL, "without client_ca_file");
    opts.client_ca_file = path("server.pem");
    CHECK_OPTS(&opts, ETIMEDOUT, "");
    opts.flags = TLS_CLIENT_CERT_WANTED | TLS_CLIENT_CERT_NEEDED;
    CHECK_OPTS(&opts, EINVAL, "both TLS_CLIENT_CERT_WANTED and _NEEDED");
    opts.flags = 0;
    CHECK_OPTS(&opts, EINVAL, "client_ca_file without");
    opts = good;
    opts.alpn = empty;
    CHECK_OPTS(&opts, EINVAL, "1 to 255 bytes");
    memset(long_name, 'x', 256);
    long_name[256] = 0;
    opts.alpn = too_long;
    CHECK_OPTS(&opts, EINVAL, "1 to 255 bytes");
    opts = good;
    opts.min_version = 0x0302;
    CHECK_OPTS(&opts, EINVAL, "TLS 1.2 and 1.3 are supported");
}

TEST(later_versions_of_the_options_are_understood_if_nothing_new_is_used) {
    struct {
        struct tls_server_opts opts;
        char more[16];
    } later = {{.size = sizeof(later)}, {0}};
    make_self_signed("server");
    later.opts.certs = PEM_FILES("server");
    CHECK_OPTS(&later.opts, ETIMEDOUT, "");
    later.more[15] = 1;
    CHECK_OPTS(&later.opts, EINVAL, "the size of struct tls_server_opts");
}

TEST(files_that_cannot_be_used_say_why) {
    make_self_signed("server");
    make_self_signed("other");
    openssl("pkey -in server.key -aes128 -passout pass:secret -out locked.key");
    openssl("genpkey -algorithm ed448 -out strange.key");
    struct tls_server_opts opts = {.size = sizeof(opts), .client_ca_file = NULL};
    const char *files[3] = {path("server.pem"), path("server.key"), NULL};
    opts.certs = files;
    CHECK_OPTS(&opts, ETIMEDOUT, "");
    files[0] = path("none");
    CHECK_OPTS(&opts, ENOENT, "/none: No such file or directory");
    files[0] = path("server.pem/none");
    CHECK_OPTS(&opts, ENOTDIR, "/none: Not a directory");
    files[0] = path("server.key");
    CHECK_OPTS(&opts, EINVAL, "no certificates in PEM");
    files[0] = "/dev/zero";
    CHECK_OPTS(&opts, EINVAL, "larger than 1 MiB");
    files[0] = path("server.pem");
    files[1] = path("none");
    CHECK_OPTS(&opts, ENOENT, "/none: No such file or directory");
    files[1] = path("server.pem");
    CHECK_OPTS(&opts, EINVAL, "no private key in PEM");
    files[1] = path("other.key");
    CHECK_OPTS(&opts, EINVAL, "the key does not belong to the certificate");
    files[1] = path("locked.key");
    CHECK_OPTS(&opts, EINVAL, "the key is encrypted");
    files[1] = path("strange.key");
    CHECK_OPTS(&opts, EINVAL, "of a kind that is not supported");
    files[1] = path("server.key");
    opts.flags = TLS_CLIENT_CERT_NEEDED;
    opts.client_ca_file = path("none");
    CHECK_OPTS(&opts, ENOENT, "/none: No such file or directory");
    opts.client_ca_file = path("server.key");
    CHECK_OPTS(&opts, EINVAL, "no certificates in PEM");
}
