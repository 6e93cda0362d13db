/* SPDX-License-Identifier: MPL-2.0 */
/* store_erased.c - what must not come back, and whose files hold nothing of it any more.
 *
 * erased: kind 1, hash 16 -> the caller's value.  Kind 1 (an id) with a value of two bytes:
 *
 *   key     01 f0e1d2c3b4a5968778695a4b3c2d1e0f
 *   value   aabb
 *
 * cleared: node 16, origin 16 -> epoch 8, seq 8.  lu's files hold nothing of what was removed
 * from fr's feed up to (1, 9):
 *
 *   key     6c750000000000000000000000000000 66720000000000000000000000000000
 *   value   0000000000000001 0000000000000009 */
#include "daemon/io/store_internal.h"

#include <string.h>

#define ERASED_KEY_SIZE (1 + ERASED_HASH_SIZE)
#define CLEARED_KEY_SIZE (2 * ORIGIN_KEY_SIZE)
#define CLEARED_SIZE 16

/* --- erased ------------------------------------------------------------------------------ */

static struct slice erased_key(uint8_t buffer[ERASED_KEY_SIZE], enum erased_kind kind,
                               const uint8_t hash[ERASED_HASH_SIZE])
{
    struct packer packer = { buffer };

    pack_u8(&packer, kind);
    pack_bytes(&packer, hash, ERASED_HASH_SIZE);
    return slice_of(buffer, ERASED_KEY_SIZE);
}

enum status store_get_erased(struct store_txn *txn, enum erased_kind kind,
                             const uint8_t hash[ERASED_HASH_SIZE], struct slice *out)
{
    uint8_t key[ERASED_KEY_SIZE];

    return table_get(txn, TABLE_ERASED, erased_key(key, kind, hash), out);
}

enum status store_put_erased(struct store_txn *txn, enum erased_kind kind,
                             const uint8_t hash[ERASED_HASH_SIZE], struct slice value)
{
    uint8_t key[ERASED_KEY_SIZE];

    return table_put(txn, TABLE_ERASED, erased_key(key, kind, hash), value);
}

enum status store_delete_erased(struct store_txn *txn, enum erased_kind kind,
                                const uint8_t hash[ERASED_HASH_SIZE])
{
    uint8_t key[ERASED_KEY_SIZE];

    return table_delete(txn, TABLE_ERASED, erased_key(key, kind, hash));
}

enum status store_scan_erased(struct store_txn *txn, enum erased_kind kind,
                              store_erased_visit *visit, void *context)
{
    CLEANUP(table_scan_close) struct table_scan scan = { 0 };
    const uint8_t prefix = (uint8_t)kind;
    struct slice key;
    struct slice value;
    enum status status = table_scan_open(txn, TABLE_ERASED, slice_of(&prefix, 1), &scan);

    while (status == OK && (status = table_scan_next(&scan, &key, &value)) == OK &&
           key.size == ERASED_KEY_SIZE && key.data[0] == prefix)
        status = visit(context, value);
    return status == NOT_FOUND ? OK : status;
}

/* --- cleared ----------------------------------------------------------------------------- */

static struct slice cleared_key(uint8_t buffer[CLEARED_KEY_SIZE], const char *node,
                                const char *origin)
{
    struct packer packer = { buffer };

    pack_origin(&packer, node);
    pack_origin(&packer, origin);
    return slice_of(buffer, CLEARED_KEY_SIZE);
}

static enum status cleared_decode(struct slice key, struct slice value,
                                  struct store_cleared *out)
{
    struct unpacker place = unpacker_of(key);
    struct unpacker unpacker = unpacker_of(value);
    struct store_cleared cleared;
    bool good;

    memset(&cleared, 0, sizeof cleared);
    good = unpack_origin(&place, cleared.node);
    good = unpack_origin(&place, cleared.origin) && good;
    cleared.epoch = unpack_u64(&unpacker);
    cleared.seq = unpack_u64(&unpacker);
    if (!good || !unpacked_all(&place) || !unpacked_all(&unpacker))
        return STORE_DAMAGED;
    *out = cleared;
    return OK;
}

enum status store_get_cleared(struct store_txn *txn, const char *node, const char *origin,
                              struct store_cleared *out)
{
    uint8_t buffer[CLEARED_KEY_SIZE];
    const struct slice key = cleared_key(buffer, node, origin);
    struct slice value;
    const enum status status = table_get(txn, TABLE_CLEARED, key, &value);

    return status == OK ? cleared_decode(key, value, out) : status;
}

enum status store_put_cleared(struct store_txn *txn, const struct store_cleared *cleared)
{
    uint8_t key[CLEARED_KEY_SIZE];
    uint8_t value[CLEARED_SIZE];
    struct packer packer = { value };

    pack_u64(&packer, cleared->epoch);
    pack_u64(&packer, cleared->seq);
    return table_put(txn, TABLE_CLEARED, cleared_key(key, cleared->node, cleared->origin),
                     slice_of(value, sizeof value));
}

enum status store_next_cleared(struct store_txn *txn, const struct store_cleared *after,
                               struct store_cleared *out)
{
    uint8_t from[CLEARED_KEY_SIZE + 1] = { 0 }; /* with a NUL behind it: the next key */
    struct slice key;
    struct slice value;
    enum status status;

    if (after != NULL)
        (void)cleared_key(from, after->node, after->origin);
    status = table_seek(txn, TABLE_CLEARED, slice_of(from, after == NULL ? 0 : sizeof from),
                        &key, &value);
    return status == OK ? cleared_decode(key, value, out) : status;
}
