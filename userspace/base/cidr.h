/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Networks in CIDR notation (RFC 4632 section 3.1, RFC 4291 section 2.3). */
#ifndef TALON_BASE_CIDR_H
#define TALON_BASE_CIDR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/slice.h"
#include "talon/types.h"

#define CIDR_TEXT_LEN 52	/* the longest text and its terminator */

/* Host bits are zero, unless it was parsed with @keep_host_bits. */
struct cidr {
	__u8 family;			/* AF_INET, AF_INET6 */
	__u8 prefixlen;			/* bits */
	struct talon_addr addr;		/* network byte order */
};

/*
 * Parses ADDRESS or ADDRESS/LENGTH of either family; without a length the network is the one address.
 * @keep_host_bits: the bits after the prefix stay as written. Returns 0 or -EINVAL.
 */
int cidr_parse(struct slice text, bool keep_host_bits, struct cidr *ret_cidr);
/* Writes "10.0.0.0/8". @size: at least CIDR_TEXT_LEN bytes. */
void cidr_format(const struct cidr *cidr, char *text, size_t size);

static inline bool cidr_is_equal(const struct cidr *a, const struct cidr *b)
{
	return a->family == b->family && a->prefixlen == b->prefixlen &&
		!memcmp(&a->addr, &b->addr, sizeof(a->addr));
}

/* True if @addr (of the network's family, network byte order) is in @net. */
bool cidr_holds(const struct cidr *net, const struct talon_addr *addr);

/* Clears the bits after the prefix. */
void cidr_clear_host_bits(struct cidr *cidr);

/* True for an IPv4 address that one host can have: not zero, loopback, multicast, reserved or broadcast. */
bool addr4_is_host(__be32 addr);
/*
 * True for an IPv6 address that one host can have in a routed network: not unspecified, loopback,
 * IPv4-mapped, link-local or multicast.
 */
bool addr6_is_host(const struct talon_addr *addr);
/* True for an IPv6 address that stands for an IPv4 one (::ffff:0:0/96, RFC 4291 section 2.5.5.2). */
bool addr6_is_mapped(const struct talon_addr *addr);
static inline bool addr6_is_zero(const struct talon_addr *addr)
{
	return !(addr->word[0] | addr->word[1] | addr->word[2] | addr->word[3]);
}

#endif
