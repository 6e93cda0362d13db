/* SPDX-License-Identifier: MPL-2.0 */
/* keys.c - rotation of signing keys. */
#include "daemon/keys.h"
#include "daemon/replication.h"
#include "daemon/write.h"

#include "daemon/invitation.h"
#include "daemon/write_internal.h"

#include <sodium.h>
#include <string.h>

#define ASK_MS 2000

static const struct feed_mark *own_mark(const struct node *node)
{
    return &node->feeds[node->own_feed]->replica.feed.tier[TIER_FEDERATION];
}

static struct slice bytes_of(const struct signed_succession *succession)
{
    return slice_of(succession->bytes, succession->size);
}

/* --- HQ's chain --------------------------------------------------------------------------- */

const uint8_t *keys_of_hq(const struct node *node, uint64_t epoch, uint64_t seq)
{
    const struct keys *keys = node->keys;
    const uint8_t *key = node->genesis.sign_key;

    for (size_t i = 0; i < keys->count; i++)
        if (feed_compare(epoch, seq, keys->read[i].until_epoch, keys->read[i].until_seq) > 0)
            key = keys->read[i].sign_key;
    return key;
}

static const uint8_t *newest_of_hq(const struct node *node)
{
    const struct keys *keys = node->keys;

    return keys->count == 0 ? node->genesis.sign_key : keys->read[keys->count - 1].sign_key;
}

/* Where the succession takes its place; the recovery key's word replaces that of a thief. */
static bool place_of(const struct node *node, struct slice bytes,
                     const struct succession *succession, size_t *out_place,
                     bool *out_recovered)
{
    const struct keys *keys = node->keys;
    const bool recovered = succession_verify(bytes, node->genesis.recovery_key) == OK;
    size_t place = keys->count;

    while (place > 0 && recovered && !keys->recovered[place - 1] &&
           feed_compare(keys->read[place - 1].until_epoch, keys->read[place - 1].until_seq,
                        succession->until_epoch, succession->until_seq) >= 0)
        place--;
    *out_place = place;
    *out_recovered = recovered;
    if (place == SUCCESSIONS_MAX ||
        (place > 0 &&
         feed_compare(keys->read[place - 1].until_epoch, keys->read[place - 1].until_seq,
                      succession->until_epoch, succession->until_seq) >= 0))
        return false;
    return recovered || succession_verify(bytes, newest_of_hq(node)) == OK;
}

static void put_in_chain(struct keys *keys, size_t place, struct slice bytes,
                         const struct succession *succession, bool recovered)
{
    memcpy(keys->chain[place].bytes, bytes.data, bytes.size);
    keys->chain[place].size = (uint16_t)bytes.size;
    keys->read[place] = *succession;
    keys->recovered[place] = recovered;
    keys->count = place + 1;
}

static enum status store_chain(struct node *node)
{
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };
    const struct keys *keys = node->keys;

    if (node_writing(node) == NULL)
        return node->turn_error;
    mp_writer_init_heap(&writer, KEYS_SIZE_MAX);
    mp_write_array(&writer, keys->count);
    for (size_t i = 0; i < keys->count; i++)
        mp_write_bin(&writer, keys->chain[i].bytes, keys->chain[i].size);
    return writer.status == OK
               ? store_put_meta(&node->txn, META_HQ_KEYS, mp_writer_bytes(&writer))
               : writer.status;
}

static bool is_known(const struct keys *keys, struct slice bytes)
{
    for (size_t i = 0; i < keys->count; i++)
        if (slice_equal(bytes_of(&keys->chain[i]), bytes))
            return true;
    return false;
}

/* False if it is none that leads on. */
static bool extend(struct node *node, struct slice bytes, const struct succession *succession)
{
    bool recovered = false;
    size_t place = 0;

    if (!place_of(node, bytes, succession, &place, &recovered))
        return false;
    put_in_chain(node->keys, place, bytes, succession, recovered);
    return true;
}

/* --- keys that this chapter gave up ------------------------------------------------------- */

static enum status load_void_keys(struct node *node, struct store_txn *txn)
{
    struct keys *keys = node->keys;
    struct mp_reader reader;
    struct slice value;
    enum status status = store_get_meta(txn, META_VOID_KEYS, &value);

