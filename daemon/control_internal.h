/* SPDX-License-Identifier: MPL-2.0 */
/* control_internal.h - one request of a local program, and what the commands share.  Private to
 * control.c and control_*.c; the protocol is in include/chapterd/control.h. */
#ifndef CHAPTERD_CONTROL_INTERNAL_H
#define CHAPTERD_CONTROL_INTERNAL_H

#include "daemon/jobs.h"
#include "daemon/node_internal.h"

#define CONTROL_PARKED_MAX 256                       /* requests that wait */
#define CONTROL_PARKED_BYTES_MAX (64u * 1024 * 1024) /* of theirs, in all */
#define CONTROL_PAGE_SIZE (1024 * 1024)              /* a page ends here */
#define CONTROL_VISITS_MAX 20000                     /* rows looked at for one page */
#define CONTROL_TURN_OPS_MAX DELTA_ONE_TURN_MAX      /* changes taken into one turn */
#define CONTROL_TIME_MAX_MS 86400000                 /* that a request may ask to wait */
#define CONTROL_TEXT_SIZE 256                        /* error and remedy */
#define CONTROL_QUOTE_SIZE 72                        /* of a client's word in them */

enum argument_form {
    FORM_TEXT,
    FORM_CODE, /* a chapter's */
    FORM_UINT,
    FORM_BOOL,
    FORM_ID,   /* UUID */
    FORM_TIME, /* seconds since 1970, an ISO date, or RFC 3339 in UTC */
    FORM_MAP,
    FORM_LIST
};

/* X(name, form): a name means the same in every command. */
#define ARGUMENT_TABLE(X)                                                                      \
    X(after, FORM_MAP)                                                                         \
    X(against, FORM_CODE)                                                                      \
    X(approve, FORM_BOOL)                                                                      \
    X(brief, FORM_BOOL)                                                                        \
    X(by, FORM_TEXT)                                                                           \
    X(bytes_max, FORM_UINT)                                                                    \
    X(chapter, FORM_CODE)                                                                      \
    X(confirm, FORM_BOOL)                                                                      \
    X(country, FORM_TEXT)                                                                      \
    X(cursor, FORM_TEXT)                                                                       \
    X(deep, FORM_BOOL)                                                                         \
    X(fields, FORM_MAP)                                                                        \
    X(file, FORM_TEXT)                                                                         \
    X(id, FORM_ID)                                                                             \
    X(invitation, FORM_TEXT)                                                                   \
    X(kind, FORM_TEXT)                                                                         \
    X(lag, FORM_UINT)                                                                          \
    X(limit, FORM_UINT)                                                                        \
    X(member, FORM_ID)                                                                         \
    X(name, FORM_TEXT)                                                                         \
    X(newest, FORM_BOOL)                                                                       \
    X(ops, FORM_LIST)                                                                          \
    X(private, FORM_BOOL)                                                                      \
    X(records_max, FORM_UINT)                                                                  \
    X(recovery, FORM_TEXT)                                                                     \
    X(search, FORM_TEXT)                                                                       \
    X(since, FORM_TIME)                                                                        \
    X(status, FORM_TEXT)                                                                       \
    X(timeout_ms, FORM_UINT)                                                                   \
    X(ttl_s, FORM_UINT)                                                                        \
    X(wait_ms, FORM_UINT)

#define ARGUMENT_ENUM(name, form) ARGUMENT_##name,
enum argument_index { ARGUMENT_TABLE(ARGUMENT_ENUM) ARGUMENT_COUNT };
#undef ARGUMENT_ENUM
#define ARGUMENT_BIT(name) (1u << ARGUMENT_##name)

struct argument {
    bool given;
    bool flag;         /* FORM_BOOL */
    uint64_t number;   /* FORM_UINT, FORM_TIME */
    struct slice text; /* FORM_TEXT; the raw value of FORM_MAP and FORM_LIST */
    char code[CODE_SIZE];
    uint8_t id[ID_SIZE];
};

struct control_command;

/* REQUEST_ANSWERED: the answer waits for the turn's commit, or has left. */
enum request_stage { REQUEST_NEW, REQUEST_PARKED, REQUEST_ANSWERED };

