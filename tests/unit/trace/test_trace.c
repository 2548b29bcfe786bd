// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a trace is made of without a datapath: packets, sealed messages, sentences, hints.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <linux/if_ether.h>
#include <sodium.h>

#include "crypto/aead.h"
#include "status/show.h"
#include "trace/internal.h"

static struct trace_addr ip(const char *text)
{
	struct trace_addr addr = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };

	assert_int_equal(inet_pton(addr.family, text, &addr.addr), 1);
	return addr;
}

static uint16_t get16(const uint8_t *at)
{
	return at[0] << 8 | at[1];
}

/* The one's complement sum of RFC 1071, byte by byte; 0xffff over what holds its own checksum. */
static uint32_t sum(uint32_t from, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		from += i % 2 ? bytes[i] : bytes[i] << 8;
	while (from >> 16)
		from = (from & 0xffff) + (from >> 16);
	return from;
}

static void check_packet4(const struct flight *flight, const struct frame *packet)
{
	uint32_t size = flight->size, pseudo = 0;

	if (flight->proto != IPPROTO_ICMP)
		pseudo = sum(flight->proto + size - 20, packet->bytes + 12, 8);
	assert_int_equal(packet->bytes[9], flight->proto);
	assert_int_equal(get16(packet->bytes + 2), size);
	assert_int_equal(sum(0, packet->bytes, 20), 0xffff);
	assert_int_equal(sum(pseudo, packet->bytes + 20, size - 20), 0xffff);
}

static void check_packet6(const struct flight *flight, const struct frame *packet)
{
	uint32_t size = flight->size;

	assert_int_equal(packet->bytes[0], 0x60);
	assert_int_equal(get16(packet->bytes + 4), size - 40);
	assert_int_equal(packet->bytes[6], flight->proto);
	assert_memory_equal(packet->bytes + 8, &flight->src.addr, 16);
	assert_memory_equal(packet->bytes + 24, &flight->dst.addr, 16);
	if (flight->proto == IPPROTO_ICMPV6)
		assert_int_equal(packet->bytes[40], flight->is_reply ? 129 : 128);
	assert_int_equal(sum(sum(flight->proto + size - 40, packet->bytes + 8, 32), packet->bytes + 40,
		size - 40), 0xffff);
}

static void check_sizes(const char *src, const char *dst, uint8_t proto, bool is_reply)
{
	struct flight flight = { .src = ip(src), .dst = ip(dst), .sport = 40000, .dport = 443,
		.proto = proto, .tcp_flags = 2, .is_reply = is_reply };
	uint32_t least = flight_least(flight.src.family, proto);
	struct frame packet;

	for (uint32_t size = least; size <= TRACE_SIZE_MAX; size += size < least + 20 ? 1 : 97) {
		flight.size = size;
		frame_packet(&flight, &packet);
		assert_int_equal(packet.len, size);
		if (flight.src.family == AF_INET6)
			check_packet6(&flight, &packet);
		else
			check_packet4(&flight, &packet);
	}
}

static void packets_have_the_size_and_the_checksums_that_they_should(void **state)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP };

	for (size_t i = 0; i < 2; i++) {
		check_sizes("100.64.0.2", "192.168.1.220", protos[i], false);
		check_sizes("fd64::2", "2001:db8:1:2:3:4:5:6", protos[i], false);
	}
	check_sizes("100.64.0.2", "192.168.1.220", IPPROTO_ICMP, false);
	check_sizes("fd64::2", "2001:db8:1:2:3:4:5:6", IPPROTO_ICMPV6, false);
	check_sizes("fd64::2", "2001:db8:1:2:3:4:5:6", IPPROTO_ICMPV6, true);
	assert_int_equal(flight_least(AF_INET6, IPPROTO_TCP), 60);
	assert_int_equal(flight_least(AF_INET6, IPPROTO_ICMPV6), 48);
}

