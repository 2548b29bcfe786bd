// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The flow table on the host: what it promises, against a naive twin, and with many threads at once.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

/*
 * Every atomic step may hand the CPU to another thread: on few CPUs, threads would otherwise
 * hardly ever meet.
 */
static __thread unsigned yield_state;
static int yield_one_in;

static void maybe_yield(void)
{
	if (!yield_one_in)
		return;
	yield_state = yield_state * 1103515245 + 12345;
	if ((yield_state >> 16) % yield_one_in == 0)
		sched_yield();
}

#define FLOW_CAS(p, old, new) ({ maybe_yield(); __sync_val_compare_and_swap(p, old, new); })
#define FLOW_LOAD(x) ({ maybe_yield(); __atomic_load_n(&(x), __ATOMIC_ACQUIRE); })
#include "flow_host.h"

#define CLIENT htonl(0x64400001)
#define REMOTE htonl(0xc0a801dc)
#define SNAT htonl(0xc0a801dd)
#define NOW 1000

static struct talon_config cfg;

static void fresh(__u32 records, __u32 buckets, __u32 over_max, __u16 port_first, __u16 port_last)
{
	assert_int_equal(flow_host_init(records, buckets, over_max), 0);
	cfg = (struct talon_config) {
		.flow_count = records,
		.bucket_mask = buckets - 1,
		.keys = {
			.flow = { 0x5eed1234, 0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb,
				0xd6e8feb86659fd93 },
			.port = { 0x5eed1234, 0x0123456789abcdef },
		},
		.snat_addr = SNAT,
		.port_first = port_first,
		.port_last = port_last,
	};
}

static int setup(void **state)
{
	fresh(1024, 256, 4096, 12288, 19999);
	return 0;
}

static int teardown(void **state)
{
	flow_host_done();
	return 0;
}

static struct talon_flow_key key_of(__be32 src, __u16 sport, __be32 dst, __u16 dport, __u8 proto)
{
	return (struct talon_flow_key) {
		.src = src, .dst = dst, .sport = htons(sport), .dport = htons(dport), .proto = proto,
	};
}

static struct talon_flow_key key_numbered(__u32 i, __u8 proto)
{
	return key_of(htonl(0x64400000 + (i >> 8)), 1024 + (i & 255), REMOTE, 443, proto);
}

static struct talon_flow_key rev_of(struct talon_flow *f)
{
	struct talon_flow_key key;

	flow_key_of(f, FLOW_REV, &key);
	if (f->proto == IPPROTO_ICMP)
		key.sport = key.dport;	/* as in the packet: one id */
	return key;
}

static struct talon_flow *create(struct talon_flow_key key, __u32 now_s)
{
	__u32 id = 0;

	/* Peers take turns: shares are test_flow_share's business. */
	assert_int_equal(flow_create4(&cfg, &key, 7 + table.stats.created % 2000, SNAT, now_s, &id), 0);
	assert_int_not_equal(id, 0);
	return flow_record(id);
}

static struct talon_flow *find_fwd(struct talon_flow_key key)
{
	__u32 id = 0;
	struct talon_flow *f = flow_find_fwd(&cfg, &key, &id);
	static __u32 any;

	if (f)
		assert_ptr_equal(f, flow_record(id));
	/* whatever is guessed, the same is found */
	any = (any + 1) % (table.record_count + 2);
	assert_ptr_equal(flow_find_hinted(&cfg, &key, any, &id), f);
	assert_ptr_equal(flow_find_hinted(&cfg, &key, id, &id), f);
	if (f)
		assert_ptr_equal(f, flow_record(id));
	return f;
}

static struct talon_flow *find_rev(struct talon_flow_key key)
{
	__u32 id = 0;
	struct talon_flow *f = flow_find_rev(&cfg, &key, &id);

	if (f)
		assert_ptr_equal(f, flow_record(id));
	return f;
}

static unsigned collect_all(__u32 now_s, enum flow_collected what)
{
	unsigned count = 0;

	for (__u32 id = 1; id < table.record_count; id++)
		count += flow_collect(&cfg, id, now_s) == (int)what;
	return count;
}

/* How many entries both indexes and flow_over hold together. */
static unsigned entries_count(void)
{
	unsigned count = table.over_count;

	for (__u32 i = 0; i < table.bucket_count; i++) {
		for (int j = 0; j < TALON_BUCKET_ENTRIES; j++)
			count += !!table.buckets[0][i].entry[j] + !!table.buckets[1][i].entry[j];
	}
	return count;
}

static unsigned ports_flows(void)
{
	unsigned count = 0;

	for (int i = 0; i < 3 << 16; i++)
		count += table.ports[i].flows;
	return count;
}

static void a_new_flow_is_found_from_both_sides(void **state)
{
	struct talon_flow_key key = key_of(CLIENT, 40000, REMOTE, 443, IPPROTO_TCP);
	struct talon_flow *f;

	assert_null(find_fwd(key));
	f = create(key, NOW);
	assert_ptr_equal(find_fwd(key), f);
	assert_ptr_equal(find_rev(rev_of(f)), f);
	assert_int_equal(f->client, CLIENT);
	assert_int_equal(f->remote, REMOTE);
	assert_int_equal(f->snat, SNAT);
	assert_int_equal(ntohs(f->client_port), 40000);
	assert_int_equal(ntohs(f->remote_port), 443);
	assert_in_range(ntohs(f->snat_port), 12288, 19999);
	assert_int_equal(f->proto, IPPROTO_TCP);
	assert_int_equal(f->peer, 7);
	assert_int_equal(f->seen_s, NOW);
	assert_int_equal(f->generation, 0);
	assert_int_equal(f->tcp, 0);
	assert_int_equal(table.stats.live, 1);
	assert_int_equal(table.stats.created, 1);
}

