/* client PORT OPTION... STEP...

   Connects to a port of 127.0.0.1, attaches TLS and takes the steps, until one fails:

   host=NAME ca=FILE alpn=NAME,NAME noverify    options of tls_attach_client_opts
   cert=FILE key=FILE tls13                     more of them
   plain                                        tls_attach_client instead

   send=TEXT     sends a line
   line          receives a line
   rest          receives everything to the end
   alpn          asks for the protocol that was agreed on
   info          says what was agreed on
   again         drops the connection, and makes another one
   done, detach  ends a direction; ends TLS, and closes what was below it gracefully
   wait          until there is a line on standard input */

#include "say.h"

#define MAX_NAMES 8

static const char *value(const char *argument, const char *name) {
    size_t len = strlen(name);
    return strncmp(argument, name, len) == 0 ? argument + len : NULL;
}

static struct tls_opts opts = {.size = sizeof opts};
static struct ipaddr addr;

static int step(int *tls, const char *name) {
    char buf[4096];
    const char *text = value(name, "send=");
    if (text) {
        int len = snprintf(buf, sizeof buf, "%s\n", text);
        return say("send", bsend(*tls, buf, (size_t)len, now() + STEP));
    }
    if (strcmp(name, "line") == 0) {
        int rc = receive_line(*tls, buf, sizeof buf);
        if (rc == 0) printf("line: %s\n", buf);
        return rc == 0 || say("line", rc);
    }
    if (strcmp(name, "rest") == 0) {
        uint32_t sum;
        size_t len = receive_rest(*tls, &sum);
        printf("rest: %zu %u %s\n", len, (unsigned)sum, errno_name(errno));
        return 1;
    }
    if (strcmp(name, "alpn") == 0) {
        int rc = tls_alpn(*tls, buf, sizeof buf);
        if (rc == 0) printf("alpn: %s\n", buf);
        return rc == 0 || say("alpn", rc);
    }
    if (strcmp(name, "info") == 0) {
        struct tls_info info = {.size = sizeof info};
        if (tls_info(*tls, &info) < 0) return say("info", -1);
        printf("info: TLS 1.%d %s%s%s\n", info.version - TLS_1_2 + 2, info.cipher, info.resumed ? " resumed" : "",
               info.verified ? " verified" : "");
        return 1;
    }
    if (strcmp(name, "again") == 0) {
        hclose(*tls);
        *tls = tls_attach_client_opts(tcp_connect(&addr, now() + STEP), &opts, now() + STEP);
        return say("again", *tls);
    }
    if (strcmp(name, "wait") == 0) {
        if (fdin(0, now() + STEP) < 0) return say("wait", -1);
        return fgets(buf, sizeof buf, stdin) != NULL;
    }
    if (strcmp(name, "done") == 0) return say("done", tls_done(*tls, now() + STEP));
    if (strcmp(name, "detach") == 0) {
        *tls = tls_detach(*tls, now() + STEP);
        if (!say("detach", *tls)) return 0;
        return say("close", tcp_close(*tls, now() + STEP));
    }
    fprintf(stderr, "no such step: %s\n", name);
    return 0;
}

int main(int argc, char **argv) {
    const char *names[MAX_NAMES + 1] = {NULL};
    int plain = 0, tls, i;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 2 || ipaddr_remote(&addr, "127.0.0.1", atoi(argv[1]), IPADDR_IPV4, now() + STEP) < 0) return 2;
    for (i = 2; i < argc; ++i) {
        const char *text;
        if ((text = value(argv[i], "host="))) {
            opts.host = text;
        } else if ((text = value(argv[i], "ca="))) {
            opts.ca_file = text;
        } else if (value(argv[i], "alpn=")) {
            int count = 0;
            for (char *name = strtok(argv[i] + 5, ","); name && count < MAX_NAMES; name = strtok(NULL, ","))
                names[count++] = name;
            opts.alpn = names;
        } else if ((text = value(argv[i], "cert="))) {
            opts.cert = text;
        } else if ((text = value(argv[i], "key="))) {
            opts.key = text;
        } else if (strcmp(argv[i], "tls13") == 0) {
            opts.min_version = TLS_1_3;
        } else if (strcmp(argv[i], "noverify") == 0) {
            opts.flags |= TLS_NOVERIFY;
        } else if (strcmp(argv[i], "plain") == 0) {
            plain = 1;
        } else {
            break;
        }
    }
    tls = tcp_connect(&addr, now() + STEP);
    if (tls < 0) return 2;
    tls = plain ? tls_attach_client(tls, now() + STEP) : tls_attach_client_opts(tls, &opts, now() + STEP);
    if (!say("attach", tls)) return 0;
    while (i < argc && step(&tls, argv[i])) ++i;
    return 0;
}
