// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Packets inside the tunnel, built and checked.
#include "bench/load/packet.h"

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <string.h>

#define TTL 64

/* SplitMix64: cheap, and each word differs from its neighbours. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

void packet_payload(uint8_t *payload, size_t len, uint64_t run, uint64_t number)
{
	uint64_t word, seed = mix(run ^ mix(number));

	memcpy(payload, &number, sizeof(number));
	memcpy(payload + 8, &run, sizeof(run));
	for (size_t at = 16; at < len; at += sizeof(word)) {
		word = mix(seed + at);
		memcpy(payload + at, &word, len - at < sizeof(word) ? len - at : sizeof(word));
	}
}

uint64_t packet_number(const uint8_t *payload)
{
	uint64_t number;

	memcpy(&number, payload, sizeof(number));
	return number;
}

/* RFC 1071, of bytes in network order, not folded. */
static uint64_t sum_bytes(const uint8_t *bytes, size_t len)
{
	uint64_t sum = 0;
	uint16_t half;

	for (; len > 1; bytes += 2, len -= 2) {
		memcpy(&half, bytes, sizeof(half));
		sum += half;
	}
	return len ? sum + *bytes : sum;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static uint64_t pseudo_header(const struct iphdr *ip, uint16_t udp_len)
{
	return sum_bytes((const uint8_t *)&ip->saddr, 8) + htons(IPPROTO_UDP) + htons(udp_len);
}

void packet_wrap(uint8_t *packet, size_t payload_len, const struct packet_ends *ends)
{
	uint16_t udp_len = sizeof(struct udphdr) + payload_len;
	struct iphdr ip = {
		.version = 4, .ihl = 5, .tot_len = htons(sizeof(ip) + udp_len), .frag_off = htons(IP_DF),
		.ttl = TTL,
		.protocol = IPPROTO_UDP, .saddr = ends->src, .daddr = ends->dst,
	};
	struct udphdr udp = { .source = htons(ends->sport), .dest = htons(ends->dport),
		.len = htons(udp_len) };

	ip.check = ~fold(sum_bytes((uint8_t *)&ip, sizeof(ip)));
	memcpy(packet, &ip, sizeof(ip));
	memcpy(packet + sizeof(ip), &udp, sizeof(udp));
	udp.check = ~fold(sum_bytes(packet + sizeof(ip), udp_len) + pseudo_header(&ip, udp_len));
	if (!udp.check)
		udp.check = 0xffff;
	memcpy(packet + sizeof(ip), &udp, sizeof(udp));
}

void packet_build(uint8_t *packet, size_t len, const struct packet_ends *ends, uint64_t run, uint64_t number)
{
	packet_payload(packet + PACKET_HEADERS, len - PACKET_HEADERS, run, number);
	packet_wrap(packet, len - PACKET_HEADERS, ends);
}

static bool udp_sum_is_good(const struct iphdr *ip, const uint8_t *udp, uint16_t udp_len, bool unfinished_sum)
{
	uint16_t check;

	memcpy(&check, udp + offsetof(struct udphdr, check), sizeof(check));
	if (unfinished_sum && check == fold(pseudo_header(ip, udp_len)))
		return true;
	return check && fold(sum_bytes(udp, udp_len) + pseudo_header(ip, udp_len)) == 0xffff;
}

static bool payload_is_right(const uint8_t *payload, size_t len, uint64_t run)
{
	uint8_t expected[2048];

	if (len > sizeof(expected))
		return false;
	packet_payload(expected, len, run, packet_number(payload));
	return !memcmp(payload, expected, len);
}

const char *packet_check(const uint8_t *packet, size_t len, uint64_t run, bool unfinished_sum,
	struct packet_ends *ret_ends, uint64_t *ret_number)
{
	struct iphdr ip;
	struct udphdr udp;

	if (len < PACKET_MIN)
		return "too short";
	memcpy(&ip, packet, sizeof(ip));
	memcpy(&udp, packet + sizeof(ip), sizeof(udp));
	if (ip.version != 4 || ip.ihl != 5 || ntohs(ip.tot_len) != len || ip.protocol != IPPROTO_UDP)
		return "IPv4 header";
	if (fold(sum_bytes(packet, sizeof(ip))) != 0xffff)
		return "IPv4 checksum";
	if (ip.ttl != TTL && ip.ttl != TTL - 1)
		return "TTL";
	if (ntohs(udp.len) != len - sizeof(ip))
		return "UDP length";
	if (!udp_sum_is_good(&ip, packet + sizeof(ip), len - sizeof(ip), unfinished_sum))
		return "UDP checksum";
	if (!payload_is_right(packet + PACKET_HEADERS, len - PACKET_HEADERS, run))
		return "payload";
	*ret_ends = (struct packet_ends){ ip.saddr, ip.daddr, ntohs(udp.source), ntohs(udp.dest) };
	*ret_number = packet_number(packet + PACKET_HEADERS);
	return NULL;
}
