// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The ground floor: HOST:PORT, server URLs, networks, setup keys, waits.
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/backoff.h"
#include "base/cidr.h"
#include "base/endpoint.h"
#include "base/host_port.h"
#include "base/server_url.h"
#include "base/text.h"
#include "base/setup_key.h"
#include "loop/loop.h"

#define BARE6	HOST_PORT_BARE6
#define ZONE	HOST_PORT_ZONE

static const struct {
	const char *text;
	unsigned int flags;
	uint16_t default_port;
	const char *host;	/* NULL: refused */
	uint16_t port;
} host_ports[] = {
	{ "example.org:443", 0, 0, "example.org", 443 },
	{ "example.org", 0, 443, "example.org", 443 },
	{ "example.org", 0, 0, NULL, 0 },
	{ "a_b-c.d:1", 0, 0, "a_b-c.d", 1 },
	{ "192.0.2.1:65535", 0, 0, "192.0.2.1", 65535 },
	{ "[2001:db8::1]:3478", 0, 0, "2001:db8::1", 3478 },
	{ "[2001:db8::1]", 0, 80, "2001:db8::1", 80 },
	{ "[2001:db8::1]", 0, 0, NULL, 0 },
	{ "2001:db8::1:51820", BARE6, 0, "2001:db8::1", 51820 },
	{ "2001:db8::1:51820", 0, 0, NULL, 0 },
	{ "[fe80::1%eth0]:1", ZONE, 0, "fe80::1%eth0", 1 },
	{ "[fe80::1%eth0]:1", 0, 0, NULL, 0 },
	{ "fe80::1%eth0:1", BARE6 | ZONE, 0, "fe80::1%eth0", 1 },
	{ "[::ffff:192.0.2.1]:1", 0, 0, "::ffff:192.0.2.1", 1 },
	{ "h:0", 0, 0, NULL, 0 },
	{ "h:65536", 0, 0, NULL, 0 },
	{ "h:000001", 0, 0, NULL, 0 },
	{ "h:+1", 0, 0, NULL, 0 },
	{ "h: 1", 0, 0, NULL, 0 },
	{ "h:", 0, 80, NULL, 0 },
	{ ":80", 0, 80, NULL, 0 },
	{ "", 0, 80, NULL, 0 },
	{ "[]:80", 0, 80, NULL, 0 },
	{ "[::1:80", 0, 80, NULL, 0 },
	{ "[::1]80", 0, 80, NULL, 0 },
	{ "[host]:80", 0, 80, NULL, 0 },
	{ "a b:80", 0, 80, NULL, 0 },
	{ "user@host:80", 0, 80, NULL, 0 },
	{ "h:80/path", 0, 80, NULL, 0 },
};

static void a_host_and_its_port_are_split_in_one_way(void **state)
{
	for (size_t i = 0; i < sizeof(host_ports) / sizeof(host_ports[0]); i++) {
		struct host_port got = {};
		int ret = host_port_parse(slice_from(host_ports[i].text), host_ports[i].flags,
			host_ports[i].default_port, &got);

		if (!host_ports[i].host) {
			if (ret != -EINVAL)
				fail_msg("%s was taken", host_ports[i].text);
			continue;
		}
		if (ret)
			fail_msg("%s was refused", host_ports[i].text);
		assert_int_equal(got.host.len, strlen(host_ports[i].host));
		assert_memory_equal(got.host.at, host_ports[i].host, got.host.len);
		assert_int_equal(got.port, host_ports[i].port);
		assert_int_equal(got.is_literal6, strchr(host_ports[i].host, ':') != NULL);
	}
}

static void a_host_as_long_as_the_room_is_refused(void **state)
{
	char text[HOST_LEN + 8];
	struct host_port got;

	memset(text, 'a', sizeof(text));
	memcpy(text + HOST_LEN - 1, ":80", 4);
	assert_int_equal(host_port_parse(slice_from(text), 0, 0, &got), 0);
	memset(text, 'a', sizeof(text));
	memcpy(text + HOST_LEN, ":80", 4);
	assert_int_equal(host_port_parse(slice_from(text), 0, 0, &got), -EINVAL);
}

