// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Every flag, short option and variable of NetBird's client 0.77.1 (and what 0.66 had beside them), written
// down one by one, and what Talon does with each. One that is not known fails here.
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "cli/cli.h"

#define UUID	"5F1C2B7A-0000-4000-8000-1234567890AB"
#define KEY	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define NOBODY	"unix:///tmp/talon-nobody"

enum fate {
	HONOURED,	/* has its effect, which other tests look at */
	NAMED,		/* taken, and named in one line as without effect */
	MOOT,		/* taken without a word: what it asks for is always so, or there is nothing to ask */
	REFUSED,	/* one line, and no start: who writes it relies on it */
};

/* Flags of all commands (persistent ones of the root), of `up` and of `service`; each has variables too. */
static const struct flag {
	const char *name;
	char letter;
	const char *value;		/* NULL: a switch */
	enum fate fate;
	const char *bad;		/* a value that is refused; switches refuse "maybe"; NULL: none */
} flags[] = {
	/* all commands */
	{ "daemon-addr", 0, NOBODY, HONOURED, "tcp://127.0.0.1:1" },
	{ "management-url", 'm', "https://netbird.example", HONOURED, "netbird.example" },
	{ "admin-url", 0, "https://app.example", MOOT, NULL },
	{ "log-level", 'l', "debug", HONOURED, "loud" },
	{ "log-file", 0, "console", HONOURED, "relative" },
	{ "setup-key", 'k', UUID, HONOURED, "x" },
	{ "setup-key-file", 0, "/tmp/talon-flags-key", HONOURED, "/nonexistent/key" },
	{ "preshared-key", 0, KEY, HONOURED, "x" },
	{ "hostname", 'n', "box", HONOURED, "a b" },
	{ "anonymize", 'A', NULL, HONOURED, NULL },
	{ "anonymize-level", 0, "strict", HONOURED, "some" },
	{ "config", 'c', "/tmp/talon-flags.json", HONOURED, NULL },
	{ "service", 's', "netbird", MOOT, NULL },
	/* up */
	{ "foreground-mode", 'F', NULL, HONOURED, NULL },
	{ "interface-name", 0, "wt3", HONOURED, "a/b" },
	{ "wireguard-port", 0, "51821", HONOURED, "0" },
	{ "mtu", 0, "1300", HONOURED, "1" },
	{ "network-monitor", 'N', NULL, NAMED, NULL },
	{ "extra-iface-blacklist", 0, "eth7", NAMED, NULL },
	{ "dns-router-interval", 0, "1m0s", NAMED, "soon" },
	{ "extra-dns-labels", 0, "a,b", HONOURED, "-!" },
	{ "no-browser", 0, NULL, MOOT, NULL },
	{ "qr", 0, NULL, HONOURED, NULL },
	{ "profile", 0, "default", HONOURED, "work" },
	{ "external-ip-map", 0, "203.0.113.1", NAMED, NULL },
	{ "dns-resolver-address", 0, "127.0.0.1:5053", NAMED, NULL },
	{ "enable-rosenpass", 0, NULL, REFUSED, NULL },
	{ "rosenpass-permissive", 0, NULL, NAMED, NULL },
	{ "disable-auto-connect", 0, NULL, NAMED, NULL },
	{ "enable-lazy-connection", 0, NULL, NAMED, NULL },
	{ "allow-server-ssh", 0, NULL, NAMED, NULL },
	{ "enable-ssh-root", 0, NULL, NAMED, NULL },
	{ "enable-ssh-sftp", 0, NULL, NAMED, NULL },
	{ "enable-ssh-local-port-forwarding", 0, NULL, NAMED, NULL },
	{ "enable-ssh-remote-port-forwarding", 0, NULL, NAMED, NULL },
	{ "disable-ssh-auth", 0, NULL, NAMED, NULL },
	{ "ssh-jwt-cache-ttl", 0, "30", NAMED, NULL },
	{ "disable-client-routes", 0, NULL, HONOURED, NULL },
	{ "disable-server-routes", 0, NULL, HONOURED, NULL },
	{ "disable-dns", 0, NULL, MOOT, NULL },
	{ "disable-firewall", 0, NULL, HONOURED, NULL },
	{ "block-lan-access", 0, NULL, HONOURED, NULL },
	{ "block-inbound", 0, NULL, HONOURED, NULL },
	{ "disable-ipv6", 0, NULL, HONOURED, NULL },
	/* service */
	{ "disable-profiles", 0, NULL, MOOT, NULL },
	{ "disable-update-settings", 0, NULL, MOOT, NULL },
	{ "enable-capture", 0, NULL, HONOURED, NULL },
	{ "disable-networks", 0, NULL, HONOURED, NULL },
	{ "enable-json-socket", 0, NULL, NAMED, NULL },
	{ "json-socket", 0, "unix:///var/run/netbird-http.sock", NAMED, NULL },
};
#define FLAGS (sizeof(flags) / sizeof(flags[0]))

