// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Changes the uplinks while packets flow.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "datapath/internal.h"

static const struct datapath_uplink *find(const struct datapath_uplink *list, unsigned count, int ifindex)
{
	for (unsigned i = 0; i < count; i++) {
		if (list[i].ifindex == ifindex)
			return &list[i];
	}
	return NULL;
}

static bool has_new(const struct datapath_uplink *old, unsigned old_count, const struct datapath *dp)
{
	if (old_count != dp->uplink_count)
		return true;
	for (unsigned i = 0; i < dp->uplink_count; i++) {
		if (!find(old, old_count, dp->uplinks[i].ifindex))
			return true;
	}
	return false;
}

int datapath_follow(struct datapath *dp, const struct net_link *links, unsigned count, char *err,
	size_t errlen)
{
	struct datapath_uplink old[TALON_UPLINKS_MAX];
	unsigned old_count = dp->uplink_count;
	int ret;

	if (!count || count > TALON_UPLINKS_MAX) {
		snprintf(err, errlen, "uplinks: %u given, 1 to %d are possible", count, TALON_UPLINKS_MAX);
		return -EINVAL;
	}
	memcpy(old, dp->uplinks, sizeof(old));
	for (unsigned i = 0; i < count; i++) {
		const struct datapath_uplink *same = find(old, old_count, links[i].ifindex);

		dp->uplinks[i] = same ? *same : (struct datapath_uplink){ .ifindex = links[i].ifindex };
		memcpy(dp->uplinks[i].name, links[i].name, sizeof(dp->uplinks[i].name));
	}
	dp->uplink_count = count;
	if (!has_new(old, old_count, dp))
		return 0;	/* at most names changed */
	ret = datapath_attach(dp, err, errlen);
	if (ret) {
		memcpy(dp->uplinks, old, sizeof(old));
		dp->uplink_count = old_count;
	}
	return ret;
}
