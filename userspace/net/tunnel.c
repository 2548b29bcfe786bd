// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Our own veth pair: what the stack routes into one end leaves the other as frames that can be sealed as
// they are.
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <stdio.h>
#include <string.h>

#include "net/ethtool.h"
#include "net/nl.h"

struct offload {
	uint32_t get;
	uint32_t set;
	uint32_t value;
	const char *what;
};

/* Of a new pair until it has its alias: the kernel takes a group when it makes a device, but no alias. */
#define GROUP_IN_THE_MAKING 0x54414c4e	/* "TALN" */

/* Scatter-gather comes last but is no less needed: with it nearly every packet arrives non-linear. */
static const struct offload near_offloads[] = {
	{ ETHTOOL_GTSO,		ETHTOOL_STSO,		0, "TCP segmentation offload" },
	{ ETHTOOL_GGSO,		ETHTOOL_SGSO,		0, "generic segmentation offload" },
	{ ETHTOOL_GTXCSUM,	ETHTOOL_STXCSUM,	0, "checksum offload" },
	{ ETHTOOL_GSG,		ETHTOOL_SSG,		0, "scatter-gather" },
	{ ETHTOOL_GGRO,		ETHTOOL_SGRO,		1, "GRO" },
};

static const struct offload far_offloads[] = {
	{ ETHTOOL_GGRO,		ETHTOOL_SGRO,		0, "GRO" },
};

static int set_offloads(const char *name, const struct offload *table, unsigned count, char *err,
	size_t errlen)
{
	uint32_t value;
	int ret;

	for (unsigned i = 0; i < count; i++) {
		/*
		 * What the driver has taken away already, as veth does with segmentation where the other end
		 * has XDP, it refuses to set.
		 */
		ret = ethtool_get(name, table[i].get, &value);
		if (!ret && !!value != table[i].value)
			ret = ethtool_set(name, table[i].set, table[i].value);
		if (!ret)
			ret = ethtool_get(name, table[i].get, &value);
		if (!ret && !!value != table[i].value)
			ret = -EOPNOTSUPP;
		if (ret) {
			snprintf(err, errlen, "%s: cannot turn %s %s: %s", name, table[i].what,
				 table[i].value ? "on" : "off", strerror(-ret));
			return ret;
		}
	}
	return 0;
}

static int make_pair(const char *name, const char *far, uint32_t mtu, char *err, size_t errlen)
{
	char buf[1024] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlattr *info, *data, *peer;
	struct ifinfomsg *msg;
	char reason[128];
	int ret;

	nlh->nlmsg_type = RTM_NEWLINK;
	nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	mnl_attr_put_u32(nlh, IFLA_GROUP, GROUP_IN_THE_MAKING);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, far);
	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	mnl_attr_put_u32(nlh, IFLA_GROUP, GROUP_IN_THE_MAKING);
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	ret = nl_talk(nlh, reason, sizeof(reason));
	if (ret)
		snprintf(err, errlen, "making %s: %s", name, reason);
	return ret;
}

static struct nlmsghdr *start_set(char *buf, int ifindex, uint32_t flags, uint32_t change)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *msg;

	nlh->nlmsg_type = RTM_SETLINK;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->ifi_index = ifindex;
	msg->ifi_flags = flags;
	msg->ifi_change = change;
	return nlh;
}

/*
 * Without this IPv6 would give the device a link-local address as soon as it is up. A host without IPv6 has
 * nothing to switch off.
 */
static int no_link_local(int ifindex)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = start_set(buf, ifindex, 0, 0);
	struct nlattr *spec, *inet6;
	int ret;

	spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	inet6 = mnl_attr_nest_start(nlh, AF_INET6);
	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, inet6);
	mnl_attr_nest_end(nlh, spec);
	ret = nl_talk(nlh, NULL, 0);
	return ret == -EAFNOSUPPORT || ret == -EOPNOTSUPP ? 0 : ret;
}

static int set_alias(int ifindex, const char *alias)
{
	char buf[512] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = start_set(buf, ifindex, 0, 0);

	mnl_attr_put(nlh, IFLA_IFALIAS, strlen(alias), alias);
	mnl_attr_put_u32(nlh, IFLA_GROUP, 0);
	return nl_talk(nlh, NULL, 0);
}

static int set_up(int ifindex, uint32_t mtu)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = start_set(buf, ifindex, IFF_UP | IFF_NOARP,
		IFF_UP | IFF_NOARP | IFF_MULTICAST);

	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	return nl_talk(nlh, NULL, 0);
}

