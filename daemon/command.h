/* SPDX-License-Identifier: MPL-2.0 */
/* command.h - what the commands of chapterd share: options, messages, and a node's directory.
 * Private to main.c and command_*.c; a message says what happened, then what to do about it. */
#ifndef CHAPTERD_COMMAND_H
#define CHAPTERD_COMMAND_H

#include "daemon/node_internal.h"

enum command_exit { COMMAND_OK = 0, COMMAND_FAILED = 1, COMMAND_USAGE = 2 };

/* X(name, function's suffix, arguments, what it does): argv[0] is the command's name. */
#define COMMAND_TABLE(X)                                                                       \
    X("init", init, "--hq --dir DIR [--name NAME] [--listen HOST:PORT] [--advertise HOST]",    \
      "make a federation; prints its fingerprint and, once, the recovery key")                 \
    X("join", join,                                                                            \
      "[TOKEN|-] --dir DIR [--listen HOST:PORT [--advertise HOST] | --dial-only]",             \
      "enrol this chapter with the token that HQ sent")                                        \
    X("restore", restore, "FILE --dir DIR", "a node's directory from a backup")                \
    X("recover", recover, "--dir DIR",                                                         \
      "opens HQ's next epoch after a restore, with the recovery key on standard input")        \
    X("run", run, "--dir DIR [--config FILE] [--log-format=text|json]",                        \
      "the daemon, in the foreground")                                                         \
    X("check-config", check_config, "[FILE] [--dir DIR]",                                      \
      "check a configuration file and print what it sets")                                     \
    X("version", version, "", "print the versions of program, protocol and store")

#define COMMAND_FUNCTION(name, function, arguments, help)                                      \
    int command_##function(int argc, char **argv);
COMMAND_TABLE(COMMAND_FUNCTION)
#undef COMMAND_FUNCTION

/* --- command_line.c: options and messages ------------------------------------------------- */
struct command_option {
    const char *name;   /* with its dashes */
    const char **value; /* takes a value; or */
    bool *flag;         /* takes none */
};
struct command_line {
    const struct command_option *options;
    size_t option_count;
    const char **argument; /* one that is no option; NULL: none is taken */
};
/* False after a message, with the exit code; also after --help, which has printed the usage. */
bool command_parse(const struct command_line *line, int argc, char **argv, int *out_exit);

/* "chapterd: ..." to stderr, and below it the remedy; both are escaped. */
void command_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void command_remedy(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* To stdout, escaped; command_flush is false if not all of it could be written. */
void command_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool command_flush(void);
/* What is going on, to stderr. */
void command_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* As many open files as the system allows, and no more than a node may need: each connection is
 * one, and takes memory. */
void command_allow_files(void);
/* Keys are in this memory: no core dumps, no debugger of the same user. */
void command_harden(bool core_dumps);

/* --- command_directory.c: DIR ------------------------------------------------------------- */
#define COMMAND_PATH_SIZE 4096
/* `given`, else the running user's; NULL after a message. */
const char *command_directory(const char *given, char buffer[COMMAND_PATH_SIZE]);

/* What makes a directory a node's: one transaction in its store. */
struct membership {
    uint8_t genesis[GENESIS_SIZE_MAX];
    size_t genesis_size;
    char code[CODE_SIZE];
    uint8_t hq_curve[KEY_SIZE];
    char hq_address[ADDRESS_SIZE];
    char listen[ADDRESS_SIZE];
    char advertise[ADDRESS_SIZE];
    uint64_t floor_epoch;
    uint64_t floor_seq;
};
/* NOT_FOUND if DIR belongs to no federation (yet). */
enum status membership_load(const char *dir, struct membership *out_membership) MUST_CHECK;
/* Makes the store if there is none. */
enum status membership_store(const char *dir, const struct membership *membership) MUST_CHECK;
/* Locks DIR if it is there.  OK: it is out_membership's; NOT_FOUND: it is nobody's. */
enum status directory_look(const char *dir, int *lock,
                           struct membership *out_membership) MUST_CHECK;
/* After NOT_FOUND: makes DIR, lock and keys as far as they are not there. */
enum status directory_keys(const char *dir, int *lock,
                           struct identity *out_identity) MUST_CHECK;
/* The federation's id in groups of four digits. */
#define FINGERPRINT_SIZE (2 * HASH_SIZE + HASH_SIZE / 2)
void membership_fingerprint(const struct membership *membership,
                            char out_text[FINGERPRINT_SIZE]);

/* The token of a join that has not ended, in DIR/keys. */
enum status pending_load(const char *dir, char out_text[TOKEN_SIZE_MAX]) MUST_CHECK;
enum status pending_store(const char *dir, const char *text) MUST_CHECK;
void pending_remove(const char *dir);

/* From --listen and --advertise to what is stored; false after a message.  listen NULL:
 * dial-only. Notes on stderr which host is advertised if it had to be guessed. */
bool command_addresses(const char *listen, const char *advertise,
                       struct membership *membership);
/* Is the control socket's path short enough for the system?  False after a message. */
bool command_socket_fits(const char *dir);

/* Why DIR could not be opened, and what to do about it. */
struct explanation {
    char what[COMMAND_PATH_SIZE + 512];
    char remedy[COMMAND_PATH_SIZE + 512];
};
/* listen: the address in force, "" if none. */
void explain_open(const char *dir, const char *listen, enum status status,
                  struct explanation *out_explanation);
/* The same as a message; returns COMMAND_FAILED. */
int command_fail(const char *dir, enum status status);

/* --- command_enrol.c: the talk with HQ ---------------------------------------------------- */
enum enrol_outcome {
    OUTCOME_UNRESOLVED,  /* in order of how far it came */
    OUTCOME_UNREACHABLE, /* nothing answers */
    OUTCOME_NOT_HQ,      /* something answers that does not prove HQ's key */
    OUTCOME_DENIED,      /* HQ admits no unknown keys now */
    OUTCOME_SILENT,      /* HQ admits us and does not answer */
    OUTCOME_ANSWERED,
    OUTCOME_FAILED /* something went wrong on this machine */
};
struct enrol_report {
    enum enrol_outcome outcome;
    enum status status; /* of OUTCOME_FAILED */
    size_t address;     /* index of the token's address that it is about */
    char detail[256];   /* the system's words on unresolved and unreachable */
    struct wire_enrolled answer;
};
/* Can any of the token's addresses be connected to?  Needs no keys. */
bool enrol_probe(const struct token *token, struct enrol_report *out_report);
/* Asks HQ at each address until one answers. */
void enrol_ask(const struct token *token, const struct identity *identity,
               const char *advertise, struct enrol_report *out_report);

#endif
