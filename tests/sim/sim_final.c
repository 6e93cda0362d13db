/* SPDX-License-Identifier: MPL-2.0 */
/* sim_final.c - what must hold once the faults have stopped: all agree, nothing was lost. */
#include <string.h>

#include "tests/sim/sim.h"

/* --- agreement ---------------------------------------------------------------------------- */

static const struct node_feed *feed_at(int index, int origin)
{
    const struct node *node = world.nodes[index].node;
    const uint32_t feed = node_feed_index(node, world.nodes[origin].code);

    return feed != NO_PEER ? node->feeds[feed] : NULL;
}

static bool same(const struct node_feed *a, const struct node_feed *b)
{
    return a != NULL && b != NULL &&
           memcmp(a->replica.feed.tier[0].hash, b->replica.feed.tier[0].hash, HASH_SIZE) == 0;
}

static bool is_frozen(const struct node_feed *feed)
{
    return feed != NULL && feed->replica.feed.freeze != FREEZE_NONE;
}

static bool stands_at_its_end(int index, int origin)
{
    const struct roster_node *place =
        roster_find(world.nodes[0].node, world.nodes[origin].code);
    const struct node_feed *feed = feed_at(index, origin);

    return feed != NULL && feed->replica.feed.tier[0].epoch == place->entry.until_epoch &&
           feed->replica.feed.tier[0].seq == place->entry.until_seq;
}

/* What HQ alone had of a chapter that it revoked goes where HQ is restored. */
static bool end_is_lost(int origin)
{
    if (!world.restored[0] || !sim_is_shut_out(origin))
        return false;
    for (int i = 0; i < world.plan.nodes; i++)
        if (!sim_is_shut_out(i) && stands_at_its_end(i, origin))
            return false;
    return true;
}

/* Everybody holds what the origin has, which is no old copy any more; or everybody has seen
 * that it lied. */
static bool feed_settled(int origin)
{
    /* Of who was shut out all have what HQ has. */
    const bool ended = sim_is_shut_out(origin);
    const int writer = ended ? 0 : origin;
    const enum epoch_phase phase = world.nodes[writer].node->phase;
    int nodes = 0;
    int frozen = 0;
    int different = 0;

    for (int i = 0; i < world.plan.nodes; i++) {
        if (sim_is_shut_out(i))
            continue;
        nodes++;
        frozen += is_frozen(feed_at(i, origin));
        different += !same(feed_at(i, origin), feed_at(writer, origin));
    }
    /* Once HQ has named its instance, an origin comes back by itself, also after a fork. */
    if (world.tainted[origin] && frozen != 0)
        return ended || (frozen == nodes && phase != EPOCH_FETCHING &&
                         phase != EPOCH_REPLACING && phase != EPOCH_BEGINNING);
    if (ended)
        return end_is_lost(origin) || (different == 0 && stands_at_its_end(0, origin));
    return different == 0 && !world.nodes[origin].node->recovering &&
           feed_at(origin, origin)->replica.feed.tier[0].seq != 0;
}

/* HQ holds tier hq of every origin at the same head as its federation tier.  Where one signed
 * two heads, that may come later than all agree, and persons with it. */
static bool tiers_meet(void)
{
    const struct node *hq = world.nodes[0].node;
    bool any_tainted = false;

    for (int i = 0; i < world.plan.nodes; i++)
        any_tainted |= world.tainted[i];
    for (size_t i = 0; i < hq->replica.feed_count; i++) {
        const struct feed *feed = &hq->feeds[i]->replica.feed;

        if (!world.tainted[sim_node_of(feed->origin)] &&
            !sim_is_shut_out(sim_node_of(feed->origin)) &&
            memcmp(feed->tier[0].hash, feed->tier[1].hash, HASH_SIZE) != 0)
            return false;
    }
    return any_tainted || !hq->persons_due;
}

static bool all_current(int index)
{
    const struct node *node = world.nodes[index].node;

    for (size_t i = 0; i < node->replica.feed_count; i++) {
        const struct node_feed *feed = node->feeds[i];
        const enum feed_state state =
            replica_feed_state(&feed->replica, &node->hq_beats, node->is_hq, world.now_ms);

        const int origin = sim_node_of(feed->replica.feed.origin);

        if (state != (sim_is_shut_out(origin) ? STATE_REVOKED : STATE_CURRENT) &&
            !world.tainted[origin] && !end_is_lost(origin))
            return false;
    }
    return true;
}

/* What is lacking; NULL: nothing. */
static const char *unsettled(void)
{
    for (int i = 0; i < world.plan.nodes; i++)
        if (world.nodes[i].node == NULL && !sim_is_shut_out(i))
            return "a node is down";
    for (size_t i = 0; i < SIM_REQUESTS_MAX; i++)
        if (world.requests[i].open)
            return "somebody waits for an answer";
    for (int i = 0; i < world.plan.nodes; i++) {
        if (!feed_settled(i))
            return world.nodes[i].code;
        if (!sim_is_shut_out(i) && !all_current(i))
            return "not all are current";
    }
    if (!tiers_meet())
        return "HQ's tiers of a feed, or its persons";
    return sim_rules_settled() ? NULL : "what operators asked for";
}

bool sim_settled(void)
{
    return unsettled() == NULL;
}

