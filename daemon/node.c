/* SPDX-License-Identifier: MPL-2.0 */
/* node.c - open, load, the turn, close.  Read node_turn first. */
#include "daemon/node_internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define OUT_BYTES_MAX                                                                          \
    (32u * 1024 * 1024) /* unsent bytes at which a turn stops taking more in */
#define ID_SLOTS (2 * EVENT_CHANGES_MAX)
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

/* --- the turn's transaction ------------------------------------------------------------- */

enum status node_turn_fails(struct node *node, enum status status)
{
    if (status != OK && !node->turn_failed) {
        node->turn_failed = true;
        node->turn_error = status;
    }
    return status;
}

struct store_txn *node_reading(struct node *node)
{
    if (node->txn.handle == NULL &&
        node_turn_fails(node, store_begin_read(node->store, &node->txn)) != OK)
        return NULL;
    return &node->txn;
}

struct store_txn *node_writing(struct node *node)
{
    if (node->txn.handle != NULL && node->txn.writing)
        return &node->txn;
    store_abort(&node->txn);
    if (node_turn_fails(node, store_begin_write(node->store, &node->txn)) != OK)
        return NULL;
    return &node->txn;
}

/* --- outgoing --------------------------------------------------------------------------- */

static struct outgoing *out_add(struct node *node, struct slice bytes)
{
    struct outgoing *out;

    if (node->out_count == node->out_capacity) {
        const size_t capacity = node->out_capacity == 0 ? 64 : 2 * node->out_capacity;
        struct outgoing *grown = realloc(node->out, capacity * sizeof *grown);

        if (grown == NULL) {
            node_turn_fails(node, NO_MEMORY);
            return NULL;
        }
        node->out = grown;
        node->out_capacity = capacity;
    }
    out = &node->out[node->out_count];
    memset(out, 0, sizeof *out);
    if ((out->bytes = malloc(bytes.size == 0 ? 1 : bytes.size)) == NULL) {
        node_turn_fails(node, NO_MEMORY);
        return NULL;
    }
    memcpy(out->bytes, bytes.data, bytes.size);
    out->size = bytes.size;
    node->out_count++;
    node->out_bytes += bytes.size;
    return out;
}

void node_send(struct node *node, transport_link link, struct slice bytes)
{
    struct outgoing *out = out_add(node, bytes);

    if (out == NULL)
        return;
    out->kind = OUT_SEND;
    out->link = link;
}

void node_publish(struct node *node, const char *topic, struct slice bytes)
{
    struct outgoing *out;

    if (node->listen[0] == '\0' || (out = out_add(node, bytes)) == NULL)
        return;
    out->kind = OUT_PUBLISH;
    memcpy(out->topic, topic, strlen(topic) + 1);
}

static void out_drop(struct node *node)
{
    for (size_t i = 0; i < node->out_count; i++)
        free(node->out[i].bytes);
    node->out_count = 0;
    node->out_bytes = 0;
}

/* Nothing here is an error: what is lost, hello and want make up for. */
static void out_flush(struct node *node)
{
    for (size_t i = 0; i < node->out_count; i++) {
        const struct outgoing *out = &node->out[i];
        const struct slice bytes = slice_of(out->bytes, out->size);

        if (out->kind == OUT_PUBLISH)
            (void)transport_publish(node->transport, out->topic, bytes);
        else
            (void)transport_send(node->transport, out->link, bytes);
    }
    out_drop(node);
}

/* --- feeds and peers -------------------------------------------------------------------- */

uint32_t node_feed_index(const struct node *node, const char *origin)
{
    for (size_t i = 0; i < node->replica.feed_count; i++)
        if (strcmp(node->feeds[i]->replica.feed.origin, origin) == 0)
            return (uint32_t)i;
    return NO_PEER;
}

uint32_t node_feed_make(struct node *node, const char *origin)
{
    const uint32_t found = node_feed_index(node, origin);
    struct node_feed *feed;

    if (found != NO_PEER)
        return found;
    if (node->replica.feed_count == ORIGINS_MAX || (feed = calloc(1, sizeof *feed)) == NULL)
        return NO_PEER;
    feed_init(&feed->replica.feed, origin);
    memcpy(feed->record.origin, feed->replica.feed.origin, CODE_SIZE);
    feed->replica.own = strcmp(origin, node->code) == 0;
    feed->replica.followed[TIER_FEDERATION] = true;
    feed->replica.followed[TIER_HQ] = node->is_hq || feed->replica.own;
    node->feeds[node->replica.feed_count] = feed;
    node->feed_pointers[node->replica.feed_count] = &feed->replica;
    return (uint32_t)node->replica.feed_count++;
}

