/* SPDX-License-Identifier: MPL-2.0 */
/* sim_rules.c - what must hold of what operators asked for: who was erased is gone, fields are
 * in their tiers, keys are in force, and who was shut out is. */
#include <stdlib.h>
#include <string.h>

#include "daemon/disclosure.h"
#include "daemon/erase.h"
#include "daemon/keys.h"
#include "daemon/surplus_internal.h"
#include "tests/sim/sim.h"

/* --- places ------------------------------------------------------------------------------- */

bool sim_is_shut_out(int index)
{
    const struct node *hq = world.nodes[0].node;
    const struct roster_node *place =
        hq != NULL ? roster_find(hq, world.nodes[index].code) : NULL;

    return place != NULL && place->entry.state == CHAPTER_REVOKED;
}

/* What goes beyond the end that HQ set is not taken by who knew of it before the turn. */
static void check_end(const struct sim_node *sim, const struct node_feed *held)
{
    const struct feed_mark *mark = &held->replica.feed.tier[TIER_FEDERATION];
    struct sim_seen *seen =
        (struct sim_seen *)&sim->seen[sim_node_of(held->replica.feed.origin)];
    const struct feed_mark *was = &seen->mark[TIER_FEDERATION];
    const bool knew = seen->end.known;
    struct feed_term term;

    roster_term_of(sim->node, held->replica.feed.origin, &term);
    /* Rows that are being merged turn by turn are merged to their end, and sent back then. */
    if (knew && !seen->end.was_merging && term.ended && term.until_epoch == seen->end.epoch &&
        term.until_seq == seen->end.seq && !held->replica.own &&
        feed_compare(mark->epoch, mark->seq, was->epoch, was->seq) > 0 &&
        feed_compare(mark->epoch, mark->seq, seen->end.epoch, seen->end.seq) > 0)
        sim_fail("%s takes %llu of %s, whom HQ ended at %llu", sim->code,
                 (unsigned long long)mark->seq, held->replica.feed.origin,
                 (unsigned long long)seen->end.seq);
    if (!term.ended || !knew)
        seen->end.since_ms = world.now_ms;
    seen->end.was_merging = held->building;
    seen->end.known = term.ended;
    seen->end.epoch = term.until_epoch;
    seen->end.seq = term.until_seq;
}

/* Nor what is beyond or beside the head at which an epoch was closed. */
static void check_closed(struct sim_seen *seen, const struct sim_node *sim,
                         const struct node_feed *held)
{
    const struct feed_mark *mark = &held->replica.feed.tier[TIER_FEDERATION];
    const struct feed_mark *was = &seen->mark[TIER_FEDERATION];
    const struct feed_term knew = seen->term;

    roster_term_of(sim->node, held->replica.feed.origin, &seen->term);
    if (knew.epoch == seen->term.epoch && mark->epoch < knew.epoch && !seen->end.was_merging &&
        feed_compare(mark->epoch, mark->seq, was->epoch, was->seq) > 0 &&
        (mark->seq > knew.closed_seq || (mark->seq == knew.closed_seq &&
                                         memcmp(mark->hash, knew.closed_hash, HASH_SIZE) != 0)))
        sim_fail("%s takes %llu of %s, and HQ closed its epoch at %llu", sim->code,
                 (unsigned long long)mark->seq, held->replica.feed.origin,
                 (unsigned long long)knew.closed_seq);
}

void sim_check_served(int from, int to)
{
    const struct sim_end *end;
    const int place = sim_node_of(world.nodes[to].code);

    end = &world.nodes[from].seen[place].end;
    if (end->known && world.now_ms - end->since_ms > 2 * CUT_AFTER_MS)
        sim_fail("%s still serves %s, which HQ has shut out", world.nodes[from].code,
                 world.nodes[to].code);
}

/* --- erasure ------------------------------------------------------------------------------ */

static bool is_sound(int origin)
{
    return !world.tainted[origin] && !world.restored[origin] && !sim_lies(origin) &&
           !sim_is_shut_out(origin);
}

static uint8_t *read_store(const struct sim_node *sim, size_t *out_size)
{
    char path[300];
    uint8_t *bytes = NULL;
    FILE *file;
    long size;

    (void)snprintf(path, sizeof path, "%s/db/data.mdb", sim->dir);
    if ((file = fopen(path, "rb")) == NULL)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) > 0 &&
        fseek(file, 0, SEEK_SET) == 0 && (bytes = malloc((size_t)size)) != NULL)
        *out_size = fread(bytes, 1, (size_t)size, file);
    fclose(file);
    return bytes;
}

