/* SPDX-License-Identifier: MPL-2.0 */
/* sim_check.c - what must hold after every step, and what must hold once the faults have
 * stopped. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static struct feed_mark *seen_marks(struct sim_node *sim, const char *origin)
{
    for (size_t i = 0; i < sim->seen_count; i++)
        if (strcmp(sim->seen_origin[i], origin) == 0)
            return sim->seen[i];
    ASSERT(sim->seen_count < ORIGINS_MAX / 8);
    memcpy(sim->seen_origin[sim->seen_count], origin, CODE_SIZE);
    return sim->seen[sim->seen_count++];
}

void sim_check_heads(int index)
{
    struct sim_node *sim = &world.nodes[index];

    for (size_t i = 0; i < sim->node->replica.feed_count; i++) {
        const struct feed *feed = &sim->node->feeds[i]->replica.feed;
        struct feed_mark *seen = seen_marks(sim, feed->origin);

        for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
            if (feed_compare(feed->tier[tier].epoch, feed->tier[tier].seq, seen[tier].epoch,
                             seen[tier].seq) < 0)
                sim_fail("head of %s went down at %s, tier %d", feed->origin, sim->code, tier);
            seen[tier] = feed->tier[tier];
        }
        if (feed->freeze != FREEZE_NONE)
            sim_fail("%s froze the feed of %s, nobody lied", sim->code, feed->origin);
    }
}

struct recount_context {
    struct digest_sum sum[TIERS_PUBLISHED];
    struct census_delta deltas[4096];
    size_t delta_count;
};

static void recount_census(struct recount_context *context, const struct change *change)
{
    struct census_delta deltas[CENSUS_DELTAS_MAX];
    const size_t count = census_deltas(SLICE_NONE, change->value[TIER_FEDERATION], deltas);

    for (size_t i = 0; i < count; i++) {
        size_t k = 0;

        while (k < context->delta_count &&
               memcmp(context->deltas[k].key, deltas[i].key, CENSUS_COUNTER_SIZE) != 0)
            k++;
        if (k == context->delta_count) {
            ASSERT(context->delta_count < 4096);
            context->deltas[context->delta_count++] = deltas[i];
        } else {
            context->deltas[k].delta += deltas[i].delta;
        }
    }
}

static enum status match_census(void *context, const uint8_t key[CENSUS_KEY_SIZE],
                                uint64_t count)
{
    struct recount_context *recount = context;

    for (size_t i = 0; i < recount->delta_count; i++)
        if (memcmp(recount->deltas[i].key, key, CENSUS_KEY_SIZE) == 0 &&
            recount->deltas[i].delta == (int)count) {
            recount->deltas[i].delta = 0;
            return OK;
        }
    return MISMATCH;
}

static void check_census(struct sim_node *sim, struct store_txn *txn, uint32_t number,
                         struct recount_context *context, const char *origin)
{
    if (store_census_scan(txn, number, NULL, 0, match_census, context) != OK)
        sim_fail("census of %s at %s is not a recount's", origin, sim->code);
    for (size_t i = 0; i < context->delta_count; i++)
        if (context->deltas[i].delta != 0)
            sim_fail("census of %s at %s lacks a counter", origin, sim->code);
}

static void recount_feed(struct sim_node *sim, struct store_txn *txn,
                         const struct store_feed *record, int tier)
{
    static struct recount_context context;
    struct store_cursor cursor = { 0 };
    struct digest_sum stored;
    struct change change;

    memset(&context, 0, sizeof context);
    if (store_cursor_open(txn, record->tier[tier].number, 1u << tier, 0, &cursor) != OK) {
        sim_fail("cursor");
        return;
    }
    while (store_cursor_next(&cursor, &change) == OK) {
        digest_add(&context.sum[tier], record->origin, (enum tier)tier, &change);
        if (tier == TIER_FEDERATION && change.type == RECORD_MEMBER)
            recount_census(&context, &change);
        if (tier == TIER_FEDERATION && strcmp(sim->code, "hq") != 0 &&
            strcmp(sim->code, record->origin) != 0 && (change.tiers & TIERS_HQ))
            sim_fail("%s holds tier hq of %s", sim->code, record->origin);
    }
    store_cursor_close(&cursor);
    if (store_get_sum(txn, record->tier[tier].number, (enum tier)tier, &stored) != OK ||
        memcmp(&stored, &context.sum[tier], sizeof stored) != 0)
        sim_fail("rows of %s at %s, tier %d, do not make its sum", record->origin, sim->code,
                 tier);
    if (tier == TIER_FEDERATION)
        check_census(sim, txn, record->tier[tier].number, &context, record->origin);
}

static void check_feed(struct sim_node *sim, struct store_txn *txn,
                       const struct store_feed *record, bool recount)
{
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        struct digest_sum sum;
        uint8_t digest[HASH_SIZE];
        struct head head;

        if (record->tier[tier].head.size == 0)
            continue;
        if (head_read(signed_head_bytes(&record->tier[tier].head), &head) != OK ||
            store_get_sum(txn, record->tier[tier].number, (enum tier)tier, &sum) != OK) {
            sim_fail("%s: feed of %s is unreadable", sim->code, record->origin);
            return;
        }
        digest_of(&sum, (enum tier)tier, digest);
        if (sum.count != head.count[tier] || memcmp(digest, head.digest[tier], HASH_SIZE) != 0)
            sim_fail("%s shows a state of %s that is not its head's, tier %d", sim->code,
                     record->origin, tier);
        if (recount)
            recount_feed(sim, txn, record, tier);
    }
}

void sim_check_sums(int index, bool recount)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct sim_node *sim = &world.nodes[index];
    struct store_feed record = { .origin = "" };

    if (store_begin_read(sim->node->store, &txn) != OK) {
        sim_fail("%s cannot be read", sim->code);
        return;
    }
    while (store_next_feed(&txn, record.origin, &record) == OK)
        check_feed(sim, &txn, &record, recount);
}

/* --- once it is calm ---------------------------------------------------------------------- */

