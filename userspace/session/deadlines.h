/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A deadline for each of a fixed number of ids, and the nearest of them: a binary heap indexed by id. */
#ifndef TALON_SESSION_DEADLINES_H
#define TALON_SESSION_DEADLINES_H

#include <stdint.h>

#define DEADLINE_NEVER UINT64_MAX

struct deadlines;

/* Ids are 0..@count - 1, at first without a deadline. Returns NULL when out of memory. */
struct deadlines *deadlines_new(uint32_t count);
void deadlines_free(struct deadlines *deadlines);

/* Sets, moves or (DEADLINE_NEVER) removes the deadline of @id. */
void deadlines_set(struct deadlines *deadlines, uint32_t id, uint64_t at_ns);

/* Returns the nearest deadline, and writes its id unless it is DEADLINE_NEVER. */
uint64_t deadlines_first(const struct deadlines *deadlines, uint32_t *ret_id);

#endif
