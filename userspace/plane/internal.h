/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared between the plane's files. */
#ifndef TALON_PLANE_INTERNAL_H
#define TALON_PLANE_INTERNAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "config/config.h"
#include "packets/hold.h"
#include "endpoints/endpoints.h"
#include "endpoints/pmtu_news.h"
#include "host/found.h"
#include "host/local_addrs.h"
#include "host/next_hops.h"
#include "host/tunnel_routes.h"
#include "host/ways.h"
#include "plane/plane.h"
#include "plane/run.h"
#include "packets/inject.h"
#include "packets/relay_pair.h"
#include "base/prefixes.h"
#include "datapath/datapath.h"
#include "facts/facts.h"
#include "keystream/process.h"
#include "loop/loop.h"
#include "nat/nat.h"
#include "net/net.h"
#include "session/device.h"
#include "talon/config_types.h"
#include "talon/event_types.h"
#include "talon/handshake_types.h"
#include "talon/next_hop_types.h"
#include "watch/permit.h"

#define SEEN_NEIGHS_MAX	4096	/* MACs we have seen on the uplinks */

struct seen_neigh {
	int ifindex;
	uint8_t family;
	uint8_t mac[6];
	struct talon_addr addr;
};

/* When a peer's last messages were, as last reported to the device. */
struct polled {
	uint64_t rx_ns;
	uint64_t tx_ns;
};

/* Per-peer state besides what the device and map peer_info hold. */
struct plane_slot {
	uint8_t way;			/* enum plane_way, where the caller chooses it */
	uint8_t notices;		/* bits of enum notice, not delivered yet */
	bool roams;			/* as plane_let_roam() left it; its way is PLANE_NOWHERE */
	/* by a departed peer: packets in flight may have been counted for it since */
	bool was_used;
	uint32_t mark;			/* of the last plane_apply() that named it */
};

enum notice { NOTICE_HANDSHAKE = 1 << 0, NOTICE_WANTED = 1 << 1 };

/* A handshake message of ours that goes over the relay. */
struct relay_out {
	uint32_t peer;
	uint32_t len;
	uint8_t bytes[WG_INITIATION_LEN];
};

/*
 * What happens inside a callback of the device or of a socket is delivered later, from the loop:
 * receivers may call any function of the plane.
 */
struct notices {
	struct loop_timer timer;
	uint32_t *peers;		/* whose slot has notices */
	size_t count;
	bool network;
	struct relay_out *out;
	size_t out_count;
};

/* Which devices are uplinks, and what is wrong with them. */
struct uplinks {
	char names[TALON_UPLINKS_MAX][IFNAMSIZ];	/* at present; datapath_options points here */
	/* ifindex of each of config->uplinks, which keeps it when its name changes; 0: not seen yet */
	int configured[TALON_UPLINKS_MAX];
	char attaching[512];		/* which attachment was lost and could not be restored yet */
	char trouble[200];		/* one line; empty: all is well */
	/* the same: which uplink should have a thread of its own and has not */
	char threads[200];
	char cilium[600];		/* lines of datapath_cilium_hazards() */
	char forwarding[200];		/* the same, about the sysctl that keeps the kernel from forwarding */
};

