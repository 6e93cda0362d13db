/* SPDX-License-Identifier: MPL-2.0 */
/* sim_check.c - what must hold after every step of a node, and of everything that it sends. */
#include <stdlib.h>
#include <string.h>

#include "daemon/jobs_internal.h"
#include "tests/sim/sim.h"

/* --- what origins signed ------------------------------------------------------------------ */

static bool marks_equal(const struct feed_mark *a, const struct feed_mark *b)
{
    return a->epoch == b->epoch && a->seq == b->seq && memcmp(a->hash, b->hash, HASH_SIZE) == 0;
}

static const struct sim_signed *signed_head_of(int origin, const struct feed_mark *mark)
{
    const struct sim_history *history = &world.history[origin];

    for (size_t i = history->count; i > 0; i--)
        if (marks_equal(&history->list[i - 1].mark, mark))
            return &history->list[i - 1];
    return NULL;
}

/* Where HQ runs twice, the recovery key may open one epoch for both: only chapters could tell
 * that it has begun already. */
static bool nobody_could_tell(int origin, uint64_t epoch)
{
    if (origin != 0 || world.hits[FAULT_HQ_TWICE] == 0 || epoch == 1)
        return false;
    for (int i = 1; i < world.plan.nodes; i++)
        if (!sim_lies(i) && world.nodes[i].seen[0].mark[0].epoch >= epoch)
            return false;
    return true;
}

/* No honest node signs two heads whose ranges overlap. */
void sim_note_signed(int origin, const struct feed_mark *mark)
{
    struct sim_history *history = &world.history[origin];

    if (mark->seq == 0 || signed_head_of(origin, mark) != NULL)
        return;
    for (size_t i = 0; i < history->count && !world.tainted[origin]; i++) {
        const struct feed_mark *other = &history->list[i].mark;

        if (other->epoch != mark->epoch || other->prev_seq >= mark->seq ||
            mark->prev_seq >= other->seq)
            continue;
        if (nobody_could_tell(origin, mark->epoch))
            world.tainted[origin] = true;
        else
            sim_fail("%s signed (%llu, %llu] and (%llu, %llu]", world.nodes[origin].code,
                     (unsigned long long)other->prev_seq, (unsigned long long)other->seq,
                     (unsigned long long)mark->prev_seq, (unsigned long long)mark->seq);
    }
    if (history->count == history->capacity) {
        history->capacity = history->capacity == 0 ? 64 : 2 * history->capacity;
        history->list = realloc(history->list, history->capacity * sizeof *history->list);
        ASSERT(history->list != NULL);
    }
    history->list[history->count++] = (struct sim_signed){ *mark, world.now_ms };
}

static uint64_t newest_epoch(int origin)
{
    const struct sim_history *history = &world.history[origin];
    uint64_t newest = 0;

    for (size_t i = 0; i < history->count; i++)
        if (history->list[i].mark.epoch > newest)
            newest = history->list[i].mark.epoch;
    return newest;
}

/* When a node may sign: nobody has shown it that it is an old copy, and after a start somebody
 * has said hello, or 3 s are over. */
static void check_may_sign(const struct sim_node *sim, int origin, const struct feed_mark *mark)
{
    const struct node *node = sim->node;

    /* HQ may have lost that it opened an epoch, and count it once more. */
    if (sim->was_recovering && mark->epoch <= newest_epoch(origin) &&
        !(world.restored[origin] && world.restored[0]))
        sim_fail("%s signs, and knows that it is an old copy", sim->code);
    if (!sim->hello_came && node->roster_count > 1 &&
        world.now_ms - sim->started_ms < SIGN_WAIT_MS)
        sim_fail("%s signs before anybody said hello", sim->code);
    if (!world.restored[origin] || sim->clone || mark->epoch > newest_epoch(origin) ||
        world.plan.faults & FAULTS_OF_PACKETS || nobody_could_tell(origin, mark->epoch) ||
        world.has_former_key[origin]) /* its roster may not know the key of what it is shown */
        return;
    for (size_t i = 0; i < node->link_count; i++) {
        const struct link *link = &node->links[i];
        const int peer =
            link->peer != NO_PEER ? sim_node_of(node->peers[link->peer]->code) : -1;

        if (peer >= 0 && !sim_lies(peer) && link->greeted && sim->held_of_me[peer] >= mark->seq)
            sim_fail("%s signs %llu again, and had greeted %s, which holds it", sim->code,
                     (unsigned long long)mark->seq, world.nodes[peer].code);
    }
}

