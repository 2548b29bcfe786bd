// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Access rules: what is compiled says the same as the rules one by one; limits; from a network map to rules.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "policy/acl_internal.h"

static uint64_t random_state = 0x7a1011;

static uint32_t roll(uint32_t below)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(random_state >> 33) % below;
}

static __be32 ip4(const char *text)
{
	struct in_addr a;

	assert_int_equal(inet_pton(AF_INET, text, &a), 1);
	return a.s_addr;
}

static struct talon_addr addr_of(const char *text, uint8_t *ret_family)
{
	struct talon_addr addr = {};

	*ret_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	assert_int_equal(inet_pton(*ret_family, text, &addr), 1);
	return addr;
}

static struct cidr cidr(const char *text, uint8_t prefixlen)
{
	struct cidr c = { .prefixlen = prefixlen };

	c.addr = addr_of(text, &c.family);
	return c;
}

static struct acl_packet packet(const char *src, const char *dst, uint8_t proto, uint16_t port)
{
	struct acl_packet p = { .ip_proto = proto, .dport = port };
	uint8_t family;

	p.src = addr_of(src, &p.family);
	p.dst = addr_of(dst, &family);
	assert_int_equal(family, p.family);
	return p;
}

static bool table_permits(const struct acl_table *table, const char *src, const char *dst, uint8_t proto,
	uint16_t port)
{
	const struct acl_packet p = packet(src, dst, proto, port);

	return acl_table_permits(table, &p);
}

static bool rules_permit(const struct acl_rule *rules, size_t count, const char *src, const char *dst,
	uint8_t proto, uint16_t port)
{
	const struct acl_packet p = packet(src, dst, proto, port);

	return acl_permits(rules, count, &p);
}

static struct acl_table *compiled(const struct acl_rule *rules, size_t count)
{
	struct acl_table *table = NULL;
	char why[160] = "";
	int ret = acl_compile(rules, count, &table, why, sizeof(why));

	if (ret)
		fail_msg("%d: %s", ret, why);
	return table;
}

static uint8_t random_family(void)
{
	return roll(2) ? AF_INET6 : AF_INET;
}

/*
 * From a small world, so that prefixes overlap and packets meet rules. IPv6's has the bits of IPv4's in the
 * first word and varies in each other one as well.
 */
static struct talon_addr random_addr(uint8_t family)
{
	struct talon_addr addr = { .word = { htonl(0x0a000000 | roll(2) << 16 | roll(4) << 8 | roll(8)) } };

	if (family == AF_INET6)
		addr = (struct talon_addr){ .word = { htonl(0x0a000000 | roll(2)), htonl(roll(2) << 31),
			htonl(roll(2)), htonl(0xfffffff8 | roll(8)) } };
	return addr;
}

static struct cidr random_cidr_of(uint8_t family)
{
	static const uint8_t lens[] = { 0, 8, 15, 16, 22, 23, 24, 29, 30, 31, 32, 32, 32 };
	static const uint8_t lens6[] = { 0, 8, 31, 32, 33, 63, 64, 95, 96, 97, 125, 127, 128, 128, 128 };
	struct cidr c = { .family = family, .addr = random_addr(family),
		.prefixlen = family == AF_INET ? lens[roll(sizeof(lens))] : lens6[roll(sizeof(lens6))] };

	return c;
}

/* The datapath asks no other table for the other family: the same bits there are another network. */
static struct cidr random_cidr(void)
{
	return random_cidr_of(random_family());
}

static struct acl_packet random_packet(uint8_t ip_proto, uint16_t dport)
{
	const uint8_t family = random_family();

	return (struct acl_packet){ .family = family, .ip_proto = ip_proto, .dport = dport,
		.src = random_addr(family), .dst = random_addr(family) };
}

static void random_ports(struct acl_rule *rule)
{
	static const uint16_t edges[] = { 0, 1, 22, 79, 80, 81, 443, 1024, 65534, 65535 };

	rule->port_first = edges[roll(10)];
	rule->port_last = roll(3) ? rule->port_first : edges[roll(10)];
	if (!roll(3))
		rule->port_first = rule->port_last = 0;
}

#define SOURCES_MAX 4

static size_t random_rules(struct acl_rule *rules, struct cidr *sources, size_t room)
{
	static const uint8_t others[] = { 47, IPPROTO_ICMP, IPPROTO_ICMPV6 };
	size_t count = roll(room + 1);

	for (size_t i = 0; i < count; i++) {
		struct acl_rule *rule = &rules[i];

		*rule = (struct acl_rule){ .sources = sources, .source_count = roll(SOURCES_MAX),
			.dst = random_cidr(), .proto = roll(5), .ip_proto = others[roll(3)] };
		rule->drop = !roll(4);
		if (!roll(4))
			rule->except = random_addr(rule->dst.family);
		random_ports(rule);
		for (size_t j = 0; j < rule->source_count; j++)	/* now and then of the other family */
			*sources++ = roll(8) ? random_cidr_of(rule->dst.family) : random_cidr();
	}
	return count;
}

static void compiled_rules_say_what_the_rules_say(void **state)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, 47,
		0, 255 };
	static const uint16_t ports[] = { 0, 1, 2, 21, 22, 23, 79, 80, 81, 82, 442, 443, 1023, 1024, 65533,
		65534, 65535 };
	struct acl_rule rules[40];
	struct cidr sources[40 * SOURCES_MAX];
	unsigned accepted = 0, denied = 0, six = 0;

	for (int round = 0; round < 400; round++) {
		size_t count = random_rules(rules, sources, 40);
		struct acl_table *table = compiled(rules, count);

		for (int i = 0; i < 500; i++) {
			const struct acl_packet p = random_packet(protos[roll(7)], ports[roll(17)]);
			bool naive = acl_permits(rules, count, &p);
			char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];

			if (naive != acl_table_permits(table, &p))
				fail_msg("round %d: %s to %s, protocol %u, port %u: the rules say %d", round,
					inet_ntop(p.family, &p.src, src, sizeof(src)),
					inet_ntop(p.family, &p.dst, dst, sizeof(dst)), p.ip_proto, p.dport,
					naive);
			naive ? accepted++ : denied++;
			six += naive && p.family == AF_INET6;
		}
		acl_free(table);
	}
	assert_in_range(accepted, 10000, 190000);
	assert_in_range(denied, 10000, 190000);
	assert_in_range(six, 5000, 95000);
}

