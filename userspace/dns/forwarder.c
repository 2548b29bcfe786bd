// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Answers the mesh's questions about our domains, and remembers what was answered.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dns/dns_wire.h"
#include "dns/forwarder.h"
#include "log/log.h"
#include "stream/resolver.h"

#define PORTS			2	/* the new one and the old one */
#define CLIENTS_MAX		64	/* over TCP at a time */
#define CLIENT_IDLE_NS		(10 * LOOP_SECOND)
#define QUERY_MAX		512	/* a question is never longer, also over TCP */
#define ANSWER_MAX		16384
#define RESOLVE_TIMEOUT_NS	(15 * LOOP_SECOND)
#define DATAGRAMS_PER_TURN	32
#define CACHE_MAX		256	/* names whose last good answer is kept */
#define ADDRESSES_MAX		32	/* of one answer */
/* a learned name is looked up again after this long */
#define AGAIN_NS		(FORWARDER_LIFE_NS * 3 / 4)
/* a name that nobody asks for so long is not looked up any more */
#define UNASKED_NS		(7 * 24 * FORWARDER_LIFE_NS)
#define TEND_EACH_NS		(250 * LOOP_MS)	/* names that are due are looked up so many at a time */
#define TEND_AT_ONCE		32
/*
 * Rules and routes are made anew for all that was learned since the last time, and not before the rest of the
 * process had nine times as long as that took: a burst of new names costs the loop a tenth of its time.
 */
#define BATCH_LEAST_NS		(20 * LOOP_MS)
#define BATCH_MOST_NS		(2 * LOOP_SECOND)	/* who asks waits 5 s or more */
#define BATCH_SHARE		9
/* Questions of one source that need the resolver. */
#define SOURCES_MAX		256
#define SOURCE_BURST		200
#define SOURCE_EACH_NS		(20 * LOOP_MS)
#define SOURCE_PENDING_MAX	(FORWARDER_PENDING_MAX / 4)
#define SOURCE_LEARNED_MAX	(FORWARDER_LEARNED_MAX / 4)

struct listener {
	struct forwarder *forwarder;
	struct loop_fd udp;
	struct loop_fd tcp;
};

struct client {
	struct forwarder *forwarder;
	struct loop_fd fd;
	struct loop_timer idle;
	struct question *asking;
	struct sockaddr_in from;
	size_t len;
	uint8_t bytes[2 + QUERY_MAX];
};

/* Who asks, and how much it may. */
struct source {
	__be32 addr;
	uint32_t pending;
	uint32_t spent;			/* of SOURCE_BURST */
	uint64_t since_ns;		/* when a question was last given back */
	uint64_t used_ns;
};

