// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// STUN: recorded messages read and built again byte by byte, and messages that lie.
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "ice/stun.h"
#include "unit/vectors/stun.h"

#define RFC_PASSWORD "VOkJxbRl1RmTxUk/WvJxBt"
#define CONTROLLING_CIDS "BwtQwfELw5ZATymezMYmR62cKoLmBRBV:VU+puqnBkg3FFRTzjs5eg6fGRnNwsmFS"

static struct stun_message parse(const uint8_t *bytes, size_t len)
{
	struct stun_message m;

	assert_int_equal(stun_parse(bytes, len, &m), 0);
	return m;
}

static struct endpoint v4(const char *addr, uint16_t port)
{
	struct endpoint e = { .family = AF_INET, .port = htons(port) };

	assert_int_equal(inet_pton(AF_INET, addr, &e.remote), 1);
	return e;
}

static void samples_of_the_rfc_are_read(void **state)
{
	struct stun_message m = parse(rfc5769_request, sizeof(rfc5769_request));
	char addr[INET6_ADDRSTRLEN];

	assert_int_equal(m.class, STUN_REQUEST);
	assert_int_equal(m.method, STUN_BINDING);
	assert_int_equal(m.username_len, 9);
	assert_memory_equal(m.username, "evtj:h6vY", 9);
	assert_true(m.has_priority);
	assert_int_equal(m.priority, 0x6e0001ff);
	assert_true(m.is_controlled);
	assert_false(m.is_controlling);
	assert_true(m.tie_breaker == 0x932ff9b151263b36);
	assert_true(stun_is_authentic(&m, RFC_PASSWORD));
	assert_true(stun_has_fingerprint(&m));
	assert_false(stun_is_authentic(&m, "VOkJxbRl1RmTxUk/WvJxBT"));

	m = parse(rfc5769_response_ipv4, sizeof(rfc5769_response_ipv4));
	assert_int_equal(m.class, STUN_SUCCESS);
	assert_true(m.has_mapped);
	assert_int_equal(ntohs(m.mapped.port), 32853);
	assert_string_equal(inet_ntop(AF_INET, &m.mapped.remote, addr, sizeof(addr)), "192.0.2.1");
	assert_true(stun_is_authentic(&m, RFC_PASSWORD));
	assert_true(stun_has_fingerprint(&m));

	m = parse(rfc5769_response_ipv6, sizeof(rfc5769_response_ipv6));
	assert_int_equal(ntohs(m.mapped.port), 32853);
	assert_int_equal(m.mapped.family, AF_INET6);
	assert_string_equal(inet_ntop(AF_INET6, &m.mapped.remote, addr, sizeof(addr)),
		"2001:db8:1234:5678:11:2233:4455:6677");
	assert_true(stun_is_authentic(&m, RFC_PASSWORD));
}

static void a_check_of_a_stock_client_is_read_with_what_follows_its_fingerprint(void **state)
{
	struct stun_message m = parse(netbird_check_controlling, sizeof(netbird_check_controlling));

	assert_int_equal(m.len, 184);
	assert_int_equal(m.username_len, 33);
	assert_memory_equal(m.username, NETBIRD_LAP_UFRAG ":" NETBIRD_NODE_UFRAG, 33);
	assert_true(m.is_controlling);
	assert_false(m.use_candidate);
	assert_int_equal(m.priority, 2130706431);
	assert_int_equal(m.cids_len, STUN_CIDS_LEN);
	assert_memory_equal(m.cids, CONTROLLING_CIDS, STUN_CIDS_LEN);
	assert_true(stun_is_authentic(&m, NETBIRD_LAP_PWD));
	assert_true(stun_has_fingerprint(&m));
	assert_false(stun_is_authentic(&m, NETBIRD_NODE_PWD));

	m = parse(netbird_check_controlled, sizeof(netbird_check_controlled));
	assert_true(m.is_controlled);
	assert_int_equal(m.priority, 1694498815);
	m = parse(netbird_nomination, sizeof(netbird_nomination));
	assert_int_equal(m.len, 188);
	assert_true(m.use_candidate);
}

