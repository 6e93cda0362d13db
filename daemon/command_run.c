/* SPDX-License-Identifier: MPL-2.0 */
/* command_run.c - `chapterd run`: the daemon, in the foreground, until a signal or a failure
 * ends it. stderr is its log; what stops it from starting is logged with its remedy, too. */
#include "chapterd/version.h"
#include "daemon/command.h"
#include "daemon/io/clock.h"
#include "daemon/io/sandbox.h"
#include "daemon/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GIVE_BACK_INTERVAL_MS 10000
#define GIVE_BACK_CHANGES 1000 /* fewer are not worth it */

static volatile sig_atomic_t stop_signal;
static volatile sig_atomic_t reload_asked;

/* A signal between looking at the flags and sleeping would be noticed only at the end of the
 * sleep: the alarm wakes the sleeper once more, and each alarm sets the next until all is
 * noticed. */
static void on_signal(int signal)
{
    if (signal == SIGHUP)
        reload_asked = 1;
    else if (signal != SIGALRM)
        stop_signal = signal;
    if (stop_signal != 0 || reload_asked != 0)
        (void)alarm(1);
}

static bool catch_signals(void)
{
    static const int caught[] = { SIGTERM, SIGINT, SIGHUP, SIGALRM };
    struct sigaction action = { .sa_handler = on_signal };

    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof caught / sizeof caught[0]; i++)
        if (sigaction(caught[i], &action, NULL) != 0)
            return false;
    return true;
}

/* --- configuration ------------------------------------------------------------------------ */

struct run {
    const char *dir;
    const char *format; /* --log-format, or NULL */
    char file[COMMAND_PATH_SIZE];
    bool file_given; /* then it must be there */
    struct settings settings;
    struct sandbox sandbox; /* that is in force */
};

static enum status load_settings(const struct run *run, struct settings *out_settings)
{
    struct settings_error error = { 0 };
    enum status status = settings_load(run->file, out_settings, &error);

    if (status == NOT_FOUND && !run->file_given) {
        settings_init(out_settings);
        status = OK;
    }
    if (status == OK && run->format != NULL)
        status = settings_set(out_settings, "log_format", run->format, &error);
    if (status == INVALID)
        log_event(LOG_ERROR,
                  "event=config_refused file=\"%s\" line=%zu error=\"%s\""
                  " remedy=\"%s\"",
                  run->file, error.line, error.text, error.remedy);
    else if (status != OK)
        log_event(LOG_ERROR,
                  "event=config_refused file=\"%s\" error=\"%s\" remedy=\"check the"
                  " file's name, and that this user may read it\"",
                  run->file, status_text(status));
    return status;
}

static void use_log_settings(const struct settings *settings)
{
    log_set_form(settings->log_format);
    log_set_level(settings->log_level);
}

/* What a running daemon can change is how it logs. */
static void reload(struct run *run)
{
    struct settings settings;
    bool restart;

    if (load_settings(run, &settings) != OK)
        return;
    use_log_settings(&settings);
    restart = strcmp(settings.listen_text, run->settings.listen_text) != 0 ||
              strcmp(settings.advertise_text, run->settings.advertise_text) != 0 ||
              settings.store_size != run->settings.store_size ||
              settings.core_dumps != run->settings.core_dumps ||
              settings.sandbox != run->settings.sandbox ||
              strcmp(settings.backup_dir_text, run->settings.backup_dir_text) != 0;
    log_event(LOG_NOTICE, "event=config_read file=\"%s\" restart_needed=%s", run->file,
              restart ? "yes" : "no");
}

/* --- the daemon --------------------------------------------------------------------------- */

static const char *stored_listen(const char *dir)
{
    static struct membership membership;

    return membership_load(dir, &membership) == OK ? membership.listen : "";
}

static int refuse(const struct run *run, const char *listen, enum status status)
{
    struct explanation explanation;

    if (listen == NULL)
        listen = status == ADDRESS_IN_USE || status == UNREACHABLE || status == DENIED
                     ? stored_listen(run->dir)
                     : "";
    explain_open(run->dir, listen, status, &explanation);
    log_event(LOG_ERROR, "event=start_failed error=\"%s\" remedy=\"%s\"", explanation.what,
              explanation.remedy);
    return COMMAND_FAILED;
}

/* HQ's tokens name the host of the setting, with the port that is listened on. */
static void use_advertise(struct node *node, const char *host)
{
    char listen_host[ADDRESS_SIZE];
    char address[ADDRESS_SIZE + 16];
    uint16_t port;
    int length;

    if (host[0] == '\0' || node->listen[0] == '\0' ||
        address_parse(node->listen, listen_host, sizeof listen_host, &port) != OK)
        return;
    length = snprintf(address, sizeof address, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u",
                      host, (unsigned)port);
    if (length > 0 && (size_t)length < sizeof node->advertise)
        memcpy(node->advertise, address, (size_t)length + 1);
}

static void say_ready(const struct node *node)
{
    char federation[2 * HASH_SIZE + 1];

    hex_format(node->federation, HASH_SIZE, federation);
    log_event(LOG_NOTICE,
              "event=ready chapter=%s role=%s federation=%s listen=\"%s\" pid=%ld version=%s"
              " sandbox=\"%s\" dir=\"%s\"",
              node->code, node->is_hq ? "hq" : "chapter", federation,
              node->listen[0] != '\0' ? node->listen : SETTINGS_DIAL_ONLY, (long)getpid(),
              CHAPTERD_VERSION, node->config.sandbox != NULL ? node->config.sandbox : "off",
              node->dir);
}

