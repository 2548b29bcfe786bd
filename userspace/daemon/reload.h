/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Settings are read again: on SIGHUP, or by the control socket, which is told what changed. */
#ifndef TALON_DAEMON_RELOAD_H
#define TALON_DAEMON_RELOAD_H

#include <stdbool.h>

#include "daemon/daemon.h"
#include "daemon/notify.h"
#include "mesh/mesh.h"
#include "plane/plane.h"

struct control;

struct reload {
	const struct daemon_reload *how;
	struct config *config;
	struct plane *plane;
	struct mesh *mesh;		/* NULL: a static file, or not started yet */
	struct notify *notify;
	const bool *is_ending;
	struct control *control;	/* without a mesh, which has its own; NULL: none */
};

/*
 * Answers reloads by the control socket: of @reload->mesh, or without one of its own. Where that cannot be
 * made it says so, and SIGHUP remains.
 */
void reload_listen(struct reload *reload);
void reload_stop(struct reload *reload);
/* Logs what changed, or why nothing did. */
void reload_on_signal(struct reload *reload);

#endif
