/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Shared between the mesh's files. */
#ifndef TALON_MESH_INTERNAL_H
#define TALON_MESH_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/backoff.h"
#include "policy/choose.h"
#include "dns/forwarder.h"
#include "policy/guard.h"
#include "netbird/identity.h"
#include "client/management.h"
#include "expose/expose.h"
#include "netmap/netmap.h"
#include "relay/relay.h"
#include "client/signal.h"
#include "plane/plane.h"
#include "ice/agent.h"
#include "snapshot/control.h"
#include "mesh/mesh.h"
#include "snapshot/snapshot.h"
#include "peers/peers.h"

#define MESH_EVENTS_MAX		10	/* kept for status, as NetBird shows */
#define MESH_PATH_LEN		512
#define MESH_FORWARDER_PORT	22054
#define MESH_KEEPALIVE_S	25

struct mesh_event {
	uint64_t at_ns;			/* Unix */
	const char *severity;
	const char *category;
	char message[200];
	uint64_t expires_ns;		/* of a warning that the login ends: when; else 0 */
	unsigned int lead_minutes;	/* and how long ahead it came */
};

/* A connection to a server: whether it stands, since when, and why not. */
struct mesh_link {
	bool is_connected;
	uint64_t since_ns;		/* Unix; 0: never changed */
	char why[200];
	uint64_t connects;		/* ever */
};

/* A message as management sent it, and what was parsed from it. */
struct mesh_message {
	struct netmap_update update;
	uint8_t *bytes;
	size_t len;
};

/* A client of the control socket that waits for an answer; @done NULL: none. */
struct mesh_waiter {
	control_done_fn done;
	void *arg;
};

/* Whether management is told that the tunnel carries IPv6, since when, and when it may be told so again. */
struct mesh_ipv6 {
	bool is_told;
	uint64_t since_ns, again_ns;
	struct backoff backoff;
	struct loop_timer timer;
};

/* A debug bundle that management asked for. */
struct mesh_job {
	bool is_busy;
	struct message_job request;
	const struct management *asker;	/* only compared */
	struct loop_timer timer;	/* before it is made, and then its limit */
	pid_t pid;			/* of the process that makes it; 0: none */
	struct loop_fd output, end;	/* a pipe from it; a descriptor of the process */
	char said[4096];
	size_t said_len;
};

struct mesh {
	struct plane *plane;
	void (*stop)(void *ctx);
	void *stop_ctx;
	mesh_reload_fn reload;
	void *reload_ctx;
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
	char server[300];		/* management's URL, normalized */
	struct relay_manager *relay;
	struct ice_mux *ice;
	struct peers *peers;
	struct forwarder *forwarder;
	struct control *control;
	struct expose *expose;		/* services that the reverse proxy publishes */
	struct mesh_job job;

	struct choose choose;
	struct guard guard;
	struct mesh_message now;	/* the map in force */
	/* if keeps_ways: the map before, whose peers keep their ways although some have no rights any more */
	struct mesh_message kept;
	bool keeps_ways;
	bool has_map;
	/* it came from disk or from another server, and this server has not confirmed it yet */
	bool map_is_old;
	bool map_is_void;		/* it is the empty one of mesh_leave(), and no other came since */
	bool plane_is_ready;
	bool has_applied;
	bool has_no_verdict;		/* management has yet to say whether we may join */
	bool ends;
	bool goes_down;			/* ... and the datapath is to be removed */
	bool leaves_quietly;		/* the relays are not told */
	bool is_stopped;		/* mesh_stop_all_but_relays() */
	bool lingers;			/* carries only relayed packets, until the next one does */
	int result;
	char room_why[200];		/* which peers did not fit into the maps; empty: all did */
	char apply_why[200];		/* what the last mesh_apply() could not do; empty: nothing */
	struct netmap_self self;	/* as of the last login; fqdn is a copy of ours */
	struct mesh_ipv6 ipv6;
	char complaint[160];		/* why the last map's first entry was left out; empty: none was */

	struct loop_timer apply_timer;
	struct loop_timer guard_timer;
	struct loop_timer drain_timer;
	struct mesh_waiter down, up;
	struct loop_timer up_timer;
	struct loop_timer relay_timer;
	struct loop_timer network_timer;	/* after a change of the host's network: connect again */
	unsigned network_tries;
	uint64_t network_ns;		/* when the first try was */
	struct loop_timer memory_timer;

