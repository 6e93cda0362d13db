/* SPDX-License-Identifier: MPL-2.0 */
/* node.c - open, load, the turn, close.  Read node_turn first. */
#include "daemon/disclosure.h"
#include "daemon/erase.h"
#include "daemon/invitation.h"
#include "daemon/jobs.h"
#include "daemon/keys.h"
#include "daemon/recovery.h"
#include "daemon/replication.h"
#include "daemon/write.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define OUT_BYTES_MAX                                                                          \
    (32u * 1024 * 1024)    /* unsent bytes at which a turn stops taking more in */
#define FULL_PAUSE_MS 1000 /* after a commit that found no room */

int64_t node_now(const struct node *node)
{
    (void)node;
    return clock_monotonic_ms();
}

struct mp_writer *node_writer(struct node *node)
{
    mp_writer_reset(&node->writer);
    return &node->writer;
}

/* --- effects of the replica --------------------------------------------------------------- */

void node_step(struct node *node, const struct replica_input *input)
{
    struct replica_effects effects = { .next_ms = node->tick_at_ms };

    replica_step(&node->replica, input, node_now(node), &effects);
    node->tick_at_ms = effects.next_ms;
    if (input->kind != INPUT_TICK)
        node->tick_due = true;
    for (size_t i = 0; i < effects.count; i++) {
        const struct replica_effect *effect = &effects.list[i];

        switch (effect->kind) {
        case EFFECT_WANT:
            pull_want(node, effect);
            break;
        case EFFECT_DROPPED:
            pull_dropped(node, effect);
            break;
        case EFFECT_RECOUNT:
            if (jobs_recount(node, effect->feed, effect->tiers) != OK)
                log_event(LOG_WARNING, "event=recount_put_off feed=%s",
                          node->feeds[effect->feed]->replica.feed.origin);
            break;
        }
    }
}

static void plan_if_due(struct node *node)
{
    if (!node->tick_due && node_now(node) < node->tick_at_ms)
        return;
    node->tick_due = false;
    node_step(node, &(struct replica_input){ .kind = INPUT_TICK });
}

/* --- opening ------------------------------------------------------------------------------ */

static enum status read_meta_text(struct store_txn *txn, const char *name, char *out,
                                  size_t size)
{
    struct slice value;
    enum status status = store_get_meta(txn, name, &value);

    if (status == NOT_FOUND) {
        out[0] = '\0';
        return OK;
    }
    if (status != OK)
        return status;
    return slice_copy_text(value, out, size) ? OK : STORE_DAMAGED;
}

static enum status load_identity_of_federation(struct node *node)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct slice value;
    enum status status;

    if ((status = store_begin_read(node->store, &txn)) != OK)
        return status;
    if ((status = store_get_meta(&txn, META_GENESIS, &value)) != OK)
        return status; /* NOT_FOUND: neither init nor join was done */
    if (value.size > sizeof node->genesis_bytes)
        return STORE_DAMAGED;
    memcpy(node->genesis_bytes, value.data, value.size);
    node->genesis_size = value.size;
    if (genesis_read(value, &node->genesis) != OK)
        return STORE_DAMAGED;
    genesis_federation(value, node->federation);
    if ((status = read_meta_text(&txn, META_CODE, node->code, CODE_SIZE)) != OK ||
        (status = read_meta_text(&txn, META_LISTEN, node->listen, ADDRESS_SIZE)) != OK ||
        (status = read_meta_text(&txn, META_ADVERTISE, node->advertise, ADDRESS_SIZE)) != OK ||
        (status = read_meta_text(&txn, META_HQ_ADDRESS, node->hq_address, ADDRESS_SIZE)) != OK)
        return status;
    if (node->code[0] == '\0')
        return NOT_FOUND;
    node->is_hq = strcmp(node->code, "hq") == 0;
    if ((status = store_get_meta_uint(&txn, META_FLOOR_EPOCH, &node->floor_epoch)) != OK ||
        (status = store_get_meta_uint(&txn, META_FLOOR_SEQ, &node->floor_seq)) != OK)
        return status;
    status = store_get_meta(&txn, META_HQ_CURVE, &value);
    if (status == OK && value.size == KEY_SIZE)
        memcpy(node->hq_curve, value.data, KEY_SIZE);
    return status == NOT_FOUND ? OK : status;
}

/* A start is counted durably before anything is said: (boot, counter) of beats never repeats.
 * */
static enum status count_boot(struct node *node)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    enum status status;

    if ((status = store_begin_write(node->store, &txn)) != OK ||
        (status = store_get_meta_uint(&txn, META_BOOT, &node->boot)) != OK ||
        (status = store_put_meta_uint(&txn, META_BOOT, ++node->boot)) != OK)
        return status;
    return BUG(BOOT_NOT_COUNTED) ? OK : store_commit_turn(&txn);
}