/* A request that was recorded, taken apart and put together again. */
static void expect_rebuilt_request(const uint8_t *bytes, size_t len, const char *username,
	const char *password)
{
	struct stun_message m = parse(bytes, len);
	uint8_t built[STUN_BUILD_MAX];
	char cids[STUN_CIDS_LEN + 1] = "";
	struct stun_request r = {
		.tx = m.tx, .username = username, .password = password, .use_candidate = m.use_candidate,
		.is_controlling = m.is_controlling, .tie_breaker = m.tie_breaker, .priority = m.priority,
		.cids = cids,
	};

	memcpy(cids, m.cids, STUN_CIDS_LEN);
	assert_int_equal(stun_build_request(&r, built, sizeof(built)), len);
	assert_memory_equal(built, bytes, len);
	for (size_t room = 0; room < len; room++)
		assert_int_equal(stun_build_request(&r, built, room), -ENOSPC);
}

static void expect_rebuilt_response(const uint8_t *bytes, size_t len, const char *password)
{
	struct stun_message m = parse(bytes, len);
	uint8_t built[STUN_BUILD_MAX];
	char cids[STUN_CIDS_LEN + 1] = "";
	struct stun_response r = { .tx = m.tx, .mapped = &m.mapped, .password = password,
		.cids = m.cids ? cids : NULL };

	if (m.cids)
		memcpy(cids, m.cids, STUN_CIDS_LEN);
	assert_int_equal(stun_build_response(&r, built, sizeof(built)), len);
	assert_memory_equal(built, bytes, len);
}

static void what_we_build_is_what_stock_clients_and_their_server_build(void **state)
{
	const char *to_lap = NETBIRD_LAP_UFRAG ":" NETBIRD_NODE_UFRAG, *to_node = NETBIRD_NODE_UFRAG ":"
		NETBIRD_LAP_UFRAG;
	const struct stun_request bare = { .tx = netbird_server_request + 8 };
	uint8_t built[STUN_BUILD_MAX];

	expect_rebuilt_request(netbird_check_controlling, sizeof(netbird_check_controlling), to_lap,
		NETBIRD_LAP_PWD);
	expect_rebuilt_request(netbird_check_controlled, sizeof(netbird_check_controlled), to_node,
		NETBIRD_NODE_PWD);
	expect_rebuilt_request(netbird_nomination, sizeof(netbird_nomination), to_lap, NETBIRD_LAP_PWD);
	expect_rebuilt_response(netbird_check_controlling_response,
		sizeof(netbird_check_controlling_response), NETBIRD_LAP_PWD);
	expect_rebuilt_response(netbird_check_controlled_response, sizeof(netbird_check_controlled_response),
		NETBIRD_NODE_PWD);
	expect_rebuilt_response(netbird_nomination_response, sizeof(netbird_nomination_response),
		NETBIRD_LAP_PWD);
	expect_rebuilt_response(netbird_server_response, sizeof(netbird_server_response), NULL);
	assert_int_equal(stun_build_request(&bare, built, sizeof(built)), sizeof(netbird_server_request));
	assert_memory_equal(built, netbird_server_request, sizeof(netbird_server_request));
}

static void the_servers_answer_says_where_we_are(void **state)
{
	struct stun_message m = parse(netbird_server_response, sizeof(netbird_server_response));
	struct endpoint want = v4("10.99.0.254", 51820);

	assert_true(m.has_mapped);
	assert_true(endpoint_is_equal(&m.mapped, &want));
	assert_false(stun_is_authentic(&m, ""));
	assert_true(stun_has_fingerprint(&m));
}

static void an_error_is_built_and_read(void **state)
{
	struct stun_response r = { .tx = rfc5769_request + 8, .error = STUN_ROLE_CONFLICT,
		.password = "secret" };
	uint8_t built[STUN_BUILD_MAX];
	int len = stun_build_response(&r, built, sizeof(built));
	struct stun_message m = parse(built, len);

	assert_int_equal(m.class, STUN_ERROR);
	assert_int_equal(m.error, 487);
	assert_false(m.has_mapped);
	assert_true(stun_is_authentic(&m, "secret"));
	assert_true(stun_has_fingerprint(&m));
}

static void the_longest_message_has_room(void **state)
{
	char username[STUN_USERNAME_MAX + 1];
	struct stun_request r = {
		.tx = rfc5769_request + 8, .username = username, .password = "p", .use_candidate = true,
		.cids = CONTROLLING_CIDS,
	};
	uint8_t built[STUN_BUILD_MAX];
	struct stun_message m;

	memset(username, 'u', STUN_USERNAME_MAX);
	username[STUN_USERNAME_MAX] = 0;
	m = parse(built, stun_build_request(&r, built, sizeof(built)));
	assert_int_equal(m.username_len, STUN_USERNAME_MAX);
	assert_true(stun_is_authentic(&m, "p"));
}

