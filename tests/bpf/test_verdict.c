// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// lib/verdict.h: what was decided about packets without a record holds until the generation changes and no
// longer, whatever it was made of; what differs from packet to packet is not kept.
#include <arpa/inet.h>
#include <net/if.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_ether.h>

#include "bpf/rig.h"
#include "policy/acl.h"
#include "talon/acl_types.h"
#include "talon/vip_types.h"

#define OTHER_MAC	"02:00:00:00:02:99"

static const char *const clients[RIG_PEERS] = { CLIENT, CLIENT1, CLIENT2 },
	*const clients6[RIG_PEERS] = { CLIENT6, CLIENT6_1, CLIENT6_2 };

static struct packet udp(const char *src, const char *dst)
{
	return PKT(.src = ip4(src), .dst = ip4(dst), .proto = 17, .sport = 5000, .dport = 53, .payload = 400,
		.frag = PKT_DF);
}

static struct packet udp6(const char *src, const char *dst)
{
	return PKT6(.src = ip6(src), .dst = ip6(dst), .proto = 17, .sport = 5000, .dport = 53,
		.payload = 400);
}

/* --- Rules --- */

static struct cidr everything(uint8_t family)
{
	return (struct cidr){ .family = family };
}

/* Rules that let @from, and nobody else, send UDP to everything; NULL: nobody. Not bumped yet. */
static void put_rules(struct rig *rig, const char *from, const char *from6)
{
	struct acl_maps maps = {
		.src = rig_fd(rig, "acl_src4"), .dst = rig_fd(rig, "acl_dst4"),
		.src6 = rig_fd(rig, "acl_src6"), .dst6 = rig_fd(rig, "acl_dst6"),
		.ports = rig_fd(rig, "acl_ports"), .bits = rig_fd(rig, "acl_bits"),
		.rules = rig_fd(rig, "acl_rules"),
	};
	struct cidr sources[] = { { .family = AF_INET, .prefixlen = 32 },
		{ .family = AF_INET6, .prefixlen = 128 } };
	struct acl_rule rules[2] = {};
	struct acl_table *table;
	struct addr6 six;
	char why[160];
	size_t n = 0;

	if (from) {
		sources[0].addr.word[0] = ip4(from);
		rules[n++] = (struct acl_rule){ .sources = &sources[0], .source_count = 1,
			.dst = everything(AF_INET), .proto = NETMAP_UDP };
	}
	if (from6) {
		six = ip6(from6);
		memcpy(&sources[1].addr, &six, sizeof(six));
		rules[n++] = (struct acl_rule){ .sources = &sources[1], .source_count = 1,
			.dst = everything(AF_INET6), .proto = NETMAP_UDP };
	}
	assert_int_equal(acl_compile(rules, n, &table, why, sizeof(why)), 0);
	assert_int_equal(acl_write(table, &maps, !rig->config.acl_bank), 0);
	acl_free(table);
	rig->config.acl_bank = !rig->config.acl_bank;
	rig->config.flags |= TALON_F_ACL;
	rig_config(rig);
}

/* --- Everything that a verdict is made of --- */

static void delete(struct rig *rig, const char *map, const void *key)
{
	assert_int_equal(bpf_map_delete_elem(rig_fd(rig, map), key), 0);
}

static void unroute(struct rig *rig, const char *map, const char *prefix, uint32_t len)
{
	struct talon_lpm4 key = { .prefixlen = len, .addr = ip4(prefix) };

	delete(rig, map, &key);
}

static void unroute6(struct rig *rig, const char *map, const char *prefix, uint32_t len)
{
	struct talon_lpm6 key = { .prefixlen = len };
	struct addr6 a = ip6(prefix);

	memcpy(&key.addr, &a, sizeof(a));
	delete(rig, map, &key);
}

static void own(struct rig *rig, const char *addr)
{
	struct talon_addr key = { .word[0] = strchr(addr, ':') ? 0 : ip4(addr) };
	struct addr6 six;
	uint8_t one = 1;

	if (strchr(addr, ':')) {
		six = ip6(addr);
		memcpy(&key, &six, sizeof(key));
	}
	rig_put(rig, "local_addrs", &key, &one);
}

static void hold(struct rig *rig, const char *addr, enum talon_vip_where where)
{
	struct talon_addr key = { .word[0] = ip4(addr) };
	struct talon_vip vip = { .where = where };

	rig_put(rig, "vips", &key, &vip);
}

