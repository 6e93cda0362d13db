/* SPDX-License-Identifier: MPL-2.0 */
/* crash_test.c - kill -9 at random moments: what was acknowledged is there, and sums and
 * census are those of the rows.  The child opens the store after the fork, as LMDB demands. */
#include "store_fixture.h"

#include <signal.h>
#include <sys/wait.h>

enum { CYCLES = 20, IDS = 64, NUMBER = 5, OPS_A_TURN_MAX = 24 };

/* --- a history that follows from its numbers --------------------------------------------- */

static uint32_t mix(uint64_t value)
{
    value = (value ^ value >> 31) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(value >> 32);
}

/* The change at seq; its values point into bytes. */
static struct change change_at(uint64_t seq, uint8_t bytes[256])
{
    const uint32_t random = mix(seq);
    struct change change = { .seq = seq, .type = RECORD_MEMBER };

    id_of(random % IDS, change.id);
    change.tiers = random >> 8 & TIERS_BOTH;
    if (change.tiers == 0)
        change.tiers = TIERS_BOTH;
    memset(bytes, (int)(seq & 0x7f), 256);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (change.tiers & (1u << tier))
            change.value[tier] =
                random >> 16 & 3 ? slice_of(bytes, random >> 24) : slice_of_text(NIL);
    if (change.tiers & TIERS_HQ)
        memset(change.salt, (int)(seq & 0xff), SALT_SIZE);
    return change;
}

static void group_of(uint32_t id, uint8_t key[CENSUS_KEY_SIZE])
{
    memset(key, 0, CENSUS_KEY_SIZE);
    key[0] = 'c';
    key[3] = (uint8_t)(id % 5);
}

/* --- the child: one change after the other, with sums and census, a few a turn ----------- */

static bool counts(const struct change *change)
{
    return (change->tiers & TIERS_FEDERATION) &&
           !value_is_removal(change->value[TIER_FEDERATION]);
}

static bool apply(struct store_txn *txn, const struct change *change)
{
    struct digest_sum sums[TIERS_PUBLISHED];
    struct store_row row = { .tiers = 0 };
    uint8_t key[CENSUS_KEY_SIZE];
    int delta = counts(change);
    const enum status got = store_get_row(txn, NUMBER, change->id, &row);

    if (got != OK && got != NOT_FOUND)
        return false;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        struct change old = { .seq = row.seq[tier], .type = row.type };

        if (!(change->tiers & (1u << tier)))
            continue;
        if (store_get_sum(txn, NUMBER, (enum tier)tier, &sums[tier]) != OK)
            return false;
        digest_add(&sums[tier], "fr", (enum tier)tier, change);
        if (!(row.tiers & (1u << tier)))
            continue;
        old.tiers = 1u << tier;
        memcpy(old.id, change->id, ID_SIZE);
        if (tier == TIER_HQ)
            memcpy(old.salt, row.salt, SALT_SIZE);
        old.value[tier] = row.value[tier];
        digest_subtract(&sums[tier], "fr", (enum tier)tier, &old);
        delta -= counts(&old);
    }
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((change->tiers & (1u << tier)) &&
            store_put_sum(txn, NUMBER, (enum tier)tier, &sums[tier]) != OK)
            return false;
    group_of(change->id[ID_SIZE - 1], key);
    if (delta != 0 && store_census_add(txn, NUMBER, key, delta) != OK)
        return false;
    return store_put_row(txn, NUMBER, change) == OK;
}

static int child(const char *dir, int acknowledge)
{
    struct store *store = NULL;
    struct store_txn txn = { 0 };
    uint8_t bytes[256];
    uint64_t seq = 0;

    if (store_open(dir, MAP_SIZE_TEST, &store) != OK)
        return 1;
    for (;;) {
        uint32_t ops;

        if (store_begin_write(store, &txn) != OK ||
            store_get_meta_uint(&txn, "seq", &seq) != OK)
            return 2;
        for (ops = 1 + mix(seq) % OPS_A_TURN_MAX; ops > 0; ops--) {
            const struct change change = change_at(++seq, bytes);

            if (!apply(&txn, &change))
                return 3;
        }
        if (store_put_meta_uint(&txn, "seq", seq) != OK || store_commit_turn(&txn) != OK)
            return 4;
        if (write(acknowledge, &seq, sizeof seq) != sizeof seq)
            return 5;
    }
}

/* --- the parent: kills, and looks -------------------------------------------------------- */

/* The last seq that the child acknowledged before it died. */
static uint64_t run_and_kill(const char *dir, useconds_t after_us)
{
    int pipes[2];
    uint64_t seq = 0;
    uint64_t acknowledged = 0;
    int status = 0;
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(child(dir, pipes[1]));
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &acknowledged, sizeof acknowledged), sizeof acknowledged);
    usleep(after_us);
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (read(pipes[0], &seq, sizeof seq) == sizeof seq)
        acknowledged = seq;
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return acknowledged;
}

