// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The identity file and state.json: those of NetBird's client taken over and given back, new ones, damaged
// ones; one process at a time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "netbird/identity.c"
#include "netbird/identity_lock.c"
#include "netbird/route_selection.h"
#include "unit/netbird.h"

struct place {
	char dir[40];
	char path[64];
	char why[300];
};

static int make_place(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	strcpy(place->dir, "/tmp/talon-identity-XXXXXX");
	if (!mkdtemp(place->dir))
		return -1;
	snprintf(place->path, sizeof(place->path), "%s/default.json", place->dir);
	*state = place;
	return 0;
}

static int remove_place(void **state)
{
	struct place *place = *state;
	char path[80];

	unlink(place->path);
	snprintf(path, sizeof(path), "%s/%s", place->dir, LOCK_NAME);
	unlink(path);
	if (rmdir(place->dir))	/* a temporary file was left */
		return -1;
	free(place);
	return 0;
}

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static char *get_file(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, 1 << 16);

	assert_non_null(f);
	assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
	fclose(f);
	return text;
}

static void copy_recorded(const char *name, const char *path)
{
	size_t len;
	uint8_t *bytes = netbird_read(name, &len);

	put_file(path, (char *)bytes);
	free(bytes);
}

static void load(struct place *place, struct identity *identity)
{
	int ret = identity_load(place->path, identity, place->why, sizeof(place->why));

	if (ret)
		fail_msg("%s", place->why);
}