	struct handover *handover;	/* NULL: no datapath of an earlier process, until on_ready() */
	/* peers that an earlier process reached by relays, not yet taken over */
	struct mesh_resumed **resumed;
	size_t resumed_count;
	bool relay_waits;		/* for the answer to our token, when last looked at */
	struct loop_timer quiet_timer, resume_timer;

	struct expiry_watch expiry;	/* of this peer's login, by management's word */
	struct loop_timer expiry_timer;
	int64_t implausible_s;		/* the last one that cannot be, so that it is told once */

	enum management_state state;
	struct mesh_link management_link;
	struct mesh_link signal_link;
	struct mesh_link relay_link;
	struct mesh_event events[MESH_EVENTS_MAX];
	size_t event_count;		/* ever */
	uint64_t maps_received;
	struct signal_stats signal_before;	/* of clients of earlier servers */
	uint64_t facts[TALON_FACTS_ENTRIES];	/* as last told to the plane; others are zero */
	size_t dropped_checks;
};

/* events.c */
/*
 * For status. @severity and @category: literals in NetBird's words. Returns it, for what else belongs to it.
 */
struct mesh_event *mesh_event(struct mesh *mesh, const char *severity, const char *category, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));
/* Returns true if the state, or the reason why it is down, changed. */
bool mesh_link_set(struct mesh_link *link, bool is_connected, const char *why);

/* join.c: management. */
/*
 * Connects to management. @up: what a command brought, which replaces what was configured; NULL: nothing. On
 * error, a negative errno, the connection so far stays.
 */
int mesh_join(struct mesh *mesh, const struct control_up *up);
/* Notes @url in one form. If it is another server, the map in force is unconfirmed, like one from disk. */
void mesh_name_server(struct mesh *mesh, const char *url);

/* expiry.c: when the login of this peer ends. */
void mesh_expiry_init(struct mesh *mesh);
/* What a LoginResponse or SyncResponse says of it. */
void mesh_take_expiry(struct mesh *mesh, const struct expiry_said *said);
/* Another server, or no member any more: nothing is known. */
void mesh_forget_expiry(struct mesh *mesh);
/* Tells management that the person behind this peer signed in again: @done with 0 or the reason. */
void mesh_extend(void *ctx, const char *token, control_done_fn done, void *arg);

/* map.c: the map in force. */
void mesh_map_init(struct mesh *mesh);
/* A SyncResponse: @bytes, and what was parsed from it. @first: of its stream. */
void mesh_sync(struct mesh *mesh, const struct netmap_update *update, bool first, const uint8_t *bytes,
	size_t len);
/* The last good map and its servers from disk: connections begin before management has answered. */
void mesh_load_last(struct mesh *mesh);
/*
 * The server says that this peer is not a member (an outage says nothing): all ways close now, and nothing is
 * kept on disk.
 */
void mesh_leave(struct mesh *mesh);
void mesh_message_done(struct mesh_message *message);
/* What the map in force says of this peer, or management's last login if the map says nothing. */
const struct netmap_self *mesh_self(const struct mesh *mesh);
void mesh_take_self(struct mesh *mesh, const struct netmap_self *self);
/* Tells the choice of routers which networks the map in force has. Returns 0 or -ENOMEM. */
int mesh_set_networks(struct mesh *mesh);

/* requests.c: what the command line asks for. */
void mesh_requests_init(struct mesh *mesh);
/* Closes the control socket and frees what waits for answers. */
void mesh_requests_done(struct mesh *mesh);
/* Opens the control socket, if one is configured. Returns 0 or a negative errno with one line in @err. */
int mesh_listen(struct mesh *mesh, char *err, size_t errlen);
/* Answers the client that waits for `up`, if there is one: 0, or a negative errno and why. */
void mesh_finish_up(struct mesh *mesh, int ret, const char *why);

/* ipv6.c: peers prefer an IPv6 address that they are told of, so management is told whether ours answers. */
void mesh_ipv6_init(struct mesh *mesh);
/* Before the first login, by what the host's settings say. */
void mesh_ipv6_begin(struct mesh *mesh);
/* Whether the tunnel carries IPv6 may have changed. */
void mesh_check_ipv6(struct mesh *mesh);
/* services.c: what `talon expose` asks for. */
int mesh_services_start(struct mesh *mesh);
void mesh_on_expose(void *ctx, const struct control_expose *request, struct control_stay *stay);
void mesh_on_expose_left(void *ctx, struct control_stay *stay);

