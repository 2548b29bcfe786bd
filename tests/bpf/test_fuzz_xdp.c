// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Random and mutated packets for the loaded XDP program; verdicts, bytes and counters are compared with a
// plain C model. TALON_FUZZ_SEED in the environment repeats a run, TALON_FUZZ_FRAMES makes it longer.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_ether.h>

#include "fuzz/xdp_model.h"

#define FRAMES		20000	/* all together, unless the environment says otherwise */
#define ROUND		1500	/* with one rig; few enough for its tables */
#define REFILL		16	/* rate limits are refilled so often */
#define ROUND_NS	20000000000ULL	/* nor longer than fragments are remembered */
#define OLD		64

struct fuzz {
	uint64_t random;
	struct rig *rig;
	struct model model;
	struct packet old[OLD];
	uint32_t verdicts[3], learned, learned6, lost;
	uint32_t ends[TALON_END_COUNT];
};

static uint32_t below(struct fuzz *z, uint32_t n)	/* xorshift64* */
{
	z->random ^= z->random >> 12;
	z->random ^= z->random << 25;
	z->random ^= z->random >> 27;
	return (uint32_t)(z->random * 2685821657736338717ULL >> 32) % n;
}

static bool once_in(struct fuzz *z, uint32_t n)
{
	return !below(z, n);
}

static uint32_t size(struct fuzz *z)
{
	static const uint32_t edges[] = { 0, 1, 2, 7, 8, 15, 16, 960, 973, 1232, 1240, 1252, 1253, 1400 };

	return once_in(z, 3) ? edges[below(z, sizeof(edges) / sizeof(edges[0]))] : below(z, 200);
}

static uint16_t frag_bits(struct fuzz *z)
{
	static const uint16_t bits[] = { PKT_DF, PKT_DF, PKT_DF, 0, 0, PKT_MF, PKT_MF | 50, 100,
		PKT_DF | PKT_MF };

	return bits[below(z, sizeof(bits) / sizeof(bits[0]))];
}

static const uint8_t *tcp_options(struct fuzz *z, uint32_t *ret_len)
{
	static const uint8_t options[][12] = {
		{ 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1 }, { 1, 2, 4, 5, 0xb4, 1, 1, 1, 1, 1, 1, 0 },
		{ 3, 3, 7, 2, 4, 0x20, 0, 0 },
		{ 4, 2, 2, 4, 1, 0, 0, 0 }, { 2, 4, 4, 0xd9, 2, 4, 255, 255, 1, 1, 1, 1 },
		{ 8, 0, 2, 4, 5, 0xb4, 0, 0 }, { 5, 1, 2, 4, 255, 255 },
	};

	*ret_len = below(z, 4) * 4;
	return options[below(z, sizeof(options) / sizeof(options[0]))];
}

static struct pkt_spec spec_of(struct fuzz *z, uint32_t src, uint32_t dst)
{
	static const uint8_t protos[] = { 17, 17, 17, 6, 6, 6, 1, 1, 47, 253 };
	static const uint8_t types[] = { 8, 8, 8, 0, 13, 14, 5, 3, 11, 12 };
	static const uint8_t flags[] = { TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST,
		0, 0xff };
	struct pkt_spec spec = {
		.src = src, .dst = dst, .proto = protos[below(z, sizeof(protos))],
		.sport = 1000 + below(z, 6), .dport = 50 + below(z, 6),
		.ttl = once_in(z, 20) ? 1 + below(z, 3) : 64, .tos = below(z, 256), .id = below(z, 40),
		.frag = frag_bits(z), .ip_options = once_in(z, 8) ? below(z, 11) * 4 : 0,
		.tcp_flags = flags[below(z, sizeof(flags))], .icmp_type = types[below(z, sizeof(types))],
		.icmp_id = 1000 + below(z, 6), .no_checksum = once_in(z, 5), .payload = size(z),
		.seed = below(z, 256),
	};

	spec.tcp_options = tcp_options(z, &spec.tcp_options_len);
	return spec;
}

static void flip(struct fuzz *z, struct packet *p, uint32_t from, uint32_t to)
{
	if (to > p->len)
		to = p->len;
	if (from >= to)
		return;
	for (uint32_t n = 1 + below(z, 3); n; n--)
		p->bytes[from + below(z, to - from)] ^= once_in(z, 2) ? 1U << below(z, 8) : below(z, 256);
}

