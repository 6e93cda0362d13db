/* SPDX-License-Identifier: MPL-2.0 */
/* control_alarms.c - what an operator must know or do, each with its next step. */
#include "daemon/control_internal.h"
#include "daemon/disclosure.h"
#include "daemon/erase.h"
#include "daemon/keys.h"
#include "daemon/recovery.h"
#include "daemon/replication.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define STORE_FULL_PERCENT 90
#define RECOVERED_TOLD_S (7 * 24 * 3600)

struct alarms {
    struct mp_writer list;
    size_t count;
};

static void alarms_done(struct alarms *alarms)
{
    mp_writer_done(&alarms->list);
}

static void alarm_add(struct alarms *alarms, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void alarm_add(struct alarms *alarms, const char *remedy, const char *format, ...)
{
    char text[2 * CONTROL_TEXT_SIZE + RECOVERED_IDS_MAX * UUID_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    mp_write_map(&alarms->list, 2);
    mp_write_key_text(&alarms->list, "remedy", remedy);
    mp_write_key_text(&alarms->list, "text", text);
    alarms->count++;
}

/* --- this node ---------------------------------------------------------------------------- */

/* Where a recovery stands: what is wrong, how far it came, who must do something. */
static void about_recovery(struct node *node, struct alarms *alarms)
{
    const struct feed_mark *mine =
        &node->feeds[node->own_feed]->replica.feed.tier[TIER_FEDERATION];
    const struct roster_node *place = roster_find(node, node->code);
    const char *error;
    const char *remedy;

    if (!node->recovering)
        return;
    epoch_explain(node, &error, &remedy);
    if (node->phase == EPOCH_ASKING && node->recovering_seq > mine->seq)
        alarm_add(alarms, remedy,
                  "%s (changes up to %llu are here, others hold %llu; members can be looked at"
                  " meanwhile)",
                  error, (unsigned long long)mine->seq,
                  (unsigned long long)node->recovering_seq);
    else if (node->phase == EPOCH_ASKING)
        alarm_add(alarms, remedy,
                  "%s (changes up to %llu are here; members can be looked at meanwhile)", error,
                  (unsigned long long)mine->seq);
    else
        alarm_add(alarms, remedy,
                  "HQ has opened epoch %llu for %s: its changes up to %llu are being fetched"
                  " back, %llu are here",
                  (unsigned long long)place->entry.epoch, node->code,
                  (unsigned long long)place->entry.closed_seq, (unsigned long long)mine->seq);
    if (epoch_waits(node, &error, &remedy))
        alarm_add(alarms, remedy, "the recovery of %s waits: %s", node->code, error);
}

/* What could not be brought back, for a week after it. */
static bool recovered_story(struct store_txn *txn, struct slice *out_story)
{
    uint64_t time = 0;

    return txn != NULL && store_get_meta(txn, META_RECOVERED, out_story) == OK &&
           mp_map_get_uint(*out_story, "time", &time) &&
           (uint64_t)(clock_wall_ms() / 1000) <= time + RECOVERED_TOLD_S;
}

static bool erased_unknown(struct slice story)
{
    uint64_t forgotten = 0;

    return mp_map_get_uint(story, "forgotten", &forgotten) && forgotten != 0;
}

bool control_erased_unknown(struct node *node)
{
    struct slice story;

    return recovered_story(node_reading(node), &story) && erased_unknown(story);
}

static void about_recovered(struct control_wait *request, struct alarms *alarms)
{
    struct store_txn *txn = node_reading(request->node);
    struct slice story;
    struct mp_reader reader;
    uint64_t refilled = 0;
    uint64_t unsure = 0;
    uint64_t presumed = 0;
    char ids[RECOVERED_IDS_MAX * (UUID_TEXT_SIZE + 1)] = "";
    size_t used = 0;
    size_t count;

    if (!recovered_story(txn, &story) || !mp_map_get_uint(story, "refilled", &refilled) ||
        !mp_map_get_uint(story, "unsure", &unsure))
        return;
    if (refilled != 0)
        alarm_add(alarms, "look at them and enter again what is missing",
                  "records that had lost their fields of tier hq (name, e-mail, language) in"
                  " the recovery: %llu; the last ones known were put back",
                  (unsigned long long)refilled);
    if (store_get_meta_uint(txn, META_PRESUMED, &presumed) == OK && presumed != 0)
        alarm_add(
            alarms, "nothing to do; who joined again is entered with: members add --again",
            "%llu members of the restored copy were erased, or removed, after it was made:"
            " what this node had of them is deleted again",
            (unsigned long long)presumed);
    if (erased_unknown(story))
        alarm_add(alarms,
                  "before an import, take out of the file whom you have erased; or export the"
                  " members that are here, and go on from that file",
                  "whoever came after the restored copy was made (in a new directory: anybody),"
                  " and was erased since, is not known here any more: an import would enter"
                  " them as new");
    if (unsure == 0)
        return;
    alarm_add(
        alarms, "chapterctl tiers list, and set again what is not as it should be",
        "which field of a member goes how far is as it was chosen when the restored copy"
        " was made (in a new directory: the default); what was chosen after that is known"
        " only of fields that HQ holds alone, or that no member has who was fetched back");
    mp_reader_init(&reader, mp_map_get(story, "ids"));
    count = mp_read_array(&reader, RECOVERED_IDS_MAX);
    for (size_t i = 0; i < count; i++) {
        uint8_t id[ID_SIZE];
        char text[UUID_TEXT_SIZE];

        mp_read_bin_exact(&reader, id, ID_SIZE);
        uuid_format(id, text);
        used +=
            (size_t)snprintf(ids + used, sizeof ids - used, "%s%s", i == 0 ? "" : " ", text);
    }
    alarm_add(
        alarms,
        "compare them with your papers, or import your last spreadsheet with --mode fill;"
        " tiers set since then are forgotten, too: chapterctl tiers list",
        "members changed after the restored copy was made, or all where there was none: %llu;"
        " their city, phone, notes and own columns, which never leave this node, are those of"
        " the copy, or gone: %s%s",
        (unsigned long long)unsure, ids, unsure > count ? " ..." : "");
}

/* Until the chapter has chosen itself. */
static void about_followed(const struct node *node, struct alarms *alarms)
{
    const struct disclosure *disclosure = node->disclosure;
    char names[2 * CONTROL_TEXT_SIZE] = "";
    size_t used = 0;
    size_t count = 0;

    for (size_t i = 0; i < disclosure->count; i++) {
        const struct tier_choice *choice = &disclosure->choices[i];
        char quote[CONTROL_QUOTE_SIZE];

        if (!choice->followed)
            continue;
        if (used + sizeof quote + 32 < sizeof names)
            used += (size_t)snprintf(
                names + used, sizeof names - used, "%s%s (%s)", count == 0 ? "" : ", ",
                control_quote(slice_of_text(choice->field), quote), tier_name(choice->tier));
        count++;
    }
    if (count != 0)
        alarm_add(
            alarms,
            "say how far each goes, also if that is right: chapterctl tiers set FIELD=TIER"
            " (FIELD= is its default; chapterctl tiers list)",
            "fields that go no further than in the members that were fetched back (hq: HQ"
            " alone had them; chapter: no member has them), since they may have been"
            " withdrawn before: %zu: %s",
            count, names);
}

static void about_surplus(struct node *node, struct alarms *alarms)
{
    if (surplus_waits(node))
        alarm_add(
            alarms, "chapterctl surplus list",
            "a state of this chapter from before a recovery has members that are not here,"
            " or otherwise: erased or changed since, or never told to anybody; you must"
            " decide");
}

static void about_own_feed(struct node *node, struct alarms *alarms)
{
    const struct roster_node *place = roster_find(node, node->code);
    const char *error;
    const char *remedy;

    about_recovery(node, alarms);
    if (!keys_in_force(node) && !keys_wait(node) && (!node->recovering || node->is_hq)) {
        keys_explain_former(node, &error, &remedy);
        alarm_add(alarms, remedy, "%s: nothing is signed here", error);
    }
    if (place != NULL && place->entry.state != CHAPTER_ENROLLED)
        alarm_add(alarms, "ask HQ; the members of this chapter stay readable here",
                  "HQ has %s this chapter",
                  place->entry.state == CHAPTER_REVOKED ? "revoked" : "suspended");
    if (node->invites_waiting != 0)
        alarm_add(alarms, "chapterctl invite list",
                  "chapters that asked to join and wait to be approved: %zu",
                  node->invites_waiting);
    if (node->lapse_asked != 0)
        alarm_add(
            alarms, "chapterctl members lapse --confirm",
            "%llu members have expired, more than %d %% of the active ones: none was lapsed",
            (unsigned long long)node->lapse_asked, LAPSE_PERCENT_MAX);
    if (node->removals_refused != 0)
        alarm_add(alarms,
                  "if they are meant: chapterctl members remove ID --confirm, or members apply"
                  " --confirm -",
                  "%llu removals were refused: more than %d %% of the members within a day",
                  (unsigned long long)node->removals_refused, REMOVALS_PERCENT_MAX);
}

static void about_compaction(const struct node *node, struct alarms *alarms)
{
    if (node->erasure->compactions != 0 && node->erasure->compact_status != OK)
        alarm_add(alarms,
                  "free as much space on the disk as the store takes; it is tried again",
                  "the store could not be compacted: what was erased is still in its file");
}

static void about_store(const struct node *node, struct alarms *alarms)
{
    const uint64_t size =
        node->config.store_size != 0 ? node->config.store_size : STORE_SIZE_DEFAULT;
    const uint64_t used = store_used_bytes(node->store);

    if (node->full_since_ms != 0)
        alarm_add(alarms, "free space on the disk, or raise store_size and restart the daemon",
                  "the store is full: nothing can be written, neither here nor what others"
                  " changed");
    else if (used >= size / 100 * STORE_FULL_PERCENT)
        alarm_add(alarms, "raise store_size and restart the daemon",
                  "the store is nearly full: %llu of %llu bytes", (unsigned long long)used,
                  (unsigned long long)size);
}

/* --- the others --------------------------------------------------------------------------- */

static void about_links(const struct node *node, struct alarms *alarms)
{
    const int64_t now = node_now(node);

    for (size_t i = 0; i < node->link_count; i++) {
        const struct link *link = &node->links[i];
        char remedy[EXPLAIN_COMMAND_SIZE];
        const char *code;

        if (!link->dialled || !link->denied || link->peer == NO_PEER)
            continue;
        code = node->peers[link->peer]->code;
        if (strcmp(code, "hq") == 0)
            alarm_add(alarms,
                      "ask HQ whether this chapter was suspended, revoked or joined anew"
                      " elsewhere",
                      "HQ does not know this node's key and refuses it");
        else
            alarm_add(alarms, control_explain_command(code, remedy),
                      "the node of %s does not know this node's key and refuses it", code);
    }
    if (!node->is_hq && now - node->started_ms >= BEAT_FRESH_MS &&
        !hq_beats_heard(&node->hq_beats, now))
        alarm_add(alarms, "chapterctl explain hq",
                  "HQ was not heard for %d seconds: current means by arrival only",
                  BEAT_FRESH_MS / 1000);
}

static bool somebody_has_more(const struct node *node, uint32_t index)
{
    const struct feed_mark *mine = &node->feeds[index]->replica.feed.tier[TIER_FEDERATION];

    for (size_t i = 0; i < node->replica.peer_count; i++) {
        const struct replica_claim *claim = &node->peers[i]->claim[index][TIER_FEDERATION];

        if (node->peers[i]->up &&
            feed_compare(claim->epoch, claim->seq, mine->epoch, mine->seq) > 0)
            return true;
    }
    return false;
}

static void about_frozen(const struct node_feed *feed, struct alarms *alarms)
{
    const char *code = feed->replica.feed.origin;

    if (strcmp(code, "hq") == 0)
        alarm_add(alarms,
                  "tell HQ's operator: HQ's next epoch is begun with the recovery key (chapterd"
                  " recover)",
                  "HQ's own feed contradicts itself and is frozen here: the last good roster"
                  " stays in force, nobody joins or leaves, all other feeds go on");
    else if (feed->replica.feed.freeze == FREEZE_FORKED)
        alarm_add(alarms,
                  "its operator must stop one of the two daemons; HQ opens a new epoch for it "
                  "by itself",
                  "%s signed two histories: its feed is frozen here, the proof is kept, all"
                  " others go on",
                  code);
    else
        alarm_add(alarms, "tell that chapter: HQ opens a new epoch for it when its daemon asks",
                  "%s signed a state that does not follow from its former one: its feed is"
                  " frozen here",
                  code);
}

static void about_removals(const struct node *node, uint32_t index, struct alarms *alarms)
{
    const char *code = node->feeds[index]->replica.feed.origin;
    char remedy[128];
    uint64_t records;
    uint64_t removed;

    if (!removals_told(node, index, &removed, &records))
        return;
    (void)snprintf(remedy, sizeof remedy,
                   "ask its operator whether that was meant; chapterctl log --chapter %s shows"
                   " which",
                   code);
    alarm_add(alarms, remedy, "%s removed %llu of its %llu members within a day", code,
              (unsigned long long)removed, (unsigned long long)records);
}

static void about_feed(const struct node *node, uint32_t index, struct alarms *alarms)
{
    const struct node_feed *feed = node->feeds[index];
    const char *code = feed->replica.feed.origin;
    char remedy[EXPLAIN_COMMAND_SIZE];

    if (feed->replica.own)
        return;
    if (feed->replica.feed.freeze != FREEZE_NONE)
        about_frozen(feed, alarms);
    about_removals(node, index, alarms);
    if (feed->over_quota)
        alarm_add(alarms,
                  "at HQ: chapterctl chapters edit CHAPTER --records-max N --bytes-max SIZE; or"
                  " the chapter removes records",
                  "the feed of %s is larger than the roster allows: it is paused", code);
    if (feed->replica.tier[TIER_FEDERATION].damaged || feed->replica.tier[TIER_HQ].damaged)
        alarm_add(alarms, "nothing to do but to check the disk: it is fetched again",
                  "this node's copy of %s is damaged", code);
    if (replica_feed_state(&feed->replica, &node->hq_beats, node->is_hq, node_now(node)) ==
            STATE_BEHIND &&
        !somebody_has_more(node, index))
        alarm_add(alarms, control_explain_command(code, remedy),
                  "%s has changes that no connected node holds", code);
}

enum status control_write_alarms(struct control_wait *request, struct mp_writer *writer)
{
    CLEANUP(alarms_done) struct alarms alarms = { 0 };
    const struct node *node = request->node;
    uint32_t order[ORIGINS_MAX];
    const size_t count = control_feed_order(node, order);

    mp_writer_init_heap(&alarms.list, CONTROL_SIZE_MAX);
    about_own_feed(request->node, &alarms);
    about_recovered(request, &alarms);
    about_followed(node, &alarms);
    about_surplus(request->node, &alarms);
    about_store(node, &alarms);
    about_compaction(node, &alarms);
    about_links(node, &alarms);
    for (size_t i = 0; i < count; i++)
        about_feed(node, order[i], &alarms);
    mp_write_array(writer, alarms.count);
    mp_write_raw(writer, mp_writer_bytes(&alarms.list));
    return alarms.list.status;
}
