// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Whose packet is it? Every kind of destination, masqueraded or not, with and without rules, in both hooks:
// verdict, bytes, source, counter.
#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_ether.h>

#include "policy/acl.h"
#include "bpf/rig.h"
#include "talon/icmp_wire.h"

#define VIP_HERE	"192.168.1.230"		/* a /32 beside the node's address */
#define VIP_ELSEWHERE	"192.168.1.231"		/* the same, held by the gateway's host */
#define RANGE_HERE	"10.14.0.9"		/* inside a range that the host has as a whole */
#define ONWARD		"10.10.0.2"		/* by eth2, which takes no redirected frames */
#define NO_ETHERNET	"10.11.0.2"		/* by tun0 */
#define ROUTED		"10.12.0.5"		/* by a route with an MTU of its own, 1300 */
#define BLACK		"10.67.0.5"
#define PROHIBITED	"10.68.0.5"
#define SERVICE		"10.8.0.10"		/* found to be served here, though the FIB leads on */
#define SERVICE_ELSEWHERE "10.8.0.11"		/* found to be served by another node */
#define ROUTELESS	"10.69.0.5"
/* in a network of peer 1's, inside a wider one that is served */
#define SUBNET_PEER	"10.13.0.7"
#define LATE		"10.9.0.9"		/* by eth1, nobody has answered for it */

/* What becomes of a packet that the rules permit. */
enum fate {
	UP,			/* handed to the host, untouched */
	/* with the source address of the case if masqueraded */
	BY_ETH0, BY_ETH0_VIA, BY_ETH1, BY_ETH2, BY_TUN,
	TO_PEER1,
	HELD,			/* given to the controller: the next hop is not known */
	REFUSED,		/* an ICMP error to the peer */
	SILENT,			/* dropped and counted */
};

/* Whose rules are asked: those for networks, or those for this host, its mesh address. */
enum asked { NETWORKS, HOST };

struct kind {
	const char *name;
	const char *dst;
	const char *route;	/* that serves it, NULL: none */
	int route_len;
	enum fate masqueraded, plain;
	const char *source;	/* that the network sees if masqueraded */
	enum asked asked;
	uint8_t code;		/* of the ICMP error (type 3) */
	enum talon_end silent;
};