static bool same_marks(int a, int b)
{
    const struct node *left = world.nodes[a].node;
    const struct node *right = world.nodes[b].node;

    for (int i = 0; i < world.node_count; i++) {
        const uint32_t l = node_feed_index(left, world.nodes[i].code);
        const uint32_t r = node_feed_index(right, world.nodes[i].code);

        if (l == NO_PEER || r == NO_PEER ||
            memcmp(left->feeds[l]->replica.feed.tier[0].hash,
                   right->feeds[r]->replica.feed.tier[0].hash, HASH_SIZE) != 0 ||
            left->feeds[l]->replica.feed.tier[0].seq == 0)
            return false;
    }
    return true;
}

static bool tiers_meet(const struct node *hq)
{
    for (size_t i = 0; i < hq->replica.feed_count; i++)
        if (memcmp(hq->feeds[i]->replica.feed.tier[0].hash,
                   hq->feeds[i]->replica.feed.tier[1].hash, HASH_SIZE) != 0)
            return false;
    return true;
}

bool sim_settled(void)
{
    for (int i = 0; i < world.node_count; i++)
        if (world.nodes[i].node == NULL)
            return false;
    for (int i = 1; i < world.node_count; i++)
        if (!same_marks(0, i))
            return false;
    for (size_t i = 0; i < sizeof world.requests / sizeof world.requests[0]; i++)
        if (world.requests[i].open)
            return false;
    return tiers_meet(world.nodes[0].node);
}

