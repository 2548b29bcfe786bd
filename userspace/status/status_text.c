// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The datapath's status as text, in the words and the order of `netbird status` as far as that has them.
#include <arpa/inet.h>
#include <string.h>

#include "crypto/key.h"
#include "status/show.h"
#include "status/vips.h"

#define LINE(out, name, text, size)		\
	do {					\
		fprintf(out, "%s: ", name);	\
		text_print(out, text, size);	\
		fputc('\n', out);		\
	} while (0)

static void print_ago(FILE *out, const struct status *status, __u64 then_ns)
{
	char text[SHOW_AGE_LEN];
	__u64 seconds = show_seconds_since(status, then_ns);

	show_duration(seconds, text, sizeof(text));
	if (seconds)
		fprintf(out, "%s ago\n", text);
	else
		fprintf(out, "just now\n");
}

static void print_peer_counters(FILE *out, const struct status_peer *peer)
{
	char received[32], sent[32];

	show_bytes(peer->stats.rx_bytes + peer->info.handshake_rx_bytes, received, sizeof(received));
	show_bytes(peer->stats.tx_bytes + peer->info.handshake_tx_bytes, sent, sizeof(sent));
	fprintf(out, "  Transfer status (received/sent) %s/%s\n", received, sent);
	fprintf(out, "  Packets (received/sent): %llu/%llu\n", peer->stats.rx_packets,
		peer->stats.tx_packets);
	fprintf(out, "  Flows (held/refused): %u/%llu\n", peer->flows.held, peer->flows.refused);
}

static void print_networks(FILE *out, const struct cidr *nets, size_t count)
{
	char text[CIDR_TEXT_LEN];

	for (size_t i = 0; i < count; i++) {
		cidr_format(&nets[i], text, sizeof(text));
		fprintf(out, "%s%s", i ? ", " : "", text);
	}
	fprintf(out, "%s\n", count ? "" : "-");
}

static void print_peer(FILE *out, const struct status *status, const struct status_peer *peer)
{
	static const char *const states[] = { "Never", "Idle", "Connected" };
	char key[KEY_BASE64_LEN + 1], endpoint[SHOW_ENDPOINT_LEN];

	key_to_base64(peer->info.public_key, key);
	show_endpoint(peer, endpoint, sizeof(endpoint));
	fputc(' ', out);
	if (peer->info.name[0])
		text_print(out, peer->info.name, sizeof(peer->info.name));
	else
		fputs(key, out);
	fprintf(out, ":\n  Public key: %s\n  Status: %s\n  -- detail --\n", key,
		states[status_peer_state(status, peer)]);
	fprintf(out, "  Endpoint: %s\n  Allowed IPs: ", endpoint);
	print_networks(out, peer->allowed, peer->allowed_count);
	fprintf(out, "  Last WireGuard handshake: ");
	if (peer->info.handshake_ns)
		print_ago(out, status, peer->info.handshake_ns);
	else
		fprintf(out, "-\n");
	print_peer_counters(out, peer);
	if (peer->info.keepalive_s)
		fprintf(out, "  Persistent keepalive: %u seconds\n", peer->info.keepalive_s);
	else
		fprintf(out, "  Persistent keepalive: off\n");
	if (peer->has_session)
		fprintf(out, "  Session age: %llu seconds\n", show_seconds_since(status, peer->session_ns));
	else
		fprintf(out, "  Session age: -\n");
}

static void print_peers(FILE *out, const struct status *status)
{
	fprintf(out, "Peers detail:\n");
	for (size_t i = 0; i < status->peer_count; i++)
		print_peer(out, status, &status->peers[i]);
	fputc('\n', out);
}

static void print_counters(FILE *out, const struct status *status)
{
	static const char *const titles[] = {
		[TALON_DIR_IN] = "in, from peers",
		[TALON_DIR_OUT] = "out, from the network to peers",
		[TALON_DIR_TUNNEL] = "tunnel, from this host to peers",
		[TALON_DIR_ONWARD] = "onward, out of the relay pair",
	};

	for (unsigned int dir = 0; dir < TALON_DIR_COUNT; dir++) {
		bool any = false;

		for (unsigned int end = 0; end < TALON_END_COUNT; end++) {
			__u64 count = status->stats[dir * TALON_END_COUNT + end];

			if (!count)
				continue;
			if (!any)
				fprintf(out, "Packets %s:\n", titles[dir]);
			any = true;
			fprintf(out, "  %s%-14s %12llu  %s\n", show_ends[end].is_drop ? "drop " : "     ",
				show_ends[end].label, count, show_ends[end].help);
		}
		if (any)
			fputc('\n', out);
	}
}

