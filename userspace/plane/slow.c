// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Data messages that the programs did not see whole: outer fragments, IP options, extension headers,
// GRO aggregates, devices without our program. The kernel has reassembled or split them and delivered
// them to our socket; they go to the programs over the relay pair, with their original addresses.
#include <string.h>

#include "packets/outer.h"
#include "plane/internal.h"

#define LOOPBACK_IFINDEX 1	/* in every network namespace */

/* Drops messages with an unknown receiver index: strangers must not be able to make the programs work. */
static bool has_session(const struct plane *p, const uint8_t *bytes)
{
	uint32_t index;

	memcpy(&index, bytes + offsetof(struct wg_data, receiver_index), sizeof(index));
	return device_has_session(p->device, index);
}

/* Packets on the loopback device come from this host's own addresses, which are no peer's endpoint. */
static bool is_from_outside(const struct endpoint *from)
{
	return from->ifindex != LOOPBACK_IFINDEX;
}

void slow_data(struct plane *p, const struct endpoint *from, uint8_t tos, const uint8_t *bytes, size_t len)
{
	if (p->is_ready && is_from_outside(from) && has_session(p, bytes) &&
		outer_inject(&p->pair, from, tos, bytes, len))
		p->slow_data++;
	else
		p->slow_dropped++;
}
