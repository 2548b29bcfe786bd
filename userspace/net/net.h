/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The host's network as Talon sees and touches it: links, addresses, routes, neighbours, by rtnetlink (RFC
 * 3549) and ethtool.
 *
 * Everything works in the caller's network namespace. Nothing here logs; errors are returned as negative
 * errno, and where a call takes (err, errlen) it also writes one line with the device and the kernel's
 * own reason. Addresses are in network byte order: an IPv4 address is word[0] of struct talon_addr, the
 * others are zero.
 */
#ifndef TALON_NET_H
#define TALON_NET_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talon/types.h"

/*
 * rtm_protocol of every route and NDA_PROTOCOL of every neighbour entry that we make, so that ours can be
 * told from others'. 0x54 ('T') is in nobody's list: not in linux/rtnetlink.h (RTPROT_*), nor in
 * iproute2's rt_protos.
 */
#define NET_PROTOCOL 0x54

#define NET_ALIAS_MAX 256

/* One network device. */
struct net_link {
	int	ifindex;
	uint16_t type;			/* ARPHRD_* */
	char	name[IFNAMSIZ];		/* its first name, also where it was asked for by another */
	uint8_t	mac[6];			/* zero where the device has none */
	uint32_t mtu;			/* bytes of L3 packet */
	uint32_t flags;			/* IFF_* */
	bool	up;			/* administratively */
	bool	running;		/* carrier */
	char	kind[16];		/* "veth", "bond", ...; empty for a physical device */
	/* of SIOCETHTOOL, filled by net_link_get* only; empty where unknown */
	char	driver[32];
	char	alias[NET_ALIAS_MAX];	/* ifalias */
	uint32_t group;
	int	master;			/* ifindex of the bridge or bond that it belongs to; 0: none */
	int lower; /* IFLA_LINK: parent of a vlan, other end of a veth in this namespace; 0: none */
	uint32_t xdp_prog_id;		/* of the attached XDP program; 0: none */
	uint8_t	xdp_mode;		/* XDP_ATTACHED_* of linux/if_link.h */
};

/* Reads device @name (or @ifindex). Returns 0, -ENODEV, or another negative errno. */
int net_link_get(const char *name, struct net_link *ret_link);
int net_link_get_index(int ifindex, struct net_link *ret_link);

typedef void (*net_link_cb)(const struct net_link *link, void *user);
/* Calls @cb for every device. Returns 0 or a negative errno. */
int net_link_list(net_link_cb cb, void *user);

/* Do its packets have an Ethernet header with a MAC of its own? Not so tun, ppp, wireguard, lo. */
bool net_link_is_ethernet(const struct net_link *link);

#define NET_DEFAULT_MAX 4

/*
 * Devices of the IPv4 default route of the main table with the lowest metric: one for each next hop (of
 * several, those that are not dead), in the kernel's order, each device once, @ret_count of them. Returns 0
 * (also where there is none) or a negative errno.
 */
int net_default_uplinks(struct net_link ret_links[static NET_DEFAULT_MAX], unsigned *ret_count);

/*
 * Which devices take frames that XDP redirects to them, by the kernel's own word (netdev netlink family,
 * 6.3). Calls @cb for each device of the namespace. Returns 0, -EOPNOTSUPP where the kernel does not tell, or
 * another negative errno.
 */
typedef void (*net_redirect_cb)(int ifindex, bool takes, void *user);
int net_redirect_list(net_redirect_cb cb, void *user);

struct net_addr {
	int	ifindex;
	uint8_t	family;			/* AF_INET, AF_INET6 */
	uint8_t	prefixlen;
	uint8_t	scope;			/* RT_SCOPE_* */
	uint32_t flags;			/* IFA_F_* */
	struct talon_addr addr;		/* the local one, also on a point-to-point device */
};

typedef void (*net_addr_cb)(const struct net_addr *addr, void *user);
/* Calls @cb for every IPv4 and IPv6 address of the namespace. Returns 0 or a negative errno. */
int net_addr_list(net_addr_cb cb, void *user);

/* First primary IPv4 address of global scope on @ifindex. Returns 0 or -EADDRNOTAVAIL. */
int net_addr_primary4(int ifindex, __be32 *ret_addr);

