/* SPDX-License-Identifier: MPL-2.0 */
/* store_index.c - where the row of an id is: the table by_id, the only one in random order.
 *
 * Form 1, then one seq (8) or two.  Id 0190a1b2-c3d4-7e5f-8a6b-7c8d9eafb0c1 under number 5:
 *
 *   key                         00000005 0190a1b2c3d47e5f8a6b7c8d9eafb0c1
 *   federation at 9             01 0000000000000009
 *   hq at 9                     02 0000000000000009
 *   both at 9                   03 0000000000000009
 *   federation at 12, hq at 9   07 000000000000000c 0000000000000009 */
#include "daemon/io/store_index.h"

#include <string.h>

#define INDEX_KEY_SIZE (4 + ID_SIZE)
#define INDEX_SIZE_MAX (1 + 8 * TIERS_PUBLISHED)
#define FORM_SPLIT (4u | TIERS_BOTH)

static struct slice index_key(uint8_t buffer[INDEX_KEY_SIZE], uint32_t number,
                              const uint8_t id[ID_SIZE])
{
    struct packer packer = { buffer };

    pack_u32(&packer, number);
    pack_bytes(&packer, id, ID_SIZE);
    return slice_of(buffer, INDEX_KEY_SIZE);
}

enum status index_get(struct store_txn *txn, uint32_t number, const uint8_t id[ID_SIZE],
                      struct row_index *out_index)
{
    uint8_t key[INDEX_KEY_SIZE];
    struct slice value;
    struct unpacker unpacker;
    struct row_index index = { 0 };
    unsigned form;
    enum status status = table_get(txn, TABLE_BY_ID, index_key(key, number, id), &value);

    if (status == NOT_FOUND) {
        *out_index = index;
        return OK;
    }
    if (status != OK)
        return status;
    unpacker = unpacker_of(value);
    form = unpack_u8(&unpacker);
    index.tiers = form & TIERS_BOTH;
    index.seq[0] = unpack_u64(&unpacker);
    index.seq[1] = form == FORM_SPLIT ? unpack_u64(&unpacker) : index.seq[0];
    if (!unpacked_all(&unpacker) || index.tiers == 0 ||
        (form != FORM_SPLIT && form != index.tiers))
        return STORE_DAMAGED;
    *out_index = index;
    return OK;
}

enum status index_put(struct store_txn *txn, uint32_t number, const uint8_t id[ID_SIZE],
                      const struct row_index *index)
{
    uint8_t key[INDEX_KEY_SIZE];
    uint8_t value[INDEX_SIZE_MAX];
    struct packer packer = { value };

    if (index->tiers == 0)
        return table_delete(txn, TABLE_BY_ID, index_key(key, number, id));
    if (index->tiers == TIERS_BOTH && index->seq[0] != index->seq[1]) {
        pack_u8(&packer, FORM_SPLIT);
        pack_u64(&packer, index->seq[0]);
        pack_u64(&packer, index->seq[1]);
    } else {
        pack_u8(&packer, index->tiers);
        pack_u64(&packer, index->seq[index->tiers & TIERS_FEDERATION ? 0 : 1]);
    }
    return table_put(txn, TABLE_BY_ID, index_key(key, number, id),
                     slice_of(value, (size_t)(packer.at - value)));
}

unsigned index_tiers_at(const struct row_index *index, uint64_t seq)
{
    unsigned tiers = 0;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if ((index->tiers & (1u << tier)) && index->seq[tier] == seq)
            tiers |= 1u << tier;
    return tiers;
}
