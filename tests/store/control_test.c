/* SPDX-License-Identifier: MPL-2.0 */
/* control_test.c - requests of local programs to a real node: what is refused, what an answer
 * holds, when it leaves, and what waits. */
#include "tests/store/node_fixture.h"

static void test_requests_are_strict(void **state)
{
    static const uint8_t garbage[] = { 0x94, 0x01 };
    static const uint8_t later[] = { 0x94, 0x02, 0x09, 0xa1, 'x', 0x80 };
    struct hq *hq = *state;
    uint64_t id;

    put_in(slice_of(garbage, sizeof garbage));
    assert_refused(answer_to(hq, 0), INVALID, "malformed");
    put_in(slice_of(later, sizeof later));
    assert_refused(answer_to(hq, 9), UNSUPPORTED, "version 2");
    id = ask(hq, "members.lost", NULL, NULL, NULL, NULL);
    assert_refused(answer_to(hq, id), USAGE, "\"members.lost\"");
    id = ask(hq, "counts", "colour", "red", NULL, NULL);
    assert_refused(answer_to(hq, id), USAGE, "\"colour\"");
    id = ask(hq, "counts", "by", "shoe size", NULL, NULL);
    assert_refused(answer_to(hq, id), USAGE, "\"shoe size\"");
    id = ask(hq, "members.get", NULL, NULL, NULL, NULL);
    assert_refused(answer_to(hq, id), USAGE, "needs \"id\"");
    id = ask(hq, "members.get", "id", "not-an-id", NULL, NULL);
    assert_refused(answer_to(hq, id), USAGE, "a UUID");
    id = ask(hq, "members.list", "limit", "many", NULL, NULL);
    assert_refused(answer_to(hq, id), USAGE, "a number");
    id = ask(hq, "status", "chapter", "xx", NULL, NULL);
    assert_refused(answer_to(hq, id), NOT_FOUND, "xx");
    id = ask(hq, "log", "since", "2026-02-30", NULL, NULL);
    assert_refused(answer_to(hq, id), USAGE, "a time");
}

/* A client's word comes back cut, but never inside a character. */
static void test_quotes_end_on_a_character(void **state)
{
    struct hq *hq = *state;
    char word[3 * 100 + 1];

    for (size_t i = 0; i < 100; i++)
        memcpy(word + 3 * i, "\xe2\x82\xac", 4);
    assert_refused(answer_to(hq, ask(hq, "counts", "by", word, NULL, NULL)), USAGE, "\xe2");
}

#define COMMAND_NAME(name, text) name,
static const char *const command_names[] = { CONTROL_TABLE(COMMAND_NAME) };
#undef COMMAND_NAME

static void test_every_command_is_known(void **state)
{
    struct hq *hq = *state;

    for (size_t i = 0; i < sizeof command_names / sizeof command_names[0]; i++) {
        const struct reply reply =
            answer_to(hq, ask(hq, command_names[i], "zzz", "", NULL, NULL));

        assert_refused(reply, USAGE, "\"zzz\"");
    }
}

static void test_apply_then_read(void **state)
{
    static const struct member members[] = {
        { .country = "FR",
          .email = "Zoe@example.fr",
          .name = "Zo\xc3\x89 Durand",
          .notes = "n" },
        { .country = "LU", .name = "Ann" },
    };
    struct hq *hq = *state;
    struct slice member;
    struct slice text;
    char id[UUID_TEXT_SIZE];

    put_members(hq, members, 2);
    member = element_of(ask_ok(hq, "members.list", "search", "zo\xc3\xa9 d", NULL, NULL),
                        "members", 0);
    assert_text(member, "name", "Zo\xc3\x89 Durand");
    assert_text(member, "notes", "n");
    assert_text(member, "chapter", "hq");
    assert_text(member, "status", "active");
    assert_text(member, "updated", "2024-01-01T12:00:00Z");
    assert_true(mp_map_get_text(member, "id", &text));
    assert_true(slice_copy_text(text, id, sizeof id));
    member = mp_map_get(ask_ok(hq, "members.get", "id", id, NULL, NULL), "member");
    assert_text(member, "email", "Zoe@example.fr");
    assert_int_equal(
        length_of(ask_ok(hq, "members.list", "country", "lu", NULL, NULL), "members"), 1);
    assert_int_equal(
        length_of(ask_ok(hq, "members.list", "search", "EXAMPLE.FR", NULL, NULL), "members"),
        1);
    assert_int_equal(
        length_of(ask_ok(hq, "members.list", "status", "lapsed", NULL, NULL), "members"), 0);
    assert_int_equal(length_of(ask_ok(hq, "log", "member", id, NULL, NULL), "changes"), 1);
}

