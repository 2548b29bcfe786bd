// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Memory that is taken in small pieces and given back all at once, wiped.
#include <stdint.h>
#include <stdlib.h>

#include <sodium.h>

#include "base/arena.h"

#define ALIGN		16
#define CHUNK_FIRST	1024
#define CHUNK_LARGEST	(128 << 10)

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used;
	unsigned char bytes[] __attribute__((aligned(ALIGN)));
};

static struct arena_chunk *grow(struct arena *arena, size_t size)
{
	size_t room = arena->chunks ? arena->chunks->size * 2 : CHUNK_FIRST;
	struct arena_chunk *chunk;

	if (room > CHUNK_LARGEST)
		room = CHUNK_LARGEST;
	if (room < size)
		room = size;
	chunk = calloc(1, sizeof(*chunk) + room);
	if (!chunk)
		return NULL;
	chunk->size = room;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->chunks;
	void *at;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (!chunk || chunk->size - chunk->used < size)
		chunk = grow(arena, size);
	if (!chunk)
		return NULL;
	at = chunk->bytes + chunk->used;
	chunk->used += size;
	return at;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
	size_t total;

	return __builtin_mul_overflow(count, size, &total) ? NULL : arena_alloc(arena, total);
}

char *arena_text(struct arena *arena, const void *bytes, size_t len)
{
	const unsigned char *from = bytes;
	char *text = arena_alloc(arena, len + 1);

	if (!text)
		return NULL;
	for (size_t i = 0; i < len; i++)
		text[i] = from[i] < 0x20 || from[i] == 0x7f ? '?' : (char)from[i];
	return text;
}

void arena_free(struct arena *arena)
{
	struct arena_chunk *chunk = arena->chunks, *next;

	for (; chunk; chunk = next) {
		next = chunk->next;
		sodium_memzero(chunk->bytes, chunk->used);
		free(chunk);
	}
	arena->chunks = NULL;
}
