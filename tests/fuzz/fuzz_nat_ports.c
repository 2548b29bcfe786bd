// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Answers of sock_diag, parsed for the ports of the host.
#include "../../userspace/nat/nat_ports.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nat_port_set set = { 0 };
	uint8_t *copy;
	int ret;

	copy = malloc(size ? size : 1);	/* aligned like a receive buffer, and with nothing after it */
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	ret = nat_ports_parse(copy, size, 1, size & 1, &set);
	if (ret > 1 || ret < -4095)
		abort();
	cut_to_range(&set, 12288, 19999);
	for (unsigned i = 0; i < NAT_PORTS_WORDS; i++) {
		if ((i < 12288 / 64 || i > 19999 / 64) && (set.word[0][i] || set.word[1][i]))
			abort();
	}
	free(copy);
	return 0;
}
