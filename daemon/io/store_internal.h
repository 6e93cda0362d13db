/* SPDX-License-Identifier: MPL-2.0 */
/* store_internal.h - what the files of the store share: tables, keys, and bytes in big-endian.
 * Nobody else includes it, but for the tests that hold the formats to their worked hex. */
#ifndef CHAPTERD_STORE_INTERNAL_H
#define CHAPTERD_STORE_INTERNAL_H

#include "daemon/io/store.h"

#include <lmdb.h>

/* X(name, LMDB's name).  Keys and values: the table in store.c. */
#define STORE_TABLES(X)                                                                        \
    X(META, "meta")                                                                            \
    X(FEEDS, "feeds")                                                                          \
    X(RECORDS, "records")                                                                      \
    X(BY_ID, "by_id")                                                                          \
    X(REMOVALS, "removals")                                                                    \
    X(SUMS, "sums")                                                                            \
    X(CENSUS, "census")                                                                        \
    X(PERSONS, "persons")                                                                      \
    X(PERSON_OF, "person_of")                                                                  \
    X(HEADS, "heads")                                                                          \
    X(EVIDENCE, "evidence")                                                                    \
    X(PRIVATE, "private")                                                                      \
    X(HISTORY, "history")                                                                      \
    X(INVITES, "invites")                                                                      \
    X(BUILDS, "builds")                                                                        \
    X(DISCARDS, "discards")                                                                    \
    X(KEPT, "kept")                                                                            \
    X(OFFERED, "offered")                                                                      \
    X(ERASED, "erased")                                                                        \
    X(CLEARED, "cleared")

#define STORE_TABLE_ENUM(name, text) TABLE_##name,
enum table { STORE_TABLES(STORE_TABLE_ENUM) TABLE_COUNT };
#undef STORE_TABLE_ENUM

/* tiers, type, id, salt, length of the federation value, both values */
#define STORED_ROW_SIZE_MAX (2 + ID_SIZE + SALT_SIZE + 4 + TIERS_PUBLISHED * RECORD_SIZE_MAX)

struct store {
    MDB_env *env;
    MDB_dbi tables[TABLE_COUNT];
    uint64_t page_size;
    uint64_t map_pages;
    uint64_t reserve_pages; /* kept for removals */
    int watch_fd;           /* of the data file: see store_write_status_of */
    bool failed;            /* a commit failed in the disk: LMDB would go on as if it had not */
    /* The one write transaction.  Its cursors stay open, because the next key mostly lies in
     * the page where the last one was; `tail` is a second one of records, where rows are
     * appended. */
    struct {
        bool open;
        uint64_t room;      /* pages that it may use, about */
        enum status status; /* the first failure: LMDB's transaction is dead after it */
        MDB_cursor *cursors[TABLE_COUNT];
        MDB_cursor *tail;
        uint8_t row[STORED_ROW_SIZE_MAX];
        size_t rows; /* put in it */
    } writer;
};

/* Where all codes of LMDB and of the system become ours. */
enum status store_status_of(int code) MUST_CHECK;
enum status store_write_status_of(struct store *store, int code) MUST_CHECK;

/* --- environment (store_create.c, store.c) ----------------------------------------------- */
/* Opens the LMDB environment in directory path. */
enum status store_env_open(const char *path, uint64_t map_size, MDB_env **out_env) MUST_CHECK;
void store_env_close(MDB_env **env);
/* A store being made has this name and six characters; leftovers of that are removed. */
#define STORE_TEMPORARY "db.tmp-"
void store_remove_leftovers(const char *dir);
/* store_open of the directory that holds the environment itself. */
enum status store_open_path(const char *path, uint64_t map_size,
                            struct store **out_store) MUST_CHECK;
/* The part of store_marker_renew that is in the store; file_id (what the file holds) and out_id
 * may be NULL. */
enum status store_marker_put(struct store *store, const uint8_t *file_id,
                             uint8_t *out_id) MUST_CHECK;
