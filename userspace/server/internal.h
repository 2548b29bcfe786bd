/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the parts of the server share. From the socket to the owner: listen.c takes connections, connection.c
 * moves their bytes (through tls_server.c where there is a certificate), and http1.c, socket.c or h2.c and
 * call.c make requests, messages and calls of them.
 *
 * Owners are called from three places only: while bytes are taken, in the server's turn, and in
 * server_free(). What they call themselves never calls them back.
 */
#ifndef TALON_SERVER_INTERNAL_H
#define TALON_SERVER_INTERNAL_H

#include <openssl/types.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "base/rate.h"
#include "http/head.h"
#include "server/server.h"

#define SERVER_READ_ROOM	(256 * 1024)	/* bytes that one connection may hand over at a time */
#define SERVER_HEAD_MAX		8192		/* of an HTTP/1 request */
#define SERVER_HEADERS_MAX	16384		/* of an HTTP/2 one: names and values */
#define SERVER_FIELDS_MAX	64
#define SERVER_FLUSH_AT		(64 * 1024)	/* so much waiting is written before the turn ends */
#define SERVER_CALL_QUEUE	(4 << 20)	/* bytes that wait in a call behind its first message */
#define SERVER_STREAMS_MAX	32		/* of one HTTP/2 connection */
#define SERVER_RECORD_MAX	16384		/* plain bytes of a TLS record */
/* What a page of ours may do in a browser: show itself (CSP level 3). */
#define ANSWER_POLICY "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; " \
	"frame-ancestors 'none'"
#define SERVER_POOLS		3

/* ---- what happened, counted and told ---- */

enum server_event {
	SERVER_FULL, SERVER_ADDRESS, SERVER_HANDSHAKE, SERVER_HANDSHAKE_LATE, SERVER_TIMED_OUT,
	SERVER_MALFORMED, SERVER_OVERSIZED,
	SERVER_FLOODED, SERVER_SLOW, SERVER_EVENTS
};

/* Counts it; a line for it at most once a minute for each address, and a few for each kind. */
void server_note(struct server *server, enum server_event event, const struct endpoint *remote,
	const char *text);

/* ---- out.c: bytes that wait for the kernel ---- */

struct chunk {
	struct chunk *next;
	uint32_t room, at, len;		/* filled is [at, at + len) */
	uint8_t bytes[];
};

/* Zero is empty. */
struct out {
	struct chunk *first, *last;
	size_t waiting;
};

/* Chunks that nothing waits in, by size. */
struct chunk_pool {
	struct chunk *free;
	size_t count;
};

/* @len bytes in one part, which count from out_commit() on. NULL: out of memory. */
uint8_t *out_reserve(struct server *server, struct out *out, size_t len);
void out_commit(struct server *server, struct out *out, size_t len);
/* Returns 0 or -ENOMEM. */
int out_put(struct server *server, struct out *out, const void *bytes, size_t len);
void out_consume(struct server *server, struct out *out, size_t len);
void out_drop(struct server *server, struct out *out);
void chunk_pools_free(struct server *server);

/* ---- the server ---- */

struct address {
	struct address *next;
	struct endpoint at;		/* of IPv6 the first 64 bits */
	size_t count;
	size_t handshakes;		/* of TLS, unfinished */
	struct rate handshake_rate;
};

#define SERVER_ADDRESS_SLOTS	1024
#define SERVER_TOLD_SLOTS	256

TAILQ_HEAD(connection_list, connection);
TAILQ_HEAD(call_list, server_call);

struct server {
	struct loop *loop;
	struct server_options options;
	struct cidr *proxies;
	struct server_events events;
	void *ctx;
	char *certificate, *key;
	SSL_CTX *tls;
	struct stat certificate_stat, key_stat;	/* as they were last read */
	uint64_t certificate_checked_ns;