/* A later fragment: let through only if it would be whatever its ports were. */
static void without_ports_only_what_passes_on_every_port_passes(void **state)
{
	static const uint16_t ports[] = { 0, 1, 22, 79, 80, 81, 443, 1024, 1025, 65534, 65535 };
	struct acl_rule rules[12];
	struct cidr sources[12 * SOURCES_MAX];
	unsigned passed = 0;

	for (int round = 0; round < 1000; round++) {
		size_t count = random_rules(rules, sources, 12);
		struct acl_table *table = compiled(rules, count);

		for (int i = 0; i < 50; i++) {
			struct acl_packet probe = random_packet(roll(2) ? IPPROTO_TCP : IPPROTO_UDP, 0);

			if (!acl_table_permits_any_port(table, &probe))
				continue;
			passed++;
			for (int p = 0; p < 11; p++) {
				probe.dport = ports[p];
				assert_true(acl_permits(rules, count, &probe));
			}
		}
		acl_free(table);
	}
	assert_in_range(passed, 100, 49000);
}

static void no_rules_deny_everything(void **state)
{
	struct acl_table *table = compiled(NULL, 0);

	assert_false(table_permits(table, "10.0.0.1", "10.0.0.2", IPPROTO_TCP, 80));
	assert_false(table_permits(table, "10.0.0.1", "10.0.0.2", IPPROTO_ICMP, 0));
	assert_int_equal(acl_table_sizes(table).rules, 0);
	assert_int_equal(table->class_count, 1);
	acl_free(table);
}

static void a_rule_without_sources_matches_nobody(void **state)
{
	struct acl_rule rules[] = { { .dst = cidr("0.0.0.0", 0) } };
	struct acl_table *table = compiled(rules, 1);

	assert_false(rules_permit(rules, 1, "10.0.0.1", "10.0.0.2", IPPROTO_TCP, 80));
	assert_false(table_permits(table, "10.0.0.1", "10.0.0.2", IPPROTO_TCP, 80));
	acl_free(table);
}

static void sources_of_another_family_and_empty_ranges_match_nobody(void **state)
{
	struct cidr sources[] = { cidr("::", 0), cidr("10.0.0.1", 32) };
	struct acl_rule rules[] = {
		{ .sources = sources, .source_count = 1, .dst = cidr("0.0.0.0", 0) },
		{ .sources = sources + 1, .source_count = 1, .dst = cidr("::", 0) },
		{ .sources = sources, .source_count = 2, .dst = cidr("10.1.0.0", 16), .proto = NETMAP_TCP,
			.port_first = 9, .port_last = 8 },
		{ .sources = sources, .source_count = 2, .dst = { .family = AF_INET6, .prefixlen = 129 } },
		{ .sources = sources, .source_count = 2, .dst = { .family = 0 } },
	};
	struct acl_table *table = compiled(rules, 5);

	assert_int_equal(acl_table_sizes(table).rules, 0);
	assert_false(rules_permit(rules, 5, "10.0.0.1", "10.1.0.2", IPPROTO_TCP, 9));
	assert_false(rules_permit(rules, 5, "fd00::1", "fd00::2", IPPROTO_TCP, 9));
	assert_false(table_permits(table, "fd00::1", "fd00::2", IPPROTO_TCP, 9));
	acl_free(table);
}

static void a_rule_that_lists_sources_of_both_families_is_of_its_destinations(void **state)
{
	struct cidr sources[] = { cidr("10.0.0.1", 32), cidr("fd00::1", 128) };
	struct acl_rule rules[] = {
		{ .sources = sources, .source_count = 2, .dst = cidr("10.1.0.0", 16) },
		{ .sources = sources, .source_count = 2, .dst = cidr("fd01::", 16), .proto = NETMAP_ICMP },
	};
	struct acl_table *table = compiled(rules, 2);

	assert_int_equal(acl_table_sizes(table).rules, 2);
	assert_int_equal(table->sources.count, 2);
	assert_int_equal(table->sources.count4, 1);
	assert_true(table_permits(table, "10.0.0.1", "10.1.0.2", IPPROTO_TCP, 9));
	assert_false(table_permits(table, "fd00::1", "fd01::2", IPPROTO_TCP, 9));
	assert_true(table_permits(table, "fd00::1", "fd01::2", IPPROTO_ICMPV6, 0));
	assert_false(table_permits(table, "fd00::1", "fd01::2", IPPROTO_ICMP, 0));
	acl_free(table);
}

