/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How each peer of the network map is reached: offers and answers over signal, the relay first, the ICE pair
 * once one is found, and the relay again when traffic shows that the direct path is dead. The decisions are
 * tables (link.h), which are carried out here. Nobody else uses signal bodies, ICE agents and relayed
 * connections.
 */
#ifndef TALON_PEERS_H
#define TALON_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/relay.h"
#include "client/signal.h"
#include "netmap/netmap.h"
#include "plane/plane.h"
#include "crypto/key.h"
#include "ice/agent.h"
#include "loop/loop.h"

struct peers;

enum peer_status { PEER_IDLE, PEER_CONNECTING, PEER_CONNECTED };

/* Everything that peers act through, so that tests can replace all of it. */
struct peers_ops {
	int (*signal_send)(void *ctx, const uint8_t to[static KEY_LEN], const struct signal_body *body,
		signal_sent_fn fn, void *fn_ctx);
	void (*signal_forget)(void *ctx, const void *fn_ctx);
	bool (*signal_is_connected)(void *ctx);
	const char *(*relay_address)(void *ctx);	/* our home relay's; NULL: none */
	/* where we are connected to it; NULL: not known. May be NULL itself. */
	const struct endpoint *(*relay_remote)(void *ctx);
	/* @at: where the peer is connected to it; NULL: not said */
	int (*relay_open)(void *ctx, const uint8_t peer[static KEY_LEN], const char *address,
		const struct endpoint *at, const struct relay_peer_events *events, void *events_ctx,
		struct relay_peer **ret_peer);
	void (*relay_free)(void *ctx, struct relay_peer *peer);
	int (*relay_send)(void *ctx, struct relay_peer *peer, const void *bytes, size_t len);
	int (*ice_new)(void *ctx, const struct ice_agent_config *config,
		const struct ice_agent_events *events, void *events_ctx, struct ice_agent **ret_agent);
	void (*ice_free)(void *ctx, struct ice_agent *agent);
	int (*ice_add_remote)(void *ctx, struct ice_agent *agent, const struct ice_candidate *candidate);
	void (*ice_probe)(void *ctx, struct ice_agent *agent);
	/*
	 * When a check of ours on the selected pair was last answered, CLOCK_BOOTTIME ns; 0: never. (A check
	 * of theirs proves one direction only.)
	 */
	uint64_t (*ice_answered)(void *ctx, const struct ice_agent *agent);
	bool (*ice_get_pair)(void *ctx, const struct ice_agent *agent, struct ice_pair_info *ret_pair);
	int (*set_way)(void *ctx, uint32_t id, enum plane_way way, const struct endpoint *path);
	/*
	 * Until the next set_way() its packets say where the peer is: nobody chose a way, and it says nothing
	 * by signal, as plain WireGuard does not. NULL: packets go nowhere meanwhile.
	 */
	int (*let_roam)(void *ctx, uint32_t id);
	void (*kick)(void *ctx, uint32_t id);
	void (*reset)(void *ctx, uint32_t id);
	/* begins a handshake even if a session can send; NULL: kick() is used instead */
	void (*rekey)(void *ctx, uint32_t id);
	int (*facts)(void *ctx, uint32_t id, struct plane_facts *ret_facts);
	/* to plane_relay_receive() */
	void (*relay_received)(void *ctx, uint32_t id, const uint8_t *bytes, size_t len);
	/*
	 * The relay by which an earlier process reached the peer until a moment ago, given away once while
	 * our home relay is connected: true with its address. To be opened at once and presumed to be ready.
	 * Both may be NULL.
	 */
	bool (*relay_was)(void *ctx, const uint8_t key[static KEY_LEN], char *ret_relay, size_t size);
	void (*relay_presume)(void *ctx, struct relay_peer *peer);
	void (*random)(void *ctx, void *buf, size_t len);	/* NULL: libsodium */
	/* A peer's status, way or silence changed: the choice of routers may change. May be NULL. */
	void (*changed)(void *ctx, const uint8_t key[static KEY_LEN]);
};

