/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * "Host unreachable", and of IPv6 "address unreachable": what a router says of a packet whose next hop did
 * not answer (RFC 1812 section 4.3.3.1, RFC 4443 section 3.1).
 */
#ifndef TALON_PACKETS_UNREACHABLE_H
#define TALON_PACKETS_UNREACHABLE_H

#include <stddef.h>
#include <stdint.h>

#include "talon/types.h"

#define UNREACHABLE_LEN 56	/* IPv4 and ICMP header, then the packet's header and eight bytes (RFC 792) */

/**
 * unreachable_build() - an ICMP error, type 3 code 1, about a packet
 * @packet: IPv4 packet of @len bytes
 * @len: bytes
 * @src: who says so, network byte order
 * @ret_error: gets UNREACHABLE_LEN bytes
 *
 * Return: UNREACHABLE_LEN, or 0 where none may be sent (RFC 1812 section 4.3.2.7): about ICMP errors, later
 * fragments, packets to or from no single host; nor about what is cut short or has options.
 */
size_t unreachable_build(const uint8_t *packet, size_t len, __be32 src,
	uint8_t ret_error[static UNREACHABLE_LEN]);

#define UNREACHABLE6_MAX 1280	/* RFC 4443: as much of the packet as fits into the least MTU */

/**
 * unreachable_build6() - an ICMPv6 error about a packet
 * @packet: IPv6 packet of @len bytes
 * @len: bytes
 * @mtu: 0: type 1 code 3; else type 2, "packet too big", with this MTU
 * @src: who says so, network byte order
 * @ret_error: gets as many bytes as are returned
 *
 * Return: its length, or 0 where none may be sent (RFC 4443 section 2.4): about ICMPv6 errors and redirects,
 * later fragments, packets from or to no single host; nor about what is cut short.
 */
size_t unreachable_build6(const uint8_t *packet, size_t len, uint32_t mtu, const struct talon_addr *src,
	uint8_t ret_error[static UNREACHABLE6_MAX]);

#endif