static void route_goes(struct rig *rig) { unroute(rig, "routes4", "10.8.0.0", 24); }
static void client_moves(struct rig *rig) { rig_allow(rig, CLIENT, 32, 1); }
static void source_is_ours(struct rig *rig) { own(rig, CLIENT); }
static void local_lists_it(struct rig *rig) { rig_local(rig, PLAIN, 32); }
static void local_no_more(struct rig *rig) { unroute(rig, "local4", "10.7.0.0", 24); }
static void found_here(struct rig *rig) { rig_found(rig, PLAIN); }
static void held_here(struct rig *rig) { hold(rig, PLAIN, TALON_VIP_HERE); }
static void host_has_it(struct rig *rig) { rig_host_route(rig, PLAIN, 32, TALON_HOST_LOCAL, PLAIN); }
static void address_is_ours(struct rig *rig) { own(rig, PLAIN); }
static void peer_has_it(struct rig *rig) { rig_allow(rig, PLAIN, 32, 1); }
static void peer_goes(struct rig *rig) { unroute(rig, "allowed4", CLIENT1, 32); }
static void rules_change(struct rig *rig) { put_rules(rig, CLIENT2, NULL); }
static void rules_begin(struct rig *rig) { put_rules(rig, NULL, NULL); }
static void fib_refuses(struct rig *rig) { rig_ip("route replace unreachable 10.8.0.0/24"); }
static void fib_leads_into_the_tunnel(struct rig *rig) { rig_ip("route replace 10.8.0.0/24 dev wt0"); }
static void fib_has_it_back(struct rig *rig) { rig_ip("route replace 10.8.0.0/24 via 192.168.1.220"); }

static void route_gets_shorter(struct rig *rig)
{
	struct talon_lpm4 key = { .prefixlen = 24, .addr = ip4("10.8.0.0") };
	struct talon_host_route route = { .kind = TALON_HOST_UNICAST, .prefixlen = 24, .mtu = 300 };

	rig_put(rig, "host4", &key, &route);
}

static void mesh_address_changes(struct rig *rig)
{
	unroute(rig, "routes4", "100.64.0.0", 10);
	rig->config.mesh_addr = ip4("100.64.0.77");
	rig_config(rig);
}

static void kernel_stops_forwarding(struct rig *rig)
{
	assert_int_equal(system("echo 0 >/proc/sys/net/ipv4/ip_forward"), 0);
}

static void kernel_forwards(struct rig *rig)
{
	assert_int_equal(system("echo 1 >/proc/sys/net/ipv4/ip_forward"), 0);
}

static void route6_goes(struct rig *rig) { unroute6(rig, "routes6", "2001:db8:8::", 64); }
static void client6_moves(struct rig *rig) { rig_allow6(rig, CLIENT6, 128, 1); }
static void source6_is_ours(struct rig *rig) { own(rig, CLIENT6); }
static void local6_lists_it(struct rig *rig) { rig_local6(rig, PLAIN6, 128); }
static void local6_no_more(struct rig *rig) { unroute6(rig, "local6", "2001:db8:7::", 64); }
static void host6_has_it(struct rig *rig) { rig_host_route6(rig, PLAIN6, 128, TALON_HOST_LOCAL, PLAIN6, 0); }
static void address6_is_ours(struct rig *rig) { own(rig, PLAIN6); }
static void peer6_has_it(struct rig *rig) { rig_allow6(rig, PLAIN6, 128, 1); }
static void peer6_goes(struct rig *rig) { unroute6(rig, "allowed6", CLIENT6_1, 128); }
static void rules6_change(struct rig *rig) { put_rules(rig, NULL, CLIENT6_2); }
static void rules_both(struct rig *rig) { put_rules(rig, CLIENT, CLIENT6); }

/* From peer 0; @change is seen once the generation is another one. */
struct input {
	const char *dst;
	enum talon_end before;
	void (*change)(struct rig *rig);
	enum talon_end after;
	void (*first)(struct rig *rig);		/* may be NULL, as the next one */
	void (*last)(struct rig *rig);
};

static const struct input inputs[] = {
	{ PLAIN, TALON_FORWARDED, route_goes, .after = TALON_NO_ROUTE },
	{ PLAIN, TALON_FORWARDED, client_moves, .after = TALON_NOT_ALLOWED },
	{ PLAIN, TALON_FORWARDED, source_is_ours, .after = TALON_LOCAL_SOURCE },
	{ PLAIN, TALON_FORWARDED, local_lists_it, .after = TALON_LOCAL },
	{ VIP, TALON_LOCAL, local_no_more, .after = TALON_NO_ROUTE },
	{ PLAIN, TALON_FORWARDED, found_here, .after = TALON_LOCAL },
	{ PLAIN, TALON_FORWARDED, held_here, .after = TALON_LOCAL },
	{ PLAIN, TALON_FORWARDED, host_has_it, .after = TALON_LOCAL },
	{ PLAIN, TALON_FORWARDED, route_gets_shorter, .after = TALON_ICMP_SENT },
	{ PLAIN, TALON_FORWARDED, address_is_ours, .after = TALON_LOCAL },
	{ PLAIN, TALON_FORWARDED, peer_has_it, .after = TALON_RESEALED },
	{ CLIENT1, TALON_RESEALED, peer_goes, .after = TALON_ICMP_SENT },
	{ PLAIN, TALON_FORWARDED, rules_begin, .after = TALON_ACL_DENIED },
	{ PLAIN, TALON_FORWARDED, rules_change, .after = TALON_ACL_DENIED, .first = rules_both },
	{ CLIENT1, TALON_RESEALED, rules_change, .after = TALON_ACL_DENIED, .first = rules_both },
	{ NODE, TALON_LOCAL, rules_change, .after = TALON_ACL_DENIED, .first = rules_both },
	{ MESH, TALON_LOCAL, mesh_address_changes, .after = TALON_NO_ROUTE },
	{ PLAIN, TALON_FORWARDED, fib_refuses, .after = TALON_ICMP_SENT, .last = fib_has_it_back },
	{ PLAIN, TALON_FORWARDED, fib_leads_into_the_tunnel, .after = TALON_ICMP_SENT,
		.last = fib_has_it_back },
	{ PLAIN, TALON_FORWARDED, kernel_stops_forwarding, .after = TALON_FWD_DISABLED,
		.last = kernel_forwards },
	{ PLAIN6, TALON_FORWARDED, route6_goes, .after = TALON_NO_ROUTE },
	{ PLAIN6, TALON_FORWARDED, client6_moves, .after = TALON_NOT_ALLOWED },
	{ PLAIN6, TALON_FORWARDED, source6_is_ours, .after = TALON_LOCAL_SOURCE },
	{ PLAIN6, TALON_FORWARDED, local6_lists_it, .after = TALON_LOCAL },
	{ VIP6, TALON_LOCAL, local6_no_more, .after = TALON_NO_ROUTE },
	{ PLAIN6, TALON_FORWARDED, host6_has_it, .after = TALON_LOCAL },
	{ PLAIN6, TALON_FORWARDED, address6_is_ours, .after = TALON_LOCAL },
	{ PLAIN6, TALON_FORWARDED, peer6_has_it, .after = TALON_RESEALED },
	{ CLIENT6_1, TALON_RESEALED, peer6_goes, .after = TALON_ICMP_SENT },
	{ PLAIN6, TALON_FORWARDED, rules_begin, .after = TALON_ACL_DENIED },
	{ PLAIN6, TALON_FORWARDED, rules6_change, .after = TALON_ACL_DENIED, .first = rules_both },
};

