// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The exposition of made-up facts: everything counted becomes a series, in both formats, and nothing twice.
#include <inttypes.h>

#include "base/clock.h"
#include "datapath/datapath.h"
#include "unit/metrics/exposition.h"
#include "status/show.h"

#define NOW_S		100000ULL
#define AT(s)		((uint64_t)(s) * TALON_NSEC_PER_SEC)
#define BOOT_UNIX_S	1700000000ULL
#define PEERS		3

/* Each call a number that no other has, of so many digits that it is part of no other. */
static uint64_t next_value;
static uint64_t another(void)
{
	return ++next_value;
}

enum { MESH = 1 << 0, STALE = 1 << 1, NO_PEERS = 1 << 2, NO_KEYSTREAM = 1 << 3, NO_RUNS = 1 << 4,
	NEVER = 1 << 5 };

static void fill_status(struct status *s, unsigned scene)
{
	s->now_ns = AT(NOW_S);
	s->is_held = !(scene & STALE);
	s->info = (struct talon_info){ .layout = 4, .pid = 4711, .ready = 1, .heartbeat_ns = AT(NOW_S - 1),
		.started_ns = AT(NOW_S - 500), .datapath_since_ns = AT(NOW_S - 1000) + 123456789,
		.adoptions = another() };
	strcpy(s->info.version, "0.1.0");
	strcpy(s->info.mode, "xdp");
	strcpy(s->info.tunnel, "wt0");
	strcpy(s->info.address, "100.64.0.1/10");
	strcpy(s->info.hazards, "one\ntwo\n");
	s->config.port_first = 10000;
	s->config.port_last = 29998;
	s->config.flow_count = 262144;
	s->hooks[0] = (struct status_hook){ "xdp", "eth0", 2, true };
	s->hooks[1] = (struct status_hook){ "tcx", "", 9, false };
	s->hook_count = 2;
	for (unsigned i = 0; i < TALON_STATS_ENTRIES; i++)
		s->stats[i] = scene & NEVER ? 0 : another();
	for (unsigned i = 0; i < HANDSHAKE_STATS_ENTRIES; i++)
		s->handshakes[i] = scene & NEVER ? 0 : another();
	for (unsigned i = 0; i < TALON_PROGRAM_COUNT; i++)
		s->seen[i] = (struct talon_seen){ another(), another() };
	for (unsigned i = 0; i < TALON_TRAFFIC_ENTRIES; i++)
		s->traffic[i] = (struct talon_traffic){ another(), another() };
	for (size_t i = 0; i < offsetof(struct talon_nat_stats, pad) / sizeof(__u64); i++)
		((__u64 *)&s->nat)[i] = another();
	if (scene & NO_KEYSTREAM)
		return;
	s->keystream_room = another();
	s->keystream = (struct talon_keystream_state){ .pid = 1, .heartbeat_ns = AT(NOW_S),
		.windows = another(), .slots = another(), .room = s->keystream_room, .generated = another(),
		.wasted = another(), .gap_ns = another(), .engine = "openssl" };
}

static void fill_maps(struct metrics_data *d, unsigned scene)
{
	const struct metrics_map maps[] = { { "flows", another(), true, another(), another() },
		{ "flow_over", another(), true, d->status.nat.overflow, another() },
		{ "stats", another(), false, 0, 0 } };

	memcpy(d->maps, maps, sizeof(maps));
	d->map_count = 3;
	d->rings[0] = (struct metrics_ring){ "events", another(), another() };
	d->ring_count = 1;
	if (scene & NO_RUNS)
		return;
	d->programs[0] = (struct metrics_program){ "uplink_xdp", another(), another() };
	d->program_count = 1;
}

static void fill_peers(struct metrics_data *d, unsigned scene)
{
	struct metrics_peers *peers = &d->peers;

	peers->connected = another();
	peers->idle = another();
	peers->never = another();
	peers->sessions = another();
	peers->others = another();
	peers->others_rx = another();
	peers->others_tx = another();
	peers->has_expiry = peers->has_handshake = !(scene & NEVER);
	peers->expiry_ns = another();
	peers->handshake_ns = AT(NOW_S - 77);
	if (scene & NO_PEERS)
		return;
	peers->top = calloc(PEERS, sizeof(*peers->top));
	assert_non_null(peers->top);
	peers->top_count = PEERS;
	for (unsigned i = 0; i < PEERS; i++) {
		struct metrics_peer *peer = &peers->top[i];

		*peer = (struct metrics_peer){ .id = i, .rx_bytes = another(), .tx_bytes = another(),
			.rx_packets = another(), .tx_packets = another(), .held = another(),
			.family = i < 2 ? AF_INET : 0, .flags = i == 1 ? TALON_ENDPOINT_RELAY : 0 };
		memset(peer->info.public_key, i + 1, sizeof(peer->info.public_key));
		snprintf(peer->info.name, sizeof(peer->info.name), "peer%u.example", i);
		peer->info.handshake_unix_s = i == 2 ? 0 : another();
		peer->info.latency_100us = i == 0 ? 234 : 0;
	}
}

