/* SPDX-License-Identifier: MPL-2.0 */
/* mp_fuzz.c - any bytes as MessagePack: what is permitted has one encoding. */
#include "tests/fuzz/again.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice bytes = slice_of(data, size);
    struct slice text;
    uint64_t number;

    ASSERT(again_mp(bytes) != AGAIN_DIFFERS);
    if (mp_map_get(bytes, "name").size != 0)
        (void)mp_map_get_text(bytes, "name", &text);
    (void)mp_map_get_uint(bytes, "epoch", &number);
    return 0;
}
