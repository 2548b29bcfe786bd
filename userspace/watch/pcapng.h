/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writes a capture file as draft-ietf-opsawg-pcapng describes it: one section, one interface of link type RAW
 * (101: IP packets without a link layer), times in nanoseconds, the direction of each packet.
 */
#ifndef TALON_WATCH_PCAPNG_H
#define TALON_WATCH_PCAPNG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct pcapng {
	FILE *out;
	uint64_t bytes;			/* written so far */
};

/*
 * The section header and the interface. @description is shown as the interface's; @size: the most bytes of a
 * packet. Each of these functions returns 0 or a negative errno.
 */
int pcapng_begin(struct pcapng *file, FILE *out, const char *description, uint32_t size);
/* @unix_ns: since 1970. @size bytes of the packet are at @packet, which had @len. */
int pcapng_packet(struct pcapng *file, uint64_t unix_ns, bool is_inbound, const void *packet, uint32_t size,
	uint32_t len);
/* Statistics: how many packets came in, and how many of them are missing. */
int pcapng_end(struct pcapng *file, uint64_t unix_ns, uint64_t received, uint64_t lost);

#endif