static void print_handshakes(FILE *out, const struct status *status)
{
	bool any = false;

	for (unsigned int i = 0; i < HANDSHAKE_STATS_ENTRIES; i++) {
		if (!status->handshakes[i])
			continue;
		if (!any)
			fprintf(out, "Handshakes:\n");
		any = true;
		fprintf(out, "  %s%-19s %12llu  %s\n", i >= HANDSHAKE_END_COUNT || !show_handshakes[i].is_drop
			? "     " : "drop ", show_handshakes[i].label, status->handshakes[i],
			show_handshakes[i].help);
	}
	if (any)
		fputc('\n', out);
}

static void print_hooks(FILE *out, const struct status *status)
{
	fprintf(out, "Programs:\n");
	for (size_t i = 0; i < status->hook_count; i++) {
		const struct status_hook *hook = &status->hooks[i];

		fprintf(out, "  ");
		text_print(out, hook->kind, sizeof(hook->kind));
		fprintf(out, " on ");
		if (hook->device[0])
			text_print(out, hook->device, sizeof(hook->device));
		else
			fprintf(out, "device %d", hook->ifindex);
		fprintf(out, ": %s\n",
			hook->attached ? "attached" : hook->device[0] ? "NOT ATTACHED" : "DEVICE IS GONE");
	}
	fprintf(out, "%s\n", status->hook_count ? "" : "  none\n");
}

/* devices without a program that are listed: a node may have a route for each of a thousand pods */
#define DEVICES_SHOWN 16

static void print_device(FILE *out, const struct status *status, const struct status_device *device)
{
	const char *way = status_way_out(status, device);
	char addr[INET_ADDRSTRLEN] = "-";

	if (device->source)
		inet_ntop(AF_INET, &device->source, addr, sizeof(addr));
	fprintf(out, "  ");
	text_print(out, device->name, sizeof(device->name));
	fprintf(out, ": %s, frames leave ", device->flags & TALON_LINK_UPLINK ? "uplink"
		: status_is_side(device) ? "side device" : "no program");
	if (!strcmp(way, "relay")) {
		fprintf(out, "through ");
		text_print(out, status->info.tunnel, sizeof(status->info.tunnel));
		fputc('r', out);
	} else {
		fprintf(out, "by %s", way);
	}
	fprintf(out, ", source %s\n", addr);
}

static void print_devices(FILE *out, const struct status *status)
{
	size_t plain = 0;

	fprintf(out, "Devices:\n");
	for (size_t i = 0; i < status->device_count; i++) {
		const struct status_device *device = &status->devices[i];

		if (!device->name[0])
			continue;
		if (device->flags & (TALON_LINK_UPLINK | TALON_LINK_PROGRAM) || plain++ < DEVICES_SHOWN)
			print_device(out, status, device);
	}
	if (plain > DEVICES_SHOWN)
		fprintf(out, "  and %zu more without a program\n", plain - DEVICES_SHOWN);
	fprintf(out, "%s\n", status->device_count ? "" : "  none\n");
}

/* How many flows fit: record 0 is never used. */
static __u32 flow_room(const struct status *status)
{
	return status->config.flow_count ? status->config.flow_count - 1 : 0;
}

static void print_nat(FILE *out, const struct status *status)
{
	const struct talon_nat_stats *nat = &status->nat;

	fprintf(out, "Flows:\n  Live: %llu\n  Room: %u\n", nat->live, flow_room(status));
	fprintf(out, "  Records taken: %llu\n", nat->held);
	fprintf(out, "  Created: %llu\n  Expired: %llu\n  Ended early, for room: %llu\n", nat->created,
		nat->expired, nat->hastened);
	fprintf(out, "  On a shared port: %llu\n  In overflow: %llu\n", nat->shared, nat->overflow);
	fprintf(out, "  Refused, no port: %llu\n  Refused, no record: %llu\n", nat->full_ports,
		nat->full_table);
	fprintf(out, "  Refused, share used up: %llu\n", nat->full_share);
	fprintf(out, "  Given up to another CPU: %llu\n\n", nat->races);
}

