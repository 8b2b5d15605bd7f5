/* TLS: attaching, with what may go wrong in it. */

#include <libdillext.h>

#include "mem.h"
#include "object.h"
#include "test.h"
#include "tls.h"
#include "usersock.h"

enum { CLIENT, CLIENT_MEM, CLIENT_OPTS, SERVER, SERVER_MEM, KINDS };

static struct tls_storage storage;

/* Attaches in one of all ways. */
static int attach(int kind, int s, int64_t deadline) {
    const char *cert = in_directory("server.pem"), *key = in_directory("server.key");
    struct tls_opts opts = {.size = sizeof(opts), .host = "localhost", .ca_file = cert};
    switch (kind) {
    case CLIENT: return tls_attach_client(s, deadline);
    case CLIENT_MEM: return tls_attach_client_mem(s, &storage, deadline);
    case CLIENT_OPTS: return tls_attach_client_opts(s, &opts, deadline);
    case SERVER: return tls_attach_server(s, cert, key, deadline);
    default: return tls_attach_server_mem(s, cert, key, &storage, deadline);
    }
}

#define EACH_KIND(KIND) for (int KIND = 0; KIND != KINDS; ++KIND)

TEST(attaching_to_no_handle_gives_EBADF) {
    make_certificate();
    EACH_KIND(kind) {
        CHECK_ERR(attach(kind, -1, soon()), -1, EBADF);
        CHECK_ERR(attach(kind, 10000, soon()), -1, EBADF);
    }
    CHECK_ERR(tls_attach_client_mem(-1, NULL, soon()), -1, EBADF);
    CHECK_ERR(tls_attach_server_mem(-1, "", "", NULL, soon()), -1, EBADF);
    CHECK_ERR(tls_attach_client_opts(-1, NULL, soon()), -1, EBADF);
}

TEST(attaching_to_what_is_no_bytestream_gives_EPROTO_and_closes_it) {
    make_certificate();
    EACH_KIND(kind) {
        struct object object;
        int h = object_make(&object);
        CHECK_ERR(attach(kind, h, soon()), -1, EPROTO);
        CHECK_INT(object.closes, 1);
        CHECK_ERR(hclose(h), -1, EBADF);
    }
}

/* Attaching fails like this and leaves nothing: the bytestream below is closed. */
#define CHECK_REFUSED(S, CALL, ERRNO)                    \
    do {                                                 \
        int refused_s_[2];                               \
        make_ipc_pair(refused_s_);                       \
        int S = refused_s_[0];                           \
        CHECK_ERR(CALL, -1, ERRNO);                      \
        CHECK_ERR(hclose(S), -1, EBADF);                 \
        CHECK_ERR(brecv(refused_s_[1], NULL, 65536, soon()), -1, EPIPE); \
        CHECK_INT(hclose(refused_s_[1]), 0);             \
    } while (0)

TEST(NULL_storage_gives_EINVAL_and_closes_the_bytestream) {
    make_certificate();
    CHECK_REFUSED(s, tls_attach_client_mem(s, NULL, soon()), EINVAL);
    CHECK_REFUSED(s, tls_attach_server_mem(s, in_directory("server.pem"), in_directory("server.key"), NULL, soon()),
                  EINVAL);
}

#define CHECK_NO_SERVER(CERT, KEY) CHECK_REFUSED(s, tls_attach_server(s, CERT, KEY, soon()), EFAULT)

TEST(a_server_without_a_usable_certificate_and_key_gives_EFAULT) {
    const char *cert = in_directory("server.pem"), *key = in_directory("server.key"), *junk = in_directory("junk");
    FILE *file = fopen(junk, "w");
    make_certificate();
    CHECK(fputs("-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n", file) >= 0);
    CHECK_INT(fclose(file), 0);
    CHECK_NO_SERVER(NULL, key);
    CHECK_NO_SERVER(cert, NULL);
    CHECK_NO_SERVER("", key);
    CHECK_NO_SERVER(in_directory("none"), key);
    CHECK_NO_SERVER(cert, in_directory("none"));
    CHECK_NO_SERVER(test_directory, key);
    CHECK_NO_SERVER(key, key);
    CHECK_NO_SERVER(cert, cert);
    CHECK_NO_SERVER(junk, key);
    CHECK_NO_SERVER(cert, junk);
    openssl("pkcs8 -topk8 -in server.key -out locked.key -passout pass:secret");
    CHECK_NO_SERVER(cert, in_directory("locked.key"));
}

