// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The search for a direct path to one peer, and consent checks on the path found (RFC 8445, with the timing
// of NetBird's peers).
#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ice/candidate.h"
#include "ice/internal.h"

#define ROUND_NS	(200 * LOOP_MS)		/* each round checks every waiting pair: no pacing */
#define TRIES		8
#define ATTEMPT_NS	(12 * LOOP_SECOND)
#define KEEPALIVE_NS	(2 * LOOP_SECOND)
#define DOUBT_NS	(500 * LOOP_MS)		/* after an unanswered check: one packet may be lost */
#define LOST_NS		(6 * LOOP_SECOND)
#define PENDING_US	4000000U		/* how long an answer to a check may take */
#define TRIGGERED_MAX	3	/* checks out of turn per pair and round, so that two sides do not loop */
#define REMOTES_MAX	32
#define PAIRS_MAX	64

/* How long to wait for a better pair before one is nominated, from the first check on. */
static const uint64_t acceptance_ns[] = {
	[ICE_HOST] = 0,
	[ICE_SRFLX] = 500 * LOOP_MS,
	[ICE_PRFLX] = 1000 * LOOP_MS,
	[ICE_RELAY] = 2000 * LOOP_MS,
};

static uint64_t now_of(const struct ice_agent *agent)
{
	return loop_now(agent->mux->loop);
}

static uint32_t now_us(const struct ice_agent *agent)
{
	return now_of(agent) / 1000;
}

static void endpoint_of(const struct ice_agent *agent, const struct ice_pair *pair, struct endpoint *ret_path)
{
	const struct ice_remote *remote = &agent->remotes[pair->remote];

	*ret_path = (struct endpoint){
		.family = remote->family, .port = remote->port, .ifindex = pair->ifindex,
			.remote = remote->addr, .local = pair->local,
	};
}

static void die(struct ice_agent *agent)
{
	agent->state = AGENT_DEAD;
	loop_timer_cancel(agent->mux->loop, &agent->timer);
	ice_mux_remove(agent->mux, agent);
}

static void fail(struct ice_agent *agent)
{
	bool had_been_connected = agent->state == AGENT_CONNECTED;

	die(agent);
	agent->events->failed(agent->ctx, had_been_connected);
}

/* The two candidates' names, for the peer's multiplexer. NULL if it did not tell us its one. */
static const char *cids_of(const struct ice_agent *agent, const struct ice_pair *pair,
	char text[static STUN_CIDS_LEN + 1])
{
	const struct ice_remote *remote = &agent->remotes[pair->remote];
	const struct ice_local *local = ice_mux_find_host(agent->mux, remote->family, &pair->local);

	if (!remote->cid[0] || !local)
		return NULL;
	memcpy(text, local->candidate.cid, ICE_CID_LEN);
	text[ICE_CID_LEN] = ':';
	memcpy(text + ICE_CID_LEN + 1, remote->cid, ICE_CID_LEN + 1);
	return text;
}

static void join_username(const struct ice_agent *agent, char text[static STUN_USERNAME_MAX + 1])
{
	snprintf(text, STUN_USERNAME_MAX + 1, "%s:%s", agent->remote_ufrag, agent->local_ufrag);
}

static void check(struct ice_agent *agent, uint8_t index, bool nominates)
{
	const struct ice_pair *pair = &agent->pairs[index];
	const struct ice_tx tx = { .agent = agent->id, .pair = index, .nominates = nominates,
		.sent_us = now_us(agent) };
	char username[STUN_USERNAME_MAX + 1], cids[STUN_CIDS_LEN + 1];
	uint8_t id[STUN_TX_LEN], bytes[STUN_BUILD_MAX];
	struct stun_request request = {
		.tx = id, .username = username, .password = agent->remote_pwd, .use_candidate = nominates,
		.is_controlling = agent->is_controlling, .tie_breaker = agent->tie_breaker,
		.priority = ice_candidate_priority(ICE_HOST), .cids = cids_of(agent, pair, cids),
	};
	struct endpoint to;
	int len;

	join_username(agent, username);
	ice_mux_make_tx(agent->mux, &tx, id);
	len = stun_build_request(&request, bytes, sizeof(bytes));
	if (len < 0)
		return;
	endpoint_of(agent, pair, &to);
	if (!agent->checking_ns)
		agent->checking_ns = now_of(agent);
	ice_mux_send(agent->mux, &to, bytes, len);
}

