/* What protocols run on: connected pairs of every kind of bytestream, one written by a user among them. */

#ifndef LOWER_H
#define LOWER_H

#include <libdillimpl.h>

#include "pair.h"
#include "usersock.h"

static struct user_stream lower_user[2];

static inline void make_user_pair(int s[2]) {
    int lower[2];
    make_ipc_pair(lower);
    for (int i = 0; i != 2; ++i) s[i] = user_stream_make(&lower_user[i], lower[i]);
}

static inline void make_user_and_raw(int *s, int *fd) {
    int lower;
    make_ipc_and_raw(&lower, fd);
    *s = user_stream_make(&lower_user[0], lower);
}

/* Runs the statement with both ends in s. */
#define EACH_LOWER(S)                                     \
    for (int each_lower_ = 0; each_lower_ != 3; ++each_lower_) \
        for (int once_ = (each_lower_ == 0   ? make_tcp_pair(S)  \
                          : each_lower_ == 1 ? make_ipc_pair(S)  \
                                             : make_user_pair(S), \
                          1);                             \
             once_; once_ = 0)

/* Runs the statement with one end in s and a plain descriptor as its peer. */
#define EACH_LOWER_AND_RAW(S, FD)                         \
    for (int each_lower_ = 0; each_lower_ != 3; ++each_lower_) \
        for (int once_ = (each_lower_ == 0   ? make_tcp_and_raw(S, FD)  \
                          : each_lower_ == 1 ? make_ipc_and_raw(S, FD)  \
                                             : make_user_and_raw(S, FD), \
                          1);                             \
             once_; once_ = 0)

/* A list in one expression: the elements of the array linked in order. */
static inline struct iolist *link_list(struct iolist *list, size_t count) {
    for (size_t i = 0; i != count; ++i) {
        list[i].iol_next = i + 1 == count ? NULL : &list[i + 1];
        list[i].iol_rsvd = 0;
    }
    return &list[count - 1];
}

#define RAW_RECV(FD, TEXT)                                \
    do {                                                  \
        char raw_[sizeof(TEXT)];                          \
        raw_recv(FD, raw_, sizeof(TEXT) - 1);             \
        CHECK_MEM(raw_, TEXT, sizeof(TEXT) - 1);          \
        CHECK_RAW_SILENT(FD);                             \
    } while (0)

#define RAW_SEND(FD, TEXT) raw_send(FD, TEXT, sizeof(TEXT) - 1)

/* Checks that the next message is the text. */
#define RECV_MESSAGE(S, TEXT)                                               \
    do {                                                                    \
        char message_[256];                                                 \
        CHECK_INT(mrecv(S, message_, sizeof(message_), now() + 5000), sizeof(TEXT) - 1); \
        CHECK_MEM(message_, TEXT, sizeof(TEXT) - 1);                        \
    } while (0)

#define SEND_MESSAGE(S, TEXT) CHECK_INT(msend(S, TEXT, sizeof(TEXT) - 1, now() + 5000), 0)

/* A process that writes the text to the descriptor for ever. */
static inline pid_t write_for_ever(int fd, const char *text) {
    static char block[65536];
    size_t len = strlen(text), at = 0;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child != 0) return child;
    for (; at + len <= sizeof(block); at += len) memcpy(block + at, text, len);
    /* A signal may end a call in the middle. */
    ssize_t n;
    for (size_t from = 0; (n = raw_send_some(fd, block + from, at - from, MSG_NOSIGNAL)) >= 0;)
        from = (from + (size_t)n) % at;
    _exit(0);
}

/* A call that a flood keeps inside does not hold the others up: it runs in another coroutine, and is cancelled. */
__attribute__((unused)) coroutine static void call_until_cancelled(int64_t (*call)(int64_t deadline)) {
    CHECK_ERR(call(-1), -1, ECANCELED);
}

static inline void check_others_run(int64_t (*call)(int64_t deadline)) {
    int b = go(call_until_cancelled(call));
    for (int i = 0; i != 3; ++i) CHECK_INT(msleep(now() + 10), 0);
    CHECK_ERR(bundle_wait(b, 0), -1, ETIMEDOUT);
    CHECK_INT(hclose(b), 0);
}

#define CHECK_CLOSED(S) CHECK_ERR(hclose(S), -1, EBADF)

#endif
