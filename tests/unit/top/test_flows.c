// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon flows: records that change while they are read, what a record means, which are chosen, how they look.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/json_out.h"
#include "crypto/key.h"
#include "flow_host.h"
#include "manual_keys.h"
#include "top/flows.h"

#define NOW_S 1000000U

static __be32 addr(const char *text)
{
	struct in_addr in;

	assert_int_equal(inet_pton(AF_INET, text, &in), 1);
	return in.s_addr;
}

/* --- records that change while they are read --- */

/* What the writer, the datapath, does to one record and to config.generation: one store each. */
struct store {
	size_t at, len;			/* in the record */
	__u8 bytes[8];
	__u32 generation;		/* 0: not this one */
	__u32 wait_s;			/* time that passes before it */
};

#define STORES_MAX 64

static struct {
	struct talon_flow record;	/* id 1 */
	__u32 generation;
	__u64 now_ns;
	struct store stores[STORES_MAX];
	size_t count, done;
	/* schedule: from @start_tick on, @burst stores every @every ticks; a tick is a byte that is copied */
	size_t tick, start_tick, every, burst;
	bool backwards;			/* the kernel's order of copying is not promised */
} world;

static struct talon_flow old, new;	/* the two flows that the record is */

static void apply(const struct store *s)
{
	world.now_ns += s->wait_s * TALON_NSEC_PER_SEC;
	memcpy((char *)&world.record + s->at, s->bytes, s->len);
	if (s->generation)
		world.generation = s->generation;
}

static void pass_time(void)
{
	if (world.tick >= world.start_tick && (world.tick - world.start_tick) % world.every == 0) {
		for (size_t i = 0; i < world.burst && world.done < world.count; i++)
			apply(&world.stores[world.done++]);
	}
	world.tick++;
}

static int copy_bytes(void *arg, __u32 first, __u32 count, struct talon_flow *ret_records)
{
	assert_int_equal(first, 1);
	assert_int_equal(count, 1);
	for (size_t i = 0; i < sizeof(world.record); i++) {
		size_t at = world.backwards ? sizeof(world.record) - 1 - i : i;

		pass_time();
		((char *)ret_records)[at] = ((char *)&world.record)[at];
	}
	return 0;
}

static int read_generation(void *arg, __u32 *ret_generation)
{
	*ret_generation = world.generation;
	return 0;
}

static __u64 now_ns(void *arg)
{
	return world.now_ns;
}

static const struct flows_source torn_source = { copy_bytes, read_generation, now_ns, NULL, NULL };

static void store(size_t at, size_t len, const void *bytes)
{
	struct store *s = &world.stores[world.count++];

	assert_true(world.count < STORES_MAX && len <= sizeof(s->bytes));
	*s = (struct store){ .at = at, .len = len };
	memcpy(s->bytes, bytes, len);
}

#define STORE(field) store(offsetof(struct talon_flow, field), sizeof(new.field), &new.field)

static void store_state(__be16 port, __u8 proto, __u8 phase)
{
	__u32 state = FLOW_STATE(port, proto, phase);

	store(offsetof(struct talon_flow, snat_port), 4, &state);
}

/* As forward_track() writes it: addresses of Ethernet in pieces, the generation last. */
static void store_way(void)
{
	STORE(mtu);
	STORE(ifindex);
	for (size_t i = 0; i < 12; i += 2)
		store(offsetof(struct talon_flow, dmac) + i, 2, (char *)new.dmac + i);
	STORE(generation);
}

static struct talon_flow flow_of(__u8 seed)
{
	struct talon_flow flow = { .client = htonl(0x64400000 + seed), .remote = htonl(0xc0a80000 + seed),
		.snat = htonl(0xc0a801dd), .client_port = htons(1000 + seed), .remote_port = htons(80 + seed),
		.snat_port = htons(20000 + seed), .proto = seed % 2 ? IPPROTO_TCP : IPPROTO_UDP,
		.phase = TALON_FLOW_LIVE, .peer = seed, .payer = seed, .seen_s = NOW_S, .mtu = 1000 + seed,
		.generation = 7, .ifindex = seed };

	memset(flow.dmac, seed, 6);
	memset(flow.smac, 0x80 + seed, 6);
	return flow;
}

static void begin_world(void)
{
	memset(&world, 0, sizeof(world));
	old = flow_of(1);
	new = flow_of(2);
	world.record = old;
	world.generation = 7;
	world.now_ns = NOW_S * TALON_NSEC_PER_SEC;
}

