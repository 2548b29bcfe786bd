/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Peers as the datapath knows them: endpoint, sending session, counters, cryptokey routing. */
#ifndef TALON_PEER_TYPES_H
#define TALON_PEER_TYPES_H

#include "talon/types.h"
#include "talon/wg_wire.h"

#define TALON_PEER_NONE 0xffffffffU

/*
 * Map "peer_info": ARRAY, written by the controller; for adoption after a restart and for status. Not read
 * by the datapath.
 */
struct talon_peer_info {
	__u8	public_key[WG_KEY_LEN];
	__u8	present;		/* 0: slot is free */
	__u8	pad[3];
	__u16	keepalive_s;		/* persistent keepalive; 0: off */
	/* round trip of the direct way in 100 us, as the last check measured it; 0: not known */
	__u16	latency_100us;
	__u8	timestamp[WG_TIMESTAMP_LEN];	/* greatest TAI64N accepted from it */
	__u32	handshakes;		/* completed */
	__u64	handshake_ns;		/* CLOCK_BOOTTIME of the last completed handshake; 0: never */
	__u64	handshake_unix_s;	/* the same for people */
	__u64	handshake_rx_bytes;	/* handshake messages, which the datapath does not count */
	__u64	handshake_tx_bytes;
	char	name[40];		/* shown by status; empty in a static file */
};
TALON_ASSERT_SIZE(struct talon_peer_info, 128);

/*
 * Map "peer_tx": ARRAY. The session slot's index that seals for this peer; 0: none. One aligned
 * word, stored whole.
 */
struct talon_peer_tx {
	__u32	index;
	__u32	pad;
};
TALON_ASSERT_SIZE(struct talon_peer_tx, 8);

enum talon_endpoint_flags {
	TALON_ENDPOINT_L2	= 1 << 0,	/* ifindex and MACs are valid for generation */
	/* the controller chooses the way: arriving packets do not move it */
	TALON_ENDPOINT_PINNED	= 1 << 1,
	/* ifindex takes no redirected frames (config_types.h, onward frames) */
	TALON_ENDPOINT_ONWARD	= 1 << 3,
	TALON_ENDPOINT_RELAY	= 1 << 2,	/* out by config.relay_ifindex; no FIB, MACs as they are */
};

/*
 * Outer addresses on the relay pair, which only our own programs and controller see: peer id in class E, our
 * side the last of class E but one.
 */
#define TALON_RELAY_PEER_ADDR(id)	(0xF0000000U | (id))	/* host order */
#define TALON_RELAY_PEER_ID(addr)	((addr) & 0x0FFFFFFFU)
#define TALON_RELAY_OWN_ADDR		0xFFFFFFFEU		/* host order */
#define TALON_RELAY_PORT		51820			/* of a peer's end */

/* What sealing adds to an inner packet, padding aside: IP header, UDP, WireGuard's header and tag. */
#define TALON_OVERHEAD4	60
#define TALON_OVERHEAD6	80

/* Map "endpoints": ARRAY. Written under the lock by datapath (roaming) and controller (BPF_F_LOCK). */
struct talon_endpoint {
	struct bpf_spin_lock lock;
	__u8	family;			/* AF_INET, AF_INET6; 0: unknown */
	__u8	flags;			/* enum talon_endpoint_flags */
	__be16	local_port;
	__be16	remote_port;
	/* largest inner packet that fits through the outer path; 0: unknown, config.tunnel_mtu holds */
	__u16	mtu;
	__u32	ifindex;
	__u32	generation;		/* config.generation the L2 part was looked up under */
	/* source of what we send; zero: config.node_addr (IPv4), nothing can be sent (IPv6) */
	struct talon_addr local;
	struct talon_addr remote;
	__u8	dmac[6];
	__u8	smac[6];
	__u8	in_smac[6];		/* who handed us its last packet, to which of our MACs and where: */
	__u8	in_dmac[6];		/* the way back when the FIB knows none */
	__u32	in_ifindex;
};
TALON_ASSERT_SIZE(struct talon_endpoint, 80);

/*
 * Map "peer_stats": PERCPU_ARRAY. Bytes are whole WireGuard data messages, as wg(8) counts them. Times are
 * CLOCK_BOOTTIME.
 */
struct talon_peer_stats {
	__u64	rx_bytes;
	__u64	tx_bytes;
	__u64	rx_packets;
	__u64	tx_packets;
	__u64	rx_ns;			/* last authenticated data message, keepalives too */
	__u64	tx_ns;			/* last data message sent, keepalives too */
	__u64	rx_data_ns;		/* last one that carried a packet */
	__u64	tx_data_ns;
	/* as rx_ns, of those that came over the relay pair; rx_direct_ns: of the others */
	__u64	rx_relay_ns;
	__u64	rx_direct_ns;
};
TALON_ASSERT_SIZE(struct talon_peer_stats, 80);

/* Key of the LPM tries "allowed4", "routes4", "host4" and "local4". */
struct talon_lpm4 {
	__u32	prefixlen;		/* 0..32, host order */
	__be32	addr;
};
TALON_ASSERT_SIZE(struct talon_lpm4, 8);

/* Key of the LPM tries "allowed6", "routes6", "host6" and "local6". */
struct talon_lpm6 {
	__u32	prefixlen;		/* 0..128, host order */
	struct talon_addr addr;
};
TALON_ASSERT_SIZE(struct talon_lpm6, 20);

/* Value of "allowed4" and "allowed6": the peer, and the length of the prefix that matched. */
#define TALON_ALLOWED(peer, len)	((__u32)(len) << 24 | (peer))
#define TALON_ALLOWED_PEER(value)	((value) & 0xffffffU)
#define TALON_ALLOWED_LEN(value)	((value) >> 24)

enum talon_route_flags {
	TALON_ROUTE_MASQUERADE	= 1 << 0,	/* the source becomes an address of this host's */
};

struct talon_route {
	__u32	id;
	__u16	flags;			/* enum talon_route_flags */
	__u16	prefixlen;
};
TALON_ASSERT_SIZE(struct talon_route, 8);

#endif
