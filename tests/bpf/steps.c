// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Steps that the cases of several programs share: see steps.h.
#include <string.h>

#include <linux/if_ether.h>

#include "bpf/steps.h"

uint32_t get16_at(const struct packet *p, uint32_t off)
{
	return (uint32_t)p->bytes[off] << 8 | p->bytes[off + 1];
}

uint16_t open_udp(struct rig *rig, uint32_t peer, uint32_t client, uint16_t sport, uint32_t remote,
	uint16_t dport)
{
	struct packet inner = PKT(.src = client, .dst = remote, .proto = 17, .sport = sport, .dport = dport,
		.payload = 10, .frag = PKT_DF);
	struct rig_result r = rig_from_peer(rig, peer, &inner);
	struct packet out, want;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	assert_in_range(SPORT(&out), rig->config.port_first, rig->config.port_last);
	want = PKT(.src = rig->config.snat_addr, .dst = remote, .proto = 17, .sport = SPORT(&out),
		.dport = dport, .payload = 10, .frag = PKT_DF, .ttl = 63);
	pkt_equal(&out, &want);
	return SPORT(&out);
}

uint16_t open_tcp(struct rig *rig, uint16_t sport, uint16_t dport)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = sport,
		.dport = dport, .tcp_flags = TCP_SYN, .frag = PKT_DF);
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct packet out;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	return SPORT(&out);
}

void passes_untouched(struct rig *rig, const struct packet *frame)
{
	struct rig_result r = rig_run(rig, frame);

	assert_int_equal(r.verdict, RIG_PASS);
	pkt_equal(&r.frame, frame);
	rig_uncounted(&r);
	assert_int_equal(r.event_count, 0);
}

struct packet message_of(uint32_t type, uint32_t len)
{
	struct packet p = { .len = len };

	for (uint32_t i = 0; i < len; i++)
		p.bytes[i] = 0x80 + i;
	memcpy(p.bytes, &type, 4);
	return p;
}

struct talon_endpoint endpoint_of(struct rig *rig, uint32_t peer)
{
	struct talon_endpoint e;

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "endpoints"), &peer, &e), 0);
	return e;
}

void handed_up(struct rig *rig, const struct rig_result *r, const struct packet *inner)
{
	struct packet want = pkt_ether(rig_mac, rig_router_mac, inner->bytes[0] >> 4 == 6 ? ETH_P_IPV6
		: ETH_P_IP, inner);

	assert_int_equal(r->verdict, RIG_PASS);
	rig_ends(rig, r, TALON_DIR_IN, TALON_LOCAL);
	pkt_equal(&r->frame, &want);
	assert_int_equal(r->meta, 0);
}

uint16_t snat(struct rig *rig, struct pkt_spec *in, struct pkt_spec *ret_reply)
{
	struct packet inner = pkt_ip4(in), out, want;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct pkt_spec spec = *in;
	uint16_t port;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	port = in->proto == 1 ? ICMP_ID(&out) : SPORT(&out);
	assert_in_range(port, rig->config.port_first, rig->config.port_last);
	spec.src = rig->config.snat_addr;
	spec.ttl = (in->ttl ? in->ttl : 64) - 1;
	spec.sport = port;
	spec.icmp_id = port;
	want = pkt_ip4(&spec);
	pkt_equal(&out, &want);

	*ret_reply = *in;
	ret_reply->src = in->dst;
	ret_reply->dst = rig->config.snat_addr;
	ret_reply->sport = in->dport;
	ret_reply->dport = port;
	ret_reply->icmp_id = port;
	return port;
}

void unsnat(struct rig *rig, const struct pkt_spec *in, const struct pkt_spec *reply)
{
	struct packet packet = pkt_ip4(reply), got, want;
	struct rig_result r = rig_from_wire(rig, &packet);
	struct pkt_spec spec = *reply;

	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	spec.dst = in->src;
	spec.dport = in->sport;
	spec.icmp_id = in->icmp_id;
	spec.ttl = (reply->ttl ? reply->ttl : 64) - 1;
	want = pkt_ip4(&spec);
	pkt_equal(&got, &want);
}