/* @pid: 0: cannot be seen from here. */
static void print_pid(FILE *out, __u32 pid)
{
	if (pid)
		fprintf(out, "pid %u, ", pid);
	else
		fprintf(out, "in another pid namespace, ");
}

static bool is_starting(const struct status *status)
{
	return !status->info.ready || status->info.blocks & TALON_BLOCK_STARTING;
}

static void print_helper(FILE *out, const struct status *status)
{
	const struct talon_keystream_state *state = &status->keystream;
	char age[SHOW_AGE_LEN];

	fprintf(out, "  Helper: ");
	switch (status_keystream(status)) {
	case STATUS_KEYSTREAM_OFF:
		fprintf(out, "Off\n");
		return;
	case STATUS_KEYSTREAM_STOPPED:
		fprintf(out, "Not running\n");
		return;
	case STATUS_KEYSTREAM_RUNNING:
		fprintf(out, "Running (");
		print_pid(out, status_sees_controller(status) ? state->pid : 0);
		text_print(out, state->engine, sizeof(state->engine));
		fprintf(out, ")\n");
		return;
	case STATUS_KEYSTREAM_STALLED:
		show_duration(show_seconds_since(status, state->heartbeat_ns), age, sizeof(age));
		fprintf(out, "Stalled (");
		print_pid(out, status_sees_controller(status) ? state->pid : 0);
		fprintf(out, "last heartbeat %s ago)\n", age);
		return;
	}
}

static void print_keystream(FILE *out, const struct status *status)
{
	const struct status_keystream_counts *recv = &status->keystream_counts[TALON_KEYSTREAM_RECV];
	const struct status_keystream_counts *send = &status->keystream_counts[TALON_KEYSTREAM_SEND];
	const struct talon_keystream_state *state = &status->keystream;

	fprintf(out, "Keystream:\n");
	print_helper(out, status);
	fprintf(out, "  Received (ahead/inline): %llu/%llu\n", recv->ahead, recv->inline_);
	fprintf(out, "  Sent (ahead/inline): %llu/%llu\n", send->ahead, send->inline_);
	fprintf(out, "  Slots made: %llu\n  Slots wasted: %llu\n", state->generated, state->wasted);
	fprintf(out, "  Windows: %u, with %u of %u slots\n", state->windows, state->slots, state->room);
	fprintf(out, "  Gaps: up to %llu us\n\n", state->gap_ns / 1000);
}

static void print_controller(FILE *out, const struct status *status)
{
	char age[SHOW_AGE_LEN];

	if (!status->info.heartbeat_ns) {
		fprintf(out, "Controller: Starting\n");
		return;
	}
	switch (status_controller(status)) {
	case STATUS_RUNNING:
		show_duration(show_seconds_since(status, status->info.started_ns), age, sizeof(age));
		fprintf(out, "Controller: %s (", is_starting(status) ? "Starting" : "Running");
		print_pid(out, status->pid);
		fprintf(out, "for %s)\n", age);
		return;
	case STATUS_HUNG:
		fprintf(out, "Controller: Hung (");
		print_pid(out, status->pid);
		fprintf(out, "last heartbeat ");
		break;
	case STATUS_STOPPED:
		fprintf(out, "Controller: Not running (last heartbeat ");
		break;
	}
	show_duration(show_seconds_since(status, status->info.heartbeat_ns), age, sizeof(age));
	fprintf(out, "%s ago)\n", age);
}

static void print_programs(FILE *out, const struct status *status)
{
	const struct talon_info *info = &status->info;
	char age[SHOW_AGE_LEN];

	if (!info->datapath_since_ns) {
		fprintf(out, "Datapath: not attached yet\n");
		return;
	}
	fprintf(out, "Datapath: ");
	text_print(out, info->mode, sizeof(info->mode));
	if (!status_is_attached(status))
		fprintf(out, ", NOT ATTACHED");
	show_duration(show_seconds_since(status, info->datapath_since_ns), age, sizeof(age));
	fprintf(out, " for %s, adopted %u %s\n", age, info->adoptions, info->adoptions == 1 ? "time"
		: "times");
	LINE(out, "Reason", info->why, sizeof(info->why));
	LINE(out, "Uplinks", info->uplinks, sizeof(info->uplinks));
	LINE(out, "Interface", info->tunnel, sizeof(info->tunnel));
	fprintf(out, "Hand-up: %s\n", show_hand_up(&status->config));
}

