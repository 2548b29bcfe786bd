// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The table of peers: compares the network map with what is open, and finds the peer that an event is for.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "log/log.h"
#include "peers/internal.h"

#define BUCKETS_FIRST	64
#define GRACE_NS	(300 * LOOP_MS)

void peers_random(const struct peers *peers, void *buf, size_t len)
{
	if (peers->ops.random)
		peers->ops.random(peers->ctx, buf, len);
	else
		randombytes_buf(buf, len);
}

/* --- addresses of relays: few, each shared by many peers --- */

struct peers_text *peers_text_get(struct peers *peers, const char *text)
{
	const size_t size = strlen(text) + 1;
	struct peers_text *entry;

	for (entry = peers->texts; entry; entry = entry->next) {
		if (!strcmp(entry->text, text)) {
			entry->users++;
			return entry;
		}
	}
	entry = malloc(sizeof(*entry) + size);
	if (!entry)
		return NULL;
	memcpy(entry->text, text, size);
	entry->users = 1;
	entry->next = peers->texts;
	peers->texts = entry;
	return entry;
}

void peers_text_put(struct peers *peers, struct peers_text *text)
{
	struct peers_text **at = &peers->texts;

	if (--text->users)
		return;
	while (*at != text)
		at = &(*at)->next;
	*at = text->next;
	free(text);
}

/* --- networks whose addresses are not accepted as candidates --- */

static bool is_inside(const struct cidr *net, const struct talon_addr *addr)
{
	const uint8_t *a = (const uint8_t *)addr, *b = (const uint8_t *)&net->addr;
	const unsigned whole = net->prefixlen / 8, bits = net->prefixlen % 8;

	if (memcmp(a, b, whole))
		return false;
	return !bits || !((a[whole] ^ b[whole]) >> (8 - bits));
}

bool peers_is_routed(const struct peers *peers, uint16_t family, const struct talon_addr *addr)
{
	for (size_t i = 0; i < peers->route_count; i++) {
		const struct cidr *net = &peers->routes[i];

		if (net->family == family && net->prefixlen && is_inside(net, addr))
			return true;
	}
	return false;
}

/* --- the table --- */

static size_t bucket_of_key(const struct peers *peers, const uint8_t *key)
{
	uint64_t word;

	memcpy(&word, key, sizeof(word));
	return (word * 0x9e3779b97f4a7c15ULL >> 32) & (peers->bucket_count - 1);
}

static size_t bucket_of_id(const struct peers *peers, uint32_t id)
{
	return id & (peers->bucket_count - 1);
}

static struct conn *find_key(const struct peers *peers, const uint8_t *key)
{
	struct conn *conn = peers->by_key[bucket_of_key(peers, key)];

	while (conn && memcmp(conn->key, key, KEY_LEN))
		conn = conn->next_by_key;
	return conn;
}

static struct conn *find_id(const struct peers *peers, uint32_t id)
{
	struct conn *conn;

	if (id == PLANE_NO_PEER)
		return NULL;
	conn = peers->by_id[bucket_of_id(peers, id)];
	while (conn && conn->id != id)
		conn = conn->next_by_id;
	return conn;
}

static void link_id(struct peers *peers, struct conn *conn)
{
	struct conn **bucket = &peers->by_id[bucket_of_id(peers, conn->id)];

	conn->next_by_id = *bucket;
	*bucket = conn;
}

static void link_key(struct peers *peers, struct conn *conn)
{
	struct conn **bucket = &peers->by_key[bucket_of_key(peers, conn->key)];

	conn->next_by_key = *bucket;
	*bucket = conn;
}

static void unlink_id(struct peers *peers, struct conn *conn)
{
	struct conn **at = &peers->by_id[bucket_of_id(peers, conn->id)];

	while (*at != conn)
		at = &(*at)->next_by_id;
	*at = conn->next_by_id;
}

static void unlink_key(struct peers *peers, struct conn *conn)
{
	struct conn **at = &peers->by_key[bucket_of_key(peers, conn->key)];

	while (*at != conn)
		at = &(*at)->next_by_key;
	*at = conn->next_by_key;
}