static void the_longest_packet_has_its_sentence_whole(void **state)
{
	struct flight flight = { .src = ip("fd00:1111:2222:3333:4444:5555:6666:7777"),
		.dst = ip("fd00:1111:2222:3333:4444:5555:6666:8888"), .sport = 40000, .dport = 65535,
		.proto = IPPROTO_UDP, .size = 1600 };
	struct trace_way way;

	flight_format(&flight, way.packet, sizeof(way.packet));
	assert_string_equal(way.packet, "udp [fd00:1111:2222:3333:4444:5555:6666:7777]:40000 -> "
		"[fd00:1111:2222:3333:4444:5555:6666:8888]:65535, 1600 bytes");
	flight = (struct flight){ .src = ip("fd64::2"), .dst = ip("fd01::1"), .sport = 7, .is_reply = true,
		.proto = IPPROTO_ICMPV6, .size = 48 };
	flight_format(&flight, way.packet, sizeof(way.packet));
	assert_string_equal(way.packet, "icmpv6 fd64::2 -> fd01::1, echo reply 7, 48 bytes");
}

static void addresses_and_prefixes_are_written_as_their_family_has_them(void **state)
{
	char end[ADDR_END_LEN], prefix[ADDR_PREFIX_LEN];

	assert_string_equal(addr_end_text(ip("10.0.0.1"), 80, end), "10.0.0.1:80");
	assert_string_equal(addr_end_text(ip("fd00::1"), 80, end), "[fd00::1]:80");
	addr_prefix_text(ip("192.168.1.220"), 24, prefix);
	assert_string_equal(prefix, "192.168.1.0/24");
	addr_prefix_text(ip("fd00:1:2:3::4"), 48, prefix);
	assert_string_equal(prefix, "fd00:1:2::/48");
	assert_false(addr_is_equal(ip("0.0.0.0"), ip("::")));
	assert_true(addr_is_equal(ip("fd00::1"), ip("fd00:0::1")));
}

static void make_party(struct party *party)
{
	*party = (struct party){ .index = 0x40, .remote_index = 7 };
	randombytes_buf(&party->recv, sizeof(party->recv));
	randombytes_buf(&party->send, sizeof(party->send));
}

/* Sealed by the peer's side of the session, so that the other side is what opens it here. */
static void opens(uint16_t family, bool is_six, uint32_t size)
{
	struct flight flight = { .src = ip(is_six ? "fd64::2" : "100.64.0.2"),
		.dst = ip(is_six ? "fd01::1" : "10.0.0.1"), .proto = IPPROTO_UDP,
		.sport = 1, .dport = 2, .size = size };
	struct outer outer = { .family = family, .sport = htons(5), .dport = htons(51820) };
	static const uint8_t mac[6] = { 2 };
	struct frame packet, sealed, frame, opened;
	struct party party, mirror;

	make_party(&party);
	mirror = party;
	mirror.send = party.recv;
	frame_packet(&flight, &packet);
	frame_seal(&party, &outer, &packet, &sealed);
	assert_int_equal(party.counter, 1);
	frame_ethernet(mac, mac, family == AF_INET ? ETH_P_IP : ETH_P_IPV6, &sealed, &frame);
	assert_int_equal(frame_open(&mirror, &frame, &opened), 0);
	assert_int_equal(opened.len, (size + 15) / 16 * 16);
	assert_memory_equal(opened.bytes, packet.bytes, size);
	frame.bytes[frame.len - 1] ^= 1;
	assert_int_equal(frame_open(&mirror, &frame, &opened), -EBADMSG);
	frame.bytes[frame.len - 1] ^= 1;
	frame.len -= 1;
	assert_int_equal(frame_open(&mirror, &frame, &opened), -EBADMSG);
	party_wipe(&party);
	assert_true(secret_key_is_zero(&party.send));
}

static void what_is_sealed_can_be_opened_and_what_is_not_cannot(void **state)
{
	for (uint32_t size = 28; size <= TRACE_SIZE_MAX; size += 131) {
		opens(AF_INET, false, size);
		opens(AF_INET6, false, size);
		if (size < 48)
			continue;
		opens(AF_INET, true, size);
		opens(AF_INET6, true, size);
	}
}

/* Reasons that no trace can end with: it makes whole packets, alone, with a counter of its own. */
static bool cannot_be(enum talon_end end)
{
	static const enum talon_end never[] = {
		TALON_TOO_SHORT, TALON_NOT_LINEAR, TALON_UNKNOWN_TYPE, TALON_REPLAYED, TALON_BAD_TAG,
		TALON_CONGESTED, TALON_BAD_INNER, TALON_INNER_CHECKSUM, TALON_SOURCE_ROUTED,
		TALON_NO_ROOM, TALON_RATE_LIMITED, TALON_QUIET, TALON_PREEMPTED, TALON_INTERNAL,
	};

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (never[i] == end)
			return true;
	return false;
}

