/* SPDX-License-Identifier: MPL-2.0 */
/* peer.c - whom a node dials. */
#include "daemon/core/peer.h"

#include <string.h>

static bool can_be_dialled(const struct roster_entry *entry, const char *self)
{
    return entry->state == CHAPTER_ENROLLED && entry->address[0] != '\0' &&
           strcmp(entry->code, self) != 0;
}

static bool chosen_already(const size_t *indices, size_t count, size_t index)
{
    for (size_t i = 0; i < count; i++)
        if (indices[i] == index)
            return true;
    return false;
}

/* The first that can be dialled after self in code order, wrapping; count if there is none. */
static size_t ring_next(const char *self, const struct roster_entry *const *roster,
                        size_t count)
{
    size_t first = count;

    for (size_t i = 0; i < count; i++) {
        if (!can_be_dialled(roster[i], self) || strcmp(roster[i]->code, "hq") == 0)
            continue;
        if (strcmp(roster[i]->code, self) > 0)
            return i;
        if (first == count)
            first = i;
    }
    return first;
}

size_t peer_choose(const char *self, const struct roster_entry *const *roster, size_t count,
                   size_t out_indices[PEERS_DIALLED_MAX])
{
    size_t chosen = 0;
    size_t next;

    if (strcmp(self, "hq") == 0)
        return 0; /* every chapter dials HQ */
    for (size_t i = 0; i < count; i++)
        if (strcmp(roster[i]->code, "hq") == 0 && can_be_dialled(roster[i], self))
            out_indices[chosen++] = i;
    next = ring_next(self, roster, count);
    if (next < count)
        out_indices[chosen++] = next;
    for (int extra = 0; extra < DIAL_EXTRA; extra++) {
        size_t best = count;
        uint64_t best_score = 0;

        for (size_t i = 0; i < count; i++) {
            uint64_t score;

            if (!can_be_dialled(roster[i], self) || chosen_already(out_indices, chosen, i))
                continue;
            score = code_pair_hash(self, roster[i]->code);
            if (best == count || score > best_score) {
                best = i;
                best_score = score;
            }
        }
        if (best < count)
            out_indices[chosen++] = best;
    }
    return chosen;
}
