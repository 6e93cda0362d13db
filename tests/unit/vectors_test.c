/* SPDX-License-Identifier: MPL-2.0 */
/* vectors_test.c - proto/vectors: each example is what the writers and signers make of fixed
 * keys, and the readers find in it what it says.  CHAPTERD_UPDATE_VECTORS=1 writes the files
 * and the corpus of the fuzzers anew: look at the difference before it is committed. */
#include "tests/unit/vector_forms.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "tests/fuzz/again.h"

#define VECTORS_DIRECTORY CHAPTERD_SOURCE_DIR "/proto/vectors"
#define DOCUMENT_SIZE_MAX (256 * 1024)
#define CORPUS_DIRECTORY CHAPTERD_SOURCE_DIR "/tests/fuzz/corpus"
#define LABELS(...)                                                                            \
    (const char *const[]){ __VA_ARGS__ },                                                      \
        sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *)

/* --- what the readers find ---------------------------------------------------------------- */

static void assert_hex(const void *data, size_t size, const char *expected)
{
    char hex[2 * 256 + 1];

    assert_non_null(expected);
    assert_true(size <= 256);
    hex_format(data, size, hex);
    assert_string_equal(hex, expected);
}

static void assert_text(struct slice map, const char *key, const char *expected)
{
    struct slice text;

    assert_true(mp_map_get_text(map, key, &text));
    assert_true(slice_is_text(text, expected));
}

static void check_genesis(const struct vector *vector)
{
    struct genesis genesis;
    uint8_t federation[HASH_SIZE];

    assert_int_equal(genesis_read(vector_bytes(vector), &genesis), OK);
    assert_string_equal(genesis.name, "Example Society");
    assert_int_equal(genesis.created, 1767225600);
    genesis_federation(vector_bytes(vector), federation);
    assert_hex(federation, sizeof federation, vector_stated(vector, "federation"));
    assert_int_equal(again_genesis(vector_bytes(vector)), AGAIN_SAME);
}

static void check_token(const struct vector *vector)
{
    const char *text = vector_stated(vector, "token");
    const char *reason = NULL;
    struct token token;
    uint8_t hash[HASH_SIZE];

    assert_non_null(text);
    assert_int_equal(token_parse(slice_of_text(text), &token, &reason), OK);
    assert_string_equal(token.code, "fr");
    assert_int_equal(token.address_count, 2);
    assert_string_equal(token.address[1], "[2001:db8::7]:7440");
    assert_int_equal(token.roster_seq, 1);
    token_secret_hash(token.secret, hash);
    assert_hex(hash, sizeof hash, vector_stated(vector, "hash of the secret"));
    assert_int_equal(again_token(slice_of_text(text)), AGAIN_SAME);
}

static void check_roster_entry(const struct vector *vector)
{
    struct roster_entry entry;
    uint8_t id[ID_SIZE];
    char text[UUID_TEXT_SIZE];

    assert_int_equal(roster_entry_read(vector_bytes(vector), &entry), OK);
    assert_string_equal(entry.code, "fr");
    assert_string_equal(entry.address, "fr.example.org:7440");
    assert_int_equal(entry.state, CHAPTER_ENROLLED);
    assert_int_equal(entry.epoch, 1);
    assert_int_equal(entry.records_max, 200000);
    roster_id_of(sample_get()->federation, entry.code, id);
    uuid_format(id, text);
    assert_string_equal(text, vector_stated(vector, "record id"));
    assert_int_equal(again_roster(vector_bytes(vector)), AGAIN_SAME);
}

static void check_revoked_entry(const struct vector *vector)
{
    struct roster_entry entry;

    assert_int_equal(roster_entry_read(vector_bytes(vector), &entry), OK);
    assert_int_equal(entry.state, CHAPTER_REVOKED);
    assert_int_equal(entry.until_epoch, 1);
    assert_int_equal(entry.until_seq, 5);
    assert_int_equal(again_roster(vector_bytes(vector)), AGAIN_SAME);
}

