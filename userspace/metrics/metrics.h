/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is counted, for Prometheus. Everything comes from the pinned maps, so that a command prints
 * the same as a controller serves, and does so when the controller hangs or is gone. docs/metrics.md
 * lists the families.
 */
#ifndef TALON_METRICS_H
#define TALON_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METRICS_PEERS_MOST 1000	/* that can have series of their own */

enum metrics_format {
	METRICS_PROMETHEUS,		/* text/plain; version=0.0.4 */
	METRICS_OPENMETRICS,		/* application/openmetrics-text; version=1.0.0 */
};

struct metrics_options {
	const char *pin_dir;
	enum metrics_format format;
	/* series of their own for that many peers, those with the most traffic; 0: none for any peer */
	uint32_t peers;
	/* also under the names of docs/metrics.md, "Names of other programs" */
	bool aliases;
};

/*
 * Reads the maps and writes the exposition to *@ret_text, from malloc(), without a terminating NUL.
 * May be called from any thread, one at a time for each @options. Without a datapath there is still a
 * text, which says so (talon_controller_up 0, talon_datapath_ready 0). Returns 0 or a negative errno
 * with one line in @why.
 */
int metrics_render(const struct metrics_options *options, char **ret_text, size_t *ret_len, char *why,
	size_t size);

/* The value of the header Content-Type. */
const char *metrics_content_type(enum metrics_format format);

#endif
