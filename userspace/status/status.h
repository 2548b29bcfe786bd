/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What runs on this host, gathered from the pinned maps alone: a controller that hangs or is gone cannot hold
 * it up. Gathering and showing are apart, so that every word of the output can be tested without a kernel.
 * docs/status.md explains each field.
 */
#ifndef TALON_STATUS_H
#define TALON_STATUS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "talon/config_types.h"
#include "talon/drop.h"
#include "talon/handshake_types.h"
#include "talon/keystream_types.h"
#include "talon/nat_types.h"
#include "talon/peer_types.h"

#define STATUS_HEARTBEAT_FRESH_NS	(3 * TALON_NSEC_PER_SEC)	/* it beats about once a second */
#define STATUS_HEARTBEAT_HUNG_NS	(10 * TALON_NSEC_PER_SEC)
/* side devices, both ends of the tunnel, the relay link */
#define STATUS_HOOKS_MAX		(2 * TALON_UPLINKS_MAX + 48)

enum status_controller {
	STATUS_STOPPED,			/* no such process */
	STATUS_RUNNING,
	STATUS_HUNG,			/* the process is there, its heartbeat is not */
};

enum status_keystream {
	STATUS_KEYSTREAM_OFF,		/* not wanted: every packet is worked on inline */
	STATUS_KEYSTREAM_STOPPED,	/* no helper */
	STATUS_KEYSTREAM_RUNNING,
	STATUS_KEYSTREAM_STALLED,	/* the process is there, its heartbeat is not */
};

enum status_peer_state {
	STATUS_PEER_NEVER,		/* no handshake since the datapath is there */
	STATUS_PEER_IDLE,		/* had one, has no usable session now */
	STATUS_PEER_CONNECTED,		/* handshake within 180 s and a session to send with */
};

/* One place where a program of ours is, or should be, attached. */
struct status_hook {
	char kind[12];			/* xdp, tcx, dispatch, filter */
	char device[IF_NAMESIZE];	/* its name now; empty if the device is gone */
	int ifindex;
	bool attached;
};

/* A device that packets can leave by. */
struct status_device {
	char name[IF_NAMESIZE];		/* empty if it is gone */
	__u32 ifindex;
	__u32 flags;			/* enum talon_link_flags */
	__be32 source;			/* of the host's own packets by it; 0: no route leads there */
};

struct status_route {
	struct talon_lpm4 dst;
	__u32 flags;			/* enum talon_route_flags */
	bool is_local;			/* served by this host: of Local, or its mesh address */
};

struct status_peer {
	__u32 id;			/* slot in the peer maps */
	struct talon_peer_info info;
	struct talon_peer_stats stats;	/* sums and latest times of all CPUs */
	struct talon_nat_peer flows;
	__u8 endpoint_family;		/* AF_INET, AF_INET6; 0: not known */
	__be16 endpoint_port;
	struct talon_addr endpoint;
	bool has_session;
	__u64 session_ns;		/* CLOCK_BOOTTIME of its birth */
	struct talon_lpm4 *allowed;	/* into status.allowed */
	size_t allowed_count;
};

struct status {
	__u64 now_ns;			/* CLOCK_BOOTTIME when this was gathered */
	__u64 now_unix_s;
	bool pid_is_alive;
	struct talon_info info;		/* text is not to be trusted to end */
	struct talon_config config;
	struct status_hook hooks[STATUS_HOOKS_MAX];
	size_t hook_count;
	struct status_device *devices;	/* by ifindex, without those of our own */
	size_t device_count;
	struct status_route *routes;	/* by address */
	size_t route_count;
	struct status_peer *peers;
	size_t peer_count;
	struct talon_lpm4 *allowed;	/* of all peers, each peer's together */
	struct talon_nat_stats nat;
	__u64 stats[TALON_STATS_ENTRIES];	/* summed over CPUs */
	__u64 handshakes[HANDSHAKE_STATS_ENTRIES];
	__u32 keystream_room;		/* slots in the map; 1: keystream is not made ahead */
	struct talon_keystream_state keystream;	/* its text is not to be trusted to end */
	bool keystream_pid_is_alive;
	struct talon_keystream_stats keystream_stats[TALON_KEYSTREAM_DIRS];	/* summed over CPUs */
};

/*
 * Reads everything below @pin_dir. Returns 0, -ENOENT if no datapath of this layout is there, or another
 * negative errno; @why gets one line. Free with status_free.
 */
int status_read(struct status *ret_status, const char *pin_dir, char *why, size_t size);
void status_free(struct status *status);

/* Is it a device that carries a program though it is no uplink? */
static inline bool status_is_side(const struct status_device *device)
{
	return (device->flags & (TALON_LINK_UPLINK | TALON_LINK_PROGRAM)) == TALON_LINK_PROGRAM;
}

/* How frames leave by it: "redirect", "tc", or "relay", which is through the relay link. */
const char *status_way_out(const struct status *status, const struct status_device *device);

/*
 * Fills the hooks of @status, whose devices are there: what the pins below @root/links say, and whether
 * the kernel agrees.
 */
void status_read_hooks(struct status *status, const char *root);

enum status_controller status_controller(const struct status *status);
enum status_keystream status_keystream(const struct status *status);
enum status_peer_state status_peer_state(const struct status *status, const struct status_peer *peer);
size_t status_connected(const struct status *status);
/* At least one hook, and all of them attached. */
bool status_is_attached(const struct status *status);

/* For people; @detail: each peer and every counter that is not zero. */
void status_print_text(FILE *out, const struct status *status, bool detail);
/* The same without peers, networks and versions: what a mesh's own status leaves unsaid. */
void status_print_datapath(FILE *out, const struct status *status, bool detail);
/* One object, without the end of the line. */
void status_write_json(FILE *out, const struct status *status);
/* One object on one line. */
void status_print_json(FILE *out, const struct status *status);

enum status_check { STATUS_CHECK_LIVE, STATUS_CHECK_READY, STATUS_CHECK_STARTUP, STATUS_CHECK_DATAPATH };
/* Returns 0 or -EINVAL. */
int status_check_parse(const char *name, enum status_check *ret_check);
/* Whether @check holds; one line why into @why either way. */
bool status_check(const struct status *status, enum status_check check, char *why, size_t size);

#endif
