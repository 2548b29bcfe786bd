/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What each peer is told: from the file's groups, policies, routes and networks, and from the peers that
 * there are. A peer learns of another only if a policy that accepts lets one of them reach the other, or a
 * resource behind the other; it gets a route only from those whom a policy lets it know. Knows nothing of
 * sockets or disks.
 */
#ifndef TALON_HUBMAP_H
#define TALON_HUBMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/key.h"
#include "hubfile/hubfile.h"
#include "talon/types.h"

struct hubmap;

/*
 * What the map needs to know of a peer. Strings are copied; NULL counts as "", but for the name, which
 * must be unique. Where the file names a peer, it means the one with this key, or the first that was put
 * and is called so by name or host name, in any case of letters.
 */
struct hubmap_peer {
	uint8_t key[KEY_LEN];
	const char *name;		/* DNS label, or it is refused; the FQDN is NAME.DOMAIN */
	const char *hostname;		/* that it joined with: the file may name it so */
	const char *version;		/* agentVersion: 64 bytes of it, in ASCII */
	const char *ssh_key;		/* an authorized_keys line; beyond 4096 bytes: none */
	__be32 address;
	struct talon_addr address6;	/* network byte order; zero: none */
	bool reads_prefixes;		/* capability 1 */
	bool carries_ipv6;		/* capability 2, not disabled */
	bool is_expired;		/* its login: told nothing, shown to others as offline */
	const char *const *groups;	/* by name, beside those of the file; unknown ones are passed over */
	size_t group_count;
};

/* @file is the caller's and stays until hubmap_use() has replaced it. NULL: out of memory. */
struct hubmap *hubmap_new(const struct hubfile *file);
void hubmap_free(struct hubmap *map);
/*
 * Another file; the old one may be freed afterwards. Peers stay; who is touched is marked. Returns 0, or
 * -ENOMEM: then the old file is still in use.
 */
int hubmap_use(struct hubmap *map, const struct hubfile *file);
/*
 * The overlay's prefixes, whose lengths peerConfig says with the addresses. NULL, or of family 0: /16 and
 * /64. Changed lengths mark all peers.
 */
void hubmap_set_networks(struct hubmap *map, const struct cidr *network, const struct cidr *network6);

/*
 * Adds it, or replaces what was known of it. Whose map changes by it is marked; a version alone marks
 * nobody, as the next map has it. Returns 0, -EINVAL (its name), or -ENOMEM: then nothing has changed.
 */
int hubmap_put(struct hubmap *map, const struct hubmap_peer *peer);
/* Returns 0 or -ENOENT. Whose map changes by it is marked. */
int hubmap_remove(struct hubmap *map, const uint8_t key[static KEY_LEN]);

/* The marked peers, each once, the first marked first, and unmarked with that. False: no more are. */
bool hubmap_next_marked(struct hubmap *map, uint8_t ret_key[static KEY_LEN]);

/*
 * The packed NetworkMap of @key with @serial, as field 5 of SyncResponse takes it. Freed with free().
 * Returns 0, -ENOENT or -ENOMEM. The cost is of the peers and rules in it, not of all peers.
 */
int hubmap_write(struct hubmap *map, const uint8_t key[static KEY_LEN], uint64_t serial, uint8_t **ret_bytes,
	size_t *ret_len);
/* PeerConfig alone, for field 2 of LoginResponse and of SyncResponse: packed. The same returns. */
int hubmap_write_config(struct hubmap *map, const uint8_t key[static KEY_LEN], uint8_t **ret_bytes,
	size_t *ret_len);
/*
 * True if a policy or a resource lets one of them know the other, and neither's login has expired: for
 * signal. A peer may talk to itself.
 */
bool hubmap_may_talk(const struct hubmap *map, const uint8_t a[static KEY_LEN],
	const uint8_t b[static KEY_LEN]);

struct hubmap_conflict {
	unsigned int line;	/* of the file, where the later of both begins */
	bool is_guess;		/* keys that are made by command may make it good */
	const char *text;
};
/*
 * Each conflict (two routes with one prefix, metric and other names ...) and what has no effect: for --check,
 * log and status. Without any peer, nothing is said of groups that are empty.
 */
void hubmap_conflicts(const struct hubmap *map, void (*fn)(void *ctx, const struct hubmap_conflict *conflict),
	void *ctx);

#endif
