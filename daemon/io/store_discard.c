/* SPDX-License-Identifier: MPL-2.0 */
/* store_discard.c - numbers that nothing points to any more, deleted bit by bit.
 *
 * discards: number 4 -> tiers 1, origin 16, the seq up to which its rows are done 8.  Tier
 * federation of number 5, of fr, done up to seq 4096:
 *
 *   key     00000005
 *   value   01 66720000000000000000000000000000 0000000000001000
 *
 * A discarded tier gets no new rows, so none can appear behind that seq. */
#include "daemon/io/store_internal.h"

#include <string.h>

#define PAGES_A_ROW 8
#define DISCARD_KEY_SIZE 4
#define DISCARD_SIZE (1 + ORIGIN_KEY_SIZE + 8)

struct discard {
    uint32_t number;
    unsigned tiers;
    char origin[CODE_SIZE];
    uint64_t reached;
};

static struct slice discard_key(uint8_t buffer[DISCARD_KEY_SIZE], uint32_t number)
{
    struct packer packer = { buffer };

    pack_u32(&packer, number);
    return slice_of(buffer, DISCARD_KEY_SIZE);
}

static enum status discard_decode(struct slice key, struct slice value, struct discard *out)
{
    struct unpacker place = unpacker_of(key);
    struct unpacker unpacker = unpacker_of(value);
    bool good;

    memset(out, 0, sizeof *out);
    out->number = unpack_u32(&place);
    out->tiers = unpack_u8(&unpacker);
    good = unpack_origin(&unpacker, out->origin);
    out->reached = unpack_u64(&unpacker);
    return good && unpacked_all(&place) && unpacked_all(&unpacker) ? OK : STORE_DAMAGED;
}

static enum status put_discard(struct store_txn *txn, const struct discard *discard)
{
    uint8_t key[DISCARD_KEY_SIZE];
    uint8_t value[DISCARD_SIZE];
    struct packer packer = { value };

    pack_u8(&packer, discard->tiers);
    pack_origin(&packer, discard->origin);
    pack_u64(&packer, discard->reached);
    return table_put(txn, TABLE_DISCARDS, discard_key(key, discard->number),
                     slice_of(value, sizeof value));
}

enum status store_discard(struct store_txn *txn, const char *origin, uint32_t number,
                          unsigned tiers)
{
    struct discard discard = { .number = number };
    uint8_t buffer[DISCARD_KEY_SIZE];
    const struct slice key = discard_key(buffer, number);
    struct slice value;
    enum status status;

    ASSERT(number != 0 && tiers != 0 && (tiers & ~TIERS_BOTH) == 0);
    ASSERT(strnlen(origin, CODE_SIZE) < CODE_SIZE);
    status = table_get(txn, TABLE_DISCARDS, key, &value);
    if (status == OK)
        status = discard_decode(key, value, &discard);
    if (status != OK && status != NOT_FOUND)
        return status;
    if ((tiers & ~discard.tiers) == 0)
        return OK;
    /* The rows behind `reached` have not been asked for this tier yet. */
    discard.tiers |= tiers;
    discard.reached = 0;
    memcpy(discard.origin, origin, strlen(origin) + 1);
    return put_discard(txn, &discard);
}

static enum status first_discard(struct store_txn *txn, struct discard *out)
{
    struct slice key;
    struct slice value;
    enum status status = table_seek(txn, TABLE_DISCARDS, SLICE_NONE, &key, &value);

    return status != OK ? status : discard_decode(key, value, out);
}

/* The next row of the number; NOT_FOUND after the last. */
static enum status next_row(struct store_txn *txn, const struct discard *discard,
                            struct change *out_row)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    enum status status =
        store_cursor_open(txn, discard->number, TIERS_BOTH, discard->reached, &cursor);

    return status != OK ? status : store_cursor_next(&cursor, out_row);
}

/* What else was kept of these tiers. */
static enum status finish(struct store_txn *txn, const struct discard *discard)
{
    uint8_t key[DISCARD_KEY_SIZE];
    uint64_t left = 0;
    enum status status = OK;

    for (int tier = 0; tier < TIERS_PUBLISHED && status == OK; tier++)
        if (discard->tiers & (1u << tier))
            status = sum_forget(txn, discard->number, (enum tier)tier);
    if (status == OK && !(discard->tiers & TIERS_FEDERATION))
        status = store_count_rows(txn, discard->number, 0, 1, &left);
    if (status == OK && left == 0)
        status = census_forget(txn, discard->number);
    if (status == OK)
        status = table_delete(txn, TABLE_DISCARDS, discard_key(key, discard->number));
    return status;
}

/* Goes through up to *left rows; NOT_FOUND when there are none after them. */
static enum status sweep_rows(struct store_txn *txn, struct discard *discard, size_t *left,
                              store_sweep_visit *visit, void *context)
{
    for (; *left > 0; --*left) {
        struct change row;
        unsigned tiers;
        enum status status = next_row(txn, discard, &row);

        if (status != OK)
            return status;
        discard->reached = row.seq;
        if ((tiers = row.tiers & discard->tiers) == 0)
            continue;
        if ((status = row_drop(txn, discard->number, row.seq, tiers, row.id)) != OK)
            return status;
        if (visit != NULL && (status = visit(context, discard->origin, row.id)) != OK)
            return status;
    }
    return OK;
}

/* Rows that keep another tier count towards max, too: a turn's work is bounded by it.  Each
 * may take several pages before it gives one back. */
enum status store_sweep(struct store_txn *txn, size_t max, store_sweep_visit *visit,
                        void *context, bool *out_more)
{
    struct discard discard;
    uint64_t left_over = 0;
    size_t left = max;
    enum status status = OK;

    if (left > txn->store->writer.room / PAGES_A_ROW)
        left = txn->store->writer.room / PAGES_A_ROW;
    if (left == 0 && max > 0)
        left = 1;
    while (left > 0 && (status = first_discard(txn, &discard)) == OK) {
        status = sweep_rows(txn, &discard, &left, visit, context);
        if (status == OK)
            status = put_discard(txn, &discard);
        else if (status == NOT_FOUND)
            status = finish(txn, &discard);
        if (status != OK)
            return status;
    }
    if (status != OK && status != NOT_FOUND)
        return status;
    if ((status = table_count(txn, TABLE_DISCARDS, &left_over)) == OK)
        *out_more = left_over > 0;
    return status;
}
