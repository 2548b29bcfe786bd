/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How much of a network map waits. What a map closes is closed at once, always: rules, routes, and every
 * right of peers that are not in it any more. But a map that is empty, or takes away most peers at once, is
 * more often a fault of the server (an emptied database, a policy that slipped) than a wish, and building
 * thousands of ways anew takes long: so the established ways of those peers (sessions, relayed connections,
 * ICE pairs) stand, and carry nothing, until the server says it again with a later serial or the window has
 * passed. A map from disk is no reason to doubt a server's: it may be as old as it likes. A peer that the
 * server deleted is no matter of maps: that ends at once.
 */
#ifndef TALON_GUARD_H
#define TALON_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netbird/netmap.h"

#define GUARD_WINDOW_NS		(300 * 1000000000ULL)
#define GUARD_PEERS_MIN		3	/* fewer in force, and only an empty map is suspicious */

struct guard {
	bool is_holding;
	uint64_t since_ns;
	uint64_t serial;		/* of the map that took the peers away */
	char why[160];
};

enum guard_verdict { GUARD_APPLY, GUARD_KEEP_WAYS };

/*
 * @now: the last map from a server whose peers all have their ways, NULL: none yet. On GUARD_KEEP_WAYS
 * guard->why says it in one line, and guard_deadline() when it ends by itself.
 */
enum guard_verdict guard_judge(struct guard *guard, const struct netmap *now, const struct netmap *next,
	uint64_t now_ns);
/* When the ways that are kept are to be torn down after all, or UINT64_MAX. */
uint64_t guard_deadline(const struct guard *guard);
/* Nothing waits any more. */
void guard_release(struct guard *guard);

#endif
