// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The command line: exit codes, and one line for everything that is wrong.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "cli/cli.h"
#include "crypto/key.h"

#define SECRET	"mBIYSvPR81C9qvSG5mjOl6KZM/lSAKNNkvLHLsvZL3c="
#define PUBLIC	"Ad/gMAfjFIFrSty5QoIikg8sb/v7FgdUpS3pYOeO8ys="
#define KEY_A	"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="

static char *out, *err;
static char *no_env[] = { NULL };

static int forget(void **state)
{
	free(out);
	free(err);
	out = err = NULL;
	return 0;
}

/* `talon @line` with words at spaces; what it printed is in out and err. */
static int talon(const char *line, const char *input, char *const *env)
{
	char words[512], *argv[16] = { "talon" }, *save;
	struct cli cli = { .env = env };
	size_t out_len, err_len;
	int argc = 1, code;

	forget(NULL);
	snprintf(words, sizeof(words), "%s", line);
	for (char *word = strtok_r(words, " ", &save); word && argc < 15; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	cli.in = fmemopen((void *)input, strlen(input), "r");
	cli.out = open_memstream(&out, &out_len);
	cli.err = open_memstream(&err, &err_len);
	code = cli_main(&cli, argc, argv);
	fclose(cli.out);
	fclose(cli.err);
	if (cli.in)
		fclose(cli.in);
	return code;
}

static void assert_has(const char *text, const char *part)
{
	if (!text || !strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text ? text : "");
}

/* @want has the file's name for each %s. */
static void assert_asked(const char *file, const char *line, const char *want)
{
	char words[256], text[512];

	snprintf(words, sizeof(words), line, file);
	assert_int_equal(talon(words, "", NULL), CLI_FAILED);
	snprintf(text, sizeof(text), want, file);
	assert_string_equal(err, text);
}

/* Commands find the hub's data directory as the hub does; without a hub they say where they looked. */
static void hub_commands_find_the_hub_as_it_finds_itself(void **state)
{
#define NO_HUB(dir) "talon: hub peers: no hub runs with the data directory " dir "; --data-dir DIR, or " \
	"--file FILE which names it, is for another one\n"
	char path[] = "/tmp/talon-test-cli-XXXXXX";
	int fd = mkstemp(path);

	dprintf(fd, "data: nowhere/hub\nlisten: nonsense\n");	/* a fault is the hub's own affair */
	close(fd);
	assert_asked("", "hub peers%s", NO_HUB("/var/lib/talon-hub%s"));
	assert_asked("", "hub peers --data-dir /nowhere --listen 0.0.0.0:80 --tls-cert c%s",
		NO_HUB("/nowhere%s"));
	assert_asked(path, "hub peers --file %s", NO_HUB("/tmp/nowhere/hub"));
	assert_asked(path, "hub peers --file %s --data-dir /else", NO_HUB("/else"));
	setenv("TALON_HUB_FILE", path, 1);
	assert_asked("", "hub peers%s", NO_HUB("/tmp/nowhere/hub%s"));
	setenv("TALON_HUB_DATA_DIR", "/var", 1);
	assert_asked("", "hub peers%s", NO_HUB("/var%s"));
	unsetenv("TALON_HUB_FILE");
	unsetenv("TALON_HUB_DATA_DIR");
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	dprintf(fd, "policies: []\ndata: []\n");
	close(fd);
	assert_asked(path, "hub peers --file %s", "talon: hub peers: %s:2: data: expected a path\n");
	unlink(path);
	assert_asked(path, "hub peers --file %s",
		"talon: hub peers: %s: cannot be read: No such file or directory; expected a YAML file\n");
}

static const struct {
	const char *line;
	const char *err;
} mistakes[] = {
	{ "", "talon: expected a command; see talon help\n" },
	{ "fly", "talon: 'fly' is not a command; see talon help\n" },
	{ "help fly", "talon: 'fly' is not a command; see talon help\n" },
	{ "--colour", "talon: '--colour' is not a command; see talon help\n" },
	{ "version now", "talon: version: 'now' is one argument too many; see talon version --help\n" },
	{ "genkey -x", "talon: genkey: '-x' is not an option; see talon genkey --help\n" },
	{ "pubkey", "talon: pubkey: standard input is not a key; expected 44 characters of base64\n" },
	{ "up --static f --setup-key-file k",
		"talon: --setup-key-file: belongs to a mesh; leave it out, or leave --static out\n" },
	{ "up -F=maybe", "talon: --foreground-mode: 'maybe' is not a choice; expected true or false\n" },
	{ "up --management-url netbird.example",
	  "talon: --management-url: 'netbird.example' is not a management server; expected https://HOST or "
	  "https://HOST:PORT (http:// too)\n" },
	{ "up --route 10.0.0.0/8", "talon: --route: management gives the routes in a mesh; leave it out, or "
		"use --static FILE\n" },
	{ "service", "talon: service: '' is not understood; expected run, install, uninstall, start, stop, "
	"restart, status, reconfigure or reset-params\n" },
	{ "service reset-params now", "talon: service: 'now' is one argument too many; see talon service "
		"--help\n" },
	{ "service reset-params --service a/b",
	"talon: service reset-params: --service: 'a/b' is not a name; expected letters, digits and _-., at "
	"most 64\n" },
	{ "reload now", "talon: reload: 'now' is one argument too many; see talon reload --help\n" },
	{ "networks", "talon: networks: '' is not understood; expected list, select or deselect\n" },
	{ "networks select", "talon: networks: expected the ID of a network, or all\n" },
	{ "routes list x", "talon: networks: 'x' is one argument too many; see talon networks --help\n" },
	{ "routes deselect --force", "talon: networks: '--force' is not an option; see talon networks "
		"--help\n" },
	{ "debug", "talon: debug: '' is not understood; expected bundle, for DURATION, config or log level "
		"LEVEL\n" },
	{ "debug log", "talon: debug: expected log level LEVEL\n" },
	{ "debug capture", "talon: debug capture: use talon capture --peer PEER, which writes pcapng\n" },
	{ "debug for 10ms", "talon: debug for: '10ms' is not a duration; expected such as 90s, 5m or 1h30m, "
	"at most 24h\n" },
	{ "debug for 25h", "talon: debug for: '25h' is not a duration; expected such as 90s, 5m or 1h30m, at "
	"most 24h\n" },
	{ "debug bundle x", "talon: debug: 'x' is one argument too many; see talon debug --help\n" },
	{ "debug bundle --fast", "talon: debug: '--fast' is not an option; see talon debug --help\n" },
	{ "debug bundle -C 0", "talon: --log-file-count: '0' is not a number of files; expected 1-100\n" },
	{ "debug bundle -S=maybe", "talon: -S: 'maybe' is not a choice; expected true or false\n" },
	{ "debug bundle --anonymize-level loud",
	"talon: --anonymize-level: 'loud' is not a level; expected default or strict\n" },
	{ "debug bundle --upload-bundle-url ftp://a/",
	"talon: --upload-bundle-url: 'ftp://a/' is not a URL; expected "
		"https://HOST/PATH\n" },
	{ "debug bundle -U --upload-bundle-url http://a/",
	"talon: --upload-bundle-url: 'http://a/' is not https; root may add --upload-bundle-insecure\n" },
	{ "expose", "talon: expose: expected a port, 1-65535\n" },
	{ "expose 65536", "talon: expose: '65536' is not a port; expected 1-65535\n" },
	{ "expose 80 81", "talon: expose: '81' is one argument too many; see talon expose --help\n" },
	{ "expose 80 --with-pin 12", "talon: expose: --with-pin: expected exactly 6 digits\n" },
	{ "expose 80 --protocol sctp", "talon: expose: --protocol: 'sctp' is not a protocol; expected http, "
	"https, tcp, udp or tls\n" },
	{ "hub nothing", "talon: hub: 'nothing' is not understood; expected status, peers, keys, policies, "
		"routes, or options\n" },
	{ "hub peers add", "talon: hub peers: 'add' is not understood; expected remove, rename, or no more "
		"arguments\n" },
	{ "hub peers rename a", "talon: hub peers rename: expected the name or public key of a peer, and its "
		"new name\n" },
	{ "hub routes home", "talon: hub routes: 'home' is not understood; expected no more arguments\n" },
	{ "hub keys add", "talon: hub keys add: expected a name for the setup key\n" },
	{ "hub keys add x --uses 0", "talon: hub keys add: --uses: expected a number from 1 to 1000000, or "
		"--reusable instead\n" },
	{ "hub keys add x --uses 2 --reusable", "talon: hub keys add: --uses: expected a number from 1 to "
		"1000000, or --reusable instead\n" },
	{ "hub keys add x --expires 1w", "talon: hub keys add: --expires: expected a time from now such as "
		"12h or 7d, or one to come as in 2027-01-31T18:00:00Z\n" },
	{ "hub keys add x --expires 2020-01-01T00:00:00Z", "talon: hub keys add: --expires: expected a time "
		"from now such as 12h or 7d, or one to come as in 2027-01-31T18:00:00Z\n" },
	{ "hub keys --uses 2", "talon: hub: '--uses' is not an option; see talon hub --help\n" },
	{ "hub status --data-dir", "talon: --data-dir: expected a value\n" },
	{ "hub peers --listen", "talon: --listen: expected a value\n" },
	{ "hub peers --check f", "talon: hub: '--check' is not an option; see talon hub --help\n" },
	{ "debug log level loud", "talon: --log-level: 'loud' is not a level; expected error, warn, info or "
		"debug\n" },
	{ "logout --daemon-addr tcp://127.0.0.1:1",
	  "talon: --daemon-addr: 'tcp://127.0.0.1:1' is not a local socket; expected unix:///PATH, the path "
	  "of at most 107 characters\n" },
	{ "status --json --yaml", "talon: status: --json and --yaml exclude each other; write one of "
		"them\n" },
	{ "status --filter-by-status asleep",
	  "talon: --filter-by-status: 'asleep' is not understood; expected idle, connecting or connected\n" },
	{ "status --filter-by-connection-type",
		"talon: --filter-by-connection-type: expected a value\n" },
	{ "status --filter-by-ips 10.0.0.1,x",
		"talon: --filter-by-ips: 'x' is not an address; expected addresses with commas between "
		"them\n" },
	{ "up file", "talon: up: 'file' is one argument too many; see talon up --help\n" },
	{ "up --static", "talon: --static: expected a value\n" },
	{ "up --colour red", "talon: up: '--colour' is not an option; see talon up --help\n" },
	{ "up --mtu", "talon: --mtu: expected a value\n" },
	{ "up --mtu=1", "talon: --mtu: '1' is not an MTU; expected 576-1600\n" },
	{ "up --mtu=", "talon: --mtu: '' is not an MTU; expected 576-1600\n" },
	{ "up --dry-run=yes", "talon: up: '--dry-run' is not an option; see talon up --help\n" },
	{ "up --static /nonexistent/f",
	  "talon: /nonexistent/f: cannot open the static file: No such file or directory\n" },
	{ "preflight now", "talon: preflight: 'now' is one argument too many; see talon preflight --help\n" },
	{ "preflight --dry-run", "talon: preflight: '--dry-run' is not an option; see talon preflight "
		"--help\n" },
	{ "preflight --json=1", "talon: preflight: '--json' is not an option; see talon preflight --help\n" },
	{ "preflight --static /nonexistent/f",
	  "talon: /nonexistent/f: cannot open the static file: No such file or directory\n" },
	{ "preflight --mtu=1", "talon: --mtu: '1' is not an MTU; expected 576-1600\n" },
	{ "up --private-key x", "talon: up: '--private-key' is not an option; see talon up --help\n" },
	{ "down now", "talon: down: 'now' is one argument too many; see talon down --help\n" },
	{ "down --pin-dir relative",
	  "talon: --pin-dir: 'relative' is not a directory for pins; expected an absolute path on a bpf file "
	  "system\n" },
	{ "drops --reason bad_tag,forwarded",
	"talon: --reason: 'forwarded' is not a reason; expected labels of drops as docs/status.md lists "
	"them, such as bad_tag,no_route\n" },
	{ "drops --direction up", "talon: --direction: 'up' is not a direction; expected in, out or "
		"tunnel\n" },
	{ "drops -f --count 0", "talon: --count: '0' is not a number of lines; expected 1-1000000000\n" },
	{ "drops --peer lap", "talon: drops: --peer needs -f: the counters are those of the whole host\n" },
	{ "drops now", "talon: drops: 'now' is one argument too many; see talon drops --help\n" },
	{ "capture", "talon: capture: expected --peer and a key, a name or an address in the mesh\n" },
	{ "capture --peer", "talon: --peer: expected a value\n" },
	{ "capture --peer a --size 65536",
		"talon: --size: '65536' is not a number of bytes; expected 1-65535\n" },
	{ "capture --peer a --duration 0", "talon: --duration: '0' is not a number of seconds; expected "
		"1-86400\n" },
	{ "capture --peer a --count x", "talon: --count: 'x' is not a number of packets; expected "
		"1-1000000000\n" },
	{ "capture --peer a --limit 3T", "talon: --limit: '3T' is not a size; expected bytes, or a number "
	"with K, M or G\n" },
	{ "capture --peer a --limit 1KB", "talon: --limit: '1KB' is not a size; expected bytes, or a number "
	"with K, M or G\n" },
	{ "capture lap", "talon: capture: 'lap' is one argument too many; see talon capture --help\n" },
	{ "status --check", "talon: --check: expected a value\n" },
	{ "status --check health",
	  "talon: --check: 'health' is not a check; expected live, ready, startup or datapath\n" },
	{ "status --xml", "talon: status: '--xml' is not an option; see talon status --help\n" },
	{ "trace", "talon: trace: expected --from and --to; see talon trace --help\n" },
	{ "trace --from 10.0.0.1", "talon: trace: expected --from and --to; see talon trace --help\n" },
	{ "trace --from 10.0.0 --to 10.0.0.2", "talon: --from: '10.0.0' is not an end of a connection; "
		"expected ADDRESS, ADDRESS:PORT or, in IPv6, [ADDRESS]:PORT\n" },
	{ "trace --from 10.0.0.1:0 --to 10.0.0.2", "talon: --from: '10.0.0.1:0' is not an end of a "
		"connection; expected ADDRESS, ADDRESS:PORT or, in IPv6, [ADDRESS]:PORT\n" },
	{ "trace --from 10.0.0.1 --to 10.0.0.2:", "talon: --to: '10.0.0.2:' is not an end of a connection; "
		"expected ADDRESS, ADDRESS:PORT or, in IPv6, [ADDRESS]:PORT\n" },
	{ "trace --from 10.0.0.1 --to ::1", "talon: --to: one end is an IPv4 address, the other is IPv6; "
		"expected both of one family\n" },
	{ "trace --from [fd00::2]:5 --to 10.0.0.1:80", "talon: --to: one end is an IPv4 address, the other "
		"is IPv6; expected both of one family\n" },
	{ "trace --from [fd00::2] --to fd00::1", "talon: --from: '[fd00::2]' is not an end of a connection; "
		"expected ADDRESS, ADDRESS:PORT or, in IPv6, [ADDRESS]:PORT\n" },
	{ "trace --from fd00::2 --to [fd00::1]:0", "talon: --to: '[fd00::1]:0' is not an end of a "
		"connection; expected ADDRESS, ADDRESS:PORT or, in IPv6, [ADDRESS]:PORT\n" },
	{ "trace --from fd00::2%eth0 --to fd00::1", "talon: --from: 'fd00::2%eth0' is not an end of a "
		"connection; expected ADDRESS, ADDRESS:PORT or, in IPv6, [ADDRESS]:PORT\n" },
	{ "trace --from fd00::2 --to fd00::1 --size 47",
		"talon: --size: '47' is not a size; expected 48-1600 bytes of IP packet in IPv6\n" },
	{ "trace --from fd00::2 --to [fd00::1]:80 --size 59",
		"talon: --size: '59' is not a size; expected 60-1600 bytes of IP packet in IPv6 with tcp\n" },
	{ "trace --from 10.0.0.1 --to 10.0.0.2:65536", "talon: --to: '10.0.0.2:65536' is not an end of a "
		"connection; expected ADDRESS, ADDRESS:PORT or, in IPv6, [ADDRESS]:PORT\n" },
	{ "trace --from 10.0.0.1 --to 10.0.0.2 --proto sctp",
		"talon: --proto: 'sctp' is not a protocol; expected tcp, udp or icmp\n" },
	{ "trace --from 10.0.0.1 --to 10.0.0.2 --size 27",
		"talon: --size: '27' is not a size; expected 28-1600 bytes of IP packet\n" },
	{ "trace --from 10.0.0.1 --to 10.0.0.2:1 --size 39",
		"talon: --size: '39' is not a size; expected 40-1600 bytes of IP packet with tcp\n" },
	{ "trace --from 10.0.0.1 --to 10.0.0.2 --peer", "talon: --peer: expected a value\n" },
	{ "trace --json=1", "talon: trace: '--json' is not an option; see talon trace --help\n" },
	{ "trace 10.0.0.1", "talon: trace: '10.0.0.1' is one argument too many; see talon trace --help\n" },
	{ "status --json=1", "talon: status: '--json' is not an option; see talon status --help\n" },
	{ "flows now", "talon: flows: 'now' is one argument too many; see talon flows --help\n" },
	{ "flows --tcp", "talon: flows: '--tcp' is not an option; see talon flows --help\n" },
	{ "flows --json=1", "talon: flows: '--json' is not an option; see talon flows --help\n" },
	{ "flows --dst", "talon: --dst: expected a value\n" },
	{ "flows --dst 10.0.0.0/33",
	  "talon: --dst: '10.0.0.0/33' is not understood; expected an ADDRESS or ADDRESS/LENGTH, either of "
	  "them with :PORT, or :PORT alone; IPv6 with a port in brackets\n" },
	{ "flows --src=::g",
	  "talon: --src: '::g' is not understood; expected an ADDRESS or ADDRESS/LENGTH, either of them "
	  "with :PORT, or :PORT alone; IPv6 with a port in brackets\n" },
	{ "flows --snat :70000",
	  "talon: --snat: ':70000' is not understood; expected an ADDRESS or ADDRESS/LENGTH, either of "
	  "them with :PORT, or :PORT alone; IPv6 with a port in brackets\n" },
	{ "flows --proto sctp", "talon: --proto: 'sctp' is not understood; expected tcp, udp or icmp\n" },
	{ "flows --state open",
	  "talon: --state: 'open' is not understood; expected new, established, closing or reset\n" },
	{ "flows --sort age",
	  "talon: --sort: 'age' is not understood; expected idle, left, client, remote, snat or peer\n" },
	{ "flows --limit 0", "talon: --limit: '0' is not understood; expected a number from 1 to 1048576\n" },
	{ "flows --limit 1048577",
	  "talon: --limit: '1048577' is not understood; expected a number from 1 to 1048576\n" },
	{ "flows --sort idle --limit 16385",
	  "talon: --limit: at most 16384 flows can be sorted; write less, or leave --sort out\n" },
	{ "flows --reverse",
	  "talon: --reverse: needs --sort; without it flows come as they lie in the table\n" },
	{ "top --by name", "talon: --by: 'name' is not understood; expected rate, packets or drops\n" },
	{ "top --interval 0.09",
	  "talon: --interval: '0.09' is not understood; expected seconds from 0.1 to 3600, with at most "
	  "three decimals\n" },
	{ "top --interval 3600.001",
	  "talon: --interval: '3600.001' is not understood; expected seconds from 0.1 to 3600, with at most "
	  "three decimals\n" },
	{ "top --interval 1.",
	  "talon: --interval: '1.' is not understood; expected seconds from 0.1 to 3600, with at most three "
	  "decimals\n" },
	{ "top --interval 1.2345",
	  "talon: --interval: '1.2345' is not understood; expected seconds from 0.1 to 3600, with at most "
	  "three decimals\n" },
	{ "top --interval -1",
	  "talon: --interval: '-1' is not understood; expected seconds from 0.1 to 3600, with at most three "
	  "decimals\n" },
	{ "top --count 0", "talon: --count: '0' is not understood; expected a number from 1 to "
		"1000000000\n" },
	{ "top --once --count 2", "talon: top: --once and --count exclude each other; write one of them\n" },
	{ "top --json=yes", "talon: top: '--json' is not an option; see talon top --help\n" },
	{ "top now", "talon: top: 'now' is one argument too many; see talon top --help\n" },
	{ "metrics now", "talon: metrics: 'now' is one argument too many; see talon metrics --help\n" },
	{ "metrics --json", "talon: metrics: '--json' is not an option; see talon metrics --help\n" },
	{ "metrics --openmetrics=1", "talon: metrics: '--openmetrics' is not an option; see talon metrics "
		"--help\n" },
	{ "metrics --peers", "talon: --peers: expected a value\n" },
	{ "metrics --peers 1001", "talon: --peers: '1001' is not understood; expected a number from 0 to "
		"1000\n" },
	{ "metrics --peers=-1", "talon: --peers: '-1' is not understood; expected a number from 0 to "
		"1000\n" },
	{ "metrics --textfile", "talon: --textfile: expected a value\n" },
	{ "metrics --textfile /tmp/talon.txt",
	"talon: --textfile: '/tmp/talon.txt' is not understood; expected a name that ends in .prom, which is "
	"what node_exporter reads\n" },
	{ "metrics --textfile .prom", "talon: --textfile: '.prom' is not understood; expected a name that "
	"ends in .prom, which is what node_exporter reads\n" },
	{ "metrics --openmetrics --textfile a.prom",
	"talon: metrics: --openmetrics and --textfile exclude each other: node_exporter reads the other "
	"format only\n" },
	{ "status --log-level loud",
	  "talon: --log-level: 'loud' is not a level; expected error, warn, info or debug\n" },
};

static void every_mistake_is_one_line_and_exit_code_2(void **state)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		assert_int_equal(talon(mistakes[i].line, "\n", no_env), CLI_USAGE);
		assert_string_equal(err, mistakes[i].err);
		assert_string_equal(out, "");
	}
}

