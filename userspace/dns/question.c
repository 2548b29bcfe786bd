// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A question from its arrival to its answer: refused, answered at once, or looked up.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "dns/internal.h"

struct question *question_new(struct forwarder *f, const uint8_t *bytes, size_t len,
	const struct dns_query *dns)
{
	struct question *q = f->question_count < FORWARDER_PENDING_MAX ? calloc(1, sizeof(*q)) : NULL;

	if (!q) {
		f->stats.dropped++;
		return NULL;
	}
	q->forwarder = f;
	q->until_ns = loop_now(f->loop) + RESOLVE_TIMEOUT_NS;
	q->dns = *dns;
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

void question_free(struct question *q)
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

static size_t answer_size(const struct question *q)
{
	return q->client ? ANSWER_MAX : q->dns.udp_size;
}

/* Sends the answer (@len 0: none can be built) and frees the question. It may free the client. */
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
	if (!len || !client_send(client, answer, len))
		client_is_answered(client);
}

void question_reply(struct question *q, enum dns_rcode rcode, const struct dns_record *records, size_t count)
{
	uint8_t answer[ANSWER_MAX];
	size_t len = dns_build_answer(&q->dns, q->bytes, rcode, records, count, answer, answer_size(q));

	send_answer(q, answer, len);
}

static uint16_t family_of(const struct question *q)
{
	return q->dns.type == DNS_TYPE_A ? AF_INET : AF_INET6;
}

static void reply_cached(struct question *q, uint16_t family)
{
	struct cached *c = cache_find(q->forwarder, q->dns.name, family);

	if (c) {
		q->forwarder->stats.from_cache++;
		question_reply(q, DNS_NOERROR, c->records, c->count);
		return;
	}
	q->forwarder->stats.failed++;
	question_reply(q, DNS_SERVFAIL, NULL, 0);
}

/*
 * The name has no address of the family asked for. If it has none of the other one either, it does not exist.
 */
static void looked_for_other(void *ctx, enum resolver_result result, const struct resolver_address *list,
	size_t count)
{
	struct question *q = ctx;

	q->query = NULL;
	question_reply(q, result == RESOLVER_NOT_FOUND ? DNS_NXDOMAIN : DNS_NOERROR, NULL, 0);
}

/* For one more look-up. */
static uint64_t time_left(const struct question *q)
{
	const uint64_t now = loop_now(q->forwarder->loop);

	return q->until_ns > now ? q->until_ns - now : 0;
}

static void look_for_other(struct question *q)
{
	struct resolver *resolver = resolver_get(q->forwarder->loop);
	int other = family_of(q) == AF_INET ? AF_INET6 : AF_INET;

	if (!resolver || resolver_ask_exactly(resolver, q->dns.name, other, time_left(q), looked_for_other, q,
		&q->query))
		question_reply(q, DNS_NOERROR, NULL, 0);
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

static void cache_put(struct forwarder *f, const struct question *q)
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
	cache_put(f, q);
	if (result == RESOLVER_OK &&
		learned_add(f, q->dns.name, list, count, q->source ? q->source->addr : 0)) {
		/* The asker must not hear of the address before packets to it can pass. */
		q->is_held = true;
		learned_tell_soon(f);
	} else {
		question_reply(q, DNS_NOERROR, q->records, q->count);
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
	 * The host's resolver does not tell "no such name" from "no record of this type". NXDOMAIN would have
	 * the asker's resolver give up the name's other types as well, so both are NODATA.
	 */
	if (answer_len) {
		send_answer(q, answer, answer_len);
	} else if (result == RESOLVER_NOT_FOUND || result == RESOLVER_NO_DATA) {
		question_reply(q, DNS_NOERROR, NULL, 0);
	} else {
		q->forwarder->stats.failed++;
		q->dns.ede = ede_of(result);
		question_reply(q, DNS_SERVFAIL, NULL, 0);
	}
}

static void ask(struct question *q)
{
	struct resolver *resolver = resolver_get(q->forwarder->loop);

	if (!resolver || resolver_ask_exactly(resolver, q->dns.name, family_of(q), time_left(q), resolved, q,
		&q->query))
		failed(q, RESOLVER_FAILED);
}

static void ask_records(struct question *q)
{
	struct resolver *resolver = resolver_get(q->forwarder->loop);

	if (!resolver || resolver_ask_records(resolver, q->dns.name, q->dns.type, time_left(q), got_records,
		q, &q->query))
		got_records(q, RESOLVER_FAILED, NULL, 0);
}

/* Addresses are resolved and learned, other records are passed on, and other types get NODATA. */
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

static bool is_of_a_domain(const struct forwarder *f, const char *name)
{
	for (size_t i = 0; i < f->domain_count; i++) {
		if (dns_matches(f->domains[i].pattern, name))
			return true;
	}
	return false;
}

/*
 * Has the resolver asked. Over UDP, a question beyond the source's limit gets no answer: the asker tries
 * again.
 */
static void resolve(struct forwarder *f, struct question *q)
{
	q->source = source_take(f, q->from.sin_addr.s_addr);
	if (!q->source) {
		f->stats.limited++;
		if (q->client)
			question_reply(q, DNS_SERVFAIL, NULL, 0);
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
		question_reply(q, DNS_FORMERR, NULL, 0);
	} else if (!is_of_a_domain(f, q->dns.name) || q->dns.qclass != DNS_CLASS_IN) {
		f->stats.refused++;
		question_reply(q, DNS_REFUSED, NULL, 0);
	} else if (kind_of(&q->dns) == KIND_OTHER) {
		f->stats.other_types++;
		q->dns.ede = DNS_EDE_NOT_SUPPORTED;
		question_reply(q, DNS_NOERROR, NULL, 0);
	} else {
		resolve(f, q);
	}
}

void question_take(struct forwarder *f, const uint8_t *bytes, size_t len, struct client *client, int udp,
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
		/* not idle while it waits for us */
		loop_timer_after(f->loop, &client->idle, RESOLVE_TIMEOUT_NS + CLIENT_IDLE_NS);
	}
	decide(f, q, ret);
}
