#include "codec.h"
#include "../common/frame.h"
#include "../common/handshake.h"
#include "../common/net.h"

#include <zlib.h>

enum { TAIL = 4, MOST = 256 * 1024, LEVEL = 4, MEMORY_LEVEL = 6 };

static z_stream inflater, deflater;
static uint8_t plain[MOST], packed[HEAD_MAX + MOST];

void codec_open(void)
{
    handshake_extension = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; "
                          "server_no_context_takeover\r\n";
    if(inflateInit2(&inflater, -15) != Z_OK ||
       deflateInit2(&deflater, LEVEL, Z_DEFLATED, -15, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        die("zlib");
}

size_t codec_turn(uint8_t *payload, size_t len, uint8_t **frame)
{
    static const uint8_t tail[TAIL] = {0, 0, 0xff, 0xff};
    uint8_t head[HEAD_MAX];
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
    size_t back = MOST - deflater.avail_out - TAIL;
    size_t head_len = put_head(head, FIN | RSV1 | TEXT, back, NULL);
    *frame = packed + HEAD_MAX - head_len;
    memcpy(*frame, head, head_len);
    return head_len + back;
}
