// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The datapath's status as one JSON object. Its keys are an interface: docs/status.md lists them.
#include <arpa/inet.h>
#include <string.h>

#include "crypto/key.h"
#include "base/json_out.h"
#include "status/show.h"
#include "status/vips.h"

/* An array of the parts of @text between @separators, without spaces on the left. */
static void put_list(struct json_out *json, const char *key, const char *text, size_t size,
	const char *separators)
{
	const char *at = text, *stop = text + strnlen(text, size);

	json_out_begin(json, key, '[');
	while (at < stop) {
		size_t len = 0;

		while (at + len < stop && !strchr(separators, at[len]))
			len++;
		if (len)
			json_out_string(json, NULL, at, len);
		at += len + 1;
		while (at < stop && *at == ' ')
			at++;
	}
	json_out_end(json, ']');
}

static void put_controller(struct json_out *json, const struct status *status)
{
	static const char *const states[] = { "stopped", "running", "hung" };

	json_out_begin(json, "controller", '{');
	json_out_text(json, "state", states[status_controller(status)]);
	json_out_number(json, "pid", status->pid);
	json_out_bool(json, "ready", status->info.ready && !(status->info.blocks & TALON_BLOCK_STARTING));
	json_out_number(json, "uptimeSeconds", show_seconds_since(status, status->info.started_ns));
	json_out_number(json, "heartbeatAgeSeconds", show_seconds_since(status, status->info.heartbeat_ns));
	json_out_end(json, '}');
}

static void put_devices(struct json_out *json, const struct status *status)
{
	char addr[INET_ADDRSTRLEN];

	json_out_begin(json, "devices", '[');
	for (size_t i = 0; i < status->device_count; i++) {
		const struct status_device *device = &status->devices[i];

		if (!device->name[0])
			continue;
		json_out_begin(json, NULL, '{');
		json_out_string(json, "device", device->name, sizeof(device->name));
		json_out_number(json, "ifindex", device->ifindex);
		json_out_text(json, "role", device->flags & TALON_LINK_UPLINK ? "uplink"
			: status_is_side(device) ? "side" : "none");
		json_out_bool(json, "program", device->flags & TALON_LINK_PROGRAM);
		json_out_text(json, "frames", status_way_out(status, device));
		if (device->source)
			json_out_text(json, "source", inet_ntop(AF_INET, &device->source, addr,
				sizeof(addr)));
		else
			json_out_null(json, "source");
		json_out_end(json, '}');
	}
	json_out_end(json, ']');
}

static void put_datapath(struct json_out *json, const struct status *status)
{
	const struct talon_info *info = &status->info;

	json_out_begin(json, "datapath", '{');
	json_out_string(json, "mode", info->mode, sizeof(info->mode));
	json_out_string(json, "reason", info->why, sizeof(info->why));
	json_out_bool(json, "attached", status_is_attached(status));
	json_out_number(json, "ageSeconds", show_seconds_since(status, info->datapath_since_ns));
	json_out_number(json, "adoptions", info->adoptions);
	json_out_number(json, "layout", info->layout);
	json_out_text(json, "handUp", show_hand_up(&status->config));
	json_out_number(json, "mapBytes", status->map_bytes);
	json_out_begin(json, "programs", '[');
	for (size_t i = 0; i < status->hook_count; i++) {
		const struct status_hook *hook = &status->hooks[i];

		json_out_begin(json, NULL, '{');
		json_out_string(json, "kind", hook->kind, sizeof(hook->kind));
		json_out_string(json, "device", hook->device, sizeof(hook->device));
		json_out_number(json, "ifindex", hook->ifindex);
		json_out_bool(json, "attached", hook->attached);
		json_out_end(json, '}');
	}
	json_out_end(json, ']');
	put_devices(json, status);
	json_out_end(json, '}');
}

static void put_snat(struct json_out *json, const struct talon_config *config)
{
	char addr[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET, &config->snat_addr, addr, sizeof(addr));
	json_out_begin(json, "snat", '{');
	json_out_text(json, "address", addr);
	if (!addr6_is_zero(&config->node_addr6)) {
		inet_ntop(AF_INET6, &config->node_addr6, addr, sizeof(addr));
		json_out_text(json, "ipv6Address", addr);
	} else {
		json_out_null(json, "ipv6Address");
	}
	json_out_bool(json, "spareAddress", config->flags & TALON_F_SNAT_OWN);
	json_out_number(json, "firstPort", config->port_first);
	json_out_number(json, "lastPort", config->port_last);
	json_out_end(json, '}');
}

