/* SPDX-License-Identifier: MPL-2.0 */
/* roster_fuzz.c - any bytes as a value of a record: a roster entry, or a member's. */
#include "tests/fuzz/again.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice bytes = slice_of(data, size);
    struct member_facts facts;

    ASSERT(again_roster(bytes) != AGAIN_DIFFERS);
    member_facts_of(bytes, &facts);
    ASSERT(facts.kind < KIND_COUNT && facts.status < MEMBER_STATUS_COUNT);
    return 0;
}
