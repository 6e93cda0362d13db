/* SPDX-License-Identifier: MPL-2.0 */
/* control_verify.c - is this copy each origin's state, and does another node say the same; and
 * waiting until this node is in step. */
#include "daemon/control_internal.h"
#include "daemon/jobs.h"
#include "daemon/replication.h"
#include "daemon/write.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 3000 /* that the other node is given to say what it has */

/* --- the local check ---------------------------------------------------------------------- */

static void verified(struct node *node, void *context, const struct verify_result *result)
{
    struct control_wait *request = context;

    request->verified = malloc(sizeof *request->verified);
    if (request->verified != NULL)
        *request->verified = *result;
    request->job_done = true;
    request->due_ms = node_now(node);
}

static enum status ask_job(struct control_wait *request)
{
    enum status status;

    if (!control_is_parked(request))
        return AGAIN;
    status = jobs_verify(request->node, ARGUMENT(request, deep)->flag, verified, request);
    if (status != OK)
        return control_error(request, status, "try again in a minute",
                             "the check cannot be started: %s", status_text(status));
    request->job_asked = true;
    request->due_ms = INT64_MAX;
    return AGAIN;
}

/* --- what the other says ------------------------------------------------------------------ */

static uint32_t peer_of(const struct control_wait *request)
{
    return node_peer_index(request->node, ARGUMENT(request, against)->code);
}

/* The link to the other node; NULL with an error if there is none. */
static struct link *link_to(struct control_wait *request)
{
    const char *code = ARGUMENT(request, against)->code;
    const uint32_t peer = peer_of(request);
    struct link *link = peer == NO_PEER ? NULL : node_link_of_peer(request->node, peer);
    char remedy[EXPLAIN_COMMAND_SIZE];

    if (link == NULL || !request->node->peers[peer]->up) {
        (void)control_error(request, UNREACHABLE, control_explain_command(code, remedy),
                            "there is no connection to %s", code);
        return NULL;
    }
    return link;
}

static const struct replica_claim *claim_of(const struct control_wait *request, uint32_t feed)
{
    return &request->node->peers[peer_of(request)]->claim[feed][TIER_FEDERATION];
}

static bool stands_alike(const struct control_wait *request, uint32_t feed)
{
    const struct feed_mark *mine =
        &request->node->feeds[feed]->replica.feed.tier[TIER_FEDERATION];
    const struct replica_claim *theirs = claim_of(request, feed);

    return mine->epoch == theirs->epoch && mine->seq == theirs->seq;
}

static size_t count_unlike(const struct control_wait *request)
{
    size_t count = 0;

    for (uint32_t i = 0; i < request->node->replica.feed_count; i++)
        count += !stands_alike(request, i);
    return count;
}

/* OK when the other has said it; a difference is believed only when the time is over, for what
 * it says may be older than what I have applied since. */
static enum status hear_other(struct control_wait *request)
{
    struct node *node = request->node;
    const int64_t now = node_now(node);
    struct link *link = link_to(request);
    char remedy[EXPLAIN_COMMAND_SIZE];

    if (link == NULL)
        return UNREACHABLE;
    if (request->greeted_ms == 0) {
        request->greeted_ms = now;
        request->hellos = node->counters.hellos;
        request->due_ms = now + ANSWER_MS;
        sync_greet(node, link);
        return AGAIN;
    }
    if (now >= request->greeted_ms + ANSWER_MS) {
        if (node->counters.hellos != request->hellos &&
            link->last_seen_ms >= request->greeted_ms)
            return OK;
        return control_error(request, TIMEOUT,
                             control_explain_command(ARGUMENT(request, against)->code, remedy),
                             "%s does not answer", ARGUMENT(request, against)->code);
    }
    request->due_ms = request->greeted_ms + ANSWER_MS;
    return node->counters.hellos != request->hellos &&
                   link->last_seen_ms >= request->greeted_ms && count_unlike(request) == 0
               ? OK
               : AGAIN;
}

/* --- the answer --------------------------------------------------------------------------- */

static void write_local(struct mp_writer *writer, const struct verify_difference *difference)
{
    mp_write_map(writer, 4);
    mp_write_text(writer, "actual");
    control_write_hex(writer, difference->actual, HASH_SIZE);
    mp_write_key_text(writer, "chapter", difference->origin);
    mp_write_text(writer, "expected");
    control_write_hex(writer, difference->expected, HASH_SIZE);
    mp_write_key_text(writer, "reason", difference->reason);
}

