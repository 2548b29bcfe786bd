// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// ICMP errors about sealed packets that are too large: the datapath looks the path MTU up again.
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/errqueue.h>

#include "plane/internal.h"

#define PAUSE_NS	(200 * LOOP_MS)	/* between two passes: anybody can send such errors */
#define ERRORS_PER_TURN	64

int pmtu_listen(int fd, int family)
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
static bool read_error(struct plane *p, int fd)
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
		note(&p->pmtu, &about);
	return true;
}

void pmtu_read(struct plane *p, int fd)
{
	for (int i = 0; i < ERRORS_PER_TURN && read_error(p, fd); i++)
		;
	if ((p->pmtu.count || p->pmtu.is_full) && !loop_timer_is_set(&p->pmtu.timer))
		loop_timer_set(p->loop, &p->pmtu.timer, p->pmtu.due_ns);
}

static bool is_news(const struct pmtu_news *news, const struct talon_endpoint *e)
{
	for (unsigned i = 0; i < news->count; i++) {
		if (!memcmp(&news->remotes[i], &e->remote, sizeof(e->remote)))
			return true;
	}
	return false;
}

static void tell_peer(struct plane *p, uint32_t peer)
{
	struct talon_endpoint e;

	if (!endpoints_read(&p->endpoints, peer, &e) && !(e.flags & TALON_ENDPOINT_RELAY) &&
		is_news(&p->pmtu, &e))
		endpoints_look_again(&p->endpoints, peer, &e);
}

void pmtu_refresh(struct plane *p)
{
	for (uint32_t i = 0; i < p->peers_max; i++) {
		struct talon_endpoint e;

		if (p->infos[i].present && !endpoints_read(&p->endpoints, i, &e) && e.mtu &&
			e.mtu < p->map_config.tunnel_mtu &&
			!(e.flags & (TALON_ENDPOINT_L2 | TALON_ENDPOINT_RELAY)))
			endpoints_look_again(&p->endpoints, i, &e);
	}
}

void pmtu_tick(void *ctx)
{
	struct plane *p = ctx;

	p->pmtu.due_ns = loop_now(p->loop) + PAUSE_NS;
	if (p->pmtu.is_full)
		p->sees_change = true;	/* all of them */
	for (uint32_t i = 0; p->is_ready && !p->pmtu.is_full && i < p->peers_max; i++) {
		if (p->infos[i].present)
			tell_peer(p, i);
	}
	p->pmtu.count = 0;
	p->pmtu.is_full = false;
	plane_wake(p);
}
