// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Sync streams, and changes on their way to them: gathered for a moment, sent in slices, never queued twice.
#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "base/clock.h"
#include "hub/internal.h"

#define GATHER_NS	(50 * LOOP_MS)	/* changes come in bunches */
#define SLICE_NS	(4 * LOOP_MS)	/* of sending, before packets and others have their turn */
#define SERIALS_AHEAD	100000		/* the store hears of the serial that often */
/* Syncs of one peer: each costs a map. */
#define SYNCS		30
#define SYNC_NS		(2 * LOOP_SECOND)

/* ---- serials never fall, also not over a crash: the store is ahead of what was used ---- */

static void next_serial(struct hub *hub)
{
	char text[24];

	hub->serial++;
	if (hub->serial < hub->serial_kept)
		return;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)hub->serial + SERIALS_AHEAD);
	if (!hubstore_set(hub->store, "serial", text))
		hub->serial_kept = hub->serial + SERIALS_AHEAD;
}

/* ---- one stream ---- */

static void note_token(struct hub_call *call)
{
	call->token_ns = loop_now(call->hub->loop);
	call->token_s = hub_unix_s();
}

/* Returns whether it went out. */
static bool send_map(struct hub_call *call, bool is_first)
{
	struct hub *hub = call->hub;
	uint8_t *bytes;
	size_t len;
	int ret = hub_pack_sync(hub, call->peer, is_first, &bytes, &len);

	if (ret)
		return false;
	ret = hub_call_send(call, bytes, len);
	envelope_free(bytes, len);
	if (ret)
		return false;
	hub->counts.maps_pushed++;
	if (is_first)
		note_token(call);
	return true;
}

static void fail(struct hub_call *call)
{
	hub_call_end(call, GRPC_INTERNAL, "failed handling request");
}

/* The newest map alone waits for a reader who is slow. */
static void push(struct hub_peer *peer)
{
	struct hub_call *call = peer->sync;

	if (!call || call->is_over)
		return;
	if (server_call_waiting(call->call)) {
		if (!call->is_behind)
			call->hub->counts.maps_put_off++;
		call->is_behind = true;
		return;
	}
	call->is_behind = false;
	if (!send_map(call, false))
		fail(call);
}

void hub_sync_drained(struct hub_call *call)
{
	if (call->is_behind && call->peer && !server_call_waiting(call->call))
		push(call->peer);
}

void hub_sync_renew_token(struct hub_call *call)
{
	uint8_t *bytes;
	size_t len;

	if (call->is_over || hub_pack_token(call->hub, call->peer, &bytes, &len))
		return;
	note_token(call);
	if (!hub_call_send(call, bytes, len))
		call->hub->counts.tokens_pushed++;
	envelope_free(bytes, len);
}

static void detach(struct hub_call *call)
{
	struct hub *hub = call->hub;
	struct hub_peer *peer = call->peer;

	if (!peer)
		return;
	call->peer = NULL;
	peer->sync = NULL;
	peer->gone_ns = loop_now(hub->loop);
	peer->kept.seen_s = hub_unix_s();
	hubstore_seen(hub->store, peer->kept.key, peer->kept.seen_s);
	hub->syncs--;
}

void hub_sync_closed(struct hub_call *call)
{
	detach(call);
}

void hub_sync_end(struct hub *hub, struct hub_peer *peer, bool is_removed)
{
	struct hub_call *call = peer->sync;
	uint8_t *bytes;
	size_t len;

	if (!call)
		return;
	detach(call);
	if (is_removed && !call->is_over && !hub_pack_farewell(hub, &bytes, &len)) {
		hub_call_send(call, bytes, len);
		envelope_free(bytes, len);
	}
	hub_call_end(call, GRPC_OK, NULL);
}

/* ---- Sync ---- */

static bool is_allowed(struct hub_call *call, struct hub_peer *peer)
{
	struct hub *hub = call->hub;

	if (!peer) {
		hub->counts.unknown_peer++;
		hub_call_end(call, GRPC_PERMISSION_DENIED, "peer is not registered");
	} else if (hub_peer_is_blocked(peer)) {
		hub->counts.logins_blocked++;
		hub_call_end(call, GRPC_PERMISSION_DENIED, "peer is blocked");
	} else if (peer->is_expired) {
		hub->counts.logins_expired++;
		hub_call_end(call, GRPC_PERMISSION_DENIED, "peer login has expired, please log in once more");
	} else if (!rate_take(&peer->rate, loop_now(hub->loop), SYNC_NS, SYNCS)) {
		hub->counts.rate_limited++;
		hub_call_end(call, GRPC_RESOURCE_EXHAUSTED, "too many calls, try again later");
	} else {
		return true;
	}
	return false;
}

static void begin(struct hub_call *call, struct hub_peer *peer, const Management__SyncRequest *request)
{
	struct hub *hub = call->hub;

	hub_sync_end(hub, peer, false);
	call->peer = peer;
	peer->sync = call;
	hub->syncs++;
	peer->kept.seen_s = hub_unix_s();
	hubstore_seen(hub->store, peer->kept.key, peer->kept.seen_s);
	hub_take_meta(hub, peer, request->meta, NULL);
	if (!send_map(call, true))
		fail(call);
}

void hub_sync(struct hub_call *call, const uint8_t *plain, size_t len)
{
	Management__SyncRequest *request = management__sync_request__unpack(NULL, len, plain);
	struct hub_peer *peer = hub_roster_find(&call->hub->roster, call->pair.peer);

	if (!request) {
		call->hub->counts.malformed++;
		hub_call_end(call, GRPC_INVALID_ARGUMENT, "the request cannot be read");
		return;
	}
	if (is_allowed(call, peer))
		begin(call, peer, request);
	management__sync_request__free_unpacked(request, NULL);
}

/* ---- waves ---- */

static void mark(struct hub *hub, struct hub_peer *peer)
{
	if (peer->is_stale || !peer->sync)
		return;
	peer->is_stale = true;
	peer->next_stale = hub->waves.stale;
	hub->waves.stale = peer;
}

void hub_waves_forget(struct hub *hub, struct hub_peer *peer)
{
	struct hub_peer **at = &hub->waves.stale;

	if (!peer->is_stale)
		return;
	while (*at != peer)
		at = &(*at)->next_stale;
	*at = peer->next_stale;
	peer->is_stale = false;
}

static void gather(struct hub *hub)
{
	uint8_t key[KEY_LEN];
	struct hub_peer *peer;

	hub->waves.is_due = false;
	next_serial(hub);
	while (hubmap_next_marked(hub->map, key)) {
		peer = hub_roster_find(&hub->roster, key);
		if (peer)
			mark(hub, peer);
	}
}

static void send_some(void *ctx)
{
	struct hub *hub = ctx;
	struct hub_peer *peer;
	uint64_t until = clock_mono_ns() + SLICE_NS;

	if (hub->waves.is_due)
		gather(hub);
	while ((peer = hub->waves.stale)) {
		hub->waves.stale = peer->next_stale;
		peer->is_stale = false;
		push(peer);
		if (clock_mono_ns() >= until)
			break;
	}
	if (hub->waves.stale || hub->waves.is_due)
		loop_timer_after(hub->loop, &hub->waves.timer, 0);
}

void hub_waves_init(struct hub *hub)
{
	loop_timer_init(&hub->waves.timer, send_some, hub);
}

void hub_changed(struct hub *hub)
{
	if (hub->waves.is_due)
		return;
	hub->waves.is_due = true;
	if (!loop_timer_is_set(&hub->waves.timer))
		loop_timer_after(hub->loop, &hub->waves.timer, GATHER_NS);
}
