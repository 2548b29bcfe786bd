// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Bytes that wait for the kernel: a list of chunks, small ones first, so that a connection with little to say
// holds little. Chunks are kept for the next who has something to say.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/internal.h"

static const struct { size_t size, kept; } pools[SERVER_POOLS] = {
	{ 4096, 128 }, { 16384, 64 }, { 65536, 16 },
};

#define ROOM(pool)	(pools[pool].size - sizeof(struct chunk) - 16)	/* what malloc() adds, too */

static int pool_for(const struct out *out, size_t len)
{
	int pool = !out->last ? 0 : out->last == out->first ? 1 : 2;

	while (pool < SERVER_POOLS && len > ROOM(pool))
		pool++;
	return pool;
}

static struct chunk *new_chunk(struct server *server, const struct out *out, size_t len)
{
	int pool = pool_for(out, len);
	size_t room = pool < SERVER_POOLS ? ROOM(pool) : len;
	struct chunk *chunk = pool < SERVER_POOLS ? server->pools[pool].free : NULL;

	if (chunk) {
		server->pools[pool].free = chunk->next;
		server->pools[pool].count--;
	} else {
		chunk = malloc(sizeof(*chunk) + room);
	}
	if (chunk)
		*chunk = (struct chunk){ .room = room };
	return chunk;
}

static void give_chunk(struct server *server, struct chunk *chunk)
{
	for (int i = 0; i < SERVER_POOLS; i++) {
		struct chunk_pool *pool = &server->pools[i];

		if (chunk->room == ROOM(i) && pool->count < pools[i].kept) {
			chunk->next = pool->free;
			pool->free = chunk;
			pool->count++;
			return;
		}
	}
	free(chunk);
}

uint8_t *out_reserve(struct server *server, struct out *out, size_t len)
{
	struct chunk *chunk = out->last;

	if (!chunk || chunk->room - chunk->at - chunk->len < len) {
		chunk = new_chunk(server, out, len);
		if (!chunk)
			return NULL;
		if (out->last)
			out->last->next = chunk;
		else
			out->first = chunk;
		out->last = chunk;
	}
	return chunk->bytes + chunk->at + chunk->len;
}

void out_commit(struct server *server, struct out *out, size_t len)
{
	out->last->len += len;
	out->waiting += len;
	server->waiting += len;
}

int out_put(struct server *server, struct out *out, const void *bytes, size_t len)
{
	uint8_t *at = out_reserve(server, out, len);

	if (!at)
		return -ENOMEM;
	memcpy(at, bytes, len);
	out_commit(server, out, len);
	return 0;
}

void out_consume(struct server *server, struct out *out, size_t len)
{
	out->waiting -= len;
	server->waiting -= len;
	while (out->first) {
		struct chunk *chunk = out->first;
		size_t part = len < chunk->len ? len : chunk->len;

		chunk->at += part;
		chunk->len -= part;
		len -= part;
		if (chunk->len)
			return;
		out->first = chunk->next;
		if (!out->first)
			out->last = NULL;
		give_chunk(server, chunk);
	}
}

void out_drop(struct server *server, struct out *out)
{
	out_consume(server, out, out->waiting);
}

void chunk_pools_free(struct server *server)
{
	for (int i = 0; i < SERVER_POOLS; i++) {
		while (server->pools[i].free) {
			struct chunk *chunk = server->pools[i].free;

			server->pools[i].free = chunk->next;
			free(chunk);
		}
		server->pools[i].count = 0;
	}
}
