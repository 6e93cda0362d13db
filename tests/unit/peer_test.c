/* SPDX-License-Identifier: MPL-2.0 */
/* peer_test.c - whom a node dials: HQ, the ring, two more; the same for the same roster. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "daemon/core/peer.h"

#define CHAPTERS 12
static struct roster_entry entries[CHAPTERS + 1];
static const struct roster_entry *roster[CHAPTERS + 1];

/* a, b, ... listen where their bit is set; hq stands among them in code order. */
static size_t lay_out(unsigned listening)
{
    size_t count = 0;

    memset(entries, 0, sizeof entries);
    for (int i = 0; i < CHAPTERS + 1; i++) {
        const bool hq = i == 7;
        const int letter = i < 7 ? i : i - 1;

        roster[count] = &entries[count];
        if (hq)
            memcpy(entries[count].code, "hq", 3);
        else
            entries[count].code[0] = (char)('a' + (letter < 7 ? letter : letter + 2));
        if (hq || (listening & 1u << letter))
            memcpy(entries[count].address, "x:1", 4);
        count++;
    }
    return count;
}

static bool chose(const size_t *indices, size_t count, const char *code)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(roster[indices[i]]->code, code) == 0)
            return true;
    return false;
}

static void test_hq_ring_and_two(void **state)
{
    size_t indices[PEERS_DIALLED_MAX];
    const size_t count = lay_out(0xfff);
    const size_t chosen = peer_choose("c", roster, count, indices);

    (void)state;
    assert_int_equal(chosen, PEERS_DIALLED_MAX);
    assert_true(chose(indices, chosen, "hq"));
    assert_true(chose(indices, chosen, "d"));
    assert_false(chose(indices, chosen, "c"));
    for (size_t i = 0; i < chosen; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(indices[i], indices[k]);
}

static void test_nobody_to_dial(void **state)
{
    size_t indices[PEERS_DIALLED_MAX];
    size_t count = lay_out(0);

    (void)state;
    assert_int_equal(peer_choose("hq", roster, count, indices), 0);
    assert_int_equal(peer_choose("c", roster, count, indices), 1);
    count = lay_out(1u << 2); /* c alone listens: its ring has nobody else */
    assert_int_equal(peer_choose("c", roster, count, indices), 1);
    assert_int_equal(peer_choose("d", roster, count, indices), 2);
    entries[2].state = CHAPTER_REVOKED;
    assert_int_equal(peer_choose("d", roster, count, indices), 1);
}

/* Whoever listens, following the ring from any listener comes past all of them: connected. */
static void test_the_ring_is_connected_without_hq(void **state)
{
    (void)state;
    for (unsigned listening = 1; listening < 1u << CHAPTERS; listening += 37) {
        const size_t count = lay_out(listening);
        char at[CODE_SIZE] = "";
        unsigned seen = 0;

        for (size_t i = 0; i < count && at[0] == '\0'; i++)
            if (roster[i]->address[0] != '\0' && strcmp(roster[i]->code, "hq") != 0)
                memcpy(at, roster[i]->code, CODE_SIZE);
        for (int hop = 0; hop < CHAPTERS; hop++) {
            size_t indices[PEERS_DIALLED_MAX];
            const size_t chosen = peer_choose(at, roster, count, indices);

            seen |= 1u << (at[0] < 'h' ? at[0] - 'a' : at[0] - 'a' - 2);
            if (chosen < 2)
                break;
            memcpy(at, roster[indices[1]]->code, CODE_SIZE); /* the ring's next comes second */
        }
        assert_int_equal(seen, listening);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hq_ring_and_two),
        cmocka_unit_test(test_nobody_to_dial),
        cmocka_unit_test(test_the_ring_is_connected_without_hq),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
