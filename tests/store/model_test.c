/* SPDX-License-Identifier: MPL-2.0 */
/* model_test.c - random puts and drops, commits and aborts, against a model in memory;
 * everything is compared every 100 steps.  A failure prints its seed: model_test SEED replays
 * it alone. */
#include "store_fixture.h"

enum { NUMBERS = 2, IDS = 150, STEPS = 4000, SEEDS = 10 };

struct leaf {
    uint64_t seq; /* 0: not held */
    uint16_t size;
    bool removed;
};

struct model {
    struct leaf leaves[NUMBERS][IDS][TIERS_PUBLISHED];
    uint64_t seq[NUMBERS];
};

static struct model model;
static struct model durable;
static uint8_t value_bytes[TIERS_PUBLISHED][RECORD_SIZE_MAX];
static uint64_t random_state;
static uint64_t only_seed;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(random_state >> 33) % below;
}

/* A value follows from where it stands. */
static struct slice value_of(const struct leaf *leaf, int tier)
{
    if (leaf->removed)
        return slice_of_text(NIL);
    memset(value_bytes[tier], (int)((leaf->seq * 2 + (uint64_t)tier) & 0x7f), leaf->size);
    return slice_of(value_bytes[tier], leaf->size);
}

static void salt_of(uint64_t seq, uint8_t out_salt[SALT_SIZE])
{
    memset(out_salt, (int)(seq * 5 & 0xff), SALT_SIZE);
}

/* --- steps ------------------------------------------------------------------------------- */

static uint16_t draw_size(void)
{
    switch (draw(40)) {
    case 0:
        return (uint16_t)draw(RECORD_SIZE_MAX + 1);
    case 1:
        return (uint16_t)draw(5000);
    case 2:
        return 0;
    default:
        return (uint16_t)draw(300);
    }
}

/* The tier that is behind follows to where the other stands, or both go on, or one does. */
static void step_put(struct place *place)
{
    const unsigned number = draw(NUMBERS);
    const unsigned id = draw(IDS);
    struct leaf *leaves = model.leaves[number][id];
    struct change change = { .type = RECORD_MEMBER };
    const int behind = leaves[0].seq < leaves[1].seq ? 0 : 1;

    change.tiers = 1 + draw(TIERS_BOTH);
    if (leaves[1 - behind].seq > leaves[behind].seq && draw(2) == 0) {
        change.tiers = 1u << behind;
        change.seq = leaves[1 - behind].seq;
    } else if (leaves[0].seq != 0 && draw(10) == 0) {
        change.tiers = TIERS_FEDERATION;
        change.seq = leaves[0].seq; /* once more where it is */
    } else {
        change.seq = ++model.seq[number];
    }
    id_of(id, change.id);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        if (!(change.tiers & (1u << tier)))
            continue;
        leaves[tier] = (struct leaf){ change.seq, draw_size(), draw(5) == 0 };
        change.value[tier] = value_of(&leaves[tier], tier);
    }
    if (change.tiers & TIERS_HQ)
        salt_of(change.seq, change.salt);
    assert_ok(store_put_row(&place->txn, number + 5, &change));
}

static void step_drop(struct place *place)
{
    const unsigned number = draw(NUMBERS);
    const unsigned id = draw(IDS);
    const unsigned tiers = 1 + draw(TIERS_BOTH);
    uint8_t bytes[ID_SIZE];

    id_of(id, bytes);
    assert_ok(store_drop_row(&place->txn, number + 5, tiers, bytes));
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (tiers & (1u << tier))
            memset(&model.leaves[number][id][tier], 0, sizeof(struct leaf));
}

static void step(struct place *place)
{
    const uint32_t what = draw(1000);

    if (what < 10) {
        assert_ok(store_commit_turn(&place->txn));
        durable = model;
        assert_ok(store_begin_write(place->store, &place->txn));
    } else if (what < 13) {
        reopen(place);
        durable = model;
    } else if (what < 16) {
        store_abort(&place->txn);
        model = durable;
        assert_ok(store_begin_write(place->store, &place->txn));
    } else if (what < 200) {
        step_drop(place);
    } else {
        step_put(place);
    }
}

/* --- comparing --------------------------------------------------------------------------- */

static void compare_leaf(const struct leaf *leaf, int tier, uint64_t seq, struct slice value,
                         const uint8_t salt[SALT_SIZE])
{
    const struct slice expected = value_of(leaf, tier);
    uint8_t expected_salt[SALT_SIZE];

    assert_int_equal(seq, leaf->seq);
    assert_int_equal(value.size, expected.size);
    assert_memory_equal(value.data, expected.data, expected.size);
    salt_of(leaf->seq, expected_salt);
    if (tier == TIER_HQ)
        assert_memory_equal(salt, expected_salt, SALT_SIZE);
}

