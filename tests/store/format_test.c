/* SPDX-License-Identifier: MPL-2.0 */
/* format_test.c - the worked hex that stands beside the store's code is what is in the file. */
#include "store_fixture.h"

#include "daemon/io/store_internal.h"

static const uint8_t id[ID_SIZE] = { 0x01, 0x90, 0xa1, 0xb2, 0xc3, 0xd4, 0x7e, 0x5f,
                                     0x8a, 0x6b, 0x7c, 0x8d, 0x9e, 0xaf, 0xb0, 0xc1 };
#define ID "0190a1b2c3d47e5f8a6b7c8d9eafb0c1"
#define FR "66720000000000000000000000000000"

static struct slice unhex(const char *text, uint8_t bytes[128])
{
    size_t size = 0;

    for (; *text != '\0'; text++) {
        char digits[3] = { text[0], text[1], '\0' };

        if (*text == ' ')
            continue;
        bytes[size++] = (uint8_t)strtoul(digits, NULL, 16);
        text++;
    }
    return slice_of(bytes, size);
}

static void assert_entry(struct place *place, enum table table, const char *key,
                         const char *expected)
{
    uint8_t key_bytes[128];
    uint8_t bytes[128];
    char found_hex[512];
    char expected_hex[512];
    const struct slice value = unhex(expected, bytes);
    struct slice found;

    assert_ok(table_get(&place->txn, table, unhex(key, key_bytes), &found));
    assert_true(found.size * 2 < sizeof found_hex);
    hex_format(found.data, found.size, found_hex);
    hex_format(value.data, value.size, expected_hex);
    assert_string_equal(found_hex, expected_hex);
}

static void put_tier(struct place *place, uint64_t seq, unsigned tiers, const char *federation,
                     const char *hq)
{
    struct change change = change_of(1, seq, federation, hq);

    assert_int_equal(change.tiers, tiers);
    memcpy(change.id, id, ID_SIZE);
    for (size_t i = 0; i < SALT_SIZE; i++)
        change.salt[i] = (uint8_t)i;
    assert_ok(store_put_row(&place->txn, 5, &change));
}

static void meta(void **state)
{
    struct place *place = *state;

    assert_ok(store_put_meta_uint(&place->txn, "boot", 7));
    assert_entry(place, TABLE_META, "626f6f74", "0000000000000007");
    assert_entry(place, TABLE_META, "73746f72652e666f726d6174", "0000000000000001");
}

static void rows(void **state)
{
    struct place *place = *state;

    put_tier(place, 9, TIERS_FEDERATION, "\x81\xa1\x61\xa1\x78", NULL);
    assert_entry(place, TABLE_BY_ID, "00000005" ID, "01 0000000000000009");
    put_tier(place, 9, TIERS_HQ, NULL, "\x80");
    assert_entry(place, TABLE_RECORDS, "00000005 0000000000000009",
                 "03 01" ID "000102030405060708090a0b0c0d0e0f 00000005 81a161a178 80");
    assert_entry(place, TABLE_BY_ID, "00000005" ID, "03 0000000000000009");
    put_tier(place, 12, TIERS_FEDERATION, "\x80", NULL);
    assert_entry(place, TABLE_BY_ID, "00000005" ID, "07 000000000000000c 0000000000000009");
    assert_ok(store_drop_row(&place->txn, 5, TIERS_FEDERATION, id));
    assert_entry(place, TABLE_BY_ID, "00000005" ID, "02 0000000000000009");
    put_tier(place, 10, TIERS_BOTH, NIL, NIL);
    assert_entry(place, TABLE_REMOVALS, "00000005 000000000000000a", "03" ID);
}

static void sums(void **state)
{
    struct place *place = *state;
    struct digest_sum sum;
    struct slice value;
    uint8_t key[128];

    digest_sum_clear(&sum);
    sum.count = 3;
    assert_ok(store_put_sum(&place->txn, 5, TIER_HQ, &sum));
    assert_ok(table_get(&place->txn, TABLE_SUMS, unhex("00000005 01", key), &value));
    assert_int_equal(value.size, 2064);
    assert_int_equal(value.data[2055], 3);
    assert_int_equal(value.data[2063], 0);
}

/* The first form had no bytes: they are counted from the rows. */
static void older_sums(void **state)
{
    static const uint8_t stored[2056] = { [2055] = 2 };
    static const uint8_t empty[] = { 0x80 };
    struct place *place = *state;
    struct change change = { .type = RECORD_MEMBER, .tiers = TIERS_BOTH };
    struct digest_sum sum;
    uint8_t key[128];

    change.value[0] = change.value[1] = slice_of(empty, sizeof empty);
    for (uint8_t i = 1; i <= 2; i++) {
        change.id[0] = i;
        change.seq = i;
        assert_ok(store_put_row(&place->txn, 5, &change));
    }
    assert_ok(table_put(&place->txn, TABLE_SUMS, unhex("00000005 01", key),
                        slice_of(stored, sizeof stored)));
    assert_ok(store_get_sum(&place->txn, 5, TIER_HQ, &sum));
    assert_int_equal(sum.count, 2);
    assert_int_equal(sum.bytes, 2 * 65);
}

