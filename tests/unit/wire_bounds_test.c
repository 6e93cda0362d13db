/* SPDX-License-Identifier: MPL-2.0 */
/* wire_bounds_test.c - what a reader of messages must refuse although it is well-formed
 * MessagePack: orders, counts, sizes, tiers and codes; and what it must take just below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "proto/succession.h"
#include "tests/fuzz/again.h"

#define ENVELOPE ((const uint8_t *)"envelope")
#define ENVELOPE_SIZE 8

static uint8_t filler[RECORD_SIZE_MAX * 2];

/* --- changes ------------------------------------------------------------------------------ */

static struct change change_at(uint64_t seq)
{
    struct change change = { .seq = seq, .type = RECORD_MEMBER, .tiers = TIERS_BOTH };

    change.id[0] = 1;
    change.value[TIER_FEDERATION] = slice_of("\x80", 1);
    change.value[TIER_HQ] = slice_of("\x80", 1);
    return change;
}

static enum status read_event(const struct mp_writer *writer)
{
    struct wire_event event;

    assert_int_equal(writer->status, OK);
    return wire_read_event(mp_writer_bytes(writer), &event);
}

/* An event of changes at these seqs. */
static enum status event_of_seqs(unsigned tiers, const uint64_t *seqs, size_t count)
{
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };

    mp_writer_init_heap(&writer, MESSAGE_SIZE_MAX);
    wire_write_event_begin(&writer, tiers, 0, slice_of(ENVELOPE, ENVELOPE_SIZE), count);
    for (size_t i = 0; i < count; i++) {
        const struct change change = change_at(seqs[i]);

        change_write(&writer, &change, tiers);
    }
    return read_event(&writer);
}

static void test_order(void **state)
{
    static const struct {
        uint64_t seqs[3];
        size_t count;
        enum status expected;
    } rows[] = {
        { { 0 }, 0, OK },
        { { 1 }, 1, OK },
        { { 1, 2, 3 }, 3, OK },
        { { 1, 5, UINT64_MAX }, 3, OK },
        { { 0 }, 1, INVALID },
        { { 2, 2 }, 2, INVALID },
        { { 2, 1 }, 2, INVALID },
        { { 1, 3, 2 }, 3, INVALID },
        { { 7, 8, 8 }, 3, INVALID },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(event_of_seqs(TIERS_FEDERATION, rows[i].seqs, rows[i].count),
                         rows[i].expected);
        assert_int_equal(event_of_seqs(TIERS_BOTH, rows[i].seqs, rows[i].count),
                         rows[i].expected);
    }
}

static void test_count(void **state)
{
    uint64_t *seqs = calloc(EVENT_CHANGES_MAX + 1, sizeof *seqs);

    (void)state;
    assert_non_null(seqs);
    for (size_t i = 0; i <= EVENT_CHANGES_MAX; i++)
        seqs[i] = i + 1;
    assert_int_equal(event_of_seqs(TIERS_FEDERATION, seqs, EVENT_CHANGES_MAX), OK);
    assert_int_equal(event_of_seqs(TIERS_FEDERATION, seqs, EVENT_CHANGES_MAX + 1), TOO_LARGE);
    free(seqs);
}

/* A list may say that it holds more than the message has bytes: refused before it is walked. */
static void test_declared_count(void **state)
{
    static const uint8_t huge[] = { 0x95, 0x02, 0x01, 0x00, 0xc4, 0x01,
                                    0x00, 0xdd, 0xff, 0xff, 0xff, 0xff };
    struct wire_event event;

    (void)state;
    assert_int_equal(wire_read_event(slice_of(huge, sizeof huge), &event), INVALID);
}

/* An event with one change of a value of exactly size bytes. */
static enum status event_of_value(size_t size)
{
    CLEANUP(mp_writer_done) struct mp_writer value = { 0 };
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };
    struct change change = change_at(1);

    mp_writer_init_heap(&value, sizeof filler);
    mp_write_map(&value, 1);
    mp_write_text(&value, "k");
    mp_write_bin(&value, filler, size - 6); /* map, key, bin 16 */
    assert_int_equal(value.size, size);
    change.value[TIER_FEDERATION] = mp_writer_bytes(&value);
    mp_writer_init_heap(&writer, MESSAGE_SIZE_MAX);
    wire_write_event_begin(&writer, TIERS_FEDERATION, 0, slice_of(ENVELOPE, ENVELOPE_SIZE), 1);
    change_write(&writer, &change, TIERS_FEDERATION);
    return read_event(&writer);
}

static void test_value_size(void **state)
{
    (void)state;
    assert_int_equal(event_of_value(RECORD_SIZE_MAX), OK);
    assert_int_equal(event_of_value(RECORD_SIZE_MAX + 1), TOO_LARGE);
}

