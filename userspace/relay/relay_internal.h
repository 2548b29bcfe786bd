/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shared by the files of the relay client: relay_client.c (one connection to one server), relay_peer.c (the
 * peers reached over it) and relay_manager.c (which servers are connected to, and when).
 *
 * The owner's callbacks may free anything, the manager included. So a function calls back last, or looks at
 * the state of its connection again: a freed one is RELAY_ENDED, and its memory stays until the loop has
 * left all callbacks (loop_defer_free()). A connection that is lost stays in the list until all its peers
 * know, so that relay_manager_free() finds it meanwhile.
 */
#ifndef TALON_RELAY_INTERNAL_H
#define TALON_RELAY_INTERNAL_H

#include <sys/queue.h>

#include "relay/relay.h"
#include "relay/relay_early.h"
#include "netbird/relay_wire.h"
#include "websocket/websocket.h"

#define RELAY_DIAL_NS		(30 * LOOP_SECOND)	/* until authenticated */
#define RELAY_AUTH_NS		(8 * LOOP_SECOND)	/* of it, for the answer to our token */
#define RELAY_AT_NS		(5 * LOOP_SECOND)	/* of it, for an address that a peer told us */
#define RELAY_HEALTH_NS		(35 * LOOP_SECOND)	/* the server asks every 25 s */
#define RELAY_PRESENCE_NS	(30 * LOOP_SECOND)
#define RELAY_BUCKETS		1024
#define RELAY_WHY_LEN		160

enum relay_role { RELAY_CANDIDATE, RELAY_HOME, RELAY_FOREIGN };
enum relay_state { RELAY_DIALLING, RELAY_AUTHENTICATING, RELAY_READY, RELAY_ENDED };

TAILQ_HEAD(relay_clients, relay_client);

/* The manager's, used by all its connections. */
struct relay_shared {
	struct loop *loop;
	struct relay_clients clients;
	uint8_t own_id[RELAY_ID_LEN];
	char *token_payload;		/* NULL: none yet */
	uint8_t token_signature[RELAY_SIGNATURE_LEN];
	struct relay_early early;
	struct relay_stats stats;
};

struct relay_client_events {
	/* Authenticated: ->address is set. */
	void (*up)(void *ctx, struct relay_client *client);
	/* Lost, or never reached. Its peers are told, and it is freed, after this. */
	void (*down)(void *ctx, struct relay_client *client, const char *why);
};

struct relay_client {
	TAILQ_ENTRY(relay_client) entry;
	struct relay_shared *shared;
	const struct relay_client_events *events;
	void *ctx;
	enum relay_role role;
	enum relay_state state;
	struct loop_deferred deferred;
	bool is_freed;
	struct websocket *ws;
	struct server_url url;
	/* dialled before the name is looked up, because a peer told us; family 0: no, or no longer */
	struct endpoint at;
	struct endpoint remote;		/* where it is connected to; family 0: not known */
	char name[SERVER_URL_LEN];	/* @url as text, for people */
	char address[RELAY_ADDRESS_MAX + 1];	/* the instance address, which the server told us */
	uint64_t born_ns;
	struct loop_timer deadline;	/* of the dial, then the windows of health */
	bool is_healthy;		/* asked in this window */
	struct loop_timer batch;	/* sends the subscriptions of a turn together, at its end */
	TAILQ_HEAD(, relay_peer) peers;
	LIST_HEAD(, relay_peer) by_id[RELAY_BUCKETS];
	struct relay_peer *last;	/* found last: the next packet is often its too */
	uint8_t *departed;		/* ids to unsubscribe */
	size_t departed_count;
	size_t departed_room;
};

struct relay_peer {
	TAILQ_ENTRY(relay_peer) entry;
	LIST_ENTRY(relay_peer) by_id;
	struct relay_client *client;	/* NULL: lost, or not online in time */
	struct loop *loop;
	const struct relay_peer_events *events;
	void *ctx;
	uint8_t header[RELAY_TRANSPORT_LEN];	/* of each message to it */
	bool is_subscribed;
	bool is_ready;
	bool is_presumed;		/* ready without the server's word, which is still waited for */
	struct loop_timer patience;
};

static inline const uint8_t *relay_peer_id(const struct relay_peer *peer)
{
	return peer->header + RELAY_HEADER_LEN;
}

/* relay_client.c */

/*
 * Dials; callbacks come only after it returned. @at: an address that is tried before the name of @url, NULL:
 * none. Returns 0 or a negative errno.
 */
int relay_client_new(struct relay_shared *shared, const struct server_url *url, const struct endpoint *at,
	enum relay_role role, const struct relay_client_events *events, void *ctx,
	struct relay_client **ret_client);
/* No callback comes after it, and its peers are lost. */
void relay_client_free(struct relay_client *client);
/* Sends Close, closes and frees. */
void relay_client_close(struct relay_client *client);
/* Frees it, and the server believes that we are still there. If that fails: relay_client_close(). */
void relay_client_abandon(struct relay_client *client);
int relay_client_send(struct relay_client *client, enum relay_type type, const uint8_t *ids, size_t count);

/* relay_peer.c */

int relay_peer_new(struct relay_client *client, const uint8_t key[static KEY_LEN],
	const struct relay_peer_events *events, void *ctx, struct relay_peer **ret_peer);
struct relay_peer *relay_peer_find(struct relay_client *client, const uint8_t id[static RELAY_ID_LEN]);
/* The server reports a peer online or offline. Either may free @client. */
void relay_peer_online(struct relay_client *client, const uint8_t id[static RELAY_ID_LEN]);
void relay_peer_offline(struct relay_client *client, const uint8_t id[static RELAY_ID_LEN]);
/* Tells all peers that the connection is lost. */
void relay_peers_lost(struct relay_client *client, const char *why);
/* Forgets all peers without telling them. */
void relay_peers_detach(struct relay_client *client);
/* Sends the subscriptions that are new at the end of this turn. */
void relay_peers_subscribe(struct relay_client *client);
/* Sends them now; then those that are presumed to be online are ready. May free @client. */
void relay_peers_batch(struct relay_client *client);

#endif
