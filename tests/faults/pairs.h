/* Conversations: a client and a server, each with its end of a connection, which it closes. */

#ifndef PAIRS_H
#define PAIRS_H

#include "faults.h"

enum transport { IPC, TCP, TLS };

/* A connection to ourselves by TCP; s[0] is the client. -1: there is none. */
static inline int connect_by_tcp(int s[2]) {
    struct ipaddr address;
    int result = -1;
    if (CALL(ipaddr_local, &address, "127.0.0.1", 0, IPADDR_IPV4) < 0) return -1;
    int listener = (int)CALL(tcp_listen, &address, 10);
    if (listener < 0) return -1;
    s[0] = (int)CALL(tcp_connect, &address, deadline());
    if (s[0] >= 0) {
        s[1] = (int)CALL(tcp_accept, listener, NULL, deadline());
        if (s[1] >= 0)
            result = 0;
        else
            CALL(hclose, s[0]);
    }
    CALL(hclose, listener);
    return result;
}

struct end {
    int s;
    enum transport transport;
    void (*talk)(int s);
};

/* One of them talks. */
static inline void take_part(struct end end) {
    const char *certificate = getenv("FAULTS_CERTIFICATE"), *key = getenv("FAULTS_KEY");
    if (end.transport == TLS) end.s = (int)CALL(tls_attach_server, end.s, certificate, key, deadline());
    if (end.s >= 0) end.talk(end.s);
}

coroutine static void serve(struct end end) { take_part(end); }

static inline void converse(enum transport transport, void (*client)(int s), void (*server)(int s)) {
    int s[2];
    if (transport == IPC ? CALL(ipc_pair, s) < 0 : connect_by_tcp(s) < 0) return;
    struct end end = {s[1], transport, server};
    int h = go(serve(end));
    if (CALLED(go, h) < 0) {
        CALL(hclose, s[0]);
        CALL(hclose, s[1]);
        return;
    }
    if (transport == TLS) s[0] = (int)CALL(tls_attach_client, s[0], deadline());
    if (s[0] >= 0) client(s[0]);
    CALL(bundle_wait, h, deadline());
    CALL(hclose, h);
}

#endif
