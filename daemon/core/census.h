/* SPDX-License-Identifier: MPL-2.0 */
/* census.h - what one member counts for, as counters to raise and lower.  Pure.
 *
 * Two marginal tables an origin: by (kind, status, country) and by (kind, status, month of
 * joining).
 * Reading either costs the number of groups, never the number of members. */
#ifndef CHAPTERD_CENSUS_H
#define CHAPTERD_CENSUS_H

#include "proto/record.h"

#define CENSUS_COUNTRY 'c'
#define CENSUS_MONTH 'm'
#define CENSUS_COUNTER_SIZE 6

struct census_delta {
    uint8_t key[CENSUS_COUNTER_SIZE]; /* dimension, kind, status, value (2 bytes), 0 */
    int delta;
};
#define CENSUS_DELTAS_MAX 4

/* The deltas of a member that was old and is now new (federation values; SLICE_NONE or nil for
 * not there).  Returns how many; none if nothing that is counted changed. */
size_t census_deltas(struct slice old_value, struct slice new_value,
                     struct census_delta out_deltas[CENSUS_DELTAS_MAX]);

/* The parts of a key. */
struct census_group {
    enum member_kind kind;
    enum member_status status;
    char country[3];       /* "" if withdrawn; of CENSUS_COUNTRY */
    uint16_t joined_month; /* of CENSUS_MONTH, as in member_facts */
};
void census_group_of(const uint8_t key[CENSUS_COUNTER_SIZE], struct census_group *out_group);

#endif