static int set_end(int ifindex, uint32_t mtu, const char *alias)
{
	int ret = set_alias(ifindex, alias);

	if (!ret)
		ret = no_link_local(ifindex);
	if (!ret)
		ret = set_up(ifindex, mtu);
	return ret;
}

static int delete(int ifindex)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = start_set(buf, ifindex, 0, 0);

	nlh->nlmsg_type = RTM_DELLINK;
	return nl_talk(nlh, NULL, 0);
}

/* A process that ended between making the pair and naming it left no alias yet. */
static bool is_ours(const struct net_link *link, const char *alias)
{
	return !strcmp(link->kind, "veth") &&
	       (!strcmp(link->alias, alias) || (!link->alias[0] && link->group == GROUP_IN_THE_MAKING));
}

/* 0: our pair is there; -ENODEV: neither end is; -EEXIST: the name is taken, or only half of ours is left. */
static int find_pair(const char *name, const char *far, const char *alias, struct net_link *near,
		     struct net_link *far_end)
{
	int one = net_link_get(name, near), two = net_link_get(far, far_end);

	if (one == -ENODEV && two == -ENODEV)
		return -ENODEV;
	if ((one && one != -ENODEV) || (two && two != -ENODEV))
		return one ? one : two;
	if (one || two || !is_ours(near, alias) || !is_ours(far_end, alias) ||
		near->lower != far_end->ifindex)
		return -EEXIST;
	return 0;
}

static int put_right(const struct net_link *near, const struct net_link *far_end, uint32_t mtu,
	const char *alias, char *err, size_t errlen)
{
	int ret;

	ret = set_offloads(near->name, near_offloads, sizeof(near_offloads) / sizeof(near_offloads[0]), err,
		errlen);
	if (!ret)
		ret = set_offloads(far_end->name, far_offloads,
			sizeof(far_offloads) / sizeof(far_offloads[0]), err, errlen);
	if (ret)
		return ret;
	ret = set_end(far_end->ifindex, mtu, alias);
	if (!ret)
		ret = set_end(near->ifindex, mtu, alias);
	if (ret)
		snprintf(err, errlen, "setting up %s: %s", near->name, strerror(-ret));
	return ret;
}

int net_tunnel_create(const char *name, const char *far, uint32_t mtu, const char *alias, char *err,
	size_t errlen)
{
	struct net_link near, far_end;
	bool made = false;
	int ret;

	ret = find_pair(name, far, alias, &near, &far_end);
	if (ret == -ENODEV) {
		ret = make_pair(name, far, mtu, err, errlen);
		if (ret)
			return ret;
		made = true;
		ret = net_link_get(name, &near);
		if (!ret)
			ret = net_link_get(far, &far_end);
		if (ret)
			net_tunnel_delete(name, alias);
	}
	if (ret) {
		snprintf(err, errlen,
			 ret == -EEXIST ? "device %s (or %s) exists and is not ours"
			 : "%s, %s: cannot be read", name, far);
		return ret;
	}
	ret = put_right(&near, &far_end, mtu, alias, err, errlen);
	if (ret && made)
		delete(near.ifindex);
	return ret;
}

int net_tunnel_find(const char *name, const char *far, const char *alias)
{
	struct net_link near, far_end;

	return find_pair(name, far, alias, &near, &far_end);
}

int net_tunnel_delete(const char *name, const char *alias)
{
	struct net_link link;
	int ret = net_link_get(name, &link);

	if (ret)
		return ret == -ENODEV ? 0 : ret;
	if (!is_ours(&link, alias))
		return -EPERM;
	ret = delete(link.ifindex);
	return ret == -ENODEV ? 0 : ret;
}

struct pairs {
	const char *alias;
	unsigned count;
	int ifindex[32];
};

static void pick(const struct net_link *link, void *user)
{
	struct pairs *pairs = user;

	if (is_ours(link, pairs->alias) && pairs->count < sizeof(pairs->ifindex) / sizeof(pairs->ifindex[0]))
		pairs->ifindex[pairs->count++] = link->ifindex;
}

int net_tunnel_delete_all(const char *alias)
{
	struct pairs pairs = { .alias = alias };
	int ret = net_link_list(pick, &pairs), removed = 0;

	for (unsigned i = 0; i < pairs.count && !ret; i++) {
		ret = delete(pairs.ifindex[i]);
		removed += !ret;
		if (ret == -ENODEV)	/* it went with its other end */
			ret = 0;
	}
	return ret ? ret : removed;
}
