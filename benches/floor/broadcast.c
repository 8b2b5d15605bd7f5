/* The floor for one message to many: what one connection says is made a frame once, and sent to all by a loop of
   plain send. Messages have to come in one piece. */
#define _GNU_SOURCE
#include "../common/frame.h"
#include "../common/net.h"
#include "../common/server.h"

#include <stdio.h>

enum { MOST = 100000 };

struct member {
    struct conn conn;
    size_t place;
};

static struct member *members[MOST];
static size_t count;

static int opened(struct conn *c)
{
    struct member *m = (struct member *)c;
    if(count == MOST) return -1;
    m->place = count;
    members[count++] = m;
    return 0;
}

static void closed(struct conn *c)
{
    struct member *m = (struct member *)c;
    members[m->place] = members[--count];
    members[m->place]->place = m->place;
}

static int received(struct conn *c, uint8_t *begin, uint8_t *end)
{
    uint32_t mask;
    uint8_t head[HEAD_MAX];
    size_t size = head_size(begin[1]), len = head_payload(begin);
    if((begin[0] & 0x0f) == CLOSE) {
        c->closing = true;
        return 0;
    }
    if((size_t)(end - begin) != size + len) return -1;
    memcpy(&mask, begin + size - 4, 4);
    size_t head_len = put_head(head, begin[0], len, NULL);
    uint8_t *frame = begin + size - head_len;
    mask_copy(begin + size, begin + size, len, mask);
    memcpy(frame, head, head_len);
    for(size_t i = 0; i < count; i++)
        if(conn_send(&members[i]->conn, frame, head_len + len)) return -1;
    return 0;
}

int main(int argc, char **argv)
{
    if(argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    const struct protocol protocol = {
        .conn_size = sizeof(struct member),
        .handshake = true,
        .opened = opened,
        .received = received,
        .closed = closed,
    };
    serve((int)number(argv[1], 1, 65535), &protocol);
}
