/* TLS: what goes wrong, and what is left of a connection then. */

#include <libdill.h>

#include "mem.h"
#include "object.h"
#include "test.h"
#include "tls.h"

/* --- Attaching --- */

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
    CHECK_SENT(h[0], name);
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
        CHECK(now() < deadline + 5000);
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

/* --- Other handles --- */

TEST(handles_of_other_kinds_give_ENOTSUP_and_are_left_alone) {
    int s[2];
    char buf[256];
    EACH_STREAM(s) {
        CHECK_ERR(tls_done(s[0], soon()), -1, ENOTSUP);
        CHECK_ERR(tls_detach(s[0], soon()), -1, ENOTSUP);
        CHECK_ERR(tls_alpn(s[0], buf, sizeof(buf)), -1, ENOTSUP);
        CHECK_SENT(s[0], "alive");
        CHECK_RECEIVED(s[1], "alive");
    }
    CHECK_ERR(tls_done(-1, soon()), -1, EBADF);
    CHECK_ERR(tls_detach(-1, soon()), -1, EBADF);
    CHECK_ERR(tls_alpn(-1, buf, sizeof(buf)), -1, EBADF);
}

TEST(functions_of_other_kinds_give_ENOTSUP_on_TLS) {
    int h[2];
    make_tls_over_tcp(h);
    CHECK_ERR(tcp_done(h[0], soon()), -1, ENOTSUP);
    CHECK_ERR(tcp_close(h[0], soon()), -1, ENOTSUP);
    CHECK_ERR(ipc_close(h[0], soon()), -1, ENOTSUP);
    CHECK_ERR(ipc_sendfd(h[0], 0, soon()), -1, ENOTSUP);
    CHECK_SENT(h[0], "alive");
    CHECK_RECEIVED(h[1], "alive");
}

/* --- A connection that breaks --- */

TEST(a_stream_that_ends_without_close_notify_gives_ECONNRESET_and_not_EPIPE) {
    int h[2];
    make_tls_over_ipc(h);
    CHECK_SENT(h[0], "cut o");
    CHECK_INT(hclose(h[0]), 0);
    CHECK_RECEIVED(h[1], "cut o");
    CHECK_STAYS(brecv(h[1], NULL, 1, soon()), ECONNRESET);
    CHECK_ERR(tls_detach(h[1], soon()), -1, ECONNRESET);
    CHECK_ERR(hclose(h[1]), -1, EBADF);
}

TEST(detaching_from_a_peer_that_has_vanished_gives_ECONNRESET) {
    int h[2];
    EACH_TLS(h) {
        CHECK_INT(hclose(h[0]), 0);
        CHECK_ERR(tls_detach(h[1], soon()), -1, ECONNRESET);
        CHECK_ERR(hclose(h[1]), -1, EBADF);
    }
}

coroutine static void attach_into(int s, int *h) { *h = tls_attach_client(s, soon()); }

coroutine static void send_bytes(int fd, const unsigned char *bytes, size_t len) {
    for (size_t i = 0; i != len; ++i) {
        raw_send(fd, &bytes[i], 1);
        CHECK_INT(msleep(now() + 1), 0);
    }
}

/* A connection whose bytes pass through our hands: what h[i] sends is read from wire[i]. */
static void make_tls_with_wiretap_over(int h[2], int wire[2], int user) {
    static struct user_stream below[2];
    int s[2];
    for (int i = 0; i != 2; ++i) {
        make_ipc_and_raw(&s[i], &wire[i]);
        if (user) s[i] = user_stream_make(&below[i], s[i]);
    }
    make_certificate();
    int b = go(serve_handshake(s[1], "server", &h[1]));
    int result = -1;
    int c = go(attach_into(s[0], &result));
    char buf[4096];
    CHECK_INT(fcntl(wire[0], F_SETFL, O_NONBLOCK), 0);
    CHECK_INT(fcntl(wire[1], F_SETFL, O_NONBLOCK), 0);
    while (bundle_wait(b, 0) < 0 || bundle_wait(c, 0) < 0) {
        for (int i = 0; i != 2; ++i) {
            ssize_t len = read(wire[i], buf, sizeof(buf));
            if (len > 0) CHECK_INT(write(wire[1 - i], buf, (size_t)len), len);
        }
        CHECK_INT(msleep(now() + 1), 0);
    }
    h[0] = result;
    CHECK(h[0] >= 0 && h[1] >= 0);
}

