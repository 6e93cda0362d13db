/* SPDX-License-Identifier: MPL-2.0 */
/* surplus_issue.c - the origin looks at a state of a closed epoch, its own former one or what
 * a replica offered: what it lacks is issued again, what nobody can tell the operator
 * decides. */
#include "daemon/disclosure.h"
#include "daemon/erase.h"
#include "daemon/recovery.h"
#include "daemon/surplus_internal.h"
#include "daemon/write.h"

#include <stdlib.h>
#include <string.h>

/* --- values ------------------------------------------------------------------------------- */

/* The last value of tier hq: the offered one, else the one that is held, else none. */
static struct slice hq_value(const struct change *offered, unsigned tiers,
                             const struct store_row *held)
{
    static const uint8_t empty_map[] = { 0x80 };

    if (value_is_removal(offered->value[TIER_FEDERATION]))
        return offered->value[TIER_FEDERATION];
    if (tiers & offered->tiers & TIERS_HQ)
        return offered->value[TIER_HQ];
    if (held != NULL && (held->tiers & TIERS_HQ) && !value_is_removal(held->value[TIER_HQ]))
        return held->value[TIER_HQ];
    return slice_of(empty_map, sizeof empty_map);
}

/* It was written by other choices: no field goes further than it may now. */
static enum status issue_narrowed(struct node *node, struct change *change, uint64_t *out_seq)
{
    uint8_t values[DISCLOSED_VALUES][RECORD_SIZE_MAX];
    uint8_t own[RECORD_SIZE_MAX];
    struct slice narrowed[DISCLOSED_VALUES];
    struct slice before[DISCLOSED_VALUES] = { change->value[TIER_FEDERATION],
                                              change->value[TIER_HQ], SLICE_NONE };
    struct slice stored;
    enum status status = store_get_private(&node->txn, change->id, &stored);

    if (status == OK && stored.size <= sizeof own) {
        memcpy(own, stored.data, stored.size);
        before[TIER_CHAPTER] = slice_of(own, stored.size);
    }
    if ((status != OK && status != NOT_FOUND) ||
        (status = disclosure_narrow(node->disclosure, before, values, narrowed)) != OK ||
        (status = store_put_private(&node->txn, change->id, narrowed[TIER_CHAPTER])) != OK)
        return status;
    change->value[TIER_FEDERATION] = narrowed[TIER_FEDERATION];
    change->value[TIER_HQ] = narrowed[TIER_HQ];
    return write_again(node, change, out_seq);
}

static enum status issue(struct node *node, const struct change *offered, unsigned tiers,
                         const struct store_row *held, uint64_t *out_seq)
{
    uint8_t values[TIERS_PUBLISHED][RECORD_SIZE_MAX];
    const struct slice hq = hq_value(offered, tiers, held);
    const struct slice federation = offered->value[TIER_FEDERATION];
    struct change change = { .type = offered->type };

    memcpy(change.id, offered->id, ID_SIZE);
    memcpy(values[0], federation.data, federation.size);
    memcpy(values[1], hq.data, hq.size);
    change.value[TIER_FEDERATION] = slice_of(values[0], federation.size);
    change.value[TIER_HQ] = slice_of(values[1], hq.size);
    if (node->disclosure->count != 0 && change.type == RECORD_MEMBER &&
        !value_is_removal(change.value[TIER_FEDERATION]))
        return issue_narrowed(node, &change, out_seq);
    return write_again(node, &change, out_seq);
}

static bool is_same(const struct change *offered, unsigned tiers, const struct store_row *held)
{
    return slice_equal(offered->value[TIER_FEDERATION], held->value[TIER_FEDERATION]) &&
           (!(tiers & offered->tiers & held->tiers & TIERS_HQ) ||
            slice_equal(offered->value[TIER_HQ], held->value[TIER_HQ]));
}

/* Whoever is removed or erased by now has nothing here that never left the node. */
static enum status drop_private(struct node *node, const struct change *row)
{
    const struct node_feed *own = node->feeds[node->own_feed];
    enum erased erased = ERASED_NOT;
    struct store_row held;
    enum status status = erase_look_up(node, ERASED_ID, slice_of(row->id, ID_SIZE), &erased);

