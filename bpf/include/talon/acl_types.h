/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Access rules as maps: classes of sources, destinations and ports, and which rules each class satisfies
 * (userspace/policy/acl.c has an example).
 *
 * Everything is there twice, as bank 0 and bank 1: the controller writes the one that no packet uses, then
 * says which one holds (config.acl_bank), and bumps config.generation in a later write of its own, so that
 * flows are judged again. A packet reads the generation before the bank: what it then keeps under the new
 * generation was judged by the new rules.
 *
 * The verdict: bits of the source's class AND bits of the destination's AND bits of the port's. DROP rules
 * have the first words, ACCEPT rules the words behind them; the first word that is not zero decides, and
 * none means drop.
 */
#ifndef TALON_ACL_TYPES_H
#define TALON_ACL_TYPES_H

#include "talon/types.h"

#define TALON_ACL_BANKS		2
#define TALON_ACL_WORDS		16
/* after merging; up to 63 bits are lost between DROP and ACCEPT */
#define TALON_ACL_RULES		(64 * TALON_ACL_WORDS)
#define TALON_ACL_CLASSES	8192			/* of one bank; class 0 satisfies no rule */
/* of one bank, of sources and as many of destinations */
#define TALON_ACL_PREFIXES	32768

/* Key of the LPM tries "acl_src4" and "acl_dst4"; the value is a class (u32). */
struct talon_acl_lpm {
	__u32	prefixlen;		/* TALON_ACL_BANK_BITS + 0..32, host order */
	__u8	bank;
	__u8	pad[3];
	__be32	addr;
};
TALON_ASSERT_SIZE(struct talon_acl_lpm, 12);
#define TALON_ACL_BANK_BITS	32

/* Key of "acl_src6" and "acl_dst6". Classes, ports and bits are those of both families. */
struct talon_acl_lpm6 {
	__u32	prefixlen;		/* TALON_ACL_BANK_BITS + 0..128, host order */
	__u8	bank;
	__u8	pad[3];
	struct talon_addr addr;
};
TALON_ASSERT_SIZE(struct talon_acl_lpm6, 24);

/*
 * Map "acl_ports": ARRAY of chunks of classes. A bank has 65536 classes by destination port of TCP, then as
 * many of UDP, then 256 by IP protocol, for everything that has no ports or whose ports are not in the
 * packet. TCP and UDP have such a class as well, for later fragments: it holds the ACCEPT rules that do not
 * look at ports, and every DROP rule that might match.
 */
#define TALON_ACL_CHUNK		128
#define TALON_ACL_PORT_TCP	0U
#define TALON_ACL_PORT_UDP	65536U
#define TALON_ACL_PORT_PROTO	(2 * 65536U)
#define TALON_ACL_PORT_CLASSES	(2 * 65536U + 256)
#define TALON_ACL_CHUNKS	(TALON_ACL_PORT_CLASSES / TALON_ACL_CHUNK)	/* of one bank */

struct talon_acl_chunk {
	__u16	class[TALON_ACL_CHUNK];
};
TALON_ASSERT_SIZE(struct talon_acl_chunk, 256);

/*
 * Map "acl_bits": ARRAY, TALON_ACL_CLASSES of each bank. Class 0's place holds struct talon_acl_head
 * instead of bits.
 */
struct talon_acl_bits {
	__u64	word[TALON_ACL_WORDS];
};
TALON_ASSERT_SIZE(struct talon_acl_bits, 128);

struct talon_acl_head {
	__u32	drop_words;		/* of DROP rules; ACCEPT rules follow */
	__u32	words;			/* of both; the others are zero in every class */
	__u64	pad[TALON_ACL_WORDS - 1];
};
TALON_ASSERT_SIZE(struct talon_acl_head, 128);

/*
 * Map "acl_rules": HASH, bank * TALON_ACL_RULES + number of a rule's bit -> what people call the rule. No
 * program reads it: it is there for `talon trace`, which must be able to name the rule that decided while the
 * controller is gone. A rule without an entry has no name. Text is UTF-8, always terminated.
 */
struct talon_acl_rule {
	char	name[104];		/* "route lan: tcp 80-90 from 100.64.0.2 to 10.0.0.0/8" */
	char	policy[84];		/* ids of the policies that it was made from; empty: of none */
	__u32	drop;			/* 0: an ACCEPT rule */
};
TALON_ASSERT_SIZE(struct talon_acl_rule, 192);

/*
 * Map "acl_ct": LRU_HASH struct talon_flow_key -> struct talon_acl_ct. Connections that this host or the
 * cluster opened towards the mesh: what comes back needs no rule. The key is that of the packets that come
 * back; only those that no rule accepts are entered.
 */
enum talon_acl_ct_flags {
	TALON_ACL_CT_CLOSING	= 1 << 0,	/* TCP: a FIN or RST was seen */
};

struct talon_acl_ct {
	__u32	seen_s;			/* CLOCK_BOOTTIME seconds of its last packet, either way */
	__u32	flags;			/* enum talon_acl_ct_flags */
};
TALON_ASSERT_SIZE(struct talon_acl_ct, 8);

/* Map "acl_ct6": the same for IPv6; proto is the packet's. */
struct talon_acl_ct6_key {
	struct talon_addr src;
	struct talon_addr dst;
	__be16	sport;
	__be16	dport;
	__u8	proto;
	__u8	pad[3];
};
TALON_ASSERT_SIZE(struct talon_acl_ct6_key, 40);

#define TALON_ACL_CT_TCP_S	10800
#define TALON_ACL_CT_UDP_S	120	/* also a TCP connection that is closing, and other protocols */
#define TALON_ACL_CT_ICMP_S	30

#endif
