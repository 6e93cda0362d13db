/* SPDX-License-Identifier: MPL-2.0 */
/* id_set_test.c - the ids of one list, whichever a peer chooses. */
#include "proto/id_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void id_of(uint32_t number, size_t at, uint8_t out_id[ID_SIZE])
{
    memset(out_id, 0x5a, ID_SIZE);
    memcpy(out_id + at, &number, sizeof number);
}

/* Ids that differ in four bytes alone, wherever those stand, spread over the slots: of a full
 * list hardly two slots are looked at for each. */
static void test_ids_that_are_alike(void **state)
{
    static struct id_set set;
    uint8_t id[ID_SIZE];

    (void)state;
    for (size_t at = 0; at <= ID_SIZE - sizeof(uint32_t); at += sizeof(uint32_t)) {
        id_set_clear(&set);
        set.probes = 0;
        for (uint32_t i = 0; i < EVENT_CHANGES_MAX; i++) {
            id_of(i, at, id);
            assert_false(id_set_has(&set, id));
            assert_true(id_set_add(&set, id));
        }
        assert_in_range(set.probes, 2 * EVENT_CHANGES_MAX, 5 * EVENT_CHANGES_MAX);
        for (uint32_t i = 0; i < EVENT_CHANGES_MAX; i++) {
            id_of(i, at, id);
            assert_true(id_set_has(&set, id));
            assert_false(id_set_add(&set, id));
        }
    }
}

/* Ids that meet under one key do not under another: nobody can choose them without the key. */
static void test_the_key_decides(void **state)
{
    static struct id_set set;
    static uint8_t ids[64][ID_SIZE];
    size_t count = 0;

    (void)state;
    for (uint32_t i = 0; count < 64 && i < 1000000; i++) {
        id_of(i, 0, ids[count]);
        id_set_clear(&set);
        assert_true(id_set_add(&set, ids[count]));
        for (size_t slot = 0; slot < ID_SET_SLOTS / 64; slot++)
            if (memcmp(set.ids[slot], ids[count], ID_SIZE) == 0) {
                count++;
                break;
            }
    }
    assert_int_equal(count, 64);
    for (uint8_t key = 0; key < 2; key++) {
        uint64_t near = 0;

        set.key[0] = key;
        id_set_clear(&set);
        for (size_t i = 0; i < 64; i++)
            assert_true(id_set_add(&set, ids[i]));
        for (size_t slot = 0; slot < ID_SET_SLOTS / 32; slot++)
            near += set.ids[slot][ID_SIZE - 1] != 0;
        if (key == 0)
            assert_int_equal(near, 64);
        else
            assert_in_range(near, 0, 16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_that_are_alike),
        cmocka_unit_test(test_the_key_decides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