/* job.c: remote jobs. */
void mesh_job_init(struct mesh *mesh);
int mesh_on_job(void *ctx, const struct message_job *request, char *why, size_t size);
void mesh_job_done(struct mesh *mesh);

/* desired.c: from the map in force to what plane, peers and forwarder are to do. */
void mesh_apply(struct mesh *mesh);
/* The same in the next turn of the loop, once for all calls of this turn. */
void mesh_apply_soon(struct mesh *mesh);
/* Whether peers are connected to only when there is traffic. */
bool mesh_is_lazy(const struct mesh *mesh);

/* join.c */
struct sysinfo_flags mesh_flags(const struct mesh *mesh);

/* network.c: the host's addresses and devices. */
void mesh_network_init(struct mesh *mesh);
void mesh_network_changed(struct mesh *mesh);

/* settings.c: options that are kept for later starts, and what the profile of NetBird's client asks for. */
/*
 * The port where peers ask us for the addresses of domain routes, in host order; FORWARDER_PORT_OLD is served
 * as well in any case.
 */
uint16_t mesh_forwarder_port(const struct mesh *mesh, const struct netmap *map);
/*
 * Warns about settings of the profile without effect here. Returns 0, or -EOPNOTSUPP with one line in @why.
 */
int mesh_judge_profile(const struct config *config, const struct identity *identity, char *why, size_t size);
/*
 * Keeps @url for later starts. A file that cannot be written is only a warning, since this run works all the
 * same.
 */
void mesh_keep_url(const char *path, struct identity *identity, const char *url);
/* If --disable-ipv6 was given, either way: keeps it in the profile for starts that do not say it. */
void mesh_keep_ipv6(const struct config *config, struct identity *identity);
/* Warns if the setup key or the token (NULL: none) would be sent without TLS. */
void mesh_warn_cleartext(const char *url, const char *setup_key, const char *token);
/* Wipes the setup key, which is not needed after the first login. */
void mesh_forget_setup_key(const struct config *config);

/* servers.c: signal, relays and STUN servers that management names. */
void mesh_use_servers(struct mesh *mesh, const struct netmap_servers *servers);
int mesh_servers_start(struct mesh *mesh);
/*
 * Whether @addr is one of the mesh's own: a path there would lead the tunnel into itself. Networks that are
 * reached through the mesh do not count: this host's own link may lie in a wider one. For struct ice_ops.
 */
bool mesh_is_inside(void *mesh, uint16_t family, const struct talon_addr *addr);
extern const struct peers_ops mesh_peers_ops;

/* resume.c: relayed packets while one process follows another. */
void mesh_resume_init(struct mesh *mesh);
/* Before the relay is dialled. */
void mesh_resume_begin(struct mesh *mesh);
/* The datapath is there, and with it what is left for the next process. */
void mesh_resume_ready(struct mesh *mesh);
/* The home relay is connected. */
void mesh_resume_home(struct mesh *mesh);
/* Sends to a peer that is not taken over yet; false: it is none of those. */
bool mesh_resume_send(struct mesh *mesh, uint32_t id, const uint8_t *bytes, size_t len);
/* For peers_ops.relay_was. */
bool mesh_resume_take_over(struct mesh *mesh, const uint8_t key[static KEY_LEN], char *ret_relay,
	size_t size);
/*
 * Whether the relays had better not be told of an end, so that another process can go on. @is_sure: one
 * waits for that.
 */
bool mesh_resume_may_follow(const struct mesh *mesh, bool is_sure);
/* If this process lingers: the relay has the next one's connection. */
void mesh_resume_followed(struct mesh *mesh);
void mesh_resume_done(struct mesh *mesh);
/* mesh.c: what mesh_free() would end first, so that only peers and relays are left. */
void mesh_stop_all_but_relays(struct mesh *mesh);

/* fill_snapshot.c */
int mesh_snapshot(void *ctx, struct snapshot *ret_snapshot);

/* counters.c */
void mesh_fill_counters(struct mesh *mesh, struct snapshot *snapshot);
/* Before mesh->signal is freed. */
void mesh_keep_signal_counts(struct mesh *mesh);
/* Tells the plane what is counted and seen here (talon/fact_types.h). */
void mesh_tell_facts(struct mesh *mesh);

#endif
