/* What both loads measure with: clocks, shares of what was noted, and what a process has used. */
#ifndef MEASURE_H
#define MEASURE_H
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static inline void fail(const char *what) { perror(what); exit(2); }

static inline uint64_t clock_ns(clockid_t which) {
    struct timespec at;
    clock_gettime(which, &at);
    return at.tv_sec * 1000000000ull + at.tv_nsec;
}

static inline uint64_t now(void) { return clock_ns(CLOCK_MONOTONIC); }
static inline uint64_t wall_us(void) { return clock_ns(CLOCK_REALTIME) / 1000; }

/* Most significant octet first. */
static inline void put_number(uint8_t *to, uint64_t number, int size) {
    for (int at = size - 1; at >= 0; at--, number >>= 8) to[at] = number;
}

static inline uint64_t get_number(const uint8_t *from, int size) {
    uint64_t number = 0;
    for (int at = 0; at < size; at++) number = number << 8 | from[at];
    return number;
}

/* Of nanoseconds, each to within 3 %. */
struct histogram { uint64_t buckets[2048], count; };

static inline void note(struct histogram *in, uint64_t value) {
    int high = 63 - __builtin_clzll(value | 1), shift = high > 5 ? high - 5 : 0;
    in->buckets[32 * shift + (value >> shift)]++;
    in->count++;
}

/* The middle of the bucket in which the value is that the share `of` of all are not above; below 0
 * if nothing was noted. */
static inline double share(struct histogram *in, double of) {
    uint64_t wanted = in->count * of, seen = 0;
    for (uint64_t at = 0; at < 2048; at++)
        if ((seen += in->buckets[at]) > wanted) {
            int shift = at < 64 ? 0 : at / 32 - 1;
            return (at - 32.0 * shift + 0.5) * (1ull << shift);
        }
    return -1e9;
}

struct usage { double seconds; uint64_t resident; };

/* Of these processes together, their ids with commas between. */
static inline struct usage usage_of(const char *pids) {
    struct usage sum = {0};
    for (const char *at = pids; at && *at; at = strchr(at, ','), at += at != NULL) {
        char path[64], text[4096];
        unsigned long user = 0, system = 0, pages = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", atoi(at));
        FILE *file = fopen(path, "r");
        if (!file) continue;
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
        sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu"
               " %*d %*d %*d %*d %*d %*d %*u %*u %lu", &user, &system, &pages);
        sum.seconds += (user + system) / (double)sysconf(_SC_CLK_TCK);
        sum.resident += pages * sysconf(_SC_PAGESIZE);
    }
    return sum;
}

static inline double own_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec
        + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}
#endif
