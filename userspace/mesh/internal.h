/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared between the mesh's files. */
#ifndef TALON_MESH_INTERNAL_H
#define TALON_MESH_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "policy/choose.h"
#include "dns/forwarder.h"
#include "policy/guard.h"
#include "netbird/identity.h"
#include "client/management.h"
#include "netbird/netmap.h"
#include "client/relay.h"
#include "client/signal.h"
#include "plane/plane.h"
#include "ice/agent.h"
#include "snapshot/control.h"
#include "mesh/mesh.h"
#include "snapshot/snapshot.h"
#include "peers/peers.h"

#define MESH_EVENTS_MAX		10	/* kept for status, as NetBird shows */
#define MESH_PATH_LEN		512
#define MESH_DRAIN_NS		(4 * LOOP_SECOND)
#define MESH_LEAVE_NS		(150 * LOOP_MS)
#define MESH_QUIET_NS		(3 * LOOP_SECOND)	/* after a map, before memory is given back */
#define MESH_UP_NS		(50 * LOOP_SECOND)
#define MESH_FORWARDER_PORT	22054
#define MESH_KEEPALIVE_S	25

struct mesh_event {
	uint64_t at_ns;			/* Unix */
	const char *severity;
	const char *category;
	char message[200];
};

/* Something that is connected or not, since when, and why not. */
struct mesh_link {
	bool is_connected;
	uint64_t since_ns;		/* Unix; 0: never changed */
	char why[200];
};

/* A message as management sent it, and what was read from it. */
struct mesh_message {
	struct netmap_update update;
	uint8_t *bytes;
	size_t len;
};

struct mesh {
	struct plane *plane;
	void (*stop)(void *ctx);
	void *stop_ctx;
	const struct config *config;
	struct loop *loop;
	struct identity identity;
	int lock;
	char identity_path[MESH_PATH_LEN];
	char state_path[MESH_PATH_LEN];		/* state.json */
	char map_path[MESH_PATH_LEN];
	char servers_path[MESH_PATH_LEN];

	struct management *management;
	struct signal_client *signal;
	struct server_url signal_server;	/* that it was made for */
	char signal_target[SERVER_URL_LEN];	/* the same as text */
	char server[300];		/* management's URL, in one form */
	struct relay_manager *relay;
	struct ice_mux *ice;
	struct peers *peers;
	struct forwarder *forwarder;
	struct control *control;

	struct choose choose;
	struct guard guard;
	struct mesh_message now;	/* the map in force */
	/* keeps_ways: the map whose peers still have their ways, though not all have rights */
	struct mesh_message kept;
	bool keeps_ways;
	bool has_map;
	/* it came from disk, or from another server; this one has not confirmed it yet */
	bool map_is_old;
	bool map_is_void;		/* it is no server's: everything was closed, and no map came since */
	bool plane_is_ready;
	bool has_applied;
	bool has_no_verdict;		/* management will still say whether we may join at all */
	bool ends;
	int result;
	char room_why[200];		/* peers that were left out for want of room; empty: none */
	char apply_why[200];		/* why the last apply was not whole; empty: it was */
	struct netmap_self self;	/* fqdn is ours */

	struct loop_timer apply_timer;
	struct loop_timer guard_timer;
	struct loop_timer drain_timer;
	control_done_fn drained;
	void *drained_arg;
	control_done_fn upped;		/* who waits for `up` */
	void *upped_arg;
	struct loop_timer up_timer;
	struct loop_timer relay_timer;
	/* after a change of the host's network: whoever waits for a server tries now */
	struct loop_timer network_timer;
	unsigned network_tries;
	uint64_t network_ns;		/* when the first of them was */
	struct loop_timer memory_timer;

	enum management_state state;
	struct mesh_link management_link;
	struct mesh_link signal_link;
	struct mesh_link relay_link;
	struct mesh_event events[MESH_EVENTS_MAX];
	size_t event_count;		/* ever */
	size_t dropped_checks;
};

uint64_t mesh_unix_ns(void);
void mesh_event(struct mesh *mesh, const char *severity, const char *category, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));
/* Returns true if it changed. */
bool mesh_link_set(struct mesh_link *link, bool is_connected, const char *why);

/* desired.c: what the map in force wants. */
void mesh_apply(struct mesh *mesh);
/* The same in the next turn, however often it is asked for in this one. */
void mesh_apply_soon(struct mesh *mesh);
/* Peers of the map in force are connected to when there is traffic. */
bool mesh_is_lazy(const struct mesh *mesh);
/* Takes @message's contents. Where the guard says so, the ways of peers that it takes away stay. */
void mesh_take_map(struct mesh *mesh, struct mesh_message *message);
/* The guard keeps nothing any more: what it kept goes. */
void mesh_let_go(struct mesh *mesh);
void mesh_message_done(struct mesh_message *message);
int mesh_message_make(struct mesh *mesh, const uint8_t *bytes, size_t len, struct mesh_message *ret_message);

/* network.c: the host's addresses and devices. */
void mesh_network_init(struct mesh *mesh);
void mesh_network_changed(struct mesh *mesh);

/*
 * settings.c: what is kept of how this peer was started, and what the profile of NetBird's client asks for.
 */
/*
 * Where peers ask us for the addresses of domain routes, beside FORWARDER_PORT_OLD, which is always served.
 */
uint16_t mesh_forwarder_port(const struct mesh *mesh, const struct netmap *map);
/* Warns of what the profile asks for and does not get. Returns 0, or -EOPNOTSUPP with one line in @why. */
int mesh_judge_profile(const struct config *config, const struct identity *identity, char *why, size_t size);
/*
 * Keeps @url for later starts. Where nothing can be written, that is only said: the identity is
 * good all the same.
 */
void mesh_keep_url(const char *path, struct identity *identity, const char *url);
/* Says what a setup key is worth over http://. */
void mesh_warn_cleartext(const char *url, const char *setup_key);
/* The setup key has done its work: no copy of it stays. */
void mesh_forget_setup_key(const struct config *config);

/* servers.c: signal, relays, STUN, as management names them. */
void mesh_use_servers(struct mesh *mesh, const struct netmap_servers *servers);
int mesh_servers_start(struct mesh *mesh);
extern const struct peers_ops mesh_peers_ops;

/* view.c: for people. */
int mesh_snapshot(void *ctx, struct snapshot *ret_snapshot);

/* counters.c */
void mesh_fill_counters(const struct mesh *mesh, struct snapshot *snapshot);

#endif
