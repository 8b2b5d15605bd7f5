/* Several coroutines use all kinds of sockets at once, and close handles, what is below them, and bundles at any
   moment: while others wait inside, are ready to run, or have used up their time slice. What a message says must come
   from its own peer; nothing freed is touched (the address sanitizer looks on); in the end nothing is left.

       closes SEED SECONDS CERT KEY

   Everything that happens is decided by the seed, but for how the clock makes the library take turns. */

#include <libdillimpl.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MUST(EXPR) \
    do { \
        if (!(EXPR)) { \
            fprintf(stderr, "%s:%d: %s does not hold (seed %llu, call %llu, errno %s)\n", __FILE__, __LINE__, #EXPR, \
                    (unsigned long long)seed, (unsigned long long)calls, strerror(errno)); \
            abort(); \
        } \
    } while (0)

enum { WORKERS = 6, PAIRS = 10, NUMBERS = 1024, EPOCH = 20000, LARGE = 300000 };

static uint64_t seed, state, calls;
static const char *cert, *key;

static uint32_t any(uint32_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((state >> 33) % below);
}

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

/* --- Pairs of connected sockets of the same kind --- */

enum lower { TCP, IPC, USER, TLS, LOWERS };
enum upper { BYTES, PREFIX, SUFFIX, TERM, WS, GATHERING, HTTP, UPPERS };

struct pair {
    int h[2]; /* -1: closed */
    unsigned life[2], renewals;
    enum upper upper;
    char tag; /* all that its messages consist of */
};
static struct pair pairs[PAIRS];
static char next_tag;

static void failed(void) {
    switch (errno) {
    case EBADF: case EBUSY: case ECANCELED: case ECONNRESET: case EPIPE: case ETIMEDOUT: case EMSGSIZE: case EPROTO:
    case EACCES: case ECONNREFUSED:
        return;
    default:
        fprintf(stderr, "an unexpected errno\n");
        MUST(0);
    }
}

/* Counts a call and looks at its result. */
static long result(long rc) {
    ++calls;
    if (rc < 0) failed();
    return rc;
}

static int64_t any_deadline(void) {
    switch (any(8)) {
    case 0: return -1;
    case 1: case 2: return 0;
    case 3: return now() - 1;
    default: return now() + any(3);
    }
}

static void disturb(void);

/* --- A bytestream as a user writes it, which is disturbed in the middle of its calls --- */

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

static int user_bsendl(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last, int64_t deadline) {
    struct user *u = user_enter(bvfs);
    int rc = bsendl(u->lower, first, last, deadline);
    int error = errno;
    if (any(8) == 0) disturb();
    --u->inside;
    user_leave(u);
    errno = error;
    return rc;
}

