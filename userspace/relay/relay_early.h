/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that arrive before our connection to their sender exists: the newest of each sender is kept for
 * five seconds.
 */
#ifndef TALON_RELAY_EARLY_H
#define TALON_RELAY_EARLY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "relay/relay.h"

#define RELAY_EARLY_MAX	1000
#define RELAY_EARLY_NS	(5 * LOOP_SECOND)
#define RELAY_EARLY_BUCKETS	256

struct relay_early_packet {
	TAILQ_ENTRY(relay_early_packet) by_age;
	LIST_ENTRY(relay_early_packet) by_id;
	const void *client;		/* the connection it came over: only compared */
	uint8_t id[RELAY_ID_LEN];
	uint64_t at_ns;
	size_t len;
	uint8_t bytes[];
};

struct relay_early {
	TAILQ_HEAD(, relay_early_packet) by_age;
	LIST_HEAD(, relay_early_packet) by_id[RELAY_EARLY_BUCKETS];
	size_t count;
};

void relay_early_init(struct relay_early *early);
void relay_early_done(struct relay_early *early);
/*
 * Keeps a copy instead of the sender's previous one, and drops the oldest if necessary. Without memory it
 * is lost.
 */
void relay_early_put(struct relay_early *early, const void *client, const uint8_t id[static RELAY_ID_LEN],
	const uint8_t *bytes, size_t len, uint64_t now_ns);
/* Returns the packet, which the caller frees, or NULL. */
struct relay_early_packet *relay_early_take(struct relay_early *early, const void *client,
	const uint8_t id[static RELAY_ID_LEN], uint64_t now_ns);
/* Frees packets that are too old. */
void relay_early_expire(struct relay_early *early, uint64_t now_ns);
/* Frees all packets of @client. */
void relay_early_forget(struct relay_early *early, const void *client);

#endif