static void ends_as(struct rig *rig, const char *dst, enum talon_end end)
{
	struct packet inner = strchr(dst, ':') ? udp6(CLIENT6, dst) : udp(CLIENT, dst);
	struct rig_result r = rig_from_peer(rig, 0, &inner);

	rig_ends(rig, &r, TALON_DIR_IN, end);
}

static void a_verdict_holds_until_the_generation_changes_and_no_longer(void **state)
{
	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
		const struct input *in = &inputs[i];
		struct rig *rig = *state;

		rig_six(rig);
		if (in->first)
			in->first(rig);
		rig_bump(rig);
		ends_as(rig, in->dst, in->before);
		ends_as(rig, in->dst, in->before);
		in->change(rig);
		/* or no verdict was kept at all; the tunnel's program, which seals in tc, keeps none */
		if (rig->hook == RIG_XDP || in->before != TALON_RESEALED)
			ends_as(rig, in->dst, in->before);
		rig_bump(rig);
		rig_refill(rig);
		ends_as(rig, in->dst, in->after);
		ends_as(rig, in->dst, in->after);
		if (in->last)
			in->last(rig);
		rig_teardown(state);
		assert_int_equal(rig_setup(state), 0);
	}
}

static void the_next_hop_is_that_of_this_generation(void **state)
{
	const uint8_t other[6] = { 2, 0, 0, 0, 2, 0x99 };
	struct packet inner = udp(CLIENT, PLAIN);
	struct rig *rig = *state;
	struct rig_result r;

	r = rig_from_peer(rig, 0, &inner);
	rig_plain(rig, &r);
	rig_ip("neigh replace 192.168.1.220 lladdr " OTHER_MAC " dev eth0 nud permanent");
	r = rig_from_peer(rig, 0, &inner);
	rig_plain(rig, &r);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	assert_memory_equal(r.frame.bytes, other, 6);
	rig_ip("route replace 10.8.0.0/24 via 10.9.0.2");
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(r.ifindex, rig->eth1);
	rig_plain(rig, &r);
	fib_has_it_back(rig);
	rig_ip("neigh replace 192.168.1.220 lladdr 02:00:00:00:02:20 dev eth0 nud permanent");
}

/* An unknown neighbour is asked for with each packet, until it is known. */
static void no_verdict_is_kept_without_a_next_hop(void **state)
{
	struct packet inner = udp(CLIENT, "10.12.0.9");
	struct rig *rig = *state;
	struct rig_result r;

	rig_ip("route add 10.12.0.0/28 via 192.168.1.78");
	rig_route(rig, "10.12.0.0", 24, 0);
	rig_bump(rig);
	for (int i = 0; i < 2; i++) {
		r = rig_from_peer(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_HELD);
	}
	rig_ip("neigh add 192.168.1.78 lladdr 02:00:00:00:02:20 dev eth0 nud permanent");
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	rig_plain(rig, &r);
	rig_ip("neigh del 192.168.1.78 dev eth0");
	rig_ip("route del 10.12.0.0/28");
}

static void a_route_that_is_masqueraded_now_makes_a_record(void **state)
{
	struct packet inner = udp(CLIENT, PLAIN), out;
	struct rig *rig = *state;
	struct rig_result r;
	uint32_t node = ip4(NODE);

	ends_as(rig, PLAIN, TALON_FORWARDED);
	rig_route(rig, "10.8.0.0", 24, TALON_ROUTE_MASQUERADE);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	out = rig_plain(rig, &r);
	assert_memory_equal(out.bytes + 12, &node, 4);
	rig_route(rig, "10.8.0.0", 24, 0);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	out = rig_plain(rig, &r);
	assert_memory_equal(out.bytes + 12, inner.bytes + 12, 4);
}

