/* SPDX-License-Identifier: MPL-2.0 */
/* store_index.h - where the row of an id is: the table by_id.
 * For store_row.c alone. */
#ifndef CHAPTERD_STORE_INDEX_H
#define CHAPTERD_STORE_INDEX_H

#include "daemon/io/store_internal.h"

struct row_index {
    unsigned tiers; /* held; none if there is no entry */
    uint64_t seq[TIERS_PUBLISHED];
};
/* No entry is an empty index, and OK. */
enum status index_get(struct store_txn *txn, uint32_t number, const uint8_t id[ID_SIZE],
                      struct row_index *out_index) MUST_CHECK;
/* An empty index deletes the entry. */
enum status index_put(struct store_txn *txn, uint32_t number, const uint8_t id[ID_SIZE],
                      const struct row_index *index) MUST_CHECK;
/* Those of tiers that the index has at seq. */
unsigned index_tiers_at(const struct row_index *index, uint64_t seq);

#endif
