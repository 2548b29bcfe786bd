/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the parts of the gRPC client share: calls (grpc_call.c), channel and connections (grpc.c).
 */
#ifndef TALON_GRPC_INTERNAL_H
#define TALON_GRPC_INTERNAL_H

#include <nghttp2/nghttp2.h>
#include <sys/queue.h>

#include "grpc/grpc.h"
#include "grpc/grpc_wire.h"

#define GRPC_HOST_LEN		256
#define GRPC_HEADERS_MAX	64	/* of a first header block that are passed on */
#define GRPC_HEADER_BYTES_MAX	16384

/* ---- grpc_call.c ---- */

struct grpc_connection;

struct grpc_call {
	TAILQ_ENTRY(grpc_call) entry;
	/* NULL: the call is over, and freed when its callback returns */
	struct grpc_channel *channel;
	struct grpc_connection *connection;	/* NULL: ended, done() not yet called */
	int32_t stream_id;
	struct grpc_call_events events;
	void *ctx;
	struct loop_deferred deferred;		/* a callback may free it */
	struct loop_timer timer;		/* the deadline; when the call has ended, its done() */
	uint64_t timeout_ns;
	uint64_t deadline_ns;
	bool is_unary;

	/* the request */
	char *path;
	struct grpc_header *metadata;
	size_t metadata_count;
	/* kept from its beginning while it may have to be sent again */
	uint8_t *out;
	size_t out_len, out_sent;
	bool is_half_closed;
	bool may_retry;				/* nothing was received, and it was not tried twice */
	bool was_not_sent;			/* the connection refused to open a stream for it */

	/* the answer */
	bool has_answer;			/* the first header block is complete */
	bool is_answered;			/* the server ended its side */
	bool is_grpc;				/* by its content type */
	char content_type[64];
	int grpc_status;			/* -1: none yet */
	char *header_text;			/* name 0 value 0 ..., for events.headers */
	size_t header_len, header_count;
	struct grpc_assembler assembler;
	size_t messages;

	bool is_ending;
	struct grpc_end end;
};

/* Its time runs from now on: not while the server's name is looked up, which the stream limits. */
void grpc_call_begin_limit(struct grpc_call *call);
/* Decides the end and leaves the connection; done() comes from the timer. */
void grpc_call_end(struct grpc_call *call, int status, bool from_server, const char *format,
	...) __attribute__((format(printf, 4, 5)));
/*
 * The call's stream is gone with the server's word that it did nothing, or before it was sent: another
 * connection gets it.
 */
void grpc_call_retry(struct grpc_call *call);
/* Frees it, or, when a callback of its runs, lets that do it. */
void grpc_call_free(struct grpc_call *call);

/* What nghttp2 found on the call's stream. False: the call is not there any more. */
void grpc_call_begin_headers(struct grpc_call *call);
void grpc_call_take_header(struct grpc_call *call, const char *name, size_t name_len, const char *value,
	size_t len);
void grpc_call_end_headers(struct grpc_call *call, bool is_last);
void grpc_call_take_data(struct grpc_call *call, const uint8_t *bytes, size_t len);
void grpc_call_end_data(struct grpc_call *call);
void grpc_call_closed(struct grpc_call *call, uint32_t error_code, const char *why);
/* As nghttp2_data_source_read_callback. */
ssize_t grpc_call_read_out(struct grpc_call *call, uint8_t *buf, size_t len, uint32_t *flags);

/* ---- grpc.c ---- */

struct grpc_connection {
	LIST_ENTRY(grpc_connection) entry;
	struct grpc_channel *channel;	/* NULL: closed in a callback of nghttp2, whose caller frees it */
	struct stream *stream;
	nghttp2_session *session;
	bool is_looked_up;		/* the server's name has become addresses */
	bool is_up;			/* bytes may be written */
	bool is_ready;			/* the server's SETTINGS came */
	bool is_draining;		/* takes no new calls */
	bool is_busy;			/* in nghttp2 */
	bool has_read;
	size_t calls;
	uint8_t *out;			/* frames that the stream did not take yet */
	size_t out_len;
	struct loop_timer pump;
	struct loop_timer liveness;
	uint64_t heard_ns;		/* when anything came, or the first call began after idleness */
	uint64_t pinged_ns;		/* the last PING */
	bool awaits_pong;
	char error[128];		/* what nghttp2 did not like */
};

struct grpc_channel {
	struct loop *loop;
	char host[GRPC_HOST_LEN];
	uint16_t port;
	bool tls;
	char authority[GRPC_HOST_LEN + 8];
	char *user_agent;
	uint64_t connect_timeout_ns, ping_after_ns, ping_timeout_ns;
	TAILQ_HEAD(, grpc_call) calls;
	LIST_HEAD(, grpc_connection) connections;
	struct grpc_connection *current;	/* for new calls */
};

/* Puts the call on a connection. Returns 0 or a negative errno. */
int grpc_channel_attach(struct grpc_channel *channel, struct grpc_call *call);
/* Takes it off, with RST_STREAM where the stream still lives. */
void grpc_channel_detach(struct grpc_call *call);
/* There is something to write; it is written from the loop. */
void grpc_connection_kick(struct grpc_connection *connection);

#endif