static struct metrics_data *make(unsigned scene)
{
	struct metrics_data *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	next_value = 1000000001;
	d->has_datapath = true;
	d->is_fresh = !(scene & STALE);
	d->unix_ns = AT(BOOT_UNIX_S + NOW_S);
	d->boot_unix_ns = AT(BOOT_UNIX_S);
	fill_status(&d->status, scene);
	for (unsigned i = 0; i < TALON_FACTS_ENTRIES; i++)
		d->facts[i] = another();
	d->facts[TALON_FACT_APPLIES_FAILED] = 5;
	d->facts[TALON_FACT_IS_MESH] = !!(scene & MESH);
	fill_maps(d, scene);
	fill_peers(d, scene);
	return d;
}

static void drop(struct metrics_data *d)
{
	free(d->peers.top);
	free(d);
}

/* With a NUL behind it. */
static char *print(const struct metrics_data *d, enum metrics_format format, uint32_t peers, bool aliases)
{
	const struct metrics_options options = { .format = format, .peers = peers, .aliases = aliases };
	char *text, *ended;
	size_t len;

	assert_int_equal(metrics_print(d, &options, &text, &len), 0);
	ended = strndup(text, len);
	assert_int_equal(strlen(ended), len);
	free(text);
	return ended;
}

static char *print_all(const struct metrics_data *d)
{
	return print(d, METRICS_PROMETHEUS, PEERS, false);
}

/* A line "@series @value" of @text. */
static void assert_series(const char *text, const char *series, uint64_t value)
{
	char line[320];

	snprintf(line, sizeof(line), "\n%s %" PRIu64 "\n", series, value);
	if (!strstr(text, line))
		fail_msg("no line: %s", line + 1);
}

static size_t times(const char *text, const char *part)
{
	size_t n = 0;

	for (const char *at = text; (at = strstr(at, part)); at++)
		n++;
	return n;
}

static bool has_value(const char *text, uint64_t value)
{
	char whole[40], seconds[40];

	snprintf(whole, sizeof(whole), " %" PRIu64 "\n", value);
	snprintf(seconds, sizeof(seconds), " %" PRIu64 ".%09" PRIu64, (uint64_t)(value / TALON_NSEC_PER_SEC),
		(uint64_t)(value % TALON_NSEC_PER_SEC));
	for (size_t len = strlen(seconds); seconds[len - 1] == '0'; len--)
		seconds[len - 1] = '\0';
	return strstr(text, whole) || strstr(text, seconds);
}

/* --- everything counted is a series --- */

static const char *const dirs[] = { "in", "out", "tunnel", "onward" };

static void check_ends(const char *text, const struct status *s)
{
	static const struct { const char *label; bool is_drop; } ends[] = {
#define END(id, label, is_drop, help) { label, is_drop },
		TALON_ENDS(END)
#undef END
	};
	char series[160];

	for (unsigned dir = 0; dir < TALON_DIR_COUNT; dir++) {
		for (unsigned end = 0; end < TALON_END_COUNT; end++) {
			snprintf(series, sizeof(series), ends[end].is_drop
				? "talon_drops_total{direction=\"%s\",reason=\"%s\"}"
				: "talon_packets_total{direction=\"%s\",outcome=\"%s\"}", dirs[dir],
				ends[end].label);
			assert_series(text, series, s->stats[dir * TALON_END_COUNT + end]);
		}
	}
}

static void every_end_is_a_series_for_every_direction(void **state)
{
	struct metrics_data *d = make(0);
	char *text = print_all(d);

	check_ends(text, &d->status);
	free(text);
	drop(d);
}

static void also_ends_that_never_happened(void **state)
{
	struct metrics_data *d = make(NEVER);
	char *text = print_all(d);

	check_ends(text, &d->status);
	assert_series(text, "talon_drops_total{direction=\"onward\",reason=\"preempted\"}", 0);
	free(text);
	drop(d);
}