static uint32_t destination(struct fuzz *z)
{
	static const char *const addrs[] = { GATEWAY, GATEWAY, GATEWAY, NARROW, NARROW, NOBODY, PLAIN, VIP,
		UNREACHABLE, MESH, NODE, CLIENT, CLIENT1, CLIENT2, "8.8.8.8", "192.168.1.255", "10.9.0.1",
		"100.99.0.1" };

	return ip4(addrs[below(z, sizeof(addrs) / sizeof(addrs[0]))]);
}

static struct packet seal(struct fuzz *z, uint32_t peer, const struct packet *inner)
{
	struct rig_peer *p = &z->rig->peers[peer];
	struct packet message, frame;

	if (once_in(z, 30))
		p->counter += below(z, 9000);
	message = once_in(z, 40) ? pkt_wg_raw(p->recv_key, p->index, p->counter++, inner->bytes,
		below(z, inner->len + 1)) : pkt_wg(p->recv_key, p->index, p->counter++, inner);
	frame = rig_outer(z->rig, peer, below(z, 256), &message);
	/* roaming within what the world of the model knows: over IPv4 anything, over IPv6 the port */
	if (once_in(z, 12)) {
		if (p->six)
			flip(z, &frame, 54, 56);
		else
			flip(z, &frame, once_in(z, 2) ? 26 : 34, once_in(z, 2) ? 30 : 36);
	}
	return frame;
}

static struct packet gen_inner6(struct fuzz *z)
{
	static const uint8_t next[] = { 6, 17, 58, 58, 0, 43, 44, 59, 60 },
		types[] = { 1, 2, 128, 129, 135, 137 };
	struct packet p = { .len = 40 + size(z), .bytes = { 0x60 } };

	for (uint32_t i = 8; i < p.len; i++)
		p.bytes[i] = below(z, 256);
	pkt_put16(p.bytes + 4, p.len - 40 - (p.len > 40 && once_in(z, 8)));
	p.bytes[6] = next[below(z, sizeof(next))];
	p.bytes[7] = 64;
	p.bytes[40] = types[below(z, sizeof(types))];
	if (once_in(z, 4))
		memset(p.bytes + (once_in(z, 2) ? 8 : 24), once_in(z, 2) ? 0xff : 0, 16);
	if (once_in(z, 8))
		flip(z, &p, 0, 48);
	return p;
}

static struct addr6 destination6(struct fuzz *z)
{
	static const char *const addrs[] = { GATEWAY6, GATEWAY6, GATEWAY6, GATEWAY6, NARROW6, NARROW6,
		NOBODY6, PLAIN6, PLAIN6, VIP6, UNREACHABLE6, MESH6, NODE6, SECOND6, CLIENT6, CLIENT6_1,
		CLIENT6_2, "2001:db8::1", "2001:db8:a::2", "fd00:64::99", "2001:db8:99::9", "ff02::1",
		"fe80::1", "::1", "::ffff:10.9.0.2" };

	return ip6(addrs[below(z, sizeof(addrs) / sizeof(addrs[0]))]);
}

static struct addr6 client6(uint32_t peer)
{
	static const char *const addrs[RIG_PEERS] = { CLIENT6, CLIENT6_1, CLIENT6_2 };

	return ip6(addrs[peer]);
}

static struct pkt6_spec spec6_of(struct fuzz *z, struct addr6 src, struct addr6 dst)
{
	static const uint8_t protos[] = { 17, 17, 17, 6, 6, 6, 58, 58, 58, 50, 51, 59, 253 };
	static const uint8_t types[] = { 128, 128, 128, 129, 1, 2, 3, 4, 100, 133, 135, 137, 139, 143, 150 };
	static const uint8_t flags[] = { TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST,
		0, 0xff };
	struct pkt6_spec spec = {
		.src = src, .dst = dst, .proto = protos[below(z, sizeof(protos))],
		.sport = 1000 + below(z, 6), .dport = 50 + below(z, 6),
		.hops = once_in(z, 20) ? 1 + below(z, 3) : 64, .tclass = below(z, 256),
		.label = below(z, 1 << 20), .hop_options = once_in(z, 10) ? 8 * (1 + below(z, 3)) : 0,
		.dst_options = once_in(z, 10) ? 8 * (1 + below(z, 3)) : 0,
		.tcp_flags = flags[below(z, sizeof(flags))], .icmp_type = types[below(z, sizeof(types))],
		.icmp_id = 1000 + below(z, 6), .payload = size(z), .seed = below(z, 256),
	};