    if (status != OK)
        return status;
    status =
        store_get_row(&node->txn, own->record.tier[TIER_FEDERATION].number, row->id, &held);
    if (status != OK && status != NOT_FOUND)
        return status;
    if (erased != ERASED_HERE &&
        (status == NOT_FOUND || !value_is_removal(held.value[TIER_FEDERATION])))
        return OK;
    return store_put_private(&node->txn, row->id, SLICE_NONE);
}

/* --- judging ------------------------------------------------------------------------------ */

/* What is to become of an offered row.  It changes nothing. */
struct outlook {
    enum epoch_verdict verdict;
    bool gone;                   /* at or below the horizon, and not held: own states only */
    bool erased;                 /* by members erase */
    bool presumed;               /* taken for erased by a recovery */
    bool held;                   /* the own feed has that id */
    struct store_row row;        /* then: its row; until the next put */
    struct store_offered former; /* what is remembered of that id's offers */
    bool with_hq;
};

/* Decided before, for this version or a later one. */
static bool was_decided(const struct store_offered *former, uint64_t epoch, uint64_t seq)
{
    return former->epoch != 0 && feed_compare(former->epoch, former->seq, epoch, seq) >= 0;
}

static void judge_gone(const struct change *row, unsigned kept, uint64_t epoch,
                       struct outlook *out)
{
    out->verdict = SURPLUS_NONE;
    out->gone = (kept & KEPT_OWN) && !value_is_removal(row->value[TIER_FEDERATION]);
    if (out->gone && !(kept & KEPT_COPY) && !out->presumed &&
        !was_decided(&out->former, epoch, row->seq))
        out->verdict = SURPLUS_MANUAL; /* erased, or never told to anybody */
}

static void judge_held(struct node *node, const struct change *row, unsigned kept,
                       uint64_t epoch, struct outlook *out)
{
    const struct store_offered *former = &out->former;
    struct feed_term term;
    const struct epoch_surplus surplus = {
        .epoch = epoch,
        .seq = row->seq,
        .with_hq = out->with_hq,
        .held = out->held,
        .held_seq = out->held ? out->row.seq[TIER_FEDERATION] : 0,
        .same = out->held && is_same(row, kept, &out->row),
        .offered = { former->epoch, former->seq, former->put_seq, former->with_hq },
        .closed_seq = (roster_term_of(node, node->code, &term), term.closed_seq),
        .first_seq = node->epoch_first,
        .horizon = node->feeds[node->own_feed]->record.tier[TIER_FEDERATION].horizon,
    };

    out->verdict = epoch_surplus(&surplus);
}

static enum status judge_surplus(struct node *node, const struct change *row, unsigned kept,
                                 uint64_t epoch, struct outlook *out)
{
    const struct store_feed_tier *mine =
        &node->feeds[node->own_feed]->record.tier[TIER_FEDERATION];
    enum erased erased = ERASED_NOT;
    enum status status = erase_look_up(node, ERASED_ID, slice_of(row->id, ID_SIZE), &erased);

    memset(out, 0, sizeof *out);
    if (status != OK || (status = store_get_offered(&node->txn, row->id, &out->former)) != OK)
        return status;
    out->erased = erased == ERASED_HERE;
    out->presumed = erased == ERASED_PRESUMED;
    out->with_hq = kept & row->tiers & TIERS_HQ;
    out->verdict = SURPLUS_NONE;
    /* Whoever was erased since comes back from no replica. */
    if (out->erased && !value_is_removal(row->value[TIER_FEDERATION]))
        return OK;
    status = store_get_row(&node->txn, mine->number, row->id, &out->row);
    if (status != OK && status != NOT_FOUND)
        return status;
    out->held = status == OK;
    if (!out->held && row->seq <= mine->horizon)
        judge_gone(row, kept, epoch, out);
    else
        judge_held(node, row, kept, epoch, out);
    return OK;
}

/* --- issuing again ------------------------------------------------------------------------ */

static enum status remember(struct node *node, const struct change *row, uint64_t epoch,
                            const struct outlook *outlook, uint64_t put_seq)
{
    const struct store_offered offered = {
        .epoch = epoch, .seq = row->seq, .put_seq = put_seq, .with_hq = outlook->with_hq
    };

    return store_put_offered(&node->txn, row->id, &offered);
}

