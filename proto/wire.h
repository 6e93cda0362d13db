/* SPDX-License-Identifier: MPL-2.0 */
/* wire.h - the messages between nodes, as structs; each is one MessagePack array whose first
 * element is its type.  PROTOCOL.md gives every byte, vectors/ an example of each.
 *
 * Readers check form and bounds, never meaning; slices point into the message.  Lists inside a
 * message stay encoded and are walked with wire_next_*, so that nothing is allocated. */
#ifndef CHAPTERD_PROTO_WIRE_H
#define CHAPTERD_PROTO_WIRE_H

#include "proto/head.h"
#include "proto/record.h"

enum wire_type {
    WIRE_HELLO = 1,
    WIRE_EVENT = 2,
    WIRE_BEAT = 3,
    WIRE_VECTOR = 4,
    WIRE_WANT = 5,
    WIRE_CHANGES = 6,
    WIRE_CREDIT = 7,
    WIRE_EVIDENCE = 8,
    WIRE_REFUSAL = 9,
    WIRE_ENROL = 10,
    WIRE_ENROLLED = 11,
    WIRE_EPOCH_REQUEST = 12,
    WIRE_EPOCH_REPLY = 13,
    WIRE_OFFER = 14,
    WIRE_SETTLED = 15,
    WIRE_CLOSURE = 16,
    WIRE_CLEARED = 17,
    WIRE_KEY = 18,
    WIRE_TYPE_LAST = WIRE_KEY
};

/* A list that is still encoded: count elements, to be read one by one from reader. */
struct wire_list {
    struct mp_reader reader;
    size_t count; /* left */
};

/* [1, version, capabilities, federation, code, reply, entries]
 * Sent by the dialler when a link is up, answered with reply = true; again by either side
 * whenever the vectors seem to differ.  capabilities: bits, unknown ones ignored. */
struct wire_hello {
    uint64_t version;
    uint64_t capabilities;
    uint8_t federation[HASH_SIZE];
    char code[CODE_SIZE]; /* the sender; the link's proven key must be this chapter's */
    bool reply;           /* true: an answer, not to be answered */
    struct wire_list entries;
};
/* [origin, epoch, seq, hash, hq_epoch, hq_seq, beat envelope or nil]: what the sender has */
struct wire_hello_entry {
    char origin[CODE_SIZE];
    uint64_t epoch; /* 0: nothing yet */
    uint64_t seq;
    uint8_t hash[HASH_SIZE];
    uint64_t hq_epoch; /* tier hq; 0 if not held */
    uint64_t hq_seq;
    struct slice beat; /* SLICE_NONE if none */
};

/* [2, tiers, since, head envelope, [changes]]: leads from since (or later) to the head. */
struct wire_event {
    unsigned tiers; /* TIERS_FEDERATION or TIERS_BOTH */
    uint64_t since;
    struct slice head;
    struct wire_list changes;
};

/* [3, beat envelope] */
struct wire_beat {
    struct slice beat;
};

/* [4, hash]: BLAKE2b-256 over the sender's vector, see wire_vector_hash */
struct wire_vector {
    uint8_t hash[HASH_SIZE];
};

/* [5, request, origin, epoch, since, hash, tiers, credit]: epoch and since 0 ask for a
 * snapshot. */
struct wire_want {
    uint64_t request; /* chosen by the asker, echoed in the answer */
    char origin[CODE_SIZE];
    uint64_t epoch;
    uint64_t since;
    uint8_t hash[HASH_SIZE]; /* of the asker's head; zeros if none */
    unsigned tiers;
    uint64_t credit; /* chunks that may be under way */
};

/* [6, request, index, origin, epoch, since, base, tiers, [changes], head envelope or nil]
 * The chunk that carries the head is the last. */
struct wire_changes {
    uint64_t request;
    uint64_t index; /* from 0 */
    char origin[CODE_SIZE];
    uint64_t epoch;
    uint64_t since; /* 0: the list is the whole state */
    uint64_t base;  /* the responder's seq when it began */
    unsigned tiers;
    struct wire_list changes;
    struct slice head; /* SLICE_NONE before the last chunk */
};

/* [7, request, chunks]: that many more chunks may be sent */
struct wire_credit {
    uint64_t request;
    uint64_t chunks;
};

