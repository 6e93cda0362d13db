/* SPDX-License-Identifier: MPL-2.0 */
/* spool_test.c - bytes and records beyond the memory that they may take, and a disk that has no
 * room for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include <signal.h>

#include "client/sorter.h"
#include "client/spool.h"

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* --- spool -------------------------------------------------------------------------------- */

static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 31 + (offset >> 8) * 7);
}

static void add_bytes(struct spool *spool, size_t size)
{
    uint8_t *bytes = malloc(size);

    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = byte_at(spool->size + i);
    assert_int_equal(spool_add(spool, bytes, size), OK);
    free(bytes);
}

static void check_bytes(struct spool *spool, uint64_t offset, size_t size)
{
    const uint8_t *bytes = NULL;

    assert_int_equal(spool_get(spool, offset, size, &bytes), OK);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], byte_at(offset + i));
}

static void test_spool(void **state)
{
    static const size_t pieces[] = { 1, 100, 4096, 70000, SPOOL_PIECE_MAX };
    struct spool spool = { 0 };
    uint64_t random = 1;
    uint64_t at = 0;

    (void)state;
    add_bytes(&spool, 1000);
    check_bytes(&spool, 0, 1000);
    assert_false(spool.has_file);
    while (spool.size < 5 * SPOOL_WINDOW_SIZE)
        add_bytes(&spool, pieces[next_random(&random) % 4]);
    assert_true(spool.has_file);
    while (at + 1000 < spool.size) { /* one after the other */
        check_bytes(&spool, at, 1000);
        at += 1000;
    }
    for (int i = 0; i < 300; i++) { /* anywhere, with some more added meanwhile */
        const size_t size = pieces[next_random(&random) % 5];

        check_bytes(&spool, next_random(&random) % (spool.size - size + 1), size);
        if (i % 10 == 0)
            add_bytes(&spool, 300);
    }
    spool_done(&spool);
}

static void test_spool_keeps_changes(void **state)
{
    enum { COUNT = 100000 };
    struct spool spool = { 0 };
    uint64_t random = 2;
    uint64_t number;
    uint64_t *expected = calloc(COUNT, sizeof *expected);

    (void)state;
    assert_non_null(expected);
    for (number = 0; number < COUNT; number++) {
        expected[number] = number;
        assert_int_equal(spool_add(&spool, &number, sizeof number), OK);
    }
    for (int i = 0; i < 2000; i++) {
        const uint64_t place = next_random(&random) % COUNT;

        number = next_random(&random);
        expected[place] = number;
        assert_int_equal(spool_change(&spool, place * sizeof number, &number, sizeof number),
                         OK);
    }
    for (size_t i = 0; i < COUNT; i++) {
        const uint8_t *bytes = NULL;

        assert_int_equal(spool_get(&spool, i * sizeof number, sizeof number, &bytes), OK);
        memcpy(&number, bytes, sizeof number);
        assert_int_equal(number, expected[i]);
    }
    spool_done(&spool);
    free(expected);
}

/* --- sorter ------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const struct sort_record *left = a;
    const struct sort_record *right = b;

    if (left->high != right->high)
        return left->high < right->high ? -1 : 1;
    if (left->low != right->low)
        return left->low < right->low ? -1 : 1;
    return left->value < right->value ? -1 : left->value > right->value;
}

/* In memory, in few runs, in so many that runs are merged into one more than once. */
static void test_sorter(void **state)
{
    static const size_t counts[] = { 0, 1, 2, 127, 128, 129, 5000, 128 * 63 + 1, 40000 };
    const size_t memory = 2 * SORTER_RUNS_MAX * sizeof(struct sort_record);
    uint64_t random = 3;

    (void)state;
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct sort_record *expected = calloc(counts[c] + 1, sizeof *expected);
        struct sorter *sorter = NULL;
        struct sort_record record;

        assert_non_null(expected);
        assert_int_equal(sorter_new(memory, &sorter), OK);
        for (size_t i = 0; i < counts[c]; i++) {
            /* few different ones: each part decides somewhere */
            expected[i] =
                (struct sort_record){ next_random(&random) % 20, next_random(&random) % 20,
                                      next_random(&random) };
            assert_int_equal(sorter_add(sorter, expected[i]), OK);
        }
        assert_int_equal(sorter_count(sorter), counts[c]);
        qsort(expected, counts[c], sizeof *expected, compare);
        for (size_t i = 0; i < counts[c]; i++) {
            assert_int_equal(sorter_next(sorter, &record), OK);
            assert_memory_equal(&record, &expected[i], sizeof record);
        }
        assert_int_equal(sorter_next(sorter, &record), NOT_FOUND);
        sorter_free(&sorter);
        assert_null(sorter);
        free(expected);
    }
}

/* --- no room ------------------------------------------------------------------------------ */

/* A limit on the size of files answers like a full disk. */
static void test_no_room(void **state)
{
    const struct rlimit small = { 64 * 1024, RLIM_INFINITY };
    static const uint8_t bytes[4096];
    struct sorter *sorter = NULL;
    struct spool spool = { 0 };
    enum status status = OK;
    struct rlimit before;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    while (status == OK && spool.size < 2 * SPOOL_WINDOW_SIZE)
        status = spool_add(&spool, bytes, sizeof bytes);
    assert_int_equal(status, NO_SPACE);
    spool_done(&spool);
    assert_int_equal(sorter_new(2 * SORTER_RUNS_MAX * sizeof(struct sort_record), &sorter), OK);
    status = OK;
    for (uint64_t i = 0; status == OK && i < 10000; i++)
        status = sorter_add(sorter, (struct sort_record){ i, i, i });
    assert_int_equal(status, NO_SPACE);
    sorter_free(&sorter);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)setenv("TMPDIR", "/nonexistent", 1);
    status = OK;
    while (status == OK && spool.size < 2 * SPOOL_WINDOW_SIZE)
        status = spool_add(&spool, bytes, sizeof bytes);
    assert_int_equal(status, IO);
    assert_string_equal(temporary_directory(), "/nonexistent");
    spool_done(&spool);
    (void)unsetenv("TMPDIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spool),
        cmocka_unit_test(test_spool_keeps_changes),
        cmocka_unit_test(test_sorter),
        cmocka_unit_test(test_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