uint32_t node_peer_index(const struct node *node, const char *code)
{
    for (size_t i = 0; i < node->replica.peer_count; i++)
        if (strcmp(node->peers[i]->code, code) == 0)
            return (uint32_t)i;
    return NO_PEER;
}

uint32_t node_peer_make(struct node *node, const char *code)
{
    const uint32_t found = node_peer_index(node, code);
    struct replica_peer *peer;

    if (found != NO_PEER)
        return found;
    if (node->replica.peer_count == ORIGINS_MAX || (peer = calloc(1, sizeof *peer)) == NULL)
        return NO_PEER;
    memcpy(peer->code, code, strlen(code) + 1);
    node->peers[node->replica.peer_count] = peer;
    return (uint32_t)node->replica.peer_count++;
}

struct link *node_link_of_peer(struct node *node, uint32_t peer)
{
    struct link *best = NULL;

    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = &node->links[i];

        if (link->peer != peer)
            continue;
        if (link->dialled && link->up)
            return link;
        if (!link->dialled && (best == NULL || link->last_seen_ms >= best->last_seen_ms))
            best = link;
    }
    return best;
}

/* --- census: gathered over the turn ------------------------------------------------------- */

enum status node_census_flush(struct node *node)
{
    enum status status = OK;

    if (node->census_used == 0)
        return OK;
    for (size_t i = 0; i < CENSUS_SLOTS && status == OK; i++) {
        const struct census_slot *slot = &node->census[i];

        if (slot->used && slot->delta != 0)
            status = store_census_add(&node->txn, slot->number, slot->key, slot->delta);
    }
    memset(node->census, 0, sizeof node->census);
    node->census_used = 0;
    return status;
}

enum status node_census_add(struct node *node, uint32_t number,
                            const struct census_delta *delta)
{
    uint32_t hash = number * 2654435761u;
    enum status status;

    if (node->census_used > CENSUS_SLOTS / 2 && (status = node_census_flush(node)) != OK)
        return status;
    for (size_t i = 0; i < CENSUS_KEY_SIZE; i++)
        hash = (hash ^ delta->key[i]) * 16777619u;
    for (size_t i = hash % CENSUS_SLOTS;; i = (i + 1) % CENSUS_SLOTS) {
        struct census_slot *slot = &node->census[i];

        if (!slot->used) {
            slot->used = true;
            slot->number = number;
            memcpy(slot->key, delta->key, CENSUS_KEY_SIZE);
            node->census_used++;
        } else if (slot->number != number ||
                   memcmp(slot->key, delta->key, CENSUS_KEY_SIZE) != 0) {
            continue;
        }
        slot->delta += delta->delta;
        return OK;
    }
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

/* --- loading ------------------------------------------------------------------------------ */

static void drop_parked(struct node_feed *feed)
{
    while (feed->parked != NULL) {
        struct parked_event *next = feed->parked->next;

        free(feed->parked);
        feed->parked = next;
    }
    feed->parked_count = 0;
    feed->parked_bytes = 0;
}

static void load_freeze(struct node_feed *feed)
{
    static const enum feed_freeze freezes[] = { FREEZE_NONE, FREEZE_FORKED, FREEZE_DIVERGED };

    feed->replica.feed.freeze = freezes[feed->record.hold];
    feed->replica.feed.freeze_epoch = feed->record.hold_epoch;
}

static enum status load_heads(struct store_txn *txn, struct node_feed *feed)
{
    struct signed_head heads[HEADS_KEPT];
    size_t count = 0;
    enum status status;

    feed->replica.feed.head_count = 0;
    feed->replica.feed.head_next = 0;
    status = store_list_heads(txn, feed->record.origin, heads, HEADS_KEPT, &count);
    if (status != OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        struct feed_mark mark;
        struct head head;

        if (head_read(signed_head_bytes(&heads[i]), &head) != OK)
            return STORE_DAMAGED;
        feed_mark_of(&head, &mark);
        feed_remember(&feed->replica.feed, &mark);
    }
    return OK;
}

static enum status load_feed(struct node *node, struct store_txn *txn,
                             const struct store_feed *record)
{
    const uint32_t index = node_feed_make(node, record->origin);
    struct node_feed *feed;

    if (index == NO_PEER)
        return NO_MEMORY;
    feed = node->feeds[index];
    feed->record = *record;
    feed->building = false;
    load_freeze(feed);
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        struct feed_mark *mark = &feed->replica.feed.tier[tier];
        struct head head;

        memset(mark, 0, sizeof *mark);
        if (record->tier[tier].head.size == 0)
            continue;
        if (head_read(signed_head_bytes(&record->tier[tier].head), &head) != OK)
            return STORE_DAMAGED;
        feed_mark_of(&head, mark);
    }
    return load_heads(txn, feed);
}

/* A turn that failed may have put marks in memory that the store does not hold: all of them are
 * taken from the store again. */
