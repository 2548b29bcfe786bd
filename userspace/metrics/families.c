// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The families about the datapath and its state, from what was gathered.
#include <arpa/inet.h>
#include <string.h>
#include <sys/utsname.h>

#include "crypto/key.h"
#include "metrics/internal.h"
#include "config/config.h"
#include "status/show.h"

/* A text of a map, which may lack its NUL. */
#define TEXT(field) ((char[sizeof(field) + 1]){}), field, sizeof(field)

static const char *copy(char *to, const char *from, size_t size)
{
	memcpy(to, from, size);
	return to;
}

static void single(struct metrics_text *text, enum metric id, uint64_t value)
{
	metrics_family(text, id);
	metrics_sample(text, NO_LABELS, value);
}

static void single_ns(struct metrics_text *text, enum metric id, uint64_t ns)
{
	metrics_family(text, id);
	metrics_sample_ns(text, NO_LABELS, ns);
}

/* --- what runs --- */

static void write_node(struct metrics_text *text, const struct status *status)
{
	const struct talon_info *info = &status->info;
	char key[KEY_BASE64_LEN + 1];
	struct utsname host;

	key_to_base64(info->public_key, key);
	uname(&host);
	metrics_family(text, METRIC_NODE);
	metrics_sample(text, LABELS({ "kernel", host.release }, { "mode", copy(TEXT(info->mode)) },
		{ "interface", copy(TEXT(info->tunnel)) }, { "address", copy(TEXT(info->address)) },
		{ "public_key", key }), 1);
	metrics_family(text, METRIC_CONTROLLER_BUILD);
	metrics_sample(text, LABELS({ "version", copy(TEXT(info->version)) }), 1);
}

static void write_features(struct metrics_text *text, const struct status *status)
{
	static const struct { const char *name; __u32 flag; } features[] = {
		{ "snat_own_address", TALON_F_SNAT_OWN }, { "xdp_tx", TALON_F_XDP_TX },
		{ "hand_up_tunnel", TALON_F_HANDUP_TUNNEL }, { "plain_routes", TALON_F_PLAIN_ROUTES },
		{ "access_rules", TALON_F_ACL }, { "many_sources", TALON_F_MANY_SOURCES },
		{ "preemptible_kernel", TALON_F_PREEMPTIBLE },
	};

	metrics_family(text, METRIC_FEATURE);
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		metrics_sample(text, LABELS({ "feature", features[i].name }),
			!!(status->config.flags & features[i].flag));
	metrics_sample(text, LABELS({ "feature", "keystream_ahead" }), status->keystream_room > 1);
}

static size_t count_lines(const char *text, size_t size)
{
	size_t lines = 0;

	for (size_t i = 0; i < size && text[i]; i++)
		lines += text[i] == '\n';
	return lines;
}

static void write_blocks(struct metrics_text *text, const struct status *status)
{
	static const struct { const char *reason; __u32 block; } blocks[] = {
		{ "stopped", TALON_BLOCK_STOPPED }, { "starting", TALON_BLOCK_STARTING },
		{ "forwarding", TALON_BLOCK_FORWARDING }, { "uplink", TALON_BLOCK_UPLINK },
	};

	metrics_family(text, METRIC_BLOCKED);
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++)
		metrics_sample(text, LABELS({ "reason", blocks[i].reason }),
			!!(status->info.blocks & blocks[i].block));
}

static void write_hooks(struct metrics_text *text, const struct status *status)
{
	metrics_family(text, METRIC_ATTACHED);
	for (size_t i = 0; i < status->hook_count; i++) {
		const struct status_hook *hook = &status->hooks[i];
		char gone[24];

		snprintf(gone, sizeof(gone), "ifindex %d", hook->ifindex);
		metrics_sample(text, LABELS({ "kind", copy(TEXT(hook->kind)) },
			{ "device", hook->device[0] ? copy(TEXT(hook->device)) : gone }), hook->attached);
	}
}

