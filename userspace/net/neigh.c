// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Neighbours: asking the kernel to resolve next hops and to keep them resolved, since XDP cannot
// wait for ARP.
#include <errno.h>
#include <linux/neighbour.h>
#include <string.h>
#include <sys/socket.h>

#include "net/nl.h"

#define MANAGED (NTF_EXT_MANAGED << 8)		/* as struct net_neigh has it */

struct each {
	net_neigh_cb cb;
	void *user;
};

static int pass_on(const struct nlmsghdr *nlh, void *data)
{
	struct each *each = data;
	struct net_neigh neigh;

	if (!nl_parse_neigh(nlh, &neigh))
		each->cb(&neigh, each->user);
	return MNL_CB_OK;
}

int net_neigh_list(net_neigh_cb cb, void *user)
{
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct each each = { .cb = cb, .user = user };

	nlh->nlmsg_type = RTM_GETNEIGH;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ndmsg));
	return nl_dump(nlh, false, pass_on, &each);
}

struct want {
	struct net_neigh *neigh;
	bool found;
};

static int keep(const struct nlmsghdr *nlh, void *data)
{
	struct want *want = data;

	if (!nl_parse_neigh(nlh, want->neigh))
		want->found = true;
	return MNL_CB_OK;
}

static struct nlmsghdr *start(char *buf, uint16_t type, int ifindex, uint8_t family,
	const struct talon_addr *addr, struct ndmsg **msg)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	*msg = mnl_nlmsg_put_extra_header(nlh, sizeof(**msg));
	(*msg)->ndm_family = family;
	(*msg)->ndm_ifindex = ifindex;
	mnl_attr_put(nlh, NDA_DST, nl_addr_len(family), addr);
	return nlh;
}

int net_neigh_get(int ifindex, uint8_t family, const struct talon_addr *addr, struct net_neigh *ret_neigh)
{
	char buf[256] __attribute__((aligned(8)));
	struct net_neigh neigh = { 0 };
	struct want want = { .neigh = &neigh };
	struct ndmsg *msg;
	int ret;

	if (!nl_addr_len(family))
		return -EINVAL;
	ret = nl_dump(start(buf, RTM_GETNEIGH, ifindex, family, addr, &msg), true, keep, &want);
	if (ret)
		return ret;
	if (!want.found)
		return -ENOENT;
	*ret_neigh = neigh;
	return 0;
}

static int put(int ifindex, uint8_t family, const struct talon_addr *addr, bool managed)
{
	char buf[256] __attribute__((aligned(8)));
	struct ndmsg *msg;
	struct nlmsghdr *nlh = start(buf, RTM_NEWNEIGH, ifindex, family, addr, &msg);

	nlh->nlmsg_flags = NLM_F_REPLACE | (managed ? NLM_F_CREATE : 0);
	/* what an older kernel understands; the state of the entry stays as it is */
	msg->ndm_flags = NTF_USE;
	if (managed) {
		mnl_attr_put_u32(nlh, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
		mnl_attr_put_u8(nlh, NDA_PROTOCOL, NET_PROTOCOL);
	}
	return nl_talk(nlh, NULL, 0);
}

int net_neigh_probe(int ifindex, uint8_t family, const struct talon_addr *addr)
{
	struct net_neigh neigh;
	int ret;

	ret = net_neigh_get(ifindex, family, addr, &neigh);
	if (ret && ret != -ENOENT)
		return ret;
	if (!ret && neigh.state & (NUD_PERMANENT | NUD_NOARP))	/* asking would take its permanence */
		return 0;
	if (!ret && neigh.flags & MANAGED && neigh.has_mac &&
		neigh.state & (NUD_REACHABLE | NUD_DELAY | NUD_PROBE))
		return 0;
	return put(ifindex, family, addr, true);
}

int net_neigh_confirm(const struct net_neigh *neigh)
{
	char buf[256] __attribute__((aligned(8)));
	struct ndmsg *msg;
	struct nlmsghdr *nlh;

	if (neigh->flags & MANAGED)
		return 0;
	nlh = start(buf, RTM_NEWNEIGH, neigh->ifindex, neigh->family, &neigh->addr, &msg);
	nlh->nlmsg_flags = NLM_F_REPLACE;
	msg->ndm_state = NUD_PROBE;
	msg->ndm_flags = neigh->flags & NTF_ROUTER;	/* or a router of IPv6 would be one no more */
	if (neigh->protocol)
		mnl_attr_put_u8(nlh, NDA_PROTOCOL, neigh->protocol);
	return nl_talk(nlh, NULL, 0);
}

int net_neigh_release(int ifindex, uint8_t family, const struct talon_addr *addr)
{
	struct net_neigh neigh;
	int ret;

	ret = net_neigh_get(ifindex, family, addr, &neigh);
	if (ret)
		return ret == -ENOENT ? 0 : ret;
	if (!(neigh.flags & MANAGED) || neigh.protocol != NET_PROTOCOL)
		return 0;
	ret = put(ifindex, family, addr, false);
	return ret == -ENOENT ? 0 : ret;
}

#define RELEASE_BATCH	256
#define RELEASE_ROUNDS	64	/* an end even if the kernel did not let one go */

struct batch {
	unsigned count;
	struct net_neigh neighs[RELEASE_BATCH];
};

static void pick(const struct net_neigh *neigh, void *user)
{
	struct batch *batch = user;

	if (neigh->flags & MANAGED && neigh->protocol == NET_PROTOCOL && batch->count < RELEASE_BATCH)
		batch->neighs[batch->count++] = *neigh;
}

int net_neigh_release_all(void)
{
	struct batch batch = { .count = RELEASE_BATCH };
	int ret = 0, released = 0;

	for (unsigned round = 0; round < RELEASE_ROUNDS && batch.count == RELEASE_BATCH; round++) {
		batch.count = 0;
		ret = net_neigh_list(pick, &batch);
		for (unsigned i = 0; i < batch.count && !ret; i++) {
			ret = net_neigh_release(batch.neighs[i].ifindex, batch.neighs[i].family,
				&batch.neighs[i].addr);
			released += !ret;
		}
		if (ret)
			break;
	}
	return ret ? ret : released;
}
