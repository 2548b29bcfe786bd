/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The controller's part in captures of a peer's packets: lets the programs copy while one runs, unless that
 * is forbidden, and sees to it that none happens in silence.
 */
#ifndef TALON_WATCH_PERMIT_H
#define TALON_WATCH_PERMIT_H

#include <stdbool.h>
#include <stdint.h>

struct datapath;

/* Zeros at the start. */
struct watch_permit {
	bool has_looked;
	uint64_t since_ns;		/* of the last capture that was logged */
};

/*
 * Each second. Sets TALON_F_CAPTURE in @flags, those of map "config", while there is a lease and @is_allowed,
 * and TALON_F_NO_CAPTURE if not @is_allowed. Logs when a capture begins and when it ends. Returns true if it
 * changed the flags.
 */
bool watch_permit(struct watch_permit *permit, const struct datapath *dp, bool is_allowed, uint32_t *flags);

#endif
