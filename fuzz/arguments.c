/* Calls every exported function with all kinds of arguments, wrong ones above all: no pointer, handles of another kind
   or of nothing, lengths that no memory has, lists that are none, flags and sizes of structures that nobody knows.
   Memory ends where it is said to end. No call may crash or stay, and an errno must be one that the manual names.

       arguments SEED SECONDS CERT KEY [FUNCTION]

   Calls are made in children, so that the one that crashes can be named. */

#include "arguments_make.h"

#include <sys/mman.h>
#include <sys/wait.h>

enum { CALLS_OF_A_CHILD = 3000 };

/* What a call is told, for whoever has to find out. */
static struct said {
    char text[1000];
    long calls;
} *said;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
    size_t len = strlen(said->text);
    va_list args;
    va_start(args, format);
    vsnprintf(said->text + len, sizeof(said->text) - len, format, args);
    va_end(args);
}

__attribute__((noreturn)) static void complain(const char *what) {
    say(" -> %s", what);
    _exit(3);
}

/* --- Functions --- */

typedef long (*any_function)(long, long, long, long, long, long, long, long, long);

/* The result, one letter: i, an int; h, a handle; f, a descriptor; z, a size; v, nothing; p, a pointer; n, a number.
   Then the arguments, one letter each; where two belong together, one for both of them. */
struct function {
    const char *name;
    any_function call;
    const char *signature;
    size_t storage;
};

#define FUNCTION(NAME, SIGNATURE) {#NAME, (any_function)(void (*)(void))dill_##NAME, SIGNATURE, 0},
#define STORED(NAME, SIGNATURE, OF) {#NAME, (any_function)(void (*)(void))dill_##NAME, SIGNATURE, sizeof(struct OF##_storage)},

