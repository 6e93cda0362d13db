/* SPDX-License-Identifier: MPL-2.0 */
/* sorter.h - records in ascending order, however many, in a fixed amount of memory.
 * Merge sort of runs in a temporary file (Knuth, The Art of Computer Programming 3, 5.4); what
 * fits into memory never leaves it. */
#ifndef CHAPTERCTL_SORTER_H
#define CHAPTERCTL_SORTER_H

#include "client/temporary.h"

/* Ordered by high, then low, then value. */
struct sort_record {
    uint64_t high;
    uint64_t low;
    uint64_t value;
};

#define SORTER_MEMORY ((size_t)4 * 1024 * 1024)
#define SORTER_RUNS_MAX 64

struct sorter;

/* memory: bytes of records that it holds, at least two records for each of SORTER_RUNS_MAX; as
 * much again is used while they are sorted.  NO_MEMORY. */
enum status sorter_new(size_t memory, struct sorter **out_sorter) MUST_CHECK;
void sorter_free(struct sorter **sorter);
uint64_t sorter_count(const struct sorter *sorter);
/* NO_MEMORY, NO_SPACE or IO with errno, as the others. */
enum status sorter_add(struct sorter *sorter, struct sort_record record) MUST_CHECK;
/* The smallest that was not taken yet; NOT_FOUND after the last.  After the first call nothing
 * may be added. */
enum status sorter_next(struct sorter *sorter, struct sort_record *out_record) MUST_CHECK;

#endif
