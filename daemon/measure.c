/* SPDX-License-Identifier: MPL-2.0 */
/* measure.c - how much of this node a peer may take.  Nodes that do as the protocol says stay
 * far below; what is beyond is dropped, and whoever sends nothing but nonsense is cut off for a
 * while.  The measure is that of the peer, not of a link: links are easily made anew. */
#include "daemon/node_internal.h"
#include "daemon/replication.h"

#include <string.h>

/* A link has one hello each 2 s and its answer; a new beat comes each 500 ms at the most. */
static const struct rate_limit hellos = { 16, 4 };
static const struct rate_limit beats = { 16, 4 };
/* Each hello may be followed by some of each feed. */
static const struct rate_limit proofs = { 1024, 64 };
/* Those of honest peers are of keys that this node's copy of the roster does not have yet. */
static const struct rate_limit unproven = { 256, 64 };
static const struct rate_limit malformed = { 32, 1 };
/* Tokens are seconds.  What was not relayed is shown again with the next hello. */
#define RELAY_COST 10
static const struct rate_limit relays = { 4 * RELAY_COST, 1 };
/* Tokens are seconds: a chapter needs an entry for each of its mishaps. */
#define ENTRY_COST 30
static const struct rate_limit entries = { 16 * ENTRY_COST, 1 };
#define PAUSE_MS 60000

static bool within(struct node *node, bool is_within)
{
    node->counters.messages_too_many += !is_within;
    return is_within;
}

bool measure_beat(struct node *node, struct node_feed *feed)
{
    return within(node, rate_has(&feed->beats, &beats, node_now(node)));
}

void measure_beat_taken(struct node *node, struct node_feed *feed)
{
    rate_charge(&feed->beats, &beats, 1, node_now(node));
}

bool measure_hello(struct node *node, uint32_t peer)
{
    return within(node, rate_take(&node->taking[peer].hellos, &hellos, 1, node_now(node)));
}

bool measure_proof(struct node *node, uint32_t peer)
{
    return within(node, rate_take(&node->taking[peer].proofs, &proofs, 1, node_now(node)));
}

bool measure_signature(struct node *node, uint32_t peer)
{
    return within(node, rate_has(&node->taking[peer].unproven, &unproven, node_now(node)));
}

void measure_unproven(struct node *node, uint32_t peer)
{
    rate_charge(&node->taking[peer].unproven, &unproven, 1, node_now(node));
}

bool measure_entry(struct node *node, uint32_t peer)
{
    return within(node,
                  rate_take(&node->taking[peer].entries, &entries, ENTRY_COST, node_now(node)));
}

bool measure_relay(struct node *node, uint32_t peer)
{
    return rate_take(&node->taking[peer].relays, &relays, RELAY_COST, node_now(node));
}

static void cut(struct node *node, uint32_t peer, const char *reason)
{
    log_event(LOG_WARNING,
              "event=peer_cut peer=%s reason=%s pause_s=%d remedy=\"ask its operator; at HQ:"
              " chapterctl chapters suspend %s\"",
              node->peers[peer]->code, reason, PAUSE_MS / 1000, node->peers[peer]->code);
    sync_forget_in_links(node, peer);
}

void measure_nonsense(struct node *node, uint32_t peer, const uint8_t key[KEY_SIZE])
{
    struct rate *rate = &node->taking[peer].malformed;

    if (rate_take(rate, &malformed, 1, node_now(node)))
        return;
    transport_cut(node->transport, key, PAUSE_MS);
    memset(rate, 0, sizeof *rate);
    cut(node, peer, "nonsense");
}

void measure_flood(struct node *node, const uint8_t key[KEY_SIZE])
{
    const struct roster_node *place = roster_find_key(node, key);

    if (place != NULL)
        cut(node, node_peer_make(node, place->entry.code), "subscriptions");
}
