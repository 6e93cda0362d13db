/* SPDX-License-Identifier: MPL-2.0 */
/* sim_world.c - the world: its clock, its dice, its nodes, the writers' load and the faults. */
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/io/fault.h"
#include "tests/sim/sim.h"

#define LOAD_MS 40000  /* virtual time with faults and writes */
#define HEAL_MS 180000 /* by then all agree, without faults */
#define QUIET_MS 60000 /* then nothing but beats and vectors moves */
#define CLIENT_LINK (1ull << 60)
#define TURNS_AT_ONCE_MAX 2000

struct world world;
struct counters sim_counters;

/* --- dice, clock, trace ------------------------------------------------------------------- */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull); /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t sim_random(uint64_t below)
{
    return below == 0 ? 0 : next_random(&world.random) % below;
}

bool sim_chance(unsigned percent)
{
    return sim_random(100) < percent;
}

int64_t clock_monotonic_ms(void)
{
    return world.now_ms;
}

int64_t clock_wall_ms(void)
{
    return 1790000000000 + world.now_ms;
}

static const char *entropy_name(void)
{
    return "sim";
}

static uint32_t entropy_random(void)
{
    return (uint32_t)next_random(&world.entropy);
}

static void entropy_buf(void *const buffer, const size_t size)
{
    uint8_t *bytes = buffer;

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)next_random(&world.entropy);
}

static randombytes_implementation entropy = {
    .implementation_name = entropy_name,
    .random = entropy_random,
    .buf = entropy_buf,
};

void sim_trace(const char *format, ...)
{
    char line[512];
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    for (int i = 0; i < size && i < (int)sizeof line - 1; i++)
        world.trace_hash = (world.trace_hash ^ (uint8_t)line[i]) * 1099511628211ull;
    if (world.trace)
        printf("t=%lld.%03d %s\n", (long long)(world.now_ms / 1000), (int)(world.now_ms % 1000),
               line);
}

void sim_fail(const char *format, ...)
{
    va_list arguments;

    if (world.failure[0] != '\0')
        return;
    va_start(arguments, format);
    (void)vsnprintf(world.failure, sizeof world.failure, format, arguments);
    va_end(arguments);
    sim_trace("FAILED %s", world.failure);
}

bool sim_failed(void)
{
    return world.failure[0] != '\0';
}

int sim_node_of(const char *code)
{
    for (int i = 0; i < world.node_count; i++)
        if (strcmp(world.nodes[i].code, code) == 0)
            return i;
    return -1;
}

/* --- crash points ------------------------------------------------------------------------- */

bool fault_at(const char *point)
{
    const bool before = strcmp(point, "store.commit.before") == 0;

    if (world.crash_in == 0 || world.healing)
        return false;
    if (before && --world.crash_in == 0) {
        world.hits[4]++;
        if (!world.crash_after)
            return true;
        world.crash_in = -1; /* at the next point, after this very commit */
        return false;
    }
    if (!before && world.crash_in == -1) {
        world.crash_in = 0;
        return true;
    }
    return false;
}

/* --- nodes -------------------------------------------------------------------------------- */

void sim_start(int index)
{
    struct sim_node *sim = &world.nodes[index];
    struct node_config config = {
        .dir = sim->dir,
        .listen = sim->address,
        .control_path = "",
        .store_size = 64u << 20,
        .chunk_changes_max = world.chunk_changes,
        .delta_one_turn_max = world.one_turn,
        .rows_per_slice = world.slice_rows,
    };
    enum status status;

    world.active = index;
    world.crash_in = 0;
    status = node_open(&config, &sim->node);
    if (status != OK) {
        sim->node = NULL;
        sim_fail("%s does not start: %s", sim->code, status_name(status));
        return;
    }
    sim->wake_at_ms = world.now_ms;
    sim->restart_at_ms = 0;
    sim_trace("start %s", sim->code);
    sim_check_heads(index);
}

#define ADD_COUNTER(name, text) sim_counters.name += counters->name;
static void add_counters(const struct counters *counters)
{
    COUNTER_TABLE(ADD_COUNTER)
}
#undef ADD_COUNTER

void sim_stop(int index)
{
    struct sim_node *sim = &world.nodes[index];

    if (sim->node == NULL)
        return;
    sim_trace("down %s", sim->code);
    world.crash_in = 0;
    add_counters(&sim->node->counters);
    node_close(&sim->node);
    sim_network_node_down(index);
    for (size_t i = 0; i < sizeof world.requests / sizeof world.requests[0]; i++)
        if (world.requests[i].open && world.requests[i].node == index)
            world.requests[i].open = false; /* unanswered: its value stays a candidate */
}

