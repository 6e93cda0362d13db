/* SPDX-License-Identifier: MPL-2.0 */
/* epoch.c - may this directory sign?  If not: HQ is asked to close the epoch and to open the
 * next, the feed is fetched back, and the new epoch begins.  The states are those of
 * core/epoch.h; here they meet the store, the links and the clock. */
#include "daemon/erase.h"
#include "daemon/keys.h"
#include "daemon/recovery.h"
#include "daemon/replication.h"
#include "daemon/write.h"

#include <sodium.h>
#include <string.h>

#define ASK_AFTER_MS 2000       /* HQ is asked again */
#define ASK_LOCKED_OUT_MS 10000 /* the same, when another instance is alive */
#define FETCH_FIRST_MS 10000    /* newer heads of mine are fetched before HQ is asked */
#define BEGIN_POLL_MS 500

static struct node_feed *own_feed(const struct node *node)
{
    return node->feeds[node->own_feed];
}

static struct feed_term own_term(const struct node *node)
{
    struct feed_term term;

    roster_term_of(node, node->code, &term);
    return term;
}

/* --- what is durable ---------------------------------------------------------------------- */

enum status epoch_load(struct node *node, struct store_txn *txn)
{
    struct epoch_own own = { .instance = 0 };
    uint64_t reason = 0;
    uint64_t first = 0;
    enum status status;

    if ((status = store_get_meta_uint(txn, META_INSTANCE, &own.instance)) != OK ||
        (status = store_get_meta_uint(txn, META_WANTED, &own.wanted)) != OK ||
        (status = store_get_meta_uint(txn, META_REASON, &reason)) != OK ||
        (status = store_get_meta_uint(txn, META_RECOVERY_FROM, &own.from_seq)) != OK ||
        (status = store_get_meta_uint(txn, META_EPOCH_FIRST, &first)) != OK)
        return status;
    status = store_get_meta_uint(txn, META_PROVEN_EPOCH, &node->proven_kept);
    if (status == OK && !BUG(BOOT_NOT_COUNTED)) /* a turn that failed may have counted on */
        status = store_get_meta_uint(txn, META_BOOT, &node->boot);
    if (status != OK || reason >= EPOCH_REASON_COUNT)
        return status == OK ? STORE_DAMAGED : status;
    own.reason = (enum epoch_reason)reason;
    node->own_epoch = own;
    node->epoch_first = first;
    return OK;
}

static enum status put_own(struct node *node, const struct epoch_own *own)
{
    enum status status;

    if (node_writing(node) == NULL)
        return node->turn_error;
    if ((status = store_put_meta_uint(&node->txn, META_INSTANCE, own->instance)) != OK ||
        (status = store_put_meta_uint(&node->txn, META_WANTED, own->wanted)) != OK ||
        (status = store_put_meta_uint(&node->txn, META_REASON, own->reason)) != OK ||
        (status = store_put_meta_uint(&node->txn, META_RECOVERY_FROM, own->from_seq)) != OK)
        return node_turn_fails(node, status);
    node->own_epoch = *own;
    return OK;
}

static enum status recover(struct node *node, enum epoch_reason reason)
{
    const struct feed_term term = own_term(node);
    const struct feed_mark *mine = &own_feed(node)->replica.feed.tier[TIER_FEDERATION];
    struct epoch_own own = node->own_epoch;
    const bool is_first = own.wanted == 0;
    enum status status;

    if (own.instance == 0) /* it was to be the roster's */
        own.instance = term.instance;
    do
        randombytes_buf(&own.wanted, sizeof own.wanted);
    while (own.wanted == 0 || own.wanted == term.instance);
    own.reason = reason;
    own.from_seq = mine->seq;
    if ((status = put_own(node, &own)) != OK)
        return status;
    status = store_put_meta_uint(&node->txn, META_PRESUMED, 0);
    if (status == OK && is_first)
        status = store_put_meta_uint(&node->txn, META_RECOVERY_HORIZON, mine->horizon);
    if (status != OK)
        return node_turn_fails(node, status);
    node->epoch_ask_at_ms = node_now(node);
    node->locked_out = false;
    log_event(LOG_ERROR,
              "event=recovering reason=%s own_epoch=%llu own_seq=%llu proven_seq=%llu"
              " remedy=\"%s\"",
              epoch_reason_name(reason), (unsigned long long)mine->epoch,
              (unsigned long long)mine->seq, (unsigned long long)node->recovering_seq,
              node->is_hq ? "nothing is signed until the recovery key has opened a new epoch:"
                            " see chapterctl status"
                          : "nothing is signed until HQ has opened a new epoch: see that HQ can"
                            " be reached; the rest happens by itself");
    return OK;
}

