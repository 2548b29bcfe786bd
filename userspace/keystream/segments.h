/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The memory behind map "keystream": maps of TALON_KEYSTREAM_SEGMENT slots each, made when windows need them
 * and given back when none does. Each is pinned beside the other maps, as that is the only way for the next
 * helper to get at it.
 */
#ifndef TALON_KEYSTREAM_SEGMENTS_H
#define TALON_KEYSTREAM_SEGMENTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define SEGMENTS_BATCH 16		/* made at once: those of the largest window */

/* What a thread of its own does: the kernel waits for running programs, for tens of milliseconds at times. */
struct segments_job {
	pthread_t thread;
	bool is_running;		/* until it was gathered */
	bool is_over;			/* atomic: it may be gathered */
	uint32_t keys[SEGMENTS_BATCH];
	int fds[SEGMENTS_BATCH];
	unsigned count;
	bool is_drop;
	int ret;
};

struct segments {
	int map_fd;			/* of "keystream" */
	uint32_t count;			/* that there can be */
	int *fds;			/* of those that are there; -1: not made */
	struct segments_job job;
	char dir[512];			/* where they are pinned; empty: nowhere */
};

/*
 * Takes over what an earlier helper left. @map_fd stays the caller's; @dir: "" or the directory with the
 * maps' pins. Returns 0 or a negative errno; segments_close() in either case. Not to be moved in memory
 * while a job runs.
 */
int segments_open(struct segments *segments, int map_fd, const char *dir);
/* Closes descriptors. The segments stay. */
void segments_close(struct segments *segments);

bool segments_has(const struct segments *segments, uint32_t i);
/*
 * Has what is missing of slots @base up to @base + @slots - 1 made. Returns 0: all are there; -EAGAIN: they
 * come soon; -ENOMEM if the control group would have less than SEGMENTS_SPARE bytes left, where other memory
 * is worth more; or another negative errno of the last attempt.
 */
#define SEGMENTS_SPARE (8U << 20)
int segments_want(struct segments *segments, uint32_t base, uint32_t slots);
/* Takes in what has been made since. segments_want() does so, too. */
void segments_poll(struct segments *segments);
/* The same as segments_want(), waiting until they are there. */
int segments_make(struct segments *segments, uint32_t base, uint32_t slots);
/* Frees segment @i, which no ring points into; when nothing else is being done, else nothing happens. */
void segments_drop(struct segments *segments, uint32_t i);

#endif
