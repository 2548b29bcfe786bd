// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon status for programs: one JSON object with keys that stay (docs/status.md lists them).
#include <arpa/inet.h>
#include <stdarg.h>
#include <string.h>

#include "crypto/key.h"
#include "status/show.h"

/* Writes commas where they belong. */
struct json {
	FILE *out;
	bool first;		/* nothing yet in the innermost object or array */
};

static void item(struct json *json, const char *key)
{
	fprintf(json->out, "%s", json->first ? "" : ",");
	if (key)
		fprintf(json->out, "\"%s\":", key);
	json->first = false;
}

static void begin(struct json *json, const char *key, char bracket)
{
	item(json, key);
	fputc(bracket, json->out);
	json->first = true;
}

static void end(struct json *json, char bracket)
{
	fputc(bracket, json->out);
	json->first = false;
}

static void put_string(struct json *json, const char *key, const char *text, size_t size)
{
	item(json, key);
	show_json_string(json->out, text, size);
}

static void put_text(struct json *json, const char *key, const char *text)
{
	put_string(json, key, text, strlen(text));
}

static void put_number(struct json *json, const char *key, __u64 number)
{
	item(json, key);
	fprintf(json->out, "%llu", number);
}

static void put_bool(struct json *json, const char *key, bool value)
{
	item(json, key);
	fprintf(json->out, "%s", value ? "true" : "false");
}

static void put_null(struct json *json, const char *key)
{
	item(json, key);
	fprintf(json->out, "null");
}

/* The parts of @text between any of @separators, trimmed of spaces on the left. */
static void put_list(struct json *json, const char *key, const char *text, size_t size, const char *separators)
{
	const char *at = text, *stop = text + strnlen(text, size);

	begin(json, key, '[');
	while (at < stop) {
		size_t len = 0;

		while (at + len < stop && !strchr(separators, at[len]))
			len++;
		if (len)
			put_string(json, NULL, at, len);
		at += len + 1;
		while (at < stop && *at == ' ')
			at++;
	}
	end(json, ']');
}

static void put_controller(struct json *json, const struct status *status)
{
	static const char *const states[] = { "stopped", "running", "hung" };

	begin(json, "controller", '{');
	put_text(json, "state", states[status_controller(status)]);
	put_number(json, "pid", status->info.pid);
	put_bool(json, "ready", status->info.ready);
	put_number(json, "uptimeSeconds", show_seconds_since(status, status->info.started_ns));
	put_number(json, "heartbeatAgeSeconds", show_seconds_since(status, status->info.heartbeat_ns));
	end(json, '}');
}

static void put_datapath(struct json *json, const struct status *status)
{
	const struct talon_info *info = &status->info;

	begin(json, "datapath", '{');
	put_string(json, "mode", info->mode, sizeof(info->mode));
	put_string(json, "reason", info->why, sizeof(info->why));
	put_bool(json, "attached", status_is_attached(status));
	put_number(json, "ageSeconds", show_seconds_since(status, info->datapath_since_ns));
	put_number(json, "adoptions", info->adoptions);
	put_number(json, "layout", info->layout);
	begin(json, "programs", '[');
	for (size_t i = 0; i < status->hook_count; i++) {
		const struct status_hook *hook = &status->hooks[i];

		begin(json, NULL, '{');
		put_string(json, "kind", hook->kind, sizeof(hook->kind));
		put_string(json, "device", hook->device, sizeof(hook->device));
		put_number(json, "ifindex", hook->ifindex);
		put_bool(json, "attached", hook->attached);
		end(json, '}');
	}
	end(json, ']');
	end(json, '}');
}

static void put_snat(struct json *json, const struct talon_config *config)
{
	char addr[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &config->snat_addr, addr, sizeof(addr));
	begin(json, "snat", '{');
	put_text(json, "address", addr);
	put_bool(json, "spareAddress", config->flags & TALON_F_SNAT_OWN);
	put_number(json, "firstPort", config->port_first);
	put_number(json, "lastPort", config->port_last);
	end(json, '}');
}

static void put_routes(struct json *json, const struct status *status)
{
	char text[32];

	begin(json, "networks", '[');
	for (size_t i = 0; i < status->route_count; i++) {
		show_lpm4(&status->routes[i].dst, text, sizeof(text));
		begin(json, NULL, '{');
		put_text(json, "network", text);
		put_bool(json, "masquerade", status->routes[i].flags & TALON_ROUTE_MASQUERADE);
		put_bool(json, "local", status->routes[i].flags & TALON_ROUTE_LOCAL);
		end(json, '}');
	}
	end(json, ']');
}

static void put_flows(struct json *json, const struct status *status)
{
	const struct talon_nat_stats *nat = &status->nat;

	begin(json, "flows", '{');
	put_number(json, "live", nat->live);
	put_number(json, "room", status->config.flow_count ? status->config.flow_count - 1 : 0);
	put_number(json, "created", nat->created);
	put_number(json, "expired", nat->expired);
	put_number(json, "sharedPort", nat->shared);
	put_number(json, "overflow", nat->overflow);
	put_number(json, "refusedNoPort", nat->full_ports);
	put_number(json, "refusedNoRecord", nat->full_table);
	put_number(json, "races", nat->races);
	end(json, '}');
}

static void put_handshake(struct json *json, const struct status *status, const struct status_peer *peer)
{
	char when[32];

	if (peer->info.handshake_ns) {
		show_time(peer->info.handshake_unix_s, when, sizeof(when));
		put_text(json, "lastWireguardHandshake", when);
		put_number(json, "handshakeAgeSeconds", show_seconds_since(status, peer->info.handshake_ns));
	} else {
		put_null(json, "lastWireguardHandshake");
		put_null(json, "handshakeAgeSeconds");
	}
	if (peer->has_session)
		put_number(json, "sessionAgeSeconds", show_seconds_since(status, peer->session_ns));
	else
		put_null(json, "sessionAgeSeconds");
	put_number(json, "handshakes", peer->info.handshakes);
}

