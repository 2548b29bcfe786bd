// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What becomes of each setting of an adopted profile, what is kept of a start, and a state directory that
// cannot be written.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "config/config.h"
#include "netbird/identity.h"
#include "netbird/profile_keys.h"
#include "base/store.h"
#include "unit/netbird.h"

static char dir[48], path[80], said[2000];

static int make_place(void **state)
{
	strcpy(dir, "/tmp/talon-profile-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/default.json", dir);
	said[0] = 0;
	return 0;
}

static int remove_place(void **state)
{
	struct dirent *entry;
	DIR *d = opendir(dir);

	while (d && (entry = readdir(d)))
		unlinkat(dirfd(d), entry->d_name, 0);
	if (d)
		closedir(d);
	return rmdir(dir);
}

static void put(const char *where, const char *text)
{
	FILE *f = fopen(where, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void note(void *ctx, const char *names, const char *meaning)
{
	size_t len = strlen(said);

	snprintf(said + len, sizeof(said) - len, "[%s: %s]", names, meaning);
}

static int judge(const char *text, bool no_rosenpass, char *why, size_t size)
{
	json_t *json = json_loads(text, 0, NULL);
	int ret;

	assert_non_null(json);
	said[0] = 0;
	ret = profile_judge(json, no_rosenpass, note, NULL, why, size);
	json_decref(json);
	return ret;
}

/*
 * Each key that asks for something, and what comes of it. What is honoured has its effect elsewhere; here it
 * is that nothing is said.
 */
static void each_key_is_honoured_refused_or_said(void **state)
{
	static const struct { const char *text; int ret; const char *says; } cases[] = {
		{ "{\"RosenpassEnabled\":true}", -EOPNOTSUPP, NULL },
		{ "{\"RosenpassEnabled\":true,\"RosenpassPermissive\":false}", -EOPNOTSUPP, NULL },
		{ "{\"RosenpassEnabled\":true,\"RosenpassPermissive\":true}", 0, "[RosenpassEnabled: " },
		{ "{\"RosenpassEnabled\":false,\"RosenpassPermissive\":true}", 0, NULL },
		{ "{\"LazyConnectionEnabled\":true}", 0, "[LazyConnectionEnabled: the account decides" },
		{ "{\"LazyConnectionEnabled\":false}", 0, NULL },
		{ "{\"SyncMessageVersion\":1}", 0, "[SyncMessageVersion: Talon asks for classic maps" },
		{ "{\"SyncMessageVersion\":0}", 0, NULL }, { "{\"SyncMessageVersion\":null}", 0, NULL },
		{ "{\"NATExternalIPs\":[\"203.0.113.5\"]}", 0, "[NATExternalIPs: " },
		{ "{\"NATExternalIPs\":[]}", 0, NULL },
		{ "{\"IFaceBlackList\":[\"wt0\",\"lo\",\"docker\"]}", 0, NULL },
		{ "{\"IFaceBlackList\":[\"wt0\",\"eth1\"]}", 0, "[IFaceBlackList: " },
		{ "{\"ClientCertPath\":\"/etc/c.pem\",\"ClientCertKeyPath\":\"/etc/k.pem\"}", 0, NULL },
		{ "{\"CustomDNSAddress\":\"127.0.0.1:53\"}", 0, "[CustomDNSAddress: " },
		{ "{\"DNSRouteInterval\":60000000000}", 0, NULL },
		{ "{\"DNSRouteInterval\":5000000000}", 0, "[DNSRouteInterval: " },
		{ "{\"DisableAutoConnect\":true}", 0, "[DisableAutoConnect: " },
		{ "{\"ServerSSHAllowed\":true,\"EnableSSHRoot\":null}", 0, "[ServerSSHAllowed: " },
		{ "{\"DisableIPv6Discovery\":true}", 0, "[DisableIPv6Discovery: " },
		{ "{\"SSHJWTCacheTTL\":30}", 0, "[SSHJWTCacheTTL: " },
		{ "{\"BlockInbound\":true,\"DisableDNS\":true,\"NetworkMonitor\":true,\"Name\":\"work\","
		"\"DisableIPv6\":true}", 0, NULL },
		{ "{\"Tomorrow\":1,\"AndThen\":{}}", 0, "[Tomorrow, AndThen: not known" },
	};
	char why[300];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		why[0] = 0;
		if (judge(cases[i].text, false, why, sizeof(why)) != cases[i].ret)
			fail_msg("%s: %s", cases[i].text, why);
		if (cases[i].says ? !strstr(said, cases[i].says) : said[0])
			fail_msg("%s says '%s'", cases[i].text, said);
		if (cases[i].ret)
			assert_non_null(strstr(why, "NB_ENABLE_ROSENPASS=false"));
	}
	assert_int_equal(judge("{\"RosenpassEnabled\":true}", true, why, sizeof(why)), 0);
	assert_string_equal(said, "");
}

/* Nothing is said about a profile whose owner never chose anything, and no key of it is unknown. */
static void a_profile_of_netbirds_client_as_it_was_made_needs_no_words(void **state)
{
	struct identity identity;
	char why[300];
	size_t len;
	uint8_t *bytes = netbird_read("identity/node-default.json", &len);

	assert_int_equal(judge((char *)bytes, false, why, sizeof(why)), 0);
	assert_string_equal(said, "");
	free(bytes);
	assert_int_equal(identity_load(path, &identity, why, sizeof(why)), 0);	/* and one of ours */
	assert_int_equal(profile_judge(identity.json, false, note, NULL, why, sizeof(why)), 0);
	assert_string_equal(said, "");
	identity_done(&identity);
}

static char *read_docs(void)
{
	char *text = calloc(1, 1 << 20), name[PATH_MAX];
	FILE *f;

	snprintf(name, sizeof(name), "%s", netbird_path("../../../../docs/mesh.md"));
	f = fopen(name, "re");
	if (!f)
		fail_msg("%s: cannot be read; run from the top of the tree", name);
	assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
	fclose(f);
	return text;
}

/* The table of docs/mesh.md is this one, line by line. */
static void the_documentation_has_the_same_table(void **state)
{
	char *docs = read_docs(), line[400], *table = strstr(docs, "| Key of `default.json` |"), *end, *at;
	size_t lines = 0, keys = 0;

	assert_non_null(table);
	end = strstr(table, "\n\n");
	assert_non_null(end);
	*end = 0;
	for (at = table; (at = strstr(at, "\n| `")); at++)
		lines++;
	for (const struct profile_key *key = profile_keys(); key->name; key++, keys++) {
		snprintf(line, sizeof(line), "\n| `%s` | %s | %s |", key->name,
			profile_verdict_name(key->verdict), key->meaning);
		if (!strstr(table, line))
			fail_msg("docs/mesh.md lacks the line:%s", line);
	}
	assert_int_equal(lines, keys);
	free(docs);
}

/* Kept for starts that do not say it, beside keys that nobody here knows. */
static void whether_ipv6_is_wanted_is_kept_in_the_profile(void **state)
{
	struct identity identity;
	char why[300];
	json_t *json;

	put(path, "{\"DisableIPv6\": true, \"SyncMessageVersion\": 0, \"LazyConnectionEnabled\": true, "
		"\"New\": [1]}");
	assert_int_equal(identity_load(path, &identity, why, sizeof(why)), 0);
	assert_true(identity.disable_ipv6);
	assert_int_equal(identity_set_disable_ipv6(path, &identity, false, why, sizeof(why)), 0);
	assert_false(identity.disable_ipv6);
	identity_done(&identity);
	json = json_load_file(path, 0, NULL);
	assert_true(json_is_false(json_object_get(json, "DisableIPv6")));
	assert_int_equal(json_integer_value(json_object_get(json, "SyncMessageVersion")), 0);
	assert_true(json_is_integer(json_object_get(json, "SyncMessageVersion")));
	assert_true(json_is_true(json_object_get(json, "LazyConnectionEnabled")));
	assert_int_equal(json_array_size(json_object_get(json, "New")), 1);
	json_decref(json);
	assert_int_equal(identity_load(path, &identity, why, sizeof(why)), 0);
	assert_false(identity.disable_ipv6);
	assert_int_equal(identity_set_disable_ipv6(path, &identity, true, why, sizeof(why)), 0);
	identity_done(&identity);
	assert_int_equal(identity_load(path, &identity, why, sizeof(why)), 0);
	assert_true(identity.disable_ipv6);
	identity_done(&identity);
}

static void a_url_that_was_given_is_that_of_the_next_start(void **state)
{
	struct identity identity;
	char why[300];

	assert_int_equal(identity_load(path, &identity, why, sizeof(why)), 0);
	assert_string_equal(identity.management_url, "https://api.netbird.io:443");
	assert_int_equal(identity_set_url(path, &identity, "http://10.0.0.1:8080", why, sizeof(why)), 0);
	identity_done(&identity);
	assert_int_equal(identity_load(path, &identity, why, sizeof(why)), 0);
	assert_string_equal(identity.management_url, "http://10.0.0.1:8080");
	assert_false(identity.is_new);
	identity_done(&identity);
}

/* The cloud is for who never named a server, not for who did and cannot be understood. */
static void a_url_that_cannot_be_read_is_an_error(void **state)
{
	static const struct { const char *text; int ret; } cases[] = {
		{ "{}", 0 }, { "{\"ManagementURL\": null}", 0 }, { "{\"ManagementURL\": \"\"}", 0 },
		{ "{\"ManagementURL\": \"https://a.test:443\"}", 0 },
		{ "{\"ManagementURL\": {\"Scheme\": \"https\", \"Host\": \"a.test:443\"}}", 0 },
		{ "{\"ManagementURL\": {}}", -EBADMSG }, { "{\"ManagementURL\": {\"Scheme\": \"https\"}}",
			-EBADMSG },
		{ "{\"ManagementURL\": 7}", -EBADMSG }, { "{\"ManagementURL\": [\"https://a.test\"]}",
			-EBADMSG },
	};
	struct identity identity;
	char why[300];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		put(path, cases[i].text);
		if (identity_load(path, &identity, why, sizeof(why)) != cases[i].ret)
			fail_msg("%s", cases[i].text);
		if (cases[i].ret)
			assert_non_null(strstr(why, "ManagementURL is damaged"));
		else
			identity_done(&identity);
	}
}