    keys->void_count = 0;
    if (status != OK)
        return status == NOT_FOUND ? OK : status;
    mp_reader_init(&reader, value);
    keys->void_count = mp_read_array(&reader, VOID_KEYS_MAX);
    for (size_t i = 0; i < keys->void_count; i++) {
        struct void_key *key = &keys->voids[i];

        mp_read_array_exact(&reader, 3);
        key->epoch = mp_read_uint(&reader, EPOCH_MAX);
        key->seq = mp_read_uint(&reader, SEQ_MAX);
        mp_read_bin_exact(&reader, key->key, KEY_SIZE);
    }
    return reader.status == OK ? OK : STORE_DAMAGED;
}

static enum status store_void_keys(struct node *node)
{
    const struct keys *keys = node->keys;
    uint8_t bytes[VOID_KEYS_SIZE_MAX];
    struct mp_writer writer;

    if (node_writing(node) == NULL)
        return node->turn_error;
    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_array(&writer, keys->void_count);
    for (size_t i = 0; i < keys->void_count; i++) {
        mp_write_array(&writer, 3);
        mp_write_uint(&writer, keys->voids[i].epoch);
        mp_write_uint(&writer, keys->voids[i].seq);
        mp_write_bin(&writer, keys->voids[i].key, KEY_SIZE);
    }
    return store_put_meta(&node->txn, META_VOID_KEYS, mp_writer_bytes(&writer));
}

/* The present key is about to be given up; up to where it was good is known once it is. */
static enum status give_up_key(struct node *node)
{
    struct keys *keys = node->keys;

    for (size_t i = 0; i < keys->void_count; i++)
        if (memcmp(keys->voids[i].key, node->identity.sign.public_key, KEY_SIZE) == 0)
            return OK;
    if (keys->void_count == VOID_KEYS_MAX)
        memmove(keys->voids, keys->voids + 1, --keys->void_count * sizeof *keys->voids);
    memset(&keys->voids[keys->void_count], 0, sizeof *keys->voids);
    memcpy(keys->voids[keys->void_count++].key, node->identity.sign.public_key, KEY_SIZE);
    return store_void_keys(node);
}

/* Whatever a former key signs beyond the head that I have now is not mine. */
static void note_where_void(struct node *node)
{
    struct keys *keys = node->keys;
    const struct feed_mark *mine = own_mark(node);
    bool noted = false;

    for (size_t i = 0; i < keys->void_count; i++) {
        struct void_key *key = &keys->voids[i];

        if (key->epoch != 0 || mine->seq == 0 ||
            memcmp(key->key, node->identity.sign.public_key, KEY_SIZE) == 0)
            continue;
        key->epoch = mine->epoch;
        key->seq = mine->seq;
        noted = true;
    }
    if (noted)
        (void)node_turn_fails(node, store_void_keys(node));
}

bool keys_signed_once(const struct node *node, struct slice envelope, const struct head *head,
                      bool *out_void)
{
    const struct keys *keys = node->keys;

    *out_void = false;
    for (size_t i = 0; i < keys->void_count; i++) {
        if (keys->voids[i].epoch != head->epoch ||
            head_verify(envelope, keys->voids[i].key) != OK)
            continue;
        *out_void = head->seq > keys->voids[i].seq;
        return true;
    }
    return false;
}

/* --- loading ------------------------------------------------------------------------------ */

enum status keys_load(struct node *node, struct store_txn *txn)
{
    struct keys *keys = node->keys;
    struct mp_reader reader;
    struct slice value;
    size_t count;
    enum status status = store_get_meta(txn, META_HQ_KEYS, &value);

    keys->count = 0;
    keys->changing = false;
    if (status == OK) {
        mp_reader_init(&reader, value);
        count = mp_read_array(&reader, SUCCESSIONS_MAX);
        for (size_t i = 0; i < count; i++) {
            const struct slice bytes = mp_read_bin(&reader, SUCCESSION_SIZE_MAX);
            struct succession succession;

            if (reader.status != OK || succession_read(bytes, &succession) != OK ||
                !extend(node, bytes, &succession))
                return STORE_DAMAGED;
        }
    }
    if (status != OK && status != NOT_FOUND)
        return status;
    if ((status = load_void_keys(node, txn)) != OK)
        return status;
    status = identity_load_next(node->dir, &keys->next);
    keys->has_next = status == OK;
    return status == NOT_FOUND ? OK : status;
}

