/* SPDX-License-Identifier: MPL-2.0 */
/* enrol.c - invitations, and taking in the chapters that come with one (HQ).
 * What the node knows of invitations is in the store; of a secret HQ keeps the hash alone. */
#include "daemon/invitation.h"
#include "daemon/recovery.h"
#include "daemon/replication.h"
#include "daemon/words.h"
#include "daemon/write.h"
#include "proto/country.h"

#include <sodium.h>
#include <string.h>

#define TTL_S_MAX (366ull * 24 * 3600)
#define STRANGERS_PER_SECOND_MAX 10
#define INVITED_PER_SECOND_MAX 100

static uint64_t wall_s(void)
{
    return (uint64_t)(clock_wall_ms() / 1000);
}

/* --- what is open ------------------------------------------------------------------------- */

enum status enrol_load(struct node *node)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct invitations_open open;
    enum status status = store_begin_read(node->store, &txn);

    if (status != OK || (status = invitation_find_open(&txn, wall_s(), &open)) != OK)
        return status;
    enrol_note_open(node, &open);
    return OK;
}

void enrol_note_open(struct node *node, const struct invitations_open *open)
{
    node->invites_open_until = open->until;
    node->invites_waiting = open->waiting;
}

bool enrol_open(const struct node *node)
{
    return node->invites_open_until > wall_s();
}

/* --- inviting ----------------------------------------------------------------------------- */

static enum status objection(enum status status, const char *error, const char **out_error)
{
    *out_error = error;
    return status;
}

static enum status check_invitation(const struct node *node, const char *code, const char *name,
                                    const char *country, uint64_t ttl_s, bool rekey,
                                    const char **out_error)
{
    const struct roster_node *present = roster_find(node, code);

    if (!node->is_hq)
        return objection(REFUSED, "only HQ invites: run this at HQ", out_error);
    if (!code_valid(slice_of_text(code)))
        return objection(INVALID,
                         "a chapter's code is a lower-case letter, then up to 14 of a-z, 0-9"
                         " and -",
                         out_error);
    if (strcmp(code, "hq") == 0)
        return objection(INVALID,
                         rekey ? "hq is HQ's own code: its keys change by keys rotate and"
                                 " chapterd recover"
                               : "hq is HQ's own code: choose another",
                         out_error);
    if (!words_name_valid(name, NAME_SIZE_MAX))
        return objection(
            INVALID, "a name is 1 to 255 bytes of UTF-8 without control characters", out_error);
    if (country[0] != '\0' && !country_valid(slice_of_text(country)))
        return objection(INVALID, "a country is two capital letters of ISO 3166, such as FR",
                         out_error);
    if (ttl_s > TTL_S_MAX)
        return objection(INVALID, "an invitation is open for 366 days at most", out_error);
    if (rekey && present == NULL)
        return objection(NOT_FOUND, "no chapter of that code is in the roster", out_error);
    if (present != NULL && present->entry.state == CHAPTER_ENROLLED && !rekey)
        return objection(EXISTS,
                         "that chapter is enrolled already (a new key for it: chapters rekey)",
                         out_error);
    if (present != NULL && present->entry.state != CHAPTER_ENROLLED)
        return objection(EXISTS,
                         present->entry.state == CHAPTER_REVOKED
                             ? "that chapter is revoked for good: choose another code"
                             : "that chapter is suspended: resume it first (chapters resume)",
                         out_error);
    if (node->roster_count >= ORIGINS_MAX && !rekey)
        return objection(TOO_LARGE, "this federation has as many chapters as it can have",
                         out_error);
    if (node->advertise[0] == '\0')
        return objection(REFUSED,
                         "HQ has no address for others to dial: set listen and"
                         " advertise, and start HQ again",
                         out_error);
    return OK;
}

static void fill_token(const struct node *node, const struct invitation *invitation,
                       struct token *out_token)
{
    const uint32_t hq = node_feed_index(node, "hq");
    const struct feed_mark *roster = &node->feeds[hq]->replica.feed.tier[TIER_FEDERATION];