static void urls_of_management_are_checked_wherever_they_come_from(void **state)
{
	static const struct { const char *text, *url; bool is_clear; } cases[] = {
		{ "https://a.test", "https://a.test:443", false },
		{ "http://a.test", "http://a.test:80", true },
		{ "HTTP://A.test:8080/path", "http://A.test:8080", true },
		{ "http://127.0.0.1:8080", "http://127.0.0.1:8080", false },
		{ "http://[::1]", "http://[::1]:80", false }, { "http://localhost:1", "http://localhost:1",
			false },
		{ "http://128.0.0.1", "http://128.0.0.1:80", true },
		{ "https://[2001:db8::1]:1", "https://[2001:db8::1]:1", false },
		{ "nonsense", NULL, false }, { "", NULL, false }, { "https://", NULL, false },
		{ "ftp://a.test", NULL, false },
		{ "https://a.test:0", NULL, false }, { "https://a b", NULL, false },
	};
	char why[300], *url;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int ret = config_parse_management_url(cases[i].text, &url, why, sizeof(why));

		if (!cases[i].url) {
			assert_int_equal(ret, -EINVAL);
			assert_non_null(strstr(why, "https://HOST"));
			continue;
		}
		assert_int_equal(ret, 0);
		assert_string_equal(url, cases[i].url);
		assert_int_equal(config_is_cleartext_url(url), cases[i].is_clear);
		free(url);
	}
}

