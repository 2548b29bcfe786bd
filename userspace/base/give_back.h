/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Gives memory back that only the start, or a large map, needed. */
#ifndef TALON_GIVE_BACK_H
#define TALON_GIVE_BACK_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Free heap goes back to the kernel, and so do pages of the program and its libraries that were read once:
 * what is needed again comes back from the page cache. Only clean file pages are touched. Costs some page
 * faults afterwards: for rare moments.
 */
void memory_give_back(void);

/* One mapping as /proc/PID/smaps describes it. */
struct memory_mapping {
	unsigned long start, end;
	bool is_plain;			/* private, of a file, not writable */
	bool is_clean;			/* nothing of it was ever written by us: no relocations */
	bool has_counts;		/* the line that says so was seen */
};

/* Takes the next line of smaps. Returns true when @mapping is complete and may be dropped. */
bool memory_read_line(const char *line, struct memory_mapping *mapping);

#endif
