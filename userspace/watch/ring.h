/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs write to a PERF_EVENT_ARRAY, one ring for each CPU, in the order of time. Each record
 * begins with its time, CLOCK_BOOTTIME in ns. The rings are this process's: the kernel takes them out of the
 * map when it ends.
 */
#ifndef TALON_WATCH_RING_H
#define TALON_WATCH_RING_H

#include <stddef.h>
#include <stdint.h>

struct watch_ring;

/* A record may be followed by a few bytes of padding: @size is at least what the program wrote. */
typedef void (*watch_record_fn)(void *ctx, const void *record, size_t size);

/*
 * Opens the rings of @map_fd, each of @bytes rounded up to pages and a power of two. Returns 0 or a negative
 * errno, with one line in @why.
 */
int watch_ring_open(struct watch_ring **ret_ring, int map_fd, size_t bytes, watch_record_fn fn, void *ctx,
	char *why, size_t size);
/*
 * Waits at most @timeout_ms for records, and hands over those that are older than any which may still come.
 * Returns 0 or a negative errno; -EINTR when a signal came.
 */
int watch_ring_poll(struct watch_ring *ring, int timeout_ms);
/* Hands over all that is left. */
void watch_ring_flush(struct watch_ring *ring);
/* Records that were read but had to be let go, for want of memory. */
uint64_t watch_ring_lost(const struct watch_ring *ring);
/* What was not handed over is wiped. NULL is allowed. */
void watch_ring_free(struct watch_ring *ring);

#endif
