/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets for tests, built and checked by slow and obvious code that shares nothing with the datapath. */
#ifndef TALON_TESTS_PKT_H
#define TALON_TESTS_PKT_H

#include <stdbool.h>
#include <stdint.h>

#define PKT_MAX		2048
#define PKT_DF		0x4000
#define PKT_MF		0x2000

#define TCP_FIN		0x01
#define TCP_SYN		0x02
#define TCP_RST		0x04
#define TCP_ACK		0x10

struct packet {
	uint32_t len;
	uint8_t bytes[PKT_MAX];
};

/* An IPv4 packet. Addresses as ip4() makes them (network order), all else in host order. */
struct pkt_spec {
	uint32_t src, dst;
	uint16_t sport, dport;		/* of TCP and UDP */
	uint8_t proto;
	uint8_t ttl;			/* 0: 64 */
	uint8_t tos;
	uint16_t id;
	uint16_t frag;			/* flags and offset in units of 8 */
	uint32_t ip_options;		/* bytes of NOP options, a multiple of 4 */
	uint8_t tcp_flags;
	const uint8_t *tcp_options;
	uint32_t tcp_options_len;	/* a multiple of 4 */
	uint8_t icmp_type, icmp_code;
	uint16_t icmp_id, icmp_seq;
	bool no_checksum;		/* UDP without one */
	uint32_t payload;		/* bytes after the transport header */
	uint8_t seed;			/* of the payload's pattern */
};

/* "192.0.2.1" in network order. */
uint32_t ip4(const char *text);

struct packet pkt_ip4(const struct pkt_spec *spec);
#define PKT(...) pkt_ip4(&(struct pkt_spec){ __VA_ARGS__ })

struct addr6 {
	uint8_t byte[16];
};

/* "2001:db8::1". */
struct addr6 ip6(const char *text);

/* An IPv6 packet. Addresses as ip6() makes them, all else in host order. */
struct pkt6_spec {
	struct addr6 src, dst;
	uint16_t sport, dport;		/* of TCP and UDP */
	uint8_t proto;
	uint8_t hops;			/* 0: 64 */
	uint8_t tclass;
	uint32_t label;			/* of the flow */
	/* bytes of hop-by-hop and destination options, multiples of 8; 0: none */
	uint32_t hop_options, dst_options;
	uint8_t tcp_flags;
	const uint8_t *tcp_options;
	uint32_t tcp_options_len;	/* a multiple of 4 */
	uint8_t icmp_type, icmp_code;
	uint16_t icmp_id, icmp_seq;
	uint32_t payload;		/* bytes after the transport header */
	uint8_t seed;			/* of the payload's pattern */
};

struct packet pkt_ip6(const struct pkt6_spec *spec);
#define PKT6(...) pkt_ip6(&(struct pkt6_spec){ __VA_ARGS__ })

/* The IPv6 packet @about with @embed bytes of it inside an ICMPv6 error. @rest: second word of its header. */
struct packet pkt_icmp6_error(struct addr6 src, struct addr6 dst, uint8_t type, uint8_t code, uint32_t rest,
	const struct packet *about, uint32_t embed);

/*
 * @len bytes from @off (both multiples of 8, but for the last) of what follows @whole's IPv6 header, behind a
 * fragment header.
 */
struct packet pkt_fragment6(const struct packet *whole, uint32_t off, uint32_t len, uint32_t id);

/* Recomputes the checksum of the transport of an IPv6 packet, if it has one. */
void pkt_fix_six(struct packet *p);

/*
 * Checks the transport's checksum of an IPv6 packet, unless it is a fragment, and in an ICMPv6 error that of
 * the embedded transport if complete. NULL, or what is wrong.
 */
const char *pkt_check_six(const uint8_t *head, uint32_t len);

/*
 * The IPv4 packet @about with @embed bytes of it inside an ICMP error. @rest: second word of the ICMP
 * header, host order.
 */
struct packet pkt_icmp_error(uint32_t src, uint32_t dst, uint8_t type, uint8_t code, uint32_t rest,
	const struct packet *about, uint32_t embed);

/*
 * @len bytes from @off (both multiples of 8, but for the last) of @whole's payload, which follows a header of
 * 20 bytes.
 */
struct packet pkt_fragment(const struct packet *whole, uint32_t off, uint32_t len);

struct packet pkt_ether(const uint8_t dmac[6], const uint8_t smac[6], uint16_t type,
	const struct packet *inside);

/* UDP over IPv4 with 20 bytes of header, or over IPv6. @src and @dst of IPv6: 16 bytes each. */
struct packet pkt_udp4(uint32_t src, uint32_t dst, uint16_t sport, uint16_t dport, uint8_t tos,
	const struct packet *payload);
struct packet pkt_udp6(const uint8_t src[16], const uint8_t dst[16], uint16_t sport, uint16_t dport,
	uint8_t tos, const struct packet *payload);

/*
 * A WireGuard data message (whitepaper 5.4.6) around @inner, padded with zeros to a multiple of 16.
 * NULL: a keepalive.
 */
struct packet pkt_wg(const uint8_t key[32], uint32_t index, uint64_t counter, const struct packet *inner);

/* The same without adding padding, for plaintexts that no honest peer would send. */
struct packet pkt_wg_raw(const uint8_t key[32], uint32_t index, uint64_t counter, const void *plain,
	uint32_t len);

/* Opens a data message. False: not one, or the tag is wrong. @ret_plain: with its padding. */
bool pkt_wg_open(const uint8_t key[32], const uint8_t *message, uint32_t len, struct packet *ret_plain,
	uint32_t *ret_index, uint64_t *ret_counter);

/* @value big-endian. */
void pkt_put16(uint8_t *to, uint32_t value);
/* Recomputes the checksum of a 20-byte IPv4 header, or that of the transport after it. */
void pkt_fix_header(struct packet *p);
void pkt_fix_transport(struct packet *p);

/* One's complement sum of @len bytes, added to @sum, folded; not complemented. Any length, byte by byte. */
uint32_t pkt_sum(uint32_t sum, const uint8_t *bytes, uint32_t len);

/*
 * Checks all checksums: of the IPv4 header, of the transport unless the packet is a fragment, and in an ICMP
 * error of the embedded header and of the embedded transport if complete. NULL, or what is wrong.
 */
const char *pkt_check(const uint8_t *ip, uint32_t len);
/* The UDP checksum of an IPv6 packet with nothing between header and UDP. NULL, or what is wrong. */
const char *pkt_check6(const uint8_t *head, uint32_t len);

#endif
