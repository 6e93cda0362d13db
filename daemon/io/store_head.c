/* SPDX-License-Identifier: MPL-2.0 */
/* store_head.c - an origin's last heads, by which a second history is seen, and proofs of one.
 *
 * heads: origin 16, epoch 8, seq 8 -> the envelope.  Origin fr, epoch 1, seq 9:
 *
 *   key     66720000000000000000000000000000 0000000000000001 0000000000000009
 *   value   aabbcc
 *
 * evidence: origin 16, number 1 from 0 -> two envelopes, each after its size 2:
 *
 *   key     66720000000000000000000000000000 00
 *   value   0003 aabbcc 0002 ddee */
#include "daemon/io/store_internal.h"

#include <string.h>

#define HEAD_KEY_SIZE (ORIGIN_KEY_SIZE + 8 + 8)
#define EVIDENCE_KEY_SIZE (ORIGIN_KEY_SIZE + 1)
#define EVIDENCE_SIZE_MAX (2 * (2 + SIGNED_HEAD_SIZE_MAX))

static struct slice origin_prefix(uint8_t buffer[ORIGIN_KEY_SIZE], const char *origin)
{
    struct packer packer = { buffer };

    pack_origin(&packer, origin);
    return slice_of(buffer, ORIGIN_KEY_SIZE);
}

/* --- heads ------------------------------------------------------------------------------- */

static enum status count_heads(struct store_txn *txn, struct slice prefix, size_t *out_count)
{
    CLEANUP(table_scan_close) struct table_scan scan = { 0 };
    struct slice key;
    struct slice value;
    size_t count = 0;
    enum status status = table_scan_open(txn, TABLE_HEADS, prefix, &scan);

    while (status == OK && (status = table_scan_next(&scan, &key, &value)) == OK &&
           slice_begins(key, prefix))
        count++;
    if (status != OK && status != NOT_FOUND)
        return status;
    *out_count = count;
    return OK;
}

static enum status delete_oldest(struct store_txn *txn, struct slice prefix)
{
    uint8_t copy[HEAD_KEY_SIZE];
    struct slice key;
    struct slice value;
    enum status status = table_seek(txn, TABLE_HEADS, prefix, &key, &value);

    if (status != OK)
        return status;
    if (key.size != sizeof copy)
        return STORE_DAMAGED;
    memcpy(copy, key.data, sizeof copy);
    return table_delete(txn, TABLE_HEADS, slice_of(copy, sizeof copy));
}

enum status store_put_head(struct store_txn *txn, const struct head *head,
                           struct slice envelope)
{
    uint8_t prefix_buffer[ORIGIN_KEY_SIZE];
    const struct slice prefix = origin_prefix(prefix_buffer, head->origin);
    uint8_t key[HEAD_KEY_SIZE];
    struct packer packer = { key };
    size_t count = 0;
    enum status status;

    if (envelope.size > SIGNED_HEAD_SIZE_MAX)
        return TOO_LARGE;
    pack_origin(&packer, head->origin);
    pack_u64(&packer, head->epoch);
    pack_u64(&packer, head->seq);
    if ((status = table_put(txn, TABLE_HEADS, slice_of(key, sizeof key), envelope)) != OK ||
        (status = count_heads(txn, prefix, &count)) != OK)
        return status;
    for (; count > HEADS_KEPT; count--)
        if ((status = delete_oldest(txn, prefix)) != OK)
            return status;
    return OK;
}

enum status store_list_heads(struct store_txn *txn, const char *origin, struct signed_head *out,
                             size_t max, size_t *out_count)
{
    CLEANUP(table_scan_close) struct table_scan scan = { 0 };
    uint8_t buffer[ORIGIN_KEY_SIZE];
    const struct slice prefix = origin_prefix(buffer, origin);
    struct slice key;
    struct slice value;
    size_t count = 0;
    enum status status = table_scan_open(txn, TABLE_HEADS, prefix, &scan);

    while (status == OK && count < max &&
           (status = table_scan_next(&scan, &key, &value)) == OK && slice_begins(key, prefix)) {
        struct signed_head *head = &out[count++];

        if (value.size > sizeof head->bytes)
            return STORE_DAMAGED;
        head->size = (uint16_t)value.size;
        memcpy(head->bytes, value.data, value.size);
    }
    if (status != OK && status != NOT_FOUND)
        return status;
    *out_count = count;
    return OK;
}

/* --- evidence ---------------------------------------------------------------------------- */

static enum status evidence_decode(struct slice value, struct signed_head out_pair[2])
{
    struct unpacker unpacker = unpacker_of(value);

    unpack_signed_head(&unpacker, &out_pair[0]);
    unpack_signed_head(&unpacker, &out_pair[1]);
    return unpacked_all(&unpacker) ? OK : STORE_DAMAGED;
}

static bool is_envelope(const struct signed_head *head, struct slice envelope)
{
    return slice_equal(slice_of(head->bytes, head->size), envelope);
}

/* EXISTS also when the origin has its full share of proofs: the first ones stay, and a node
 * that passes on only what is new falls silent. */
enum status store_put_evidence(struct store_txn *txn, const char *origin, struct slice a,
                               struct slice b)
{
    struct signed_head known[EVIDENCE_MAX][2];
    uint8_t key[EVIDENCE_KEY_SIZE];
    uint8_t value[EVIDENCE_SIZE_MAX];
    struct packer at_key = { key };
    struct packer at_value = { value };
    size_t count = 0;
    enum status status;

    if (a.size > SIGNED_HEAD_SIZE_MAX || b.size > SIGNED_HEAD_SIZE_MAX)
        return TOO_LARGE;
    if ((status = store_list_evidence(txn, origin, known, EVIDENCE_MAX, &count)) != OK)
        return status;
    for (size_t i = 0; i < count; i++)
        if ((is_envelope(&known[i][0], a) && is_envelope(&known[i][1], b)) ||
            (is_envelope(&known[i][0], b) && is_envelope(&known[i][1], a)))
            return EXISTS;
    if (count == EVIDENCE_MAX)
        return EXISTS;
    pack_origin(&at_key, origin);
    pack_u8(&at_key, (unsigned)count);
    pack_u16(&at_value, (uint16_t)a.size);
    pack_bytes(&at_value, a.data, a.size);
    pack_u16(&at_value, (uint16_t)b.size);
    pack_bytes(&at_value, b.data, b.size);
    return table_put(txn, TABLE_EVIDENCE, slice_of(key, sizeof key),
                     slice_of(value, (size_t)(at_value.at - value)));
}

enum status store_list_evidence(struct store_txn *txn, const char *origin,
                                struct signed_head (*out)[2], size_t max, size_t *out_count)
{
    CLEANUP(table_scan_close) struct table_scan scan = { 0 };
    uint8_t buffer[ORIGIN_KEY_SIZE];
    const struct slice prefix = origin_prefix(buffer, origin);
    struct slice key;
    struct slice value;
    size_t count = 0;
    enum status status = table_scan_open(txn, TABLE_EVIDENCE, prefix, &scan);

    while (status == OK && count < max &&
           (status = table_scan_next(&scan, &key, &value)) == OK && slice_begins(key, prefix))
        if ((status = evidence_decode(value, out[count++])) != OK)
            return status;
    if (status != OK && status != NOT_FOUND)
        return status;
    *out_count = count;
    return OK;
}