/* A turn may sign more than one. */
static void note_all_signed(int origin, const struct feed *feed)
{
    for (size_t i = 0; i < feed->head_count; i++)
        sim_note_signed(
            origin,
            &feed->heads[(feed->head_next + HEADS_KEPT - feed->head_count + i) % HEADS_KEPT]);
}

/* --- feeds, as the node has them in memory ------------------------------------------------ */

static void check_freeze(const struct sim_node *sim, const struct feed *feed, int origin,
                         struct sim_seen *seen)
{
    const struct feed_mark *mark = &feed->tier[TIER_FEDERATION];
    struct feed_term term;

    roster_term_of(sim->node, feed->origin, &term);
    if (feed->freeze != FREEZE_NONE && !world.tainted[origin])
        sim_fail("%s froze the feed of %s, nobody lied", sim->code, feed->origin);
    /* The closed head is taken all the same, and one of a newer epoch ends it. */
    if (seen->frozen && seen->frozen_epoch == mark->epoch && term.epoch <= mark->epoch &&
        feed->tier[TIER_HQ].epoch <= mark->epoch &&
        (feed->freeze == FREEZE_NONE || !marks_equal(mark, &seen->frozen_at)) &&
        !sim->was_recovering)
        sim_fail("the feed of %s was frozen in epoch %llu at %llu at %s, and is %s at %llu",
                 feed->origin, (unsigned long long)seen->frozen_epoch,
                 (unsigned long long)seen->frozen_at.seq, sim->code,
                 feed->freeze == FREEZE_NONE ? "free" : "frozen",
                 (unsigned long long)mark->seq);
    seen->frozen = feed->freeze != FREEZE_NONE;
    seen->frozen_epoch = feed->freeze_epoch;
    seen->frozen_at = *mark;
}

/* Nor who stood beyond the head at which HQ ended a feed for good. */
static bool is_where_it_ended(const struct sim_node *sim, const struct feed *feed,
                              const struct feed_mark *mark)
{
    struct feed_term term;

    roster_term_of(sim->node, feed->origin, &term);
    return term.revoked && mark->epoch == term.until_epoch && mark->seq == term.until_seq;
}

static void check_feed_in_memory(struct sim_node *sim, const struct node_feed *held)
{
    const struct feed *feed = &held->replica.feed;
    const int origin = sim_node_of(feed->origin);
    struct sim_seen *seen = &sim->seen[origin];

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        const struct feed_mark *mark = &feed->tier[tier];

        /* But a recovering origin, which goes back to the head that HQ has closed. */
        if (feed_compare(mark->epoch, mark->seq, seen->mark[tier].epoch, seen->mark[tier].seq) <
                0 &&
            !(held->replica.own && sim->node->recovering) &&
            !is_where_it_ended(sim, feed, mark))
            sim_fail("head of %s went down at %s, tier %d", feed->origin, sim->code, tier);
        if (mark->seq != 0 && !marks_equal(mark, &seen->mark[tier]) && !sim_lies(origin)) {
            if (held->replica.own) {
                /* What a start finds was signed before it. */
                if (tier == TIER_FEDERATION && sim->node->counters.turns != 0 &&
                    signed_head_of(origin, mark) == NULL)
                    check_may_sign(sim, origin, mark);
                note_all_signed(origin, feed);
            } else if (signed_head_of(origin, mark) == NULL)
                sim_fail("%s took head %llu of %s, who never signed it", sim->code,
                         (unsigned long long)mark->seq, feed->origin);
        }
        seen->mark[tier] = *mark;
    }
    check_freeze(sim, feed, origin, seen);
    if (held->parked_count > PARKED_EVENTS_MAX || held->parked_bytes > PARKED_BYTES_MAX)
        sim_fail("%s parked %zu events of %s", sim->code, held->parked_count, feed->origin);
}

