/* SPDX-License-Identifier: MPL-2.0 */
/* disclosure.c - the tiers that the chapter chose, and putting its records anew by them. */
#include "daemon/disclosure.h"
#include "daemon/write.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/erase.h"
#include "daemon/jobs_internal.h"
#include "daemon/write_internal.h"

#define TIERS_SIZE_MAX (3 + TIER_CHOICES_MAX * (FIELD_NAME_MAX + 4))
#define REPUTS_PER_SLICE 512

/* --- choices ------------------------------------------------------------------------------ */

static struct tier_choice *find(struct disclosure *disclosure, struct slice field)
{
    for (size_t i = 0; i < disclosure->count; i++)
        if (slice_is_text(field, disclosure->choices[i].field))
            return &disclosure->choices[i];
    return NULL;
}

bool disclosure_is_fixed(struct slice field)
{
    return slice_is_text(field, "kind") || slice_is_text(field, "status") ||
           slice_is_text(field, "updated") || slice_is_text(field, "id") ||
           slice_is_text(field, "chapter") || slice_is_text(field, "seq");
}

enum tier disclosure_tier(const struct disclosure *disclosure, struct slice field,
                          bool organization)
{
    const struct field_rule *rule = field_rule_of(field);

    for (size_t i = 0; i < disclosure->count; i++)
        if (slice_is_text(field, disclosure->choices[i].field))
            return disclosure->choices[i].tier;
    if (rule == NULL)
        return TIER_CHAPTER;
    return organization ? rule->organization_tier : rule->tier;
}

bool disclosure_is_followed(const struct disclosure *disclosure, struct slice field)
{
    for (size_t i = 0; i < disclosure->count; i++)
        if (slice_is_text(field, disclosure->choices[i].field))
            return disclosure->choices[i].followed;
    return false;
}

static int compare_choices(const void *a, const void *b)
{
    return strcmp(((const struct tier_choice *)a)->field,
                  ((const struct tier_choice *)b)->field);
}

static enum status store_followed(struct node *node)
{
    const struct disclosure *disclosure = node->disclosure;
    uint8_t bytes[TIERS_SIZE_MAX];
    struct mp_writer writer;
    size_t count = 0;

    for (size_t i = 0; i < disclosure->count; i++)
        count += disclosure->choices[i].followed;
    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_array(&writer, count);
    for (size_t i = 0; i < disclosure->count; i++)
        if (disclosure->choices[i].followed)
            mp_write_text(&writer, disclosure->choices[i].field);
    return writer.status == OK
               ? store_put_meta(&node->txn, META_TIERS_FOLLOWED, mp_writer_bytes(&writer))
               : writer.status;
}

static enum status store_choices(struct node *node)
{
    const struct disclosure *disclosure = node->disclosure;
    uint8_t bytes[TIERS_SIZE_MAX];
    struct mp_writer writer;
    enum status status;

    if (node_writing(node) == NULL)
        return node->turn_error;
    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_map(&writer, disclosure->count);
    for (size_t i = 0; i < disclosure->count; i++)
        mp_write_key_uint(&writer, disclosure->choices[i].field,
                          (uint64_t)disclosure->choices[i].tier);
    if (writer.status != OK)
        return writer.status;
    status = store_put_meta(&node->txn, META_TIERS, mp_writer_bytes(&writer));
    return status == OK ? store_followed(node) : status;
}

static enum status objection(enum status status, const char *error, const char **out_error)
{
    *out_error = error;
    return status;
}

static enum status choose(struct node *node, struct slice field, bool tier_given,
                          enum tier tier, bool followed, const char **out_error)
{
    struct disclosure *disclosure = node->disclosure;
    const enum tier of_persons = disclosure_tier(disclosure, field, false);
    const enum tier of_organizations = disclosure_tier(disclosure, field, true);
    struct tier_choice *choice = find(disclosure, field);
    enum status status;

    if (disclosure_is_fixed(field))
        return objection(REFUSED, "id, kind, status and updated are known to every node",
                         out_error);
    if (field.size == 0 || field.size > FIELD_NAME_MAX)
        return objection(INVALID, "a field's name has 1 to 64 characters", out_error);
    if (!tier_given) {
        if (choice != NULL)
            *choice = disclosure->choices[--disclosure->count];
    } else {
        if (choice == NULL) {
            if (disclosure->count == TIER_CHOICES_MAX)
                return objection(TOO_LARGE, "tiers can be chosen for 64 fields", out_error);
            choice = &disclosure->choices[disclosure->count++];
            (void)slice_copy_text(field, choice->field, sizeof choice->field);
        }
        choice->tier = tier;
        choice->followed = followed;
    }
    qsort(disclosure->choices, disclosure->count, sizeof disclosure->choices[0],
          compare_choices);
    if (disclosure_tier(disclosure, field, false) > of_persons ||
        disclosure_tier(disclosure, field, true) > of_organizations)
        disclosure->narrows = true;
    if ((status = store_choices(node)) != OK)
        return objection(node_turn_fails(node, status), "the store cannot be written",
                         out_error);
    return OK;
}

