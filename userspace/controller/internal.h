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

#include "config/config.h"
#include "controller/hold.h"
#include "controller/plane.h"
#include "controller/prefixes.h"
#include "datapath/datapath.h"
#include "loop/loop.h"
#include "nat/nat.h"
#include "net/net.h"
#include "session/device.h"
#include "talon/config_types.h"
#include "talon/event_types.h"
#include "talon/handshake_types.h"

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
	bool was_used;			/* by a peer that is gone: packets under way may have counted for it since */
	uint32_t mark;			/* of the last plane_apply() that named it */
};

enum notice { NOTICE_HANDSHAKE = 1 << 0, NOTICE_WANTED = 1 << 1 };

/* A handshake message of ours that goes over the relay. */
struct relay_out {
	uint32_t peer;
	uint32_t len;
	uint8_t bytes[WG_INITIATION_LEN];
};

/* What happens inside a callback of the device or of a socket is told afterwards: whoever hears it may call anything. */
struct notices {
	struct loop_timer timer;
	uint32_t *peers;		/* whose slot has notices */
	size_t count;
	bool network;
	struct relay_out *out;
	size_t out_count;
};

/* Loading takes the verifier a third of a second, in which connections can be made: a thread does it, and nothing else. */
struct loading {
	pthread_t thread;
	bool is_running;
	int fd;				/* an eventfd that says it is over; -1: none */
	struct loop_fd watch;
	struct datapath_options options;
	char uplink[IFNAMSIZ];
	struct datapath *dp;
	int ret;
	char err[512];
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

struct mesh;

struct controller {
	const struct config *config;
	struct loop *loop;
	struct mesh *mesh;
	struct datapath *dp;
	struct device *device;
	struct loading loading;
	struct plane_events plane_events;
	void *plane_ctx;
	struct notices notices;
	struct hosts hosts;
	struct relay_link relay;
	struct plane_slot *slots_of;	/* by peer */
	uint32_t mark;			/* of the plane_apply() under way */
	uint32_t free_hint;		/* no free peer slot is below */
	struct prefixes allowed;	/* what map allowed4 holds; value: peer */
	struct prefixes routes;		/* what map routes4 holds; value: flags */
	bool tables_known;		/* allowed and routes are what the maps hold */
	uint32_t route_id;		/* last one given */
	bool has_applied;
	bool has_acl;			/* access rules with acl_digest are in force */
	uint8_t acl_digest[ACL_DIGEST_LEN];
	uint64_t map_writes;		/* by plane_apply(): for tests of what it leaves alone */
	uint64_t route_changes;		/* the same, of the host's routes and addresses */
	struct loop_fd udp4_watch, udp6_watch, monitor_watch, signals_watch, ring_watch;
	struct loop_timer due;		/* device, held packets, generation */
	struct loop_timer second;
	struct loop_timer end;
	struct early *early;		/* handshake messages that came before there was a device */
	int result;			/* of the run */
	const struct controller_reload *reload;		/* NULL: a mesh */
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
	uint64_t slow_data;		/* data messages that reached the socket */
	uint64_t junk;
	uint64_t counts_base[HANDSHAKE_STATS_ENTRIES];	/* of the processes before us */
	uint64_t counts[HANDSHAKE_STATS_ENTRIES];	/* as the map has them */
	uint64_t full_warned_ns;
	bool ports_unknown;
	bool future_warned;
	bool jump_warned;
	bool sees_change;		/* generation has to be bumped before we sleep */
	bool links_changed;
	bool tunnel_changed;		/* its routes may be gone */
	bool links_warned;
	bool monitor_failed;		/* to be opened again */
	bool has_attached;
	unsigned events_left;		/* in this turn */
	bool was_adopted;		/* there was a datapath before us */
	bool is_ready;			/* the datapath is attached, what there was is adopted */
	bool is_ending;
	uint8_t local_mark;
};

uint64_t clock_boot_ns(void);

/* controller.c */
/* Makes one that does nothing yet. Returns NULL when out of memory. */
struct controller *controller_new(const struct config *config);
/* Sockets, signals and timers; then the datapath, which is loaded here or by the thread. */
int controller_open(struct controller *c, char *err, size_t errlen);
int controller_load(struct controller *c, char *err, size_t errlen);
/* With the datapath loaded: everything, in order; the programs are let at the packets last. */
int controller_start(struct controller *c, char *err, size_t errlen);
void controller_free(struct controller *c);
/* Something may be due: device_tick() before the loop sleeps. */
void controller_wake(struct controller *c);

/* maps.c: typed access to the pinned maps. */
int map_write(const struct controller *c, enum datapath_map map, uint32_t key, const void *value, uint64_t flags);
int map_read(const struct controller *c, enum datapath_map map, uint32_t key, void *ret_value);
/* Sums of all CPUs, times as the latest of them. */
int map_read_peer_stats(const struct controller *c, uint32_t peer, struct talon_peer_stats *ret_stats);
int map_write_config(struct controller *c);
void map_write_info(struct controller *c);
/* Flows, endpoints and routes that the datapath keeps are asked for again. */
void map_bump_generation(struct controller *c);

/* ops.c */
extern const struct device_ops controller_ops;
/* Under the lock, which the datapath takes when the peer roams. */
int endpoint_read(const struct controller *c, uint32_t peer, struct talon_endpoint *ret_endpoint);
/* Writes the way by the host's own routes into @e. */
void endpoint_fill_way(struct talon_endpoint *e);
void endpoint_from_map(const struct talon_endpoint *from, struct endpoint *ret_endpoint);

/* start.c: what there is into our memory and the device; what is ours to say into the maps. */
int start_fill(struct controller *c, char *err, size_t errlen);
void start_local_addrs(struct controller *c);
/* Devices and addresses as they are now, where they changed since the start. */
void start_links(struct controller *c);
/* Endpoints whose way in was a device that is gone. */
void start_repair_endpoints(struct controller *c);
void start_hazards(struct controller *c);
/* What depends on how the programs were attached. */
int start_modes(struct controller *c, char *err, size_t errlen);

/* static.c: the file's peers and routes as desired state, once. */
int static_apply(struct controller *c, char *err, size_t errlen);

/* apply.c */
/* Reads what maps allowed4 and routes4 hold. */
int apply_read_tables(struct controller *c);

/* hosts.c */
/* The host's own way into the mesh: address of the tunnel device, routes. @strict: a route that somebody else has is an error. */
int hosts_set(struct controller *c, const struct plane_state *state, bool strict, char *err, size_t errlen);
/* Puts right what others changed. */
int hosts_sync(struct controller *c, bool strict, char *err, size_t errlen);
/* Somebody changed something: looks within a second. */
void hosts_check_soon(struct controller *c);
void hosts_tick(void *ctx);
void hosts_done(struct controller *c);

/* relay.c */
/* Does nothing if it is open. */
int relay_open(struct controller *c);
void relay_close(struct controller *c);
/* A data message that came from @peer, to the programs. */
void relay_inject(struct controller *c, uint32_t peer, const uint8_t *bytes, size_t len);
void relay_endpoint(const struct controller *c, uint32_t peer, struct endpoint *ret_endpoint);
bool relay_is_endpoint(const struct endpoint *endpoint);

/* plane.c */
void plane_note(struct controller *c, uint32_t peer, enum notice notice);
void plane_note_network(struct controller *c);
int plane_queue_relay(struct controller *c, uint32_t peer, const void *bytes, size_t len);
void plane_tell(void *ctx);
/* Ways over the relay link whose MACs may have changed. */
void plane_repair_ways(struct controller *c);
/* The caller chooses ways; the datapath and the peers do not. */
static inline bool plane_is_pinned(const struct controller *c)
{
	return c->config->mesh.enabled;
}

/* names.c: endpoints whose names could not be looked up at the start. */
/* The peers of the configuration are others: begins anew. */
void names_restart(void);
void names_tick(struct controller *c, uint64_t now_ns);

/* counts.c: once a second, what changed. */
void counts_start(struct controller *c);
void counts_write(struct controller *c);

/* socket.c */
int socket_open(struct controller *c, char *err, size_t errlen);
void socket_read4(void *ctx, uint32_t events);
void socket_read6(void *ctx, uint32_t events);
/* What came before there was a device. */
void socket_replay(struct controller *c);
/* A handshake message by whatever way. */
void socket_handshake(struct controller *c, const struct endpoint *from, const uint8_t *bytes, size_t len);
int socket_send(struct controller *c, const struct endpoint *to, const void *bytes, size_t len);
/* Fills the local address where it is open: the datapath has to write one into every packet. */
void socket_choose_local(struct endpoint *endpoint);

/* events.c */
int event_handle(void *ctx, void *data, size_t len);
void event_read_ring(void *ctx, uint32_t events);
void event_network(void *ctx, uint32_t events);
/* Events were lost: everything may have changed. */
void event_resync(struct controller *c);

/* keystream.c: each second, and when the helper has ended; then at our own end. */
void keystream_check(struct controller *c, uint64_t now);
void keystream_stop(struct controller *c);

/* inject.c: frames that the datapath or the wire shall see. */
int inject_open(struct controller *c);
int inject_tunnel(struct controller *c, uint16_t ethertype, const void *bytes, size_t len);
int inject_keepalive(struct controller *c, uint32_t peer);
int inject_wire(struct controller *c, int ifindex, const uint8_t dmac[static 6], const void *packet, size_t len);

#endif
