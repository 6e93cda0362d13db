/* SPDX-License-Identifier: MPL-2.0 */
/* import_match_test.c - which member a row means, and which rows are left to the operator.
 * Each check is a small file against the same members; the sorters have little memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/import_match.h"
#include "client/session.h"
#include "import_fixture.h"

#define ID_A "01890a5d-ac96-774b-bcce-b302099a8057"
#define ID_B "01890a5d-ac96-774b-bcce-b302099a8058"
#define ID_C "01890a5d-ac96-774b-bcce-b302099a8059"

#define MATCH_HEADER "id|external_id|name|email"

/* So little that a few hundred keys go through temporary files. */
#define SORT_MEMORY (2 * SORTER_RUNS_MAX * sizeof(struct sort_record))

/* The members that there are, of which each check makes its own list. */
struct known {
    const char *id;
    const char *external_id;
    const char *name;
    const char *email;
};

static struct slice pack_member(struct mp_writer *writer, const struct known *known)
{
    mp_writer_reset(writer);
    mp_write_map(writer, 6);
    mp_write_key_text(writer, "email", known->email);
    mp_write_key_text(writer, "external_id", known->external_id);
    mp_write_key_text(writer, "id", known->id);
    mp_write_key_text(writer, "name", known->name);
    mp_write_key_uint(writer, "seq", 7);
    mp_write_key_text(writer, "status", "active");
    assert_int_equal(writer->status, OK);
    return mp_writer_bytes(writer);
}

static void add_member(struct import_members *members, struct import_match *match,
                       const struct known *known)
{
    struct member_texts texts;
    struct mp_writer writer;
    uint8_t buffer[1024];
    uint64_t number;

    mp_writer_init(&writer, buffer, sizeof buffer);
    assert_int_equal(members_add(members, pack_member(&writer, known), &texts, &number), OK);
    assert_int_equal(match_add_member(match, &texts, number), OK);
}

static void add_row(struct import_match *match, const struct import_columns *columns,
                    const char *text, uint64_t line)
{
    struct row_keys keys;
    struct csv_row row;

    make_row(text, line, &row);
    assert_int_equal(row_keys_of(columns, &row, &keys), OK);
    assert_int_equal(match_add_row(match, &keys, line), OK);
}

static void match_text(struct import_match *match, struct import_members *members,
                       const struct import_columns *columns, const char *text, uint64_t line,
                       struct match_verdict *out_verdict)
{
    struct row_keys keys;
    struct csv_row row;

    make_row(text, line, &row);
    assert_int_equal(row_keys_of(columns, &row, &keys), OK);
    assert_int_equal(match_row(match, members, &keys, line, out_verdict), OK);
}

/* Each row's outcome, a line each: the member's id's last digit, "new", or the reason. */
static void check_rows(const struct known *known, const char *const *rows,
                       const char *const *expected)
{
    struct import_columns *columns = make_columns(MATCH_HEADER);
    struct import_members members = { 0 };
    struct import_match match = { 0 };

    assert_int_equal(match_init(&match, SORT_MEMORY), OK);
    for (; known->id != NULL; known++)
        add_member(&members, &match, known);
    for (size_t i = 0; rows[i] != NULL; i++)
        add_row(&match, columns, rows[i], i + 2);
    assert_int_equal(match_join(&match, &members, NULL), OK);
    for (size_t i = 0; rows[i] != NULL; i++) {
        struct match_verdict verdict;
        struct import_member member;
        char id[UUID_TEXT_SIZE];

        match_text(&match, &members, columns, rows[i], i + 2, &verdict);
        if (verdict.result == MATCH_MEMBER) {
            assert_int_equal(members_get(&members, verdict.number, &member), OK);
            assert_int_equal(member.line, i + 2);
            uuid_format(member.id, id);
            assert_string_equal(id + 35, expected[i]);
        } else {
            assert_int_equal(verdict.number, 0);
            assert_memory_equal(verdict.result == MATCH_NONE ? "new" : verdict.reason,
                                expected[i], strlen(expected[i]));
        }
    }
    match_done(&match);
    members_done(&members);
    free(columns);
}