static const struct kind kinds[] = {
	{ "own address", NODE, "192.168.1.0", 24, UP, UP, .asked = HOST },
	{ "another own address", "10.9.0.1", "10.9.0.0", 24, UP, UP, .asked = HOST },
	{ "mesh address", MESH, NULL, 0, UP, UP, .asked = HOST },
	{ "VIP held here", VIP_HERE, "192.168.1.0", 24, UP, UP, .asked = HOST },
	{ "own range", RANGE_HERE, "10.14.0.0", 16, UP, UP, .asked = HOST },
	{ "Local", VIP, NULL, 0, UP, UP, .asked = NETWORKS },
	{ "Local, served by a longer route as well", "10.7.0.9", "10.7.0.9", 32, UP, UP, .asked = NETWORKS },
	{ "service found here", SERVICE, "10.8.0.0", 24, UP, UP, .asked = NETWORKS },
	{ "service found here, everything served", SERVICE, "0.0.0.0", 0, UP, UP, .asked = NETWORKS },
	{ "service found here, not served", SERVICE, NULL, 0, SILENT, SILENT, .silent = TALON_NO_ROUTE },
	{ "service found elsewhere", SERVICE_ELSEWHERE, "10.8.0.0", 24, BY_ETH0_VIA, BY_ETH0_VIA, NODE,
		.asked = NETWORKS },
	{ "own address that is a service's too", "10.9.0.1", "10.9.0.0", 24, UP, UP, .asked = HOST },
	{ "VIP held elsewhere", VIP_ELSEWHERE, "192.168.1.0", 24, BY_ETH0, BY_ETH0, NODE, .asked = NETWORKS },
	{ "on link", GATEWAY, "192.168.1.0", 24, BY_ETH0, BY_ETH0, NODE, .asked = NETWORKS },
	{ "on another link", NARROW, "10.9.0.0", 24, BY_ETH1, BY_ETH1, "10.9.0.1", .asked = NETWORKS },
	{ "via the gateway", PLAIN, "10.8.0.0", 24, BY_ETH0_VIA, BY_ETH0_VIA, NODE, .asked = NETWORKS },
	{ "behind everything", "10.8.0.6", "0.0.0.0", 0, BY_ETH0_VIA, BY_ETH0_VIA, NODE, .asked = NETWORKS },
	{ "device that takes no redirected frames", ONWARD, "10.10.0.0", 24, BY_ETH2, BY_ETH2, "10.10.0.1",
		.asked = NETWORKS },
	{ "device without Ethernet and program", NO_ETHERNET, "10.11.0.0", 24, REFUSED, BY_TUN, .code = 1,
		.silent = TALON_NO_WAY_BACK },
	{ "peer", CLIENT1, "100.64.0.0", 10, TO_PEER1, TO_PEER1, .asked = NETWORKS },
	{ "peer, everything served", CLIENT1, "0.0.0.0", 0, TO_PEER1, TO_PEER1, .asked = NETWORKS },
	{ "a peer's network in one that is served", SUBNET_PEER, "10.0.0.0", 8, TO_PEER1, TO_PEER1,
		.asked = NETWORKS },
	{ "mesh address of nobody", "100.64.0.99", "100.64.0.0", 10, REFUSED, REFUSED, .code = 1,
		.silent = TALON_NO_PEER },
	{ "broadcast", "192.168.1.255", "192.168.1.0", 24, UP, UP, .asked = HOST },
	{ "neighbour unknown", LATE, "10.9.0.0", 24, HELD, HELD, "10.9.0.1", .asked = NETWORKS },
	{ "blackhole", BLACK, "10.67.0.0", 24, SILENT, SILENT, .silent = TALON_BLACKHOLE },
	{ "unreachable", UNREACHABLE, "10.66.0.0", 24, REFUSED, REFUSED, .code = 1,
		.silent = TALON_UNREACHABLE },
	{ "prohibit", PROHIBITED, "10.68.0.0", 24, REFUSED, REFUSED, .code = 13,
		.silent = TALON_UNREACHABLE },
	{ "no route", ROUTELESS, "10.69.0.0", 24, REFUSED, REFUSED, .code = 0, .silent = TALON_NO_FIB },
	{ "loopback", "127.0.0.1", "0.0.0.0", 0, SILENT, SILENT, .silent = TALON_BAD_DESTINATION },
	{ "multicast", "239.1.2.3", "0.0.0.0", 0, SILENT, SILENT, .silent = TALON_BAD_DESTINATION },
	{ "limited broadcast", "255.255.255.255", "0.0.0.0", 0, SILENT, SILENT,
		.silent = TALON_BAD_DESTINATION },
	{ "not served", "10.99.0.1", NULL, 0, SILENT, SILENT, .silent = TALON_NO_ROUTE },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

enum rules { RULES_OFF, RULES_NETWORKS, RULES_HOST, RULES_NONE, RULES_COUNT };

static const uint8_t mac2[6] = { 2, 0, 0, 0, 0x0a, 1 };

static struct cidr cidr(const char *text, uint8_t len)
{
	return (struct cidr){ .family = AF_INET, .prefixlen = len, .addr.word[0] = ip4(text) };
}

static void set_rules(struct rig *rig, enum rules rules)
{
	struct cidr from = cidr("100.64.0.0", 10);
	struct acl_rule list[KINDS + 1] = {};
	struct acl_maps maps = {
		.src = rig_fd(rig, "acl_src4"), .dst = rig_fd(rig, "acl_dst4"),
		.ports = rig_fd(rig, "acl_ports"), .bits = rig_fd(rig, "acl_bits"),
		.rules = rig_fd(rig, "acl_rules"),
	};
	struct acl_table *table;
	char why[160] = "";
	size_t n = 0;

	if (rules == RULES_NETWORKS) {	/* all that any route serves, but not the mesh address */
		for (size_t i = 0; i < KINDS; i++) {
			if (strcmp(kinds[i].dst, MESH))
				list[n++] = (struct acl_rule){ .sources = &from, .source_count = 1,
					.dst = cidr(kinds[i].dst, 32) };
		}
	} else if (rules == RULES_HOST) {
		list[n++] = (struct acl_rule){ .sources = &from, .source_count = 1, .dst = cidr(MESH, 32) };
	}
	rig->config.flags &= ~TALON_F_ACL;
	if (rules != RULES_OFF) {
		assert_int_equal(acl_compile(list, n, &table, why, sizeof(why)), 0);
		assert_int_equal(acl_write(table, &maps, 0), 0);
		acl_free(table);
		rig->config.flags |= TALON_F_ACL;
	}
	rig_bump(rig);
}

static bool permitted(const struct kind *k, enum rules rules)
{
	return rules == RULES_OFF || (rules == RULES_NETWORKS && k->asked == NETWORKS) ||
		(rules == RULES_HOST && k->asked == HOST);
}

/*
 * What the default rig has not: addresses, routes and devices of these cases. Routes to networks come
 * with each case.
 */
static void prepare(struct rig *rig)
{
	static const struct { const char *prefix; int len; } served[] = {
		{ "192.168.1.0", 24 }, { "10.9.0.0", 24 }, { "10.66.0.0", 24 }, { "10.8.0.0", 24 },
		{ "100.64.0.0", 10 },
	};
	const struct talon_lpm4 elsewhere = { .prefixlen = 32, .addr = ip4(SERVICE_ELSEWHERE) };
	struct talon_addr vip = { .word = { ip4(VIP_HERE) } };
	const uint32_t none = 0;
	uint8_t one = 1;

	for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++) {
		struct talon_lpm4 key = { .prefixlen = served[i].len, .addr = ip4(served[i].prefix) };

		assert_int_equal(bpf_map_delete_elem(rig_fd(rig, "routes4"), &key), 0);
	}
	rig->config.flags |= TALON_F_PLAIN_ROUTES | TALON_F_MANY_SOURCES;
	rig_put(rig, "local_addrs", &vip, &one);
	rig_host_route(rig, VIP_HERE, 32, TALON_HOST_LOCAL, VIP_HERE);
	rig_host_route(rig, "10.14.0.0", 16, TALON_HOST_LOCAL, "10.14.0.1");
	rig_host_route(rig, "192.168.1.0", 24, TALON_HOST_UNICAST, NODE);
	rig_host_route(rig, "10.9.0.0", 24, TALON_HOST_UNICAST, "10.9.0.1");
	rig_host_route(rig, "10.10.0.0", 24, TALON_HOST_UNICAST, "10.10.0.1");
	rig_host_route(rig, "10.11.0.0", 24, TALON_HOST_UNICAST, "10.11.0.1");
	rig_link(rig, if_nametoindex("eth2"), mac2, 1500, TALON_LINK_PROGRAM);
	rig_link(rig, if_nametoindex("tun0"), (uint8_t[6]){}, 1500, TALON_LINK_NOARP);
	rig_allow(rig, "10.13.0.0", 16, 1);
	rig_found(rig, SERVICE);
	rig_found(rig, "10.9.0.1");
	rig_put(rig, "local4", &elsewhere, &none);
	rig_ip("neigh replace " VIP_ELSEWHERE " lladdr 02:00:00:00:02:20 dev eth0 nud permanent");
}

