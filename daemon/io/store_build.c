/* SPDX-License-Identifier: MPL-2.0 */
/* store_build.c - transfers under way: how far each has come, so that a crash costs one chunk.
 *
 * builds: origin 16, tiers 1 -> number 4, peer 32, epoch 8, since 8, base 8, reached 8, rows 8,
 * copied_to 8, size of the final head 2, head.  A snapshot of fr, both tiers, under number 6
 * from the peer of key 11 11 ... 11, epoch 1, base 9, 2 rows up to seq 4, no head yet:
 *
 *   key     66720000000000000000000000000000 03
 *   value   00000006 1111111111111111111111111111111111111111111111111111111111111111
 *           0000000000000001 0000000000000000 0000000000000009 0000000000000004
 *           0000000000000002 0000000000000000 0000 */
#include "daemon/io/store_internal.h"

#include <string.h>

#define BUILD_KEY_SIZE (ORIGIN_KEY_SIZE + 1)
#define BUILD_SIZE_MAX (4 + KEY_SIZE + 6 * 8 + 2 + SIGNED_HEAD_SIZE_MAX)

static struct slice build_key(uint8_t buffer[BUILD_KEY_SIZE], const char *origin,
                              unsigned tiers)
{
    struct packer packer = { buffer };

    pack_origin(&packer, origin);
    pack_u8(&packer, tiers);
    return slice_of(buffer, BUILD_KEY_SIZE);
}

static enum status build_decode(struct slice key, struct slice value, struct store_build *out)
{
    struct unpacker place = unpacker_of(key);
    struct unpacker unpacker = unpacker_of(value);

    memset(out, 0, sizeof *out);
    if (!unpack_origin(&place, out->origin))
        return STORE_DAMAGED;
    out->tiers = unpack_u8(&place);
    out->number = unpack_u32(&unpacker);
    unpack_bytes(&unpacker, out->peer, KEY_SIZE);
    out->epoch = unpack_u64(&unpacker);
    out->since = unpack_u64(&unpacker);
    out->base = unpack_u64(&unpacker);
    out->reached = unpack_u64(&unpacker);
    out->rows = unpack_u64(&unpacker);
    out->copied_to = unpack_u64(&unpacker);
    unpack_signed_head(&unpacker, &out->head);
    return unpacked_all(&place) && unpacked_all(&unpacker) ? OK : STORE_DAMAGED;
}

static enum status build_result(enum status status, struct slice key, struct slice value,
                                struct store_build *out)
{
    struct store_build build;

    if (status == OK)
        status = build_decode(key, value, &build);
    if (status == OK)
        *out = build;
    return status;
}

enum status store_get_build(struct store_txn *txn, const char *origin, unsigned tiers,
                            struct store_build *out)
{
    uint8_t buffer[BUILD_KEY_SIZE];
    const struct slice key = build_key(buffer, origin, tiers);
    struct slice value;
    const enum status status = table_get(txn, TABLE_BUILDS, key, &value);

    return build_result(status, key, value, out);
}

enum status store_put_build(struct store_txn *txn, const struct store_build *build)
{
    uint8_t key[BUILD_KEY_SIZE];
    uint8_t value[BUILD_SIZE_MAX];
    struct packer packer = { value };

    pack_u32(&packer, build->number);
    pack_bytes(&packer, build->peer, KEY_SIZE);
    pack_u64(&packer, build->epoch);
    pack_u64(&packer, build->since);
    pack_u64(&packer, build->base);
    pack_u64(&packer, build->reached);
    pack_u64(&packer, build->rows);
    pack_u64(&packer, build->copied_to);
    pack_signed_head(&packer, &build->head);
    return table_put(txn, TABLE_BUILDS, build_key(key, build->origin, build->tiers),
                     slice_of(value, (size_t)(packer.at - value)));
}

enum status store_delete_build(struct store_txn *txn, const char *origin, unsigned tiers)
{
    uint8_t key[BUILD_KEY_SIZE];

    return table_delete(txn, TABLE_BUILDS, build_key(key, origin, tiers));
}

enum status store_next_build(struct store_txn *txn, const char *after_origin,
                             unsigned after_tiers, struct store_build *out)
{
    uint8_t buffer[BUILD_KEY_SIZE];
    struct slice key;
    struct slice value;
    enum status status;

    build_key(buffer, after_origin, after_tiers + 1);
    status = table_seek(txn, TABLE_BUILDS, slice_of(buffer, sizeof buffer), &key, &value);
    return build_result(status, key, value, out);
}
