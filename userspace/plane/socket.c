// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The WireGuard port: handshakes, and data messages that the datapath could not see whole.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "packets/port_messages.h"
#include "plane/internal.h"
#include "log/log.h"

#define MESSAGES_PER_TURN	64	/* before other descriptors get their turn */
#define MESSAGE_MAX		2048

static int open_one(int family, uint16_t port)
{
	const int on = 1, buffer = 1 << 20;
	struct sockaddr_storage at = { .ss_family = family };
	socklen_t len;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ret;

	if (fd < 0)
		return -errno;
	/* room for floods of handshakes, as far as the system allows */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	if (family == AF_INET) {
		((struct sockaddr_in *)&at)->sin_port = htons(port);
		len = sizeof(struct sockaddr_in);
		ret = setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
		if (!ret)	/* RFC 6040 wants the outer ECN field */
			ret = setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on));
	} else {
		((struct sockaddr_in6 *)&at)->sin6_port = htons(port);
		len = sizeof(struct sockaddr_in6);
		ret = setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
		if (!ret)
			ret = setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof(on));
		if (!ret)
			ret = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	}
	if (!ret)
		ret = pmtu_news_listen(fd, family);
	if (!ret)
		ret = bind(fd, (struct sockaddr *)&at, len);
	if (ret) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

int socket_open(struct plane *p, char *err, size_t errlen)
{
	p->udp4 = open_one(AF_INET, p->config->listen_port);
	if (p->udp4 < 0) {
		snprintf(err, errlen, "ListenPort: UDP port %u cannot be bound: %s", p->config->listen_port,
			strerror(-p->udp4));
		return p->udp4;
	}
	p->udp6 = open_one(AF_INET6, p->config->listen_port);
	if (p->udp6 == -EAFNOSUPPORT) {
		log_info("this host has no IPv6");
		p->udp6 = -1;
	} else if (p->udp6 < 0) {
		snprintf(err, errlen, "ListenPort: UDP port %u cannot be bound for IPv6: %s",
			p->config->listen_port, strerror(-p->udp6));
		return p->udp6;
	}
	return 0;
}

/*
 * Reads which of our addresses a message was sent to: answers leave from there, as in other WireGuard
 * implementations (sticky source addresses).
 */
static void take_control(struct msghdr *msg, struct endpoint *from, uint8_t *ret_tos)
{
	int class;

	*ret_tos = 0;
	for (struct cmsghdr *cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
		if (cm->cmsg_level == IPPROTO_IP && cm->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(cm), sizeof(info));
			from->local.word[0] = info.ipi_addr.s_addr;
			from->ifindex = info.ipi_ifindex;
		} else if (cm->cmsg_level == IPPROTO_IPV6 && cm->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(cm), sizeof(info));
			memcpy(&from->local, &info.ipi6_addr, sizeof(from->local));
			from->ifindex = info.ipi6_ifindex;
		} else if (cm->cmsg_level == IPPROTO_IP && cm->cmsg_type == IP_TOS) {
			*ret_tos = *CMSG_DATA(cm);
		} else if (cm->cmsg_level == IPPROTO_IPV6 && cm->cmsg_type == IPV6_TCLASS) {
			memcpy(&class, CMSG_DATA(cm), sizeof(class));
			*ret_tos = class;
		}
	}
}

static void take_early(void *ctx, const struct endpoint *from, const uint8_t *bytes, size_t len)
{
	socket_handshake(ctx, from, bytes, len);
}

void socket_replay(struct plane *p)
{
	port_early_replay(&p->early, take_early, p);
}

void socket_handshake(struct plane *p, const struct endpoint *from, const uint8_t *bytes, size_t len)
{
	char where[ENDPOINT_TEXT_LEN];
	enum handshake_end end;

	if (!p->is_ready) {
		port_early_keep(&p->early, from, bytes, len);
		return;
	}
	plane_wake(p);
	end = device_message(p->device, clock_boot_ns(), from, bytes, len);
	if (log_get_level() >= LOG_LEVEL_DEBUG) {
		endpoint_format(from, where);
		log_debug("%s: %s", where, device_end_label(end));
	}
}

static bool is_broadcast(const struct plane *p, const struct endpoint *from)
{
	struct talon_lpm4 key = { .prefixlen = 32, .addr = from->remote.word[0] };
	struct talon_host_route route;

	return from->family == AF_INET && !bpf_map_lookup_elem(datapath_map_fd(p->dp, DATAPATH_MAP_HOST4),
		&key, &route) && route.kind == TALON_HOST_BROADCAST;
}

/*
 * As endpoint_is_martian() of bpf/lib/endpoint.h. A source on the loopback device is not a peer either:
 * the datapath cannot send there.
 */
