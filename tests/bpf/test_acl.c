// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Access rules as the programs enforce them: per protocol and port, before NAT, for forwarded and local
// traffic; replies that need no rule; rules that change under traffic.
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/if_ether.h>

#include "policy/acl.h"
#include "bpf/rig.h"

#define DENIED(rig, r, dir)	do {					\
	assert_int_equal((r).verdict, RIG_DROP);			\
	rig_ends(rig, &(r), dir, TALON_ACL_DENIED);			\
	assert_int_equal((r).event_count, 0);				\
} while (0)

static struct cidr cidr(const char *text, uint8_t prefixlen)
{
	return (struct cidr){ .family = AF_INET, .prefixlen = prefixlen, .addr.word[0] = ip4(text) };
}

#define RULE(from, from_len, to, to_len, ...) (struct acl_rule){					\
	.sources = &(struct cidr){ AF_INET, from_len, { { ip4(from) } } }, .source_count = 1,	\
	.dst = cidr(to, to_len), __VA_ARGS__ }

static void write_rules(struct rig *rig, const struct acl_rule *rules, size_t count, unsigned bank)
{
	struct acl_maps maps = {
		.src = rig_fd(rig, "acl_src4"), .dst = rig_fd(rig, "acl_dst4"),
		.ports = rig_fd(rig, "acl_ports"), .bits = rig_fd(rig, "acl_bits"),
		.rules = rig_fd(rig, "acl_rules"),
	};
	struct acl_table *table;
	char why[160] = "";

	assert_int_equal(acl_compile(rules, count, &table, why, sizeof(why)), 0);
	assert_int_equal(acl_write(table, &maps, bank), 0);
	acl_free(table);
}

/* As the controller does it: the other bank, the switch, then the generation. */
static void set_rules(struct rig *rig, const struct acl_rule *rules, size_t count)
{
	write_rules(rig, rules, count, !rig->config.acl_bank);
	rig->config.acl_bank = !rig->config.acl_bank;
	rig->config.flags |= TALON_F_ACL;
	rig_config(rig);
	rig_bump(rig);
}

static uint32_t ct_count(struct rig *rig)
{
	struct talon_flow_key key, next;
	uint32_t count = 0;
	void *at = NULL;

	for (; !bpf_map_get_next_key(rig_fd(rig, "acl_ct"), at, &next); count++) {
		key = next;
		at = &key;
	}
	return count;
}

static void ct_age(struct rig *rig, uint32_t age_s)
{
	struct talon_flow_key key;
	struct talon_acl_ct ct;

	assert_int_equal(bpf_map_get_next_key(rig_fd(rig, "acl_ct"), NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "acl_ct"), &key, &ct), 0);
	ct.seen_s = rig_now_ns() / 1000000000ULL - age_s;
	rig_put(rig, "acl_ct", &key, &ct);
}

static struct packet udp(const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	return PKT(.src = ip4(src), .dst = ip4(dst), .proto = 17, .sport = sport, .dport = dport,
		.payload = 24);
}

static struct packet tcp(const char *src, uint16_t sport, const char *dst, uint16_t dport, uint8_t flags)
{
	return PKT(.src = ip4(src), .dst = ip4(dst), .proto = 6, .sport = sport, .dport = dport,
		.tcp_flags = flags, .frag = PKT_DF);
}

static struct packet echo(const char *src, const char *dst, uint8_t type, uint16_t id)
{
	return PKT(.src = ip4(src), .dst = ip4(dst), .proto = 1, .icmp_type = type, .icmp_id = id,
		.payload = 24);
}

static void is_handed_up(struct rig *rig, const struct rig_result *r, const struct packet *inner)
{
	struct packet got = { .len = r->frame.len - 14 };

	assert_int_equal(r->verdict, RIG_PASS);
	rig_ends(rig, r, TALON_DIR_IN, TALON_LOCAL);
	memcpy(got.bytes, r->frame.bytes + 14, got.len);
	pkt_equal(&got, inner);
}

static void forwarded(struct rig *rig, uint32_t peer, const struct packet *inner)
{
	struct rig_result r = rig_from_peer(rig, peer, inner);

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	rig_plain(rig, &r);
}

