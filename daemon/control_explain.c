/* SPDX-License-Identifier: MPL-2.0 */
/* control_explain.c - the answer of `explain`: last head, paths, cause, text and remedy. */
#include "daemon/control_explain.h"
#include "daemon/invitation.h"

#include <string.h>

static const char *const cause_words[] = {
#define CAUSE_WORD(name, word, meaning) word,
    CAUSE_TABLE(CAUSE_WORD)
#undef CAUSE_WORD
};

/* At HQ: a chapter that was invited and has not come is what is asked about most. */
static enum status not_found(struct control_wait *request, const char *code)
{
    struct invitation invitation;
    char remedy[CONTROL_TEXT_SIZE];

    if (!request->node->is_hq || invitation_of(request->node, code, &invitation) != OK)
        return control_unknown_chapter(request, code);
    if (invitation.waiting)
        return control_error(request, NOT_FOUND,
                             "compare the keys, then: chapterctl invite list, invite approve",
                             "%s has asked to join and waits to be approved", code);
    (void)snprintf(remedy, sizeof remedy,
                   "at %s: chapterd join TOKEN --dir DIR   (token lost: chapterctl invite %s)",
                   code, code);
    return control_error(request, NOT_FOUND, remedy,
                         "%s was invited, but has not joined yet; its invitation is open",
                         code);
}

static void write_head(struct mp_writer *writer, const struct node *node,
                       const struct node_feed *feed)
{
    const struct feed_mark *mine = &feed->replica.feed.tier[TIER_FEDERATION];

    mp_write_map(writer, 3);
    mp_write_key_uint(writer, "epoch", mine->epoch);
    mp_write_key_uint(writer, "seq", mine->seq);
    mp_write_text(writer, "time");
    control_write_head_time(writer, node, feed);
}

/* For how long it stays current if nothing more is heard; nil where that has no meaning. */
static void write_fresh(struct mp_writer *writer, const struct node *node,
                        const struct node_feed *feed)
{
    bool proven;

    mp_write_text(writer, "fresh_seconds");
    if (feed->replica.own || control_feed_state(node, feed) != STATE_CURRENT)
        mp_write_nil(writer);
    else
        mp_write_uint(writer,
                      (uint64_t)replica_feed_fresh_ms(&feed->replica, &node->hq_beats,
                                                      node->is_hq, node_now(node), &proven) /
                          1000);
}

static void write_heard(struct mp_writer *writer, const struct node *node,
                        const struct node_feed *feed)
{
    mp_write_text(writer, "heard_seconds");
    if (feed->replica.beat.boot == 0)
        mp_write_nil(writer);
    else
        mp_write_uint(writer, (uint64_t)(node_now(node) - feed->replica.beat_at_ms) / 1000);
}

enum status control_explain(struct control_wait *request, struct mp_writer *writer)
{
    struct node *node = request->node;
    const char *code = ARGUMENT(request, chapter)->code;
    const uint32_t index = node_feed_index(node, code);
    const struct node_feed *feed;
    struct finding finding;
    enum status status;

    if (index == NO_PEER)
        return not_found(request, code);
    if ((status = cause_find(node, index, &finding)) != OK)
        return control_store_error(request, status);
    feed = node->feeds[index];
    mp_write_map(writer, 13);
    control_write_behind(writer, node, feed);
    mp_write_key_text(writer, "cause", cause_words[finding.cause]);
    mp_write_key_text(writer, "chapter", code);
    write_fresh(writer, node, feed);
    mp_write_text(writer, "head");
    write_head(writer, node, feed);
    write_heard(writer, node, feed);
    mp_write_key_text(writer, "name", control_chapter_name(node, code));
    mp_write_key_bool(writer, "own", feed->replica.own);
    mp_write_text(writer, "path");
    path_write(writer, node, index);
    mp_write_key_text(writer, "remedy", finding.remedy);
    mp_write_key_text(writer, "state", feed_state_name(control_feed_state(node, feed)));
    mp_write_key_text(writer, "text", finding.text);
    return OK;
}