/* --- is it in force? ---------------------------------------------------------------------- */

static const uint8_t *own_key_in_force(const struct node *node)
{
    const struct roster_node *place = roster_find(node, node->code);

    if (node->is_hq)
        return newest_of_hq(node);
    return place == NULL ? node->identity.sign.public_key : place->entry.sign_key;
}

bool keys_in_force(const struct node *node)
{
    return memcmp(own_key_in_force(node), node->identity.sign.public_key, KEY_SIZE) == 0;
}

bool keys_wait(const struct node *node)
{
    const struct keys *keys = node->keys;

    return keys->changing || (keys->has_next && memcmp(own_key_in_force(node),
                                                       keys->next.public_key, KEY_SIZE) == 0);
}

void keys_explain_former(const struct node *node, const char **out_error,
                         const char **out_remedy)
{
    *out_error = node->is_hq ? "this directory has a former signing key of HQ"
                             : "this directory has a former signing key of this chapter";
    *out_remedy = node->is_hq ? "bring the newest keys back; or stop the daemon, move"
                                " DIR/keys/sign away, and: chapterd recover --dir DIR, with the"
                                " recovery key"
                              : "bring the newest keys back, or ask HQ: chapterctl chapters"
                                " rekey";
}

/* The own newest head is still signed by a former key, or HQ's own entry names that. */
static bool must_show(const struct node *node)
{
    const struct roster_node *place = node->is_hq ? roster_find(node, "hq") : NULL;
    const struct store_feed *record = &node->feeds[node->own_feed]->record;
    const struct signed_head *head = &record->tier[TIER_FEDERATION].head;

    if (place != NULL && place->present &&
        memcmp(place->entry.sign_key, node->identity.sign.public_key, KEY_SIZE) != 0)
        return true;
    return head->size != 0 &&
           head_verify(signed_head_bytes(head), node->identity.sign.public_key) != OK;
}

/* The former key is good as long as HQ holds no head of the new one. */
static bool is_open(const struct roster_entry *entry)
{
    return entry->former_epoch != 0 && entry->former_seq == 0;
}

enum status keys_follow(struct node *node)
{
    struct keys *keys = node->keys;
    enum status status;

    /* A backup that is being written reads the present one. */
    if (keys->has_next && !control_backup_runs(node) &&
        memcmp(keys->next.public_key, own_key_in_force(node), KEY_SIZE) == 0) {
        if ((status = identity_promote_next(node->dir)) != OK)
            return status;
        node->identity.sign = keys->next;
        sodium_memzero(&keys->next, sizeof keys->next);
        keys->has_next = false;
        log_event(LOG_NOTICE, "event=key_in_force chapter=%s", node->code);
    }
    keys->changing = false;
    keys->must_show = must_show(node);
    keys->open_formers = false;
    for (size_t i = 0; i < node->roster_count; i++)
        keys->open_formers |= is_open(&node->roster[i]->entry);
    return OK;
}

/* --- telling others ----------------------------------------------------------------------- */

static void send_succession(struct node *node, const struct link *link, struct slice bytes)
{
    struct mp_writer *writer = node_writer(node);

    wire_write_key(writer, bytes);
    node_send(node, link->handle, mp_writer_bytes(writer));
}

static void pass_on(struct node *node, struct slice bytes)
{
    struct mp_writer *writer = node_writer(node);

    wire_write_key(writer, bytes);
    node_publish(node, "", mp_writer_bytes(writer));
    for (size_t i = 0; i < node->link_count; i++)
        if (node->links[i].dialled && node->links[i].up)
            node_send(node, node->links[i].handle, mp_writer_bytes(writer));
}

/* --- rotating ----------------------------------------------------------------------------- */

static enum status objection(enum status status, const char *error, const char **out_error)
{
    *out_error = error;
    return status;
}

