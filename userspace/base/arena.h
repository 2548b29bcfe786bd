/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory that is taken in small pieces and given back all at once, wiped. */
#ifndef TALON_ARENA_H
#define TALON_ARENA_H

#include <stddef.h>

struct arena_chunk;

/* A zeroed arena is empty. */
struct arena {
	struct arena_chunk *chunks;	/* the newest first */
};

/* @size zeroed bytes, aligned for anything, or NULL. */
void *arena_alloc(struct arena *arena, size_t size);
/* @count times @size; NULL also where that overflows. */
void *arena_array(struct arena *arena, size_t count, size_t size);
/* A copy with a terminator. Control characters become '?': the text may end up on a terminal. */
char *arena_text(struct arena *arena, const void *bytes, size_t len);
void arena_free(struct arena *arena);

#endif