static void put_routes(struct json_out *json, const struct status *status)
{
	char text[CIDR_TEXT_LEN];

	json_out_begin(json, "networks", '[');
	for (size_t i = 0; i < status->route_count; i++) {
		cidr_format(&status->routes[i].dst, text, sizeof(text));
		json_out_begin(json, NULL, '{');
		json_out_text(json, "network", text);
		json_out_bool(json, "masquerade", status->routes[i].flags & TALON_ROUTE_MASQUERADE);
		json_out_bool(json, "local", status->routes[i].is_local);
		json_out_end(json, '}');
	}
	json_out_end(json, ']');
}

static void put_flows(struct json_out *json, const struct status *status)
{
	const struct talon_nat_stats *nat = &status->nat;

	json_out_begin(json, "flows", '{');
	json_out_number(json, "live", nat->live);
	json_out_number(json, "room", status->config.flow_count ? status->config.flow_count - 1 : 0);
	json_out_number(json, "created", nat->created);
	json_out_number(json, "expired", nat->expired);
	json_out_number(json, "endedEarly", nat->hastened);
	json_out_number(json, "taken", nat->held);
	json_out_number(json, "sharedPort", nat->shared);
	json_out_number(json, "overflow", nat->overflow);
	json_out_number(json, "refusedNoPort", nat->full_ports);
	json_out_number(json, "refusedNoRecord", nat->full_table);
	json_out_number(json, "refusedShare", nat->full_share);
	json_out_number(json, "races", nat->races);
	json_out_end(json, '}');
}

static void put_handshake(struct json_out *json, const struct status *status, const struct status_peer *peer)
{
	char when[32];

	if (peer->info.handshake_ns) {
		show_time(peer->info.handshake_unix_s, when, sizeof(when));
		json_out_text(json, "lastWireguardHandshake", when);
		json_out_number(json, "handshakeAgeSeconds",
			show_seconds_since(status, peer->info.handshake_ns));
	} else {
		json_out_null(json, "lastWireguardHandshake");
		json_out_null(json, "handshakeAgeSeconds");
	}
	if (peer->has_session)
		json_out_number(json, "sessionAgeSeconds", show_seconds_since(status, peer->session_ns));
	else
		json_out_null(json, "sessionAgeSeconds");
	json_out_number(json, "handshakes", peer->info.handshakes);
}

static void put_peer(struct json_out *json, const struct status *status, const struct status_peer *peer)
{
	static const char *const states[] = { "Never", "Idle", "Connected" };
	char key[KEY_BASE64_LEN + 1], text[SHOW_ENDPOINT_LEN];

	json_out_begin(json, NULL, '{');
	json_out_string(json, "name", peer->info.name, sizeof(peer->info.name));
	key_to_base64(peer->info.public_key, key);
	json_out_text(json, "publicKey", key);
	json_out_text(json, "status", states[status_peer_state(status, peer)]);
	if (peer->endpoint_family) {
		show_endpoint(peer, text, sizeof(text));
		json_out_text(json, "endpoint", text);
	} else {
		json_out_null(json, "endpoint");
	}
	json_out_begin(json, "allowedIps", '[');
	for (size_t i = 0; i < peer->allowed_count; i++) {
		cidr_format(&peer->allowed[i], text, sizeof(text));
		json_out_text(json, NULL, text);
	}
	json_out_end(json, ']');
	put_handshake(json, status, peer);
	json_out_number(json, "transferReceived", peer->stats.rx_bytes + peer->info.handshake_rx_bytes);
	json_out_number(json, "transferSent", peer->stats.tx_bytes + peer->info.handshake_tx_bytes);
	json_out_number(json, "packetsReceived", peer->stats.rx_packets);
	json_out_number(json, "packetsSent", peer->stats.tx_packets);
	json_out_number(json, "flowsHeld", peer->flows.held);
	json_out_number(json, "flowsRefused", peer->flows.refused);
	json_out_number(json, "persistentKeepalive", peer->info.keepalive_s);
	json_out_end(json, '}');
}

static void put_peers(struct json_out *json, const struct status *status)
{
	json_out_begin(json, "peers", '{');
	json_out_number(json, "total", status->peer_count);
	json_out_number(json, "connected", status_connected(status));
	json_out_begin(json, "details", '[');
	for (size_t i = 0; i < status->peer_count; i++)
		put_peer(json, status, &status->peers[i]);
	json_out_end(json, ']');
	json_out_end(json, '}');
}