/* HQ's own place in the roster: the first change of its feed. */
static enum status found_roster(struct node *node)
{
    struct roster_entry entry;
    enum status status;

    if (!node->is_hq || (roster_find(node, "hq") != NULL && roster_find(node, "hq")->present))
        return OK;
    memset(&entry, 0, sizeof entry);
    memcpy(entry.code, "hq", 3);
    memcpy(entry.name, node->genesis.name, sizeof entry.name);
    memcpy(entry.sign_key, node->identity.sign.public_key, KEY_SIZE);
    memcpy(entry.curve_key, node->identity.curve_public, KEY_SIZE);
    memcpy(entry.address, node->advertise, sizeof entry.address);
    entry.epoch = 1;
    entry.instance = 1;
    entry.records_max = FEED_RECORDS_MAX_DEFAULT;
    entry.bytes_max = FEED_BYTES_MAX_DEFAULT;
    if (node_writing(node) == NULL)
        return node->turn_error;
    if ((status = write_roster(node, &entry)) != OK || (status = write_seal(node)) != OK ||
        (status = node_census_flush(node)) != OK)
        return status;
    if ((status = store_commit_turn(&node->txn)) != OK)
        return status;
    node_out_drop(node);
    return roster_load(node);
}

static enum status open_transport(struct node *node)
{
    char host[ADDRESS_SIZE];
    char control_path[sizeof node->dir + sizeof CONTROL_PATH_SUFFIX];
    struct transport_config config = { .admit = roster_admit, .context = node };
    enum status status;

    if (node->listen[0] != '\0') {
        if ((status = address_parse(node->listen, host, sizeof host, &config.listen_port)) !=
            OK)
            return status;
        config.listen_host = host;
    }
    config.control_path = node->config.control_path;
    if (config.control_path == NULL) {
        const int length =
            snprintf(control_path, sizeof control_path, "%s%s", node->dir, CONTROL_PATH_SUFFIX);

        ASSERT(length > 0 && (size_t)length < sizeof control_path);
        config.control_path = control_path;
    } else if (config.control_path[0] == '\0') {
        config.control_path = NULL;
    }
    memcpy(config.curve_public, node->identity.curve_public, KEY_SIZE);
    memcpy(config.curve_secret, node->identity.curve_secret, KEY_SIZE);
    return transport_open(&config, &node->transport);
}

static void start_timers(struct node *node)
{
    const int64_t now = node_now(node);

    node->started_ms = now;
    node->tick_at_ms = INT64_MAX;
    node->beat_at_ms = now + 200;
    node->vector_at_ms = now + VECTOR_AFTER_CHANGE_MS;
    node->sweep_more = true;
    node->daily_at_ms = now + 5000;
    node->replica.random_state = randombytes_random() | 1u;
    node->replica.next_request = (uint64_t)randombytes_random() << 20;
}

static enum status open_parts(struct node *node)
{
    enum status status;
    long pid = 0;

    if ((status = directory_lock(node->dir, &node->lock_fd, &pid)) != OK)
        return status;
    (void)sodium_mlock(&node->identity, sizeof node->identity); /* is never swapped out */
    if ((status = identity_load(node->dir, &node->identity)) != OK)
        return status;
    (void)crypto_generichash(node->id_set->key, ID_SET_KEY_SIZE, node->identity.sign.secret,
                             sizeof node->identity.sign.secret, NULL, 0); /* nobody knows it */
    status = store_open(
        node->dir, node->config.store_size != 0 ? node->config.store_size : STORE_SIZE_DEFAULT,
        &node->store);
    if (status != OK)
        return status;
    if ((status = load_identity_of_federation(node)) != OK)
        return status;
    if (node->config.listen != NULL) {
        if (strlen(node->config.listen) >= sizeof node->listen)
            return TOO_LARGE;
        memcpy(node->listen, node->config.listen, strlen(node->config.listen) + 1);
    }
    if ((status = count_boot(node)) != OK)
        return status;
    start_timers(node);
    if ((status = node_load(node)) != OK || (status = epoch_check_marker(node)) != OK ||
        (status = found_roster(node)) != OK)
        return status;
    if ((status = open_transport(node)) != OK)
        return status;
    roster_dial(node);
    return OK;
}

static void set_limits(struct node_config *config)
{
    if (config->chunk_changes_max == 0)
        config->chunk_changes_max = EVENT_CHANGES_MAX;
    if (config->delta_one_turn_max == 0)
        config->delta_one_turn_max = DELTA_ONE_TURN_MAX;
    if (config->rows_per_slice == 0)
        config->rows_per_slice = ROWS_PER_SLICE;
}

