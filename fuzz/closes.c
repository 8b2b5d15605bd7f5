/* Several coroutines use all kinds of sockets at once, and close handles, what is below them, and bundles at any
   moment: while others wait inside, are ready to run, or have used up their time slice. What a message says must come
   from its own peer; nothing freed is touched (the address sanitizer looks on); in the end nothing is left.

       closes SEED SECONDS CERT KEY

   Everything that happens is decided by the seed, but for how the clock makes the library take turns. */

#include "closes_others.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { WORKERS = 6, PAIRS = 10, EPOCH = 20000, EPOCHS = 10, LARGE = 300000 };

struct pair {
    int h[2]; /* -1: closed */
    unsigned life[2], renewals;
    enum lower lower;
    enum upper upper;
    struct ipaddr first; /* of datagrams: the address of the first one */
    char tag;            /* all that its messages consist of */
};
static struct pair pairs[PAIRS];
static char next_tag;

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
    int h[2];
    struct ipaddr first;
    enum lower lower = any(8) == 0 ? TLS : any(3);
    enum upper upper = any(UPPERS);
    unsigned renewal = ++p->renewals;
    make(lower, upper, h, &first);
    if (p->renewals != renewal || h[0] < 0 || h[1] < 0) {
        /* Somebody else was faster, or it went wrong. */
        close_held(h[0]);
        close_held(h[1]);
        return;
    }
    next_tag = next_tag == 'z' ? 'a' : next_tag + 1;
    p->tag = next_tag;
    p->lower = lower;
    p->upper = upper;
    p->first = first;
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

/* Lists of several elements, of which one may be empty. */
static struct iolist *cut(struct iolist list[3], char *bytes, size_t len) {
    size_t first = len ? any((uint32_t)len) : 0, second = len > first ? any((uint32_t)(len - first)) : 0;
    list[0] = (struct iolist){bytes, first, &list[1], 0};
    list[1] = (struct iolist){bytes + first, second, &list[2], 0};
    list[2] = (struct iolist){bytes + first + second, len - first - second, NULL, 0};
    return &list[2];
}

static void send_something(const struct pair *p, int end) {
    enum upper upper = p->upper;
    int h = p->h[end], listed = any(2) == 0;
    size_t len = any_length();
    char *bytes = malloc(len + 1);
    memset(bytes, p->tag, len);
    bytes[len] = 0;
    int64_t deadline = any_deadline();
    struct iolist list[3], *last = cut(list, bytes, len);
    if (is_ws(upper)) {
        int flags = WS_BINARY | (any(2) ? WS_GATHER : 0) | (any(4) ? 0 : WS_NODEFLATE) | (any(8) ? 0 : WS_MORE);
        result(listed ? ws_sendl(h, flags, list, last, deadline) : ws_send(h, flags, bytes, len, deadline));
    } else if (upper == BYTES) {
        result(listed ? bsendl(h, list, last, deadline) : bsend(h, bytes, len, deadline));
    } else if (upper == HTTP) {
        bytes[len < 500 ? len : 500] = 0;
        char name[2] = {p->tag, 0};
        if (len) result(http_sendfield(h, name, bytes, deadline));
    } else if (upper == UDP) {
        struct ipaddr to = p->first;
        if (len > 1000) len = 1000;
        result(end ? udp_send(h, any(2) ? &to : NULL, bytes, len) : udp_send(h, &to, bytes, len));
    } else if (upper == SOCKS5) {
        struct ipaddr to;
        if (ipaddr_local(&to, "127.0.0.1", 1, 0) == 0 && any(2)) {
            result(socks5_client_connect(h, "name", "password", &to, deadline));
        } else {
            result(socks5_client_connectbyname(h, NULL, NULL, "host", 80, deadline));
        }
    } else if (upper != PREFIX || len < 65536) {
        result(listed ? msendl(h, list, last, deadline) : msend(h, bytes, len, deadline));
    }
    free(bytes);
}

static int authenticate(const char *name, const char *password) {
    if (any(2)) disturb();
    return name[0] == 'n' && password[0] == 'p';
}

static void be_proxy(int h, int64_t deadline) {
    struct ipaddr addr;
    char host[256];
    int port;
    switch (any(4)) {
    case 0: result(socks5_proxy_auth(h, any(2) ? authenticate : NULL, deadline)); break;
    case 1: result(socks5_proxy_recvcommandbyname(h, host, &port, deadline)); break;
    default:
        if (ipaddr_local(&addr, "127.0.0.1", 1, 0) == 0)
            result(socks5_proxy_sendreply(h, SOCKS5_SUCCESS + (int)any(3), &addr, deadline));
    }
}

