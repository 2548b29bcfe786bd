// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/acl6.h: access rules for IPv6 as the programs enforce them. The rules are written by hand: what
// is tested is
// how packets meet them, not how they are compiled.
#include <string.h>

#include <linux/if_ether.h>

#include "talon/acl_types.h"
#include "bpf/rig.h"
#include "bpf/steps.h"

#define ALL_PORTS	0xffffffffu

/* One rule: from @src to @dst, @proto and a port of it, or all of its ports. */
struct rule {
	const char *src;
	uint32_t src_len;
	const char *dst;
	uint32_t dst_len;
	uint8_t proto;
	uint32_t port;
};

static void put_prefix(struct rig *rig, const char *map, uint32_t bank, const char *prefix, uint32_t len,
	uint32_t class)
{
	struct talon_acl_lpm6 key = { .prefixlen = TALON_ACL_BANK_BITS + len, .bank = bank };
	struct addr6 a = ip6(prefix);

	memcpy(&key.addr, &a, 16);
	rig_put(rig, map, &key, &class);
}

static void put_port_class(struct rig *rig, uint32_t bank, uint32_t place, uint16_t class)
{
	uint32_t at = bank * TALON_ACL_CHUNKS + place / TALON_ACL_CHUNK;
	struct talon_acl_chunk chunk;

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "acl_ports"), &at, &chunk), 0);
	chunk.class[place % TALON_ACL_CHUNK] = class;
	rig_put(rig, "acl_ports", &at, &chunk);
}

static void put_ports(struct rig *rig, uint32_t bank, const struct rule *rule, uint16_t class)
{
	uint32_t base = rule->proto == 6 ? TALON_ACL_PORT_TCP : TALON_ACL_PORT_UDP;

	if (rule->port == ALL_PORTS || (rule->proto != 6 && rule->proto != 17))
		put_port_class(rig, bank, TALON_ACL_PORT_PROTO + rule->proto, class);
	if (rule->proto != 6 && rule->proto != 17)
		return;
	if (rule->port != ALL_PORTS) {
		put_port_class(rig, bank, base + rule->port, class);
		return;
	}
	for (uint32_t port = 0; port < 65536; port += TALON_ACL_CHUNK) {
		uint32_t at = bank * TALON_ACL_CHUNKS + (base + port) / TALON_ACL_CHUNK;
		struct talon_acl_chunk chunk;

		for (uint32_t i = 0; i < TALON_ACL_CHUNK; i++)
			chunk.class[i] = class;
		rig_put(rig, "acl_ports", &at, &chunk);
	}
}

/* One rule alone, in the bank that no packet uses; then the switch, then the generation. */
static void set_rule(struct rig *rig, const struct rule *rule)
{
	uint32_t bank = !rig->config.acl_bank, at = bank * TALON_ACL_CLASSES;
	struct talon_acl_head head = { .words = 1 };
	struct talon_acl_bits bits = { .word = { 1 } }, none = {};
	struct talon_acl_chunk empty = {};

	for (uint32_t i = 0; i < TALON_ACL_CHUNKS; i++) {
		uint32_t chunk = bank * TALON_ACL_CHUNKS + i;

		rig_put(rig, "acl_ports", &chunk, &empty);
	}
	rig_put(rig, "acl_bits", &at, &head);
	at++;
	rig_put(rig, "acl_bits", &at, rule ? &bits : &none);
	if (rule) {
		put_prefix(rig, "acl_src6", bank, rule->src, rule->src_len, 1);
		put_prefix(rig, "acl_dst6", bank, rule->dst, rule->dst_len, 1);
		put_ports(rig, bank, rule, 1);
	}
	rig->config.acl_bank = bank;
	rig->config.flags |= TALON_F_ACL;
	rig_config(rig);
	rig_bump(rig);
}

static struct packet udp(const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	return PKT6(.src = ip6(src), .dst = ip6(dst), .proto = 17, .sport = sport, .dport = dport,
		.payload = 24);
}

static struct packet tcp(const char *src, uint16_t sport, const char *dst, uint16_t dport, uint8_t flags)
{
	return PKT6(.src = ip6(src), .dst = ip6(dst), .proto = 6, .sport = sport, .dport = dport,
		.tcp_flags = flags);
}

