/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs note about the packet in hand (struct talon_pkt in lib/packet.h), as far as userspace
 * reads it: `talon trace` does, from a copy of the programs. Nothing of this is pinned.
 */
#ifndef TALON_PACKET_TYPES_H
#define TALON_PACKET_TYPES_H

#include "talon/types.h"

/* What forward_decide() decided, for forward_rewrite(). In pkt->flags. */
enum forward_flags {
	FORWARD_MASQUERADE	= 1 << 0,
	/* the next hop's MAC is unknown: give the finished packet to the controller */
	FORWARD_NO_NEIGH	= 1 << 1,
	/* to another client by its external address: re-enters as if from the wire */
	FORWARD_HAIRPIN		= 1 << 2,
};

#endif
