// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Domain routes: questions that may be asked, answers, what is learned from them and for how long. The resolver is a stand-in; sockets are real, on loopback.
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

#include "apply/dns_wire.h"
#include "apply/forwarder.c"

/* The stand-in answers in the next turn with what `answer` says. */
static struct {
	enum resolver_result result;
	struct resolver_address list[4];
	size_t count;
	char name[DNS_NAME_LEN];
	int family;
	int asked;
} answer;

struct resolver_query {
	struct loop_timer timer;
	struct loop *loop;
	resolver_fn fn;
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
	q.fn(q.ctx, answer.result, answer.list, answer.count);
}

int resolver_ask(struct resolver *resolver, const char *name, int family, uint64_t timeout_ns, resolver_fn fn, void *ctx,
	struct resolver_query **ret_query)
{
	struct resolver_query *q = calloc(1, sizeof(*q));

	assert_non_null(q);
	*q = (struct resolver_query){ .loop = (struct loop *)resolver, .fn = fn, .ctx = ctx };
	loop_timer_init(&q->timer, give, q);
	loop_timer_after(q->loop, &q->timer, 0);
	snprintf(answer.name, sizeof(answer.name), "%s", name);
	answer.family = family;
	answer.asked++;
	*ret_query = q;
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
		records[i] = (struct dns_record){ .family = AF_INET, .addr.word[0] = htonl(0x0a000000 + i), .ttl_s = 60 };
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
	uint16_t port;
	int fd;
};

static void learned(void *ctx)
{
	((struct world *)ctx)->learned++;
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

static const struct forwarder_domain domains[] = { { "*.corp.test", true, false }, { "db.corp.test", false, false } };

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
	assert_int_equal(forwarder_set(w->f, htonl(INADDR_LOOPBACK), w->port, domains, 2, err, sizeof(err)), 0);
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
	assert_memory_equal(out + 12 + 15 + 4 + 2, "\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x07\x00\x05", 14);
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

static void others_are_refused_and_other_types_not_implemented(void **state)
{
	struct world *w = *state;
	struct forwarder_stats stats;
	uint8_t out[4096];

	assert_int_equal(ask_udp(w, "example.org", 1, out), DNS_REFUSED);
	assert_int_equal(ask_udp(w, "xcorp.test", 1, out), DNS_REFUSED);
	assert_int_equal(ask_udp(w, "web.corp.test", 15, out), DNS_NOTIMP);
	assert_int_equal(answer.asked, 0);
	forwarder_get_stats(w->f, &stats);
	assert_int_equal(stats.refused, 2);
	assert_int_equal(stats.not_implemented, 1);
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
	assert_int_equal(w->learned, 0);
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
	static const char *const bad[] = { "127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "255.255.255.255" };
	struct world *w = *state;
	uint8_t out[4096];
	size_t count;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		answer_with(RESOLVER_OK, bad[i]);
		assert_int_equal(ask_udp(w, "evil.corp.test", 1, out), DNS_NOERROR);
	}
	forwarder_list(w->f, &count);
	assert_int_equal(count, 0);
}

static void tcp_is_answered_question_by_question(void **state)
{
	struct world *w = *state;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(w->port) };
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
	assert_int_equal(forwarder_set(w->f, htonl(INADDR_LOOPBACK), w->port, domains + 1, 1, err, sizeof(err)), 0);
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
	assert_true(learn(w.f, "web.corp.test", &a, 1));
	answer_with(RESOLVER_OK, "10.7.0.5");
	loop_advance(w.loop, 10 * FORWARDER_LIFE_NS);
	forwarder_list(w.f, &count);
	assert_int_equal(count, 1);
	assert_in_range(answer.asked, 10, 20);
	answer_with(RESOLVER_OK, "10.7.0.9");	/* it moved */
	loop_advance(w.loop, 12 * FORWARDER_LIFE_NS);
	assert_int_equal(forwarder_list(w.f, &count)->addr, htonl(0x0a070009));
	assert_int_equal(count, 1);
	answer_with(RESOLVER_FAILED, NULL);
	loop_advance(w.loop, 14 * FORWARDER_LIFE_NS);
	forwarder_list(w.f, &count);
	assert_int_equal(count, 0);
	assert_int_equal(w.learned, 3);	/* moved, old one gone, the last one gone */
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
		cmocka_unit_test_setup_teardown(our_domains_are_answered_and_learned_before_the_answer_leaves, setup, teardown),
		cmocka_unit_test_setup_teardown(others_are_refused_and_other_types_not_implemented, setup, teardown),
		cmocka_unit_test_setup_teardown(what_the_resolver_says_is_passed_on, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failing_resolver_is_covered_by_the_last_good_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(no_name_opens_a_way_to_loopback_or_link_local, setup, teardown),
		cmocka_unit_test_setup_teardown(tcp_is_answered_question_by_question, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_follow_their_domain, setup, teardown),
		cmocka_unit_test(time_takes_an_address_away_unless_its_name_still_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
