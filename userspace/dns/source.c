// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How much one source may ask.
#include "dns/internal.h"

/* Of questions that need the resolver: this many at once, then one each SOURCE_EACH_NS. */
#define SOURCE_BURST		200
#define SOURCE_EACH_NS		(20 * LOOP_MS)
#define SOURCE_PENDING_MAX	(FORWARDER_PENDING_MAX / 4)

/*
 * The entry of @addr; a new one takes the place of the source that was silent longest. NULL: all have
 * questions under way.
 */
static struct source *find_source(struct forwarder *f, __be32 addr)
{
	struct source *best = NULL;

	for (size_t i = 0; i < SOURCES_MAX; i++) {
		struct source *s = &f->sources[i];

		if (s->addr == addr)
			return s;
		if (!s->pending && (!best || s->used_ns < best->used_ns))
			best = s;
	}
	if (best)
		*best = (struct source){ .addr = addr, .since_ns = loop_now(f->loop) };
	return best;
}

struct source *source_take(struct forwarder *f, __be32 addr)
{
	const uint64_t now = loop_now(f->loop);
	struct source *s = find_source(f, addr);
	uint64_t back;

	if (!s)
		return NULL;
	s->used_ns = now;
	back = (now - s->since_ns) / SOURCE_EACH_NS;
	s->since_ns += back * SOURCE_EACH_NS;
	s->spent -= back < s->spent ? back : s->spent;
	if (s->spent >= SOURCE_BURST || s->pending >= SOURCE_PENDING_MAX)
		return NULL;
	s->spent++;
	s->pending++;
	return s;
}
