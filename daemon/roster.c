/* SPDX-License-Identifier: MPL-2.0 */
/* roster.c - who belongs, with which keys, and whom to dial: HQ's feed of chapter records. */
#include "daemon/keys.h"
#include "daemon/replication.h"

#include <stdlib.h>
#include <string.h>

static int compare_nodes(const void *a, const void *b)
{
    const struct roster_node *const *left = a;
    const struct roster_node *const *right = b;

    return strcmp((*left)->entry.code, (*right)->entry.code);
}

static enum status roster_push(struct node *node, const struct roster_entry *entry,
                               bool present)
{
    struct roster_node **grown;
    struct roster_node *added;

    if (node->roster_count >= ORIGINS_MAX)
        return TOO_LARGE;
    grown = realloc(node->roster, (node->roster_count + 1) * sizeof *grown);
    if (grown == NULL)
        return NO_MEMORY;
    node->roster = grown;
    if ((added = calloc(1, sizeof *added)) == NULL)
        return NO_MEMORY;
    added->entry = *entry;
    added->present = present;
    node->roster[node->roster_count++] = added;
    return OK;
}

/* The limits may have been raised: look again at once. */
static void resume_paused(struct node_feed *feed)
{
    if (!feed->over_quota)
        return;
    feed->over_quota = false;
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++) {
        feed->replica.tier[tier].failures = 0;
        feed->replica.tier[tier].retry_at_ms = 0;
    }
}

/* What an entry says of its feed; a head that the origin signs later is not taken. */
static void put_in_force(struct node *node, const struct roster_entry *entry)
{
    const uint32_t index = node_feed_make(node, entry->code);
    struct feed_term term;

    if (index == NO_PEER)
        return;
    roster_term_of(node, entry->code, &term);
    node->feeds[index]->replica.fetchable =
        entry->state == CHAPTER_ENROLLED || entry->until_seq != 0;
    replica_set_end(&node->replica, index, &term);
    resume_paused(node->feeds[index]);
    sync_recheck_beat(node, index);
}

/* Keys that are admitted to my ports. */
struct admitted {
    uint8_t key[ORIGINS_MAX][KEY_SIZE];
    size_t count;
};

static void list_admitted(const struct node *node, struct admitted *out)
{
    out->count = 0;
    for (size_t i = 0; i < node->roster_count; i++)
        if (node->roster[i]->entry.state == CHAPTER_ENROLLED)
            memcpy(out->key[out->count++], node->roster[i]->entry.curve_key, KEY_SIZE);
}

/* The handshake asks once: a connection of who lost his place goes on until it is cut. */
static void cut_if_somebody_left(struct node *node, const struct admitted *before)
{
    for (size_t i = 0; i < before->count && node->cut_at_ms == 0; i++) {
        const struct roster_node *found = roster_find_key(node, before->key[i]);

        if (found == NULL || found->entry.state != CHAPTER_ENROLLED)
            node->cut_at_ms = node_now(node) + CUT_AFTER_MS;
    }
}

static void roster_clear(struct node *node)
{
    for (size_t i = 0; i < node->roster_count; i++)
        free(node->roster[i]);
    node->roster_count = 0;
}

/* What the token or init told: enough to reach HQ and to sign before HQ's feed is here. */
static enum status add_known(struct node *node)
{
    struct roster_entry entry;
    enum status status;

    if (roster_find(node, "hq") == NULL) {
        memset(&entry, 0, sizeof entry);
        memcpy(entry.code, "hq", 3);
        memcpy(entry.name, node->genesis.name, sizeof entry.name);
        memcpy(entry.sign_key, node->genesis.sign_key, KEY_SIZE);
        memcpy(entry.curve_key, node->hq_curve, KEY_SIZE);
        memcpy(entry.address, node->hq_address, sizeof entry.address);
        entry.epoch = 1;
        entry.instance = 1;
        if ((status = roster_push(node, &entry, false)) != OK)
            return status;
    }
    if (roster_find(node, node->code) == NULL) {
        memset(&entry, 0, sizeof entry);
        memcpy(entry.code, node->code, CODE_SIZE);
        memcpy(entry.name, node->code, CODE_SIZE);
        memcpy(entry.sign_key, node->identity.sign.public_key, KEY_SIZE);
        memcpy(entry.curve_key, node->identity.curve_public, KEY_SIZE);
        entry.epoch = 1;
        entry.instance = 1;
        return roster_push(node, &entry, false);
    }
    return OK;
}

