/* The server half of the opening handshake (RFC 6455, 4.2), for programs that have none of
   their own. It expects the whole request head at once, as the load generator sends it. */
#ifndef BENCH_HANDSHAKE_H
#define BENCH_HANDSHAKE_H

#include <stddef.h>

enum { HANDSHAKE_HEAD = 4096, HANDSHAKE_ANSWER = 256 };

/* Writes the 101 answer to a request head; its length, or 0 if the head is incomplete or
   asks for something else. */
size_t handshake_answer(const char *head, size_t len, char answer[HANDSHAKE_ANSWER]);

/* A line that the answer has besides, such as an extension; none if it is empty. */
extern const char *handshake_extension;

/* The client half, on a blocking socket: asks, reads exactly the answer's head, checks it. */
void handshake_as_client(int fd);

/* A request whose key, and so whose answer, is always the same. */
#define HANDSHAKE_REQUEST                             \
    "GET / HTTP/1.1\r\n"                              \
    "Host: 127.0.0.1\r\n"                             \
    "Upgrade: websocket\r\n"                          \
    "Connection: Upgrade\r\n"                         \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" \
    "Sec-WebSocket-Version: 13\r\n"                   \
    "\r\n"
#define HANDSHAKE_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#endif