    memset(out_token, 0, sizeof *out_token);
    memcpy(out_token->code, invitation->code, CODE_SIZE);
    memcpy(out_token->name, invitation->name, NAME_SIZE_MAX);
    memcpy(out_token->address[0], node->advertise, ADDRESS_SIZE);
    out_token->address_count = 1;
    memcpy(out_token->hq_curve_key, node->identity.curve_public, KEY_SIZE);
    memcpy(out_token->genesis, node->genesis_bytes, node->genesis_size);
    out_token->genesis_size = node->genesis_size;
    randombytes_buf(out_token->secret, sizeof out_token->secret);
    out_token->roster_epoch = roster->epoch;
    out_token->roster_seq = roster->seq;
    out_token->expires = invitation->expires;
}

static enum status store_invitation(struct node *node, const struct invitation *invitation,
                                    char out_token[TOKEN_SIZE_MAX], const char **out_error)
{
    struct token token;
    uint8_t hash[HASH_SIZE];
    char text[TOKEN_SIZE_MAX];
    struct invitations_open open;
    enum status status;

    if (node_writing(node) == NULL)
        return objection(node->turn_error, "the store cannot be written", out_error);
    if ((status = invitation_find_open(&node->txn, wall_s(), &open)) != OK)
        return objection(node_turn_fails(node, status), "the store cannot be read", out_error);
    if (open.count >= INVITES_MAX)
        return objection(TOO_LARGE, "too many invitations are open: revoke some (invite list)",
                         out_error);
    fill_token(node, invitation, &token);
    token_secret_hash(token.secret, hash);
    status = token_format(&token, text, sizeof text);
    sodium_memzero(&token, sizeof token);
    if (status != OK)
        return objection(status, "the token would be too long: choose shorter names",
                         out_error);
    if ((status = invitation_put(&node->txn, hash, invitation)) != OK)
        return objection(node_turn_fails(node, status), "the store cannot be written",
                         out_error);
    /* Early if the turn fails: then nobody has the token. */
    if (invitation->expires > node->invites_open_until)
        node->invites_open_until = invitation->expires;
    memcpy(out_token, text, sizeof text);
    sodium_memzero(text, sizeof text);
    return OK;
}

enum status enrol_invite(struct node *node, const char *code, const char *name,
                         const char *country, const struct invite_terms *terms,
                         char out_token[TOKEN_SIZE_MAX], uint64_t *out_expires,
                         const char **out_error)
{
    const uint64_t ttl_s = terms->ttl_s != 0 ? terms->ttl_s : INVITE_TTL_S_DEFAULT;
    struct invitation invitation;
    enum status status;

    if (name == NULL || name[0] == '\0')
        name = code;
    if (country == NULL)
        country = "";
    if ((status =
             check_invitation(node, code, name, country, ttl_s, terms->rekey, out_error)) != OK)
        return status;
    memset(&invitation, 0, sizeof invitation);
    memcpy(invitation.code, code, strlen(code));
    memcpy(invitation.name, name, strlen(name));
    memcpy(invitation.country, country, strlen(country));
    invitation.expires = wall_s() + ttl_s;
    invitation.approve = terms->approve;
    invitation.rekey = terms->rekey;
    invitation.records_max =
        terms->records_max != 0 ? terms->records_max : FEED_RECORDS_MAX_DEFAULT;
    invitation.bytes_max = terms->bytes_max != 0 ? terms->bytes_max : FEED_BYTES_MAX_DEFAULT;
    if ((status = store_invitation(node, &invitation, out_token, out_error)) != OK)
        return status;
    *out_expires = invitation.expires;
    return OK;
}

/* --- enrolling ---------------------------------------------------------------------------- */

static bool same_key(const uint8_t a[KEY_SIZE], const uint8_t b[KEY_SIZE])
{
    return sodium_memcmp(a, b, KEY_SIZE) == 0;
}

