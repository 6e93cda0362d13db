/* SPDX-License-Identifier: MPL-2.0 */
/* status_test.c - each failure has words and a name; a bug of our own ends the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chapterd/status.h"

static void test_words(void **state)
{
    (void)state;
    for (int i = 0; i < STATUS_COUNT; i++) {
        assert_true(status_text((enum status)i)[0] != '\0');
        assert_true(status_name((enum status)i)[0] != '\0');
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(status_text((enum status)i), status_text((enum status)k));
            assert_string_not_equal(status_name((enum status)i), status_name((enum status)k));
        }
    }
    assert_string_equal(status_text(NO_SPACE), "no space left");
    assert_string_equal(status_name(NO_SPACE), "NO_SPACE");
}

/* As a newer daemon's answer may have. */
static void test_unknown(void **state)
{
    (void)state;
    assert_string_equal(status_text(STATUS_COUNT), "unknown failure");
    assert_string_equal(status_name(STATUS_COUNT), "UNKNOWN");
}

static void test_a_bug_ends_the_process(void **state)
{
    int pipes[2];
    char said[256] = "";
    int status = 0;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(pipes[1], STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        ASSERT(pipes[0] < 0);
        _exit(0);
    }
    close(pipes[1]);
    assert_true(read(pipes[0], said, sizeof said - 1) > 0);
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "bug: pipes[0] < 0 does not hold at "));
    assert_non_null(strstr(said, "please report it"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_a_bug_ends_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
