/* SPDX-License-Identifier: MPL-2.0 */
/* sim_load.c - the writers: what they ask for, what they were promised, and whether it is kept.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define CLIENT_LINK (1ull << 60)
#define PATIENCE_MS 30000 /* of a client for an answer */

/* --- requests ----------------------------------------------------------------------------- */

struct sim_request *sim_open_request(int node)
{
    for (size_t i = 0; i < SIM_REQUESTS_MAX; i++)
        if (!world.requests[i].open) {
            memset(&world.requests[i], 0, sizeof world.requests[i]);
            world.requests[i].open = true;
            world.requests[i].node = node;
            world.requests[i].at_ms = world.now_ms;
            world.requests[i].link = CLIENT_LINK + ++world.next_link;
            return &world.requests[i];
        }
    return NULL;
}

bool sim_answered(struct sim_request *request, int64_t within_ms)
{
    const int64_t until = world.now_ms + within_ms;

    while (!request->answered && !sim_failed() && world.now_ms < until)
        if (!sim_step(until))
            break;
    return request->answered;
}

/* --- writing ------------------------------------------------------------------------------ */

/* Two requests under way have no order: one at a time for each member. */
bool sim_is_busy(size_t op)
{
    for (size_t i = 0; i < SIM_REQUESTS_MAX; i++)
        if (world.requests[i].open && world.requests[i].op == op &&
            (world.requests[i].asked == ASKED_WRITE || world.requests[i].asked == ASKED_ERASE))
            return true;
    return false;
}

static struct sim_op *op_of(int origin, uint64_t *dice)
{
    struct sim_op *op;
    const size_t start = world.op_count == 0 ? 0 : sim_dice(dice) % world.op_count;

    if (world.op_count > 0 && sim_dice(dice) % 100 < 60)
        for (size_t i = 0; i < world.op_count; i++) {
            op = &world.ops[(start + i) % world.op_count];
            if (op->origin == origin && op->value_count < SIM_VALUES_MAX - 1 &&
                op->erasure != ERASURE_ASKED && !sim_is_busy((size_t)(op - world.ops)))
                return op;
        }
    if (world.op_count == SIM_OPS_MAX)
        return NULL;
    op = &world.ops[world.op_count++];
    memset(op, 0, sizeof *op);
    op->origin = origin;
    for (size_t i = 0; i < ID_SIZE; i++)
        op->id[i] = (uint8_t)sim_dice(dice);
    op->id[6] = (uint8_t)(0x40 | (op->id[6] & 0x0f));
    op->id[8] = (uint8_t)(0x80 | (op->id[8] & 0x3f));
    op->values[0] = 0;
    op->value_count = 1;
    return op;
}

static void write_fields(struct mp_writer *writer, uint32_t value)
{
    static const char *const countries[] = { "FR", "LU", "CA", "SN", "JP" };
    static const char *const kinds[] = { "individual", "individual", "individual",
                                         "organization", "affiliate" };
    static const char *const months[] = { "2019-03-01", "2024-02-29", "2026-01-31" };
    char text[64];

    mp_write_map(writer, 7);
    mp_write_key_text(writer, "country", countries[value % 5]);
    (void)snprintf(text, sizeof text, "P%u@example.org", value % 37);
    mp_write_key_text(writer, "email", text);
    mp_write_key_text(writer, "joined", months[value % 3]);
    mp_write_key_text(writer, "kind", kinds[value % 11 % 5]);
    (void)snprintf(text, sizeof text, "name %u", value);
    mp_write_key_text(writer, "name", text);
    (void)snprintf(text, sizeof text, "note %u", value);
    mp_write_key_text(writer, "notes", text);
    mp_write_key_text(writer, "status", value % 7 == 0 ? "lapsed" : "active");
}