static void an_argument_cannot_forge_a_second_line(void **state)
{
	assert_int_equal(talon("x\ny\x1b[2J", "", no_env), CLI_USAGE);
	assert_string_equal(err, "talon: 'x?y?[2J' is not a command; see talon help\n");
}

static void an_endless_flag_is_merely_unknown(void **state)
{
	char line[300] = "up --";

	memset(line + 5, 'x', 290);
	assert_int_equal(talon(line, "", no_env), CLI_USAGE);
	assert_has(err, "is not an option; see talon up --help\n");
}

static void version_is_shown_by_command_and_by_flag(void **state)
{
	static const char *const lines[] = { "version", "--version", "-V" };

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(talon(lines[i], "", no_env), CLI_OK);
		assert_string_equal(out, "talon " TALON_VERSION "\n");
		assert_string_equal(err, "");
	}
}

static void every_command_has_help_in_three_ways(void **state)
{
	static const char *const forms[] = { "%s --help", "%s -h", "help %s" };
	char line[64], usage[64];

	for (const struct cli_command *c = cli_commands; c->name; c++) {
		for (size_t i = 0; i < 3; i++) {
			snprintf(line, sizeof(line), forms[i], c->name);
			snprintf(usage, sizeof(usage), "Usage: talon %s", c->name);
			assert_int_equal(talon(line, "", no_env), CLI_OK);
			if (strcmp(line, "help --help") && strcmp(line, "help -h"))
				assert_int_equal(strncmp(out, usage, strlen(usage)), 0);
			assert_string_equal(err, "");
		}
		assert_int_equal(talon("help", "", no_env), CLI_OK);
		assert_has(out, c->summary);
	}
}

