// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// tc ingress at the far end of the tunnel device: seals what this host sends into the mesh. Frames are
// wire-sized and summed there.
#define TALON_TC
#include "lib/icmp6.h"
#include "lib/seal.h"
#include "lib/translate.h"
#include "lib/translate6.h"

/* Ethernet frame of the private type: send the peer it names an empty message. */
static __always_inline int tunnel_keepalive(ctx_md *ctx, struct talon_pkt *pkt)
{
	__u32 *peer = frame_at(ctx, L3_OFF, sizeof(*peer));

	if (!peer)
		return drop(pkt, TALON_TOO_SHORT);
	pkt->peer = *peer;
	pkt->tot_len = 0;
	pkt->quiet = 1;	/* a keepalive is no reason for a handshake here: the controller decides on those */
	return STEP_SEAL;
}

/* An answer of ours, to the stack that sent what it is about: back out of this end of the pair. */
static __always_inline int tunnel_answer(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	__u16 type)
{
	struct ether *eth = frame_eth(ctx);

	if (!eth)
		return drop(pkt, TALON_INTERNAL);
	mac_copy(eth->h_dest, cfg->tunnel_mac);
	mac_copy(eth->h_source, cfg->tunnel_peer_mac);
	eth->h_proto = bpf_htons(type);
	pkt->ifindex = cfg->tunnel_peer_ifindex;
	return end(pkt, TALON_ICMP_SENT, ACTION_SEND);
}

static __always_inline int tunnel_refuse6(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg)
{
	struct ipv6hdr *ip6 = frame_at(ctx, L3_OFF, sizeof(*ip6));

	if (!ip6)
		return drop(pkt, TALON_INNER_IPV6);
	if (inner6_measure(pkt, ip6, frame_len(ctx) - L3_OFF) ||
		icmp6_refuse_all(ctx, pkt, cfg->tunnel_mtu) != STEP_NEXT)
		return pkt->end == TALON_RATE_LIMITED ? STEP_DONE : drop(pkt, TALON_INNER_IPV6);
	return tunnel_answer(ctx, pkt, cfg, ETH_P_IPV6);
}

/*
 * Larger than the way to this peer takes, though not for the device: RFC 1191 for whoever sent it, or
 * cut. The error comes from where the packet was going, since the host believes nobody that speaks from
 * its own address.
 */
static __always_inline int tunnel_too_big(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	struct iphdr *ip, __u32 mtu)
{
	if (pkt->dont_fragment) {
		if (icmp_error_build(ctx, pkt, ip->daddr, ICMP_WHAT(ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, mtu),
			TALON_TOO_BIG) != STEP_NEXT)
			return STEP_DONE;
		return tunnel_answer(ctx, pkt, cfg, ETH_P_IP);
	}
	event_clear(pkt, TALON_EVENT_TOO_BIG);
	pkt->event.peer = pkt->peer;
	pkt->event.id = mtu;
	return drop(pkt, event_send_packet(ctx, pkt, L3_OFF, pkt->tot_len) ? TALON_HELD : TALON_TOO_BIG);
}

/*
 * What the controller sends to a peer's endpoint, and the host's routes lead here: no handshake is made
 * through the tunnel that it is for.
 */
static __always_inline bool tunnel_is_loop(struct talon_pkt *pkt, const struct talon_config *cfg)
{
	return pkt->proto == IPPROTO_UDP && pkt->key.sport == cfg->listen_port && pkt->kind == INNER_FLOW &&
		(pkt->six ? whose6_is_own(cfg, &pkt->inner_src) : whose_is_own(cfg, pkt->key.src));
}

/* The same for IPv6: RFC 8201 for whoever sent what is larger. */
static __always_inline int tunnel_too_big6(ctx_md *ctx, struct talon_pkt *pkt, const struct talon_config *cfg,
	__u32 mtu)
{
	pkt->answer = pkt->inner_dst;
	if (icmp6_error_build(ctx, pkt, cfg->tunnel_mtu, ICMP_WHAT(ICMP6_TOO_BIG, 0, mtu), TALON_TOO_BIG) !=
		STEP_NEXT)
		return STEP_DONE;
	return tunnel_answer(ctx, pkt, cfg, ETH_P_IPV6);
}

/*
 * tunnel_classify() for IPv6. The device has a link-local address: what the kernel says there goes nowhere.
 */