/* The flow ends, rests, and its record becomes another one, as in bpf/lib/flow.h. */
static void script_reuse(void)
{
	const struct talon_flow zero = {};

	store(offsetof(struct talon_flow, seen_s), 4, &old.seen_s);
	store_state(old.snat_port, old.proto, TALON_FLOW_DEAD);
	store_state(old.snat_port, old.proto, TALON_FLOW_FREE);
	world.stores[world.count - 1].wait_s = TALON_FLOW_GRACE_S;
	STORE(client);
	STORE(remote);
	STORE(snat);
	STORE(client_port);
	STORE(remote_port);
	STORE(peer);
	STORE(seen_s);
	store(offsetof(struct talon_flow, tcp), 4, &zero);
	store(offsetof(struct talon_flow, generation), 8, &zero);
	STORE(payer);
	store_state(0, new.proto, TALON_FLOW_TENTATIVE);
	store_state(new.snat_port, new.proto, TALON_FLOW_LIVE);
	store_way();
}

/* The way of the same flow is decided anew, after routes changed. */
static void script_renew(void)
{
	struct talon_flow way = new;

	new = old;
	new.mtu = way.mtu;
	new.ifindex = way.ifindex;
	memcpy(new.dmac, way.dmac, 12);
	new.generation = 8;
	world.stores[world.count++] = (struct store){ .generation = 8 };
	store_way();
}

static bool is_identity_of(const struct talon_flow *flow, const struct talon_flow *whole)
{
	return flow->client == whole->client && flow->remote == whole->remote && flow->snat == whole->snat &&
		flow->client_port == whole->client_port && flow->remote_port == whole->remote_port &&
		flow->snat_port == whole->snat_port && flow->proto == whole->proto &&
		flow->peer == whole->peer;
}

static bool is_way_of(const struct talon_flow *flow, const struct talon_flow *whole)
{
	return flow->mtu == whole->mtu && flow->ifindex == whole->ifindex &&
		!memcmp(flow->dmac, whole->dmac, 12);
}

struct tally {
	unsigned int shown, with_way;
};

static int judge(void *arg, const struct flows_seen *seen)
{
	const struct talon_flow *flow = &seen->flow;
	struct tally *tally = arg;
	bool is_old = is_identity_of(flow, &old), is_new = is_identity_of(flow, &new);

	if (!is_old && !is_new)
		fail_msg("half of two flows: client %08x remote %08x snat port %u peer %u",
			ntohl(flow->client), ntohl(flow->remote), ntohs(flow->snat_port), flow->peer);
	if (seen->has_way && !(is_old && is_way_of(flow, &old)) && !(is_new && is_way_of(flow, &new)))
		fail_msg("half of two ways: device %u, MTU %u, MAC %02x..%02x", flow->ifindex, flow->mtu,
			flow->dmac[0], flow->smac[5]);
	tally->shown++;
	tally->with_way += seen->has_way;
	return 0;
}

static void read_once(void (*script)(void), size_t done, size_t start, size_t every, size_t burst,
	bool backwards, struct tally *tally)
{
	__u64 unsettled;

	begin_world();
	script();
	while (world.done < done)
		apply(&world.stores[world.done++]);
	world.start_tick = start;
	world.every = every;
	world.burst = burst;
	world.backwards = backwards;
	assert_int_equal(flows_walk(&torn_source, 1, judge, tally, &unsettled), 0);
}

/* The writer is anywhere in its work when reading begins, and does any part of the rest at any byte. */
static void read_at_every_moment(void (*script)(void), struct tally *tally)
{
	static const size_t paces[] = { 1, 2, 3, 7, 16, 63, 64, 65 };
	size_t count;

	begin_world();
	script();
	count = world.count;
	for (size_t done = 0; done <= count; done++) {
		for (size_t start = 0; start < 2 * sizeof(old) + 2; start++) {
			for (size_t burst = 1; burst <= count - done; burst++) {
				read_once(script, done, start, 100000, burst, false, tally);
				read_once(script, done, start, 100000, burst, true, tally);
			}
			for (size_t i = 0; i < sizeof(paces) / sizeof(paces[0]); i++)
				read_once(script, done, start, paces[i], 1, i % 2, tally);
		}
	}
}

static void a_record_that_becomes_another_flow_is_never_shown_as_half_of_both(void **state)
{
	struct tally tally = {};

	read_at_every_moment(script_reuse, &tally);
	assert_true(tally.shown > 10000);
	assert_true(tally.with_way > 10000);
}