static void what_is_written_is_what_was_parsed(void **state)
{
	char text[HOST_PORT_LEN];

	host_port_format("example.org", 1, text);
	assert_string_equal(text, "example.org:1");
	host_port_format("2001:db8::1", 65535, text);
	assert_string_equal(text, "[2001:db8::1]:65535");
}

static const struct {
	const char *text;
	unsigned int schemes;
	int ret;
	const char *formatted;
} urls[] = {
	{ "https://Example.org", SERVER_SCHEMES_WEB, 0, "https://Example.org:443" },
	{ "HTTP://example.org/path?query", SERVER_SCHEMES_WEB, 0, "http://example.org:80" },
	{ "https://[2001:db8::1]:33073#x", SERVER_SCHEMES_WEB, 0, "https://[2001:db8::1]:33073" },
	{ "rels://relay.example:444", SERVER_SCHEMES_RELAY, 0, "rels://relay.example:444" },
	{ "rel://relay.example", SERVER_SCHEMES_RELAY, 0, "rel://relay.example:80" },
	{ "rels://relay.example", SERVER_SCHEMES_RELAY, 0, "rels://relay.example:443" },
	{ "stun:stun.example", SERVER_SCHEME(SERVER_STUN), 0, "stun:stun.example:3478" },
	{ "stun:[::1]:1", SERVER_SCHEME(SERVER_STUN), 0, "stun:[::1]:1" },
	{ "rel://relay.example", SERVER_SCHEMES_WEB, -EPROTONOSUPPORT, NULL },
	{ "example.org:443", SERVER_SCHEMES_WEB, -EPROTONOSUPPORT, NULL },
	{ "", SERVER_SCHEMES_WEB, -EPROTONOSUPPORT, NULL },
	{ "https://", SERVER_SCHEMES_WEB, -EINVAL, NULL },
	{ "https://user@example.org", SERVER_SCHEMES_WEB, -EINVAL, NULL },
	{ "https://example.org:0", SERVER_SCHEMES_WEB, -EINVAL, NULL },
};

static void a_server_is_parsed_once_and_written_in_one_form(void **state)
{
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct server_url url = {}, again;
		char text[SERVER_URL_LEN];

		assert_int_equal(server_url_parse(urls[i].text, urls[i].schemes, &url), urls[i].ret);
		server_url_format(&url, text);
		assert_string_equal(text, urls[i].formatted ? urls[i].formatted : "");
		if (urls[i].ret)
			continue;
		assert_int_equal(server_url_parse(text, urls[i].schemes, &again), 0);
		assert_true(server_url_is_equal(&url, &again));
	}
}

static void an_authority_has_the_port_that_was_written(void **state)
{
	static const struct { const char *url, *authority; } cases[] = {
		{ "rels://Relay.example", "Relay.example" },
		{ "rels://relay.example:443", "relay.example:443" },
		{ "rel://relay.example:8080/x", "relay.example:8080" },
		{ "rel://[2001:db8::1]", "[2001:db8::1]" },
		{ "rel://[2001:db8::1]:80", "[2001:db8::1]:80" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct server_url url;
		char text[HOST_PORT_LEN];

		assert_int_equal(server_url_parse(cases[i].url, SERVER_SCHEMES_RELAY, &url), 0);
		server_url_format_authority(&url, text);
		assert_string_equal(text, cases[i].authority);
	}
}

static void servers_are_equal_in_any_case_and_differ_by_scheme_and_port(void **state)
{
	struct server_url a, b;

	assert_int_equal(server_url_parse("https://example.org", SERVER_SCHEMES_WEB, &a), 0);
	assert_int_equal(server_url_parse("https://EXAMPLE.org:443/", SERVER_SCHEMES_WEB, &b), 0);
	assert_true(server_url_is_equal(&a, &b));
	assert_true(server_url_is_tls(&a));
	b.port = 444;
	assert_false(server_url_is_equal(&a, &b));
	assert_int_equal(server_url_parse("http://example.org:443", SERVER_SCHEMES_WEB, &b), 0);
	assert_false(server_url_is_equal(&a, &b));
	assert_false(server_url_is_tls(&b));
}

#define KEY "a2c8e62b-38f5-4553-b31e-dd66c696cebb"

static void a_setup_key_has_one_form_however_it_is_written(void **state)
{
	static const struct { const char *text; bool good; } keys[] = {
		{ KEY, true }, { "A2C8E62B-38F5-4553-B31E-DD66C696CEBB", true }, { "{" KEY "}", true },
		{ "a2c8e62b38f54553b31edd66c696cebb", true }, { " \t" KEY "\n", true },
		{ "", false }, { "{}", false }, { KEY "0", false }, { "a2c8e62b-38f5-4553-b31e-dd66c696ceb",
			false },
		{ "a2c8e62b-38f5-4553-b31e-dd66c696cebg", false }, { "a2c8e62b-38f54-553-b31e-dd66c696cebb",
			false },
		{ "{a2c8e62b-38f5-4553-b31e-dd66c696cebb", false }, { "a2c8e62b-38f5-4553-b31edd66c696cebb0",
			false },
	};
	char key[SETUP_KEY_LEN + 1];

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		assert_int_equal(setup_key_parse(slice_from(keys[i].text), key), keys[i].good ? 0 : -EINVAL);
		assert_string_equal(key, keys[i].good ? KEY : "");
	}
}