/* --- From the network --- */

static void plain_routes(struct rig *rig)
{
	rig->config.flags |= TALON_F_PLAIN_ROUTES | TALON_F_PLAIN_ROUTES6;
	rig_bump(rig);
}

/* To peer @peer, or TALON_PEER_NONE: it is the host's. */
static void from_wire_goes_to(struct rig *rig, bool six, uint32_t peer)
{
	struct packet p = six ? udp6(PLAIN6, CLIENT6) : udp(PLAIN, CLIENT), got;
	struct rig_result r = rig_from_wire(rig, &p);

	if (peer == TALON_PEER_NONE) {
		rig_uncounted(&r);
		assert_int_equal(r.verdict, RIG_PASS);
		return;
	}
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	got = rig_opened(rig, &r, peer);
	assert_int_equal(got.len, p.len);
}

static void client_goes(struct rig *rig) { unroute(rig, "allowed4", CLIENT, 32); }
static void client_is_local(struct rig *rig) { rig_local(rig, CLIENT, 32); }
static void host_has_client(struct rig *rig) { rig_host_route(rig, CLIENT, 32, TALON_HOST_LOCAL, CLIENT); }
static void client_is_ours(struct rig *rig) { own(rig, CLIENT); }
static void client6_goes(struct rig *rig) { unroute6(rig, "allowed6", CLIENT6, 128); }
static void client6_is_local(struct rig *rig) { rig_local6(rig, CLIENT6, 128); }
static void client6_is_ours(struct rig *rig) { own(rig, CLIENT6); }

static void mac_changes(struct rig *rig)
{
	rig_link(rig, rig->eth0, rig_mac1, 1500,
		TALON_LINK_UPLINK | TALON_LINK_PROGRAM | TALON_LINK_REDIRECT);
}

static void what_comes_from_the_network_follows_the_generation_too(void **state)
{
	static const struct {
		bool six;
		void (*change)(struct rig *rig);
		uint32_t after;
	} cases[] = {
		{ false, client_moves, 1 }, { false, client_goes, TALON_PEER_NONE },
		{ false, client_is_local, TALON_PEER_NONE }, { false, host_has_client, TALON_PEER_NONE },
		{ false, client_is_ours, TALON_PEER_NONE },
		{ false, mac_changes, TALON_PEER_NONE },
		{ true, client6_moves, 1 }, { true, client6_goes, TALON_PEER_NONE },
		{ true, client6_is_local, TALON_PEER_NONE }, { true, client6_is_ours, TALON_PEER_NONE },
		{ true, mac_changes, TALON_PEER_NONE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig *rig = *state;

		/* in tc the kernel knows for whom a frame was, and the tunnel's program finds the peer */
		if (rig->hook == RIG_TC && (cases[i].change == mac_changes || cases[i].after == 1))
			continue;
		rig->is_out_of_tunnel = rig->hook == RIG_TC;
		rig_six(rig);
		plain_routes(rig);
		if (rig->hook == RIG_TC) {
			struct packet p = cases[i].six ? udp6(PLAIN6, CLIENT6) : udp(PLAIN, CLIENT);
			struct rig_result r;

			for (int n = 0; n < 4; n++) {
				if (n == 2)
					cases[i].change(rig);
				if (n == 3)
					rig_bump(rig);
				r = rig_from_wire(rig, &p);
				assert_int_equal(r.verdict, n == 3 ? RIG_PASS : RIG_SEND);
			}
		} else {
			from_wire_goes_to(rig, cases[i].six, 0);
			from_wire_goes_to(rig, cases[i].six, 0);
			cases[i].change(rig);
			from_wire_goes_to(rig, cases[i].six, 0);
			rig_bump(rig);
			from_wire_goes_to(rig, cases[i].six, cases[i].after);
		}
		rig_teardown(state);
		assert_int_equal(rig_setup(state), 0);
	}
}

static void a_frame_for_another_mac_is_not_ours_for_a_verdict(void **state)
{
	struct packet p = udp(PLAIN, CLIENT), frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &p);
	struct rig *rig = *state;
	struct rig_result r;

	if (rig->hook == RIG_TC)
		skip();		/* the kernel marks such frames, a test run does not */
	plain_routes(rig);
	from_wire_goes_to(rig, false, 0);
	frame.bytes[5] ^= 1;
	r = rig_run(rig, &frame);
	rig_uncounted(&r);
	assert_int_equal(r.verdict, RIG_PASS);
}

static void a_source_that_is_ours_now_is_forged(void **state)
{
	struct packet p = udp(PLAIN, CLIENT);
	struct rig *rig = *state;
	struct rig_result r;

	plain_routes(rig);
	r = rig_from_wire(rig, &p);
	assert_int_equal(r.verdict, RIG_SEND);
	own(rig, PLAIN);
	rig_bump(rig);
	r = rig_from_wire(rig, &p);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_LOCAL_SOURCE);
}

