/* SPDX-License-Identifier: MPL-2.0 */
/* sim_nodes.c - nodes start, die at a commit, and have their directories copied, put back and
 * damaged. */
#define _XOPEN_SOURCE 700
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/io/fault.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_wrap.h"

/* --- crash points ------------------------------------------------------------------------- */

static bool dies(struct sim_node *sim, enum sim_fault fault)
{
    world.hits[fault]++;
    sim->crash_in = 0;
    sim->crashed = true;
    return true;
}

bool fault_at(const char *point)
{
    struct sim_node *sim = &world.nodes[world.active];

    if (world.healing)
        return false;
    if (strcmp(point, "store.commit.full") == 0) {
        if (world.now_ms >= sim->full_until_ms)
            return false;
        world.hits[FAULT_DISK_FULL]++;
        return true;
    }
    if (strcmp(point, "store.commit.before") == 0) {
        if (sim->crash_in <= 0 || --sim->crash_in > 0)
            return false;
        if (!sim->crash_after)
            return dies(sim, FAULT_CRASH_BEFORE);
        sim->crash_in = -1;
        return false;
    }
    return sim->crash_in == -1 && dies(sim, FAULT_CRASH_AFTER);
}

/* --- memory ------------------------------------------------------------------------------- */

/* An allocation of the node's own code (LMDB's and libsodium's are not wrapped). */
static bool starves(void)
{
    struct sim_node *sim = &world.nodes[world.active];

    if (!world.inside_node || sim->starve_in == 0 || --sim->starve_in > 0)
        return false;
    world.hits[FAULT_NO_MEMORY]++;
    sim->crashed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return starves() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return starves() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return starves() ? NULL : __real_realloc(memory, size);
}

/* --- nodes -------------------------------------------------------------------------------- */

/* A disk that is full, or a death in the very start, is no failure of the node. */
static void start_failed(struct sim_node *sim, enum status status)
{
    const bool full = status == NO_SPACE &&
                      (world.now_ms < sim->full_until_ms || sim->store_size < SIM_STORE_SIZE);

    sim->node = NULL;
    sim->transport = NULL;
    if (!full && !sim->crashed) {
        sim_fail("%s does not start: %s", sim->code, status_name(status));
        return;
    }
    sim_trace("%s does not start yet: %s", sim->code, status_name(status));
    sim->restart_at_ms = world.now_ms + 1000;
}

void sim_start(int index)
{
    struct sim_node *sim = &world.nodes[index];
    struct node_config config = {
        .dir = sim->dir,
        .listen = sim->address,
        .control_path = "",
        .store_size = sim->store_size,
        .chunk_changes_max = world.plan.chunk_changes,
        .delta_one_turn_max = world.plan.one_turn,
        .rows_per_slice = world.plan.slice_rows,
    };
    enum status status;

    world.active = index;
    sim->crashed = false;
    sim->restart_at_ms = 0;
    world.inside_node = true;
    status = node_open(&config, &sim->node);
    world.inside_node = false;
    if (status != OK) {
        start_failed(sim, status);
        return;
    }
    sim->wake_at_ms = world.now_ms;
    sim->compactions = 0;
    sim->starts++;
    sim_trace("start %s", sim->code);
    sim_check_start(index);
    /* Somebody has waited for it, and writes before it has heard of anybody. */
    if (sim_has(FAULT_EAGER) && world.founded_ms != 0 && index < world.plan.nodes) {
        world.hits[FAULT_EAGER]++;
        sim_write(index, 77777u * (uint32_t)(index + 1) + (uint32_t)sim->starts);
    }
}

/* A turn whose memory ran out, and that goes on, dropped it. */
enum status sim_turn(struct sim_node *sim)
{
    const bool crashed = sim->crashed;
    enum status status;

