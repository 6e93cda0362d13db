/* SPDX-License-Identifier: MPL-2.0 */
/* sim_plan.c - drawing plans. */
#include "tests/sim/sim_plan.h"

#include <stdlib.h>
#include <string.h>

uint64_t sim_dice(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t sim_mix(uint64_t a, uint64_t b)
{
    uint64_t state = a ^ b * 0xd6e8feb86659fd93ull;

    return sim_dice(&state);
}

/* --- drawing ------------------------------------------------------------------------------ */

struct drawing {
    struct sim_plan *plan;
    uint64_t dice;
};

static uint64_t below(struct drawing *drawing, uint64_t limit)
{
    return limit == 0 ? 0 : sim_dice(&drawing->dice) % limit;
}

static bool chance(struct drawing *drawing, unsigned percent)
{
    return below(drawing, 100) < percent;
}

static bool has(const struct sim_plan *plan, enum sim_fault fault)
{
    return plan->faults >> fault & 1;
}

static void add(struct drawing *drawing, enum sim_action_kind kind, int a, int b,
                uint32_t value)
{
    struct sim_plan *plan = drawing->plan;

    if (plan->action_count < SIM_ACTIONS_MAX)
        plan->actions[plan->action_count++] =
            (struct sim_action){ (int64_t)below(drawing, (uint64_t)plan->load_ms), kind, a, b,
                                 value };
}

static int any_node(struct drawing *drawing)
{
    return (int)below(drawing, (uint64_t)drawing->plan->nodes);
}

/* One draw a statement: in a list of arguments each compiler has an order of its own. */
static void add_to_any(struct drawing *drawing, enum sim_action_kind kind, uint32_t value)
{
    const int node = any_node(drawing);

    add(drawing, kind, node, 0, value);
}

static void add_to_two(struct drawing *drawing, enum sim_action_kind kind)
{
    const int b = any_node(drawing);
    const int a = any_node(drawing);

    add(drawing, kind, a, b, 0);
}

/* Small federations find most, and cost least. */
static int draw_nodes(struct drawing *drawing)
{
    if (chance(drawing, 60))
        return 2 + (int)below(drawing, 3);
    return chance(drawing, 85) ? 4 + (int)below(drawing, 4) : 8 + (int)below(drawing, 5);
}

/* Swarm: most runs know few kinds of fault, so that one does not hide the other. */
static uint64_t draw_faults(struct drawing *drawing, uint64_t allowed)
{
    static const unsigned shares[] = { 8, 15, 30, 60 };
    const unsigned share = shares[below(drawing, 4)];
    uint64_t faults = 0;

    for (int fault = 0; fault < FAULT_COUNT; fault++)
        if (!(FAULTS_OF_OPERATORS >> fault & 1) && chance(drawing, share))
            faults |= 1ull << fault;
    if (chance(drawing, 60))
        faults &= ~FAULTS_OF_LIAR;
    if (chance(drawing, 75))
        faults &= ~FAULTS_OF_COPIES;
    return faults & allowed;
}

static void draw_limits(struct drawing *drawing)
{
    struct sim_plan *plan = drawing->plan;

    if (chance(drawing, 70)) {
        plan->chunk_changes = 1 + (uint32_t)below(drawing, 4);
        plan->one_turn = 1 + (uint32_t)below(drawing, 10);
        plan->slice_rows = 1 + (uint32_t)below(drawing, 7);
    }
    if (has(plan, FAULT_DROP))
        plan->hwm = 1 + (uint32_t)below(drawing, 6);
}

static void draw_cut(struct drawing *drawing)
{
    struct sim_plan *plan = drawing->plan;
    const int a = any_node(drawing);
    const int b = any_node(drawing);

    if (a == b)
        return;
    add(drawing, ACTION_CUT, a, b, 0);
    if (has(plan, FAULT_PARTITION) && (!has(plan, FAULT_ONE_WAY) || chance(drawing, 50))) {
        add(drawing, ACTION_CUT, b, a, 0);
        plan->actions[plan->action_count - 1].at_ms =
            plan->actions[plan->action_count - 2].at_ms;
    }
}

static void draw_networks_actions(struct drawing *drawing)
{
    struct sim_plan *plan = drawing->plan;

    if (has(plan, FAULT_PARTITION) || has(plan, FAULT_ONE_WAY)) {
        for (uint64_t i = 1 + below(drawing, 2 * (uint64_t)plan->nodes); i > 0; i--)
            draw_cut(drawing);
        for (uint64_t i = below(drawing, 3); i > 0; i--)
            add(drawing, ACTION_MEND, 0, 0, 0);
    }
    if (has(plan, FAULT_RECONNECT))
        for (uint64_t i = 1 + below(drawing, 5); i > 0; i--)
            add_to_two(drawing, ACTION_BREAK);
}

static void draw_nodes_actions(struct drawing *drawing)
{
    struct sim_plan *plan = drawing->plan;

    for (uint64_t i = 1 + below(drawing, 3); i > 0; i--) {
        if (has(plan, FAULT_CRASH_BEFORE))
            add_to_any(drawing, ACTION_CRASH, 2 * (1 + (uint32_t)below(drawing, 5)));
        if (has(plan, FAULT_CRASH_AFTER))
            add_to_any(drawing, ACTION_CRASH, 2 * (1 + (uint32_t)below(drawing, 5)) + 1);
        if (has(plan, FAULT_RESTART))
            add_to_any(drawing, ACTION_STOP, 50 + (uint32_t)below(drawing, 8000));
        if (has(plan, FAULT_PAUSE))
            add_to_any(drawing, ACTION_PAUSE,
                       100 + (uint32_t)below(drawing, chance(drawing, 80) ? 5000 : 60000));
        if (has(plan, FAULT_CLOCK))
            add_to_any(drawing, ACTION_CLOCK,
                       (1u << 31) + (uint32_t)below(drawing, 800u * 86400) - 400u * 86400);
        if (has(plan, FAULT_DISK_FULL))
            add_to_any(drawing, ACTION_DISK,
                       1 + (uint32_t)below(drawing, chance(drawing, 70) ? 300 : 8000));
        if (has(plan, FAULT_NO_MEMORY))
            add_to_any(drawing, ACTION_STARVE,
                       1 + (uint32_t)below(drawing, chance(drawing, 50) ? 10 : 200));
        if (has(plan, FAULT_ROT))
            add_to_two(drawing, ACTION_ROT);
    }
    if (has(plan, FAULT_MAP_FULL))
        add_to_any(drawing, ACTION_MAP, 250 + (uint32_t)below(drawing, 600));
}

static void draw_copies(struct drawing *drawing)
{
    struct sim_plan *plan = drawing->plan;
    const int victim = 1 + (int)below(drawing, (uint64_t)plan->nodes - 1);

    if (!(plan->faults & FAULTS_OF_COPIES) || victim == plan->liar)
        return;
    add(drawing, ACTION_BACKUP, victim, 0, 0);
    if (has(plan, FAULT_OLD_COPY))
        add(drawing, ACTION_RESTORE, victim, 0, 50 + (uint32_t)below(drawing, 3000));
    if (has(plan, FAULT_LOST_DISK))
        add(drawing, ACTION_RESTORE, victim, 1, 50 + (uint32_t)below(drawing, 3000));
    if (has(plan, FAULT_CLONE))
        add(drawing, ACTION_CLONE, victim, 0, 0);
}

/* --- what operators do -------------------------------------------------------------------- */

static struct sim_action *add_at(struct drawing *drawing, enum sim_action_kind kind, int a,
                                 int64_t from_ms, int64_t to_ms)
{
    struct sim_plan *plan = drawing->plan;

    add(drawing, kind, a, 0, (uint32_t)sim_dice(&drawing->dice));
    plan->actions[plan->action_count - 1].at_ms =
        from_ms + (int64_t)below(drawing, (uint64_t)(to_ms - from_ms));
    return &plan->actions[plan->action_count - 1];
}

/* Not the one that lies: what becomes of its feed is not asked. */
static int any_chapter(struct drawing *drawing)
{
    const int node = 1 + (int)below(drawing, (uint64_t)drawing->plan->nodes - 1);

    return node == drawing->plan->liar ? 0 : node;
}

static void draw_older_state(struct drawing *drawing, enum sim_action_kind kind, int victim)
{
    const int64_t load_ms = drawing->plan->load_ms;
    uint32_t value;

    (void)add_at(drawing, ACTION_BACKUP, victim, 0, load_ms / 2);
    value = 50 + (uint32_t)below(drawing, 3000);
    add_at(drawing, kind, victim, load_ms / 2, load_ms)->value = value;
}

/* Two are cut off while the key changes, and take for good what the former one signs. */
static void draw_early_theft(struct drawing *drawing, int node, int64_t rotated_ms)
{
    struct sim_plan *plan = drawing->plan;
    const int island = 1 + (int)below(drawing, (uint64_t)plan->nodes - 2);
    const int64_t from_ms = rotated_ms > 600 ? rotated_ms - 600 : 0;

    if (island == node || island + 1 == node)
        return;
    plan->faults |= 1ull << FAULT_PARTITION;
    for (int i = 0; i < plan->nodes; i++) {
        if (i == island || i == island + 1)
            continue;
        for (int k = 0; k < 4; k++) {
            const int member = island + k % 2;
            struct sim_action *cut = add_at(drawing, ACTION_CUT, i, from_ms, from_ms + 1);

            cut->a = k < 2 ? i : member;
            cut->b = k < 2 ? member : i;
        }
    }
    add_at(drawing, ACTION_STEAL, node, rotated_ms + 50, rotated_ms + 2500)->b = island;
    plan->actions[plan->action_count - 1].value |= 1;
    (void)add_at(drawing, ACTION_MEND, 0, rotated_ms + 2500, rotated_ms + 5000);
}

static void draw_keys(struct drawing *drawing)
{
    struct sim_plan *plan = drawing->plan;
    const int64_t load_ms = plan->load_ms;
    const int node = any_node(drawing);
    int64_t rotated_ms;

    if (node == plan->liar && plan->liar != 0)
        return;
    rotated_ms = add_at(drawing, ACTION_ROTATE, node, 0, load_ms / 2)->at_ms;
    if (chance(drawing, 30))
        (void)add_at(drawing, ACTION_ROTATE, node, load_ms / 2, load_ms);
    /* A copy from before it: with the former key. */
    if (node != 0 && chance(drawing, 25)) {
        const uint32_t away_ms = 50 + (uint32_t)below(drawing, 3000);

        plan->faults |= 1ull << FAULT_OLD_COPY;
        (void)add_at(drawing, ACTION_BACKUP, node, 0, rotated_ms + 1);
        add_at(drawing, ACTION_RESTORE, node, rotated_ms, load_ms)->value = away_ms;
    }
    if (!has(plan, FAULT_OLD_KEY))
        return;
    for (uint64_t i = 1 + below(drawing, 3); i > 0; i--) {
        const int from = any_node(drawing);

        add_at(drawing, ACTION_STEAL, node, load_ms / 3, load_ms)->b = from;
    }
    if (node != 0 && plan->nodes > 3 && chance(drawing, 50))
        draw_early_theft(drawing, node, rotated_ms);
}

static void draw_places(struct drawing *drawing)
{
    struct sim_plan *plan = drawing->plan;
    const int64_t load_ms = plan->load_ms;
    int node = any_chapter(drawing);

    if (has(plan, FAULT_SUSPEND) && node != 0) {
        (void)add_at(drawing, ACTION_SUSPEND, node, 0, load_ms);
        if (chance(drawing, 50))
            (void)add_at(drawing, ACTION_RESUME, node, load_ms / 2, load_ms);
    }
    if (has(plan, FAULT_REVOKE) && plan->nodes > 2)
        (void)add_at(drawing, ACTION_REVOKE, 1 + (int)below(drawing, (uint64_t)plan->nodes - 1),
                     load_ms / 4, load_ms);
    node = any_chapter(drawing);
    if (has(plan, FAULT_REKEY) && node != 0)
        (void)add_at(drawing, ACTION_REKEY, node, load_ms / 4, load_ms);
}

/* All meet a copy of HQ, and perhaps HQ itself again before the faults stop. */
static void draw_second_hq(struct drawing *drawing)
{
    struct sim_plan *plan = drawing->plan;
    int64_t moved_ms;

    draw_older_state(drawing, ACTION_MOVE, 0);
    moved_ms = plan->actions[plan->action_count - 1].at_ms;
    if (chance(drawing, 40))
        add_at(drawing, ACTION_MOVE, 0, moved_ms, plan->load_ms + 1)->b = 1;
}

static void draw_operators(struct drawing *drawing)
{
    struct sim_plan *plan = drawing->plan;
    const int64_t load_ms = plan->load_ms;
    uint32_t value;

    if (has(plan, FAULT_ERASE))
        for (uint64_t i = 1 + below(drawing, 3); i > 0; i--)
            (void)add_at(drawing, ACTION_ERASE, any_node(drawing), load_ms / 4, load_ms);
    if (has(plan, FAULT_TIERS))
        for (uint64_t i = 1 + below(drawing, 3); i > 0; i--)
            (void)add_at(drawing, ACTION_TIERS, any_node(drawing), 0, load_ms);
    if (has(plan, FAULT_ROTATE))
        draw_keys(drawing);
    draw_places(drawing);
    if (has(plan, FAULT_HQ_COPY))
        draw_older_state(drawing, ACTION_RESTORE, 0);
    if (has(plan, FAULT_HQ_TWICE) && !(plan->faults >> FAULT_CLONE & 1))
        draw_second_hq(drawing);
    if (has(plan, FAULT_ROLLBACK))
        draw_older_state(drawing, ACTION_ROLLBACK,
                         chance(drawing, 30) ? 0 : any_chapter(drawing));
    if (has(plan, FAULT_EAGER))
        for (uint64_t i = 1 + below(drawing, 2); i > 0; i--) {
            value = 50 + (uint32_t)below(drawing, 2000);
            add_at(drawing, ACTION_STOP, any_node(drawing), 0, load_ms)->value = value;
        }
    if (has(plan, FAULT_ABSENT)) {
        value = 95000 + (uint32_t)below(drawing, 20000);
        add_at(drawing, ACTION_STOP, any_node(drawing), 0, 5000)->value = value;
    }
}

/* --- what seldom meets by itself ---------------------------------------------------------- */

static void add_exactly(struct drawing *drawing, enum sim_action_kind kind, int a, int b,
                        uint32_t value, int64_t at_ms)
{
    add(drawing, kind, a, b, value);
    drawing->plan->actions[drawing->plan->action_count - 1].at_ms = at_ms < 0 ? 0 : at_ms;
}

/* HQ dies just when its next key is to be made durable. */
static void draw_death_of_a_key(struct drawing *drawing, const struct sim_action *rotation)
{
    if (rotation->a == 0 && has(drawing->plan, FAULT_CRASH_BEFORE) && chance(drawing, 50))
        add_exactly(drawing, ACTION_CRASH, 0, 0, 2, rotation->at_ms);
}

/* HQ and most others have not heard of the last changes when the epoch is closed: one has. */
static void draw_unheard_changes(struct drawing *drawing, const struct sim_action *loss)
{
    struct sim_plan *plan = drawing->plan;
    const int64_t at_ms = loss->at_ms - 100 - (int64_t)below(drawing, 900);
    const int holder = any_node(drawing);

    if (loss->a == 0 || loss->a == holder || !has(plan, FAULT_PARTITION) || plan->nodes > 7 ||
        !chance(drawing, 70))
        return;
    for (int i = 0; i < plan->nodes; i++) {
        if (i == loss->a || i == holder)
            continue;
        add_exactly(drawing, ACTION_CUT, loss->a, i, 0, at_ms);
        add_exactly(drawing, ACTION_CUT, holder, i, 0, at_ms);
    }
    for (uint64_t i = 1 + below(drawing, 2); i > 0; i--) {
        const uint32_t value = (uint32_t)sim_dice(&drawing->dice);

        add_exactly(drawing, ACTION_WRITE, loss->a, 0, value, at_ms + 1);
    }
    add_exactly(drawing, ACTION_MEND, 0, 0, 0, loss->at_ms);
}

static void draw_coincidences(struct drawing *drawing)
{
    const size_t count = drawing->plan->action_count;

    for (size_t i = 0; i < count && drawing->plan->action_count + 32 < SIM_ACTIONS_MAX; i++) {
        const struct sim_action action = drawing->plan->actions[i];

        if (action.kind == ACTION_ROTATE)
            draw_death_of_a_key(drawing, &action);
        if (action.kind == ACTION_REKEY || action.kind == ACTION_RESTORE)
            draw_unheard_changes(drawing, &action);
    }
}

/* Most runs know none of it. */
static void draw_operators_faults(struct drawing *drawing, uint64_t allowed)
{
    struct sim_plan *plan = drawing->plan;

    if (chance(drawing, 60))
        return;
    for (int fault = 0; fault < FAULT_COUNT; fault++)
        if ((FAULTS_OF_OPERATORS & allowed) >> fault & 1 && chance(drawing, 25))
            plan->faults |= 1ull << fault;
    if (has(plan, FAULT_OLD_KEY))
        plan->faults |= 1ull << FAULT_ROTATE & allowed;
    if (has(plan, FAULT_ABSENT) && !chance(drawing, 30))
        plan->faults &= ~(1ull << FAULT_ABSENT);
    if (has(plan, FAULT_ABSENT) && plan->load_ms < 110000)
        plan->load_ms += 110000;
}

static int compare_actions(const void *a, const void *b)
{
    const struct sim_action *left = a;
    const struct sim_action *right = b;

    if (left->at_ms != right->at_ms)
        return left->at_ms < right->at_ms ? -1 : 1;
    if (left->kind != right->kind)
        return left->kind < right->kind ? -1 : 1;
    if (left->a != right->a)
        return left->a < right->a ? -1 : 1;
    return left->value < right->value ? -1 : left->value > right->value;
}

static void draw_actions(struct drawing *drawing)
{
    struct sim_plan *plan = drawing->plan;
    uint64_t writes = 4 + below(drawing, 12);

    writes += below(drawing, 5 * (uint64_t)plan->nodes);
    if (chance(drawing, 5))
        writes *= 4;
    for (uint64_t i = 0; i < writes; i++) {
        const int node = any_node(drawing);

        for (uint64_t burst = chance(drawing, 30) ? 1 + below(drawing, 4) : 1; burst > 0;
             burst--) {
            add(drawing, ACTION_WRITE, node, 0, (uint32_t)sim_dice(&drawing->dice));
            if (burst > 1)
                plan->actions[plan->action_count - 1].at_ms =
                    plan->actions[plan->action_count - 1].at_ms / 100 * 100;
        }
    }
    draw_networks_actions(drawing);
    draw_nodes_actions(drawing);
    draw_copies(drawing);
    if (has(plan, FAULT_LATE_JOIN))
        add(drawing, ACTION_JOIN, plan->nodes - 1, 0, 0);
}

void sim_plan_draw(uint64_t seed, int nodes, uint64_t allowed, struct sim_plan *out_plan)
{
    struct drawing drawing = { out_plan, sim_mix(seed, 1) };

    memset(out_plan, 0, sizeof *out_plan);
    out_plan->seed = seed;
    out_plan->faults = draw_faults(&drawing, allowed);
    out_plan->nodes = draw_nodes(&drawing);
    if (nodes != 0)
        out_plan->nodes = nodes;
    out_plan->listening = 1;
    for (int i = 1; i < 64; i++)
        if (chance(&drawing, 60))
            out_plan->listening |= 1ull << i;
    if (out_plan->faults & FAULTS_OF_LIAR)
        out_plan->liar = 1 + (int)below(&drawing, (uint64_t)out_plan->nodes - 1);
    /* Long enough for a beat to become too old, now and then. */
    out_plan->load_ms = 2000 + (int64_t)below(&drawing, 12000);
    if (chance(&drawing, 6))
        out_plan->load_ms = 100000 + (int64_t)below(&drawing, 60000);
    out_plan->rate = 1 + (uint32_t)below(&drawing, 30);
    draw_limits(&drawing);
    draw_actions(&drawing);
    drawing.dice = sim_mix(seed, 2);
    draw_operators_faults(&drawing, allowed);
    draw_operators(&drawing);
    drawing.dice = sim_mix(seed, 3);
    draw_coincidences(&drawing);
    qsort(out_plan->actions, out_plan->action_count, sizeof *out_plan->actions,
          compare_actions);
}
