/* SPDX-License-Identifier: MPL-2.0 */
/* import_match_test.c - which member a row means, and which rows are left to the operator.
 * Each check is a small file against the same members. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/import_match.h"
#include "import_fixture.h"

#define ID_A "01890a5d-ac96-774b-bcce-b302099a8057"
#define ID_B "01890a5d-ac96-774b-bcce-b302099a8058"
#define ID_C "01890a5d-ac96-774b-bcce-b302099a8059"

#define MATCH_HEADER "id|external_id|name|email"

static void add_member(struct import_members *members, const char *id, const char *external_id,
                       const char *name, const char *email)
{
    json_t *member =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "id", id, "external_id", external_id,
                  "name", name, "email", email, "status", "active", "seq", 7);

    assert_non_null(member);
    assert_int_equal(members_add(members, member), OK);
    json_decref(member);
}

/* Each row's outcome, a line each: the member's id's last digit, "new", or the reason. */
static void check_rows(struct import_members *members, const char *const *rows,
                       const char *const *expected)
{
    struct import_columns *columns = make_columns(MATCH_HEADER);
    struct file_keys file = { 0 };
    struct row_keys keys;
    struct csv_row row;

    members_forget_lines(members);
    for (size_t i = 0; rows[i] != NULL; i++) {
        make_row(rows[i], i + 2, &row);
        assert_int_equal(row_keys_of(columns, &row, &keys), OK);
        assert_int_equal(file_keys_add(&file, &keys, row.line), OK);
    }
    for (size_t i = 0; rows[i] != NULL; i++) {
        char reason[MATCH_REASON_SIZE] = "new";
        struct import_member *member = NULL;
        char id[UUID_TEXT_SIZE];
        bool known;

        make_row(rows[i], i + 2, &row);
        assert_int_equal(row_keys_of(columns, &row, &keys), OK);
        if (match_row(members, &file, &keys, row.line, &member, reason, &known) ==
            MATCH_MEMBER) {
            uuid_format(member->id, id);
            assert_string_equal(id + 35, expected[i]);
        } else {
            assert_null(member);
            assert_memory_equal(reason, expected[i], strlen(expected[i]));
        }
    }
    file_keys_done(&file);
    free(columns);
}

static void test_matching(void **state)
{
    struct import_members members = { 0 };

    (void)state;
    add_member(&members, ID_A, "a-1", "Zoé Durand", "Zoe@Example.org");
    add_member(&members, ID_B, "", "Jean Martin", "");
    add_member(&members, ID_C, "c-3", "Office", "info@example.org");
    assert_int_equal(members.active_count, 3);
    /* by id in any case, external id, e-mail and name in any case and normal form, name
     * alone */
    check_rows(&members, (const char *[]){ "01890A5D-AC96-774B-BCCE-B302099A8057||X|", NULL },
               (const char *[]){ "7" });
    check_rows(&members, (const char *[]){ "|a-1|X|", NULL }, (const char *[]){ "7" });
    check_rows(&members, (const char *[]){ "|A-1|X|", NULL }, (const char *[]){ "new" });
    check_rows(&members, (const char *[]){ "||ZOE\xcc\x81 durand | zoe@example.ORG", NULL },
               (const char *[]){ "7" });
    check_rows(&members, (const char *[]){ "||Jean Martin|", NULL }, (const char *[]){ "8" });
    check_rows(&members, (const char *[]){ "||Office|", NULL }, (const char *[]){ "new" });
    check_rows(&members, (const char *[]){ "||Jean Martin|jean@example.org", NULL },
               (const char *[]){ "new" });
    check_rows(&members, (const char *[]){ "|x-9|Jean Martin|", NULL },
               (const char *[]){ "new" });
    /* keys that contradict each other */
    check_rows(&members, (const char *[]){ ID_A "|c-3|X|", NULL },
               (const char *[]){ "review: another member has this external id" });
    check_rows(&members,
               (const char *[]){ "01890a5d-ac96-774b-bcce-b302099a8050|c-3|X|", NULL },
               (const char *[]){ "review: the member with this external id has another id" });
    check_rows(
        &members,
        (const char *[]){ "01890a5d-ac96-774b-bcce-b302099a8050||Zoé Durand|"
                          "zoe@example.org",
                          NULL },
        (const char *[]){ "review: the member with this e-mail and name has another id" });
    members_done(&members);
}