/* Messages of exactly size bytes: the last change's value fills what is left. */
static enum status changes_of_size(size_t size)
{
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };
    const struct wire_changes lead = { .origin = "fr", .tiers = TIERS_FEDERATION };
    const size_t count = 40;
    struct wire_changes changes;

    mp_writer_init_heap(&writer, MESSAGE_SIZE_MAX);
    wire_write_changes_begin(&writer, &lead, count);
    for (size_t i = 0; i < count; i++) {
        const size_t left = size - writer.size - 1; /* nil comes last */
        const size_t share = left / (count - i);
        struct mp_writer value;
        struct change change = change_at(i + 1);

        /* array, type, id (18), seq, map, key "k" (2), bin 16's lead (3): 27 bytes */
        mp_writer_init(&value, filler, sizeof filler);
        mp_write_map(&value, 1);
        mp_write_text(&value, "k");
        assert_true(share > 300 && share < RECORD_SIZE_MAX);
        filler[value.size++] = 0xc5;
        filler[value.size++] = (uint8_t)((share - 27) >> 8);
        filler[value.size++] = (uint8_t)(share - 27);
        value.size += share - 27;
        change.value[TIER_FEDERATION] = mp_writer_bytes(&value);
        change_write(&writer, &change, TIERS_FEDERATION);
    }
    wire_write_changes_end(&writer, SLICE_NONE);
    assert_int_equal(writer.status, OK);
    assert_int_equal(writer.size, size);
    return wire_read_changes(mp_writer_bytes(&writer), &changes);
}

static void test_message_size(void **state)
{
    (void)state;
    assert_int_equal(changes_of_size(EVENT_SIZE_MAX), OK);
    assert_int_equal(changes_of_size(EVENT_SIZE_MAX + 1), TOO_LARGE);
}

static void test_removal_in_one_tier(void **state)
{
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };
    struct change change = change_at(1);

    (void)state;
    change.value[TIER_HQ] = slice_of("\xc0", 1);
    mp_writer_init_heap(&writer, MESSAGE_SIZE_MAX);
    wire_write_event_begin(&writer, TIERS_BOTH, 0, slice_of(ENVELOPE, ENVELOPE_SIZE), 1);
    change_write(&writer, &change, TIERS_BOTH);
    assert_int_equal(read_event(&writer), INVALID);
}

/* --- tiers, envelopes, codes, numbers ----------------------------------------------------- */

