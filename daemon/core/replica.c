/* SPDX-License-Identifier: MPL-2.0 */
/* replica.c - what to fetch from whom, and when to try again. */
#include "daemon/core/replica.h"

#include <string.h>

#include "proto/bug.h"

#define CLAIM_FAILURES_MAX                                                                     \
    3                      /* then a peer's claim is worth nothing until it says hello again */
#define RECOUNT_FAILURES 4 /* after so many each, rows are counted anew */

/* xorshift64*: jitter needs no more, and a seed repeats it. */
static uint64_t jitter(struct replica *replica, uint64_t below)
{
    uint64_t x = replica->random_state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    replica->random_state = x;
    return below == 0 ? 0 : (x * 2685821657736338717ull >> 33) % below;
}

static void emit(struct replica_effects *effects, struct replica_effect effect)
{
    if (effects->count < REPLICA_EFFECTS_MAX)
        effects->list[effects->count++] = effect;
}

bool replica_claim_newer(const struct replica_claim *claim, const struct feed_mark *mark)
{
    return feed_compare(claim->epoch, claim->seq, mark->epoch, mark->seq) > 0;
}

static bool is_beyond_end(const struct replica_feed *feed, uint64_t epoch, uint64_t seq)
{
    return feed->ended && !BUG(ENDED_TAKEN) &&
           feed_compare(epoch, seq, feed->until.epoch, feed->until.seq) > 0;
}

/* My copy goes further than HQ takes the feed: I go back to there. */
static bool goes_back(const struct replica_feed *feed, int tier)
{
    const struct feed_mark *mark = &feed->feed.tier[tier];

    return tier == TIER_FEDERATION && feed->revoked && feed->until.seq != 0 &&
           !BUG(REVOKED_KEPT) && is_beyond_end(feed, mark->epoch, mark->seq);
}

bool replica_end_missed(const struct replica_feed *feed, enum tier tier)
{
    return feed->ended && (replica_claim_newer(&feed->until, &feed->feed.tier[tier]) ||
                           goes_back(feed, (int)tier));
}

/* The closed state of the own feed takes the place of a newer one: see feed.h. */
static bool is_replaced(const struct replica_feed *feed, int tier)
{
    return feed->feed.replacing && tier == TIER_FEDERATION;
}

/* Is what peer claims worth fetching?  To mend damage, the head that I stand at already is. */
static bool is_wanted(const struct replica_claim *claim, const struct replica_feed *feed,
                      int tier)
{
    const struct feed_mark *mark = &feed->feed.tier[tier];

    if (is_replaced(feed, tier)) /* HQ has it, whatever it claims */
        return claim->seq != 0;
    if (is_beyond_end(feed, claim->epoch, claim->seq))
        return false;
    if (goes_back(feed, tier))
        return claim->epoch == feed->until.epoch && claim->seq == feed->until.seq;
    return replica_claim_newer(claim, mark) ||
           (feed->tier[tier].damaged && claim->epoch == mark->epoch && claim->seq == mark->seq);
}

static void raise_target(struct replica_feed *feed, int tier, uint64_t epoch, uint64_t seq,
                         int64_t now_ms)
{
    struct replica_tier *state = &feed->tier[tier];

    if (!feed->followed[tier] || is_beyond_end(feed, epoch, seq))
        return;
    if (feed_compare(epoch, seq, state->target.epoch, state->target.seq) > 0)
        state->target = (struct replica_claim){ epoch, seq };
    if (replica_claim_newer(&state->target, &feed->feed.tier[tier]) &&
        state->behind_since_ms == 0)
        state->behind_since_ms = now_ms;
}

static void raise_proven(struct replica_feed *feed, int tier, uint64_t epoch, uint64_t seq)
{
    struct replica_claim *proven = &feed->tier[tier].proven;

    if (feed_compare(epoch, seq, proven->epoch, proven->seq) > 0)
        *proven = (struct replica_claim){ epoch, seq };
}

/* The newest that is claimed by somebody or proven: a liar's claim goes with the liar. */
static void retarget(struct replica *replica, uint32_t index, int tier)
{
    struct replica_feed *feed = replica->feeds[index];
    struct replica_tier *state = &feed->tier[tier];
    const struct feed_mark *mark = &feed->feed.tier[tier];

    state->target = (struct replica_claim){ mark->epoch, mark->seq };
    if (replica_claim_newer(&state->proven, mark) &&
        !is_beyond_end(feed, state->proven.epoch, state->proven.seq))
        state->target = state->proven;
    for (size_t i = 0; i < replica->peer_count; i++) {
        const struct replica_claim *claim = &replica->peers[i]->claim[index][tier];

        if (replica->peers[i]->up && !is_beyond_end(feed, claim->epoch, claim->seq) &&
            feed_compare(claim->epoch, claim->seq, state->target.epoch, state->target.seq) > 0)
            state->target = *claim;
    }
    if (!replica_claim_newer(&state->target, mark))
        state->behind_since_ms = 0;
}

