/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A mesh as NetBird's command line shows it, word by word: summary, details, JSON, YAML, list of
 * networks. Called as talon the same, and what NetBird has no words for. Everything comes in as plain
 * data, the time too.
 */
#ifndef TALON_MESH_SHOW_H
#define TALON_MESH_SHOW_H

#include <stdbool.h>
#include <stdio.h>

#include "snapshot/snapshot.h"
#include "status/status.h"

/* What the command says of itself under NetBird's name: the release whose output it gives. */
#define MESH_NETBIRD_VERSION "0.66.4"

/* Which peers to show; NULL or none: all. */
struct mesh_filter {
	char **ips;
	size_t ip_count;
	char **names;			/* beginnings of FQDNs */
	size_t name_count;
	const char *status;		/* idle, connecting, connected */
	const char *connection;		/* P2P, Relayed */
};

struct mesh_view {
	const struct snapshot *snapshot;
	const struct snapshot_peer **peers;	/* those that the filter lets through, by address */
	size_t peer_count;
	size_t connected;		/* of them */
	uint64_t now_ns;		/* Unix */
	const char *cli_version, *daemon_version;
	bool as_talon;
	const struct status *datapath;	/* with as_talon; NULL: it could not be read */
};

/* Returns 0 or -ENOMEM. The caller fills in the rest; free(ret_view->peers). */
int mesh_view_init(struct mesh_view *ret_view, const struct snapshot *snapshot,
	const struct mesh_filter *filter);

void mesh_print_text(FILE *out, const struct mesh_view *view, bool detail);
/* One object, without a newline at the end. */
void mesh_print_json(FILE *out, const struct mesh_view *view);
void mesh_print_yaml(FILE *out, const struct mesh_view *view);
/* The own address without mask. */
void mesh_print_ip(FILE *out, const struct snapshot *snapshot);
int mesh_print_networks(FILE *out, const struct snapshot *snapshot);

/* Of a daemon that answered: live, startup and ready. One line why into @why either way. */
bool mesh_check(const struct snapshot *snapshot, enum status_check check, char *why, size_t size);

/* Shared by the three forms. */
const char *mesh_text(const char *text);	/* "" for NULL */
bool mesh_is_connected(const struct snapshot_peer *peer);
const char *mesh_connection(const struct snapshot_peer *peer);	/* P2P, Relayed, - */
size_t mesh_relays_available(const struct snapshot *snapshot);
#define MESH_TIME_LEN 48
/* As Go writes it: "382.186µs", "1m2.5s", "0s". */
void mesh_duration(uint64_t ns, char text[static MESH_TIME_LEN]);
/* RFC 3339 with up to nine digits after the second, in local time; year 1 for 0. */
void mesh_time(uint64_t ns, char text[static MESH_TIME_LEN]);

#endif
