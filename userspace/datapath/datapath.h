/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Loads, pins, attaches, adopts, replaces and removes the BPF programs and maps.
 *
 * Everything is pinned under <base>/v<TALON_LAYOUT_VERSION>/{maps,progs,links}, so it runs on without this
 * process. Order of a start: datapath_load (maps exist, nothing is attached) -> datapath_tunnel (the veth
 * pairs exist) -> the caller fills the maps -> datapath_attach. Each step can be called again. A step that
 * fails undoes what it did, and never touches a datapath that was running before: that one goes on with its
 * old programs.
 *
 * One process at a time: datapath_load holds a lock on <base> until datapath_close.
 */
#ifndef TALON_DATAPATH_H
#define TALON_DATAPATH_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talon/config_types.h"

#define DATAPATH_BASE_DEFAULT		"/sys/fs/bpf/talon"
#define DATAPATH_TUNNEL_DEFAULT		"wt0"

enum datapath_mode {
	DATAPATH_AUTO,
	DATAPATH_XDP,
	DATAPATH_XDP_GENERIC,
	DATAPATH_TCX,
	DATAPATH_CLSACT,
};

enum datapath_dispatcher {
	DATAPATH_DISPATCHER_AUTO,	/* join libxdp's dispatcher where one is already there */
	/* put one into a free slot too; where the kernel refuses that, the slot itself is taken */
	DATAPATH_DISPATCHER_ALWAYS,
	DATAPATH_DISPATCHER_NEVER,
};

/* Zero means the default everywhere: that of config/config.h where it has one. */
struct datapath_options {
	const char *base;		/* directory on a bpffs */
	/* of datapath/seat.h, whose lock the caller holds; 0: datapath_load() takes it, and datapath_close()
	 * lets go of it */
	int seat;
	const char *uplinks[TALON_UPLINKS_MAX];
	unsigned uplink_count;		/* at least 1 */
	enum datapath_mode mode;
	enum datapath_dispatcher dispatcher;
	unsigned dispatcher_priority;	/* in libxdp's dispatcher; lower runs first */
	/* at most 13 characters: "p", "r" and "rp" are appended for the far end and the relay pair */
	const char *tunnel;
	uint32_t tunnel_mtu;		/* bytes */
	uint32_t peers;
	uint32_t sessions;		/* slots, a power of two; default 4 for each peer, rounded up */
	/* 1024..2^20. Buckets of each index: flows / 4, rounded up to a power of two */
	uint32_t flows;
	/* most slots of keystream made ahead; 0: none, all packets are encrypted inline */
	uint32_t keystream;
};

/* Every map of bpf/lib/maps.h that is pinned. */
#define DATAPATH_MAPS(X) \
	X(CONFIG, config) X(INFO, info) X(STATS, stats) X(HANDSHAKE_STATS, handshake_stats) \
	X(SEEN, seen) X(TRAFFIC, traffic) X(FACTS, facts) \
	X(LOCAL_ADDRS, local_addrs) X(LINKS, links) X(HOST4, host4) X(LOCAL4, local4) \
	X(HOST6, host6) X(LOCAL6, local6) X(VIPS, vips) X(VIP_SOURCE, vip_source) \
	X(NEXT_HOPS, next_hops) \
	X(SESSIONS, sessions) X(REPLAY, replay) X(SEND_COUNTERS, send_counters) \
	X(KEYSTREAM, keystream) X(KEYSTREAM_RINGS, keystream_rings) X(KEYSTREAM_STATE, keystream_state) \
	X(KEYSTREAM_WAKE, keystream_wake) \
	X(PEER_INFO, peer_info) X(PEER_TX, peer_tx) X(ENDPOINTS, endpoints) X(PEER_STATS, peer_stats) \
	X(ALLOWED4, allowed4) X(ROUTES4, routes4) \
	X(ALLOWED6, allowed6) X(ROUTES6, routes6) \
	X(FLOWS, flows) X(FLOWS6, flows6) X(FLOW_FWD, flow_fwd) X(FLOW_REV, flow_rev) \
	X(FLOW_RECENT, flow_recent) X(FLOW_FREE, flow_free) X(FLOW_OVER, flow_over) \
	X(NAT_PORTS, nat_ports) X(PORT_BLOCK, port_block) X(NAT_STATS, nat_stats) X(NAT_PEERS, nat_peers) \
	X(FRAGS, frags) X(FRAGS_EARLY, frags_early) \
	X(FRAGS6, frags6) X(FRAGS6_EARLY, frags6_early) \
	X(RATES, rates) X(EVENTS, events) X(EVENT_PACKETS, event_packets) X(EVENT_STRAYS, event_strays) \
	X(QUIET, quiet) X(RELAYED, relayed) \
	X(WATCHES, watches) X(WATCH_COUNTS, watch_counts) X(WATCH_DROPS, watch_drops) \
	X(WATCH_PACKETS, watch_packets) \
	X(ACL_SRC4, acl_src4) X(ACL_DST4, acl_dst4) \
	X(ACL_SRC6, acl_src6) X(ACL_DST6, acl_dst6) X(ACL_PORTS, acl_ports) X(ACL_BITS, acl_bits) \
	X(ACL_RULES, acl_rules) X(ACL_CT, acl_ct) X(ACL_CT6, acl_ct6)

