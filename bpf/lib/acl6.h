/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Access rules for IPv6: the bits, classes and ports are those of IPv4 (acl.h), the prefixes and connections
 * are in maps of their own.
 */
#ifndef TALON_LIB_ACL6_H
#define TALON_LIB_ACL6_H

#include "lib/acl.h"
#include "lib/inner6.h"

/* acl_verdict() for IPv6. */
__noinline int acl6_verdict(const struct talon_addr *src, const struct talon_addr *dst, __u32 place)
{
	const struct talon_config *cfg = config_get();
	struct talon_acl_lpm6 key = { .prefixlen = TALON_ACL_BANK_BITS + 128 };
	__u32 bank, src_class, *class;

	if (!cfg || !src || !dst)
		return 0;
	bank = cfg->acl_bank & 1;
	key.bank = bank;
	key.addr = *src;
	class = bpf_map_lookup_elem(&acl_src6, &key);
	if (!class)
		return 0;
	src_class = *class;
	key.addr = *dst;
	class = bpf_map_lookup_elem(&acl_dst6, &key);
	return class ? acl_verdict_of(bank, src_class, *class, place) : 0;
}

/* acl_note_out() for IPv6. */
__noinline int acl6_note_out(struct talon_pkt *pkt)
{
	struct talon_acl_ct6_key key = {};
	struct talon_acl_ct *ct, fresh = {};
	bool opens = true;

	if (!pkt || (pkt->kind != INNER_FLOW && (pkt->kind != INNER_OTHER || pkt->proto == IPPROTO_ICMPV6)))
		return 0;
	if (pkt->proto == IPPROTO_TCP)
		opens = (pkt->tcp_flags & (ACL_SYN | ACL_ACK)) == ACL_SYN;
	else if (pkt->proto == IPPROTO_ICMPV6)
		opens = pkt->icmp_type == ICMP6_ECHO;
	key.src = pkt->key_dst;
	key.dst = pkt->key_src;
	key.sport = pkt->key.dport;
	key.dport = pkt->key.sport;
	key.proto = pkt->proto;
	ct = bpf_map_lookup_elem(&acl_ct6, &key);
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
	if (acl6_verdict(&pkt->key_dst, &pkt->key_src, acl_place(key.proto, key.dport)))
		return 1;
	fresh.seen_s = pkt->now_s;
	bpf_map_update_elem(&acl_ct6, &key, &fresh, BPF_ANY);
	return 0;
}

/* acl_is_answer() for IPv6. @proto: of the packet that the key is of. */
static __always_inline bool acl6_is_answer(const struct talon_pkt *pkt, __u8 proto, bool refresh)
{
	struct talon_acl_ct6_key key = { .src = pkt->key_src, .dst = pkt->key_dst, .sport = pkt->key.sport,
		.dport = pkt->key.dport, .proto = proto };
	struct talon_acl_ct *ct = bpf_map_lookup_elem(&acl_ct6, &key);

	if (!ct || !acl_ct_is_live(ct, proto, pkt->now_s))
		return false;
	if (!refresh)
		return true;
	if (proto == IPPROTO_ICMPV6 && pkt->icmp_type != ICMP6_ECHOREPLY)
		return false;
	acl_ct_touch(ct, pkt);
	return true;
}

/* In map frags6, distinct from datagrams that come from the wire. */
static __always_inline struct talon_frag6_key acl6_frag_key(const struct talon_pkt *pkt)
{
	return (struct talon_frag6_key) {
		.src = pkt->inner_src, .dst = pkt->inner_dst, .id = pkt->frag_id,
			.side = TALON_FRAG_FROM_MESH,
	};
}

/* If the first fragment of a datagram from the mesh passes, so do the later ones, which carry no ports. */
__noinline int acl6_keep_fragments(struct talon_pkt *pkt)
{
	struct talon_frag6_key key;
	struct talon_frag6 now = {};

	if (!pkt)
		return 0;
	key = acl6_frag_key(pkt);
	now.peer = pkt->peer;
	now.expires_s = pkt->now_s + TALON_NAT_FRAGMENT_S;
	bpf_map_update_elem(&frags6, &key, &now, BPF_ANY);
	return 0;
}

__noinline int acl6_knows_fragment(struct talon_pkt *pkt)
{
	struct talon_frag6_key key;
	struct talon_frag6 *known;

	if (!pkt)
		return 0;
	key = acl6_frag_key(pkt);
	known = bpf_map_lookup_elem(&frags6, &key);
	return known && known->peer == pkt->peer && known->expires_s >= pkt->now_s;
}

/*
 * An ICMPv6 error from the mesh passes if the packet that it is about may, and it goes to that one's sender.
 */
static __always_inline bool acl6_permits_error(struct talon_pkt *pkt, const struct talon_addr *dst)
{
	__u8 proto = TALON_PROTO(pkt->key.proto);

	if (!talon_addr_equal(&pkt->key_dst, &pkt->inner_dst) || allowed_peer6(&pkt->key_src) != pkt->peer)
		return false;
	return acl6_is_answer(pkt, proto, false) ||
		acl6_verdict(&pkt->key_src, dst, acl_place(proto, pkt->key.dport));
}

/* acl_permits() for IPv6. */
__noinline int acl6_permits(struct talon_pkt *pkt, const struct talon_addr *dst)
{
	int permit = ACL_BY_RULE;

	if (!pkt || !dst)
		return 0;
	switch (pkt->kind) {
	case INNER_FRAGMENT:
		return acl6_knows_fragment(pkt) ||
			acl6_verdict(&pkt->inner_src, dst, TALON_ACL_PORT_PROTO + pkt->proto);
	case INNER_ICMP_ERROR:
		return acl6_verdict(&pkt->inner_src, dst, TALON_ACL_PORT_PROTO + IPPROTO_ICMPV6) ||
			acl6_permits_error(pkt, dst);
	}
	if (!acl6_verdict(&pkt->inner_src, dst, acl_place(pkt->proto, pkt->key.dport)))
		permit = acl6_is_answer(pkt, pkt->proto, true) ? ACL_BY_ANSWER : 0;
	if (permit && pkt->first_fragment)
		acl6_keep_fragments(pkt);
	return permit;
}

#endif