void replica_disproved(struct replica *replica, uint32_t index)
{
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        memset(&replica->feeds[index]->tier[tier].proven, 0, sizeof(struct replica_claim));
        if (replica->feeds[index]->followed[tier])
            retarget(replica, index, tier);
    }
}

void replica_set_end(struct replica *replica, uint32_t index, const struct feed_term *term)
{
    struct replica_feed *feed = replica->feeds[index];

    if (feed->ended == term->ended && feed->revoked == term->revoked &&
        feed->until.epoch == term->until_epoch && feed->until.seq == term->until_seq)
        return;
    feed->ended = term->ended;
    feed->revoked = term->revoked;
    feed->until = (struct replica_claim){ term->until_epoch, term->until_seq };
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (feed->followed[tier])
            retarget(replica, index, tier);
}

static int64_t backoff(struct replica *replica, uint32_t failures)
{
    const uint32_t shift = failures < 8 ? failures : 8;
    int64_t pause = BUG(RETRIED_AT_ONCE) ? 1 : (int64_t)RETRY_MS_MIN << shift;

    if (pause > RETRY_MS_MAX)
        pause = RETRY_MS_MAX;
    return pause + (int64_t)jitter(replica, (uint64_t)pause / 2 + 1);
}

static void end_pull(struct replica *replica, struct replica_pull *pull)
{
    if (!pull->active)
        return;
    pull->active = false;
    ASSERT(replica->pulls > 0);
    replica->pulls -= !BUG(PULLS_LEAK);
}

static void fail_pull(struct replica *replica, uint32_t index, struct replica_pull *pull,
                      int64_t now_ms, struct replica_effects *effects)
{
    struct replica_feed *feed = replica->feeds[index];

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        struct replica_tier *state = &feed->tier[tier];

        if (!(pull->tiers & (1u << tier)))
            continue;
        state->retry_at_ms =
            BUG(NEVER_RETRIED) ? INT64_MAX / 2 : now_ms + backoff(replica, state->failures);
        if (state->failures < 16)
            state->failures++;
        /* What my own tier hq lacks HQ alone holds: that an answer was lost does not mean that
         * there is none (epoch.c begins without it then). */
        if (state->failures >= CLAIM_FAILURES_MAX && !(feed->own && tier == TIER_HQ)) {
            replica->peers[pull->peer]->claim[index][tier] = (struct replica_claim){ 0, 0 };
            retarget(replica, index, tier);
        }
    }
    emit(effects, (struct replica_effect){ .kind = EFFECT_DROPPED,
                                           .peer = pull->peer,
                                           .feed = index,
                                           .tiers = pull->tiers,
                                           .request = pull->request });
    end_pull(replica, pull);
}

struct replica_pull *replica_pull_of(struct replica *replica, uint64_t request,
                                     uint32_t *out_feed)
{
    for (size_t i = 0; i < replica->feed_count; i++)
        for (int slot = 0; slot < TIERS_PUBLISHED; slot++) {
            struct replica_pull *pull = &replica->feeds[i]->pull[slot];

            if (pull->active && pull->request == request) {
                *out_feed = (uint32_t)i;
                return pull;
            }
        }
    return NULL;
}

static bool has_mismatched(const struct replica_tier *state, uint32_t peer)
{
    for (uint32_t i = 0; i < state->mismatches; i++)
        if (state->mismatch_peer[i] == peer)
            return true;
    return false;
}

/* The peer to ask: one that claims more than I have; rather the origin, then HQ, then any;
 * rather one whose list has not failed me.  Tier hq comes from its origin alone. */