static void denied(struct rig *rig, uint32_t peer, const struct packet *inner)
{
	struct rig_result r = rig_from_peer(rig, peer, inner);

	DENIED(rig, r, TALON_DIR_IN);
}

static void without_rules_nothing_comes_in_and_no_flow_is_made(void **state)
{
	struct rig *rig = *state;
	struct packet inner = udp(CLIENT, 500, GATEWAY, 53), local = tcp(CLIENT, 5, MESH, 22, TCP_SYN),
		keepalive;
	struct talon_nat_stats stats;
	struct rig_result r;
	uint32_t zero = 0;

	set_rules(rig, NULL, 0);
	denied(rig, 0, &inner);
	denied(rig, 0, &local);
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "nat_stats"), &zero, &stats), 0);
	assert_int_equal(stats.created, 0);
	assert_int_equal(ct_count(rig), 0);
	keepalive = rig_sealed(rig, 0, NULL);
	r = rig_run(rig, &keepalive);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_KEEPALIVE);
}

static void rules_are_asked_only_where_they_are_enforced(void **state)
{
	struct rig *rig = *state;
	struct packet inner = udp(CLIENT, 500, GATEWAY, 53);

	set_rules(rig, NULL, 0);
	rig->config.flags &= ~TALON_F_ACL;
	rig_bump(rig);
	forwarded(rig, 0, &inner);
}

static void verdicts_are_those_of_the_rules(void **state)
{
	struct rig *rig = *state;
	const struct acl_rule rules[] = {
		RULE(CLIENT, 32, "192.168.1.0", 24, .proto = NETMAP_TCP, .port_first = 80, .port_last = 80),
		RULE(CLIENT, 32, "192.168.1.0", 24, .proto = NETMAP_UDP, .port_first = 1000,
			.port_last = 1010),
		RULE(CLIENT1, 32, GATEWAY, 32, .proto = NETMAP_ICMP),
		RULE("100.64.0.0", 10, GATEWAY, 32, .proto = NETMAP_TCP, .port_first = 443, .port_last = 443),
		RULE(CLIENT1, 32, GATEWAY, 32, .proto = NETMAP_TCP, .port_first = 440, .port_last = 445,
			.drop = true),
		RULE(CLIENT, 32, MESH, 32, .proto = NETMAP_TCP, .port_first = 22, .port_last = 22),
		RULE(CLIENT1, 32, VIP, 32, .proto = NETMAP_ANY),
		RULE(CLIENT, 32, PLAIN, 32, .proto = NETMAP_UDP),
	};
	static const char *const destinations[] = { GATEWAY, MESH, VIP, PLAIN };
	static const uint16_t ports[] = { 22, 80, 81, 439, 440, 443, 445, 446, 999, 1000, 1010, 1011 };
	unsigned passed = 0, kept_out = 0;

	set_rules(rig, rules, 8);
	for (int peer = 0; peer < 2; peer++)
		for (int d = 0; d < 4; d++)
			for (int p = 0; p < 12 * 3; p++) {
				const char *src = peer ? CLIENT1 : CLIENT, *dst = destinations[d];
				uint8_t proto = p % 3 == 0 ? 6 : p % 3 == 1 ? 17 : 1;
				struct packet inner = proto == 6 ? tcp(src, 9, dst, ports[p / 3], TCP_SYN) :
						      proto == 17 ? udp(src, 9, dst, ports[p / 3])
						      	: echo(src, dst, 8, ports[p / 3]);
				bool wanted = acl_permits(rules, 8, &(struct acl_packet){
					.family = AF_INET, .ip_proto = proto, .dport = ports[p / 3],
					.src.word[0] = ip4(src), .dst.word[0] = ip4(dst),
				});
				struct rig_result r = rig_from_peer(rig, peer, &inner);

				if (!wanted) {
					DENIED(rig, r, TALON_DIR_IN);
					kept_out++;
				} else if (d == 1 || d == 2) {
					is_handed_up(rig, &r, &inner);
					passed++;
				} else {
					rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
					rig_plain(rig, &r);
					passed++;
				}
			}
	assert_in_range(passed, 60, 288);
	assert_in_range(kept_out, 60, 288);
}

