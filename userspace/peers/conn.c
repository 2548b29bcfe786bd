// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Carries out for one peer what the table of link.h decides.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "log/log.h"
#include "peers/internal.h"

#define LATE_NS		(5 * LOOP_SECOND)	/* how long we leave the handshake to the controlling side */
#define AFTER_ANSWER_NS	(3 * LOOP_SECOND)	/* our answer says what an offer would */
#define HIDE_NS		(3 * LOOP_SECOND)	/* how long the relay may take before ICE begins without it */
#define FRESH_NS	(60 * LOOP_SECOND)	/* a keepalive comes every 25 s */
/* what is sent is answered within 10 s, if only by a keepalive */
#define HEARD_NS	(15 * LOOP_SECOND)
#define LIVE_NS		LOOP_SECOND		/* ... and while packets flow, all the time */

/* --- what others see --- */

enum peer_status conn_status(const struct conn *conn)
{
	static const enum peer_status statuses[LINK_STATES] = {
		[LINK_IDLE] = PEER_IDLE, [LINK_ASLEEP] = PEER_IDLE, [LINK_SEARCHING] = PEER_CONNECTING,
		[LINK_RELAYED] = PEER_CONNECTED, [LINK_ALONE] = PEER_CONNECTED,
		[LINK_DIRECT] = PEER_CONNECTED, [LINK_SUSPECT] = PEER_CONNECTED,
	};

	return statuses[conn->state];
}

bool conn_has_relay(const struct conn *conn)
{
	return conn->relay && link_has_relay(conn->state);
}

bool conn_has_pair(const struct conn *conn)
{
	return conn->exchange && link_has_pair(conn->state);
}

static void log_way(const struct conn *conn, enum link_event why)
{
	char text[ENDPOINT_TEXT_LEN];

	/* a large map opens thousands of peers, most of which never connect: no line for each */
	if (why == LINK_EV_OPENED)
		return;
	if (conn_status(conn) != PEER_CONNECTED) {
		log_info("peer %s: %s (%s)", conn->name, conn_status(conn) == PEER_IDLE ? "idle"
			: "connecting", link_event_name(why));
	} else if (conn->way == PLANE_DIRECT && !link_has_pair(conn->state)) {
		log_info("peer %s: direct, by the address of before (%s)", conn->name,
			link_event_name(why));
	} else if (conn->way == PLANE_DIRECT) {
		endpoint_format(&conn->exchange->pair.path, text);
		log_info("peer %s: direct, %s (%s)", conn->name, text, link_event_name(why));
	} else {
		log_info("peer %s: relayed by %s (%s)", conn->name,
			conn->relay_address ? conn->relay_address->text : "?", link_event_name(why));
	}
}

static void tell(struct conn *conn, enum link_event why)
{
	struct peers *peers = conn->peers;
	const enum peer_status status = conn_status(conn);
	const bool is_other_way = conn->told_status != status || conn->told_way != conn->way;

	if (!is_other_way && conn->told_silent == conn->is_silent)
		return;
	peers->connected_count += (status == PEER_CONNECTED) - (conn->told_status == PEER_CONNECTED);
	conn->told_status = status;
	conn->told_way = conn->way;
	conn->told_silent = conn->is_silent;
	if (is_other_way) {
		conn->changed_unix_ns = clock_unix_ns();
		log_way(conn, why);
	}
	if (peers->ops.changed)
		peers->ops.changed(peers->ctx, conn->key);
}

/* The status stays "connected", but the choice between routers takes it into account. */
void conn_set_silent(struct conn *conn, bool is_silent)
{
	struct peers *peers = conn->peers;

	if (conn->is_silent == is_silent)
		return;
	conn->is_silent = conn->told_silent = is_silent;
	log_debug("peer %s: %s", conn->name, is_silent ? "does not answer" : "answers again");
	if (peers->ops.changed)
		peers->ops.changed(peers->ctx, conn->key);
}

/* --- what we say --- */

/*
 * Random bytes are fetched in blocks: each fetch is a system call, and a large map opens thousands of links.
 */
