// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Routes: reading those of all tables; changing ours, which are in the main table and carry NET_PROTOCOL.
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "net/nl.h"

struct each {
	net_route_cb cb;
	void *user;
};

static int pass_on(const struct nlmsghdr *nlh, void *data)
{
	struct each *each = data;
	struct net_route route;

	if (!nl_parse_route(nlh, &route))
		each->cb(&route, each->user);
	return MNL_CB_OK;
}

int net_route_list(uint8_t family, net_route_cb cb, void *user)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct each each = { .cb = cb, .user = user };
	struct rtmsg *msg;

	nlh->nlmsg_type = RTM_GETROUTE;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->rtm_family = family;
	return nl_dump(nlh, false, pass_on, &each);
}

static void take_route(const struct net_route *route, void *user)
{
	*(struct net_route *)user = *route;
}

int net_route_lookup(uint8_t family, const struct talon_addr *dst, struct net_route *ret_route)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct net_route route = { 0 };
	struct each each = { .cb = take_route, .user = &route };
	struct rtmsg *msg;
	int ret;

	if (!nl_addr_len(family))
		return -EINVAL;
	nlh->nlmsg_type = RTM_GETROUTE;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->rtm_family = family;
	msg->rtm_dst_len = nl_addr_len(family) * 8;
	mnl_attr_put(nlh, RTA_DST, nl_addr_len(family), dst);
	ret = nl_dump(nlh, true, pass_on, &each);
	if (ret)
		return ret;
	if (!route.ifindex)
		return -ENETUNREACH;
	*ret_route = route;
	return 0;
}

static int fill_query(struct nlmsghdr *nlh, size_t i, void *user)
{
	const struct net_route_query *query = (const struct net_route_query *)user + i;
	struct rtmsg *msg;

	nlh->nlmsg_type = RTM_GETROUTE;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->rtm_family = query->family;
	msg->rtm_dst_len = nl_addr_len(query->family) * 8;
	if (query->family == AF_INET)	/* else it says main, whichever answered; IPv6 refuses the flag */
		msg->rtm_flags = RTM_F_LOOKUP_TABLE;
	mnl_attr_put(nlh, RTA_DST, nl_addr_len(query->family), &query->dst);
	if (query->ifindex)
		mnl_attr_put_u32(nlh, RTA_OIF, query->ifindex);
	return 0;
}

static void take_answer(size_t i, const struct nlmsghdr *answer, int ret, void *user)
{
	struct net_route_query *query = (struct net_route_query *)user + i;

	query->ret = answer ? nl_parse_route(answer, &query->route) : ret;
}

int net_route_lookup_many(struct net_route_query *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		list[i].ret = -EIO;
	return count ? nl_batch(count, 0, fill_query, take_answer, list) : 0;
}

static bool is_zero(const struct talon_addr *addr)
{
	static const struct talon_addr zero;

	return !memcmp(addr, &zero, sizeof(zero));
}

static int fill(struct nlmsghdr *nlh, uint16_t type, uint16_t flags, const struct net_route *route)
{
	size_t len = nl_addr_len(route->family);
	struct nlattr *nest;
	struct rtmsg *msg;

	if (!len || route->prefixlen > len * 8)
		return -EINVAL;
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->rtm_family = route->family;
	msg->rtm_dst_len = route->prefixlen;
	msg->rtm_table = RT_TABLE_MAIN;
	msg->rtm_protocol = NET_PROTOCOL;
	msg->rtm_type = RTN_UNICAST;
	msg->rtm_scope = is_zero(&route->gateway) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	if (type == RTM_DELROUTE)	/* matches any scope when it names none */
		msg->rtm_scope = RT_SCOPE_NOWHERE;
	if (route->family == AF_INET6)
		msg->rtm_scope = RT_SCOPE_UNIVERSE;
	mnl_attr_put(nlh, RTA_DST, len, &route->dst);
	if (route->ifindex)
		mnl_attr_put_u32(nlh, RTA_OIF, route->ifindex);
	if (route->metric)
		mnl_attr_put_u32(nlh, RTA_PRIORITY, route->metric);
	if (type == RTM_NEWROUTE) {
		if (!is_zero(&route->gateway))
			mnl_attr_put(nlh, RTA_GATEWAY, len, &route->gateway);
		if (!is_zero(&route->prefsrc))
			mnl_attr_put(nlh, RTA_PREFSRC, len, &route->prefsrc);
		if (route->mtu) {
			nest = mnl_attr_nest_start(nlh, RTA_METRICS);
			mnl_attr_put_u32(nlh, RTAX_MTU, route->mtu);
			mnl_attr_nest_end(nlh, nest);
		}
	}
	return 0;
}

static int fill_change(struct nlmsghdr *nlh, size_t i, void *user)
{
	const struct net_route_change *c = (const struct net_route_change *)user + i;

	if (c->what == NET_ROUTE_DEL)
		return fill(nlh, RTM_DELROUTE, 0, &c->route);
	return fill(nlh, RTM_NEWROUTE,
		NLM_F_CREATE | (c->what == NET_ROUTE_REPLACE ? NLM_F_REPLACE : NLM_F_EXCL), &c->route);
}

static void take_ack(size_t i, const struct nlmsghdr *answer, int ret, void *user)
{
	struct net_route_change *c = (struct net_route_change *)user + i;

	c->ret = c->what == NET_ROUTE_DEL && (ret == -ESRCH || ret == -ENODEV) ? 0 : ret;
}

int net_route_change(struct net_route_change *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		list[i].ret = -EIO;
	return count ? nl_batch(count, NLM_F_ACK, fill_change, take_ack, list) : 0;
}

#define FLUSH_BATCH	256
#define FLUSH_ROUNDS	64	/* an end even if the kernel did not let one go */

struct flush {
	int ifindex;
	unsigned count;
	struct net_route_change list[FLUSH_BATCH];
};

static void pick(const struct net_route *route, void *user)
{
	struct flush *flush = user;

	if (route->protocol == NET_PROTOCOL && route->table == RT_TABLE_MAIN && flush->count < FLUSH_BATCH &&
	    (!flush->ifindex || route->ifindex == flush->ifindex))
		flush->list[flush->count++] =
			(struct net_route_change){ .route = *route, .what = NET_ROUTE_DEL };
}

static int flush_family(uint8_t family, int ifindex)
{
	struct flush flush = { .ifindex = ifindex };
	int ret = 0, removed = 0;

	flush.count = FLUSH_BATCH;
	for (unsigned round = 0; round < FLUSH_ROUNDS && flush.count == FLUSH_BATCH; round++) {
		flush.count = 0;
		ret = net_route_list(family, pick, &flush);
		if (!ret)
			ret = net_route_change(flush.list, flush.count);
		for (unsigned i = 0; i < flush.count && !ret; i++) {
			ret = flush.list[i].ret;
			removed += !ret;
		}
		if (ret)
			break;
	}
	return ret ? ret : removed;
}

int net_route_flush(int ifindex)
{
	int v4 = flush_family(AF_INET, ifindex), v6 = flush_family(AF_INET6, ifindex);

	if (v6 == -EAFNOSUPPORT || v6 == -EOPNOTSUPP)	/* a host without IPv6 has none */
		v6 = 0;
	return v4 < 0 ? v4 : v6 < 0 ? v6 : v4 + v6;
}
