/* SPDX-License-Identifier: MPL-2.0 */
/* rows.h - the rows of a number, one by one, while the same transaction writes: they are copied
 * out in batches, for a put kills slices of the map and an open cursor. */
#ifndef CHAPTERD_ROWS_H
#define CHAPTERD_ROWS_H

#include "daemon/node_internal.h"

struct rows;

/* Rows of number that hold any of tiers, ascending from the first after seq `after`, in the
 * turn's transaction.  NULL: no memory. */
struct rows *rows_open(struct node *node, uint32_t number, unsigned tiers, uint64_t after);
/* False at the end, and after a failure: see rows_status.  Values live until the next call. */
bool rows_next(struct rows *rows, struct change *out_change);
void rows_rewind(struct rows *rows); /* to the first of all */
enum status rows_status(const struct rows *rows);
void rows_close(struct rows **rows);

#endif
