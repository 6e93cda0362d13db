/* SPDX-License-Identifier: MPL-2.0 */
/* control_members.c - members in pages, filtered while their rows are walked, and one by its
 * id. */
#include "daemon/control_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>

#define NEEDLE_SIZE 1024 /* a search text, folded */
#define CLOCK_EVERY 512  /* rows between looks at the clock */
#define PAGE_MS_MAX 50   /* a page ends then, whatever was found */
#define CURSOR_SIZE (CODE_SIZE + 24)

/* What is asked for; an empty slice or NONE: anything. */
struct filter {
    enum member_kind kind;
    enum member_status status;
    bool by_country;
    char country[2];
    size_t needle_size;
    uint8_t needle[NEEDLE_SIZE];
};

/* --- search ------------------------------------------------------------------------------- */

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] >= 0x80)
            return false;
    return true;
}

/* Folded for comparison without case, NFC; false if it does not fit. */
static bool fold(struct slice text, uint8_t *out, size_t capacity, size_t *out_size)
{
    size_t size = capacity;
    uint8_t *folded;

    if (text.size > capacity)
        return false;
    if (is_ascii(text)) {
        for (size_t i = 0; i < text.size; i++)
            out[i] = text.data[i] >= 'A' && text.data[i] <= 'Z' ? (uint8_t)(text.data[i] | 0x20)
                                                                : text.data[i];
        *out_size = text.size;
        return true;
    }
    folded = u8_casefold(text.data, text.size, NULL, UNINORM_NFC, out, &size);
    if (folded != out) {
        free(folded); /* out was too small for it */
        return false;
    }
    *out_size = size;
    return true;
}

static bool holds_needle(const struct filter *filter, struct slice text)
{
    uint8_t folded[4 * NEEDLE_SIZE];
    size_t size = 0;

    return fold(text, folded, sizeof folded, &size) &&
           memmem(folded, size, filter->needle, filter->needle_size) != NULL;
}

static bool found_in(const struct filter *filter, const struct record_view *view)
{
    static const char *const searched[] = { "name", "email", "external_id" };
    char id[UUID_TEXT_SIZE];
    struct slice text;

    uuid_format(view->change->id, id);
    if (holds_needle(filter, slice_of_text(id)))
        return true;
    for (size_t i = 0; i < sizeof searched / sizeof searched[0]; i++)
        if (record_view_text(view, searched[i], &text) && holds_needle(filter, text))
            return true;
    return false;
}

/* --- the filter --------------------------------------------------------------------------- */

static enum status read_kind_and_status(struct control_wait *request, struct filter *filter)
{
    const struct argument *kind = ARGUMENT(request, kind);
    const struct argument *status = ARGUMENT(request, status);
    char quote[CONTROL_QUOTE_SIZE];

    if (kind->given && (filter->kind = member_kind_of(kind->text)) == KIND_NONE)
        return control_error(request, USAGE, "use individual, organization or affiliate",
                             "there is no kind \"%s\"", control_quote(kind->text, quote));
    if (status->given && (filter->status = member_status_of(status->text)) == MEMBER_NONE)
        return control_error(request, USAGE, "use active, pending, lapsed, suspended or left",
                             "there is no status \"%s\"", control_quote(status->text, quote));
    return OK;
}

static enum status read_filter(struct control_wait *request, struct filter *filter)
{
    const struct argument *country = ARGUMENT(request, country);
    const struct argument *search = ARGUMENT(request, search);
    char quote[CONTROL_QUOTE_SIZE];
    enum status status;

    memset(filter, 0, sizeof *filter);
    if ((status = read_kind_and_status(request, filter)) != OK)
        return status;
    if (country->given) {
        if (country->text.size != 0 && country->text.size != 2)
            return control_error(request, USAGE, "use its two letters, as FR",
                                 "there is no country \"%s\"",
                                 control_quote(country->text, quote));
        filter->by_country = true;
        for (size_t i = 0; i < country->text.size; i++)
            filter->country[i] =
                (char)(country->text.data[i] >= 'a' ? country->text.data[i] & ~0x20
                                                    : country->text.data[i]);
    }
    if (search->given &&
        !fold(search->text, filter->needle, sizeof filter->needle, &filter->needle_size))
        return control_error(request, USAGE, "search for less",
                             "the text to search for is too long");
    return OK;
}

