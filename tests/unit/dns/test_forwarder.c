// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Domain routes: questions that may be asked, answers, what is learned from them and for how long. The
// resolver is a stand-in; sockets are real, on loopback.
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "dns/dns_wire.c"
#include "dns/internal.h"

/* The stand-in answers in the next turn with what `answer` says. */
static struct {
	enum resolver_result result;
	struct resolver_address list[4];
	size_t count;
	char name[DNS_NAME_LEN];
	int family;
	int asked;
	uint64_t timeouts[2];	/* of the last two look-ups for addresses */
	uint64_t takes_ns;
	bool other_exists;		/* names of which there is no A have AAAA */
	bool each_its_own;		/* 10.N.N.N by the number of the question */
	uint8_t message[512];
	size_t message_len;
	uint16_t type;
} answer;

struct resolver_query {
	struct loop_timer timer;
	struct loop *loop;
	resolver_fn fn;
	resolver_records_fn records_fn;
	int family;
	void *ctx;
};

struct resolver *resolver_get(struct loop *loop)
{
	return (struct resolver *)loop;
}

static void give(void *ctx)
{
	struct resolver_query q = *(struct resolver_query *)ctx;

	free(ctx);
	if (q.records_fn)
		q.records_fn(q.ctx, answer.result, answer.result ? NULL : answer.message,
			answer.result ? 0 : answer.message_len);
	else
		q.fn(q.ctx, answer.other_exists && q.family == AF_INET6 ? RESOLVER_OK : answer.result,
			answer.list, answer.count);
}

static struct resolver_query *new_query(struct resolver *resolver, const char *name, void *ctx)
{
	struct resolver_query *q = calloc(1, sizeof(*q));

	assert_non_null(q);
	*q = (struct resolver_query){ .loop = (struct loop *)resolver, .ctx = ctx };
	loop_timer_init(&q->timer, give, q);
	loop_timer_after(q->loop, &q->timer, answer.takes_ns);
	snprintf(answer.name, sizeof(answer.name), "%s", name);
	answer.asked++;
	if (answer.each_its_own)
		answer.list[0].addr.word[0] = htonl(0x0a000000 + answer.asked);
	return q;
}

int resolver_ask_exactly(struct resolver *resolver, const char *name, int family, uint64_t timeout_ns,
	resolver_fn fn, void *ctx, struct resolver_query **ret_query)
{
	*ret_query = new_query(resolver, name, ctx);
	answer.timeouts[answer.asked % 2] = timeout_ns;
	(*ret_query)->fn = fn;
	(*ret_query)->family = answer.family = family;
	return 0;
}

int resolver_ask_records(struct resolver *resolver, const char *name, uint16_t type, uint64_t timeout_ns,
	resolver_records_fn fn, void *ctx, struct resolver_query **ret_query)
{
	*ret_query = new_query(resolver, name, ctx);
	(*ret_query)->records_fn = fn;
	answer.type = type;
	return 0;
}

void resolver_cancel(struct resolver_query *q)
{
	loop_timer_cancel(q->loop, &q->timer);
	free(q);
}

static size_t question(uint8_t *buf, const char *name, uint16_t type, bool edns)
{
	uint8_t *p = buf;

	memcpy(p, "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00", 11);
	p += 11;
	*p++ = edns;
	while (*name) {
		size_t len = strcspn(name, ".");

		*p++ = len;
		memcpy(p, name, len);
		p += len;
		name += len + (name[len] == '.');
	}
	*p++ = 0;
	*p++ = type >> 8;
	*p++ = type;
	*p++ = 0;
	*p++ = 1;
	if (edns) {
		memcpy(p, "\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00", 11);
		p += 11;
	}
	return p - buf;
}

static void names_are_read_lower_case_and_only_plain_ones(void **state)
{
	struct dns_query q;
	uint8_t b[512];
	size_t len = question(b, "App.Example.TEST", 1, true);

	assert_int_equal(dns_parse_query(b, len, &q), 0);
	assert_string_equal(q.name, "app.example.test");
	assert_int_equal(q.id, 0x1234);
	assert_int_equal(q.udp_size, DNS_UDP_MAX);
	for (size_t cut = 0; cut < len - 11; cut++)
		assert_int_not_equal(dns_parse_query(b, cut, &q), 0);
	b[13] = '*';
	assert_int_equal(dns_parse_query(b, len, &q), -EPROTO);
	b[13] = 0;
	assert_int_equal(dns_parse_query(b, len, &q), -EPROTO);
	len = question(b, "a.b", 1, false);
	b[12] = 0xc0;	/* a pointer, where nothing is to point to */
	assert_int_equal(dns_parse_query(b, len, &q), -EPROTO);
	b[2] |= 0x80;	/* an answer */
	assert_int_equal(dns_parse_query(b, len, &q), -EBADMSG);
}

