/* SPDX-License-Identifier: MPL-2.0 */
/* reply_fuzz.c - any bytes as what a daemon answers chapterctl: each command takes them, ends,
 * and shows nothing that could move a cursor.
 *
 * The first byte is the command, the second the form of the output; then the replies, one after
 * the other.  When there are no more, the daemon hangs up.  The sockets alone are not real. */
#include <czmq.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/commands.h"
#include "tests/fuzz/fuzz.h"

#define ID "00112233-4455-6677-8899-aabbccddeeff"
#define FILE_NAME "members.csv"

/* Words are separated by blanks. */
static const char *const lines[] = {
    "status",
    "explain fr",
    "counts --by country",
    "members list",
    "members show " ID,
    "members add name=Somebody",
    "members edit " ID " country=LU",
    "members remove " ID,
    "members erase " ID,
    "members apply -",
    "members lapse",
    "import " FILE_NAME,
    "import " FILE_NAME " --apply --absent lapse --force",
    "export",
    "log",
    "wait",
    "verify --deep",
    "invite fr",
    "invite list",
    "invite approve 00",
    "invite revoke 00",
    "chapters list",
    "chapters show fr",
    "chapters edit fr --name F",
    "chapters suspend fr",
    "chapters rekey fr",
    "keys show",
    "keys rotate",
    "surplus list",
    "surplus adopt all",
    "tiers list",
    "tiers set country=hq",
    "who-sees " ID,
    "backup /b",
    "compact",
    "config show",
    "version",
};

static struct slice replies; /* those that were not read yet */

/* --- the sockets that session.c would use ------------------------------------------------- */

static char dealer, monitor, poller; /* their addresses stand for them */

int __wrap_session_try_socket(const char *path);
zsock_t *__wrap_zsock_new_checked(int type, const char *file, size_t line);
void __wrap_zsock_destroy_checked(zsock_t **socket, const char *file, size_t line);
int __wrap_zsock_connect(zsock_t *socket, const char *format, ...);
void *__wrap_zsock_resolve(void *socket);
int __wrap_zsock_events(void *socket);
void __wrap_zsock_set_linger(void *socket, int value);
void __wrap_zsock_set_handshake_ivl(void *socket, int value);
void __wrap_zsock_set_maxmsgsize(void *socket, int value);
void __wrap_zsock_set_sndtimeo(void *socket, int value);
void __wrap_zsys_handler_set(zsys_handler_fn *handler);
int __wrap_zmq_socket_monitor(void *socket, const char *endpoint, int events);
int __wrap_zmq_send(void *socket, const void *bytes, size_t size, int flags);
zpoller_t *__wrap_zpoller_new(void *reader, ...);
void *__wrap_zpoller_wait(zpoller_t *self, int timeout);
void __wrap_zpoller_destroy(zpoller_t **self);
zframe_t *__wrap_zframe_recv(void *socket);
void __wrap_zclock_sleep(int milliseconds);

int __wrap_session_try_socket(const char *path)
{
    (void)path;
    return 0;
}

zsock_t *__wrap_zsock_new_checked(int type, const char *file, size_t line)
{
    (void)file;
    (void)line;
    return (zsock_t *)(void *)(type == ZMQ_DEALER ? &dealer : &monitor);
}

void __wrap_zsock_destroy_checked(zsock_t **socket, const char *file, size_t line)
{
    (void)file;
    (void)line;
    *socket = NULL;
}

int __wrap_zsock_connect(zsock_t *socket, const char *format, ...)
{
    (void)socket;
    (void)format;
    return 0;
}

void *__wrap_zsock_resolve(void *socket)
{
    return socket;
}

int __wrap_zsock_events(void *socket)
{
    (void)socket;
    return 0;
}

void __wrap_zsock_set_linger(void *socket, int value)
{
    (void)socket;
    (void)value;
}

void __wrap_zsock_set_handshake_ivl(void *socket, int value)
{
    (void)socket;
    (void)value;
}

void __wrap_zsock_set_maxmsgsize(void *socket, int value)
{
    (void)socket;
    (void)value;
}

void __wrap_zsock_set_sndtimeo(void *socket, int value)
{
    (void)socket;
    (void)value;
}

void __wrap_zsys_handler_set(zsys_handler_fn *handler)
{
    (void)handler;
}

int __wrap_zmq_socket_monitor(void *socket, const char *endpoint, int events)
{
    (void)socket;
    (void)endpoint;
    (void)events;
    return 0;
}

/* What leaves must be what the daemon's reader takes. */
int __wrap_zmq_send(void *socket, const void *bytes, size_t size, int flags)
{
    (void)socket;
    (void)flags;
    ASSERT(mp_valid(slice_of(bytes, size)) && size <= CONTROL_SIZE_MAX);
    return (int)size;
}

