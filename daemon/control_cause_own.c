/* SPDX-License-Identifier: MPL-2.0 */
/* control_cause_own.c - what is wrong with this node itself: its directory, its disk, its
 * connections, its clock. */
#include "daemon/control_cause.h"
#include "daemon/recovery.h"

#include <stdio.h>
#include <string.h>

#define CLOCK_AHEAD_S 300      /* less is nobody's trouble */
#define WALL_2024_S 1704067200 /* before that a clock was never set */

/* --- disk --------------------------------------------------------------------------------- */

bool by_full_disk(const struct subject *subject, struct finding *out)
{
    const struct node *node = subject->node;
    char span[SPAN_SIZE];

    if (node->full_since_ms == 0)
        return false;
    cause_remedy(out, "df -h %s   (free space, or raise store_size and restart the daemon)",
                 node->dir);
    return cause_is(out, CAUSE_FULL_DISK,
                    "this node's disk or store is full (last tried %s ago): nothing can be"
                    " written, neither here nor what others changed",
                    span_text(subject->now_ms - node->full_since_ms, span));
}

/* --- clock -------------------------------------------------------------------------------- */

/* How far the newest change of a feed lies ahead of this node's clock, by its origin's; 0 if it
 * does not, or has no time. */
static int64_t ahead_s(struct node *node, const struct node_feed *feed)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    struct store_txn *txn = node_reading(node);
    const uint64_t seq = feed->replica.feed.tier[TIER_FEDERATION].seq;
    const int64_t now_s = clock_wall_ms() / 1000;
    struct change change;
    uint64_t updated;

    if (txn == NULL || seq == 0 || feed->record.tier[TIER_FEDERATION].number == 0 ||
        store_cursor_open(txn, feed->record.tier[TIER_FEDERATION].number, TIERS_FEDERATION,
                          seq - 1, &cursor) != OK ||
        store_cursor_next(&cursor, &change) != OK ||
        !mp_map_get_uint(change.value[TIER_FEDERATION], "updated", &updated) ||
        updated > INT64_MAX)
        return 0;
    return (int64_t)updated - now_s > CLOCK_AHEAD_S ? (int64_t)updated - now_s : 0;
}

/* Others whose newest change lies ahead; *out_first is the first of them. */
static size_t count_ahead(struct node *node, const struct node_feed *but,
                          const struct node_feed **out_first)
{
    size_t count = 0;

    for (size_t i = 0; i < node->replica.feed_count; i++) {
        const struct node_feed *feed = node->feeds[i];

        if (feed == but || feed->replica.own || ahead_s(node, feed) == 0)
            continue;
        if (count++ == 0)
            *out_first = feed;
    }
    return count;
}

bool by_clock(const struct subject *subject, struct finding *out)
{
    const int64_t ahead = ahead_s(subject->node, subject->feed);
    const struct node_feed *other = NULL;
    char span[SPAN_SIZE];

    if (ahead == 0)
        return false;
    (void)cause_is(out, CAUSE_CLOCK,
                   "the newest change of %s bears a time that is still %s ahead here",
                   subject->code, span_text(ahead * 1000, span));
    if (count_ahead(subject->node, subject->feed, &other) > 0) {
        cause_remedy(out, "timedatectl   (this machine's clock; then chapterctl explain %s)",
                     subject->node->code);
        cause_adds(out, ", and so does that of %s: it is this node's clock that is wrong",
                   other->replica.feed.origin);
    } else {
        cause_remedy(out, "at %s: timedatectl   (if it is right there, then here)",
                     subject->code);
        cause_adds(out, ": one of the two clocks is wrong");
    }
    cause_adds(out, ". Nothing is lost by it; times are shown wrong");
    return true;
}

static bool by_own_clock(const struct subject *subject, struct finding *out)
{
    const struct node_feed *other = NULL;
    const bool never_set = clock_wall_ms() / 1000 < WALL_2024_S;
    const size_t count = count_ahead(subject->node, subject->feed, &other);
    char span[SPAN_SIZE];

    if (!never_set && (count == 0 || (count == 1 && subject->node->replica.feed_count > 2)))
        return false;
    cause_remedy(out, "timedatectl   (then set the clock: timedatectl set-ntp true)");
    if (never_set)
        return cause_is(out, CAUSE_CLOCK, "this machine's clock was never set");
    return cause_is(out, CAUSE_CLOCK,
                    "changes of %s and others bear times that are still ahead here, by %s:"
                    " this machine's clock is wrong. Nothing is lost by it; new changes bear"
                    " wrong times",
                    other->replica.feed.origin,
                    span_text(ahead_s(subject->node, other) * 1000, span));
}