static bool choose_peer(const struct replica *replica, uint32_t index, int tier,
                        uint32_t *out_peer)
{
    const struct replica_feed *feed = replica->feeds[index];
    int best_rank = -1;
    const size_t start = feed->tier[tier].attempts;

    for (size_t k = 0; k < replica->peer_count; k++) {
        const uint32_t i = (uint32_t)((k + start) % replica->peer_count);
        const struct replica_peer *peer = replica->peers[i];
        /* My own feed I fetch back rather from HQ: it has both tiers, and the closed head. */
        const bool origin = strcmp(peer->code, feed->own ? "hq" : feed->feed.origin) == 0;
        const bool claims = is_wanted(&peer->claim[index][tier], feed, tier);
        int rank = 0;

        if (!peer->up)
            continue;
        /* Who signed a head that I know of has both its tiers, whatever it said last. */
        if (tier == TIER_HQ ? !origin || (feed->own && !claims) : !claims)
            continue;
        if (!has_mismatched(&feed->tier[tier], i))
            rank += 8;
        /* Where the closed state replaces mine, HQ is the one that must hold it: it is asked
         * every other time, though a list of it failed and others claim more. */
        if (is_replaced(feed, tier) && origin &&
            (feed->tier[tier].failures < 2 || feed->tier[tier].attempts % 2 == 0))
            rank += 16;
        /* After failures everybody is as good as the origin: it may be the one that fails. */
        if (feed->tier[tier].failures < 2)
            rank += origin ? 4 : strcmp(peer->code, "hq") == 0 ? 2 : 0;
        if (rank > best_rank) {
            best_rank = rank;
            *out_peer = i;
        }
    }
    return best_rank >= 0;
}

static bool marks_equal(const struct feed_mark *a, const struct feed_mark *b)
{
    return a->epoch == b->epoch && a->seq == b->seq && memcmp(a->hash, b->hash, HASH_SIZE) == 0;
}

static void start_pull(struct replica *replica, uint32_t index, int tier, uint32_t peer,
                       int64_t now_ms, struct replica_effects *effects)
{
    struct replica_feed *feed = replica->feeds[index];
    const struct feed_mark *mine = feed->feed.tier;
    struct replica_pull *pull = &feed->pull[tier];
    const bool origin = strcmp(replica->peers[peer]->code, feed->feed.origin) == 0;

    if (effects->count == REPLICA_EFFECTS_MAX)
        return;
    memset(pull, 0, sizeof *pull);
    feed->tier[tier].attempts++;
    pull->tiers = 1u << tier;
    /* Both at once where both stand at the same head and come from the origin; unless that
     * fails: an origin that recovers may have them at different heads. */
    if (tier == TIER_FEDERATION && feed->followed[TIER_HQ] && origin &&
        feed->tier[TIER_FEDERATION].failures < 2 && !feed->pull[TIER_HQ].active &&
        !goes_back(feed, tier) && marks_equal(&mine[TIER_FEDERATION], &mine[TIER_HQ]) &&
        feed->tier[TIER_FEDERATION].snapshot == feed->tier[TIER_HQ].snapshot)
        pull->tiers = TIERS_BOTH;
    pull->active = true;
    pull->peer = peer;
    pull->request = ++replica->next_request;
    /* Out of a frozen epoch only the whole leads, but for the head at which HQ closed it. */
    if (feed->feed.freeze != FREEZE_NONE && !feed->own && feed->tier[tier].failures > 0)
        feed->tier[tier].snapshot = true;
    if (!feed->tier[tier].snapshot && !goes_back(feed, tier)) {
        pull->epoch = mine[tier].epoch;
        pull->since = mine[tier].seq;
    }
    pull->deadline_ms = now_ms + WANT_TIMEOUT_MS;
    replica->pulls++;
    emit(effects, (struct replica_effect){ .kind = EFFECT_WANT,
                                           .peer = peer,
                                           .feed = index,
                                           .tiers = pull->tiers,
                                           .epoch = pull->epoch,
                                           .since = pull->since,
                                           .request = pull->request });
}

static void note_time(struct replica_effects *effects, int64_t at_ms)
{
    if (at_ms < effects->next_ms)
        effects->next_ms = at_ms;
}

static void plan_tier(struct replica *replica, uint32_t index, int tier, int64_t now_ms,
                      struct replica_effects *effects)
{
    struct replica_feed *feed = replica->feeds[index];
    struct replica_tier *state = &feed->tier[tier];
    struct replica_pull *pull = &feed->pull[tier];
    uint32_t peer;