static void explain_difference(void)
{
    for (int i = 0; i < world.plan.nodes; i++) {
        const struct node *node = world.nodes[i].node;

        if (node == NULL) {
            sim_trace("%s is down", world.nodes[i].code);
            continue;
        }
        for (size_t k = 0; k < node->replica.feed_count; k++) {
            const struct replica_feed *feed = &node->feeds[k]->replica;

            sim_trace("%s: %s at %llu / %llu, target %llu / %llu, pull %d %d, %s%s", node->code,
                      feed->feed.origin, (unsigned long long)feed->feed.tier[0].seq,
                      (unsigned long long)feed->feed.tier[1].seq,
                      (unsigned long long)feed->tier[0].target.seq,
                      (unsigned long long)feed->tier[1].target.seq, feed->pull[0].active,
                      feed->pull[1].active,
                      feed_state_name(
                          replica_feed_state(feed, &node->hq_beats, node->is_hq, world.now_ms)),
                      feed->own && node->recovering ? ", recovering" : "");
        }
    }
}

/* --- persons ------------------------------------------------------------------------------ */

#define ADDRESSES 37
/* An epoch begins with what is known of tier hq, of some members nothing; and a chapter may
 * keep addresses to itself. */
static bool may_lack_email(const struct node_feed *feed)
{
    const int origin = sim_node_of(feed->record.origin);

    return world.restored[origin] || world.choices[origin][FIELD_EMAIL].made;
}

static void count_persons(struct store_txn *txn, const struct node_feed *feed,
                          bool seen[ADDRESSES], uint64_t *anonymous)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    struct change change;

    if (store_cursor_open(txn, feed->record.tier[0].number, TIERS_FEDERATION, 0, &cursor) != OK)
        return;
    while (store_cursor_next(&cursor, &change) == OK) {
        struct member_facts facts;
        struct store_row row;
        struct slice email = SLICE_NONE;
        char text[64];
        unsigned number;
        bool found;

        if (change.type != RECORD_MEMBER || value_is_removal(change.value[0]))
            continue;
        member_facts_of(change.value[0], &facts);
        if (facts.status != MEMBER_ACTIVE || facts.kind != KIND_INDIVIDUAL)
            continue;
        found = store_get_row(txn, feed->record.tier[1].number, change.id, &row) == OK;
        if (!mp_map_get_text(change.value[0], "email", &email) && found &&
            !mp_map_get_text(row.value[1], "email", &email) && may_lack_email(feed)) {
            ++*anonymous;
            continue;
        }
        if (!found || !slice_copy_text(email, text, sizeof text) ||
            sscanf(text, "P%u@", &number) != 1 || number >= ADDRESSES) {
            sim_fail("a member at HQ without its tier hq");
            return;
        }
        seen[number] = true;
    }
}

static void check_persons(void)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    const struct node *hq = world.nodes[0].node;
    bool seen[ADDRESSES] = { false };
    uint64_t expected = 0;
    uint64_t counted = 0;

    for (int i = 0; i < world.plan.nodes; i++)
        if (world.tainted[i] || sim_is_shut_out(i))
            return; /* HQ's tiers of it may be apart for good */
    if (store_begin_read(hq->store, &txn) != OK)
        return;
    for (size_t i = 0; i < hq->replica.feed_count; i++)
        if (hq->feeds[i]->record.tier[0].number != 0)
            count_persons(&txn, hq->feeds[i], seen, &expected);
    for (int i = 0; i < ADDRESSES; i++)
        expected += seen[i];
    if (store_person_count(&txn, &counted) != OK || counted != expected)
        sim_fail("HQ counts %llu persons, the rows say %llu", (unsigned long long)counted,
                 (unsigned long long)expected);
}

/* --- disk --------------------------------------------------------------------------------- */

/* No rows are left but those of feeds and of transfers under way. */
static void check_leftovers(int index)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    const struct node *node = world.nodes[index].node;
    uint32_t highest = 0;

    if (node->sweep_more)
        sim_fail("%s does not delete what it discarded", node->code);
    if (store_begin_read(node->store, &txn) != OK)
        return;
    for (size_t i = 0; i < node->replica.feed_count; i++)
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            if (node->feeds[i]->record.tier[tier].number > highest)
                highest = node->feeds[i]->record.tier[tier].number;
    for (uint32_t number = 1; number < highest + 32; number++) {
        struct store_kept kept = { .origin = "" };
        struct store_build build;
        uint64_t rows = 0;
        bool known = false;

        if (store_count_rows(&txn, number, 0, 1, &rows) != OK || rows == 0)
            continue;
        for (size_t i = 0; i < node->replica.feed_count && !known; i++) {
            const struct node_feed *feed = node->feeds[i];

            known =
                feed->record.tier[0].number == number || feed->record.tier[1].number == number;
            for (unsigned tiers = 1; tiers <= TIERS_BOTH && !known; tiers++)
                known = store_get_build(&txn, feed->record.origin, tiers, &build) == OK &&
                        build.number == number;
        }
        while (!known && store_next_kept(&txn, &kept, &kept) == OK)
            known = kept.number == number; /* until its origin has taken it back */
        if (!known)
            sim_fail("%s keeps rows that belong to nothing", node->code);
    }
}

/* --- all of it ---------------------------------------------------------------------------- */

void sim_check_final(bool at_rest)
{
    if (sim_failed())
        return;
    if (!sim_settled()) {
        sim_trace("unsettled: %s", unsettled());
        explain_difference();
        sim_explain_rules();
        sim_fail("no agreement after the faults stopped");
        return;
    }
    for (int i = 0; i < world.plan.nodes && !sim_failed(); i++) {
        if (world.nodes[i].node == NULL)
            continue;
        sim_check_rows(i);
        sim_check_promises(i);
        if (at_rest)
            check_leftovers(i);
    }
    if (!sim_failed())
        check_persons();
    if (!sim_failed() && at_rest)
        sim_check_rules_final();
}
