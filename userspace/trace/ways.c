// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A packet's way through the programs, from where it comes in to where it leaves.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include "base/endpoint.h"
#include "base/text.h"
#include "talon/icmp_wire.h"
#include "trace/internal.h"

static const uint8_t some_mac[6] = { 2, 0, 0, 0, 0, 1 };	/* of whoever hands us the frame */

struct party *walk_party(struct walk *walk, uint32_t id)
{
	for (unsigned i = 0; i < walk->party_count; i++)
		if (walk->parties[i].id == id)
			return &walk->parties[i];
	return NULL;
}

const char *device_name(uint32_t ifindex, char name[static IFNAMSIZ])
{
	if (!if_indextoname(ifindex, name))
		snprintf(name, IFNAMSIZ, "device %u", ifindex % 10000000);
	return name;
}

static bool get_link(const struct live *live, uint32_t ifindex, struct talon_link *ret_link)
{
	return ifindex && live_get(live, DATAPATH_MAP_LINKS, &ifindex, ret_link);
}

/* Uplinks and the relay pair have the program of the mode, side devices that of tc. */
static enum copy_program program_at(const struct live *live, uint32_t ifindex)
{
	struct talon_link link;
	bool is_main = ifindex == live->config.relay_ifindex ||
		(get_link(live, ifindex, &link) && (link.flags & TALON_LINK_UPLINK));

	return is_main && !strncmp(live->info.mode, "xdp", 3) ? COPY_XDP : COPY_TC;
}

void note_peer(struct trace_way *way, const struct party *party)
{
	strcpy(way->peer, party->key);
	strcpy(way->peer_name, party->name);
}

static const char *program_name(enum copy_program program)
{
	static const char *const names[] = { [COPY_XDP] = "talon_uplink_xdp", [COPY_TC] = "talon_uplink_tc",
		[COPY_TUNNEL] = "talon_tunnel" };

	return names[program];
}

/* Returns the length of the header, or 0 if the packet is not whole. */
static size_t read_ip4(const struct frame *packet, struct flight *f)
{
	struct iphdr ip;

	memcpy(&ip, packet->bytes, sizeof(ip));
	f->src = addr_of4(ip.saddr);
	f->dst = addr_of4(ip.daddr);
	f->proto = ip.protocol;
	f->size = ntohs(ip.tot_len);
	return ip.ihl * 4 < (int)sizeof(ip) ? 0 : ip.ihl * 4;
}

/* The programs add no extension headers to what has none. */
static size_t read_ip6(const struct frame *packet, struct flight *f)
{
	struct talon_addr src, dst;
	struct ipv6hdr ip;

	memcpy(&ip, packet->bytes, sizeof(ip));
	memcpy(&src, &ip.saddr, sizeof(src));
	memcpy(&dst, &ip.daddr, sizeof(dst));
	f->src = addr_of6(src);
	f->dst = addr_of6(dst);
	f->proto = ip.nexthdr;
	f->size = sizeof(ip) + ntohs(ip.payload_len);
	return sizeof(ip);
}

/* By its headers. @packet is an IP packet; what is behind its end is zero. */
static bool read_flight(const struct frame *packet, struct flight *ret_flight)
{
	uint8_t version = packet->bytes[0] >> 4;
	struct flight f = {};
	uint16_t ports[4];
	size_t header;

	if (version != 4 && version != 6)
		return false;
	header = version == 6 ? read_ip6(packet, &f) : read_ip4(packet, &f);
	if (!header || packet->len < header + sizeof(ports))
		return false;
	memcpy(ports, packet->bytes + header, sizeof(ports));
	if (proto_is_icmp(f.proto)) {
		f.sport = f.dport = ntohs(ports[2]);
		f.is_reply = packet->bytes[header] == (version == 6 ? ICMP6_ECHOREPLY : ICMP_ECHOREPLY);
	} else {
		f.sport = ntohs(ports[0]);
		f.dport = ntohs(ports[1]);
	}
	*ret_flight = f;
	return true;
}

static bool is_redirect(enum copy_program program, int retval)
{
	return program == COPY_XDP ? retval == XDP_REDIRECT || retval == XDP_TX : retval == TC_ACT_REDIRECT;
}

