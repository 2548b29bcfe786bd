// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// ICMP errors about any packet: whole, of bounded length, with the packet inside.
#include <stdlib.h>

#include "packets/unreachable.c"

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void answer6(const uint8_t *packet, size_t size)
{
	static const struct talon_addr router = { { 1, 2, 3, 4 } };
	uint8_t error[UNREACHABLE6_MAX];
	size_t len = unreachable_build6(packet, size, size, &router, error);

	if (!len)
		return;
	check(len <= UNREACHABLE6_MAX && len == 40U + (error[4] << 8 | error[5]));
	check(!memcmp(error + 48, packet, len - 48));
	check(!memcmp(error + 24, packet + 8, 16));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t error[UNREACHABLE_LEN];

	if (unreachable_build(data, size, 1, error))
		check(!memcmp(error + 28, data, 28));
	answer6(data, size);
	return 0;
}