static enum status rotate_hq(struct node *node, const struct sign_key *by,
                             const char **out_error)
{
    struct succession succession = { .code = "hq" };
    struct signed_succession envelope;
    enum status status;

    /* What this turn wrote is the old key's last word. */
    if ((status = write_seal(node)) != OK)
        return objection(node_turn_fails(node, status), "the store cannot be written",
                         out_error);
    memcpy(succession.federation, node->federation, HASH_SIZE);
    succession.until_epoch = own_mark(node)->epoch;
    succession.until_seq = own_mark(node)->seq;
    succession_sign(&succession, by, &node->keys->next, &envelope);
    if (!extend(node, bytes_of(&envelope), &succession))
        return objection(REFUSED, "HQ's key was changed too often, or just now", out_error);
    if ((status = store_chain(node)) != OK)
        return objection(node_turn_fails(node, status), "the store cannot be written",
                         out_error);
    node->keys->changing = true;
    node->roster_changed = true; /* then it is put in force */
    pass_on(node, bytes_of(&envelope));
    return OK;
}

enum status keys_rotate(struct node *node, const struct sign_key *recovery,
                        const char **out_error)
{
    struct keys *keys = node->keys;
    enum status status;

    if (recovery != NULL && !node->is_hq)
        return objection(REFUSED, "only HQ has a recovery key", out_error);
    if (recovery != NULL &&
        memcmp(recovery->public_key, node->genesis.recovery_key, KEY_SIZE) != 0)
        return objection(REFUSED, "that is not the recovery key of this federation", out_error);
    if (keys->changing || keys->must_show)
        return objection(AGAIN, "a key is just being changed", out_error);
    if (!keys->has_next) {
        identity_make_sign_key(&keys->next);
        if ((status = identity_store_next(node->dir, &keys->next)) != OK)
            return objection(status, "the new key cannot be written to the directory's keys",
                             out_error);
        keys->has_next = true;
    }
    keys->ask_at_ms = 0;
    return node->is_hq
               ? rotate_hq(node, recovery != NULL ? recovery : &node->identity.sign, out_error)
               : OK;
}

/* --- each turn ---------------------------------------------------------------------------- */

static void ask_hq(struct node *node)
{
    const uint32_t hq = node_peer_index(node, "hq");
    const struct link *link = hq == NO_PEER ? NULL : node_link_of_peer(node, hq);
    struct succession succession = { .until_seq = 0 };
    struct signed_succession envelope;

    if (node_now(node) < node->keys->ask_at_ms)
        return;
    node->keys->ask_at_ms = node_now(node) + ASK_MS;
    if (link == NULL || node_turn_fails(node, give_up_key(node)) != OK)
        return; /* durable, before HQ hears of it */
    memcpy(succession.federation, node->federation, HASH_SIZE);
    memcpy(succession.code, node->code, CODE_SIZE);
    succession_sign(&succession, &node->identity.sign, &node->keys->next, &envelope);
    send_succession(node, link, bytes_of(&envelope));
}

/* A head, so that all see the new key at work: at HQ its own entry, which names the key. */
static void show(struct node *node)
{
    const char *error;
    const char *remedy;
    enum status status;

    node->keys->must_show = must_show(node); /* a new epoch's first head may have */
    if (!node->keys->must_show || write_ready(node, &error, &remedy) != OK ||
        (node->batch != NULL && node->batch->open && node->batch->changes != 0))
        return;
    if (node->is_hq) {
        struct roster_entry entry = roster_find(node, "hq")->entry;

        memcpy(entry.sign_key, node->identity.sign.public_key, KEY_SIZE);
        if ((status = write_roster(node, &entry)) == OK)
            status = write_seal(node);
    } else if ((status = batch_open(node)) == OK) {
        node->batch->seq++;
        status = sign_batch(node);
    }
    if (node_turn_fails(node, status) == OK)
        node->keys->must_show = false;
}

/* The former key is worth nothing from the new one's first head on. */
static void close_formers(struct node *node)
{
    for (size_t i = 0; i < node->roster_count; i++) {
        struct roster_entry entry = node->roster[i]->entry;
        const uint32_t index = node_feed_index(node, entry.code);
        const struct feed_mark *mark;

        if (!is_open(&entry) || index == NO_PEER)
            continue;
        mark = &node->feeds[index]->replica.feed.tier[TIER_FEDERATION];
        if (mark->prev_seq == 0 ||
            head_verify(signed_head_bytes(&node->feeds[index]->record.tier[0].head),
                        entry.sign_key) != OK)
            continue;
        entry.former_epoch = mark->epoch;
        entry.former_seq = mark->prev_seq;
        if (write_roster(node, &entry) != OK)
            return;
        roster_amend(node, &entry);
        log_event(LOG_NOTICE, "event=former_key_void chapter=%s seq=%llu", entry.code,
                  (unsigned long long)entry.former_seq);
    }
}

