/* TLS clients that make sure whom they talk to. */

#include <libdillext.h>

#include "test.h"
#include "tls.h"

/* --- Certificates --- */

/* One that was valid from one point in time to another. */
static void make_issued_between(const char *name, const char *names, const char *first, const char *last) {
    FILE *file = fopen(in_directory("ca.conf"), "w");
    CHECK(file != NULL);
    fprintf(file, "[ca]\ndefault_ca=x\n[x]\ndatabase=index\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\n"
                  "policy=p\ncopy_extensions=copy\nunique_subject=no\n[p]\ncommonName=supplied\n");
    CHECK_INT(fclose(file), 0);
    CHECK((file = fopen(in_directory("index"), "w")) != NULL);
    CHECK_INT(fclose(file), 0);
    make_request(name, names);
    openssl("ca -batch -notext -config ca.conf -rand_serial -cert ca.pem -keyfile ca.key -in %s.csr -out %s.pem "
            "-startdate %s -enddate %s", name, name, first, last);
}

/* --- Clients --- */

/* What a client with these options gets from a server with that certificate: 0 or errno. */
static int verdict_of(const char *server, const struct tls_opts *opts) {
    int s[2], h[2] = {-1, -1}, b, rc;
    make_ipc_pair(s);
    b = go(serve_handshake(s[1], server, &h[1]));
    h[0] = tls_attach_client_opts(s[0], opts, soon());
    rc = h[0] < 0 ? errno : 0;
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK_INT(hclose(b), 0);
    if (rc == 0) {
        CHECK(h[1] >= 0);
        CHECK_SENT(h[0], "trusted");
        CHECK_RECEIVED(h[1], "trusted");
        CHECK_INT(hclose(h[0]), 0);
        CHECK_INT(hclose(h[1]), 0);
    }
    return rc;
}

static int verdict(const char *server, const char *host, const char *ca_file) {
    struct tls_opts opts = {.size = sizeof(opts), .host = host, .ca_file = in_directory(ca_file)};
    return verdict_of(server, &opts);
}

TEST(a_certificate_of_the_host_from_a_trusted_authority_is_accepted) {
    make_authority();
    make_issued("server", "DNS:localhost,DNS:*.example.com,IP:127.0.0.1,IP:::1");
    CHECK_INT(verdict("server", "localhost", "ca.pem"), 0);
    CHECK_INT(verdict("server", "LOCALHOST", "ca.pem"), 0);
    CHECK_INT(verdict("server", "www.example.com", "ca.pem"), 0);
    CHECK_INT(verdict("server", "127.0.0.1", "ca.pem"), 0);
    CHECK_INT(verdict("server", "::1", "ca.pem"), 0);
}

TEST(a_certificate_of_another_host_gives_EACCES) {
    make_authority();
    make_issued("server", "DNS:localhost,DNS:*.example.com");
    CHECK_INT(verdict("server", "localhost.example.org", "ca.pem"), EACCES);
    CHECK_INT(verdict("server", "example.com", "ca.pem"), EACCES);
    CHECK_INT(verdict("server", "a.b.example.com", "ca.pem"), EACCES);
    CHECK_INT(verdict("server", "127.0.0.1", "ca.pem"), EACCES);
    /* The common name is not what counts. */
    CHECK_INT(verdict("server", "server", "ca.pem"), EACCES);
}

TEST(a_certificate_of_an_unknown_authority_gives_EACCES) {
    make_authority();
    make_issued("server", "DNS:localhost");
    openssl("req -x509 " NEW_EC_KEY " -keyout other.key -out other.pem -days 30 -subj /CN=authority");
    CHECK_INT(verdict("server", "localhost", "other.pem"), EACCES);
}

TEST(a_self_signed_certificate_gives_EACCES) {
    make_authority();
    make_self_signed("server");
    CHECK_INT(verdict("server", "localhost", "ca.pem"), EACCES);
}

