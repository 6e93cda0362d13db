/* SPDX-License-Identifier: MPL-2.0 */
/* freshness.c - is a feed current?  By its own beats, and HQ's that they echo. */
#include <string.h>

#include "daemon/core/replica.h"
#include "proto/bug.h"

const char *feed_state_name(enum feed_state state)
{
    static const char *const names[] = { "current", "behind", "stale", "forked", "revoked" };

    return names[state];
}

void hq_beats_note(struct hq_beats *beats, uint64_t boot, uint64_t counter, int64_t now_ms)
{
    if (hq_beats_age(beats, boot, counter, now_ms) >= 0)
        return; /* heard before: a repetition makes it no younger */
    beats->list[beats->next].boot = boot;
    beats->list[beats->next].counter = counter;
    beats->list[beats->next].at_ms = now_ms;
    beats->next = (beats->next + 1) % HQ_BEATS_KEPT;
    if (beats->count < HQ_BEATS_KEPT)
        beats->count++;
}

int64_t hq_beats_age(const struct hq_beats *beats, uint64_t boot, uint64_t counter,
                     int64_t now_ms)
{
    for (size_t i = 0; i < beats->count; i++)
        if (beats->list[i].boot == boot && beats->list[i].counter == counter)
            return now_ms - beats->list[i].at_ms;
    return -1;
}

/* Of the newest beat of that start which was heard and is not newer: whoever echoes a later one
 * has lived since, though that one was lost on its way here. */
static int64_t age_at_most(const struct hq_beats *beats, uint64_t boot, uint64_t counter,
                           int64_t now_ms)
{
    int64_t age = -1;

    for (size_t i = 0; i < beats->count; i++)
        if (beats->list[i].boot == boot && beats->list[i].counter <= counter &&
            (age < 0 || now_ms - beats->list[i].at_ms < age))
            age = now_ms - beats->list[i].at_ms;
    return age;
}

bool hq_beats_heard(const struct hq_beats *beats, int64_t now_ms)
{
    for (size_t i = 0; i < beats->count; i++)
        if (now_ms - beats->list[i].at_ms < BEAT_FRESH_MS)
            return true;
    return false;
}

static int64_t fresh_left(int64_t age_ms)
{
    return age_ms >= 0 && age_ms < BEAT_FRESH_MS ? BEAT_FRESH_MS - age_ms : 0;
}

int64_t replica_feed_fresh_ms(const struct replica_feed *feed, const struct hq_beats *beats,
                              bool is_hq, int64_t now_ms, bool *out_proven)
{
    const int64_t arrived = feed->beat.boot != 0 ? fresh_left(now_ms - feed->beat_at_ms) : 0;
    /* HQ knows which ones it sent. */
    const int64_t echoed = fresh_left((is_hq ? hq_beats_age : age_at_most)(
        beats, feed->beat.hq_boot, feed->beat.hq_counter, now_ms));

    *out_proven = true;
    if (strcmp(feed->feed.origin, "hq") == 0)
        return arrived;
    if (feed->beat.boot != 0 && echoed != 0)
        return echoed;
    *out_proven = false;
    return !is_hq && !hq_beats_heard(beats, now_ms) ? arrived : 0;
}

enum feed_state replica_feed_state(const struct replica_feed *feed,
                                   const struct hq_beats *beats, bool is_hq, int64_t now_ms)
{
    const struct feed_mark *mine = &feed->feed.tier[TIER_FEDERATION];
    bool proven;

    if (feed_frozen(&feed->feed, mine->epoch))
        return STATE_FORKED;
    if (feed->own)
        return STATE_CURRENT;
    if (feed->ended && replica_end_missed(feed, TIER_FEDERATION))
        return STATE_BEHIND;
    if (feed->ended && !feed->revoked)
        return STATE_STALE; /* suspended: nothing of it is taken, for now */
    if (feed->ended || !feed->fetchable)
        return STATE_REVOKED;
    /* Only what is signed counts: a peer's claim is no proof that there is more. */
    if (replica_claim_newer(&feed->tier[TIER_FEDERATION].proven, mine))
        return STATE_BEHIND;
    if (feed->beat.boot == 0)
        return STATE_STALE;
    if (feed_compare(feed->beat.epoch, feed->beat.seq, mine->epoch, mine->seq) > 0)
        return STATE_BEHIND;
    /* While HQ is away by arrival alone: status says so. */
    if (replica_feed_fresh_ms(feed, beats, is_hq, now_ms, &proven) > 0)
        return STATE_CURRENT;
    return BUG(STALE_SHOWN_CURRENT) ? STATE_CURRENT : STATE_STALE;
}
