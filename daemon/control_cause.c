/* SPDX-License-Identifier: MPL-2.0 */
/* control_cause.c - why another chapter's feed is as it is here: questions in order, the first
 * that is answered with yes is the cause.  What concerns this node's own: control_cause_own.c.
 */
#include "daemon/control_cause.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- words -------------------------------------------------------------------------------- */

const char *span_text(int64_t ms, char out[SPAN_SIZE])
{
    static const struct {
        int64_t below, unit;
        const char *name;
    } spans[] = { { 120, 1, "s" }, { 7200, 60, "min" }, { 172800, 3600, "h" } };
    const int64_t seconds = ms > 0 ? ms / 1000 : 0;
    int64_t unit = 86400;
    const char *name = "days";

    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++)
        if (seconds < spans[i].below) {
            unit = spans[i].unit;
            name = spans[i].name;
            break;
        }
    (void)snprintf(out, SPAN_SIZE, "%lld %s", (long long)(seconds / unit), name);
    return out;
}

/* Appends; what does not fit is left out, but never half a character. */
__attribute__((format(printf, 2, 0))) static void append(char text[EXPLAIN_TEXT_SIZE],
                                                         const char *format, va_list arguments)
{
    const size_t used = strlen(text);
    char piece[EXPLAIN_TEXT_SIZE];

    (void)vsnprintf(piece, sizeof piece, format, arguments);
    if (used + strlen(piece) < EXPLAIN_TEXT_SIZE)
        memcpy(text + used, piece, strlen(piece) + 1);
}

bool cause_is(struct finding *out, enum cause cause, const char *format, ...)
{
    va_list arguments;

    out->cause = cause;
    va_start(arguments, format);
    append(out->text, format, arguments);
    va_end(arguments);
    return true;
}

void cause_adds(struct finding *out, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    append(out->text, format, arguments);
    va_end(arguments);
}

void cause_remedy(struct finding *out, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    append(out->remedy, format, arguments);
    va_end(arguments);
}

static void remedy_there(const struct subject *subject, struct finding *out)
{
    cause_remedy(out, "at %s: chapterctl status   (no answer: chapterd run --dir DIR)",
                 subject->code);
}

/* --- whatever is connected ---------------------------------------------------------------- */

/* Where a command is to be typed that is HQ's alone. */
static const char *at_hq(const struct subject *subject)
{
    return subject->node->is_hq ? "" : "at hq: ";
}

static bool by_roster(const struct subject *subject, struct finding *out)
{
    if (subject->place == NULL || subject->place->entry.state == CHAPTER_ENROLLED)
        return false;
    if (subject->place->entry.state == CHAPTER_REVOKED)
        cause_remedy(out, "%schapterctl chapters show %s", at_hq(subject), subject->code);
    else
        cause_remedy(out, "%schapterctl chapters resume %s", at_hq(subject), subject->code);
    if (subject->place->entry.state == CHAPTER_REVOKED)
        return cause_is(out, CAUSE_REVOKED,
                        "HQ has revoked %s: nothing is taken from it any more", subject->code);
    return cause_is(out, CAUSE_QUARANTINED,
                    "HQ has suspended %s: nothing is taken from it until HQ lets it in again",
                    subject->code);
}

static bool by_freeze(const struct subject *subject, struct finding *out)
{
    const uint64_t seq = subject->mine->seq;

    if (!feed_frozen(&subject->feed->replica.feed, subject->mine->epoch))
        return false;
    cause_remedy(out,
                 "at %s: stop one of the two daemons   (HQ opens a new epoch for it by itself)",
                 subject->code);
    if (subject->feed->replica.feed.freeze == FREEZE_FORKED)
        return cause_is(out, CAUSE_FORKED,
                        "two daemons signed with the key of %s, which happens when its"
                        " directory was copied and both run: its feed stays as it was at"
                        " change %llu, the proof is kept, all other chapters go on",
                        subject->code, (unsigned long long)seq);
    return cause_is(out, CAUSE_DIVERGED,
                    "%s signed a state that does not follow from its former one: its feed"
                    " stays as it was at change %llu, all other chapters go on",
                    subject->code, (unsigned long long)seq);
}

/* HQ has opened an epoch of which nothing was signed yet. */
static bool by_new_epoch(const struct subject *subject, struct finding *out)
{
    if (subject->place == NULL || subject->mine->seq == 0 ||
        subject->place->entry.epoch <= subject->mine->epoch)
        return false;
    cause_remedy(out, "at %s: chapterctl status   (it fetches its feed back)", subject->code);
    return cause_is(out, CAUSE_RECOVERING,
                    "the directory of %s was restored, copied or lost: HQ closed its epoch at"
                    " change %llu and opened the next, in which it has signed nothing yet",
                    subject->code, (unsigned long long)subject->place->entry.closed_seq);
}