enum status disclosure_choose(struct node *node, struct slice field, bool tier_given,
                              enum tier tier, const char **out_error)
{
    return choose(node, field, tier_given, tier, false, out_error);
}

enum status disclosure_choose_followed(struct node *node, struct slice field, enum tier tier,
                                       const char **out_error)
{
    return choose(node, field, true, tier, true, out_error);
}

static enum status read_choices(struct slice value, struct disclosure *disclosure)
{
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    size_t count;

    mp_reader_init(&reader, value);
    count = mp_read_map(&reader, TIER_CHOICES_MAX);
    for (size_t i = 0; i < count && reader.status == OK; i++) {
        struct tier_choice *choice = &disclosure->choices[i];

        if (!slice_copy_text(mp_read_key(&reader, &last), choice->field, sizeof choice->field))
            return STORE_DAMAGED;
        choice->tier = (enum tier)mp_read_uint(&reader, TIER_CHAPTER);
        choice->followed = false;
    }
    if (mp_reader_finish(&reader) != OK)
        return STORE_DAMAGED;
    disclosure->count = count;
    return OK;
}

static enum status read_followed(struct slice value, struct disclosure *disclosure)
{
    struct mp_reader reader;
    size_t count;

    mp_reader_init(&reader, value);
    count = mp_read_array(&reader, TIER_CHOICES_MAX);
    for (size_t i = 0; i < count && reader.status == OK; i++) {
        struct tier_choice *choice = find(disclosure, mp_read_str(&reader, FIELD_NAME_MAX));

        if (choice != NULL)
            choice->followed = true;
    }
    return mp_reader_finish(&reader) == OK ? OK : STORE_DAMAGED;
}

enum status disclosure_load(struct node *node, struct store_txn *txn)
{
    struct disclosure *disclosure = node->disclosure;
    uint64_t narrow = 0;
    struct slice value;
    enum status status;

    disclosure->count = 0;
    if ((status = store_get_meta_uint(txn, META_TIERS_NARROW, &narrow)) != OK)
        return status;
    disclosure->narrows = narrow != 0;
    status = store_get_meta(txn, META_TIERS, &value);
    if (status == OK)
        status = read_choices(value, disclosure);
    if (status == OK)
        status = store_get_meta(txn, META_TIERS_FOLLOWED, &value);
    if (status == OK)
        status = read_followed(value, disclosure);
    if (status != OK && status != NOT_FOUND)
        return status;
    if ((status =
             store_get_meta_uint(txn, META_TIERS_REACHED, &disclosure->reached_plus_one)) != OK)
        return status;
    return store_get_meta_uint(txn, META_TIERS_LAST, &disclosure->last);
}

/* --- putting anew ------------------------------------------------------------------------- */

static enum status keep_reached(struct node *node, uint64_t reached_plus_one)
{
    enum status status;

    if (node_writing(node) == NULL)
        return node->turn_error;
    status = store_put_meta_uint(&node->txn, META_TIERS_REACHED, reached_plus_one);
    if (node_turn_fails(node, status) == OK)
        node->disclosure->reached_plus_one = reached_plus_one;
    return status;
}

enum status disclosure_begin(struct node *node)
{
    struct disclosure *disclosure = node->disclosure;
    enum status status;

    disclosure->last = node->feeds[node->own_feed]->replica.feed.tier[TIER_FEDERATION].seq;
    if (node->batch != NULL && node->batch->open)
        disclosure->last = node->batch->seq; /* what this turn wrote by the former tiers, too */
    disclosure->begun_at = 0;
    disclosure->changed = 0;
    disclosure->refused = 0;
    if (node_writing(node) == NULL)
        return node->turn_error;
    status = store_put_meta_uint(&node->txn, META_TIERS_LAST, disclosure->last);
    if (status == OK)
        status = store_put_meta_uint(&node->txn, META_TIERS_NARROW, disclosure->narrows);
    if (node_turn_fails(node, status) != OK)
        return status;
    return keep_reached(node, !BUG(TIERS_NOT_PUT_ANEW));
}