static void patterns_match_themselves_and_with_a_star_all_below(void **state)
{
	assert_true(dns_matches("a.test", "a.test"));
	assert_false(dns_matches("a.test", "b.a.test"));
	assert_true(dns_matches("*.a.test", "a.test"));
	assert_true(dns_matches("*.a.test", "b.a.test"));
	assert_true(dns_matches("*.a.test", "c.b.a.test"));
	assert_false(dns_matches("*.a.test", "ba.test"));
	assert_false(dns_matches("*.a.test", "test"));
}

static void an_answer_too_long_for_its_datagram_says_so(void **state)
{
	struct dns_record records[40] = {};
	uint8_t b[512], out[4096];
	struct dns_query q;
	size_t len = question(b, "a.test", 1, false);

	for (int i = 0; i < 40; i++)
		records[i] = (struct dns_record){ .family = AF_INET, .addr.word[0] = htonl(0x0a000000 + i),
			.ttl_s = 60 };
	assert_int_equal(dns_parse_query(b, len, &q), 0);
	len = dns_build_answer(&q, b, DNS_NOERROR, records, 40, out, 512);
	assert_true(len <= 512);
	assert_int_equal(out[2] & 2, 2);
	assert_int_equal(out[7], (512 - 12 - q.question_len) / 16);
	len = dns_build_answer(&q, b, DNS_NOERROR, records, 40, out, sizeof(out));
	assert_int_equal(len, 12 + q.question_len + 40 * 16);
	assert_int_equal(out[2] & 2, 0);
}

struct world {
	struct loop *loop;
	struct forwarder *f;
	int learned;
	bool is_busy;		/* answers to other questions may wait to be read */
	bool closes;		/* what is learned changes our domains */
	uint16_t port;
	int fd;
};

