// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Packets for tests: builders that write every byte, with checksums computed from scratch.
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "bpf/pkt.h"

enum { P_HOP = 0, P_ICMP = 1, P_TCP = 6, P_UDP = 17, P_FRAGMENT = 44, P_ICMP6 = 58, P_DST = 60 };

void pkt_put16(uint8_t *to, uint32_t value)
{
	to[0] = value >> 8;
	to[1] = value;
}

static void put32(uint8_t *to, uint32_t value)
{
	pkt_put16(to, value >> 16);
	pkt_put16(to + 2, value);
}

static uint32_t get16(const uint8_t *from)
{
	return (uint32_t)from[0] << 8 | from[1];
}

uint32_t ip4(const char *text)
{
	struct in_addr a;

	if (inet_pton(AF_INET, text, &a) != 1)
		abort();
	return a.s_addr;
}

uint32_t pkt_sum(uint32_t sum, const uint8_t *bytes, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
		if (sum > 0xffff)
			sum -= 0xffff;
	}
	return sum;
}

static uint32_t pseudo_sum(const uint8_t *ip, uint32_t proto, uint32_t len)
{
	uint8_t tail[4] = { 0, proto, len >> 8, len };

	return pkt_sum(pkt_sum(0, ip + 12, 8), tail, 4);
}

static void write_ip(uint8_t *ip, const struct pkt_spec *spec, uint32_t header, uint32_t len)
{
	memset(ip, 0, 20);
	ip[0] = 0x40 | header / 4;
	ip[1] = spec->tos;
	pkt_put16(ip + 2, len);
	pkt_put16(ip + 4, spec->id);
	pkt_put16(ip + 6, spec->frag);
	ip[8] = spec->ttl ? spec->ttl : 64;
	ip[9] = spec->proto;
	memcpy(ip + 12, &spec->src, 4);
	memcpy(ip + 16, &spec->dst, 4);
	memset(ip + 20, 1, header - 20);
	pkt_put16(ip + 10, ~pkt_sum(0, ip, header));
}

static uint32_t write_l4(uint8_t *l4, const struct pkt_spec *spec)
{
	switch (spec->proto) {
	case P_TCP:
		pkt_put16(l4, spec->sport);
		pkt_put16(l4 + 2, spec->dport);
		put32(l4 + 4, 0x01020304);
		put32(l4 + 8, spec->tcp_flags & TCP_ACK ? 0x05060708 : 0);
		l4[12] = (20 + spec->tcp_options_len) / 4 << 4;
		l4[13] = spec->tcp_flags;
		pkt_put16(l4 + 14, 0x7fff);
		put32(l4 + 16, 0);
		if (spec->tcp_options_len)
			memcpy(l4 + 20, spec->tcp_options, spec->tcp_options_len);
		return 20 + spec->tcp_options_len;
	case P_UDP:
		pkt_put16(l4, spec->sport);
		pkt_put16(l4 + 2, spec->dport);
		pkt_put16(l4 + 4, 8 + spec->payload);
		pkt_put16(l4 + 6, 0);
		return 8;
	case P_ICMP:
		l4[0] = spec->icmp_type;
		l4[1] = spec->icmp_code;
		pkt_put16(l4 + 2, 0);
		pkt_put16(l4 + 4, spec->icmp_id);
		pkt_put16(l4 + 6, spec->icmp_seq);
		return 8;
	}
	return 0;
}

static void finish_l4(const uint8_t *ip, uint8_t *l4, uint32_t len, bool no_checksum)
{
	uint32_t sum;

	switch (ip[9]) {
	case P_TCP:
		pkt_put16(l4 + 16, ~pkt_sum(pseudo_sum(ip, P_TCP, len), l4, len));
		break;
	case P_UDP:
		sum = ~pkt_sum(pseudo_sum(ip, P_UDP, len), l4, len) & 0xffff;
		pkt_put16(l4 + 6, no_checksum ? 0 : sum ? sum : 0xffff);
		break;
	case P_ICMP:
		pkt_put16(l4 + 2, ~pkt_sum(0, l4, len));
		break;
	}
}

