// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the command line asks of the daemon: up, down, logout, and which networks are used.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "mesh/internal.h"

#define DRAIN_NS	(4 * LOOP_SECOND)	/* for peers to find another way */
#define LEAVE_NS	(150 * LOOP_MS)		/* for offers to arrive before we leave the relay */
#define UP_NS		(50 * LOOP_SECOND)	/* for management to answer */

static void answer(struct mesh_waiter *waiter, int ret, const char *why)
{
	control_done_fn done = waiter->done;

	waiter->done = NULL;
	if (done)
		done(waiter->arg, ret, why);
}

/* --- up --- */

void mesh_finish_up(struct mesh *mesh, int ret, const char *why)
{
	loop_timer_cancel(mesh->loop, &mesh->up_timer);
	answer(&mesh->up, ret, why);
}

static void up_too_long(void *ctx)
{
	struct mesh *mesh = ctx;

	mesh_finish_up(mesh, -ETIMEDOUT, *mesh->management_link.why ? mesh->management_link.why
		: "management does not answer");
}

/* Joins again with the setup key, token and server of @up. On error nothing has changed. */
static int join_again(struct mesh *mesh, const struct control_up *up, char *why, size_t size)
{
	struct control_up parsed = *up;
	char *url = NULL;
	int ret = up->management_url ? config_parse_management_url(up->management_url, &url, why, size) : 0;

	if (ret)
		return ret;
	parsed.management_url = url;
	mesh->state = MANAGEMENT_CONNECTING;
	ret = mesh_join(mesh, &parsed);
	if (!ret && url)
		mesh_keep_url(mesh->identity_path, &mesh->identity, url);
	free(url);
	return ret;
}

/* The daemon connects by itself; the client that asks for `up` is told when that is done or has failed. */
static void on_up(void *ctx, const struct control_up *up, control_done_fn done, void *arg)
{
	struct mesh *mesh = ctx;
	char why[300] = "";
	int ret;

	if (mesh->management_link.is_connected) {
		done(arg, 0, NULL);
		return;
	}
	if (mesh->up.done) {
		done(arg, -EBUSY, "another `up` is waiting already");
		return;
	}
	if (up->setup_key || up->management_url || up->token) {
		ret = join_again(mesh, up, why, sizeof(why));
		if (ret) {
			done(arg, ret, why);
			return;
		}
	} else if (management_needs_login(mesh->state)) {
		done(arg, -EACCES, mesh->management_link.why);
		return;
	}
	mesh->up = (struct mesh_waiter){ done, arg };
	loop_timer_after(mesh->loop, &mesh->up_timer, UP_NS);
}

/* --- down --- */

/* By now peers have the offers; they give up on us when the relay tells them that we left it. */
static void leave_relay(void *ctx)
{
	struct mesh *mesh = ctx;

	relay_manager_close(mesh->relay);
}

static void finish_drain(void *ctx)
{
	struct mesh *mesh = ctx;

	answer(&mesh->down, 0, NULL);
	mesh->stop(mesh->stop_ctx);
}

/*
 * Peers look for another way while ours still carries their packets. Then the command removes the datapath.
 */
static void on_down(void *ctx, control_done_fn done, void *arg)
{
	struct mesh *mesh = ctx;
	bool is_alone = !peers_count_connected(mesh->peers) && !expose_count(mesh->expose);

	if (mesh->ends) {
		done(arg, -EALREADY, "it is going down already");
		return;
	}
	mesh->ends = true;
	mesh->goes_down = true;
	mesh->down = (struct mesh_waiter){ done, arg };
	expose_stop_all(mesh->expose, "the daemon is going down");
	if (peers_count_connected(mesh->peers)) {
		log_info("going down: peers are told, packets still flow for %llu s",
			(unsigned long long)(DRAIN_NS / LOOP_SECOND));
		peers_announce_end(mesh->peers);
		loop_timer_after(mesh->loop, &mesh->relay_timer, LEAVE_NS);
	}
	loop_timer_after(mesh->loop, &mesh->drain_timer, is_alone ? 0 : DRAIN_NS);
}

static void nobody_waits(void *arg, int ret, const char *why)
{
}

void mesh_go_down(struct mesh *mesh)
{
	on_down(mesh, nobody_waits, NULL);
}

bool mesh_goes_down(const struct mesh *mesh)
{
	return mesh->goes_down;
}

/* --- logout --- */

/* A logout that management has yet to answer. */
struct logout_request {
	struct mesh *mesh;
	struct mesh_waiter waiter;
};

