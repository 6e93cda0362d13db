/* SPDX-License-Identifier: MPL-2.0 */
/* store_fixture.h - a store in a directory of its own for each test, and helpers around it.
 * Each program of tests includes it first. */
#ifndef CHAPTERD_STORE_FIXTURE_H
#define CHAPTERD_STORE_FIXTURE_H

#include "daemon/io/store.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MAP_SIZE_TEST (256ull * 1024 * 1024)

#define assert_status(expression, expected)                                                    \
    assert_string_equal(status_name(expression), status_name(expected))
#define assert_ok(expression) assert_status(expression, OK)

struct place {
    char dir[128];
    struct store *store;
    struct store_txn txn;
};

static inline struct place *place_new(void)
{
    struct place *place = calloc(1, sizeof *place);
    const char *tmp = getenv("TMPDIR");

    assert_non_null(place);
    (void)snprintf(place->dir, sizeof place->dir, "%s/store_XXXXXX",
                   tmp != NULL && strlen(tmp) < 100 ? tmp : "/tmp");
    assert_non_null(mkdtemp(place->dir));
    return place;
}

static inline int remove_one(const char *path, const struct stat *found, int type,
                             struct FTW *walk)
{
    (void)found;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline int place_free(void **state)
{
    struct place *place = *state;

    store_abort(&place->txn);
    store_close(&place->store);
    (void)nftw(place->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(place);
    return 0;
}

static inline int place_make_empty(void **state)
{
    *state = place_new();
    return 0;
}

static inline int place_make(void **state)
{
    struct place *place = place_new();

    assert_ok(store_create(place->dir));
    assert_ok(store_open(place->dir, MAP_SIZE_TEST, &place->store));
    assert_ok(store_begin_write(place->store, &place->txn));
    *state = place;
    return 0;
}

/* What was written becomes durable, and is read back from the file. */
static inline void reopen(struct place *place)
{
    if (place->txn.handle != NULL && place->txn.writing)
        assert_ok(store_commit_turn(&place->txn));
    store_abort(&place->txn);
    store_close(&place->store);
    assert_ok(store_open(place->dir, MAP_SIZE_TEST, &place->store));
    assert_ok(store_begin_write(place->store, &place->txn));
}

static inline void assert_slice(struct slice slice, const char *text)
{
    assert_int_equal(slice.size, strlen(text));
    assert_memory_equal(slice.data, text, slice.size);
}

/* --- rows -------------------------------------------------------------------------------- */

#define NIL "\xc0"

/* Ids are told apart by one number. */
static inline void id_of(uint64_t n, uint8_t out_id[ID_SIZE])
{
    memset(out_id, 0, ID_SIZE);
    for (int i = 0; i < 8; i++)
        out_id[i] = (uint8_t)((n * 0x9e3779b97f4a7c15ull) >> (8 * i));
    for (int i = 0; i < 8; i++)
        out_id[ID_SIZE - 1 - i] = (uint8_t)(n >> (8 * i));
}

/* A member's change at seq; a NULL value leaves its tier out. */
static inline struct change change_of(uint64_t id, uint64_t seq, const char *federation,
                                      const char *hq)
{
    struct change change = { .seq = seq, .type = RECORD_MEMBER };

    id_of(id, change.id);
    if (federation != NULL) {
        change.tiers |= TIERS_FEDERATION;
        change.value[TIER_FEDERATION] = slice_of_text(federation);
    }
    if (hq != NULL) {
        change.tiers |= TIERS_HQ;
        change.value[TIER_HQ] = slice_of_text(hq);
        memset(change.salt, (int)(seq & 0xff), SALT_SIZE);
    }
    return change;
}

static inline enum status put(struct place *place, uint32_t number, uint64_t id, uint64_t seq,
                              const char *federation, const char *hq)
{
    const struct change change = change_of(id, seq, federation, hq);

    return store_put_row(&place->txn, number, &change);
}

/* The rows of a number as one line: "id@seq fh" with the tiers that stand there. */
static inline void assert_rows(struct place *place, uint32_t number, unsigned tiers,
                               uint64_t after, const char *expected)
{
    char line[1024] = "";
    size_t used = 0;
    struct store_cursor cursor = { 0 };
    struct change row;
    enum status status;

    assert_ok(store_cursor_open(&place->txn, number, tiers, after, &cursor));
    while ((status = store_cursor_next(&cursor, &row)) == OK) {
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%u@%u %s%s",
                                 used == 0 ? "" : ", ", (unsigned)row.id[ID_SIZE - 1],
                                 (unsigned)row.seq, row.tiers & TIERS_FEDERATION ? "f" : "",
                                 row.tiers & TIERS_HQ ? "h" : "");
        assert_true(used < sizeof line);
    }
    store_cursor_close(&cursor);
    assert_status(status, NOT_FOUND);
    assert_string_equal(line, expected);
}

#endif