/* [8, head envelope, head envelope or nil]: two heads that conflict, or one that the receiver
 * may hold a conflicting one to. */
struct wire_evidence {
    struct slice head[2];
};

/* [9, request, reason] in answer to a want */
enum wire_refusal_reason {
    REFUSAL_NOTHING_NEWER = 1, /* than the asker's state */
    REFUSAL_NOT_HELD = 2,      /* no finished feed, or not that tier */
    REFUSAL_BUSY = 3,
    REFUSAL_RESTARTED = 4 /* horizon or epoch moved: ask again */
};
struct wire_refusal {
    uint64_t request;
    uint64_t reason;
};

/* [10, version, secret, code, sign key, curve key, address or "", signature]: the signature is
 * by the sign key, over "chapterd enrol 1" (16 bytes) || every byte of the message before the
 * signature itself (that is, all but its last 64 bytes). */
#define TOKEN_SECRET_SIZE 32
struct wire_enrol {
    uint64_t version;
    uint8_t secret[TOKEN_SECRET_SIZE];
    char code[CODE_SIZE];
    uint8_t sign_key[KEY_SIZE];
    uint8_t curve_key[KEY_SIZE];
    char address[ADDRESS_SIZE];
};

/* [11, result, roster epoch, roster seq] */
enum wire_enrol_result {
    ENROL_OK = 0,
    ENROL_UNKNOWN = 1, /* no such invitation */
    ENROL_EXPIRED = 2,
    ENROL_USED = 3,    /* by other keys */
    ENROL_WAITING = 4, /* for HQ's approval; ask again */
    ENROL_MALFORMED = 5,
    ENROL_NOT_NOW = 6 /* HQ cannot write; ask again */
};
struct wire_enrolled {
    uint64_t result;
    uint64_t roster_epoch;
    uint64_t roster_seq;
};

/* [12, instance, head envelope or nil]: a chapter asks HQ to close its epoch
 * and to open the next for a fresh instance. */
struct wire_epoch_request {
    uint64_t instance;
    struct slice head; /* where it stands; SLICE_NONE if it has nothing */
};

/* [13, instance, answer]: answer is an enum epoch_answer (daemon/core/epoch.h). */
struct wire_epoch_reply {
    uint64_t instance;
    uint64_t answer;
};

/* [14, tiers, head envelope]: I keep the state of your feed at this head of a closed epoch,
 * which the new one may lack. */
struct wire_offer {
    unsigned tiers;
    struct slice head;
};

/* [15, head hash]: what was offered is dealt with, and may be let go. */
struct wire_settled {
    uint8_t hash[HASH_SIZE];
};

/* [16, closure envelope]: HQ's own epoch, see closure.h */
struct wire_closure {
    struct slice closure;
};

/* [17, [[node, origin, epoch, seq], ...]], ascending by node, origin: what nodes' files hold
 * nothing of any more (PROTOCOL.md, section 13). */
struct wire_cleared {
    struct wire_list entries;
};
struct wire_cleared_entry {
    char node[CODE_SIZE];
    char origin[CODE_SIZE];
    uint64_t epoch;
    uint64_t seq;
};

/* Type of a message, 0 if it has none.  Reads nothing else. */
unsigned wire_type_of(struct slice message);

enum status wire_read_hello(struct slice message, struct wire_hello *out) MUST_CHECK;
enum status wire_read_event(struct slice message, struct wire_event *out) MUST_CHECK;
/* Tiers, since and head alone: what follows was not looked at, changes are empty. */
enum status wire_peek_event(struct slice message, struct wire_event *out) MUST_CHECK;
enum status wire_read_beat(struct slice message, struct wire_beat *out) MUST_CHECK;
enum status wire_read_vector(struct slice message, struct wire_vector *out) MUST_CHECK;
enum status wire_read_want(struct slice message, struct wire_want *out) MUST_CHECK;
enum status wire_read_changes(struct slice message, struct wire_changes *out) MUST_CHECK;
enum status wire_read_credit(struct slice message, struct wire_credit *out) MUST_CHECK;
enum status wire_read_evidence(struct slice message, struct wire_evidence *out) MUST_CHECK;
enum status wire_read_refusal(struct slice message, struct wire_refusal *out) MUST_CHECK;
/* Verifies the signature, too (REFUSED). */
enum status wire_read_enrol(struct slice message, struct wire_enrol *out) MUST_CHECK;
/* The secret of what may be an enrol, of which nothing else is looked at: is it known? */
bool wire_read_enrol_secret(struct slice message, uint8_t out_secret[TOKEN_SECRET_SIZE]);
enum status wire_read_enrolled(struct slice message, struct wire_enrolled *out) MUST_CHECK;
enum status wire_read_epoch_request(struct slice message,
                                    struct wire_epoch_request *out) MUST_CHECK;