    if (pull->active) {
        if (now_ms >= pull->deadline_ms && !BUG(NO_TIMEOUT))
            fail_pull(replica, index, pull, now_ms, effects);
        else if (now_ms < pull->deadline_ms)
            note_time(effects, pull->deadline_ms);
        if (pull->active)
            return;
    }
    if (!feed->followed[tier] || !feed->fetchable || (feed->own && !feed->feed.recovering) ||
        (tier == TIER_HQ && BUG(HQ_TIER_NOT_FETCHED)))
        return;
    if (tier == TIER_HQ && feed->pull[TIER_FEDERATION].active &&
        (feed->pull[TIER_FEDERATION].tiers & TIERS_HQ))
        return;
    /* A damaged copy of a frozen feed can be mended once HQ has closed the epoch there. */
    if ((feed_frozen(&feed->feed, state->target.epoch) && !feed->own && !state->damaged) ||
        !(is_wanted(&state->target, feed, tier) || goes_back(feed, tier) ||
          is_replaced(feed, tier)))
        return;
    if (!choose_peer(replica, index, tier, &peer))
        return;
    if (now_ms < state->retry_at_ms) {
        note_time(effects, state->retry_at_ms);
        return;
    }
    if (replica->pulls >= PULLS_MAX)
        return; /* the end of one plans again */
    start_pull(replica, index, tier, peer, now_ms, effects);
    if (feed->pull[tier].active)
        note_time(effects, feed->pull[tier].deadline_ms);
}

static void plan(struct replica *replica, int64_t now_ms, struct replica_effects *effects)
{
    effects->next_ms = INT64_MAX;
    for (size_t i = 0; i < replica->feed_count; i++)
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            plan_tier(replica, (uint32_t)i, tier, now_ms, effects);
}

static void on_claim(struct replica *replica, const struct replica_input *input, int64_t now_ms)
{
    struct replica_feed *feed = replica->feeds[input->feed];

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        struct replica_claim *claim;
        struct replica_tier *state = &feed->tier[tier];

        if (!(input->tiers & (1u << tier)))
            continue;
        claim = &replica->peers[input->peer]->claim[input->feed][tier];
        *claim = (struct replica_claim){ input->epoch, input->seq };
        if (!replica_claim_newer(claim, &feed->feed.tier[tier]))
            continue;
        /* The event itself is probably on its way: give it the time that a gap is given. */
        if (!replica_claim_newer(&state->target, &feed->feed.tier[tier]) &&
            state->retry_at_ms < now_ms && feed->feed.tier[tier].seq != 0)
            state->retry_at_ms = now_ms + GAP_WAIT_MS + (int64_t)jitter(replica, GAP_WAIT_MS);
        raise_target(feed, tier, input->epoch, input->seq, now_ms);
    }
}

static void on_advanced(struct replica *replica, const struct replica_input *input,
                        int64_t now_ms)
{
    struct replica_feed *feed = replica->feeds[input->feed];

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        struct replica_tier *state = &feed->tier[tier];
        const struct feed_mark *mark = &feed->feed.tier[tier];

        if (!(input->tiers & (1u << tier)))
            continue;
        state->failures = 0;
        state->retry_at_ms = 0;
        state->snapshot = false;
        state->damaged = false;
        state->counted = false;
        state->mismatches = 0;
        state->behind_since_ms = 0;
        if (replica_claim_newer(&state->target, mark))
            state->behind_since_ms = now_ms;
        else
            state->target = (struct replica_claim){ mark->epoch, mark->seq };
    }
    /* Where the federation tier came by a relay, tier hq has something to fetch. */
    if (input->tiers & TIERS_FEDERATION)
        raise_proven(feed, TIER_HQ, feed->feed.tier[TIER_FEDERATION].epoch,
                     feed->feed.tier[TIER_FEDERATION].seq);
    if (input->tiers & TIERS_FEDERATION)
        raise_target(feed, TIER_HQ, feed->feed.tier[TIER_FEDERATION].epoch,
                     feed->feed.tier[TIER_FEDERATION].seq, now_ms);
}

static void on_mismatch(struct replica *replica, const struct replica_input *input,
                        int64_t now_ms, struct replica_effects *effects)
{
    struct replica_feed *feed = replica->feeds[input->feed];
    unsigned recount = 0;

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        struct replica_tier *state = &feed->tier[tier];

        if (!(input->tiers & (1u << tier)))
            continue;
        if (!has_mismatched(state, input->peer) && state->mismatches < MISMATCH_PEERS_MAX)
            state->mismatch_peer[state->mismatches++] = input->peer;
        /* Rows that were sound may be damaged since: after some failures count them anew. */
        if ((!state->counted || (input->answer && state->failures != 0 &&
                                 state->failures % RECOUNT_FAILURES == 0)) &&
            feed->feed.tier[tier].seq != 0)
            recount |= 1u << tier;
        /* What comes unasked marks its sender; it must not hold off what I ask for. */
        if (!input->answer)
            continue;
        /* Between epochs, and of what is fetched back, one mismatch says enough. */
        if (state->mismatches >= 2 || feed->own ||
            state->target.epoch > feed->feed.tier[tier].epoch ||
            strcmp(replica->peers[input->peer]->code, feed->feed.origin) == 0)
            state->snapshot = true;
        state->retry_at_ms = now_ms + backoff(replica, state->failures);
        if (state->failures < 16)
            state->failures++;
    }
    if (recount != 0 && !BUG(NO_RECOUNT))
        emit(effects, (struct replica_effect){
                          .kind = EFFECT_RECOUNT, .feed = input->feed, .tiers = recount });
}

