/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Domain routes, as the routing peer: answers the mesh's questions for our domains on our mesh address (UDP
 * and TCP), through the host's own resolver, and says which addresses were learned, so that the rules and
 * routes of that domain let them pass. Exactly the name is asked for; TXT, MX, SRV, NS, CNAME, PTR and HTTPS
 * are passed on, of any other type there is nothing (NODATA).
 *
 * A learned address stays as long as the name still resolves to it: before its time is up the name is looked
 * up again, until nobody has asked for it for a week. Where there is no more room, and where one source has
 * made us learn its share, the one that was asked for longest ago goes.
 */
#ifndef TALON_FORWARDER_H
#define TALON_FORWARDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/acl.h"
#include "loop/loop.h"

#define FORWARDER_TTL_S		60		/* in every answer */
/* of a learned address since the name was last seen to have it */
#define FORWARDER_LIFE_NS	(3600 * LOOP_SECOND)
#define FORWARDER_PORT_OLD	5353		/* where peers before 0.59 ask */
#define FORWARDER_LEARNED_MAX	4096
#define FORWARDER_PENDING_MAX	512		/* questions under way */

struct forwarder;

struct forwarder_domain {
	const char *pattern;		/* "app.example.com" or "*.example.com" */
	bool masquerade;		/* of its route */
	bool keep;			/* learned addresses never go */
};

struct forwarder_events {
	/*
	 * The set of learned addresses changed: rules and routes are to be made anew. Told from a timer, for
	 * many at a time; answers that name a new address leave after it.
	 */
	void (*learned)(void *ctx);
};

int forwarder_new(struct loop *loop, const struct forwarder_events *events, void *ctx,
	struct forwarder **ret_forwarder);
void forwarder_free(struct forwarder *forwarder);
/*
 * Our domains, and where to listen: @addr:@port and @addr:FORWARDER_PORT_OLD. No domains or @addr 0: closed,
 * everything is forgotten. Addresses of domains that stay are kept. Returns 0 or a negative errno with one
 * line in @err (a port that is taken; tried again with the next call).
 */
int forwarder_set(struct forwarder *forwarder, __be32 addr, uint16_t port,
	const struct forwarder_domain *domains, size_t count, char *err, size_t errlen);

/*
 * The sockets it has, of up to FORWARDER_SOCKETS: what rules may open to every peer. Where another has the
 * port, that one's service answers there.
 */
#define FORWARDER_SOCKETS 4
size_t forwarder_sockets(const struct forwarder *forwarder, struct acl_port list[static FORWARDER_SOCKETS]);

struct forwarder_learned {
	const char *pattern;		/* the domain's */
	const char *name;		/* that was asked for */
	__be32 addr;
	bool masquerade;
};
/* What is learned now; pointers are the forwarder's, valid until its next event. */
const struct forwarder_learned *forwarder_list(const struct forwarder *forwarder, size_t *ret_count);

struct forwarder_stats {
	uint64_t queries;		/* that came */
	uint64_t refused;		/* for names of none of our domains */
	uint64_t other_types;		/* for types that are not passed on: answered NODATA */
	uint64_t malformed;
	uint64_t failed;		/* the resolver had no answer, and we had none either */
	uint64_t from_cache;		/* the resolver had none: the last good one was given */
	uint64_t dropped;		/* too many at a time: questions under way, TCP clients */
	uint64_t limited;		/* one source asked too much */
	uint64_t batches;		/* how often rules and routes were made anew */
	uint64_t learned;		/* addresses now, of FORWARDER_LEARNED_MAX */
	uint64_t not_learned;		/* for want of room: all others are kept for ever */
	uint64_t evicted;		/* gave way to others */
	uint64_t aged_out;		/* the name has them no longer, or nobody asks for it */
};
void forwarder_get_stats(const struct forwarder *forwarder, struct forwarder_stats *ret_stats);

#endif
