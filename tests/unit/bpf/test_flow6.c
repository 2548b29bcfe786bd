// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// IPv6 in the flow table (bpf/lib/flow.h): folds as keys, the addresses beside the records.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>

#include <setjmp.h>
#include <cmocka.h>

#include "flow_host.h"

#define NOW	1000
#define SIX	TALON_PROTO_SIX

static struct talon_config cfg;

static int setup(void **state)
{
	assert_int_equal(flow_host_init(1024, 256, 4096), 0);
	cfg = (struct talon_config) {
		.flow_count = 1024, .bucket_mask = 255, .port_first = 12288, .port_last = 19999, .keys = {
			.flow = { 0x5eed1234, 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
				0xd6e8feb86659fd93 },
			.port = { 0x5eed1234, 0x0123456789abcdef },
			.fold = { 0x1234, 0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9,
				0x27d4eb2f165667c5 },
		},
	};
	return 0;
}

static int teardown(void **state)
{
	flow_host_done();
	return 0;
}

static struct talon_flow *record(uint32_t id)
{
	static struct talon_flow none;
	struct talon_flow *flow = flow_record(id);

	assert_non_null(flow);
	return flow ? flow : &none;	/* the compiler does not know that it is */
}

static struct talon_addr addr(uint32_t last)
{
	return (struct talon_addr){ .word = { htonl(0xfd000064), 0, 0, htonl(last) } };
}

static const struct talon_addr remote = { .word = { 0x11111111, 0x22222222, 0x33333333, 0x44444444 } };
static const struct talon_addr snat = { .word = { 0x55555555, 0x66666666, 0x77777777, 0x88888888 } };

static struct talon_flow_key key_of(const struct talon_addr *client, uint16_t sport, uint8_t proto)
{
	return (struct talon_flow_key) {
		.src = talon_fold6(cfg.keys.fold, client), .dst = talon_fold6(cfg.keys.fold, &remote),
		.sport = htons(sport), .dport = htons(proto == IPPROTO_ICMPV6 ? sport : 443),
		.proto = proto | SIX,
	};
}

static int create(const struct talon_addr *client, uint16_t sport, uint8_t proto, uint32_t *ret_id)
{
	struct talon_flow_key key = key_of(client, sport, proto);
	struct flow_party party = { .peer = sport % 100, .snat = talon_fold6(cfg.keys.fold, &snat),
		.now_s = NOW, .six = { .client = *client, .remote = remote, .snat = snat } };

	return flow_create(&cfg, &key, &party, ret_id);
}

static void a_flow_is_found_from_both_sides_by_its_addresses(void **state)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6 };
	struct talon_addr client = addr(2), other = addr(3);

	for (size_t i = 0; i < 3; i++) {
		struct talon_flow_key key = key_of(&client, 500, protos[i]), rev;
		uint32_t id = 0, found = 0;

		assert_int_equal(create(&client, 500, protos[i], &id), 0);
		assert_non_null(flow_find_fwd(&cfg, &key, &found));
		assert_int_equal(found, id);
		assert_non_null(flow6_is(id, &client, &remote, NULL));
		assert_null(flow6_is(id, &other, &remote, NULL));
		assert_null(flow6_is(id, &client, &snat, NULL));
		flow_key_of(record(id), FLOW_REV, &rev);
		if (protos[i] == IPPROTO_ICMPV6)
			rev.sport = rev.dport;	/* as in the packet: one id */
		found = 0;
		assert_non_null(flow_find_rev(&cfg, &rev, &found));
		assert_int_equal(found, id);
		assert_non_null(flow6_is(id, NULL, &remote, &snat));
		assert_null(flow6_is(id, NULL, &remote, &client));
	}
	assert_int_equal(table.stats.ports[0], 1);
	assert_int_equal(table.stats.ports[1], 1);
	assert_int_equal(table.stats.ports[2], 1);
}

/* An ICMPv6 id belongs to no socket, and an IPv4 packet of protocol 58 has none. */
static void classes_of_ports_are_those_of_ipv4(void **state)
{
	assert_int_equal(nat_class(IPPROTO_TCP | SIX), nat_class(IPPROTO_TCP));
	assert_int_equal(nat_class(IPPROTO_UDP | SIX), nat_class(IPPROTO_UDP));
	assert_int_equal(nat_class(IPPROTO_ICMPV6 | SIX), nat_class(IPPROTO_ICMP));
	assert_true(nat_class(IPPROTO_ICMPV6) < 0);
	assert_true(nat_class(IPPROTO_ICMP | SIX) < 0);
	assert_true(nat_class(47 | SIX) < 0);
}

static void equal_keys_of_two_families_are_two_flows(void **state)
{
	struct talon_addr client = addr(2);
	struct talon_flow_key six = key_of(&client, 500, IPPROTO_UDP), four = six;
	uint32_t a = 0, b = 0, found = 0;

	four.proto = IPPROTO_UDP;
	assert_int_equal(create(&client, 500, IPPROTO_UDP, &a), 0);
	assert_int_equal(flow_create4(&cfg, &four, 1, talon_fold6(cfg.keys.fold, &snat), NOW, &b), 0);
	assert_int_not_equal(a, b);
	assert_non_null(flow_find_fwd(&cfg, &six, &found));
	assert_int_equal(found, a);
	assert_non_null(flow_find_fwd(&cfg, &four, &found));
	assert_int_equal(found, b);
	assert_null(flow6_record(b));
}

