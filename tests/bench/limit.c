/* SPDX-License-Identifier: MPL-2.0 */
/* limit.c - one process writes, the others receive.  What it measures is told in limit.h. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "tests/bench/limit.h"

const char *const mode_names[] = { "import", "write", "update", "sync" };

/* A receiver that found something wrong ends with 1. */
static bool reap(int options)
{
    int status = 0;
    const pid_t pid = waitpid(-1, &status, options);

    MUST(pid <= 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return pid > 0;
}

void wait_for_all(const struct job *job, uint64_t seq, unsigned pause_us)
{
    for (unsigned i = 0; i < job->receivers; i++)
        while (atomic_load(&job->shared->receivers[i].reached) < seq) {
            (void)reap(WNOHANG);
            (void)usleep(pause_us);
        }
}

static struct slice map_file(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat found;
    void *data;

    MUST(fd >= 0 && fstat(fd, &found) == 0);
    data = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    MUST(data != MAP_FAILED && close(fd) == 0);
    return slice_of(data, (size_t)found.st_size);
}

static bool parse(int argc, char **argv, struct job *job)
{
    if (argc < 6 || argc > 7)
        return false;
    for (job->mode = MODE_IMPORT; strcmp(argv[1], mode_names[job->mode]) != 0; job->mode++)
        if (job->mode == MODE_SYNC)
            return false;
    if ((argc == 7) != (job->mode == MODE_UPDATE))
        return false;
    job->csv = csv_begin(map_file(argv[2]));
    job->dir = argv[3];
    job->members = number_of(argv[4], job->mode == MODE_WRITE ? WRITES_MAX : UINT32_MAX);
    job->receivers = (unsigned)number_of(argv[5], RECEIVERS_MAX);
    job->updates = argc == 7 ? number_of(argv[6], UINT32_MAX) : 0;
    job->updates -= job->updates % BATCH;
    return true;
}

int main(int argc, char **argv)
{
    struct job job = { 0 };

    MUST(sodium_init() >= 0);
    if (!parse(argc, argv, &job)) {
        (void)fprintf(stderr, "usage: limit import|write|update|sync CSV DIR COUNT RECEIVERS"
                              " [UPDATES]\n");
        return 2;
    }
    job.shared = mmap(NULL, sizeof *job.shared, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    MUST(job.shared != MAP_FAILED);
    crypto_sign_keypair(job.shared->sign.public_key, job.shared->sign.secret);
    MUST(zmq_curve_keypair(job.shared->curve_public, job.shared->curve_secret) == 0);
    for (unsigned i = 0; i < job.receivers; i++) {
        const pid_t pid = fork();

        MUST(pid >= 0);
        if (pid == 0) {
            MUST(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
            receive_all(&job, i);
            return 0;
        }
    }
    write_all(&job);
    while (reap(0))
        continue;
    return 0;
}
