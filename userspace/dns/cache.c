// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The last good answer for each name, for when the resolver fails.
#include <stdlib.h>
#include <string.h>

#include "dns/internal.h"

struct cached *cache_find(struct forwarder *f, const char *name, uint16_t family)
{
	for (size_t i = 0; i < f->cache_count; i++) {
		if (f->cache[i].family == family && !strcmp(f->cache[i].name, name))
			return &f->cache[i];
	}
	return NULL;
}

struct cached *cache_place(struct forwarder *f, const char *name, uint16_t family)
{
	struct cached *c = cache_find(f, name, family), *larger;

	if (c)
		return c;
	if (f->cache_count < CACHE_MAX) {
		larger = reallocarray(f->cache, f->cache_count + 1, sizeof(*larger));
		if (!larger)
			return NULL;
		f->cache = larger;
		return &f->cache[f->cache_count++];
	}
	c = &f->cache[0];
	for (size_t i = 1; i < f->cache_count; i++) {
		if (f->cache[i].used_ns < c->used_ns)
			c = &f->cache[i];
	}
	return c;
}