static void write_state(struct metrics_text *text, const struct metrics_data *data)
{
	const struct status *status = &data->status;
	char why[CONFIG_WHY_LEN];

	metrics_family(text, METRIC_BUILD);
	metrics_sample(text, LABELS({ "version", TALON_VERSION }, { "layout", TALON_LAYOUT_NAME }), 1);
	single(text, METRIC_CONTROLLER_UP, data->is_fresh);
	single(text, METRIC_READY, data->has_datapath && status_check(status, STATUS_CHECK_READY, why,
		sizeof(why)));
	single_ns(text, METRIC_CLOCK, data->unix_ns);
	if (!data->has_datapath)
		return;
	write_node(text, status);
	write_features(text, status);
	single_ns(text, METRIC_CONTROLLER_START, metrics_since_unix_ns(data, status->info.started_ns));
	single_ns(text, METRIC_CONTROLLER_BEAT, status->now_ns > status->info.heartbeat_ns
		? status->now_ns - status->info.heartbeat_ns : 0);
	write_hooks(text, status);
	single_ns(text, METRIC_DATAPATH_START, metrics_since_unix_ns(data,
		status->info.datapath_since_ns));
	single(text, METRIC_ADOPTIONS, status->info.adoptions);
	single(text, METRIC_REATTACHED, data->facts[TALON_FACT_REATTACHED]);
	write_blocks(text, status);
	single(text, METRIC_HAZARDS, count_lines(status->info.hazards, sizeof(status->info.hazards)));
	metrics_family(text, METRIC_SCRAPES);
	metrics_sample(text, LABELS({ "result", "ok" }), data->facts[TALON_FACT_SCRAPES]);
	metrics_sample(text, LABELS({ "result", "refused" }), data->facts[TALON_FACT_SCRAPES_REFUSED]);
}

/* --- packets --- */

static void write_ends(struct metrics_text *text, const struct status *status, enum metric id, bool drops)
{
	metrics_family(text, id);
	for (unsigned dir = 0; dir < TALON_DIR_COUNT; dir++) {
		for (unsigned end = 0; end < TALON_END_COUNT; end++) {
			if (show_ends[end].is_drop == drops)
				metrics_sample(text, LABELS({ "direction", show_dirs[dir] },
					{ drops ? "reason" : "outcome", show_ends[end].label }),
					status->stats[dir * TALON_END_COUNT + end]);
		}
	}
}

static void write_traffic(struct metrics_text *text, const struct status *status, enum metric id, bool bytes)
{
	metrics_family(text, id);
	for (unsigned i = 0; i < TALON_TRAFFIC_ENTRIES; i++)
		metrics_sample(text, LABELS({ "direction", i & TALON_TRAFFIC_SENT ? "transmit" : "receive" },
			{ "path", i & TALON_TRAFFIC_RELAY ? "relay" : "direct" },
			{ "family", i & TALON_TRAFFIC_SIX ? "ipv6" : "ipv4" },
			{ "crypto", i & TALON_TRAFFIC_AHEAD ? "ahead" : "inline" }),
			bytes ? status->traffic[i].bytes : status->traffic[i].packets);
}

static uint64_t count_of(const struct status *status, enum handshake_count count)
{
	return status->handshakes[HANDSHAKE_END_COUNT + count];
}

static void write_programs(struct metrics_text *text, const struct metrics_data *data)
{
	static const char *const names[] = {
#define NAME(id, label, help) label,
		TALON_PROGRAMS(NAME)
#undef NAME
	};

	metrics_family(text, METRIC_SEEN);
	for (unsigned i = 0; i < TALON_PROGRAM_COUNT; i++)
		metrics_sample(text, LABELS({ "program", names[i] }), data->status.seen[i].received);
	metrics_family(text, METRIC_PASSED);
	for (unsigned i = 0; i < TALON_PROGRAM_COUNT; i++)
		metrics_sample(text, LABELS({ "program", names[i] }), data->status.seen[i].passed);
}