/* Nobody has heard of an address whose way is not open yet. */
static void learned(void *ctx)
{
	struct world *w = ctx;
	char byte, err[200];

	w->learned++;
	if (w->fd && !w->is_busy)
		assert_int_equal(recv(w->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	if (w->closes)
		assert_int_equal(forwarder_set(w->f, 0, 0, NULL, 0, err, sizeof(err)), 0);
}

static uint16_t free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	close(fd);
	return ntohs(at.sin_port);
}

static const struct forwarder_domain domains[] = { { "*.corp.test", true, false },
	{ "db.corp.test", false, false } };

static int setup(void **state)
{
	static const struct forwarder_events events = { learned };
	struct world *w = calloc(1, sizeof(*w));
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	char err[200];

	memset(&answer, 0, sizeof(answer));
	assert_int_equal(loop_new(&w->loop), 0);
	assert_int_equal(forwarder_new(w->loop, &events, w, &w->f), 0);
	w->port = free_port();
	assert_int_equal(forwarder_set(w->f, htonl(INADDR_LOOPBACK), w->port, domains, 2, err,
		sizeof(err)), 0);
	w->fd = socket(AF_INET, SOCK_DGRAM, 0);
	to.sin_port = htons(w->port);
	assert_int_equal(connect(w->fd, (struct sockaddr *)&to, sizeof(to)), 0);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	close(w->fd);
	forwarder_free(w->f);
	loop_free(w->loop);
	free(w);
	return 0;
}

/* Turns until an answer is there. */
static size_t wait_answer(struct world *w, int fd, uint8_t *out, size_t size)
{
	for (int i = 0; i < 1000; i++) {
		ssize_t got = recv(fd, out, size, MSG_DONTWAIT);

		if (got >= 0)
			return got;
		assert_int_equal(loop_turn(w->loop, 10 * LOOP_MS), 0);
	}
	fail_msg("no answer");
	return 0;
}

static int ask_udp(struct world *w, const char *name, uint16_t type, uint8_t *out)
{
	uint8_t b[512];
	size_t len = question(b, name, type, true);

	assert_int_equal(send(w->fd, b, len, 0), len);
	wait_answer(w, w->fd, out, 4096);
	assert_memory_equal(out, b, 2);
	return out[3] & 15;
}

static void answer_with(enum resolver_result result, const char *addr)
{
	answer.result = result;
	answer.count = addr ? 1 : 0;
	if (!addr)
		return;
	answer.list[0] = (struct resolver_address){ .family = strchr(addr, ':') ? AF_INET6 : AF_INET };
	assert_int_equal(inet_pton(answer.list[0].family, addr, &answer.list[0].addr), 1);
}

static void our_domains_are_answered_and_learned_before_the_answer_leaves(void **state)
{
	struct world *w = *state;
	const struct forwarder_learned *list;
	uint8_t out[4096];
	size_t count;

	answer_with(RESOLVER_OK, "10.7.0.5");
	assert_int_equal(ask_udp(w, "web.corp.test", 1, out), DNS_NOERROR);
	assert_string_equal(answer.name, "web.corp.test");
	assert_int_equal(answer.family, AF_INET);
	assert_int_equal(w->learned, 1);
	assert_int_equal(out[7], 1);
	assert_memory_equal(out + 12 + 15 + 4 + 2,
		"\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x07\x00\x05", 14);
	list = forwarder_list(w->f, &count);
	assert_int_equal(count, 1);
	assert_string_equal(list[0].pattern, "*.corp.test");
	assert_true(list[0].masquerade);
	/* A name that two domains cover belongs to both. */
	answer_with(RESOLVER_OK, "10.7.0.6");
	assert_int_equal(ask_udp(w, "DB.corp.test", 1, out), DNS_NOERROR);
	forwarder_list(w->f, &count);
	assert_int_equal(count, 3);
	assert_int_equal(w->learned, 2);
	assert_int_equal(ask_udp(w, "db.corp.test", 1, out), DNS_NOERROR);
	assert_int_equal(w->learned, 2);	/* nothing new */
}

static void others_are_refused(void **state)
{
	struct world *w = *state;
	struct forwarder_stats stats;
	uint8_t out[4096];

	assert_int_equal(ask_udp(w, "example.org", 1, out), DNS_REFUSED);
	assert_int_equal(ask_udp(w, "xcorp.test", 1, out), DNS_REFUSED);
	assert_int_equal(answer.asked, 0);
	forwarder_get_stats(w->f, &stats);
	assert_int_equal(stats.refused, 2);
}

/* Never "no such name" nor "not implemented" for a type: resolvers would give up the whole name. */
static void every_type_is_passed_on_or_has_no_data(void **state)
{
	enum { PASSED, OTHER };
	static const struct { uint16_t type; int kind; } rows[] = {
		{ DNS_TYPE_NS, PASSED }, { DNS_TYPE_CNAME, PASSED }, { DNS_TYPE_PTR, PASSED },
		{ DNS_TYPE_MX, PASSED },
		{ DNS_TYPE_TXT, PASSED }, { DNS_TYPE_SRV, PASSED }, { DNS_TYPE_HTTPS, PASSED },
		{ 6, OTHER }, { 13, OTHER }, { 35, OTHER }, { 64, OTHER }, { 255, OTHER }, { 257, OTHER },
		{ 65535, OTHER },
	};
	static const struct { enum resolver_result result; enum dns_rcode rcode; uint16_t ede; } results[] = {
		{ RESOLVER_NOT_FOUND, DNS_NOERROR, 0 }, { RESOLVER_NO_DATA, DNS_NOERROR, 0 },
		{ RESOLVER_FAILED, DNS_SERVFAIL, DNS_EDE_UPSTREAM_FAILURE },
		{ RESOLVER_TIMED_OUT, DNS_SERVFAIL, DNS_EDE_UPSTREAM_TIMEOUT },
	};
	struct world *w = *state;
	struct forwarder_stats stats;
	uint8_t out[4096];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t j = 0; j < sizeof(results) / sizeof(results[0]); j++) {
			const int before = answer.asked;
			const bool passed = rows[i].kind == PASSED;
			const uint16_t ede = passed ? results[j].ede : DNS_EDE_NOT_SUPPORTED;

			answer_with(results[j].result, NULL);
			assert_int_equal(ask_udp(w, "web.corp.test", rows[i].type, out),
				passed ? results[j].rcode : DNS_NOERROR);
			assert_int_equal(out[7], 0);
			assert_int_equal(answer.asked - before, passed);
			if (passed)
				assert_int_equal(answer.type, rows[i].type);
			/* After the question (19 bytes): OPT (11), option code, length, info code. */
			assert_int_equal(out[12 + 19 + 10], ede ? 6 + strlen(ede_text(ede)) : 0);
			if (ede)
				assert_int_equal(out[12 + 19 + 15] << 8 | out[12 + 19 + 16], ede);
		}
	}
	forwarder_get_stats(w->f, &stats);
	assert_int_equal(stats.other_types, 7 * 4);
	assert_int_equal(w->learned, 0);
}