static enum status issue_again(struct node *node, const struct change *row, unsigned kept,
                               uint64_t epoch, const struct outlook *outlook)
{
    uint64_t put_seq = 0;
    enum status status = issue(node, row, kept, outlook->held ? &outlook->row : NULL, &put_seq);

    if (status == OK && outlook->presumed && !value_is_removal(row->value[TIER_FEDERATION]))
        status = erase_not_presumed(node, row->id);
    if (status != OK)
        return status;
    node->counters.reissued++;
    return remember(node, row, epoch, outlook, put_seq);
}

static enum status look_at(struct node *node, const struct change *row, unsigned kept,
                           uint64_t epoch, bool *out_manual)
{
    struct outlook outlook;
    enum status status;

    if ((kept & KEPT_OWN) && (status = drop_private(node, row)) != OK)
        return status;
    if ((status = judge_surplus(node, row, kept, epoch, &outlook)) != OK)
        return status;
    switch (outlook.verdict) {
    case SURPLUS_NONE:
        return outlook.gone && (kept & KEPT_COPY) ? erase_presume(node, row) : OK;
    case SURPLUS_MANUAL:
        *out_manual = true;
        return OK;
    case SURPLUS_NOTED:
        return remember(node, row, epoch, &outlook, outlook.former.put_seq);
    case SURPLUS_ISSUE:
        return issue_again(node, row, kept, epoch, &outlook);
    }
    return INVALID;
}

enum status surplus_issue(struct node *node, uint32_t number, unsigned kept,
                          const struct head *head, bool *out_manual)
{
    const struct node_feed *own = node->feeds[node->own_feed];
    const uint64_t before = node->counters.reissued;
    struct rows *rows;
    struct change row;
    enum status status = OK;

    *out_manual = false;
    if (node_writing(node) == NULL)
        return node->turn_error;
    /* The horizon of what is offered says nothing of what it has, but of what it has not. */
    if ((rows = rows_open(node, number, kept & TIERS_BOTH,
                          kept & KEPT_OWN ? 0 : own->record.tier[TIER_FEDERATION].horizon)) ==
        NULL)
        return NO_MEMORY;
    while (status == OK && rows_next(rows, &row))
        if (row.tiers & TIERS_FEDERATION)
            status = look_at(node, &row, kept, head->epoch, out_manual);
    if (status == OK)
        status = rows_status(rows);
    rows_close(&rows);
    log_event(LOG_NOTICE, "event=surplus_seen epoch=%llu seq=%llu written_again=%llu manual=%s",
              (unsigned long long)head->epoch, (unsigned long long)head->seq,
              (unsigned long long)(node->counters.reissued - before),
              *out_manual ? "yes" : "no");
    return status;
}

/* What this directory itself held beyond or beside the closed head. */
void surplus_issue_own(struct node *node)
{
    struct store_txn *txn = node_reading(node);
    struct store_kept kept;
    struct head head;
    bool manual = false;
    enum status status;

    if (txn == NULL)
        return;
    for (status = store_next_kept(txn, NULL, &kept); status == OK;
         status = store_next_kept(txn, &kept, &kept))
        if (strcmp(kept.origin, node->code) == 0 && !(kept.tiers & KEPT_MANUAL))
            break;
    if (status != OK)
        return;
    if (node_writing(node) == NULL)
        return;
    if ((status = head_read(signed_head_bytes(&kept.head), &head)) != OK)
        status = STORE_DAMAGED;
    if (status == OK)
        status = surplus_issue(node, kept.number, kept.tiers, &head, &manual);
    if (status == OK && manual) {
        kept.tiers |= KEPT_MANUAL;
        status = store_put_kept(&node->txn, &kept);
    } else if (status == OK) {
        status = surplus_drop(node, &kept);
    }
    (void)node_turn_fails(node, status);
}

/* --- what the operator decides ------------------------------------------------------------ */

typedef enum status manual_visit(void *context, const struct change *row,
                                 const struct store_kept *kept, const struct outlook *outlook);

