/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A member of a NetBird mesh: management, signal, relay, ICE and the peers' ways, tied to the controller's
 * plane. What the network map says is applied here; the last good map is kept on disk, so that a restart
 * needs no server.
 */
#ifndef TALON_MESH_H
#define TALON_MESH_H

#include <stddef.h>

#include "config/config.h"

struct plane;
struct mesh;

/*
 * Reads or makes the identity and fills what @config takes from it: keys, and where nobody said otherwise the
 * interface's name, port and MTU, management URL. Touches nothing but the state directory. Returns 0 or a
 * negative errno with one line in @why.
 */
int mesh_prepare(struct config *config, char *why, size_t size);

/*
 * Starts to join: connections are under way when it returns, long before the datapath is ready. Returns 0 or
 * a negative errno with one line in @err.
 */
int mesh_start(struct plane *plane, const struct config *config, void (*stop)(void *ctx), void *ctx,
	struct mesh **ret_mesh, char *err, size_t errlen);
/* An orderly end: relays are told, streams are closed. Sessions and programs stay. */
void mesh_stop(struct mesh *mesh);
/* Somebody says that something about this host has changed. */
void mesh_look_again(struct mesh *mesh);
void mesh_free(struct mesh *mesh);
/* 0, or the negative errno that ended the run, as a setup key that is not valid does; it has been logged. */
int mesh_result(const struct mesh *mesh);

/*
 * `talon login`: logs in or registers and says how it ended, without any datapath. Blocks. Returns 0 or a
 * negative errno with one line in @why.
 */
int mesh_login(struct config *config, char *why, size_t size);

#endif
