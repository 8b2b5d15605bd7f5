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
