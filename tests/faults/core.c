/* Coroutines, channels, bundles and descriptors. */

#include "faults.h"

coroutine static void echo(int ch) {
    int v;
    if (CALL(chrecv, ch, &v, sizeof(v), deadline()) == 0) CALL(chsend, ch, &v, sizeof(v), deadline());
}

SCENARIO(channel) {
    int ch[2], v = 7;
    if (CALL(chmake, ch) < 0) return;
    int h = go(echo(ch[0]));
    if (CALLED(go, h) >= 0) {
        if (CALL(chsend, ch[1], &v, sizeof(v), deadline()) == 0) CALL(chrecv, ch[1], &v, sizeof(v), deadline());
        MUST(v == 7);
        CALL(hclose, h);
    }
    CALL(hclose, ch[0]);
    CALL(hclose, ch[1]);
}

coroutine static void sleep_for(int64_t ms) { CALL_EXPECTING(0, msleep, now() + ms); }

SCENARIO(bundles) {
    int b = (int)CALL(bundle);
    if (b < 0) return;
    for (int i = 0; i != 20; ++i) {
        int rc = bundle_go(b, sleep_for(i % 3));
        CALLED(bundle_go, rc);
    }
    CALL(yield);
    CALL(bundle_wait, b, deadline());
    CALL(hclose, b);
}

SCENARIO(waiting_for_a_descriptor) {
    int p[2];
    if (pipe(p) != 0) return;
    CALL_EXPECTING(ETIMEDOUT, fdin, p[0], now() + 1);
    CALL(fdout, p[1], deadline());
    MUST(write(p[1], "x", 1) == 1);
    CALL(fdin, p[0], deadline());
    CALL(fdclean, p[0]);
    CALL(fdclean, p[1]);
    close(p[0]);
    close(p[1]);
}

coroutine static void send_number(int ch, int v) { CALL(chsend, ch, &v, sizeof(v), deadline()); }

SCENARIO(choosing) {
    int a[2], b[2], v = 0;
    if (CALL(chmake, a) < 0) return;
    if (CALL(chmake, b) == 0) {
        int h = go(send_number(b[1], 7));
        if (CALLED(go, h) >= 0) {
            struct chclause clauses[] = {{CHRECV, a[0], &v, sizeof(v)}, {CHRECV, b[0], &v, sizeof(v)}};
            if (CALL(choose, clauses, 2, deadline()) == 1) MUST(v == 7);
            CALL(hclose, h);
        }
        CALL(hclose, b[0]);
        CALL(hclose, b[1]);
    }
    CALL(hclose, a[0]);
    CALL(hclose, a[1]);
}

/* A number that is handed on: if there is none, the object is closed. */
SCENARIO(owning_a_handle) {
    int b = (int)CALL(bundle);
    if (b < 0) return;
    int own = (int)CALL(hown, b);
    if (own >= 0) CALL(hclose, own);
}

SCENARIO(memory_of_the_program) {
    static char stack[65536] __attribute__((aligned(16)));
    struct chstorage storage;
    int ch[2], v = 7;
    if (CALL(chmake_mem, &storage, ch) < 0) return;
    int h = go_mem(echo(ch[0]), stack, sizeof(stack));
    if (CALLED(go_mem, h) >= 0) {
        if (CALL(chsend, ch[1], &v, sizeof(v), deadline()) == 0) CALL(chrecv, ch[1], &v, sizeof(v), deadline());
        CALL(hclose, h);
    }
    CALL(hclose, ch[0]);
    CALL(hclose, ch[1]);
}
