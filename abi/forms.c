/* The two call forms of ws_attach_client and ws_detach: which function gets which arguments. C and C++.
   Instead of the library, this file has functions that remember how they were called. */

#include "libdill.h"
#include <stdio.h>
#include <string.h>

static int handle, number, calls;
static const char *first, *second;
static const void *bytes;
static size_t length;
static int64_t until;

#ifdef __cplusplus
extern "C" {
#endif
int(dill_ws_attach_client)(int s, int flags, const char *resource, const char *host, int64_t deadline) {
    handle = s, number = flags, first = resource, second = host, until = deadline;
    return ++calls;
}
int(dill_ws_detach)(int s, int status, const void *buf, size_t len, int64_t deadline) {
    handle = s, number = status, bytes = buf, length = len, until = deadline;
    return ++calls;
}
#ifdef __cplusplus
}
#endif

static int failures;
static void check(int holds, const char *what, int line) {
    if (!holds) {
        printf("forms.c:%d: %s\n", line, what);
        failures++;
    }
}
#define CHECK(holds) check(holds, #holds, __LINE__)

/* The names without parentheses are the functions. */
static int (*const attach)(int, int, const char *, const char *, int64_t) = ws_attach_client;
static int (*const detach)(int, int, const void *, size_t, int64_t) = &ws_detach;

/* In a function that the linker may see, only functions with a name of its own may be used. */
__inline__ int used_inline(int s);
__inline__ int used_inline(int s) { return ws_detach(s, -1) + ws_attach_client(s, "", "", WS_TEXT, -1); }
int used_inline(int s);

static int side_effects;
static int once(int value) {
    side_effects++;
    return value;
}

static void attaching(void) {
    int s = 7;
    char resource[] = "/chat";
    const char *host = "example.com";
    ws_attach_client(s, "/", "", WS_TEXT, -1);
    CHECK(handle == 7 && number == WS_TEXT && until == -1 && !strcmp(first, "/") && !strcmp(second, ""));
    ws_attach_client(s, resource, host, WS_BINARY, 5);
    CHECK(number == WS_BINARY && first == resource && second == host && until == 5);
    ws_attach_client(s, host, resource, 0, 0);
    CHECK(number == 0 && first == host && second == resource && until == 0);
    ws_attach_client(s, WS_TEXT, "/", "h", now() + 1000);
    CHECK(number == WS_TEXT && !strcmp(first, "/") && !strcmp(second, "h") && until == 1042);
    ws_attach_client(s, 0, NULL, NULL, -1);
    CHECK(number == 0 && !first && !second);
    ws_attach_client(s, WS_NOHTTP, 0, 0, -1);
    CHECK(number == WS_NOHTTP && !first && !second);
    ws_attach_client(once(8), once(WS_TEXT | WS_NOHTTP), resource, host, once(3));
    CHECK(handle == 8 && number == 3 && until == 3 && side_effects == 3);
    (ws_attach_client)(9, 1, resource, host, 2);
    CHECK(handle == 9 && number == 1);
    attach(10, 1, resource, host, 2);
    CHECK(handle == 10 && number == 1);
}

static void detaching(void) {
    int s = 7;
    char reason[] = "bye";
    ws_detach(s, -1);
    CHECK(handle == 7 && number == 0 && !bytes && length == 0 && until == -1);
    ws_detach(s, 1000, reason, 3, 100);
    CHECK(number == 1000 && bytes == reason && length == 3 && until == 100);
    CHECK((ws_detach)(11, 0, NULL, 0, 1) == calls && handle == 11);
    CHECK(detach(12, 0, NULL, 0, 1) == calls && handle == 12);
    CHECK(ws_detach(ws_detach(13, -1), -1) == calls && handle == calls - 1);
#ifndef __cplusplus
    ws_detach(s, 1001, (char[]){'b', 'y', 'e'}, 3, -1);
    CHECK(number == 1001 && length == 3 && !memcmp(bytes, "bye", 3));
#endif
}

int main(void) {
    attaching();
    detaching();
    return failures != 0;
}

#ifdef __cplusplus
extern "C"
#endif
int64_t dill_now(void) { return 42; }
