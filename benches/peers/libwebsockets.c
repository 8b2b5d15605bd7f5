/* Echo server on libwebsockets. It sends every message by itself; the answer is written from
   the receive callback, which saves its usual poll and callback for writability. */
#define _GNU_SOURCE
#include "../common/net.h"

#include <libwebsockets.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A frame up to this size arrives in one piece; the default context buffer is 4 KiB. */
enum { PIECE = 128 * 1024 };

struct session {
    unsigned char *message;     /* LWS_PRE bytes of room, and the pieces so far */
    size_t len, size;
};

static void append(struct session *s, const void *piece, size_t len)
{
    if(s->size - s->len < len || !s->message) {
        s->size = 2 * (s->len + len);
        s->message = realloc(s->message, LWS_PRE + s->size);
        if(!s->message) die("realloc");
    }
    memcpy(s->message + LWS_PRE + s->len, piece, len);
    s->len += len;
}

static int echo(struct lws *wsi, unsigned char *message, size_t len)
{
    enum lws_write_protocol type = lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
    return lws_write(wsi, message, len, type) < (int)len ? -1 : 0;
}

static int received(struct lws *wsi, struct session *s, const void *piece, size_t len)
{
    static unsigned char whole[LWS_PRE + PIECE];
    bool last = lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;
    if(last && s->len == 0 && len <= PIECE) {
        memcpy(whole + LWS_PRE, piece, len);
        return echo(wsi, whole + LWS_PRE, len);
    }
    append(s, piece, len);
    if(!last) return 0;
    int rc = echo(wsi, s->message + LWS_PRE, s->len);
    s->len = 0;
    return rc;
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
    size_t len)
{
    struct session *s = user;
    switch(reason) {
    case LWS_CALLBACK_RECEIVE:
        return received(wsi, s, in, len);
    case LWS_CALLBACK_CLOSED:
        free(s->message);
        return 0;
    default:
        return 0;
    }
}

int main(int argc, char **argv)
{
    if(argc != 2 && argc != 4) {
        fprintf(stderr, "usage: %s PORT [CERTIFICATE KEY]\n", argv[0]);
        return 2;
    }
    const struct lws_protocols protocols[] = {
        {.name = "echo", .callback = callback, .per_session_data_size = sizeof(struct session),
         .rx_buffer_size = PIECE},
        {0},
    };
    const struct lws_context_creation_info info = {
        .port = (int)number(argv[1], 1, 65535),
        .iface = "127.0.0.1",
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_DISABLE_IPV6 | (argc == 4 ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
        .ssl_cert_filepath = argc == 4 ? argv[2] : NULL,
        .ssl_private_key_filepath = argc == 4 ? argv[3] : NULL,
        .pt_serv_buf_size = PIECE,
        .gid = -1,
        .uid = -1,
    };
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(&info);
    if(!context) die("lws_create_context");
    while(lws_service(context, 0) >= 0) {}
    lws_context_destroy(context);
    return 0;
}
