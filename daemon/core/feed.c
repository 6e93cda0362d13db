/* SPDX-License-Identifier: MPL-2.0 */
/* feed.c - which heads were accepted, and what a further head is to them. */
#include "daemon/core/feed.h"

#include <string.h>

#include "proto/bug.h"

void feed_init(struct feed *feed, const char *origin)
{
    memset(feed, 0, sizeof *feed);
    ASSERT(strlen(origin) < CODE_SIZE);
    memcpy(feed->origin, origin, strlen(origin));
}

void feed_mark_of(const struct head *head, struct feed_mark *out_mark)
{
    memset(out_mark, 0, sizeof *out_mark);
    out_mark->epoch = head->epoch;
    out_mark->seq = head->seq;
    out_mark->prev_seq = head->prev_seq;
    out_mark->horizon = head->horizon;
    memcpy(out_mark->hash, head->hash, HASH_SIZE);
    memcpy(out_mark->prev_hash, head->prev_hash, HASH_SIZE);
}

int feed_compare(uint64_t epoch_a, uint64_t seq_a, uint64_t epoch_b, uint64_t seq_b)
{
    if (epoch_a != epoch_b)
        return epoch_a < epoch_b ? -1 : 1;
    if (seq_a != seq_b)
        return seq_a < seq_b ? -1 : 1;
    return 0;
}

static bool marks_conflict(const struct feed_mark *a, const struct feed_mark *b)
{
    if (a->epoch != b->epoch || memcmp(a->hash, b->hash, HASH_SIZE) == 0)
        return false;
    if (a->prev_seq < b->seq && b->prev_seq < a->seq)
        return true;
    if (a->seq == b->prev_seq && memcmp(a->hash, b->prev_hash, HASH_SIZE) != 0)
        return true;
    return b->seq == a->prev_seq && memcmp(b->hash, a->prev_hash, HASH_SIZE) != 0;
}

const struct feed_mark *feed_conflict(const struct feed *feed, const struct head *head)
{
    struct feed_mark mark;

    if (BUG(FORK_NOT_SEEN))
        return NULL;
    feed_mark_of(head, &mark);
    for (size_t i = 0; i < feed->head_count; i++)
        if (marks_conflict(&feed->heads[i], &mark))
            return &feed->heads[i];
    return NULL;
}

const struct feed_mark *feed_beat_conflict(const struct feed *feed, const struct beat *beat)
{
    return feed_contradicts(feed, beat->epoch, beat->seq, beat->head_hash);
}

const struct feed_mark *feed_contradicts(const struct feed *feed, uint64_t epoch, uint64_t seq,
                                         const uint8_t hash[HASH_SIZE])
{
    for (size_t i = 0; i < feed->head_count; i++) {
        const struct feed_mark *mark = &feed->heads[i];

        if (mark->epoch != epoch)
            continue;
        if (mark->seq == seq && memcmp(mark->hash, hash, HASH_SIZE) != 0)
            return mark;
        if (mark->prev_seq < seq && seq < mark->seq)
            return mark;
    }
    return NULL;
}

bool feed_frozen(const struct feed *feed, uint64_t epoch)
{
    return feed->freeze != FREEZE_NONE && epoch <= feed->freeze_epoch && !BUG(FROZEN_TAKEN);
}

bool feed_remembers(const struct feed *feed, const struct head *head)
{
    for (size_t i = 0; i < feed->head_count; i++)
        if (feed->heads[i].epoch == head->epoch && feed->heads[i].seq == head->seq &&
            memcmp(feed->heads[i].hash, head->hash, HASH_SIZE) == 0)
            return true;
    return false;
}

bool feed_is_closed_head(const struct feed_term *term, uint64_t epoch, uint64_t seq,
                         const uint8_t hash[HASH_SIZE])
{
    return epoch < term->epoch && seq == term->closed_seq && seq != 0 &&
           memcmp(hash, term->closed_hash, HASH_SIZE) == 0;
}

bool feed_is_closed_off(const struct feed_term *term, uint64_t epoch, uint64_t seq,
                        const uint8_t hash[HASH_SIZE])
{
    return epoch < term->epoch && !BUG(CLOSED_TAKEN) &&
           (seq > term->closed_seq ||
            (seq == term->closed_seq && memcmp(hash, term->closed_hash, HASH_SIZE) != 0));
}

bool feed_on_line(const struct feed *feed, const struct feed_mark *mark,
                  const struct feed_term *term)
{
    if (mark->seq == 0)
        return true;
    if (mark->epoch + 1 != term->epoch)
        return false;
    return feed_is_closed_head(term, mark->epoch, mark->seq, mark->hash) ||
           (mark->seq < term->closed_seq && !feed_frozen(feed, mark->epoch));
}

bool feed_leaps(const struct feed_mark *mark, const struct feed_term *term, uint64_t seq)
{
    const uint64_t from = mark->seq > term->closed_seq ? mark->seq : term->closed_seq;

    return from != 0 && seq > from && seq - from > SEQ_LEAP_MAX;
}