static void test_matching(void **state)
{
    static const struct known members[] = {
        { ID_A, "a-1", "Zoé Durand", "Zoe@Example.org" },
        { ID_B, "", "Jean Martin", "" },
        { ID_C, "c-3", "Office", "info@example.org" },
        { NULL, NULL, NULL, NULL },
    };

    (void)state;
    /* by id in any case, external id, e-mail and name in any case and normal form, name
     * alone */
    check_rows(members, (const char *[]){ "01890A5D-AC96-774B-BCCE-B302099A8057||X|", NULL },
               (const char *[]){ "7" });
    check_rows(members, (const char *[]){ "|a-1|X|", NULL }, (const char *[]){ "7" });
    check_rows(members, (const char *[]){ "|A-1|X|", NULL }, (const char *[]){ "new" });
    check_rows(members, (const char *[]){ "||ZOE\xcc\x81 durand | zoe@example.ORG", NULL },
               (const char *[]){ "7" });
    check_rows(members, (const char *[]){ "||Jean Martin|", NULL }, (const char *[]){ "8" });
    check_rows(members, (const char *[]){ "||Office|", NULL }, (const char *[]){ "new" });
    check_rows(members, (const char *[]){ "||Jean Martin|jean@example.org", NULL },
               (const char *[]){ "new" });
    check_rows(members, (const char *[]){ "|x-9|Jean Martin|", NULL },
               (const char *[]){ "new" });
    /* keys that contradict each other */
    check_rows(members, (const char *[]){ ID_A "|c-3|X|", NULL },
               (const char *[]){ "review: another member has this external id" });
    check_rows(members, (const char *[]){ "01890a5d-ac96-774b-bcce-b302099a8050|c-3|X|", NULL },
               (const char *[]){ "review: the member with this external id has another id" });
    check_rows(
        members,
        (const char *[]){ "01890a5d-ac96-774b-bcce-b302099a8050||Zoé Durand|"
                          "zoe@example.org",
                          NULL },
        (const char *[]){ "review: the member with this e-mail and name has another id" });
}

static void test_shared_mailboxes_are_never_merged(void **state)
{
    static const struct known members[] = {
        { ID_A, "", "Zoé Durand", "zoe@example.org" },
        { NULL, NULL, NULL, NULL },
    };

    (void)state;
    check_rows(members, (const char *[]){ "||Léa Durand|ZOE@example.org", NULL },
               (const char *[]){ "review: a member of another name has this e-mail" });
    check_rows(members, (const char *[]){ "|x-1|Léa Durand|zoe@example.org", NULL },
               (const char *[]){ "review: a member of another name has this e-mail" });
    /* a fresh id says that it is another person */
    check_rows(members, (const char *[]){ ID_B "||Léa Durand|zoe@example.org", NULL },
               (const char *[]){ "new" });
    /* both rows of a file, and those of a known member are not touched by it */
    check_rows(
        members,
        (const char *[]){ "||A|info@example.org", "||B|Info@example.org", "||C|c@x", NULL },
        (const char *[]){ "review: the file has this e-mail with different names",
                          "review: the file has this e-mail with different names", "new" });
    check_rows(members,
               (const char *[]){ "||Zoé Durand|zoe@example.org", "||B|zoe@example.org", NULL },
               (const char *[]){ "7", "review: a member of another name has this e-mail" });
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
        static const struct known a = { ID_A, "a-1", "Zoé Durand", "zoe@example.org" };
        static const struct known c = { ID_C, "", "Bob", "b@x" };
        struct import_members members = { 0 };
        struct import_match match = { 0 };
        struct match_verdict verdict;

        assert_int_equal(match_init(&match, SORT_MEMORY), OK);
        add_member(&members, &match, &a);
        add_member(&members, &match, &c);
        add_row(&match, columns, cases[i].first, 2);
        add_row(&match, columns, cases[i].second, 3);
        assert_int_equal(match_join(&match, &members, NULL), OK);
        match_text(&match, &members, columns, cases[i].first, 2, &verdict);
        match_text(&match, &members, columns, cases[i].second, 3, &verdict);
        assert_int_equal(verdict.result, MATCH_REJECT);
        assert_int_equal(verdict.known, cases[i].known);
        match_done(&match);
        members_done(&members);
    }
    free(columns);
}

