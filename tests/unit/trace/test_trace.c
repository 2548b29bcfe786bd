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

static __be32 ip4(const char *text)
{
	struct in_addr addr;

	assert_int_equal(inet_pton(AF_INET, text, &addr), 1);
	return addr.s_addr;
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

static void packets_have_the_size_and_the_checksums_that_they_should(void **state)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };

	for (size_t i = 0; i < 3; i++) {
		uint32_t least = flight_least(protos[i]);

		for (uint32_t size = least; size <= TRACE_SIZE_MAX; size += size < least + 20 ? 1 : 97) {
			struct flight flight = { .src = ip4("100.64.0.2"), .dst = ip4("192.168.1.220"),
				.sport = 40000, .dport = 443, .proto = protos[i], .tcp_flags = 2,
				.size = size };
			struct frame packet;
			uint32_t pseudo;

			frame_packet(&flight, &packet);
			assert_int_equal(packet.len, size);
			assert_int_equal(get16(packet.bytes + 2), size);
			assert_int_equal(sum(0, packet.bytes, 20), 0xffff);
			pseudo = protos[i] == IPPROTO_ICMP ? 0 : sum(protos[i] + size - 20, packet.bytes + 12,
				8);
			assert_int_equal(sum(pseudo, packet.bytes + 20, size - 20), 0xffff);
		}
	}
}

static void make_party(struct party *party)
{
	*party = (struct party){ .index = 0x40, .remote_index = 7 };
	randombytes_buf(&party->recv, sizeof(party->recv));
	randombytes_buf(&party->send, sizeof(party->send));
}

/* Sealed by the peer's side of the session, so that the other side is what opens it here. */
static void opens(uint16_t family, uint32_t size)
{
	struct flight flight = { .src = ip4("100.64.0.2"), .dst = ip4("10.0.0.1"), .proto = IPPROTO_UDP,
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
		opens(AF_INET, size);
		opens(AF_INET6, size);
	}
}

/* Reasons that no trace can end with: it makes whole packets, alone, with a counter of its own. */
static bool cannot_be(enum talon_end end)
{
	static const enum talon_end never[] = {
		TALON_TOO_SHORT, TALON_NOT_LINEAR, TALON_UNKNOWN_TYPE, TALON_REPLAYED, TALON_BAD_TAG,
		TALON_CONGESTED, TALON_BAD_INNER, TALON_INNER_CHECKSUM, TALON_SOURCE_ROUTED, TALON_INNER_IPV6,
		TALON_NO_ROOM, TALON_RATE_LIMITED, TALON_PREEMPTED, TALON_INTERNAL,
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