/*
 * An IPv6 address of global scope on @ifindex that is not tentative: one that is neither deprecated nor
 * temporary (RFC 8981) if there is any, unique local ones last. Returns 0 or -EADDRNOTAVAIL.
 */
int net_addr_primary6(int ifindex, struct talon_addr *ret_addr);

/*
 * Adds @addr/@prefixlen to @ifindex without the kernel's automatic prefix route (IFA_F_NOPREFIXROUTE). There
 * already: success. net_addr_del: not there: success. Return 0 or a negative errno.
 */
int net_addr_add(int ifindex, uint8_t family, const struct talon_addr *addr, uint8_t prefixlen);
int net_addr_del(int ifindex, uint8_t family, const struct talon_addr *addr, uint8_t prefixlen);

#define NET_ROUTE_HOPS 8

/*
 * One route: net_route_list() tells of all tables and types; the others only deal with unicast routes of
 * the main table.
 */
struct net_route {
	uint8_t	family;			/* AF_INET, AF_INET6 */
	uint8_t	prefixlen;
	uint8_t	protocol;		/* RTPROT_*, NET_PROTOCOL for ours; a change ignores it */
	uint8_t	type;			/* RTN_*; a change makes RTN_UNICAST */
	uint32_t table;			/* RT_TABLE_*; a change is in the main table */
	uint32_t metric;		/* 0: none */
	uint32_t mtu;			/* of the route; 0: the device's */
	int	ifindex;		/* of the first next hop */
	uint8_t	tos;
	uint8_t	scope;			/* RT_SCOPE_* */
	uint8_t	flags;			/* RTNH_F_* of the first next hop, RTNH_F_DEAD of all of them */
	uint8_t	hop_count;		/* 0: no device */
	int	hops[NET_ROUTE_HOPS];	/* devices of the next hops, none twice; those beyond are left out */
	struct talon_addr dst;
	struct talon_addr gateway;	/* of the first next hop; zero: on link, or of the other family */
	struct talon_addr prefsrc;	/* source for the host's own packets; zero: kernel chooses */
};

typedef void (*net_route_cb)(const struct net_route *route, void *user);
int net_route_list(uint8_t family, net_route_cb cb, void *user);

enum net_route_what {
	NET_ROUTE_ADD,			/* -EEXIST if one to the same prefix and metric is there */
	/* the one to the same prefix and metric, which the caller knows to be ours */
	NET_ROUTE_REPLACE,
	NET_ROUTE_DEL,			/* ours only; not there: success */
};

struct net_route_change {
	struct net_route route;
	enum net_route_what what;
	int ret;			/* out: 0 or a negative errno */
};

/*
 * Many changes in few messages, in order. Returns 0, or a negative errno where the kernel
 * cannot be talked to.
 */
int net_route_change(struct net_route_change *list, size_t count);

/*
 * Which way the kernel would send to @dst: the route with device, gateway (zero: on link) and source address,
 * policy rules included. Returns 0, -ENETUNREACH where there is none, or another negative errno.
 */
int net_route_lookup(uint8_t family, const struct talon_addr *dst, struct net_route *ret_route);

/* The kernel's answer for one destination. */
struct net_route_query {
	uint8_t	family;			/* AF_INET, AF_INET6 */
	struct talon_addr dst;
	int	ifindex;		/* only by this device; 0: any */
	/* out: 0 or the kernel's negative errno: -ENETUNREACH, -EHOSTUNREACH, -EACCES, -EINVAL (blackhole) */
	int	ret;
	/* out: with prefsrc as the host would fill it in, and the table that answered */
	struct net_route route;
};

/* Many lookups in few messages. Returns 0, or a negative errno where the kernel cannot be talked to. */
int net_route_lookup_many(struct net_route_query *list, size_t count);

/* One policy rule, as far as it decides about packets that have no mark, source or socket yet. */
struct net_rule {
	uint8_t	family;			/* AF_INET, AF_INET6 */
	uint32_t priority;
	uint32_t table;			/* RT_TABLE_*; 0: none */
	uint8_t	action;			/* FR_ACT_* */
	uint8_t	prefixlen;		/* of dst; 0: every destination */
	bool	is_inverted;
	/* asks for a mark, a source, a device, a port, ...: what such a packet does not have */
	bool	is_narrow;
	bool	suppresses;		/* takes only some of what the table answers */
	struct talon_addr dst;
};