static void read_change(const struct vector *vector, struct change *out_change)
{
    struct mp_reader reader;

    mp_reader_init(&reader, vector_bytes(vector));
    change_read(&reader, TIERS_BOTH, out_change);
    assert_int_equal(mp_reader_finish(&reader), OK);
    assert_int_equal(out_change->type, RECORD_MEMBER);
}

static void check_member(const struct vector *vector)
{
    struct change change;
    struct member_facts facts;

    read_change(vector, &change);
    assert_int_equal(change.seq, 4);
    assert_text(change.value[TIER_FEDERATION], "joined", "2026-01-15");
    assert_text(change.value[TIER_HQ], "email", "zoe@example.org");
    member_facts_of(change.value[TIER_FEDERATION], &facts);
    assert_int_equal(facts.kind, KIND_INDIVIDUAL);
    assert_int_equal(facts.status, MEMBER_ACTIVE);
    assert_int_equal(facts.joined_month, 2026 * 12);
}

static void check_removal(const struct vector *vector)
{
    struct change change;

    read_change(vector, &change);
    assert_int_equal(change.seq, 5);
    assert_true(value_is_removal(change.value[TIER_FEDERATION]));
    assert_true(value_is_removal(change.value[TIER_HQ]));
}

static void check_signature(const struct vector *vector,
                            enum status (*verify)(struct slice, const uint8_t[KEY_SIZE]))
{
    const char *stated = vector_stated(vector, "public key");
    uint8_t key[KEY_SIZE];

    assert_non_null(stated);
    assert_int_equal(sodium_hex2bin(key, sizeof key, stated, strlen(stated), NULL, NULL, NULL),
                     0);
    assert_int_equal(verify(vector_bytes(vector), key), OK);
    key[0] ^= 1;
    assert_int_equal(verify(vector_bytes(vector), key), REFUSED);
}

static void check_head_first(const struct vector *vector)
{
    struct head head;

    assert_int_equal(head_read(vector_bytes(vector), &head), OK);
    assert_string_equal(head.origin, "hq");
    assert_int_equal(head.seq, 2);
    assert_int_equal(head.prev_seq, 0);
    assert_true(sodium_is_zero(head.prev_hash, HASH_SIZE));
    assert_hex(head.hash, HASH_SIZE, vector_stated(vector, "head hash"));
    check_signature(vector, head_verify);
    assert_int_equal(again_head(vector_bytes(vector)), AGAIN_SAME);
}

static void check_head(const struct vector *vector)
{
    struct head head;

    assert_int_equal(head_read(vector_bytes(vector), &head), OK);
    assert_string_equal(head.origin, "fr");
    assert_int_equal(head.seq, 5);
    assert_int_equal(head.prev_seq, 3);
    assert_int_equal(head.count[TIER_FEDERATION], 1);
    assert_int_equal(head.roster_seq, 2);
    assert_hex(head.hash, HASH_SIZE, vector_stated(vector, "head hash"));
    check_signature(vector, head_verify);
    assert_int_equal(again_head(vector_bytes(vector)), AGAIN_SAME);
}

static void check_beat(const struct vector *vector)
{
    struct beat beat;

    assert_int_equal(beat_read(vector_bytes(vector), &beat), OK);
    assert_int_equal(beat.seq, 5);
    assert_int_equal(beat.boot, 7);
    assert_int_equal(beat.counter, 41);
    assert_int_equal(beat.hq_counter, 1200);
    assert_memory_equal(beat.head_hash, sample_get()->heads[2].hash, HASH_SIZE);
    check_signature(vector, beat_verify);
    assert_int_equal(again_beat(vector_bytes(vector)), AGAIN_SAME);
}

/* The bytes of a leaf are hashed by hand; digest.c must come to the same. */
static void check_leaf(const struct vector *vector)
{
    const enum tier tier = (enum tier)vector->bytes[16];
    struct digest_sum sum;
    uint8_t hash[HASH_SIZE];

    crypto_generichash(hash, sizeof hash, vector->bytes, vector->size, NULL, 0);
    assert_hex(hash, sizeof hash, vector_stated(vector, "k"));
    digest_sum_clear(&sum);
    digest_add(&sum, "fr", tier, &sample_get()->changes[ZOE_CHANGED]);
    digest_of(&sum, tier, hash);
    assert_hex(hash, sizeof hash, vector_stated(vector, "digest of this leaf alone"));
}

