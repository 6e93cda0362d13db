/* SPDX-License-Identifier: MPL-2.0 */
/* command_join.c - `chapterd join`: from a token to a directory that belongs to a federation.
 * Keys and token are on disk before anything is sent, and the membership comes last, in one
 * transaction: whatever fails in between, the same command can be given again. */
#include "daemon/command.h"
#include "daemon/words.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUOTED_SIZE (2 * COMMAND_PATH_SIZE)

struct join {
    const char *dir;
    char quoted[QUOTED_SIZE];     /* dir, for a shell */
    char where[3 * ADDRESS_SIZE]; /* --listen and --advertise as given, for the next command */
    char text[TOKEN_SIZE_MAX];
    struct token token;
    struct membership membership; /* to be */
    int lock;
};

/* --- the token ---------------------------------------------------------------------------- */

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

/* All of stdin: mail programs fold lines, and the folds belong to the token. */
static bool read_stdin(char out_text[TOKEN_SIZE_MAX])
{
    const size_t size = fread(out_text, 1, TOKEN_SIZE_MAX - 1, stdin);

    out_text[size] = '\0';
    return size < TOKEN_SIZE_MAX - 1 || getc(stdin) == EOF;
}

static bool no_token(const char *quoted)
{
    command_error("no token is given");
    command_remedy(
        "give the line that HQ sent (chapterctl invite): chapterd join TOKEN --dir %s", quoted);
    command_remedy("or on standard input: chapterd join - --dir %s < FILE", quoted);
    return false;
}

/* From the argument, from stdin, or the one of the join that has not ended. */
static bool get_token(struct join *join, const char *argument)
{
    const bool from_stdin =
        argument != NULL ? strcmp(argument, "-") == 0 : isatty(STDIN_FILENO) == 0;
    const char *reason = "";

    join->text[0] = '\0';
    if (argument != NULL && !from_stdin &&
        !slice_copy_text(slice_of_text(argument), join->text, sizeof join->text)) {
        command_error("this is no token: it is longer than any token");
        return no_token(join->quoted);
    }
    if (from_stdin && !read_stdin(join->text)) {
        command_error("standard input is longer than any token");
        return no_token(join->quoted);
    }
    if (argument == NULL && is_blank(join->text) && pending_load(join->dir, join->text) == OK)
        command_note("going on with the join that has not ended");
    if (is_blank(join->text))
        return no_token(join->quoted);
    if (token_parse(slice_of_text(join->text), &join->token, &reason) == OK)
        return true;
    command_error("this is no token that can be used: %s", reason);
    command_remedy("copy the whole line again, from chapterd1. to its end; or ask HQ for a new"
                   " one (chapterctl invite)");
    return false;
}

static uint64_t wall_s(void)
{
    return (uint64_t)(clock_wall_ms() / 1000);
}

static bool is_expired(const struct token *token)
{
    return token->expires <= wall_s();
}

static void format_time(uint64_t seconds, char out_text[32])
{
    const time_t time = (time_t)seconds;
    struct tm utc;

    if (gmtime_r(&time, &utc) == NULL ||
        strftime(out_text, 32, "%Y-%m-%d %H:%M UTC", &utc) == 0)
        memcpy(out_text, "?", 2);
}

/* --- what can go wrong -------------------------------------------------------------------- */

static void remedy_repeat(const struct join *join)
{
    command_remedy(
        "then again: chapterd join --dir %s%s; its keys and the token are kept there",
        join->quoted, join->where);
}

static void remedy_new_token(const struct join *join)
{
    command_remedy(
        "ask HQ for a new one (chapterctl invite %s), then: chapterd join TOKEN --dir"
        " %s%s",
        join->token.code, join->quoted, join->where);
}

