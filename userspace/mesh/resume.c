// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * From one process to the next without the relay noticing. At its end a process leaves who was reached over
 * which relay, and lets go of its connections in silence (handover/). At its start the next one connects to
 * the relay first of all, and carries those peers' packets between the relay and the programs that still
 * run, until the datapath is its own and peers/ takes each peer over.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "handover/handover.h"
#include "log/log.h"
#include "mesh/internal.h"

/*
 * A relay that waits for room in the old connection does not answer by the new one either. If it takes longer
 * than one or two of these for an answer, a reset of the old connection ends that. It would do harm before
 * the server has read our token: by then it has, as the reset takes a round trip more.
 */
#define LOOK_NS		(50 * LOOP_MS)

struct mesh_resumed {
	struct mesh *mesh;
	struct handover_peer peer;
	struct relay_peer *relay;	/* NULL: not open */
	bool is_ready;
};

/* --- at the start --- */

static void close_one(struct mesh_resumed *one)
{
	relay_peer_free(one->relay);
	one->relay = NULL;
	one->is_ready = false;
}

static void on_ready(void *ctx)
{
	struct mesh_resumed *one = ctx;

	one->is_ready = true;
}

static void on_closed(void *ctx, const char *why)
{
	close_one(ctx);
}

static void on_received(void *ctx, const uint8_t *bytes, size_t len)
{
	struct mesh_resumed *one = ctx;

	plane_relay_receive(one->mesh->plane, one->peer.id, bytes, len);
}

static void forget_one(struct mesh *mesh, size_t at)
{
	close_one(mesh->resumed[at]);
	free(mesh->resumed[at]);
	mesh->resumed[at] = mesh->resumed[--mesh->resumed_count];
}

static void look(void *ctx)
{
	struct mesh *mesh = ctx;
	const bool was_waiting = mesh->relay_waits;

	if (mesh->relay_link.is_connected || !mesh->handover)
		return;
	mesh->relay_waits = relay_manager_is_waiting(mesh->relay);
	if (was_waiting && mesh->relay_waits)
		handover_reset(mesh->handover);
	else
		loop_timer_after(mesh->loop, &mesh->quiet_timer, LOOK_NS);
}

static void too_long(void *ctx)
{
	struct mesh *mesh = ctx;

	if (mesh->lingers)
		loop_stop(mesh->loop);
	loop_timer_cancel(mesh->loop, &mesh->quiet_timer);
	while (mesh->resumed_count)
		forget_one(mesh, mesh->resumed_count - 1);
	if (mesh->handover)
		handover_forget(mesh->handover);
}

static int take(struct mesh *mesh, struct handover_peer *peers, size_t count)
{
	mesh->resumed = calloc(count, sizeof(struct mesh_resumed *));
	for (size_t i = 0; mesh->resumed && i < count; i++) {
		struct mesh_resumed *one = calloc(1, sizeof(*one));

		if (!one)
			return -ENOMEM;
		one->mesh = mesh;
		one->peer = peers[i];
		mesh->resumed[mesh->resumed_count++] = one;
	}
	return mesh->resumed ? 0 : -ENOMEM;
}

void mesh_resume_begin(struct mesh *mesh)
{
	struct handover_peer *peers = NULL;
	int count, ret = handover_open(mesh->config->pin_dir, &mesh->handover);

	if (ret)
		return;
	count = handover_take_peers(mesh->handover, clock_boot_ns(), &peers);
	ret = count > 0 ? take(mesh, peers, count) : 0;
	if (!ret && count > 0)
		ret = plane_carry_early(mesh->plane);
	free(peers);
	if (ret)
		log_debug("relayed peers of the last run: %s", strerror(-ret));
	if (count > 0)
		log_info("%d peers were relayed a moment ago: their packets go on", count);
	loop_timer_after(mesh->loop, &mesh->quiet_timer, LOOK_NS);
	loop_timer_after(mesh->loop, &mesh->resume_timer, HANDOVER_NS);
}

void mesh_resume_ready(struct mesh *mesh)
{
	int ret;

	handover_close(mesh->handover);		/* those maps may have been another datapath's */
	mesh->handover = NULL;
	ret = handover_open(mesh->config->pin_dir, &mesh->handover);
	if (ret)
		log_warn("a restart will cost relayed packets: %s", strerror(-ret));
}

void mesh_resume_home(struct mesh *mesh)
{
	static const struct relay_peer_events events = { .ready = on_ready, .closed = on_closed,
		.received = on_received };

	for (size_t i = 0; i < mesh->resumed_count; i++) {
		struct mesh_resumed *one = mesh->resumed[i];

		if (one->relay || relay_peer_open(mesh->relay, one->peer.was.public_key, one->peer.was.relay,
			NULL, &events, one, &one->relay))
			continue;
		relay_peer_presume(one->relay);
	}
}

