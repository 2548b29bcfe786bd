// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A service's saved settings and its unit: NetBird's file, the text of the packages' unit, words for systemd.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/store.h"
#include "service/service.h"

static json_t *saved;
static char why[512], dir[32], path[64], *text;

static int setup(void **state)
{
	strcpy(dir, "/tmp/talon-service-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/service.json", dir);
	saved = json_object();
	return 0;
}

static int teardown(void **state)
{
	json_decref(saved);
	free(text);
	text = NULL;
	unlink(path);
	rmdir(dir);
	return 0;
}

static void set(const char *flag, const char *value, bool is_first)
{
	assert_int_equal(service_set(saved, service_find_param(flag), value, is_first, why, sizeof(why)), 0);
}

static void settings_are_saved_as_netbird_does(void **state)
{
	static const char want[] = "{\n    \"log_level\": \"debug\",\n    \"daemon_addr\": "
		"\"unix:///run/x.sock\",\n"
		"    \"management_url\": \"https://a.example\",\n    \"log_files\": [\n        \"console\",\n"
		"        \"/var/log/x\"\n    ],\n    \"disable_profiles\": true,\n    \"service_env_vars\": "
		"{\n        \"A\": \"1=2\",\n        \"B\": \"\"\n    },\n    \"later\": 7\n}";
	uint8_t *bytes;
	struct stat st;
	size_t len;

	json_object_set_new(saved, "later", json_integer(7));	/* a key that we do not know */
	set("disable-profiles", "true", true);
	set("enable-capture", "false", true);
	set("log-file", "console,", true);
	set("log-file", "/var/log/x", false);
	set("management-url", "https://a.example", true);
	set("daemon-addr", "unix:///run/x.sock", true);
	set("log-level", "debug", true);
	assert_int_equal(service_set_env(saved, "A=1=2,B=", why, sizeof(why)), 0);
	assert_int_equal(service_save(path, saved), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(store_read(path, 4096, &bytes, &len), 0);
	assert_memory_equal(bytes, want, sizeof(want) - 1);
	store_free(bytes, len);
}

static void the_next_install_begins_with_what_the_last_one_was_told(void **state)
{
	json_t *again;

	set("management-url", "https://a.example", true);
	set("log-file", "console", true);
	assert_int_equal(service_save(path, saved), 0);
	assert_int_equal(service_load(path, &again, why, sizeof(why)), 0);
	assert_true(json_equal(saved, again));
	json_decref(saved);
	saved = again;
	set("log-file", "/var/log/x", true);	/* named anew: in place of what was saved */
	assert_int_equal(json_array_size(json_object_get(saved, "log_files")), 1);
	set("management-url", "", true);
	assert_null(json_object_get(saved, "management_url"));
}

static void no_file_is_no_settings_and_a_broken_one_is_named(void **state)
{
	json_t *none;

	assert_int_equal(service_load(path, &none, why, sizeof(why)), 0);
	assert_int_equal(json_object_size(none), 0);
	json_decref(none);
	assert_int_equal(store_write(path, "{\n x", 4), 0);
	assert_int_equal(service_load(path, &none, why, sizeof(why)), -EBADMSG);
	assert_non_null(strstr(why, "service.json:2: "));
	assert_non_null(strstr(why, "reset-params"));
}

static void variables_are_merged_and_an_empty_list_clears_them(void **state)
{
	const json_t *env;

	assert_int_equal(service_set_env(saved, "A=1,B=2", why, sizeof(why)), 0);
	assert_int_equal(service_set_env(saved, "B=3,C=x y", why, sizeof(why)), 0);
	env = json_object_get(saved, "service_env_vars");
	assert_int_equal(json_object_size(env), 3);
	assert_string_equal(json_string_value(json_object_get(env, "B")), "3");
	assert_int_equal(service_set_env(saved, "", why, sizeof(why)), 0);
	assert_null(json_object_get(saved, "service_env_vars"));
}

static void what_is_no_variable_is_refused_without_its_value(void **state)
{
	static const char *const wrong[] = { "A", "=1", "1A=2", "A B=secret", "A=1,B", "A-B=secret",
		"A=1\n2" };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(service_set_env(saved, wrong[i], why, sizeof(why)), -EINVAL);
		assert_non_null(strstr(why, "expected NAME=value"));
		assert_null(strstr(why, "secret"));
	}
	assert_int_equal(service_set(saved, service_find_param("enable-capture"), "maybe", true, why,
		sizeof(why)), -EINVAL);
	assert_string_equal(why, "--enable-capture: 'maybe' is not a choice; expected true or false");
	assert_int_equal(service_set(saved, service_find_param("config"), "/a\nExecStart=/bin/sh", true, why,
		sizeof(why)), -EINVAL);
}

static bool knows_most(const char *flag)
{
	return strcmp(flag, "json-socket") != 0;
}

static const char *unit_text(const char *name)
{
	const struct service_unit unit = { .name = name, .program = "/opt/talon",
		.state_dir = "/var/lib/netbird", .saved = saved, .knows = knows_most };
	size_t len;
	FILE *out = open_memstream(&text, &len);

	service_write_unit(out, &unit);
	fclose(out);
	return text;
}

static void a_unit_is_the_packages_with_this_program_and_these_settings(void **state)
{
	uint8_t *packaged;
	size_t len, plain;

	assert_int_equal(store_read("manifests/systemd/talon.service", 65536, &packaged, &len), 0);
	plain = strlen(unit_text("talon"));
	assert_int_equal(plain, len + strlen(SERVICE_MARK) - 2 * strlen("/usr/bin/talon") +
		2 * strlen("/opt/talon"));
	assert_non_null(strstr(text, "\nExecStart=/opt/talon service run $TALON_OPTIONS\n"));
	assert_non_null(strstr(text, "\nExecReload=/opt/talon reload --environment\n"));
	assert_non_null(strstr(text, "\nConflicts=netbird.service\n"));
	store_free(packaged, len);
}

