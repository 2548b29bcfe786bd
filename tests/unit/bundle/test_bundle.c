// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The archive, what is hidden in it, the programs that are run for it, and the upload service's words.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/clock.h"
#include "bundle/internal.h"
#include "bundle/upload_internal.h"
#include "bundle/zip.h"

#define PRIVATE	"SKfVfUE6Ozgs6qSlpyQpbA2JVkaasIjH1Dq4hAsYYHE="

static char dir[64];

static int make_dir(void **state)
{
	strcpy(dir, "/tmp/talon-bundle-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* --- the archive --- */

static uint32_t at32(const uint8_t *bytes)
{
	return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint16_t at16(const uint8_t *bytes)
{
	return bytes[0] | bytes[1] << 8;
}

/* The contents of the file whose entry of the directory is at @entry, compared. */
static void assert_entry(const uint8_t *zip, const uint8_t *entry, const char *name, const char *text,
	size_t len)
{
	const uint8_t *head = zip + at32(entry + 42);
	uint8_t *out = malloc(len + 1);
	z_stream stream = { .next_in = (uint8_t *)head + 30 + strlen(name), .avail_in = at32(entry + 20),
		.next_out = out, .avail_out = len + 1 };

	assert_int_equal(at32(entry), 0x02014b50);
	assert_int_equal(at16(entry + 28), strlen(name));
	assert_memory_equal(entry + 46, name, strlen(name));
	assert_int_equal(at32(entry + 24), len);
	assert_int_equal(at32(entry + 16), crc32(0, (const uint8_t *)text, len));
	assert_int_equal(at32(entry + 38), 0100600U << 16);
	assert_int_equal(at32(head), 0x04034b50);
	assert_memory_equal(head + 30, name, strlen(name));
	assert_int_equal(inflateInit2(&stream, -MAX_WBITS), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	assert_int_equal(stream.total_out, len);
	assert_memory_equal(out, text, len);
	inflateEnd(&stream);
	free(out);
}

static void an_archive_holds_what_was_added(void **state)
{
	static char large[300000], zip_bytes[400000];
	FILE *f = fopen(path_of("a.zip"), "we+");
	struct zip zip = { .fd = fileno(f), .now = 1795947224 };
	const uint8_t *end, *entry;
	size_t len;

	for (size_t i = 0; i < sizeof(large); i++)
		large[i] = "abcdefgh"[i * i % 8];
	assert_int_equal(zip_add(&zip, "README.txt", "hello\n", 6), 0);
	assert_int_equal(zip_add(&zip, "empty", "", 0), 0);
	assert_int_equal(zip_add(&zip, "large.txt", large, sizeof(large)), 0);
	assert_int_equal(zip_finish(&zip), 0);
	rewind(f);
	len = fread(zip_bytes, 1, sizeof(zip_bytes), f);
	fclose(f);
	assert_int_equal(len, zip.at);
	assert_true(len < 20000);	/* deflated */
	end = (uint8_t *)zip_bytes + len - 22;
	assert_int_equal(at32(end), 0x06054b50);
	assert_int_equal(at16(end + 10), 3);
	entry = (uint8_t *)zip_bytes + at32(end + 16);
	assert_int_equal(entry + at32(end + 12) - end, 0);
	assert_int_equal(at16(entry + 14), 46 << 9 | 11 << 5 | 29);	/* 2026-11-29 */
	assert_entry((uint8_t *)zip_bytes, entry, "README.txt", "hello\n", 6);
	entry += 46 + strlen("README.txt");
	assert_entry((uint8_t *)zip_bytes, entry, "empty", "", 0);
	entry += 46 + strlen("empty");
	assert_entry((uint8_t *)zip_bytes, entry, "large.txt", large, sizeof(large));
}

static void a_clock_that_was_never_set_says_1980(void **state)
{
	FILE *f = fopen(path_of("b.zip"), "we+");
	struct zip zip = { .fd = fileno(f), .now = 1000 };
	uint8_t head[30];

	assert_int_equal(zip_add(&zip, "a", "a", 1), 0);
	rewind(f);
	assert_int_equal(fread(head, 1, sizeof(head), f), sizeof(head));
	fclose(f);
	assert_int_equal(at16(head + 10), 0);
	assert_int_equal(at16(head + 12), 1 << 5 | 1);
}

static void an_archive_that_cannot_be_written_is_an_error(void **state)
{
	struct zip zip = { .fd = open("/dev/full", O_WRONLY | O_CLOEXEC) };
	char name[80];

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(zip_add(&zip, "a", "a", 1), -ENOSPC);
	assert_int_equal(zip_add(&zip, name, "a", 1), -EFBIG);
	zip.count = ZIP_FILES_MAX;
	assert_int_equal(zip_add(&zip, "a", "a", 1), -EFBIG);
	close(zip.fd);
}

/* --- secrets --- */

static void assert_hidden(struct anon *anon, const char *text, bool is_hidden)
{
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);

	assert_int_equal(anon_write(anon, text, strlen(text), f), 0);
	fclose(f);
	if (is_hidden == (strstr(out, text) != NULL))
		fail_msg("'%s' became '%s'", text, out);
	free(out);
}

static void secrets_of_the_identity_file_are_hidden(void **state)
{
	struct anon *anon;

	write_file("default.json", "{\"PrivateKey\":\"" PRIVATE "\",\"PreSharedKey\":"
		"\"presharedpresharedpresharedpreshare=\",\"SSHKey\":\"-----BEGIN PRIVATE KEY-----\\n"
		"TheFirstLineOfTheKey\\nTheSecondLineOfTheKey\\n-----END PRIVATE KEY-----\\n\","
		"\"WgIface\":\"wt0-visible\",\"ClientSecretThing\":\"s3cr3t-value\",\"EmptyKey\":\"\"}");
	assert_int_equal(anon_new(ANON_NONE, &anon), 0);
	assert_int_equal(bundle_hide_identity(anon, path_of("default.json")), 0);
	assert_hidden(anon, PRIVATE, true);
	assert_hidden(anon, "presharedpresharedpresharedpreshare=", true);
	assert_hidden(anon, "TheFirstLineOfTheKey", true);
	assert_hidden(anon, "TheSecondLineOfTheKey", true);
	assert_hidden(anon, "s3cr3t-value", true);
	assert_hidden(anon, "wt0-visible", false);
	assert_hidden(anon, "-----BEGIN PRIVATE KEY-----", false);
	anon_free(anon);
}

static void an_identity_that_cannot_be_read_stops_the_bundle(void **state)
{
	struct anon *anon;

	assert_int_equal(anon_new(ANON_NONE, &anon), 0);
	assert_int_equal(bundle_hide_identity(anon, path_of("missing.json")), 0);	/* nothing to hide */
	write_file("damaged.json", "{\"PrivateKey\":");
	assert_int_equal(bundle_hide_identity(anon, path_of("damaged.json")), -EBADMSG);
	assert_int_equal(bundle_hide_identity(anon, dir), -EISDIR);
	anon_free(anon);
}

static void secrets_of_the_environment_are_hidden(void **state)
{
	char file[160];
	char *env[] = { "PATH=/usr/bin-visible", "NB_SETUP_KEY=setup-key-text", "MY_TOKEN=token-text",
		"DB_PASSWORD=password-text", "EMPTY_KEY=", "SHORT_KEY=abc", file, NULL };
	struct anon *anon;

	write_file("key", "key-of-a-file\n");
	snprintf(file, sizeof(file), "NB_SETUP_KEY_FILE=%s", path_of("key"));
	assert_int_equal(anon_new(ANON_NONE, &anon), 0);
	assert_int_equal(bundle_hide_env(anon, env), 0);
	assert_hidden(anon, "setup-key-text", true);
	assert_hidden(anon, "token-text", true);
	assert_hidden(anon, "password-text", true);
	assert_hidden(anon, "key-of-a-file", true);
	assert_hidden(anon, "/usr/bin-visible", false);
	assert_hidden(anon, "abc", false);
	anon_free(anon);
}

static void keys_of_a_static_file_are_hidden(void **state)
{
	struct config config = { .private_key = { 1 } };
	struct config_peer peers[2] = { { .preshared_key = { 2 } }, {} };
	struct anon *anon;

	config.peers = peers;
	config.peer_count = 2;
	assert_int_equal(anon_new(ANON_NONE, &anon), 0);
	assert_int_equal(bundle_hide_config(anon, &config), 0);
	assert_hidden(anon, "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", true);
	assert_hidden(anon, "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", true);
	assert_hidden(anon, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", false);	/* no key */
	anon_free(anon);
}

static void parameters_of_the_service_have_no_values_of_variables(void **state)
{
	json_t *json = json_loads("{\"log_level\":\"info\",\"api_token\":\"abcdef\","
		"\"service_env_vars\":{\"NB_SETUP_KEY\":\"abc\",\"TZ\":\"UTC\"}}", 0, NULL);
	char *text;

	bundle_mask_service(json);
	text = json_dumps(json, JSON_COMPACT);
	assert_string_equal(text, "{\"log_level\":\"info\",\"api_token\":\"(hidden)\","
		"\"service_env_vars\":{\"NB_SETUP_KEY\":\"(hidden)\",\"TZ\":\"(hidden)\"}}");
	free(text);
	json_decref(json);
}

/* --- programs --- */

static void programs_have_a_time_limit_and_a_limit_of_output(void **state)
{
	static const char *const echo[] = { "echo", "hello", NULL },
		*const none[] = { "no-such-program", NULL },
		*const hangs[] = { "sh", "-c", "echo begun; sleep 1000 & sleep 1000", NULL },
		*const fails[] = { "sh", "-c", "exit 3", NULL }, *const much[] = { "yes", NULL };
	uint64_t begin = clock_mono_ns();
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(bundle_run_tool(echo, 5000, 3, out), 0);
	fflush(out);
	assert_string_equal(text, "hel");
	assert_int_equal(bundle_run_tool(none, 5000, 100, out), -ENOENT);
	assert_int_equal(bundle_run_tool(fails, 5000, 100, out), 3);
	assert_int_equal(bundle_run_tool(hangs, 300, 100, out), -ETIMEDOUT);
	assert_int_equal(bundle_run_tool(much, 300, 100, out), -ETIMEDOUT);
	fclose(out);
	assert_int_equal(len, 3 + 6 + 100);
	assert_true(clock_mono_ns() - begin < 30 * 1000000000ULL);
	free(text);
}

/* --- the upload service --- */

static void the_service_names_a_place_and_a_key(void **state)
{
	static const char *const bad[] = { "", "[]", "{}", "{\"URL\":1,\"Key\":\"k\"}",
		"{\"URL\":\"https://a\"}",
		"{\"URL\":\"https://a\",\"Key\":\"\"}", "{\"URL\":\"https://a\\n\",\"Key\":\"k\"}",
		"{\"URL\":\"https://a\",\"Key\":\"k k\"}" };
	char url[UPLOAD_URL_LEN] = "u", key[BUNDLE_KEY_LEN] = "k", id[UPLOAD_ID_LEN];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(upload_parse(bad[i], url, key), -EBADMSG);
		assert_string_equal(url, "u");
	}
	assert_int_equal(upload_parse("{\"URL\":\"https://a/b?c\",\"Key\":\"x/y\"}", url, key), 0);
	assert_string_equal(url, "https://a/b?c");
	assert_string_equal(key, "x/y");
	upload_identify("https://api.netbird.io:443", id);	/* printf %s URL | sha256sum */
	assert_string_equal(id, "f79e391890ab27fb37c88b3b4be7011e22aa2e5ca6f38ffa9c4481884941f726");
}

static void a_bundle_that_is_too_large_is_not_uploaded(void **state)
{
	struct bundle_upload upload = { .service = "https://127.0.0.1:9/", .management_url = "",
		.path = path_of("large") };
	char key[BUNDLE_KEY_LEN], why[256];

	write_file("large", "x");
	assert_int_equal(truncate(upload.path, BUNDLE_UPLOAD_MAX + 1), 0);
	assert_int_equal(bundle_upload(&upload, key, why, sizeof(why)), -EFBIG);
	assert_non_null(strstr(why, "more than 50 MiB"));
	upload.path = "/nonexistent";
	assert_int_equal(bundle_upload(&upload, key, why, sizeof(why)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_archive_holds_what_was_added),
		cmocka_unit_test(a_clock_that_was_never_set_says_1980),
		cmocka_unit_test(an_archive_that_cannot_be_written_is_an_error),
		cmocka_unit_test(secrets_of_the_identity_file_are_hidden),
		cmocka_unit_test(an_identity_that_cannot_be_read_stops_the_bundle),
		cmocka_unit_test(secrets_of_the_environment_are_hidden),
		cmocka_unit_test(keys_of_a_static_file_are_hidden),
		cmocka_unit_test(parameters_of_the_service_have_no_values_of_variables),
		cmocka_unit_test(programs_have_a_time_limit_and_a_limit_of_output),
		cmocka_unit_test(the_service_names_a_place_and_a_key),
		cmocka_unit_test(a_bundle_that_is_too_large_is_not_uploaded),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