/* One regular try. */
static void try_pair(struct ice_agent *agent, uint8_t index)
{
	struct ice_pair *pair = &agent->pairs[index];

	pair->triggered = 0;
	if (pair->state != PAIR_WAITING)
		return;
	if (pair->tries >= TRIES) {
		pair->state = PAIR_FAILED;
		return;
	}
	pair->tries++;
	check(agent, index, false);
}

/* RFC 8445 section 7.3.1.4: a check from the peer triggers one of ours, even if the pair had failed. */
static void trigger(struct ice_agent *agent, uint8_t index)
{
	struct ice_pair *pair = &agent->pairs[index];

	if (pair->state == PAIR_FAILED) {
		pair->state = PAIR_WAITING;
		pair->tries = 0;
	}
	if (pair->state != PAIR_WAITING || agent->nominated >= 0 || pair->triggered == TRIGGERED_MAX)
		return;
	pair->triggered++;
	check(agent, index, false);
}

static void check_round(struct ice_agent *agent)
{
	agent->round_ns = now_of(agent) + ROUND_NS;
	if (agent->nominated >= 0) {
		check(agent, agent->nominated, true);
		return;
	}
	for (uint8_t i = 0; i < agent->pair_count; i++)
		try_pair(agent, i);
}

static uint64_t pair_priority(const struct ice_agent *agent, const struct ice_pair *pair)
{
	const uint64_t ours = ice_candidate_priority(ICE_HOST),
		theirs = agent->remotes[pair->remote].priority;
	const uint64_t g = agent->is_controlling ? ours : theirs, d = agent->is_controlling ? theirs : ours;

	return UINT32_MAX * (g < d ? g : d) + 2 * (g > d ? g : d) + (g > d);
}

static bool is_better(const struct ice_agent *agent, const struct ice_pair *a, const struct ice_pair *b)
{
	const uint64_t pa = pair_priority(agent, a), pb = pair_priority(agent, b);

	return pa != pb ? pa > pb : a->rtt_us < b->rtt_us;
}

/* The best pair that works, if it has waited long enough for better ones. Exactly one is ever nominated. */
static void maybe_nominate(struct ice_agent *agent)
{
	int best = -1;

	if (!agent->is_controlling || agent->nominated >= 0)
		return;
	for (uint8_t i = 0; i < agent->pair_count; i++) {
		if (agent->pairs[i].state == PAIR_SUCCEEDED &&
			(best < 0 || is_better(agent, &agent->pairs[i], &agent->pairs[best])))
			best = i;
	}
	if (best < 0 ||
		now_of(agent) -
		agent->checking_ns < acceptance_ns[agent->remotes[agent->pairs[best].remote].type])
		return;
	agent->nominated = best;
	check_round(agent);
}

/* Only the selected pair is left, and first; what is in flight for others no longer matters. */
static void keep_only(struct ice_agent *agent, uint8_t index)
{
	const struct ice_pair pair = agent->pairs[index];
	struct ice_remote *remotes;
	struct ice_pair *pairs;

	agent->remotes[0] = agent->remotes[pair.remote];
	agent->pairs[0] = pair;
	agent->pairs[0].remote = 0;
	agent->remote_count = agent->pair_count = 1;
	agent->nominated = -1;
	remotes = realloc(agent->remotes, sizeof(*remotes));
	pairs = realloc(agent->pairs, sizeof(*pairs));
	if (remotes)
		agent->remotes = remotes;
	if (pairs)
		agent->pairs = pairs;
	agent->remote_room = agent->pair_room = 1;
}

static enum ice_candidate_type local_type(const struct ice_agent *agent, const struct ice_pair *pair,
	uint16_t family)
{
	const struct ice_mux *mux = agent->mux;

	if (!pair->mapped_port || (!memcmp(&pair->mapped, &pair->local, sizeof(pair->local)) &&
		pair->mapped_port == mux->port))
		return ICE_HOST;
	for (size_t i = 0; i < mux->srflx_count; i++) {
		const struct ice_candidate *c = &mux->srflx[i].candidate;

		if (c->family == family && c->port == pair->mapped_port &&
			!memcmp(&c->addr, &pair->mapped, sizeof(c->addr)))
			return ICE_SRFLX;
	}
	return ICE_PRFLX;
}