static void what_the_service_is_told_is_in_its_command_line(void **state)
{
	set("log-level", "debug", true);
	set("daemon-addr", "unix:///run/my talon.sock", true);
	set("json-socket", "unix:///run/json.sock", true);
	set("config", "/etc/100%/a\"b$c\\d", true);
	set("log-file", "console,/data/log/x.log,/var/log/y.log", true);
	set("disable-networks", "true", true);
	assert_int_equal(service_set_env(saved, "A=1", why, sizeof(why)), 0);
	unit_text("netbird");
	assert_non_null(strstr(text, "\nExecStart=/opt/talon service run --log-level \"debug\" --daemon-addr "
		"\"unix:///run/my talon.sock\" --config \"/etc/100%%/a\\\"b$$c\\\\d\" --log-file \"console\" "
		"--log-file \"/data/log/x.log\" --log-file \"/var/log/y.log\" --disable-networks "
		"$TALON_OPTIONS\n"));
	assert_non_null(strstr(text, "\nExecReload=/opt/talon reload --environment --daemon-addr "
		"\"unix:///run/my talon.sock\"\n"));
	assert_non_null(strstr(text, "\nEnvironmentFile=-/var/lib/netbird/service.env\n"));
	assert_non_null(strstr(text, "\nReadWritePaths=-/data/log\n"));
	assert_null(strstr(text, "ReadWritePaths=-/var/log\n"));
	assert_null(strstr(text, "Conflicts=netbird.service"));	/* not with itself */
}

static void netbirds_default_socket_is_no_wish(void **state)
{
	set("daemon-addr", "unix:///var/run/netbird.sock", true);
	assert_null(strstr(unit_text("netbird"), "--daemon-addr"));
}

static void variables_come_out_as_systemd_reads_them(void **state)
{
	FILE *out;
	size_t len;

	assert_int_equal(service_set_env(saved, "A=plain,B=a \"b\" $c `d` \\e", why, sizeof(why)), 0);
	out = open_memstream(&text, &len);
	service_write_env(out, saved);
	fclose(out);
	assert_string_equal(text, "A=\"plain\"\nB=\"a \\\"b\\\" \\$c \\`d\\` \\\\e\"\n");
}

static void only_a_unit_with_our_mark_is_ours(void **state)
{
	assert_false(service_is_ours(path));
	assert_int_equal(store_write(path, "[Unit]\n", 7), 0);
	assert_false(service_is_ours(path));
	unit_text("talon");
	assert_int_equal(store_write(path, text, strlen(text)), 0);
	assert_true(service_is_ours(path));
}

static void a_name_is_a_file_name_and_no_more(void **state)
{
	static const char *const wrong[] = { "", "../x", "a/b", "a b", "-x", ".x", "a\n", "a%i" };

	assert_true(service_is_name("talon"));
	assert_true(service_is_name("net_bird-2.x"));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(service_is_name(wrong[i]));
}

/* What docs/host.md promises of the packages' unit. */
static void the_unit_says_what_the_documents_promise(void **state)
{
	static const char *const lines[] = { "Type=notify", "Restart=on-failure", "WatchdogSec=30",
		"KillMode=mixed", "LimitMEMLOCK=infinity", "ProtectSystem=strict", "StateDirectory=netbird",
		"CapabilityBoundingSet=CAP_NET_ADMIN CAP_BPF CAP_PERFMON CAP_NET_RAW CAP_NET_BIND_SERVICE",
		"EnvironmentFile=-/etc/default/talon", "WantedBy=multi-user.target" };

	unit_text("talon");
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const char *at = strstr(text, lines[i]);

		if (!at || at[-1] != '\n' || at[strlen(lines[i])] != '\n')
			fail_msg("no line %s", lines[i]);
	}
}

static void systemctl_answers_with_its_exit_status(void **state)
{
	const char *const args[] = { "one", "two", NULL };
	char script[64], said[8];
	FILE *f;

	snprintf(script, sizeof(script), "%s/systemctl", dir);
	f = fopen(script, "w");
	fprintf(f, "#!/bin/sh\necho \"$@ and more\"; echo noise >&2; exit 3\n");
	fclose(f);
	chmod(script, 0700);
	setenv("PATH", dir, 1);
	assert_int_equal(service_systemctl(args, said, sizeof(said)), 3);
	assert_string_equal(said, "one two");
	assert_int_equal(service_systemctl(args, NULL, 0), 3);
	unlink(script);
	assert_int_equal(service_systemctl(args, NULL, 0), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(settings_are_saved_as_netbird_does),
		TEST(the_next_install_begins_with_what_the_last_one_was_told),
		TEST(no_file_is_no_settings_and_a_broken_one_is_named),
		TEST(variables_are_merged_and_an_empty_list_clears_them),
		TEST(what_is_no_variable_is_refused_without_its_value),
		TEST(a_unit_is_the_packages_with_this_program_and_these_settings),
		TEST(what_the_service_is_told_is_in_its_command_line),
		TEST(netbirds_default_socket_is_no_wish),
		TEST(variables_come_out_as_systemd_reads_them),
		TEST(only_a_unit_with_our_mark_is_ours),
		TEST(a_name_is_a_file_name_and_no_more),
		TEST(the_unit_says_what_the_documents_promise),
		TEST(systemctl_answers_with_its_exit_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