static void what_a_crash_left_is_removed_and_nothing_else(void **state)
{
	static const struct { const char *name; bool stays; } files[] = {
		{ "default.json", true }, { "default.json.talon-aB3xYz", false },
		{ "default.json.backup", true }, { "default.json.talon-", true },
		{ "default.json.talon-aB3xYzz", true }, { "state.json.talon-aB3xYz", true },
		{ "old-default.json.talon-aB3xYz", true },
	};
	char name[128];

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(name, sizeof(name), "%s/%s", dir, files[i].name);
		put(name, "secret");
	}
	store_sweep(path);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		snprintf(name, sizeof(name), "%s/%s", dir, files[i].name);
		if ((access(name, F_OK) == 0) != files[i].stays)
			fail_msg("%s", files[i].name);
	}
}

/* What a write leaves when it dies in the middle has a name that the sweep knows. */
static void a_write_that_cannot_end_leaves_what_the_sweep_finds(void **state)
{
	char target[128];
	struct dirent *entry;
	DIR *d;

	snprintf(target, sizeof(target), "%s/full", dir);
	assert_int_equal(mkdir(target, 0700), 0);	/* the rename fails */
	assert_true(store_write(target, "secret", 6) < 0);
	d = opendir(dir);
	while ((entry = readdir(d)))
		assert_true(entry->d_name[0] == '.' || !strcmp(entry->d_name, "full"));
	closedir(d);
	rmdir(target);
}

static void a_directory_that_cannot_be_written_holds_a_good_identity(void **state)
{
	struct identity identity;
	char why[300];
	int fd;

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		print_message("needs root\n");
		skip();
	}
	assert_int_equal(identity_load(path, &identity, why, sizeof(why)), 0);
	identity_done(&identity);
	assert_int_equal(mount(dir, dir, NULL, MS_BIND, NULL), 0);
	assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
	assert_int_equal(identity_load(path, &identity, why, sizeof(why)), 0);
	assert_false(identity.is_new);
	fd = identity_lock(dir, why, sizeof(why));
	if (fd < 0)
		fail_msg("%s", why);
	assert_int_equal(identity_lock(dir, why, sizeof(why)), -EBUSY);	/* one process all the same */
	close(fd);
	/* What cannot be kept counts for now. */
	assert_int_equal(identity_set_url(path, &identity, "https://b.test:443", why, sizeof(why)), -EROFS);
	assert_string_equal(identity.management_url, "https://b.test:443");
	identity_done(&identity);
	assert_int_equal(umount(dir), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_key_is_honoured_refused_or_said),
		TEST(a_profile_of_netbirds_client_as_it_was_made_needs_no_words),
		TEST(the_documentation_has_the_same_table),
		TEST(whether_ipv6_is_wanted_is_kept_in_the_profile),
		TEST(a_url_that_was_given_is_that_of_the_next_start),
		TEST(a_url_that_cannot_be_read_is_an_error),
		TEST(urls_of_management_are_checked_wherever_they_come_from),
		TEST(what_a_crash_left_is_removed_and_nothing_else),
		TEST(a_write_that_cannot_end_leaves_what_the_sweep_finds),
		TEST(a_directory_that_cannot_be_written_holds_a_good_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
