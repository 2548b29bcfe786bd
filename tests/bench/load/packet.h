/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The load's packets inside the tunnel: IPv4, UDP, and a payload derived from the packet's number. */
#ifndef TALON_TESTS_LOAD_PACKET_H
#define TALON_TESTS_LOAD_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talon/types.h"

#define PACKET_HEADERS	28	/* IPv4 without options, UDP */
#define PACKET_MIN	(PACKET_HEADERS + 16)

/* Addresses in network order, ports in host order. */
struct packet_ends {
	__be32 src;
	__be32 dst;
	uint16_t sport;
	uint16_t dport;
};

/*
 * Fills @len bytes with the payload numbered @number of the run @run: number, run, and a stream that
 * follows from both.
 */
void packet_payload(uint8_t *payload, size_t len, uint64_t run, uint64_t number);

/* A whole packet of @len bytes, PACKET_MIN at least, its checksums finished. */
void packet_build(uint8_t *packet, size_t len, const struct packet_ends *ends, uint64_t run, uint64_t number);

/* Puts headers in front of the @payload_len bytes at @packet + PACKET_HEADERS, checksums finished. */
void packet_wrap(uint8_t *packet, size_t payload_len, const struct packet_ends *ends);

/* The number in the payload at @payload. */
uint64_t packet_number(const uint8_t *payload);

/*
 * NULL if these @len bytes are a packet of @run with good checksums and every byte of the payload right;
 * else what is wrong.
 * @unfinished_sum: a UDP checksum left to hardware is good, too. Sets what the packet says of itself.
 */
const char *packet_check(const uint8_t *packet, size_t len, uint64_t run, bool unfinished_sum,
	struct packet_ends *ret_ends, uint64_t *ret_number);

#endif
