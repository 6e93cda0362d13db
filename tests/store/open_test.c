/* SPDX-License-Identifier: MPL-2.0 */
/* open_test.c - making and opening a store; transactions; what failures leave behind. */
#include "store_fixture.h"

#include "daemon/io/fault.h"

#include <dirent.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* The sanitizer's shadow is larger than any limit of address space. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static const char *fault_wanted;

bool fault_at(const char *point)
{
    return fault_wanted != NULL && strcmp(point, fault_wanted) == 0;
}

static void path_of(const struct place *place, const char *name, char out_path[256])
{
    (void)snprintf(out_path, 256, "%s/%s", place->dir, name);
}

static size_t count_entries(const char *dir)
{
    DIR *directory = opendir(dir);
    size_t count = 0;

    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2;
}

/* Puts the value of a key of the table meta past the store. */
static void put_raw_meta(const struct place *place, const char *name, const void *data,
                         size_t size)
{
    char path[256];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta;
    MDB_val key = { strlen(name), (void *)(uintptr_t)name };
    MDB_val value = { size, (void *)(uintptr_t)data };

    path_of(place, "db", path);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 20), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    assert_int_equal(
        size == 0 ? mdb_del(txn, meta, &key, NULL) : mdb_put(txn, meta, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void creation_is_once(void **state)
{
    struct place *place = *state;

    assert_status(store_open(place->dir, MAP_SIZE_TEST, &place->store), NOT_FOUND);
    assert_null(place->store);
    assert_ok(store_create(place->dir));
    assert_int_equal(count_entries(place->dir), 1);
    assert_status(store_create(place->dir), EXISTS);
    assert_ok(store_open(place->dir, MAP_SIZE_TEST, &place->store));
}

static void creation_clears_what_crashes_left(void **state)
{
    struct place *place = *state;
    char path[256];

    path_of(place, "db.tmp-aBcDeF", path);
    assert_int_equal(mkdir(path, 0700), 0);
    path_of(place, "db.tmp-aBcDeF/data.mdb", path);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    path_of(place, "db.tmp-other", path);
    assert_int_equal(mkdir(path, 0700), 0);
    path_of(place, "db.tmp-other/notes", path);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    assert_ok(store_create(place->dir));
    /* What LMDB does not put there is somebody's. */
    assert_int_equal(count_entries(place->dir), 2);
    assert_int_equal(access(path, F_OK), 0);
}

static void creation_needs_a_directory(void **state)
{
    struct place *place = *state;
    char path[256];

    path_of(place, "none", path);
    assert_status(store_create(path), NOT_FOUND);
    assert_status(store_open(path, MAP_SIZE_TEST, &place->store), NOT_FOUND);
}

/* Root may do anything, so where permissions count another user tries. */
static enum status in_child(enum status (*run)(const char *dir), bool as_nobody,
                            const char *dir)
{
    int status = 0;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        if (as_nobody && geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(STATUS_COUNT);
        _exit((int)run(dir));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return (enum status)WEXITSTATUS(status);
}

static enum status only_open(const char *dir)
{
    struct store *store = NULL;
    const enum status status = store_open(dir, MAP_SIZE_TEST, &store);

    store_close(&store);
    return status;
}

static void permissions_are_reported(void **state)
{
    struct place *place = *state;
    char path[256];

    assert_int_equal(chmod(place->dir, 0555), 0);
    assert_status(in_child(store_create, true, place->dir), DENIED);
    assert_int_equal(chmod(place->dir, 0755), 0);
    assert_ok(store_create(place->dir));
    path_of(place, "db", path);
    assert_int_equal(chmod(path, 0555), 0);
    path_of(place, "db/data.mdb", path);
    assert_int_equal(chmod(path, 0444), 0);
    assert_status(in_child(only_open, true, place->dir), DENIED);
    assert_int_equal(chmod(path, 0600), 0);
    path_of(place, "db", path);
    assert_int_equal(chmod(path, 0700), 0);
}

static void files_are_the_owners_alone(void **state)
{
    struct place *place = *state;
    struct stat found;
    char path[256];

    assert_ok(store_create(place->dir));
    path_of(place, "db", path);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0700);
    path_of(place, "db/data.mdb", path);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0600);
}

static void other_formats_are_refused(void **state)
{
    static const uint8_t newer[] = { 0, 0, 0, 0, 0, 0, 0, STORE_FORMAT + 1 };
    static const uint8_t current[] = { 0, 0, 0, 0, 0, 0, 0, STORE_FORMAT };
    static const uint8_t none[] = { 0, 0, 0, 0, 0, 0, 0, 0 };
    struct place *place = *state;

    assert_ok(store_create(place->dir));
    put_raw_meta(place, "store.format", newer, sizeof newer);
    assert_status(only_open(place->dir), STORE_NEWER);
    put_raw_meta(place, "store.format", none, sizeof none);
    assert_status(only_open(place->dir), STORE_DAMAGED);
    put_raw_meta(place, "store.format", current, 3);
    assert_status(only_open(place->dir), STORE_DAMAGED);
    put_raw_meta(place, "store.format", NULL, 0);
    assert_status(only_open(place->dir), STORE_DAMAGED);
    put_raw_meta(place, "store.format", current, sizeof current);
    assert_ok(only_open(place->dir));
}

static void write_file(const char *path, size_t size)
{
    static const uint8_t rubbish[8192] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    const int fd = open(path, O_WRONLY | O_TRUNC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, rubbish, size), size);
    assert_int_equal(close(fd), 0);
}