static void a_key_that_differs_in_one_field_is_another_flow(void **state)
{
	struct talon_flow_key key = key_of(CLIENT, 40000, REMOTE, 443, IPPROTO_TCP), other, rev;

	rev = rev_of(create(key, NOW));
	for (size_t i = 0; i < offsetof(struct talon_flow_key, pad); i++) {
		other = key;
		((__u8 *)&other)[i] ^= 0x11;
		assert_null(find_fwd(other));
		other = rev;
		((__u8 *)&other)[i] ^= 0x11;
		assert_null(find_rev(other));
	}
}

static void an_icmp_query_is_found_by_its_id_on_each_side(void **state)
{
	struct talon_flow_key key = key_of(CLIENT, 77, REMOTE, 77, IPPROTO_ICMP), rev;
	struct talon_flow *f = create(key, NOW);

	assert_ptr_equal(find_fwd(key), f);
	rev = key_of(REMOTE, ntohs(f->snat_port), SNAT, ntohs(f->snat_port), IPPROTO_ICMP);
	assert_ptr_equal(find_rev(rev), f);
	rev.sport = rev.dport = htons(77);
	assert_null(find_rev(rev));
	assert_int_not_equal(ntohs(f->snat_port), 77);
}

static void an_icmp_id_goes_to_every_remote_as_the_same_id(void **state)
{
	struct talon_flow *a = create(key_of(CLIENT, 77, REMOTE, 77, IPPROTO_ICMP), NOW);
	struct talon_flow *b = create(key_of(CLIENT, 77, REMOTE + 1, 77, IPPROTO_ICMP), NOW);

	assert_int_equal(a->snat_port, b->snat_port);
}

static void protocols_without_ports_are_refused(void **state)
{
	struct talon_flow_key key = key_of(CLIENT, 0, REMOTE, 0, IPPROTO_GRE);
	__u32 id = 0;

	assert_int_equal(flow_create4(&cfg, &key, 7, SNAT, NOW, &id), -EADDRINUSE);
	assert_int_equal(id, 0);
	assert_int_equal(entries_count(), 0);
}

/* RFC 4787 REQ-1, RFC 5382 REQ-1 */
static void an_endpoint_keeps_its_port_towards_every_remote(void **state)
{
	struct talon_flow *first = create(key_of(CLIENT, 40000, REMOTE, 443, IPPROTO_UDP), NOW);
	__be16 port = first->snat_port;

	for (int i = 1; i < 200; i++)
		assert_int_equal(port,
			create(key_of(CLIENT, 40000, htonl(ntohl(REMOTE) + i), 443 + i, IPPROTO_UDP),
			NOW + i)->snat_port);
	assert_int_equal(table.stats.shared, 0);

	/* The first flow goes, others live: the port stays with its endpoint. */
	assert_int_equal(collect_all(NOW + TALON_NAT_UDP_S, FLOW_EXPIRED), 1);
	assert_null(find_fwd(key_of(CLIENT, 40000, REMOTE, 443, IPPROTO_UDP)));
	assert_int_equal(port,
		create(key_of(CLIENT, 40000, REMOTE, 444, IPPROTO_UDP), NOW + TALON_NAT_UDP_S)->snat_port);
}

static void two_endpoints_never_get_one_port_while_others_are_free(void **state)
{
	static __u8 taken[65536];

	memset(taken, 0, sizeof(taken));
	for (int i = 0; i < 1000; i++) {
		struct talon_flow *f = create(key_numbered(i, IPPROTO_TCP), NOW);

		assert_int_equal(taken[ntohs(f->snat_port)]++, 0);
	}
	assert_int_equal(table.stats.shared, 0);
}

static void protocols_have_ports_of_their_own(void **state)
{
	fresh(64, 16, 64, 12288, 12288);
	create(key_of(CLIENT, 1, REMOTE, 1, IPPROTO_TCP), NOW);
	create(key_of(CLIENT, 1, REMOTE, 1, IPPROTO_UDP), NOW);
	create(key_of(CLIENT, 1, REMOTE, 1, IPPROTO_ICMP), NOW);
	assert_int_equal(table.stats.shared, 0);
}

/* RFC 6056: the sequence depends on a secret, and spreads. */
static void ports_start_elsewhere_for_each_seed_and_endpoint(void **state)
{
	struct talon_flow_key key = key_numbered(1, IPPROTO_TCP), next = key_numbered(2, IPPROTO_TCP);
	int same_by_seed = 0, neighbours = 0, before = nat_port_pick(&cfg, &key, SNAT);

	for (__u32 seed = 1; seed <= 1000; seed++) {
		int pick, other;

		cfg.keys.port[0] = seed;
		pick = nat_port_pick(&cfg, &key, SNAT);
		other = nat_port_pick(&cfg, &next, SNAT);
		same_by_seed += pick == before;
		neighbours += abs(pick - other) < 16;
		before = pick;
	}
	assert_in_range(same_by_seed, 0, 5);
	assert_in_range(neighbours, 0, 20);
}

static void ports_are_shared_only_when_none_is_free(void **state)
{
	fresh(256, 64, 64, 20000, 20007);
	for (int i = 0; i < 8; i++) {
		create(key_of(CLIENT, 1000 + i, htonl(ntohl(REMOTE) + i), 443, IPPROTO_TCP), NOW);
		assert_int_equal(table.stats.shared, 0);
	}
	for (int i = 0; i < 7; i++)
		create(key_of(CLIENT, 2000 + i, REMOTE, 443, IPPROTO_TCP), NOW);
	assert_int_equal(table.stats.shared, 7);
	assert_int_equal(ports_flows(), 15);
}

