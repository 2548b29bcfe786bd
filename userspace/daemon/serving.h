/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The metrics server in the daemon: started first, told once a second that the loop turns, stopped last. */
#ifndef TALON_DAEMON_SERVING_H
#define TALON_DAEMON_SERVING_H

#include "config/config.h"
#include "loop/loop.h"
#include "plane/plane.h"

struct mesh;
struct metrics_server;

struct serving {
	const struct config *config;
	struct plane *plane;
	struct mesh *const *mesh;	/* *mesh: NULL with a static file, and before it is started */
	struct metrics_server *server;	/* NULL: nothing is served */
	struct loop_timer second;
	char why[CONFIG_WHY_LEN - 16];	/* if it is not */
	uint64_t again_ns;		/* when the default place is tried again, if it was taken */
	bool is_said;			/* whether it is served was logged */
};

/*
 * Where nothing is served by default because the place is taken, goes on, and tries again now and then:
 * several nodes may share a network namespace. Where the place was asked for: returns a negative errno with
 * one line in @err. Nothing was touched then.
 */
int serving_start(struct serving *serving, struct plane *plane, struct mesh *const *mesh,
	const struct config *config, char *err, size_t errlen);
void serving_stop(struct serving *serving);

#endif