enum status epoch_signed(struct node *node, uint64_t epoch, uint64_t instance,
                         uint64_t first_seq)
{
    struct epoch_own own = { .instance = instance };
    enum status status;

    if (node->own_epoch.instance == instance && node->own_epoch.wanted == 0)
        return OK;
    if (epoch > 1 &&
        (status = store_put_meta_uint(&node->txn, META_EPOCH_FIRST, first_seq)) != OK)
        return status;
    node->epoch_first = epoch > 1 ? first_seq : 0;
    return put_own(node, &own);
}

/* --- may it sign? ------------------------------------------------------------------------- */

static enum epoch_reason shaken(const struct node *node, const struct feed_term *term)
{
    return epoch_shaken(&node->own_epoch, term, &own_feed(node)->replica.feed,
                        node->proven_epoch, node->recovering_seq);
}

static enum epoch_phase phase_of(const struct node *node, const struct feed_term *term)
{
    return epoch_phase_of(&node->own_epoch, term, &own_feed(node)->replica.feed);
}

bool epoch_may_sign(const struct node *node)
{
    const struct feed_term term = own_term(node);

    return !node->fork_seen && shaken(node, &term) == EPOCH_SOUND &&
           phase_of(node, &term) == EPOCH_SIGNING;
}

bool epoch_roster_missing(const struct node *node)
{
    const uint32_t hq = node_feed_index(node, "hq");
    const struct feed_mark *roster = &node->feeds[hq]->replica.feed.tier[TIER_FEDERATION];
    const struct roster_node *place = roster_find(node, node->code);

    if (node->is_hq)
        return false;
    /* It came within this turn, and was not read yet: my keys may be good in a later epoch
     * alone. */
    if (node->roster_changed && !BUG(UNREAD_ROSTER_SIGNS) && (place == NULL || !place->present))
        return true;
    return feed_compare(roster->epoch, roster->seq, node->floor_epoch, node->floor_seq) < 0;
}

void epoch_explain(const struct node *node, const char **out_error, const char **out_remedy)
{
    static const char *const errors[EPOCH_REASON_COUNT] = {
        [EPOCH_SOUND] = "this chapter's feed is being fetched back; until then nothing is"
                        " written",
        [EPOCH_COPIED] = "this directory is a copy or was restored: it writes again when HQ has"
                         " opened a new epoch",
        [EPOCH_BEHIND] = "this directory is an older copy: other nodes hold newer changes of"
                         " ours, which are being fetched back",
        [EPOCH_FORKED] = "this chapter's feed is forked: two daemons signed with its keys; it"
                         " writes again when HQ has opened a new epoch",
        [EPOCH_DIVERGED] = "this chapter's own feed contradicts itself: it writes again when HQ"
                           " has opened a new epoch",
        [EPOCH_FORGOTTEN] =
            "HQ was restored and does not know this chapter's epoch any more: it"
            " writes again when HQ has opened the next",
        [EPOCH_SUPERSEDED] = "another directory of this chapter took over: this one writes"
                             " nothing",
    };

    if (node->is_hq) {
        *out_error = "this directory of HQ was copied or restored: nothing is signed";
        *out_remedy = "let it fetch back what the chapters hold, stop the daemon, then:"
                      " chapterd recover --dir DIR, with the recovery key";
        return;
    }
    *out_error = errors[node->own_epoch.reason];
    *out_remedy = "see that HQ can be reached; the rest happens by itself (chapterctl status)";
    if (!node->locked_out)
        return;
    *out_error = "another daemon runs with the keys of this chapter, and HQ has named that one";
    *out_remedy = "stop this daemon, or the other one: this one takes over when that one is"
                  " gone; if nobody of yours runs it, ask HQ: chapterctl chapters rekey";
}

/* --- asking HQ ---------------------------------------------------------------------------- */

