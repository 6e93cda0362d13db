/* SPDX-License-Identifier: MPL-2.0 */
/* closure.c - HQ's own epochs: what the recovery key signed of them, kept by every node and
 * passed on, because a node that does not know it takes HQ's next epoch for nobody's. */
#include "daemon/node_internal.h"
#include "daemon/recovery.h"

#include <string.h>

enum status closure_load(struct node *node, struct store_txn *txn)
{
    struct slice value;
    enum status status = store_get_meta(txn, META_CLOSURE, &value);

    node->closure_bytes.size = 0;
    memset(&node->closure, 0, sizeof node->closure);
    if (status == NOT_FOUND)
        return OK;
    if (status != OK)
        return status;
    if (closure_read(value, &node->closure) != OK)
        return STORE_DAMAGED;
    memcpy(node->closure_bytes.bytes, value.data, value.size);
    node->closure_bytes.size = (uint16_t)value.size;
    return OK;
}

static struct slice message_of(struct node *node)
{
    struct mp_writer *writer = node_writer(node);

    wire_write_closure(writer, slice_of(node->closure_bytes.bytes, node->closure_bytes.size));
    return mp_writer_bytes(writer);
}

void closure_send(struct node *node, const struct link *link)
{
    if (node->closure_bytes.size != 0)
        node_send(node, link->handle, message_of(node));
}

static void flood(struct node *node)
{
    const struct slice message = message_of(node);

    node_publish(node, "hq", message);
    for (size_t i = 0; i < node->link_count; i++)
        if (node->links[i].up || node->links[i].greeted)
            node_send(node, node->links[i].handle, message);
}

void closure_on_message(struct node *node, struct slice message)
{
    struct wire_closure wire;
    struct closure closure;

    if (wire_read_closure(message, &wire) != OK || closure_read(wire.closure, &closure) != OK) {
        node->counters.messages_malformed++;
        return;
    }
    if (closure.epoch <= node->closure.epoch ||
        memcmp(closure.federation, node->federation, HASH_SIZE) != 0)
        return;
    node->counters.signatures_checked++;
    if (closure_verify(wire.closure, node->genesis.recovery_key) != OK) {
        node->counters.peers_refused++;
        return;
    }
    if (node_writing(node) == NULL ||
        node_turn_fails(node, store_put_meta(&node->txn, META_CLOSURE, wire.closure)) != OK)
        return;
    node->closure = closure;
    memcpy(node->closure_bytes.bytes, wire.closure.data, wire.closure.size);
    node->closure_bytes.size = (uint16_t)wire.closure.size;
    node->tick_due = true;
    log_event(LOG_WARNING,
              "event=hq_epoch epoch=%llu closed_seq=%llu remedy=\"HQ was restored, and its"
              " recovery key opened a new epoch: if you did not hear of it, ask HQ\"",
              (unsigned long long)closure.epoch, (unsigned long long)closure.closed_seq);
    flood(node);
}