/* --- feeds, as they are stored ------------------------------------------------------------ */

static void check_tier(struct sim_node *sim, struct store_txn *txn,
                       const struct store_feed *record, int tier)
{
    const int origin = sim_node_of(record->origin);
    struct sim_seen *seen = &sim->seen[origin];
    struct digest_sum sum;
    uint8_t digest[HASH_SIZE];
    struct feed_mark mark;
    struct head head;

    if (head_read(signed_head_bytes(&record->tier[tier].head), &head) != OK ||
        store_get_sum(txn, record->tier[tier].number, (enum tier)tier, &sum) != OK) {
        sim_fail("%s: feed of %s is unreadable", sim->code, record->origin);
        return;
    }
    feed_mark_of(&head, &mark);
    if (!marks_equal(&mark, &seen->mark[tier]))
        sim_fail("%s shows %llu of %s, but its store has %llu, tier %d", sim->code,
                 (unsigned long long)seen->mark[tier].seq, record->origin,
                 (unsigned long long)mark.seq, tier);
    if (seen->damaged != 0 && seen->damaged == record->tier[0].number)
        return;
    seen->damaged = 0;
    digest_of(&sum, (enum tier)tier, digest);
    if (sum.count != head.count[tier] || memcmp(digest, head.digest[tier], HASH_SIZE) != 0)
        sim_fail("%s shows a state of %s that is not its head's, tier %d", sim->code,
                 record->origin, tier);
    seen->checked[tier] = mark;
}

static void check_stored(struct sim_node *sim)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct store_feed record = { .origin = "" };

    for (size_t i = 0; i < sim->node->replica.feed_count && !sim_failed(); i++) {
        const struct feed *feed = &sim->node->feeds[i]->replica.feed;
        const struct sim_seen *seen = &sim->seen[sim_node_of(feed->origin)];

        for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
            if (feed->tier[tier].seq == 0 ||
                marks_equal(&feed->tier[tier], &seen->checked[tier]))
                continue;
            if (txn.handle == NULL && store_begin_read(sim->node->store, &txn) != OK) {
                sim_fail("%s cannot be read", sim->code);
                return;
            }
            if (store_get_feed(&txn, feed->origin, &record) != OK ||
                record.tier[tier].head.size == 0)
                sim_fail("%s shows %s, of which its store has nothing", sim->code,
                         feed->origin);
            else
                check_tier(sim, &txn, &record, tier);
        }
    }
}

/* --- recounts ----------------------------------------------------------------------------- */

#define COUNTERS_MAX 2048
struct recount {
    struct digest_sum sum;
    struct census_delta deltas[COUNTERS_MAX];
    size_t delta_count;
};

static void count_key(struct recount *recount, const uint8_t key[CENSUS_KEY_SIZE], int delta)
{
    size_t k = 0;

    while (k < recount->delta_count &&
           memcmp(recount->deltas[k].key, key, CENSUS_COUNTER_SIZE) != 0)
        k++;
    if (k == recount->delta_count) {
        ASSERT(recount->delta_count < COUNTERS_MAX);
        memcpy(recount->deltas[recount->delta_count].key, key, CENSUS_COUNTER_SIZE);
        recount->deltas[recount->delta_count++].delta = 0;
    }
    recount->deltas[k].delta += delta;
}

static void count_member(struct recount *recount, struct recount *all,
                         const struct change *change)
{
    struct census_delta deltas[CENSUS_DELTAS_MAX];
    const size_t count = census_deltas(SLICE_NONE, change->value[TIER_FEDERATION], deltas);

    for (size_t i = 0; i < count; i++) {
        count_key(recount, deltas[i].key, deltas[i].delta);
        count_key(all, deltas[i].key, deltas[i].delta);
    }
}