/* What many changes took of memory the C library keeps, although it is free again: megabytes
 * for as long as the daemon runs.  The system gets it back. */
static void give_memory_back(const struct node *node)
{
    static int64_t looked_ms;
    static uint64_t changes_then;
    const uint64_t changes = node->counters.changes_written + node->counters.changes_applied;

    if (clock_monotonic_ms() < looked_ms + GIVE_BACK_INTERVAL_MS)
        return;
    looked_ms = clock_monotonic_ms();
    if (changes - changes_then < GIVE_BACK_CHANGES)
        return;
    changes_then = changes;
    (void)malloc_trim(0);
}

static int turn_until_stopped(struct run *run, struct node *node)
{
    while (stop_signal == 0) {
        const enum status status = node_turn(node, -1);

        give_memory_back(node);
        if (reload_asked != 0) {
            reload_asked = 0;
            reload(run);
        }
        if (status != OK) {
            log_event(LOG_ERROR,
                      "event=failed status=%s error=\"%s\" remedy=\"nothing that was"
                      " acknowledged is lost; check the disk of %s (dmesg, df -h), then start"
                      " chapterd again\"",
                      status_name(status), status_text(status), node->dir);
            return COMMAND_FAILED;
        }
    }
    /* A copy of the store that was made while it ran, put back in place, tells itself then. */
    if (store_marker_renew(node->store, node->dir) != OK)
        log_event(LOG_WARNING, "event=marker_not_renewed");
    log_event(LOG_NOTICE, "event=stopped signal=%d", (int)stop_signal);
    return COMMAND_OK;
}

/* Before there are threads: it is for those that are made later. */
static void enter_sandbox(struct run *run)
{
    const struct sandbox_places places = { run->dir, run->file, run->settings.backup_dir_text };

    if (!run->settings.sandbox)
        return;
    sandbox_enter(&places, &run->sandbox);
    if (!run->sandbox.files || !run->sandbox.system_calls)
        log_event(
            LOG_NOTICE,
            "event=sandbox_incomplete has=\"%s\" remedy=\"Landlock needs Linux 5.19 or newer"
            " with it among its security modules, seccomp a build with libseccomp\"",
            sandbox_text(&run->sandbox));
}

static int run_node(struct run *run)
{
    CLEANUP(node_close) struct node *node = NULL;
    const char *listen =
        run->settings.listen_text[0] != '\0' ? run->settings.listen_text : NULL;
    struct node_config config = { .dir = run->dir, .store_size = run->settings.store_size };
    enum status status;

    if (listen != NULL && strcmp(listen, SETTINGS_DIAL_ONLY) == 0)
        listen = "";
    config.listen = listen;
    if (run->settings.sandbox)
        config.sandbox = sandbox_text(&run->sandbox);
    if ((status = node_open(&config, &node)) != OK)
        return refuse(run, listen, status);
    use_advertise(node, run->settings.advertise_text);
    say_ready(node);
    return turn_until_stopped(run, node);
}

int command_run(int argc, char **argv)
{
    static struct run run;
    const char *dir = NULL;
    const char *file = NULL;
    const struct command_option options[] = {
        { "--dir", &dir, NULL },
        { "--config", &file, NULL },
        { "--log-format", &run.format, NULL },
    };
    const struct command_line line = { options, sizeof options / sizeof options[0], NULL };
    char buffer[COMMAND_PATH_SIZE];
    int length;
    int code;

    if (!command_parse(&line, argc, argv, &code))
        return code;
    if (run.format != NULL && strcmp(run.format, "text") != 0 &&
        strcmp(run.format, "json") != 0) {
        command_error("--log-format %s is neither text nor json", run.format);
        command_remedy("chapterd run --log-format=text");
        return COMMAND_USAGE;
    }
    if ((run.dir = command_directory(dir, buffer)) == NULL)
        return COMMAND_USAGE;
    run.file_given = file != NULL;
    length = file != NULL
                 ? snprintf(run.file, sizeof run.file, "%s", file)
                 : snprintf(run.file, sizeof run.file, "%s/" SETTINGS_FILE_NAME, run.dir);
    if (length < 0 || (size_t)length >= sizeof run.file) {
        command_error("the path of the configuration file is too long");
        command_remedy("choose a shorter one: --config FILE");
        return COMMAND_USAGE;
    }
    if (run.format != NULL)
        log_set_form(run.format[0] == 'j' ? LOG_AS_JSON : LOG_AS_TEXT);
    if (!run.file_given && access(run.dir, F_OK) == 0 && access(run.dir, X_OK) != 0)
        return refuse(&run, "", status_of_errno(errno));
    if (load_settings(&run, &run.settings) != OK || !command_socket_fits(run.dir))
        return COMMAND_FAILED;
    use_log_settings(&run.settings);
    command_harden(run.settings.core_dumps);
    command_allow_files();
    enter_sandbox(&run);
    if (!catch_signals()) {
        log_event(LOG_ERROR, "event=start_failed error=\"%s\"", strerror(errno));
        return COMMAND_FAILED;
    }
    return run_node(&run);
}