static void rules_that_differ_in_sources_or_in_destinations_are_one(void **state)
{
	struct cidr sources[200];
	struct acl_rule rules[2000];
	struct acl_table *table;
	size_t count = 0;
	char text[32];

	/* 200 peers, five ports each: five rules */
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "100.64.1.%d", i);
		sources[i] = cidr(text, 32);
		for (int port = 1; port <= 5; port++)
			rules[count++] = (struct acl_rule){
				.sources = &sources[i], .source_count = 1, .dst = cidr("100.64.0.1", 32),
					.proto = NETMAP_TCP,
				.port_first = port, .port_last = port,
			};
	}
	table = compiled(rules, count);
	assert_int_equal(acl_table_sizes(table).rules, 5);
	assert_int_equal(table->words, 1);
	assert_int_equal(table->sources.count, 200);
	acl_free(table);

	/* 1,000 networks for the same 200 peers: one rule more */
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "10.%d.%d.0", i / 250, i % 250);
		rules[count++] = (struct acl_rule){ .sources = sources, .source_count = 200,
			.dst = cidr(text, 24) };
	}
	table = compiled(rules, count);
	assert_int_equal(acl_table_sizes(table).rules, 6);
	assert_int_equal(table->destinations.count, 1001);
	assert_true(table_permits(table, "100.64.1.7", "10.3.200.9", 47, 0));
	assert_false(table_permits(table, "100.64.2.7", "10.3.200.9", 47, 0));
	acl_free(table);
}

static void more_rules_than_bits_are_refused_with_a_reason(void **state)
{
	struct cidr any = cidr("0.0.0.0", 0);
	struct acl_rule rules[TALON_ACL_RULES + 1];
	struct acl_table *table = (void *)1;
	char why[160] = "";

	for (int i = 0; i <= TALON_ACL_RULES; i++)
		rules[i] = (struct acl_rule){
			.sources = &any, .source_count = 1, .dst = any, .proto = NETMAP_TCP,
				.port_first = i + 1, .port_last = i + 1,
		};
	assert_int_equal(acl_compile(rules, TALON_ACL_RULES + 1, &table, why, sizeof(why)), -E2BIG);
	assert_ptr_equal(table, (void *)1);
	assert_string_equal(why, "access rules: 1025 distinct rules (0 of them drop); the limit is 1024");
	table = compiled(rules, TALON_ACL_RULES);
	for (int i = 1; i <= TALON_ACL_RULES; i++)
		assert_true(table_permits(table, "0.0.0.1", "0.0.0.2", IPPROTO_TCP, i));
	assert_false(table_permits(table, "0.0.0.1", "0.0.0.2", IPPROTO_TCP, TALON_ACL_RULES + 1));
	acl_free(table);

	/* One DROP rule takes a word of its own. */
	rules[0].drop = true;
	assert_int_equal(acl_compile(rules, TALON_ACL_RULES, &table, why, sizeof(why)), -E2BIG);
	table = compiled(rules, TALON_ACL_RULES - 63);
	assert_int_equal(table->drop_words, 1);
	assert_false(table_permits(table, "0.0.0.1", "0.0.0.2", IPPROTO_TCP, 1));
	assert_true(table_permits(table, "0.0.0.1", "0.0.0.2", IPPROTO_TCP, 2));
	acl_free(table);
}

/* A mesh of both families says everything twice, and has room for as many rules as one of IPv4. */
static void rules_of_both_families_share_their_bits(void **state)
{
	struct cidr from[] = { cidr("100.64.0.2", 32), cidr("fd12::2", 128), cidr("fd12::3", 128) },
		to[] = { cidr("10.0.0.0", 8), cidr("fd00:1::", 32) };
	struct acl_rule rules[2 * TALON_ACL_RULES + 1];
	struct acl_table *table;
	char why[160];

	for (int i = 0; i < 2 * TALON_ACL_RULES; i++)
		rules[i] = (struct acl_rule){ .sources = &from[i % 2], .source_count = 1, .dst = to[i % 2],
			.proto = NETMAP_TCP, .port_first = i / 2 + 1, .port_last = i / 2 + 1, .policy = "p" };
	table = compiled(rules, 2 * TALON_ACL_RULES);
	assert_int_equal(acl_table_sizes(table).rules, TALON_ACL_RULES);
	assert_true(table_permits(table, "100.64.0.2", "10.0.0.1", IPPROTO_TCP, 7));
	assert_true(table_permits(table, "fd12::2", "fd00:1::1", IPPROTO_TCP, 1024));
	assert_false(table_permits(table, "fd12::3", "fd00:1::1", IPPROTO_TCP, 7));
	acl_free(table);

	/* of another policy: a name would be wrong for one of them */
	rules[2 * TALON_ACL_RULES - 1].policy = "another";
	assert_int_equal(acl_compile(rules, 2 * TALON_ACL_RULES, &table, why, sizeof(why)), -E2BIG);
	/* one more, without a twin */
	rules[2 * TALON_ACL_RULES - 1].policy = "p";
	rules[2 * TALON_ACL_RULES] = (struct acl_rule){ .sources = &from[2], .source_count = 1, .dst = to[1],
		.proto = NETMAP_TCP, .port_first = 7, .port_last = 7, .policy = "p" };
	assert_int_equal(acl_compile(rules, 2 * TALON_ACL_RULES + 1, &table, why, sizeof(why)), 0);
	assert_true(table_permits(table, "fd12::3", "fd00:1::1", IPPROTO_TCP, 7));	/* merged */
	assert_false(table_permits(table, "fd12::3", "fd00:1::1", IPPROTO_TCP, 8));
	acl_free(table);
}