static void move_all(struct peers *peers, struct conn **old, size_t old_count)
{
	for (size_t i = 0; i < old_count; i++) {
		struct conn *conn, *next;

		for (conn = old[i]; conn; conn = next) {
			next = conn->next_by_key;
			link_key(peers, conn);
			link_id(peers, conn);
		}
	}
}

static int make_room(struct peers *peers, size_t count)
{
	struct conn **keys, **ids, **old = peers->by_key;
	const size_t old_count = peers->bucket_count;
	size_t buckets = old_count ? old_count : BUCKETS_FIRST;

	while (buckets < count)
		buckets *= 2;
	if (buckets == old_count)
		return 0;
	keys = calloc(buckets, sizeof(struct conn *));
	ids = calloc(buckets, sizeof(struct conn *));
	if (!keys || !ids) {
		free(keys);
		free(ids);
		return -ENOMEM;
	}
	free(peers->by_id);
	peers->by_key = keys;
	peers->by_id = ids;
	peers->bucket_count = buckets;
	move_all(peers, old, old_count);
	free(old);
	return 0;
}

typedef void (*conn_fn)(struct conn *conn);

static void each(struct peers *peers, conn_fn fn)
{
	for (size_t i = 0; i < peers->bucket_count; i++) {
		struct conn *conn, *next;

		for (conn = peers->by_key[i]; conn; conn = next) {
			next = conn->next_by_key;
			fn(conn);
		}
	}
}

/*
 * The network is newer than the pair: our checks, and soon our packets, would go into the tunnel from now on.
 */
static void leave_routed_pair(struct conn *conn)
{
	const struct exchange *exchange = conn->exchange;

	if (conn_has_pair(conn) && peers_is_routed(conn->peers, exchange->pair.path.family,
		&exchange->pair.path.remote))
		conn_step(conn, LINK_EV_PAIR_BARRED, NULL);
}

int peers_set_client_routes(struct peers *peers, const struct cidr *list, size_t count)
{
	struct cidr *copy = NULL;

	if (count) {
		copy = reallocarray(NULL, count, sizeof(*copy));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, list, count * sizeof(*copy));
	}
	free(peers->routes);
	peers->routes = copy;
	peers->route_count = count;
	if (count)
		each(peers, leave_routed_pair);
	return 0;
}

/* --- peers of the map --- */

static uint64_t hash_text(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ULL;

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3ULL;
	return hash;
}

#define LAZY_SINCE	45	/* 0.45.0 */
#define NO_ICE_SINCE	70

/*
 * Whether @version is 0.@since.0 or later, or a build from source. A version without a dot is older than any
 * that matters here.
 */
static bool is_since(const char *version, unsigned since)
{
	unsigned major, minor;

	if (!strcmp(version, "development"))
		return true;
	if (sscanf(version, "%u.%u", &major, &minor) != 2)
		return false;
	return major > 0 || minor >= since;
}

static void take_version(struct conn *conn, const char *version)
{
	conn->version_hash = hash_text(version);
	conn->can_idle = is_since(version, LAZY_SINCE);
	conn->can_lack_ice = is_since(version, NO_ICE_SINCE);
}

static void remove_conn(struct conn *conn)
{
	struct peers *peers = conn->peers;

	unlink_key(peers, conn);
	unlink_id(peers, conn);
	peers->count--;
	peers->connected_count -= conn->told_status == PEER_CONNECTED;
	conn_stop(conn);
	free(conn->name);
	free(conn);
}

/* Its id may belong to another peer by now, so where packets go is left alone. */
static void remove_departed(struct conn *conn)
{
	if (conn->map == conn->peers->map)
		return;
	conn_step(conn, LINK_EV_DEPARTED, NULL);
	remove_conn(conn);
}

static bool may_rest(const struct conn *conn)
{
	return conn->peers->is_lazy && conn->can_idle;
}

static void open_if_wanted(struct conn *conn)
{
	if (conn->id != PLANE_NO_PEER && !may_rest(conn))
		conn_step(conn, LINK_EV_OPENED, NULL);
}