void sim_write(int index, uint32_t draw)
{
    static uint8_t bytes[8192];
    uint64_t dice = sim_mix(world.plan.seed, draw);
    struct sim_op *op;
    struct sim_request *request;
    struct mp_writer writer;
    char id[UUID_TEXT_SIZE];
    bool remove;

    if (world.nodes[index].node == NULL ||
        (op = op_of(sim_node_of(world.nodes[index].code), &dice)) == NULL ||
        (request = sim_open_request(index)) == NULL)
        return;
    remove = op->values[op->value_count - 1] != 0 && sim_dice(&dice) % 100 < 20;
    op->unsure |= world.nodes[index].clone;
    request->asked = ASKED_WRITE;
    request->op = (size_t)(op - world.ops);
    request->value = remove ? 0 : ++world.value_count;
    op->values[op->value_count++] = request->value; /* a candidate from now on */
    if (op->told_count < sizeof op->told / sizeof op->told[0])
        op->told[op->told_count++] = request->value;
    uuid_format(op->id, id);
    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_array(&writer, 4);
    mp_write_uint(&writer, CONTROL_VERSION);
    mp_write_uint(&writer, 7);
    mp_write_text(&writer, "members.apply");
    mp_write_map(&writer, 2);
    mp_write_key_bool(&writer, "confirm", true); /* removals, however many */
    mp_write_text(&writer, "ops");
    mp_write_array(&writer, 1);
    mp_write_map(&writer, remove ? 2 : 3);
    if (!remove) {
        mp_write_text(&writer, "fields");
        write_fields(&writer, request->value);
    }
    mp_write_key_text(&writer, "id", id);
    mp_write_key_text(&writer, "op", remove ? "remove" : "put");
    sim_trace("write %s %s %u", world.nodes[index].code, id, request->value);
    sim_deliver_control(index, request->link, mp_writer_bytes(&writer));
}

/* --- replies ------------------------------------------------------------------------------ */

static bool reply_good(struct slice reply)
{
    struct mp_reader reader;
    struct slice result;
    struct slice ok;

    mp_reader_init(&reader, reply);
    mp_read_array_exact(&reader, 4);
    mp_read_uint(&reader, UINT64_MAX);
    mp_read_uint(&reader, UINT64_MAX);
    if (mp_read_uint(&reader, UINT64_MAX) != 0)
        return false;
    result = mp_map_get(mp_read_raw(&reader, 8192), "results");
    mp_reader_init(&reader, result);
    if (mp_read_array(&reader, 1) != 1)
        return false;
    ok = mp_map_get(mp_read_raw(&reader, 8192), "ok");
    return ok.size == 1 && ok.data[0] == 0xc3;
}

size_t sim_place_of(const struct sim_op *op, uint32_t value)
{
    size_t at = 0;

    if (value == 0) { /* removals look alike: the last one */
        for (at = op->value_count - 1; at > 0 && op->values[at] != 0; at--)
            ;
        return op->values[at] == 0 ? at : op->value_count;
    }
    while (at < op->value_count && op->values[at] != value)
        at++;
    return at;
}

/* An acknowledged value replaces what stood before it; a refused one never happened. */
static void take_reply(struct sim_request *request)
{
    struct sim_op *op = &world.ops[request->op];
    const size_t at = sim_place_of(op, request->value);

    request->open = false;
    if (at == op->value_count)
        return; /* a later one was acknowledged in the same instant */
    if (reply_good(slice_of(request->reply, request->reply_size))) {
        if (op->erasure == ERASED && request->value != 0 && !world.restored[op->origin])
            sim_fail("%s takes back somebody who was erased, and says nothing",
                     world.nodes[request->node].code);
        memmove(op->values, op->values + at, (op->value_count - at) * sizeof *op->values);
        op->value_count -= at;
        sim_trace("acknowledged %s %u", world.nodes[op->origin].code, request->value);
    } else if (op->value_count > 1) {
        sim_trace("refused %s %u", world.nodes[op->origin].code, request->value);
        memmove(op->values + at, op->values + at + 1,
                (op->value_count - at - 1) * sizeof *op->values);
        op->value_count--;
    }
}

void sim_take_replies(void)
{
    for (size_t i = 0; i < SIM_REQUESTS_MAX; i++) {
        struct sim_request *request = &world.requests[i];

        if (!request->open || request->asked == ASKED_BY_TEST)
            continue;
        if (request->answered && request->asked == ASKED_WRITE)
            take_reply(request);
        else if (request->answered)
            sim_take_operators_reply(request);
        else if (world.now_ms - request->at_ms > PATIENCE_MS)
            request->open = false; /* its value stays a candidate */
    }
}

/* --- promises ----------------------------------------------------------------------------- */