/* --- connections -------------------------------------------------------------------------- */

static size_t count_links(const struct node *node, const struct link **out_dialled)
{
    size_t count = 0;

    for (size_t i = 0; i < node->link_count; i++) {
        const struct link *link = &node->links[i];

        if (!link->dialled)
            continue;
        if (count++ == 0 ||
            (link->peer != NO_PEER && strcmp(node->peers[link->peer]->code, "hq") == 0))
            *out_dialled = link;
    }
    return count;
}

static int64_t alone_since(const struct node *node)
{
    int64_t since_ms = node->started_ms;

    for (size_t i = 0; i < node->replica.peer_count; i++)
        if (node->contacts[i].changed_ms > since_ms)
            since_ms = node->contacts[i].changed_ms;
    return since_ms;
}

void cause_alone(const struct node *node, struct finding *out)
{
    const struct link *dialled = NULL;
    const size_t count = count_links(node, &dialled);
    char span[SPAN_SIZE];

    (void)cause_is(out, CAUSE_ALONE, "this node has had no connection to anybody for %s",
                   span_text(node_now(node) - alone_since(node), span));
    if (dialled != NULL) {
        cause_adds(out, ": none of the %zu that it dials answers", count);
        cause_remedy(out,
                     "ping -c 3 %.*s   (no answer: this machine's network; an answer:"
                     " a firewall, or that daemon is down)",
                     (int)strcspn(dialled->address, ":"), dialled->address);
    } else {
        cause_adds(out, ": no chapter dials it");
        cause_remedy(out, "chapterctl config show   (can its address be reached from outside?"
                          " router, firewall)");
    }
}

static bool by_own_loneliness(const struct subject *subject, struct finding *out)
{
    if (control_anybody_up(subject->node) ||
        (subject->node->is_hq && subject->node->roster_count <= 1))
        return false;
    cause_alone(subject->node, out);
    cause_adds(out, ". Edits are kept, and leave as soon as somebody is reached");
    return true;
}

static bool by_own_refusal(const struct subject *subject, struct finding *out)
{
    const struct node *node = subject->node;
    struct direct_path hq;
    char span[SPAN_SIZE];

    path_direct(node, "hq", &hq);
    if (hq.dialled == NULL || !hq.dialled->denied)
        return false;
    cause_remedy(out,
                 "at hq: chapterctl chapters show %s   (is it suspended, or joined anew"
                 " elsewhere?)",
                 node->code);
    return cause_is(out, CAUSE_REFUSED,
                    "HQ at %s answers, but has refused this node's key"
                    " for %s",
                    hq.dialled->address,
                    span_text(node_now(node) - hq.dialled->since_ms, span));
}

static bool by_own_hq_away(const struct subject *subject, struct finding *out)
{
    const struct node *node = subject->node;
    struct direct_path hq;
    char span[SPAN_SIZE];

    path_direct(node, "hq", &hq);
    if (node->is_hq || hq.lost_ms == 0)
        return false;
    cause_remedy(out, "chapterctl explain hq");
    return cause_is(out, CAUSE_HQ_AWAY,
                    "HQ has not answered for %s. Edits made here still reach the chapters; HQ"
                    " gets them when it is back",
                    span_text(node_now(node) - hq.lost_ms, span));
}

/* --- the own feed ------------------------------------------------------------------------- */

static bool by_lock_out(const struct subject *subject, struct finding *out)
{
    const char *error;
    const char *remedy;

    if (!subject->node->locked_out)
        return false;
    epoch_explain(subject->node, &error, &remedy);
    cause_remedy(out, "%s", remedy);
    return cause_is(out, CAUSE_QUARANTINED, "%s: what was written here reaches it over HQ",
                    error);
}

