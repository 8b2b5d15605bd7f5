/* Stands between the library and the C library: makes calls of the library fail as the plan says, and counts
   what it allocates. Calls from anywhere else pass through. Built as a shared object, and preloaded. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <link.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "plan.h"

/* Set by the program. */
struct plan *faults_plan;

static uintptr_t code_begin, code_end;

static int find_library(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size, (void)arg;
    if (!strstr(info->dlpi_name, "libdill.so")) return 0;
    for (int i = 0; i != info->dlpi_phnum; ++i) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X)) {
            code_begin = info->dlpi_addr + p->p_vaddr;
            code_end = code_begin + p->p_memsz;
        }
    }
    return 1;
}

__attribute__((constructor)) static void begin(void) {
    dl_iterate_phdr(find_library, NULL);
}

static int is_library(void *caller) { return (uintptr_t)caller >= code_begin && (uintptr_t)caller < code_end; }

/* Whether a call of the library must go wrong. */
static int must_fail(enum call call, void *caller) {
    struct plan *plan = faults_plan;
    if (!plan || !plan->armed || !is_library(caller)) return 0;
    long n = __atomic_add_fetch(&plan->seen[call], 1, __ATOMIC_RELAXED);
    if (plan->call != (int)call || !(n == plan->nth || (plan->repeated && n > plan->nth))) return 0;
    __atomic_fetch_add(&plan->failed, 1, __ATOMIC_RELAXED);
    return 1;
}

#define CALLER __builtin_return_address(0)

#define REAL(RESULT, NAME, ...)                                \
    static RESULT (*real)(__VA_ARGS__);                        \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, NAME)

