// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Candidates as lines of text: the recorded ones both ways, and what must not be taken for one.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ice/agent.h"
#include "ice/candidate.h"

#define CID "BwtQwfELw5ZATymezMYmR62cKoLmBRBV"

static struct ice_candidate parse(const char *line)
{
	struct ice_candidate c;

	assert_int_equal(ice_candidate_parse(line, &c), 0);
	return c;
}

static void lines_of_stock_clients_come_back_as_they_were(void **state)
{
	static const struct { const char *ufrag, *line; } recorded[] = {
		{ "izSqFsnVXBYJKIuJ",
			"2101277091 1 udp 2130706431 192.168.1.221 51820 typ host ufrag izSqFsnVXBYJKIuJ "
			"cid " CID },
		{ "izSqFsnVXBYJKIuJ", "1011436615 1 udp 1694498815 10.99.0.254 51820 typ srflx raddr 0.0.0.0 "
		"rport 51820 ufrag izSqFsnVXBYJKIuJ cid CMmrENk8epVxXvvUU4rbT4d6/6keOCiY" },
		{ "XzdRrzdaWHGJdvIC", "1011436615 1 udp 1694498815 10.99.0.254 16813 typ srflx raddr 0.0.0.0 "
		"rport 51820 ufrag XzdRrzdaWHGJdvIC cid FnvihK/4OLWoTw9VI0xwZDZPL1yWZviQ" },
		{ "RBzOwahAawtjugcw", "4083474503 1 udp 1694498815 10.99.0.2 51820 typ srflx raddr 0.0.0.0 "
		"rport 51820 ufrag RBzOwahAawtjugcw cid VU+puqnBkg3FFRTzjs5eg6fGRnNwsmFS" },
	};
	char text[ICE_CANDIDATE_LEN];

	for (size_t i = 0; i < sizeof(recorded) / sizeof(recorded[0]); i++) {
		struct ice_candidate c = parse(recorded[i].line);

		assert_int_equal(ice_candidate_format(&c, recorded[i].ufrag, text, sizeof(text)),
			strlen(recorded[i].line));
		assert_string_equal(text, recorded[i].line);
	}
}

static void fields_are_read(void **state)
{
	struct ice_candidate c = parse("candidate:f+/1 1 UDP 1694498815 2001:db8::1%eth0 40001 typ srflx "
		"raddr :: rport 51820 generation 0 cid " CID);
	char addr[INET6_ADDRSTRLEN];

	assert_int_equal(c.type, ICE_SRFLX);
	assert_int_equal(c.family, AF_INET6);
	assert_string_equal(inet_ntop(AF_INET6, &c.addr, addr, sizeof(addr)), "2001:db8::1");
	assert_int_equal(ntohs(c.port), 40001);
	assert_int_equal(c.priority, 1694498815);
	assert_true(c.has_related);
	assert_int_equal(ntohs(c.related_port), 51820);
	assert_string_equal(c.cid, CID);
	c = parse("1 1 udp 1 192.0.2.1 1 typ prflx");
	assert_false(c.has_related);
	assert_string_equal(c.cid, "");
	c = parse("1 1 udp 1 192.0.2.1 1 typ relay raddr 10.0.0.1 cid short");
	assert_false(c.has_related);
	assert_int_equal(c.related.word[0], 0);
	assert_string_equal(c.cid, "");
}

static void foundations_are_netbirds(void **state)
{
	struct ice_candidate c = { .type = ICE_HOST, .family = AF_INET, .port = htons(51820),
		.priority = ice_candidate_priority(ICE_HOST) };
	char text[ICE_CANDIDATE_LEN];

	inet_pton(AF_INET, "192.0.2.10", &c.addr);
	ice_candidate_format(&c, "u", text, sizeof(text));
	assert_string_equal(text, "3418105078 1 udp 2130706431 192.0.2.10 51820 typ host ufrag u");
	inet_pton(AF_INET, "198.51.100.7", &c.addr);
	c.type = ICE_SRFLX;
	c.priority = ice_candidate_priority(ICE_SRFLX);
	ice_candidate_format(&c, "u", text, sizeof(text));
	assert_string_equal(text, "3215111262 1 udp 1694498815 198.51.100.7 51820 typ srflx ufrag u");
	assert_int_equal(ice_candidate_priority(ICE_PRFLX), 1862270975);
	assert_int_equal(ice_candidate_priority(ICE_RELAY), 16777215);
}

