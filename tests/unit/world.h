/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A world for devices: a clock, a wire that can be cut, and data paths that seal and open as the maps tell
 * them. Nothing sleeps.
 */
#ifndef TALON_TESTS_UNIT_WORLD_H
#define TALON_TESTS_UNIT_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/aead.h"
#include "crypto/tai64n.h"
#include "session/device.h"
#include "session/table.h"

#define SEC		1000000000ULL
#define MSEC		1000000ULL
#define WORLD_NODES	2
#define WORLD_SLOTS	64
#define WORLD_PEERS	8
#define WORLD_QUEUE	4096
#define WORLD_START	(1000 * SEC)
#define WORLD_UNIX	(1795400000 * SEC)	/* a little after the recorded handshakes */

struct world;

struct node {
	struct world *world;
	struct device *device;
	struct secret_key private_key;
	uint8_t public_key[KEY_LEN];
	struct endpoint endpoint;

	/* the maps */
	struct talon_session sessions[WORLD_SLOTS];
	enum talon_session_state states[WORLD_SLOTS];
	uint64_t counters[WORLD_SLOTS];
	uint32_t tx[WORLD_PEERS];
	struct endpoint endpoints[WORLD_PEERS];
	struct device_facts facts[WORLD_PEERS];

	/* what was asked for */
	bool confirm[WORLD_PEERS];
	unsigned keepalives, established, gave_up, done, saved;
	uint8_t timestamp[WG_TIMESTAMP_LEN];
	struct device_peer_stats stats;
	int publish_error, clear_error, wipe_error, tx_error;
	bool no_confirm;	/* the controller is too slow to send the confirming keepalive */
};

struct message {
	struct node *from;
	uint32_t peer;
	struct endpoint to;
	size_t len;
	uint8_t bytes[WG_INITIATION_LEN];
};

struct world {
	uint64_t now_ns;
	int64_t unix_offset_ns;		/* CLOCK_REALTIME - (WORLD_UNIX + time since the start) */
	uint64_t seed;
	struct node nodes[WORLD_NODES];
	struct message queue[WORLD_QUEUE];
	size_t queued;
	bool is_cut;			/* messages are sent but do not arrive */
	unsigned lost;
};