/* {"fields": {"email": email}} of one member. */
static void edit_email(struct hq *hq, const char *id, const char *email)
{
    uint8_t buffer[256];
    struct mp_writer writer;

    mp_writer_init(&writer, buffer, sizeof buffer);
    mp_write_map(&writer, 1);
    mp_write_text(&writer, "ops");
    mp_write_array(&writer, 1);
    mp_write_map(&writer, 3);
    mp_write_text(&writer, "fields");
    mp_write_map(&writer, 1);
    mp_write_key_text(&writer, "email", email);
    mp_write_key_text(&writer, "id", id);
    mp_write_key_text(&writer, "op", "put");
    assert_int_equal(answer_to(hq, ask_raw(hq, "members.apply", mp_writer_bytes(&writer))).code,
                     OK);
}

/* After a recovery a field may be in a tier that is fetched back and in one of the older copy:
 * the next edit keeps it once, where more can read it. */
static void test_a_field_in_two_tiers_counts_once(void **state)
{
    static const struct member ann = { .country = "FR", .name = "Ann" };
    static const char older[] = "\x83\xa7"
                                "country\xa2LU\xa4name\xa3Old\xa5notes\xa1n";
    struct hq *hq = *state;
    struct slice member;
    struct slice text;
    struct store_txn txn;
    struct store_row row;
    char id_text[UUID_TEXT_SIZE];
    uint8_t id[ID_SIZE];

    put_members(hq, &ann, 1);
    member = element_of(ask_ok(hq, "members.list", NULL, NULL, NULL, NULL), "members", 0);
    assert_true(mp_map_get_text(member, "id", &text));
    assert_true(slice_copy_text(text, id_text, sizeof id_text) && uuid_parse(text, id));
    assert_ok(store_begin_write(hq->node->store, &txn));
    assert_ok(store_put_private(&txn, id, slice_of_text(older)));
    assert_ok(store_commit_turn(&txn));
    edit_email(hq, id_text, "ann@example.org");
    member = mp_map_get(ask_ok(hq, "members.get", "id", id_text, NULL, NULL), "member");
    assert_text(member, "country", "FR");
    assert_text(member, "email", "ann@example.org");
    assert_text(member, "name", "Ann");
    assert_text(member, "notes", "n");
    assert_ok(store_begin_read(hq->node->store, &txn));
    assert_ok(store_get_row(
        &txn, hq->node->feeds[hq->node->own_feed]->record.tier[TIER_FEDERATION].number, id,
        &row));
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        assert_true(mp_valid(row.value[tier]));
    assert_ok(store_get_private(&txn, id, &text));
    assert_true(slice_is_text(text, "\x81\xa5notes\xa1n"));
    store_abort(&txn);
}

static void test_one_bad_change_spoils_no_other(void **state)
{
    static const struct member members[] = {
        { .name = "Ann" },
        { .country = "XX", .name = "Bob" },
        { .country = "FR" },
        { .name = "Cid" },
    };
    struct hq *hq = *state;
    const struct reply reply = answer_to(hq, ask_put(hq, members, 4));

    assert_int_equal(reply.code, OK);
    assert_int_equal(length_of(reply.result, "results"), 4);
    assert_true(mp_map_get(element_of(reply.result, "results", 1), "error").size > 0);
    assert_text(element_of(reply.result, "results", 2), "error", "name: is required");
    assert_int_equal(uint_of(element_of(reply.result, "results", 3), "seq"),
                     uint_of(element_of(reply.result, "results", 0), "seq") + 1);
    assert_int_equal(uint_of(ask_ok(hq, "counts", NULL, NULL, NULL, NULL), "memberships"), 2);
}