/* From a message in which every name is compressed: names inside the data too are written out. */
static void records_are_copied_without_what_they_point_to(void **state)
{
	static const uint8_t from[] =
		"\x00\x07\x81\x80\x00\x01\x00\x03\x00\x00\x00\x00"
		"\x03WEB\x04""corp\x04test\x00\x00\x21\x00\x01"
		/* CNAME in.corp.test, whose name is at 43 */
		"\xc0\x0c\x00\x05\x00\x01\x00\x00\x0e\x10\x00\x05\x02in\xc0\x10"
		"\xc0\x2b\x00\x21\x00\x01\x00\x00\x0e\x10\x00\x0b\x00\x01\x00\x02\x01\x85\x02""dc\xc0\x10"
		/* an address: not learned, so left out */
		"\xc0\x2b\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\x0a\x00\x00\x01";
	static const uint8_t want[] =
		"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x0e\x02in\x04""corp\x04test\x00"
		"\x02in\x04""corp\x04test\x00\x00\x21\x00\x01\x00\x00\x00\x3c\x00\x14"
		"\x00\x01\x00\x02\x01\x85\x02""dc\x04""corp\x04test\x00";
	struct world *w = *state;
	uint8_t out[4096];

	memcpy(answer.message, from, sizeof(from) - 1);
	answer.message_len = sizeof(from) - 1;
	answer_with(RESOLVER_OK, NULL);
	assert_int_equal(ask_udp(w, "web.corp.test", DNS_TYPE_SRV, out), DNS_NOERROR);
	assert_int_equal(out[7], 2);
	assert_memory_equal(out + 12 + 19, want, sizeof(want) - 1);
	assert_int_equal(w->learned, 0);
	/* One that cannot be read is a failure, not an empty answer. */
	for (size_t cut = 12; cut < sizeof(from) - 1; cut += 7) {
		answer.message_len = cut;
		assert_int_equal(ask_udp(w, "web.corp.test", DNS_TYPE_SRV, out), DNS_SERVFAIL);
	}
	memcpy(answer.message + 43 + 4, "\xc0\x2b", 2);	/* a name that points at itself */
	answer.message_len = sizeof(from) - 1;
	answer.message[42] = 2 + 3;
	assert_int_equal(ask_udp(w, "web.corp.test", DNS_TYPE_SRV, out), DNS_SERVFAIL);
}

static void no_such_name_is_said_where_no_family_has_one(void **state)
{
	struct world *w = *state;
	uint8_t out[4096];

	answer_with(RESOLVER_NOT_FOUND, NULL);
	assert_int_equal(ask_udp(w, "gone.corp.test", 1, out), DNS_NXDOMAIN);
	assert_int_equal(answer.asked, 2);
	assert_int_equal(answer.family, AF_INET6);
	answer.other_exists = true;
	assert_int_equal(ask_udp(w, "six.corp.test", 1, out), DNS_NOERROR);
	assert_int_equal(out[7], 0);
}

static int drain(struct world *w, int fd)
{
	uint8_t out[4096];
	int count = 0;

	for (int quiet = 0; quiet < 5; quiet++) {
		assert_int_equal(loop_turn(w->loop, 60 * LOOP_MS), 0);
		while (recv(fd, out, sizeof(out), MSG_DONTWAIT) > 0) {
			count++;
			quiet = 0;
		}
	}
	return count;
}

static void send_many(int fd, int from, int count)
{
	char name[64];
	uint8_t b[512];

	for (int i = from; i < from + count; i++) {
		snprintf(name, sizeof(name), "n%d.corp.test", i);
		assert_true(send(fd, b, question(b, name, 1, false), 0) > 0);
	}
}