/* A call that returns -1 and sets errno. */
#define WRAP(RESULT, NAME, FAILED, PARAMETERS, ARGUMENTS)       \
    RESULT NAME PARAMETERS {                                    \
        static RESULT(*real) PARAMETERS;                        \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #NAME);   \
        if (must_fail(CALL_##NAME, CALLER)) {                   \
            errno = faults_plan->error;                         \
            return FAILED;                                      \
        }                                                       \
        return real ARGUMENTS;                                  \
    }

/* A call that returns the error. */
#define WRAP_RETURNING(NAME, PARAMETERS, ARGUMENTS)                         \
    int NAME PARAMETERS {                                                   \
        static int(*real) PARAMETERS;                                       \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #NAME);               \
        if (must_fail(CALL_##NAME, CALLER)) return faults_plan->error;      \
        return real ARGUMENTS;                                              \
    }

/* --- Memory: __libc_malloc and its companions need no dlsym, which allocates by itself. --- */

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

/* What the library has allocated: pointers in a table, the sizes beside them. */
enum { SLOTS = 1 << 18 };
static struct { void *place; size_t size; } allocated[SLOTS];
static char table_lock;
static void *const REMOVED = (void *)1;

static void lock_table(void) {
    while (__atomic_test_and_set(&table_lock, __ATOMIC_ACQUIRE)) continue;
}

static void unlock_table(void) { __atomic_clear(&table_lock, __ATOMIC_RELEASE); }

static size_t slot_of(const void *place) { return ((uintptr_t)place >> 4) * 0x9E3779B97F4A7C15u >> 46; }

static void note_allocated(void *place, size_t size, void *caller) {
    if (!place || !faults_plan || !is_library(caller)) return;
    lock_table();
    size_t slot = slot_of(place);
    while (allocated[slot].place && allocated[slot].place != REMOVED) slot = (slot + 1) % SLOTS;
    allocated[slot].place = place;
    allocated[slot].size = size;
    faults_plan->bytes += (long)size;
    unlock_table();
}

static void note_freed(void *place) {
    if (!place || !faults_plan) return;
    lock_table();
    size_t slot = slot_of(place);
    while (allocated[slot].place && allocated[slot].place != place) slot = (slot + 1) % SLOTS;
    if (allocated[slot].place) {
        allocated[slot].place = REMOVED;
        faults_plan->bytes -= (long)allocated[slot].size;
    }
    unlock_table();
}

static void *refuse_memory(void) {
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size) {
    if (must_fail(CALL_malloc, CALLER)) return refuse_memory();
    void *place = __libc_malloc(size);
    note_allocated(place, size, CALLER);
    return place;
}

void *calloc(size_t count, size_t size) {
    if (must_fail(CALL_calloc, CALLER)) return refuse_memory();
    void *place = __libc_calloc(count, size);
    note_allocated(place, count * size, CALLER);
    return place;
}

void *realloc(void *old, size_t size) {
    if (must_fail(CALL_realloc, CALLER)) return refuse_memory();
    note_freed(old);
    void *place = __libc_realloc(old, size);
    note_allocated(place, size, CALLER);
    return place;
}

int posix_memalign(void **place, size_t alignment, size_t size) {
    if (must_fail(CALL_posix_memalign, CALLER)) return ENOMEM;
    *place = __libc_memalign(alignment, size);
    note_allocated(*place, size, CALLER);
    return *place ? 0 : ENOMEM;
}

void *aligned_alloc(size_t alignment, size_t size) {
    if (must_fail(CALL_aligned_alloc, CALLER)) return refuse_memory();
    void *place = __libc_memalign(alignment, size);
    note_allocated(place, size, CALLER);
    return place;
}

void free(void *place) {
    note_freed(place);
    __libc_free(place);
}

static void *map(const char *name, void *caller, void *at, size_t size, int access, int flags, int fd, off_t offset) {
    REAL(void *, name, void *, size_t, int, int, int, off_t);
    if (must_fail(CALL_mmap, caller)) {
        errno = faults_plan->error;
        return MAP_FAILED;
    }
    void *place = real(at, size, access, flags, fd, offset);
    if (place != MAP_FAILED && faults_plan && is_library(caller)) faults_plan->mapped += (long)size;
    return place;
}

void *mmap(void *at, size_t size, int access, int flags, int fd, off_t offset) {
    return map("mmap", CALLER, at, size, access, flags, fd, offset);
}

void *mmap64(void *at, size_t size, int access, int flags, int fd, off64_t offset) {
    return map("mmap", CALLER, at, size, access, flags, fd, offset);
}

int munmap(void *place, size_t size) {
    REAL(int, "munmap", void *, size_t);
    if (faults_plan && is_library(CALLER)) faults_plan->mapped -= (long)size;
    return real(place, size);
}

WRAP(int, madvise, -1, (void *place, size_t size, int advice), (place, size, advice))
WRAP(int, mprotect, -1, (void *place, size_t size, int access), (place, size, access))

/* --- Descriptors --- */

WRAP(int, epoll_create1, -1, (int flags), (flags))
WRAP(int, epoll_ctl, -1, (int set, int operation, int fd, struct epoll_event *event), (set, operation, fd, event))
WRAP(int, epoll_wait, -1, (int set, struct epoll_event *events, int size, int timeout), (set, events, size, timeout))
WRAP(int, socket, -1, (int family, int type, int protocol), (family, type, protocol))
WRAP(int, socketpair, -1, (int family, int type, int protocol, int fds[2]), (family, type, protocol, fds))
WRAP(int, connect, -1, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len))
WRAP(int, bind, -1, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len))
WRAP(int, listen, -1, (int fd, int backlog), (fd, backlog))
WRAP(int, accept4, -1, (int fd, struct sockaddr *address, socklen_t *len, int flags), (fd, address, len, flags))
WRAP(int, eventfd, -1, (unsigned value, int flags), (value, flags))
WRAP(int, getsockopt, -1, (int fd, int level, int name, void *value, socklen_t *len), (fd, level, name, value, len))
WRAP(int, setsockopt, -1, (int fd, int level, int name, const void *value, socklen_t len), (fd, level, name, value, len))
WRAP(int, getsockname, -1, (int fd, struct sockaddr *address, socklen_t *len), (fd, address, len))
WRAP(int, getpeername, -1, (int fd, struct sockaddr *address, socklen_t *len), (fd, address, len))
WRAP(int, statx, -1, (int at, const char *path, int flags, unsigned mask, struct statx *place), (at, path, flags, mask, place))
WRAP(int, shutdown, -1, (int fd, int how), (fd, how))
WRAP(int, poll, -1, (struct pollfd *fds, nfds_t count, int timeout), (fds, count, timeout))
WRAP(int, dup, -1, (int fd), (fd))
WRAP(ssize_t, readlink, -1, (const char *path, char *place, size_t size), (path, place, size))
WRAP(DIR *, opendir, NULL, (const char *path), (path))
WRAP(int, getifaddrs, -1, (struct ifaddrs **list), (list))

/* Whatever it returns, the descriptor is closed. */
int ioctl(int fd, unsigned long request, ...) {
    va_list args;
    va_start(args, request);
    void *argument = va_arg(args, void *);
    va_end(args);
    REAL(int, "ioctl", int, unsigned long, ...);
    if (must_fail(CALL_ioctl, CALLER)) {
        errno = faults_plan->error;
        return -1;
    }
    return real(fd, request, argument);
}

int close(int fd) {
    REAL(int, "close", int);
    int fails = must_fail(CALL_close, CALLER), result = real(fd);
    if (!fails) return result;
    errno = faults_plan->error;
    return -1;
}

static int open_path(void *caller, const char *path, int flags, mode_t mode) {
    REAL(int, "open", const char *, int, ...);
    if (must_fail(CALL_open, caller)) {
        errno = faults_plan->error;
        return -1;
    }
    return real(path, flags, mode);
}

#define OPEN(NAME)                                                      \
    int NAME(const char *path, int flags, ...) {                        \
        va_list args;                                                   \
        va_start(args, flags);                                          \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0; \
        va_end(args);                                                   \
        return open_path(CALLER, path, flags, mode);                    \
    }
OPEN(open)
OPEN(open64)

static int control(void *caller, int fd, int command, void *argument) {
    REAL(int, "fcntl", int, int, ...);
    if (must_fail(CALL_fcntl, caller)) {
        errno = faults_plan->error;
        return -1;
    }
    return real(fd, command, argument);
}

#define CONTROL(NAME)                             \
    int NAME(int fd, int command, ...) {          \
        va_list args;                             \
        va_start(args, command);                  \
        void *argument = va_arg(args, void *);    \
        va_end(args);                             \
        return control(CALLER, fd, command, argument); \
    }
CONTROL(fcntl)
CONTROL(fcntl64)

/* --- Bytes: these may also do a part of what they are asked for. --- */

static int is_stream(int fd) {
    int type = 0;
    socklen_t len = sizeof(type);
    int err = errno;
    static int (*real)(int, int, int, void *, socklen_t *);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "getsockopt");
    int is_datagram = real(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type != SOCK_STREAM;
    errno = err;
    return !is_datagram;
}

#define FAIL_BYTES(NAME, FD, RECEIVES)                               \
    if (must_fail(CALL_##NAME, CALLER)) {                            \
        if (faults_plan->way == FAIL) {                              \
            errno = faults_plan->error;                              \
            return -1;                                               \
        }                                                            \
        if (is_stream(FD)) {                                         \
            if (RECEIVES && faults_plan->way == END) return 0;       \
            is_short = 1;                                            \
        }                                                            \
    }

#define WRAP_BYTES(NAME, FD, RECEIVES, PARAMETERS, ARGUMENTS)        \
    ssize_t NAME PARAMETERS {                                        \
        static ssize_t(*real) PARAMETERS;                            \
        int is_short = 0;                                            \
        if (!real) *(void **)&real = dlsym(RTLD_NEXT, #NAME);        \
        FAIL_BYTES(NAME, FD, RECEIVES)                               \
        if (is_short && size > 1) size = 1;                          \
        return real ARGUMENTS;                                       \
    }

WRAP_BYTES(recv, fd, 1, (int fd, void *place, size_t size, int flags), (fd, place, size, flags))
WRAP_BYTES(send, fd, 0, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags))
WRAP_BYTES(read, fd, 1, (int fd, void *place, size_t size), (fd, place, size))
WRAP_BYTES(write, fd, 0, (int fd, const void *bytes, size_t size), (fd, bytes, size))
WRAP_BYTES(getrandom, -1, 0, (void *place, size_t size, unsigned flags), (place, size, flags))
WRAP_BYTES(recvfrom, fd, 1,
           (int fd, void *place, size_t size, int flags, struct sockaddr *restrict address, socklen_t *restrict len),
           (fd, place, size, flags, address, len))
WRAP_BYTES(sendto, fd, 0,
           (int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address, socklen_t len),
           (fd, bytes, size, flags, address, len))

/* The first byte of a vector. */
static struct iovec first_of(const struct iovec *vector, size_t count) {
    struct iovec first = {NULL, 0};
    for (size_t i = 0; i != count && first.iov_len == 0; ++i) first = vector[i];
    if (first.iov_len > 1) first.iov_len = 1;
    return first;
}

#define WRAP_MESSAGE(NAME, RECEIVES, QUALIFIER)                                       \
    ssize_t NAME(int fd, QUALIFIER struct msghdr *message, int flags) {               \
        REAL(ssize_t, #NAME, int, QUALIFIER struct msghdr *, int);                    \
        int is_short = 0;                                                             \
        FAIL_BYTES(NAME, fd, RECEIVES)                                                \
        if (!is_short) return real(fd, message, flags);                               \
        struct iovec first = first_of(message->msg_iov, message->msg_iovlen);         \
        struct msghdr copy = *message;                                                \
        copy.msg_iov = &first;                                                        \
        copy.msg_iovlen = 1;                                                          \
        ssize_t result = real(fd, &copy, flags);                                      \
        if (RECEIVES) {                                                               \
            struct msghdr *out = (struct msghdr *)message;                            \
            out->msg_controllen = copy.msg_controllen;                                \
            out->msg_flags = copy.msg_flags;                                          \
        }                                                                             \
        return result;                                                                \
    }
WRAP_MESSAGE(recvmsg, 1, )
WRAP_MESSAGE(sendmsg, 0, const)

#define WRAP_VECTOR(NAME, RECEIVES)                                                   \
    ssize_t NAME(int fd, const struct iovec *vector, int count) {                     \
        REAL(ssize_t, #NAME, int, const struct iovec *, int);                         \
        int is_short = 0;                                                             \
        FAIL_BYTES(NAME, fd, RECEIVES)                                                \
        if (!is_short) return real(fd, vector, count);                                \
        struct iovec first = first_of(vector, (size_t)count);                         \
        return real(fd, &first, 1);                                                   \
    }
WRAP_VECTOR(readv, 1)
WRAP_VECTOR(writev, 0)

/* --- Threads and names --- */

WRAP_RETURNING(pthread_create, (pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg),
               (thread, attributes, run, arg))
WRAP_RETURNING(pthread_key_create, (pthread_key_t *key, void (*destroy)(void *)), (key, destroy))
WRAP_RETURNING(pthread_setspecific, (pthread_key_t key, const void *value), (key, value))
WRAP_RETURNING(pthread_attr_init, (pthread_attr_t *attributes), (attributes))
WRAP_RETURNING(pthread_attr_setstacksize, (pthread_attr_t *attributes, size_t size), (attributes, size))

/* pthread_atfork is a part of the library itself, and this is what it calls. */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *object) {
    REAL(int, "__register_atfork", void (*)(void), void (*)(void), void (*)(void), void *);
    if (must_fail(CALL_pthread_atfork, CALLER)) return faults_plan->error;
    return real(prepare, parent, child, object);
}

/* Knows localhost, without asking anybody. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **list) {
    REAL(int, "getaddrinfo", const char *, const char *, const struct addrinfo *, struct addrinfo **);
    if (is_library(CALLER) && strcmp(name, "localhost") == 0) name = hints->ai_family == AF_INET ? "127.0.0.1" : "::1";
    if (!must_fail(CALL_getaddrinfo, CALLER)) return real(name, service, hints, list);
    errno = EMFILE;
    return faults_plan->error;
}
