/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A byte stream to a server by name: look-up (c-ares), TCP (at most 16 addresses; the next is tried when one
 * fails, or after 300 ms), the environment's proxy (CONNECT), TLS (OpenSSL, system roots or SSL_CERT_FILE and
 * SSL_CERT_DIR, host name checked), ALPN. Nothing blocks. gRPC and the relay's WebSocket are built on it.
 */
#ifndef TALON_STREAM_H
#define TALON_STREAM_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "base/endpoint.h"
#include "loop/loop.h"
#include "talon/relayed_types.h"

struct stream;

#define STREAM_WHY_LEN 256

struct stream_options {
	/* name or literal address; SNI and the name that the certificate must have */
	const char *host;
	uint16_t port;			/* host order */
	/* literal to connect to, instead of looking @host up; not behind a proxy; NULL: none */
	const char *address;
	bool tls;
	/*
	 * "h2" or "http/1.1": has to be what the server selects for "h2", may be ignored for
	 * others; NULL: none
	 */
	const char *alpn;
	/* for the look-up of the name, and once more from there until connected; 0: 30 s */
	uint64_t timeout_ns;
	uint32_t mark;			/* SO_MARK; 0: none */
	/* TCP_NOTSENT_LOWAT: bytes that the kernel holds and has not sent once; 0: its own choice */
	uint32_t unsent_max;
	/* do not ask the environment (HTTPS_PROXY, https_proxy, ALL_PROXY, NO_PROXY ...) */
	bool no_proxy;
};

struct stream_events {
	/* The name's addresses are there: limits of what waits for the connection begin here. May be NULL. */
	void (*looked_up)(void *ctx);
	/* Usable now. */
	void (*connected)(void *ctx);
	/* Bytes can be read (read until -EAGAIN), or room to write came back after a short write. */
	void (*readable)(void *ctx);
	void (*writable)(void *ctx);
	/*
	 * The end, once: negative errno (-EPROTO: TLS or ALPN; 0: closed in order) and one line. The stream
	 * is to be freed.
	 */
	void (*closed)(void *ctx, int error, const char *why);
};

/* Never calls back before it returned. @options' strings are copied. Returns 0 or a negative errno. */
int stream_open(struct loop *loop, const struct stream_options *options, const struct stream_events *events,
	void *ctx, struct stream **ret_stream);
/* Bytes, 0 at the end of the stream, -EAGAIN, or another negative errno. */
ssize_t stream_read(struct stream *stream, void *buf, size_t len);
/* May take less than @len; the rest waits for writable(). */
ssize_t stream_write(struct stream *stream, const void *buf, size_t len);
/* Closes and frees; no callback comes after it. May be called from a callback. NULL is allowed. */
void stream_free(struct stream *stream);
/* The other side's address as text, for logs; the proxy's, if there is one. */
const char *stream_peer(const struct stream *stream);
/* The same as data. Returns 0; -ENOTCONN while there is no connection, or if it goes by a proxy. */
int stream_remote(const struct stream *stream, struct endpoint *ret_remote);

/* Its TCP connection, to a proxy if there is one. Returns 0 or a negative errno. */
int stream_connection(const struct stream *stream, struct talon_quiet *ret_connection);
/*
 * Frees it without a word to the other side, for which the connection goes on: neither TLS nor TCP say that
 * it ends, and what is not yet sent is lost. Needs CAP_NET_ADMIN. Returns 0, or a negative errno: nothing was
 * done.
 */
int stream_abandon(struct stream *stream);

/*
 * To be called when the host's addresses may have changed. Connections from an address that was there at the
 * last call and has gone end with -ENETDOWN (closed() is called later, as always), where TCP alone would try
 * for minutes; pending look-ups are sent again. The first call ends nothing. Returns true if the addresses
 * differ from those of the last call; false, too, if they cannot be read.
 */
bool stream_addresses_changed(struct loop *loop);

/*
 * Forgets the resolver and TLS context that all streams share, once no stream is left: before the loop goes,
 * and at the end of the process.
 */
void stream_global_done(void);

#endif