void pkt_fix_header(struct packet *p)
{
	pkt_put16(p->bytes + 10, 0);
	pkt_put16(p->bytes + 10, ~pkt_sum(0, p->bytes, 20));
}

void pkt_fix_transport(struct packet *p)
{
	static const uint8_t where[] = { [P_ICMP] = 2, [P_TCP] = 16, [P_UDP] = 6 };

	pkt_put16(p->bytes + 20 + where[p->bytes[9]], 0);
	finish_l4(p->bytes, p->bytes + 20, p->len - 20, false);
}

struct packet pkt_ip4(const struct pkt_spec *spec)
{
	uint32_t header = 20 + spec->ip_options, l4_len;
	struct packet p = {};
	uint8_t *l4 = p.bytes + header;

	l4_len = write_l4(l4, spec);
	for (uint32_t i = 0; i < spec->payload; i++)
		l4[l4_len + i] = spec->seed + i * 7 + i / 256;
	l4_len += spec->payload;
	p.len = header + l4_len;
	write_ip(p.bytes, spec, header, p.len);
	finish_l4(p.bytes, l4, l4_len, spec->no_checksum);
	return p;
}

struct packet pkt_icmp_error(uint32_t src, uint32_t dst, uint8_t type, uint8_t code, uint32_t rest,
	const struct packet *about, uint32_t embed)
{
	struct pkt_spec spec = { .src = src, .dst = dst, .proto = P_ICMP, .ttl = 64, .icmp_type = type,
		.icmp_code = code, .icmp_id = rest >> 16, .icmp_seq = rest };
	struct packet p = {};

	p.len = 28 + embed;
	write_ip(p.bytes, &spec, 20, p.len);
	write_l4(p.bytes + 20, &spec);
	memcpy(p.bytes + 28, about->bytes, embed);
	finish_l4(p.bytes, p.bytes + 20, 8 + embed, false);
	return p;
}

struct packet pkt_fragment(const struct packet *whole, uint32_t off, uint32_t len)
{
	bool more = 20 + off + len < whole->len;
	struct packet p = {};

	memcpy(p.bytes, whole->bytes, 20);
	memcpy(p.bytes + 20, whole->bytes + 20 + off, len);
	p.len = 20 + len;
	pkt_put16(p.bytes + 2, p.len);
	pkt_put16(p.bytes + 6, (more ? PKT_MF : 0) | off / 8);
	pkt_fix_header(&p);
	return p;
}

struct packet pkt_ether(const uint8_t dmac[6], const uint8_t smac[6], uint16_t type,
	const struct packet *inside)
{
	struct packet p = {};

	memcpy(p.bytes, dmac, 6);
	memcpy(p.bytes + 6, smac, 6);
	pkt_put16(p.bytes + 12, type);
	memcpy(p.bytes + 14, inside->bytes, inside->len);
	p.len = 14 + inside->len;
	return p;
}

struct packet pkt_udp4(uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport, uint8_t tos,
	const struct packet *payload)
{
	struct packet p = PKT(.src = src, .dst = dst, .proto = P_UDP, .sport = sport, .dport = dport,
		.tos = tos, .payload = payload->len);

	memcpy(p.bytes + 28, payload->bytes, payload->len);
	pkt_fix_transport(&p);
	return p;
}

static uint32_t sum6(const uint8_t *head, uint32_t len)
{
	uint8_t tail[8] = { 0, 0, len >> 8, len, 0, 0, 0, P_UDP };

	return pkt_sum(pkt_sum(pkt_sum(0, head + 8, 32), tail, 8), head + 40, len);
}

