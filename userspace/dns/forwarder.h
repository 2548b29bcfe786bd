/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Domain routes, as the routing peer: answers the mesh's DNS questions for our domains on our mesh address
 * (UDP and TCP) through the host's own resolver, and reports the addresses in those answers, so that the
 * rules and routes of the domain let packets to them pass. The name is looked up as it is, without search
 * domains. A and AAAA are resolved; NS, CNAME, PTR, MX, TXT, SRV and HTTPS are passed on; all other types get
 * NODATA.
 *
 * A learned address stays while the name still resolves to it: the name is looked up again before the address
 * expires, until the mesh has not asked for the name for a week. When the table is full, or one source has
 * used its share of it, the address that was asked for longest ago is removed.
 */
#ifndef TALON_FORWARDER_H
#define TALON_FORWARDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"
#include "netmap/netmap.h"

#define FORWARDER_TTL_S		60		/* in every answer */
/* how long a learned address stays after the name was last seen to have it */
#define FORWARDER_LIFE_NS	(3600 * LOOP_SECOND)
#define FORWARDER_PORT_OLD	5353		/* where peers older than 0.59 ask */
#define FORWARDER_LEARNED_MAX	4096
#define FORWARDER_PENDING_MAX	512		/* questions under way */

struct forwarder;

struct forwarder_domain {
	const char *pattern;		/* "app.example.com" or "*.example.com" */
	bool masquerade;		/* as its route says */
	bool keep;			/* learned addresses never go */
};

struct forwarder_events {
	/*
	 * The set of learned addresses changed: make rules and routes anew. Called from a timer, for many
	 * changes at a time; answers with a new address are sent after it returns. It may call
	 * forwarder_set(), but not forwarder_free().
	 */
	void (*learned)(void *ctx);
};

int forwarder_new(struct loop *loop, const struct forwarder_events *events, void *ctx,
	struct forwarder **ret_forwarder);
void forwarder_free(struct forwarder *forwarder);
/*
 * Sets our domains and where to listen: @addr:@port and @addr:FORWARDER_PORT_OLD (@port in host order). No
 * domains or @addr 0: closes the sockets and forgets all addresses. Addresses of domains that stay are kept.
 * Returns 0, or a negative errno with one line in @err (a port that is taken: the next call tries again).
 */
int forwarder_set(struct forwarder *forwarder, __be32 addr, uint16_t port,
	const struct forwarder_domain *domains, size_t count, char *err, size_t errlen);

/*
 * The sockets that are open: what rules may open to every peer. A port that another program holds is not
 * among them, as that program would answer there. Returns how many of @list are set.
 */
#define FORWARDER_SOCKETS 4
size_t forwarder_sockets(const struct forwarder *forwarder,
	struct netmap_port list[static FORWARDER_SOCKETS]);

struct forwarder_learned {
	const char *pattern;		/* the domain's */
	const char *name;		/* that was asked for */
	uint8_t family;			/* AF_INET, AF_INET6 */
	struct talon_addr addr;
	bool masquerade;
};
/* The learned addresses, owned by the forwarder and valid until the loop runs it again. */
const struct forwarder_learned *forwarder_list(const struct forwarder *forwarder, size_t *ret_count);

struct forwarder_stats {
	uint64_t queries;		/* received */
	uint64_t refused;		/* for a name in none of our domains */
	uint64_t other_types;		/* of a type that is not passed on: answered NODATA */
	uint64_t malformed;
	uint64_t failed;		/* the resolver failed, and no earlier answer was cached */
	uint64_t from_cache;		/* the resolver failed, and the last good answer was sent */
	uint64_t dropped;		/* too many questions under way, or too many TCP clients */
	uint64_t limited;		/* one source asked too much */
	uint64_t batches;		/* how often events.learned was called */
	uint64_t learned;		/* addresses now, at most FORWARDER_LEARNED_MAX */
	uint64_t not_learned;		/* no room: the table is full of kept addresses; or no memory */
	uint64_t evicted;		/* removed to make room for others */
	uint64_t aged_out;		/* the name no longer has them, or the mesh no longer asks for it */
};
void forwarder_get_stats(const struct forwarder *forwarder, struct forwarder_stats *ret_stats);

#endif
