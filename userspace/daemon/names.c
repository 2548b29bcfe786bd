// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Retries endpoint names that could not be resolved at the start, one at a time, in glibc's resolver
// thread.
#include <netdb.h>
#include <string.h>

#include "daemon/static.h"
#include "log/log.h"
#include "loop/loop.h"

#define PAUSE_NS	(60 * LOOP_SECOND)	/* between two rounds through all names */

/* Static, as the thread may outlive the daemon's structures by a lookup that nobody waits for. */
static struct lookup {
	char host[NI_MAXHOST];
	struct addrinfo hints;
	struct gaicb request;
	bool is_running;
	bool is_stale;			/* the peers are others by now */
	size_t peer;			/* of config->peers; where to go on */
	uint64_t round_ns;		/* when the next round begins */
} lookup;

static bool begin(const char *host)
{
	struct gaicb *list[] = { &lookup.request };

	if (strlen(host) >= sizeof(lookup.host))
		return false;
	strcpy(lookup.host, host);
	lookup.hints = (struct addrinfo){ .ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM,
		.ai_flags = AI_ADDRCONFIG };
	lookup.request = (struct gaicb){ .ar_name = lookup.host, .ar_request = &lookup.hints };
	lookup.is_running = !getaddrinfo_a(GAI_NOWAIT, list, 1, NULL);
	return lookup.is_running;
}

/*
 * A peer that sent us a handshake meanwhile is reached where that came from; one that the plane could not
 * take needs no address.
 */
static bool is_unknown(const struct plane *plane, const struct config_peer *peer)
{
	uint32_t id;

	if (!peer->endpoint.host || peer->endpoint.family)
		return false;
	id = plane_find_peer(plane, peer->public_key);
	return id != PLANE_NO_PEER && (peer->is_moved || !plane_is_placed(plane, id));
}

static void take(struct plane *plane, struct config_peer *peer, const struct addrinfo *found)
{
	struct endpoint endpoint;

	if (!is_unknown(plane, peer) || endpoint_from_sockaddr(found->ai_addr, found->ai_addrlen, &endpoint))
		return;
	endpoint.port = peer->endpoint.port;
	plane_place(plane, plane_find_peer(plane, peer->public_key), &endpoint, peer->is_moved);
	peer->is_moved = false;
	log_info("Peer.Endpoint: %s: found", peer->endpoint.host);
}

static void next(const struct plane *plane, const struct config *config, uint64_t now_ns)
{
	if (!lookup.round_ns)
		lookup.round_ns = now_ns + PAUSE_NS;	/* they were all tried at the start */
	if (now_ns < lookup.round_ns)
		return;
	for (; lookup.peer < config->peer_count; lookup.peer++) {
		if (is_unknown(plane, &config->peers[lookup.peer]) &&
			begin(config->peers[lookup.peer].endpoint.host))
			return;
	}
	lookup.peer = 0;
	lookup.round_ns = now_ns + PAUSE_NS;
}

void names_restart(void)
{
	lookup.is_stale = lookup.is_running;
	if (!lookup.is_running)
		lookup.peer = 0;
	lookup.round_ns = 1;		/* the first round begins at once */
}

void names_tick(struct plane *plane, struct config *config, uint64_t now_ns)
{
	int ret = lookup.is_running ? gai_error(&lookup.request) : 0;

	if (ret == EAI_INPROGRESS)
		return;
	if (lookup.is_running) {
		lookup.is_running = false;
		if (!ret && lookup.request.ar_result && !lookup.is_stale)
			take(plane, &config->peers[lookup.peer], lookup.request.ar_result);
		if (lookup.request.ar_result)
			freeaddrinfo(lookup.request.ar_result);
		lookup.peer++;
		if (lookup.is_stale)
			lookup.peer = 0;
		lookup.is_stale = false;
	}
	next(plane, config, now_ns);
}
