// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Shared by all ICE agents: local candidates, and the dispatch of arriving messages.
#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ice/candidate.h"
#include "ice/internal.h"

static const char cid_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void ice_mux_random(struct ice_mux *mux, void *buf, size_t len)
{
	if (mux->ops->random)
		mux->ops->random(mux->ctx, buf, len);
	else
		randombytes_buf(buf, len);
}

void ice_mux_new_cid(struct ice_mux *mux, char ret_cid[static ICE_CID_LEN + 1])
{
	uint8_t bytes[ICE_CID_LEN];

	ice_mux_random(mux, bytes, sizeof(bytes));
	for (size_t i = 0; i < ICE_CID_LEN; i++)
		ret_cid[i] = cid_chars[bytes[i] % 64];
	ret_cid[ICE_CID_LEN] = 0;
}

static bool is_inside(const struct ice_mux *mux, uint16_t family, const struct talon_addr *addr)
{
	return mux->ops->is_inside && mux->ops->is_inside(mux->ctx, family, addr);
}

int ice_mux_send(struct ice_mux *mux, const struct endpoint *to, const void *bytes, size_t len)
{
	if (is_inside(mux, to->family, &to->remote))
		return -EHOSTUNREACH;
	mux->stats.sent++;
	return mux->ops->send(mux->ctx, to, bytes, len);
}

/*
 * A transaction id replaces a table of pending checks: it carries 64 bits of state under a mask that its
 * other 32 bits, random ones, select. To others it looks as random as RFC 8489 asks for.
 */
static void mask_tx(const struct ice_mux *mux, uint8_t id[static STUN_TX_LEN])
{
	uint8_t mask[crypto_shorthash_BYTES];

	_Static_assert(crypto_shorthash_KEYBYTES == sizeof(mux->tx_key) && sizeof(mask) == 8, "SipHash-2-4");
	crypto_shorthash(mask, id, 4, mux->tx_key);
	for (size_t i = 0; i < sizeof(mask); i++)
		id[4 + i] ^= mask[i];
}

void ice_mux_make_tx(struct ice_mux *mux, const struct ice_tx *tx, uint8_t ret_id[static STUN_TX_LEN])
{
	uint32_t what = tx->agent << 8 | tx->pair << 1 | tx->nominates;

	ice_mux_random(mux, ret_id, 4);
	memcpy(ret_id + 4, &what, 4);
	memcpy(ret_id + 8, &tx->sent_us, 4);
	mask_tx(mux, ret_id);
}

static void read_tx(const struct ice_mux *mux, const uint8_t id[static STUN_TX_LEN], struct ice_tx *ret_tx)
{
	uint8_t plain[STUN_TX_LEN];
	uint32_t what;

	memcpy(plain, id, sizeof(plain));
	mask_tx(mux, plain);
	memcpy(&what, plain + 4, 4);
	memcpy(&ret_tx->sent_us, plain + 8, 4);
	ret_tx->agent = what >> 8;
	ret_tx->pair = what >> 1 & 0x7f;
	ret_tx->nominates = what & 1;
}

const struct ice_local *ice_mux_find_host(const struct ice_mux *mux, uint16_t family,
	const struct talon_addr *addr)
{
	for (size_t i = 0; i < mux->host_count; i++) {
		const struct ice_candidate *c = &mux->hosts[i].candidate;

		if (c->family == family && !memcmp(&c->addr, addr, sizeof(*addr)))
			return &mux->hosts[i];
	}
	return NULL;
}

static size_t bucket_of(const struct ice_mux *mux, const char *ufrag, size_t len)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint32_t value;

	crypto_shorthash(hash, (const uint8_t *)ufrag, len, mux->tx_key);
	memcpy(&value, hash, sizeof(value));
	return value % mux->bucket_count;
}

static void link_agent(struct ice_mux *mux, struct ice_agent *agent)
{
	struct ice_agent **head = &mux->buckets[bucket_of(mux, agent->local_ufrag,
		strlen(agent->local_ufrag))];

	agent->next = *head;
	*head = agent;
}

