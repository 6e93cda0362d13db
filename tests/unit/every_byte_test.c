/* SPDX-License-Identifier: MPL-2.0 */
/* every_byte_test.c - one wrong byte anywhere in an event or a chunk: it is refused, or it led
 * to exactly the signed state.  The whole way that a node goes: form, signature, judge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <sodium.h>
#include <string.h>

#include "daemon/core/feed.h"
#include "daemon/core/judge.h"
#include "proto/wire.h"

#define CHANGES 3
static uint8_t values[CHANGES][TIERS_PUBLISHED][128];
static struct change originals[CHANGES];
static struct sign_key key;
static struct signed_head envelope;
static uint8_t message[2048];
static size_t message_size;

static struct slice write_value(uint8_t *buffer, const char *name, const char *value)
{
    struct mp_writer writer;

    mp_writer_init(&writer, buffer, 128);
    mp_write_map(&writer, 1);
    mp_write_key_text(&writer, name, value);
    return mp_writer_bytes(&writer);
}

static int make_event(void **state)
{
    static const uint8_t nil[] = { 0xc0 };
    struct digest_sum sums[TIERS_PUBLISHED] = { { .count = 0 }, { .count = 0 } };
    struct head head = { .origin = "fr", .epoch = 1, .instance = 1, .seq = CHANGES };
    uint8_t seed[32] = { 7 };

    (void)state;
    crypto_sign_seed_keypair(key.public_key, key.secret, seed);
    for (int i = 0; i < CHANGES; i++) {
        struct change *change = &originals[i];

        memset(change, 0, sizeof *change);
        change->seq = (uint64_t)i + 1;
        change->type = RECORD_MEMBER;
        change->tiers = TIERS_BOTH;
        memset(change->id, i + 1, ID_SIZE);
        memset(change->salt, 0x40 + i, SALT_SIZE);
        change->value[0] = write_value(values[i][0], "country", "FR");
        change->value[1] = write_value(values[i][1], "email", "a@b.example");
        if (i == CHANGES - 1)
            change->value[0] = change->value[1] = slice_of(nil, sizeof nil);
        digest_add(&sums[0], "fr", TIER_FEDERATION, change);
        digest_add(&sums[1], "fr", TIER_HQ, change);
    }
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        digest_of(&sums[tier], (enum tier)tier, head.digest[tier]);
        head.count[tier] = sums[tier].count;
    }
    head_sign(&head, &key, &envelope);
    return 0;
}

/* What a node at nothing would come to: the tiers that it would put. */
static unsigned judge_changes(struct slice head_bytes, uint64_t since, unsigned tiers,
                              struct wire_list list, struct change out_changes[CHANGES])
{
    static const struct feed_term term = { .epoch = 1, .instance = 1, .closed_seq = 0 };
    static const uint64_t from[TIERS_PUBLISHED] = { 0, 0 };
    const struct row_version none = { 0 };
    const struct feed_mark *other = NULL;
    struct change change;
    struct judge judge;
    struct feed feed;
    struct head head;
    size_t count = 0;

    if (head_read(head_bytes, &head) != OK || strcmp(head.origin, "fr") != 0 ||
        head_verify(head_bytes, key.public_key) != OK)
        return 0;
    feed_init(&feed, "fr");
    if (feed_judge(&feed, TIER_FEDERATION, &term, &head, since, &other) != FEED_EXTENDS)
        return 0;
    judge_init(&judge, "fr", tiers, from, head.seq);
    while (wire_next_change(&list, tiers, &change)) {
        judge_change(&judge, &change, &none);
        if (count < CHANGES)
            out_changes[count] = change;
        count++;
    }
    return count == CHANGES ? judge_verdict(&judge, &head) : 0;
}

static void assert_originals(const struct change changes[CHANGES], unsigned tiers)
{
    for (int i = 0; i < CHANGES; i++)
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
            if (!(tiers & (1u << tier)))
                continue;
            assert_int_equal(changes[i].type, originals[i].type);
            assert_int_equal(changes[i].seq, originals[i].seq);
            assert_memory_equal(changes[i].id, originals[i].id, ID_SIZE);
            assert_true(slice_equal(changes[i].value[tier], originals[i].value[tier]));
            if (tier == TIER_HQ)
                assert_memory_equal(changes[i].salt, originals[i].salt, SALT_SIZE);
        }
}

static unsigned take_event(struct change changes[CHANGES])
{
    struct wire_event event;

    if (wire_read_event(slice_of(message, message_size), &event) != OK)
        return 0;
    return judge_changes(event.head, event.since, event.tiers, event.changes, changes);
}

static unsigned take_chunk(struct change changes[CHANGES])
{
    struct wire_changes chunk;

    if (wire_read_changes(slice_of(message, message_size), &chunk) != OK ||
        chunk.request != 77 || chunk.index != 0 || strcmp(chunk.origin, "fr") != 0 ||
        chunk.tiers != TIERS_BOTH || chunk.head.size == 0)
        return 0;
    return judge_changes(chunk.head, chunk.since, chunk.tiers, chunk.changes, changes);
}

static void flip_every_bit(unsigned take(struct change changes[CHANGES]), size_t harmless_max)
{
    struct change changes[CHANGES];
    size_t harmless = 0;

    assert_int_equal(take(changes), TIERS_BOTH);
    assert_originals(changes, TIERS_BOTH);
    for (size_t at = 0; at < message_size; at++)
        for (int bit = 0; bit < 8; bit++) {
            unsigned good;

            message[at] ^= (uint8_t)(1 << bit);
            good = take(changes);
            if (good != 0)
                assert_originals(changes, good);
            harmless += good == TIERS_BOTH;
            message[at] ^= (uint8_t)(1 << bit);
        }
    /* Only numbers that nobody signs, and that decide nothing, may differ. */
    assert_in_range(harmless, 0, harmless_max);
}

static void test_every_bit_of_an_event(void **state)
{
    struct mp_writer writer;

    (void)state;
    mp_writer_init(&writer, message, sizeof message);
    wire_write_event_begin(&writer, TIERS_BOTH, 0, signed_head_bytes(&envelope), CHANGES);
    for (int i = 0; i < CHANGES; i++)
        change_write(&writer, &originals[i], TIERS_BOTH);
    message_size = writer.size;
    flip_every_bit(take_event, 0);
}

static void test_every_bit_of_a_chunk(void **state)
{
    const struct wire_changes chunk = {
        .request = 77, .origin = "fr", .epoch = 1, .base = 3, .tiers = TIERS_BOTH
    };
    struct mp_writer writer;

    (void)state;
    mp_writer_init(&writer, message, sizeof message);
    wire_write_changes_begin(&writer, &chunk, CHANGES);
    for (int i = 0; i < CHANGES; i++)
        change_write(&writer, &originals[i], TIERS_BOTH);
    wire_write_changes_end(&writer, signed_head_bytes(&envelope));
    message_size = writer.size;
    flip_every_bit(take_chunk, 14); /* the 7 low bits of epoch and of base */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_bit_of_an_event),
        cmocka_unit_test(test_every_bit_of_a_chunk),
    };

    return cmocka_run_group_tests(tests, make_event, NULL);
}
