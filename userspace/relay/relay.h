/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * NetBird relays: WebSocket, authentication, presence, transport frames; the home relay and foreign ones.
 * Peers are named by relay_id(), 36 bytes made of the public key's text.
 */
#ifndef TALON_RELAY_H
#define TALON_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "crypto/key.h"
#include "loop/loop.h"
#include "netmap/netmap.h"
#include "netbird/relay_wire.h"
#include "talon/relayed_types.h"

struct relay_manager;
struct relay_peer;		/* a relayed connection to one peer over one server */

struct relay_events {
	/* The home relay is connected (@address: its instance address, to be signalled), or lost: @why. */
	void (*home)(void *ctx, bool is_connected, const char *address, const char *why);
};

struct relay_peer_events {
	/* The peer is online there: packets can be sent. Once per relay_peer_open(). */
	void (*ready)(void *ctx);
	/* Not online within 30 s, went offline, or the server was lost. The owner frees the handle. */
	void (*closed)(void *ctx, const char *why);
	/* A packet from the peer, valid until the callback returns. */
	void (*received)(void *ctx, const uint8_t *bytes, size_t len);
};

int relay_manager_new(struct loop *loop, const uint8_t own_key[static KEY_LEN],
	const struct relay_events *events, void *ctx, struct relay_manager **ret_manager);
void relay_manager_free(struct relay_manager *manager);
/*
 * For an orderly end: sends Close to all servers and closes. Nothing is called back or dialled afterwards,
 * and relayed connections are lost.
 */
void relay_manager_close(struct relay_manager *manager);
/*
 * The same without a word: to the servers, and to the peers that they tell, we are still there. For an end
 * that another process follows, which takes the connections' place by the same id.
 */
void relay_manager_abandon(struct relay_manager *manager);
/*
 * Stays connected, and dials nothing any more: until another process that connects by the same id takes the
 * connections' place. The end of the home relay's is told as ever.
 */
void relay_manager_linger(struct relay_manager *manager);
/* The TCP connections of which the servers would be told an end. */
void relay_manager_each_connection(const struct relay_manager *manager,
	void (*tell)(void *ctx, const struct talon_quiet *connection), void *ctx);
/*
 * Takes URLs and token from management, at the start and whenever they change. A newer token does not touch
 * live connections; without one the old token stays. Without urls no relay is dialled any more, and the
 * present one stays until it is lost. The caller checks ->present. Returns 0 or -ENOMEM.
 */
int relay_manager_set(struct relay_manager *manager, const struct netmap_relay *relay);
/* The home relay's instance address; NULL while none is connected. */
const char *relay_manager_address(const struct relay_manager *manager);
/* A server that may become the home relay has our token and has not answered it yet. */
bool relay_manager_is_waiting(const struct relay_manager *manager);
/* Where it is connected to; NULL: not connected, or by a proxy. */
const struct endpoint *relay_manager_remote(const struct relay_manager *manager);

/*
 * A relayed connection to @peer over the server @address (equal to relay_manager_address(): the home relay;
 * else a foreign one, which is dialled). @at: where the peer is connected to it; NULL: not said. It is tried
 * first if it is public, for 5 s, and then the name. Callbacks come only after it returned. Returns 0;
 * -ENOTCONN without a home relay; -EEXIST if the peer is open there already; -EINVAL for a malformed address;
 * -EUSERS beyond 64 foreign relays; or another negative errno.
 */
int relay_peer_open(struct relay_manager *manager, const uint8_t peer[static KEY_LEN], const char *address,
	const struct endpoint *at, const struct relay_peer_events *events, void *ctx,
	struct relay_peer **ret_peer);
/*
 * It was there a moment ago, when another process spoke to it: ready() is called as soon as the server is
 * connected. If the server does not say so too within 30 s, closed() follows. To be called right after
 * relay_peer_open().
 */
void relay_peer_presume(struct relay_peer *peer);
void relay_peer_free(struct relay_peer *peer);
/*
 * Queues one packet; relay_manager_flush() sends a batch. Returns 0; -EAGAIN when the socket and the bounded
 * queue are full (the packet is dropped and counted); -ENOTCONN; -EMSGSIZE.
 */
int relay_peer_send(struct relay_peer *peer, const void *bytes, size_t len);
void relay_manager_flush(struct relay_manager *manager);

/* For status: the home relay, or the configured ones while there is none; and connected foreign ones. */
struct relay_status { char uri[SERVER_URL_LEN]; bool is_available; char error[160]; };
size_t relay_manager_list(const struct relay_manager *manager, struct relay_status *list, size_t room);

struct relay_stats { uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, tx_dropped, rx_unknown,
	malformed, connects; };
/* The host's network changed: ends a wait for the next dial. */
void relay_manager_network_changed(struct relay_manager *manager);
void relay_manager_get_stats(const struct relay_manager *manager, struct relay_stats *ret_stats);

#endif