/* Members among the next rows up to `last`; *out_reached: where it came. */
static enum status next_members(struct node *node, uint8_t (*out_ids)[ID_SIZE],
                                size_t *out_count, uint64_t *out_reached, bool *out_more)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    const uint32_t number = node->feeds[node->own_feed]->record.tier[TIER_FEDERATION].number;
    struct store_txn *txn = node_reading(node);
    struct change change;
    enum status status;

    *out_count = 0;
    *out_more = false;
    *out_reached = node->disclosure->reached_plus_one - 1;
    if (txn == NULL)
        return node->turn_error;
    if (number == 0)
        return OK;
    status = store_cursor_open(txn, number, TIERS_FEDERATION, *out_reached, &cursor);
    while (status == OK) {
        if (*out_count == REPUTS_PER_SLICE) {
            *out_more = true;
            return OK;
        }
        if ((status = store_cursor_next(&cursor, &change)) != OK ||
            change.seq > node->disclosure->last)
            break;
        *out_reached = change.seq;
        if (change.type == RECORD_MEMBER && !value_is_removal(change.value[TIER_FEDERATION]))
            memcpy(out_ids[(*out_count)++], change.id, ID_SIZE);
    }
    return status == NOT_FOUND ? OK : status;
}

/* A put of no fields: what changes is where the fields are. */
static enum status put_anew(struct node *node, const uint8_t id[ID_SIZE])
{
    static const uint8_t no_fields[] = { 0x80 };
    struct write_op op = { .has_id = true,
                           .type = RECORD_MEMBER,
                           .fields = slice_of(no_fields, sizeof no_fields) };
    struct write_result result;
    enum status status;

    memcpy(op.id, id, ID_SIZE);
    if ((status = write_apply(node, &op, "tiers", &result)) != OK)
        return status;
    if (result.status != OK) {
        node->disclosure->refused++;
        log_event(LOG_WARNING, "event=tiers_refused status=%s", status_name(result.status));
    } else if (result.seq > node->disclosure->last) {
        node->disclosure->changed++;
    }
    return OK;
}

/* What was withdrawn still stands in the free pages of all who had it. */
static enum status end_narrowing(struct node *node)
{
    const struct own_batch *batch = node->batch;
    const uint64_t seq = batch != NULL && batch->open
                             ? batch->seq
                             : node->feeds[node->own_feed]->replica.feed.tier[0].seq;
    enum status status;

    if (!node->disclosure->narrows)
        return OK;
    if ((status = horizon_withdraw(node, seq)) == OK)
        status = store_put_meta_uint(&node->txn, META_TIERS_NARROW, 0);
    if (node_turn_fails(node, status) == OK)
        node->disclosure->narrows = false;
    return status;
}

static bool reput_slice(struct node *node, struct job *job)
{
    uint8_t ids[REPUTS_PER_SLICE][ID_SIZE];
    const char *error;
    const char *remedy;
    uint64_t reached = 0;
    size_t count = 0;
    bool more = false;

    if (node->disclosure->reached_plus_one == 0)
        return true;
    if (write_ready(node, &error, &remedy) != OK) {
        job->resume_ms = node_now(node) + JOB_PAUSE_MS;
        return false;
    }
    if (node_turn_fails(node, next_members(node, ids, &count, &reached, &more)) != OK)
        return false;
    for (size_t i = 0; i < count; i++)
        if (put_anew(node, ids[i]) != OK)
            return false;
    if (keep_reached(node, more ? reached + 1 : 0) != OK || more || end_narrowing(node) != OK)
        return false;
    log_event(LOG_NOTICE, "event=tiers_in_force changed=%llu refused=%llu",
              (unsigned long long)node->disclosure->changed,
              (unsigned long long)node->disclosure->refused);
    return true;
}

/* node_load has read again how far it came. */
static void reput_undo(struct node *node, struct job *job)
{
    (void)node;
    (void)job;
}

static void reput_release(struct job *job)
{
    free(job);
}

static const struct job_kind job_reput = { .slice = reput_slice,
                                           .undo = reput_undo,
                                           .release = reput_release };

void disclosure_plan(struct node *node)
{
    struct job *job;

    if (node->disclosure->reached_plus_one == 0 || jobs_have(node, &job_reput) ||
        (job = calloc(1, sizeof *job)) == NULL)
        return;
    job->kind = &job_reput;
    if (jobs_add(node, job) != OK)
        free(job);
}
