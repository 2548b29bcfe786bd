// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// "Host unreachable": bytes of the error, and about what there is none.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "packets/unreachable.h"

/* UDP, 100.64.0.2:4660 to 192.168.1.99:53. */
static const uint8_t query[] = {
	0x45, 0, 0, 32, 0x12, 0x34, 0, 0, 63, 17, 0xab, 0xcd, 100, 64, 0, 2, 192, 168, 1, 99,
	0x12, 0x34, 0, 53, 0, 12, 0xbe, 0xef, 'a', 'b', 'c', 'd',
};

static uint16_t sum(const uint8_t *p, size_t len)
{
	uint32_t s = 0;

	for (size_t i = 0; i < len; i += 2)
		s += p[i] << 8 | p[i + 1];
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static void the_error_is_a_routers(void **state)
{
	static const uint8_t head[] = { 0x45, 0xc0, 0, 56, 0, 0, 0x40, 0, 64, 1 };
	static const uint8_t addrs[] = { 100, 64, 0, 1, 100, 64, 0, 2 };
	uint8_t e[UNREACHABLE_LEN];

	assert_int_equal(unreachable_build(query, sizeof(query), htonl(0x64400001), e), UNREACHABLE_LEN);
	assert_memory_equal(e, head, sizeof(head));
	assert_memory_equal(e + 12, addrs, sizeof(addrs));
	assert_int_equal(sum(e, 20), 0xffff);
	assert_int_equal(e[20], 3);
	assert_int_equal(e[21], 1);
	assert_int_equal(sum(e + 20, 36), 0xffff);
	assert_memory_equal(e + 24, "\0\0\0\0", 4);
	assert_memory_equal(e + 28, query, 28);
}

static void there_is_none_about_what_rfc_1812_excepts(void **state)
{
	static const struct { const char *what; unsigned at; uint8_t value; } cases[] = {
		{ "options", 0, 0x46 }, { "version", 0, 0x65 }, { "later fragment", 7, 1 },
		{ "multicast source", 12, 224 },
		{ "no source", 12, 0 }, { "loopback source", 12, 127 }, { "multicast destination", 16, 239 },
		{ "broadcast", 16, 255 },
	};
	uint8_t packet[sizeof(query)], e[UNREACHABLE_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(packet, query, sizeof(query));
		packet[cases[i].at] = cases[i].value;
		print_message("%s\n", cases[i].what);
		assert_int_equal(unreachable_build(packet, sizeof(packet), 1, e), 0);
	}
	for (size_t len = 0; len < 28; len++)
		assert_int_equal(unreachable_build(query, len, 1, e), 0);
	memcpy(packet, query, sizeof(query));
	packet[9] = 1;
	for (unsigned type = 0; type < 256; type++) {
		packet[20] = type;
		assert_int_equal(unreachable_build(packet, sizeof(packet), 1, e) != 0, type == 0 ||
			type == 8 || type == 13 || type == 14);
	}
}

/* IPv6. */

/* UDP, 2001:db8::2 to fd00::99. */
static const uint8_t query6[] = {
	0x60, 0, 0, 0, 0, 12, 17, 63, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
	0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x99, 0x12, 0x34, 0, 53, 0, 12, 0xbe, 0xef, 'a', 'b',
	'c', 'd',
};
static const struct talon_addr router = { { 0x000000fd, 0, 0, 0x01000000 } };	/* fd00::1, little-endian */

/* Of an ICMPv6 message with its pseudo header (RFC 8200 section 8.1). */
static uint16_t sum6(const uint8_t *packet, size_t len)
{
	uint8_t flat[40 + UNREACHABLE6_MAX] = {};
	size_t payload = len - 40;

	memcpy(flat, packet + 8, 32);
	flat[34] = payload >> 8;
	flat[35] = payload;
	flat[39] = 58;
	memcpy(flat + 40, packet + 40, payload);
	return sum(flat, 40 + payload + payload % 2);
}

static void the_ipv6_error_carries_the_whole_packet(void **state)
{
	static const uint8_t head[] = { 0x60, 0, 0, 0, 0, 8 + sizeof(query6), 58, 64 };
	uint8_t e[UNREACHABLE6_MAX];

	assert_int_equal(unreachable_build6(query6, sizeof(query6), 0, &router, e), 48 + sizeof(query6));
	assert_memory_equal(e, head, sizeof(head));
	assert_memory_equal(e + 8, &router, 16);
	assert_memory_equal(e + 24, query6 + 8, 16);
	assert_int_equal(e[40], 1);
	assert_int_equal(e[41], 3);
	assert_memory_equal(e + 44, "\0\0\0\0", 4);
	assert_memory_equal(e + 48, query6, sizeof(query6));
	assert_int_equal(sum6(e, 48 + sizeof(query6)), 0xffff);
}

static void a_large_packet_is_cut_to_the_least_mtu(void **state)
{
	uint8_t packet[1599] = {}, e[UNREACHABLE6_MAX];	/* an odd length */

	memcpy(packet, query6, sizeof(query6));
	assert_int_equal(unreachable_build6(packet, 1233, 1400, &router, e), 1280);
	assert_int_equal(unreachable_build6(packet, 1231, 1400, &router, e), 1279);
	assert_int_equal(sum6(e, 1279), 0xffff);
	assert_int_equal(unreachable_build6(packet, sizeof(packet), 0x12345, &router, e), 1280);
	assert_int_equal(e[40], 2);
	assert_int_equal(e[41], 0);
	assert_memory_equal(e + 44, "\0\x01\x23\x45", 4);
	assert_int_equal(sum6(e, 1280), 0xffff);
}

static void there_is_none_about_what_rfc_4443_excepts(void **state)
{
	static const struct { const char *what; unsigned at; uint8_t value; } cases[] = {
		{ "version", 0, 0x45 }, { "multicast source", 8, 0xff },
		{ "multicast destination", 24, 0xff },
	};
	uint8_t packet[sizeof(query6) + 8], e[UNREACHABLE6_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(packet, query6, sizeof(query6));
		packet[cases[i].at] = cases[i].value;
		print_message("%s\n", cases[i].what);
		assert_int_equal(unreachable_build6(packet, sizeof(query6), 0, &router, e), 0);
	}
	memcpy(packet, query6, sizeof(query6));
	memset(packet + 8, 0, 16);
	assert_int_equal(unreachable_build6(packet, sizeof(query6), 0, &router, e), 0);
	packet[23] = 1;
	assert_int_equal(unreachable_build6(packet, sizeof(query6), 0, &router, e), 0);
	for (size_t len = 0; len < 40; len++)
		assert_int_equal(unreachable_build6(query6, len, 0, &router, e), 0);
	/* a fragment header, or destination options, in front of ICMPv6 */
	for (unsigned type = 0; type < 256; type++) {
		memcpy(packet, query6, 40);
		memset(packet + 40, 0, sizeof(packet) - 40);
		packet[6] = type % 2 ? 44 : 60;
		packet[40] = 58;
		packet[48] = type;
		assert_int_equal(unreachable_build6(packet, sizeof(packet), 0, &router, e) != 0,
			type >= 128 && type != 137);
	}
	packet[6] = 44;
	packet[43] = 8;			/* a later fragment */
	packet[48] = 128;
	assert_int_equal(unreachable_build6(packet, sizeof(packet), 0, &router, e), 0);
	packet[6] = 60;
	packet[41] = 200;		/* longer than the packet */
	assert_int_equal(unreachable_build6(packet, sizeof(packet), 0, &router, e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_error_is_a_routers),
		cmocka_unit_test(there_is_none_about_what_rfc_1812_excepts),
		cmocka_unit_test(the_ipv6_error_carries_the_whole_packet),
		cmocka_unit_test(a_large_packet_is_cut_to_the_least_mtu),
		cmocka_unit_test(there_is_none_about_what_rfc_4443_excepts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
