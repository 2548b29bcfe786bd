// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One ICE session with one peer: when an agent is made, and candidates in both directions.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "log/log.h"
#include "peers/internal.h"

/* so that no candidate overtakes our answer: it would find no agent and be lost */
#define AFTER_ANSWER_NS	(200 * LOOP_MS)
#define REPEAT_NS	LOOP_SECOND
#define EARLY_NS	(15 * LOOP_SECOND)	/* older candidates belong to a session that has ended */

static void send_next(struct exchange *exchange);

static void candidate_sent(void *ctx, int error)
{
	struct exchange *exchange = ctx;

	exchange->is_sending = false;
	exchange->sent_count++;
	send_next(exchange);
}

static int send_one(struct exchange *exchange, const struct ice_candidate *candidate)
{
	struct conn *conn = exchange->conn;
	struct peers *peers = conn->peers;
	struct signal_body body;
	int ret;

	conn_body(conn, SIGNAL_CANDIDATE, &body);
	ret = ice_candidate_format(candidate, conn->ufrag, body.candidate, sizeof(body.candidate));
	if (ret < 0)
		return ret;
	return peers->ops.signal_send(peers->ctx, conn->key, &body, candidate_sent, exchange);
}

/* One at a time: unary calls overtake each other, and the host candidate has to be the first. */
static void send_next(struct exchange *exchange)
{
	struct loop *loop = exchange->conn->peers->loop;

	if (exchange->round == CANDIDATES_HELD || exchange->is_sending || conn_has_pair(exchange->conn))
		return;
	while (exchange->sent_count < exchange->local_count) {
		exchange->is_sending = true;
		if (!send_one(exchange, &exchange->local[exchange->sent_count]))
			return;
		exchange->is_sending = false;
		exchange->sent_count++;
	}
	if (exchange->round == CANDIDATES_FIRST && exchange->local_count &&
		!loop_timer_is_set(&exchange->timer))
		loop_timer_after(loop, &exchange->timer, REPEAT_NS);
}

static void send_now(struct exchange *exchange)
{
	if (exchange->round != CANDIDATES_HELD)
		return;
	exchange->round = CANDIDATES_FIRST;
	loop_timer_cancel(exchange->conn->peers->loop, &exchange->timer);
	send_next(exchange);
}

static void timer_due(void *ctx)
{
	struct exchange *exchange = ctx;

	if (exchange->round == CANDIDATES_HELD) {
		send_now(exchange);
		return;
	}
	exchange->round = CANDIDATES_AGAIN;
	exchange->sent_count = 0;
	send_next(exchange);
}

static void local_candidate(void *ctx, const struct ice_candidate *candidate)
{
	struct exchange *exchange = ctx;

	if (!exchange->local || exchange->local_count == LOCAL_MAX)
		return;
	exchange->local[exchange->local_count++] = *candidate;
	send_next(exchange);
}

static void stop_sending(struct exchange *exchange)
{
	struct peers *peers = exchange->conn->peers;

	loop_timer_cancel(peers->loop, &exchange->timer);
	peers->ops.signal_forget(peers->ctx, exchange);
	exchange->is_sending = false;
}

static void pair_selected(void *ctx, const struct ice_pair_info *pair)
{
	struct exchange *exchange = ctx;

	stop_sending(exchange);
	free(exchange->local);
	exchange->local = NULL;
	exchange->local_count = 0;
	exchange->pair = *pair;
	conn_step(exchange->conn, LINK_EV_PAIR_SELECTED, NULL);
}

static void agent_failed(void *ctx, bool had_been_connected)
{
	struct exchange *exchange = ctx;

	conn_step(exchange->conn, LINK_EV_PAIR_LOST, NULL);
}

static const struct ice_agent_events agent_events = {
	.candidate = local_candidate,
	.connected = pair_selected,
	.failed = agent_failed,
};

static int make_agent(struct exchange *exchange, const struct signal_body *body)
{
	struct conn *conn = exchange->conn;
	struct peers *peers = conn->peers;
	struct ice_agent_config config = { .is_controlling = conn->is_controller };
	int ret;

	memcpy(config.local_ufrag, conn->ufrag, sizeof(conn->ufrag));
	memcpy(config.local_pwd, conn->pwd, sizeof(conn->pwd));
	memcpy(config.remote_ufrag, body->ufrag, sizeof(config.remote_ufrag));
	memcpy(config.remote_pwd, body->pwd, sizeof(config.remote_pwd));
	ret = peers->ops.ice_new(peers->ctx, &config, &agent_events, exchange, &exchange->agent);
	sodium_memzero(&config, sizeof(config));
	return ret;
}

static void use_early(struct conn *conn)
{
	struct peers *peers = conn->peers;
	struct early *early = conn->early;

	conn->early = NULL;
	if (early && loop_now(peers->loop) - early->at_ns <= EARLY_NS) {
		for (size_t i = 0; i < early->count; i++)
			peers->ops.ice_add_remote(peers->ctx, conn->exchange->agent, &early->list[i]);
	}
	free(early);
}

