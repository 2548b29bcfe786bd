/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The uplink's packet path, step by step, shared by XDP and tc. The entry files only attach it. */
#ifndef TALON_LIB_UPLINK_H
#define TALON_LIB_UPLINK_H

#include "lib/arp.h"
#include "lib/icmp6.h"
#include "lib/quiet.h"
#include "lib/seal.h"
#include "lib/translate.h"
#include "lib/translate6.h"

/* Is the UDP payload of @len bytes at @off STUN (RFC 8489 section 5)? */
static __always_inline bool is_stun(ctx_md *ctx, __u32 off, __u32 len)
{
	__be32 *word = frame_at(ctx, off, 8);
	__be16 *half = (__be16 *)word;

	if (!word || len < 20)
		return false;
	return (*(__u8 *)word & 0xc0) == 0 && word[1] == bpf_htonl(0x2112A442) && !(bpf_ntohs(half[1]) & 3) &&
	       20 + bpf_ntohs(half[1]) == len;
}

/*
 * Passes STUN and handshake messages to the controller's socket; data messages continue here; anything
 * else on our port is dropped.
 */
static __always_inline int classify_udp(ctx_md *ctx, struct talon_pkt *pkt, __u32 udp_off, __u32 udp_max)
{
	struct udphdr *udp = frame_at(ctx, udp_off, sizeof(*udp));
	__u32 len, type, *word;

	if (!udp)
		return drop(pkt, TALON_TOO_SHORT);
	len = bpf_ntohs(udp->len);
	if (len < sizeof(*udp) + 4 || len > udp_max)
		return drop(pkt, TALON_TOO_SHORT);
	len -= sizeof(*udp);
	pkt->outer_sport = udp->source;
	pkt->outer_dport = udp->dest;
	pkt->wg_off = udp_off + sizeof(*udp);
	word = frame_at(ctx, pkt->wg_off, sizeof(*word));
	if (!word)
		return drop(pkt, TALON_TOO_SHORT);
	type = *word;	/* one byte of type and three of zero, little-endian */
	if (type == WG_DATA && len >= WG_DATA_MIN_LEN) {
		pkt->cipher_len = len - WG_DATA_MIN_LEN;
		return STEP_OPEN;
	}
	if ((type == WG_INITIATION && len == WG_INITIATION_LEN) ||
		(type == WG_RESPONSE && len == WG_RESPONSE_LEN) ||
		(type == WG_COOKIE && len == WG_COOKIE_LEN) || is_stun(ctx, pkt->wg_off, len))
		return end(pkt, TALON_TO_CONTROLLER, ACTION_PASS);
	return drop(pkt, TALON_UNKNOWN_TYPE);
}

static __always_inline bool is_relay_peer(__be32 addr)
{
	return (addr & bpf_htonl(0xf0000000)) == bpf_htonl(0xf0000000);
}

/*
 * Only the controller writes to the relay pair: from a relay peer's address to our address there, which
 * exists nowhere else, or with other addresses for messages that the kernel delivered to the
 * controller's socket.
 */
static __always_inline bool relay_link_is_right(__be32 src, __be32 dst)
{
	return is_relay_peer(src) == (dst == bpf_htonl(TALON_RELAY_OWN_ADDR));
}

static __always_inline bool is_our_address(const struct talon_config *cfg, __u32 ifindex,
	const struct talon_addr *a)
{
	if (ifindex == cfg->relay_ifindex)
		return true;
	return (a->word[0] == cfg->node_addr && !(a->word[1] | a->word[2] | a->word[3])) ||
		MAP_LOOKUP(local_addrs, a);
}

/*
 * Is the UDP datagram for our port, at one of our addresses (pkt->outer_dst)? From the relay pair, with
 * addresses that fit.
 */