static const struct function functions[] = {
    FUNCTION(now, "n") FUNCTION(msleep, "iD") FUNCTION(fdin, "ifD") FUNCTION(fdout, "ifD") FUNCTION(fdclean, "if")
    FUNCTION(hown, "hH") FUNCTION(hclose, "iH") FUNCTION(hquery, "pHp") FUNCTION(hmake, "hv") FUNCTION(yield, "i")
    FUNCTION(bundle, "h") STORED(bundle_mem, "hM", bundle) FUNCTION(bundle_wait, "iHD")
    FUNCTION(chmake, "i2") {"chmake_mem", (any_function)(void (*)(void))dill_chmake_mem, "iM2", sizeof(struct chstorage)},
    FUNCTION(chsend, "iHbD") FUNCTION(chrecv, "iHrD") FUNCTION(chdone, "iH") FUNCTION(choose, "iCD")
    FUNCTION(bsend, "iHbD") FUNCTION(brecv, "iHrD") FUNCTION(bsendl, "iHLD") FUNCTION(brecvl, "iHRD")
    FUNCTION(msend, "iHbD") FUNCTION(mrecv, "zHrD") FUNCTION(msendl, "iHLD") FUNCTION(mrecvl, "zHRD")
    FUNCTION(ipaddr_local, "iaSII") FUNCTION(ipaddr_remote, "iaNIID") FUNCTION(ipaddr_remotes, "iQNIID")
    FUNCTION(ipaddr_equal, "nAAI") FUNCTION(ipaddr_family, "nA") FUNCTION(ipaddr_len, "nA") FUNCTION(ipaddr_port, "nA")
    FUNCTION(ipaddr_setport, "vaI") FUNCTION(ipaddr_sockaddr, "pA") FUNCTION(ipaddr_str, "pAn")
    FUNCTION(tcp_listen, "haI") STORED(tcp_listen_mem, "haIM", tcp_listener) FUNCTION(tcp_listen_opts, "haO")
    FUNCTION(tcp_accept, "hHaD") STORED(tcp_accept_mem, "hHaMD", tcp)
    FUNCTION(tcp_connect, "hAD") STORED(tcp_connect_mem, "hAMD", tcp) FUNCTION(tcp_done, "iHD") FUNCTION(tcp_close, "iHD")
    FUNCTION(tcp_fromfd, "hf") STORED(tcp_fromfd_mem, "hfM", tcp)
    FUNCTION(tcp_listener_fromfd, "hf") STORED(tcp_listener_fromfd_mem, "hfM", tcp_listener)
    FUNCTION(ipc_listen, "hSI") STORED(ipc_listen_mem, "hSIM", ipc_listener)
    FUNCTION(ipc_accept, "hHD") STORED(ipc_accept_mem, "hHMD", ipc)
    FUNCTION(ipc_connect, "hSD") STORED(ipc_connect_mem, "hSMD", ipc) FUNCTION(ipc_done, "iHD") FUNCTION(ipc_close, "iHD")
    FUNCTION(ipc_pair, "i2") STORED(ipc_pair_mem, "iM2", ipc_pair) FUNCTION(ipc_sendfd, "iHfD") FUNCTION(ipc_recvfd, "fHD")
    FUNCTION(ipc_fromfd, "hf") STORED(ipc_fromfd_mem, "hfM", ipc)
    FUNCTION(ipc_listener_fromfd, "hf") STORED(ipc_listener_fromfd_mem, "hfM", ipc_listener)
    FUNCTION(udp_open, "haA") STORED(udp_open_mem, "haAM", udp)
    FUNCTION(udp_send, "iHAb") FUNCTION(udp_recv, "zHarD") FUNCTION(udp_sendl, "iHAL") FUNCTION(udp_recvl, "zHaRD")
    FUNCTION(happyeyeballs_connect, "hNID")
    FUNCTION(prefix_attach, "hHZI") STORED(prefix_attach_mem, "hHZIM", prefix) FUNCTION(prefix_detach, "hH")
    FUNCTION(suffix_attach, "hHb") STORED(suffix_attach_mem, "hHbM", suffix) FUNCTION(suffix_detach, "hHD")
    FUNCTION(term_attach, "hHb") STORED(term_attach_mem, "hHbM", term) FUNCTION(term_done, "iHD") FUNCTION(term_detach, "hHD")
    FUNCTION(http_attach, "hH") STORED(http_attach_mem, "hHM", http) FUNCTION(http_done, "iHD") FUNCTION(http_detach, "hHD")
    FUNCTION(http_sendrequest, "iHSSD") FUNCTION(http_recvrequest, "iHrrD") FUNCTION(http_sendstatus, "iHISD")
    FUNCTION(http_recvstatus, "iHrD") FUNCTION(http_sendfield, "iHSSD") FUNCTION(http_recvfield, "iHrrD")
    FUNCTION(socks5_client_connect, "iHSSAD") FUNCTION(socks5_client_connectbyname, "iHSSSID")
    FUNCTION(socks5_proxy_auth, "iHgD") FUNCTION(socks5_proxy_recvcommand, "iHaD")
    FUNCTION(socks5_proxy_recvcommandbyname, "iHyPD") FUNCTION(socks5_proxy_sendreply, "iHIAD")
    FUNCTION(tls_attach_client, "hHD") STORED(tls_attach_client_mem, "hHMD", tls)
    FUNCTION(tls_attach_server, "hHSSD") STORED(tls_attach_server_mem, "hHSSMD", tls)
    FUNCTION(tls_attach_client_opts, "hHTD") FUNCTION(tls_attach_server_opts, "hHUD")
    FUNCTION(tls_done, "iHD") FUNCTION(tls_detach, "hHD") FUNCTION(tls_info, "iHX") FUNCTION(tls_peercert, "zHZr")
    FUNCTION(tls_alpn, "iHr")
    FUNCTION(ws_attach_client, "hHISSD") STORED(ws_attach_client_mem, "hHISSMD", ws)
    FUNCTION(ws_attach_server, "hHIrrD") STORED(ws_attach_server_mem, "hHIrrMD", ws)
    FUNCTION(ws_attach_client_opts, "hHSSWD") FUNCTION(ws_attach_server_opts, "hHWD")
    FUNCTION(ws_send, "iHIbD") FUNCTION(ws_sendl, "iHILD") FUNCTION(ws_recv, "zHPrD") FUNCTION(ws_recvl, "zHPRD")
    FUNCTION(ws_recvsome, "zHPrD") FUNCTION(ws_done, "iHIbD") FUNCTION(ws_detach, "hHIbD") FUNCTION(ws_close, "iHIbD")
    FUNCTION(ws_status, "zHPr") FUNCTION(ws_request_key, "ik") FUNCTION(ws_response_key, "iSk")
    FUNCTION(ws_recvrequest, "hHD") FUNCTION(ws_isupgrade, "nH") FUNCTION(ws_field, "zHSr") FUNCTION(ws_fieldat, "zHZrr")
    FUNCTION(ws_accept, "hHWD") FUNCTION(ws_reply, "hHIKbD") FUNCTION(ws_subprotocol, "zHr") FUNCTION(ws_info, "iHx")
    FUNCTION(ws_connect, "hSWD") FUNCTION(ws_ping, "iHbD") FUNCTION(ws_pong, "iHbD") FUNCTION(ws_broadcast, "iBIbZE")
    FUNCTION(ws_errmsg, "p") FUNCTION(ws_errstatus, "n") FUNCTION(ws_errfield, "zSr")
    FUNCTION(dump, "vd") FUNCTION(loop, "ij") FUNCTION(run, "i")
};
enum { FUNCTIONS = sizeof(functions) / sizeof(*functions) };

