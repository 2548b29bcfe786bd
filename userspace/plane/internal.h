/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared between the controller's files. */
#ifndef TALON_CONTROLLER_INTERNAL_H
#define TALON_CONTROLLER_INTERNAL_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "config/config.h"
#include "plane/hold.h"
#include "plane/host_table.h"
#include "plane/plane.h"
#include "base/prefixes.h"
#include "datapath/datapath.h"
#include "loop/loop.h"
#include "nat/nat.h"
#include "net/net.h"
#include "session/device.h"
#include "talon/config_types.h"
#include "talon/event_types.h"
#include "talon/handshake_types.h"
#include "talon/next_hop_types.h"

#define CONTROLLER_NEIGHS_MAX	4096	/* MACs we have seen on the uplinks */

struct seen_neigh {
	int ifindex;
	uint8_t family;
	uint8_t mac[6];
	struct talon_addr addr;
};

/* The process that makes keystream ahead. */
struct keystream_helper {
	int pid;			/* 0: none */
	int fd;				/* of the process, to hear of its end; -1: none */
	struct loop_fd watch;
	uint64_t started_ns;
	uint64_t due_ns;		/* when the next one is started */
	uint64_t backoff_ns;
};

/* When a peer's last messages were, as the device was last told. */
struct polled {
	uint64_t rx_ns;
	uint64_t tx_ns;
};