static void explain_difference(void)
{
    for (int i = 0; i < world.node_count; i++) {
        const struct node *node = world.nodes[i].node;

        if (node == NULL) {
            sim_trace("%s is down", world.nodes[i].code);
            continue;
        }
        for (size_t k = 0; k < node->replica.feed_count; k++) {
            const struct replica_feed *feed = &node->feeds[k]->replica;

            sim_trace("%s: %s at %llu / %llu, target %llu / %llu, pull %d %d", node->code,
                      feed->feed.origin, (unsigned long long)feed->feed.tier[0].seq,
                      (unsigned long long)feed->feed.tier[1].seq,
                      (unsigned long long)feed->tier[0].target.seq,
                      (unsigned long long)feed->tier[1].target.seq, feed->pull[0].active,
                      feed->pull[1].active);
        }
    }
}

/* Persons of HQ, counted from the rows. */
static void check_persons(void)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    static uint8_t seen[37];
    const struct node *hq = world.nodes[0].node;
    uint64_t expected = 0;
    uint64_t counted = 0;

    memset(seen, 0, sizeof seen);
    if (store_begin_read(hq->store, &txn) != OK)
        return;
    for (size_t i = 0; i < hq->replica.feed_count; i++) {
        struct store_cursor cursor = { 0 };
        struct change change;

        if (hq->feeds[i]->record.tier[0].number == 0 ||
            store_cursor_open(&txn, hq->feeds[i]->record.tier[0].number, TIERS_FEDERATION, 0,
                              &cursor) != OK)
            continue;
        while (store_cursor_next(&cursor, &change) == OK) {
            struct member_facts facts;
            struct store_row row;
            struct slice email;
            char text[64];
            unsigned number;

            if (change.type != RECORD_MEMBER || value_is_removal(change.value[0]))
                continue;
            member_facts_of(change.value[0], &facts);
            if (facts.status != MEMBER_ACTIVE || facts.kind != KIND_INDIVIDUAL)
                continue;
            if (store_get_row(&txn, hq->feeds[i]->record.tier[1].number, change.id, &row) !=
                    OK ||
                !mp_map_get_text(row.value[1], "email", &email) ||
                !slice_copy_text(email, text, sizeof text) ||
                sscanf(text, "P%u@", &number) != 1 || number >= 37) {
                sim_fail("a member at HQ without its tier hq");
                continue;
            }
            expected += seen[number] == 0;
            seen[number] = 1;
        }
        store_cursor_close(&cursor);
    }
    if (store_person_count(&txn, &counted) != OK || counted != expected)
        sim_fail("HQ counts %llu persons, the rows say %llu", (unsigned long long)counted,
                 (unsigned long long)expected);
}

void sim_check_agreement(void)
{
    if (sim_failed())
        return;
    if (!sim_settled()) {
        explain_difference();
        sim_fail("no agreement after the faults stopped");
        return;
    }
    for (int i = 0; i < world.node_count; i++)
        sim_check_sums(i, true);
    check_persons();
}

static bool is_candidate(const struct sim_op *op, uint32_t value)
{
    for (size_t i = 0; i < op->value_count; i++)
        if (op->values[i] == value)
            return true;
    return false;
}

void sim_check_acknowledged(void)
{
    if (sim_failed())
        return;
    for (size_t i = 0; i < world.op_count; i++) {
        const struct sim_op *op = &world.ops[i];
        CLEANUP(store_abort) struct store_txn txn = { 0 };
        const struct node *node = world.nodes[sim_node_of(op->origin)].node;
        struct store_row row;
        struct slice name;
        unsigned value = 0;
        char text[64];
        char id[UUID_TEXT_SIZE];

        if (store_begin_read(node->store, &txn) != OK)
            return;
        if (store_get_row(&txn, node->feeds[node->own_feed]->record.tier[0].number, op->id,
                          &row) == OK &&
            !value_is_removal(row.value[0]) && mp_map_get_text(row.value[1], "name", &name) &&
            slice_copy_text(name, text, sizeof text))
            (void)sscanf(text, "name %u", &value);
        uuid_format(op->id, id);
        if (!is_candidate(op, value))
            sim_fail("%s of %s has value %u, acknowledged was %u", id, op->origin, value,
                     op->values[0]);
    }
}
