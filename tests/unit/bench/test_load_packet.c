// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The load generator's check of packets: what it accepts, and that it finds any single wrong byte.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/load/packet.c"

#define RUN	0x1122334455667788
#define LEN	1280

static const struct packet_ends ends = { 0x02004064, 0xdc01a8c0, 20003, 9000 };

static const char *check(const uint8_t *packet, size_t len, bool unfinished_sum)
{
	struct packet_ends seen;
	uint64_t number;

	return packet_check(packet, len, RUN, unfinished_sum, &seen, &number);
}

static void a_packet_says_where_it_goes_and_which_it_is(void **state)
{
	struct packet_ends seen;
	uint8_t packet[LEN];
	uint64_t number;

	for (size_t len = PACKET_MIN; len <= LEN; len += 4) {
		packet_build(packet, len, &ends, RUN, len);
		assert_null(packet_check(packet, len, RUN, false, &seen, &number));
		assert_memory_equal(&seen, &ends, sizeof(seen));
		assert_int_equal(number, len);
	}
}

static void any_changed_byte_is_found(void **state)
{
	uint8_t packet[LEN];

	packet_build(packet, LEN, &ends, RUN, 7);
	for (size_t at = 0; at < LEN; at++) {
		packet[at] ^= 0x10;
		assert_non_null(check(packet, LEN, false));
		packet[at] ^= 0x10;
	}
	assert_null(check(packet, LEN, false));
}

/* Checksums cannot see swapped 16-bit words. */
static void exchanged_bytes_of_the_payload_are_found(void **state)
{
	uint8_t packet[LEN], half[2];

	packet_build(packet, LEN, &ends, RUN, 7);
	memcpy(half, packet + 100, 2);
	memcpy(packet + 100, packet + 102, 2);
	memcpy(packet + 102, half, 2);
	assert_string_equal(check(packet, LEN, false), "payload");
}

static void a_packet_of_another_run_is_found(void **state)
{
	uint8_t packet[LEN];

	packet_build(packet, LEN, &ends, RUN + 1, 7);
	assert_string_equal(check(packet, LEN, false), "payload");
}

static void a_checksum_left_to_hardware_passes_only_where_it_may(void **state)
{
	uint8_t packet[LEN];
	struct iphdr ip;
	uint16_t sum;

	packet_build(packet, LEN, &ends, RUN, 7);
	memcpy(&ip, packet, sizeof(ip));
	sum = fold(pseudo_header(&ip, LEN - sizeof(ip)));
	memcpy(packet + sizeof(ip) + offsetof(struct udphdr, check), &sum, sizeof(sum));
	assert_null(check(packet, LEN, true));
	assert_string_equal(check(packet, LEN, false), "UDP checksum");
}

static void a_packet_cut_short_is_found(void **state)
{
	uint8_t packet[LEN];

	packet_build(packet, LEN, &ends, RUN, 7);
	for (size_t len = 0; len < LEN; len++)
		assert_non_null(check(packet, len, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_says_where_it_goes_and_which_it_is),
		cmocka_unit_test(any_changed_byte_is_found),
		cmocka_unit_test(exchanged_bytes_of_the_payload_are_found),
		cmocka_unit_test(a_packet_of_another_run_is_found),
		cmocka_unit_test(a_checksum_left_to_hardware_passes_only_where_it_may),
		cmocka_unit_test(a_packet_cut_short_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