static enum status take_counter(void *context, const uint8_t key[CENSUS_KEY_SIZE],
                                uint64_t count)
{
    count_key(context, key, -(int)count);
    return OK;
}

static void check_census(const struct sim_node *sim, struct store_txn *txn, uint32_t number,
                         struct recount *recount, const char *what)
{
    if (store_census_scan(txn, number, NULL, 0, take_counter, recount) != OK)
        sim_fail("the census of %s at %s cannot be read", what, sim->code);
    for (size_t i = 0; i < recount->delta_count; i++)
        if (recount->deltas[i].delta != 0)
            sim_fail("the census of %s at %s is not a recount's", what, sim->code);
}

static void recount_tier(struct sim_node *sim, struct store_txn *txn,
                         const struct store_feed *record, int tier, struct recount *all)
{
    static struct recount recount;
    static const uint8_t no_salt[SALT_SIZE];
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    struct digest_sum stored;
    struct change change;

    digest_sum_clear(&recount.sum);
    recount.delta_count = 0;
    sim_must(store_cursor_open(txn, record->tier[tier].number, 1u << tier, 0, &cursor),
             "cursor");
    while (!sim_failed() && store_cursor_next(&cursor, &change) == OK) {
        digest_add(&recount.sum, record->origin, (enum tier)tier, &change);
        if (tier == TIER_FEDERATION && change.type == RECORD_MEMBER)
            count_member(&recount, all, &change);
        if (tier == TIER_HQ && memcmp(change.salt, no_salt, SALT_SIZE) == 0)
            sim_fail("a row of %s at %s has no salt", record->origin, sim->code);
        if ((change.tiers & TIERS_HQ) && strcmp(sim->code, "hq") != 0 &&
            strcmp(sim->code, record->origin) != 0)
            sim_fail("%s holds tier hq of %s", sim->code, record->origin);
    }
    sim_must(store_get_sum(txn, record->tier[tier].number, (enum tier)tier, &stored), "sum");
    if (memcmp(&stored, &recount.sum, sizeof stored) != 0 &&
        sim->seen[sim_node_of(record->origin)].damaged != record->tier[tier].number)
        sim_fail("the rows of %s at %s, tier %d, do not make its sum", record->origin,
                 sim->code, tier);
    if (tier == TIER_FEDERATION)
        check_census(sim, txn, record->tier[tier].number, &recount, record->origin);
}

void sim_check_rows(int index)
{
    static struct recount all;
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct sim_node *sim = &world.nodes[index];
    struct store_feed record = { .origin = "" };

    all.delta_count = 0;
    sim_must(store_begin_read(sim->node->store, &txn), "begin");
    while (!sim_failed() && store_next_feed(&txn, record.origin, &record) == OK)
        for (int tier = 0; tier < TIERS_PUBLISHED && !sim_failed(); tier++)
            if (record.tier[tier].head.size != 0)
                recount_tier(sim, &txn, &record, tier, &all);
    if (!sim_failed())
        check_census(sim, &txn, 0, &all, "all");
}

/* --- a node, after each of its turns ------------------------------------------------------ */

/* HQ says "current" only of what it holds up to 90 s ago, and of whom was there since. */
static void check_current(const struct sim_node *sim, const struct node_feed *held)
{
    const struct node *node = sim->node;
    const int origin = sim_node_of(held->replica.feed.origin);
    const struct sim_history *history = &world.history[origin];

    if (!node->is_hq || held->replica.own || world.tainted[origin] ||
        replica_feed_state(&held->replica, &node->hq_beats, true, world.now_ms) !=
            STATE_CURRENT)
        return;
    if (!world.nodes[world.plan.nodes].clone &&
        world.now_ms - world.nodes[origin].ran_ms > BEAT_FRESH_MS + 1000)
        sim_fail("HQ calls %s current, which has not run for %lld s", held->replica.feed.origin,
                 (long long)(world.now_ms - world.nodes[origin].ran_ms) / 1000);
    for (size_t i = history->count; i > 0; i--) {
        const struct sim_signed *head = &history->list[i - 1];

        if (head->mark.seq <= held->replica.feed.tier[0].seq)
            return;
        if (world.now_ms - head->at_ms > BEAT_FRESH_MS + 1000)
            sim_fail("HQ calls %s current, and lacks %llu, %lld s old",
                     held->replica.feed.origin, (unsigned long long)head->mark.seq,
                     (long long)(world.now_ms - head->at_ms) / 1000);
    }
}