static enum status read_entries(struct node *node, struct store_txn *txn, uint32_t number)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    struct change change;
    enum status status;

    status = store_cursor_open(txn, number, TIERS_FEDERATION, 0, &cursor);
    if (status != OK)
        return status;
    while ((status = store_cursor_next(&cursor, &change)) == OK) {
        struct roster_entry entry;

        if (change.type != RECORD_CHAPTER || value_is_removal(change.value[TIER_FEDERATION]))
            continue;
        if (roster_entry_read(change.value[TIER_FEDERATION], &entry) != OK) {
            log_event(LOG_WARNING, "event=roster_entry_ignored seq=%llu",
                      (unsigned long long)change.seq);
            continue;
        }
        if ((status = roster_push(node, &entry, true)) != OK)
            return status;
    }
    return status == NOT_FOUND ? OK : status;
}

/* HQ's feed holds organisations, too: its own roster is small and read only when it changed. */
enum status roster_load(struct node *node)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    const uint32_t hq = node_feed_index(node, "hq");
    struct admitted before;
    enum status status;

    list_admitted(node, &before);
    roster_clear(node);
    ASSERT(hq != NO_PEER);
    if (node->feeds[hq]->record.tier[TIER_FEDERATION].number != 0) {
        if ((status = store_begin_read(node->store, &txn)) != OK)
            return status;
        status = read_entries(node, &txn, node->feeds[hq]->record.tier[TIER_FEDERATION].number);
        if (status != OK)
            return status;
    }
    if ((status = add_known(node)) != OK)
        return status;
    qsort(node->roster, node->roster_count, sizeof *node->roster, compare_nodes);
    for (size_t i = 0; i < node->roster_count; i++)
        put_in_force(node, &node->roster[i]->entry);
    cut_if_somebody_left(node, &before);
    return OK;
}

void roster_amend(struct node *node, const struct roster_entry *entry)
{
    struct admitted before;

    list_admitted(node, &before);
    for (size_t i = 0; i < node->roster_count; i++)
        if (strcmp(node->roster[i]->entry.code, entry->code) == 0)
            node->roster[i]->entry = *entry;
    put_in_force(node, entry);
    cut_if_somebody_left(node, &before);
}

const struct roster_node *roster_find(const struct node *node, const char *code)
{
    for (size_t i = 0; i < node->roster_count; i++)
        if (strcmp(node->roster[i]->entry.code, code) == 0)
            return node->roster[i];
    return NULL;
}

const struct roster_node *roster_find_key(const struct node *node,
                                          const uint8_t curve_key[KEY_SIZE])
{
    for (size_t i = 0; i < node->roster_count; i++)
        if (memcmp(node->roster[i]->entry.curve_key, curve_key, KEY_SIZE) == 0)
            return node->roster[i];
    return NULL;
}

void roster_term_of(const struct node *node, const char *code, struct feed_term *out_term)
{
    const struct roster_node *found = roster_find(node, code);

    memset(out_term, 0, sizeof *out_term);
    if (found == NULL)
        return;
    out_term->epoch = found->entry.epoch;
    out_term->instance = found->entry.instance;
    out_term->closed_seq = found->entry.closed_seq;
    memcpy(out_term->closed_hash, found->entry.closed_hash, HASH_SIZE);
    out_term->ended = found->entry.state != CHAPTER_ENROLLED;
    out_term->revoked = found->entry.state == CHAPTER_REVOKED;
    out_term->until_epoch = found->entry.until_epoch;
    out_term->until_seq = found->entry.until_seq;
    /* Nobody stands above HQ but its recovery key. */
    if (strcmp(code, "hq") != 0 || node->closure.epoch < out_term->epoch)
        return;
    out_term->epoch = node->closure.epoch;
    out_term->instance = node->closure.instance;
    out_term->closed_seq = node->closure.closed_seq;
    memcpy(out_term->closed_hash, node->closure.closed_hash, HASH_SIZE);
}

static bool former_is_good(const struct roster_entry *entry, uint64_t epoch, uint64_t seq)
{
    static const uint8_t none[KEY_SIZE] = { 0 };

    if (memcmp(entry->former_key, none, KEY_SIZE) == 0)
        return false;
    if (BUG(FORMER_KEY_GOOD))
        return true;
    if (entry->former_epoch == 0)
        return epoch < entry->epoch;
    return feed_compare(epoch, seq, entry->former_epoch,
                        entry->former_seq != 0 ? entry->former_seq : UINT64_MAX) <= 0;
}

bool roster_signed(const struct node *node, const char *code, uint64_t epoch, uint64_t seq,
                   struct slice envelope, roster_verify *verify)
{
    const struct roster_node *found;

    if (strcmp(code, "hq") == 0)
        return verify(envelope, keys_of_hq(node, epoch, seq)) == OK ||
               (BUG(FORMER_KEY_OF_HQ_GOOD) && verify(envelope, node->genesis.sign_key) == OK);
    if ((found = roster_find(node, code)) == NULL)
        return false;
    return verify(envelope, found->entry.sign_key) == OK ||
           (former_is_good(&found->entry, epoch, seq) &&
            verify(envelope, found->entry.former_key) == OK);
}