enum status node_open(const struct node_config *config, struct node **out_node)
{
    struct node *node = calloc(1, sizeof *node);
    enum status status;

    if (node == NULL)
        return NO_MEMORY;
    node->lock_fd = -1;
    node->config = *config;
    set_limits(&node->config);
    if (strlen(config->dir) >= sizeof node->dir - sizeof CONTROL_PATH_SUFFIX) {
        free(node);
        return TOO_LARGE;
    }
    memcpy(node->dir, config->dir, strlen(config->dir) + 1);
    node->config.dir = node->dir;
    mp_writer_init_heap(&node->writer, CONTROL_SIZE_MAX);
    node->replica.feeds = node->feed_pointers;
    node->replica.peers = node->peers;
    node->id_set = calloc(1, sizeof *node->id_set);
    node->changes = calloc(EVENT_CHANGES_MAX, sizeof *node->changes);
    node->erasure = calloc(1, sizeof *node->erasure);
    node->disclosure = calloc(1, sizeof *node->disclosure);
    node->keys = calloc(1, sizeof *node->keys);
    status = node->id_set == NULL || node->changes == NULL || node->erasure == NULL ||
                     node->disclosure == NULL || node->keys == NULL
                 ? NO_MEMORY
                 : open_parts(node);
    if (status != OK) {
        node_close(&node);
        return status;
    }
    *out_node = node;
    return OK;
}

void node_close(struct node **node_pointer)
{
    struct node *node = *node_pointer;

    if (node == NULL)
        return;
    store_abort(&node->txn);
    node_out_drop(node);
    free(node->out);
    control_backup_end(node);
    control_drop_all(node);
    jobs_drop_all(node);
    surplus_forget(node);
    serve_drop_all(node);
    write_forget(node);
    free(node->batch);
    for (size_t i = 0; i < node->replica.feed_count; i++) {
        node_drop_parked(node->feeds[i]);
        free(node->feeds[i]);
    }
    for (size_t i = 0; i < node->replica.peer_count; i++)
        free(node->peers[i]);
    for (size_t i = 0; i < node->roster_count; i++)
        free(node->roster[i]);
    free(node->roster);
    transport_close(&node->transport);
    store_close(&node->store);
    (void)sodium_munlock(&node->identity, sizeof node->identity); /* and wiped */
    directory_unlock(&node->lock_fd);
    mp_writer_done(&node->writer);
    free(node->id_set);
    free(node->changes);
    if (node->erasure != NULL)
        sodium_memzero(node->erasure, sizeof *node->erasure);
    free(node->erasure);
    free(node->disclosure);
    if (node->keys != NULL)
        sodium_memzero(node->keys, sizeof *node->keys);
    free(node->keys);
    free(node);
    *node_pointer = NULL;
}

/* --- the turn ----------------------------------------------------------------------------- */

static void dispatch(struct node *node, const struct transport_message *message)
{
    switch (message->kind) {
    case TRANSPORT_PEER:
        sync_on_peer(node, message);
        break;
    case TRANSPORT_PUBLISHED:
        sync_on_published(node, message);
        break;
    case TRANSPORT_CONTROL:
        control_on_message(node, message);
        break;
    case TRANSPORT_UP:
        sync_on_link_up(node, message);
        break;
    case TRANSPORT_DOWN:
    case TRANSPORT_DENIED:
        sync_on_link_down(node, message);
        break;
    case TRANSPORT_FLOOD:
        measure_flood(node, message->key);
        break;
    }
}

static void drain(struct node *node)
{
    struct transport_message message;
    size_t bytes = 0;

    for (int i = 0; i < TURN_MESSAGES_MAX && bytes < TURN_BYTES_MAX && !node->turn_failed;
         i++) {
        if (node->out_bytes > OUT_BYTES_MAX || store_rows_put(&node->txn) >= TURN_ROWS_MAX ||
            transport_receive(node->transport, &message) != OK)
            return;
        bytes += message.data.size;
        dispatch(node, &message);
    }
}

/* What the dropped turn derived from marks that are rolled back now. */
static void forget_derived(struct node *node)
{
    struct node_feed *own = node->feeds[node->own_feed];
    const int64_t now = node_now(node);

    node->vector_known = false;
    node->tick_due = true;
    own->beat.size = 0;
    memset(&own->replica.beat, 0, sizeof own->replica.beat);
    node->beat_at_ms = now;
    for (size_t i = 0; i < node->replica.feed_count; i++)
        for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
            node->feeds[i]->replica.tier[tier].retry_at_ms = now + RETRY_MS_MIN;
}