static void unlink_agent(struct ice_mux *mux, struct ice_agent *agent)
{
	struct ice_agent **at = &mux->buckets[bucket_of(mux, agent->local_ufrag, strlen(agent->local_ufrag))];

	while (*at && *at != agent)
		at = &(*at)->next;
	if (*at)
		*at = agent->next;
}

static int grow_buckets(struct ice_mux *mux)
{
	size_t count = mux->bucket_count ? 2 * mux->bucket_count : 64;
	struct ice_agent **buckets;

	if (mux->agent_count < mux->bucket_count)
		return 0;
	buckets = calloc(count, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	free(mux->buckets);
	mux->buckets = buckets;
	mux->bucket_count = count;
	for (size_t i = 0; i < mux->agent_room; i++) {
		if (mux->agents[i])
			link_agent(mux, mux->agents[i]);
	}
	return 0;
}

static int grow_agents(struct ice_mux *mux)
{
	size_t room = mux->agent_room ? 2 * mux->agent_room : 64;
	struct ice_agent **agents;

	if (mux->agent_count < mux->agent_room)
		return 0;
	if (room > ICE_AGENTS_MAX)
		return -ENOSPC;
	agents = reallocarray(mux->agents, room, sizeof(*agents));
	if (!agents)
		return -ENOMEM;
	memset(agents + mux->agent_room, 0, (room - mux->agent_room) * sizeof(*agents));
	mux->agents = agents;
	mux->agent_room = room;
	return 0;
}

int ice_mux_insert(struct ice_mux *mux, struct ice_agent *agent)
{
	size_t slot = mux->agent_count;
	int ret = grow_agents(mux);

	if (!ret)
		ret = grow_buckets(mux);
	if (ret)
		return ret;
	while (mux->agents[slot % mux->agent_room])
		slot++;
	slot %= mux->agent_room;
	agent->id = (uint32_t)mux->generation++ << 16 | slot;
	mux->agents[slot] = agent;
	mux->agent_count++;
	link_agent(mux, agent);
	return 0;
}

void ice_mux_remove(struct ice_mux *mux, struct ice_agent *agent)
{
	size_t slot = agent->id & 0xffff;

	if (slot >= mux->agent_room || mux->agents[slot] != agent)
		return;
	mux->agents[slot] = NULL;
	mux->agent_count--;
	unlink_agent(mux, agent);
}

static struct ice_agent *by_id(const struct ice_mux *mux, uint32_t id)
{
	size_t slot = id & 0xffff;
	struct ice_agent *agent = slot < mux->agent_room ? mux->agents[slot] : NULL;

	return agent && agent->id == id ? agent : NULL;
}

/* @name must be exactly "local ufrag:remote ufrag". */
static struct ice_agent *by_username(const struct ice_mux *mux, const char *name, size_t len)
{
	const char *colon = name ? memchr(name, ':', len) : NULL;

	if (!colon || !mux->bucket_count)
		return NULL;
	for (struct ice_agent *a = mux->buckets[bucket_of(mux, name, colon - name)]; a; a = a->next) {
		size_t own = strlen(a->local_ufrag), theirs = strlen(a->remote_ufrag);

		if (own == (size_t)(colon - name) && len == own + 1 + theirs &&
			!memcmp(name, a->local_ufrag, own) && !memcmp(colon + 1, a->remote_ufrag, theirs))
			return a;
	}
	return NULL;
}

static void handle_request(struct ice_mux *mux, const struct endpoint *from,
	const struct stun_message *message)
{
	struct ice_agent *agent = by_username(mux, message->username, message->username_len);

	if (!agent)
		mux->stats.unknown_user++;
	else
		ice_agent_request(agent, from, message);
}

static void handle_success(struct ice_mux *mux, const struct endpoint *from,
	const struct stun_message *message)
{
	struct ice_agent *agent;
	struct ice_tx tx;

	if (ice_gather_receive(mux, from, message))
		return;
	read_tx(mux, message->tx, &tx);
	agent = by_id(mux, tx.agent);
	if (!agent)
		mux->stats.unmatched++;
	else
		ice_agent_response(agent, from, message, &tx);
}

void ice_mux_receive(struct ice_mux *mux, const struct endpoint *from, const uint8_t *bytes, size_t len)
{
	struct stun_message message;

	mux->stats.received++;
	if (is_inside(mux, from->family, &from->remote) || is_inside(mux, from->family, &from->local)) {
		mux->stats.inside++;
		return;
	}
	if (stun_parse(bytes, len, &message) || message.method != STUN_BINDING) {
		mux->stats.malformed++;
		return;
	}
	/*
	 * Errors have no effect: they are not authentic, and the requests themselves resolve a conflict of
	 * roles.
	 */
	if (message.class == STUN_REQUEST)
		handle_request(mux, from, &message);
	else if (message.class == STUN_SUCCESS)
		handle_success(mux, from, &message);
	else
		mux->stats.unmatched++;
}

void ice_mux_poke(struct ice_mux *mux)
{
	for (size_t i = 0; i < mux->agent_room; i++) {
		if (mux->agents[i])
			ice_agent_poke(mux->agents[i]);
	}
}

static void tell_change(void *ctx)
{
	struct ice_mux *mux = ctx;

	if (mux->changed_fn)
		mux->changed_fn(mux->changed_ctx);
}

void ice_mux_note_change(struct ice_mux *mux)
{
	loop_timer_after(mux->loop, &mux->changed, 0);
}

void ice_mux_on_change(struct ice_mux *mux, ice_changed_fn fn, void *ctx)
{
	mux->changed_fn = fn;
	mux->changed_ctx = ctx;
}

static bool is_nowhere(const struct talon_addr *addr)
{
	static const struct talon_addr zero;

	return !memcmp(addr, &zero, sizeof(zero));
}

static struct ice_local make_host(struct ice_mux *mux, const struct endpoint *at)
{
	const struct talon_addr *addr = is_nowhere(&at->local) ? &at->remote : &at->local;
	const struct ice_local *known = ice_mux_find_host(mux, at->family, addr);
	struct ice_local host = {
		.candidate = {
			.type = ICE_HOST, .family = at->family, .addr = *addr, .port = mux->port,
			.priority = ice_candidate_priority(ICE_HOST),
		},
		.confirmed_ns = LOOP_NEVER,
	};

	if (known) {
		host = *known;
	} else {
		ice_mux_new_cid(mux, host.candidate.cid);
		host.serial = ++mux->serial;
	}
	host.ifindex = at->ifindex;
	return host;
}

bool ice_mux_set_host(struct ice_mux *mux, const struct endpoint *locals, size_t count)
{
	const uint32_t before = mux->serial;
	const size_t had = mux->host_count;
	struct ice_local hosts[ICE_HOSTS_MAX];
	size_t n = 0;
	bool is_changed;

	for (size_t i = 0; i < count && n < ICE_HOSTS_MAX; i++) {
		if (endpoint_addr_len(locals[i].family))
			hosts[n++] = make_host(mux, &locals[i]);
	}
	is_changed = mux->serial != before || n != had;
	memcpy(mux->hosts, hosts, n * sizeof(hosts[0]));
	mux->host_count = n;
	if (!is_changed)
		return false;
	ice_gather_update(mux);
	ice_gather_ask(mux, true);
	ice_mux_poke(mux);
	if (had)
		ice_mux_note_change(mux);
	return true;
}

void ice_mux_get_stats(const struct ice_mux *mux, struct ice_stats *ret_stats)
{
	*ret_stats = mux->stats;
}

int ice_mux_new(struct loop *loop, uint16_t port, const struct ice_ops *ops, void *ctx,
	struct ice_mux **ret_mux)
{
	struct ice_mux *mux = calloc(1, sizeof(*mux));

	if (!mux)
		return -ENOMEM;
	mux->loop = loop;
	mux->port = htons(port);
	mux->ops = ops;
	mux->ctx = ctx;
	ice_mux_random(mux, mux->tx_key, sizeof(mux->tx_key));
	loop_timer_init(&mux->changed, tell_change, mux);
	ice_gather_init(mux);
	*ret_mux = mux;
	return 0;
}

void ice_mux_free(struct ice_mux *mux)
{
	if (!mux)
		return;
	ice_gather_done(mux);
	loop_timer_cancel(mux->loop, &mux->changed);
	free(mux->agents);
	free(mux->buckets);
	free(mux);
}
