/* SPDX-License-Identifier: MPL-2.0 */
/* sim_operators.c - what operators ask for: to erase somebody, other tiers, other keys, and
 * HQ's to suspend, resume, revoke a chapter and to let it in with new keys. */
#include <string.h>

#include "daemon/keys.h"
#include "proto/closure.h"
#include "tests/sim/sim.h"

#define SIM_TIERS 3 /* that a field may be in */
#define LOOK_EVERY_MS 2000
#define WAIT_MS 5000       /* what goes on by itself is given that time */
#define WAIT_KEYS_MS 20000 /* the same for a key that is just being changed */

const char *const sim_fields[SIM_FIELDS] = { "country", "email", "joined" };
static const enum tier usual_tiers[SIM_FIELDS] = { TIER_FEDERATION, TIER_HQ, TIER_FEDERATION };

/* --- requests ----------------------------------------------------------------------------- */

void sim_begin_request(struct mp_writer *writer, const char *command, size_t arguments)
{
    static uint8_t bytes[1024];

    mp_writer_init(writer, bytes, sizeof bytes);
    mp_write_array(writer, 4);
    mp_write_uint(writer, CONTROL_VERSION);
    mp_write_uint(writer, 1);
    mp_write_text(writer, command);
    mp_write_map(writer, arguments);
}

bool sim_read_reply(const struct sim_request *request, struct slice *out_result)
{
    struct mp_reader reader;

    mp_reader_init(&reader, slice_of(request->reply, request->reply_size));
    mp_read_array_exact(&reader, 4);
    mp_read_uint(&reader, UINT64_MAX);
    mp_read_uint(&reader, UINT64_MAX);
    if (mp_read_uint(&reader, UINT64_MAX) != 0)
        return false;
    *out_result = mp_read_raw(&reader, sizeof request->reply);
    return reader.status == OK;
}

static struct sim_request *ask(int index, enum sim_asked asked, const struct mp_writer *writer)
{
    struct sim_request *request = sim_open_request(index);

    if (request == NULL)
        return NULL;
    request->asked = asked;
    sim_deliver_control(index, request->link, mp_writer_bytes(writer));
    return request;
}

/* --- erasing ------------------------------------------------------------------------------ */

static struct sim_op *somebody(int origin, uint64_t *dice)
{
    const size_t start = world.op_count == 0 ? 0 : sim_dice(dice) % world.op_count;

    for (size_t i = 0; i < world.op_count; i++) {
        struct sim_op *op = &world.ops[(start + i) % world.op_count];

        if (op->origin == origin && op->erasure == NOT_ERASED &&
            op->value_count < SIM_VALUES_MAX - 1 && op->values[op->value_count - 1] != 0 &&
            !sim_is_busy((size_t)(op - world.ops)))
            return op;
    }
    return NULL;
}

static void erase(int index, uint32_t draw)
{
    uint64_t dice = sim_mix(world.plan.seed, draw);
    struct sim_op *op;
    struct sim_request *request;
    struct mp_writer writer;
    char id[UUID_TEXT_SIZE];

    if (world.nodes[index].node == NULL || (op = somebody(index, &dice)) == NULL)
        return;
    uuid_format(op->id, id);
    sim_begin_request(&writer, "members.erase", 1);
    mp_write_key_text(&writer, "id", id);
    if ((request = ask(index, ASKED_ERASE, &writer)) == NULL)
        return;
    request->op = (size_t)(op - world.ops);
    op->erasure = ERASURE_ASKED;
    op->values[op->value_count++] = 0;
    sim_trace("erase %s %s", world.nodes[index].code, id);
}

