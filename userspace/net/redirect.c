// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Netlink family "netdev": what a device can do with XDP. Kernels before 6.3 do not have it, and no header of
// theirs names it.
#include <errno.h>
#include <linux/genetlink.h>
#include <stdlib.h>
#include <string.h>

#include "net/nl.h"

#define FAMILY_NAME		"netdev"
#define FAMILY_VERSION		1
#define CMD_DEV_GET		1
#define ATTR_DEV_IFINDEX	1
#define ATTR_DEV_XDP_FEATURES	3
#define ATTR_DEV_MAX		3
#define ACT_NDO_XMIT		(1ULL << 2)	/* the device takes frames of others */

static struct mnl_socket *open_socket(void)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);

	if (nl && mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		mnl_socket_close(nl);
		return NULL;
	}
	return nl;
}

/* Sends @nlh and hands every answer to @cb until the last one. */
static int exchange(struct mnl_socket *nl, struct nlmsghdr *nlh, mnl_cb_t cb, void *user)
{
	char buf[32 * 1024] __attribute__((aligned(8)));
	ssize_t got;
	int ret;

	nlh->nlmsg_flags |= NLM_F_REQUEST;
	nlh->nlmsg_seq = 1;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		got = mnl_socket_recvfrom(nl, buf, sizeof(buf));
		if (got < 0 && errno == EINTR) {
			ret = MNL_CB_OK;
			continue;
		}
		if (got < 0)
			return -errno;
		nl_take_marks(buf, got);
		ret = mnl_cb_run(buf, got, nlh->nlmsg_seq, mnl_socket_get_portid(nl), cb, user);
	} while (ret > MNL_CB_STOP);
	return ret < 0 ? -errno : 0;
}

static struct nlmsghdr *put_header(char *buf, uint16_t family, uint16_t flags, uint8_t cmd, uint8_t version)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *genl = mnl_nlmsg_put_extra_header(nlh, sizeof(*genl));

	nlh->nlmsg_type = family;
	nlh->nlmsg_flags = flags;
	genl->cmd = cmd;
	genl->version = version;
	return nlh;
}

static int keep_family(const struct nlattr *attr, void *user)
{
	if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID && !mnl_attr_validate(attr, MNL_TYPE_U16))
		*(uint16_t *)user = mnl_attr_get_u16(attr);
	return MNL_CB_OK;
}

static int parse_family(const struct nlmsghdr *nlh, void *user)
{
	return mnl_attr_parse(nlh, sizeof(struct genlmsghdr), keep_family, user);
}

/* Its number, which stays the same until the next boot. Negative errno: -ENOENT where there is none. */
static int find_family(struct mnl_socket *nl)
{
	static uint16_t known;
	char buf[256] __attribute__((aligned(8)));
	struct nlmsghdr *nlh;
	int ret;

	if (known)
		return known;
	nlh = put_header(buf, GENL_ID_CTRL, NLM_F_ACK, CTRL_CMD_GETFAMILY, 1);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, FAMILY_NAME);
	ret = exchange(nl, nlh, parse_family, &known);
	return ret ? ret : known ? known : -ENOENT;
}

struct each {
	net_redirect_cb cb;
	void *user;
};

struct device {
	int ifindex;
	uint64_t features;
	bool has_features;
};

static int keep_device(const struct nlattr *attr, void *user)
{
	struct device *device = user;

	if (mnl_attr_get_type(attr) == ATTR_DEV_IFINDEX && !mnl_attr_validate(attr, MNL_TYPE_U32))
		device->ifindex = mnl_attr_get_u32(attr);
	if (mnl_attr_get_type(attr) == ATTR_DEV_XDP_FEATURES && !mnl_attr_validate(attr, MNL_TYPE_U64)) {
		device->features = mnl_attr_get_u64(attr);
		device->has_features = true;
	}
	return MNL_CB_OK;
}

static int parse_device(const struct nlmsghdr *nlh, void *user)
{
	const struct each *each = user;
	struct device device = { 0 };

	if (mnl_attr_parse(nlh, sizeof(struct genlmsghdr), keep_device, &device) >= MNL_CB_STOP &&
		device.ifindex && device.has_features)
		each->cb(device.ifindex, device.features & ACT_NDO_XMIT, each->user);
	return MNL_CB_OK;
}

int net_redirect_list(net_redirect_cb cb, void *user)
{
	char buf[64] __attribute__((aligned(8)));
	struct each each = { .cb = cb, .user = user };
	struct mnl_socket *nl = open_socket();
	int ret = nl ? find_family(nl) : -errno;

	if (ret > 0)
		ret = exchange(nl, put_header(buf, ret, NLM_F_DUMP, CMD_DEV_GET, FAMILY_VERSION),
			parse_device, &each);
	if (nl)
		mnl_socket_close(nl);
	return ret == -ENOENT ? -EOPNOTSUPP : ret;
}