static void random_letters(const struct peers *peers, char *text, size_t len)
{
	static const char letters[52] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	uint8_t bytes[48];
	size_t at = sizeof(bytes);

	for (size_t i = 0; i < len; at++) {
		if (at == sizeof(bytes)) {
			peers_random(peers, bytes, sizeof(bytes));
			at = 0;
		}
		if (bytes[at] < 4 * sizeof(letters))	/* so that all letters are equally likely */
			text[i++] = letters[bytes[at] % sizeof(letters)];
	}
	text[len] = '\0';
	sodium_memzero(bytes, sizeof(bytes));
}

/* Never the same id twice in a row, or the other side would take the next agent for the last one. */
void conn_new_session(struct conn *conn)
{
	uint8_t old[SIGNAL_SESSION_ID_LEN];

	memcpy(old, conn->session, sizeof(old));
	do
		peers_random(conn->peers, conn->session, sizeof(conn->session));
	while (!memcmp(old, conn->session, sizeof(old)));
}

/* A peer without ICE gets no credentials either. Old versions expect them even from a peer without ICE. */
static bool has_ice(const struct conn *conn)
{
	return !conn->remote.lacks_ice && !(conn->peers->force_relay && conn->can_lack_ice);
}

void conn_body(const struct conn *conn, enum signal_type type, struct signal_body *ret_body)
{
	const struct peers *peers = conn->peers;
	const char *relay = peers->is_ending ? NULL : peers->ops.relay_address(peers->ctx);

	memset(ret_body, 0, sizeof(*ret_body));
	ret_body->type = type;
	if (type != SIGNAL_OFFER && type != SIGNAL_ANSWER)
		return;
	ret_body->wg_port = peers->wg_port;
	memcpy(ret_body->version, peers->version, sizeof(ret_body->version));
	snprintf(ret_body->relay, sizeof(ret_body->relay), "%s", relay ? relay : "");
	if (relay && peers->ops.relay_remote && peers->ops.relay_remote(peers->ctx))
		ret_body->relay_at = *peers->ops.relay_remote(peers->ctx);
	if (!has_ice(conn))
		return;
	memcpy(ret_body->ufrag, conn->ufrag, sizeof(conn->ufrag));
	memcpy(ret_body->pwd, conn->pwd, sizeof(conn->pwd));
	ret_body->has_session_id = !link_old_is_hidden(conn->old_path);
	memcpy(ret_body->session_id, conn->session, sizeof(conn->session));
}

/* --- where packets go --- */

static void set_way(struct conn *conn, enum plane_way way)
{
	struct peers *peers = conn->peers;
	const struct endpoint *path = way == PLANE_DIRECT ? &conn->exchange->pair.path : NULL;
	int ret;

	conn->way = way;
	ret = peers->ops.set_way(peers->ctx, conn->id, way, path);
	if (ret)
		log_warn("peer %s: cannot send packets there: %s", conn->name, strerror(-ret));
}

bool conn_roams(const struct conn *conn)
{
	return conn->id != PLANE_NO_PEER && !conn->is_heard && !conn->peers->force_relay &&
		(conn->way == PLANE_NOWHERE || link_old_carries(conn->old_path));
}

static void let_roam(struct conn *conn)
{
	struct peers *peers = conn->peers;

	if (peers->ops.let_roam && conn->way == PLANE_NOWHERE && conn_roams(conn))
		peers->ops.let_roam(peers->ctx, conn->id);
}

void conn_no_way(struct conn *conn)
{
	/* one that roams already stays where it was seen */
	if (!conn->peers->ops.let_roam || conn->way != PLANE_NOWHERE || !conn_roams(conn))
		set_way(conn, PLANE_NOWHERE);
	let_roam(conn);
}

static void kick(struct conn *conn)
{
	conn->peers->ops.kick(conn->peers->ctx, conn->id);
}