static void test_tiers(void **state)
{
    static const struct {
        unsigned tiers;
        enum status event;
        enum status changes;
        enum status want;
    } rows[] = {
        { 0, INVALID, INVALID, INVALID },       { TIERS_FEDERATION, OK, OK, OK },
        { TIERS_HQ, INVALID, OK, OK },          { TIERS_BOTH, OK, OK, OK },
        { 4, TOO_LARGE, TOO_LARGE, TOO_LARGE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct wire_changes lead = { .origin = "fr", .tiers = rows[i].tiers };
        const struct wire_want want = { .origin = "fr", .tiers = rows[i].tiers, .credit = 1 };
        struct wire_changes changes;
        struct wire_want read_want;
        struct mp_writer writer;
        uint8_t bytes[256];

        assert_int_equal(event_of_seqs(rows[i].tiers, NULL, 0), rows[i].event);
        mp_writer_init(&writer, bytes, sizeof bytes);
        wire_write_changes_begin(&writer, &lead, 0);
        wire_write_changes_end(&writer, SLICE_NONE);
        assert_int_equal(wire_read_changes(mp_writer_bytes(&writer), &changes),
                         rows[i].changes);
        mp_writer_init(&writer, bytes, sizeof bytes);
        wire_write_want(&writer, &want);
        assert_int_equal(wire_read_want(mp_writer_bytes(&writer), &read_want), rows[i].want);
    }
}

/* nil says that there is no envelope; an empty one would say it a second time. */
static void test_envelopes(void **state)
{
    static const struct {
        size_t size;
        enum status expected;
    } rows[] = {
        { 0, INVALID },
        { 1, OK },
        { SIGNED_HEAD_SIZE_MAX, OK },
        { SIGNED_HEAD_SIZE_MAX + 1, TOO_LARGE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct slice head = slice_of(filler, rows[i].size);
        struct wire_evidence evidence;
        struct wire_event event;
        struct mp_writer writer;
        uint8_t bytes[1024];

        mp_writer_init(&writer, bytes, sizeof bytes);
        wire_write_event_begin(&writer, TIERS_FEDERATION, 0, head, 0);
        assert_int_equal(wire_read_event(mp_writer_bytes(&writer), &event), rows[i].expected);
        mp_writer_init(&writer, bytes, sizeof bytes);
        mp_write_array(&writer, 3);
        mp_write_uint(&writer, WIRE_EVIDENCE);
        mp_write_bin(&writer, filler, 1);
        mp_write_bin(&writer, filler, rows[i].size);
        assert_int_equal(wire_read_evidence(mp_writer_bytes(&writer), &evidence),
                         rows[i].expected);
    }
}

static void test_codes(void **state)
{
    static const struct {
        const char *code;
        bool valid;
    } rows[] = {
        { "f", true },     { "fr", true },
        { "fr-75", true }, { "abcdefghijklmno", true },
        { "", false },     { "FR", false },
        { "1fr", false },  { "-fr", false },
        { "f_r", false },  { "f\xc3\xa9", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wire_want want = { .tiers = TIERS_FEDERATION, .credit = 1 };
        struct wire_want found;
        struct mp_writer writer;
        uint8_t bytes[256];

        memcpy(want.origin, rows[i].code, strlen(rows[i].code));
        mp_writer_init(&writer, bytes, sizeof bytes);
        wire_write_want(&writer, &want);
        assert_int_equal(wire_read_want(mp_writer_bytes(&writer), &found) == OK, rows[i].valid);
    }
}

static void test_credit(void **state)
{
    (void)state;
    for (uint64_t chunks = 0; chunks <= WANT_CREDIT_MAX + 1; chunks++) {
        const struct wire_credit credit = { 1, chunks };
        const struct wire_want want = { .origin = "fr", .tiers = 1, .credit = chunks };
        const bool valid = chunks >= 1 && chunks <= WANT_CREDIT_MAX;
        struct wire_credit found_credit;
        struct wire_want found_want;
        struct mp_writer writer;
        uint8_t bytes[256];

        mp_writer_init(&writer, bytes, sizeof bytes);
        wire_write_credit(&writer, &credit);
        assert_int_equal(wire_read_credit(mp_writer_bytes(&writer), &found_credit) == OK,
                         valid);
        mp_writer_init(&writer, bytes, sizeof bytes);
        wire_write_want(&writer, &want);
        assert_int_equal(wire_read_want(mp_writer_bytes(&writer), &found_want) == OK, valid);
    }
}

/* --- hello -------------------------------------------------------------------------------- */

static enum status hello_of(uint64_t version, const char *const *origins, size_t count,
                            size_t beat_size)
{
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };
    const struct wire_hello hello = { .version = version, .code = "fr" };
    struct wire_hello found;

    mp_writer_init_heap(&writer, MESSAGE_SIZE_MAX);
    wire_write_hello_begin(&writer, &hello, count);
    for (size_t i = 0; i < count; i++) {
        struct wire_hello_entry entry = { .epoch = 1, .seq = 1 };

        memcpy(entry.origin, origins[i], strlen(origins[i]));
        if (beat_size != 0)
            entry.beat = slice_of(filler, beat_size);
        wire_write_entry(&writer, &entry);
    }
    assert_int_equal(writer.status, OK);
    return wire_read_hello(mp_writer_bytes(&writer), &found);
}

static void test_hello_order(void **state)
{
    static const char *const rows[][3] = {
        { "ca", "fr", "lu" }, /* the only one in order */
        { "ca", "fr", "fr" }, { "fr", "ca", "lu" }, { "ca", "lu", "fr" }, { "ca", "c", "fr" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(hello_of(1, rows[i], 3, 0), i == 0 ? OK : INVALID);
    assert_int_equal(hello_of(1, rows[0], 0, 0), OK);
    assert_int_equal(hello_of(0, rows[0], 3, 0), INVALID);
    assert_int_equal(hello_of(2, rows[0], 3, 0), OK); /* a newer one speaks ours, too */
    assert_int_equal(hello_of(1, rows[0], 3, SIGNED_BEAT_SIZE_MAX), OK);
    assert_int_equal(hello_of(1, rows[0], 3, SIGNED_BEAT_SIZE_MAX + 1), TOO_LARGE);
}

static void test_hello_count(void **state)
{
    static char codes[ORIGINS_MAX + 1][CODE_SIZE];
    static const char *origins[ORIGINS_MAX + 1];

    (void)state;
    for (size_t i = 0; i <= ORIGINS_MAX; i++) {
        codes[i][0] = 'a';
        codes[i][1] = (char)('a' + i / 26 / 26);
        codes[i][2] = (char)('a' + i / 26 % 26);
        codes[i][3] = (char)('a' + i % 26);
        origins[i] = codes[i];
    }
    assert_int_equal(hello_of(1, origins, ORIGINS_MAX, 0), OK);
    assert_int_equal(hello_of(1, origins, ORIGINS_MAX + 1, 0), TOO_LARGE);
}

/* --- the hash of a vector ----------------------------------------------------------------- */

static void test_vector_hash(void **state)
{
    struct wire_hello_entry entries[3];
    uint8_t material[16 + 2 * 64] = "chapterd vec 1";
    uint8_t expected[HASH_SIZE];
    uint8_t hash[HASH_SIZE];

    (void)state;
    memset(entries, 0, sizeof entries);
    memcpy(entries[0].origin, "ca", 2);
    entries[0].epoch = 2;
    entries[0].seq = 0x0102030405060708;
    memset(entries[0].hash, 0xca, HASH_SIZE);
    memcpy(entries[1].origin, "fr", 2); /* nothing yet: it does not count */
    memcpy(entries[2].origin, "lu", 2);
    entries[2].epoch = 1;
    entries[2].seq = 9;
    memset(entries[2].hash, 0x11, HASH_SIZE);
    memcpy(material + 16, "ca\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02", 24);
    memcpy(material + 40, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    memset(material + 48, 0xca, HASH_SIZE);
    memcpy(material + 80, "lu\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 24);
    memcpy(material + 104, "\0\0\0\0\0\0\0\x09", 8);
    memset(material + 112, 0x11, HASH_SIZE);
    crypto_generichash(expected, sizeof expected, material, sizeof material, NULL, 0);
    wire_vector_hash(entries, 3, hash);
    assert_memory_equal(hash, expected, HASH_SIZE);
    entries[0].hq_seq = 5;
    entries[0].beat = slice_of(ENVELOPE, ENVELOPE_SIZE);
    wire_vector_hash(entries, 3, hash);
    assert_memory_equal(hash, expected, HASH_SIZE);
    entries[2].seq = 10;
    wire_vector_hash(entries, 3, hash);
    assert_memory_not_equal(hash, expected, HASH_SIZE);
}

/* A writer without room says so, and nothing is signed past its end. */
static void test_enrol_without_room(void **state)
{
    const struct sign_key key = again_key();
    const struct wire_enrol enrol = { .version = 1, .code = "fr" };
    struct mp_writer writer;
    uint8_t bytes[ENROL_SIZE_MAX];
    size_t full;

    (void)state;
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_enrol(&writer, &enrol, &key);
    assert_int_equal(writer.status, OK);
    full = writer.size;
    for (size_t capacity = 0; capacity < full; capacity++) {
        uint8_t *exact = malloc(capacity == 0 ? 1 : capacity);

        assert_non_null(exact);
        mp_writer_init(&writer, exact, capacity);
        wire_write_enrol(&writer, &enrol, &key);
        assert_int_equal(writer.status, TOO_LARGE);
        free(exact);
    }
}

/* Before anything of it is read. */
static void test_event_larger_than_any(void **state)
{
    static const uint8_t bytes[EVENT_SIZE_MAX + 1];
    const struct slice message = slice_of(bytes, sizeof bytes);
    struct wire_event event;

    (void)state;
    assert_int_equal(wire_peek_event(message, &event), TOO_LARGE);
    assert_int_equal(wire_read_event(message, &event), TOO_LARGE);
}

static void test_key_message(void **state)
{
    static const uint8_t bytes[SUCCESSION_SIZE_MAX + 1] = { 1 };
    static const struct {
        size_t size;
        enum status status;
    } rows[] = { { 0, INVALID },
                 { 1, OK },
                 { SUCCESSION_SIZE_MAX, OK },
                 { SUCCESSION_SIZE_MAX + 1, TOO_LARGE } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t message[SUCCESSION_SIZE_MAX + 16];
        struct slice succession;
        struct mp_writer writer;

        mp_writer_init(&writer, message, sizeof message);
        wire_write_key(&writer, slice_of(bytes, rows[i].size));
        assert_int_equal(writer.status, OK);
        assert_int_equal(wire_read_key(mp_writer_bytes(&writer), &succession), rows[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_declared_count),
        cmocka_unit_test(test_value_size),
        cmocka_unit_test(test_message_size),
        cmocka_unit_test(test_removal_in_one_tier),
        cmocka_unit_test(test_tiers),
        cmocka_unit_test(test_envelopes),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_credit),
        cmocka_unit_test(test_hello_order),
        cmocka_unit_test(test_hello_count),
        cmocka_unit_test(test_vector_hash),
        cmocka_unit_test(test_enrol_without_room),
        cmocka_unit_test(test_event_larger_than_any),
        cmocka_unit_test(test_key_message),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
