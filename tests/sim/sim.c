/* SPDX-License-Identifier: MPL-2.0 */
/* sim.c - the simulator's command line; see usage. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/sim.h"

#ifdef CHAPTERD_BUGS
enum bug bug_made;
#define BUG_NAME(name, text) { #name, text },
static const struct {
    const char *name, *text;
} bugs[BUG_COUNT] = { { "none", "" }, BUG_TABLE(BUG_NAME) };
#undef BUG_NAME
#endif

#ifdef CHAPTERD_BUGS
#define USAGE_OF_BUGS                                                                          \
    "       sim_bugs --bugs [--seeds N] [--jobs J] makes each deliberate mistake\n"            \
    "       --bug NAME                             makes that one\n"
#else
#define USAGE_OF_BUGS ""
#endif

static int usage(void)
{
    fputs(
        "usage: sim --seeds N [--first S] [--nodes N] [--jobs J]   runs N seeds\n"
        "       sim --hours H [--first S] [--jobs J]   for so long; every 500th with 85 nodes\n"
        "       sim --seed S [--trace] [--nodes N]     one, and what happens in it\n"
        "       sim --minimise S [--nodes N] [-o FILE] a failing one made small\n"
        "       sim --plan S [--nodes N]               prints what a seed draws\n"
        "       sim --case FILE... [--trace]           runs such files\n" USAGE_OF_BUGS,
        stderr);
    return 2;
}

struct options {
    struct sim_batch batch;
    uint64_t seed;
    char mode; /* s seeds, 1 one, m minimise, p plan, c case, b bugs */
    bool trace;
    const char *output;
    char **files;
    int file_count;
};

/* --- many seeds --------------------------------------------------------------------------- */