static void one_changed_bit_anywhere_is_noticed_or_harmless(void **state)
{
	/* what the integrity vouches for, and itself */
	const size_t covered = sizeof(netbird_check_controlling) - 72 - 8;
	uint8_t bytes[sizeof(netbird_check_controlling)];

	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		struct stun_message m;

		memcpy(bytes, netbird_check_controlling, sizeof(bytes));
		bytes[bit / 8] ^= 1 << bit % 8;
		if (stun_parse(bytes, sizeof(bytes), &m))
			continue;
		if (bit / 8 < covered)
			assert_false(stun_is_authentic(&m, NETBIRD_LAP_PWD));
		else
			assert_true(stun_is_authentic(&m, NETBIRD_LAP_PWD));
	}
}

static void no_cut_message_is_read(void **state)
{
	struct stun_message m;

	for (size_t len = 0; len < sizeof(netbird_nomination); len++)
		assert_int_equal(stun_parse(netbird_nomination, len, &m), -EBADMSG);
}

/* Appends an attribute of 4 bytes to a message and says so in its length. */
static size_t append(uint8_t *bytes, size_t len, uint16_t type, uint16_t value_len, uint32_t value)
{
	const uint8_t more[] = { type >> 8, type, value_len >> 8, value_len, value >> 24, value >> 16,
		value >> 8, value };

	memcpy(bytes + len, more, sizeof(more));
	len += sizeof(more);
	bytes[2] = (len - STUN_HEADER_LEN) >> 8;
	bytes[3] = len - STUN_HEADER_LEN;
	return len;
}

static void attributes_behind_the_integrity_do_not_count(void **state)
{
	const uint16_t types[] = { 0x0024, 0x0025, 0x0006, 0x8029 };
	uint8_t bytes[256];

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct stun_message m;
		size_t len = sizeof(netbird_check_controlling);

		memcpy(bytes, netbird_check_controlling, len);
		m = parse(bytes, append(bytes, len, types[i], 4, 0xffffffff));
		assert_true(stun_is_authentic(&m, NETBIRD_LAP_PWD));
		assert_int_equal(m.priority, 2130706431);
		assert_false(m.use_candidate);
		assert_int_equal(m.username_len, 33);
		assert_true(m.is_controlling);
	}
}

static void attributes_of_a_wrong_length_are_refused(void **state)
{
	static const struct { uint16_t type, len; } wrong[] = {
		{ 0x0024, 3 }, { 0x802a, 4 }, { 0x0020, 4 }, { 0x0008, 4 }, { 0x8028, 2 }, { 0x0009, 3 },
		{ 0x0024, 5 }, { 0xc001, 0xffff },
	};
	uint8_t bytes[64];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct stun_message m;

		memcpy(bytes, netbird_server_request, sizeof(netbird_server_request));
		assert_int_equal(stun_parse(bytes, append(bytes, sizeof(netbird_server_request),
			wrong[i].type, wrong[i].len, 0), &m), -EBADMSG);
	}
}

static void wireguard_is_not_taken_for_stun(void **state)
{
	uint8_t bytes[148] = { 1 };

	assert_false(stun_is_message(bytes, sizeof(bytes)));
	memcpy(bytes + 4, "\x21\x12\xa4\x42", 4);
	assert_false(stun_is_message(bytes, sizeof(bytes)));	/* its length is not 0 */
	assert_true(stun_is_message(netbird_server_request, 20));
	assert_false(stun_is_message(netbird_server_request, 19));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_of_the_rfc_are_read),
		cmocka_unit_test(a_check_of_a_stock_client_is_read_with_what_follows_its_fingerprint),
		cmocka_unit_test(what_we_build_is_what_stock_clients_and_their_server_build),
		cmocka_unit_test(the_servers_answer_says_where_we_are),
		cmocka_unit_test(an_error_is_built_and_read),
		cmocka_unit_test(the_longest_message_has_room),
		cmocka_unit_test(one_changed_bit_anywhere_is_noticed_or_harmless),
		cmocka_unit_test(no_cut_message_is_read),
		cmocka_unit_test(attributes_behind_the_integrity_do_not_count),
		cmocka_unit_test(attributes_of_a_wrong_length_are_refused),
		cmocka_unit_test(wireguard_is_not_taken_for_stun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
