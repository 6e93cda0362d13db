/* SPDX-License-Identifier: MPL-2.0 */
/* import_index.h - a table from a hash to a number, by open addressing.
 * Costs 24 bytes a slot, which is 36 to 72 bytes a key. */
#ifndef CHAPTERCTL_IMPORT_INDEX_H
#define CHAPTERCTL_IMPORT_INDEX_H

#include "client/import_text.h"

struct import_slot {
    uint8_t key[TEXT_KEY_SIZE];
    uint64_t value; /* 0: the slot is free */
};

/* Zeroed, it is empty. */
struct import_index {
    struct import_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

/* The key's number; 0 if it is unknown. */
uint64_t import_index_get(const struct import_index *index, const uint8_t key[TEXT_KEY_SIZE]);
/* value is not 0; replaces.  False only without memory. */
bool import_index_put(struct import_index *index, const uint8_t key[TEXT_KEY_SIZE],
                      uint64_t value) MUST_CHECK;
void import_index_done(struct import_index *index);

#endif