static void a_flow_without_port_is_refused_and_costs_nothing(void **state)
{
	struct talon_flow_key key = key_of(CLIENT, 9999, REMOTE, 443, IPPROTO_TCP);
	__u32 id = 0;

	fresh(256, 64, 64, 20000, 20007);
	for (int i = 0; i < 8; i++)
		create(key_of(CLIENT, 1000 + i, REMOTE, 443, IPPROTO_TCP), NOW);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(flow_create4(&cfg, &key, 7, SNAT, NOW, &id), -EADDRINUSE);
	assert_int_equal(table.stats.full_ports, 1000);
	assert_int_equal(table.stats.live, 8);
	assert_int_equal(((struct talon_flow_head *)flow_record(0))->used, 8);
	assert_int_equal(ports_flows(), 8);
	assert_int_equal(entries_count(), 16);

	/* The same endpoint reaches another remote, on a shared port. */
	key.dport = htons(444);
	create(key, NOW);
	assert_int_equal(table.stats.shared, 1);
}

static void block(int class, __u16 port)
{
	table.block[(class << 16 | port) / 64] |= 1ULL << (port & 63);
}

/* CVE-2021-3773, "port shadow" */
static void a_port_of_the_host_is_never_given(void **state)
{
	struct talon_flow_key key = key_of(CLIENT, 9999, REMOTE, 443, IPPROTO_TCP);
	__u32 id = 0;

	fresh(256, 64, 64, 20000, 20015);
	for (int port = 20000; port < 20016; port += 2)
		block(0, port);
	for (int i = 0; i < 8; i++)
		assert_true(ntohs(create(key_of(CLIENT, 1000 + i, REMOTE, 443, IPPROTO_TCP),
			NOW)->snat_port) & 1);
	assert_int_equal(flow_create4(&cfg, &key, 7, SNAT, NOW, &id), -EADDRINUSE);
	for (int i = 0; i < 8; i++)	/* shared ones neither */
		assert_true(ntohs(create(key_of(CLIENT, 2000 + i, REMOTE + 1, 443, IPPROTO_TCP),
			NOW)->snat_port) & 1);
	for (int i = 0; i < 16; i++)	/* the list is by protocol, and ICMP has none */
		create(key_of(CLIENT, 1000 + i, REMOTE, 443, IPPROTO_UDP), NOW);
	for (int i = 0; i < 16; i++)
		create(key_of(CLIENT, 1000 + i, REMOTE, 1000 + i, IPPROTO_ICMP), NOW);
}

static void an_endpoint_keeps_a_port_that_is_blocked_later(void **state)
{
	struct talon_flow *f = create(key_of(CLIENT, 1, REMOTE, 443, IPPROTO_UDP), NOW);

	block(1, ntohs(f->snat_port));
	assert_int_equal(create(key_of(CLIENT, 1, REMOTE, 444, IPPROTO_UDP), NOW)->snat_port, f->snat_port);
}

static void a_port_is_free_again_when_its_last_flow_went(void **state)
{
	struct talon_flow_key a = key_of(CLIENT, 1, REMOTE, 443, IPPROTO_UDP);
	struct talon_flow_key b = key_of(CLIENT, 2, REMOTE, 443, IPPROTO_UDP);
	__u32 id = 0;

	fresh(64, 16, 64, 20000, 20000);
	create(a, NOW);
	assert_int_equal(flow_create4(&cfg, &b, 7, SNAT, NOW, &id), -EADDRINUSE);
	assert_int_equal(collect_all(NOW + TALON_NAT_UDP_S, FLOW_EXPIRED), 1);
	create(b, NOW + TALON_NAT_UDP_S);
	assert_int_equal(table.stats.shared, 0);
	assert_int_equal(ports_flows(), 1);
}

static void a_port_with_the_most_flows_it_can_count_takes_no_more(void **state)
{
	struct talon_flow *f = create(key_of(CLIENT, 1, REMOTE, 443, IPPROTO_UDP), NOW), *g;

	table.ports[f->owner].flows = NAT_PORT_FLOWS_MAX;
	g = create(key_of(CLIENT, 1, REMOTE, 444, IPPROTO_UDP), NOW);
	assert_int_not_equal(g->snat_port, f->snat_port);
	assert_int_equal(table.ports[f->owner].flows, NAT_PORT_FLOWS_MAX);
}

static void every_candidate_is_in_the_range_and_all_of_a_small_one_are_reached(void **state)
{
	for (int range = 1; range <= NAT_PORT_GROUPS * NAT_PORT_GROUP; range++) {
		fresh(64, 16, 64, 65535 - range + 1, 65535);
		for (int i = 0; i < range; i++) {
			struct talon_flow *f = create(key_of(CLIENT, 1000 + i, REMOTE, 443,
				IPPROTO_TCP), NOW);

			assert_in_range(ntohs(f->snat_port), 65535 - range + 1, 65535);
		}
		assert_int_equal(table.stats.shared, 0);
	}
}

static const __u8 F = FLOW_TCP_FIN, S = FLOW_TCP_SYN, R = FLOW_TCP_RST, A = FLOW_TCP_ACK;

