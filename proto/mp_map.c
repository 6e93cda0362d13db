/* SPDX-License-Identifier: MPL-2.0 */
/* mp_map.c - looking up one key of a map that was validated when it was read. */
#include "proto/mp.h"

struct slice mp_map_get(struct slice map, const char *key)
{
    struct slice last = SLICE_NONE;
    struct mp_reader reader;
    size_t count;

    mp_reader_init_validated(&reader, map);
    if (mp_peek(&reader) != MP_MAP)
        return SLICE_NONE;
    count = mp_read_map(&reader, SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct slice name = mp_read_key(&reader, &last);
        const struct slice value = mp_read_raw(&reader, SIZE_MAX);

        if (reader.status != OK)
            return SLICE_NONE;
        if (slice_is_text(name, key))
            return value;
    }
    return SLICE_NONE;
}

bool mp_map_get_text(struct slice map, const char *key, struct slice *out_text)
{
    struct mp_reader reader;
    struct slice text;

    mp_reader_init(&reader, mp_map_get(map, key));
    text = mp_read_str(&reader, SIZE_MAX);
    if (mp_reader_finish(&reader) != OK)
        return false;
    *out_text = text;
    return true;
}

bool mp_map_get_uint(struct slice map, const char *key, uint64_t *out_number)
{
    struct mp_reader reader;
    uint64_t number;

    mp_reader_init(&reader, mp_map_get(map, key));
    number = mp_read_uint(&reader, UINT64_MAX);
    if (mp_reader_finish(&reader) != OK)
        return false;
    *out_number = number;
    return true;
}
