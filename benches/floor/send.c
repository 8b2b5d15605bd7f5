/* The floor for a sending client: every message masked into a buffer, with a key from a cheap
   generator, and one send per message or per hand-made batch. */
#define _GNU_SOURCE
#include "../common/frame.h"
#include "../common/handshake.h"
#include "../common/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t key_state = 0x9e3779b97f4a7c15;

static uint32_t next_key(void)
{
    key_state ^= key_state << 13;
    key_state ^= key_state >> 7;
    key_state ^= key_state << 17;
    return (uint32_t)(key_state >> 32);
}

int main(int argc, char **argv)
{
    if(argc != 5) {
        fprintf(stderr, "usage: %s PORT SIZE COUNT BATCH\n", argv[0]);
        return 2;
    }
    int port = (int)number(argv[1], 1, 65535);
    size_t size = (size_t)number(argv[2], 1, 1 << 26);
    uint64_t count = (uint64_t)number(argv[3], 1, 1000000000);
    uint64_t batch = (uint64_t)number(argv[4], 1, 1000);
    uint8_t *payload = malloc(size), *out = malloc((HEAD_MAX + size) * (size_t)batch);
    if(!payload || !out) die("malloc");
    sink_payload(payload, size);

    int fd = connect_to(port);
    handshake_as_client(fd);
    uint64_t start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    size_t len = 0;
    for(uint64_t i = 0; i < count; i++) {
        uint32_t mask = next_key();
        sink_number(payload, size, i);
        len += put_head(out + len, FIN | BINARY, size, &mask);
        mask_copy(out + len, payload, size, mask);
        len += size;
        if((i + 1) % batch != 0 && i + 1 < count) continue;
        send_all(fd, out, len);
        len = 0;
    }
    uint64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
    printf("{\"messages\": %llu, \"cpu_ns\": %llu}\n", (unsigned long long)count,
        (unsigned long long)cpu);
    const uint8_t close_frame[] = {FIN | CLOSE, MASKED | 2, 0, 0, 0, 0, 1000 >> 8, 1000 & 0xff};
    send_all(fd, close_frame, sizeof close_frame);
    while(recv(fd, out, HEAD_MAX, 0) > 0) {}
    close(fd);
    return 0;
}