	if (spec.payload > 1250 && once_in(z, 2))
		spec.payload -= 20;
	spec.tcp_options = tcp_options(z, &spec.tcp_options_len);
	return spec;
}

/* As it is, without its checksum, cut into pieces, with more headers, or broken. */
static struct packet mutate6(struct fuzz *z, struct packet p)
{
	if (once_in(z, 20) && p.bytes[6] == 17)
		pkt_put16(p.bytes + 46, 0);
	if (once_in(z, 6) && p.len > 60) {
		uint32_t off = once_in(z, 2) ? 0 : 8 * below(z, (p.len - 40) / 8), len = 8 * below(z, 12);

		if (once_in(z, 8))
			len = p.len;		/* alone */
		if (off + len > p.len - 40)
			len = p.len - 40 - off;
		p = pkt_fragment6(&p, off, len, below(z, 20));
	}
	if (once_in(z, 10) && p.len < 600) {	/* one more header, of any type */
		static const uint8_t headers[] = { 0, 43, 44, 51, 60, 60, 60, 60, 135 };
		uint32_t n = once_in(z, 4) ? 7 + below(z, 4) : 1 + below(z, 2);

		for (uint32_t i = 0; i < n; i++) {
			memmove(p.bytes + 48, p.bytes + 40, p.len - 40);
			memset(p.bytes + 40, 0, 8);
			p.bytes[40] = p.bytes[6];
			p.bytes[6] = n > 2 ? 60 : headers[below(z, sizeof(headers))];
			p.len += 8;
		}
		pkt_put16(p.bytes + 4, p.len - 40);
	}
	if (once_in(z, 8))
		flip(z, &p, 0, once_in(z, 2) ? 64 : p.len);
	return p;
}

/* A packet of the flow's remote, as it comes from the wire, or as the flow's client got it. */
static struct packet gen_reply6(struct fuzz *z, const struct model_flow6 *f, bool is_outside)
{
	struct pkt6_spec spec = spec6_of(z, client6(0), ip6(NODE6));

	memcpy(&spec.src, f->remote, 16);
	if (!is_outside)
		memcpy(&spec.dst, f->client, 16);
	spec.proto = f->proto;
	spec.sport = f->remote_port;
	spec.dport = is_outside ? f->port : f->client_port;
	spec.icmp_id = spec.dport;
	spec.icmp_type = once_in(z, 4) ? spec.icmp_type : 129;
	return pkt_ip6(&spec);
}

static struct packet gen_error6(struct fuzz *z, struct addr6 src, struct addr6 dst,
	const struct packet *about)
{
	static const uint32_t embeds[] = { 48, 48, 56, 60, 80, 300, 40, 47, 1232 };
	uint32_t embed = embeds[below(z, sizeof(embeds) / sizeof(embeds[0]))];
	struct packet p = pkt_icmp6_error(src, dst, 1 + below(z, 4), below(z, 7), below(z, 2000), about,
		embed < about->len ? embed : about->len);

	if (once_in(z, 6))
		flip(z, &p, 40, 110);
	return p;
}

static struct packet gen_inner_six(struct fuzz *z, uint32_t *peer)
{
	struct pkt6_spec spec = spec6_of(z, client6(once_in(z, 30) ? below(z, RIG_PEERS) : *peer),
		destination6(z));
	const struct addr6 node = ip6(NODE6);
	struct packet p;

	if (z->model.flow6_count && !memcmp(&spec.dst, &node, 16) && !once_in(z, 4)) {
		const struct model_flow6 *own = &z->model.flows6[below(z, z->model.flow6_count)];

		memcpy(&spec.src, own->client, 16);
		*peer = own->peer;
		spec.proto = own->proto;
		spec.sport = own->client_port;
		spec.dport = z->model.flows6[below(z, z->model.flow6_count)].port;
	}
	if (z->model.flow6_count && once_in(z, 6)) {	/* an error about a reply */
		const struct model_flow6 *f = &z->model.flows6[below(z, z->model.flow6_count)];

		memcpy(&spec.src, f->client, 16);
		if (!once_in(z, 4))
			memcpy(&spec.dst, f->remote, 16);
		*peer = f->peer;
		p = gen_reply6(z, f, false);
		return gen_error6(z, spec.src, spec.dst, &p);
	}
	p = pkt_ip6(&spec);
	return mutate6(z, p);
}

