/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The socket of the metrics server. */
#ifndef TALON_METRICS_LISTEN_H
#define TALON_METRICS_LISTEN_H

#include <sys/types.h>

#include "config/config.h"

#define METRICS_PLACE_LEN 128

struct metrics_listener {
	int fd;				/* -1: none */
	char path[108];			/* of a Unix socket; else empty */
	dev_t dev;			/* of the name, to remove no other's */
	ino_t ino;
};

/*
 * Binds and listens. A Unix socket gets mode 0660, and takes the place of one that nobody answers on. Returns
 * 0, -EADDRINUSE if somebody else has the place, or another negative errno; @why gets one line that begins
 * with the place.
 */
int metrics_listen(const struct config_metrics *place, struct metrics_listener *ret_listener, char *why,
	size_t size);
/* Closes it and removes the name of a Unix socket, if it is still ours. */
void metrics_listener_close(struct metrics_listener *listener);

/*
 * Whether metrics_listen() would work, as far as can be seen without making anything: a Unix socket is not
 * bound. Returns and says the same.
 */
int metrics_listen_check(const struct config_metrics *place, char *why, size_t size);

/* "127.0.0.1:9567", "[::1]:9567", "unix:/run/talon-metrics.sock"; "off" */
void metrics_place_name(const struct config_metrics *place, char ret_name[static METRICS_PLACE_LEN]);

#endif