/* A brief answer counts what was done, and says which were not. */
static void test_a_brief_answer(void **state)
{
    static const struct member members[] = {
        { .name = "Ann" },
        { .country = "XX", .name = "Bob" },
        { .name = "Cid" },
        { .country = "FR" },
    };
    struct hq *hq = *state;
    struct reply reply = answer_to(hq, ask_put_as(hq, members, 4, true));

    assert_int_equal(reply.code, OK);
    assert_int_equal(uint_of(reply.result, "done"), 2);
    assert_int_equal(length_of(reply.result, "failed"), 2);
    assert_int_equal(uint_of(element_of(reply.result, "failed", 0), "at"), 1);
    assert_int_equal(uint_of(element_of(reply.result, "failed", 1), "at"), 3);
    assert_text(element_of(reply.result, "failed", 1), "error", "name: is required");
    assert_int_equal(mp_map_get(reply.result, "results").size, 0);
    reply = answer_to(hq, ask_put_as(hq, members, 1, true));
    assert_int_equal(uint_of(reply.result, "done"), 1);
    assert_int_equal(length_of(reply.result, "failed"), 0);
    assert_int_equal(uint_of(ask_ok(hq, "counts", NULL, NULL, NULL, NULL), "memberships"), 3);
}

/* The turn did not happen: nobody is told "ok", and it can be asked again. */
static void test_a_dropped_turn_says_so(void **state)
{
    static const struct member member = { .name = "Ann" };
    struct hq *hq = *state;
    const uint64_t id = ask_put(hq, &member, 1);
    struct reply reply;

    for (int i = 0; i < 2; i++) { /* nor is the bad news lost with a second turn */
        drop_turn = true;
        turns(hq, 1);
        assert_false(reply_to(id, &reply));
    }
    turns(hq, 1);
    assert_true(reply_to(id, &reply));
    assert_refused(reply, NO_SPACE, "nothing of this was done");
    assert_int_equal(uint_of(ask_ok(hq, "counts", NULL, NULL, NULL, NULL), "memberships"), 0);
    put_members(hq, &member, 1);
    assert_int_equal(uint_of(ask_ok(hq, "counts", NULL, NULL, NULL, NULL), "memberships"), 1);
}

/* What only reads is answered all the same, as things are after that. */
static void test_a_dropped_turn_is_read_again(void **state)
{
    static const struct member member = { .name = "Ann" };
    struct hq *hq = *state;
    const uint64_t put = ask_put(hq, &member, 1);
    const uint64_t counts = ask(hq, "counts", NULL, NULL, NULL, NULL);
    const uint64_t nobody = ask(hq, "status", "chapter", "xx", NULL, NULL);
    struct reply reply;

    for (int i = 0; i < 2; i++) {
        drop_turn = true;
        turns(hq, 1);
        assert_false(reply_to(counts, &reply));
    }
    turns(hq, 2);
    assert_refused(answer_to(hq, put), NO_SPACE, "nothing of this was done");
    assert_refused(answer_to(hq, nobody), NOT_FOUND, "xx");
    reply = answer_to(hq, counts);
    assert_int_equal(reply.code, OK);
    assert_int_equal(uint_of(reply.result, "memberships"), 0);
}