enum status node_load(struct node *node)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct store_feed record = { .origin = "" };
    enum status status;

    for (size_t i = 0; i < node->replica.feed_count; i++) {
        struct node_feed *feed = node->feeds[i];

        drop_parked(feed);
        memset(feed->replica.feed.tier, 0, sizeof feed->replica.feed.tier);
        memset(&feed->record.tier, 0, sizeof feed->record.tier);
        feed->replica.feed.head_count = 0;
        feed->replica.feed.freeze = FREEZE_NONE;
        feed->building = false;
    }
    if ((status = store_begin_read(node->store, &txn)) != OK)
        return status;
    while ((status = store_next_feed(&txn, record.origin, &record)) == OK)
        if ((status = load_feed(node, &txn, &record)) != OK)
            return status;
    if (status != NOT_FOUND)
        return status;
    node->own_feed = node_feed_make(node, node->code);
    if (node->own_feed == NO_PEER || node_feed_make(node, "hq") == NO_PEER)
        return NO_MEMORY;
    if (node->is_hq && (status = persons_load(node, &txn)) != OK)
        return status;
    store_abort(&txn);
    if (node->is_hq && (status = enrol_load(node)) != OK)
        return status;
    return roster_load(node);
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
    return store_commit_turn(&txn);
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
    out_drop(node);
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

    if ((status = directory_lock(node->dir, &node->lock_fd, &pid)) != OK) {
        if (status == LOCKED)
            log_event(LOG_ERROR, "event=open_failed what=lock pid=%ld", pid);
        return status;
    }
    if ((status = identity_load(node->dir, &node->identity)) != OK)
        return status;
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
    if ((status = node_load(node)) != OK || (status = found_roster(node)) != OK)
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
    node->id_set = calloc(ID_SLOTS, sizeof *node->id_set);
    status = node->id_set == NULL ? NO_MEMORY : open_parts(node);
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
    out_drop(node);
    free(node->out);
    control_drop_all(node);
    jobs_drop_all(node);
    serve_drop_all(node);
    write_forget(node);
    free(node->batch);
    for (size_t i = 0; i < node->replica.feed_count; i++) {
        drop_parked(node->feeds[i]);
        free(node->feeds[i]);
    }
    for (size_t i = 0; i < node->replica.peer_count; i++)
        free(node->peers[i]);
    for (size_t i = 0; i < node->roster_count; i++)
        free(node->roster[i]);
    free(node->roster);
    transport_close(&node->transport);
    store_close(&node->store);
    identity_wipe(&node->identity);
    directory_unlock(&node->lock_fd);
    mp_writer_done(&node->writer);
    free(node->id_set);
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
    }
}

static void drain(struct node *node)
{
    struct transport_message message;

    for (int i = 0; i < TURN_MESSAGES_MAX && !node->turn_failed; i++) {
        if (node->out_bytes > OUT_BYTES_MAX ||
            transport_receive(node->transport, &message) != OK)
            return;
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
    out_drop(node);
    write_forget(node);
    memset(node->census, 0, sizeof node->census);
    node->census_used = 0;
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
    } else {
        log_event(LOG_ERROR, "event=turn_failed status=%s remedy=\"check the disk of %s\"",
                  status_name(status), node->dir);
    }
    if (status == IO)
        return status; /* after one failed sync LMDB goes on succeeding: stop here */
    serve_drop_all(node);
    control_fail_all(node, status);
    forget_derived(node);
    return node_load(node);
}

static enum status commit(struct node *node)
{
    enum status status = node->turn_failed ? node->turn_error : OK;

    if (status == OK)
        status = write_seal(node);
    if (status == OK && node->turn_failed)
        status = node->turn_error;
    if (status == OK && node->txn.handle != NULL && node->txn.writing) {
        if ((status = node_census_flush(node)) == OK)
            status = store_commit_turn(&node->txn);
        if (status == OK) {
            node->counters.turns++;
            node->full_since_ms = 0;
        }
    }
    if (status != OK)
        return turn_dropped(node, status);
    store_abort(&node->txn);
    out_flush(node);
    if (node->roster_changed) {
        node->roster_changed = false;
        if ((status = roster_load(node)) != OK)
            return status;
        roster_dial(node);
        node->tick_due = true;
    }
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
    due = earliest(due, control_next_ms(node));
    due = earliest(due, jobs_next_ms(node));
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
        write_begin_feed(node);
        sync_timers(node);
        control_timers(node);
        plan_if_due(node);
        node->more = false;
        if (node->full_since_ms == 0 || node_now(node) >= node->full_since_ms + FULL_PAUSE_MS) {
            node->more |= pull_merge_slice(node);
            node->more |= persons_slice(node);
            node->more |= jobs_turn(node);
        }
        node->more |= serve_turn(node);
    }
    return commit(node);
}
