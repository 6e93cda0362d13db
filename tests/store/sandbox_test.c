/* SPDX-License-Identifier: MPL-2.0 */
/* sandbox_test.c - what a process in the sandbox can still do, and what it cannot.
 * Each attempt is a process of its own: there is no way out again. */
#include "tests/store/store_fixture.h"

#include "daemon/io/sandbox_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define UNLIMITED 200 /* as an exit status: this system cannot do that */
#define LANDLOCK_VERSION_MIN 2

struct attempt {
    int (*run)(const char *base); /* 0, or errno */
    int expected[2];              /* one of them */
};

static bool names_are_known; /* outside of the sandbox */

static int result_of(int result)
{
    return result < 0 ? errno : 0;
}

static const char *in(const char *base, const char *name)
{
    static char path[2][512];
    static int turn;

    turn = 1 - turn;
    (void)snprintf(path[turn], sizeof path[turn], "%s/%s", base, name);
    return path[turn];
}

static int make_file(const char *path)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);

    if (fd < 0)
        return errno;
    close(fd);
    return result_of(unlink(path));
}

/* --- attempts ----------------------------------------------------------------------------- */

static int run_a_program(const char *base)
{
    char program[] = "/bin/true";
    char *const arguments[] = { program, NULL };

    (void)base;
    return result_of(execv(program, arguments));
}

static int fork_a_process(const char *base)
{
    const pid_t child = fork();

    (void)base;
    if (child == 0)
        _exit(0);
    return result_of(child);
}

