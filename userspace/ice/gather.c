// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Server-reflexive candidates: the address and port that STUN servers see our WireGuard port at.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "ice/candidate.h"
#include "ice/internal.h"

#define FIRST_WAIT_NS	(200 * LOOP_MS)		/* doubled with each retransmission */
#define GIVE_UP_NS	(5 * LOOP_SECOND)
#define MONITOR_NS	(300 * LOOP_SECOND)
#define NAMES_NS	(300 * LOOP_SECOND)	/* how long a name's addresses are used */
#define NAMES_AGAIN_NS	(5 * LOOP_SECOND)	/* ... after a look-up that failed */
#define RESOLVE_NS	(10 * LOOP_SECOND)

static void start(struct ice_mux *mux, struct ice_server *server)
{
	const uint64_t now = loop_now(mux->loop);

	ice_mux_random(mux, server->tx, sizeof(server->tx));
	server->is_asking = true;
	server->tries = 0;
	server->again_ns = now;
	server->give_up_ns = now + GIVE_UP_NS;
}

static bool has_family(const struct ice_mux *mux, uint16_t family)
{
	for (size_t i = 0; i < mux->host_count; i++) {
		if (mux->hosts[i].candidate.family == family)
			return true;
	}
	return family == AF_INET && !mux->host_count;
}

static bool is_fresh(const struct ice_mux *mux, const struct ice_server *server)
{
	return server->has_mapped && loop_now(mux->loop) - server->answered_ns < ICE_FRESH_NS;
}

static void ask(struct ice_mux *mux, struct ice_server *server)
{
	const struct stun_request bare = { .tx = server->tx };
	uint8_t bytes[STUN_HEADER_LEN];
	int len = stun_build_request(&bare, bytes, sizeof(bytes));

	ice_mux_send(mux, &server->at, bytes, len);
	server->again_ns = loop_now(mux->loop) + (FIRST_WAIT_NS << server->tries++);
}

static void give_up(struct ice_mux *mux, struct ice_server *server)
{
	server->is_asking = false;
	server->has_mapped = false;
}

static bool is_asking_any(const struct ice_mux *mux)
{
	for (size_t i = 0; i < mux->gather.source_count; i++) {
		const struct ice_source *s = &mux->gather.sources[i];

		if (s->query || s->servers[0].is_asking || s->servers[1].is_asking)
			return true;
	}
	return false;
}

static void settle(struct ice_mux *mux)
{
	if (mux->gather.source_count && !is_asking_any(mux))
		mux->gather.is_settled = true;
}

/* Sends the requests that are due and sets the timer for the next ones. */
static void work(struct ice_mux *mux)
{
	const uint64_t now = loop_now(mux->loop);
	uint64_t next = LOOP_NEVER;
	bool lost = false;

	for (size_t i = 0; i < 2 * mux->gather.source_count; i++) {
		struct ice_server *server = &mux->gather.sources[i / 2].servers[i % 2];

		if (!server->is_asking)
			continue;
		if (now >= server->give_up_ns) {
			lost |= server->has_mapped;
			give_up(mux, server);
			continue;
		}
		if (now >= server->again_ns)
			ask(mux, server);
		if (server->again_ns < next)
			next = server->again_ns;
		if (server->give_up_ns < next)
			next = server->give_up_ns;
	}
	loop_timer_set(mux->loop, &mux->gather.retransmit, next);
	if (lost)
		ice_gather_update(mux);
	settle(mux);
}

static void retransmit(void *ctx)
{
	work(ctx);
}

static void take_address(struct ice_source *source, const struct resolver_address *address)
{
	struct ice_server *server = &source->servers[address->family == AF_INET6];
	struct endpoint at = { .family = address->family, .port = htons(source->url.port),
		.remote = address->addr };

	if (endpoint_is_equal(&server->at, &at))
		return;
	*server = (struct ice_server){ .at = at };
}

static void resolved(void *ctx, enum resolver_result result, const struct resolver_address *list,
	size_t count)
{
	struct ice_source *source = ctx;
	struct ice_mux *mux = source->mux;

	source->query = NULL;
	source->is_resolved = result == RESOLVER_OK;
	source->resolved_ns = loop_now(mux->loop);
	/* Backwards, so that the first of each family stays. */
	for (size_t i = count; result == RESOLVER_OK && i-- > 0;)
		take_address(source, &list[i]);
	for (int i = 0; i < 2; i++) {
		struct ice_server *server = &source->servers[i];

		if (server->at.family && !server->is_asking && !is_fresh(mux, server) &&
			has_family(mux, server->at.family))
			start(mux, server);
	}
	work(mux);
}