    world.inside_node = true;
    status = node_turn(sim->node, -1);
    world.inside_node = false;
    if (status == OK)
        sim->crashed = crashed;
    return status;
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
    sim->crash_in = 0;
    world.active = index;
    add_counters(&sim->node->counters);
    node_close(&sim->node);
    sim_network_node_down(index);
    for (size_t i = 0; i < SIM_REQUESTS_MAX; i++)
        if (world.requests[i].open && world.requests[i].node == index)
            world.requests[i].open = false; /* unanswered: its value stays a candidate */
}

/* --- directories -------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *found, int type, struct FTW *place)
{
    (void)found;
    (void)type;
    (void)place;
    return remove(path);
}

void sim_remove_tree(const char *dir)
{
    if (nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
        sim_fail("cannot remove %s", dir);
}

static void copy_file(const char *from, const char *to)
{
    static uint8_t bytes[65536];
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    size_t size;

    while (in != NULL && out != NULL && (size = fread(bytes, 1, sizeof bytes, in)) > 0)
        if (fwrite(bytes, 1, size, out) != size)
            break;
    if (in == NULL || out == NULL || ferror(in) || ferror(out))
        sim_fail("cannot copy %s", from);
    if (in != NULL)
        fclose(in);
    if (out != NULL && fclose(out) != 0)
        sim_fail("cannot write %s", to);
}

/* Between two turns the file of the store is whole: nothing of it is only in LMDB's memory. */
void sim_copy_directory(const char *from, const char *to)
{
    static const char *const files[] = { "keys/sign", "keys/curve", "db/data.mdb" };
    char source[512];
    char target[512];

    (void)mkdir(to, 0700);
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(target, sizeof target, "%s/%s", to, i == 0 ? "keys" : "db");
        (void)mkdir(target, 0700);
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        (void)snprintf(source, sizeof source, "%s/%s", from, files[i]);
        (void)snprintf(target, sizeof target, "%s/%s", to, files[i]);
        copy_file(source, target);
        (void)chmod(target, 0600);
    }
    /* A key that was to follow is in the copy, or it is not. */
    (void)snprintf(source, sizeof source, "%s/keys/sign.next", from);
    (void)snprintf(target, sizeof target, "%s/keys/sign.next", to);
    (void)remove(target);
    if (access(source, F_OK) == 0) {
        copy_file(source, target);
        (void)chmod(target, 0600);
    }
}

/* The file that tells a copy: it comes along only where a whole machine is put back. */
static void copy_marker(const char *from, const char *to)
{
    char source[512];
    char target[512];

    (void)snprintf(source, sizeof source, "%s/" STORE_MARKER_NAME, from);
    (void)snprintf(target, sizeof target, "%s/" STORE_MARKER_NAME, to);
    copy_file(source, target);
}

/* HQ's next key is not in force yet: a copy without it would be worth nothing. */
static bool has_former_key(const struct sim_node *hq)
{
    return world.has_former_key[0] &&
           (hq->node == NULL || memcmp(hq->node->identity.sign.public_key,
                                       world.former_key[0].public_key, KEY_SIZE) == 0);
}

void sim_back_up(int index)
{
    char to[300];

    char marker[300];

    (void)snprintf(marker, sizeof marker, "%s/" STORE_MARKER_NAME, world.nodes[index].dir);
    if (access(marker, F_OK) != 0 || world.disk_is_gone[index] ||
        (index == 0 && has_former_key(&world.nodes[0])))
        return; /* a directory that never ran is like the first one */
    (void)snprintf(to, sizeof to, "%s.copy", world.nodes[index].dir);
    sim_copy_directory(world.nodes[index].dir, to);
    copy_marker(world.nodes[index].dir, to);
    world.has_backup[index] = true;
    world.backup_seq[index] = world.nodes[index].seen[index].mark[0].seq;
    world.tainted[index] |= world.nodes[index].seen[index].mark[0].seq == 0;
}