static void take_erasure(const struct sim_request *request)
{
    struct sim_op *op = &world.ops[request->op];
    const size_t at = sim_place_of(op, 0);
    struct slice result;

    if (sim_read_reply(request, &result) && mp_map_get_uint(result, "seq", &op->erased_at)) {
        op->erasure = ERASED;
        op->values[0] = 0;
        op->value_count = 1;
        world.hits[FAULT_ERASE]++;
        sim_trace("erased %s at %llu", world.nodes[op->origin].code,
                  (unsigned long long)op->erased_at);
        return;
    }
    op->erasure = NOT_ERASED;
    if (at < op->value_count && op->value_count > 1) {
        memmove(op->values + at, op->values + at + 1,
                (op->value_count - at - 1) * sizeof *op->values);
        op->value_count--;
    }
}

/* --- tiers -------------------------------------------------------------------------------- */

static bool asks_already(int index, enum sim_asked asked)
{
    for (size_t i = 0; i < SIM_REQUESTS_MAX; i++)
        if (world.requests[i].open && world.requests[i].node == index &&
            world.requests[i].asked == asked)
            return true;
    return false;
}

/* 3 stands for the field's usual tier. */
static void choose_tier(int index, uint32_t draw)
{
    const int field = (int)(draw / 4 % SIM_FIELDS);
    const int tier = (int)(draw % 4);
    struct sim_choice *choice = &world.choices[index][field];
    struct sim_request *request;
    struct mp_writer writer;

    if (world.nodes[index].node == NULL || asks_already(index, ASKED_TIERS))
        return;
    sim_begin_request(&writer, "tiers.set", 1);
    mp_write_text(&writer, "fields");
    mp_write_map(&writer, 1);
    mp_write_text(&writer, sim_fields[field]);
    if (tier < SIM_TIERS)
        mp_write_text(&writer, tier_name((enum tier)tier));
    else
        mp_write_nil(&writer);
    if ((request = ask(index, ASKED_TIERS, &writer)) == NULL)
        return;
    request->field = field;
    request->field_tier = tier < SIM_TIERS ? tier : (int)usual_tiers[field];
    choice->made = true;
    choice->unsure = true; /* until it is answered */
}

static void take_tiers(const struct sim_request *request)
{
    struct sim_choice *choice = &world.choices[request->node][request->field];
    struct slice result;

    if (!sim_read_reply(request, &result))
        return;
    choice->unsure = false;
    choice->tier = request->field_tier;
    world.hits[FAULT_TIERS]++;
    sim_trace("tier of %s at %s: %d", sim_fields[request->field],
              world.nodes[request->node].code, choice->tier);
}

/* --- keys --------------------------------------------------------------------------------- */

static void rotate(int index, uint32_t draw)
{
    struct sim_node *sim = &world.nodes[index];
    const bool recovery = index == 0 && draw % 2 == 1;
    struct mp_writer writer;
    char text[128];

    if (sim->node == NULL || sim->node->keys->has_next || asks_already(index, ASKED_OTHER))
        return;
    sim_begin_request(&writer, "keys.rotate", recovery);
    if (recovery) {
        identity_format_recovery(&world.recovery, text);
        mp_write_key_text(&writer, "recovery", text);
    }
    if (ask(index, ASKED_OTHER, &writer) == NULL)
        return;
    world.former_key[index] = sim->node->identity.sign;
    world.has_former_key[index] = true;
    /* Without its newest key a copy of HQ is worth nothing: one makes another copy then. */
    if (index == 0)
        world.has_backup[0] = false;
    world.hits[FAULT_ROTATE]++;
    sim_trace("rotate %s", sim->code);
}

/* Is the former key worth nothing any more at b, for what would follow on the head there? */
static bool key_is_void(int a, int b, const struct feed_mark *mark)
{
    const struct node *node = world.nodes[b].node;
    const struct keys *keys = node->keys;
    const struct roster_node *place = roster_find(node, world.nodes[a].code);
    const uint8_t *stolen = world.former_key[a].public_key;

    if (a == 0)
        return keys->count > 0 &&
               memcmp(keys->read[keys->count - 1].sign_key, stolen, KEY_SIZE) != 0 &&
               feed_compare(mark->epoch, mark->seq, keys->read[keys->count - 1].until_epoch,
                            keys->read[keys->count - 1].until_seq) >= 0;
    if (place == NULL || memcmp(place->entry.sign_key, stolen, KEY_SIZE) == 0)
        return false;
    return memcmp(place->entry.former_key, stolen, KEY_SIZE) != 0 ||
           (place->entry.former_seq != 0 &&
            feed_compare(mark->epoch, mark->seq, place->entry.former_epoch,
                         place->entry.former_seq) >= 0);
}