/* A request, from its arrival until the turn of its answer is over. */
struct control_wait {
    struct control_wait *next;
    struct node *node;
    transport_link link;
    uint64_t id;
    int64_t uid;
    const struct control_command *command;
    enum request_stage stage;
    bool left; /* answered, and that turn is over */
    uint8_t *bytes;
    size_t size;
    struct argument arguments[ARGUMENT_COUNT];
    int64_t arrived_ms;
    int64_t due_ms;        /* parked: it is looked at again then, and in every turn before */
    size_t ops;            /* changes that it brought into the turn */
    bool removals_refused; /* those among them, because they are many */
    char error[CONTROL_TEXT_SIZE];
    char remedy[CONTROL_TEXT_SIZE];
    /* of those that wait for a job or a peer */
    bool job_asked;
    bool job_done;
    struct verify_result *verified;
    struct lapse_result lapsed;
    int64_t greeted_ms; /* 0: not yet */
    uint64_t hellos;    /* counted when it was greeted */
    uint64_t asked;     /* compactions when this one was asked for */
};

/* Writes the result and returns OK; or AGAIN to be parked until due_ms (which it sets); or
 * another status with control_error. */
typedef enum status control_handler(struct control_wait *request, struct mp_writer *writer);
enum command_kind {
    COMMAND_READS,  /* answered anew if the turn is dropped: it was not about what failed */
    COMMAND_WRITES, /* in order of arrival: parked ones hold later ones back */
    COMMAND_ACTS    /* in any order */
};
struct control_command {
    const char *name;
    control_handler *handle;
    unsigned arguments; /* bits of those it knows */
    unsigned required;
    enum command_kind kind;
};

static inline const struct argument *argument_of(const struct control_wait *request,
                                                 enum argument_index index)
{
    return &request->arguments[index];
}
#define ARGUMENT(request, name) argument_of((request), ARGUMENT_##name)

/* --- control_request.c: from bytes to a request ------------------------------------------- */
/* The command's row; NULL if there is none of that name. */
const struct control_command *control_command_of(struct slice name);
/* Reads request->bytes; a status with its error and remedy in request if they are wrong. */
enum status control_parse(struct control_wait *request) MUST_CHECK;

