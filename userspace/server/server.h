/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One TCP port for three kinds of client, told apart by their first bytes: gRPC over HTTP/2 (nghttp2),
 * WebSocket, and plain requests over either HTTP. Cleartext (HTTP/2 with prior knowledge) or TLS with a
 * certificate of ours, read again when its file changes. Everything that a client can make it keep is bounded
 * in bytes and time.
 */
#ifndef TALON_SERVER_H
#define TALON_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cidr.h"
#include "base/endpoint.h"
#include "base/slice.h"
#include "loop/loop.h"

struct server;
struct server_call;
struct server_socket;

#define SERVER_WHY_LEN 256

struct server_options {
	/* remote and port are what to listen at; :: takes both families */
	struct endpoint listen;
	const char *certificate, *key;		/* PEM files; NULL: cleartext */
	size_t connections_max;			/* 0: 12,000 */
	size_t connections_per_address;		/* 0: 256; those of a trusted proxy have none */
	/*
	 * TLS handshakes of one address (IPv6: /64): unfinished at a time (0: 64), and begun: 256 at once,
	 * then so many a second (0: 100). Others wait for their turn, unheard, for silence_ns at most.
	 */
	size_t handshakes_per_address, handshakes_per_second;
	size_t call_message_max;		/* bytes of one received gRPC message; 0: 4 MiB */
	size_t socket_message_max;		/* bytes of one received WebSocket message; 0: 8,820 */
	uint64_t silence_ns;			/* for handshake and first request; 0: 10 s */
	/* of silence of a connection with open calls or sockets; 0: 30 s */
	uint64_t ping_after_ns;
	/* whose X-Forwarded-For is believed: its last address is the client's */
	const struct cidr *proxies;
	size_t proxy_count;
};

/*
 * Whatever owners call here never calls them back before it returns: ends and drained() come later.
 * server_free() alone does, and may be called from anywhere.
 */

/* What a client asked for first; valid until the callback returns. */
struct server_request {
	const char *method, *path;		/* path without query */
	const char *query;			/* "" if there is none */
	struct slice host;			/* Host or :authority */
	const struct endpoint *remote;		/* of the client, as far as trusted proxies tell */
	bool is_tls;				/* on our side, or by a trusted proxy's word */
};
/* A field of the request by its lower-case @name; at NULL if it is not there, or there twice. */
struct slice server_request_field(const struct server_request *request, const char *name);

struct server_call_events {
	/* One whole message; valid until the callback returns. */
	void (*message)(void *ctx, const uint8_t *bytes, size_t len);
	/* The client sends no more. May be NULL. */
	void (*half_closed)(void *ctx);
	/* All that was sent is with the kernel. May be NULL. */
	void (*drained)(void *ctx);
	/*
	 * The client or its connection has gone, or server_call_end() is done: once, the call is freed after
	 * it.
	 */
	void (*closed)(void *ctx);
};

struct server_socket_events {
	/* One binary message, unmasked in place; valid and writable until the callback returns. */
	void (*message)(void *ctx, uint8_t *bytes, size_t len);
	/* What waited for the kernel has shrunk below half of SERVER_SOCKET_QUEUE. May be NULL. */
	void (*drained)(void *ctx);
	void (*closed)(void *ctx, const char *why);
};

/* A small answer to a plain request: text is copied. */
struct server_answer {
	int status;
	const char *type;			/* Content-Type */
	const char *body;
	size_t len;
	const char *location;			/* of a redirect; NULL: none */
};

struct server_events {
	/*
	 * A gRPC call. True: *@ret_events and *@ret_ctx are set, and messages follow; false: it is answered
	 * with UNIMPLEMENTED.
	 */
	bool (*call)(void *ctx, struct server_call *call, const struct server_request *request,
		const struct server_call_events **ret_events, void **ret_ctx);
	/* An upgrade to WebSocket. False: 404. Messages can be sent from its return on. */
	bool (*socket)(void *ctx, struct server_socket *socket, const struct server_request *request,
		const struct server_socket_events **ret_events, void **ret_ctx);
	/* Any other request: the answer's strings need to live until this returns. */
	void (*request)(void *ctx, const struct server_request *request, struct server_answer *ret_answer);
};

/* Listens. Returns 0 or a negative errno, with one line in @why. */
int server_new(struct loop *loop, const struct server_options *options, const struct server_events *events,
	void *ctx, struct server **ret_server, char why[static SERVER_WHY_LEN]);
/* Ends everything; closed() is called for each call and socket. NULL is allowed. */
void server_free(struct server *server);
/* Takes no new connections and asks those of HTTP/2 to go (GOAWAY); what is open goes on. */
void server_drain(struct server *server);
/* The port that it listens at, host order. */
uint16_t server_port(const struct server *server);
/* Reads certificate and key again now. Returns 0, or a negative errno with @why: the old ones stay. */
int server_reload(struct server *server, char why[static SERVER_WHY_LEN]);

/* ---- gRPC ---- */

const struct endpoint *server_call_remote(const struct server_call *call);
/* Sends the first headers now, with these beside gRPC's own; without it they go with the first message. */
int server_call_begin(struct server_call *call, const char *const names[], const char *const values[],
	size_t count);
/*
 * Queues one message. Returns 0, -ENOMEM, or -EPIPE: ended, also because more than 4 MiB would wait behind a
 * message that waits already; to the client that is RESOURCE_EXHAUSTED, and closed() follows.
 */
int server_call_send(struct server_call *call, const void *bytes, size_t len);
/* Bytes that were sent and are not yet with the kernel. */
size_t server_call_waiting(const struct server_call *call);
/*
 * Trailers: @status as enum grpc_status, @text may be NULL. What was sent goes out first. closed() follows.
 */
void server_call_end(struct server_call *call, int status, const char *text);

/* ---- WebSocket ---- */

#define SERVER_SOCKET_QUEUE	(256 * 1024)	/* bytes that wait for the kernel at most */

const struct endpoint *server_socket_remote(const struct server_socket *socket);
/*
 * Room for one binary message of @len bytes, to be filled and committed before anything else is done with
 * @socket. NULL: more than SERVER_SOCKET_QUEUE would wait, or it has ended.
 */
uint8_t *server_socket_reserve(struct server_socket *socket, size_t len);
/* The message that was reserved goes out, with others at the end of the loop's turn or when 64 KiB wait. */
void server_socket_commit(struct server_socket *socket);
size_t server_socket_waiting(const struct server_socket *socket);
/*
 * Ends it in order: no further message comes, what waits is written as far as the client reads it, and
 * closed() follows.
 */
void server_socket_end(struct server_socket *socket, const char *why);

/* ---- counts, for metrics ---- */

struct server_counts {
	uint64_t connections, calls, sockets;			/* open now */
	uint64_t accepted, requests;
	uint64_t handshakes_put_off;		/* that had to wait for others of their address */
	uint64_t refused_full, refused_address, handshake_failed, timed_out, malformed, oversized;
	uint64_t handshake_late;		/* its turn did not come in time */
	uint64_t flooded;			/* frames or streams faster than anybody needs */
	uint64_t slow;				/* read nothing while something waited for them */
};
void server_counts(const struct server *server, struct server_counts *ret_counts);

#endif
