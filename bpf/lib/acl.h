/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Access rules: may a packet from the mesh pass? Evaluated once per flow and generation; for packets
 * without a flow record, every time. Packets into the mesh are not restricted, but the connections they
 * open are remembered so that replies pass.
 */
#ifndef TALON_LIB_ACL_H
#define TALON_LIB_ACL_H

#include "lib/inner4.h"

#define ACL_SYN		0x02
#define ACL_FIN_RST	0x05
#define ACL_ACK		0x10

/* Why a packet may pass; 0: it may not. */
enum acl_permit {
	ACL_BY_RULE	= 1,
	ACL_BY_ANSWER	= 2,	/* to something that went into the mesh: its connection ends */
};

/* Index into the bank's port table for a packet to that port. */
static __always_inline __u32 acl_place(__u8 proto, __be16 dport)
{
	if (proto == IPPROTO_TCP)
		return TALON_ACL_PORT_TCP + bpf_ntohs(dport);
	if (proto == IPPROTO_UDP)
		return TALON_ACL_PORT_UDP + bpf_ntohs(dport);
	return TALON_ACL_PORT_PROTO + proto;
}

static __always_inline struct talon_acl_bits *acl_bits_of(__u32 bank, __u32 class)
{
	__u32 at = bank * TALON_ACL_CLASSES + class;

	return bpf_map_lookup_elem(&acl_bits, &at);
}

/*
 * The verdict for classes of a source and a destination, of either family. 1: some ACCEPT rule matches and no
 * DROP rule does. @place: of the port table.
 */
static __always_inline int acl_verdict_of(__u32 bank, __u32 src_class, __u32 dst_class, __u32 place)
{
	struct talon_acl_bits *s, *d, *p;
	struct talon_acl_chunk *chunk;
	struct talon_acl_head *head;
	__u32 at;

	if (!src_class || !dst_class)
		return 0;
	s = acl_bits_of(bank, src_class);
	d = acl_bits_of(bank, dst_class);
	at = bank * TALON_ACL_CHUNKS + place / TALON_ACL_CHUNK;
	chunk = bpf_map_lookup_elem(&acl_ports, &at);
	at = chunk ? chunk->class[place % TALON_ACL_CHUNK] : 0;
	if (!at)
		return 0;
	p = acl_bits_of(bank, at);
	head = (struct talon_acl_head *)acl_bits_of(bank, 0);
	if (!s || !d || !p || !head)
		return 0;
	for (__u32 i = 0; i < TALON_ACL_WORDS; i++) {
		if (i >= head->words)
			break;
		if (s->word[i] & d->word[i] & p->word[i])
			return i >= head->drop_words;
	}
	return 0;
}

/* acl_verdict_of() for two IPv4 addresses. */
__noinline int acl_verdict(__be32 src, __be32 dst, __u32 place)
{
	const struct talon_config *cfg = config_get();
	struct talon_acl_lpm key = { .prefixlen = TALON_ACL_BANK_BITS + 32 };
	__u32 bank, src_class, *class;

	if (!cfg)
		return 0;
	bank = cfg->acl_bank & 1;
	key.bank = bank;
	key.addr = src;
	class = bpf_map_lookup_elem(&acl_src4, &key);
	if (!class)
		return 0;
	src_class = *class;
	key.addr = dst;
	class = bpf_map_lookup_elem(&acl_dst4, &key);
	return class ? acl_verdict_of(bank, src_class, *class, place) : 0;
}

/*
 * Separate from the rules: a rule for the mesh address covers all of this host's addresses
 * (forward_judged()), where others may listen on this port.
 */
static __always_inline bool acl_is_open_port(const struct talon_config *cfg, __u8 proto, __be16 dport)
{
	if (!proto)
		return false;
#pragma unroll
	for (int i = 0; i < TALON_OPEN_PORTS_MAX; i++) {
		if (cfg->open[i].proto == proto && cfg->open[i].port == dport)
			return true;
	}
	return false;
}

static __always_inline bool acl_is_open(const struct talon_config *cfg, __be32 dst, __u8 proto, __be16 dport)
{
	return cfg && cfg->mesh_addr && dst == cfg->mesh_addr && acl_is_open_port(cfg, proto, dport);
}

static __always_inline bool acl_ct_is_live(const struct talon_acl_ct *ct, __u8 proto, __u32 now_s)
{
	__u32 limit = TALON_ACL_CT_UDP_S;

	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		limit = TALON_ACL_CT_ICMP_S;
	else if (proto == IPPROTO_TCP && !(ct->flags & TALON_ACL_CT_CLOSING))
		limit = TALON_ACL_CT_TCP_S;
	/* another CPU may be a second ahead */
	return now_s - ct->seen_s <= limit || (__s32)(now_s - ct->seen_s) < 0;
}

/* Writes only what changed, so that CPUs share the cache line of a busy connection except once a second. */
static __always_inline void acl_ct_touch(struct talon_acl_ct *ct, const struct talon_pkt *pkt)
{
	if (ct->seen_s != pkt->now_s)
		ct->seen_s = pkt->now_s;
	if (pkt->proto == IPPROTO_TCP && (pkt->tcp_flags & ACL_FIN_RST) &&
		!(ct->flags & TALON_ACL_CT_CLOSING))
		ct->flags |= TALON_ACL_CT_CLOSING;
}

/*
 * A packet with pkt->key goes into the mesh: its replies may come back. Only connections that no rule
 * accepts anyway need an entry, so that clients of an open port cannot evict others' entries. A TCP
 * connection is entered by its SYN, so that removing a rule also ends what it had let in. Returns 1 if
 * nothing has to be remembered of this connection, as long as the rules are what they are, else 0.
 */