static void on_recounted(struct replica *replica, const struct replica_input *input)
{
    struct replica_feed *feed = replica->feeds[input->feed];

    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        struct replica_tier *state = &feed->tier[tier];

        if (!(input->tiers & (1u << tier)))
            continue;
        state->counted = input->clean;
        state->damaged = !input->clean && !BUG(DAMAGE_IGNORED);
        if (state->damaged) {
            state->snapshot = true;
            state->mismatches = 0; /* it was me: who sent the list is not to blame */
            state->retry_at_ms = 0;
            if (state->target.seq == 0)
                state->target = (struct replica_claim){ feed->feed.tier[tier].epoch,
                                                        feed->feed.tier[tier].seq };
        }
    }
}

static void on_peer_down(struct replica *replica, const struct replica_input *input,
                         int64_t now_ms, struct replica_effects *effects)
{
    memset(replica->peers[input->peer]->claim, 0, sizeof replica->peers[input->peer]->claim);
    for (size_t i = 0; i < replica->feed_count; i++)
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
            struct replica_pull *pull = &replica->feeds[i]->pull[tier];

            if (pull->active && pull->peer == input->peer) {
                fail_pull(replica, (uint32_t)i, pull, now_ms, effects);
                /* Its going is no fault of the others: ask the next at once. */
                for (int t = 0; t < TIERS_PUBLISHED; t++)
                    replica->feeds[i]->tier[t].retry_at_ms = 0;
            }
            retarget(replica, (uint32_t)i, tier);
        }
}

void replica_step(struct replica *replica, const struct replica_input *input, int64_t now_ms,
                  struct replica_effects *out_effects)
{
    struct replica_pull *pull;
    uint32_t index;

    switch (input->kind) {
    case INPUT_GAP: /* its head was verified */
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            if (input->tiers & (1u << tier))
                raise_proven(replica->feeds[input->feed], tier, input->epoch, input->seq);
        on_claim(replica, input, now_ms);
        break;
    case INPUT_CLAIM:
        on_claim(replica, input, now_ms);
        break;
    case INPUT_HEARD:
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
            if (!(input->tiers & (1u << tier)))
                continue;
            raise_proven(replica->feeds[input->feed], tier, input->epoch, input->seq);
            raise_target(replica->feeds[input->feed], tier, input->epoch, input->seq, now_ms);
        }
        break;
    case INPUT_CHUNK:
        if ((pull = replica_pull_of(replica, input->request, &index)) != NULL) {
            pull->deadline_ms = now_ms + WANT_TIMEOUT_MS;
            pull->next_index++;
        }
        break;
    case INPUT_ADVANCED:
        on_advanced(replica, input, now_ms);
        break;
    case INPUT_ENDED:
        if ((pull = replica_pull_of(replica, input->request, &index)) != NULL)
            end_pull(replica, pull);
        break;
    case INPUT_FAILED:
        if ((pull = replica_pull_of(replica, input->request, &index)) != NULL)
            fail_pull(replica, index, pull, now_ms, out_effects);
        break;
    case INPUT_MISMATCH:
        on_mismatch(replica, input, now_ms, out_effects);
        break;
    case INPUT_RECOUNTED:
        on_recounted(replica, input);
        break;
    case INPUT_PEER_DOWN:
        on_peer_down(replica, input, now_ms, out_effects);
        break;
    case INPUT_TICK:
        plan(replica, now_ms, out_effects);
        break;
    }
}

bool replica_may_prove(const struct replica_feed *feed, enum tier tier, const struct head *head)
{
    return feed->tier[tier].counted && !feed->tier[tier].damaged &&
           feed->feed.tier[tier].epoch == head->epoch &&
           feed->feed.tier[tier].seq >= head->horizon;
}
