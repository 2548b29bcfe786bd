// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Compact prefixes: an address and one byte of prefix length.
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "netmap/compact.h"

enum { LEN4 = 4 + 1, LEN6 = 16 + 1 };

int compact_read(const uint8_t *bytes, size_t len, struct cidr *ret_cidr)
{
	struct cidr cidr = { .family = len == LEN4 ? AF_INET : AF_INET6 };

	if (len != LEN4 && len != LEN6)
		return -EINVAL;
	memcpy(&cidr.addr, bytes, len - 1);
	cidr.prefixlen = bytes[len - 1];
	if (len == LEN6 && addr6_is_mapped(&cidr.addr)) {
		cidr.family = AF_INET;
		cidr.addr = (struct talon_addr){ .word = { cidr.addr.word[3] } };
	}
	if (cidr.prefixlen > (cidr.family == AF_INET ? 32 : 128))
		return -EINVAL;
	*ret_cidr = cidr;
	return 0;
}