/* Rules and routes are made anew for many names at a time, however fast they come. */
static void many_new_names_are_told_of_together(void **state)
{
	struct world *w = *state;

	answer_with(RESOLVER_OK, "10.0.0.1");
	answer.each_its_own = true;
	w->is_busy = true;
	send_many(w->fd, 0, 100);
	assert_int_equal(drain(w, w->fd), 100);
	assert_in_range(w->learned, 1, 5);
}

/*
 * What is learned makes the mesh set our domains anew, which may close everything that waits, the
 * question itself too.
 */
static void a_question_that_closes_the_forwarder_is_gone(void **state)
{
	struct world *w = *state;
	uint8_t b[512];

	answer_with(RESOLVER_OK, "10.7.0.5");
	w->closes = true;
	assert_true(send(w->fd, b, question(b, "web.corp.test", 1, false), 0) > 0);
	for (int i = 0; i < 100 && !w->learned; i++)
		assert_int_equal(loop_turn(w->loop, 10 * LOOP_MS), 0);
	assert_int_equal(w->learned, 1);
	assert_int_equal(w->f->question_count, 0);
}

/* A source that asks without end leaves the resolver, and room, to others. */
static void a_source_has_its_limit_and_others_do_not_feel_it(void **state)
{
	struct sockaddr_in other = { .sin_family = AF_INET },
		to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct world *w = *state;
	struct forwarder_stats stats;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	answer_with(RESOLVER_NO_DATA, NULL);
	for (int i = 0; i < 12; i++) {
		send_many(w->fd, 50 * i, 50);
		while (loop_turn(w->loop, 0),
			poll(&(struct pollfd){ w->f->listeners[0].udp.fd, POLLIN, 0 }, 1, 0))
			;
	}
	drain(w, w->fd);
	forwarder_get_stats(w->f, &stats);
	assert_int_equal(stats.queries, 600);
	/* 200 at once, then 50 in each second that the test takes */
	assert_in_range(stats.limited, 200, 400);
	assert_int_equal(stats.dropped, 0);
	other.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	to.sin_port = htons(w->port);
	assert_int_equal(bind(fd, (struct sockaddr *)&other, sizeof(other)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	send_many(fd, 0, 50);
	assert_int_equal(drain(w, fd), 50);
	close(fd);
}

static void what_was_asked_for_longest_ago_gives_way(void **state)
{
	static const struct forwarder_events events = { learned };
	struct domain *list = calloc(3, sizeof(*list));
	struct forwarder_stats stats;
	struct world w = {};
	size_t count;

	assert_int_equal(loop_new_fake(&w.loop, LOOP_SECOND), 0);
	assert_int_equal(forwarder_new(w.loop, &events, &w, &w.f), 0);
	list[0].pattern = strdup("*.corp.test");
	list[1].pattern = strdup("keep.test");
	list[1].keep = true;
	w.f->domains = list;
	w.f->domain_count = 2;
	answer_with(RESOLVER_FAILED, NULL);
	/* Five sources of 1,000 names each, and one name that is kept. */
	learned_add(w.f, "keep.test", &(struct resolver_address){ .family = AF_INET,
		.addr.word[0] = htonl(0x0b000001) }, 1, 9);
	for (uint32_t i = 0; i < 5000; i++) {
		struct resolver_address a = { .family = AF_INET, .addr.word[0] = htonl(0x0a000000 + i) };

		loop_advance(w.loop, loop_now(w.loop) + LOOP_MS);
		assert_true(learned_add(w.f, "x.corp.test", &a, 1, 1 + i / 1000));
	}
	forwarder_get_stats(w.f, &stats);
	assert_int_equal(stats.learned, FORWARDER_LEARNED_MAX);
	assert_int_equal(stats.evicted, 5001 - FORWARDER_LEARNED_MAX);
	assert_int_equal(forwarder_list(w.f, &count)[0].addr.word[0], htonl(0x0b000001));
	/* One source cannot have more than a quarter, even if there were room. */
	for (size_t i = count; i > 1; i--)
		learned_remove(w.f, i - 1);
	for (uint32_t i = 0; i < 2000; i++) {
		struct resolver_address a = { .family = AF_INET, .addr.word[0] = htonl(0x0a000000 + i) };

		learned_add(w.f, "x.corp.test", &a, 1, 7);
	}
	forwarder_list(w.f, &count);
	assert_int_equal(count, 1 + FORWARDER_LEARNED_MAX / 4);
	/* Names that nobody asks for and that do not resolve any more age out; all but the kept one. */
	loop_advance(w.loop, loop_now(w.loop) + 2 * FORWARDER_LIFE_NS);
	forwarder_get_stats(w.f, &stats);
	assert_int_equal(stats.learned, 1);
	assert_int_equal(stats.aged_out, FORWARDER_LEARNED_MAX / 4);
	forwarder_free(w.f);
	loop_free(w.loop);
}

/* The name always resolves, but nobody asks for it. */
static void a_name_that_nobody_asks_for_is_forgotten_after_a_week(void **state)
{
	static const struct forwarder_events events = { learned };
	struct resolver_address a = { .family = AF_INET, .addr.word[0] = htonl(0x0a070005) };
	struct domain *list = calloc(2, sizeof(*list));
	struct world w = {};
	size_t count;

	memset(&answer, 0, sizeof(answer));
	answer_with(RESOLVER_OK, "10.7.0.5");
	assert_int_equal(loop_new_fake(&w.loop, LOOP_SECOND), 0);
	assert_int_equal(forwarder_new(w.loop, &events, &w, &w.f), 0);
	list[0].pattern = strdup("web.corp.test");
	w.f->domains = list;
	w.f->domain_count = 1;
	learned_add(w.f, "web.corp.test", &a, 1, 1);
	loop_advance(w.loop, 6 * 24 * 3600 * LOOP_SECOND);
	forwarder_list(w.f, &count);
	assert_int_equal(count, 1);
	learned_add(w.f, "web.corp.test", &a, 1, 1);
	loop_advance(w.loop, 12 * 24 * 3600 * LOOP_SECOND);
	forwarder_list(w.f, &count);
	assert_int_equal(count, 1);
	loop_advance(w.loop, 14 * 24 * 3600 * LOOP_SECOND);
	forwarder_list(w.f, &count);
	assert_int_equal(count, 0);
	assert_int_equal(loop_next(w.loop), LOOP_NEVER);
	forwarder_free(w.f);
	loop_free(w.loop);
}

/* RFC 7766 section 6.2.4 lets a client close its side as soon as it has asked. */
static void a_client_that_has_said_all_is_answered(void **state)
{
	struct world *w = *state;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(w->port) };
	uint8_t b[1024], out[4096];
	size_t len = question(b + 2, "web.corp.test", 1, false), got = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	answer_with(RESOLVER_OK, "10.7.0.5");
	b[0] = len >> 8;
	b[1] = len;
	memcpy(b + 2 + len, b, 2 + len);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(send(fd, b, 2 * (len + 2), 0), 2 * (len + 2));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	while (got < 2 * (2 + len + 16)) {
		size_t more = wait_answer(w, fd, out + got, sizeof(out) - got);

		assert_int_not_equal(more, 0);
		got += more;
	}
	assert_int_equal(wait_answer(w, fd, out, sizeof(out)), 0);
	close(fd);
}

static void what_the_resolver_says_is_passed_on(void **state)
{
	struct world *w = *state;
	uint8_t out[4096];

	answer_with(RESOLVER_NOT_FOUND, NULL);
	assert_int_equal(ask_udp(w, "no.corp.test", 1, out), DNS_NXDOMAIN);
	answer_with(RESOLVER_NO_DATA, NULL);
	assert_int_equal(ask_udp(w, "web.corp.test", 28, out), DNS_NOERROR);
	assert_int_equal(out[7], 0);
	answer_with(RESOLVER_FAILED, NULL);
	assert_int_equal(ask_udp(w, "web.corp.test", 1, out), DNS_SERVFAIL);
	answer_with(RESOLVER_OK, "2001:db8::7");
	assert_int_equal(ask_udp(w, "web.corp.test", 28, out), DNS_NOERROR);
	assert_int_equal(out[7], 1);
	assert_int_equal(w->learned, 1);
}

/* However many look-ups it takes: nobody waits longer than 8 s. */
static void an_answer_comes_while_somebody_waits_for_it(void **state)
{
	struct world *w = *state;
	uint64_t first, second;
	uint8_t out[4096];

	answer_with(RESOLVER_NOT_FOUND, NULL);
	answer.takes_ns = 3 * LOOP_MS;
	assert_int_equal(ask_udp(w, "no.corp.test", 1, out), DNS_NXDOMAIN);
	assert_int_equal(answer.asked, 2);
	first = answer.timeouts[1];
	second = answer.timeouts[0];
	assert_int_equal(first, RESOLVE_TIMEOUT_NS);
	assert_true(first + 2 * LOOP_SECOND <= 8 * LOOP_SECOND);
	assert_true(second <= first - 3 * LOOP_MS);	/* of the same time, what the first left */
}

static void addresses_of_both_families_are_learned_and_renewed_apart(void **state)
{
	static const struct forwarder_events events = { learned };
	const struct resolver_address both[] = {
		{ .family = AF_INET, .addr.word[0] = htonl(0x0a070005) },
		{ .family = AF_INET6, .addr.word = { htonl(0x20010db8), 0, 0, htonl(5) } },
		/* 32.1.13.184, which begins as the other does */
		{ .family = AF_INET, .addr.word[0] = htonl(0x20010db8) },
	};
	struct domain *list = calloc(2, sizeof(*list));
	struct world w = {};
	size_t count;

	memset(&answer, 0, sizeof(answer));
	assert_int_equal(loop_new_fake(&w.loop, LOOP_SECOND), 0);
	assert_int_equal(forwarder_new(w.loop, &events, &w, &w.f), 0);
	list[0].pattern = strdup("web.corp.test");
	w.f->domains = list;
	w.f->domain_count = 1;
	assert_true(learned_add(w.f, "web.corp.test", both, 3, htonl(0x0a010101)));
	forwarder_list(w.f, &count);
	assert_int_equal(count, 3);
	/* whatever is asked for, only the IPv6 address is answered */
	answer_with(RESOLVER_OK, "2001:db8::5");
	loop_advance(w.loop, 2 * FORWARDER_LIFE_NS);
	assert_int_equal(forwarder_list(w.f, &count)->family, AF_INET6);
	assert_int_equal(count, 1);
	assert_int_equal(answer.family, AF_INET6);
	forwarder_free(w.f);
	loop_free(w.loop);
}

static void a_failing_resolver_is_covered_by_the_last_good_answer(void **state)
{
	struct world *w = *state;
	uint8_t out[4096];

	answer_with(RESOLVER_OK, "10.7.0.5");
	assert_int_equal(ask_udp(w, "web.corp.test", 1, out), DNS_NOERROR);
	answer_with(RESOLVER_FAILED, NULL);
	assert_int_equal(ask_udp(w, "web.corp.test", 1, out), DNS_NOERROR);
	assert_int_equal(out[7], 1);
}

static void no_name_opens_a_way_to_loopback_or_link_local(void **state)
{
	static const char *const bad[] = { "127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0",
		"255.255.255.255", "::1", "::", "fe80::1", "ff02::1", "::ffff:10.0.0.1" };
	struct world *w = *state;
	uint8_t out[4096];
	size_t count;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		answer_with(RESOLVER_OK, bad[i]);
		assert_int_equal(ask_udp(w, "evil.corp.test", strchr(bad[i], ':') ? 28 : 1, out),
			DNS_NOERROR);
	}
	forwarder_list(w->f, &count);
	assert_int_equal(count, 0);
}

