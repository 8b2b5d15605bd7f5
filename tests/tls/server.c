/* server CERT KEY

   Accepts one connection after another on a port of 127.0.0.1 and answers lines: "bye" by ending its
   direction, "big" with a million bytes, and any other with itself. At the end of a connection it detaches
   TLS and closes what was below it in order. */

#include "say.h"

#define BIG 1000000

static int answer(int tls, const char *line) {
    static unsigned char big[BIG];
    char buf[4096];
    if (strcmp(line, "bye") == 0) return tls_done(tls, now() + STEP);
    if (strcmp(line, "big") == 0) {
        for (size_t i = 0; i != BIG; ++i) big[i] = (unsigned char)(i * 7 / 3);
        return bsend(tls, big, BIG, now() + STEP);
    }
    int len = snprintf(buf, sizeof buf, "%s\n", line);
    return bsend(tls, buf, (size_t)len, now() + STEP);
}

static void serve(int s, const char *cert, const char *key) {
    char line[4096];
    int tls = tls_attach_server(s, cert, key, now() + STEP);
    if (!say("attach", tls)) return;
    while (receive_line(tls, line, sizeof line) == 0) {
        printf("line: %s\n", line);
        if (answer(tls, line) < 0) {
            say("answer", -1);
            break;
        }
    }
    say("receive", -1);
    s = tls_detach(tls, now() + STEP);
    if (say("detach", s)) say("close", tcp_close(s, now() + STEP));
}

int main(int argc, char **argv) {
    struct ipaddr addr;
    int listener;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 3 || ipaddr_local(&addr, "127.0.0.1", 0, IPADDR_IPV4) < 0) return 2;
    listener = tcp_listen(&addr, 10);
    if (listener < 0) return 2;
    printf("listening on 127.0.0.1:%d\n", ipaddr_port(&addr));
    for (;;) {
        int s = tcp_accept(listener, NULL, -1);
        if (s < 0) return 2;
        serve(s, argv[1], argv[2]);
    }
}