static void feeds(void **state)
{
    struct place *place = *state;
    struct store_feed feed = { .origin = "fr" };

    feed.tier[0].number = 5;
    feed.tier[0].horizon = 2;
    assert_ok(signed_head_set(&feed.tier[0].head, slice_of_text("\xaa\xbb\xcc")));
    feed.beat.size = 2;
    feed.beat.bytes[0] = 0xdd;
    feed.beat.bytes[1] = 0xee;
    assert_ok(store_put_feed(&place->txn, &feed));
    assert_entry(place, TABLE_FEEDS, FR,
                 "00000005 0000000000000002 0003 aabbcc"
                 "00000000 0000000000000000 0000"
                 "00 0000000000000000 0002 ddee");
}

/* Two keys of one origin would be found for ever, one after the other. */
static void keys_of_no_code(void **state)
{
    static const struct {
        const char *key;
        enum status expected;
    } rows[] = { { FR, OK },
                 { "66720000000000000000000000000001", STORE_DAMAGED },
                 { "66720000000000006600000000000000", STORE_DAMAGED },
                 { "46720000000000000000000000000000", STORE_DAMAGED },
                 { "66ff0000000000000000000000000000", STORE_DAMAGED },
                 { "61616161616161616161616161616161", STORE_DAMAGED } };
    const uint8_t value[39] = { 0 }; /* of a feed of which nothing is held */
    struct place *place = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[128];
        const struct slice key = unhex(rows[i].key, bytes);
        struct store_feed feed;

        assert_ok(table_put(&place->txn, TABLE_FEEDS, key, slice_of(value, sizeof value)));
        assert_int_equal(store_next_feed(&place->txn, "", &feed), rows[i].expected);
        assert_ok(table_delete(&place->txn, TABLE_FEEDS, key));
    }
}

static void heads(void **state)
{
    struct place *place = *state;
    const struct head head = { .origin = "fr", .epoch = 1, .seq = 9 };
    const struct slice envelope = slice_of_text("\xaa\xbb\xcc");

    assert_ok(store_put_head(&place->txn, &head, envelope));
    assert_entry(place, TABLE_HEADS, FR "0000000000000001 0000000000000009", "aabbcc");
    assert_ok(store_put_evidence(&place->txn, "fr", envelope, slice_of_text("\xdd\xee")));
    assert_entry(place, TABLE_EVIDENCE, FR "00", "0003 aabbcc 0002 ddee");
}

static void census_and_persons(void **state)
{
    static const uint8_t group[CENSUS_KEY_SIZE] = { 'c', 1, 1, 'F', 'R', 0 };
    static const uint8_t hash[PERSON_HASH_SIZE] = { 0xf0, 0xe1, 0xd2, 0xc3, 0xb4, 0xa5,
                                                    0x96, 0x87, 0x78, 0x69, 0x5a, 0x4b,
                                                    0x3c, 0x2d, 0x1e, 0x0f };
    static const uint8_t other[ID_SIZE] = { 1 };
    struct place *place = *state;

    assert_ok(store_census_add(&place->txn, 5, group, 3));
    assert_entry(place, TABLE_CENSUS, "00000005 630101465200", "0000000000000003");
    assert_ok(store_set_person(&place->txn, "fr", id, PERSON_HASHED, hash));
    assert_ok(store_set_person(&place->txn, "fr", other, PERSON_HASHED, hash));
    assert_entry(place, TABLE_PERSONS, "f0e1d2c3b4a5968778695a4b3c2d1e0f", "0000000000000002");
    assert_entry(place, TABLE_PERSON_OF, FR ID, "02 f0e1d2c3b4a5968778695a4b3c2d1e0f");
    assert_ok(store_set_person(&place->txn, "fr", id, PERSON_ANONYMOUS, NULL));
    assert_entry(place, TABLE_PERSONS, "00", "0000000000000001");
    assert_entry(place, TABLE_PERSON_OF, FR ID, "01");
}

static void the_origins_own(void **state)
{
    struct place *place = *state;

    assert_ok(store_put_private(&place->txn, id, slice_of_text("\x81\xa1\x61\xa1\x78")));
    assert_entry(place, TABLE_PRIVATE, ID, "81a161a178");
    assert_ok(store_append_history(&place->txn, 1767225600, slice_of_text(NIL)));
    assert_entry(place, TABLE_HISTORY, "0000000000000001", "000000006955b900 c0");
}