static void help_of_up_names_every_flag_and_variable(void **state)
{
	assert_int_equal(talon("up --help", "", no_env), CLI_OK);
	for (const struct config_option *o = config_options(); o->key || o->flag; o++) {
		if (!o->flag)
			continue;
		assert_has(out, o->flag);
		assert_has(out, o->env);
	}
	for (const struct config_mesh_option *o = config_mesh_options(); o->flag; o++) {
		if (o->help)
			assert_has(out, o->flag);
	}
}

static void pubkey_gives_the_public_key_of_a_private_one(void **state)
{
	assert_int_equal(talon("pubkey", SECRET "\n", no_env), CLI_OK);
	assert_string_equal(out, PUBLIC "\n");
	assert_int_equal(talon("pubkey", "  " SECRET, no_env), CLI_OK);
	assert_string_equal(out, PUBLIC "\n");
}

static void pubkey_does_not_quote_what_it_was_given(void **state)
{
	assert_int_equal(talon("pubkey", "secret\n", no_env), CLI_USAGE);
	assert_null(strstr(err, "secret"));
}

static void genkey_makes_a_new_clamped_key_each_time(void **state)
{
	__u8 first[KEY_LEN], second[KEY_LEN];

	assert_int_equal(talon("genkey", "", no_env), CLI_OK);
	assert_int_equal(strlen(out), KEY_BASE64_LEN + 1);
	out[KEY_BASE64_LEN] = '\0';
	assert_int_equal(key_from_base64(out, first), 0);
	assert_int_equal(first[0] & 7, 0);
	assert_int_equal(first[31] & 0xc0, 0x40);
	assert_int_equal(talon("genkey", "", no_env), CLI_OK);
	out[KEY_BASE64_LEN] = '\0';
	assert_int_equal(key_from_base64(out, second), 0);
	assert_memory_not_equal(first, second, KEY_LEN);
}

