/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A small world for test_peers.c on a clock that only the test moves: signal, two relay servers, UDP paths
 * that can be cut each way, ICE agents, and WireGuard as far as peers/ can see of it. Nodes are our own
 * struct peers, or a peer that behaves as a stock client is documented to, drops included.
 */
#ifndef TALON_TEST_PEERS_WORLD_H
#define TALON_TEST_PEERS_WORLD_H

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "log/log.h"
#include "peers/peers.h"

#define NODES		2
#define SERVERS		2
#define SEC		LOOP_SECOND
#define MS		LOOP_MS
#define SIGNAL_DELAY	(15 * MS)
#define UDP_DELAY	(5 * MS)
#define RELAY_DELAY	(20 * MS)

enum kind { INIT, RESP, DATA, KEEPALIVE };

struct packet { enum kind kind; bool wants_echo; unsigned session; };

struct world;
struct node;

/* WireGuard towards one peer. */
struct plane {
	enum plane_way way;
	struct plane_facts facts;
	unsigned session;		/* equal at both ends: alive */
	unsigned ways_set, resets, received;
	bool told_silent;		/* what was known when changed() was last called */
	bool roams;			/* since set_way() let_roam() was called */
	uint64_t last_data_ns, gap_ns;	/* longest time without data arriving */
	struct loop_timer keepalive, retry, owed;
	struct node *node;
	int peer;
};

/* A peer that is not ours, towards the other. */
struct stock {
	int peer;
	bool is_on, is_controller, is_busy, lazy, no_ice;
	char ufrag[17], pwd[33];
	uint8_t session[5], remote_session[5];
	struct ice_agent *agent;
	bool ice_connected;
	struct relay_peer *relay;
	bool relay_ready, remote_has_relay, is_watched;
	struct loop_timer guard, busy, endpoint, watch;
	uint64_t guard_wait, seen_handshake;
	unsigned relayed_offers;	/* four: one each hour from now on */
	bool no_handshakes, heard_credentials;
	unsigned dropped_candidates, agents_made, watch_kills;
	char heard_relay[256];
	struct endpoint heard_relay_at;
};

struct node {
	struct world *world;
	int index;
	uint8_t key[KEY_LEN];
	struct peers *peers;		/* NULL: stock, or not running */
	bool is_stock;
	struct stock stock;
	bool signal_up;
	int home;			/* its relay server; -1: none */
	bool home_up;
	struct endpoint relay_remote;	/* where it is connected to its home relay */
	struct endpoint opened_at;	/* of the relayed connection opened last */
	unsigned relays_opened;
	const char *was_relayed;	/* by an earlier process, over this server; NULL: it was not */
	struct plane plane[NODES];
	/* newest packet by relay before its connection */
	struct { struct packet packet; uint64_t at; bool is_set; } early[NODES];
	unsigned sent[8], changes;	/* bodies by type */
};

struct post {				/* something that arrives later */
	struct post *next;
	struct world *world;
	struct loop_timer timer;
	int from, to;
	bool is_packet, by_relay, is_sent_note;
	int server;
	struct signal_body body;
	struct packet packet;
	signal_sent_fn fn;
	void *fn_ctx;
};

struct relay_peer {
	struct relay_peer *next;
	struct node *node;
	int peer, server;
	const struct relay_peer_events *events;
	void *ctx;
	bool ready;
	uint64_t since;
	struct loop_timer timer;
};

struct ice_agent {
	struct ice_agent *next;
	struct node *node;
	int peer;
	struct ice_agent_config config;
	const struct ice_agent_events *events;
	void *ctx;
	unsigned remote_count, told;
	bool connected, probing;
	uint64_t born, heard, answered, checked;
	struct loop_timer timer;
};

struct world {
	struct loop *loop;
	struct node node[NODES];
	int count;
	bool udp[NODES][NODES];		/* from, to */
	bool no_ice;
	bool no_data;			/* checks and handshakes pass directly, packets do not */
	struct { char address[64]; bool up; } server[SERVERS];
	struct post *posts;
	struct relay_peer *relays;
	struct ice_agent *agents;
	bool (*drop)(struct world *world, int from, int to, const struct signal_body *body);
	unsigned dropped, sessions;
	uint32_t seed;
};

static inline uint64_t now_of(const struct world *w)
{
	return loop_now(w->loop);
}

static void advance(struct world *w, uint64_t ns)
{
	loop_advance(w->loop, now_of(w) + ns);
}

static int node_of(const struct world *w, const uint8_t *key)
{
	for (int i = 0; i < w->count; i++) {
		if (!memcmp(w->node[i].key, key, KEY_LEN))
			return i;
	}
	return -1;
}

static void world_random(struct world *w, void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		w->seed = w->seed * 1664525 + 1013904223;
		((uint8_t *)buf)[i] = w->seed >> 24;
	}
}

static void stock_body(struct node *node, int from, const struct signal_body *body);
static void stock_received(struct node *node, int from, bool by_relay);
static void packet_arrives(struct node *node, int from, const struct packet *packet, bool by_relay);
static void packet_send(struct node *node, int peer, enum kind kind, bool wants_echo);

/* --- things on their way --- */

static void post_free(struct post *post)
{
	struct post **at = &post->world->posts;

	while (*at != post)
		at = &(*at)->next;
	*at = post->next;
	loop_timer_cancel(post->world->loop, &post->timer);
	free(post);
}

