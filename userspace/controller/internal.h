/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared between the controller's files. */
#ifndef TALON_CONTROLLER_INTERNAL_H
#define TALON_CONTROLLER_INTERNAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "config/config.h"
#include "controller/hold.h"
#include "datapath/datapath.h"
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
	uint64_t started_ns;
	uint64_t due_ns;		/* when the next one is started */
	uint64_t backoff_ns;
};

/* When a peer's last messages were, as the device was last told. */
struct polled {
	uint64_t rx_ns;
	uint64_t tx_ns;
};

struct controller {
	const struct config *config;
	struct datapath *dp;
	struct device *device;
	struct ring_buffer *ring;
	struct nat_gc gc;
	struct nat_ports ports;
	struct hold hold;
	struct keystream_helper helper;
	union {
		int fds[7];
		struct {
			int epoll, timer, signals, monitor;
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
	uint64_t second_ns;		/* when the once-a-second work is due */
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
	bool stopping;
	uint8_t local_mark;
};

uint64_t clock_boot_ns(void);

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

/* start.c: desired state into the maps. */
int start_fill(struct controller *c, char *err, size_t errlen);
int start_adopt(struct controller *c);
int start_network(struct controller *c, char *err, size_t errlen);
void start_local_addrs(struct controller *c);
/* Devices and addresses as they are now, where they changed since the start. */
void start_links(struct controller *c);
/* Endpoints whose way in was a device that is gone. */
void start_repair_endpoints(struct controller *c);
void start_hazards(struct controller *c);
/* What depends on how the programs were attached. */
int start_modes(struct controller *c, char *err, size_t errlen);

/* names.c: endpoints whose names could not be looked up at the start. */
void names_tick(struct controller *c, uint64_t now_ns);

/* counts.c: once a second, what changed. */
void counts_start(struct controller *c);
void counts_write(struct controller *c);

/* socket.c */
int socket_open(struct controller *c, char *err, size_t errlen);
void socket_read(struct controller *c, int fd);
int socket_send(struct controller *c, const struct endpoint *to, const void *bytes, size_t len);
/* Fills the local address where it is open: the datapath has to write one into every packet. */
void socket_choose_local(struct endpoint *endpoint);

/* events.c */
int event_handle(void *ctx, void *data, size_t len);
void event_network(struct controller *c);
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