/* One that waits for the resolver, or with its answer for the ways that this opens. */
struct question {
	struct forwarder *forwarder;
	struct question *next, **link;
	struct resolver_query *query;
	struct client *client;		/* NULL: by UDP */
	int udp;
	struct source *source;		/* NULL: ourselves */
	struct sockaddr_in from;
	struct dns_query dns;
	bool is_held;
	size_t count;
	struct dns_record records[ADDRESSES_MAX];	/* of the answer that is held */
	size_t len;
	uint8_t bytes[QUERY_MAX];
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

/* Beside each forwarder_learned of the same index. */
struct life {
	uint64_t until_ns;		/* LOOP_NEVER: kept */
	uint64_t again_ns;		/* when the name is looked up again */
	uint64_t asked_ns;		/* when somebody last wanted it */
	__be32 source;			/* who made us learn it */
	bool is_untold;			/* its way is not open yet */
};

struct forwarder {
	struct loop *loop;
	struct forwarder_events events;
	void *ctx;
	__be32 addr;
	uint16_t port;
	struct domain *domains;
	size_t domain_count;
	struct listener listeners[PORTS];
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

static void tend(void *ctx);
static void tell_learned(void *ctx);
static void client_free(struct client *client);

int forwarder_new(struct loop *loop, const struct forwarder_events *events, void *ctx,
	struct forwarder **ret_forwarder)
{
	struct forwarder *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->loop = loop;
	f->events = *events;
	f->ctx = ctx;
	loop_timer_init(&f->tend, tend, f);
	loop_timer_init(&f->batch, tell_learned, f);
	*ret_forwarder = f;
	return 0;
}

static void question_free(struct question *q)
{
	if (q->query)
		resolver_cancel(q->query);
	if (q->client)
		q->client->asking = NULL;
	*q->link = q->next;
	if (q->next)
		q->next->link = q->link;
	q->forwarder->question_count--;
	if (q->source)
		q->source->pending--;
	free(q);
}

static void close_fd(struct loop *loop, struct loop_fd *handle)
{
	if (!handle->is_watched)
		return;
	loop_fd_remove(loop, handle);
	close(handle->fd);
}

static void close_all(struct forwarder *f)
{
	for (int i = 0; i < PORTS; i++) {
		close_fd(f->loop, &f->listeners[i].udp);
		close_fd(f->loop, &f->listeners[i].tcp);
	}
	for (int i = 0; i < CLIENTS_MAX; i++) {
		if (f->clients[i])
			client_free(f->clients[i]);
	}
	while (f->questions)
		question_free(f->questions);
}

static void unlearn(struct forwarder *f, size_t i)
{
	free((char *)f->learned[i].name);
	f->learned_count--;
	f->learned[i] = f->learned[f->learned_count];
	f->lives[i] = f->lives[f->learned_count];
}

static void domains_free(struct domain *domains, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(domains[i].pattern);
	free(domains);
}

void forwarder_free(struct forwarder *f)
{
	if (!f)
		return;
	close_all(f);
	while (f->learned_count)
		unlearn(f, 0);
	loop_timer_cancel(f->loop, &f->tend);
	loop_timer_cancel(f->loop, &f->batch);
	domains_free(f->domains, f->domain_count);
	free(f->learned);
	free(f->lives);
	free(f->cache);
	free(f);
}

/* The exact name first, then the longest pattern: what NetBird's clients would be routed by. */
static const struct domain *find_domain(const struct forwarder *f, const char *name)
{
	const struct domain *best = NULL;

	for (size_t i = 0; i < f->domain_count; i++) {
		if (dns_matches(f->domains[i].pattern, name) &&
			(!best || strlen(f->domains[i].pattern) > strlen(best->pattern)))
			best = &f->domains[i];
	}
	return best;
}

static void set_tend(struct forwarder *f)
{
	uint64_t next = LOOP_NEVER;

	for (size_t i = 0; i < f->learned_count; i++) {
		if (f->lives[i].until_ns == LOOP_NEVER)
			continue;
		if (f->lives[i].again_ns < next)
			next = f->lives[i].again_ns;
		if (f->lives[i].until_ns < next)
			next = f->lives[i].until_ns;
	}
	if (next < f->tended_ns + TEND_EACH_NS)
		next = f->tended_ns + TEND_EACH_NS;
	loop_timer_set(f->loop, &f->tend, next);
}

/* What changed is told in the next turn, or when the loop had its time for others. */
static void tell_soon(struct forwarder *f)
{
	const uint64_t now = loop_now(f->loop);

	if (!loop_timer_is_set(&f->batch))
		loop_timer_set(f->loop, &f->batch, f->next_batch_ns > now ? f->next_batch_ns : now);
}

/* The address that was asked for longest ago; @source 0: of anybody's. Kept ones stay. */
static void evict(struct forwarder *f, __be32 source)
{
	size_t oldest = f->learned_count;

	for (size_t i = 0; i < f->learned_count; i++) {
		if (f->lives[i].until_ns == LOOP_NEVER || (source && f->lives[i].source != source))
			continue;
		if (oldest == f->learned_count || f->lives[i].asked_ns < f->lives[oldest].asked_ns)
			oldest = i;
	}
	if (oldest == f->learned_count)
		return;
	if (!f->full_said)
		log_warn("domain routes: %s; those that were asked for longest ago give way", source ?
			"a peer asked for more addresses than one may have" :
			"as many addresses are learned as there is room for");
	f->full_said = true;
	unlearn(f, oldest);
	f->stats.evicted++;
	tell_soon(f);
}

/* Room for one more, all at once: two arrays of the same length. */
static int make_room(struct forwarder *f, __be32 source)
{
	size_t held = 0;

	if (!f->learned) {
		f->learned = calloc(FORWARDER_LEARNED_MAX, sizeof(*f->learned));
		f->lives = calloc(FORWARDER_LEARNED_MAX, sizeof(*f->lives));
	}
	if (!f->learned || !f->lives)
		return -ENOMEM;
	for (size_t i = 0; i < f->learned_count && source; i++)
		held += f->lives[i].source == source;
	if (held >= SOURCE_LEARNED_MAX)
		evict(f, source);
	if (f->learned_count == FORWARDER_LEARNED_MAX)
		evict(f, 0);
	return f->learned_count < FORWARDER_LEARNED_MAX ? 0 : -ENOSPC;
}

/* @source 0: a look-up of our own. Returns true if rules and routes do not know of it yet. */
static bool learn_one(struct forwarder *f, const struct domain *domain, const char *name, __be32 addr,
	__be32 source)
{
	uint64_t now = loop_now(f->loop), until = domain->keep ? LOOP_NEVER : now + FORWARDER_LIFE_NS;
	char *copy;

	for (size_t i = 0; i < f->learned_count; i++) {
		if (f->learned[i].addr != addr || strcmp(f->learned[i].pattern, domain->pattern) != 0)
			continue;
		f->lives[i].until_ns = until;
		f->lives[i].again_ns = now + AGAIN_NS;
		if (source)
			f->lives[i].asked_ns = now;
		return f->lives[i].is_untold;
	}
	copy = make_room(f, source) ? NULL : strdup(name);
	if (!copy) {
		f->stats.not_learned++;
		return false;
	}
	f->learned[f->learned_count] = (struct forwarder_learned){
		.pattern = domain->pattern, .name = copy, .addr = addr, .masquerade = domain->masquerade,
	};
	f->lives[f->learned_count++] = (struct life){
		.until_ns = until, .again_ns = now + AGAIN_NS, .asked_ns = now, .source = source,
			.is_untold = true,
	};
	return true;
}

/*
 * To every domain that the name belongs to: their rules may differ. Only unicast that somebody can route: no
 * answer opens a way to this host itself.
 */
static bool learn(struct forwarder *f, const char *name, const struct resolver_address *list, size_t count,
	__be32 source)
{
	bool is_untold = false;

	for (size_t i = 0; i < count; i++) {
		uint32_t v4 = ntohl(list[i].addr.word[0]);

		if (list[i].family != AF_INET || v4 >> 24 == 127 || v4 >> 28 >= 14 || !(v4 >> 24) ||
			v4 >> 16 == 0xa9fe)
			continue;
		for (size_t d = 0; d < f->domain_count; d++) {
			if (dns_matches(f->domains[d].pattern, name))
				is_untold |= learn_one(f, &f->domains[d], name, list[i].addr.word[0], source);
		}
	}
	set_tend(f);
	return is_untold;
}

static struct cached *find_cached(struct forwarder *f, const char *name, uint16_t family)
{
	for (size_t i = 0; i < f->cache_count; i++) {
		if (f->cache[i].family == family && !strcmp(f->cache[i].name, name))
			return &f->cache[i];
	}
	return NULL;
}

static struct cached *cache_place(struct forwarder *f, const char *name, uint16_t family)
{
	struct cached *c = find_cached(f, name, family), *larger;

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

static size_t to_records(const struct resolver_address *list, size_t count, uint16_t family,
	struct dns_record *records)
{
	size_t n = 0;

