// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Side devices: not uplinks, but replies to masqueraded packets come in by them.
#include <stdio.h>
#include <string.h>

#include "datapath/internal.h"
#include "log/log.h"

static bool is_uplink(const struct datapath *dp, int ifindex)
{
	for (unsigned i = 0; i < dp->uplink_count; i++) {
		if (dp->uplinks[i].ifindex == ifindex)
			return true;
	}
	return false;
}

/* Always tc: side devices are bridges, overlays and VLANs, without native XDP and with few packets. */
static void attach_side(struct datapath *dp, struct datapath_side *side)
{
	static struct log_limit limit;
	enum hook_kind kind = tcx_is_supported() ? HOOK_TCX : HOOK_FILTER;
	char why[200] = "";
	struct hook hook = {
		.dp = dp, .device = side->name, .ifindex = side->ifindex, .object = OBJECT_UPLINK_TC,
		.why = why, .why_len = sizeof(why),
	};
	int ret = kind == HOOK_TCX ? tcx_attach(&hook) : clsact_attach(&hook);

	if (!ret)
		hook_drop_others(dp, side->ifindex, kind);
	else if (if_indextoname(side->ifindex, (char[IFNAMSIZ]){}))
		log_limited(&limit, LOG_LEVEL_WARN, "%s; replies that come in by it are lost", why);
	side->attached = !ret;
}

void sides_attach(struct datapath *dp)
{
	for (unsigned i = 0; i < dp->side_count; i++) {
		if (!is_uplink(dp, dp->sides[i].ifindex))
			attach_side(dp, &dp->sides[i]);
	}
}

static struct datapath_side *find(struct datapath_side *sides, unsigned count, int ifindex)
{
	for (unsigned i = 0; i < count; i++) {
		if (sides[i].ifindex == ifindex)
			return &sides[i];
	}
	return NULL;
}

bool side_is_wanted(const struct datapath *dp, int ifindex)
{
	return find((struct datapath_side *)dp->sides, dp->side_count, ifindex);
}

void datapath_set_sides(struct datapath *dp, const struct datapath_side *sides, unsigned count)
{
	struct datapath_side old[DATAPATH_SIDES_MAX];
	unsigned old_count = dp->side_count;

	memcpy(old, dp->sides, sizeof(old));
	dp->side_count = count < DATAPATH_SIDES_MAX ? count : DATAPATH_SIDES_MAX;
	for (unsigned i = 0; i < dp->side_count; i++) {
		const struct datapath_side *was = find(old, old_count, sides[i].ifindex);

		dp->sides[i] = sides[i];
		dp->sides[i].attached = was && was->attached;
		if (dp->attached && !dp->sides[i].attached && !is_uplink(dp, sides[i].ifindex))
			attach_side(dp, &dp->sides[i]);
	}
	for (unsigned i = 0; i < old_count && dp->attached; i++) {
		if (side_is_wanted(dp, old[i].ifindex) || is_uplink(dp, old[i].ifindex))
			continue;
		for (unsigned kind = 0; kind < HOOK_COUNT; kind++)
			hook_drop(dp, kind, old[i].ifindex);
	}
}

unsigned datapath_side_count(const struct datapath *dp)
{
	return dp->side_count;
}

const struct datapath_side *datapath_get_side(const struct datapath *dp, unsigned i)
{
	return &dp->sides[i];
}
