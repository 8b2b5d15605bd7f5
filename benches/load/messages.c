#include "load.h"
#include "../common/frame.h"
#include "../common/net.h"

#include <stdlib.h>

/* As many different messages as take about this much memory: they stay in the cache. */
enum { RING_BYTES = 1 << 17, RING_MIN = 4, RING_MAX = 1024 };

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void fill_binary(uint8_t *payload, size_t size)
{
    for(size_t i = 0; i < size; i++) payload[i] = (uint8_t)random64();
}

static size_t put_utf8(uint8_t *out, uint32_t c)
{
    if(c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for(size_t i = size - 1; i > 0; i--, c >>= 6) out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(0xf00u >> size | c);
    return size;
}

/* Words of 1 to 8 characters: half of them ASCII, the others Cyrillic, Chinese or emoji. */
static void fill_text(uint8_t *payload, size_t size)
{
    static const struct { uint32_t first, count; } alphabets[] = {
        {'a', 26}, {'a', 26}, {'A', 26}, {0x430, 32}, {0x4e00, 20000}, {0x1f600, 64},
    };
    size_t at = 0;
    while(at < size) {
        size_t word = random64() % 6;
        for(size_t left = 1 + random64() % 8; left > 0 && size - at > 4; left--)
            at += put_utf8(payload + at, alphabets[word].first
                + (uint32_t)(random64() % alphabets[word].count));
        payload[at++] = ' ';
    }
}

void make_messages(struct messages *m, const struct options *o)
{
    size_t count = RING_BYTES / (o->size + 1);
    if(count < RING_MIN) count = RING_MIN;
    if(count > RING_MAX) count = RING_MAX;
    size_t total = count + (size_t)o->outstanding;
    *m = (struct messages){
        .count = count,
        .size = o->size,
        .first = FIN | (o->text ? TEXT : BINARY),
    };
    uint8_t head[HEAD_MAX];
    uint32_t mask = 0;
    m->sent_size = put_head(head, m->first, o->size, &mask) + o->size;
    m->back_size = o->raw ? m->sent_size : m->sent_size - 4;
    m->sent = malloc(total * m->sent_size);
    m->back = malloc(total * m->back_size);
    uint8_t *payload = malloc(o->size + 1);
    if(!m->sent || !m->back || !payload) die("malloc");
    for(size_t i = 0; i < count; i++) {
        uint8_t *sent = m->sent + i * m->sent_size, *back = m->back + i * m->back_size;
        (o->text ? fill_text : fill_binary)(payload, o->size);
        mask = (uint32_t)random64();
        sent += put_head(sent, m->first, o->size, &mask);
        mask_copy(sent, payload, o->size, mask);
        if(o->raw) {
            memcpy(back, m->sent + i * m->sent_size, m->sent_size);
        } else {
            back += put_head(back, m->first, o->size, NULL);
            memcpy(back, payload, o->size);
        }
    }
    for(size_t i = count; i < total; i++) {
        memcpy(m->sent + i * m->sent_size, m->sent + i % count * m->sent_size, m->sent_size);
        memcpy(m->back + i * m->back_size, m->back + i % count * m->back_size, m->back_size);
    }
    free(payload);
}