/*
 * What an earlier run of ours left. A peer with a live session is opened, although it may rest: at rest
 * nobody would notice that its way is gone. Without a session the old way has to go too, or the next packet
 * would be sent by it and lost instead of waking the peer.
 */
static void wake_or_rest(struct conn *conn)
{
	struct peers *peers = conn->peers;
	struct plane_facts facts = { 0 };

	if (conn->id == PLANE_NO_PEER || !may_rest(conn))
		return;
	if (!peers->ops.facts(peers->ctx, conn->id, &facts) && facts.has_session) {
		conn_step(conn, LINK_EV_OPENED, NULL);
		return;
	}
	peers->ops.set_way(peers->ctx, conn->id, PLANE_NOWHERE, NULL);
	conn_no_way(conn);
}

/*
 * While the link is opened anew, packets keep to a direct way: it may be the same peer in the same place with
 * a new version.
 */
static void reopen(struct conn *conn, const struct peers_entry *entry)
{
	const bool was_open = conn_status(conn) != PEER_IDLE, has_id = conn->id == entry->id;

	conn_step(conn, !has_id || conn->way == PLANE_DIRECT ? LINK_EV_DEPARTED : LINK_EV_CLOSED, NULL);
	if (!has_id) {
		unlink_id(conn->peers, conn);
		conn->id = entry->id;
		conn->way = PLANE_NOWHERE;
		link_id(conn->peers, conn);
	}
	if (was_open && conn->id != PLANE_NO_PEER)
		conn_step(conn, LINK_EV_OPENED, NULL);
}

static void take_entry(struct conn *conn, const struct peers_entry *entry)
{
	const bool has_changed = conn->id != entry->id || conn->addr != entry->peer->addr ||
		conn->version_hash != hash_text(entry->peer->agent_version);

	conn->addr = entry->peer->addr;
	take_version(conn, entry->peer->agent_version);
	if (has_changed)
		reopen(conn, entry);
	if (strcmp(conn->name, entry->peer->fqdn)) {
		char *name = strdup(entry->peer->fqdn);

		if (!name)
			return;
		free(conn->name);
		conn->name = name;
	}
}

static struct conn *add_conn(struct peers *peers, const struct peers_entry *entry)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	char text[KEY_BASE64_LEN + 1];

	if (!conn)
		return NULL;
	conn_init(conn, peers);
	memcpy(conn->key, entry->peer->key, KEY_LEN);
	key_to_base64(conn->key, text);
	conn->is_controller = strcmp(peers->own_text, text) > 0;
	conn->id = entry->id;
	conn->addr = entry->peer->addr;
	take_version(conn, entry->peer->agent_version);
	conn->name = strdup(entry->peer->fqdn[0] ? entry->peer->fqdn : text);
	if (!conn->name) {
		free(conn);
		return NULL;
	}
	link_key(peers, conn);
	link_id(peers, conn);
	peers->count++;
	return conn;
}

int peers_set(struct peers *peers, const struct peers_entry *list, size_t count, bool lazy)
{
	int ret = make_room(peers, count + peers->count);

	if (ret || peers->is_ending)
		return ret;
	peers->map++;
	peers->is_lazy = lazy;
	for (size_t i = 0; i < count; i++) {
		struct conn *conn = find_key(peers, list[i].peer->key);

		if (conn)
			conn->map = peers->map;
	}
	each(peers, remove_departed);
	for (size_t i = 0; i < count; i++) {
		struct conn *conn = find_key(peers, list[i].peer->key);

		if (conn)
			take_entry(conn, &list[i]);
		else if ((conn = add_conn(peers, &list[i])))
			wake_or_rest(conn);
		if (!conn)
			return -ENOMEM;
		conn->map = peers->map;
		open_if_wanted(conn);
	}
	return 0;
}

/* --- events --- */