enum status wire_read_epoch_reply(struct slice message,
                                  struct wire_epoch_reply *out) MUST_CHECK;
enum status wire_read_offer(struct slice message, struct wire_offer *out) MUST_CHECK;
enum status wire_read_closure(struct slice message, struct wire_closure *out) MUST_CHECK;
enum status wire_read_settled(struct slice message, struct wire_settled *out) MUST_CHECK;

/* [18, succession envelope] */
enum status wire_read_key(struct slice message, struct slice *out_succession) MUST_CHECK;
enum status wire_read_cleared(struct slice message, struct wire_cleared *out) MUST_CHECK;

/* The next element; false at the end.  The whole list was validated when the message was read:
 * ids of changes are NOT yet known to be unique, seqs ARE ascending. */
bool wire_next_entry(struct wire_list *list, struct wire_hello_entry *out);
bool wire_next_cleared(struct wire_list *list, struct wire_cleared_entry *out);
bool wire_next_change(struct wire_list *list, unsigned tiers, struct change *out);

/* Writers.  Lists: begin, then the elements (wire_write_entry, change_write), then end. */
void wire_write_hello_begin(struct mp_writer *writer, const struct wire_hello *hello,
                            size_t entries);
void wire_write_entry(struct mp_writer *writer, const struct wire_hello_entry *entry);
void wire_write_event_begin(struct mp_writer *writer, unsigned tiers, uint64_t since,
                            struct slice head, size_t changes);
void wire_write_beat(struct mp_writer *writer, struct slice beat);
void wire_write_vector(struct mp_writer *writer, const uint8_t hash[HASH_SIZE]);
void wire_write_want(struct mp_writer *writer, const struct wire_want *want);
/* The head is written by wire_write_changes_end: SLICE_NONE unless it is the last chunk. */
void wire_write_changes_begin(struct mp_writer *writer, const struct wire_changes *changes,
                              size_t count);
void wire_write_changes_end(struct mp_writer *writer, struct slice head);
void wire_write_credit(struct mp_writer *writer, const struct wire_credit *credit);
void wire_write_evidence(struct mp_writer *writer, struct slice a, struct slice b);
void wire_write_refusal(struct mp_writer *writer, uint64_t request,
                        enum wire_refusal_reason reason);
void wire_write_enrol(struct mp_writer *writer, const struct wire_enrol *enrol,
                      const struct sign_key *key);
void wire_write_enrolled(struct mp_writer *writer, const struct wire_enrolled *enrolled);
void wire_write_epoch_request(struct mp_writer *writer,
                              const struct wire_epoch_request *request);
void wire_write_epoch_reply(struct mp_writer *writer, const struct wire_epoch_reply *reply);
void wire_write_offer(struct mp_writer *writer, unsigned tiers, struct slice head);
void wire_write_closure(struct mp_writer *writer, struct slice closure);
void wire_write_settled(struct mp_writer *writer, const uint8_t hash[HASH_SIZE]);
void wire_write_key(struct mp_writer *writer, struct slice succession);
void wire_write_cleared_begin(struct mp_writer *writer, size_t entries);
void wire_write_cleared_entry(struct mp_writer *writer, const struct wire_cleared_entry *entry);

/* Hash of a vector: BLAKE2b-256 over "chapterd vec 1\0\0", then for each origin with epoch > 0,
 * in ascending order of origin: origin (16, NUL-padded), epoch (8, big-endian), seq (8), hash
 * (32).
 * entries must be in that order; beats and tier hq do not count. */
void wire_vector_hash(const struct wire_hello_entry *entries, size_t count,
                      uint8_t out_hash[HASH_SIZE]);

#endif