/* A static file of the test; the caller unlinks it. */
static void write_config(char path[static 32], const char *text)
{
	int fd;

	strcpy(path, "/tmp/talon-test-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void a_dry_run_says_what_was_understood(void **state)
{
	char path[32], line[128], expected[512];

	write_config(path, "[Interface]\nPrivateKey = " SECRET "\nDNS = 1.1.1.1\nRoute = 10.0.0.0/8\n"
			   "SNATPorts = 19000-20000\n[Peer]\nPublicKey = " KEY_A "\n");
	snprintf(line, sizeof(line), "up --dry-run --static=%s --route 10.0.0.0/8,11.0.0.0/8", path);
	assert_int_equal(talon(line, "", no_env), CLI_OK);
	snprintf(expected, sizeof(expected),
		"warning: %s:5: Interface.SNATPorts: these ports overlap those of Calico's eBPF NAT "
		"(20000-29999)\nnote: %s: no effect: DNS (Talon runs no commands and touches no resolver, "
		"rule or routing table)\n%s: good; 1 peer, 2 routes\n", path, path, path);
	assert_string_equal(out, expected);
	assert_string_equal(err, "");
	unlink(path);
}

static void a_dry_run_of_a_mesh_touches_nothing(void **state)
{
	char *env[] = { "NB_MANAGEMENT_URL=https://netbird.example", "NB_WG_DEBUG=true", NULL };

	assert_int_equal(talon("up --dry-run --state-dir /tmp/talon-none --hostname box --allow-server-ssh",
		"", env), CLI_OK);
	assert_string_equal(out,
		"note: no effect: NB_WG_DEBUG (of parts of NetBird's client that Talon does not have)\n"
		"note: --allow-server-ssh: no effect: Talon runs no SSH server\n"
		"mesh: good; management https://netbird.example:443, identity /tmp/talon-none/default.json "
		"(to be made), no setup key\n");
	assert_string_equal(err, "");
	assert_int_equal(access("/tmp/talon-none", F_OK), -1);
}

static void secrets_are_wiped_where_they_stood(void **state)
{
	char key[] = "5F1C2B7A-0000-4000-8000-1234567890AB", variable[] = "NB_PRESHARED_KEY=" KEY_A,
		other[] = "NB_HOSTNAME=box";
	char *argv[] = { "talon", "up", "--dry-run", "--state-dir", "/tmp/talon-none", "-k", key, NULL },
		*env[] = { variable, other, NULL };
	struct cli cli = { .in = stdin, .env = env, .is_main = true };
	size_t out_len, err_len;

	forget(NULL);
	cli.out = open_memstream(&out, &out_len);
	cli.err = open_memstream(&err, &err_len);
	assert_int_equal(cli_main(&cli, 7, argv), CLI_OK);
	fclose(cli.out);
	fclose(cli.err);
	assert_has(out, "with a setup key\n");
	assert_true(sodium_is_zero((unsigned char *)key, sizeof(key)));
	assert_string_equal(variable, "NB_PRESHARED_KEY=");
	assert_true(sodium_is_zero((unsigned char *)variable + 17, sizeof(variable) - 17));
	assert_string_equal(other, "NB_HOSTNAME=box");
}

static void a_bad_file_is_exit_code_2_and_one_line(void **state)
{
	char path[32], line[128], expected[256];

	write_config(path, "[Interface]\nPrivateKey = " SECRET "\n\n# x\nListenPort = no\n");
	snprintf(line, sizeof(line), "up --static %s", path);
	assert_int_equal(talon(line, "", no_env), CLI_USAGE);
	snprintf(expected, sizeof(expected),
		"talon: %s:5: Interface.ListenPort: 'no' is not a port; expected 1-65535\n", path);
	assert_string_equal(err, expected);
	assert_string_equal(out, "");
	unlink(path);
}

static void the_file_may_come_from_the_environment(void **state)
{
	char path[32], variable[64];
	char *env[] = { variable, NULL };

	write_config(path, "[Interface]\nPrivateKey = " SECRET "\n");
	snprintf(variable, sizeof(variable), "TALON_STATIC=%s", path);
	assert_int_equal(talon("up --dry-run", "", env), CLI_OK);
	assert_has(out, ": good; 0 peers, 0 routes\n");
	unlink(path);
}

static void a_bad_variable_is_exit_code_2_and_named(void **state)
{
	char *env[] = { "TALON_LISTEN_PORT=0", NULL };
	char path[32], line[128];

	write_config(path, "[Interface]\nPrivateKey = " SECRET "\n");
	snprintf(line, sizeof(line), "up --static %s", path);
	assert_int_equal(talon(line, "", env), CLI_USAGE);
	assert_string_equal(err, "talon: TALON_LISTEN_PORT: '0' is not a port; expected 1-65535\n");
	unlink(path);
}

static void status_of_nothing_is_one_line_and_exit_code_1(void **state)
{
	static const char *const lines[] = {
		"status --pin-dir /tmp/talon-none",
		"status -d --pin-dir=/tmp/talon-none/",
		"status --json --pin-dir /tmp/talon-none",
		"status --check live --pin-dir /tmp/talon-none",
		"status --check=datapath --pin-dir /tmp/talon-none",
		"flows --pin-dir /tmp/talon-none",
		"flows --peer x --json --pin-dir /tmp/talon-none",
		"top --pin-dir /tmp/talon-none",
		"top --once --json --pin-dir /tmp/talon-none",
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(talon(lines[i], "", no_env), CLI_FAILED);
		assert_string_equal(err, "talon: not running: there is no datapath below /tmp/talon-none\n");
		assert_string_equal(out, "");
	}
}

static void status_heeds_only_its_own_variables(void **state)
{
	char *env[] = { "TALON_MTU=nonsense", "TALON_PIN_DIR=/tmp/talon-env", NULL };
	char *bad[] = { "TALON_PIN_DIR=relative", NULL };

	assert_int_equal(talon("status", "", env), CLI_FAILED);
	assert_string_equal(err, "talon: not running: there is no datapath below /tmp/talon-env\n");
	assert_int_equal(talon("status --pin-dir /tmp/talon-flag", "", env), CLI_FAILED);
	assert_string_equal(err, "talon: not running: there is no datapath below /tmp/talon-flag\n");
	assert_int_equal(talon("status", "", bad), CLI_USAGE);
	assert_string_equal(err, "talon: TALON_PIN_DIR: 'relative' is not a directory for pins; expected an "
		"absolute path on a bpf file system\n");
}

#define TEST(name) cmocka_unit_test_teardown(name, forget)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(hub_commands_find_the_hub_as_it_finds_itself),
		TEST(every_mistake_is_one_line_and_exit_code_2),
		TEST(an_argument_cannot_forge_a_second_line),
		TEST(an_endless_flag_is_merely_unknown),
		TEST(version_is_shown_by_command_and_by_flag),
		TEST(every_command_has_help_in_three_ways),
		TEST(help_of_up_names_every_flag_and_variable),
		TEST(pubkey_gives_the_public_key_of_a_private_one),
		TEST(pubkey_does_not_quote_what_it_was_given),
		TEST(genkey_makes_a_new_clamped_key_each_time),
		TEST(a_dry_run_says_what_was_understood),
		TEST(a_dry_run_of_a_mesh_touches_nothing),
		TEST(secrets_are_wiped_where_they_stood),
		TEST(a_bad_file_is_exit_code_2_and_one_line),
		TEST(the_file_may_come_from_the_environment),
		TEST(a_bad_variable_is_exit_code_2_and_named),
		TEST(status_of_nothing_is_one_line_and_exit_code_1),
		TEST(status_heeds_only_its_own_variables),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