/* What was answered in a turn that was kept is not touched by a later one that is dropped. */
static void test_an_answer_is_given_once(void **state)
{
    static const struct member member = { .name = "Ann" };
    struct hq *hq = *state;
    const uint64_t first = ask_put(hq, &member, 1);
    size_t answers = 0;

    turns(hq, 1);
    drop_turn = true;
    turns(hq, 3);
    for (size_t i = 0; i < fake.out_count; i++) {
        struct mp_reader reader;

        mp_reader_init(&reader, slice_of(fake.outbox[i].bytes, fake.outbox[i].size));
        mp_read_array_exact(&reader, 4);
        (void)mp_read_uint(&reader, UINT64_MAX);
        answers += mp_read_uint(&reader, UINT64_MAX) == first;
    }
    assert_int_equal(answers, 1);
    assert_int_equal(answer_to(hq, first).code, OK);
}

static void test_pages(void **state)
{
    struct hq *hq = *state;
    struct slice result;
    struct slice cursor;
    char text[64];
    size_t pages = 1;
    size_t members;

    put_many(hq, 2500, NULL);
    result = ask_ok(hq, "members.list", "chapter", "hq", NULL, NULL);
    members = length_of(result, "members");
    while (mp_map_get_text(result, "cursor", &cursor)) {
        assert_true(slice_copy_text(cursor, text, sizeof text));
        result = ask_ok(hq, "members.list", "chapter", "hq", "cursor", text);
        members += length_of(result, "members");
        pages++;
    }
    assert_int_equal(members, 2500);
    assert_int_equal(pages, 3);
    assert_refused(answer_to(hq, ask(hq, "members.list", "cursor", "fr", NULL, NULL)), USAGE,
                   "cursor");
}

static void test_counts(void **state)
{
    static const struct member members[] = {
        { .country = "FR", .email = "a@x.org", .name = "Ann" },
        { .country = "LU", .name = "Bob" },
        { .name = "Cid" },
    };
    struct hq *hq = *state;
    struct slice counts;

    put_members(hq, members, 3);
    counts = ask_ok(hq, "counts", "by", "country", NULL, NULL);
    assert_int_equal(uint_of(counts, "memberships"), 3);
    assert_int_equal(uint_of(counts, "individuals"), 3);
    assert_int_equal(uint_of(counts, "countries"), 2);
    assert_int_equal(uint_of(counts, "persons"), 3);
    assert_int_equal(length_of(counts, "rows"), 3);
    assert_text(element_of(counts, "rows", 0), "key", "");
    assert_text(element_of(counts, "rows", 1), "key", "FR");
    assert_text(element_of(counts, "rows", 1), "name", "France");
    counts = ask_ok(hq, "counts", "by", "chapter", NULL, NULL);
    assert_int_equal(length_of(counts, "rows"), 1);
    assert_text(element_of(counts, "rows", 0), "key", "hq");
    assert_int_equal(uint_of(element_of(counts, "rows", 0), "memberships"), 3);
    assert_int_equal(length_of(ask_ok(hq, "counts", "by", "month", NULL, NULL), "rows"), 1);
    assert_int_equal(length_of(ask_ok(hq, "counts", "by", "kind", NULL, NULL), "rows"), 1);
    assert_int_equal(length_of(ask_ok(hq, "counts", "by", "status", NULL, NULL), "rows"), 1);
}

/* {"after": {"hq": seq}, "wait_ms": 60000} */
static uint64_t ask_news(struct hq *hq, uint64_t after)
{
    uint8_t buffer[64];
    struct mp_writer writer;

    mp_writer_init(&writer, buffer, sizeof buffer);
    mp_write_map(&writer, 2);
    mp_write_text(&writer, "after");
    mp_write_map(&writer, 1);
    mp_write_key_uint(&writer, "hq", after);
    mp_write_key_uint(&writer, "wait_ms", 60000);
    return ask_raw(hq, "log", mp_writer_bytes(&writer));
}

