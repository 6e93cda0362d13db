/* SPDX-License-Identifier: MPL-2.0 */
/* sim_found.c - HQ is made, and every chapter invited and enrolled, by the messages that
 * chapterd join sends. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/sim/sim.h"

static enum status put_text(struct store_txn *txn, const char *name, const char *text)
{
    return store_put_meta(txn, name, slice_of_text(text));
}

static uint8_t genesis_bytes[GENESIS_SIZE_MAX];
static size_t genesis_size;
static uint8_t hq_curve[KEY_SIZE];

void sim_make_directory(int index)
{
    const struct sim_node *sim = &world.nodes[index];
    struct store_txn txn = { 0 };
    struct store *store = NULL;

    world.active = SIM_NODES_MAX;
    sim_must(store_create(sim->dir), "store_create");
    sim_must(store_open(sim->dir, SIM_STORE_SIZE, &store), "store_open");
    if (store == NULL)
        return;
    sim_must(store_begin_write(store, &txn), "begin");
    sim_must(store_put_meta(&txn, META_GENESIS, slice_of(genesis_bytes, genesis_size)),
             "genesis");
    sim_must(put_text(&txn, META_CODE, sim->code), "code");
    sim_must(put_text(&txn, META_LISTEN, sim->address), "listen");
    sim_must(put_text(&txn, META_ADVERTISE, sim->address), "advertise");
    sim_must(put_text(&txn, META_HQ_ADDRESS, world.nodes[0].address), "hq address");
    sim_must(store_put_meta(&txn, META_HQ_CURVE, slice_of(hq_curve, KEY_SIZE)), "hq curve");
    sim_must(store_commit_turn(&txn), "commit");
    store_close(&store);
}

/* --- enrolling ---------------------------------------------------------------------------- */

static bool get_token(int index, const char *command, struct token *out_token)
{
    struct sim_request *request = sim_open_request(0);
    struct slice result = SLICE_NONE;
    struct slice text_slice = SLICE_NONE;
    char text[TOKEN_SIZE_MAX];
    struct mp_writer writer;
    const char *reason = "";
    bool good;

    if (request == NULL)
        return false;
    sim_begin_request(&writer, command, 1);
    mp_write_key_text(&writer, "chapter", world.nodes[index].code);
    sim_deliver_control(0, request->link, mp_writer_bytes(&writer));
    good = sim_answered(request, 20000) && sim_read_reply(request, &result) &&
           mp_map_get_text(result, "token", &text_slice) &&
           slice_copy_text(text_slice, text, sizeof text) &&
           token_parse(slice_of_text(text), out_token, &reason) == OK;
    request->open = false;
    return good;
}

/* A roster that is older than the chapter's own entry is not HQ's newest. */
static void put_floor(int index, const struct wire_enrolled *answer)
{
    const struct sim_node *sim = &world.nodes[index];
    struct store_txn txn = { 0 };
    struct store *store = NULL;
    char first[300];

    world.active = SIM_NODES_MAX;
    sim_must(store_open(sim->dir, SIM_STORE_SIZE, &store), "store_open");
    if (store == NULL)
        return;
    sim_must(store_begin_write(store, &txn), "begin");
    sim_must(store_put_meta_uint(&txn, META_FLOOR_EPOCH, answer->roster_epoch), "floor");
    sim_must(store_put_meta_uint(&txn, META_FLOOR_SEQ, answer->roster_seq), "floor");
    sim_must(store_commit_turn(&txn), "commit");
    store_close(&store);
    (void)snprintf(first, sizeof first, "%s.first", sim->dir);
    if (world.plan.faults >> FAULT_LOST_DISK & 1)
        sim_copy_directory(sim->dir, first);
}

bool sim_take_in(int index, const struct identity *identity, const char *command, int tries)
{
    static uint8_t bytes[4096];
    static struct token token;
    struct mp_writer writer;
    struct wire_enrol message = { .version = PROTOCOL_VERSION };
    struct wire_enrolled answer;

    if (!get_token(index, command, &token))
        return false;
    memcpy(message.secret, token.secret, sizeof message.secret);
    memcpy(message.code, world.nodes[index].code, CODE_SIZE);
    memcpy(message.sign_key, identity->sign.public_key, KEY_SIZE);
    memcpy(message.curve_key, identity->curve_public, KEY_SIZE);
    memcpy(message.address, world.nodes[index].address, ADDRESS_SIZE);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_enrol(&writer, &message, &identity->sign);
    for (; tries > 0 && !sim_failed(); tries--) {
        struct sim_request *request = sim_open_request(0);
        bool good;

        if (request == NULL)
            return false;
        sim_deliver_enrol(0, request->link, identity->curve_public, mp_writer_bytes(&writer));
        good = sim_answered(request, 20000) &&
               wire_read_enrolled(slice_of(request->reply, request->reply_size), &answer) == OK;
        request->open = false;
        if (good && answer.result == ENROL_OK) {
            put_floor(index, &answer);
            return !sim_failed();
        }
        sim_run_until(world.now_ms + 1000); /* HQ cannot sign right after its start */
    }
    return false;
}

/* --- the federation ----------------------------------------------------------------------- */

static void lay_out(int index)
{
    static const char *const codes[] = { "hq", "fr", "lu", "qc", "be", "sn" };
    struct sim_node *sim = &world.nodes[index];
    char dir[sizeof sim->dir];

    if (index < (int)(sizeof codes / sizeof codes[0]))
        memcpy(sim->code, codes[index], strlen(codes[index]) + 1);
    else
        (void)snprintf(sim->code, sizeof sim->code, "c%02d", index);
    (void)snprintf(dir, sizeof dir, "%s/%s", world.root, sim->code);
    memcpy(sim->dir, dir, sizeof dir);
    if (index == 0 || (world.plan.listening >> (index % 64) & 1))
        (void)snprintf(sim->address, sizeof sim->address, "10.0.0.%d:7440", index + 1);
    sim->store_size = SIM_STORE_SIZE;
    sim->inbox_end = &sim->inbox;
}

static bool joins_late(int index)
{
    for (size_t i = 0; i < world.plan.action_count; i++)
        if (world.plan.actions[i].kind == ACTION_JOIN && world.plan.actions[i].a == index)
            return index != 0;
    return false;
}

void sim_found(void)
{
    static struct identity identities[SIM_NODES_MAX];
    struct genesis genesis = { .name = "Sim", .created = 1790000000 };
    struct mp_writer writer;

    for (int i = 0; i < world.plan.nodes; i++) {
        lay_out(i);
        world.active = i;
        sim_must(identity_create(world.nodes[i].dir, &identities[i]), "identity");
    }
    world.active = SIM_NODES_MAX;
    identity_make_sign_key(&world.recovery);
    memcpy(genesis.sign_key, identities[0].sign.public_key, KEY_SIZE);
    memcpy(genesis.recovery_key, world.recovery.public_key, KEY_SIZE);
    mp_writer_init(&writer, genesis_bytes, sizeof genesis_bytes);
    genesis_write(&writer, &genesis);
    genesis_size = mp_writer_bytes(&writer).size;
    memcpy(hq_curve, identities[0].curve_public, KEY_SIZE);
    for (int i = 0; i < world.plan.nodes; i++)
        sim_make_directory(i);
    sim_start(0);
    for (int i = 1; i < world.plan.nodes && !sim_failed(); i++) {
        if (!sim_take_in(i, &identities[i], "invite", 10))
            sim_fail("%s was not enrolled", world.nodes[i].code);
        if (joins_late(i))
            world.hits[FAULT_LATE_JOIN]++;
        else
            sim_start(i);
    }
}