static struct packet ask(const char *dst, uint8_t ttl)
{
	return PKT(.src = ip4(CLIENT), .dst = ip4(dst), .proto = 17, .sport = 4000, .dport = 53, .ttl = ttl,
		.payload = 40);
}

static void is_up(struct rig *rig, const struct rig_result *r, const struct packet *inner)
{
	struct packet got = { .len = r->frame.len - 14 };

	assert_int_equal(r->verdict, RIG_PASS);
	rig_ends(rig, r, TALON_DIR_IN, TALON_LOCAL);
	memcpy(got.bytes, r->frame.bytes + 14, got.len);
	pkt_equal(&got, inner);
}

/* The IP packet is the client's, one hop older, from @source; checksums are right. */
static void is_translated(const struct rig_result *r, const struct packet *inner, const char *source)
{
	const uint8_t *ip = r->frame.bytes + 14;
	uint32_t want = source ? ip4(source) : ip4(CLIENT);

	assert_memory_equal(ip + 12, &want, 4);
	assert_memory_equal(ip + 16, inner->bytes + 16, 4);
	assert_int_equal(ip[8], inner->bytes[8] - 1);
	assert_int_equal(r->frame.len, 14 + inner->len);
	assert_null(pkt_check(ip, inner->len));
	assert_memory_equal(ip + 28, inner->bytes + 28, inner->len - 28);
}

