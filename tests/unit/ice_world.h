/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A small Internet for test_ice.c on a clock that only the test moves: nodes with addresses, NATs of every
 * kind in front of them, delay, loss and cut wires, STUN servers, a signalling channel, and a peer that
 * behaves as a stock client is documented to (it is not made of the code under test, but for the STUN codec,
 * which is tested on recordings).
 */
#ifndef TALON_TEST_ICE_WORLD_H
#define TALON_TEST_ICE_WORLD_H

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ice/agent.h"
#include "ice/candidate.h"
#include "ice/stun.h"

#define SEC		LOOP_SECOND
#define MS		LOOP_MS
#define PORT		51820
#define NODES_MAX	4
#define ADDRS_MAX	3
#define SERVERS		2
#define EVENTS_MAX	64

enum nat_kind {
	NAT_NONE,
	NAT_CONE,		/* one public port per inside port; lets in only who was written to */
	NAT_SYMMETRIC,		/* a new public port per destination */
	NAT_FORWARD,		/* the same, and the public WireGuard port goes inside */
};

struct mapping { struct talon_addr dst; __be16 dst_port, public_port; uint64_t used_ns; };

struct world;

struct node {
	struct world *world;
	struct endpoint addrs[ADDRS_MAX];	/* .local, family */
	size_t addr_count;
	enum nat_kind nat;
	struct talon_addr public;
	struct endpoint inside;		/* an address that it reaches through the tunnel */
	struct mapping mappings[64];
	size_t mapping_count;
	uint16_t next_port;
	bool is_down;			/* nothing in, nothing out */
	bool is_deaf;			/* nothing in */
	bool is_slow_to_tell;		/* candidates are held back */
	bool keeps_candidates;		/* none are signalled at all */
	uint64_t tell_ns;
	struct ice_mux *mux;		/* one of ours, ... */
	struct ice_agent *agent;
	struct stock *stock;		/* ... or a stock one */
	struct node *other;
	struct ice_candidate told[16];
	size_t told_count;
	int connected, failed;
	bool had_been_connected;
	bool frees_in_candidate, frees_in_connected, keeps_failed;
	uint64_t connected_ns, failed_ns;
	struct ice_pair_info info;
	/* What left this node. */
	unsigned requests, nominations, responses, errors, with_cids;
	struct { struct endpoint to; } nominated[8];	/* distinct ways */
	size_t nominated_count;
	uint64_t request_ns[512];
	unsigned changes;
};

struct server { struct endpoint at; bool is_down; unsigned asked; uint64_t asked_ns[16]; };

struct world {
	struct loop *loop;
	struct node nodes[NODES_MAX];
	struct server servers[SERVERS];
	uint64_t delay_ns, signal_ns;
	unsigned loss;			/* percent */
	uint64_t seed;
	struct { const struct node *from, *to; } cut[4];
	size_t cut_count;
	unsigned packets;
};

struct packet {
	struct loop_timer timer;
	struct world *world;
	struct node *from;
	struct endpoint src, dst;	/* .remote and .port are the address */
	size_t len;
	uint8_t bytes[STUN_BUILD_MAX];
};

static inline uint64_t world_now(const struct world *w)
{
	return loop_now(w->loop);
}

static inline uint32_t world_random(struct world *w)
{
	w->seed = w->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return w->seed >> 33;
}

static inline struct endpoint address(const char *text, uint16_t port)
{
	struct endpoint e = { .port = htons(port) };

	e.family = strchr(text, ':') ? AF_INET6 : AF_INET;
	assert_int_equal(inet_pton(e.family, text, &e.remote), 1);
	return e;
}

static inline bool is_same_place(const struct endpoint *a, const struct endpoint *b)
{
	return a->family == b->family && a->port == b->port &&
		!memcmp(&a->remote, &b->remote, sizeof(a->remote));
}

