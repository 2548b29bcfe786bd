// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What all ICE agents share: local candidates, and who gets an arriving message.
#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ice/candidate.h"
#include "ice/internal.h"

static const char cid_chars[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void ice_hub_random(struct ice_hub *hub, void *buf, size_t len)
{
	if (hub->ops->random)
		hub->ops->random(hub->ctx, buf, len);
	else
		randombytes_buf(buf, len);
}

void ice_hub_new_cid(struct ice_hub *hub, char ret_cid[static ICE_CID_LEN + 1])
{
	uint8_t bytes[ICE_CID_LEN];

	ice_hub_random(hub, bytes, sizeof(bytes));
	for (size_t i = 0; i < ICE_CID_LEN; i++)
		ret_cid[i] = cid_chars[bytes[i] % 64];
	ret_cid[ICE_CID_LEN] = 0;
}

int ice_hub_send(struct ice_hub *hub, const struct endpoint *to, const void *bytes, size_t len)
{
	hub->stats.sent++;
	return hub->ops->send(hub->ctx, to, bytes, len);
}

/*
 * A transaction id carries what else would be a table of pending checks: 64 bits under a mask that the other 32, random ones, choose. To
 * anybody else it looks as random as the RFC wants it.
 */
static void mask_tx(const struct ice_hub *hub, uint8_t id[static STUN_TX_LEN])
{
	uint8_t mask[crypto_shorthash_BYTES];

	_Static_assert(crypto_shorthash_KEYBYTES == sizeof(hub->tx_key) && sizeof(mask) == 8, "SipHash-2-4");
	crypto_shorthash(mask, id, 4, hub->tx_key);
	for (size_t i = 0; i < sizeof(mask); i++)
		id[4 + i] ^= mask[i];
}

void ice_hub_make_tx(struct ice_hub *hub, const struct ice_tx *tx, uint8_t ret_id[static STUN_TX_LEN])
{
	uint32_t what = tx->agent << 8 | tx->pair << 1 | tx->nominates;

	ice_hub_random(hub, ret_id, 4);
	memcpy(ret_id + 4, &what, 4);
	memcpy(ret_id + 8, &tx->sent_us, 4);
	mask_tx(hub, ret_id);
}

static void read_tx(const struct ice_hub *hub, const uint8_t id[static STUN_TX_LEN], struct ice_tx *ret_tx)
{
	uint8_t plain[STUN_TX_LEN];
	uint32_t what;

	memcpy(plain, id, sizeof(plain));
	mask_tx(hub, plain);
	memcpy(&what, plain + 4, 4);
	memcpy(&ret_tx->sent_us, plain + 8, 4);
	ret_tx->agent = what >> 8;
	ret_tx->pair = what >> 1 & 0x7f;
	ret_tx->nominates = what & 1;
}

const struct ice_local *ice_hub_find_host(const struct ice_hub *hub, uint16_t family, const struct talon_addr *addr)
{
	for (size_t i = 0; i < hub->host_count; i++) {
		const struct ice_candidate *c = &hub->hosts[i].candidate;

		if (c->family == family && !memcmp(&c->addr, addr, sizeof(*addr)))
			return &hub->hosts[i];
	}
	return NULL;
}

static size_t bucket_of(const struct ice_hub *hub, const char *ufrag, size_t len)
{
	uint8_t hash[crypto_shorthash_BYTES];
	uint32_t value;

	crypto_shorthash(hash, (const uint8_t *)ufrag, len, hub->tx_key);
	memcpy(&value, hash, sizeof(value));
	return value % hub->bucket_count;
}

static void link_agent(struct ice_hub *hub, struct ice_agent *agent)
{
	struct ice_agent **head = &hub->buckets[bucket_of(hub, agent->local_ufrag, strlen(agent->local_ufrag))];

	agent->next = *head;
	*head = agent;
}

static void unlink_agent(struct ice_hub *hub, struct ice_agent *agent)
{
	struct ice_agent **at = &hub->buckets[bucket_of(hub, agent->local_ufrag, strlen(agent->local_ufrag))];

	while (*at && *at != agent)
		at = &(*at)->next;
	if (*at)
		*at = agent->next;
}

static int grow_buckets(struct ice_hub *hub)
{
	size_t count = hub->bucket_count ? 2 * hub->bucket_count : 64;
	struct ice_agent **buckets;

	if (hub->agent_count < hub->bucket_count)
		return 0;
	buckets = calloc(count, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	free(hub->buckets);
	hub->buckets = buckets;
	hub->bucket_count = count;
	for (size_t i = 0; i < hub->agent_room; i++) {
		if (hub->agents[i])
			link_agent(hub, hub->agents[i]);
	}
	return 0;
}

static int grow_agents(struct ice_hub *hub)
{
	size_t room = hub->agent_room ? 2 * hub->agent_room : 64;
	struct ice_agent **agents;

	if (hub->agent_count < hub->agent_room)
		return 0;
	if (room > ICE_AGENTS_MAX)
		return -ENOSPC;
	agents = reallocarray(hub->agents, room, sizeof(*agents));
	if (!agents)
		return -ENOMEM;
	memset(agents + hub->agent_room, 0, (room - hub->agent_room) * sizeof(*agents));
	hub->agents = agents;
	hub->agent_room = room;
	return 0;
}

int ice_hub_insert(struct ice_hub *hub, struct ice_agent *agent)
{
	size_t slot = hub->agent_count;
	int ret = grow_agents(hub);

	if (!ret)
		ret = grow_buckets(hub);
	if (ret)
		return ret;
	while (hub->agents[slot % hub->agent_room])
		slot++;
	slot %= hub->agent_room;
	agent->id = (uint32_t)hub->generation++ << 16 | slot;
	hub->agents[slot] = agent;
	hub->agent_count++;
	link_agent(hub, agent);
	return 0;
}

void ice_hub_remove(struct ice_hub *hub, struct ice_agent *agent)
{
	size_t slot = agent->id & 0xffff;

	if (slot >= hub->agent_room || hub->agents[slot] != agent)
		return;
	hub->agents[slot] = NULL;
	hub->agent_count--;
	unlink_agent(hub, agent);
}

static struct ice_agent *by_id(const struct ice_hub *hub, uint32_t id)
{
	size_t slot = id & 0xffff;
	struct ice_agent *agent = slot < hub->agent_room ? hub->agents[slot] : NULL;

	return agent && agent->id == id ? agent : NULL;
}

/* "ours:theirs", exactly. */
static struct ice_agent *by_username(const struct ice_hub *hub, const char *name, size_t len)
{
	const char *colon = name ? memchr(name, ':', len) : NULL;

	if (!colon || !hub->bucket_count)
		return NULL;
	for (struct ice_agent *a = hub->buckets[bucket_of(hub, name, colon - name)]; a; a = a->next) {
		size_t own = strlen(a->local_ufrag), theirs = strlen(a->remote_ufrag);

		if (own == (size_t)(colon - name) && len == own + 1 + theirs && !memcmp(name, a->local_ufrag, own) &&
		    !memcmp(colon + 1, a->remote_ufrag, theirs))
			return a;
	}
	return NULL;
}

static void handle_request(struct ice_hub *hub, const struct endpoint *from, const struct stun_message *message)
{
	struct ice_agent *agent = by_username(hub, message->username, message->username_len);

	if (!agent)
		hub->stats.unknown_user++;
	else
		ice_agent_request(agent, from, message);
}

static void handle_success(struct ice_hub *hub, const struct endpoint *from, const struct stun_message *message)
{
	struct ice_agent *agent;
	struct ice_tx tx;

	if (ice_gather_receive(hub, from, message))
		return;
	read_tx(hub, message->tx, &tx);
	agent = by_id(hub, tx.agent);
	if (!agent)
		hub->stats.unmatched++;
	else
		ice_agent_response(agent, from, message, &tx);
}

void ice_hub_receive(struct ice_hub *hub, const struct endpoint *from, const uint8_t *bytes, size_t len)
{
	struct stun_message message;

	hub->stats.received++;
	if (stun_parse(bytes, len, &message) || message.method != STUN_BINDING) {
		hub->stats.malformed++;
		return;
	}
	/* Errors end nothing: who sent them has not proved to be the peer, and a conflict of roles is solved by the requests themselves. */
	if (message.class == STUN_REQUEST)
		handle_request(hub, from, &message);
	else if (message.class == STUN_SUCCESS)
		handle_success(hub, from, &message);
	else
		hub->stats.unmatched++;
}

void ice_hub_poke(struct ice_hub *hub)
{
	for (size_t i = 0; i < hub->agent_room; i++) {
		if (hub->agents[i])
			ice_agent_poke(hub->agents[i]);
	}
}

static void tell_change(void *ctx)
{
	struct ice_hub *hub = ctx;

	if (hub->changed_fn)
		hub->changed_fn(hub->changed_ctx);
}

void ice_hub_note_change(struct ice_hub *hub)
{
	loop_timer_after(hub->loop, &hub->changed, 0);
}

void ice_hub_on_change(struct ice_hub *hub, ice_changed_fn fn, void *ctx)
{
	hub->changed_fn = fn;
	hub->changed_ctx = ctx;
}

static bool is_nowhere(const struct talon_addr *addr)
{
	static const struct talon_addr zero;

	return !memcmp(addr, &zero, sizeof(zero));
}

static struct ice_local make_host(struct ice_hub *hub, const struct endpoint *at)
{
	const struct talon_addr *addr = is_nowhere(&at->local) ? &at->remote : &at->local;
	const struct ice_local *known = ice_hub_find_host(hub, at->family, addr);
	struct ice_local host = {
		.candidate = {
			.type = ICE_HOST, .family = at->family, .addr = *addr, .port = hub->port,
			.priority = ice_candidate_priority(ICE_HOST),
		},
		.confirmed_ns = LOOP_NEVER,
	};

	if (known) {
		host = *known;
	} else {
		ice_hub_new_cid(hub, host.candidate.cid);
		host.serial = ++hub->serial;
	}
	host.ifindex = at->ifindex;
	return host;
}

bool ice_hub_set_host(struct ice_hub *hub, const struct endpoint *locals, size_t count)
{
	const uint32_t before = hub->serial;
	const size_t had = hub->host_count;
	struct ice_local hosts[ICE_HOSTS_MAX];
	size_t n = 0;
	bool is_changed;

	for (size_t i = 0; i < count && n < ICE_HOSTS_MAX; i++) {
		if (endpoint_addr_len(locals[i].family))
			hosts[n++] = make_host(hub, &locals[i]);
	}
	is_changed = hub->serial != before || n != had;
	memcpy(hub->hosts, hosts, n * sizeof(hosts[0]));
	hub->host_count = n;
	if (!is_changed)
		return false;
	ice_gather_update(hub);
	ice_gather_ask(hub, true);
	ice_hub_poke(hub);
	if (had)
		ice_hub_note_change(hub);
	return true;
}

void ice_hub_get_stats(const struct ice_hub *hub, struct ice_stats *ret_stats)
{
	*ret_stats = hub->stats;
}

int ice_hub_new(struct loop *loop, uint16_t port, const struct ice_ops *ops, void *ctx, struct ice_hub **ret_hub)
{
	struct ice_hub *hub = calloc(1, sizeof(*hub));

	if (!hub)
		return -ENOMEM;
	hub->loop = loop;
	hub->port = htons(port);
	hub->ops = ops;
	hub->ctx = ctx;
	ice_hub_random(hub, hub->tx_key, sizeof(hub->tx_key));
	loop_timer_init(&hub->changed, tell_change, hub);
	ice_gather_init(hub);
	*ret_hub = hub;
	return 0;
}

void ice_hub_free(struct ice_hub *hub)
{
	if (!hub)
		return;
	ice_gather_done(hub);
	loop_timer_cancel(hub->loop, &hub->changed);
	free(hub->agents);
	free(hub->buckets);
	free(hub);
}