static void protocols_without_ports_need_a_rule_for_all_of_them(void **state)
{
	struct rig *rig = *state;
	struct acl_rule rules[] = { RULE(CLIENT, 32, VIP, 32, .proto = NETMAP_TCP) };
	struct packet gre = PKT(.src = ip4(CLIENT), .dst = ip4(VIP), .proto = 47, .payload = 40);
	struct rig_result r;

	set_rules(rig, rules, 1);
	denied(rig, 0, &gre);
	rules[0].proto = NETMAP_ANY;
	set_rules(rig, rules, 1);
	r = rig_from_peer(rig, 0, &gre);
	is_handed_up(rig, &r, &gre);
}

static void a_flow_goes_on_until_the_generation_is_bumped(void **state)
{
	struct rig *rig = *state;
	struct acl_rule rules[] = { RULE(CLIENT, 32, GATEWAY, 32, .proto = NETMAP_UDP, .port_first = 53,
		.port_last = 53) };
	struct packet inner = udp(CLIENT, 500, GATEWAY, 53), answer, other = udp(CLIENT, 501, GATEWAY, 53);
	struct rig_result r;
	struct packet out;

	set_rules(rig, rules, 1);
	r = rig_from_peer(rig, 0, &inner);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	write_rules(rig, NULL, 0, !rig->config.acl_bank);
	rig->config.acl_bank = !rig->config.acl_bank;
	rig_config(rig);
	forwarded(rig, 0, &inner);
	denied(rig, 0, &other);
	rig_bump(rig);
	denied(rig, 0, &inner);
	answer = udp(GATEWAY, 53, NODE, out.bytes[20] << 8 | out.bytes[21]);
	r = rig_from_wire(rig, &answer);	/* or it could keep open forever what the rule had opened */
	DENIED(rig, r, TALON_DIR_OUT);
	set_rules(rig, rules, 1);
	forwarded(rig, 0, &inner);
}

struct switcher {
	struct rig *rig;
	const struct acl_rule *rules;
	volatile bool stop;
	unsigned switches;
};

static void *switch_banks(void *context)
{
	struct switcher *s = context;
	struct talon_config config = s->rig->config;
	uint32_t zero = 0;

	while (!s->stop) {
		unsigned bank = !config.acl_bank;

		write_rules(s->rig, s->rules + s->switches % 2, 3, bank);
		config.acl_bank = bank;
		bpf_map_update_elem(rig_fd(s->rig, "config"), &zero, &config, BPF_ANY);
		config.generation++;
		bpf_map_update_elem(rig_fd(s->rig, "config"), &zero, &config, BPF_ANY);
		s->switches++;
	}
	s->rig->config = config;
	return NULL;
}

static void banks_change_under_packets_without_a_wrong_verdict(void **state)
{
	struct rig *rig = *state;
	const struct acl_rule rules[] = {
		RULE("100.64.0.0", 16, "192.168.0.0", 16, .proto = NETMAP_UDP, .port_first = 10,
			.port_last = 20),
		RULE(CLIENT, 32, "192.168.1.0", 24, .proto = NETMAP_UDP, .port_first = 53, .port_last = 53),
		RULE("100.64.0.0", 10, GATEWAY, 32, .proto = NETMAP_UDP, .port_first = 30, .port_last = 40,
			.drop = true),
		RULE(CLIENT, 31, "0.0.0.0", 0, .proto = NETMAP_TCP),
	};
	struct packet good = udp(CLIENT, 500, GATEWAY, 53), bad = udp(CLIENT, 500, GATEWAY, 35);
	struct switcher s = { .rig = rig, .rules = rules };
	pthread_t thread;

	set_rules(rig, rules, 3);
	assert_int_equal(pthread_create(&thread, NULL, switch_banks, &s), 0);
	for (int i = 0; i < 4000 || s.switches < 20; i++) {
		good.bytes[21] = i;	/* a new flow each time */
		good.bytes[20] = i >> 8;
		pkt_fix_transport(&good);
		forwarded(rig, 0, &good);
		denied(rig, 0, &bad);
		if (i % 400 == 399)
			rig_collect(rig, rig_now_ns() / 1000000000ULL + 100000),
				rig_collect(rig, rig_now_ns() / 1000000000ULL + 200000);
	}
	s.stop = true;
	pthread_join(thread, NULL);
	print_message("%u switches\n", s.switches);
}

