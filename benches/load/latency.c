#include "load.h"

#include <string.h>

/* 64 equal steps for every power of two. */
enum { STEPS = 64, BUCKETS = 64 * STEPS };

static uint64_t counts[BUCKETS];

static unsigned bucket_of(uint64_t ns)
{
    if(ns < STEPS) return (unsigned)ns;
    unsigned shift = 57 - (unsigned)__builtin_clzll(ns);
    return shift * STEPS + (unsigned)(ns >> shift);
}

static double middle_ns(unsigned bucket)
{
    if(bucket < 2 * STEPS) return bucket;
    unsigned shift = bucket / STEPS - 1;
    return ((double)(bucket - shift * STEPS) + 0.5) * (double)((uint64_t)1 << shift);
}

void latency_reset(void)
{
    memset(counts, 0, sizeof counts);
}

void latency_add(uint64_t ns, uint64_t times)
{
    counts[bucket_of(ns)] += times;
}

double latency_us(double quantile)
{
    uint64_t total = 0, seen = 0;
    for(unsigned i = 0; i < BUCKETS; i++) total += counts[i];
    for(unsigned i = 0; i < BUCKETS; i++) {
        seen += counts[i];
        if(seen > 0 && (double)seen >= quantile * (double)total) return middle_ns(i) / 1000;
    }
    return 0;
}