static void went(struct rig *rig, const struct rig_result *r, const char *device, const uint8_t *smac,
	const uint8_t *dmac)
{
	assert_int_equal(r->verdict, RIG_SEND);
	assert_int_equal(r->ifindex, if_nametoindex(device));
	assert_memory_equal(r->frame.bytes, dmac, 6);
	assert_memory_equal(r->frame.bytes + 6, smac, 6);
	rig_ends(rig, r, TALON_DIR_IN, TALON_FORWARDED);
}

/*
 * XDP writes the device into the Ethernet header and sends the frame through the tunnel pair; tc
 * needs no such thing.
 */
static void went_onward(struct rig *rig, const struct rig_result *r, const char *device)
{
	static const uint8_t mac[6] = TALON_ONWARD_MAC;
	struct talon_onward head;

	assert_int_equal(r->verdict, RIG_SEND);
	assert_int_equal(r->ifindex, if_nametoindex(device));
	rig_ends(rig, r, TALON_DIR_IN, rig->hook == RIG_XDP ? TALON_ONWARD : TALON_FORWARDED);
	if (rig->hook != RIG_XDP)
		return;
	memcpy(&head, r->frame.bytes, sizeof(head));
	assert_memory_equal(head.dmac, mac, 6);
	assert_memory_equal(head.ifindex, &r->ifindex, 4);
	assert_int_equal(head.proto, htons(ETH_P_IP));
}

static void is_refused(struct rig *rig, const struct rig_result *r, const struct packet *inner, uint8_t code)
{
	struct packet error = rig_opened(rig, r, 0), want = pkt_icmp_error(ip4(MESH), ip4(CLIENT), 3, code, 0,
		inner, 28);

	pkt_put16(want.bytes + 6, PKT_DF);
	want.bytes[1] = 0xc0;
	memcpy(want.bytes + 4, error.bytes + 4, 2);
	pkt_fix_header(&want);
	pkt_equal(&error, &want);
	rig_ends(rig, r, TALON_DIR_IN, TALON_ICMP_SENT);
}

