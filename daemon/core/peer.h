/* SPDX-License-Identifier: MPL-2.0 */
/* peer.h - whom a node dials: HQ, the next listening chapter in code order (a ring, so that the
 * graph is connected without HQ), and two more by rendezvous hashing (Thaler, Ravishankar
 * 1998).
 * Pure: the same roster gives the same choice. */
#ifndef CHAPTERD_PEER_H
#define CHAPTERD_PEER_H

#include "chapterd/limits.h"
#include "proto/record.h"

#define PEERS_DIALLED_MAX (2 + DIAL_EXTRA)

/* roster: entries in ascending order of code.  Writes indices into it; returns how many. */
size_t peer_choose(const char *self, const struct roster_entry *const *roster, size_t count,
                   size_t out_indices[PEERS_DIALLED_MAX]);

#endif
