/* Echo over TLS: lines, an empty one being the last. A server and its client.

   usage: tls_echo server PORT CERTIFICATE KEY
          tls_echo client HOST PORT AUTHORITIES TEXT...

   CERTIFICATE, KEY and AUTHORITIES are PEM files; the last one holds the certificates that the client
   trusts. The server must have a certificate for HOST.

   Four protocols lie upon each other: TCP, TLS, lines (SUFFIX), an agreed last line (TERM). Attaching one
   hands the handle below over to it; detaching gives it back, ready for more. */

#include "common.h"

#include <libdillext.h>
#include <string.h>

/* How long a peer may take over a step, in milliseconds. */
#define STEP 10000

/* The longest line. */
#define LINE 1024

/* Lines on a bytestream, up to an empty one. The bytestream is closed if that fails. */
static int attach_lines(int s) {
    int lines = suffix_attach(s, "\r\n", 2);
    return lines < 0 ? -1 : term_attach(lines, "", 0);
}

/* Sends the empty line, waits for the peer's, and takes everything down to TCP apart again: then both
   sides know that nothing has been cut off. Returns -1 if that cannot be known. */
static int end_conversation(int conversation) {
    int64_t deadline = now() + STEP;
    int lines = term_detach(conversation, deadline);
    int tls = lines < 0 ? -1 : suffix_detach(lines, deadline);
    int tcp = tls < 0 ? -1 : tls_detach(tls, deadline);
    return tcp < 0 ? -1 : tcp_close(tcp, deadline);
}

/* ---- The server ---- */

struct identity {
    const char *certificate, *key;
};

static coroutine void serve(int tcp, void *context) {
    const struct identity *own = context;
    int tls = tls_attach_server(tcp, own->certificate, own->key, now() + STEP);
    int conversation = tls < 0 ? -1 : attach_lines(tls);
    if (conversation < 0) {
        perror("attach"); /* The TCP connection is closed already. */
        return;
    }
    char line[LINE];
    while (1) {
        ssize_t len = mrecv(conversation, line, sizeof line, now() + STEP);
        if (len < 0)
            break;
        if (msend(conversation, line, (size_t)len, now() + STEP) < 0)
            break;
    }
    if (errno != EPIPE)
        hclose(conversation);
    else if (end_conversation(conversation) < 0)
        perror("end");
}

/* ---- The client ---- */

static void talk(int conversation, const char *text) {
    char echo[LINE];
    if (msend(conversation, text, strlen(text), now() + STEP) < 0)
        fail("send");
    ssize_t len = mrecv(conversation, echo, sizeof echo, now() + STEP);
    if (len < 0)
        fail("receive");
    printf("%.*s\n", (int)len, echo);
}

static void run_client(const char *host, int port, const char *authorities, char *texts[]) {
    int64_t deadline = now() + STEP;
    int tcp = happyeyeballs_connect(host, port, deadline);
    if (tcp < 0)
        fail("connect");
    struct tls_opts opts = {.size = sizeof opts, .host = host, .ca_file = authorities};
    int tls = tls_attach_client_opts(tcp, &opts, deadline);
    if (tls < 0)
        fail("handshake");
    int conversation = attach_lines(tls);
    if (conversation < 0)
        fail("attach");
    for (; *texts; texts++)
        talk(conversation, *texts);
    if (end_conversation(conversation) < 0)
        fail("end");
}

int main(int argc, char *argv[]) {
    if (argc == 5 && strcmp(argv[1], "server") == 0) {
        struct identity own = {argv[3], argv[4]};
        serve_clients(listen_on(argv[2]), serve, &own);
    } else if (argc > 5 && strcmp(argv[1], "client") == 0) {
        run_client(argv[2], atoi(argv[3]), argv[4], argv + 5);
    } else {
        fprintf(stderr,
                "usage: %s server PORT CERTIFICATE KEY\n"
                "       %s client HOST PORT AUTHORITIES TEXT...\n",
                argv[0], argv[0]);
        return 2;
    }
    return 0;
}