/* --- Arguments --- */

/* Memory that ends at a page which nobody may touch. */
enum { ROOM = 1 << 18, ROOMS = 16 };
static char *rooms[ROOMS];
static unsigned used_rooms;

static void *memory(size_t len) {
    char *start = rooms[used_rooms++ % ROOMS] + ROOM - len;
    memset(start, any(2) ? 'x' : 0, len);
    return start;
}

static void *bytes(const void *from, size_t len) { return memcpy(memory(len), from, len); }

static size_t any_size(void) {
    static const size_t sizes[] = {0, 1, 2, 3, 8, 16, 31, 32, 33, 64, 123, 124, 125, 126, 127, 255, 256, 257, 1000, 4096, 65535,
                                   65536, 70000, 200000};
    return sizes[any(sizeof(sizes) / sizeof(*sizes))];
}
static size_t absurd_size(void) {
    static const size_t sizes[] = {SIZE_MAX, SSIZE_MAX, (size_t)SSIZE_MAX + 1, SIZE_MAX / 4, (size_t)1 << 47, SIZE_MAX - 14};
    return sizes[any(sizeof(sizes) / sizeof(*sizes))];
}
static int any_int(void) {
    static const int ints[] = {0, 1, 2, 3, 4, 5, 7, 8, 16, 32, 64, 128, 256, 999, 1000, 1005, 1006, 3000, 4999, 5000, 65535, 65536,
                               80, 100, 200, 204, 304, 599, 600, -1, -2, INT_MAX, INT_MIN};
    return ints[any(sizeof(ints) / sizeof(*ints))];
}
static int64_t any_time(void) {
    static const int64_t times[] = {-1, 0, 1, INT64_MAX, INT64_MIN, INT64_MAX - 1, (int64_t)1 << 62, INT32_MAX};
    return any(3) ? times[any(8)] : now() + any(3);
}

