// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Macs, cookies, load detection, and the rate limit by source.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "noise/cookie.h"

#define SEC	1000000000ULL
#define MSEC	1000000ULL
#define START	(5000 * SEC)

static void random_count(void *ctx, void *buf, size_t len)
{
	static uint8_t next;
	uint8_t *bytes = buf;

	for (size_t i = 0; i < len; i++)
		bytes[i] = next++ * 37 + i;
}

struct talk {
	uint8_t responder[KEY_LEN];
	struct cookie_checker checker;	/* of the responder */
	struct cookie_maker maker;	/* of the initiator, for the responder */
	struct wg_initiation message;
	struct endpoint from;
	struct wg_cookie reply;
};

static struct endpoint source(const char *addr, uint16_t port)
{
	struct endpoint endpoint = { .family = strchr(addr, ':') ? AF_INET6 : AF_INET, .port = htons(port) };

	assert_int_equal(inet_pton(endpoint.family, addr, &endpoint.remote), 1);
	return endpoint;
}

static struct talk talk_begin(void)
{
	struct talk t = { .responder = { 1, 2, 3 },
		.message = { .type = WG_INITIATION, .sender_index = 77 } };

	t.from = source("192.0.2.7", 4000);
	cookie_checker_init(&t.checker, t.responder);
	cookie_maker_init(&t.maker, t.responder);
	cookie_add_macs(&t.maker, START, &t.message, sizeof(t.message));
	return t;
}

static void ask_cookie(struct talk *t, uint64_t now_ns)
{
	cookie_create_reply(&t->checker, now_ns, &t->message, sizeof(t->message), &t->from, random_count,
		NULL, &t->reply);
}

/*
 * The message is sent again, with the cookie if the maker still has it. Returns whether the responder
 * takes it under load.
 */
static bool mac2_passes(struct talk *t, uint64_t now_ns)
{
	cookie_add_macs(&t->maker, now_ns, &t->message, sizeof(t->message));
	assert_true(cookie_check_mac1(&t->checker, &t->message, sizeof(t->message)));
	return cookie_check_mac2(&t->checker, now_ns, &t->message, sizeof(t->message), &t->from);
}

static void mac1_covers_every_bit_before_it_and_itself(void **state)
{
	struct talk t = talk_begin();
	uint8_t *bytes = (uint8_t *)&t.message;

	assert_true(cookie_check_mac1(&t.checker, &t.message, sizeof(t.message)));
	for (size_t bit = 0; bit < 8 * offsetof(struct wg_initiation, mac2); bit++) {
		bytes[bit / 8] ^= 1 << bit % 8;
		assert_false(cookie_check_mac1(&t.checker, &t.message, sizeof(t.message)));
		bytes[bit / 8] ^= 1 << bit % 8;
	}
}

static void mac2_is_zero_without_a_cookie(void **state)
{
	static const uint8_t zero[WG_MAC_LEN];
	struct talk t = talk_begin();

	assert_memory_equal(t.message.mac2, zero, WG_MAC_LEN);
	assert_false(cookie_check_mac2(&t.checker, START, &t.message, sizeof(t.message), &t.from));
}

static void a_cookie_makes_the_next_message_pass(void **state)
{
	struct talk t = talk_begin();

	ask_cookie(&t, START);
	assert_int_equal(t.reply.type, WG_COOKIE);
	assert_int_equal(t.reply.receiver_index, 77);
	assert_int_equal(cookie_consume_reply(&t.maker, START, &t.reply), 0);
	assert_true(mac2_passes(&t, START));
}

static void mac2_covers_every_bit_before_it_and_itself(void **state)
{
	struct talk t = talk_begin();
	uint8_t *bytes = (uint8_t *)&t.message;

	ask_cookie(&t, START);
	assert_int_equal(cookie_consume_reply(&t.maker, START, &t.reply), 0);
	assert_true(mac2_passes(&t, START));
	for (size_t bit = 0; bit < 8 * sizeof(t.message); bit++) {
		bytes[bit / 8] ^= 1 << bit % 8;
		assert_false(cookie_check_mac2(&t.checker, START, &t.message, sizeof(t.message), &t.from));
		bytes[bit / 8] ^= 1 << bit % 8;
	}
}

static void a_cookie_is_good_for_one_address_and_port(void **state)
{
	struct talk t = talk_begin();
	const struct endpoint others[] = { source("192.0.2.8", 4000), source("192.0.2.7", 4001),
		source("::ffff:192.0.2.7", 4000) };

	ask_cookie(&t, START);
	assert_int_equal(cookie_consume_reply(&t.maker, START, &t.reply), 0);
	assert_true(mac2_passes(&t, START));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(cookie_check_mac2(&t.checker, START, &t.message, sizeof(t.message), &others[i]));
}

