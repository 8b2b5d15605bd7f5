/* Frame headers and masking (RFC 6455, 5.2 and 5.3) with no checks beyond what a benchmark
   needs. */
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { TEXT = 1, BINARY = 2, CLOSE = 8, FIN = 0x80, MASKED = 0x80, HEAD_MAX = 14 };

/* Size of a header, known from its second byte. */
static inline size_t head_size(uint8_t second)
{
    size_t extended = (second & 0x7f) == 126 ? 2 : (second & 0x7f) == 127 ? 8 : 0;
    return 2 + extended + (second & MASKED ? 4 : 0);
}

/* Payload length in a complete header. */
static inline uint64_t head_payload(const uint8_t *head)
{
    uint16_t two;
    uint64_t eight;
    switch(head[1] & 0x7f) {
    case 126:
        memcpy(&two, head + 2, 2);
        return __builtin_bswap16(two);
    case 127:
        memcpy(&eight, head + 2, 8);
        return __builtin_bswap64(eight);
    default:
        return head[1] & 0x7f;
    }
}

/* Writes a header, with a masking key unless mask is NULL; its size. */
static inline size_t put_head(uint8_t *out, uint8_t first, uint64_t len, const uint32_t *mask)
{
    size_t size = 2;
    out[0] = first;
    if(len < 126) {
        out[1] = (uint8_t)len;
    } else if(len < 65536) {
        uint16_t two = __builtin_bswap16((uint16_t)len);
        out[1] = 126;
        memcpy(out + 2, &two, 2);
        size = 4;
    } else {
        uint64_t eight = __builtin_bswap64(len);
        out[1] = 127;
        memcpy(out + 2, &eight, 8);
        size = 10;
    }
    if(mask) {
        out[1] |= MASKED;
        memcpy(out + size, mask, 4);
        size += 4;
    }
    return size;
}

/* The key as it applies n bytes further on. */
static inline uint32_t mask_after(uint32_t mask, size_t n)
{
    unsigned bits = (n & 3) * 8;
    return bits ? mask >> bits | mask << (32 - bits) : mask;
}

typedef uint64_t mask_chunk __attribute__((vector_size(32)));

/* Copies n bytes from in to out and masks them. The two may overlap if out <= in. */
static inline void mask_copy(uint8_t *out, const uint8_t *in, size_t n, uint32_t mask)
{
    const uint64_t m8 = (uint64_t)mask << 32 | mask;
    const mask_chunk m32 = {m8, m8, m8, m8};
    for(; n >= 32; n -= 32, in += 32, out += 32) {
        mask_chunk v;
        memcpy(&v, in, 32);
        v ^= m32;
        memcpy(out, &v, 32);
    }
    for(; n >= 8; n -= 8, in += 8, out += 8) {
        uint64_t v;
        memcpy(&v, in, 8);
        v ^= m8;
        memcpy(out, &v, 8);
    }
    for(uint64_t m = m8; n > 0; n--, m >>= 8) *out++ = *in++ ^ (uint8_t)m;
}

/* Do n masked bytes differ from the plain ones they should be? */
static inline int masked_differs(const uint8_t *in, const uint8_t *plain, size_t n, uint32_t mask)
{
    const uint64_t m8 = (uint64_t)mask << 32 | mask;
    const mask_chunk m32 = {m8, m8, m8, m8};
    mask_chunk differ32 = {0};
    uint64_t differ = 0;
    for(; n >= 32; n -= 32, in += 32, plain += 32) {
        mask_chunk a, b;
        memcpy(&a, in, 32);
        memcpy(&b, plain, 32);
        differ32 |= a ^ b ^ m32;
    }
    for(uint64_t m = m8; n > 0; n--, m = m >> 8 | m << 56)
        differ |= (uint8_t)(*in++ ^ *plain++ ^ (uint8_t)m);
    return (differ | differ32[0] | differ32[1] | differ32[2] | differ32[3]) != 0;
}

/* The payload that clients send to the sink: a sequence number if it fits, then a pattern. */
static inline void sink_payload(uint8_t *payload, size_t size)
{
    for(size_t i = 0; i < size; i++) payload[i] = (uint8_t)(i % 251);
}

static inline void sink_number(uint8_t *payload, size_t size, uint64_t sequence)
{
    if(size >= 16) memcpy(payload, &sequence, 8);
}

#endif
