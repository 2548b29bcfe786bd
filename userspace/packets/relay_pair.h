/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The far end of the relay device pair, where the datapath meets the relay: sealed packets for relayed peers
 * are read there from a ring; packets that came over a relay, or by our socket, are written there as frames
 * for the programs.
 */
#ifndef TALON_PACKETS_RELAY_PAIR_H
#define TALON_PACKETS_RELAY_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "datapath/datapath.h"
#include "loop/loop.h"

struct pair_events {
	/* A sealed packet for @peer, only good during the call. NULL: packets are dropped. */
	void (*sent)(void *ctx, uint32_t peer, const uint8_t *bytes, size_t len);
	/* No more of them for now. May be NULL. */
	void (*drained)(void *ctx);
};

/* Set up by pair_init(); pair_take() or found, port and peers_max before pair_open(). */
struct relay_pair {
	struct loop *loop;
	const struct datapath *dp;
	/* while @dp is NULL: the pair that another process left; ifindex 0: there is none */
	struct datapath_tunnel_info found;
	__be16 port;			/* WireGuard's, to which what came over a relay is addressed */
	uint32_t peers_max;
	struct pair_events events;
	void *ctx;
	uint64_t lost;			/* frames that could not be sent */
	int rx, tx;			/* -1: not open */
	struct loop_fd watch;
	uint8_t *ring;			/* of received frames */
	size_t ring_len;
	unsigned frame_size, frames_per_block, block_size, frame_count, next;
	struct pair_frames *frames;	/* to be sent */
	struct loop_timer flush;
};

void pair_init(struct relay_pair *pair, struct loop *loop);
/* Does nothing if it is open. Returns 0, -ENODEV without such a device pair, or another negative errno. */
int pair_open(struct relay_pair *pair);
void pair_close(struct relay_pair *pair);
/* From now on it is that of @dp, whose devices are there; what is open stays open if it is the same. */
void pair_take(struct relay_pair *pair, const struct datapath *dp);

/*
 * Room for one frame of @len bytes to the programs, addressed on layer 2 with @ethertype; NULL if there is
 * none. pair_put_frame() sends it, at the end of this turn at the latest.
 */
uint8_t *pair_get_frame(struct relay_pair *pair, uint16_t ethertype, size_t len);
void pair_put_frame(struct relay_pair *pair, size_t len);
/* A data message that came from @peer over a relay, to the programs. */
void pair_inject(struct relay_pair *pair, uint32_t peer, const uint8_t *bytes, size_t len);

/* The endpoint that stands for @peer behind a relay, and whether an endpoint is such a one. */
void pair_endpoint(uint32_t peer, struct endpoint *ret_endpoint);
bool pair_is_endpoint(const struct endpoint *endpoint);

#endif