/* LMDB by itself would take an empty file, or none, for a new environment. */
static void damaged_files_are_refused(void **state)
{
    struct place *place = *state;
    struct stat found;
    char path[256];

    assert_ok(store_create(place->dir));
    path_of(place, "db/data.mdb", path);
    write_file(path, 8192);
    assert_status(only_open(place->dir), STORE_DAMAGED);
    write_file(path, 10);
    assert_status(only_open(place->dir), STORE_DAMAGED);
    write_file(path, 0);
    assert_status(only_open(place->dir), STORE_DAMAGED);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_size, 0);
    assert_int_equal(unlink(path), 0);
    assert_status(only_open(place->dir), STORE_DAMAGED);
    assert_int_not_equal(access(path, F_OK), 0);
}

static enum status open_with_little_address_space(const char *dir)
{
    struct rlimit limit = { 6ull << 30, 6ull << 30 };
    struct store *store = NULL;
    enum status status;

    if (setrlimit(RLIMIT_AS, &limit) != 0)
        return UNSUPPORTED;
    status = store_open(dir, 64ull << 30, &store);
    store_close(&store);
    return status;
}

static void a_smaller_map_is_tried(void **state)
{
    struct place *place = *state;

    if (SANITIZED)
        skip();
    assert_ok(store_create(place->dir));
    assert_status(in_child(open_with_little_address_space, false, place->dir), OK);
}

static void meta_is_kept(void **state)
{
    struct place *place = *state;
    struct slice value;
    uint64_t number = 77;

    assert_status(store_get_meta(&place->txn, "code", &value), NOT_FOUND);
    assert_ok(store_get_meta_uint(&place->txn, "boot", &number));
    assert_int_equal(number, 0);
    assert_ok(store_put_meta(&place->txn, "code", slice_of_text("fr")));
    assert_ok(store_put_meta(&place->txn, "empty", SLICE_NONE));
    assert_ok(store_put_meta_uint(&place->txn, "boot", UINT64_MAX));
    reopen(place);
    assert_ok(store_get_meta(&place->txn, "code", &value));
    assert_slice(value, "fr");
    assert_ok(store_get_meta(&place->txn, "empty", &value));
    assert_int_equal(value.size, 0);
    assert_ok(store_get_meta_uint(&place->txn, "boot", &number));
    assert_true(number == UINT64_MAX);
    assert_status(store_get_meta_uint(&place->txn, "code", &number), STORE_DAMAGED);
    assert_true(number == UINT64_MAX);
}

static void numbers_are_given_out_once(void **state)
{
    struct place *place = *state;
    uint32_t number = 0;

    for (uint32_t i = 1; i <= 3; i++) {
        assert_ok(store_new_number(&place->txn, &number));
        assert_int_equal(number, i);
    }
    reopen(place);
    assert_ok(store_new_number(&place->txn, &number));
    assert_int_equal(number, 4);
}