__noinline int tunnel_classify6(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	__u32 mtu, reason;

	if (!pkt || !cfg)
		return STEP_DONE;
	pkt->six = 1;
	if (!(cfg->flags & TALON_F_INNER6))
		return tunnel_refuse6(ctx, pkt, cfg);
	reason = inner6_read(ctx, pkt);
	if (reason)
		return drop(pkt, reason);
	if (whose6_is_martian(&pkt->inner_src) || whose6_is_martian(&pkt->inner_dst) ||
		inner6_is_of_link(pkt))
		return drop(pkt, TALON_BAD_DESTINATION);
	/* an ICMPv6 error of the controller's about a flow */
	if (whose6_is_own(cfg, &pkt->inner_dst))
		return STEP_TRANSLATE;
	pkt->peer = allowed_peer6(&pkt->inner_dst);
	if (pkt->peer == TALON_PEER_NONE)
		return drop(pkt, TALON_NO_PEER);
	if (pkt->tot_len > cfg->tunnel_mtu)
		return drop(pkt, TALON_TOO_BIG);
	if (tunnel_is_loop(pkt, cfg))
		return drop(pkt, TALON_ENDPOINT_LOOP);
	mtu = mtu_of_six(endpoint_mtu(cfg, pkt->peer));
	if (pkt->tot_len > mtu)
		return tunnel_too_big6(ctx, pkt, cfg, mtu);
	if (cfg->flags & TALON_F_ACL)
		acl6_note_out(pkt);
	return STEP_SEAL;
}

/* Which peer is the packet for? To the spare SNAT address: undo the NAT first. */
__noinline int tunnel_classify(ctx_md *ctx, struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct ether *eth;
	struct iphdr *ip;
	__u32 mtu;

	if (!pkt || !cfg)
		return STEP_DONE;
	eth = frame_eth(ctx);
	if (!eth)
		return drop(pkt, TALON_TOO_SHORT);
	if (eth->h_proto == bpf_htons(TALON_ETHERTYPE_KEEPALIVE))
		return tunnel_keepalive(ctx, pkt);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return tunnel_classify6(ctx, pkt);
	ip = frame_ip(ctx);
	if (eth->h_proto != bpf_htons(ETH_P_IP) || !ip || inner4_read(ctx, pkt, ip))
		return drop(pkt, TALON_BAD_INNER);
	/* the spare address, or an ICMP error of the controller's about a flow */
	if (whose_is_source(cfg, ip->daddr))
		return STEP_TRANSLATE;
	pkt->peer = allowed_peer4(ip->daddr);
	if (pkt->peer == TALON_PEER_NONE)
		return drop(pkt, TALON_NO_PEER);
	if (pkt->tot_len > cfg->tunnel_mtu)
		return drop(pkt, TALON_TOO_BIG);
	if (tunnel_is_loop(pkt, cfg))
		return drop(pkt, TALON_ENDPOINT_LOOP);
	mtu = endpoint_mtu(cfg, pkt->peer);
	if (pkt->tot_len > mtu)
		return tunnel_too_big(ctx, pkt, cfg, ip, mtu);
	if (cfg->flags & TALON_F_ACL)
		acl_note_out(pkt);
	return STEP_SEAL;
}

SEC("tc")
int talon_tunnel(struct __sk_buff *ctx)
{
	struct talon_pkt *pkt = bpf_map_lookup_elem(&scratch, ONLY);
	const struct talon_config *cfg = config_get();
	int step;

	if (!pkt || !program_enter(TALON_PROGRAM_TUNNEL))
		return VERDICT_DROP;
	if (!packet_enter(pkt, cfg)) {
		count(TALON_DIR_TUNNEL, TALON_PREEMPTED);
		return VERDICT_DROP;
	}
	pkt->dir = TALON_DIR_TUNNEL;
	pkt->end = TALON_INTERNAL;
	pkt->action = ACTION_DROP;
	pkt->peer = TALON_PEER_NONE;
	pkt->place = PLACE_FRAME;
	pkt->resealed = 0;
	pkt->quiet = 0;
	pkt->six = 0;
	packet_clock(pkt);
	if (frame_linearize(ctx)) {
		pkt->end = TALON_NOT_LINEAR;
		count(TALON_DIR_TUNNEL, pkt->end);
		watch_drop(ctx, pkt);
		packet_leave(pkt, cfg);
		return VERDICT_DROP;
	}
	step = tunnel_classify(ctx, pkt);
	if (step == STEP_TRANSLATE) {
		pkt->end = TALON_NAT_NO_FLOW;	/* unless the search says better */
		step = pkt->six ? translate6_find(ctx, pkt) : translate_find(ctx, pkt);
		if (step == STEP_TRANSLATE)
			step = pkt->six ? translate6_rewrite(ctx, pkt) : translate_rewrite(ctx, pkt);
	}
	if (step == STEP_SEAL) {
		if (pkt->tot_len && pkt->proto == IPPROTO_TCP && pkt->kind == INNER_FLOW &&
		    (pkt->tcp_flags & TCP_FLAG_SYN_BIT)) {
			if (cfg)
				rewrite_mss(ctx, pkt, mss_of_mtu(pkt, endpoint_mtu(cfg, pkt->peer)));
		}
		seal(ctx, pkt);
	}
	count(TALON_DIR_TUNNEL, pkt->end);
	if (pkt->action != ACTION_SEND)
		watch_drop(ctx, pkt);
	/* the far end leads nowhere else */
	step = pkt->action == ACTION_SEND ? bpf_redirect(pkt->ifindex, 0) : VERDICT_DROP;
	packet_leave(pkt, cfg);
	return step;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