uint64_t sim_held_by_others(int index)
{
    const struct sim_seen *seen = &world.nodes[0].seen[index];

    /* Of HQ's own tier hq nobody else holds anything: the copy has what it has. */
    if (index == 0)
        return world.backup_seq[0];
    return seen->mark[0].seq < seen->mark[1].seq ? seen->mark[0].seq : seen->mark[1].seq;
}

/* What HQ alone had of chapters that lost theirs may go with its own. */
static void doubt_all_restored(void)
{
    for (size_t i = 0; i < world.op_count; i++)
        world.ops[i].unsure |= world.restored[world.ops[i].origin];
}

static void note_who_holds(int index)
{
    if (index == 0)
        doubt_all_restored();
    for (int i = 0; i < world.plan.nodes; i++) {
        world.nodes[index].held_of_me[i] = world.nodes[i].node != NULL && i != index
                                               ? world.nodes[i].seen[index].mark[0].seq
                                               : 0;
        world.nodes[i].held_of_me[index] = 0; /* the copy may not have it */
    }
}

void sim_restore(int index, bool first, uint32_t pause_ms)
{
    struct sim_node *sim = &world.nodes[index];
    const bool running = sim->node != NULL;
    char data[300];
    char former[300];
    char from[300];

    if ((!first && !world.has_backup[index]) || world.disk_is_gone[index])
        return;
    (void)snprintf(from, sizeof from, "%s.%s", sim->dir, first ? "first" : "copy");
    memset(sim->seen, 0, sizeof sim->seen);
    /* The daemon is stopped in order, or its file goes before the older one comes: what a kill
     * and a copy into the very same file leave, only peers can tell. */
    if (running) {
        world.active = SIM_NODES_MAX;
        sim_must(store_marker_renew(sim->node->store, sim->dir), "marker");
        sim_stop(index);
    }
    sim_doubt_promises(index, sim_held_by_others(index));
    (void)snprintf(data, sizeof data, "%s/db/data.mdb", sim->dir);
    (void)snprintf(former, sizeof former, "%s/db/former", sim->dir);
    if (!running && rename(data, former) != 0)
        sim_fail("cannot rename %s", data);
    note_who_holds(index);
    sim_copy_directory(from, sim->dir);
    /* A directory that never ran cannot know that another did. */
    world.tainted[index] |= first;
    world.restored[index] = true;
    world.hits[first ? FAULT_LOST_DISK : index == 0 ? FAULT_HQ_COPY : FAULT_OLD_COPY]++;
    sim->restart_at_ms = world.now_ms + pause_ms;
}

/* Disk and all: nothing in the directory tells it, only peers can. */
void sim_roll_back(int index, uint32_t pause_ms)
{
    struct sim_node *sim = &world.nodes[index];
    char from[300];

    if (!world.has_backup[index] || world.disk_is_gone[index])
        return;
    (void)snprintf(from, sizeof from, "%s.copy", sim->dir);
    memset(sim->seen, 0, sizeof sim->seen);
    sim_stop(index);
    sim_doubt_promises(index, sim_held_by_others(index));
    note_who_holds(index);
    sim_copy_directory(from, sim->dir);
    copy_marker(from, sim->dir);
    world.tainted[index] = true; /* where it meets nobody who holds more, it signs again */
    world.restored[index] = true;
    world.hits[FAULT_ROLLBACK]++;
    sim->restart_at_ms = world.now_ms + pause_ms;
}

void sim_start_clone(int index)
{
    struct sim_node *clone = &world.nodes[world.plan.nodes];
    char from[300];

    if (clone->clone || !world.has_backup[index] || world.rekeyed[index])
        return;
    clone->clone = true;
    memcpy(clone->code, world.nodes[index].code, CODE_SIZE);
    (void)snprintf(clone->dir, sizeof clone->dir, "%s/clone", world.root);
    (void)snprintf(from, sizeof from, "%s.copy", world.nodes[index].dir);
    sim_copy_directory(from, clone->dir);
    clone->store_size = SIM_STORE_SIZE;
    clone->entropy = sim_mix(world.plan.seed, 999);
    clone->inbox_end = &clone->inbox;
    world.restored[index] = true;
    world.hits[FAULT_CLONE]++;
    world.node_count = world.plan.nodes + 1;
    sim_start(world.plan.nodes);
}