#define DATAPATH_MAP_ID(id, name) DATAPATH_MAP_##id,
enum datapath_map { DATAPATH_MAPS(DATAPATH_MAP_ID) DATAPATH_MAP_COUNT };

struct datapath;

struct datapath_sizes {
	uint32_t peers;
	uint32_t sessions;
	uint32_t flows;
	uint32_t buckets;		/* of each flow index */
	uint32_t connections;		/* without translation, that the access rules remember */
	uint32_t keystream;		/* segments of slots made ahead that there can be; 1: none */
	uint32_t rings;			/* for them: two for a session */
};

struct datapath_uplink {
	char	name[IFNAMSIZ];
	int	ifindex;
	char	kind[16];		/* "veth", ...; empty for a physical device */
	char	driver[32];
	uint8_t	mac[6];
	uint32_t mtu;
	enum datapath_mode mode;	/* what was chosen; DATAPATH_AUTO: nothing attached yet */
	bool	dispatched;		/* through libxdp's dispatcher */
	/* XDP_TX reaches the wire; false on a veth, where only a redirect does so */
	bool	tx_works;
	char	why[280];		/* one line without newline */
};

/*
 * Opens and loads the objects and pins the maps. Where a datapath of this layout is running, its maps are
 * kept with their contents and sizes (other sizes in @options are logged and ignored: datapath_down first),
 * and datapath_is_adopted() is true. Pins of an earlier start that never attached anything are removed first.
 * Nothing is attached. Returns 0; -EBUSY if another process holds @base; -EINVAL for bad options; or another
 * negative errno. @err gets one line.
 */
int datapath_load(const struct datapath_options *options, struct datapath **ret_dp, char *err, size_t errlen);

/*
 * Makes, or repairs, the device pairs: tunnel and relay pair. Returns 0 or a negative errno with one line in
 * @err.
 */
int datapath_tunnel(struct datapath *dp, char *err, size_t errlen);

/*
 * Attaches, or replaces atomically what an earlier process attached, on the device pairs, every uplink and
 * side device; then removes what is left of other layout versions and of uplinks that are no longer wanted.
 * Can be called again, for instance when a device came back. Returns 0 or a negative errno with one line in
 * @err.
 */
int datapath_attach(struct datapath *dp, char *err, size_t errlen);

/*
 * Makes @links (1 to TALON_UPLINKS_MAX, each once) the uplinks: attaches to new ones and detaches from those
 * that are not among them. The others keep their programs, and get the names in @links. If one cannot be
 * attached, nothing changes. Returns 0 or a negative errno with one line in @err.
 */
struct net_link;
int datapath_follow(struct datapath *dp, const struct net_link *links, unsigned count, char *err,
	size_t errlen);

/*
 * Frees what this process holds. Everything pinned stays and runs on. A datapath that never attached is
 * removed.
 */
void datapath_close(struct datapath *dp);
/* The lock is somebody else's from now on: datapath_close() removes nothing. */
void datapath_let_go(struct datapath *dp);

/*
 * Removes everything below @base (NULL: default) of all layout versions: programs, maps, links, filters and
 * qdiscs that are ours, memberships in libxdp's dispatcher, the tunnel pair, our routes and neighbour
 * entries. Works without a controller and twice in a row. Returns 0; -EBUSY if a controller holds @base (stop
 * it first; @err has its pid where known); or the first negative errno it met after trying everything.
 */
int datapath_down(const char *base, char *err, size_t errlen);
/*
 * The same for who holds the lock of @seat (datapath/seat.h); -1: @base is not there, and only devices,
 * routes and neighbour entries may be left. The caller closes @seat.
 */
int datapath_remove(const char *base, int seat, char *err, size_t errlen);