/* --- What each packet decides by itself --- */

static void ttl_and_size_are_those_of_each_packet(void **state)
{
	static const char *const to[] = { PLAIN, CLIENT1 };
	struct rig *rig = *state;

	for (int i = 0; i < 2; i++) {
		struct packet expired = PKT(.src = ip4(CLIENT), .dst = ip4(to[i]), .proto = 17, .sport = 5000,
			.dport = 53, .ttl = 1);
		struct rig_result r;

		ends_as(rig, to[i], i ? TALON_RESEALED : TALON_FORWARDED);
		r = rig_from_peer(rig, 0, &expired);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
		assert_int_equal(rig_opened(rig, &r, 0).bytes[20], 11);
	}
	rig_ip("link set eth0 mtu 1000");
	rig_bump(rig);
	for (int df = 1; df >= 0; df--) {
		struct packet big = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 17, .sport = 5000,
			.dport = 53, .payload = 1100, .frag = df ? PKT_DF : 0);
		struct rig_result r;

		ends_as(rig, PLAIN, TALON_FORWARDED);
		r = rig_from_peer(rig, 0, &big);
		rig_ends(rig, &r, TALON_DIR_IN, df ? TALON_ICMP_SENT : TALON_HELD);
		if (!df)	/* with the next hop's address, which no verdict has */
			assert_int_equal(rig_event(&r, TALON_EVENT_TOO_BIG)->head.addr.word[0], ip4(GATEWAY));
	}
	rig_ip("link set eth0 mtu 1500");
}

static void a_port_that_is_mapped_meanwhile_goes_to_its_client(void **state)
{
	struct packet out = udp(CLIENT1, GATEWAY), seen, in;
	struct rig *rig = *state;
	struct rig_result r;
	uint16_t port;

	r = rig_from_peer(rig, 1, &out);
	seen = rig_plain(rig, &r);
	port = seen.bytes[20] << 8 | seen.bytes[21];
	in = PKT(.src = ip4(CLIENT), .dst = ip4(NODE), .proto = 17, .sport = 5000, .dport = port + 1);
	r = rig_from_peer(rig, 0, &in);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_LOCAL);
	/* the port's word, as a flow of it would write it */
	{
		uint32_t from = (uint32_t)1 << 16 | port, to = from + 1;
		struct talon_nat_port owner;

		assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "nat_ports"), &from, &owner), 0);
		rig_put(rig, "nat_ports", &to, &owner);
	}
	r = rig_from_peer(rig, 0, &in);
	assert_int_not_equal(r.counts[TALON_DIR_IN * TALON_END_COUNT + TALON_LOCAL], 1);
}

/* Only as an answer to something may it pass: then each packet is asked for that. */
static void an_answer_passes_only_while_its_connection_is_known(void **state)
{
	struct packet ask = PKT(.src = ip4(CLIENT), .dst = ip4(CLIENT1), .proto = 17, .sport = 53,
		.dport = 5000), answer = PKT(.src = ip4(CLIENT1), .dst = ip4(CLIENT), .proto = 17,
		.sport = 5000, .dport = 53);
	struct rig *rig = *state;
	struct talon_flow_key key;
	struct rig_result r;

	put_rules(rig, CLIENT, NULL);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &ask);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	for (int i = 0; i < 3; i++) {
		r = rig_from_peer(rig, 1, &answer);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	}
	assert_int_equal(bpf_map_get_next_key(rig_fd(rig, "acl_ct"), NULL, &key), 0);
	delete(rig, "acl_ct", &key);
	r = rig_from_peer(rig, 1, &answer);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ACL_DENIED);
	r = rig_from_peer(rig, 0, &ask);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	r = rig_from_peer(rig, 1, &answer);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
}

/* While rules let the answers in, nothing is remembered; when they no longer do, the next packet is. */
static void a_connection_is_remembered_as_soon_as_the_rules_do_not_know_its_answers(void **state)
{
	struct packet ask = udp(CLIENT, CLIENT1);
	struct rig *rig = *state;
	struct talon_flow_key key;
	struct cidr sources[] = { { .family = AF_INET, .prefixlen = 10, .addr.word[0] = ip4("100.64.0.0") } };
	struct acl_rule rule = { .sources = sources, .source_count = 1, .dst = everything(AF_INET) };
	struct acl_maps maps = {
		.src = rig_fd(rig, "acl_src4"), .dst = rig_fd(rig, "acl_dst4"),
		.ports = rig_fd(rig, "acl_ports"), .bits = rig_fd(rig, "acl_bits"),
		.rules = rig_fd(rig, "acl_rules"),
	};
	struct acl_table *table;
	struct rig_result r;
	char why[160];

	assert_int_equal(acl_compile(&rule, 1, &table, why, sizeof(why)), 0);
	assert_int_equal(acl_write(table, &maps, 0), 0);
	acl_free(table);
	rig->config.flags |= TALON_F_ACL;
	rig_bump(rig);
	for (int i = 0; i < 3; i++) {
		r = rig_from_peer(rig, 0, &ask);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	}
	assert_int_not_equal(bpf_map_get_next_key(rig_fd(rig, "acl_ct"), NULL, &key), 0);
	put_rules(rig, CLIENT, NULL);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &ask);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	assert_int_equal(bpf_map_get_next_key(rig_fd(rig, "acl_ct"), NULL, &key), 0);
}