/* The same for a copy that is to take the place of dir's store: the file of dir, which stays,
 * may be a run behind that store already. */
enum status store_marker_put_copy(struct store *copy, const char *dir) MUST_CHECK;
/* Puts all entries into a new environment in directory path, synced: none of its pages ever
 * held anything else (store_compact.c). */
enum status store_copy_entries(struct store *store, const char *path,
                               uint64_t map_size) MUST_CHECK;
/* A new environment in directory path, filled: entries of a table by ascending key (EXISTS
 * otherwise), and synced at the end (store_fill.c).  A zero or closed one may be closed. */
struct store_filler {
    MDB_env *env;
    MDB_txn *txn; /* NULL between two */
    MDB_dbi tables[TABLE_COUNT];
    size_t puts; /* in it */
    size_t bytes;
};
enum status store_filler_open(const char *path, uint64_t map_size,
                              struct store_filler *out_filler) MUST_CHECK;
enum status store_filler_put(struct store_filler *filler, enum table table, struct slice key,
                             struct slice value) MUST_CHECK;
enum status store_filler_finish(struct store_filler *filler) MUST_CHECK;
void store_filler_close(struct store_filler *filler);

/* --- all entries as bytes (store_entries.c) ---------------------------------------------- */
typedef enum status store_bytes_put(void *context, struct slice bytes);
enum status store_entries_write(struct store *store, store_bytes_put *put,
                                void *context) MUST_CHECK;
/* Of size bytes that fd holds from where it stands: are they a store's entries (INVALID), with
 * as many tables as this version has (UNSUPPORTED)?  A new environment made of them in
 * directory path.  Are they those of store (EXISTS if not)? */
enum status store_entries_check(int fd, uint64_t size) MUST_CHECK;
enum status store_entries_fill(int fd, uint64_t size, const char *path,
                               uint64_t map_size) MUST_CHECK;
enum status store_entries_match(int fd, uint64_t size, struct store *store) MUST_CHECK;
/* Of the write transaction: only what makes room may be written. */
bool store_is_tight(const struct store *store);
/* flags: 0 or MDB_CREATE.  STORE_DAMAGED if a table is missing. */
enum status store_open_tables(MDB_txn *txn, unsigned flags,
                              MDB_dbi tables[TABLE_COUNT]) MUST_CHECK;

/* Names of meta that are the store's own begin with this. */
#define STORE_META_OWN "store."
#define STORE_META_FORMAT STORE_META_OWN "format"
#define STORE_META_NUMBER STORE_META_OWN "number"   /* the newest number given out */
#define STORE_META_MARKER STORE_META_OWN "marker"   /* which run wrote last: store_marker.c */
#define STORE_META_HISTORY STORE_META_OWN "history" /* the newest entry's number */
/* As store_get_meta_uint and store_put_meta_uint, for these. */
enum status store_get_own_uint(struct store_txn *txn, const char *name,
                               uint64_t *out) MUST_CHECK;
enum status store_put_own_uint(struct store_txn *txn, const char *name,
                               uint64_t value) MUST_CHECK;

/* --- tables (store_table.c) -------------------------------------------------------------- */
/* NOT_FOUND. */
enum status table_get(struct store_txn *txn, enum table table, struct slice key,
                      struct slice *out_value) MUST_CHECK;
/* The first entry at or after key; an empty key means the first of all.  NOT_FOUND. */
enum status table_seek(struct store_txn *txn, enum table table, struct slice key,
                       struct slice *out_key, struct slice *out_value) MUST_CHECK;
enum status table_put(struct store_txn *txn, enum table table, struct slice key,
                      struct slice value) MUST_CHECK;
/* EXISTS, with nothing done, if the key is there. */
enum status table_insert(struct store_txn *txn, enum table table, struct slice key,
                         struct slice value) MUST_CHECK;