static int be_traced(const char *base)
{
    (void)base;
    return result_of((int)ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int mount_something(const char *base)
{
    return result_of(mount("none", base, "tmpfs", 0, NULL));
}

static int load_a_module(const char *base)
{
    (void)base;
    return result_of((int)syscall(SYS_init_module, "", 0, ""));
}

static int see_packets(const char *base)
{
    (void)base;
    return result_of(socket(AF_PACKET, SOCK_RAW, 0));
}

static int become_another(const char *base)
{
    (void)base;
    return result_of(setuid(getuid()));
}

static void *nothing(void *context)
{
    return context;
}

static int find_localhost(void)
{
    struct addrinfo *list = NULL;

    if (getaddrinfo("localhost", "7440", NULL, &list) != 0)
        return EHOSTUNREACH;
    freeaddrinfo(list);
    return 0;
}

/* A bare container may have no /etc/hosts.  Asked in a process of its own, so that what looks
 * names up is still to be loaded in the sandbox. */
static bool localhost_is_known(void)
{
    const pid_t child = fork();
    int status = 0;

    if (child == 0)
        _exit(find_localhost());
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

static int live(const char *base)
{
    pthread_t thread;
    const int fd = socket(AF_INET6, SOCK_STREAM, 0);

    (void)base;
    if (fd < 0 && errno != EAFNOSUPPORT)
        return errno;
    if (pthread_create(&thread, NULL, nothing, NULL) != 0 || pthread_join(thread, NULL) != 0)
        return EPROTO;
    if (names_are_known && find_localhost() != 0)
        return EHOSTUNREACH;
    return close(open("/dev/urandom", O_RDONLY)) == 0 ? 0 : errno;
}

static int write_the_systems(const char *base)
{
    (void)base;
    return make_file("/etc/chapterd-sandbox-test");
}

static int change_the_own(const char *base)
{
    char other[512];
    int error;

    if (mkdir(in(base, "own/a"), 0700) != 0 || mkdir(in(base, "own/b"), 0700) != 0)
        return errno;
    (void)snprintf(other, sizeof other, "%s/own/b/file", base);
    if ((error = make_file(in(base, "own/a/file"))) != 0)
        return error;
    close(open(in(base, "own/a/file"), O_WRONLY | O_CREAT, 0600));
    if (rename(in(base, "own/a/file"), other) != 0 || truncate(other, 100) != 0 ||
        unlink(other) != 0 || rmdir(in(base, "own/a")) != 0 || rmdir(in(base, "own/b")) != 0)
        return errno;
    return 0;
}

static int make_a_pipe(const char *base)
{
    return result_of(mkfifo(in(base, "own/pipe"), 0600));
}

static int back_up(const char *base)
{
    return make_file(in(base, "backups/file"));
}

static int write_elsewhere(const char *base)
{
    return make_file(in(base, "elsewhere/file"));
}

static int read_elsewhere(const char *base)
{
    return result_of(open(in(base, "elsewhere/there"), O_RDONLY));
}

static int read_the_configuration(const char *base)
{
    return result_of(open(in(base, "conf/chapterd.conf"), O_RDONLY));
}

/* --- in the sandbox ----------------------------------------------------------------------- */

static bool landlock_is_here(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >=
           LANDLOCK_VERSION_MIN;
}

static int in_sandbox(const char *base, const char *backup_dir, bool files,
                      int (*run)(const char *base))
{
    char own[256];
    char config[256];
    const struct sandbox_places places = { own, config, backup_dir };
    const pid_t child = fork();
    int status = 0;

    assert_true(child >= 0);
    if (child == 0) {
        struct sandbox sandbox;

        (void)snprintf(own, sizeof own, "%s/own", base);
        (void)snprintf(config, sizeof config, "%s/conf/chapterd.conf", base);
        sandbox_enter(&places, &sandbox);
        _exit((files ? sandbox.files : sandbox.system_calls) ? run(base) : UNLIMITED);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void check(const char *base, const char *backup_dir, bool files,
                  const struct attempt *attempts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int result = in_sandbox(base, backup_dir, files, attempts[i].run);

        if (result != attempts[i].expected[0] && result != attempts[i].expected[1])
            fail_msg("attempt %zu: %s", i, strerror(result));
    }
}

#define CHECK(base, backup_dir, files, attempts)                                               \
    check(base, backup_dir, files, attempts, sizeof(attempts) / sizeof(attempts)[0])

static void test_system_calls(void **state)
{
    const struct place *place = *state;
    static const struct attempt attempts[] = {
        { live, { 0, 0 } },
        { run_a_program, { EPERM, EACCES } },
        { mount_something, { EPERM, EPERM } },
        { load_a_module, { EPERM, EPERM } },
        { see_packets, { EPERM, EPERM } },
        { become_another, { EPERM, EPERM } },
        { fork_a_process, { EPERM, TRACED_BY_ITSELF ? 0 : EPERM } },
        { be_traced, { EPERM, TRACED_BY_ITSELF ? 0 : EPERM } },
    };

#ifndef CHAPTERD_HAVE_SECCOMP
    skip();
#endif
    CHECK(place->dir, "", false, attempts);
}

static void test_files(void **state)
{
    const struct place *place = *state;
    static const struct attempt attempts[] = {
        { live, { 0, 0 } },
        { change_the_own, { 0, 0 } },
        { read_the_configuration, { 0, 0 } },
        { back_up, { 0, 0 } },
        { write_elsewhere, { 0, 0 } },
        { write_the_systems, { EACCES, EACCES } },
        { make_a_pipe, { EACCES, EPERM } },
        { run_a_program, { EACCES, EPERM } },
    };

    if (!landlock_is_here())
        skip();
    CHECK(place->dir, "", true, attempts);
}

static void test_backups_in_one_place(void **state)
{
    const struct place *place = *state;
    static const struct attempt attempts[] = {
        { live, { 0, 0 } },
        { change_the_own, { 0, 0 } },
        { read_the_configuration, { 0, 0 } },
        { back_up, { 0, 0 } },
        { write_elsewhere, { EACCES, EACCES } },
        { read_elsewhere, { EACCES, EACCES } },
        { write_the_systems, { EACCES, EACCES } },
    };

    if (!landlock_is_here())
        skip();
    CHECK(place->dir, in(place->dir, "backups"), true, attempts);
}

static int make_places(void **state)
{
    static const char *const names[] = { "own", "conf", "backups", "elsewhere" };
    struct place *place = place_new();

    *state = place;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (mkdir(in(place->dir, names[i]), 0700) != 0)
            return -1;
    close(open(in(place->dir, "conf/chapterd.conf"), O_WRONLY | O_CREAT, 0600));
    close(open(in(place->dir, "elsewhere/there"), O_WRONLY | O_CREAT, 0600));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_system_calls, make_places, place_free),
        cmocka_unit_test_setup_teardown(test_files, make_places, place_free),
        cmocka_unit_test_setup_teardown(test_backups_in_one_place, make_places, place_free),
    };

    names_are_known = localhost_is_known();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
