/* Compressed messages on their way out: gathered, too late, in parts, and what is left of them. */

#include <pthread.h>

#include "deflate_pair.h"
#include "pair.h"
#include "wire.h"

enum { LARGE = 1 << 20 };

static char data[LARGE], buf[LARGE];

static void fill_randomly(void) {
    unsigned state = 1;
    for (size_t i = 0; i != sizeof(data); ++i) data[i] = (char)((state = state * 1103515245 + 12345) >> 16);
}

TEST(messages_that_are_gathered_leave_before_they_are_too_many) {
    enum { LEN = 16000, COUNT = 7 };
    int s[2], ws[2];
    how = (struct ws_deflate){.size = sizeof(how), .flags = WS_DEFLATE_CONTEXT};
    fill_randomly();
    make_tcp_pair(s);
    make_pair(s, ws);
    /* The library gathers 128 KiB, for about a millisecond: not every time so much comes together. */
    for (int attempt = 0; attempt != 20; ++attempt) {
        for (int i = 0; i != COUNT; ++i)
            CHECK_INT(ws_send(ws[0], WS_BINARY | WS_NODEFLATE | WS_GATHER, data + i, LEN, in_time()), 0);
        CHECK_INT(ws_send(ws[0], WS_BINARY | WS_GATHER, data, 60000, in_time()), 0);
        CHECK_INT(ws_send(ws[0], WS_BINARY | WS_GATHER, data, 200000, in_time()), 0);
        for (int i = 0; i != COUNT; ++i) expect_message(ws[1], WS_BINARY, data + i, LEN);
        expect_message(ws[1], WS_BINARY, data, 60000);
        expect_message(ws[1], WS_BINARY, data, 200000);
    }
}

TEST(a_message_that_has_left_in_part_when_its_deadline_passes_breaks_sending) {
    int s[2], ws[2];
    how = (struct ws_deflate){.size = sizeof(how)};
    fill_randomly();
    make_ipc_pair(s);
    make_pair(s, ws);
    CHECK_ERR(ws_send(ws[0], WS_BINARY, data, LARGE, now() + 50), -1, ETIMEDOUT);
    /* If the thread was held up, nothing had left yet. */
    while (errno == ETIMEDOUT) CHECK_INT(ws_send(ws[0], WS_BINARY, data, LARGE, now() + 50), -1);
    CHECK_ERR(ws_send(ws[0], WS_TEXT, "a", 1, in_time()), -1, ECONNRESET);
    CHECK_INT(hclose(ws[0]), 0);
    CHECK_ERR(ws_recv(ws[1], NULL, buf, sizeof(buf), in_time()), -1, ECONNRESET);
}

TEST(parts_may_be_empty) {
    for (int flags = 0; flags != 2; ++flags) {
        int s[2], ws[2];
        how = (struct ws_deflate){
            .size = sizeof(how), .flags = flags ? WS_DEFLATE_CONTEXT | WS_DEFLATE_PEER_CONTEXT : 0, .threshold = 1};
        make_ipc_pair(s);
        make_pair(s, ws);
        for (int i = 0; i != 3; ++i) {
            static const char *const parts[] = {"abc", "", "", "d", "", "e"};
            for (int k = 0; k != 6; ++k)
                CHECK_INT(ws_send(ws[0], WS_TEXT | WS_MORE, parts[k], strlen(parts[k]), in_time()), 0);
            CHECK_INT(ws_send(ws[0], WS_TEXT, "", 0, in_time()), 0);
            expect_text(ws[1], "abcde");
        }
    }
}

static void *exchange_one(void *arg) {
    int s[2], ws[2];
    (void)arg;
    make_ipc_pair(s);
    make_pair(s, ws);
    CHECK_INT(ws_send(ws[0], WS_BINARY, data, 5000, in_time()), 0);
    CHECK_INT(ws_recv(ws[1], NULL, buf, 5000, in_time()), 5000);
    CHECK_INT(hclose(ws[0]), 0);
    CHECK_INT(hclose(ws[1]), 0);
    return NULL;
}

static long memory(void) {
    struct rusage usage;
    CHECK_INT(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss; /* KiB */
}

TEST(the_codecs_of_a_thread_end_with_it) {
    long before = 0;
    how = (struct ws_deflate){.size = sizeof(how)};
    for (int i = 0; i != 200; ++i) {
        pthread_t t;
        CHECK_INT(pthread_create(&t, NULL, exchange_one, NULL), 0);
        CHECK_INT(pthread_join(t, NULL), 0);
        if (i == 20) before = memory();
    }
    /* A compressor alone has more than 200 KiB. */
    CHECK(memory() - before < 16 * 1024);
}