static int begin(struct conn *conn, const struct signal_body *body)
{
	struct exchange *exchange = calloc(1, sizeof(*exchange));
	int ret = -ENOMEM;

	if (!exchange)
		return ret;
	exchange->conn = conn;
	exchange->has_remote_session = body->has_session_id;
	memcpy(exchange->remote_session, body->session_id, sizeof(exchange->remote_session));
	loop_timer_init(&exchange->timer, timer_due, exchange);
	exchange->local = calloc(LOCAL_MAX, sizeof(*exchange->local));
	if (exchange->local)
		ret = make_agent(exchange, body);
	if (ret) {
		free(exchange->local);
		free(exchange);
		return ret;
	}
	conn->exchange = exchange;
	use_early(conn);
	/* the answering side has its agent already, the offering side makes it when our answer arrives */
	if (body->type == SIGNAL_ANSWER)
		send_now(exchange);
	return 0;
}

/* Old clients send no id: theirs is always taken for the session that we know. */
static bool is_same_session(const struct exchange *exchange, const struct signal_body *body)
{
	if (!body->has_session_id)
		return true;
	return exchange->has_remote_session && !memcmp(exchange->remote_session, body->session_id,
		sizeof(exchange->remote_session));
}

void exchange_hear(struct conn *conn, const struct signal_body *body)
{
	int ret;

	conn->remote.lacks_ice = !body->ufrag[0] || !body->pwd[0];
	if (conn->peers->force_relay || link_old_is_hidden(conn->old_path))
		return;
	if (conn->remote.lacks_ice) {
		if (conn->exchange)
			conn_step(conn, LINK_EV_PAIR_BARRED, NULL);
		return;
	}
	if (conn->exchange && is_same_session(conn->exchange, body)) {
		if (body->type == SIGNAL_ANSWER && !conn_has_pair(conn))
			send_now(conn->exchange);
		return;
	}
	if (conn->exchange)
		conn_step(conn, LINK_EV_NEW_SESSION, NULL);
	ret = begin(conn, body);
	if (ret)
		log_warn("peer %s: cannot start ICE: %s", conn->name, strerror(-ret));
}

static void answer_sent(void *ctx, int error)
{
	struct exchange *exchange = ctx;

	if (exchange->round == CANDIDATES_HELD)
		loop_timer_after(exchange->conn->peers->loop, &exchange->timer, AFTER_ANSWER_NS);
}

/*
 * A peer that offers while we already try has no agent yet or missed our answer, and with it the candidates
 * that we sent: they are sent again.
 */
void exchange_answer(struct conn *conn)
{
	struct exchange *exchange = conn->exchange;
	struct peers *peers = conn->peers;
	struct signal_body body;
	bool is_waited_for = exchange && !conn_has_pair(conn);
	int ret;

	if (is_waited_for) {
		stop_sending(exchange);
		exchange->round = CANDIDATES_HELD;
		exchange->sent_count = 0;
	}
	conn_body(conn, SIGNAL_ANSWER, &body);
	ret = peers->ops.signal_send(peers->ctx, conn->key, &body, is_waited_for ? answer_sent : NULL,
		is_waited_for ? exchange : NULL);
	sodium_memzero(&body, sizeof(body));
	if (ret && is_waited_for)
		answer_sent(exchange, ret);
}

static void keep_early(struct conn *conn, const struct ice_candidate *candidate)
{
	const uint64_t now = loop_now(conn->peers->loop);

	if (!conn->early)
		conn->early = calloc(1, sizeof(*conn->early));
	if (!conn->early)
		return;
	if (now - conn->early->at_ns > EARLY_NS)
		conn->early->count = 0;
	if (conn->early->count == EARLY_MAX)
		return;
	conn->early->list[conn->early->count++] = *candidate;
	conn->early->at_ns = now;
}

void exchange_candidate(struct conn *conn, const struct signal_body *body)
{
	struct peers *peers = conn->peers;
	struct ice_candidate candidate;

	if (peers->force_relay || ice_candidate_parse(body->candidate, &candidate))
		return;
	if (peers_is_routed(peers, candidate.family, &candidate.addr)) {
		log_debug("peer %s: a candidate inside a network that we reach through the mesh is left out",
			conn->name);
		return;
	}
	if (!conn->exchange) {
		keep_early(conn, &candidate);
		return;
	}
	peers->ops.ice_add_remote(peers->ctx, conn->exchange->agent, &candidate);
	/* a candidate of theirs proves that they have an agent */
	if (!conn_has_pair(conn))
		send_now(conn->exchange);
}

void exchange_end(struct conn *conn)
{
	struct exchange *exchange = conn->exchange;
	struct peers *peers = conn->peers;

	if (!exchange)
		return;
	conn->exchange = NULL;
	stop_sending(exchange);
	peers->ops.ice_free(peers->ctx, exchange->agent);
	free(exchange->local);
	free(exchange);
}