/* What we keep of a peer beside what the device and map peer_info have. */
struct plane_slot {
	uint8_t way;			/* enum plane_way, where the caller chooses it */
	uint8_t notices;		/* enum notice bits that wait to be told */
	/* by a peer that is gone: packets under way may have counted for it since */
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
 * What happens inside a callback of the device or of a socket is told afterwards: whoever hears it
 * may call anything.
 */
struct notices {
	struct loop_timer timer;
	uint32_t *peers;		/* whose slot has notices */
	size_t count;
	bool network;
	struct relay_out *out;
	size_t out_count;
};

/*
 * Loading takes the verifier a third of a second, in which connections can be made: a thread does it,
 * and nothing else.
 */
struct loading {
	pthread_t thread;
	bool is_running;
	int fd;				/* an eventfd that says it is over; -1: none */
	struct loop_fd watch;
	struct datapath_options options;
	struct datapath *dp;
	int ret;
	char err[512];
};

/* Which devices are uplinks, and why they are not the right ones. */
struct uplinks {
	char names[TALON_UPLINKS_MAX][IFNAMSIZ];	/* at present; datapath_options points here */
	/* ifindex of each of config->uplinks, which keeps it when its name changes; 0: not seen yet */
	int configured[TALON_UPLINKS_MAX];
	char attaching[512];		/* what was lost and could not be put back yet */
	char trouble[200];		/* one line; empty: they are what they should be */
	char forwarding[200];		/* the same, about the sysctl that keeps the kernel from forwarding */
};

/* Routes of the host through the tunnel device. */
struct hosts {
	struct prefixes wanted;		/* value: prefsrc as it is in memory */
	struct prefixes refused;	/* said already */
	__be32 addr;			/* wanted on the tunnel device; 0: none */
	bool is_set;			/* there was a desired state */
	struct loop_timer timer;	/* looks after them soon after something was taken away */
	bool is_dirty;			/* what is may not be what is wanted */
};

/* A device that packets could leave by, as map links has it. */
struct way_link {
	int ifindex;
	char name[IFNAMSIZ];
	bool is_ethernet;
	bool is_loopback;
	bool is_side;			/* shall carry an uplink's program, as replies come in by it */
	struct talon_link value;
};

struct way_links {
	struct way_link *list;		/* by ifindex */
	size_t count;
	size_t room;
};

/* Where packets can go from this host, beside the mesh. */
struct ways {
	struct host_table hosts;	/* what map host4 holds */
	bool hosts_known;
	size_t left_out;		/* routes for which there was no room */
	struct way_links links;		/* what map links holds */
	struct loop_timer timer;	/* looks at everything again soon after something changed */
	uint64_t cost_ns;		/* of the last look */
	char hazards[512];		/* one per line */
};

/* The far end of the relay link. */
struct relay_link {
	int rx, tx;			/* -1: not open */
	struct loop_fd watch;
	uint8_t *ring;			/* of received frames */
	size_t ring_len;
	unsigned frame_size, frames_per_block, block_size, frame_count, next;
	struct relay_frames *frames;	/* to be sent */
	struct loop_timer flush;
};

#define PMTU_NEWS_MAX 16

/* Destinations of which ICMP said that a packet to them was too large. */
struct pmtu_news {
	struct loop_timer timer;
	uint64_t due_ns;		/* not before */
	unsigned count;
	bool is_full;
	struct talon_addr remotes[PMTU_NEWS_MAX];
};

struct mesh;

struct plane {
	const struct config *config;
	struct loop *loop;
	struct mesh *mesh;
	struct datapath *dp;
	struct device *device;
	struct loading loading;
	struct uplinks uplinks;
	struct plane_events plane_events;
	void *plane_ctx;
	struct notices notices;
	struct hosts hosts;
	struct ways ways;
	struct relay_link relay;
	struct plane_slot *slots_of;	/* by peer */
	uint32_t mark;			/* of the plane_apply() under way */
	uint32_t free_hint;		/* no free peer slot is below */
	struct prefixes allowed;	/* what map allowed4 holds; value: TALON_ALLOWED() */
	struct prefixes routes;		/* what map routes4 holds; value: flags */
	struct prefixes locals;		/* what map local4 holds; value: 1 */
	bool tables_known;		/* allowed, routes and locals are what the maps hold */
	uint32_t route_id;		/* last one given */
	bool has_applied;
	bool has_acl;			/* access rules with acl_digest are in force */
	bool acl_is_closed;		/* ... or those that let nothing in, for there could be no others */
	uint8_t acl_digest[ACL_DIGEST_LEN];
	uint64_t map_writes;		/* by plane_apply(): for tests of what it leaves alone */
	uint64_t route_changes;		/* the same, of the host's routes and addresses */
	struct loop_fd udp4_watch, udp6_watch, monitor_watch, signals_watch, ring_watch;
	struct loop_timer due;		/* device, held packets, generation */
	struct loop_timer second;
	struct loop_timer end;
	struct loop_timer follow;	/* the host's addresses changed */
	struct pmtu_news pmtu;
	struct talon_next_hop hop;	/* where next_hops_keep() was */
	bool has_hop;
	struct early *early;		/* handshake messages that came before there was a device */
	int result;			/* of the run */
	const struct daemon_reload *reload;		/* NULL: a mesh */
	struct ring_buffer *ring;
	struct nat_gc gc;
	struct nat_ports ports;
	struct hold hold;
	struct keystream_helper helper;
	union {
		int fds[5];
		struct {
			int signals, monitor;
			int udp4, udp6;	/* the WireGuard port */
			int packet;	/* AF_PACKET, only for sending */
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
	struct seen_neigh *neighs;
	unsigned neigh_count;
	uint64_t refresh_ns;		/* when flows shall ask the FIB again */
	uint64_t ports_ns;		/* when the host's sockets are looked at again */
	/* data messages that reached the socket, and were given to the programs */
	uint64_t slow_data;
	uint64_t slow_dropped;		/* ... and were not */
	uint64_t junk;
	uint64_t counts_base[HANDSHAKE_STATS_ENTRIES];	/* of the processes before us */
	uint64_t counts[HANDSHAKE_STATS_ENTRIES];	/* as the map has them */
	uint64_t full_warned_ns;
	bool ports_unknown;
	bool future_warned;
	bool jump_warned;
	bool sees_change;		/* generation has to be bumped before we sleep */
	bool links_changed;
	bool networks_changed;		/* that are served, by the plane_apply() under way */
	bool tunnel_changed;		/* its routes may be gone */
	bool links_warned;
	bool mtu_warned;
	bool monitor_failed;		/* to be opened again */
	bool has_attached;
	unsigned events_left;		/* in this turn */
	bool was_adopted;		/* there was a datapath before us */
	bool is_ready;			/* the datapath is attached, what there was is adopted */
	bool is_ending;
	uint8_t local_mark;
};

/* controller.c */
/* Makes one that does nothing yet. Returns NULL when out of memory. */
struct plane *plane_new(const struct config *config);
/* Sockets, signals and timers; then the datapath, which is loaded here or by the thread. */
int plane_open(struct plane *p, char *err, size_t errlen);
int plane_load(struct plane *p, char *err, size_t errlen);
/* With the datapath loaded: everything, in order; the programs are let at the packets last. */
int plane_start(struct plane *p, char *err, size_t errlen);
void plane_free(struct plane *p);
/* Something may be due: device_tick() before the loop sleeps. */
void plane_wake(struct plane *p);

/* maps.c: typed access to the pinned maps. */
int map_write(const struct plane *p, enum datapath_map map, uint32_t key, const void *value, uint64_t flags);
int map_read(const struct plane *p, enum datapath_map map, uint32_t key, void *ret_value);
/* Sums of all CPUs, times as the latest of them. */
int map_read_peer_stats(const struct plane *p, uint32_t peer, struct talon_peer_stats *ret_stats);
int map_write_config(struct plane *p);
void map_write_info(struct plane *p);
/* Flows, endpoints and routes that the datapath keeps are asked for again. */
void map_bump_generation(struct plane *p);

/* ops.c */
extern const struct device_ops plane_device_ops;
/* Under the lock, which the datapath takes when the peer roams. */
int endpoint_read(const struct plane *p, uint32_t peer, struct talon_endpoint *ret_endpoint);
/* Writes the way by the host's own routes into @e, and what fits through it. */
void endpoint_fill_way(const struct plane *p, struct talon_endpoint *e);
/*
 * What fits, sealed, through the way that the host itself would take, with what ICMP said of it; 0: it
 * cannot be told.
 */
uint16_t endpoint_find_mtu(const struct talon_endpoint *e);
void endpoint_from_map(const struct talon_endpoint *from, struct endpoint *ret_endpoint);

/* start.c: what there is into our memory and the device; what is ours to say into the maps. */
int start_fill(struct plane *p, char *err, size_t errlen);
void start_local_addrs(struct plane *p);
/* Devices and addresses as they are now, where they changed since the start. */
void start_links(struct plane *p);
/* Endpoints whose way in was a device that is gone. */
void start_repair_endpoints(struct plane *p);
void start_hazards(struct plane *p);
/* What depends on how the programs were attached. */
int start_modes(struct plane *p, char *err, size_t errlen);

/* uplinks.c */
/* Before the datapath is loaded: those of the configuration, or of the default route. */
int uplinks_choose(struct plane *p, char *err, size_t errlen);
/* Their names into what status shows. */
void uplinks_describe(struct plane *p);
/*
 * Follows the default route, names and devices that come and go. Returns true if there is at least one
 * uplink, which can be attached to.
 */
bool uplinks_follow(struct plane *p);
/* The tunnel device and the relay link up again, where somebody set them down. */
void uplinks_raise_tunnel(struct plane *p);
/* Each second: does the kernel forward for us? */
void uplinks_check_forwarding(struct plane *p);
/* Threads of the uplinks' own, as UplinkThreads says. */
void uplinks_start_threads(struct plane *p);

/* static.c: the file's peers and routes as desired state, once. */
int static_apply(struct plane *p, char *err, size_t errlen);

/* apply.c */
/* Reads what maps allowed4, routes4 and local4 hold. */
int apply_read_tables(struct plane *p);

/* hosts.c */
/*
 * The host's own way into the mesh: address of the tunnel device, routes. @strict: a route that somebody else
 * has is an error.
 */
int hosts_set(struct plane *p, const struct plane_state *state, bool strict, char *err, size_t errlen);
/* Puts right what others changed. */
int hosts_sync(struct plane *p, bool strict, char *err, size_t errlen);
/* Somebody changed something: looks within a second. */
void hosts_check_soon(struct plane *p);
void hosts_tick(void *ctx);
void hosts_done(struct plane *p);

/* host_routes.c */
/* The host's routes as they are now, each with its source address. Returns 0 or a negative errno. */
int host_routes_read(struct host_table *ret_table, int tunnel_ifindex);
/* Makes map host4 hold them. */
int host_routes_sync(struct plane *p);

/* ways.c */
/* Routes and devices as they are now into the maps; programs where replies come in. @err: one line. */
int ways_sync(struct plane *p, char *err, size_t errlen);
/* The node's address and what depends on it. */
int ways_node_addr(struct plane *p, const struct net_link *uplink, __be32 *ret_addr);
void ways_set_flags(struct plane *p);
/* Something changed: looks within a second. */
void ways_check_soon(struct plane *p);
void ways_tick(void *ctx);
/* Each second: what the kernel changes without a word. */
void ways_poll(struct plane *p);
void ways_done(struct plane *p);

/* relay.c */
/* Does nothing if it is open. */
int relay_open(struct plane *p);
void relay_close(struct plane *p);
/*
 * Room for one frame of @len bytes to the programs, addressed on layer 2 with @ethertype; NULL: none.
 * relay_put_frame() sends it, soon.
 */
uint8_t *relay_get_frame(struct plane *p, uint16_t ethertype, size_t len);
void relay_put_frame(struct plane *p, size_t len);
/* A data message that came from @peer, to the programs. */
void relay_inject(struct plane *p, uint32_t peer, const uint8_t *bytes, size_t len);
void relay_endpoint(const struct plane *p, uint32_t peer, struct endpoint *ret_endpoint);
bool relay_is_endpoint(const struct endpoint *endpoint);

/* slow.c */
/* A data message that the kernel gave to our socket: @from, with type of service @tos, to the programs. */
void slow_data(struct plane *p, const struct endpoint *from, uint8_t tos, const uint8_t *bytes, size_t len);

/* plane.c */
void plane_note(struct plane *p, uint32_t peer, enum notice notice);
void plane_note_network(struct plane *p);
int plane_queue_relay(struct plane *p, uint32_t peer, const void *bytes, size_t len);
void plane_tell(void *ctx);
/* Ways over the relay link whose MACs may have changed. */
void plane_repair_ways(struct plane *p);
/* The caller chooses ways; the datapath and the peers do not. */
static inline bool plane_is_pinned(const struct plane *p)
{
	return p->config->mesh.enabled;
}

/* follow.c */
/* The local address, if it is open or none of this host's any more, as the route chooses it. */
void follow_choose_local(const struct plane *p, struct endpoint *endpoint);
/* Addresses changed: endpoints follow in a moment. */
void follow_soon(struct plane *p);
void follow_tick(void *ctx);

/* next_hops.c */
/* Each second: has neighbours asked that the datapath uses and nobody has confirmed lately. */
void next_hops_keep(struct plane *p, uint64_t now_ns);
bool next_hops_has(const struct plane *p, const struct net_neigh *neigh);

/* pmtu.c */
/* Errors about what the datapath sends from the port go to the socket's queue. Returns 0, or -1 and errno. */
int pmtu_listen(int fd, int family);
void pmtu_read(struct plane *p, int fd);
void pmtu_tick(void *ctx);
/* Once a minute: what the kernel has forgotten meanwhile is no limit any more. */
void pmtu_refresh(struct plane *p);

/* names.c: endpoints whose names could not be looked up at the start. */
/* The peers of the configuration are others: begins anew. */
void names_restart(void);
void names_tick(struct plane *p, uint64_t now_ns);

/* counts.c: once a second, what changed. */
void counts_start(struct plane *p);
void counts_write(struct plane *p);

/* socket.c */
int socket_open(struct plane *p, char *err, size_t errlen);
void socket_read4(void *ctx, uint32_t events);
void socket_read6(void *ctx, uint32_t events);
/* What came before there was a device. */
void socket_replay(struct plane *p);
/* A handshake message by whatever way. */
void socket_handshake(struct plane *p, const struct endpoint *from, const uint8_t *bytes, size_t len);
int socket_send(struct plane *p, const struct endpoint *to, const void *bytes, size_t len);
/* Fills the local address where it is open: the datapath has to write one into every packet. */
void socket_choose_local(struct endpoint *endpoint);

/* events.c */
int event_handle(void *ctx, void *data, size_t len);
void event_read_ring(void *ctx, uint32_t events);
/* Where the map has @peer, so that handshakes go there: after it moved, or in case that event got lost. */
void event_reconcile_endpoint(struct plane *p, uint32_t peer);
void event_network(void *ctx, uint32_t events);
/* Events were lost: everything may have changed. */
void event_resync(struct plane *p);

/* keystream.c: each second, and when the helper has ended; then at our own end. */
void keystream_check(struct plane *p, uint64_t now);
void keystream_stop(struct plane *p);

/* unreachable.c: "host unreachable" to whoever sent what waited in vain for a next hop. */
void unreachable_tell(struct plane *p, const uint8_t *packet, size_t len);
void unreachable_for_neigh(struct plane *p, const struct net_neigh *neigh);
void unreachable_expired(const struct held *held, void *ctx);

/* inject.c: frames that the datapath or the wire shall see. */
int inject_open(struct plane *p);
int inject_tunnel(struct plane *p, uint16_t ethertype, const void *bytes, size_t len);
int inject_keepalive(struct plane *p, uint32_t peer);
int inject_wire(struct plane *p, int ifindex, const uint8_t dmac[static 6], const void *packet, size_t len);

#endif
