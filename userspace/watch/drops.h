/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Dropped packets for people and programs: which ones are wanted, and a line for each. */
#ifndef TALON_WATCH_DROPS_H
#define TALON_WATCH_DROPS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/slice.h"
#include "status/status.h"
#include "talon/watch_types.h"

/* What is wanted: bits of enum talon_end and of enum talon_dir. Begin with DROPS_ALL. */
struct drops_filter {
	uint64_t reasons;
	uint32_t dirs;
	bool has_reasons, has_dirs;	/* some were named */
};
#define DROPS_ALL { .reasons = TALON_DROP_BITS, .dirs = (1U << TALON_DIR_COUNT) - 1 }

/*
 * Adds the labels in @list, which commas separate. Returns 0, or -EINVAL with the one that is
 * unknown in @ret_wrong.
 */
int drops_filter_reasons(struct drops_filter *filter, const char *list, struct slice *ret_wrong);
int drops_filter_dirs(struct drops_filter *filter, const char *list, struct slice *ret_wrong);

/* The counters that are not 0, among those that are wanted. */
void drops_print_counters(FILE *out, const struct status *status, const struct drops_filter *filter);
void drops_write_counters_json(FILE *out, const struct status *status, const struct drops_filter *filter);

/* A sample with what the maps say of it. */
struct drops_line {
	const struct talon_drop_sample *sample;
	uint64_t unix_ns;		/* when it was dropped */
	/* NULL: not known, or gone meanwhile; its name may lack a terminating NUL */
	const struct talon_peer_info *peer;
	const char *device;		/* where it came in; "": gone */
};

/* One line of text, or one JSON object and a newline. */
void drops_print_line(FILE *out, const struct drops_line *line);
void drops_write_line_json(FILE *out, const struct drops_line *line);

/* How many were not shown since the last such line: for the limit, for want of room. */
void drops_print_missed(FILE *out, uint64_t limited, uint64_t lost);
void drops_write_missed_json(FILE *out, uint64_t limited, uint64_t lost);

#endif