static struct relay_peer *relay_of(struct world *w, int node, int peer, int server)
{
	for (struct relay_peer *r = w->relays; r; r = r->next) {
		if (r->node->index == node && r->peer == peer && r->server == server && r->ready)
			return r;
	}
	return NULL;
}

static void body_arrives(struct world *w, struct post *post)
{
	struct node *node = &w->node[post->to];

	if (w->drop && w->drop(w, post->from, post->to, &post->body)) {
		w->dropped++;
		return;
	}
	if (!node->signal_up)
		return;
	if (node->peers)
		peers_signal(node->peers, w->node[post->from].key, &post->body);
	else if (node->is_stock)
		stock_body(node, post->from, &post->body);
}

static void relayed_arrives(struct world *w, struct post *post)
{
	struct relay_peer *relay = w->server[post->server].up ? relay_of(w, post->to, post->from,
		post->server) : NULL;
	struct node *node = &w->node[post->to];

	if (relay) {
		relay->events->received(relay->ctx, (const uint8_t *)&post->packet, sizeof(post->packet));
		return;
	}
	node->early[post->from].packet = post->packet;
	node->early[post->from].at = now_of(w);
	node->early[post->from].is_set = true;
}

static void post_due(void *ctx)
{
	struct post *post = ctx, copy = *post;
	struct world *w = post->world;

	post_free(post);
	if (copy.is_sent_note)
		copy.fn(copy.fn_ctx, 0);
	else if (!copy.is_packet)
		body_arrives(w, &copy);
	else if (copy.by_relay)
		relayed_arrives(w, &copy);
	else if (w->udp[copy.from][copy.to])
		packet_arrives(&w->node[copy.to], copy.from, &copy.packet, false);
}

static struct post *post_new(struct world *w, int from, int to, uint64_t delay)
{
	struct post *post = calloc(1, sizeof(*post));

	assert_non_null(post);
	*post = (struct post){ .next = w->posts, .world = w, .from = from, .to = to };
	w->posts = post;
	loop_timer_init(&post->timer, post_due, post);
	loop_timer_after(w->loop, &post->timer, delay);
	return post;
}

/* --- signal --- */

static int signal_from(struct node *node, int to, const struct signal_body *body, signal_sent_fn fn,
	void *fn_ctx)
{
	struct post *post;

	if (!node->signal_up)
		return -ENOTCONN;
	node->sent[body->type]++;
	if (to >= 0)
		post_new(node->world, node->index, to, SIGNAL_DELAY)->body = *body;
	if (fn) {
		post = post_new(node->world, node->index, to, SIGNAL_DELAY);
		post->is_sent_note = true;
		post->fn = fn;
		post->fn_ctx = fn_ctx;
	}
	return 0;
}

static int op_signal_send(void *ctx, const uint8_t to[static KEY_LEN], const struct signal_body *body,
	signal_sent_fn fn, void *fn_ctx)
{
	struct node *node = ctx;

	return signal_from(node, node_of(node->world, to), body, fn, fn_ctx);
}

static void op_signal_forget(void *ctx, const void *fn_ctx)
{
	struct node *node = ctx;
	struct post *next;

	for (struct post *post = node->world->posts; post; post = next) {
		next = post->next;
		if (post->is_sent_note && post->fn_ctx == fn_ctx)
			post_free(post);
	}
}

static bool op_signal_is_connected(void *ctx)
{
	return ((struct node *)ctx)->signal_up;
}

/* --- relays --- */

static const char *home_of(const struct node *node)
{
	return node->home >= 0 && node->home_up ? node->world->server[node->home].address : NULL;
}

static const char *op_relay_address(void *ctx)
{
	return home_of(ctx);
}

static bool is_online(struct world *w, int node, int server)
{
	if (!w->server[server].up)
		return false;
	if (w->node[node].home == server && w->node[node].home_up)
		return true;
	for (struct relay_peer *r = w->relays; r; r = r->next) {
		if (r->node->index == node && r->server == server && w->node[node].home != server)
			return true;
	}
	return false;
}

static void take_early(struct relay_peer *r)
{
	struct node *node = r->node;

	if (!node->early[r->peer].is_set)
		return;
	node->early[r->peer].is_set = false;
	if (now_of(node->world) - node->early[r->peer].at <= 5 * SEC)
		r->events->received(r->ctx, (const uint8_t *)&node->early[r->peer].packet,
			sizeof(struct packet));
}

static void relay_due(void *ctx)
{
	struct relay_peer *r = ctx;
	struct world *w = r->node->world;
	const bool mine = is_online(w, r->node->index, r->server), theirs = is_online(w, r->peer, r->server);

	if (r->ready ? !mine || !theirs : !w->server[r->server].up || now_of(w) - r->since >= 30 * SEC) {
		r->ready = false;
		r->events->closed(r->ctx, "gone");
		return;
	}
	loop_timer_after(w->loop, &r->timer, 10 * MS);
	if (!r->ready && mine && theirs) {
		r->ready = true;
		r->events->ready(r->ctx);
		take_early(r);
	}
}