zpoller_t *__wrap_zpoller_new(void *reader, ...)
{
    (void)reader;
    return (zpoller_t *)(void *)&poller;
}

void *__wrap_zpoller_wait(zpoller_t *self, int timeout)
{
    (void)self;
    (void)timeout;
    return replies.size > 0 ? &dealer : &monitor;
}

void __wrap_zpoller_destroy(zpoller_t **self)
{
    *self = NULL;
}

/* The next value; where there is none, all that is left. */
zframe_t *__wrap_zframe_recv(void *socket)
{
    struct slice frame = replies;
    struct mp_reader reader;
    struct slice value;

    (void)socket;
    mp_reader_init(&reader, replies);
    value = mp_read_raw(&reader, SIZE_MAX);
    if (value.size > 0)
        frame = value;
    replies = slice_of(replies.data + frame.size, replies.size - frame.size);
    return zframe_new(frame.data, frame.size);
}

void __wrap_zclock_sleep(int milliseconds)
{
    (void)milliseconds;
}

/* --- what it reads besides ---------------------------------------------------------------- */

static char dir[] = "/dev/shm/chapterd-fuzz-XXXXXX";

static void remove_all(void)
{
    (void)remove(FILE_NAME);
    (void)remove("members.rejects.csv");
    if (chdir("/") == 0)
        (void)rmdir(dir);
}

static void begin(void)
{
    static const char csv[] = "id,name,email,country,notes\r\n"
                              ",Zoé Durand,zoe@example.fr,FR,x\r\n"
                              "" ID ",Somebody,,LU,\r\n"
                              ",,nobody,ZZ,\r\n";
    static const char operations[] = "{\"op\":\"put\",\"fields\":{\"name\":\"A\"}}\n"
                                     "{\"op\":\"remove\",\"id\":\"" ID "\"}\n"
                                     "{\"op\":1}\n";
    static bool begun;
    FILE *file;
    int input;

    if (begun)
        return;
    begun = true;
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    ASSERT(mkdtemp(dir) != NULL && chdir(dir) == 0);
    (void)atexit(remove_all);
    file = fopen(FILE_NAME, "w");
    ASSERT(file != NULL && fputs(csv, file) >= 0 && fclose(file) == 0);
    input = memfd_create("input", MFD_CLOEXEC);
    ASSERT(input >= 0 && write(input, operations, strlen(operations)) > 0 &&
           dup2(input, STDIN_FILENO) == STDIN_FILENO);
}

/* --- what it shows ------------------------------------------------------------------------ */

struct shown {
    FILE *real;
    char *text;
    size_t size;
};

static FILE *catch_output(struct shown *shown, FILE *real)
{
    FILE *stream = open_memstream(&shown->text, &shown->size);

    ASSERT(stream != NULL);
    shown->real = real;
    return stream;
}

/* For people and as JSON nothing is raw but the ends of lines. */
static void check_output(struct shown *shown, bool people)
{
    for (size_t i = 0; people && i < shown->size; i++)
        ASSERT((uint8_t)shown->text[i] >= 0x20 || shown->text[i] == '\n');
    free(shown->text);
}

static void run(struct options *options, const char *line)
{
    char words[128];
    char *argv[16];
    int argc = 0;
    int used = 1;
    char *rest = words;
    const struct command *command;
    struct session *session = NULL;

    ASSERT(slice_copy_text(slice_of_text(line), words, sizeof words));
    while ((argv[argc] = strsep(&rest, " ")) != NULL)
        argc++;
    command = command_find(options, argc, argv, &used);
    ASSERT(command != NULL && session_open(options, &session) == OK);
    (void)command->function(session, argc - used + 1, argv + used - 1);
    session_close(&session);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct options options = { .socket_path = "/s",
                               .program = "chapterctl",
                               .timeout_seconds = 1 };
    struct shown out = { NULL, NULL, 0 };
    struct shown err = { NULL, NULL, 0 };

    begin();
    if (size < 2)
        return 0;
    options.form = (enum output_form)(data[1] % 3);
    options.verbose = (data[1] & 0x40) != 0;
    replies = slice_of(data + 2, size - 2);
    ASSERT(lseek(STDIN_FILENO, 0, SEEK_SET) == 0);
    stdout = catch_output(&out, stdout);
    stderr = catch_output(&err, stderr);
    run(&options, lines[data[0] % (sizeof lines / sizeof lines[0])]);
    ASSERT(fclose(stdout) == 0 && fclose(stderr) == 0);
    stdout = out.real;
    stderr = err.real;
    check_output(&out, options.form != OUTPUT_CSV);
    check_output(&err, true);
    return 0;
}
