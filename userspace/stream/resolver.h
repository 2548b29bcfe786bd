/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names to addresses by the host's own configuration (hosts file, resolv.conf), off the loop's back:
 * c-ares on our epoll.
 */
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
	RESOLVER_FAILED,	/* refused, no server, an answer that is none */
	RESOLVER_TIMED_OUT,	/* no server answered */
};

typedef void (*resolver_fn)(void *ctx, enum resolver_result result, const struct resolver_address *list,
	size_t count);
/*
 * @bytes: the server's message (RFC 1035 section 4) where @result is RESOLVER_OK, not looked into; else NULL.
 */
typedef void (*resolver_records_fn)(void *ctx, enum resolver_result result, const uint8_t *bytes, size_t len);

/*
 * The process's resolver of @loop, made when first asked for; lives until resolver_global_done(), which is to
 * come before loop_free(). NULL: out of memory.
 */
struct resolver *resolver_get(struct loop *loop);
/*
 * "address:port,..." instead of resolv.conf's servers from now on; NULL: resolv.conf again. Returns 0 or a
 * negative errno.
 */
int resolver_use_servers(struct resolver *resolver, const char *servers);
/*
 * The file @path instead of /etc/resolv.conf; NULL: that again. The string is the caller's and has to stay.
 */
int resolver_use_conf(struct resolver *resolver, const char *path);
/*
 * Asks for @name as it is and, where that gives no address, for what the search list makes of it (a name
 * without a dot: the other way round; hosts file first). A domain of the list that fails does not end the
 * search. With AF_UNSPEC a family whose addresses are there waits a little for the other, no longer. A
 * resolv.conf that changes meanwhile is heeded within a second.
 *
 * @family: AF_INET, AF_INET6 or AF_UNSPEC. Calls @fn once, never before it returned; literal addresses too.
 * @ret_query may be NULL. Returns 0 or a negative errno (then @fn is not called).
 */
int resolver_ask(struct resolver *resolver, const char *name, int family, uint64_t timeout_ns, resolver_fn fn,
	void *ctx, struct resolver_query **ret_query);
/* The same for exactly @name: the search list is not for it. */
int resolver_ask_exactly(struct resolver *resolver, const char *name, int family, uint64_t timeout_ns,
	resolver_fn fn, void *ctx, struct resolver_query **ret_query);
/* Records of another @type for exactly @name, from a name server. */
int resolver_ask_records(struct resolver *resolver, const char *name, uint16_t type, uint64_t timeout_ns,
	resolver_records_fn fn, void *ctx, struct resolver_query **ret_query);
/*
 * What @loop's resolver waits for is asked once more: the sockets that it was asked from may have lost their
 * address.
 */
void resolver_ask_again(struct loop *loop);
/* @fn will not be called. */
void resolver_cancel(struct resolver_query *query);
/* Queries that are still under way are forgotten, and their handles dead. */
void resolver_global_done(void);

#endif
