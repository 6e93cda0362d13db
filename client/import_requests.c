/* SPDX-License-Identifier: MPL-2.0 */
/* import_requests.c - ops of members.apply in a spool: written once, sent as they are. */
#include "client/import_requests.h"

#include <string.h>

/* Before each op in the spool. */
struct header {
    uint64_t line;
    uint32_t sort;
    uint32_t size;
};

static enum status keep(struct import_requests *requests, uint64_t line, enum request_sort sort)
{
    const struct slice op = mp_writer_bytes(&requests->writer);
    const struct header header = { line, (uint32_t)sort, (uint32_t)op.size };
    enum status status = requests->writer.status;

    if (status == OK)
        status = spool_add(&requests->spool, &header, sizeof header);
    if (status == OK)
        status = spool_add(&requests->spool, op.data, op.size);
    requests->count[sort] += status == OK;
    return status;
}

static struct mp_writer *begin(struct import_requests *requests, size_t keys)
{
    if (requests->writer.size_max == 0)
        mp_writer_init_heap(&requests->writer, SPOOL_PIECE_MAX - sizeof(struct header));
    mp_writer_reset(&requests->writer);
    mp_write_map(&requests->writer, keys);
    mp_write_text(&requests->writer, "fields");
    return &requests->writer;
}

/* What follows the fields. */
static void end(struct mp_writer *writer, const uint8_t *id)
{
    char text[UUID_TEXT_SIZE];

    if (id != NULL) {
        uuid_format(id, text);
        mp_write_key_text(writer, "id", text);
    }
    mp_write_key_text(writer, "op", "put");
}

enum status requests_add(struct import_requests *requests, uint64_t line,
                         enum request_sort sort, const uint8_t *id,
                         const struct import_columns *columns, const struct plan *plan)
{
    const struct plan_change *of_column[CSV_COLUMNS_MAX] = { NULL };
    struct mp_writer *writer = begin(requests, id == NULL ? 2 : 3);

    for (size_t i = 0; i < plan->change_count; i++)
        of_column[plan->changes[i].column] = &plan->changes[i];
    mp_write_map(writer, plan->change_count);
    for (size_t i = 0; i < columns->field_count; i++) {
        const size_t column = columns->by_name[i];

        if (of_column[column] == NULL)
            continue;
        mp_write_text(writer, columns->column[column].name);
        mp_write_str(writer, of_column[column]->text);
    }
    end(writer, id);
    return keep(requests, line, sort);
}

enum status requests_add_lapse(struct import_requests *requests, const uint8_t id[ID_SIZE])
{
    struct mp_writer *writer = begin(requests, 3);

    mp_write_map(writer, 1);
    mp_write_key_text(writer, "status", member_status_name(MEMBER_LAPSED));
    end(writer, id);
    return keep(requests, 0, REQUEST_LAPSE);
}

uint64_t requests_total(const struct import_requests *requests)
{
    uint64_t total = 0;

    for (size_t i = 0; i < REQUEST_SORTS; i++)
        total += requests->count[i];
    return total;
}

enum status requests_next(struct import_requests *requests, uint64_t *offset,
                          struct import_request *out_request)
{
    const uint8_t *bytes = NULL;
    struct header header;
    enum status status;

    if (*offset == requests->spool.size)
        return NOT_FOUND;
    status = spool_get(&requests->spool, *offset, sizeof header, &bytes);
    if (status != OK)
        return status;
    memcpy(&header, bytes, sizeof header);
    status = spool_get(&requests->spool, *offset + sizeof header, header.size, &bytes);
    if (status != OK)
        return status;
    *offset += sizeof header + header.size;
    *out_request = (struct import_request){ header.line, (enum request_sort)header.sort,
                                            slice_of(bytes, header.size) };
    return OK;
}

void requests_done(struct import_requests *requests)
{
    spool_done(&requests->spool);
    mp_writer_done(&requests->writer);
    memset(requests, 0, sizeof *requests);
}
