// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What scripts written for NetBird's client see: its command line, asked of a daemon that answers here.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <sodium.h>

#include "unit/mesh_world.h"
#include "unit/netbird.h"
#include "cli/cli.h"
#include "snapshot/control.h"
#include "status/render.h"

static struct {
	char dir[32], path[40];
	struct loop *loop;
	struct control *control;
	pthread_t thread;
	volatile bool stop;
	struct snapshot world;
	char asked[128];
	int ret;
	const char *why;
} d;

static char *out, *err;

static int on_snapshot(void *ctx, struct snapshot *ret_snapshot)
{
	char *text = NULL;
	size_t len;
	FILE *file = open_memstream(&text, &len);
	json_t *json;
	int ret;

	snapshot_write(file, &d.world);
	fclose(file);
	json = json_loads(text, 0, NULL);
	ret = snapshot_parse(json, ret_snapshot);
	json_decref(json);
	free(text);
	return ret;
}

static int note(const char *what, char *const *ids, size_t count, bool append, bool all, char *why,
	size_t size)
{
	size_t len = snprintf(d.asked, sizeof(d.asked), "%s%s%s", what, append ? " append" : "",
		all ? " all" : "");

	for (size_t i = 0; i < count && len < sizeof(d.asked); i++)
		len += snprintf(d.asked + len, sizeof(d.asked) - len, " %s", ids[i]);
	if (d.ret)
		snprintf(why, size, "%s", d.why);
	return d.ret;
}

static int on_select(void *ctx, char *const *ids, size_t count, bool append, bool all, char *why, size_t size)
{
	return note("select", ids, count, append, all, why, size);
}

static int on_deselect(void *ctx, char *const *ids, size_t count, bool append, bool all, char *why,
	size_t size)
{
	return note("deselect", ids, count, append, all, why, size);
}

static void *run_loop(void *arg)
{
	while (!d.stop)
		loop_turn(d.loop, 10 * LOOP_MS);
	return NULL;
}

static int start_daemon(void **state)
{
	static const struct control_ops ops = { .snapshot = on_snapshot, .select = on_select,
		.deselect = on_deselect };
	char why[200];

	memset(&d, 0, sizeof(d));
	d.world = world_of_lap();
	strcpy(d.dir, "/tmp/talon-netbird-XXXXXX");
	assert_non_null(mkdtemp(d.dir));
	snprintf(d.path, sizeof(d.path), "%s/s", d.dir);
	assert_int_equal(loop_new(&d.loop), 0);
	assert_int_equal(control_new(&d.control, d.loop, d.path, &ops, NULL, why, sizeof(why)), 0);
	return pthread_create(&d.thread, NULL, run_loop, NULL);
}

static int stop_daemon(void **state)
{
	d.stop = true;
	pthread_join(d.thread, NULL);
	control_free(d.control);
	loop_free(d.loop);
	rmdir(d.dir);
	free(out);
	free(err);
	out = err = NULL;
	return 0;
}

/* @program with the words of @line, asked of our daemon, or of none if it names another one. */
static int run(const char *program, const char *line)
{
	char words[256], address[64], *argv[16] = { (char *)program }, *env[] = { address, NULL }, *save;
	struct cli cli = { .env = env };
	size_t out_len, err_len;
	int argc = 1, code;

	free(out);
	free(err);
	snprintf(words, sizeof(words), "%s", line);
	snprintf(address, sizeof(address), "NB_DAEMON_ADDR=unix://%s", strstr(line, "nobody")
		? "/tmp/talon-nobody" : d.path);
	for (char *word = strtok_r(words, " ", &save); word && argc < 15; word = strtok_r(NULL, " ", &save))
		argv[argc++] = strcmp(word, "nobody") ? word : "--log-level=info";
	cli.out = open_memstream(&out, &out_len);
	cli.err = open_memstream(&err, &err_len);
	code = cli_main(&cli, argc, argv);
	fclose(cli.out);
	fclose(cli.err);
	return code;
}

static void assert_says(const char *line, int code, const char *expected_out, const char *expected_err)
{
	assert_int_equal(run("netbird", line), code);
	assert_string_equal(out, expected_out);
	assert_string_equal(err, expected_err);
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
}

static void assert_is_recorded(const char *name)
{
	size_t len;
	char *recorded = (char *)netbird_read(name, &len);

	assert_string_equal(out, recorded);
	free(recorded);
}