/* "WORD NUMBER" in a field; 0 if it is something else. */
static uint32_t number_in(struct slice map, const char *field, const char *word)
{
    struct slice found;
    char text[64];

    if (!mp_map_get_text(map, field, &found) || !slice_copy_text(found, text, sizeof text) ||
        strncmp(text, word, strlen(word)) != 0)
        return 0;
    return (uint32_t)strtoul(text + strlen(word), NULL, 10);
}

/* What the node's store holds of an id in its own feed: 0 for nothing. */
static uint32_t stored_value(const struct node *node, struct store_txn *txn,
                             const struct sim_op *op, uint32_t *out_note)
{
    struct store_feed feed;
    struct store_row row;
    struct slice private_map = SLICE_NONE;
    uint32_t value = 0;
    bool live = false;

    *out_note = 0;
    if (store_get_private(txn, op->id, &private_map) == OK)
        *out_note = number_in(private_map, "notes", "note ");
    if (store_get_feed(txn, node->code, &feed) != OK || feed.tier[0].number == 0 ||
        store_get_row(txn, feed.tier[0].number, op->id, &row) != OK)
        return 0;
    for (int tier = 0; tier < TIERS_PUBLISHED && value == 0; tier++)
        if ((row.tiers & (1u << tier)) && !value_is_removal(row.value[tier])) {
            value = number_in(row.value[tier], "name", "name ");
            live = true;
        }
    /* After a lost disk a field may go nowhere, until its chapter has set how far. */
    return value == 0 && live ? number_in(private_map, "name", "name ") : value;
}

static bool kept(const struct sim_op *op, uint32_t value, size_t from)
{
    for (size_t i = from; i < op->value_count; i++)
        if (op->values[i] == value)
            return true;
    return false;
}

/* An answer leaves: what it promises is in the store at this moment. */
void sim_check_reply(transport_link link, struct slice data)
{
    for (size_t i = 0; i < SIM_REQUESTS_MAX; i++) {
        const struct sim_request *request = &world.requests[i];
        const struct sim_op *op = &world.ops[request->op];
        struct node *node = world.nodes[request->node].node;
        CLEANUP(store_abort) struct store_txn txn = { 0 };
        uint32_t note;

        if (!request->open || request->link != link || request->asked != ASKED_WRITE ||
            node == NULL || !reply_good(data))
            continue;
        if (store_begin_read(node->store, &txn) != OK)
            return;
        if (!kept(op, stored_value(node, &txn, op, &note),
                  sim_place_of(op, request->value) % op->value_count))
            sim_fail("%s acknowledged value %u, which its store does not hold", node->code,
                     request->value);
    }
}

void sim_doubt_promises(int origin, uint64_t seq)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct store *store = NULL;
    struct store_feed feed;

    if (store_open(world.nodes[origin].dir, SIM_STORE_SIZE, &store) != OK)
        return;
    sim_must(store_begin_read(store, &txn), "begin");
    for (size_t i = 0; i < world.op_count; i++) {
        struct sim_op *op = &world.ops[i];
        struct store_row row;

        if (op->origin == origin)
            op->unsure |= store_get_feed(&txn, world.nodes[origin].code, &feed) != OK ||
                          store_get_row(&txn, feed.tier[0].number, op->id, &row) != OK ||
                          row.seq[0] > seq || row.seq[1] > seq;
    }
    store_abort(&txn);
    store_close(&store);
}

void sim_check_promises(int origin)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    struct node *node = world.nodes[origin].node;

    /* What a second daemon has taken over, and not passed on, goes when that one is stopped. */
    if (node == NULL || strcmp(world.nodes[world.plan.nodes].code, node->code) == 0 ||
        (world.restored[origin] && sim_is_shut_out(origin)) || /* it fetches nothing back */
        store_begin_read(node->store, &txn) != OK)
        return;
    for (size_t i = 0; i < world.op_count && !sim_failed(); i++) {
        const struct sim_op *op = &world.ops[i];
        char id[UUID_TEXT_SIZE];
        uint32_t note;
        uint32_t value;

        if (op->origin != origin)
            continue;
        value = stored_value(node, &txn, op, &note);
        uuid_format(op->id, id);
        if (!kept(op, value, 0) && !op->unsure && !world.tainted[origin])
            sim_fail("%s of %s has value %u, acknowledged was %u", id, node->code, value,
                     op->values[0]);
        else if (note != value && !world.restored[origin] && !world.tainted[origin])
            sim_fail("%s of %s has value %u, but note %u", id, node->code, value, note);
    }
}