static void what_this_host_asks_is_answered_without_a_rule(void **state)
{
	struct rig *rig = *state;
	struct packet syn = tcp(MESH, 4000, CLIENT, 443, TCP_SYN),
		ack = tcp(CLIENT, 443, MESH, 4000, TCP_SYN | TCP_ACK);
	struct packet query = udp(MESH, 4001, CLIENT, 53), reply = udp(CLIENT, 53, MESH, 4001);
	struct packet ping = echo(MESH, CLIENT, 8, 77), pong = echo(CLIENT, MESH, 0, 77);
	struct packet wrong[] = {
		tcp(CLIENT, 443, MESH, 4001, TCP_SYN | TCP_ACK),
		tcp(CLIENT, 444, MESH, 4000, TCP_SYN | TCP_ACK),
		udp(CLIENT, 443, MESH, 4000), udp(CLIENT, 53, MESH, 4000), echo(CLIENT, MESH, 0, 78),
		echo(CLIENT, MESH, 8, 77),
		udp(CLIENT, 53, VIP, 4001),
	};
	struct packet from_other = udp(CLIENT1, 53, MESH, 4001);
	struct packet *out[] = { &syn, &query, &ping }, *back[] = { &ack, &reply, &pong };
	struct rig_result r;

	set_rules(rig, NULL, 0);
	for (int i = 0; i < 3; i++)
		denied(rig, 0, back[i]);
	for (int i = 0; i < 3; i++) {
		r = rig_from_host(rig, out[i]);
		rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
	}
	assert_int_equal(ct_count(rig), 3);
	for (int i = 0; i < 3; i++) {
		r = rig_from_peer(rig, 0, back[i]);
		is_handed_up(rig, &r, back[i]);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		denied(rig, 0, &wrong[i]);
	denied(rig, 1, &from_other);
	rig_bump(rig);		/* new rules do not make the host forget what it asked */
	r = rig_from_peer(rig, 0, &reply);
	is_handed_up(rig, &r, &reply);
}

static void what_we_asked_is_forgotten_in_time(void **state)
{
	struct rig *rig = *state;
	const struct { struct packet out, back; uint32_t limit_s; } cases[] = {
		{ tcp(MESH, 4000, CLIENT, 443, TCP_SYN), tcp(CLIENT, 443, MESH, 4000, TCP_ACK),
			TALON_ACL_CT_TCP_S },
		{ udp(MESH, 4001, CLIENT, 53), udp(CLIENT, 53, MESH, 4001), TALON_ACL_CT_UDP_S },
		{ echo(MESH, CLIENT, 8, 77), echo(CLIENT, MESH, 0, 77), TALON_ACL_CT_ICMP_S },
	};
	struct packet fin = tcp(MESH, 4000, CLIENT, 443, TCP_FIN | TCP_ACK);
	struct talon_flow_key key;
	struct rig_result r;

	set_rules(rig, NULL, 0);
	for (int i = 0; i < 3; i++) {
		rig_from_host(rig, &cases[i].out);
		ct_age(rig, cases[i].limit_s - 2);
		r = rig_from_peer(rig, 0, &cases[i].back);
		is_handed_up(rig, &r, &cases[i].back);	/* and that refreshed it */
		ct_age(rig, cases[i].limit_s - 2);
		r = rig_from_peer(rig, 0, &cases[i].back);
		is_handed_up(rig, &r, &cases[i].back);
		if (!i) {	/* a closing connection has less time */
			r = rig_from_host(rig, &fin);
			ct_age(rig, TALON_ACL_CT_UDP_S - 2);
			r = rig_from_peer(rig, 0, &cases[i].back);
			is_handed_up(rig, &r, &cases[i].back);
			ct_age(rig, TALON_ACL_CT_UDP_S + 2);
			denied(rig, 0, &cases[i].back);
			r = rig_from_host(rig, &fin);	/* too late to wake it */
			denied(rig, 0, &cases[i].back);
		} else {
			ct_age(rig, cases[i].limit_s + 2);
			denied(rig, 0, &cases[i].back);
		}
		rig_from_host(rig, &cases[i].out);	/* asked again */
		r = rig_from_peer(rig, 0, &cases[i].back);
		is_handed_up(rig, &r, &cases[i].back);
		assert_int_equal(bpf_map_get_next_key(rig_fd(rig, "acl_ct"), NULL, &key), 0);
		assert_int_equal(bpf_map_delete_elem(rig_fd(rig, "acl_ct"), &key), 0);
	}
}

static void only_what_needs_it_is_remembered(void **state)
{
	struct rig *rig = *state;
	const struct acl_rule rules[] = { RULE(CLIENT, 32, MESH, 32, .proto = NETMAP_UDP, .port_first = 53,
		.port_last = 53) };
	struct packet answer = udp(MESH, 53, CLIENT, 4000), middle = tcp(MESH, 22, CLIENT, 5000, TCP_ACK);
	struct packet synack = tcp(MESH, 22, CLIENT, 5000, TCP_ACK | TCP_SYN),
		pong = echo(MESH, CLIENT, 0, 5);
	struct packet about = udp(CLIENT, 4000, MESH, 53), error = pkt_icmp_error(ip4(MESH), ip4(CLIENT), 3,
		3, 0, &about, 28);
	struct packet query = udp(MESH, 4000, CLIENT, 53);
	struct packet *const out[] = { &answer, &middle, &synack, &pong, &error };

	set_rules(rig, rules, 1);
	for (int i = 0; i < 5; i++) {
		struct rig_result r = rig_from_host(rig, out[i]);

		rig_ends(rig, &r, TALON_DIR_TUNNEL, TALON_FORWARDED);
		assert_int_equal(ct_count(rig), 0);
	}
	rig_from_host(rig, &query);
	assert_int_equal(ct_count(rig), 1);
	rig->config.flags &= ~TALON_F_ACL;
	rig_config(rig);
	query = udp(MESH, 4001, CLIENT, 53);
	rig_from_host(rig, &query);
	assert_int_equal(ct_count(rig), 1);
}

static void what_the_cluster_asks_by_a_plain_route_is_answered(void **state)
{
	struct rig *rig = *state;
	struct packet syn = tcp(PLAIN, 4000, CLIENT, 443, TCP_SYN),
		ack = tcp(CLIENT, 443, PLAIN, 4000, TCP_SYN | TCP_ACK);
	struct packet wrong = tcp(CLIENT, 443, PLAIN, 4001, TCP_SYN | TCP_ACK);
	struct rig_result r;

	rig->config.flags |= TALON_F_PLAIN_ROUTES;
	set_rules(rig, NULL, 0);
	denied(rig, 0, &ack);
	r = rig_from_wire(rig, &syn);
	rig_ends(rig, &r, TALON_DIR_OUT, TALON_FORWARDED);
	assert_int_equal(ct_count(rig), 1);
	forwarded(rig, 0, &ack);
	denied(rig, 0, &wrong);
}

static void errors_about_what_may_pass_may_pass(void **state)
{
	struct rig *rig = *state;
	const struct acl_rule rules[] = { RULE(CLIENT, 32, VIP, 32, .proto = NETMAP_UDP, .port_first = 53,
		.port_last = 53) };
	struct packet answer = udp(VIP, 53, CLIENT, 500), unasked = udp(VIP, 54, CLIENT, 500),
		query = udp(MESH, 4001, CLIENT, 53);
	struct packet others = udp(VIP, 53, CLIENT1, 500);
	struct packet good = pkt_icmp_error(ip4(CLIENT), ip4(VIP), 3, 3, 0, &answer, 28);
	struct packet bad[] = {
		pkt_icmp_error(ip4(CLIENT), ip4(VIP), 3, 3, 0, &unasked, 28),
		/* about another peer's flow */
		pkt_icmp_error(ip4(CLIENT), ip4(VIP), 3, 3, 0, &others, 28),
		/* to a peer that did not send it */
		pkt_icmp_error(ip4(CLIENT), ip4(MESH), 3, 3, 0, &answer, 28),
		pkt_icmp_error(ip4(CLIENT), ip4(MESH), 3, 3, 0, &query, 28),	/* not asked yet */
	};
	struct rig_result r;

	set_rules(rig, rules, 1);
	r = rig_from_peer(rig, 0, &good);
	is_handed_up(rig, &r, &good);
	for (int i = 0; i < 4; i++)
		denied(rig, 0, &bad[i]);
	rig_from_host(rig, &query);
	r = rig_from_peer(rig, 0, &bad[3]);
	is_handed_up(rig, &r, &bad[3]);
}

static void errors_about_a_masqueraded_flow_pass_as_long_as_its_rule_is_there(void **state)
{
	struct rig *rig = *state;
	const struct acl_rule rules[] = { RULE(CLIENT, 32, GATEWAY, 32, .proto = NETMAP_UDP, .port_first = 53,
		.port_last = 53) };
	struct packet inner = udp(CLIENT, 500, GATEWAY, 53), about = udp(GATEWAY, 53, CLIENT, 500);
	struct packet error = pkt_icmp_error(ip4(CLIENT), ip4(GATEWAY), 3, 3, 0, &about, 28);

	set_rules(rig, rules, 1);
	forwarded(rig, 0, &inner);
	forwarded(rig, 0, &error);
	set_rules(rig, NULL, 0);
	denied(rig, 0, &error);
}

static void later_fragments_pass_after_a_first_one_that_passed(void **state)
{
	struct rig *rig = *state;
	const struct acl_rule rules[] = { RULE(CLIENT, 32, "192.168.1.0", 24, .proto = NETMAP_UDP,
		.port_first = 53, .port_last = 53) };
	struct packet good = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 53, .payload = 200, .id = 7);
	struct packet bad = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5, .dport = 54,
		.payload = 200, .id = 8);
	struct packet first = pkt_fragment(&good, 0, 104), later = pkt_fragment(&good, 104, 104);
	struct packet bad_first = pkt_fragment(&bad, 0, 104), bad_later = pkt_fragment(&bad, 104, 104);

	set_rules(rig, rules, 1);
	denied(rig, 0, &later);		/* no first fragment has passed yet */
	forwarded(rig, 0, &first);
	forwarded(rig, 0, &later);
	denied(rig, 0, &bad_first);
	denied(rig, 0, &bad_later);
	later.bytes[5] = 9;		/* another datagram */
	pkt_fix_header(&later);
	denied(rig, 0, &later);
	first.bytes[5] = 9;		/* whose first fragment is one of a known flow */
	pkt_fix_header(&first);
	forwarded(rig, 0, &first);
	forwarded(rig, 0, &later);
}