static void a_network_is_masked_unless_its_host_bits_are_wanted(void **state)
{
	char text[CIDR_TEXT_LEN];
	struct cidr cidr;

	assert_int_equal(cidr_parse(slice_from("192.0.2.129/25"), false, &cidr), 0);
	cidr_format(&cidr, text, sizeof(text));
	assert_string_equal(text, "192.0.2.128/25");
	assert_int_equal(cidr_parse(slice_from("192.0.2.129/25"), true, &cidr), 0);
	cidr_format(&cidr, text, sizeof(text));
	assert_string_equal(text, "192.0.2.129/25");
	assert_int_equal(cidr_parse(slice_from("2001:db8:ffff::/33"), false, &cidr), 0);
	cidr_format(&cidr, text, sizeof(text));
	assert_string_equal(text, "2001:db8:8000::/33");
	assert_int_equal(cidr_parse(slice_from("::1"), false, &cidr), 0);
	assert_int_equal(cidr.prefixlen, 128);
	assert_int_equal(cidr_parse(slice_from("192.0.2.1/33"), false, &cidr), -EINVAL);
	assert_int_equal(cidr_parse(slice_from("192.0.2.1/"), false, &cidr), -EINVAL);
	assert_int_equal(cidr_parse(slice_from("192.0.2.1/0008"), false, &cidr), -EINVAL);
	assert_int_equal(cidr_parse(slice_from("host/8"), false, &cidr), -EINVAL);
}

static void waits_grow_up_to_their_most_and_begin_anew(void **state)
{
	struct backoff backoff = { .first_ns = 8000, .most_ns = 20000, .tenths = 20 };
	static const uint64_t intervals[] = { 8000, 16000, 20000, 20000 };

	for (size_t i = 0; i < 4; i++)
		assert_in_range(backoff_next(&backoff), intervals[i] / 8, intervals[i]);
	backoff_reset(&backoff);
	assert_in_range(backoff_next(&backoff), 1000, 8000);
}

struct thing {
	struct loop *loop;
	struct loop_timer timer;
	struct loop_deferred deferred;
	bool was_touched_after;
	int *freed;
};

static void free_thing(void *object)
{
	struct thing *thing = object;

	assert_true(thing->was_touched_after);
	++*thing->freed;
	free(thing);
}

/* A callback that frees the object it belongs to, which its caller still looks at. */
static void end_thing(void *ctx)
{
	struct thing *thing = ctx;

	loop_defer_free(thing->loop, &thing->deferred, free_thing, thing);
	thing->was_touched_after = true;
}

static struct thing *make_thing(struct loop *loop, int *freed)
{
	struct thing *thing = calloc(1, sizeof(*thing));

