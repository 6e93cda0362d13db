/* SPDX-License-Identifier: MPL-2.0 */
/* sim_world.c - the world: its clock, its dice, and a plan carried out from start to end. */
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/sim/sim.h"

#define HEAL_MS 180000 /* by then all agree, without faults */
#define QUIET_MS 20000 /* then nothing but beats and vectors moves */
#define TURNS_AT_ONCE_MAX 3000

struct world world;
struct counters sim_counters;

/* --- dice, clock, trace ------------------------------------------------------------------- */

int64_t clock_monotonic_ms(void)
{
    return world.now_ms;
}

int64_t clock_wall_ms(void)
{
    return 1790000000000 + world.now_ms + world.nodes[world.active].wall_offset_ms;
}

static const char *entropy_name(void)
{
    return "sim";
}

static uint32_t entropy_random(void)
{
    return (uint32_t)sim_dice(&world.nodes[world.active].entropy);
}

static void entropy_buf(void *const buffer, const size_t size)
{
    uint8_t *bytes = buffer;
    uint64_t word = 0;

    for (size_t i = 0; i < size; i++) {
        if (i % 8 == 0)
            word = sim_dice(&world.nodes[world.active].entropy);
        bytes[i] = (uint8_t)(word >> 8 * (i % 8));
    }
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
    world.failure_kind = format;
    va_start(arguments, format);
    (void)vsnprintf(world.failure, sizeof world.failure, format, arguments);
    va_end(arguments);
    sim_trace("FAILED %s", world.failure);
}

bool sim_failed(void)
{
    return world.failure[0] != '\0';
}

bool sim_has(enum sim_fault fault)
{
    return !world.healing && (world.plan.faults >> fault & 1);
}

bool sim_lies(int index)
{
    return world.plan.liar != 0 && index == world.plan.liar;
}

int sim_node_of(const char *code)
{
    for (int i = 0; i < world.plan.nodes; i++)
        if (strcmp(world.nodes[i].code, code) == 0)
            return i;
    return -1;
}

void sim_must(enum status status, const char *what)
{
    if (status != OK)
        sim_fail("%s: %s", what, status_name(status));
}

/* --- time --------------------------------------------------------------------------------- */

static void take_turns(int index)
{
    struct sim_node *sim = &world.nodes[index];
    int turns = 0;

    if (sim->paused_until_ms > world.now_ms)
        return;
    while (sim->node != NULL && (sim->inbox != NULL || sim->wake_at_ms <= world.now_ms)) {
        enum status status;

        if (++turns > TURNS_AT_ONCE_MAX) {
            sim_fail("%s never rests", sim->code);
            return;
        }
        world.active = index;
        status = sim_turn(sim);
        sim->turns++;
        sim->ran_ms = world.now_ms;
        if (status != OK) {
            if (!sim->crashed)
                sim_fail("%s stops: %s", sim->code, status_name(status));
            sim_stop(index);
            sim->restart_at_ms = world.now_ms + 50 + (int64_t)(sim->turns * 997 % 5000);
            return;
        }
        sim_check_node(index);
        if (sim_failed())
            return;
    }
}

static int64_t next_instant(int64_t until_ms)
{
    int64_t next = until_ms;

    for (int i = 0; i < world.node_count; i++) {
        const struct sim_node *sim = &world.nodes[i];
        int64_t due = sim->node != NULL ? sim->wake_at_ms : sim->restart_at_ms;

        if (sim->node == NULL && sim->restart_at_ms == 0)
            continue;
        if (sim->node != NULL && sim->inbox != NULL)
            due = world.now_ms;
        if (due < sim->paused_until_ms)
            due = sim->paused_until_ms;
        if (due < next)
            next = due;
    }
    return sim_network_next_ms() < next ? sim_network_next_ms() : next;
}

bool sim_step(int64_t until_ms)
{
    const int64_t next = next_instant(until_ms);

    if (next > world.now_ms)
        world.now_ms = next;
    sim_network_step();
    for (int i = 0; i < world.node_count && !sim_failed(); i++) {
        struct sim_node *sim = &world.nodes[i];

        if (sim->node == NULL && sim->restart_at_ms != 0 &&
            sim->restart_at_ms <= world.now_ms && sim->paused_until_ms <= world.now_ms)
            sim_start(i);
        take_turns(i);
    }
    sim_take_replies();
    return !sim_failed();
}