static void every_handshake_end_and_count_is_a_series(void **state)
{
	static const char *const labels[] = {
#define LABEL(id, label, is_drop, help) label,
		HANDSHAKE_ENDS(LABEL)
#undef LABEL
	};
	static const struct { enum handshake_count count; const char *series; } counts[] = {
		{ HANDSHAKE_COUNT_INITIATIONS_SENT,
			"talon_handshake_sent_messages_total{type=\"initiation\"}" },
		{ HANDSHAKE_COUNT_RESPONSES_SENT, "talon_handshake_sent_messages_total{type=\"response\"}" },
		{ HANDSHAKE_COUNT_COOKIES_SENT, "talon_handshake_sent_messages_total{type=\"cookie\"}" },
		{ HANDSHAKE_COUNT_GAVE_UP, "talon_handshake_attempts_given_up_total" },
		{ HANDSHAKE_COUNT_SEND_ERRORS, "talon_handshake_errors_total{kind=\"send\"}" },
		{ HANDSHAKE_COUNT_MAP_ERRORS, "talon_handshake_errors_total{kind=\"map\"}" },
		{ HANDSHAKE_COUNT_FUTURE_TIMESTAMPS, "talon_clock_trouble_total{kind=\"peer_ahead\"}" },
		{ HANDSHAKE_COUNT_CLOCK_JUMPS, "talon_clock_trouble_total{kind=\"own_leap\"}" },
		{ HANDSHAKE_COUNT_SLOW_DATA, "talon_slow_messages_total{result=\"passed\"}" },
		{ HANDSHAKE_COUNT_SLOW_DROPPED, "talon_slow_messages_total{result=\"dropped\"}" },
		{ HANDSHAKE_COUNT_JUNK, "talon_junk_messages_total" },
		{ HANDSHAKE_COUNT_HELD_DROPPED, "talon_held_packets_dropped_total" },
	};
	struct metrics_data *d = make(0);
	char *text = print_all(d), series[160];

	for (unsigned i = 0; i < HANDSHAKE_END_COUNT; i++) {
		snprintf(series, sizeof(series), "talon_handshake_messages_total{result=\"%s\"}", labels[i]);
		assert_series(text, series, d->status.handshakes[i]);
	}
	assert_int_equal(sizeof(counts) / sizeof(counts[0]), HANDSHAKE_COUNT_COUNT);
	for (unsigned i = 0; i < HANDSHAKE_COUNT_COUNT; i++)
		assert_series(text, counts[i].series,
			d->status.handshakes[HANDSHAKE_END_COUNT + counts[i].count]);
	free(text);
	drop(d);
}

/* The fill of a map comes with the map, see test_metrics_read. */
static bool is_told_of_a_map(enum talon_fact fact)
{
	static const char *const maps[] = { "peer_info", "sessions", "allowed4", "routes4", "local4", "host4",
		"links", "acl_src4", "acl_dst4", "acl_bits", "allowed6", "routes6", "local6", "host6",
		"acl_src6", "acl_dst6" };
	enum talon_fact found;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		assert_true(metrics_map_is_told(maps[i], &found));
		if (found == fact)
			return true;
	}
	assert_false(metrics_map_is_told("flows", &found));
	return false;
}

static void every_fact_is_a_series(void **state)
{
	static const char *const names[] = {
#define NAME(id, group, label, kind, help) #id,
		TALON_FACTS(NAME)
#undef NAME
	};
	struct metrics_data *d = make(MESH);
	char *text = print_all(d);

	for (unsigned i = 0; i < TALON_FACTS_ENTRIES; i++) {
		if (i == TALON_FACT_IS_MESH || i == TALON_FACT_APPLIES || is_told_of_a_map(i))
			continue;
		if (!has_value(text, d->facts[i]))
			fail_msg("fact %s is in no series", names[i]);
	}
	assert_series(text, "talon_applies_total{result=\"ok\"}", d->facts[TALON_FACT_APPLIES] - 5);
	assert_series(text, "talon_applies_total{result=\"failed\"}", 5);
	free(text);
	drop(d);
}

static void every_total_of_nat_is_a_series(void **state)
{
	struct metrics_data *d = make(0);
	const struct talon_nat_stats *nat = &d->status.nat;
	char *text = print_all(d);

	for (size_t i = 0; i < offsetof(struct talon_nat_stats, pad) / sizeof(__u64); i++) {
		if (!has_value(text, ((const __u64 *)nat)[i]))
			fail_msg("number %zu of struct talon_nat_stats is in no series", i);
	}
	assert_series(text, "talon_nat_flows", nat->live);
	assert_series(text, "talon_nat_flows_refused_total{reason=\"port\"}", nat->full_ports);
	assert_series(text, "talon_nat_flows_refused_total{reason=\"record\"}", nat->full_table);
	assert_series(text, "talon_nat_flows_refused_total{reason=\"share\"}", nat->full_share);
	assert_series(text, "talon_nat_ports_used{protocol=\"udp\"}", nat->ports[1]);
	assert_series(text, "talon_nat_ports", 19999);
	free(text);
	drop(d);
}

static void pressure_and_share_follow_what_is_held(void **state)
{
	struct metrics_data *d = make(0);
	char *text;

	d->status.config.flow_count = 1001;
	d->status.nat.held = 250;
	text = print_all(d);
	assert_non_null(strstr(text, "\ntalon_nat_pressure_ratio 0.25\n"));
	assert_series(text, "talon_nat_share_records", 2250);
	free(text);
	d->status.nat.held = 1001;	/* for a moment, while somebody counts */
	text = print_all(d);
	assert_series(text, "talon_nat_share_records", 0);
	free(text);
	drop(d);
}

