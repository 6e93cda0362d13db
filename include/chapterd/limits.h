/* SPDX-License-Identifier: MPL-2.0 */
/* limits.h - every named limit of protocol, store and daemon, in one place.
 * Sizes are bytes, times milliseconds unless the name says otherwise.
 * Those under "protocol" are part of the wire format (proto/PROTOCOL.md): all nodes agree on
 * them. */
#ifndef CHAPTERD_LIMITS_H
#define CHAPTERD_LIMITS_H

/* protocol */
#define CODE_SIZE 16      /* a chapter's code, 1 to 15 characters and a NUL */
#define ID_SIZE 16        /* a record's UUID */
#define HASH_SIZE 32      /* BLAKE2b-256 */
#define KEY_SIZE 32       /* Ed25519 and Curve25519 public keys */
#define SIGNATURE_SIZE 64 /* Ed25519 */
#define SALT_SIZE 16      /* of a leaf of tier hq */
#define PROTOCOL_VERSION 1
#define EPOCH_MAX 0xffffffffull     /* of a head or beat; no federation comes so far, ... */
#define SEQ_MAX (1ull << 62)        /* ... but a thief of a key may say so */
#define SEQ_LEAP_MAX (1ull << 32)   /* from where a feed stands to its next head */
#define EPOCH_LEAP_MAX 64           /* a restored HQ has forgotten fewer epochs of an origin */
#define DEPTH_MAX 8                 /* nesting of any MessagePack value */
#define RECORD_SIZE_MAX (16 * 1024) /* one tier's value of one record */
#define RECORD_FIELDS_MAX 128       /* fields of one value */
#define FIELD_NAME_MAX 64
#define EVENT_SIZE_MAX (512 * 1024)    /* one event or one chunk, whole message */
#define EVENT_CHANGES_MAX 4096         /* changes of one event or one chunk */
#define EVENT_FILL_SIZE (384 * 1024)   /* writers stop filling an event or chunk here */
#define MESSAGE_SIZE_MAX (1024 * 1024) /* anything larger is dropped by the transport */
#define SIGNED_HEAD_SIZE_MAX 384
#define SIGNED_BEAT_SIZE_MAX 256
#define SIGNED_CLOSURE_SIZE_MAX 192
#define GENESIS_SIZE_MAX 512
#define TOKEN_SIZE_MAX 2048 /* the printed line */
#define ENROL_SIZE_MAX 1024
#define ADDRESS_SIZE 272          /* "host:port" and a NUL; host at most 253 */
#define NAME_SIZE_MAX 256         /* a chapter's or federation's name */
#define ORIGINS_MAX 512           /* feeds of one federation */
#define CLEARED_ENTRIES_MAX 512   /* of one message */
#define HEADS_KEPT 64             /* heads remembered per origin, to see a fork */
#define HORIZON_REMOVALS_MAX 1024 /* removals that one head may drop */
#define DELTA_ONE_TURN_MAX 16384  /* changes applied in one transaction */
#define WANT_CREDIT_MAX 16        /* chunks in flight of one answer */
#define FEED_RECORDS_MAX_DEFAULT 200000
#define FEED_BYTES_MAX_DEFAULT (256ull * 1024 * 1024)

/* node */
#define TURN_MESSAGES_MAX 256             /* messages drained before a commit */
#define TURN_BYTES_MAX (8 * 1024 * 1024)  /* of them */
#define TURN_WRITES_MAX EVENT_CHANGES_MAX /* local changes under one head */
#define TURN_ROWS_MAX 8192                /* rows put before a commit: their pages are memory */
#define PARKED_EVENTS_MAX 64              /* events ahead of a gap, per origin */
#define PARKED_BYTES_MAX (1024 * 1024)
#define SEEN_EVENTS_MAX 1024  /* memory of applied events (duplicates) */
#define WALKS_MAX 64          /* answers to `want` being sent at once */
#define PULLS_MAX 8           /* `want`s under way at once */
#define EVIDENCE_MAX 16       /* stored proofs of fork, per origin */
#define KEPT_STATES_MAX 8     /* states of closed epochs that wait for their origin, each */
#define RECOVERED_IDS_MAX 20  /* ids that the story of a recovery names */
#define LINKS_MAX 1024        /* connections of peers, both ways */
#define DIAL_EXTRA 2          /* peers beside HQ and the ring's next */
#define ROWS_PER_SLICE 4096   /* rows copied, deleted or recounted in one turn */
#define PERSONS_TURN_MAX 1024 /* memberships stated as persons' in the turn that puts them */
#define PERSONS_SLICE 2048    /* of those that a larger turn left for later */
#define PERSONS_WAIT_MS 2000  /* that `counts` waits for them */
#define CONTROL_PAGE_ROWS_MAX 1000
#define CONTROL_SIZE_MAX (4 * 1024 * 1024)
#define CONTROL_REQUESTS_MAX 64 /* of one client under way; replies to more may be lost */
#define HISTORY_DAYS 400
#define INVITES_MAX 1024
#define REMOVALS_KEPT_DAYS                                                                     \
    30 /* then the horizon passes them: who was away longer needs a snapshot */

/* what one peer may take of a node */
#define CONNECTIONS_OF_KEY_MAX 3               /* to each port; a node needs one */
#define SERVE_FILL_SIZE (192 * 1024)           /* a chunk is not filled further */
#define SERVE_BURST (512ull * 1024 * 1024)     /* bytes that it may take at once, ... */
#define SERVE_PER_SECOND (16ull * 1024 * 1024) /* ... and in the long run */
#define DESCRIPTORS_WANTED 4096                /* open files; fewer are worth a warning */
#define DESCRIPTORS_MAX 16384                  /* of which strangers have half */

#define BEAT_INTERVAL_MS 30000
#define BEAT_AFTER_HEAD_MS 500
#define BEAT_FRESH_MS 90000 /* a beat that echoes an older one of HQ is stale */
#define VECTOR_AFTER_CHANGE_MS 1000
#define VECTOR_INTERVAL_MS 10000
#define GAP_WAIT_MS 50       /* plus up to as much again, at random */
#define WANT_TIMEOUT_MS 5000 /* without a chunk */
#define RETRY_MS_MIN 250     /* backoff of refused or failed `want`s */
#define RETRY_MS_MAX 30000
#define HELLO_RETRY_MS 2000
#define CUT_AFTER_MS                                                                           \
    300 /* whoever was suspended or revoked may learn of it before his links go */
#define SIGN_WAIT_MS 3000 /* after a start: for the first hello */
#define INVITE_TTL_S_DEFAULT (72 * 3600)
#define REMOVALS_PERCENT_MAX 10   /* of a feed within a day; more needs the operator's word */
#define REMOVALS_ALWAYS_ALLOWED 5 /* members; tiny chapters need not be asked */
#define LAPSE_PERCENT_MAX 10      /* more at once needs the operator's word */
#define LAPSE_ALWAYS_ALLOWED 5    /* members; tiny chapters need not be asked */

#define STORE_SIZE_DEFAULT (64ull * 1024 * 1024 * 1024) /* sparse map */
#define STORE_FORMAT 1

#endif
