/* SPDX-License-Identifier: MPL-2.0 */
/* wire_test.c - messages between nodes: every field, every bound, and no bytes that crash a
 * reader or mean two things.  The messages are those of proto/vectors. */
#include "tests/unit/vector_text.h"

#include <dirent.h>

#include "tests/fuzz/again.h"

#define VECTORS_DIRECTORY CHAPTERD_SOURCE_DIR "/proto/vectors"

static const char *const names[] = {
    "hello",    "event-federation", "event-both", "beat-message",  "vector",
    "want",     "want-snapshot",    "credit",     "changes-first", "changes-last",
    "evidence", "evidence-single",  "refusal",    "enrol",         "enrolled",
    "offer",    "epoch-request",    "settled",    "epoch-reply",   "cleared",
    "key",
};
#define NAME_COUNT (sizeof names / sizeof names[0])

/* The message of an example; valid until the next call. */
static struct slice message_of(const char *name)
{
    static struct vector vector;
    char path[512];

    (void)snprintf(path, sizeof path, "%s/%s.hex", VECTORS_DIRECTORY, name);
    if (!vector_read(&vector, path))
        fail_msg("%s is missing", path);
    return vector_bytes(&vector);
}

/* What becomes of a copy of exactly these bytes: a sanitizer sees every read past them. */
static enum again try_bytes(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    enum again again;

    assert_non_null(copy);
    if (size > 0)
        memcpy(copy, data, size);
    again = again_message(slice_of(copy, size));
    free(copy);
    return again;
}

static void assert_code(const char *code, const char *expected)
{
    char padded[CODE_SIZE] = { 0 };

    memcpy(padded, expected, strlen(expected));
    assert_memory_equal(code, padded, CODE_SIZE);
}

/* --- every field of every message --------------------------------------------------------- */

static void test_hello(void **state)
{
    struct wire_hello_entry entry;
    struct wire_hello hello;
    struct beat beat;

    (void)state;
    assert_int_equal(wire_read_hello(message_of("hello"), &hello), OK);
    assert_int_equal(hello.version, 1);
    assert_int_equal(hello.capabilities, 0);
    assert_int_equal(hello.federation[0], 0x30);
    assert_code(hello.code, "fr");
    assert_false(hello.reply);
    assert_int_equal(hello.entries.count, 2);
    assert_true(wire_next_entry(&hello.entries, &entry));
    assert_code(entry.origin, "fr");
    assert_int_equal(entry.epoch, 1);
    assert_int_equal(entry.seq, 5);
    assert_int_equal(entry.hq_epoch, 1);
    assert_int_equal(entry.hq_seq, 5);
    assert_int_equal(beat_read(entry.beat, &beat), OK);
    assert_memory_equal(beat.head_hash, entry.hash, HASH_SIZE);
    assert_true(wire_next_entry(&hello.entries, &entry));
    assert_code(entry.origin, "hq");
    assert_int_equal(entry.seq, 2);
    assert_int_equal(entry.hq_epoch, 0);
    assert_int_equal(entry.hq_seq, 0);
    assert_false(wire_next_entry(&hello.entries, &entry));
    assert_false(wire_next_entry(&hello.entries, &entry));
}

static void assert_event(const char *name, unsigned tiers)
{
    struct wire_event event;
    struct change change;
    struct head head;

    assert_int_equal(wire_read_event(message_of(name), &event), OK);
    assert_int_equal(event.tiers, tiers);
    assert_int_equal(event.since, 3);
    assert_int_equal(head_read(event.head, &head), OK);
    assert_int_equal(head.seq, 5);
    assert_int_equal(event.changes.count, 2);
    assert_true(wire_next_change(&event.changes, event.tiers, &change));
    assert_int_equal(change.seq, 4);
    assert_int_equal(change.tiers, tiers);
    assert_true(wire_next_change(&event.changes, event.tiers, &change));
    assert_int_equal(change.seq, 5);
    assert_true(value_is_removal(change.value[TIER_FEDERATION]));
    assert_int_equal(change.value[TIER_HQ].size, tiers == TIERS_BOTH);
    assert_false(wire_next_change(&event.changes, event.tiers, &change));
}