static void test_shared_mailboxes_are_never_merged(void **state)
{
    struct import_members members = { 0 };

    (void)state;
    add_member(&members, ID_A, "", "Zoé Durand", "zoe@example.org");
    check_rows(&members, (const char *[]){ "||Léa Durand|ZOE@example.org", NULL },
               (const char *[]){ "review: a member of another name has this e-mail" });
    check_rows(&members, (const char *[]){ "|x-1|Léa Durand|zoe@example.org", NULL },
               (const char *[]){ "review: a member of another name has this e-mail" });
    /* a fresh id says that it is another person */
    check_rows(&members, (const char *[]){ ID_B "||Léa Durand|zoe@example.org", NULL },
               (const char *[]){ "new" });
    /* both rows of a file, and those of a known member are not touched by it */
    check_rows(
        &members,
        (const char *[]){ "||A|info@example.org", "||B|Info@example.org", "||C|c@x", NULL },
        (const char *[]){ "review: the file has this e-mail with different names",
                          "review: the file has this e-mail with different names", "new" });
    check_rows(&members,
               (const char *[]){ "||Zoé Durand|zoe@example.org", "||B|zoe@example.org", NULL },
               (const char *[]){ "7", "review: a member of another name has this e-mail" });
    members_done(&members);
}

/* A rejected row stands for a member only if another row certainly took that member. */
static void test_what_duplicates_prove(void **state)
{
    static const struct {
        const char *first;
        const char *second;
        bool known;
    } cases[] = {
        { "||Zoé Durand|zoe@example.org", "||Zoé Durand|zoe@example.org", true },
        { "||A|a@x", "||A|a@x", false },
        { ID_A "||Bob|b@x", "||Bob|b@x", false },
        { ID_A "||A|a@x", "|a-1|A|a@x", true },
        { "|x|A|a@x", "|x|B|b@x", false },
        { ID_B "||A|a@x", ID_B "||B|b@x", false },
        { "||A|a@x", "||B|a@x", false },
    };
    struct import_columns *columns = make_columns(MATCH_HEADER);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const rows[] = { cases[i].first, cases[i].second };
        struct import_members members = { 0 };
        struct import_member *member;
        struct file_keys file = { 0 };
        struct row_keys keys[2];
        char reason[MATCH_REASON_SIZE];
        bool known = false;

        add_member(&members, ID_A, "a-1", "Zoé Durand", "zoe@example.org");
        add_member(&members, ID_C, "", "Bob", "b@x");
        for (size_t k = 0; k < 2; k++) {
            struct csv_row row;

            make_row(rows[k], k + 2, &row);
            assert_int_equal(row_keys_of(columns, &row, &keys[k]), OK);
            assert_int_equal(file_keys_add(&file, &keys[k], row.line), OK);
        }
        (void)match_row(&members, &file, &keys[0], 2, &member, reason, &known);
        assert_int_equal(match_row(&members, &file, &keys[1], 3, &member, reason, &known),
                         MATCH_REJECT);
        assert_int_equal(known, cases[i].known);
        members_done(&members);
        file_keys_done(&file);
    }
    free(columns);
}

static void test_duplicates_in_a_file(void **state)
{
    struct import_members members = { 0 };

    (void)state;
    add_member(&members, ID_A, "a-1", "Zoé Durand", "zoe@example.org");
    check_rows(&members, (const char *[]){ ID_B "||A|", ID_B "||B|", NULL },
               (const char *[]){ "new", "duplicate: the same id as in line 2" });
    check_rows(
        &members, (const char *[]){ "|x|A|", "|y|A|", "|x|B|", NULL },
        (const char *[]){ "new", "new", "duplicate: the same external id as in line 2" });
    check_rows(&members, (const char *[]){ "||A|a@x", "||a|A@X", NULL },
               (const char *[]){ "new", "duplicate: the same e-mail and name as in line 2" });
    check_rows(&members, (const char *[]){ "||A|", "||B|", "||A|", NULL },
               (const char *[]){ "new", "new", "duplicate: the same name, with nothing else" });
    /* one member by two keys */
    check_rows(&members, (const char *[]){ ID_A "||X|", "|a-1|X|", NULL },
               (const char *[]){ "7", "duplicate: the same member as in line 2" });
    members_done(&members);
}

