/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SIGTERM, SIGINT and SIGHUP as events of a loop. They are blocked from then on, for good; SIGPIPE is
 * ignored. The first process of a container would not get them otherwise.
 */
#ifndef TALON_DAEMON_SIGNALS_H
#define TALON_DAEMON_SIGNALS_H

#include <stdbool.h>

#include "loop/loop.h"

struct signals {
	int fd;				/* -1: not open */
	struct loop_fd watch;
	void (*heed)(void *ctx, bool is_hangup);
	void *ctx;
};

/* @heed is called for each that comes: SIGHUP, or one of the others. Returns 0 or a negative errno. */
int signals_open(struct signals *signals, struct loop *loop, void (*heed)(void *ctx, bool is_hangup),
	void *ctx);
/* Does nothing if they are not open. The loop may be gone already. */
void signals_close(struct signals *signals);

#endif