	assert_non_null(thing);
	thing->loop = loop;
	thing->freed = freed;
	loop_timer_init(&thing->timer, end_thing, thing);
	return thing;
}

static void memory_freed_in_a_callback_goes_when_the_loop_has_left_it(void **state)
{
	struct loop *loop;
	int freed = 0;

	assert_int_equal(loop_new_fake(&loop, 0), 0);
	loop_timer_set(loop, &make_thing(loop, &freed)->timer, 5);
	loop_advance(loop, 4);
	assert_int_equal(freed, 0);
	loop_advance(loop, 5);
	assert_int_equal(freed, 1);
	end_thing(make_thing(loop, &freed));	/* outside of any turn */
	assert_int_equal(freed, 1);
	loop_free(loop);
	assert_int_equal(freed, 2);
}

static void a_real_turn_frees_what_its_callbacks_deferred(void **state)
{
	struct loop *loop;
	int freed = 0;

	assert_int_equal(loop_new(&loop), 0);
	loop_timer_after(loop, &make_thing(loop, &freed)->timer, 0);
	assert_int_equal(loop_turn(loop, 0), 0);
	assert_int_equal(freed, 1);
	loop_free(loop);
}

static void appended_text_is_cut_at_the_end_of_its_room(void **state)
{
	char text[8] = "";

	text_append(text, sizeof(text), "%s", "abc");
	text_append(text, sizeof(text), "%d", 12);
	assert_string_equal(text, "abc12");
	text_append(text, sizeof(text), "%s", "3456");
	assert_string_equal(text, "abc1234");
	text_append(text, sizeof(text), "%s", "x");
	assert_string_equal(text, "abc1234");
}

static void addresses_of_the_public_internet_are_told_from_all_others(void **state)
{
	static const char *const public[] = { "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255",
		"100.128.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
		"198.17.255.255", "198.20.0.0", "203.0.113.9", "223.255.255.255", "2000::1", "2001:db8::1",
		"2606:4700::1111", "3fff::1" };
	static const char *const special[] = { "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1",
		"100.127.255.255", "127.0.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255",
		"192.0.0.8", "192.168.1.1", "198.18.0.1", "198.19.255.255", "224.0.0.1", "240.0.0.1",
		"255.255.255.255", "::", "::1", "::ffff:1.1.1.1", "64:ff9b::a00:1", "2001::1",
		"2002:a00:1::1", "fd00::1", "fc00::1", "fe80::1", "fec0::1", "ff02::1" };
	struct endpoint at = { 0 };

	assert_false(endpoint_is_public(&at));
	for (size_t i = 0; i < sizeof(public) / sizeof(*public) + sizeof(special) / sizeof(*special); i++) {
		const bool want = i < sizeof(public) / sizeof(*public);
		const char *text = want ? public[i] : special[i - sizeof(public) / sizeof(*public)];

		at = (struct endpoint){ .family = strchr(text, ':') ? AF_INET6 : AF_INET };
		assert_int_equal(inet_pton(at.family, text, &at.remote), 1);
		if (endpoint_is_public(&at) != want)
			fail_msg("%s", text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_the_public_internet_are_told_from_all_others),
		cmocka_unit_test(appended_text_is_cut_at_the_end_of_its_room),
		cmocka_unit_test(a_host_and_its_port_are_split_in_one_way),
		cmocka_unit_test(a_host_as_long_as_the_room_is_refused),
		cmocka_unit_test(what_is_written_is_what_was_parsed),
		cmocka_unit_test(a_server_is_parsed_once_and_written_in_one_form),
		cmocka_unit_test(an_authority_has_the_port_that_was_written),
		cmocka_unit_test(servers_are_equal_in_any_case_and_differ_by_scheme_and_port),
		cmocka_unit_test(a_setup_key_has_one_form_however_it_is_written),
		cmocka_unit_test(a_network_is_masked_unless_its_host_bits_are_wanted),
		cmocka_unit_test(waits_grow_up_to_their_most_and_begin_anew),
		cmocka_unit_test(memory_freed_in_a_callback_goes_when_the_loop_has_left_it),
		cmocka_unit_test(a_real_turn_frees_what_its_callbacks_deferred),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