static void receive_something(const struct pair *p, int end) {
    enum upper upper = p->upper;
    int h = p->h[end], listed = any(4) == 0;
    size_t len = any(4) ? 1 + any_length() : LARGE;
    char *bytes = malloc(len + 500), tag = p->tag;
    int64_t deadline = any_deadline();
    struct iolist list[3], *last = cut(list, bytes, len);
    long size = -1;
    if (upper == SOCKS5) {
        be_proxy(h, deadline);
    } else if (upper == BYTES) {
        if (any(4) == 0) result(brecv(h, NULL, len, deadline));
        else if (result(listed ? brecvl(h, list, last, deadline) : brecv(h, bytes, len, deadline)) == 0) size = (long)len;
    } else if (upper == HTTP) {
        char name[100];
        if (result(http_recvfield(h, name, sizeof(name), bytes, len, deadline)) == 0) {
            check_tag(name, strlen(name), tag);
            size = (long)strlen(bytes);
        }
    } else if (any(6) == 0) {
        result(mrecvl(h, NULL, NULL, deadline));
    } else if (is_ws(upper)) {
        int flags, is_part = any(4) == 0;
        size = result(is_part ? ws_recvsome(h, &flags, bytes, len, deadline)
                      : listed ? ws_recvl(h, &flags, list, last, deadline) : ws_recv(h, &flags, bytes, len, deadline));
    } else {
        size = result(listed ? mrecvl(h, list, last, deadline) : mrecv(h, bytes, len, deadline));
    }
    /* Anybody may send to the first one of two that exchange datagrams. */
    if (size > 0 && !(upper == UDP && end == 0)) check_tag(bytes, (size_t)size, tag);
    free(bytes);
}

/* To some pairs at once, whatever they are: a message of one of them for all that say the same. Often enough it is for each
   of them so many times that others run meanwhile. */
static void broadcast(void) {
    enum { TIMES = 60 };
    int handles[PAIRS * TIMES], errors[PAIRS * TIMES], count = 0, known = 0;
    size_t len = any_length();
    int times = len < 200 && any(8) == 0 ? TIMES : 1;
    char tag = pairs[any(PAIRS)].tag;
    for (int i = 0; i != PAIRS; ++i)
        if (is_ws(pairs[i].upper) && (pairs[i].tag == tag || pairs[i].h[0] < 0)) handles[count++] = pairs[i].h[any(2)];
    for (int i = count; i < count * times; ++i) handles[i] = handles[i - count];
    count *= times;
    char *bytes = malloc(len + 1);
    memset(bytes, tag, len);
    int *out = any(2) ? errors : NULL;
    long taken = result(ws_broadcast(handles, count, WS_BINARY, bytes, len, any(2) ? any(100000) : SIZE_MAX, out));
    for (int i = 0; out && taken >= 0 && i != count; ++i) known += out[i] == 0;
    MUST(!out || taken < 0 || known == taken);
    free(bytes);
}

/* What TLS can tell, if there is some. */
static void ask_tls(int h) {
    static char certificate[4000];
    char protocol[256];
    struct tls_info info = {.size = sizeof(info)};
    result(tls_info(h, &info));
    result(tls_alpn(h, protocol, sizeof(protocol)));
    result(tls_peercert(h, any(2), certificate, any(2) ? sizeof(certificate) : 0));
}

/* What a WebSocket can do besides. */
static void control(const struct pair *p, int end) {
    int h = p->h[end], status;
    char text[125];
    memset(text, p->tag, sizeof(text));
    struct ws_info info = {.size = sizeof(info)};
    switch (any(10)) {
    case 0: case 1: result(ws_ping(h, text, any(sizeof(text) + 1), any_deadline())); break;
    case 2: result(ws_pong(h, text, any(sizeof(text) + 1), any_deadline())); break;
    case 3: result(ws_status(h, &status, text, sizeof(text))); break;
    case 4: result(ws_info(h, &info)); break;
    case 5: result(ws_field(h, any(2) ? "Host" : ":status", text, sizeof(text))); break;
    case 6: ask_tls(h); break;
    case 7: result(ws_fieldat(h, any(8), text, sizeof(text), NULL, 0)); break;
    default: result(ws_subprotocol(h, text, sizeof(text)));
    }
}

