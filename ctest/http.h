/* HTTP heads by hand, for the opening handshake. */

#ifndef HTTP_H
#define HTTP_H

#include "pair.h"

enum { HEAD_MAX = 70000 };

/* Receives what has been sent to the plain peer, up to and including the blank line. */
static inline void raw_recv_head(int fd, char *head, size_t size) {
    size_t len = 0;
    int64_t deadline = now() + 5000;
    head[0] = 0;
    while (!strstr(head, "\r\n\r\n")) {
        ssize_t n = recv(fd, head + len, size - 1 - len, MSG_DONTWAIT);
        CHECK(n != 0);
        if (n < 0) {
            CHECK_INT(errno, EAGAIN);
            CHECK(now() < deadline);
            CHECK_INT(msleep(now() + 1), 0);
            continue;
        }
        len += (size_t)n;
        head[len] = 0;
    }
}

/* The value of the field in a head, which must be there once; copied to value. */
static inline const char *head_field(const char *head, const char *name, char *value, size_t size) {
    size_t name_len = strlen(name);
    int count = 0;
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
        const char *p = line + 2, *end = strstr(p, "\r\n");
        if (strncasecmp(p, name, name_len) != 0 || p[name_len] != ':') continue;
        ++count;
        p += name_len + 1;
        while (*p == ' ' || *p == '\t') ++p;
        CHECK((size_t)(end - p) < size);
        memcpy(value, p, (size_t)(end - p));
        value[end - p] = 0;
    }
    CHECK_INT(count, 1);
    return value;
}

static inline int head_starts_with(const char *head, const char *text) {
    return strncmp(head, text, strlen(text)) == 0;
}

static inline void raw_send_text(int fd, const char *text) { raw_send(fd, text, strlen(text)); }

/* Appends a field to a head until it is about that long. */
static inline void pad_head(char *head, const char *name, size_t len) {
    size_t n;
    strcat(head, name);
    strcat(head, ": ");
    n = strlen(head);
    memset(head + n, 'x', len);
    head[n + len] = 0;
    strcat(head, "\r\n");
}

#endif
