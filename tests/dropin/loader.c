/* Loads the library while it runs, uses it, and lets go of it, also in threads that end later.

   usage: loader LIBRARY */

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *path;

static void *symbol(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return found;
}

static void check(int holds, const char *what) {
    if (!holds) {
        perror(what);
        exit(1);
    }
}

static void *use(void *flags) {
    void *library = dlopen(path, *(int *)flags);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    int64_t (*now)(void) = (int64_t (*)(void))(intptr_t)symbol(library, "dill_now");
    int (*msleep)(int64_t) = (int (*)(int64_t))(intptr_t)symbol(library, "dill_msleep");
    int (*ipc_pair)(int *) = (int (*)(int *))(intptr_t)symbol(library, "dill_ipc_pair");
    int (*bsend)(int, const void *, size_t, int64_t) =
        (int (*)(int, const void *, size_t, int64_t))(intptr_t)symbol(library, "dill_bsend");
    int (*brecv)(int, void *, size_t, int64_t) =
        (int (*)(int, void *, size_t, int64_t))(intptr_t)symbol(library, "dill_brecv");
    int (*hclose)(int) = (int (*)(int))(intptr_t)symbol(library, "dill_hclose");
    int pair[2];
    char byte;
    check(msleep(now() + 2) == 0, "msleep");
    check(ipc_pair(pair) == 0, "ipc_pair");
    check(bsend(pair[0], "x", 1, now() + 1000) == 0, "bsend");
    check(brecv(pair[1], &byte, 1, now() + 1000) == 0, "brecv");
    check(hclose(pair[0]) == 0 && hclose(pair[1]) == 0, "hclose");
    check(dlclose(library) == 0, "dlclose");
    return NULL;
}

int main(int argc, char *argv[]) {
    int flags[] = {RTLD_NOW, RTLD_LAZY | RTLD_LOCAL, RTLD_NOW | RTLD_GLOBAL, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND};
    if (argc != 2) {
        fprintf(stderr, "usage: %s LIBRARY\n", argv[0]);
        return 2;
    }
    path = argv[1];
    for (int i = 0; i < 12; i++) {
        pthread_t thread;
        check(pthread_create(&thread, NULL, use, &flags[i % 4]) == 0, "thread");
        check(pthread_join(thread, NULL) == 0, "join");
    }
    for (int i = 0; i < 12; i++)
        use(&flags[i % 4]);
    puts("well");
    return 0;
}