static __always_inline bool is_ours4(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	const struct iphdr *ip)
{
	struct udphdr *udp = frame_at(ctx, L3_OFF + sizeof(*ip), sizeof(*udp));

	addr_set4(&pkt->outer_dst, ip->daddr);
	return udp && udp->dest == cfg->listen_port && is_our_address(cfg, frame_ifindex(ctx),
		&pkt->outer_dst) && (frame_ifindex(ctx) != cfg->relay_ifindex ||
		relay_link_is_right(ip->saddr, ip->daddr));
}

/* Can it be a reply to one of our flows, or a packet for a mesh address that is routed without NAT? */
static __always_inline bool may_be_reply4(const struct talon_config *cfg, __be32 dst)
{
	return whose_is_source(cfg, dst) || ((cfg->flags & TALON_F_PLAIN_ROUTES) &&
		(dst & cfg->mesh_mask) == (cfg->mesh_addr & cfg->mesh_mask));
}

static __always_inline int classify4(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg)
{
	struct iphdr *ip = frame_ip(ctx);
	__u32 tot_len;

	if (!ip)
		return STEP_DONE;
	tot_len = bpf_ntohs(ip->tot_len);
	/* Options and fragments of outer packets take the slow path, through the host's stack. */
	if (ip->protocol == IPPROTO_UDP && ip->ihl == 5 && !(ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) &&
		is_ours4(ctx, pkt, cfg, ip)) {
		if (tot_len < sizeof(*ip) || tot_len > frame_len(ctx) - L3_OFF)
			return drop(pkt, TALON_TOO_SHORT);
		addr_set4(&pkt->outer_src, ip->saddr);
		pkt->outer_family = AF_INET;
		pkt->outer_tos = ip->tos;
		return classify_udp(ctx, pkt, L3_OFF + sizeof(*ip), tot_len - sizeof(*ip));
	}
	return may_be_reply4(cfg, ip->daddr) ? STEP_TRANSLATE : STEP_DONE;
}

/* Does @addr lie in the mesh's own IPv6 prefix? */
static __always_inline bool is_mesh_address6(const struct talon_config *cfg, const struct talon_addr *addr)
{
	int left = cfg->mesh_len6;

#pragma unroll
	for (int i = 0; i < 4; i++, left -= 32) {
		__u32 differs = bpf_ntohl(addr->word[i] ^ cfg->mesh_addr6.word[i]);

		if (left < 32)
			return left <= 0 || !(differs >> (32 - left));
		if (differs)
			return false;
	}
	return true;
}

/* may_be_reply4() for IPv6, of pkt->outer_dst; and whether a packet for a peer must be dropped as forged. */
__noinline int may_be_reply6(struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();

	if (!pkt || !cfg || !(cfg->flags & TALON_F_INNER6) || whose6_is_martian(&pkt->outer_dst))
		return 0;
	return whose6_is_own(cfg, &pkt->outer_dst) || ((cfg->flags & TALON_F_PLAIN_ROUTES6) &&
		cfg->mesh_len6 && is_mesh_address6(cfg, &pkt->outer_dst)) ||
		translate6_is_forged(cfg, &pkt->outer_src, &pkt->outer_dst);
}

/* Not for our port. */
static __always_inline int classify6_inner(struct talon_pkt *pkt)
{
	if (!may_be_reply6(pkt))
		return STEP_DONE;
	pkt->six = 1;
	return STEP_TRANSLATE;
}