static struct packet echo(const char *src, const char *dst, uint8_t type, uint16_t id)
{
	return PKT6(.src = ip6(src), .dst = ip6(dst), .proto = 58, .icmp_type = type, .icmp_id = id,
		.payload = 24);
}

static void ends(struct rig *rig, uint32_t peer, struct packet inner, enum talon_end end)
{
	struct rig_result r = rig_from_peer(rig, peer, &inner);

	rig_ends(rig, &r, TALON_DIR_IN, end);
	if (end == TALON_ACL_DENIED)
		assert_int_equal(r.verdict, RIG_DROP);
}

static void without_rules_nothing_comes_in_and_no_flow_is_made(void **state)
{
	struct rig *rig = *state;

	rig_six(rig);
	set_rule(rig, NULL);
	ends(rig, 0, udp(CLIENT6, 500, GATEWAY6, 53), TALON_ACL_DENIED);
	ends(rig, 0, tcp(CLIENT6, 5, MESH6, 22, TCP_SYN), TALON_ACL_DENIED);
	ends(rig, 0, udp(CLIENT6, 500, PLAIN6, 53), TALON_ACL_DENIED);
	ends(rig, 0, udp(CLIENT6, 500, CLIENT6_1, 53), TALON_ACL_DENIED);
	ends(rig, 0, udp(CLIENT6, 500, VIP6, 53), TALON_ACL_DENIED);
	assert_int_equal(nat_stats(rig).created, 0);
}

static void verdicts_are_those_of_the_rules(void **state)
{
	const struct rule web = { CLIENT6, 128, "2001:db8::", 64, 6, 443 };
	struct rig *rig = *state;

	rig_six(rig);
	set_rule(rig, &web);
	ends(rig, 0, tcp(CLIENT6, 5, GATEWAY6, 443, TCP_SYN), TALON_FORWARDED);
	ends(rig, 0, tcp(CLIENT6, 5, GATEWAY6, 444, TCP_SYN), TALON_ACL_DENIED);
	ends(rig, 0, udp(CLIENT6, 5, GATEWAY6, 443), TALON_ACL_DENIED);
	ends(rig, 0, tcp(CLIENT6, 5, PLAIN6, 443, TCP_SYN), TALON_ACL_DENIED);
	ends(rig, 1, tcp(CLIENT6_1, 5, GATEWAY6, 443, TCP_SYN), TALON_ACL_DENIED);
	/* a rule for the network that an address of this host's lies in opens nothing of this host */
	ends(rig, 0, tcp(CLIENT6, 5, NODE6, 443, TCP_SYN), TALON_ACL_DENIED);
	ends(rig, 0, tcp(CLIENT6, 5, MESH6, 443, TCP_SYN), TALON_ACL_DENIED);
}

static void a_rule_for_this_host_covers_each_of_its_addresses(void **state)
{
	const struct rule ssh = { CLIENT6, 128, MESH6, 128, 6, 22 };
	struct rig *rig = *state;

	rig_six(rig);
	set_rule(rig, &ssh);
	ends(rig, 0, tcp(CLIENT6, 5, MESH6, 22, TCP_SYN), TALON_LOCAL);
	ends(rig, 0, tcp(CLIENT6, 5, NODE6, 22, TCP_SYN), TALON_LOCAL);
	ends(rig, 0, tcp(CLIENT6, 5, SECOND6, 22, TCP_SYN), TALON_LOCAL);
	ends(rig, 0, tcp(CLIENT6, 5, VIP6, 22, TCP_SYN), TALON_ACL_DENIED);	/* judged as a network */
	ends(rig, 0, tcp(CLIENT6, 5, GATEWAY6, 22, TCP_SYN), TALON_ACL_DENIED);
}

static void the_controllers_own_port_is_open_in_ipv4_alone(void **state)
{
	struct rig *rig = *state;

	rig_six(rig);
	rig->config.open[0] = (struct talon_open_port){ .port = __builtin_bswap16(53), .proto = 17 };
	set_rule(rig, NULL);
	ends(rig, 0, udp(CLIENT6, 5, MESH6, 53), TALON_ACL_DENIED);
	ends(rig, 0, udp(CLIENT6, 5, NODE6, 53), TALON_ACL_DENIED);
}

