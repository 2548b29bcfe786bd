// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One connection to one relay server: dial, authenticate, answer health checks, hand messages on.
#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "relay/relay_internal.h"

#define PATH "/relay"

static void release(void *object)
{
	struct relay_client *client = object;

	free(client->departed);
	free(client);
}

static void stop(struct relay_client *client)
{
	client->state = RELAY_ENDED;
	loop_timer_cancel(client->shared->loop, &client->deadline);
	loop_timer_cancel(client->shared->loop, &client->batch);
	relay_early_forget(&client->shared->early, client);
	websocket_free(client->ws);
	client->ws = NULL;
}

void relay_client_free(struct relay_client *client)
{
	if (client->is_freed)
		return;
	client->is_freed = true;
	stop(client);
	relay_peers_detach(client);
	TAILQ_REMOVE(&client->shared->clients, client, entry);
	loop_defer_free(client->shared->loop, &client->deferred, release, client);
	client->shared = NULL;
}

static int dial(struct relay_client *client);

/* The address that a peer told us is no good: now by name, in what is left of the time. */
static bool dial_by_name(struct relay_client *client, const char *why)
{
	const uint64_t until = client->born_ns + RELAY_DIAL_NS;

	if (!endpoint_is_known(&client->at) || client->state == RELAY_READY)
		return false;
	log_debug("relay %s: not at the address that a peer named: %s", client->name, why);
	client->at.family = 0;
	client->state = RELAY_DIALLING;
	websocket_free(client->ws);
	client->ws = NULL;
	if (until <= loop_now(client->shared->loop) || dial(client))
		return false;
	loop_timer_set(client->shared->loop, &client->deadline, until);
	return true;
}

static void end(struct relay_client *client, const char *why)
{
	char kept[RELAY_WHY_LEN];

	if (client->state == RELAY_ENDED || dial_by_name(client, why))
		return;
	snprintf(kept, sizeof(kept), "%s", why);
	stop(client);
	client->events->down(client->ctx, client, kept);
	relay_peers_lost(client, kept);
	relay_client_free(client);
}

int relay_client_send(struct relay_client *client, enum relay_type type, const uint8_t *ids, size_t count)
{
	uint8_t header[RELAY_HEADER_LEN];

	relay_header_write(type, header);
	return websocket_send(client->ws, WEBSOCKET_MUST, header, sizeof(header), ids, count * RELAY_ID_LEN);
}

void relay_client_abandon(struct relay_client *client)
{
	if (client->state == RELAY_READY && !websocket_abandon(client->ws))
		client->ws = NULL;
	relay_client_close(client);
}

void relay_client_close(struct relay_client *client)
{
	if (client->state == RELAY_READY && client->ws)
		relay_client_send(client, RELAY_CLOSE, NULL, 0);
	if (client->ws)
		websocket_close(client->ws);
	relay_client_free(client);
}

static int send_auth(struct relay_client *client)
{
	const struct relay_shared *shared = client->shared;
	uint8_t message[RELAY_AUTH_MAX];
	int len = relay_auth_write(shared->own_id, shared->token_payload, shared->token_signature, message);

	if (len > 0)
		len = websocket_send(client->ws, WEBSOCKET_MUST, message, len, NULL, 0);
	sodium_memzero(message, sizeof(message));
	return len;
}

/* Sends the newest token, which may have come while we were dialling. */
static void on_opened(void *ctx)
{
	struct relay_client *client = ctx;
	uint64_t until = loop_now(client->shared->loop) + RELAY_AUTH_NS;

	client->state = RELAY_AUTHENTICATING;
	if (send_auth(client))
		end(client, "there is no token for the relay");
	else if (until < client->deadline.due_ns)
		loop_timer_set(client->shared->loop, &client->deadline, until);
}

/* Whether the relay that answers is the one that was asked for; peers of another one are not online there. */
static bool is_expected(const struct relay_client *client)
{
	struct server_url url;

	return !endpoint_is_known(&client->at) ||
		(!server_url_parse(client->address, SERVER_SCHEMES_RELAY, &url) &&
		server_url_is_equal(&url, &client->url));
}

static void authenticated(struct relay_client *client, const struct relay_message *m)
{
	memcpy(client->address, m->payload, m->payload_len);
	client->address[m->payload_len] = '\0';
	if (!is_expected(client)) {
		end(client, "another relay answers there");
		return;
	}
	client->state = RELAY_READY;
	if (websocket_remote(client->ws, &client->remote))
		client->remote.family = 0;
	client->shared->stats.connects++;
	client->is_healthy = false;
	loop_timer_after(client->shared->loop, &client->deadline, RELAY_HEALTH_NS);
	relay_peers_subscribe(client);
	client->events->up(client->ctx, client);
}