static struct packet gen_from_wire6(struct fuzz *z)
{
	const struct model_flow6 *f = &z->model.flows6[below(z, z->model.flow6_count)];
	struct addr6 remote;
	struct pkt6_spec spec;
	struct packet p;

	memcpy(&remote, f->remote, 16);
	switch (below(z, 5)) {
	case 0:		/* about what the client sent */
		spec = spec6_of(z, ip6(NODE6), remote);
		spec.proto = f->proto;
		spec.sport = spec.icmp_id = f->port;
		spec.dport = f->remote_port;
		spec.icmp_type = 128;
		p = pkt_ip6(&spec);
		return gen_error6(z, once_in(z, 2) ? remote : ip6("2001:db8:99::9"), ip6(NODE6), &p);
	case 1:
		spec = spec6_of(z, ip6(PLAIN6), client6(below(z, RIG_PEERS)));
		p = pkt_ip6(&spec);
		return mutate6(z, p);
	case 2:
		spec = spec6_of(z, destination6(z), once_in(z, 2) ? ip6(NODE6) : destination6(z));
		p = pkt_ip6(&spec);
		return mutate6(z, p);
	default:
		p = gen_reply6(z, f, true);
		return mutate6(z, p);
	}
}

static struct packet gen_inner(struct fuzz *z, uint32_t *peer)
{
	struct pkt_spec spec = spec_of(z, z->rig->peers[once_in(z, 30) ? below(z, RIG_PEERS) : *peer].mesh,
		destination(z));
	struct packet p;

	if (spec.dst == ip4(NODE)) {	/* to another's mapping, from an endpoint that has one itself */
		const struct model_flow *own = &z->model.flows[below(z, z->model.flow_count)];

		spec.src = own->client;
		*peer = own->peer;
		spec.proto = own->proto;
		spec.sport = own->client_port;
		spec.dport = z->model.flows[below(z, z->model.flow_count)].port;
	}
	p = pkt_ip4(&spec);
	if (once_in(z, 8))
		flip(z, &p, 0, once_in(z, 2) ? 40 : p.len);
	if (once_in(z, 2) && p.bytes[0] == 0x45)	/* not all of it ends at the checksum */
		pkt_fix_header(&p);
	return once_in(z, 25) ? gen_inner6(z) : p;
}

/* A packet of the flow's remote, as it comes from the wire, or as the flow's client got it. */
static struct packet gen_reply(struct fuzz *z, const struct model_flow *f, bool is_outside)
{
	struct pkt_spec spec = spec_of(z, f->remote, is_outside ? ip4(NODE) : f->client);

	spec.proto = f->proto;
	spec.sport = f->remote_port;
	spec.dport = is_outside ? f->port : f->client_port;
	spec.icmp_id = spec.dport;
	spec.icmp_type = once_in(z, 4) ? spec.icmp_type : 0;
	return pkt_ip4(&spec);
}

static struct packet gen_error(struct fuzz *z, uint32_t src, uint32_t dst, const struct packet *about)
{
	static const uint8_t types[] = { 3, 11, 12 };
	static const uint32_t embeds[] = { 28, 28, 36, 40, 48, 80, 300, 20, 27 };
	uint32_t embed = embeds[below(z, sizeof(embeds) / sizeof(embeds[0]))];
	struct packet p = pkt_icmp_error(src, dst, types[below(z, 3)], below(z, 14), below(z, 2000), about,
					 embed < about->len ? embed : about->len);

	if (once_in(z, 6))
		flip(z, &p, 20, 70);
	return p;
}

static struct packet gen_from_wire(struct fuzz *z)
{
	const struct model_flow *f = &z->model.flows[below(z, z->model.flow_count)];
	struct pkt_spec spec;
	struct packet p;

