/* What the preloaded shim and the program with the scenarios share: which call is to fail, and how. */

#ifndef PLAN_H
#define PLAN_H

/* The calls that the shim can fail. */
#define EACH_CALL(X)                                                                                        \
    X(malloc) X(calloc) X(realloc) X(posix_memalign) X(aligned_alloc) X(mmap) X(madvise) X(mprotect)        \
    X(epoll_create1) X(epoll_ctl) X(epoll_wait) X(socket) X(socketpair) X(connect) X(bind) X(listen)        \
    X(accept4) X(recv) X(recvmsg) X(recvfrom) X(send) X(sendmsg) X(sendto) X(read) X(write) X(readv)        \
    X(writev) X(getrandom) X(eventfd) X(pthread_create) X(pthread_key_create) X(pthread_atfork)             \
    X(pthread_setspecific) X(pthread_attr_init) X(pthread_attr_setstacksize) X(getaddrinfo) X(getifaddrs)   \
    X(open) X(opendir) X(fcntl) X(getsockopt) X(setsockopt) X(getsockname) X(shutdown) X(poll) X(dup)       \
    X(close) X(readlink) X(ioctl) X(getpeername) X(statx)

#define CALL_ENUM(NAME) CALL_##NAME,
enum call { EACH_CALL(CALL_ENUM) CALLS };

enum way {
    FAIL,  /* returns an error */
    SHORT, /* does a part of what it was asked for: a single byte */
    END    /* receives the end of the stream */
};

struct plan {
    int armed;     /* calls of the library are counted, and fail if it is their turn */
    int call;      /* an enum call; CALLS: none fails */
    int way;       /* an enum way */
    int error;     /* errno; for getaddrinfo its result */
    int repeated;  /* from the nth on, not only the nth */
    long nth;      /* 1: the first */
    long seen[CALLS];
    long failed;   /* how many did */
    long bytes;    /* that the library has allocated and not freed */
    long mapped;   /* and of mappings */
};

#endif
