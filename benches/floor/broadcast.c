/* The floor for one message to many: what one connection says is made a frame once, and sent to all by a loop of
   plain send. With "deflate" it is compressed once; with "each" everybody gets a frame that is made for him alone.
   Messages have to come in one piece. */
#define _GNU_SOURCE
#include "codec.h"
#include "../common/frame.h"
#include "../common/net.h"
#include "../common/server.h"

#include <stdio.h>

enum { MOST = 100000, LARGEST = 64 * 1024 };

static enum { ONCE, DEFLATE, EACH } how;

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

/* A frame for each of them, where one for all would do; with EACH. */
static int send_each(const uint8_t *payload, size_t len, uint8_t first)
{
    static uint8_t frame[HEAD_MAX + LARGEST];
    for(size_t i = 0; i < count; i++) {
        size_t head_len = put_head(frame, first, len, NULL);
        memcpy(frame + head_len, payload, len);
        if(conn_send(&members[i]->conn, frame, head_len + len)) return -1;
    }
    return 0;
}

/* One frame for all. Those that have not taken the last one yet get nothing of it. */
static int send_all_of_it(const uint8_t *frame, size_t len)
{
    for(size_t i = 0; i < count; i++)
        if(!members[i]->conn.unsent && conn_send(&members[i]->conn, frame, len)) return -1;
    return 0;
}

static int received(struct conn *c, uint8_t *begin, uint8_t *end)
{
    uint32_t mask;
    uint8_t head[HEAD_MAX], *frame;
    size_t size = head_size(begin[1]), len = head_payload(begin);
    if((begin[0] & 0x0f) == CLOSE) {
        c->closing = true;
        return 0;
    }
    if((size_t)(end - begin) != size + len || len > LARGEST) return -1;
    memcpy(&mask, begin + size - 4, 4);
    mask_copy(begin + size, begin + size, len, mask);
    if(how == DEFLATE) {
        len = codec_turn(begin + size, len, &frame);
        return send_all_of_it(frame, len);
    }
    if(how == EACH) return send_each(begin + size, len, begin[0]);
    size_t head_len = put_head(head, begin[0], len, NULL);
    frame = begin + size - head_len;
    memcpy(frame, head, head_len);
    return send_all_of_it(frame, head_len + len);
}

int main(int argc, char **argv)
{
    if(argc == 3 && strcmp(argv[2], "deflate") == 0) how = DEFLATE;
    if(argc == 3 && strcmp(argv[2], "each") == 0) how = EACH;
    if(argc != 2 && how == ONCE) {
        fprintf(stderr, "usage: %s PORT [deflate | each]\n", argv[0]);
        return 2;
    }
    if(how == DEFLATE) codec_open();
    const struct protocol protocol = {
        .conn_size = sizeof(struct member),
        .handshake = true,
        .opened = opened,
        .received = received,
        .closed = closed,
    };
    serve((int)number(argv[1], 1, 65535), &protocol);
}
