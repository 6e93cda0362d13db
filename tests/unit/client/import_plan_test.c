/* SPDX-License-Identifier: MPL-2.0 */
/* import_plan_test.c - what a row asks for of the member that it means, or of a new one.
 * Each case gives a header, the member that there is (or none) and a row of the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/import_plan.h"
#include "import_fixture.h"

/* "name=old>new;..." of a plan, "same", or the reason. */
static const char *describe(const struct import_columns *columns, const struct plan *plan)
{
    static char text[1024];
    size_t at = 0;

    text[0] = '\0';
    if (plan->action == PLAN_REJECT)
        return plan->reason;
    if (plan->action == PLAN_SAME)
        return "same";
    for (size_t i = 0; i < plan->change_count; i++) {
        const struct plan_change *change = &plan->changes[i];

        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s=%.*s>%.*s", i == 0 ? "" : ";",
                               columns->column[change->column].name, (int)change->old.size,
                               (const char *)change->old.data, (int)change->text.size,
                               (const char *)change->text.data);
        assert_true(at < sizeof text);
    }
    return text;
}

/* In the order that it reads best. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct plan_case {
    enum plan_mode mode;
    const char *header;
    const char *old; /* NULL: a new member */
    const char *row;
    enum plan_action action;
    const char *text;
};

static void check_plan(const struct plan_case *test)
{
    struct import_columns *columns = make_columns(test->header);
    struct plan *plan = calloc(1, sizeof *plan);
    struct csv_row old;
    struct csv_row row;

    assert_non_null(plan);
    make_row(test->old == NULL ? "" : test->old, 0, &old);
    make_row(test->row, 2, &row);
    plan_row(columns, test->mode, &row, test->old == NULL ? NULL : old.cells, plan);
    if (strcmp(describe(columns, plan), test->text) != 0 || plan->action != test->action)
        print_error("row \"%s\"\n", test->row);
    assert_string_equal(describe(columns, plan), test->text);
    assert_int_equal(plan->action, test->action);
    free(columns);
    free(plan);
}

