/* The floor for an echo with permessage-deflate without context takeover: the loop of the other floors, and around
   it the codec that the library uses, called directly and with the library's usual effort. Messages have to come in
   one piece; no text is validated. */
#define _GNU_SOURCE
#include "../common/frame.h"
#include "../common/handshake.h"
#include "../common/net.h"
#include "../common/server.h"

#include <stdio.h>
#include <zlib.h>

enum { RSV1 = 0x40, TAIL = 4, MOST = 256 * 1024, LEVEL = 4, MEMORY_LEVEL = 6 };

static z_stream inflater, deflater;
static uint8_t plain[MOST], packed[HEAD_MAX + MOST];

/* Decompresses a payload, with room for the tail behind it, and compresses what comes out; the length of that. */
static size_t turn(uint8_t *payload, size_t len)
{
    static const uint8_t tail[TAIL] = {0, 0, 0xff, 0xff};
    memcpy(payload + len, tail, TAIL);
    inflateReset(&inflater);
    inflater.next_in = payload;
    inflater.avail_in = (uInt)len + TAIL;
    inflater.next_out = plain;
    inflater.avail_out = MOST;
    if(inflate(&inflater, Z_SYNC_FLUSH) < 0) die("inflate");
    deflateReset(&deflater);
    deflater.next_in = plain;
    deflater.avail_in = MOST - inflater.avail_out;
    deflater.next_out = packed + HEAD_MAX;
    deflater.avail_out = MOST;
    if(deflate(&deflater, Z_SYNC_FLUSH) != Z_OK) die("deflate");
    return MOST - deflater.avail_out - TAIL;
}

static int received(struct conn *c, uint8_t *begin, uint8_t *end)
{
    uint32_t mask;
    uint8_t head[HEAD_MAX];
    size_t size = head_size(begin[1]), len = (size_t)head_payload(begin);
    if((begin[0] & 0x0f) == CLOSE) {
        c->closing = true;
        return 0;
    }
    if((size_t)(end - begin) != size + len || begin[0] != (FIN | RSV1 | TEXT)) return -1;
    memcpy(&mask, begin + size - 4, 4);
    mask_copy(begin + size, begin + size, len, mask);
    size_t back = turn(begin + size, len);
    size_t head_len = put_head(head, FIN | RSV1 | TEXT, back, NULL);
    memcpy(packed + HEAD_MAX - head_len, head, head_len);
    return conn_send(c, packed + HEAD_MAX - head_len, head_len + back);
}

int main(int argc, char **argv)
{
    if(argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    handshake_extension = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; "
                          "server_no_context_takeover\r\n";
    if(inflateInit2(&inflater, -15) != Z_OK ||
       deflateInit2(&deflater, LEVEL, Z_DEFLATED, -15, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        die("zlib");
    const struct protocol protocol = {.conn_size = sizeof(struct conn), .handshake = true, .received = received};
    serve((int)number(argv[1], 1, 65535), &protocol);
}