/* Even if a session lives: a stock peer expects a handshake within 30 s of every new connection. */
static void begin_handshake(struct conn *conn)
{
	struct peers *peers = conn->peers;

	if (peers->ops.rekey)
		peers->ops.rekey(peers->ctx, conn->id);
	else
		peers->ops.kick(peers->ctx, conn->id);
}

static bool is_heard_directly(const struct conn *conn, uint64_t within_ns, struct plane_facts *ret_facts)
{
	const struct peers *peers = conn->peers;

	*ret_facts = (struct plane_facts){ 0 };
	return !peers->ops.facts(peers->ctx, conn->id, ret_facts) && ret_facts->has_session &&
		ret_facts->rx_direct_ns + within_ns > loop_now(peers->loop);
}

/*
 * The old path. After a restart of this process the datapath still sends by the direct path that it had, and
 * the other side by its agent, whose counterpart is gone. A new session id would end that agent at once, and
 * a stock peer would have no way at all until the relay stands. So the first offers go without an id: they
 * bring up the relay and are ignored for ICE. Then the id is told, the other side falls back to the relay,
 * and ICE begins anew. Our packets keep to the old path until theirs come by relay. (enum link_old_path)
 */
static bool has_live_path(const struct conn *conn)
{
	struct plane_facts facts;

	if (conn->way == PLANE_DIRECT)
		return true;
	return is_heard_directly(conn, FRESH_NS, &facts) && facts.rx_direct_ns > facts.rx_relay_ns;
}

static void find_old_path(struct conn *conn)
{
	conn->old_path = !has_live_path(conn) ? LINK_OLD_NONE
		: conn->peers->force_relay ? LINK_OLD_TOLD : LINK_OLD_HIDDEN;
	if (link_old_carries(conn->old_path))
		conn->way = PLANE_DIRECT;
	if (link_old_is_hidden(conn->old_path))
		loop_timer_after(conn->peers->loop, &conn->late, HIDE_NS);
}

/* Returns what held before. */
static enum link_old_path old_path_step(struct conn *conn, enum link_old_event event)
{
	const enum link_old_path before = conn->old_path, after = link_old_step(before, event);

	if (after != LINK_OLD_PATHS)
		conn->old_path = after;
	return before;
}

static void tell_session(struct conn *conn)
{
	if (link_old_is_hidden(old_path_step(conn, LINK_OLD_EV_TELL)))
		offers_rearm(conn, true);
}

static void leave_old_path(struct conn *conn)
{
	if (!link_old_carries(old_path_step(conn, LINK_OLD_EV_LEAVE)))
		return;
	if (conn->state == LINK_RELAYED)
		set_way(conn, PLANE_RELAY);
	else
		conn_no_way(conn);
}

/*
 * The relay stands, and packets still flow directly without the pair that found the way: they stay there
 * until the other side's come by relay, or none comes.
 */
static bool stays_on_old_path(struct conn *conn)
{
	struct plane_facts facts;

	if (conn->state != LINK_RELAYED || !link_old_carries(conn->old_path) ||
		!is_heard_directly(conn, LIVE_NS, &facts))
		return false;
	loop_timer_after(conn->peers->loop, &conn->late, LIVE_NS);
	if (facts.handshake_ns + FRESH_NS < loop_now(conn->peers->loop))
		begin_handshake(conn);
	return true;
}

static void late_due(void *ctx)
{
	struct conn *conn = ctx;
	const bool was_hidden = link_old_is_hidden(conn->old_path);

	tell_session(conn);
	if (was_hidden && conn->state == LINK_SEARCHING)
		return;
	if (stays_on_old_path(conn))
		return;
	if (conn->state == LINK_RELAYED)
		leave_old_path(conn);
	begin_handshake(conn);
	tell(conn, LINK_EV_RELAY_READY);
}

/*
 * The first way after none. The controlling side begins the handshake; the other side does if packets wait,
 * or if no handshake came in time.
 */