	switch (below(z, 5)) {
	case 0:		/* about what the client sent */
		spec = spec_of(z, ip4(NODE), f->remote);
		spec.proto = f->proto;
		spec.sport = spec.icmp_id = f->port;
		spec.dport = f->remote_port;
		spec.icmp_type = 8;
		p = pkt_ip4(&spec);
		return gen_error(z, once_in(z, 2) ? f->remote : ip4("192.168.1.1"), ip4(NODE), &p);
	case 1:
		spec = spec_of(z, ip4(PLAIN), z->rig->peers[below(z, RIG_PEERS)].mesh);
		return pkt_ip4(&spec);
	case 2:
		spec = spec_of(z, destination(z), destination(z));
		if (once_in(z, 2))
			spec.dst = ip4(NODE);
		return pkt_ip4(&spec);
	default:
		p = gen_reply(z, f, true);
		if (once_in(z, 8))
			flip(z, &p, 0, once_in(z, 2) ? 40 : p.len);
		return p;
	}
}

static struct packet gen_from_peer(struct fuzz *z)
{
	const struct model_flow *f = &z->model.flows[below(z, z->model.flow_count)];
	uint32_t peer = below(z, RIG_PEERS);
	struct packet p;

	if (once_in(z, 20))
		return seal(z, peer, &(struct packet){ .len = 0 });
	if (once_in(z, 6)) {	/* an error about a reply */
		p = gen_reply(z, f, false);
		p = gen_error(z, f->client, once_in(z, 4) ? destination(z) : f->remote, &p);
		return seal(z, f->peer, &p);
	}
	p = z->model.six && once_in(z, 2) ? gen_inner_six(z, &peer) : gen_inner(z, &peer);
	return seal(z, peer, &p);
}

static struct packet gen_junk(struct fuzz *z)
{
	struct packet p = { .len = once_in(z, 2) ? 28 + 4 * below(z, 40) : below(z, 300) };
	static const uint32_t heads[] = { 0, 1, 2, 3, 4, 5, 0x100, 0x01000100 };

	for (uint32_t i = 0; i < p.len; i++)
		p.bytes[i] = below(z, 256);
	memcpy(p.bytes, &heads[below(z, 8)], 4);
	if (once_in(z, 3)) {
		p.bytes[0] = 0;
		memcpy(p.bytes + 4, "\x21\x12\xa4\x42", 4);
		pkt_put16(p.bytes + 2, p.len >= 20 ? p.len - 20 : 0);
	}
	if (once_in(z, 3))
		memcpy(p.bytes + 4, &z->rig->peers[below(z, RIG_PEERS)].index, 4);
	if (once_in(z, 3)) {	/* lengths of handshake messages */
		static const uint8_t lens[] = { 0, 148, 92, 64 };

		p.len = lens[p.bytes[0] = 1 + below(z, 3)];
	}
	if (once_in(z, 6)) {
		p.len += 14;
		return p;
	}
	return rig_outer(z->rig, below(z, RIG_PEERS), below(z, 256), &p);
}

static struct packet generate(struct fuzz *z)
{
	static const uint16_t ethertypes[] = { ETH_P_ARP, ETH_P_8021Q, ETH_P_IPV6, 0x88cc };
	struct packet p, frame;
	bool is_six;

	switch (below(z, 12)) {
	case 0:
		frame = gen_junk(z);
		break;
	case 1:
		frame = z->old[below(z, OLD)];
		break;
	case 2: case 3: case 4: case 5:
		if (z->model.flow6_count && once_in(z, 2)) {
			p = gen_from_wire6(z);
			frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IPV6, &p);
			break;
		}
		p = gen_from_wire(z);
		frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &p);
		break;
	default:
		frame = gen_from_peer(z);
		break;
	}
	is_six = frame.bytes[12] == 0x86;
	if (once_in(z, 25))
		flip(z, &frame, 0, is_six ? 12 : frame.len < 70 ? frame.len : 70);
	if (once_in(z, 25))
		flip(z, &frame, is_six ? 54 : 14, frame.len);
	if (once_in(z, 40) && frame.len > 20)
		frame.len -= below(z, frame.len - 14);
	if (once_in(z, 20)) {
		uint32_t more = below(z, 60);

		memset(frame.bytes + frame.len, 0xa5, more);
		frame.len += more;
	}
	if (once_in(z, 100))
		pkt_put16(frame.bytes + 12, ethertypes[below(z, 4)]);
	if (frame.len < 14)
		frame.len = 14;
	z->old[below(z, OLD)] = frame;
	return frame;
}

static void show(const struct packet *frame)
{
	for (uint32_t i = 0; i < frame->len; i++)
		print_error("%02x%s", frame->bytes[i], i % 32 == 31 ? "\n" : "");
	print_error("\n");
}

