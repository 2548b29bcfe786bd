/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What runs on this host, read from the pinned maps alone, so that it works while the controller hangs or is
 * gone. Reading and rendering are separate: all output can be tested without a kernel. docs/status.md
 * explains each field.
 */
#ifndef TALON_STATUS_H
#define TALON_STATUS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/cidr.h"
#include "talon/config_types.h"
#include "talon/drop.h"
#include "talon/handshake_types.h"
#include "talon/keystream_types.h"
#include "talon/nat_types.h"
#include "talon/peer_types.h"
#include "talon/traffic_types.h"
#include "talon/vip_types.h"
#include "talon/watch_types.h"

#define STATUS_HEARTBEAT_FRESH_NS	(3 * TALON_NSEC_PER_SEC)	/* it beats about once a second */
#define STATUS_HEARTBEAT_HUNG_NS	(10 * TALON_NSEC_PER_SEC)
/* side devices, both ends of the tunnel, the relay pair */
#define STATUS_HOOKS_MAX		(2 * TALON_UPLINKS_MAX + 48)

enum status_controller {
	STATUS_STOPPED,			/* no such process */
	STATUS_RUNNING,
	STATUS_HUNG,			/* the process exists, its heartbeat has stopped */
};

enum status_keystream {
	STATUS_KEYSTREAM_OFF,		/* not configured: every packet is encrypted inline */
	STATUS_KEYSTREAM_STOPPED,	/* the helper does not run */
	STATUS_KEYSTREAM_RUNNING,
	STATUS_KEYSTREAM_STALLED,	/* the process exists, its heartbeat has stopped */
};

enum status_peer_state {
	STATUS_PEER_NEVER,		/* no handshake since the datapath was attached */
	STATUS_PEER_IDLE,		/* had a handshake, has no usable session now */
	STATUS_PEER_CONNECTED,		/* last handshake at most 180 s ago, and a session to send with */
};

/* One place where one of our programs is, or should be, attached. */
struct status_hook {
	char kind[12];			/* xdp, tcx, dispatch, filter */
	char device[IF_NAMESIZE];	/* its name now; empty if the device is gone */
	int ifindex;
	bool attached;
};

/* A device that packets can leave by. */
struct status_device {
	char name[IF_NAMESIZE];		/* empty if the device is gone */
	__u32 ifindex;
	__u32 flags;			/* enum talon_link_flags */
	__be32 source;			/* of the host's own packets on it; 0: no route uses it */
};

struct status_route {
	struct cidr dst;
	__u32 flags;			/* enum talon_route_flags */
	/* this host itself: an address of the option Local, or its mesh address */
	bool is_local;
};

struct status_peer {
	__u32 id;			/* slot in the peer maps */
	struct talon_peer_info info;
	struct talon_peer_stats stats;	/* sums and latest times of all CPUs */
	struct talon_nat_peer flows;
	__u8 endpoint_family;		/* AF_INET, AF_INET6; 0: not known */
	__u8 endpoint_flags;		/* enum talon_endpoint_flags */
	__be16 endpoint_port;
	struct talon_addr endpoint;
	bool has_session;
	__u64 session_ns;		/* CLOCK_BOOTTIME when the session was made */
	struct cidr *allowed;		/* into status.allowed */
	size_t allowed_count;
};

/* A virtual address of the cluster. */
struct status_vip {
	struct talon_addr addr;
	struct talon_vip vip;		/* its texts may lack a terminating NUL */
};

/* Packets by how their keystream was had. */
struct status_keystream_counts {
	__u64 ahead;			/* it lay ready */
	__u64 inline_;			/* it was made when the packet was there */
};

