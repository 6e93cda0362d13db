/* SPDX-License-Identifier: MPL-2.0 */
/* census.c - what one member counts for. */
#include "daemon/core/census.h"

#include <string.h>

static void keys_of(const struct member_facts *facts, uint8_t country[CENSUS_COUNTER_SIZE],
                    uint8_t month[CENSUS_COUNTER_SIZE])
{
    const uint8_t by_country[CENSUS_COUNTER_SIZE] = {
        CENSUS_COUNTRY,
        (uint8_t)facts->kind,
        (uint8_t)facts->status,
        (uint8_t)facts->country[0],
        (uint8_t)facts->country[1],
        0,
    };
    const uint8_t by_month[CENSUS_COUNTER_SIZE] = {
        CENSUS_MONTH,
        (uint8_t)facts->kind,
        (uint8_t)facts->status,
        (uint8_t)(facts->joined_month >> 8),
        (uint8_t)(facts->joined_month & 0xff),
        0,
    };
    memcpy(country, by_country, CENSUS_COUNTER_SIZE);
    memcpy(month, by_month, CENSUS_COUNTER_SIZE);
}

static void facts_of(struct slice value, struct member_facts *out_facts)
{
    memset(out_facts, 0, sizeof *out_facts);
    if (value.size != 0 && !value_is_removal(value))
        member_facts_of(value, out_facts);
}

static size_t push(struct census_delta *deltas, size_t count,
                   const uint8_t key[CENSUS_COUNTER_SIZE], int delta)
{
    memcpy(deltas[count].key, key, CENSUS_COUNTER_SIZE);
    deltas[count].delta = delta;
    return count + 1;
}

size_t census_deltas(struct slice old_value, struct slice new_value,
                     struct census_delta out_deltas[CENSUS_DELTAS_MAX])
{
    struct member_facts old_facts;
    struct member_facts new_facts;
    uint8_t old_keys[2][CENSUS_COUNTER_SIZE];
    uint8_t new_keys[2][CENSUS_COUNTER_SIZE];
    size_t count = 0;

    facts_of(old_value, &old_facts);
    facts_of(new_value, &new_facts);
    keys_of(&old_facts, old_keys[0], old_keys[1]);
    keys_of(&new_facts, new_keys[0], new_keys[1]);
    for (int i = 0; i < 2; i++) {
        if (memcmp(old_keys[i], new_keys[i], CENSUS_COUNTER_SIZE) == 0)
            continue;
        if (old_facts.kind != KIND_NONE)
            count = push(out_deltas, count, old_keys[i], -1);
        if (new_facts.kind != KIND_NONE)
            count = push(out_deltas, count, new_keys[i], 1);
    }
    return count;
}

void census_group_of(const uint8_t key[CENSUS_COUNTER_SIZE], struct census_group *out_group)
{
    memset(out_group, 0, sizeof *out_group);
    out_group->kind = (enum member_kind)key[1];
    out_group->status = (enum member_status)key[2];
    if (key[0] == CENSUS_COUNTRY)
        memcpy(out_group->country, key + 3, 2);
    else
        out_group->joined_month = (uint16_t)(key[3] << 8 | key[4]);
}
