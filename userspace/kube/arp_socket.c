// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// ARP on this host's links: what hosts say there, and our questions.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>

#include "kube/internal.h"
#include "log/log.h"
#include "net/net.h"

#define BATCH	64

struct kube_arp_socket {
	struct loop *loop;
	struct loop_fd watch;
	int fd;
	struct kube_arp *arp;
	void (*changed)(void *ctx);
	void *ctx;
};

static int find_link(void *ctx, __be32 addr, struct kube_arp_link *ret_link)
{
	const struct talon_addr dst = { .word[0] = addr };
	struct net_route route;
	struct net_link link;
	int ret = net_route_lookup(AF_INET, &dst, &route);

	if (ret)
		return ret;
	if (route.type == RTN_LOCAL) {
		*ret_link = (struct kube_arp_link){ .is_own = true };
		return 0;
	}
	if (route.type != RTN_UNICAST || route.gateway.word[0])
		return -ENETUNREACH;
	ret = net_link_get_index(route.ifindex, &link);
	if (!ret && !net_link_is_ethernet(&link))
		ret = -ENETUNREACH;
	if (ret)
		return ret;
	*ret_link = (struct kube_arp_link){ .ifindex = route.ifindex, .own = route.prefsrc.word[0] };
	memcpy(ret_link->mac, link.mac, sizeof(ret_link->mac));
	return 0;
}

static void send_request(void *ctx, const struct kube_arp_link *link, const uint8_t *to, __be32 addr)
{
	struct kube_arp_socket *s = ctx;
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_ifindex = link->ifindex,
		.sll_protocol = htons(ETH_P_ARP), .sll_halen = ETH_ALEN };
	uint8_t bytes[KUBE_ARP_LEN];

	if (to)
		memcpy(at.sll_addr, to, ETH_ALEN);
	else
		memset(at.sll_addr, 0xff, ETH_ALEN);
	kube_arp_write_request(bytes, link->mac, link->own, addr);
	if (sendto(s->fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&at, sizeof(at)) < 0)
		log_debug("virtual addresses: ARP request: %s", strerror(errno));
}

static void on_readable(void *ctx, uint32_t events)
{
	struct kube_arp_socket *s = ctx;

	for (int i = 0; i < BATCH; i++) {
		struct kube_arp_message message;
		struct sockaddr_ll from = {};
		socklen_t from_len = sizeof(from);
		uint8_t bytes[KUBE_ARP_LEN];
		ssize_t len = recvfrom(s->fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &from_len);

		if (len < 0)
			return;
		if (from.sll_pkttype != PACKET_OUTGOING && kube_arp_read(bytes, len, &message))
			kube_arp_hear(s->arp, from.sll_ifindex, &message);
	}
}

static void on_changed(void *ctx)
{
	struct kube_arp_socket *s = ctx;

	s->changed(s->ctx);
}

int kube_arp_open(struct loop *loop, void (*changed)(void *ctx), void *ctx,
	struct kube_arp_socket **ret_socket, char *why, size_t size)
{
	static const struct kube_arp_ops ops = { .find = find_link, .ask = send_request,
		.changed = on_changed };
	struct kube_arp_socket *s = calloc(1, sizeof(*s));
	int ret = s ? 0 : -ENOMEM;

	if (!ret) {
		*s = (struct kube_arp_socket){ .loop = loop, .changed = changed, .ctx = ctx };
		s->fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ARP));
		ret = s->fd < 0 ? -errno : kube_arp_new(loop, &ops, s, &s->arp);
	}
	if (!ret)
		ret = loop_fd_add(loop, &s->watch, s->fd, EPOLLIN, on_readable, s);
	if (!ret) {
		*ret_socket = s;
		return 0;
	}
	snprintf(why, size, "who holds virtual addresses cannot be asked by ARP: %s%s", strerror(-ret),
		ret == -EPERM ? "; CAP_NET_RAW is needed" : "");
	if (s && s->fd >= 0)
		close(s->fd);
	if (s)
		kube_arp_free(s->arp);
	free(s);
	return ret;
}

struct kube_arp *kube_arp_of(struct kube_arp_socket *socket)
{
	return socket->arp;
}

void kube_arp_close(struct kube_arp_socket *s)
{
	if (!s)
		return;
	loop_fd_remove(s->loop, &s->watch);
	close(s->fd);
	kube_arp_free(s->arp);
	free(s);
}