/* RFC 5382 REQ-2 and REQ-5, RFC 7857 section 2: segments, and what idle time they leave. */
static void tcp_flags_choose_the_timer(void **state)
{
	const struct {
		const char *what;
		__u32 timeout_s;
		struct {
			char side;	/* 'o': from the client, 'i': from the remote */
			__u8 flags;
		} segment[8];
	} rows[] = {
		{ "SYN only", 240, { { 'o', S } } },
		{ "SYN answered", 240, { { 'o', S }, { 'i', S | A } } },
		{ "SYN/ACK twice", 240, { { 'o', S }, { 'i', S | A }, { 'i', S | A }, { 'o', S } } },
		{ "three-way handshake", 7440, { { 'o', S }, { 'i', S | A }, { 'o', A } } },
		{ "simultaneous open", 7440, { { 'o', S }, { 'i', S }, { 'o', S | A }, { 'i', S | A } } },
		{ "simultaneous open, one SYN/ACK lost", 240, { { 'o', S }, { 'i', S } } },
		{ "picked up, client only", 240, { { 'o', A }, { 'o', A } } },
		{ "picked up, both sides", 7440, { { 'o', A }, { 'i', A } } },
		{ "half closed by client", 7440,
			{ { 'o', S }, { 'i', S | A }, { 'o', A }, { 'o', F | A }, { 'i', A } } },
		{ "half closed by remote", 7440,
			{ { 'o', S }, { 'i', S | A }, { 'o', A }, { 'i', F | A }, { 'o', A } } },
		{ "closed", 240,
			{ { 'o', S }, { 'i', S | A }, { 'o', A }, { 'o', F | A }, { 'i', F | A },
				{ 'o', A } } },
		{ "refused", 240, { { 'o', S }, { 'i', R | A } } },
		{ "reset by client", 240, { { 'o', S }, { 'i', S | A }, { 'o', A }, { 'o', R } } },
		{ "reset by remote, data after", 240,
			{ { 'o', S }, { 'i', S | A }, { 'o', A }, { 'i', R }, { 'o', A } } },
		{ "reset, then opened anew", 7440,
			{ { 'o', S }, { 'i', R | A }, { 'o', S }, { 'i', S | A }, { 'o', A } } },
		{ "closed, then only a SYN", 240, { { 'o', F | A }, { 'i', F | A }, { 'o', S } } },
		{ "closed, then opened anew", 7440,
			{ { 'o', F | A }, { 'i', F | A }, { 'o', S }, { 'i', S | A }, { 'o', A } } },
		{ "late SYN/ACK does not reopen", 240, { { 'o', F | A }, { 'i', F | A }, { 'i', S | A },
			{ 'o', A } } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct talon_flow *f = create(key_of(CLIENT, 1 + i, REMOTE, 443, IPPROTO_TCP), NOW);

		for (int j = 0; j < 8 && rows[i].segment[j].side; j++) {
			if (rows[i].segment[j].side == 'o')
				flow_touch_out(f, rows[i].segment[j].flags, NOW);
			else
				flow_touch_in(f, rows[i].segment[j].flags, NOW);
		}
		if (flow_timeout_s(f) != rows[i].timeout_s)
			fail_msg("%s: %u s, not %u", rows[i].what, flow_timeout_s(f), rows[i].timeout_s);
	}
}

static void tcp_bits_leave_their_neighbours_alone(void **state)
{
	struct talon_flow *f = create(key_of(CLIENT, 1, REMOTE, 443, IPPROTO_TCP), NOW);

	f->flags = 0xa5;
	f->mtu = 1420;
	flow_touch_out(f, S, NOW);
	flow_touch_in(f, S | A, NOW);
	flow_touch_out(f, A, NOW);
	assert_int_equal(f->tcp, TALON_TCP_SYN_OUT | TALON_TCP_SYN_IN | TALON_TCP_ESTABLISHED);
	assert_int_equal(f->flags, 0xa5);
	assert_int_equal(f->mtu, 1420);
}

/* A flow still exists one second before its expiry, and is gone on it; packets of both sides postpone it. */
static void expires_after(__u8 proto, __u32 idle_s, const __u8 *out_flags, const __u8 *in_flags,
	bool refresh_in)
{
	struct talon_flow_key key = key_of(CLIENT, 500, REMOTE, proto == IPPROTO_ICMP ? 500 : 443,
		proto), rev;
	struct talon_flow *f;

	fresh(64, 16, 64, 20000, 20015);
	f = create(key, NOW);
	if (out_flags)
		flow_touch_out(f, *out_flags, NOW);
	if (in_flags)
		flow_touch_in(f, *in_flags, NOW);
	rev = rev_of(f);
	assert_int_equal(collect_all(NOW + idle_s - 1, FLOW_IS_LIVE), 1);
	if (refresh_in)
		flow_touch_in(f, A, NOW + idle_s - 1);
	else
		flow_touch_out(f, A, NOW + idle_s - 1);
	assert_int_equal(flow_timeout_s(f), idle_s);
	assert_int_equal(collect_all(NOW + 2 * idle_s - 2, FLOW_IS_LIVE), 1);
	assert_ptr_equal(find_rev(rev), f);
	assert_int_equal(collect_all(NOW + 2 * idle_s - 1, FLOW_EXPIRED), 1);
	assert_null(find_fwd(key));
	assert_null(find_rev(rev));
	assert_int_equal(table.stats.live, 0);
	assert_int_equal(table.stats.expired, 1);
	assert_int_equal(entries_count(), 0);
	assert_int_equal(ports_flows(), 0);
}

/* RFC 4787 REQ-5 and REQ-6 */
static void udp_lives_300_s_after_the_last_packet_of_either_side(void **state)
{
	expires_after(IPPROTO_UDP, 300, NULL, NULL, false);
	expires_after(IPPROTO_UDP, 300, NULL, NULL, true);
}

/* RFC 5508 REQ-2 */
static void an_icmp_query_lives_60_s(void **state)
{
	expires_after(IPPROTO_ICMP, 60, NULL, NULL, false);
}

/* RFC 5382 REQ-5 */
static void tcp_lives_two_hours_four_minutes_when_established_and_four_minutes_when_not(void **state)
{
	expires_after(IPPROTO_TCP, 7440, &A, &A, false);
	expires_after(IPPROTO_TCP, 7440, &A, &A, true);
	expires_after(IPPROTO_TCP, 240, &S, NULL, false);
}

/* RFC 7857 section 2.2 */
static void tcp_lives_four_minutes_after_a_reset(void **state)
{
	expires_after(IPPROTO_TCP, 240, &A, &R, false);
	expires_after(IPPROTO_TCP, 240, &R, &A, true);
}

/*
 * RFC 7857 section 2.2: the time runs while no packets come; only the ends know whether a RST
 * was one of theirs.
 */
static void a_reset_is_forgotten_once_both_sides_go_on(void **state)
{
	struct talon_flow *f = create(key_of(CLIENT, 1, REMOTE, 443, IPPROTO_TCP), NOW);

	flow_touch_out(f, S, NOW);
	flow_touch_in(f, S | A, NOW);
	flow_touch_out(f, A, NOW);
	flow_touch_in(f, R, NOW);
	flow_touch_in(f, A, NOW);
	/* one side alone: segments in flight */
	assert_int_equal(flow_timeout_s(f), TALON_NAT_TCP_TRANSITORY_S);
	flow_touch_in(f, R, NOW);
	flow_touch_out(f, A, NOW);
	assert_int_equal(flow_timeout_s(f), TALON_NAT_TCP_TRANSITORY_S);
	flow_touch_in(f, A, NOW);
	assert_int_equal(flow_timeout_s(f), TALON_NAT_TCP_ESTABLISHED_S);
	assert_int_equal(f->tcp, TALON_TCP_SYN_OUT | TALON_TCP_SYN_IN | TALON_TCP_ESTABLISHED);
}

static void a_packet_in_the_same_second_writes_nothing(void **state)
{
	struct talon_flow *f = create(key_of(CLIENT, 1, REMOTE, 443, IPPROTO_TCP), NOW);
	struct talon_flow *copy = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(copy, MAP_FAILED);
	flow_touch_out(f, A, NOW);
	flow_touch_in(f, A, NOW);
	*copy = *f;
	assert_int_equal(mprotect(copy, 4096, PROT_READ), 0);
	flow_touch_out(copy, A, NOW);	/* a store would fault */
	flow_touch_in(copy, A, NOW);
	munmap(copy, 4096);
	flow_touch_in(f, A, NOW + 1);
	assert_int_equal(f->seen_s, NOW + 1);
}

static void a_dead_record_is_reused_only_after_the_grace_period(void **state)
{
	struct talon_flow_key key = key_of(CLIENT, 1, REMOTE, 443, IPPROTO_UDP);
	struct talon_flow_key other = key_of(CLIENT, 2, REMOTE, 443, IPPROTO_UDP);
	struct talon_flow *f;
	__u32 id = 0, died = NOW + TALON_NAT_UDP_S;

	fresh(2, 16, 64, 20000, 20015);
	f = create(key, NOW);
	assert_int_equal(flow_collect(&cfg, 1, died), FLOW_EXPIRED);
	assert_int_equal(f->phase, TALON_FLOW_DEAD);
	assert_int_equal(f->client, CLIENT);		/* whoever holds it still sees all of it */
	assert_int_equal(flow_create4(&cfg, &other, 7, SNAT, died, &id), -ENOSPC);
	assert_int_equal(table.stats.full_table, 1);
	assert_int_equal(flow_collect(&cfg, 1, died + TALON_FLOW_GRACE_S - 1), FLOW_WAITS);
	assert_int_equal(flow_create4(&cfg, &other, 7, SNAT, died, &id), -ENOSPC);
	assert_int_equal(flow_collect(&cfg, 1, died + TALON_FLOW_GRACE_S), FLOW_FREED);
	assert_int_equal(flow_collect(&cfg, 1, died + TALON_FLOW_GRACE_S), FLOW_WAS_FREE);
	assert_ptr_equal(create(other, died + TALON_FLOW_GRACE_S), f);
	assert_int_equal(ports_flows(), 1);		/* refusals gave their port back */
}

static void a_flow_can_start_anew_while_its_dead_record_waits(void **state)
{
	struct talon_flow_key key = key_of(CLIENT, 1, REMOTE, 443, IPPROTO_UDP);
	struct talon_flow *old = create(key, NOW), *new;

	assert_int_equal(collect_all(NOW + TALON_NAT_UDP_S, FLOW_EXPIRED), 1);
	new = create(key, NOW + TALON_NAT_UDP_S);
	assert_ptr_not_equal(new, old);
	assert_int_equal(new->snat_port, old->snat_port);
	assert_ptr_equal(find_fwd(key), new);
	assert_ptr_equal(find_rev(rev_of(new)), new);
}

static void a_second_record_for_the_same_flow_is_refused(void **state)
{
	struct talon_flow_key key = key_of(CLIENT, 1, REMOTE, 443, IPPROTO_UDP);
	struct talon_flow *f = create(key, NOW);
	__u32 id = 0;

	assert_int_equal(flow_create4(&cfg, &key, 7, SNAT, NOW, &id), -EAGAIN);
	assert_int_equal(table.stats.races, 1);
	assert_ptr_equal(find_fwd(key), f);
	assert_int_equal(entries_count(), 2);
	assert_int_equal(ports_flows(), 1);
	assert_int_equal(table.stats.live, 1);
}

static void a_full_table_refuses_new_flows_and_keeps_old_ones(void **state)
{
	struct talon_flow_key key = key_numbered(1000, IPPROTO_UDP);
	__u32 id = 0;

	fresh(128, 32, 64, 12288, 19999);
	for (int i = 0; i < 127; i++)
		create(key_numbered(i, IPPROTO_UDP), NOW);
	for (int i = 0; i < 10; i++)
		assert_int_equal(flow_create4(&cfg, &key, 7, SNAT, NOW, &id), -ENOSPC);
	assert_int_equal(table.stats.full_table, 10);
	for (int i = 0; i < 127; i++)
		assert_non_null(find_fwd(key_numbered(i, IPPROTO_UDP)));
	assert_int_equal(ports_flows(), 127);
	assert_int_equal(entries_count(), 254);
}

static void keys_whose_buckets_are_full_go_to_the_overflow_and_are_found_there(void **state)
{
	struct talon_flow *f;

	fresh(256, 2, 4096, 12288, 19999);
	for (int i = 0; i < 200; i++)
		create(key_numbered(i, IPPROTO_UDP), NOW);
	assert_int_equal(table.stats.overflow, 2 * (200 - 2 * TALON_BUCKET_ENTRIES));
	assert_int_equal(table.over_count, 2 * (200 - 2 * TALON_BUCKET_ENTRIES));
	for (int i = 0; i < 200; i++) {
		f = find_fwd(key_numbered(i, IPPROTO_UDP));
		assert_non_null(f);
		assert_ptr_equal(find_rev(rev_of(f)), f);
	}
	assert_null(find_fwd(key_numbered(200, IPPROTO_UDP)));
	assert_int_equal(collect_all(NOW + TALON_NAT_UDP_S, FLOW_EXPIRED), 200);
	assert_int_equal(table.stats.overflow, 0);
	assert_int_equal(entries_count(), 0);
}

static void a_full_overflow_refuses_and_takes_everything_back(void **state)
{
	struct talon_flow_key key = key_numbered(1000, IPPROTO_UDP);
	__u32 id = 0;

	fresh(256, 2, 10, 12288, 19999);
	for (int i = 0; i < 2 * TALON_BUCKET_ENTRIES + 5; i++)
		create(key_numbered(i, IPPROTO_UDP), NOW);
	assert_int_equal(flow_create4(&cfg, &key, 7, SNAT, NOW, &id), -ENOSPC);
	assert_int_equal(table.stats.full_table, 1);
	assert_int_equal(table.stats.overflow, 10);
	assert_int_equal(entries_count(), 2 * (2 * TALON_BUCKET_ENTRIES + 5));
	assert_int_equal(ports_flows(), 2 * TALON_BUCKET_ENTRIES + 5);
	/* Room for one direction only is no room. */
	table.over_max = 11;
	assert_int_equal(flow_create4(&cfg, &key, 7, SNAT, NOW, &id), -ENOSPC);
	assert_int_equal(table.stats.overflow, 10);
	assert_int_equal(entries_count(), 2 * (2 * TALON_BUCKET_ENTRIES + 5));
	assert_int_equal(ports_flows(), 2 * TALON_BUCKET_ENTRIES + 5);
}

/* The load a full table has: eight entries of 15. Two of a million missing their buckets is nothing. */
static void half_full_buckets_hardly_ever_overflow(void **state)
{
	fresh(65536 + 64, 8192, 4096, 1024, 65535);	/* some are left, so that all peers have room */
	for (__u32 i = 0; i < 65535; i++)
		create(key_of(htonl(0x64400000 + i), 1024, htonl(0xc0a80000 + (i * 7) % 251), 443,
			IPPROTO_UDP), NOW);
	assert_in_range(table.stats.overflow, 0, 2);
}

/* --- the naive twin --- */

struct twin {
	struct talon_flow_key key;
	__u16 port;
	__u32 seen_s;
	bool is_used;
};

#define TWINS 1000
#define TWIN_PORTS 24
static struct twin twins[TWINS];

static struct twin *twin_find(const struct talon_flow_key *key)
{
	for (int i = 0; i < TWINS; i++) {
		if (twins[i].is_used && !memcmp(&twins[i].key, key, sizeof(*key)))
			return &twins[i];
	}
	return NULL;
}

static __u32 twin_timeout_s(const struct twin *t)
{
	return t->key.proto == IPPROTO_UDP ? 300 : t->key.proto == IPPROTO_TCP ? 240 : 60;
}

static bool twin_port_reaches(const struct talon_flow_key *key, __u16 port)
{
	for (int i = 0; i < TWINS; i++) {
		struct talon_flow_key *k = &twins[i].key;

		if (twins[i].is_used && twins[i].port == port && k->proto == key->proto &&
			k->dst == key->dst && (k->proto == IPPROTO_ICMP || k->dport == key->dport))
			return true;
	}
	return false;
}

static bool twin_port_in_use(__u8 proto, __u16 port)
{
	for (int i = 0; i < TWINS; i++) {
		if (twins[i].is_used && twins[i].key.proto == proto && twins[i].port == port)
			return true;
	}
	return false;
}

/* Port of this endpoint by some other flow, 0: none. */
static __u16 twin_endpoint_port(const struct talon_flow_key *key)
{
	for (int i = 0; i < TWINS; i++) {
		if (twins[i].is_used && twins[i].key.proto == key->proto && twins[i].key.src == key->src &&
		    twins[i].key.sport == key->sport)
			return twins[i].port;
	}
	return 0;
}

static void twin_check_new(const struct talon_flow_key *key, int ret, __u16 port, bool was_shared)
{
	__u16 own = twin_endpoint_port(key);
	bool any_free = false, any_way = false;

	for (int p = 20000; p < 20000 + TWIN_PORTS; p++) {
		any_free |= !twin_port_in_use(key->proto, p);
		any_way |= !twin_port_reaches(key, p);
	}
	if (ret) {
		assert_int_equal(ret, -EADDRINUSE);
		assert_false(any_way);
		return;
	}
	assert_in_range(port, 20000, 20000 + TWIN_PORTS - 1);
	assert_false(twin_port_reaches(key, port));
	assert_false(was_shared && any_free);
	if (own && any_free && !twin_port_reaches(key, own) && !table.stats.shared)
		assert_int_equal(port, own);
}

static unsigned random_state = 4787;

static unsigned random_below(unsigned limit)
{
	random_state = random_state * 1664525 + 1013904223;
	return (unsigned)(((unsigned long long)random_state * limit) >> 32);
}

static void twin_step(__u32 now_s)
{
	static const __u8 protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };
	struct talon_flow_key key = key_of(htonl(0x64400000 + random_below(4)), 100 + random_below(12),
		htonl(0xc0a80100 + random_below(4)), 80 + random_below(2), protos[random_below(3)]);
	struct talon_flow *f;
	struct twin *t;
	__u64 shared = table.stats.shared;
	__u32 id = 0;
	int ret;

	if (key.proto == IPPROTO_ICMP)
		key.dport = key.sport;
	t = twin_find(&key);
	f = find_fwd(key);
	assert_int_equal(!!t, !!f);
	if (f) {
		assert_int_equal(t->port, ntohs(f->snat_port));
		assert_ptr_equal(find_rev(rev_of(f)), f);
		flow_touch_out(f, S, now_s);
		t->seen_s = now_s;
		return;
	}
	ret = flow_create4(&cfg, &key, random_below(2000), SNAT, now_s, &id);
	twin_check_new(&key, ret, ret ? 0 : ntohs(flow_record(id)->snat_port), table.stats.shared != shared);
	if (ret)
		return;
	for (t = twins; t->is_used; t++)
		assert_ptr_not_equal(t, &twins[TWINS - 1]);
	*t = (struct twin) { .key = key, .port = ntohs(flow_record(id)->snat_port), .seen_s = now_s,
		.is_used = true };
}