struct peers_config {
	uint8_t own_key[KEY_LEN];
	uint16_t wg_port;		/* announced */
	const char *version;		/* announced */
	bool force_relay;		/* NB_FORCE_RELAY: no ICE */
};

/*
 * All of @ops except random, rekey, changed, relay_was, relay_presume and relay_remote have to be set.
 * Returns 0, -EINVAL if one is missing, or -ENOMEM. The ops are copied.
 */
int peers_new(struct loop *loop, const struct peers_config *config, const struct peers_ops *ops, void *ctx,
	struct peers **ret_peers);
/* Sends nothing and leaves all ways as they are, so that the datapath continues. NULL is allowed. */
void peers_free(struct peers *peers);
/*
 * The map's peers, after plane_apply() gave them ids (PLANE_NO_PEER: it has no room for the peer, which is
 * not connected then). New peers are opened, departed ones closed; one whose agent version or address changed
 * is opened anew. @lazy: peers that know lazy connections are opened only when there is traffic. Returns 0 or
 * -ENOMEM.
 */
struct peers_entry { const struct netmap_peer *peer; uint32_t id; };
int peers_set(struct peers *peers, const struct peers_entry *list, size_t count, bool lazy);
void peers_signal(struct peers *peers, const uint8_t from[static KEY_LEN], const struct signal_body *body);
/* Signal registered again, home relay came or went, local candidates changed: offers begin again. */
void peers_signal_state(struct peers *peers, bool is_connected);
void peers_relay_state(struct peers *peers, bool is_connected);
void peers_candidates_changed(struct peers *peers);
/*
 * Networks that this host reaches through the mesh, and the mesh's own: candidates inside them are dropped,
 * since they would lead the tunnel into itself. Prefixes of length 0 are ignored. The list is copied. Returns
 * 0 or -ENOMEM.
 */
int peers_set_client_routes(struct peers *peers, const struct cidr *list, size_t count);
void peers_handshake(struct peers *peers, uint32_t id);
void peers_wanted(struct peers *peers, uint32_t id);
/* Sends @bytes over the peer's relayed connection, if there is one. */
void peers_relay_send(struct peers *peers, uint32_t id, const uint8_t *bytes, size_t len);
/*
 * This process is about to end: tells peers, so that they look for another way while ours still carries their
 * packets. Each connected peer gets an offer of a new session without a relay, which makes a stock peer leave
 * the direct way at once. From then on nothing is answered, and ways stay as they are. A stock peer gives up
 * on us (and turns to another router) when its relay tells it that we left: call relay_manager_close() some
 * 100 ms later.
 */
void peers_announce_end(struct peers *peers);

/* Calls @tell for each peer whose packets go by a relay now. */
void peers_each_relayed(struct peers *peers, void (*tell)(void *ctx, uint32_t id,
	const uint8_t key[static KEY_LEN], const char *relay), void *ctx);

struct peer_info {
	uint8_t key[KEY_LEN];
	uint32_t id;
	enum peer_status status;
	enum plane_way way;
	bool has_relay;			/* a relayed connection stands, in use or not */
	char relay[256];		/* its server */
	struct ice_pair_info pair;	/* while direct */
	uint64_t changed_unix_ns;	/* of the last change of status or way; 0: never */
	uint64_t latency_ns;		/* 0: unknown */
	bool needs_rosenpass;		/* it announced Rosenpass and does not complete handshakes */
	/* connected, but nothing is answered, neither directly nor by relay */
	bool is_silent;
	bool roams;			/* no way was chosen for it: its packets say where it is */
};
/* Returns 0 or -ENOENT. */
int peers_get(const struct peers *peers, const uint8_t key[static KEY_LEN], struct peer_info *ret_info);
size_t peers_count_connected(const struct peers *peers);
/* Peers by how they are reached now. */
struct peers_tally { size_t direct, relayed, connecting, idle; };
void peers_tally(const struct peers *peers, struct peers_tally *ret_tally);
/* Calls @tell for each peer with the round trip of its direct way, 0 if it has none. */
void peers_each_latency(const struct peers *peers, void (*tell)(void *ctx, uint32_t id, uint64_t latency_ns),
	void *ctx);

#endif
