// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One socket for the events of links, addresses, routes, rules and neighbours.
#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/nl.h"

#define MONITOR_RCVBUF	(1 << 20)
#define MONITOR_BURST	32		/* datagrams of one call */

static int subscribe(int fd)
{
	struct sockaddr_nl addr = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
		RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE |
		1U << (RTNLGRP_IPV6_RULE - 1),
	};
	int size = MONITOR_RCVBUF;

	/* less room only means a resync sooner */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
}

int net_monitor_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), ret;

	if (fd < 0)
		return -errno;
	ret = subscribe(fd);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int net_monitor_read(int fd, net_event_cb cb, void *user)
{
	static const struct net_event lost = { .type = NET_EVENT_RESYNC };
	char buf[32 * 1024] __attribute__((aligned(8)));
	struct sockaddr_nl from;
	socklen_t from_len;
	ssize_t len;

	for (unsigned i = 0; i < MONITOR_BURST; i++) {
		from_len = sizeof(from);
		len = recvfrom(fd, buf, sizeof(buf), MSG_TRUNC, (struct sockaddr *)&from, &from_len);
		if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno != ENOBUFS)
			return -errno;
		if (len < 0 || (size_t)len > sizeof(buf))
			cb(&lost, user);
		else if (from_len == sizeof(from) && !from.nl_pid)	/* the kernel, not another process */
			nl_parse_events(buf, len, cb, user);
	}
	return 1;
}
