// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The same once more, under names and labels that dashboards of others ask for: those of
// prometheus_wireguard_exporter, and of the metrics that NetBird's client serves. docs/metrics.md has
// the mapping.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "crypto/key.h"
#include "metrics/internal.h"

enum alias {
	ALIAS_SENT, ALIAS_RECEIVED, ALIAS_HANDSHAKE, ALIAS_MANAGEMENT, ALIAS_SIGNAL, ALIAS_PEERS,
	ALIAS_CONNECTED, ALIAS_LATENCY,
};

static const struct { const char *name; bool is_counter; const char *unit, *help; } aliases[] = {
	[ALIAS_SENT] = { "wireguard_sent_bytes", true, "bytes", "Bytes sent to the peer." },
	[ALIAS_RECEIVED] = { "wireguard_received_bytes", true, "bytes", "Bytes received from the peer." },
	[ALIAS_HANDSHAKE] = { "wireguard_latest_handshake_seconds", false, "seconds",
		"When the last handshake was, Unix time." },
	[ALIAS_MANAGEMENT] = { "netbird_management_connected", false, "", "1 if connected to management." },
	[ALIAS_SIGNAL] = { "netbird_signal_connected", false, "", "1 if connected to the signal server." },
	[ALIAS_PEERS] = { "netbird_peers", false, "", "Peers in the network map." },
	[ALIAS_CONNECTED] = { "netbird_peers_connected", false, "", "Peers that are connected." },
	[ALIAS_LATENCY] = { "netbird_peer_latency_seconds", false, "seconds",
		"Round trip of the last check of the direct way." },
};

static void head(struct metrics_text *text, enum alias which)
{
	const bool open = text->format == METRICS_OPENMETRICS;
	const char *suffix = !open && aliases[which].is_counter ? "_total" : "", *name = aliases[which].name;

	fprintf(text->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, aliases[which].help, name,
		suffix, aliases[which].is_counter ? "counter" : "gauge");
	if (open && *aliases[which].unit)
		fprintf(text->out, "# UNIT %s %s\n", name, aliases[which].unit);
}

static void sample(struct metrics_text *text, enum alias which, const struct metrics_label *labels,
	uint64_t value)
{
	metrics_name(text, aliases[which].name, aliases[which].is_counter ? "_total" : "", labels);
	fprintf(text->out, "%" PRIu64 "\n", value);
	if (aliases[which].is_counter)
		metrics_created(text, aliases[which].name, labels);
}

static uint64_t value_of(enum alias which, const struct metrics_peer *peer)
{
	return which == ALIAS_SENT ? peer->tx_bytes : which == ALIAS_RECEIVED ? peer->rx_bytes
		: peer->info.handshake_unix_s;
}

static void write_exporter(struct metrics_text *text, const struct metrics_data *data)
{
	char interface[sizeof(data->status.info.tunnel) + 1] = {};

	memcpy(interface, data->status.info.tunnel, sizeof(data->status.info.tunnel));
	for (enum alias which = ALIAS_SENT; which <= ALIAS_HANDSHAKE; which++) {
		head(text, which);
		for (size_t i = 0; i < data->peers.top_count; i++) {
			const struct metrics_peer *peer = &data->peers.top[i];
			char key[KEY_BASE64_LEN + 1], name[sizeof(peer->info.name) + 1] = {};

			key_to_base64(peer->info.public_key, key);
			memcpy(name, peer->info.name, sizeof(peer->info.name));
			sample(text, which, LABELS({ "interface", interface }, { "public_key", key },
				{ "friendly_name", name }), value_of(which, peer));
		}
	}
}

static void write_latency(struct metrics_text *text, const struct metrics_data *data)
{
	head(text, ALIAS_LATENCY);
	for (size_t i = 0; i < data->peers.top_count; i++) {
		const struct talon_peer_info *info = &data->peers.top[i].info;
		char key[KEY_BASE64_LEN + 1], name[sizeof(info->name) + 1] = {};

		if (!info->latency_100us)
			continue;
		key_to_base64(info->public_key, key);
		memcpy(name, info->name, sizeof(info->name));
		/* names may be cut to the same, and a series must not come twice */
		metrics_name(text, aliases[ALIAS_LATENCY].name, "", LABELS({ "peer", name },
			{ "public_key", key }));
		metrics_seconds(text->out, info->latency_100us * 100000ULL);
	}
}

static void write_client(struct metrics_text *text, const struct metrics_data *data)
{
	const uint64_t *facts = data->facts, direct = facts[TALON_FACT_PEERS_DIRECT];
	const uint64_t relayed = facts[TALON_FACT_PEERS_RELAYED];

	head(text, ALIAS_MANAGEMENT);
	sample(text, ALIAS_MANAGEMENT, NO_LABELS, facts[TALON_FACT_MANAGEMENT_UP]);
	head(text, ALIAS_SIGNAL);
	sample(text, ALIAS_SIGNAL, NO_LABELS, facts[TALON_FACT_SIGNAL_UP]);
	head(text, ALIAS_PEERS);
	sample(text, ALIAS_PEERS, NO_LABELS, direct + relayed + facts[TALON_FACT_PEERS_CONNECTING] +
		facts[TALON_FACT_PEERS_IDLE]);
	head(text, ALIAS_CONNECTED);
	sample(text, ALIAS_CONNECTED, LABELS({ "connection_type", "p2p" }), direct);
	sample(text, ALIAS_CONNECTED, LABELS({ "connection_type", "relay" }), relayed);
	write_latency(text, data);
}

void metrics_write_aliases(struct metrics_text *text, const struct metrics_data *data)
{
	if (!data->has_datapath)
		return;
	write_exporter(text, data);
	if (data->facts[TALON_FACT_IS_MESH] && data->is_fresh)
		write_client(text, data);
}
