// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The peers' series once more, under the names and labels that prometheus_wireguard_exporter uses.
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "crypto/key.h"
#include "metrics/internal.h"

enum alias { ALIAS_SENT, ALIAS_RECEIVED, ALIAS_HANDSHAKE };

static const struct { const char *name, *type, *suffix, *unit, *help; } aliases[] = {
	[ALIAS_SENT] = { "wireguard_sent_bytes", "counter", "_total", "bytes", "Bytes sent to the peer." },
	[ALIAS_RECEIVED] = { "wireguard_received_bytes", "counter", "_total", "bytes",
		"Bytes received from the peer." },
	[ALIAS_HANDSHAKE] = { "wireguard_latest_handshake_seconds", "gauge", "", "seconds",
		"When the last handshake was, Unix time." },
};

static void write_head(struct metrics_text *text, enum alias which)
{
	const bool open = text->format == METRICS_OPENMETRICS;
	const char *suffix = open ? "" : aliases[which].suffix, *name = aliases[which].name;

	fprintf(text->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, aliases[which].help, name,
		suffix, aliases[which].type);
	if (open)
		fprintf(text->out, "# UNIT %s %s\n", name, aliases[which].unit);
}

static void write_one(struct metrics_text *text, const struct metrics_data *data, enum alias which,
	const struct metrics_peer *peer)
{
	const unsigned long long values[] = {
		[ALIAS_SENT] = peer->tx_bytes,
		[ALIAS_RECEIVED] = peer->rx_bytes,
		[ALIAS_HANDSHAKE] = peer->info.handshake_unix_s,
	};
	char key[KEY_BASE64_LEN + 1], name[sizeof(peer->info.name) + 1] = {};
	char interface[sizeof(data->status.info.tunnel) + 1] = {};

	key_to_base64(peer->info.public_key, key);
	memcpy(name, peer->info.name, sizeof(peer->info.name));
	memcpy(interface, data->status.info.tunnel, sizeof(data->status.info.tunnel));
	fprintf(text->out, "%s%s{interface=\"", aliases[which].name, aliases[which].suffix);
	metrics_escape(text->out, interface);
	fprintf(text->out, "\",public_key=\"%s\",friendly_name=\"", key);
	metrics_escape(text->out, name);
	fprintf(text->out, "\"} %llu\n", values[which]);
}

void metrics_write_aliases(struct metrics_text *text, const struct metrics_data *data)
{
	for (enum alias which = 0; which <= ALIAS_HANDSHAKE; which++) {
		write_head(text, which);
		for (size_t i = 0; i < data->peers.top_count; i++)
			write_one(text, data, which, &data->peers.top[i]);
	}
}