static void it_agrees_with_a_naive_list_over_random_histories(void **state)
{
	unsigned live;
	__u32 now_s = NOW;

	fresh(1024, 16, 4096, 20000, 20000 + TWIN_PORTS - 1);
	memset(twins, 0, sizeof(twins));
	for (int i = 0; i < 200000; i++) {
		twin_step(now_s);
		if (i % 97)
			continue;
		now_s += random_below(40);
		for (__u32 id = 1; id < table.record_count; id++)
			flow_collect(&cfg, id, now_s);
		live = 0;
		for (int j = 0; j < TWINS; j++) {
			if (twins[j].is_used && now_s - twins[j].seen_s >= twin_timeout_s(&twins[j]))
				twins[j].is_used = false;
			live += twins[j].is_used;
		}
		assert_int_equal(table.stats.live, live);
		assert_int_equal(table.stats.created - table.stats.expired, live);
		assert_int_equal(ports_flows(), live);
		assert_int_equal(entries_count(), 2 * live);
	}
	assert_true(table.stats.created > 10000);
	assert_true(table.stats.shared > 100);
	assert_true(table.stats.full_ports > 100);
	assert_int_equal(table.double_frees, 0);
}

/* --- many threads --- */

#define WORKERS 8
#define ROUNDS 12
#define STEPS 6000
#define RACE_PORTS 6
#define RACE_REMOTES 2
#define RACE_CLIENTS 10

