/* What our servers have in common. */
#ifndef OURS_H
#define OURS_H

#include "common/net.h"

#include <libdillext.h>

/* A listener on a port of the command line, on this machine alone. */
static inline int our_listener(const char *port)
{
    struct ipaddr addr;
    if(ipaddr_local(&addr, "127.0.0.1", (int)number(port, 1, 65535), IPADDR_IPV4))
        die("ipaddr_local");
    int listener = tcp_listen(&addr, 1024);
    if(listener < 0) die("tcp_listen");
    return listener;
}

#endif