static void more_prefixes_or_classes_than_there_is_room_for_are_refused(void **state)
{
	size_t count = TALON_ACL_PREFIXES + 1;
	struct cidr *sources = calloc(count, sizeof(*sources));
	struct acl_rule rule = { .sources = sources, .source_count = count,
		.dst = cidr("10.0.0.0", 8) }, *rules;
	struct acl_table *table = NULL;
	char why[160] = "";

	assert_non_null(sources);
	for (size_t i = 0; i < count; i++)
		sources[i] = (struct cidr){ .family = AF_INET, .prefixlen = 32,
			.addr.word[0] = htonl(0x64400000 + i) };
	assert_int_equal(acl_compile(&rule, 1, &table, why, sizeof(why)), -E2BIG);
	assert_string_equal(why, "access rules: 32769 distinct sources; the limit is 32768");
	rule.source_count--;
	acl_free(compiled(&rule, 1));
	/* IPv6 has as many of its own */
	for (size_t i = 0; i < count; i++)
		sources[i] = (struct cidr){ .family = AF_INET6, .prefixlen = 128,
			.addr.word = { htonl(0xfd000000), 0, 0, htonl(i) } };
	rule.dst = cidr("fd01::", 16);
	acl_free(compiled(&rule, 1));
	rule.source_count++;
	assert_int_equal(acl_compile(&rule, 1, &table, why, sizeof(why)), -E2BIG);
	assert_string_equal(why, "access rules: 32769 distinct IPv6 sources; the limit is 32768");
	for (size_t i = 0; i < count; i++)
		sources[i] = (struct cidr){ .family = AF_INET, .prefixlen = 32,
			.addr.word[0] = htonl(0x64400000 + i) };

	/* Every peer with a combination of 14 rules of its own: 16,383 classes. */
	rules = calloc(14, sizeof(*rules));
	assert_non_null(rules);
	for (int bit = 0; bit < 14; bit++) {
		struct cidr *list = calloc(16384, sizeof(*list));

		assert_non_null(list);
		rules[bit] = (struct acl_rule){
			.sources = list, .dst = cidr("10.0.0.0", 8), .proto = NETMAP_UDP,
				.port_first = 100 + bit, .port_last = 100 + bit,
		};
		for (int i = 0; i < 16384; i++)
			if (i >> bit & 1)
				list[rules[bit].source_count++] = sources[i];
	}
	assert_int_equal(acl_compile(rules, 14, &table, why, sizeof(why)), -E2BIG);
	assert_string_equal(why, "access rules: more than 8191 classes of sources, destinations and ports");
	for (int bit = 0; bit < 14; bit++)
		free((void *)rules[bit].sources);
	free(rules);
	free(sources);
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static void five_thousand_peers_with_twenty_rules_each_compile_quickly(void **state)
{
	enum { PEERS = 5000, EACH = 20 };
	struct cidr *sources = calloc(PEERS, sizeof(*sources));
	struct acl_rule *rules = calloc(PEERS * EACH, sizeof(*rules));
	struct acl_table *table;
	double began;

	assert_non_null(sources);
	assert_non_null(rules);
	for (int i = 0; i < PEERS; i++) {
		sources[i] = (struct cidr){ .family = AF_INET, .prefixlen = 32,
			.addr.word[0] = htonl(0x64400000 + i * 37) };
		for (int j = 0; j < EACH; j++)
			rules[i * EACH + j] = (struct acl_rule){
				.sources = &sources[i], .source_count = 1, .dst = cidr("100.64.0.1", 32),
					.proto = NETMAP_TCP,
				.port_first = 1000 + (i + j) % 40, .port_last = 1000 + (i + j) % 40,
			};
	}
	began = now_ms();
	table = compiled(rules, PEERS * EACH);
	print_message("compiled in %.1f ms: %zu rules, %zu sources, %u classes\n", now_ms() - began,
		acl_table_sizes(table).rules, table->sources.count, table->class_count);
	assert_int_equal(acl_table_sizes(table).rules, 40);
	assert_int_equal(table->sources.count, PEERS);
	acl_free(table);
	free(rules);
	free(sources);
}

#define MESH "100.64.0.1"
#define MESH6 "fd12::1"
/* Of a struct netmap_rule: its one source. */
#define PEER(text, len) .sources = (struct cidr []){ cidr(text, len) }, .source_count = 1

static struct acl_rules made(const struct acl_input *input)
{
	struct acl_rules rules = {};

	assert_int_equal(acl_rules_make(input, &rules), 0);
	return rules;
}

static bool passes(const struct acl_rules *rules, const char *src, const char *dst, uint8_t proto,
	uint16_t port)
{
	struct acl_table *table = compiled(rules->list, rules->count);
	bool naive = rules_permit(rules->list, rules->count, src, dst, proto, port);

	assert_int_equal(table_permits(table, src, dst, proto, port), naive);
	acl_free(table);
	return naive;
}

static void peer_rules_hold_for_our_mesh_address_and_drop_goes_first(void **state)
{
	struct netmap_rule list[] = {
		{ PEER("100.64.0.2", 32), .proto = NETMAP_TCP, .port_first = 22, .port_last = 22 },
		{ PEER("0.0.0.0", 0), .proto = NETMAP_ICMP },
		{ PEER("100.64.0.3", 32), .proto = NETMAP_ANY },
		{ PEER("100.64.0.3", 32), .proto = NETMAP_UDP, .port_first = 50, .port_last = 60,
			.drop = true },
	};
	struct netmap map = { .rules = list, .rule_count = 4 };
	struct acl_input input = { .map = &map, .mesh_addr = ip4(MESH) };
	struct acl_rules rules = made(&input);

	assert_true(passes(&rules, "100.64.0.2", MESH, IPPROTO_TCP, 22));
	assert_false(passes(&rules, "100.64.0.2", MESH, IPPROTO_TCP, 23));
	assert_false(passes(&rules, "100.64.0.2", MESH, IPPROTO_UDP, 22));
	assert_false(passes(&rules, "100.64.0.2", "192.168.1.220", IPPROTO_TCP, 22));
	assert_true(passes(&rules, "100.64.0.2", MESH, IPPROTO_ICMP, 0));
	assert_true(passes(&rules, "100.64.0.3", MESH, 47, 0));
	assert_true(passes(&rules, "100.64.0.3", MESH, IPPROTO_UDP, 49));
	assert_false(passes(&rules, "100.64.0.3", MESH, IPPROTO_UDP, 50));
	assert_false(passes(&rules, "100.64.0.3", MESH, IPPROTO_UDP, 60));
	assert_true(passes(&rules, "100.64.0.3", MESH, IPPROTO_TCP, 55));
	acl_rules_done(&rules);
}

static void route_rules_never_open_our_own_address(void **state)
{
	struct cidr any = cidr("0.0.0.0", 0), peer = cidr("100.64.0.2", 32);
	struct netmap_route_rule list[] = {
		{ .sources = &any, .source_count = 1, .dst = cidr("192.168.1.0", 24) },
		{ .sources = &peer, .source_count = 1, .any_dst = true, .proto = NETMAP_TCP,
			.port_first = 443, .port_last = 443 },
		{ .sources = NULL, .source_count = 0, .dst = cidr("10.0.0.0", 8) },	/* nobody */
		{ .sources = &any, .source_count = 1, .dst = cidr("192.168.1.9", 32), .drop = true },
	};
	struct netmap map = { .route_rules = list, .route_rule_count = 4 };
	struct acl_input input = { .map = &map, .mesh_addr = ip4(MESH) };
	struct acl_rules rules = made(&input);

	assert_true(passes(&rules, "100.64.0.9", "192.168.1.220", IPPROTO_UDP, 1));
	assert_false(passes(&rules, "100.64.0.9", "192.168.1.9", IPPROTO_UDP, 1));
	assert_true(passes(&rules, "100.64.0.2", "8.8.8.8", IPPROTO_TCP, 443));
	assert_true(passes(&rules, "100.64.0.2", "100.64.0.7", IPPROTO_TCP, 443));
	assert_false(passes(&rules, "100.64.0.2", MESH, IPPROTO_TCP, 443));
	assert_false(passes(&rules, "100.64.0.2", "10.1.1.1", IPPROTO_TCP, 80));
	acl_rules_done(&rules);
}

static void domain_rules_hold_for_what_was_learned(void **state)
{
	struct cidr peer = cidr("100.64.0.2", 32);
	char *one[] = { (char *)"*.internal.example", (char *)"db.example" },
		*other[] = { (char *)"web.example" };
	struct netmap_route_rule list[] = {
		{ .sources = &peer, .source_count = 1, .domains = one, .domain_count = 2, .proto = NETMAP_TCP,
			.port_first = 5432, .port_last = 5432 },
		{ .sources = &peer, .source_count = 1, .domains = other, .domain_count = 1 },
	};
	struct acl_learned learned[] = { { "db.example", AF_INET, { { ip4("10.9.0.1") } } },
		{ "*.internal.example", AF_INET, { { ip4("10.9.0.2") } } } };
	struct netmap map = { .route_rules = list, .route_rule_count = 2 };
	struct acl_input input = { .map = &map, .mesh_addr = ip4(MESH) };
	struct acl_rules rules = made(&input);

	assert_int_equal(rules.count, 0);
	acl_rules_done(&rules);
	input.learned = learned;
	input.learned_count = 2;
	rules = made(&input);
	assert_true(passes(&rules, "100.64.0.2", "10.9.0.1", IPPROTO_TCP, 5432));
	assert_true(passes(&rules, "100.64.0.2", "10.9.0.2", IPPROTO_TCP, 5432));
	assert_false(passes(&rules, "100.64.0.2", "10.9.0.2", IPPROTO_TCP, 80));
	assert_false(passes(&rules, "100.64.0.2", "10.9.0.3", IPPROTO_TCP, 5432));
	assert_false(passes(&rules, "100.64.0.3", "10.9.0.1", IPPROTO_TCP, 5432));
	acl_rules_done(&rules);
}

static void local_exceptions_close_the_lan(void **state)
{
	struct cidr any = cidr("0.0.0.0", 0), lan = cidr("192.168.1.0", 24);
	struct netmap_route_rule all = { .sources = &any, .source_count = 1, .any_dst = true };
	struct netmap map = { .route_rules = &all, .route_rule_count = 1 };
	struct acl_input input = { .map = &map, .mesh_addr = ip4(MESH), .lan = &lan, .lan_count = 1 };
	struct acl_rules rules = made(&input);

	assert_false(passes(&rules, "100.64.0.2", MESH, IPPROTO_UDP, 22054));	/* open, but by no rule */
	assert_false(passes(&rules, "100.64.0.2", "192.168.1.220", IPPROTO_TCP, 80));
	assert_true(passes(&rules, "100.64.0.2", "10.1.1.1", IPPROTO_TCP, 80));
	acl_rules_done(&rules);

	input.block_inbound = true;
	rules = made(&input);
	assert_int_equal(rules.count, 0);
	assert_false(passes(&rules, "100.64.0.2", MESH, IPPROTO_UDP, 22054));
	acl_rules_done(&rules);
}

static void peer_rules_hold_for_our_ipv6_address_too(void **state)
{
	struct cidr both[] = { cidr("100.64.0.4", 32), cidr("fd12::4", 128) };
	struct netmap_rule list[] = {
		{ PEER("fd12::2", 128), .proto = NETMAP_TCP, .port_first = 22, .port_last = 22 },
		{ PEER("::", 0), .proto = NETMAP_ICMP },
		{ PEER("fd12::3", 128), .proto = NETMAP_ANY, .drop = true },
		{ .sources = both, .source_count = 2, .proto = NETMAP_OTHER, .ip_proto = 47 },
	};
	struct netmap map = { .rules = list, .rule_count = 4 };
	struct acl_input input = { .map = &map, .mesh_addr = ip4(MESH), .mesh_addr6 = cidr(MESH6, 128).addr };
	struct acl_rules rules = made(&input);

	assert_true(passes(&rules, "fd12::2", MESH6, IPPROTO_TCP, 22));
	assert_false(passes(&rules, "fd12::2", MESH6, IPPROTO_TCP, 23));
	assert_false(passes(&rules, "fd12::2", "fd12::7", IPPROTO_TCP, 22));
	assert_true(passes(&rules, "fd12::9", MESH6, IPPROTO_ICMPV6, 0));
	assert_false(passes(&rules, "fd12::9", MESH6, IPPROTO_ICMP, 0));
	assert_false(passes(&rules, "fd12::3", MESH6, IPPROTO_ICMPV6, 0));
	assert_false(passes(&rules, "100.64.0.9", MESH, IPPROTO_ICMP, 0));
	assert_true(passes(&rules, "100.64.0.4", MESH, 47, 0));
	assert_true(passes(&rules, "fd12::4", MESH6, 47, 0));
	assert_false(passes(&rules, "fd12::4", MESH6, 50, 0));
	acl_rules_done(&rules);

	/* without an address there is nothing in IPv6 that could be let in, or taken up */
	input.mesh_addr6 = (struct talon_addr){};
	rules = made(&input);
	assert_int_equal(rules.count, 1);
	assert_true(passes(&rules, "100.64.0.4", MESH, 47, 0));
	acl_rules_done(&rules);
}

static void route_rules_of_both_families_stay_apart_and_never_open_our_own_address(void **state)
{
	struct cidr any4 = cidr("0.0.0.0", 0), any6 = cidr("::", 0), peers[] = { cidr("fd12::2", 128),
		cidr("fd12::3", 128) };
	struct cidr lan[] = { cidr("192.168.1.0", 24), cidr("2001:db8:1::", 64) };
	struct netmap_route_rule list[] = {
		{ .sources = &any4, .source_count = 1, .dst = cidr("0.0.0.0", 0) },
		{ .sources = peers, .source_count = 2, .dst = cidr("::", 0), .proto = NETMAP_TCP,
			.port_first = 443, .port_last = 443 },
		{ .sources = &any6, .source_count = 1, .dst = cidr("2001:db8:2::", 64),
			.proto = NETMAP_ICMP },
		{ .sources = &any6, .source_count = 1, .any_dst = true, .proto = NETMAP_UDP },
	};
	struct netmap map = { .route_rules = list, .route_rule_count = 4 };
	struct acl_input input = { .map = &map, .mesh_addr = ip4(MESH), .mesh_addr6 = cidr(MESH6, 128).addr };
	struct acl_rules rules = made(&input);

	assert_true(passes(&rules, "100.64.0.9", "8.8.8.8", IPPROTO_TCP, 443));
	assert_false(passes(&rules, "fd12::9", "2001:db8:1::7", IPPROTO_TCP, 443));
	assert_true(passes(&rules, "fd12::3", "2001:db8:1::7", IPPROTO_TCP, 443));
	assert_false(passes(&rules, "fd12::3", MESH6, IPPROTO_TCP, 443));
	assert_true(passes(&rules, "fd12::9", "2001:db8:2::7", IPPROTO_ICMPV6, 0));
	assert_false(passes(&rules, "fd12::9", "2001:db8:2::7", IPPROTO_ICMP, 0));
	assert_true(passes(&rules, "fd12::9", "2001:db8:3::7", IPPROTO_UDP, 1));
	assert_false(passes(&rules, "fd12::9", MESH6, IPPROTO_UDP, 1));
	acl_rules_done(&rules);

	input.lan = lan;
	input.lan_count = 2;
	rules = made(&input);
	assert_false(passes(&rules, "fd12::3", "2001:db8:1::7", IPPROTO_TCP, 443));
	assert_true(passes(&rules, "fd12::3", "2001:db8:2::7", IPPROTO_TCP, 443));
	assert_false(passes(&rules, "100.64.0.9", "192.168.1.7", IPPROTO_TCP, 443));
	acl_rules_done(&rules);

	input.mesh_addr6 = (struct talon_addr){};
	rules = made(&input);
	assert_int_equal(rules.count, 2);
	assert_false(passes(&rules, "fd12::3", "2001:db8:2::7", IPPROTO_TCP, 443));
	acl_rules_done(&rules);
}

static void learned_addresses_are_open_to_sources_of_their_family(void **state)
{
	struct cidr any4 = cidr("0.0.0.0", 0), any6 = cidr("fd12::2", 128);
	char *domains[] = { (char *)"db.example" };
	struct netmap_route_rule list[] = {
		{ .sources = &any4, .source_count = 1, .domains = domains, .domain_count = 1 },
		{ .sources = &any6, .source_count = 1, .domains = domains, .domain_count = 1 },
	};
	struct acl_learned learned[] = { { "db.example", AF_INET, { { ip4("10.9.0.1") } } },
		{ "db.example", AF_INET6, cidr("2001:db8::9", 128).addr },
		{ "other.example", AF_INET6, cidr("2001:db8::8", 128).addr } };
	struct netmap map = { .route_rules = list, .route_rule_count = 2 };
	struct acl_input input = { .map = &map, .mesh_addr = ip4(MESH), .mesh_addr6 = cidr(MESH6, 128).addr,
		.learned = learned, .learned_count = 3 };
	struct acl_rules rules = made(&input);

	assert_int_equal(rules.count, 2);
	assert_true(passes(&rules, "100.64.0.9", "10.9.0.1", IPPROTO_TCP, 80));
	assert_true(passes(&rules, "fd12::2", "2001:db8::9", IPPROTO_TCP, 80));
	assert_false(passes(&rules, "fd12::3", "2001:db8::9", IPPROTO_TCP, 80));
	assert_false(passes(&rules, "fd12::2", "2001:db8::8", IPPROTO_TCP, 80));
	acl_rules_done(&rules);
}

static void the_example_of_acl_c_is_true(void **state)
{
	const struct cidr any = cidr("0.0.0.0", 0), mesh = cidr("100.64.0.0", 10),
		few = cidr("100.64.5.0", 24);
	const struct acl_rule rules[] = {
		{ .sources = &mesh, .source_count = 1, .dst = cidr("10.0.0.0", 8),
			.proto = NETMAP_TCP, .port_first = 443, .port_last = 443 },
		{ .sources = &few, .source_count = 1, .dst = cidr("10.7.0.0", 16) },
		{ .sources = &any, .source_count = 1, .dst = cidr("10.7.0.9", 32), .drop = true },
	};
	static const struct acl_entry sources[] = { { { AF_INET, 0, {} }, 1 },
		{ { AF_INET, 10, { 0x64400000 } }, 2 }, { { AF_INET, 24, { 0x64400500 } }, 3 } };
	static const struct acl_entry destinations[] = { { { AF_INET, 8, { 0x0a000000 } }, 4 },
		{ { AF_INET, 16, { 0x0a070000 } }, 5 }, { { AF_INET, 32, { 0x0a070009 } }, 3 } };
	/* word 1 has bits 64 (1) and 65 (2) */
	static const uint64_t bits[][2] = { { 0, 0 }, { 1, 0 }, { 1, 1 }, { 1, 3 }, { 0, 1 }, { 0, 3 },
		{ 1, 2 } };
	struct acl_table *table = compiled(rules, 3);

	assert_true(table_permits(table, "100.64.9.9", "10.7.0.1", IPPROTO_TCP, 443));
	assert_false(table_permits(table, "100.64.5.5", "10.7.0.9", IPPROTO_UDP, 53));
	assert_false(table_permits(table, "100.64.9.9", "10.7.0.1", IPPROTO_TCP, 80));
	assert_int_equal(table->drop_words, 1);
	assert_int_equal(table->words, 2);
	assert_int_equal(table->sources.count, 3);
	assert_memory_equal(table->sources.list, sources, sizeof(sources));
	assert_int_equal(table->destinations.count, 3);
	assert_memory_equal(table->destinations.list, destinations, sizeof(destinations));
	assert_int_equal(table->class_count, 7);
	for (int i = 0; i < 7; i++)
		assert_memory_equal(table->classes[i].word, bits[i], sizeof(bits[i]));
	for (uint32_t i = 0; i < TALON_ACL_PORT_CLASSES; i++)
		assert_int_equal(table->ports[i], i == TALON_ACL_PORT_TCP + 443 ? 3 : 6);
	acl_free(table);
}

/* The name and the policies of the rule that has @bit; NULL: there is no such rule. */
static const struct talon_acl_rule *named(const struct acl_table *table, uint32_t bit)
{
	for (size_t i = 0; i < table->rules; i++)
		if (table->names[i].bit == bit)
			return &table->names[i].rule;
	return NULL;
}

static void assert_named(const struct acl_table *table, uint32_t bit, const char *name, const char *policy,
	bool drop)
{
	const struct talon_acl_rule *rule = named(table, bit);

	assert_non_null(rule);
	assert_string_equal(rule->name, name);
	assert_string_equal(rule->policy, policy);
	assert_int_equal(rule->drop, drop);
}

static void rules_are_called_by_what_they_are_and_come_from(void **state)
{
	struct netmap_rule peers[] = {
		{ PEER("100.64.0.2", 32), .proto = NETMAP_TCP, .port_first = 80, .port_last = 90,
			.policy = "web" },
		{ PEER("100.64.0.3", 32), .proto = NETMAP_TCP, .port_first = 80, .port_last = 90,
			.policy = "more-web" },
		{ PEER("0.0.0.0", 0), .proto = NETMAP_ICMP, .drop = true },
	};
	struct cidr any = cidr("0.0.0.0", 0);
	struct netmap_route_rule routes[] = {
		{ .sources = &any, .source_count = 1, .dst = cidr("10.0.0.0", 8), .route_id = "lan",
			.policy = "p1" },
		{ .sources = &any, .source_count = 1, .dst = cidr("10.64.0.0", 16), .route_id = "other",
			.policy = "p2" },
	};
	struct cidr lan = cidr("192.168.1.0", 24);
	struct netmap map = { .rules = peers, .rule_count = 3, .route_rules = routes, .route_rule_count = 2 };
	struct acl_input input = { .map = &map, .mesh_addr = ip4(MESH), .lan = &lan, .lan_count = 1 };
	struct acl_rules rules = made(&input);
	struct acl_table *table = compiled(rules.list, rules.count);

	assert_int_equal(table->rules, 4);
	assert_named(table, 0, "peers: icmp from anywhere to 100.64.0.1", "", true);
	assert_named(table, 1, "block-lan-access: all from anywhere to 192.168.1.0/24", "", true);
	assert_named(table, 64, "peers: tcp 80-90 from 2 networks to 100.64.0.1", "more-web, web", false);
	assert_named(table, 65, "route lan and others: all from anywhere to 2 networks", "p1, p2", false);
	acl_free(table);
	acl_rules_done(&rules);
}

static void rules_of_ipv6_are_called_by_their_family(void **state)
{
	struct cidr any6 = cidr("::", 0), peer = cidr("fd12::2", 128);
	const struct acl_rule rules[] = {
		{ .sources = &any6, .source_count = 1, .dst = cidr(MESH6, 128), .proto = NETMAP_ICMP },
		{ .sources = &peer, .source_count = 1, .dst = cidr("2001:db8::", 32), .proto = NETMAP_OTHER,
			.ip_proto = 47 },
	};
	struct cidr peer4 = cidr("100.64.0.2", 32);
	const struct acl_rule twins[] = {
		{ .sources = &peer, .source_count = 1, .dst = cidr(MESH6, 128), .proto = NETMAP_TCP,
			.port_first = 80, .port_last = 80, .policy = "web", .origin = "peers" },
		{ .sources = &peer4, .source_count = 1, .dst = cidr(MESH, 32), .proto = NETMAP_TCP,
			.port_first = 80, .port_last = 80, .policy = "web", .origin = "peers" },
	};
	struct acl_table *table = compiled(rules, 2);

	assert_named(table, 0, "rule: protocol 47 from fd12::2 to 2001:db8::/32", "", false);
	assert_named(table, 1, "rule: icmpv6 from anywhere in IPv6 to fd12::1", "", false);
	acl_free(table);
	table = compiled(twins, 2);
	assert_int_equal(table->rules, 1);
	assert_named(table, 0, "peers: tcp 80 from 100.64.0.2 to 100.64.0.1; IPv6 from fd12::2 to fd12::1",
		"web", false);
	acl_free(table);
}

static void many_policies_and_long_names_are_cut_and_say_so(void **state)
{
	char texts[8][40];
	struct cidr sources[8];
	struct netmap_rule peers[8];
	struct netmap map = { .rules = peers, .rule_count = 8 };
	struct acl_input input = { .map = &map, .mesh_addr = ip4(MESH) };
	struct acl_rules rules;
	struct acl_table *table;

	for (int i = 0; i < 8; i++) {
		snprintf(texts[i], sizeof(texts[i]), "policy-number-%d-with-a-name", i / 2);
		sources[i] = (struct cidr){ .family = AF_INET, .prefixlen = 32,
			.addr.word[0] = htonl(0x64400010 + i) };
		peers[i] = (struct netmap_rule){ .sources = &sources[i], .source_count = 1,
			.proto = NETMAP_ANY, .policy = texts[i] };
	}
	rules = made(&input);
	table = compiled(rules.list, rules.count);
	assert_named(table, 0, "peers: all from 8 networks to 100.64.0.1",
		"policy-number-0-with-a-n, policy-number-1-with-a-n, policy-number-2-with-a-n, ...", false);
	acl_free(table);
	acl_rules_done(&rules);
}

/* Servers list them anew with every map, and not in the same order. */
static void the_same_rules_in_another_order_are_the_same_table(void **state)
{
	static const char *const names[] = { "a", "b", "c", "d", "e", NULL };
	struct acl_rule rules[40];
	struct cidr sources[40 * SOURCES_MAX];
	uint8_t first[ACL_DIGEST_LEN], other[ACL_DIGEST_LEN];

	for (int round = 0; round < 200; round++) {
		size_t count = random_rules(rules, sources, 40);
		struct acl_table *table;

		for (size_t i = 0; i < count; i++) {
			rules[i].policy = names[roll(6)];
			rules[i].route = names[3 + roll(3)];
			rules[i].origin = rules[i].route ? NULL : names[roll(2)];
		}
		table = compiled(rules, count);
		acl_digest(table, first);
		acl_free(table);
		for (size_t i = count; i > 1; i--) {
			const size_t j = roll(i);
			const struct acl_rule swap = rules[j];

			rules[j] = rules[i - 1];
			rules[i - 1] = swap;
		}
		table = compiled(rules, count);
		acl_digest(table, other);
		acl_free(table);
		assert_memory_equal(first, other, ACL_DIGEST_LEN);
	}
}

static void a_table_whose_policies_changed_is_another_one(void **state)
{
	struct cidr from = cidr("10.0.0.1", 32);
	struct acl_rule rule = { .sources = &from, .source_count = 1, .dst = cidr("10.0.0.2", 32),
		.policy = "one" };
	uint8_t digests[3][ACL_DIGEST_LEN];
	const char *const policies[] = { "one", "two", "one" };

	for (int i = 0; i < 3; i++) {
		struct acl_table *table;

		rule.policy = policies[i];
		table = compiled(&rule, 1);
		acl_digest(table, digests[i]);
		acl_free(table);
	}
	assert_memory_not_equal(digests[0], digests[1], ACL_DIGEST_LEN);
	assert_memory_equal(digests[0], digests[2], ACL_DIGEST_LEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compiled_rules_say_what_the_rules_say),
		cmocka_unit_test(without_ports_only_what_passes_on_every_port_passes),
		cmocka_unit_test(no_rules_deny_everything),
		cmocka_unit_test(a_rule_without_sources_matches_nobody),
		cmocka_unit_test(sources_of_another_family_and_empty_ranges_match_nobody),
		cmocka_unit_test(a_rule_that_lists_sources_of_both_families_is_of_its_destinations),
		cmocka_unit_test(rules_that_differ_in_sources_or_in_destinations_are_one),
		cmocka_unit_test(more_rules_than_bits_are_refused_with_a_reason),
		cmocka_unit_test(rules_of_both_families_share_their_bits),
		cmocka_unit_test(more_prefixes_or_classes_than_there_is_room_for_are_refused),
		cmocka_unit_test(five_thousand_peers_with_twenty_rules_each_compile_quickly),
		cmocka_unit_test(peer_rules_hold_for_our_mesh_address_and_drop_goes_first),
		cmocka_unit_test(route_rules_never_open_our_own_address),
		cmocka_unit_test(domain_rules_hold_for_what_was_learned),
		cmocka_unit_test(local_exceptions_close_the_lan),
		cmocka_unit_test(peer_rules_hold_for_our_ipv6_address_too),
		cmocka_unit_test(route_rules_of_both_families_stay_apart_and_never_open_our_own_address),
		cmocka_unit_test(learned_addresses_are_open_to_sources_of_their_family),
		cmocka_unit_test(the_example_of_acl_c_is_true),
		cmocka_unit_test(rules_are_called_by_what_they_are_and_come_from),
		cmocka_unit_test(rules_of_ipv6_are_called_by_their_family),
		cmocka_unit_test(many_policies_and_long_names_are_cut_and_say_so),
		cmocka_unit_test(the_same_rules_in_another_order_are_the_same_table),
		cmocka_unit_test(a_table_whose_policies_changed_is_another_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
