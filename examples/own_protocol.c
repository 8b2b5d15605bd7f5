/* A protocol of one's own, on libdillimpl.h: messages with a checksum.

   usage: own_protocol

   On a bytestream each side first sends the eight bytes "CHECKED1". Then come messages: a length of 4
   bytes and a CRC-32 of 4 bytes, both with the highest byte first, and as many bytes as the length says.
   The length 0xffffffff, alone, is the last thing that a side sends.

   The handles are message sockets: msend, mrecv, hclose and protocols that need a message socket work
   on them as on any other. The program shows it by a conversation with itself. */

#include <libdillimpl.h>

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- checked.h ---- */

/* Makes a message socket of a bytestream. The bytestream is closed if that fails. */
static int checked_attach(int s, int64_t deadline);
/* Tells the peer that no more messages will come. Receiving goes on. */
static int checked_done(int s, int64_t deadline);
/* Does so, waits until the peer does the same, and returns the bytestream. */
static int checked_detach(int s, int64_t deadline);

/* ---- checked.c ---- */

#define GREETING "CHECKED1"
#define GREETING_SIZE 8
#define HEADER_SIZE 8
#define LAST 0xffffffffu
#define MAX_MESSAGE ((size_t)1 << 20)

struct checked {
    /* The tables of functions come first, so that they can be found from this object and it from them. */
    struct hvfs hvfs;
    struct msock_vfs mvfs;
    /* The bytestream, or -1 when it has been given back. */
    int s;
    /* The end of a direction, and its failure, last. */
    unsigned in_done : 1, out_done : 1, in_failed : 1, out_failed : 1;
};

/* Its address is what marks our handles. */
static const char checked_type;

static uint32_t crc32(const void *data, size_t len, uint32_t crc) {
    const unsigned char *bytes = data;
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static void put32(unsigned char *bytes, uint32_t value) {
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(value >> (24 - 8 * i));
}

static uint32_t get32(const unsigned char *bytes) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value = value << 8 | bytes[i];
    return value;
}

static struct checked *of_mvfs(struct msock_vfs *mvfs) {
    return (struct checked *)(void *)((char *)mvfs - offsetof(struct checked, mvfs));
}

static void *checked_query(struct hvfs *hvfs, const void *type) {
    struct checked *self = (struct checked *)(void *)hvfs;
    if (type == msock_type)
        return &self->mvfs;
    if (type == &checked_type)
        return self;
    errno = ENOTSUP;
    return NULL;
}

static void checked_close(struct hvfs *hvfs) {
    struct checked *self = (struct checked *)(void *)hvfs;
    if (self->s >= 0)
        hclose(self->s);
    free(self);
}

static int checked_msendl(struct msock_vfs *mvfs, struct iolist *first, struct iolist *last,
                          int64_t deadline) {
    struct checked *self = of_mvfs(mvfs);
    if (self->out_done || self->out_failed) {
        errno = self->out_done ? EPIPE : ECONNRESET;
        return -1;
    }
    size_t len = 0;
    uint32_t crc = 0;
    for (const struct iolist *it = first; it; it = it->iol_next) {
        len += it->iol_len;
        crc = crc32(it->iol_base, it->iol_len, crc);
    }
    if (len > MAX_MESSAGE) {
        errno = EMSGSIZE;
        return -1;
    }
    unsigned char header[HEADER_SIZE];
    put32(header, (uint32_t)len);
    put32(header + 4, crc);
    struct iolist list = {header, sizeof header, first, 0};
    if (bsendl(self->s, &list, last ? last : &list, deadline) < 0) {
        self->out_failed = 1;
        return -1;
    }
    return 0;
}

/* Spreads a message over a list; returns -1 if it is longer. Elements without a buffer skip. */
static int spread(const char *message, size_t len, struct iolist *it) {
    for (; it; it = it->iol_next) {
        size_t part = len < it->iol_len ? len : it->iol_len;
        if (it->iol_base && part)
            memcpy(it->iol_base, message, part);
        message += part;
        len -= part;
    }
    return len ? -1 : 0;
}

/* Receives a message into memory that the caller frees; -1 if there is none. */
static ssize_t receive(struct checked *self, char **message, int64_t deadline) {
    unsigned char header[HEADER_SIZE];
    *message = NULL;
    if (brecv(self->s, header, 4, deadline) < 0)
        return -1;
    uint32_t len = get32(header);
    if (len == LAST) {
        self->in_done = 1;
        errno = EPIPE;
        return -1;
    }
    if (len > MAX_MESSAGE) {
        errno = EPROTO;
        return -1;
    }
    *message = malloc(len ? len : 1);
    if (!*message || brecv(self->s, header + 4, 4, deadline) < 0 ||
        brecv(self->s, *message, len, deadline) < 0)
        return -1;
    if (crc32(*message, len, 0) != get32(header + 4)) {
        errno = EPROTO;
        return -1;
    }
    return (ssize_t)len;
}

static ssize_t checked_mrecvl(struct msock_vfs *mvfs, struct iolist *first, struct iolist *last,
                              int64_t deadline) {
    struct checked *self = of_mvfs(mvfs);
    (void)last;
    if (self->in_done || self->in_failed) {
        errno = self->in_done ? EPIPE : ECONNRESET;
        return -1;
    }
    char *message;
    ssize_t len = receive(self, &message, deadline);
    int err = errno;
    if (len < 0) {
        self->in_failed = !self->in_done;
        /* The peer has gone without having said so: that is not the end that was agreed upon. */
        if (!self->in_done && err == EPIPE)
            err = ECONNRESET;
    } else if (first && spread(message, (size_t)len, first) < 0) {
        len = -1;
        err = EMSGSIZE;
    }
    free(message);
    errno = err;
    return len;
}

