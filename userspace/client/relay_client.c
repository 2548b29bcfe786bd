// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One connection to one relay server: dial, authenticate, answer health checks, hand messages on.
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/relay_internal.h"

#define PATH "/relay"

void relay_client_hold(struct relay_client *server)
{
	server->refs++;
}

void relay_client_put(struct relay_client *server)
{
	if (--server->refs)
		return;
	free(server->departed);
	free(server);
}

static void stop(struct relay_client *server)
{
	server->state = RELAY_ENDED;
	loop_timer_cancel(server->shared->loop, &server->deadline);
	loop_timer_cancel(server->shared->loop, &server->batch);
	relay_early_forget(&server->shared->early, server);
	websocket_free(server->ws);
	server->ws = NULL;
}

void relay_client_free(struct relay_client *server)
{
	if (server->is_freed)
		return;
	server->is_freed = true;
	stop(server);
	relay_peers_detach(server);
	TAILQ_REMOVE(&server->shared->servers, server, entry);
	server->shared = NULL;
	relay_client_put(server);
}

/* The callers hold it. */
static void end(struct relay_client *server, const char *why)
{
	char kept[RELAY_WHY_LEN];

	if (server->state == RELAY_ENDED)
		return;
	snprintf(kept, sizeof(kept), "%s", why);
	stop(server);
	server->events->down(server->ctx, server, kept);
	relay_peers_lost(server, kept);
	relay_client_free(server);
}

int relay_client_send(struct relay_client *server, enum relay_type type, const uint8_t *ids, size_t count)
{
	uint8_t header[RELAY_HEADER_LEN];

	relay_header_write(type, header);
	return websocket_send(server->ws, WEBSOCKET_MUST, header, sizeof(header), ids, count * RELAY_ID_LEN);
}

void relay_client_close(struct relay_client *server)
{
	if (server->state == RELAY_READY)
		relay_client_send(server, RELAY_CLOSE, NULL, 0);
	if (server->ws)
		websocket_close(server->ws);
	relay_client_free(server);
}

static int send_auth(struct relay_client *server)
{
	const struct relay_shared *shared = server->shared;
	uint8_t message[RELAY_AUTH_MAX];
	int len = relay_auth_write(shared->own_id, shared->token_payload, shared->token_signature, message);

	if (len > 0)
		len = websocket_send(server->ws, WEBSOCKET_MUST, message, len, NULL, 0);
	sodium_memzero(message, sizeof(message));
	return len;
}

/* The newest token is the one that counts: it may have come while we were dialling. */
static void on_opened(void *ctx)
{
	struct relay_client *server = ctx;
	uint64_t until = loop_now(server->shared->loop) + RELAY_AUTH_NS;

	relay_client_hold(server);
	server->state = RELAY_AUTHENTICATING;
	if (send_auth(server))
		end(server, "there is no token for the relay");
	else if (until < server->deadline.due_ns)
		loop_timer_set(server->shared->loop, &server->deadline, until);
	relay_client_put(server);
}

static void authenticated(struct relay_client *server, const struct relay_message *m)
{
	memcpy(server->address, m->payload, m->payload_len);
	server->address[m->payload_len] = '\0';
	server->state = RELAY_READY;
	server->is_healthy = false;
	loop_timer_after(server->shared->loop, &server->deadline, RELAY_HEALTH_NS);
	relay_peers_subscribe(server);
	server->events->up(server->ctx, server);
}

static void transport(struct relay_client *server, const struct relay_message *m)
{
	struct relay_stats *stats = &server->shared->stats;
	struct relay_peer *peer = relay_peer_find(server, m->ids);

	if (!peer || !peer->is_ready) {
		stats->rx_unknown++;
		relay_early_put(&server->shared->early, server, m->ids, m->payload, m->payload_len,
			loop_now(server->shared->loop));
		return;
	}
	stats->rx_packets++;
	stats->rx_bytes += m->payload_len;
	peer->events->received(peer->ctx, m->payload, m->payload_len);
}