/* More groups than the first table of them has room for. */
static void test_counts_of_many_months(void **state)
{
    enum { MONTHS = 600 };
    struct hq *hq = *state;
    struct member members[MONTHS];
    char joined[MONTHS][16];
    struct slice counts;

    for (unsigned i = 0; i < MONTHS; i++) {
        (void)snprintf(joined[i], sizeof joined[i], "%04u-%02u-05", 1950 + i / 12, 1 + i % 12);
        members[i] = (struct member){ .joined = joined[i], .name = "Somebody" };
    }
    put_members(hq, members, MONTHS);
    put_members(hq, members + 17, 1);
    counts = ask_ok(hq, "counts", "by", "month", NULL, NULL);
    assert_int_equal(length_of(counts, "rows"), MONTHS);
    assert_text(element_of(counts, "rows", 0), "key", "1951-06");
    assert_int_equal(uint_of(element_of(counts, "rows", 0), "memberships"), 2);
    for (size_t i = 1; i < MONTHS; i++) { /* equal ones by key */
        char key[8];

        memcpy(key, joined[i - (i <= 17)], 7);
        key[7] = '\0';
        assert_text(element_of(counts, "rows", i), "key", key);
        assert_int_equal(uint_of(element_of(counts, "rows", i), "memberships"), 1);
    }
}

/* A turn's pages stay in memory: what would put too many rows waits for the next. */
static void test_a_turn_puts_so_many_rows(void **state)
{
    enum { COUNT = TURN_WRITES_MAX, REQUESTS = TURN_ROWS_MAX / TURN_WRITES_MAX + 1 };
    struct hq *hq = *state;
    struct member *members = calloc(COUNT, sizeof *members);

    assert_non_null(members);
    for (size_t i = 0; i < COUNT; i++)
        members[i] = (struct member){ .name = "Somebody" };
    for (size_t i = 0; i < REQUESTS; i++)
        (void)ask_put(hq, members, COUNT);
    free(members);
    assert_ok(node_turn(hq->node, 0));
    assert_int_equal(fake.out_count, REQUESTS - 1);
    assert_ok(node_turn(hq->node, 0));
    assert_int_equal(fake.out_count, REQUESTS);
    fake_clear();
    assert_int_equal(uint_of(ask_ok(hq, "counts", NULL, NULL, NULL, NULL), "memberships"),
                     REQUESTS * COUNT);
}

static void test_log_waits_for_news(void **state)
{
    static const struct member member = { .name = "Ann" };
    struct hq *hq = *state;
    struct slice log = ask_ok(hq, "log", NULL, NULL, NULL, NULL);
    const uint64_t after = uint_of(mp_map_get(log, "after"), "hq");
    const uint64_t id = ask_news(hq, after);
    uint64_t quiet;
    struct reply reply;

    assert_int_equal(length_of(log, "changes"), 1); /* HQ's own place in the roster */
    turns(hq, 3);
    assert_false(reply_to(id, &reply));
    put_members(hq, &member, 1);
    reply = answer_to(hq, id);
    assert_int_equal(reply.code, OK);
    assert_int_equal(length_of(reply.result, "changes"), 1);
    assert_text(element_of(reply.result, "changes", 0), "op", "put");
    assert_text(element_of(reply.result, "changes", 0), "type", "member");
    assert_text(mp_map_get(element_of(reply.result, "changes", 0), "fields"), "name", "Ann");
    quiet = ask_news(hq, uint_of(mp_map_get(reply.result, "after"), "hq"));
    turns(hq, 2);
    assert_false(reply_to(quiet, &reply));
    assert_true(control_next_ms(hq->node) > monotonic_ms); /* nobody polls for it */
    monotonic_ms += 60000;
    assert_int_equal(length_of(answer_to(hq, quiet).result, "changes"), 0);
}

