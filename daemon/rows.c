/* SPDX-License-Identifier: MPL-2.0 */
/* rows.c - the rows of a number, in batches that outlive the transaction's puts. */
#include "daemon/rows.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_BATCH 64

struct rows {
    struct node *node;
    uint32_t number;
    unsigned tiers;
    uint64_t reached;
    size_t count;
    size_t next;
    enum status status;
    struct change batch[ROWS_BATCH]; /* their values are in arena */
    uint8_t arena[(size_t)ROWS_BATCH * TIERS_PUBLISHED * RECORD_SIZE_MAX];
};

struct rows *rows_open(struct node *node, uint32_t number, unsigned tiers, uint64_t after)
{
    struct rows *rows = malloc(sizeof *rows);

    if (rows == NULL)
        return NULL;
    rows->node = node;
    rows->number = number;
    rows->tiers = tiers;
    rows->reached = after;
    rows->count = rows->next = 0;
    rows->status = OK;
    return rows;
}

static void refill(struct rows *rows)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    uint8_t *at = rows->arena;
    enum status status;

    rows->count = 0;
    rows->next = 0;
    status =
        store_cursor_open(&rows->node->txn, rows->number, rows->tiers, rows->reached, &cursor);
    while (status == OK && rows->count < ROWS_BATCH) {
        struct change *change = &rows->batch[rows->count];

        if ((status = store_cursor_next(&cursor, change)) != OK)
            break;
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
            if (!(change->tiers & (1u << tier)))
                continue;
            memcpy(at, change->value[tier].data, change->value[tier].size);
            change->value[tier].data = at;
            at += change->value[tier].size;
        }
        rows->reached = change->seq;
        rows->count++;
    }
    if (status != OK && status != NOT_FOUND)
        rows->status = status;
}

bool rows_next(struct rows *rows, struct change *out_change)
{
    if (rows->next == rows->count)
        refill(rows);
    if (rows->status != OK || rows->next == rows->count)
        return false;
    *out_change = rows->batch[rows->next++];
    return true;
}

void rows_rewind(struct rows *rows)
{
    rows->reached = 0;
    rows->count = 0;
    rows->next = 0;
}

enum status rows_status(const struct rows *rows)
{
    return rows->status;
}

void rows_close(struct rows **rows)
{
    free(*rows);
    *rows = NULL;
}