static void a_way_that_is_decided_anew_is_never_shown_as_half_of_both(void **state)
{
	struct tally tally = {};

	read_at_every_moment(script_renew, &tally);
	assert_true(tally.shown > 10000);
	assert_true(tally.with_way > 1000);
	assert_true(tally.with_way < tally.shown);
}

/*
 * A reader that is stopped for minutes in the middle of each copy: the record was two flows at any of its
 * bytes, and both copies are the same half of them.
 */
static int copy_halves(void *arg, __u32 first, __u32 count, struct talon_flow *ret_records)
{
	unsigned int *copies = arg;

	ret_records[0] = new;
	memcpy(ret_records, &old, offsetof(struct talon_flow, client_port));
	world.now_ns += 60 * TALON_NSEC_PER_SEC;
	++*copies;
	return 0;
}

static void a_reader_that_was_stopped_reads_again_and_then_says_so(void **state)
{
	unsigned int copies = 0;
	const struct flows_source source = { copy_halves, read_generation, now_ns, &copies, NULL };
	struct tally tally = {};
	__u64 unsettled;

	begin_world();
	assert_int_equal(flows_walk(&source, 1, judge, &tally, &unsettled), 0);
	assert_int_equal(tally.shown, 0);
	assert_int_equal(unsettled, 1);
	assert_true(copies > 2);
}

/* Every copy differs from the one before. */
static int copy_restless(void *arg, __u32 first, __u32 count, struct talon_flow *ret_records)
{
	static __u32 seen_s;

	for (__u32 i = 0; i < count; i++) {
		ret_records[i] = old;
		if (first + i == 1500)
			ret_records[i].seen_s = ++seen_s;
	}
	return 0;
}

static int count_shown(void *arg, const struct flows_seen *seen)
{
	++*(unsigned int *)arg;
	return 0;
}

static void a_record_that_never_rests_is_counted_and_left_out(void **state)
{
	const struct flows_source source = { copy_restless, read_generation, now_ns, NULL, NULL };
	unsigned int shown = 0;
	__u64 unsettled;

	begin_world();
	assert_int_equal(flows_walk(&source, 2500, count_shown, &shown, &unsettled), 0);
	assert_int_equal(shown, 2499);
	assert_int_equal(unsettled, 1);
}

static int copy_fails(void *arg, __u32 first, __u32 count, struct talon_flow *ret_records)
{
	return first > 1 ? -EIO : copy_restless(NULL, first, count, ret_records);
}

static int stop_at_the_third(void *arg, const struct flows_seen *seen)
{
	return ++*(unsigned int *)arg == 3 ? -ECANCELED : 0;
}

static void errors_of_both_sides_end_the_walk(void **state)
{
	const struct flows_source good = { copy_restless, read_generation, now_ns, NULL, NULL };
	const struct flows_source bad = { copy_fails, read_generation, now_ns, NULL, NULL };
	unsigned int shown = 0;
	__u64 unsettled;

	begin_world();
	assert_int_equal(flows_walk(&good, 10, stop_at_the_third, &shown, &unsettled), -ECANCELED);
	assert_int_equal(shown, 3);
	assert_int_equal(flows_walk(&bad, 3000, count_shown, &shown, &unsettled), -EIO);
	assert_int_equal(flows_walk(&good, 0, count_shown, &shown, &unsettled), 0);
}

/* --- what a record means --- */

static void states_have_words(void **state)
{
	static const struct {
		__u8 tcp;
		enum flows_state state;
	} cases[] = {
		{ 0, FLOWS_NEW },
		{ TALON_TCP_SYN_OUT, FLOWS_NEW },
		{ TALON_TCP_SYN_OUT | TALON_TCP_SYN_IN, FLOWS_NEW },
		{ TALON_TCP_SYN_OUT | TALON_TCP_SYN_IN | TALON_TCP_ESTABLISHED, FLOWS_ESTABLISHED },
		{ 0x23 | TALON_TCP_FIN_OUT, FLOWS_CLOSING },
		{ 0x23 | TALON_TCP_FIN_IN, FLOWS_CLOSING },
		{ 0x23 | TALON_TCP_FIN_IN | TALON_TCP_FIN_OUT, FLOWS_CLOSING },
		{ 0x23 | TALON_TCP_RST, FLOWS_RESET },
		{ 0x23 | TALON_TCP_FIN_IN | TALON_TCP_RST | TALON_TCP_ALIVE_IN, FLOWS_RESET },
	};
	struct talon_flow flow = { .proto = IPPROTO_TCP };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		flow.tcp = cases[i].tcp;
		assert_int_equal(flows_state_of(&flow), cases[i].state);
	}
	flow.proto = IPPROTO_UDP;
	assert_int_equal(flows_state_of(&flow), FLOWS_NO_STATE);
}

