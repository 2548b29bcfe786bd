// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// fuzz_fragment - packets from the wire, cut and redirected. Whatever comes out is whole, fits, is in order
// and has every byte once.
// Two bytes of size, little-endian, then the packet.
#include <stdlib.h>

#include "packets/fragment.c"

struct sink {
	const uint8_t *packet;
	size_t header;
	size_t mtu;
	size_t got;
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void take(const uint8_t *piece, size_t len, void *user)
{
	struct sink *sink = user;

	check(len <= sink->mtu && header_len(piece, len) == sink->header &&
		(size_t)(piece[2] << 8 | piece[3]) == len);
	check(!memcmp(piece + sink->header, sink->packet + sink->header + sink->got, len - sink->header));
	check((size_t)((piece[6] << 8 | piece[7]) & IP_OFFMASK) ==
	      (size_t)((sink->packet[6] << 8 | sink->packet[7]) & IP_OFFMASK) + sink->got / 8);
	sink->got += len - sink->header;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sink sink = {};
	uint8_t *copy;

	if (size < 2)
		return 0;
	sink.packet = data + 2;
	size -= 2;
	sink.header = header_len(sink.packet, size);
	sink.mtu = data[0] | data[1] << 8;
	if (fragment_ipv4(sink.packet, size, sink.mtu, take, &sink) > 0)
		check(sink.got == (size_t)(sink.packet[2] << 8 | sink.packet[3]) - sink.header);
	else
		check(!sink.got);
	copy = malloc(size ? size : 1);
	memcpy(copy, sink.packet, size);
	if (!fragment_redirect(copy, size, 0x0200640a))
		check(copy[8] == sink.packet[8] - 1 && !memcmp(copy + sink.header, sink.packet + sink.header,
			size - sink.header));
	memcpy(copy, sink.packet, size);
	if (!fragment_redirect6(copy, size, &(struct talon_addr){ { 1, 2, 3, 4 } }))
		check(copy[7] == sink.packet[7] - 1 && !memcmp(copy + 40, sink.packet + 40, size - 40));
	free(copy);
	return 0;
}