static const char *any_text(void) {
    static const char *const texts[] = {"", "a", "/", "localhost", "127.0.0.1", "::1", "name: value", "GET", "a b", "\r\n", "x\r\ny: z",
        "\xff\xfe", "\t", "ws://localhost/", "ws://127.0.0.1:1/x?y=z", "wss://[::1]:2/", "ws://", "ws://a@b/", "http://h",
        "socks5://u:p@h:1", "Host", ":status", ":path", "dGhlIHNhbXBsZSBub25jZQ==", "lo", "/nowhere/at/all", "Cookie",
        "ws://127.0.0.1:99999/", "ws://[::1", "ws://127.0.0.1:1/#f", "unix:/nowhere", "unix:", ":80", "h:", "[::1]:80", "*",
        "*.example.org", "https://example.org", "null"};
    if (any(12) == 0) return cert;
    if (any(12) == 0) return key;
    if (any(8)) return texts[any(sizeof(texts) / sizeof(*texts))];
    size_t len = any_size();
    char *text = malloc(len + 1);
    memset(text, "a\x01:/\xc3"[any(5)], len);
    text[len] = 0;
    return text;
}
static const char *any_string(void) {
    if (any(6) == 0) return NULL;
    const char *text = any_text();
    return bytes(text, strlen(text) + 1);
}
static const char *text_or_none(void) { return any(4) ? any_text() : NULL; }

static const char *const *any_strings(void) {
    size_t n = any(5) ? any(4) : any(400);
    const char **strings = calloc(n + 1, sizeof(*strings));
    for (size_t i = 0; i != n; ++i) strings[i] = any_text();
    return any(4) ? strings : NULL;
}

/* A structure that begins with its size, which may be wrong, and then be followed by what nobody knows. */
static void *sized(const void *whole, size_t len) {
    size_t told = len;
    switch (any(10)) {
    case 0: return NULL;
    case 1: told = any((uint32_t)len + 1); break;
    case 2: told = absurd_size(); break;
    case 3: told = len + any(100); break;
    default: break;
    }
    size_t there = told < sizeof(told) ? sizeof(told) : told > len + 100 ? len : told;
    char *place = memory(there);
    memcpy(place, whole, there < len ? there : len);
    memcpy(place, &told, sizeof(told));
    return place;
}

static void *tls_options(void) {
    struct tls_opts opts = {.host = text_or_none(), .ca_file = text_or_none()};
    if (any(2)) opts.host = "localhost";
    if (any(2)) opts.ca_file = cert;
    if (any(2)) opts.alpn = any_strings();
    if (any(2)) opts.cert = text_or_none(), opts.key = text_or_none();
    if (any(4) == 0) opts.flags = any_int();
    if (any(4) == 0) opts.min_version = any_int();
    return sized(&opts, sizeof(opts));
}
static void *tls_server_options(void) {
    const char **certs = calloc(3, sizeof(*certs));
    certs[0] = cert;
    certs[1] = key;
    struct tls_server_opts opts = {.certs = any(2) ? certs : any_strings()};
    if (any(2)) opts.client_ca_file = text_or_none();
    if (any(2)) opts.alpn = any_strings();
    if (any(3) == 0) opts.flags = any_int();
    if (any(3) == 0) opts.min_version = any_int();
    return sized(&opts, sizeof(opts));
}
static void *ws_options(void) {
    struct ws_deflate deflate = {.level = any(2) ? any_int() : 0, .window_bits = any(2) ? any_int() : 9,
                                 .peer_window_bits = (int)any(17), .flags = (int)any(5), .threshold = any_size()};
    struct ws_opts opts = {.flags = any(2) ? any_int() : 1 << any(12)};
    if (any(2)) opts.subprotocols = any_strings();
    if (any(2)) opts.headers = any_strings();
    if (any(3) == 0) opts.origin = text_or_none();
    if (any(3) == 0) opts.origins = any_strings();
    if (any(3) == 0) opts.max_message = any(2) ? absurd_size() : any_size();
    if (any(3) == 0) opts.ping_interval = any_time();
    if (any(3) == 0) opts.ping_timeout = any_time();
    if (any(3) == 0) opts.deflate = sized(&deflate, sizeof(deflate));
    if (any(3) == 0) opts.tls = tls_options();
    if (any(3) == 0) opts.proxy = text_or_none();
    if (any(3) == 0) opts.connect_to = text_or_none();
    if (any(3) == 0) opts.redirects = any_int();
    return sized(&opts, sizeof(opts));
}