	struct loop_fd watch;			/* the listener */
	uint16_t port;
	bool is_draining;
	bool is_over;
	struct loop_timer rest;			/* no descriptors left: nobody is taken for a while */
	struct connection_list connections;
	struct connection_list put_off;		/* may not begin their handshake yet; first come first */
	struct loop_timer put_off_timer;
	struct connection_list turn_list;	/* have something to do at the end of the turn */
	struct loop_timer turn;
	struct address *addresses[SERVER_ADDRESS_SLOTS];
	uint8_t hash_key[16];
	struct { uint64_t what, at_ns; } told[SERVER_TOLD_SLOTS];
	struct loop_deferred deferred;

	/* one for all: only what is incomplete stays with its connection */
	uint8_t *in;
	size_t in_room;
	uint8_t *wire;				/* TLS: as read */
	const uint8_t *wire_at;
	size_t wire_len;
	uint8_t *sealed;			/* TLS: to be written */
	size_t sealed_len, sealed_room;

	struct chunk_pool pools[SERVER_POOLS];
	size_t waiting;				/* bytes in all chunks, and messages of calls */
	size_t assembling;			/* bytes of messages of calls that are not whole */
	struct call_list partials;		/* those calls, the one that began first in front */

	uint64_t connection_count, call_count, socket_count;
	uint64_t accepted, requests, handshakes_put_off;
	uint64_t counts[SERVER_EVENTS];
};

/* server_turn() is to be called at the end of this turn of the loop. */
void server_want_turn(struct server *server);

/* ---- connection.c ---- */

enum connection_stage {
	STAGE_PUT_OFF,		/* nothing is read, and there is no TLS yet */
	STAGE_HANDSHAKE,	/* of TLS */
	STAGE_SNIFF,		/* nothing known */
	STAGE_HTTP1,
	STAGE_SOCKET,
	STAGE_HTTP2,
	STAGE_ENDING,		/* writes what waits, then reads until the other side closes */
	STAGE_OVER,		/* closed; its memory goes with the turn */
};

struct connection {
	TAILQ_ENTRY(connection) entry, turn_entry, put_off_entry;
	struct server *server;
	struct loop_fd watch;
	struct loop_timer timer;
	struct loop_deferred deferred;
	struct endpoint remote;			/* of TCP */
	struct address *address;		/* NULL: not counted */
	bool is_shaking;			/* its handshake is one of the address's */
	enum connection_stage stage;
	bool is_trusted;			/* a proxy that may tell addresses */
	bool is_in_turn;
	bool is_stalled;			/* the kernel takes no more */
	bool is_served;				/* a request was understood */
	bool is_shut;				/* written to its end */
	bool is_paused;				/* not read from */
	const char *failed;			/* ends in its turn, at once */
	uint64_t began_ns;			/* when it came, or a later request began; 0: none has */
	uint64_t heard_ns, pinged_ns;
	uint64_t stalled_ns;			/* when the kernel last took anything; 0: it takes all */
	struct out out;
	size_t reserved;			/* of out, between reserve and commit */
	uint8_t *held;				/* read, and not a whole of something */
	size_t held_len;
	SSL *ssl;
	uint8_t *sealed;			/* TLS records that the kernel did not take */
	size_t sealed_len, sealed_at;
	struct server_socket *socket;
	struct h2 *h2;
};

/* What all connections that wanted it have to do. */
void server_turn(void *server);
/* @fd is its own now. Returns 0 or a negative errno, and then @fd is closed. */
int connection_new(struct server *server, int fd, const struct endpoint *remote, struct address *address,
	bool is_trusted);
