/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rates of the node and of its peers: what changed between two readings of the pinned maps. Making them and
 * showing them are separate, so that both can be tested without a kernel.
 */
#ifndef TALON_TOP_TOP_H
#define TALON_TOP_TOP_H

#include <stdbool.h>
#include <stdio.h>

#include "status/status.h"

/* --- destinations with the most live flows --- */

#define TOP_DESTINATIONS_MAX	4096	/* that are counted at the same time */

struct top_destination {
	struct talon_addr addr;
	__be16 port;			/* 0 for ICMP */
	__u8 proto;			/* with TALON_PROTO_SIX for IPv6 */
	__u64 flows;
};

/*
 * Counts flows by destination in bounded memory (Misra and Gries, "Finding repeated elements", 1982): when
 * more than TOP_DESTINATIONS_MAX come, all counts are lowered by one and those that reach 0 give up their
 * place. So whoever has many flows stays, and a count is low by at most @lowered.
 */
struct top_destinations;

/* Returns NULL if memory is short. */
struct top_destinations *top_destinations_new(void);
void top_destinations_free(struct top_destinations *destinations);
void top_destinations_clear(struct top_destinations *destinations);
void top_destinations_add(struct top_destinations *destinations, const struct talon_addr *addr, __be16 port,
	__u8 proto);
/*
 * Copies the @room with the most flows, most first. Returns how many; @ret_lowered: by how much counts may be
 * low (0: they are exact).
 */
size_t top_destinations_best(const struct top_destinations *destinations, struct top_destination *ret_best,
	size_t room, __u64 *ret_lowered);

/* --- rates --- */

enum top_order { TOP_BY_RATE, TOP_BY_PACKETS, TOP_BY_DROPS };
extern const char *const top_orders[];	/* rate, packets, drops; NULL ends them */

/* What passed since the sample before; all 0 where that is not known. */
struct top_traffic {
	__u64 rx_bytes, tx_bytes;	/* whole WireGuard data messages: from peers, to peers */
	__u64 rx_packets, tx_packets;
};

struct top_peer {
	const struct status_peer *peer;	/* of the later sample */
	/* false: it is new, or a counter went back; its rates come with the next sample */
	bool is_known;
	struct top_traffic traffic;
	__u64 refused;			/* flows, because its share was used up */
};

struct top_drop {
	unsigned int reason;		/* enum talon_end */
	__u64 packets;			/* in all directions */
};

#define TOP_DESTINATIONS_SHOWN	20

struct top_view {
	const struct status *now;
	/* between the samples; 0: there is none to compare with, and no rate is known */
	__u64 interval_ns;
	enum top_order order;
	struct top_traffic node;	/* of all peers */
	__u64 dropped;
	struct top_drop drops[TALON_END_COUNT];	/* that happened, most first */
	size_t drop_count;
	/* packets since the sample before */
	struct top_keystream {
		__u64 ahead, inline_;
	} keystream[TALON_KEYSTREAM_DIRS];
	struct top_peer *peers;		/* in the order asked for */
	size_t peer_count;
	struct top_destination destinations[TOP_DESTINATIONS_SHOWN];
	size_t destination_count;
	__u64 lowered;			/* of top_destinations_best() */
};

/*
 * Compares two samples. @before: NULL for the first one; it is ignored if another datapath runs now. A
 * counter that went back counts from here on. The destinations are left empty. @now must outlive the view.
 * Returns 0 or -ENOMEM; free with top_view_free().
 */
int top_view_make(struct top_view *ret_view, const struct status *before, const struct status *now,
	enum top_order order);
void top_view_free(struct top_view *view);

/* "direct", "relay", or "-" if no endpoint is known. */
const char *top_path(const struct status_peer *peer);
/* "starting", "running", "hung" or "stopped". */
const char *top_controller(const struct status *status);
double top_per_second(const struct top_view *view, __u64 count);
/* Share of packets whose keystream lay ready, 0 to 1; below 0: there were none. */
double top_ahead(const struct top_view *view, enum talon_keystream_dir dir);
/* "0", "999", "1.2k", "34.5M": at most 6 characters below 10^15. */
void top_scaled(double value, char *text, size_t size);

/* --- showing --- */

struct top_screen {
	unsigned int columns, rows;	/* 0: no limit */
	/* draw over what is there, and clear the rest; else lines follow each other */
	bool is_terminal;
};

void top_print(FILE *out, const struct top_view *view, const struct top_screen *screen);
/* In place of a view: one line that says why there is none. */
void top_print_why(FILE *out, const char *why, const struct top_screen *screen);
/* One object on a line. */
void top_print_json(FILE *out, const struct top_view *view);
void top_print_json_why(FILE *out, const char *why);

#endif
