// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "endpoints/pmtu_news.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/errqueue.h>

#include "base/endpoint.h"

#define ERRORS_PER_TURN	64

int pmtu_news_listen(int fd, int family)
{
	const int on = 1;

	if (family == AF_INET)
		return setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on));
}

static bool says_too_big(struct msghdr *msg)
{
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
		struct sock_extended_err e;

		if (!(cm->cmsg_level == IPPROTO_IP && cm->cmsg_type == IP_RECVERR) &&
		    !(cm->cmsg_level == IPPROTO_IPV6 && cm->cmsg_type == IPV6_RECVERR))
			continue;
		memcpy(&e, CMSG_DATA(cm), sizeof(e));
		if (e.ee_errno == EMSGSIZE &&
			(e.ee_origin == SO_EE_ORIGIN_ICMP || e.ee_origin == SO_EE_ORIGIN_ICMP6))
			return true;
	}
	return false;
}

static void note(struct pmtu_news *news, const struct endpoint *about)
{
	for (unsigned i = 0; i < news->count; i++) {
		if (!memcmp(&news->remotes[i], &about->remote, sizeof(about->remote)))
			return;
	}
	if (news->count < PMTU_NEWS_MAX)
		news->remotes[news->count++] = about->remote;
	else
		news->is_full = true;
}

/* Returns false when the queue is empty. */
static bool read_error(struct pmtu_news *news, int fd)
{
	uint8_t byte, control[512] __attribute__((aligned(8)));
	struct sockaddr_storage addr;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_name = &addr, .msg_namelen = sizeof(addr), .msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct endpoint about;

	if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return false;
	if (says_too_big(&msg) && !endpoint_from_sockaddr((struct sockaddr *)&addr, msg.msg_namelen, &about))
		note(news, &about);
	return true;
}

void pmtu_news_read(struct pmtu_news *news, int fd)
{
	for (int i = 0; i < ERRORS_PER_TURN && read_error(news, fd); i++)
		;
}
