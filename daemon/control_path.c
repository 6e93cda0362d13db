/* SPDX-License-Identifier: MPL-2.0 */
/* control_path.c - over which links this node hears of a chapter: its own node's, and those of
 * the nodes that this one dials, who pass on what they hear. */
#include "daemon/control_explain.h"

#include <stdlib.h>
#include <string.h>

static const char *link_state(const struct node *node, const struct link *link)
{
    if (link->dialled && !link->up)
        return link->denied ? "denied" : "connecting";
    return path_is_silent(node, link) ? "silent" : "up";
}

bool path_is_silent(const struct node *node, const struct link *link)
{
    const int64_t said_ms =
        link->last_seen_ms > link->since_ms ? link->last_seen_ms : link->since_ms;

    return node_now(node) - said_ms > LINK_QUIET_MS;
}

/* Since when nothing comes over a link; 0: it does. */
static int64_t link_lost_ms(const struct node *node, const struct link *link)
{
    if (link->dialled && !link->up)
        return link->since_ms;
    if (!path_is_silent(node, link))
        return 0;
    return link->last_seen_ms != 0 ? link->last_seen_ms : link->since_ms;
}

void path_direct(const struct node *node, const char *code, struct direct_path *out)
{
    int64_t lost_ms = 0;
    bool heard = false;

    memset(out, 0, sizeof *out);
    out->peer = node_peer_index(node, code);
    if (out->peer == NO_PEER)
        return;
    for (size_t i = 0; i < node->link_count; i++) {
        const struct link *link = &node->links[i];

        if (link->peer != out->peer)
            continue;
        if (link->dialled)
            out->dialled = link;
        else if (out->incoming == NULL || link->last_seen_ms > out->incoming->last_seen_ms)
            out->incoming = link;
        if (link_lost_ms(node, link) == 0)
            heard = true;
        else if (link_lost_ms(node, link) > lost_ms)
            lost_ms = link_lost_ms(node, link);
    }
    if (out->dialled == NULL && out->incoming == NULL)
        lost_ms = node->contacts[out->peer].changed_ms;
    out->met = node->contacts[out->peer].seen_ms != 0;
    out->lost_ms = heard ? 0 : lost_ms;
}

/* --- as an answer ------------------------------------------------------------------------- */

static void write_seconds_since(struct mp_writer *writer, const struct node *node,
                                const char *key, int64_t moment_ms)
{
    mp_write_text(writer, key);
    if (moment_ms != 0)
        mp_write_uint(writer, (uint64_t)(node_now(node) - moment_ms) / 1000);
    else
        mp_write_nil(writer);
}

/* link NULL: there is none any more. */
static void write_path(struct mp_writer *writer, const struct node *node, uint32_t feed,
                       uint32_t peer, const struct link *link)
{
    const struct replica_peer *holder = node->peers[peer];
    const struct contact *contact = &node->contacts[peer];
    const bool direct = strcmp(holder->code, node->feeds[feed]->replica.feed.origin) == 0;

    mp_write_map(writer, 9);
    mp_write_text(writer, "address");
    if (link != NULL && link->address[0] != '\0')
        mp_write_text(writer, link->address);
    else
        mp_write_nil(writer);
    mp_write_key_text(writer, "chapter", holder->code);
    mp_write_key_bool(writer, "dialled", link != NULL && link->dialled);
    mp_write_key_bool(writer, "direct", direct);
    write_seconds_since(writer, node, "last_seen_seconds",
                        link != NULL ? link->last_seen_ms : contact->seen_ms);
    mp_write_key_bool(writer, "newest", node->feeds[feed]->beat_peer == peer);
    mp_write_text(writer, "seq");
    if (holder->up)
        mp_write_uint(writer, holder->claim[feed][TIER_FEDERATION].seq);
    else
        mp_write_nil(writer);
    write_seconds_since(writer, node, "since_seconds",
                        link != NULL ? link->since_ms : contact->changed_ms);
    mp_write_key_text(writer, "state", link != NULL ? link_state(node, link) : "down");
}

/* A peer that dials this node hands on nobody's beats but its own: it is a path to others only
 * where the newest beat came from it. */
static bool is_path(const struct node *node, uint32_t feed, const struct direct_path *direct,
                    const struct link *link)
{
    if (link->peer == NO_PEER)
        return false;
    if (link->peer == direct->peer)
        return link == direct->dialled || link == direct->incoming;
    return link->dialled || link->peer == node->feeds[feed]->beat_peer;
}

/* Every link of the own node: its changes leave over all of them. */
static bool is_own_path(const struct link *link)
{
    return link->peer != NO_PEER;
}

struct path_list {
    const struct node *node;
    uint32_t direct; /* peer, NO_PEER: none */
    const struct link *links[LINKS_MAX];
    size_t count;
};

/* Direct ones lead; then by code, dialled before incoming. */
static int compare_paths(const void *a, const void *b, void *context)
{
    const struct path_list *list = context;
    const struct link *left = *(const struct link *const *)a;
    const struct link *right = *(const struct link *const *)b;
    int order = (right->peer == list->direct) - (left->peer == list->direct);

    if (order == 0)
        order =
            strcmp(list->node->peers[left->peer]->code, list->node->peers[right->peer]->code);
    if (order == 0)
        order = right->dialled - left->dialled;
    return order != 0 ? order : (left->handle > right->handle) - (left->handle < right->handle);
}

void path_write(struct mp_writer *writer, const struct node *node, uint32_t feed)
{
    const bool own = node->feeds[feed]->replica.own;
    struct path_list list = { .node = node };
    struct direct_path direct;
    bool lost;

    path_direct(node, node->feeds[feed]->replica.feed.origin, &direct);
    list.direct = direct.peer;
    lost = direct.met && direct.dialled == NULL && direct.incoming == NULL;
    for (size_t i = 0; i < node->link_count; i++)
        if (own ? is_own_path(&node->links[i]) : is_path(node, feed, &direct, &node->links[i]))
            list.links[list.count++] = &node->links[i];
    qsort_r(list.links, list.count, sizeof *list.links, compare_paths, &list);
    mp_write_array(writer, list.count + lost);
    if (lost)
        write_path(writer, node, feed, direct.peer, NULL);
    for (size_t i = 0; i < list.count; i++)
        write_path(writer, node, feed, list.links[i]->peer, list.links[i]);
}