/* Zeros too, so that the keys are always the same. */
static void put_counters(struct json_out *json, const struct status *status)
{
	json_out_begin(json, "packets", '{');
	for (unsigned int dir = 0; dir < TALON_DIR_COUNT; dir++) {
		json_out_begin(json, show_dirs[dir], '{');
		for (unsigned int i = 0; i < TALON_END_COUNT; i++)
			json_out_number(json, show_ends[i].label, status->stats[dir * TALON_END_COUNT + i]);
		json_out_end(json, '}');
	}
	json_out_end(json, '}');
}

/* "handshakes": received messages by how they ended; "counts": what else the controller counts. Zeros too. */
static void put_handshakes(struct json_out *json, const struct status *status)
{
	json_out_begin(json, "handshakes", '{');
	for (unsigned int i = 0; i < HANDSHAKE_STATS_ENTRIES; i++) {
		if (i == HANDSHAKE_END_COUNT) {
			json_out_end(json, '}');
			json_out_begin(json, "counts", '{');
		}
		json_out_number(json, show_handshakes[i].label, status->handshakes[i]);
	}
	json_out_end(json, '}');
}

static void put_keystream(struct json_out *json, const struct status *status)
{
	static const char *const helpers[] = { "off", "stopped", "running", "stalled" };
	const struct status_keystream_counts *recv = &status->keystream_counts[TALON_KEYSTREAM_RECV];
	const struct status_keystream_counts *send = &status->keystream_counts[TALON_KEYSTREAM_SEND];
	const struct talon_keystream_state *state = &status->keystream;

	json_out_begin(json, "keystream", '{');
	json_out_text(json, "helper", helpers[status_keystream(status)]);
	json_out_number(json, "pid", status_sees_controller(status) ? state->pid : 0);
	json_out_string(json, "engine", state->engine, sizeof(state->engine));
	json_out_number(json, "receivedAhead", recv->ahead);
	json_out_number(json, "receivedInline", recv->inline_);
	json_out_number(json, "sentAhead", send->ahead);
	json_out_number(json, "sentInline", send->inline_);
	json_out_number(json, "slotsMade", state->generated);
	json_out_number(json, "slotsWasted", state->wasted);
	json_out_number(json, "windows", state->windows);
	json_out_number(json, "slots", state->slots);
	json_out_number(json, "room", state->room);
	json_out_number(json, "gapMicroseconds", state->gap_ns / 1000);
	json_out_end(json, '}');
}

void status_write_json(FILE *out, const struct status *status)
{
	const struct talon_info *info = &status->info;
	struct json_out json = { .out = out, .first = true };
	char key[KEY_BASE64_LEN + 1], address6[CIDR_TEXT_LEN];

	json_out_begin(&json, NULL, '{');
	put_peers(&json, status);
	json_out_text(&json, "cliVersion", TALON_VERSION);
	json_out_string(&json, "daemonVersion", info->version, sizeof(info->version));
	put_controller(&json, status);
	put_datapath(&json, status);
	put_list(&json, "uplinks", info->uplinks, sizeof(info->uplinks), ",");
	json_out_string(&json, "interface", info->tunnel, sizeof(info->tunnel));
	json_out_number(&json, "mtu", status->config.tunnel_mtu);
	json_out_string(&json, "address", info->address, sizeof(info->address));
	show_address6(&status->config, address6, sizeof(address6));
	json_out_text(&json, "ipv6Address", address6);
	json_out_bool(&json, "carriesIpv6", status->config.flags & TALON_F_INNER6);
	key_to_base64(info->public_key, key);
	json_out_text(&json, "publicKey", key);
	json_out_number(&json, "listenPort", ntohs(status->config.listen_port));
	put_snat(&json, &status->config);
	put_routes(&json, status);
	vips_put(&json, status);
	json_out_string(&json, "metrics", info->metrics, sizeof(info->metrics));
	put_list(&json, "hazards", info->hazards, sizeof(info->hazards), "\n");
	put_flows(&json, status);
	put_counters(&json, status);
	put_handshakes(&json, status);
	put_keystream(&json, status);
	show_watches_json(&json, status);
	json_out_end(&json, '}');
}

void status_print_json(FILE *out, const struct status *status)
{
	status_write_json(out, status);
	fputc('\n', out);
}