static void tcp_is_answered_question_by_question(void **state)
{
	struct world *w = *state;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(w->port) };
	uint8_t b[1024], out[4096];
	size_t len = question(b + 2, "web.corp.test", 1, false), got = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	answer_with(RESOLVER_OK, "10.7.0.5");
	b[0] = len >> 8;
	b[1] = len;
	memcpy(b + 2 + len, b, 2 + len);	/* two in one segment */
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(send(fd, b, 2 * (len + 2), 0), 2 * (len + 2));
	while (got < 2 * (2 + len + 16))
		got += wait_answer(w, fd, out + got, sizeof(out) - got);
	assert_int_equal(got, 2 * (2 + len + 16));
	assert_int_equal(out[1], len + 16);
	b[0] = 0xff;	/* longer than any question */
	assert_int_equal(send(fd, b, 2, 0), 2);
	assert_int_equal(wait_answer(w, fd, out, sizeof(out)), 0);
	close(fd);
}

static void addresses_follow_their_domain(void **state)
{
	struct world *w = *state;
	uint8_t out[4096];
	char err[200];
	size_t count;

	answer_with(RESOLVER_OK, "10.7.0.6");
	ask_udp(w, "db.corp.test", 1, out);
	assert_int_equal(forwarder_set(w->f, htonl(INADDR_LOOPBACK), w->port, domains + 1, 1, err,
		sizeof(err)), 0);
	assert_string_equal(forwarder_list(w->f, &count)->pattern, "db.corp.test");
	assert_int_equal(count, 1);
	assert_int_equal(forwarder_set(w->f, htonl(INADDR_LOOPBACK), w->port, NULL, 0, err, sizeof(err)), 0);
	forwarder_list(w->f, &count);
	assert_int_equal(count, 0);
}

