// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which access rule decides about a packet? The same look-ups as in bpf/lib/acl.h, with the name of the bit.
#include <arpa/inet.h>
#include <string.h>

#include "trace/internal.h"

static uint32_t place_of(const struct flight *flight)
{
	if (flight->proto == IPPROTO_TCP)
		return TALON_ACL_PORT_TCP + flight->dport;
	if (flight->proto == IPPROTO_UDP)
		return TALON_ACL_PORT_UDP + flight->dport;
	return TALON_ACL_PORT_PROTO + flight->proto;
}

static bool bits_of(const struct live *live, uint32_t bank, uint32_t class, struct talon_acl_bits *ret_bits)
{
	const uint32_t at = bank * TALON_ACL_CLASSES + class;

	return class && live_get(live, DATAPATH_MAP_ACL_BITS, &at, ret_bits);
}

static bool address_bits(const struct live *live, enum datapath_map map4, enum datapath_map map6,
	uint32_t bank, struct trace_addr addr, struct talon_acl_bits *ret_bits)
{
	const struct talon_acl_lpm key4 = { .prefixlen = TALON_ACL_BANK_BITS + 32, .bank = bank,
		.addr = addr.addr.word[0] };
	const struct talon_acl_lpm6 key6 = { .prefixlen = TALON_ACL_BANK_BITS + 128, .bank = bank,
		.addr = addr.addr };
	bool has_class;
	uint32_t class;

	has_class = addr_is_six(addr) ? live_get(live, map6, &key6, &class) : live_get(live, map4, &key4,
		&class);
	return has_class && bits_of(live, bank, class, ret_bits);
}

static bool port_bits(const struct live *live, uint32_t bank, uint32_t place, struct talon_acl_bits *ret_bits)
{
	const uint32_t at = bank * TALON_ACL_CHUNKS + place / TALON_ACL_CHUNK;
	struct talon_acl_chunk chunk;

	return live_get(live, DATAPATH_MAP_ACL_PORTS, &at, &chunk) &&
		bits_of(live, bank, chunk.class[place % TALON_ACL_CHUNK], ret_bits);
}

static void find_rule(const struct live *live, const struct flight *flight, struct trace_addr judged,
	struct rule_found *found)
{
	const uint32_t bank = live->config.acl_bank & 1, first = bank * TALON_ACL_CLASSES;
	struct talon_acl_bits src, dst, port;
	struct talon_acl_head head;
	uint32_t key;
	uint64_t both;

	if (!live_get(live, DATAPATH_MAP_ACL_BITS, &first, &head) || head.words > TALON_ACL_WORDS ||
		!address_bits(live, DATAPATH_MAP_ACL_SRC4, DATAPATH_MAP_ACL_SRC6, bank, flight->src, &src) ||
		!address_bits(live, DATAPATH_MAP_ACL_DST4, DATAPATH_MAP_ACL_DST6, bank, judged, &dst) ||
		!port_bits(live, bank, place_of(flight), &port))
		return;
	for (uint32_t i = 0; i < head.words; i++) {
		both = src.word[i] & dst.word[i] & port.word[i];
		if (!both)
			continue;
		found->has_rule = true;
		found->bit = 64 * i + __builtin_ctzll(both);
		key = bank * TALON_ACL_RULES + found->bit;
		if (!live_get(live, DATAPATH_MAP_ACL_RULES, &key, &found->rule))
			found->rule = (struct talon_acl_rule){ .drop = i < head.drop_words };
		return;
	}
}

/* Where the controller itself listens, beside the rules, in IPv4 alone: acl_is_open(). */
static bool is_open(const struct talon_config *config, const struct flight *flight)
{
	if (!config->mesh_addr || !addr_is_equal(flight->dst, addr_of4(config->mesh_addr)))
		return false;
	for (unsigned i = 0; i < TALON_OPEN_PORTS_MAX; i++)
		if (config->open[i].proto == flight->proto && config->open[i].port == htons(flight->dport))
			return true;
	return false;
}

void rules_find(const struct copy *copy, const struct flight *flight, struct trace_addr judged,
	struct rule_found *ret_found)
{
	memset(ret_found, 0, sizeof(*ret_found));
	ret_found->is_open = is_open(&copy->live->config, flight);
	ret_found->is_answer = copy_is_answer(copy, flight);
	find_rule(copy->live, flight, judged, ret_found);
}