/* Flags that one command has beside those of all. */
static const char *const lines[] = {
	"login --no-browser", "login --qr", "login --extend", "login --profile default",
	"login -c /tmp/talon-flags.json",
	"logout --profile default", "deregister --profile=default",
	"status --detail", "status -d", "status --json", "status -j", "status --yaml", "status -y",
	"status --ipv4", "status -4", "status --ipv6", "status -6",
	"status --filter-by-ips 100.64.0.1,fd00::1", "status -I 100.64.0.1", "status --filter-by-names a,b",
	"status -N a", "status --filter-by-status idle", "status -S connected",
	"status --filter-by-connection-type P2P", "status -T relayed",
	"status --check live", "status -C ready", "status -C startup",
	"networks select --append lan", "networks select -a lan", "routes select -a lan", "networks list",
	"networks ls", "networks deselect lan", "networks select all", "forwarding list", "forwarding ls",
	"profile list", "profile ls", "profile list --show-id", "networks -l info list",
	"expose 8080", "expose 8080 --with-pin 123456", "expose 8080 --with-password secret",
	"expose 8080 --with-user-groups devops,Backend", "expose 8080 --with-custom-domain app.example.com",
	"expose 8080 --with-name-prefix app", "expose 8080 --protocol http", "expose 8080 --protocol https",
	"expose 8080 --protocol tcp", "expose 8080 --protocol udp", "expose 8080 --protocol tls",
	"expose 8080 --protocol tcp --with-external-port 9090",
	"debug for 1m --log-file-count 2", "debug for 1m -C 2", "debug for 1m --system-info",
	"debug for 1m -S", "debug for 1m --upload-bundle", "debug for 1m -U", "debug for 1m -SU -C3",
	"debug for 1m --upload-bundle-url https://upload.example/url",
	"debug for 1m --upload-bundle-insecure", "debug for 1m --capture", "debug config",
	"--log-level debug networks --log-level=info select -a lan", "down", "version",
	"debug log level trace",
};

/* Commands that take the flags of all commands. */
static const char *const commands[] = {
	"status", "down", "logout", "deregister", "login", "networks list", "networks select lan",
	"networks deselect lan", "expose 8080", "debug for 1m", "debug config", "debug log level info",
	"forwarding list", "profile list", "version",
};

