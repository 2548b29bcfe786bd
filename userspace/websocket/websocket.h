/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A WebSocket connection as a client (RFC 6455), binary messages only, made for many small ones: messages are
 * handed over where they were read and built where they are written from. The sending side is bounded in
 * bytes and in time.
 */
#ifndef TALON_WEBSOCKET_H
#define TALON_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "loop/loop.h"
#include "talon/relayed_types.h"

#define WEBSOCKET_QUEUE_SIZE	(1024 * 1024)		/* bytes that wait for the socket at most */
/* and how long, about, by how fast the socket takes them, before new ones are refused */
#define WEBSOCKET_QUEUE_NS	(60 * LOOP_MS)
/* so many may wait even if that is longer: a few dozen packets */
#define WEBSOCKET_QUEUE_LEAST	(24 * 1024)
#define WEBSOCKET_QUEUE_PACE	(4 * 1024 * 1024)	/* bytes a second, until the socket's pace is known */
#define WEBSOCKET_QUEUE_KEPT	(32 * 1024)		/* of the bytes, for messages that must get through */

struct websocket;

struct websocket_options {
	const char *host;		/* name or literal address */
	uint16_t port;
	const char *address;		/* of the stream below; NULL: @host is looked up */
	bool tls;
	const char *authority;		/* Host header */
	const char *path;
	size_t message_max;		/* both ways; a longer one from the server ends the connection */
	/* for the stream below; the answer to the upgrade is the caller's to wait for */
	uint64_t timeout_ns;
};

struct websocket_events {
	/* The server agreed. Only now messages can be sent. */
	void (*opened)(void *ctx);
	/* Valid until the callback returns. May be empty. */
	void (*message)(void *ctx, const uint8_t *bytes, size_t len);
	/* The end, once, with one line why. To be freed. */
	void (*closed)(void *ctx, int error, const char *why);
};

/* Never calls back before it returned. @options' strings are copied. Returns 0 or a negative errno. */
int websocket_open(struct loop *loop, const struct websocket_options *options,
	const struct websocket_events *events, void *ctx, struct websocket **ret_websocket);
/* No callback comes after it. May be called from a callback. NULL is allowed. */
void websocket_free(struct websocket *ws);

/* WEBSOCKET_PACKET: lost rather than late. WEBSOCKET_MUST: part of a conversation, few and small. */
enum websocket_class { WEBSOCKET_PACKET, WEBSOCKET_MUST };
/*
 * Queues one message, @head and then @body (either may be empty, not both). Returns 0; -EAGAIN when too much
 * waits already, in bytes or in time; -ENOTCONN; -EMSGSIZE. Goes out with websocket_flush(), or earlier.
 */
int websocket_send(struct websocket *ws, enum websocket_class class, const void *head, size_t head_len,
	const void *body, size_t body_len);
/* Writes what the socket takes; the rest follows by itself. Calls nothing back. */
void websocket_flush(struct websocket *ws);
/* Where it is connected to, if not by a proxy: 0 or a negative errno. */
int websocket_remote(const struct websocket *ws, struct endpoint *ret_remote);
/* The stream's TCP connection, and to let go of it: as stream_connection() and stream_abandon(). */
int websocket_connection(const struct websocket *ws, struct talon_quiet *ret_connection);
int websocket_abandon(struct websocket *ws);
/* Tells the server of an orderly end, if there is room. The connection is to be freed after it. */
void websocket_close(struct websocket *ws);

#endif