void sim_check_node(int index)
{
    struct sim_node *sim = &world.nodes[index];
    const struct node *node = sim->node;
    size_t jobs = 0;

    sim_check_rules(index);
    for (size_t i = 0; i < node->replica.feed_count && !sim_failed(); i++) {
        check_feed_in_memory(sim, node->feeds[i]);
        check_current(sim, node->feeds[i]);
    }
    if (!sim_failed())
        check_stored(sim);
    for (const struct job *job = node->jobs; job != NULL; job = job->next)
        jobs++;
    if (jobs > JOBS_MAX || node->walk_count > WALKS_MAX || node->replica.pulls > PULLS_MAX ||
        node->link_count > LINKS_MAX)
        sim_fail("%s is beyond its limits", sim->code);
    if (store_used_bytes(node->store) > sim->store_size + (1u << 20))
        sim_fail("the store of %s outgrew its map", sim->code);
    sim->was_recovering = node->recovering;
    if (!sim_failed() && sim->turns % 256 == 0)
        sim_check_rows(index);
}

void sim_check_start(int index)
{
    struct sim_node *sim = &world.nodes[index];

    sim->hello_came = false;
    sim->started_ms = world.now_ms;
    for (int i = 0; i < world.plan.nodes; i++)
        memset(sim->seen[i].checked, 0, sizeof sim->seen[i].checked);
    sim_check_node(index);
    if (!sim_failed())
        sim_check_rows(index);
    if (!sim_failed() && index < world.plan.nodes && !world.restored[index])
        sim_check_promises(index);
}

/* --- what leaves a node ------------------------------------------------------------------- */

static bool stored_mark(const struct sim_node *sim, const char *origin, int tier,
                        struct feed_mark *out_mark, bool *out_held)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct store_feed record;
    struct head head;

    if (store_begin_read(sim->node->store, &txn) != OK ||
        store_get_feed(&txn, origin, &record) != OK ||
        head_read(signed_head_bytes(&record.tier[tier].head), &head) != OK)
        return false;
    feed_mark_of(&head, out_mark);
    *out_held = record.hold != FEED_OK;
    return true;
}

static void check_hq_tier(const struct sim_node *sim, int to, unsigned tiers,
                          const char *origin)
{
    if ((tiers & TIERS_HQ) && (to < 0 || (strcmp(world.nodes[to].code, "hq") != 0 &&
                                          strcmp(world.nodes[to].code, origin) != 0)))
        sim_fail("%s sends tier hq of %s to %s", sim->code, origin,
                 to < 0 ? "all" : world.nodes[to].code);
}

/* Whatever names a head of the sender's own, or hands one on, names one that is durable. */
static void check_durable(const struct sim_node *sim, const char *origin, uint64_t epoch,
                          uint64_t seq)
{
    struct feed_mark mark;
    bool held;

    if (!stored_mark(sim, origin, TIER_FEDERATION, &mark, &held) ||
        feed_compare(mark.epoch, mark.seq, epoch, seq) < 0)
        sim_fail("%s sends head %llu of %s, which its store does not hold", sim->code,
                 (unsigned long long)seq, origin);
}

