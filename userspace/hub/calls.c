// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// gRPC calls as they come in: which method, the box around requests and answers, the end.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "hub/internal.h"

#define MANAGEMENT	"/management.ManagementService/"
#define SIGNAL		"/signalexchange.SignalExchange/"

static const struct {
	const char *path;
	enum hub_method method;
} methods[] = {
	{ MANAGEMENT "GetServerKey", HUB_SERVER_KEY },
	{ MANAGEMENT "isHealthy", HUB_HEALTHY },
	{ MANAGEMENT "Login", HUB_LOGIN },
	{ MANAGEMENT "Sync", HUB_SYNC },
	{ MANAGEMENT "SyncMeta", HUB_SYNC_META },
	{ MANAGEMENT "Logout", HUB_LOGOUT },
	{ MANAGEMENT "Job", HUB_JOB },
	{ MANAGEMENT "GetDeviceAuthorizationFlow", HUB_DEVICE_FLOW },
	{ MANAGEMENT "GetPKCEAuthorizationFlow", HUB_PKCE_FLOW },
	{ MANAGEMENT "ExtendAuthSession", HUB_EXTEND },
	{ SIGNAL "Send", HUB_SEND },
	{ SIGNAL "ConnectStream", HUB_CONNECT_STREAM },
};

void hub_call_end(struct hub_call *call, int status, const char *text)
{
	if (call->is_over)
		return;
	call->is_over = true;
	server_call_end(call->call, status, text);
}

int hub_call_send(struct hub_call *call, const void *plain, size_t len)
{
	uint8_t *bytes;
	size_t bytes_len;
	int ret = envelope_pack_answer(&call->pair, plain, len, &bytes, &bytes_len);

	if (ret)
		return ret;
	ret = server_call_send(call->call, bytes, bytes_len);
	envelope_free(bytes, bytes_len);
	return ret;
}

void hub_call_answer(struct hub_call *call, const void *plain, size_t len)
{
	if (call->is_over)
		return;
	if (hub_call_send(call, plain, len))
		hub_call_end(call, GRPC_INTERNAL, "failed handling request");
	else
		hub_call_end(call, GRPC_OK, NULL);
}

void hub_call_answer_message(struct hub_call *call, const ProtobufCMessage *message)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = malloc(len + 1);

	if (!bytes) {
		hub_call_end(call, GRPC_INTERNAL, "failed handling request");
		return;
	}
	protobuf_c_message_pack(message, bytes);
	hub_call_answer(call, bytes, len);
	envelope_free(bytes, len);
}

/* Without an envelope. */
static void answer_plain(struct hub_call *call, const void *bytes, size_t len)
{
	if (call->is_over)
		return;
	server_call_send(call->call, bytes, len);
	hub_call_end(call, GRPC_OK, NULL);
}

static void answer_server_key(struct hub_call *call)
{
	Management__ServerKeyResponse response = MANAGEMENT__SERVER_KEY_RESPONSE__INIT;
	char key[KEY_BASE64_LEN + 1];
	uint8_t bytes[2 * sizeof(key)];

	key_to_base64(call->hub->box_public, key);
	response.key = key;
	answer_plain(call, bytes, management__server_key_response__pack(&response, bytes));
}

/* The peer that made the box; NULL: the call was ended. */
static struct hub_peer *require_peer(struct hub_call *call, int status)
{
	struct hub_peer *peer = hub_roster_find(&call->hub->roster, call->pair.peer);

	if (!peer) {
		call->hub->counts.unknown_peer++;
		hub_call_end(call, status, "peer is not registered");
	}
	return peer;
}

static void sync_meta(struct hub_call *call, const uint8_t *plain, size_t len)
{
	struct hub_peer *peer = require_peer(call, GRPC_NOT_FOUND);
	Management__SyncMetaRequest *request;

	if (!peer || hub_peer_is_limited(call, peer))
		return;
	request = management__sync_meta_request__unpack(NULL, len, plain);
	if (!request || !request->meta) {
		hub_call_end(call, request ? GRPC_FAILED_PRECONDITION : GRPC_INVALID_ARGUMENT,
			"peer system meta has to be provided to sync");
	} else {
		hub_take_meta(call->hub, peer, request->meta, NULL);
		answer_plain(call, "", 0);
	}
	if (request)
		management__sync_meta_request__free_unpacked(request, NULL);
}

