/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names to addresses by the host's own configuration (hosts file, resolv.conf), off the loop's back: c-ares on our epoll. */
#ifndef TALON_RESOLVER_H
#define TALON_RESOLVER_H

#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"
#include "talon/types.h"

struct resolver;
struct resolver_query;

struct resolver_address {
	uint16_t family;	/* AF_INET, AF_INET6 */
	struct talon_addr addr;
	uint32_t ttl_s;
};

enum resolver_result {
	RESOLVER_OK,
	RESOLVER_NOT_FOUND,	/* the name does not exist */
	RESOLVER_NO_DATA,	/* it does, but has no address of this family */
	RESOLVER_FAILED,	/* timeout, refused, no server */
};

typedef void (*resolver_fn)(void *ctx, enum resolver_result result, const struct resolver_address *list, size_t count);

/*
 * The process's resolver of @loop, made when first asked for; lives until resolver_global_done(), which is to come before loop_free().
 * NULL: out of memory.
 */
struct resolver *resolver_get(struct loop *loop);
/* "address:port,..." instead of resolv.conf's servers from now on; NULL: resolv.conf again. Returns 0 or a negative errno. */
int resolver_use_servers(struct resolver *resolver, const char *servers);
/*
 * @family: AF_INET, AF_INET6 or AF_UNSPEC. Calls @fn once, never before it returned; literal addresses too. @ret_query may be NULL.
 * Returns 0 or a negative errno (then @fn is not called).
 */
int resolver_ask(struct resolver *resolver, const char *name, int family, uint64_t timeout_ns, resolver_fn fn, void *ctx,
	struct resolver_query **ret_query);
/* @fn will not be called. */
void resolver_cancel(struct resolver_query *query);
/* Queries that are still under way are forgotten, and their handles dead. */
void resolver_global_done(void);

#endif