static int checked_attach(int s, int64_t deadline) {
    int err;
    /* The handle that was passed is ours from now on: whoever still has the number cannot use it. */
    int own = hown(s);
    if (own < 0) {
        err = errno;
        hclose(s);
        errno = err;
        return -1;
    }
    char greeting[GREETING_SIZE];
    struct checked *self = NULL;
    if (!hquery(own, bsock_type))
        goto close;
    if (bsend(own, GREETING, GREETING_SIZE, deadline) < 0 ||
        brecv(own, greeting, sizeof greeting, deadline) < 0)
        goto close;
    if (memcmp(greeting, GREETING, sizeof greeting) != 0) {
        errno = EPROTO;
        goto close;
    }
    self = malloc(sizeof *self);
    if (!self)
        goto close;
    *self = (struct checked){.hvfs = {checked_query, checked_close},
                             .mvfs = {checked_msendl, checked_mrecvl},
                             .s = own};
    int h = hmake(&self->hvfs);
    if (h >= 0)
        return h;
close:
    err = errno;
    free(self);
    hclose(own);
    errno = err;
    return -1;
}

static int checked_done(int s, int64_t deadline) {
    struct checked *self = hquery(s, &checked_type);
    if (!self)
        return -1;
    if (self->out_done || self->out_failed) {
        errno = self->out_done ? EPIPE : ECONNRESET;
        return -1;
    }
    unsigned char last[4];
    put32(last, LAST);
    if (bsend(self->s, last, sizeof last, deadline) < 0) {
        self->out_failed = 1;
        return -1;
    }
    self->out_done = 1;
    return 0;
}

static int checked_detach(int s, int64_t deadline) {
    struct checked *self = hquery(s, &checked_type);
    if (!self)
        return -1;
    int rc = self->out_done ? 0 : checked_done(s, deadline);
    while (rc == 0 && !self->in_done)
        if (checked_mrecvl(&self->mvfs, NULL, NULL, deadline) < 0 && !self->in_done)
            rc = -1;
    int err = errno;
    int lower = -1;
    if (rc == 0) {
        lower = self->s;
        self->s = -1;
        err = 0;
    }
    hclose(s);
    errno = err;
    return lower;
}

/* ---- The conversation ---- */

static coroutine void answer(int s) {
    int checked = checked_attach(s, -1);
    assert(checked >= 0);
    char buf[64];
    ssize_t len;
    while ((len = mrecv(checked, buf, sizeof buf, -1)) >= 0) {
        char echo[96];
        int size = snprintf(echo, sizeof echo, "you said \"%.*s\"", (int)len, buf);
        int rc = msend(checked, echo, (size_t)size, -1);
        assert(rc == 0);
    }
    assert(errno == EPIPE);
    /* The bytestream is free again: it carries a word that has nothing to do with the protocol. */
    s = checked_detach(checked, -1);
    int rc = bsend(s, "bye", 3, -1);
    assert(rc == 0);
    rc = hclose(s);
    assert(rc == 0);
}

static void show_conversation(void) {
    int pair[2];
    int rc = ipc_pair(pair);
    assert(rc == 0);
    int peer = go(answer(pair[0]));
    assert(peer >= 0);
    int checked = checked_attach(pair[1], -1);
    assert(checked >= 0);
    const char *texts[] = {"hello", "", "that is all"};
    for (int i = 0; i < 3; i++) {
        char buf[96];
        rc = msend(checked, texts[i], strlen(texts[i]), -1);
        assert(rc == 0);
        ssize_t len = mrecv(checked, buf, sizeof buf, now() + 1000);
        assert(len >= 0);
        printf("%.*s\n", (int)len, buf);
    }
    int s = checked_detach(checked, now() + 1000);
    char word[3];
    rc = brecv(s, word, sizeof word, now() + 1000);
    assert(rc == 0);
    printf("%.3s\n", word);
    rc = hclose(s);
    assert(rc == 0);
    rc = bundle_wait(peer, now() + 1000);
    assert(rc == 0);
    hclose(peer);
}

/* What becomes of a message one bit of which has changed on its way. */
static void show_damage(void) {
    int pair[2];
    int rc = ipc_pair(pair);
    assert(rc == 0);
    const char damaged[] = GREETING "\0\0\0\5\x36\x10\xa6\x86hallo"; /* The checksum of "hello". */
    rc = bsend(pair[0], damaged, sizeof damaged - 1, -1);
    assert(rc == 0);
    int checked = checked_attach(pair[1], now() + 1000);
    assert(checked >= 0);
    char buf[64];
    ssize_t len = mrecv(checked, buf, sizeof buf, now() + 1000);
    assert(len < 0);
    printf("a damaged message: %s\n", strerror(errno));
    len = mrecv(checked, buf, sizeof buf, now() + 1000);
    assert(len < 0 && errno == ECONNRESET);
    hclose(checked);
    hclose(pair[0]);
}

int main(void) {
    show_conversation();
    show_damage();
    return 0;
}
