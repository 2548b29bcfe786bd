/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the controller counts and sees (talon/fact_types.h), kept in map "facts" over its restarts. */
#ifndef TALON_FACTS_H
#define TALON_FACTS_H

#include <stdint.h>

#include "talon/fact_types.h"

struct facts {
	uint64_t now[TALON_FACTS_ENTRIES];	/* of this process */
	uint64_t base[TALON_FACTS_ENTRIES];	/* counters: of the processes before it */
	uint64_t told[TALON_FACTS_ENTRIES];	/* as the map has them */
};

/* Counters go on from what the map holds. @facts is zeroed. @map_fd: map "facts". */
void facts_start(struct facts *facts, int map_fd);
/* What this process has counted so far, or sees now. */
void facts_set(struct facts *facts, enum talon_fact fact, uint64_t value);
/* Adds to a counter. */
void facts_add(struct facts *facts, enum talon_fact fact, uint64_t n);
/* Writes what changed since the last call. */
void facts_write(struct facts *facts, int map_fd);

#endif
