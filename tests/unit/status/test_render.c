// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A mesh's status byte by byte as NetBird's client printed it, and what checks and filters make of it.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "unit/mesh_world.h"
#include "unit/netbird.h"
#include "status/render.h"

enum form { TEXT, DETAIL, JSON, YAML };

static const char *cli_version = "development";

static char *render(const struct snapshot *snapshot, const struct render_filter *filter, enum form form,
	bool as_talon, const struct status *datapath)
{
	struct render_view view;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(render_view_init(&view, snapshot, filter), 0);
	view.now_ns = WORLD_NOW;
	view.cli_version = view.daemon_version = cli_version;
	view.as_talon = as_talon;
	view.datapath = datapath;
	if (form == JSON)
		render_json(out, &view);
	else if (form == YAML)
		render_yaml(out, &view);
	else
		render_text(out, &view, form == DETAIL);
	fclose(out);
	free(view.peers);
	return text;
}

static void assert_is_recorded(const char *name, const struct snapshot *snapshot, enum form form)
{
	char path[64], *text = render(snapshot, NULL, form, false, NULL);
	size_t len;
	uint8_t *recorded;

	snprintf(path, sizeof(path), "cli/%s", name);
	recorded = netbird_read(path, &len);
	assert_string_equal(text, (char *)recorded);
	free(recorded);
	free(text);
}

static void assert_has(const struct snapshot *snapshot, enum form form, bool as_talon, const char *part)
{
	char *text = render(snapshot, NULL, form, as_talon, NULL);

	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
	free(text);
}

static void the_summary_is_the_recorded_one(void **state)
{
	struct snapshot lap = world_of_lap();

	assert_is_recorded("status.txt", &lap, TEXT);
}

static void the_details_are_the_recorded_ones(void **state)
{
	struct snapshot lap = world_of_lap(), node = world_of_node();

	assert_is_recorded("status-d.txt", &lap, DETAIL);
	assert_is_recorded("node-status-d.txt", &node, DETAIL);
}

static void the_json_is_the_recorded_one(void **state)
{
	struct snapshot lap = world_of_lap();

	assert_is_recorded("status.json", &lap, JSON);
}

static void the_yaml_is_the_recorded_one(void **state)
{
	struct snapshot lap = world_of_lap();

	assert_is_recorded("status.yaml", &lap, YAML);
}

static char *printed(const struct snapshot *snapshot,
	int (*print)(FILE *out, const struct snapshot *snapshot))
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(print(out, snapshot), 0);
	fclose(out);
	return text;
}

static int print_ip(FILE *out, const struct snapshot *snapshot)
{
	render_address(out, snapshot->ip);
	return 0;
}

static int print_ip6(FILE *out, const struct snapshot *snapshot)
{
	render_address(out, snapshot->address6);
	return 0;
}

static void the_ipv6_address_alone_has_no_length_and_none_prints_nothing(void **state)
{
	struct snapshot lap = world_of_lap(), node = world_of_node(), none = {};
	char *text = printed(&lap, print_ip6);

	assert_string_equal(text, "fd5c:8e21:7a3b::77df\n");
	free(text);
	text = printed(&node, print_ip6);
	assert_string_equal(text, "");
	free(text);
	text = printed(&none, print_ip);
	assert_string_equal(text, "");
	free(text);
}

/* The keys that 0.77 shows of a host that is not registered, byte for byte; of ours none that says more. */
static void a_host_that_is_not_registered_shows_the_recorded_structure(void **state)
{
	struct snapshot lap = world_of_lap(), bare;

	lap.daemon_status = "NeedsLogin";
	lap.management_url = "https://netbird.example.com:443";
	lap.management_error = "no setup key";
	lap.profile = "";
	assert_true(render_needs_login(&lap));
	bare = render_unregistered(&lap);
	cli_version = "0.77.1";
	assert_is_recorded("unregistered.json", &bare, JSON);
	assert_is_recorded("unregistered.yaml", &bare, YAML);
	cli_version = "development";
	assert_has(&bare, TEXT, false, "\nNetBird IP: N/A\nInterface type: N/A\nWireguard port: N/A\n");
	for (size_t i = 0; i < 6; i++) {
		static char *const states[] = { "Idle", "Connecting", "Connected", "NeedsLogin",
			"LoginFailed", "SessionExpired" };

		lap.daemon_status = states[i];
		assert_int_equal(render_needs_login(&lap), i >= 3);
		assert_has(&lap, YAML, false, "\ndaemonStatus: ");
	}
}