/* Bytes of the file that are not in use are remains of several values, and what is left of one
 * may end with the byte that makes of "name 19" the name "name 1", of somebody else. */
static bool is_of_longer_name(const uint8_t *bytes, const uint8_t *name, size_t length,
                              const uint8_t *end)
{
    static const char key[] = "\xa4name";
    const size_t size = sizeof key - 1;

    return name + length < end && name[length] >= '0' && name[length] <= '9' &&
           ((size_t)(name - bytes) < size || memcmp(name - size, key, size) != 0);
}

static bool file_tells_name(const uint8_t *bytes, size_t size, uint32_t number)
{
    const uint8_t *end = bytes + size;
    const uint8_t *at = bytes;
    char name[32];
    const size_t length = 1 + (size_t)snprintf(name + 1, sizeof name - 1, "name %u", number);

    name[0] = (char)(0xa0 | (length - 1)); /* else it begins that of another */
    while ((at = memmem(at, (size_t)(end - at), name, length)) != NULL) {
        if (!is_of_longer_name(bytes, at, length, end))
            return true;
        at++;
    }
    return false;
}

static bool file_tells(const uint8_t *bytes, size_t size, const struct sim_op *op)
{
    if (memmem(bytes, size, op->id, ID_SIZE) != NULL)
        return true;
    for (size_t i = 0; i < op->told_count; i++)
        if (op->told[i] != 0 && file_tells_name(bytes, size, op->told[i]))
            return true;
    return false;
}

static bool says_cleared(struct store_txn *txn, const struct sim_node *sim,
                         const struct sim_op *op)
{
    struct store_cleared cleared;

    return store_get_cleared(txn, sim->code, world.nodes[op->origin].code, &cleared) == OK &&
           cleared.seq >= op->erased_at;
}

/* A node says that its files hold nothing of somebody: so it is. */
static void check_statements(const struct sim_node *sim)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    uint8_t *bytes = NULL;
    size_t size = 0;

    if (store_begin_read(sim->node->store, &txn) != OK)
        return;
    for (size_t i = 0; i < world.op_count && !sim_failed(); i++) {
        const struct sim_op *op = &world.ops[i];

        if (op->erasure != ERASED || !is_sound(op->origin) || !says_cleared(&txn, sim, op))
            continue;
        if (bytes == NULL && (bytes = read_store(sim, &size)) == NULL)
            return;
        if (file_tells(bytes, size, op))
            sim_fail("%s says that nothing is left of a member of %s, and its file has it",
                     sim->code, world.nodes[op->origin].code);
    }
    free(bytes);
}

/* Behind the horizon no store has a row of who was erased, not even the removal. */
static void check_rows_of_erased(const struct sim_node *sim, const struct node_feed *held)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    const int origin = sim_node_of(held->replica.feed.origin);

    for (size_t i = 0; i < world.op_count && !sim_failed(); i++) {
        const struct sim_op *op = &world.ops[i];
        struct store_row row;

        if (op->erasure != ERASED || op->origin != origin || !is_sound(origin))
            continue;
        if (txn.handle == NULL && store_begin_read(sim->node->store, &txn) != OK)
            return;
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
            const struct store_feed_tier *stored = &held->record.tier[tier];
            const bool forgotten = stored->horizon >= op->erased_at;

            if (stored->number == 0 || held->replica.feed.tier[tier].seq < op->erased_at ||
                store_get_row(&txn, stored->number, op->id, &row) != OK ||
                !(row.tiers & (1u << tier)))
                continue;
            if (forgotten || !value_is_removal(row.value[tier]))
                sim_fail("%s has a row of a member of %s who was erased", sim->code,
                         world.nodes[origin].code);
        }
    }
}

/* A horizon passes only what HQ had stated: what it held by then, in both tiers. */
static void check_horizon(const struct sim_node *sim, const struct node_feed *held)
{
    const int origin = sim_node_of(held->replica.feed.origin);
    const struct feed_mark *mark = &held->replica.feed.tier[TIER_FEDERATION];
    const struct sim_seen *at_hq = &world.nodes[0].seen[origin];
    const uint64_t had =
        at_hq->mark[0].seq < at_hq->mark[1].seq ? at_hq->mark[0].seq : at_hq->mark[1].seq;

    if (held->replica.own && origin != 0 && !world.restored[0] && !world.tainted[origin] &&
        mark->horizon > sim->seen[origin].mark[0].horizon && mark->horizon > had)
        sim_fail("%s forgets up to %llu, and HQ had %llu", sim->code,
                 (unsigned long long)mark->horizon, (unsigned long long)had);
}

