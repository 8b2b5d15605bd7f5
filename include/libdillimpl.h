/* libdillimpl.h - for those who write types of handles and sockets of their own.

   Generated from header/ and src/ffi/ by build.rs; changes made here are lost. */

#ifndef LIBDILLIMPL_H_INCLUDED
#define LIBDILLIMPL_H_INCLUDED

#include "libdill.h"

#ifdef __cplusplus
extern "C" {
#endif

/* --- Handles ------------------------------------------------------------------------------------ */

/* The functions of an object that has a handle; normally its first field. */
struct dill_hvfs {
    /* Returns the interface that the type stands for: the object itself for its own type, a table of
       functions such as those below. If there is none: NULL, with errno set to ENOTSUP. */
    void *(*query)(struct dill_hvfs *vfs, const void *type);
    /* Frees the object. Must not wait. */
    void (*close)(struct dill_hvfs *vfs);
};

/* Makes a handle of an object, given its table of functions, which is normally its first field. The
   object must live until the `close` in its table is called.

   Errors: ECANCELED, EINVAL (NULL, or a function is missing), ENOMEM.

   Required: The table is NULL, or its functions may be called until the handle is closed. */
DILL_EXPORT int dill_hmake(struct dill_hvfs *vfs);

/* Asks the object behind a handle for the interface that a type stands for. The answer is remembered
   and must not change while the object lives.

   Errors: EBADF, or what the object's `query` left in errno: ENOTSUP if it has no such interface.

   Returns NULL if it fails. */
DILL_EXPORT void *dill_hquery(int h, const void *type);

#ifndef DILL_DISABLE_RAW_NAMES
#define hvfs dill_hvfs
#ifdef __cplusplus
DILL_ALIAS_(hmake);
DILL_ALIAS_(hquery);
#else
#define hmake dill_hmake
#define hquery dill_hquery
#endif
#endif

#ifndef DILL_DISABLE_SOCKETS

/* --- Sockets ------------------------------------------------------------------------------------ */

/* What hquery asks for to find a bytestream: answered with a struct bsock_vfs. */
extern DILL_EXPORT const void *dill_bsock_type;

/* The functions of a bytestream. They send, or receive, everything in the list or fail. */
struct dill_bsock_vfs {
    int (*bsendl)(struct dill_bsock_vfs *vfs, struct dill_iolist *first, struct dill_iolist *last,
                  int64_t deadline);
    int (*brecvl)(struct dill_bsock_vfs *vfs, struct dill_iolist *first, struct dill_iolist *last,
                  int64_t deadline);
};

/* What hquery asks for to find a message socket: answered with a struct msock_vfs. */
extern DILL_EXPORT const void *dill_msock_type;

/* The functions of a message socket. */
struct dill_msock_vfs {
    int (*msendl)(struct dill_msock_vfs *vfs, struct dill_iolist *first, struct dill_iolist *last,
                  int64_t deadline);
    /* Returns the size of the message. */
    ssize_t (*mrecvl)(struct dill_msock_vfs *vfs, struct dill_iolist *first, struct dill_iolist *last,
                      int64_t deadline);
};

#ifndef DILL_DISABLE_RAW_NAMES
#define bsock_type dill_bsock_type
#define bsock_vfs dill_bsock_vfs
#define msock_type dill_msock_type
#define msock_vfs dill_msock_vfs
#endif

#endif

#ifdef __cplusplus
}
#endif

#endif