static void echo_and_other_protocols_go_by_their_number(void **state)
{
	const struct rule ping = { CLIENT6, 128, "2001:db8::", 48, 58, ALL_PORTS };
	const struct rule esp = { CLIENT6, 128, "2001:db8::", 32, 50, ALL_PORTS };
	struct rig *rig = *state;

	rig_six(rig);
	set_rule(rig, &ping);
	ends(rig, 0, echo(CLIENT6, GATEWAY6, 128, 7), TALON_FORWARDED);
	ends(rig, 0, PKT6(.src = ip6(CLIENT6), .dst = ip6(PLAIN6), .proto = 50, .payload = 40),
		TALON_ACL_DENIED);
	set_rule(rig, &esp);
	ends(rig, 0, PKT6(.src = ip6(CLIENT6), .dst = ip6(PLAIN6), .proto = 50, .payload = 40),
		TALON_FORWARDED);
	ends(rig, 0, echo(CLIENT6, GATEWAY6, 128, 7), TALON_ACL_DENIED);
}

static void a_flow_goes_on_until_the_generation_is_bumped(void **state)
{
	const struct rule dns = { CLIENT6, 128, "2001:db8::", 64, 17, 53 };
	struct packet inner = udp(CLIENT6, 500, GATEWAY6, 53), out, reply;
	struct rig *rig = *state;
	struct rig_result r;

	rig_six(rig);
	set_rule(rig, &dns);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	reply = udp(GATEWAY6, 53, NODE6, SPORT6(&out));
	r = rig_from_wire(rig, &reply);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	set_rule(rig, NULL);
	r = rig_from_wire(rig, &reply);		/* replies alone do not keep it open */
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_ACL_DENIED);
	ends(rig, 0, inner, TALON_ACL_DENIED);
}

static void later_fragments_pass_after_a_first_one_that_passed(void **state)
{
	const struct rule dns = { CLIENT6, 128, "2001:db8::", 64, 17, 53 };
	const struct rule all = { CLIENT6, 128, "2001:db8::", 64, 17, ALL_PORTS };
	struct packet whole = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17, .sport = 5,
		.dport = 53, .payload = 1000);
	struct packet other = PKT6(.src = ip6(CLIENT6), .dst = ip6(GATEWAY6), .proto = 17, .sport = 5,
		.dport = 54, .payload = 1000);
	struct rig *rig = *state;

	rig_six(rig);
	set_rule(rig, &dns);
	for (int again = 0; again < 2; again++) {	/* a new flow, then a known one */
		ends(rig, 0, pkt_fragment6(&whole, 400, 400, 1 + again), TALON_ACL_DENIED);
		ends(rig, 0, pkt_fragment6(&whole, 0, 400, 1 + again), TALON_FORWARDED);
		ends(rig, 0, pkt_fragment6(&whole, 400, 400, 1 + again), TALON_FORWARDED);
	}
	ends(rig, 0, pkt_fragment6(&other, 0, 400, 9), TALON_ACL_DENIED);
	ends(rig, 0, pkt_fragment6(&other, 400, 400, 9), TALON_ACL_DENIED);
	set_rule(rig, &all);
	ends(rig, 0, pkt_fragment6(&whole, 400, 400, 77), TALON_FORWARDED);
}

static void what_the_network_asks_is_answered_without_a_rule(void **state)
{
	struct packet asks[] = { udp(PLAIN6, 53, CLIENT6, 500), tcp(PLAIN6, 54, CLIENT6, 501, TCP_SYN),
		echo(PLAIN6, CLIENT6, 128, 9) };
	struct packet answers[] = { udp(CLIENT6, 500, PLAIN6, 53), tcp(CLIENT6, 501, PLAIN6, 54, TCP_ACK),
		echo(CLIENT6, PLAIN6, 129, 9) };
	struct rig *rig = *state;
	struct packet error;

	rig_six(rig);
	rig->config.flags |= TALON_F_PLAIN_ROUTES6;
	set_rule(rig, NULL);
	for (int i = 0; i < 3; i++) {
		struct rig_result r;

		ends(rig, 0, answers[i], TALON_ACL_DENIED);
		r = rig_from_wire(rig, &asks[i]);
		rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
		ends(rig, 0, answers[i], TALON_FORWARDED);
		/* what is about it may pass as well, from whoever it went to */
		error = pkt_icmp6_error(ip6(CLIENT6), ip6(PLAIN6), 1, 4, 0, &asks[i], asks[i].len);
		ends(rig, 0, error, TALON_FORWARDED);
		rig_allow6(rig, "fd00:65::1", 128, 1);
		error = pkt_icmp6_error(ip6("fd00:65::1"), ip6(PLAIN6), 1, 4, 0, &asks[i], asks[i].len);
		ends(rig, 1, error, TALON_ACL_DENIED);
	}
	ends(rig, 0, echo(CLIENT6, PLAIN6, 128, 9), TALON_ACL_DENIED);	/* a question is no answer */
	ends(rig, 0, udp(CLIENT6, 500, PLAIN6, 54), TALON_ACL_DENIED);
	ends(rig, 1, udp(CLIENT6_1, 500, PLAIN6, 53), TALON_ACL_DENIED);
}