static bool is_invited(struct node *node, struct slice message)
{
    uint8_t secret[TOKEN_SECRET_SIZE];
    uint8_t hash[HASH_SIZE];
    struct store_txn *txn;
    struct slice value;

    if (!wire_read_enrol_secret(message, secret) || (txn = node_reading(node)) == NULL)
        return false;
    token_secret_hash(secret, hash);
    sodium_memzero(secret, sizeof secret);
    return store_get_invite(txn, hash, &value) == OK;
}

/* Unknown keys may try as long as an invitation is open.  They get no more than this, and
 * cannot use up what is for those who were invited. */
static bool within_rate(struct node *node, struct slice message)
{
    const bool invited = is_invited(node, message);
    const unsigned most = invited ? INVITED_PER_SECOND_MAX : STRANGERS_PER_SECOND_MAX;
    struct enrol_rate *rate = &node->enrol_rate[invited];
    const int64_t now = node_now(node);

    if (now - rate->second_ms >= 1000) {
        rate->second_ms = now;
        rate->count = 0;
    }
    return ++rate->count <= most;
}

static void reply(struct node *node, transport_link link, enum wire_enrol_result result)
{
    const uint32_t hq = node_feed_index(node, "hq");
    const struct feed_mark *roster = &node->feeds[hq]->replica.feed.tier[TIER_FEDERATION];
    const struct wire_enrolled enrolled = { result, roster->epoch, roster->seq };
    struct mp_writer *writer = node_writer(node);

    wire_write_enrolled(writer, &enrolled);
    node_send(node, link, mp_writer_bytes(writer));
}

/* Form, and what the message says of itself against what the link proved. */
static bool read_message(const uint8_t key[KEY_SIZE], struct slice message,
                         struct wire_enrol *out_enrol)
{
    char host[ADDRESS_SIZE];
    uint16_t port;

    if (wire_read_enrol(message, out_enrol) != OK || out_enrol->version != PROTOCOL_VERSION ||
        !same_key(out_enrol->curve_key, key))
        return false;
    return out_enrol->address[0] == '\0' ||
           (address_parse(out_enrol->address, host, sizeof host, &port) == OK &&
            words_name_valid(host, sizeof host));
}

static void alarm_used(const char *code, const uint8_t first[KEY_SIZE],
                       const uint8_t other[KEY_SIZE])
{
    char first_hex[2 * KEY_SIZE + 1];
    char other_hex[2 * KEY_SIZE + 1];

    hex_format(first, KEY_SIZE, first_hex);
    hex_format(other, KEY_SIZE, other_hex);
    log_event(LOG_ERROR,
              "event=token_used_twice chapter=%s first_key=%s other_key=%s remedy=\"somebody"
              " else has this chapter's token: ask the chapter which key is theirs (chapterd"
              " join prints it)\"",
              code, first_hex, other_hex);
}

/* The same keys get the same answer, however often they ask; only their address may be new. */
static enum wire_enrol_result enrol_again(struct node *node, const struct wire_enrol *enrol)
{
    const struct roster_node *present = roster_find(node, enrol->code);
    struct roster_entry entry;
    uint32_t peer;

    if (present == NULL)
        return ENROL_OK; /* within the turn that took it in */
    /* A token of keys that were replaced, or of a chapter that was shut out, is void. */
    if (present->entry.state != CHAPTER_ENROLLED ||
        !same_key(present->entry.sign_key, enrol->sign_key) ||
        !same_key(present->entry.curve_key, enrol->curve_key))
        return ENROL_UNKNOWN;
    if (strcmp(present->entry.address, enrol->address) == 0)
        return ENROL_OK;
    peer = node_peer_make(node, enrol->code);
    if (peer == NO_PEER || !measure_entry(node, peer))
        return ENROL_NOT_NOW;
    entry = present->entry;
    memset(entry.address, 0, sizeof entry.address);
    memcpy(entry.address, enrol->address, strlen(enrol->address));
    if (write_roster(node, &entry) != OK || node_turn_fails(node, write_seal(node)) != OK)
        return ENROL_NOT_NOW;
    roster_amend(node, &entry);
    log_event(LOG_NOTICE, "event=address_changed chapter=%s address=\"%s\"", entry.code,
              entry.address);
    return ENROL_OK;
}