static int relay_open_from(struct node *node, int peer, const char *address,
	const struct relay_peer_events *events, void *events_ctx, struct relay_peer **ret_peer)
{
	struct world *w = node->world;
	struct relay_peer *r;
	int server = 0;

	while (server < SERVERS && strcmp(w->server[server].address, address))
		server++;
	if (server == SERVERS || peer < 0)
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	assert_non_null(r);
	*r = (struct relay_peer){ .next = w->relays, .node = node, .peer = peer, .server = server,
		.events = events, .ctx = events_ctx };
	r->since = now_of(w);
	w->relays = r;
	loop_timer_init(&r->timer, relay_due, r);
	loop_timer_after(w->loop, &r->timer, node->home == server ? 20 * MS : 60 * MS);
	*ret_peer = r;
	return 0;
}

static const struct endpoint *op_relay_remote(void *ctx)
{
	struct node *node = ctx;

	return home_of(node) && endpoint_is_known(&node->relay_remote) ? &node->relay_remote : NULL;
}

static int op_relay_open(void *ctx, const uint8_t peer[static KEY_LEN], const char *address,
	const struct endpoint *at, const struct relay_peer_events *events, void *events_ctx,
	struct relay_peer **ret_peer)
{
	struct node *node = ctx;

	node->opened_at = at ? *at : (struct endpoint){ 0 };
	node->relays_opened++;

	return relay_open_from(node, node_of(node->world, peer), address, events, events_ctx, ret_peer);
}

static bool op_relay_was(void *ctx, const uint8_t key[static KEY_LEN], char *ret_relay, size_t size)
{
	struct node *node = ctx;

	if (!node->was_relayed)
		return false;
	snprintf(ret_relay, size, "%s", node->was_relayed);
	node->was_relayed = NULL;
	return true;
}

static void op_relay_presume(void *ctx, struct relay_peer *peer)
{
	loop_timer_after(peer->node->world->loop, &peer->timer, 0);
}

static void op_relay_free(void *ctx, struct relay_peer *peer)
{
	struct world *w = ((struct node *)ctx)->world;
	struct relay_peer **at = &w->relays;

	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	loop_timer_cancel(w->loop, &peer->timer);
	free(peer);
}

static int op_relay_send(void *ctx, struct relay_peer *peer, const void *bytes, size_t len)
{
	struct post *post;

	assert_true(peer->ready);
	assert_int_equal(len, sizeof(struct packet));
	post = post_new(peer->node->world, peer->node->index, peer->peer, RELAY_DELAY);
	post->is_packet = post->by_relay = true;
	post->server = peer->server;
	memcpy(&post->packet, bytes, len);
	return 0;
}

/* --- ICE --- */

static void agent_due(void *ctx);

static int agent_new(struct node *node, const struct ice_agent_config *config,
	const struct ice_agent_events *events, void *events_ctx, struct ice_agent **ret_agent)
{
	struct world *w = node->world;
	struct ice_agent *agent = calloc(1, sizeof(*agent));

	assert_non_null(agent);
	*agent = (struct ice_agent){ .next = w->agents, .node = node, .config = *config, .events = events,
		.ctx = events_ctx };
	agent->born = agent->checked = now_of(w);
	w->agents = agent;
	loop_timer_init(&agent->timer, agent_due, agent);
	loop_timer_after(w->loop, &agent->timer, 5 * MS);
	*ret_agent = agent;
	return 0;
}

static int op_ice_new(void *ctx, const struct ice_agent_config *config, const struct ice_agent_events *events,
	void *events_ctx, struct ice_agent **ret_agent)
{
	return agent_new(ctx, config, events, events_ctx, ret_agent);
}

static void op_ice_free(void *ctx, struct ice_agent *agent)
{
	struct world *w = agent->node->world;
	struct ice_agent **at = &w->agents;

	while (*at != agent)
		at = &(*at)->next;
	*at = agent->next;
	loop_timer_cancel(w->loop, &agent->timer);
	free(agent);
}

/* Whom its checks reach: the agent that has its credentials the other way round. */
static struct ice_agent *agent_other(const struct ice_agent *agent)
{
	struct world *w = agent->node->world;

	for (struct ice_agent *other = w->agents; other; other = other->next) {
		if (other->node != agent->node &&
			!strcmp(other->config.local_ufrag, agent->config.remote_ufrag) &&
			!strcmp(other->config.local_pwd, agent->config.remote_pwd) &&
			!strcmp(other->config.remote_ufrag, agent->config.local_ufrag) &&
			!strcmp(other->config.remote_pwd, agent->config.local_pwd))
			return other;
	}
	return NULL;
}

static bool reaches(const struct ice_agent *from, const struct ice_agent *to)
{
	const struct world *w = from->node->world;

	return !w->no_ice && w->udp[from->node->index][to->node->index];
}

static void agent_pair(int peer, struct ice_pair_info *ret_pair)
{
	*ret_pair = (struct ice_pair_info){
		.path = { .family = AF_INET, .port = htons(51820),
			.remote.word[0] = htonl(0xc0000201 + peer) },
		.rtt_ns = 2 * UDP_DELAY };
}

static void agent_connect(struct ice_agent *agent, const struct ice_agent *other)
{
	struct ice_pair_info pair;

	agent_pair(other->node->index, &pair);
	agent->connected = true;
	agent->peer = other->node->index;
	agent->heard = agent->answered = now_of(agent->node->world);
	agent->events->connected(agent->ctx, &pair);
}