/* Every message: it comes out as it went in.  What is in each is for the table of labels, which
 * the text of the file shows, and for wire_test.c. */
static void check_message(const struct vector *vector)
{
    assert_true(wire_type_of(vector_bytes(vector)) >= WIRE_HELLO);
    assert_true(wire_type_of(vector_bytes(vector)) <= WIRE_TYPE_LAST);
    assert_int_equal(again_message(vector_bytes(vector)), AGAIN_SAME);
}

static void check_control(const struct vector *vector)
{
    assert_int_equal(again_mp(vector_bytes(vector)), AGAIN_SAME);
}

/* --- the table ---------------------------------------------------------------------------- */

struct form {
    const char *name;
    const char *corpus; /* the fuzzer that begins with it */
    const char *explanation;
    void (*make)(struct vector *vector);
    void (*check)(const struct vector *vector);
    const char *const *labels; /* NULL for a leaf */
    size_t label_count;
};

static const struct form forms[] = {
#define FORM(name, corpus, explanation, make, check, ...)                                      \
    { name, corpus, explanation, make, check, __VA_ARGS__ },
#include "tests/unit/vector_table.h"
#undef FORM
};
#define FORM_COUNT (sizeof forms / sizeof forms[0])

/* --- files -------------------------------------------------------------------------------- */

static bool updating(void)
{
    const char *asked = getenv("CHAPTERD_UPDATE_VECTORS");

    return asked != NULL && strcmp(asked, "1") == 0;
}

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void assert_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "rb");
    char *found = malloc(size + 1);

    assert_non_null(file);
    assert_non_null(found);
    assert_int_equal(fread(found, 1, size + 1, file), size);
    fclose(file);
    assert_memory_equal(found, data, size);
    free(found);
}

/* The example and its text, as the writers make them today. */
static struct vector *make_vector(const struct form *form)
{
    struct vector *vector = calloc(1, sizeof *vector);

    assert_non_null(vector);
    form->make(vector);
    if (form->labels != NULL) {
        vector_render(vector, form->explanation, form->labels, form->label_count);
        return vector;
    }
    vector_begin_text(vector, form->explanation);
    vector->size = 0;
    add_leaf(vector, form->make == make_leaf_hq ? TIER_HQ : TIER_FEDERATION);
    return vector;
}

static struct slice corpus_bytes(const struct vector *vector)
{
    const char *token = vector_stated(vector, "token");

    return token != NULL ? slice_of_text(token) : vector_bytes(vector);
}

static void corpus_path(const struct form *form, char out_path[512])
{
    (void)snprintf(out_path, 512, "%s/%s/%s", CORPUS_DIRECTORY, form->corpus, form->name);
}

static void vector_path(const struct form *form, char out_path[512])
{
    (void)snprintf(out_path, 512, "%s/%s.hex", VECTORS_DIRECTORY, form->name);
}

static void make_directory(const char *path)
{
    assert_true(mkdir(path, 0777) == 0 || errno == EEXIST);
}

static void update_all(void)
{
    char path[512];

    make_directory(VECTORS_DIRECTORY);
    make_directory(CORPUS_DIRECTORY);
    for (size_t i = 0; i < FORM_COUNT; i++) {
        struct vector *vector = make_vector(&forms[i]);

        vector_path(&forms[i], path);
        write_file(path, vector->text, vector->text_size);
        if (forms[i].corpus != NULL) {
            (void)snprintf(path, sizeof path, "%s/%s", CORPUS_DIRECTORY, forms[i].corpus);
            make_directory(path);
            corpus_path(&forms[i], path);
            write_file(path, corpus_bytes(vector).data, corpus_bytes(vector).size);
        }
        free(vector);
    }
}

/* --- tests -------------------------------------------------------------------------------- */

