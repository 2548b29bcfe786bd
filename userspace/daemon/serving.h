/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The metrics server in the daemon: started first, told once a second that the loop turns, stopped last. */
#ifndef TALON_DAEMON_SERVING_H
#define TALON_DAEMON_SERVING_H

#include "config/config.h"
#include "loop/loop.h"
#include "plane/plane.h"

struct metrics_server;

struct serving {
	struct plane *plane;
	const struct config_metrics *place;
	bool has_said;			/* where it serves, or why it does not */
	char why[CONFIG_WHY_LEN - 16];
	struct metrics_server *server;	/* NULL: nothing is served */
	struct loop_timer second;
};

/*
 * Where nothing is served by default because the place is taken, says so and goes on: several nodes may share
 * a network namespace. Where the place was asked for: returns a negative errno with one line in @err. Nothing
 * was touched then.
 */
int serving_start(struct serving *serving, struct plane *plane, const struct config *config, char *err,
	size_t errlen);
void serving_stop(struct serving *serving);

#endif
