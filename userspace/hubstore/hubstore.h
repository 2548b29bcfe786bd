/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the hub has to know after a restart, in one SQLite file (WAL, synchronous=FULL): its keys, its peers,
 * uses of setup keys, serials, and what was changed by command. Secrets are sealed with a key that is not in
 * the file. Every call that changes something is one transaction: it is there after power was cut, or it was
 * refused. A full disk refuses changes (-ENOSPC) and no reading. Of one thread.
 */
#ifndef TALON_HUBSTORE_H
#define TALON_HUBSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/key.h"
#include "talon/types.h"

#define HUBSTORE_HASH_LEN	32
#define HUBSTORE_WHY_LEN	256
#define HUBSTORE_MASTER_LEN	32

struct hubstore;

struct hubstore_peer {
	uint8_t key[KEY_LEN];		/* WireGuard */
	char *name;			/* DNS label, unique */
	char *hostname;			/* as the peer says */
	char *ssh_key;			/* "" if none */
	char *os, *version;		/* as shown */
	__be32 address;
	struct talon_addr address6;	/* zero: none */
	uint32_t capabilities;		/* bit of each PeerCapability */
	bool is_ephemeral;
	bool is_login_expiring;		/* came by sign-in */
	uint64_t joined_s, seen_s, login_s;	/* Unix */
	char *user;			/* who signed in; "" if none */
	char *setup_key;		/* name of the setup key that it joined with; "" if none */
	char **groups;			/* by name: of its setup key or of its user */
	size_t group_count;
};

/* Setup keys that were made by command, beside those of the file. */
struct hubstore_key {
	char *name;
	uint8_t hash[HUBSTORE_HASH_LEN];
	uint64_t expires_s;
	uint32_t uses_max;
	bool is_ephemeral, is_revoked;
	char **groups;
	size_t group_count;
};

/*
 * Makes @dir (0700) if it is not there. Returns 0, or with one line in @why: -EPERM: others may write in it;
 * or another negative errno.
 */
int hubstore_make_folder(const char *dir, char why[static HUBSTORE_WHY_LEN]);
/*
 * Opens DIR/hub.db, which is made (0600) with @dir (0700) if it is not there. @master seals the secrets.
 * Returns 0, or with one line in @why: -ENOPKG: no SQLite; -EBUSY: another hub has it; -EKEYREJECTED: another
 * master than at its first start; -EUCLEAN: damaged, or the database of another program, left as it is;
 * -EPROTONOSUPPORT: written by a newer talon; -EPERM: others may write in @dir; or another negative errno.
 */
int hubstore_open(const char *dir, const uint8_t master[static HUBSTORE_MASTER_LEN],
	struct hubstore **ret_store, char why[static HUBSTORE_WHY_LEN]);
/* NULL is allowed. */
void hubstore_close(struct hubstore *store);
/* One line about the last call that failed. */
const char *hubstore_why(const struct hubstore *store);

/*
 * A secret of @len bytes (at most 256) that is made at random when first asked for: "box", "relay". Returns 0
 * or a negative errno.
 */
int hubstore_secret(struct hubstore *store, const char *name, uint8_t *ret_secret, size_t len);
/* A text that is kept: "network6", "serial". @value NULL: forgets it. */
int hubstore_set(struct hubstore *store, const char *name, const char *value);
/* -ENOENT: nothing is kept. Freed with free(). */
int hubstore_get(struct hubstore *store, const char *name, char **ret_value);

/*
 * Each peer in turn, in order of joining; the peer is the store's until @fn returns. @fn may change the
 * peer that it was given, no other. @fn other than 0 ends it and is returned.
 */
int hubstore_each_peer(struct hubstore *store, int (*fn)(void *ctx, const struct hubstore_peer *peer),
	void *ctx);
/*
 * A new peer, with the use of the setup key @hash (NULL: none) counted in the same transaction. Returns 0,
 * -EEXIST (key, name or address), -EDQUOT: @uses_max (0: none) are used up already, -ENOSPC: no room on the
 * disk, or another negative errno.
 */
int hubstore_join(struct hubstore *store, const struct hubstore_peer *peer, const uint8_t *hash,
	uint32_t uses_max);
/* All but joined_s, of the peer with that key. -ENOENT: unknown. -EEXIST: name or address are another's. */
int hubstore_update(struct hubstore *store, const struct hubstore_peer *peer);
/*
 * When peers were last seen: written with the next change, or a minute after the first of them; may be lost
 * with a crash, costs no fsync.
 */
int hubstore_seen(struct hubstore *store, const uint8_t key[static KEY_LEN], uint64_t now_s);
/* -ENOENT: unknown. */
int hubstore_remove(struct hubstore *store, const uint8_t key[static KEY_LEN]);

/* How many peers joined by it, 0 for an unknown one. */
int hubstore_key_uses(struct hubstore *store, const uint8_t hash[static HUBSTORE_HASH_LEN],
	uint32_t *ret_uses);
/* As hubstore_each_peer(), in order of adding. @hash: the one with this hash alone; NULL: all. */
int hubstore_each_key(struct hubstore *store, const uint8_t *hash,
	int (*fn)(void *ctx, const struct hubstore_key *key, uint32_t uses), void *ctx);
/* -EEXIST: name or hash are there. */
int hubstore_add_key(struct hubstore *store, const struct hubstore_key *key);
/* -ENOENT: unknown. */
int hubstore_revoke_key(struct hubstore *store, const char *name);

/*
 * Tokens of sign-ins are good for one join: -EEXIST if @hash was here before. Old ones go by @expires_s
 * (Unix).
 */
int hubstore_use_token(struct hubstore *store, const uint8_t hash[static HUBSTORE_HASH_LEN],
	uint64_t expires_s, uint64_t now_s);

#endif