static void peers_are_kept_apart_and_their_answers_pass(void **state)
{
	const struct rule one_way = { CLIENT6, 128, CLIENT6_1, 128, 17, 53 };
	struct rig *rig = *state;

	rig_six(rig);
	set_rule(rig, &one_way);
	ends(rig, 1, udp(CLIENT6_1, 53, CLIENT6, 500), TALON_ACL_DENIED);
	ends(rig, 0, udp(CLIENT6, 500, CLIENT6_1, 53), TALON_RESEALED);
	ends(rig, 1, udp(CLIENT6_1, 53, CLIENT6, 500), TALON_RESEALED);
	ends(rig, 1, udp(CLIENT6_1, 53, CLIENT6, 501), TALON_ACL_DENIED);
}

static void what_we_asked_is_forgotten_in_time(void **state)
{
	struct packet ask = udp(PLAIN6, 53, CLIENT6, 500);
	struct talon_acl_ct6_key key;
	struct rig *rig = *state;
	struct talon_acl_ct ct;
	struct rig_result r;

	rig_six(rig);
	rig->config.flags |= TALON_F_PLAIN_ROUTES6;
	set_rule(rig, NULL);
	r = rig_from_wire(rig, &ask);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	assert_int_equal(bpf_map_get_next_key(rig_fd(rig, "acl_ct6"), NULL, &key), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "acl_ct6"), &key, &ct), 0);
		ct.seen_s = rig_now_ns() / TALON_NSEC_PER_SEC - TALON_ACL_CT_UDP_S + (i ? -2 : 2);
		rig_put(rig, "acl_ct6", &key, &ct);
		ends(rig, 0, udp(CLIENT6, 500, PLAIN6, 53), i ? TALON_ACL_DENIED : TALON_FORWARDED);
	}
}

static void hairpinned_packets_are_judged_by_the_address_they_go_to(void **state)
{
	const struct rule out = { "fd00:64::", 64, GATEWAY6, 128, 17, ALL_PORTS };
	const struct rule hairpin = { "fd00:64::", 64, NODE6, 128, 17, ALL_PORTS };
	struct rig *rig = *state;
	uint16_t a, b;

	rig_six(rig);
	set_rule(rig, &out);
	a = open_udp6(rig, 0, CLIENT6, 500, GATEWAY6, 53);
	b = open_udp6(rig, 1, CLIENT6_1, 600, GATEWAY6, 53);
	ends(rig, 0, udp(CLIENT6, 500, NODE6, b), TALON_ACL_DENIED);
	set_rule(rig, &hairpin);
	ends(rig, 0, udp(CLIENT6, 500, NODE6, b), TALON_NAT_NO_FLOW);	/* nobody asked there */
	ends(rig, 1, udp(CLIENT6_1, 600, NODE6, a), TALON_RESEALED);
	ends(rig, 0, udp(CLIENT6, 500, NODE6, b), TALON_RESEALED);
}

/* @p with a header of @len bytes (8 or 16) of type @type before what follows its own. */
static struct packet behind(uint8_t type, const struct packet *p, uint32_t len)
{
	struct packet q = *p;
	const uint8_t header[16] = { p->bytes[6], len / 8 - 1, 1, len - 4 };