void sim_run_until(int64_t until_ms)
{
    while (world.now_ms < until_ms && sim_step(until_ms))
        ;
}

/* --- actions ------------------------------------------------------------------------------ */

static void stop_for(int index, int64_t pause_ms)
{
    if (world.nodes[index].node == NULL)
        return;
    sim_stop(index);
    world.nodes[index].restart_at_ms = world.now_ms + pause_ms;
}

static void cut(int a, int b)
{
    const bool back = world.cut[b][a];

    world.cut[a][b] = true;
    world.hits[back ? FAULT_PARTITION : FAULT_ONE_WAY]++;
}

static void act(const struct sim_action *action)
{
    struct sim_node *sim = &world.nodes[action->a];
    const uint32_t value = action->value;

    switch (action->kind) {
    case ACTION_WRITE:
        sim_write(action->a, value);
        /* A second daemon with the same keys is used, too. */
        if (world.nodes[world.plan.nodes].clone && value % 3 == 0 &&
            strcmp(sim->code, world.nodes[world.plan.nodes].code) == 0)
            sim_write(world.plan.nodes, value + 1);
        break;
    case ACTION_CUT:
        cut(action->a, action->b);
        break;
    case ACTION_MEND:
        memset(world.cut, 0, sizeof world.cut);
        break;
    case ACTION_BREAK:
        sim_network_break(action->a, action->b);
        break;
    case ACTION_CRASH:
        sim->crash_in = (int)(value / 2);
        sim->crash_after = value & 1;
        break;
    case ACTION_STOP:
        world.hits[value > BEAT_FRESH_MS ? FAULT_ABSENT : FAULT_RESTART] += sim->node != NULL;
        stop_for(action->a, value);
        break;
    case ACTION_PAUSE:
        sim->paused_until_ms = world.now_ms + value;
        world.hits[FAULT_PAUSE]++;
        break;
    case ACTION_CLOCK:
        sim->wall_offset_ms += ((int64_t)value - (1ll << 31)) * 1000;
        world.hits[FAULT_CLOCK]++;
        break;
    case ACTION_DISK:
        sim->full_until_ms = world.now_ms + value;
        break;
    case ACTION_MAP:
        world.hits[FAULT_MAP_FULL]++;
        sim->store_size = value * 1024ull;
        stop_for(action->a, 1);
        break;
    case ACTION_STARVE:
        sim->starve_in = value;
        break;
    case ACTION_ROT:
        sim_damage(action->a, action->b);
        break;
    case ACTION_JOIN:
        if (sim->node == NULL && sim->turns == 0)
            sim_start(action->a);
        break;
    case ACTION_BACKUP:
        sim_back_up(action->a);
        break;
    case ACTION_RESTORE:
        sim_restore(action->a, action->b == 1, value);
        break;
    case ACTION_CLONE:
        sim_start_clone(action->a);
        break;
    case ACTION_ROLLBACK:
        sim_roll_back(action->a, value);
        break;
    case ACTION_MOVE:
        if (action->b == 1)
            sim_move_back();
        else
            sim_move_hq();
        break;
    default:
        sim_operate(action);
        break;
    }
}

/* --- a run -------------------------------------------------------------------------------- */

/* The faults are over; the operator gives room, starts what is down, and stops the clone. */
static void heal(void)
{
    world.healing = true;
    memset(world.cut, 0, sizeof world.cut);
    sim_move_back();
    for (int i = 0; i < world.plan.nodes; i++) {
        struct sim_node *sim = &world.nodes[i];

        sim->crash_in = 0;
        sim->starve_in = 0;
        sim->full_until_ms = 0;
        sim->paused_until_ms = 0;
        if (sim->store_size != SIM_STORE_SIZE) {
            sim->store_size = SIM_STORE_SIZE;
            stop_for(i, 1);
        }
        if (sim->node == NULL && !world.disk_is_gone[i])
            sim->restart_at_ms = world.now_ms + 1;
    }
    sim_trace("healing");
}

/* Everybody changes something once more: a feed that goes on must arrive, damage be noticed. */
static void write_once_more(void)
{
    for (int i = 0; i < world.plan.nodes; i++)
        if (world.nodes[i].node != NULL)
            sim_write(i, 1000003u * (uint32_t)(i + 1));
}

