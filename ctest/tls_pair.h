/* TLS over TCP between a client and a server with options, again and again at one port. */

#ifndef TLS_PAIR_H
#define TLS_PAIR_H

#include "tls.h"

static struct ipaddr tls_addr;
static int tls_listener = -1;

struct tls_side {
    const struct tls_server_opts *opts;
    int h, err;
    char why[512];
};

coroutine static void attach_tls_server(struct tls_side *server) {
    int s = tcp_accept(tls_listener, NULL, soon());
    CHECK(s >= 0);
    server->h = tls_attach_server_opts(s, server->opts, soon());
    server->err = server->h < 0 ? errno : 0;
    snprintf(server->why, sizeof(server->why), "%s", ws_errmsg());
    if (server->h >= 0) CHECK_SENT(server->h, "hello");
}

/* What became of the handshake: 0 or errno of each side, and why. */
static struct tls_side tls_client, tls_server;

/* One connection; the client has received what the server says first, and so its tickets, or has failed. */
static inline void try_tls(const struct tls_opts *client, const struct tls_server_opts *server) {
    char buf[5];
    if (tls_listener < 0) tls_listener = listen_somewhere(&tls_addr);
    tls_server = (struct tls_side){server, -1, 0, ""};
    int b = go(attach_tls_server(&tls_server));
    int s = tcp_connect(&tls_addr, soon());
    CHECK(s >= 0);
    tls_client.h = tls_attach_client_opts(s, client, soon());
    tls_client.err = tls_client.h < 0 ? errno : 0;
    if (tls_client.h >= 0 && brecv(tls_client.h, buf, sizeof(buf), soon()) < 0) {
        tls_client.err = errno;
        snprintf(tls_client.why, sizeof(tls_client.why), "%s", ws_errmsg());
        CHECK_INT(hclose(tls_client.h), 0);
        tls_client.h = -1;
    } else if (tls_client.h < 0) {
        snprintf(tls_client.why, sizeof(tls_client.why), "%s", ws_errmsg());
    }
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK_INT(hclose(b), 0);
}

static inline struct tls_info info_of(int h) {
    struct tls_info info = {.size = sizeof(info)};
    CHECK_INT(tls_info(h, &info), 0);
    return info;
}

static inline void close_tls(void) {
    if (tls_client.h >= 0) CHECK_INT(hclose(tls_client.h), 0);
    if (tls_server.h >= 0) CHECK_INT(hclose(tls_server.h), 0);
}

/* A connection that must come about; whether it has resumed a session. */
static inline int tls_resumes(const struct tls_opts *client, const struct tls_server_opts *server) {
    try_tls(client, server);
    if (tls_client.err) fprintf(stderr, "client: %s\n", tls_client.why);
    if (tls_server.err) fprintf(stderr, "server: %s\n", tls_server.why);
    CHECK_INT(tls_client.err, 0);
    CHECK_INT(tls_server.err, 0);
    int resumed = info_of(tls_client.h).resumed;
    CHECK_INT(info_of(tls_server.h).resumed, resumed);
    close_tls();
    return resumed;
}

/* The certificate and the key of these names, as an array that ends with NULL. */
static inline const char *const *pem_files(const char *const names[], size_t count) {
    static char paths[8][sizeof(test_directory) + 64];
    static const char *files[9];
    for (size_t i = 0; i != 2 * count; ++i) {
        snprintf(paths[i], sizeof(paths[i]), "%s/%s.%s", test_directory, names[i / 2], i % 2 ? "key" : "pem");
        files[i] = paths[i];
    }
    files[2 * count] = NULL;
    return files;
}

#define PEM_FILES(...) \
    pem_files((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

#endif
