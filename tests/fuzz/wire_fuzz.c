/* SPDX-License-Identifier: MPL-2.0 */
/* wire_fuzz.c - any bytes as a message between nodes. */
#include "tests/fuzz/again.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ASSERT(again_message(slice_of(data, size)) != AGAIN_DIFFERS);
    return 0;
}
