/* SPDX-License-Identifier: MPL-2.0 */
/* sim_shrink.c - a failing plan made small: actions are taken out by halves, quarters and so on
 * (Zeller's ddmin), then faults, then nodes, and what is left of the time. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static const char *kind_wanted; /* another kind of failure is another matter */

static bool fails(const struct sim_plan *plan)
{
    struct sim_outcome outcome;

    sim_run_apart(plan, &outcome);
    return outcome.failure[0] != '\0' && outcome.kind == kind_wanted;
}

static void without(const struct sim_plan *plan, size_t from, size_t count,
                    struct sim_plan *out_plan)
{
    *out_plan = *plan;
    memmove(&out_plan->actions[from], &out_plan->actions[from + count],
            (plan->action_count - from - count) * sizeof *plan->actions);
    out_plan->action_count -= count;
}

static void shrink_actions(struct sim_plan *plan, struct sim_plan *tried)
{
    for (size_t size = (plan->action_count + 1) / 2; size > 0; size /= 2)
        for (size_t from = 0; from < plan->action_count;) {
            const size_t left = plan->action_count - from;

            without(plan, from, size < left ? size : left, tried);
            if (fails(tried))
                *plan = *tried;
            else
                from += size;
        }
}

static void shrink_faults(struct sim_plan *plan, struct sim_plan *tried)
{
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        *tried = *plan;
        tried->faults &= ~(1ull << fault);
        if (tried->faults != plan->faults && fails(tried))
            *plan = *tried;
    }
}

static bool uses(const struct sim_plan *plan, int node)
{
    for (size_t i = 0; i < plan->action_count; i++)
        if (plan->actions[i].a == node || plan->actions[i].b == node)
            return true;
    return plan->liar == node && (plan->faults & FAULTS_OF_LIAR);
}

static void shrink_rest(struct sim_plan *plan, struct sim_plan *tried)
{
    while (plan->nodes > 2 && !uses(plan, plan->nodes - 1)) {
        *tried = *plan;
        tried->nodes--;
        if (tried->liar >= tried->nodes)
            tried->liar = 0;
        if (!fails(tried))
            break;
        *plan = *tried;
    }
    *tried = *plan;
    tried->chunk_changes = tried->one_turn = tried->slice_rows = 0;
    if (fails(tried))
        *plan = *tried;
    for (int64_t load = plan->load_ms / 2; load > 200; load /= 2) {
        *tried = *plan;
        tried->load_ms = load;
        if (!fails(tried))
            break;
        *plan = *tried;
    }
}

void sim_shrink(struct sim_plan *plan)
{
    struct sim_plan *tried = malloc(sizeof *tried);
    struct sim_outcome outcome;
    size_t before;

    ASSERT(tried != NULL);
    sim_run_apart(plan, &outcome);
    kind_wanted = outcome.kind;
    do {
        before = plan->action_count + (size_t)plan->nodes;
        shrink_actions(plan, tried);
        shrink_faults(plan, tried);
        shrink_rest(plan, tried);
        printf("# %zu actions, %d nodes\n", plan->action_count, plan->nodes);
    } while (plan->action_count + (size_t)plan->nodes < before);
    free(tried);
}