static void a_rule_for_every_port_needs_no_first_fragment(void **state)
{
	struct rig *rig = *state;
	struct acl_rule rules[] = {
		RULE(CLIENT, 32, "192.168.1.0", 24, .proto = NETMAP_UDP),
		RULE(CLIENT, 32, "192.168.1.0", 24, .proto = NETMAP_UDP, .port_first = 9, .port_last = 9,
			.drop = true),
	};
	struct packet whole = PKT(.src = ip4(CLIENT), .dst = ip4(GATEWAY), .proto = 17, .sport = 5,
		.dport = 53, .payload = 200, .id = 7);
	struct packet later = pkt_fragment(&whole, 104, 104);

	set_rules(rig, rules, 1);
	forwarded(rig, 0, &later);
	set_rules(rig, rules, 2);	/* it might be for port 9 */
	denied(rig, 0, &later);
}

static void peers_are_kept_apart_and_their_answers_pass(void **state)
{
	struct rig *rig = *state;
	const struct acl_rule rules[] = { RULE(CLIENT, 32, CLIENT1, 32, .proto = NETMAP_TCP, .port_first = 80,
		.port_last = 80) };
	struct packet syn = tcp(CLIENT, 5, CLIENT1, 80, TCP_SYN),
		synack = tcp(CLIENT1, 80, CLIENT, 5, TCP_SYN | TCP_ACK);
	struct packet other = tcp(CLIENT, 5, CLIENT1, 81, TCP_SYN),
		back = tcp(CLIENT1, 5, CLIENT, 80, TCP_SYN);
	struct rig_result r;

	set_rules(rig, rules, 1);
	denied(rig, 1, &synack);
	r = rig_from_peer(rig, 0, &syn);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	r = rig_from_peer(rig, 1, &synack);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	denied(rig, 0, &other);
	denied(rig, 1, &back);
}