static void later_fragments_of_a_datagram_with_a_verdict_pass(void **state)
{
	struct packet whole = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 17, .sport = 5000,
		.dport = 53, .payload = 800, .id = 77), first = pkt_fragment(&whole, 0, 400),
		later = pkt_fragment(&whole, 400, 408);
	struct acl_rule rule = { .sources = &(struct cidr){ .family = AF_INET, .prefixlen = 32,
		.addr.word[0] = ip4(CLIENT) }, .source_count = 1, .dst = everything(AF_INET),
		.proto = NETMAP_UDP, .port_first = 53, .port_last = 53 };
	struct rig *rig = *state;
	struct acl_maps maps = {
		.src = rig_fd(rig, "acl_src4"), .dst = rig_fd(rig, "acl_dst4"),
		.ports = rig_fd(rig, "acl_ports"), .bits = rig_fd(rig, "acl_bits"),
		.rules = rig_fd(rig, "acl_rules"),
	};
	struct acl_table *table;
	struct rig_result r;
	char why[160];

	assert_int_equal(acl_compile(&rule, 1, &table, why, sizeof(why)), 0);
	assert_int_equal(acl_write(table, &maps, 0), 0);
	acl_free(table);
	rig->config.flags |= TALON_F_ACL;
	rig_bump(rig);
	ends_as(rig, PLAIN, TALON_FORWARDED);
	r = rig_from_peer(rig, 0, &later);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ACL_DENIED);
	r = rig_from_peer(rig, 0, &first);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	r = rig_from_peer(rig, 0, &later);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
}

/* A virtual address that left: whether TCP is handed up depends on the packet. */
static void an_address_that_left_is_judged_packet_by_packet(void **state)
{
	struct packet syn = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN), .proto = 6, .sport = 5000,
		.dport = 443, .tcp_flags = TCP_SYN, .frag = PKT_DF),
		ack = PKT(.src = ip4(CLIENT), .dst = ip4(PLAIN),
		.proto = 6, .sport = 5000, .dport = 443, .tcp_flags = TCP_ACK, .frag = PKT_DF);
	struct rig *rig = *state;

	hold(rig, PLAIN, TALON_VIP_LEFT);
	rig_bump(rig);
	for (int i = 0; i < 3; i++) {
		struct rig_result r = rig_from_peer(rig, 0, &syn);

		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
		r = rig_from_peer(rig, 0, &ack);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_LOCAL);
	}
}

/* A verdict is about one peer, and one source. */
static void no_verdict_serves_another_peer(void **state)
{
	struct packet inner = udp(CLIENT, PLAIN);
	struct rig *rig = *state;
	struct rig_result r;

	ends_as(rig, PLAIN, TALON_FORWARDED);
	r = rig_from_peer(rig, 1, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NOT_ALLOWED);
	ends_as(rig, PLAIN, TALON_FORWARDED);
}

/* --- With verdicts and without: the same --- */

static uint64_t random_state;

static uint32_t below(uint32_t n)	/* xorshift64* */
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)(random_state * 2685821657736338717ULL >> 32) % n;
}

/* One of the changes, in both worlds; most are taken back soon. */
static void change_world(struct rig *rig, uint32_t what, uint32_t how)
{
	static const char *const dsts[] = { PLAIN, VIP, CLIENT1, CLIENT2, "10.8.0.77" },
		*const dsts6[] = { PLAIN6, VIP6, CLIENT6_1, CLIENT6_2, "2001:db8:8::77" };
	const char *dst = dsts[how % 5], *dst6 = dsts6[how % 5];
	struct talon_addr addr = { .word[0] = ip4(dst) };
	struct talon_lpm4 key = { .prefixlen = 32, .addr = ip4(dst) };
	bool back = how & 96;
	struct talon_lpm6 key6 = { .prefixlen = 128 };
	struct addr6 six = ip6(dst6);

	memcpy(&key6.addr, &six, sizeof(six));
	switch (what) {
	case 0:
		back ? bpf_map_delete_elem(rig_fd(rig, "local4"), &key) : (rig_local(rig, dst, 32), 0);
		break;
	case 1:
		back ? bpf_map_delete_elem(rig_fd(rig, "host4"), &key)
			: (rig_host_route(rig, dst, 32, how & 16 ? TALON_HOST_LOCAL : TALON_HOST_BROADCAST,
				dst), 0);
		break;
	case 2:
		back ? bpf_map_delete_elem(rig_fd(rig, "local_addrs"), &addr) : (own(rig, dst), 0);
		break;
	case 3:
		back ? bpf_map_delete_elem(rig_fd(rig, "vips"), &addr) : (hold(rig, dst, 1 + how / 8 % 3), 0);
		break;
	case 4:
		rig_route(rig, "10.8.0.0", 24, back ? 0 : TALON_ROUTE_MASQUERADE);
		break;
	case 5:
		rig_allow(rig, clients[1 + how % 2], 32, back ? 1 + how % 2 : how / 4 % RIG_PEERS);
		break;
	case 6:
		put_rules(rig, how & 1 ? clients[how / 2 % 3] : NULL,
			how & 16 ? clients6[how / 2 % 3] : NULL);
		if (how % 3)
			rig->config.flags &= ~TALON_F_ACL;
		break;
	case 7:
		back ? bpf_map_delete_elem(rig_fd(rig, "local6"), &key6) : (rig_local6(rig, dst6, 128), 0);
		break;
	case 8:
		back ? bpf_map_delete_elem(rig_fd(rig, "host6"), &key6)
			: (rig_host_route6(rig, dst6, 128, TALON_HOST_LOCAL, dst6, 0), 0);
		break;
	case 9:
		rig_allow6(rig, clients6[1 + how % 2], 128, back ? 1 + how % 2 : how / 4 % RIG_PEERS);
		break;
	case 10:
		rig_route6(rig, "2001:db8:8::", 64, back ? 0 : TALON_ROUTE_MASQUERADE);
		break;
	default:
		rig->config.flags ^= how & 1 ? TALON_F_PLAIN_ROUTES : TALON_F_PLAIN_ROUTES6;
		break;
	}
}

