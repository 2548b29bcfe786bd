// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rates: what two readings of the pinned maps differ by.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "status/show.h"
#include "top/top.h"

const char *const top_orders[] = { "rate", "packets", "drops", NULL };

/* Are both samples of one datapath, so that its counters can be compared? */
static bool is_same_datapath(const struct status *before, const struct status *now)
{
	return before->info.datapath_since_ns == now->info.datapath_since_ns && before->now_ns < now->now_ns;
}

/* False if the counter went back: whatever it counts began anew, nobody knows when. */
static bool subtract(__u64 before, __u64 now, __u64 *ret_difference)
{
	*ret_difference = now >= before ? now - before : 0;
	return now >= before;
}

static bool subtract_stats(const struct talon_peer_stats *before, const struct talon_peer_stats *now,
	struct top_traffic *ret_traffic)
{
	struct top_traffic t;
	bool is_known = subtract(before->rx_bytes, now->rx_bytes, &t.rx_bytes);

	is_known &= subtract(before->tx_bytes, now->tx_bytes, &t.tx_bytes);
	is_known &= subtract(before->rx_packets, now->rx_packets, &t.rx_packets);
	is_known &= subtract(before->tx_packets, now->tx_packets, &t.tx_packets);
	*ret_traffic = is_known ? t : (struct top_traffic){};
	return is_known;
}

static void compare_peer(struct top_peer *to, const struct status_peer *before)
{
	if (!before || memcmp(before->info.public_key, to->peer->info.public_key, WG_KEY_LEN))
		return;
	to->is_known = subtract_stats(&before->stats, &to->peer->stats, &to->traffic);
	subtract(before->flows.refused, to->peer->flows.refused, &to->refused);
}

/* The peers of both samples are in the order of their slots. */
static void compare_peers(struct top_view *view, const struct status *before)
{
	size_t at = 0;

	for (size_t i = 0; i < view->peer_count; i++) {
		struct top_peer *to = &view->peers[i];

		to->peer = &view->now->peers[i];
		if (!before)
			continue;
		while (at < before->peer_count && before->peers[at].id < to->peer->id)
			at++;
		compare_peer(to, at < before->peer_count && before->peers[at].id == to->peer->id
			? &before->peers[at] : NULL);
		view->node.rx_bytes += to->traffic.rx_bytes;
		view->node.tx_bytes += to->traffic.tx_bytes;
		view->node.rx_packets += to->traffic.rx_packets;
		view->node.tx_packets += to->traffic.tx_packets;
	}
}

static int most_drops_first(const void *left, const void *right)
{
	const struct top_drop *a = left, *b = right;

	if (a->packets != b->packets)
		return (a->packets < b->packets) - (a->packets > b->packets);
	return (a->reason > b->reason) - (a->reason < b->reason);
}

static void compare_drops(struct top_view *view, const struct status *before)
{
	for (unsigned int reason = 0; reason < TALON_END_COUNT; reason++) {
		struct top_drop drop = { .reason = reason };
		__u64 difference;

		for (unsigned int dir = 0; dir < TALON_DIR_COUNT && show_ends[reason].is_drop; dir++) {
			unsigned int i = dir * TALON_END_COUNT + reason;

			subtract(before->stats[i], view->now->stats[i], &difference);
			drop.packets += difference;
		}
		view->dropped += drop.packets;
		if (drop.packets)
			view->drops[view->drop_count++] = drop;
	}
	qsort(view->drops, view->drop_count, sizeof(view->drops[0]), most_drops_first);
}

static void compare_keystream(struct top_view *view, const struct status *before)
{
	const struct status *now = view->now;

	for (unsigned int dir = 0; dir < TALON_KEYSTREAM_DIRS; dir++) {
		__u64 ahead, inline_;

		if (subtract(before->keystream_counts[dir].ahead, now->keystream_counts[dir].ahead, &ahead) &&
			subtract(before->keystream_counts[dir].inline_, now->keystream_counts[dir].inline_,
			&inline_))
			view->keystream[dir] = (struct top_keystream){ ahead, inline_ };
	}
}

static int by_slot(const struct top_peer *a, const struct top_peer *b)
{
	return (a->peer->id > b->peer->id) - (a->peer->id < b->peer->id);
}

static int more_first(__u64 a, __u64 b, const struct top_peer *left, const struct top_peer *right)
{
	return a != b ? (a < b) - (a > b) : by_slot(left, right);
}

static int by_rate(const void *left, const void *right)
{
	const struct top_peer *a = left, *b = right;

	return more_first(a->traffic.rx_bytes + a->traffic.tx_bytes,
		b->traffic.rx_bytes + b->traffic.tx_bytes, a, b);
}

static int by_packets(const void *left, const void *right)
{
	const struct top_peer *a = left, *b = right;

	return more_first(a->traffic.rx_packets + a->traffic.tx_packets,
		b->traffic.rx_packets + b->traffic.tx_packets, a, b);
}

static int by_drops(const void *left, const void *right)
{
	const struct top_peer *a = left, *b = right;

	return a->refused != b->refused ? more_first(a->refused, b->refused, a, b) : by_rate(a, b);
}

int top_view_make(struct top_view *ret_view, const struct status *before, const struct status *now,
	enum top_order order)
{
	static int (*const orders[])(const void *, const void *) = { by_rate, by_packets, by_drops };
	struct top_view view = { .now = now, .order = order, .peer_count = now->peer_count };

	if (before && !is_same_datapath(before, now))
		before = NULL;
	view.peers = calloc(view.peer_count ? view.peer_count : 1, sizeof(*view.peers));
	if (!view.peers)
		return -ENOMEM;
	view.interval_ns = before ? now->now_ns - before->now_ns : 0;
	compare_peers(&view, before);
	if (before) {
		compare_drops(&view, before);
		compare_keystream(&view, before);
	}
	qsort(view.peers, view.peer_count, sizeof(*view.peers), orders[order]);
	*ret_view = view;
	return 0;
}

void top_view_free(struct top_view *view)
{
	free(view->peers);
	*view = (struct top_view){};
}

const char *top_path(const struct status_peer *peer)
{
	if (!peer->endpoint_family)
		return "-";
	return peer->endpoint_flags & TALON_ENDPOINT_RELAY ? "relay" : "direct";
}

const char *top_controller(const struct status *status)
{
	static const char *const states[] = { "stopped", "running", "hung" };

	if (!status->info.heartbeat_ns ||
		(!status->info.ready && status_controller(status) == STATUS_RUNNING))
		return "starting";
	return states[status_controller(status)];
}

double top_per_second(const struct top_view *view, __u64 count)
{
	return view->interval_ns ? (double)count * TALON_NSEC_PER_SEC / view->interval_ns : 0;
}

double top_ahead(const struct top_view *view, enum talon_keystream_dir dir)
{
	const struct top_keystream *made = &view->keystream[dir];
	__u64 all = made->ahead + made->inline_;

	return all ? (double)made->ahead / all : -1;
}

void top_scaled(double value, char *text, size_t size)
{
	static const char prefixes[] = "kMGT";
	int i = -1;

	while (value >= (i < 0 ? 999.5 : 999.95) && i < 3) {
		value /= 1000;
		i++;
	}
	if (i < 0)
		snprintf(text, size, "%.0f", value);
	else
		snprintf(text, size, "%.1f%c", value, prefixes[i]);
}
