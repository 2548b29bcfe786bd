// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The device: its peers, their timers, and taking over from an earlier process.
#include "session/device_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

_Static_assert(DEVICE_NEVER == DEADLINE_NEVER && DEVICE_NEVER == LIVENESS_NEVER, "one way to say never");
_Static_assert(sizeof(((struct device *)0)->hash_key) == crypto_shorthash_KEYBYTES, "key of SipHash");

static void random_libsodium(void *ctx, void *buf, size_t len)
{
	randombytes_buf(buf, len);
}

static bool ops_are_complete(const struct device_ops *ops)
{
	return ops->unix_ns && ops->send && ops->publish_session && ops->clear_session && ops->wipe_session &&
	       ops->set_tx && ops->set_endpoint && ops->send_keepalive && ops->established && ops->gave_up &&
	       ops->handshake_done && ops->save_timestamp;
}

static uint32_t power_of_two_above(uint32_t n)
{
	uint32_t power = 1;

	while (power <= n)
		power <<= 1;
	return power;
}

static int allocate(struct device *device, const struct device_config *config)
{
	struct session_table_ops table_ops = {
		.random = device->ops.random,
		.publish = device->ops.publish_session,
		.clear = device->ops.clear_session,
		.wipe = device->ops.wipe_session,
	};
	int ret;

	ret = session_table_new(&device->table, config->slots, &table_ops, device->ctx);
	if (ret < 0)
		return ret;
	device->deadlines = deadlines_new(config->peers_max);
	device->peers = calloc(config->peers_max, sizeof(device->peers[0]));
	device->buckets = calloc(device->bucket_mask + 1, sizeof(device->buckets[0]));
	device->ratelimit = cookie_ratelimit_new(device->ops.random, device->ctx);
	return device->deadlines && device->peers && device->buckets && device->ratelimit ? 0 : -ENOMEM;
}

int device_new(struct device **ret_device, const struct device_config *config, const struct device_ops *ops,
	void *ctx)
{
	struct device *device;
	int ret;

	if (!ops_are_complete(ops) || !config->peers_max || config->peers_max > SESSION_SLOTS_MAX)
		return -EINVAL;
	/* Detects CPU features; without it X25519 takes several times as long. */
	if (sodium_init() < 0)
		return -EIO;
	device = calloc(1, sizeof(*device));
	if (!device)
		return -ENOMEM;
	device->ops = *ops;
	if (!device->ops.random)
		device->ops.random = random_libsodium;
	device->ctx = ctx;
	device->peers_max = config->peers_max;
	device->bucket_mask = power_of_two_above(config->peers_max) - 1;
	ret = allocate(device, config);
	if (ret < 0)
		goto err;
	ret = noise_local_init(&device->local, &config->private_key);
	if (ret < 0)
		goto err;
	cookie_checker_init(&device->checker, device->local.public_key);
	device->ops.random(device->ctx, device->hash_key, sizeof(device->hash_key));
	*ret_device = device;
	return 0;
err:
	device_free(device);
	return ret;
}

static void peer_free(struct peer *peer)
{
	sodium_memzero(peer, sizeof(*peer));
	free(peer);
}

void device_free(struct device *device)
{
	if (!device)
		return;
	for (uint32_t i = 0; device->peers && i < device->peers_max; i++)
		if (device->peers[i])
			peer_free(device->peers[i]);
	free(device->peers);
	free(device->buckets);
	deadlines_free(device->deadlines);
	cookie_ratelimit_free(device->ratelimit);
	session_table_free(device->table);
	sodium_memzero(device, sizeof(*device));
	free(device);
}

const uint8_t *device_public_key(const struct device *device)
{
	return device->local.public_key;
}

void device_count_map(struct device *device, int ret)
{
	if (ret < 0)
		device->stats.map_errors++;
}

uint64_t device_jitter_ns(struct device *device)
{
	uint32_t value;

	device->ops.random(device->ctx, &value, sizeof(value));
	return (((uint64_t)value * WG_REKEY_TIMEOUT_JITTER_MS) >> 32) * NSEC_PER_MSEC;
}

struct peer *device_peer(const struct device *device, uint32_t id)
{
	return id < device->peers_max ? device->peers[id] : NULL;
}

