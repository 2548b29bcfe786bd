// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Injects frames into the tunnel device and onto the wire.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sodium.h>

#include "base/close_aside.h"
#include "net/net.h"
#include "talon/event_types.h"
#include "packets/inject.h"

#define KEEPALIVE_ETHERTYPE	0x88B5	/* TALON_ETHERTYPE_KEEPALIVE of bpf/lib/packet.h */
#define FRAME_MIN		60

int inject_open(struct inject *inject, const struct datapath *dp)
{
	inject->dp = dp;
	/* Protocol 0: it receives nothing. */
	inject->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return inject->fd < 0 ? -errno : 0;
}

void inject_close(struct inject *inject)
{
	close_aside(inject->fd);
	inject->fd = -1;
}

static int send_frame(const struct inject *inject, int ifindex, const uint8_t *dmac, const uint8_t *smac,
	uint16_t ethertype, const void *bytes, size_t len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = ifindex, .sll_halen = ETH_ALEN };
	uint8_t frame[ETH_HLEN + TALON_EVENT_DATA_MAX] = {};
	size_t total = ETH_HLEN + len;
	int ret = 0;

	if (len > TALON_EVENT_DATA_MAX)
		return -EMSGSIZE;
	memcpy(frame, dmac, ETH_ALEN);
	memcpy(frame + ETH_ALEN, smac, ETH_ALEN);
	frame[12] = ethertype >> 8;
	frame[13] = ethertype;
	memcpy(frame + ETH_HLEN, bytes, len);
	if (total < FRAME_MIN)
		total = FRAME_MIN;
	memcpy(to.sll_addr, dmac, ETH_ALEN);
	to.sll_protocol = htons(ethertype);
	if (sendto(inject->fd, frame, total, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		ret = -errno;
	sodium_memzero(frame, sizeof(frame));
	return ret;
}

int inject_tunnel(const struct inject *inject, uint16_t ethertype, const void *bytes, size_t len)
{
	const struct datapath_tunnel_info *tunnel = datapath_get_tunnel(inject->dp);

	return send_frame(inject, tunnel->ifindex, tunnel->far_mac, tunnel->mac, ethertype, bytes, len);
}

static uint16_t ethertype_of(const uint8_t *packet, size_t len)
{
	return len && packet[0] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP;
}

int inject_packet(const struct inject *inject, const uint8_t *packet, size_t len)
{
	return inject_tunnel(inject, ethertype_of(packet, len), packet, len);
}

int inject_keepalive(const struct inject *inject, uint32_t peer)
{
	return inject_tunnel(inject, KEEPALIVE_ETHERTYPE, &peer, sizeof(peer));
}

int inject_wire(const struct inject *inject, int ifindex, const uint8_t dmac[static 6], const uint8_t *packet,
	size_t len)
{
	struct net_link link;
	int ret = net_link_get_index(ifindex, &link);

	if (ret)
		return ret;
	return send_frame(inject, ifindex, dmac, link.mac, ethertype_of(packet, len), packet, len);
}