/* For keys that only rise: fuller pages.  The value is given in two parts. */
enum status table_append(struct store_txn *txn, enum table table, struct slice key,
                         struct slice first, struct slice second) MUST_CHECK;
enum status table_delete(struct store_txn *txn, enum table table,
                         struct slice key) MUST_CHECK; /* also if it is not there */
enum status table_count(struct store_txn *txn, enum table table,
                        uint64_t *out_count) MUST_CHECK;

/* Entries in ascending order from the first at or after `from`.  Write nothing to the table
 * while it is open: in LMDB 0.9.24 a cursor that saw a deletion can repeat an entry. */
struct table_scan {
    MDB_cursor *cursor;
    struct slice from; /* the caller's bytes, for the first step */
    bool started;
};
enum status table_scan_open(struct store_txn *txn, enum table table, struct slice from,
                            struct table_scan *out_scan) MUST_CHECK;
enum status table_scan_next(struct table_scan *scan, struct slice *out_key,
                            struct slice *out_value) MUST_CHECK; /* NOT_FOUND at the end */
enum status table_scan_previous(struct table_scan *scan, struct slice *out_key,
                                struct slice *out_value) MUST_CHECK;
void table_scan_close(struct table_scan *scan);

bool slice_begins(struct slice slice, struct slice prefix);

/* --- bytes (store_bytes.c) --------------------------------------------------------------- */
/* Writes fields one after the other into a buffer that is known to be large enough. */
struct packer {
    uint8_t *at;
};
void pack_u8(struct packer *packer, unsigned value);
void pack_u16(struct packer *packer, uint16_t value);
void pack_u32(struct packer *packer, uint32_t value);
void pack_u64(struct packer *packer, uint64_t value);
void pack_bytes(struct packer *packer, const void *data, size_t size);

/* Reads them back; after running short everything is zero, and bad is set. */
struct unpacker {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};
struct unpacker unpacker_of(struct slice bytes);
uint8_t unpack_u8(struct unpacker *unpacker);
uint16_t unpack_u16(struct unpacker *unpacker);
uint32_t unpack_u32(struct unpacker *unpacker);
uint64_t unpack_u64(struct unpacker *unpacker);
struct slice unpack_slice(struct unpacker *unpacker, size_t size);
void unpack_bytes(struct unpacker *unpacker, void *out, size_t size);
bool unpacked_all(const struct unpacker *unpacker); /* nothing short, nothing left */

/* A head or beat: its size (2 bytes) and its bytes. */
void pack_signed_head(struct packer *packer, const struct signed_head *head);
void unpack_signed_head(struct unpacker *unpacker, struct signed_head *out_head);

/* An origin's code as the beginning of a key: padded with NULs, whatever follows its own. */
#define ORIGIN_KEY_SIZE CODE_SIZE
void pack_origin(struct packer *packer, const char *origin);
/* false if it is no code, or has something behind it. */
bool unpack_origin(struct unpacker *unpacker, char out_origin[CODE_SIZE]);

/* --- rows (store_row.c) ------------------------------------------------------------------ */
#define ROW_KEY_SIZE 12 /* number, seq */
struct slice row_key(uint8_t buffer[ROW_KEY_SIZE], uint32_t number, uint64_t seq);
/* Of the row of a stored key and value; out_row's values point into value. */
enum status row_decode(struct slice key, struct slice value, uint32_t *out_number,
                       struct change *out_row) MUST_CHECK;
/* Takes tiers out of the row at (number, seq), which holds them, and out of the index. */
enum status row_drop(struct store_txn *txn, uint32_t number, uint64_t seq, unsigned tiers,
                     const uint8_t id[ID_SIZE]) MUST_CHECK;

/* --- the rest of a number, when its rows are gone ---------------------------------------- */
enum status census_forget(struct store_txn *txn, uint32_t number) MUST_CHECK;
enum status sum_forget(struct store_txn *txn, uint32_t number, enum tier tier) MUST_CHECK;

#endif
