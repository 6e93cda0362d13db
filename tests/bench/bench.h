/* SPDX-License-Identifier: MPL-2.0 */
/* bench.h - what both programs of the benchmark need: they end at the first thing that is
 * wrong. */
#ifndef CHAPTERD_BENCH_H
#define CHAPTERD_BENCH_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MUST(condition)                                                                        \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            (void)fprintf(stderr, "%s:%d: %s failed (%s)\n", __FILE__, __LINE__, #condition,   \
                          strerror(errno));                                                    \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

static inline int64_t now_ns(void)
{
    struct timespec now;

    MUST(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Ends with 2 unless text is a whole number from 1 to max. */
static inline uint64_t number_of(const char *text, uint64_t max)
{
    char *end;
    const uint64_t number = strtoull(text, &end, 10);

    if (*end != '\0' || number == 0 || number > max) {
        (void)fprintf(stderr, "\"%s\" is not a number from 1 to %llu\n", text,
                      (unsigned long long)max);
        exit(2);
    }
    return number;
}

#endif
