/* SPDX-License-Identifier: MPL-2.0 */
/* json_fuzz.c - any bytes as MessagePack that becomes JSON, and as JSON that a person hands to
 * chapterctl: there and back it is the same. */
#include <string.h>

#include "client/session.h"
#include "tests/fuzz/fuzz.h"

#define WRITTEN_SIZE_MAX ((size_t)256 * 1024)

static bool is_written_as(const json_t *value, struct slice bytes)
{
    struct mp_writer writer;
    bool same;

    mp_writer_init_heap(&writer, WRITTEN_SIZE_MAX);
    ASSERT(mp_write_json(&writer, value));
    same = slice_equal(mp_writer_bytes(&writer), bytes);
    mp_writer_done(&writer);
    return same;
}

/* Whether there may be a number beyond 2^63 - 1, which JSON has in digits. */
static bool may_have_large_number(struct slice bytes)
{
    for (size_t i = 0; i + 1 < bytes.size; i++)
        if (bytes.data[i] == 0xcf && bytes.data[i + 1] >= 0x80)
            return true;
    return false;
}

static void try_mp(struct slice bytes)
{
    json_t *value = json_of_mp(bytes);

    if (value != NULL)
        ASSERT(is_written_as(value, bytes) || may_have_large_number(bytes));
    json_decref(value);
}

/* As a line of members apply is read. */
static void try_json(struct slice bytes)
{
    json_t *value = json_loadb((const char *)bytes.data, bytes.size,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    struct mp_writer writer;
    json_t *again;

    if (value == NULL)
        return;
    mp_writer_init_heap(&writer, WRITTEN_SIZE_MAX);
    if (mp_write_json(&writer, value)) {
        again = json_of_mp(mp_writer_bytes(&writer));
        ASSERT(again != NULL && json_equal(again, value));
        json_decref(again);
    }
    mp_writer_done(&writer);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_mp(slice_of(data, size));
    try_json(slice_of(data, size));
    return 0;
}