static bool by_own_freeze(const struct subject *subject, struct finding *out)
{
    const char *error;
    const char *remedy;

    if (!feed_frozen(&subject->feed->replica.feed, subject->mine->epoch))
        return false;
    epoch_explain(subject->node, &error, &remedy);
    cause_remedy(out, "%s", remedy);
    if (subject->feed->replica.feed.freeze == FREEZE_FORKED)
        return cause_is(out, CAUSE_FORKED,
                        "two daemons signed with the key of %s, which happens when a"
                        " directory was copied and both run: its feed is frozen everywhere at"
                        " change %llu, the proof is kept; it goes on in a new epoch, which HQ"
                        " opens for one of the two",
                        subject->code, (unsigned long long)subject->mine->seq);
    return cause_is(out, CAUSE_DIVERGED,
                    "the feed of %s contradicts itself: it is frozen, and goes on in a new"
                    " epoch, which HQ opens",
                    subject->code);
}

static bool by_recovery(const struct subject *subject, struct finding *out)
{
    const struct node *node = subject->node;
    const char *error;
    const char *remedy;

    if (!node->recovering)
        return false;
    epoch_explain(node, &error, &remedy);
    cause_remedy(out, "%s", remedy);
    (void)cause_is(out, CAUSE_RECOVERING, "%s. Changes up to %llu are here", error,
                   (unsigned long long)subject->mine->seq);
    if (node->recovering_seq > subject->mine->seq)
        cause_adds(out, ", other nodes hold change %llu of %s",
                   (unsigned long long)node->recovering_seq, node->code);
    if (node->phase != EPOCH_ASKING && subject->place != NULL)
        cause_adds(out, ". HQ has opened epoch %llu: it begins when change %llu is here",
                   (unsigned long long)subject->place->entry.epoch,
                   (unsigned long long)subject->place->entry.closed_seq);
    if (epoch_waits(subject->node, &error, &remedy)) {
        cause_remedy(out, "%s", remedy);
        cause_adds(out, ". It waits: %s", error);
    }
    return true;
}

static bool by_own_surplus(const struct subject *subject, struct finding *out)
{
    if (!surplus_waits(subject->node))
        return false;
    cause_remedy(out, "chapterctl surplus list   (then surplus adopt ID, or discard ID)");
    return cause_is(
        out, CAUSE_SURPLUS,
        "a state of %s from before a recovery has members that are not here, or"
        " otherwise: erased or changed since, or never told to anybody. They wait for"
        " your decision; all else goes on",
        subject->code);
}

static bool by_own_place(const struct subject *subject, struct finding *out)
{
    if (subject->place == NULL || subject->place->entry.state == CHAPTER_ENROLLED)
        return false;
    cause_remedy(out, "at hq: chapterctl chapters show %s", subject->code);
    return cause_is(
        out, subject->place->entry.state == CHAPTER_REVOKED ? CAUSE_REVOKED : CAUSE_QUARANTINED,
        "HQ has %s this chapter: its members stay readable here, nothing of it is"
        " taken elsewhere",
        subject->place->entry.state == CHAPTER_REVOKED ? "revoked" : "suspended");
}

/* Connected peers, and those of them that say they have this node's newest change. */
static bool by_own_nothing(const struct subject *subject, struct finding *out)
{
    const struct node *node = subject->node;
    size_t connected = 0;
    size_t holding = 0;

    for (size_t i = 0; i < node->replica.peer_count; i++) {
        const struct replica_claim *claim =
            &node->peers[i]->claim[subject->index][TIER_FEDERATION];

        if (!node->peers[i]->up)
            continue;
        connected++;
        holding += feed_compare(claim->epoch, claim->seq, subject->mine->epoch,
                                subject->mine->seq) >= 0;
    }
    return cause_is(out, CAUSE_NONE,
                    "all is well: this is %s itself; other nodes connected: %zu, with its"
                    " newest change: %zu",
                    subject->code, connected, holding);
}

void cause_of_own(const struct subject *subject, struct finding *out)
{
    static cause_question *const questions[] = {
        by_lock_out,  by_own_freeze,  by_recovery,       by_own_place,
        by_full_disk, by_own_refusal, by_own_loneliness, by_own_hq_away,
        by_own_clock, by_own_surplus, by_own_nothing
    };
    size_t i = 0;

    while (!questions[i](subject, out))
        i++;
}