static void forged_cookie_replies_change_nothing(void **state)
{
	struct talk t = talk_begin();
	const size_t first = offsetof(struct wg_cookie, nonce);
	uint8_t *bytes = (uint8_t *)&t.reply;
	struct cookie_maker before;

	ask_cookie(&t, START);
	before = t.maker;
	for (size_t bit = 8 * first; bit < 8 * sizeof(t.reply); bit++) {
		bytes[bit / 8] ^= 1 << bit % 8;
		assert_int_equal(cookie_consume_reply(&t.maker, START, &t.reply), -EBADMSG);
		assert_memory_equal(&t.maker, &before, sizeof(before));
		bytes[bit / 8] ^= 1 << bit % 8;
	}
	assert_int_equal(cookie_consume_reply(&t.maker, START, &t.reply), 0);
}

static void a_cookie_reply_is_about_the_last_message_and_taken_once(void **state)
{
	struct talk t = talk_begin();

	ask_cookie(&t, START);
	t.message.ephemeral[0]++;
	cookie_add_macs(&t.maker, START, &t.message, sizeof(t.message));
	assert_int_equal(cookie_consume_reply(&t.maker, START, &t.reply), -EBADMSG);
	ask_cookie(&t, START);
	assert_int_equal(cookie_consume_reply(&t.maker, START, &t.reply), 0);
	assert_int_equal(cookie_consume_reply(&t.maker, START, &t.reply), -EINVAL);
}

static void nobody_who_sent_nothing_gets_a_cookie(void **state)
{
	struct talk t = talk_begin();
	struct cookie_maker fresh;

	ask_cookie(&t, START);
	cookie_maker_init(&fresh, t.responder);
	assert_int_equal(cookie_consume_reply(&fresh, START, &t.reply), -EINVAL);
}

static void the_maker_uses_a_cookie_for_115_seconds(void **state)
{
	struct talk t = talk_begin();

	ask_cookie(&t, START);
	assert_int_equal(cookie_consume_reply(&t.maker, START, &t.reply), 0);
	assert_true(mac2_passes(&t, START + 115 * SEC - 1));
	assert_false(mac2_passes(&t, START + 115 * SEC));
}

static void the_checker_changes_its_secret_after_120_seconds(void **state)
{
	struct talk t = talk_begin();

	ask_cookie(&t, START);
	/* The reply was 60 s under way: the maker thinks it good for longer than the checker does. */
	assert_int_equal(cookie_consume_reply(&t.maker, START + 60 * SEC, &t.reply), 0);
	assert_true(mac2_passes(&t, START + 120 * SEC - 1));
	assert_false(mac2_passes(&t, START + 120 * SEC));
	/* A new secret with the next reply; the old cookie stays useless. */
	ask_cookie(&t, START + 121 * SEC);
	assert_false(mac2_passes(&t, START + 121 * SEC));
	ask_cookie(&t, START + 121 * SEC);
	assert_int_equal(cookie_consume_reply(&t.maker, START + 121 * SEC, &t.reply), 0);
	assert_true(mac2_passes(&t, START + 122 * SEC));
}

static void replies_to_responses_name_their_sender_too(void **state)
{
	struct talk t = talk_begin();
	struct wg_response response = { .type = WG_RESPONSE, .sender_index = 99, .receiver_index = 11 };

	cookie_add_macs(&t.maker, START, &response, sizeof(response));
	assert_true(cookie_check_mac1(&t.checker, &response, sizeof(response)));
	cookie_create_reply(&t.checker, START, &response, sizeof(response), &t.from, random_count, NULL,
		&t.reply);
	assert_int_equal(t.reply.receiver_index, 99);
	assert_int_equal(cookie_consume_reply(&t.maker, START, &t.reply), 0);
	cookie_add_macs(&t.maker, START, &response, sizeof(response));
	assert_true(cookie_check_mac2(&t.checker, START, &response, sizeof(response), &t.from));
}

static void load_begins_with_one_message_too_many_within_a_second(void **state)
{
	struct cookie_load load = { 0 };

	for (int i = 0; i < COOKIE_LOAD_PER_SECOND; i++)
		assert_false(cookie_load_count(&load, START + i));
	assert_true(cookie_load_count(&load, START + SEC - 1));
}

static void load_ends_a_second_after_the_last_message_too_many(void **state)
{
	struct cookie_load load = { 0 };
	const uint64_t last_ns = START + SEC - 1;

	for (int i = 0; i < COOKIE_LOAD_PER_SECOND; i++)
		cookie_load_count(&load, START);
	assert_true(cookie_load_count(&load, last_ns));
	assert_true(cookie_load_count(&load, last_ns + COOKIE_LOAD_HOLD_NS - 1));
	assert_false(cookie_load_count(&load, last_ns + COOKIE_LOAD_HOLD_NS));
}

