// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which devices an automatic uplink stands for.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "host/uplink_choice.h"
#include "talon/peer_types.h"

static const struct net_link *find(const struct net_link *list, unsigned count, int ifindex)
{
	for (unsigned i = 0; i < count; i++) {
		if (list[i].ifindex == ifindex)
			return &list[i];
	}
	return NULL;
}

static bool is_same_set(const struct net_link *a, unsigned a_count, const struct net_link *b,
	unsigned b_count)
{
	if (a_count != b_count)
		return false;
	for (unsigned i = 0; i < a_count; i++) {
		if (!find(b, b_count, a[i].ifindex))
			return false;
	}
	return true;
}

static void take(struct uplink_choice *choice, const struct net_link *list, unsigned count)
{
	memcpy(choice->links, list, count * sizeof(*list));
	choice->count = count;
}

void uplink_choose(const struct net_link *route, unsigned route_count, const struct net_link *now,
	unsigned now_count, struct uplink_choice *ret_choice)
{
	struct uplink_choice choice = {};

	for (unsigned i = 0; i < route_count; i++) {
		if (net_link_is_ethernet(&route[i]))
			choice.links[choice.count++] = route[i];
		else
			snprintf(choice.why, sizeof(choice.why),
				"the default route leads by %s, whose packets have no Ethernet header",
				route[i].name);
	}
	if (!choice.count || is_same_set(choice.links, choice.count, now, now_count))
		take(&choice, now, now_count);
	if (!choice.count && !choice.why[0])
		snprintf(choice.why, sizeof(choice.why), "no device has an IPv4 default route");
	*ret_choice = choice;
}

int uplink_check_mtu(const struct net_link *link, unsigned mtu, char *why, size_t size)
{
	if (link->mtu >= mtu + TALON_OVERHEAD4)
		return 0;
	snprintf(why, size, "MTU: %u does not fit through %s (%u); write at most %d (%d if peers come by "
		"IPv6)", mtu, link->name, link->mtu, (int)link->mtu - TALON_OVERHEAD4,
		(int)link->mtu - TALON_OVERHEAD6);
	return -EMSGSIZE;
}