static void logout(struct hub_call *call)
{
	struct hub_peer *peer = require_peer(call, GRPC_NOT_FOUND);

	if (!peer)
		return;
	log_info("%s logs out and is removed", peer->kept.name);
	if (hub_remove(call->hub, peer)) {
		hub_call_end(call, GRPC_INTERNAL, "failed handling request");
		return;
	}
	call->hub->counts.logged_out++;
	answer_plain(call, "", 0);
}

/* Jobs are never given; the stream stays open, since its end troubles old clients. */
static void job(struct hub_call *call)
{
	require_peer(call, GRPC_PERMISSION_DENIED);
}

static void handle(struct hub_call *call, const uint8_t *plain, size_t len)
{
	switch (call->method) {
	case HUB_LOGIN:
		hub_login(call, plain, len);
		break;
	case HUB_SYNC:
		hub_sync(call, plain, len);
		break;
	case HUB_SYNC_META:
		sync_meta(call, plain, len);
		break;
	case HUB_LOGOUT:
		logout(call);
		break;
	case HUB_JOB:
		job(call);
		break;
	case HUB_DEVICE_FLOW:
	case HUB_PKCE_FLOW:
		hub_flow(call);
		break;
	case HUB_EXTEND:
		hub_extend(call, plain, len);
		break;
	default:
		break;
	}
}

static void open_envelope(struct hub_call *call, const uint8_t *bytes, size_t len)
{
	struct hub *hub = call->hub;
	uint8_t *plain;
	size_t plain_len;
	int ret = envelope_unpack_request(&hub->box, hub->box_public, bytes, len, &call->pair, &plain,
		&plain_len);

	if (ret) {
		hub->counts.boxes_refused++;
		hub_call_end(call, ret == -ENOMEM ? GRPC_INTERNAL : GRPC_INVALID_ARGUMENT,
			"the message cannot be opened");
		return;
	}
	call->has_pair = true;
	handle(call, plain, plain_len);
	envelope_free(plain, plain_len);
}

static void on_message(void *ctx, const uint8_t *bytes, size_t len)
{
	struct hub_call *call = ctx;

	if (call->is_over)
		return;
	if (call->method == HUB_SERVER_KEY)
		answer_server_key(call);
	else if (call->method == HUB_HEALTHY)
		answer_plain(call, "", 0);
	else if (call->method == HUB_SEND)
		hub_signal_send(call, bytes, len);
	else if (call->method != HUB_CONNECT_STREAM && !call->has_pair)
		open_envelope(call, bytes, len);
	/* what a peer writes on an open stream says nothing to us: answers to jobs, and nothing to signal */
}

static void on_half_closed(void *ctx)
{
	struct hub_call *call = ctx;

	if (!call->has_pair && call->method != HUB_CONNECT_STREAM)
		hub_call_end(call, GRPC_INVALID_ARGUMENT, "a message is missing");
	else if (call->method == HUB_JOB)
		hub_call_end(call, GRPC_OK, NULL);
}

static void on_drained(void *ctx)
{
	struct hub_call *call = ctx;

	if (call->method == HUB_SYNC)
		hub_sync_drained(call);
}

static void on_closed(void *ctx)
{
	struct hub_call *call = ctx;

	call->is_over = true;
	if (call->method == HUB_SYNC)
		hub_sync_closed(call);
	else if (call->method == HUB_CONNECT_STREAM)
		hub_signal_closed(call);
	hub_sign_in_drop(call);
	sodium_memzero(call, sizeof(*call));
	free(call);
}

static const struct server_call_events call_events = {
	.message = on_message, .half_closed = on_half_closed, .drained = on_drained, .closed = on_closed,
};

bool hub_take_call(struct hub *hub, struct server_call *server_call, const struct server_request *request,
	const struct server_call_events **ret_events, void **ret_ctx)
{
	struct hub_call *call;
	size_t i = 0;

	while (i < sizeof(methods) / sizeof(methods[0]) && strcmp(methods[i].path, request->path))
		i++;
	if (hub->is_ending || i == sizeof(methods) / sizeof(methods[0]))
		return false;
	call = calloc(1, sizeof(*call));
	if (!call)
		return false;
	*call = (struct hub_call){ .hub = hub, .call = server_call, .method = methods[i].method };
	*ret_events = &call_events;
	*ret_ctx = call;
	if (call->method == HUB_CONNECT_STREAM)
		hub_signal_connect(call, request);
	return true;
}