static void write_runs(struct metrics_text *text, const struct metrics_data *data)
{
	if (!data->program_count)
		return;
	metrics_family(text, METRIC_RUNS);
	for (size_t i = 0; i < data->program_count; i++)
		metrics_sample(text, LABELS({ "program", data->programs[i].name }), data->programs[i].runs);
	metrics_family(text, METRIC_RUN_SECONDS);
	for (size_t i = 0; i < data->program_count; i++)
		metrics_sample_ns(text, LABELS({ "program", data->programs[i].name }),
			data->programs[i].run_ns);
}

/* A capture shows what peers send, so it must not run unnoticed. */
static void write_watched(struct metrics_text *text, const struct status *status)
{
	static const char *const kinds[] = {
#define KIND(id, label, help) label,
		TALON_WATCH_COUNTS(KIND)
#undef KIND
	};

	metrics_family(text, METRIC_WATCHED);
	for (unsigned i = 0; i < TALON_WATCH_COUNT_COUNT; i++)
		metrics_sample(text, LABELS({ "kind", kinds[i] }), status->watch_counts[i]);
	metrics_family(text, METRIC_WATCHING);
	metrics_sample(text, LABELS({ "kind", "drops" }), status_is_watched(status, TALON_WATCH_DROPS));
	metrics_sample(text, LABELS({ "kind", "packets" }), status_is_watched(status, TALON_WATCH_PACKETS));
}

static void write_packets(struct metrics_text *text, const struct metrics_data *data)
{
	const struct status *status = &data->status;

	write_programs(text, data);
	write_ends(text, status, METRIC_PACKETS, false);
	write_ends(text, status, METRIC_DROPS, true);
	write_traffic(text, status, METRIC_TRAFFIC_PACKETS, false);
	write_traffic(text, status, METRIC_TRAFFIC_BYTES, true);
	write_runs(text, data);
	write_watched(text, status);
	metrics_family(text, METRIC_SLOW_DATA);
	metrics_sample(text, LABELS({ "result", "passed" }), count_of(status, HANDSHAKE_COUNT_SLOW_DATA));
	metrics_sample(text, LABELS({ "result", "dropped" }), count_of(status, HANDSHAKE_COUNT_SLOW_DROPPED));
	single(text, METRIC_JUNK, count_of(status, HANDSHAKE_COUNT_JUNK));
}

/* --- NAT --- */

static void write_refused(struct metrics_text *text, const struct talon_nat_stats *nat)
{
	metrics_family(text, METRIC_FLOWS_REFUSED);
	metrics_sample(text, LABELS({ "reason", "port" }), nat->full_ports);
	metrics_sample(text, LABELS({ "reason", "record" }), nat->full_table);
	metrics_sample(text, LABELS({ "reason", "share" }), nat->full_share);
}

static void write_ports(struct metrics_text *text, const struct metrics_data *data)
{
	static const char *const protocols[] = { "tcp", "udp", "icmp" };
	const struct talon_config *config = &data->status.config;

	metrics_family(text, METRIC_PORTS_USED);
	for (int i = 0; i < 3; i++)
		metrics_sample(text, LABELS({ "protocol", protocols[i] }), data->status.nat.ports[i]);
	single(text, METRIC_PORTS, config->port_last >= config->port_first
		? config->port_last - config->port_first + 1 : 0);
	if (!data->is_fresh)
		return;
	metrics_family(text, METRIC_PORTS_HOST);
	metrics_sample(text, LABELS({ "protocol", "tcp" }), data->facts[TALON_FACT_PORTS_HOST_TCP]);
	metrics_sample(text, LABELS({ "protocol", "udp" }), data->facts[TALON_FACT_PORTS_HOST_UDP]);
}