/* What the file says is read by the parser alone; what it should say is made by the writers. */
static void test_files(void **state)
{
    struct vector *found = malloc(sizeof *found);
    char path[512];

    (void)state;
    assert_non_null(found);
    for (size_t i = 0; i < FORM_COUNT; i++) {
        struct vector *made = make_vector(&forms[i]);

        vector_path(&forms[i], path);
        if (!vector_read(found, path))
            fail_msg("%s is missing", path);
        if (!slice_equal(vector_bytes(found), vector_bytes(made)))
            fail_msg("%s: other bytes than the writers make", path);
        assert_int_equal(found->stated_count, made->stated_count);
        for (size_t k = 0; k < made->stated_count; k++)
            assert_string_equal(vector_stated(found, made->stated[k].name),
                                made->stated[k].value);
        if (strcmp(found->text, made->text) != 0)
            fail_msg("%s: its comments say something else than its bytes", path);
        free(made);
    }
    free(found);
}

static void test_readers(void **state)
{
    struct vector *found = malloc(sizeof *found);
    char path[512];

    (void)state;
    assert_non_null(found);
    for (size_t i = 0; i < FORM_COUNT; i++) {
        vector_path(&forms[i], path);
        assert_true(vector_read(found, path));
        forms[i].check(found);
    }
    free(found);
}

static const struct form *form_of_file(const char *file)
{
    for (size_t i = 0; i < FORM_COUNT; i++)
        if (strncmp(file, forms[i].name, strlen(forms[i].name)) == 0 &&
            strcmp(file + strlen(forms[i].name), ".hex") == 0)
            return &forms[i];
    return NULL;
}

static void test_no_other_files(void **state)
{
    DIR *directory = opendir(VECTORS_DIRECTORY);
    const struct dirent *entry;

    (void)state;
    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.' && form_of_file(entry->d_name) == NULL)
            fail_msg("%s is in no test's table", entry->d_name);
    closedir(directory);
}

static void test_every_type_has_one(void **state)
{
    bool seen[WIRE_TYPE_LAST + 1] = { false };

    (void)state;
    for (size_t i = 0; i < FORM_COUNT; i++) {
        struct vector *vector = make_vector(&forms[i]);

        if (forms[i].check == check_message)
            seen[wire_type_of(vector_bytes(vector))] = true;
        free(vector);
    }
    for (int type = WIRE_HELLO; type <= WIRE_TYPE_LAST; type++)
        assert_true(seen[type]);
}

static void test_corpus(void **state)
{
    char path[512];

    (void)state;
    for (size_t i = 0; i < FORM_COUNT; i++) {
        struct vector *vector = make_vector(&forms[i]);

        if (forms[i].corpus != NULL) {
            corpus_path(&forms[i], path);
            assert_file(path, corpus_bytes(vector).data, corpus_bytes(vector).size);
        }
        free(vector);
    }
}

/* PROTOCOL.md links every example, and its worked number is that of the example. */
static void test_document(void **state)
{
    FILE *file = fopen(CHAPTERD_SOURCE_DIR "/proto/PROTOCOL.md", "rb");
    char *text = calloc(1, DOCUMENT_SIZE_MAX);
    struct vector *vector;
    char link[128];

    (void)state;
    assert_non_null(file);
    assert_non_null(text);
    assert_true(fread(text, 1, DOCUMENT_SIZE_MAX - 1, file) < DOCUMENT_SIZE_MAX - 1);
    fclose(file);
    for (size_t i = 0; i < FORM_COUNT; i++) {
        (void)snprintf(link, sizeof link, "(vectors/%s.hex)", forms[i].name);
        if (strstr(text, link) == NULL)
            fail_msg("PROTOCOL.md does not name %s", forms[i].name);
        if (forms[i].make != make_leaf_federation)
            continue;
        vector = make_vector(&forms[i]);
        assert_non_null(strstr(text, vector_stated(vector, "k")));
        assert_non_null(strstr(text, vector_stated(vector, "digest of this leaf alone")));
        free(vector);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),          cmocka_unit_test(test_readers),
        cmocka_unit_test(test_no_other_files), cmocka_unit_test(test_every_type_has_one),
        cmocka_unit_test(test_corpus),         cmocka_unit_test(test_document),
    };

    if (sodium_init() < 0)
        return 1;
    if (updating())
        update_all();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