static inline bool is_addr(const struct talon_addr *a, const struct talon_addr *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* The stock peer: what section 3 of its documentation says, and no more. */

struct stock_pair {
	struct endpoint remote;
	enum ice_candidate_type type;
	char cid[ICE_CID_LEN + 1];
	enum { STOCK_WAITING, STOCK_SUCCEEDED, STOCK_FAILED } state;
	unsigned tries;
	bool is_nominated;
};

struct stock_pending { uint8_t tx[STUN_TX_LEN]; size_t pair; bool nominates; uint64_t sent_ns;
	bool is_used; };

struct stock {
	struct node *node;
	bool is_controlling;
	char ufrag[17], pwd[33], remote_ufrag[17], remote_pwd[33], cid[ICE_CID_LEN + 1];
	struct stock_pair pairs[16];
	size_t pair_count;
	struct stock_pending pending[256];
	size_t next_pending;
	int nominated, selected;	/* -1: none */
	uint64_t start_ns, heard_ns;
	struct loop_timer timer;
	bool is_lost, is_failed;
	unsigned bad;			/* requests and answers that it would not take */
	char last_cids[STUN_CIDS_LEN + 1];
};

static int world_send(void *ctx, const struct endpoint *to, const void *bytes, size_t len);
static void arrive(void *ctx);

static inline void stock_check(struct stock *s, size_t index, bool nominates)
{
	struct stock_pair *pair = &s->pairs[index];
	struct stock_pending *pending = &s->pending[s->next_pending++ % 256];
	char username[64], cids[STUN_CIDS_LEN + 1];
	uint8_t bytes[STUN_BUILD_MAX];
	struct stun_request r = {
		.tx = pending->tx, .username = username, .password = s->remote_pwd,
		.use_candidate = nominates,
		.is_controlling = s->is_controlling, .tie_breaker = 12345,
		.priority = ice_candidate_priority(ICE_HOST), .cids = cids,
	};

	for (size_t i = 0; i < STUN_TX_LEN; i++)
		pending->tx[i] = world_random(s->node->world);
	pending->pair = index;
	pending->nominates = nominates;
	pending->sent_ns = world_now(s->node->world);
	pending->is_used = true;
	snprintf(username, sizeof(username), "%s:%s", s->remote_ufrag, s->ufrag);
	/* What it does not know of the other side's candidate it makes up. */
	snprintf(cids, sizeof(cids), "%s:%s", s->cid,
		pair->cid[0] ? pair->cid : "abcdefghijklmnopqrstuvwxyz012345");
	world_send(s->node, &pair->remote, bytes, stun_build_request(&r, bytes, sizeof(bytes)));
}

static inline uint64_t stock_wait(enum ice_candidate_type type)
{
	return type == ICE_HOST ? 0 : type == ICE_SRFLX ? 500 * MS : SEC;
}

static inline int stock_best(const struct stock *s)
{
	int best = -1;

	for (size_t i = 0; i < s->pair_count; i++) {
		if (s->pairs[i].state == STOCK_SUCCEEDED &&
		    (best < 0 ||
		    ice_candidate_priority(s->pairs[i].type) > ice_candidate_priority(s->pairs[best].type)))
			best = i;
	}
	return best;
}

static inline void stock_tick(void *ctx)
{
	struct stock *s = ctx;
	uint64_t now = world_now(s->node->world);
	int best = stock_best(s);

	if (s->selected >= 0) {
		if (now - s->heard_ns >= 6 * SEC) {
			s->is_lost = true;
			return;
		}
		stock_check(s, s->selected, false);
		loop_timer_after(s->node->world->loop, &s->timer, 2 * SEC);
		return;
	}
	if (now - s->start_ns >= 12 * SEC) {
		s->is_failed = true;
		return;
	}
	if (s->is_controlling && s->nominated < 0 && best >= 0 &&
		now - s->start_ns >= stock_wait(s->pairs[best].type))
		s->nominated = best;
	for (size_t i = 0; i < s->pair_count; i++) {
		if (s->pairs[i].state != STOCK_WAITING)
			continue;
		if (s->pairs[i].tries++ < 8)
			stock_check(s, i, false);
		else
			s->pairs[i].state = STOCK_FAILED;
	}
	if (s->nominated >= 0)
		stock_check(s, s->nominated, true);
	loop_timer_after(s->node->world->loop, &s->timer, 200 * MS);
}

static inline void stock_select(struct stock *s, int pair)
{
	if (s->selected >= 0)
		return;
	s->selected = pair;
	s->heard_ns = world_now(s->node->world);
	loop_timer_after(s->node->world->loop, &s->timer, 2 * SEC);
}

/* By address only; the first to come wins. */
static inline int stock_find(const struct stock *s, const struct endpoint *at)
{
	for (size_t i = 0; i < s->pair_count; i++) {
		if (is_same_place(&s->pairs[i].remote, at))
			return i;
	}
	return -1;
}

static inline int stock_add(struct stock *s, const struct endpoint *at, enum ice_candidate_type type,
	const char *cid)
{
	struct stock_pair *pair = &s->pairs[s->pair_count];

	*pair = (struct stock_pair){ .remote = *at, .type = type };
	memset(&pair->remote.local, 0, sizeof(pair->remote.local));
	pair->remote.ifindex = 0;
	memcpy(pair->cid, cid, strlen(cid) + 1);
	stock_check(s, s->pair_count, false);
	pair->tries = 1;
	return s->pair_count++;
}

static inline void stock_candidate(struct stock *s, const struct ice_candidate *c)
{
	struct endpoint at = { .family = c->family, .port = c->port, .remote = c->addr };

	if (stock_find(s, &at) < 0)
		stock_add(s, &at, c->type, c->cid);
	if (c->type == ICE_SRFLX && c->has_related && c->related_port != c->port && c->cid[0]) {
		at.port = c->related_port;
		if (stock_find(s, &at) < 0)
			stock_add(s, &at, c->type, c->cid);
	}
}

static inline void stock_request(struct stock *s, const struct endpoint *from, const struct stun_message *m)
{
	char username[64], cids[STUN_CIDS_LEN + 1];
	uint8_t bytes[STUN_BUILD_MAX];
	struct stun_response r = { .tx = m->tx, .mapped = from, .password = s->pwd, .cids = cids };
	int pair;

	snprintf(username, sizeof(username), "%s:%s", s->ufrag, s->remote_ufrag);
	if (m->username_len != strlen(username) || memcmp(m->username, username, m->username_len) ||
		!stun_is_authentic(m, s->pwd)) {
		s->bad++;
		return;
	}
	if (m->cids)
		snprintf(s->last_cids, sizeof(s->last_cids), "%.*s", (int)m->cids_len, m->cids);
	/* not always the mirror of what was asked */
	snprintf(cids, sizeof(cids), "%s:%s", s->cid, "abcdefghijklmnopqrstuvwxyz012345");
	world_send(s->node, from, bytes, stun_build_response(&r, bytes, sizeof(bytes)));
	pair = stock_find(s, from);
	if (pair < 0)
		pair = stock_add(s, from, ICE_PRFLX, "");
	if (s->selected == pair)
		s->heard_ns = world_now(s->node->world);
	if (s->is_controlling)
		return;		/* failed pairs stay so */
	s->pairs[pair].is_nominated |= m->use_candidate;
	if (s->pairs[pair].state == STOCK_FAILED)
		s->pairs[pair].state = STOCK_WAITING;
	if (s->pairs[pair].is_nominated && s->pairs[pair].state == STOCK_SUCCEEDED)
		stock_select(s, pair);
	stock_check(s, pair, false);
}

static inline void stock_response(struct stock *s, const struct endpoint *from, const struct stun_message *m)
{
	for (size_t i = 0; i < 256; i++) {
		struct stock_pending *p = &s->pending[i];
		struct stock_pair *pair = &s->pairs[p->pair];

		if (!p->is_used || memcmp(p->tx, m->tx, STUN_TX_LEN) ||
			world_now(s->node->world) - p->sent_ns > 4 * SEC)
			continue;
		p->is_used = false;
		if (!is_same_place(&pair->remote, from) || !stun_is_authentic(m, s->remote_pwd)) {
			s->bad++;
			return;
		}
		pair->state = STOCK_SUCCEEDED;
		if (s->selected == (int)p->pair)
			s->heard_ns = world_now(s->node->world);
		if (p->nominates || pair->is_nominated)
			stock_select(s, p->pair);
		return;
	}
	s->bad++;
}

static inline void stock_receive(struct stock *s, const struct endpoint *from, const uint8_t *bytes,
	size_t len)
{
	struct stun_message m;

	assert_int_equal(stun_parse(bytes, len, &m), 0);
	assert_true(stun_has_fingerprint(&m));
	if (m.class == STUN_REQUEST)
		stock_request(s, from, &m);
	else if (m.class == STUN_SUCCESS)
		stock_response(s, from, &m);
}

/* The wire. */

static inline bool is_cut(const struct world *w, const struct node *from, const struct node *to)
{
	for (size_t i = 0; i < w->cut_count; i++) {
		if (w->cut[i].from == from && w->cut[i].to == to)
			return true;
	}
	return false;
}

static inline void world_cut(struct world *w, const struct node *from, const struct node *to)
{
	w->cut[w->cut_count].from = from;
	w->cut[w->cut_count++].to = to;
}

static inline void note_sent(struct node *n, const struct endpoint *to, const uint8_t *bytes, size_t len)
{
	struct stun_message m;

	assert_int_equal(stun_parse(bytes, len, &m), 0);
	n->with_cids += m.cids != NULL;
	n->errors += m.class == STUN_ERROR;
	n->responses += m.class == STUN_SUCCESS;
	if (m.class != STUN_REQUEST || !m.username)
		return;
	n->request_ns[n->requests++ % 512] = world_now(n->world);
	if (!m.use_candidate)
		return;
	n->nominations++;
	for (size_t i = 0; i < n->nominated_count; i++) {
		if (endpoint_is_equal(&n->nominated[i].to, to))
			return;
	}
	n->nominated[n->nominated_count++].to = *to;
}

static inline __be16 nat_out(struct node *n, const struct endpoint *dst)
{
	struct mapping *m;

	for (size_t i = 0; i < n->mapping_count; i++) {
		m = &n->mappings[i];
		if (is_addr(&m->dst, &dst->remote) && m->dst_port == dst->port)
			return m->public_port;
	}
	assert_in_range(n->mapping_count, 0, 63);
	m = &n->mappings[n->mapping_count++];
	*m = (struct mapping){ .dst = dst->remote, .dst_port = dst->port };
	m->public_port = htons(n->nat == NAT_CONE ? n->next_port : n->next_port++);
	return m->public_port;
}

static inline bool nat_in(struct node *n, const struct packet *p)
{
	for (size_t i = 0; i < n->mapping_count; i++) {
		const struct mapping *m = &n->mappings[i];

		if (m->public_port == p->dst.port && is_addr(&m->dst, &p->src.remote) &&
			m->dst_port == p->src.port)
			return true;
	}
	if (n->nat != NAT_FORWARD || p->dst.port != htons(PORT))
		return false;
	n->mappings[n->mapping_count++] = (struct mapping){ .dst = p->src.remote, .dst_port = p->src.port,
		.public_port = p->dst.port };
	return true;
}

static inline void deliver(struct node *n, const struct packet *p, const struct talon_addr *local)
{
	struct endpoint from = p->src;
	uint8_t *exact = malloc(p->len);	/* so that a sanitizer sees reading behind it */

	memcpy(exact, p->bytes, p->len);
	from.local = *local;
	from.ifindex = 7;
	if (!n->is_down && !n->is_deaf && !is_cut(n->world, p->from, n)) {
		if (n->stock)
			stock_receive(n->stock, &from, exact, p->len);
		else if (n->mux)
			ice_mux_receive(n->mux, &from, exact, p->len);
	}
	free(exact);
}

static inline void answer_as_server(struct world *w, struct server *s, const struct packet *p)
{
	struct stun_response r = { .tx = p->bytes + 8, .mapped = &p->src };
	struct packet *reply;

	s->asked_ns[s->asked++ % 16] = world_now(w);
	if (s->is_down)
		return;
	reply = calloc(1, sizeof(*reply));
	reply->world = w;
	reply->src = p->dst;
	reply->dst = p->src;
	reply->len = stun_build_response(&r, reply->bytes, sizeof(reply->bytes));
	loop_timer_init(&reply->timer, arrive, reply);
	loop_timer_after(w->loop, &reply->timer, w->delay_ns);
}

static inline void route(struct world *w, struct packet *p)
{
	for (size_t i = 0; i < SERVERS; i++) {
		if (w->servers[i].at.family && is_same_place(&w->servers[i].at, &p->dst)) {
			answer_as_server(w, &w->servers[i], p);
			return;
		}
	}
	for (size_t i = 0; i < NODES_MAX; i++) {
		struct node *n = &w->nodes[i];

		if (n->nat && is_addr(&n->public, &p->dst.remote) && p->dst.family == AF_INET) {
			if (nat_in(n, p))
				deliver(n, p, &n->addrs[0].local);
			return;
		}
		for (size_t j = 0; !n->nat && j < n->addr_count; j++) {
			if (n->addrs[j].family == p->dst.family &&
				is_addr(&n->addrs[j].local, &p->dst.remote) && p->dst.port == htons(PORT)) {
				deliver(n, p, &n->addrs[j].local);
				return;
			}
		}
	}
}

static void arrive(void *ctx)
{
	struct packet *p = ctx;

	route(p->world, p);
	free(p);
}

static inline bool has_addr(const struct node *n, uint16_t family, const struct talon_addr *addr)
{
	for (size_t i = 0; i < n->addr_count; i++) {
		if (n->addrs[i].family == family && is_addr(&n->addrs[i].local, addr))
			return true;
	}
	return false;
}

static int world_send(void *ctx, const struct endpoint *to, const void *bytes, size_t len)
{
	static const struct talon_addr zero;
	struct node *n = ctx;
	struct world *w = n->world;
	struct packet *p;

	note_sent(n, to, bytes, len);
	w->packets++;
	if (n->is_down || world_random(w) % 100 < w->loss)
		return 0;
	p = calloc(1, sizeof(*p));
	p->world = w;
	p->from = n;
	p->len = len;
	memcpy(p->bytes, bytes, len);
	p->dst = *to;
	p->src = (struct endpoint){ .family = to->family, .port = htons(PORT), .remote = to->local };
	if (!has_addr(n, to->family, &to->local))	/* gone, or left to the route */
		p->src.remote = zero;
	for (size_t i = 0; i < n->addr_count && is_addr(&p->src.remote, &zero); i++) {
		if (n->addrs[i].family == to->family)
			p->src.remote = n->addrs[i].local;
	}
	if (n->nat) {
		p->src.remote = n->public;
		p->src.port = nat_out(n, to);
	}
	loop_timer_init(&p->timer, arrive, p);
	loop_timer_after(w->loop, &p->timer, w->delay_ns);
	return 0;
}

/* Signalling: a line of text, later. */

struct told { struct loop_timer timer; struct node *to; char line[ICE_CANDIDATE_LEN]; };

static inline void hear_candidate(void *ctx)
{
	struct told *t = ctx;
	struct ice_candidate c;

	assert_int_equal(ice_candidate_parse(t->line, &c), 0);
	if (t->to->stock)
		stock_candidate(t->to->stock, &c);
	else if (t->to->agent)
		assert_int_equal(ice_agent_add_remote(t->to->agent, &c), 0);
	free(t);
}

static inline void signal_candidate(struct node *n, const struct ice_candidate *c)
{
	struct told *t;

	if (n->keeps_candidates || !n->other)
		return;
	t = calloc(1, sizeof(*t));
	t->to = n->other;
	assert_true(ice_candidate_format(c, "someufragofmine", t->line, sizeof(t->line)) > 0);
	loop_timer_init(&t->timer, hear_candidate, t);
	loop_timer_after(n->world->loop, &t->timer, n->world->signal_ns + n->tell_ns);
}

static inline void on_candidate(void *ctx, const struct ice_candidate *c)
{
	struct node *n = ctx;

	n->told[n->told_count++ % 16] = *c;
	signal_candidate(n, c);
	if (n->frees_in_candidate) {
		ice_agent_free(n->agent);
		n->agent = NULL;
	}
}

static inline void on_connected(void *ctx, const struct ice_pair_info *info)
{
	struct node *n = ctx;

	n->connected++;
	n->connected_ns = world_now(n->world);
	n->info = *info;
	if (n->frees_in_connected) {
		ice_agent_free(n->agent);
		n->agent = NULL;
	}
}

static inline void on_failed(void *ctx, bool had_been_connected)
{
	struct node *n = ctx;

	n->failed++;
	n->failed_ns = world_now(n->world);
	n->had_been_connected = had_been_connected;
	if (n->keeps_failed)
		return;
	ice_agent_free(n->agent);
	n->agent = NULL;
}

static inline void on_change(void *ctx)
{
	((struct node *)ctx)->changes++;
}

static const struct ice_agent_events agent_events = { .candidate = on_candidate, .connected = on_connected,
	.failed = on_failed };

static inline void node_random(void *ctx, void *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = world_random(((struct node *)ctx)->world);
}

static inline bool node_is_inside(void *ctx, uint16_t family, const struct talon_addr *addr)
{
	const struct node *n = ctx;

	return n->inside.family == family && !memcmp(&n->inside.remote, addr, sizeof(*addr));
}

static const struct ice_ops node_ops = { .send = world_send, .random = node_random,
	.is_inside = node_is_inside };

static inline void world_init(struct world *w)
{
	*w = (struct world){ .delay_ns = 10 * MS, .signal_ns = 30 * MS, .seed = 7 };
	assert_int_equal(loop_new_fake(&w->loop, 1000 * SEC), 0);
	for (size_t i = 0; i < NODES_MAX; i++) {
		w->nodes[i].world = w;
		w->nodes[i].next_port = 20000;
	}
	w->nodes[0].other = &w->nodes[1];
	w->nodes[1].other = &w->nodes[0];
	w->servers[0].at = address("203.0.113.1", 3478);
	w->servers[1].at = address("203.0.113.2", 3478);
}

static inline void run(struct world *w, uint64_t ns)
{
	loop_advance(w->loop, world_now(w) + ns);
}

/* No packet, no message may be left when the loop goes. */
static inline void world_done(struct world *w)
{
	for (size_t i = 0; i < NODES_MAX; i++) {
		struct node *n = &w->nodes[i];

		ice_agent_free(n->agent);
		n->agent = NULL;
		if (n->stock)
			loop_timer_cancel(w->loop, &n->stock->timer);
		free(n->stock);
		n->stock = NULL;
		n->is_deaf = true;
	}
	run(w, 10 * SEC);
	for (size_t i = 0; i < NODES_MAX; i++)
		ice_mux_free(w->nodes[i].mux);
	loop_free(w->loop);
}

static inline void add_addr(struct node *n, const char *text)
{
	struct endpoint at = address(text, 0);

	n->addrs[n->addr_count++] = (struct endpoint){ .family = at.family, .local = at.remote,
		.ifindex = 7 };
}

static inline void node_nat(struct node *n, enum nat_kind kind, const char *public)
{
	n->nat = kind;
	n->public = address(public, 0).remote;
}

/* @stuns: how many of the world's servers it asks. */
static inline void node_start(struct node *n, size_t stuns)
{
	struct server_url urls[SERVERS] = {};

	assert_int_equal(ice_mux_new(n->world->loop, PORT, &node_ops, n, &n->mux), 0);
	ice_mux_on_change(n->mux, on_change, n);
	assert_true(ice_mux_set_host(n->mux, n->addrs, n->addr_count));
	for (size_t i = 0; i < stuns; i++) {
		const struct endpoint *at = &n->world->servers[i].at;

		urls[i].scheme = SERVER_STUN;
		urls[i].port = ntohs(at->port);
		assert_non_null(inet_ntop(at->family, &at->remote, urls[i].host, sizeof(urls[i].host)));
	}
	assert_int_equal(ice_mux_set_stuns(n->mux, urls, stuns), 0);
	run(n->world, SEC);
}

static inline struct ice_agent_config agent_config(const struct node *n, bool is_controlling)
{
	struct ice_agent_config c = { .is_controlling = is_controlling };
	bool is_first = n == &n->world->nodes[0];

	strcpy(c.local_ufrag, is_first ? "firstUfragLetter" : "otherUfragLetter");
	strcpy(c.remote_ufrag, is_first ? "otherUfragLetter" : "firstUfragLetter");
	strcpy(c.local_pwd, is_first ? "passwordOfTheFirst" : "passwordOfTheOther");
	strcpy(c.remote_pwd, is_first ? "passwordOfTheOther" : "passwordOfTheFirst");
	return c;
}

static inline void agent_start(struct node *n, bool is_controlling)
{
	struct ice_agent_config c = agent_config(n, is_controlling);

	n->told_count = 0;
	assert_int_equal(ice_agent_new(n->mux, &c, &agent_events, n, &n->agent), 0);
	assert_int_equal(n->told_count, 0);
}

static inline struct stock *stock_start(struct node *n, bool is_controlling)
{
	struct ice_agent_config c = agent_config(n, is_controlling);
	struct stock *s = calloc(1, sizeof(*s));

	s->node = n;
	s->is_controlling = is_controlling;
	s->nominated = s->selected = -1;
	s->start_ns = world_now(n->world);
	strcpy(s->ufrag, c.local_ufrag);
	strcpy(s->pwd, c.local_pwd);
	strcpy(s->remote_ufrag, c.remote_ufrag);
	strcpy(s->remote_pwd, c.remote_pwd);
	strcpy(s->cid, "StockPeersCandidateNumber1234567");
	n->stock = s;
	loop_timer_init(&s->timer, stock_tick, s);
	loop_timer_after(n->world->loop, &s->timer, 0);
	return s;
}

static inline void stock_tell(struct stock *s, enum ice_candidate_type type, const char *addr, uint16_t port,
	bool has_related)
{
	struct endpoint at = address(addr, port);
	struct ice_candidate c = {
		.type = type, .family = at.family, .addr = at.remote, .port = at.port,
		.priority = ice_candidate_priority(type),
		.has_related = has_related, .related_port = has_related ? htons(PORT) : 0,
	};

	strcpy(c.cid, s->cid);
	signal_candidate(s->node, &c);
}

#endif