/* By a clock that tests can move; no sockets there. */
static void time_takes_an_address_away_unless_its_name_still_has_it(void **state)
{
	static const struct forwarder_events events = { learned };
	struct domain *list = calloc(2, sizeof(*list));
	struct resolver_address a = { .family = AF_INET, .addr.word[0] = htonl(0x0a070005) };
	struct world w = {};
	size_t count;

	memset(&answer, 0, sizeof(answer));
	assert_int_equal(loop_new_fake(&w.loop, LOOP_SECOND), 0);
	assert_int_equal(forwarder_new(w.loop, &events, &w, &w.f), 0);
	list[0].pattern = strdup("web.corp.test");
	w.f->domains = list;
	w.f->domain_count = 1;
	assert_true(learned_add(w.f, "web.corp.test", &a, 1, htonl(0x0a010101)));
	answer_with(RESOLVER_OK, "10.7.0.5");
	loop_advance(w.loop, 10 * FORWARDER_LIFE_NS);
	forwarder_list(w.f, &count);
	assert_int_equal(count, 1);
	assert_in_range(answer.asked, 10, 20);
	answer_with(RESOLVER_OK, "10.7.0.9");	/* it moved */
	loop_advance(w.loop, 12 * FORWARDER_LIFE_NS);
	assert_int_equal(forwarder_list(w.f, &count)->addr.word[0], htonl(0x0a070009));
	assert_int_equal(count, 1);
	answer_with(RESOLVER_FAILED, NULL);
	loop_advance(w.loop, 14 * FORWARDER_LIFE_NS);
	forwarder_list(w.f, &count);
	assert_int_equal(count, 0);
	assert_int_equal(w.learned, 4);	/* the first, moved, old one gone, the last one gone */
	assert_int_equal(loop_next(w.loop), LOOP_NEVER);
	forwarder_free(w.f);
	loop_free(w.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read_lower_case_and_only_plain_ones),
		cmocka_unit_test(patterns_match_themselves_and_with_a_star_all_below),
		cmocka_unit_test(an_answer_too_long_for_its_datagram_says_so),
		cmocka_unit_test_setup_teardown(our_domains_are_answered_and_learned_before_the_answer_leaves,
			setup, teardown),
		cmocka_unit_test_setup_teardown(others_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(every_type_is_passed_on_or_has_no_data, setup, teardown),
		cmocka_unit_test_setup_teardown(records_are_copied_without_what_they_point_to, setup,
			teardown),
		cmocka_unit_test_setup_teardown(no_such_name_is_said_where_no_family_has_one, setup,
			teardown),
		cmocka_unit_test_setup_teardown(many_new_names_are_told_of_together, setup, teardown),
		cmocka_unit_test_setup_teardown(a_question_that_closes_the_forwarder_is_gone, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_source_has_its_limit_and_others_do_not_feel_it, setup,
			teardown),
		cmocka_unit_test(what_was_asked_for_longest_ago_gives_way),
		cmocka_unit_test(a_name_that_nobody_asks_for_is_forgotten_after_a_week),
		cmocka_unit_test_setup_teardown(a_client_that_has_said_all_is_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_resolver_says_is_passed_on, setup, teardown),
		cmocka_unit_test_setup_teardown(an_answer_comes_while_somebody_waits_for_it, setup, teardown),
		cmocka_unit_test(addresses_of_both_families_are_learned_and_renewed_apart),
		cmocka_unit_test_setup_teardown(a_failing_resolver_is_covered_by_the_last_good_answer, setup,
			teardown),
		cmocka_unit_test_setup_teardown(no_name_opens_a_way_to_loopback_or_link_local, setup,
			teardown),
		cmocka_unit_test_setup_teardown(tcp_is_answered_question_by_question, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_follow_their_domain, setup, teardown),
		cmocka_unit_test(time_takes_an_address_away_unless_its_name_still_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