static void agent_candidate(struct ice_agent *agent)
{
	struct ice_candidate candidate = { .type = agent->told ? ICE_SRFLX : ICE_HOST, .family = AF_INET,
		.port = htons(51820),
		.addr.word[0] = htonl((agent->told ? 0xcb007101 : 0xc0000201) + agent->node->index),
		.priority = 1 };

	memset(candidate.cid, 'A' + agent->node->index, ICE_CID_LEN);
	if (agent->told++) {
		candidate.has_related = true;
		candidate.related_port = htons(51820);
	}
	agent->events->candidate(agent->ctx, &candidate);
}

static void agent_check(struct ice_agent *agent, struct ice_agent *other)
{
	const uint64_t now = now_of(agent->node->world);

	agent->checked = now;
	if (!other || !reaches(agent, other))
		return;
	if (other->connected)
		other->heard = now;
	if (reaches(other, agent)) {
		agent->heard = agent->answered = now;
		agent->probing = false;
	}
}

static void agent_due(void *ctx)
{
	struct ice_agent *agent = ctx, *other = agent_other(agent);
	struct world *w = agent->node->world;
	const uint64_t now = now_of(w);

	loop_timer_after(w->loop, &agent->timer, 50 * MS);
	if (agent->told < 2)
		agent_candidate(agent);
	if (agent->connected) {
		if (now - agent->checked >= (agent->probing ? 200 * MS : 2 * SEC))
			agent_check(agent, other);
		if (now - agent->heard >= 6 * SEC)
			agent->events->failed(agent->ctx, true);
		return;
	}
	if (now - agent->born >= 12 * SEC) {
		agent->events->failed(agent->ctx, false);
		return;
	}
	if (!agent->config.is_controlling || !other || !reaches(agent, other) || !reaches(other, agent) ||
		now - agent->born < 400 * MS)
		return;
	if (!agent->remote_count && !other->remote_count)
		return;
	if (!other->connected)		/* the side that is nominated knows first */
		agent_connect(other, agent);
	agent_connect(agent, other);
}

static int op_ice_add_remote(void *ctx, struct ice_agent *agent, const struct ice_candidate *candidate)
{
	agent->remote_count++;
	return 0;
}

static void op_ice_probe(void *ctx, struct ice_agent *agent)
{
	agent->probing = true;		/* the answer takes its time */
}

static uint64_t op_ice_answered(void *ctx, const struct ice_agent *agent)
{
	return agent->answered;
}

static bool op_ice_get_pair(void *ctx, const struct ice_agent *agent, struct ice_pair_info *ret_pair)
{
	if (agent->connected)
		agent_pair(agent->peer, ret_pair);
	return agent->connected;
}

/* --- WireGuard --- */

static void packet_out(struct node *node, int peer, const struct packet *packet, enum plane_way way)
{
	struct post *post;

	if (way == PLANE_DIRECT && node->world->no_data && packet->kind != INIT && packet->kind != RESP)
		return;
	if (way == PLANE_DIRECT) {
		post = post_new(node->world, node->index, peer, UDP_DELAY);
		post->is_packet = true;
		post->packet = *packet;
	} else if (way == PLANE_RELAY && node->peers) {
		peers_relay_send(node->peers, peer, (const uint8_t *)packet, sizeof(*packet));
	} else if (way == PLANE_RELAY && node->stock.relay_ready) {
		op_relay_send(node, node->stock.relay, packet, sizeof(*packet));
	}
}

static uint64_t heard_ns(const struct plane *plane)
{
	const struct plane_facts *facts = &plane->facts;
	uint64_t heard = facts->rx_direct_ns > facts->rx_relay_ns ? facts->rx_direct_ns : facts->rx_relay_ns;

	return heard > facts->handshake_ns ? heard : facts->handshake_ns;
}

static void packet_send(struct node *node, int peer, enum kind kind, bool wants_echo)
{
	struct plane *plane = &node->plane[peer];
	struct packet packet = { .kind = kind, .wants_echo = wants_echo, .session = plane->session };
	const uint64_t now = now_of(node->world);

	if (plane->way == PLANE_NOWHERE) {
		if (node->peers && kind == DATA)
			peers_wanted(node->peers, peer);
		return;
	}
	if (kind != INIT && (!plane->session || now - plane->facts.handshake_ns > 180 * SEC))
		packet.kind = INIT;
	else if (kind == DATA && (now - plane->facts.handshake_ns > 120 * SEC ||
		now - heard_ns(plane) > 15 * SEC))
		packet_send(node, peer, INIT, false);
	if (packet.kind == INIT && node->stock.no_handshakes)
		return;
	if (packet.kind == INIT) {
		packet.session = 0;
		if (!loop_timer_is_set(&plane->retry))
			loop_timer_after(node->world->loop, &plane->retry, 5 * SEC);
	} else {
		plane->facts.tx_ns = now;
		loop_timer_cancel(node->world->loop, &plane->owed);
	}
	if (packet.kind == DATA)
		plane->facts.tx_data_ns = now;
	packet_out(node, peer, &packet, plane->way);
}

/* Whitepaper section 6.5: who got packets and has none to send says so after 10 s. */
static void owed_due(void *ctx)
{
	struct plane *plane = ctx;

	packet_send(plane->node, plane->peer, KEEPALIVE, false);
}

static void retry_due(void *ctx)
{
	struct plane *plane = ctx;

	packet_send(plane->node, plane->peer, INIT, false);
}