static void the_profile_has_the_name_that_it_was_given(void **state)
{
	struct snapshot lap = world_of_lap();

	lap.profile = "work: a";
	assert_has(&lap, TEXT, false, "\nProfile: work: a\n");
	assert_has(&lap, JSON, false, "\"profileName\":\"work: a\",");
	assert_has(&lap, YAML, false, "\nprofileName: 'work: a'\n");
}

static void a_daemon_of_unknown_version_is_said_to_be_so(void **state)
{
	struct snapshot lap = world_of_lap();

	cli_version = "";
	assert_has(&lap, TEXT, false, "\nDaemon version: N/A\nCLI version: ");
	assert_has(&lap, JSON, false,
		"\"daemonVersion\":\"\",\"daemonStatus\":\"Connected\",\"management\":");
	cli_version = "development";
}

/* As 0.77.1's renderer writes them: an address is text, whatever YAML 1.1 would make of it. */
static void ipv6_addresses_are_text_in_yaml(void **state)
{
	static const struct { char *address, *yaml; } cases[] = {
		{ "1:2:3:4:5:6:7:8", "\"1:2:3:4:5:6:7:8\"" }, { "fd00::", "'fd00::'" },
		{ "2001:db8::1", "2001:db8::1" }, { "1:20:3::", "'1:20:3::'" }, { "::1", "::1" },
		{ "10:20:30:40:50:10:20:30/64", "10:20:30:40:50:10:20:30/64" }, { "fd00::/64", "fd00::/64" },
	};
	struct snapshot snapshot = world_of_lap();
	char line[80];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snapshot.address6 = cases[i].address;
		snprintf(line, sizeof(line), "\nnetbirdIpv6: %s\n", cases[i].yaml);
		assert_has(&snapshot, YAML, false, line);
	}
}

static void a_relay_s_error_is_one_line(void **state)
{
	struct snapshot_relay relays[] = {
		{ "rels://a.example:443", false, "dial ws: refused\ndial quic: timeout", "" },
		{ "rels://b.example:443", true, "", "ws" },
	};
	struct snapshot snapshot = { .relays = relays, .relay_count = 2 };

	assert_has(&snapshot, DETAIL, false,
		"\nRelays: \n  [rels://a.example:443] is Unavailable, reason: dial "
		"ws: refused; dial quic: timeout\n  [rels://b.example:443] is Available via ws\n");
	assert_has(&snapshot, JSON, false, "\"error\":\"dial ws: refused; dial quic: timeout\"},{\"uri\":"
		"\"rels://b.example:443\",\"available\":true,\"error\":\"\",\"transport\":\"ws\"}]");
	assert_has(&snapshot, YAML, false,
		"\n          error: 'dial ws: refused; dial quic: timeout'\n        - "
		"uri: rels://b.example:443\n          available: true\n          error: \"\"\n          "
		"transport: ws\n");
}

static void the_address_alone_is_the_recorded_one(void **state)
{
	struct snapshot node = world_of_node();
	char *text = printed(&node, print_ip);
	size_t len;
	char *recorded = (char *)netbird_read("cli/status-ipv4.txt", &len);

	assert_string_equal(text, recorded);
	free(recorded);
	free(text);
}

static void the_list_of_networks_is_the_recorded_one(void **state)
{
	struct snapshot lap = world_of_lap();
	char *text = printed(&lap, render_networks);
	size_t len;
	char *recorded = (char *)netbird_read("cli/networks-list.txt", &len);

	assert_string_equal(text, recorded);
	free(recorded);
	free(text);
}