struct some {
	struct packet packet;
	uint32_t peer;		/* TALON_PEER_NONE: from the wire */
	bool odd_mac;
};

static struct some some_packet(void)
{
	static const char *const dsts[] = { PLAIN, PLAIN, VIP, CLIENT1, CLIENT2, MESH, NODE, "10.8.0.77" },
		*const dsts6[] = { PLAIN6, PLAIN6, VIP6, CLIENT6_1, CLIENT6_2, MESH6, NODE6,
			"2001:db8:8::77" };
	static const uint8_t flags[] = { TCP_SYN, TCP_ACK, TCP_FIN | TCP_ACK };
	struct some s = { .peer = below(RIG_PEERS) };
	uint32_t client = below(12) ? s.peer : below(RIG_PEERS), dst = below(8), proto = below(3),
		ttl = below(15) ? 64 : 1, size = below(15) ? 40 : 1300, frag = below(10) ? 0 : PKT_MF;
	uint16_t sport = 5000 + below(2), dport = 53 + below(2);
	bool out = !below(3), six = below(2);
	const char *src = six ? clients6[client] : clients[client], *to = six ? dsts6[dst] : dsts[dst];

	if (out) {
		s.peer = TALON_PEER_NONE;
		s.odd_mac = !below(10);
		to = src;
		src = six ? PLAIN6 : below(8) ? PLAIN : NODE;
	}
	if (six)
		s.packet = PKT6(.src = ip6(src), .dst = ip6(to),
			.proto = proto == 0 ? 6 : proto == 1 ? 17 : 58, .sport = sport, .dport = dport,
			.hops = ttl, .payload = size, .icmp_type = 128 + (out && below(2)),
			.icmp_id = sport, .tcp_flags = flags[below(3)]);
	else
		s.packet = PKT(.src = ip4(src), .dst = ip4(to), .proto = proto == 0 ? 6 : proto == 1 ? 17 : 1,
			.sport = sport, .dport = dport, .ttl = ttl, .payload = size, .frag = frag,
			/* a record's way serves an answer of its client's, too */
			.icmp_type = out && below(2) ? 0 : 8, .icmp_id = sport, .tcp_flags = flags[below(3)],
			.id = below(4));
	return s;
}

static struct rig_result run_some(struct rig *rig, const struct some *s)
{
	struct packet frame;

	rig_refill(rig);
	if (s->peer != TALON_PEER_NONE)
		return rig_from_peer(rig, s->peer, &s->packet);
	frame = pkt_ether(rig_mac, rig_gateway_mac, s->packet.bytes[0] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP,
		&s->packet);
	if (s->odd_mac && rig->hook == RIG_XDP)
		frame.bytes[5] ^= 1;
	return rig_run(rig, &frame);
}

/* Bytes, but for what each world draws for itself: keys, and ports and ids of what is masqueraded. */
static void same_bytes(const struct rig_result *a, const struct rig_result *b)
{
	uint32_t node = ip4(NODE);

	assert_int_equal(a->frame.len, b->frame.len);
	if (a->verdict != RIG_SEND || !memcmp(a->frame.bytes + 26, &node, 4) || a->frame.bytes[12] == 0x86)
		return;
	assert_memory_equal(a->frame.bytes, b->frame.bytes, a->frame.len);
}

