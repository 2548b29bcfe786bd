// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Runs the flow table's garbage collection in slices.
#include "nat/nat.h"

#include <errno.h>
#include <bpf/bpf.h>
#include <linux/pkt_cls.h>

#include "talon/nat_gc.h"

void nat_gc_init(struct nat_gc *gc, int prog_fd, int stats_fd)
{
	*gc = (struct nat_gc) { .prog_fd = prog_fd, .stats_fd = stats_fd, .next = 1 };
}

uint32_t nat_gc_share(uint32_t used, uint32_t elapsed_s, uint32_t pass_s)
{
	if (elapsed_s >= pass_s)
		return used;
	return ((uint64_t)used * elapsed_s + pass_s - 1) / pass_s;
}

static int run_slice(struct nat_gc *gc, uint32_t now_s, uint32_t count, struct talon_nat_gc *ret_done)
{
	struct talon_nat_gc in = { .now_s = now_s, .first = gc->next, .count = count }, out = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = &in, .data_size_in = sizeof(in), .data_out = &out, .data_size_out = sizeof(out),
		.repeat = 1);

	if (bpf_prog_test_run_opts(gc->prog_fd, &opts))
		return -errno;
	if (opts.retval != TC_ACT_OK || opts.data_size_out != sizeof(out))
		return -EIO;
	*ret_done = out;
	return 0;
}

/* Grows with everything that can leave a record in the table. */
static uint64_t activity_of(const struct talon_nat_stats *stats)
{
	return stats->created + stats->races + stats->full_table + stats->full_ports + stats->full_share;
}

static uint32_t records_due(struct nat_gc *gc, const struct talon_nat_stats *stats, uint32_t now_s)
{
	uint64_t refused = stats->full_table + stats->full_share;
	uint32_t pass_s = gc->room && stats->held > gc->room / 2 ? NAT_GC_HURRY_S : NAT_GC_PASS_S;
	bool is_short = refused != gc->refused;

	gc->refused = refused;
	if (is_short && now_s - gc->hurried_s >= TALON_FLOW_GRACE_S) {
		gc->hurried_s = now_s;
		gc->next = 1;
		gc->pass_busy = 0;
		return gc->used;
	}
	return nat_gc_share(gc->used, gc->ran_s ? now_s - gc->ran_s : pass_s, pass_s);
}

/* Returns the records looked at, and adds to *@expired; or a negative errno. */
static int take_slice(struct nat_gc *gc, uint32_t now_s, uint32_t due, int *expired)
{
	uint32_t count = due && due < TALON_NAT_GC_MAX ? due : TALON_NAT_GC_MAX;
	struct talon_nat_gc done = { 0 };
	int ret = run_slice(gc, now_s, count, &done);

	if (ret < 0)
		return ret;
	*expired += done.expired;
	gc->used = done.used;
	gc->room = done.room;
	gc->next = done.next;
	gc->pass_busy += done.live + done.waiting;
	return done.count < due ? done.count : due;
}

static void end_pass(struct nat_gc *gc)
{
	gc->is_empty = !gc->pass_busy;
	gc->pass_busy = 0;
}

int nat_gc_tick(struct nat_gc *gc, uint32_t now_s)
{
	struct talon_nat_stats stats;
	uint32_t due, zero = 0;
	int expired = 0, ret;

	if (gc->ran_s && now_s == gc->ran_s)
		return 0;
	if (bpf_map_lookup_elem(gc->stats_fd, &zero, &stats))
		return -errno;
	if (gc->is_empty && activity_of(&stats) == gc->activity) {
		gc->ran_s = now_s;
		return 0;
	}
	gc->is_empty = false;
	due = records_due(gc, &stats, now_s);
	do {
		if (gc->next == 1)
			gc->activity = activity_of(&stats);
		ret = take_slice(gc, now_s, due, &expired);
		if (ret < 0)
			return ret;
		due -= ret;
	} while (due && gc->next != 1);
	if (gc->next == 1)
		end_pass(gc);
	gc->ran_s = now_s;
	return expired;
}