/* No two places in the roster have a key in common: a key is who somebody is. */
static bool key_is_taken(const struct node *node, const struct wire_enrol *enrol)
{
    for (size_t i = 0; i < node->roster_count; i++) {
        const struct roster_entry *entry = &node->roster[i]->entry;

        if (strcmp(entry->code, enrol->code) != 0 &&
            (same_key(entry->curve_key, enrol->curve_key) ||
             same_key(entry->sign_key, enrol->sign_key)))
            return true;
    }
    return false;
}

static enum status put_entry(struct node *node, const struct wire_enrol *enrol,
                             const struct invitation *invitation)
{
    struct roster_entry entry;
    enum status status;

    memset(&entry, 0, sizeof entry);
    memcpy(entry.code, enrol->code, CODE_SIZE);
    memcpy(entry.name, invitation->name, NAME_SIZE_MAX);
    memcpy(entry.country, invitation->country, sizeof entry.country);
    memcpy(entry.sign_key, enrol->sign_key, KEY_SIZE);
    memcpy(entry.curve_key, enrol->curve_key, KEY_SIZE);
    memcpy(entry.address, enrol->address, strlen(enrol->address));
    entry.state = CHAPTER_ENROLLED;
    entry.epoch = 1;
    entry.instance = 1;
    entry.records_max = invitation->records_max;
    entry.bytes_max = invitation->bytes_max;
    if ((status = write_roster(node, &entry)) != OK)
        return node_turn_fails(node, status);
    /* Sealed at once, so that the answer can name the head that holds the entry. */
    return node_turn_fails(node, write_seal(node));
}

/* The invitation is bound to these keys from now on. */
static enum status keep(struct node *node, const struct wire_enrol *enrol,
                        const uint8_t hash[HASH_SIZE], struct invitation *invitation)
{
    struct invitations_open open;
    enum status status;

    memcpy(invitation->sign_key, enrol->sign_key, KEY_SIZE);
    memcpy(invitation->curve_key, enrol->curve_key, KEY_SIZE);
    memset(invitation->address, 0, sizeof invitation->address);
    memcpy(invitation->address, enrol->address, strlen(enrol->address));
    if (node_writing(node) == NULL)
        return node->turn_error;
    if ((status = invitation_put(&node->txn, hash, invitation)) == OK &&
        (status = invitation_find_open(&node->txn, wall_s(), &open)) == OK)
        enrol_note_open(node, &open);
    return node_turn_fails(node, status);
}

/* HQ's operator compares the keys first. */
static enum wire_enrol_result let_wait(struct node *node, const struct wire_enrol *enrol,
                                       const uint8_t hash[HASH_SIZE],
                                       struct invitation *invitation)
{
    char key[2 * KEY_SIZE + 1];
    char id[INVITATION_ID_SIZE];

    if (invitation->waiting && strcmp(invitation->address, enrol->address) == 0)
        return ENROL_WAITING;
    invitation->waiting = true;
    if (keep(node, enrol, hash, invitation) != OK)
        return ENROL_NOT_NOW;
    hex_format(enrol->curve_key, KEY_SIZE, key);
    invitation_id(hash, id);
    log_event(LOG_NOTICE,
              "event=approval_waits chapter=%s key=%s remedy=\"compare the key with the"
              " chapter's, then: chapterctl invite approve %s\"",
              enrol->code, key, id);
    return ENROL_WAITING;
}

