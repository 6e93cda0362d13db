/* SPDX-License-Identifier: MPL-2.0 */
/* store_kept.c - states of closed epochs that a node keeps until their origin has looked at
 * them, and at the origin, which ids it was offered.
 *
 * kept: fr's state in epoch 1 at a head with hash 01..01, under number 7, tier federation, an
 * envelope of 3 bytes:
 *
 *   key     66720000000000000000000000000000 0000000000000001 0101..01
 *   value   00000007 01 0003 aabbcc
 *
 * offered: highest offered at (1, 5), issued again at seq 9, without tier hq:
 *
 *   key     0190a1b2c3d47e5f8a6b7c8d9eafb0c1
 *   value   0000000000000001 0000000000000005 0000000000000009 00 */
#include "daemon/io/store_internal.h"

#include <string.h>

#define KEPT_KEY_SIZE (ORIGIN_KEY_SIZE + 8 + HASH_SIZE)
#define OFFERED_SIZE 25

static struct slice kept_key(uint8_t buffer[KEPT_KEY_SIZE], const char *origin, uint64_t epoch,
                             const uint8_t hash[HASH_SIZE])
{
    struct packer packer = { buffer };

    pack_origin(&packer, origin);
    pack_u64(&packer, epoch);
    pack_bytes(&packer, hash, HASH_SIZE);
    return slice_of(buffer, KEPT_KEY_SIZE);
}

static enum status kept_decode(struct slice key, struct slice value, struct store_kept *out)
{
    struct unpacker place = unpacker_of(key);
    struct unpacker unpacker = unpacker_of(value);
    struct store_kept kept;

    memset(&kept, 0, sizeof kept);
    if (!unpack_origin(&place, kept.origin))
        return STORE_DAMAGED;
    kept.epoch = unpack_u64(&place);
    unpack_bytes(&place, kept.hash, HASH_SIZE);
    kept.number = unpack_u32(&unpacker);
    kept.tiers = unpack_u8(&unpacker);
    unpack_signed_head(&unpacker, &kept.head);
    if (!unpacked_all(&place) || !unpacked_all(&unpacker))
        return STORE_DAMAGED;
    *out = kept;
    return OK;
}

enum status store_get_kept(struct store_txn *txn, const char *origin, uint64_t epoch,
                           const uint8_t hash[HASH_SIZE], struct store_kept *out)
{
    uint8_t buffer[KEPT_KEY_SIZE];
    const struct slice key = kept_key(buffer, origin, epoch, hash);
    struct slice value;
    const enum status status = table_get(txn, TABLE_KEPT, key, &value);

    return status == OK ? kept_decode(key, value, out) : status;
}

enum status store_put_kept(struct store_txn *txn, const struct store_kept *kept)
{
    uint8_t buffer[KEPT_KEY_SIZE];
    uint8_t value[4 + 1 + 2 + SIGNED_HEAD_SIZE_MAX];
    struct packer packer = { value };

    pack_u32(&packer, kept->number);
    pack_u8(&packer, kept->tiers);
    pack_signed_head(&packer, &kept->head);
    return table_put(txn, TABLE_KEPT, kept_key(buffer, kept->origin, kept->epoch, kept->hash),
                     slice_of(value, (size_t)(packer.at - value)));
}

enum status store_delete_kept(struct store_txn *txn, const struct store_kept *kept)
{
    uint8_t buffer[KEPT_KEY_SIZE];

    return table_delete(txn, TABLE_KEPT,
                        kept_key(buffer, kept->origin, kept->epoch, kept->hash));
}

enum status store_next_kept(struct store_txn *txn, const struct store_kept *after,
                            struct store_kept *out)
{
    uint8_t from[KEPT_KEY_SIZE + 1] = { 0 };
    struct slice key;
    struct slice value;
    enum status status;

    /* With a NUL behind it, it is the first key after itself. */
    if (after != NULL)
        (void)kept_key(from, after->origin, after->epoch, after->hash);
    status = table_seek(txn, TABLE_KEPT, slice_of(from, after == NULL ? 0 : sizeof from), &key,
                        &value);
    return status == OK ? kept_decode(key, value, out) : status;
}

/* --- at the origin ------------------------------------------------------------------------ */

enum status store_get_offered(struct store_txn *txn, const uint8_t id[ID_SIZE],
                              struct store_offered *out)
{
    struct slice value;
    struct unpacker unpacker;
    struct store_offered offered;
    const enum status status = table_get(txn, TABLE_OFFERED, slice_of(id, ID_SIZE), &value);

    if (status == NOT_FOUND) {
        memset(out, 0, sizeof *out);
        return OK;
    }
    if (status != OK)
        return status;
    unpacker = unpacker_of(value);
    offered.epoch = unpack_u64(&unpacker);
    offered.seq = unpack_u64(&unpacker);
    offered.put_seq = unpack_u64(&unpacker);
    offered.with_hq = unpack_u8(&unpacker) != 0;
    if (!unpacked_all(&unpacker))
        return STORE_DAMAGED;
    *out = offered;
    return OK;
}

enum status store_put_offered(struct store_txn *txn, const uint8_t id[ID_SIZE],
                              const struct store_offered *offered)
{
    uint8_t value[OFFERED_SIZE];
    struct packer packer = { value };

    pack_u64(&packer, offered->epoch);
    pack_u64(&packer, offered->seq);
    pack_u64(&packer, offered->put_seq);
    pack_u8(&packer, offered->with_hq);
    return table_put(txn, TABLE_OFFERED, slice_of(id, ID_SIZE), slice_of(value, sizeof value));
}

enum status store_forget_offered(struct store_txn *txn, size_t max, bool *out_more)
{
    for (size_t i = 0; i < max; i++) {
        uint8_t id[ID_SIZE];
        struct slice key;
        struct slice value;
        enum status status = table_seek(txn, TABLE_OFFERED, SLICE_NONE, &key, &value);

        if (status == NOT_FOUND) {
            *out_more = false;
            return OK;
        }
        if (status == OK && key.size != ID_SIZE)
            status = STORE_DAMAGED;
        if (status != OK)
            return status;
        memcpy(id, key.data, ID_SIZE);
        if ((status = table_delete(txn, TABLE_OFFERED, slice_of(id, ID_SIZE))) != OK)
            return status;
    }
    *out_more = true;
    return OK;
}