static void first_way(struct conn *conn, enum plane_way way)
{
	const bool keeps_old_path = link_old_carries(conn->old_path);
	const bool begins = conn->is_controller || conn->is_wanted;

	if (way == PLANE_DIRECT || !keeps_old_path)
		set_way(conn, way);
	watch_start(conn);
	if (begins)
		begin_handshake(conn);
	if (keeps_old_path || !begins)
		loop_timer_after(conn->peers->loop, &conn->late, LATE_NS);
}

static void no_way(struct conn *conn)
{
	watch_stop(conn);
	loop_timer_cancel(conn->peers->loop, &conn->late);
	if (!link_old_carries(conn->old_path))
		conn_no_way(conn);
}

static void end_relay(struct conn *conn)
{
	struct peers *peers = conn->peers;

	if (conn->relay)
		peers->ops.relay_free(peers->ctx, conn->relay);
	if (conn->relay_address)
		peers_text_put(peers, conn->relay_address);
	conn->relay = NULL;
	conn->relay_address = NULL;
}

static void end_pair(struct conn *conn)
{
	watch_direct_end(conn);
	exchange_end(conn);
}

/* --- the relayed connection --- */

static void relay_ready(void *ctx)
{
	struct conn *conn = ctx;

	if (conn->peers->is_ending)
		return;
	conn_step(conn, LINK_EV_RELAY_READY, NULL);
}

static void relay_closed(void *ctx, const char *why)
{
	struct conn *conn = ctx;

	if (conn_has_relay(conn))
		log_debug("peer %s: relayed connection closed: %s", conn->name, why);
	if (conn->peers->is_ending)
		end_relay(conn);
	else
		conn_step(conn, LINK_EV_RELAY_CLOSED, NULL);
}

static void relay_received(void *ctx, const uint8_t *bytes, size_t len)
{
	struct conn *conn = ctx;
	struct peers *peers = conn->peers;

	peers->ops.relay_received(peers->ctx, conn->id, bytes, len);
	conn_set_silent(conn, false);
	if (conn->state == LINK_RELAYED && link_old_carries(conn->old_path)) {
		leave_old_path(conn);
		tell(conn, LINK_EV_FOLLOW);
	}
	/* it may have left the pair for a reason that we have yet to notice */
	if (conn->state == LINK_DIRECT)
		watch_soon(conn);
}

static const struct relay_peer_events relay_events = { .ready = relay_ready, .closed = relay_closed,
	.received = relay_received };

/* @at: where the peer is connected to it; NULL: not said. */
static void open_relay(struct conn *conn, const char *address, const struct endpoint *at)
{
	struct peers *peers = conn->peers;
	int ret;

	conn->relay_address = peers_text_get(peers, address);
	if (!conn->relay_address)
		return;
	ret = peers->ops.relay_open(peers->ctx, conn->key, address, at, &relay_events, conn, &conn->relay);
	if (!ret)
		return;
	log_debug("peer %s: no relayed connection by %s: %s", conn->name, address, strerror(-ret));
	conn->relay = NULL;
	end_relay(conn);
}

void conn_resume_relay(struct conn *conn)
{
	struct peers *peers = conn->peers;
	char relay[TALON_RELAY_NAME_MAX];

	if (conn->relay || !peers->ops.relay_was || !peers->ops.relay_address(peers->ctx) ||
		!peers->ops.relay_was(peers->ctx, conn->key, relay, sizeof(relay)))
		return;
	open_relay(conn, relay, NULL);
	if (!conn->relay)
		return;
	conn->remote.has_relay = true;
	peers->ops.relay_presume(peers->ctx, conn->relay);
}

/*
 * Where the peer says that it is connected to its relay, if that is the one which carries the pair. Never an
 * address that leads into the mesh: the mesh may have no other way than that relay.
 */
static const struct endpoint *remote_relay_at(const struct conn *conn, const struct signal_body *body)
{
	const struct endpoint *at = &body->relay_at;

	if (conn->is_controller || !endpoint_is_known(at) || peers_is_routed(conn->peers, at->family,
		&at->remote))
		return NULL;
	return at;
}