/*
 * Sets or clears TALON_BLOCK_STARTING in the pinned map "info", which otherwise holds what the previous
 * controller wrote last: that all is well, say. For who holds the lock on @base (NULL: default).
 */
void datapath_announce(const char *base, bool is_starting);

/*
 * Whether a controller holds @base (NULL: default), in whatever pid namespace it runs. @ret_pid: its pid as
 * seen from here; 0: it cannot be seen.
 */
bool datapath_is_held(const char *base, uint32_t *ret_pid);

/*
 * Opens one pinned map of the running datapath, without a lock and without a struct datapath: for status.
 * Returns an fd that the caller closes, or -ENOENT if no datapath of this layout is pinned.
 */
int datapath_map_open(const char *base, enum datapath_map map);

/* A map by what decides how much memory it takes. */
struct datapath_map_shape {
	uint32_t type;			/* BPF_MAP_TYPE_... */
	uint32_t key_size, value_size;	/* bytes */
	uint32_t entries;
	uint32_t flags;			/* BPF_F_... */
};

/*
 * Bytes that the kernel takes when such a map is made on a machine that can have @cpus processors; what comes
 * with entries of maps that grow is not among them.
 */
uint64_t datapath_map_bytes(const struct datapath_map_shape *shape, unsigned cpus);

/* What a start needs for its maps, in bytes. */
struct datapath_need {
	/* those that have to be made; all that follows but `there` is part of it */
	uint64_t maps;
	uint64_t there;			/* those that are there, and were charged to whoever made them */
	uint64_t flows;			/* by MaxFlows */
	uint64_t peers;			/* by MaxPeers */
	uint64_t keystream;		/* by KeystreamMemory */
	uint64_t growth;		/* beside `maps`: by how much maps may grow later */
	unsigned cpus;			/* processors that the machine can have */
	uint32_t max_flows, max_peers;	/* sizes that this is for */
};

/*
 * From the maps' definitions, for the sizes in @options and what is pinned below its base; makes nothing and
 * needs no permission. Returns 0, -EINVAL for bad sizes, or another negative errno.
 */
int datapath_need(const struct datapath_options *options, struct datapath_need *ret_need);

/* What the kernel says that the map of @fd takes, in bytes; 0: not known. Before Linux 6.4 an estimate. */
uint64_t datapath_map_memory(int fd);
/* The same of all that are pinned for this layout below @base (NULL: default). */
uint64_t datapath_pinned_memory(const char *base);

/*
 * Opens, without loading it, a copy of the object "uplink_xdp", "uplink_tc", "tunnel", "onward" or "natgc",
 * of which nothing is pinned or shared unless the caller says so before it loads it. NULL with errno: not in
 * this binary, or out of memory. The caller closes it.
 */
struct bpf_object;
struct bpf_object *datapath_object_open(const char *name);

/* The datapath keeps the fd. */
int datapath_map_fd(const struct datapath *dp, enum datapath_map map);
const char *datapath_map_name(enum datapath_map map);

/*
 * fd of the loaded program "uplink_xdp", "uplink_tc", "tunnel", "onward" or "natgc" (run it with
 * bpf_prog_test_run_opts()), or -ENOENT.
 */
int datapath_prog_fd(const struct datapath *dp, const char *name);

const struct datapath_sizes *datapath_get_sizes(const struct datapath *dp);
unsigned datapath_uplink_count(const struct datapath *dp);
const struct datapath_uplink *datapath_get_uplink(const struct datapath *dp, unsigned i);
bool datapath_is_adopted(const struct datapath *dp);

/*
 * Side devices: not uplinks, but masqueraded packets leave by them, and the replies come in there. They carry
 * the uplinks' tc program. datapath_set_sides() replaces the list; on an attached datapath it attaches to new
 * ones and detaches from the others at once, else datapath_attach() does. One that cannot be attached is
 * logged and left out: see `attached`.
 */
#define DATAPATH_SIDES_MAX 32

struct datapath_side {
	int	ifindex;
	char	name[IFNAMSIZ];
	bool	attached;
};

void datapath_set_sides(struct datapath *dp, const struct datapath_side *sides, unsigned count);
unsigned datapath_side_count(const struct datapath *dp);
const struct datapath_side *datapath_get_side(const struct datapath *dp, unsigned i);

/* Mode of the first uplink, and one line with the reason for each uplink's mode. */
enum datapath_mode datapath_get_mode(const struct datapath *dp);
const char *datapath_get_why(const struct datapath *dp);