static void builds_and_discards(void **state)
{
    struct place *place = *state;
    struct store_build build = { .origin = "fr",
                                 .tiers = TIERS_BOTH,
                                 .number = 6,
                                 .epoch = 1,
                                 .base = 9,
                                 .reached = 4,
                                 .rows = 2 };
    bool more = false;

    memset(build.peer, 0x11, KEY_SIZE);
    assert_ok(store_put_build(&place->txn, &build));
    assert_entry(place, TABLE_BUILDS, FR "03",
                 "00000006 1111111111111111111111111111111111111111111111111111111111111111"
                 "0000000000000001 0000000000000000 0000000000000009 0000000000000004"
                 "0000000000000002 0000000000000000 0000");
    for (uint64_t seq = 1; seq <= 2; seq++)
        assert_ok(put(place, 5, seq, seq * 4096, "f", NULL));
    assert_ok(store_discard(&place->txn, "fr", 5, TIERS_FEDERATION));
    assert_ok(store_sweep(&place->txn, 1, NULL, NULL, &more));
    assert_true(more);
    assert_entry(place, TABLE_DISCARDS, "00000005", "01" FR "0000000000001000");
}

static void kept_and_offered(void **state)
{
    static const char *const ones =
        "0101010101010101010101010101010101010101010101010101010101010101";
    struct place *place = *state;
    struct store_kept kept = { .origin = "fr", .epoch = 1, .number = 7, .tiers = 1 };
    const struct store_offered offered = { .epoch = 1, .seq = 5, .put_seq = 9 };
    struct store_offered found;
    struct store_kept next;
    char key[256];
    bool more = true;

    memset(kept.hash, 1, HASH_SIZE);
    assert_ok(signed_head_set(&kept.head, slice_of_text("\xaa\xbb\xcc")));
    assert_ok(store_put_kept(&place->txn, &kept));
    (void)snprintf(key, sizeof key, "%s 0000000000000001 %s", FR, ones);
    assert_entry(place, TABLE_KEPT, key, "00000007 01 0003 aabbcc");
    assert_ok(store_next_kept(&place->txn, NULL, &next));
    assert_memory_equal(&next, &kept, sizeof kept);
    assert_status(store_next_kept(&place->txn, &kept, &next), NOT_FOUND);
    assert_ok(store_delete_kept(&place->txn, &kept));
    assert_status(store_get_kept(&place->txn, "fr", 1, kept.hash, &next), NOT_FOUND);
    assert_ok(store_get_offered(&place->txn, id, &found));
    assert_int_equal(found.epoch, 0);
    assert_ok(store_put_offered(&place->txn, id, &offered));
    assert_entry(place, TABLE_OFFERED, ID,
                 "0000000000000001 0000000000000005 0000000000000009 00");
    assert_ok(store_forget_offered(&place->txn, 5, &more));
    assert_false(more);
    assert_ok(store_get_offered(&place->txn, id, &found));
    assert_int_equal(found.epoch, 0);
}

static void erased_and_cleared(void **state)
{
    static const uint8_t hash[ERASED_HASH_SIZE] = { 0xf0, 0xe1, 0xd2, 0xc3, 0xb4, 0xa5,
                                                    0x96, 0x87, 0x78, 0x69, 0x5a, 0x4b,
                                                    0x3c, 0x2d, 0x1e, 0x0f };
    struct place *place = *state;
    struct store_cleared cleared = { .node = "lu", .origin = "fr", .epoch = 1, .seq = 9 };
    struct slice value;

    assert_ok(store_put_erased(&place->txn, ERASED_ID, hash, slice_of_text("\xaa\xbb")));
    assert_entry(place, TABLE_ERASED, "01 f0e1d2c3b4a5968778695a4b3c2d1e0f", "aabb");
    assert_status(store_get_erased(&place->txn, ERASED_EMAIL, hash, &value), NOT_FOUND);
    assert_ok(store_put_cleared(&place->txn, &cleared));
    assert_entry(place, TABLE_CLEARED, "6c750000000000000000000000000000" FR,
                 "0000000000000001 0000000000000009");
    assert_ok(store_next_cleared(&place->txn, NULL, &cleared));
    assert_string_equal(cleared.origin, "fr");
    assert_status(store_next_cleared(&place->txn, &cleared, &cleared), NOT_FOUND);
}

int main(void)
{
#define OPEN(test) cmocka_unit_test_setup_teardown(test, place_make, place_free)
    const struct CMUnitTest tests[] = {
        OPEN(meta),
        OPEN(rows),
        OPEN(sums),
        OPEN(older_sums),
        OPEN(feeds),
        OPEN(keys_of_no_code),
        OPEN(heads),
        OPEN(census_and_persons),
        OPEN(the_origins_own),
        OPEN(builds_and_discards),
        OPEN(kept_and_offered),
        OPEN(erased_and_cleared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
