// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The tc filters of a clsact qdisc.
#include <errno.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <stdio.h>
#include <string.h>

#include "net/nl.h"

static int dump_in(int ifindex, uint32_t parent, mnl_cb_t cb, void *user)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *msg;

	nlh->nlmsg_type = RTM_GETTFILTER;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->tcm_ifindex = ifindex;
	msg->tcm_parent = parent;
	return nl_dump(nlh, false, cb, user);
}

static int count_one(const struct nlmsghdr *nlh, void *data)
{
	int *count = data;

	*count += nlh->nlmsg_type == RTM_NEWTFILTER;
	return MNL_CB_OK;
}

static int count_in(int ifindex, uint32_t parent)
{
	int count = 0, ret = dump_in(ifindex, parent, count_one, &count);

	return ret ? ret : count;
}

int net_filter_count(int ifindex)
{
	int in = count_in(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS));
	int out = count_in(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS));

	return in < 0 ? in : out < 0 ? out : in + out;
}

struct each {
	net_filter_cb cb;
	void *user;
	bool is_egress;
};

static int pass_on(const struct nlmsghdr *nlh, void *data)
{
	const struct each *each = data;
	struct net_filter filter;

	if (!nl_parse_filter(nlh, &filter)) {
		filter.is_egress = each->is_egress;
		each->cb(&filter, each->user);
	}
	return MNL_CB_OK;
}

int net_filter_list(int ifindex, net_filter_cb cb, void *user)
{
	static const uint32_t ends[] = { TC_H_MIN_INGRESS, TC_H_MIN_EGRESS };
	struct each each = { .cb = cb, .user = user };
	int ret = 0;

	for (size_t i = 0; i < 2 && !ret; i++) {
		each.is_egress = i == 1;
		ret = dump_in(ifindex, TC_H_MAKE(TC_H_CLSACT, ends[i]), pass_on, &each);
	}
	/* There is no such qdisc. */
	return ret == -EINVAL || ret == -ENOENT ? 0 : ret;
}