static void print_snat(FILE *out, const struct talon_config *config)
{
	char addr[INET6_ADDRSTRLEN];

	inet_ntop(AF_INET, &config->snat_addr, addr, sizeof(addr));
	fprintf(out, "SNAT: %s (%s), ports %u-%u\n", addr,
		config->flags & TALON_F_SNAT_OWN ? "spare address" : "node address", config->port_first,
		config->port_last);
	if (addr6_is_zero(&config->node_addr6))
		return;
	inet_ntop(AF_INET6, &config->node_addr6, addr, sizeof(addr));
	fprintf(out, "SNAT of IPv6: %s (node address), the same ports\n", addr);
}

static void print_routes(FILE *out, const struct status *status)
{
	char text[CIDR_TEXT_LEN];

	fprintf(out, "Networks: ");
	for (size_t i = 0; i < status->route_count; i++) {
		const struct status_route *route = &status->routes[i];

		cidr_format(&route->dst, text, sizeof(text));
		fprintf(out, "%s%s%s", i ? ", " : "", text,
			route->is_local ? " (local)" :
			route->flags & TALON_ROUTE_MASQUERADE ? "" : " (no masquerade)");
	}
	fprintf(out, "%s\n", status->route_count ? "" : "-");
}

/* One per line, in the controller's order. */
static void print_hazards(FILE *out, const struct talon_info *info)
{
	const char *at = info->hazards, *end = at + strnlen(info->hazards, sizeof(info->hazards));

	if (at == end) {
		fprintf(out, "Hazards: none\n");
		return;
	}
	fprintf(out, "Hazards:\n");
	while (at < end) {
		const char *newline = memchr(at, '\n', end - at);
		const char *stop = newline ? newline : end;

		fprintf(out, "  ");
		text_print(out, at, stop - at);
		fputc('\n', out);
		at = stop + 1;
	}
}

static void print_memory(FILE *out, const struct status *status)
{
	if (status->map_bytes)
		fprintf(out, "Maps: %.1f MiB of kernel memory\n", status->map_bytes / 1048576.0);
}

static void print_summary(FILE *out, const struct status *status)
{
	const struct talon_info *info = &status->info;
	char key[KEY_BASE64_LEN + 1], address6[CIDR_TEXT_LEN];

	key_to_base64(info->public_key, key);
	show_address6(&status->config, address6, sizeof(address6));
	LINE(out, "Daemon version", info->version, sizeof(info->version));
	fprintf(out, "CLI version: %s\n", TALON_VERSION);
	print_controller(out, status);
	print_programs(out, status);
	LINE(out, "Address", info->address, sizeof(info->address));
	if (address6[0])
		fprintf(out, "IPv6 address: %s%s\n", address6, status->config.flags & TALON_F_INNER6 ? ""
			: " (not carried: see Hazards)");
	fprintf(out, "Public key: %s\n", key);
	fprintf(out, "Listen port: %u\n", ntohs(status->config.listen_port));
	print_snat(out, &status->config);
	print_routes(out, status);
	vips_print(out, status);
	LINE(out, "Metrics", info->metrics, sizeof(info->metrics));
	print_hazards(out, info);
	show_watches(out, status);
	print_memory(out, status);
	fprintf(out, "Flows: %llu/%u\n", status->nat.live, flow_room(status));
	fprintf(out, "Peers count: %zu/%zu Connected\n", status_connected(status), status->peer_count);
}

static void print_details(FILE *out, const struct status *status)
{
	print_counters(out, status);
	print_handshakes(out, status);
	print_nat(out, status);
	print_keystream(out, status);
	print_hooks(out, status);
	print_devices(out, status);
}

void status_print_text(FILE *out, const struct status *status, bool detail)
{
	if (detail) {
		print_peers(out, status);
		print_details(out, status);
	}
	print_summary(out, status);
}

void status_print_datapath(FILE *out, const struct status *status, bool detail)
{
	if (detail)
		print_details(out, status);
	print_controller(out, status);
	print_programs(out, status);
	fprintf(out, "Listen port: %u\n", ntohs(status->config.listen_port));
	print_snat(out, &status->config);
	vips_print(out, status);
	LINE(out, "Metrics", status->info.metrics, sizeof(status->info.metrics));
	print_hazards(out, &status->info);
	show_watches(out, status);
	print_memory(out, status);
	fprintf(out, "Flows: %llu/%u\n", status->nat.live, flow_room(status));
}
