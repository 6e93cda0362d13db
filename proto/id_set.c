/* SPDX-License-Identifier: MPL-2.0 */
/* id_set.c - the ids of one list, to see that each is there once. */
#include "proto/id_set.h"

#include <sodium.h>
#include <string.h>

_Static_assert(ID_SET_KEY_SIZE == crypto_shorthash_KEYBYTES, "the key of SipHash");

void id_set_clear(struct id_set *set)
{
    memset(set->ids, 0, sizeof set->ids);
}

/* Where id is, or would be put. */
static uint8_t *slot_of(struct id_set *set, const uint8_t id[ID_SIZE])
{
    static const uint8_t none[ID_SIZE] = { 0 };
    uint8_t bytes[crypto_shorthash_BYTES];
    uint64_t hash;
    size_t i;

    (void)crypto_shorthash(bytes, id, ID_SIZE, set->key);
    memcpy(&hash, bytes, sizeof hash);
    i = hash % ID_SET_SLOTS;
    set->probes++;
    while (memcmp(set->ids[i], none, ID_SIZE) != 0 && memcmp(set->ids[i], id, ID_SIZE) != 0) {
        i = (i + 1) % ID_SET_SLOTS;
        set->probes++;
    }
    return set->ids[i];
}

bool id_set_has(struct id_set *set, const uint8_t id[ID_SIZE])
{
    return memcmp(slot_of(set, id), id, ID_SIZE) == 0;
}

bool id_set_add(struct id_set *set, const uint8_t id[ID_SIZE])
{
    uint8_t *slot = slot_of(set, id);

    if (memcmp(slot, id, ID_SIZE) == 0)
        return false;
    memcpy(slot, id, ID_SIZE);
    return true;
}