static void what_is_of_no_use_is_to_be_ignored(void **state)
{
	static const char *const lines[] = {
		"1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
		"1 1 udp 1 192.0.2.1 9 typ host tcptype active",
		"1 2 udp 1 192.0.2.1 9 typ host",
		"1 1 udp 1 8a6b1c2d-0000.local 9 typ host",
		"1 1 udp 1 127.0.0.1 9 typ host",
		"1 1 udp 1 0.0.0.0 9 typ host",
		"1 1 udp 1 224.0.0.1 9 typ host",
		"1 1 udp 1 255.255.255.255 9 typ host",
		"1 1 udp 1 ::1 9 typ host",
		"1 1 udp 1 :: 9 typ host",
		"1 1 udp 1 fe80::1%eth0 9 typ host",
		"1 1 udp 1 ff02::1 9 typ host",
		"1 1 udp 1 ::ffff:192.0.2.1 9 typ host",
	};
	struct ice_candidate c;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(ice_candidate_parse(lines[i], &c), -EPROTONOSUPPORT);
}

static void what_is_no_candidate_is_refused(void **state)
{
	static const char *const lines[] = {
		"", " ", "1", "a=candidate:1 1 udp 1 192.0.2.1 9 typ host", "1 1 udp 1 192.0.2.1 9 typ",
		"1 1 udp 1 192.0.2.1 9 type host",
		"1 1 udp 1 192.0.2.1 0 typ host", "1 1 udp 1 192.0.2.1 65536 typ host",
		"1 1 udp 1 192.0.2.1 -1 typ host", "1 1 udp 4294967296 192.0.2.1 9 typ host",
		"1 1 udp 1 192.0.2 9 typ host", "1 1 udp 1 example.com 9 typ host",
		"1 1 udp 1 192.0.2.1 9 typ HOST", "1 x udp 1 192.0.2.1 9 typ host",
		"1 1 udp 1 192.0.2.1%eth0 9 typ host",
		"123456789012345678901234567890123 1 udp 1 192.0.2.1 9 typ host",
		"1 1 udp 1 192.0.2.1 9 typ srflx raddr x rport 1",
		"1 1 udp 1 192.0.2.1 9 typ srflx raddr 0.0.0.0 rport 99999",
	};
	struct ice_candidate c;
	char longest[ICE_CANDIDATE_LEN + 1];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(ice_candidate_parse(lines[i], &c), -EBADMSG);
	memset(longest, '1', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	assert_int_equal(ice_candidate_parse(longest, &c), -EBADMSG);
}

static void a_short_buffer_is_said(void **state)
{
	struct ice_candidate c = parse("1 1 udp 1 192.0.2.1 9 typ srflx raddr 0.0.0.0 rport 1 cid " CID);
	char text[ICE_CANDIDATE_LEN];
	int len = ice_candidate_format(&c, "ufrag", text, sizeof(text));

	assert_in_range(len, 80, sizeof(text));
	for (int room = 0; room <= len; room++)
		assert_int_equal(ice_candidate_format(&c, "ufrag", text, room), -ENOSPC);
	assert_int_equal(ice_candidate_format(&c, "ufrag", text, len + 1), len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_stock_clients_come_back_as_they_were),
		cmocka_unit_test(fields_are_read),
		cmocka_unit_test(foundations_are_netbirds),
		cmocka_unit_test(what_is_of_no_use_is_to_be_ignored),
		cmocka_unit_test(what_is_no_candidate_is_refused),
		cmocka_unit_test(a_short_buffer_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