/* Keyed: otherwise somebody could choose public keys that all fall into one bucket. */
static struct peer **bucket_of(const struct device *device, const uint8_t public_key[static KEY_LEN])
{
	uint64_t hash;

	crypto_shorthash((uint8_t *)&hash, public_key, KEY_LEN, device->hash_key);
	return &device->buckets[hash & device->bucket_mask];
}

struct peer *device_peer_by_key(const struct device *device, const uint8_t public_key[static KEY_LEN])
{
	struct peer *peer = *bucket_of(device, public_key);

	while (peer && memcmp(peer->remote.public_key, public_key, KEY_LEN) != 0)
		peer = peer->hash_next;
	return peer;
}

uint32_t device_find_peer(const struct device *device, const uint8_t public_key[static KEY_LEN])
{
	const struct peer *peer = device_peer_by_key(device, public_key);

	return peer ? peer->id : TALON_PEER_NONE;
}

static void link_peer(struct device *device, struct peer *peer)
{
	struct peer **bucket = bucket_of(device, peer->remote.public_key);

	peer->hash_next = *bucket;
	*bucket = peer;
	device->peers[peer->id] = peer;
	device->stats.peers++;
}

static void unlink_peer(struct device *device, struct peer *peer)
{
	struct peer **link = bucket_of(device, peer->remote.public_key);

	while (*link != peer)
		link = &(*link)->hash_next;
	*link = peer->hash_next;
	device->peers[peer->id] = NULL;
	device->stats.peers--;
}

int device_add_peer(struct device *device, uint64_t now_ns, uint32_t id,
	const struct device_peer_config *config)
{
	struct peer *peer;
	int ret;

	if (id >= device->peers_max || key_is_equal(config->public_key, device->local.public_key))
		return -EINVAL;
	if (device->peers[id] || device_peer_by_key(device, config->public_key))
		return -EEXIST;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return -ENOMEM;
	ret = noise_remote_set(&peer->remote, config->public_key, &config->preshared_key);
	if (ret < 0) {
		peer_free(peer);
		return ret;
	}
	peer->id = id;
	peer->endpoint = config->endpoint;
	peer->is_pinned = config->is_pinned;
	peer->is_unconfirmed = config->is_unconfirmed;
	peer->keepalive_s = config->keepalive_s;
	peer->stats = config->stats;
	memcpy(peer->label_received.bytes, config->timestamp, TAI64N_LEN);
	cookie_maker_init(&peer->cookie, config->public_key);
	link_peer(device, peer);
	device_schedule(device, peer);
	return 0;
}

int device_remove_peer(struct device *device, uint64_t now_ns, uint32_t id)
{
	struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	handshake_drop_all(device, peer, now_ns);
	deadlines_set(device->deadlines, id, DEADLINE_NEVER);
	unlink_peer(device, peer);
	peer_free(peer);
	return 0;
}

int device_set_peer_keepalive(struct device *device, uint64_t now_ns, uint32_t id, uint16_t keepalive_s)
{
	struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	peer->keepalive_s = keepalive_s;
	device_schedule(device, peer);
	return 0;
}

int device_set_peer_psk(struct device *device, uint32_t id, const struct secret_key *preshared_key)
{
	struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	peer->remote.preshared_key = *preshared_key;
	return 0;
}

int device_confirm_peer(struct device *device, uint64_t now_ns, uint32_t id)
{
	struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	if (!peer->is_unconfirmed)
		return 0;
	peer->is_unconfirmed = false;
	if (peer->was_put_off)
		handshake_want(device, peer, now_ns);
	peer->was_put_off = false;
	device_schedule(device, peer);
	return 0;
}

int device_set_peer_endpoint(struct device *device, uint32_t id, const struct endpoint *endpoint)
{
	struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	peer->endpoint = *endpoint;
	return 0;
}

/*
 * An initiation on the old path may be lost, so the next one is not delayed for long. But if it does
 * arrive, the peer refuses a second one that follows too soon, and the response to the first no longer fits
 * ours: the next try is then 5 s away.
 */
static uint64_t after_path_change(const struct peer *peer, uint64_t now_ns)
{
	uint64_t soonest = peer->handshake_sent_ns ? peer->handshake_sent_ns + PATH_CHANGE_SPACING_NS
		: now_ns;

	return soonest > now_ns ? soonest : now_ns;
}