static void handshake_done(struct node *node, int peer, unsigned session)
{
	struct plane *plane = &node->plane[peer];

	loop_timer_cancel(node->world->loop, &plane->retry);
	plane->session = session;
	plane->facts.has_session = true;
	plane->facts.handshake_ns = now_of(node->world);
	if (node->peers)
		peers_handshake(node->peers, peer);
}

static void data_arrives(struct node *node, int from, const struct packet *packet, bool by_relay)
{
	struct plane *plane = &node->plane[from];
	const uint64_t now = now_of(node->world);

	if (!plane->session || packet->session != plane->session)
		return;
	*(by_relay ? &plane->facts.rx_relay_ns : &plane->facts.rx_direct_ns) = now;
	if (node->is_stock)
		stock_received(node, from, by_relay);
	if (packet->kind != DATA)
		return;
	plane->facts.rx_data_ns = now;
	plane->received++;
	if (!loop_timer_is_set(&plane->owed))
		loop_timer_after(node->world->loop, &plane->owed, 10 * SEC);
	if (plane->last_data_ns && now - plane->last_data_ns > plane->gap_ns)
		plane->gap_ns = now - plane->last_data_ns;
	plane->last_data_ns = now;
	if (packet->wants_echo)
		packet_send(node, from, DATA, false);
}

/* A session's packets need the session: the one before is good for a moment, which is left out here. */
static void packet_arrives(struct node *node, int from, const struct packet *packet, bool by_relay)
{
	struct packet answer = { .kind = RESP };

	if (packet->kind == INIT) {
		if (node->stock.no_handshakes)
			return;
		/* an old session that both have goes on under its number */
		answer.session = node->plane[from].session &&
			node->plane[from].session == node->world->node[from].plane[node->index].session
			? node->plane[from].session : ++node->world->sessions;
		handshake_done(node, from, answer.session);
		packet_out(node, from, &answer, by_relay ? PLANE_RELAY : PLANE_DIRECT);
	} else if (packet->kind == RESP) {
		handshake_done(node, from, packet->session);
		packet_send(node, from, KEEPALIVE, false);
	} else {
		data_arrives(node, from, packet, by_relay);
	}
}

static int op_set_way(void *ctx, uint32_t id, enum plane_way way, const struct endpoint *path)
{
	struct node *node = ctx;
	struct plane *plane = &node->plane[id];

	assert_in_range(id, 0, NODES - 1);
	assert_int_equal(way == PLANE_DIRECT, path != NULL);
	plane->ways_set += plane->way != way;
	plane->way = way;
	plane->roams = false;
	return 0;
}

static int op_let_roam(void *ctx, uint32_t id)
{
	struct node *node = ctx;

	assert_in_range(id, 0, NODES - 1);
	if (node->plane[id].way != PLANE_NOWHERE)
		return -EBUSY;
	node->plane[id].roams = true;
	return 0;
}

static void op_kick(void *ctx, uint32_t id)
{
	packet_send(ctx, id, KEEPALIVE, false);
}

static void op_rekey(void *ctx, uint32_t id)
{
	packet_send(ctx, id, INIT, false);
}

static void op_reset(void *ctx, uint32_t id)
{
	struct node *node = ctx;

	node->plane[id].session = 0;
	node->plane[id].resets++;
}

static int op_facts(void *ctx, uint32_t id, struct plane_facts *ret_facts)
{
	*ret_facts = ((struct node *)ctx)->plane[id].facts;
	return 0;
}

static void op_relay_received(void *ctx, uint32_t id, const uint8_t *bytes, size_t len)
{
	struct packet packet;

	assert_int_equal(len, sizeof(packet));
	memcpy(&packet, bytes, len);
	packet_arrives(ctx, id, &packet, true);
}

static void op_random(void *ctx, void *buf, size_t len)
{
	world_random(((struct node *)ctx)->world, buf, len);
}

static void op_changed(void *ctx, const uint8_t key[static KEY_LEN])
{
	struct node *node = ctx;
	struct peer_info info;

	node->changes++;
	assert_int_equal(peers_get(node->peers, key, &info), 0);
	for (int i = 0; i < NODES; i++) {
		if (!memcmp(node->world->node[i].key, key, KEY_LEN))
			node->plane[i].told_silent = info.is_silent;
	}
}

static const struct peers_ops world_ops = {
	.signal_send = op_signal_send, .signal_forget = op_signal_forget,
	.signal_is_connected = op_signal_is_connected,
	.relay_address = op_relay_address, .relay_remote = op_relay_remote,
	.relay_open = op_relay_open, .relay_free = op_relay_free,
	.relay_was = op_relay_was, .relay_presume = op_relay_presume,
	.relay_send = op_relay_send, .ice_new = op_ice_new, .ice_free = op_ice_free,
	.ice_add_remote = op_ice_add_remote, .ice_probe = op_ice_probe, .ice_answered = op_ice_answered,
	.ice_get_pair = op_ice_get_pair, .set_way = op_set_way, .let_roam = op_let_roam, .kick = op_kick,
	.reset = op_reset,
	.rekey = op_rekey, .facts = op_facts, .relay_received = op_relay_received, .random = op_random,
	.changed = op_changed,
};