TEST(a_self_signed_certificate_is_accepted_where_it_is_listed_itself) {
    make_authority();
    make_self_signed("server");
    CHECK_INT(verdict("server", "localhost", "server.pem"), 0);
    CHECK_INT(verdict("server", "127.0.0.1", "server.pem"), 0);
    CHECK_INT(verdict("server", "example.com", "server.pem"), EACCES);
    openssl("req -x509 " NEW_EC_KEY " -keyout leaf.key -out leaf.pem -days 30 -subj /CN=localhost "
            "-addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost");
    CHECK_INT(verdict("leaf", "localhost", "leaf.pem"), 0);
}

TEST(an_issued_certificate_is_accepted_where_it_is_listed_itself) {
    make_authority();
    make_issued("server", "DNS:localhost");
    CHECK_INT(verdict("server", "localhost", "server.pem"), 0);
    CHECK_INT(verdict("server", "example.com", "server.pem"), EACCES);
}

TEST(a_certificate_out_of_its_time_gives_EACCES) {
    make_authority();
    make_issued_between("past", "DNS:localhost", "20200101000000Z", "20200201000000Z");
    make_issued_between("future", "DNS:localhost", "20980101000000Z", "20990101000000Z");
    make_issued_between("now", "DNS:localhost", "20200101000000Z", "20980101000000Z");
    CHECK_INT(verdict("past", "localhost", "ca.pem"), EACCES);
    CHECK_INT(verdict("future", "localhost", "ca.pem"), EACCES);
    CHECK_INT(verdict("now", "localhost", "ca.pem"), 0);
    /* Nor does listing it help. */
    CHECK_INT(verdict("past", "localhost", "past.pem"), EACCES);
    CHECK_INT(verdict("future", "localhost", "future.pem"), EACCES);
    CHECK_INT(verdict("now", "localhost", "now.pem"), 0);
}

TEST(a_server_sends_the_whole_chain_of_its_file) {
    make_authority();
    openssl("req " NEW_EC_KEY " -keyout between.key -out between.csr -subj /CN=between "
            "-addext basicConstraints=critical,CA:TRUE");
    openssl("x509 -req -in between.csr -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy -days 30 "
            "-out between.pem");
    make_request("server", "DNS:localhost");
    openssl("x509 -req -in server.csr -CA between.pem -CAkey between.key -CAcreateserial -copy_extensions copy "
            "-days 30 -out server.pem");
    CHECK_INT(verdict("server", "localhost", "ca.pem"), EACCES);
    openssl("crl2pkcs7 -nocrl -certfile server.pem -certfile between.pem -out both.p7");
    openssl("pkcs7 -in both.p7 -print_certs -out both.pem");
    CHECK_INT(rename(in_directory("both.pem"), in_directory("server.pem")), 0);
    CHECK_INT(verdict("server", "localhost", "ca.pem"), 0);
}

TEST(the_certificates_of_the_system_are_those_of_SSL_CERT_FILE) {
    struct tls_opts opts = {.size = sizeof(opts), .host = "localhost"};
    make_authority();
    make_issued("server", "DNS:localhost");
    CHECK_INT(unsetenv("SSL_CERT_DIR"), 0);
    CHECK_INT(setenv("SSL_CERT_FILE", in_directory("none"), 1), 0);
    CHECK_INT(verdict_of("server", &opts), EFAULT);
    CHECK_INT(setenv("SSL_CERT_FILE", in_directory("ca.pem"), 1), 0);
    CHECK_INT(verdict_of("server", &opts), 0);
    CHECK_INT(verdict_of("server", &opts), 0);
    make_self_signed("server");
    CHECK_INT(verdict_of("server", &opts), EACCES);
}

TEST(TLS_NOVERIFY_accepts_everybody) {
    struct tls_opts opts = {.size = sizeof(opts), .host = "example.com", .flags = TLS_NOVERIFY};
    make_self_signed("server");
    CHECK_INT(verdict_of("server", &opts), 0);
    opts.host = NULL;
    CHECK_INT(verdict_of("server", &opts), 0);
}

/* --- Options --- */

#define CHECK_OPTS(OPTS, ERRNO)                                                            \
    do {                                                                                   \
        int opts_s_[2];                                                                    \
        make_ipc_pair(opts_s_);                                                            \
        CHECK_ERR(tls_attach_client_opts(opts_s_[0], OPTS, now() + 20), -1, ERRNO);        \
        CHECK_ERR(hclose(opts_s_[0]), -1, EBADF);                                          \
        CHECK_INT(hclose(opts_s_[1]), 0);                                                  \
    } while (0)