/* Two members that rows cannot tell apart; ids still can. */
static void test_ambiguous_members(void **state)
{
    struct import_members members = { 0 };

    (void)state;
    add_member(&members, ID_A, "e", "Zoé", "z@x");
    add_member(&members, ID_B, "e", "Zoé", "z@x");
    add_member(&members, ID_B, "e", "Zoé", "z@x"); /* a page brings it again */
    assert_int_equal(members.count, 2);
    assert_int_equal(members.active_count, 2);
    check_rows(&members, (const char *[]){ "|e|Zoé|z@x", NULL },
               (const char *[]){ "review: two members have this external id" });
    check_rows(&members, (const char *[]){ "||Zoé|z@x", NULL },
               (const char *[]){ "review: two members have this e-mail and name" });
    check_rows(&members, (const char *[]){ ID_A "|e|Zoé|z@x", ID_B "|e|Zoé|z@x", NULL },
               (const char *[]){ "7", "8" });
    members_done(&members);
}

static void test_values_of_members(void **state)
{
    struct import_columns *columns = make_columns("Name|Foo Bar|notes|other|id");
    json_t *member =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s}", "id", ID_A, "name", "A", "Foo Bar",
                  "x", "notes", "n", "chapter", "fr", "seq", 3, "extra", "y");
    struct slice values[CSV_COLUMNS_MAX];
    struct import_members members = { 0 };
    json_t *bad = json_pack("{s:s}", "id", "7");

    (void)state;
    assert_int_equal(members_add(&members, bad), INVALID);
    assert_int_equal(members_add(&members, member), OK);
    assert_int_equal(members.active_count, 0);
    /* a field that exists under the header's own spelling keeps it: an export comes back */
    members_keep_names(&members, columns);
    assert_string_equal(columns->column[1].name, "Foo Bar");
    assert_string_equal(columns->column[0].name, "name");
    members_values(&members, &members.list[0], columns, values);
    assert_true(slice_is_text(values[0], "A"));
    assert_true(slice_is_text(values[1], "x"));
    assert_true(slice_is_text(values[2], "n"));
    assert_int_equal(values[3].size, 0);
    assert_int_equal(values[4].size, 0);
    json_object_set_new(member, "name", json_string("B"));
    json_object_set_new(member, "status", json_string("active"));
    assert_int_equal(members_add(&members, member), OK);
    assert_int_equal(members.count, 1);
    assert_int_equal(members.active_count, 1);
    members_values(&members, &members.list[0], columns, values);
    assert_true(slice_is_text(values[0], "B"));
    json_decref(member);
    json_decref(bad);
    members_done(&members);
    free(columns);
}

/* Many members and rows: each finds its own and no other. */
static void test_many(void **state)
{
    enum { COUNT = 5000 };
    struct import_columns *columns = make_columns(MATCH_HEADER);
    struct import_members members = { 0 };
    struct file_keys file = { 0 };
    struct row_keys keys;
    struct csv_row row;
    char text[64];
    char mail[32];
    char id[UUID_TEXT_SIZE];

    (void)state;
    for (int i = 1; i <= COUNT; i++) {
        (void)snprintf(id, sizeof id, "01890a5d-ac96-774b-bcce-%012d", i);
        (void)snprintf(mail, sizeof mail, "m%d@x", i);
        add_member(&members, id, "", "N", mail);
    }
    for (int i = COUNT; i >= 1; i--) {
        struct import_member *member = NULL;
        char reason[MATCH_REASON_SIZE];
        bool known;

        (void)snprintf(text, sizeof text, "||n|M%d@X", i);
        make_row(text, (uint64_t)i, &row);
        assert_int_equal(row_keys_of(columns, &row, &keys), OK);
        assert_int_equal(file_keys_add(&file, &keys, row.line), OK);
        assert_int_equal(match_row(&members, &file, &keys, row.line, &member, reason, &known),
                         MATCH_MEMBER);
        uuid_format(member->id, id);
        assert_int_equal(strtol(id + 24, NULL, 10), i);
    }
    members_done(&members);
    file_keys_done(&file);
    free(columns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matching),
        cmocka_unit_test(test_shared_mailboxes_are_never_merged),
        cmocka_unit_test(test_what_duplicates_prove),
        cmocka_unit_test(test_duplicates_in_a_file),
        cmocka_unit_test(test_ambiguous_members),
        cmocka_unit_test(test_values_of_members),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