TEST(a_key_that_is_not_the_certificates_gives_EFAULT) {
    make_certificate();
    make_self_signed("other");
    CHECK_NO_SERVER(in_directory("server.pem"), in_directory("other.key"));
    CHECK_NO_SERVER(in_directory("other.pem"), in_directory("server.key"));
}

/* A client and a server that use these files. */
static void try_files(const char *name) {
    int s[2], h[2] = {-1, -1};
    make_ipc_pair(s);
    int b = go(serve_handshake(s[1], name, &h[1]));
    h[0] = tls_attach_client(s[0], soon());
    CHECK(h[0] >= 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK(h[1] >= 0);
    CHECK_SENT(h[0], "hello");
    CHECK_RECEIVED(h[1], "hello");
    CHECK_INT(hclose(h[0]), 0);
    CHECK_INT(hclose(h[1]), 0);
}

TEST(keys_of_every_usual_kind_and_form_are_read) {
    make_self_signed("pkcs8");
    try_files("pkcs8");
    openssl("ecparam -name prime256v1 -genkey -out sec1.key");
    openssl("req -x509 -key sec1.key -out sec1.pem -days 30 -subj /CN=localhost");
    try_files("sec1");
    openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -keyout p384.key -out p384.pem -days 30 "
            "-subj /CN=localhost");
    try_files("p384");
    openssl("req -x509 -newkey ed25519 -nodes -keyout ed.key -out ed.pem -days 30 -subj /CN=localhost");
    try_files("ed");
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout rsa.key -out rsa.pem -days 30 -subj /CN=localhost");
    try_files("rsa");
    openssl("rsa -in rsa.key -traditional -out pkcs1.key");
    openssl("x509 -in rsa.pem -text -out pkcs1.pem");
    try_files("pkcs1");
}

TEST(a_certificate_of_version_1_will_do) {
    openssl("req " NEW_EC_KEY " -keyout old.key -out old.csr -subj /CN=localhost");
    openssl("x509 -req -in old.csr -signkey old.key -days 30 -out old.pem");
    try_files("old");
}

TEST(an_expired_certificate_will_do_where_nothing_is_verified) {
    openssl("req " NEW_EC_KEY " -keyout old.key -out old.csr -subj /CN=localhost");
    openssl("x509 -req -in old.csr -signkey old.key -days -1 -out old.pem");
    try_files("old");
}

TEST(a_handshake_with_a_silent_peer_times_out) {
    make_certificate();
    EACH_KIND(kind) {
        int64_t deadline = now() + 30;
        CHECK_REFUSED(s, attach(kind, s, deadline), ETIMEDOUT);
        CHECK(now() >= deadline);
        CHECK_REFUSED(s, attach(kind, s, 0), ETIMEDOUT);
    }
}

TEST(a_stream_that_ends_in_the_handshake_gives_ECONNRESET) {
    make_certificate();
    EACH_KIND(kind) {
        int s[2];
        make_ipc_pair(s);
        CHECK_INT(ipc_done(s[1], soon()), 0);
        CHECK_ERR(attach(kind, s[0], soon()), -1, ECONNRESET);
        CHECK_STR(ws_errmsg(), "the connection has ended before the handshake of TLS was over");
        CHECK_ERR(hclose(s[0]), -1, EBADF);
        CHECK_INT(hclose(s[1]), 0);
    }
}

TEST(a_stream_that_has_ended_before_gives_ECONNRESET) {
    make_certificate();
    EACH_KIND(kind) for (int side = 0; side != 2; ++side) {
        int s[2];
        make_ipc_pair(s);
        CHECK_INT(ipc_done(s[side], soon()), 0);
        if (side == 1) CHECK_ERR(brecv(s[0], NULL, 1, soon()), -1, EPIPE);
        CHECK_ERR(attach(kind, s[0], soon()), -1, ECONNRESET);
        CHECK_INT(hclose(s[1]), 0);
    }
}