static void test_duplicates_in_a_file(void **state)
{
    static const struct known members[] = {
        { ID_A, "a-1", "Zoé Durand", "zoe@example.org" },
        { NULL, NULL, NULL, NULL },
    };

    (void)state;
    check_rows(members, (const char *[]){ ID_B "||A|", ID_B "||B|", NULL },
               (const char *[]){ "new", "duplicate: the same id as in line 2" });
    check_rows(
        members, (const char *[]){ "|x|A|", "|y|A|", "|x|B|", NULL },
        (const char *[]){ "new", "new", "duplicate: the same external id as in line 2" });
    check_rows(members, (const char *[]){ "||A|a@x", "||a|A@X", NULL },
               (const char *[]){ "new", "duplicate: the same e-mail and name as in line 2" });
    check_rows(members, (const char *[]){ "||A|", "||B|", "||A|", NULL },
               (const char *[]){ "new", "new", "duplicate: the same name, with nothing else" });
    /* one member by two keys */
    check_rows(members, (const char *[]){ ID_A "||X|", "|a-1|X|", NULL },
               (const char *[]){ "7", "duplicate: the same member as in line 2" });
}

/* Two members that rows cannot tell apart; ids still can. */
static void test_ambiguous_members(void **state)
{
    static const struct known members[] = {
        { ID_A, "e", "Zoé", "z@x" },
        { ID_B, "e", "Zoé", "z@x" },
        { NULL, NULL, NULL, NULL },
    };

    (void)state;
    check_rows(members, (const char *[]){ "|e|Zoé|z@x", NULL },
               (const char *[]){ "review: two members have this external id" });
    check_rows(members, (const char *[]){ "||Zoé|z@x", NULL },
               (const char *[]){ "review: two members have this e-mail and name" });
    check_rows(members, (const char *[]){ ID_A "|e|Zoé|z@x", ID_B "|e|Zoé|z@x", NULL },
               (const char *[]){ "7", "8" });
}

/* A member that is changed while the list is read comes again: the last version counts, and
 * nothing is found by what the others said. */
static void test_a_member_that_comes_twice(void **state)
{
    static const struct known members[] = {
        { ID_A, "a-1", "Zoé", "old@x" },
        { ID_B, "b-1", "Bob", "b@x" },
        { ID_A, "a-2", "Zoé", "new@x" },
        { NULL, NULL, NULL, NULL },
    };
    static const struct known other = { ID_C, "a-1", "Zoé", "old@x" };
    struct import_columns *columns = make_columns(MATCH_HEADER);
    struct import_members list = { 0 };
    struct import_match match = { 0 };
    struct import_member member;
    uint64_t number = 0;
    int outdated = 0;

    (void)state;
    check_rows(members, (const char *[]){ ID_A "||X|", "|b-1|X|", NULL },
               (const char *[]){ "7", "8" });
    check_rows(members, (const char *[]){ "|a-2|X|", "|a-1|X|", NULL },
               (const char *[]){ "7", "new" });
    check_rows(members, (const char *[]){ "||Zoé|new@x", "||Zoé|old@x", NULL },
               (const char *[]){ "7", "new" });
    check_rows(members, (const char *[]){ "||Bob|old@x", "||Bob|new@x", NULL },
               (const char *[]){ "new", "review: a member of another name has this e-mail" });
    /* what it was before may be another's by now, and is not ambiguous */
    assert_int_equal(match_init(&match, SORT_MEMORY), OK);
    for (size_t i = 0; members[i].id != NULL; i++)
        add_member(&list, &match, &members[i]);
    add_member(&list, &match, &other);
    assert_int_equal(list.active_count, 4);
    add_row(&match, columns, "|a-1|X|", 2);
    assert_int_equal(match_join(&match, &list, NULL), OK);
    assert_int_equal(list.active_count, 3);
    while (members_next(&list, &number, &member) == OK)
        outdated += member.outdated;
    assert_int_equal(outdated, 1);
    match_done(&match);
    members_done(&list);
    free(columns);
    check_rows((const struct known[]){ members[0], members[2], other, { 0 } },
               (const char *[]){ "|a-1|X|", "||Zoé|old@x", NULL },
               (const char *[]){ "9", "duplicate: the same member as in line 2" });
}

