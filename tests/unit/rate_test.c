/* SPDX-License-Identifier: MPL-2.0 */
/* rate_test.c - buckets of tokens. */
#include "daemon/core/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int taken(struct rate *rate, const struct rate_limit *limit, int64_t now_ms)
{
    int count = 0;

    while (count < 10000 && rate_take(rate, limit, 1, now_ms))
        count++;
    return count;
}

static void test_a_burst_and_then_so_many_a_second(void **state)
{
    static const struct {
        struct rate_limit limit;
        int64_t after_ms;
        int expected;
    } cases[] = {
        { { 8, 2 }, 0, 0 },       { { 8, 2 }, 499, 0 },     { { 8, 2 }, 500, 1 },
        { { 8, 2 }, 1000, 2 },    { { 8, 2 }, 3999, 7 },    { { 8, 2 }, 4000, 8 },
        { { 8, 2 }, 1000000, 8 }, { { 1000, 100 }, 10, 1 }, { { 1, 1 }, INT64_MAX / 2, 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rate rate = { 0 };

        assert_int_equal(taken(&rate, &cases[i].limit, 5), (int)cases[i].limit.burst);
        assert_int_equal(taken(&rate, &cases[i].limit, 5 + cases[i].after_ms),
                         cases[i].expected);
    }
}

/* What costs more than all is possible, and has to be paid back. */
static void test_large_costs(void **state)
{
    static const struct rate_limit limit = { 100, 10 };
    struct rate rate = { 0 };

    (void)state;
    assert_true(rate_take(&rate, &limit, 1000, 0));
    assert_false(rate_has(&rate, &limit, 90000));
    assert_true(rate_has(&rate, &limit, 90100));
    assert_true(rate_take(&rate, &limit, 1, 90100));
    assert_false(rate_take(&rate, &limit, 1, 90100));
}

static void test_a_charge_is_paid_back(void **state)
{
    static const struct rate_limit limit = { 100, 10 };
    struct rate rate = { 0 };

    (void)state;
    for (int i = 0; i < 5; i++)
        rate_charge(&rate, &limit, 100, 1000);
    assert_false(rate_has(&rate, &limit, 41000));
    assert_true(rate_has(&rate, &limit, 41100));
}

static void test_a_clock_that_stands_gives_nothing(void **state)
{
    static const struct rate_limit limit = { 1, 1 };
    struct rate rate = { 0 };

    (void)state;
    assert_true(rate_take(&rate, &limit, 1, 1000));
    for (int i = 0; i < 3000; i++)
        assert_false(rate_take(&rate, &limit, 1, 1000));
    assert_false(rate_take(&rate, &limit, 1, 500));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_and_then_so_many_a_second),
        cmocka_unit_test(test_large_costs),
        cmocka_unit_test(test_a_charge_is_paid_back),
        cmocka_unit_test(test_a_clock_that_stands_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
