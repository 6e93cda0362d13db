/* SPDX-License-Identifier: MPL-2.0 */
/* backup_test.c - a store as a file and back, and files that somebody made to do harm: their
 * hash is right, what they hold is not. */
#include "store_fixture.h"

#include "daemon/io/backup.h"
#include "daemon/io/store_internal.h"

#include <fcntl.h>
#include <sodium.h>

#define FILE_SIZE_MAX 65536
#define HEADER_AT 20

struct file {
    uint8_t bytes[FILE_SIZE_MAX];
    size_t size; /* without the hash */
};

static struct file original;
static char path[256];
static char restored[256];

static void write_hashed(const struct file *file)
{
    uint8_t hash[HASH_SIZE];
    FILE *stream = fopen(path, "wb");

    assert_non_null(stream);
    crypto_generichash(hash, sizeof hash, file->bytes, file->size, NULL, 0);
    assert_int_equal(fwrite(file->bytes, 1, file->size, stream), file->size);
    assert_int_equal(fwrite(hash, 1, sizeof hash, stream), sizeof hash);
    assert_int_equal(fclose(stream), 0);
}

/* Where the entries begin: behind the header. */
static size_t entries_at(const struct file *file)
{
    struct unpacker unpacker = unpacker_of(slice_of(file->bytes + HEADER_AT - 4, 4));

    return HEADER_AT + unpack_u32(&unpacker);
}

static int make_backup(void **state)
{
    struct backup_header header = { .code = "fr", .created = 1 };
    struct place *place;
    struct identity identity;
    uint64_t size = 0;
    FILE *stream;

    if (place_make(state) != 0)
        return 1;
    place = *state;
    (void)snprintf(path, sizeof path, "%s/file", place->dir);
    (void)snprintf(restored, sizeof restored, "%s/restored", place->dir);
    assert_ok(identity_create(place->dir, &identity));
    assert_ok(store_put_meta_uint(&place->txn, "b", 2));
    assert_ok(store_put_meta_uint(&place->txn, "a", 1));
    assert_ok(store_commit_turn(&place->txn));
    assert_ok(backup_write(place->store, &identity, &header, path, &size));
    stream = fopen(path, "rb");
    assert_non_null(stream);
    original.size = fread(original.bytes, 1, sizeof original.bytes, stream) - HASH_SIZE;
    assert_int_equal(original.size + HASH_SIZE, size);
    fclose(stream);
    return 0;
}

static void expect(const struct file *file, enum status expected)
{
    struct backup_header header;

    write_hashed(file);
    assert_int_equal(backup_check(path, &header), expected);
    assert_int_equal(backup_restore(path, restored), expected);
    assert_int_equal(access(restored, F_OK), expected == OK ? 0 : -1);
}

static void comes_back(void **state)
{
    CLEANUP(store_close) struct store *store = NULL;
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    char keys[300];
    uint64_t number = 0;

    (void)state;
    expect(&original, OK);
    assert_int_equal(backup_restore(path, restored), EXISTS);
    (void)snprintf(keys, sizeof keys, "%s/keys/sign", restored);
    assert_int_equal(remove(keys), 0); /* as if it had died before they were there */
    assert_ok(backup_restore(path, restored));
    assert_ok(store_open(restored, MAP_SIZE_TEST, &store));
    assert_ok(store_begin_read(store, &txn));
    assert_ok(store_get_meta_uint(&txn, "b", &number));
    assert_int_equal(number, 2);
}

static void another_store_is_not_replaced(void **state)
{
    char keys[300];

    (void)state;
    expect(&original, OK);
    (void)snprintf(keys, sizeof keys, "%s/keys/sign", restored);
    assert_int_equal(remove(keys), 0);
    original.bytes[original.size - 2 * TABLE_COUNT - 1]++; /* the last value of meta */
    write_hashed(&original);
    assert_int_equal(backup_restore(path, restored), EXISTS);
}

static void cut_short_anywhere(void **state)
{
    struct file file = original;

    (void)state;
    for (file.size = 1; file.size < original.size; file.size++)
        expect(&file, INVALID);
}

static void lengthened(void **state)
{
    struct file file = original;

    (void)state;
    file.bytes[file.size++] = 0;
    expect(&file, INVALID);
}

static void another_number_of_tables(void **state)
{
    struct file file = original;

    (void)state;
    file.bytes[entries_at(&file)]++;
    expect(&file, UNSUPPORTED);
}

static void sizes_beyond_the_limits(void **state)
{
    const size_t at = entries_at(&original) + 1;
    struct file file = original;

    (void)state;
    memset(file.bytes + at, 0xff, 2); /* of the key */
    expect(&file, INVALID);
    file = original;
    memset(file.bytes + at + 2, 0xff, 4); /* of the value */
    expect(&file, INVALID);
}

static void keys_out_of_order(void **state)
{
    struct file file = original;

    (void)state;
    assert_int_equal(file.bytes[entries_at(&file) + 7], 'a');
    file.bytes[entries_at(&file) + 7] = 'b'; /* twice */
    expect(&file, INVALID);
    file.bytes[entries_at(&file) + 7] = 'c';
    expect(&file, INVALID);
}

static void no_store(void **state)
{
    struct file file = original;

    (void)state;
    file.size = entries_at(&file) + 1;
    memset(file.bytes + file.size, 0, 2 * TABLE_COUNT); /* not even a format */
    file.size += 2 * TABLE_COUNT;
    write_hashed(&file);
    assert_int_equal(backup_restore(path, restored), STORE_DAMAGED);
}

/* Somebody made the file before, in a directory that all may write to, and holds it open. */
static void nobody_reads_along(void **state)
{
    struct place *place = *state;
    struct backup_header back;
    struct identity identity;
    const struct backup_header other = { .code = "fr", .created = 1 };
    char elsewhere[300];
    char part[320];
    char held[64];
    struct stat found;
    uint64_t size = 0;
    int fd;

    assert_ok(store_commit_turn(&place->txn));
    memset(&identity, 0, sizeof identity);
    identity_make_sign_key(&identity.sign);
    (void)snprintf(elsewhere, sizeof elsewhere, "%s/backup", place->dir);
    (void)snprintf(part, sizeof part, "%s.part", elsewhere);
    assert_true((fd = open(part, O_RDWR | O_CREAT | O_EXCL, 0666)) >= 0);
    assert_int_equal(write(fd, "waiting", 7), 7);
    assert_ok(backup_write(place->store, &identity, &other, elsewhere, &size));
    assert_int_equal(pread(fd, held, sizeof held, 0), 7);
    assert_memory_equal(held, "waiting", 7);
    close(fd);
    assert_int_equal(stat(elsewhere, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0600);
    assert_true((uint64_t)found.st_size == size);
    assert_ok(backup_check(elsewhere, &back));
    assert_string_equal(back.code, "fr");
    assert_int_equal(access(part, F_OK), -1);
    assert_status(backup_write(place->store, &identity, &other, elsewhere, &size), EXISTS);
}

int main(void)
{
#define BACKUP(test) cmocka_unit_test_setup_teardown(test, make_backup, place_free)
    const struct CMUnitTest tests[] = {
        BACKUP(comes_back),
        BACKUP(another_store_is_not_replaced),
        BACKUP(cut_short_anywhere),
        BACKUP(lengthened),
        BACKUP(another_number_of_tables),
        BACKUP(sizes_beyond_the_limits),
        BACKUP(keys_out_of_order),
        BACKUP(no_store),
        cmocka_unit_test_setup_teardown(nobody_reads_along, place_make, place_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