static void explain_unreachable(const struct join *join, const struct enrol_report *report)
{
    const char *address = join->token.address[report->address];
    char expired[32];

    command_error("HQ cannot be reached at %s: %s", address, report->detail);
    if (is_expired(&join->token)) {
        format_time(join->token.expires, expired);
        command_remedy("the token expired on %s besides", expired);
        remedy_new_token(join);
        return;
    }
    if (report->outcome == OUTCOME_UNRESOLVED)
        command_remedy("the name is unknown here: check this machine's name resolution (getent"
                       " hosts NAME), or tell HQ, who may have to use init's --advertise");
    else
        command_remedy("HQ may be down, or a firewall in between (both this port and the next"
                       " are needed): ask HQ, or try nc -vz HOST PORT");
    command_remedy("then give the same command again");
}

static void explain_answer(const struct join *join, const struct identity *identity,
                           enum wire_enrol_result result)
{
    char key[2 * KEY_SIZE + 1];

    hex_format(identity->curve_public, KEY_SIZE, key);
    switch (result) {
    case ENROL_UNKNOWN:
        command_error("HQ knows no such invitation for %s: it was taken back, or HQ's data are"
                      " older than the token",
                      join->token.code);
        remedy_new_token(join);
        break;
    case ENROL_EXPIRED:
        command_error("the token has expired");
        remedy_new_token(join);
        break;
    case ENROL_USED:
        command_error("the token was used already, by other keys than those in %s", join->dir);
        command_remedy(
            "if that was you, use the directory of that time; if not, tell HQ at once"
            " that somebody else has it");
        command_remedy("the key of this directory: %s", key);
        break;
    case ENROL_WAITING:
        command_error("HQ has to approve this chapter first");
        command_remedy("let HQ compare this key with what it sees: %s", key);
        remedy_repeat(join);
        break;
    case ENROL_NOT_NOW:
        command_error("HQ is there but cannot take a chapter in at this moment");
        command_remedy("look at HQ's own state (chapterctl status, at HQ)");
        remedy_repeat(join);
        break;
    default:
        command_error("HQ did not understand the request (answer %d)", (int)result);
        command_remedy("compare the versions here and at HQ: chapterd version");
        break;
    }
}

static void explain_outcome(const struct join *join, const struct identity *identity,
                            const struct enrol_report *report)
{
    const char *address = join->token.address[report->address];

    switch (report->outcome) {
    case OUTCOME_UNRESOLVED:
    case OUTCOME_UNREACHABLE:
        explain_unreachable(join, report);
        break;
    case OUTCOME_NOT_HQ:
        command_error("what answers at %s does not prove to be the HQ of this token", address);
        command_remedy(
            "HQ may be too busy to answer: give the same command again.  Otherwise"
            " it has new keys, another program has its port, or somebody is in between:"
            " use a way that you trust for the new token");
        remedy_new_token(join);
        break;
    case OUTCOME_DENIED:
        command_error("HQ at %s admits no new chapter: no invitation is open there%s", address,
                      is_expired(&join->token) ? ", and the token has expired" : "");
        command_remedy("the token was probably used from another directory, or has expired");
        remedy_new_token(join);
        break;
    case OUTCOME_SILENT:
        command_error("HQ at %s is there but does not answer", address);
        command_remedy("it may be busy, or another version: compare chapterd version");
        remedy_repeat(join);
        break;
    case OUTCOME_ANSWERED:
        explain_answer(join, identity, (enum wire_enrol_result)report->answer.result);
        break;
    case OUTCOME_FAILED:
        command_error("cannot dial HQ at %s: %s", address, status_text(report->status));
        command_remedy("check this machine's network and memory");
        remedy_repeat(join);
        break;
    }
}

/* --- the way ------------------------------------------------------------------------------ */

static bool same_genesis(const struct join *join, const uint8_t *genesis, size_t size)
{
    return slice_equal(slice_of(genesis, size),
                       slice_of(join->token.genesis, join->token.genesis_size));
}

