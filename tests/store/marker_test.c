/* SPDX-License-Identifier: MPL-2.0 */
/* marker_test.c - a directory that ran is told from a copy of it, whichever way it was made. */
#include "tests/store/store_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_copied(const char *dir)
{
    struct store *store = NULL;
    bool copied = false;

    assert_ok(store_open(dir, MAP_SIZE_TEST, &store));
    assert_ok(store_marker_check(store, dir, &copied));
    store_close(&store);
    return copied;
}

static void run_once(const char *dir)
{
    struct store *store = NULL;

    assert_ok(store_open(dir, MAP_SIZE_TEST, &store));
    assert_ok(store_marker_renew(store, dir));
    store_close(&store);
}

/* The bytes of from over those of to, which keeps its inode if it is there. */
static void copy_file(const char *from_dir, const char *to_dir, const char *name)
{
    static uint8_t bytes[4 << 20];
    char path[4096];
    ssize_t size;
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", from_dir, name);
    assert_true((fd = open(path, O_RDONLY)) >= 0);
    size = read(fd, bytes, sizeof bytes);
    assert_true(size > 0 && (size_t)size < sizeof bytes);
    close(fd);
    (void)snprintf(path, sizeof path, "%s/%s", to_dir, name);
    assert_true((fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600)) >= 0);
    assert_int_equal(write(fd, bytes, (size_t)size), size);
    close(fd);
}

static void make_copy(const char *dir, char out_copy[4096])
{
    char path[4200];

    (void)snprintf(out_copy, 4096, "%s/copy", dir);
    (void)snprintf(path, sizeof path, "%s/db", out_copy);
    assert_int_equal(mkdir(out_copy, 0700), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    copy_file(dir, out_copy, STORE_MARKER_NAME);
    copy_file(dir, out_copy, "db/data.mdb");
}

static void test_restarts_are_no_copies(void **state)
{
    const struct place *place = *state;

    assert_false(is_copied(place->dir)); /* it never ran */
    for (int i = 0; i < 3; i++) {
        run_once(place->dir);
        assert_false(is_copied(place->dir));
    }
}

static void test_copied_directory(void **state)
{
    const struct place *place = *state;
    char copy[4096];

    run_once(place->dir);
    make_copy(place->dir, copy);
    assert_true(is_copied(copy));
    assert_false(is_copied(place->dir)); /* the one that ran is not disturbed */
    run_once(copy);
    assert_false(is_copied(copy)); /* from then on it is a directory like any other */
}

/* The data file keeps inode and birth when an old copy is written over it. */
static void test_put_back_in_place(void **state)
{
    const struct place *place = *state;
    char copy[4096];

    run_once(place->dir);
    make_copy(place->dir, copy);
    run_once(place->dir);
    copy_file(copy, place->dir, "db/data.mdb");
    assert_true(is_copied(place->dir));
}

/* A crash between the store and the file leaves the file one run behind, also if the next start
 * dies there again: that is no copy. */
static void test_crash_between_the_two(void **state)
{
    const struct place *place = *state;
    char copy[4096];

    run_once(place->dir);
    make_copy(place->dir, copy);
    run_once(place->dir);
    copy_file(copy, place->dir, STORE_MARKER_NAME);
    assert_false(is_copied(place->dir));
    run_once(place->dir); /* which dies there, too */
    copy_file(copy, place->dir, STORE_MARKER_NAME);
    assert_false(is_copied(place->dir));
    run_once(place->dir); /* these wrote the file: what is older is a copy */
    run_once(place->dir);
    copy_file(copy, place->dir, STORE_MARKER_NAME);
    assert_true(is_copied(place->dir));
}

static void test_marker_without_its_file(void **state)
{
    const struct place *place = *state;
    char path[4096];

    run_once(place->dir);
    (void)snprintf(path, sizeof path, "%s/" STORE_MARKER_NAME, place->dir);
    assert_int_equal(unlink(path), 0);
    assert_true(is_copied(place->dir));
    run_once(place->dir);
    assert_int_equal(truncate(path, 3), 0);
    assert_true(is_copied(place->dir));
}

static int make_closed(void **state)
{
    const int code = place_make(state);
    struct place *place = *state;

    store_abort(&place->txn);
    store_close(&place->store);
    return code;
}

#define CLOSED(test) cmocka_unit_test_setup_teardown(test, make_closed, place_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLOSED(test_restarts_are_no_copies),  CLOSED(test_copied_directory),
        CLOSED(test_put_back_in_place),       CLOSED(test_crash_between_the_two),
        CLOSED(test_marker_without_its_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
