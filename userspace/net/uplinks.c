// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Where the default route leads, and which devices can carry our programs.
#include <errno.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/socket.h>

#include "net/nl.h"

#define HOPS_MAX 64

struct best {
	bool is_there;
	uint32_t metric;
	int devices[HOPS_MAX];
	unsigned count;
};

static int consider(const struct nlmsghdr *nlh, void *data)
{
	struct best *best = data, here = { .is_there = true };
	struct net_route route;

	if (nl_parse_route(nlh, &route) || route.prefixlen || route.type != RTN_UNICAST ||
		route.table != RT_TABLE_MAIN)
		return MNL_CB_OK;
	here.metric = route.metric;
	here.count = nl_parse_route_devices(nlh, here.devices, HOPS_MAX);
	if (here.count && (!best->is_there || here.metric < best->metric))
		*best = here;
	return MNL_CB_OK;
}

static bool is_in(const struct net_link *links, unsigned count, int ifindex)
{
	for (unsigned i = 0; i < count; i++) {
		if (links[i].ifindex == ifindex)
			return true;
	}
	return false;
}

int net_default_uplinks(struct net_link ret_links[static NET_DEFAULT_MAX], unsigned *ret_count)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct best best = { 0 };
	struct rtmsg *msg;
	int ret;

	nlh->nlmsg_type = RTM_GETROUTE;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->rtm_family = AF_INET;
	ret = nl_dump(nlh, false, consider, &best);
	if (ret)
		return ret;
	*ret_count = 0;
	for (unsigned i = 0; i < best.count && *ret_count < NET_DEFAULT_MAX; i++) {
		if (!is_in(ret_links, *ret_count, best.devices[i]) && !net_link_get_index(best.devices[i],
			&ret_links[*ret_count]))
			*ret_count += 1;
	}
	return 0;
}

bool net_link_is_ethernet(const struct net_link *link)
{
	return link->type == ARPHRD_ETHER;
}