static void a_dropped_transaction_wrote_nothing(void **state)
{
    struct place *place = *state;
    struct store_txn reader = { 0 };
    struct slice value;

    assert_ok(store_put_meta(&place->txn, "code", slice_of_text("fr")));
    assert_ok(store_begin_read(place->store, &reader));
    assert_status(store_get_meta(&reader, "code", &value), NOT_FOUND);
    store_abort(&reader);
    store_abort(&reader); /* an ended one is taken */
    store_abort(&place->txn);
    assert_ok(store_begin_write(place->store, &place->txn));
    assert_status(store_get_meta(&place->txn, "code", &value), NOT_FOUND);
    assert_ok(store_put_meta(&place->txn, "code", slice_of_text("lu")));
    assert_ok(store_commit_turn(&place->txn));
    assert_null(place->txn.handle);
    assert_ok(store_checkpoint(place->store));
    assert_ok(store_begin_read(place->store, &reader));
    assert_ok(store_get_meta(&reader, "code", &value));
    assert_slice(value, "lu");
    store_abort(&reader);
}

static void fault_before_the_commit(void **state)
{
    struct place *place = *state;
    struct slice value;

    assert_ok(store_put_meta(&place->txn, "code", slice_of_text("fr")));
    fault_wanted = "store.commit.before";
    assert_status(store_commit_turn(&place->txn), IO);
    fault_wanted = NULL;
    assert_null(place->txn.handle);
    /* After a failed sync LMDB would go on: the store does not. */
    assert_status(store_begin_write(place->store, &place->txn), IO);
    assert_status(store_checkpoint(place->store), IO);
    reopen(place);
    assert_status(store_get_meta(&place->txn, "code", &value), NOT_FOUND);
}

static void fault_after_the_commit(void **state)
{
    struct place *place = *state;
    struct slice value;

    assert_ok(store_put_meta(&place->txn, "code", slice_of_text("fr")));
    fault_wanted = "store.commit.after";
    assert_status(store_commit_turn(&place->txn), IO);
    fault_wanted = NULL;
    assert_status(store_begin_write(place->store, &place->txn), IO);
    reopen(place);
    assert_ok(store_get_meta(&place->txn, "code", &value));
    assert_slice(value, "fr");
}

static void used_bytes_follow_what_is_held(void **state)
{
    struct place *place = *state;
    const uint64_t empty = store_used_bytes(place->store);
    uint64_t full;

    assert_true(empty > 0 && empty < 1024 * 1024);
    for (uint64_t i = 1; i <= 5000; i++)
        assert_ok(
            put(place, 1, i, i, "some hundred bytes of a member's federation value", "x"));
    assert_ok(store_commit_turn(&place->txn));
    full = store_used_bytes(place->store);
    assert_true(full > empty + 5000 * 100);
    assert_ok(store_begin_write(place->store, &place->txn));
    for (uint64_t i = 1; i <= 5000; i++) {
        uint8_t id[ID_SIZE];

        id_of(i, id);
        assert_ok(store_drop_row(&place->txn, 1, TIERS_BOTH, id));
    }
    assert_ok(store_commit_turn(&place->txn));
    assert_true(store_used_bytes(place->store) < empty + (full - empty) / 10);
}

int main(void)
{
#define EMPTY(test) cmocka_unit_test_setup_teardown(test, place_make_empty, place_free)
#define OPEN(test) cmocka_unit_test_setup_teardown(test, place_make, place_free)
    const struct CMUnitTest tests[] = {
        EMPTY(creation_is_once),
        EMPTY(creation_clears_what_crashes_left),
        EMPTY(creation_needs_a_directory),
        EMPTY(permissions_are_reported),
        EMPTY(files_are_the_owners_alone),
        EMPTY(other_formats_are_refused),
        EMPTY(damaged_files_are_refused),
        EMPTY(a_smaller_map_is_tried),
        OPEN(meta_is_kept),
        OPEN(numbers_are_given_out_once),
        OPEN(a_dropped_transaction_wrote_nothing),
        OPEN(fault_before_the_commit),
        OPEN(fault_after_the_commit),
        OPEN(used_bytes_follow_what_is_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
