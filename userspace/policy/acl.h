/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Access rules as the datapath looks them up. Rules get bits, DROP before ACCEPT; each source network,
 * destination network and port range becomes a class with the bits of the rules that it satisfies; a
 * packet's verdict is the first bit that its three classes share. Peer rules are rules whose destination is
 * our own mesh address.
 */
#ifndef TALON_ACL_H
#define TALON_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netbird/netmap.h"
#include "talon/acl_types.h"

struct acl_rule {
	/* AF_INET; prefixlen 0: any. None: the rule matches nothing */
	const struct cidr *sources;
	size_t source_count;
	struct cidr dst;		/* AF_INET */
	/* one destination that is not meant although it is in @dst; 0: none */
	__be32 except;
	bool drop;
	/* enum netmap_proto. With ports, NETMAP_ANY means TCP and UDP; NETMAP_ICMP has none */
	uint8_t proto;
	uint16_t port_first, port_last;	/* host order, both included; 0, 0: any */
};

struct acl_table;		/* compiled, ready to be written */

/*
 * Rules that differ in their sources only are merged, and so are those that then differ in their destinations
 * only; each that is left takes one of TALON_ACL_RULES bits. Returns 0; -E2BIG with one line in @why when
 * there are more distinct rules, prefixes or classes than the datapath has room for (the old table then
 * stays); or -ENOMEM. No rules at all: everything is denied.
 */
int acl_compile(const struct acl_rule *rules, size_t count, struct acl_table **ret_table, char *why,
	size_t size);
void acl_free(struct acl_table *table);
/*
 * The naive truth, for tests and `talon` explaining itself: whether the packet may pass by @rules. @dport:
 * host order, of TCP and UDP.
 */
bool acl_permits(const struct acl_rule *rules, size_t count, __be32 src, __be32 dst, uint8_t ip_proto,
	uint16_t dport);
/* The same by the compiled table, without the kernel. */
bool acl_table_permits(const struct acl_table *table, __be32 src, __be32 dst, uint8_t ip_proto,
	uint16_t dport);
/* ... of a packet that does not tell its ports (a later fragment): may it pass whatever they are? */
bool acl_table_permits_any_port(const struct acl_table *table, __be32 src, __be32 dst, uint8_t ip_proto);
/* Rules after merging. */
size_t acl_table_rules(const struct acl_table *table);

/*
 * The same for tables that are the same, so that nobody has to keep one to know whether another
 * says anything new.
 */
#define ACL_DIGEST_LEN 32
void acl_digest(const struct acl_table *table, uint8_t ret_digest[static ACL_DIGEST_LEN]);

/* File descriptors of the pinned maps. */
struct acl_maps { int src, dst, ports, bits; };
/*
 * Writes the table into bank @bank (0 or 1), which no packet uses now: only what differs from what is there.
 * The caller then switches config.acl_bank and, in a later write of its own, bumps config.generation. Written
 * to twice within a second, it waits until the packets that may still be reading the bank are through.
 * Returns 0 or a negative errno: then the bank must not be used.
 */
int acl_write(const struct acl_table *table, const struct acl_maps *maps, unsigned int bank);
/*
 * Makes bank @bank one that lets nothing in, whatever is left in it: one write, into a map
 * that is never full.
 */
int acl_write_closed(const struct acl_maps *maps, unsigned int bank);

/*
 * From a network map to rules: peer rules (destination @mesh_addr), route rules (never for @mesh_addr,
 * however wide they are), learned addresses of domain routes, and local exceptions. The result owns its
 * memory (acl_rules_done).
 */
struct acl_learned { const char *domain; __be32 addr; };	/* @domain as written in the rule */
struct acl_input {
	const struct netmap *map;
	__be32 mesh_addr;
	bool block_inbound;		/* no rules at all */
	const struct cidr *lan;	/* blocked for forwarded traffic */
	size_t lan_count;
	const struct acl_learned *learned;
	size_t learned_count;
};
struct acl_rules { struct acl_rule *list; size_t count; void *memory; };
int acl_rules_make(const struct acl_input *input, struct acl_rules *ret_rules);
void acl_rules_done(struct acl_rules *rules);

#endif