struct packet own_error(uint32_t src, uint32_t dst, uint8_t type, uint8_t code, uint32_t rest,
	const struct packet *about)
{
	struct packet p = pkt_icmp_error(src, dst, type, code, rest, about, 28);

	p.bytes[1] = 0xc0;
	p.bytes[6] = 0x40;
	pkt_fix_header(&p);
	return p;
}

struct talon_nat_stats nat_stats(struct rig *rig)
{
	struct talon_nat_stats stats;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "nat_stats"), &zero, &stats), 0);
	return stats;
}

void refused_as_full(struct rig *rig, struct rig_result *r, const struct packet *inner)
{
	struct packet got, want = own_error(ip4(MESH), ip4(CLIENT), 3, 13, 0, inner);

	rig_ends(rig, r, TALON_DIR_IN, TALON_ICMP_SENT);
	got = rig_opened(rig, r, 0);
	pkt_equal(&got, &want);
	rig_event(r, TALON_EVENT_NAT_FULL);
}

uint16_t open_udp6(struct rig *rig, uint32_t peer, const char *client, uint16_t sport, const char *remote,
	uint16_t dport)
{
	struct packet inner = PKT6(.src = ip6(client), .dst = ip6(remote), .proto = 17, .sport = sport,
		.dport = dport, .payload = 10);
	struct rig_result r = rig_from_peer(rig, peer, &inner);
	struct packet out, want;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	assert_in_range(SPORT6(&out), rig->config.port_first, rig->config.port_last);
	want = PKT6(.src = ip6(NODE6), .dst = ip6(remote), .proto = 17, .sport = SPORT6(&out), .dport = dport,
		.payload = 10, .hops = 63);
	pkt_equal(&out, &want);
	return SPORT6(&out);
}

uint16_t snat6(struct rig *rig, struct pkt6_spec *in, struct pkt6_spec *ret_reply)
{
	struct packet inner = pkt_ip6(in), out, want;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct pkt6_spec spec = *in;
	uint32_t l4 = in->hop_options + in->dst_options;
	uint16_t port;

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	port = get16_at(&out, l4 + (in->proto == 58 ? 44 : 40));
	assert_in_range(port, rig->config.port_first, rig->config.port_last);
	spec.src = ip6(NODE6);
	spec.hops = (in->hops ? in->hops : 64) - 1;
	spec.sport = port;
	spec.icmp_id = port;
	want = pkt_ip6(&spec);
	pkt_equal(&out, &want);

	*ret_reply = *in;
	ret_reply->src = in->dst;
	ret_reply->dst = ip6(NODE6);
	ret_reply->sport = in->dport;
	ret_reply->dport = port;
	ret_reply->icmp_id = port;
	if (in->icmp_type == 128)
		ret_reply->icmp_type = 129;
	return port;
}

void unsnat6(struct rig *rig, const struct pkt6_spec *in, const struct pkt6_spec *reply)
{
	struct packet packet = pkt_ip6(reply), got, want;
	struct rig_result r = rig_from_wire(rig, &packet);
	struct pkt6_spec spec = *reply;

	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	got = rig_opened(rig, &r, 0);
	spec.dst = in->src;
	spec.dport = in->sport;
	spec.icmp_id = in->icmp_id;
	spec.hops = (reply->hops ? reply->hops : 64) - 1;
	want = pkt_ip6(&spec);
	pkt_equal(&got, &want);
}

struct packet own_error6(const char *src, const char *dst, uint8_t type, uint8_t code, uint32_t rest,
	const struct packet *about)
{
	return pkt_icmp6_error(ip6(src), ip6(dst), type, code, rest, about, about->len < 1232 ? about->len
		: 1232);
}