static __always_inline int classify6(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg)
{
	struct ipv6hdr *ip6 = frame_at(ctx, L3_OFF, sizeof(*ip6) + sizeof(struct udphdr));
	struct udphdr *udp = (struct udphdr *)(ip6 + 1);
	__u32 payload;

	if (!ip6)
		return STEP_DONE;
	__builtin_memcpy(&pkt->outer_src, &ip6->saddr, sizeof(pkt->outer_src));
	__builtin_memcpy(&pkt->outer_dst, &ip6->daddr, sizeof(pkt->outer_dst));
	if (ip6->nexthdr != IPPROTO_UDP || udp->dest != cfg->listen_port ||
		!is_our_address(cfg, frame_ifindex(ctx), &pkt->outer_dst))
		return classify6_inner(pkt);
	ip6 = frame_at(ctx, L3_OFF, sizeof(*ip6));
	if (!ip6)
		return STEP_DONE;
	payload = bpf_ntohs(ip6->payload_len);
	if (payload > frame_len(ctx) - L3_OFF - sizeof(*ip6))
		return drop(pkt, TALON_TOO_SHORT);
	pkt->outer_family = AF_INET6;
	pkt->outer_tos = bpf_ntohl(*(__be32 *)ip6) >> 20;
	return classify_udp(ctx, pkt, L3_OFF + sizeof(*ip6), payload);
}

static __always_inline int classify(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg)
{
	struct ether *eth;

	if (!cfg->generation || frame_is_tagged(ctx))
		return STEP_DONE;
	eth = frame_eth(ctx);
	if (!eth)
		return STEP_DONE;
	switch (eth->h_proto) {
	case bpf_htons(ETH_P_IP):
		return classify4(ctx, pkt, cfg);
	case bpf_htons(ETH_P_IPV6):
		return classify6(ctx, pkt, cfg);
	case bpf_htons(ETH_P_ARP):
		return cfg->flags & TALON_F_SNAT_OWN ? arp_answer(ctx, pkt, cfg) : STEP_DONE;
	default:
		return STEP_DONE;
	}
}

/*
 * STEP_OPEN: WireGuard data for us. STEP_TRANSLATE: to be looked up among our flows. Done with action
 * PASS and end TALON_END_COUNT: not ours, not counted. From the relay pair only data messages continue.
 */
__noinline int uplink_classify(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	int step;

	if (!pkt || !cfg)
		return STEP_DONE;
	step = classify(ctx, pkt, cfg);
	if (frame_ifindex(ctx) == cfg->relay_ifindex && step != STEP_OPEN && pkt->action != ACTION_DROP)
		return drop(pkt, TALON_UNKNOWN_TYPE);
	return step;
}

/* Answers IPv6 from a peer, whose default route may lead to us, so that it need not wait for a timeout. */
static __always_inline int uplink_refuse6(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();

	if (!cfg)
		return drop(pkt, TALON_INTERNAL);
	return icmp6_refuse_all(ctx, pkt, endpoint_mtu(cfg, pkt->peer)) == STEP_NEXT ? STEP_SEAL : STEP_DONE;
}

/* The inner packet that a peer sent. STEP_SEAL, STEP_TRANSLATE, or done. */
static __always_inline int uplink_in(ctx_md *ctx, struct talon_pkt *pkt)
{
	int step, ret;

#ifdef TALON_TC
	if (ctx->gso_segs > 1)	/* merged by GRO: the kernel splits them for the socket */
		return end(pkt, TALON_TO_CONTROLLER, ACTION_PASS);
#endif
	if (frame_linearize(ctx))
		return drop(pkt, TALON_NOT_LINEAR);
	step = session_prepare_open(ctx, pkt);
	if (step != STEP_OPEN)
		return step;
	ret = keystream_open(ctx, pkt);
	if (ret)
		return drop(pkt, ret == -ENOKEY ? TALON_NO_SESSION : TALON_BAD_TAG);
	step = session_accept(ctx, pkt);
	if (step == STEP_REFUSE6)
		return uplink_refuse6(ctx, pkt);
	if (step != STEP_NEXT)
		return step;
	step = pkt->six ? forward6_look(ctx, pkt) : forward_look(ctx, pkt);
	if (step != STEP_NEXT)
		return step;
	return pkt->six ? forward6_rewrite(ctx, pkt) : forward_rewrite(ctx, pkt);
}

/*
 * A frame from the wire that may be a reply, or from a peer to another's mapping. Returns STEP_SEAL, or
 * done.
 */