struct plane {
	const struct config *config;
	struct loop *loop;
	int seat;			/* the daemon's; 0: none */
	struct datapath_options options;
	struct datapath *loaded;	/* by plane_load(), until plane_start() takes it */
	struct datapath *dp;
	struct device *device;
	struct uplinks uplinks;
	struct plane_events plane_events;
	void *plane_ctx;
	struct notices notices;
	struct tunnel_routes tunnel_routes;
	struct ways ways;
	struct next_hops next_hops;
	struct inject inject;
	struct relay_pair pair;
	struct endpoints endpoints;
	struct local_addrs local_addrs;
	struct plane_slot *slots_of;	/* by peer */
	uint32_t mark;			/* of the plane_apply() under way */
	uint32_t free_hint;		/* all lower slots are taken */
	/* what maps allowed4 and allowed6 hold; value: TALON_ALLOWED() */
	struct prefixes allowed, allowed6;
	struct prefixes routes, routes6;	/* what maps routes4 and routes6 hold; value: flags */
	/* what maps local4 and local6 hold; value: enum talon_local_flags */
	struct prefixes locals, locals6;
	struct found found;		/* to be served here */
	int locals_error;		/* of their last writing: it is tried again each second */
	bool tables_known;		/* these are what the maps hold */
	uint32_t route_id;		/* last one given */
	bool has_applied;
	bool has_acl;			/* access rules with acl_digest are in force */
	/* ... or the empty bank that lets nothing in, since others could not be written */
	bool acl_is_closed;
	uint8_t acl_digest[ACL_DIGEST_LEN];
	uint64_t map_writes;		/* by plane_apply(): for tests of what it leaves alone */
	struct loop_fd udp4_watch, udp6_watch, monitor_watch, ring_watch;
	struct loop_timer due;		/* device, held packets, generation */
	struct loop_timer second;
	struct loop_timer host_timer;	/* devices, routes or rules of the host changed */
	struct loop_timer follow;	/* the host's addresses changed */
	struct pmtu_news pmtu;
	struct loop_timer pmtu_timer;
	uint64_t pmtu_due_ns;		/* not before */
	struct port_early *early;	/* handshake messages that arrived before the device was made */
	struct ring_buffer *ring;
	struct nat_gc gc;
	struct nat_ports ports;
	struct hold hold;
	struct keystream_process helper;
	union {
		int fds[3];
		struct {
			int monitor;
			int udp4, udp6;	/* the WireGuard port */
		};
	};
	unsigned cpus;
	struct talon_peer_stats *percpu;	/* room for one value of each CPU */
	struct polled *polled;		/* by peer */
	struct talon_peer_info *infos;	/* what map peer_info holds, by peer */
	uint32_t peers_max;
	uint32_t slots;
	struct talon_config map_config;
	struct talon_info info;
	char no_ipv6[160];		/* why the tunnel carries none; empty: it can */
	bool is_ipv6_off;		/* ... because this host's settings say so */
	struct seen_neigh *neighs;
	unsigned neigh_count;
	uint64_t refresh_ns;		/* when flows look their routes up again */
	uint64_t ports_ns;		/* when the host's sockets are listed again */
	/* data messages that reached the socket and were passed to the programs */
	uint64_t slow_data;
	uint64_t slow_dropped;		/* ... and were not */
	uint64_t junk;
	uint64_t counts_base[HANDSHAKE_STATS_ENTRIES];	/* of the processes before us */
	uint64_t counts[HANDSHAKE_STATS_ENTRIES];	/* as the map has them */
	struct facts facts;
	uint64_t full_warned_ns;
	struct watch_permit permit;
	bool ports_unknown;
	bool future_warned;
	bool jump_warned;
	bool sees_change;		/* the generation has to be bumped before the loop sleeps */
	bool links_changed;
	bool networks_changed;		/* that are served, by the plane_apply() under way */
	bool tunnel_changed;		/* its routes may be gone */
	bool links_warned;
	bool mtu_warned;
	bool monitor_failed;		/* to be opened again */
	bool has_attached;
	unsigned events_left;		/* in this turn */
	bool was_adopted;		/* an earlier process had loaded the datapath */
	bool is_ready;			/* the programs are attached */
	bool is_ending;
};

/* second.c: periodic work */
void second_tick(void *ctx);
void second_due(void *ctx);
void second_read_ring(void *ctx, uint32_t events);
void second_refresh_ports(struct plane *p, uint64_t now_ns);

/* maps.c: typed access to the pinned maps. */
int map_write(const struct plane *p, enum datapath_map map, uint32_t key, const void *value, uint64_t flags);
int map_read(const struct plane *p, enum datapath_map map, uint32_t key, void *ret_value);
/* Sums of all CPUs, times as the latest of them. */
int map_read_peer_stats(const struct plane *p, uint32_t peer, struct talon_peer_stats *ret_stats);
int map_write_config(struct plane *p);
void map_write_info(struct plane *p);
/* The datapath looks cached flows, endpoints and routes up again. */
void map_bump_generation(struct plane *p);

/* ops.c: the device's operations */
extern const struct device_ops plane_device_ops;

/* start.c */
int start_fill(struct plane *p, char *err, size_t errlen);

/* adopt.c */
void adopt_peers(struct plane *p);
/* Returns the number of sessions that continue. */
int adopt_sessions(struct plane *p);

