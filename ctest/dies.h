/* What becomes of a child process: for tests of abort(), guard pages, exit statuses and forks. */

#ifndef DIES_H
#define DIES_H

#include "test.h"

/* Runs the body in a child and returns its wait status. A body that returns exits with status 0. */
static inline int status_of_child(void (*body)(void)) {
    int status = -1;
    pid_t child;
    fflush(NULL);
    child = fork();
    if (child == 0) {
        body();
        exit(0);
    }
    CHECK(child > 0);
    CHECK_INT(waitpid(child, &status, 0), child);
    return status;
}

#define CHECK_DIES_BY(BODY, SIGNAL)            \
    do {                                       \
        int dies_status_ = status_of_child(BODY); \
        CHECK(WIFSIGNALED(dies_status_));      \
        CHECK_INT(WTERMSIG(dies_status_), SIGNAL); \
    } while (0)

#define CHECK_EXITS_WITH(BODY, STATUS)            \
    do {                                          \
        int dies_status_ = status_of_child(BODY); \
        CHECK(WIFEXITED(dies_status_));           \
        CHECK_INT(WEXITSTATUS(dies_status_), STATUS); \
    } while (0)

#endif
