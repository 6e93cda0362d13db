/* SPDX-License-Identifier: MPL-2.0 */
/* store_feed.c - one record an origin: where its rows are, and its newest heads and beat.
 *
 * For both tiers number 4, horizon 8, size of the head 2, head; then hold 1, the epoch of hold
 * 8, size of the beat 2, beat.  Origin fr: tier federation under number 5 with horizon 2 and a
 * head of 3 bytes (ones of 370 are usual), tier hq not held, not frozen, a beat of 2 bytes:
 *
 *   key     66720000000000000000000000000000
 *   value   00000005 0000000000000002 0003 aabbcc
 *           00000000 0000000000000000 0000
 *           00 0000000000000000 0002 ddee */
#include "daemon/io/store_internal.h"

#include <string.h>

#define FEED_TIER_SIZE_MAX (4 + 8 + 2 + SIGNED_HEAD_SIZE_MAX)
#define FEED_SIZE_MAX (TIERS_PUBLISHED * FEED_TIER_SIZE_MAX + 1 + 8 + 2 + SIGNED_BEAT_SIZE_MAX)

static struct slice feed_key(uint8_t buffer[ORIGIN_KEY_SIZE], const char *origin)
{
    struct packer packer = { buffer };

    pack_origin(&packer, origin);
    return slice_of(buffer, ORIGIN_KEY_SIZE);
}

static void unpack_beat(struct unpacker *unpacker, struct signed_beat *out_beat)
{
    const uint16_t size = unpack_u16(unpacker);

    if (size > sizeof out_beat->bytes) {
        unpacker->bad = true;
        return;
    }
    out_beat->size = size;
    unpack_bytes(unpacker, out_beat->bytes, size);
}

static enum status feed_decode(struct slice key, struct slice value, struct store_feed *out)
{
    struct unpacker place = unpacker_of(key);
    struct unpacker unpacker = unpacker_of(value);
    uint8_t hold;

    memset(out, 0, sizeof *out);
    if (!unpack_origin(&place, out->origin) || !unpacked_all(&place))
        return STORE_DAMAGED;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        out->tier[tier].number = unpack_u32(&unpacker);
        out->tier[tier].horizon = unpack_u64(&unpacker);
        unpack_signed_head(&unpacker, &out->tier[tier].head);
    }
    hold = unpack_u8(&unpacker);
    out->hold = (enum feed_hold)hold;
    out->hold_epoch = unpack_u64(&unpacker);
    unpack_beat(&unpacker, &out->beat);
    return unpacked_all(&unpacker) && hold <= FEED_DIVERGED ? OK : STORE_DAMAGED;
}

static enum status feed_result(enum status status, struct slice key, struct slice value,
                               struct store_feed *out)
{
    struct store_feed feed;

    if (status == OK)
        status = feed_decode(key, value, &feed);
    if (status == OK)
        *out = feed;
    return status;
}

enum status store_get_feed(struct store_txn *txn, const char *origin, struct store_feed *out)
{
    uint8_t buffer[ORIGIN_KEY_SIZE];
    const struct slice key = feed_key(buffer, origin);
    struct slice value;
    const enum status status = table_get(txn, TABLE_FEEDS, key, &value);

    return feed_result(status, key, value, out);
}

enum status store_put_feed(struct store_txn *txn, const struct store_feed *feed)
{
    uint8_t key[ORIGIN_KEY_SIZE];
    uint8_t value[FEED_SIZE_MAX];
    struct packer packer = { value };

    ASSERT(feed->origin[0] != '\0' && feed->beat.size <= sizeof feed->beat.bytes);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        pack_u32(&packer, feed->tier[tier].number);
        pack_u64(&packer, feed->tier[tier].horizon);
        pack_signed_head(&packer, &feed->tier[tier].head);
    }
    pack_u8(&packer, feed->hold);
    pack_u64(&packer, feed->hold_epoch);
    pack_u16(&packer, feed->beat.size);
    pack_bytes(&packer, feed->beat.bytes, feed->beat.size);
    return table_put(txn, TABLE_FEEDS, feed_key(key, feed->origin),
                     slice_of(value, (size_t)(packer.at - value)));
}

enum status store_next_feed(struct store_txn *txn, const char *after, struct store_feed *out)
{
    uint8_t buffer[ORIGIN_KEY_SIZE];
    struct slice key;
    struct slice value;
    enum status status;

    feed_key(buffer, after);
    buffer[ORIGIN_KEY_SIZE - 1] = 1; /* the first key after it: a code ends with NUL */
    status = table_seek(txn, TABLE_FEEDS, slice_of(buffer, sizeof buffer), &key, &value);
    return feed_result(status, key, value, out);
}