/* DIR has a membership. */
static int joined_already(const struct join *join, const struct membership *present)
{
    if (same_genesis(join, present->genesis, present->genesis_size) &&
        strcmp(present->code, join->token.code) == 0) {
        command_print("%s has joined already, as %s; nothing was changed.", join->dir,
                      present->code);
        command_print("Next: chapterd run --dir %s", join->quoted);
        pending_remove(join->dir);
        return command_flush() ? COMMAND_OK : COMMAND_FAILED;
    }
    command_error("%s belongs to another chapter or federation, as %s", join->dir,
                  present->code);
    command_remedy("choose another directory: chapterd join TOKEN --dir DIR");
    return COMMAND_FAILED;
}

/* Keys are for one chapter of one federation; a newer token of the same is welcome. */
static bool pending_agrees(const struct join *join)
{
    static struct token pending;
    char text[TOKEN_SIZE_MAX];
    const char *reason;
    bool agrees = true;

    if (pending_load(join->dir, text) == OK &&
        token_parse(slice_of_text(text), &pending, &reason) == OK)
        agrees = same_genesis(join, pending.genesis, pending.genesis_size) &&
                 strcmp(pending.code, join->token.code) == 0;
    if (!agrees) {
        command_error("%s holds the keys of another join that has not ended, as %s", join->dir,
                      pending.code);
        command_remedy("choose another directory: chapterd join TOKEN --dir DIR; or give that"
                       " join up: rm -r %s",
                       join->quoted);
    }
    sodium_memzero(&pending, sizeof pending);
    sodium_memzero(text, sizeof text);
    return agrees;
}

static void fill_membership(struct join *join, const struct wire_enrolled *answer)
{
    const struct token *token = &join->token;
    struct membership *membership = &join->membership;
    const bool answer_newer =
        answer->roster_epoch > token->roster_epoch ||
        (answer->roster_epoch == token->roster_epoch && answer->roster_seq > token->roster_seq);

    memcpy(membership->genesis, token->genesis, token->genesis_size);
    membership->genesis_size = token->genesis_size;
    memcpy(membership->code, token->code, sizeof membership->code);
    memcpy(membership->hq_curve, token->hq_curve_key, KEY_SIZE);
    membership->floor_epoch = answer_newer ? answer->roster_epoch : token->roster_epoch;
    membership->floor_seq = answer_newer ? answer->roster_seq : token->roster_seq;
}

static int report_joined(const struct join *join)
{
    static struct genesis genesis;
    char fingerprint[FINGERPRINT_SIZE];

    membership_fingerprint(&join->membership, fingerprint);
    if (genesis_read(slice_of(join->token.genesis, join->token.genesis_size), &genesis) == OK)
        command_print("Joined \"%s\" as %s, \"%s\".", genesis.name, join->token.code,
                      join->token.name);
    command_print("  fingerprint  %s (compare it with HQ's)", fingerprint);
    command_print("  directory    %s", join->dir);
    if (join->membership.listen[0] == '\0') {
        command_print("  dial-only    this chapter dials the others, nobody dials it");
    } else {
        command_print("  listens on   %s and the next port", join->membership.listen);
        command_print("  dialled as   %s", join->membership.advertise);
    }
    command_print("Next: chapterd run --dir %s", join->quoted);
    return command_flush() ? COMMAND_OK : COMMAND_FAILED;
}

/* Keys and token are on disk from here on. */
static int ask(struct join *join)
{
    CLEANUP(identity_wipe) struct identity identity = { 0 };
    struct enrol_report report;
    enum status status;

    if ((status = directory_keys(join->dir, &join->lock, &identity)) != OK ||
        (status = pending_store(join->dir, join->text)) != OK)
        return command_fail(join->dir, status);
    enrol_ask(&join->token, &identity, join->membership.advertise, &report);
    if (report.outcome != OUTCOME_ANSWERED || report.answer.result != ENROL_OK) {
        explain_outcome(join, &identity, &report);
        return COMMAND_FAILED;
    }
    fill_membership(join, &report.answer);
    memcpy(join->membership.hq_address, join->token.address[report.address], ADDRESS_SIZE);
    if ((status = membership_store(join->dir, &join->membership)) != OK) {
        (void)command_fail(join->dir, status);
        remedy_repeat(join);
        return COMMAND_FAILED;
    }
    pending_remove(join->dir);
    return report_joined(join);
}