/* What the deployment that Talon is made for greps for. */
static void the_seeds_own_checks_pass(void **state)
{
	struct snapshot lap = world_of_lap();
	char *list = printed(&lap, render_networks);

	for (int as_talon = 0; as_talon < 2; as_talon++) {
		assert_has(&lap, TEXT, as_talon, "\nManagement: Connected\n");
		assert_has(&lap, TEXT, as_talon, "\nPeers count: 1/1 Connected\n");
	}
	assert_non_null(strstr(list, "    Network: 192.168.1.0/24\n    Status: Selected\n"));
	free(list);
}

static void networks_say_whether_they_are_used_and_what_their_names_are(void **state)
{
	char *domains[] = { "a.example", "*.b.example" }, *resolved[] = { "a.example", "192.0.2.1, 192.0.2.2",
		"b.example", "192.0.2.3" };
	struct snapshot_network network = { .id = "d", .domains = domains, .domain_count = 2,
		.resolved = resolved, .resolved_count = 4 };
	struct snapshot snapshot = { .routes = &network, .route_count = 1 }, none = {};
	char *text = printed(&snapshot, render_networks);

	assert_string_equal(text, "Available Networks:\n\n  - ID: d\n    Domains: a.example, *.b.example\n "
		"   Status: Not Selected\n    Resolved IPs:\n      [a.example]: 192.0.2.1, 192.0.2.2\n "
		"     [b.example]: 192.0.2.3\n");
	free(text);
	text = printed(&none, render_networks);
	assert_string_equal(text, "No networks available.\n");
	free(text);
}

/* NetBird's rule: the id with -v6, ::/0 and 0.0.0.0/0; anything else stands alone. */
static void an_exit_node_and_its_ipv6_half_are_one_entry(void **state)
{
	struct snapshot_network networks[] = {
		{ .id = "exit", .prefix = "0.0.0.0/0", .selected = true },
		{ .id = "exit-v6", .prefix = "::/0" },
		{ .id = "lone-v6", .prefix = "::/0" }, { .id = "other", .prefix = "0.0.0.0/0" },
		{ .id = "lan", .prefix = "10.0.0.0/8" }, { .id = "lan-v6", .prefix = "::/0" },
	};
	struct snapshot snapshot = { .routes = networks, .route_count = 6 };
	char *text = printed(&snapshot, render_networks);

	assert_string_equal(text, "Available Networks:\n"
		"\n  - ID: exit\n    Network: 0.0.0.0/0, ::/0\n    Status: Selected\n"
		"\n  - ID: other\n    Network: 0.0.0.0/0\n    Status: Not Selected\n"
		"\n  - ID: lan-v6\n    Network: ::/0\n    Status: Not Selected\n"
		"\n  - ID: lone-v6\n    Network: ::/0\n    Status: Not Selected\n"
		"\n  - ID: lan\n    Network: 10.0.0.0/8\n    Status: Not Selected\n");
	free(text);
}

static void an_empty_snapshot_can_be_shown_in_every_form(void **state)
{
	struct snapshot empty = {};
	char *text;

	for (enum form form = TEXT; form <= YAML; form++) {
		text = render(&empty, NULL, form, true, NULL);
		assert_non_null(text);
		free(text);
	}
	assert_has(&empty, TEXT, false,
		"\nManagement: Disconnected\nSignal: Disconnected\nRelays: 0/0 Available\nNameservers: 0/0 "
		"Available\nFQDN: \nNetBird IP: N/A\nInterface type: N/A\nWireguard port: N/A\n");
	assert_has(&empty, TEXT, false, "\nNetworks: -\nPeers count: 0/0 Connected\n");
	assert_has(&empty, DETAIL, false, "Peers detail:\nEvents: No events recorded\nOS: linux/");
	assert_has(&empty, JSON, false, "{\"peers\":{\"total\":0,\"connected\":0,\"details\":null},");
	assert_has(&empty, JSON, false, "\"relays\":{\"total\":0,\"available\":0,\"details\":null}");
	assert_has(&empty, YAML, false, "peers:\n    total: 0\n    connected: 0\n    details: []\n");
	assert_has(&empty, YAML, false, "\ndnsServers: []\nevents: []\n");
}

