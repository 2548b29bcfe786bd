// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The relay's connections: tokens, presence, health checks, and packets from one to another.
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "hubrelay/hubrelay_internal.h"
#include "log/log.h"

#define PATH		"/relay"
#define PEERS_MAX	12000
#define AUTH_NS		(10 * LOOP_SECOND)
#define HEALTH_NS	(25 * LOOP_SECOND)
#define SILENCE_NS	(45 * LOOP_SECOND)
/* Of a reader's queue, what packets leave to messages of ours. */
#define CONTROL_ROOM	(32 * 1024)

static bool is_address(const char *text)
{
	size_t len = text ? strlen(text) : 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	}
	return len && len <= RELAY_ADDRESS_MAX;
}

int hubrelay_new(struct loop *loop, const struct hubrelay_options *options, struct hubrelay **ret_relay)
{
	struct hubrelay *relay;

	if (!is_address(options->instance_url))
		return -EINVAL;
	relay = calloc(1, sizeof(*relay));
	if (!relay)
		return -ENOMEM;
	if (hubrelay_table_init(&relay->table)) {
		free(relay);
		return -ENOMEM;
	}
	relay->loop = loop;
	memcpy(relay->secret, options->secret, sizeof(relay->secret));
	strcpy(relay->address, options->instance_url);
	relay->peers_max = options->peers_max ? options->peers_max : PEERS_MAX;
	relay->members_only = options->members_only;
	*ret_relay = relay;
	return 0;
}

/* A message of ours. There is room unless somebody reads nothing at all. */
static bool say(struct hubrelay_conn *conn, enum relay_type type, const void *body, size_t len)
{
	uint8_t *to = server_socket_reserve(conn->socket, RELAY_HEADER_LEN + len);

	if (!to)
		return false;
	relay_header_write(type, to);
	if (len)
		memcpy(to + RELAY_HEADER_LEN, body, len);
	server_socket_commit(conn->socket);
	return true;
}

/* Tells those who watch @spot. Nobody is ended before all are told: lists change with that. */
static void announce(struct hubrelay *relay, struct hubrelay_spot *spot, bool is_online)
{
	struct hubrelay_watch *watch;

	LIST_FOREACH(watch, &spot->watches, of_spot) {
		struct hubrelay_conn *conn = watch->conn;

		if (conn->state != HUBRELAY_READY || (is_online && !watch->wants_online))
			continue;
		watch->wants_online &= !is_online;
		if (say(conn, is_online ? RELAY_PEERS_ONLINE : RELAY_PEERS_OFFLINE, spot->id, RELAY_ID_LEN))
			continue;
		relay->counts.ended_slow++;
		conn->state = HUBRELAY_ENDING;
		loop_timer_set(relay->loop, &conn->timer, loop_now(relay->loop));
	}
}

/* Out of the table. @is_replaced: the same peer is connected anew, and nobody needs to know. */
static void detach(struct hubrelay_conn *conn, bool is_replaced)
{
	struct hubrelay *relay = conn->relay;
	struct hubrelay_spot *spot = conn->spot;

	loop_timer_cancel(relay->loop, &conn->timer);
	hubrelay_watch_clear(&relay->table, conn);
	if (!spot)
		return;
	conn->spot = NULL;
	spot->conn = NULL;
	relay->generation++;
	relay->counts.peers--;
	if (is_replaced)
		return;
	announce(relay, spot, false);
	hubrelay_spot_release(&relay->table, spot);
}

/* @conn may be gone after this. */
static void end(struct hubrelay_conn *conn, const char *why)
{
	if (conn->state == HUBRELAY_ENDED)
		return;
	conn->state = HUBRELAY_ENDED;
	detach(conn, false);
	say(conn, RELAY_CLOSE, NULL, 0);
	server_socket_end(conn->socket, why);
}

static void replace(struct hubrelay_conn *old)
{
	old->relay->counts.replaced++;
	detach(old, true);
	end(old, "the same peer connected anew");
}

/* One line for what can be tried often, whoever does it. */
static void refuse(struct hubrelay_conn *conn, uint64_t *counter, const char *why)
{
	static struct log_limit limit;
	char from[ENDPOINT_TEXT_LEN];

	++*counter;
	endpoint_format(server_socket_remote(conn->socket), from);
	log_limited(&limit, LOG_LEVEL_WARN, "relay: %s is refused: %s", from, why);
	end(conn, why);
}

static void on_timer(void *ctx)
{
	struct hubrelay_conn *conn = ctx;
	struct hubrelay *relay = conn->relay;
	uint64_t now = loop_now(relay->loop);

	if (conn->state == HUBRELAY_FRESH) {
		refuse(conn, &relay->counts.auth_late, "it did not authenticate within 10 s");
	} else if (conn->state == HUBRELAY_ENDING) {
		end(conn, "it reads too slowly");
	} else if (now - conn->heard_ns >= SILENCE_NS) {
		relay->counts.ended_silent++;
		end(conn, "no answer to health checks");
	} else if (!say(conn, RELAY_HEALTH_CHECK, NULL, 0)) {
		relay->counts.ended_slow++;
		end(conn, "it reads too slowly");
	} else {
		loop_timer_set(relay->loop, &conn->timer, now + HEALTH_NS);
	}
}

