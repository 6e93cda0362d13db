/* SPDX-License-Identifier: MPL-2.0 */
/* invitation.c - invitations as HQ keeps them: under the hash of their secret. */
#include "daemon/invitation.h"

#include <string.h>

#define INVITATION_VERSION 4
#define INVITATION_SIZE_MAX 1024
#define KEPT_S (30ull * 24 * 3600) /* after it expired: for a late reply, and to tell why */

/* [4, code, name, country, expires, used, sign key, curve key, records_max, bytes_max, approve,
 * waiting, address, rekey]; keys and address are of who used it or waits */
enum status invitation_put(struct store_txn *txn, const uint8_t hash[HASH_SIZE],
                           const struct invitation *invitation)
{
    uint8_t bytes[INVITATION_SIZE_MAX];
    struct mp_writer writer;

    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_array(&writer, 14);
    mp_write_uint(&writer, INVITATION_VERSION);
    mp_write_text(&writer, invitation->code);
    mp_write_text(&writer, invitation->name);
    mp_write_text(&writer, invitation->country);
    mp_write_uint(&writer, invitation->expires);
    mp_write_bool(&writer, invitation->used);
    mp_write_bin(&writer, invitation->sign_key, KEY_SIZE);
    mp_write_bin(&writer, invitation->curve_key, KEY_SIZE);
    mp_write_uint(&writer, invitation->records_max);
    mp_write_uint(&writer, invitation->bytes_max);
    mp_write_bool(&writer, invitation->approve);
    mp_write_bool(&writer, invitation->waiting);
    mp_write_text(&writer, invitation->address);
    mp_write_bool(&writer, invitation->rekey);
    if (writer.status != OK)
        return writer.status;
    return store_put_invite(txn, hash, mp_writer_bytes(&writer));
}

enum status invitation_read(struct slice value, struct invitation *out_invitation)
{
    static const size_t counts[] = { 0, 8, 10, 13, 14 };
    struct invitation invitation;
    struct mp_reader reader;
    uint64_t version;
    size_t count;

    memset(&invitation, 0, sizeof invitation);
    mp_reader_init(&reader, value);
    count = mp_read_array(&reader, 14);
    version = mp_read_uint(&reader, INVITATION_VERSION);
    if (version == 0 || count != counts[version])
        mp_fail(&reader, INVALID);
    mp_read_text(&reader, invitation.code, sizeof invitation.code);
    mp_read_text(&reader, invitation.name, sizeof invitation.name);
    mp_read_text(&reader, invitation.country, sizeof invitation.country);
    invitation.expires = mp_read_uint(&reader, UINT64_MAX);
    invitation.used = mp_read_bool(&reader);
    mp_read_bin_exact(&reader, invitation.sign_key, KEY_SIZE);
    mp_read_bin_exact(&reader, invitation.curve_key, KEY_SIZE);
    invitation.records_max =
        version < 2 ? FEED_RECORDS_MAX_DEFAULT : mp_read_uint(&reader, UINT64_MAX);
    invitation.bytes_max =
        version < 2 ? FEED_BYTES_MAX_DEFAULT : mp_read_uint(&reader, UINT64_MAX);
    if (version >= 3) {
        invitation.approve = mp_read_bool(&reader);
        invitation.waiting = mp_read_bool(&reader);
        mp_read_text(&reader, invitation.address, sizeof invitation.address);
    }
    if (version >= 4)
        invitation.rekey = mp_read_bool(&reader);
    if (mp_reader_finish(&reader) != OK)
        return STORE_DAMAGED;
    *out_invitation = invitation;
    return OK;
}

bool invitation_is_open(const struct invitation *invitation, uint64_t now_s)
{
    return !invitation->used && invitation->expires > now_s;
}

void invitation_id(const uint8_t hash[HASH_SIZE], char out_id[INVITATION_ID_SIZE])
{
    hex_format(hash, INVITATION_ID_SIZE / 2, out_id);
}

enum status invitation_find_open(struct store_txn *txn, uint64_t now_s,
                                 struct invitations_open *out_open)
{
    struct invitations_open open = { 0 };
    uint8_t hash[HASH_SIZE];
    struct invitation invitation;
    struct slice value;
    enum status status = store_next_invite(txn, NULL, hash, &value);

    while (status == OK) {
        if ((status = invitation_read(value, &invitation)) != OK)
            return status;
        if (invitation_is_open(&invitation, now_s)) {
            open.count++;
            open.waiting += invitation.waiting;
            if (invitation.expires > open.until)
                open.until = invitation.expires;
        }
        status = store_next_invite(txn, hash, hash, &value);
    }
    if (status != NOT_FOUND)
        return status;
    *out_open = open;
    return OK;
}

enum status invitation_find(struct store_txn *txn, const char *id, uint8_t out_hash[HASH_SIZE],
                            struct invitation *out_invitation)
{
    char text[INVITATION_ID_SIZE];
    struct slice value;
    enum status status = store_next_invite(txn, NULL, out_hash, &value);

    while (status == OK) {
        invitation_id(out_hash, text);
        if (strcmp(text, id) == 0)
            return invitation_read(value, out_invitation);
        status = store_next_invite(txn, out_hash, out_hash, &value);
    }
    return status;
}

enum status invitation_of(struct node *node, const char *code,
                          struct invitation *out_invitation)
{
    struct store_txn *txn = node_reading(node);
    uint8_t hash[HASH_SIZE];
    struct slice value;
    enum status status =
        txn == NULL ? node->turn_error : store_next_invite(txn, NULL, hash, &value);

    while (status == OK) {
        struct invitation invitation;

        if ((status = invitation_read(value, &invitation)) != OK)
            return status;
        if (strcmp(invitation.code, code) == 0 &&
            invitation_is_open(&invitation, (uint64_t)(clock_wall_ms() / 1000))) {
            *out_invitation = invitation;
            return OK;
        }
        status = store_next_invite(txn, hash, hash, &value);
    }
    return status;
}

enum status invitation_sweep(struct node *node)
{
    const uint64_t now_s = (uint64_t)(clock_wall_ms() / 1000);
    uint8_t hash[HASH_SIZE];
    struct invitation invitation;
    struct slice value;
    enum status status;

    if (node_writing(node) == NULL)
        return node->turn_error;
    status = store_next_invite(&node->txn, NULL, hash, &value);
    while (status == OK) {
        if ((status = invitation_read(value, &invitation)) == OK &&
            now_s > invitation.expires && now_s - invitation.expires > KEPT_S)
            status = store_delete_invite(&node->txn, hash);
        if (status == OK)
            status = store_next_invite(&node->txn, hash, hash, &value);
    }
    return node_turn_fails(node, status == NOT_FOUND ? OK : status);
}