static void an_ordinary_rate_is_no_load(void **state)
{
	struct cookie_load load = { 0 };

	for (uint64_t i = 0; i < 20 * COOKIE_LOAD_PER_SECOND; i++)
		assert_false(cookie_load_count(&load, START + i * SEC / COOKIE_LOAD_PER_SECOND));
}

static void a_source_gets_a_burst_of_five_and_twenty_a_second(void **state)
{
	struct cookie_ratelimit *limit = cookie_ratelimit_new(random_count, NULL);
	struct endpoint from = source("192.0.2.7", 4000);
	uint64_t now_ns = START;

	assert_non_null(limit);
	for (int i = 0; i < COOKIE_RATE_BURST; i++)
		assert_true(cookie_ratelimit_allow(limit, now_ns, &from));
	assert_false(cookie_ratelimit_allow(limit, now_ns, &from));
	for (int i = 0; i < 3 * COOKIE_RATE_PER_SECOND; i++) {
		now_ns += 50 * MSEC;
		assert_false(cookie_ratelimit_allow(limit, now_ns - 1, &from));
		assert_true(cookie_ratelimit_allow(limit, now_ns, &from));
		assert_false(cookie_ratelimit_allow(limit, now_ns, &from));
	}
	now_ns += 250 * MSEC;
	for (int i = 0; i < COOKIE_RATE_BURST; i++)
		assert_true(cookie_ratelimit_allow(limit, now_ns, &from));
	assert_false(cookie_ratelimit_allow(limit, now_ns, &from));
	cookie_ratelimit_free(limit);
}

static void ports_share_a_bucket_and_addresses_do_not(void **state)
{
	struct cookie_ratelimit *limit = cookie_ratelimit_new(random_count, NULL);
	struct endpoint from = source("192.0.2.7", 1), other = source("192.0.2.8", 1);

	for (int i = 0; i < COOKIE_RATE_BURST; i++) {
		from.port = htons(1000 + i);
		assert_true(cookie_ratelimit_allow(limit, START, &from));
	}
	assert_false(cookie_ratelimit_allow(limit, START, &from));
	assert_true(cookie_ratelimit_allow(limit, START, &other));
	cookie_ratelimit_free(limit);
}

static void addresses_of_one_ipv6_prefix_share_a_bucket(void **state)
{
	struct cookie_ratelimit *limit = cookie_ratelimit_new(random_count, NULL);
	const struct endpoint same[] = { source("2001:db8:0:1::1", 1), source("2001:db8:0:1:ffff::2", 1) };
	const struct endpoint other = source("2001:db8:0:2::1", 1);

	for (int i = 0; i < COOKIE_RATE_BURST; i++)
		assert_true(cookie_ratelimit_allow(limit, START, &same[i % 2]));
	assert_false(cookie_ratelimit_allow(limit, START, &same[0]));
	assert_false(cookie_ratelimit_allow(limit, START, &same[1]));
	assert_true(cookie_ratelimit_allow(limit, START, &other));
	cookie_ratelimit_free(limit);
}

static void a_crowd_of_sources_locks_nobody_out(void **state)
{
	struct cookie_ratelimit *limit = cookie_ratelimit_new(random_count, NULL);
	struct endpoint from = { .family = AF_INET, .port = htons(1) };

	for (uint32_t i = 0; i < 100000; i++) {
		from.remote.word[0] = htonl(0x0a000000 + i);
		assert_true(cookie_ratelimit_allow(limit, START + i, &from));
	}
	cookie_ratelimit_free(limit);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mac1_covers_every_bit_before_it_and_itself),
		cmocka_unit_test(mac2_is_zero_without_a_cookie),
		cmocka_unit_test(a_cookie_makes_the_next_message_pass),
		cmocka_unit_test(mac2_covers_every_bit_before_it_and_itself),
		cmocka_unit_test(a_cookie_is_good_for_one_address_and_port),
		cmocka_unit_test(forged_cookie_replies_change_nothing),
		cmocka_unit_test(a_cookie_reply_is_about_the_last_message_and_taken_once),
		cmocka_unit_test(nobody_who_sent_nothing_gets_a_cookie),
		cmocka_unit_test(the_maker_uses_a_cookie_for_115_seconds),
		cmocka_unit_test(the_checker_changes_its_secret_after_120_seconds),
		cmocka_unit_test(replies_to_responses_name_their_sender_too),
		cmocka_unit_test(load_begins_with_one_message_too_many_within_a_second),
		cmocka_unit_test(load_ends_a_second_after_the_last_message_too_many),
		cmocka_unit_test(an_ordinary_rate_is_no_load),
		cmocka_unit_test(a_source_gets_a_burst_of_five_and_twenty_a_second),
		cmocka_unit_test(ports_share_a_bucket_and_addresses_do_not),
		cmocka_unit_test(addresses_of_one_ipv6_prefix_share_a_bucket),
		cmocka_unit_test(a_crowd_of_sources_locks_nobody_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