static uint16_t open_flow(struct rig *rig, uint32_t peer, const char *client, uint16_t sport)
{
	struct packet inner = udp(client, sport, GATEWAY, 53), out;
	struct rig_result r = rig_from_peer(rig, peer, &inner);

	rig_ends(rig, &r, TALON_DIR_IN, TALON_FORWARDED);
	out = rig_plain(rig, &r);
	return out.bytes[20] << 8 | out.bytes[21];
}

static void hairpinned_packets_are_judged_by_the_address_they_go_to(void **state)
{
	struct rig *rig = *state;
	struct acl_rule rules[] = {
		RULE("100.64.0.0", 10, GATEWAY, 32, .proto = NETMAP_UDP),
		RULE(CLIENT, 32, NODE, 32, .proto = NETMAP_UDP),
	};
	struct packet from_a, from_b;
	struct rig_result r;
	uint16_t a, b;

	set_rules(rig, rules, 2);
	a = open_flow(rig, 0, CLIENT, 500);
	b = open_flow(rig, 1, CLIENT1, 600);
	from_a = udp(CLIENT, 500, NODE, b);
	from_b = udp(CLIENT1, 600, NODE, a);
	denied(rig, 1, &from_b);
	r = rig_from_peer(rig, 0, &from_a);	/* may, but b did not ask for it */
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);
	denied(rig, 1, &from_b);
	rules[1].sources = rules[0].sources;
	set_rules(rig, rules, 2);
	r = rig_from_peer(rig, 1, &from_b);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	r = rig_from_peer(rig, 0, &from_a);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_RESEALED);
	/*
	 * Then b's rule is removed, and with it what b had opened, which a's packets would otherwise keep
	 * open forever.
	 */
	rules[1] = RULE(CLIENT, 32, NODE, 32, .proto = NETMAP_UDP);
	set_rules(rig, rules, 2);
	denied(rig, 1, &from_b);
	denied(rig, 0, &from_a);
	r = rig_from_peer(rig, 0, &from_a);
	rig_ends(rig, &r, TALON_DIR_IN, TALON_NAT_NO_FLOW);
	denied(rig, 1, &from_b);
}