static void compare_by_id(struct store_txn *txn, unsigned number)
{
    for (unsigned id = 0; id < IDS; id++) {
        const struct leaf *leaves = model.leaves[number][id];
        const bool held = leaves[0].seq != 0 || leaves[1].seq != 0;
        struct store_row row;
        uint8_t bytes[ID_SIZE];

        id_of(id, bytes);
        assert_status(store_get_row(txn, number + 5, bytes, &row), held ? OK : NOT_FOUND);
        for (int tier = 0; held && tier < TIERS_PUBLISHED; tier++) {
            assert_int_equal((row.tiers & (1u << tier)) != 0, leaves[tier].seq != 0);
            if (leaves[tier].seq != 0)
                compare_leaf(&leaves[tier], tier, row.seq[tier], row.value[tier], row.salt);
        }
    }
}

static void compare_by_cursor(struct store_txn *txn, unsigned number, unsigned tiers,
                              uint64_t after)
{
    struct store_cursor cursor = { 0 };
    struct change row;
    size_t expected = 0;
    size_t found = 0;
    uint64_t last = after;
    enum status status;

    for (unsigned id = 0; id < IDS; id++)
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            expected += (tiers & (1u << tier)) && model.leaves[number][id][tier].seq > after;
    assert_ok(store_cursor_open(txn, number + 5, tiers, after, &cursor));
    while ((status = store_cursor_next(&cursor, &row)) == OK) {
        const unsigned id = row.id[ID_SIZE - 1];
        uint8_t bytes[ID_SIZE];

        assert_true(row.seq > last && id < IDS);
        last = row.seq;
        id_of(id, bytes);
        assert_memory_equal(row.id, bytes, ID_SIZE);
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            if (row.tiers & (1u << tier)) {
                assert_true(tiers & (1u << tier));
                compare_leaf(&model.leaves[number][id][tier], tier, row.seq, row.value[tier],
                             row.salt);
                found++;
            }
    }
    assert_status(status, NOT_FOUND);
    store_cursor_close(&cursor);
    assert_int_equal(found, expected);
}

static void compare_removals(struct store_txn *txn, unsigned number, unsigned tiers,
                             uint64_t after, uint64_t up_to)
{
    static uint8_t ids[2 * IDS][ID_SIZE];
    size_t expected = 0;
    size_t count = 0;

    assert_ok(store_list_removals(txn, number + 5, tiers, after, up_to, ids, 2 * IDS, &count));
    for (unsigned id = 0; id < IDS; id++) {
        const struct leaf *leaves = model.leaves[number][id];
        uint64_t counted = 0; /* one row holds both */

        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            if ((tiers & (1u << tier)) && leaves[tier].removed && leaves[tier].seq > after &&
                leaves[tier].seq <= up_to && leaves[tier].seq != counted) {
                counted = leaves[tier].seq;
                expected++;
            }
    }
    assert_int_equal(count, expected);
    for (size_t i = 0; i < count; i++) {
        const struct leaf *leaves = model.leaves[number][ids[i][ID_SIZE - 1]];

        assert_true(((tiers & TIERS_FEDERATION) && leaves[0].removed) ||
                    ((tiers & TIERS_HQ) && leaves[1].removed));
    }
}

static void compare(struct store_txn *txn)
{
    for (unsigned number = 0; number < NUMBERS; number++) {
        const uint64_t middle = draw((uint32_t)model.seq[number] + 1);

        compare_by_id(txn, number);
        for (unsigned tiers = 1; tiers <= TIERS_BOTH; tiers++) {
            compare_by_cursor(txn, number, tiers, 0);
            compare_by_cursor(txn, number, tiers, middle);
            compare_removals(txn, number, tiers, 0, UINT64_MAX);
            compare_removals(txn, number, tiers, middle / 2, middle);
        }
    }
}

/* What is durable is also what a reader sees, by another path through the code. */
static void compare_durable(struct place *place)
{
    const struct model now = model;
    struct store_txn reader = { 0 };

    assert_ok(store_begin_read(place->store, &reader));
    model = durable;
    compare(&reader);
    model = now;
    store_abort(&reader);
}

static void the_store_is_its_model(void **state)
{
    struct place *place = *state;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        if (only_seed != 0)
            seed = only_seed;
        printf("seed %llu\n", (unsigned long long)seed);
        random_state = seed;
        memset(&model, 0, sizeof model);
        durable = model;
        for (int i = 1; i <= STEPS; i++) {
            step(place);
            if (i % 100 == 0) {
                compare(&place->txn);
                compare_durable(place);
            }
        }
        if (only_seed != 0)
            return;
        store_abort(&place->txn);
        store_close(&place->store);
        (void)nftw(place->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        assert_int_equal(mkdir(place->dir, 0700), 0);
        assert_ok(store_create(place->dir));
        assert_ok(store_open(place->dir, MAP_SIZE_TEST, &place->store));
        assert_ok(store_begin_write(place->store, &place->txn));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_store_is_its_model, place_make, place_free),
    };

    if (argc > 1)
        only_seed = strtoull(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
