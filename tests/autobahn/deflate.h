/* Compiled into the programs of the suite: permessage-deflate, which the calls of libdill do not know. With
   AUTOBAHN_CONTEXT=1 in the environment both ends keep their windows. */

#include <libdillext.h>
#include <stdlib.h>

static inline const struct ws_opts *autobahn_opts(void) {
    static struct ws_deflate deflate = {.size = sizeof(struct ws_deflate), .threshold = 1};
    static struct ws_opts opts = {.size = sizeof(struct ws_opts), .flags = WS_TEXT | WS_DEFLATE, .deflate = &deflate};
    if (getenv("AUTOBAHN_CONTEXT"))
        deflate.flags = WS_DEFLATE_CONTEXT | WS_DEFLATE_PEER_CONTEXT;
    return &opts;
}

#undef ws_attach_server
#define ws_attach_server(s, flags, resource, resourcelen, host, hostlen, deadline) \
    ws_attach_server_opts(s, autobahn_opts(), deadline)
#undef ws_attach_client
#define ws_attach_client(s, flags, resource, host, deadline) \
    ws_attach_client_opts(s, resource, host, autobahn_opts(), deadline)
