/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The owners of the slots of the session array, and the life of a slot (session_types.h): reserved during a
 * handshake, live while its index is published, retired until no packet in flight can use it, free again once
 * its keys are overwritten. A receiver index is the slot number in its low bits and random generation bits
 * above, so that it reveals nothing about the order or number of sessions.
 */
#ifndef TALON_SESSION_TABLE_H
#define TALON_SESSION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talon/session_types.h"

/* From clearing the index to overwriting the keys. A packet is in an XDP or tc program for microseconds. */
#define SESSION_GRACE_NS	(2 * TALON_NSEC_PER_SEC)
/* From a failed map write to the next try. */
#define SESSION_RETRY_NS	(1 * TALON_NSEC_PER_SEC)

#define SESSION_SLOTS_MAX	(1U << 20)

enum slot_state { SLOT_FREE, SLOT_RESERVED, SLOT_LIVE, SLOT_RETIRED, SLOT_STATE_COUNT };

struct session_table;

/*
 * What the table does to the maps; see struct device_ops for what each must do. All return 0 or a
 * negative errno.
 */
struct session_table_ops {
	void (*random)(void *ctx, void *buf, size_t len);
	int (*publish)(void *ctx, uint32_t slot, const struct talon_session *session,
		enum talon_session_state state);
	int (*clear)(void *ctx, uint32_t slot);
	int (*wipe)(void *ctx, uint32_t slot);
};

/* @slots is a power of two, 2..SESSION_SLOTS_MAX. Returns 0, -EINVAL, -ENOMEM. */
int session_table_new(struct session_table **ret_table, uint32_t slots, const struct session_table_ops *ops,
	void *ctx);

/* Forgets everything and leaves the maps alone. NULL is allowed. */
void session_table_free(struct session_table *table);

/*
 * Takes a random free slot for a handshake of @peer. Writes its receiver index (never 0).
 * Returns 0 or -ENOSPC.
 */
int session_table_reserve(struct session_table *table, uint32_t peer, uint32_t *ret_index);

/* Releases a reserved index. Nothing was published under it, so the slot is free at once. */
void session_table_release(struct session_table *table, uint32_t index);

/*
 * Publishes @session under its reserved index. Returns 0; on an error of ops->publish the slot is retired, as
 * it may hold keys.
 */
int session_table_publish(struct session_table *table, uint64_t now_ns, const struct talon_session *session,
	enum talon_session_state state);

/* Clears a live index; its keys are overwritten SESSION_GRACE_NS later. Other indexes, 0 too, are ignored. */
void session_table_retire(struct session_table *table, uint64_t now_ns, uint32_t index);

/* Returns the state of the slot of @index, SLOT_FREE for another generation. Writes its peer unless free. */
enum slot_state session_table_lookup(const struct session_table *table, uint32_t index, uint32_t *ret_peer);

/*
 * Takes over what an earlier process published as @index. Returns 0, -EEXIST if the slot is not free,
 * -EINVAL for index 0.
 */
int session_table_adopt(struct session_table *table, uint32_t index, uint32_t peer);

/* Retires a slot without owner that may hold keys of an earlier process. Returns 0, -EEXIST, -EINVAL. */
int session_table_adopt_retired(struct session_table *table, uint64_t now_ns, uint32_t slot);

/* Overwrites the slots that are due. Returns when to be called again, UINT64_MAX for never. */
uint64_t session_table_tick(struct session_table *table, uint64_t now_ns);
uint64_t session_table_next_deadline(const struct session_table *table);

uint32_t session_table_count(const struct session_table *table, enum slot_state state);

/* How many ops failed. */
uint64_t session_table_errors(const struct session_table *table);

#endif