static inline uint64_t world_random(struct world *w)
{
	uint64_t z = w->seed += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static inline void op_random(void *ctx, void *buf, size_t len)
{
	struct world *w = ((struct node *)ctx)->world;
	uint8_t *bytes = buf;

	for (size_t i = 0; i < len; i++)
		bytes[i] = world_random(w);
}

static inline uint64_t op_unix_ns(void *ctx)
{
	struct world *w = ((struct node *)ctx)->world;

	return WORLD_UNIX + (w->now_ns - WORLD_START) + w->unix_offset_ns;
}

static inline int op_send(void *ctx, uint32_t peer, const struct endpoint *to, const void *bytes, size_t len)
{
	struct node *node = ctx;
	struct world *w = node->world;

	assert_in_range(len, 1, sizeof(w->queue[0].bytes));
	if (w->is_cut) {
		w->lost++;
		return 0;
	}
	assert_in_range(w->queued, 0, WORLD_QUEUE - 1);
	w->queue[w->queued] = (struct message){ .from = node, .peer = peer, .to = *to, .len = len };
	memcpy(w->queue[w->queued++].bytes, bytes, len);
	return 0;
}

static inline int op_publish(void *ctx, uint32_t slot, const struct talon_session *session,
	enum talon_session_state state)
{
	struct node *node = ctx;

	assert_int_equal(slot, session->index % WORLD_SLOTS);
	assert_int_equal(node->sessions[slot].index, 0);
	if (node->publish_error)
		return node->publish_error;
	node->sessions[slot] = *session;
	node->states[slot] = state;
	node->counters[slot] = 0;
	return 0;
}

static inline int op_clear(void *ctx, uint32_t slot)
{
	struct node *node = ctx;

	if (node->clear_error)
		return node->clear_error;
	node->sessions[slot].index = 0;
	return 0;
}

static inline int op_wipe(void *ctx, uint32_t slot)
{
	struct node *node = ctx;

	if (node->wipe_error)
		return node->wipe_error;
	assert_int_equal(node->sessions[slot].index, 0);
	memset(&node->sessions[slot], 0, sizeof(node->sessions[slot]));
	node->counters[slot] = 0;
	return 0;
}

static inline int op_set_tx(void *ctx, uint32_t peer, uint32_t index)
{
	struct node *node = ctx;

	if (node->tx_error)
		return node->tx_error;
	if (index)
		assert_int_equal(node->sessions[index % WORLD_SLOTS].index, index);
	node->tx[peer] = index;
	return 0;
}

static inline int op_set_endpoint(void *ctx, uint32_t peer, const struct endpoint *endpoint)
{
	((struct node *)ctx)->endpoints[peer] = *endpoint;
	return 0;
}

static inline int op_send_keepalive(void *ctx, uint32_t peer)
{
	struct node *node = ctx;

	node->keepalives++;
	node->confirm[peer] = true;
	return 0;
}

static inline void op_established(void *ctx, uint32_t peer, bool must_send)
{
	struct node *node = ctx;

	node->established++;
	if (must_send && !node->no_confirm)
		node->confirm[peer] = true;
}

static inline void op_gave_up(void *ctx, uint32_t peer)
{
	((struct node *)ctx)->gave_up++;
}

static inline void op_handshake_done(void *ctx, uint32_t peer, const struct device_peer_stats *stats)
{
	struct node *node = ctx;

	node->done++;
	node->stats = *stats;
}

static inline void op_save_timestamp(void *ctx, uint32_t peer,
	const uint8_t timestamp[static WG_TIMESTAMP_LEN])
{
	struct node *node = ctx;

	node->saved++;
	memcpy(node->timestamp, timestamp, WG_TIMESTAMP_LEN);
}

static inline int op_read_facts(void *ctx, uint32_t peer, struct device_facts *ret_facts)
{
	struct node *node = ctx;

	*ret_facts = node->facts[peer];
	ret_facts->send_counter = node->tx[peer] ? node->counters[node->tx[peer] % WORLD_SLOTS] : 0;
	return 0;
}

static const struct device_ops world_ops = {
	.random = op_random,
	.unix_ns = op_unix_ns,
	.send = op_send,
	.publish_session = op_publish,
	.clear_session = op_clear,
	.wipe_session = op_wipe,
	.set_tx = op_set_tx,
	.set_endpoint = op_set_endpoint,
	.send_keepalive = op_send_keepalive,
	.established = op_established,
	.gave_up = op_gave_up,
	.handshake_done = op_handshake_done,
	.save_timestamp = op_save_timestamp,
	.read_facts = op_read_facts,
};

static inline struct endpoint endpoint_v4(const char *addr, uint16_t port)
{
	struct endpoint endpoint = { .family = AF_INET, .port = htons(port) };

	assert_int_equal(inet_pton(AF_INET, addr, &endpoint.remote), 1);
	return endpoint;
}

static inline void node_start_device(struct node *node)
{
	struct device_config config = { .private_key = node->private_key, .peers_max = WORLD_PEERS,
		.slots = WORLD_SLOTS };

	assert_int_equal(device_new(&node->device, &config, &world_ops, node), 0);
	memcpy(node->public_key, device_public_key(node->device), KEY_LEN);
}

static inline struct world *world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->now_ns = WORLD_START;
	w->seed = seed;
	for (size_t i = 0; i < WORLD_NODES; i++) {
		struct node *node = &w->nodes[i];

		node->world = w;
		op_random(node, node->private_key.bytes, KEY_LEN);
		node->endpoint = endpoint_v4(i ? "192.0.2.2" : "192.0.2.1", 51820 + i);
		node_start_device(node);
	}
	return w;
}

static inline void world_free(struct world *w)
{
	for (size_t i = 0; i < WORLD_NODES; i++)
		device_free(w->nodes[i].device);
	free(w);
}

static inline struct node *node_other(struct node *node)
{
	return &node->world->nodes[node == &node->world->nodes[0]];
}

static inline struct device_peer_config peer_config(const struct node *of)
{
	struct device_peer_config config = { .endpoint = of->endpoint };

	memcpy(config.public_key, of->public_key, KEY_LEN);
	return config;
}

/* Each node knows the other as peer 0. */
static inline struct world *world_new_pair(uint64_t seed)
{
	struct world *w = world_new(seed);

	for (size_t i = 0; i < WORLD_NODES; i++) {
		struct device_peer_config config = peer_config(&w->nodes[!i]);

		assert_int_equal(device_add_peer(w->nodes[i].device, w->now_ns, 0, &config), 0);
		w->nodes[i].endpoints[0] = config.endpoint;
	}
	return w;
}

static inline bool message_pop(struct world *w, struct message *ret_message)
{
	if (!w->queued)
		return false;
	*ret_message = w->queue[0];
	memmove(&w->queue[0], &w->queue[1], --w->queued * sizeof(w->queue[0]));
	return true;
}

static inline enum handshake_end message_deliver(const struct message *message)
{
	struct node *to = node_other(message->from);

	return device_message(to->device, to->world->now_ns, &message->from->endpoint, message->bytes,
		message->len);
}

/*
 * What the data path does with a packet for peer 0; an empty one is a keepalive. Returns false if it has no
 * key or the other side none.
 */