/* The rows of one state that wait for him. */
static enum status visit_manual(struct node *node, const struct store_kept *kept,
                                manual_visit *visit, void *context)
{
    struct rows *rows = rows_open(node, kept->number, kept->tiers & TIERS_BOTH, 0);
    struct outlook outlook;
    struct change row;
    enum status status = OK;

    if (rows == NULL)
        return NO_MEMORY;
    while (status == OK && rows_next(rows, &row)) {
        if (!(row.tiers & TIERS_FEDERATION))
            continue;
        status = judge_surplus(node, &row, kept->tiers, kept->epoch, &outlook);
        if (status == OK && outlook.verdict == SURPLUS_MANUAL)
            status = visit(context, &row, kept, &outlook);
    }
    if (status == OK)
        status = rows_status(rows);
    rows_close(&rows);
    return status;
}

static bool waits(const struct node *node, const struct store_kept *kept)
{
    return strcmp(kept->origin, node->code) == 0 && (kept->tiers & KEPT_MANUAL);
}

bool surplus_waits(struct node *node)
{
    struct store_txn *txn = node_reading(node);
    struct store_kept kept;

    if (!node->surplus->kept || txn == NULL)
        return false;
    for (enum status status = store_next_kept(txn, NULL, &kept); status == OK;
         status = store_next_kept(txn, &kept, &kept))
        if (waits(node, &kept))
            return true;
    return false;
}

struct listing {
    surplus_visit *visit;
    void *context;
};

static enum status list_one(void *context, const struct change *row,
                            const struct store_kept *kept, const struct outlook *outlook)
{
    const struct listing *listing = context;
    struct surplus_item item = { .row = row, .epoch = kept->epoch, .here = SURPLUS_GONE };

    if (outlook->held)
        item.here = value_is_removal(outlook->row.value[TIER_FEDERATION]) ? SURPLUS_REMOVED
                                                                          : SURPLUS_OTHER;
    return listing->visit(listing->context, &item);
}

enum status surplus_list(struct node *node, surplus_visit *visit, void *context)
{
    struct listing listing = { visit, context };
    struct store_txn *txn = node_reading(node);
    struct store_kept kept;
    enum status status;

    if (txn == NULL)
        return node->turn_error;
    status = store_next_kept(txn, NULL, &kept);
    while (status == OK) {
        if (waits(node, &kept) &&
            (status = visit_manual(node, &kept, list_one, &listing)) != OK)
            return status;
        status = store_next_kept(txn, &kept, &kept);
    }
    return status == NOT_FOUND ? OK : status;
}

struct decision {
    struct node *node;
    const uint8_t *id; /* NULL: all */
    bool adopt;
    uint64_t done, left;
};

static enum status decide_one(void *context, const struct change *row,
                              const struct store_kept *kept, const struct outlook *outlook)
{
    struct decision *decision = context;
    enum status status = OK;

    if (decision->id != NULL && memcmp(decision->id, row->id, ID_SIZE) != 0) {
        decision->left++;
        return OK;
    }
    decision->done++;
    if (decision->adopt)
        return issue_again(decision->node, row, kept->tiers, kept->epoch, outlook);
    if (outlook->gone)
        status = erase_presume(decision->node, row);
    return status == OK ? remember(decision->node, row, kept->epoch, outlook, 0) : status;
}

/* A state of which nothing waits any more has said all. */
static enum status decide_in(struct decision *decision, struct store_kept *kept)
{
    const uint64_t left = decision->left;
    enum status status = visit_manual(decision->node, kept, decide_one, decision);

    return status == OK && decision->left == left ? surplus_drop(decision->node, kept) : status;
}

enum status surplus_decide(struct node *node, const uint8_t *id, bool adopt, uint64_t *out_done,
                           uint64_t *out_left)
{
    struct decision decision = { .node = node, .id = id, .adopt = adopt };
    struct store_kept kept;
    enum status status;

    if (node_writing(node) == NULL)
        return node->turn_error;
    for (status = store_next_kept(&node->txn, NULL, &kept); status == OK;
         status = store_next_kept(&node->txn, &kept, &kept))
        if (waits(node, &kept) && (status = decide_in(&decision, &kept)) != OK)
            break;
    if (status != NOT_FOUND)
        return node_turn_fails(node, status);
    *out_done = decision.done;
    *out_left = decision.left;
    return OK;
}