/* Takes the place of a connection that the same peer may have had. */
static void join(struct hubrelay_conn *conn, struct hubrelay_spot *spot)
{
	struct hubrelay *relay = conn->relay;
	struct hubrelay_conn *old = spot->conn;

	if (old)
		replace(old);
	conn->spot = spot;
	spot->conn = conn;
	relay->counts.peers++;
	conn->state = HUBRELAY_READY;
	conn->heard_ns = loop_now(relay->loop);
	loop_timer_after(relay->loop, &conn->timer, HEALTH_NS);
	if (!say(conn, RELAY_AUTH_RESPONSE, relay->address, strlen(relay->address)))
		end(conn, "no memory");
	else if (!old)
		announce(relay, spot, true);
}

static void authenticate(struct hubrelay_conn *conn, const struct relay_message *m)
{
	struct hubrelay *relay = conn->relay;
	struct hubrelay_spot *spot;
	int ret = hubrelay_token_check(relay->secret, m->ids, m->payload, m->payload_len, m->signature,
		clock_unix_ns() / LOOP_SECOND);

	if (ret) {
		refuse(conn, ret == -EKEYEXPIRED ? &relay->counts.auth_expired : &relay->counts.auth_refused,
			ret == -EKEYEXPIRED ? "its token has expired" :
				"its token is not one of ours for this peer");
		return;
	}
	spot = hubrelay_spot_get(&relay->table, m->ids);
	if (!spot || (!spot->conn && relay->counts.peers >= relay->peers_max)) {
		refuse(conn, &relay->counts.refused_full, "there are as many peers as this relay takes");
	} else if (relay->members_only && !spot->is_member) {
		refuse(conn, &relay->counts.auth_refused, "the peer is no member of this mesh");
	} else {
		join(conn, spot);
		return;
	}
	if (spot)
		hubrelay_spot_release(&relay->table, spot);
}

static struct hubrelay_conn *find_destination(struct hubrelay_conn *conn, const uint8_t *id)
{
	struct hubrelay *relay = conn->relay;
	struct hubrelay_spot *spot;

	if (conn->last && conn->last_generation == relay->generation &&
		!memcmp(conn->last->spot->id, id, RELAY_ID_LEN))
		return conn->last;
	spot = hubrelay_spot_find(&relay->table, id);
	if (!spot || !spot->conn)
		return NULL;
	conn->last = spot->conn;
	conn->last_generation = relay->generation;
	return conn->last;
}

/* The hot path: one look at the id, one copy. */
static void transport(struct hubrelay_conn *conn, const uint8_t *bytes, size_t len,
	const struct relay_message *m)
{
	struct hubrelay_counts *counts = &conn->relay->counts;
	struct hubrelay_conn *to = find_destination(conn, m->ids);
	uint8_t *room = NULL;

	conn->in += m->payload_len;
	if (!to) {
		counts->lost_offline++;
		return;
	}
	if (server_socket_waiting(to->socket) + len <= SERVER_SOCKET_QUEUE - CONTROL_ROOM)
		room = server_socket_reserve(to->socket, len);
	if (!room) {
		counts->lost_slow++;
		return;
	}
	relay_transport_write(conn->spot->id, room);
	memcpy(room + RELAY_TRANSPORT_LEN, m->payload, m->payload_len);
	server_socket_commit(to->socket);
	to->out += m->payload_len;
	counts->packets++;
	counts->bytes += m->payload_len;
}

static void subscribe(struct hubrelay_conn *conn, const struct relay_message *m)
{
	struct hubrelay *relay = conn->relay;
	uint8_t online[RELAY_IDS_MAX * RELAY_ID_LEN];
	size_t len = 0;

	for (size_t i = 0; i < m->id_count; i++) {
		const uint8_t *id = m->ids + i * RELAY_ID_LEN;
		struct hubrelay_spot *spot = hubrelay_spot_get(&relay->table, id);
		struct hubrelay_watch *watch = spot ? hubrelay_watch_add(&relay->table, conn, spot,
			relay->peers_max) : NULL;

		if (watch)
			watch->wants_online = true;
		else
			relay->counts.watches_refused++;
		if (spot && spot->conn) {
			memcpy(online + len, id, RELAY_ID_LEN);
			len += RELAY_ID_LEN;
		}
		if (spot)
			hubrelay_spot_release(&relay->table, spot);
	}
	if (len && !say(conn, RELAY_PEERS_ONLINE, online, len)) {
		relay->counts.ended_slow++;
		end(conn, "it reads too slowly");
	}
}