/*
 * Both sides meet on the controlling side's server. A relayed connection that stands is left alone; one that
 * is still being opened is replaced if the server is another one now.
 */
static void hear_relay(struct conn *conn, const struct signal_body *body)
{
	const char *own = conn->peers->ops.relay_address(conn->peers->ctx);
	const char *address = conn->is_controller ? own : body->relay;

	conn->remote.has_relay = body->relay[0];
	if (!own || !body->relay[0] || conn_has_relay(conn))
		return;
	if (conn->relay) {
		if (!strcmp(conn->relay_address->text, address))
			return;
		end_relay(conn);
	}
	open_relay(conn, address, remote_relay_at(conn, body));
}

/* --- the actions --- */

static void open_anew(struct conn *conn)
{
	random_letters(conn->peers, conn->ufrag, SIGNAL_UFRAG_LEN);
	random_letters(conn->peers, conn->pwd, SIGNAL_PWD_LEN);
	conn_new_session(conn);
	find_old_path(conn);
	conn->offers.has_begun = false;
	conn->remote = (struct remote){ 0 };
}

static void do_open(struct conn *conn, const struct signal_body *body)
{
	open_anew(conn);
	let_roam(conn);
	conn_resume_relay(conn);
	offers_start(conn, 0);
}

static void do_exchange(struct conn *conn, const struct signal_body *body)
{
	conn->remote.announces_rosenpass = body->has_rosenpass_key;
	hear_relay(conn, body);
	exchange_hear(conn, body);
	/* no relay to wait for: tell the session, since the other side makes no agent without an id */
	if (!conn->relay)
		tell_session(conn);
	if (body->type == SIGNAL_OFFER)
		exchange_answer(conn);
}

static void do_open_exchange(struct conn *conn, const struct signal_body *body)
{
	open_anew(conn);
	offers_start(conn, AFTER_ANSWER_NS);
	do_exchange(conn, body);
}

static void do_open_candidate(struct conn *conn, const struct signal_body *body)
{
	do_open(conn, body);
	exchange_candidate(conn, body);
}

void conn_stop(struct conn *conn)
{
	end_pair(conn);
	end_relay(conn);
	watch_stop(conn);
	loop_timer_cancel(conn->peers->loop, &conn->late);
	offers_stop(conn);
	free(conn->early);
	conn->early = NULL;
	conn->old_path = LINK_OLD_NONE;
	conn->is_wanted = conn->is_silent = false;
	sodium_memzero(conn->ufrag, sizeof(conn->ufrag));
	sodium_memzero(conn->pwd, sizeof(conn->pwd));
}

static void do_close(struct conn *conn, const struct signal_body *body)
{
	conn_stop(conn);
	conn_no_way(conn);
}

static void do_let_go(struct conn *conn, const struct signal_body *body)
{
	conn_stop(conn);
}

/*
 * The sessions go first: packets without a session are held and wake the peer; packets with a session but no
 * way are dropped.
 */
static void do_sleep(struct conn *conn, const struct signal_body *body)
{
	conn->peers->ops.reset(conn->peers->ctx, conn->id);
	do_close(conn, body);
}

static void do_candidate(struct conn *conn, const struct signal_body *body)
{
	exchange_candidate(conn, body);
}

static void do_use_relay(struct conn *conn, const struct signal_body *body)
{
	conn->is_silent = false;
	first_way(conn, PLANE_RELAY);
	tell_session(conn);
}

static void do_end_relay(struct conn *conn, const struct signal_body *body)
{
	end_relay(conn);
}

static void do_lose_standby(struct conn *conn, const struct signal_body *body)
{
	end_relay(conn);
	offers_rearm(conn, false);
}

static void do_lose_relay(struct conn *conn, const struct signal_body *body)
{
	no_way(conn);
	do_lose_standby(conn, body);
}

/*
 * Checks went both ways, so packets may leave by the pair, whichever side nominated it. The controlling side
 * sends at once, because a stock peer that does not control keeps sending by relay until it hears from us
 * here.
 */
