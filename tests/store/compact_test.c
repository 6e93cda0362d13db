/* SPDX-License-Identifier: MPL-2.0 */
/* compact_test.c - a compacted store holds what it held, and nothing of what was deleted: not
 * in free pages, not in the gaps of those in use. */
#include "tests/store/store_fixture.h"

#include <dirent.h>

#include "daemon/io/fault.h"
#include "daemon/io/store_internal.h"

#define ROWS 4000
#define CANARY "canary-of-the-deleted"

static const char *failing; /* the point at which the world fails */

bool fault_at(const char *point)
{
    return failing != NULL && strcmp(failing, point) == 0;
}

static struct slice file_of(const struct place *place)
{
    char path[256];
    struct slice bytes;
    uint8_t *data;
    FILE *file;
    long size;

    (void)snprintf(path, sizeof path, "%s/db/data.mdb", place->dir);
    assert_non_null(file = fopen(path, "rb"));
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    assert_true((size = ftell(file)) > 0);
    rewind(file);
    assert_non_null(data = malloc((size_t)size));
    assert_int_equal(fread(data, 1, (size_t)size, file), size);
    fclose(file);
    bytes = slice_of(data, (size_t)size);
    return bytes;
}

static bool holds(const struct place *place, const char *text)
{
    const struct slice file = file_of(place);
    const bool found = memmem(file.data, file.size, text, strlen(text)) != NULL;

    free((void *)(uintptr_t)file.data);
    return found;
}

static bool leftover(const struct place *place)
{
    DIR *directory = opendir(place->dir);
    const struct dirent *entry;
    bool found = false;

    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL)
        found |= strncmp(entry->d_name, STORE_TEMPORARY, strlen(STORE_TEMPORARY)) == 0;
    closedir(directory);
    return found;
}

static void private_of(struct place *place, uint64_t n, const char *text)
{
    uint8_t id[ID_SIZE];

    id_of(n, id);
    assert_ok(store_put_private(&place->txn, id, slice_of_text(text)));
}

/* Rows between which some were deleted: their pages stay in use.  Sums take pages of their own,
 * for which LMDB uses buffers again that held rows, and fills half of them. */
static void fill(struct place *place)
{
    struct digest_sum sum;
    char text[64];

    digest_sum_clear(&sum);

    for (uint64_t n = 1; n <= ROWS; n++) {
        (void)snprintf(text, sizeof text, "%s %llu", n % 7 == 0 ? CANARY : "stays",
                       (unsigned long long)n);
        private_of(place, n, text);
        assert_ok(put(place, 5, n, n, text, text));
    }
    assert_ok(store_commit_turn(&place->txn));
    assert_ok(store_begin_write(place->store, &place->txn));
    for (uint32_t number = 1; number <= 40; number++)
        assert_ok(store_put_sum(&place->txn, number, TIER_HQ, &sum));
    for (uint64_t n = 7; n <= ROWS; n += 7) {
        uint8_t id[ID_SIZE];

        private_of(place, n, "");
        id_of(n, id);
        assert_ok(store_drop_row(&place->txn, 5, TIERS_BOTH, id));
    }
    assert_ok(store_commit_turn(&place->txn));
}

static void assert_whole(struct place *place)
{
    uint64_t count = 0;

    assert_ok(store_begin_read(place->store, &place->txn));
    for (uint64_t n = 1; n <= ROWS; n++) {
        uint8_t id[ID_SIZE];
        struct store_row row;
        struct slice value;

        id_of(n, id);
        assert_status(store_get_private(&place->txn, id, &value), n % 7 == 0 ? NOT_FOUND : OK);
        assert_status(store_get_row(&place->txn, 5, id, &row), n % 7 == 0 ? NOT_FOUND : OK);
    }
    assert_ok(store_count_rows(&place->txn, 5, 0, UINT64_MAX, &count));
    assert_int_equal(count, ROWS - ROWS / 7);
    store_abort(&place->txn);
}

static void nothing_deleted_is_left(void **state)
{
    struct place *place = *state;

    uint64_t before;

    failing = NULL;
    fill(place);
    assert_true(holds(place, CANARY));
    before = store_file_bytes(place->store);
    assert_ok(store_compact(&place->store, place->dir));
    assert_false(holds(place, CANARY));
    assert_true(holds(place, "stays 1"));
    assert_true(store_file_bytes(place->store) < before);
    assert_false(leftover(place));
    assert_whole(place);
    /* it is written to as before, and opened as before */
    assert_ok(store_begin_write(place->store, &place->txn));
    assert_ok(put(place, 5, ROWS + 1, ROWS + 1, "more", "more"));
    reopen(place);
    assert_ok(put(place, 5, ROWS + 2, ROWS + 2, "more", "more"));
    store_abort(&place->txn);
}

/* Whatever moment it ends at, there is one whole store. */
static void a_failure_loses_nothing(void **state)
{
    static const char *const points[] = { "store.compact.before", "store.compact.after" };
    struct place *place = *state;

    fill(place);
    for (size_t i = 0; i < 2; i++) {
        failing = points[i];
        assert_status(store_compact(&place->store, place->dir), IO);
        failing = NULL;
        store_close(&place->store);
        assert_ok(store_open(place->dir, MAP_SIZE_TEST, &place->store));
        assert_false(leftover(place));
        assert_whole(place);
        assert_int_equal(holds(place, CANARY), i == 0);
    }
}

/* Each time the copy came into place, and nothing after that was done. */
static void a_failure_makes_no_copy_of_it(void **state)
{
    struct place *place = *state;
    bool copied;

    fill(place);
    assert_ok(store_marker_renew(place->store, place->dir));
    for (int i = 0; i < 3; i++) {
        failing = "store.compact.after";
        assert_status(store_compact(&place->store, place->dir), IO);
        failing = NULL;
        store_close(&place->store);
        assert_ok(store_open(place->dir, MAP_SIZE_TEST, &place->store));
        assert_ok(store_marker_check(place->store, place->dir, &copied));
        assert_false(copied);
    }
}

/* A crash left the copy half made. */
static void a_leftover_is_removed(void **state)
{
    struct place *place = *state;
    char path[256];
    FILE *file;

    failing = NULL;
    fill(place);
    (void)snprintf(path, sizeof path, "%s/" STORE_TEMPORARY "abcdef", place->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/" STORE_TEMPORARY "abcdef/data.mdb", place->dir);
    assert_non_null(file = fopen(path, "wb"));
    assert_int_equal(fwrite(CANARY, 1, sizeof CANARY, file), sizeof CANARY);
    fclose(file);
    assert_true(leftover(place));
    assert_ok(store_compact(&place->store, place->dir));
    assert_false(leftover(place));
    assert_whole(place);
}

int main(void)
{
#define OPEN(test) cmocka_unit_test_setup_teardown(test, place_make, place_free)
    const struct CMUnitTest tests[] = {
        OPEN(nothing_deleted_is_left),
        OPEN(a_failure_loses_nothing),
        OPEN(a_failure_makes_no_copy_of_it),
        OPEN(a_leftover_is_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