static void every_drop_has_a_hint(void **state)
{
	for (unsigned end = 0; end < TALON_END_COUNT; end++) {
		if (!show_ends[end].is_drop || cannot_be(end))
			continue;
		if (!trace_hint(end))
			fail_msg("no hint for %s", show_ends[end].label);
	}
	assert_null(trace_hint(TALON_FORWARDED));
	assert_null(trace_hint(TALON_END_COUNT));
}

static struct trace denied(void)
{
	struct trace trace = { .mode = "xdp", .controller_runs = true };
	struct trace_way *way = &trace.there;

	*way = (struct trace_way){ .origin = TRACE_FROM_PEER,
		.packet = "tcp 1.1.1.1:1 -> 2.2.2.2:2, 40 bytes",
		.entry = "from peer lap", .end = TALON_ACL_DENIED, .reason = TALON_ACL_DENIED,
		.decider = TRACE_RULE, .has_rule = true, .rule = 3,
		.rule_named = { .name = "peers: tcp 80", .policy = "web", .drop = 1 } };
	tell(way, TRACE_SESSION, "made now");
	assert_true(tell(way, TRACE_RULE, "rule \"peers\x1b[2J\" drops it"));
	return trace;
}

static char *text_of(const struct trace *trace, bool as_json)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (as_json)
		trace_print_json(out, trace);
	else
		trace_print_text(out, trace);
	fclose(out);
	return text;
}

static void the_text_marks_what_decided_and_ends_with_verdict_and_hint(void **state)
{
	struct trace trace = denied();
	char *text = text_of(&trace, false);

	assert_string_equal(text,
		"datapath: xdp\n\n"
		"there: tcp 1.1.1.1:1 -> 2.2.2.2:2, 40 bytes\n"
		"  from peer lap\n"
		"  ok session      made now\n"
		"  !! access rule  rule \"peers?[2J\" drops it\n"
		"  => dropped: acl_denied: no access rule lets it in, or one keeps it out\n\n"
		"verdict: dropped: acl_denied: no access rule lets it in, or one keeps it out\n"
		"hint: change the policy in the management server's dashboard; talon status counts "
		"acl_denied\n");
	free(text);
}

static void the_json_has_the_same_and_parses(void **state)
{
	struct trace trace = denied();
	char *text = text_of(&trace, true);
	json_t *json = json_loads(text, 0, NULL), *there, *rule, *step;

	assert_non_null(json);
	there = json_object_get(json, "there");
	rule = json_object_get(there, "rule");
	step = json_array_get(json_object_get(there, "steps"), 1);
	assert_false(json_boolean_value(json_object_get(json, "passes")));
	assert_string_equal(json_string_value(json_object_get(there, "end")), "acl_denied");
	assert_string_equal(json_string_value(json_object_get(rule, "policy")), "web");
	assert_string_equal(json_string_value(json_object_get(rule, "action")), "drop");
	assert_int_equal(json_integer_value(json_object_get(rule, "number")), 3);
	assert_string_equal(json_string_value(json_object_get(step, "step")), "accessRule");
	assert_true(json_boolean_value(json_object_get(step, "decides")));
	assert_null(json_object_get(json, "back"));
	assert_non_null(json_object_get(json, "hint"));
	json_decref(json);
	free(text);
}

static void an_answer_that_is_stopped_is_the_verdict(void **state)
{
	struct trace trace = { .mode = "tcx", .has_back = true };
	char *text;

	trace.there.end = trace.there.reason = TALON_FORWARDED;
	trace.there.passes = true;
	trace.back.end = trace.back.reason = TALON_NO_ENDPOINT;
	assert_false(trace_passes(&trace));
	text = text_of(&trace, false);
	assert_non_null(strstr(text, "the controller does not run"));
	assert_non_null(strstr(text, "verdict: passes, but its answer is dropped: no_endpoint: peer's "
		"endpoint is not known\nhint: the peer has never been heard of"));
	free(text);
	trace.back.passes = true;
	trace.back.end = trace.back.reason = TALON_FORWARDED;
	text = text_of(&trace, false);
	assert_non_null(strstr(text, "verdict: passes, and so does its answer\n"));
	assert_null(strstr(text, "hint"));
	free(text);
}