/* What left: opened, if it was sealed for a peer. */
static void open_up(struct walk *walk, struct passage *p)
{
	struct party *to = walk_party(walk, p->last.decision.peer);
	const struct frame *frame = &p->last.frame;

	p->is_opened = to && !frame_open(to, frame, &p->plain);
	if (!p->is_opened && frame->len > ETH_HLEN) {
		p->plain.len = frame->len - ETH_HLEN;
		memcpy(p->plain.bytes, frame->bytes + ETH_HLEN, p->plain.len);
	}
	p->is_opened = p->is_opened && read_flight(&p->plain, &p->inner);
}

static int run(struct walk *walk, enum copy_program program, uint32_t ifindex, const struct flight *flight,
	const struct frame *frame, struct passage *p)
{
	const struct talon_config *config = &walk->live.config;
	struct decision *d = &p->first.decision;
	int ret;

	ret = copy_run(&walk->copy, program, ifindex, frame, &p->first, walk->why, walk->why_len);
	if (ret)
		return ret;
	p->last = p->first;
	p->is_sealing = program == COPY_TUNNEL || d->resealed || d->dir == TALON_DIR_OUT;
	if (program == COPY_TC && is_redirect(program, p->first.retval) &&
		d->ifindex == config->tunnel_ifindex) {
		p->through_tunnel = true;
		ret = copy_prepare(&walk->copy, COPY_TUNNEL, flight, walk->why, walk->why_len);
		if (!ret)
			ret = copy_run(&walk->copy, COPY_TUNNEL, config->tunnel_peer_ifindex,
				&p->first.frame, &p->last, walk->why, walk->why_len);
	}
	if (!ret)
		open_up(walk, p);
	return ret;
}

/* How the peer's packets reach us: by its endpoint, over the relay pair, or from anywhere. */
static uint32_t outer_of(const struct walk *walk, const struct party *from, struct outer *ret_outer)
{
	const struct talon_endpoint *e = &from->endpoint;
	const struct talon_config *config = &walk->live.config;
	struct outer outer = { .family = e->family, .src = e->remote, .dst = e->local,
		.sport = e->remote_port, .dport = config->listen_port };
	uint32_t ifindex = e->in_ifindex ? e->in_ifindex : e->ifindex;
	struct talon_link link;

	if (e->flags & TALON_ENDPOINT_RELAY) {
		outer.family = AF_INET;
		outer.src = (struct talon_addr){ .word = { htonl(TALON_RELAY_PEER_ADDR(from->id)) } };
		outer.dst = (struct talon_addr){ .word = { htonl(TALON_RELAY_OWN_ADDR) } };
		outer.sport = htons(TALON_RELAY_PORT);
		*ret_outer = outer;
		return config->relay_ifindex;
	}
	if (!outer.family) {
		outer.family = AF_INET;
		outer.src = (struct talon_addr){ .word = { htonl(0xc0000201) } };	/* 192.0.2.1 */
		outer.sport = htons(TALON_RELAY_PORT);
	}
	if (outer.family == AF_INET && !outer.dst.word[0])
		outer.dst.word[0] = config->node_addr;
	*ret_outer = outer;
	return get_link(&walk->live, ifindex, &link) && (link.flags & TALON_LINK_PROGRAM) ? ifindex
		: config->uplinks[0];
}

/* Appends " (TEXT)". */
static void note_aside(char *text, size_t size, const char *aside)
{
	text_append(text, size, " (%s)", aside);
}

static void describe_entry(struct trace_way *way, const struct party *from, uint32_t ifindex,
	const struct outer *outer, enum copy_program program)
{
	struct endpoint at = { .family = outer->family, .port = outer->sport, .remote = outer->src };
	char text[ENDPOINT_TEXT_LEN], name[IFNAMSIZ];
	const size_t size = sizeof(way->entry);

	snprintf(way->entry, size, "from peer %s", from->name);
	note_aside(way->entry, size, from->key);
	endpoint_format(&at, text);
	if (from->endpoint.flags & TALON_ENDPOINT_RELAY)
		text_append(way->entry, size, " over the relay");
	else if (!from->endpoint.family)
		text_append(way->entry, size, ", whose endpoint is not known");
	else
		text_append(way->entry, size, " at %s", text);
	text_append(way->entry, size, ", by %s", device_name(ifindex, name));
	note_aside(way->entry, size, program_name(program));
}

