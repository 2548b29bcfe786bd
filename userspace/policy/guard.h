/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How much of a network map is delayed. Whatever a map closes is closed at once: rules, routes, and every
 * right of peers that are no longer in it. But a map that is empty, or removes most peers at once, is more
 * often a fault of the server (an emptied database, a mistaken policy) than intended, and connecting to
 * thousands of peers again takes long. So the established connections to those peers (sessions, relayed
 * connections, ICE pairs) are kept, and carry nothing, until the server repeats it with a later serial or the
 * window has passed. Maps from disk are not compared with a server's, as they may be of any age. If the
 * server deleted this peer itself, all connections end at once, without this guard.
 */
#ifndef TALON_GUARD_H
#define TALON_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netmap/netmap.h"

#define GUARD_WINDOW_NS		(300 * 1000000000ULL)
#define GUARD_PEERS_MIN		3	/* with fewer peers in force, only an empty map is suspicious */

struct guard {
	bool is_holding;
	uint64_t since_ns;
	uint64_t serial;		/* of the map that took the peers away */
	char why[160];
};

enum guard_verdict { GUARD_APPLY, GUARD_KEEP_WAYS };

/*
 * Whether the connections to peers that @next lacks are kept. @now: the last map from a server that was
 * applied in full; NULL: none yet. Both are sorted by key. @now_ns: the loop's clock. On GUARD_KEEP_WAYS
 * guard->why has the reason in one line, and guard_deadline() says when it ends.
 */
enum guard_verdict guard_judge(struct guard *guard, const struct netmap *now, const struct netmap *next,
	uint64_t now_ns);
/* When the kept connections are torn down after all, or UINT64_MAX. */
uint64_t guard_deadline(const struct guard *guard);
/* Stops holding: nothing is kept any longer. */
void guard_release(struct guard *guard);

#endif