/* Closes it now and tells its owners. Not from what an owner calls. */
void connection_drop(struct connection *c, const char *why);
/* The same, in its turn. @why stays. */
void connection_fail(struct connection *c, const char *why);
/* Nothing more is taken from it; what waits is written, as long as that goes on. */
void connection_finish(struct connection *c);
/* Something is to be written or done in its turn. */
void connection_want_turn(struct connection *c);
/* Writes what the kernel takes. Returns 0 or a negative errno. */
int connection_flush(struct connection *c);
bool connection_has_waiting(const struct connection *c);
/* Its TLS begins, or ends it. */
void connection_shake(struct connection *c);
/* As many as can be taken now; 0: more are needed first. */
size_t connection_sniff(struct connection *c, uint8_t *bytes, size_t len);
/* Bytes that came, behind those that were held. */
void connection_take(struct connection *c, uint8_t *bytes, size_t len);

/* ---- handshakes.c ---- */

/* @c may begin its handshake now; else it waits, and connection_shake() is called later. */
bool handshakes_may_begin(struct connection *c);
/* @c has finished its handshake, or ends. */
void handshakes_leave(struct connection *c);
void handshakes_init(struct server *server);

/* ---- tls_server.c ---- */

/* The server's certificate as it is in its files. Returns 0 or a negative errno with @why. */
int server_tls_load(struct server *server, char why[static SERVER_WHY_LEN]);
/* One of the files is another than the one that was last tried. */
bool server_tls_is_changed(const struct server *server);
int server_tls_accept(struct connection *c);
/* 1: done, 0: more is needed, -EPROTO. What it has to say is with the connection. */
int server_tls_handshake(struct connection *c);
/* Plain bytes out of what was read (server->wire). Returns how many, or -EPROTO, -EPIPE (the other's end). */
ssize_t server_tls_open(struct connection *c, uint8_t *buf, size_t room);
/* Makes records of what waits in c->out, as many as server->sealed has room for. Returns 0 or -EPROTO. */
int server_tls_seal(struct connection *c);
/* Says so if that goes at once; from here on the connection has no TLS. */
void server_tls_goodbye(struct connection *c);
/* Writes what it put into server->sealed. Returns 0 or a negative errno. In connection.c. */
int connection_put_sealed(struct connection *c);

/* ---- request.c ---- */

struct request {
	struct server_request is;	/* the first member: server_request_field() finds the others by it */
	struct http_field fields[SERVER_FIELDS_MAX];
	size_t field_count;
	struct endpoint remote;
};

/* Who asked: behind a trusted proxy, whom it tells. */
void request_settle(struct request *request, const struct connection *c);
/* Cuts the terminated @target into path and query. */
void request_set_target(struct request *request, char *target);
/* The reason phrase of a status that is answered here or by owners. */
const char *request_phrase(int status);
/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7) */
void request_date(char text[static 32]);

/* ---- http1.c ---- */

size_t http1_take(struct connection *c, uint8_t *bytes, size_t len);
/* A whole answer; after @is_last the connection ends. */
void http1_answer(struct connection *c, const struct server_answer *answer, bool is_head, bool is_last,
	const char *extra);
/* With a line for people. */
void http1_refuse(struct connection *c, int status, const char *extra);

/* ---- socket.c ---- */

/* An upgrade to WebSocket was asked for. */
void socket_upgrade(struct connection *c, const struct request *request);
size_t socket_take(struct connection *c, uint8_t *bytes, size_t len);
/* When it is to be looked at again, or 0: it has ended. */
uint64_t socket_check(struct connection *c, uint64_t now);
/* After bytes went out, and for what was ended. */
void socket_turn(struct connection *c);
/* The owner hears of the end. */
void socket_lost(struct connection *c, const char *why);

/* ---- h2.c, call.c ---- */

int h2_begin(struct connection *c);
size_t h2_take(struct connection *c, uint8_t *bytes, size_t len);
uint64_t h2_check(struct connection *c, uint64_t now);
/* Frames to c->out, as many as are good for one write. True: there may be more. */
bool h2_pump(struct connection *c);
/* Ends of calls are told; so is what went out. */
void h2_turn(struct connection *c);
/* No new calls (GOAWAY). */
void h2_drain(struct connection *c);
void h2_lost(struct connection *c);
void h2_free(struct connection *c);

#endif