static bool replaces_keys(const struct node *node, const struct wire_enrol *enrol,
                          const struct invitation *invitation)
{
    const struct roster_node *present = roster_find(node, enrol->code);

    return invitation->rekey && present != NULL && present->entry.state == CHAPTER_ENROLLED &&
           !same_key(present->entry.sign_key, enrol->sign_key) &&
           !same_key(present->entry.curve_key, enrol->curve_key);
}

/* The chapter begins anew with these keys, in its next epoch. */
static enum wire_enrol_result replace_keys(struct node *node, const struct wire_enrol *enrol)
{
    struct roster_entry entry = roster_find(node, enrol->code)->entry;
    const struct roster_entry former = entry;
    uint64_t instance = 0;

    while (instance == 0 || instance == entry.instance)
        randombytes_buf(&instance, sizeof instance);
    epoch_close(node, &entry, instance);
    memcpy(entry.former_key, former.sign_key, KEY_SIZE);
    entry.former_epoch = entry.former_seq = 0;
    memcpy(entry.sign_key, enrol->sign_key, KEY_SIZE);
    memcpy(entry.curve_key, enrol->curve_key, KEY_SIZE);
    memset(entry.address, 0, sizeof entry.address);
    memcpy(entry.address, enrol->address, strlen(enrol->address));
    if (write_roster(node, &entry) != OK || node_turn_fails(node, write_seal(node)) != OK)
        return ENROL_NOT_NOW;
    roster_amend(node, &entry); /* whoever has the old keys changes nothing in this turn */
    log_event(LOG_NOTICE, "event=rekeyed chapter=%s epoch=%llu closed_seq=%llu", entry.code,
              (unsigned long long)entry.epoch, (unsigned long long)entry.closed_seq);
    return ENROL_OK;
}

/* Marks the invitation used and puts the entry: one turn, so both or neither. */
static enum wire_enrol_result take_in(struct node *node, const struct wire_enrol *enrol,
                                      const uint8_t hash[HASH_SIZE],
                                      const struct invitation *invitation)
{
    struct invitation used = *invitation;

    if (replaces_keys(node, enrol, invitation) && epoch_is_moving(node, enrol->code))
        return ENROL_NOT_NOW;
    used.used = true;
    used.waiting = false;
    if (keep(node, enrol, hash, &used) != OK)
        return ENROL_NOT_NOW;
    if (replaces_keys(node, enrol, invitation))
        return replace_keys(node, enrol);
    if (roster_find(node, enrol->code) != NULL)
        return enrol_again(node, enrol);
    if (put_entry(node, enrol, invitation) != OK)
        return ENROL_NOT_NOW;
    log_event(LOG_NOTICE, "event=enrolled chapter=%s address=\"%s\"", enrol->code,
              enrol->address);
    return ENROL_OK;
}

/* The roster in memory is that of the last commit, so a turn takes in one chapter at most. */
static bool turn_is_taken(struct node *node)
{
    const uint64_t turn = node->counters.turns + node->counters.commits_failed + 1;

    if (node->enrol_turn == turn)
        return true;
    node->enrol_turn = turn;
    return false;
}

static bool same_keys(const struct invitation *invitation, const struct wire_enrol *enrol)
{
    return same_key(invitation->sign_key, enrol->sign_key) &&
           same_key(invitation->curve_key, enrol->curve_key);
}

static enum wire_enrol_result judge(struct node *node, const struct wire_enrol *enrol)
{
    const struct roster_node *present = roster_find(node, enrol->code);
    struct store_txn *txn = node_reading(node);
    struct invitation invitation;
    uint8_t hash[HASH_SIZE];
    const char *error;
    const char *remedy;
    struct slice value;
    enum status status;

