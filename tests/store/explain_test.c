/* SPDX-License-Identifier: MPL-2.0 */
/* explain_test.c - each cause of `explain`, also those that a healthy federation never shows: a
 * real HQ node, whose knowledge of others is set by hand.  Real processes: tests/e2e. */
#include "daemon/replication.h"
#include "daemon/write.h"
#include "tests/store/node_fixture.h"

#include "daemon/control_explain.h"

static struct node_feed *feed_of(struct hq *hq, const char *code)
{
    const uint32_t index = node_feed_index(hq->node, code);

    assert_int_not_equal(index, NO_PEER);
    return hq->node->feeds[index];
}

static void enrol(struct hq *hq, const char *code, enum chapter_state chapter_state)
{
    struct roster_entry entry;

    memset(&entry, 0, sizeof entry);
    memcpy(entry.code, code, strlen(code));
    memcpy(entry.name, "Chapter", 8);
    memset(entry.sign_key, code[0], KEY_SIZE);
    memset(entry.curve_key, code[0], KEY_SIZE);
    entry.state = chapter_state;
    entry.epoch = entry.instance = 1;
    entry.records_max = 200000;
    assert_non_null(node_writing(hq->node));
    assert_ok(write_roster(hq->node, &entry));
    turns(hq, 2);
}

static struct replica_peer *peer_of(struct hq *hq, const char *code, bool up)
{
    const uint32_t index = node_peer_make(hq->node, code);

    assert_int_not_equal(index, NO_PEER);
    hq->node->peers[index]->up = up;
    return hq->node->peers[index];
}

/* fr stands at change 5 and was heard a second ago, after HQ's last beat; lu is connected. */
static struct node_feed *healthy(struct hq *hq)
{
    struct node_feed *feed;

    enrol(hq, "fr", CHAPTER_ENROLLED);
    enrol(hq, "lu", CHAPTER_ENROLLED);
    (void)peer_of(hq, "lu", true);
    monotonic_ms += BEAT_FRESH_MS;
    turns(hq, 1);
    sync_own_beat(hq->node);
    feed = feed_of(hq, "fr");
    for (int tier = 0; tier < TIERS_PUBLISHED; tier++)
        feed->replica.feed.tier[tier] = (struct feed_mark){ .epoch = 1, .seq = 5 };
    feed->replica.beat = (struct beat){ .epoch = 1,
                                        .seq = 5,
                                        .boot = 1,
                                        .counter = 1,
                                        .hq_boot = hq->node->hq_seen_boot,
                                        .hq_counter = hq->node->hq_seen_counter };
    feed->replica.beat_at_ms = monotonic_ms;
    monotonic_ms += 1000;
    return feed;
}