static struct link *link_to_hq(struct node *node)
{
    const uint32_t peer = node_peer_index(node, "hq");
    struct link *link = peer != NO_PEER ? node_link_of_peer(node, peer) : NULL;

    return link != NULL && link->greeted ? link : NULL;
}

/* A newer head of mine that somebody claims is fetched first: what HQ closes without it must be
 * issued again. */
static bool fetches_first(const struct node *node)
{
    const struct replica_feed *own = &own_feed(node)->replica;
    const struct replica_tier *tier = &own->tier[TIER_FEDERATION];

    return own->feed.recovering && own->fetchable &&
           (own->pull[TIER_FEDERATION].active ||
            replica_claim_newer(&tier->target, &own->feed.tier[TIER_FEDERATION])) &&
           tier->behind_since_ms != 0 &&
           node_now(node) < tier->behind_since_ms + FETCH_FIRST_MS;
}

static void ask(struct node *node)
{
    struct link *link = link_to_hq(node);
    const struct store_feed_tier *mine = &own_feed(node)->record.tier[TIER_FEDERATION];
    const struct wire_epoch_request request = {
        .instance = node->own_epoch.wanted,
        .head = mine->head.size != 0 ? signed_head_bytes(&mine->head) : SLICE_NONE,
    };
    struct mp_writer *writer;

    node->epoch_ask_at_ms = node_now(node) + ASK_AFTER_MS;
    if (link == NULL)
        return;
    if (fetches_first(node)) {
        node->epoch_ask_at_ms = node_now(node) + BEGIN_POLL_MS;
        return;
    }
    writer = node_writer(node);
    wire_write_epoch_request(writer, &request);
    node_send(node, link->handle, mp_writer_bytes(writer));
}

void epoch_on_reply(struct node *node, const struct link *link, struct slice message)
{
    struct wire_epoch_reply reply;
    const bool was = node->locked_out;

    if (wire_read_epoch_reply(message, &reply) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    if (strcmp(node->peers[link->peer]->code, "hq") != 0 ||
        reply.instance != node->own_epoch.wanted || node->own_epoch.wanted == 0)
        return;
    if (reply.answer != EPOCH_LATER)
        node->locked_out = reply.answer == EPOCH_LOCKED_OUT;
    if (reply.answer == EPOCH_LOCKED_OUT) {
        node->epoch_ask_at_ms = node_now(node) + ASK_LOCKED_OUT_MS;
        surplus_offer(node, link);
        if (!was)
            log_event(LOG_ERROR,
                      "event=locked_out remedy=\"HQ has named another daemon that runs with the"
                      " keys of %s: stop one of the two; what was written here is offered to"
                      " the other\"",
                      node->code);
    }
}

/* --- the turn ----------------------------------------------------------------------------- */

/* What peers said of my feed counts from the moment that I fetch it back. */
static void claim_again(struct node *node)
{
    for (uint32_t peer = 0; peer < node->replica.peer_count; peer++) {
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
            const struct replica_claim claim = node->peers[peer]->claim[node->own_feed][tier];

            if (node->peers[peer]->up && claim.seq != 0)
                node_step(node, &(struct replica_input){ .kind = INPUT_CLAIM,
                                                         .peer = peer,
                                                         .feed = node->own_feed,
                                                         .tiers = 1u << tier,
                                                         .epoch = claim.epoch,
                                                         .seq = claim.seq });
        }
    }
}

static void set_fetching(struct node *node)
{
    struct replica_feed *own = &own_feed(node)->replica;
    struct replica_tier *federation = &own->tier[TIER_FEDERATION];
    const bool asking = node->phase == EPOCH_ASKING;
    const bool was = own->feed.recovering;

    node->recovering = node->phase != EPOCH_SIGNING;
    own->feed.recovering =
        node->recovering && !(asking && (own->feed.freeze != FREEZE_NONE || node->locked_out));
    own->feed.replacing = node->phase == EPOCH_REPLACING ||
                          (node->phase == EPOCH_FETCHING && federation->snapshot);
    if (own->feed.replacing)
        federation->snapshot = true;
    if (own->feed.recovering && !was)
        claim_again(node);
}