/* Ends a direction. */
static void finish(const struct pair *p, int end) {
    int h = p->h[end];
    int64_t deadline = any_deadline();
    if (is_ws(p->upper)) result(ws_done(h, 1000, "why", 3, deadline));
    else if (p->upper == TERM) result(term_done(h, deadline));
    else if (p->upper == HTTP) result(http_done(h, deadline));
    else if (p->upper != BYTES) return;
    else if (p->lower == TCP) result(tcp_done(h, deadline));
    else if (p->lower == IPC) result(ipc_done(h, deadline));
    else if (p->lower == TLS) result(tls_done(h, deadline));
}

/* Closes gracefully, or detaches, which leaves a bytestream that is closed. */
static void detach(struct pair *p, int end) {
    int h = p->h[end], rc, closes = 0;
    unsigned life = p->life[end];
    int64_t deadline = any_deadline();
    switch (p->upper) {
    case WS: case GATHERING: case OPTIONS: case CONNECTED:
        closes = any(2) == 0;
        rc = (int)result(closes ? ws_close(h, 1001, "bye", 3, deadline) : ws_detach(h, 1000, "", 0, deadline));
        break;
    case TERM: rc = (int)result(term_detach(h, deadline)); break;
    case HTTP: rc = (int)result(http_detach(h, deadline)); break;
    case PREFIX: rc = (int)result(prefix_detach(h)); break;
    case SUFFIX: rc = (int)result(suffix_detach(h, deadline)); break;
    case BYTES:
        if (p->lower == USER) return;
        closes = p->lower != TLS;
        rc = (int)result(p->lower == TCP ? tcp_close(h, deadline)
                         : p->lower == IPC ? ipc_close(h, deadline) : tls_detach(h, deadline));
        break;
    default: return;
    }
    /* It is gone now, and may have been before. */
    if (p->life[end] == life && p->h[end] == h) {
        p->h[end] = -1;
        let_go(h);
        ++p->life[end];
    }
    if (rc >= 0 && !closes) MUST(!held[rc] && hclose(rc) == 0);
}

/* The object gets another number, whoever is inside. */
static void renumber(struct pair *p, int end) {
    int h = p->h[end];
    if (h < 0) return;
    let_go(h);
    ++p->life[end];
    p->h[end] = -1;
    /* If it fails it closes, and others may run. */
    int own_number = hold((int)result(hown(h)));
    if (own_number >= 0) p->h[end] = own_number;
}

/* A handle that nobody holds is below something, or on its way to somebody. */
static void close_below(void) {
    int from = (int)any(128), anything = any(4) == 0;
    for (int i = 0; i != 128; ++i) {
        int h = (from + i) % 128;
        if (held[h] || !(anything || hquery(h, bsock_type) || hquery(h, msock_type))) continue;
        if (result(hclose(h)) == 0) return;
    }
}

static void disturb(void) {
    struct pair *p = &pairs[any(PAIRS)];
    switch (any(6)) {
    case 0: close_end(p, (int)any(2)); break;
    case 1: close_below(); break;
    case 2: send_something(p, (int)any(2)); break;
    case 3: renumber(p, (int)any(2)); break;
    default: yield(); break;
    }
}

/* --- The whole --- */

static int stopping, nowhere, sleepers = -1;

coroutine static void sleeper(int64_t until) { msleep(until); }

/* As a program with an event loop of its own does; inside a coroutine that is not possible. */
static void run_from_outside(void) {
    int64_t next;
    int fd = (int)result(dill_loop(&next));
    if (fd < 0) return;
    struct pollfd p = {fd, POLLIN, 0};
    int64_t wait = next < 0 ? 2 : next - now();
    poll(&p, 1, wait < 0 ? 0 : wait > 2 ? 2 : (int)wait);
    while (result(dill_run()) > 0 && any(4)) {
    }
}

