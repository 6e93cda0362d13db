/* SPDX-License-Identifier: MPL-2.0 */
/* identity.h - a node's directory: DIR/keys (0700, files 0600), DIR/lock, and its keys.
 *
 * Key files are text of one line, written to a temporary file, synced, renamed, parent synced;
 * others' permission bits on one are an error, not a warning. */
#ifndef CHAPTERD_IDENTITY_H
#define CHAPTERD_IDENTITY_H

#include "proto/head.h"

struct identity {
    struct sign_key sign;
    uint8_t curve_public[KEY_SIZE];
    uint8_t curve_secret[KEY_SIZE];
};

/* Makes DIR (0700, parents too) and DIR/keys with fresh keys.  EXISTS if there is a signing
 * key: it is made last, and never replaced. */
enum status identity_create(const char *dir, struct identity *out_identity) MUST_CHECK;
/* NOT_FOUND; DENIED if a file is readable by others or not by us; INVALID if it is garbled. */
enum status identity_load(const char *dir, struct identity *out_identity) MUST_CHECK;
/* Which of the two key files are there, whatever is in them. */
enum status identity_look(const char *dir, bool *out_sign, bool *out_curve) MUST_CHECK;
/* The keys of a backup: of seeds, and into a DIR that has none (EXISTS).  identity_prepare
 * makes DIR and DIR/keys, as identity_create does. */
void identity_of_seeds(const uint8_t seed[KEY_SIZE], const uint8_t curve_secret[KEY_SIZE],
                       struct identity *out_identity);
enum status identity_prepare(const char *dir) MUST_CHECK;
enum status identity_store(const char *dir, const struct identity *identity) MUST_CHECK;
void identity_wipe(struct identity *identity);
/* A signing key that is to follow the present one, in a file beside it; NOT_FOUND. */
enum status identity_store_next(const char *dir, const struct sign_key *key) MUST_CHECK;
enum status identity_load_next(const char *dir, struct sign_key *out_key) MUST_CHECK;
/* Puts it in the present one's place, whose file is gone then. */
enum status identity_promote_next(const char *dir) MUST_CHECK;
/* Fresh Ed25519 key pair. */
void identity_make_sign_key(struct sign_key *out_key);
/* Its printed form, for paper: "recovery1-" and 14 groups of 4 characters with "-" between
 * them.
 * They are base32 in Crockford's alphabet (no I, L, O, U; to be read in either case, dashes
 * ignored) of the 32-byte seed and the first 3 bytes of
 * BLAKE2b-256("chapterd rec 1\0\0" || seed), which tell a slip of the pen. */
/* Reads it; INVALID if it is not one. */
enum status identity_parse_recovery(const char *text, struct sign_key *out_key) MUST_CHECK;
void identity_format_recovery(const struct sign_key *key, char out_text[128]);

/* Takes DIR/lock (flock) and writes the pid; LOCKED if another process has it: *out_pid is its
 * (0 if it is just starting). */
enum status directory_lock(const char *dir, int *out_fd, long *out_pid) MUST_CHECK;
void directory_unlock(int *fd);
/* A file through temporary name, fsync, rename, fsync of the parent. */
enum status file_write_safely(const char *path, unsigned mode, struct slice data) MUST_CHECK;
/* fsync of the directory that path is in: a name made or changed there is durable. */
enum status file_sync_parent(const char *path) MUST_CHECK;
/* errno of a failed system call as a status. */
enum status status_of_errno(int error);

#endif
