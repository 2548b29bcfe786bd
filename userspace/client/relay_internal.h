/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the parts of the relay client share: relay_client.c (one connection to a server), relay_peer.c (who is
 * reached over it) and relay_manager.c (which servers there are, and when).
 *
 * Callbacks of the owner may free anything, the manager included. So: a function that calls back does that
 * last, or holds the server, whose memory then stays, and looks at its state again. A server that is lost
 * stays in the list until all its peers know, so that whoever frees the manager in between finds it.
 */
#ifndef TALON_RELAY_INTERNAL_H
#define TALON_RELAY_INTERNAL_H

#include <sys/queue.h>

#include "client/relay.h"
#include "client/relay_early.h"
#include "netbird/relay_wire.h"
#include "websocket/websocket.h"

#define RELAY_DIAL_NS		(30 * LOOP_SECOND)	/* until authenticated */
/* of which the server may take so long for its answer */
#define RELAY_AUTH_NS		(8 * LOOP_SECOND)
#define RELAY_HEALTH_NS		(35 * LOOP_SECOND)	/* the server asks every 25 s */
#define RELAY_PRESENCE_NS	(30 * LOOP_SECOND)
#define RELAY_BUCKETS		1024
#define RELAY_WHY_LEN		160

enum relay_role { RELAY_CANDIDATE, RELAY_HOME, RELAY_FOREIGN };
enum relay_state { RELAY_DIALLING, RELAY_AUTHENTICATING, RELAY_READY, RELAY_ENDED };

TAILQ_HEAD(relay_clients, relay_client);

/* The manager's, which all its servers use. */
struct relay_shared {
	struct loop *loop;
	struct relay_clients servers;
	uint8_t own_id[RELAY_ID_LEN];
	char *token_payload;		/* NULL: none yet */
	uint8_t token_signature[RELAY_SIGNATURE_LEN];
	struct relay_early early;
	struct relay_stats stats;
};

struct relay_client_events {
	/* Authenticated: ->address is set. */
	void (*up)(void *ctx, struct relay_client *server);
	/* Lost, or never reached. Its peers are told, and it is freed, after this. */
	void (*down)(void *ctx, struct relay_client *server, const char *why);
};

struct relay_client {
	TAILQ_ENTRY(relay_client) entry;
	struct relay_shared *shared;
	const struct relay_client_events *events;
	void *ctx;
	enum relay_role role;
	enum relay_state state;
	unsigned refs;			/* the list's, and one while callbacks run */
	bool is_freed;
	struct websocket *ws;
	char uri[RELAY_ADDRESS_MAX + 1];	/* as dialled */
	char address[RELAY_ADDRESS_MAX + 1];	/* the instance address, which it told us */
	uint64_t born_ns;
	struct loop_timer deadline;	/* of the dial, then the windows of health */
	bool is_healthy;		/* asked in this window */
	struct loop_timer batch;	/* subscriptions of a turn go out together, at its end */
	TAILQ_HEAD(, relay_peer) peers;
	LIST_HEAD(, relay_peer) by_id[RELAY_BUCKETS];
	struct relay_peer *last;	/* the one that was found last: a stream's next packet is its too */
	uint8_t *departed;		/* ids to unsubscribe */
	size_t departed_count;
	size_t departed_room;
};

struct relay_peer {
	TAILQ_ENTRY(relay_peer) entry;
	LIST_ENTRY(relay_peer) by_id;
	struct relay_client *server;	/* NULL: dead */
	struct loop *loop;
	const struct relay_peer_events *events;
	void *ctx;
	char *address;			/* as asked for */
	uint8_t header[RELAY_TRANSPORT_LEN];	/* of each message to it */
	bool is_subscribed;
	bool is_ready;
	struct loop_timer patience;
};

static inline const uint8_t *relay_peer_id(const struct relay_peer *peer)
{
	return peer->header + RELAY_HEADER_LEN;
}

/* relay_client.c */

/*
 * Dials, and calls nothing back before it returned. Returns 0, -EINVAL for an address that is none, or
 * another negative errno.
 */
int relay_client_new(struct relay_shared *shared, const char *uri, enum relay_role role,
	const struct relay_client_events *events, void *ctx, struct relay_client **ret_server);
/* No callback comes after it; peers of it are dead. */
void relay_client_free(struct relay_client *server);
void relay_client_hold(struct relay_client *server);
void relay_client_put(struct relay_client *server);
/* Close, in order, and free. */
void relay_client_close(struct relay_client *server);
int relay_client_send(struct relay_client *server, enum relay_type type, const uint8_t *ids, size_t count);

/* relay_peer.c */

int relay_peer_new(struct relay_client *server, const uint8_t key[static KEY_LEN], const char *address,
	const struct relay_peer_events *events, void *ctx, struct relay_peer **ret_peer);
struct relay_peer *relay_peer_find(struct relay_client *server, const uint8_t id[static RELAY_ID_LEN]);
/* The server's news. Each may free the server. */
void relay_peer_online(struct relay_client *server, const uint8_t id[static RELAY_ID_LEN]);
void relay_peer_offline(struct relay_client *server, const uint8_t id[static RELAY_ID_LEN]);
/* Tells all peers that it is over. */
void relay_peers_lost(struct relay_client *server, const char *why);
/* The same without telling. */
void relay_peers_detach(struct relay_client *server);
/* Soon: subscriptions that the server does not know about yet. */
void relay_peers_subscribe(struct relay_client *server);
/* Now. */
void relay_peers_batch(struct relay_client *server);

#endif