struct status {
	__u64 now_ns;			/* CLOCK_BOOTTIME when this was read */
	__u64 now_unix_s;
	bool is_held;			/* a controller holds the lock on the pins, in any pid namespace */
	__u32 pid;			/* of that, as seen from here; 0: it cannot be seen */
	struct talon_info info;		/* its texts may lack a terminating NUL */
	struct talon_config config;
	struct status_hook hooks[STATUS_HOOKS_MAX];
	size_t hook_count;
	struct status_device *devices;	/* sorted by ifindex, without our own */
	size_t device_count;
	struct status_route *routes;	/* sorted by address, IPv4 first */
	size_t route_count;
	struct status_vip *vips;	/* sorted by address */
	size_t vip_count;
	struct talon_vip_source vip_source;	/* the same of its texts */
	struct status_peer *peers;
	size_t peer_count;
	struct cidr *allowed;		/* of all peers, grouped by peer */
	struct talon_nat_stats nat;
	__u64 stats[TALON_STATS_ENTRIES];	/* summed over CPUs */
	__u64 handshakes[HANDSHAKE_STATS_ENTRIES];
	__u32 keystream_room;		/* slots there can be; 1: no keystream is made ahead */
	struct talon_keystream_state keystream;	/* its text may lack a terminating NUL */
	__u64 map_bytes;		/* kernel memory that the pinned maps take; 0: not known */
	struct talon_seen seen[TALON_PROGRAM_COUNT];		/* summed over CPUs */
	struct talon_traffic traffic[TALON_TRAFFIC_ENTRIES];	/* summed over CPUs */
	struct status_keystream_counts keystream_counts[TALON_KEYSTREAM_DIRS];	/* from those */
	struct talon_watch watches[TALON_WATCHES];
	__u64 watch_counts[TALON_WATCH_COUNT_COUNT];	/* summed over CPUs */
};

/*
 * Reads everything below @pin_dir. Returns 0, -ENOENT if there is no datapath of this layout version, or
 * another negative errno; on error @why gets one line. Free with status_free().
 */
int status_read(struct status *ret_status, const char *pin_dir, char *why, size_t size);
/* The same without routes and peers. */
int status_read_node(struct status *ret_status, const char *pin_dir, char *why, size_t size);
void status_free(struct status *status);

/* Whether the device carries a program without being an uplink. */
static inline bool status_is_side(const struct status_device *device)
{
	return (device->flags & (TALON_LINK_UPLINK | TALON_LINK_PROGRAM)) == TALON_LINK_PROGRAM;
}

/* How frames leave by @device: "redirect", "tc", or "relay" (through the relay device pair). */
const char *status_way_out(const struct status *status, const struct status_device *device);

/*
 * Fills the hooks of @status: what the pins below @root/links claim, and whether the kernel agrees. The
 * devices of @status have to be filled in already.
 */
void status_read_hooks(struct status *status, const char *root);

enum status_controller status_controller(const struct status *status);
enum status_keystream status_keystream(const struct status *status);
/* Pids in the maps, of the controller and of its helper, are of the pid namespace that this process is in. */
bool status_sees_controller(const struct status *status);
enum status_peer_state status_peer_state(const struct status *status, const struct status_peer *peer);
size_t status_connected(const struct status *status);
/* Whether there is at least one hook and all hooks are attached. */
bool status_is_attached(const struct status *status);

/* Whether somebody watches now. */
bool status_is_watched(const struct status *status, enum talon_watch_id id);

/* Text for people. @detail adds each peer and every counter that is not zero. */
void status_print_text(FILE *out, const struct status *status, bool detail);
/* The same without peers, networks and versions, which the mesh's own status shows. */
void status_print_datapath(FILE *out, const struct status *status, bool detail);
/* One JSON object without a newline at the end. */
void status_write_json(FILE *out, const struct status *status);
/* One JSON object and a newline. */
void status_print_json(FILE *out, const struct status *status);

enum status_check { STATUS_CHECK_LIVE, STATUS_CHECK_READY, STATUS_CHECK_STARTUP, STATUS_CHECK_DATAPATH };
/* Returns 0 or -EINVAL. */
int status_check_parse(const char *name, enum status_check *ret_check);
/* Whether @check holds for the datapath; @why gets one line in either case. */
bool status_check(const struct status *status, enum status_check check, char *why, size_t size);
/*
 * The same for a daemon that answered with @snapshot. STATUS_CHECK_DATAPATH is judged as STATUS_CHECK_READY.
 */
struct snapshot;
bool status_check_daemon(const struct snapshot *snapshot, enum status_check check, char *why, size_t size);

#endif