static void every_program_and_kind_of_traffic_is_a_series(void **state)
{
	static const char *const programs[] = {
#define LABEL(id, label, help) label,
		TALON_PROGRAMS(LABEL)
#undef LABEL
	};
	struct metrics_data *d = make(0);
	char *text = print_all(d), series[160];

	for (unsigned i = 0; i < TALON_PROGRAM_COUNT; i++) {
		snprintf(series, sizeof(series), "talon_program_packets_total{program=\"%s\"}", programs[i]);
		assert_series(text, series, d->status.seen[i].received);
		snprintf(series, sizeof(series), "talon_program_passed_packets_total{program=\"%s\"}",
			programs[i]);
		assert_series(text, series, d->status.seen[i].passed);
	}
	for (unsigned i = 0; i < TALON_TRAFFIC_ENTRIES; i++) {
		for (unsigned bytes = 0; bytes < 2; bytes++) {
			snprintf(series, sizeof(series), "talon_tunnel_%s_total{direction=\"%s\",path=\"%s\","
				"family=\"%s\",crypto=\"%s\"}", bytes ? "bytes" : "packets",
				i & TALON_TRAFFIC_SENT ? "transmit" : "receive",
				i & TALON_TRAFFIC_RELAY ? "relay" : "direct",
				i & TALON_TRAFFIC_SIX ? "ipv6" : "ipv4",
				i & TALON_TRAFFIC_AHEAD ? "ahead" : "inline");
			assert_series(text, series, bytes ? d->status.traffic[i].bytes
				: d->status.traffic[i].packets);
		}
	}
	free(text);
	drop(d);
}

static void maps_rings_runs_and_keystream_are_series(void **state)
{
	struct metrics_data *d = make(0);
	char *text = print_all(d);

	for (size_t i = 0; i < d->map_count; i++)
		assert_true(has_value(text, d->maps[i].memory));
	assert_series(text, "talon_map_entries{map=\"flows\"}", d->maps[0].entries);
	assert_series(text, "talon_map_entries_limit{map=\"flows\"}", d->maps[0].limit);
	assert_null(strstr(text, "talon_map_entries{map=\"stats\"}"));
	assert_series(text, "talon_ring_bytes{ring=\"events\"}", d->rings[0].bytes);
	assert_series(text, "talon_ring_limit_bytes{ring=\"events\"}", d->rings[0].limit);
	assert_series(text, "talon_program_runs_total{program=\"uplink_xdp\"}", d->programs[0].runs);
	assert_true(has_value(text, d->programs[0].run_ns));
	assert_series(text, "talon_keystream_slots", d->status.keystream_room);
	assert_series(text, "talon_keystream_slots_assigned", d->status.keystream.slots);
	assert_series(text, "talon_keystream_windows", d->status.keystream.windows);
	assert_series(text, "talon_keystream_slots_made_total", d->status.keystream.generated);
	assert_series(text, "talon_keystream_slots_wasted_total", d->status.keystream.wasted);
	assert_true(has_value(text, d->status.keystream.gap_ns));
	assert_series(text, "talon_keystream_helper_up", 1);
	assert_series(text, "talon_hook_attached{kind=\"xdp\",device=\"eth0\"}", 1);
	assert_series(text, "talon_hook_attached{kind=\"tcx\",device=\"ifindex 9\"}", 0);
	assert_series(text, "talon_hazards", 2);
	free(text);
	drop(d);
}

static void peers_have_series_of_their_own_where_asked_for(void **state)
{
	static const char who0[] =
		"peer=\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\",name=\"peer0.example\"";
	static const char who2[] =
		"peer=\"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\",name=\"peer2.example\"";
	struct metrics_data *d = make(0);
	const struct metrics_peer *peer = &d->peers.top[0];
	char *text = print_all(d), series[200];

#define PEER(format, ...) (snprintf(series, sizeof(series), format, __VA_ARGS__), series)
	assert_series(text, PEER("talon_peer_bytes_total{direction=\"receive\",%s}", who0), peer->rx_bytes);
	assert_series(text, PEER("talon_peer_bytes_total{direction=\"transmit\",%s}", who0), peer->tx_bytes);
	assert_series(text, PEER("talon_peer_packets_total{direction=\"receive\",%s}", who0),
		peer->rx_packets);
	assert_series(text, PEER("talon_peer_packets_total{direction=\"transmit\",%s}", who0),
		peer->tx_packets);
	assert_series(text, PEER("talon_peer_last_handshake_timestamp_seconds{%s}", who0),
		peer->info.handshake_unix_s);
	assert_series(text, PEER("talon_peer_path{%s,path=\"direct\"}", who0), 1);
	assert_series(text, PEER("talon_peer_path{%s,path=\"none\"}", who2), 1);
	assert_series(text, PEER("talon_peer_flows{%s}", who0), peer->held);
	assert_int_equal(times(text, "path=\"relay\"} 1\n"), 1);
	assert_non_null(strstr(text, PEER("\ntalon_peer_latency_seconds{%s} 0.0234\n", who0)));
	assert_null(strstr(text, PEER("talon_peer_last_handshake_timestamp_seconds{%s}", who2)));
	assert_series(text, "talon_other_peers", d->peers.others);
	assert_series(text, "talon_other_peers_bytes{direction=\"receive\"}", d->peers.others_rx);
	free(text);
	text = print(d, METRICS_PROMETHEUS, 0, false);
	assert_null(strstr(text, "peer="));
	assert_null(strstr(text, "talon_other_peers"));
	free(text);
	drop(d);
}