static void describe(const struct ice_agent *agent, struct ice_pair_info *ret_pair)
{
	const struct ice_pair *pair = &agent->pairs[0];
	const struct ice_remote *remote = &agent->remotes[0];
	bool was_seen = pair->mapped_port;

	*ret_pair = (struct ice_pair_info){
		.local_type = local_type(agent, pair, remote->family),
		.remote_type = remote->type,
		.local = { .family = remote->family, .ifindex = pair->ifindex,
			   .port = was_seen ? pair->mapped_port : agent->mux->port,
			   .remote = was_seen ? pair->mapped : pair->local },
		.rtt_ns = 1000ULL * pair->rtt_us,
	};
	endpoint_of(agent, pair, &ret_pair->path);
}

/* When something is to be done next. */
static void arm(struct ice_agent *agent)
{
	uint64_t end = agent->state == AGENT_CONNECTED ? agent->heard_ns + LOST_NS
		: agent->born_ns + ATTEMPT_NS;

	loop_timer_set(agent->mux->loop, &agent->timer, agent->round_ns < end ? agent->round_ns : end);
}

/* Calls back: its callers do this last. */
static void select_pair(struct ice_agent *agent, uint8_t index)
{
	struct ice_pair_info info;

	agent->state = AGENT_CONNECTED;
	agent->heard_ns = now_of(agent);
	agent->answered_ns = agent->heard_ns;
	agent->round_ns = agent->heard_ns + KEEPALIVE_NS;
	keep_only(agent, index);
	arm(agent);
	describe(agent, &info);
	agent->events->connected(agent->ctx, &info);
}

/* Signals the local candidates that are new. Returns false if a callback freed the agent. */
static bool tell_candidates(struct ice_agent *agent)
{
	const struct ice_mux *mux = agent->mux;
	const uint32_t told = agent->told;
	struct ice_candidate list[ICE_HOSTS_MAX + ICE_SRFLX_MAX];
	size_t count = 0;

	if (told == mux->serial)
		return true;
	for (size_t i = 0; i < mux->host_count; i++) {
		if (mux->hosts[i].serial > told)
			list[count++] = mux->hosts[i].candidate;
	}
	for (size_t i = 0; i < mux->srflx_count; i++) {
		if (mux->srflx[i].serial > told && now_of(agent) - mux->srflx[i].confirmed_ns < ICE_FRESH_NS)
			list[count++] = mux->srflx[i].candidate;
	}
	agent->told = mux->serial;
	for (size_t i = 0; i < count && agent->state != AGENT_DEAD; i++)
		agent->events->candidate(agent->ctx, &list[i]);
	return agent->state != AGENT_DEAD;
}

static int find_pair(const struct ice_agent *agent, uint8_t remote, const struct talon_addr *local)
{
	for (uint8_t i = 0; i < agent->pair_count; i++) {
		if (agent->pairs[i].remote == remote && !memcmp(&agent->pairs[i].local, local,
			sizeof(*local)))
			return i;
	}
	return -1;
}

/* Returns the index of the pair, new or known, or -ENOSPC. */
static int add_pair(struct ice_agent *agent, uint8_t remote, const struct talon_addr *local, uint32_t ifindex)
{
	int index = find_pair(agent, remote, local);

	if (index >= 0)
		return index;
	if (agent->pair_count == agent->pair_room) {
		uint8_t room = agent->pair_room ? 2 * agent->pair_room : 4;
		struct ice_pair *pairs = room <= PAIRS_MAX ? reallocarray(agent->pairs, room,
			sizeof(*pairs)) : NULL;

		if (!pairs)
			return -ENOSPC;
		agent->pairs = pairs;
		agent->pair_room = room;
	}
	agent->pairs[agent->pair_count] = (struct ice_pair){ .local = *local, .ifindex = ifindex,
		.remote = remote };
	return agent->pair_count++;
}

static int find_remote(const struct ice_agent *agent, uint16_t family, __be16 port,
	const struct talon_addr *addr)
{
	for (uint8_t i = 0; i < agent->remote_count; i++) {
		const struct ice_remote *r = &agent->remotes[i];

		if (r->family == family && r->port == port && !memcmp(&r->addr, addr, sizeof(*addr)))
			return i;
	}
	return -1;
}

/* Returns the candidate's index, or -ENOSPC. */
static int add_remote(struct ice_agent *agent, const struct ice_remote *remote)
{
	if (agent->remote_count == agent->remote_room) {
		uint8_t room = agent->remote_room ? 2 * agent->remote_room : 4;
		struct ice_remote *remotes = room <= REMOTES_MAX ? reallocarray(agent->remotes, room,
			sizeof(*remotes)) : NULL;

		if (!remotes)
			return -ENOSPC;
		agent->remotes = remotes;
		agent->remote_room = room;
	}
	agent->remotes[agent->remote_count] = *remote;
	return agent->remote_count++;
}

