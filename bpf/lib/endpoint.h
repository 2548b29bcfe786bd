/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Limits that a peer's endpoint sets: packet size, and which addresses can be an endpoint. */
#ifndef TALON_LIB_ENDPOINT_H
#define TALON_LIB_ENDPOINT_H

#include "lib/packet.h"

#define INNER_MTU_MIN	68U	/* RFC 791: every link carries this */

/*
 * RFC 8200 section 5: every link carries IPv6 packets of 1280 bytes, and no sender need make shorter ones.
 * What is below may fragment: routers do so with sealed packets over IPv4.
 */
#define INNER6_MTU_MIN	1280U

static __always_inline __u32 mtu_of_six(__u32 mtu)
{
	return mtu < INNER6_MTU_MIN ? INNER6_MTU_MIN : mtu;
}

/* Largest packet of the family in hand where IPv4 has @mtu. */
static __always_inline __u32 mtu_of_family(const struct talon_pkt *pkt, __u32 mtu)
{
	return pkt->six ? mtu_of_six(mtu) : mtu;
}

#define INNER6_MSS_MIN		536U	/* shorter segments would not be worth their headers */

/*
 * Largest TCP segment in packets of the family in hand where IPv4 has @mtu: less both headers (RFC 6691). Of
 * IPv6 too it may be what a path of less than 1280 bytes takes: nothing has to be fragmented then.
 */
static __always_inline __u32 mss_of_mtu(const struct talon_pkt *pkt, __u32 mtu)
{
	if (!pkt->six)
		return mtu - 40;
	return mtu < INNER6_MSS_MIN + 60 ? INNER6_MSS_MIN : mtu - 60;
}

/* The smaller of an endpoint's MTU @mtu (0: unknown) and the tunnel's. */
static __always_inline __u32 mtu_within_tunnel(const struct talon_config *cfg, __u32 mtu)
{
	return mtu && mtu < cfg->tunnel_mtu ? mtu : cfg->tunnel_mtu;
}

/*
 * Largest inner packet for @peer, as of the last packet sent to it. Sealing compares with the actual
 * path.
 */
static __always_inline __u32 endpoint_mtu(const struct talon_config *cfg, __u32 peer)
{
	struct talon_endpoint *e = bpf_map_lookup_elem(&endpoints, &peer);

	return mtu_within_tunnel(cfg, e ? e->mtu : 0);
}

/* Largest inner packet that fits, padded and sealed, into an outer packet of @path_mtu bytes. */
static __always_inline __u32 endpoint_inner_mtu(__u8 family, __u32 path_mtu)
{
	__u32 overhead = family == AF_INET6 ? TALON_OVERHEAD6 : TALON_OVERHEAD4;

	if (!path_mtu)
		return 0;
	if (path_mtu > 65535)
		path_mtu = 65535;
	return path_mtu < overhead + INNER_MTU_MIN ? INNER_MTU_MIN : path_mtu - overhead;
}

/*
 * True if pkt->outer_src cannot be a valid source (RFC 1122 section 3.2.1.3, RFC 1812 section 5.3.7,
 * RFC 4291 section 2)? This network, loopback, multicast, class E and broadcast; unspecified, loopback,
 * IPv4 in IPv6; this host's own. Not for the relay pair, whose class E is ours.
 */
__noinline int endpoint_is_martian(struct talon_pkt *pkt)
{
	const struct talon_config *cfg = config_get();
	struct talon_host_route *host;
	struct talon_addr src;
	__u32 top;

	if (!pkt || !cfg || !pkt->outer_sport)
		return 1;
	src = pkt->outer_src;
	top = bpf_ntohl(src.word[0]);
	if (pkt->outer_family == AF_INET) {
		if (top >> 24 == 0 || top >> 24 == 127 || top >= 0xe0000000)
			return 1;
		if (src.word[0] == cfg->node_addr || src.word[0] == cfg->snat_addr)
			return 1;
		host = host_route4(src.word[0]);
		if (host && host->kind == TALON_HOST_BROADCAST)
			return 1;
	} else if (top >> 24 == 0xff ||
		(!src.word[0] && !src.word[1] && (!src.word[2] || src.word[2] == bpf_htonl(0xffff)))) {
		return 1;
	}
	return bpf_map_lookup_elem(&local_addrs, &src) != NULL;
}

#endif