bool mesh_resume_send(struct mesh *mesh, uint32_t id, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < mesh->resumed_count; i++) {
		const struct mesh_resumed *one = mesh->resumed[i];

		if (one->peer.id != id || !one->is_ready)
			continue;
		relay_peer_send(one->relay, bytes, len);
		return true;
	}
	return false;
}

/* peers/ opens the connection anew, which has to be free for that. */
bool mesh_resume_take_over(struct mesh *mesh, const uint8_t key[static KEY_LEN], char *ret_relay, size_t size)
{
	for (size_t i = 0; i < mesh->resumed_count; i++) {
		const struct talon_relayed *was = &mesh->resumed[i]->peer.was;

		if (memcmp(was->public_key, key, KEY_LEN))
			continue;
		snprintf(ret_relay, size, "%s", was->relay);
		forget_one(mesh, i);
		return true;
	}
	return false;
}

/* --- at the end --- */

bool mesh_resume_may_follow(const struct mesh *mesh, bool is_sure)
{
	if (!mesh->has_applied || !mesh->handover || mesh->map_is_void)
		return false;
	return is_sure || mesh->config->mesh.on_stop == CONFIG_ON_STOP_QUIET;
}

struct leaving {
	struct mesh *mesh;
	uint64_t until_ns;
	size_t connections;
};

static void leave_peer(void *ctx, uint32_t id, const uint8_t key[static KEY_LEN], const char *relay)
{
	struct leaving *leaving = ctx;

	handover_leave_peer(leaving->mesh->handover, id, key, relay, leaving->until_ns);
}

static void leave_connection(void *ctx, const struct talon_quiet *connection)
{
	struct leaving *leaving = ctx;

	leaving->connections += !handover_leave_connection(leaving->mesh->handover, connection,
		leaving->until_ns);
}

static void count_connection(void *ctx, const struct talon_quiet *connection)
{
	++*(unsigned *)ctx;
}

/*
 * The next process is there already: the relay closes our connection when it has that one's. Relays of other
 * peers would do so later, with nobody to carry packets in between.
 */
static bool linger(struct mesh *mesh)
{
	unsigned connections = 0;

	relay_manager_each_connection(mesh->relay, count_connection, &connections);
	if (connections != 1 || !relay_manager_address(mesh->relay))
		return false;
	mesh->lingers = true;
	mesh_stop_all_but_relays(mesh);
	relay_manager_linger(mesh->relay);
	loop_timer_after(mesh->loop, &mesh->resume_timer, HANDOVER_NS);
	return true;
}

static void let_go_in_silence(struct mesh *mesh, struct leaving *leaving)
{
	relay_manager_each_connection(mesh->relay, leave_connection, leaving);
	/* before the kernel has anything to answer */
	if (leaving->connections)
		plane_keep_quiet(mesh->plane, leaving->until_ns);
	relay_manager_abandon(mesh->relay);
}

bool mesh_hand_over(struct mesh *mesh, bool lingers)
{
	struct leaving leaving = { .mesh = mesh, .until_ns = clock_boot_ns() + HANDOVER_NS };

	if (mesh->lock >= 0)
		close(mesh->lock);
	mesh->lock = -1;
	if (!mesh->leaves_quietly)
		return false;
	handover_forget(mesh->handover);
	peers_each_relayed(mesh->peers, leave_peer, &leaving);
	if (lingers && linger(mesh))
		return true;
	let_go_in_silence(mesh, &leaving);
	return false;
}

/* Before the connections of its peers are lost, which would have them look for others. */
void mesh_resume_followed(struct mesh *mesh)
{
	peers_free(mesh->peers);
	mesh->peers = NULL;
	loop_stop(mesh->loop);
}

void mesh_resume_init(struct mesh *mesh)
{
	loop_timer_init(&mesh->quiet_timer, look, mesh);
	loop_timer_init(&mesh->resume_timer, too_long, mesh);
}

void mesh_resume_done(struct mesh *mesh)
{
	loop_timer_cancel(mesh->loop, &mesh->quiet_timer);
	loop_timer_cancel(mesh->loop, &mesh->resume_timer);
	while (mesh->resumed_count)
		forget_one(mesh, mesh->resumed_count - 1);
	free(mesh->resumed);
	mesh->resumed = NULL;
	handover_close(mesh->handover);
	mesh->handover = NULL;
}
