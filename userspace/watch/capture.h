/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One peer's inner packets on their way into a file: what a capture takes, and when it has enough. Without
 * descriptors of its own, so that tests can drive it.
 */
#ifndef TALON_WATCH_CAPTURE_H
#define TALON_WATCH_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "watch/pcapng.h"

/* What holds if nothing else was said: a capture that was forgotten ends. */
#define CAPTURE_PACKETS		100000U
#define CAPTURE_SECONDS		600U
#define CAPTURE_BYTES		(64ULL << 20)	/* of the file */

struct capture_limits {
	uint64_t packets;
	uint64_t bytes;
};

struct capture {
	struct pcapng file;
	struct capture_limits limits;
	uint32_t peer;			/* slot */
	uint64_t unix_minus_boot_ns;	/* adds the years before this boot to the programs' clock */
	uint64_t packets;		/* written */
	uint64_t plain_bytes;		/* of them */
	bool is_full;			/* a limit was reached: what comes after that is left out */
	/* negative errno of the first write that failed; nothing is written after it */
	int error;
};

/* Writes the beginning of the file. Returns 0 or a negative errno. */
int capture_begin(struct capture *capture, FILE *out, const char *description, uint32_t size);
/* A record of map "watch_packets": struct talon_packet_head and a frame. Malformed ones are left out. */
void capture_take(struct capture *capture, const void *record, size_t size);
/* Writes the end of the file. @lost: packets that are missing. Returns 0 or a negative errno. */
int capture_end(struct capture *capture, uint64_t unix_ns, uint64_t lost);

#endif
