/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The life of a plane, for the daemon that runs it. In order: plane_new(), plane_choose(),
 * plane_load(), plane_open(), plane_start(), plane_attach(), the loop, plane_free(). Each int is 0 or a
 * negative errno with one line in @err.
 */
#ifndef TALON_PLANE_RUN_H
#define TALON_PLANE_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "plane/plane.h"

/* What the maps of a start with @config need of memory. Makes nothing. Returns 0 or a negative errno. */
struct datapath_need;
int plane_need(const struct config *config, struct datapath_need *ret_need);
/*
 * Whether what is for this host goes up through the tunnel device. What XDP_PASS hands up keeps the outer
 * packet's checksum state, which on a veth may be an unfinished one. @has_veth: an uplink is a veth.
 */
bool plane_hands_up_by_tunnel(const struct config *config, bool has_veth);

/*
 * Makes a plane that does nothing yet, with its own loop. @config must outlive it. Returns NULL when
 * out of memory.
 */
struct plane *plane_new(const struct config *config);
/* Chooses the uplinks: those of the configuration, or of the default route. */
int plane_choose(struct plane *p, char *err, size_t errlen);
/* @seat: of datapath/seat.h, with the lock on the pins, which plane_load() else takes itself. */
void plane_use_seat(struct plane *p, int seat);
/* Loads the datapath, or adopts the running one. The only function here that another thread may call. */
int plane_load(struct plane *p, char *err, size_t errlen);
/* Opens the WireGuard port's sockets. */
int plane_open(struct plane *p, char *err, size_t errlen);
/*
 * With the datapath loaded: fills the maps, makes the tunnel device, and takes over what an earlier
 * process left. plane_apply() works from here on.
 */
int plane_start(struct plane *p, char *err, size_t errlen);
/* Attaches the programs, then calls events.ready. */
int plane_attach(struct plane *p, char *err, size_t errlen);
/* The datapath stays loaded. NULL is allowed. */
void plane_free(struct plane *p);

/* Runs due timers and held packets before the loop sleeps. */
void plane_wake(struct plane *p);
/* Reads the host's devices and addresses again within a second. */
void plane_look_again(struct plane *p);
/* Ends the helper process for good, which may take milliseconds; what it has made ahead stays of use. */
void plane_end_helper(struct plane *p);
/*
 * After the loop: the WireGuard port is free, and nothing is written to maps any more, which belong to
 * whoever holds the pins now. Relayed data is still carried while the loop runs.
 */
void plane_let_go(struct plane *p);
/* Ways do not change from now on: the datapath continues without us. */
void plane_freeze(struct plane *p);
/* Records in the maps that the process ended in an orderly way. */
void plane_mark_stopped(struct plane *p);

bool plane_is_ready(const struct plane *p);	/* plane_attach() is done */
bool plane_is_serving(const struct plane *p);	/* ... and a desired state was applied */
bool plane_was_adopted(const struct plane *p);	/* an earlier process had loaded the datapath */
bool plane_has_attached(const struct plane *p);	/* our programs may be at packets */

#endif