static bool is_member(const struct change *change)
{
    return change->type == RECORD_MEMBER && (change->tiers & TIERS_FEDERATION) &&
           !value_is_removal(change->value[TIER_FEDERATION]);
}

/* By what every node holds: no look-up needed. */
static bool passes(const struct filter *filter, const struct change *change)
{
    struct member_facts facts;

    if (!is_member(change))
        return false;
    if (filter->kind == KIND_NONE && filter->status == MEMBER_NONE && !filter->by_country)
        return true;
    member_facts_of(change->value[TIER_FEDERATION], &facts);
    return (filter->kind == KIND_NONE || facts.kind == filter->kind) &&
           (filter->status == MEMBER_NONE || facts.status == filter->status) &&
           (!filter->by_country || memcmp(facts.country, filter->country, 2) == 0);
}

/* --- a page ------------------------------------------------------------------------------- */

struct page {
    struct control_wait *request;
    struct filter filter;
    struct store_txn *txn;
    struct mp_writer *rows;
    uint64_t limit;
    uint64_t count;
    uint64_t visits;
    int64_t started_ms;
    uint64_t reached;
    struct record_view view;
};

static bool page_full(const struct page *page)
{
    return page->count >= page->limit || page->rows->size >= CONTROL_PAGE_SIZE ||
           page->visits >= CONTROL_VISITS_MAX ||
           (page->visits % CLOCK_EVERY == CLOCK_EVERY - 1 &&
            node_now(page->request->node) - page->started_ms > PAGE_MS_MAX);
}

static enum status take_row(struct page *page, const struct node_feed *feed,
                            const struct change *change)
{
    enum status status;

    if (!passes(&page->filter, change))
        return OK;
    status = record_view_init(&page->view, page->request->node, feed, page->txn, change, true);
    if (status != OK)
        return status;
    if (page->filter.needle_size != 0 && !found_in(&page->filter, &page->view))
        return OK;
    record_view_write_member(&page->view, page->rows);
    page->count++;
    return page->rows->status;
}

/* Rows of one feed after page->reached; *out_full: the page ended before they did. */
static enum status walk_feed(struct page *page, const struct node_feed *feed, bool *out_full)
{
    CLEANUP(store_cursor_close) struct store_cursor cursor = { 0 };
    const uint32_t number = feed->record.tier[TIER_FEDERATION].number;
    struct change change;
    enum status status;

    if (number == 0)
        return OK;
    status = store_cursor_open(page->txn, number, TIERS_BOTH, page->reached, &cursor);
    while (status == OK) {
        if (page_full(page)) {
            *out_full = true;
            return OK;
        }
        if ((status = store_cursor_next(&cursor, &change)) != OK)
            break;
        page->visits++;
        page->reached = change.seq;
        status = take_row(page, feed, &change);
    }
    return status == NOT_FOUND ? OK : status;
}

/* "fr:1234": go on in that feed, after that seq. */
static bool read_cursor(struct slice text, char out_code[CODE_SIZE], uint64_t *out_seq)
{
    const uint8_t *colon = memchr(text.data, ':', text.size);
    char number[24];
    char *end;

    if (colon == NULL ||
        !slice_copy_text(slice_of(text.data, (size_t)(colon - text.data)), out_code,
                         CODE_SIZE) ||
        !slice_copy_text(slice_of(colon + 1, text.size - (size_t)(colon - text.data) - 1),
                         number, sizeof number) ||
        number[0] < '0' || number[0] > '9')
        return false;
    *out_seq = strtoull(number, &end, 10);
    return *end == '\0';
}

/* Walks the feeds from the cursor on; out_cursor is "" when all were walked. */
static enum status walk(struct page *page, uint32_t only, const char *from,
                        char out_cursor[CURSOR_SIZE])
{
    struct node *node = page->request->node;
    uint32_t order[ORIGINS_MAX];
    const size_t count = control_feed_order(node, order);

    out_cursor[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const struct node_feed *feed = node->feeds[order[i]];
        const char *origin = feed->replica.feed.origin;
        bool full = false;
        enum status status;

        if ((only != NO_PEER && order[i] != only) || strcmp(origin, from) < 0)
            continue;
        if (strcmp(origin, from) != 0)
            page->reached = 0;
        if ((status = walk_feed(page, feed, &full)) != OK)
            return status;
        if (full) {
            (void)snprintf(out_cursor, CURSOR_SIZE, "%s:%llu", origin,
                           (unsigned long long)page->reached);
            return OK;
        }
    }
    return OK;
}

