/* The codec that the library uses, called directly and with the library's usual effort, without context takeover. */
#ifndef BENCH_CODEC_H
#define BENCH_CODEC_H

#include <stddef.h>
#include <stdint.h>

enum { RSV1 = 0x40 };

/* What the floors answer to an offer. */
void codec_open(void);

/* Decompresses a payload that has room for four bytes behind it, and compresses what comes out. The frame of that,
   header and all, lies in *frame until the next call; its length. */
size_t codec_turn(uint8_t *payload, size_t len, uint8_t **frame);

#endif