static void unsubscribe(struct hubrelay_conn *conn, const struct relay_message *m)
{
	struct hubrelay_table *table = &conn->relay->table;

	for (size_t i = 0; i < m->id_count; i++) {
		struct hubrelay_spot *spot = hubrelay_spot_find(table, m->ids + i * RELAY_ID_LEN);

		if (spot)
			hubrelay_watch_remove(table, conn, spot);
	}
}

static void on_message(void *ctx, uint8_t *bytes, size_t len)
{
	struct hubrelay_conn *conn = ctx;
	struct relay_message m;

	if (conn->state == HUBRELAY_ENDED || conn->state == HUBRELAY_ENDING)
		return;
	if (relay_request_parse(bytes, len, &m) ||
		(m.type == RELAY_AUTH) != (conn->state == HUBRELAY_FRESH)) {
		refuse(conn, &conn->relay->counts.malformed, conn->state == HUBRELAY_FRESH ?
			"its first message is no Auth" : "a message that no client may send");
		return;
	}
	switch (m.type) {
	case RELAY_TRANSPORT:
		transport(conn, bytes, len, &m);
		break;
	case RELAY_HEALTH_CHECK:
		conn->heard_ns = loop_now(conn->relay->loop);
		break;
	case RELAY_AUTH:
		authenticate(conn, &m);
		break;
	case RELAY_SUBSCRIBE:
		subscribe(conn, &m);
		break;
	case RELAY_UNSUBSCRIBE:
		unsubscribe(conn, &m);
		break;
	default:
		end(conn, "it said Close");
	}
}

static void on_closed(void *ctx, const char *why)
{
	struct hubrelay_conn *conn = ctx;

	if (conn->relay) {
		if (conn->state != HUBRELAY_ENDED)
			detach(conn, false);
		LIST_REMOVE(conn, entry);
	}
	free(conn);
}

static const struct server_socket_events events = { .message = on_message, .closed = on_closed };

bool hubrelay_take(struct hubrelay *relay, struct server_socket *socket, const struct server_request *request,
	const struct server_socket_events **ret_events, void **ret_ctx)
{
	struct hubrelay_conn *conn;

	if (strcmp(request->path, PATH))
		return false;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return false;
	conn->relay = relay;
	conn->socket = socket;
	LIST_INSERT_HEAD(&relay->conns, conn, entry);
	loop_timer_init(&conn->timer, on_timer, conn);
	loop_timer_after(relay->loop, &conn->timer, AUTH_NS);
	*ret_events = &events;
	*ret_ctx = conn;
	return true;
}

void hubrelay_free(struct hubrelay *relay)
{
	struct hubrelay_conn *conn;

	if (!relay)
		return;
	while ((conn = LIST_FIRST(&relay->conns))) {
		bool is_ended = conn->state == HUBRELAY_ENDED;

		if (!is_ended)
			detach(conn, true);
		LIST_REMOVE(conn, entry);
		conn->state = HUBRELAY_ENDED;
		conn->relay = NULL;
		if (!is_ended)
			server_socket_end(conn->socket, "the relay ends");
	}
	hubrelay_table_done(&relay->table);
	sodium_memzero(relay->secret, sizeof(relay->secret));
	free(relay);
}

static struct hubrelay_spot *spot_of(const struct hubrelay *relay, const uint8_t key[static KEY_LEN])
{
	uint8_t id[RELAY_ID_LEN];

	relay_id(key, id);
	return hubrelay_spot_find(&relay->table, id);
}

int hubrelay_admit(struct hubrelay *relay, const uint8_t key[static KEY_LEN])
{
	struct hubrelay_spot *spot;
	uint8_t id[RELAY_ID_LEN];

	relay_id(key, id);
	spot = hubrelay_spot_get(&relay->table, id);
	if (!spot)
		return -ENOMEM;
	spot->is_member = true;
	return 0;
}

void hubrelay_end_peer(struct hubrelay *relay, const uint8_t key[static KEY_LEN])
{
	struct hubrelay_spot *spot = spot_of(relay, key);

	if (!spot)
		return;
	spot->is_member = false;
	if (spot->conn)
		end(spot->conn, "the peer was removed");
	else
		hubrelay_spot_release(&relay->table, spot);
}

void hubrelay_counts(const struct hubrelay *relay, struct hubrelay_counts *ret_counts)
{
	*ret_counts = relay->counts;
	ret_counts->watches = relay->table.watch_count;
}

bool hubrelay_peer_counts(const struct hubrelay *relay, const uint8_t key[static KEY_LEN], uint64_t *ret_in,
	uint64_t *ret_out)
{
	const struct hubrelay_spot *spot = spot_of(relay, key);

	if (!spot || !spot->conn)
		return false;
	*ret_in = spot->conn->in;
	*ret_out = spot->conn->out;
	return true;
}
