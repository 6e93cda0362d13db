/* SPDX-License-Identifier: MPL-2.0 */
/* backup.h - a node's store and keys in one file, and a directory made of it.
 *
 * File: "chapterd bak 2" and 2 NULs, size of the header (4, big-endian), header (MessagePack
 * [2, code, federation, created, seed of the signing key, CURVE secret]), the store's entries
 * (store_entries.c), BLAKE2b-256 over all before.  It holds the secret keys: mode 0600.
 * Whoever made it, reading it is safe: nothing of it is believed but what it says. */
#ifndef CHAPTERD_BACKUP_H
#define CHAPTERD_BACKUP_H

#include "daemon/io/identity.h"
#include "daemon/io/store.h"

struct backup_header {
    char code[CODE_SIZE];
    uint8_t federation[HASH_SIZE];
    uint64_t created; /* seconds since 1970 */
};

/* Writes path, which must not be there (EXISTS).  Until it is whole it is called path.part, and
 * so is what a killed daemon leaves: the next one for that path removes it.  May run in a
 * thread of its own while others read and write the store; it sees what was durable when it
 * began.  Leaves nothing on failure, but for one of the last step: a name that is durable. */
enum status backup_write(struct store *store, const struct identity *identity,
                         const struct backup_header *header, const char *path,
                         uint64_t *out_size) MUST_CHECK;
/* Reads all of path.  INVALID: it is no backup, or not whole.  UNSUPPORTED: of another
 * version. */
enum status backup_check(const char *path, struct backup_header *out_header) MUST_CHECK;
/* Makes DIR of it: keys and store.  EXISTS if DIR has either. */
enum status backup_restore(const char *path, const char *dir) MUST_CHECK;

#endif