static void act(void) {
    struct pair *p = &pairs[any(PAIRS)];
    int end = (int)any(2);
    switch (any(40)) {
    case 0: case 1: close_end(p, end); break;
    case 2: close_below(); break;
    case 3: finish(p, end); break;
    case 4: if (p->h[end] >= 0) detach(p, end); break;
    case 5: case 6: use_channel(); break;
    case 7: use_descriptor(); break;
    case 8: result(bundle_wait(sleepers, any_deadline())); break;
    case 9: result(yield()); break;
    case 10: result(msleep(any_deadline() < 0 ? now() + 1 : now())); break;
    case 11: renumber(p, end); break;
    case 12: accept_somebody(); break;
    case 13: if (any(10)) connect_to_listener(); else renew_listener(); break;
    case 16: broadcast(); break;
    case 14: case 15: if (is_ws(p->upper)) control(p, end); else ask_tls(p->h[end]); break;
    case 17: if (any(10) == 0) dill_dump(nowhere); else run_from_outside(); break;
    default:
        if (p->h[end] < 0) renew(p);
        else if (any(2)) send_something(p, end);
        else receive_something(p, end);
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

static int threads(void) {
    struct stat task;
    return stat("/proc/self/task", &task) == 0 ? (int)task.st_nlink - 2 : 1;
}

static int open_descriptors(void) {
    int count = 0;
    /* A name that nobody waits for any more is still being looked up. */
    for (int i = 0; i != 1000 && threads() > 1; ++i) usleep(10000);
    for (int fd = 0; fd != 1024; ++fd) count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void run_epoch(void) {
    int bundles[WORKERS];
    uint64_t end = calls + EPOCH;
    for (int i = 0; i != PAIRS; ++i) pairs[i] = (struct pair){.h = {-1, -1}, .tag = 'a'};
    renew_channel();
    renew_descriptors();
    renew_listener();
    stopping = 0;
    for (int i = 0; i != WORKERS; ++i) bundles[i] = -1;
    while (calls < end) {
        /* One of them ends wherever it is, another one begins. */
        int i = (int)any(WORKERS);
        if (bundles[i] >= 0) {
            let_go(bundles[i]);
            MUST(result(hclose(bundles[i])) == 0);
        }
        bundles[i] = hold(bundle());
        int rc = bundle_go(bundles[i], worker());
        MUST(rc == 0);
        if (sleepers >= 0) {
            let_go(sleepers);
            MUST(result(hclose(sleepers)) == 0);
        }
        sleepers = hold(bundle());
        rc = bundle_go(sleepers, sleeper(now() + any(5)));
        MUST(rc == 0);
        for (int rounds = (int)any(60); rounds >= 0; --rounds) {
            if (any(10) == 0) close_end(&pairs[any(PAIRS)], (int)any(2));
            else if (any(10) == 0) close_below();
            else if (any(10) == 0) run_from_outside();
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
        close_held(channel[i]);
        channel[i] = -1;
    }
    close_held(listener);
    listener = -1;
    /* Nothing is left. */
    for (int h = 0; h != NUMBERS; ++h) {
        MUST(!held[h]);
        MUST(hclose(h) < 0 && errno == EBADF);
    }
    MUST(users == 0);
}

static void *run_epochs(void *arg) {
    for (int epoch = 0; epoch != EPOCHS; ++epoch) run_epoch();
    return arg;
}

__attribute__((weak)) size_t __sanitizer_get_current_allocated_bytes(void);

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    seed = strtoull(argv[1], NULL, 10);
    state = seed * 0x9E3779B97F4A7C15u + 1;
    next_tag = 'a';
    cert = argv[3];
    key = argv[4];
    nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    MUST(nowhere >= 0);
    int64_t until = now() + atol(argv[2]) * 1000;
    int descriptors = 0;
    size_t most = 0;
    for (int thread = 0; thread == 0 || now() < until; ++thread) {
        /* What a thread keeps for itself goes with it. What the process keeps (sessions of TLS) is now more and now less; what nobody
           points to any more is found by the leak sanitizer at the end. */
        pthread_t epochs;
        MUST(pthread_create(&epochs, NULL, run_epochs, NULL) == 0);
        MUST(pthread_join(epochs, NULL) == 0);
        if (thread == 0) descriptors = open_descriptors();
        MUST(open_descriptors() == descriptors);
        size_t bytes = __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes() : 0;
        if (thread < 3) {
            if (bytes > most) most = bytes;
        } else if (bytes > most + 262144) {
            fprintf(stderr, "%zu bytes are allocated, and before it were %zu at most\n", bytes, most);
            return 1;
        }
    }
    printf("%llu calls\n", (unsigned long long)calls);
    return 0;
}