static inline bool node_send_packet(struct node *node, bool has_data)
{
	struct node *other = node_other(node);
	uint64_t now_ns = node->world->now_ns;
	struct talon_session *tx = &node->sessions[node->tx[0] % WORLD_SLOTS], *rx;
	struct secret_key send, recv;
	uint8_t sealed[AEAD_TAG_LEN + 1], plain[1] = { 42 };
	size_t len = has_data ? 1 : 0;
	uint64_t counter;

	if (!node->tx[0] || tx->index != node->tx[0] || now_ns - tx->birth_ns >= 180 * SEC)
		return false;
	counter = node->counters[node->tx[0] % WORLD_SLOTS]++;
	memcpy(send.bytes, tx->send_key, KEY_LEN);
	aead_seal(&send, counter, plain, len, NULL, 0, sealed);
	node->facts[0].tx_ns = now_ns;
	if (has_data)
		node->facts[0].tx_data_ns = now_ns;
	if (node->world->is_cut)
		return true;

	rx = &other->sessions[tx->remote_index % WORLD_SLOTS];
	if (rx->index != tx->remote_index || now_ns - rx->birth_ns >= 180 * SEC)
		return false;
	memcpy(recv.bytes, rx->recv_key, KEY_LEN);
	assert_int_equal(aead_open(&recv, counter, sealed, len + AEAD_TAG_LEN, NULL, 0, plain), 0);
	other->facts[0].rx_ns = now_ns;
	if (has_data)
		other->facts[0].rx_data_ns = now_ns;
	if (other->states[rx->index % WORLD_SLOTS] == TALON_SESSION_NEXT) {
		other->states[rx->index % WORLD_SLOTS] = TALON_SESSION_CURRENT;
		other->tx[0] = rx->index;
		device_session_promoted(other->device, now_ns, rx->index);
	}
	return true;
}

/* Delivers everything, and what that causes, until nothing moves any more. */
static inline void world_settle(struct world *w)
{
	struct message message;
	bool moved = true;

	while (moved) {
		moved = false;
		while (message_pop(w, &message)) {
			message_deliver(&message);
			moved = true;
		}
		for (size_t i = 0; i < WORLD_NODES; i++) {
			if (!w->nodes[i].confirm[0])
				continue;
			w->nodes[i].confirm[0] = false;
			node_send_packet(&w->nodes[i], false);
			moved = true;
		}
	}
}

static inline void world_tick(struct world *w)
{
	for (size_t i = 0; i < WORLD_NODES; i++)
		assert_true(device_tick(w->nodes[i].device, w->now_ns) > w->now_ns);
	world_settle(w);
}

static inline void node_poll(struct node *node)
{
	struct device_facts facts;

	op_read_facts(node, 0, &facts);
	assert_int_equal(device_peer_facts(node->device, node->world->now_ns, 0, &facts), 0);
}

/* Lets time pass until @until_ns, stopping at every deadline on the way. */
static inline void world_run_until(struct world *w, uint64_t until_ns)
{
	for (;;) {
		uint64_t next_ns = until_ns;

		for (size_t i = 0; i < WORLD_NODES; i++) {
			uint64_t at_ns = device_next_deadline(w->nodes[i].device);

			next_ns = at_ns < next_ns ? at_ns : next_ns;
		}
		w->now_ns = next_ns > w->now_ns ? next_ns : w->now_ns;
		world_tick(w);
		if (w->now_ns >= until_ns)
			return;
	}
}

/* A session initiated by node 0, confirmed and used in both directions. */
static inline struct world *world_new_connected(uint64_t seed)
{
	struct world *w = world_new_pair(seed);

	assert_int_equal(device_want_handshake(w->nodes[0].device, w->now_ns, 0), 0);
	world_settle(w);
	assert_true(node_send_packet(&w->nodes[0], true));
	assert_true(node_send_packet(&w->nodes[1], true));
	node_poll(&w->nodes[0]);
	node_poll(&w->nodes[1]);
	return w;
}

static inline struct device_peer_sessions node_sessions(const struct node *node)
{
	struct device_peer_sessions sessions;

	assert_int_equal(device_get_peer_sessions(node->device, 0, &sessions), 0);
	return sessions;
}

static inline struct device_stats node_stats(const struct node *node)
{
	struct device_stats stats;

	device_get_stats(node->device, &stats);
	return stats;
}

/* No key material anywhere in the session array. */
static inline bool node_has_no_keys(const struct node *node)
{
	static const struct talon_session none;

	for (size_t i = 0; i < WORLD_SLOTS; i++)
		if (memcmp(&node->sessions[i], &none, sizeof(none)) != 0)
			return false;
	return true;
}

#endif