TEST(a_users_bytestream_that_sends_no_more_gives_ECONNRESET) {
    for (int kind = CLIENT; kind != SERVER; ++kind) {
        static struct user_stream user;
        int s[2], h;
        make_certificate();
        make_ipc_pair(s);
        h = user_stream_make(&user, s[0]);
        user.fail_send = EPIPE;
        CHECK_ERR(attach(kind, h, soon()), -1, ECONNRESET);
        CHECK_INT(hclose(s[1]), 0);
    }
}

TEST(a_size_that_ends_inside_a_member_gives_EINVAL) {
    char bytes[sizeof(struct tls_opts)];
    for (size_t size = 41; size != sizeof(bytes); ++size) {
        int s[2];
        if (size % sizeof(void *) == 0) continue;
        memset(bytes, 'x', sizeof(bytes));
        struct tls_opts opts = {.size = size, .host = "localhost"};
        memcpy(bytes, &opts, offsetof(struct tls_opts, cert));
        make_ipc_pair(s);
        CHECK_ERR(tls_attach_client_opts(s[0], (struct tls_opts *)(void *)bytes, soon()), -1, EINVAL);
        CHECK_INT(hclose(s[1]), 0);
    }
}

TEST(a_peer_that_does_not_speak_TLS_gives_EPROTO_at_once_and_is_told) {
    make_certificate();
    EACH_KIND(kind) {
        int s[2];
        char record[7] = "";
        make_ipc_pair(s);
        /* No more than the length of a header: the length that it seems to give is not waited for. */
        CHECK_SENT(s[1], "HTTP/");
        CHECK_ERR(attach(kind, s[0], soon()), -1, EPROTO);
        if (kind < SERVER) {
            /* Behind the ClientHello. */
            CHECK_INT(brecv(s[1], record, 5, soon()), 0);
            CHECK_INT(brecv(s[1], NULL, (size_t)(unsigned char)record[3] << 8 | (unsigned char)record[4], soon()), 0);
        }
        /* A fatal alert. */
        CHECK_INT(brecv(s[1], record, 7, soon()), 0);
        CHECK_INT(record[0], 21);
        CHECK_INT(record[5], 2);
        CHECK_INT(hclose(s[1]), 0);
    }
}

TEST(an_alert_in_place_of_a_handshake_gives_EPROTO) {
    make_certificate();
    EACH_KIND(kind) {
        int s[2];
        make_ipc_pair(s);
        CHECK_SENT(s[1], "\25\3\3\0\2\2\50");
        CHECK_ERR(attach(kind, s[0], soon()), -1, EPROTO);
        CHECK_INT(hclose(s[1]), 0);
    }
}

coroutine static void attach_expecting(int kind, int s, int err) { CHECK_ERR(attach(kind, s, -1), -1, err); }

TEST(a_handshake_can_be_cancelled) {
    make_certificate();
    EACH_KIND(kind) {
        int s[2];
        make_ipc_pair(s);
        int b = go(attach_expecting(kind, s[0], ECANCELED));
        CHECK_INT(msleep(now() + 5), 0);
        CHECK_INT(hclose(b), 0);
        CHECK_ERR(hclose(s[0]), -1, EBADF);
        CHECK_INT(hclose(s[1]), 0);
    }
}

TEST(failed_handshakes_leave_no_descriptor_behind) {
    int before;
    make_certificate();
    /* The first wait for a descriptor opens one for the library itself. */
    CHECK_REFUSED(s, attach(CLIENT, s, now() + 1), ETIMEDOUT);
    before = open_descriptors();
    EACH_KIND(kind) CHECK_REFUSED(s, attach(kind, s, now() + 1), ETIMEDOUT);
    CHECK_NO_SERVER(in_directory("server.pem"), in_directory("none"));
    CHECK_INT(open_descriptors(), before);
}

/* A bytestream of the program's that closes, when it has sent a part of the handshake, what was not made here. */
static struct user_stream below[2];
static int is_ours[256], sends_left;