static bool by_quota(const struct subject *subject, struct finding *out)
{
    if (!subject->feed->over_quota || subject->place == NULL)
        return false;
    cause_remedy(out,
                 "%schapterctl chapters edit %s --records-max N --bytes-max SIZE   (or %s"
                 " removes records)",
                 at_hq(subject), subject->code, subject->code);
    return cause_is(
        out, CAUSE_OVER_LIMIT,
        "%s is larger than the roster allows (%llu records, %llu bytes): it is paused"
        " at change %llu, so that it cannot fill the others' disks",
        subject->code, (unsigned long long)subject->place->entry.records_max,
        (unsigned long long)subject->place->entry.bytes_max,
        (unsigned long long)subject->mine->seq);
}

static bool by_damage(const struct subject *subject, struct finding *out)
{
    if (!subject->feed->replica.tier[TIER_FEDERATION].damaged &&
        !subject->feed->replica.tier[TIER_HQ].damaged)
        return false;
    cause_remedy(out, "chapterctl verify --deep   (and check this machine's disk)");
    return cause_is(out, CAUSE_DAMAGED,
                    "this node's copy of %s is damaged: it is fetched again by itself",
                    subject->code);
}

/* --- connections -------------------------------------------------------------------------- */

static bool by_refusal(const struct subject *subject, struct finding *out)
{
    const struct link *link = subject->direct.dialled;
    char span[SPAN_SIZE];

    if (link == NULL || link->up || !link->denied)
        return false;
    if (strcmp(subject->code, "hq") == 0)
        cause_remedy(out,
                     "at hq: chapterctl chapters show %s   (is it suspended, or joined"
                     " anew elsewhere?)",
                     subject->node->code);
    else
        cause_remedy(out, "at %s: chapterctl explain hq   (it lacks HQ's newest roster)",
                     subject->code);
    return cause_is(out, CAUSE_REFUSED,
                    "the node of %s at %s answers, but has refused this node's key for %s",
                    subject->code, link->address,
                    span_text(subject->now_ms - link->since_ms, span));
}

static size_t dialled_count(const struct node *node)
{
    size_t count = 0;

    for (size_t i = 0; i < node->link_count; i++)
        count += node->links[i].dialled;
    return count;
}

/* With one node to hear from, that one is gone as likely as this one is cut off. */
static bool by_loneliness(const struct subject *subject, struct finding *out)
{
    const struct node *node = subject->node;

    if (control_anybody_up(node) ||
        (subject->direct.dialled != NULL && dialled_count(node) == 1) ||
        (node->is_hq && node->roster_count <= 2))
        return false;
    cause_alone(node, out);
    cause_adds(out, ". What it shows of %s is as of then", subject->code);
    return true;
}

/* --- changes ------------------------------------------------------------------------------ */

/* A connected peer that says it holds more of the feed than this node does. */
static const char *who_has_more(const struct subject *subject)
{
    const struct node *node = subject->node;

    for (size_t i = 0; i < node->replica.peer_count; i++) {
        const struct replica_claim *claim =
            &node->peers[i]->claim[subject->index][TIER_FEDERATION];

        if (node->peers[i]->up && feed_compare(claim->epoch, claim->seq, subject->mine->epoch,
                                               subject->mine->seq) > 0)
            return node->peers[i]->code;
    }
    return NULL;
}

static void add_missing(const struct subject *subject, struct finding *out)
{
    const struct replica_tier *tier = &subject->feed->replica.tier[TIER_FEDERATION];
    char span[SPAN_SIZE];

    if (tier->target.epoch == subject->mine->epoch && tier->target.seq > subject->mine->seq)
        (void)cause_is(out, CAUSE_BEHIND, "%s has %llu changes that are not here yet",
                       subject->code,
                       (unsigned long long)(tier->target.seq - subject->mine->seq));
    else
        (void)cause_is(out, CAUSE_BEHIND, "%s has changes that are not here yet",
                       subject->code);
    if (tier->behind_since_ms != 0)
        cause_adds(out, ", for %s", span_text(subject->now_ms - tier->behind_since_ms, span));
}

