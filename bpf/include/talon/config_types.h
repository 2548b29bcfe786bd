/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the controller tells the datapath: map "config", ARRAY [1]; and what it tells people: map
 * "info", ARRAY [1].
 */
#ifndef TALON_CONFIG_TYPES_H
#define TALON_CONFIG_TYPES_H

#include "talon/types.h"

#define TALON_UPLINKS_MAX 4

enum talon_config_flags {
	/* snat_addr is a spare address: answer ARP for it, use all its ports */
	TALON_F_SNAT_OWN	= 1 << 0,
	/* XDP_TX works on the uplinks (not on a veth whose peer has no program) */
	TALON_F_XDP_TX		= 1 << 1,
	TALON_F_HANDUP_TUNNEL	= 1 << 2,	/* local deliveries go through our veth, not XDP_PASS */
	/* some route is not masqueraded: replies come to mesh addresses */
	TALON_F_PLAIN_ROUTES	= 1 << 3,
	/* generic XDP: leave the tag behind the opened packet, tot_len tells the truth */
	TALON_F_KEEP_TAIL	= 1 << 4,
	/* packets from the mesh pass by access rules only; without it all do */
	TALON_F_ACL		= 1 << 5,
	/* some host route has a source other than node_addr: any own address may be one */
	TALON_F_MANY_SOURCES	= 1 << 6,
	/* somebody may capture a peer's packets: see map "watches" */
	TALON_F_CAPTURE		= 1 << 7,
	TALON_F_NO_CAPTURE	= 1 << 8,	/* nobody may; for who would like to */
	/* the tunnel carries IPv6; without it such packets are refused with an ICMPv6 error */
	TALON_F_INNER6		= 1 << 9,
	/* some IPv6 route is not masqueraded: replies come to mesh addresses */
	TALON_F_PLAIN_ROUTES6	= 1 << 10,
	/* PREEMPT_RT: a program may be preempted by another one on its CPU */
	TALON_F_PREEMPTIBLE	= 1 << 15,
};

/*
 * Secrets of the translation, independent of each other: what one of them lets strangers see says
 * nothing about the others. Random when the maps are new, then taken over by every controller, as flows
 * are found by them.
 */
struct talon_hash_keys {
	__u64	flow[5];		/* places in the flow indexes; never seen from outside */
	__u64	port[2];		/* SipHash key of port choice; every remote sees ports */
	__u64	id[2];			/* IP id masks of clients */
	__u64	fold[5];		/* IPv6 addresses as 32 bits, in flow keys; never seen from outside */
};
TALON_ASSERT_SIZE(struct talon_hash_keys, 112);

/*
 * Of the mesh address, and of no other of this host's, and for every peer: where the controller
 * listens itself, in IPv4 alone. In IPv6 somebody else may have the port.
 */
struct talon_open_port {
	__be16	port;
	__u8	proto;			/* 0: unused */
	__u8	pad;
};
#define TALON_OPEN_PORTS_MAX 4

struct talon_config {
	/* bumped when anything changes that decisions are made of; never 0 */
	__u32	generation;
	__u32	flags;			/* enum talon_config_flags */
	__u32	session_mask;		/* slots - 1 */
	__u32	bucket_mask;		/* buckets per flow index - 1 */
	__u32	flow_count;		/* records; ids are 1..flow_count - 1 */
	__u32	tunnel_ifindex;		/* wt0 */
	__u32	tunnel_peer_ifindex;	/* its far end */
	__be16	listen_port;
	__u16	tunnel_mtu;		/* largest inner packet */
	__be32	node_addr;		/* source of the host's own packets by the first uplink */
	__be32	snat_addr;		/* equal to node_addr unless TALON_F_SNAT_OWN */
	__be32	mesh_addr;		/* our own inside the mesh */
	__be32	mesh_mask;
	__u16	port_first;		/* SNAT port range, host order, both ends included */
	__u16	port_last;
	__u8	tunnel_mac[6];		/* of wt0 */
	__u8	tunnel_peer_mac[6];
	__u32	uplinks[TALON_UPLINKS_MAX];	/* ifindexes; 0: unused */
	__u32	relay_ifindex;		/* our side of the relay pair; 0: there is none */
	/* of the access rules that hold: 0 or 1; a new one is written before the generation is bumped */
	__u32	acl_bank;
	struct talon_hash_keys keys;
	struct talon_open_port open[TALON_OPEN_PORTS_MAX];	/* beside the access rules */
	struct talon_addr mesh_addr6;	/* our own IPv6 address inside the mesh; zero: none */
	/* source of the host's own IPv6 packets by the first uplink; zero: none, so no masquerading */
	struct talon_addr node_addr6;
	__u8	mesh_len6;		/* of the mesh's IPv6 prefix */
	__u8	pad[7];
	/* CLOCK_BOOTTIME ns until which map "quiet" is looked at; 0: not at all */
	__u64	quiet_until_ns;
};
TALON_ASSERT_SIZE(struct talon_config, 264);

/*
 * Map "local_addrs": HASH struct talon_addr -> __u8. The host's own addresses; WireGuard packets to
 * them may be ours.
 */

enum talon_link_flags {
	TALON_LINK_UPLINK	= 1 << 0,
	/* carries our program at its ingress: replies that come in by it are found */
	TALON_LINK_PROGRAM	= 1 << 1,
	TALON_LINK_REDIRECT	= 1 << 2,	/* takes frames that XDP redirects to it */
	TALON_LINK_NOARP	= 1 << 3,	/* no neighbours to resolve: no Ethernet, or IFF_NOARP */
};