int device_set_peer_path(struct device *device, uint64_t now_ns, uint32_t id, const struct endpoint *endpoint)
{
	struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	peer->is_pinned = true;
	if (endpoint_is_equal(&peer->endpoint, endpoint))
		return 0;
	peer->endpoint = *endpoint;
	if (peer->attempt != ATTEMPT_IDLE && endpoint_is_known(endpoint))
		peer->attempt_at_ns = after_path_change(peer, now_ns);
	peer->handshake_sent_ns = 0;
	device_schedule(device, peer);
	return 0;
}

int device_let_peer_roam(struct device *device, uint32_t id)
{
	struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	peer->is_pinned = false;
	return 0;
}

int device_reset_peer(struct device *device, uint64_t now_ns, uint32_t id)
{
	struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	handshake_drop_all(device, peer, now_ns);
	peer->handshake_sent_ns = 0;
	device_schedule(device, peer);
	return 0;
}

int device_get_peer_endpoint(const struct device *device, uint32_t id, struct endpoint *ret_endpoint)
{
	const struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	*ret_endpoint = peer->endpoint;
	return 0;
}

int device_get_peer_stats(const struct device *device, uint32_t id, struct device_peer_stats *ret_stats)
{
	const struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	*ret_stats = peer->stats;
	return 0;
}

int device_get_peer_sessions(const struct device *device, uint32_t id,
	struct device_peer_sessions *ret_sessions)
{
	const struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	*ret_sessions = (struct device_peer_sessions){
		.previous = peer->pairs.previous.index,
		.current = peer->pairs.current.index,
		.next = peer->pairs.next.index,
		.current_birth_ns = peer->pairs.current.birth_ns,
		.is_initiator = peer->pairs.current.is_initiator,
		.is_handshaking = peer->attempt != ATTEMPT_IDLE,
	};
	return 0;
}

/* Of two sessions for one place the younger one stays. */
static void place_adopted(struct device *device, struct keypair *place, const struct keypair *pair,
	uint64_t now_ns)
{
	struct keypair out = *pair;

	if (!place->index || place->birth_ns < pair->birth_ns) {
		out = *place;
		*place = *pair;
	}
	session_table_retire(device->table, now_ns, out.index);
}

static struct keypair *place_of(struct peer *peer, enum talon_session_state state, bool is_tx)
{
	if (is_tx)
		return &peer->pairs.current;
	return state == TALON_SESSION_NEXT ? &peer->pairs.next : &peer->pairs.previous;
}

int device_adopt_session(struct device *device, uint64_t now_ns, const struct talon_session *session,
	enum talon_session_state state, bool is_tx)
{
	struct keypair pair = { session->index, session->flags & TALON_SESSION_INITIATOR, session->birth_ns };
	struct peer *peer = device_peer(device, session->peer);
	int ret;

	if (!peer)
		return -ENOENT;
	ret = session_table_adopt(device->table, session->index, session->peer);
	if (ret < 0)
		return ret;
	/* A birth in the future means an unknown age: counts as expired. */
	if (session->birth_ns > now_ns || now_ns - session->birth_ns >= REJECT_AFTER_TIME_NS) {
		session_table_retire(device->table, now_ns, session->index);
		return -ESTALE;
	}
	place_adopted(device, place_of(peer, state, is_tx), &pair, now_ns);
	device_schedule(device, peer);
	return 0;
}

int device_adopt_retired(struct device *device, uint64_t now_ns, uint32_t slot)
{
	return session_table_adopt_retired(device->table, now_ns, slot);
}

static uint64_t not_after(uint64_t now_ns, uint64_t at_ns)
{
	return at_ns < now_ns ? at_ns : now_ns;
}

/*
 * Times are capped at now: a packet may have arrived since the caller read its clock, pinned maps may hold
 * anything, and a timer that acted would otherwise be due again. The no-reply timer's jitter is drawn when
 * the timer starts.
 */
