/* SPDX-License-Identifier: MPL-2.0 */
/* sim_workers.c - many runs: in processes of their own, so that an assertion that fails is
 * noted like any other failure and the rest goes on. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim.h"

#define JOBS_AT_ONCE_MAX 64
#define TWICE_EVERY 100 /* one run in so many is made twice, and must be the same */

/* What a worker tells, in memory that it shares. */
struct worker {
    pid_t pid;
    uint64_t seed; /* under way */
    uint64_t next;
    bool failed;
    uint64_t failed_seed;
    char failure[512];
    struct sim_totals totals;
};

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *share(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return memory;
}

/* None may hang.  Time of the processor: on a busy machine a run may take long. */
static void limit_time(int seconds)
{
    const struct itimerval limit = { .it_value = { .tv_sec = seconds } };

    if (setitimer(ITIMER_PROF, &limit, NULL) != 0) {
        perror("setitimer");
        exit(2);
    }
}

/* --- one run apart ------------------------------------------------------------------------ */

void sim_run_apart(const struct sim_plan *plan, struct sim_outcome *out_outcome)
{
    static struct sim_outcome *shared;
    int status = 0;
    pid_t pid;

    if (shared == NULL)
        shared = share(sizeof *shared);
    memset(shared, 0, sizeof *shared);
    fflush(stdout);
    if ((pid = fork()) == 0) {
        limit_time(60);
        sim_run_plan(plan, false);
        memcpy(shared->failure, world.failure, sizeof shared->failure);
        shared->kind = world.failure_kind;
        shared->trace_hash = world.trace_hash;
        _exit(0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        perror("fork");
        exit(2);
    }
    if (!WIFEXITED(status))
        (void)snprintf(shared->failure, sizeof shared->failure, "the process died of signal %d",
                       WTERMSIG(status));
    *out_outcome = *shared;
}

/* --- a worker ----------------------------------------------------------------------------- */

static void report(const struct sim_batch *batch, uint64_t seed, int nodes, const char *failure)
{
    if (batch->quiet)
        return;
    printf("seed %llu: %s\n  again: sim --seed %llu --trace", (unsigned long long)seed, failure,
           (unsigned long long)seed);
    if (nodes != 0)
        printf(" --nodes %d", nodes);
    printf("\n");
    fflush(stdout);
}

static int nodes_of(const struct sim_batch *batch, uint64_t seed)
{
    return batch->large != 0 && seed % 500 == 0 ? batch->large : batch->nodes;
}

static void run_one(const struct sim_batch *batch, struct worker *worker)
{
    static struct sim_plan plan;
    const uint64_t seed = worker->seed;
    uint64_t hash;

    sim_plan_draw(seed, nodes_of(batch, seed), batch->allowed, &plan);
    sim_run_plan(&plan, false);
    hash = world.trace_hash;
    for (int i = 0; i < FAULT_COUNT; i++)
        worker->totals.hits[i] += world.hits[i];
    if (!sim_failed() && seed % TWICE_EVERY == 0) {
        sim_run_plan(&plan, false);
        if (world.trace_hash != hash)
            sim_fail("two runs differ");
    }
    worker->totals.runs++;
    worker->totals.counters = sim_counters;
    if (sim_failed()) {
        worker->totals.failures++;
        if (!worker->failed) {
            worker->failed = true;
            worker->failed_seed = seed;
            memcpy(worker->failure, world.failure, sizeof worker->failure);
        }
        report(batch, seed, nodes_of(batch, seed), world.failure);
    }
}

static bool over(const struct sim_batch *batch, const struct worker *worker, double began_s)
{
    return (batch->seeds != 0 && worker->next >= batch->first + batch->seeds) ||
           (batch->seconds > 0 && now_s() - began_s >= batch->seconds) ||
           (batch->stop && worker->failed);
}

static void work(const struct sim_batch *batch, struct worker *worker, double began_s)
{
    sim_counters = worker->totals.counters;
    while (!over(batch, worker, began_s)) {
        worker->seed = worker->next;
        worker->next += (uint64_t)batch->jobs;
        limit_time(nodes_of(batch, worker->seed) > 12 ? 3600 : 20);
        run_one(batch, worker);
    }
}

/* --- the batch ---------------------------------------------------------------------------- */

static void start_worker(const struct sim_batch *batch, struct worker *worker, double began_s)
{
    pid_t pid;

    fflush(stdout);
    if ((pid = fork()) == 0) {
        work(batch, worker, began_s);
        fflush(stdout);
        _exit(0);
    }
    if (pid < 0) {
        perror("fork");
        exit(2);
    }
    worker->pid = pid;
}

static void note_death(const struct sim_batch *batch, struct worker *worker, int status)
{
    char failure[512];

    (void)snprintf(failure, sizeof failure, "the process died of signal %d",
                   WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    worker->totals.runs++;
    worker->totals.failures++;
    if (!worker->failed) {
        worker->failed = true;
        worker->failed_seed = worker->seed;
        memcpy(worker->failure, failure, sizeof failure);
    }
    report(batch, worker->seed, nodes_of(batch, worker->seed), failure);
}

#define ADD_COUNTER(name, text) total->name += part->name;
static void add_counters(struct counters *total, const struct counters *part)
{
    COUNTER_TABLE(ADD_COUNTER)
}
#undef ADD_COUNTER

static void add_totals(const struct worker *worker, struct sim_totals *totals,
                       uint64_t *out_seed, char out_failure[512])
{
    totals->runs += worker->totals.runs;
    totals->failures += worker->totals.failures;
    for (int i = 0; i < FAULT_COUNT; i++)
        totals->hits[i] += worker->totals.hits[i];
    add_counters(&totals->counters, &worker->totals.counters);
    if (worker->failed && (out_failure[0] == '\0' || worker->failed_seed < *out_seed)) {
        *out_seed = worker->failed_seed;
        memcpy(out_failure, worker->failure, sizeof worker->failure);
    }
}

void sim_run_batch(const struct sim_batch *batch, struct sim_totals *out_totals,
                   uint64_t *out_seed, char out_failure[512])
{
    const int jobs = batch->jobs < JOBS_AT_ONCE_MAX ? batch->jobs : JOBS_AT_ONCE_MAX;
    struct worker *workers = share((size_t)jobs * sizeof *workers);
    const double began_s = now_s();
    int running = jobs;

    for (int i = 0; i < jobs; i++) {
        workers[i].next = batch->first + (uint64_t)i;
        start_worker(batch, &workers[i], began_s);
    }
    while (running > 0) {
        int status = 0;
        const pid_t pid = wait(&status);

        for (int i = 0; i < jobs; i++) {
            if (workers[i].pid != pid)
                continue;
            running--;
            if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                continue;
            note_death(batch, &workers[i], status);
            if (!over(batch, &workers[i], began_s)) {
                start_worker(batch, &workers[i], began_s);
                running++;
            }
        }
    }
    memset(out_totals, 0, sizeof *out_totals);
    out_failure[0] = '\0';
    for (int i = 0; i < jobs; i++)
        add_totals(&workers[i], out_totals, out_seed, out_failure);
    munmap(workers, (size_t)jobs * sizeof *workers);
}
