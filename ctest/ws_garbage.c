/* Whatever a peer sends, what comes of it is what a simple model says, which has all the bytes before it. */

#include <regex.h>
#include <strings.h>

#include <libdill.h>

#include "http.h"
#include "test.h"
#include "wire.h"

enum { ROUNDS = OVER_TLS ? 300 : 3000, PLACE = 4096 };

static struct wire w;
static uint8_t bytes[4096];
static char buf[PLACE];

/* --- The model --- */

/* What a receiver is told, in a row: a message, or the error that ends everything. */
static struct {
    int errs[PLACE]; /* 0: a message */
    int flags[PLACE];
    size_t lens[PLACE];
    int count;
    char payload[8192]; /* of all messages */
    size_t payload_len;
    char pongs[8192]; /* what the peer is sent, in frames of which each begins with its length */
    size_t pongs_len;
    int code; /* of the close frame that a violation is answered with; 0: there is none */
    int status; /* of the close frame that came; -1: none */
} model;

/* How many of the bytes form whole characters; *bad is set at the first byte that cannot go on (RFC 3629, 4). */
static size_t whole_characters(const uint8_t *text, size_t len, int *bad) {
    size_t whole = 0;
    for (size_t i = 0; i != len;) {
        uint8_t first = text[i++], low = 0x80, high = 0xbf;
        int more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        if ((first >= 0x80 && first < 0xc2) || first > 0xf4) return *bad = 1, whole;
        if (first == 0xe0) low = 0xa0;
        if (first == 0xed) high = 0x9f;
        if (first == 0xf0) low = 0x90;
        if (first == 0xf4) high = 0x8f;
        for (; more; --more, low = 0x80, high = 0xbf) {
            if (i == len) return whole;
            if (text[i] < low || text[i] > high) return *bad = 1, whole;
            ++i;
        }
        whole = i;
    }
    return whole;
}