enum status epoch_check_marker(struct node *node)
{
    bool copied = false;
    enum status status = store_marker_check(node->store, node->dir, &copied);

    /* Also while it recovers: the other one asks with the same number. */
    if (status == OK && copied && !BUG(COPY_NOT_SEEN) &&
        (node->own_epoch.wanted != 0 ||
         own_feed(node)->replica.feed.tier[TIER_FEDERATION].seq != 0)) {
        if ((status = recover(node, EPOCH_COPIED)) == OK)
            status = store_commit_turn(&node->txn);
    }
    if (status == OK) { /* what is asked of it before its first turn is answered truly */
        const struct feed_term term = own_term(node);

        node->phase = phase_of(node, &term);
        set_fetching(node);
    }
    if (status != OK)
        return status;
    /* From here on the copy is a directory like any other, which recovers. */
    status = store_marker_renew(node->store, node->dir);
    if (status != NO_SPACE)
        return status;
    /* The former marker still fits; members can be looked at without room. */
    log_event(LOG_WARNING, "event=marker_not_renewed remedy=\"free space on the disk of %s\"",
              node->dir);
    return OK;
}

/* All that HQ holds of my tier hq has come, or HQ holds nothing more of it. */
static bool tier_hq_is_here(struct node *node)
{
    const struct replica_feed *own = &own_feed(node)->replica;
    const struct link *link = link_to_hq(node);

    if (node->is_hq) /* nobody else has any of it: a start is all that it waits for */
        return node->hello_done || node_now(node) >= node->started_ms + SIGN_WAIT_MS;
    return link != NULL && !own->pull[TIER_FEDERATION].active && !own->pull[TIER_HQ].active &&
           !replica_claim_newer(&node->peers[link->peer]->claim[node->own_feed][TIER_HQ],
                                &own->feed.tier[TIER_HQ]);
}

/* HQ says that it has more of tier hq, and what it sends is refused here. */
static bool hq_sends_nonsense(struct node *node)
{
    const struct node_feed *own = own_feed(node);
    const struct link *link = link_to_hq(node);

    return link != NULL && own->refused != 0 &&
           replica_claim_newer(&node->peers[link->peer]->claim[node->own_feed][TIER_HQ],
                               &own->replica.feed.tier[TIER_HQ]);
}

bool epoch_waits(struct node *node, const char **out_text, const char **out_remedy)
{
    if (node->is_hq || !node->recovering || node->locked_out)
        return false;
    if (!keys_in_force(node)) {
        keys_explain_former(node, out_text, out_remedy);
    } else if (own_feed(node)->over_quota) {
        *out_text = "what is fetched back is larger than the roster allows this chapter";
        *out_remedy =
            "at HQ: chapterctl chapters edit CHAPTER --records-max N --bytes-max SIZE";
    } else if (node->phase == EPOCH_BEGINNING && link_to_hq(node) == NULL) {
        *out_text = "the fields of tier hq come from HQ alone, which is not reached";
        *out_remedy = "chapterctl explain hq";
    } else if (node->phase == EPOCH_BEGINNING && hq_sends_nonsense(node)) {
        *out_text = "HQ's copy of the fields of tier hq does not add up: it is damaged";
        *out_remedy =
            "at HQ: chapterctl verify --deep   (HQ then sends it no more, and the last"
            " values that are here are written)";
    } else {
        return false;
    }
    return true;
}

static void begin(struct node *node)
{
    const enum epoch_reason reason = node->own_epoch.reason;

    if (node_turn_fails(node, rejoin_begin(node)) != OK)
        return;
    node->phase = EPOCH_SIGNING;
    node->locked_out = false;
    node->hello_done = true;
    set_fetching(node);
    log_event(LOG_NOTICE, "event=recovered reason=%s epoch=%llu seq=%llu",
              epoch_reason_name(reason),
              (unsigned long long)own_feed(node)->replica.feed.tier[TIER_FEDERATION].epoch,
              (unsigned long long)own_feed(node)->replica.feed.tier[TIER_FEDERATION].seq);
}

/* HQ's next epoch must be above any that somebody began with its keys: chapterd recover asks
 * for it. */