static void make_tls_with_wiretap(int h[2], int wire[2]) { make_tls_with_wiretap_over(h, wire, 0); }

/* Takes one record off the wire; returns its length with the header. */
static size_t take_record(int fd, unsigned char *record) {
    size_t len;
    CHECK_INT(read(fd, record, 5), 5);
    len = (size_t)record[3] << 8 | record[4];
    CHECK_INT(read(fd, record + 5, len), len);
    return len + 5;
}

TEST(a_record_that_was_changed_gives_EPROTO_and_breaks_both_directions) {
    int h[2], wire[2];
    unsigned char record[20000];
    make_tls_with_wiretap(h, wire);
    CHECK_SENT(h[0], "true");
    size_t len = take_record(wire[0], record);
    record[len - 1] ^= 1;
    raw_send(wire[1], record, len);
    CHECK_ERR(brecv(h[1], NULL, 4, soon()), -1, EPROTO);
    CHECK_STAYS(brecv(h[1], NULL, 4, soon()), ECONNRESET);
    CHECK_STAYS(bsend(h[1], "x", 1, soon()), ECONNRESET);
    CHECK_STAYS(tls_done(h[1], soon()), ECONNRESET);
    /* The alert. */
    len = take_record(wire[1], record);
    raw_send(wire[0], record, len);
    CHECK_ERR(brecv(h[0], NULL, 1, soon()), -1, EPROTO);
    CHECK_STAYS(brecv(h[0], NULL, 1, soon()), ECONNRESET);
    CHECK_STAYS(bsend(h[0], "x", 1, soon()), ECONNRESET);
    CHECK_ERR(tls_detach(h[0], soon()), -1, ECONNRESET);
    CHECK_ERR(hclose(h[0]), -1, EBADF);
    CHECK_INT(hclose(h[1]), 0);
}

TEST(a_record_that_comes_twice_gives_EPROTO) {
    int h[2], wire[2];
    unsigned char record[20000];
    make_tls_with_wiretap(h, wire);
    CHECK_SENT(h[0], "once");
    size_t len = take_record(wire[0], record);
    raw_send(wire[1], record, len);
    raw_send(wire[1], record, len);
    CHECK_RECEIVED(h[1], "once");
    CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPROTO);
}

TEST(a_record_arrives_in_single_bytes) {
    int h[2], wire[2];
    unsigned char record[20000];
    make_tls_with_wiretap(h, wire);
    CHECK_SENT(h[0], "slow but sure");
    size_t len = take_record(wire[0], record);
    char buf[13];
    int b = go(send_bytes(wire[1], record, len));
    CHECK_INT(brecv(h[1], buf, sizeof(buf), soon()), 0);
    CHECK_MEM(buf, "slow but sure", sizeof(buf));
    CHECK_INT(bundle_wait(b, soon()), 0);
}

TEST(plain_bytes_in_the_middle_give_EPROTO) {
    int h[2], wire[2];
    make_tls_with_wiretap(h, wire);
    raw_send(wire[1], "junk!", 5);
    CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPROTO);
}

TEST(a_plain_close_notify_ends_nothing) {
    int h[2], wire[2];
    make_tls_with_wiretap(h, wire);
    raw_send(wire[1], "\25\3\3\0\2\1\0", 7);
    CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPROTO);
}

/* --- Deadlines and cancellation --- */

