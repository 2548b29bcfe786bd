/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pieces of text that people and programs both get: addresses, ages, sizes, strings that may be hostile. */
#ifndef TALON_STATUS_SHOW_H
#define TALON_STATUS_SHOW_H

#include <stdio.h>

#include "base/text.h"
#include "status/status.h"

#define SHOW_ENDPOINT_LEN 64
#define SHOW_AGE_LEN 64


/* "10.0.0.0/8", "192.0.2.1:51820", "[2001:db8::1]:51820". */
void show_lpm4(const struct talon_lpm4 *net, char *text, size_t size);
void show_endpoint(const struct status_peer *peer, char *text, size_t size);

/* "1 day, 3 hours", "2 minutes, 10 seconds", "12 seconds": the two largest units. */
void show_duration(__u64 seconds, char *text, size_t size);
/* Seconds from @then_ns to now; 0 if that lies ahead. */
__u64 show_seconds_since(const struct status *status, __u64 then_ns);
/* "636 B", "1.5 KiB". */
void show_bytes(__u64 bytes, char *text, size_t size);
/* "2026-11-23T00:30:28Z" */
void show_time(__u64 unix_s, char *text, size_t size);

/* Labels and help of enum talon_end, and of map "handshake_stats", by number. */
struct show_end {
	const char *label;
	const char *help;
	bool is_drop;
};
extern const struct show_end show_ends[TALON_END_COUNT];
extern const struct show_end show_handshakes[HANDSHAKE_STATS_ENTRIES];
extern const char *const show_dirs[TALON_DIR_COUNT];		/* in, out, tunnel */

#endif
