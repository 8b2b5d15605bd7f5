#define _GNU_SOURCE
#include "wire.h"
#include "../common/net.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { DESCRIPTORS = 1 << 17, SEALED_AT_ONCE = 256 * 1024 };

static SSL_CTX *context;        /* NULL without TLS */
static SSL *connections[DESCRIPTORS];
static SSL_SESSION *session;    /* to resume */
static bool had_session[DESCRIPTORS];
static size_t record;           /* a record for so much */

static int keep_session(SSL *ssl, SSL_SESSION *fresh)
{
    (void)ssl;
    if(session) return 0;
    session = fresh;
    return 1;
}

void wire_open(const struct options *o)
{
    if(!o->tls) return;
    context = SSL_CTX_new(TLS_client_method());
    if(!context) die("SSL_CTX_new");
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set1_groups_list(context, "P-256");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* After an end without close_notify a session could not be resumed. */
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, 128 * 1024);
    if(o->resume) {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context, keep_session);
    }
    record = SEALED_AT_ONCE;
}

void wire_record_each(size_t size)
{
    record = size;
}

static SSL *begin(int fd)
{
    if(fd >= DESCRIPTORS) die("too many descriptors");
    SSL *ssl = SSL_new(context);
    if(!ssl || SSL_set_fd(ssl, fd) != 1) die("SSL_new");
    SSL_set_tlsext_host_name(ssl, "localhost");
    had_session[fd] = session != NULL;
    if(session) {
        /* OpenSSL lets a session of TLS 1.3 be used once. */
        SSL_SESSION *copy = SSL_SESSION_dup(session);
        if(!copy || SSL_set_session(ssl, copy) != 1) die("SSL_set_session");
        SSL_SESSION_free(copy);
    }
    /* What is sealed is kept until one call sends it. */
    SSL_set0_wbio(ssl, BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl);
    return connections[fd] = ssl;
}

static bool flush(int fd)
{
    BIO *out = SSL_get_wbio(connections[fd]);
    char *bytes;
    for(long len; (len = BIO_get_mem_data(out, &bytes)) > 0;) {
        ssize_t sent = send(fd, bytes, (size_t)len, MSG_NOSIGNAL);
        if(sent < 0 && errno != EAGAIN) die("send");
        if(sent < 0) return false;
        if(sent == len) {
            (void)BIO_reset(out);
        } else {
            static char dropped[SEALED_AT_ONCE * 2];
            if(BIO_read(out, dropped, (int)sent) != sent) die("BIO_read");
        }
    }
    return true;
}

int wire_handshake(int fd)
{
    if(!context) return 1;
    SSL *ssl = connections[fd] ? connections[fd] : begin(fd);
    int rc = SSL_do_handshake(ssl);
    errno = 0;
    if(rc != 1 && SSL_get_error(ssl, rc) != SSL_ERROR_WANT_READ) die("TLS handshake");
    if(rc == 1 && had_session[fd] && !SSL_session_reused(ssl)) die("not resumed");
    if(!flush(fd)) die("no room for a handshake");
    return rc == 1;
}

void wire_secure(int fd)
{
    if(!context) return;
    if(fcntl(fd, F_SETFL, O_NONBLOCK)) die("fcntl");
    while(!wire_handshake(fd)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if(poll(&p, 1, 5000) != 1) die("no answer for 5 s");
    }
    if(fcntl(fd, F_SETFL, 0)) die("fcntl");
}

ssize_t wire_send(int fd, const void *buf, size_t len)
{
    if(!context) return send(fd, buf, len, MSG_NOSIGNAL);
    if(!flush(fd)) return errno = EAGAIN, -1;
    if(len > SEALED_AT_ONCE) len = SEALED_AT_ONCE;
    size_t done = 0;
    while(done < len) {
        size_t step = len - done < record ? len - done : record;
        int n = SSL_write(connections[fd], (const char *)buf + done, (int)step);
        if(n <= 0) die("SSL_write");
        done += (size_t)n;
    }
    flush(fd);
    return (ssize_t)done;
}

ssize_t wire_recv(int fd, void *buf, size_t len)
{
    if(!context) return recv(fd, buf, len, 0);
    size_t done = 0;
    while(done < len) {
        int n = SSL_read(connections[fd], (char *)buf + done, (int)(len - done));
        if(n > 0) {
            done += (size_t)n;
            continue;
        }
        switch(SSL_get_error(connections[fd], n)) {
        case SSL_ERROR_WANT_READ: return done ? (ssize_t)done : (errno = EAGAIN, -1);
        /* A server may close without close_notify. */
        default: return (ssize_t)done;
        }
    }
    return (ssize_t)done;
}

bool wire_is_full(int fd)
{
    return context && BIO_pending(SSL_get_wbio(connections[fd])) > 0;
}

void wire_send_all(int fd, const void *buf, size_t len)
{
    if(!context) {
        send_all(fd, buf, len);
    } else if(wire_send(fd, buf, len) != (ssize_t)len || wire_is_full(fd)) {
        die("no room to send");
    }
}

void wire_forget(int fd)
{
    if(!context) return;
    /* Else its session could not be resumed. */
    SSL_set_shutdown(connections[fd], SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(connections[fd]);
    connections[fd] = NULL;
}
