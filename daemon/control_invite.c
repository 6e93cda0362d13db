/* SPDX-License-Identifier: MPL-2.0 */
/* control_invite.c - invite, and what becomes of invitations: list, approve, revoke. */
#include "daemon/control_internal.h"
#include "daemon/invitation.h"

#include <string.h>

#define TTL_S_MAX (366ull * 86400)

/* --- invite ------------------------------------------------------------------------------- */

/* Text of an argument, or what stands for it. */
static bool text_argument(const struct argument *argument, const char *otherwise, char *out,
                          size_t size)
{
    return slice_copy_text(argument->given ? argument->text : slice_of_text(otherwise), out,
                           size);
}

static void write_token(struct mp_writer *writer, const char *code, uint64_t expires,
                        const char *token)
{
    mp_write_map(writer, 3);
    mp_write_key_text(writer, "chapter", code);
    mp_write_text(writer, "expires");
    control_write_time(writer, expires);
    mp_write_key_text(writer, "token", token);
}

enum status control_invite(struct control_wait *request, struct mp_writer *writer)
{
    const struct argument *ttl = ARGUMENT(request, ttl_s);
    const struct argument *records_max = ARGUMENT(request, records_max);
    const struct argument *bytes_max = ARGUMENT(request, bytes_max);
    const struct invite_terms terms = { .ttl_s = ttl->number,
                                        .records_max = records_max->number,
                                        .bytes_max = bytes_max->number,
                                        .approve = ARGUMENT(request, approve)->flag };
    const char *code = ARGUMENT(request, chapter)->code;
    struct node *node = request->node;
    const char *error = NULL;
    char token[TOKEN_SIZE_MAX];
    char name[NAME_SIZE_MAX];
    char country[3];
    uint64_t expires = 0;
    enum status status;

    if (!node->is_hq)
        return control_error(request, REFUSED, "ask HQ to run: chapterctl invite CHAPTER",
                             "only HQ invites, and this is the node of %s", node->code);
    if (!text_argument(ARGUMENT(request, name), code, name, sizeof name) ||
        !text_argument(ARGUMENT(request, country), "", country, sizeof country))
        return control_error(request, USAGE, "shorten the name; a country has two letters",
                             "the chapter's name or country is too long");
    if (ttl->given && (ttl->number == 0 || ttl->number > TTL_S_MAX))
        return control_error(request, USAGE, "leave --ttl out for 72 hours",
                             "an invitation is open for at least a second and at most a year");
    if ((records_max->given && records_max->number == 0) ||
        (bytes_max->given && bytes_max->number == 0))
        return control_error(request, USAGE,
                             "leave --records-max and --bytes-max out for 200000"
                             " records and 256M",
                             "a feed's limits are at least one record and one byte");
    status = enrol_invite(node, code, name, country, &terms, token, &expires, &error);
    if (status != OK)
        return control_error(request, status, "chapterctl chapters list", "%s",
                             error != NULL ? error : status_text(status));
    log_event(LOG_NOTICE, "event=invited chapter=%s uid=%lld", code, (long long)request->uid);
    write_token(writer, code, expires, token);
    return OK;
}

/* The same for a chapter that lost its keys: whoever comes with the token takes its place. */
enum status control_chapters_rekey(struct control_wait *request, struct mp_writer *writer)
{
    const struct argument *ttl = ARGUMENT(request, ttl_s);
    const struct invite_terms terms = { .ttl_s = ttl->number,
                                        .approve = ARGUMENT(request, approve)->flag,
                                        .rekey = true };
    const char *code = ARGUMENT(request, chapter)->code;
    struct node *node = request->node;
    const char *error = NULL;
    char token[TOKEN_SIZE_MAX];
    uint64_t expires = 0;
    enum status status;

    if (!node->is_hq)
        return control_error(request, REFUSED, "ask HQ to run: chapterctl chapters rekey",
                             "only HQ gives new keys a place, and this is the node of %s",
                             node->code);
    if (ttl->given && (ttl->number == 0 || ttl->number > TTL_S_MAX))
        return control_error(request, USAGE, "leave --ttl out for 72 hours",
                             "a token is good for at least a second and at most a year");
    status = enrol_invite(node, code, control_chapter_name(node, code), "", &terms, token,
                          &expires, &error);
    if (status != OK)
        return control_error(request, status, "chapterctl chapters list", "%s",
                             error != NULL ? error : status_text(status));
    log_event(LOG_NOTICE, "event=rekey_invited chapter=%s uid=%lld", code,
              (long long)request->uid);
    write_token(writer, code, expires, token);
    return OK;
}

/* --- what becomes of them ----------------------------------------------------------------- */

static const char *state_of(const struct invitation *invitation, uint64_t now_s)
{
    if (invitation->used)
        return "used";
    if (!invitation_is_open(invitation, now_s))
        return "expired";
    return invitation->waiting ? "waiting" : "open";
}