TEST(options_that_cannot_be_meant_give_EINVAL_and_close_the_bytestream) {
    struct tls_opts good = {.size = sizeof(good), .host = "localhost", .flags = TLS_NOVERIFY}, opts = good;
    CHECK_OPTS(&good, ETIMEDOUT);
    CHECK_OPTS(NULL, EINVAL);
    opts.size = 0;
    CHECK_OPTS(&opts, EINVAL);
    opts.size = offsetof(struct tls_opts, cert) - 1;
    CHECK_OPTS(&opts, EINVAL);
    opts = good;
    opts.flags = 2;
    CHECK_OPTS(&opts, EINVAL);
    opts = good;
    opts.flags = 0;
    opts.host = NULL;
    CHECK_OPTS(&opts, EINVAL);
    opts = good;
    opts.host = "";
    CHECK_OPTS(&opts, EINVAL);
    opts.host = "no name";
    CHECK_OPTS(&opts, EINVAL);
    opts.host = "localhost:443";
    CHECK_OPTS(&opts, EINVAL);
    opts.host = "\xff";
    CHECK_OPTS(&opts, EINVAL);
}

TEST(later_versions_of_the_options_are_understood_if_nothing_new_is_used) {
    struct {
        struct tls_opts opts;
        char more[64];
    } later = {{.size = sizeof(later), .host = "localhost", .flags = TLS_NOVERIFY}, {0}};
    CHECK_OPTS(&later.opts, ETIMEDOUT);
    later.more[63] = 1;
    CHECK_OPTS(&later.opts, EINVAL);
}

#define CHECK_FILE(CA, ERRNO, SENTENCE)                          \
    do {                                                         \
        opts.ca_file = CA;                                       \
        CHECK_OPTS(&opts, ERRNO);                                \
        CHECK(strstr(ws_errmsg(), SENTENCE) != NULL);            \
    } while (0)

TEST(a_file_without_certificates_to_trust_gives_EINVAL_or_why_it_cannot_be_read) {
    struct tls_opts opts = {.size = sizeof(opts), .host = "localhost"};
    make_self_signed("server");
    CHECK_FILE(in_directory("none"), ENOENT, "/none: No such file or directory");
    CHECK_FILE(in_directory("server.key"), EINVAL, "/server.key: no certificates in PEM");
    CHECK_FILE(test_directory, EISDIR, ": Is a directory");
    CHECK_FILE("", ENOENT, "cannot read : No such file");
}

TEST(names_of_protocols_have_1_to_255_characters) {
    char longest[257];
    const char *alpn[] = {"h2", longest, NULL};
    struct tls_opts opts = {.size = sizeof(opts), .alpn = alpn, .flags = TLS_NOVERIFY};
    memset(longest, 'x', 256);
    longest[256] = 0;
    CHECK_OPTS(&opts, EINVAL);
    longest[255] = 0;
    CHECK_OPTS(&opts, ETIMEDOUT);
    longest[0] = 0;
    CHECK_OPTS(&opts, EINVAL);
}

TEST(no_protocol_is_agreed_on_where_the_server_has_none) {
    int s[2], h[2];
    const char *alpn[] = {"h2", "http/1.1", NULL};
    struct tls_opts opts = {.size = sizeof(opts), .alpn = alpn, .flags = TLS_NOVERIFY};
    char name[256] = "x";
    make_certificate();
    make_ipc_pair(s);
    int b = go(serve_handshake(s[1], "server", &h[1]));
    h[0] = tls_attach_client_opts(s[0], &opts, soon());
    CHECK(h[0] >= 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
    for (int i = 0; i != 2; ++i) {
        strcpy(name, "x");
        CHECK_INT(tls_alpn(h[i], name, sizeof(name)), 0);
        CHECK_STR(name, "");
        CHECK_INT(tls_alpn(h[i], name, 1), 0);
        CHECK_ERR(tls_alpn(h[i], name, 0), -1, EMSGSIZE);
        CHECK_ERR(tls_alpn(h[i], NULL, 10), -1, EINVAL);
    }
}