/* The other tells where it stands, not its digest. */
static void write_unlike(struct mp_writer *writer, const struct control_wait *request,
                         uint32_t index)
{
    const struct node_feed *feed = request->node->feeds[index];
    const struct feed_mark *mine = &feed->replica.feed.tier[TIER_FEDERATION];
    const struct replica_claim *theirs = claim_of(request, index);
    struct head head;

    mp_write_map(writer, 8);
    mp_write_text(writer, "actual");
    if (control_head_of(feed, &head))
        control_write_hex(writer, head.digest[TIER_FEDERATION], HASH_SIZE);
    else
        mp_write_text(writer, "");
    mp_write_key_uint(writer, "actual_epoch", mine->epoch);
    mp_write_key_uint(writer, "actual_seq", mine->seq);
    mp_write_key_text(writer, "chapter", feed->replica.feed.origin);
    mp_write_key_text(writer, "expected", "");
    mp_write_key_uint(writer, "expected_epoch", theirs->epoch);
    mp_write_key_uint(writer, "expected_seq", theirs->seq);
    mp_write_key_text(writer, "reason",
                      feed_compare(theirs->epoch, theirs->seq, mine->epoch, mine->seq) > 0
                          ? "the other node is ahead of this one"
                          : "the other node is behind this one");
}

static bool differs_locally(const struct verify_result *result, const char *origin)
{
    for (size_t i = 0; i < result->difference_count; i++)
        if (strcmp(result->differences[i].origin, origin) == 0)
            return true;
    return false;
}

static void write_result(struct control_wait *request, struct mp_writer *writer)
{
    const struct verify_result *result = request->verified;
    const struct node *node = request->node;
    const bool against = ARGUMENT(request, against)->given;
    size_t differences = result->difference_count;
    uint64_t bad = result->difference_count;

    for (uint32_t i = 0; against && i < node->replica.feed_count; i++)
        if (!stands_alike(request, i)) {
            differences++;
            /* A feed that is not here at all is none of the origins counted. */
            bad += node->feeds[i]->replica.feed.tier[TIER_FEDERATION].seq != 0 &&
                   !differs_locally(result, node->feeds[i]->replica.feed.origin);
        }
    mp_write_map(writer, 5);
    mp_write_key_bool(writer, "deep", ARGUMENT(request, deep)->flag);
    mp_write_text(writer, "differences");
    mp_write_array(writer, differences);
    for (size_t i = 0; i < result->difference_count; i++)
        write_local(writer, &result->differences[i]);
    for (uint32_t i = 0; against && i < node->replica.feed_count; i++)
        if (!stands_alike(request, i))
            write_unlike(writer, request, i);
    mp_write_key_uint(writer, "members", result->members);
    mp_write_key_uint(writer, "ok", bad < result->origins ? result->origins - bad : 0);
    mp_write_key_uint(writer, "origins", result->origins);
}

enum status control_verify(struct control_wait *request, struct mp_writer *writer)
{
    const struct argument *against = ARGUMENT(request, against);
    uint32_t feed;
    enum status status;

    if (!request->job_asked) {
        if ((status = control_feed_of(request, against, &feed)) != OK)
            return status;
        if (against->given && strcmp(against->code, request->node->code) == 0)
            return control_error(request, USAGE, "name hq or another chapter",
                                 "%s is this very node", against->code);
        if (against->given && link_to(request) == NULL)
            return UNREACHABLE;
        return ask_job(request);
    }
    if (!request->job_done)
        return AGAIN;
    if (request->verified == NULL)
        return control_error(request, NO_MEMORY, "try again", "%s", status_text(NO_MEMORY));
    if (against->given && (status = hear_other(request)) != OK)
        return status;
    write_result(request, writer);
    return OK;
}

/* --- wait --------------------------------------------------------------------------------- */

static bool in_step(const struct control_wait *request, uint32_t only)
{
    const struct node *node = request->node;
    const uint64_t lag = ARGUMENT(request, lag)->number;

    if (!control_met_anybody(node))
        return false;
    for (uint32_t i = 0; i < node->replica.feed_count; i++)
        if ((only == NO_PEER || only == i) && !control_in_step(node, node->feeds[i], lag))
            return false;
    return true;
}

enum status control_wait_in_step(struct control_wait *request, struct mp_writer *writer)
{
    const uint64_t timeout = ARGUMENT(request, timeout_ms)->number;
    const int64_t now = node_now(request->node);
    const uint32_t hq = node_feed_index(request->node, "hq");
    uint32_t only;
    bool good;
    enum status status;

    request->due_ms = request->arrived_ms +
                      (int64_t)(timeout < CONTROL_TIME_MAX_MS ? timeout : CONTROL_TIME_MAX_MS);
    status = control_feed_of(request, ARGUMENT(request, chapter), &only);
    /* HQ's roster may be about to tell of that chapter. */
    if (status != OK)
        return in_step(request, hq) || now >= request->due_ms ? status : AGAIN;
    good = in_step(request, only);
    if (!good && now < request->due_ms)
        return AGAIN;
    mp_write_map(writer, 2);
    mp_write_key_bool(writer, "in_step", good);
    mp_write_key_uint(writer, "seconds", (uint64_t)(now - request->arrived_ms) / 1000);
    return OK;
}
