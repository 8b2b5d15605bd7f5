/* OpenSSL's client in a process of its own, which does what our client never does by itself. */

#ifndef TLS_S_CLIENT_H
#define TLS_S_CLIENT_H

#include "tls.h"

/* What it shows goes into a file; what is written to it is sent, and a line that begins with K is a command. */
static inline FILE *start_s_client(const struct ipaddr *addr) {
    char command[1024];
    snprintf(command, sizeof(command), "openssl s_client -tls1_3 -connect 127.0.0.1:%d >'%s' 2>&1", ipaddr_port(addr),
             in_directory("s_client"));
    FILE *client = popen(command, "w");
    CHECK(client != NULL);
    return client;
}

static inline int s_client_shows(const char *text) {
    static char shown[1 << 16];
    FILE *file = fopen(in_directory("s_client"), "r");
    if (!file) return 0;
    size_t len = fread(shown, 1, sizeof(shown), file);
    CHECK_INT(fclose(file), 0);
    return memmem(shown, len, text, strlen(text)) != NULL;
}

static inline void wait_until_s_client_shows(const char *text) {
    while (!s_client_shows(text)) CHECK_INT(msleep(now() + 10), 0);
}

/* It asks for a new key (RFC 8446, 4.6.3), and sends something behind that. */
static inline void ask_for_new_key_with(FILE *client, const char *bytes, size_t len) {
    wait_until_s_client_shows("Verify return code");
    CHECK(fputs("K\n", client) >= 0 && fflush(client) == 0);
    wait_until_s_client_shows("KEYUPDATE");
    CHECK_INT(fwrite(bytes, 1, len, client), len);
    CHECK_INT(fflush(client), 0);
}

#endif