	memmove(q.bytes + 40 + len, p->bytes + 40, p->len - 40);
	memcpy(q.bytes + 40, header, len);
	q.bytes[6] = type;
	q.len += len;
	pkt_put16(q.bytes + 4, q.len - 40);
	return q;
}

/* @p as a fragment at offset 0, the @more of which never come. */
static struct packet first_of(const struct packet *p, uint32_t len, uint32_t id, bool more)
{
	struct packet q = pkt_fragment6(p, 0, len, id);

	pkt_put16(q.bytes + 42, more);
	return q;
}

/* Whoever may send to one port tries to get a packet for another one past the rules. */
static void nothing_hides_a_port_from_the_rules(void **state)
{
	const struct rule web = { CLIENT6, 128, MESH6, 128, 6, 443 };
	struct packet good = PKT6(.src = ip6(CLIENT6), .dst = ip6(MESH6), .proto = 6, .sport = 5,
		.dport = 443, .tcp_flags = TCP_SYN, .payload = 60);
	struct packet bad = PKT6(.src = ip6(CLIENT6), .dst = ip6(MESH6), .proto = 6, .sport = 5, .dport = 22,
		.tcp_flags = TCP_SYN, .payload = 60), p;
	struct rig *rig = *state;

	rig_six(rig);
	set_rule(rig, &web);
	ends(rig, 0, behind(60, &good, 8), TALON_LOCAL);
	ends(rig, 0, behind(0, &good, 16), TALON_LOCAL);
	ends(rig, 0, behind(60, &bad, 8), TALON_ACL_DENIED);
	ends(rig, 0, behind(0, &bad, 16), TALON_ACL_DENIED);
	/* an atomic fragment is a packet */
	ends(rig, 0, first_of(&good, 80, 1, false), TALON_LOCAL);
	ends(rig, 0, first_of(&bad, 80, 1, false), TALON_ACL_DENIED);
	/* the transport's header is in the first fragment, whole (RFC 7112) */
	ends(rig, 0, first_of(&good, 16, 2, true), TALON_BAD_INNER);
	p = behind(60, &good, 16);
	ends(rig, 0, first_of(&p, 16, 2, true), TALON_BAD_INNER);
	ends(rig, 0, first_of(&p, 8, 2, true), TALON_BAD_INNER);
	ends(rig, 0, pkt_fragment6(&good, 24, 24, 2), TALON_ACL_DENIED);
	/* a second first fragment is judged as the first one is */
	ends(rig, 0, first_of(&good, 40, 3, true), TALON_LOCAL);
	ends(rig, 0, first_of(&bad, 40, 3, true), TALON_ACL_DENIED);
	p = behind(60, &bad, 8);
	ends(rig, 0, first_of(&p, 40, 3, true), TALON_ACL_DENIED);
	/* a fragment of a fragment, and hop-by-hop options inside one */
	p = first_of(&good, 40, 4, true);
	p = first_of(&p, 48, 5, true);
	ends(rig, 0, p, TALON_BAD_INNER);
	p = behind(0, &good, 8);
	ends(rig, 0, first_of(&p, 40, 6, true), TALON_BAD_INNER);
	/* a way named inside a fragment */
	p = behind(43, &good, 8);
	ends(rig, 0, first_of(&p, 40, 7, true), TALON_SOURCE_ROUTED);
	/* a jumbogram: the length is in an option */
	p = behind(0, &bad, 8);
	p.bytes[42] = 0xc2;
	p.bytes[43] = 4;
	pkt_put16(p.bytes + 4, 0);
	ends(rig, 0, p, TALON_BAD_INNER);
	/* what goes no further than a header that is no extension is that protocol */
	ends(rig, 0, behind(51, &good, 16), TALON_ACL_DENIED);
	ends(rig, 0, behind(135, &good, 8), TALON_ACL_DENIED);
	ends(rig, 0, behind(139, &good, 8), TALON_ACL_DENIED);
}

