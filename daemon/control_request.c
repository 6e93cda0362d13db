/* SPDX-License-Identifier: MPL-2.0 */
/* control_request.c - the table of commands, and requests in their strict form: what is not
 * known, missing or of another kind is refused by name. */
#include "daemon/control_internal.h"

#include <stdio.h>
#include <string.h>

#define ARGUMENT_TEXT_MAX 1024
#define COMMAND_NAME_MAX 64

#define BIT(name) ARGUMENT_BIT(name)

/* Those of CONTROL_TABLE in control.h, which says what each takes and gives. */
static const struct control_command commands[] = {
    { "status", control_status, BIT(chapter), 0, COMMAND_READS },
    { "explain", control_explain, BIT(chapter), BIT(chapter), COMMAND_READS },
    { "counts", control_counts, BIT(by), 0, COMMAND_READS },
    { "members.list", control_members_list,
      BIT(chapter) | BIT(country) | BIT(kind) | BIT(status) | BIT(search) | BIT(limit) |
          BIT(cursor) | BIT(private),
      0, COMMAND_READS },
    { "members.get", control_members_get, BIT(id), BIT(id), COMMAND_READS },
    { "members.apply", control_members_apply, BIT(brief) | BIT(confirm) | BIT(ops), BIT(ops),
      COMMAND_WRITES },
    { "members.erase", control_members_erase, BIT(id), BIT(id), COMMAND_WRITES },
    { "members.who_sees", control_members_who_sees, BIT(id), BIT(id), COMMAND_READS },
    { "members.lapse", control_members_lapse, BIT(confirm), 0, COMMAND_ACTS },
    { "log", control_log,
      BIT(after) | BIT(chapter) | BIT(member) | BIT(since) | BIT(limit) | BIT(newest) |
          BIT(wait_ms),
      0, COMMAND_READS },
    { "verify", control_verify, BIT(deep) | BIT(against), 0, COMMAND_ACTS },
    { "wait", control_wait_in_step, BIT(lag) | BIT(chapter) | BIT(timeout_ms), BIT(timeout_ms),
      COMMAND_READS },
    { "invite", control_invite,
      BIT(chapter) | BIT(name) | BIT(country) | BIT(ttl_s) | BIT(records_max) | BIT(bytes_max) |
          BIT(approve),
      BIT(chapter), COMMAND_ACTS },
    { "invite.approve", control_invite_approve, BIT(invitation), BIT(invitation),
      COMMAND_WRITES },
    { "invite.list", control_invite_list, 0, 0, COMMAND_READS },
    { "invite.revoke", control_invite_revoke, BIT(invitation), BIT(invitation),
      COMMAND_WRITES },
    { "chapters.list", control_chapters_list, 0, 0, COMMAND_READS },
    { "chapters.show", control_chapters_show, BIT(chapter), BIT(chapter), COMMAND_READS },
    { "chapters.edit", control_chapters_edit,
      BIT(chapter) | BIT(name) | BIT(country) | BIT(records_max) | BIT(bytes_max), BIT(chapter),
      COMMAND_WRITES },
    { "chapters.rekey", control_chapters_rekey, BIT(chapter) | BIT(ttl_s) | BIT(approve),
      BIT(chapter), COMMAND_ACTS },
    { "chapters.resume", control_chapters_resume, BIT(chapter), BIT(chapter), COMMAND_WRITES },
    { "chapters.revoke", control_chapters_revoke, BIT(chapter), BIT(chapter), COMMAND_WRITES },
    { "chapters.suspend", control_chapters_suspend, BIT(chapter), BIT(chapter),
      COMMAND_WRITES },
    { "backup", control_backup, BIT(file), BIT(file), COMMAND_ACTS },
    { "compact", control_compact, 0, 0, COMMAND_ACTS },
    { "config", control_config, 0, 0, COMMAND_READS },
    { "keys.rotate", control_keys_rotate, BIT(recovery), 0, COMMAND_WRITES },
    { "keys.show", control_keys_show, 0, 0, COMMAND_READS },
    { "surplus.adopt", control_surplus_adopt, BIT(id), 0, COMMAND_WRITES },
    { "surplus.discard", control_surplus_discard, BIT(id), 0, COMMAND_WRITES },
    { "surplus.list", control_surplus_list, 0, 0, COMMAND_READS },
    { "tiers.list", control_tiers_list, 0, 0, COMMAND_READS },
    { "tiers.set", control_tiers_set, BIT(fields), BIT(fields), COMMAND_WRITES },
    { "version", control_version, 0, 0, COMMAND_READS },
};

#define ARGUMENT_ROW(name, form) { #name, form },
static const struct {
    const char *name;
    enum argument_form form;
} argument_rows[] = { ARGUMENT_TABLE(ARGUMENT_ROW) };
#undef ARGUMENT_ROW

static const char *const form_names[] = {
    [FORM_TEXT] = "a text of at most 1024 bytes",
    [FORM_CODE] = "a chapter's code: a letter, then up to 14 letters, digits or hyphens",
    [FORM_UINT] = "a number",
    [FORM_BOOL] = "true or false",
    [FORM_ID] = "a UUID",
    [FORM_TIME] = "a time like 2026-01-31 or 2026-01-31T12:00:00Z",
    [FORM_MAP] = "a map",
    [FORM_LIST] = "a list",
};

const struct control_command *control_command_of(struct slice name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (slice_is_text(name, commands[i].name))
            return &commands[i];
    return NULL;
}

