/* SPDX-License-Identifier: MPL-2.0 */
/* sim.c - runs seeds.  sim --seeds N [--first S] | --seed S [--trace] [--nodes N] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static const char *const fault_names[] = { "loss",  "duplication", "delay",     "partition",
                                           "crash", "reconnect",   "bit flips", "late join" };
static uint64_t hits[8];

static uint64_t run_seed(uint64_t seed, int nodes, bool trace, char failure[512])
{
    uint64_t hash;

    sim_begin(seed, nodes, trace);
    if (!sim_failed())
        sim_run();
    memcpy(failure, world.failure, 512);
    hash = world.trace_hash;
    for (int i = 0; i < 8; i++)
        hits[i] += world.hits[i];
    sim_end();
    return hash;
}

static int usage(void)
{
    fprintf(stderr,
            "usage: sim --seeds N [--first S] [--nodes N]   |   sim --seed S [--trace]\n");
    return 2;
}

int main(int argc, char **argv)
{
    uint64_t first = 1;
    uint64_t seeds = 1;
    int nodes = 0;
    bool trace = false;
    int failures = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
            continue;
        }
        if (i + 1 == argc)
            return usage();
        if (strcmp(argv[i], "--seeds") == 0)
            seeds = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--first") == 0 || strcmp(argv[i], "--seed") == 0)
            first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--nodes") == 0)
            nodes = (int)strtol(argv[++i], NULL, 10);
        else
            return usage();
    }
    if (nodes > SIM_NODES_MAX)
        return usage();
    log_event(LOG_DEBUG, "event=sim");
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        char failure[512];
        char again[512];
        const uint64_t hash = run_seed(seed, nodes, trace, failure);

        if (failure[0] != '\0') {
            failures++;
            printf("seed %llu: %s\n  replay: %s --seed %llu --trace", (unsigned long long)seed,
                   failure, argv[0], (unsigned long long)seed);
            if (nodes != 0)
                printf(" --nodes %d", nodes);
            printf("\n");
        }
        if (seed % 50 == 0 && run_seed(seed, nodes, trace, again) != hash) {
            failures++;
            printf("seed %llu: two runs differ\n", (unsigned long long)seed);
        }
        fflush(stdout);
    }
    for (int i = 0; i < 8; i++)
        printf("%s %llu%s", fault_names[i], (unsigned long long)hits[i], i < 7 ? ", " : "\n");
#define PRINT_COUNTER(name, text)                                                              \
    printf(#name " %llu, ", (unsigned long long)sim_counters.name);
    COUNTER_TABLE(PRINT_COUNTER)
#undef PRINT_COUNTER
    printf("\n%llu seeds, %d failed\n", (unsigned long long)seeds, failures);
    return failures == 0 ? 0 : 1;
}
