/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inside dns/: the forwarder, and what its files do for each other.
 *
 * A question comes in by listen.c, is decided by question.c and limited by source.c. An answer with new
 * addresses goes through learned.c, which holds it back until rules and routes let packets to those addresses
 * pass.
 */
#ifndef TALON_DNS_INTERNAL_H
#define TALON_DNS_INTERNAL_H

#include <netinet/in.h>

#include "dns/dns_wire.h"
#include "dns/forwarder.h"
#include "stream/resolver.h"

#define FORWARDER_PORTS		2	/* the one that management names, and FORWARDER_PORT_OLD */
#define CLIENTS_MAX		64	/* TCP connections at a time */
#define CLIENT_IDLE_NS		(10 * LOOP_SECOND)
#define QUERY_MAX		512	/* longer questions are malformed, over TCP as well */
#define ANSWER_MAX		16384
/*
 * A laptop of NetBird waits 8 s in all; new addresses may take 2 s more to get through (learned_tell_soon()),
 * and the last good answer is of use to it only if it comes in time.
 */
#define RESOLVE_TIMEOUT_NS	(6 * LOOP_SECOND)
#define CACHE_MAX		256	/* names whose last good answer is kept */
#define ADDRESSES_MAX		32	/* of one answer */
#define SOURCES_MAX		256

struct listener {
	struct forwarder *forwarder;
	struct loop_fd udp;
	struct loop_fd tcp;
};

struct client {
	struct forwarder *forwarder;
	struct loop_fd fd;
	struct loop_timer idle;
	struct loop_deferred deferred;
	struct question *asking;	/* the question that it waits for; NULL: it is being read from */
	struct sockaddr_in from;
	size_t len;			/* of @bytes, read so far */
	uint8_t bytes[2 + QUERY_MAX];	/* a length (RFC 1035 section 4.2.2) and a question */
};

/* An address that asks, and how much it may still ask. */
struct source {
	__be32 addr;
	uint32_t pending;		/* questions under way */
	uint32_t spent;			/* of its burst */
	uint64_t since_ns;		/* when a question was last given back to the burst */
	uint64_t used_ns;
};

/*
 * A question that waits for the resolver, or whose answer is held until rules and routes let packets to the
 * addresses in it pass.
 */
struct question {
	struct forwarder *forwarder;
	struct question *next, **link;
	struct resolver_query *query;
	struct client *client;		/* NULL: asked over UDP, or by ourselves */
	int udp;			/* the socket that it came by */
	struct source *source;		/* NULL: not counted (answered at once, or asked by ourselves) */
	struct sockaddr_in from;
	struct dns_query dns;
	uint64_t until_ns;		/* look-ups end then, however many it takes */
	bool is_held;
	size_t count;
	struct dns_record records[ADDRESSES_MAX];	/* of the answer */
	uint8_t bytes[QUERY_MAX];			/* as it came */
};

struct cached {
	char name[DNS_NAME_LEN];
	uint16_t family;
	uint64_t used_ns;
	size_t count;
	struct dns_record records[ADDRESSES_MAX];
};

struct domain {
	char *pattern;
	bool masquerade;
	bool keep;
};

/* What is not public of the forwarder_learned with the same index. */
struct life {
	uint64_t until_ns;		/* LOOP_NEVER: kept */
	uint64_t again_ns;		/* when the name is looked up again */
	uint64_t asked_ns;		/* when the mesh last asked for it */
	__be32 source;			/* whose question taught it to us */
	bool is_untold;			/* rules and routes do not let packets to it pass yet */
};

struct forwarder {
	struct loop *loop;
	struct forwarder_events events;
	void *ctx;
	__be32 addr;
	uint16_t port;
	struct domain *domains;
	size_t domain_count;
	struct listener listeners[FORWARDER_PORTS];
	struct client *clients[CLIENTS_MAX];
	struct question *questions;
	size_t question_count;
	struct forwarder_learned *learned;	/* names are ours, patterns the domains' */
	struct life *lives;
	size_t learned_count;
	struct cached *cache;
	size_t cache_count;
	struct source sources[SOURCES_MAX];
	struct loop_timer tend;
	uint64_t tended_ns;		/* when names were last looked up again */
	struct loop_timer batch;
	uint64_t next_batch_ns;		/* not before */
	bool full_said;
	struct forwarder_stats stats;
};

/* listen.c */
/* Opens the sockets for f->addr and f->port. Returns 0 or a negative errno with one line in @err. */
int listen_open(struct forwarder *f, char *err, size_t errlen);
/* Closes sockets and TCP clients and drops all questions. */
void listen_close(struct forwarder *f);
/* Sends @len bytes as one message. Returns 0 or -EPIPE, after client_free(). */
int client_send(struct client *client, const uint8_t *answer, size_t len);
/* @client->asking has its answer, or none will come: the next question may be read. */
void client_is_answered(struct client *client);
/* Closes it and drops its question. Its memory stays until the end of the loop's turn. */
void client_free(struct client *client);

/* question.c */
/* One question as it came, from @client or (NULL) by the UDP socket @udp. It may free @client. */
void question_take(struct forwarder *f, const uint8_t *bytes, size_t len, struct client *client, int udp,
	const struct sockaddr_in *from);
/* NULL: FORWARDER_PENDING_MAX are under way, or no memory; counted. */
struct question *question_new(struct forwarder *f, const uint8_t *bytes, size_t len,
	const struct dns_query *dns);
void question_free(struct question *q);
/* Answers and frees it. */
void question_reply(struct question *q, enum dns_rcode rcode, const struct dns_record *records, size_t count);

/* source.c: counts a question of @addr. NULL: it asks too much, or SOURCES_MAX others wait for answers. */
struct source *source_take(struct forwarder *f, __be32 addr);

/* cache.c */
/* NULL: none is kept. Valid until the next cache_place(). */
struct cached *cache_find(struct forwarder *f, const char *name, uint16_t family);
/* Where to keep the answer for @name; the one that was written longest ago gives way. NULL: no memory. */
struct cached *cache_place(struct forwarder *f, const char *name, uint16_t family);

/* learned.c */
/*
 * Adds the addresses of an answer for @name to each domain that the name belongs to. @source 0: a look-up of
 * our own. Returns true if rules and routes do not know of one of them yet (see learned_tell_soon()).
 */
bool learned_add(struct forwarder *f, const char *name, const struct resolver_address *list, size_t count,
	__be32 source);
void learned_remove(struct forwarder *f, size_t i);
/* Learned addresses follow their domain into @domains; those of domains that are not there are removed. */
void learned_keep(struct forwarder *f, const struct domain *domains, size_t count);
/* Sets the timer for what is due next. */
void learned_set_timer(struct forwarder *f);
/* Has events.learned told, and held questions answered, as soon as BATCH_SHARE allows it. */
void learned_tell_soon(struct forwarder *f);
/* Timers of the forwarder. */
void learned_tell(void *ctx);
void learned_tend(void *ctx);

#endif