/* The turn did not happen: say so, and take everything from the store again. */
static enum status turn_dropped(struct node *node, enum status status)
{
    store_abort(&node->txn);
    if (!BUG(DROPPED_TURN_SENT))
        node_out_drop(node);
    if (!BUG(BATCH_KEPT))
        write_forget(node);
    if (!BUG(CENSUS_KEPT))
        node_census_forget(node);
    node->turn_failed = false;
    node->roster_changed = false;
    node->counters.commits_failed++;
    if (status == NO_SPACE) {
        if (node->full_since_ms == 0)
            log_event(LOG_ERROR,
                      "event=store_full used=%llu remedy=\"free space on the disk of"
                      " %s, or raise store_size\"",
                      (unsigned long long)store_used_bytes(node->store), node->dir);
        node->full_since_ms = node_now(node);
    } else if (status == REFUSED) {
        log_event(LOG_WARNING, "event=turn_dropped remedy=\"nothing to do: what was just being"
                               " written was refused, since this chapter must recover\"");
    } else {
        log_event(LOG_ERROR, "event=turn_failed status=%s remedy=\"check the disk of %s\"",
                  status_name(status), node->dir);
    }
    if (status == IO)
        return status; /* after one failed sync LMDB goes on succeeding: stop here */
    serve_drop_all(node);
    control_fail_all(node, status);
    forget_derived(node);
    return BUG(NO_RELOAD) ? OK : node_load(node);
}

static enum status commit(struct node *node)
{
    enum status status = node->turn_failed ? node->turn_error : OK;

    if (status == OK)
        status = write_seal(node);
    if (status == OK && node->turn_failed)
        status = node->turn_error;
    if (BUG(SENT_BEFORE_COMMIT))
        node_out_flush(node);
    if (status == OK && node->txn.handle != NULL && node->txn.writing) {
        if ((status = node_census_flush(node)) == OK && (status = removals_flush(node)) == OK)
            status = store_commit_turn(&node->txn);
        if (status == OK) {
            node->counters.turns++;
            node->full_since_ms = 0;
        }
    }
    if (status != OK)
        return turn_dropped(node, status);
    store_abort(&node->txn);
    node_out_flush(node);
    if (node->roster_changed && !BUG(ROSTER_NOT_READ)) {
        node->roster_changed = false;
        if ((status = roster_load(node)) != OK || (status = keys_follow(node)) != OK)
            return status;
        roster_dial(node);
        node->tick_due = true;
    }
    if ((status = cleared_turn(node)) != OK)
        return status;
    store_abort(&node->txn);
    node_out_flush(node);
    return OK;
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t wait_ms(struct node *node, int64_t timeout_ms, bool more)
{
    const int64_t now = node_now(node);
    int64_t due = more || node->tick_due ? now : node->tick_at_ms;

    due = earliest(due, sync_next_ms(node));
    due = earliest(due, epoch_next_ms(node));
    due = earliest(due, control_next_ms(node));
    due = earliest(due, jobs_next_ms(node));
    due = earliest(due, horizon_next_ms(node));
    due = earliest(due, keys_next_ms(node));
    due = earliest(due, cleared_next_ms(node));
    due = earliest(due, serve_next_ms(node));
    if (node->full_since_ms != 0 && due < node->full_since_ms + FULL_PAUSE_MS)
        due = node->full_since_ms + FULL_PAUSE_MS;
    due = due > now ? due - now : 0;
    return timeout_ms < 0 ? due : earliest(due, timeout_ms);
}

enum status node_turn(struct node *node, int64_t timeout_ms)
{
    const enum status waited =
        transport_wait(node->transport, wait_ms(node, timeout_ms, node->more));

    if (waited != OK && waited != TIMEOUT && waited != AGAIN)
        return waited;
    drain(node);
    if (!node->turn_failed) {
        epoch_turn(node);
        standing_turn(node);
        surplus_turn(node);
        write_begin_feed(node);
        sync_timers(node);
        control_timers(node);
        plan_if_due(node);
        node->more = false;
        if (node->full_since_ms == 0 || node_now(node) >= node->full_since_ms + FULL_PAUSE_MS) {
            node->more |= pull_merge_slice(node);
            node->more |= persons_slice(node);
            keys_turn(node);
            erase_plan(node);
            disclosure_plan(node);
            horizon_turn(node);
            node->more |= jobs_turn(node);
            cleared_prepare(node);
        }
        /* What is served ends with a head: it covers what this turn has written. */
        if (node_turn_fails(node, write_seal(node)) == OK)
            node->more |= serve_turn(node);
    }
    return commit(node);
}
