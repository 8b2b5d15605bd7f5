/* cc: -Wl,-z,now */
/* TLS fits on the smallest stacks of coroutines. */

#include "test.h"
#include "tls.h"

#include <sys/mman.h>

/* What the coroutines have, and how much of it they may take with all that is in this file. */
enum { STACK = 256 * 1024, LIMIT = 4096 };
/* The memory of two stacks, as coroutines use it and as we look at it: valgrind minds when one looks at what
   a coroutine has left behind. */
static unsigned char *stacks[2], *seen[2];

static void map_stacks(void) {
    for (int i = 0; i != 2; ++i) {
        unsigned char **views[] = {&stacks[i], &seen[i]};
        int fd = memfd_create("stack", MFD_CLOEXEC);
        CHECK(fd >= 0);
        CHECK_INT(ftruncate(fd, STACK), 0);
        for (int j = 0; j != 2; ++j) {
            void *view = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            CHECK(view != MAP_FAILED);
            *views[j] = (unsigned char *)view;
        }
        memset(seen[i], 0xA5, STACK);
        CHECK_INT(close(fd), 0);
    }
}

static size_t depth(const unsigned char *stack) {
    size_t untouched = 0;
    while (untouched != STACK && stack[untouched] == 0xA5) ++untouched;
    return STACK - untouched;
}

static void converse(int h, int first) {
    static char block[2][100000];
    for (int i = 0; i != 4; ++i) {
        if (i % 2 == first)
            CHECK_INT(bsend(h, block[first], sizeof(block[0]), soon()), 0);
        else
            CHECK_INT(brecv(h, block[first], sizeof(block[0]), soon()), 0);
    }
    CHECK(tls_detach(h, soon()) >= 0);
}

coroutine static void be_client(int s, const struct tls_opts *opts) {
    int h = tls_attach_client_opts(s, opts, soon());
    CHECK(h >= 0);
    converse(h, 0);
}