/* Variables without a flag. */
static const struct variable {
	const char *name, *value;
	enum fate fate;
	const char *why;		/* what the line says, NULL: the usual */
} variables[] = {
	{ "NB_STATE_DIR", "/tmp/talon-flags", HONOURED, NULL },
	{ "NB_LOG_FORMAT", "json", HONOURED, NULL },
	{ "NB_FORCE_RELAY", "true", HONOURED, NULL },
	{ "NB_DNS_FORWARDER_PORT", "5353", HONOURED, NULL },
	{ "NB_LAZY_CONN", "on", HONOURED, NULL },
	{ "NB_LAZY_CONN", "off", HONOURED, NULL },
	{ "NB_LAZY_CONN_INACTIVITY_THRESHOLD", "30m", NAMED, NULL },
	{ "NB_LAZY_CONN_INACTIVITY_THRESHOLD", "15", NAMED, NULL },
	{ "NB_ENTRYPOINT_SERVICE_TIMEOUT", "30", MOOT, NULL },
	{ "NB_ENTRYPOINT_LOGIN_TIMEOUT", "5", MOOT, NULL },
	{ "NB_DNS_LAZY_WARMUP_TIMEOUT", "2s", NAMED, NULL },
	{ "NB_MANAGEMENT_GRPC_MAX_MSG_SIZE", "16777216", NAMED, NULL },
	{ "NB_RELAY_TRANSPORT", "ws", HONOURED, NULL },
	{ "NB_HOME_RELAY_SERVERS", "rels://relay.example:443", HONOURED, NULL },
	{ "NB_DISABLE_NAT_MAPPER", "true", NAMED, NULL },
	{ "NB_DISABLE_PCP_HEALTH_CHECK", "true", NAMED, NULL },
	{ "NB_FORCE_USERSPACE_FIREWALL", "true", NAMED, NULL },
	{ "NB_CONNTRACK_TCP_MAX", "1", NAMED, NULL },
	{ "NB_CONNTRACK_UDP_MAX", "1", NAMED, NULL },
	{ "NB_CONNTRACK_ICMP_MAX", "1", NAMED, NULL },
	{ "NB_CONNTRACK_TCP_FIN_WAIT_TIMEOUT", "60s", NAMED, NULL },
	{ "NB_CONNTRACK_TCP_CLOSE_WAIT_TIMEOUT", "60s", NAMED, NULL },
	{ "NB_CONNTRACK_TCP_LAST_ACK_TIMEOUT", "30s", NAMED, NULL },
	{ "NB_FRAGMENT_MAX_ENTRIES", "16384", NAMED, NULL },
	{ "NB_FORCE_TCP_RACK", "true", NAMED, NULL },
	{ "NB_SOCKS5_LISTENER_ADDRESS", "127.0.0.1", NAMED, NULL },
	{ "NB_SOCKS5_LISTENER_PORT", "1080", NAMED, NULL },
	{ "NB_METRICS_PUSH_ENABLED", "true", NAMED, NULL },
	{ "NB_METRICS_INTERVAL", "1m", NAMED, NULL },
	{ "NB_METRICS_SERVER_URL", "https://m.example", NAMED, NULL },
	{ "NB_METRICS_CONFIG_URL", "https://m.example", NAMED, NULL },
	{ "NB_METRICS_FORCE_SENDING", "true", NAMED, NULL },
	{ "NB_MGMT_CACHE_TTL", "5m", NAMED, NULL },
	{ "NB_DNS_HEALTH_WARNING_DELAY", "10s", NAMED, NULL },
	{ "NB_DNS_STATE_FILE", "/x", NAMED, NULL },
	{ "NB_UNCLEAN_SHUTDOWN_RESOLV_FILE", "/x", NAMED, NULL },
	{ "NB_LOG_DISABLE_ROTATION", "true", HONOURED, NULL },
	{ "NB_LOG_MAX_SIZE_MB", "15", HONOURED, NULL },
	{ "NB_DISABLE_SLEEP_DETECTOR", "true", NAMED, NULL },
	{ "NB_WG_KERNEL_DISABLED", "true", NAMED, NULL },
	{ "NB_WG_DEBUG", "true", NAMED, NULL },
	{ "NB_USE_NETSTACK_MODE", "true", NAMED, NULL },
	{ "NB_NETSTACK_SKIP_PROXY", "true", NAMED, NULL },
	{ "NB_ENABLE_NETSTACK_LOCAL_FORWARDING", "true", NAMED, NULL },
	{ "NB_ENABLE_LOCAL_FORWARDING", "true", NAMED, NULL },
	{ "NB_FORCE_USERSPACE_ROUTER", "true", NAMED, NULL },
	{ "NB_DISABLE_USERSPACE_ROUTING", "true", NAMED, NULL },
	{ "NB_DISABLE_CONNTRACK", "true", NAMED, NULL },
	{ "NB_DISABLE_MSS_CLAMPING", "true", NAMED, NULL },
	{ "NB_DISABLE_EBPF_WG_PROXY", "true", NAMED, NULL },
	{ "NB_DISABLE_CUSTOM_ROUTING", "true", NAMED, NULL },
	{ "NB_DISABLE_SSH_CONFIG", "true", NAMED, NULL },
	{ "NB_FORCE_SSH_CONFIG", "true", NAMED, NULL },
	{ "NB_USPFILTER_LOG_BUFFER", "1", NAMED, NULL },
	{ "NB_USE_LEGACY_ROUTING", "true", NAMED, NULL },
	{ "NB_SKIP_SOCKET_MARK", "true", NAMED, NULL },
	{ "NB_SKIP_NFTABLES_CHECK", "true", NAMED, NULL },
	{ "NB_NFTABLES_TABLE", "netbird", NAMED, NULL },
	{ "NB_ROUTE_PROTO_FLAG", "1", NAMED, NULL },
	{ "NB_ROSENPASS_LOG_LEVEL", "debug", NAMED, NULL },
	{ "NB_PPROF_ADDR", "localhost:6060", NAMED, NULL },
	{ "NB_RELAY_HC_ATTEMPT_THRESHOLD", "3", NAMED, NULL },
	{ "NB_ICE_KEEP_ALIVE_INTERVAL_SEC", "4", NAMED, NULL },
	{ "NB_ICE_DISCONNECTED_TIMEOUT_SEC", "6", NAMED, NULL },
	{ "NB_ICE_FAILED_TIMEOUT_SEC", "6", NAMED, NULL },
	{ "NB_ICE_RELAY_ACCEPTANCE_MIN_WAIT_SEC", "2", NAMED, NULL },
	{ "NB_ICE_FORCE_RELAY_CONN", "true", NAMED, NULL },
	{ "NB_ICE_MONITOR_PERIOD", "60", NAMED, NULL },
	{ "NB_CONN_RETRY_INTERVAL_TIME", "1s", NAMED, NULL },
	{ "NB_CONN_MAX_RETRY_INTERVAL_TIME", "1m", NAMED, NULL },
	{ "NB_CONN_MAX_RETRY_TIME_TIME", "1h", NAMED, NULL },
	{ "NB_CONN_RETRY_MULTIPLIER", "1.7", NAMED, NULL },
	/* of other systems */
	{ "NB_AUTO_UPDATE_DRY_RUN", "true", NAMED, NULL },
	{ "NB_DISABLE_ROUTE_CACHE", "true", NAMED, NULL },
	{ "NB_LISTEN_DEBUG_EVENT", "true", NAMED, NULL },
	/* removed since 0.66 */
	{ "NB_ENABLE_EXPERIMENTAL_LAZY_CONN", "true", NAMED, "NetBird's client no longer has them" },
	{ "NB_SKIP_DNS_PROBE", "true", NAMED, "NetBird's client no longer has them" },
};

