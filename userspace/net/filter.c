// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How many tc filters sit in a clsact qdisc.
#include <errno.h>
#include <linux/pkt_sched.h>

#include "net/nl.h"

static int count_one(const struct nlmsghdr *nlh, void *data)
{
	int *count = data;

	*count += nlh->nlmsg_type == RTM_NEWTFILTER;
	return MNL_CB_OK;
}

static int count_in(int ifindex, uint32_t parent)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *msg;
	int count = 0, ret;

	nlh->nlmsg_type = RTM_GETTFILTER;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->tcm_ifindex = ifindex;
	msg->tcm_parent = parent;
	ret = nl_dump(nlh, false, count_one, &count);
	return ret ? ret : count;
}

int net_filter_count(int ifindex)
{
	int in = count_in(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS));
	int out = count_in(ifindex, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS));

	return in < 0 ? in : out < 0 ? out : in + out;
}
