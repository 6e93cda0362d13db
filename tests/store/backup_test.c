/* SPDX-License-Identifier: MPL-2.0 */
/* backup_test.c - a backup holds the secret keys: nobody else can read it, nor what it is
 * before it is whole. */
#include "tests/store/store_fixture.h"

#include <fcntl.h>

#include "daemon/io/backup.h"

static const struct backup_header header = { .code = "fr", .created = 1 };

/* Somebody made the file before, in a directory that all may write to, and holds it open. */
static void test_nobody_reads_along(void **state)
{
    struct place *place = *state;
    struct backup_header back;
    struct identity identity;
    char path[160];
    char part[176];
    char held[64];
    struct stat found;
    uint64_t size = 0;
    int fd;

    assert_ok(store_commit_turn(&place->txn));
    memset(&identity, 0, sizeof identity);
    identity_make_sign_key(&identity.sign);
    (void)snprintf(path, sizeof path, "%s/backup", place->dir);
    (void)snprintf(part, sizeof part, "%s.part", path);
    assert_true((fd = open(part, O_RDWR | O_CREAT | O_EXCL, 0666)) >= 0);
    assert_int_equal(write(fd, "waiting", 7), 7);
    assert_ok(backup_write(place->store, &identity, &header, path, &size));
    assert_int_equal(pread(fd, held, sizeof held, 0), 7);
    assert_memory_equal(held, "waiting", 7);
    close(fd);
    assert_int_equal(stat(path, &found), 0);
    assert_int_equal(found.st_mode & 0777, 0600);
    assert_true((uint64_t)found.st_size == size);
    assert_ok(backup_check(path, &back));
    assert_string_equal(back.code, "fr");
    assert_int_equal(access(part, F_OK), -1);
    assert_status(backup_write(place->store, &identity, &header, path, &size), EXISTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nobody_reads_along, place_make, place_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