static void keepalive_due(void *ctx)
{
	struct plane *plane = ctx;

	loop_timer_after(plane->node->world->loop, &plane->keepalive, 25 * SEC);
	if (plane->session && plane->way != PLANE_NOWHERE) {
		if (now_of(plane->node->world) - plane->facts.handshake_ns > 120 * SEC)
			packet_send(plane->node, plane->peer, INIT, false);
		packet_send(plane->node, plane->peer, KEEPALIVE, false);
	}
}

/* --- a stock peer --- */

static void stock_letters(struct node *node, char *text, size_t len)
{
	world_random(node->world, text, len);
	for (size_t i = 0; i < len; i++)
		text[i] = 'a' + (uint8_t)text[i] % 26;
	text[len] = '\0';
}

static void stock_session(struct node *node)
{
	world_random(node->world, node->stock.session, sizeof(node->stock.session));
}

static void stock_guard(struct node *node, uint64_t after, uint64_t wait)
{
	node->stock.guard_wait = wait;
	node->stock.relayed_offers = 0;
	if (node->stock.is_on)
		loop_timer_after(node->world->loop, &node->stock.guard, after);
}

static void stock_send(struct node *node, enum signal_type type)
{
	struct stock *s = &node->stock;
	struct signal_body body = { .type = type, .wg_port = 51820, .has_session_id = true };

	body.has_session_id = !s->no_ice;
	strcpy(body.ufrag, s->no_ice ? "" : s->ufrag);
	strcpy(body.pwd, s->no_ice ? "" : s->pwd);
	memcpy(body.session_id, s->session, sizeof(s->session));
	snprintf(body.relay, sizeof(body.relay), "%s", home_of(node) ? home_of(node) : "");
	body.relay_at = node->relay_remote;
	signal_from(node, s->peer, &body, NULL, NULL);
}

static void stock_guard_due(void *ctx)
{
	struct node *node = ctx;
	struct stock *s = &node->stock;
	const bool relay_possible = s->remote_has_relay && home_of(node);
	const bool is_connected = s->no_ice ? s->relay_ready : s->agent &&
		(s->relay_ready || !relay_possible);

	if (!is_connected && (!s->relay_ready || s->relayed_offers > 3 || s->relayed_offers++ < 3))
		stock_send(node, SIGNAL_OFFER);
	if (s->relayed_offers > 3) {
		loop_timer_after(node->world->loop, &s->guard, 3600 * SEC);
		return;
	}
	loop_timer_after(node->world->loop, &s->guard, s->guard_wait);
	s->guard_wait = s->guard_wait * 2 > 35 * SEC ? 35 * SEC : s->guard_wait * 2;
}

static void stock_watch(struct node *node)
{
	struct stock *s = &node->stock;

	if (s->is_watched)
		return;
	s->is_watched = true;
	s->seen_handshake = node->plane[s->peer].facts.handshake_ns;
	loop_timer_after(node->world->loop, &s->watch, 30 * SEC);
}

static enum plane_way stock_way(const struct stock *s)
{
	return s->ice_connected ? PLANE_DIRECT : s->relay_ready ? PLANE_RELAY : PLANE_NOWHERE;
}

static void stock_set_endpoint(void *ctx)
{
	struct node *node = ctx;
	struct stock *s = &node->stock;
	struct plane *plane = &node->plane[s->peer];
	const bool is_first = plane->way == PLANE_NOWHERE;

	loop_timer_cancel(node->world->loop, &s->endpoint);
	plane->way = stock_way(s);
	if (is_first && !plane->session)
		packet_send(node, s->peer, INIT, false);
}

static void stock_up(struct node *node)
{
	struct stock *s = &node->stock;

	stock_watch(node);
	if (s->is_controller)
		stock_set_endpoint(node);
	else
		loop_timer_after(node->world->loop, &s->endpoint, 5 * SEC);
}

static void stock_down(struct node *node)
{
	struct stock *s = &node->stock;

	loop_timer_cancel(node->world->loop, &s->endpoint);
	node->plane[s->peer].way = stock_way(s);
	if (!s->ice_connected && !s->relay_ready) {
		s->is_watched = false;
		loop_timer_cancel(node->world->loop, &s->watch);
	}
	stock_guard(node, 800 * MS, 1600 * MS);
}

/* WireGuard roams; while ICE is up, what comes by relay looks as if it came from there. */
static void stock_received(struct node *node, int from, bool by_relay)
{
	struct stock *s = &node->stock;

	if (!by_relay && (s->ice_connected || node->plane[from].way != PLANE_NOWHERE))
		node->plane[from].way = PLANE_DIRECT;
	else if (by_relay && !s->ice_connected && s->relay_ready)
		node->plane[from].way = PLANE_RELAY;
}

static void stock_ready(void *ctx)
{
	struct node *node = ctx;

	node->stock.relay_ready = true;
	if (!node->stock.ice_connected)
		stock_up(node);
}

static void stock_relay_end(struct node *node)
{
	struct stock *s = &node->stock;

	if (s->relay)
		op_relay_free(node, s->relay);
	s->relay = NULL;
	s->relay_ready = false;
}

static void stock_closed(void *ctx, const char *why)
{
	struct node *node = ctx;
	const bool was_ready = node->stock.relay_ready;

	stock_relay_end(node);
	if (was_ready)
		stock_down(node);
}

static void stock_relay_received(void *ctx, const uint8_t *bytes, size_t len)
{
	struct node *node = ctx;

	op_relay_received(node, node->stock.peer, bytes, len);
}