/* map_config.c */
int map_config_fill(struct plane *p, char *err, size_t errlen);
/* Brings the map up to date with the host's devices and addresses; soon: rate-limited. */
void map_config_update(struct plane *p);
void map_config_update_soon(struct plane *p);
void map_config_tick(void *ctx);
/* Each second: what the kernel changes without notification. */
void map_config_poll(struct plane *p);
/* Writes routes and devices of the host to their maps. */
int map_config_sync_ways(struct plane *p, char *err, size_t errlen);
/* What depends on how the programs were attached. */
int map_config_set_modes(struct plane *p, char *err, size_t errlen);
/* Returns -EMSGSIZE with one line if the largest packet does not fit an uplink's MTU. */
int map_config_check_mtu(const struct plane *p, char *err, size_t errlen);

/* hazards.c */
void hazards_update(struct plane *p);

/* uplinks.c */
/* Before the datapath is loaded: takes those of the configuration, or of the default route. */
int uplinks_choose(struct plane *p, char *err, size_t errlen);
/* Update what status shows: the uplinks' names, and how programs are attached. */
void uplinks_describe(struct plane *p);
void uplinks_describe_mode(struct plane *p);
/*
 * Follows the default route, renames, and devices that come and go. Returns true if there is at least
 * one uplink to attach to.
 */
bool uplinks_follow(struct plane *p);
/* Endpoints whose device is gone. */
void uplinks_repair_endpoints(struct plane *p);
/* Sets the tunnel device and the relay pair up again if somebody set them down. */
void uplinks_raise_tunnel(struct plane *p);
/* Each second: checks that the kernel forwards. */
void uplinks_check_forwarding(struct plane *p);
/* Threaded NAPI for the uplinks, as UplinkThreads says. */
void uplinks_start_threads(struct plane *p);

/* apply.c */
/* Reads what maps allowed4, routes4, local4 and their IPv6 counterparts hold. */
int apply_read_tables(struct plane *p);
/* Makes maps local4 and local6 hold what the configuration gives and what is found. */
int apply_locals(struct plane *p);

/* locals.c: addresses of services that this node serves */
void locals_start(struct plane *p);	/* before the first plane_apply() */
void locals_poll(struct plane *p, uint64_t now_ns);	/* each second */
void locals_write(struct plane *p);
void locals_hazards(const struct plane *p, char *text, size_t size);

/* inner6.c */
/* Networks for which IPv6 packets of peers are routed on. */
bool inner6_forwards(const struct plane *p);
/* Whether the tunnel can carry IPv6 now, and what goes with that. */
void inner6_follow(struct plane *p);

/* slow.c */
/* A data message that the kernel gave to our socket: @from, with type of service @tos, to the programs. */
void slow_data(struct plane *p, const struct endpoint *from, uint8_t tos, const uint8_t *bytes, size_t len);

/* plane.c */
void plane_note(struct plane *p, uint32_t peer, enum notice notice);
void plane_note_network(struct plane *p);
int plane_queue_relay(struct plane *p, uint32_t peer, const void *bytes, size_t len);
void plane_tell(void *ctx);
/* Ways over the relay pair whose MACs may have changed. */
void plane_repair_ways(struct plane *p);
/* The caller chooses ways; the datapath and the peers do not. */
static inline bool plane_is_pinned(const struct plane *p)
{
	return p->config->mesh.enabled;
}

/* follow.c */
/* Addresses changed: endpoints follow in a moment. */
void follow_soon(struct plane *p);
void follow_tick(void *ctx);

/* pmtu.c */
void pmtu_read(struct plane *p, int fd);
void pmtu_tick(void *ctx);
/* Once a minute: what the kernel has forgotten meanwhile is no limit any more. */
void pmtu_refresh(struct plane *p);

/* counts.c: once a second, what changed. */
void counts_start(struct plane *p);
void counts_write(struct plane *p);
void counts_write_facts(struct plane *p);

/* socket.c */
int socket_open(struct plane *p, char *err, size_t errlen);
void socket_read4(void *ctx, uint32_t events);
void socket_read6(void *ctx, uint32_t events);
/* What came before there was a device. */
void socket_replay(struct plane *p);
/* A handshake message by whatever way. */
void socket_handshake(struct plane *p, const struct endpoint *from, const uint8_t *bytes, size_t len);
int socket_send(struct plane *p, const struct endpoint *to, const void *bytes, size_t len);

/* events.c */
int event_handle(void *ctx, void *data, size_t len);
/* Where the map has @peer, so that handshakes go there: after it moved, or in case that event got lost. */
void event_reconcile_endpoint(struct plane *p, uint32_t peer);
int event_open_monitor(struct plane *p);
/* What waited in vain. */
void event_hold_expired(const struct held *held, void *ctx);
/* Events were lost: everything may have changed. */
void event_resync(struct plane *p);

#endif
