// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Signal: messages from peer to peer, which the hub cannot read. Nothing proves who sends one but its box.
#include <string.h>

#include "hub/internal.h"
#include "netbird/wire.h"

#define ID_FIELD	"x-wiretrustee-peer-id"
#define REGISTERED	"x-wiretrustee-peer-registered"

#define WAITING_MOST	(256 * 1024)	/* bytes that wait for a reader; what comes then is lost */
#define MESSAGE_MOST	(16 * 1024)
/* Messages from one source: a peer that comes up says a dozen things to each of its peers. */
static const struct hub_pace sends = { LOOP_SECOND / 2000, 20000 };

enum { FROM = 2, TO = 3, BODY = 4 };	/* fields of signalexchange's EncryptedMessage */

static struct hub_peer *find_by_text(const struct hub *hub, const void *text, size_t len)
{
	char copy[KEY_BASE64_LEN + 1] = "";
	uint8_t key[KEY_LEN];

	if (len != KEY_BASE64_LEN)
		return NULL;
	memcpy(copy, text, len);
	return key_from_base64(copy, key) ? NULL : hub_roster_find(&hub->roster, key);
}

void hub_signal_end(struct hub *hub, struct hub_peer *peer, int status, const char *text)
{
	struct hub_call *call = peer->signal;

	if (!call)
		return;
	peer->signal = NULL;
	call->peer = NULL;
	hub->signals--;
	hub_call_end(call, status, text);
}

void hub_signal_connect(struct hub_call *call, const struct server_request *request)
{
	const char *const names[] = { REGISTERED }, *const values[] = { "1" };
	struct slice id = server_request_field(request, ID_FIELD);
	struct hub *hub = call->hub;
	struct hub_peer *peer = find_by_text(hub, id.at, id.at ? id.len : 0);

	if (!id.at) {
		hub->counts.malformed++;
		hub_call_end(call, GRPC_FAILED_PRECONDITION, "missing connection header: " ID_FIELD);
		return;
	}
	if (!peer || hub_peer_is_blocked(peer)) {
		hub->counts.unknown_peer++;
		hub_call_end(call, GRPC_PERMISSION_DENIED, "peer is not registered");
		return;
	}
	hub_signal_end(hub, peer, GRPC_UNKNOWN, "peer registered again");
	call->peer = peer;
	peer->signal = call;
	hub->signals++;
	server_call_begin(call->call, names, values, 1);
}

void hub_signal_closed(struct hub_call *call)
{
	if (!call->peer)
		return;
	call->peer->signal = NULL;
	call->peer = NULL;
	call->hub->signals--;
}

struct envelope {
	struct wire_field from, to, body;
};

static bool parse(const uint8_t *bytes, size_t len, struct envelope *e)
{
	struct wire wire = wire_start(bytes, len);
	struct wire_field field;
	int ret;

	*e = (struct envelope){};
	while ((ret = wire_next(&wire, &field)) > 0) {
		if (wire_is_bytes(&field, FROM))
			e->from = field;
		else if (wire_is_bytes(&field, TO))
			e->to = field;
		else if (wire_is_bytes(&field, BODY))
			e->body = field;
	}
	return !ret;
}

/* The message goes on as it came. */
static void pass(struct hub *hub, const struct envelope *e, const uint8_t *bytes, size_t len)
{
	struct hub_peer *from = find_by_text(hub, e->from.bytes, e->from.len);
	struct hub_peer *to = find_by_text(hub, e->to.bytes, e->to.len);

	if (!from || !to || (from != to && !hubmap_may_talk(hub->map, from->kept.key, to->kept.key))) {
		hub->counts.signal_denied++;
	} else if (!to->signal || to->signal->is_over) {
		hub->counts.signal_away++;
	} else if (server_call_waiting(to->signal->call) > WAITING_MOST) {
		hub->counts.signal_slow++;
		log_limited(&hub->log_signal, LOG_LEVEL_WARN,
			"signal: %s reads too slowly, messages to it are lost", to->kept.name);
	} else {
		server_call_send(to->signal->call, bytes, len);
		hub->counts.signal_passed++;
	}
}

static bool is_dummy(const struct wire_field *to)
{
	return to->len == strlen("dummy") && !memcmp(to->bytes, "dummy", to->len);
}

/* Whatever becomes of it, the answer is the same and empty: nobody learns who is there. */
void hub_signal_send(struct hub_call *call, const uint8_t *bytes, size_t len)
{
	struct hub *hub = call->hub;
	uint64_t now = loop_now(hub->loop);
	struct envelope e;

	if (!hub_sources_take(&hub->senders, server_call_remote(call->call), now, &sends)) {
		hub->counts.signal_limited++;
		hub_call_end(call, GRPC_RESOURCE_EXHAUSTED, "too many messages from this address");
		return;
	}
	if (len > MESSAGE_MOST || !parse(bytes, len, &e)) {
		hub->counts.malformed++;
		hub_call_end(call, GRPC_INVALID_ARGUMENT, "the message cannot be read");
		return;
	}
	if (!is_dummy(&e.to))
		pass(hub, &e, bytes, len);
	server_call_send(call->call, "", 0);
	hub_call_end(call, GRPC_OK, NULL);
}