static void addresses_with_one_fold_exclude_each_other(void **state)
{
	struct talon_addr client = addr(2), other = addr(3);
	uint32_t id = 0, second = 0;

	memset(cfg.keys.fold, 0, sizeof(cfg.keys.fold));
	assert_int_equal(create(&client, 500, IPPROTO_UDP, &id), 0);
	assert_int_equal(create(&other, 500, IPPROTO_UDP, &second), -EAGAIN);
	assert_int_equal(second, 0);
	assert_int_equal(table.stats.races, 1);
	assert_non_null(flow6_is(id, &client, &remote, NULL));
	assert_int_equal(table.stats.live, 1);
	assert_int_equal(create(&other, 501, IPPROTO_UDP, &second), 0);	/* another port, another key */
}

static void the_addresses_go_when_the_record_is_free(void **state)
{
	struct talon_addr client = addr(2);
	uint32_t id = 0;

	assert_int_equal(create(&client, 500, IPPROTO_UDP, &id), 0);
	assert_int_equal(flow_collect(&cfg, id, NOW + TALON_NAT_UDP_S), FLOW_EXPIRED);
	assert_non_null(flow6_record(id));
	assert_int_equal(flow_collect(&cfg, id, NOW + TALON_NAT_UDP_S + TALON_FLOW_GRACE_S - 1), FLOW_WAITS);
	assert_non_null(flow6_record(id));
	assert_int_equal(flow_collect(&cfg, id, NOW + TALON_NAT_UDP_S + TALON_FLOW_GRACE_S), FLOW_FREED);
	assert_null(flow6_record(id));
}

/* Also those of a record that never came to life. */
static void the_addresses_of_a_refused_flow_go_as_well(void **state)
{
	struct talon_addr client = addr(2), other = addr(3);
	uint32_t id = 0, left = 0;

	memset(cfg.keys.fold, 0, sizeof(cfg.keys.fold));
	assert_int_equal(create(&client, 500, IPPROTO_UDP, &id), 0);
	assert_int_equal(create(&other, 500, IPPROTO_UDP, &id), -EAGAIN);
	for (uint32_t i = 1; i < cfg.flow_count; i++)
		flow_collect(&cfg, i, NOW + TALON_FLOW_GRACE_S);
	for (uint32_t i = 1; i < cfg.flow_count; i++)
		left += flow6_record(i) != NULL;
	assert_int_equal(left, 1);
}

static void timeouts_are_those_of_ipv4(void **state)
{
	static const struct { uint8_t proto; uint32_t s; } rows[] = {
		{ IPPROTO_TCP, TALON_NAT_TCP_TRANSITORY_S }, { IPPROTO_UDP, TALON_NAT_UDP_S },
		{ IPPROTO_ICMPV6, TALON_NAT_ICMP_S },
	};
	struct talon_addr client = addr(2);
	uint32_t id = 0;

	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(create(&client, 500, rows[i].proto, &id), 0);
		assert_int_equal(flow_timeout_s(record(id)), rows[i].s);
		assert_true(flow_gives_way(record(id)));
	}
	assert_int_equal(create(&client, 501, IPPROTO_TCP, &id), 0);
	flow_touch_out(record(id), FLOW_TCP_SYN, NOW);
	flow_touch_in(record(id), FLOW_TCP_SYN | FLOW_TCP_ACK, NOW);
	flow_touch_out(record(id), FLOW_TCP_ACK, NOW);
	assert_int_equal(flow_timeout_s(record(id)), TALON_NAT_TCP_ESTABLISHED_S);
	assert_false(flow_gives_way(record(id)));
}

/* Twenty thousand neighbouring addresses: about as many equal folds as chance has. */
static void folds_of_neighbouring_addresses_differ(void **state)
{
	enum { COUNT = 20000 };
	static uint32_t folds[COUNT];
	uint32_t same = 0;

	for (uint32_t i = 0; i < COUNT; i++) {
		struct talon_addr a = addr(i);

		folds[i] = talon_fold6(cfg.keys.fold, &a);
	}
	for (uint32_t i = 0; i < COUNT; i++)
		for (uint32_t j = i + 1; j < COUNT; j++)
			same += folds[i] == folds[j];
	assert_in_range(same, 0, 3);	/* expected: 0.05 */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_flow_is_found_from_both_sides_by_its_addresses),
		T(classes_of_ports_are_those_of_ipv4),
		T(equal_keys_of_two_families_are_two_flows),
		T(addresses_with_one_fold_exclude_each_other),
		T(the_addresses_go_when_the_record_is_free),
		T(the_addresses_of_a_refused_flow_go_as_well),
		T(timeouts_are_those_of_ipv4),
		T(folds_of_neighbouring_addresses_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
