/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state of the daemon as plain data: filled by mesh/, sent over the control socket as JSON, rendered by
 * the command line as text, JSON or YAML. The snapshot owns all its strings and arrays, from malloc(). A NULL
 * string counts as an empty one; after snapshot_parse() no string is NULL. Times are Unix nanoseconds, 0:
 * never.
 */
#ifndef TALON_SNAPSHOT_H
#define TALON_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What is said where --disable-networks forbids a request. */
#define SNAPSHOT_NETWORKS_DISABLED "--disable-networks is set: networks are neither listed nor selected here"

struct snapshot_peer {
	char *fqdn, *ip, *public_key;
	char *address6;			/* in the mesh, without a length; "": none */
	char *status;			/* "Connected", "Connecting", "Idle" */
	uint64_t status_ns;		/* last change */
	bool relayed;			/* meaningful only while connected */
	char *ice_local_type, *ice_remote_type;		/* "host", "srflx", ...; "" */
	char *ice_local_endpoint, *ice_remote_endpoint;	/* "ip:port"; "" */
	char *relay;
	uint64_t handshake_ns;
	uint64_t rx_bytes, tx_bytes;
	uint64_t latency_ns;
	char **networks;
	size_t network_count;
};

struct snapshot_relay {
	char *uri;
	bool available;
	char *error;
	char *transport;		/* "ws" of a relay that is connected; "" */
};

/* As in NetBird's status. Talon does not resolve names for this host, so its own snapshots have none. */
struct snapshot_nameserver {
	char **servers;			/* "ip:port" */
	size_t server_count;
	char **domains;			/* none: all */
	size_t domain_count;
	bool enabled;
	char *error;
};

struct snapshot_event {
	char *id, *severity, *category, *message, *user_message;	/* INFO ...; NETWORK ... */
	uint64_t at_ns;
	char **metadata;		/* key, value, key, value */
	size_t metadata_count;		/* of strings */
};

/* A network of other peers that we may use. */
struct snapshot_network {
	char *id;
	char *prefix;			/* "" for domains */
	char **domains;
	size_t domain_count;
	bool selected;
	char **resolved;		/* "name", "ip, ip", ... */
	size_t resolved_count;
};

/* Counters of one group stand together. */
struct snapshot_counter { char *group, *label; uint64_t value; };

struct snapshot {
	char *version;			/* ours */
	char *profile;			/* its name for people; "": default */
	/* "Idle", "Connecting", "Connected", "NeedsLogin", "LoginFailed", "SessionExpired" */
	char *daemon_status;
	bool management_connected, signal_connected;
	char *management_url, *management_error, *signal_url, *signal_error;
	uint64_t management_since_ns, signal_since_ns;	/* of the present state */
	uint64_t session_expires_ns;	/* when the login of this peer ends; 0: never, or not known */
	char *ip;			/* with mask; "" */
	char *address6;			/* ours in the mesh, with its length; "": none */
	char *public_key, *fqdn;
	bool lazy;
	bool userspace;			/* packets pass a process: never true for Talon */
	uint64_t listen_port;		/* of WireGuard; 0: not known */
	char **networks;		/* those that we serve */
	size_t network_count;
	struct snapshot_peer *peers;
	size_t peer_count;
	struct snapshot_relay *relays;	/* STUN servers too, as NetBird counts them */
	size_t relay_count;
	struct snapshot_nameserver *nameservers;
	size_t nameserver_count;
	struct snapshot_event *events;	/* newest last */
	size_t event_count;
	struct snapshot_network *routes;
	size_t route_count;
	bool networks_disabled;		/* --disable-networks: they are neither listed nor selected */
	struct snapshot_counter *counters;
	size_t counter_count;
	uint64_t serial;		/* of the map in force */
	/* a suspicious map is in force: the ways of peers that it took away are kept */
	bool map_held_back;
	char *map_note;			/* why, or where the map in force came from */
	/* packets can flow: programs attached, mesh address set, a map applied */
	bool datapath_ready;
	char *datapath_why;		/* if not */
};

/* Frees the contents and zeroes @snapshot. One that is all zeros is allowed. */
void snapshot_done(struct snapshot *snapshot);

/* One JSON object without line breaks; fields that are empty, false or zero are left out. */
void snapshot_write(FILE *out, const struct snapshot *snapshot);
/*
 * Parses @object, jansson's json_t, as snapshot_write() writes it. Unknown keys are ignored. Returns 0,
 * -EBADMSG or -ENOMEM.
 */
struct json_t;
int snapshot_parse(const struct json_t *object, struct snapshot *ret_snapshot);

#endif