TEST(a_receive_that_times_out_breaks_its_direction_only) {
    int h[2];
    EACH_TLS(h) {
        int64_t deadline = now() + 30;
        CHECK_ERR(brecv(h[0], NULL, 1, deadline), -1, ETIMEDOUT);
        CHECK(now() >= deadline);
        CHECK(now() < deadline + 5000);
        CHECK_STAYS(brecv(h[0], NULL, 1, soon()), ECONNRESET);
        CHECK_SENT(h[0], "goes on");
        CHECK_RECEIVED(h[1], "goes on");
        CHECK_INT(tls_done(h[0], soon()), 0);
        CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPIPE);
        CHECK_ERR(tls_detach(h[0], soon()), -1, ECONNRESET);
    }
}

TEST(what_has_arrived_is_received_after_the_deadline) {
    int h[2];
    char buf[4];
    make_tls_over_ipc(h);
    CHECK_SENT(h[0], "here");
    CHECK_INT(brecv(h[1], buf, 4, 0), 0);
    CHECK_MEM(buf, "here", 4);
}

TEST(a_send_that_times_out_breaks_its_direction_only) {
    int h[2];
    EACH_TLS(h) {
        fill_stream(h[0]);
        CHECK_STAYS(bsend(h[0], "x", 1, soon()), ECONNRESET);
        CHECK_STAYS(tls_done(h[0], soon()), ECONNRESET);
        CHECK_SENT(h[1], "goes on");
        CHECK_RECEIVED(h[0], "goes on");
        CHECK_ERR(tls_detach(h[0], soon()), -1, ECONNRESET);
    }
}

coroutine static void receive_expecting(int h, int64_t deadline, int err) {
    int rc = brecv(h, NULL, 1, deadline);
    CHECK_INT(rc == 0 ? 0 : errno, err);
}

TEST(each_call_has_its_own_deadline) {
    int h[2];
    EACH_TLS(h) {
        int b = go(receive_expecting(h[0], -1, 0));
        CHECK_INT(bsend(h[0], "soon over", 9, now() + 1), 0);
        CHECK_INT(msleep(now() + 50), 0);
        CHECK_SENT(h[1], "x");
        CHECK_INT(bundle_wait(b, soon()), 0);
        b = go(receive_expecting(h[0], now() + 30, ETIMEDOUT));
        CHECK_INT(bsend(h[0], "no end", 6, -1), 0);
        CHECK_INT(bundle_wait(b, soon()), 0);
    }
}

TEST(a_detach_that_times_out_closes_everything) {
    int h[2];
    EACH_TLS(h) {
        int64_t deadline = now() + 30;
        CHECK_ERR(tls_detach(h[0], deadline), -1, ETIMEDOUT);
        CHECK(now() >= deadline);
        CHECK_ERR(hclose(h[0]), -1, EBADF);
        CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPIPE);
    }
}

TEST(a_cancelled_receive_gives_ECANCELED_and_breaks_its_direction) {
    int h[2];
    EACH_TLS(h) {
        int b = go(receive_expecting(h[0], -1, ECANCELED));
        CHECK_INT(hclose(b), 0);
        CHECK_STAYS(brecv(h[0], NULL, 1, soon()), ECONNRESET);
        CHECK_SENT(h[0], "goes on");
        CHECK_RECEIVED(h[1], "goes on");
    }
}

/* --- Several coroutines --- */

TEST(a_second_receiver_gets_EBUSY_and_disturbs_nothing) {
    int h[2];
    EACH_TLS(h) {
        int b = go(receive_expecting(h[0], -1, 0));
        CHECK_STAYS(brecv(h[0], NULL, 1, soon()), EBUSY);
        CHECK_SENT(h[0], "other direction");
        CHECK_RECEIVED(h[1], "other direction");
        CHECK_SENT(h[1], "x");
        CHECK_INT(bundle_wait(b, soon()), 0);
        CHECK_SENT(h[1], "y");
        CHECK_RECEIVED(h[0], "y");
    }
}

coroutine static void send_expecting(int h, size_t len, int err) {
    char *block = (char *)calloc(1, len);
    int rc = bsend(h, block, len, -1);
    CHECK_INT(rc == 0 ? 0 : errno, err);
    free(block);
}