/* A list of buffers, and what is to be left of it. */
enum { ELEMENTS = 5 };
static struct iolist *list, list_before[ELEMENTS];

static void any_list(long pair[2], int receives) {
    list = memory(sizeof(*list) * ELEMENTS);
    size_t n = 1 + any(ELEMENTS);
    for (size_t i = 0; i != ELEMENTS; ++i) {
        size_t len = any(2) ? any(40) : any_size();
        list[i] = (struct iolist){memory(len), len, i + 1 < n ? &list[i + 1] : NULL, 0};
        if (i && any(16) == 0) list[i] = (struct iolist){list[i - 1].iol_base, list[i - 1].iol_len, list[i].iol_next, 0};
        if (any(8) == 0 && (receives || any(4) == 0)) list[i].iol_base = NULL;
        if (any(30) == 0) list[i].iol_len = absurd_size(), list[i].iol_base = NULL;
    }
    struct iolist *first = list, *last = &list[n - 1];
    switch (any(16)) {
    case 0: first = NULL; break;
    case 1: last = NULL; break;
    case 2: first = last = NULL; break;
    case 3: list[n - 1].iol_next = list; break;                     /* a circle */
    case 4: list[any((uint32_t)n)].iol_rsvd = any_int(); break;
    case 5: last = &list[ELEMENTS - 1]; break;                      /* perhaps of another list */
    case 6: list[n / 2].iol_next = &list[any((uint32_t)n)]; break;  /* a circle in the middle */
    default: break;
    }
    memcpy(list_before, list, sizeof(list_before));
    pair[0] = (long)first;
    pair[1] = (long)last;
}

static void any_buffer(long pair[2], int receives) {
    size_t len = any(2) ? any(200) : any_size();
    pair[0] = any(6) ? (long)memory(len) : 0;
    pair[1] = (long)len;
    if (any(8) == 0 && pair[0] == 0) pair[1] = (long)absurd_size();
    if (any(8) == 0 && !receives) pair[1] = (long)(SIZE_MAX - any(2) * (SSIZE_MAX - any(2)));
}

static void *any_addr(void) {
    struct ipaddr addr;
    memset(&addr, 0, sizeof(addr));
    switch (any(8)) {
    case 0: return NULL;
    case 1: memset(&addr, (int)any(256), sizeof(addr)); break;
    case 2: ipaddr_local(&addr, "::1", (int)any(3), 0); break;
    default: ipaddr_local(&addr, "127.0.0.1", any(2) ? 0 : (int)any(65536), 0);
    }
    return bytes(&addr, sizeof(addr));
}

/* Is freed by nobody before the child ends: what is made in it may live as long. */
static void *any_storage(size_t len) {
    char *block = malloc(len + 8);
    return any(6) ? block + any(8) : NULL;
}

static int any_descriptor(void) {
    static int fds[4];
    if (any(4) == 0) return any(2) ? -1 : any(2) ? INT_MAX : any(2) ? INT_MIN : 65536;
    if (!fds[0]) {
        if (pipe(fds) < 0) complain("there is no pipe");
        fds[2] = open("/dev/null", O_RDWR | O_CLOEXEC);
        fds[3] = open("/", O_RDONLY | O_CLOEXEC);
    }
    if (any(2)) return fds[any(4)];
    int s = socket(any(2) ? AF_INET : any(2) ? AF_INET6 : AF_UNIX, any(3) ? SOCK_STREAM : SOCK_DGRAM, 0);
    if (any(2)) listen(s, 3);
    return s;
}

static int authenticate(const char *name, const char *password) {
    if (any(2)) yield();
    return (int)(strlen(name) + strlen(password)) % 2;
}

static struct hvfs good_vfs = {any_query, any_close}, bad_vfs[2] = {{NULL, any_close}, {any_query, NULL}};

static int handle_of(const char *function) {
    if (any(8)) return any_handle(function);
    return any(2) ? stale_handle() : any(2) ? -1 - (int)any(3) : any(2) ? INT_MAX - (int)any(3) : INT_MIN;
}