/* The start of an event tells its head, whatever follows. */
static void assert_peek(const char *name)
{
    const struct slice message = message_of(name);
    struct wire_event event;
    struct wire_event start;
    size_t least = 0;

    assert_int_equal(wire_read_event(message, &event), OK);
    while (least <= message.size &&
           wire_peek_event(slice_of(message.data, least), &start) != OK)
        least++;
    assert_int_equal(least, (size_t)(event.head.data + event.head.size - message.data));
    assert_int_equal(start.tiers, event.tiers);
    assert_int_equal(start.since, event.since);
    assert_true(slice_equal(start.head, event.head));
    assert_int_equal(start.changes.count, 0);
    assert_int_equal(wire_peek_event(message_of("evidence"), &start), INVALID);
}

static void test_event(void **state)
{
    (void)state;
    assert_event("event-federation", TIERS_FEDERATION);
    assert_event("event-both", TIERS_BOTH);
    assert_peek("event-federation");
    assert_peek("event-both");
}

static void test_want(void **state)
{
    struct wire_want want;

    (void)state;
    assert_int_equal(wire_read_want(message_of("want"), &want), OK);
    assert_int_equal(want.request, 7);
    assert_code(want.origin, "fr");
    assert_int_equal(want.epoch, 1);
    assert_int_equal(want.since, 3);
    assert_int_equal(want.hash[0], 0x38);
    assert_int_equal(want.tiers, TIERS_BOTH);
    assert_int_equal(want.credit, 8);
    assert_int_equal(wire_read_want(message_of("want-snapshot"), &want), OK);
    assert_int_equal(want.epoch, 0);
    assert_int_equal(want.since, 0);
    assert_true(sodium_is_zero(want.hash, HASH_SIZE));
}

static void test_changes(void **state)
{
    struct wire_changes changes;
    struct change change;
    struct head head;

    (void)state;
    assert_int_equal(wire_read_changes(message_of("changes-first"), &changes), OK);
    assert_int_equal(changes.request, 7);
    assert_int_equal(changes.index, 0);
    assert_code(changes.origin, "fr");
    assert_int_equal(changes.epoch, 1);
    assert_int_equal(changes.since, 0);
    assert_int_equal(changes.base, 3);
    assert_int_equal(changes.tiers, TIERS_FEDERATION);
    assert_int_equal(changes.changes.count, 1);
    assert_null(changes.head.data);
    assert_true(wire_next_change(&changes.changes, changes.tiers, &change));
    assert_int_equal(change.seq, 2);
    assert_int_equal(wire_read_changes(message_of("changes-last"), &changes), OK);
    assert_int_equal(changes.index, 1);
    assert_int_equal(changes.changes.count, 2);
    assert_int_equal(head_read(changes.head, &head), OK);
    assert_int_equal(head.seq, 5);
}

static void test_small_messages(void **state)
{
    struct wire_beat beat;
    struct wire_vector vector;
    struct wire_credit credit;
    struct wire_evidence evidence;
    struct wire_refusal refusal;
    struct wire_enrolled enrolled;
    struct head heads[2];
    struct beat inner;

    (void)state;
    assert_int_equal(wire_read_beat(message_of("beat-message"), &beat), OK);
    assert_int_equal(beat_read(beat.beat, &inner), OK);
    assert_int_equal(wire_read_vector(message_of("vector"), &vector), OK);
    assert_false(sodium_is_zero(vector.hash, HASH_SIZE));
    assert_int_equal(wire_read_credit(message_of("credit"), &credit), OK);
    assert_int_equal(credit.request, 7);
    assert_int_equal(credit.chunks, 1);
    assert_int_equal(wire_read_evidence(message_of("evidence"), &evidence), OK);
    assert_int_equal(head_read(evidence.head[0], &heads[0]), OK);
    assert_int_equal(head_read(evidence.head[1], &heads[1]), OK);
    assert_true(heads_conflict(&heads[0], &heads[1]));
    assert_int_equal(wire_read_evidence(message_of("evidence-single"), &evidence), OK);
    assert_null(evidence.head[1].data);
    assert_int_equal(wire_read_refusal(message_of("refusal"), &refusal), OK);
    assert_int_equal(refusal.request, 7);
    assert_int_equal(refusal.reason, REFUSAL_RESTARTED);
    assert_int_equal(wire_read_enrolled(message_of("enrolled"), &enrolled), OK);
    assert_int_equal(enrolled.result, ENROL_OK);
    assert_int_equal(enrolled.roster_epoch, 1);
    assert_int_equal(enrolled.roster_seq, 2);
}