bool feed_epoch_leaps(const struct feed_mark *mark, const struct feed_term *term,
                      uint64_t epoch)
{
    const uint64_t from = mark->epoch > term->epoch ? mark->epoch : term->epoch;

    return epoch > from && epoch - from > EPOCH_LEAP_MAX;
}

/* HQ closes each tier where it stands: its own tier hq an origin takes back from beyond the
 * closed head, too, though it is part of no state then. */
static bool is_taken_back(const struct feed *feed, enum tier tier, const struct feed_term *term,
                          const struct head *head)
{
    return tier == TIER_HQ && feed->recovering && head->seq > term->closed_seq;
}

/* From an epoch to the next one a delta may lead; from a longer way back only the whole. */
static bool crosses(const struct feed *feed, const struct feed_mark *mine,
                    const struct feed_term *term, const struct head *head)
{
    return head->epoch == term->epoch && feed_on_line(feed, mine, term);
}

enum feed_verdict feed_judge(const struct feed *feed, enum tier tier,
                             const struct feed_term *term, const struct head *head,
                             uint64_t since, const struct feed_mark **out_other)
{
    const struct feed_mark *mine = &feed->tier[tier];
    const struct feed_mark *other;

    if (head->epoch > term->epoch ||
        (head->epoch == term->epoch && head->instance != term->instance))
        return FEED_LATER_EPOCH;
    if (feed_is_closed_off(term, head->epoch, head->seq, head->hash) &&
        !is_taken_back(feed, tier, term, head))
        return FEED_CLOSED_EPOCH;
    if (term->ended && !BUG(ENDED_TAKEN) &&
        feed_compare(head->epoch, head->seq, term->until_epoch, term->until_seq) > 0)
        return FEED_ENDED;
    if (feed->replacing && tier == TIER_FEDERATION)
        return feed_is_closed_head(term, head->epoch, head->seq, head->hash)
                   ? FEED_SNAPSHOT
                   : FEED_CLOSED_EPOCH;
    if (feed_frozen(feed, head->epoch) && !(feed->recovering && head->epoch < term->epoch) &&
        !(memcmp(head->hash, mine->hash, HASH_SIZE) == 0 &&
          feed_is_closed_head(term, head->epoch, head->seq, head->hash)))
        return FEED_FROZEN;
    /* Heads of a closed epoch are evidence only: they freeze nothing. */
    if (head->epoch == term->epoch && (other = feed_conflict(feed, head)) != NULL) {
        *out_other = other;
        return FEED_FORK;
    }
    if (feed_is_beyond(term, mine) && head->epoch == term->until_epoch &&
        head->seq == term->until_seq)
        return FEED_SNAPSHOT;
    if (feed_compare(head->epoch, head->seq, mine->epoch, mine->seq) <= 0 &&
        !BUG(LOWER_HEAD_TAKEN))
        return FEED_KNOWN;
    if (feed_leaps(mine, term, head->seq))
        return FEED_LEAPS;
    if (mine->seq != 0 && head->epoch != mine->epoch && !crosses(feed, mine, term, head))
        return FEED_SNAPSHOT;
    if (since > mine->seq)
        return FEED_GAP;
    if (mine->seq != 0 && head->horizon > mine->seq)
        return FEED_SNAPSHOT;
    return FEED_EXTENDS;
}

void feed_remember(struct feed *feed, const struct feed_mark *mark)
{
    for (size_t i = 0; i < feed->head_count; i++)
        if (feed->heads[i].epoch == mark->epoch &&
            memcmp(feed->heads[i].hash, mark->hash, HASH_SIZE) == 0)
            return;
    feed->heads[feed->head_next] = *mark;
    feed->head_next = (feed->head_next + 1) % HEADS_KEPT;
    if (feed->head_count < HEADS_KEPT)
        feed->head_count++;
}

bool feed_is_beyond(const struct feed_term *term, const struct feed_mark *mark)
{
    return term->ended && term->revoked && term->until_seq != 0 &&
           feed_compare(mark->epoch, mark->seq, term->until_epoch, term->until_seq) > 0;
}

void feed_go_back(struct feed *feed, unsigned tiers)
{
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        if (tiers & (1u << tier))
            memset(&feed->tier[tier], 0, sizeof feed->tier[tier]);
}

void feed_advance(struct feed *feed, unsigned tiers, const struct head *head)
{
    struct feed_mark mark;

    feed_mark_of(head, &mark);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        if (!(tiers & (1u << tier)))
            continue;
        ASSERT(feed_compare(mark.epoch, mark.seq, feed->tier[tier].epoch,
                            feed->tier[tier].seq) >= 0);
        feed->tier[tier] = mark;
    }
    if (tiers & TIERS_FEDERATION)
        feed->replacing = false;
    if (feed->freeze != FREEZE_NONE && mark.epoch > feed->freeze_epoch)
        feed->freeze = FREEZE_NONE;
    feed_remember(feed, &mark);
}
