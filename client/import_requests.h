/* SPDX-License-Identifier: MPL-2.0 */
/* import_requests.h - the changes that an import makes, in the form in which they are sent,
 * kept from the pass that decides them until all are decided.  Memory does not grow with
 * them. */
#ifndef CHAPTERCTL_IMPORT_REQUESTS_H
#define CHAPTERCTL_IMPORT_REQUESTS_H

#include "client/import_plan.h"
#include "client/spool.h"

enum request_sort { REQUEST_ADD, REQUEST_CHANGE, REQUEST_LAPSE, REQUEST_SORTS };

/* A zeroed one is empty. */
struct import_requests {
    struct spool spool;
    struct mp_writer writer;
    uint64_t count[REQUEST_SORTS];
};

/* The fields of a plan that adds or changes; id is NULL for a new member that is to be given
 * one.  TOO_LARGE, NO_MEMORY, or of the spool, as the next. */
enum status requests_add(struct import_requests *requests, uint64_t line,
                         enum request_sort sort, const uint8_t *id,
                         const struct import_columns *columns,
                         const struct plan *plan) MUST_CHECK;
enum status requests_add_lapse(struct import_requests *requests,
                               const uint8_t id[ID_SIZE]) MUST_CHECK;
uint64_t requests_total(const struct import_requests *requests);

struct import_request {
    uint64_t line; /* 0 for a lapse */
    enum request_sort sort;
    struct slice op; /* of members.apply; valid until the next call */
};
/* The one at *offset, which moves on; it begins with 0.  NOT_FOUND after the last, or of the
 * spool. */
enum status requests_next(struct import_requests *requests, uint64_t *offset,
                          struct import_request *out_request) MUST_CHECK;
void requests_done(struct import_requests *requests);

#endif