static void assert_cause(struct hq *hq, const char *code, const char *cause, const char *state,
                         const char *part)
{
    const struct slice result = ask_ok(hq, "explain", "chapter", code, NULL, NULL);
    struct slice text;
    char copy[EXPLAIN_TEXT_SIZE + 1];

    assert_true(mp_map_get_text(result, "text", &text));
    assert_true(slice_copy_text(text, copy, sizeof copy));
    assert_text(result, "cause", cause);
    assert_text(result, "state", state);
    if (strstr(copy, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", copy, part);
    assert_true(mp_map_get_text(result, "remedy", &text));
    assert_int_equal(text.size == 0, strcmp(cause, "none") == 0);
}

static void test_all_well(void **state)
{
    struct hq *hq = *state;

    (void)healthy(hq);
    assert_cause(hq, "fr", "none", "current", "heard 1 s ago");
    assert_cause(hq, "hq", "none", "current", "other nodes connected: 1, ");
}

static void test_silence(void **state)
{
    struct hq *hq = *state;
    struct node_feed *feed = healthy(hq);

    monotonic_ms = feed->replica.beat_at_ms + BEAT_QUIET_MS;
    assert_cause(hq, "fr", "none", "current", "heard 35 s ago");
    monotonic_ms++;
    assert_cause(hq, "fr", "unreachable", "current", "stale in 54 s");
    monotonic_ms = feed->replica.beat_at_ms + BEAT_FRESH_MS;
    assert_cause(hq, "fr", "unreachable", "stale", "as of change 5");
}

/* A link that was there tells sooner than the missing beat. */
static void test_a_lost_link_tells_first(void **state)
{
    struct hq *hq = *state;
    struct node_feed *feed = healthy(hq);
    const struct replica_peer *peer = peer_of(hq, "fr", true);
    const uint32_t index = node_peer_index(hq->node, peer->code);
    struct link *link = &hq->node->links[hq->node->link_count++];

    memset(link, 0, sizeof *link);
    link->handle = 5000;
    link->peer = index;
    link->since_ms = monotonic_ms - 20000;
    link->last_seen_ms = feed->replica.beat_at_ms;
    hq->node->contacts[index].seen_ms = link->last_seen_ms;
    monotonic_ms = link->last_seen_ms + LINK_QUIET_MS;
    assert_cause(hq, "fr", "none", "current", "all is well");
    monotonic_ms++;
    assert_cause(hq, "fr", "unreachable", "current", "silent for 15 s");
    /* it speaks, and signs nothing */
    monotonic_ms = feed->replica.beat_at_ms + BEAT_QUIET_MS + 1;
    link->last_seen_ms = monotonic_ms;
    assert_cause(hq, "fr", "not-signing", "current", "connected");
    /* heard over others after the link went */
    link->last_seen_ms = monotonic_ms - LINK_QUIET_MS - 1;
    feed->replica.beat_at_ms = monotonic_ms - 10;
    feed->beat_peer = node_peer_index(hq->node, "lu");
    assert_cause(hq, "fr", "none", "current", "heard over lu");
}

static void test_not_heard_since_the_start(void **state)
{
    struct hq *hq = *state;
    struct node_feed *feed = healthy(hq);

    feed->replica.beat.boot = 0;
    hq->node->started_ms = monotonic_ms - BEAT_QUIET_MS;
    assert_cause(hq, "fr", "starting", "stale", "started 35 s ago");
    monotonic_ms++;
    assert_cause(hq, "fr", "unreachable", "stale", "no node that this one hears");
    memset(feed->replica.feed.tier, 0, sizeof feed->replica.feed.tier);
    assert_cause(hq, "fr", "never-met", "stale", "has not run yet");
}

/* A beat that echoes none of HQ's newer ones proves nothing, however lately it came. */
static void test_delay(void **state)
{
    struct hq *hq = *state;
    struct node_feed *feed = healthy(hq);

    feed->replica.beat.hq_counter = 0;
    assert_cause(hq, "fr", "delayed", "stale", "older than 90 s");
}

static void test_behind(void **state)
{
    struct hq *hq = *state;
    struct node_feed *feed = healthy(hq);
    const uint32_t index = node_feed_index(hq->node, "fr");
    struct replica_peer *lu = peer_of(hq, "lu", true);

    feed->replica.tier[TIER_FEDERATION].proven = (struct replica_claim){ 1, 9 };
    feed->replica.tier[TIER_FEDERATION].target = (struct replica_claim){ 1, 9 };
    feed->replica.tier[TIER_FEDERATION].behind_since_ms = monotonic_ms - 7000;
    assert_cause(hq, "fr", "behind", "behind",
                 "has 4 changes that are not here yet, for 7 s: no node that is connected");
    lu->claim[index][TIER_FEDERATION] = (struct replica_claim){ 1, 9 };
    assert_cause(hq, "fr", "behind", "behind", "lu has them");
    memset(feed->replica.tier, 0, sizeof feed->replica.tier);
    feed->replica.feed.tier[TIER_HQ].seq = 3;
    assert_cause(hq, "fr", "behind", "current", "neither names nor e-mail addresses");
}

static void test_paused(void **state)
{
    struct hq *hq = *state;
    struct node_feed *feed = healthy(hq);

    feed->replica.tier[TIER_HQ].damaged = true;
    assert_cause(hq, "fr", "damaged", "current", "fetched again");
    feed->over_quota = true;
    assert_cause(hq, "fr", "over-limit", "current", "200000");
    hq->node->full_since_ms = monotonic_ms;
    assert_cause(hq, "fr", "full-disk", "current", "nothing can be written");
    assert_cause(hq, "hq", "full-disk", "current", "nothing can be written");
    feed->replica.feed.freeze = FREEZE_DIVERGED;
    feed->replica.feed.freeze_epoch = 1;
    assert_cause(hq, "fr", "diverged", "forked", "does not follow");
    feed->replica.feed.freeze = FREEZE_FORKED;
    assert_cause(hq, "fr", "forked", "forked", "directory was copied");
    enrol(hq, "fr", CHAPTER_SUSPENDED);
    assert_cause(hq, "fr", "quarantined", "forked", "suspended");
    feed->replica.feed.freeze = FREEZE_NONE;
    enrol(hq, "fr", CHAPTER_REVOKED);
    assert_cause(hq, "fr", "revoked", "revoked", "nothing is taken");
}

static void test_alone(void **state)
{
    struct hq *hq = *state;

    assert_cause(hq, "hq", "none", "current", "other nodes connected: 0");
    (void)healthy(hq);
    (void)peer_of(hq, "lu", false);
    assert_cause(hq, "fr", "alone", "current", "no chapter dials it");
    assert_cause(hq, "hq", "alone", "current", "Edits are kept");
}

static void test_own_feed(void **state)
{
    struct hq *hq = *state;
    struct node_feed *own = feed_of(hq, "hq");

    (void)healthy(hq);
    wall_ms = 0;
    assert_cause(hq, "hq", "clock", "current", "never set");
    own->replica.feed.freeze = FREEZE_FORKED;
    own->replica.feed.freeze_epoch = 1;
    assert_cause(hq, "hq", "forked", "forked", "frozen everywhere");
    own->replica.feed.freeze = FREEZE_NONE;
    hq->node->recovering = true;
    hq->node->recovering_seq = 99;
    hq->node->own_epoch.reason = EPOCH_COPIED;
    assert_cause(hq, "hq", "recovering", "current", "change 99 of hq");
    hq->node->is_hq = false; /* as at a chapter */
    own->over_quota = true;
    assert_cause(hq, "hq", "recovering", "current", "larger than the roster allows");
    own->over_quota = false;
    hq->node->phase = EPOCH_BEGINNING;
    assert_cause(hq, "hq", "recovering", "current", "HQ alone, which is not reached");
    hq->node->is_hq = true;
    hq->node->locked_out = true;
    assert_cause(hq, "hq", "quarantined", "current", "reaches it over HQ");
}

static void test_a_record_from_the_future(void **state)
{
    static const struct member member = { .name = "Ann" };
    struct hq *hq = *state;
    struct node_feed *feed = healthy(hq);
    const struct node_feed *own = feed_of(hq, "hq");

    put_members(hq, &member, 1);
    /* fr's newest row: HQ's own stands in for it */
    feed->record.tier[TIER_FEDERATION].number = own->record.tier[TIER_FEDERATION].number;
    feed->replica.feed.tier[TIER_FEDERATION].seq = own->replica.feed.tier[TIER_FEDERATION].seq;
    feed->replica.feed.tier[TIER_HQ] = feed->replica.feed.tier[TIER_FEDERATION];
    feed->replica.beat.seq = feed->replica.feed.tier[TIER_FEDERATION].seq;
    assert_cause(hq, "fr", "none", "current", "all is well");
    wall_ms -= 300000;
    assert_cause(hq, "fr", "none", "current", "all is well");
    wall_ms -= 1000;
    assert_cause(hq, "fr", "clock", "current", "5 min ahead");
}

static void test_who_is_meant(void **state)
{
    struct hq *hq = *state;

    (void)healthy(hq);
    assert_refused(answer_to(hq, ask(hq, "explain", "chapter", "frr", NULL, NULL)), NOT_FOUND,
                   "did you mean fr?");
    (void)ask_ok(hq, "invite", "chapter", "be", NULL, NULL);
    assert_refused(answer_to(hq, ask(hq, "explain", "chapter", "be", NULL, NULL)), NOT_FOUND,
                   "has not joined yet");
    wall_ms += 1000ll * INVITE_TTL_S_DEFAULT;
    assert_refused(answer_to(hq, ask(hq, "explain", "chapter", "be", NULL, NULL)), NOT_FOUND,
                   "no chapter has the code be");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, hq_new, hq_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_well),
        TEST(test_silence),
        TEST(test_a_lost_link_tells_first),
        TEST(test_not_heard_since_the_start),
        TEST(test_delay),
        TEST(test_behind),
        TEST(test_paused),
        TEST(test_alone),
        TEST(test_own_feed),
        TEST(test_a_record_from_the_future),
        TEST(test_who_is_meant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