/* {"kind": "affiliate", "status": "active"}, for the head that b holds. */
static bool write_theft(struct mp_writer *writer, int a, const struct node_feed *held,
                        struct store_txn *txn, struct feed_mark *out_mark)
{
    static const uint8_t value[] = "\x82\xa4kind\xa9"
                                   "affiliate\xa6status\xa6"
                                   "active";
    static uint8_t bytes[4096];
    struct change change = { .type = RECORD_MEMBER, .tiers = TIERS_FEDERATION };
    struct signed_head envelope;
    struct digest_sum sum;
    struct head head;

    if (head_read(signed_head_bytes(&held->record.tier[0].head), &head) != OK ||
        store_get_sum(txn, held->record.tier[0].number, TIER_FEDERATION, &sum) != OK)
        return false;
    head.prev_seq = head.seq++;
    memcpy(head.prev_hash, held->replica.feed.tier[0].hash, HASH_SIZE);
    memset(change.id, 0xe7, ID_SIZE);
    change.id[0] = (uint8_t)head.seq;
    change.seq = head.seq;
    change.value[0] = slice_of(value, sizeof value - 1);
    digest_add(&sum, head.origin, TIER_FEDERATION, &change);
    digest_of(&sum, TIER_FEDERATION, head.digest[TIER_FEDERATION]);
    head.count[TIER_FEDERATION] = sum.count;
    head_sign(&head, &world.former_key[a], &envelope);
    mp_writer_init(writer, bytes, sizeof bytes);
    wire_write_event_begin(writer, TIERS_FEDERATION, head.prev_seq,
                           signed_head_bytes(&envelope), 1);
    change_write(writer, &change, TIERS_FEDERATION);
    if (head_read(signed_head_bytes(&envelope), &head) != OK)
        return false;
    feed_mark_of(&head, out_mark);
    return writer->status == OK;
}

static void steal(int a, int b, bool early)
{
    CLEANUP(store_abort) struct store_txn txn = { 0 };
    const struct node *node = world.nodes[b].node;
    const struct node_feed *held;
    struct feed_mark mark;
    struct mp_writer writer;
    uint32_t feed;
    bool is_void;

    if (!world.has_former_key[a] || a == b || node == NULL || world.tainted[a] ||
        (feed = node_feed_index(node, world.nodes[a].code)) == NO_PEER)
        return;
    held = node->feeds[feed];
    is_void = key_is_void(a, b, &held->replica.feed.tier[0]);
    if (held->replica.feed.tier[0].seq == 0 || held->replica.feed.freeze != FREEZE_NONE ||
        !(is_void || (early && a != 0 && !sim_lies(b))) ||
        store_begin_read(node->store, &txn) != OK ||
        !write_theft(&writer, a, held, &txn, &mark))
        return;
    for (int i = 0; i < world.connection_count; i++) {
        const struct sim_connection *connection = &world.connections[i];
        const bool dialled = connection->dialler == b;
        const int from = dialled ? connection->listener : connection->dialler;

        if (!connection->used || !connection->up || (!dialled && connection->listener != b) ||
            world.nodes[from].transport == NULL || world.cut[from][b])
            continue;
        sim_send_raw(i, dialled ? 1 : 0, from, mp_writer_bytes(&writer));
        if (!is_void) {
            world.tainted[a] = true;
            sim_note_signed(a, &mark);
        }
        world.hits[FAULT_OLD_KEY]++;
        return;
    }
}

/* --- a lost disk, and keys that nobody has any more --------------------------------------- */

static struct identity fresh[SIM_NODES_MAX];