static void write_invitation(struct mp_writer *writer, const uint8_t hash[HASH_SIZE],
                             const struct invitation *invitation)
{
    const bool known = invitation->used || invitation->waiting;
    char id[INVITATION_ID_SIZE];

    invitation_id(hash, id);
    mp_write_map(writer, 7);
    mp_write_key_text(writer, "address", invitation->address);
    mp_write_key_text(writer, "chapter", invitation->code);
    mp_write_text(writer, "expires");
    control_write_time(writer, invitation->expires);
    mp_write_key_text(writer, "id", id);
    mp_write_text(writer, "key");
    if (known)
        control_write_hex(writer, invitation->curve_key, KEY_SIZE);
    else
        mp_write_nil(writer);
    mp_write_key_text(writer, "name", invitation->name);
    mp_write_key_text(writer, "state",
                      state_of(invitation, (uint64_t)(clock_wall_ms() / 1000)));
}

static enum status only_at_hq(struct control_wait *request)
{
    return control_error(request, REFUSED, "ask HQ's operator to run it there",
                         "only HQ has invitations, and this is the node of %s",
                         request->node->code);
}

enum status control_invite_list(struct control_wait *request, struct mp_writer *writer)
{
    CLEANUP(mp_writer_done) struct mp_writer list = { 0 };
    struct store_txn *txn;
    uint8_t hash[HASH_SIZE];
    struct invitation invitation;
    struct slice value;
    size_t count = 0;
    enum status status;

    if (!request->node->is_hq)
        return only_at_hq(request);
    if ((status = control_reading(request, &txn)) != OK)
        return status;
    mp_writer_init_heap(&list, CONTROL_SIZE_MAX);
    status = store_next_invite(txn, NULL, hash, &value);
    while (status == OK && (status = invitation_read(value, &invitation)) == OK) {
        write_invitation(&list, hash, &invitation);
        count++;
        status = store_next_invite(txn, hash, hash, &value);
    }
    if (status != NOT_FOUND)
        return control_store_error(request, status);
    mp_write_map(writer, 1);
    mp_write_text(writer, "invitations");
    mp_write_array(writer, count);
    mp_write_raw(writer, mp_writer_bytes(&list));
    return list.status;
}

/* The invitation that is asked for, which nobody has used. */
static enum status find(struct control_wait *request, uint8_t out_hash[HASH_SIZE],
                        struct invitation *out_invitation)
{
    char id[INVITATION_ID_SIZE] = "";
    struct store_txn *txn;
    enum status status;

    if (!request->node->is_hq)
        return only_at_hq(request);
    if ((status = control_may_write(request)) != OK ||
        (status = control_reading(request, &txn)) != OK)
        return status;
    (void)slice_copy_text(ARGUMENT(request, invitation)->text, id, sizeof id);
    status = invitation_find(txn, id, out_hash, out_invitation);
    if (status == NOT_FOUND)
        return control_error(request, NOT_FOUND, "chapterctl invite list",
                             "there is no such invitation");
    if (status != OK)
        return control_store_error(request, status);
    if (out_invitation->used)
        return control_error(request, REFUSED,
                             "to shut the chapter out: chapterctl chapters"
                             " revoke CHAPTER",
                             "that invitation was used: %s has joined", out_invitation->code);
    return OK;
}

static void answer_invitation(struct mp_writer *writer, const uint8_t hash[HASH_SIZE],
                              const struct invitation *invitation)
{
    mp_write_map(writer, 1);
    mp_write_text(writer, "invitation");
    write_invitation(writer, hash, invitation);
}

enum status control_invite_approve(struct control_wait *request, struct mp_writer *writer)
{
    struct invitation invitation = { .waiting = false };
    uint8_t hash[HASH_SIZE];
    const char *error = NULL;
    enum status status;

    if ((status = find(request, hash, &invitation)) != OK)
        return status;
    if (!invitation.waiting)
        return control_error(request, REFUSED, "wait until the chapter has run: chapterd join",
                             "nobody has asked with that invitation yet");
    status = enrol_approve(request->node, hash, &invitation, &error);
    if (status == AGAIN) {
        request->due_ms = node_now(request->node);
        return AGAIN;
    }
    if (status != OK)
        return control_error(request, status, "chapterctl invite list", "%s", error);
    log_event(LOG_NOTICE, "event=approved chapter=%s uid=%lld", invitation.code,
              (long long)request->uid);
    invitation.used = true;
    answer_invitation(writer, hash, &invitation);
    return OK;
}

enum status control_invite_revoke(struct control_wait *request, struct mp_writer *writer)
{
    struct node *node = request->node;
    struct invitations_open open;
    struct invitation invitation;
    uint8_t hash[HASH_SIZE];
    enum status status;

    if ((status = find(request, hash, &invitation)) != OK)
        return status;
    if (node_writing(node) == NULL)
        return control_store_error(request, node->turn_error);
    if ((status = store_delete_invite(&node->txn, hash)) != OK ||
        (status =
             invitation_find_open(&node->txn, (uint64_t)(clock_wall_ms() / 1000), &open)) != OK)
        return control_store_error(request, node_turn_fails(node, status));
    enrol_note_open(node, &open);
    log_event(LOG_NOTICE, "event=invitation_revoked chapter=%s uid=%lld", invitation.code,
              (long long)request->uid);
    answer_invitation(writer, hash, &invitation);
    return OK;
}