static void test_log_by_time_and_newest(void **state)
{
    static const uint8_t newest_two[] = { 0x82, 0xa5, 'l', 'i', 'm', 'i', 't', 0x02,
                                          0xa6, 'n',  'e', 'w', 'e', 's', 't', 0xc3 };
    static const struct member member = { .name = "Late" };
    struct hq *hq = *state;
    struct reply reply;

    put_many(hq, 600, NULL);
    wall_ms += 86400000;
    for (size_t late = 1; late <= 6; late++) {
        put_members(hq, &member, 1);
        reply = answer_to(hq, ask(hq, "log", "since", "2024-01-02", NULL, NULL));
        assert_int_equal(length_of(reply.result, "changes"), late);
    }
    assert_text(mp_map_get(element_of(reply.result, "changes", 0), "fields"), "name", "Late");
    reply = answer_to(hq, ask_raw(hq, "log", slice_of(newest_two, sizeof newest_two)));
    assert_int_equal(length_of(reply.result, "changes"), 2);
    assert_text(mp_map_get(element_of(reply.result, "changes", 1), "fields"), "name", "Late");
}

static void test_status_and_the_rest(void **state)
{
    struct hq *hq = *state;
    struct slice result = ask_ok(hq, "status", NULL, NULL, NULL, NULL);

    assert_text(mp_map_get(result, "node"), "state", "alone");
    assert_text(mp_map_get(result, "node"), "role", "hq");
    assert_int_equal(length_of(result, "feeds"), 1);
    assert_int_equal(uint_of(element_of(result, "feeds", 0), "members"), 0);
    assert_int_equal(uint_of(element_of(result, "feeds", 0), "epoch_records"), 1);
    assert_text(element_of(result, "feeds", 0), "state", "current");
    assert_int_equal(length_of(result, "alarms"), 0);
    assert_int_equal(length_of(ask_ok(hq, "chapters.list", NULL, NULL, NULL, NULL), "chapters"),
                     1);
    assert_text(mp_map_get(ask_ok(hq, "chapters.show", "chapter", "hq", NULL, NULL), "chapter"),
                "state", "enrolled");
    assert_text(mp_map_get(ask_ok(hq, "config", NULL, NULL, NULL, NULL), "settings"), "dir",
                hq->place->dir);
    assert_int_equal(uint_of(ask_ok(hq, "version", NULL, NULL, NULL, NULL), "store_format"),
                     STORE_FORMAT);
    assert_text(ask_ok(hq, "invite", "chapter", "fr", NULL, NULL), "chapter", "fr");
    assert_refused(answer_to(hq, ask(hq, "verify", "against", "hq", NULL, NULL)), USAGE,
                   "this very node");
    assert_refused(answer_to(hq, ask(hq, "verify", "against", "fr", NULL, NULL)), NOT_FOUND,
                   "fr");
}

/* {"timeout_ms": 5000} */
static void test_wait_ends(void **state)
{
    static const uint8_t five_seconds[] = { 0x81, 0xaa, 't', 'i', 'm',  'e',  'o', 'u',
                                            't',  '_',  'm', 's', 0xcd, 0x13, 0x88 };
    struct hq *hq = *state;
    const uint64_t id = ask_raw(hq, "wait", slice_of(five_seconds, sizeof five_seconds));
    struct reply reply;

    turns(hq, 3);
    assert_false(reply_to(id, &reply));
    monotonic_ms += 5000;
    reply = answer_to(hq, id);
    assert_true(mp_map_get(reply.result, "in_step").data[0] == 0xc2); /* alone is not in step */
    assert_int_equal(uint_of(reply.result, "seconds"), 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hq_new, hq_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_requests_are_strict),
        TEST(test_quotes_end_on_a_character),
        TEST(test_every_command_is_known),
        TEST(test_apply_then_read),
        TEST(test_a_field_in_two_tiers_counts_once),
        TEST(test_one_bad_change_spoils_no_other),
        TEST(test_a_brief_answer),
        TEST(test_a_dropped_turn_says_so),
        TEST(test_a_dropped_turn_is_read_again),
        TEST(test_an_answer_is_given_once),
        TEST(test_pages),
        TEST(test_counts),
        TEST(test_counts_of_many_months),
        TEST(test_a_turn_puts_so_many_rows),
        TEST(test_log_waits_for_news),
        TEST(test_log_by_time_and_newest),
        TEST(test_status_and_the_rest),
        TEST(test_wait_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
