// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Relayed connections: who is reached over which server, subscriptions to their presence, packets to them.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/relay_internal.h"

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

struct relay_peer *relay_peer_find(struct relay_client *server, const uint8_t id[static RELAY_ID_LEN])
{
	struct relay_peer *peer;

	if (server->last && has_id(server->last, id))
		return server->last;
	LIST_FOREACH(peer, &server->by_id[bucket(id)], by_id) {
		if (has_id(peer, id)) {
			server->last = peer;
			return peer;
		}
	}
	return NULL;
}

static void detach(struct relay_peer *peer)
{
	struct relay_client *server = peer->server;

	TAILQ_REMOVE(&server->peers, peer, entry);
	LIST_REMOVE(peer, by_id);
	if (server->last == peer)
		server->last = NULL;
	loop_timer_cancel(peer->loop, &peer->patience);
	peer->server = NULL;
}

void relay_peers_detach(struct relay_client *server)
{
	struct relay_peer *peer;

	while ((peer = TAILQ_FIRST(&server->peers)))
		detach(peer);
}

void relay_peers_lost(struct relay_client *server, const char *why)
{
	struct relay_peer *peer;

	while ((peer = TAILQ_FIRST(&server->peers))) {
		detach(peer);
		peer->events->closed(peer->ctx, why);
	}
}

/* Subscriptions */

void relay_peers_subscribe(struct relay_client *server)
{
	if (server->state == RELAY_READY && !loop_timer_is_set(&server->batch))
		loop_timer_after(server->shared->loop, &server->batch, 0);
}

/* Out of memory: the server goes on telling us about somebody whom we do not look for. */
static void unsubscribe(struct relay_client *server, const uint8_t id[static RELAY_ID_LEN])
{
	if (server->departed_count == server->departed_room) {
		size_t room = server->departed_room ? 2 * server->departed_room : 8;
		uint8_t *larger = reallocarray(server->departed, room, RELAY_ID_LEN);

		if (!larger)
			return;
		server->departed = larger;
		server->departed_room = room;
	}
	memcpy(server->departed + server->departed_count++ * RELAY_ID_LEN, id, RELAY_ID_LEN);
	relay_peers_subscribe(server);
}

/* What was not subscribed yet has not to be unsubscribed. */
static void leave(struct relay_peer *peer)
{
	struct relay_client *server = peer->server;

	detach(peer);
	if (peer->is_subscribed && server->state == RELAY_READY)
		unsubscribe(server, relay_peer_id(peer));
}

static int send_departed(struct relay_client *server)
{
	size_t sent = 0;
	int ret = 0;

	while (sent < server->departed_count) {
		size_t left = server->departed_count - sent, n = left < RELAY_IDS_MAX ? left : RELAY_IDS_MAX;

		ret = relay_client_send(server, RELAY_UNSUBSCRIBE, server->departed + sent * RELAY_ID_LEN, n);
		if (ret)
			break;
		sent += n;
	}
	server->departed_count -= sent;
	memmove(server->departed, server->departed + sent * RELAY_ID_LEN,
		server->departed_count * RELAY_ID_LEN);
	return ret;
}

/* Returns how many were sent, or a negative errno. */
static int send_some(struct relay_client *server)
{
	uint8_t ids[RELAY_IDS_MAX * RELAY_ID_LEN];
	struct relay_peer *peers[RELAY_IDS_MAX], *peer;
	size_t n = 0;
	int ret;

	TAILQ_FOREACH(peer, &server->peers, entry) {
		if (peer->is_subscribed)
			continue;
		memcpy(ids + n * RELAY_ID_LEN, relay_peer_id(peer), RELAY_ID_LEN);
		peers[n++] = peer;
		if (n == RELAY_IDS_MAX)
			break;
	}
	ret = n ? relay_client_send(server, RELAY_SUBSCRIBE, ids, n) : 0;
	if (ret)
		return ret;
	for (size_t i = 0; i < n; i++)
		peers[i]->is_subscribed = true;
	return n;
}

