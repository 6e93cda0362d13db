/* SPDX-License-Identifier: MPL-2.0 */
/* sim_plan_file.c - writing and reading plans. */
#include "tests/sim/sim_plan.h"

#include <string.h>

#define FAULT_NAME(name, text) text,
const char *const sim_fault_names[FAULT_COUNT] = { SIM_FAULT_TABLE(FAULT_NAME) };
#undef FAULT_NAME
#define ACTION_NAME(name, text, meaning) text,
static const char *const action_names[ACTION_COUNT] = { SIM_ACTION_TABLE(ACTION_NAME) };
#undef ACTION_NAME

void sim_plan_write(const struct sim_plan *plan, FILE *file)
{
    fprintf(file, "seed %llu\nnodes %d\nlistening %llx\nliar %d\nload %lld\nrate %u\nhwm %u\n",
            (unsigned long long)plan->seed, plan->nodes, (unsigned long long)plan->listening,
            plan->liar, (long long)plan->load_ms, plan->rate, plan->hwm);
    fprintf(file, "limits %u %u %u\n", plan->chunk_changes, plan->one_turn, plan->slice_rows);
    for (int fault = 0; fault < FAULT_COUNT; fault++)
        if (plan->faults >> fault & 1)
            fprintf(file, "fault %s\n", sim_fault_names[fault]);
    for (size_t i = 0; i < plan->action_count; i++) {
        const struct sim_action *action = &plan->actions[i];

        fprintf(file, "at %lld %s %d %d %u\n", (long long)action->at_ms,
                action_names[action->kind], action->a, action->b, action->value);
    }
}

static int find(const char *name, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

static bool read_action(const char *line, struct sim_plan *plan)
{
    struct sim_action *action = &plan->actions[plan->action_count];
    char name[32];
    long long at;
    int kind;

    if (plan->action_count == SIM_ACTIONS_MAX ||
        sscanf(line, "at %lld %31s %d %d %u", &at, name, &action->a, &action->b,
               &action->value) != 5 ||
        (kind = find(name, action_names, ACTION_COUNT)) < 0 || action->a < 0 || action->b < 0 ||
        action->a >= plan->nodes || action->b >= plan->nodes)
        return false;
    action->at_ms = at;
    action->kind = (enum sim_action_kind)kind;
    plan->action_count++;
    return true;
}

static bool read_line(const char *line, struct sim_plan *plan)
{
    unsigned long long number;
    long long load;
    char name[32];
    int fault;

    if (line[0] == '#' || line[0] == '\n')
        return true;
    if (sscanf(line, "seed %llu", &number) == 1) {
        plan->seed = number;
        return true;
    }
    if (sscanf(line, "listening %llx", &number) == 1) {
        plan->listening = number | 1;
        return true;
    }
    if (sscanf(line, "load %lld", &load) == 1) {
        plan->load_ms = load;
        return true;
    }
    if (sscanf(line, "fault %31s", name) == 1) {
        if ((fault = find(name, sim_fault_names, FAULT_COUNT)) >= 0)
            plan->faults |= 1ull << fault;
        return fault >= 0;
    }
    return sscanf(line, "nodes %d", &plan->nodes) == 1 ||
           sscanf(line, "liar %d", &plan->liar) == 1 ||
           sscanf(line, "rate %u", &plan->rate) == 1 ||
           sscanf(line, "hwm %u", &plan->hwm) == 1 ||
           sscanf(line, "limits %u %u %u", &plan->chunk_changes, &plan->one_turn,
                  &plan->slice_rows) == 3 ||
           read_action(line, plan);
}

bool sim_plan_read(FILE *file, struct sim_plan *out_plan, int *out_line)
{
    char line[256];

    memset(out_plan, 0, sizeof *out_plan);
    out_plan->listening = 1;
    for (*out_line = 1; fgets(line, sizeof line, file) != NULL; ++*out_line)
        if (!read_line(line, out_plan))
            return false;
    return out_plan->nodes >= 2 && out_plan->nodes < SIM_NODES_MAX && out_plan->liar >= 0 &&
           out_plan->liar < out_plan->nodes && out_plan->load_ms > 0;
}