	for (size_t i = 0; i < count && n < ADDRESSES_MAX; i++) {
		if (list[i].family == family)
			records[n++] = (struct dns_record){ .family = family, .addr = list[i].addr,
				.ttl_s = FORWARDER_TTL_S };
	}
	return n;
}

static int send_tcp(struct client *client, const uint8_t *answer, size_t len)
{
	uint8_t bytes[2 + ANSWER_MAX] = { len >> 8, len };

	memcpy(bytes + 2, answer, len);
	/* A fresh socket's buffer takes it; a client that lets it fill is not worth a queue. */
	if (send(client->fd.fd, bytes, len + 2, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len + 2)
		return 0;
	client_free(client);
	return -EPIPE;
}

static size_t answer_size(const struct question *q)
{
	return q->client ? ANSWER_MAX : q->dns.udp_size;
}

/* The question is gone after it, and the client may be. */
static void send_answer(struct question *q, const uint8_t *answer, size_t len)
{
	struct client *client = q->client;

	if (!client) {
		if (len)
			sendto(q->udp, answer, len, MSG_DONTWAIT, (struct sockaddr *)&q->from,
				sizeof(q->from));
		question_free(q);
		return;
	}
	question_free(q);
	client->len = 0;
	loop_timer_after(client->forwarder->loop, &client->idle, CLIENT_IDLE_NS);
	if (len && !send_tcp(client, answer, len))
		loop_fd_change(client->forwarder->loop, &client->fd, EPOLLIN | EPOLLET | EPOLLRDHUP);	/* what came meanwhile is told again */
}

static void reply(struct question *q, enum dns_rcode rcode, const struct dns_record *records, size_t count)
{
	uint8_t answer[ANSWER_MAX];

	size_t len = dns_build_answer(&q->dns, q->bytes, rcode, records, count, answer, answer_size(q));

	send_answer(q, answer, len);
}

static void reply_cached(struct question *q, uint16_t family)
{
	struct cached *c = find_cached(q->forwarder, q->dns.name, family);

	if (c) {
		q->forwarder->stats.from_cache++;
		reply(q, DNS_NOERROR, c->records, c->count);
		return;
	}
	q->forwarder->stats.failed++;
	reply(q, DNS_SERVFAIL, NULL, 0);
}

static uint16_t family_of(const struct question *q)
{
	return q->dns.type == DNS_TYPE_A ? AF_INET : AF_INET6;
}

/* The name has no address of the family that was asked for. Whether it exists at all, the other one tells. */
static void looked_for_other(void *ctx, enum resolver_result result, const struct resolver_address *list,
	size_t count)
{
	struct question *q = ctx;

	q->query = NULL;
	reply(q, result == RESOLVER_NOT_FOUND ? DNS_NXDOMAIN : DNS_NOERROR, NULL, 0);
}

static void look_for_other(struct question *q)
{
	struct resolver *resolver = resolver_get(q->forwarder->loop);
	int other = family_of(q) == AF_INET ? AF_INET6 : AF_INET;

	if (!resolver || resolver_ask_exactly(resolver, q->dns.name, other, RESOLVE_TIMEOUT_NS,
		looked_for_other, q, &q->query))
		reply(q, DNS_NOERROR, NULL, 0);
}

static void cache(struct forwarder *f, const struct question *q)
{
	struct cached *c = cache_place(f, q->dns.name, family_of(q));

	if (!c)
		return;
	*c = (struct cached){ .family = family_of(q), .used_ns = loop_now(f->loop), .count = q->count };
	memcpy(c->name, q->dns.name, sizeof(c->name));
	memcpy(c->records, q->records, q->count * sizeof(c->records[0]));
}

static enum dns_ede ede_of(enum resolver_result result)
{
	return result == RESOLVER_TIMED_OUT ? DNS_EDE_UPSTREAM_TIMEOUT : DNS_EDE_UPSTREAM_FAILURE;
}

static void failed(struct question *q, enum resolver_result result)
{
	q->dns.ede = ede_of(result);
	reply_cached(q, family_of(q));
}

static void resolved(void *ctx, enum resolver_result result, const struct resolver_address *list,
	size_t count)
{
	struct question *q = ctx;
	struct forwarder *f = q->forwarder;

	q->query = NULL;
	if (result == RESOLVER_FAILED || result == RESOLVER_TIMED_OUT) {
		failed(q, result);
		return;
	}
	if (result == RESOLVER_NOT_FOUND) {
		look_for_other(q);
		return;
	}
	count = count < ADDRESSES_MAX ? count : ADDRESSES_MAX;
	q->count = result == RESOLVER_OK ? to_records(list, count, family_of(q), q->records) : 0;
	cache(f, q);
	if (result == RESOLVER_OK && learn(f, q->dns.name, list, count, q->source ? q->source->addr : 0)) {
		/* The way has to be open before the asker hears of the address. */
		q->is_held = true;
		tell_soon(f);
	} else {
		reply(q, DNS_NOERROR, q->records, q->count);
	}
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * LOOP_SECOND + now.tv_nsec;
}

/*
 * Whoever hears it may set our domains anew, and with them close everything that waits: only what is left
 * after it is looked at.
 */
static void tell_learned(void *ctx)
{
	struct forwarder *f = ctx;
	const uint64_t begin = now_ns();
	struct question *q, *next;
	uint64_t pause;

	f->stats.batches++;
	for (size_t i = 0; i < f->learned_count; i++)
		f->lives[i].is_untold = false;
	f->events.learned(f->ctx);
	pause = (now_ns() - begin) * BATCH_SHARE;
	pause = pause < BATCH_LEAST_NS ? BATCH_LEAST_NS : pause > BATCH_MOST_NS ? BATCH_MOST_NS : pause;
	loop_update(f->loop);
	f->next_batch_ns = loop_now(f->loop) + pause;
	for (q = f->questions; q; q = next) {
		next = q->next;
		if (q->is_held)
			reply(q, DNS_NOERROR, q->records, q->count);
	}
}

static void got_records(void *ctx, enum resolver_result result, const uint8_t *bytes, size_t len)
{
	uint8_t answer[ANSWER_MAX];
	struct question *q = ctx;
	size_t answer_len = 0;

	q->query = NULL;
	if (result == RESOLVER_OK)
		answer_len = dns_build_copy(&q->dns, q->bytes, bytes, len, FORWARDER_TTL_S, answer,
			answer_size(q));
	/*
	 * No such name and none of this type look alike: "no such name" for one type would have resolvers
	 * forget the others.
	 */
	if (answer_len) {
		send_answer(q, answer, answer_len);
	} else if (result == RESOLVER_NOT_FOUND || result == RESOLVER_NO_DATA) {
		reply(q, DNS_NOERROR, NULL, 0);
	} else {
		q->forwarder->stats.failed++;
		q->dns.ede = ede_of(result);
		reply(q, DNS_SERVFAIL, NULL, 0);
	}
}

static void ask(struct question *q)
{
	struct resolver *resolver = resolver_get(q->forwarder->loop);

	if (!resolver || resolver_ask_exactly(resolver, q->dns.name, family_of(q), RESOLVE_TIMEOUT_NS,
		resolved, q, &q->query))
		failed(q, RESOLVER_FAILED);
}

static void ask_records(struct question *q)
{
	struct resolver *resolver = resolver_get(q->forwarder->loop);

	if (!resolver || resolver_ask_records(resolver, q->dns.name, q->dns.type, RESOLVE_TIMEOUT_NS,
		got_records, q, &q->query))
		got_records(q, RESOLVER_FAILED, NULL, 0);
}

/* Whom a question comes from; the one that was silent longest gives way. NULL: all of them wait. */
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

/* NULL: it asks too much. */
static struct source *take_source(struct forwarder *f, __be32 addr)
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

static struct question *question_new(struct forwarder *f, const uint8_t *bytes, size_t len,
	const struct dns_query *dns)
{
	struct question *q = f->question_count < FORWARDER_PENDING_MAX ? calloc(1, sizeof(*q)) : NULL;

	if (!q) {
		f->stats.dropped++;
		return NULL;
	}
	q->forwarder = f;
	q->dns = *dns;
	q->len = len;
	if (len)
		memcpy(q->bytes, bytes, len);
	q->link = &f->questions;
	q->next = f->questions;
	if (q->next)
		q->next->link = &q->next;
	f->questions = q;
	f->question_count++;
	return q;
}

/* What is asked for: addresses, other records that are passed on, or what no record of ours answers. */
enum kind { KIND_ADDRESS, KIND_RECORDS, KIND_OTHER };

static enum kind kind_of(const struct dns_query *dns)
{
	switch (dns->type) {
	case DNS_TYPE_A:
	case DNS_TYPE_AAAA:
		return KIND_ADDRESS;
	case DNS_TYPE_NS:
	case DNS_TYPE_CNAME:
	case DNS_TYPE_PTR:
	case DNS_TYPE_MX:
	case DNS_TYPE_TXT:
	case DNS_TYPE_SRV:
	case DNS_TYPE_HTTPS:
		return KIND_RECORDS;
	default:
		return KIND_OTHER;
	}
}

/*
 * A question that only the resolver can answer. Over UDP one too many is dropped without a word: the asker
 * tries again.
 */
static void resolve(struct forwarder *f, struct question *q)
{
	q->source = take_source(f, q->from.sin_addr.s_addr);
	if (!q->source) {
		f->stats.limited++;
		if (q->client)
			reply(q, DNS_SERVFAIL, NULL, 0);
		else
			question_free(q);
	} else if (kind_of(&q->dns) == KIND_ADDRESS) {
		ask(q);
	} else {
		ask_records(q);
	}
}

static void decide(struct forwarder *f, struct question *q, bool is_malformed)
{
	if (is_malformed) {
		f->stats.malformed++;
		reply(q, DNS_FORMERR, NULL, 0);
	} else if (!find_domain(f, q->dns.name) || q->dns.qclass != DNS_CLASS_IN) {
		f->stats.refused++;
		reply(q, DNS_REFUSED, NULL, 0);
	} else if (kind_of(&q->dns) == KIND_OTHER) {
		f->stats.other_types++;
		q->dns.ede = DNS_EDE_NOT_SUPPORTED;
		reply(q, DNS_NOERROR, NULL, 0);
	} else {
		resolve(f, q);
	}
}

/* One question, from wherever. */
static void handle(struct forwarder *f, const uint8_t *bytes, size_t len, struct client *client, int udp,
	const struct sockaddr_in *from)
{
	struct dns_query dns;
	struct question *q;
	int ret = dns_parse_query(bytes, len, &dns);

	f->stats.queries++;
	if (ret == -EBADMSG)
		f->stats.malformed++;
	q = ret == -EBADMSG ? NULL : question_new(f, bytes, len, &dns);
	if (!q) {
		if (client)
			client_free(client);
		return;
	}
	q->client = client;
	q->udp = udp;
	q->from = *from;
	if (client) {
		client->asking = q;
		/* it waits for us now */
		loop_timer_after(f->loop, &client->idle, 2 * RESOLVE_TIMEOUT_NS + CLIENT_IDLE_NS);
	}
	decide(f, q, ret);
}

static void read_udp(void *ctx, uint32_t events)
{
	struct listener *listener = ctx;

	for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
		struct sockaddr_in from;
		socklen_t from_len = sizeof(from);
		uint8_t bytes[QUERY_MAX];
		ssize_t len = recvfrom(listener->udp.fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC,
			(struct sockaddr *)&from, &from_len);

		if (len < 0)
			return;
		if ((size_t)len > sizeof(bytes)) {
			listener->forwarder->stats.malformed++;
			continue;
		}
		handle(listener->forwarder, bytes, len, NULL, listener->udp.fd, &from);
	}
}

static void client_free(struct client *client)
{
	struct forwarder *f = client->forwarder;

	if (client->asking) {
		client->asking->client = NULL;	/* or it would write to us */
		question_free(client->asking);
	}
	loop_timer_cancel(f->loop, &client->idle);
	close_fd(f->loop, &client->fd);
	for (int i = 0; i < CLIENTS_MAX; i++) {
		if (f->clients[i] == client)
			f->clients[i] = NULL;
	}
	free(client);
}

static void client_idle(void *ctx)
{
	client_free(ctx);
}

static void read_tcp(void *ctx, uint32_t events)
{
	struct client *client = ctx;
	size_t want;
	ssize_t got;

	/*
	 * One at a time. A client that has said all it will (RFC 7766 section 6.2.4 has them do so) still
	 * wants its answers; one that is gone does not.
	 */
	if (client->asking) {
		if (events & (EPOLLERR | EPOLLHUP))
			client_free(client);
		return;
	}
	do {
		want = client->len < 2 ? 2 : 2 + (client->bytes[0] << 8 | client->bytes[1]);
		if (want > sizeof(client->bytes)) {
			client->forwarder->stats.malformed++;
			client_free(client);
			return;
		}
		got = recv(client->fd.fd, client->bytes + client->len, want - client->len, MSG_DONTWAIT);
		if (got < 0 && errno == EAGAIN)
			return;
		if (got <= 0) {
			client_free(client);
			return;
		}
		client->len += got;
	} while (client->len <= 2 || client->len < 2U + (client->bytes[0] << 8 | client->bytes[1]));
	handle(client->forwarder, client->bytes + 2, client->len - 2, client, -1, &client->from);
}

static void accept_tcp(void *ctx, uint32_t events)
{
	struct listener *listener = ctx;
	struct forwarder *f = listener->forwarder;
	struct sockaddr_in from = {};
	socklen_t from_len = sizeof(from);
	int fd = accept4(listener->tcp.fd, (struct sockaddr *)&from, &from_len, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int place = 0;
	struct client *client;

	if (fd < 0)
		return;
	while (place < CLIENTS_MAX && f->clients[place])
		place++;
	client = place < CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
	if (!client) {
		f->stats.dropped++;
		close(fd);
		return;
	}
	client->forwarder = f;
	client->from = from;
	loop_timer_init(&client->idle, client_idle, client);
	/*
	 * Edge-triggered: what a busy client sends ahead is not read before its answer is out, and must not
	 * wake us until then.
	 */
	if (loop_fd_add(f->loop, &client->fd, fd, EPOLLIN | EPOLLET | EPOLLRDHUP, read_tcp, client)) {
		close(fd);
		free(client);
		return;
	}
	loop_timer_after(f->loop, &client->idle, CLIENT_IDLE_NS);
	f->clients[place] = client;
}

static int open_socket(__be32 addr, uint16_t port, int type)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = addr };
	const int on = 1;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ret;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* the address may come a moment later */
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) || (type == SOCK_STREAM && listen(fd, 16))) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

static int watch(struct forwarder *f, struct loop_fd *handle, uint16_t port, int type, loop_fd_fn fn,
	struct listener *listener)
{
	int fd = open_socket(f->addr, port, type), ret;