    if (txn == NULL)
        return ENROL_NOT_NOW;
    token_secret_hash(enrol->secret, hash);
    if ((status = store_get_invite(txn, hash, &value)) == OK)
        status = invitation_read(value, &invitation);
    if (status == NOT_FOUND)
        return ENROL_UNKNOWN;
    if (status != OK) {
        (void)node_turn_fails(node, status);
        return ENROL_NOT_NOW;
    }
    if (strcmp(invitation.code, enrol->code) != 0)
        return ENROL_UNKNOWN;
    if (invitation.used && same_keys(&invitation, enrol))
        return enrol_again(node, enrol);
    if (invitation.used || (invitation.waiting && !same_keys(&invitation, enrol))) {
        alarm_used(enrol->code, invitation.curve_key, enrol->curve_key);
        return ENROL_USED;
    }
    if (invitation.expires <= wall_s())
        return ENROL_EXPIRED;
    if (present != NULL && !replaces_keys(node, enrol, &invitation) &&
        (!same_key(present->entry.sign_key, enrol->sign_key) ||
         !same_key(present->entry.curve_key, enrol->curve_key))) {
        alarm_used(enrol->code, present->entry.curve_key, enrol->curve_key);
        return ENROL_USED;
    }
    if (present != NULL && present->entry.state != CHAPTER_ENROLLED)
        return ENROL_UNKNOWN;
    if (key_is_taken(node, enrol))
        return ENROL_MALFORMED;
    if (invitation.approve)
        return let_wait(node, enrol, hash, &invitation);
    if (write_ready(node, &error, &remedy) != OK ||
        (node->roster_count >= ORIGINS_MAX && present == NULL) || turn_is_taken(node))
        return ENROL_NOT_NOW;
    return take_in(node, enrol, hash, &invitation);
}

enum status enrol_approve(struct node *node, const uint8_t hash[HASH_SIZE],
                          const struct invitation *invitation, const char **out_error)
{
    struct wire_enrol enrol = { .version = PROTOCOL_VERSION };

    memcpy(enrol.code, invitation->code, CODE_SIZE);
    memcpy(enrol.sign_key, invitation->sign_key, KEY_SIZE);
    memcpy(enrol.curve_key, invitation->curve_key, KEY_SIZE);
    memcpy(enrol.address, invitation->address, ADDRESS_SIZE);
    if (roster_find(node, enrol.code) != NULL && !replaces_keys(node, &enrol, invitation))
        return objection(EXISTS, "that chapter is in the roster already", out_error);
    if (key_is_taken(node, &enrol))
        return objection(EXISTS, "another chapter has one of these keys", out_error);
    if (node->roster_count >= ORIGINS_MAX || turn_is_taken(node))
        return objection(AGAIN, "another chapter is just being taken in", out_error);
    if (take_in(node, &enrol, hash, invitation) != ENROL_OK)
        return objection(node->turn_failed ? node->turn_error : REFUSED,
                         "the store cannot be written", out_error);
    return OK;
}

static const char *reason_name(enum wire_enrol_result result)
{
    switch (result) {
    case ENROL_UNKNOWN:
        return "unknown_invitation";
    case ENROL_EXPIRED:
        return "expired";
    case ENROL_NOT_NOW:
        return "not_now";
    default:
        return "malformed";
    }
}

void enrol_on_message(struct node *node, transport_link link, const uint8_t key[KEY_SIZE],
                      struct slice message)
{
    struct wire_enrol enrol;
    enum wire_enrol_result result;

    if (!within_rate(node, message)) {
        node->counters.peers_refused++;
        return;
    }
    if (!read_message(key, message, &enrol)) {
        node->counters.messages_malformed++;
        reply(node, link, ENROL_MALFORMED);
        return;
    }
    result = judge(node, &enrol);
    sodium_memzero(enrol.secret, sizeof enrol.secret);
    if (result != ENROL_OK && result != ENROL_USED && result != ENROL_WAITING)
        log_event(result == ENROL_NOT_NOW ? LOG_NOTICE : LOG_WARNING,
                  "event=enrol_refused chapter=%s reason=%s", enrol.code, reason_name(result));
    reply(node, link, result);
}
