/* The headers without sockets: nothing of theirs may be declared. C and C++. */

#define DILL_DISABLE_SOCKETS
#include "libdillext.h"
#include "libdillimpl.h"

#if defined ws_send || defined tcp_listen || defined bsend || defined tls_done || defined iolist || defined bsock_vfs
#error "a name of sockets is defined"
#endif

struct dill_iolist {
    int mine;
};
int dill_tcp_listen(struct dill_iolist *mine);
int dill_tcp_listen(struct dill_iolist *mine) { return mine->mine; }

static struct dill_hvfs vfs;
int use(void);
int use(void) { return hmake(&vfs) + bundle() + fdclean(0); }
