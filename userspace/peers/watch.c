// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Whether the way in use carries packets: a handshake in time on any way, answers within a second on a direct
// one.
#include <errno.h>
#include <stdlib.h>

#include "log/log.h"
#include "peers/internal.h"

#define FIRST_NS	(30 * LOOP_SECOND)
#define LATER_NS	(210 * LOOP_SECOND)

#define ACTIVE_NS	(5 * LOOP_SECOND)	/* after the last packet: look at it in every turn */
#define IDLE_EACH	64			/* how many idle ones are looked at in one turn */
#define TURN_NEAR_NS	(100 * LOOP_MS)
#define TURN_ACTIVE_NS	(250 * LOOP_MS)
#define TURN_IDLE_NS	LOOP_SECOND
#define SOON_NS		(20 * LOOP_MS)

static int get_facts(const struct conn *conn, struct plane_facts *facts)
{
	return conn->peers->ops.facts(conn->peers->ctx, conn->id, facts);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* --- handshakes --- */

static void expire(struct conn *conn, const struct plane_facts *facts)
{
	if (conn->remote.announces_rosenpass && !facts->handshake_ns && !conn->needs_rosenpass) {
		conn->needs_rosenpass = true;
		log_warn("peer %s: no handshake, and it announces Rosenpass: it seems to insist on it, which "
			"is not supported here", conn->name);
	}
	conn->old_path = link_old_step(conn->old_path, LINK_OLD_EV_LEAVE);
	conn_step(conn, LINK_EV_WATCH_EXPIRED, NULL);
}

/*
 * A new handshake proves that the way carries. In the first 30 s any authentic packet does, since the session
 * may be older than the way. After that there has to be a handshake every two minutes.
 */
static void watch_due(void *ctx)
{
	struct conn *conn = ctx;
	struct loop *loop = conn->peers->loop;
	const uint64_t now = loop_now(loop);
	struct plane_facts facts = { 0 };
	bool is_alive;

	if (get_facts(conn, &facts))
		return;
	is_alive = facts.handshake_ns != conn->watch_handshake_ns && facts.handshake_ns + LATER_NS > now;
	if (later(facts.rx_direct_ns, facts.rx_relay_ns) > conn->watch_since_ns)
		is_alive = true;
	if (!is_alive) {
		expire(conn, &facts);
		return;
	}
	conn->watch_since_ns = LOOP_NEVER;
	conn->watch_handshake_ns = facts.handshake_ns;
	loop_timer_set(loop, &conn->watch, later(facts.handshake_ns + LATER_NS, now + LOOP_SECOND));
}

void watch_init(struct conn *conn)
{
	loop_timer_init(&conn->watch, watch_due, conn);
}

void watch_start(struct conn *conn)
{
	struct plane_facts facts = { 0 };

	get_facts(conn, &facts);
	conn->watch_since_ns = loop_now(conn->peers->loop);
	conn->watch_handshake_ns = facts.handshake_ns;
	loop_timer_after(conn->peers->loop, &conn->watch, FIRST_NS);
}

void watch_stop(struct conn *conn)
{
	loop_timer_cancel(conn->peers->loop, &conn->watch);
}

/* --- traffic --- */

static int direct_add(struct peers *peers, struct conn *conn)
{
	if (peers->direct_count == peers->direct_room) {
		size_t room = peers->direct_room ? 2 * peers->direct_room : 16;
		struct conn **larger = reallocarray(peers->direct, room, sizeof(struct conn *));

		if (!larger)
			return -ENOMEM;
		peers->direct = larger;
		peers->direct_room = room;
	}
	peers->direct[peers->direct_count++] = conn;
	conn->direct_place = peers->direct_count;
	return 0;
}

/* Brings the next look forward; never puts it off. */
static void look_after(struct peers *peers, uint64_t after_ns)
{
	const uint64_t at = loop_now(peers->loop) + after_ns;

	if (!loop_timer_is_set(&peers->look) || peers->look.due_ns > at)
		loop_timer_set(peers->loop, &peers->look, at);
}

void watch_direct(struct conn *conn, bool is_first)
{
	struct peers *peers = conn->peers;
	const uint64_t now = loop_now(peers->loop);

	silence_begin(&conn->silence, now, is_first);
	conn->active_until_ns = now + ACTIVE_NS;
	if (!conn->direct_place && direct_add(peers, conn))
		return;		/* out of memory: only ICE tells when the pair is lost */
	look_after(peers, TURN_ACTIVE_NS);
}

void watch_direct_end(struct conn *conn)
{
	struct peers *peers = conn->peers;
	struct conn *last;

	if (!conn->direct_place)
		return;
	last = peers->direct[--peers->direct_count];
	peers->direct[conn->direct_place - 1] = last;
	last->direct_place = conn->direct_place;
	conn->direct_place = 0;
	if (!peers->direct_count)
		loop_timer_cancel(peers->loop, &peers->look);
}

static void fill(const struct conn *conn, const struct plane_facts *facts, struct silence_facts *silence)
{
	const struct peers *peers = conn->peers;
	struct ice_pair_info pair = { 0 };

	peers->ops.ice_get_pair(peers->ctx, conn->exchange->agent, &pair);
	*silence = (struct silence_facts){
		.now_ns = loop_now(peers->loop), .tx_data_ns = facts->tx_data_ns,
			.rx_data_ns = facts->rx_data_ns,
		.rx_direct_ns = facts->rx_direct_ns, .rx_relay_ns = facts->rx_relay_ns,
		.answered_ns = peers->ops.ice_answered(peers->ctx, conn->exchange->agent),
		.rtt_ns = pair.rtt_ns,
	};
}

static void look_suspect(struct conn *conn, const struct silence_facts *facts)
{
	const enum silence_proof proof = silence_prove(&conn->silence, conn->turned_ns, facts);

	if (proof == SILENCE_PROVEN) {
		conn_step(conn, LINK_EV_PROVEN, NULL);
	} else if (proof == SILENCE_UNPROVEN) {
		conn_step(conn, LINK_EV_UNPROVEN, NULL);
		conn_set_silent(conn, facts->rx_relay_ns <= conn->turned_ns);
	}
}

static void look_direct(struct conn *conn, const struct silence_facts *facts)
{
	const struct peers *peers = conn->peers;

	switch (silence_judge(&conn->silence, facts)) {
	case SILENCE_NONE:
		conn_set_silent(conn, false);
		break;
	case SILENCE_CHECK:
		peers->ops.ice_probe(peers->ctx, conn->exchange->agent);
		break;
	case SILENCE_LOST:
		conn_step(conn, LINK_EV_SILENCE, NULL);
		if (conn->state == LINK_ALONE)
			conn_set_silent(conn, true);
		break;
	case SILENCE_FOLLOW:
		conn_step(conn, LINK_EV_FOLLOW, NULL);
		break;
	}
}

static void look_at(struct conn *conn)
{
	struct plane_facts facts = { 0 };
	struct silence_facts silence;

	if (get_facts(conn, &facts))
		return;
	conn->active_until_ns = later(facts.tx_data_ns, facts.rx_data_ns) + ACTIVE_NS;
	fill(conn, &facts, &silence);
	if (conn->state == LINK_SUSPECT)
		look_suspect(conn, &silence);
	else
		look_direct(conn, &silence);
}

/* Whether a proof may come at any moment; for a mute pair it takes a minute or more. */
static bool is_being_proved(const struct conn *conn)
{
	return conn->state == LINK_SUSPECT && !conn->silence.is_mute;
}

static bool is_active(const struct conn *conn)
{
	return is_being_proved(conn) || conn->active_until_ns > loop_now(conn->peers->loop);
}

static uint64_t turn_of(const struct conn *conn)
{
	if (is_being_proved(conn) || (conn->state == LINK_DIRECT && silence_is_near(&conn->silence)))
		return TURN_NEAR_NS;
	return is_active(conn) ? TURN_ACTIVE_NS : TURN_IDLE_NS;
}

/*
 * Peers without traffic take turns: new traffic is noticed within a second, unless there are very many peers.
 */
static void look_at_idle(struct peers *peers)
{
	size_t left = peers->direct_count < IDLE_EACH ? peers->direct_count : IDLE_EACH;

	for (; left && peers->direct_count; left--) {
		struct conn *conn;

		if (peers->direct_next >= peers->direct_count)
			peers->direct_next = 0;
		conn = peers->direct[peers->direct_next++];
		if (!is_active(conn))
			look_at(conn);
	}
}

/* From last to first: when a peer loses its pair here, the one that takes its place was looked at already. */
void watch_look(void *ctx)
{
	struct peers *peers = ctx;
	uint64_t turn = TURN_IDLE_NS;

	look_at_idle(peers);
	for (size_t i = peers->direct_count; i-- > 0;) {
		struct conn *conn = peers->direct[i];
		uint64_t next;

		if (is_active(conn))
			look_at(conn);
		next = conn->direct_place ? turn_of(conn) : TURN_IDLE_NS;
		if (next < turn)
			turn = next;
	}
	if (peers->direct_count)
		look_after(peers, turn);
}

void watch_soon(struct conn *conn)
{
	conn->active_until_ns = later(conn->active_until_ns, loop_now(conn->peers->loop) + ACTIVE_NS);
	if (loop_now(conn->peers->loop) - conn->silence.direct_ns > SILENCE_FOLLOW_NS)
		look_after(conn->peers, SOON_NS);
}