static void remove_tree(const char *dir)
{
    char command[600];

    /* Only what this run made: a directory of ours under the temporary directory. */
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0)
        sim_fail("cannot remove %s", dir);
}

static enum status put_text(struct store_txn *txn, const char *name, const char *text)
{
    return store_put_meta(txn, name, slice_of_text(text));
}

static void must(enum status status, const char *what)
{
    if (status != OK)
        sim_fail("%s: %s", what, status_name(status));
}

static void make_directory(int index, const struct identity *identity, struct slice genesis,
                           const uint8_t hq_curve[KEY_SIZE])
{
    struct sim_node *sim = &world.nodes[index];
    struct store_txn txn = { 0 };
    struct store *store = NULL;

    (void)identity;
    must(store_create(sim->dir), "store_create");
    must(store_open(sim->dir, 64u << 20, &store), "store_open");
    if (store == NULL)
        return;
    must(store_begin_write(store, &txn), "begin");
    must(store_put_meta(&txn, META_GENESIS, genesis), "genesis");
    must(put_text(&txn, META_CODE, sim->code), "code");
    must(put_text(&txn, META_LISTEN, sim->address), "listen");
    must(put_text(&txn, META_ADVERTISE, sim->address), "advertise");
    must(put_text(&txn, META_HQ_ADDRESS, world.nodes[0].address), "hq address");
    must(store_put_meta(&txn, META_HQ_CURVE, slice_of(hq_curve, KEY_SIZE)), "hq curve");
    must(store_commit_turn(&txn), "commit");
    store_close(&store);
}

/* --- requests to nodes -------------------------------------------------------------------- */

static struct sim_request *open_request(int node)
{
    for (size_t i = 0; i < sizeof world.requests / sizeof world.requests[0]; i++)
        if (!world.requests[i].open) {
            memset(&world.requests[i], 0, sizeof world.requests[i]);
            world.requests[i].open = true;
            world.requests[i].node = node;
            world.requests[i].link = CLIENT_LINK + ++world.next_link;
            return &world.requests[i];
        }
    return NULL;
}

/* Takes the network and the nodes one instant further; false when nothing is left to happen. */
static bool step(int64_t until_ms);
static void run_until(int64_t until_ms);

static bool answered(struct sim_request *request, int64_t within_ms)
{
    const int64_t until = world.now_ms + within_ms;

    while (!request->answered && !sim_failed() && world.now_ms < until)
        if (!step(until))
            break;
    return request->answered;
}

/* Invites a chapter at HQ and enrols it with its keys: the messages that chapterd join sends.
 * */
static void enrol(int index, const struct identity *identity)
{
    static uint8_t bytes[4096];
    static struct token token;
    char text[TOKEN_SIZE_MAX];
    struct mp_writer writer;
    struct wire_enrol message = { .version = PROTOCOL_VERSION };
    struct wire_enrolled answer;
    struct sim_request *request = open_request(0);
    struct mp_reader reader;
    struct slice token_text = SLICE_NONE;
    const char *reason = "";

    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_array(&writer, 4);
    mp_write_uint(&writer, CONTROL_VERSION);
    mp_write_uint(&writer, 1);
    mp_write_text(&writer, "invite");
    mp_write_map(&writer, 1);
    mp_write_key_text(&writer, "chapter", world.nodes[index].code);
    sim_deliver_control(0, request->link, mp_writer_bytes(&writer));
    if (!answered(request, 20000)) {
        sim_fail("HQ does not invite");
        return;
    }
    mp_reader_init(&reader, slice_of(request->reply, request->reply_size));
    mp_read_array_exact(&reader, 4);
    mp_read_uint(&reader, UINT64_MAX);
    mp_read_uint(&reader, UINT64_MAX);
    if (mp_read_uint(&reader, UINT64_MAX) != 0 ||
        !mp_map_get_text(mp_read_raw(&reader, sizeof request->reply), "token", &token_text) ||
        !slice_copy_text(token_text, text, sizeof text) ||
        token_parse(slice_of_text(text), &token, &reason) != OK) {
        sim_fail("no token: %s", reason);
        return;
    }
    request->open = false;
    memcpy(message.secret, token.secret, sizeof message.secret);
    memcpy(message.code, world.nodes[index].code, CODE_SIZE);
    memcpy(message.sign_key, identity->sign.public_key, KEY_SIZE);
    memcpy(message.curve_key, identity->curve_public, KEY_SIZE);
    memcpy(message.address, world.nodes[index].address, ADDRESS_SIZE);
    mp_writer_init(&writer, bytes, sizeof bytes);
    wire_write_enrol(&writer, &message, &identity->sign);
    for (int tries = 0; tries < 10 && !sim_failed(); tries++) {
        bool good;

        request = open_request(0);
        sim_deliver_enrol(0, request->link, identity->curve_public, mp_writer_bytes(&writer));
        good = answered(request, 20000) &&
               wire_read_enrolled(slice_of(request->reply, request->reply_size), &answer) == OK;
        request->open = false;
        if (good && answer.result == ENROL_OK)
            return;
        run_until(world.now_ms + 1000); /* HQ cannot sign right after its start */
    }
    sim_fail("%s was not enrolled", world.nodes[index].code);
}