/* What comes of an offered state goes where nobody clears it away: else it would be settled
 * though rows of it were lost. */
static void check_fetched_offer(const struct sim_node *sim)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    const struct node *node = sim->node;
    const struct offer_fetch *fetch = &node->surplus->fetch;
    struct store_build build;

    if (!fetch->active || store_begin_read(node->store, &txn) != OK)
        return;
    if (store_get_build(&txn, node->feeds[fetch->feed]->record.origin,
                        fetch->tiers | BUILD_OF_OFFER, &build) != OK ||
        build.number != fetch->number)
        sim_fail("%s lost its place for what it fetches of an offer", sim->code);
}

void sim_check_rules(int index)
{
    struct sim_node *sim = &world.nodes[index];
    const struct node *node = sim->node;

    for (size_t i = 0; i < node->replica.feed_count && !sim_failed(); i++) {
        const struct node_feed *held = node->feeds[i];
        struct sim_seen *seen = &sim->seen[sim_node_of(held->replica.feed.origin)];

        if (memcmp(seen->mark[0].hash, held->replica.feed.tier[0].hash, HASH_SIZE) != 0 ||
            memcmp(seen->mark[1].hash, held->replica.feed.tier[1].hash, HASH_SIZE) != 0) {
            check_horizon(sim, held);
            check_rows_of_erased(sim, held);
        }
        check_closed(seen, sim, held);
        check_end(sim, held);
    }
    if (!sim_failed())
        check_fetched_offer(sim);
    if (node->erasure->compactions != sim->compactions && !sim_failed()) {
        sim->compactions = node->erasure->compactions;
        check_statements(sim);
    }
}

/* --- once the faults are over ------------------------------------------------------------- */

static struct erase_report report; /* the last one */

/* Of whom a second daemon has run that one may have confirmed. */
static bool only_second_confirmed(const struct sim_op *op)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    const char *code = world.nodes[world.plan.nodes].code;
    const struct sim_node *sim;

    if (code[0] == '\0')
        return false;
    sim = &world.nodes[sim_node_of(code)];
    return sim->node != NULL && !sim_is_shut_out(sim_node_of(code)) &&
           store_begin_read(sim->node->store, &txn) == OK && !says_cleared(&txn, sim, op);
}

static bool everybody_confirmed(struct sim_op *op)
{
    struct node *node = world.nodes[op->origin].node;
    const enum status status = erase_report(node, op->id, &report);

    store_abort(&node->txn);
    if (status == NOT_FOUND) {
        op->erasure = NOT_ERASED; /* nobody ever answered: it did not happen */
        return true;
    }
    if (status != OK)
        return false;
    op->erasure = ERASED;
    op->erased_at = report.seq;
    return report.waiting_count == 0 && !only_second_confirmed(op);
}

static bool keys_settled(const struct node *node)
{
    /* At HQ one that was made and not put in force waits for the next word of its operator. */
    return (!node->keys->has_next || node->is_hq) && !node->keys->must_show;
}

static bool has_link_with(const struct node *node, const char *code)
{
    for (size_t i = 0; i < node->link_count; i++)
        if (node->links[i].greeted && node->links[i].peer != NO_PEER &&
            strcmp(node->peers[node->links[i].peer]->code, code) == 0)
            return true;
    return false;
}

/* Does somebody keep a state of a closed epoch that its origin, which is offered it, has not
 * taken up?  What comes of it may change everything once more. */
static bool keeps_surplus(const struct node *node)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct store_kept kept = { .origin = "" };
    bool found = false;

    if (!node->surplus->kept || store_begin_read(node->store, &txn) != OK)
        return false;
    for (enum status status = store_next_kept(&txn, NULL, &kept); status == OK && !found;
         status = store_next_kept(&txn, &kept, &kept)) {
        const int origin = sim_node_of(kept.origin);

        found = (kept.tiers & TIERS_FEDERATION) && !(kept.tiers & KEPT_MANUAL) &&
                !world.tainted[origin] && !sim_is_shut_out(origin) &&
                has_link_with(node, kept.origin);
    }
    return found;
}