static void each_form_of_status_has_its_letter(void **state)
{
	static const char *const same[][2] = {
		{ "status -d", "status --detail" }, { "status -j", "status --json" },
		{ "status -y", "status --yaml" }, { "status -4", "status --ipv4" },
		{ "status -6", "status --ipv6" },
		{ "status -I 10.0.0.1 -j", "status --filter-by-ips 10.0.0.1 --json" },
		{ "status -N node -j", "status --filter-by-names=node --json" },
		{ "status -S connected -j", "status --filter-by-status connected --json" },
		{ "status -T Relayed -j", "status --filter-by-connection-type relayed --json" },
	};
	char *first;

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		assert_int_equal(run("netbird", same[i][0]), CLI_OK);
		assert_true(*out);
		first = strdup(out);
		assert_int_equal(run("netbird", same[i][1]), CLI_OK);
		/* ages may move on by a second between the two */
		if (i)
			assert_string_equal(out, first);
		else
			assert_int_equal(strncmp(out, first, 400), 0);
		free(first);
	}
	assert_int_equal(run("netbird", "status -N node -j"), CLI_OK);
	assert_has(out, "\"total\":1,");
	assert_has(out, "\"daemonVersion\":\"0.77.1\",\"daemonStatus\":\"Connected\",\"management\":");
	assert_int_equal(run("netbird", "status -I fd5c:8e21:7a3b::2ac -j"), CLI_OK);
	assert_has(out, "\"total\":1,");
	assert_int_equal(run("netbird", "status -T Relayed -j"), CLI_OK);
	assert_has(out, "\"total\":0,");
	assert_int_equal(run("netbird", "status -S idle"), CLI_OK);
	assert_has(out, "Peers detail:");
}

static void addresses_stand_alone_without_length(void **state)
{
	assert_says("status -4", CLI_OK, "100.119.120.223\n", "");
	assert_says("status --ipv6", CLI_OK, "fd5c:8e21:7a3b::77df\n", "");
	d.world.address6 = "";
	assert_says("status -6", CLI_OK, "", "");
}

static void forms_exclude_each_other(void **state)
{
	static const char letters[] = "djy46";
	char line[40];

	for (size_t i = 0; i < 5; i++) {
		for (size_t j = 0; j < 5; j++) {
			snprintf(line, sizeof(line), "status -%c -%c", letters[i], letters[j]);
			assert_int_equal(run("netbird", line), i == j ? CLI_OK : CLI_FAILED);
			if (i != j)
				assert_has(err, "exclude each other");
		}
	}
}

/* Nothing is printed when a check holds, and what is wrong with the rest of the line does not matter. */
static void a_check_comes_before_everything_else(void **state)
{
	static const char *const checks[] = { "live", "ready", "startup", "LIVE" };
	char line[80];

	for (size_t i = 0; i < 4; i++) {
		snprintf(line, sizeof(line), "status -C %s -j --filter-by-status asleep -I x", checks[i]);
		assert_says(line, CLI_OK, "", "");
		snprintf(line, sizeof(line), "status --check %s nobody", checks[i]);
		assert_int_equal(run("netbird", line), CLI_FAILED);
		assert_string_equal(out, "");
		assert_has(err, "Error: failed to connect to daemon error: ");
	}
	assert_says("status --check nothing", CLI_FAILED, "",
		"Error: --check: 'nothing' is not a check; expected live, ready, startup or datapath\n");
	assert_int_equal(run("netbird", "status --filter-by-status asleep"), CLI_FAILED);
	d.world.daemon_status = "NeedsLogin";
	d.world.management_connected = false;
	assert_says("status --check live", CLI_OK, "", "");
	assert_says("status --check startup", CLI_FAILED, "",
		"Error: startup: no: management is not connected\n");
	d.world.datapath_ready = false;
	d.world.datapath_why = "no network map yet";
	assert_says("status --check ready", CLI_FAILED, "", "Error: ready: no: no network map yet\n");
	assert_int_equal(run("talon", "status --check live"), CLI_OK);
	assert_string_equal(out, "live: yes: the daemon answers\n");
}

