/* ws_request_key and ws_response_key. */

#include <libdill.h>

#include "dies.h"
#include "mem.h"
#include "test.h"

TEST(the_key_of_the_RFC_gives_the_answer_of_the_RFC) {
    char response[WS_KEY_SIZE];
    CHECK_INT(ws_response_key("dGhlIHNhbXBsZSBub25jZQ==", response), 0);
    CHECK_STR(response, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(a_request_key_is_the_base64_of_16_bytes) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i != 1000; ++i) {
        char key[WS_KEY_SIZE];
        CHECK_INT(ws_request_key(key), 0);
        CHECK_INT(strlen(key), 24);
        CHECK_INT(strspn(key, alphabet), 22);
        CHECK_STR(key + 22, "==");
        CHECK(strchr("AQgw", key[21]) != NULL);
    }
}

TEST(a_request_key_is_accepted_by_ws_response_key) {
    char key[WS_KEY_SIZE], response[WS_KEY_SIZE];
    CHECK_INT(ws_request_key(key), 0);
    CHECK_INT(ws_response_key(key, response), 0);
    CHECK_INT(strlen(response), 28);
    CHECK_INT(response[27], '=');
}

static int compare_keys(const void *a, const void *b) { return strcmp((const char *)a, (const char *)b); }

TEST(request_keys_are_all_different) {
    enum { COUNT = 10000 };
    static char keys[COUNT][WS_KEY_SIZE];
    for (int i = 0; i != COUNT; ++i) CHECK_INT(ws_request_key(keys[i]), 0);
    qsort(keys, COUNT, sizeof(*keys), compare_keys);
    for (int i = 1; i != COUNT; ++i) CHECK(strcmp(keys[i - 1], keys[i]) != 0);
}

TEST(nothing_is_written_behind_the_keys) {
    struct guarded_mem m[2];
    char *key = (char *)guarded_make(&m[0], 25, 1), *response = (char *)guarded_make(&m[1], 29, 1);
    CHECK_INT(ws_request_key(key), 0);
    CHECK_INT(ws_response_key(key, response), 0);
    guarded_free(&m[0]);
    guarded_free(&m[1]);
}

TEST(NULL_gives_EINVAL) {
    char buf[WS_KEY_SIZE];
    CHECK_ERR(ws_request_key(NULL), -1, EINVAL);
    CHECK_ERR(ws_response_key(NULL, buf), -1, EINVAL);
    CHECK_ERR(ws_response_key("dGhlIHNhbXBsZSBub25jZQ==", NULL), -1, EINVAL);
    CHECK_ERR(ws_response_key(NULL, NULL), -1, EINVAL);
}

TEST(a_request_key_that_is_not_the_base64_of_16_bytes_gives_EPROTO) {
    const char *bad[] = {
        "",
        "A",
        "hello",
        "dGhlIHNhbXBsZSBub25jZQ",             /* no padding */
        "dGhlIHNhbXBsZSBub25jZQ=",            /* half of it */
        "dGhlIHNhbXBsZSBub25jZQ===",          /* too much */
        "dGhlIHNhbXBsZSBub25j",               /* 15 bytes */
        "dGhlIHNhbXBsZSBub25jZWU=",           /* 17 bytes */
        "dGhlIHNhbXBsZSBub25jZWVl",           /* 18 bytes */
        "dGhlIHNhbXBsZSBub25jZ*==",           /* no such character */
        "dGhlIHNhbXBsZSBub25jZ-==",           /* of the other alphabet */
        " dGhlIHNhbXBsZSBub25jZQ==",          /* space in front */
        "dGhlIHNhbXBsZSBub25jZQ== ",          /* and behind */
        "dGhl\nIHNhbXBsZSBub25jZQ==",         /* line break */
        "dGhlIHNhbXBs=SBub25jZQ==",           /* padding inside */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
    };
    for (size_t i = 0; i != sizeof(bad) / sizeof(*bad); ++i) {
        char response[WS_KEY_SIZE];
        CHECK_ERR(ws_response_key(bad[i], response), -1, EPROTO);
    }
}

/* --- After a fork --- */

static int key_pipe[2];
static void write_key(void) {
    char key[WS_KEY_SIZE];
    CHECK_INT(ws_request_key(key), 0);
    CHECK_INT(write(key_pipe[1], key, 24), 24);
}

TEST(a_child_makes_other_keys_than_its_parent_and_its_siblings) {
    char keys[3][WS_KEY_SIZE] = {{0}};
    CHECK_INT(pipe(key_pipe), 0);
    write_key();
    CHECK_INT(read(key_pipe[0], keys[0], 24), 24);
    for (int i = 0; i != 2; ++i) {
        CHECK_EXITS_WITH(write_key, 0);
        CHECK_INT(read(key_pipe[0], keys[i], 24), 24);
    }
    write_key();
    CHECK_INT(read(key_pipe[0], keys[2], 24), 24);
    CHECK(strcmp(keys[0], keys[1]) != 0);
    CHECK(strcmp(keys[0], keys[2]) != 0);
    CHECK(strcmp(keys[1], keys[2]) != 0);
}