coroutine static void be_server(int s, const char *name) {
    char cert[32], key[32];
    snprintf(cert, sizeof(cert), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    int h = tls_attach_server(s, in_directory(cert), in_directory(key), soon());
    CHECK(h >= 0);
    converse(h, 1);
}

static void check_depth(const char *name, const struct tls_opts *opts) {
#ifdef __SANITIZE_ADDRESS__
    SKIP("the sanitizer makes frames larger");
#endif
    int s[2], b = bundle();
    make_tcp_pair(s);
    map_stacks();
    CHECK_INT(bundle_go_mem(b, be_server(s[1], name), stacks[1], STACK), 0);
    CHECK_INT(bundle_go_mem(b, be_client(s[0], opts), stacks[0], STACK), 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK_INT(hclose(b), 0);
    printf("%s: the client took %zu bytes of its stack, the server %zu\n", name, depth(seen[0]), depth(seen[1]));
    for (int i = 0; i != 2; ++i) CHECK(depth(seen[i]) < LIMIT);
}

TEST(both_sides_fit_with_elliptic_curves) {
    struct tls_opts opts = {.size = sizeof(opts), .host = "localhost", .ca_file = in_directory("server.pem")};
    make_certificate();
    check_depth("server", &opts);
}

TEST(both_sides_fit_with_RSA) {
    struct tls_opts opts = {.size = sizeof(opts), .host = "localhost", .ca_file = in_directory("ca.pem")};
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -out ca.pem -days 30 -subj /CN=ca");
    openssl("req -new -key rsa.key -out rsa.csr -subj /CN=x -addext subjectAltName=DNS:localhost");
    openssl("x509 -req -in rsa.csr -CA ca.pem -CAkey rsa.key -CAcreateserial -copy_extensions copy -days 30 -out rsa.pem");
    check_depth("rsa", &opts);
}

TEST(a_client_fits_with_the_certificates_of_the_system) {
    struct tls_opts opts = {.size = sizeof(opts), .host = "localhost"};
    openssl("req -x509 " NEW_EC_KEY " -keyout leaf.key -out leaf.pem -days 30 -subj /CN=localhost "
            "-addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost");
    /* Besides all that this machine has. */
    CHECK_INT(setenv("SSL_CERT_FILE", in_directory("leaf.pem"), 1), 0);
    if (access("/etc/ssl/certs", R_OK) == 0)
        CHECK_INT(setenv("SSL_CERT_DIR", "/etc/ssl/certs", 1), 0);
    else
        CHECK_INT(unsetenv("SSL_CERT_DIR"), 0);
    check_depth("leaf", &opts);
}

/* --- With options, and when it fails --- */

static struct tls_opts client_opts;
static struct tls_server_opts server_opts;
static int client_error, server_error;

static void tell(int h) {
    static struct tls_info info;
    static char der[4096];
    info.size = sizeof(info);
    CHECK_INT(tls_info(h, &info), 0);
    tls_peercert(h, 0, der, sizeof(der));
    tls_alpn(h, der, sizeof(der));
}

coroutine static void try_client(int s) {
    int h = tls_attach_client_opts(s, &client_opts, soon());
    client_error = h < 0 ? errno : 0;
    if (h < 0) return;
    tell(h);
    converse(h, 0);
}

coroutine static void try_server(int s) {
    int h = tls_attach_server_opts(s, &server_opts, soon());
    server_error = h < 0 ? errno : 0;
    if (h < 0) return;
    tell(h);
    converse(h, 1);
}

static void check_depth_with_options(const char *name, int client, int server) {
#ifdef __SANITIZE_ADDRESS__
    SKIP("the sanitizer makes frames larger");
#endif
    int s[2], b = bundle();
    make_tcp_pair(s);
    map_stacks();
    CHECK_INT(bundle_go_mem(b, try_server(s[1]), stacks[1], STACK), 0);
    CHECK_INT(bundle_go_mem(b, try_client(s[0]), stacks[0], STACK), 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK_INT(hclose(b), 0);
    CHECK_INT(client_error, client);
    CHECK_INT(server_error, server);
    printf("%s: the client took %zu bytes of its stack, the server %zu\n", name, depth(seen[0]), depth(seen[1]));
    for (int i = 0; i != 2; ++i) CHECK(depth(seen[i]) < LIMIT);
}

TEST(both_sides_fit_with_options_and_when_they_fail) {
    static const char *certs[3], *protocols[] = {"chat", NULL}, *others[] = {"other", NULL};
    make_certificate();
    certs[0] = in_directory("server.pem");
    certs[1] = in_directory("server.key");
    server_opts = (struct tls_server_opts){.size = sizeof(server_opts), .certs = certs, .client_ca_file = certs[0],
                                           .flags = TLS_CLIENT_CERT_NEEDED, .alpn = protocols};
    client_opts = (struct tls_opts){.size = sizeof(client_opts), .host = "localhost", .ca_file = certs[0],
                                    .cert = certs[0], .key = certs[1], .alpn = protocols};
    check_depth_with_options("the first time", 0, 0);
    check_depth_with_options("the second time", 0, 0);
    client_opts.alpn = others;
    check_depth_with_options("no protocol in common", EPROTO, EPROTO);
    client_opts.alpn = NULL;
    client_opts.host = "example.com";
    check_depth_with_options("another name", EACCES, EACCES);
    client_opts.ca_file = in_directory("none");
    check_depth_with_options("no file", ENOENT, ECONNRESET);
    /* What cannot be read again leaves what there is. */
    client_opts.host = "localhost";
    client_opts.ca_file = certs[0];
    client_opts.alpn = protocols;
    openssl("pkey -in server.key -out client.key");
    client_opts.key = in_directory("client.key");
    CHECK_INT(truncate(certs[1], 0), 0);
    check_depth_with_options("files that have changed", 0, 0);
}