/* HQ's address leads to a copy of it from now on, until the faults are over. */
void sim_move_hq(void)
{
    struct sim_node *clone = &world.nodes[world.plan.nodes];
    char from[300];

    if (clone->clone || !world.has_backup[0])
        return;
    clone->clone = true;
    memcpy(clone->code, world.nodes[0].code, CODE_SIZE);
    memcpy(clone->address, world.nodes[0].address, ADDRESS_SIZE);
    (void)snprintf(clone->dir, sizeof clone->dir, "%s/clone", world.root);
    (void)snprintf(from, sizeof from, "%s.copy", world.nodes[0].dir);
    sim_copy_directory(from, clone->dir);
    clone->store_size = SIM_STORE_SIZE;
    clone->entropy = sim_mix(world.plan.seed, 998);
    clone->inbox_end = &clone->inbox;
    doubt_all_restored();
    world.restored[0] = true;
    world.hq_moved = true;
    for (int i = 0; i < world.plan.nodes; i++)
        world.nodes[i].held_of_me[0] = 0; /* the copy may not have it */
    world.hits[FAULT_HQ_TWICE]++;
    world.node_count = world.plan.nodes + 1;
    sim_network_lose_listener(0);
    sim_start(world.plan.nodes);
}

void sim_move_back(void)
{
    world.hq_moved = false;
    if (world.node_count == world.plan.nodes)
        return;
    sim_stop(world.plan.nodes);
    world.nodes[world.plan.nodes].restart_at_ms = 0;
}

static bool is_copied(int index)
{
    for (size_t i = 0; i < world.plan.action_count; i++)
        if (world.plan.actions[i].a == index &&
            (world.plan.actions[i].kind == ACTION_BACKUP ||
             world.plan.actions[i].kind == ACTION_RESTORE ||
             world.plan.actions[i].kind == ACTION_ROLLBACK ||
             world.plan.actions[i].kind == ACTION_REKEY))
            return true;
    return false;
}

static bool loses_all(int index)
{
    for (size_t i = 0; i < world.plan.action_count; i++)
        if (world.plan.actions[i].a == index &&
            (world.plan.actions[i].kind == ACTION_ROLLBACK ||
             world.plan.actions[i].kind == ACTION_REKEY ||
             (world.plan.actions[i].kind == ACTION_RESTORE && world.plan.actions[i].b == 1)))
            return true;
    return false;
}

/* A bit of a stored sum turns over while nobody looks. */
void sim_damage(int index, int origin)
{
    struct sim_node *sim = &world.nodes[index];
    struct store_txn txn = { 0 };
    struct digest_sum sum;
    uint32_t feed;
    uint32_t number;

    /* Nor the one copy that is left of what its origin loses. */
    if (sim->node == NULL || index == origin || sim_lies(index) || is_copied(index) ||
        loses_all(origin) ||
        (feed = node_feed_index(sim->node, world.nodes[origin].code)) == NO_PEER ||
        (number = sim->node->feeds[feed]->record.tier[0].number) == 0 ||
        sim->node->feeds[feed]->building)
        return;
    sim_must(store_begin_write(sim->node->store, &txn), "begin");
    sim_must(store_get_sum(&txn, number, TIER_FEDERATION, &sum), "sum");
    sum.lanes[7] ^= 1;
    if (store_put_sum(&txn, number, TIER_FEDERATION, &sum) != OK) {
        store_abort(&txn); /* no room for it */
        return;
    }
    world.active = SIM_NODES_MAX; /* nobody: this commit is not the node's */
    sim_must(store_commit_turn(&txn), "commit");
    sim->seen[origin].damaged = number;
    world.hits[FAULT_ROT]++;
}