static const struct relay_peer_events stock_relay_events = { stock_ready, stock_closed,
	stock_relay_received };

/* @renewed: because the other side has another session. */
static void stock_agent_end(struct node *node, bool renewed)
{
	struct stock *s = &node->stock;
	const bool was = s->ice_connected, resets = renewed && s->is_controller && s->relay_ready;

	if (s->agent)
		op_ice_free(node, s->agent);
	s->agent = NULL;
	s->ice_connected = false;
	if (!was)
		return;
	if (resets)
		node->plane[s->peer].session = 0;
	stock_down(node);
	if (resets)
		packet_send(node, s->peer, INIT, false);
}

static void stock_candidate(void *ctx, const struct ice_candidate *candidate)
{
	struct node *node = ctx;
	struct signal_body body = { .type = SIGNAL_CANDIDATE };

	assert_true(ice_candidate_format(candidate, node->stock.ufrag, body.candidate,
		sizeof(body.candidate)) > 0);
	signal_from(node, node->stock.peer, &body, NULL, NULL);
}

static void stock_selected(void *ctx, const struct ice_pair_info *pair)
{
	struct node *node = ctx;

	node->stock.ice_connected = true;
	stock_up(node);
}

static void stock_failed(void *ctx, bool had_been_connected)
{
	stock_session(ctx);
	stock_agent_end(ctx, false);
}

static const struct ice_agent_events stock_agent_events = { stock_candidate, stock_selected, stock_failed };

static void stock_hear_ice(struct node *node, const struct signal_body *body)
{
	struct stock *s = &node->stock;
	struct ice_agent_config config = { .is_controlling = s->is_controller };

	s->heard_credentials = body->ufrag[0] || body->pwd[0] || body->has_session_id;
	if (s->no_ice)
		return;
	if (s->agent && (!body->has_session_id || !memcmp(s->remote_session, body->session_id, 5)))
		return;
	if (s->agent) {
		stock_session(node);
		stock_agent_end(node, true);
	}
	memcpy(s->remote_session, body->session_id, 5);
	strcpy(config.local_ufrag, s->ufrag);
	strcpy(config.local_pwd, s->pwd);
	strcpy(config.remote_ufrag, body->ufrag);
	strcpy(config.remote_pwd, body->pwd);
	s->agents_made++;
	agent_new(node, &config, &stock_agent_events, node, &s->agent);
}

static void stock_hear_relay(struct node *node, const struct signal_body *body)
{
	struct stock *s = &node->stock;

	s->remote_has_relay = body->relay[0];
	strcpy(s->heard_relay, body->relay);
	s->heard_relay_at = body->relay_at;
	if (!s->relay && home_of(node) && body->relay[0])
		relay_open_from(node, s->peer, s->is_controller ? home_of(node) : body->relay,
			&stock_relay_events, node, &s->relay);
}

static void stock_busy_due(void *ctx)
{
	((struct node *)ctx)->stock.is_busy = false;
}

static void stock_close(struct node *node)
{
	struct stock *s = &node->stock;

	s->is_on = false;
	stock_agent_end(node, false);
	stock_relay_end(node);
	stock_down(node);
	loop_timer_cancel(node->world->loop, &s->guard);
	loop_timer_cancel(node->world->loop, &node->plane[s->peer].retry);
}

static void stock_open(struct node *node)
{
	struct stock *s = &node->stock;

	s->is_on = true;
	stock_letters(node, s->ufrag, 16);
	stock_letters(node, s->pwd, 32);
	stock_session(node);
	stock_guard(node, 0, 3 * SEC);
}

static void stock_body(struct node *node, int from, const struct signal_body *body)
{
	struct stock *s = &node->stock;

	if (body->type == SIGNAL_GO_IDLE) {
		if (s->lazy && s->is_on)
			stock_close(node);
		return;
	}
	if (!s->is_on && s->lazy)
		stock_open(node);
	if (body->type == SIGNAL_CANDIDATE) {
		if (s->agent)
			s->agent->remote_count++;
		else
			s->dropped_candidates++;
		return;
	}
	if (s->is_busy || !s->is_on)
		return;
	stock_hear_relay(node, body);
	stock_hear_ice(node, body);
	if (body->type != SIGNAL_OFFER)
		return;
	stock_send(node, SIGNAL_ANSWER);
	s->is_busy = true;
	loop_timer_after(node->world->loop, &s->busy, 2 * SIGNAL_DELAY);
}

static void stock_watch_due(void *ctx)
{
	struct node *node = ctx;
	struct stock *s = &node->stock;
	const uint64_t handshake = node->plane[s->peer].facts.handshake_ns, now = now_of(node->world);

	if (handshake != s->seen_handshake && now - handshake <= 210 * SEC) {
		s->seen_handshake = handshake;
		loop_timer_set(node->world->loop, &s->watch, handshake + 210 * SEC);
		return;
	}
	s->watch_kills++;
	s->is_watched = false;
	if (s->ice_connected) {
		stock_agent_end(node, false);
	} else {
		stock_relay_end(node);
		stock_down(node);
	}
	if (s->relay_ready)
		stock_watch(node);
}

