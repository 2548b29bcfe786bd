/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A process's right to watch packets (talon/watch_types.h): dropped ones, or those of one peer. One
 * process at a time for each, held by a lock that ends with it; the lease in the map ends by itself when
 * it is not renewed.
 */
#ifndef TALON_WATCH_LEASE_H
#define TALON_WATCH_LEASE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "talon/watch_types.h"

struct watch {
	enum talon_watch_id id;
	char pin_dir[PATH_MAX];
	int lock;
	int leases;			/* map "watches" */
	int counts;			/* map "watch_counts" */
	int ring;			/* map "watch_drops" or "watch_packets" */
	uint32_t map_id;		/* of map "watches" */
	struct talon_watch lease;
};

/*
 * Opens what is needed below @pin_dir and takes the lock. Nothing is watched yet. Returns 0; -EBUSY if
 * another process watches; -ENOENT if no datapath is there; or another negative errno. On error @why gets one
 * line. End with watch_close().
 */
int watch_open(struct watch *watch, const char *pin_dir, enum talon_watch_id id, char *why, size_t size);
/* Ends the lease and gives the lock back. */
void watch_close(struct watch *watch);

/*
 * Begins the lease: @what says what to tell of; pid and times are filled in here. Returns 0 or a
 * negative errno.
 */
int watch_begin(struct watch *watch, const struct talon_watch *what);
/*
 * Once a second at most a second late. Returns 0; -ENOENT if the datapath was removed or replaced by one of
 * another layout; or another negative errno.
 */
int watch_renew(struct watch *watch);
/* From now on the programs write nothing. */
void watch_end(struct watch *watch);

/* Sums over CPUs, since the datapath was made. Returns 0 or a negative errno. */
int watch_read_counts(const struct watch *watch, uint64_t ret_counts[static TALON_WATCH_COUNT_COUNT]);

#endif