static int print_hits(const struct sim_totals *totals, uint64_t allowed)
{
    int never = 0;

    for (int i = 0; i < FAULT_COUNT; i++) {
        printf("%s%s %llu", i == 0 ? "" : ", ", sim_fault_names[i],
               (unsigned long long)totals->hits[i]);
        never += totals->hits[i] == 0 && (allowed >> i & 1);
    }
    printf("\n");
#define PRINT_COUNTER(name, text)                                                              \
    printf("%s" #name " %llu", separator, (unsigned long long)totals->counters.name);          \
    separator = ", ";
    {
        const char *separator = "";

        COUNTER_TABLE(PRINT_COUNTER)
    }
#undef PRINT_COUNTER
    printf("\n");
    return never;
}

static int run_seeds(const struct options *options)
{
    struct sim_totals totals;
    char failure[512];
    uint64_t seed = 0;
    int never;

    sim_run_batch(&options->batch, &totals, &seed, failure);
    never = print_hits(&totals, options->batch.allowed);
    printf("%llu runs from seed %llu, %llu failed\n", (unsigned long long)totals.runs,
           (unsigned long long)options->batch.first, (unsigned long long)totals.failures);
    if (never != 0 && totals.runs >= 5000) {
        printf("%d kinds of fault never happened\n", never);
        return 1;
    }
    return totals.failures == 0 ? 0 : 1;
}

/* --- one run ------------------------------------------------------------------------------ */

static int run_plan(const struct sim_plan *plan, const char *name, bool trace)
{
    sim_run_plan(plan, trace);
    printf("%s: %s, trace %016llx\n", name, sim_failed() ? world.failure : "ok",
           (unsigned long long)world.trace_hash);
    return sim_failed() ? 1 : 0;
}

static int run_file(const char *path, bool trace)
{
    static struct sim_plan plan;
    FILE *file = fopen(path, "r");
    int line = 0;
    bool good;

    if (file == NULL) {
        perror(path);
        return 2;
    }
    good = sim_plan_read(file, &plan, &line);
    fclose(file);
    if (!good) {
        fprintf(stderr, "%s:%d: not a plan\n", path, line);
        return 2;
    }
    return run_plan(&plan, path, trace);
}

static int minimise(const struct options *options)
{
    static struct sim_plan plan;
    struct sim_outcome outcome;
    FILE *file = stdout;

    sim_plan_draw(options->seed, options->batch.nodes, options->batch.allowed, &plan);
    sim_run_apart(&plan, &outcome);
    if (outcome.failure[0] == '\0') {
        printf("seed %llu does not fail\n", (unsigned long long)options->seed);
        return 1;
    }
    sim_shrink(&plan);
    sim_run_apart(&plan, &outcome);
    if (options->output != NULL && (file = fopen(options->output, "w")) == NULL) {
        perror(options->output);
        return 2;
    }
    fprintf(file, "# SPDX-License-Identifier: MPL-2.0\n# %s\n", outcome.failure);
    sim_plan_write(&plan, file);
    if (file != stdout)
        fclose(file);
    return 0;
}

/* --- bugs --------------------------------------------------------------------------------- */

#ifdef CHAPTERD_BUGS
static int try_bugs(const struct options *options)
{
    struct sim_batch batch = options->batch;
    int missed = 0;

    batch.stop = true;
    batch.quiet = true;
    for (int bug = 1; bug < BUG_COUNT; bug++) {
        struct sim_totals totals;
        char failure[512];
        uint64_t seed = 0;

        bug_made = (enum bug)bug;
        sim_run_batch(&batch, &totals, &seed, failure);
        missed += totals.failures == 0;
        if (totals.failures != 0)
            printf("%-24s seed %-6llu %s\n", bugs[bug].name, (unsigned long long)seed, failure);
        else
            printf("%-24s NOT CAUGHT in %llu runs: %s\n", bugs[bug].name,
                   (unsigned long long)totals.runs, bugs[bug].text);
        fflush(stdout);
    }
    printf("%d deliberate bugs, %d not caught\n", BUG_COUNT - 1, missed);
    return missed == 0 ? 0 : 1;
}

static bool choose_bug(const char *name)
{
    for (int bug = 1; bug < BUG_COUNT; bug++)
        if (strcmp(bugs[bug].name, name) == 0) {
            bug_made = (enum bug)bug;
            return true;
        }
    return false;
}
#else
static int try_bugs(const struct options *options)
{
    (void)options;
    return usage();
}

static bool choose_bug(const char *name)
{
    (void)name;
    return false;
}
#endif

/* --- options ------------------------------------------------------------------------------ */

static bool read_number_option(const char *name, const char *text, struct options *options)
{
    char *end = NULL;
    const uint64_t number = strtoull(text, &end, 10);

    if (strcmp(name, "--hours") == 0) {
        options->batch.seconds = strtod(text, &end) * 3600;
        options->batch.large = 85;
        options->mode = 's';
    } else if (strcmp(name, "--seeds") == 0) {
        options->batch.seeds = number;
        options->mode = options->mode == 'b' ? 'b' : 's';
    } else if (strcmp(name, "--first") == 0) {
        options->batch.first = number;
    } else if (strcmp(name, "--jobs") == 0) {
        options->batch.jobs = (int)number;
    } else if (strcmp(name, "--nodes") == 0) {
        options->batch.nodes = (int)number;
    } else if (strcmp(name, "--seed") == 0) {
        options->seed = number;
        options->mode = '1';
    } else if (strcmp(name, "--minimise") == 0) {
        options->seed = number;
        options->mode = 'm';
    } else if (strcmp(name, "--plan") == 0) {
        options->seed = number;
        options->mode = 'p';
    } else {
        return false;
    }
    return end != text && *end == '\0';
}

static bool read_options(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            options->trace = true;
        } else if (strcmp(argv[i], "--bugs") == 0) {
            options->mode = 'b';
        } else if (strcmp(argv[i], "--case") == 0) {
            options->mode = 'c';
            options->files = &argv[i + 1];
            while (i + 1 < argc && argv[i + 1][0] != '-') {
                options->file_count++;
                i++;
            }
        } else if (i + 1 == argc) {
            return false;
        } else if (strcmp(argv[i], "-o") == 0) {
            options->output = argv[++i];
        } else if (strcmp(argv[i], "--bug") == 0) {
            if (!choose_bug(argv[++i]))
                return false;
        } else if (!read_number_option(argv[i], argv[i + 1], options)) {
            return false;
        } else {
            i++;
        }
    }
    return options->batch.nodes < SIM_NODES_MAX && options->batch.jobs > 0;
}

int main(int argc, char **argv)
{
    static struct sim_plan plan;
    struct options options = { .batch = { .first = 1,
                                          .seeds = 0,
                                          .jobs = (int)sysconf(_SC_NPROCESSORS_ONLN),
                                          .allowed = ~0ull } };
    char name[32];
    int result = 0;

    if (!read_options(argc, argv, &options) || options.mode == 0)
        return usage();
    if (!options.trace && freopen("/dev/null", "w", stderr) == NULL) /* the nodes' log */
        return 2;
    if (options.mode == 'b' && options.batch.seeds == 0)
        options.batch.seeds = 2000;
    sim_plan_draw(options.seed, options.batch.nodes, options.batch.allowed, &plan);
    switch (options.mode) {
    case 's':
        return run_seeds(&options);
    case '1':
        (void)snprintf(name, sizeof name, "seed %llu", (unsigned long long)options.seed);
        return run_plan(&plan, name, options.trace);
    case 'm':
        return minimise(&options);
    case 'p':
        sim_plan_write(&plan, stdout);
        return 0;
    case 'c':
        for (int i = 0; i < options.file_count; i++)
            result |= run_file(options.files[i], options.trace);
        return result;
    case 'b':
        return try_bugs(&options);
    default:
        return usage();
    }
}
