// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Resolves the names of endpoints at start; the controller retries those that fail.
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "config/config_internal.h"

static void take_address(struct config_endpoint *endpoint, const struct addrinfo *found)
{
	if (found->ai_family == AF_INET) {
		const struct sockaddr_in *sin = (const struct sockaddr_in *)found->ai_addr;

		endpoint->addr.word[0] = sin->sin_addr.s_addr;
	} else {
		const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)found->ai_addr;

		memcpy(&endpoint->addr, &sin6->sin6_addr, sizeof(endpoint->addr));
	}
	endpoint->family = found->ai_family;
}

/* getaddrinfo() lists the address to prefer first (RFC 6724). */
static int resolve(struct config_endpoint *endpoint)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM,
		.ai_flags = AI_ADDRCONFIG };
	struct addrinfo *list;
	int ret;

	ret = getaddrinfo(endpoint->host, NULL, &hints, &list);
	if (ret)
		return ret;
	if (list->ai_family == AF_INET || list->ai_family == AF_INET6)
		take_address(endpoint, list);
	else
		ret = EAI_FAMILY;
	freeaddrinfo(list);
	return ret;
}

int config_resolve(struct config *config)
{
	int left = 0, ret;

	for (size_t i = 0; i < config->peer_count; i++) {
		struct config_peer *peer = &config->peers[i];

		if (!peer->endpoint.host || peer->endpoint.family)
			continue;
		ret = resolve(&peer->endpoint);
		if (!ret)
			continue;
		left++;
		if (config_note(config, LOG_LEVEL_WARN,
			"Peer.Endpoint: %s: %s; Talon tries again each minute, or the peer may call",
			peer->endpoint.host, gai_strerror(ret)))
			return -ENOMEM;
	}
	return left;
}
