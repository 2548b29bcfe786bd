/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Steps that the cases of several programs share. A step fails the case if the packet does not end as
 * expected. Addresses are in network byte order, ports and ids in host byte order.
 */
#ifndef TALON_TESTS_STEPS_H
#define TALON_TESTS_STEPS_H

#include "bpf/rig.h"

/* Fields of an IPv4 packet whose header has no options. */
#define IP_ID(p)	get16_at(p, 4)
#define SPORT(p)	get16_at(p, 20)
#define DPORT(p)	get16_at(p, 22)
#define ICMP_ID(p)	get16_at(p, 24)

#define SPORT6(p)	get16_at(p, 40)
#define DPORT6(p)	get16_at(p, 42)

uint32_t get16_at(const struct packet *p, uint32_t off);

/* The program leaves the frame to the host: the same bytes, no counter, no event. */
void passes_untouched(struct rig *rig, const struct packet *frame);
/* @inner was handed up to this host with a new Ethernet header, and without metadata. */
void handed_up(struct rig *rig, const struct rig_result *r, const struct packet *inner);

/* A UDP packet from @client to @remote, which leaves with a new source; returns the port it got. */
uint16_t open_udp(struct rig *rig, uint32_t peer, uint32_t client, uint16_t sport, uint32_t remote,
	uint16_t dport);
/* A SYN from CLIENT to GATEWAY, which is forwarded; returns the port it got. */
uint16_t open_tcp(struct rig *rig, uint16_t sport, uint16_t dport);
/*
 * Sends @in from peer 0 and expects it on the wire with the SNAT address and a port (ICMP: an id) of the
 * range. Returns that port and, in *ret_reply, the answer of the remote.
 */
uint16_t snat(struct rig *rig, struct pkt_spec *in, struct pkt_spec *ret_reply);
/* Sends @reply from the wire and expects it sealed for peer 0, only its destination and TTL changed. */
void unsnat(struct rig *rig, const struct pkt_spec *in, const struct pkt_spec *reply);

/* A WireGuard message of @len bytes whose first word, little-endian, is @type. */
struct packet message_of(uint32_t type, uint32_t len);
/* An ICMP error as Talon sends it: TOS 0xc0, DF. @rest: second word of the ICMP header. */
struct packet own_error(uint32_t src, uint32_t dst, uint8_t type, uint8_t code, uint32_t rest,
	const struct packet *about);
/* @inner of peer 0 was answered "administratively prohibited"; an event told that the NAT is full. */
void refused_as_full(struct rig *rig, struct rig_result *r, const struct packet *inner);

/* The same for IPv6; the source becomes NODE6. */
uint16_t open_udp6(struct rig *rig, uint32_t peer, const char *client, uint16_t sport, const char *remote,
	uint16_t dport);
uint16_t snat6(struct rig *rig, struct pkt6_spec *in, struct pkt6_spec *ret_reply);
void unsnat6(struct rig *rig, const struct pkt6_spec *in, const struct pkt6_spec *reply);
/* An ICMPv6 error as Talon sends it: with as much of @about as fits into 1280 bytes. */
struct packet own_error6(const char *src, const char *dst, uint8_t type, uint8_t code, uint32_t rest,
	const struct packet *about);

struct talon_endpoint endpoint_of(struct rig *rig, uint32_t peer);
struct talon_nat_stats nat_stats(struct rig *rig);

#endif