static int send_and_close(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last, int64_t deadline) {
    int rc = user_stream_bsendl(bvfs, first, last, deadline);
    if (sends_left-- == 0)
        for (int h = 0; h != 256; ++h)
            if (!is_ours[h]) hclose(h);
    return rc;
}

TEST(a_handshake_during_which_its_handle_is_closed_gives_EBADF) {
    int sends = 0, h;
    make_certificate();
    do {
        int s[2], server = -1;
        make_ipc_pair(s);
        memset(is_ours, 0, sizeof(is_ours));
        for (int i = 0; i != 2; ++i) {
            s[i] = user_stream_make(&below[i], s[i]);
            is_ours[below[i].lower] = 1;
        }
        below[0].bvfs.bsendl = send_and_close;
        sends_left = sends;
        int b = go(serve_handshake(s[1], "server", &server));
        is_ours[b] = 1;
        h = tls_attach_client(s[0], soon());
        if (h < 0) CHECK_INT(errno, EBADF);
        if (h >= 0) CHECK_INT(hclose(h), 0);
        CHECK_INT(hclose(b), 0);
        ++sends;
    } while (h < 0);
    CHECK(sends > 2);
}

TEST(the_bytestream_that_was_attached_to_is_gone) {
    int s[2], h[2], t[2];
    make_ipc_pair(s);
    t[0] = s[0];
    t[1] = s[1];
    make_tls_over(t, h);
    CHECK_ERR(hclose(s[0]), -1, EBADF);
    CHECK_ERR(bsend(s[1], "x", 1, soon()), -1, EBADF);
}

coroutine static void serve_mem(int s, struct tls_storage *mem, int *h) {
    *h = tls_attach_server_mem(s, in_directory("server.pem"), in_directory("server.key"), mem, soon());
}

TEST(storage_of_the_callers_may_lie_anywhere_and_is_not_overrun) {
    make_certificate();
    EACH_OFFSET(offset) {
        struct guarded_mem m[2];
        struct tls_storage *mem[2];
        int s[2], h[2];
        for (int i = 0; i != 2; ++i) mem[i] = (struct tls_storage *)guarded_make(&m[i], sizeof(*mem[i]), offset);
        make_ipc_pair(s);
        int b = go(serve_mem(s[1], mem[1], &h[1]));
        h[0] = tls_attach_client_mem(s[0], mem[0], soon());
        CHECK(h[0] >= 0);
        CHECK_INT(bundle_wait(b, soon()), 0);
        CHECK_SENT(h[0], "there");
        CHECK_RECEIVED(h[1], "there");
        CHECK_INT(hclose(h[0]), 0);
        CHECK_INT(hclose(h[1]), 0);
        for (int i = 0; i != 2; ++i) guarded_free(&m[i]);
    }
}

/* The server has not run since the client's last flight: all of it is received together with that. */
TEST(much_that_comes_right_behind_the_handshake_is_received) {
    static unsigned char sent[400000], received[sizeof(sent)];
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int size = 4 << 20, h[2] = {-1, -1};
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    if (setsockopt(listener, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 ||
        setsockopt(client, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
        SKIP("only root has such large buffers");
    CHECK_INT(bind(listener, (struct sockaddr *)&addr, len), 0);
    CHECK_INT(listen(listener, 1), 0);
    CHECK_INT(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    CHECK_INT(connect(client, (struct sockaddr *)&addr, len), 0);
    int s[2] = {tcp_fromfd(client), tcp_fromfd(accept(listener, NULL, NULL))};
    CHECK(s[0] >= 0 && s[1] >= 0);
    make_certificate();
    fill_pattern(sent, sizeof(sent), 0);
    int b = go(serve_handshake(s[1], "server", &h[1]));
    h[0] = tls_attach_client(s[0], soon());
    CHECK(h[0] >= 0);
    CHECK_INT(bsend(h[0], sent, sizeof(sent), soon()), 0);
    CHECK_INT(bundle_wait(b, soon()), 0);
    CHECK(h[1] >= 0);
    CHECK_INT(brecv(h[1], received, sizeof(received), soon()), 0);
    check_pattern(received, sizeof(received), 0);
}