static double now_ms(void)
{
	return rig_now_ns() / 1e6;
}

static void five_thousand_peers_are_compiled_and_written_quickly(void **state)
{
	enum { PEERS = 5000, EACH = 20 };
	struct rig *rig = *state;
	struct cidr *sources = calloc(PEERS, sizeof(*sources));
	struct acl_rule *rules = calloc(PEERS * EACH, sizeof(*rules));
	double began, took[4];

	assert_non_null(sources);
	assert_non_null(rules);
	for (int i = 0; i < PEERS; i++) {
		sources[i] = (struct cidr){ .family = AF_INET, .prefixlen = 32,
			.addr.word[0] = htonl(0x64400002 + i * 37) };
		for (int j = 0; j < EACH; j++)
			rules[i * EACH + j] = (struct acl_rule){
				.sources = &sources[i], .source_count = 1, .dst = cidr("100.64.0.1", 32),
					.proto = NETMAP_TCP,
				.port_first = 1000 + (i + j) % 40, .port_last = 1000 + (i + j) % 40,
			};
	}
	for (int i = 0; i < 4; i++) {
		if (i == 2) {
			/* long enough after the last change that no reader has to be waited for */
			usleep(1100000);
			for (int j = 0; j < EACH; j++)
				rules[j].port_last++;	/* and now a small change */
		}
		began = now_ms();
		write_rules(rig, rules, PEERS * EACH, i % 2);
		took[i] = now_ms() - began;
	}
	print_message("into an empty bank %.1f ms, the other %.1f, changed %.1f, again %.1f\n", took[0],
		took[1], took[2], took[3]);
	rig->config.acl_bank = 1;
	rig->config.flags |= TALON_F_ACL;
	rig_bump(rig);
	{
		struct packet good = tcp(CLIENT, 7, MESH, 1001, TCP_SYN),
			bad = tcp(CLIENT, 7, MESH, 999, TCP_SYN);
		struct rig_result r = rig_from_peer(rig, 0, &good);

		is_handed_up(rig, &r, &good);
		denied(rig, 0, &bad);
	}
	write_rules(rig, NULL, 0, 1);
	rig_bump(rig);
	{
		struct packet was_good = tcp(CLIENT, 7, MESH, 1001, TCP_SYN);

		denied(rig, 0, &was_good);
	}
	free(rules);
	free(sources);
}