/* --- control_util.c ----------------------------------------------------------------------- */
/* Sets the error, with its remedy; returns status. */
enum status control_error(struct control_wait *request, enum status status, const char *remedy,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The start of a client's text, cut between characters. */
const char *control_quote(struct slice text, char out[CONTROL_QUOTE_SIZE]);
/* Indices of the feeds, ascending by code; returns how many. */
size_t control_feed_order(const struct node *node, uint32_t out_order[ORIGINS_MAX]);
/* NOT_FOUND, with the code that was probably meant. */
enum status control_unknown_chapter(struct control_wait *request, const char *code);
/* The chapter argument's feed, NO_PEER if none was given; NOT_FOUND with an error. */
enum status control_feed_of(struct control_wait *request, const struct argument *chapter,
                            uint32_t *out_feed) MUST_CHECK;
const char *control_chapter_name(const struct node *node, const char *code);
/* RFC 3339, UTC; nil for a time that has no such form. */
void control_write_time(struct mp_writer *writer, uint64_t seconds);
bool control_read_time(struct slice text, uint64_t *out_seconds);
void control_write_hex(struct mp_writer *writer, const void *data, size_t size);
void control_write_uuid(struct mp_writer *writer, const uint8_t id[ID_SIZE]);
/* A stored value in the form that control messages allow: binary as hex, not too deep. */
void control_write_value(struct mp_writer *writer, struct slice raw);
/* The turn's transaction for reading; without one the turn has failed, and this is an error. */
enum status control_reading(struct control_wait *request,
                            struct store_txn **out_txn) MUST_CHECK;
/* A failure of the store while reading, told to the client. */
enum status control_store_error(struct control_wait *request, enum status status);
/* May this request write now?  AGAIN: park it. */
enum status control_may_write(struct control_wait *request) MUST_CHECK;
/* Who asks, for the history: "uid 1000". */
void control_name_writer(const struct control_wait *request, char *out, size_t size);
/* A job keeps the request: it must be parked before, which this sees to (then: AGAIN). */
bool control_is_parked(struct control_wait *request);
/* The contract's map of a chapter. */
void control_write_chapter(struct mp_writer *writer, const struct roster_entry *entry);
/* Head of the federation tier; false if the feed has none. */
bool control_head_of(const struct node_feed *feed, struct head *out_head);
bool control_anybody_up(const struct node *node);
enum feed_state control_feed_state(const struct node *node, const struct node_feed *feed);
/* The members behind_changes (nil if how many cannot be told: another epoch) and
 * behind_seconds. */
void control_write_behind(struct mp_writer *writer, const struct node *node,
                          const struct node_feed *feed);
/* Heads carry no time: when the newest beat said that it is still the newest; nil if none did.
 * */
void control_write_head_time(struct mp_writer *writer, const struct node *node,
                             const struct node_feed *feed);
#define EXPLAIN_COMMAND_SIZE (sizeof "chapterctl explain " + CODE_SIZE)
/* The remedy where a chapter's feed is to be looked at. */
const char *control_explain_command(const char *code, char out[EXPLAIN_COMMAND_SIZE]);
/* A hello came since the start: somebody said what he knows. */
bool control_met_anybody(const struct node *node);
/* Does this feed matter to "in step", and is it (within lag changes)? */
bool control_in_step(const struct node *node, const struct node_feed *feed, uint64_t lag);

/* The member whose id is asked for; NOT_FOUND with an error. */
enum status control_find_member(struct control_wait *request, struct store_txn *txn,
                                const struct node_feed **out_feed,
                                struct store_row *out_row) MUST_CHECK;
void control_row_as_change(const struct store_row *row, struct change *out_change);

/* --- control_record.c: a record's fields from the tiers that this node holds -------------- */
#define FIELD_VIEWS_MAX (3 * RECORD_FIELDS_MAX + 8)
struct field_view {
    struct slice name;
    struct slice raw;
};
struct record_view {
    struct node *node;
    const struct node_feed *feed;
    struct store_txn *txn;
    const struct change *change; /* its federation value is there */
    struct slice hq;             /* SLICE_NONE if this node does not hold it */
    struct slice chapter;        /* tier chapter, own members only */
    struct field_view fields[FIELD_VIEWS_MAX];
    size_t field_count;
    uint8_t id[UUID_TEXT_SIZE + 1]; /* raw values that are not stored so */
    uint8_t code[CODE_SIZE + 1];
    uint8_t seq[9];
    uint8_t updated[32];
};
/* Looks up the tiers; with_private: tier chapter, too.  Fields are gathered by the writers. */
enum status record_view_init(struct record_view *view, struct node *node,
                             const struct node_feed *feed, struct store_txn *txn,
                             const struct change *change, bool with_private) MUST_CHECK;
/* The contract's map of a member. */
void record_view_write_member(struct record_view *view, struct mp_writer *writer);
/* The fields alone, without id, chapter, seq and updated. */
void record_view_write_fields(struct record_view *view, struct mp_writer *writer);
bool record_view_text(const struct record_view *view, const char *name, struct slice *out_text);

/* --- the commands ------------------------------------------------------------------------- */
control_handler control_status;           /* control_status.c */
control_handler control_explain;          /* control_explain.c */
control_handler control_counts;           /* control_counts.c */
control_handler control_members_list;     /* control_members.c */
control_handler control_members_get;      /* control_members.c */
control_handler control_members_apply;    /* control_write.c */
control_handler control_members_lapse;    /* control_write.c */
control_handler control_members_erase;    /* control_erase.c */
control_handler control_members_who_sees; /* control_tiers.c */
control_handler control_keys_rotate;      /* control_keys.c */
control_handler control_keys_show;        /* control_keys.c */
control_handler control_surplus_adopt;    /* control_surplus.c */
control_handler control_surplus_discard;  /* control_surplus.c */
control_handler control_surplus_list;     /* control_surplus.c */
control_handler control_tiers_list;       /* control_tiers.c */
control_handler control_tiers_set;        /* control_tiers.c */
control_handler control_invite;           /* control_invite.c */
control_handler control_invite_approve;   /* control_invite.c */
control_handler control_invite_list;      /* control_invite.c */
control_handler control_invite_revoke;    /* control_invite.c */
control_handler control_log;              /* control_log.c */
control_handler control_verify;           /* control_verify.c */
control_handler control_wait_in_step;     /* control_verify.c */
control_handler control_chapters_list;    /* control_about.c */
control_handler control_chapters_show;    /* control_about.c */
control_handler control_chapters_rekey;   /* control_invite.c */
control_handler control_backup;           /* control_backup.c */
control_handler control_compact;          /* control_backup.c */
control_handler control_config;           /* control_about.c */
control_handler control_version;          /* control_about.c */
control_handler control_chapters_edit;    /* control_roster.c */
control_handler control_chapters_resume;  /* control_roster.c */
control_handler control_chapters_revoke;  /* control_roster.c */
control_handler control_chapters_suspend; /* control_roster.c */
/* control_alarms.c: the list of {remedy, text}. */
enum status control_write_alarms(struct control_wait *request, struct mp_writer *writer);
/* It was restored, within a week: who came after the copy was made and was erased since is not
 * known here. */
bool control_erased_unknown(struct node *node);

#endif
