// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Learned addresses: added from answers, renewed while their name is wanted, removed when their time is up.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cidr.h"
#include "base/clock.h"
#include "dns/internal.h"
#include "log/log.h"

/* a learned name is looked up again after this long */
#define AGAIN_NS		(FORWARDER_LIFE_NS * 3 / 4)
/* a name that the mesh has not asked for in this long is not looked up again */
#define UNASKED_NS		(7 * 24 * FORWARDER_LIFE_NS)
#define TEND_EACH_NS		(250 * LOOP_MS)	/* each time, up to TEND_AT_ONCE due names are looked up */
#define TEND_AT_ONCE		32
#define SOURCE_LEARNED_MAX	(FORWARDER_LEARNED_MAX / 4)
/*
 * Rules and routes are made anew for all addresses learned since the last time, and not before the rest of
 * the process had BATCH_SHARE times as long as that took: a burst of new names costs the loop a tenth of its
 * time.
 */
#define BATCH_LEAST_NS		(20 * LOOP_MS)
#define BATCH_MOST_NS		(2 * LOOP_SECOND)	/* askers wait 5 s or more */
#define BATCH_SHARE		9

void learned_remove(struct forwarder *f, size_t i)
{
	free((char *)f->learned[i].name);
	f->learned_count--;
	f->learned[i] = f->learned[f->learned_count];
	f->lives[i] = f->lives[f->learned_count];
}

void learned_set_timer(struct forwarder *f)
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

void learned_tell_soon(struct forwarder *f)
{
	const uint64_t now = loop_now(f->loop);

	if (!loop_timer_is_set(&f->batch))
		loop_timer_set(f->loop, &f->batch, f->next_batch_ns > now ? f->next_batch_ns : now);
}

/*
 * Removes the address that was asked for longest ago, of those that @source (0: anybody) had us learn. Kept
 * ones stay.
 */
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
		log_warn("domain routes: %s; those asked for longest ago are removed", source ?
			"a peer asked for more addresses than one peer may have" :
			"the table of learned addresses is full");
	f->full_said = true;
	learned_remove(f, oldest);
	f->stats.evicted++;
	learned_tell_soon(f);
}

/*
 * Has a place free for one more address. Both arrays are allocated at their full length with the first one.
 */
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

static bool has_addr(const struct forwarder_learned *learned, const struct resolver_address *address)
{
	return learned->family == address->family &&
		!memcmp(&learned->addr, &address->addr, sizeof(learned->addr));
}

/* As learned_add(), for one address and one domain. */
static bool learn_one(struct forwarder *f, const struct domain *domain, const char *name,
	const struct resolver_address *address, __be32 source)
{
	uint64_t now = loop_now(f->loop), until = domain->keep ? LOOP_NEVER : now + FORWARDER_LIFE_NS;
	char *copy;

	for (size_t i = 0; i < f->learned_count; i++) {
		if (!has_addr(&f->learned[i], address) || strcmp(f->learned[i].pattern, domain->pattern) != 0)
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
		.pattern = domain->pattern, .name = copy, .family = address->family, .addr = address->addr,
		.masquerade = domain->masquerade,
	};
	f->lives[f->learned_count++] = (struct life){
		.until_ns = until, .again_ns = now + AGAIN_NS, .asked_ns = now,
		.source = source, .is_untold = true,
	};
	return true;
}

/* Not this network, loopback, link-local, multicast or class E; nor an IPv4 address in IPv6's clothes. */
static bool is_routable(const struct resolver_address *address)
{
	const uint32_t v4 = ntohl(address->addr.word[0]);

	if (address->family == AF_INET6)
		return addr6_is_host(&address->addr);
	return address->family == AF_INET && v4 >> 24 && v4 >> 24 != 127 && v4 >> 16 != 0xa9fe &&
		v4 >> 28 < 14;
}

bool learned_add(struct forwarder *f, const char *name, const struct resolver_address *list, size_t count,
	__be32 source)
{
	bool is_untold = false;

	for (size_t i = 0; i < count; i++) {
		if (!is_routable(&list[i]))
			continue;
		/* to every domain that the name belongs to: their rules may differ */
		for (size_t d = 0; d < f->domain_count; d++) {
			if (dns_matches(f->domains[d].pattern, name))
				is_untold |= learn_one(f, &f->domains[d], name, &list[i], source);
		}
	}
	learned_set_timer(f);
	return is_untold;
}

