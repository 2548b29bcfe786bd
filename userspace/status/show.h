/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Formats what text and JSON both show: addresses, ages, sizes, times, labels. */
#ifndef TALON_STATUS_SHOW_H
#define TALON_STATUS_SHOW_H

#include <stdio.h>

#include "base/text.h"
#include "status/status.h"

struct json_out;

#define SHOW_ENDPOINT_LEN 64
#define SHOW_AGE_LEN 64

/* This node's IPv6 address in the mesh, "fd00::1/64", or "" if it has none. @size: at least CIDR_TEXT_LEN. */
void show_address6(const struct talon_config *config, char *text, size_t size);

/* "192.0.2.1:51820", "[2001:db8::1]:51820", or "-" if the endpoint is unknown. */
void show_endpoint(const struct status_peer *peer, char *text, size_t size);

/* "1 day, 3 hours", "2 minutes, 10 seconds", "12 seconds": the two largest units. */
void show_duration(__u64 seconds, char *text, size_t size);
/* Seconds from @then_ns (CLOCK_BOOTTIME) to status->now_ns; 0 if that is in the future. */
__u64 show_seconds_since(const struct status *status, __u64 then_ns);
/* "636 B", "1.5 KiB". */
void show_bytes(__u64 bytes, char *text, size_t size);
/* "2026-11-23T00:30:28Z" */
void show_time(__u64 unix_s, char *text, size_t size);

/* Who watches packets: a line for each; and an object "watching". */
void show_watches(FILE *out, const struct status *status);
void show_watches_json(struct json_out *json, const struct status *status);

/* Labels and help texts by number: of enum talon_end and of the map "handshake_stats". */
struct show_end {
	const char *label;
	const char *help;
	bool is_drop;
};
extern const struct show_end show_ends[TALON_END_COUNT];
extern const struct show_end show_handshakes[HANDSHAKE_STATS_ENTRIES];
extern const char *const show_dirs[TALON_DIR_COUNT];		/* in, out, tunnel, onward */

/* How packets for this host reach its stack: "tunnel" or "pass". */
const char *show_hand_up(const struct talon_config *config);

#endif