static void logged_out(void *ctx, int error, const char *why)
{
	struct logout_request *request = ctx;

	if (!error)
		mesh_leave(request->mesh);
	answer(&request->waiter, error, why);
	free(request);
}

static void on_logout(void *ctx, control_done_fn done, void *arg)
{
	struct mesh *mesh = ctx;
	struct logout_request *request = malloc(sizeof(*request));
	int ret;

	if (!request) {
		done(arg, -ENOMEM, NULL);
		return;
	}
	*request = (struct logout_request){ mesh, { done, arg } };
	ret = management_logout(mesh->management, logged_out, request);
	if (!ret)
		return;
	free(request);
	done(arg, ret, NULL);
}

/* --- status --- */

static void on_probe(void *ctx, control_done_fn done, void *arg)
{
	struct mesh *mesh = ctx;

	management_probe(mesh->management, done, arg);
}

/* --- networks --- */

static int use_selection(struct mesh *mesh, int ret, char *err, size_t errlen)
{
	int saved = route_selection_save(mesh->state_path, &mesh->choose.selection);

	mesh_set_networks(mesh);
	mesh_apply(mesh);
	if (saved && !ret) {
		snprintf(err, errlen, "cannot write %s: %s", mesh->state_path, strerror(-saved));
		return saved;
	}
	return ret;
}

static char *everything[] = { "all" };

/* Returns 0, or why nothing can be selected. */
static int may_select(const struct mesh *mesh, char *err, size_t errlen)
{
	if (mesh->config->mesh.disable_networks) {
		snprintf(err, errlen, "%s", SNAPSHOT_NETWORKS_DISABLED);
		return -EPERM;
	}
	if (!mesh->has_map || mesh->map_is_void) {
		snprintf(err, errlen, "not connected");
		return -ENOTCONN;
	}
	return 0;
}

static int on_select(void *ctx, char *const *ids, size_t count, bool append, bool all, char *err,
	size_t errlen)
{
	struct mesh *mesh = ctx;
	int ret = may_select(mesh, err, errlen);

	if (ret)
		return ret;
	ret = choose_select(&mesh->choose, all ? everything : ids, all ? 1 : count, append, err, errlen);
	return use_selection(mesh, ret, err, errlen);
}

static int on_deselect(void *ctx, char *const *ids, size_t count, bool append, bool all, char *err,
	size_t errlen)
{
	struct mesh *mesh = ctx;
	int ret = may_select(mesh, err, errlen);

	if (ret)
		return ret;
	ret = choose_deselect(&mesh->choose, all ? everything : ids, all ? 1 : count, err, errlen);
	return use_selection(mesh, ret, err, errlen);
}

/* --- the control socket --- */

static int on_reload(void *ctx, char *const *env, char *said, size_t said_size, char *err, size_t errlen)
{
	struct mesh *mesh = ctx;

	if (mesh->reload)
		return mesh->reload(mesh->reload_ctx, env, said, said_size, err, errlen);
	snprintf(err, errlen, "it is just starting");
	return -EAGAIN;
}

static void on_config(void *ctx, FILE *out)
{
	struct mesh *mesh = ctx;

	config_show(mesh->config, out);
}

void mesh_requests_init(struct mesh *mesh)
{
	loop_timer_init(&mesh->drain_timer, finish_drain, mesh);
	loop_timer_init(&mesh->up_timer, up_too_long, mesh);
	loop_timer_init(&mesh->relay_timer, leave_relay, mesh);
}

void mesh_requests_done(struct mesh *mesh)
{
	loop_timer_cancel(mesh->loop, &mesh->drain_timer);
	loop_timer_cancel(mesh->loop, &mesh->up_timer);
	loop_timer_cancel(mesh->loop, &mesh->relay_timer);
	control_free(mesh->control);
	/* Their clients are gone; this frees what the socket kept for the answers. */
	answer(&mesh->up, -ECANCELED, NULL);
	answer(&mesh->down, -ECANCELED, NULL);
}

int mesh_listen(struct mesh *mesh, char *err, size_t errlen)
{
	static const struct control_ops ops = {
		.snapshot = mesh_snapshot, .select = on_select, .deselect = on_deselect, .up = on_up,
		.extend = mesh_extend, .down = on_down, .logout = on_logout, .reload = on_reload,
		.probe = on_probe,
		.config = on_config, .expose = mesh_on_expose, .expose_left = mesh_on_expose_left,
	};

	if (!mesh->config->mesh.control_socket)
		return 0;
	return control_new(&mesh->control, mesh->loop, mesh->config->mesh.control_socket, &ops, mesh, err,
		errlen);
}
