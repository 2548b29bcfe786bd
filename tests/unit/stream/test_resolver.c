// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which names are asked for, in which order, and what stops it: a table, before a name server of ours.
// Sockets are real, on loopback.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <ares.h>

/* resolv.conf has no ports, and 53 is not ours. */
static uint16_t dns_port;

static int init_with_port(ares_channel *channel, struct ares_options *options, int mask)
{
	options->udp_port = options->tcp_port = dns_port;
	return ares_init_options(channel, options, mask | ARES_OPT_UDP_PORT | ARES_OPT_TCP_PORT);
}

#define ares_init_options init_with_port
#include "stream/resolver.c"

#define PATIENCE_NS (20 * LOOP_SECOND)

struct name_server {
	struct loop_fd watch;
	const char *address;
	bool is_deaf;
	char asked[512];	/* names, in order, each once in a row */
};

static struct loop *loop;
static char conf[64];

/* What this server knows. NULL address: no answer at all. */
static const struct { const char *name; uint16_t type; int rcode; const char *addr; } zone[] = {
	{ "real.example.test",		1,	0, "192.0.2.1" },
	{ "real.example.test",		28,	0, "2001:db8::1" },
	{ "four.example.test",		1,	0, "192.0.2.4" },
	{ "four.example.test",		28,	0, "" },
	{ "half.example.test",		1,	0, "192.0.2.2" },
	{ "half.example.test",		28,	0, NULL },
	{ "broken.example.test",	1,	2, "" },
	{ "broken.example.test",	28,	2, "" },
	{ "mute.example.test",		1,	0, NULL },
	{ "mute.example.test",		28,	0, NULL },
	{ "app.good.test",		1,	0, "192.0.2.3" },
	{ "app.good.test",		28,	0, "" },
	{ "app.deep.good.test",		1,	0, "192.0.2.5" },
	{ "app.deep.good.test",		28,	0, "" },
};

static bool ends_with(const char *name, const char *end)
{
	return strlen(name) >= strlen(end) && !strcmp(name + strlen(name) - strlen(end), end);
}

/* -1: silence. */
static int look_in_zone(const char *name, uint16_t type, const char **ret_addr)
{
	*ret_addr = "";
	for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++) {
		if (strcmp(zone[i].name, name) || zone[i].type != type)
			continue;
		*ret_addr = zone[i].addr;
		return zone[i].addr ? zone[i].rcode : -1;
	}
	if (ends_with(name, ".wild.test")) {
		*ret_addr = type == 1 ? "10.6.6.6" : "";
		return 0;
	}
	return ends_with(name, ".fails.test") ? 2 : 3;
}

static size_t read_question(const uint8_t *packet, char *name)
{
	size_t end = 12;

	*name = 0;
	while (packet[end]) {
		sprintf(name + strlen(name), "%s%.*s", *name ? "." : "", packet[end], packet + end + 1);
		end += packet[end] + 1;
	}
	return end + 5;
}

static void note(struct name_server *ns, const char *name)
{
	size_t len = strlen(ns->asked), last = strlen(name);

	if (len >= last && !strcmp(ns->asked + len - last, name) &&
		(len == last || ns->asked[len - last - 1] == ' '))
		return;
	snprintf(ns->asked + len, sizeof(ns->asked) - len, "%s%s", len ? " " : "", name);
}

static void answer_question(void *ctx, uint32_t events)
{
	struct name_server *ns = ctx;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	uint8_t packet[512];
	char name[300];
	const char *addr;
	size_t end;
	int rcode;

	if (recvfrom(ns->watch.fd, packet, sizeof(packet), 0, (void *)&from, &from_len) < 17 || ns->is_deaf)
		return;
	end = read_question(packet, name);
	note(ns, name);
	rcode = look_in_zone(name, packet[end - 3], &addr);
	if (rcode < 0)
		return;
	packet[2] = 0x81;
	packet[3] = 0x80 | rcode;
	packet[10] = packet[11] = 0;
	if (*addr) {
		const bool is_six = strchr(addr, ':');

		packet[7] = 1;
		memcpy(packet + end, "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x4d\x00\x04", 12);
		packet[end + 3] = is_six ? 28 : 1;
		packet[end + 11] = is_six ? 16 : 4;
		assert_int_equal(inet_pton(is_six ? AF_INET6 : AF_INET, addr, packet + end + 12), 1);
		end += 12 + packet[end + 11];
	}
	sendto(ns->watch.fd, packet, end, 0, (void *)&from, from_len);
}

static void start_server(struct name_server *ns)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(dns_port) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (!ns->address)
		ns->address = "127.0.0.1";
	assert_int_equal(inet_pton(AF_INET, ns->address, &at.sin_addr), 1);
	assert_int_equal(bind(fd, (void *)&at, len), 0);
	assert_int_equal(getsockname(fd, (void *)&at, &len), 0);
	dns_port = ntohs(at.sin_port);
	assert_int_equal(loop_fd_add(loop, &ns->watch, fd, EPOLLIN, answer_question, ns), 0);
}