bool roster_head_proven(struct node *node, struct slice envelope, const struct head *head)
{
    struct feed_term term;

    roster_term_of(node, head->origin, &term);
    if (feed_is_closed_head(&term, head->epoch, head->seq, head->hash))
        return true;
    node->counters.signatures_checked++;
    return roster_signed(node, head->origin, head->epoch, head->seq, envelope, head_verify);
}

bool roster_admit(void *context, enum transport_port port, const uint8_t key[KEY_SIZE])
{
    const struct node *node = context;
    const struct roster_node *found = roster_find_key(node, key);

    if (found != NULL)
        return found->entry.state == CHAPTER_ENROLLED || BUG(REVOKED_ADMITTED);
    return port == PORT_ROUTER && node->is_hq && enrol_open(node);
}

/* --- dialling ----------------------------------------------------------------------------- */

static struct link *dialled_link(struct node *node, const uint8_t key[KEY_SIZE],
                                 const char *address)
{
    for (size_t i = 0; i < node->link_count; i++) {
        struct link *link = &node->links[i];

        if (link->dialled && memcmp(link->key, key, KEY_SIZE) == 0 &&
            strcmp(link->address, address) == 0)
            return link;
    }
    return NULL;
}

static void dial(struct node *node, const struct roster_entry *entry, const char *address)
{
    char host[ADDRESS_SIZE];
    transport_link handle;
    struct link *link;
    uint16_t port;

    if (dialled_link(node, entry->curve_key, address) != NULL)
        return;
    if (node->link_count == LINKS_MAX ||
        address_parse(address, host, sizeof host, &port) != OK ||
        transport_dial(node->transport, entry->curve_key, host, port, &handle) != OK) {
        log_event(LOG_WARNING, "event=dial_failed peer=%s address=%s", entry->code, address);
        return;
    }
    link = &node->links[node->link_count++];
    memset(link, 0, sizeof *link);
    link->handle = handle;
    link->dialled = true;
    link->since_ms = node_now(node);
    memcpy(link->key, entry->curve_key, KEY_SIZE);
    memcpy(link->address, address, strlen(address) + 1);
    link->peer = node_peer_make(node, entry->code);
}

static const char *address_of(const struct node *node, const struct roster_entry *entry)
{
    if (strcmp(entry->code, "hq") == 0 && entry->address[0] == '\0')
        return node->hq_address;
    return entry->address;
}

static void hang_up_others(struct node *node, const struct roster_entry *const *wanted,
                           size_t count)
{
    for (size_t i = 0; i < node->link_count;) {
        struct link *link = &node->links[i];
        bool keep = !link->dialled;
        uint32_t peer;

        for (size_t k = 0; k < count && !keep; k++)
            keep = memcmp(wanted[k]->curve_key, link->key, KEY_SIZE) == 0 &&
                   strcmp(address_of(node, wanted[k]), link->address) == 0;
        if (keep) {
            i++;
            continue;
        }
        peer = link->peer;
        transport_hang_up(node->transport, link->handle);
        *link = node->links[--node->link_count];
        sync_peer_maybe_down(node, peer);
    }
}

/* Whoever still belongs dials again at once; the others are refused. */
static void forget_in_links(struct node *node)
{
    for (size_t i = 0; i < node->link_count;) {
        const uint32_t peer = node->links[i].peer;

        if (node->links[i].dialled) {
            i++;
            continue;
        }
        node->links[i] = node->links[--node->link_count];
        sync_peer_maybe_down(node, peer);
    }
}

void roster_cut(struct node *node)
{
    const enum status status = transport_cut_all(node->transport);

    node->cut_at_ms = 0;
    node->counters.cuts++;
    forget_in_links(node);
    if (status != OK)
        log_event(LOG_WARNING,
                  "event=rebind_failed status=%s remedy=\"it is tried again each second; see"
                  " which program took the ports of %s\"",
                  status_name(status), node->listen);
}

void roster_dial(struct node *node)
{
    const struct roster_entry *entries[ORIGINS_MAX];
    const struct roster_entry *wanted[PEERS_DIALLED_MAX];
    size_t indices[PEERS_DIALLED_MAX];
    size_t count;

    for (size_t i = 0; i < node->roster_count; i++)
        entries[i] = &node->roster[i]->entry;
    count = peer_choose(node->code, entries, node->roster_count, indices);
    for (size_t i = 0; i < count; i++)
        wanted[i] = entries[indices[i]];
    hang_up_others(node, wanted, count);
    for (size_t i = 0; i < count; i++)
        dial(node, wanted[i], address_of(node, wanted[i]));
}
