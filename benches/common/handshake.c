#define _GNU_SOURCE
#include "handshake.h"
#include "net.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

const char *handshake_extension = "";

static uint32_t rotl(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

static void sha1_block(uint32_t h[5], const uint8_t *block)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for(int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16
             | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for(int i = 16; i < 80; i++) w[i] = rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for(int i = 0; i < 80; i++) {
        uint32_t f, k;
        if(i < 20) f = (b & c) | (~b & d), k = 0x5a827999;
        else if(i < 40) f = b ^ c ^ d, k = 0x6ed9eba1;
        else if(i < 60) f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
        else f = b ^ c ^ d, k = 0xca62c1d6;
        uint32_t next = rotl(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rotl(b, 30), b = a, a = next;
    }
    h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

/* SHA-1 of a key (24 characters) and the GUID (36): 60 bytes, padded to two blocks. */
static void sha1_60(const uint8_t text[60], uint8_t digest[20])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint8_t blocks[128] = {0};
    memcpy(blocks, text, 60);
    blocks[60] = 0x80;
    blocks[126] = 60 * 8 >> 8;
    blocks[127] = (60 * 8) & 0xff;
    sha1_block(h, blocks);
    sha1_block(h, blocks + 64);
    for(int i = 0; i < 20; i++) digest[i] = (uint8_t)(h[i / 4] >> (24 - i % 4 * 8));
}

static void base64_20(const uint8_t in[20], char out[28])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for(int i = 0; i < 7; i++) {
        uint32_t v = (uint32_t)in[3 * i] << 16 | (uint32_t)in[3 * i + 1] << 8
                   | (i < 6 ? in[3 * i + 2] : 0u);
        for(int j = 0; j < 4; j++) out[4 * i + j] = digits[v >> (18 - 6 * j) & 63];
    }
    out[27] = '=';
}

size_t handshake_answer(const char *head, size_t len, char answer[HANDSHAKE_ANSWER])
{
    static const char name[] = "\r\nSec-WebSocket-Key: ";
    if(len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0) return 0;
    const char *key = NULL;
    for(const char *p = head; (p = memchr(p, '\r', (size_t)(head + len - p))); p++) {
        if((size_t)(head + len - p) < sizeof name + 24) break;
        if(strncasecmp(p, name, sizeof name - 1) == 0) key = p + sizeof name - 1;
    }
    if(!key) return 0;
    uint8_t text[60], digest[20];
    char accept[28];
    memcpy(text, key, 24);
    memcpy(text + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    sha1_60(text, digest);
    base64_20(digest, accept);
    return (size_t)snprintf(answer, HANDSHAKE_ANSWER,
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %.28s\r\n%s\r\n", accept, handshake_extension);
}

void handshake_as_client(int fd)
{
    char head[HANDSHAKE_HEAD];
    size_t len = 0;
    send_all(fd, HANDSHAKE_REQUEST, sizeof HANDSHAKE_REQUEST - 1);
    while(len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0) {
        if(len == sizeof head - 1 || recv(fd, head + len, 1, 0) != 1) die("handshake");
        len++;
    }
    head[len] = 0;
    errno = 0;
    if(strncmp(head, "HTTP/1.1 101 ", 13) != 0 || !strstr(head, HANDSHAKE_ACCEPT))
        die("handshake refused");
}
