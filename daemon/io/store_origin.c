/* SPDX-License-Identifier: MPL-2.0 */
/* store_origin.c - what never leaves the node: tier chapter, the audit trail, invitations.
 *
 * private: id 16 -> a MessagePack map.  {"a": "x"}:
 *
 *   key     0190a1b2c3d47e5f8a6b7c8d9eafb0c1
 *   value   81a161a178
 *
 * history: number 8 from 1 -> time 8 in seconds, the caller's value.  The first entry, at
 * 2026-01-01 00:00 UTC, value nil:
 *
 *   key     0000000000000001
 *   value   000000006955b900 c0
 *
 * invites: the secret's hash 32 -> the caller's value. */
#include "daemon/io/store_internal.h"

#include <string.h>

#define HISTORY_KEY_SIZE 8

/* --- tier chapter ------------------------------------------------------------------------ */

enum status store_get_private(struct store_txn *txn, const uint8_t id[ID_SIZE],
                              struct slice *out_map)
{
    return table_get(txn, TABLE_PRIVATE, slice_of(id, ID_SIZE), out_map);
}

enum status store_put_private(struct store_txn *txn, const uint8_t id[ID_SIZE],
                              struct slice map)
{
    const struct slice key = slice_of(id, ID_SIZE);

    if (map.size == 0)
        return table_delete(txn, TABLE_PRIVATE, key);
    return store_is_tight(txn->store) ? NO_SPACE : table_put(txn, TABLE_PRIVATE, key, map);
}

/* --- history ----------------------------------------------------------------------------- */

static struct slice history_key(uint8_t buffer[HISTORY_KEY_SIZE], uint64_t number)
{
    struct packer packer = { buffer };

    pack_u64(&packer, number);
    return slice_of(buffer, HISTORY_KEY_SIZE);
}

static enum status history_decode(struct slice key, struct slice value, uint64_t *out_number,
                                  uint64_t *out_time_s, struct slice *out_value)
{
    struct unpacker place = unpacker_of(key);
    struct unpacker unpacker = unpacker_of(value);
    const uint64_t number = unpack_u64(&place);
    const uint64_t time_s = unpack_u64(&unpacker);
    const struct slice rest = unpack_slice(&unpacker, (size_t)(unpacker.end - unpacker.at));

    if (!unpacked_all(&place) || !unpacked_all(&unpacker))
        return STORE_DAMAGED;
    *out_number = number;
    *out_time_s = time_s;
    *out_value = rest;
    return OK;
}

/* The counter stands in meta: an entry's number is not used again after all were pruned. */
enum status store_append_history(struct store_txn *txn, uint64_t time_s, struct slice value)
{
    uint8_t key[HISTORY_KEY_SIZE];
    uint8_t time[8];
    struct packer packer = { time };
    uint64_t number = 0;
    enum status status;

    if ((status = store_get_own_uint(txn, STORE_META_HISTORY, &number)) != OK ||
        (status = store_put_own_uint(txn, STORE_META_HISTORY, number + 1)) != OK)
        return status;
    pack_u64(&packer, time_s);
    return table_append(txn, TABLE_HISTORY, history_key(key, number + 1),
                        slice_of(time, sizeof time), value);
}

/* Numbers rise with time, so the first entry that is young enough ends it. */
enum status store_prune_history(struct store_txn *txn, uint64_t before_s, size_t max)
{
    for (size_t i = 0; i < max; i++) {
        uint8_t buffer[HISTORY_KEY_SIZE];
        struct slice key;
        struct slice value;
        struct slice rest;
        uint64_t number = 0;
        uint64_t time_s = 0;
        enum status status = table_seek(txn, TABLE_HISTORY, SLICE_NONE, &key, &value);

        if (status == NOT_FOUND)
            return OK;
        if (status != OK ||
            (status = history_decode(key, value, &number, &time_s, &rest)) != OK)
            return status;
        if (time_s >= before_s)
            return OK;
        status = table_delete(txn, TABLE_HISTORY, history_key(buffer, number));
        if (status != OK)
            return status;
    }
    return OK;
}

enum status store_purge_history(struct store_txn *txn, uint64_t from, size_t max,
                                store_history_pick *pick, void *context, uint64_t *out_next)
{
    for (size_t i = 0; i < max; i++) {
        uint8_t buffer[HISTORY_KEY_SIZE];
        struct slice key;
        struct slice value;
        struct slice rest;
        uint64_t number = 0;
        uint64_t time_s = 0;
        enum status status =
            table_seek(txn, TABLE_HISTORY, history_key(buffer, from), &key, &value);

        if (status == NOT_FOUND) {
            *out_next = 0;
            return OK;
        }
        if (status == OK)
            status = history_decode(key, value, &number, &time_s, &rest);
        if (status == OK && pick(context, rest))
            status = table_delete(txn, TABLE_HISTORY, history_key(buffer, number));
        if (status != OK)
            return status;
        from = number + 1;
    }
    *out_next = from;
    return OK;
}

enum status store_scan_history(struct store_txn *txn, uint64_t before,
                               store_history_visit *visit, void *context)
{
    CLEANUP(table_scan_close) struct table_scan scan = { 0 };
    uint8_t buffer[HISTORY_KEY_SIZE];
    struct slice key;
    struct slice value;
    enum status status =
        table_scan_open(txn, TABLE_HISTORY, history_key(buffer, before), &scan);

    while (status == OK && (status = table_scan_previous(&scan, &key, &value)) == OK) {
        struct slice rest;
        uint64_t number = 0;
        uint64_t time_s = 0;

        status = history_decode(key, value, &number, &time_s, &rest);
        if (status == OK)
            status = visit(context, number, time_s, rest);
    }
    return status == NOT_FOUND || status == AGAIN ? OK : status;
}

/* --- invitations ------------------------------------------------------------------------- */

enum status store_get_invite(struct store_txn *txn, const uint8_t hash[HASH_SIZE],
                             struct slice *out)
{
    return table_get(txn, TABLE_INVITES, slice_of(hash, HASH_SIZE), out);
}

enum status store_put_invite(struct store_txn *txn, const uint8_t hash[HASH_SIZE],
                             struct slice value)
{
    return table_put(txn, TABLE_INVITES, slice_of(hash, HASH_SIZE), value);
}

enum status store_delete_invite(struct store_txn *txn, const uint8_t hash[HASH_SIZE])
{
    return table_delete(txn, TABLE_INVITES, slice_of(hash, HASH_SIZE));
}

enum status store_next_invite(struct store_txn *txn, const uint8_t after[HASH_SIZE],
                              uint8_t out_hash[HASH_SIZE], struct slice *out)
{
    uint8_t from[HASH_SIZE + 1] = { 0 };
    struct slice key;
    struct slice value;
    enum status status;

    /* With a NUL behind it, it is the first key after itself. */
    if (after != NULL)
        memcpy(from, after, HASH_SIZE);
    status = table_seek(txn, TABLE_INVITES, slice_of(from, after == NULL ? 0 : sizeof from),
                        &key, &value);
    if (status != OK)
        return status;
    if (key.size != HASH_SIZE)
        return STORE_DAMAGED;
    memcpy(out_hash, key.data, HASH_SIZE);
    *out = value;
    return OK;
}