static char *out, *err;

static int forget(void **state)
{
	free(out);
	free(err);
	out = err = NULL;
	return 0;
}

static int run(const char *program, char *const *env, const char *line, const char *more)
{
	char words[512], *argv[24] = { (char *)program }, *save;
	struct cli cli = { .env = env };
	size_t out_len, err_len;
	int argc = 1, code;

	forget(NULL);
	snprintf(words, sizeof(words), "%s %s", line, more);
	for (char *word = strtok_r(words, " ", &save); word && argc < 23; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	cli.out = open_memstream(&out, &out_len);
	cli.err = open_memstream(&err, &err_len);
	code = cli_main(&cli, argc, argv);
	fclose(cli.out);
	fclose(cli.err);
	return code;
}

/* "--NAME=VALUE", or "-L VALUE" */
static const char *written(const struct flag *flag, bool as_letter)
{
	static char text[128];

	if (as_letter)
		snprintf(text, sizeof(text), "-%c%s%s", flag->letter, flag->value ? " " : "",
			flag->value ? flag->value : "");
	else
		snprintf(text, sizeof(text), "--%s%s%s", flag->name, flag->value ? "=" : "",
			flag->value ? flag->value : "");
	return text;
}

static void put_key_file(void)
{
	FILE *file = fopen("/tmp/talon-flags-key", "we");

	assert_non_null(file);
	fprintf(file, UUID "\n");
	fclose(file);
}

/* What `up --dry-run` has printed, and its exit status, are as @fate says of @name. */
static void assert_fate(const char *name, enum fate fate, const char *why, int code)
{
	char line[160];
	bool is_named;

	snprintf(line, sizeof(line), "%s%s", why ? "" : name, why ? why : ": no effect: ");
	is_named = out && strstr(out, name) && strstr(out, "no effect") &&
		(strstr(out, line) || strstr(out, "of parts of NetBird's client that Talon does not have"));
	if (strstr(out, "not known") || strstr(err, "is not an option"))
		fail_msg("%s is not known:\n%s%s", name, out, err);
	if (code != (fate == REFUSED ? CLI_USAGE : CLI_OK) || is_named != (fate == NAMED))
		fail_msg("%s: exit status %d:\n%s%s", name, code, out, err);
	if (fate == REFUSED && strncmp(err, "talon: ", 7))
		fail_msg("%s: %s", name, err);
}

/* A value that makes no sense is refused by the name of the place, so the place was read. */
static void assert_is_read(const char *place, const char *bad, int code)
{
	char begin[96];

	if (!bad)
		return;
	snprintf(begin, sizeof(begin), "talon: %s: ", place);
	if (code != CLI_USAGE || strncmp(err, begin, strlen(begin)))
		fail_msg("%s with '%s': exit status %d:\n%s%s", place, bad, code, out, err);
}

static const char *bad_value(const struct flag *flag)
{
	return flag->value || flag->bad ? flag->bad : "maybe";
}

static void every_flag_of_up_and_service_is_known(void **state)
{
	char *env[] = { "NB_STATE_DIR=/tmp/talon-flags", NULL }, place[80];

	put_key_file();
	for (size_t i = 0; i < FLAGS; i++) {
		for (int as_letter = 0; as_letter < (flags[i].letter ? 2 : 1); as_letter++) {
			int code = run("talon", env, "up --dry-run", written(&flags[i], as_letter));

			snprintf(place, sizeof(place), "--%s", flags[i].name);
			assert_fate(place, flags[i].fate, NULL, code);
		}
		if (bad_value(&flags[i]) && !strchr(bad_value(&flags[i]), ' ')) {
			char more[128];

			snprintf(more, sizeof(more), "%s=%s", place, bad_value(&flags[i]));
			assert_is_read(place, more, run("talon", env, "up --dry-run", more));
		}
	}
	unlink("/tmp/talon-flags-key");
}

static void every_flag_is_a_variable_too_by_both_prefixes(void **state)
{
	static const char *const prefixes[] = { "NB_", "WT_" };
	char entry[160], name[64];

	put_key_file();
	for (size_t i = 0; i < 2 * FLAGS; i++) {
		const struct flag *flag = &flags[i / 2];
		char *env[] = { entry, flag->letter == 'c' ? NULL : "NB_STATE_DIR=/tmp/talon-flags", NULL };

		snprintf(name, sizeof(name), "%s%s", prefixes[i % 2], flag->name);
		for (char *c = name; *c; c++)
			*c = *c == '-' ? '_' : toupper((unsigned char)*c);
		snprintf(entry, sizeof(entry), "%s=%s", name, flag->value ? flag->value : "true");
		assert_fate(name, flag->fate, NULL, run("talon", env, "up --dry-run", ""));
		snprintf(entry, sizeof(entry), "%s=%s", name, bad_value(flag) ? bad_value(flag) : "");
		assert_is_read(name, bad_value(flag), run("talon", env, "up --dry-run", ""));
	}
	unlink("/tmp/talon-flags-key");
}

static void every_variable_without_a_flag_is_known(void **state)
{
	char entry[160];

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		char *env[] = { entry, "NB_HOSTNAME=box", NULL };

		snprintf(entry, sizeof(entry), "%s=%s", variables[i].name, variables[i].value);
		assert_fate(variables[i].name, variables[i].fate, variables[i].why,
			run("talon", env, "up --dry-run", ""));
	}
}