/* Whether the collector of the datapath ends @flow at @now_s, in a table of which the peer holds @held. */
static bool is_collected(const struct talon_config *cfg, const struct talon_flow *flow, __u32 held,
	__u32 now_s)
{
	*flow_record(1) = *flow;
	table.stats = (struct talon_nat_stats){ .live = 1, .held = held };
	table.peers[flow->payer].held = held;
	return flow_collect(cfg, 1, now_s) == FLOW_EXPIRED;
}

static void time_left_is_what_the_collector_of_the_datapath_leaves(void **state)
{
	static const __u8 protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };
	const struct talon_config cfg = { .flow_count = 1001, .bucket_mask = 15 };
	__u32 held[] = { 10, 500, 501, 1000, 1001 }, peer_held[8] = {};
	unsigned int hasty = 0;

	assert_int_equal(flow_host_init(1001, 16, 16), 0);
	for (unsigned int n = 0; n < 3 * 256 * 2 * 5; n++) {
		struct talon_flow flow = flow_of(1);
		struct flows_room room = { 1001, held[n % 5], peer_held, 8 };
		struct flows_seen seen;
		struct flows_facts facts;

		flow.proto = protos[n / 5 % 3];
		flow.tcp = n / 15 % 256;
		flow.flags = n / 3840;
		peer_held[flow.payer] = held[n % 5];
		seen = (struct flows_seen){ .flow = flow, .now_s = NOW_S + 2 };
		facts = flows_describe(&seen, &room);
		assert_int_equal(facts.idle_s, 2);
		assert_true(facts.left_s >= 4);
		assert_false(is_collected(&cfg, &flow, held[n % 5], seen.now_s + facts.left_s - 1));
		assert_true(is_collected(&cfg, &flow, held[n % 5], seen.now_s + facts.left_s));
		hasty += facts.is_hasty;
	}
	assert_true(hasty > 100);
	flow_host_done();
}

static void clocks_that_disagree_by_a_second_do_no_harm(void **state)
{
	const struct flows_room room = { .flow_count = 1024 };
	struct flows_seen seen = { .flow = flow_of(2), .now_s = NOW_S - 1 };

	assert_int_equal(flows_describe(&seen, &room).idle_s, 0);
	assert_int_equal(flows_describe(&seen, &room).left_s, TALON_NAT_UDP_S);
	seen.now_s = NOW_S + 5000;
	assert_int_equal(flows_describe(&seen, &room).idle_s, 5000);
	assert_int_equal(flows_describe(&seen, &room).left_s, 0);
}

/* --- choosing --- */

static void ends_are_parsed_or_refused_whole(void **state)
{
	static const char *const bad[] = { "", "x", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:-1",
		"10.0.0.1:80x", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "[::1", "[::1]x", "[]:80", "[]",
		"[10.0.0.1]:80", "fd00::1]:80", "[fd00::1]:", "[fd00::1/129]",
		"[fd00::1]:80:80", "fd00::g", "1.2.3.4:5:6", ":", "10.0.0.1 ", "10.0.0.1:0x10", "/8",
		":80/8", "1.2.3.4/8/8" };
	struct flows_end end = {}, before = end;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (flows_end_parse(bad[i], &end) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
		assert_memory_equal(&end, &before, sizeof(end));
	}
	assert_int_equal(flows_end_parse("10.1.2.3/8:443", &end), 0);
	assert_true(end.has_addr && end.has_port);
	assert_int_equal(end.net.addr.word[0], addr("10.0.0.0"));
	assert_int_equal(end.net.prefixlen, 8);
	assert_int_equal(end.port, htons(443));
	assert_int_equal(flows_end_parse(":0", &end), 0);
	assert_true(!end.has_addr && end.has_port);
	assert_int_equal(flows_end_parse("0.0.0.0/0", &end), 0);
	assert_true(end.has_addr && !end.has_port && !end.net.prefixlen);
	assert_int_equal(flows_end_parse("fd00::1", &end), 0);
	assert_true(end.has_addr && !end.has_port && end.net.family == AF_INET6 && end.net.prefixlen == 128);
	assert_int_equal(flows_end_parse("[fd00::1/64]:443", &end), 0);
	assert_true(end.has_addr && end.has_port && end.net.prefixlen == 64);
	assert_int_equal(end.port, htons(443));
	assert_int_equal(flows_end_parse("[fd00::1]", &end), 0);
	assert_true(end.has_addr && !end.has_port);
}

