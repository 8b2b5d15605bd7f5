/* Our side of parts.py: one message of any length, sent and received in parts, in constant memory.

       parts server DEFLATE       returns each message to its sender as it comes, on a port that it prints
       parts client URL DEFLATE SIZE
                                  sends a message of so many bytes, and receives as long a one meanwhile

   Both say at the end how much memory the process has had at most, in KiB, besides what it had at first. */

#include <libdillext.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP 60000
enum { PART = 64 * 1024 };

/* Of this program, without what the one was that has started it. */
static long peak(void) {
    char line[256];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && kib < 0 && fgets(line, sizeof line, f)) sscanf(line, "VmHWM: %ld", &kib);
    if (f) fclose(f);
    return kib;
}

static struct ws_opts options(int deflate) {
    return (struct ws_opts){.size = sizeof(struct ws_opts), .flags = WS_BINARY | (deflate ? WS_DEFLATE : 0)};
}

/* The byte at each place: repetitive, as text is, but of no short period. */
static void fill(char *part, unsigned long long at) {
    for (int i = 0; i != PART; ++i, ++at) part[i] = (char)((at * 7 + (at >> 10) * 31 + (at >> 20)) & 63);
}

static int serve(int deflate) {
    struct ws_opts opts = options(deflate);
    struct ipaddr addr;
    static char part[PART];
    int s, listener, flags;
    if (ipaddr_local(&addr, "127.0.0.1", 0, 0) < 0 || (listener = tcp_listen_opts(&addr, NULL)) < 0) return 1;
    printf("listening on 127.0.0.1:%d\n", ipaddr_port(&addr));
    fflush(stdout);
    if ((s = tcp_accept(listener, NULL, now() + STEP)) < 0) return 1;
    if ((s = ws_attach_server_opts(s, &opts, now() + STEP)) < 0) return 1;
    ssize_t len = ws_recvsome(s, &flags, part, sizeof part, now() + STEP);
    long before = peak();
    for (; len >= 0; len = ws_recvsome(s, &flags, part, sizeof part, now() + STEP))
        if (ws_send(s, flags, part, (size_t)len, now() + STEP) < 0) return 1;
    ws_close(s, 1000, NULL, 0, now() + STEP);
    printf("%ld\n", peak() - before);
    return 0;
}

static coroutine void produce(int s, unsigned long long size, int *failed) {
    static char part[PART];
    for (unsigned long long at = 0; at != size; at += PART) {
        fill(part, at);
        if (ws_send(s, WS_BINARY | (at + PART < size ? WS_MORE : 0), part, PART, now() + STEP) < 0) {
            *failed = 1;
            return;
        }
    }
}

static int ask(const char *url, int deflate, unsigned long long size) {
    struct ws_opts opts = options(deflate);
    static char part[PART], expected[PART];
    int failed = 0, flags = WS_MORE, s = ws_connect(url, &opts, now() + STEP);
    unsigned long long at = 0;
    if (s < 0) return fprintf(stderr, "%s\n", ws_errmsg()), 1;
    struct ws_info info = {.size = sizeof info};
    if (ws_info(s, &info) < 0 || info.deflate != deflate) return fprintf(stderr, "not as agreed\n"), 1;
    int h = go(produce(s, size, &failed));
    ssize_t len = ws_recvsome(s, &flags, part, 1, now() + STEP);
    long before = peak();
    for (fill(expected, 0);; len = ws_recvsome(s, &flags, part, PART - at % PART, now() + STEP)) {
        if (len < 0) return fprintf(stderr, "after %llu bytes: %s\n", at, ws_errmsg()), 1;
        if (memcmp(part, expected + at % PART, (size_t)len) != 0) return fprintf(stderr, "other bytes at %llu\n", at), 1;
        at += (unsigned long long)len;
        if (!(flags & WS_MORE)) break;
        if (len && at % PART == 0) fill(expected, at);
    }
    if (at != size || failed || ws_close(s, 1000, NULL, 0, now() + STEP) < 0 || hclose(h) < 0) return 1;
    printf("%ld\n", peak() - before);
    return 0;
}

int main(int argc, char *argv[]) {
    if (argc == 3 && strcmp(argv[1], "server") == 0) return serve(atoi(argv[2]));
    if (argc == 5 && strcmp(argv[1], "client") == 0) return ask(argv[2], atoi(argv[3]), strtoull(argv[4], NULL, 10));
    return 2;
}
