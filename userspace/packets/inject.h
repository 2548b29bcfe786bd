/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames that the datapath or the wire shall see. Packets for peers go into the tunnel device, whose far end
 * seals them: sealing has one place only.
 */
#ifndef TALON_PACKETS_INJECT_H
#define TALON_PACKETS_INJECT_H

#include <stddef.h>
#include <stdint.h>

#include "datapath/datapath.h"

struct inject {
	int fd;				/* AF_PACKET, only for sending; -1: not open */
	const struct datapath *dp;
};

/* Returns 0 or a negative errno. */
int inject_open(struct inject *inject, const struct datapath *dp);
void inject_close(struct inject *inject);

/*
 * Each sends one packet of @len bytes, at most TALON_EVENT_DATA_MAX, and returns 0 or a negative errno: into
 * the tunnel device, as from the host's own stack; ...
 */
int inject_tunnel(const struct inject *inject, uint16_t ethertype, const void *bytes, size_t len);
/* ... the same for an IP packet of either family; ... */
int inject_packet(const struct inject *inject, const uint8_t *packet, size_t len);
/* ... an empty message to @peer (WireGuard whitepaper section 6.5); ... */
int inject_keepalive(const struct inject *inject, uint32_t peer);
/* ... an IP packet of either family out by device @ifindex to @dmac. */
int inject_wire(const struct inject *inject, int ifindex, const uint8_t dmac[static 6], const uint8_t *packet,
	size_t len);

#endif