static void test_values_of_members(void **state)
{
    struct import_columns *columns = make_columns("Name|Foo Bar|notes|other|id");
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s}", "id", ID_A, "name", "A", "Foo Bar",
                  "x", "notes", "n", "chapter", "fr", "seq", 3, "extra", "y");
    json_t *bad = json_pack("{s:s}", "id", "7");
    struct slice values[CSV_COLUMNS_MAX];
    struct import_members members = { 0 };
    char reason[COLUMNS_REASON_SIZE];
    struct import_member member;
    struct member_texts texts;
    struct mp_writer writer;
    uint64_t number;

    (void)state;
    mp_writer_init_heap(&writer, CONTROL_SIZE_MAX);
    assert_true(mp_write_json(&writer, bad));
    assert_int_equal(members_add(&members, mp_writer_bytes(&writer), &texts, &number), INVALID);
    mp_writer_reset(&writer);
    assert_true(mp_write_json(&writer, object));
    assert_int_equal(members_add(&members, mp_writer_bytes(&writer), &texts, &number), OK);
    assert_int_equal(members.active_count, 0);
    assert_true(slice_is_text(texts.name, "A"));
    /* a field that exists under the header's own spelling keeps it: an export comes back */
    import_columns_keep(columns, mp_writer_bytes(&writer));
    assert_int_equal(import_columns_finish(columns, reason), OK);
    assert_string_equal(columns->column[1].name, "Foo Bar");
    assert_string_equal(columns->column[0].name, "name");
    assert_int_equal(members_get(&members, number, &member), OK);
    member_values(&member, columns, values);
    assert_true(slice_is_text(values[0], "A"));
    assert_true(slice_is_text(values[1], "x"));
    assert_true(slice_is_text(values[2], "n"));
    assert_int_equal(values[3].size, 0);
    assert_int_equal(values[4].size, 0);
    json_decref(object);
    json_decref(bad);
    mp_writer_done(&writer);
    members_done(&members);
    free(columns);
}

/* How fields that this version does not know are spelled: as members have them; where several
 * do, as the header, if it is among them. */
