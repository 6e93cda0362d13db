/* SPDX-License-Identifier: MPL-2.0 */
/* settings_test.c - the configuration file: what passes, what is refused, on which line and
 * why; and that the manual page names every setting and every command. */
#include "tests/store/store_fixture.h"

#include "daemon/command.h"
#include "daemon/settings.h"

static void test_form(void **state)
{
    static const struct {
        const char *file;
        size_t line; /* 0: it passes */
        const char *text, *remedy;
    } cases[] = {
        { "", 0, "", "" },
        { "# nothing\n\n   # else\n", 0, "", "" },
        { "listen = *:7440\nlog_level=debug # why\n", 0, "", "" },
        { "listen = \"a # b\" # c\n", 0, "", "" },
        { "listen = 1", 0, "", "" },
        { "listn = 1\n", 1, "listn", "listen" },
        { "\nstore_sice = 1\n", 2, "store_sice", "did you mean store_size?" },
        { "x = 1\n", 1, "\"x\"", "core_dumps" },
        { "listen = 1\n\nlisten = 2\n", 3, "above already", "remove" },
        { "\tlisten = 1\n", 1, "tab", "spaces" },
        { "listen = 1\r\n", 1, "Windows", "Unix" },
        { "# \x1b[2J\n", 1, "control", "" },
        { "  listen = 1\n", 1, "multiple of 4", "" },
        { "a\n    listen = 1\n", 1, "NAME = VALUE", "" },
        { "listen = 1\n    advertise = 1\n", 2, "indented", "" },
        { "listen\n", 1, "NAME = VALUE", "" },
        { "listen: 1\n", 1, "NAME = VALUE", "" },
        { "= 1\n", 1, "NAME = VALUE", "" },
        { "listen = \"1\n", 1, "does not end", "" },
        { "listen = \"1\" 2\n", 1, "behind the closing quote", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings_error error = { 0 };
        const enum status status = settings_check_form(slice_of_text(cases[i].file), &error);

        assert_status(status, cases[i].line == 0 ? OK : INVALID);
        assert_int_equal(error.line, cases[i].line);
        assert_non_null(strstr(error.text, cases[i].text));
        assert_non_null(strstr(error.remedy, cases[i].remedy));
    }
}

static void test_long_lines_and_files(void **state)
{
    static char file[SETTINGS_SIZE_MAX + 1];
    struct settings_error error;

    (void)state;
    memset(file, '#', sizeof file);
    assert_ok(settings_check_form(slice_of(file, SETTINGS_LINE_MAX), &error));
    assert_status(settings_check_form(slice_of(file, SETTINGS_LINE_MAX + 1), &error), INVALID);
    assert_int_equal(error.line, 1);
    for (size_t i = 0; i < sizeof file; i += 100)
        file[i] = '\n';
    assert_ok(settings_check_form(slice_of(file, SETTINGS_SIZE_MAX), &error));
    assert_status(settings_check_form(slice_of(file, SETTINGS_SIZE_MAX + 1), &error), INVALID);
    memcpy(file, "# \xff\n", 4);
    assert_status(settings_check_form(slice_of(file, 4), &error), INVALID);
}

static void test_values(void **state)
{
    static const struct {
        const char *name, *value;
        bool passes;
    } cases[] = {
        { "listen", "", true },
        { "listen", "dial-only", true },
        { "listen", "*:7440", true },
        { "listen", "127.0.0.1:1", true },
        { "listen", "[2001:db8::1]:65534", true },
        { "listen", "hq.example.org:7440", true },
        { "listen", "127.0.0.1", false },
        { "listen", "127.0.0.1:0", false },
        { "listen", "127.0.0.1:65535", false },
        { "listen", "2001:db8::1:7440", false },
        { "listen", "eth0;lo:7440", false },
        { "listen", "a b:7440", false },
        { "advertise", "hq.example.org", true },
        { "advertise", "2001:db8::1", true },
        { "advertise", "hq.example.org:7440", false },
        { "advertise", "*", false },
        { "store_size", "16M", true },
        { "store_size", "16777216", true },
        { "store_size", "16T", true },
        { "store_size", "15M", false },
        { "store_size", "17T", false },
        { "store_size", "99999999999999T", false },
        { "store_size", "999999999999999999999", false },
        { "store_size", "64GB", false },
        { "store_size", "-1", false },
        { "store_size", "", false },
        { "log_format", "json", true },
        { "log_format", "jso", false },
        { "log_level", "warning", true },
        { "log_level", "verbose", false },
        { "core_dumps", "yes", true },
        { "core_dumps", "true", false },
        { "sandbox", "no", true },
        { "sandbox", "0", false },
        { "backup_dir", "/var/backups", true },
        { "backup_dir", "", true },
        { "backup_dir", "backups", false },
        { "backup_dir", "/a \"quoted\" name", false }, /* no line of the file could hold it */
        { "core", "yes", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct settings settings;
        struct settings before;
        struct settings_error error = { 0 };
        enum status status;

        settings_init(&settings);
        before = settings;
        status = settings_set(&settings, cases[i].name, cases[i].value, &error);
        if ((status == OK) != cases[i].passes)
            fail_msg("%s = %s", cases[i].name, cases[i].value);
        if (status != OK) {
            assert_memory_equal(&settings, &before, sizeof settings);
            assert_true(error.text[0] != '\0' && error.remedy[0] != '\0');
        }
    }
}

static void test_what_values_mean(void **state)
{
    struct settings settings;
    struct settings_error error;

    (void)state;
    settings_init(&settings);
    assert_int_equal(settings.store_size, STORE_SIZE_DEFAULT);
    assert_int_equal(settings.log_level, LOG_NOTICE);
    assert_false(settings.core_dumps);
    assert_true(settings.sandbox);
    assert_ok(settings_set(&settings, "sandbox", "no", &error));
    assert_false(settings.sandbox || settings.core_dumps);
    assert_ok(settings_set(&settings, "store_size", "3G", &error));
    assert_int_equal(settings.store_size, 3ull << 30);
    assert_ok(settings_set(&settings, "log_level", "error", &error));
    assert_int_equal(settings.log_level, LOG_ERROR);
    assert_ok(settings_set(&settings, "log_format", "json", &error));
    assert_int_equal(settings.log_format, LOG_AS_JSON);
}

/* Through the file, and back: what check-config prints is such a file. */
static void test_load(void **state)
{
    const struct place *place = *state;
    struct settings settings;
    struct settings again;
    struct settings_error error;
    char path[256];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/chapterd.conf", place->dir);
    assert_status(settings_load(path, &settings, &error), NOT_FOUND);
    assert_non_null(file = fopen(path, "w"));
    fputs("# ours\nlisten = \"[::1]:7440\" # here\nstore_size=1T\ncore_dumps = 'yes'\n", file);
    assert_int_equal(fclose(file), 0);
    assert_ok(settings_load(path, &settings, &error));
    assert_string_equal(settings.listen_text, "[::1]:7440");
    assert_int_equal(settings.store_size, 1ull << 40);
    assert_true(settings.core_dumps);
    assert_non_null(file = fopen(path, "w"));
    settings_print(file, &settings);
    assert_int_equal(fclose(file), 0);
    assert_ok(settings_load(path, &again, &error));
    assert_memory_equal(&again, &settings, sizeof settings);
    assert_non_null(file = fopen(path, "w"));
    fputs("log_level = notice\n\nstore_size = big\n", file);
    assert_int_equal(fclose(file), 0);
    assert_status(settings_load(path, &again, &error), INVALID);
    assert_int_equal(error.line, 3);
    assert_memory_equal(&again, &settings, sizeof settings);
}

/* --- the manual page ---------------------------------------------------------------------- */

static void assert_has(const char *page, const char *before, const char *name)
{
    char line[128];
    size_t size = (size_t)snprintf(line, sizeof line, "\n%s", before);

    for (; *name != '\0' && size + 3 < sizeof line; name++) {
        if (*name == '-')
            line[size++] = '\\';
        line[size++] = *name;
    }
    line[size++] = '\n';
    line[size] = '\0';
    if (strstr(page, line) == NULL)
        fail_msg("chapterd.8 has no line \"%s\"", line + 1);
}

static void test_manual(void **state)
{
    static char page[32 * 1024];
    FILE *file = fopen(CHAPTERD_SOURCE_DIR "/daemon/chapterd.8", "r");

    (void)state;
    assert_non_null(file);
    page[fread(page, 1, sizeof page - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
#define HAS_SETTING(name, form, initial, help) assert_has(page, ".B ", #name);
    SETTING_TABLE(HAS_SETTING)
#undef HAS_SETTING
#define HAS_COMMAND(name, function, arguments, help) assert_has(page, ".SS ", name);
    COMMAND_TABLE(HAS_COMMAND)
#undef HAS_COMMAND
}

static int new_place(void **state)
{
    *state = place_new();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_long_lines_and_files),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_what_values_mean),
        cmocka_unit_test_setup_teardown(test_load, new_place, place_free),
        cmocka_unit_test(test_manual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