static void write_nat(struct metrics_text *text, const struct metrics_data *data)
{
	const struct talon_nat_stats *nat = &data->status.nat;
	uint64_t room = data->status.config.flow_count ? data->status.config.flow_count - 1 : 0;

	single(text, METRIC_FLOWS, nat->live);
	single(text, METRIC_RECORDS, room);
	single(text, METRIC_RECORDS_HELD, nat->held);
	metrics_family(text, METRIC_PRESSURE);
	metrics_sample_ratio(text, NO_LABELS, room ? (double)nat->held / room : 0);
	single(text, METRIC_SHARE, nat->held < room ? TALON_NAT_SHARE * (room - nat->held) : 0);
	single(text, METRIC_FLOWS_CREATED, nat->created);
	single(text, METRIC_FLOWS_EXPIRED, nat->expired);
	single(text, METRIC_FLOWS_HASTENED, nat->hastened);
	single(text, METRIC_FLOWS_SHARED, nat->shared);
	write_refused(text, nat);
	single(text, METRIC_FLOW_RACES, nat->races);
	write_ports(text, data);
}

/* --- maps and queues --- */

static void write_maps(struct metrics_text *text, const struct metrics_data *data)
{
	metrics_family(text, METRIC_MAP_ENTRIES);
	for (size_t i = 0; i < data->map_count; i++) {
		if (data->maps[i].has_entries)
			metrics_sample(text, LABELS({ "map", data->maps[i].name }), data->maps[i].entries);
	}
	metrics_family(text, METRIC_MAP_LIMIT);
	for (size_t i = 0; i < data->map_count; i++) {
		if (data->maps[i].has_entries)
			metrics_sample(text, LABELS({ "map", data->maps[i].name }), data->maps[i].limit);
	}
	metrics_family(text, METRIC_MAP_BYTES);
	for (size_t i = 0; i < data->map_count; i++)
		metrics_sample(text, LABELS({ "map", data->maps[i].name }), data->maps[i].memory);
	metrics_family(text, METRIC_RING_BYTES);
	for (size_t i = 0; i < data->ring_count; i++)
		metrics_sample(text, LABELS({ "ring", data->rings[i].name }), data->rings[i].bytes);
	metrics_family(text, METRIC_RING_LIMIT);
	for (size_t i = 0; i < data->ring_count; i++)
		metrics_sample(text, LABELS({ "ring", data->rings[i].name }), data->rings[i].limit);
	if (data->is_fresh)
		single(text, METRIC_HELD, data->facts[TALON_FACT_HELD_PACKETS]);
	single(text, METRIC_HELD_DROPPED, count_of(&data->status, HANDSHAKE_COUNT_HELD_DROPPED));
	single(text, METRIC_LOG_DROPPED, data->facts[TALON_FACT_LOG_DROPPED]);
}

static void write_keystream(struct metrics_text *text, const struct status *status)
{
	const struct talon_keystream_state *state = &status->keystream;
	const enum status_keystream is = status_keystream(status);

	if (is == STATUS_KEYSTREAM_OFF)
		return;
	single(text, METRIC_HELPER_UP, is == STATUS_KEYSTREAM_RUNNING);
	metrics_family(text, METRIC_HELPER);
	metrics_sample(text, LABELS({ "engine", copy(TEXT(state->engine)) }), 1);
	single(text, METRIC_SLOTS, status->keystream_room);
	single(text, METRIC_SLOTS_ASSIGNED, state->slots);
	single(text, METRIC_WINDOWS, state->windows);
	single(text, METRIC_SLOTS_MADE, state->generated);
	single(text, METRIC_SLOTS_WASTED, state->wasted);
	single_ns(text, METRIC_GAP, state->gap_ns);
}

void metrics_write(struct metrics_text *text, const struct metrics_data *data)
{
	write_state(text, data);
	if (!data->has_datapath)
		return;
	write_packets(text, data);
	write_nat(text, data);
	write_maps(text, data);
	write_keystream(text, &data->status);
}