static void resolve(struct ice_mux *mux, struct ice_source *source)
{
	const uint64_t good_for = source->is_resolved ? NAMES_NS : NAMES_AGAIN_NS;
	struct resolver *resolver;

	if (source->is_literal || source->query ||
		(source->resolved_ns && loop_now(mux->loop) - source->resolved_ns < good_for))
		return;
	resolver = resolver_get(mux->loop);
	if (resolver && resolver_ask(resolver, source->url.host, AF_UNSPEC, RESOLVE_NS, resolved, source,
		&source->query))
		source->query = NULL;
}

void ice_gather_ask(struct ice_mux *mux, bool all)
{
	for (size_t i = 0; i < mux->gather.source_count; i++) {
		struct ice_source *source = &mux->gather.sources[i];

		resolve(mux, source);
		for (int j = 0; j < 2; j++) {
			struct ice_server *server = &source->servers[j];

			if (server->at.family && !server->is_asking && (all || !is_fresh(mux, server)) &&
				has_family(mux, server->at.family))
				start(mux, server);
		}
	}
	work(mux);
}

void ice_mux_gather(struct ice_mux *mux)
{
	ice_gather_ask(mux, false);
}

static const struct ice_local *find_srflx(const struct ice_mux *mux, const struct endpoint *at)
{
	for (size_t i = 0; i < mux->srflx_count; i++) {
		const struct ice_candidate *c = &mux->srflx[i].candidate;

		if (c->family == at->family && c->port == at->port &&
			!memcmp(&c->addr, &at->remote, sizeof(c->addr)))
			return &mux->srflx[i];
	}
	return NULL;
}

static struct ice_local make_srflx(struct ice_mux *mux, const struct ice_server *server)
{
	const struct endpoint *at = &server->mapped;
	const struct ice_local *known = find_srflx(mux, at);
	struct ice_local local = {
		.candidate = {
			.type = ICE_SRFLX, .family = at->family, .addr = at->remote, .port = at->port,
			/* the related address stays "any", so that a network's inside is not revealed */
			.has_related = true, .related_port = mux->port,
			.priority = ice_candidate_priority(ICE_SRFLX),
		},
	};

	if (known)
		local = *known;
	else
		ice_mux_new_cid(mux, local.candidate.cid);
	if (!known || server->answered_ns - known->confirmed_ns >= ICE_FRESH_NS)
		local.serial = ++mux->serial;
	if (server->answered_ns > local.confirmed_ns)
		local.confirmed_ns = server->answered_ns;
	return local;
}

static bool is_own(const struct ice_mux *mux, const struct endpoint *at)
{
	return at->port == mux->port && ice_mux_find_host(mux, at->family, &at->remote);
}

static bool is_listed(const struct ice_local *list, size_t count, const struct endpoint *at)
{
	for (size_t i = 0; i < count; i++) {
		const struct ice_candidate *c = &list[i].candidate;

		if (c->family == at->family && c->port == at->port &&
			!memcmp(&c->addr, &at->remote, sizeof(c->addr)))
			return true;
	}
	return false;
}

void ice_gather_update(struct ice_mux *mux)
{
	const uint32_t before = mux->serial;
	struct ice_local list[ICE_SRFLX_MAX];
	size_t count = 0;
	bool is_new = false;

	for (size_t i = 0; i < 2 * mux->gather.source_count && count < ICE_SRFLX_MAX; i++) {
		const struct ice_server *server = &mux->gather.sources[i / 2].servers[i % 2];

		if (!server->has_mapped || is_own(mux, &server->mapped) ||
			is_listed(list, count, &server->mapped))
			continue;
		is_new |= !find_srflx(mux, &server->mapped);
		list[count++] = make_srflx(mux, server);
	}
	memcpy(mux->srflx, list, count * sizeof(list[0]));
	mux->srflx_count = count;
	if (mux->serial != before)
		ice_mux_poke(mux);
	if (is_new && mux->gather.is_settled)
		ice_mux_note_change(mux);
}