static size_t names_of(struct rig *rig, unsigned bank)
{
	size_t count = 0;
	uint32_t key, *at = NULL;

	while (!bpf_map_get_next_key(rig_fd(rig, "acl_rules"), at, &key)) {
		at = &key;
		count += key / TALON_ACL_RULES == bank;
	}
	return count;
}

static void a_bank_has_the_names_of_its_rules_and_no_others(void **state)
{
	struct rig *rig = *state;
	struct acl_rule three[] = {
		RULE("100.64.0.2", 32, "10.1.0.0", 16, .policy = "a", .route = "r1"),
		RULE("100.64.0.3", 32, "10.2.0.0", 16, .policy = "b", .route = "r2"),
		RULE("100.64.0.4", 32, "10.3.0.0", 16, .policy = "c", .drop = true),
	};
	const uint32_t accepts = 64, drops = TALON_ACL_RULES;
	struct talon_acl_rule rule;

	write_rules(rig, three, 2, 0);
	write_rules(rig, three, 3, 1);
	assert_int_equal(names_of(rig, 0), 2);
	assert_int_equal(names_of(rig, 1), 3);
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "acl_rules"), &drops, &rule), 0);
	assert_string_equal(rule.policy, "c");
	assert_int_equal(rule.drop, 1);
	write_rules(rig, three + 1, 2, 0);
	assert_int_equal(names_of(rig, 0), 2);
	assert_int_equal(names_of(rig, 1), 3);
	assert_int_equal(bpf_map_lookup_elem(rig_fd(rig, "acl_rules"), &accepts, &rule), 0);
	assert_string_equal(rule.name, "route r2: all from 100.64.0.3 to 10.2.0.0/16");
	assert_string_equal(rule.policy, "b");
	write_rules(rig, NULL, 0, 0);
	assert_int_equal(names_of(rig, 0), 0);
	assert_int_equal(names_of(rig, 1), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(without_rules_nothing_comes_in_and_no_flow_is_made),
		RIG_CASE(rules_are_asked_only_where_they_are_enforced),
		RIG_CASE(verdicts_are_those_of_the_rules),
		RIG_CASE(protocols_without_ports_need_a_rule_for_all_of_them),
		RIG_CASE(a_flow_goes_on_until_the_generation_is_bumped),
		RIG_CASE(banks_change_under_packets_without_a_wrong_verdict),
		RIG_CASE(what_this_host_asks_is_answered_without_a_rule),
		RIG_CASE(what_we_asked_is_forgotten_in_time),
		RIG_CASE(only_what_needs_it_is_remembered),
		RIG_CASE(what_the_cluster_asks_by_a_plain_route_is_answered),
		RIG_CASE(errors_about_what_may_pass_may_pass),
		RIG_CASE(errors_about_a_masqueraded_flow_pass_as_long_as_its_rule_is_there),
		RIG_CASE(later_fragments_pass_after_a_first_one_that_passed),
		RIG_CASE(a_rule_for_every_port_needs_no_first_fragment),
		RIG_CASE(peers_are_kept_apart_and_their_answers_pass),
		RIG_CASE(hairpinned_packets_are_judged_by_the_address_they_go_to),
		RIG_CASE(five_thousand_peers_are_compiled_and_written_quickly),
		RIG_CASE(a_bank_has_the_names_of_its_rules_and_no_others),
	};

	rig_with_tunnel = true;
	return rig_main("access rules", tests);
}
