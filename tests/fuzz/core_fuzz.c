/* SPDX-License-Identifier: MPL-2.0 */
/* core_fuzz.c - bytes as a schedule: four bytes are an input to the replica, a head to a feed,
 * or a step of time; what the core promises of its state holds after each. */
#include <string.h>

#include "daemon/core/replica.h"
#include "tests/fuzz/fuzz.h"

enum { FEEDS = 3, PEERS = 3 };

static struct replica_feed feeds[FEEDS];
static struct replica_feed *feed_list[FEEDS];
static struct replica_peer peers[PEERS];
static struct replica_peer *peer_list[PEERS];
static struct replica replica;
static struct hq_beats beats;
static uint64_t wants[FEEDS][TIERS_PUBLISHED]; /* requests under way */

static void begin(void)
{
    static const char *const codes[] = { "fr", "hq", "lu" };

    memset(feeds, 0, sizeof feeds);
    memset(peers, 0, sizeof peers);
    memset(&replica, 0, sizeof replica);
    memset(&beats, 0, sizeof beats);
    memset(wants, 0, sizeof wants);
    for (int i = 0; i < FEEDS; i++) {
        feed_init(&feeds[i].feed, codes[i]);
        feeds[i].followed[TIER_FEDERATION] = true;
        feeds[i].followed[TIER_HQ] = i != 1;
        feeds[i].fetchable = true;
        feed_list[i] = &feeds[i];
        memcpy(peers[i].code, codes[i], strlen(codes[i]) + 1);
        peers[i].up = true;
        peer_list[i] = &peers[i];
    }
    replica.is_hq = true;
    replica.feeds = feed_list;
    replica.feed_count = FEEDS;
    replica.peers = peer_list;
    replica.peer_count = PEERS;
    replica.next_request = 1;
    replica.random_state = 1;
}

static struct head head_of(const uint8_t bytes[4])
{
    struct head head = { .epoch = 1 + bytes[1] % 2, .instance = 1, .seq = 1 + bytes[2] % 16 };

    memcpy(head.origin, feeds[bytes[0] % FEEDS].feed.origin, CODE_SIZE);
    head.prev_seq = head.seq - 1 - (bytes[3] >> 4) % head.seq;
    head.horizon = bytes[3] % 4 < head.prev_seq ? bytes[3] % 4 : 0;
    /* As if the bytes were the hash: mostly one history, sometimes another. */
    head.hash[0] = (uint8_t)head.seq;
    head.hash[1] = (uint8_t)head.epoch;
    head.hash[2] = bytes[3] & 0x80;
    head.prev_hash[0] = (uint8_t)head.prev_seq;
    head.prev_hash[1] = (uint8_t)head.epoch;
    return head;
}

static void take_effects(const struct replica_effects *effects)
{
    ASSERT(effects->count <= REPLICA_EFFECTS_MAX);
    for (size_t i = 0; i < effects->count; i++) {
        const struct replica_effect *effect = &effects->list[i];

        ASSERT(effect->feed < FEEDS && effect->tiers != 0 && effect->tiers <= TIERS_BOTH);
        if (effect->kind != EFFECT_WANT)
            continue;
        ASSERT(effect->peer < PEERS && peers[effect->peer].up);
        wants[effect->feed][effect->tiers & TIERS_FEDERATION ? 0 : 1] = effect->request;
    }
}

static void step(const uint8_t bytes[4], int64_t now_ms)
{
    struct replica_effects effects = { .next_ms = INT64_MAX };
    struct replica_input input = { .kind = (enum replica_input_kind)(bytes[0] % 11),
                                   .feed = bytes[1] % FEEDS,
                                   .peer = bytes[1] / 8 % PEERS,
                                   .tiers = 1 + bytes[1] / 64 % 3,
                                   .epoch = 1 + bytes[2] / 128,
                                   .seq = bytes[2] % 16,
                                   .clean = bytes[3] & 1,
                                   .answer = bytes[3] & 2 };

    input.request = wants[input.feed][bytes[3] / 4 % 2];
    if (input.kind == INPUT_PEER_DOWN)
        peers[input.peer].up = false;
    else
        peers[input.peer].up = true;
    replica_step(&replica, &input, now_ms, &effects);
    take_effects(&effects);
}

/* A head, judged and if it extends taken. */
static void judge(const uint8_t bytes[4], int64_t now_ms)
{
    const struct head head = head_of(bytes);
    struct replica_feed *feed = &feeds[bytes[0] / 16 % FEEDS];
    const enum tier tier = bytes[2] / 16 % 2 ? TIER_HQ : TIER_FEDERATION;
    const struct feed_term term = { .epoch = 1 + bytes[1] / 2 % 2, .instance = 1 };
    const struct feed_mark before = feed->feed.tier[tier];
    const struct feed_mark *other = NULL;
    struct replica_effects effects = { .next_ms = INT64_MAX };
    const enum feed_verdict verdict =
        feed_judge(&feed->feed, tier, &term, &head, bytes[3] % 16, &other);

    ASSERT((verdict == FEED_FORK) == (other != NULL));
    if (verdict != FEED_EXTENDS || !feed->followed[tier])
        return;
    ASSERT(feed_compare(head.epoch, head.seq, before.epoch, before.seq) > 0);
    feed_advance(&feed->feed, 1u << tier, &head);
    ASSERT(feed_remembers(&feed->feed, &head));
    replica_step(&replica,
                 &(struct replica_input){ .kind = INPUT_ADVANCED,
                                          .feed = (uint32_t)(feed - feeds),
                                          .tiers = 1u << tier },
                 now_ms, &effects);
    take_effects(&effects);
}

static void check(int64_t now_ms)
{
    size_t pulls = 0;

    for (int i = 0; i < FEEDS; i++) {
        for (int slot = 0; slot < TIERS_PUBLISHED; slot++)
            pulls += feeds[i].pull[slot].active;
        ASSERT(feeds[i].feed.head_count <= HEADS_KEPT);
        ASSERT(replica_feed_state(&feeds[i], &beats, true, now_ms) <= STATE_REVOKED);
    }
    ASSERT(pulls == replica.pulls && pulls <= PULLS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t now_ms = 1000;

    begin();
    for (size_t at = 0; at + 4 <= size; at += 4) {
        const uint8_t *bytes = data + at;

        if (bytes[0] < 0x60)
            step(bytes, now_ms);
        else if (bytes[0] < 0xc0)
            judge(bytes, now_ms);
        else if (bytes[0] < 0xe0)
            hq_beats_note(&beats, bytes[1], bytes[2], now_ms);
        else
            now_ms += (int64_t)bytes[1] * bytes[2];
        check(now_ms);
    }
    return 0;
}