/* "auto", "xdp", "xdp-generic", "tcx", "clsact" */
const char *datapath_mode_name(enum datapath_mode mode);

struct datapath_tunnel_info {
	char	name[IFNAMSIZ];
	char	far_name[IFNAMSIZ];
	int	ifindex;
	int	far_ifindex;
	uint8_t	mac[6];
	uint8_t	far_mac[6];
	uint32_t mtu;
};
/* Valid after datapath_tunnel. */
const struct datapath_tunnel_info *datapath_get_tunnel(const struct datapath *dp);
/*
 * The relay pair, made by datapath_tunnel and attached by datapath_attach. ifindex and mac are the end that
 * our programs are on (config.relay_ifindex); at far_ifindex packets are read and written as whole Ethernet
 * frames (AF_PACKET). Frames written there must go to mac and be IPv4/UDP from TALON_RELAY_PEER_ADDR(id):
 * TALON_RELAY_PORT to TALON_RELAY_OWN_ADDR:listen_port (the UDP checksum may be zero); all others are
 * dropped, handshake messages too. Endpoints with TALON_ENDPOINT_RELAY have far_mac as dmac and mac as smac.
 * far_mac is deliberately not the far device's own, so that the host's stack ignores the packets (they are
 * read as PACKET_OTHERHOST). A frame that is read may have a few zero bytes after the packet: the UDP length
 * counts.
 */
const struct datapath_tunnel_info *datapath_get_relay(const struct datapath *dp);
/*
 * The relay pair that belongs to tunnel device @tunnel, as it is now, without a struct datapath. Returns 0 or
 * -ENODEV.
 */
int datapath_find_relay(const char *tunnel, struct datapath_tunnel_info *ret_info);
/* True for both ends of both pairs. */
bool datapath_owns_device(const struct datapath *dp, int ifindex);

/* Where a program sits on a device. */
enum datapath_place {
	DATAPATH_PLACE_XDP,
	DATAPATH_PLACE_DISPATCHER,	/* a member of libxdp's dispatcher, which is the XDP program then */
	DATAPATH_PLACE_TCX_IN,
	DATAPATH_PLACE_TCX_OUT,
	DATAPATH_PLACE_CLSACT_IN,
	DATAPATH_PLACE_CLSACT_OUT,
	DATAPATH_PLACE_COUNT
};

#define DATAPATH_PROGRAMS_MAX 64

struct datapath_program {
	enum datapath_place place;
	uint32_t id;
	char	name[64];		/* empty: the kernel does not tell us */
	bool	ours;			/* pinned below @base as attached to this device */
};

struct datapath_programs {
	unsigned count;
	struct datapath_program list[DATAPATH_PROGRAMS_MAX];	/* in the order in which they run */
	bool	has_tcx;		/* the kernel has it */
};

/*
 * Whose programs sit on device @ifindex, without a lock and without a struct datapath. @base: NULL: default.
 * Names of programs need CAP_SYS_ADMIN. Changes nothing. Returns 0 or a negative errno.
 */
int datapath_look(const char *base, int ifindex, struct datapath_programs *ret_programs);
/* "xdp", "dispatcher", "tcx ingress", ... */
const char *datapath_place_name(enum datapath_place place);

/*
 * What gives Cilium away on this node: "cilium_host", "cilium_net" or "/sys/fs/bpf/cilium"; or NULL. There,
 * DATAPATH_AUTO leaves the XDP slot of every uplink alone, as Cilium's agent does not start with
 * loadBalancer.acceleration=native where that is taken.
 */
const char *datapath_cilium_sign(void);

/*
 * What is wrong beside Cilium, one line each, every one with its newline: its programs are on an uplink and
 * none on the tunnel device; or we have the XDP slot that it may want. Returns the number of lines.
 */
int datapath_cilium_hazards(const struct datapath *dp, char *text, size_t len);

/* Has the kernel verify every program with maps of its own, which are gone afterwards. */
struct datapath_trial {
	bool	is_jited;		/* they were compiled, not interpreted */
	char	err[256];		/* one line if it fails */
};

/* Nothing is pinned or attached, and no lock is taken. Returns 0 or a negative errno. */
int datapath_try(struct datapath_trial *ret_trial);

/*
 * Checks that what we attached is still there: call it after link events and periodically. Returns 0; 1 if
 * all is attached but another program runs before one of our tcx programs; or -ENOLINK if something is gone,
 * or the XDP slot should be Cilium's now.
 * @text: one line that names it, or "".
 */
int datapath_verify(struct datapath *dp, char *text, size_t len);

#endif