void keys_turn(struct node *node)
{
    const char *error;
    const char *remedy;

    if (node->keys->has_next && !node->is_hq && keys_in_force(node))
        ask_hq(node);
    /* While it is changing, only memory says so: the commit may still fail, or be the end. */
    if (node->keys->has_next && (!node->keys->changing || BUG(KEY_IN_FORCE_EARLY)) &&
        !node->turn_failed)
        (void)node_turn_fails(node, keys_follow(node));
    if (node->keys->void_count != 0)
        note_where_void(node);
    if (node->keys->must_show)
        show(node);
    if (node->is_hq && node->keys->open_formers && !node->turn_failed &&
        write_ready(node, &error, &remedy) == OK)
        close_formers(node);
}

int64_t keys_next_ms(const struct node *node)
{
    if (!node->keys->has_next || node->is_hq)
        return INT64_MAX;
    if (keys_wait(node))
        return node_now(node) + ASK_MS;
    return keys_in_force(node) ? node->keys->ask_at_ms : INT64_MAX;
}

/* --- what others say ---------------------------------------------------------------------- */

void keys_greet(struct node *node, const struct link *link)
{
    for (size_t i = 0; i < node->keys->count; i++)
        send_succession(node, link, bytes_of(&node->keys->chain[i]));
}

static void on_succession_of_hq(struct node *node, struct slice bytes,
                                const struct succession *succession)
{
    if (is_known(node->keys, bytes))
        return;
    if (node->is_hq || !extend(node, bytes, succession)) {
        node->counters.events_refused++;
        return;
    }
    if (node_turn_fails(node, store_chain(node)) != OK)
        return;
    log_event(LOG_NOTICE, "event=hq_key_changed until=%llu",
              (unsigned long long)succession->until_seq);
    pass_on(node, bytes);
    sync_recheck_beat(node, node_feed_index(node, "hq"));
    node->tick_due = true;
}

static bool key_is_free(const struct node *node, const uint8_t key[KEY_SIZE])
{
    for (size_t i = 0; i < node->roster_count; i++)
        if (memcmp(node->roster[i]->entry.sign_key, key, KEY_SIZE) == 0 ||
            memcmp(node->roster[i]->entry.former_key, key, KEY_SIZE) == 0)
            return false;
    return true;
}

static void on_succession_of_chapter(struct node *node, struct slice bytes,
                                     const struct succession *succession)
{
    struct roster_entry entry = roster_find(node, succession->code)->entry;
    const char *error;
    const char *remedy;

    if (memcmp(entry.sign_key, succession->sign_key, KEY_SIZE) == 0)
        return; /* asked again: the roster says so already */
    if (succession_verify(bytes, entry.sign_key) != OK ||
        !key_is_free(node, succession->sign_key)) {
        node->counters.events_refused++;
        log_event(LOG_WARNING, "event=key_refused chapter=%s", entry.code);
        return;
    }
    if (write_ready(node, &error, &remedy) != OK || is_open(&entry) ||
        !measure_entry(node, node_peer_index(node, entry.code)))
        return; /* it asks again */
    memcpy(entry.former_key, entry.sign_key, KEY_SIZE);
    memcpy(entry.sign_key, succession->sign_key, KEY_SIZE);
    entry.former_epoch = entry.epoch;
    entry.former_seq = 0;
    if (write_roster(node, &entry) != OK)
        return;
    roster_amend(node, &entry);
    log_event(LOG_NOTICE, "event=key_changed chapter=%s", entry.code);
}

void keys_on_message(struct node *node, const struct link *link, struct slice message)
{
    const char *sender = node->peers[link->peer]->code;
    struct succession succession;
    struct slice bytes;

    if (wire_read_key(message, &bytes) != OK || succession_read(bytes, &succession) != OK ||
        memcmp(succession.federation, node->federation, HASH_SIZE) != 0) {
        node->counters.messages_malformed++;
        return;
    }
    if (strcmp(succession.code, "hq") == 0)
        on_succession_of_hq(node, bytes, &succession);
    else if (node->is_hq && strcmp(succession.code, sender) == 0)
        on_succession_of_chapter(node, bytes, &succession);
    else
        node->counters.peers_refused++;
}