static bool event_of(enum signal_type type, enum link_event *ret_event)
{
	switch (type) {
	case SIGNAL_OFFER:
		*ret_event = LINK_EV_OFFER;
		return true;
	case SIGNAL_ANSWER:
		*ret_event = LINK_EV_ANSWER;
		return true;
	case SIGNAL_CANDIDATE:
		*ret_event = LINK_EV_CANDIDATE;
		return true;
	case SIGNAL_GO_IDLE:
		*ret_event = LINK_EV_GO_IDLE;
		return true;
	default:
		return false;
	}
}

void peers_signal(struct peers *peers, const uint8_t from[static KEY_LEN], const struct signal_body *body)
{
	struct conn *conn = find_key(peers, from);
	enum link_event event;
	bool is_wanted;

	if (!conn || conn->id == PLANE_NO_PEER || peers->is_ending || !event_of(body->type, &event))
		return;
	is_wanted = conn->is_wanted;
	conn->is_heard = true;
	conn_step(conn, event, body);
	if (event == LINK_EV_GO_IDLE && is_wanted)	/* our packets crossed its message, and still wait */
		conn_wanted(conn);
}

static void rearm(struct conn *conn)
{
	if (conn_status(conn) == PEER_IDLE)
		return;
	conn_resume_relay(conn);
	if (conn->offers.has_begun)
		offers_rearm(conn, false);
	else
		offers_start(conn, 0);
}

void peers_signal_state(struct peers *peers, bool is_connected)
{
	if (!is_connected)
		return;
	peers->grace_until_ns = loop_now(peers->loop) + GRACE_NS;
	each(peers, rearm);
}

void peers_relay_state(struct peers *peers, bool is_connected)
{
	if (is_connected)
		each(peers, rearm);
}

void peers_candidates_changed(struct peers *peers)
{
	each(peers, rearm);
}

void peers_handshake(struct peers *peers, uint32_t id)
{
	struct conn *conn = find_id(peers, id);

	if (conn)
		conn_step(conn, LINK_EV_HANDSHAKE, NULL);
}

void peers_wanted(struct peers *peers, uint32_t id)
{
	struct conn *conn = find_id(peers, id);

	if (!conn || peers->is_ending)
		return;
	conn_wanted(conn);
}

void peers_relay_send(struct peers *peers, uint32_t id, const uint8_t *bytes, size_t len)
{
	struct conn *conn = find_id(peers, id);

	if (conn && conn_has_relay(conn))
		peers->ops.relay_send(peers->ctx, conn->relay, bytes, len);
}

static void announce(struct conn *conn)
{
	struct peers *peers = conn->peers;
	struct signal_body body;

	offers_stop(conn);
	loop_timer_cancel(peers->loop, &conn->late);
	watch_stop(conn);
	if (conn_status(conn) != PEER_CONNECTED)
		return;
	conn_new_session(conn);
	conn_body(conn, SIGNAL_OFFER, &body);
	peers->ops.signal_send(peers->ctx, conn->key, &body, NULL, NULL);
	sodium_memzero(&body, sizeof(body));
}

static void silence_ice(struct conn *conn)
{
	watch_direct_end(conn);
	exchange_end(conn);
}

void peers_announce_end(struct peers *peers)
{
	if (peers->is_ending)
		return;
	peers->is_ending = true;
	each(peers, announce);
	each(peers, silence_ice);
}

/* --- what is known --- */

int peers_get(const struct peers *peers, const uint8_t key[static KEY_LEN], struct peer_info *ret_info)
{
	const struct conn *conn = find_key(peers, key);

	if (!conn)
		return -ENOENT;
	memset(ret_info, 0, sizeof(*ret_info));
	memcpy(ret_info->key, conn->key, KEY_LEN);
	ret_info->id = conn->id;
	ret_info->status = conn_status(conn);
	ret_info->way = conn->way;
	ret_info->has_relay = conn_has_relay(conn);
	if (ret_info->has_relay)
		snprintf(ret_info->relay, sizeof(ret_info->relay), "%s", conn->relay_address->text);
	if (conn_has_pair(conn)) {
		ret_info->pair = conn->exchange->pair;
		peers->ops.ice_get_pair(peers->ctx, conn->exchange->agent, &ret_info->pair);
		ret_info->latency_ns = ret_info->pair.rtt_ns;
	}
	ret_info->changed_unix_ns = conn->changed_unix_ns;
	ret_info->needs_rosenpass = conn->needs_rosenpass;
	ret_info->is_silent = conn->is_silent;
	ret_info->roams = conn_roams(conn);
	return 0;
}