/* --- scenes --- */

static void a_dead_controller_leaves_counters_and_takes_gauges_along(void **state)
{
	static const char *const gone[] = { "talon_management_connected", "talon_signal_connected",
		"talon_relays", "talon_stun_servers", "talon_needs_login", "talon_network_map_serial",
		"talon_login_expires_timestamp_seconds",
		"talon_network_map_held_back", "talon_dns_learned_addresses", "talon_apply_last_seconds",
		"talon_apply_timestamp_seconds", "talon_acl_rules", "talon_peer_paths", "talon_held_packets",
		"talon_nat_ports_host" };
	struct metrics_data *fresh = make(MESH), *stale = make(MESH | STALE);
	struct exposition before, after;
	char *first = print_all(fresh), *second = print_all(stale);

	assert_series(first, "talon_controller_up", 1);
	assert_series(second, "talon_controller_up", 0);
	exposition_read(&before, first, false);
	exposition_read(&after, second, false);
	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		assert_int_not_equal(exposition_count(&before, gone[i]), 0);
		assert_false(exposition_has(&after, gone[i]));
	}
	assert_int_equal(exposition_count(&before, "talon_peer_latency_seconds"), 1);
	assert_int_equal(exposition_count(&after, "talon_peer_latency_seconds"), 0);
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		if (strcmp(rows[i].type, "GAUGE"))
			assert_int_equal(exposition_count(&before, rows[i].name),
				exposition_count(&after, rows[i].name));
	}
	free(first);
	free(second);
	drop(fresh);
	drop(stale);
}

static void a_static_file_has_nothing_of_a_mesh(void **state)
{
	static const char *const mesh[] = { "management_", "signal_", "relays", "relay_", "stun_",
		"network_map", "dns_", "needs_login", "login_expires",
		"peer_path_changes", "peer_paths" };
	struct metrics_data *d = make(0);
	char *text = print_all(d), name[64];

	for (size_t i = 0; i < sizeof(mesh) / sizeof(mesh[0]); i++) {
		snprintf(name, sizeof(name), "\ntalon_%s", mesh[i]);
		if (strstr(text, name))
			fail_msg("with a static file:%s", name);
	}
	assert_non_null(strstr(text, "\ntalon_apply_last_seconds "));
	free(text);
	drop(d);
}

static void without_a_datapath_there_is_a_text_that_says_so(void **state)
{
	struct metrics_data d = { .unix_ns = AT(BOOT_UNIX_S) };
	struct exposition e;
	char *text;

	for (unsigned open = 0; open < 2; open++) {
		text = print(&d, open ? METRICS_OPENMETRICS : METRICS_PROMETHEUS, 5, true);
		assert_series(text, "talon_controller_up", 0);
		assert_series(text, "talon_datapath_ready", 0);
		assert_non_null(strstr(text, "\ntalon_node_time_seconds 1700000000.0\n"));
		exposition_read(&e, text, open);
		assert_int_equal(e.family_count, 4);
		free(text);
	}
}

static void keystream_runs_and_ages_are_absent_where_there_are_none(void **state)
{
	struct metrics_data *d = make(NO_KEYSTREAM | NO_RUNS | NEVER);
	char *text = print_all(d);

	assert_null(strstr(text, "talon_keystream_"));
	assert_null(strstr(text, "talon_program_run"));
	assert_null(strstr(text, "talon_session_expiry_seconds"));
	assert_null(strstr(text, "talon_newest_handshake_age_seconds"));
	assert_series(text, "talon_feature_enabled{feature=\"keystream_ahead\"}", 0);
	free(text);
	drop(d);
}

/* Reads all scenes in both formats; the reader fails on what no scene may have. */
static void every_family_is_printed_and_none_twice_or_interleaved(void **state)
{
	static const unsigned scenes[] = { 0, MESH, MESH | STALE, STALE, NO_PEERS,
		NO_KEYSTREAM | NO_RUNS | NEVER };
	bool seen[METRIC_COUNT] = {};
	struct exposition *e = malloc(sizeof(*e));

	assert_non_null(e);
	for (size_t i = 0; i < 2 * sizeof(scenes) / sizeof(scenes[0]); i++) {
		struct metrics_data *d = make(scenes[i / 2]);
		const bool open = i % 2;
		char *text = print(d, open ? METRICS_OPENMETRICS : METRICS_PROMETHEUS, PEERS, true);

		exposition_read(e, text, open);
		for (size_t f = 0; f < e->family_count; f++) {
			ptrdiff_t at = e->families[f] - rows;

			if (at >= 0 && at < METRIC_COUNT)
				seen[at] = true;
		}
		if (open) {
			size_t counters = 0;

			for (size_t f = 0; f < e->family_count; f++)
				counters += strcmp(e->families[f]->type, "COUNTER") ? 0 : e->counts[f];
			assert_int_equal(e->created, counters);
		}
		free(text);
		drop(d);
	}
	free(e);
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		if (!seen[i])
			fail_msg("%s is printed in no scene", rows[i].name);
	}
	assert_true(METRIC_COUNT >= 60);
}

