/* SPDX-License-Identifier: MPL-2.0 */
/* import_refusals.c - records of one size in a spool, since a daemon may refuse every row. */
#include "client/import_refusals.h"

#include <stdio.h>
#include <string.h>

struct refusal {
    uint64_t line;
    char reason[REFUSAL_REASON_SIZE];
};

enum status refusals_add(struct import_refusals *refusals, uint64_t line, struct slice reason)
{
    struct refusal refusal = { .line = line };
    enum status status;

    (void)snprintf(refusal.reason, sizeof refusal.reason, "%.*s", (int)reason.size,
                   (const char *)reason.data);
    if ((status = spool_add(&refusals->spool, &refusal, sizeof refusal)) != OK)
        return status;
    refusals->count++;
    return OK;
}

enum status refusals_take(struct import_refusals *refusals, uint64_t *out_line,
                          char out_reason[REFUSAL_REASON_SIZE])
{
    const uint8_t *bytes = NULL;
    struct refusal refusal;
    enum status status;

    if (refusals->taken == refusals->spool.size)
        return NOT_FOUND;
    status = spool_get(&refusals->spool, refusals->taken, sizeof refusal, &bytes);
    if (status != OK)
        return status;
    memcpy(&refusal, bytes, sizeof refusal);
    refusals->taken += sizeof refusal;
    *out_line = refusal.line;
    memcpy(out_reason, refusal.reason, sizeof refusal.reason);
    return OK;
}

void refusals_done(struct import_refusals *refusals)
{
    spool_done(&refusals->spool);
    memset(refusals, 0, sizeof *refusals);
}