static size_t argument_index_of(struct slice name)
{
    size_t i = 0;

    while (i < ARGUMENT_COUNT && !slice_is_text(name, argument_rows[i].name))
        i++;
    return i;
}

/* --- one argument ------------------------------------------------------------------------- */

static bool read_text(struct slice raw, struct slice *out_text)
{
    struct mp_reader reader;

    mp_reader_init(&reader, raw);
    *out_text = mp_read_str(&reader, ARGUMENT_TEXT_MAX);
    return mp_reader_finish(&reader) == OK;
}

static bool read_uint(struct slice raw, uint64_t *out_number)
{
    struct mp_reader reader;

    mp_reader_init(&reader, raw);
    *out_number = mp_read_uint(&reader, UINT64_MAX);
    return mp_reader_finish(&reader) == OK;
}

static bool read_argument(enum argument_form form, struct slice raw, struct argument *out)
{
    struct mp_reader reader;
    struct slice text;

    mp_reader_init(&reader, raw);
    switch (form) {
    case FORM_TEXT:
        return read_text(raw, &out->text);
    case FORM_CODE:
        return read_text(raw, &text) && code_valid(text) &&
               slice_copy_text(text, out->code, sizeof out->code);
    case FORM_UINT:
        return read_uint(raw, &out->number);
    case FORM_BOOL:
        out->flag = mp_read_bool(&reader);
        return mp_reader_finish(&reader) == OK;
    case FORM_ID:
        return read_text(raw, &text) && uuid_parse(text, out->id);
    case FORM_TIME:
        return read_uint(raw, &out->number) ||
               (read_text(raw, &text) && control_read_time(text, &out->number));
    case FORM_MAP:
        out->text = raw;
        return mp_peek(&reader) == MP_MAP;
    case FORM_LIST:
        out->text = raw;
        return mp_peek(&reader) == MP_ARRAY;
    }
    return false;
}

/* --- all of them -------------------------------------------------------------------------- */

static enum status unknown_argument(struct control_wait *request, struct slice name)
{
    char quote[CONTROL_QUOTE_SIZE];
    char known[CONTROL_TEXT_SIZE - 32];
    size_t used = 0;

    known[0] = '\0';
    for (size_t i = 0; i < ARGUMENT_COUNT; i++)
        if (request->command->arguments & (1u << i)) {
            const int length = snprintf(known + used, sizeof known - used, "%s%s",
                                        used == 0 ? "" : ", ", argument_rows[i].name);

            ASSERT(length > 0 && (size_t)length < sizeof known - used);
            used += (size_t)length;
        }
    (void)control_error(request, USAGE, "", "%s has no argument \"%s\"", request->command->name,
                        control_quote(name, quote));
    (void)snprintf(request->remedy, sizeof request->remedy, "%s%s",
                   used == 0 ? "it takes none" : "it takes ", known);
    return USAGE;
}

static enum status parse_arguments(struct control_wait *request, struct mp_reader *reader)
{
    const size_t count = mp_read_map(reader, ARGUMENT_COUNT);
    struct slice last = SLICE_NONE;

    for (size_t i = 0; i < count; i++) {
        const struct slice name = mp_read_key(reader, &last);
        const struct slice raw = mp_read_raw(reader, CONTROL_SIZE_MAX);
        const size_t index = argument_index_of(name);

        if (reader->status != OK)
            break;
        if (index == ARGUMENT_COUNT || !(request->command->arguments & (1u << index)))
            return unknown_argument(request, name);
        if (!read_argument(argument_rows[index].form, raw, &request->arguments[index]))
            return control_error(request, USAGE, "chapterctl help", "\"%s\" must be %s",
                                 argument_rows[index].name,
                                 form_names[argument_rows[index].form]);
        request->arguments[index].given = true;
    }
    if (mp_reader_finish(reader) != OK)
        return control_error(request, INVALID, "use the chapterctl that came with this daemon",
                             "the request is malformed");
    for (size_t i = 0; i < ARGUMENT_COUNT; i++)
        if ((request->command->required & (1u << i)) && !request->arguments[i].given)
            return control_error(request, USAGE, "chapterctl help", "%s needs \"%s\"",
                                 request->command->name, argument_rows[i].name);
    return OK;
}

enum status control_parse(struct control_wait *request)
{
    char quote[CONTROL_QUOTE_SIZE];
    struct mp_reader reader;
    struct slice name;
    uint64_t version;

    mp_reader_init(&reader, slice_of(request->bytes, request->size));
    mp_read_array_exact(&reader, 4);
    version = mp_read_uint(&reader, UINT64_MAX);
    request->id = mp_read_uint(&reader, UINT64_MAX);
    if (reader.status == OK && version != CONTROL_VERSION)
        return control_error(request, UNSUPPORTED,
                             "use the chapterctl that came with this daemon",
                             "version %llu of the control protocol is not spoken here",
                             (unsigned long long)version);
    name = mp_read_str(&reader, COMMAND_NAME_MAX);
    if (reader.status != OK)
        return control_error(request, INVALID, "use the chapterctl that came with this daemon",
                             "the request is malformed");
    request->command = control_command_of(name);
    if (request->command == NULL)
        return control_error(request, USAGE, "use the chapterctl that came with this daemon",
                             "there is no command \"%s\"", control_quote(name, quote));
    return parse_arguments(request, &reader);
}
