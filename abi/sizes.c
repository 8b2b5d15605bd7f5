/* What compiled programs contain of the headers: sizes, offsets, constants. It compiles if they are what
   they have been since libdill 2.14. C and C++. */

#include "libdillext.h"
#include "libdillimpl.h"

/* Declares the same array again and again; its size is negative if the condition does not hold. This works
   in C99 too. */
#define ASSERT(holds) extern char always_one[(holds) ? 1 : -1]
#define STORAGE(name, size) ASSERT(sizeof(struct dill_##name##_storage) == size)
#define FIELD(name, field, offset) ASSERT(offsetof(struct name, field) == offset)

ASSERT(DILL_VERSION_CURRENT == 25 && DILL_VERSION_REVISION == 0 && DILL_VERSION_AGE == 5);

STORAGE(bundle, 64);
ASSERT(sizeof(struct dill_chstorage) == 144);
STORAGE(tcp_listener, 56);
STORAGE(tcp, 72);
STORAGE(ipc_listener, 24);
STORAGE(ipc, 72);
STORAGE(ipc_pair, 144);
STORAGE(udp, 72);
STORAGE(prefix, 56);
STORAGE(suffix, 128);
STORAGE(term, 88);
STORAGE(http, 1296);
STORAGE(ws, 176);
#ifndef DILL_DISABLE_TLS
STORAGE(tls, 72);
STORAGE(dtls, 88);
#endif
/* Programs may place these anywhere. */
struct odd {
    char first;
    struct dill_ws_storage ws;
    struct dill_ipaddr addr;
    struct dill_tcp_storage tcp;
};
ASSERT(sizeof(struct odd) == 1 + 176 + 32 + 72);

ASSERT(sizeof(struct dill_ipaddr) == 32);
ASSERT(DILL_IPADDR_IPV4 == 1 && DILL_IPADDR_IPV6 == 2);
ASSERT(DILL_IPADDR_PREF_IPV4 == 3 && DILL_IPADDR_PREF_IPV6 == 4);
ASSERT(DILL_IPADDR_MAXSTRLEN == 46);

ASSERT(sizeof(struct dill_chclause) == 24);
FIELD(dill_chclause, op, 0);
FIELD(dill_chclause, ch, 4);
FIELD(dill_chclause, val, 8);
FIELD(dill_chclause, len, 16);
ASSERT(DILL_CHSEND == 1 && DILL_CHRECV == 2);

ASSERT(sizeof(struct dill_iolist) == 32);
FIELD(dill_iolist, iol_base, 0);
FIELD(dill_iolist, iol_len, 8);
FIELD(dill_iolist, iol_next, 16);
FIELD(dill_iolist, iol_rsvd, 24);

ASSERT(sizeof(struct dill_hvfs) == 16);
FIELD(dill_hvfs, query, 0);
FIELD(dill_hvfs, close, 8);
ASSERT(sizeof(struct dill_bsock_vfs) == 16);
FIELD(dill_bsock_vfs, bsendl, 0);
FIELD(dill_bsock_vfs, brecvl, 8);
ASSERT(sizeof(struct dill_msock_vfs) == 16);
FIELD(dill_msock_vfs, msendl, 0);
FIELD(dill_msock_vfs, mrecvl, 8);

ASSERT(DILL_WS_BINARY == 0 && DILL_WS_TEXT == 1 && DILL_WS_NOHTTP == 2 && DILL_WS_KEY_SIZE == 32);
ASSERT(DILL_WS_NOGATHER == 4 && DILL_WS_GATHER == 8);

#ifndef DILL_DISABLE_RAW_NAMES
ASSERT(sizeof(struct tcp_storage) == 72 && sizeof(struct ipaddr) == 32 && sizeof(struct hvfs) == 16);
ASSERT(CHSEND == 1 && IPADDR_PREF_IPV6 == 4 && WS_TEXT == 1 && WS_KEY_SIZE == 32);
#endif