static void what_is_not_connected_says_why(void **state)
{
	struct snapshot_relay relay = { "rels://relay.example:443", false, "connection refused", "" };
	struct snapshot snapshot = world_of_lap();

	snapshot.management_connected = false;
	snapshot.management_error = "proxy answered 502";
	snapshot.signal_connected = false;
	snapshot.relays = &relay;
	snapshot.relay_count = 1;
	snapshot.userspace = false;
	assert_has(&snapshot, TEXT, false, "\nManagement: Disconnected, reason: proxy answered 502\nSignal: "
		"Disconnected\nRelays: 0/1 Available\n");
	assert_has(&snapshot, DETAIL, false,
		"\nRelays: \n  [rels://relay.example:443] is Unavailable, reason: connection refused\n");
	assert_has(&snapshot, TEXT, false, "\nInterface type: Kernel\n");
	assert_has(&snapshot, JSON, false,
		"\"management\":{\"url\":\"http://10.99.0.1:8080\",\"connected\":false,\"error\":\"proxy "
		"answered 502\"}");
}

static void a_peer_that_is_not_connected_shows_no_stale_figures(void **state)
{
	struct snapshot_peer peer = world_node;
	struct snapshot snapshot = world_of_lap();

	peer.status = "Idle";
	snapshot.peers = &peer;
	assert_has(&snapshot, DETAIL, false,
		"  Status: Idle\n  -- detail --\n  Connection type: -\n  ICE candidate (Local/Remote): -/-\n"
		"  ICE candidate endpoints (Local/Remote): -/-\n  Relay server address: \n  Last connection "
		"update: 30 seconds ago\n  Last WireGuard handshake: -\n  Transfer status (received/sent) 0 "
		"B/0 B\n");
	assert_has(&snapshot, DETAIL, false, "\n  Latency: 0s\n");
	assert_has(&snapshot, JSON, false,
		"\"lastWireguardHandshake\":\"0001-01-01T00:00:00Z\",\"transferReceived\":0,"
		"\"transferSent\":0,\"latency\":0,");
	assert_has(&snapshot, YAML, false, "\n          connectionType: '-'\n");
	assert_has(&snapshot, YAML, false, "\n          relayAddress: \"\"\n");
	assert_has(&snapshot, TEXT, false, "Peers count: 0/1 Connected\n");
	peer.status = "Connected";
	peer.relayed = true;
	assert_has(&snapshot, DETAIL, false, "\n  Connection type: Relayed\n");
}

static void peers_stand_in_the_order_of_their_addresses(void **state)
{
	struct snapshot_peer peers[] = { world_node, world_node, world_node };
	struct snapshot snapshot = { .peers = peers, .peer_count = 3 };
	char *text, *a, *b, *c;

	peers[0].ip = "100.119.120.3";
	peers[1].ip = "100.119.20.4";
	peers[2].ip = "100.64.255.1";
	text = render(&snapshot, NULL, DETAIL, false, NULL);
	a = strstr(text, "100.64.255.1");
	b = strstr(text, "100.119.20.4");
	c = strstr(text, "100.119.120.3");
	assert_true(a && b && c && a < b && b < c);
	free(text);
	/* an empty line before the next one, as 0.77.1's renderer has it */
	assert_has(&snapshot, DETAIL, false,
		"Peers detail:\n node.netbird.selfhosted:\n  NetBird IP: 100.64.255.1\n");
	assert_has(&snapshot, DETAIL, false,
		"\n  Latency: 382.186\xc2\xb5s\n\n node.netbird.selfhosted:\n  NetBird IP: 100.119.20.4\n");
}

static void filters_choose_peers_and_their_counts(void **state)
{
	struct snapshot_peer peers[] = { world_node, world_lap, world_lap };
	struct snapshot snapshot = { .peers = peers, .peer_count = 3 };
	char *ip[] = { "100.119.2.172", "10.0.0.1" }, *ip6[] = { "fd5c:8e21:7a3b::2ac" },
		*name[] = { "LAP." };
	const struct {
		struct render_filter filter;
		const char *count;
	} cases[] = {
		{ {}, "Peers count: 2/3 Connected\n" },
		{ { .ips = ip, .ip_count = 2 }, "Peers count: 1/1 Connected\n" },
		{ { .ips = ip6, .ip_count = 1 }, "Peers count: 1/1 Connected\n" },
		{ { .names = name, .name_count = 1 }, "Peers count: 1/2 Connected\n" },
		{ { .status = "idle" }, "Peers count: 0/1 Connected\n" },
		{ { .status = "connecting" }, "Peers count: 0/0 Connected\n" },
		{ { .connection = "Relayed" }, "Peers count: 1/1 Connected\n" },
		{ { .connection = "P2P" }, "Peers count: 1/1 Connected\n" },
		{ { .names = name, .name_count = 1, .connection = "P2P" }, "Peers count: 0/0 Connected\n" },
	};

	peers[1].relayed = true;
	peers[2].status = "Idle";
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = render(&snapshot, &cases[i].filter, TEXT, false, NULL);

		assert_non_null(strstr(text, cases[i].count));
		free(text);
	}
}