/*
 * Who went and came back in one turn is unsubscribed and then subscribed: in this order, else it would
 * not be told of.
 */
void relay_peers_batch(struct relay_client *server)
{
	int ret = server->departed_count ? send_departed(server) : 0;

	while (!ret) {
		int n = send_some(server);

		if (n < RELAY_IDS_MAX) {
			ret = n < 0 ? n : 0;
			break;
		}
	}
	websocket_flush(server->ws);
	if (ret)
		loop_timer_after(server->shared->loop, &server->batch, BATCH_AGAIN_NS);
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

static void deliver_early(struct relay_client *server, const uint8_t id[static RELAY_ID_LEN])
{
	struct relay_peer *peer = relay_peer_find(server, id);
	struct relay_early_packet *packet;

	if (!peer || !peer->is_ready)
		return;
	packet = relay_early_take(&server->shared->early, server, id, loop_now(server->shared->loop));
	if (!packet)
		return;
	server->shared->stats.rx_packets++;
	server->shared->stats.rx_bytes += packet->len;
	peer->events->received(peer->ctx, packet->bytes, packet->len);
	free(packet);
}

void relay_peer_online(struct relay_client *server, const uint8_t id[static RELAY_ID_LEN])
{
	struct relay_peer *peer = relay_peer_find(server, id);

	if (!peer || peer->is_ready)
		return;
	peer->is_ready = true;
	loop_timer_cancel(peer->loop, &peer->patience);
	peer->events->ready(peer->ctx);
	if (server->state == RELAY_READY)
		deliver_early(server, id);
}

/* One that we still wait for was never said to be online: not news. */
void relay_peer_offline(struct relay_client *server, const uint8_t id[static RELAY_ID_LEN])
{
	struct relay_peer *peer = relay_peer_find(server, id);

	if (peer && peer->is_ready)
		close_peer(peer, "the peer went offline at the relay");
}

int relay_peer_new(struct relay_client *server, const uint8_t key[static KEY_LEN], const char *address,
	const struct relay_peer_events *events, void *ctx, struct relay_peer **ret_peer)
{
	uint8_t id[RELAY_ID_LEN];
	struct relay_peer *peer;

	relay_id(key, id);
	if (relay_peer_find(server, id))
		return -EEXIST;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return -ENOMEM;
	peer->address = strdup(address);
	if (!peer->address) {
		free(peer);
		return -ENOMEM;
	}
	peer->server = server;
	peer->loop = server->shared->loop;
	peer->events = events;
	peer->ctx = ctx;
	relay_transport_write(id, peer->header);
	loop_timer_init(&peer->patience, on_patience, peer);
	loop_timer_after(peer->loop, &peer->patience, RELAY_PRESENCE_NS);
	TAILQ_INSERT_TAIL(&server->peers, peer, entry);
	LIST_INSERT_HEAD(&server->by_id[bucket(id)], peer, by_id);
	relay_peers_subscribe(server);
	*ret_peer = peer;
	return 0;
}

void relay_peer_free(struct relay_peer *peer)
{
	if (!peer)
		return;
	if (peer->server)
		leave(peer);
	free(peer->address);
	free(peer);
}

int relay_peer_send(struct relay_peer *peer, const void *bytes, size_t len)
{
	struct relay_stats *stats;
	int ret;

	if (!peer->server || !peer->is_ready)
		return -ENOTCONN;
	if (!len || len > RELAY_PAYLOAD_MAX)
		return -EMSGSIZE;
	stats = &peer->server->shared->stats;
	ret = websocket_send(peer->server->ws, WEBSOCKET_PACKET, peer->header, sizeof(peer->header),
		bytes, len);
	if (ret) {
		stats->tx_dropped++;
		return ret;
	}
	stats->tx_packets++;
	stats->tx_bytes += len;
	return 0;
}

const char *relay_peer_address(const struct relay_peer *peer)
{
	return peer->address;
}