struct packet pkt_udp6(const uint8_t src[16], const uint8_t dst[16], uint16_t sport, uint16_t dport,
	uint8_t tos, const struct packet *payload)
{
	uint32_t udp_len = 8 + payload->len, sum;
	struct packet p = { .len = 40 + udp_len };
	uint8_t *udp = p.bytes + 40;

	put32(p.bytes, 6u << 28 | (uint32_t)tos << 20);
	pkt_put16(p.bytes + 4, udp_len);
	p.bytes[6] = P_UDP;
	p.bytes[7] = 64;
	memcpy(p.bytes + 8, src, 16);
	memcpy(p.bytes + 24, dst, 16);
	pkt_put16(udp, sport);
	pkt_put16(udp + 2, dport);
	pkt_put16(udp + 4, udp_len);
	memcpy(udp + 8, payload->bytes, payload->len);
	sum = ~sum6(p.bytes, udp_len) & 0xffff;
	pkt_put16(udp + 6, sum ? sum : 0xffff);
	return p;
}

struct packet pkt_wg_raw(const uint8_t key[32], uint32_t index, uint64_t counter, const void *plain,
	uint32_t len)
{
	uint8_t nonce[12] = {};
	struct packet p = {};

	p.bytes[0] = 4;
	memcpy(p.bytes + 4, &index, 4);
	memcpy(p.bytes + 8, &counter, 8);
	memcpy(nonce + 4, &counter, 8);
	crypto_aead_chacha20poly1305_ietf_encrypt(p.bytes + 16, NULL, plain, len, NULL, 0, NULL, nonce, key);
	p.len = 32 + len;
	return p;
}

struct packet pkt_wg(const uint8_t key[32], uint32_t index, uint64_t counter, const struct packet *inner)
{
	uint8_t plain[PKT_MAX] = {};

	if (!inner)
		return pkt_wg_raw(key, index, counter, plain, 0);
	memcpy(plain, inner->bytes, inner->len);
	return pkt_wg_raw(key, index, counter, plain, (inner->len + 15) / 16 * 16);
}

bool pkt_wg_open(const uint8_t key[32], const uint8_t *message, uint32_t len, struct packet *ret_plain,
	uint32_t *ret_index, uint64_t *ret_counter)
{
	uint8_t nonce[12] = {}, plain[PKT_MAX];
	unsigned long long plain_len;

	if (len < 32 || message[0] != 4 || message[1] || message[2] || message[3])
		return false;
	memcpy(nonce + 4, message + 8, 8);
	if (crypto_aead_chacha20poly1305_ietf_decrypt(plain, &plain_len, NULL, message + 16, len - 16, NULL,
		0, nonce, key))
		return false;
	memcpy(ret_plain->bytes, plain, plain_len);
	ret_plain->len = plain_len;
	memcpy(ret_index, message + 4, 4);
	memcpy(ret_counter, message + 8, 8);
	return true;
}

/* Length of the transport header and what follows it, as far as present. */
static const char *check_l4(const uint8_t *ip, const uint8_t *l4, uint32_t len)
{
	switch (ip[9]) {
	case P_TCP:
		return pkt_sum(pseudo_sum(ip, P_TCP, len), l4, len) == 0xffff ? NULL : "TCP checksum";
	case P_UDP:
		if (!get16(l4 + 6))
			return NULL;
		return pkt_sum(pseudo_sum(ip, P_UDP, len), l4, len) == 0xffff ? NULL : "UDP checksum";
	case P_ICMP:
		return pkt_sum(0, l4, len) == 0xffff ? NULL : "ICMP checksum";
	}
	return NULL;
}

static const char *check_embedded(const uint8_t *ip, uint32_t len)
{
	uint32_t header = len < 20 ? 0 : (ip[0] & 15) * 4u, total;

	if (header < 20 || len < header)
		return "embedded header is not there";
	if (pkt_sum(0, ip, header) != 0xffff)
		return "embedded IPv4 header checksum";
	total = get16(ip + 2);
	if (total > len || (get16(ip + 6) & 0x3fff))
		return NULL;
	return check_l4(ip, ip + header, total - header) ? "embedded transport checksum" : NULL;
}

