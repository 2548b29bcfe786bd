/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A compiled table, which acl.c makes, acl_judge.c reads and acl_write.c writes. */
#ifndef TALON_ACL_INTERNAL_H
#define TALON_ACL_INTERNAL_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "policy/acl.h"

struct acl_prefix {
	uint32_t family;		/* AF_INET, AF_INET6 */
	uint32_t len;
	uint32_t word[4];		/* host order, host bits zero; IPv4: the first */
};

/* The bits of word @i that a prefix of @len has. */
static inline uint32_t acl_mask(uint32_t len, unsigned int i)
{
	const uint32_t bits = len > 32 * i ? len - 32 * i : 0;

	return bits >= 32 ? ~0U : bits ? ~0U << (32 - bits) : 0;
}

static inline struct acl_prefix acl_prefix_of(uint8_t family, const struct talon_addr *addr, uint32_t len)
{
	struct acl_prefix prefix = { .family = family, .len = len };

	for (unsigned int i = 0; i < 4; i++)
		prefix.word[i] = ntohl(addr->word[i]) & acl_mask(len, i);
	return prefix;
}

/* Whether @inner, which is not wider than @outer, lies in it. */
static inline bool acl_prefix_contains(const struct acl_prefix *outer, const struct acl_prefix *inner)
{
	for (unsigned int i = 0; i < 4; i++)
		if ((inner->word[i] & acl_mask(outer->len, i)) != outer->word[i])
			return false;
	return inner->family == outer->family;
}

/* Of the prefix alone: the same in every table and process. */
static inline uint64_t acl_prefix_hash(const struct acl_prefix *prefix)
{
	uint64_t hash = (uint64_t)prefix->family << 32 | prefix->len;

	for (unsigned int i = 0; i < 4; i++) {
		hash = (hash ^ prefix->word[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 29;
	}
	return hash;
}

static inline bool acl_is_prefix(const struct cidr *cidr)
{
	return (cidr->family == AF_INET && cidr->prefixlen <= 32) ||
		(cidr->family == AF_INET6 && cidr->prefixlen <= 128);
}

static inline struct acl_prefix acl_prefix_from(const struct cidr *cidr)
{
	return acl_prefix_of(cidr->family, &cidr->addr, cidr->prefixlen);
}

/* The IP protocol that @rule is for; 0: any. */
static inline uint8_t acl_ip_proto(const struct acl_rule *rule)
{
	switch (rule->proto) {
	case NETMAP_TCP:
		return IPPROTO_TCP;
	case NETMAP_UDP:
		return IPPROTO_UDP;
	case NETMAP_ICMP:
		return rule->dst.family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	case NETMAP_OTHER:
		return rule->ip_proto;
	default:
		return 0;
	}
}

/* Whether a rule of @proto (enum netmap_proto) may name ports. */
static inline bool acl_knows_ports(uint8_t proto)
{
	return proto == NETMAP_ANY || proto == NETMAP_TCP || proto == NETMAP_UDP;
}

static inline bool acl_has_ports(uint8_t ip_proto)
{
	return ip_proto == IPPROTO_TCP || ip_proto == IPPROTO_UDP;
}

struct acl_entry {
	struct acl_prefix prefix;
	uint32_t class;
};

struct acl_entries {
	struct acl_entry *list;		/* IPv4 first; by address, shorter prefixes first */
	size_t count;
	size_t count4;			/* of them IPv4 */
};

/* The order of the list, for qsort(). */
int acl_compare_entries(const void *a, const void *b);

/* Where a merged rule comes from. What is beyond the room is only noted. */
#define ACL_LABEL_POLICIES 3
struct acl_label {
	const struct acl_rule *first;
	bool has_other_origins;
	const char *policies[ACL_LABEL_POLICIES];
	uint32_t policy_count;
	bool has_more_policies;
};

/* acl_names.c */
void acl_label_add(struct acl_label *label, const struct acl_rule *rule);
void acl_label_join(struct acl_label *label, const struct acl_label *other);

/* How many networks a merged rule has on either side, and the first of them. */
struct acl_sides {
	struct acl_prefix source, destination;
	uint32_t source_count, destination_count;
};

/* A bit, for its name: of one merged rule, or of two twins, the IPv4 one first. */
struct acl_described {
	struct acl_label label;
	struct acl_sides sides[2];
	unsigned int side_count;
	uint16_t port_first, port_last;
	uint8_t proto;			/* enum netmap_proto */
	uint8_t ip_proto;
	bool drop;
};
void acl_describe(const struct acl_described *described, struct talon_acl_rule *ret_rule);

#define ACL_NO_TWIN UINT32_MAX

/* acl_names.c: of the policies that the label names. */
void acl_label_digest(const struct acl_label *label, uint8_t ret_digest[static 16]);

struct acl_name {
	uint32_t bit;
	struct talon_acl_rule rule;
};

struct acl_table {
	struct acl_entries sources;
	struct acl_entries destinations;
	struct talon_acl_bits *classes;	/* the first satisfies no rule */
	uint32_t class_count;
	uint16_t *ports;		/* [TALON_ACL_PORT_CLASSES] */
	uint32_t drop_words;
	uint32_t words;
	size_t rules;			/* bits that are used */
	struct acl_name *names;		/* of each */
};

#endif
