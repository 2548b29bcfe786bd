/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parts of a stream know of each other: the dial, the proxy, TLS. Each works on its own. */
#ifndef TALON_STREAM_INTERNAL_H
#define TALON_STREAM_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/host_port.h"
#include "http/head.h"
#include "loop/loop.h"

#define STREAM_HOST_LEN		HOST_LEN
#define STREAM_NAME_LEN		HOST_PORT_LEN
#define STREAM_PEER_LEN		64

/* ---- connect.c: a name and a port to a connected socket ---- */

struct dial;

struct dial_result {
	int fd;			/* the caller's now; or a negative errno, with @why */
	const char *why;
	const char *peer;	/* the address that answered */
};

/* The dial is to be freed in it. */
typedef void (*dial_fn)(void *ctx, const struct dial_result *result);

/* @looked_up: before the first address is tried; it must not free the dial. @timeout_ns: of the look-up. */
int dial_start(struct loop *loop, const char *host, uint16_t port, uint32_t mark, uint64_t timeout_ns,
	void (*looked_up)(void *ctx), dial_fn fn, void *ctx, struct dial **ret_dial);
/* Attempts from an address that is gone have failed. May call back, from which the dial is freed. */
void dial_drop_gone(struct dial *dial);
/* One phrase about what it waits for: "looking up example.org". */
void dial_tell(const struct dial *dial, char *text, size_t size);
void dial_free(struct dial *dial);

/* ---- local.c: the addresses of this host ---- */

/* Whether @fd's local address was there once and is no more. */
bool local_is_gone(int fd, char *text, size_t size);
/*
 * Looks at the addresses again; those that are not there any more are the gone ones until the next call.
 * Returns whether any came or went.
 */
bool local_refresh(void);
void local_done(void);

/* ---- proxy.c: the environment's proxy, and CONNECT ---- */

struct proxy {
	char host[STREAM_HOST_LEN];
	uint16_t port;
	bool is_socks;		/* SOCKS5, else HTTP */
	char *authorization;	/* HTTP: the header's value; NULL: none */
	char *user, *password;	/* SOCKS: at most 255 bytes each; NULL: none */
	const char *variable;	/* that named it */
};

/*
 * 1: go through @ret_proxy (to be passed to proxy_done()), 0: go directly, -EINVAL with @why: the variable
 * cannot be used.
 */
int proxy_choose(const char *host, uint16_t port, bool tls, struct proxy *ret_proxy, char *why, size_t size);
void proxy_done(struct proxy *proxy);
/*
 * @rules as curl reads NO_PROXY: names (and all below them; a dot in front changes nothing), addresses,
 * prefixes, separated by commas or blanks; "*" alone is everything. As Go reads it too: "*.name" is only what
 * is below, and each may have a port.
 */
bool proxy_is_excluded(const char *rules, const char *host, uint16_t port);
/* Returns the length of the request or -ENAMETOOLONG. */
int proxy_write_request(const struct proxy *proxy, const char *host, uint16_t port, char *buf, size_t size);

#define PROXY_ANSWER_MAX	16384	/* bytes of status line and headers, interim answers included */

/* Zeroed, it is ready for a new answer. */
struct proxy_answer {
	struct http_scanner head;
	int status;
};

/*
 * Takes bytes up to the end of the headers and none after it: what follows is the other side's. Returns 0
 * when the answer is complete, -EAGAIN when more is needed, -EPROTO when it is none.
 */
int proxy_answer_feed(struct proxy_answer *answer, const char *bytes, size_t len, size_t *ret_used);

/* ---- socks.c: the talk with a SOCKS5 proxy ---- */

#define SOCKS_OUT_MAX	600	/* the longest is user and password, or a name */
#define SOCKS_IN_MAX	300

struct socks {
	enum { SOCKS_METHOD, SOCKS_PASSWORD, SOCKS_REPLY } step;
	uint8_t in[SOCKS_IN_MAX];
	size_t have, want;	/* bytes; no more than want - have may be read from the socket */
	const char *why;	/* after a failure: one phrase about it */
};

/* Both put what is to be sent into @out. */
size_t socks_begin(struct socks *socks, const struct proxy *proxy, uint8_t out[static SOCKS_OUT_MAX]);
/* 0: what comes next is the server's, -EAGAIN: more is wanted, or another negative errno and socks.why. */
int socks_take(struct socks *socks, const struct proxy *proxy, const char *host, uint16_t port,
	const uint8_t *bytes, size_t len, uint8_t out[static SOCKS_OUT_MAX], size_t *ret_len);

/* ---- tls.c: OpenSSL over a socket of ours ---- */

struct tls;

/*
 * @name is what to call the server in messages. Sets nothing up in OpenSSL before the first of them. Returns
 * 0 or a negative errno.
 */
int tls_new(int fd, const char *host, const char *name, const char *alpn, struct tls **ret_tls);
/* Says goodbye to the other side if it can be said at once; the socket stays open. NULL is allowed. */
void tls_free(struct tls *tls);
/* 0: done and verified, -EAGAIN: wait for *@ret_events, -EPROTO or another errno: failed, see tls_why(). */
int tls_handshake(struct tls *tls, uint32_t *ret_events);
/* One line about the last failure that was not the socket's. */
const char *tls_why(const struct tls *tls);
/*
 * As stream_read() and stream_write(); -EAGAIN of a read that waits for room to write sets *@ret_wants_room.
 */
ssize_t tls_read(struct tls *tls, void *buf, size_t len, bool *ret_wants_room);
ssize_t tls_write(struct tls *tls, const void *buf, size_t len);
/*
 * Bytes that were taken, but are not yet with the kernel. 0: none left, -EAGAIN: wait for room, or another
 * negative errno.
 */
int tls_flush(struct tls *tls);
bool tls_is_holding(const struct tls *tls);
/* Bytes were read from the socket that tls_read() has not returned yet. */
bool tls_has_pending(const struct tls *tls);
void tls_global_done(void);

#endif
