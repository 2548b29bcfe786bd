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

#include "netbird/netmap.h"
#include "crypto/key.h"
#include "loop/loop.h"

#define RELAY_ID_LEN		36
#define RELAY_MESSAGE_MAX	8820
#define RELAY_PAYLOAD_MAX	(RELAY_MESSAGE_MAX - 2 - RELAY_ID_LEN)

void relay_id(const uint8_t public_key[static KEY_LEN], uint8_t ret_id[static RELAY_ID_LEN]);

struct relay_manager;
struct relay_peer;		/* one relayed connection to one peer, over one server */

struct relay_events {
	/*
	 * The home relay is there (@address: its instance address, to be signalled), or gone
	 * with one line why.
	 */
	void (*home)(void *ctx, bool is_connected, const char *address, const char *why);
};

struct relay_peer_events {
	/* The peer is online there: packets can be sent. Once per relay_peer_open(). */
	void (*ready)(void *ctx);
	/* Not within 30 s, went offline, or its server was lost. The handle is dead and to be freed. */
	void (*closed)(void *ctx, const char *why);
	/* One packet of the peer's; valid until the callback returns. */
	void (*received)(void *ctx, const uint8_t *bytes, size_t len);
};

int relay_manager_new(struct loop *loop, const uint8_t own_key[static KEY_LEN],
	const struct relay_events *events, void *ctx, struct relay_manager **ret_manager);
void relay_manager_free(struct relay_manager *manager);
/*
 * Sends Close to all and closes; nothing is called back or dialled after it, relayed connections are dead.
 * For an orderly end.
 */
void relay_manager_close(struct relay_manager *manager);
/*
 * URLs and token from management, at the start and whenever they change. A newer token does not touch live
 * connections; none leaves the old one. No urls: no relay is looked for any more, and the one that is there
 * stays until it is lost. ->present is the caller's to heed.
 */
int relay_manager_set(struct relay_manager *manager, const struct netmap_relay *relay);
/* NULL while there is none. */
const char *relay_manager_address(const struct relay_manager *manager);

/*
 * A relayed connection to @peer over the server @address (equal to relay_manager_address(): the home relay;
 * else a foreign one, which is dialled). Callbacks never come before it returned. Returns 0; -ENOTCONN
 * without a home relay; -EEXIST for a peer that is open there already; -EINVAL for an address that is none;
 * or another negative errno.
 */
int relay_peer_open(struct relay_manager *manager, const uint8_t peer[static KEY_LEN], const char *address,
	const struct relay_peer_events *events, void *ctx, struct relay_peer **ret_peer);
void relay_peer_free(struct relay_peer *peer);
/*
 * Queues one packet; nothing is copied twice and nothing is kept without limit: -EAGAIN when the socket
 * and our bounded queue are full (counted, the packet is lost), -ENOTCONN, -EMSGSIZE.
 * relay_manager_flush() after a batch.
 */
int relay_peer_send(struct relay_peer *peer, const void *bytes, size_t len);
void relay_manager_flush(struct relay_manager *manager);
const char *relay_peer_address(const struct relay_peer *peer);

/* For status: one entry per server in use or configured. */
struct relay_status { char uri[256]; bool is_available; char error[160]; };
size_t relay_manager_list(const struct relay_manager *manager, struct relay_status *list, size_t room);

struct relay_stats { uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, tx_dropped, rx_unknown,
	malformed; };
/* The host's network changed: a wait for the next dial ends now. */
void relay_manager_network_changed(struct relay_manager *manager);
void relay_manager_get_stats(const struct relay_manager *manager, struct relay_stats *ret_stats);

#endif