static void test_messages_of_epochs(void **state)
{
    struct wire_epoch_request request;
    struct wire_epoch_reply reply;
    struct wire_offer offer;
    struct wire_settled settled;
    struct head head;
    uint8_t bytes[64];
    struct mp_writer writer;

    (void)state;
    assert_int_equal(wire_read_epoch_request(message_of("epoch-request"), &request), OK);
    assert_int_equal(head_read(request.head, &head), OK);
    assert_int_equal(wire_read_epoch_reply(message_of("epoch-reply"), &reply), OK);
    assert_true(reply.instance == request.instance);
    assert_int_equal(reply.answer, 0);
    assert_int_equal(wire_read_offer(message_of("offer"), &offer), OK);
    assert_int_equal(offer.tiers, TIERS_FEDERATION);
    assert_int_equal(wire_read_settled(message_of("settled"), &settled), OK);
    assert_memory_equal(settled.hash, head.hash, HASH_SIZE);
    /* Instance 0 is nobody; a state of tier hq alone is none. */
    request = (struct wire_epoch_request){ .instance = 0 };
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_epoch_request(&writer, &request);
    assert_int_equal(wire_read_epoch_request(mp_writer_bytes(&writer), &request), INVALID);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_offer(&writer, TIERS_HQ, slice_of(settled.hash, HASH_SIZE));
    assert_int_equal(wire_read_offer(mp_writer_bytes(&writer), &offer), INVALID);
}

static void test_cleared(void **state)
{
    static const struct wire_cleared_entry entries[] = { { "hq", "fr", 1, 5 },
                                                         { "hq", "lu", 1, 3 } };
    struct wire_cleared_entry entry;
    struct wire_cleared cleared;
    uint8_t bytes[128];

    (void)state;
    assert_int_equal(wire_read_cleared(message_of("cleared"), &cleared), OK);
    assert_int_equal(cleared.entries.count, 2);
    assert_true(wire_next_cleared(&cleared.entries, &entry));
    assert_code(entry.node, "hq");
    assert_code(entry.origin, "fr");
    assert_int_equal(entry.seq, 5);
    /* ascending, each once */
    for (size_t first = 0; first < 2; first++)
        for (size_t second = 0; second < 2; second++) {
            struct mp_writer writer;

            mp_writer_init(&writer, bytes, sizeof bytes);
            wire_write_cleared_begin(&writer, 2);
            wire_write_cleared_entry(&writer, &entries[first]);
            wire_write_cleared_entry(&writer, &entries[second]);
            assert_int_equal(wire_read_cleared(mp_writer_bytes(&writer), &cleared),
                             first < second ? OK : INVALID);
        }
}

static void test_enrol(void **state)
{
    const struct slice message = message_of("enrol");
    struct wire_enrol enrol;
    uint8_t bytes[ENROL_SIZE_MAX + 1] = { 0 };

    (void)state;
    assert_int_equal(wire_read_enrol(message, &enrol), OK);
    assert_int_equal(enrol.version, 1);
    assert_int_equal(enrol.secret[0], 0xc0);
    assert_code(enrol.code, "fr");
    assert_int_equal(enrol.sign_key[0], 0x29);
    assert_int_equal(enrol.curve_key[0], 0x49);
    assert_string_equal(enrol.address, "fr.example.org:7440");
    /* Whatever byte is changed, it is not what the key signed. */
    for (size_t i = 0; i < message.size; i++) {
        memcpy(bytes, message.data, message.size);
        bytes[i] ^= 0x01;
        assert_int_not_equal(wire_read_enrol(slice_of(bytes, message.size), &enrol), OK);
    }
    assert_int_equal(wire_read_enrol(slice_of(bytes, sizeof bytes), &enrol), TOO_LARGE);
}

/* --- damage ------------------------------------------------------------------------------- */

static void test_round_trips(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        const struct slice message = message_of(names[i]);

        assert_int_equal(try_bytes(message.data, message.size), AGAIN_SAME);
    }
}

static void test_cut_short(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        const struct slice message = message_of(names[i]);

        for (size_t size = 0; size < message.size; size++)
            assert_int_equal(try_bytes(message.data, size), AGAIN_REFUSED);
    }
}

static void test_trailing_bytes(void **state)
{
    uint8_t bytes[VECTOR_SIZE_MAX + 1];

    (void)state;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        const struct slice message = message_of(names[i]);

        memcpy(bytes, message.data, message.size);
        bytes[message.size] = 0xc0;
        assert_int_equal(try_bytes(bytes, message.size + 1), AGAIN_REFUSED);
    }
}

