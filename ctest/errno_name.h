/* The symbolic names of the errno values that the library may produce. */

#ifndef ERRNO_NAME_H
#define ERRNO_NAME_H

#include <errno.h>
#include <stdio.h>

#define ERRNO_NAMES(X)                                                                                      \
    X(E2BIG) X(EACCES) X(EADDRINUSE) X(EADDRNOTAVAIL) X(EAFNOSUPPORT) X(EAGAIN) X(EBADF) X(EBUSY)           \
    X(ECANCELED) X(ECONNABORTED) X(ECONNREFUSED) X(ECONNRESET) X(EEXIST) X(EFAULT) X(EHOSTUNREACH)          \
    X(EINPROGRESS) X(EINTR) X(EINVAL) X(EIO) X(EISCONN) X(EISDIR) X(ELOOP) X(EMFILE) X(EMSGSIZE)            \
    X(ENAMETOOLONG) X(ENETUNREACH) X(ENFILE) X(ENOBUFS) X(ENODEV) X(ENOENT) X(ENOMEM) X(ENOPROTOOPT)        \
    X(ENOSPC) X(ENOTCONN) X(ENOTDIR) X(ENOTSOCK) X(ENOTSUP) X(EPERM) X(EPIPE) X(EPROTO) X(EROFS)            \
    X(ETIMEDOUT)

static inline const char *errno_name(int err) {
    static char number[16];
#define ERRNO_NAME(NAME) \
    if (err == NAME) return #NAME;
    ERRNO_NAMES(ERRNO_NAME)
#undef ERRNO_NAME
    snprintf(number, sizeof(number), "%d", err);
    return number;
}

#endif
