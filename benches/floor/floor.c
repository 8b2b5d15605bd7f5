/* The floor: the least that an echo server on epoll can do.

   One receive per event into one buffer that all connections share, frames unmasked and
   re-headed in place as they stream through, one send of everything the receive brought.
   No message is ever put together, no text validated, no error answered. With "raw" the
   bytes go back as they came, which is the floor under the floor. */
#define _GNU_SOURCE
#include "../common/frame.h"
#include "../common/net.h"
#include "../common/server.h"

#include <stdio.h>

struct stream {
    struct conn conn;
    uint32_t mask;              /* as it applies to the next payload byte */
    uint8_t head_len;           /* bytes of a header that is not complete yet */
    uint8_t head[HEAD_MAX];
    uint64_t payload_left;      /* of the frame that is passing through */
};

/* Turns client frames into server frames in place; the bytes to send, or -1. A server's
   header is four bytes shorter, so the output never overtakes the input. */
static ssize_t turn(struct stream *s, uint8_t *begin, uint8_t *end)
{
    uint8_t *in = begin, *out = begin;
    bool closing = false;
    while(in < end) {
        size_t left = (size_t)(end - in);
        if(s->payload_left == 0) {
            size_t size = left < 2 ? HEAD_MAX : head_size(in[1]);
            if(left < size) {
                memcpy(s->head, in, left);
                s->head_len = (uint8_t)left;
                break;
            }
            uint8_t opcode = in[0] & 0x0f;
            if(!(in[1] & MASKED) || opcode > CLOSE) return -1;
            closing = opcode == CLOSE;
            s->payload_left = head_payload(in);
            memcpy(&s->mask, in + size - 4, 4);
            /* Ten bytes whatever the size: either they do not move, or they end before the
               payload, since out is then at least four bytes behind. */
            uint8_t head[10];
            memcpy(head, in, sizeof head);
            head[1] &= 0x7f;
            memcpy(out, head, sizeof head);
            in += size;
            out += size - 4;
            left -= size;
        }
        size_t n = s->payload_left < left ? (size_t)s->payload_left : left;
        mask_copy(out, in, n, s->mask);
        s->mask = mask_after(s->mask, n);
        s->payload_left -= n;
        in += n;
        out += n;
        if(closing && s->payload_left == 0) {
            s->conn.closing = true;
            break;
        }
    }
    return out - begin;
}

static int received(struct conn *c, uint8_t *begin, uint8_t *end)
{
    struct stream *s = (struct stream *)c;
    begin -= s->head_len;
    memcpy(begin, s->head, s->head_len);
    s->head_len = 0;
    ssize_t len = turn(s, begin, end);
    return len > 0 ? conn_send(c, begin, (size_t)len) : (int)len;
}

static int received_raw(struct conn *c, uint8_t *begin, uint8_t *end)
{
    return conn_send(c, begin, (size_t)(end - begin));
}

int main(int argc, char **argv)
{
    bool raw = argc == 3 && strcmp(argv[2], "raw") == 0;
    if(argc != 2 && !raw) {
        fprintf(stderr, "usage: %s PORT [raw]\n", argv[0]);
        return 2;
    }
    const struct protocol protocol = {
        .conn_size = sizeof(struct stream),
        .handshake = !raw,
        .received = raw ? received_raw : received,
    };
    serve((int)number(argv[1], 1, 65535), &protocol);
}
