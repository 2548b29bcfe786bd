// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Packets and frames as bytes.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "base/text.h"
#include "crypto/aead.h"
#include "talon/csum.h"
#include "talon/icmp_wire.h"
#include "trace/internal.h"

#define IP_DF_BIT 0x4000

static uint32_t add_words(uint32_t sum, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint16_t word;

	for (size_t i = 0; i < len; i += 2) {
		word = 0;
		memcpy(&word, at + i, len - i < 2 ? 1 : 2);
		sum += word;
	}
	return sum;
}

static uint16_t sum_of(const void *bytes, size_t len)
{
	return csum_finish(add_words(0, bytes, len));
}

/* With the pseudo header of either family. */
static uint16_t transport_sum(const void *addrs, size_t addrs_len, uint8_t proto, const void *bytes,
	size_t len)
{
	uint32_t sum = add_words(htons(proto) + htons(len), addrs, addrs_len);
	uint16_t check = csum_finish(add_words(sum, bytes, len));

	return proto == IPPROTO_UDP && !check ? 0xffff : check;
}

static size_t header_len(uint8_t proto)
{
	return proto == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr);
}

static size_t ip_len(uint16_t family)
{
	return family == AF_INET6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
}

uint32_t flight_least(uint16_t family, uint8_t proto)
{
	return ip_len(family) + header_len(proto);
}

static const char *proto_name(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	default:
		return proto == IPPROTO_ICMPV6 ? "icmpv6" : "icmp";
	}
}

void flight_format(const struct flight *flight, char *text, size_t size)
{
	char src[ADDR_END_LEN], dst[ADDR_END_LEN];

	if (proto_is_icmp(flight->proto))
		snprintf(text, size, "%s %s -> %s, echo %s %u, %u bytes", proto_name(flight->proto),
			addr_text(flight->src, src), addr_text(flight->dst, dst),
			flight->is_reply ? "reply" : "request", flight->sport, flight->size);
	else
		snprintf(text, size, "%s %s -> %s, %u bytes", proto_name(flight->proto),
			addr_end_text(flight->src, flight->sport, src),
			addr_end_text(flight->dst, flight->dport, dst), flight->size);
}

static void put_tcp(const struct flight *flight, uint8_t *at)
{
	struct tcphdr tcp = { .source = htons(flight->sport), .dest = htons(flight->dport), .doff = 5,
		.seq = htonl(1), .window = htons(65535) };

	memcpy(at, &tcp, sizeof(tcp));
	at[13] = flight->tcp_flags;
}

static void put_udp(const struct flight *flight, uint8_t *at, size_t len)
{
	const struct udphdr udp = { .source = htons(flight->sport), .dest = htons(flight->dport),
		.len = htons(len) };

	memcpy(at, &udp, sizeof(udp));
}

static void put_echo(const struct flight *flight, uint8_t *at)
{
	const uint16_t id = htons(flight->sport);

	if (flight->proto == IPPROTO_ICMPV6)
		at[0] = flight->is_reply ? ICMP6_ECHOREPLY : ICMP6_ECHO;
	else
		at[0] = flight->is_reply ? ICMP_ECHOREPLY : ICMP_ECHO;
	memcpy(at + 4, &id, sizeof(id));
}

/* Returns where its checksum is. */
static size_t put_transport(const struct flight *flight, uint8_t *at, size_t len)
{
	switch (flight->proto) {
	case IPPROTO_TCP:
		put_tcp(flight, at);
		return offsetof(struct tcphdr, check);
	case IPPROTO_UDP:
		put_udp(flight, at, len);
		return offsetof(struct udphdr, check);
	default:
		put_echo(flight, at);
		return offsetof(struct icmphdr, checksum);
	}
}

static void put_ip4(const struct flight *flight, uint8_t *at)
{
	struct iphdr ip = {
		.version = 4, .ihl = 5, .tot_len = htons(flight->size), .frag_off = htons(IP_DF_BIT),
		.ttl = 64, .protocol = flight->proto, .saddr = flight->src.addr.word[0],
		.daddr = flight->dst.addr.word[0],
	};

	ip.check = sum_of(&ip, sizeof(ip));
	memcpy(at, &ip, sizeof(ip));
}

static void put_ip6(const struct flight *flight, uint8_t *at)
{
	struct ipv6hdr ip = { .version = 6, .payload_len = htons(flight->size - sizeof(ip)),
		.nexthdr = flight->proto, .hop_limit = 64 };

	memcpy(&ip.saddr, &flight->src.addr, sizeof(ip.saddr));
	memcpy(&ip.daddr, &flight->dst.addr, sizeof(ip.daddr));
	memcpy(at, &ip, sizeof(ip));
}