static void write_page(struct mp_writer *writer, const struct page *page, const char *cursor)
{
    mp_write_map(writer, cursor[0] != '\0' ? 2 : 1);
    if (cursor[0] != '\0')
        mp_write_key_text(writer, "cursor", cursor);
    mp_write_text(writer, "members");
    mp_write_array(writer, page->count);
    mp_write_raw(writer, mp_writer_bytes(page->rows));
}

enum status control_members_list(struct control_wait *request, struct mp_writer *writer)
{
    CLEANUP(mp_writer_done) struct mp_writer rows = { 0 };
    const struct argument *limit = ARGUMENT(request, limit);
    const struct argument *cursor = ARGUMENT(request, cursor);
    struct page page = { .request = request, .rows = &rows, .limit = CONTROL_PAGE_ROWS_MAX };
    char from[CODE_SIZE] = "";
    char next[CURSOR_SIZE];
    uint32_t only;
    enum status status;

    if ((status = read_filter(request, &page.filter)) != OK ||
        (status = control_feed_of(request, ARGUMENT(request, chapter), &only)) != OK)
        return status;
    if (limit->given && limit->number == 0)
        return control_error(request, USAGE, "leave it out for all",
                             "\"limit\" must be at least 1");
    if (limit->given && limit->number < page.limit)
        page.limit = limit->number;
    if (cursor->given && !read_cursor(cursor->text, from, &page.reached))
        return control_error(request, USAGE, "ask again without it",
                             "the cursor is not one that this daemon gave");
    if ((status = control_reading(request, &page.txn)) != OK)
        return status;
    page.started_ms = node_now(request->node);
    mp_writer_init_heap(&rows, CONTROL_SIZE_MAX);
    status = walk(&page, only, from, next);
    if (status != OK)
        return rows.status != OK ? OK : control_store_error(request, status);
    write_page(writer, &page, next);
    return OK;
}

/* --- one member --------------------------------------------------------------------------- */

void control_row_as_change(const struct store_row *row, struct change *out_change)
{
    memset(out_change, 0, sizeof *out_change);
    out_change->type = row->type;
    out_change->tiers = row->tiers;
    out_change->seq = row->seq[TIER_FEDERATION];
    memcpy(out_change->id, row->id, ID_SIZE);
    memcpy(out_change->value, row->value, sizeof out_change->value);
}

enum status control_find_member(struct control_wait *request, struct store_txn *txn,
                                const struct node_feed **out_feed, struct store_row *out_row)
{
    const uint8_t *id = ARGUMENT(request, id)->id;
    const struct node *node = request->node;
    char text[UUID_TEXT_SIZE];

    for (size_t i = 0; i < node->replica.feed_count; i++) {
        const struct node_feed *feed = node->feeds[i];
        const uint32_t number = feed->record.tier[TIER_FEDERATION].number;
        enum status status = NOT_FOUND;

        if (number != 0)
            status = store_get_row(txn, number, id, out_row);
        if (status != OK && status != NOT_FOUND)
            return control_store_error(request, status);
        if (status == OK && out_row->type == RECORD_MEMBER &&
            (out_row->tiers & TIERS_FEDERATION) &&
            !value_is_removal(out_row->value[TIER_FEDERATION])) {
            *out_feed = feed;
            return OK;
        }
    }
    uuid_format(id, text);
    return control_error(request, NOT_FOUND, "chapterctl members list --search TEXT",
                         "no member has the id %s", text);
}

enum status control_members_get(struct control_wait *request, struct mp_writer *writer)
{
    const struct node_feed *feed = NULL;
    struct store_txn *txn = NULL;
    struct record_view view;
    struct store_row row = { .tiers = 0 };
    struct change change;
    enum status status;

    if ((status = control_reading(request, &txn)) != OK ||
        (status = control_find_member(request, txn, &feed, &row)) != OK)
        return status;
    control_row_as_change(&row, &change);
    if ((status = record_view_init(&view, request->node, feed, txn, &change, true)) != OK)
        return control_store_error(request, status);
    mp_write_map(writer, 1);
    mp_write_text(writer, "member");
    record_view_write_member(&view, writer);
    return OK;
}
