/* SPDX-License-Identifier: MPL-2.0 */
/* head_fuzz.c - any bytes as a head or a beat, and as one to be verified. */
#include "tests/fuzz/again.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice bytes = slice_of(data, size);
    const struct sign_key key = again_key();

    ASSERT(again_head(bytes) != AGAIN_DIFFERS);
    ASSERT(again_beat(bytes) != AGAIN_DIFFERS);
    /* The key is nobody's in the corpus, and its signature cannot be guessed. */
    ASSERT(head_verify(bytes, key.public_key) != OK);
    ASSERT(beat_verify(bytes, key.public_key) != OK);
    return 0;
}
