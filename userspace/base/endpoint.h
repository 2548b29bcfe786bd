/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a peer is: the two ends of the outer UDP path. */
#ifndef TALON_SESSION_ENDPOINT_H
#define TALON_SESSION_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "talon/types.h"

struct endpoint {
	uint16_t family;		/* AF_INET, AF_INET6; 0: unknown */
	__be16 port;			/* of the other side */
	/* device they came in by, or scope of a link-local address; 0: by route */
	uint32_t ifindex;
	struct talon_addr remote;
	struct talon_addr local;	/* our address they sent to; zero: let the route decide */
};

/* "[ADDRESS%4294967295]:65535", with the longest address that inet_ntop() can write, and the terminator */
#define ENDPOINT_TEXT_LEN 72

static inline bool endpoint_is_known(const struct endpoint *endpoint)
{
	return endpoint->family != 0;
}

/*
 * True if @a and @b name the same remote address, port and family, and leave by the same local
 * address and device.
 */
bool endpoint_is_equal(const struct endpoint *a, const struct endpoint *b);

/* Length in bytes of an address of @family: 4, 16, or 0 if it is neither AF_INET nor AF_INET6. */
size_t endpoint_addr_len(uint16_t family);

/*
 * True if @endpoint's address is one of the public internet's: not private, shared, link-local or loopback,
 * not multicast, nor reserved for something else (the special-purpose registries of RFC 6890). Its port
 * does not matter.
 */
bool endpoint_is_public(const struct endpoint *endpoint);

/*
 * Reads a socket address. IPv4-mapped IPv6 addresses (RFC 4291 section 2.5.5.2) become IPv4; a scope id
 * becomes the ifindex. The local address is left zero. Returns 0, or -EAFNOSUPPORT for a family or length
 * that is neither IPv4 nor IPv6.
 */
int endpoint_from_sockaddr(const struct sockaddr *addr, socklen_t len, struct endpoint *ret_endpoint);

/*
 * Fills @ret_addr with the remote side. Returns the length to hand to sendto(), or -EDESTADDRREQ
 * if it is unknown.
 */
int endpoint_to_sockaddr(const struct endpoint *endpoint, struct sockaddr_storage *ret_addr);

/* Writes "192.0.2.1:51820", "[2001:db8::1]:51820" or "(none)". */
void endpoint_format(const struct endpoint *endpoint, char ret_text[static ENDPOINT_TEXT_LEN]);

#endif
