// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Network devices: what they are, and why one refuses an XDP program.
#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/ethtool.h"
#include "net/nl.h"

struct want {
	struct net_link *link;
	bool found;
};

static int keep_link(const struct nlmsghdr *nlh, void *data)
{
	struct want *want = data;

	if (!nl_parse_link(nlh, want->link))
		want->found = true;
	return MNL_CB_OK;
}

static int get(const char *name, int ifindex, struct net_link *ret_link)
{
	char buf[512] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct net_link link = { 0 };
	struct want want = { .link = &link };
	struct ifinfomsg *msg;
	int ret;

	nlh->nlmsg_type = RTM_GETLINK;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->ifi_index = ifindex;
	if (name) {
		if (!name[0] || strlen(name) >= IFNAMSIZ)
			return -ENODEV;
		mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	}
	ret = nl_dump(nlh, true, keep_link, &want);
	if (ret)
		return ret;
	if (!want.found)
		return -ENODEV;
	ethtool_driver(link.name, link.driver, sizeof(link.driver));	/* not every device has one */
	*ret_link = link;
	return 0;
}

int net_link_get(const char *name, struct net_link *ret_link)
{
	return get(name, 0, ret_link);
}

int net_link_get_index(int ifindex, struct net_link *ret_link)
{
	return ifindex > 0 ? get(NULL, ifindex, ret_link) : -ENODEV;
}

struct each {
	net_link_cb cb;
	void *user;
};

static int pass_on(const struct nlmsghdr *nlh, void *data)
{
	struct each *each = data;
	struct net_link link;

	if (!nl_parse_link(nlh, &link))
		each->cb(&link, each->user);
	return MNL_CB_OK;
}

int net_link_list(net_link_cb cb, void *user)
{
	char buf[512] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct each each = { .cb = cb, .user = user };

	nlh->nlmsg_type = RTM_GETLINK;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	return nl_dump(nlh, false, pass_on, &each);
}

static int set_xdp(int ifindex, int prog_fd, uint32_t flags, char *reason, size_t len)
{
	char buf[512] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *msg;
	struct nlattr *nest;

	nlh->nlmsg_type = RTM_SETLINK;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->ifi_index = ifindex;
	nest = mnl_attr_nest_start(nlh, IFLA_XDP);
	mnl_attr_put_u32(nlh, IFLA_XDP_FD, prog_fd);
	mnl_attr_put_u32(nlh, IFLA_XDP_FLAGS, flags);
	mnl_attr_nest_end(nlh, nest);
	return nl_talk(nlh, reason, len);
}

void net_xdp_reason(int ifindex, int prog_fd, uint32_t xdp_flags, char *reason, size_t len)
{
	if (set_xdp(ifindex, prog_fd, xdp_flags | XDP_FLAGS_UPDATE_IF_NOEXIST, reason, len))
		return;
	set_xdp(ifindex, -1, xdp_flags, NULL, 0);
	snprintf(reason, len, "the kernel accepts the program by netlink, but not as a link");
}
