/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The clocks, in nanoseconds. What a loop drives asks loop_now() instead, which tests can move. */
#ifndef TALON_BASE_CLOCK_H
#define TALON_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_read_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/*
 * Since the system started, with suspends: the clock of the maps, of bpf_ktime_get_boot_ns() and of the loop.
 */
static inline uint64_t clock_boot_ns(void)
{
	return clock_read_ns(CLOCK_BOOTTIME);
}

/* Since 1970, as people and other hosts count. It can jump. */
static inline uint64_t clock_unix_ns(void)
{
	return clock_read_ns(CLOCK_REALTIME);
}

/* For measuring how long something takes. */
static inline uint64_t clock_mono_ns(void)
{
	return clock_read_ns(CLOCK_MONOTONIC);
}

#endif