const char *pkt_check(const uint8_t *ip, uint32_t len)
{
	uint32_t header = len < 20 ? 0 : (ip[0] & 15) * 4u;
	const char *wrong;

	if (ip[0] >> 4 != 4 || header < 20 || get16(ip + 2) != len || len < header)
		return "no IPv4 packet of this length";
	if (pkt_sum(0, ip, header) != 0xffff)
		return "IPv4 header checksum";
	if (get16(ip + 6) & 0x3fff)
		return NULL;
	wrong = check_l4(ip, ip + header, len - header);
	if (wrong || ip[9] != P_ICMP)
		return wrong;
	if (ip[header] == 3 || ip[header] == 11 || ip[header] == 12)
		return check_embedded(ip + header + 8, len - header - 8);
	return NULL;
}

const char *pkt_check6(const uint8_t *head, uint32_t len)
{
	uint32_t udp_len = get16(head + 4);

	if (head[0] >> 4 != 6 || head[6] != P_UDP || 40 + udp_len != len || get16(head + 44) != udp_len)
		return "no UDP over IPv6 of this length";
	if (!get16(head + 46))
		return "no UDP checksum over IPv6";
	return sum6(head, udp_len) == 0xffff ? NULL : "UDP checksum over IPv6";
}

struct addr6 ip6(const char *text)
{
	struct addr6 a;

	if (inet_pton(AF_INET6, text, &a) != 1)
		abort();
	return a;
}

static uint32_t put_options(uint8_t *to, uint32_t len, uint8_t next)
{
	if (!len)
		return 0;
	memset(to, 0, len);
	to[0] = next;
	to[1] = len / 8 - 1;
	to[2] = 1;		/* PadN over the rest */
	to[3] = len - 4;
	return len;
}

/* The transport's header as for IPv4, under its own protocol number. */
static uint32_t write_l4_six(uint8_t *l4, const struct pkt6_spec *spec)
{
	const struct pkt_spec four = { .sport = spec->sport, .dport = spec->dport,
		.proto = spec->proto == P_ICMP6 ? P_ICMP : spec->proto == P_ICMP ? 0 : spec->proto,
		.tcp_flags = spec->tcp_flags, .tcp_options = spec->tcp_options,
		.tcp_options_len = spec->tcp_options_len, .icmp_type = spec->icmp_type,
		.icmp_code = spec->icmp_code, .icmp_id = spec->icmp_id, .icmp_seq = spec->icmp_seq,
		.payload = spec->payload };

	return write_l4(l4, &four);
}

struct walk6 {
	uint8_t proto;
	uint32_t off;		/* of the transport, from the IPv6 header */
	bool is_fragment, is_broken;
};

static struct walk6 walk6(const uint8_t *head, uint32_t len)
{
	struct walk6 w = { .proto = head[6], .off = 40 };

	for (;;) {
		bool is_option = w.proto == P_HOP || w.proto == P_DST;

		if (!is_option && w.proto != P_FRAGMENT)
			return w;
		w.is_broken = w.off + 8 > len;
		if (w.is_broken)
			return w;
		if (w.proto == P_FRAGMENT && (get16(head + w.off + 2) & 0xfff9))
			w.is_fragment = true;
		w.proto = head[w.off];
		w.off += is_option ? 8 + head[w.off + 1] * 8u : 8;
		w.is_broken = w.off > len;
		if (w.is_broken || w.is_fragment)
			return w;
	}
}

static int check_place6(uint8_t proto)
{
	return proto == P_TCP ? 16 : proto == P_UDP ? 6 : proto == P_ICMP6 ? 2 : -1;
}

static uint32_t sum_six(const uint8_t *head, const struct walk6 *w, uint32_t len)
{
	uint8_t tail[8] = { 0, 0, len >> 8, len, 0, 0, 0, w->proto };

	return pkt_sum(pkt_sum(pkt_sum(0, head + 8, 32), tail, 8), head + w->off, len);
}