static void test_flipped_bits(void **state)
{
    uint8_t bytes[VECTOR_SIZE_MAX];

    (void)state;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        const struct slice message = message_of(names[i]);

        memcpy(bytes, message.data, message.size);
        for (size_t bit = 0; bit < 8 * message.size; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (try_bytes(bytes, message.size) == AGAIN_DIFFERS)
                fail_msg("%s: two encodings, bit %zu", names[i], bit);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

/* Every byte in turn, as each of the values that lead a MessagePack value of another kind. */
static void test_other_leads(void **state)
{
    static const uint8_t leads[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
                                     0xc1, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xca, 0xcb, 0xcc,
                                     0xcd, 0xce, 0xcf, 0xd0, 0xd3, 0xd4, 0xd9, 0xda, 0xdb,
                                     0xdc, 0xdd, 0xde, 0xdf, 0xe0, 0xff };
    uint8_t bytes[VECTOR_SIZE_MAX];

    (void)state;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        const struct slice message = message_of(names[i]);

        memcpy(bytes, message.data, message.size);
        for (size_t at = 0; at < message.size; at++) {
            for (size_t k = 0; k < sizeof leads; k++) {
                bytes[at] = leads[k];
                assert_int_not_equal(try_bytes(bytes, message.size), AGAIN_DIFFERS);
            }
            bytes[at] = message.data[at];
        }
    }
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*seed >> 33);
}

static void test_random_damage(void **state)
{
    uint8_t bytes[2 * VECTOR_SIZE_MAX];
    uint64_t seed = 2026;

    (void)state;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        const struct slice message = message_of(names[i]);

        for (int round = 0; round < 500; round++) {
            size_t size = message.size;

            memcpy(bytes, message.data, size);
            for (uint32_t wounds = 1 + next_random(&seed) % 6; wounds > 0 && size > 0;
                 wounds--) {
                const size_t at = next_random(&seed) % size;
                const size_t gone = next_random(&seed) % (size - at);

                switch (next_random(&seed) % 3) {
                case 0:
                    bytes[at] = (uint8_t)next_random(&seed);
                    break;
                case 1:
                    memmove(bytes + at, bytes + at + gone, size - at - gone);
                    size -= gone;
                    break;
                default:
                    if (size + gone > sizeof bytes)
                        break;
                    memmove(bytes + at + gone, bytes + at, size - at);
                    size += gone;
                    break;
                }
            }
            assert_int_not_equal(try_bytes(bytes, size), AGAIN_DIFFERS);
        }
    }
}

/* --- what leads to a message's reader ----------------------------------------------------- */

static void test_type(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        unsigned type;
    } rows[] = {
        { "", 0, 0 },
        { "\x90", 1, 0 },
        { "\x91\x01", 2, 1 },
        { "\x92\x0b", 2, 0 },
        { "\x91\x0b", 2, 11 },
        { "\x91\xcc\xc8", 3, 200 },
        { "\x91\xcc\x05", 3, 0 },
        { "\x91\xcd\x01\x00", 4, 0 },
        { "\x81\x01\x01", 3, 0 },
        { "\x91\xa1x", 3, 0 },
        { "\x01", 1, 0 },
        { "\x91\xff", 2, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(wire_type_of(slice_of(rows[i].bytes, rows[i].size)), rows[i].type);
}

/* A reader takes its own type alone, and leaves its output as it was. */
static void test_wrong_type(void **state)
{
    struct wire_credit credit = { 1, 2 };
    struct wire_vector vector;

    (void)state;
    memset(&vector, 0x55, sizeof vector);
    assert_int_equal(wire_read_credit(message_of("refusal"), &credit), INVALID);
    assert_int_equal(credit.request, 1);
    assert_int_equal(credit.chunks, 2);
    assert_int_equal(wire_read_vector(message_of("beat-message"), &vector), INVALID);
    assert_int_equal(vector.hash[31], 0x55);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello),          cmocka_unit_test(test_event),
        cmocka_unit_test(test_want),           cmocka_unit_test(test_changes),
        cmocka_unit_test(test_small_messages), cmocka_unit_test(test_messages_of_epochs),
        cmocka_unit_test(test_cleared),        cmocka_unit_test(test_enrol),
        cmocka_unit_test(test_round_trips),    cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_trailing_bytes), cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_other_leads),    cmocka_unit_test(test_random_damage),
        cmocka_unit_test(test_type),           cmocka_unit_test(test_wrong_type),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