static void check(struct rig *rig, const struct kind *k, bool masqueraded, enum rules rules)
{
	struct packet inner = ask(k->dst, 64), at_last = ask(k->dst, 1);
	enum fate fate = masqueraded ? k->masqueraded : k->plain;
	const char *source = masqueraded ? k->source : NULL;
	struct rig_result r = rig_from_peer(rig, 0, &inner);
	struct packet plain;

	if (k->silent == TALON_NO_ROUTE) {	/* decided before the rules are checked */
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_NO_ROUTE);
		return;
	}
	if (!permitted(k, rules)) {
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_ACL_DENIED);
		return;
	}
	switch (fate) {
	case UP:
		is_up(rig, &r, &inner);
		/* the destination itself is not a router on the way */
		r = rig_from_peer(rig, 0, &at_last);
		is_up(rig, &r, &at_last);
		return;
	case BY_ETH0:
	case BY_ETH0_VIA:
		went(rig, &r, "eth0", rig_mac, rig_gateway_mac);
		is_translated(&r, &inner, source);
		break;
	case BY_ETH1:
		went(rig, &r, "eth1", rig_mac1, rig_narrow_mac);
		is_translated(&r, &inner, source);
		break;
	case BY_ETH2:
		if (rig->hook == RIG_XDP)
			went_onward(rig, &r, "eth2");
		else
			went(rig, &r, "eth2", mac2, (uint8_t[6]){ 2, 0, 0, 0, 0x0a, 2 });
		is_translated(&r, &inner, source);
		break;
	case BY_TUN:
		went_onward(rig, &r, "tun0");
		is_translated(&r, &inner, source);
		break;
	case TO_PEER1:
		plain = rig_opened(rig, &r, 1);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
		/* addresses of both: no NAT */
		assert_memory_equal(plain.bytes + 12, inner.bytes + 12, 8);
		assert_int_equal(plain.bytes[8], 63);
		break;
	case HELD:
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_HELD);
		rig_event(&r, TALON_EVENT_NEIGH);
		break;
	case REFUSED:
		is_refused(rig, &r, &inner, k->code);
		/* no error is sent about a later fragment: the reason is counted */
		plain = pkt_fragment(&inner, 24, 8);
		r = rig_from_peer(rig, 0, &plain);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, k->silent);
		return;
	case SILENT:
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_IN, k->silent);
		return;
	}
	r = rig_from_peer(rig, 0, &at_last);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
	plain = rig_opened(rig, &r, 0);
	assert_int_equal(plain.bytes[20], ICMP_TIME_EXCEEDED);
}

/* One row at a time in a datapath of its own, so that no flow of another row is in the way. */
static void run_table(struct rig *rig, enum rules rules)
{
	void *state;

	for (size_t i = 0; i < KINDS; i++) {
		for (int masqueraded = 0; masqueraded < 2; masqueraded++) {
			print_message("%s, %s\n", kinds[i].name, masqueraded ? "masqueraded" : "plain");
			assert_int_equal(rig_setup(&state), 0);
			rig = state;
			prepare(rig);
			if (kinds[i].route)
				rig_route(rig, kinds[i].route, kinds[i].route_len,
					masqueraded ? TALON_ROUTE_MASQUERADE : 0);
			set_rules(rig, rules);
			check(rig, &kinds[i], masqueraded, rules);
			rig_teardown(&state);
		}
	}
}

static void every_kind_without_rules(void **state)
{
	run_table(NULL, RULES_OFF);
}

static void rules_for_networks_open_nothing_of_this_host(void **state)
{
	run_table(NULL, RULES_NETWORKS);
}

static void rules_for_this_host_open_nothing_else(void **state)
{
	run_table(NULL, RULES_HOST);
}

static void without_a_rule_nothing_is_open(void **state)
{
	run_table(NULL, RULES_NONE);
}

/* From the wire: whose() in the other direction. */
static void the_wire_reaches_a_peer_unless_it_means_us_or_a_network_of_ours(void **state)
{
	static const struct { const char *dst; int allowed_len; bool sealed; } cases[] = {
		{ "100.64.0.3", 0, true },
		{ "100.64.0.99", 0, false },		/* nobody's */
		{ MESH, 0, false },
		{ "100.77.0.1", 16, false },		/* an own address inside a peer's network */
		{ "100.77.0.2", 16, true },
		{ "100.78.1.5", 16, false },		/* the host has a longer route of its own */
		{ "100.78.2.5", 16, true },
		{ "100.79.0.5", 16, false },		/* inside Local */
	};
	struct rig *rig = *state;

	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig_config(rig);
	rig_allow(rig, "100.77.0.0", 16, 1);
	rig_allow(rig, "100.78.0.0", 16, 1);
	rig_allow(rig, "100.79.0.0", 16, 1);
	rig_host_route(rig, "100.77.0.1", 32, TALON_HOST_LOCAL, NULL);
	rig_host_route(rig, "100.78.1.0", 24, TALON_HOST_UNICAST, NODE);
	rig_local(rig, "100.79.0.0", 24);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet in = PKT(.src = ip4(GATEWAY), .dst = ip4(cases[i].dst), .proto = 17, .sport = 1,
			.dport = 2, .payload = 8);
		struct rig_result r = rig_from_wire(rig, &in);

		print_message("to %s\n", cases[i].dst);
		if (cases[i].sealed) {
			struct packet got = rig_opened(rig, &r, 1);

			assert_memory_equal(got.bytes + 12, in.bytes + 12, 8);
			rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
		} else {
			assert_int_equal(r.verdict, RIG_PASS);
			rig_uncounted(&r);
			assert_int_equal(r.frame.len, 14 + in.len);
			assert_memory_equal(r.frame.bytes + 14, in.bytes, in.len);
		}
	}
}