/* Routers' advertisements and the like would be believed by the host's stack. */
static void what_is_of_the_link_alone_does_not_hide(void **state)
{
	const struct rule ping = { CLIENT6, 128, MESH6, 128, 58, ALL_PORTS };
	static const uint8_t types[] = { 130, 134, 135, 136, 137, 143 };
	struct rig *rig = *state;

	rig_six(rig);
	set_rule(rig, &ping);
	ends(rig, 0, echo(CLIENT6, MESH6, 128, 1), TALON_LOCAL);
	for (size_t i = 0; i < sizeof(types); i++) {
		struct packet p = PKT6(.src = ip6(CLIENT6), .dst = ip6(MESH6), .proto = 58,
			.icmp_type = types[i], .hops = 255, .payload = 56), inside;

		ends(rig, 0, p, TALON_BAD_DESTINATION);
		ends(rig, 0, behind(60, &p, 8), TALON_BAD_DESTINATION);
		ends(rig, 0, behind(0, &p, 8), TALON_BAD_DESTINATION);
		ends(rig, 0, first_of(&p, 64, 1, false), TALON_BAD_DESTINATION);
		ends(rig, 0, first_of(&p, 8, 2, true), TALON_BAD_DESTINATION);
		inside = behind(60, &p, 8);
		ends(rig, 0, first_of(&inside, 16, 3, true), TALON_BAD_DESTINATION);
	}
}

/* An error passes for the sake of a packet that may have been sent, not of one that is only claimed. */
static void an_error_about_a_forged_packet_is_judged_as_its_answer(void **state)
{
	const struct rule web = { CLIENT6, 128, MESH6, 128, 6, 443 };
	struct packet ours = tcp(MESH6, 443, CLIENT6, 5, TCP_ACK), ssh = tcp(MESH6, 22, CLIENT6, 5, TCP_ACK),
		others = tcp(MESH6, 443, CLIENT6_1, 5, TCP_ACK), node = tcp(NODE6, 443, CLIENT6, 5, TCP_ACK),
		martian = tcp(MESH6, 443, "fe80::1", 5, TCP_ACK),
		udp_of = udp(MESH6, RIG_PORT, CLIENT6, 5), p;
	struct { const struct packet *about; enum talon_end end; } cases[] = {
		{ &ours, TALON_LOCAL }, { &ssh, TALON_ACL_DENIED }, { &others, TALON_ACL_DENIED },
		{ &node, TALON_ACL_DENIED }, { &martian, TALON_ACL_DENIED }, { &udp_of, TALON_ACL_DENIED },
	};
	struct rig *rig = *state;

	rig_six(rig);
	set_rule(rig, &web);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (uint8_t type = 1; type <= 4; type++) {
			p = pkt_icmp6_error(ip6(CLIENT6), ip6(MESH6), type, 0, 68, cases[i].about,
				cases[i].about->len);
			ends(rig, 0, p, cases[i].end);
			p = behind(60, &p, 8);
			ends(rig, 0, p, cases[i].end);
		}
	}
	/* cut short of its ports, and with a way to go inside */
	p = pkt_icmp6_error(ip6(CLIENT6), ip6(MESH6), 2, 0, 1280, &ours, 47);
	ends(rig, 0, p, TALON_BAD_INNER);
	ours = behind(43, &ours, 8);
	p = pkt_icmp6_error(ip6(CLIENT6), ip6(MESH6), 2, 0, 1280, &ours, ours.len);
	ends(rig, 0, p, TALON_BAD_INNER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(without_rules_nothing_comes_in_and_no_flow_is_made),
		RIG_CASE(verdicts_are_those_of_the_rules),
		RIG_CASE(a_rule_for_this_host_covers_each_of_its_addresses),
		RIG_CASE(the_controllers_own_port_is_open_in_ipv4_alone),
		RIG_CASE(echo_and_other_protocols_go_by_their_number),
		RIG_CASE(a_flow_goes_on_until_the_generation_is_bumped),
		RIG_CASE(later_fragments_pass_after_a_first_one_that_passed),
		RIG_CASE(what_the_network_asks_is_answered_without_a_rule),
		RIG_CASE(peers_are_kept_apart_and_their_answers_pass),
		RIG_CASE(what_we_asked_is_forgotten_in_time),
		RIG_CASE(hairpinned_packets_are_judged_by_the_address_they_go_to),
		RIG_CASE(nothing_hides_a_port_from_the_rules),
		RIG_CASE(what_is_of_the_link_alone_does_not_hide),
		RIG_CASE(an_error_about_a_forged_packet_is_judged_as_its_answer),
	};

	return rig_main("access rules for IPv6", tests);
}
