// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Networks in CIDR notation.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cidr.h"

static int parse_length(struct slice text, unsigned int most, unsigned int *ret_length)
{
	unsigned int length = 0;

	if (!text.len || text.len > 3)
		return -EINVAL;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return -EINVAL;
		length = length * 10 + text.at[i] - '0';
	}
	if (length > most)
		return -EINVAL;
	*ret_length = length;
	return 0;
}

/* @addr with all but the first @prefixlen bits cleared. */
static void mask_address(struct talon_addr *addr, unsigned int prefixlen)
{
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int bits = prefixlen > i * 32 ? prefixlen - i * 32 : 0;

		if (bits < 32)
			addr->word[i] &= bits ? htonl(~0U << (32 - bits)) : 0;
	}
}

int cidr_parse(struct slice text, bool keep_host_bits, struct cidr *ret_cidr)
{
	const char *slash = memchr(text.at, '/', text.len);
	struct slice host = { text.at, slash ? (size_t)(slash - text.at) : text.len };
	char buf[INET6_ADDRSTRLEN];
	struct cidr cidr = {};
	unsigned int prefixlen;

	if (!slice_copy(host, buf, sizeof(buf)))
		return -EINVAL;
	cidr.family = strchr(buf, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(cidr.family, buf, &cidr.addr) != 1)
		return -EINVAL;
	prefixlen = cidr.family == AF_INET ? 32 : 128;
	if (slash) {
		struct slice length = { slash + 1, text.len - host.len - 1 };

		if (parse_length(length, prefixlen, &prefixlen))
			return -EINVAL;
	}
	cidr.prefixlen = prefixlen;
	if (!keep_host_bits)
		mask_address(&cidr.addr, prefixlen);
	*ret_cidr = cidr;
	return 0;
}

void cidr_clear_host_bits(struct cidr *cidr)
{
	mask_address(&cidr->addr, cidr->prefixlen);
}

void cidr_format(const struct cidr *cidr, char *text, size_t size)
{
	char addr[INET6_ADDRSTRLEN];

	inet_ntop(cidr->family, &cidr->addr, addr, sizeof(addr));
	snprintf(text, size, "%s/%u", addr, cidr->prefixlen);
}

bool cidr_holds(const struct cidr *net, const struct talon_addr *addr)
{
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int bits = net->prefixlen > i * 32 ? net->prefixlen - i * 32 : 0;
		__be32 mask = bits >= 32 ? ~0U : bits ? htonl(~0U << (32 - bits)) : 0;

		if ((net->addr.word[i] ^ addr->word[i]) & mask)
			return false;
	}
	return true;
}

bool addr4_is_host(__be32 addr)
{
	__u32 host = ntohl(addr);

	return host >> 24 != 0 && host >> 24 != 127 && host >> 28 < 0xe;
}

bool addr6_is_mapped(const struct talon_addr *addr)
{
	return !addr->word[0] && !addr->word[1] && addr->word[2] == htonl(0xffff);
}

bool addr6_is_host(const struct talon_addr *addr)
{
	const __u32 first = ntohl(addr->word[0]);
	const bool is_loopback = !addr->word[0] && !addr->word[1] && !addr->word[2] &&
		addr->word[3] == htonl(1);

	return !addr6_is_zero(addr) && !is_loopback && !addr6_is_mapped(addr) && first >> 24 != 0xff &&
		first >> 22 != 0xfe80 >> 6;
}
