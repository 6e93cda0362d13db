/* SPDX-License-Identifier: MPL-2.0 */
/* limit_store.c - one table, in the order of ids: a key is an id, a value seq 8, salt 16, three
 * sizes 4, and the values of the three tiers.  Ids of UUIDv7 ascend, so members are
 * appended. */
#include <sys/stat.h>

#include "tests/bench/limit.h"

#define MAP_SIZE (64ull * 1024 * 1024 * 1024)

void store_begin(struct store *store)
{
    MUST(mdb_txn_begin(store->env, NULL, 0, &store->txn) == 0);
    MUST(mdb_cursor_open(store->txn, store->rows, &store->cursor) == 0);
}

void store_commit(struct store *store)
{
    MUST(mdb_txn_commit(store->txn) == 0);
}

void store_open(struct store *store, const char *dir, const char *name)
{
    char path[4096];

    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    MUST(mkdir(path, 0700) == 0);
    MUST(mdb_env_create(&store->env) == 0);
    MUST(mdb_env_set_mapsize(store->env, MAP_SIZE) == 0);
    MUST(mdb_env_open(store->env, path, 0, 0600) == 0);
    MUST(mdb_txn_begin(store->env, NULL, 0, &store->txn) == 0);
    MUST(mdb_dbi_open(store->txn, NULL, 0, &store->rows) == 0);
    store_commit(store);
}

void store_put(struct store *store, const struct record *record, unsigned flags)
{
    const struct slice parts[] = { record->change.value[TIER_FEDERATION],
                                   record->change.value[TIER_HQ], record->chapter };
    uint32_t sizes[3];
    MDB_val key = { ID_SIZE, (void *)(uintptr_t)record->change.id };
    MDB_val value = { sizeof record->change.seq + SALT_SIZE + sizeof sizes, NULL };
    uint8_t *at;

    for (int i = 0; i < 3; i++) {
        sizes[i] = (uint32_t)parts[i].size;
        value.mv_size += parts[i].size;
    }
    MUST(mdb_cursor_put(store->cursor, &key, &value, flags | MDB_RESERVE) == 0);
    at = value.mv_data;
    memcpy(at, &record->change.seq, sizeof record->change.seq);
    at += sizeof record->change.seq;
    memcpy(at, record->change.salt, SALT_SIZE);
    at += SALT_SIZE;
    memcpy(at, sizes, sizeof sizes);
    at += sizeof sizes;
    for (int i = 0; i < 3; i++) {
        if (sizes[i] != 0)
            memcpy(at, parts[i].data, sizes[i]);
        at += sizes[i];
    }
}

void record_of(const MDB_val *key, const MDB_val *value, struct record *out_record)
{
    struct slice parts[3];
    uint32_t sizes[3];
    const uint8_t *at = value->mv_data;

    memset(out_record, 0, sizeof *out_record);
    out_record->change.type = RECORD_MEMBER;
    memcpy(out_record->change.id, key->mv_data, ID_SIZE);
    memcpy(&out_record->change.seq, at, sizeof out_record->change.seq);
    at += sizeof out_record->change.seq;
    memcpy(out_record->change.salt, at, SALT_SIZE);
    at += SALT_SIZE;
    memcpy(sizes, at, sizeof sizes);
    at += sizeof sizes;
    for (int i = 0; i < 3; i++) {
        parts[i] = slice_of(at, sizes[i]);
        at += sizes[i];
    }
    out_record->change.value[TIER_FEDERATION] = parts[0];
    out_record->change.value[TIER_HQ] = parts[1];
    out_record->change.tiers = parts[1].size != 0 ? TIERS_BOTH : TIERS_FEDERATION;
    out_record->chapter = parts[2];
}

bool store_get(struct store *store, const uint8_t id[ID_SIZE], struct record *out_record)
{
    MDB_val key = { ID_SIZE, (void *)(uintptr_t)id };
    MDB_val value;
    const int code = mdb_cursor_get(store->cursor, &key, &value, MDB_SET_KEY);

    MUST(code == 0 || code == MDB_NOTFOUND);
    if (code == 0)
        record_of(&key, &value, out_record);
    return code == 0;
}

void store_close(struct store *store)
{
    mdb_env_close(store->env);
}