static bool may_lose(int index)
{
    const struct sim_node *sim = &world.nodes[index];
    const struct sim_node *second = &world.nodes[world.plan.nodes];

    return index != 0 && !sim_lies(index) && sim->turns != 0 &&
           (strcmp(second->code, sim->code) != 0 || (world.healing && second->node == NULL));
}

static void lose_disk(int index)
{
    struct sim_node *sim = &world.nodes[index];

    /* Where HQ's word comes late or garbled, the epoch may begin without it. */
    const bool doubtful = (world.plan.faults & FAULTS_OF_PACKETS) != 0;

    sim_stop(index);
    sim_doubt_promises(index, doubtful ? 0 : sim_held_by_others(index));
    sim_remove_tree(sim->dir);
    memset(sim->seen, 0, sizeof sim->seen);
    memset(sim->held_of_me, 0, sizeof sim->held_of_me);
    for (int i = 0; i < world.plan.nodes; i++)
        world.nodes[i].held_of_me[index] = 0;
    memset(world.choices[index], 0, sizeof world.choices[index]);
    sim->restart_at_ms = 0;
    sim->crash_in = 0;
    world.disk_is_gone[index] = true;
    world.tainted[index] |= world.restored[0]; /* HQ may not know any more which epoch it was */
    world.restored[index] = true;
    world.rekeyed[index] = true;
    world.has_backup[index] = false;
    world.has_former_key[index] = false;
    world.active = index;
    sim_must(identity_create(sim->dir, &fresh[index]), "identity");
    sim_make_directory(index);
    sim_trace("disk of %s lost", sim->code);
}

static void let_in_again(int index)
{
    if (world.hq_moved || world.nodes[0].node == NULL || world.nodes[0].node->recovering ||
        !sim_take_in(index, &fresh[index], "chapters.rekey", 3))
        return;
    world.disk_is_gone[index] = false;
    world.hits[FAULT_REKEY]++;
    if (world.nodes[index].node == NULL)
        sim_start(index);
}

/* --- places ------------------------------------------------------------------------------- */

static void ask_hq(const char *command, int index)
{
    const int hq = world.hq_moved ? world.plan.nodes : 0; /* the one that all meet */
    struct mp_writer writer;

    if (world.nodes[hq].node == NULL)
        return;
    sim_begin_request(&writer, command, 1);
    mp_write_key_text(&writer, "chapter", world.nodes[index].code);
    (void)ask(hq, ASKED_OTHER, &writer);
    sim_trace("%s %s", command, world.nodes[index].code);
}

void sim_operate(const struct sim_action *action)
{
    switch (action->kind) {
    case ACTION_ERASE:
        erase(action->a, action->value);
        break;
    case ACTION_TIERS:
        choose_tier(action->a, action->value);
        break;
    case ACTION_ROTATE:
        rotate(action->a, action->value);
        break;
    case ACTION_STEAL:
        steal(action->a, action->b, action->value % 2 == 1);
        break;
    case ACTION_REKEY:
        if (!may_lose(action->a) || world.disk_is_gone[action->a])
            break;
        lose_disk(action->a);
        let_in_again(action->a);
        break;
    case ACTION_SUSPEND:
        world.hits[FAULT_SUSPEND]++;
        ask_hq("chapters.suspend", action->a);
        break;
    case ACTION_RESUME:
        ask_hq("chapters.resume", action->a);
        break;
    case ACTION_REVOKE:
        world.hits[FAULT_REVOKE]++;
        ask_hq("chapters.revoke", action->a);
        break;
    default:
        break;
    }
}

void sim_take_operators_reply(struct sim_request *request)
{
    request->open = false;
    if (request->asked == ASKED_ERASE)
        take_erasure(request);
    else if (request->asked == ASKED_TIERS)
        take_tiers(request);
}

/* --- what operators see to by themselves -------------------------------------------------- */