void frame_packet(const struct flight *flight, struct frame *ret_packet)
{
	bool is_six = addr_is_six(flight->src);
	size_t header = ip_len(flight->src.family), len = flight->size - header, at;
	uint8_t *l4 = ret_packet->bytes + header;
	uint16_t check;

	memset(ret_packet, 0, sizeof(*ret_packet));
	ret_packet->len = flight->size;
	if (is_six)
		put_ip6(flight, ret_packet->bytes);
	else
		put_ip4(flight, ret_packet->bytes);
	at = put_transport(flight, l4, len);
	if (flight->proto == IPPROTO_ICMP)	/* the only one without a pseudo header */
		check = sum_of(l4, len);
	else if (is_six)
		check = transport_sum(ret_packet->bytes + offsetof(struct ipv6hdr, saddr), 32, flight->proto,
			l4, len);
	else
		check = transport_sum(ret_packet->bytes + offsetof(struct iphdr, saddr), 8, flight->proto,
			l4, len);
	memcpy(l4 + at, &check, sizeof(check));
}

void frame_ethernet(const uint8_t dst[6], const uint8_t src[6], uint16_t type, const struct frame *packet,
	struct frame *ret_frame)
{
	struct ethhdr eth = { .h_proto = htons(type) };

	memcpy(eth.h_dest, dst, ETH_ALEN);
	memcpy(eth.h_source, src, ETH_ALEN);
	memcpy(ret_frame->bytes, &eth, sizeof(eth));
	memcpy(ret_frame->bytes + sizeof(eth), packet->bytes, packet->len);
	ret_frame->len = sizeof(eth) + packet->len;
}

static size_t put_outer_ip(const struct outer *outer, uint8_t *at, size_t udp_len)
{
	struct ipv6hdr ip6 = { .version = 6, .payload_len = htons(udp_len), .nexthdr = IPPROTO_UDP,
		.hop_limit = 64 };
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP,
		.tot_len = htons(sizeof(ip) + udp_len), .saddr = outer->src.word[0],
		.daddr = outer->dst.word[0] };

	if (outer->family == AF_INET6) {
		memcpy(&ip6.saddr, &outer->src, sizeof(ip6.saddr));
		memcpy(&ip6.daddr, &outer->dst, sizeof(ip6.daddr));
		memcpy(at, &ip6, sizeof(ip6));
		return sizeof(ip6);
	}
	ip.check = sum_of(&ip, sizeof(ip));
	memcpy(at, &ip, sizeof(ip));
	return sizeof(ip);
}

void frame_seal(struct party *from, const struct outer *outer, const struct frame *packet,
	struct frame *ret_packet)
{
	size_t padded = (packet->len + WG_PADDING - 1) / WG_PADDING * WG_PADDING;
	size_t udp_len = sizeof(struct udphdr) + WG_DATA_MIN_LEN + padded, at;
	struct wg_data wg = { .type = WG_DATA, .receiver_index = from->index, .counter = from->counter };
	struct udphdr udp = { .source = outer->sport, .dest = outer->dport, .len = htons(udp_len) };

	memset(ret_packet, 0, sizeof(*ret_packet));
	at = put_outer_ip(outer, ret_packet->bytes, udp_len);
	memcpy(ret_packet->bytes + at, &udp, sizeof(udp));
	memcpy(ret_packet->bytes + at + sizeof(udp), &wg, sizeof(wg));
	/* frame_packet() left zeros behind the packet, which are the padding */
	aead_seal(&from->recv, from->counter++, packet->bytes, padded, NULL, 0,
		ret_packet->bytes + at + sizeof(udp) + sizeof(wg));
	if (outer->family == AF_INET6) {
		udp.check = transport_sum(ret_packet->bytes + offsetof(struct ipv6hdr, saddr), 32,
			IPPROTO_UDP, ret_packet->bytes + at, udp_len);
		memcpy(ret_packet->bytes + at, &udp, sizeof(udp));
	}
	ret_packet->len = at + udp_len;
}

int frame_open(const struct party *to, const struct frame *frame, struct frame *ret_packet)
{
	bool is_six = frame->len > ETH_HLEN && frame->bytes[ETH_HLEN] >> 4 == 6;
	size_t at = ETH_HLEN + (is_six ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)), len;
	struct udphdr udp;
	struct wg_data wg;

	if (frame->len < at + sizeof(udp) + WG_DATA_MIN_LEN)
		return -EBADMSG;
	memcpy(&udp, frame->bytes + at, sizeof(udp));
	memcpy(&wg, frame->bytes + at + sizeof(udp), sizeof(wg));
	len = ntohs(udp.len);
	if (wg.type != WG_DATA || len < sizeof(udp) + WG_DATA_MIN_LEN || at + len > frame->len)
		return -EBADMSG;
	len -= sizeof(udp) + sizeof(wg);
	memset(ret_packet, 0, sizeof(*ret_packet));
	ret_packet->len = len - AEAD_TAG_LEN;
	return aead_open(&to->send, wg.counter, frame->bytes + at + sizeof(udp) + sizeof(wg), len, NULL, 0,
		ret_packet->bytes);
}
