// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The ICMP or ICMPv6 error that the packet's sender gets.
#include <stddef.h>

#include "talon/icmp_wire.h"
#include "trace/internal.h"

static enum trace_icmp_kind kind4(const struct trace_way *way)
{
	if (way->icmp_type == ICMP_TIME_EXCEEDED)
		return TRACE_ICMP_EXPIRED;
	if (way->icmp_code == ICMP_PKT_FILTERED)
		return TRACE_ICMP_PROHIBITED;
	return way->icmp_code == ICMP_FRAG_NEEDED ? TRACE_ICMP_TOO_BIG : TRACE_ICMP_UNREACHABLE;
}

static enum trace_icmp_kind kind6(const struct trace_way *way)
{
	switch (way->icmp_type) {
	case ICMP6_TOO_BIG:
		return TRACE_ICMP_TOO_BIG;
	case ICMP6_TIME_EXCEEDED:
		return TRACE_ICMP_EXPIRED;
	default:
		return way->icmp_code == ICMP6_PROHIBITED ? TRACE_ICMP_PROHIBITED : TRACE_ICMP_UNREACHABLE;
	}
}

enum trace_icmp_kind trace_icmp_kind(const struct trace_way *way)
{
	if (!way->has_icmp)
		return TRACE_ICMP_NONE;
	return way->family == AF_INET6 ? kind6(way) : kind4(way);
}

static const char *name4(const struct trace_way *way)
{
	if (way->icmp_type == ICMP_TIME_EXCEEDED)
		return "time exceeded";
	switch (way->icmp_code) {
	case ICMP_NET_UNREACH:
		return "network unreachable";
	case ICMP_HOST_UNREACH:
		return "host unreachable";
	case ICMP_FRAG_NEEDED:
		return "fragmentation needed";
	case ICMP_PKT_FILTERED:
		return "administratively prohibited";
	default:
		return "unreachable";
	}
}

/* As RFC 4443 calls them. */
static const char *name6(const struct trace_way *way)
{
	if (way->icmp_type == ICMP6_TOO_BIG)
		return "packet too big";
	if (way->icmp_type == ICMP6_TIME_EXCEEDED)
		return "time exceeded";
	switch (way->icmp_code) {
	case ICMP6_NO_ROUTE:
		return "no route to destination";
	case ICMP6_PROHIBITED:
		return "administratively prohibited";
	case ICMP6_ADDRESS:
		return "address unreachable";
	default:
		return "unreachable";
	}
}

const char *trace_icmp_name(const struct trace_way *way)
{
	return way->family == AF_INET6 ? name6(way) : name4(way);
}
