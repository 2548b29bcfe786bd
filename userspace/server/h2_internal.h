/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* HTTP/2 of one connection: frames and streams (h2.c), and the calls on them (call.c). */
#ifndef TALON_SERVER_H2_INTERNAL_H
#define TALON_SERVER_H2_INTERNAL_H

#include <nghttp2/nghttp2.h>

#include "grpc/grpc_wire.h"
#include "server/internal.h"

/* A request's header block while it comes; a connection has one at a time (RFC 9113 section 4.3). */
struct h2_head {
	size_t len, count;
	struct { uint16_t name, name_len, value, value_len; } fields[SERVER_FIELDS_MAX];
	char text[SERVER_HEADERS_MAX];	/* each with a terminator */
};

struct h2 {
	nghttp2_session *session;
	struct h2_head *head;
	void *buffer;			/* in which nghttp2 builds frames (h2_memory.c) */
	struct call_list calls;
	struct call_list over;		/* whose owners are to be told */
	bool is_busy;			/* in nghttp2 */
	bool is_ending;			/* GOAWAY with an error: nothing more is read */
	bool has_built;			/* frames, since the buffer was given back */
	bool is_building;		/* one of them is not yet taken */
	bool is_malformed;		/* that was noted */
	bool had_call;
	double credit;			/* frames that the client may still send without any use */
	uint64_t credit_ns;
	uint64_t idle_ns;		/* since when there is no call */
};

/* A message that waits for its window. */
struct call_message {
	STAILQ_ENTRY(call_message) entry;
	size_t len, at;
	uint8_t bytes[];
};

struct server_call {
	TAILQ_ENTRY(server_call) entry, partial_entry;
	struct connection *c;
	int32_t id;
	struct endpoint remote;
	const struct server_call_events *events;	/* NULL: a plain request */
	void *ctx;
	struct grpc_assembler assembler;
	STAILQ_HEAD(, call_message) out;
	size_t queued;
	char *status_text;		/* grpc-message, encoded */
	int status;
	bool is_begun;			/* the first headers are on their way */
	bool is_ended;			/* by its owner */
	bool is_over;			/* its stream is gone */
	bool is_half_closed;		/* the client sends no more */
	bool is_deferred;		/* nghttp2 waits to be told that there is more */
	bool is_dirty;			/* drained() is due */
	bool is_partial;		/* among the server's partials */
	uint64_t ended_ns;		/* 0: not yet */
	uint64_t partial_ns;		/* since when a message is not whole; 0: none is */
};

/* For @h2's session. */
nghttp2_mem h2_memory(struct h2 *h2);
/* What the buffer has is of no use any more: no frame is being built or taken. */
void h2_memory_rest(struct h2 *h2);

/* A request whose headers are in @c->h2->head. */
void call_begin(struct connection *c, int32_t id);
/* False: the connection has gone while its owner heard of it. */
bool call_take(struct server_call *call, const uint8_t *bytes, size_t len);
bool call_half_closed(struct server_call *call);
/*
 * A DATA frame of @len bytes behind its @head, as nghttp2 was told that there is one. Returns 0; -EAGAIN: the
 * connection has enough to write; -ENOMEM.
 */
int call_write_frame(struct server_call *call, const uint8_t *head, size_t head_len, size_t len);
/* Its stream is gone: its owner is told in the connection's turn. */
void call_over(struct server_call *call);
/* Resets its stream. */
void call_reset(struct server_call *call, uint32_t error);
/* Tells its owner, and frees it. */
void call_done(struct server_call *call);
/* Ends what takes too long. Returns when to look again. */
uint64_t call_check(struct server_call *call, uint64_t now);

#endif