static void test_new_members(void **state)
{
    static const struct plan_case cases[] = {
        { PLAN_UPDATE, "name|email", NULL, "Zoé|z@x", PLAN_ADD, "name=>Zoé;email=>z@x" },
        { PLAN_UPDATE, "NAME|E mail", NULL, "A|b", PLAN_ADD, "name=>A;E mail=>b" },
        { PLAN_UPDATE, "name|city", NULL, "A|", PLAN_ADD, "name=>A" },
        { PLAN_UPDATE, "name|city", NULL, "A", PLAN_ADD, "name=>A" },
        { PLAN_UPDATE, "name|city", NULL, "A|b|", PLAN_ADD, "name=>A;city=>b" },
        { PLAN_LEAVE, "name|city", NULL, "A|b", PLAN_ADD, "name=>A;city=>b" },
        { PLAN_FILL, "name|city", NULL, "A|b", PLAN_ADD, "name=>A;city=>b" },
        { PLAN_UPDATE, "name|city", NULL, "|b", PLAN_REJECT, "name is missing" },
        { PLAN_UPDATE, "name|city", NULL, " \xc2\xa0 |b", PLAN_REJECT, "name is missing" },
        { PLAN_UPDATE, "name|city", NULL, "A|b|c", PLAN_REJECT,
          "the row has more cells than the header has columns" },
        { PLAN_UPDATE, "name|", NULL, "A|", PLAN_ADD, "name=>A" },
        { PLAN_UPDATE, "name|", NULL, "A|b", PLAN_REJECT,
          "a cell stands in a column without a name" },
        /* the daemon's own columns and those of a rejects file are not read */
        { PLAN_UPDATE, "name|chapter|seq|updated", NULL, "A|fr|7|8", PLAN_ADD, "name=>A" },
        { PLAN_UPDATE, "row|reason|name", NULL, "7|bad|A", PLAN_ADD, "name=>A" },
        { PLAN_UPDATE, "reason|name", NULL, "why|A", PLAN_ADD, "reason=>why;name=>A" },
        /* texts as members have them */
        { PLAN_UPDATE, "name|phone", NULL, " A |'+33 1", PLAN_ADD, "name=>A;phone=>+33 1" },
        { PLAN_UPDATE, "name|kind|status|country", NULL, "A|Individual|ACTIVE|fr", PLAN_ADD,
          "name=>A;kind=>individual;status=>active;country=>FR" },
        { PLAN_UPDATE, "name|notes", NULL, "A|x\r\ny\r\n", PLAN_ADD, "name=>A;notes=>x\ny" },
        /* every form is checked before anything is sent */
        { PLAN_UPDATE, "name|kind", NULL, "A|person", PLAN_REJECT,
          "kind is not individual, organization or affiliate" },
        { PLAN_UPDATE, "name|status", NULL, "A|cleaned", PLAN_REJECT,
          "status is not active, pending, lapsed, suspended or left" },
        { PLAN_UPDATE, "name|country", NULL, "A|ZZ", PLAN_REJECT,
          "country is not an ISO 3166 country code of two letters" },
        { PLAN_UPDATE, "name|joined", NULL, "A|2023-02-29", PLAN_REJECT,
          "joined is not a real date written YYYY-MM-DD" },
        { PLAN_UPDATE, "name|expires", NULL, "A|31/12/2099", PLAN_REJECT,
          "expires is not a real date written YYYY-MM-DD" },
        { PLAN_UPDATE, "name|x", NULL, "A|b" CSV_LOST, PLAN_REJECT,
          "x holds U+FFFD, the mark of a lost character" },
        { PLAN_UPDATE, "name|email", NULL, "A|a.example.org", PLAN_REJECT,
          "email is not an e-mail address" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_plan(&cases[i]);
}

static void test_known_members(void **state)
{
    static const struct plan_case cases[] = {
        { PLAN_UPDATE, "name|city", "A|Paris", "A|Paris", PLAN_SAME, "same" },
        { PLAN_UPDATE, "name|city", "A|Paris", "A|Lyon", PLAN_CHANGE, "city=Paris>Lyon" },
        { PLAN_UPDATE, "name|city", "A|", "A|Lyon", PLAN_CHANGE, "city=>Lyon" },
        { PLAN_UPDATE, "name|city", "A|Paris", "A|", PLAN_SAME, "same" },
        { PLAN_UPDATE, "name|city", "A|Paris", "|", PLAN_SAME, "same" },
        { PLAN_UPDATE, "name|city", "A|Paris", "A|  ", PLAN_SAME, "same" },
        { PLAN_UPDATE, "name|city", "A|Paris", "A| Paris ", PLAN_SAME, "same" },
        { PLAN_UPDATE, "name|kind", "A|individual", "A|INDIVIDUAL", PLAN_SAME, "same" },
        { PLAN_UPDATE, "name|city|phone", "A|x|1", "B|y|2", PLAN_CHANGE,
          "name=A>B;city=x>y;phone=1>2" },
        { PLAN_FILL, "name|city|phone", "A|x|", "B|y|2", PLAN_CHANGE, "phone=>2" },
        { PLAN_FILL, "name|city", "A|x", "B|y", PLAN_SAME, "same" },
        { PLAN_LEAVE, "name|city|phone", "A||", "B|y|2", PLAN_SAME, "same" },
        /* what the daemon has is the same again, even if it would be tidied now */
        { PLAN_UPDATE, "name|extra", "A| b ", "A| b ", PLAN_SAME, "same" },
        { PLAN_UPDATE, "name|extra", "A|'=1", "A|''=1", PLAN_SAME, "same" },
        { PLAN_UPDATE, "name|extra", "A|=1", "A|'=1", PLAN_SAME, "same" },
        { PLAN_UPDATE, "name|extra", "A|'=1", "A|'=1", PLAN_CHANGE, "extra='=1>=1" },
        /* wrong is wrong in every mode */
        { PLAN_UPDATE, "name|country", "A|FR", "A|ZZ", PLAN_REJECT,
          "country is not an ISO 3166 country code of two letters" },
        { PLAN_FILL, "name|country", "A|FR", "A|ZZ", PLAN_REJECT,
          "country is not an ISO 3166 country code of two letters" },
        { PLAN_LEAVE, "name|country", "A|FR", "A|ZZ", PLAN_REJECT,
          "country is not an ISO 3166 country code of two letters" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_plan(&cases[i]);
}

static void test_sizes(void **state)
{
    static char row_text[64 * 1024];
    static const struct {
        const char *header;
        size_t sizes[5]; /* of the cells after the name */
        enum plan_action action;
        const char *reason;
    } cases[] = {
        { "name|x", { 4096 }, PLAN_ADD, NULL },
        { "name|x", { 4097 }, PLAN_REJECT, "x is longer than 4096 bytes" },
        { "name|city", { 128 }, PLAN_ADD, NULL },
        { "name|city", { 129 }, PLAN_REJECT, "city is longer than its limit" },
        { "name|notes", { 8192 }, PLAN_ADD, NULL },
        { "name|notes", { 8193 }, PLAN_REJECT, "notes is longer than its limit" },
        { "name|a|b|c|d", { 4096, 4096, 4096, 4000 }, PLAN_ADD, NULL },
        { "name|a|b|c|d",
          { 4096, 4096, 4096, 4096 },
          PLAN_REJECT,
          "the row's fields together are larger than 16 KiB" },
    };
    struct plan *plan = calloc(1, sizeof *plan);

    (void)state;
    assert_non_null(plan);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct import_columns *columns = make_columns(cases[i].header);
        struct csv_row row;
        size_t at = 1;

        row_text[0] = 'A';
        for (size_t k = 0; cases[i].sizes[k] != 0; k++) {
            row_text[at++] = '|';
            memset(row_text + at, 'x', cases[i].sizes[k]);
            at += cases[i].sizes[k];
        }
        row_text[at] = '\0';
        make_row(row_text, 2, &row);
        plan_row(columns, PLAN_UPDATE, &row, NULL, plan);
        assert_int_equal(plan->action, cases[i].action);
        if (cases[i].reason != NULL)
            assert_string_equal(plan->reason, cases[i].reason);
        free(columns);
    }
    free(plan);
}

static void test_broken_rows_keep_their_reason(void **state)
{
    struct import_columns *columns = make_columns("name");
    struct plan *plan = calloc(1, sizeof *plan);
    struct csv_row row;

    (void)state;
    assert_non_null(plan);
    make_row("A", 2, &row);
    (void)snprintf(row.broken, sizeof row.broken, "a reason");
    plan_row(columns, PLAN_UPDATE, &row, NULL, plan);
    assert_int_equal(plan->action, PLAN_REJECT);
    assert_string_equal(plan->reason, "a reason");
    free(columns);
    free(plan);
}

static void test_headers(void **state)
{
    static const struct {
        const char *header;
        const char *reason; /* NULL: it is good */
    } cases[] = {
        { "name", NULL },
        { " Name ", NULL },
        { "NAME|Membre Depuis|É", NULL },
        { "email|city", "no column is called name" },
        { "name|Name", "columns 1 and 2 are both name" },
        { "name|a b|A_B", "columns 2 and 3 are both a_b" },
        { "name||", NULL },
        { "name|a\nb", "the name of column 2 holds a control character" },
        { "name|xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", NULL },
        { "name|xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
          "the name of column 2 is longer than 64 bytes" },
    };
    struct import_columns *columns = calloc(1, sizeof *columns);

    (void)state;
    assert_non_null(columns);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char reason[COLUMNS_REASON_SIZE] = "";
        struct csv_row row;
        enum status status;

        make_row(cases[i].header, 1, &row);
        status = import_columns_read(&row, columns, reason);
        if (status == OK)
            status = import_columns_find(columns, reason);
        if (status == OK)
            status = import_columns_finish(columns, reason);
        assert_int_equal(status, cases[i].reason == NULL ? OK : INVALID);
        assert_string_equal(reason, cases[i].reason == NULL ? "" : cases[i].reason);
    }
    free(columns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_members),
        cmocka_unit_test(test_known_members),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_broken_rows_keep_their_reason),
        cmocka_unit_test(test_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
