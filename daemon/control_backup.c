/* SPDX-License-Identifier: MPL-2.0 */
/* control_backup.c - backup and compact: both wait for what takes long.  A backup is written by
 * a thread of its own from a snapshot; to compact the store, everything else stands still. */
#include "daemon/control_internal.h"
#include "daemon/erase.h"
#include "daemon/io/backup.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define POLL_MS 100
#define PATH_SIZE 1100 /* of an argument's text, and a NUL */

struct backup_job {
    pthread_t thread;
    struct store *store;
    const struct identity *identity;
    struct backup_header header;
    char path[PATH_SIZE];
    const struct control_wait *asker; /* NULL: it is gone */
    uint64_t size;
    enum status status;
    atomic_bool done;
};

static void *write_backup(void *context)
{
    struct backup_job *job = context;

    job->status = backup_write(job->store, job->identity, &job->header, job->path, &job->size);
    atomic_store(&job->done, true);
    return NULL;
}

/* Waits for it: the store must outlive the thread. */
static void end_job(struct node *node)
{
    if (node->backup == NULL)
        return;
    (void)pthread_join(node->backup->thread, NULL);
    free(node->backup);
    node->backup = NULL;
}

void control_backup_end(struct node *node)
{
    end_job(node);
}

static enum status begin(struct control_wait *request)
{
    struct node *node = request->node;
    struct backup_job *job = calloc(1, sizeof *job);

    if (job == NULL)
        return control_error(request, NO_MEMORY, "try again later", "no memory");
    job->store = node->store;
    job->identity = &node->identity;
    memcpy(job->header.code, node->code, CODE_SIZE);
    memcpy(job->header.federation, node->federation, HASH_SIZE);
    job->header.created = (uint64_t)(clock_wall_ms() / 1000);
    job->asker = request;
    if (!slice_copy_text(ARGUMENT(request, file)->text, job->path, sizeof job->path) ||
        job->path[0] != '/') {
        free(job);
        return control_error(request, USAGE, "give the whole path, from /",
                             "that is no absolute path of a file");
    }
    node->backup = job;
    if (pthread_create(&job->thread, NULL, write_backup, job) != 0) {
        node->backup = NULL;
        free(job);
        return control_error(request, NO_MEMORY, "try again later", "no thread can be made");
    }
    request->job_asked = true;
    request->due_ms = node_now(node) + POLL_MS;
    return AGAIN;
}

static enum status refuse(struct control_wait *request, enum status status)
{
    if (status == EXISTS)
        return control_error(request, EXISTS, "choose another name",
                             "that file is there already: a backup replaces none");
    if (status == NO_SPACE)
        return control_error(request, NO_SPACE, "choose another disk", "no space left for it");
    return control_error(request, status,
                         "choose a directory that the daemon's user may write to, and the"
                         " settings backup_dir and sandbox let it",
                         "the daemon cannot write that file: %s", status_text(status));
}

enum status control_backup(struct control_wait *request, struct mp_writer *writer)
{
    struct node *node = request->node;
    struct backup_job *job = node->backup;
    enum status status;
    uint64_t size;

    if (!control_is_parked(request))
        return AGAIN;
    if (!request->job_asked) {
        /* One whose client was told that its turn failed, or that of another client. */
        if (job != NULL && !atomic_load(&job->done))
            return control_error(request, REFUSED, "try again in a while",
                                 "another backup is being written");
        end_job(node);
        return begin(request);
    }
    if (job == NULL || job->asker != request)
        return control_error(request, REFUSED, "try again", "that backup was given up");
    if (!atomic_load(&job->done)) {
        request->due_ms = node_now(node) + POLL_MS;
        return AGAIN;
    }
    status = job->status;
    size = job->size;
    end_job(node);
    if (status != OK)
        return refuse(request, status);
    mp_write_map(writer, 2);
    mp_write_key_uint(writer, "bytes", size);
    mp_write_text(writer, "file");
    mp_write_str(writer, ARGUMENT(request, file)->text);
    log_event(LOG_NOTICE, "event=backup_written bytes=%llu", (unsigned long long)size);
    return OK;
}

/* --- compact ------------------------------------------------------------------------------ */

bool control_backup_runs(struct node *node)
{
    return node->backup != NULL && !atomic_load(&node->backup->done);
}

enum status control_compact(struct control_wait *request, struct mp_writer *writer)
{
    struct node *node = request->node;
    const struct erasure *erasure = node->erasure;
    const uint64_t after = store_file_bytes(node->store);

    if (!control_is_parked(request))
        return AGAIN;
    if (!request->job_asked) {
        request->job_asked = true;
        request->asked = erasure->compactions;
        cleared_compact_now(node);
    }
    if (erasure->compactions == request->asked) {
        request->due_ms = node_now(node) + POLL_MS;
        return AGAIN;
    }
    if (erasure->compact_status != OK)
        return control_error(request, erasure->compact_status,
                             "free as much space as the store takes, then try again",
                             "the store was not compacted, and is as it was: %s",
                             status_text(erasure->compact_status));
    mp_write_map(writer, 2);
    mp_write_key_uint(writer, "after", after);
    mp_write_key_uint(writer, "before", erasure->bytes_before);
    return OK;
}
