// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Memory of nghttp2's sessions. Each has a buffer of 16 KiB in which it builds frames; thousands of
// connections that are silent need none. The buffer is mapped by itself, so that only what is written takes
// memory, and that is given back when nothing is being built.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "server/h2_internal.h"

/* A frame of 16,384 bytes with its header and a byte of padding: nghttp2 allocates it once for a session. */
#define BUFFER_LEAST	16384
#define BUFFER_MOST	(16384 + 64)
#define BUFFER_ROOM	(5 * 4096)

static void *take(size_t size, void *ctx)
{
	struct h2 *h2 = ctx;
	void *bytes;

	if (h2->buffer || size < BUFFER_LEAST || size > BUFFER_MOST)
		return malloc(size);
	bytes = mmap(NULL, BUFFER_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bytes == MAP_FAILED)
		return malloc(size);
	h2->buffer = bytes;
	return bytes;
}

static void *take_zeroed(size_t count, size_t size, void *ctx)
{
	return calloc(count, size);
}

static void give(void *bytes, void *ctx)
{
	struct h2 *h2 = ctx;

	if (!bytes || bytes != h2->buffer) {
		free(bytes);
		return;
	}
	munmap(h2->buffer, BUFFER_ROOM);
	h2->buffer = NULL;
}

static void *resize(void *bytes, size_t size, void *ctx)
{
	struct h2 *h2 = ctx;
	void *moved;

	if (!bytes)
		return take(size, ctx);
	if (bytes != h2->buffer)
		return realloc(bytes, size);
	if (size <= BUFFER_ROOM)
		return bytes;
	moved = malloc(size);
	if (!moved)
		return NULL;
	memcpy(moved, bytes, BUFFER_ROOM);
	give(bytes, ctx);
	return moved;
}

nghttp2_mem h2_memory(struct h2 *h2)
{
	return (nghttp2_mem){ h2, take, give, take_zeroed, resize };
}

void h2_memory_rest(struct h2 *h2)
{
	if (h2->buffer)
		madvise(h2->buffer, BUFFER_ROOM, MADV_DONTNEED);
}
