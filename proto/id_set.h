/* SPDX-License-Identifier: MPL-2.0 */
/* id_set.h - the ids of one list, to see that each is there once.  The caller owns it. */
#ifndef CHAPTERD_ID_SET_H
#define CHAPTERD_ID_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chapterd/limits.h"

#define ID_SET_SLOTS (2 * EVENT_CHANGES_MAX) /* open addressing, at most half full */
#define ID_SET_KEY_SIZE 16                   /* of SipHash-2-4 */

/* Peers choose the ids: the key, which nobody else knows, keeps them from choosing such as meet
 * in one slot. */
struct id_set {
    uint8_t key[ID_SET_KEY_SIZE];
    uint64_t probes;                    /* slots looked at so far */
    uint8_t ids[ID_SET_SLOTS][ID_SIZE]; /* zeros: empty */
};

/* Empty again; the key stays. */
void id_set_clear(struct id_set *set);
/* id is not zero. */
bool id_set_has(struct id_set *set, const uint8_t id[ID_SIZE]);
/* False if it is there already.  At most EVENT_CHANGES_MAX ids. */
bool id_set_add(struct id_set *set, const uint8_t id[ID_SIZE]);

#endif
