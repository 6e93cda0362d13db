/* SPDX-License-Identifier: MPL-2.0 */
/* commands.h - every command of chapterctl: one row gives dispatch, help and "did you mean".
 * The manual page's test reads the same rows through `chapterctl help`. */
#ifndef CHAPTERCTL_COMMANDS_H
#define CHAPTERCTL_COMMANDS_H

#include "client/session.h"

#define COMMAND_READS 1u /* may be repeated with -w */

/* X(function, noun, verb or "", arguments, summary, flags, details) */
#define COMMAND_TABLE(X)                                                                       \
    X(command_status, "status", "", "[CHAPTER] [-v]",                                          \
      "in step or not; every feed and every peer", COMMAND_READS,                              \
      "  -v           explains the columns, and prints more of them and the counters\n")       \
    X(command_explain, "explain", "", "CHAPTER",                                               \
      "why a chapter is stale or behind here, and what to do", COMMAND_READS,                  \
      "  -v           explains the columns and every cause that there is\n"                    \
      "For any chapter, hq and this node's own among them.\n")                                 \
    X(command_counts, "counts", "", "[--by chapter|country|kind|status|month]",                \
      "how many members there are", COMMAND_READS,                                             \
      "  --by WHAT    a row for each chapter, country, kind, status or month of joining\n"     \
      "Figures are of members with status active; --by status counts the others too.\n")       \
    X(command_members_list, "members", "list",                                                 \
      "[--chapter C] [--country CC] [--kind K] [--status S] [--search TEXT] [--limit N]",      \
      "members, of all chapters or chosen ones", COMMAND_READS,                                \
      "  --chapter C  of that chapter          --country CC  of that country\n"                \
      "  --kind K     individual, organization or affiliate\n"                                 \
      "  --status S   active, pending, lapsed, suspended or left\n"                            \
      "  --search T   with that text in a field that this node may see\n"                      \
      "  --limit N    at most so many; else 100, or all with --json\n")                        \
    X(command_members_show, "members", "show", "ID",                                           \
      "one member, as far as this node may see", COMMAND_READS, "")                            \
    X(command_members_add, "members", "add", "[--again] FIELD=VALUE...",                       \
      "a new member of this chapter", 0,                                                       \
      "  --again      even if it is somebody who was erased here\n"                            \
      "  e.g. chapterctl members add name='Zoé Durand' country=FR email=zoe@example.fr\n")     \
    X(command_members_edit, "members", "edit", "ID FIELD=VALUE...",                            \
      "changes fields; FIELD= deletes one", 0,                                                 \
      "  e.g. chapterctl members edit ID country=LU phone=\n")                                 \
    X(command_members_remove, "members", "remove", "ID [--confirm]",                           \
      "removes a member of this chapter", 0,                                                   \
      "  --confirm    even if more than 10 % of the members went within a day\n")              \
    X(command_members_erase, "members", "erase", "ID [--wait S]",                              \
      "takes a person out of every node's files, for good", 0,                                 \
      "  --wait S     so long until every node has confirmed; asked again it only tells\n"     \
      "Exit 4 as long as a node has not.  The id is not used again; the same e-mail or\n"      \
      "external id comes back only with members add --again.\n")                               \
    X(command_members_apply, "members", "apply", "- [--confirm]",                              \
      "changes as JSON lines from stdin, a result line each", 0,                               \
      "  {\"op\":\"put\",\"id\":ID,\"fields\":{NAME:VALUE}}   without id a new member; null "  \
      "deletes\n"                                                                              \
      "  {\"op\":\"remove\",\"id\":ID}\n"                                                      \
      "  --confirm    removals, even of more than 10 % of the members within a day\n"          \
      "Results come in order, each once it is durable; exit 4 if any failed.\n")               \
    X(command_members_lapse, "members", "lapse", "[--confirm]",                                \
      "members past their date of expiry", 0,                                                  \
      "  --confirm    sets them to lapsed, however many they are\n")                           \
    X(command_import, "import", "",                                                            \
      "FILE.csv [--apply] [--mode update|fill|skip] [--absent keep|lapse] [--force]",          \
      "members from a CSV file; a dry run unless --apply", 0,                                  \
      "  --apply      does it; without it nothing changes, and all that would is shown\n"      \
      "  --mode       of known members: update fields that the file gives, fill empty\n"       \
      "               ones only, or skip them\n"                                               \
      "  --absent     what to do with members that are not in the file\n"                      \
      "  --force      even if that is more than 10 % of them\n"                                \
      "Columns: id, external_id, kind, name, email, country, city, language, phone,\n"         \
      "joined, expires, status, notes; only name is required, others are kept.\n"              \
      "UTF-8, UTF-16LE or Windows-1252; separated by commas, semicolons or tabs.\n"            \
      "Rejected rows go to NAME.rejects.csv: mend them there and import that file.\n"          \
      "Ctrl-C ends it between changes; the same import again makes the rest.\n")               \
    X(command_export, "export", "", "[-o FILE]", "members as a CSV file", 0,                   \
      "  -o FILE      where to; else standard output\n")                                       \
    X(command_log, "log", "", "[--member ID] [--chapter C] [--since T] [-n N] [-f]",           \
      "changes as they were applied", 0,                                                       \
      "  --member ID  of that member           --chapter C  of that chapter\n"                 \
      "  --since T    from 2026-01-31, 2026-01-31T12:00:00Z or 24h (ago)\n"                    \
      "  -n N         the newest N of each chapter, at most 1000\n"                            \
      "  -f           follows: waits for more; begins with the newest 10\n")                   \
    X(command_wait, "wait", "", "[--lag N] [--chapter C] [--timeout S]",                       \
      "until this node is in step; exit 1 on time-out", 0,                                     \
      "  --lag N      so many changes behind are in step, too\n"                               \
      "  --chapter C  looks at that chapter's feed alone\n"                                    \
      "  --timeout S  60 seconds unless told\n")                                               \
    X(command_verify, "verify", "", "[--deep] [--against hq|CHAPTER]",                         \
      "proof that this copy is each origin's state", COMMAND_READS,                            \
      "  --deep       recounts from the rows   --against X  compares heads with that node, "   \
      "too\n"                                                                                  \
      "Exit 4 and the origins if it is not.\n")                                                \
    X(command_invite, "invite", "",                                                            \
      "CHAPTER [--name N] [--country CC] [--ttl 72h]"                                          \
      " [--records-max N] [--bytes-max SIZE] [--approve]",                                     \
      "a token with which a chapter joins (HQ)", 0,                                            \
      "  --name N     the chapter's full name  --country CC  where it is\n"                    \
      "  --ttl T      how long the token is good for; 72h unless told\n"                       \
      "  --records-max N     members that its feed may hold; 200000 unless told\n"             \
      "  --bytes-max SIZE    bytes that it may take at each node; 256M unless told\n"          \
      "  --approve    whoever comes with it waits until you have compared the keys\n")         \
    X(command_invite_list, "invite", "list", "", "invitations and who waits (HQ)",             \
      COMMAND_READS, "KEY is what chapterd join prints at the chapter: compare both.\n")       \
    X(command_invite_approve, "invite", "approve", "ID",                                       \
      "takes in the chapter that waits (HQ)", 0,                                               \
      "Compare the KEY of invite list with the chapter's first, by telephone for example.\n")  \
    X(command_invite_revoke, "invite", "revoke", "ID", "makes a token worthless (HQ)", 0, "")  \
    X(command_chapters_list, "chapters", "list", "", "the roster", COMMAND_READS, "")          \
    X(command_chapters_show, "chapters", "show", "CHAPTER",                                    \
      "one chapter's entry in the roster", COMMAND_READS, "")                                  \
    X(command_chapters_edit, "chapters", "edit",                                               \
      "CHAPTER [--name N] [--country CC] [--records-max N] [--bytes-max N]",                   \
      "changes what the roster says of a chapter (HQ)", 0,                                     \
      "  --name N     its full name            --country CC  where it is\n"                    \
      "  --records-max N, --bytes-max N   the most that its feed may hold; 0: any number\n")   \
    X(command_chapters_suspend, "chapters", "suspend", "CHAPTER",                              \
      "takes nothing more of a chapter, for now (HQ)", 0,                                      \
      "Its links are cut; what all hold of its members stays, and is counted.\n")              \
    X(command_chapters_rekey, "chapters", "rekey", "CHAPTER [--ttl 72h] [--approve]",          \
      "a token for new keys of a chapter that lost its own (HQ)", 0,                           \
      "  --ttl T      how long the token is good for; 72h unless told\n"                       \
      "  --approve    whoever comes with it waits until you have compared the keys\n"          \
      "There, in a new directory: chapterd join TOKEN --dir DIR.  The old keys end with "      \
      "that.\n")                                                                               \
    X(command_chapters_resume, "chapters", "resume", "CHAPTER", "ends a suspension (HQ)", 0,   \
      "")                                                                                      \
    X(command_chapters_revoke, "chapters", "revoke", "CHAPTER",                                \
      "takes nothing more of a chapter, for good (HQ)", 0,                                     \
      "Its links are cut; its feed ends with the change that HQ holds now, everywhere.  "      \
      "What\n"                                                                                 \
      "is held of its members stays; the chapter counts no more among the chapters.\n")        \
    X(command_keys_show, "keys", "show", "", "the keys of this node", COMMAND_READS, "")       \
    X(command_keys_rotate, "keys", "rotate", "[--recovery]",                                   \
      "another signing key in the place of this one", 0,                                       \
      "  --recovery   at HQ: signed by the recovery key, read from standard input,\n"          \
      "               when somebody else has HQ's key\n"                                       \
      "Exit 4 if it is not in force yet: a chapter's needs HQ.\n")                             \
    X(command_surplus_list, "surplus", "list", "",                                             \
      "what a state from before a recovery has, for you to decide", COMMAND_READS,             \
      "THERE: put, a member as it was; remove, it was removed.  HERE: gone, nobody has the\n"  \
      "member any more (erased since, or never told to anybody); removed; other, changed.\n")  \
    X(command_surplus_adopt, "surplus", "adopt", "ID|all", "writes it again, as it was there", \
      0, "")                                                                                   \
    X(command_surplus_discard, "surplus", "discard", "ID|all", "leaves it as it is here", 0,   \
      "Of members that are gone, what this node still has of them is deleted.\n")              \
    X(command_tiers_list, "tiers", "list", "", "which field of a member goes how far",         \
      COMMAND_READS,                                                                           \
      "federation: every node; hq: HQ and this chapter; chapter: this chapter alone.\n")       \
    X(command_tiers_set, "tiers", "set", "FIELD=TIER...",                                      \
      "how far fields of this chapter's members go", 0,                                        \
      "  e.g. chapterctl tiers set country=hq joined=chapter      FIELD= is the default\n"     \
      "The records that it concerns are put anew; id, kind and status go to every node.\n")    \
    X(command_who_sees, "who-sees", "", "ID", "each field of a member and who receives it",    \
      COMMAND_READS, "")                                                                       \
    X(command_backup, "backup", "", "FILE", "this node's store and keys in one file", 0,       \
      "The file must not be there yet; the daemon writes it.  It holds the secret keys.\n"     \
      "Back: chapterd restore FILE --dir DIR\n")                                               \
    X(command_compact, "compact", "", "", "the store without the room of what was deleted", 0, \
      "Deleted bytes are gone from the disk then.  Nothing is written or read meanwhile.\n")   \
    X(command_config_show, "config", "show", "", "the daemon's settings", COMMAND_READS, "")   \
    X(command_help, "help", "", "[COMMAND]", "this list, or one command", 0, "")               \
    X(command_version, "version", "", "", "of chapterctl and of the daemon", COMMAND_READS, "")

typedef enum exit_code command_function(struct session *session, int argc, char **argv);

struct command {
    command_function *function;
    const char *noun;
    const char *verb; /* "" if it has none */
    const char *arguments;
    const char *summary;
    unsigned flags;
    const char *details;
};

/* Finds the command of argv[0] (and argv[1], where the noun has verbs); NULL with the error
 * reported.  *out_words says how many of argv are its name. */
const struct command *command_find(const struct options *options, int argc, char **argv,
                                   int *out_words);
void command_print_help(const struct command *command);

#define COMMAND_DECLARE(function, noun, verb, arguments, summary, flags, details)              \
    command_function function;
COMMAND_TABLE(COMMAND_DECLARE)
#undef COMMAND_DECLARE

#endif
