/* What a function keeps across the go macros: variables of every kind, at every level of optimisation.
   C and C++. */

#include "libdill.h"
#include <stdio.h>
#include <string.h>

/* See libdill.h on variables that are shared with a coroutine. */
#ifdef __clang__
#define SHARED volatile
#else
#define SHARED
#endif

static int failures;
#define CHECK(holds)                                        \
    do {                                                    \
        if (!(holds)) {                                     \
            printf("go.c:%d: %s\n", __LINE__, #holds);      \
            failures++;                                     \
        }                                                   \
    } while (0)

/* Uses every register that a function may use. */
static __attribute__((noinline)) double scramble(long seed) {
    volatile double d[8];
    long a = seed, b = seed * 3, c = seed * 5, e = seed * 7, f = seed * 11, g = seed * 13, h = seed * 17;
    for (int i = 0; i < 8; i++) {
        d[i] = (double)(a + b) / (double)(c + i + 1);
        a += b ^ c, b += e ^ f, c += g ^ h, e += a, f += b, g += c, h += e;
    }
    return d[0] + d[3] * d[7] + (double)h;
}

static coroutine void worker(SHARED int *sum, int n, double x, const char *text) {
    char frame[512];
    memset(frame, n, sizeof frame);
    scramble(n);
    *sum = *sum + n + (int)x + (int)strlen(text);
    if (n & 1) yield();
    scramble(n + 1);
    *sum = *sum + (frame[n % 512] == (char)n);
}

static coroutine void many(SHARED int *sum, long a, long b, long c, long d, long e, long f, long g, long h) {
    yield();
    long number = a + b * 10 + c * 100 + d * 1000 + e * 10000 + f * 100000 + g * 1000000 + h * 10000000;
    *sum = *sum + (int)number;
}

static __attribute__((noinline)) void integers_and_doubles(int n) {
    SHARED int sum = 0;
    int i1 = n, i2 = n + 1, i3 = n + 2, i4 = n + 3, i5 = n + 4, i6 = n + 5, i7 = n + 6, i8 = n + 7;
    double d1 = n * 0.5, d2 = n * 1.5, d3 = n * 2.5, d4 = n * 3.5;
    long double l = n * 4.5L;
    int b = bundle();
    for (int i = 0; i < 50; i++) {
        CHECK(bundle_go(b, worker(&sum, i1 + i, d1 + i, "text")) == 0);
        i1++, i2 += 2, i3 += 3, i4 += 4, i5 += 5, i6 += 6, i7 += 7, i8 += 8;
        d1 += 1, d2 += 2, d3 += 3, d4 += 4, l += 5;
    }
    CHECK(bundle_wait(b, -1) == 0);
    CHECK(hclose(b) == 0);
    CHECK(i1 == n + 50 && i2 == n + 101 && i3 == n + 152 && i4 == n + 203);
    CHECK(i5 == n + 254 && i6 == n + 305 && i7 == n + 356 && i8 == n + 407);
    CHECK(d1 == n * 0.5 + 50 && d2 == n * 1.5 + 100 && d3 == n * 2.5 + 150 && d4 == n * 3.5 + 200);
    CHECK(l == n * 4.5L + 250);
    int expected = 0;
    for (int i = 0; i < 50; i++) expected += (n + 2 * i) + (int)(n * 0.5 + 2 * i) + 4 + 1;
    CHECK(sum == expected);
}

static __attribute__((noinline)) void arguments_on_the_stack(long x) {
    SHARED int sum = 0;
    int h = go(many(&sum, x, x, x, x, x, x, x, x));
    CHECK(h >= 0 && sum == 0);
    CHECK(bundle_wait(h, -1) == 0);
    CHECK(hclose(h) == 0);
    CHECK(sum == 11111111 * (int)x);
}

static __attribute__((noinline)) void memory_from_alloca(int n) {
    SHARED int sum = 0;
    int *numbers = (int *)__builtin_alloca((size_t)n * sizeof(int));
    for (int i = 0; i < n; i++) numbers[i] = i;
    int h = go(worker(&sum, 1, 0, "x"));
    for (int i = 0; i < n; i++) CHECK(numbers[i] == i);
    int *more = (int *)__builtin_alloca((size_t)(n + 1) * sizeof(int));
    for (int i = 0; i <= n; i++) more[i] = -i;
    int h2 = go(worker(&sum, 3, 0, "y"));
    for (int i = 0; i < n; i++) CHECK(numbers[i] == i && more[i] == -i);
    CHECK(hclose(h) == 0 && hclose(h2) == 0);
    CHECK(sum == 8);
}

typedef int vector __attribute__((vector_size(32)));
static __attribute__((noinline)) void aligned_vectors(int n) {
    SHARED int sum = 0;
    __attribute__((aligned(64))) char line[64];
    memset(line, n, sizeof line);
    vector v = {n, n, n, n, n, n, n, n}, w = v + v;
    int h = go(worker(&sum, 2, 0, line[0] == (char)n ? "ab" : ""));
    v += w;
    CHECK(((size_t)line & 63) == 0 && line[63] == (char)n);
    CHECK(v[0] == 3 * n && v[7] == 3 * n && sum == 5);
    CHECK(hclose(h) == 0);
}

static __attribute__((noinline)) int nested(int depth) {
    SHARED int sum = 0;
    static char stack[4][16384];
    int h = go_mem(worker(&sum, depth, 1.0, "abc"), stack[depth % 4], sizeof stack[0]);
    int below = depth ? nested(depth - 1) : 0;
    CHECK(hclose(h) == 0);
    return below + sum;
}

static __attribute__((noinline)) int fails(int sum) {
    SHARED int touched = 0;
    char small[1];
    int rc = bundle_go(12345, worker(&touched, 1, 1, ""));
    CHECK(rc == -1 && errno == EBADF);
    rc = go_mem(worker(&touched, 1, 1, ""), small, 1);
    CHECK(rc == -1 && errno == ENOMEM);
    CHECK(touched == 0);
    return sum;
}

int main(void) {
    for (int round = 0; round < 20; round++) {
        integers_and_doubles(round);
        arguments_on_the_stack(round + 1);
        memory_from_alloca(round + 2);
        aligned_vectors(round + 3);
        CHECK(nested(3) == (0 + 1 + 2 + 3) + 4 * (1 + 3 + 1));
        CHECK(fails(round) == round);
    }
    return failures != 0;
}