static void keep_proven(struct node *node)
{
    if (!node->is_hq || !node->recovering || node->proven_epoch <= node->proven_kept ||
        node_writing(node) == NULL ||
        node_turn_fails(
            node, store_put_meta_uint(&node->txn, META_PROVEN_EPOCH, node->proven_epoch)) != OK)
        return;
    node->proven_kept = node->proven_epoch;
}

/* What a key that was given up since had signed of epochs that HQ does not know: a thief's, if
 * anybody's. */
static void forget_void_proof(struct node *node, const struct feed_term *term)
{
    if (node->proven_epoch <= term->epoch ||
        memcmp(node->proven_key, node->identity.sign.public_key, KEY_SIZE) == 0)
        return;
    node->proven_epoch = 0;
    node->recovering_seq = 0;
}

/* Is the head, of the epoch in force, one that a key of mine signed which is or was good in
 * it? */
static bool is_by_me(struct node *node, struct slice envelope, struct head *out_head,
                     bool *out_void)
{
    *out_void = false;
    return head_read(envelope, out_head) == OK &&
           memcmp(out_head->federation, node->federation, HASH_SIZE) == 0 &&
           strcmp(out_head->origin, node->code) == 0 &&
           out_head->epoch == own_term(node).epoch &&
           (roster_head_proven(node, envelope, out_head) ||
            keys_signed_once(node, envelope, out_head, out_void));
}

/* A clone, or a thief, signed with the former key beside the present one, and somebody took
 * that before the roster said from where on it is void: he takes none of the heads that follow,
 * since they fork from it, and his proof is none to those who know the present keys alone.  The
 * next epoch leads everybody on.  No head of a former key is of that, so that it happens once
 * for each change of keys. */
bool epoch_on_former_heads(struct node *node, struct slice a, struct slice b)
{
    struct head heads[2];
    bool was_void[2] = { false, false };
    bool forked;

    if (node->phase != EPOCH_SIGNING || BUG(VOID_HEAD_LEFT) ||
        !is_by_me(node, a, &heads[0], &was_void[0]) ||
        (b.size != 0 && !is_by_me(node, b, &heads[1], &was_void[1])))
        return false;
    if (b.size == 0)
        forked = feed_contradicts(&own_feed(node)->replica.feed, heads[0].epoch, heads[0].seq,
                                  heads[0].hash) != NULL;
    else
        forked = heads_conflict(&heads[0], &heads[1]);
    if (!forked && !was_void[0] && !was_void[1])
        return false;
    node->fork_seen = true;
    node->tick_due = true;
    return true;
}

void epoch_turn(struct node *node)
{
    const struct feed_term term = own_term(node);
    enum epoch_reason reason;

    forget_void_proof(node, &term);
    reason = shaken(node, &term);
    if (epoch_roster_missing(node) && node->own_epoch.wanted == 0)
        reason = EPOCH_SOUND;
    else if (reason == EPOCH_SOUND && node->fork_seen && node->own_epoch.wanted == 0)
        reason = EPOCH_FORKED;
    /* What this turn has taken already was not acknowledged; it must not be signed any more.
     * The turn's evidence goes with it, but not what follows from that. */
    if (reason != EPOCH_SOUND && write_is_open(node)) {
        node->fork_seen |= reason == EPOCH_FORKED || reason == EPOCH_DIVERGED;
        (void)node_turn_fails(node, REFUSED);
        return;
    }
    node->fork_seen = false;
    if (reason != EPOCH_SOUND && recover(node, reason) != OK)
        return;
    node->phase = phase_of(node, &term);
    set_fetching(node);
    keep_proven(node);
    /* A copy from before its keys were changed: nobody would take what it signs. */
    if (!keys_in_force(node) && !BUG(FORMER_KEY_BEGINS))
        return;
    if (node->phase == EPOCH_ASKING && !node->is_hq && node_now(node) >= node->epoch_ask_at_ms)
        ask(node);
    if (node->phase == EPOCH_BEGINNING && tier_hq_is_here(node))
        begin(node);
}

int64_t epoch_next_ms(const struct node *node)
{
    if (!keys_in_force(node))
        return INT64_MAX;
    if (node->phase == EPOCH_ASKING && !node->is_hq)
        return node->epoch_ask_at_ms;
    if (node->phase == EPOCH_BEGINNING)
        return node_now(node) + BEGIN_POLL_MS;
    return INT64_MAX;
}