typedef void (*net_rule_cb)(const struct net_rule *rule, void *user);
/*
 * Those of @family, in the order in which the kernel goes through them. Returns 0 or a negative errno;
 * -EOPNOTSUPP: a kernel without policy routing.
 */
int net_rule_list(uint8_t family, net_rule_cb cb, void *user);

/*
 * Removes every route with protocol NET_PROTOCOL through @ifindex (0: any device). Returns their number or a
 * negative errno.
 */
int net_route_flush(int ifindex);

struct net_neigh {
	int	ifindex;
	uint8_t	family;
	uint8_t	protocol;		/* NET_PROTOCOL: we asked for it */
	uint16_t state;			/* NUD_* */
	uint32_t flags;			/* NTF_*; NTF_EXT_* shifted left by 8 */
	bool	has_mac;
	struct talon_addr addr;
	uint8_t	mac[6];
};

/*
 * Makes the kernel resolve @addr on @ifindex and keep it resolved (a managed entry where the kernel has them,
 * 5.16; else one resolution each time this is called). An entry that is there keeps its state; a permanent
 * one is left alone. Returns 0 or a negative errno.
 */
int net_neigh_probe(int ifindex, uint8_t family, const struct talon_addr *addr);

/*
 * Asks the neighbour of a stale entry whether it is there, three times within as many seconds, as the kernel
 * does with what it uses itself; nobody there: the entry fails. The entry is as net_neigh_get() read it.
 * Managed ones the kernel keeps up: left alone. Returns 0 or a negative errno.
 */
int net_neigh_confirm(const struct net_neigh *neigh);

/* Reads one entry. Returns 0 (look at has_mac and state), -ENOENT, or another negative errno. */
int net_neigh_get(int ifindex, uint8_t family, const struct talon_addr *addr, struct net_neigh *ret_neigh);

/*
 * The kernel may forget the entry again. Not there: success. The entry itself stays, so that the host's own
 * traffic feels nothing.
 */
int net_neigh_release(int ifindex, uint8_t family, const struct talon_addr *addr);

/* The same for every entry that we asked for. Returns their number or a negative errno. */
int net_neigh_release_all(void);

typedef void (*net_neigh_cb)(const struct net_neigh *neigh, void *user);
int net_neigh_list(net_neigh_cb cb, void *user);

/*
 * Our own veth pair. @name is the end the stack routes into, @far the one where the sealing program sits.
 * Both: @mtu, NOARP, no addresses, no IPv6 link-local, up. @name: segmentation, tx checksum and
 * scatter-gather off, so that what leaves it is wire-sized, linear and summed; GRO on, which gives it the
 * NAPI that redirected frames need to be received. @far: GRO off. Marked by ifalias @alias. A pair that is
 * there with this alias is put into this state again, and so is one whose making was cut short, which its
 * group tells; any other device is not touched. Returns 0; -EEXIST if a foreign device has either name, or
 * only one end of ours is there; or another negative errno, and then a pair that it made is gone again.
 */
int net_tunnel_create(const char *name, const char *far, uint32_t mtu, const char *alias, char *err,
	size_t errlen);

/*
 * Whether net_tunnel_create() would find its names free (-ENODEV), or a pair of ours (0), or a foreign device
 * or half a pair (-EEXIST).
 */
int net_tunnel_find(const char *name, const char *far, const char *alias);

/* Removes the pair if it has our @alias. Not there: success. -EPERM: foreign. */
int net_tunnel_delete(const char *name, const char *alias);

/*
 * Removes the veth pairs with @alias, and those whose making was cut short (16 pairs in one call). Returns
 * the number removed or a negative errno.
 */
int net_tunnel_delete_all(const char *alias);

/*
 * Asks the kernel why @prog_fd cannot be XDP on @ifindex with @xdp_flags (XDP_FLAGS_DRV_MODE, ...): only
 * netlink carries the text. If the kernel accepts after all, the program is taken off again at once. Always
 * leaves one line in @reason.
 */
void net_xdp_reason(int ifindex, int prog_fd, uint32_t xdp_flags, char *reason, size_t len);

/* Number of tc filters in both directions of the clsact qdisc of @ifindex, or a negative errno. */
int net_filter_count(int ifindex);

/* A BPF program in a clsact qdisc. */
struct net_filter {
	bool	is_egress;
	uint32_t priority;
	uint32_t handle;
	uint32_t prog_id;
	char	name[64];		/* that the filter's owner gave it */
};