static void do_use_pair(struct conn *conn, const struct signal_body *body)
{
	conn->old_path = LINK_OLD_NONE;
	conn->is_silent = false;
	if (loop_timer_is_set(&conn->watch)) {		/* the relay carried before */
		set_way(conn, PLANE_DIRECT);
		if (conn->is_controller)
			kick(conn);
	} else {
		first_way(conn, PLANE_DIRECT);
	}
	watch_direct(conn, true);
}

static void do_end_pair(struct conn *conn, const struct signal_body *body)
{
	end_pair(conn);
	conn_new_session(conn);
}

static void do_renew_pair(struct conn *conn, const struct signal_body *body)
{
	do_end_pair(conn, body);
	watch_stop(conn);
	old_path_step(conn, LINK_OLD_EV_KEEP);
	offers_rearm(conn, false);
}

/*
 * Checks are answered by the other side's process, packets by its datapath, which lives without. While
 * packets flow, ours stay on the pair's address: the relay is the process's, too, which may be gone again
 * before the next pair is found. Returns whether they do.
 */
static bool keep_address(struct conn *conn)
{
	struct plane_facts facts;

	/* a process that ends names no relay, and its datapath may end, too */
	if (conn->way != PLANE_DIRECT || !conn->remote.has_relay || !is_heard_directly(conn, LIVE_NS, &facts))
		return false;
	old_path_step(conn, LINK_OLD_EV_KEEP);
	loop_timer_after(conn->peers->loop, &conn->late, LIVE_NS);
	return true;
}

static void do_leave_pair(struct conn *conn, const struct signal_body *body)
{
	do_end_pair(conn, body);
	set_way(conn, PLANE_RELAY);
	kick(conn);
	offers_rearm(conn, false);
}

static void do_fall_back(struct conn *conn, const struct signal_body *body)
{
	do_end_pair(conn, body);
	offers_rearm(conn, false);
	if (keep_address(conn))
		return;
	set_way(conn, PLANE_RELAY);
	kick(conn);
}

/* The other side may have restarted and know nothing of our session. */
static void do_fall_back_renew(struct conn *conn, const struct signal_body *body)
{
	struct peers *peers = conn->peers;

	do_end_pair(conn, body);
	if (!keep_address(conn)) {
		set_way(conn, PLANE_RELAY);
		if (!conn->is_controller)
			loop_timer_after(peers->loop, &conn->late, LATE_NS);
	}
	if (conn->is_controller && !peers->ops.rekey)
		peers->ops.reset(peers->ctx, conn->id);
	if (conn->is_controller)
		begin_handshake(conn);
	watch_start(conn);
	offers_rearm(conn, false);
}

/* No relay either: if authentic packets came from there just now, ours go on to where they went. */
static void do_lose_pair(struct conn *conn, const struct signal_body *body)
{
	struct plane_facts facts;
	const bool is_heard = is_heard_directly(conn, HEARD_NS, &facts);

	do_end_pair(conn, body);
	if (is_heard)
		old_path_step(conn, LINK_OLD_EV_KEEP);
	no_way(conn);
	offers_rearm(conn, false);
}

static void do_drop_pair(struct conn *conn, const struct signal_body *body)
{
	end_pair(conn);
	set_way(conn, PLANE_RELAY);
	watch_start(conn);
	offers_rearm(conn, false);
}

static void do_drop_pair_alone(struct conn *conn, const struct signal_body *body)
{
	end_pair(conn);
	no_way(conn);
	offers_rearm(conn, false);
}

static void do_leave_pair_alone(struct conn *conn, const struct signal_body *body)
{
	conn_new_session(conn);
	do_drop_pair_alone(conn, body);
}

/* A stock peer waits 6 s for checks; told of a new session it leaves the pair at once. */
static void do_give_up(struct conn *conn, const struct signal_body *body)
{
	do_end_pair(conn, body);
	offers_rearm(conn, true);
}

