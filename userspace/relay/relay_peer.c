// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Relayed connections: which peer is reached over which server, subscriptions to its presence, its packets.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "relay/relay_internal.h"

#define BATCH_AGAIN_NS	(100 * LOOP_MS)

/* Ids are hashes, and only peers of ours are in the table. */
static size_t bucket(const uint8_t id[static RELAY_ID_LEN])
{
	uint16_t some;

	memcpy(&some, id + RELAY_ID_LEN - sizeof(some), sizeof(some));
	return some % RELAY_BUCKETS;
}

static bool has_id(const struct relay_peer *peer, const uint8_t id[static RELAY_ID_LEN])
{
	return !memcmp(relay_peer_id(peer), id, RELAY_ID_LEN);
}

struct relay_peer *relay_peer_find(struct relay_client *client, const uint8_t id[static RELAY_ID_LEN])
{
	struct relay_peer *peer;

	if (client->last && has_id(client->last, id))
		return client->last;
	LIST_FOREACH(peer, &client->by_id[bucket(id)], by_id) {
		if (has_id(peer, id)) {
			client->last = peer;
			return peer;
		}
	}
	return NULL;
}

static void detach(struct relay_peer *peer)
{
	struct relay_client *client = peer->client;

	TAILQ_REMOVE(&client->peers, peer, entry);
	LIST_REMOVE(peer, by_id);
	if (client->last == peer)
		client->last = NULL;
	loop_timer_cancel(peer->loop, &peer->patience);
	peer->client = NULL;
}

void relay_peers_detach(struct relay_client *client)
{
	struct relay_peer *peer;

	while ((peer = TAILQ_FIRST(&client->peers)))
		detach(peer);
}

void relay_peers_lost(struct relay_client *client, const char *why)
{
	struct relay_peer *peer;

	while ((peer = TAILQ_FIRST(&client->peers))) {
		detach(peer);
		peer->events->closed(peer->ctx, why);
	}
}

/* Subscriptions */

void relay_peers_subscribe(struct relay_client *client)
{
	if (client->state == RELAY_READY && !loop_timer_is_set(&client->batch))
		loop_timer_after(client->shared->loop, &client->batch, 0);
}

/* Out of memory: the server goes on reporting a peer that nobody waits for. */
static void unsubscribe(struct relay_client *client, const uint8_t id[static RELAY_ID_LEN])
{
	if (client->departed_count == client->departed_room) {
		size_t room = client->departed_room ? 2 * client->departed_room : 8;
		uint8_t *larger = reallocarray(client->departed, room, RELAY_ID_LEN);

		if (!larger)
			return;
		client->departed = larger;
		client->departed_room = room;
	}
	memcpy(client->departed + client->departed_count++ * RELAY_ID_LEN, id, RELAY_ID_LEN);
	relay_peers_subscribe(client);
}

/* A peer that was not subscribed to yet need not be unsubscribed. */
static void leave(struct relay_peer *peer)
{
	struct relay_client *client = peer->client;

	detach(peer);
	if (peer->is_subscribed && client->state == RELAY_READY)
		unsubscribe(client, relay_peer_id(peer));
}

static int send_departed(struct relay_client *client)
{
	size_t sent = 0;
	int ret = 0;

	while (sent < client->departed_count) {
		size_t left = client->departed_count - sent, n = left < RELAY_IDS_MAX ? left : RELAY_IDS_MAX;

		ret = relay_client_send(client, RELAY_UNSUBSCRIBE, client->departed + sent * RELAY_ID_LEN, n);
		if (ret)
			break;
		sent += n;
	}
	client->departed_count -= sent;
	memmove(client->departed, client->departed + sent * RELAY_ID_LEN,
		client->departed_count * RELAY_ID_LEN);
	return ret;
}

/* Returns how many were sent, or a negative errno. */
static int send_some(struct relay_client *client)
{
	uint8_t ids[RELAY_IDS_MAX * RELAY_ID_LEN];
	struct relay_peer *peers[RELAY_IDS_MAX], *peer;
	size_t n = 0;
	int ret;

	TAILQ_FOREACH(peer, &client->peers, entry) {
		if (peer->is_subscribed)
			continue;
		memcpy(ids + n * RELAY_ID_LEN, relay_peer_id(peer), RELAY_ID_LEN);
		peers[n++] = peer;
		if (n == RELAY_IDS_MAX)
			break;
	}
	ret = n ? relay_client_send(client, RELAY_SUBSCRIBE, ids, n) : 0;
	if (ret)
		return ret;
	for (size_t i = 0; i < n; i++)
		peers[i]->is_subscribed = true;
	return n;
}

static struct relay_peer *find_presumed(struct relay_client *client)
{
	struct relay_peer *peer;

