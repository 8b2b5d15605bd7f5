/* The floor for an echo with permessage-deflate without context takeover: the loop of the other floors, and around
   it the codec. Messages have to come in one piece; no text is validated. */
#define _GNU_SOURCE
#include "codec.h"
#include "../common/frame.h"
#include "../common/net.h"
#include "../common/server.h"

#include <stdio.h>

static int received(struct conn *c, uint8_t *begin, uint8_t *end)
{
    uint32_t mask;
    uint8_t *frame;
    size_t size = head_size(begin[1]), len = (size_t)head_payload(begin);
    if((begin[0] & 0x0f) == CLOSE) {
        c->closing = true;
        return 0;
    }
    if((size_t)(end - begin) != size + len || begin[0] != (FIN | RSV1 | TEXT)) return -1;
    memcpy(&mask, begin + size - 4, 4);
    mask_copy(begin + size, begin + size, len, mask);
    size_t back = codec_turn(begin + size, len, &frame);
    return conn_send(c, frame, back);
}

int main(int argc, char **argv)
{
    if(argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    codec_open();
    const struct protocol protocol = {.conn_size = sizeof(struct conn), .handshake = true, .received = received};
    serve((int)number(argv[1], 1, 65535), &protocol);
}