static void an_unknown_variable_is_told_from_them(void **state)
{
	char *env[] = { "NB_MANAGEMENT_URI=x", NULL };

	assert_int_equal(run("talon", env, "up --dry-run", ""), CLI_OK);
	assert_non_null(strstr(out, "warning: no effect: NB_MANAGEMENT_URI (not known"));
}

/* The daemon cannot be reached, which is all that is wrong. */
static void assert_known(const char *line, const char *more)
{
	char *env[] = { "NB_DAEMON_ADDR=" NOBODY, NULL };
	int code = run("netbird", env, line, more);

	if (strstr(err, "unknown flag") || strstr(err, "too many") || strstr(err, "not understood"))
		fail_msg("%s %s: %s", line, more, err);
	if (code ? !strstr(err, "failed to connect to daemon error") : strcmp(out, "0.77.1\n"))
		fail_msg("%s %s: exit status %d: %s%s", line, more, code, out, err);
}

static void every_flag_of_every_command_is_known(void **state)
{
	put_key_file();
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_known(lines[i], "");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		/* those of all commands come first in the table, up to `service` */
		for (const struct flag *flag = flags; strcmp(flag->name, "foreground-mode"); flag++) {
			assert_known(commands[i], written(flag, false));
			if (flag->letter)
				assert_known(commands[i], written(flag, true));
		}
	}
	unlink("/tmp/talon-flags-key");
}