__noinline int acl_note_out(struct talon_pkt *pkt)
{
	struct talon_flow_key key = {};
	struct talon_acl_ct *ct, fresh = {};
	bool opens;

	if (!pkt || (pkt->kind != INNER_FLOW && (pkt->kind != INNER_OTHER || pkt->proto == IPPROTO_ICMP)))
		return 0;
	opens = true;
	if (pkt->proto == IPPROTO_TCP)
		opens = (pkt->tcp_flags & (ACL_SYN | ACL_ACK)) == ACL_SYN;
	else if (pkt->proto == IPPROTO_ICMP)
		opens = pkt->icmp_type == ICMP_ECHO || pkt->icmp_type == ICMP_TIMESTAMP;
	key.src = pkt->key.dst;
	key.dst = pkt->key.src;
	key.sport = pkt->key.dport;
	key.dport = pkt->key.sport;
	key.proto = pkt->proto;
	ct = bpf_map_lookup_elem(&acl_ct, &key);
	if (ct && !opens && !acl_ct_is_live(ct, key.proto, pkt->now_s))
		return 0;
	if (ct) {
		if (opens && ct->flags)
			ct->flags = 0;	/* the same ports are used again */
		acl_ct_touch(ct, pkt);
		return 0;
	}
	if (!opens)
		return 0;
	if (acl_is_open(config_get(), key.dst, key.proto, key.dport) ||
		acl_verdict(key.src, key.dst, acl_place(key.proto, key.dport)))
		return 1;
	fresh.seen_s = pkt->now_s;
	bpf_map_update_elem(&acl_ct, &key, &fresh, BPF_ANY);
	return 0;
}

/* Is pkt->key a reply to something that went into the mesh? @refresh: false for ICMP errors about it. */
static __always_inline bool acl_is_answer(const struct talon_pkt *pkt, bool refresh)
{
	struct talon_flow_key key = pkt->key;
	struct talon_acl_ct *ct = bpf_map_lookup_elem(&acl_ct, &key);

	if (!ct || !acl_ct_is_live(ct, key.proto, pkt->now_s))
		return false;
	if (!refresh)
		return true;
	if (key.proto == IPPROTO_ICMP && pkt->icmp_type != ICMP_ECHOREPLY &&
		pkt->icmp_type != ICMP_TIMESTAMPREPLY)
		return false;
	acl_ct_touch(ct, pkt);
	return true;
}

/* In map frags, distinct from datagrams that come from the wire. */
static __always_inline struct talon_frag_key acl_frag_key(const struct iphdr *ip)
{
	return (struct talon_frag_key) {
		.src = ip->saddr, .dst = ip->daddr, .id = ip->id, .proto = ip->protocol,
			.side = TALON_FRAG_FROM_MESH,
	};
}

/* If the first fragment of a datagram from the mesh passes, so do the later ones, which carry no ports. */
__noinline int acl_keep_fragments(ctx_md *ctx, struct talon_pkt *pkt)
{
	struct talon_frag_key key;
	struct talon_frag now = {};
	struct iphdr *ip = frame_ip(ctx);

	if (!pkt || !ip)
		return 0;
	key = acl_frag_key(ip);
	now.peer = pkt->peer;
	now.expires_s = pkt->now_s + TALON_NAT_FRAGMENT_S;
	bpf_map_update_elem(&frags, &key, &now, BPF_ANY);
	return 0;
}

static __always_inline bool acl_knows_fragment(const struct talon_pkt *pkt, const struct iphdr *ip)
{
	struct talon_frag_key key = acl_frag_key(ip);
	struct talon_frag *known = bpf_map_lookup_elem(&frags, &key);

	return known && known->peer == pkt->peer && known->expires_s >= pkt->now_s;
}

/*
 * May the packet from the mesh pass? It has been read; the key of an ICMP error is that of the packets in the
 * opposite direction of the embedded one. An error about a packet that may pass also passes, if it goes to
 * that packet's sender and the flow is this peer's.
 * @dst: the destination that the rules are evaluated for (forward_judged()), network byte order.
 *
 * Return: enum acl_permit.
 */
__noinline int acl_permits(ctx_md *ctx, struct talon_pkt *pkt, __be32 dst)
{
	struct iphdr *ip = frame_ip(ctx);
	int permit = ACL_BY_RULE;
	__be32 src;

	if (!pkt || !ip)
		return 0;
	src = ip->saddr;
	switch (pkt->kind) {
	case INNER_FRAGMENT:
		return acl_knows_fragment(pkt, ip) ||
			acl_verdict(src, dst, TALON_ACL_PORT_PROTO + pkt->proto);
	case INNER_ICMP_ERROR:
		if (acl_verdict(src, dst, TALON_ACL_PORT_PROTO + IPPROTO_ICMP))
			return 1;
		if (pkt->key.dst != ip->daddr || allowed_peer4(pkt->key.src) != pkt->peer)
			return 0;
		return acl_is_answer(pkt, false) ||
		       acl_verdict(pkt->key.src, dst, acl_place(pkt->key.proto, pkt->key.dport));
	}
	if (!acl_is_open(config_get(), ip->daddr, pkt->proto, pkt->key.dport) &&
		!acl_verdict(src, dst, acl_place(pkt->proto, pkt->key.dport)))
		permit = acl_is_answer(pkt, true) ? ACL_BY_ANSWER : 0;
	if (permit && pkt->first_fragment)
		acl_keep_fragments(ctx, pkt);
	return permit;
}

#endif