static void counters_began_with_the_datapath_to_the_second(void **state)
{
	struct metrics_data *d = make(0);
	char *text = print(d, METRICS_OPENMETRICS, 0, false);

	/* 1700000000 + 100000 - 1000 + 0.123456789 */
	assert_non_null(strstr(text, "\ntalon_junk_messages_created 1700099000.0\n"));
	assert_non_null(strstr(text, "\ntalon_datapath_start_time_seconds 1700099000.0\n"));
	assert_non_null(strstr(text, "\ntalon_controller_start_time_seconds 1700099500.0\n"));
	free(text);
	d->boot_unix_ns += 3000;	/* another scrape, which read the clocks a little later */
	d->status.now_ns += AT(15);
	text = print(d, METRICS_OPENMETRICS, 0, false);
	assert_non_null(strstr(text, "\ntalon_junk_messages_created 1700099000.0\n"));
	assert_non_null(strstr(text, "\ntalon_datapath_start_time_seconds 1700099000.0\n"));
	free(text);
	drop(d);
}

/* --- how it is written --- */

static void names_are_escaped(void **state)
{
	static const struct { const char *name, *written; } cases[] = {
		{ "plain", "plain" },
		{ "", "" },
		{ "a\"b", "a\\\"b" },
		{ "a\\b", "a\\\\b" },
		{ "a\nb", "a\\nb" },
		{ "\\\"\n", "\\\\\\\"\\n" },
		{ "tab\tand\x01", "tab\tand\x01" },
		{ "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
		{ "cut \xc3", "cut \xef\xbf\xbd" },
		{ "cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd" },
		{ "\x80lone", "\xef\xbf\xbdlone" },
		{ "\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "overlong \xc0\xaf", "overlong \xef\xbf\xbd\xef\xbf\xbd" },
		{ "overlong \xe0\x80\xaf", "overlong \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "surrogate \xed\xa0\x80", "surrogate \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "beyond \xf4\x90\x80\x80", "beyond \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xc3\"", "\xef\xbf\xbd\\\"" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct metrics_data *d = make(NO_KEYSTREAM);
		char *text, want[160];

		strcpy(d->peers.top[0].info.name, cases[i].name);
		text = print(d, METRICS_PROMETHEUS, PEERS, true);
		snprintf(want, sizeof(want), ",name=\"%s\",path=\"direct\"} 1\n", cases[i].written);
		assert_int_equal(times(text, want), 1);
		snprintf(want, sizeof(want), ",friendly_name=\"%s\"} ", cases[i].written);
		assert_int_equal(times(text, want), 3);
		free(text);
		drop(d);
	}
}

static void a_name_that_fills_its_field_has_no_nul(void **state)
{
	struct metrics_data *d = make(0);
	char want[sizeof(d->peers.top[0].info.name) + 32] = ",name=\"", *text;

	memset(d->peers.top[0].info.name, 'x', sizeof(d->peers.top[0].info.name));
	memset(want + 7, 'x', sizeof(d->peers.top[0].info.name));
	strcat(want, "\",path=");
	text = print_all(d);
	assert_int_equal(times(text, want), 1);
	free(text);
	drop(d);
}

static void seconds_have_no_zeros_at_the_end(void **state)
{
	static const struct { uint64_t ns; const char *text; } cases[] = {
		{ 0, "0.0\n" }, { 1, "0.000000001\n" }, { 100, "0.0000001\n" }, { 1500000000, "1.5\n" },
		{ 2000000000, "2.0\n" }, { 1000000010, "1.00000001\n" }, { 999999999, "0.999999999\n" },
		{ UINT64_MAX, "18446744073.709551615\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		metrics_seconds(out, cases[i].ns);
		fclose(out);
		assert_string_equal(text, cases[i].text);
		free(text);
	}
}

static void the_largest_counter_is_written_in_full(void **state)
{
	struct metrics_data *d = make(0);
	char *text;

	d->status.seen[TALON_PROGRAM_TUNNEL].received = UINT64_MAX;
	text = print_all(d);
	assert_series(text, "talon_program_packets_total{program=\"tunnel\"}", UINT64_MAX);
	free(text);
	drop(d);
}

static void the_content_type_names_the_format(void **state)
{
	assert_string_equal(metrics_content_type(METRICS_PROMETHEUS),
		"text/plain; version=0.0.4; charset=utf-8");
	assert_string_equal(metrics_content_type(METRICS_OPENMETRICS),
		"application/openmetrics-text; version=1.0.0; charset=utf-8");
}

/* --- names of other programs --- */

static void aliases_say_the_same_under_other_names(void **state)
{
	struct metrics_data *d = make(MESH);
	const struct metrics_peer *peer = &d->peers.top[1];
	char *text = print(d, METRICS_PROMETHEUS, PEERS, true), series[200];
	static const char who[] = "interface=\"wt0\","
		"public_key=\"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\",friendly_name=\"peer1.example\"";

	assert_series(text, PEER("wireguard_sent_bytes_total{%s}", who), peer->tx_bytes);
	assert_series(text, PEER("wireguard_received_bytes_total{%s}", who), peer->rx_bytes);
	assert_series(text, PEER("wireguard_latest_handshake_seconds{%s}", who), peer->info.handshake_unix_s);
	assert_series(text, "netbird_management_connected", d->facts[TALON_FACT_MANAGEMENT_UP]);
	assert_series(text, "netbird_signal_connected", d->facts[TALON_FACT_SIGNAL_UP]);
	assert_series(text, "netbird_peers", d->facts[TALON_FACT_PEERS_DIRECT] +
		d->facts[TALON_FACT_PEERS_RELAYED] + d->facts[TALON_FACT_PEERS_CONNECTING] +
		d->facts[TALON_FACT_PEERS_IDLE]);
	assert_series(text, "netbird_peers_connected{connection_type=\"p2p\"}",
		d->facts[TALON_FACT_PEERS_DIRECT]);
	assert_series(text, "netbird_peers_connected{connection_type=\"relay\"}",
		d->facts[TALON_FACT_PEERS_RELAYED]);
	assert_non_null(strstr(text,
		"\nnetbird_peer_latency_seconds{peer=\"peer0.example\",public_key=\"AQEB"));
	free(text);
	text = print_all(d);
	assert_null(strstr(text, "wireguard_sent"));
	assert_null(strstr(text, "netbird_"));
	free(text);
	drop(d);
	d = make(MESH | STALE);
	text = print(d, METRICS_PROMETHEUS, PEERS, true);
	assert_non_null(strstr(text, "wireguard_sent"));
	assert_null(strstr(text, "netbird_"));
	free(text);
	drop(d);
}

/* --- the rows themselves: what no tool checks --- */

static bool ends_with(const char *text, const char *end)
{
	return strlen(text) >= strlen(end) && !strcmp(text + strlen(text) - strlen(end), end);
}

static void check_name(const struct row *row)
{
	static const char *const wrong[] = { "_total", "_info", "_created", "_count", "_sum", "_bucket" };
	/* what must not end a name without being its unit, and what is no base unit */
	static const char *const units[] = { "_seconds", "_bytes", "_ratio" };
	static const char *const scaled[] = { "_ms", "_milliseconds", "_minutes", "_hours", "_ns", "_us",
		"_kb", "_kilobytes", "_bits", "_percent" };

	for (const char *at = row->name; *at; at++) {
		if (!islower((unsigned char)*at) && !isdigit((unsigned char)*at) && *at != '_')
			fail_msg("%s: not in lower case", row->name);
	}
	assert_null(strstr(row->name, "__"));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(ends_with(row->name, wrong[i]));
	for (size_t i = 0; i < sizeof(scaled) / sizeof(scaled[0]); i++)
		assert_false(ends_with(row->name, scaled[i]));
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (ends_with(row->name, units[i]) != !strcmp(row->unit, units[i] + 1))
			fail_msg("%s has unit '%s'", row->name, row->unit);
	}
	assert_true(!*row->unit || ends_with(row->name, row->unit));
}

static void check_labels(const struct row *row)
{
	static const char *const known[] = { "version", "layout", "kernel", "mode", "interface", "address",
		"public_key", "feature", "kind", "device", "reason", "program", "direction", "outcome",
		"path", "family", "crypto", "result", "type", "state", "to", "peer", "name", "protocol",
		"map", "ring", "engine", "event" };
	char copy[128], *rest = copy, *label;

	snprintf(copy, sizeof(copy), "%s", row->labels);
	while (*row->labels && (label = strsep(&rest, ","))) {
		bool is_known = false;

		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			is_known |= !strcmp(label, known[i]);
		if (!is_known)
			fail_msg("%s: label '%s' is in no list: job, instance and le are not ours",
				row->name, label);
	}
}

static void rows_keep_the_rules(void **state)
{
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		const struct row *row = &rows[i];

		check_name(row);
		check_labels(row);
		assert_true(strlen(row->help) > 5 && ends_with(row->help, "."));
		assert_true(isupper((unsigned char)row->help[0]) || isdigit((unsigned char)row->help[0]));
		/* would need escapes, other ones in each format */
		assert_null(strpbrk(row->help, "\"\\\n"));
		assert_true(isdigit((unsigned char)row->series[0]) || !strncmp(row->series, "at most ", 8));
		assert_true(strcmp(row->type, "INFO") || !*row->unit);
	}
}

/* --- how many series there can be --- */

static unsigned number_in(const char *series)
{
	return strtoul(strpbrk(series, "0123456789"), NULL, 10);
}

static bool is_by_peer(const struct row *row)
{
	return !!strstr(row->series, "for each peer");
}

static void fill_up(struct metrics_data *d)
{
	d->status.hook_count = STATUS_HOOKS_MAX;
	for (int i = 0; i < STATUS_HOOKS_MAX; i++)
		d->status.hooks[i] = (struct status_hook){ "tcx", "", i, true };
}

/* The rows' numbers are kept by a full scene; maps, rings and programs are counted by test_metrics_read. */
static void no_family_has_more_series_than_its_row_says(void **state)
{
	struct metrics_data *d = make(MESH);
	struct exposition *e = malloc(sizeof(*e));
	char *text;

	assert_non_null(e);
	fill_up(d);
	text = print_all(d);
	exposition_read(e, text, false);
	for (size_t i = 0; i < METRIC_COUNT; i++) {
		size_t most = number_in(rows[i].series), count = exposition_count(e, rows[i].name);

		if (strstr(rows[i].labels, "map") || strstr(rows[i].labels, "ring") ||
			!strncmp(rows[i].name, "talon_program_run", 17))
			continue;
		if (!strncmp(rows[i].name, "talon_peer_latency", 18) ||
			!strncmp(rows[i].name, "talon_peer_last", 15))
			assert_true(count <= most * PEERS);	/* not each peer has it */
		else if (count != most * (is_by_peer(&rows[i]) ? PEERS : 1))
			fail_msg("%s has %zu series, its row says %zu", rows[i].name, count, most);
	}
	free(text);
	free(e);
	drop(d);
}

static char *read_document(void)
{
	FILE *in = fopen("docs/metrics.md", "re");
	char *text = NULL;
	size_t size = 0;

	assert_non_null(in);
	assert_true(getdelim(&text, &size, '\0', in) > 0);
	fclose(in);
	return text;
}

static void every_map_has_a_size_of_its_own(void **state)
{
	static const char *const series[METRIC_COUNT] = {
#define SERIES(id, name, type, unit, labels, series, help) [METRIC_##id] = series,
		METRICS(SERIES)
#undef SERIES
	};

	assert_in_range(DATAPATH_MAP_COUNT, 1, METRICS_MAPS_MAX);
	assert_int_equal(strtoul(series[METRIC_MAP_BYTES], NULL, 10), DATAPATH_MAP_COUNT);
}

static void the_document_says_how_many_series_there_are(void **state)
{
	unsigned all = 0, by_peer = 0;
	char *text = read_document(), want[120];

	for (size_t i = 0; i < METRIC_COUNT; i++)
		*(is_by_peer(&rows[i]) ? &by_peer : &all) += number_in(rows[i].series);
	snprintf(want, sizeof(want), "at most %u series, and %u more for each peer", all, by_peer);
	if (!strstr(text, want))
		fail_msg("docs/metrics.md does not say '%s'", want);
	for (size_t i = 0; i < ALIASES; i++) {
		snprintf(want, sizeof(want), "`%s%s`", alias_rows[i].name, suffix_of(&alias_rows[i]));
		if (!strstr(text, want))
			fail_msg("docs/metrics.md has no %s", want);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_end_is_a_series_for_every_direction),
		cmocka_unit_test(also_ends_that_never_happened),
		cmocka_unit_test(every_handshake_end_and_count_is_a_series),
		cmocka_unit_test(every_fact_is_a_series),
		cmocka_unit_test(every_total_of_nat_is_a_series),
		cmocka_unit_test(pressure_and_share_follow_what_is_held),
		cmocka_unit_test(every_program_and_kind_of_traffic_is_a_series),
		cmocka_unit_test(maps_rings_runs_and_keystream_are_series),
		cmocka_unit_test(peers_have_series_of_their_own_where_asked_for),
		cmocka_unit_test(a_dead_controller_leaves_counters_and_takes_gauges_along),
		cmocka_unit_test(a_static_file_has_nothing_of_a_mesh),
		cmocka_unit_test(without_a_datapath_there_is_a_text_that_says_so),
		cmocka_unit_test(keystream_runs_and_ages_are_absent_where_there_are_none),
		cmocka_unit_test(every_family_is_printed_and_none_twice_or_interleaved),
		cmocka_unit_test(counters_began_with_the_datapath_to_the_second),
		cmocka_unit_test(names_are_escaped),
		cmocka_unit_test(a_name_that_fills_its_field_has_no_nul),
		cmocka_unit_test(seconds_have_no_zeros_at_the_end),
		cmocka_unit_test(the_largest_counter_is_written_in_full),
		cmocka_unit_test(the_content_type_names_the_format),
		cmocka_unit_test(aliases_say_the_same_under_other_names),
		cmocka_unit_test(rows_keep_the_rules),
		cmocka_unit_test(no_family_has_more_series_than_its_row_says),
		cmocka_unit_test(every_map_has_a_size_of_its_own),
		cmocka_unit_test(the_document_says_how_many_series_there_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
