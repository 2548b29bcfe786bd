/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One deadline for each of a fixed number of ids, and the nearest of them: a binary heap that knows
 * where each id is.
 */
#ifndef TALON_SESSION_DEADLINES_H
#define TALON_SESSION_DEADLINES_H

#include <stdint.h>

#define DEADLINE_NEVER UINT64_MAX

struct deadlines;

/* Ids are 0..@count - 1, none has a deadline. Returns NULL when out of memory. */
struct deadlines *deadlines_new(uint32_t count);
void deadlines_free(struct deadlines *deadlines);

/* Sets, moves or (DEADLINE_NEVER) removes the deadline of @id. */
void deadlines_set(struct deadlines *deadlines, uint32_t id, uint64_t at_ns);

/* The nearest deadline; writes whose it is unless that is DEADLINE_NEVER. */
uint64_t deadlines_first(const struct deadlines *deadlines, uint32_t *ret_id);

#endif