/* What a peer receives through a device that takes no redirected frames. */
static void what_is_sealed_goes_onward_too(void **state)
{
	struct packet in = PKT(.src = ip4(GATEWAY), .dst = ip4(CLIENT), .proto = 17, .sport = 1, .dport = 2,
		.payload = 1200);
	static const uint8_t mac[6] = TALON_ONWARD_MAC;
	struct rig *rig = *state;
	struct talon_onward head;
	struct rig_result r;

	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	rig_link(rig, rig->eth0, rig_mac, 1500, TALON_LINK_UPLINK | TALON_LINK_PROGRAM);
	rig_bump(rig);
	r = rig_from_wire(rig, &in);
	if (rig->hook != RIG_XDP) {
		rig_opened(rig, &r, 0);
		return;
	}
	assert_int_equal(r.verdict, RIG_SEND);
	assert_int_equal(r.ifindex, rig->eth0);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_ONWARD);
	memcpy(&head, r.frame.bytes, sizeof(head));
	assert_memory_equal(head.dmac, mac, 6);
	assert_memory_equal(head.ifindex, &rig->eth0, 4);
	memcpy(r.frame.bytes, rig_router_mac, 6);	/* what the kernel writes there */
	memcpy(r.frame.bytes + 6, rig_mac, 6);
	r.ifindex = rig->eth0;
	rig_opened(rig, &r, 0);
}

static uint16_t snat_port(const struct rig_result *r)
{
	return r->frame.bytes[14 + 20] << 8 | r->frame.bytes[14 + 21];
}

static struct packet reply(const char *remote, const char *to, uint16_t port)
{
	return PKT(.src = ip4(remote), .dst = ip4(to), .proto = 17, .sport = 53, .dport = port,
		.payload = 20);
}

static struct talon_nat_stats nat_stats(struct rig *rig)
{
	struct talon_nat_stats stats;
	uint32_t zero = 0;

	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "nat_stats"), &zero, &stats), 0);
	return stats;
}

static void replies_to_any_source_come_back(void **state)
{
	struct packet inner = ask(NARROW, 64), in, got;
	struct rig *rig = *state;
	struct rig_result r;

	prepare(rig);
	rig_route(rig, "10.9.0.0", 24, TALON_ROUTE_MASQUERADE);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	is_translated(&r, &inner, "10.9.0.1");
	in = reply(NARROW, "10.9.0.1", snat_port(&r));
	rig->in = rig->eth1;
	r = rig_from_wire(rig, &in);
	got = rig_opened(rig, &r, 0);
	assert_memory_equal(got.bytes + 12, in.bytes + 12, 4);
	assert_memory_equal(got.bytes + 16, &(uint32_t){ ip4(CLIENT) }, 4);
}