/* Each client's turn of IP ids is to be seen before anything depends on it. */
static void begin(struct fuzz *z)
{
	if (!once_in(z, 4))
		rig_six(z->rig);
	model_init(&z->model, z->rig);
	for (uint32_t peer = 0; peer < RIG_PEERS; peer++) {
		struct packet inner = PKT(.src = z->rig->peers[peer].mesh, .dst = ip4(GATEWAY), .proto = 17,
			.sport = 999, .dport = 53);
		struct packet frame = rig_sealed(z->rig, peer, &inner);
		struct rig_result r = rig_run(z->rig, &frame);

		assert_null(model_judge(&z->model, &frame, &r));
		assert_true(z->model.mask_known[peer]);
	}
	if (z->model.six) {
		struct packet inner = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17,
			.sport = 999, .dport = 53);
		struct packet frame = rig_sealed(z->rig, 0, &inner);
		struct rig_result r = rig_run(z->rig, &frame);

		assert_null(model_judge(&z->model, &frame, &r));
		assert_int_equal(z->model.flow6_count, 1);
	}
	for (uint32_t i = 0; i < OLD; i++)
		z->old[i] = generate(z);
	if (once_in(z, 2))
		z->rig->config.flags |= TALON_F_PLAIN_ROUTES | TALON_F_PLAIN_ROUTES6;
	if (once_in(z, 2))
		z->rig->config.flags |= TALON_F_XDP_TX;
	rig_config(z->rig);
}

static uint32_t play_round(struct fuzz *z, uint32_t frames)
{
	uint64_t end_ns = rig_now_ns() + ROUND_NS;
	uint32_t i;

	begin(z);
	for (i = 0; i < frames && rig_now_ns() < end_ns &&
		z->model.flow_count + z->model.flow6_count < 900; i++) {
		struct packet frame = generate(z);
		struct rig_result r;

		if (i % REFILL == 0)
			rig_refill(z->rig);	/* test_floods.c and test_icmp.c test rates */
		r = rig_run(z->rig, &frame);
		const char *wrong = model_judge(&z->model, &frame, &r);

		if (wrong == model_lost) {
			z->lost++;
			return i + 1;
		}
		if (wrong) {
			print_error("frame %u of this round: %s\n", i, wrong);
			show(&frame);
			fail();
		}
		z->verdicts[r.verdict]++;
		for (int at = 0; at < TALON_STATS_ENTRIES; at++)
			z->ends[at % TALON_END_COUNT] += r.counts[at];
	}
	z->learned += z->model.flow_count;
	z->learned6 += z->model.flow6_count;
	return i;
}

static void the_program_does_what_the_model_says(void **state)
{
	const char *seed_text = getenv("TALON_FUZZ_SEED"), *frames_text = getenv("TALON_FUZZ_FRAMES");
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : 20260101;
	uint64_t frames = frames_text ? strtoull(frames_text, NULL, 0) : FRAMES, done = 0;
	static struct fuzz z;

	for (uint64_t n = 0; done < frames; n++) {
		z.random = (seed + n) * 0x9e3779b97f4a7c15ULL | 1;
		print_message("TALON_FUZZ_SEED=%llu\n", (unsigned long long)(seed + n));
		assert_int_equal(rig_setup((void **)&z.rig), 0);
		done += play_round(&z, ROUND);
		rig_teardown((void **)&z.rig);
	}
	print_message("%llu frames: %u passed, %u dropped, %u sent; %u flows, %u of IPv6; %u rounds cut "
		"short\n", (unsigned long long)done, z.verdicts[RIG_PASS], z.verdicts[RIG_DROP],
		z.verdicts[RIG_SEND], z.learned, z.learned6, z.lost);
	for (int end = 0; end < TALON_END_COUNT; end++)
		print_message("%s %u%s", rig_end_name(end), z.ends[end], end == TALON_END_COUNT - 1 ? "\n"
			: ", ");
	/* A fair share of the packets must be valid. */
	assert_true(z.verdicts[RIG_SEND] > done / 5 && z.verdicts[RIG_PASS] > done / 20 &&
		z.verdicts[RIG_DROP] > done / 20);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(the_program_does_what_the_model_says) };

	rig_hook = RIG_XDP;
	return cmocka_run_group_tests_name("fuzz of the uplink in XDP", tests, rig_group_setup, NULL);
}