/* Pairs the remote candidate with each of our addresses; a new pair is checked at once. */
static void make_pairs(struct ice_agent *agent, uint8_t remote)
{
	const struct ice_mux *mux = agent->mux;

	for (size_t i = 0; i < mux->host_count; i++) {
		const struct ice_local *host = &mux->hosts[i];
		uint8_t before = agent->pair_count;
		int index;

		if (host->candidate.family != agent->remotes[remote].family)
			continue;
		index = add_pair(agent, remote, &host->candidate.addr, host->ifindex);
		if (index >= before && agent->nominated < 0)
			try_pair(agent, index);
	}
}

static uint64_t interval(const struct ice_agent *agent)
{
	if (agent->is_probing)
		return ROUND_NS;
	return now_of(agent) - agent->answered_ns > KEEPALIVE_NS ? DOUBT_NS : KEEPALIVE_NS;
}

static void tick_connected(struct ice_agent *agent)
{
	const uint64_t now = now_of(agent);

	if (now - agent->heard_ns >= LOST_NS) {
		fail(agent);
		return;
	}
	if (now >= agent->round_ns) {
		agent->round_ns = now + interval(agent);
		check(agent, 0, false);
	}
	arm(agent);
}

static void tick_checking(struct ice_agent *agent)
{
	const uint64_t now = now_of(agent);
	const bool is_news = agent->told != agent->mux->serial;

	if (!tell_candidates(agent))
		return;
	if (now - agent->born_ns >= ATTEMPT_NS) {
		fail(agent);
		return;
	}
	for (uint8_t i = 0; is_news && i < agent->remote_count; i++)
		make_pairs(agent, i);
	if (now >= agent->round_ns) {
		check_round(agent);
		maybe_nominate(agent);
	}
	arm(agent);
}

static void tick(void *ctx)
{
	struct ice_agent *agent = ctx;

	if (agent->state == AGENT_CONNECTED)
		tick_connected(agent);
	else
		tick_checking(agent);
}

void ice_agent_poke(struct ice_agent *agent)
{
	if (agent->state == AGENT_CHECKING)
		loop_timer_after(agent->mux->loop, &agent->timer, 0);
}

