/* One of two files of a program; both include all headers, twice. The other one is this file with SECOND
   defined. As C and as C++. */

#include "libdillimpl.h"
#include "libdillext.h"
#include "libdill.h"
#include "libdillimpl.h"
#include "libdillext.h"
#include "libdill.h"

#ifdef __cplusplus
extern "C" {
#endif
int first_file(void);
int second_file(int s);
#ifdef __cplusplus
}
#endif

#ifdef DILL_DISABLE_RAW_NAMES
#define coroutine dill_coroutine
#define go dill_go
#define ws_attach_client dill_ws_attach_client
#define ws_detach dill_ws_detach
#endif

static coroutine void sleep_a_little(int64_t deadline) { dill_msleep(deadline); }

/* Uses what the headers define themselves: macros, and functions that are inlined. */
static int use(int s) {
    int b = dill_bundle(), h = go(sleep_a_little(dill_now() + 1));
    if (h < 0) return 1;
    if (dill_bundle_go(b, sleep_a_little(-1)) != 0) return 1;
    if (dill_hclose(h) != 0 || dill_hclose(b) != 0) return 2;
    /* Each call in both of its forms; there is no such handle. */
    if (ws_attach_client(s, DILL_WS_TEXT, "/", "localhost", -1) != -1) return 3;
    if (ws_attach_client(s, "/", "localhost", DILL_WS_TEXT, -1) != -1) return 4;
    if (ws_detach(s, 1000, "", 0, -1) != -1) return 5;
    if (ws_detach(s, -1) != -1) return 6;
    if (dill_hquery(s, dill_bsock_type) || dill_hquery(s, dill_msock_type)) return 7;
    return 0;
}

#ifdef SECOND
int second_file(int s) { return use(s); }
#else
int first_file(void) { return use(99); }

int main(void) {
    int first = first_file();
    return first ? first : 10 * second_file(99);
}
#endif