/* As NetBird's client reads them: switches in one argument, and values without a blank. */
static void letters_may_stand_together(void **state)
{
	static const char *const groups[] = { "status -dA", "status -Ad", "status -Aj", "status -ldebug",
		"status -l=debug", "status -dlwarn", "status -Sidle", "status -jNnode",
		"networks select -aA lan",
		"logout -Am https://a.example", "down -A" };

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		assert_known(groups[i], "");
	assert_int_equal(run("netbird", (char *const []){ NULL }, "status -dj", ""), CLI_FAILED);
	assert_non_null(strstr(err, "--detail and --json exclude each other"));
	assert_int_equal(run("netbird", (char *const []){ NULL }, "status -dx", ""), CLI_FAILED);
	assert_string_equal(err, "Error: unknown flag: --dx\n");
	assert_int_equal(run("netbird", (char *const []){ NULL }, "status -lloud", ""), CLI_FAILED);
	assert_non_null(strstr(err, "'loud' is not a level"));
	/* under its own name only switches are taken apart: this is --json with one dash */
	assert_int_equal(run("talon", (char *const []){ NULL }, "status -json --yaml", ""), CLI_USAGE);
	assert_non_null(strstr(err, "--json and --yaml exclude each other"));
}

#define TEST(name) cmocka_unit_test_teardown(name, forget)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_flag_of_up_and_service_is_known),
		TEST(every_flag_is_a_variable_too_by_both_prefixes),
		TEST(every_variable_without_a_flag_is_known),
		TEST(an_unknown_variable_is_told_from_them),
		TEST(every_flag_of_every_command_is_known),
		TEST(letters_may_stand_together),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
