// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// When to offer: soon after the link was opened or something happened to it, then at growing
// intervals without
// end, or once an hour if the relay carries; and paced, so that thousands of peers do not send at once.
#include <sodium.h>

#include "peers/internal.h"

#define OPEN_WAIT_NS	(3 * LOOP_SECOND)
#define LOSS_WAIT_NS	(800 * LOOP_MS)
#define MOST_FIRST_S	30			/* T: between 30 and 45 s */
#define MOST_SPREAD_MS	15000
#define RELAYED_MOST	3			/* offers while the relay carries, */
#define RELAYED_NS	(3600 * LOOP_SECOND)	/* and then one each hour: ICE seems impossible */
#define BURST		64			/* offers at once */
#define GAP_NS		(2 * LOOP_MS)		/* ... and then one by one */

static uint32_t random_below(const struct peers *peers, uint32_t limit)
{
	uint32_t number;

	peers_random(peers, &number, sizeof(number));
	return (uint64_t)number * limit >> 32;
}

/* @ns, 10 % more or less. */
static uint64_t about(const struct peers *peers, uint64_t ns)
{
	return ns - ns / 10 + ns / 5 / 1000 * random_below(peers, 1001);
}

enum missing { MISSING_NOTHING, MISSING_PAIR, MISSING_RELAY };

/*
 * What there is to offer for: ICE neither connected nor under way, or no relay although both sides have one.
 */
static enum missing find_missing(const struct conn *conn)
{
	const struct peers *peers = conn->peers;
	const bool can_relay = conn->remote.has_relay && peers->ops.relay_address(peers->ctx);

	if (peers->force_relay || conn->remote.lacks_ice)
		return conn_has_relay(conn) ? MISSING_NOTHING : MISSING_RELAY;
	if (conn_has_relay(conn))
		return conn->exchange ? MISSING_NOTHING : MISSING_PAIR;
	return conn->exchange && !can_relay ? MISSING_NOTHING : MISSING_RELAY;
}

static void offer(struct conn *conn)
{
	struct peers *peers = conn->peers;
	struct signal_body body;

	conn_body(conn, SIGNAL_OFFER, &body);
	if (!peers->ops.signal_send(peers->ctx, conn->key, &body, NULL, NULL))
		conn->offers.has_begun = true;
	sodium_memzero(&body, sizeof(body));
}

/* When the next offer may leave, CLOCK_BOOTTIME ns; each caller gets its own time. */
static uint64_t take_slot(struct peers *peers)
{
	const uint64_t now = loop_now(peers->loop);

	if (peers->slot_ns + BURST * GAP_NS < now)
		peers->slot_ns = now - BURST * GAP_NS;
	peers->slot_ns += GAP_NS;
	return peers->slot_ns;
}

/* Returns true if the offer that is due has to wait; the timer is set then. */
static bool must_wait(struct conn *conn)
{
	struct peers *peers = conn->peers;
	const uint64_t now = loop_now(peers->loop);
	uint64_t at;

	/* an offer without a relay makes the other side believe that we have none */
	if (!conn->offers.has_begun && now < peers->grace_until_ns && !peers->ops.relay_address(peers->ctx)) {
		loop_timer_set(peers->loop, &conn->offers.timer, peers->grace_until_ns);
		return true;
	}
	if (conn->offers.waits == OFFERS_IN_LINE) {
		conn->offers.waits = OFFERS_BY_INTERVAL;
		return false;
	}
	at = take_slot(peers);
	if (at <= now)
		return false;
	conn->offers.waits = OFFERS_IN_LINE;
	loop_timer_set(peers->loop, &conn->offers.timer, at);
	return true;
}

static void tick(void *ctx)
{
	struct conn *conn = ctx;
	struct peers *peers = conn->peers;
	struct offers *offers = &conn->offers;
	const enum missing missing = find_missing(conn);

	if (missing == MISSING_PAIR && offers->relayed == RELAYED_MOST) {
		offers->relayed++;	/* from the next tick on, one each hour */
		loop_timer_after(peers->loop, &offers->timer, RELAYED_NS);
		return;
	}
	if (missing && peers->ops.signal_is_connected(peers->ctx)) {
		if (must_wait(conn))
			return;
		offer(conn);
		if (missing == MISSING_PAIR && offers->relayed < RELAYED_MOST)
			offers->relayed++;
	}
	if (offers->relayed > RELAYED_MOST) {
		loop_timer_after(peers->loop, &offers->timer, RELAYED_NS);
		return;
	}
	offers->waits = OFFERS_BY_INTERVAL;
	loop_timer_after(peers->loop, &offers->timer, about(peers, offers->wait_ns));
	offers->wait_ns = 2 * offers->wait_ns < offers->most_ns ? 2 * offers->wait_ns : offers->most_ns;
}

static void start(struct conn *conn, uint64_t after_ns, uint64_t wait_ns)
{
	struct peers *peers = conn->peers;

	if (peers->is_ending)
		return;
	conn->offers.most_ns = MOST_FIRST_S * LOOP_SECOND + random_below(peers, MOST_SPREAD_MS + 1) * LOOP_MS;
	conn->offers.wait_ns = wait_ns;
	conn->offers.relayed = 0;
	conn->offers.waits = OFFERS_BY_INTERVAL;
	loop_timer_after(peers->loop, &conn->offers.timer, after_ns);
}

void offers_init(struct conn *conn)
{
	loop_timer_init(&conn->offers.timer, tick, conn);
}

void offers_start(struct conn *conn, uint64_t after_ns)
{
	start(conn, after_ns, OPEN_WAIT_NS);
}

void offers_rearm(struct conn *conn, bool now)
{
	if (now)
		start(conn, 0, LOSS_WAIT_NS);
	else
		start(conn, about(conn->peers, LOSS_WAIT_NS), 2 * LOSS_WAIT_NS);
}

void offers_stop(struct conn *conn)
{
	loop_timer_cancel(conn->peers->loop, &conn->offers.timer);
}
