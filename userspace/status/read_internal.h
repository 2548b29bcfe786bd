/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files that read a struct status from the pinned maps share. */
#ifndef TALON_STATUS_READ_INTERNAL_H
#define TALON_STATUS_READ_INTERNAL_H

#include <limits.h>

#include "status/status.h"

#define BATCH 256	/* entries for one system call */

/* An entry of "allowed4" or "allowed6". */
struct allowed {
	__u32 peer;
	struct cidr net;
};

struct reading {
	struct status *status;
	struct allowed *allowed;
	size_t allowed_count;
	char root[PATH_MAX];		/* <pin-dir>/v<N> */
	char *why;			/* one line about the first error */
	size_t size;
};

/* status_read.c */
/* Explains that @map could not be read. Returns @ret. */
int read_fail(const struct reading *r, const char *map, int ret);
/*
 * Opens a map for reading if its values have @value_size bytes. Returns a descriptor, or a negative errno
 * with r->why.
 */
int read_open(const struct reading *r, const char *name, size_t value_size, __u32 *ret_entries);
/* Entry 0 of an array. Returns 0, or a negative errno with r->why. */
int read_one(struct reading *r, const char *name, void *value, size_t size);
/*
 * Reads up to BATCH entries after @cursor, or from the start if @is_first. Returns their number or a negative
 * errno.
 */
int read_batch(int fd, void *cursor, bool is_first, void *keys, void *values);
/* What read_trie() calls for each entry. Returns 0, or a negative errno that ends the walk. */
typedef int (*read_trie_fn)(struct reading *r, const struct cidr *key, const void *value);
/* @family: of the keys. */
int read_trie(struct reading *r, const char *name, __u8 family, size_t value_size, read_trie_fn fn);
/* Order by family, address, length. */
int read_compare_nets(const struct cidr *a, const struct cidr *b);

/* status_read_peers.c: peers with all that belongs to them. */
int read_peers(struct reading *r);
/* The networks of each peer, after read_peers(). */
int read_allowed(struct reading *r);

/* status_watch.c */
int read_watches(struct reading *r);

#endif
