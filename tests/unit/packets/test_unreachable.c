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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_error_is_a_routers),
		cmocka_unit_test(there_is_none_about_what_rfc_1812_excepts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