	if (fd < 0)
		return fd;
	ret = loop_fd_add(f->loop, handle, fd, EPOLLIN, fn, listener);
	if (ret)
		close(fd);
	return ret;
}

static int listen_on(struct forwarder *f, struct listener *listener, uint16_t port)
{
	int ret;

	listener->forwarder = f;
	ret = watch(f, &listener->udp, port, SOCK_DGRAM, read_udp, listener);
	return ret ? ret : watch(f, &listener->tcp, port, SOCK_STREAM, accept_tcp, listener);
}

static int open_all(struct forwarder *f, char *err, size_t errlen)
{
	int ret = listen_on(f, &f->listeners[0], f->port);

	if (ret) {
		snprintf(err, errlen, "DNS forwarder: port %u: %s", f->port, strerror(-ret));
		close_all(f);
		return ret;
	}
	/* Only old peers ask here; something else of the host's may have it. */
	if (f->port != FORWARDER_PORT_OLD && listen_on(f, &f->listeners[1], FORWARDER_PORT_OLD))
		log_warn("DNS forwarder: port %d is taken: peers older than 0.59 cannot ask",
			FORWARDER_PORT_OLD);
	return 0;
}

static int copy_domains(const struct forwarder_domain *from, size_t count, struct domain **ret_domains)
{
	struct domain *domains = calloc(count + 1, sizeof(*domains));

	if (!domains)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		domains[i] = (struct domain){ strdup(from[i].pattern), from[i].masquerade, from[i].keep };
		if (!domains[i].pattern) {
			domains_free(domains, i);
			return -ENOMEM;
		}
	}
	*ret_domains = domains;
	return 0;
}