/* --- the writers' load -------------------------------------------------------------------- */

static struct sim_op *op_of(const char *origin)
{
    struct sim_op *op;
    const size_t start = world.op_count == 0 ? 0 : (size_t)sim_random(world.op_count);

    if (world.op_count > 0 && sim_chance(60))
        for (size_t i = 0; i < world.op_count; i++) {
            op = &world.ops[(start + i) % world.op_count];
            if (strcmp(op->origin, origin) == 0 && op->value_count < SIM_VALUES_MAX - 1)
                return op;
        }
    if (world.op_count == SIM_OPS_MAX)
        return NULL;
    op = &world.ops[world.op_count++];
    memset(op, 0, sizeof *op);
    memcpy(op->origin, origin, CODE_SIZE);
    for (size_t i = 0; i < ID_SIZE; i++)
        op->id[i] = (uint8_t)sim_random(256);
    op->id[6] = (uint8_t)(0x40 | (op->id[6] & 0x0f));
    op->id[8] = (uint8_t)(0x80 | (op->id[8] & 0x3f));
    op->values[0] = 0;
    op->value_count = 1;
    return op;
}

static void write_fields(struct mp_writer *writer, uint32_t value)
{
    static const char *const countries[] = { "FR", "LU", "CA", "SN", "JP" };
    char text[64];

    mp_write_map(writer, 4);
    mp_write_key_text(writer, "country", countries[value % 5]);
    (void)snprintf(text, sizeof text, "P%u@example.org", value % 37);
    mp_write_key_text(writer, "email", text);
    (void)snprintf(text, sizeof text, "name %u", value);
    mp_write_key_text(writer, "name", text);
    mp_write_key_text(writer, "status", value % 7 == 0 ? "lapsed" : "active");
}

