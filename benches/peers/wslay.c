/* Echo server on wslay. The library has neither sockets nor a handshake: both are ours. Its
   read callback takes from the shared receive buffer and its write callback gathers, so that
   every receive is answered with one send. */
#define _GNU_SOURCE
#include "../common/net.h"
#include "../common/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

struct client {
    struct conn conn;
    wslay_event_context_ptr ws;
};

static const uint8_t *in, *in_end;          /* received, and not read by wslay yet */
static uint8_t *out;                        /* written by wslay, and not sent yet */
static size_t out_len, out_size;

static ssize_t read_some(wslay_event_context_ptr ws, uint8_t *buf, size_t len, int flags, void *user)
{
    (void)flags, (void)user;
    size_t n = (size_t)(in_end - in);
    if(n > len) n = len;
    if(n == 0) {
        wslay_event_set_error(ws, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(buf, in, n);
    in += n;
    return (ssize_t)n;
}

static ssize_t write_some(wslay_event_context_ptr ws, const uint8_t *data, size_t len, int flags,
    void *user)
{
    (void)ws, (void)flags, (void)user;
    if(out_size - out_len < len) {
        out_size = 2 * (out_len + len);
        out = realloc(out, out_size);
        if(!out) die("realloc");
    }
    memcpy(out + out_len, data, len);
    out_len += len;
    return (ssize_t)len;
}

static void received_message(wslay_event_context_ptr ws,
    const struct wslay_event_on_msg_recv_arg *message, void *user)
{
    (void)user;
    if(wslay_is_ctrl_frame(message->opcode)) return;
    struct wslay_event_msg echo = {message->opcode, message->msg, message->msg_length};
    if(wslay_event_queue_msg(ws, &echo)) die("wslay_event_queue_msg");
}

static int opened(struct conn *c)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = read_some,
        .send_callback = write_some,
        .on_msg_recv_callback = received_message,
    };
    struct client *client = (struct client *)c;
    return wslay_event_context_server_init(&client->ws, &callbacks, client);
}

static int received(struct conn *c, uint8_t *begin, uint8_t *end)
{
    struct client *client = (struct client *)c;
    in = begin;
    in_end = end;
    out_len = 0;
    if(wslay_event_recv(client->ws) || wslay_event_send(client->ws)) return -1;
    c->closing = !wslay_event_want_read(client->ws) && !wslay_event_want_write(client->ws);
    return out_len > 0 ? conn_send(c, out, out_len) : 0;
}

static void closed(struct conn *c)
{
    wslay_event_context_free(((struct client *)c)->ws);
}

int main(int argc, char **argv)
{
    const struct protocol protocol = {
        .conn_size = sizeof(struct client),
        .handshake = true,
        .opened = opened,
        .received = received,
        .closed = closed,
    };
    if(argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    serve((int)number(argv[1], 1, 65535), &protocol);
}
