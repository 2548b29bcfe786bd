// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// "Host unreachable" of both families, as bytes.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <linux/if_ether.h>

#include "packets/unreachable.h"
#include "talon/csum.h"
#include "talon/icmp_wire.h"

#define IPV4_LEN	20
#define EMBEDDED_LEN	(IPV4_LEN + 8)
#define IP_OFFSET	0x1fff

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static bool is_icmp_error(const uint8_t *packet)
{
	uint8_t type = packet[IPV4_LEN];

	return packet[9] == IPPROTO_ICMP && type != ICMP_ECHO && type != ICMP_ECHOREPLY &&
		type != ICMP_TIMESTAMP && type != ICMP_TIMESTAMPREPLY;
}

/* One host's own address, as source of a packet or as its destination. */
static bool is_single_host(uint32_t addr)
{
	return addr >> 24 != 0 && addr >> 24 != 127 && addr < 0xe0000000;
}

/* An odd byte at the end counts as if a zero followed. */
static uint32_t sum_of(const uint8_t *from, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2) {
		uint16_t half = 0;

		memcpy(&half, from + i, len - i < 2 ? 1 : 2);
		sum += half;
	}
	return sum;
}

static void put_checksum(uint8_t *field, const uint8_t *from, size_t len)
{
	uint16_t check = csum_finish(sum_of(from, len));

	memcpy(field, &check, sizeof(check));
}

size_t unreachable_build(const uint8_t *packet, size_t len, __be32 src,
	uint8_t ret_error[static UNREACHABLE_LEN])
{
	uint8_t *e = ret_error, *icmp = ret_error + IPV4_LEN;

	if (len < EMBEDDED_LEN || packet[0] != 0x45 || ((packet[6] << 8 | packet[7]) & IP_OFFSET) ||
		is_icmp_error(packet) || !is_single_host(get32(packet + 12)) ||
		!is_single_host(get32(packet + 16)))
		return 0;
	memset(e, 0, UNREACHABLE_LEN);
	e[0] = 0x45;
	e[1] = 0xc0;			/* RFC 1812 section 4.3.2.5 */
	e[3] = UNREACHABLE_LEN;
	e[6] = 0x40;			/* DF */
	e[8] = 64;
	e[9] = IPPROTO_ICMP;
	memcpy(e + 12, &src, 4);
	memcpy(e + 16, packet + 12, 4);
	put_checksum(e + 10, e, IPV4_LEN);
	icmp[0] = ICMP_DEST_UNREACH;
	icmp[1] = ICMP_HOST_UNREACH;
	memcpy(icmp + 8, packet, EMBEDDED_LEN);
	put_checksum(icmp + 2, icmp, 8 + EMBEDDED_LEN);
	return UNREACHABLE_LEN;
}

/* IPv6. */

#define IPV6_LEN	40
#define ICMP6_LEN	8

static bool is_single_host6(const uint8_t *addr)
{
	static const uint8_t none[15];

	if (!memcmp(addr, none, sizeof(none)) && addr[15] <= 1)
		return false;		/* unspecified, loopback */
	return addr[0] != 0xff;
}

/* Finds what the packet carries, behind extension headers (RFC 8200 section 4). */
static bool may_be_answered(const uint8_t *packet, size_t len)
{
	uint8_t next = packet[6];
	size_t at = IPV6_LEN;

	while (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
		next == IPPROTO_FRAGMENT) {
		size_t header = 8;

		if (at + header > len)
			return false;
		if (next != IPPROTO_FRAGMENT)
			header += packet[at + 1] * 8;
		else if ((packet[at + 2] << 8 | packet[at + 3]) & 0xfff8)
			return false;
		next = packet[at];
		at += header;
	}
	if (next != IPPROTO_ICMPV6)
		return true;
	return at < len && packet[at] >= ICMP6_INFORMATIONAL && packet[at] != ICMP6_REDIRECT;
}

size_t unreachable_build6(const uint8_t *packet, size_t len, uint32_t mtu, const struct talon_addr *src,
	uint8_t ret_error[static UNREACHABLE6_MAX])
{
	uint8_t *e = ret_error, *icmp = ret_error + IPV6_LEN;
	size_t room = UNREACHABLE6_MAX - IPV6_LEN - ICMP6_LEN, embedded = len < room ? len : room,
		payload = ICMP6_LEN + embedded;
	uint16_t check;

	if (len < IPV6_LEN || packet[0] >> 4 != 6 || !is_single_host6(packet + 8) ||
		!is_single_host6(packet + 24) || !may_be_answered(packet, len))
		return 0;
	memset(e, 0, IPV6_LEN + ICMP6_LEN);
	e[0] = 0x60;
	e[4] = payload >> 8;
	e[5] = payload;
	e[6] = IPPROTO_ICMPV6;
	e[7] = 64;
	memcpy(e + 8, src, 16);
	memcpy(e + 24, packet + 8, 16);
	icmp[0] = mtu ? ICMP6_TOO_BIG : ICMP6_UNREACHABLE;
	icmp[1] = mtu ? 0 : ICMP6_ADDRESS;
	icmp[4] = mtu >> 24;
	icmp[5] = mtu >> 16;
	icmp[6] = mtu >> 8;
	icmp[7] = mtu;
	memcpy(icmp + ICMP6_LEN, packet, embedded);
	/* the pseudo header: both addresses, the length, the protocol */
	check = csum_finish(sum_of(e + 8, 32) + htons(payload) + htons(IPPROTO_ICMPV6) + sum_of(icmp,
		payload));
	memcpy(icmp + 2, &check, sizeof(check));
	return IPV6_LEN + payload;
}