bool sim_rules_settled(void)
{
    for (int i = 0; i < world.plan.nodes; i++) {
        const struct node *node = world.nodes[i].node;
        const struct roster_node *place = roster_find(world.nodes[0].node, world.nodes[i].code);

        if (place != NULL && place->entry.state == CHAPTER_SUSPENDED)
            return false;
        if (!sim_is_shut_out(i) && keeps_surplus(node))
            return false;
        if (!sim_is_shut_out(i) && !world.tainted[i] &&
            (node->disclosure->reached_plus_one != 0 || !keys_settled(node)))
            return false;
    }
    for (size_t i = 0; i < world.op_count; i++)
        if (world.ops[i].erasure != NOT_ERASED && is_sound(world.ops[i].origin) &&
            !everybody_confirmed(&world.ops[i]))
            return false;
    return true;
}

void sim_explain_rules(void)
{
    for (int i = 0; i < world.plan.nodes; i++) {
        const struct node *node = world.nodes[i].node;

        if (node != NULL)
            sim_trace("%s: phase %d, tiers %llu, next key %d, to show %d, key in force %d%s%s",
                      node->code, (int)node->phase,
                      (unsigned long long)node->disclosure->reached_plus_one,
                      node->keys->has_next, node->keys->must_show, keys_in_force(node),
                      sim_is_shut_out(i)    ? ", shut out"
                      : keeps_surplus(node) ? ", surplus"
                                            : "",
                      world.disk_is_gone[i] ? ", without a disk" : "");
    }
    for (size_t i = 0; i < world.op_count; i++)
        if (world.ops[i].erasure != NOT_ERASED && is_sound(world.ops[i].origin) &&
            world.nodes[world.ops[i].origin].node != NULL &&
            !everybody_confirmed(&world.ops[i]))
            sim_trace("erased of %s at %llu: purged %d, forgotten %d, stated %d, %s waits",
                      world.nodes[world.ops[i].origin].code,
                      (unsigned long long)world.ops[i].erased_at, report.history_purged,
                      report.forgotten, report.hq_stated, report.waiting[0]);
}

static void check_files(int index)
{
    size_t size = 0;
    uint8_t *bytes = NULL;

    for (size_t i = 0; i < world.op_count && !sim_failed(); i++) {
        const struct sim_op *op = &world.ops[i];

        if (op->erasure != ERASED || !is_sound(op->origin))
            continue;
        if (bytes == NULL && (bytes = read_store(&world.nodes[index], &size)) == NULL)
            return;
        if (file_tells(bytes, size, op))
            sim_fail("something is left of a member of %s at %s", world.nodes[op->origin].code,
                     world.nodes[index].code);
    }
    free(bytes);
}

/* No record has a field in a wider tier than its chapter chose. */
static void check_tiers_of(const struct sim_node *sim, struct store_txn *txn,
                           const struct node_feed *held)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    const int origin = sim_node_of(held->replica.feed.origin);
    const uint32_t number = held->record.tier[TIER_FEDERATION].number;
    struct change change;

    if (number == 0 || !is_sound(origin) ||
        store_cursor_open(txn, number, TIERS_BOTH, 0, &cursor) != OK)
        return;
    while (!sim_failed() && store_cursor_next(&cursor, &change) == OK)
        for (int field = 0; field < SIM_FIELDS && change.type == RECORD_MEMBER; field++) {
            const struct sim_choice *choice = &world.choices[origin][field];

            for (int tier = 0; choice->made && !choice->unsure && tier < TIERS_PUBLISHED;
                 tier++)
                if ((change.tiers & (1u << tier)) && !value_is_removal(change.value[tier]) &&
                    tier < choice->tier &&
                    mp_map_get(change.value[tier], sim_fields[field]).size != 0)
                    sim_fail("%s of a member of %s is in tier %d at %s", sim_fields[field],
                             world.nodes[origin].code, tier, sim->code);
        }
}

void sim_check_rules_final(void)
{
    for (int i = 0; i < world.plan.nodes && !sim_failed(); i++) {
        CLEANUP(store_abort) struct store_txn txn = { 0 };
        const struct node *node = world.nodes[i].node;

        if (sim_is_shut_out(i))
            continue;
        check_files(i);
        if (store_begin_read(node->store, &txn) != OK)
            continue;
        for (size_t k = 0; k < node->replica.feed_count && !sim_failed(); k++)
            check_tiers_of(&world.nodes[i], &txn, node->feeds[k]);
    }
}
