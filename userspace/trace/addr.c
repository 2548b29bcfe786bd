// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Addresses of either family: compared, and as text.
#include <arpa/inet.h>
#include <stdio.h>

#include "base/cidr.h"
#include "trace/internal.h"

bool addr_is_equal(struct trace_addr a, struct trace_addr b)
{
	return a.family == b.family && talon_addr_equal(&a.addr, &b.addr);
}

const char *addr_text(struct trace_addr addr, char text[static INET6_ADDRSTRLEN])
{
	return inet_ntop(addr.family, &addr.addr, text, INET6_ADDRSTRLEN);
}

const char *addr_end_text(struct trace_addr addr, uint16_t port, char text[static ADDR_END_LEN])
{
	char bare[INET6_ADDRSTRLEN];

	snprintf(text, ADDR_END_LEN, addr.family == AF_INET6 ? "[%s]:%u" : "%s:%u", addr_text(addr, bare),
		port);
	return text;
}

void addr_prefix_text(struct trace_addr addr, unsigned len, char text[static ADDR_PREFIX_LEN])
{
	struct cidr net = { .family = addr.family, .prefixlen = len, .addr = addr.addr };

	cidr_clear_host_bits(&net);
	cidr_format(&net, text, ADDR_PREFIX_LEN);
}
