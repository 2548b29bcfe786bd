// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// "Host unreachable", as bytes.
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

static void put_checksum(uint8_t *field, const uint8_t *from, size_t len)
{
	uint32_t sum = 0;
	uint16_t check;

	for (size_t i = 0; i < len; i += 2) {
		uint16_t half;

		memcpy(&half, from + i, sizeof(half));
		sum += half;
	}
	check = csum_finish(sum);
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