static struct {
	atomic_uint now_s;
	atomic_uint working;
	/* grows whenever a worker holds no record: what RCU is to BPF */
	atomic_ulong quiet[WORKERS];
	atomic_uint claim_fwd[RACE_CLIENTS * RACE_REMOTES];
	atomic_uint claim_rev[RACE_PORTS * RACE_REMOTES];
	atomic_uint in_use[256];
	atomic_uint violations;
	atomic_ulong found;
	atomic_ulong created;
	atomic_ulong refused;
	atomic_ulong closed;
} race;

static struct talon_flow_key race_key(unsigned client, unsigned remote)
{
	return key_of(htonl(0x64400000 + client / 2), 1000 + client % 2, htonl(0xc0a80100 + remote), 443,
		IPPROTO_UDP);
}

/* Is @id a live record under @key, while we believe to be the only one? */
static bool lives_under(__u32 id, enum flow_index which, const struct talon_flow_key *key)
{
	return id && flow_find_live(id, which, key);
}

static void race_claim(__u32 id, unsigned client, unsigned remote, const struct talon_flow_key *fwd)
{
	struct talon_flow *f = flow_record(id);
	struct talon_flow_key rev;
	unsigned port, old;

	flow_key_of(f, FLOW_REV, &rev);
	port = ntohs(rev.dport) - 20000;
	race.violations += port >= RACE_PORTS;
	race.violations += atomic_exchange(&race.in_use[id], 1);
	old = atomic_exchange(&race.claim_fwd[client * RACE_REMOTES + remote], id);
	if (old != id && lives_under(old, FLOW_FWD, fwd) && lives_under(id, FLOW_FWD, fwd))
		race.violations++;
	old = atomic_exchange(&race.claim_rev[port * RACE_REMOTES + remote], id);
	if (old != id && lives_under(old, FLOW_REV, &rev) && lives_under(id, FLOW_REV, &rev))
		race.violations++;
}

