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