static __always_inline int uplink_out(ctx_md *ctx, struct talon_pkt *pkt)
{
	int step;

	if (!pkt->resealed)
		pkt->dir = TALON_DIR_OUT;
	step = pkt->six ? translate6_find(ctx, pkt) : translate_find(ctx, pkt);
	if (step == STEP_TRANSLATE)
		return pkt->six ? translate6_rewrite(ctx, pkt) : translate_rewrite(ctx, pkt);
	/* no such flow, and not for the host either */
	if (pkt->resealed && pkt->end == TALON_END_COUNT)
		return drop(pkt, TALON_NAT_NO_FLOW);
	return step;
}

#ifdef TALON_TC
/*
 * tc: seals by way of the tunnel device, where the kernel splits GRO aggregates and completes
 * checksums; the program at its far end seals.
 */
static __always_inline int uplink_seal(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();

	if (!cfg)
		return drop(pkt, TALON_INTERNAL);
	if (icmp6_is_answer(pkt))
		return seal(ctx, pkt);
	pkt->ifindex = cfg->tunnel_ifindex;
	return end(pkt, ctx->gso_segs > 1 ? TALON_SEGMENTED : seal_end(pkt), ACTION_SEND);
}
#else
static __always_inline int uplink_seal(ctx_md *ctx, struct talon_pkt *pkt)
{
	return seal(ctx, pkt);
}
#endif

static __always_inline int uplink_verdict(ctx_md *ctx, struct talon_pkt *pkt, struct talon_seen *seen)
{
	const struct talon_config *cfg = config_get();

	if (pkt->end < TALON_END_COUNT)
		count(pkt->dir, pkt->end);
	else
		seen->passed++;
	if (pkt->action == ACTION_SEND && cfg)
		return frame_send(ctx, cfg, pkt->ifindex);
	if (pkt->action == ACTION_ONWARD && cfg)
		return frame_send_onward(ctx, cfg, pkt->ifindex);
	if (pkt->action == ACTION_PASS)
		return VERDICT_PASS;
	watch_drop(ctx, pkt);
	return VERDICT_DROP;
}

static __always_inline int uplink(ctx_md *ctx)
{
	struct talon_pkt *pkt = bpf_map_lookup_elem(&scratch, ONLY);
	struct talon_seen *seen = program_enter(TALON_PROGRAM_UPLINK);
	const struct talon_config *cfg = config_get();
	int step;

	if (!pkt || !seen)
		return VERDICT_PASS;
	if (!packet_enter(pkt, cfg)) {
		count(TALON_DIR_IN, TALON_PREEMPTED);
		return VERDICT_DROP;
	}
	pkt->end = TALON_END_COUNT;
	pkt->action = ACTION_PASS;
	pkt->dir = TALON_DIR_IN;
	pkt->peer = TALON_PEER_NONE;
	pkt->place = PLACE_FRAME;
	pkt->resealed = 0;
	pkt->quiet = 0;
	pkt->six = 0;
#ifdef TALON_TC
	/* Headers are often outside the linear part; data messages are linearized completely later. */
	if (ctx->data_end - ctx->data < L3_OFF + 114 && ctx->data_end - ctx->data < ctx->len)
		bpf_skb_pull_data(ctx, ctx->len < L3_OFF + 114 ? ctx->len : L3_OFF + 114);
#endif
	step = uplink_classify(ctx, pkt);
	if (step == STEP_OPEN)
		step = uplink_in(ctx, pkt);
	if (step == STEP_TRANSLATE)
		step = uplink_out(ctx, pkt);
	if (step == STEP_SEAL)
		uplink_seal(ctx, pkt);
	if (cfg && cfg->quiet_until_ns && pkt->end == TALON_END_COUNT && pkt->action == ACTION_PASS)
		quiet_look(ctx, pkt);
	step = uplink_verdict(ctx, pkt, seen);
	packet_leave(pkt, cfg);
	return step;
}

#endif
