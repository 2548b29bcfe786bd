/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Renders the daemon's snapshot exactly as NetBird's command line shows it: summary, details, JSON, YAML,
 * list of networks. Under the name talon, the output also has what NetBird does not know. All input is plain
 * data, the current time included.
 */
#ifndef TALON_RENDER_H
#define TALON_RENDER_H

#include <stdbool.h>
#include <stdio.h>

#include "snapshot/snapshot.h"
#include "status/status.h"

/* The version that the command reports under NetBird's name: the release whose output it reproduces. */
#define RENDER_NETBIRD_VERSION "0.77.1"

/* Which peers to show; NULL or none: all. */
struct render_filter {
	char **ips;
	size_t ip_count;
	char **names;			/* beginnings of FQDNs */
	size_t name_count;
	const char *status;		/* idle, connecting, connected */
	const char *connection;		/* P2P, Relayed */
};

struct render_view {
	const struct snapshot *snapshot;
	const struct snapshot_peer **peers;	/* those that pass the filter, sorted by address */
	size_t peer_count;
	size_t connected;		/* how many of @peers are */
	uint64_t now_ns;		/* Unix */
	const char *cli_version, *daemon_version;
	bool as_talon;
	const struct status *datapath;	/* shown if @as_talon; NULL: it could not be read */
};

/*
 * Selects and sorts the peers. @filter may be NULL. Returns 0 or -ENOMEM. The caller fills in the other
 * members and frees ret_view->peers.
 */
int render_view_init(struct render_view *ret_view, const struct snapshot *snapshot,
	const struct render_filter *filter);

void render_text(FILE *out, const struct render_view *view, bool detail);
/* One object, without a newline at the end. */
void render_json(FILE *out, const struct render_view *view);
void render_yaml(FILE *out, const struct render_view *view);
/* @address, one of this peer's, without its prefix length on one line; nothing if there is none. */
void render_address(FILE *out, const char *address);
/* The networks of others that can be selected. Returns 0 or -ENOMEM. */
int render_networks(FILE *out, const struct snapshot *snapshot);

/* Whether the host has to log in (again) before it is in the mesh. */
bool render_needs_login(const struct snapshot *snapshot);
/*
 * What NetBird's client shows of such a host in JSON and YAML: the daemon's status, the server's URL, and
 * every other field empty. Borrows the texts of @snapshot; not to be freed.
 */
struct snapshot render_unregistered(const struct snapshot *snapshot);

/* Shared by text, JSON and YAML. */
const char *render_or_empty(const char *text);	/* "" for NULL */
bool render_is_connected(const struct snapshot_peer *peer);
const char *render_connection(const struct snapshot_peer *peer);	/* P2P, Relayed, - */
size_t render_relays_available(const struct snapshot *snapshot);
const char *render_profile(const struct snapshot *snapshot);	/* never empty */
/* Whether this host has an address in the mesh; without one it has no port and no device either. */
bool render_is_in_mesh(const struct snapshot *snapshot);
/* The error of a relay on one line, its lines joined by "; ". Returns malloc()ed text, or NULL. */
char *render_relay_error(const struct snapshot_relay *relay);
#define RENDER_TIME_LEN 48
/* As Go writes it: "382.186µs", "1m2.5s", "0s". */
void render_duration(uint64_t ns, char text[static RENDER_TIME_LEN]);
/*
 * RFC 3339 in local time with up to nine decimals; @ns: Unix nanoseconds, 0 gives Go's zero time in year 1.
 */
void render_time(uint64_t ns, char text[static RENDER_TIME_LEN]);

#endif