/* After a renumbering the flow's own retries kept it, with a source that nobody answers. */
static void a_flow_whose_source_is_gone_ends_and_begins_anew(void **state)
{
	struct packet inner = ask(GATEWAY, 64);
	struct rig *rig = *state;
	struct rig_result r;

	prepare(rig);
	rig_route(rig, "192.168.1.0", 24, TALON_ROUTE_MASQUERADE);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	is_translated(&r, &inner, NODE);
	rig_host_route(rig, "192.168.1.0", 24, TALON_HOST_UNICAST, VIP_HERE);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	is_translated(&r, &inner, VIP_HERE);
	assert_int_equal(nat_stats(rig).created, 2);
	assert_int_equal(nat_stats(rig).live, 1);
}

static void a_flow_whose_port_left_the_range_ends_and_begins_anew(void **state)
{
	struct packet inner = ask(GATEWAY, 64);
	struct rig *rig = *state;
	struct rig_result r;

	r = rig_from_peer(rig, 0, &inner);
	rig->config.port_first = 30000;
	rig->config.port_last = 30999;
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	assert_in_range(snat_port(&r), 30000, 30999);
	assert_int_equal(nat_stats(rig).live, 1);
}

/* A remote that goes on sending must not keep open what a rule, a route or the peer's departure closed. */
static void replies_end_with_the_rule_the_route_and_the_peer(void **state)
{
	static const struct { const char *what; enum talon_end end; } cases[] = {
		{ "rule", TALON_ACL_DENIED }, { "route", TALON_NO_ROUTE }, { "masquerade", TALON_NO_ROUTE },
		{ "peer", TALON_NO_PEER },
		{ "local", TALON_NO_ROUTE },
	};
	struct talon_lpm4 lan = { .prefixlen = 24, .addr = ip4("192.168.1.0") };
	struct packet inner = ask(GATEWAY, 64), in;
	struct rig_result r;
	struct rig *rig;
	void *fresh;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].what);
		assert_int_equal(rig_setup(&fresh), 0);
		rig = fresh;
		set_rules(rig, RULES_NETWORKS);
		r = rig_from_peer(rig, 0, &inner);
		rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
		in = reply(GATEWAY, NODE, snat_port(&r));
		rig_bump(rig);			/* of no consequence: asked, and permitted again */
		r = rig_from_wire(rig, &in);
		rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
		if (i == 0)
			set_rules(rig, RULES_NONE);
		else if (i == 1)
			assert_int_equal(bpf_map_delete_elem(rig_fd(rig, "routes4"), &lan), 0);
		else if (i == 2)
			rig_route(rig, "192.168.1.0", 24, 0);
		else if (i == 3)
			rig_allow(rig, CLIENT, 32, 1);
		else
			rig_local(rig, GATEWAY, 32);
		rig_bump(rig);
		r = rig_from_wire(rig, &in);
		assert_int_equal(r.verdict, RIG_DROP);
		rig_ends(rig, &r, TALON_DIR_OUT, cases[i].end);
		assert_int_equal(nat_stats(rig).live, 0);
		r = rig_from_wire(rig, &in);	/* nothing of ours any more */
		assert_int_equal(r.verdict, RIG_PASS);
		rig_uncounted(&r);
		rig_teardown(&fresh);
	}
	(void)state;
}

/*
 * The node begins to serve an address that another one serves: who is in a conversation with that one stays.
 */
static void a_flow_that_somebody_answers_stays_where_it_is(void **state)
{
	struct packet answered = ask(GATEWAY, 64), in, silent = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY),
		.proto = 17, .sport = 4001, .dport = 53, .ttl = 64, .payload = 40);
	struct rig *rig = *state;
	struct rig_result r;

	r = rig_from_peer(rig, 0, &silent);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	r = rig_from_peer(rig, 0, &answered);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	in = reply(GATEWAY, NODE, snat_port(&r));
	r = rig_from_wire(rig, &in);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	rig_found(rig, GATEWAY);
	rig_bump(rig);
	r = rig_from_peer(rig, 0, &answered);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	r = rig_from_wire(rig, &in);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	r = rig_from_peer(rig, 0, &silent);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_LOCAL);
}