static struct talon_addr addr6(const char *text)
{
	struct talon_addr addr;

	assert_int_equal(inet_pton(AF_INET6, text, &addr), 1);
	return addr;
}

/* A flow of IPv6: its record has folds, and its addresses are elsewhere. */
static struct flows_seen seen6(void)
{
	struct flows_seen seen = { .flow = flow_of(2), .is_six = true, .now_s = NOW_S };

	seen.six = (struct talon_flow6){ .client = addr6("fd00::2"), .remote = addr6("2001:db8::7"),
		.snat = addr6("2001:db8::5") };
	return seen;
}

static bool takes6(const char *which, const char *text, const struct flows_seen *seen)
{
	struct flows_filter filter = { .state = FLOWS_NO_STATE };

	assert_int_equal(flows_end_parse(text, !strcmp(which, "src") ? &filter.src : !strcmp(which, "dst")
		? &filter.dst : &filter.snat), 0);
	return flows_match(&filter, seen);
}

static void ipv6_flows_are_chosen_by_their_addresses(void **state)
{
	struct flows_seen seen = seen6();
	struct flows_filter icmp = { .state = FLOWS_NO_STATE, .proto = IPPROTO_ICMP };

	assert_true(takes6("src", "fd00::2", &seen));
	assert_true(takes6("src", "fd00::/64", &seen));
	assert_false(takes6("src", "fd00::3", &seen));
	assert_false(takes6("src", "0.0.0.0/0", &seen));
	assert_true(takes6("src", "::/0", &seen));
	assert_true(takes6("dst", "2001:db8::7", &seen));
	assert_false(takes6("dst", "[2001:db8::7]:1", &seen));
	assert_true(takes6("snat", "2001:db8::5", &seen));
	seen.is_six = false;
	assert_false(takes6("src", "::/0", &seen));
	seen.is_six = true;
	assert_false(flows_match(&icmp, &seen));
	seen.flow.proto = IPPROTO_ICMPV6;
	assert_true(flows_match(&icmp, &seen));
}

static int copy_one_six(void *arg, __u32 first, __u32 count, struct talon_flow *ret_records)
{
	memset(ret_records, 0, count * sizeof(*ret_records));
	for (__u32 i = 0; i < count && i < 2; i++) {
		ret_records[i] = flow_of(2);
		ret_records[i].phase = TALON_FLOW_LIVE;
		ret_records[i].proto = IPPROTO_UDP | TALON_PROTO_SIX;
	}
	return 0;
}

/* The addresses of record 2 are gone already. */
static int addresses_of(void *arg, __u32 id, struct talon_flow6 *ret_six)
{
	if (id != 1)
		return -ENOENT;
	*ret_six = seen6().six;
	return 0;
}

static int take_seen(void *arg, const struct flows_seen *seen)
{
	*(struct flows_seen *)arg = *seen;
	world.count++;
	return 0;
}

static void addresses_of_ipv6_flows_are_read_beside_their_records(void **state)
{
	const struct flows_source source = { copy_one_six, read_generation, now_ns, NULL, addresses_of };
	const struct talon_addr client = addr6("fd00::2");
	struct flows_seen seen = {};
	__u64 unsettled;

	memset(&world, 0, sizeof(world));
	assert_int_equal(flows_walk(&source, 2, take_seen, &seen, &unsettled), 0);
	assert_int_equal(world.count, 1);
	assert_int_equal(unsettled, 0);
	assert_true(seen.is_six);
	assert_int_equal(seen.flow.proto, IPPROTO_UDP);
	assert_memory_equal(&seen.six.client, &client, sizeof(client));
}

/* Whether a filter of one end, made from @text, takes @flow. */
static bool takes(const char *which, const char *text, const struct talon_flow *flow)
{
	struct flows_filter filter = { .state = FLOWS_NO_STATE };

	assert_int_equal(flows_end_parse(text, !strcmp(which, "src") ? &filter.src : !strcmp(which, "dst")
		? &filter.dst : &filter.snat), 0);
	return flows_match(&filter, &(struct flows_seen){ .flow = *flow });
}

