/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Access rules as the datapath looks them up. Rules get bits, DROP before ACCEPT; each source network, destination network and port range
 * becomes a class with the bits of the rules that it satisfies; a packet's verdict is the first bit that its three classes share. Peer rules are
 * rules whose destination is our own mesh address.
 */
#ifndef TALON_ACL_H
#define TALON_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/netmap.h"
#include "talon/acl_types.h"

struct acl_rule {
	const struct config_cidr *sources;	/* AF_INET; prefixlen 0: any */
	size_t source_count;
	struct config_cidr dst;		/* AF_INET */
	bool drop;
	uint8_t proto;			/* enum netmap_proto */
	uint16_t port_first, port_last;	/* host order, both included; 0, 0: any */
};

struct acl_table;		/* compiled, ready to be written */

/*
 * Rules that say the same but for their sources are merged. Returns 0, -E2BIG with one line in @why when there are more distinct rules or
 * classes than the datapath has room for (the old table then stays), or -ENOMEM.
 */
int acl_compile(const struct acl_rule *rules, size_t count, struct acl_table **ret_table, char *why, size_t size);
void acl_free(struct acl_table *table);
/* The naive truth, for tests and `talon` explaining itself: whether the packet may pass by @rules. */
bool acl_permits(const struct acl_rule *rules, size_t count, __be32 src, __be32 dst, uint8_t ip_proto, uint16_t dport);
/* The same by the compiled table, without the kernel. */
bool acl_table_permits(const struct acl_table *table, __be32 src, __be32 dst, uint8_t ip_proto, uint16_t dport);

/* File descriptors of the pinned maps. */
struct acl_maps { int src, dst, ports, bits; };
/* Writes the table into bank @bank (0 or 1), which no packet uses now. The caller then switches config.acl_bank. Returns 0 or a negative errno. */
int acl_write(const struct acl_table *table, const struct acl_maps *maps, unsigned int bank);

/*
 * From a network map to rules: peer rules (destination @mesh_addr), route rules, learned addresses of domain routes, and local exceptions. The
 * result owns its memory (acl_rules_done).
 */
struct acl_learned { const char *domain; __be32 addr; };	/* @domain as written in the rule */
struct acl_input {
	const struct netmap *map;
	__be32 mesh_addr;
	bool block_inbound;		/* no rules at all */
	const struct config_cidr *lan;	/* blocked for forwarded traffic */
	size_t lan_count;
	const struct acl_learned *learned;
	size_t learned_count;
	uint16_t forwarder_port;	/* UDP and TCP to mesh_addr open to every peer; 0: closed */
};
struct acl_rules { struct acl_rule *list; size_t count; void *memory; };
int acl_rules_make(const struct acl_input *input, struct acl_rules *ret_rules);
void acl_rules_done(struct acl_rules *rules);

#endif
