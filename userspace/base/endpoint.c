// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Where a peer is: comparing, reading and writing endpoints.
#include "base/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

bool endpoint_is_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->family == b->family && a->port == b->port && a->ifindex == b->ifindex &&
	       memcmp(&a->remote, &b->remote, sizeof(a->remote)) == 0 &&
	       memcmp(&a->local, &b->local, sizeof(a->local)) == 0;
}

size_t endpoint_addr_len(uint16_t family)
{
	if (family == AF_INET)
		return sizeof(struct in_addr);
	return family == AF_INET6 ? sizeof(struct in6_addr) : 0;
}

struct block { uint8_t addr[16], bits; };

/* Not of the public internet; documentation's addresses are nobody's, and harmless. */
static const struct block special4[] = {
	{ { 0 }, 8 }, { { 10 }, 8 }, { { 100, 64 }, 10 }, { { 127 }, 8 }, { { 169, 254 }, 16 },
	{ { 172, 16 }, 12 },
	{ { 192, 0, 0 }, 24 }, { { 192, 168 }, 16 }, { { 198, 18 }, 15 }, { { 224 }, 3 },
};
/* All of the public ones are in 2000::/3. Teredo and 6to4 contain IPv4 addresses of any kind. */
static const struct block global6 = { { 0x20 }, 3 };
static const struct block special6[] = { { { 0x20, 0x01, 0, 0 }, 32 }, { { 0x20, 0x02 }, 16 } };

static bool is_in(const struct block *block, const uint8_t *addr)
{
	const size_t whole = block->bits / 8, rest = block->bits % 8;

	return !memcmp(addr, block->addr, whole) &&
		(!rest || !((addr[whole] ^ block->addr[whole]) >> (8 - rest)));
}

static bool is_in_any(const struct block *list, size_t count, const uint8_t *addr)
{
	for (size_t i = 0; i < count; i++) {
		if (is_in(&list[i], addr))
			return true;
	}
	return false;
}

bool endpoint_is_public(const struct endpoint *endpoint)
{
	const uint8_t *addr = (const uint8_t *)&endpoint->remote;

	if (endpoint->family == AF_INET)
		return !is_in_any(special4, sizeof(special4) / sizeof(special4[0]), addr);
	return endpoint->family == AF_INET6 && is_in(&global6, addr) &&
		!is_in_any(special6, sizeof(special6) / sizeof(special6[0]), addr);
}

static void from_in6(const struct sockaddr_in6 *in6, struct endpoint *endpoint)
{
	endpoint->port = in6->sin6_port;
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		endpoint->family = AF_INET;
		memcpy(&endpoint->remote, &in6->sin6_addr.s6_addr[12], sizeof(struct in_addr));
		return;
	}
	endpoint->family = AF_INET6;
	endpoint->ifindex = in6->sin6_scope_id;
	memcpy(&endpoint->remote, &in6->sin6_addr, sizeof(in6->sin6_addr));
}

int endpoint_from_sockaddr(const struct sockaddr *addr, socklen_t len, struct endpoint *ret_endpoint)
{
	struct endpoint endpoint = { 0 };
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (len >= sizeof(in) && addr->sa_family == AF_INET) {
		memcpy(&in, addr, sizeof(in));
		endpoint.family = AF_INET;
		endpoint.port = in.sin_port;
		memcpy(&endpoint.remote, &in.sin_addr, sizeof(in.sin_addr));
	} else if (len >= sizeof(in6) && addr->sa_family == AF_INET6) {
		memcpy(&in6, addr, sizeof(in6));
		from_in6(&in6, &endpoint);
	} else {
		return -EAFNOSUPPORT;
	}
	*ret_endpoint = endpoint;
	return 0;
}

int endpoint_to_sockaddr(const struct endpoint *endpoint, struct sockaddr_storage *ret_addr)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = endpoint->port };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = endpoint->port };

	switch (endpoint->family) {
	case AF_INET:
		memcpy(&in.sin_addr, &endpoint->remote, sizeof(in.sin_addr));
		memcpy(ret_addr, &in, sizeof(in));
		return sizeof(in);
	case AF_INET6:
		memcpy(&in6.sin6_addr, &endpoint->remote, sizeof(in6.sin6_addr));
		if (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr))
			in6.sin6_scope_id = endpoint->ifindex;
		memcpy(ret_addr, &in6, sizeof(in6));
		return sizeof(in6);
	default:
		return -EDESTADDRREQ;
	}
}

void endpoint_format(const struct endpoint *endpoint, char ret_text[static ENDPOINT_TEXT_LEN])
{
	char addr[INET6_ADDRSTRLEN];
	char scope[16] = "";

	if (!endpoint_addr_len(endpoint->family)) {
		snprintf(ret_text, ENDPOINT_TEXT_LEN, "(none)");
		return;
	}
	inet_ntop(endpoint->family, &endpoint->remote, addr, sizeof(addr));
	if (endpoint->family == AF_INET) {
		snprintf(ret_text, ENDPOINT_TEXT_LEN, "%s:%u", addr, ntohs(endpoint->port));
		return;
	}
	if (IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)&endpoint->remote) && endpoint->ifindex)
		snprintf(scope, sizeof(scope), "%%%u", endpoint->ifindex);
	snprintf(ret_text, ENDPOINT_TEXT_LEN, "[%s%s]:%u", addr, scope, ntohs(endpoint->port));
}
