// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Flows as a table and as JSON.
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "base/text.h"
#include "crypto/key.h"
#include "top/flows.h"

#define MAC_LEN 18

static int by_slot(const void *key, const void *element)
{
	const struct status_peer *peer = element;
	__u32 slot = *(const __u32 *)key;

	return (slot > peer->id) - (slot < peer->id);
}

const struct status_peer *flows_peer(const struct status *status, __u32 slot)
{
	return status->peer_count ? bsearch(&slot, status->peers, status->peer_count, sizeof(*status->peers),
		by_slot) : NULL;
}

/* A peer may serve networks too: its address is the one inside the mesh's network, else its first address. */
void flows_peer_address(const struct status *status, const struct status_peer *peer, char *text, size_t size)
{
	const struct talon_config *config = &status->config;
	const struct talon_addr mesh = { .word = { config->mesh_addr & config->mesh_mask } };
	const struct cidr *found = NULL;

	for (size_t i = 0; i < peer->allowed_count; i++) {
		const struct cidr *net = &peer->allowed[i];
		bool is_mesh = (net->addr.word[0] & config->mesh_mask) == mesh.word[0];

		if (net->family != AF_INET || net->prefixlen != 32 || (found && !is_mesh))
			continue;
		found = net;
		if (is_mesh)
			break;
	}
	if (!found || !inet_ntop(AF_INET, &found->addr, text, size))
		snprintf(text, size, "-");
}

const char *flows_proto(__u8 proto)
{
	static char number[4];

	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmpv6";
	}
	snprintf(number, sizeof(number), "%u", proto);
	return number;
}