static bool by_lag(const struct subject *subject, struct finding *out)
{
    const struct replica_pull *pull = &subject->feed->replica.pull[TIER_FEDERATION];
    const char *holder = who_has_more(subject);

    if (subject->state != STATE_BEHIND)
        return false;
    add_missing(subject, out);
    if (pull->active || subject->feed->building) {
        cause_remedy(out, "chapterctl wait --chapter %s", subject->code);
        cause_adds(out, ": they are being fetched from %s",
                   pull->active ? subject->node->peers[pull->peer]->code : "another node");
    } else if (holder != NULL) {
        cause_remedy(out, "chapterctl wait --chapter %s", subject->code);
        cause_adds(out, ": %s has them, and is asked again in a moment", holder);
    } else {
        remedy_there(subject, out);
        cause_adds(out,
                   ": no node that is connected now has them; they come as soon as %s, or"
                   " another one that has them, can be reached",
                   subject->code);
    }
    return true;
}

/* At HQ: a relay hands on the federation tier alone. */
static bool by_hq_tier(const struct subject *subject, struct finding *out)
{
    const struct feed_mark *mine = &subject->feed->replica.feed.tier[TIER_HQ];

    if (!subject->node->is_hq ||
        feed_compare(mine->epoch, mine->seq, subject->mine->epoch, subject->mine->seq) >= 0)
        return false;
    remedy_there(subject, out);
    return cause_is(
        out, CAUSE_BEHIND,
        "the newest changes of %s came over others, who see neither names nor"
        " e-mail addresses: those, from change %llu on, come over its own link alone",
        subject->code, (unsigned long long)mine->seq + 1);
}

/* --- silence ------------------------------------------------------------------------------ */

static bool by_never(const struct subject *subject, struct finding *out)
{
    if (subject->mine->seq != 0 || subject->heard_ms != 0)
        return false;
    cause_remedy(out, "at %s: chapterd run --dir DIR", subject->code);
    return cause_is(out, CAUSE_NEVER_MET,
                    "%s has joined, but nothing of it was ever here: its daemon has not run"
                    " yet, or has reached nobody",
                    subject->code);
}

static bool by_start(const struct subject *subject, struct finding *out)
{
    const int64_t up_ms = subject->now_ms - subject->node->started_ms;
    char up[SPAN_SIZE];
    char most[SPAN_SIZE];

    if (subject->heard_ms != 0 || up_ms > BEAT_QUIET_MS ||
        (subject->direct.lost_ms != 0 && subject->now_ms - subject->direct.lost_ms > 2000))
        return false;
    cause_remedy(out, "chapterctl wait --chapter %s", subject->code);
    return cause_is(out, CAUSE_STARTING,
                    "this daemon started %s ago and has not heard of %s yet; one that runs is"
                    " heard within %s",
                    span_text(up_ms, up), subject->code, span_text(BEAT_INTERVAL_MS, most));
}

/* From when on nobody hears it; 0 if that cannot be said. */
static int64_t silent_since(const struct subject *subject)
{
    const int64_t lost_ms = subject->direct.lost_ms;

    if (lost_ms != 0 && subject->heard_ms <= lost_ms)
        return lost_ms;
    if (subject->now_ms - subject->heard_ms > BEAT_QUIET_MS)
        return subject->heard_ms != 0 ? subject->heard_ms : subject->node->started_ms;
    return 0;
}

static void add_silence(const struct subject *subject, int64_t since_ms, struct finding *out)
{
    const struct direct_path *direct = &subject->direct;
    char span[SPAN_SIZE];

    (void)span_text(subject->now_ms - since_ms, span);
    if (direct->dialled != NULL && !direct->dialled->up)
        (void)cause_is(out, CAUSE_UNREACHABLE,
                       "the node of %s has not answered at %s for %s, nor is it heard over"
                       " others",
                       subject->code, direct->dialled->address, span);
    else if (direct->lost_ms != 0)
        (void)cause_is(out, CAUSE_UNREACHABLE,
                       "the node of %s, which was connected to this one, has been silent for"
                       " %s",
                       subject->code, span);
    else
        (void)cause_is(out, CAUSE_UNREACHABLE,
                       "no node that this one hears has heard %s for %s", subject->code, span);
    cause_adds(out, ": its daemon has stopped, or the network between is down");
}

static void add_verdict(const struct subject *subject, struct finding *out)
{
    bool proven;
    const int64_t left_ms =
        replica_feed_fresh_ms(&subject->feed->replica, &subject->node->hq_beats,
                              subject->node->is_hq, subject->now_ms, &proven);
    char span[SPAN_SIZE];

    if (left_ms > 0)
        cause_adds(out, ". It counts as stale in %s", span_text(left_ms, span));
    else
        cause_adds(out, ". What is here is as of change %llu",
                   (unsigned long long)subject->mine->seq);
    if (strcmp(subject->code, "hq") == 0)
        cause_adds(out, "; the chapters go on without HQ");
}

