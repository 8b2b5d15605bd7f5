/* Our sending client: one ws_send per message. With a batch, all but every nth message say
   that more follow. */
#include "common/frame.h"
#include "common/net.h"

#include <libdill.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    if(argc != 5) {
        fprintf(stderr, "usage: %s PORT SIZE COUNT BATCH\n", argv[0]);
        return 2;
    }
    size_t size = (size_t)number(argv[2], 1, 1 << 26);
    uint64_t count = (uint64_t)number(argv[3], 1, 1000000000);
    uint64_t batch = (uint64_t)number(argv[4], 1, 1000);
    uint8_t *payload = malloc(size);
    if(!payload) die("malloc");
    sink_payload(payload, size);

    struct ipaddr addr;
    if(ipaddr_local(&addr, "127.0.0.1", (int)number(argv[1], 1, 65535), IPADDR_IPV4))
        die("ipaddr_local");
    int s = tcp_connect(&addr, -1);
    if(s < 0) die("tcp_connect");
    s = ws_attach_client(s, WS_BINARY, "/", "127.0.0.1", -1);
    if(s < 0) die("ws_attach_client");

    uint64_t start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    for(uint64_t i = 0; i < count; i++) {
        sink_number(payload, size, i);
        int more = (i + 1) % batch != 0 && i + 1 < count ? WS_GATHER : 0;
        if(ws_send(s, WS_BINARY | more, payload, size, -1)) die("ws_send");
    }
    uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
    printf("{\"messages\": %llu, \"cpu_ns\": %llu}\n", (unsigned long long)count,
        (unsigned long long)cpu);
    s = ws_detach(s, 1000, NULL, 0, -1);
    if(s < 0) die("ws_detach");
    hclose(s);
    free(payload);
    return 0;
}