static void the_profile_of_netbirds_client_is_taken_over(void **state)
{
	struct place *place = *state;
	struct identity identity;
	uint8_t key[KEY_LEN];

	copy_recorded("identity/node-default.json", place->path);
	load(place, &identity);
	assert_false(identity.is_new);
	netbird_key(NODE_PUBLIC, key);
	assert_memory_equal(identity.public_key, key, KEY_LEN);
	assert_true(secret_key_is_zero(&identity.preshared_key));
	assert_string_equal(identity.management_url, "http://10.99.0.1:8080");
	assert_string_equal(identity.interface, "wt0");
	assert_int_equal(identity.wg_port, 51820);
	assert_int_equal(identity.mtu, 1280);
	assert_int_equal(identity.dns_label_count, 0);
	assert_false(identity.disable_client_routes || identity.disable_server_routes ||
		identity.disable_firewall);
	/* What the client sent for it at its login. */
	assert_string_equal(identity.ssh_public_key,
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICYZKJ/v3YDac1Xw784zZIs9FQjsOoNo/pqk1nV0EFRa");
	identity_done(&identity);
}

static void a_profile_is_written_back_as_it_was(void **state)
{
	struct place *place = *state;
	struct identity identity;
	size_t len;
	uint8_t *was = netbird_read("identity/node-default.json", &len);
	char *is;

	put_file(place->path, (char *)was);
	load(place, &identity);
	assert_int_equal(write_profile(place->path, identity.json, place->why, sizeof(place->why)), 0);
	is = get_file(place->path);
	assert_string_equal(is, (char *)was);
	free(is);
	free(was);
	identity_done(&identity);
}

static void only_a_change_is_written(void **state)
{
	struct place *place = *state;
	struct identity identity;
	struct stat before, after;
	char *text, *url;

	copy_recorded("identity/node-default.json", place->path);
	load(place, &identity);
	assert_int_equal(stat(place->path, &before), 0);
	url = strdup(identity.management_url);
	assert_int_equal(identity_set_url(place->path, &identity, url, place->why, sizeof(place->why)), 0);
	assert_int_equal(stat(place->path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	free(url);
	assert_int_equal(identity_set_url(place->path, &identity, "https://netbird.example.org", place->why,
		sizeof(place->why)), 0);
	assert_int_equal(stat(place->path, &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(after.st_mode & 0777, 0600);
	text = get_file(place->path);
	assert_non_null(strstr(text, "\"Scheme\": \"https\",\n        \"Opaque\": \"\",\n        \"User\": "
		"null,\n        \"Host\": \"netbird.example.org:443\","));
	free(text);
	identity_done(&identity);
	load(place, &identity);
	assert_string_equal(identity.management_url, "https://netbird.example.org:443");
	identity_done(&identity);
}

/* The keys of @text, in order, and nothing else of it. */
static char *outline(const char *text)
{
	char *out = calloc(1, strlen(text) + 1), *at = out;
	bool in_key = false;

	for (const char *c = text; *c; c++) {
		if (!strncmp(c, "\n    \"", 6))
			in_key = true;
		else if (*c == ':')
			in_key = false;
		if (in_key)
			*at++ = *c;
	}
	return out;
}

static void a_new_identity_looks_like_one_of_netbirds_client(void **state)
{
	struct place *place = *state;
	struct identity identity, again;
	char *is, *want, *is_outline, *want_outline;
	json_t *is_json, *want_json;
	struct stat st;
	size_t len;

	load(place, &identity);
	assert_true(identity.is_new);
	assert_int_equal(stat(place->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_string_equal(identity.management_url, "https://api.netbird.io:443");
	assert_int_equal(strlen(identity.ssh_public_key), 80);
	is = get_file(place->path);
	want = (char *)netbird_read("identity/fresh-default.json", &len);
	is_outline = outline(is);
	want_outline = outline(want);
	assert_string_equal(is_outline, want_outline);
	is_json = json_loads(is, 0, NULL);
	want_json = json_loads(want, 0, NULL);
	assert_int_not_equal(json_equal(json_object_get(is_json, "PrivateKey"),
		json_object_get(want_json, "PrivateKey")), 1);
	json_object_del(is_json, "PrivateKey");
	json_object_del(want_json, "PrivateKey");
	json_object_del(is_json, "SSHKey");
	json_object_del(want_json, "SSHKey");
	assert_true(json_equal(is_json, want_json));
	json_decref(is_json);
	json_decref(want_json);
	load(place, &again);
	assert_false(again.is_new);
	assert_memory_equal(again.public_key, identity.public_key, KEY_LEN);
	assert_string_equal(again.ssh_public_key, identity.ssh_public_key);
	identity_done(&again);
	identity_done(&identity);
	free(is_outline);
	free(want_outline);
	free(is);
	free(want);
}

static void settings_without_a_key_get_one_and_stay(void **state)
{
	struct place *place = *state;
	struct identity identity;
	char *text;

	put_file(place->path, "{\"ManagementURL\": \"https://m.example\", \"DNSLabels\": [\"a\", 7, \"b\"], "
		"\"BlockInbound\": true, \"Unknown\": [1.5, {}]}");
	load(place, &identity);
	assert_true(identity.is_new);
	assert_string_equal(identity.management_url, "https://m.example");
	assert_int_equal(identity.dns_label_count, 2);
	assert_string_equal(identity.dns_labels[1], "b");
	assert_true(identity.block_inbound);
	assert_string_equal(identity.ssh_public_key, "");
	identity_done(&identity);
	text = get_file(place->path);
	assert_non_null(strstr(text, "\"Unknown\""));
	assert_non_null(strstr(text, "\"PrivateKey\""));
	free(text);
}

static const char *const damaged[] = {
	"", "{", "[]", "null", "{\"PrivateKey\": \"abc\"}", "{\"PrivateKey\": 5}",
	"{\"PrivateKey\": \"SKfVfUE6Ozgs6qSlpyQpbA2JVkaasIjH1Dq4hAsYYHE\"}",
	"{\"PrivateKey\": \"SKfVfUE6Ozgs6qSlpyQpbA2JVkaasIjH1Dq4hAsYYHE=\", \"PreSharedKey\": \"x\"}",
	"{} {}",
};

static void a_damaged_file_is_never_a_reason_for_a_new_key(void **state)
{
	struct place *place = *state;
	struct identity identity;

	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		FILE *f;
		char text[200] = "";

		put_file(place->path, damaged[i]);
		assert_int_equal(identity_load(place->path, &identity, place->why, sizeof(place->why)),
			-EBADMSG);
		assert_non_null(strstr(place->why, place->path));
		assert_null(strstr(place->why, "SKfVfUE6"));
		f = fopen(place->path, "re");
		if (fgets(text, sizeof(text), f))
			assert_string_equal(text, damaged[i]);
		fclose(f);
	}
}

static void a_place_that_cannot_be_written_is_said(void **state)
{
	struct place *place = *state;
	struct identity identity;

	assert_int_equal(identity_load("/proc/nowhere/default.json", &identity, place->why,
		sizeof(place->why)), -ENOENT);
	assert_non_null(strstr(place->why, "/proc/nowhere/default.json: cannot be written"));
	put_file(place->path, "{}");
	chmod(place->path, 0);
	if (geteuid() != 0)
		assert_int_equal(identity_load(place->path, &identity, place->why, sizeof(place->why)),
			-EACCES);
}

static void one_process_holds_the_identity(void **state)
{
	struct place *place = *state;
	int fd = identity_lock(place->dir, place->why, sizeof(place->why));
	char pid[20];

	assert_true(fd >= 0);
	assert_int_equal(identity_lock(place->dir, place->why, sizeof(place->why)), -EBUSY);
	snprintf(pid, sizeof(pid), "(%d)", getpid());
	assert_non_null(strstr(place->why, pid));
	close(fd);
	fd = identity_lock(place->dir, place->why, sizeof(place->why));
	assert_true(fd >= 0);
	close(fd);
}

static void a_profile_may_have_a_name_for_screens(void **state)
{
	struct place *place = *state;
	struct identity identity;

	put_file(place->path, "{\"Name\": \"Work\\u0007\\nroot: \u00e9\"}");
	load(place, &identity);
	assert_string_equal(identity.name, "Workroot: \xc3\xa9");
	identity_done(&identity);
	put_file(place->path, "{\"Name\": 5}");
	load(place, &identity);
	assert_string_equal(identity.name, "");
	identity_done(&identity);
}

/* The -v6 halves of exit nodes and a firewall's IPv6 tables, as 0.77 writes them. */
static void a_state_of_0_77_is_read_and_kept(void **state)
{
	static const char before[] = "{\"port_forward_state\":{\"internal_port\":51820,\"protocol\":\"udp\"},"
		"\"iptables_state\":{\"route_rules_v6\":{\"a\":[\"-A\"]},\"acl_entries_v6\":{}},"
		"\"nftables_state\":{\"interface_state\":{\"name\":\"wt0\","
		"\"wg_address\":{\"IPv6\":\"fd00::1\"},\"mtu\":1280}},";
	static const char selection[] =
		"\"routeselector_state\":{\"selected_routes\":{\"exit\":{},\"exit-v6\":{}},"
		"\"deselected_routes\":{\"lan-v6\":{}},\"deselect_all\":false}}";
	struct place *place = *state;
	struct route_selection got = {};
	char whole[1024], *text;

	snprintf(whole, sizeof(whole), "%s%s", before, selection);
	put_file(place->path, whole);
	assert_int_equal(route_selection_load(place->path, &got), 0);
	assert_int_equal(got.selected_count, 2);
	assert_string_equal(got.selected[1], "exit-v6");
	assert_string_equal(got.deselected[0], "lan-v6");
	assert_int_equal(route_selection_save(place->path, &got), 0);
	text = get_file(place->path);
	assert_string_equal(text, whole);
	free(text);
	route_selection_done(&got);
}

static void what_the_user_selected_is_kept_beside_everything_else(void **state)
{
	struct place *place = *state;
	struct route_selection selection = { .selected = (char *[]){ "lan", "a \"b\"" }, .selected_count = 2,
		.deselected = (char *[]){ "pods" }, .deselected_count = 1 };
	struct route_selection got = {};
	char *text, *was;
	size_t len;

	assert_int_equal(route_selection_load(place->path, &got), 0);
	assert_int_equal(got.selected_count + got.deselected_count, 0);
	copy_recorded("identity/node-state.json", place->path);
	assert_int_equal(route_selection_load(place->path, &got), 0);
	assert_int_equal(got.selected_count + got.deselected_count, 0);
	assert_int_equal(route_selection_save(place->path, &selection), 0);
	text = get_file(place->path);
	assert_non_null(strstr(text,
		"\"routeselector_state\":{\"selected_routes\":{\"lan\":{},\"a "
		"\\\"b\\\"\":{}},\"deselected_routes\":{\"pods\":{}},\"deselect_all\":false}"));
	assert_null(strchr(text, '\n'));
	was = (char *)netbird_read("identity/node-state.json", &len);
	/* the others and their order */
	assert_memory_equal(text, was, strstr(was, "\"routeselector_state\"") - was);
	free(was);
	free(text);
	assert_int_equal(route_selection_load(place->path, &got), 0);
	assert_int_equal(got.selected_count, 2);
	assert_string_equal(got.selected[1], "a \"b\"");
	assert_string_equal(got.deselected[0], "pods");
	assert_false(got.deselect_all);
	route_selection_done(&got);
	put_file(place->path, "{\"routeselector_state\":{\"deselect_all\":true,\"selected_routes\":null}}");
	assert_int_equal(route_selection_load(place->path, &got), 0);
	assert_true(got.deselect_all);
	put_file(place->path, "{\"routeselector_state\":");
	assert_int_equal(route_selection_load(place->path, &got), -EBADMSG);
	assert_int_equal(route_selection_save(place->path, &selection), -EBADMSG);
}

static void an_older_clients_profile_is_taken_over_once(void **state)
{
	struct place *place = *state;
	struct identity identity;
	char old[80];
	uint8_t key[KEY_LEN];

	snprintf(old, sizeof(old), "%s/old", place->dir);
	assert_int_equal(identity_adopt(old, place->path, place->why, sizeof(place->why)), 0);
	put_file(old, "{");
	assert_int_equal(identity_adopt(old, place->path, place->why, sizeof(place->why)), -EBADMSG);
	assert_int_equal(access(place->path, F_OK), -1);
	copy_recorded("identity/node-default.json", old);
	assert_int_equal(identity_adopt(old, place->path, place->why, sizeof(place->why)), 1);
	copy_recorded("identity/lap-default.json", old);
	assert_int_equal(identity_adopt(old, place->path, place->why, sizeof(place->why)), 0);
	load(place, &identity);
	netbird_key(NODE_PUBLIC, key);
	assert_memory_equal(identity.public_key, key, KEY_LEN);
	identity_done(&identity);
	unlink(old);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)
	const struct CMUnitTest tests[] = {
		TEST(the_profile_of_netbirds_client_is_taken_over),
		TEST(a_profile_is_written_back_as_it_was),
		TEST(only_a_change_is_written),
		TEST(a_new_identity_looks_like_one_of_netbirds_client),
		TEST(settings_without_a_key_get_one_and_stay),
		TEST(a_damaged_file_is_never_a_reason_for_a_new_key),
		TEST(a_place_that_cannot_be_written_is_said),
		TEST(one_process_holds_the_identity),
		TEST(an_older_clients_profile_is_taken_over_once),
		TEST(a_profile_may_have_a_name_for_screens),
		TEST(a_state_of_0_77_is_read_and_kept),
		TEST(what_the_user_selected_is_kept_beside_everything_else),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