static int user_brecvl(struct bsock_vfs *bvfs, struct iolist *first, struct iolist *last, int64_t deadline) {
    struct user *u = user_enter(bvfs);
    int rc = brecvl(u->lower, first, last, deadline);
    int error = errno;
    if (any(8) == 0) disturb();
    --u->inside;
    user_leave(u);
    errno = error;
    return rc;
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

/* --- Making them --- */

static int tcp_pair(int s[2]) {
    struct ipaddr addr;
    s[0] = s[1] = -1;
    if (ipaddr_local(&addr, "127.0.0.1", 0, 0) < 0) return -1;
    int listener = hold((int)result(tcp_listen(&addr, 3)));
    if (listener < 0) return -1;
    s[0] = hold((int)result(tcp_connect(&addr, now() + 1000)));
    if (s[0] >= 0) s[1] = hold((int)result(tcp_accept(listener, NULL, now() + 1000)));
    let_go(listener);
    hclose(listener);
    return s[1] < 0 ? -1 : 0;
}

coroutine static void tls_serve(int s, int *h) { *h = hold((int)result(tls_attach_server(s, cert, key, now() + 1000))); }

static int lower_pair(enum lower lower, int s[2]) {
    s[0] = s[1] = -1;
    if (lower == TCP) return tcp_pair(s);
    if (result(ipc_pair(s)) < 0) return -1;
    hold(s[0]);
    hold(s[1]);
    for (int i = 0; lower == USER && i != 2; ++i) {
        int h = user_make(s[i]);
        if (h < 0) return -1;
        s[i] = hold(h);
    }
    if (lower == TLS) {
        int server = -1, below = s[1];
        let_go(below);
        int b = go(tls_serve(below, &server));
        if (b < 0) {
            hold(below);
            return -1;
        }
        hold(b);
        below = s[0];
        let_go(below);
        s[0] = hold((int)result(tls_attach_client(below, now() + 1000)));
        bundle_wait(b, now() + 1000);
        let_go(b);
        hclose(b);
        s[1] = server;
        if (s[0] < 0 || s[1] < 0) return -1;
    }
    return 0;
}

static int attach(enum upper upper, int s, int end) {
    int h;
    let_go(s);
    switch (upper) {
    case BYTES: return hold(s);
    case PREFIX: return hold((int)result(prefix_attach(s, 2, 0)));
    case SUFFIX: return hold((int)result(suffix_attach(s, "\r\n", 2)));
    case TERM:
        h = (int)result(prefix_attach(s, 4, 0));
        return h < 0 ? h : hold((int)result(term_attach(h, "end", 3)));
    case HTTP: return hold((int)result(http_attach(s)));
    default: {
        int flags = WS_NOHTTP | (upper == GATHERING ? WS_GATHER : 0);
        return hold((int)result(end ? ws_attach_server(s, flags, NULL, 0, NULL, 0, -1)
                                    : ws_attach_client(s, flags, NULL, NULL, -1)));
    }
    }
}

static void close_end(struct pair *p, int end) {
    int h = p->h[end];
    if (h < 0) return;
    p->h[end] = -1;
    ++p->life[end];
    let_go(h);
    MUST(result(hclose(h)) == 0);
}

/* Replaces a pair. */
static void renew(struct pair *p) {
    close_end(p, 0);
    close_end(p, 1);
    int s[2], h[2] = {-1, -1};
    enum lower lower = any(8) == 0 ? TLS : any(3);
    enum upper upper = any(UPPERS);
    unsigned renewal = ++p->renewals;
    if (lower_pair(lower, s) == 0)
        for (int i = 0; i != 2; ++i) {
            h[i] = attach(upper, s[i], i);
            s[i] = -1;
        }
    for (int i = 0; i != 2; ++i) {
        int unused = s[i] >= 0 ? s[i] : h[i];
        if (p->renewals == renewal && h[0] >= 0 && h[1] >= 0) continue;
        /* Somebody else was faster, or it went wrong. */
        if (unused >= 0) {
            let_go(unused);
            hclose(unused);
        }
        h[i] = -1;
    }
    if (p->renewals != renewal || h[0] < 0) return;
    next_tag = next_tag == 'z' ? 'a' : next_tag + 1;
    p->tag = next_tag;
    p->upper = upper;
    p->h[0] = h[0];
    p->h[1] = h[1];
}

/* --- Using them --- */

static size_t any_length(void) {
    switch (any(12)) {
    case 0: return any(LARGE);
    case 1: return 0;
    case 2: return any(40000);
    default: return any(200);
    }
}

static void check_tag(const char *bytes, size_t len, char tag) {
    for (size_t i = 0; i != len; ++i) MUST(bytes[i] == tag);
}

static void send_something(int h, enum upper upper, char tag) {
    size_t len = any_length();
    char *bytes = malloc(len + 1);
    memset(bytes, tag, len);
    bytes[len] = 0;
    int64_t deadline = any_deadline();
    if (upper == BYTES) result(bsend(h, bytes, len, deadline));
    else if (upper == HTTP) {
        bytes[len < 500 ? len : 500] = 0;
        char name[2] = {tag, 0};
        if (len) result(http_sendfield(h, name, bytes, deadline));
    } else if (upper == WS || upper == GATHERING) {
        result(ws_send(h, any(2) ? WS_BINARY : WS_BINARY | WS_GATHER, bytes, len, deadline));
    } else if (any(2) == 0 && len > 1) {
        struct iolist list[2] = {{bytes, len / 2, NULL, 0}, {bytes + len / 2, len - len / 2, NULL, 0}};
        list[0].iol_next = &list[1];
        if (upper != PREFIX || len < 65536) result(msendl(h, &list[0], &list[1], deadline));
    } else if (upper != PREFIX || len < 65536) {
        result(msend(h, bytes, len, deadline));
    }
    free(bytes);
}

static void receive_something(int h, enum upper upper, char tag) {
    size_t len = any(4) ? 1 + any_length() : LARGE;
    char *bytes = malloc(len + 500);
    int64_t deadline = any_deadline();
    if (upper == BYTES) {
        if (any(4) == 0) result(brecv(h, NULL, len, deadline));
        else if (result(brecv(h, bytes, len, deadline)) == 0) check_tag(bytes, len, tag);
    } else if (upper == HTTP) {
        char name[100];
        if (result(http_recvfield(h, name, sizeof(name), bytes, len, deadline)) == 0) {
            check_tag(name, strlen(name), tag);
            check_tag(bytes, strlen(bytes), tag);
        }
    } else if (any(6) == 0) {
        result(mrecvl(h, NULL, NULL, deadline));
    } else {
        long size = upper == WS || upper == GATHERING ? result(ws_recv(h, NULL, bytes, len, deadline))
                                                      : result(mrecv(h, bytes, len, deadline));
        if (size > 0) check_tag(bytes, (size_t)size, tag);
    }
    free(bytes);
}

/* Ends a direction, or detaches, which leaves a bytestream that is closed. */
static void finish(struct pair *p, int end) {
    int h = p->h[end], rc = -1;
    int64_t deadline = any_deadline();
    if (any(2) == 0) {
        switch (p->upper) {
        case WS: case GATHERING: result(ws_done(h, 1000, "why", 3, deadline)); break;
        case TERM: result(term_done(h, deadline)); break;
        case HTTP: result(http_done(h, deadline)); break;
        default: break;
        }
        return;
    }
    if (p->upper == BYTES) return;
    unsigned life = p->life[end];
    switch (p->upper) {
    case WS: case GATHERING: rc = (int)result(ws_detach(h, 1000, "", 0, deadline)); break;
    case TERM: rc = (int)result(term_detach(h, deadline)); break;
    case HTTP: rc = (int)result(http_detach(h, deadline)); break;
    case PREFIX: rc = (int)result(prefix_detach(h)); break;
    case SUFFIX: rc = (int)result(suffix_detach(h, deadline)); break;
    default: break;
    }
    /* It is gone now, and may have been before. */
    if (p->life[end] == life && p->h[end] == h) {
        p->h[end] = -1;
        let_go(h);
        ++p->life[end];
    }
    if (rc >= 0) MUST(!held[rc] && hclose(rc) == 0);
}

/* A handle that nobody holds is below something. */
static void close_below(void) {
    int from = (int)any(128);
    for (int i = 0; i != 128; ++i) {
        int h = (from + i) % 128;
        if (!held[h] && (hquery(h, bsock_type) || hquery(h, msock_type))) {
            result(hclose(h));
            return;
        }
    }
}

static void disturb(void) {
    struct pair *p = &pairs[any(PAIRS)];
    switch (any(6)) {
    case 0: close_end(p, (int)any(2)); break;
    case 1: close_below(); break;
    case 2: send_something(p->h[any(2)], p->upper, p->tag); break;
    default: yield(); break;
    }
}

static int stopping;
static int channel[2];
static int sleepers = -1;

coroutine static void sleeper(int64_t until) { msleep(until); }

static void act(void) {
    struct pair *p = &pairs[any(PAIRS)];
    int end = (int)any(2), value;
    struct chclause clauses[2] = {{CHRECV, channel[0], &value, sizeof(value)}, {CHSEND, channel[0], &value, sizeof(value)}};
    switch (any(40)) {
    case 0: case 1: close_end(p, end); break;
    case 2: close_below(); break;
    case 3: case 4: finish(p, end); break;
    case 5: result(chsend(channel[end], &value, sizeof(value), any_deadline())); break;
    case 6: result(chrecv(channel[end], &value, sizeof(value), any_deadline())); break;
    case 7: result(choose(clauses, 2, any_deadline())); break;
    case 8: result(bundle_wait(sleepers, any_deadline())); break;
    case 9: result(yield()); break;
    case 10: result(msleep(any_deadline() < 0 ? now() + 1 : now())); break;
    default:
        if (p->h[end] < 0) renew(p);
        else if (any(2)) send_something(p->h[end], p->upper, p->tag);
        else receive_something(p->h[end], p->upper, p->tag);
    }
}

coroutine static void worker(void) {
    while (!stopping) {
        uint64_t before = calls;
        act();
        /* A coroutine that may not wait any more, or that has nothing to do, lets others run. */
        if (calls == before || any(4) == 0)
            if (result(yield()) < 0) return;
    }
}

/* --- The whole --- */

static int open_descriptors(void) {
    int count = 0;
    for (int fd = 0; fd != 1024; ++fd) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void run_epoch(void) {
    int bundles[WORKERS];
    uint64_t end = calls + EPOCH;
    for (int i = 0; i != PAIRS; ++i) pairs[i] = (struct pair){{-1, -1}, {0, 0}, 0, BYTES, 'a'};
    MUST(chmake(channel) == 0);
    hold(channel[0]);
    hold(channel[1]);
    stopping = 0;
    for (int i = 0; i != WORKERS; ++i) bundles[i] = -1;
    while (calls < end) {
        /* One of them ends wherever it is, another one begins. */
        int i = (int)any(WORKERS);
        if (bundles[i] >= 0) {
            let_go(bundles[i]);
            MUST(result(hclose(bundles[i])) == 0);
        }
        bundles[i] = go(worker());
        MUST(bundles[i] >= 0);
        hold(bundles[i]);
        if (sleepers >= 0) {
            let_go(sleepers);
            MUST(result(hclose(sleepers)) == 0);
        }
        sleepers = go(sleeper(now() + any(5)));
        MUST(sleepers >= 0);
        hold(sleepers);
        for (int rounds = (int)any(60); rounds >= 0; --rounds) {
            if (any(10) == 0) close_end(&pairs[any(PAIRS)], (int)any(2));
            else if (any(10) == 0) close_below();
            else if (any(10) == 0) MUST(result(msleep(now() + any(2))) == 0);
            else MUST(result(yield()) == 0);
        }
    }
    stopping = 1;
    for (int i = 0; i != WORKERS; ++i)
        if (bundles[i] >= 0) {
            let_go(bundles[i]);
            MUST(result(hclose(bundles[i])) == 0);
        }
    let_go(sleepers);
    MUST(hclose(sleepers) == 0);
    sleepers = -1;
    for (int i = 0; i != PAIRS; ++i) {
        close_end(&pairs[i], 0);
        close_end(&pairs[i], 1);
    }
    for (int i = 0; i != 2; ++i) {
        let_go(channel[i]);
        MUST(hclose(channel[i]) == 0);
    }
    /* Nothing is left. */
    for (int h = 0; h != NUMBERS; ++h) {
        MUST(!held[h]);
        MUST(hclose(h) < 0 && errno == EBADF);
    }
    MUST(users == 0);
}

__attribute__((weak)) size_t __sanitizer_get_current_allocated_bytes(void);

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    seed = strtoull(argv[1], NULL, 10);
    state = seed * 0x9E3779B97F4A7C15u + 1;
    next_tag = 'a';
    cert = argv[3];
    key = argv[4];
    int64_t until = now() + atol(argv[2]) * 1000;
    int descriptors = 0;
    size_t most = 0;
    for (int epoch = 0; epoch == 0 || now() < until; ++epoch) {
        run_epoch();
        size_t bytes = __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : 0;
        if (epoch < 20) {
            descriptors = open_descriptors();
            if (bytes > most) most = bytes;
        }
        MUST(open_descriptors() == descriptors);
        if (bytes > most + 65536) {
            fprintf(stderr, "%zu bytes are allocated, and before it were %zu at most\n", bytes, most);
            return 1;
        }
    }
    printf("%llu calls\n", (unsigned long long)calls);
    return 0;
}
