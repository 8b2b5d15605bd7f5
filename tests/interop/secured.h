/* Compiled in front of a program, this puts TLS between its WebSockets and TCP. $TLS_FILES is a folder with
   server.pem, server.key and ca.pem, which has signed it. */

#ifndef SECURED_H
#define SECURED_H

#include <libdill.h>
#include <libdillext.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* For a handshake, in milliseconds. */
#define SECURED_TIME 10000

struct secured_path {
    char text[512];
};

static inline struct secured_path secured_file(const char *name) {
    struct secured_path path;
    const char *folder = getenv("TLS_FILES");
    if (!folder)
        abort();
    snprintf(path.text, sizeof path.text, "%s/%s", folder, name);
    return path;
}

/* Clients that fail the handshake are not heard of. */
static inline int secured_accept(int listener, struct ipaddr *addr, int64_t deadline) {
    struct secured_path cert = secured_file("server.pem"), key = secured_file("server.key");
    for (;;) {
        int s = tcp_accept(listener, addr, deadline);
        if (s < 0)
            return -1;
        s = tls_attach_server(s, cert.text, key.text, now() + SECURED_TIME);
        if (s >= 0 || errno == ECANCELED)
            return s;
        perror("TLS handshake");
    }
}

static inline int secured_connect(const struct ipaddr *addr, int64_t deadline) {
    struct secured_path ca = secured_file("ca.pem");
    struct tls_opts opts = {.size = sizeof opts, .host = "127.0.0.1", .ca_file = ca.text};
    int s = tcp_connect(addr, deadline);
    return s < 0 ? -1 : tls_attach_client_opts(s, &opts, deadline);
}

/* Ends TLS and TCP, both in the clean way. */
static inline int secured_close(int s, int64_t deadline) {
    s = tls_detach(s, deadline);
    return s < 0 ? -1 : tcp_close(s, deadline);
}

#undef tcp_accept
#undef tcp_connect
#undef tcp_close
#define tcp_accept secured_accept
#define tcp_connect secured_connect
#define tcp_close secured_close

#endif