/* As chapterd recover does. */
static void close_hqs_epoch(int index)
{
    const struct sim_node *hq = &world.nodes[index];
    const struct node *node = hq->node;
    struct closure closure = { .epoch = 1, .instance = node->own_epoch.wanted };
    struct signed_closure envelope;
    struct store_txn txn = { 0 };
    struct store *store = NULL;
    struct store_feed feed;
    struct head head;
    uint64_t proven = 0;

    memcpy(closure.federation, node->federation, HASH_SIZE);
    if (node->closure.epoch > closure.epoch)
        closure.epoch = node->closure.epoch;
    sim_stop(index);
    world.active = SIM_NODES_MAX;
    sim_must(store_open(hq->dir, SIM_STORE_SIZE, &store), "store_open");
    if (store == NULL)
        return;
    sim_must(store_begin_write(store, &txn), "begin");
    if (store_get_feed(&txn, "hq", &feed) == OK &&
        head_read(signed_head_bytes(&feed.tier[0].head), &head) == OK) {
        if (head.epoch > closure.epoch)
            closure.epoch = head.epoch;
        closure.closed_seq = head.seq;
        memcpy(closure.closed_hash, head.hash, HASH_SIZE);
    }
    if (store_get_meta_uint(&txn, META_PROVEN_EPOCH, &proven) == OK && proven > closure.epoch)
        closure.epoch = proven;
    closure.epoch++;
    closure_sign(&closure, &world.recovery, &envelope);
    sim_must(store_put_meta(&txn, META_CLOSURE, slice_of(envelope.bytes, envelope.size)),
             "closure");
    sim_must(store_commit_turn(&txn), "commit");
    store_close(&store);
    sim_trace("HQ's epoch %llu closed at %llu", (unsigned long long)closure.epoch - 1,
              (unsigned long long)closure.closed_seq);
    sim_start(index);
}

static bool lasts(int index, bool wrong, int64_t long_ms)
{
    int64_t *since_ms = &world.wrong_since_ms[index];

    if (!wrong)
        *since_ms = 0;
    else if (*since_ms == 0)
        *since_ms = world.now_ms;
    return wrong && world.now_ms - *since_ms >= long_ms;
}

/* The roster knows this directory by other keys than it has, and no change of them is on its
 * way. */
static bool has_void_keys(const struct sim_node *sim, const struct roster_entry *entry)
{
    const struct node *node = sim->node;

    return node != NULL && entry->state == CHAPTER_ENROLLED &&
           ((memcmp(node->identity.sign.public_key, entry->sign_key, KEY_SIZE) != 0 &&
             (!node->keys->has_next ||
              memcmp(node->keys->next.public_key, entry->sign_key, KEY_SIZE) != 0)) ||
            memcmp(node->identity.curve_public, entry->curve_key, KEY_SIZE) != 0);
}

static void look_after_chapter(int index)
{
    const struct node *hq = world.nodes[0].node;
    const struct roster_node *place = roster_find(hq, world.nodes[index].code);

    if (place == NULL)
        return;
    if (world.healing && place->entry.state == CHAPTER_SUSPENDED)
        ask_hq("chapters.resume", index);
    if (world.disk_is_gone[index])
        let_in_again(index);
    else if (may_lose(index) &&
             lasts(index, has_void_keys(&world.nodes[index], &place->entry), WAIT_KEYS_MS)) {
        lose_disk(index);
        let_in_again(index);
    }
}

void sim_operators_help(void)
{
    const int index = world.hq_moved ? world.plan.nodes : 0;
    const struct node *hq = world.nodes[index].node;

    if (world.now_ms < world.operators_at_ms || sim_failed())
        return;
    world.operators_at_ms = world.now_ms + LOOK_EVERY_MS;
    if (lasts(0, hq != NULL && hq->phase == EPOCH_ASKING, WAIT_MS)) {
        close_hqs_epoch(index);
        world.wrong_since_ms[0] = 0;
    }
    for (int i = 1; i < world.plan.nodes && !sim_failed(); i++)
        if (world.nodes[0].node != NULL && !world.nodes[0].node->recovering)
            look_after_chapter(i);
}