static bool is_same_addr(const struct talon_addr *a, const struct talon_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool is_unknown(const struct talon_addr *addr)
{
	static const struct talon_addr zero;

	return is_same_addr(addr, &zero);
}

static bool is_from(const struct ice_remote *remote, const struct endpoint *from)
{
	return remote->family == from->family && remote->port == from->port &&
		is_same_addr(&remote->addr, &from->remote);
}

static void hear(struct ice_agent *agent, const struct endpoint *from)
{
	if (agent->state == AGENT_CONNECTED && is_from(&agent->remotes[0], from))
		agent->heard_ns = now_of(agent);
}

static const char *swap_cids(const struct stun_message *message, char text[static STUN_CIDS_LEN + 1])
{
	if (!message->cids || message->cids_len != STUN_CIDS_LEN || message->cids[ICE_CID_LEN] != ':' ||
	    memchr(message->cids, 0, STUN_CIDS_LEN))
		return NULL;
	memcpy(text, message->cids + ICE_CID_LEN + 1, ICE_CID_LEN);
	text[ICE_CID_LEN] = ':';
	memcpy(text + ICE_CID_LEN + 1, message->cids, ICE_CID_LEN);
	text[STUN_CIDS_LEN] = 0;
	return text;
}

/* Sent from the address that was asked: the peer ignores an answer from another one. */
static void answer(struct ice_agent *agent, const struct endpoint *from, const struct stun_message *message,
	uint16_t error)
{
	char cids[STUN_CIDS_LEN + 1];
	const struct stun_response response = {
		.tx = message->tx, .mapped = error ? NULL : from, .error = error,
		.password = agent->local_pwd,
		.cids = swap_cids(message, cids),
	};
	uint8_t bytes[STUN_BUILD_MAX];
	int len = stun_build_response(&response, bytes, sizeof(bytes));

	if (len > 0)
		ice_mux_send(agent->mux, from, bytes, len);
}

static void switch_role(struct ice_agent *agent)
{
	agent->is_controlling = !agent->is_controlling;
	agent->nominated = -1;
	for (uint8_t i = 0; i < agent->pair_count; i++)
		agent->pairs[i].is_nominated = false;
}

/* RFC 8445 section 7.3.1.1. Returns true if the peer has to switch roles; otherwise we have, if necessary. */
static bool has_conflict(struct ice_agent *agent, const struct stun_message *message)
{
	const bool is_same = agent->is_controlling ? message->is_controlling : message->is_controlled;
	const bool we_control = agent->tie_breaker >= message->tie_breaker;

	if (!is_same || agent->state != AGENT_CHECKING)
		return false;
	if (we_control == agent->is_controlling)
		return true;
	switch_role(agent);
	return false;
}

/*
 * A source that was not signalled is a peer-reflexive candidate (section 7.3.1.3). The peer says its
 * priority, but never above that of a signalled one.
 */
static int learn_remote(struct ice_agent *agent, const struct endpoint *from,
	const struct stun_message *message)
{
	const uint32_t most = ice_candidate_priority(ICE_PRFLX);
	struct ice_remote remote = {
		.addr = from->remote, .port = from->port, .family = from->family, .type = ICE_PRFLX,
		.priority = message->has_priority && message->priority < most ? message->priority : most,
	};
	int index = find_remote(agent, from->family, from->port, &from->remote);

	return index >= 0 ? index : add_remote(agent, &remote);
}

static void nominated_by_other(struct ice_agent *agent, uint8_t index)
{
	agent->pairs[index].is_nominated = true;
	if (agent->pairs[index].state == PAIR_SUCCEEDED)
		select_pair(agent, index);
}

void ice_agent_request(struct ice_agent *agent, const struct endpoint *from,
	const struct stun_message *message)
{
	int remote, index;

	if (!stun_is_authentic(message, agent->local_pwd)) {
		agent->mux->stats.bad_integrity++;
		return;
	}
	if (has_conflict(agent, message)) {
		answer(agent, from, message, STUN_ROLE_CONFLICT);
		return;
	}
	answer(agent, from, message, 0);
	hear(agent, from);
	if (agent->state != AGENT_CHECKING)
		return;
	remote = learn_remote(agent, from, message);
	index = remote < 0 ? remote : add_pair(agent, remote, &from->local, from->ifindex);
	if (index < 0)
		return;
	agent->pairs[index].ifindex = from->ifindex;
	trigger(agent, index);
	if (message->use_candidate && !agent->is_controlling)
		nominated_by_other(agent, index);
}

static bool is_answer_to(const struct ice_agent *agent, const struct ice_tx *tx, const struct endpoint *from)
{
	const struct ice_pair *pair;

	if (tx->pair >= agent->pair_count || now_us(agent) - tx->sent_us > PENDING_US)
		return false;
	pair = &agent->pairs[tx->pair];
	return is_from(&agent->remotes[pair->remote], from) &&
	       (is_unknown(&from->local) || is_unknown(&pair->local) ||
	       is_same_addr(&from->local, &pair->local));
}

static void take_success(struct ice_agent *agent, struct ice_pair *pair, const struct stun_message *message,
	uint32_t rtt_us)
{
	/* Smoothed as in RFC 6298, so that one late answer counts little. */
	pair->rtt_us = pair->state == PAIR_SUCCEEDED ? (7ULL * pair->rtt_us + rtt_us) / 8 : rtt_us;
	pair->state = PAIR_SUCCEEDED;
	if (message->has_mapped && message->mapped.family == agent->remotes[pair->remote].family) {
		pair->mapped = message->mapped.remote;
		pair->mapped_port = message->mapped.port;
	}
}

static void stop_probing(struct ice_agent *agent)
{
	if (!agent->is_probing)
		return;
	agent->is_probing = false;
	agent->round_ns = now_of(agent) + KEEPALIVE_NS;
	arm(agent);
}

void ice_agent_response(struct ice_agent *agent, const struct endpoint *from,
	const struct stun_message *message, const struct ice_tx *tx)
{
	struct ice_pair *pair;

	if (!is_answer_to(agent, tx, from)) {
		agent->mux->stats.unmatched++;
		return;
	}
	if (!stun_is_authentic(message, agent->remote_pwd)) {
		agent->mux->stats.bad_integrity++;
		return;
	}
	pair = &agent->pairs[tx->pair];
	take_success(agent, pair, message, now_us(agent) - tx->sent_us);
	hear(agent, from);
	if (agent->state == AGENT_CONNECTED) {
		if (is_from(&agent->remotes[0], from))
			agent->answered_ns = now_of(agent);
		stop_probing(agent);
		return;
	}
	if (agent->is_controlling ? tx->nominates && agent->nominated == (int)tx->pair : pair->is_nominated)
		select_pair(agent, tx->pair);
	else
		maybe_nominate(agent);
}

/* Keeps the better of two candidates at one address; a peer-reflexive one is always replaced. */
static void upgrade_remote(struct ice_remote *known, const struct ice_remote *told)
{
	if (known->type == ICE_PRFLX || told->priority > known->priority)
		*known = *told;
}

static int add_candidate(struct ice_agent *agent, const struct ice_candidate *candidate, __be16 port)
{
	struct ice_remote remote = {
		.addr = candidate->addr, .port = port, .family = candidate->family, .type = candidate->type,
		.priority = candidate->priority,
	};
	int index = find_remote(agent, remote.family, port, &remote.addr);

	memcpy(remote.cid, candidate->cid, sizeof(remote.cid));
	if (index >= 0) {
		upgrade_remote(&agent->remotes[index], &remote);
		return 0;
	}
	index = add_remote(agent, &remote);
	if (index < 0)
		return index;
	make_pairs(agent, index);
	return 0;
}

int ice_agent_add_remote(struct ice_agent *agent, const struct ice_candidate *candidate)
{
	int ret;

	if (agent->state != AGENT_CHECKING)
		return 0;
	ret = add_candidate(agent, candidate, candidate->port);
	/*
	 * A NAT may map the peer's port to another one and yet forward the port itself, so that is tried too.
	 * Peers whose candidates have no cid signal this one themselves.
	 */
	if (!ret && candidate->type == ICE_SRFLX && candidate->has_related && candidate->related_port &&
	    candidate->related_port != candidate->port && candidate->cid[0])
		ret = add_candidate(agent, candidate, candidate->related_port);
	return ret;
}

static const char *keep_text(struct ice_agent *agent, const char *text)
{
	const size_t len = strlen(text) + 1;
	char *at = agent->text + agent->text_len;

	agent->text_len += len;
	return memcpy(at, text, len);
}

int ice_agent_new(struct ice_mux *mux, const struct ice_agent_config *config,
	const struct ice_agent_events *events, void *ctx, struct ice_agent **ret_agent)
{
	size_t len = strlen(config->local_ufrag) + strlen(config->local_pwd) + strlen(config->remote_ufrag) +
		strlen(config->remote_pwd) + 4;
	struct ice_agent *agent = calloc(1, sizeof(*agent) + len);
	int ret;

	if (!agent)
		return -ENOMEM;
	agent->mux = mux;
	agent->events = events;
	agent->ctx = ctx;
	agent->is_controlling = config->is_controlling;
	agent->nominated = -1;
	agent->born_ns = loop_now(mux->loop);
	agent->local_ufrag = keep_text(agent, config->local_ufrag);
	agent->local_pwd = keep_text(agent, config->local_pwd);
	agent->remote_ufrag = keep_text(agent, config->remote_ufrag);
	agent->remote_pwd = keep_text(agent, config->remote_pwd);
	ice_mux_random(mux, &agent->tie_breaker, sizeof(agent->tie_breaker));
	loop_timer_init(&agent->timer, tick, agent);
	ret = ice_mux_insert(mux, agent);
	if (ret) {
		free(agent);
		return ret;
	}
	loop_timer_after(mux->loop, &agent->timer, 0);
	ice_mux_gather(mux);
	*ret_agent = agent;
	return 0;
}

static void release(void *object)
{
	struct ice_agent *agent = object;

	sodium_memzero(agent->text, agent->text_len);
	free(agent->remotes);
	free(agent->pairs);
	free(agent);
}

void ice_agent_free(struct ice_agent *agent)
{
	if (!agent)
		return;
	die(agent);
	loop_defer_free(agent->mux->loop, &agent->deferred, release, agent);
}

bool ice_agent_get_pair(const struct ice_agent *agent, struct ice_pair_info *ret_pair)
{
	if (agent->state != AGENT_CONNECTED)
		return false;
	describe(agent, ret_pair);
	return true;
}

uint64_t ice_agent_answered(const struct ice_agent *agent)
{
	return agent->state == AGENT_CONNECTED ? agent->answered_ns : 0;
}

void ice_agent_probe(struct ice_agent *agent)
{
	if (agent->state != AGENT_CONNECTED || agent->is_probing)
		return;
	agent->is_probing = true;
	agent->round_ns = now_of(agent);
	arm(agent);
}