static void a_host_that_is_not_registered_is_told_how_to_log_in(void **state)
{
	static const char *const people[] = { "status", "status -d", "status -4", "status -6" };

	d.world.daemon_status = "NeedsLogin";
	d.world.management_url = "https://netbird.example.com:443";
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(run("netbird", people[i]), CLI_OK);
		assert_int_equal(strncmp(out, "Daemon status: NeedsLogin\n\n", 27), 0);
		assert_has(out, "\n netbird login\n");
		assert_true(strstr(out, "netbird login") < strstr(out, "--setup-key"));
		assert_string_equal(err, "");
	}
	assert_int_equal(run("netbird", "status -j"), CLI_OK);
	assert_is_recorded("cli/unregistered.json");
	assert_int_equal(run("netbird", "status -y"), CLI_OK);
	assert_is_recorded("cli/unregistered.yaml");
	assert_int_equal(run("talon", "status -j"), CLI_OK);
	assert_has(out, "\"daemonStatus\":\"NeedsLogin\"");
}

static void count(const char *line, const char *const *parts, bool expected)
{
	assert_int_equal(run("netbird", line), CLI_OK);
	for (; *parts; parts++) {
		if (!!strstr(out, *parts) != expected)
			fail_msg("%s: %s \"%s\" in:\n%s", line, expected ? "no" : "a", *parts, out);
	}
}

/*
 * For a post that anybody can read: the same structure, with placeholders; strict ones also for
 * what is private.
 */
static void what_is_anonymized_keeps_its_structure(void **state)
{
	static const char *const public[] = { "192.0.2.77", "firm.example", NULL },
		*const private[] = { "100.119.120.223", "10.99.0.2:51820", "node.netbird.selfhosted",
			"t2jdbmCTRoKPfSWT60kMw6cb489FDlef+jvoS1qvAz8=", NULL },
		*const structure[] = { "Peers detail:\n ", "\n  NetBird IPv6: ",
			"\nManagement: Connected to http://",
			"\nPeers count: 1/1 Connected\n", NULL };
	json_t *json;

	d.world.management_url = "http://firm.example:8080";
	world_node.ice_remote_endpoint = "192.0.2.77:16813";
	count("status -d", public, true);
	count("status -d", private, true);
	count("status -dA", public, false);
	count("status -dA", private, true);
	count("status -d --anonymize-level default", public, false);
	count("status -d --anonymize-level=strict", public, false);
	count("status -d --anonymize-level=strict", private, false);
	count("status -d --anonymize-level=STRICT", structure, true);
	count("status -y --anonymize-level=strict", private, false);
	count("status -jA", public, false);
	json = json_loads(out, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "peers"), "total")), 1);
	assert_int_equal(json_object_size(json), 22);
	json_decref(json);
	assert_says("status -4A", CLI_OK, "100.119.120.223\n", "");
	assert_says("status --anonymize-level some", CLI_FAILED, "",
		"Error: --anonymize-level: 'some' is not a level; expected default or strict\n");
	world_node.ice_remote_endpoint = "10.99.0.254:16813";
}

static void networks_are_listed_while_connected_and_not_forbidden(void **state)
{
	static const char listed[] = "Available Networks:\n\n  - ID: exit\n    Network: 0.0.0.0/0, ::/0\n"
		"    Status: Not Selected\n";
	struct snapshot_network pair[] = { { .id = "exit", .prefix = "0.0.0.0/0" },
		{ .id = "exit-v6", .prefix = "::/0" } };

	d.world.routes = pair;
	d.world.route_count = 2;
	assert_says("networks list", CLI_OK, listed, "");
	assert_says("routes ls", CLI_OK, listed, "");
	d.world.networks_disabled = true;
	assert_says("networks list", CLI_FAILED, "",
		"Error: failed to list network: --disable-networks is set: networks are neither listed nor "
		"selected here\n");
	d.world.networks_disabled = false;
	d.world.ip = "";
	assert_says("networks list", CLI_FAILED, "", "Error: failed to list network: not connected\n");
	d.world.ip = "100.64.0.1/16";
	d.world.daemon_status = "NeedsLogin";
	assert_says("networks list", CLI_FAILED, "", "Error: failed to list network: not connected\n");
	assert_says("networks select -a exit lan", CLI_OK, "Networks selected successfully.\n", "");
	assert_string_equal(d.asked, "select append exit lan");
	assert_says("networks deselect all", CLI_OK, "Networks deselected successfully.\n", "");
	assert_string_equal(d.asked, "deselect all");
	d.ret = -EPERM;
	d.why = SNAPSHOT_NETWORKS_DISABLED;
	assert_says("networks select exit", CLI_FAILED, "",
		"Error: failed to select networks: --disable-networks is set: networks are neither listed "
		"nor selected here\n");
}

