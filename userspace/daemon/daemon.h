/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The process: it runs a plane, for a static file or for a mesh, and takes down what an earlier one left. */
#ifndef TALON_DAEMON_H
#define TALON_DAEMON_H

#include <stddef.h>

#include "config/config.h"

struct daemon_reload {
	/*
	 * SIGHUP: reads again what @config was made of and changes its peers and routes. Returns 0, or
	 * negative where all stays as it is; says so.
	 */
	int (*read)(void *ctx);
	void *ctx;
};

/*
 * Runs until SIGTERM or SIGINT. The datapath stays in the kernel and goes on without us; a later run adopts
 * it, daemon_down() removes it. @config was validated and checked against the host. Logs what goes wrong;
 * returns 0 or a negative errno, and when a fresh start fails nothing is left behind. SIGHUP never ends it:
 * with a static file (@reload) that is read again, in a mesh the host is looked at again.
 */
int daemon_run(const struct config *config, const struct daemon_reload *reload);

/*
 * Ends a running controller of @pin_dir, if there is one, and removes every program, map, link, route,
 * device and pin.
 * @is_ending: it was told to end already; it may be so young that the maps do not name it. Returns 0, or a
 * negative errno with one line in @err.
 */
int daemon_down(const char *pin_dir, bool is_ending, char *err, size_t errlen);

#endif
