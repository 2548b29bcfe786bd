/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * gRPC over HTTP/2 (nghttp2) as a client: unary, server-streaming and bidirectional calls on one
 * connection per channel, cleartext with prior knowledge or TLS with ALPN h2. Liveness is proved by PINGs
 * (gRPC's keepalive).
 */
#ifndef TALON_GRPC_H
#define TALON_GRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/loop.h"

#define GRPC_MESSAGE_MAX	(16U << 20)	/* bytes of one received message */
#define GRPC_TEXT_LEN		256

/* https://grpc.io/docs/guides/status-codes/ */
enum grpc_status {
	GRPC_OK = 0, GRPC_CANCELLED = 1, GRPC_UNKNOWN = 2, GRPC_INVALID_ARGUMENT = 3,
		GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5, GRPC_ALREADY_EXISTS = 6, GRPC_PERMISSION_DENIED = 7, GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9, GRPC_ABORTED = 10, GRPC_OUT_OF_RANGE = 11, GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13, GRPC_UNAVAILABLE = 14, GRPC_DATA_LOSS = 15, GRPC_UNAUTHENTICATED = 16,
};
/* "PermissionDenied"; "Code(99)" for what is not in the list. */
const char *grpc_status_name(int status);

/* How a call ended. */
struct grpc_end {
	/* enum grpc_status; made from the HTTP status or the transport's error where the server sent none */
	int status;
	/* a real grpc-status: only then may it be taken for the server's verdict */
	bool from_server;
	int http_status;		/* 0: none came */
	/* the other side ended this stream alone, before its end; the connection is there */
	bool was_reset;
	/* grpc-message decoded, or one line about what went wrong; never empty unless status is OK */
	char text[GRPC_TEXT_LEN];
};

struct grpc_header {
	const char *name;		/* lower case */
	const char *value;
};

struct grpc_channel;
struct grpc_call;

struct grpc_channel_options {
	const char *host;
	uint16_t port;
	bool tls;
	const char *user_agent;		/* NULL: "talon/VERSION" */
	uint64_t connect_timeout_ns;	/* 0: 30 s */
	/* of silence while a call is open; 0: 30 s, never under 15 s (servers end such connections) */
	uint64_t ping_after_ns;
	uint64_t ping_timeout_ns;	/* 0: 10 s */
};

struct grpc_call_events {
	/* The first header block came. May be NULL. */
	void (*headers)(void *ctx, const struct grpc_header *headers, size_t count);
	/* One whole message; @bytes are the call's own until the callback returns. */
	void (*message)(void *ctx, const uint8_t *bytes, size_t len);
	/* The end, once; the call is freed when this returns. */
	void (*done)(void *ctx, const struct grpc_end *end);
};

int grpc_channel_new(struct loop *loop, const struct grpc_channel_options *options,
	struct grpc_channel **ret_channel);
/* Ends all calls without calling back. NULL is allowed. */
void grpc_channel_free(struct grpc_channel *channel);
/* Drops the connection: open calls end with GRPC_UNAVAILABLE and @why; the next call connects anew. */
void grpc_channel_reset(struct grpc_channel *channel, const char *why);
/* Pings at least this often; less often once the server has sent GOAWAY with "too_many_pings". */
void grpc_channel_prove_each(struct grpc_channel *channel, uint64_t ns);
bool grpc_channel_is_connected(const struct grpc_channel *channel);
/* Connects now, so that the first call need not wait. */
void grpc_channel_connect(struct grpc_channel *channel);

struct grpc_call_options {
	const char *path;		/* "/management.ManagementService/Login" */
	const struct grpc_header *metadata;
	size_t metadata_count;
	uint64_t timeout_ns;		/* 0: none */
	bool keep_open;			/* the request side stays open for grpc_call_send() */
	bool is_unary;			/* OK without exactly one message is an error */
};

/*
 * Starts a call with @len bytes as its first message (@bytes NULL: no message, only with keep_open). Connects
 * if need be; callbacks come later, never before it returned. Returns 0 or a negative errno.
 */
int grpc_call_start(struct grpc_channel *channel, const struct grpc_call_options *options, const void *bytes,
	size_t len, const struct grpc_call_events *events, void *ctx, struct grpc_call **ret_call);
int grpc_call_send(struct grpc_call *call, const void *bytes, size_t len);
void grpc_call_half_close(struct grpc_call *call);

/*
 * A PING now, for an answer that is late: a proxy that holds back what it has lets it go with its own answer.
 * Sparingly: servers count PINGs.
 */
void grpc_call_nudge(struct grpc_call *call);
/* Resets the stream and frees the call; no callback comes. NULL is allowed. */
void grpc_call_cancel(struct grpc_call *call);

#endif