static void a_refusal_names_the_error_and_what_is_behind_it(void **state)
{
	struct trace trace = { .mode = "xdp", .controller_runs = true };
	char *text;

	trace.there = (struct trace_way){ .end = TALON_ICMP_SENT, .reason = TALON_TOO_BIG, .has_icmp = true,
		.icmp_type = 3, .icmp_code = 4, .icmp_mtu = 1000, .decider = TRACE_MTU };
	text = text_of(&trace, false);
	assert_non_null(strstr(text,
		"verdict: refused: icmp_sent: answered with an ICMP error, \"fragmentation needed\"; behind "
		"it: too_big\n"));
	free(text);
}

static void errors_have_the_names_of_their_family(void **state)
{
	static const struct { uint8_t type, code; enum trace_icmp_kind kind; const char *name; } six[] = {
		{ 1, 0, TRACE_ICMP_UNREACHABLE, "no route to destination" },
		{ 1, 1, TRACE_ICMP_PROHIBITED, "administratively prohibited" },
		{ 1, 3, TRACE_ICMP_UNREACHABLE, "address unreachable" },
		{ 2, 0, TRACE_ICMP_TOO_BIG, "packet too big" },
		{ 3, 0, TRACE_ICMP_EXPIRED, "time exceeded" },
	};
	struct trace_way way = { .family = AF_INET6 };

	assert_int_equal(trace_icmp_kind(&way), TRACE_ICMP_NONE);
	way.has_icmp = true;
	for (size_t i = 0; i < sizeof(six) / sizeof(six[0]); i++) {
		way.icmp_type = six[i].type;
		way.icmp_code = six[i].code;
		assert_int_equal(trace_icmp_kind(&way), six[i].kind);
		assert_string_equal(trace_icmp_name(&way), six[i].name);
	}
	way = (struct trace_way){ .family = AF_INET, .has_icmp = true, .icmp_type = 3, .icmp_code = 3 };
	assert_int_equal(trace_icmp_kind(&way), TRACE_ICMP_UNREACHABLE);
	assert_string_equal(trace_icmp_name(&way), "unreachable");
}

static void the_json_has_the_ipv6_address_of_nat(void **state)
{
	struct trace trace = { .mode = "xdp", .controller_runs = true };
	char *text;

	trace.there = (struct trace_way){ .family = AF_INET6, .has_nat = true, .nat_port = 13000,
		.nat_addr = ip("fd01::221"), .end = TALON_FORWARDED, .reason = TALON_FORWARDED };
	text = text_of(&trace, true);
	assert_non_null(strstr(text, "\"fd01::221\""));
	free(text);
}

static void steps_that_find_no_room_end_the_way(void **state)
{
	struct trace_way way = { .decider = TRACE_STEP_COUNT };

	for (unsigned i = 0; i < TRACE_STEP_COUNT; i++)
		assert_false(tell(&way, TRACE_OTHER, "%u", i));
	assert_true(tell(&way, TRACE_OTHER, "one more"));
	assert_int_equal(way.step_count, TRACE_STEP_COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_have_the_size_and_the_checksums_that_they_should),
		cmocka_unit_test(the_longest_packet_has_its_sentence_whole),
		cmocka_unit_test(addresses_and_prefixes_are_written_as_their_family_has_them),
		cmocka_unit_test(errors_have_the_names_of_their_family),
		cmocka_unit_test(the_json_has_the_ipv6_address_of_nat),
		cmocka_unit_test(what_is_sealed_can_be_opened_and_what_is_not_cannot),
		cmocka_unit_test(every_drop_has_a_hint),
		cmocka_unit_test(the_text_marks_what_decided_and_ends_with_verdict_and_hint),
		cmocka_unit_test(the_json_has_the_same_and_parses),
		cmocka_unit_test(an_answer_that_is_stopped_is_the_verdict),
		cmocka_unit_test(a_refusal_names_the_error_and_what_is_behind_it),
		cmocka_unit_test(steps_that_find_no_room_end_the_way),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