void learned_keep(struct forwarder *f, const struct domain *domains, size_t count)
{
	for (size_t i = 0; i < f->learned_count;) {
		size_t d = 0;

		while (d < count && strcmp(domains[d].pattern, f->learned[i].pattern) != 0)
			d++;
		if (d == count) {
			learned_remove(f, i);
			continue;
		}
		f->learned[i].pattern = domains[d].pattern;
		f->learned[i].masquerade = domains[d].masquerade;
		i++;
	}
}

/*
 * events.learned may call forwarder_set(), which may free every question: the list is read only after it.
 */
void learned_tell(void *ctx)
{
	struct forwarder *f = ctx;
	const uint64_t begin = clock_mono_ns();
	struct question *q, *next;
	uint64_t pause;

	f->stats.batches++;
	for (size_t i = 0; i < f->learned_count; i++)
		f->lives[i].is_untold = false;
	f->events.learned(f->ctx);
	pause = (clock_mono_ns() - begin) * BATCH_SHARE;
	pause = pause < BATCH_LEAST_NS ? BATCH_LEAST_NS : pause > BATCH_MOST_NS ? BATCH_MOST_NS : pause;
	loop_update(f->loop);
	f->next_batch_ns = loop_now(f->loop) + pause;
	for (q = f->questions; q; q = next) {
		next = q->next;
		if (q->is_held)
			question_reply(q, DNS_NOERROR, q->records, q->count);
	}
}

/* A look-up of our own, which no client waits for. */
static void looked_up_again(void *ctx, enum resolver_result result, const struct resolver_address *list,
	size_t count)
{
	struct question *q = ctx;
	struct forwarder *f = q->forwarder;

	q->query = NULL;
	if (result == RESOLVER_OK && learned_add(f, q->dns.name, list, count, 0))
		learned_tell_soon(f);
	question_free(q);
}

static void look_up_again(struct forwarder *f, const char *name, uint8_t family)
{
	struct resolver *resolver = resolver_get(f->loop);
	struct dns_query dns = { .type = family == AF_INET ? DNS_TYPE_A : DNS_TYPE_AAAA };
	struct question *q;

	snprintf(dns.name, sizeof(dns.name), "%s", name);
	q = resolver ? question_new(f, NULL, 0, &dns) : NULL;
	if (q && resolver_ask_exactly(resolver, name, family, RESOLVE_TIMEOUT_NS, looked_up_again, q,
		&q->query))
		question_free(q);
}

/* One look-up renews all addresses of the name in that family. */
static void renew(struct forwarder *f, const char *name, uint8_t family)
{
	const uint64_t next = loop_now(f->loop) + (FORWARDER_LIFE_NS - AGAIN_NS) / 4;

	for (size_t i = 0; i < f->learned_count; i++) {
		if (f->learned[i].family == family && !strcmp(f->learned[i].name, name))
			f->lives[i].again_ns = next;
	}
	look_up_again(f, name, family);
}

/* Removes addresses whose time is up, and looks up names whose time is near, a few at a time. */
void learned_tend(void *ctx)
{
	struct forwarder *f = ctx;
	uint64_t now = loop_now(f->loop);
	unsigned left = TEND_AT_ONCE;
	bool gone = false;

	for (size_t i = 0; i < f->learned_count;) {
		const struct life *life = &f->lives[i];

		if (life->until_ns <= now) {
			learned_remove(f, i);
			f->stats.aged_out++;
			gone = true;
			continue;
		}
		if (life->asked_ns + UNASKED_NS <= now)
			f->lives[i].again_ns = LOOP_NEVER;
		else if (life->until_ns != LOOP_NEVER && life->again_ns <= now && left) {
			left--;
			renew(f, f->learned[i].name, f->learned[i].family);
		}
		i++;
	}
	f->tended_ns = now;
	learned_set_timer(f);
	if (gone)
		learned_tell_soon(f);
}