/* --- A call --- */

static const struct function *function;
static long arguments[12], result;
static int arguments_count, result_errno, made[2], returned;

static void argue(long value) { arguments[arguments_count++] = value; }

static void argue_pair(long pair[2]) {
    argue(pair[0]);
    argue(pair[1]);
}

static void argue_clauses(void) {
    int n = any(8) ? (int)any(7) : any_int();
    if (n > 6) n = 6;
    struct chclause *clauses = memory((n < 0 ? 0 : (size_t)n) * sizeof(*clauses));
    for (int i = 0; i < n; ++i) {
        long pair[2];
        any_buffer(pair, 1);
        clauses[i] = (struct chclause){any(8) ? 1 + (int)any(2) : any_int(), handle_of("chsend"), (void *)pair[0], (size_t)pair[1]};
    }
    argue(any(6) ? (long)clauses : 0);
    argue(n);
}

static void argue_many(void) {
    int n = any(8) ? (int)any(9) : any_int(), *numbers;
    if (n > 8) n = 8;
    numbers = memory((n < 0 ? 0 : (size_t)n) * sizeof(*numbers));
    for (int i = 0; i < n; ++i) numbers[i] = handle_of("ws_broadcast");
    argue(any(6) ? (long)numbers : 0);
    argue(n);
}

static void argue_addrs(void) {
    int n = any(4) ? 1 + (int)any(12) : any_int();
    if (n > 12) n = 12;
    argue(any(6) ? (long)memory((n < 0 ? 0 : (size_t)n) * sizeof(struct ipaddr)) : 0);
    argue(n);
}

static void argue_letter(char letter) {
    long pair[2];
    struct tcp_listen_opts opts = {0, any_int(), (int)any(8)};
    switch (letter) {
    case 'D': argue(any_time()); break;
    case 'H': argue(handle_of(function->name)); break;
    case 'I': argue(any(2) ? any_int() : (int)any(4)); break;
    case 'Z': argue((long)(any(4) ? any_size() : absurd_size())); break;
    case 'S': argue((long)any_string()); break;
    case 'N': argue((long)(any(2) ? "localhost" : any(2) ? "::1" : any_string())); break; /* to be looked up */
    case 'K': argue((long)any_strings()); break;
    case 'M': argue((long)any_storage(function->storage)); break;
    case 'a': case 'A': argue((long)any_addr()); break;
    case 'f': argue(any_descriptor()); break;
    case 'd': argue(any(2) ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC)); break;
    case 'P': argue(any(4) ? (long)memory(sizeof(int)) : 0); break;
    case 'E': argue(any(2) ? (long)memory(8 * sizeof(int)) : 0); break;
    case 'j': argue(any(4) ? (long)memory(sizeof(int64_t)) : 0); break;
    case '2': argue(any(6) ? (long)made : 0); break;
    case 'p': argue((long)(any(4) == 0 ? NULL : any(3) == 0 ? (const void *)made : any(2) ? bsock_type : msock_type)); break;
    case 'v': argue((long)(any(4) == 0 ? NULL : any(2) ? &good_vfs : &bad_vfs[any(2)])); break;
    case 'g': argue((long)(any(2) ? authenticate : NULL)); break;
    case 'n': argue(any(8) ? (long)memory(IPADDR_MAXSTRLEN) : 0); break;
    case 'y': argue(any(8) ? (long)memory(256) : 0); break;
    case 'k': argue(any(8) ? (long)memory(WS_KEY_SIZE) : 0); break;
    case 'T': argue((long)tls_options()); break;
    case 'U': argue((long)tls_server_options()); break;
    case 'W': argue((long)ws_options()); break;
    case 'O': argue((long)sized(&opts, sizeof(opts))); break;
    case 'X': argue((long)sized(memory(sizeof(struct tls_info)), sizeof(struct tls_info))); break;
    case 'x': argue((long)sized(memory(sizeof(struct ws_info)), sizeof(struct ws_info))); break;
    case 'Q': argue_addrs(); break;
    case 'B': argue_many(); break;
    case 'C': argue_clauses(); break;
    case 'L': case 'R': any_list(pair, letter == 'R'); argue_pair(pair); break;
    case 'b': case 'r': any_buffer(pair, letter == 'r'); argue_pair(pair); break;
    default: complain("the signature is wrong");
    }
}