/* Learned addresses follow their domain; those of domains that are gone go too. */
static void keep_learned(struct forwarder *f, struct domain *domains, size_t count)
{
	for (size_t i = 0; i < f->learned_count;) {
		size_t d = 0;

		while (d < count && strcmp(domains[d].pattern, f->learned[i].pattern) != 0)
			d++;
		if (d == count) {
			unlearn(f, i);
			continue;
		}
		f->learned[i].pattern = domains[d].pattern;
		f->learned[i].masquerade = domains[d].masquerade;
		i++;
	}
}

int forwarder_set(struct forwarder *f, __be32 addr, uint16_t port, const struct forwarder_domain *list,
	size_t count, char *err, size_t errlen)
{
	bool was_open = f->listeners[0].udp.is_watched;
	struct domain *domains;

	if (!addr)
		count = 0;
	if (copy_domains(list, count, &domains)) {
		snprintf(err, errlen, "DNS forwarder: out of memory");
		return -ENOMEM;
	}
	keep_learned(f, domains, count);
	domains_free(f->domains, f->domain_count);
	f->domains = domains;
	f->domain_count = count;
	set_tend(f);
	if (!count) {
		close_all(f);
		return 0;
	}
	if (was_open && f->addr == addr && f->port == port)
		return 0;
	close_all(f);
	f->addr = addr;
	f->port = port;
	return open_all(f, err, errlen);
}

