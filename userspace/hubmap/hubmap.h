/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What each peer is told: from the file's groups, policies, routes and networks, and from the peers that there are. A peer
 * learns of another only if a policy lets one of them reach the other, or a route needs it. Knows nothing of sockets or disks.
 */
#ifndef TALON_HUBMAP_H
#define TALON_HUBMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/key.h"
#include "hubfile/hubfile.h"
#include "management.pb-c.h"
#include "talon/types.h"

struct hubmap;

/* What the map needs to know of a peer. Strings are copied. */
struct hubmap_peer {
	uint8_t key[KEY_LEN];
	const char *name;		/* DNS label; the FQDN is NAME.DOMAIN */
	const char *hostname;		/* that it joined with: the file may name it so */
	const char *version;		/* agentVersion */
	const char *ssh_key;
	__be32 address;
	struct talon_addr address6;	/* zero: none */
	bool reads_prefixes;		/* capability 1 */
	bool carries_ipv6;		/* capability 2, not disabled */
	bool is_expired;		/* its login: told nothing, shown to others as offline */
	const char *const *groups;	/* by name, beside those of the file */
	size_t group_count;
};

/* @file is the caller's and stays; hubmap_use() replaces it. NULL: out of memory. */
struct hubmap *hubmap_new(const struct hubfile *file);
void hubmap_free(struct hubmap *map);
/* Another file. Peers stay; who is touched is marked. */
int hubmap_use(struct hubmap *map, const struct hubfile *file);
/* The overlay's prefixes: of peerConfig.address. */
void hubmap_set_networks(struct hubmap *map, const struct cidr *network, const struct cidr *network6);

/* Adds it, or replaces what was known of it. Returns 0 or a negative errno. Whose map changes by it is marked. */
int hubmap_put(struct hubmap *map, const struct hubmap_peer *peer);
int hubmap_remove(struct hubmap *map, const uint8_t key[static KEY_LEN]);

/* The marked peers, each once, and unmarked with that: false when no more is. */
bool hubmap_next_marked(struct hubmap *map, uint8_t ret_key[static KEY_LEN]);

/*
 * The packed NetworkMap of @key with @serial, as field network_map of SyncResponse takes it, and PeerConfig. Freed with
 * free(). Returns 0, -ENOENT or -ENOMEM. The cost is of the peers and rules in it, not of all peers.
 */
int hubmap_write(struct hubmap *map, const uint8_t key[static KEY_LEN], uint64_t serial, uint8_t **ret_bytes, size_t *ret_len);
/* PeerConfig alone, for LoginResponse: packed. */
int hubmap_write_config(struct hubmap *map, const uint8_t key[static KEY_LEN], uint8_t **ret_bytes, size_t *ret_len);
/* True if a policy or a route lets one of them know the other: for signal. */
bool hubmap_may_talk(const struct hubmap *map, const uint8_t a[static KEY_LEN], const uint8_t b[static KEY_LEN]);

/* One line for each conflict (two routes with one prefix, metric and other names ...): for --check, log and status. */
void hubmap_conflicts(const struct hubmap *map, void (*fn)(void *ctx, const char *line), void *ctx);

#endif
