// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Fragments in userspace: both directions of a flow stay out of the host's stack, whatever its
// firewall thinks of them.
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <netinet/ip.h>
#include <sodium.h>

#include "packets/fragment.h"
#include "talon/csum.h"

#define HEADER_MAX 60
#define IPV6_HEADER 40

/* Length of the header, or 0 if @packet is no whole IPv4 packet of at least @len bytes. */
static size_t header_len(const uint8_t *packet, size_t len)
{
	size_t header;

	if (len < sizeof(struct iphdr) || packet[0] >> 4 != 4)
		return 0;
	header = (packet[0] & 15) * 4;
	if (header < sizeof(struct iphdr) || header > len || (size_t)(packet[2] << 8 | packet[3]) < header ||
	    (size_t)(packet[2] << 8 | packet[3]) > len)
		return 0;
	return header;
}

static void put_checksum(uint8_t *header, size_t len)
{
	uint32_t sum = 0;
	uint16_t word;

	memset(header + 10, 0, 2);
	for (size_t i = 0; i < len; i += 2) {
		memcpy(&word, header + i, 2);
		sum += word;
	}
	word = csum_finish(sum);
	memcpy(header + 10, &word, 2);
}

/*
 * Later fragments carry only options with the copied flag; the others become no-ops, so that
 * the length stays.
 */
static void blank_options(uint8_t *header, size_t len)
{
	size_t i = sizeof(struct iphdr);

	while (i < len && header[i] != 0) {
		size_t n = header[i] == 1 ? 1 : i + 1 < len ? header[i + 1] : 0;

		if (n == 0 || i + n > len)
			return;
		if (!(header[i] & 0x80))
			memset(header + i, 1, n);
		i += n;
	}
}

int fragment_ipv4(const uint8_t *packet, size_t len, size_t mtu, fragment_cb cb, void *user)
{
	size_t header = header_len(packet, len), total, each, at, first;
	uint8_t piece[65535];
	uint16_t frag;
	bool more;
	int n = 0;

	if (!header)
		return -EINVAL;
	total = packet[2] << 8 | packet[3];
	frag = packet[6] << 8 | packet[7];
	first = frag & IP_OFFMASK;
	if (first * 8 + total > 65535)
		return -EINVAL;		/* its end could not be told */
	if (total <= mtu) {
		cb(packet, total, user);
		return 1;
	}
	if (mtu < header + 8 || (frag & IP_DF))
		return -EINVAL;
	each = (mtu - header) & ~(size_t)7;
	memcpy(piece, packet, header);
	for (at = header; at < total; at += each) {
		size_t data = total - at < each ? total - at : each;
		uint16_t offset = first + (at - header) / 8;

		more = at + data < total || (frag & IP_MF);
		if (at > header)
			blank_options(piece, header);
		piece[2] = (header + data) >> 8;
		piece[3] = header + data;
		piece[6] = (more ? IP_MF >> 8 : 0) | offset >> 8;
		piece[7] = offset;
		put_checksum(piece, header);
		memcpy(piece + header, packet + at, data);
		cb(piece, header + data, user);
		n++;
	}
	sodium_memzero(piece, header + each);
	return n;
}

int fragment_redirect(uint8_t *packet, size_t len, __be32 destination)
{
	size_t header = header_len(packet, len);

	if (!header || packet[8] <= 1)
		return -EINVAL;
	memcpy(packet + 16, &destination, 4);
	packet[8]--;
	put_checksum(packet, header);
	return 0;
}

int fragment_redirect6(uint8_t *packet, size_t len, const struct talon_addr *destination)
{
	if (len < IPV6_HEADER || packet[0] >> 4 != 6 || packet[7] <= 1 ||
		(size_t)(packet[4] << 8 | packet[5]) + IPV6_HEADER > len)
		return -EINVAL;
	memcpy(packet + 24, destination, sizeof(*destination));
	packet[7]--;
	return 0;
}