static void put_peer(struct json *json, const struct status *status, const struct status_peer *peer)
{
	static const char *const states[] = { "Never", "Idle", "Connected" };
	char key[KEY_BASE64_LEN + 1], text[SHOW_ENDPOINT_LEN];

	begin(json, NULL, '{');
	put_string(json, "name", peer->info.name, sizeof(peer->info.name));
	key_to_base64(peer->info.public_key, key);
	put_text(json, "publicKey", key);
	put_text(json, "status", states[status_peer_state(status, peer)]);
	if (peer->endpoint_family) {
		show_endpoint(peer, text, sizeof(text));
		put_text(json, "endpoint", text);
	} else {
		put_null(json, "endpoint");
	}
	begin(json, "allowedIps", '[');
	for (size_t i = 0; i < peer->allowed_count; i++) {
		show_lpm4(&peer->allowed[i], text, sizeof(text));
		put_text(json, NULL, text);
	}
	end(json, ']');
	put_handshake(json, status, peer);
	put_number(json, "transferReceived", peer->stats.rx_bytes + peer->info.handshake_rx_bytes);
	put_number(json, "transferSent", peer->stats.tx_bytes + peer->info.handshake_tx_bytes);
	put_number(json, "packetsReceived", peer->stats.rx_packets);
	put_number(json, "packetsSent", peer->stats.tx_packets);
	put_number(json, "persistentKeepalive", peer->info.keepalive_s);
	end(json, '}');
}

static void put_peers(struct json *json, const struct status *status)
{
	begin(json, "peers", '{');
	put_number(json, "total", status->peer_count);
	put_number(json, "connected", status_connected(status));
	begin(json, "details", '[');
	for (size_t i = 0; i < status->peer_count; i++)
		put_peer(json, status, &status->peers[i]);
	end(json, ']');
	end(json, '}');
}

/* All of them, zeros too: a program should not have to guess which keys there are. */
static void put_counters(struct json *json, const struct status *status)
{
	begin(json, "packets", '{');
	for (unsigned int dir = 0; dir < TALON_DIR_COUNT; dir++) {
		begin(json, show_dirs[dir], '{');
		for (unsigned int i = 0; i < TALON_END_COUNT; i++)
			put_number(json, show_ends[i].label, status->stats[dir * TALON_END_COUNT + i]);
		end(json, '}');
	}
	end(json, '}');
}

/* "handshakes": received messages by how they ended; "counts": what else the controller counts. All of them, zeros too. */
static void put_handshakes(struct json *json, const struct status *status)
{
	begin(json, "handshakes", '{');
	for (unsigned int i = 0; i < HANDSHAKE_STATS_ENTRIES; i++) {
		if (i == HANDSHAKE_END_COUNT) {
			end(json, '}');
			begin(json, "counts", '{');
		}
		put_number(json, show_handshakes[i].label, status->handshakes[i]);
	}
	end(json, '}');
}

static void put_keystream(struct json *json, const struct status *status)
{
	static const char *const helpers[] = { "off", "stopped", "running", "stalled" };
	const struct talon_keystream_stats *recv = &status->keystream_stats[TALON_KEYSTREAM_RECV];
	const struct talon_keystream_stats *send = &status->keystream_stats[TALON_KEYSTREAM_SEND];
	const struct talon_keystream_state *state = &status->keystream;

	begin(json, "keystream", '{');
	put_text(json, "helper", helpers[status_keystream(status)]);
	put_number(json, "pid", state->pid);
	put_string(json, "engine", state->engine, sizeof(state->engine));
	put_number(json, "receivedAhead", recv->ahead);
	put_number(json, "receivedInline", recv->inline_);
	put_number(json, "sentAhead", send->ahead);
	put_number(json, "sentInline", send->inline_);
	put_number(json, "slotsMade", state->generated);
	put_number(json, "slotsWasted", state->wasted);
	put_number(json, "windows", state->windows);
	put_number(json, "slots", state->slots);
	put_number(json, "room", state->room);
	put_number(json, "gapMicroseconds", state->gap_ns / 1000);
	end(json, '}');
}

void status_print_json(FILE *out, const struct status *status)
{
	const struct talon_info *info = &status->info;
	struct json json = { .out = out, .first = true };
	char key[KEY_BASE64_LEN + 1];

	begin(&json, NULL, '{');
	put_peers(&json, status);
	put_text(&json, "cliVersion", TALON_VERSION);
	put_string(&json, "daemonVersion", info->version, sizeof(info->version));
	put_controller(&json, status);
	put_datapath(&json, status);
	put_list(&json, "uplinks", info->uplinks, sizeof(info->uplinks), ",");
	put_string(&json, "interface", info->tunnel, sizeof(info->tunnel));
	put_number(&json, "mtu", status->config.tunnel_mtu);
	put_string(&json, "address", info->address, sizeof(info->address));
	key_to_base64(info->public_key, key);
	put_text(&json, "publicKey", key);
	put_number(&json, "listenPort", ntohs(status->config.listen_port));
	put_snat(&json, &status->config);
	put_routes(&json, status);
	put_list(&json, "hazards", info->hazards, sizeof(info->hazards), "\n");
	put_flows(&json, status);
	put_counters(&json, status);
	put_handshakes(&json, status);
	put_keystream(&json, status);
	end(&json, '}');
	fputc('\n', out);
}
