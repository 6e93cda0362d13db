/* SPDX-License-Identifier: MPL-2.0 */
/* sorter.c - full buffers are sorted and written as runs; runs are merged by a heap.  When
 * there are as many as can be merged well, they become one. */
#include "client/sorter.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A sorted run: what is left in the file, and what of it was read into its part of the
 * buffer. */
struct run {
    uint64_t at; /* in records */
    uint64_t end;
    struct sort_record *records;
    size_t next;
    size_t count;
};

struct sorter {
    struct sort_record *records;
    size_t capacity;
    size_t count;
    size_t next; /* while all are in memory */
    uint64_t total;
    bool reading;
    bool has_file;
    int fd;
    uint64_t written; /* records in the file */
    size_t run_count;
    struct run runs[SORTER_RUNS_MAX];
    struct run *heap[SORTER_RUNS_MAX]; /* those that have records, the smallest first */
    size_t heap_size;
};

enum status sorter_new(size_t memory, struct sorter **out_sorter)
{
    struct sorter *sorter = calloc(1, sizeof *sorter);

    ASSERT(memory >= 2 * SORTER_RUNS_MAX * sizeof(struct sort_record));
    if (sorter == NULL)
        return NO_MEMORY;
    sorter->capacity = memory / sizeof *sorter->records;
    sorter->records = malloc(sorter->capacity * sizeof *sorter->records);
    if (sorter->records == NULL) {
        free(sorter);
        return NO_MEMORY;
    }
    *out_sorter = sorter;
    return OK;
}

void sorter_free(struct sorter **sorter)
{
    if (*sorter == NULL)
        return;
    if ((*sorter)->has_file)
        (void)close((*sorter)->fd);
    free((*sorter)->records);
    free(*sorter);
    *sorter = NULL;
}

uint64_t sorter_count(const struct sorter *sorter)
{
    return sorter->total;
}

static bool is_before(const struct sort_record *a, const struct sort_record *b)
{
    if (a->high != b->high)
        return a->high < b->high;
    if (a->low != b->low)
        return a->low < b->low;
    return a->value < b->value;
}

static int compare(const void *a, const void *b)
{
    return is_before(a, b) ? -1 : is_before(b, a);
}

static enum status write_records(const struct sorter *sorter, int fd, uint64_t at)
{
    return temporary_write(fd, sorter->records, sorter->count * sizeof *sorter->records,
                           at * sizeof *sorter->records);
}

/* --- merging ------------------------------------------------------------------------------ */

static enum status refill(const struct sorter *sorter, struct run *run)
{
    const size_t share = sorter->capacity / SORTER_RUNS_MAX;
    const uint64_t left = run->end - run->at;
    const size_t count = left < share ? (size_t)left : share;
    const enum status status = temporary_read(
        sorter->fd, run->records, count * sizeof *run->records, run->at * sizeof *run->records);

    if (status != OK)
        return status;
    run->at += count;
    run->next = 0;
    run->count = count;
    return OK;
}

static bool run_is_before(const struct run *a, const struct run *b)
{
    return is_before(&a->records[a->next], &b->records[b->next]);
}

static void sift_down(struct sorter *sorter, size_t place)
{
    struct run *run = sorter->heap[place];

    for (;;) {
        size_t child = 2 * place + 1;

        if (child + 1 < sorter->heap_size &&
            run_is_before(sorter->heap[child + 1], sorter->heap[child]))
            child++;
        if (child >= sorter->heap_size || !run_is_before(sorter->heap[child], run))
            break;
        sorter->heap[place] = sorter->heap[child];
        place = child;
    }
    sorter->heap[place] = run;
}

/* The buffer is shared out among the runs. */
static enum status begin_merging(struct sorter *sorter)
{
    enum status status;

    sorter->heap_size = 0;
    for (size_t i = 0; i < sorter->run_count; i++) {
        struct run *run = &sorter->runs[i];

        run->records = sorter->records + i * (sorter->capacity / SORTER_RUNS_MAX);
        if ((status = refill(sorter, run)) != OK)
            return status;
        sorter->heap[sorter->heap_size++] = run;
    }
    for (size_t i = sorter->heap_size; i-- > 0;)
        sift_down(sorter, i);
    return OK;
}

static enum status merge_next(struct sorter *sorter, struct sort_record *out_record)
{
    struct run *run = sorter->heap[0];
    enum status status;

    if (sorter->heap_size == 0)
        return NOT_FOUND;
    *out_record = run->records[run->next++];
    if (run->next == run->count) {
        if (run->at == run->end)
            sorter->heap[0] = sorter->heap[--sorter->heap_size];
        else if ((status = refill(sorter, run)) != OK)
            return status;
    }
    if (sorter->heap_size > 0)
        sift_down(sorter, 0);
    return OK;
}

/* All runs into one, in a new file. */
static enum status merge_runs(struct sorter *sorter)
{
    enum { PIECE = 1024 };
    struct sort_record piece[PIECE];
    uint64_t written = 0;
    enum status status;
    size_t count;
    int fd;

    if ((status = begin_merging(sorter)) != OK || (status = temporary_open(&fd)) != OK)
        return status;
    do {
        for (count = 0; count < PIECE; count++)
            if ((status = merge_next(sorter, &piece[count])) != OK)
                break;
        if (status == OK || status == NOT_FOUND) {
            const enum status wrote =
                temporary_write(fd, piece, count * sizeof piece[0], written * sizeof piece[0]);

            written += count;
            status = wrote == OK ? status : wrote;
        }
    } while (status == OK);
    if (status != NOT_FOUND) {
        (void)close(fd);
        return status;
    }
    (void)close(sorter->fd);
    sorter->fd = fd;
    sorter->written = written;
    sorter->runs[0] = (struct run){ .end = written };
    sorter->run_count = 1;
    return OK;
}

/* --- runs --------------------------------------------------------------------------------- */

static enum status write_run(struct sorter *sorter)
{
    enum status status;

    qsort(sorter->records, sorter->count, sizeof *sorter->records, compare);
    if (!sorter->has_file) {
        if ((status = temporary_open(&sorter->fd)) != OK)
            return status;
        sorter->has_file = true;
    }
    if ((status = write_records(sorter, sorter->fd, sorter->written)) != OK)
        return status;
    sorter->runs[sorter->run_count++] =
        (struct run){ .at = sorter->written, .end = sorter->written + sorter->count };
    sorter->written += sorter->count;
    sorter->count = 0;
    return sorter->run_count == SORTER_RUNS_MAX ? merge_runs(sorter) : OK;
}

enum status sorter_add(struct sorter *sorter, struct sort_record record)
{
    enum status status;

    ASSERT(!sorter->reading);
    if (sorter->count == sorter->capacity && (status = write_run(sorter)) != OK)
        return status;
    sorter->records[sorter->count++] = record;
    sorter->total++;
    return OK;
}

static enum status begin_reading(struct sorter *sorter)
{
    enum status status = OK;

    sorter->reading = true;
    if (!sorter->has_file)
        qsort(sorter->records, sorter->count, sizeof *sorter->records, compare);
    else if (sorter->count == 0 || (status = write_run(sorter)) == OK)
        status = begin_merging(sorter);
    return status;
}

enum status sorter_next(struct sorter *sorter, struct sort_record *out_record)
{
    enum status status;

    if (!sorter->reading && (status = begin_reading(sorter)) != OK)
        return status;
    if (sorter->has_file)
        return merge_next(sorter, out_record);
    if (sorter->next == sorter->count)
        return NOT_FOUND;
    *out_record = sorter->records[sorter->next++];
    return OK;
}
