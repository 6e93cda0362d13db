/* SPDX-License-Identifier: MPL-2.0 */
/* measure.c - how much of this node a peer may take.  Nodes that do as the protocol says stay
 * far below; what is beyond is dropped, and whoever sends nothing but nonsense is cut off for a
 * while. */
#include "daemon/node_internal.h"

#include <string.h>

static const struct rate_limit hellos = { 8, 2 }; /* of a link; one each 2 s and its answer */
const struct rate_limit measure_beats = { 16,
                                          4 }; /* new ones of an origin; at most 2 a second */
static const struct rate_limit proofs = {
    1024, 64
}; /* evidence on a link; at a hello of each feed */
static const struct rate_limit nonsense = { 32, 1 }; /* malformed messages of a peer */
#define NONSENSE_PAUSE_MS 60000

static bool within(struct node *node, struct rate *rate, const struct rate_limit *limit)
{
    if (rate_take(rate, limit, 1, node_now(node)))
        return true;
    node->counters.messages_too_many++;
    return false;
}

bool measure_hello(struct node *node, struct link *link)
{
    return within(node, &link->hellos, &hellos);
}

bool measure_evidence(struct node *node, struct link *link)
{
    return within(node, &link->proofs, &proofs);
}

static void cut(struct node *node, uint32_t peer, const char *reason)
{
    log_event(LOG_WARNING,
              "event=peer_cut peer=%s reason=%s pause_s=%d remedy=\"ask its operator; at HQ:"
              " chapterctl chapters suspend %s\"",
              node->peers[peer]->code, reason, NONSENSE_PAUSE_MS / 1000,
              node->peers[peer]->code);
    sync_forget_in_links(node, peer);
}

void measure_nonsense(struct node *node, uint32_t peer, const uint8_t key[KEY_SIZE])
{
    if (rate_take(&node->nonsense[peer], &nonsense, 1, node_now(node)))
        return;
    transport_cut(node->transport, key, NONSENSE_PAUSE_MS);
    memset(&node->nonsense[peer], 0, sizeof node->nonsense[peer]);
    cut(node, peer, "nonsense");
}

void measure_flood(struct node *node, const uint8_t key[KEY_SIZE])
{
    const struct roster_node *place = roster_find_key(node, key);

    if (place != NULL)
        cut(node, node_peer_make(node, place->entry.code), "subscriptions");
}
