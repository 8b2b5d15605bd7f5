/* Sockets as they are, or TLS on them (OpenSSL): what the options say. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include "load.h"

void wire_open(const struct options *o);

/* A record for each so many bytes. */
void wire_record_each(size_t size);

/* The client's TLS handshake on a blocking socket. */
void wire_secure(int fd);

/* The same without waiting: 1 once it is done, else 0, to be called again when there is something to
   read. */
int wire_handshake(int fd);

/* As send and recv do. Over TLS what is sent may still be kept here. */
ssize_t wire_send(int fd, const void *buf, size_t len);
ssize_t wire_recv(int fd, void *buf, size_t len);

/* Something is kept: call wire_send when the socket is writable, with nothing if need be. */
bool wire_is_full(int fd);

/* Everything, on a blocking socket or with little on its way. */
void wire_send_all(int fd, const void *buf, size_t len);

/* In front of the close of a descriptor. */
void wire_forget(int fd);

#endif