/* A port that cannot be bound here would be in the roster for good: look before HQ is asked. */
static bool can_listen(const struct join *join)
{
    struct transport_config config = { .control_path = NULL };
    struct transport *transport = NULL;
    char host[ADDRESS_SIZE];
    enum status status;

    if (join->membership.listen[0] == '\0')
        return true;
    status = address_parse(join->membership.listen, host, sizeof host, &config.listen_port);
    config.listen_host = host;
    /* Any keys do: nobody is admitted, and it is closed at once. */
    crypto_box_keypair(config.curve_public, config.curve_secret);
    if (status == OK)
        status = transport_open(&config, &transport);
    transport_close(&transport);
    sodium_memzero(config.curve_secret, sizeof config.curve_secret);
    if (status == OK)
        return true;
    command_error("--listen %s: %s", join->membership.listen,
                  status == ADDRESS_IN_USE ? "that port, or the next, is in use"
                                           : "this machine cannot listen there");
    command_remedy("give an address of this machine and a free port, or --dial-only;"
                   " the token is not used up");
    return false;
}

static int run(struct join *join)
{
    static struct membership present;
    struct enrol_report report;
    char expired[32];
    enum status status = directory_look(join->dir, &join->lock, &present);

    if (status == OK)
        return joined_already(join, &present);
    if (status != NOT_FOUND)
        return command_fail(join->dir, status);
    if (!pending_agrees(join))
        return COMMAND_FAILED;
    if (!can_listen(join))
        return COMMAND_FAILED;
    if (!enrol_probe(&join->token, &report)) {
        explain_unreachable(join, &report);
        return COMMAND_FAILED;
    }
    if (is_expired(&join->token)) {
        format_time(join->token.expires, expired);
        command_note("by this machine's clock the token expired on %s; HQ decides", expired);
    }
    return ask(join);
}

static void remember_where(struct join *join, const char *listen, const char *advertise)
{
    char quoted[ADDRESS_SIZE + 4];
    size_t size = 0;

    if (listen != NULL)
        size = (size_t)snprintf(join->where, sizeof join->where, " --listen %s",
                                words_quote(quoted, sizeof quoted, listen));
    if (advertise != NULL)
        (void)snprintf(join->where + size, sizeof join->where - size, " --advertise %s",
                       words_quote(quoted, sizeof quoted, advertise));
}

int command_join(int argc, char **argv)
{
    static struct join join = { .lock = -1 };
    const char *argument = NULL;
    const char *dir = NULL;
    const char *listen = NULL;
    const char *advertise = NULL;
    bool dial_only = false;
    const struct command_option options[] = {
        { "--dir", &dir, NULL },
        { "--listen", &listen, NULL },
        { "--advertise", &advertise, NULL },
        { "--dial-only", NULL, &dial_only },
    };
    const struct command_line line = { options, sizeof options / sizeof options[0], &argument };
    char buffer[COMMAND_PATH_SIZE];
    int code;

    if (!command_parse(&line, argc, argv, &code))
        return code;
    if (dial_only && listen != NULL) {
        command_error("--dial-only and --listen exclude each other");
        command_remedy("leave one of them out");
        return COMMAND_USAGE;
    }
    if ((join.dir = command_directory(dir, buffer)) == NULL || !command_socket_fits(join.dir) ||
        !command_addresses(listen, advertise, &join.membership))
        return COMMAND_USAGE;
    command_harden(false);
    (void)words_quote(join.quoted, sizeof join.quoted, join.dir);
    remember_where(&join, listen, advertise);
    code = get_token(&join, argument) ? run(&join) : COMMAND_USAGE;
    directory_unlock(&join.lock);
    sodium_memzero(join.text, sizeof join.text);
    sodium_memzero(&join.token, sizeof join.token);
    return code;
}
