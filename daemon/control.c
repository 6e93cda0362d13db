/* SPDX-License-Identifier: MPL-2.0 */
/* control.c - requests of local programs: taken, answered with the turn's commit, or parked
 * until they can be.  One list holds them in order of arrival. */
#include "daemon/control_internal.h"

#include <stdlib.h>
#include <string.h>

/* --- the list ----------------------------------------------------------------------------- */

static void request_free(struct control_wait *request)
{
    free(request->bytes);
    free(request->verified);
    free(request);
}

/* Forgets those whose answer has left. */
static void settle(struct node *node)
{
    struct control_wait **at = &node->waits;

    while (*at != NULL) {
        struct control_wait *request = *at;

        if (!request->left) {
            at = &request->next;
            continue;
        }
        *at = request->next;
        request_free(request);
    }
}

static struct control_wait *request_new(struct node *node,
                                        const struct transport_message *message)
{
    struct control_wait *request = calloc(1, sizeof *request);
    struct control_wait **end = &node->waits;

    if (request == NULL)
        return NULL;
    if ((request->bytes = malloc(message->data.size + 1)) == NULL) {
        free(request);
        return NULL;
    }
    memcpy(request->bytes, message->data.data, message->data.size);
    request->size = message->data.size;
    request->node = node;
    request->link = message->link;
    request->uid = message->uid;
    request->arrived_ms = node_now(node);
    while (*end != NULL)
        end = &(*end)->next;
    *end = request;
    return request;
}

/* --- answers ------------------------------------------------------------------------------ */

static void write_preamble(struct mp_writer *writer, const struct control_wait *request,
                           enum status code)
{
    mp_writer_reset(writer);
    mp_write_array(writer, 4);
    mp_write_uint(writer, CONTROL_VERSION);
    mp_write_uint(writer, request->id);
    mp_write_uint(writer, (uint64_t)code);
}

static void send_error(struct node *node, const struct control_wait *request,
                       enum status status)
{
    uint8_t buffer[2 * CONTROL_TEXT_SIZE + 64];
    struct mp_writer writer;

    mp_writer_init(&writer, buffer, sizeof buffer);
    write_preamble(&writer, request, status);
    mp_write_map(&writer, 2);
    mp_write_key_text(&writer, "error",
                      request->error[0] != '\0' ? request->error : status_text(status));
    mp_write_key_text(&writer, "remedy", request->remedy);
    node_send(node, request->link, mp_writer_bytes(&writer));
}

static bool only_reads(const struct control_wait *request)
{
    return request->command != NULL && request->command->kind == COMMAND_READS;
}

/* If the turn has failed by now, control_fail_all answers instead. */
static void answer(struct node *node, struct control_wait *request, enum status status,
                   const struct mp_writer *writer)
{
    if (request->stage == REQUEST_PARKED)
        node->wait_count--;
    request->stage = REQUEST_ANSWERED;
    if (!only_reads(request)) { /* which is perhaps asked again */
        free(request->bytes);
        request->bytes = NULL;
        request->size = 0;
    }
    if (node->turn_failed)
        return;
    if (status == OK)
        node_send(node, request->link, mp_writer_bytes(writer));
    else
        send_error(node, request, status);
}

static bool room_to_park(const struct node *node, const struct control_wait *request)
{
    size_t bytes = request->size;

    for (const struct control_wait *other = node->waits; other != NULL; other = other->next)
        if (other->stage == REQUEST_PARKED)
            bytes += other->size;
    return node->wait_count < CONTROL_PARKED_MAX && bytes <= CONTROL_PARKED_BYTES_MAX;
}

static void run(struct node *node, struct control_wait *request)
{
    CLEANUP(mp_writer_done) struct mp_writer writer = { 0 };
    enum status status;

    mp_writer_init_heap(&writer, CONTROL_SIZE_MAX);
    write_preamble(&writer, request, OK);
    status = request->command->handle(request, &writer);
    if (status == AGAIN && !node->turn_failed) {
        if (request->stage == REQUEST_PARKED)
            return;
        if (room_to_park(node, request)) {
            request->stage = REQUEST_PARKED;
            node->wait_count++;
            return;
        }
        status = control_error(request, AGAIN, "try again in three seconds",
                               "too many requests are waiting");
    }
    /* A change whose answer cannot be given is not made: its turn is dropped. */
    if (status == OK &&
        (writer.status == NO_MEMORY || (writer.status != OK && request->ops != 0)))
        (void)node_turn_fails(node, writer.status);
    if (status == OK && writer.status != OK)
        status = control_error(request, writer.status, "ask for less at a time",
                               "the answer cannot be given: %s", status_text(writer.status));
    answer(node, request, status, &writer);
}

void control_on_message(struct node *node, const struct transport_message *message)
{
    struct control_wait *request;
    enum status status;

    settle(node);
    if ((request = request_new(node, message)) == NULL)
        return; /* its client waits in vain, and asks again */
    if ((status = control_parse(request)) != OK)
        answer(node, request, status, NULL);
    else
        run(node, request);
}

/* --- time --------------------------------------------------------------------------------- */

void control_timers(struct node *node)
{
    settle(node);
    for (struct control_wait *request = node->waits; request != NULL && !node->turn_failed;
         request = request->next)
        if (request->stage == REQUEST_PARKED)
            run(node, request);
}

/* Asked when a turn begins: what the last one answered has left, unless that is still to go out
 * because the turn was dropped. */
int64_t control_next_ms(const struct node *node)
{
    int64_t due = node->out_count != 0 ? node_now(node) : INT64_MAX;

    for (struct control_wait *request = node->waits; request != NULL; request = request->next) {
        if (request->stage == REQUEST_ANSWERED)
            request->left = node->out_count == 0;
        else if (request->stage == REQUEST_PARKED && request->due_ms < due)
            due = request->due_ms;
    }
    return due;
}

/* --- the end ------------------------------------------------------------------------------ */

void control_drop_all(struct node *node)
{
    while (node->waits != NULL) {
        struct control_wait *request = node->waits;

        node->waits = request->next;
        request_free(request);
    }
    node->wait_count = 0;
}

static void say_why(struct control_wait *request, enum status status)
{
    if (status == NO_SPACE)
        (void)control_error(request, status,
                            "free space on the daemon's disk, or raise store_size and restart"
                            " it",
                            "the store is full: nothing of this was done");
    else if (status == REFUSED)
        (void)control_error(request, status, "see: chapterctl status",
                            "other nodes have just shown that this chapter must recover:"
                            " nothing of this was done");
    else
        (void)control_error(request, status, "see the daemon's log, then try again",
                            "the store failed (%s): nothing of this was done",
                            status_text(status));
}

void control_fail_all(struct node *node, enum status status)
{
    for (struct control_wait *request = node->waits; request != NULL; request = request->next) {
        if (request->stage != REQUEST_ANSWERED || request->left)
            continue;
        if (only_reads(request)) {
            request->stage = REQUEST_PARKED;
            request->due_ms = node_now(node);
            node->wait_count++;
            continue;
        }
        say_why(request, status);
        send_error(node, request, status);
        request->ops = 0;
    }
}
