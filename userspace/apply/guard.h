/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whether a network map may be believed. One that is empty, or takes away most peers at once, is more often a fault of the server (an emptied
 * database, a policy that slipped) than a wish: it is held back until the server says it again with a later serial, the operator confirms it, or the
 * outage window has passed. A peer that the server deleted is no matter of maps: that ends at once.
 */
#ifndef TALON_GUARD_H
#define TALON_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/netmap.h"

#define GUARD_WINDOW_NS		(300 * 1000000000ULL)
#define GUARD_PEERS_MIN		3	/* fewer in force, and only an empty map is suspicious */

struct guard {
	bool is_holding;
	uint64_t since_ns;
	uint64_t serial;		/* of the map that is held back */
	char why[160];
};

enum guard_verdict { GUARD_APPLY, GUARD_HOLD };

/* @now: the map in force, NULL: none yet. On GUARD_HOLD guard->why says it in one line; ask again at guard_deadline(). */
enum guard_verdict guard_judge(struct guard *guard, const struct netmap *now, const struct netmap *next, uint64_t now_ns);
/* When the map held back is to be applied after all, or UINT64_MAX. */
uint64_t guard_deadline(const struct guard *guard);
/* The operator, or the window: what is held back may be applied. */
void guard_release(struct guard *guard);

#endif
