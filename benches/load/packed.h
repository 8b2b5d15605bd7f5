/* permessage-deflate without context takeover: messages of JSON-like text, compressed as a client sends them. */
#ifndef BENCH_PACKED_H
#define BENCH_PACKED_H

#include <stddef.h>
#include <stdint.h>

enum { PACKED_RING = 32 };

struct packed {
    uint8_t *plain;
    uint8_t *frame;         /* header and all */
    size_t frame_len;
};

/* Different messages of so many bytes. */
void packed_messages(struct packed ring[PACKED_RING], size_t size);

/* The opening handshake, in which the server has to agree to compress. */
void packed_upgrade(int fd);

/* Receives a frame that has to unpack to the message. It lies in *frame, header and all, until the next call; the
   length of its payload. */
size_t packed_receive(int fd, const struct packed *message, const uint8_t **frame);

#endif