/* The keepalive tells the other side, which follows what comes by relay. */
static void do_detour(struct conn *conn, const struct signal_body *body)
{
	struct peers *peers = conn->peers;

	conn->turned_ns = loop_now(peers->loop);
	set_way(conn, PLANE_RELAY);
	kick(conn);
	peers->ops.ice_probe(peers->ctx, conn->exchange->agent);
}

static void do_return(struct conn *conn, const struct signal_body *body)
{
	set_way(conn, PLANE_DIRECT);
	kick(conn);
	watch_direct(conn, false);
}

static void do_stay(struct conn *conn, const struct signal_body *body)
{
	set_way(conn, PLANE_DIRECT);
	watch_direct(conn, false);
	do_lose_standby(conn, body);
}

static void do_note(struct conn *conn, const struct signal_body *body)
{
	conn->is_wanted = conn->needs_rosenpass = false;
	if (!link_old_carries(conn->old_path))
		loop_timer_cancel(conn->peers->loop, &conn->late);
}

typedef void (*action_fn)(struct conn *conn, const struct signal_body *body);

static const action_fn actions[LINK_ACTIONS] = {
	[LINK_DO_OPEN] = do_open,
	[LINK_DO_OPEN_EXCHANGE] = do_open_exchange,
	[LINK_DO_OPEN_CANDIDATE] = do_open_candidate,
	[LINK_DO_CLOSE] = do_close,
	[LINK_DO_LET_GO] = do_let_go,
	[LINK_DO_SLEEP] = do_sleep,
	[LINK_DO_EXCHANGE] = do_exchange,
	[LINK_DO_CANDIDATE] = do_candidate,
	[LINK_DO_USE_RELAY] = do_use_relay,
	[LINK_DO_END_RELAY] = do_end_relay,
	[LINK_DO_LOSE_STANDBY] = do_lose_standby,
	[LINK_DO_LOSE_RELAY] = do_lose_relay,
	[LINK_DO_DROP_RELAY] = do_lose_relay,
	[LINK_DO_USE_PAIR] = do_use_pair,
	[LINK_DO_END_PAIR] = do_end_pair,
	[LINK_DO_RENEW_PAIR] = do_renew_pair,
	[LINK_DO_FALL_BACK] = do_fall_back,
	[LINK_DO_FALL_BACK_RENEW] = do_fall_back_renew,
	[LINK_DO_LOSE_PAIR] = do_lose_pair,
	[LINK_DO_LEAVE_PAIR] = do_leave_pair,
	[LINK_DO_LEAVE_PAIR_ALONE] = do_leave_pair_alone,
	[LINK_DO_DROP_PAIR] = do_drop_pair,
	[LINK_DO_DROP_PAIR_ALONE] = do_drop_pair_alone,
	[LINK_DO_GIVE_UP] = do_give_up,
	[LINK_DO_DETOUR] = do_detour,
	[LINK_DO_RETURN] = do_return,
	[LINK_DO_STAY] = do_stay,
	[LINK_DO_NOTE] = do_note,
};

void conn_step(struct conn *conn, enum link_event event, const struct signal_body *body)
{
	const enum link_state from = conn->state;
	const struct link_move move = link_step(from, event);

	if (move.action == LINK_DO_COMPLAIN && !conn->peers->complaints++)
		log_warn("peer %s: \"%s\" came while %s", conn->name, link_event_name(event),
			link_state_name(from));
	if (move.to != from)
		log_debug("peer %s: %s, %s: %s", conn->name, link_state_name(from), link_event_name(event),
			link_action_name(move.action));
	conn->state = move.to;
	if (actions[move.action])
		actions[move.action](conn, body);
	tell(conn, event);
}

/* Packets wait, so the datapath has no way: an old path that we believed in is gone. */
void conn_wanted(struct conn *conn)
{
	conn->is_wanted = true;
	leave_old_path(conn);
	conn_step(conn, LINK_EV_WANTED, NULL);
}

void conn_init(struct conn *conn, struct peers *peers)
{
	conn->peers = peers;
	offers_init(conn);
	watch_init(conn);
	loop_timer_init(&conn->late, late_due, conn);
}