static void run_load(void)
{
    const struct sim_plan *plan = &world.plan;

    world.founded_ms = world.now_ms;
    for (size_t i = 0; i < plan->action_count && !sim_failed(); i++) {
        sim_run_until(world.founded_ms + plan->actions[i].at_ms);
        sim_trace("action %d %d %d %u", (int)plan->actions[i].kind, plan->actions[i].a,
                  plan->actions[i].b, plan->actions[i].value);
        if (!sim_failed())
            act(&plan->actions[i]);
        sim_operators_help();
    }
    sim_run_until(world.founded_ms + plan->load_ms);
}

/* Of honest nodes none sends more than any other lets it. */
static uint64_t messages_too_many(void)
{
    uint64_t count = 0;

    for (int i = 0; i < world.plan.nodes; i++)
        if (world.nodes[i].node != NULL)
            count += world.nodes[i].node->counters.messages_too_many;
    return count;
}

static void run(void)
{
    int64_t heal_until;
    uint64_t messages;
    uint64_t too_many;

    sim_found();
    if (!sim_failed())
        run_load();
    if (sim_failed())
        return;
    heal();
    heal_until = world.now_ms + HEAL_MS;
    sim_run_until(world.now_ms + 4000); /* a start may wait 3 s before it signs */
    write_once_more();
    sim_run_until(world.now_ms + 1000);
    while (world.now_ms < heal_until && !sim_failed() && !sim_settled()) {
        sim_operators_help();
        sim_run_until(world.now_ms + 500);
    }
    if (sim_failed())
        return;
    sim_check_final(false);
    sim_run_until(world.now_ms + 2000);
    messages = world.messages;
    too_many = messages_too_many();
    sim_run_until(world.now_ms + QUIET_MS);
    messages = world.messages - messages;
    /* A beat of each origin, two vectors of each node, over every link; where a feed is frozen
     * at two heads, vectors differ for ever and lead to hellos. */
    if (messages > 30ull * (uint64_t)(world.plan.nodes * world.plan.nodes))
        sim_fail("%llu messages in %d quiet seconds", (unsigned long long)messages,
                 QUIET_MS / 1000);
    if (messages_too_many() > too_many)
        sim_fail("%llu messages of honest nodes were too many",
                 (unsigned long long)(messages_too_many() - too_many));
    sim_check_final(true);
}

void sim_begin(const struct sim_plan *plan, bool trace)
{
    const char *tmp = getenv("TMPDIR");
    struct stat shm;

    memset(&world, 0, sizeof world);
    sim_liar_forget();
    world.plan = *plan;
    world.node_count = plan->nodes;
    world.trace = trace;
    randombytes_set_implementation(&entropy);
    if (sodium_init() < 0)
        sim_fail("libsodium");
    for (int i = 0; i <= SIM_NODES_MAX; i++) {
        world.nodes[i].entropy = sim_mix(plan->seed, 100 + (uint64_t)i);
        for (int k = 0; k <= SIM_NODES_MAX; k++)
            world.link_dice[i][k] =
                sim_mix(plan->seed, 10000 + 200 * (uint64_t)i + (uint64_t)k);
    }
    world.trace_hash = 1469598103934665603ull;
    world.now_ms = 1000;
    if (tmp == NULL)
        tmp = stat("/dev/shm", &shm) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(world.root, sizeof world.root, "%.150s/chapterd-sim-XXXXXX", tmp);
    if (mkdtemp(world.root) == NULL)
        sim_fail("no temporary directory");
    sim_trace("seed %llu nodes %d faults %llx", (unsigned long long)plan->seed, plan->nodes,
              (unsigned long long)plan->faults);
}

void sim_run_plan(const struct sim_plan *plan, bool trace)
{
    sim_begin(plan, trace);
    if (!sim_failed())
        run();
    sim_end();
}

void sim_end(void)
{
    world.healing = true;
    for (int i = 0; i < world.node_count; i++)
        sim_stop(i);
    sim_network_free();
    for (int i = 0; i < SIM_NODES_MAX; i++)
        free(world.history[i].list);
    sim_remove_tree(world.root);
}
