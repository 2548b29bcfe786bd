// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Messages that the kernel delivered to our socket, as the frames they were on the wire.
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <string.h>

#include "packets/outer.h"
#include "talon/csum.h"

static uint16_t header_checksum(const struct iphdr *ip)
{
	uint16_t words[sizeof(*ip) / 2];
	uint32_t sum = 0;

	memcpy(words, ip, sizeof(*ip));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		sum += words[i];
	return csum_finish(sum);
}

static void put_header4(uint8_t *to, const struct endpoint *from, uint8_t tos, size_t udp_len)
{
	struct iphdr ip = {
		.version = 4, .ihl = 5, .tos = tos, .ttl = 64, .protocol = IPPROTO_UDP,
		.tot_len = htons(sizeof(ip) + udp_len),
		.saddr = from->remote.word[0], .daddr = from->local.word[0],
	};

	ip.check = header_checksum(&ip);
	memcpy(to, &ip, sizeof(ip));
}

static void put_header6(uint8_t *to, const struct endpoint *from, uint8_t tos, size_t udp_len)
{
	struct ip6_hdr ip = { .ip6_flow = htonl(6U << 28 | (uint32_t)tos << 20), .ip6_plen = htons(udp_len),
		.ip6_nxt = IPPROTO_UDP, .ip6_hlim = 64 };

	memcpy(&ip.ip6_src, &from->remote, sizeof(ip.ip6_src));
	memcpy(&ip.ip6_dst, &from->local, sizeof(ip.ip6_dst));
	memcpy(to, &ip, sizeof(ip));
}

/* Without a UDP checksum: the kernel has verified it, and nothing checks it on our own device pair. */
bool outer_inject(struct relay_pair *pair, const struct endpoint *from, uint8_t tos, const uint8_t *bytes,
	size_t len)
{
	const bool six = from->family == AF_INET6;
	const size_t ip_len = six ? sizeof(struct ip6_hdr) : sizeof(struct iphdr),
		udp_len = sizeof(struct udphdr) + len;
	const struct udphdr udp = { .source = from->port, .dest = pair->port,
		.len = htons(udp_len) };
	uint8_t *frame = pair_get_frame(pair, six ? ETH_P_IPV6 : ETH_P_IP, ETH_HLEN + ip_len + udp_len);

	if (!frame)
		return false;
	if (six)
		put_header6(frame + ETH_HLEN, from, tos, udp_len);
	else
		put_header4(frame + ETH_HLEN, from, tos, udp_len);
	memcpy(frame + ETH_HLEN + ip_len, &udp, sizeof(udp));
	memcpy(frame + ETH_HLEN + ip_len + sizeof(udp), bytes, len);
	pair_put_frame(pair, ETH_HLEN + ip_len + udp_len);
	return true;
}