size_t forwarder_sockets(const struct forwarder *f, struct acl_port list[static FORWARDER_SOCKETS])
{
	const uint16_t ports[PORTS] = { f->port, FORWARDER_PORT_OLD };
	size_t count = 0;

	for (int i = 0; i < PORTS; i++) {
		if (f->listeners[i].udp.is_watched)
			list[count++] = (struct acl_port){ ports[i], NETMAP_UDP };
		if (f->listeners[i].tcp.is_watched)
			list[count++] = (struct acl_port){ ports[i], NETMAP_TCP };
	}
	return count;
}

const struct forwarder_learned *forwarder_list(const struct forwarder *f, size_t *ret_count)
{
	*ret_count = f->learned_count;
	return f->learned;
}

void forwarder_get_stats(const struct forwarder *f, struct forwarder_stats *ret_stats)
{
	*ret_stats = f->stats;
	ret_stats->learned = f->learned_count;
}

/* A look-up of our own: nobody waits for it. */
static void looked_up_again(void *ctx, enum resolver_result result, const struct resolver_address *list,
	size_t count)
{
	struct question *q = ctx;
	struct forwarder *f = q->forwarder;

	q->query = NULL;
	if (result == RESOLVER_OK && learn(f, q->dns.name, list, count, 0))
		tell_soon(f);
	question_free(q);
}