void flows_duration(__u64 seconds, char *text, size_t size)
{
	if (seconds < 60)
		snprintf(text, size, "%llus", seconds);
	else if (seconds < 3600)
		snprintf(text, size, "%llum%02llus", seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(text, size, "%lluh%02llum", seconds / 3600, seconds % 3600 / 60);
	else
		snprintf(text, size, "%llud%lluh", seconds / 86400, seconds % 86400 / 3600);
}

static void format_addr(bool is_six, const struct talon_addr *addr, char text[static INET6_ADDRSTRLEN])
{
	inet_ntop(is_six ? AF_INET6 : AF_INET, addr, text, INET6_ADDRSTRLEN);
}

void flows_format_end(bool is_six, const struct talon_addr *addr, __be16 port,
	char text[static FLOWS_END_LEN])
{
	char host[INET6_ADDRSTRLEN];

	format_addr(is_six, addr, host);
	snprintf(text, FLOWS_END_LEN, is_six ? "[%s]:%u" : "%s:%u", host, ntohs(port));
}

static void format_mac(const __u8 mac[6], char text[static MAC_LEN])
{
	snprintf(text, MAC_LEN, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		mac[5]);
}

static int by_ifindex(const void *key, const void *element)
{
	const struct status_device *device = element;
	__u32 ifindex = *(const __u32 *)key;

	return (ifindex > device->ifindex) - (ifindex < device->ifindex);
}

/* Its name, or its number where it has none any more. */
static void format_device(const struct status *status, __u32 ifindex, char text[static IF_NAMESIZE])
{
	const struct status_device *found = status->device_count ? bsearch(&ifindex, status->devices,
		status->device_count, sizeof(*status->devices), by_ifindex) : NULL;

	if (found && found->name[0])
		snprintf(text, IF_NAMESIZE, "%s", found->name);
	else
		snprintf(text, IF_NAMESIZE, "%u", ifindex);
}

/* --- table --- */

#define ROW "%-21s %-21s %-21s %-5s %-11s %-8s %-7s %-7s "

void flows_print_head(FILE *out)
{
	fprintf(out, ROW "%-33s %s\n", "CLIENT", "REMOTE", "SNAT", "PROTO", "STATE", "ANSWERED", "IDLE",
		"LEFT", "WAY", "PEER");
}

static void print_way(FILE *out, const struct status *status, const struct flows_seen *seen)
{
	char device[IF_NAMESIZE], mac[MAC_LEN];

	if (!seen->has_way) {
		fprintf(out, "%-33s ", "-");
		return;
	}
	format_device(status, seen->flow.ifindex & ~TALON_FLOW_ONWARD, device);
	format_mac(seen->flow.dmac, mac);
	text_print(out, device, sizeof(device));
	fprintf(out, " %-*s ", (int)(IF_NAMESIZE - 1 - strlen(device)) + MAC_LEN - 1, mac);
}

static void print_peer(FILE *out, const struct status *status, __u32 slot)
{
	const struct status_peer *peer = flows_peer(status, slot);
	char key[KEY_BASE64_LEN + 1], addr[INET_ADDRSTRLEN];

	if (!peer) {
		fprintf(out, "-\n");
		return;
	}
	key_to_base64(peer->info.public_key, key);
	flows_peer_address(status, peer, addr, sizeof(addr));
	if (peer->info.name[0])
		text_print(out, peer->info.name, sizeof(peer->info.name));
	else
		fputs(key, out);
	fprintf(out, " (%s)\n", addr);
}

/* An ICMP query has one id, which takes the place of both ports. */
void flows_print_row(FILE *out, const struct status *status, const struct flows_row *row)
{
	const struct talon_flow *flow = &row->seen.flow;
	const struct talon_addr from = flows_client(&row->seen), to = flows_remote(&row->seen),
		as = flows_snat(&row->seen);
	const bool six = row->seen.is_six;
	char client[FLOWS_END_LEN], remote[FLOWS_END_LEN], snat[FLOWS_END_LEN], idle[16], left[16];

	flows_format_end(six, &from, flow->client_port, client);
	flows_format_end(six, &as, flow->snat_port, snat);
	if (flows_is_icmp(flow))
		format_addr(six, &to, remote);
	else
		flows_format_end(six, &to, flow->remote_port, remote);
	flows_duration(row->facts.idle_s, idle, sizeof(idle));
	flows_duration(row->facts.left_s, left, sizeof(left));
	fprintf(out, ROW, client, remote, snat, flows_proto(flow->proto),
		row->facts.state == FLOWS_NO_STATE ? "-" : flows_states[row->facts.state],
		flow->flags & TALON_FLOW_ANSWERED ? "yes" : "no", idle, left);
	print_way(out, status, &row->seen);
	print_peer(out, status, flow->peer);
}

static __u32 room_of(const struct status *status)
{
	return status->config.flow_count ? status->config.flow_count - 1 : 0;
}

void flows_print_foot(FILE *out, const struct status *status, const struct flows_totals *totals)
{
	fprintf(out, "%llu shown, %llu matching; %llu live of %u\n", totals->shown, totals->matching,
		status->nat.live, room_of(status));
	if (totals->unsettled)
		fprintf(out, "%llu changed all the time and are not shown\n", totals->unsettled);
}

/* --- JSON --- */

void flows_json_head(struct json_out *json)
{
	json_out_begin(json, NULL, '{');
	json_out_begin(json, "flows", '[');
}

static void put_way(struct json_out *json, const struct status *status, const struct flows_seen *seen)
{
	char device[IF_NAMESIZE], mac[MAC_LEN];

	if (!seen->has_way) {
		json_out_null(json, "way");
		return;
	}
	format_device(status, seen->flow.ifindex & ~TALON_FLOW_ONWARD, device);
	format_mac(seen->flow.dmac, mac);
	json_out_begin(json, "way", '{');
	json_out_text(json, "device", device);
	json_out_number(json, "ifindex", seen->flow.ifindex & ~TALON_FLOW_ONWARD);
	json_out_text(json, "nextHopMac", mac);
	json_out_number(json, "mtu", seen->flow.mtu);
	json_out_bool(json, "onward", seen->flow.ifindex & TALON_FLOW_ONWARD);
	json_out_end(json, '}');
}

static void put_peer(struct json_out *json, const struct status *status, __u32 slot)
{
	const struct status_peer *peer = flows_peer(status, slot);
	char key[KEY_BASE64_LEN + 1], addr[INET_ADDRSTRLEN];

	if (!peer) {
		json_out_null(json, "peer");
		return;
	}
	key_to_base64(peer->info.public_key, key);
	flows_peer_address(status, peer, addr, sizeof(addr));
	json_out_begin(json, "peer", '{');
	json_out_string(json, "name", peer->info.name, sizeof(peer->info.name));
	json_out_text(json, "publicKey", key);
	json_out_text(json, "address", addr);
	json_out_end(json, '}');
}

static void put_end(struct json_out *json, const char *key, bool is_six, struct talon_addr addr,
	const char *port_key, __be16 port)
{
	char text[INET6_ADDRSTRLEN];

	format_addr(is_six, &addr, text);
	json_out_text(json, key, text);
	json_out_number(json, port_key, ntohs(port));
}

void flows_json_row(struct json_out *json, const struct status *status, const struct flows_row *row)
{
	const struct talon_flow *flow = &row->seen.flow;

	json_out_begin(json, NULL, '{');
	put_end(json, "client", row->seen.is_six, flows_client(&row->seen), "clientPort", flow->client_port);
	put_end(json, "remote", row->seen.is_six, flows_remote(&row->seen), "remotePort", flow->remote_port);
	put_end(json, "snat", row->seen.is_six, flows_snat(&row->seen), "snatPort", flow->snat_port);
	json_out_text(json, "protocol", flows_proto(flow->proto));
	if (row->facts.state == FLOWS_NO_STATE)
		json_out_null(json, "state");
	else
		json_out_text(json, "state", flows_states[row->facts.state]);
	json_out_bool(json, "answered", flow->flags & TALON_FLOW_ANSWERED);
	json_out_number(json, "idleSeconds", row->facts.idle_s);
	json_out_number(json, "leftSeconds", row->facts.left_s);
	json_out_bool(json, "hasty", row->facts.is_hasty);
	put_peer(json, status, flow->peer);
	put_way(json, status, &row->seen);
	json_out_end(json, '}');
}

void flows_json_foot(struct json_out *json, const struct status *status, const struct flows_totals *totals)
{
	json_out_end(json, ']');
	json_out_number(json, "shown", totals->shown);
	json_out_number(json, "matching", totals->matching);
	json_out_number(json, "unsettled", totals->unsettled);
	json_out_number(json, "live", status->nat.live);
	json_out_number(json, "room", room_of(status));
	json_out_end(json, '}');
	fputc('\n', json->out);
}
