/* SPDX-License-Identifier: MPL-2.0 */
/* invitation.h - at HQ: invitations in the store, and chapters' places in the roster. */
#ifndef CHAPTERD_INVITATION_H
#define CHAPTERD_INVITATION_H

#include "daemon/node_internal.h"

/* --- invitation.c (HQ) --- */
#define INVITATION_ID_SIZE 13 /* 12 digits of its hash, and a NUL */
struct invitations_open {
    uint64_t until; /* the latest expiry, s since 1970; 0: none is open */
    size_t count;
    size_t waiting;
};
struct invitation {
    char code[CODE_SIZE];
    char name[NAME_SIZE_MAX];
    char country[3];
    uint64_t expires;
    uint64_t records_max; /* of the feed, for the roster entry */
    uint64_t bytes_max;
    bool used;
    bool approve;               /* HQ's operator decides, once somebody asked */
    bool waiting;               /* for that */
    bool rekey;                 /* the chapter is enrolled: its keys are replaced */
    uint8_t sign_key[KEY_SIZE]; /* of who used it, or waits */
    uint8_t curve_key[KEY_SIZE];
    char address[ADDRESS_SIZE];
};
enum status invitation_put(struct store_txn *txn, const uint8_t hash[HASH_SIZE],
                           const struct invitation *invitation) MUST_CHECK;
enum status invitation_read(struct slice value, struct invitation *out_invitation) MUST_CHECK;
/* Neither used nor expired. */
bool invitation_is_open(const struct invitation *invitation, uint64_t now_s);
void invitation_id(const uint8_t hash[HASH_SIZE], char out_id[INVITATION_ID_SIZE]);
enum status invitation_find_open(struct store_txn *txn, uint64_t now_s,
                                 struct invitations_open *out_open) MUST_CHECK;
/* NOT_FOUND */
enum status invitation_find(struct store_txn *txn, const char *id, uint8_t out_hash[HASH_SIZE],
                            struct invitation *out_invitation) MUST_CHECK;
/* Forgets those that expired long ago. */
enum status invitation_sweep(struct node *node) MUST_CHECK;

/* --- enrol.c (HQ) --- */
/* An open invitation (neither used nor expired) of that chapter; NOT_FOUND. */
enum status invitation_of(struct node *node, const char *code,
                          struct invitation *out_invitation) MUST_CHECK;
void enrol_note_open(struct node *node, const struct invitations_open *open);
/* Takes in the chapter that waits; on failure *out_error is for people. */
enum status enrol_approve(struct node *node, const uint8_t hash[HASH_SIZE],
                          const struct invitation *invitation,
                          const char **out_error) MUST_CHECK;

/* --- standing.c (HQ): a chapter's place in the roster --- */
/* On failure *out_error is for people. */
enum status standing_change(struct node *node, const char *code, enum chapter_state state,
                            const char **out_error) MUST_CHECK;
struct standing_edit {
    const char *name;    /* NULL: as it is */
    const char *country; /* NULL: as it is; "": none */
    bool has_records_max;
    bool has_bytes_max;
    uint64_t records_max; /* 0: any number */
    uint64_t bytes_max;   /* of each tier; 0: any number */
};
enum status standing_edit(struct node *node, const char *code, const struct standing_edit *edit,
                          const char **out_error) MUST_CHECK;
/* Each turn.  Nothing stays of a chapter that was revoked before HQ held anything of it.  And
 * HQ, restored from an older copy, may lack the head at which it closed an epoch before, or
 * have gone beyond it: where nobody holds it any more the epoch is closed again, where HQ
 * stands, for the same instance. */
void standing_turn(struct node *node);

#endif