static void call_now(void) {
    long *a = arguments;
    errno = own_error = 0;
    result = function->call(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8]);
    result_errno = errno;
    returned = 1;
    if (strchr("ihf", function->signature[0])) result = (int)result;
}

coroutine static void call_inside(void) { call_now(); }

static void judge(void) {
    char kind = function->signature[0];
    if (list && memcmp(list, list_before, sizeof(list_before)) != 0) complain("the list has changed");
    if (strchr("vnp", kind)) return;
    if (result < 0 && result_errno != own_error && !is_documented(function->name, result_errno)) complain(errno_name(result_errno));
    if (result < -1) complain("it is less than -1");
    if (kind == 'f' && result >= 0) close((int)result);
    if (kind == 'h' && result >= 0 && hclose((int)result) < 0) complain("the handle is none");
    if (strchr(function->signature, '2') && result >= 0)
        for (int i = 0; i != 2; ++i)
            if (hclose(made[i]) < 0) complain("the pair is none");
}

static void try_once(void) {
    said->text[0] = 0;
    say("%s(", function->name);
    arguments_count = 0;
    list = NULL;
    made[0] = made[1] = -1;
    memset(arguments, 0, sizeof(arguments));
    for (const char *at = function->signature + 1; *at; ++at) argue_letter(*at);
    for (int i = 0; i != arguments_count; ++i)
        say(arguments[i] > -100000 && arguments[i] < 100000 ? "%s%ld" : "%s%#lx", i ? ", " : "", arguments[i]);
    say(")");
    ++said->calls;
    returned = 0;
    if (!strchr(function->signature, 'D') && any(2)) {
        call_now();
    } else {
        int b = bundle(), rc = bundle_go(b, call_inside());
        if (b < 0 || rc < 0) complain("there is no coroutine");
        bundle_wait(b, now() + any(3));
        hclose(b);
        if (!returned) complain("it has not returned");
    }
    judge();
}

static void child(const char *only) {
    alarm(60);
    for (int i = 0; i != ROOMS; ++i) {
        rooms[i] = mmap(NULL, ROOM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (rooms[i] == MAP_FAILED || mprotect(rooms[i] + ROOM, 4096, PROT_NONE) != 0) complain("there is no memory");
    }
    for (int i = 0; i != CALLS_OF_A_CHILD; ++i) {
        if (i % 8 == 0) function = &functions[any(FUNCTIONS)];
        for (function = only ? functions : function; only && strcmp(function->name, only) != 0;) ++function;
        try_once();
    }
    _exit(0);
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    seed = strtoull(argv[1], NULL, 10);
    cert = argv[3];
    key = argv[4];
    time_t until = time(NULL) + atol(argv[2]);
    long crashes = 0;
    said = mmap(NULL, sizeof(*said), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (said == MAP_FAILED) return 2;
    do {
        int status;
        pid_t pid = getenv("NO_FORK") ? 0 : fork();
        state = seed * 0x9E3779B97F4A7C15u + 1;
        if (pid == 0) child(argc > 5 ? argv[5] : NULL);
        if (pid < 0 || waitpid(pid, &status, 0) != pid) return 2;
        if (status != 0) {
            printf("FAIL seed %llu: %s: status %#x\n", (unsigned long long)seed, said->text, (unsigned)status);
            ++crashes;
        }
        ++seed;
    } while (time(NULL) < until && crashes < 40);
    printf("%ld calls, %ld crashes\n", said->calls, crashes);
    return crashes != 0;
}
