/* What closes.c rests on: chance, handles and who holds them, calls and their results, and a bytestream as a user
   writes it, which is disturbed in the middle of its calls. */

#ifndef CLOSES_H
#define CLOSES_H

#include <libdillext.h>
#include <libdillimpl.h>

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUST(EXPR) \
    do { \
        if (!(EXPR)) { \
            fprintf(stderr, "%s:%d: %s does not hold (seed %llu, call %llu, errno %s)\n", __FILE__, __LINE__, #EXPR, \
                    (unsigned long long)seed, (unsigned long long)calls, strerror(errno)); \
            abort(); \
        } \
    } while (0)

enum { NUMBERS = 1024 };

static uint64_t seed, state, calls;
static const char *cert, *key; /* made out to localhost; an authority for clients, too */

static uint32_t any(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % below);
}

static int64_t any_deadline(void) {
    switch (any(8)) {
    case 0: return -1;
    case 1: case 2: return 0;
    case 3: return now() - 1;
    default: return now() + any(3);
    }
}

/* How long making something may take: mostly, long enough. */
static int64_t soon(void) { return any(8) ? now() + 1000 : any_deadline(); }

/* --- Handles that somebody holds: all others are below a protocol, or nobody's --- */

static char held[NUMBERS];

static int hold(int h) {
    if (h >= 0) {
        MUST(h < NUMBERS && !held[h]);
        held[h] = 1;
    }
    return h;
}
static void let_go(int h) {
    if (h >= 0) {
        MUST(held[h]);
        held[h] = 0;
    }
}

/* --- Results --- */

static void failed(void) {
    switch (errno) {
    case EBADF: case EBUSY: case ECANCELED: case ECONNRESET: case EPIPE: case ETIMEDOUT: case EMSGSIZE: case EPROTO:
    case EACCES: case ECONNREFUSED: case ENOENT: case ENOTSUP: case EIO: case EAGAIN:
        if (any(16) == 0) MUST(*ws_errmsg() && ws_errstatus() < 1000);
        return;
    default:
        fprintf(stderr, "an unexpected errno: %s\n", ws_errmsg());
        MUST(0);
    }
}

/* Counts a call and looks at its result. */
static long result(long rc) {
    ++calls;
    if (rc < 0) failed();
    return rc;
}

/* --- A bytestream as a user writes it --- */

static void disturb(void);

struct user {
    struct hvfs hvfs;
    struct bsock_vfs bvfs;
    int lower;
    int inside;
    int closed;
};

static long users;

static void *user_query(struct hvfs *hvfs, const void *type) {
    if (type == bsock_type) return &((struct user *)hvfs)->bvfs;
    errno = ENOTSUP;
    return NULL;
}

static void user_leave(struct user *u) {
    if (u->inside || !u->closed) return;
    free(u);
    --users;
}

static void user_close(struct hvfs *hvfs) {
    struct user *u = (struct user *)hvfs;
    u->closed = 1;
    let_go(u->lower);
    int lower = u->lower;
    u->lower = -1;
    if (lower >= 0) hclose(lower);
    user_leave(u);
}

static struct user *user_enter(struct bsock_vfs *bvfs) {
    struct user *u = (struct user *)(void *)((char *)bvfs - offsetof(struct user, bvfs));
    ++u->inside;
    if (any(8) == 0) disturb();
    return u;
}

/* The end of a call that has entered: its result and errno stay. */
static int user_return(struct user *u, int rc) {
    int error = errno;
    if (any(8) == 0) disturb();
    --u->inside;
    user_leave(u);
    errno = error;
    return rc;
}

static int user_bsendl(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last, int64_t deadline) {
    struct user *u = user_enter(bvfs);
    return user_return(u, bsendl(u->lower, first, last, deadline));
}

static int user_brecvl(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last, int64_t deadline) {
    struct user *u = user_enter(bvfs);
    return user_return(u, brecvl(u->lower, first, last, deadline));
}

static int user_make(int lower) {
    struct user *u = calloc(1, sizeof(*u));
    u->hvfs.query = user_query;
    u->hvfs.close = user_close;
    u->bvfs.bsendl = user_bsendl;
    u->bvfs.brecvl = user_brecvl;
    u->lower = lower;
    int h = hmake(&u->hvfs);
    if (h < 0) {
        u->lower = -1;
        free(u);
        return -1;
    }
    ++users;
    return h;
}

#endif