static void filters_take_what_they_name_and_nothing_else(void **state)
{
	static const bool peers[] = { false, true };
	struct flows_filter filter = { .state = FLOWS_NO_STATE };
	/* 100.64.0.1:1001 -> 192.168.0.1:81, as 192.168.1.221:20001 */
	struct talon_flow flow = flow_of(1);

	assert_true(flows_match(&filter, &(struct flows_seen){ .flow = flow }));
	assert_true(takes("src", "100.64.0.1", &flow));
	assert_true(takes("src", "100.64.0.0/10:1001", &flow));
	assert_false(takes("src", "100.64.0.2", &flow));
	assert_false(takes("src", "192.168.0.1", &flow));
	assert_true(takes("dst", "192.168.0.0/24", &flow));
	assert_true(takes("dst", "192.168.0.1:81", &flow));
	assert_true(takes("dst", ":81", &flow));
	assert_true(takes("dst", "0.0.0.0/0", &flow));
	assert_false(takes("dst", "192.168.0.1:80", &flow));
	assert_false(takes("dst", "192.168.1.0/24", &flow));
	assert_true(takes("snat", ":20001", &flow));
	assert_false(takes("snat", ":20002", &flow));
	filter.proto = IPPROTO_UDP;
	assert_false(flows_match(&filter, &(struct flows_seen){ .flow = flow }));
	filter.proto = IPPROTO_TCP;
	assert_true(flows_match(&filter, &(struct flows_seen){ .flow = flow }));
	filter.state = FLOWS_ESTABLISHED;
	assert_false(flows_match(&filter, &(struct flows_seen){ .flow = flow }));
	flow.tcp = TALON_TCP_ESTABLISHED;
	assert_true(flows_match(&filter, &(struct flows_seen){ .flow = flow }));
	filter.peers = peers;
	filter.peer_slots = 2;
	assert_true(flows_match(&filter, &(struct flows_seen){ .flow = flow }));
	flow.peer = 0;
	assert_false(flows_match(&filter, &(struct flows_seen){ .flow = flow }));
	flow.peer = 1U << 30;
	assert_false(flows_match(&filter, &(struct flows_seen){ .flow = flow }));
}

static struct cidr nets[] = { { AF_INET, 32, {} }, { AF_INET, 16, {} }, { AF_INET, 32, {} },
	{ AF_INET, 32, {} },
	{ AF_INET6, 64, {} } };
static struct status_peer peers[3];
static struct status_device devices[1];

static struct status make_status(void)
{
	struct status s = { .peers = peers, .peer_count = 3, .devices = devices, .device_count = 1 };

	nets[0].addr.word[0] = addr("10.7.7.7");
	nets[1].addr.word[0] = addr("10.20.0.0");
	nets[2].addr.word[0] = addr("100.64.0.1");
	nets[3].addr.word[0] = addr("10.20.0.9");
	inet_pton(AF_INET6, "fd00:7::", &nets[4].addr);
	memset(peers, 0, sizeof(peers));
	peers[0] = (struct status_peer){ .id = 1, .allowed = nets, .allowed_count = 3 };
	peers[1] = (struct status_peer){ .id = 2, .allowed = nets + 3, .allowed_count = 2 };
	peers[2] = (struct status_peer){ .id = 9 };
	strcpy(peers[0].info.name, "laptop.netbird.cloud");
	memset(peers[1].info.public_key, 2, KEY_LEN);
	strcpy(peers[2].info.name, "laptop.other.example");
	s.config.mesh_addr = addr("100.64.9.9");
	s.config.mesh_mask = addr("255.192.0.0");
	s.config.flow_count = 1024;
	s.nat.live = 3;
	devices[0] = (struct status_device){ .name = "eth0", .ifindex = 1 };
	return s;
}

static size_t pick(const struct status *status, const char *text, bool *picked)
{
	memset(picked, 0, 10);
	return flows_pick_peers(status, text, picked, 10);
}