static void stock_start(struct node *node, int peer)
{
	struct stock *s = &node->stock;

	node->is_stock = true;
	s->peer = peer;
	s->is_controller = node->index > peer;
	loop_timer_init(&s->guard, stock_guard_due, node);
	loop_timer_init(&s->busy, stock_busy_due, node);
	loop_timer_init(&s->endpoint, stock_set_endpoint, node);
	loop_timer_init(&s->watch, stock_watch_due, node);
	if (!s->lazy)
		stock_open(node);
}

/* --- nodes of ours --- */

static void node_map(struct node *node, const char *version, bool lazy)
{
	struct netmap_peer peer[NODES] = { 0 };
	struct peers_entry entry[NODES];
	size_t count = 0;

	for (int i = 0; i < node->world->count; i++) {
		if (i == node->index)
			continue;
		memcpy(peer[count].key, node->world->node[i].key, KEY_LEN);
		peer[count].addr = htonl(0x64400001 + i);
		peer[count].fqdn = (char *)"peer.test";
		peer[count].agent_version = (char *)version;
		entry[count] = (struct peers_entry){ &peer[count], i };
		count++;
	}
	assert_int_equal(peers_set(node->peers, entry, count, lazy), 0);
}

static void node_start_with(struct node *node, bool force_relay, const struct peers_ops *ops)
{
	struct peers_config config = { .wg_port = 51820, .version = "0.66.4", .force_relay = force_relay };

	memcpy(config.own_key, node->key, KEY_LEN);
	assert_int_equal(peers_new(node->world->loop, &config, ops, node, &node->peers), 0);
}

static void node_start(struct node *node)
{
	node_start_with(node, false, &world_ops);
	node_map(node, "0.66.4", false);
}

static void node_stop(struct node *node)
{
	peers_free(node->peers);
	node->peers = NULL;
}

static void signal_set(struct world *w, bool up)
{
	for (int i = 0; i < w->count; i++) {
		w->node[i].signal_up = up;
		if (w->node[i].peers)
			peers_signal_state(w->node[i].peers, up);
		else if (w->node[i].is_stock && up)
			stock_guard(&w->node[i], 800 * MS, 1600 * MS);
	}
}

static void home_set(struct node *node, bool up)
{
	node->home_up = up;
	if (node->peers)
		peers_relay_state(node->peers, up);
	else if (node->is_stock && up)
		stock_guard(node, 800 * MS, 1600 * MS);
}

static void server_set(struct world *w, int server, bool up)
{
	w->server[server].up = up;
	for (int i = 0; i < w->count; i++) {
		if (w->node[i].home == server)
			home_set(&w->node[i], up);
	}
}

static void cut(struct world *w, int a, int b, bool there, bool back)
{
	w->udp[a][b] = !there;
	w->udp[b][a] = !back;
}

static struct world *world_new(int count)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	assert_int_equal(loop_new_fake(&w->loop, 1000 * SEC), 0);
	w->count = count;
	w->seed = 4711;
	memset(w->udp, true, sizeof(w->udp));
	for (int i = 0; i < SERVERS; i++) {
		snprintf(w->server[i].address, sizeof(w->server[i].address), "rels://relay%d.test:443", i);
		w->server[i].up = true;
	}
	for (int i = 0; i < count; i++) {
		struct node *node = &w->node[i];

		*node = (struct node){ .world = w, .index = i, .signal_up = true, .home = 0,
			.home_up = true };
		node->key[0] = 4 * i;		/* the text of a later one is the greater: it controls */
		node->key[1] = i + 1;
		for (int peer = 0; peer < count; peer++) {
			struct plane *plane = &node->plane[peer];

			plane->node = node;
			plane->peer = peer;
			loop_timer_init(&plane->keepalive, keepalive_due, plane);
			loop_timer_init(&plane->retry, retry_due, plane);
			loop_timer_init(&plane->owed, owed_due, plane);
			if (peer != i)
				loop_timer_after(w->loop, &plane->keepalive, 25 * SEC + i);
		}
	}
	return w;
}

static void world_free(struct world *w)
{
	for (int i = 0; i < w->count; i++) {
		if (w->node[i].peers)
			node_stop(&w->node[i]);
		if (w->node[i].is_stock) {
			stock_agent_end(&w->node[i], false);
			stock_relay_end(&w->node[i]);
		}
	}
	assert_null(w->agents);		/* nothing is left behind */
	assert_null(w->relays);
	for (struct post *post = w->posts; post; post = post->next)
		assert_false(post->is_sent_note);
	while (w->posts)
		post_free(w->posts);
	loop_free(w->loop);
	free(w);
}

static struct peer_info info_of(struct world *w, int node, int peer)
{
	struct peer_info info;

	assert_int_equal(peers_get(w->node[node].peers, w->node[peer].key, &info), 0);
	assert_int_equal(info.way, w->node[node].plane[peer].way);
	assert_int_equal(info.is_silent, w->node[node].plane[peer].told_silent);
	return info;
}

static void traffic(struct world *w, int from, int to, uint64_t ns, uint64_t every, bool echo)
{
	const uint64_t end = now_of(w) + ns;

	while (now_of(w) < end) {
		packet_send(&w->node[from], to, DATA, echo);
		advance(w, every);
	}
}

static void gaps_clear(struct world *w)
{
	for (int i = 0; i < w->count; i++) {
		for (int j = 0; j < w->count; j++) {
			struct plane *plane = &w->node[i].plane[j];

			plane->gap_ns = plane->last_data_ns = 0;
			plane->ways_set = plane->received = 0;
		}
	}
}

#endif