/* Who hands us the peer's frames. The programs learn it, as a way back for where the kernel knows none. */
static const uint8_t *mac_of(const struct party *from, uint32_t ifindex)
{
	return from->endpoint.in_ifindex == ifindex ? from->endpoint.in_smac : some_mac;
}

static uint16_t ether_type(uint16_t family)
{
	return family == AF_INET6 ? ETH_P_IPV6 : ETH_P_IP;
}

static void begin(struct trace_way *way, enum trace_origin origin, const struct flight *flight)
{
	way->origin = origin;
	way->family = flight->src.family;
	flight_format(flight, way->packet, sizeof(way->packet));
}

int way_from_peer(struct walk *walk, struct party *from, const struct flight *flight, struct trace_way *way,
	struct passage *p)
{
	struct frame packet, sealed, frame;
	enum copy_program program;
	struct talon_link link = {};
	struct outer outer;
	uint32_t ifindex;
	int ret;

	begin(way, TRACE_FROM_PEER, flight);
	note_peer(way, from);
	ifindex = outer_of(walk, from, &outer);
	program = program_at(&walk->live, ifindex);
	describe_entry(way, from, ifindex, &outer, program);
	/* filled before the packet is sealed: only then does the session have its index */
	ret = copy_prepare(&walk->copy, program, flight, walk->why, walk->why_len);
	if (ret)
		return ret;
	get_link(&walk->live, ifindex, &link);
	frame_packet(flight, &packet);
	frame_seal(from, &outer, &packet, &sealed);
	frame_ethernet(link.mac, mac_of(from, ifindex), ether_type(outer.family), &sealed, &frame);
	ret = run(walk, program, ifindex, flight, &frame, p);
	if (ret)
		return ret;
	judge(walk, way, p);
	tell_from_peer(walk, way, from, flight, p);
	return 0;
}

int way_from_network(struct walk *walk, uint32_t ifindex, const struct flight *flight, struct trace_way *way,
	struct passage *p)
{
	enum copy_program program = program_at(&walk->live, ifindex);
	struct talon_link link = {};
	struct frame packet, frame;
	char name[IFNAMSIZ];
	int ret;

	begin(way, TRACE_FROM_NETWORK, flight);
	snprintf(way->entry, sizeof(way->entry), "from the network, by %s (%s)", device_name(ifindex, name),
		program_name(program));
	get_link(&walk->live, ifindex, &link);
	frame_packet(flight, &packet);
	frame_ethernet(link.mac, some_mac, ether_type(flight->src.family), &packet, &frame);
	ret = copy_prepare(&walk->copy, program, flight, walk->why, walk->why_len);
	if (!ret)
		ret = run(walk, program, ifindex, flight, &frame, p);
	if (ret)
		return ret;
	judge(walk, way, p);
	tell_from_network(walk, way, flight, p);
	return 0;
}

/* By a route into the tunnel device; where the host has none, no program of ours sees the packet. */
int way_from_host(struct walk *walk, const struct flight *flight, struct trace_way *way, struct passage *p)
{
	const struct talon_config *config = &walk->live.config;
	struct talon_host_route route;
	struct frame packet, frame;
	int ret;

	begin(way, TRACE_FROM_HOST, flight);
	snprintf(way->entry, sizeof(way->entry), "from this host");
	if (!live_host_route(&walk->live, flight->dst, &route) || !(route.flags & TALON_HOST_TUNNEL)) {
		way->end = way->reason = TALON_END_COUNT;
		way->decider = TRACE_ROUTE;
		tell_from_host(walk, way, flight, NULL);
		return 0;
	}
	snprintf(way->entry, sizeof(way->entry), "from this host, by %.15s (%s)", walk->live.info.tunnel,
		program_name(COPY_TUNNEL));
	frame_packet(flight, &packet);
	frame_ethernet(config->tunnel_peer_mac, config->tunnel_mac, ether_type(flight->src.family), &packet,
		&frame);
	ret = copy_prepare(&walk->copy, COPY_TUNNEL, flight, walk->why, walk->why_len);
	if (!ret)
		ret = run(walk, COPY_TUNNEL, config->tunnel_peer_ifindex, flight, &frame, p);
	if (ret)
		return ret;
	judge(walk, way, p);
	tell_from_host(walk, way, flight, p);
	return 0;
}