static void peers_are_found_by_key_name_and_address(void **state)
{
	const struct status status = make_status();
	bool picked[10];

	assert_int_equal(pick(&status, "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=", picked), 1);
	assert_true(picked[2]);
	assert_int_equal(pick(&status, "laptop", picked), 2);
	assert_true(picked[1] && picked[9]);
	assert_int_equal(pick(&status, "LAPTOP.netbird.cloud", picked), 1);
	assert_true(picked[1]);
	assert_int_equal(pick(&status, "100.64.0.1", picked), 1);
	assert_true(picked[1]);
	assert_int_equal(pick(&status, "10.20.0.9", picked), 1);
	assert_true(picked[2]);
	assert_int_equal(pick(&status, "fd00:7::9", picked), 1);
	assert_true(picked[2]);
	assert_int_equal(pick(&status, "fd00:8::9", picked), 0);
	assert_int_equal(pick(&status, "10.20.0.8", picked), 1);
	assert_true(picked[1]);
	assert_int_equal(pick(&status, "lap", picked), 0);
	assert_int_equal(pick(&status, "", picked), 0);
	assert_int_equal(pick(&status, "8.8.8.8", picked), 0);
	assert_int_equal(pick(&status, "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", picked), 0);
}

static void the_best_are_those_of_a_full_sort(void **state)
{
	static struct flows_row rows[40], all[1000], kept;
	struct flows_best best = { .rows = rows, .room = 40, .order = FLOWS_BY_IDLE };
	struct flows_best full = { .rows = all, .room = 1000, .order = FLOWS_BY_IDLE };

	for (int reverse = 0; reverse < 2; reverse++) {
		best.count = full.count = 0;
		best.is_reverse = full.is_reverse = reverse;
		for (__u32 i = 0; i < 1000; i++) {
			kept.seen.flow = flow_of(i % 251);
			kept.seen.flow.client_port = htons(i);
			kept.facts.idle_s = i * 7919 % 1000;
			flows_best_add(&best, &kept);
			flows_best_add(&full, &kept);
		}
		flows_best_sort(&best);
		flows_best_sort(&full);
		assert_int_equal(best.count, 40);
		for (__u32 i = 0; i < 1000; i++)
			assert_int_equal(all[i].facts.idle_s, reverse ? 999 - i : i);
		assert_memory_equal(rows, all, sizeof(rows));
	}
}

/* --- showing --- */

static struct flows_row row_of(__u8 seed)
{
	struct flows_row row = { .seen = { .flow = flow_of(seed), .has_way = true, .now_s = NOW_S + 75 } };
	const struct flows_room room = { .flow_count = 1024 };

	row.seen.flow.ifindex = 1 | TALON_FLOW_ONWARD;
	row.facts = flows_describe(&row.seen, &room);
	return row;
}

static void a_row_shows_ends_state_times_way_and_peer(void **state)
{
	const struct status status = make_status();
	const struct flows_totals totals = { 3, 7, 0 };
	struct flows_row row = row_of(1);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	row.seen.flow.tcp = TALON_TCP_SYN_OUT | TALON_TCP_SYN_IN | TALON_TCP_ESTABLISHED;
	row.seen.flow.flags = TALON_FLOW_ANSWERED;
	row.facts = flows_describe(&row.seen, &(struct flows_room){ .flow_count = 1024 });
	flows_print_head(out);
	flows_print_row(out, &status, &row);
	row = row_of(2);
	row.seen.flow.proto = IPPROTO_ICMP;
	row.seen.has_way = false;
	flows_print_row(out, &status, &row);
	row.seen.flow.peer = 5;
	strcpy(devices[0].name, "");
	row.seen.has_way = true;
	flows_print_row(out, &status, &row);
	flows_print_foot(out, &status, &totals);
	fclose(out);
	assert_string_equal(text,
		"CLIENT                REMOTE                SNAT                  "
		"PROTO STATE       ANSWERED IDLE    LEFT    WAY                               PEER\n"
		"100.64.0.1:1001       192.168.0.1:81        192.168.1.221:20001   "
		"tcp   established yes      1m15s   2h02m   eth0 01:01:01:01:01:01            "
		"laptop.netbird.cloud (100.64.0.1)\n"
		"100.64.0.2:1002       192.168.0.2           192.168.1.221:20002   "
		"icmp  -           no       1m15s   3m45s   -                                 "
		"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI= (10.20.0.9)\n"
		"100.64.0.2:1002       192.168.0.2           192.168.1.221:20002   "
		"icmp  -           no       1m15s   3m45s   1 02:02:02:02:02:02               -\n"
		"3 shown, 7 matching; 3 live of 1023\n");
	free(text);
}

