// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The newest packet of each sender that has no connection yet.
#include <stdlib.h>
#include <string.h>

#include "relay/relay_early.h"

void relay_early_init(struct relay_early *early)
{
	memset(early, 0, sizeof(*early));
	TAILQ_INIT(&early->by_age);
}

/* Ids are hashes: any of their bytes will do. */
static size_t bucket(const uint8_t id[static RELAY_ID_LEN])
{
	return id[RELAY_ID_LEN - 1];
}

static void remove_packet(struct relay_early *early, struct relay_early_packet *packet)
{
	TAILQ_REMOVE(&early->by_age, packet, by_age);
	LIST_REMOVE(packet, by_id);
	early->count--;
}

static void drop(struct relay_early *early, struct relay_early_packet *packet)
{
	remove_packet(early, packet);
	free(packet);
}

void relay_early_done(struct relay_early *early)
{
	struct relay_early_packet *packet;

	while ((packet = TAILQ_FIRST(&early->by_age)))
		drop(early, packet);
}

void relay_early_expire(struct relay_early *early, uint64_t now_ns)
{
	struct relay_early_packet *packet;

	while ((packet = TAILQ_FIRST(&early->by_age)) && now_ns - packet->at_ns > RELAY_EARLY_NS)
		drop(early, packet);
}

struct relay_early_packet *relay_early_take(struct relay_early *early, const void *client,
	const uint8_t id[static RELAY_ID_LEN], uint64_t now_ns)
{
	struct relay_early_packet *packet;

	relay_early_expire(early, now_ns);
	LIST_FOREACH(packet, &early->by_id[bucket(id)], by_id) {
		if (packet->client == client && !memcmp(packet->id, id, RELAY_ID_LEN)) {
			remove_packet(early, packet);
			return packet;
		}
	}
	return NULL;
}

void relay_early_put(struct relay_early *early, const void *client, const uint8_t id[static RELAY_ID_LEN],
	const uint8_t *bytes, size_t len, uint64_t now_ns)
{
	struct relay_early_packet *packet;

	free(relay_early_take(early, client, id, now_ns));
	if (early->count == RELAY_EARLY_MAX)
		drop(early, TAILQ_FIRST(&early->by_age));
	packet = malloc(sizeof(*packet) + len);
	if (!packet)
		return;
	packet->client = client;
	packet->at_ns = now_ns;
	packet->len = len;
	memcpy(packet->id, id, RELAY_ID_LEN);
	memcpy(packet->bytes, bytes, len);
	TAILQ_INSERT_TAIL(&early->by_age, packet, by_age);
	LIST_INSERT_HEAD(&early->by_id[bucket(id)], packet, by_id);
	early->count++;
}

void relay_early_forget(struct relay_early *early, const void *client)
{
	struct relay_early_packet *packet = TAILQ_FIRST(&early->by_age), *next;

	for (; packet; packet = next) {
		next = TAILQ_NEXT(packet, by_age);
		if (packet->client == client)
			drop(early, packet);
	}
}
