/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A plane from its making to its end, for the daemon that runs it. In order: plane_new(), plane_choose(),
 * plane_load(), plane_open(), plane_start(), plane_attach(), the loop, plane_free(). Each int is 0 or a
 * negative errno with one line in @err.
 */
#ifndef TALON_PLANE_RUN_H
#define TALON_PLANE_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "plane/plane.h"

/*
 * Makes one that does nothing yet, with a loop of its own. @config outlives it. Returns NULL
 * when out of memory.
 */
struct plane *plane_new(const struct config *config);
/* Which devices are the uplinks: those of the configuration, or of the default route. */
int plane_choose(struct plane *p, char *err, size_t errlen);
/* Loads the datapath, or adopts the one that runs; the only call that may come from another thread. */
int plane_load(struct plane *p, char *err, size_t errlen);
/* The WireGuard port's sockets. */
int plane_open(struct plane *p, char *err, size_t errlen);
/*
 * With the datapath loaded: maps, tunnel device, the WireGuard device with what an earlier process left.
 * plane_apply() works then.
 */
int plane_start(struct plane *p, char *err, size_t errlen);
/* Lets the programs at the packets. Calls events.ready. */
int plane_attach(struct plane *p, char *err, size_t errlen);
/* The datapath stays. NULL is allowed. */
void plane_free(struct plane *p);

/* Something may be due: timers and what waits are looked at before the loop sleeps. */
void plane_wake(struct plane *p);
/* Devices and addresses of the host are looked at again within a second. */
void plane_look_again(struct plane *p);
/* The ways stay as they are from now on: the datapath goes on without us. */
void plane_freeze(struct plane *p);
/* Says in the maps that the process has ended in order. */
void plane_mark_stopped(struct plane *p);

bool plane_is_ready(const struct plane *p);	/* plane_attach() is done */
bool plane_is_serving(const struct plane *p);	/* ... and a desired state was applied */
bool plane_was_adopted(const struct plane *p);	/* there was a datapath before us */
bool plane_has_attached(const struct plane *p);	/* our programs may be at packets */

#endif