static void stop_server(struct name_server *ns)
{
	loop_fd_remove(loop, &ns->watch);
	close(ns->watch.fd);
}

/* As an editor does it: another file under the same name. */
static void write_conf(const char *address, const char *search)
{
	char other[80];
	FILE *f;

	snprintf(other, sizeof(other), "%s.new", conf);
	f = fopen(other, "w");
	assert_non_null(f);
	fprintf(f, "nameserver %s\n%s%s\noptions ndots:5\n", address, *search ? "search " : "", search);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(other, conf), 0);
}

struct answer {
	int count;
	enum resolver_result result;
	char addresses[200];
	uint64_t took_ns;
};

static void take(void *ctx, enum resolver_result result, const struct resolver_address *list, size_t count)
{
	struct answer *a = ctx;

	a->count++;
	a->result = result;
	for (size_t i = 0; i < count; i++) {
		char text[INET6_ADDRSTRLEN];

		inet_ntop(list[i].family, &list[i].addr, text, sizeof(text));
		snprintf(a->addresses + strlen(a->addresses), sizeof(a->addresses) - strlen(a->addresses),
			"%s%s", i ? " " : "", text);
	}
}

static void wait_for(const int *count)
{
	uint64_t until = loop_now(loop) + PATIENCE_NS;

	while (!*count && loop_now(loop) < until)
		assert_int_equal(loop_turn(loop, LOOP_SECOND), 0);
	assert_int_equal(*count, 1);
}

static struct answer ask_for(const char *name, bool exactly, int family)
{
	const uint64_t begin = loop_now(loop);
	struct answer a = {};

	assert_int_equal((exactly ? resolver_ask_exactly : resolver_ask)(resolver_get(loop), name, family,
		PATIENCE_NS, take, &a, NULL), 0);
	wait_for(&a.count);
	a.took_ns = loop_now(loop) - begin;
	return a;
}

