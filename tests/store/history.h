/* SPDX-License-Identifier: MPL-2.0 */
/* history.h - a history of one feed that follows from its sequence numbers, so that after any
 * crash it can be said what must be there.  Include store_fixture.h before it. */
#ifndef CHAPTERD_TEST_HISTORY_H
#define CHAPTERD_TEST_HISTORY_H

enum { IDS = 64, NUMBER = 5, OPS_A_TURN_MAX = 24 };

static inline uint32_t mix(uint64_t value)
{
    value = (value ^ value >> 31) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(value >> 32);
}

/* The change at seq; its values point into bytes. */
static inline struct change change_at(uint64_t seq, uint8_t bytes[256])
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

static inline void group_of(uint32_t id, uint8_t key[CENSUS_KEY_SIZE])
{
    memset(key, 0, CENSUS_KEY_SIZE);
    key[0] = 'c';
    key[3] = (uint8_t)(id % 5);
}

/* --- one change after the other, with sums and census, a few a turn ---------------------- */

static inline bool counts(const struct change *change)
{
    return (change->tiers & TIERS_FEDERATION) &&
           !value_is_removal(change->value[TIER_FEDERATION]);
}

static inline enum status apply(struct store_txn *txn, const struct change *change)
{
    struct digest_sum sums[TIERS_PUBLISHED];
    struct store_row row = { .tiers = 0 };
    uint8_t key[CENSUS_KEY_SIZE];
    int delta = counts(change);
    enum status status = store_get_row(txn, NUMBER, change->id, &row);

    if (status != OK && status != NOT_FOUND)
        return status;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        struct change old = { .seq = row.seq[tier], .type = row.type };

        if (!(change->tiers & (1u << tier)))
            continue;
        if ((status = store_get_sum(txn, NUMBER, (enum tier)tier, &sums[tier])) != OK)
            return status;
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
            (status = store_put_sum(txn, NUMBER, (enum tier)tier, &sums[tier])) != OK)
            return status;
    group_of(change->id[ID_SIZE - 1], key);
    if (delta != 0 && (status = store_census_add(txn, NUMBER, key, delta)) != OK)
        return status;
    return store_put_row(txn, NUMBER, change);
}

/* The next turn; *seq is what is durable afterwards. */
static inline enum status history_turn(struct store *store, uint64_t *seq)
{
    struct store_txn txn = { 0 };
    uint8_t bytes[256];
    uint64_t at = 0;
    enum status status;

    if ((status = store_begin_write(store, &txn)) != OK)
        return status;
    if ((status = store_get_meta_uint(&txn, "seq", &at)) != OK) {
        store_abort(&txn);
        return status;
    }
    for (uint32_t ops = 1 + mix(at) % OPS_A_TURN_MAX; ops > 0 && status == OK; ops--) {
        const struct change change = change_at(++at, bytes);

        status = apply(&txn, &change);
    }
    if (status == OK)
        status = store_put_meta_uint(&txn, "seq", at);
    if (status != OK) {
        store_abort(&txn);
        return status;
    }
    if ((status = store_commit_turn(&txn)) == OK)
        *seq = at;
    return status;
}

/* --- what must be there ------------------------------------------------------------------ */

static inline void check_rows(struct store_txn *txn, uint64_t seq)
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

static inline enum status compare_group(void *context, const uint8_t key[CENSUS_KEY_SIZE],
                                        uint64_t count)
{
    uint64_t *groups = context;

    assert_int_equal(count, groups[key[3]]);
    groups[key[3]] = 0;
    return OK;
}

static inline void check_recount(struct store_txn *txn)
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

/* Opens the store and looks at everything; returns the seq at which it stands. */
static inline uint64_t history_check(struct place *place, uint64_t acknowledged)
{
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
    return seq;
}

#endif