static void a_service_of_the_hosts_on_a_mapped_port_hears_a_syn(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 6, .sport = 4000,
		.dport = 80, .tcp_flags = TCP_SYN), syn;
	struct rig *rig = *state;
	uint64_t bits, port;
	struct rig_result r;
	uint32_t word;

	r = rig_from_peer(rig, 0, &inner);
	port = snat_port(&r);
	syn = PKT(.src = ip4("192.168.1.50"), .dst = ip4(NODE), .proto = 6, .sport = 5000, .dport = port,
		.tcp_flags = TCP_SYN);
	r = rig_from_wire(rig, &syn);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_NAT_NO_FLOW);
	word = port / 64;
	bits = 1ULL << (port & 63);
	rig_put(rig, "port_block", &word, &bits);
	r = rig_from_wire(rig, &syn);
	assert_int_equal(r.verdict, RIG_PASS);
	rig_uncounted(&r);
}

/* A route MTU that is not locked: the FIB helper ignores it. */
static void a_routes_mtu_is_obeyed(void **state)
{
	struct packet inner = PKT(.src = ip4(CLIENT), .dst = ip4(ROUTED), .proto = 17, .sport = 1, .dport = 2,
		.frag = PKT_DF, .payload = 1100);
	struct talon_lpm4 key = { .prefixlen = 24, .addr = ip4("10.12.0.0") };
	struct talon_host_route route = { .source = ip4(NODE), .kind = TALON_HOST_UNICAST, .prefixlen = 24,
		.mtu = 1100 };
	struct rig *rig = *state;
	struct rig_result r;
	struct packet error;

	rig_put(rig, "host4", &key, &route);
	for (int masqueraded = 0; masqueraded < 2; masqueraded++) {
		rig_route(rig, "10.12.0.0", 24, masqueraded ? TALON_ROUTE_MASQUERADE : 0);
		rig_bump(rig);
		for (int again = 0; again < 2; again++) {	/* by decision, then by record */
			r = rig_from_peer(rig, 0, &inner);
			rig_ends(rig, &r, TALON_DIR_IN, TALON_ICMP_SENT);
			error = rig_opened(rig, &r, 0);
			assert_int_equal(error.bytes[20], ICMP_DEST_UNREACH);
			assert_int_equal(error.bytes[21], ICMP_FRAG_NEEDED);
			assert_int_equal(error.bytes[26] << 8 | error.bytes[27], 1100);
		}
	}
}

static void a_host_that_does_not_forward_is_counted_apart(void **state)
{
	struct packet inner = ask(GATEWAY, 64);
	struct rig *rig = *state;
	struct rig_result r;

	assert_int_equal(system("echo 0 >/proc/sys/net/ipv4/ip_forward"), 0);
	r = rig_from_peer(rig, 0, &inner);
	assert_int_equal(system("echo 1 >/proc/sys/net/ipv4/ip_forward"), 0);
	assert_int_equal(r.verdict, RIG_DROP);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FWD_DISABLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_without_rules),
		cmocka_unit_test(rules_for_networks_open_nothing_of_this_host),
		cmocka_unit_test(rules_for_this_host_open_nothing_else),
		cmocka_unit_test(without_a_rule_nothing_is_open),
		RIG_CASE(the_wire_reaches_a_peer_unless_it_means_us_or_a_network_of_ours),
		RIG_CASE(what_is_sealed_goes_onward_too),
		RIG_CASE(replies_to_any_source_come_back),
		RIG_CASE(a_flow_whose_source_is_gone_ends_and_begins_anew),
		RIG_CASE(a_flow_whose_port_left_the_range_ends_and_begins_anew),
		cmocka_unit_test(replies_end_with_the_rule_the_route_and_the_peer),
		RIG_CASE(a_flow_that_somebody_answers_stays_where_it_is),
		RIG_CASE(a_service_of_the_hosts_on_a_mapped_port_hears_a_syn),
		RIG_CASE(a_routes_mtu_is_obeyed),
		RIG_CASE(a_host_that_does_not_forward_is_counted_apart),
	};

	return rig_main("whose packet", tests);
}