static struct ice_server *find_server(struct ice_mux *mux, const struct endpoint *from, const uint8_t *tx)
{
	for (size_t i = 0; i < 2 * mux->gather.source_count; i++) {
		struct ice_server *server = &mux->gather.sources[i / 2].servers[i % 2];

		if (server->is_asking && server->at.family == from->family && server->at.port == from->port &&
		    !memcmp(&server->at.remote, &from->remote, sizeof(from->remote)) &&
		    !memcmp(server->tx, tx, STUN_TX_LEN))
			return server;
	}
	return NULL;
}

bool ice_gather_receive(struct ice_mux *mux, const struct endpoint *from, const struct stun_message *message)
{
	struct ice_server *server = find_server(mux, from, message->tx);

	if (!server)
		return false;
	if (!message->has_mapped || message->mapped.family != from->family || !message->mapped.port)
		return true;
	server->is_asking = false;
	server->has_mapped = true;
	server->mapped = message->mapped;
	server->answered_ns = loop_now(mux->loop);
	ice_gather_update(mux);
	settle(mux);
	return true;
}

static void monitor(void *ctx)
{
	struct ice_mux *mux = ctx;

	loop_timer_after(mux->loop, &mux->gather.monitor, MONITOR_NS);
	ice_gather_ask(mux, true);
}

static void clear(struct ice_mux *mux)
{
	for (size_t i = 0; i < mux->gather.source_count; i++) {
		struct ice_source *source = &mux->gather.sources[i];

		if (source->query)
			resolver_cancel(source->query);
		*source = (struct ice_source){ 0 };
	}
	mux->gather.source_count = 0;
	mux->gather.is_settled = false;
}

/* False if the host is a name. */
static bool take_literal(struct ice_source *source)
{
	struct endpoint at = { .port = htons(source->url.port) };

	if (inet_pton(AF_INET, source->url.host, &at.remote) == 1)
		at.family = AF_INET;
	else if (inet_pton(AF_INET6, source->url.host, &at.remote) == 1)
		at.family = AF_INET6;
	else
		return false;
	source->servers[at.family == AF_INET6].at = at;
	return true;
}

/* Every network map names the servers again, mostly the same ones. */
static bool is_same(const struct ice_mux *mux, const struct server_url *urls, size_t count)
{
	if (count != mux->gather.source_count)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!server_url_is_equal(&mux->gather.sources[i].url, &urls[i]))
			return false;
	}
	return true;
}

int ice_mux_set_stuns(struct ice_mux *mux, const struct server_url *urls, size_t count)
{
	const size_t used = count < ICE_SOURCES_MAX ? count : ICE_SOURCES_MAX;

	if (is_same(mux, urls, used))
		return 0;
	clear(mux);
	for (size_t i = 0; i < used; i++) {
		struct ice_source *source = &mux->gather.sources[i];

		*source = (struct ice_source){ .mux = mux, .url = urls[i] };
		source->is_literal = take_literal(source);
	}
	mux->gather.source_count = used;
	ice_gather_ask(mux, true);
	return used < count ? -ENOSPC : 0;
}

void ice_gather_init(struct ice_mux *mux)
{
	loop_timer_init(&mux->gather.retransmit, retransmit, mux);
	loop_timer_init(&mux->gather.monitor, monitor, mux);
	loop_timer_after(mux->loop, &mux->gather.monitor, MONITOR_NS);
}

void ice_gather_done(struct ice_mux *mux)
{
	clear(mux);
	loop_timer_cancel(mux->loop, &mux->gather.retransmit);
	loop_timer_cancel(mux->loop, &mux->gather.monitor);
}

/* Answered over either family, or is still being asked for the first time. */
static bool is_available(const struct ice_source *source)
{
	bool is_asking = false;

	for (size_t i = 0; i < sizeof(source->servers) / sizeof(source->servers[0]); i++) {
		const struct ice_server *server = &source->servers[i];

		if (server->at.family && server->has_mapped)
			return true;
		is_asking |= server->is_asking && !server->answered_ns;
	}
	return is_asking;
}

size_t ice_mux_list_stuns(const struct ice_mux *mux, struct ice_stun_status *list, size_t room)
{
	size_t count = 0;

	for (size_t i = 0; i < mux->gather.source_count && count < room; i++) {
		const struct ice_source *source = &mux->gather.sources[i];

		server_url_format(&source->url, list[count].uri);
		list[count++].is_available = is_available(source);
	}
	return count;
}