	TAILQ_FOREACH(peer, &client->peers, entry) {
		if (peer->is_presumed && !peer->is_ready)
			return peer;
	}
	return NULL;
}

static void deliver_early(struct relay_client *client, const uint8_t id[static RELAY_ID_LEN]);

/* Each may free anything, so the search begins anew. */
static void begin_presumed(struct relay_client *client)
{
	uint8_t id[RELAY_ID_LEN];
	struct relay_peer *peer;

	while (client->state == RELAY_READY && (peer = find_presumed(client))) {
		memcpy(id, relay_peer_id(peer), sizeof(id));
		peer->is_ready = true;
		peer->events->ready(peer->ctx);
		if (client->state == RELAY_READY)
			deliver_early(client, id);
	}
}

/*
 * A peer that was closed and opened again in one turn is unsubscribed first and then subscribed; in the other
 * order the server would not report it.
 */
void relay_peers_batch(struct relay_client *client)
{
	int ret = client->departed_count ? send_departed(client) : 0;

	while (!ret) {
		int n = send_some(client);

		if (n < RELAY_IDS_MAX) {
			ret = n < 0 ? n : 0;
			break;
		}
	}
	websocket_flush(client->ws);
	if (ret)
		loop_timer_after(client->shared->loop, &client->batch, BATCH_AGAIN_NS);
	begin_presumed(client);
}

/* Presence */

static void close_peer(struct relay_peer *peer, const char *why)
{
	leave(peer);
	peer->events->closed(peer->ctx, why);
}

static void on_patience(void *ctx)
{
	close_peer(ctx, "the peer is not online at the relay");
}

static void deliver_early(struct relay_client *client, const uint8_t id[static RELAY_ID_LEN])
{
	struct relay_peer *peer = relay_peer_find(client, id);
	struct relay_early_packet *packet;

	if (!peer || !peer->is_ready)
		return;
	packet = relay_early_take(&client->shared->early, client, id, loop_now(client->shared->loop));
	if (!packet)
		return;
	client->shared->stats.rx_packets++;
	client->shared->stats.rx_bytes += packet->len;
	peer->events->received(peer->ctx, packet->bytes, packet->len);
	free(packet);
}

void relay_peer_online(struct relay_client *client, const uint8_t id[static RELAY_ID_LEN])
{
	struct relay_peer *peer = relay_peer_find(client, id);

	if (peer)
		loop_timer_cancel(peer->loop, &peer->patience);
	if (!peer || peer->is_ready)
		return;
	peer->is_ready = true;
	peer->events->ready(peer->ctx);
	if (client->state == RELAY_READY)
		deliver_early(client, id);
}

/* A peer that we still wait for was never reported online, so this changes nothing. */
void relay_peer_offline(struct relay_client *client, const uint8_t id[static RELAY_ID_LEN])
{
	struct relay_peer *peer = relay_peer_find(client, id);

	if (peer && peer->is_ready)
		close_peer(peer, "the peer went offline at the relay");
}

int relay_peer_new(struct relay_client *client, const uint8_t key[static KEY_LEN],
	const struct relay_peer_events *events, void *ctx, struct relay_peer **ret_peer)
{
	uint8_t id[RELAY_ID_LEN];
	struct relay_peer *peer;

	relay_id(key, id);
	if (relay_peer_find(client, id))
		return -EEXIST;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return -ENOMEM;
	peer->client = client;
	peer->loop = client->shared->loop;
	peer->events = events;
	peer->ctx = ctx;
	relay_transport_write(id, peer->header);
	loop_timer_init(&peer->patience, on_patience, peer);
	loop_timer_after(peer->loop, &peer->patience, RELAY_PRESENCE_NS);
	TAILQ_INSERT_TAIL(&client->peers, peer, entry);
	LIST_INSERT_HEAD(&client->by_id[bucket(id)], peer, by_id);
	relay_peers_subscribe(client);
	*ret_peer = peer;
	return 0;
}

void relay_peer_presume(struct relay_peer *peer)
{
	peer->is_presumed = true;
}

void relay_peer_free(struct relay_peer *peer)
{
	if (!peer)
		return;
	if (peer->client)
		leave(peer);
	free(peer);
}

int relay_peer_send(struct relay_peer *peer, const void *bytes, size_t len)
{
	struct relay_stats *stats;
	int ret;

	if (!peer->client || !peer->is_ready)
		return -ENOTCONN;
	if (!len || len > RELAY_PAYLOAD_MAX)
		return -EMSGSIZE;
	stats = &peer->client->shared->stats;
	ret = websocket_send(peer->client->ws, WEBSOCKET_PACKET, peer->header, sizeof(peer->header),
		bytes, len);
	if (ret) {
		stats->tx_dropped++;
		return ret;
	}
	stats->tx_packets++;
	stats->tx_bytes += len;
	return 0;
}