TEST(a_second_sender_gets_EBUSY_and_disturbs_nothing) {
    int h[2];
    EACH_TLS(h) {
        int b = go(send_expecting(h[0], 10000000, 0));
        CHECK_STAYS(bsend(h[0], "x", 1, soon()), EBUSY);
        CHECK_STAYS(tls_done(h[0], soon()), EBUSY);
        CHECK_INT(brecv(h[1], NULL, 10000000, soon()), 0);
        CHECK_INT(bundle_wait(b, soon()), 0);
        CHECK_SENT(h[0], "y");
        CHECK_RECEIVED(h[1], "y");
    }
}

TEST(closing_the_handle_wakes_those_who_wait_with_EBADF) {
    int h[2];
    EACH_TLS(h) {
        if (each_tls_ == 2) continue; /* the user's bytestream does not let itself be closed like that */
        int b = bundle();
        CHECK_INT(bundle_go(b, receive_expecting(h[0], -1, EBADF)), 0);
        CHECK_INT(bundle_go(b, send_expecting(h[0], 10000000, EBADF)), 0);
        CHECK_INT(hclose(h[0]), 0);
        CHECK_INT(bundle_wait(b, soon()), 0);
    }
}

TEST(a_receiver_that_breaks_the_connection_does_not_hang_up_a_sender) {
    for (int user = 0; user != 2; ++user) {
        int h[2], wire[2];
        char buf[65536];
        make_tls_with_wiretap_over(h, wire, user);
        int b = go(send_expecting(h[1], 10000000, ECONNRESET));
        raw_send(wire[1], "junk!", 5);
        CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPROTO);
        CHECK_ERR(bundle_wait(b, 0), -1, ETIMEDOUT);
        while (bundle_wait(b, now() + 1) < 0)
            while (read(wire[1], buf, sizeof(buf)) > 0) continue;
        CHECK_STAYS(bsend(h[1], "x", 1, soon()), ECONNRESET);
        CHECK_INT(hclose(h[0]), 0);
        CHECK_INT(hclose(h[1]), 0);
    }
}

static int runs;
coroutine static void count_runs(void) {
    for (;;) {
        if (yield() < 0) return;
        ++runs;
    }
}

TEST(what_can_be_done_at_once_lets_nobody_else_run) {
    int h[2];
    make_tls_over_ipc(h);
    int b = go(count_runs());
    runs = 0;
    CHECK_SENT(h[0], "at once");
    CHECK_RECEIVED(h[1], "at once");
    CHECK_INT(tls_done(h[0], soon()), 0);
    CHECK_ERR(brecv(h[1], NULL, 1, soon()), -1, EPIPE);
    CHECK_INT(tls_done(h[1], soon()), 0);
    CHECK(tls_detach(h[0], soon()) >= 0);
    CHECK(tls_detach(h[1], soon()) >= 0);
    CHECK_INT(runs, 0);
    CHECK_INT(hclose(b), 0);
}

TEST(nothing_is_written_to_standard_error) {
    int h[2], s[2], wire[2], err = dup(2);
    struct stat st;
    CHECK(freopen(in_directory("stderr"), "w", stderr) != NULL);
    make_certificate();
    make_ipc_pair(s);
    CHECK_SENT(s[1], "HTTP/1.1 400 Bad Request\r\n");
    int rc = tls_attach_client(s[0], soon());
    int no_server = tls_attach_server(s[1], "none", "none", soon());
    make_tls_with_wiretap(h, wire);
    raw_send(wire[1], "junk!", 5);
    int junk = brecv(h[1], NULL, 1, soon());
    fflush(stderr);
    CHECK_INT(fstat(2, &st), 0);
    CHECK_INT(dup2(err, 2), 2);
    CHECK_INT(st.st_size, 0);
    CHECK_INT(rc, -1);
    CHECK_INT(no_server, -1);
    CHECK_INT(junk, -1);
}