static void *race_work(void *arg)
{
	unsigned self = (uintptr_t)arg, seed = 77 * self + atomic_load(&race.now_s);

	yield_state = seed;
	for (int i = 0; i < STEPS; i++) {
		unsigned client, remote;
		struct flow_place place;
		struct talon_flow_key key;
		struct talon_flow *f;
		__u32 id = 0;

		seed = seed * 1664525 + 1013904223;
		client = (seed >> 8) % RACE_CLIENTS;
		remote = (seed >> 16) % RACE_REMOTES;
		key = race_key(client, remote);
		place = flow_place(&cfg, FLOW_FWD, &key);
		f = flow_find_hinted(&cfg, &key, seed >> 29 ? flow_guess(FLOW_FWD, &place) : 0, &id);
		if (f) {
			race.found++;
			race.violations += f->client != key.src || f->client_port != key.sport ||
				f->remote != key.dst;
			if (seed >> 24 & 1)
				flow_touch_out(f, 0, atomic_load(&race.now_s));
			if (!(seed >> 25 & 15) && !flow_close(&cfg, f, id, atomic_load(&race.now_s)))
				race.closed++;
		} else if (!flow_create4(&cfg, &key, seed >> 8 & 1023, SNAT, atomic_load(&race.now_s), &id)) {
			race.created++;
			race_claim(id, client, remote, &key);
		} else {
			race.refused++;
		}
		atomic_fetch_add(&race.quiet[self], 1);
	}
	atomic_fetch_sub(&race.working, 1);
	atomic_store(&race.quiet[self], ULONG_MAX);
	return NULL;
}

/* No worker still runs what it ran when we were called. */
static void race_synchronize(void)
{
	unsigned long seen[WORKERS];

	for (int i = 0; i < WORKERS; i++)
		seen[i] = atomic_load(&race.quiet[i]);
	for (int i = 0; i < WORKERS; i++) {
		while (seen[i] != ULONG_MAX && atomic_load(&race.quiet[i]) == seen[i])
			sched_yield();
	}
}

