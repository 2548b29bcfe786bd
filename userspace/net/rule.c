// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Policy routing rules.
#include <linux/fib_rules.h>
#include <sys/socket.h>

#include "net/nl.h"

struct each {
	uint8_t family;
	net_rule_cb cb;
	void *user;
};

static int pass_on(const struct nlmsghdr *nlh, void *data)
{
	struct each *each = data;
	struct net_rule rule;

	if (!nl_parse_rule(nlh, &rule) && rule.family == each->family)
		each->cb(&rule, each->user);
	return MNL_CB_OK;
}

int net_rule_list(uint8_t family, net_rule_cb cb, void *user)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct each each = { .family = family, .cb = cb, .user = user };
	struct fib_rule_hdr *msg;

	nlh->nlmsg_type = RTM_GETRULE;
	msg = mnl_nlmsg_put_extra_header(nlh, sizeof(*msg));
	msg->family = family;
	return nl_dump(nlh, false, pass_on, &each);
}