static void request_write(int index)
{
    static uint8_t bytes[8192];
    struct sim_op *op = op_of(world.nodes[index].code);
    struct sim_request *request;
    struct mp_writer writer;
    char id[UUID_TEXT_SIZE];
    bool remove;

    if (op == NULL || (request = open_request(index)) == NULL)
        return;
    remove = op->values[op->value_count - 1] != 0 && sim_chance(20);
    request->write = true;
    request->op = (size_t)(op - world.ops);
    request->value = remove ? 0 : ++world.value_count;
    op->values[op->value_count++] = request->value; /* a candidate from now on */
    uuid_format(op->id, id);
    mp_writer_init(&writer, bytes, sizeof bytes);
    mp_write_array(&writer, 4);
    mp_write_uint(&writer, CONTROL_VERSION);
    mp_write_uint(&writer, 7);
    mp_write_text(&writer, "members.apply");
    mp_write_map(&writer, 1);
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

static bool reply_good(const struct sim_request *request)
{
    struct mp_reader reader;
    struct slice result;
    struct slice first;
    struct slice ok;

    mp_reader_init(&reader, slice_of(request->reply, request->reply_size));
    mp_read_array_exact(&reader, 4);
    mp_read_uint(&reader, UINT64_MAX);
    mp_read_uint(&reader, UINT64_MAX);
    if (mp_read_uint(&reader, UINT64_MAX) != 0)
        return false;
    result = mp_map_get(mp_read_raw(&reader, sizeof request->reply), "results");
    mp_reader_init(&reader, result);
    if (mp_read_array(&reader, 1) != 1)
        return false;
    first = mp_read_raw(&reader, sizeof request->reply);
    ok = mp_map_get(first, "ok");
    return ok.size == 1 && ok.data[0] == 0xc3;
}

/* An acknowledged value replaces what stood before it; a refused one never happened. */
static void take_replies(void)
{
    for (size_t i = 0; i < sizeof world.requests / sizeof world.requests[0]; i++) {
        struct sim_request *request = &world.requests[i];
        struct sim_op *op = &world.ops[request->op];
        size_t at = 0;

        if (!request->open || !request->answered || !request->write)
            continue;
        request->open = false;
        while (at < op->value_count && op->values[at] != request->value)
            at++;
        if (request->value == 0) /* removals look alike: the last one */
            for (at = op->value_count - 1; at > 0 && op->values[at] != 0; at--)
                ;
        if (at == op->value_count)
            continue; /* a later one was acknowledged in the same instant */
        if (reply_good(request)) {
            memmove(op->values, op->values + at, (op->value_count - at) * sizeof *op->values);
            op->value_count -= at;
            sim_trace("acknowledged %s %u", op->origin, request->value);
        } else if (op->value_count > 1) {
            memmove(op->values + at, op->values + at + 1,
                    (op->value_count - at - 1) * sizeof *op->values);
            op->value_count--;
        }
    }
}

/* --- time --------------------------------------------------------------------------------- */

static void take_turns(int index)
{
    struct sim_node *sim = &world.nodes[index];
    int turns = 0;

    while (sim->node != NULL && (sim->inbox != NULL || sim->wake_at_ms <= world.now_ms)) {
        enum status status;

        if (++turns > TURNS_AT_ONCE_MAX) {
            sim_fail("%s never rests", sim->code);
            return;
        }
        world.active = index;
        status = node_turn(sim->node, -1);
        sim->turns++;
        if (status != OK) {
            sim_stop(index);
            sim->restart_at_ms = world.now_ms + 50 + (int64_t)sim_random(5000);
            return;
        }
        sim_check_heads(index);
    }
    if (sim->node != NULL && turns > 0)
        sim_check_sums(index, sim->turns % 64 == 0);
}

static bool step(int64_t until_ms)
{
    int64_t next = until_ms;

    for (int i = 0; i < world.node_count; i++) {
        if (world.nodes[i].node != NULL && world.nodes[i].wake_at_ms < next)
            next = world.nodes[i].wake_at_ms;
        if (world.nodes[i].node == NULL && world.nodes[i].restart_at_ms != 0 &&
            world.nodes[i].restart_at_ms < next)
            next = world.nodes[i].restart_at_ms;
    }
    if (sim_network_next_ms() < next)
        next = sim_network_next_ms();
    if (next > world.now_ms)
        world.now_ms = next;
    sim_network_step();
    for (int i = 0; i < world.node_count && !sim_failed(); i++) {
        if (world.nodes[i].node == NULL && world.nodes[i].restart_at_ms != 0 &&
            world.nodes[i].restart_at_ms <= world.now_ms)
            sim_start(i);
        take_turns(i);
    }
    take_replies();
    return !sim_failed();
}

static void run_until(int64_t until_ms)
{
    while (world.now_ms < until_ms && step(until_ms))
        ;
}

/* --- faults ------------------------------------------------------------------------------- */

static void draw_partition(void)
{
    world.hits[3]++;
    memset(world.cut, 0, sizeof world.cut);
    if (sim_chance(40))
        return; /* heals */
    for (int a = 0; a < world.node_count; a++)
        for (int b = 0; b < world.node_count; b++)
            if (a != b && sim_chance(30))
                world.cut[a][b] = true;
}

static void draw_crash(void)
{
    const int index = (int)sim_random((uint64_t)world.node_count);
    struct sim_node *sim = &world.nodes[index];

    if (sim->node == NULL)
        return;
    if (sim_chance(30)) {
        world.hits[4]++;
        sim_stop(index);
        sim->restart_at_ms = world.now_ms + 50 + (int64_t)sim_random(8000);
    } else {
        world.crash_in = 1 + (int)sim_random(4);
        world.crash_after = sim_chance(50);
    }
}

static void load_instant(void)
{
    const int index = (int)sim_random((uint64_t)world.node_count);

    if (world.nodes[index].node != NULL)
        for (uint64_t burst = 1 + sim_random(4); burst > 0; burst--)
            request_write(index);
    if ((world.faults & FAULT_PARTITION) && sim_chance(4))
        draw_partition();
    if ((world.faults & FAULT_CRASH) && sim_chance(6))
        draw_crash();
}

/* --- a run -------------------------------------------------------------------------------- */

static void lay_out_nodes(int nodes)
{
    static const char *const codes[SIM_NODES_MAX] = { "hq", "fr", "lu", "qc", "be", "sn" };

    world.node_count = nodes;
    for (int i = 0; i < nodes; i++) {
        struct sim_node *sim = &world.nodes[i];

        memcpy(sim->code, codes[i], strlen(codes[i]) + 1);
        (void)snprintf(sim->dir, sizeof sim->dir, "%s/%s", world.root, codes[i]);
        if (i == 0 || sim_chance(60))
            (void)snprintf(sim->address, sizeof sim->address, "10.0.0.%d:7440", i + 1);
        sim->inbox_end = &sim->inbox;
    }
}

static void found_federation(void)
{
    static struct identity identities[SIM_NODES_MAX];
    static uint8_t bytes[GENESIS_SIZE_MAX];
    struct genesis genesis = { .name = "Sim", .created = 1790000000 };
    struct mp_writer writer;
    struct slice genesis_bytes;
    const int last = world.node_count - 1;

    for (int i = 0; i < world.node_count; i++)
        must(identity_create(world.nodes[i].dir, &identities[i]), "identity");
    memcpy(genesis.sign_key, identities[0].sign.public_key, KEY_SIZE);
    mp_writer_init(&writer, bytes, sizeof bytes);
    genesis_write(&writer, &genesis);
    genesis_bytes = mp_writer_bytes(&writer);
    for (int i = 0; i < world.node_count; i++)
        make_directory(i, &identities[i], genesis_bytes, identities[0].curve_public);
    sim_start(0);
    for (int i = 1; i < world.node_count && !sim_failed(); i++) {
        enrol(i, &identities[i]);
        if (i == last && (world.faults & FAULT_LATE_JOIN)) {
            world.nodes[i].restart_at_ms = world.now_ms + LOAD_MS / 2;
            world.hits[7]++;
        } else {
            sim_start(i);
        }
    }
}

void sim_begin(uint64_t seed, int nodes, bool trace)
{
    const char *tmp = getenv("TMPDIR");
    struct stat shm;

    memset(&world, 0, sizeof world);
    randombytes_set_implementation(&entropy);
    if (sodium_init() < 0)
        sim_fail("libsodium");
    world.seed = seed; /* from here on: the first sodium_init takes randomness, too */
    world.random = seed * 7919 + 1;
    world.entropy = seed ^ 0x5bd1e995;
    world.trace = trace;
    world.trace_hash = 1469598103934665603ull;
    world.now_ms = 1000;
    if (tmp == NULL)
        tmp = stat("/dev/shm", &shm) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(world.root, sizeof world.root, "%.150s/chapterd-sim-XXXXXX", tmp);
    if (mkdtemp(world.root) == NULL) {
        sim_fail("no temporary directory");
        return;
    }
    world.faults = (unsigned)sim_random(FAULT_ALL + 1u);
    if (sim_chance(70)) { /* long transfers with few records */
        world.chunk_changes = 1 + (size_t)sim_random(4);
        world.one_turn = 1 + (size_t)sim_random(10);
        world.slice_rows = 1 + (size_t)sim_random(7);
    }
    lay_out_nodes(nodes != 0 ? nodes : 2 + (int)sim_random(3));
    sim_trace("seed %llu nodes %d faults %02x", (unsigned long long)seed, world.node_count,
              world.faults);
    found_federation();
}

static void heal(void)
{
    world.healing = true;
    memset(world.cut, 0, sizeof world.cut);
    world.crash_in = 0;
    for (int i = 0; i < world.node_count; i++)
        if (world.nodes[i].node == NULL)
            world.nodes[i].restart_at_ms = world.now_ms + 1;
    sim_trace("healing");
}

void sim_run(void)
{
    const int64_t load_until = world.now_ms + LOAD_MS;
    int64_t heal_until;
    uint64_t messages;

    while (world.now_ms < load_until && !sim_failed()) {
        load_instant();
        run_until(world.now_ms + 1 + (int64_t)sim_random(800));
    }
    heal();
    heal_until = world.now_ms + HEAL_MS;
    while (world.now_ms < heal_until && !sim_failed() && !sim_settled())
        run_until(world.now_ms + 1000);
    if (sim_failed())
        return;
    run_until(world.now_ms + 2000);
    sim_check_agreement();
    sim_check_acknowledged();
    messages = world.messages;
    run_until(world.now_ms + QUIET_MS);
    messages = world.messages - messages;
    /* A beat an origin in 30 s and a vector a node in 10 s, over every link. */
    if (messages > (uint64_t)(world.node_count * world.node_count * 60))
        sim_fail("%llu messages in a quiet minute", (unsigned long long)messages);
    sim_check_agreement();
}

void sim_end(void)
{
    world.healing = true;
    for (int i = 0; i < world.node_count; i++)
        sim_stop(i);
    sim_network_free();
    if (world.root[0] != '\0')
        remove_tree(world.root);
}
