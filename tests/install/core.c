/* What the test of the installation builds where the library has no sockets, as C and as C++: a coroutine that
   talks over a channel with the one that launched it. */

#include <libdillimpl.h>

#include <stdio.h>

#ifndef DILL_DISABLE_SOCKETS
#error "the library has no sockets, but its users are not told"
#endif

static coroutine void answer(int ch) {
    char letter;
    while (chrecv(ch, &letter, 1, -1) == 0 && chsend(ch, &letter, 1, -1) == 0) continue;
}

int main(void) {
    int ch[2];
    if (chmake(ch) < 0) return 1;
    int server = go(answer(ch[0]));
    if (server < 0) return 2;
    for (const char *text = "hello"; *text; ++text) {
        char letter;
        if (chsend(ch[1], text, 1, now() + 10000) < 0) return 3;
        if (chrecv(ch[1], &letter, 1, now() + 10000) < 0) return 4;
        putchar(letter);
    }
    hclose(server);
    hclose(ch[0]);
    hclose(ch[1]);
    puts("");
    return 0;
}