static void the_search_list_helps_and_never_stands_in_the_way(void **state)
{
	static const struct {
		const char *search, *name;
		bool exactly;
		enum resolver_result result;
		const char *addresses, *asked;
	} rows[] = {
		/* A name with a dot is meant as it is, whatever the list's domains would answer. */
		{ "wild.test", "real.example.test", false, RESOLVER_OK, "192.0.2.1 2001:db8::1",
			"real.example.test" },
		{ "fails.test", "real.example.test", false, RESOLVER_OK, "192.0.2.1 2001:db8::1",
			"real.example.test" },
		{ "fails.test .", "four.example.test", false, RESOLVER_OK, "192.0.2.4", "four.example.test" },
		{ ".", "real.example.test", false, RESOLVER_OK, "192.0.2.1 2001:db8::1",
			"real.example.test" },
		/* ... and the list comes after it: a domain of it that fails is passed over. */
		{ "fails.test good.test", "app.deep", false, RESOLVER_OK, "192.0.2.5",
			"app.deep app.deep.fails.test app.deep.good.test" },
		{ "good.test", "gone.example.test", false, RESOLVER_NOT_FOUND, "",
			"gone.example.test gone.example.test.good.test" },
		{ "fails.test", "gone.example.test", false, RESOLVER_NOT_FOUND, "",
			"gone.example.test gone.example.test.fails.test" },
		/* One without: the list first. */
		{ "good.test", "app", false, RESOLVER_OK, "192.0.2.3", "app.good.test" },
		{ "other.test fails.test . good.test", "app", false, RESOLVER_OK, "192.0.2.3",
			"app.other.test app.fails.test app.good.test" },
		{ "other.test", "app", false, RESOLVER_NOT_FOUND, "", "app.other.test app" },
		/* it may be there */
		{ "fails.test", "app", false, RESOLVER_FAILED, "", "app.fails.test app" },
		{ "good.test", "app.", false, RESOLVER_NOT_FOUND, "", "app" },
		/* Exactly: the name and nothing else leaves this host. */
		{ "wild.test good.test", "gone.example.test", true, RESOLVER_NOT_FOUND, "",
			"gone.example.test" },
		{ "good.test", "app", true, RESOLVER_NOT_FOUND, "", "app" },
		{ "wild.test", "broken.example.test", true, RESOLVER_FAILED, "", "broken.example.test" },
		{ "wild.test", "real.example.test", true, RESOLVER_OK, "192.0.2.1 2001:db8::1",
			"real.example.test" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct name_server ns = {};
		struct answer a;

		start_server(&ns);
		write_conf(ns.address, rows[i].search);
		assert_int_equal(resolver_use_conf(resolver_get(loop), conf), 0);
		a = ask_for(rows[i].name, rows[i].exactly, AF_UNSPEC);
		assert_string_equal(a.addresses, rows[i].addresses);
		assert_string_equal(ns.asked, rows[i].asked);
		assert_int_equal(a.result, rows[i].result);
		stop_server(&ns);
	}
}

static void a_family_that_is_never_answered_does_not_hold_up_the_other(void **state)
{
	struct name_server ns = {};
	struct answer a;

	start_server(&ns);
	write_conf(ns.address, "good.test");
	assert_int_equal(resolver_use_conf(resolver_get(loop), conf), 0);
	a = ask_for("half.example.test", false, AF_UNSPEC);
	assert_int_equal(a.result, RESOLVER_OK);
	assert_string_equal(a.addresses, "192.0.2.2");
	assert_true(a.took_ns < 2 * LOOP_SECOND);	/* c-ares alone: 14 s */
	stop_server(&ns);
}

static void a_resolver_that_changes_is_asked_by_those_that_wait_too(void **state)
{
	struct name_server dead = { .is_deaf = true }, living = { .address = "127.0.0.2" };
	struct answer waits = {}, records = {}, later;

	start_server(&dead);
	start_server(&living);
	write_conf(dead.address, "");
	assert_int_equal(resolver_use_conf(resolver_get(loop), conf), 0);
	assert_int_equal(resolver_ask(resolver_get(loop), "real.example.test", AF_INET, PATIENCE_NS, take,
		&waits, NULL), 0);
	assert_int_equal(loop_turn(loop, 10 * LOOP_MS), 0);
	assert_int_equal(resolver_ask(resolver_get(loop), "mute.example.test", AF_INET, PATIENCE_NS, take,
		&records, NULL), 0);
	/* Somebody who writes it in place empties it first. */
	assert_int_equal(truncate(conf, 0), 0);
	for (int i = 0; i < 30; i++)
		assert_int_equal(loop_turn(loop, 50 * LOOP_MS), 0);
	assert_int_equal(waits.count, 0);
	write_conf(living.address, "");
	/* Nobody asks anew: it is seen all the same. */
	wait_for(&waits.count);
	assert_string_equal(waits.addresses, "192.0.2.1");
	later = ask_for("four.example.test", true, AF_INET);	/* while another one waits for ever */
	assert_string_equal(later.addresses, "192.0.2.4");
	assert_int_equal(records.count, 0);
	stop_server(&dead);
	stop_server(&living);
}

static void take_records(void *ctx, enum resolver_result result, const uint8_t *bytes, size_t len)
{
	struct answer *a = ctx;

	a->count++;
	a->result = result;
	snprintf(a->addresses, sizeof(a->addresses), "%zu", len);
	if (result != RESOLVER_OK)
		assert_null(bytes);
}

static void records_are_asked_for_exactly_their_name(void **state)
{
	static const struct { const char *name; uint16_t type; enum resolver_result result; } rows[] = {
		{ "real.example.test", 1, RESOLVER_OK },
		{ "four.example.test", 28, RESOLVER_NO_DATA },
		{ "gone.example.test", 16, RESOLVER_NOT_FOUND },
		{ "broken.example.test", 1, RESOLVER_FAILED },
	};
	struct name_server ns = {};

	start_server(&ns);
	write_conf(ns.address, "wild.test good.test");
	assert_int_equal(resolver_use_conf(resolver_get(loop), conf), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct answer a = {};

		assert_int_equal(resolver_ask_records(resolver_get(loop), rows[i].name, rows[i].type,
			PATIENCE_NS, take_records, &a, NULL), 0);
		wait_for(&a.count);
		assert_int_equal(a.result, rows[i].result);
		assert_string_equal(ns.asked, rows[i].name);
		ns.asked[0] = 0;
	}
	stop_server(&ns);
}

static void a_network_that_changed_has_them_asked_again(void **state)
{
	struct name_server ns = { .is_deaf = true };
	struct answer a = {};

	start_server(&ns);
	write_conf(ns.address, "");
	assert_int_equal(resolver_use_conf(resolver_get(loop), conf), 0);
	assert_int_equal(resolver_ask(resolver_get(loop), "real.example.test", AF_INET, PATIENCE_NS, take, &a,
		NULL), 0);
	assert_int_equal(loop_turn(loop, 10 * LOOP_MS), 0);
	ns.is_deaf = false;
	assert_string_equal(ns.asked, "");
	resolver_ask_again(loop);
	assert_int_equal(loop_turn(loop, LOOP_SECOND), 0);
	assert_string_equal(ns.asked, "real.example.test");	/* at once, not when c-ares tries again */
	wait_for(&a.count);
	stop_server(&ns);
}

static int setup(void **state)
{
	snprintf(conf, sizeof(conf), "/tmp/talon-test-%d-resolv.conf", getpid());
	return loop_new(&loop);
}

static int teardown(void **state)
{
	resolver_global_done();
	loop_free(loop);
	unlink(conf);
	dns_port = 0;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_search_list_helps_and_never_stands_in_the_way, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_family_that_is_never_answered_does_not_hold_up_the_other,
			setup, teardown),
		cmocka_unit_test_setup_teardown(a_resolver_that_changes_is_asked_by_those_that_wait_too,
			setup, teardown),
		cmocka_unit_test_setup_teardown(records_are_asked_for_exactly_their_name, setup, teardown),
		cmocka_unit_test_setup_teardown(a_network_that_changed_has_them_asked_again, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
