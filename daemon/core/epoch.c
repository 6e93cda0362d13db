/* SPDX-License-Identifier: MPL-2.0 */
/* epoch.c - who may sign an origin's feed, when HQ opens its next epoch, what is issued
 * again. */
#include "daemon/core/epoch.h"

#include <string.h>

const char *epoch_reason_name(enum epoch_reason reason)
{
    static const char *const names[EPOCH_REASON_COUNT] = {
        "sound", "copied", "behind", "forked", "diverged", "superseded", "forgotten",
    };

    return names[reason];
}

/* A roster that is older than what the node signed in is no judge of it. */
static bool is_mine(const struct epoch_own *own, const struct feed_term *term)
{
    return own->instance == 0 || term->instance == own->instance;
}

/* Were those heads of the epoch in force signed in another life of this directory? */
static bool was_begun(const struct epoch_own *own, const struct feed_term *term,
                      const struct feed_mark *mine, uint64_t proven_epoch)
{
    if (own->wanted != 0)
        return own->wanted == term->instance &&
               (proven_epoch >= term->epoch || mine->epoch >= term->epoch);
    return own->instance == 0 && mine->seq != 0 && mine->epoch >= term->epoch;
}

static bool is_named(const struct epoch_own *own, const struct feed_term *term)
{
    return own->wanted != 0 ? own->wanted == term->instance : is_mine(own, term);
}

/* HQ held nothing when it closed the epoch before: that takes the place of nothing that I have.
 * HQ closes at the head of whoever asks then. */
static bool was_closed_at_nothing(const struct epoch_own *own, const struct feed_term *term,
                                  const struct feed_mark *mine)
{
    return is_named(own, term) && term->closed_seq == 0 && mine->seq != 0 &&
           mine->epoch < term->epoch;
}

enum epoch_reason epoch_shaken(const struct epoch_own *own, const struct feed_term *term,
                               const struct feed *feed, uint64_t proven_epoch,
                               uint64_t proven_seq)
{
    const struct feed_mark *mine = &feed->tier[TIER_FEDERATION];

    if (was_begun(own, term, mine, proven_epoch))
        return EPOCH_BEHIND;
    if (was_closed_at_nothing(own, term, mine))
        return own->wanted != 0 ? own->reason : EPOCH_FORGOTTEN;
    if (own->wanted != 0)
        return EPOCH_SOUND;
    if (feed->freeze != FREEZE_NONE && feed->freeze_epoch >= term->epoch)
        return feed->freeze == FREEZE_FORKED ? EPOCH_FORKED : EPOCH_DIVERGED;
    if (term->epoch != 0 && term->epoch >= mine->epoch && !is_mine(own, term))
        return EPOCH_SUPERSEDED;
    if (term->epoch != 0 && term->epoch < mine->epoch)
        return EPOCH_FORGOTTEN;
    /* While it is fetched back, others do hold more. */
    if (mine->epoch < term->epoch && term->closed_seq != 0 && proven_epoch <= term->epoch &&
        proven_epoch != term->epoch)
        return EPOCH_SOUND;
    if (feed_compare(proven_epoch, proven_seq, mine->epoch, mine->seq) > 0)
        return EPOCH_BEHIND;
    return EPOCH_SOUND;
}

enum epoch_phase epoch_phase_of(const struct epoch_own *own, const struct feed_term *term,
                                const struct feed *feed)
{
    const struct feed_mark *mine = &feed->tier[TIER_FEDERATION];

    /* A roster that is not here yet, or knows less than the feed, lets nobody sign in an epoch
     * that is over. */
    if (own->wanted == 0 &&
        (term->epoch == mine->epoch || (term->epoch <= 1 && mine->epoch <= 1)))
        return EPOCH_SIGNING;
    if (!is_named(own, term) || term->epoch <= mine->epoch)
        return EPOCH_ASKING;
    if ((mine->seq == 0 && term->closed_seq == 0) ||
        feed_is_closed_head(term, mine->epoch, mine->seq, mine->hash))
        return EPOCH_BEGINNING;
    if (mine->seq >= term->closed_seq || feed->freeze != FREEZE_NONE || feed->replacing)
        return EPOCH_REPLACING;
    return EPOCH_FETCHING;
}

/* HQ waits only for what it may take: of the epoch in force, or of a former one and not beyond
 * or beside where it closed that. */
static bool is_taken(const struct epoch_request *request, const struct feed_term *term)
{
    return request->head_hash != NULL && request->head_epoch <= term->epoch &&
           !feed_is_closed_off(term, request->head_epoch, request->head_seq,
                               request->head_hash);
}

enum epoch_answer epoch_answer(const struct epoch_request *request,
                               const struct feed_term *term, const struct feed *feed)
{
    const struct feed_mark *held = &feed->tier[TIER_FEDERATION];

    if (request->instance == term->instance)
        return EPOCH_GRANTED;
    if (request->others != OTHERS_NONE)
        return request->others == OTHERS_ALIVE ? EPOCH_LOCKED_OUT : EPOCH_LATER;
    if (!feed_frozen(feed, term->epoch) && is_taken(request, term) &&
        feed_compare(request->head_epoch, request->head_seq, held->epoch, held->seq) > 0)
        return EPOCH_WAITS_FOR_HEAD;
    return EPOCH_GRANTED;
}

/* HQ's copy of a row that a chapter offered before has its tier hq besides. */
static bool is_higher(const struct epoch_surplus *surplus, const struct epoch_offered *offered)
{
    const int order = feed_compare(surplus->epoch, surplus->seq, offered->epoch, offered->seq);

    return order > 0 || (order == 0 && surplus->with_hq && !offered->with_hq);
}

enum epoch_verdict epoch_surplus(const struct epoch_surplus *surplus)
{
    const struct epoch_offered *offered = &surplus->offered;
    const bool was_offered = offered->epoch != 0;
    const bool in_epoch = surplus->held && surplus->held_seq >= surplus->first_seq;

    if (surplus->seq <= surplus->horizon)
        return SURPLUS_NONE; /* its removal may be forgotten: absence says nothing */
    if (surplus->held && surplus->seq <= surplus->held_seq &&
        surplus->held_seq <= surplus->closed_seq)
        return SURPLUS_NONE; /* a later version of the closed epoch is here */
    if (was_offered && !is_higher(surplus, offered))
        return SURPLUS_NONE;
    if (surplus->horizon >= surplus->first_seq)
        return SURPLUS_MANUAL;
    if (in_epoch && surplus->held_seq != offered->put_seq)
        return SURPLUS_NONE; /* its users changed it in this epoch */
    return surplus->same ? SURPLUS_NOTED : SURPLUS_ISSUE;
}