static void test_spelling_of_unknown_fields(void **state)
{
    static const struct {
        const char *header;
        const char *fields[3];
        const char *name;
    } cases[] = {
        { "T Shirt", { NULL }, "T Shirt" },
        { "T Shirt", { "t_shirt", NULL }, "t_shirt" },
        { "t_shirt", { "T Shirt", NULL }, "T Shirt" },
        { "T Shirt", { "t_shirt", "T Shirt", NULL }, "T Shirt" },
        { "T Shirt", { "T Shirt", "t_shirt", NULL }, "T Shirt" },
        { "t shirt", { "T_SHIRT", "t_shirt", NULL }, "T_SHIRT" },
        { "City", { "CITY", NULL }, "city" },
        { "\xc3\x89tat", { "e\xcc\x81tat", NULL }, "e\xcc\x81tat" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct import_columns *columns = calloc(1, sizeof *columns);
        char reason[COLUMNS_REASON_SIZE];
        char header[128];
        struct csv_row row;

        assert_non_null(columns);
        (void)snprintf(header, sizeof header, "name|%s", cases[i].header);
        make_row(header, 1, &row);
        assert_int_equal(import_columns_read(&row, columns, reason), OK);
        for (size_t k = 0; cases[i].fields[k] != NULL; k++) {
            uint8_t buffer[128];
            struct mp_writer writer;

            mp_writer_init(&writer, buffer, sizeof buffer);
            mp_write_map(&writer, 1);
            mp_write_key_text(&writer, cases[i].fields[k], "x");
            import_columns_keep(columns, mp_writer_bytes(&writer));
        }
        assert_int_equal(import_columns_finish(columns, reason), OK);
        assert_string_equal(columns->column[1].name, cases[i].name);
        free(columns);
    }
}

/* Two spellings in one file are two fields only where members have both. */
static void test_two_spellings(void **state)
{
    struct import_columns *columns = calloc(1, sizeof *columns);
    char reason[COLUMNS_REASON_SIZE];
    struct mp_writer writer;
    uint8_t buffer[128];
    struct csv_row row;

    (void)state;
    assert_non_null(columns);
    make_row("name|Foo|foo", 1, &row);
    assert_int_equal(import_columns_read(&row, columns, reason), OK);
    assert_int_equal(import_columns_finish(columns, reason), INVALID);
    mp_writer_init(&writer, buffer, sizeof buffer);
    mp_write_map(&writer, 2);
    mp_write_key_text(&writer, "Foo", "x");
    mp_write_key_text(&writer, "foo", "y");
    import_columns_keep(columns, mp_writer_bytes(&writer));
    assert_int_equal(import_columns_finish(columns, reason), OK);
    assert_string_equal(columns->column[1].name, "Foo");
    assert_string_equal(columns->column[2].name, "foo");
    free(columns);
}

/* Many members and rows, in opposite orders: each finds its own and no other. */
static void test_many(void **state)
{
    enum { COUNT = 5000 };
    struct import_columns *columns = make_columns(MATCH_HEADER);
    struct import_members members = { 0 };
    struct import_match match = { 0 };
    char text[64];

    (void)state;
    assert_int_equal(match_init(&match, SORT_MEMORY), OK);
    for (int i = 1; i <= COUNT; i++) {
        char id[UUID_TEXT_SIZE];
        char mail[32];

        (void)snprintf(id, sizeof id, "01890a5d-ac96-774b-bcce-%012d", i);
        (void)snprintf(mail, sizeof mail, "m%d@x", i);
        add_member(&members, &match, &(struct known){ id, "", "N", mail });
    }
    for (int i = 1; i <= COUNT; i++) {
        (void)snprintf(text, sizeof text, "||n|M%d@X", COUNT + 1 - i);
        add_row(&match, columns, text, (uint64_t)i);
    }
    assert_int_equal(match_join(&match, &members, NULL), OK);
    for (int i = 1; i <= COUNT; i++) {
        struct match_verdict verdict;
        struct import_member member;

        (void)snprintf(text, sizeof text, "||n|M%d@X", COUNT + 1 - i);
        match_text(&match, &members, columns, text, (uint64_t)i, &verdict);
        assert_int_equal(verdict.result, MATCH_MEMBER);
        assert_int_equal(members_get(&members, verdict.number, &member), OK);
        uuid_format(member.id, text);
        assert_int_equal(strtol(text + 24, NULL, 10), COUNT + 1 - i);
    }
    match_done(&match);
    members_done(&members);
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
        cmocka_unit_test(test_a_member_that_comes_twice),
        cmocka_unit_test(test_values_of_members),
        cmocka_unit_test(test_spelling_of_unknown_fields),
        cmocka_unit_test(test_two_spellings),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
