/* SPDX-License-Identifier: MPL-2.0 */
/* store_fuzz.c - any bytes as the entries of a backup: a node that was restored from them says
 * that they are damaged, or starts and answers.
 *
 * The first byte is its role; the rest are the entries.  The network alone is not real. */
#include <ftw.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "chapterd/control.h"
#include "daemon/command.h"
#include "daemon/io/backup.h"
#include "daemon/io/transport.h"
#include "daemon/node.h"
#include "tests/fuzz/fuzz.h"

#define TURNS 24

static char dir[] = "/dev/shm/chapterd-fuzz-XXXXXX";
static char file[64], restored[64];

/* --- a network with nobody but a local program -------------------------------------------- */

static const char *const questions[] = {
    "status",    "chapters.list", "members.list",  "counts",  "invite.list",
    "keys.show", "surplus.list",  "tiers.list",    "log",     "verify",
    "config",    "chapters.show", "members.lapse", "explain", "wait",
};
#define QUESTION_COUNT (sizeof questions / sizeof questions[0])
static size_t asked;

enum status transport_open(const struct transport_config *config, struct transport **out)
{
    static char there;

    (void)config;
    asked = 0;
    *out = (struct transport *)(void *)&there;
    return OK;
}

void transport_close(struct transport **transport)
{
    *transport = NULL;
}

enum status transport_wait(struct transport *transport, int64_t timeout_ms)
{
    (void)transport;
    (void)timeout_ms;
    return OK;
}

enum status transport_receive(struct transport *transport, struct transport_message *out)
{
    static uint8_t buffer[256];
    struct mp_writer writer;
    const char *question;

    (void)transport;
    if (asked == QUESTION_COUNT)
        return AGAIN;
    question = questions[asked++];
    mp_writer_init(&writer, buffer, sizeof buffer);
    mp_write_array(&writer, 4);
    mp_write_uint(&writer, CONTROL_VERSION);
    mp_write_uint(&writer, asked);
    mp_write_text(&writer, question);
    if (strcmp(question, "explain") == 0 || strcmp(question, "chapters.show") == 0) {
        mp_write_map(&writer, 1);
        mp_write_key_text(&writer, "chapter", "fr");
    } else if (strcmp(question, "verify") == 0) {
        mp_write_map(&writer, 1);
        mp_write_key_bool(&writer, "deep", true);
    } else if (strcmp(question, "wait") == 0) {
        mp_write_map(&writer, 1);
        mp_write_key_uint(&writer, "timeout_ms", 1);
    } else {
        mp_write_map(&writer, 0);
    }
    *out = (struct transport_message){
        .kind = TRANSPORT_CONTROL, .link = 1, .uid = 0, .data = mp_writer_bytes(&writer)
    };
    return OK;
}

/* Of a damaged store what leaves may be as bad as what is in it: who receives it looks. */
enum status transport_send(struct transport *transport, transport_link link, struct slice data)
{
    (void)transport;
    (void)link;
    (void)mp_valid(data); /* a sanitizer sees if it is not there */
    return OK;
}

enum status transport_publish(struct transport *transport, const char *topic, struct slice data)
{
    (void)transport;
    (void)topic;
    (void)mp_valid(data); /* a sanitizer sees if it is not there */
    return OK;
}

enum status transport_dial(struct transport *transport, const uint8_t key[KEY_SIZE],
                           const char *host, uint16_t port, transport_link *out_link)
{
    (void)transport;
    (void)key;
    (void)host;
    (void)port;
    *out_link = 2;
    return OK;
}

void transport_hang_up(struct transport *transport, transport_link link)
{
    (void)transport;
    (void)link;
}

bool transport_is_gone(struct transport *transport, transport_link link)
{
    (void)transport;
    (void)link;
    return false;
}

void transport_cut(struct transport *transport, const uint8_t key[KEY_SIZE], int64_t pause_ms)
{
    (void)transport;
    (void)key;
    (void)pause_ms;
}

enum status transport_cut_all(struct transport *transport)
{
    (void)transport;
    return OK;
}

void transport_version(char out_version[TRANSPORT_VERSION_SIZE])
{
    out_version[0] = '\0';
}

void transport_counters(const struct transport *transport, struct transport_counters *out)
{
    (void)transport;
    memset(out, 0, sizeof *out);
}

/* --- the file ----------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *found, int kind, struct FTW *place)
{
    (void)found;
    (void)kind;
    (void)place;
    return remove(path);
}

static void remove_all(void)
{
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void begin(void)
{
    if (file[0] != '\0')
        return;
    log_set_level(LOG_ERROR);
    ASSERT(freopen("/dev/null", "w", stdout) != NULL);
    ASSERT(sodium_init() >= 0 && mkdtemp(dir) != NULL);
    (void)atexit(remove_all);
    (void)snprintf(file, sizeof file, "%s/file", dir);
    (void)snprintf(restored, sizeof restored, "%s/restored", dir);
}

static void write_file(const char *code, struct slice entries)
{
    static const uint8_t zeros[KEY_SIZE];
    static uint8_t bytes[1024 * 1024];
    const size_t lead = 20;
    struct mp_writer writer;
    FILE *stream = fopen(file, "wb");

    ASSERT(stream != NULL && entries.size < sizeof bytes / 2);
    mp_writer_init(&writer, bytes + lead, 512);
    mp_write_array(&writer, 6);
    mp_write_uint(&writer, 2);
    mp_write_text(&writer, code);
    mp_write_bin(&writer, zeros, HASH_SIZE);
    mp_write_uint(&writer, 0);
    mp_write_bin(&writer, zeros, KEY_SIZE);
    mp_write_bin(&writer, zeros, KEY_SIZE);
    memcpy(bytes, "chapterd bak 2\0", 16);
    memcpy(bytes + 16, (uint8_t[]){ 0, 0, 0, (uint8_t)writer.size }, 4);
    memcpy(bytes + lead + writer.size, entries.data, entries.size);
    crypto_generichash(bytes + lead + writer.size + entries.size, HASH_SIZE, bytes,
                       lead + writer.size + entries.size, NULL, 0);
    ASSERT(fwrite(bytes, 1, lead + writer.size + entries.size + HASH_SIZE, stream) > 0);
    ASSERT(fclose(stream) == 0);
}

static void run(void)
{
    struct node_config config = { .dir = restored,
                                  .listen = "",
                                  .control_path = "",
                                  .store_size = (uint64_t)64 * 1024 * 1024 };
    struct node *node = NULL;
    enum status status = node_open(&config, &node);

    for (int i = 0; i < TURNS && status == OK; i++)
        status = node_turn(node, 0);
    node_close(&node);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    begin();
    if (size == 0)
        return 0;
    write_file(data[0] % 2 ? "hq" : "fr", slice_of(data + 1, size - 1));
    if (backup_restore(file, restored) == OK)
        run();
    (void)nftw(restored, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}
