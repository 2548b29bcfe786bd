/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A member of a NetBird mesh: connects management, signal, relay, ICE and peers with the plane. Network maps
 * become desired state here; the last good one is kept on disk, so that a restart does not need a server.
 */
#ifndef TALON_MESH_H
#define TALON_MESH_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

struct plane;
struct mesh;

/*
 * Reads or creates the identity and fills @config from it: the keys, and if they were not given, the
 * interface's name, port and MTU, the switches and the management URL. Writes only to the state directory.
 * Returns 0 or a negative errno with one line in @why.
 */
int mesh_prepare(struct config *config, char *why, size_t size);
/*
 * What mesh_prepare() would fill in from an identity that is there. Where none is, @config stays.
 * Writes nothing.
 */
int mesh_peek(struct config *config, char *why, size_t size);

/*
 * Starts to join; when it returns, connections are under way, although the datapath is not ready. @stop is
 * called when the run should end. Returns 0 or a negative errno with one line in @err.
 */
int mesh_start(struct plane *plane, const struct config *config, void (*stop)(void *ctx), void *ctx,
	struct mesh **ret_mesh, char *err, size_t errlen);
/*
 * The datapath is about to be removed: tells peers, and calls @stop when they had time to find another way.
 * By the control socket, others can ask for the same.
 */
void mesh_go_down(struct mesh *mesh);
bool mesh_goes_down(const struct mesh *mesh);
/*
 * Ends in order. @is_followed: by another process, which waits for that. Returns false if the relays are
 * told, which takes a moment; true if not: packets go on by them until mesh_hand_over(). Sessions and
 * programs stay; mesh_free() closes the rest.
 */
bool mesh_stop(struct mesh *mesh, bool is_followed);
/*
 * After the loop: if the relays were not told, leaves to the next process what it needs to go on; and lets go
 * of the state directory. With @lingers all but the relays ends, and mesh_stop()'s caller runs the loop
 * again: relayed packets are carried until the next process has connected, which ends the loop, 8 s at most.
 * Returns whether that is to be done.
 */
bool mesh_hand_over(struct mesh *mesh, bool lingers);
/* Something about this host may have changed, as on SIGHUP: looks at its network and facts again. */
void mesh_look_again(struct mesh *mesh);
/*
 * The same, and the settings that @config may change while it runs are others: applies them,
 * tells management.
 */
void mesh_take_settings(struct mesh *mesh);
/* Who answers a reload that comes by the control socket: as control_ops.reload. */
typedef int (*mesh_reload_fn)(void *ctx, char *const *env, char *said, size_t said_size, char *err,
	size_t errlen);
void mesh_set_reload(struct mesh *mesh, mesh_reload_fn reload, void *ctx);
/* One line for people: the state, and how many peers are connected. */
void mesh_say_state(const struct mesh *mesh, char *line, size_t size);
void mesh_free(struct mesh *mesh);
/* Why packets cannot flow yet, or any more: one line, or "". */
const char *mesh_why_not_ready(const struct mesh *mesh);
/* 0, or the negative errno that ended the run (an invalid setup key, for example), which was logged. */
int mesh_result(const struct mesh *mesh);

/*
 * `talon login`: logs in or registers, without a datapath. @token: of a person who signed in, NULL: none.
 * Blocks until management has decided, at most two minutes. Returns 0 or a negative errno with one line in
 * @why: -EACCES or -EKEYEXPIRED if a person has to sign in (again).
 */
int mesh_login(struct config *config, const char *token, char *why, size_t size);

#endif
