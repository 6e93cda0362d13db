/* SPDX-License-Identifier: MPL-2.0 */
/* crash_test.c - kill -9 at random moments: what was acknowledged is there, and sums and
 * census are those of the rows.  The child opens the store after the fork, as LMDB demands. */
#include "store_fixture.h"

#include "history.h"

#include <signal.h>
#include <sys/wait.h>

enum { CYCLES = 20 };

static int child(const char *dir, int acknowledge)
{
    struct store *store = NULL;
    uint64_t seq = 0;

    if (store_open(dir, MAP_SIZE_TEST, &store) != OK)
        return 1;
    for (;;) {
        if (history_turn(store, &seq) != OK)
            return 2;
        if (write(acknowledge, &seq, sizeof seq) != sizeof seq)
            return 3;
    }
}

/* The last seq that the child acknowledged before it died. */
static uint64_t run_and_kill(const char *dir, useconds_t after_us)
{
    int pipes[2];
    uint64_t seq = 0;
    uint64_t acknowledged = 0;
    int status = 0;
    pid_t pid;

    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(child(dir, pipes[1]));
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &acknowledged, sizeof acknowledged), sizeof acknowledged);
    usleep(after_us);
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (read(pipes[0], &seq, sizeof seq) == sizeof seq)
        acknowledged = seq;
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    return acknowledged;
}

static void what_was_acknowledged_survives(void **state)
{
    struct place *place = *state;

    assert_ok(store_create(place->dir));
    for (int cycle = 0; cycle < CYCLES; cycle++) {
        const uint64_t acknowledged =
            run_and_kill(place->dir, mix((uint64_t)cycle + 1) % 20000);

        (void)history_check(place, acknowledged);
    }
}

static void creation_is_whole_or_absent(void **state)
{
    struct place *place = *state;
    unsigned whole = 0;

    for (int cycle = 0; cycle < 2 * CYCLES; cycle++) {
        char path[256];
        enum status status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            _exit((int)store_create(place->dir));
        if (cycle > 0) /* at first before it could do anything */
            usleep((useconds_t)cycle * 100);
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        status = store_create(place->dir);
        assert_true(status == OK || status == EXISTS);
        whole += status == EXISTS;
        assert_ok(store_open(place->dir, MAP_SIZE_TEST, &place->store));
        store_close(&place->store);
        (void)snprintf(path, sizeof path, "%s/db", place->dir);
        (void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
        assert_int_equal(rmdir(place->dir), 0); /* nothing else was left */
        assert_int_equal(mkdir(place->dir, 0700), 0);
    }
    assert_true(whole < 2 * CYCLES);
}

int main(void)
{
#define EMPTY(test) cmocka_unit_test_setup_teardown(test, place_make_empty, place_free)
    const struct CMUnitTest tests[] = {
        EMPTY(what_was_acknowledged_survives),
        EMPTY(creation_is_whole_or_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