size_t peers_count_connected(const struct peers *peers)
{
	return peers->connected_count;
}

void peers_tally(const struct peers *peers, struct peers_tally *ret_tally)
{
	struct peers_tally tally = {};

	for (size_t i = 0; i < peers->bucket_count; i++) {
		for (const struct conn *conn = peers->by_key[i]; conn; conn = conn->next_by_key) {
			const enum peer_status status = conn_status(conn);

			tally.idle += status == PEER_IDLE;
			tally.connecting += status == PEER_CONNECTING;
			tally.direct += status == PEER_CONNECTED && conn->way == PLANE_DIRECT;
			tally.relayed += status == PEER_CONNECTED && conn->way != PLANE_DIRECT;
		}
	}
	*ret_tally = tally;
}

void peers_each_relayed(struct peers *peers, void (*tell)(void *ctx, uint32_t id,
	const uint8_t key[static KEY_LEN], const char *relay), void *ctx)
{
	for (size_t i = 0; i < peers->bucket_count; i++) {
		for (const struct conn *conn = peers->by_key[i]; conn; conn = conn->next_by_key) {
			if (conn->way == PLANE_RELAY && conn_has_relay(conn))
				tell(ctx, conn->id, conn->key, conn->relay_address->text);
		}
	}
}

void peers_each_latency(const struct peers *peers, void (*tell)(void *ctx, uint32_t id, uint64_t latency_ns),
	void *ctx)
{
	for (size_t i = 0; i < peers->bucket_count; i++) {
		for (const struct conn *conn = peers->by_key[i]; conn; conn = conn->next_by_key) {
			struct ice_pair_info pair = {};

			if (conn_has_pair(conn))
				peers->ops.ice_get_pair(peers->ctx, conn->exchange->agent, &pair);
			tell(ctx, conn->id, pair.rtt_ns);
		}
	}
}

/* --- beginning and end --- */

static bool is_complete(const struct peers_ops *ops)
{
	return ops->signal_send && ops->signal_forget && ops->signal_is_connected && ops->relay_address &&
		ops->relay_open && ops->relay_free && ops->relay_send && ops->ice_new && ops->ice_free &&
		ops->ice_add_remote && ops->ice_probe && ops->ice_answered && ops->ice_get_pair &&
		ops->set_way && ops->kick && ops->reset && ops->facts && ops->relay_received;
}

int peers_new(struct loop *loop, const struct peers_config *config, const struct peers_ops *ops, void *ctx,
	struct peers **ret_peers)
{
	struct peers *peers;
	int ret;

	if (!is_complete(ops))
		return -EINVAL;
	peers = calloc(1, sizeof(*peers));
	if (!peers)
		return -ENOMEM;
	ret = make_room(peers, 0);
	if (ret) {
		free(peers);
		return ret;
	}
	peers->loop = loop;
	memcpy(peers->own_key, config->own_key, KEY_LEN);
	key_to_base64(config->own_key, peers->own_text);
	snprintf(peers->version, sizeof(peers->version), "%s", config->version ? config->version : "");
	peers->wg_port = config->wg_port;
	peers->force_relay = config->force_relay;
	peers->ops = *ops;
	peers->ctx = ctx;
	peers->grace_until_ns = loop_now(loop) + GRACE_NS;
	loop_timer_init(&peers->look, watch_look, peers);
	*ret_peers = peers;
	return 0;
}

void peers_free(struct peers *peers)
{
	if (!peers)
		return;
	each(peers, remove_conn);
	loop_timer_cancel(peers->loop, &peers->look);
	free(peers->direct);
	free(peers->by_key);
	free(peers->by_id);
	free(peers->routes);
	free(peers);
}