static void look_up_again(struct forwarder *f, const char *name)
{
	struct resolver *resolver = resolver_get(f->loop);
	struct dns_query dns = { .type = DNS_TYPE_A };
	struct question *q;

	snprintf(dns.name, sizeof(dns.name), "%s", name);
	q = resolver ? question_new(f, NULL, 0, &dns) : NULL;
	if (q && resolver_ask_exactly(resolver, name, AF_INET, RESOLVE_TIMEOUT_NS, looked_up_again, q,
		&q->query))
		question_free(q);
}

/* One look-up is good for all addresses of the name. */
static void renew(struct forwarder *f, const char *name)
{
	const uint64_t next = loop_now(f->loop) + (FORWARDER_LIFE_NS - AGAIN_NS) / 4;

	for (size_t i = 0; i < f->learned_count; i++) {
		if (!strcmp(f->learned[i].name, name))
			f->lives[i].again_ns = next;
	}
	look_up_again(f, name);
}

/*
 * What is due: addresses whose time is up go, names whose time is near are looked up again, a few at a time.
 */
static void tend(void *ctx)
{
	struct forwarder *f = ctx;
	uint64_t now = loop_now(f->loop);
	unsigned left = TEND_AT_ONCE;
	bool gone = false;

	for (size_t i = 0; i < f->learned_count;) {
		const struct life *life = &f->lives[i];

		if (life->until_ns <= now) {
			unlearn(f, i);
			f->stats.aged_out++;
			gone = true;
			continue;
		}
		if (life->asked_ns + UNASKED_NS <= now)
			f->lives[i].again_ns = LOOP_NEVER;
		else if (life->until_ns != LOOP_NEVER && life->again_ns <= now && left) {
			left--;
			renew(f, f->learned[i].name);
		}
		i++;
	}
	f->tended_ns = now;
	set_tend(f);
	if (gone)
		tell_soon(f);
}