static void take_facts(struct device *device, struct peer *peer, uint64_t now_ns,
	const struct device_facts *facts)
{
	bool was_running = peer->liveness.unreplied_ns;

	peer->send_counter = facts->send_counter;
	peer->session_rx_ns = not_after(now_ns, facts->rx_ns);
	peer->session_tx_ns = not_after(now_ns, facts->tx_ns);
	liveness_update(&peer->liveness, peer->session_rx_ns, peer->session_tx_ns,
		not_after(now_ns, facts->rx_data_ns), not_after(now_ns, facts->tx_data_ns));
	if (peer->liveness.unreplied_ns && !was_running)
		peer->no_reply_jitter_ns = device_jitter_ns(device);
}

int device_peer_facts(struct device *device, uint64_t now_ns, uint32_t id, const struct device_facts *facts)
{
	struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	take_facts(device, peer, now_ns, facts);
	handshake_want_rekey(device, peer, now_ns);
	device_schedule(device, peer);
	return 0;
}

static void refresh_facts(struct device *device, struct peer *peer, uint64_t now_ns)
{
	struct device_facts facts;

	if (device->ops.read_facts && device->ops.read_facts(device->ctx, peer->id, &facts) == 0)
		take_facts(device, peer, now_ns, &facts);
}

int device_want_handshake(struct device *device, uint64_t now_ns, uint32_t id)
{
	struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	handshake_expire(device, peer, now_ns);
	if (peer->pairs.current.index) {
		/*
		 * The packet came just before the session, or the map lost it: writing it again mends both.
		 */
		device_count_map(device, device->ops.set_tx(device->ctx, id, peer->pairs.current.index));
		device->ops.established(device->ctx, id, false);
	} else if (!endpoint_is_known(&peer->endpoint)) {
		device->ops.gave_up(device->ctx, id);
		return -EDESTADDRREQ;
	} else {
		handshake_want(device, peer, now_ns);
	}
	device_schedule(device, peer);
	return 0;
}

int device_start_handshake(struct device *device, uint64_t now_ns, uint32_t id)
{
	struct peer *peer = device_peer(device, id);

	if (!peer)
		return -ENOENT;
	if (!endpoint_is_known(&peer->endpoint))
		return -EDESTADDRREQ;
	handshake_want(device, peer, now_ns);
	device_schedule(device, peer);
	return 0;
}

bool device_has_session(const struct device *device, uint32_t index)
{
	uint32_t peer;

	return session_table_lookup(device->table, index, &peer) == SLOT_LIVE;
}

int device_session_promoted(struct device *device, uint64_t now_ns, uint32_t index)
{
	struct peer *peer;
	uint32_t id;

	if (session_table_lookup(device->table, index, &id) == SLOT_FREE)
		return -ENOENT;
	peer = device_peer(device, id);
	if (!peer)
		return -ENOENT;
	/*
	 * If it is not next, a newer session took over while the packet came in, and the data path has
	 * switched back to this one: that is undone.
	 */
	if (peer->pairs.next.index == index)
		handshake_confirmed(device, peer, now_ns);
	else
		device_count_map(device, device->ops.set_tx(device->ctx, id, peer->pairs.current.index));
	device_schedule(device, peer);
	return 0;
}

static uint64_t attempt_at(const struct device *device, const struct peer *peer)
{
	return peer->attempt == ATTEMPT_IDLE ? DEVICE_NEVER : peer->attempt_at_ns;
}

static uint64_t expire_at(const struct device *device, const struct peer *peer)
{
	const struct keypair *pairs[] = { &peer->pairs.previous, &peer->pairs.current, &peer->pairs.next };
	uint64_t at_ns = DEVICE_NEVER;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (pairs[i]->index && pairs[i]->birth_ns + REJECT_AFTER_TIME_NS < at_ns)
			at_ns = pairs[i]->birth_ns + REJECT_AFTER_TIME_NS;
	return at_ns;
}

static uint64_t keepalive_at(const struct device *device, const struct peer *peer)
{
	return liveness_keepalive_at(&peer->liveness);
}

static uint64_t no_reply_at(const struct device *device, const struct peer *peer)
{
	return liveness_no_reply_at(&peer->liveness, peer->no_reply_jitter_ns);
}

static uint64_t persistent_at(const struct device *device, const struct peer *peer)
{
	return liveness_persistent_at(&peer->liveness, peer->keepalive_s);
}