static void json_is_json(void **state)
{
	const struct status status = make_status();
	const struct flows_totals totals = { 2, 7, 1 };
	struct flows_row row = row_of(1);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct json_out json = { .out = out, .first = true };
	json_t *root, *flow;

	strcpy(peers[0].info.name, "lap\"\x1b[2J\ntop");
	flows_json_head(&json);
	flows_json_row(&json, &status, &row);
	row = row_of(2);
	row.seen.flow.peer = 5;
	row.seen.has_way = false;
	flows_json_row(&json, &status, &row);
	flows_json_foot(&json, &status, &totals);
	fclose(out);
	assert_null(strchr(text, '\x1b'));
	root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(root);
	assert_int_equal(json_integer_value(json_object_get(root, "matching")), 7);
	assert_int_equal(json_integer_value(json_object_get(root, "unsettled")), 1);
	flow = json_array_get(json_object_get(root, "flows"), 0);
	assert_string_equal(json_string_value(json_object_get(flow, "client")), "100.64.0.1");
	assert_int_equal(json_integer_value(json_object_get(flow, "snatPort")), 20001);
	assert_string_equal(json_string_value(json_object_get(flow, "state")), "new");
	assert_string_equal(json_string_value(json_object_get(json_object_get(flow, "way"), "device")),
		"eth0");
	assert_true(json_is_true(json_object_get(json_object_get(flow, "way"), "onward")));
	flow = json_array_get(json_object_get(root, "flows"), 1);
	assert_true(json_is_null(json_object_get(flow, "state")));
	assert_true(json_is_null(json_object_get(flow, "peer")));
	assert_true(json_is_null(json_object_get(flow, "way")));
	manual_has_keys("\n.It Cm flows ", "\n.It Cm top ", root);
	json_decref(root);
	free(text);
}

static void durations_are_short(void **state)
{
	static const struct {
		__u64 seconds;
		const char *text;
	} cases[] = { { 0, "0s" }, { 59, "59s" }, { 60, "1m00s" }, { 3599, "59m59s" }, { 3600, "1h00m" },
		{ 86399, "23h59m" }, { 86400, "1d0h" }, { 1000000, "11d13h" } };
	char text[16];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		flows_duration(cases[i].seconds, text, sizeof(text));
		assert_string_equal(text, cases[i].text);
	}
}

static void ipv6_flows_are_shown_with_their_addresses(void **state)
{
	const struct status status = make_status();
	const struct flows_room room = { .flow_count = 1024 };
	struct flows_row row = { .seen = seen6() };
	char text[2000] = "";
	struct json_out json;
	FILE *out = fmemopen(text, sizeof(text), "w");

	row.facts = flows_describe(&row.seen, &room);
	flows_print_row(out, &status, &row);
	row.seen.flow.proto = IPPROTO_ICMPV6;
	flows_print_row(out, &status, &row);
	json = (struct json_out){ .out = out, .first = true };
	flows_json_row(&json, &status, &row);
	fclose(out);
	assert_non_null(strstr(text, "[fd00::2]:"));
	assert_non_null(strstr(text, "[2001:db8::7]:"));
	assert_non_null(strstr(text, "[2001:db8::5]:"));
	assert_non_null(strstr(text, " 2001:db8::7 "));	/* an ICMP id is no port of the remote's */
	assert_non_null(strstr(text, " icmpv6 "));
	assert_non_null(strstr(text, "\"client\":\"fd00::2\""));
	assert_non_null(strstr(text, "\"protocol\":\"icmpv6\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_that_becomes_another_flow_is_never_shown_as_half_of_both),
		cmocka_unit_test(a_way_that_is_decided_anew_is_never_shown_as_half_of_both),
		cmocka_unit_test(a_reader_that_was_stopped_reads_again_and_then_says_so),
		cmocka_unit_test(a_record_that_never_rests_is_counted_and_left_out),
		cmocka_unit_test(errors_of_both_sides_end_the_walk),
		cmocka_unit_test(states_have_words),
		cmocka_unit_test(time_left_is_what_the_collector_of_the_datapath_leaves),
		cmocka_unit_test(clocks_that_disagree_by_a_second_do_no_harm),
		cmocka_unit_test(ends_are_parsed_or_refused_whole),
		cmocka_unit_test(ipv6_flows_are_chosen_by_their_addresses),
		cmocka_unit_test(addresses_of_ipv6_flows_are_read_beside_their_records),
		cmocka_unit_test(ipv6_flows_are_shown_with_their_addresses),
		cmocka_unit_test(filters_take_what_they_name_and_nothing_else),
		cmocka_unit_test(peers_are_found_by_key_name_and_address),
		cmocka_unit_test(the_best_are_those_of_a_full_sort),
		cmocka_unit_test(a_row_shows_ends_state_times_way_and_peer),
		cmocka_unit_test(json_is_json),
		cmocka_unit_test(durations_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