static void check_chunk(const struct sim_node *sim, int to, struct slice message)
{
    struct wire_changes chunk;
    struct feed_term term;
    struct feed_mark mark;
    struct feed_mark sent;
    struct head head;
    bool held = false;
    int tier;

    if (wire_read_changes(message, &chunk) != OK) {
        sim_fail("%s sends malformed changes", sim->code);
        return;
    }
    tier = chunk.tiers & TIERS_FEDERATION ? TIER_FEDERATION : TIER_HQ;
    check_hq_tier(sim, to, chunk.tiers, chunk.origin);
    roster_term_of(sim->node, chunk.origin, &term);
    /* A frozen state at which HQ closed its epoch is served on; and kept ones are. */
    if (chunk.epoch < term.epoch)
        return;
    if (!stored_mark(sim, chunk.origin, tier, &mark, &held) || held)
        sim_fail("%s serves the feed of %s, which %s", sim->code, chunk.origin,
                 held ? "is frozen" : "is not finished");
    if (chunk.head.size == 0 || sim_failed() || head_read(chunk.head, &head) != OK)
        return;
    feed_mark_of(&head, &sent);
    if (!marks_equal(&sent, &mark))
        sim_fail("%s serves head %llu of %s and stands at %llu", sim->code,
                 (unsigned long long)sent.seq, chunk.origin, (unsigned long long)mark.seq);
}

/* A want that failed comes again only after a pause, unless it was lost with its connection. */
static void check_want(struct sim_node *sim, int to, struct slice message)
{
    const int64_t broke_at_ms = world.broke_at_ms[sim - world.nodes][to];
    struct wire_want want;
    struct sim_want *last;
    uint32_t feed;
    int origin;

    if (wire_read_want(message, &want) != OK || (origin = sim_node_of(want.origin)) < 0) {
        sim_fail("%s sends a malformed want", sim->code);
        return;
    }
    last = &sim->seen[origin].want[want.tiers];
    feed = node_feed_index(sim->node, want.origin);
    if (!sim->node->feeds[feed]->replica.tier[0].damaged &&
        !sim->node->feeds[feed]->replica.own && last->at_ms > world.nodes[to].started_ms &&
        last->at_ms > sim->started_ms && last->at_ms > broke_at_ms && last->to == to &&
        last->epoch == want.epoch && last->since == want.since &&
        memcmp(last->hash, want.hash, HASH_SIZE) == 0 &&
        world.now_ms - last->at_ms < RETRY_MS_MIN / 10)
        sim_fail("%s wants %s of %s since %llu again, %lld ms later", sim->code, want.origin,
                 world.nodes[to].code, (unsigned long long)want.since,
                 (long long)(world.now_ms - last->at_ms));
    *last = (struct sim_want){
        .to = to, .epoch = want.epoch, .since = want.since, .at_ms = world.now_ms
    };
    memcpy(last->hash, want.hash, HASH_SIZE);
}

/* Starts are counted: no beat is older than one before. */
static void check_own_beat(struct sim_node *sim, const struct beat *beat)
{
    const struct beat *last = &sim->beat;
    const int order = feed_compare(beat->boot, beat->counter, last->boot, last->counter);

    check_durable(sim, beat->origin, beat->epoch, beat->seq);
    if (!sim->clone && !world.restored[sim - world.nodes] &&
        (beat->epoch < last->epoch || (beat->epoch == last->epoch && order < 0)))
        sim_fail("%s sends a beat that is older than its last", sim->code);
    sim->beat = *beat;
}

void sim_check_sent(int from, int to, struct slice message)
{
    struct sim_node *sim = &world.nodes[from];
    struct wire_event event;
    struct wire_beat wire;
    struct head head;
    struct beat beat;

    switch (wire_type_of(message)) {
    case WIRE_EVENT:
        if (wire_read_event(message, &event) != OK || head_read(event.head, &head) != OK) {
            sim_fail("%s sends a malformed event", sim->code);
            return;
        }
        check_hq_tier(sim, to, event.tiers, head.origin);
        check_durable(sim, head.origin, head.epoch, head.seq);
        break;
    case WIRE_BEAT:
        if (wire_read_beat(message, &wire) == OK && beat_read(wire.beat, &beat) == OK &&
            strcmp(beat.origin, sim->code) == 0)
            check_own_beat(sim, &beat);
        break;
    case WIRE_CHANGES:
        check_chunk(sim, to, message);
        break;
    case WIRE_WANT:
        check_want(sim, to, message);
        break;
    default:
        break;
    }
}