/* A keepalive that could not be sent counts as sent: the next timer sends the next one. */
static void send_keepalive(struct device *device, struct peer *peer, uint64_t now_ns)
{
	if (device->ops.send_keepalive(device->ctx, peer->id) < 0)
		device->stats.send_errors++;
	liveness_update(&peer->liveness, 0, now_ns, 0, 0);
}

/* Without a session there is nothing to keep alive: it expired after it received the packet. */
static void on_keepalive(struct device *device, struct peer *peer, uint64_t now_ns)
{
	if (handshake_pair_is_usable(peer, &peer->pairs.current, now_ns))
		send_keepalive(device, peer, now_ns);
	else
		liveness_update(&peer->liveness, 0, now_ns, 0, 0);
}

static void on_no_reply(struct device *device, struct peer *peer, uint64_t now_ns)
{
	liveness_no_reply_fired(&peer->liveness, now_ns);
	handshake_want(device, peer, now_ns);
}

static void on_persistent(struct device *device, struct peer *peer, uint64_t now_ns)
{
	liveness_persistent_fired(&peer->liveness, now_ns);
	if (handshake_pair_is_usable(peer, &peer->pairs.current, now_ns))
		send_keepalive(device, peer, now_ns);
	else
		handshake_want(device, peer, now_ns);
}

/*
 * All timers of a peer, in the order in which they act when several are due. Fresh facts are read before
 * those that depend on them.
 */
static const struct peer_timer {
	uint64_t (*at)(const struct device *device, const struct peer *peer);
	void (*act)(struct device *device, struct peer *peer, uint64_t now_ns);
	bool wants_facts;
} timers[] = {
	{ expire_at,		handshake_expire,	false },
	{ attempt_at,		handshake_on_timer,	false },
	{ no_reply_at,		on_no_reply,		true },
	{ keepalive_at,		on_keepalive,		true },
	{ persistent_at,	on_persistent,		true },
};

#define TIMER_COUNT (sizeof(timers) / sizeof(timers[0]))

void device_schedule(struct device *device, struct peer *peer)
{
	uint64_t first_ns = DEVICE_NEVER;

	for (size_t i = 0; i < TIMER_COUNT; i++) {
		uint64_t at_ns = timers[i].at(device, peer);

		if (at_ns < first_ns)
			first_ns = at_ns;
	}
	deadlines_set(device->deadlines, peer->id, first_ns);
}

static void tick_peer(struct device *device, struct peer *peer, uint64_t now_ns)
{
	for (size_t i = 0; i < TIMER_COUNT; i++) {
		if (timers[i].at(device, peer) > now_ns)
			continue;
		if (timers[i].wants_facts) {
			refresh_facts(device, peer, now_ns);
			if (timers[i].at(device, peer) > now_ns)
				continue;
		}
		timers[i].act(device, peer, now_ns);
	}
	device_schedule(device, peer);
}

uint64_t device_tick(struct device *device, uint64_t now_ns)
{
	uint32_t id;

	while (deadlines_first(device->deadlines, &id) <= now_ns)
		tick_peer(device, device->peers[id], now_ns);
	session_table_tick(device->table, now_ns);
	return device_next_deadline(device);
}

uint64_t device_next_deadline(const struct device *device)
{
	uint64_t table_ns = session_table_next_deadline(device->table);
	uint64_t peers_ns;
	uint32_t id;

	peers_ns = deadlines_first(device->deadlines, &id);
	return table_ns < peers_ns ? table_ns : peers_ns;
}

void device_get_stats(const struct device *device, struct device_stats *ret_stats)
{
	*ret_stats = device->stats;
	ret_stats->map_errors += session_table_errors(device->table);
	ret_stats->slots_reserved = session_table_count(device->table, SLOT_RESERVED);
	ret_stats->slots_live = session_table_count(device->table, SLOT_LIVE);
	ret_stats->slots_retired = session_table_count(device->table, SLOT_RETIRED);
}

#define END_LABEL(id, label, drop, help) [HANDSHAKE_##id] = label,
#define END_HELP(id, label, drop, help) [HANDSHAKE_##id] = help,

const char *device_end_label(enum handshake_end end)
{
	static const char *const labels[] = { HANDSHAKE_ENDS(END_LABEL) };

	return labels[end];
}

const char *device_end_help(enum handshake_end end)
{
	static const char *const help[] = { HANDSHAKE_ENDS(END_HELP) };

	return help[end];
}