/* One world keeps verdicts as long as nothing changes, the other decides about each packet anew. */
static void random_worlds_are_the_same_with_verdicts_and_without(void **state)
{
	const char *seed = getenv("TALON_FUZZ_SEED"), *frames = getenv("TALON_FUZZ_FRAMES");
	uint32_t count = frames ? strtoul(frames, NULL, 0) : 4000, changes = 0, sent = 0;
	struct rig *with = *state, *without;

	random_state = seed ? strtoull(seed, NULL, 0) | 1 : 20261130;
	assert_int_equal(rig_setup((void **)&without), 0);
	without->config.keys = with->config.keys;
	rig_six(with);
	rig_six(without);
	plain_routes(with);
	plain_routes(without);
	for (uint32_t i = 0; i < count; i++) {
		struct some s = some_packet();
		struct rig_result a, b;

		if (!below(12)) {
			uint32_t what = below(12), how = below(128);

			change_world(with, what, how);
			change_world(without, what, how);
			rig_bump(with);
			changes++;
		}
		rig_bump(without);
		a = run_some(with, &s);
		b = run_some(without, &s);
		if (a.verdict != b.verdict || memcmp(a.counts, b.counts, sizeof(a.counts)) ||
			a.ifindex != b.ifindex || a.event_count != b.event_count) {
			for (int e = 0; e < TALON_STATS_ENTRIES; e++)
				if (a.counts[e] || b.counts[e])
					print_error("%s: %u with verdicts, %u without\n",
						rig_end_name(e % TALON_END_COUNT), a.counts[e], b.counts[e]);
			fail_msg("TALON_FUZZ_SEED=%s, packet %u: verdict %u, without %u", seed ? seed : "", i,
				a.verdict, b.verdict);
		}
		same_bytes(&a, &b);
		sent += a.verdict == RIG_SEND;
	}
	print_message("%u packets, %u sent, %u changes\n", count, sent, changes);
	assert_true(sent > count / 20);
	rig_teardown((void **)&without);
}

/* --- Races --- */

/* Even: peer 0 has the client's address, and it is published; odd: something is being changed. */
struct mover {
	struct rig *rig;
	volatile uint32_t moves;
	volatile bool stop;
};

static void *move_client(void *context)
{
	struct mover *m = context;

	while (!m->stop) {
		__atomic_add_fetch(&m->moves, 1, __ATOMIC_SEQ_CST);
		rig_allow(m->rig, CLIENT, 32, (m->moves + 1) / 2 % 2);
		rig_bump(m->rig);
		__atomic_add_fetch(&m->moves, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* A packet that began after a change was published is never sent as before it. */
static void what_has_changed_is_never_forgotten_again(void **state)
{
	struct mover m = { .rig = *state };
	struct packet p = udp(PLAIN, CLIENT), frame = pkt_ether(rig_mac, rig_gateway_mac, ETH_P_IP, &p);
	uint32_t judged = 0, moves;
	uint8_t out[2048];
	pthread_t thread;
	int prog;

	if (m.rig->hook == RIG_TC)
		skip();		/* both hooks have the same code; here one program seals */
	plain_routes(m.rig);
	prog = bpf_program__fd(bpf_object__next_program(m.rig->obj, NULL));
	assert_int_equal(pthread_create(&thread, NULL, move_client, &m), 0);
	for (uint32_t i = 0; i < 200000 && judged < 4000; i++) {
		struct xdp_md in = { .data_end = frame.len, .ingress_ifindex = m.rig->eth0 };
		LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.bytes, .data_size_in = frame.len,
			.data_out = out, .data_size_out = sizeof(out), .ctx_in = &in,
			.ctx_size_in = sizeof(in));
		uint32_t to;

		moves = __atomic_load_n(&m.moves, __ATOMIC_SEQ_CST);
		assert_int_equal(bpf_prog_test_run_opts(prog, &run), 0);
		if (moves % 2 || moves != __atomic_load_n(&m.moves, __ATOMIC_SEQ_CST))
			continue;
		assert_true(run.retval == XDP_REDIRECT || run.retval == XDP_TX);
		memcpy(&to, out + 30, 4);
		assert_int_equal(to, m.rig->peers[moves / 2 % 2].addr);
		judged++;
	}
	m.stop = true;
	pthread_join(thread, NULL);
	print_message("%u moves, %u packets judged\n", m.moves / 2, judged);
	assert_true(judged >= 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(a_verdict_holds_until_the_generation_changes_and_no_longer),
		RIG_CASE(the_next_hop_is_that_of_this_generation),
		RIG_CASE(no_verdict_is_kept_without_a_next_hop),
		RIG_CASE(a_route_that_is_masqueraded_now_makes_a_record),
		RIG_CASE(what_comes_from_the_network_follows_the_generation_too),
		RIG_CASE(a_frame_for_another_mac_is_not_ours_for_a_verdict),
		RIG_CASE(a_source_that_is_ours_now_is_forged),
		RIG_CASE(ttl_and_size_are_those_of_each_packet),
		RIG_CASE(a_port_that_is_mapped_meanwhile_goes_to_its_client),
		RIG_CASE(an_answer_passes_only_while_its_connection_is_known),
		RIG_CASE(a_connection_is_remembered_as_soon_as_the_rules_do_not_know_its_answers),
		RIG_CASE(later_fragments_of_a_datagram_with_a_verdict_pass),
		RIG_CASE(an_address_that_left_is_judged_packet_by_packet),
		RIG_CASE(no_verdict_serves_another_peer),
		RIG_CASE(random_worlds_are_the_same_with_verdicts_and_without),
		RIG_CASE(what_has_changed_is_never_forgotten_again),
	};

	return rig_main("verdicts", tests);
}