void pkt_fix_six(struct packet *p)
{
	struct walk6 w = walk6(p->bytes, p->len);
	int place = check_place6(w.proto);
	uint32_t sum;

	if (w.is_fragment || w.is_broken || place < 0 || w.off + place + 2 > p->len)
		return;
	pkt_put16(p->bytes + w.off + place, 0);
	sum = ~sum_six(p->bytes, &w, p->len - w.off) & 0xffff;
	pkt_put16(p->bytes + w.off + place, sum || w.proto != P_UDP ? sum : 0xffff);
}

struct packet pkt_ip6(const struct pkt6_spec *spec)
{
	uint32_t options = spec->hop_options + spec->dst_options, l4_len;
	struct packet p = {};
	uint8_t *l4 = p.bytes + 40 + options;

	put32(p.bytes, 6u << 28 | (uint32_t)spec->tclass << 20 | spec->label);
	p.bytes[6] = spec->hop_options ? P_HOP : spec->dst_options ? P_DST : spec->proto;
	p.bytes[7] = spec->hops ? spec->hops : 64;
	memcpy(p.bytes + 8, &spec->src, 16);
	memcpy(p.bytes + 24, &spec->dst, 16);
	put_options(p.bytes + 40, spec->hop_options, spec->dst_options ? P_DST : spec->proto);
	put_options(p.bytes + 40 + spec->hop_options, spec->dst_options, spec->proto);
	l4_len = write_l4_six(l4, spec);
	for (uint32_t i = 0; i < spec->payload; i++)
		l4[l4_len + i] = spec->seed + i * 7 + i / 256;
	p.len = 40 + options + l4_len + spec->payload;
	pkt_put16(p.bytes + 4, p.len - 40);
	pkt_fix_six(&p);
	return p;
}

struct packet pkt_icmp6_error(struct addr6 src, struct addr6 dst, uint8_t type, uint8_t code, uint32_t rest,
	const struct packet *about, uint32_t embed)
{
	struct packet p = PKT6(.src = src, .dst = dst, .proto = P_ICMP6, .icmp_type = type, .icmp_code = code,
		.icmp_id = rest >> 16, .icmp_seq = rest, .payload = embed);

	memcpy(p.bytes + 48, about->bytes, embed);
	pkt_fix_six(&p);
	return p;
}

struct packet pkt_fragment6(const struct packet *whole, uint32_t off, uint32_t len, uint32_t id)
{
	bool more = 40 + off + len < whole->len;
	struct packet p = { .len = 48 + len };

	memcpy(p.bytes, whole->bytes, 40);
	pkt_put16(p.bytes + 4, 8 + len);
	p.bytes[6] = P_FRAGMENT;
	p.bytes[40] = whole->bytes[6];
	pkt_put16(p.bytes + 42, off | more);
	put32(p.bytes + 44, id);
	memcpy(p.bytes + 48, whole->bytes + 40 + off, len);
	return p;
}

static const char *check_embedded_six(const uint8_t *head, uint32_t len)
{
	struct walk6 w;
	uint32_t total;

	if (len < 40 || head[0] >> 4 != 6)
		return "embedded header is not there";
	w = walk6(head, len);
	total = 40 + get16(head + 4);
	if (w.is_broken || w.is_fragment || total > len || check_place6(w.proto) < 0)
		return NULL;
	return sum_six(head, &w, total - w.off) == 0xffff ? NULL : "embedded transport checksum";
}

const char *pkt_check_six(const uint8_t *head, uint32_t len)
{
	struct walk6 w;

	if (len < 40 || head[0] >> 4 != 6 || 40 + get16(head + 4) != len)
		return "no IPv6 packet of this length";
	w = walk6(head, len);
	if (w.is_broken)
		return "IPv6 extension headers";
	if (w.is_fragment || check_place6(w.proto) < 0)
		return NULL;
	if (w.proto == P_UDP && !get16(head + w.off + 6))
		return NULL;
	if (sum_six(head, &w, len - w.off) != 0xffff)
		return "transport checksum over IPv6";
	if (w.proto == P_ICMP6 && head[w.off] < 128)
		return check_embedded_six(head + w.off + 8, len - w.off - 8);
	return NULL;
}
