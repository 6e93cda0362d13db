/* SPDX-License-Identifier: MPL-2.0 */
/* import_index.c - linear probing; the keys are hashes, so their first bytes are the place.
 * Nothing is ever taken out. */
#include "client/import_index.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 1024

static struct import_slot *find_slot(const struct import_index *index,
                                     const uint8_t key[TEXT_KEY_SIZE])
{
    uint64_t place;

    memcpy(&place, key, sizeof place);
    for (;; place++) {
        struct import_slot *slot = &index->slots[place & (index->capacity - 1)];

        if (slot->value == 0 || memcmp(slot->key, key, TEXT_KEY_SIZE) == 0)
            return slot;
    }
}

uint64_t import_index_get(const struct import_index *index, const uint8_t key[TEXT_KEY_SIZE])
{
    return index->capacity == 0 ? 0 : find_slot(index, key)->value;
}

static bool grow(struct import_index *index)
{
    struct import_index larger = { 0 };

    larger.capacity = index->capacity == 0 ? CAPACITY_MIN : 2 * index->capacity;
    larger.count = index->count;
    if ((larger.slots = calloc(larger.capacity, sizeof *larger.slots)) == NULL)
        return false;
    for (size_t i = 0; i < index->capacity; i++)
        if (index->slots[i].value != 0)
            *find_slot(&larger, index->slots[i].key) = index->slots[i];
    free(index->slots);
    *index = larger;
    return true;
}

bool import_index_put(struct import_index *index, const uint8_t key[TEXT_KEY_SIZE],
                      uint64_t value)
{
    struct import_slot *slot;

    ASSERT(value != 0);
    if (3 * (index->count + 1) > 2 * index->capacity && !grow(index))
        return false;
    slot = find_slot(index, key);
    if (slot->value == 0)
        index->count++;
    memcpy(slot->key, key, TEXT_KEY_SIZE);
    slot->value = value;
    return true;
}

void import_index_done(struct import_index *index)
{
    free(index->slots);
    memset(index, 0, sizeof *index);
}
