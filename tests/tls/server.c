/* server CERT KEY [OPTION...]

   Accepts one connection after another on a port of 127.0.0.1 and answers lines: "bye" by ending its
   direction, "big" with a million bytes, and any other with itself. At the end of a connection it detaches
   TLS and closes what was below it gracefully.

   With options it uses tls_attach_server_opts and says what was agreed on:

   opts            nothing but that
   pair=NAME       another certificate, in NAME.pem and NAME.key
   ca=FILE         authorities for clients, with
   wanted needed   whether a certificate is
   alpn=NAME,NAME  application protocols
   tls13           nothing before */

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

#define MAX_NAMES 8
#define MAX_PAIRS 4

static struct tls_server_opts opts = {.size = sizeof opts};
static const char *certs[2 * MAX_PAIRS + 1], *protocols[MAX_NAMES + 1];
static int has_opts;

static int option(char *argument) {
    static char files[2 * MAX_PAIRS][64];
    static int count = 2;
    if (strncmp(argument, "pair=", 5) == 0 && count < 2 * MAX_PAIRS) {
        for (int i = 0; i != 2; ++i, ++count) {
            snprintf(files[count], sizeof files[count], "%s.%s", argument + 5, i ? "key" : "pem");
            certs[count] = files[count];
        }
    } else if (strncmp(argument, "ca=", 3) == 0) {
        opts.client_ca_file = argument + 3;
    } else if (strncmp(argument, "alpn=", 5) == 0) {
        int number = 0;
        for (char *name = strtok(argument + 5, ","); name && number < MAX_NAMES; name = strtok(NULL, ","))
            protocols[number++] = name;
        opts.alpn = protocols;
    } else if (strcmp(argument, "wanted") == 0) {
        opts.flags = TLS_CLIENT_CERT_WANTED;
    } else if (strcmp(argument, "needed") == 0) {
        opts.flags = TLS_CLIENT_CERT_NEEDED;
    } else if (strcmp(argument, "tls13") == 0) {
        opts.min_version = TLS_1_3;
    } else if (strcmp(argument, "opts") != 0) {
        return 0;
    }
    has_opts = 1;
    return 1;
}

static int attach(int s) {
    struct tls_info info = {.size = sizeof info};
    if (!has_opts) return tls_attach_server(s, certs[0], certs[1], now() + STEP);
    s = tls_attach_server_opts(s, &opts, now() + STEP);
    if (s < 0) {
        int error = errno;
        printf("why: %s\n", ws_errmsg());
        errno = error;
    } else if (tls_info(s, &info) == 0) {
        printf("info: TLS 1.%d alpn=%s sni=%s%s%s\n", info.version - TLS_1_2 + 2, info.alpn, info.sni,
               info.resumed ? " resumed" : "", info.verified ? " verified" : "");
    }
    return s;
}

static void serve(int s) {
    char line[4096];
    int tls = attach(s);
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
    if (argc < 3) return 2;
    certs[0] = argv[1];
    certs[1] = argv[2];
    opts.certs = certs;
    for (int i = 3; i < argc; ++i) {
        if (!option(argv[i])) return 2;
    }
    if (ipaddr_local(&addr, "127.0.0.1", 0, IPADDR_IPV4) < 0) return 2;
    listener = tcp_listen(&addr, 10);
    if (listener < 0) return 2;
    printf("listening on 127.0.0.1:%d\n", ipaddr_port(&addr));
    for (;;) {
        int s = tcp_accept(listener, NULL, -1);
        if (s < 0) return 2;
        serve(s);
    }
}