static void transport(struct relay_client *client, const struct relay_message *m)
{
	struct relay_stats *stats = &client->shared->stats;
	struct relay_peer *peer = relay_peer_find(client, m->ids);

	if (!peer || !peer->is_ready) {
		stats->rx_unknown++;
		relay_early_put(&client->shared->early, client, m->ids, m->payload, m->payload_len,
			loop_now(client->shared->loop));
		return;
	}
	stats->rx_packets++;
	stats->rx_bytes += m->payload_len;
	peer->events->received(peer->ctx, m->payload, m->payload_len);
}

static void presence(struct relay_client *client, const struct relay_message *m)
{
	for (size_t i = 0; i < m->id_count && client->state == RELAY_READY; i++) {
		if (m->type == RELAY_PEERS_ONLINE)
			relay_peer_online(client, m->ids + i * RELAY_ID_LEN);
		else
			relay_peer_offline(client, m->ids + i * RELAY_ID_LEN);
	}
}

static void dispatch(struct relay_client *client, const struct relay_message *m)
{
	if (m->type == RELAY_CLOSE) {
		end(client, "the relay ended the connection");
	} else if (client->state == RELAY_AUTHENTICATING) {
		if (m->type == RELAY_AUTH_RESPONSE)
			authenticated(client, m);
	} else if (m->type == RELAY_TRANSPORT) {
		transport(client, m);
	} else if (m->type == RELAY_HEALTH_CHECK) {
		client->is_healthy = true;
		relay_client_send(client, RELAY_HEALTH_CHECK, NULL, 0);
	} else {
		presence(client, m);
	}
}

static void on_message(void *ctx, const uint8_t *bytes, size_t len)
{
	struct relay_client *client = ctx;
	struct relay_message m;

	if (relay_message_parse(bytes, len, &m)) {
		client->shared->stats.malformed++;
		return;
	}
	dispatch(client, &m);
}

/* A server that refuses our token closes without an answer. */
static void on_closed(void *ctx, int error, const char *why)
{
	struct relay_client *client = ctx;
	char text[RELAY_WHY_LEN];

	if (client->state == RELAY_AUTHENTICATING)
		snprintf(text, sizeof(text), "the relay refused our token: %s", why);
	else
		snprintf(text, sizeof(text), "%s", why);
	end(client, text);
}

static void check_health(struct relay_client *client)
{
	if (!client->is_healthy) {
		end(client, "the relay has gone silent");
		return;
	}
	client->is_healthy = false;
	loop_timer_after(client->shared->loop, &client->deadline, RELAY_HEALTH_NS);
}

static void on_deadline(void *ctx)
{
	struct relay_client *client = ctx;

	if (client->state == RELAY_READY)
		check_health(client);
	else
		end(client, client->state == RELAY_DIALLING ? "no connection in time"
			: "the relay did not answer our token in time");
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

static int dial(struct relay_client *client)
{
	struct websocket_options options = { .path = PATH, .message_max = RELAY_MESSAGE_MAX,
		.timeout_ns = RELAY_DIAL_NS };
	const struct server_url *url = &client->url;
	char authority[HOST_PORT_LEN], address[INET6_ADDRSTRLEN];

	server_url_format_authority(url, authority);
	options.host = url->host;
	if (endpoint_is_known(&client->at))
		options.address = inet_ntop(client->at.family, &client->at.remote, address, sizeof(address));
	options.port = url->port;
	options.tls = server_url_is_tls(url);
	options.authority = authority;
	return websocket_open(client->shared->loop, &options, &websocket_callbacks, client, &client->ws);
}

int relay_client_new(struct relay_shared *shared, const struct server_url *url, const struct endpoint *at,
	enum relay_role role, const struct relay_client_events *events, void *ctx,
	struct relay_client **ret_client)
{
	struct relay_client *client;
	int ret;

	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->shared = shared;
	client->role = role;
	client->events = events;
	client->ctx = ctx;
	client->born_ns = loop_now(shared->loop);
	client->url = *url;
	if (at)
		client->at = *at;
	server_url_format(url, client->name);
	TAILQ_INIT(&client->peers);
	loop_timer_init(&client->deadline, on_deadline, client);
	loop_timer_init(&client->batch, on_batch, client);
	ret = dial(client);
	if (ret) {
		release(client);
		return ret;
	}
	loop_timer_after(shared->loop, &client->deadline, at ? RELAY_AT_NS : RELAY_DIAL_NS);
	TAILQ_INSERT_TAIL(&shared->clients, client, entry);
	*ret_client = client;
	return 0;
}