static int is_code(int code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/* Nothing comes behind it. */
static int model_ends(int err, int code) {
    model.errs[model.count++] = err;
    model.code = code;
    return 0;
}

/* A control frame. False: it ends everything. */
static int model_control(int opcode, const uint8_t *payload, size_t len) {
    int bad = 0;
    if (opcode == PING) {
        model.pongs[model.pongs_len++] = (char)len;
        memcpy(model.pongs + model.pongs_len, payload, len);
        model.pongs_len += len;
    }
    if (opcode != CLOSE) return 1;
    if (len == 0) return model.status = 0, model_ends(EPIPE, 0);
    if (len == 1 || !is_code(payload[0] << 8 | payload[1])) return model_ends(EPROTO, 1002);
    if (whole_characters(payload + 2, len - 2, &bad) != len - 2) return model_ends(EPROTO, 1007);
    model.status = payload[0] << 8 | payload[1];
    return model_ends(EPIPE, 0);
}

/* What becomes of these bytes and the end behind them (RFC 6455, 5.2 to 5.6, 7.4, 8.1). A bytestream of the user's
   gives all that was asked for, or nothing: there what is cut is not seen. */
static int run_model(const uint8_t *in, size_t len, enum role role, int gives_all) {
    static uint8_t message[8192], payload[8192];
    size_t have = 0, at = 0;
    int type = -1, is_long = 0;
    model.count = model.code = 0;
    model.payload_len = model.pongs_len = 0;
    model.status = -1;
    for (;;) {
        size_t rest = len - at, n = 2, room;
        uint64_t size;
        const uint8_t *key;
        if (rest == 0 || (rest == 1 && gives_all)) return model_ends(ECONNRESET, 0);
        int opcode = in[at] & 15, fin = in[at] >> 7, is_control = opcode >= 8, bad = 0;
        if (in[at] & 0x70 || (opcode > 2 && opcode < 8) || opcode > 10) return model_ends(EPROTO, 1002);
        if (is_control ? !fin : (opcode == 0) != (type >= 0)) return model_ends(EPROTO, 1002);
        if (rest == 1) return model_ends(ECONNRESET, 0);
        if (is_control && (in[at + 1] & 127) > 125) return model_ends(EPROTO, 1002);
        if (in[at + 1] >> 7 != (role == SERVER)) return model_ends(EPROTO, 1002);
        size = in[at + 1] & 127;
        int extended = size == 126 ? 2 : size == 127 ? 8 : 0;
        n += (size_t)extended;
        if (rest < n) return model_ends(ECONNRESET, 0);
        if (extended) size = 0;
        for (int i = 0; i != extended; ++i) size = size << 8 | in[at + 2 + (size_t)i];
        if (size >> 63 || (extended && extended_length(size) != extended)) return model_ends(EPROTO, 1002);
        key = in + at + n;
        n += role == SERVER ? 4 : 0;
        if (rest < n) return model_ends(ECONNRESET, 0);
        room = size < rest - n ? (size_t)size : rest - n;
        for (size_t i = 0; i != room; ++i) payload[i] = in[at + n + i] ^ (role == SERVER ? key[i % 4] : 0);
        at += n + room;
        if (is_control) {
            if (room < size) return model_ends(ECONNRESET, 0);
            if (!model_control(opcode, payload, room)) return 0;
            continue;
        }
        if (opcode) type = opcode, have = 0, is_long = 0;
        memcpy(message + have, payload, room);
        if (size > PLACE - have && !is_long) is_long = 1, model.errs[model.count++] = EMSGSIZE;
        have += room;
        if (room < size && gives_all) return model_ends(ECONNRESET, 0);
        size_t whole = type == TEXT ? whole_characters(message, have, &bad) : have;
        if (bad || (fin && room == size && whole != have)) return model_ends(EPROTO, 1007);
        if (room < size) return model_ends(ECONNRESET, 0);
        if (!fin) continue;
        if (!is_long) {
            memcpy(model.payload + model.payload_len, message, have);
            model.payload_len += have;
            model.errs[model.count] = 0;
            model.flags[model.count] = type == TEXT ? WS_TEXT : WS_BINARY;
            model.lens[model.count++] = have;
        }
        type = -1;
    }
}

/* --- The library --- */

/* What the peer was sent is the answer to each ping, and to a violation. */
static void check_answers(void) {
    struct wire_frame f = {0, 0, {0}, 0, NULL};
    for (size_t at = 0; at != model.pongs_len; at += 1 + f.len) {
        wire_recv(&w, &f);
        CHECK_INT(f.first, FIN | PONG);
        CHECK_INT(f.len, (uint8_t)model.pongs[at]);
        CHECK_MEM(f.payload, model.pongs + at + 1, f.len);
    }
    free(f.payload);
    if (model.code) wire_expect_close(&w, model.code);
}

/* The peer sends these bytes and hangs up; we receive until the end. */
static void receive_all(size_t len, int is_users) {
    size_t at = 0;
    run_model(bytes, len, w.role, is_users);
    raw_send(w.fd, bytes, len);
    CHECK_INT(shutdown(w.fd, SHUT_WR), 0);
    for (int i = 0; i != model.count; ++i) {
        int flags = -1, status;
        ssize_t n = ws_recv(w.ws, &flags, buf, sizeof(buf), now() + 5000);
        int err = errno;
        if (model.errs[i]) {
            CHECK_ERR((errno = err, n), -1, model.errs[i]);
            if (model.errs[i] != EPIPE) continue;
            CHECK(ws_status(w.ws, &status, NULL, 0) >= 0);
            CHECK_INT(status, model.status);
            continue;
        }
        CHECK_INT(n, model.lens[i]);
        CHECK_INT(flags, model.flags[i]);
        CHECK_MEM(buf, model.payload + at, (size_t)n);
        at += (size_t)n;
    }
    check_answers();
    CHECK_INT(hclose(w.ws), 0);
    CHECK_INT(close(w.fd), 0);
}

TEST(random_bytes_are_what_the_model_says) {
    for (unsigned seed = 1; seed <= ROUNDS; ++seed) EACH_ROLE(&w, WS_TEXT) {
            unsigned r = seed;
            size_t len = (size_t)rand_r(&r) % 200;
            for (size_t i = 0; i != len; ++i) bytes[i] = (uint8_t)(rand_r(&r) >> 4);
            receive_all(len, wire_ / 2 == 2);
        }
}

/* Frames in which mostly nothing is wrong: opcodes, masks, lengths and codes that occur. */
static size_t build_plausible_frame(uint8_t *out, unsigned *r, int *open) {
    static const int controls[] = {FIN | PING, FIN | PONG, FIN | CLOSE}, others[] = {0x08, 0x83, 0xc1, 0x91, 0x00, 0x82};
    int kind = rand_r(r) % 32, fin = rand_r(r) % 2 ? FIN : 0;
    int first = kind < 24 ? fin | (*open ? CONTINUATION : rand_r(r) % 3 ? TEXT : BINARY)
                : kind < 31 ? controls[(size_t)rand_r(r) % 3] : others[(size_t)rand_r(r) % 6];
    size_t len = (size_t)rand_r(r) % (rand_r(r) % 8 ? 126 : 400);
    int masked = (rand_r(r) % 100 == 0) ^ (w.role == SERVER), is_close = first == (FIN | CLOSE);
    uint8_t *payload;
    size_t n;
    if (kind < 24) *open = !fin;
    n = frame_header(out, first, masked, len, extended_length(len));
    payload = out + n;
    for (size_t i = 0; i != len; ++i) payload[i] = (uint8_t)(rand_r(r) % (rand_r(r) % 500 ? 128 : 256));
    if (is_close && len >= 2) payload[0] = 1000 >> 8, payload[1] = (uint8_t)(1000 + rand_r(r) % 16);
    for (size_t i = 0; masked && i != len; ++i) payload[i] ^= wire_key[i % 4];
    return n + len;
}

TEST(random_frames_are_what_the_model_says) {
    int ends[3] = {0, 0, 0}, messages = 0;
    for (unsigned seed = 1; seed <= ROUNDS; ++seed) EACH_ROLE(&w, WS_TEXT) {
            unsigned r = seed;
            size_t n = 0;
            int open = 0;
            /* Under a stream of the user's there must be room for pongs in single bytes. */
            while (n < (wire_ / 2 == 2 ? 100 : 2000) && rand_r(&r) % 16) n += build_plausible_frame(bytes + n, &r, &open);
            if (n && rand_r(&r) % 4 == 0) n = (size_t)rand_r(&r) % n;
            receive_all(n, wire_ / 2 == 2);
            messages += model.count - 1;
            int end = model.errs[model.count - 1];
            ++ends[end == EPROTO ? 0 : end == EPIPE ? 1 : 2];
        }
    /* There was something of each. */
    for (int i = 0; i != 3; ++i) CHECK(ends[i] > ROUNDS / 2);
    CHECK(messages > ROUNDS);
}

/* --- Handshakes --- */

static int matches(const char *text, const char *pattern) {
    regex_t compiled;
    if (*pattern == '=') return strcmp(text, pattern + 1) == 0;
    CHECK_INT(regcomp(&compiled, pattern, REG_EXTENDED | REG_ICASE | REG_NOSUB), 0);
    int found = regexec(&compiled, text, 0, NULL, 0) == 0;
    regfree(&compiled);
    return found;
}

/* What a field must say: there is exactly one of the name whose value is like this, or one at least. A value that
   begins with "=" is meant as it is, behind that. */
struct expected {
    const char *name, *value;
    int is_list;
};

#define TOKEN "[-!#$%&'*+.^_`|~0-9A-Za-z]+"
#define LIST_WITH(ITEM) "(^|,)[ \t]*" ITEM "[ \t]*(,|$)"

/* Whether these bytes begin with a head that is well-formed, begins like this and has these fields (RFC 9112, 2 to 5;
   RFC 6455, 4.1 and 4.2.1). */
static int is_head(const char *bytes, size_t len, const char *start, const struct expected *fields, size_t count) {
    static char head[1024];
    const char *end = (const char *)memmem(bytes, len, "\r\n\r\n", 4);
    int found[8] = {0}, wrong[8] = {0};
    if (!end || (size_t)(end - bytes) >= sizeof(head) || memchr(bytes, 0, (size_t)(end - bytes))) return 0;
    memcpy(head, bytes, (size_t)(end - bytes));
    head[end - bytes] = 0;
    for (char *line = head, *next; line; line = next) {
        next = strstr(line, "\r\n");
        if (next) *next = 0, next += 2;
        if (strpbrk(line, "\r\n")) return 0;
        for (const char *c = line; *c; ++c)
            if (((unsigned char)*c < ' ' && *c != '\t') || *c == 127) return 0;
        if (line == head) {
            if (!matches(line, start)) return 0;
            continue;
        }
        char *value = strchr(line, ':');
        if (!value) return 0;
        *value++ = 0;
        if (!matches(line, "^" TOKEN "$")) return 0;
        value += strspn(value, " \t");
        for (size_t n = strlen(value); n && strchr(" \t", value[n - 1]); --n) value[n - 1] = 0;
        for (size_t i = 0; i != count; ++i)
            if (strcasecmp(line, fields[i].name) == 0) {
                if (fields[i].is_list) found[i] |= matches(value, fields[i].value);
                else if (found[i]++ || !matches(value, fields[i].value)) wrong[i] = 1;
            }
    }
    for (size_t i = 0; i != count; ++i)
        if (!found[i] || wrong[i]) return 0;
    return 1;
}

static int is_request(const char *bytes, size_t len) {
    static const struct expected fields[] = {
        {"Host", "^[-._~%!$&'()*+,;=a-z0-9]*(:[0-9]*)?$", 0},
        {"Upgrade", LIST_WITH("websocket"), 1},
        {"Connection", LIST_WITH("upgrade"), 1},
        {"Sec-WebSocket-Key", "^[a-z0-9+/]{22}==$", 0},
        {"Sec-WebSocket-Version", "^13$", 0},
    };
    if (len >= 2 && memcmp(bytes, "\r\n", 2) == 0) bytes += 2, len -= 2;
    return is_head(bytes, len, "^GET [^ [:cntrl:]]+ HTTP/1\\.[1-9]$", fields, 5);
}

static const char request[] =
    "GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/* Changes, removes, doubles or inserts a few bytes. */
static size_t mutate(char *text, size_t len, unsigned *r) {
    for (int changes = 1 + rand_r(r) % 3; changes; --changes) {
        size_t at = (size_t)rand_r(r) % len, count = 1 + (size_t)rand_r(r) % 8;
        if (count > len - at) count = len - at;
        switch (rand_r(r) % 4) {
        case 0: text[at] = (char)(rand_r(r) >> 4); break;
        case 1: memmove(text + at, text + at + count, len - at - count); len -= count; break;
        case 2: memmove(text + at + count, text + at, len - at); len += count; break;
        default: text[at] = "\r\n :,\t"[rand_r(r) % 6]; break;
        }
        if (len == 0) return 0;
    }
    return len;
}

TEST(mutated_requests_are_accepted_if_nothing_is_wrong) {
    int accepted = 0;
    for (unsigned seed = 1; seed <= ROUNDS; ++seed) {
        unsigned r = seed;
        int s, fd, ws, err;
        size_t len;
        memcpy(buf, request, sizeof(request));
        len = mutate(buf, sizeof(request) - 1, &r);
        make_ipc_and_raw(&s, &fd);
        raw_send(fd, buf, len);
        CHECK_INT(shutdown(fd, SHUT_WR), 0);
        ws = ws_attach_server(s, WS_TEXT, NULL, 0, NULL, 0, now() + 5000);
        err = errno;
        CHECK_INT(ws >= 0, is_request(buf, len));
        if (ws >= 0) ++accepted;
        else CHECK(err == EPROTO || err == ECONNRESET);
        if (ws >= 0) CHECK_INT(hclose(ws), 0);
        CHECK_ERR(hclose(s), -1, EBADF);
        CHECK_INT(close(fd), 0);
    }
    CHECK(accepted > ROUNDS / 100 && accepted < ROUNDS - ROUNDS / 100);
}

static char response[1024], accept_key[WS_KEY_SIZE];
static size_t response_len;

coroutine static void answer(int fd, unsigned seed) {
    char key[64];
    raw_recv_head(fd, buf, sizeof(buf));
    CHECK_INT(ws_response_key(head_field(buf, "Sec-WebSocket-Key", key, sizeof(key)), accept_key), 0);
    response_len = (size_t)snprintf(response, 512,
                                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                    "Sec-WebSocket-Accept: %s\r\n\r\n",
                                    accept_key);
    response_len = mutate(response, response_len, &seed);
    raw_send(fd, response, response_len);
    CHECK_INT(shutdown(fd, SHUT_WR), 0);
}

static int is_response(void) {
    char accept[1 + WS_KEY_SIZE] = "=";
    const struct expected fields[] = {
        {"Upgrade", LIST_WITH("websocket"), 1},
        {"Connection", LIST_WITH("upgrade"), 1},
        {"Sec-WebSocket-Accept", strcat(accept, accept_key), 0},
    };
    return is_head(response, response_len, "^HTTP/1\\.[1-9] 101( .*)?$", fields, 3);
}

TEST(mutated_responses_are_accepted_if_nothing_is_wrong) {
    int accepted = 0;
    for (unsigned seed = 1; seed <= 1000; ++seed) {
        int s, fd, ws, h, err;
        make_ipc_and_raw(&s, &fd);
        h = go(answer(fd, seed));
        ws = ws_attach_client(s, WS_TEXT, "/", "h", now() + 5000);
        err = errno;
        CHECK_INT(ws >= 0, is_response());
        if (ws >= 0) ++accepted;
        else CHECK(err == EPROTO || err == ECONNRESET);
        if (ws >= 0) CHECK_INT(hclose(ws), 0);
        CHECK_INT(hclose(h), 0);
        CHECK_INT(close(fd), 0);
    }
    CHECK(accepted > 10 && accepted < 990);
}