static void forwarding_rules_are_none_also_before_connecting(void **state)
{
	d.world.daemon_status = "NeedsLogin";
	assert_says("forwarding list", CLI_OK, "No forwarding rules available.\n", "");
	assert_says("forwarding ls", CLI_OK, "No forwarding rules available.\n", "");
	assert_int_equal(run("netbird", "forwarding list nobody"), CLI_FAILED);
	assert_has(err, "Error: failed to connect to daemon error: ");
	assert_says("forwarding", CLI_FAILED, "", "Error: forwarding: '' is not understood; expected list\n");
}

static void there_is_one_profile(void **state)
{
	static const char *const refused[] = { "profile add work", "profile rename default work",
		"profile remove default", "profile rm work", "profile select work" };

	assert_says("profile list", CLI_OK, "NAME     ACTIVE\ndefault  \xe2\x9c\x93\n", "");
	assert_says("profile ls --show-id", CLI_OK,
		"ID       NAME     ACTIVE\ndefault  default  \xe2\x9c\x93\n", "");
	d.world.profile = "Home office";
	assert_says("profile list --show-id", CLI_OK,
		"ID       NAME         ACTIVE\ndefault  Home office  \xe2\x9c\x93\n", "");
	assert_int_equal(run("netbird", "profile list nobody"), CLI_FAILED);
	assert_has(err, "Error: failed to connect to daemon error: ");
	assert_says("profile select default", CLI_OK, "Profile switched to: default\n", "");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_int_equal(run("netbird", refused[i]), CLI_FAILED);
		assert_string_equal(out, "");
		assert_has(err, ": Talon has one profile, default; another identity is another file: "
			"--config FILE or --state-dir DIR of the daemon\n");
	}
	assert_says("profile rename work", CLI_FAILED, "",
		"Error: profile rename: expected a name and a new name\n");
	assert_says("profile", CLI_FAILED, "",
		"Error: profile: '' is not understood; expected list, select, add, rename or remove\n");
	assert_says("profile --log-level info list --show-id -A", CLI_OK,
		"ID       NAME         ACTIVE\ndefault  Home office  \xe2\x9c\x93\n",
		"");
	assert_says("profile select default more", CLI_FAILED, "",
		"Error: profile: 'more' is one argument too many; see talon profile --help\n");
	assert_says("profile select --show-id default", CLI_FAILED, "", "Error: unknown flag: --show-id\n");
	assert_says("profile list --colour", CLI_FAILED, "", "Error: unknown flag: --colour\n");
}

static void commands_that_talon_lacks_are_refused_with_a_reason(void **state)
{
	static const char *const lines[] = { "kubernetes list",
		"kubernetes write-kubeconfig --kubeconfig f c", "ssh -p 22022 root@node", "state list",
		"state clean -a" };

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		size_t len = strcspn(lines[i], " ");

		assert_int_equal(run("netbird", lines[i]), CLI_FAILED);
		assert_string_equal(out, "");
		assert_int_equal(strncmp(err, "Error: ", 7), 0);
		assert_int_equal(strncmp(err + 7, lines[i], len), 0);
		assert_ptr_equal(strchr(err, '\n'), err + strlen(err) - 1);
		assert_null(strstr(err, "is not a command"));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_daemon, stop_daemon)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_form_of_status_has_its_letter),
		TEST(addresses_stand_alone_without_length),
		TEST(forms_exclude_each_other),
		TEST(a_check_comes_before_everything_else),
		TEST(a_host_that_is_not_registered_is_told_how_to_log_in),
		TEST(what_is_anonymized_keeps_its_structure),
		TEST(networks_are_listed_while_connected_and_not_forbidden),
		TEST(forwarding_rules_are_none_also_before_connecting),
		TEST(there_is_one_profile),
		TEST(commands_that_talon_lacks_are_refused_with_a_reason),
	};

	if (sodium_init() < 0)
		return 1;
	setenv("TZ", "UTC", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