static void durations_are_written_as_go_writes_them(void **state)
{
	static const struct {
		uint64_t ns;
		const char *text;
	} cases[] = {
		{ 0, "0s" }, { 1, "1ns" }, { 999, "999ns" }, { 1000, "1\xc2\xb5s" },
		{ 382186, "382.186\xc2\xb5s" }, { 1500000, "1.5ms" },
		{ 999999999, "999.999999ms" }, { SECOND, "1s" }, { 2500000000, "2.5s" },
		{ 60 * SECOND, "1m0s" }, { 62500000000, "1m2.5s" },
		{ 3600 * SECOND, "1h0m0s" }, { 3661 * SECOND + 1, "1h1m1.000000001s" },
		{ UINT64_MAX, "5124095h34m33.709551615s" },
	};
	char text[RENDER_TIME_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		render_duration(cases[i].ns, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void times_are_local_with_as_many_digits_as_they_need(void **state)
{
	char text[RENDER_TIME_LEN];

	render_time(0, text);
	assert_string_equal(text, "0001-01-01T00:00:00Z");
	render_time(AT(28, 0), text);
	assert_string_equal(text, "2026-11-23T00:30:28Z");
	render_time(AT(28, 500000000), text);
	assert_string_equal(text, "2026-11-23T00:30:28.5Z");
	setenv("TZ", "XXX-5:30", 1);
	tzset();
	render_time(AT(28, 1), text);
	assert_string_equal(text, "2026-11-23T06:00:28.000000001+05:30");
	setenv("TZ", "XXX3", 1);
	tzset();
	render_time(AT(28, 0), text);
	assert_string_equal(text, "2026-11-22T21:30:28-03:00");
	setenv("TZ", "UTC", 1);
	tzset();
}

static void ages_have_at_most_two_units(void **state)
{
	static const struct {
		uint64_t age_ns;
		const char *text;
	} cases[] = {
		{ 0, "Now" }, { SECOND - 1, "Now" }, { SECOND, "1 second ago" },
		{ 59 * SECOND, "59 seconds ago" }, { 60 * SECOND, "1 minute ago" },
		{ 80 * SECOND, "1 minute, 20 seconds ago" }, { 3600 * SECOND, "1 hour ago" },
		{ 3605 * SECOND, "1 hour ago" },
		{ 7380 * SECOND, "2 hours, 3 minutes ago" }, { 100800 * SECOND, "1 day, 4 hours ago" },
	};
	struct snapshot_event event = { .message = "" };
	struct snapshot snapshot = { .events = &event, .event_count = 1 };
	char line[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		event.at_ns = WORLD_NOW - cases[i].age_ns;
		snprintf(line, sizeof(line), "\n    Time: %s\nOS:", cases[i].text);
		assert_has(&snapshot, DETAIL, false, line);
	}
	event.at_ns = 0;
	assert_has(&snapshot, DETAIL, false, "\n    Time: -\nOS:");
}

static void only_the_last_ten_events_are_told(void **state)
{
	struct snapshot_event events[12] = {};
	struct snapshot snapshot = { .events = events, .event_count = 12 };
	char *text;

	events[1].id = "second";
	events[2].id = "third";
	text = render(&snapshot, NULL, DETAIL, false, NULL);
	assert_null(strstr(text, "(second)"));
	assert_non_null(strstr(text, "(third)"));
	free(text);
}

/* Names and reasons come from servers and peers: none can begin a line of its own or steer a terminal. */
static void no_text_from_outside_can_forge_a_line(void **state)
{
	static char evil[] = "x\nManagement: Connected\n\x1b[2J";
	struct snapshot_peer peer = { .fqdn = evil, .ip = evil, .status = evil, .relay = evil,
		.public_key = evil };
	struct snapshot_relay relay = { evil, false, "x\n\tindented\nManagement: Connected", evil };
	struct snapshot_nameserver server = { .error = "x\n\tindented\nManagement: Connected" };
	struct snapshot_event event = { evil, evil, evil, evil, evil, 1, NULL, 0 };
	struct snapshot snapshot = {
		.profile = evil, .daemon_status = evil, .address6 = evil, .nameservers = &server,
		.nameserver_count = 1,
		.fqdn = evil, .management_error = evil, .signal_error = evil, .peers = &peer, .peer_count = 1,
		.relays = &relay, .relay_count = 1,
		.events = &event, .event_count = 1, .map_note = evil, .datapath_why = evil,
	};

	for (enum form form = TEXT; form <= YAML; form++) {
		char *text = render(&snapshot, NULL, form, true, NULL);

		assert_null(strstr(text, "\nManagement: Connected"));
		assert_null(strchr(text, '\x1b'));
		free(text);
	}
	assert_has(&snapshot, DETAIL, false,
		"] is Unavailable, reason: x; ?indented; Management: Connected\n");
	assert_has(&snapshot, DETAIL, false,
		"] is Unavailable, reason: x\n\tindented?Management: Connected\n");
}

static void yaml_quotes_what_would_be_read_as_something_else(void **state)
{
	static const struct {
		const char *text, *yaml;
	} cases[] = {
		{ "plain text", "plain text" }, { "", "\"\"" }, { "true", "\"true\"" }, { "No", "\"No\"" },
		{ "null", "\"null\"" },
		{ "12", "\"12\"" }, { "1.5e3", "\"1.5e3\"" }, { "2026-11-23", "\"2026-11-23\"" },
		{ "12:30:45", "\"12:30:45\"" },
		{ "192.0.2.1:80", "192.0.2.1:80" }, { "[::1]:80", "'[::1]:80'" }, { "a: b", "'a: b'" },
		{ "a #b", "'a #b'" }, { "a:", "'a:'" },
		{ "it's", "it's" }, { "'", "''''" }, { "-", "'-'" }, { "- x", "'- x'" }, { "-x", "-x" },
		{ " x", "' x'" }, { "@x", "'@x'" },
		{ "x\ty", "\"x\\ty\"" }, { "a\nb", "|-\n        a\n        b" }, { "a\n", "|\n        a" },
	};
	struct snapshot snapshot = {};
	char line[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snapshot.management_error = (char *)cases[i].text;
		snprintf(line, sizeof(line), "\n    connected: false\n    error: %s\nsignal:\n",
			cases[i].yaml);
		assert_has(&snapshot, YAML, false, line);
	}
}

static void talon_says_more_than_netbird(void **state)
{
	struct snapshot snapshot = world_of_lap();
	char *text;

	snapshot.map_held_back = true;
	snapshot.map_note = "from the last run";
	snapshot.datapath_ready = false;
	snapshot.datapath_why = "no mesh address yet";
	assert_has(&snapshot, TEXT, true, "\nPeers count: 1/1 Connected\n\nReady: no, no mesh address yet\n"
					  "Map: serial 12, the ways of peers that it took away are KEPT for "
					  "now, from the last run\nManagement since: 40 seconds ago\nSignal "
					  "since: 39 seconds ago\n");
	assert_has(&snapshot, JSON, true,
		",\"sshServer\":{\"enabled\":false,\"sessions\":[]},"
		"\"talon\":{\"daemonStatus\":\"Connected\",\"ready\":false,\"why\":\"no mesh address yet\","
		"\"serial\":12,\"waysKept\":true,\"mapNote\":\"from the last run\","
		"\"managementSince\":\"2026-11-23T00:30:20Z\",\"signalSince\":\"2026-11-23T00:30:21Z\","
		"\"counters\":{},\"datapath\":null}}");
	text = render(&snapshot, NULL, YAML, false, NULL);
	assert_null(strstr(text, "talon"));
	free(text);
}

static void the_end_of_the_login_stands_in_its_place(void **state)
{
	struct snapshot snapshot = world_of_lap();
	char *text;

	text = render(&snapshot, NULL, JSON, true, NULL);
	assert_null(strstr(text, "sessionExpiresAt"));
	free(text);
	snapshot.session_expires_ns = WORLD_NOW + (3 * 86400 + 4 * 3600) * SECOND + 20000000;
	assert_has(&snapshot, TEXT, false,
		"\nNetworks: -\nSession expires: 2026-11-26T04:31:00Z (in 3d 4h)\nPeers count: 1/1 "
		"Connected\n");
	assert_has(&snapshot, JSON, false,
		"\"sessions\":[]},\"sessionExpiresAt\":\"2026-11-26T04:31:00.12Z\"}");
	assert_has(&snapshot, JSON, true, "\"sessionExpiresAt\":\"2026-11-26T04:31:00.12Z\",\"talon\":{");
	assert_has(&snapshot, YAML, false, "\n    sessions: []\nsessionExpiresAt: 2026-11-26T04:31:00.12Z\n");
	snapshot.session_expires_ns = AT(0, 0);
	assert_has(&snapshot, TEXT, false, "\nSession expires: 2026-11-23T00:30:00Z (in expired 1m ago)\n");
}

static void the_datapath_follows_without_saying_anything_twice(void **state)
{
	struct status status = { .now_ns = 10 * SECOND };
	struct snapshot snapshot = world_of_lap();
	char *text = render(&snapshot, NULL, TEXT, true, &status), *at;
	json_t *json;

	assert_non_null(strstr(text, "\nDatapath: "));
	at = strstr(text, "Peers count: ");
	assert_null(strstr(at + 1, "Peers count: "));
	at = strstr(text, "Networks: ");
	assert_null(strstr(at + 1, "Networks: "));
	free(text);
	text = render(&snapshot, NULL, JSON, true, &status);
	json = json_loads(text, 0, NULL);
	assert_true(json_is_object(json_object_get(json_object_get(json_object_get(json, "talon"),
		"datapath"), "controller")));
	json_decref(json);
	free(text);
}

static void checks_ask_for_more_and_more(void **state)
{
	struct snapshot_relay relays[] = { { "stun:x:1", true, "", "" }, { "rels://x:443", false, "", "" } };
	struct snapshot s = { .relays = relays, .relay_count = 1, .signal_error = "refused",
		.datapath_why = "no mesh address yet" };
	char why[200];

	assert_true(status_check_daemon(&s, STATUS_CHECK_LIVE, why, sizeof(why)));
	assert_string_equal(why, "live: yes: the daemon answers");
	assert_false(status_check_daemon(&s, STATUS_CHECK_STARTUP, why, sizeof(why)));
	assert_string_equal(why, "startup: no: management is not connected");
	s.management_connected = true;
	assert_false(status_check_daemon(&s, STATUS_CHECK_STARTUP, why, sizeof(why)));
	assert_string_equal(why, "startup: no: signal is not connected: refused");
	s.signal_connected = true;
	assert_true(status_check_daemon(&s, STATUS_CHECK_STARTUP, why, sizeof(why)));
	assert_string_equal(why, "startup: yes: management and signal are connected");
	s.relay_count = 2;
	assert_false(status_check_daemon(&s, STATUS_CHECK_STARTUP, why, sizeof(why)));
	assert_string_equal(why, "startup: no: none of the relays is available");
	relays[1].available = true;
	assert_true(status_check_daemon(&s, STATUS_CHECK_STARTUP, why, sizeof(why)));
	assert_false(status_check_daemon(&s, STATUS_CHECK_READY, why, sizeof(why)));
	assert_string_equal(why, "ready: no: no mesh address yet");
	s.datapath_ready = true;
	assert_true(status_check_daemon(&s, STATUS_CHECK_READY, why, sizeof(why)));
	assert_string_equal(why, "ready: yes: packets can flow");
}

static char *written(const struct snapshot *snapshot)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	snapshot_write(out, snapshot);
	fclose(out);
	return text;
}

static void a_snapshot_survives_its_journey(void **state)
{
	struct snapshot worlds[] = { world_of_lap(), world_of_node(), {} }, parsed;

	for (size_t i = 0; i < 3; i++) {
		char *text = written(&worlds[i]), *again, *before, *after;
		json_t *json = json_loads(text, 0, NULL);

		assert_int_equal(snapshot_parse(json, &parsed), 0);
		again = written(&parsed);
		assert_string_equal(text, again);
		assert_non_null(parsed.version);
		assert_non_null(parsed.datapath_why);
		before = render(&worlds[i], NULL, DETAIL, true, NULL);
		after = render(&parsed, NULL, DETAIL, true, NULL);
		assert_string_equal(before, after);
		snapshot_done(&parsed);
		assert_null(parsed.version);
		json_decref(json);
		free(text);
		free(again);
		free(before);
		free(after);
	}
}

static void a_snapshot_of_the_wrong_shape_is_refused(void **state)
{
	static const char *const texts[] = {
		"[]", "null", "{\"version\":1}", "{\"lazy\":\"yes\"}", "{\"serial\":-1}",
		"{\"serial\":\"1\"}", "{\"peers\":{}}", "{\"peers\":[1]}",
		"{\"peers\":[{\"fqdn\":\"a\"},{\"fqdn\":2}]}", "{\"networks\":[\"a\",null]}",
		"{\"events\":[{\"metadata\":[\"a\",{}]}]}",
	};
	struct snapshot snapshot;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *json = json_loads(texts[i], JSON_DECODE_ANY, NULL);

		assert_int_equal(snapshot_parse(json, &snapshot), -EBADMSG);
		json_decref(json);
	}
	assert_int_equal(snapshot_parse(NULL, &snapshot), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_summary_is_the_recorded_one),
		cmocka_unit_test(the_details_are_the_recorded_ones),
		cmocka_unit_test(the_json_is_the_recorded_one),
		cmocka_unit_test(the_yaml_is_the_recorded_one),
		cmocka_unit_test(the_address_alone_is_the_recorded_one),
		cmocka_unit_test(the_ipv6_address_alone_has_no_length_and_none_prints_nothing),
		cmocka_unit_test(a_host_that_is_not_registered_shows_the_recorded_structure),
		cmocka_unit_test(the_profile_has_the_name_that_it_was_given),
		cmocka_unit_test(a_daemon_of_unknown_version_is_said_to_be_so),
		cmocka_unit_test(ipv6_addresses_are_text_in_yaml),
		cmocka_unit_test(a_relay_s_error_is_one_line),
		cmocka_unit_test(the_list_of_networks_is_the_recorded_one),
		cmocka_unit_test(the_seeds_own_checks_pass),
		cmocka_unit_test(networks_say_whether_they_are_used_and_what_their_names_are),
		cmocka_unit_test(an_exit_node_and_its_ipv6_half_are_one_entry),
		cmocka_unit_test(an_empty_snapshot_can_be_shown_in_every_form),
		cmocka_unit_test(what_is_not_connected_says_why),
		cmocka_unit_test(a_peer_that_is_not_connected_shows_no_stale_figures),
		cmocka_unit_test(peers_stand_in_the_order_of_their_addresses),
		cmocka_unit_test(filters_choose_peers_and_their_counts),
		cmocka_unit_test(durations_are_written_as_go_writes_them),
		cmocka_unit_test(times_are_local_with_as_many_digits_as_they_need),
		cmocka_unit_test(ages_have_at_most_two_units),
		cmocka_unit_test(only_the_last_ten_events_are_told),
		cmocka_unit_test(no_text_from_outside_can_forge_a_line),
		cmocka_unit_test(yaml_quotes_what_would_be_read_as_something_else),
		cmocka_unit_test(talon_says_more_than_netbird),
		cmocka_unit_test(the_end_of_the_login_stands_in_its_place),
		cmocka_unit_test(the_datapath_follows_without_saying_anything_twice),
		cmocka_unit_test(checks_ask_for_more_and_more),
		cmocka_unit_test(a_snapshot_survives_its_journey),
		cmocka_unit_test(a_snapshot_of_the_wrong_shape_is_refused),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