static void check_rows(struct store_txn *txn, uint64_t seq)
{
    static uint64_t expected[IDS][TIERS_PUBLISHED];
    uint8_t bytes[256];

    memset(expected, 0, sizeof expected);
    for (uint64_t at = 1; at <= seq; at++) {
        const struct change change = change_at(at, bytes);

        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            if (change.tiers & (1u << tier))
                expected[change.id[ID_SIZE - 1]][tier] = at;
    }
    for (unsigned id = 0; id < IDS; id++)
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
            struct store_row row;
            struct change change;
            uint8_t id_bytes[ID_SIZE];

            if (expected[id][tier] == 0)
                continue;
            id_of(id, id_bytes);
            assert_ok(store_get_row(txn, NUMBER, id_bytes, &row));
            change = change_at(expected[id][tier], bytes);
            assert_true(row.tiers & (1u << tier));
            assert_int_equal(row.seq[tier], expected[id][tier]);
            assert_true(slice_equal(row.value[tier], change.value[tier]));
        }
}

static enum status compare_group(void *context, const uint8_t key[CENSUS_KEY_SIZE],
                                 uint64_t count)
{
    uint64_t *groups = context;

    assert_int_equal(count, groups[key[3]]);
    groups[key[3]] = 0;
    return OK;
}

static void check_recount(struct store_txn *txn)
{
    static struct digest_sum sums[TIERS_PUBLISHED];
    uint64_t groups[5] = { 0 };
    struct store_cursor cursor = { 0 };
    struct change row;
    enum status status;

    digest_sum_clear(&sums[0]);
    digest_sum_clear(&sums[1]);
    assert_ok(store_cursor_open(txn, NUMBER, TIERS_BOTH, 0, &cursor));
    while ((status = store_cursor_next(&cursor, &row)) == OK) {
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            if (row.tiers & (1u << tier))
                digest_add(&sums[tier], "fr", (enum tier)tier, &row);
        if ((row.tiers & TIERS_FEDERATION) && !value_is_removal(row.value[TIER_FEDERATION]))
            groups[row.id[ID_SIZE - 1] % 5]++;
    }
    assert_status(status, NOT_FOUND);
    store_cursor_close(&cursor);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        struct digest_sum stored;

        assert_ok(store_get_sum(txn, NUMBER, (enum tier)tier, &stored));
        assert_int_equal(stored.count, sums[tier].count);
        assert_memory_equal(stored.lanes, sums[tier].lanes, sizeof stored.lanes);
    }
    assert_ok(store_census_scan(txn, NUMBER, NULL, 0, compare_group, groups));
    for (int i = 0; i < 5; i++)
        assert_int_equal(groups[i], 0);
}

static void what_was_acknowledged_survives(void **state)
{
    struct place *place = *state;

    assert_ok(store_create(place->dir));
    for (int cycle = 0; cycle < CYCLES; cycle++) {
        const uint64_t acknowledged =
            run_and_kill(place->dir, mix((uint64_t)cycle + 1) % 20000);
        uint64_t seq = 0;

        assert_ok(store_open(place->dir, MAP_SIZE_TEST, &place->store));
        assert_ok(store_begin_read(place->store, &place->txn));
        assert_ok(store_get_meta_uint(&place->txn, "seq", &seq));
        assert_true(seq >= acknowledged);
        assert_true(seq <= acknowledged + 2 * OPS_A_TURN_MAX);
        check_rows(&place->txn, seq);
        check_recount(&place->txn);
        store_abort(&place->txn);
        store_close(&place->store);
    }
}

static void creation_is_whole_or_absent(void **state)
{
    struct place *place = *state;
    unsigned whole = 0;

    for (int cycle = 0; cycle < 2 * CYCLES; cycle++) {
        char path[256];
        enum status status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            _exit((int)store_create(place->dir));
        usleep((useconds_t)cycle * 100);
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        status = store_create(place->dir);
        assert_true(status == OK || status == EXISTS);
        whole += status == EXISTS;
        assert_ok(store_open(place->dir, MAP_SIZE_TEST, &place->store));
        store_close(&place->store);
        (void)snprintf(path, sizeof path, "%s/db", place->dir);
        (void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        assert_int_equal(rmdir(place->dir), 0); /* nothing else was left */
        assert_int_equal(mkdir(place->dir, 0700), 0);
    }
    assert_true(whole < 2 * CYCLES);
}

int main(void)
{
#define EMPTY(test) cmocka_unit_test_setup_teardown(test, place_make_empty, place_free)
    const struct CMUnitTest tests[] = {
        EMPTY(what_was_acknowledged_survives),
        EMPTY(creation_is_whole_or_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