static void *race_collect(void *arg)
{
	const struct talon_config *config = arg;

	yield_state = 1;
	while (atomic_load(&race.working)) {
		__u32 now_s = atomic_fetch_add(&race.now_s, TALON_NAT_UDP_S) + TALON_NAT_UDP_S;

		/*
		 * In production no program runs on an old clock for seconds; here all must have seen the new
		 * one, and let go of records that were dead before.
		 */
		race_synchronize();
		for (__u32 id = 1; id < table.record_count; id++) {
			struct talon_flow *f = flow_record(id);

			if (FLOW_STATE_PHASE(FLOW_LOAD(*flow_state(f))) == TALON_FLOW_DEAD)
				atomic_store(&race.in_use[id], 0);
			flow_collect(config, id, now_s);
		}
	}
	return NULL;
}

static void check_stopped_world(void)
{
	unsigned live = 0;

	for (__u32 id = 1; id < table.record_count; id++) {
		struct talon_flow *f = flow_record(id);
		struct talon_flow_key key;

		assert_int_not_equal(f->phase, TALON_FLOW_TENTATIVE);
		if (f->phase != TALON_FLOW_LIVE)
			continue;
		live++;
		flow_key_of(f, FLOW_FWD, &key);
		assert_ptr_equal(find_fwd(key), f);
		assert_int_equal(flow_rival(&cfg, FLOW_FWD, &key, id), 0);
		flow_key_of(f, FLOW_REV, &key);
		assert_ptr_equal(find_rev(key), f);
		assert_int_equal(flow_rival(&cfg, FLOW_REV, &key, id), 0);
	}
	assert_int_equal(table.stats.live, live);
	assert_int_equal(table.stats.created - table.stats.expired, live);
	assert_int_equal(entries_count(), 2 * live);
	assert_int_equal(table.stats.overflow, table.over_count);
	assert_int_equal(ports_flows(), live);
	assert_int_equal(table.double_frees, 0);
}

static void race_round(void)
{
	pthread_t workers[WORKERS], collector;

	atomic_store(&race.working, WORKERS);
	for (uintptr_t i = 0; i < WORKERS; i++) {
		atomic_store(&race.quiet[i], 0);
		assert_int_equal(pthread_create(&workers[i], NULL, race_work, (void *)i), 0);
	}
	assert_int_equal(pthread_create(&collector, NULL, race_collect, &cfg), 0);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);
	pthread_join(collector, NULL);
	assert_int_equal(race.violations, 0);
	check_stopped_world();
}

static void race_with(__u32 records, __u32 buckets)
{
	fresh(records, buckets, 4096, 20000, 20000 + RACE_PORTS - 1);
	memset(&race, 0, sizeof(race));
	atomic_store(&race.now_s, NOW);
	yield_one_in = 20;
	for (int i = 0; i < ROUNDS; i++)
		race_round();
	yield_one_in = 0;
	print_message("  %lu created, %lu found, %lu refused, %llu given up for a rival, %llu shared\n",
		race.created, race.found, race.refused, table.stats.races, table.stats.shared);
	assert_true(race.created > 1000);
	assert_true(race.found > 1000);
	assert_true(race.closed > 100);
	assert_true(table.stats.races > 10);
}

static void threads_never_get_two_flows_with_one_key(void **state)
{
	race_with(256, 8);
}

static void threads_never_get_two_flows_with_one_key_through_the_overflow_either(void **state)
{
	race_with(256, 1);
}

static void threads_never_get_one_record_twice_when_records_are_short(void **state)
{
	race_with(12, 4);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_new_flow_is_found_from_both_sides),
		T(a_key_that_differs_in_one_field_is_another_flow),
		T(an_icmp_query_is_found_by_its_id_on_each_side),
		T(an_icmp_id_goes_to_every_remote_as_the_same_id),
		T(protocols_without_ports_are_refused),
		T(an_endpoint_keeps_its_port_towards_every_remote),
		T(two_endpoints_never_get_one_port_while_others_are_free),
		T(protocols_have_ports_of_their_own),
		T(ports_start_elsewhere_for_each_seed_and_endpoint),
		T(ports_are_shared_only_when_none_is_free),
		T(a_flow_without_port_is_refused_and_costs_nothing),
		T(a_port_of_the_host_is_never_given),
		T(an_endpoint_keeps_a_port_that_is_blocked_later),
		T(a_port_is_free_again_when_its_last_flow_went),
		T(a_port_with_the_most_flows_it_can_count_takes_no_more),
		T(every_candidate_is_in_the_range_and_all_of_a_small_one_are_reached),
		T(tcp_flags_choose_the_timer),
		T(tcp_bits_leave_their_neighbours_alone),
		T(udp_lives_300_s_after_the_last_packet_of_either_side),
		T(an_icmp_query_lives_60_s),
		T(tcp_lives_two_hours_four_minutes_when_established_and_four_minutes_when_not),
		T(tcp_lives_four_minutes_after_a_reset),
		T(a_reset_is_forgotten_once_both_sides_go_on),
		T(a_packet_in_the_same_second_writes_nothing),
		T(a_dead_record_is_reused_only_after_the_grace_period),
		T(a_flow_can_start_anew_while_its_dead_record_waits),
		T(a_second_record_for_the_same_flow_is_refused),
		T(a_full_table_refuses_new_flows_and_keeps_old_ones),
		T(keys_whose_buckets_are_full_go_to_the_overflow_and_are_found_there),
		T(a_full_overflow_refuses_and_takes_everything_back),
		T(half_full_buckets_hardly_ever_overflow),
		T(it_agrees_with_a_naive_list_over_random_histories),
		T(threads_never_get_two_flows_with_one_key),
		T(threads_never_get_two_flows_with_one_key_through_the_overflow_either),
		T(threads_never_get_one_record_twice_when_records_are_short),
	};

	return cmocka_run_group_tests_name("flow", tests, NULL, NULL);
}