typedef void (*net_filter_cb)(const struct net_filter *filter, void *user);
/*
 * Calls @cb for each BPF filter of the clsact qdisc of @ifindex, ingress first. Returns 0, also where there
 * is no such qdisc, or a negative errno.
 */
int net_filter_list(int ifindex, net_filter_cb cb, void *user);

enum net_nf_kind { NET_NF_TABLE, NET_NF_CHAIN, NET_NF_RULE, NET_NF_SET };

/* One object of nftables (iptables-nft too), or an ipset. */
struct net_nf {
	enum net_nf_kind kind;
	uint8_t	family;			/* NFPROTO_* */
	int	hook;			/* of a base chain: NF_INET_*; else -1 */
	/* of a rule: it asks for connection tracking's state INVALID, and drops what has it */
	bool	drops_invalid;
	char	table[64];		/* cut where longer; empty for a set */
	/* of the table, the chain (also a rule's) or the set; cut where longer */
	char	name[64];
};

typedef void (*net_nf_cb)(const struct net_nf *nf, void *user);
/*
 * Calls @cb for every object of this kind in the network namespace. The kernel loads a module to answer for a
 * subsystem that is not there: who wants to change nothing asks net_nf_is_there() first. Returns 0 or a
 * negative errno.
 */
int net_nf_list(enum net_nf_kind kind, net_nf_cb cb, void *user);
/*
 * Whether nftables (for NET_NF_SET: ipset) is in the running kernel, built in or loaded, by the files below
 * @root.
 */
bool net_nf_is_there(const char *root, enum net_nf_kind kind);

typedef void (*net_chain_cb)(const char *table, const char *chain, void *user);
/*
 * The chains that users made in an IPv4 table of iptables-legacy. The kernel makes a table that is not there:
 * ask only for those that /proc/net/ip_tables_names has. Returns 0 or a negative errno.
 */
int net_iptables_chains(const char *table, net_chain_cb cb, void *user);
/*
 * The same from the table's entries, as the kernel hands them out. Returns 0, or -EBADMSG behind
 * the last good one.
 */
int net_iptables_parse(const void *blob, size_t len, net_chain_cb cb, const char *table, void *user);

/* An address that kube-proxy translates, or refuses for want of somebody to translate it to. */
struct net_service {
	uint8_t	family;			/* AF_INET, AF_INET6 */
	/* nobody on this host answers what comes from outside the cluster, and it is dropped */
	bool	is_dropped;
	struct talon_addr addr;		/* network byte order */
};

typedef void (*net_service_cb)(const struct net_service *service, void *user);
/*
 * Calls @cb for each that nftables knows of, in kube-proxy's own table or in what iptables-nft made for it;
 * an address with several ports comes several times. The caution of net_nf_list() holds. Returns 0 or a
 * negative errno; -EAGAIN: the rules changed meanwhile.
 */
int net_service_list(net_service_cb cb, void *user);
/* A number that is another one after each change of nftables' rules. Returns 0 or a negative errno. */
int net_nf_generation(uint32_t *ret_generation);

/* What a table of iptables-legacy of @family (AF_INET, AF_INET6) looks like from outside. */
struct net_iptables_size {
	uint32_t entries;
	uint32_t bytes;
};
/* Asks only for tables that are there: see net_iptables_chains(). Each: 0 or a negative errno. */
int net_iptables_measure(uint8_t family, const char *table, struct net_iptables_size *ret_size);
int net_iptables_services(uint8_t family, const char *table, net_service_cb cb, void *user);
/* The same from the table's entries. Returns 0, or -EBADMSG behind the last good one. */
int net_iptables_parse_services(uint8_t family, const void *blob, size_t len, net_service_cb cb, void *user);

enum net_event_type {
	NET_EVENT_LINK,
	NET_EVENT_ADDR,
	NET_EVENT_ROUTE,
	NET_EVENT_NEIGH,
	NET_EVENT_RULE,			/* policy routing changed */
	NET_EVENT_RESYNC,		/* events were lost: read everything again */
};

struct net_event {
	enum net_event_type type;
	bool removed;
	union {
		struct net_link link;
		struct net_addr addr;
		struct net_route route;
		struct net_neigh neigh;
	};
};

