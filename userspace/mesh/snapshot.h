/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the mesh looks like now, as plain data: made by the running controller, sent over the control socket as JSON, rendered by the command
 * line as text, JSON or YAML. Strings are never NULL once made by snapshot_new_*; times are Unix nanoseconds, 0: never.
 */
#ifndef TALON_SNAPSHOT_H
#define TALON_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snapshot_peer {
	char *fqdn, *ip, *public_key;
	char *status;			/* "Connected", "Connecting", "Idle" */
	uint64_t status_ns;		/* last change */
	bool relayed;			/* only meaningful while connected */
	char *ice_local_type, *ice_remote_type;		/* "host", "srflx", ...; "" */
	char *ice_local_endpoint, *ice_remote_endpoint;	/* "ip:port"; "" */
	char *relay;
	uint64_t handshake_ns;
	uint64_t rx_bytes, tx_bytes;
	uint64_t latency_ns;
	char **networks;
	size_t network_count;
};

struct snapshot_relay { char *uri; bool available; char *error; };

struct snapshot_event {
	char *id, *severity, *category, *message, *user_message;	/* INFO ...; NETWORK ... */
	uint64_t at_ns;
	char **metadata;		/* key, value, key, value */
	size_t metadata_count;		/* of strings */
};

struct snapshot_network {		/* a network of others that we may use */
	char *id;
	char *prefix;			/* "" for domains */
	char **domains;
	size_t domain_count;
	bool selected;
	char **resolved;		/* "name", "ip, ip", ... */
	size_t resolved_count;
};

struct snapshot {
	char *version;			/* ours */
	char *daemon_status;		/* "Idle", "Connecting", "Connected", "NeedsLogin", "LoginFailed", "SessionExpired" */
	bool management_connected, signal_connected;
	char *management_url, *management_error, *signal_url, *signal_error;
	uint64_t management_since_ns, signal_since_ns;	/* of the present state */
	char *ip;			/* with mask; "" */
	char *public_key, *fqdn;
	bool lazy;
	char **networks;		/* that we serve */
	size_t network_count;
	struct snapshot_peer *peers;
	size_t peer_count;
	struct snapshot_relay *relays;	/* STUN servers too, as NetBird counts them */
	size_t relay_count;
	struct snapshot_event *events;	/* newest last */
	size_t event_count;
	struct snapshot_network *routes;
	size_t route_count;
	uint64_t serial;		/* of the map in force */
	bool map_held_back;		/* a suspicious map waits to be confirmed */
	char *map_note;			/* why, or where the map in force came from */
	bool datapath_ready;		/* packets can flow: programs attached, mesh address set, a map applied */
	char *datapath_why;		/* if not */
};

void snapshot_done(struct snapshot *snapshot);

#endif