/* Map "links": HASH ifindex -> struct talon_link. Every device of this host that a packet could leave by. */
struct talon_link {
	__u8	mac[6];
	__u16	mtu;
	__u32	flags;			/* enum talon_link_flags */
	/* of the host's own packets by this device, for status; 0: no route leads there */
	__be32	source;
};
TALON_ASSERT_SIZE(struct talon_link, 16);

#define TALON_LINKS_MAX	4096

/*
 * Onward frames. What XDP has to send by a device that takes no redirected frames goes into the relay pair
 * instead, whose MTU has room for sealed packets as the tunnel's has not: it comes in at wt0rp, where the
 * program at tc ingress sends it on, neighbour resolution included. The Ethernet header says where: this
 * destination, which no device has, so that the host's stack leaves the frame alone should the program be
 * missing; the source holds the device.
 */
#define TALON_ONWARD_MAC	{ 0x02, 't', 'a', 'l', 'o', 'n' }

struct talon_onward {
	__u8	dmac[6];		/* TALON_ONWARD_MAC */
	__u8	smac[2];		/* 0x02, 0 */
	__u8	ifindex[4];		/* host order */
	__be16	proto;
};
TALON_ASSERT_SIZE(struct talon_onward, 14);

enum talon_host_kind {
	TALON_HOST_UNICAST	= 1,
	/* an address of this host's, or a range that it has as a whole (AnyIP) */
	TALON_HOST_LOCAL	= 2,
	TALON_HOST_BROADCAST	= 3,
	TALON_HOST_REFUSED	= 4,	/* blackhole, unreachable, prohibit: the FIB says which */
};

enum talon_host_flags {
	TALON_HOST_TUNNEL	= 1 << 0,	/* leads into wt0 */
};

/*
 * Map "host4": LPM trie, struct talon_lpm4 -> struct talon_host_route. The host's routes (tables local, main
 * and default) as far as bpf_fib_lookup() does not tell of them: the source address that the host itself
 * would use, an unlocked MTU, and what is no unicast.
 */
struct talon_host_route {
	__be32	source;			/* 0: the kernel names none */
	__u16	mtu;			/* of the route; 0: the device's */
	__u8	kind;			/* enum talon_host_kind */
	__u8	prefixlen;
	__u32	flags;			/* enum talon_host_flags */
};
TALON_ASSERT_SIZE(struct talon_host_route, 12);

/* Map "host6": LPM trie, struct talon_lpm6 -> struct talon_host_route6. The same for IPv6. */
struct talon_host_route6 {
	struct talon_addr source;	/* zero: the kernel names none */
	__u16	mtu;			/* of the route; 0: the device's */
	__u8	kind;			/* enum talon_host_kind; there are no broadcast addresses */
	__u8	prefixlen;
	__u32	flags;			/* enum talon_host_flags */
};
TALON_ASSERT_SIZE(struct talon_host_route6, 24);

#define TALON_HOST_ROUTES_MAX	65536	/* of each family */

/*
 * Maps "local4" and "local6": LPM tries, struct talon_lpm4 or talon_lpm6 -> __u32 (enum talon_local_flags).
 * Destinations that are handed up with their mesh source, whatever else leads there.
 */
enum talon_local_flags {
	TALON_LOCAL_GIVEN	= 1 << 0,	/* "Local" lists it */
	/*
	 * the node serves it (userspace/host/services.h): only for networks that are served, as any other
	 * destination; addresses of the host itself are the host's; 0 instead: another node does
	 */
	TALON_LOCAL_FOUND	= 1 << 1,
};

#define TALON_LOCAL_MAX		32768	/* of each family, both kinds; old and new ones during a change */
#define TALON_FOUND_MAX		16384	/* ... found ones */

enum talon_block {
	/* the controller was told to stop: nobody renews sessions, and it knew */
	TALON_BLOCK_STOPPED	= 1 << 0,
	TALON_BLOCK_STARTING	= 1 << 1,	/* another controller loads its programs */
	/* the kernel does not forward what comes in by an uplink; a hazard says by which sysctl */
	TALON_BLOCK_FORWARDING	= 1 << 2,
	/* an uplink is gone, or the default route leads where we cannot follow; a hazard says which */
	TALON_BLOCK_UPLINK	= 1 << 3,
};

/* For status, which must work when the controller hangs or is gone. Text is UTF-8, always terminated. */
struct talon_info {
	__u32	layout;			/* TALON_LAYOUT_VERSION */
	__u32	pid;			/* of the controller that wrote last */
	__u64	started_ns;		/* CLOCK_BOOTTIME */
	__u64	heartbeat_ns;		/* CLOCK_BOOTTIME, about once a second */
	__u64	datapath_since_ns;	/* when the programs were first attached */
	char	version[32];
	char	mode[16];		/* xdp, xdp-generic, tcx, clsact */
	char	why[240];		/* one line: why this mode */
	char	uplinks[128];		/* "eth0, eth1" */
	char	tunnel[16];		/* "wt0" */
	char	address[64];		/* "100.64.0.1/10" */
	char	routes[1024];		/* "192.168.1.0/24 masquerade; 10.0.0.0/8" */
	char	hazards[1024];		/* one per line */
	__u8	public_key[32];
	__u32	ready;			/* startup finished */
	__u32	adoptions;		/* how often a new controller took this datapath over */
	/* bits of uplinks whose threads we switched on, in their order above */
	__u32	threaded;
	__u32	blocks;			/* enum talon_block: why packets do not flow though all is attached */
	char	metrics[56];		/* "127.0.0.1:9567": where they are served; cut if it is longer */
};
TALON_ASSERT_SIZE(struct talon_info, 32 + 32 + 16 + 240 + 128 + 16 + 64 + 1024 + 1024 + 32 + 8 + 64);

#endif
