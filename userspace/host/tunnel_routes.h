/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The host's own way into the mesh: the addresses of the tunnel device, one of each family, and kernel routes
 * through it. They are put back when somebody takes them away, and never displace a route of the host's.
 * Where the kernel refuses IPv6, IPv4 goes on without it.
 */
#ifndef TALON_HOST_TUNNEL_ROUTES_H
#define TALON_HOST_TUNNEL_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cidr.h"
#include "base/prefixes.h"
#include "datapath/datapath.h"
#include "loop/loop.h"

struct tunnel_family {
	uint8_t family;			/* AF_INET, AF_INET6 */
	struct prefixes wanted;		/* value: 1: with our address as preferred source; 0: without */
	struct prefixes refused;	/* what cannot be installed, logged already */
	struct talon_addr addr;		/* wanted on the tunnel device; zero: none */
};

/* Set up by tunnel_routes_init(); dp before anything else is called. */
struct tunnel_routes {
	struct loop *loop;
	const struct datapath *dp;
	struct tunnel_family four, six;
	char no_ipv6[160];		/* why the kernel refused IPv6; empty: it did not */
	bool is_set;			/* there was a wish */
	bool is_dirty;			/* what is may not be what is wanted */
	struct loop_timer timer;	/* looks after them soon after something was taken away */
	uint64_t changes;		/* routes and addresses written: for tests of what is left alone */
};

struct tunnel_wish {
	__be32 mesh_addr;		/* ours in the mesh; 0: none */
	uint8_t mesh_prefixlen;
	/* of the tunnel device, and what its routes prefer as source; 0: none */
	__be32 own_addr;
	struct talon_addr mesh_addr6;	/* zero: none, and IPv6 routes are passed over */
	uint8_t mesh_prefixlen6;
	struct talon_addr own_addr6;	/* zero: none */
	const struct cidr *routes;	/* to networks behind peers */
	size_t route_count;
	/* an address of our own for SNAT, which leads into the tunnel too; 0: none */
	__be32 snat_addr;
};

void tunnel_routes_init(struct tunnel_routes *tunnel, struct loop *loop);
/*
 * @strict: a route that somebody else has is an error. Returns 0 or a negative errno with one line in @err.
 */
int tunnel_routes_set(struct tunnel_routes *tunnel, const struct tunnel_wish *wish, bool strict, char *err,
	size_t errlen);
/* Puts right what others changed. Before the first wish: leaves what an earlier process installed. */
int tunnel_routes_sync(struct tunnel_routes *tunnel, bool strict, char *err, size_t errlen);
/* Somebody changed something: looks within a second. */
void tunnel_routes_check_soon(struct tunnel_routes *tunnel);
/* Why the kernel refused the IPv6 address or routes that were wished for last; "": it did not. */
const char *tunnel_routes_why_no_ipv6(const struct tunnel_routes *tunnel);
/* True if @net was wanted and cannot be installed. */
bool tunnel_routes_is_refused(const struct tunnel_routes *tunnel, const struct cidr *net);
void tunnel_routes_done(struct tunnel_routes *tunnel);

#endif