static bool is_martian(const struct plane *p, const struct endpoint *from)
{
	uint32_t top = ntohl(from->remote.word[0]);
	uint8_t mark;

	if (!from->port)
		return true;
	if (from->family == AF_INET && (top >> 24 == 0 || top >> 24 == 127 || top >= 0xe0000000 ||
		from->remote.word[0] == p->map_config.snat_addr))
		return true;
	if (from->family == AF_INET6 &&
		(top >> 24 == 0xff || IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)&from->remote)))
		return true;
	return p->dp && (!bpf_map_lookup_elem(datapath_map_fd(p->dp, DATAPATH_MAP_LOCAL_ADDRS), &from->remote,
		&mark) || is_broadcast(p, from));
}

static void handle(struct plane *p, const struct endpoint *from, uint8_t tos, const uint8_t *bytes,
	size_t len)
{
	if (pair_is_endpoint(from))
		p->junk++;	/* only our own device pair uses such sources */
	else if (port_is_stun(bytes, len) && p->plane_events.stun)
		p->plane_events.stun(p->plane_ctx, from, bytes, len);
	else if (is_martian(p, from))
		p->junk++;
	else if (len >= WG_DATA_MIN_LEN && bytes[0] == WG_DATA)
		slow_data(p, from, tos, bytes, len);
	else if (len && bytes[0] >= WG_INITIATION && bytes[0] <= WG_COOKIE)
		socket_handshake(p, from, bytes, len);
	else if (!port_is_punch(bytes, len))
		p->junk++;
}

static void read_socket(struct plane *p, int fd)
{
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		uint8_t bytes[MESSAGE_MAX], control[256];
		struct sockaddr_storage addr;
		struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
		struct msghdr msg = {
			.msg_name = &addr,
			.msg_namelen = sizeof(addr),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		struct endpoint from;
		uint8_t tos;
		ssize_t len = recvmsg(fd, &msg, 0);

		if (len < 0)
			return;
		if (msg.msg_flags & MSG_TRUNC) {
			p->junk++;
			continue;
		}
		if (endpoint_from_sockaddr((struct sockaddr *)&addr, msg.msg_namelen, &from))
			continue;
		take_control(&msg, &from, &tos);
		handle(p, &from, tos, bytes, len);
	}
}

void socket_read4(void *ctx, uint32_t events)
{
	struct plane *p = ctx;

	if (events & EPOLLERR)
		pmtu_read(p, p->udp4);
	read_socket(p, p->udp4);
}

void socket_read6(void *ctx, uint32_t events)
{
	struct plane *p = ctx;

	if (events & EPOLLERR)
		pmtu_read(p, p->udp6);
	read_socket(p, p->udp6);
}

static void add_control(struct msghdr *msg, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *cm = (struct cmsghdr *)((uint8_t *)msg->msg_control + msg->msg_controllen);

	cm->cmsg_level = level;
	cm->cmsg_type = type;
	cm->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(cm), data, len);
	msg->msg_controllen += CMSG_SPACE(len);
}

/* An ICMP error about an earlier packet: sendmsg() reports it instead of sending. */
static bool is_old_news(int ret)
{
	return ret == -ECONNREFUSED || ret == -EHOSTUNREACH || ret == -ENETUNREACH || ret == -EMSGSIZE ||
		ret == -EACCES || ret == -ENOPROTOOPT || ret == -EPROTO || ret == -EOPNOTSUPP;
}

/*
 * How kernels report a source address that is no longer this host's; 6.18 says there is no route from
 * it.
 */
static bool is_gone(int ret)
{
	return ret == -EINVAL || ret == -ENETUNREACH || ret == -EADDRNOTAVAIL;
}

int socket_send(struct plane *p, const struct endpoint *to, const void *bytes, size_t len)
{
	const int tos = WG_HANDSHAKE_DSCP;
	uint8_t control[256] __attribute__((aligned(8))) = {};
	struct sockaddr_storage addr;
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr msg = { .msg_name = &addr, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control };
	bool six = to->family == AF_INET6, has_local = to->local.word[0] || to->local.word[3];
	int fd = six ? p->udp6 : p->udp4, ret = endpoint_to_sockaddr(to, &addr);

	if (ret < 0)
		return ret;
	if (fd < 0)
		return -EAFNOSUPPORT;
	msg.msg_namelen = ret;
	add_control(&msg, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_TCLASS : IP_TOS, &tos, sizeof(tos));
	if (has_local && six) {
		struct in6_pktinfo info = {};

		memcpy(&info.ipi6_addr, &to->local, sizeof(info.ipi6_addr));
		add_control(&msg, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	} else if (has_local) {
		struct in_pktinfo info = { .ipi_spec_dst.s_addr = to->local.word[0] };

		add_control(&msg, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
	ret = sendmsg(fd, &msg, 0) < 0 ? -errno : 0;
	if (is_old_news(ret)) {
		pmtu_read(p, fd);
		ret = sendmsg(fd, &msg, 0) < 0 ? -errno : 0;
	}
	/* let the route choose; endpoints follow once the address change was reported */
	if (is_gone(ret) && has_local) {
		struct endpoint any = *to;

		memset(&any.local, 0, sizeof(any.local));
		return socket_send(p, &any, bytes, len);
	}
	return ret;
}