typedef void (*net_event_cb)(const struct net_event *event, void *user);

/*
 * Non-blocking socket for events of links, addresses, routes and neighbours of both families, and of
 * rules. Returns the fd or a negative errno.
 */
int net_monitor_open(void);

/*
 * Reads a bounded number of messages and calls @cb for each event. Returns 0 when the socket is empty, 1 when
 * there may be more, or a negative errno when the socket is useless. Lost events (ENOBUFS) come as
 * NET_EVENT_RESYNC.
 */
int net_monitor_read(int fd, net_event_cb cb, void *user);

/*
 * Does the kernel refuse to forward packets of @family that come in by one of the devices? Then one line with
 * the sysctl that says so is in @why.
 */
bool net_forwarding_is_off(uint8_t family, const char *const *uplinks, unsigned count, char *why, size_t len);

#define NET_IPV6_MTU 1280U	/* RFC 8200 section 5: of any device that carries IPv6 */

/*
 * Does this host refuse IPv6 addresses on device @tunnel, which need not exist yet, or on any of MTU @mtu?
 * Then one line with the reason is in @why. @root as below.
 */
bool net_ipv6_is_off(const char *root, const char *tunnel, uint32_t mtu, char *why, size_t len);

/* A number in /proc/sys below @root ("": the host's), @path with slashes. Returns it, or -1: none there. */
int net_sysctl_get(const char *root, const char *path);

enum net_hazard_kind {
	NET_HAZARD_FORWARDING,		/* the kernel does not forward */
	NET_HAZARD_FORWARDING6,		/* ... IPv6 */
	NET_HAZARD_ACCEPT_RA,		/* a host that forwards ignores router advertisements */
	NET_HAZARD_GONE,		/* an uplink does not exist */
	NET_HAZARD_DOWN,
	NET_HAZARD_LAYERED,		/* a bond, a bridge, ... without native XDP */
	NET_HAZARD_MASTER,		/* a port of another device, or in a VRF */
	NET_HAZARD_CHECKSUM,		/* a veth, whose other end may send unfinished checksums */
	NET_HAZARD_JOINED,		/* LRO or hardware GRO */
	NET_HAZARD_VLAN_TAGS,
	NET_HAZARD_RP_FILTER,
	NET_HAZARD_SRC_VALID_MARK,
	NET_HAZARD_JIT_HARDEN,
	NET_HAZARD_JIT_OFF,
};

/* A setting of this host that can hurt us. */
struct net_hazard {
	enum net_hazard_kind kind;
	const char *what;		/* one clause */
	const char *why;		/* why it matters; NULL: that says all */
	const char *act;		/* a command that cures it; NULL: there is none */
};

typedef void (*net_hazard_cb)(const struct net_hazard *hazard, void *user);

/* What the hazards of one uplink follow from. */
struct net_uplink {
	struct net_link link;
	struct net_link master;		/* ifindex 0: it is no port of another device */
	bool	has_lro;
	bool	has_hw_gro;
	bool	strips_tags;		/* takes VLAN tags off */
	char	vlan[IFNAMSIZ];		/* a VLAN device on it; empty: none */
};

/* Returns 0, -ENODEV, or another negative errno. */
int net_uplink_read(const char *name, struct net_uplink *ret_uplink);
void net_uplink_hazards(const struct net_uplink *uplink, net_hazard_cb cb, void *user);

struct net_hazard_question {
	const char *root;		/* directory below which /proc is read; NULL: the host's */
	const char *const *uplinks;	/* @count names */
	unsigned count;
	const char *tunnel;		/* a name, of a device that need not exist yet; or NULL */
	bool forwards_none;		/* no IPv4 network is served, nor will be */
	bool six;			/* IPv6 networks are, or may be, served */
	/* local deliveries come in by the tunnel device, where their replies leave: no filter drops them */
	bool by_tunnel;
};

/* All hazards of this host. Only reads. */
void net_hazards_each(const struct net_hazard_question *question, net_hazard_cb cb, void *user);

/*
 * The same as lines: "what: why (act)", or "; run act" of NET_HAZARD_FORWARDING, terminated by '\n' (a longer
 * line is cut at 254 bytes). Returns the number of lines; lines that do not fit into @len are left out whole.
 */
int net_hazards(const struct net_hazard_question *question, char *text, size_t len);

#endif
