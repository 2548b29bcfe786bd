/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Access rules as the datapath looks them up. Each rule has a bit, DROP rules before ACCEPT rules; each
 * source network, destination network and port becomes a class with the bits of the rules that it satisfies;
 * the first bit that a packet's three classes share decides. A rule is of one family, its destination's; both
 * families share bits, classes and ports. Peer rules are rules whose destination is our own mesh address.
 * acl.c opens with an example.
 */
#ifndef TALON_ACL_H
#define TALON_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netmap/netmap.h"
#include "talon/acl_types.h"

struct acl_rule {
	/*
	 * Those of @dst's family; others do not count. prefixlen 0: any. Without sources the rule matches
	 * nothing
	 */
	const struct cidr *sources;
	size_t source_count;
	struct cidr dst;
	/* one address in @dst that the rule does not cover; zero: none */
	struct talon_addr except;
	bool drop;
	/* enum netmap_proto. With ports, NETMAP_ANY means TCP and UDP; ICMP and OTHER ignore ports */
	uint8_t proto;
	uint8_t ip_proto;		/* of NETMAP_OTHER */
	uint16_t port_first, port_last;	/* host order, both included; 0, 0: any */
	/* for its name alone, each NULL if there is none; the texts must outlive acl_compile() */
	const char *policy;		/* id of the policy that it was made from */
	const char *route;		/* id of the route that it belongs to */
	const char *origin;		/* without a route: what it is, in a word */
};

struct acl_table;		/* compiled, ready to be written */

/*
 * Merges rules that differ only in their sources, then those that differ only in their destinations; each
 * that is left takes one of TALON_ACL_RULES bits. Returns 0; -E2BIG with one line in @why if there are more
 * distinct rules, prefixes or classes than the datapath has room for; or -ENOMEM. @ret_table is set only on
 * success. Without rules everything is denied.
 */
int acl_compile(const struct acl_rule *rules, size_t count, struct acl_table **ret_table, char *why,
	size_t size);
void acl_free(struct acl_table *table);

/* A packet as rules see it. */
struct acl_packet {
	uint8_t family;			/* AF_INET, AF_INET6 */
	uint8_t ip_proto;
	uint16_t dport;			/* host order; ignored unless @ip_proto is TCP or UDP */
	struct talon_addr src, dst;
};
/* For tests: whether the packet may pass, by reading @rules one by one. */
bool acl_permits(const struct acl_rule *rules, size_t count, const struct acl_packet *packet);
/* For tests: the same by the compiled table, without the kernel. */
bool acl_table_permits(const struct acl_table *table, const struct acl_packet *packet);
/* The same for a packet whose ports are unknown (a later fragment): whether it may pass whatever they are. */
bool acl_table_permits_any_port(const struct acl_table *table, const struct acl_packet *packet);
/* What a table takes up: rules after merging, prefixes of both families, classes. */
struct acl_sizes {
	size_t rules, classes;
	size_t sources, destinations;	/* IPv4 prefixes */
	size_t sources6, destinations6;
};

struct acl_sizes acl_table_sizes(const struct acl_table *table);

/* Equal for equal tables: tells whether a table says anything new without keeping the old one. */
#define ACL_DIGEST_LEN 32
void acl_digest(const struct acl_table *table, uint8_t ret_digest[static ACL_DIGEST_LEN]);

/* File descriptors of the pinned maps. */
struct acl_maps {
	int src, dst, ports, bits;
	int src6, dst6;			/* 0 or negative: only IPv4 prefixes are written */
	int rules;			/* names; 0 or negative: they are not written */
};
/*
 * Writes the table into bank @bank (0 or 1), which no packet uses now; only differences are written. Names
 * that cannot be written are left out: they decide nothing. The
 * caller then switches config.acl_bank and, in a separate later write, bumps config.generation. If the last
 * call is less than a second ago, it first waits until no program can still be reading the bank. Returns 0 or
 * a negative errno: then the bank must not be used.
 */
int acl_write(const struct acl_table *table, const struct acl_maps *maps, unsigned int bank);
/*
 * Makes bank @bank deny everything, whatever else is in it: one write, into an array map, which cannot be
 * full.
 */
int acl_write_closed(const struct acl_maps *maps, unsigned int bank);

/*
 * Rules from a network map: peer rules (destination @mesh_addr or @mesh_addr6), route rules (never for those
 * two, however wide they are) with the learned addresses of domain routes, and DROP rules for @lan. Without
 * @mesh_addr6 there are none for IPv6. The result points into @input->map; free it with acl_rules_done().
 * Returns 0 or -ENOMEM.
 */
struct acl_learned {
	const char *domain;		/* as written in the rule */
	uint8_t family;
	struct talon_addr addr;
};
struct acl_input {
	const struct netmap *map;
	__be32 mesh_addr;
	struct talon_addr mesh_addr6;	/* zero: none */
	bool block_inbound;		/* no rules at all */
	const struct cidr *lan;		/* denied to forwarded traffic */
	size_t lan_count;
	const struct acl_learned *learned;
	size_t learned_count;
};
struct acl_rules { struct acl_rule *list; size_t count; void *memory; };
int acl_rules_make(const struct acl_input *input, struct acl_rules *ret_rules);
void acl_rules_done(struct acl_rules *rules);

#endif