static bool by_silence(const struct subject *subject, struct finding *out)
{
    const struct direct_path *direct = &subject->direct;
    const int64_t since_ms = silent_since(subject);
    char span[SPAN_SIZE];

    if (since_ms == 0)
        return false;
    remedy_there(subject, out);
    if (direct->met && direct->lost_ms == 0) {
        (void)cause_is(out, CAUSE_NOT_SIGNING,
                       "the node of %s is connected, but has signed nothing for %s: its"
                       " directory may be an older copy, or its feed is frozen",
                       subject->code, span_text(subject->now_ms - since_ms, span));
    } else {
        add_silence(subject, since_ms, out);
    }
    add_verdict(subject, out);
    return true;
}

static bool by_delay(const struct subject *subject, struct finding *out)
{
    char span[SPAN_SIZE];

    if (subject->state != STATE_STALE)
        return false;
    cause_remedy(out, "at %s: chapterctl explain hq", subject->code);
    return cause_is(out, CAUSE_DELAYED,
                    "%s was heard %s ago, but what it said is older than %d s: it does not"
                    " hear HQ, or somebody on the way holds messages back",
                    subject->code, span_text(subject->now_ms - subject->heard_ms, span),
                    BEAT_FRESH_MS / 1000);
}

static bool by_absent_hq(const struct subject *subject, struct finding *out)
{
    struct direct_path hq;
    bool proven;
    char span[SPAN_SIZE];

    (void)replica_feed_fresh_ms(&subject->feed->replica, &subject->node->hq_beats,
                                subject->node->is_hq, subject->now_ms, &proven);
    if (proven)
        return false;
    path_direct(subject->node, "hq", &hq);
    cause_remedy(out, "chapterctl explain hq");
    (void)cause_is(out, CAUSE_HQ_AWAY,
                   "%s was heard %s ago and all that it told is here; but HQ is not heard",
                   subject->code, span_text(subject->now_ms - subject->heard_ms, span));
    if (hq.lost_ms != 0)
        cause_adds(out, " (not for %s)", span_text(subject->now_ms - hq.lost_ms, span));
    cause_adds(out,
               ", so that nothing proves that a node on the way withholds no newer change");
    return true;
}

/* --- all well ----------------------------------------------------------------------------- */

static bool by_nothing(const struct subject *subject, struct finding *out)
{
    const uint32_t over = subject->feed->beat_peer;
    const int64_t lost_ms = subject->direct.lost_ms;
    char span[SPAN_SIZE];

    (void)cause_is(out, CAUSE_NONE,
                   "all is well: %s was heard %s ago, and its newest change is here",
                   subject->code, span_text(subject->now_ms - subject->heard_ms, span));
    if (lost_ms != 0 && over != NO_PEER && over != subject->direct.peer)
        cause_adds(out, ". Its own node is not connected; it is heard over %s",
                   subject->node->peers[over]->code);
    return true;
}

static void subject_init(struct node *node, uint32_t index, struct subject *out)
{
    const struct node_feed *feed = node->feeds[index];

    out->node = node;
    out->index = index;
    out->feed = feed;
    out->code = feed->replica.feed.origin;
    out->place = roster_find(node, out->code);
    out->mine = &feed->replica.feed.tier[TIER_FEDERATION];
    out->state = control_feed_state(node, feed);
    out->now_ms = node_now(node);
    out->heard_ms = feed->replica.beat.boot != 0 ? feed->replica.beat_at_ms : 0;
    path_direct(node, out->code, &out->direct);
}

enum status cause_find(struct node *node, uint32_t index, struct finding *out)
{
    static cause_question *const questions[] = {
        by_roster,  by_freeze,     by_new_epoch, by_full_disk, by_quota,  by_damage,
        by_refusal, by_loneliness, by_lag,       by_never,     by_start,  by_silence,
        by_delay,   by_hq_tier,    by_absent_hq, by_clock,     by_nothing
    };
    struct subject subject;
    size_t i = 0;

    memset(out, 0, sizeof *out);
    subject_init(node, index, &subject);
    if (subject.feed->replica.own)
        cause_of_own(&subject, out);
    else
        while (!questions[i](&subject, out))
            i++;
    return node->turn_failed ? node->turn_error : OK;
}