static void presence(struct relay_client *server, const struct relay_message *m)
{
	for (size_t i = 0; i < m->id_count && server->state == RELAY_READY; i++) {
		if (m->type == RELAY_PEERS_ONLINE)
			relay_peer_online(server, m->ids + i * RELAY_ID_LEN);
		else
			relay_peer_offline(server, m->ids + i * RELAY_ID_LEN);
	}
}

static void dispatch(struct relay_client *server, const struct relay_message *m)
{
	if (m->type == RELAY_CLOSE) {
		end(server, "the relay ended the connection");
	} else if (server->state == RELAY_AUTHENTICATING) {
		if (m->type == RELAY_AUTH_RESPONSE)
			authenticated(server, m);
	} else if (m->type == RELAY_TRANSPORT) {
		transport(server, m);
	} else if (m->type == RELAY_HEALTH_CHECK) {
		server->is_healthy = true;
		relay_client_send(server, RELAY_HEALTH_CHECK, NULL, 0);
	} else {
		presence(server, m);
	}
}

static void on_message(void *ctx, const uint8_t *bytes, size_t len)
{
	struct relay_client *server = ctx;
	struct relay_message m;

	if (relay_message_parse(bytes, len, &m)) {
		server->shared->stats.malformed++;
		return;
	}
	relay_client_hold(server);
	dispatch(server, &m);
	relay_client_put(server);
}

/* A server that does not like our token says nothing and closes. */
static void on_closed(void *ctx, int error, const char *why)
{
	struct relay_client *server = ctx;
	char text[RELAY_WHY_LEN];

	if (server->state == RELAY_AUTHENTICATING)
		snprintf(text, sizeof(text), "the relay refused our token: %s", why);
	else
		snprintf(text, sizeof(text), "%s", why);
	relay_client_hold(server);
	end(server, text);
	relay_client_put(server);
}

static void check_health(struct relay_client *server)
{
	if (!server->is_healthy) {
		end(server, "the relay has gone silent");
		return;
	}
	server->is_healthy = false;
	loop_timer_after(server->shared->loop, &server->deadline, RELAY_HEALTH_NS);
}

static void on_deadline(void *ctx)
{
	struct relay_client *server = ctx;

	relay_client_hold(server);
	if (server->state == RELAY_READY)
		check_health(server);
	else
		end(server, server->state == RELAY_DIALLING ? "no connection in time"
			: "the relay did not answer our token in time");
	relay_client_put(server);
}

static void on_batch(void *ctx)
{
	relay_peers_batch(ctx);
}

static const struct websocket_events websocket_callbacks = {
	.opened = on_opened,
	.message = on_message,
	.closed = on_closed,
};

static int dial(struct relay_client *server)
{
	struct websocket_options options = { .path = PATH, .message_max = RELAY_MESSAGE_MAX,
		.timeout_ns = RELAY_DIAL_NS };
	struct relay_url url;
	int ret = relay_url_parse(server->uri, &url);

	if (ret)
		return ret;
	options.host = url.host;
	options.port = url.port;
	options.tls = url.tls;
	options.authority = url.authority;
	return websocket_open(server->shared->loop, &options, &websocket_callbacks, server, &server->ws);
}

int relay_client_new(struct relay_shared *shared, const char *uri, enum relay_role role,
	const struct relay_client_events *events, void *ctx, struct relay_client **ret_server)
{
	struct relay_client *server;
	int ret;

	if (strlen(uri) > RELAY_ADDRESS_MAX)
		return -EINVAL;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->shared = shared;
	server->role = role;
	server->events = events;
	server->ctx = ctx;
	server->refs = 1;
	server->born_ns = loop_now(shared->loop);
	snprintf(server->uri, sizeof(server->uri), "%s", uri);
	TAILQ_INIT(&server->peers);
	loop_timer_init(&server->deadline, on_deadline, server);
	loop_timer_init(&server->batch, on_batch, server);
	ret = dial(server);
	if (ret) {
		relay_client_put(server);
		return ret;
	}
	loop_timer_after(shared->loop, &server->deadline, RELAY_DIAL_NS);
	TAILQ_INSERT_TAIL(&shared->servers, server, entry);
	*ret_server = server;
	return 0;
}
