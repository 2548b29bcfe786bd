// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Flows with an external address of their own, and flows that the packet path ends.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>

#include "flow_host.h"

#define SNAT_A htonl(0xc0a801dd)
#define SNAT_B htonl(0x0a0000dd)
#define NOW 1000

static struct talon_config cfg;

static int setup(void **state)
{
	cfg = (struct talon_config) {
		.flow_count = 64, .bucket_mask = 15, .keys = {
			.flow = { 0x5eed1234, 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
				0xd6e8feb86659fd93 },
			.port = { 0x5eed1234, 0x0123456789abcdef },
		}, .snat_addr = SNAT_A,
		.port_first = 12288, .port_last = 12295,
	};
	return flow_host_init(64, 16, 64);
}

static int teardown(void **state)
{
	flow_host_done();
	return 0;
}

static struct talon_flow_key key_of(uint16_t sport, uint8_t last_of_remote)
{
	return (struct talon_flow_key) {
		.src = htonl(0x64400001), .dst = htonl(0xc0a80100 + last_of_remote), .sport = htons(sport),
		.dport = htons(443), .proto = IPPROTO_TCP,
	};
}

static uint32_t create(struct talon_flow_key key, __be32 snat)
{
	uint32_t id = 0;

	assert_int_equal(flow_create4(&cfg, &key, 7, snat, NOW, &id), 0);
	return id;
}

static uint32_t find(enum flow_index which, struct talon_flow_key key)
{
	uint32_t id = 0;

	return flow_find(&cfg, which, &key, &id) ? id : 0;
}

static struct talon_flow_key rev_of(uint32_t id)
{
	struct talon_flow_key key;

	flow_key_of(&table.records[id], FLOW_REV, &key);
	return key;
}

static void each_flow_has_the_external_address_it_was_created_with(void **state)
{
	uint32_t a = create(key_of(1000, 1), SNAT_A), b = create(key_of(1000, 2), SNAT_B);
	struct talon_flow_key rev = rev_of(b);

	assert_int_equal(flow_record(a)->snat, SNAT_A);
	assert_int_equal(flow_record(b)->snat, SNAT_B);
	assert_int_equal(flow_record(b)->back_generation, 0);
	assert_int_equal(rev.dst, SNAT_B);
	assert_int_equal(find(FLOW_REV, rev), b);
	rev.dst = SNAT_A;
	assert_int_equal(find(FLOW_REV, rev), 0);
}

static void an_endpoint_has_one_port_on_every_external_address(void **state)
{
	uint32_t a = create(key_of(1000, 1), SNAT_A), b = create(key_of(1000, 2), SNAT_B);

	assert_int_equal(flow_record(a)->snat_port, flow_record(b)->snat_port);
	assert_int_equal(table.stats.shared, 0);
}

/* What is taken towards a remote is taken on one address only. */
static void ports_that_are_taken_on_one_address_can_be_shared_on_another(void **state)
{
	struct talon_flow_key key = key_of(2000, 1);
	uint32_t id = 0;

	for (int i = 0; i < 8; i++)
		create(key_of(1000 + i, 1), SNAT_A);
	assert_int_equal(flow_create4(&cfg, &key, 7, SNAT_A, NOW, &id), -EADDRINUSE);
	assert_int_equal(flow_record(create(key, SNAT_B))->snat, SNAT_B);
	assert_int_equal(table.stats.shared, 1);
}

static void a_closed_flow_is_gone_both_ways_and_the_next_packet_makes_a_new_one(void **state)
{
	struct talon_flow_key key = key_of(1000, 1), rev;
	uint32_t old = create(key, SNAT_A), new;

	rev = rev_of(old);
	assert_int_equal(flow_close(&cfg, flow_record(old), old, NOW + 1), 0);
	assert_int_equal(flow_record(old)->phase, TALON_FLOW_DEAD);
	assert_int_equal(find(FLOW_FWD, key), 0);
	assert_int_equal(find(FLOW_REV, rev), 0);
	assert_int_equal(table.stats.live, 0);

	new = create(key, SNAT_B);
	assert_int_not_equal(new, old);
	assert_int_equal(find(FLOW_FWD, key), new);
	assert_int_equal(find(FLOW_REV, rev), 0);
	assert_int_equal(find(FLOW_REV, rev_of(new)), new);
}

static void a_flow_is_closed_once_and_its_record_comes_back_after_the_grace_period(void **state)
{
	uint32_t id = create(key_of(1000, 1), SNAT_A), died = NOW + 1;

	assert_int_equal(flow_close(&cfg, flow_record(id), id, died), 0);
	assert_int_equal(flow_close(&cfg, flow_record(id), id, died), -EALREADY);
	assert_int_equal(table.stats.live, 0);
	assert_int_equal(table.stats.expired, 1);
	assert_int_equal(flow_collect(&cfg, id, died + TALON_FLOW_GRACE_S - 1), FLOW_WAITS);
	assert_int_equal(flow_collect(&cfg, id, died + TALON_FLOW_GRACE_S), FLOW_FREED);
	assert_int_equal(flow_close(&cfg, flow_record(id), id, died + TALON_FLOW_GRACE_S), -EALREADY);
	assert_int_equal(table.double_frees, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(each_flow_has_the_external_address_it_was_created_with),
		T(an_endpoint_has_one_port_on_every_external_address),
		T(ports_that_are_taken_on_one_address_can_be_shared_on_another),
		T(a_closed_flow_is_gone_both_ways_and_the_next_packet_makes_a_new_one),
		T(a_flow_is_closed_once_and_its_record_comes_back_after_the_grace_period),
	};

	return cmocka_run_group_tests_name("flow: address, close", tests, NULL, NULL);
}
